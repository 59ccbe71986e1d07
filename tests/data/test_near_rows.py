"""Rows that are nearly equal to one of another group, against all pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.data.neighbours import CONSTANT, near_distances, spread_of


def all_pairs(rows, groups, within):
    apart = np.abs(rows[:, None] - rows[None]) / spread_of(rows, least=CONSTANT)
    size = np.where(groups[:, None] == groups[None], np.inf, apart.max(axis=2))
    nearest = size.min(axis=1)
    return np.where(nearest < within, nearest, np.inf)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 2), st.sampled_from([1e-3, 0.05, 0.5]))
def test_they_are_those_of_all_pairs(seed, n_columns, decimals, within):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 90))
    rows = np.round(rng.normal(size=(n, n_columns)), decimals) + rng.choice([0.0, 1e-3]) * rng.normal(
        size=(n, n_columns)
    )
    groups = rng.integers(0, rng.integers(1, 30), n)
    assert near_distances(rows, groups, within) == pytest.approx(all_pairs(rows, groups, within), abs=1e-12)


def test_a_row_behind_many_of_its_own_group_is_found():
    rng = np.random.default_rng(0)
    rows = np.vstack([1e-4 * rng.normal(size=(200, 3)), [[2e-4, 2e-4, 2e-4]], rng.normal(size=(300, 3))])
    groups = np.append(np.zeros(200, dtype=int), np.arange(1, 302))
    found = near_distances(rows, groups, 1e-2)
    assert found == pytest.approx(all_pairs(rows, groups, 1e-2))
    assert np.isfinite(found[:201]).all()


def test_equal_rows_of_two_groups_are_near_and_those_of_one_are_not():
    rows = np.array([[1.0, 5.0], [1.0, 5.0], [3.0, 5.0], [3.0, 5.0], [9.0, 5.0]])
    assert near_distances(rows, np.array([0, 1, 2, 2, 3]), 1e-3).tolist() == [0.0, 0.0, np.inf, np.inf, np.inf]
