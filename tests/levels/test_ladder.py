"""Levels learned from those below: known values are taken as they are, predicted ones widen what is built on them."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal.data.table import read_table
from sisso_sal.levels.ladder import FEWEST_OF_LEVEL, Ladder, LevelValues
from sisso_sal.protocols import Prediction, Quantity
from sisso_sal.spaces.blocks import predict_all
from sisso_sal.spaces.table import TableSpace

LOW = Quantity("low", "eV", "low (eV)")
MID = Quantity("mid", "eV", "mid (eV)")
N = 40


class Plane:
    """Least squares in all features with one sigma for all; keeps what it was given."""

    def __init__(self, made, sigma):
        self.made, self.sigma = made, sigma

    def fit(self, space, rows, labels, errors, progress=None):
        self.target, self.errors, self.rows = space.target, errors, rows
        self.names = [feature.name for feature in space.features]
        self.weights = np.linalg.lstsq(self._inputs(space, rows), labels, rcond=None)[0]
        return self

    def _inputs(self, space, rows):
        matrix = space.rows(rows).matrix
        return np.column_stack([np.ones(len(matrix)), matrix])

    def predict(self, space, rows):
        mean = self._inputs(space, rows) @ self.weights
        std = np.full(len(mean), self.sigma)
        return Prediction(mean, std, std, mean[None], np.ones((1, len(mean)), dtype=bool))


@pytest.fixture
def planted():
    """a and b; low = a, mid = 3 low - b, each and what only a calculation tells; high = 2 mid + 1."""
    rng = np.random.default_rng(3)
    a, b, own, other = rng.normal(size=(4, N))
    low = a + 0.4 * own
    mid = 3 * low - b + 0.2 * other
    frame = pd.DataFrame({"id": [f"M{i:02d}" for i in range(N)], "a": a, "b": b, "high (eV)": 2 * mid + 1})
    frame.loc[frame.index >= 30, "high (eV)"] = np.nan
    return TableSpace(read_table(frame)), low, mid


def fitted(space, levels, sigmas=(0.4, 0.0, 0.1)):
    made = []

    def make(names, number, n_values):
        made.append((names, number, n_values))
        return Plane(made[-1], sigmas[number] if number < len(levels) else sigmas[-1])

    rows = np.flatnonzero(np.isfinite(space.labels))
    ladder = Ladder(make, levels).fit(space, rows, space.labels[rows], np.zeros(len(rows)))
    return ladder, made


def without(values, rows):
    out = values.copy()
    out[rows] = np.nan
    return out


def test_levels_that_are_known_are_features_and_change_nothing_else(planted):
    space, low, _ = planted
    ladder, made = fitted(space, [LevelValues(LOW, low)])
    assert made == [(("low",), 1, 30)]
    assert ladder.top.names == ["a", "b", "low"]
    whole = ladder.whole(space)
    np.testing.assert_array_equal(predict_all(ladder, space).mean, ladder.top.predict(whole, np.arange(N)).mean)
    assert not ladder.taught(space, np.arange(N)).any()
    assert not ladder.top.errors.any()


def test_a_gap_is_predicted_and_what_is_not_known_of_it_widens_the_prediction(planted):
    space, low, _ = planted
    gaps = [5, 33, 38]
    ladder, made = fitted(space, [LevelValues(LOW, without(low, gaps))], sigmas=(0.4, 0.1))
    assert made == [((), 0, N - 3), (("low",), 1, 30)]
    slope = ladder.top.weights[3]
    assert slope == pytest.approx(6.0, abs=0.5)
    taught = ladder.taught(space, np.arange(N))
    expected = np.zeros(N)
    expected[gaps] = slope * 0.4
    np.testing.assert_allclose(taught, expected[None], atol=1e-9)
    told = predict_all(ladder, space)
    np.testing.assert_allclose(told.std, np.hypot(0.1, expected))
    low95, high95 = told.interval95
    np.testing.assert_allclose((high95 - low95) / 2, 1.959964 * np.hypot(0.1, expected), rtol=1e-5)


def test_a_label_without_the_level_is_learned_with_the_error_of_the_guess(planted):
    space, low, _ = planted
    ladder, _ = fitted(space, [LevelValues(LOW, without(low, [5, 8]))], sigmas=(0.4, 0.1))
    assert ladder.top.rows.tolist() == list(range(30))
    errors = ladder.top.errors
    assert np.flatnonzero(errors).tolist() == [5, 8]
    known = [i for i in range(30) if i not in (5, 8)]
    slope = np.polyfit(low[known], space.labels[known], 1)[0]
    np.testing.assert_allclose(errors[[5, 8]], slope * 0.4)


def test_the_doubt_of_a_low_level_goes_up_through_those_above(planted):
    space, low, mid = planted
    gaps = np.arange(30, N)
    levels = [LevelValues(LOW, without(low, gaps)), LevelValues(MID, without(mid, gaps))]
    made, planes = [], []

    def make(names, number, n_values):
        made.append(names)
        planes.append(Plane(None, (0.4, 0.2, 0.1)[number]))
        return planes[-1]

    rows = np.arange(30)
    ladder = Ladder(make, levels).fit(space, rows, space.labels[rows], np.zeros(30))
    assert made == [(), ("low",), ("low", "mid")]
    taught = ladder.taught(space, gaps)
    # high = 2 mid + 1: a doubt of 0.2 in mid is one of 0.4. Of low, mid is about 3 times, and high twice that.
    in_mid = planes[1].weights[3]
    assert in_mid == pytest.approx(3.0, abs=0.2)
    from_low = 2 * in_mid * 0.4
    np.testing.assert_allclose(taught, [[from_low] * 10, [0.4] * 10], rtol=1e-6)
    told = ladder.predict(space, gaps)
    np.testing.assert_allclose(told.std, np.sqrt(0.1**2 + from_low**2 + 0.4**2), rtol=1e-6)


def test_too_few_values_of_a_level_are_no_level(planted):
    space, low, _ = planted
    few = without(low, np.arange(FEWEST_OF_LEVEL - 1, N))
    ladder, made = fitted(space, [LevelValues(LOW, few)])
    assert made == [((), 1, 30)]
    assert ladder.top.names == ["a", "b"]
    assert ladder.told(["cheap"]) == [
        {"name": "cheap", "column": "low (eV)", "unit": "eV", "n_known": 4, "n_predicted": 0, "std": None}
    ]


def test_the_table_of_an_iteration_says_what_is_known_and_what_is_guessed(planted):
    space, low, _ = planted
    ladder, _ = fitted(space, [LevelValues(LOW, without(low, [38]))])
    table = ladder.table(space.ids)
    assert list(table) == ["id", "low (eV)", "low std"]
    assert np.flatnonzero(table["low std"]).tolist() == [38]
    np.testing.assert_array_equal(np.delete(table["low (eV)"], 38), np.delete(low, 38))
    assert ladder.told([""])[0]["name"] == "low"


def test_a_level_without_variation_is_left_out(planted):
    space, low, _ = planted
    same = np.where(np.arange(N) < 10, 0.0, np.nan)
    ladder, made = fitted(space, [LevelValues(MID, same), LevelValues(LOW, low)])
    assert [names for names, _, _ in made] == [("low",)]
    told = ladder.told(["", ""])
    assert [row["n_predicted"] for row in told] == [0, 0]
    assert told[0]["n_known"] == 10
