"""A compiled kernel for the distance to the nearest of some points. No checks here: the callers check."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy")
def nearest_squares(points, rows, is_same, out):
    """Squared Euclidean distance (n,) of each row (n, n_columns) from the nearest of points (n_columns, n_points).

    If the rows are the points, `is_same`, a row does not count as near to itself. Squares are summed in the order of SciPy's
    trees: four sums, one for every fourth column, and then what is left over.
    """
    n_columns, n_points = points.shape
    n_fours = n_columns - n_columns % 4
    sums = np.empty((4, n_points))
    for i in range(len(rows)):
        for k in range(4):
            for j in range(n_points):
                sums[k, j] = 0.0
        for c in range(n_fours):
            value, column, total = rows[i, c], points[c], sums[c % 4]
            for j in range(n_points):
                total[j] += (value - column[j]) * (value - column[j])
        total = sums[0]
        for k in range(1, 4):
            for j in range(n_points):
                total[j] += sums[k, j]
        for c in range(n_fours, n_columns):
            value, column = rows[i, c], points[c]
            for j in range(n_points):
                total[j] += (value - column[j]) * (value - column[j])
        if is_same:
            total[i] = np.inf
        n_left = n_points
        while n_left > 1:  # the smaller ones of two halves, again and again: vector registers do that
            half = (n_left + 1) // 2
            for j in range(n_left - half):
                total[j] = min(total[j], total[half + j])
            n_left = half
        out[i] = total[0]
