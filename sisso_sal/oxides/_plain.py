"""A compiled kernel that reads plain formulas without brackets. No checks here: the callers check."""

from __future__ import annotations

import numpy as np
from numba import njit

MOST_DIGITS = 15
"""Numbers of more digits may need rounding, and are for Python to read."""

_POWERS = 10.0 ** np.arange(MOST_DIGITS + 1)


@njit(nogil=True, cache=True, error_model="numpy")
def read_plain(data, ends, places, least, amounts, is_plain):
    """Atoms of each element (n, n_elements), added in the order of the text to zeros, and which texts are plain (n,).

    Text i is UTF-8, data (uint8) from ends[i] to ends[i + 1]. A symbol of the letters a and b (0 for none, 1 for a) has the
    place places[27 * a + b], -1 where there is no such element. Fewer than `least` atoms are none. A text that is not plain
    leaves its row as zeros.
    """
    for i in range(len(is_plain)):
        p, stop = ends[i], ends[i + 1]
        is_plain[i] = p < stop
        while p < stop:
            first = np.int64(data[p]) - 65
            p += 1
            second = 0
            if p < stop and 97 <= data[p] <= 122:
                second = np.int64(data[p]) - 96
                p += 1
            place = places[27 * first + second] if 0 <= first < 26 else -1
            number, n_digits, n_decimals, has_point = 0, 0, 0, False
            while p < stop and (48 <= data[p] <= 57 or (data[p] == 46 and not has_point)):
                if data[p] == 46:
                    has_point = True
                else:
                    number = 10 * number + np.int64(data[p]) - 48
                    n_digits += 1
                    n_decimals += has_point
                p += 1
            if place < 0 or n_digits > MOST_DIGITS or (has_point and n_digits == 0):
                is_plain[i] = False
                amounts[i, :] = 0.0
                break
            amounts[i, place] += number / _POWERS[n_decimals] if n_digits else 1.0
        for k in range(amounts.shape[1]):
            amounts[i, k] = amounts[i, k] if amounts[i, k] >= least else 0.0
