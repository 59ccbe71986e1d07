"""A compiled kernel for distances on a line. No checks here: the callers check."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy")
def near_distances_on_line(places, values, own, n_near, out):
    """Distance (n,) of each place (n,) from the `n_near`-th nearest of values (k,), which are in order.

    `own` (n,) are numbers of values that do not count, one for each place, -1 for none; at least `n_near` others are there.
    """
    k = len(values)
    for i in range(len(places)):
        place = places[i]
        low, high = 0, k  # the first value that is no smaller lies between
        while low < high:
            middle = (low + high) // 2
            if values[middle] < place:
                low = middle + 1
            else:
                high = middle
        left, right, apart = low - 1, low, np.nan
        for _ in range(n_near):
            left -= left == own[i]
            right += right == own[i]
            before = place - values[left] if left >= 0 else np.inf
            behind = values[right] - place if right < k else np.inf
            if right >= k or (left >= 0 and before <= behind):
                apart = before
                left -= 1
            else:
                apart = behind
                right += 1
        out[i] = apart
