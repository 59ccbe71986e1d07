"""Nearest labelled materials against an explicit double loop."""

import math
import pickle

import naive
import numpy as np
import pytest

from sisso_sal.data.neighbours import (
    CONSTANT,
    Neighbourhood,
    nearest,
    relative_distance,
    spread_of,
    usual_distance,
)


def rows(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 3)) * np.array([1.0, 10.0, 0.1])


@pytest.mark.parametrize("count", [1, 3])
def test_the_nearest_are_those_of_a_double_loop(count):
    features, labelled = rows(7, 0), rows(12, 1)
    scale = spread_of(labelled)
    distance, number = nearest(features, labelled, scale, count)
    assert distance.shape == number.shape == (7, count)
    for i, row in enumerate(features):
        apart = [math.dist(row / scale, other / scale) for other in labelled]
        order = sorted(range(12), key=lambda k, apart=apart: apart[k])[:count]
        assert number[i].tolist() == order
        assert distance[i] == pytest.approx([apart[k] for k in order], rel=1e-12)


def test_a_constant_column_has_a_spread_of_one():
    table = np.column_stack([np.full(9, 0.1), np.arange(9.0)])
    assert table.std(axis=0)[0] > 0  # by rounding alone
    assert spread_of(table, least=CONSTANT).tolist() == [1.0, np.arange(9.0).std()]
    assert spread_of(np.zeros((3, 1))).tolist() == [1.0]


def test_the_unit_is_the_usual_distance_between_labelled_neighbours():
    features, labelled = rows(7, 2), rows(12, 3)
    assert relative_distance(features, labelled) == pytest.approx(
        naive.relative_distance(features, labelled), rel=1e-12
    )
    assert np.median(relative_distance(labelled, labelled)) == 0.0
    features[4, 1] = np.nan
    assert np.isnan(relative_distance(features, labelled)).tolist() == [i == 4 for i in range(7)]


@pytest.mark.parametrize("labelled", [np.ones((1, 2)), np.ones((4, 2))])
def test_without_a_usual_distance_the_unit_is_one(labelled):
    assert usual_distance(labelled, np.ones(2)) == 1.0
    assert relative_distance(np.array([[1.0, 4.0]]), labelled).tolist() == [3.0]


@pytest.mark.parametrize("n_labelled", [1, 2, 7, 64])
@pytest.mark.parametrize("n_columns", range(1, 10))
def test_distances_are_those_of_a_tree_of_scipy(n_columns, n_labelled):
    rng = np.random.default_rng(n_columns)
    features, labelled = rng.normal(size=(50, n_columns)), rng.normal(size=(n_labelled, n_columns))
    labelled[n_labelled // 2 :] = np.round(labelled[n_labelled // 2 :])
    features[0] = labelled[-1]
    around = Neighbourhood.of(labelled)
    expected = nearest(features, labelled, around.scale)[0][:, 0]
    assert around.distance(features) * around.usual == pytest.approx(expected, rel=1e-14)
    if n_labelled > 1:
        usual = np.median(nearest(labelled, labelled, around.scale, 2)[0][:, 1])
        assert around.usual == pytest.approx(usual or 1.0, rel=1e-14)
    again = pickle.loads(pickle.dumps(around))
    assert np.array_equal(again.distance(features[::-1])[::-1], around.distance(features))
