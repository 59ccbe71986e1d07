"""Learning curves: orders against naive ones, held-out rows, fits of each part alone, and what follows from them."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from sisso_sal.errors import FitError
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.extrapolation import read_curves
from sisso_sal.models.groups import EACH_ALONE
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.learning_curve import (
    ORDERS,
    LearningBench,
    LearningCurves,
    curve_sizes,
    farthest_first,
)

from naive import naive_farthest_first  # isort: skip

SETTINGS = {
    "members": 4,
    "dropout": 0.0,
    "rung": 1,
    "dim": 1,
    "n_sis": 4,
    "operators": ("add", "mult", "sq"),
    "threads": 1,
}
NOISE = 0.1


def made(n=50, seed=0, noise=NOISE):
    """Positive columns between 1 and 2, and a law that one operator gives."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 2, (n, 3))
    return X, 1.0 + 2 * X[:, 0] * X[:, 1] + rng.normal(0, noise, n)


def bench(X, y, *, names=("b", "a", "c"), composition=None, groups=None, seed=3, **options):
    recipe = SISSOEnsemble(**SETTINGS | options).recipe()
    table = TrainingTable(names, ("",) * len(names), np.asarray(X), np.asarray(y), np.ones(len(y)), np.arange(len(y)))
    table = table.in_groups(np.arange(len(y)) if groups is None else groups, EACH_ALONE)
    return LearningBench(recipe, table, composition, seed)


@cache
def measured():
    one = bench(*made())
    return one, one.curves(folds=4, repeats=2)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_the_farthest_come_first_as_in_a_naive_loop(n):
    rng = np.random.default_rng(n)
    places = np.vstack([rng.normal(size=(n, 3)), rng.integers(0, 2, (n, 3))])  # some are equal, many are equally far
    assert farthest_first(places).tolist() == naive_farthest_first(places.tolist())


def test_every_row_comes_once_where_many_are_equal():
    assert sorted(farthest_first(np.zeros((5, 2))).tolist()) == [0, 1, 2, 3, 4]


def test_half_of_the_rows_is_one_of_the_sizes():
    sizes = curve_sizes(200, 12)
    assert sizes[-1] == 200
    assert 100 in sizes
    assert (np.diff(sizes) > 0).all()
    assert sizes[0] == 25


def test_too_few_labels_are_refused():
    with pytest.raises(FitError, match="learning curve: needs 24 labels at least beside those held out, found 16"):
        bench(*made(20)).curves(repeats=1)


def test_each_row_is_held_out_once_in_each_repeat_and_the_last_size_is_the_same_in_all_orders():
    _, curves = measured()
    for order in ORDERS:
        assert np.isfinite(curves.errors[order]).all()
        assert np.array_equal(curves.errors[order][-1], curves.errors["random"][-1])
    assert np.array_equal(curves.errors["error"][0], curves.errors["random"][0])
    assert not np.array_equal(curves.errors["error"][1], curves.errors["random"][1])
    assert not np.array_equal(curves.errors["coverage"][0], curves.errors["random"][0])


def test_errors_are_those_of_ensembles_that_learned_from_these_rows_alone():
    one, curves = measured()
    part = one._parts(4, 2)[1]
    X, y = made()
    frame, y = pd.DataFrame(X, columns=["b", "a", "c"]).iloc[one.rows], y[one.rows]
    for order, step in (("coverage", 0), ("random", 1), ("coverage", -1)):
        rows = np.flatnonzero(part.pool) if step == -1 else part.orders[order][: curves.sizes[step]]
        alone = SISSOEnsemble(**SETTINGS).fit(frame.iloc[rows], y[rows])
        expected = (y - alone.predict(frame))[~part.pool]
        assert curves.errors[order][step, 0, ~part.pool] == pytest.approx(expected, rel=1e-6)


