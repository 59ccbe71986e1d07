"""Compiled kernels that find features of one direction. No checks here: the callers check."""

from __future__ import annotations

import numpy as np
from numba import njit

from sisso_sal.engine._kernels import OPTIONS


@njit(**OPTIONS)
def unit_vectors(rows, weights, centre, out):
    """Weighted, centred rows (m, n) of norm 1; of two equal directions the vectors are equal up to sign."""
    n = rows.shape[1]
    for t in range(rows.shape[0]):
        mean = 0.0
        if centre:
            for k in range(n):
                mean += weights[k] * rows[t, k]
        square = 0.0
        for k in range(n):
            out[t, k] = np.sqrt(weights[k]) * (rows[t, k] - mean)
            square += out[t, k] * out[t, k]
        scale = 1.0 / np.sqrt(square)
        for k in range(n):
            out[t, k] *= scale


@njit(**OPTIONS)
def cluster(units, scores, gate, tolerance):
    """Number of the cluster of each feature; features of one cluster point in one direction.

    units (m, n) and scores (m,) come in order of descending score; only features whose scores differ by less than `gate` are
    compared.
    """
    m, n = units.shape
    label = np.empty(m, dtype=np.int64)
    head = np.empty(m, dtype=np.int64)
    count = 0
    for t in range(m):
        label[t] = -1
        u = count - 1
        while u >= 0 and scores[head[u]] - scores[t] <= gate:
            product = 0.0
            for k in range(n):
                product += units[t, k] * units[head[u], k]
            sign = 1.0 if product >= 0.0 else -1.0
            distance = 0.0
            for k in range(n):
                difference = units[t, k] - sign * units[head[u], k]
                distance += difference * difference
            if distance <= tolerance * tolerance:
                label[t] = u
                break
            u -= 1
        if label[t] < 0:
            label[t] = count
            head[count] = t
            count += 1
    return label
