"""Compiled kernels from the values of descriptors to the predictions of all members, and to their mean and spread.

No checks here: the callers check. Nothing is fused and every sum has a fixed order: the digits are those of NumPy, row by row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

EXACT: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}

TINY = np.finfo(np.float64).tiny

N_ROWS = 512
"""Rows of which mean and spread are taken at once; what is kept of them stays in the first cache."""


class Terms(NamedTuple):
    """Terms of all members, one behind the other, (n_terms,) each: where the descriptor stands, coefficient, training range and its
    width. `first` (n_members + 1,) are the first terms of each member; `intercept` (n_members,).
    """

    place: np.ndarray
    coefficient: np.ndarray
    low: np.ndarray
    high: np.ndarray
    width: np.ndarray
    first: np.ndarray
    intercept: np.ndarray


@njit(**EXACT)
def add_terms(terms, values, start, totals, outside):
    """Sums of the members, and how far outside its training range the worst descriptor of each lies, in widths of that range.

    values (n_places, m) hold the descriptors of the rows from `start` on; totals and outside (n_members, n) are written there.
    """
    n = values.shape[1]
    for member in range(len(terms.intercept)):
        total, worst = totals[member, start : start + n], outside[member, start : start + n]
        for k in range(n):
            total[k], worst[k] = terms.intercept[member], 0.0
        for t in range(terms.first[member], terms.first[member + 1]):
            row, coefficient = values[terms.place[t]], terms.coefficient[t]
            low, high, width = terms.low[t], terms.high[t], terms.width[t]
            for k in range(n):
                value = row[k]
                total[k] += coefficient * value
                excess = max(max(low - value, value - high), 0.0) / width
                excess = excess if abs(value) < np.inf else np.inf
                worst[k] = excess if excess > worst[k] else worst[k]


@njit(**EXACT)
def mean_and_spread(members, valid, weight, mean, spread):
    """Mean and unbiased standard deviation (n,) of the valid ones among members (n_members, n), which have the same weight."""
    n_members, n = members.shape
    total, freedom = np.empty(N_ROWS), np.empty(N_ROWS)
    for start in range(0, n, N_ROWS):
        m, v = members[:, start : start + N_ROWS], valid[:, start : start + N_ROWS]
        average, square = mean[start : start + N_ROWS], spread[start : start + N_ROWS]
        for k in range(len(average)):
            total[k], freedom[k], average[k], square[k] = 0.0, 0.0, 0.0, 0.0
        for i in range(n_members):
            for k in range(len(average)):
                share = weight if v[i, k] else 0.0
                total[k] += share
                freedom[k] += share * share
                average[k] += share * (m[i, k] if v[i, k] else 0.0)
        for k in range(len(average)):
            total[k] = max(total[k], TINY)
            average[k] /= total[k]
            freedom[k] = max(total[k] - freedom[k] / total[k], TINY)
        for i in range(n_members):
            for k in range(len(average)):
                apart = m[i, k] - average[k] if v[i, k] else 0.0
                square[k] += (weight if v[i, k] else 0.0) * (apart * apart)
        for k in range(len(average)):
            square[k] = np.sqrt(square[k] / freedom[k])
