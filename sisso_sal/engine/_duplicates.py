"""Compiled kernels that find features of one direction. No checks here: the callers check."""

from __future__ import annotations

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, OPTIONS

FLAT = 1e-10
"""As in `_scores`."""


@njit(**OPTIONS)
def unit_vectors(rows, weights, owner, centre, out):
    """Weighted, centred rows (m, n) of norm 1; of two equal directions the vectors are equal up to sign.

    weights (n_problems, n); owner (m,): the problem of each row.
    """
    n = rows.shape[1]
    for t in range(rows.shape[0]):
        own = weights[owner[t]]
        mean = 0.0
        if centre:
            for k in range(n):
                mean += own[k] * rows[t, k]
        square = 0.0
        for k in range(n):
            out[t, k] = np.sqrt(own[k]) * (rows[t, k] - mean)
            square += out[t, k] * out[t, k]
        scale = 1.0 / np.sqrt(square)
        for k in range(n):
            out[t, k] *= scale


@njit(**OPTIONS)
def unit_vectors_in_tasks(rows, weights, owner, centre, samples, starts, out):
    """The same for several tasks: in each the vector has a norm of its own, all of one size, and is 0 where the row is constant.

    Rows whose vectors are equal have the same scores and give the same fits, whatever the offsets between tasks. samples, starts
    (n_problems, ...): see `_scores.Scorings`.
    """
    n, n_tasks = rows.shape[1], starts.shape[1] - 1
    part = np.empty(n)
    for t in range(rows.shape[0]):
        own, order, cuts = weights[owner[t]], samples[owner[t]], starts[owner[t]]
        part[:] = rows[t]
        for k in range(n):
            out[t, k] = 0.0
        for task in range(n_tasks):
            mean, total, largest, square = 0.0, 0.0, 0.0, 0.0
            for k in order[cuts[task] : cuts[task + 1]]:
                mean += own[k] * part[k]
                total += own[k]
                largest = max(largest, abs(part[k]))
            mean = mean / total if centre else 0.0
            for k in order[cuts[task] : cuts[task + 1]]:
                square += own[k] * (part[k] - mean) * (part[k] - mean)
            if square <= total * (FLAT * largest) ** 2:
                continue
            scale = 1.0 / np.sqrt(square * n_tasks)
            for k in order[cuts[task] : cuts[task + 1]]:
                out[t, k] = np.sqrt(own[k]) * (part[k] - mean) * scale


@njit(**INNER)
def _projections(units, out):
    """Projections (m,) of unit vectors (m, n) on a direction that has nothing to do with them."""
    m, n = units.shape
    direction, square = np.empty(n), 0.0
    for k in range(n):
        direction[k] = np.sin(1.0 + k * k)
        square += direction[k] * direction[k]
    scale = 1.0 / np.sqrt(square)
    for t in range(m):
        product = 0.0
        for k in range(n):
            product += direction[k] * units[t, k]
        out[t] = product * scale


@njit(**INNER)
def _is_close(a, b, sign, tolerance):
    """Whether a and sign * b (n,) differ by at most `tolerance`; most differ more after a few samples."""
    n = a.shape[0]
    distance = 0.0
    for start in range(0, n, 16):
        for k in range(start, min(start + 16, n)):
            distance += (a[k] - sign * b[k]) * (a[k] - sign * b[k])
        if distance > tolerance * tolerance:
            return False
    return True


@njit(**OPTIONS)
def cells(units, directions, width, out):
    """Cells of unit vectors (m, n) in out (m, n_directions): their projections, in multiples of `width`.

    Vectors that are equal up to rounding and sign are in one cell, or at a border in two. directions (n_directions, n).
    """
    for t in range(units.shape[0]):
        sign = 1.0
        for j in range(directions.shape[0]):
            product = 0.0
            for k in range(units.shape[1]):
                product += directions[j, k] * units[t, k]
            if j == 0 and product < 0.0:
                sign = -1.0
            out[t, j] = np.int64(np.floor(sign * product / width + 0.5))


@njit(**INNER)
def _is_near(t, u, units, marks, tolerance):
    """Whether two of the unit vectors (m, n) with projections marks (m,) are closer than `tolerance`, up to sign."""
    for sign in (1.0, -1.0):
        if abs(marks[t] - sign * marks[u]) <= 2.0 * tolerance and _is_close(units[t], units[u], sign, tolerance):
            return True
    return False


@njit(**OPTIONS)
def apart(units, scores, owner, is_taken, gate, tolerance, out):
    """Whether each feature, out (m,), is farther than `tolerance` from the taken ones of its owner, and from those before it that
    are.

    units (m, n), scores (m,), owner (m,) and is_taken (m,) come as in `cluster`; a taken feature is not apart.
    """
    m = units.shape[0]
    marks = np.empty(m)
    _projections(units, marks)
    for t in range(m):
        is_apart = not is_taken[t]
        u = t - 1
        while is_apart and u >= 0 and owner[u] == owner[t] and scores[u] - scores[t] <= gate:
            if (out[u] or is_taken[u]) and _is_near(t, u, units, marks, tolerance):
                is_apart = False
            u -= 1
        u = t + 1
        while is_apart and u < m and owner[u] == owner[t] and scores[t] - scores[u] <= gate:
            if is_taken[u] and _is_near(t, u, units, marks, tolerance):
                is_apart = False
            u += 1
        out[t] = is_apart


@njit(**OPTIONS)
def cluster(units, scores, owner, wanted, gate, tolerance, label):
    """Number of the cluster of each feature, label (m,); features of one cluster have one owner and point in one direction.

    Features whose score is lower than that of the `wanted`-th cluster of their owner by more than `gate` are left out, with the
    number -1.

    units (m, n), scores (m,) and owner (m,) come owner by owner, and of each in order of descending score; only features whose
    scores differ by less than `gate` are compared. Vectors closer than `tolerance` have projections closer than that, so most
    comparisons need no more. wanted (n_owners,).
    """
    m = units.shape[0]
    head, head_scores, marks = np.empty(m, dtype=np.int64), np.empty(m), np.empty(m)
    _projections(units, marks)
    count, first = 0, 0  # clusters of all owners, and of those before this one
    for t in range(m):
        label[t] = -1
        if t > 0 and owner[t] != owner[t - 1]:
            first = count
        last = first + wanted[owner[t]]
        if count >= last and head_scores[last - 1] - scores[t] > gate:
            continue
        u = count - 1
        while u >= first and head_scores[u] - scores[t] <= gate:
            if _is_near(t, head[u], units, marks, tolerance):
                label[t] = u
                break
            u -= 1
        if label[t] < 0:
            label[t] = count
            head[count], head_scores[count] = t, scores[t]
            count += 1
