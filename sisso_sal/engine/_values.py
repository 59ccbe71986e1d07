"""Compiled kernels that evaluate operators, and the weighted moments of features. No checks here: the callers check."""

from __future__ import annotations

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, OPTIONS


@njit(**INNER)
def _evaluate_rational(opcode, a, b, out):
    n = out.shape[0]
    if opcode == 0:
        for k in range(n):
            out[k] = a[k]
    elif opcode == 1:
        for k in range(n):
            out[k] = a[k] + b[k]
    elif opcode == 2:
        for k in range(n):
            out[k] = a[k] - b[k]
    elif opcode == 3:
        for k in range(n):
            out[k] = a[k] * b[k]
    elif opcode == 4:
        for k in range(n):
            out[k] = a[k] / b[k]
    elif opcode == 5:
        for k in range(n):
            out[k] = abs(a[k] - b[k])
    elif opcode == 6:
        for k in range(n):
            out[k] = abs(a[k])
    elif opcode == 7:
        for k in range(n):
            out[k] = 1.0 / a[k]
    elif opcode == 8:
        for k in range(n):
            out[k] = a[k] * a[k]
    elif opcode == 9:
        for k in range(n):
            out[k] = a[k] * a[k] * a[k]
    elif opcode == 10:
        for k in range(n):
            cube = a[k] * a[k] * a[k]
            out[k] = cube * cube


@njit(**INNER)
def _evaluate_transcendental(opcode, a, out):
    n = out.shape[0]
    if opcode == 11:
        for k in range(n):
            out[k] = np.sqrt(a[k])
    elif opcode == 12:
        for k in range(n):
            out[k] = np.cbrt(a[k])
    elif opcode == 13:
        for k in range(n):
            out[k] = np.exp(a[k])
    elif opcode == 14:
        for k in range(n):
            out[k] = np.exp(-a[k])
    elif opcode == 15:
        for k in range(n):
            out[k] = np.log(a[k])
    elif opcode == 16:
        for k in range(n):
            out[k] = np.sin(a[k])
    elif opcode == 17:
        for k in range(n):
            out[k] = np.cos(a[k])
    else:
        for k in range(n):
            out[k] = np.nan


@njit(**OPTIONS)
def evaluate_many(opcode, left, right, values, out):
    """Values of many features; opcode, left, right (m,), values (n_stored, n), out (m, n). NaN for an opcode that is none."""
    for t in range(out.shape[0]):
        a, b = values[left[t]], values[right[t]]
        if 0 <= opcode[t] < 11:
            _evaluate_rational(opcode[t], a, b, out[t])
        else:
            _evaluate_transcendental(opcode[t], a, out[t])


@njit(**OPTIONS)
def moments(values, means, factors, first, second, products):
    """Moments of values (n_stored, n) less their means (n_stored,), as in `_pairs.Shifted`; factors (1 + n_targets, n).

    They go into first and second (n_stored,) and products (n_targets, n_stored).
    """
    m, n = values.shape
    for i in range(m):
        total, square = 0.0, 0.0
        for k in range(n):
            f = values[i, k] - means[i]
            total += factors[0, k] * f
            square += factors[0, k] * f * f
        first[i], second[i] = total, square
        for r in range(products.shape[0]):
            product = 0.0
            for k in range(n):
                product += factors[r + 1, k] * (values[i, k] - means[i])
            products[r, i] = product