def test_the_worst_predicted_of_the_rest_come_next():
    one, _ = measured()
    part = one._parts(4, 2)[0]
    taken = one._taken(part, "error", 12)
    error = np.random.default_rng(2).normal(size=len(taken))
    before = part.orders["error"][:12].copy()
    part.add_worst(taken, error)
    rest = [row for row in np.flatnonzero(part.pool) if not taken[row]]
    assert np.array_equal(part.orders["error"][:12], before)
    assert part.orders["error"][12:].tolist() == sorted(rest, key=lambda row: -abs(error[row]))


def test_the_order_of_rows_and_columns_changes_no_bit():
    X, y = made()
    order = np.random.default_rng(1).permutation(len(y))
    one, curves = measured()
    other = bench(X[order][:, [2, 0, 1]], y[order], names=("c", "b", "a"))
    again = other.curves(folds=4, repeats=2)
    for name in ORDERS:
        assert np.array_equal(again.errors[name], curves.errors[name])
        assert np.array_equal(other.subset(name, 30, again), one.subset(name, 30, curves)[order])
    assert read_curves(again) == read_curves(curves)


def test_another_seed_draws_other_folds():
    X, y = made()
    again = bench(X, y, seed=4).curves(folds=4, repeats=1)
    assert not np.array_equal(again.errors["random"][:, 0], measured()[1].errors["random"][:, 0])


def test_rows_of_one_group_are_held_out_together():
    X, y = made(48)
    owner = np.arange(48) % 12
    one = bench(X, y, groups=owner)
    for part in one._parts(4, 1):
        assert not {*owner[one.rows][part.pool]} & {*owner[one.rows][~part.pool]}


def test_labels_that_are_all_equal_in_a_part_predict_themselves():
    X, y = made()
    one = bench(X, np.where(np.arange(50) < 40, 1.0, y))
    mask = one.table.y == 1.0
    predicted = one._predictions([mask, ~mask | (np.cumsum(mask) < 10)], lambda costs: None)
    assert (predicted[0] == 1.0).all()
    assert np.ptp(predicted[1]) > 0


@pytest.mark.slow
def test_errors_fall_to_the_noise_and_the_extrapolation_covers_later_points():
    few = read_curves(bench(*made(60, seed=5), members=8).curves(repeats=2))
    many = read_curves(bench(*made(240, seed=6), members=8).curves(repeats=1))
    first, *_, last = (point["rmse"]["value"] for point in few["curves"]["random"])
    assert last < first
    assert many["curves"]["random"][-1]["rmse"]["value"] == pytest.approx(NOISE, rel=0.1)
    for point in few["extrapolation"]["rmse"]["points"][1:]:
        later = min(many["curves"]["random"], key=lambda one: abs(one["labels"] - point["labels"]))["rmse"]
        assert point["low"] <= later["value"] <= point["high"]


@pytest.mark.slow
def test_of_three_copies_of_every_row_about_a_third_is_enough():
    X, y = made(40, seed=8)
    y += 0.3 * np.sin(4 * X[:, 2])
    shares = np.repeat(X / X.sum(axis=1, keepdims=True), 3, axis=0)  # copies are held out together
    rng = np.random.default_rng(9)
    X, y = np.repeat(X, 3, axis=0) + rng.normal(0, 1e-4, (120, 3)), np.repeat(y, 3) + rng.normal(0, 1e-4, 120)
    one = bench(X, y, members=10, composition=shares, groups=np.arange(120) // 3)
    curves = one.curves(repeats=2)
    enough = read_curves(curves)["enough"]["coverage"]
    assert 20 <= enough["kept"] <= 50
    kept = one.subset("coverage", enough["kept"], curves)
    assert kept.sum() == enough["kept"]
    assert len({*(np.flatnonzero(kept) // 3).tolist()}) >= min(40, enough["kept"]) - 2


def test_a_part_of_the_whole_table_is_as_large_as_that_of_the_rows_not_held_out():
    curves = LearningCurves(np.array([40, 57, 80]), {}, np.arange(100))
    assert [curves.kept(size) for size in (40, 57, 80)] == [50, 72, 100]
