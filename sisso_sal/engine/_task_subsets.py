"""Compiled kernels of the L0 walk for several tasks, signs that agree, and largest errors. No checks here: the callers check.

Each task has a Gram matrix of its own, and targets are scaled so that gains of tasks add up. All last members of a subset are
scored at once, in vector registers: with the members before projected out, a feature gains r^2 / d, with r its product with
the target and d its square.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, OPTIONS

PIVOT_FLOOR = 1e-10
"""As in `_subsets`."""

ROUNDING = 1e-15
"""As in `_subsets`."""


@njit(**INNER)
def _insert(gain, subset, gains, subsets):
    """Put a subset into the list, the last gain of which it exceeds."""
    position = gains.shape[0] - 1
    while position > 0 and gains[position - 1] < gain:
        gains[position] = gains[position - 1]
        for d in range(subset.shape[0]):
            subsets[position, d] = subsets[position - 1, d]
        position -= 1
    gains[position] = gain
    for d in range(subset.shape[0]):
        subsets[position, d] = subset[d]


@njit(**INNER)
def _eliminate(gram, rhs, squares, j, depth, room):
    """Project feature j out of what comes after it, in each task; returns what it gains, -1 where it is singular.

    gram (n_tasks, m, m), rhs, squares (n_tasks, m): products beside the members before; room holds those beside j too, at `depth`.
    """
    grams, rights, lefts = room
    n_tasks, m = rhs.shape
    gain = 0.0
    for t in range(n_tasks):
        if squares[t, j] <= PIVOT_FLOOR:
            return -1.0
        gain += rhs[t, j] * rhs[t, j] / squares[t, j]
    for t in range(n_tasks):
        inverse = 1.0 / squares[t, j]
        row = gram[t, j]
        for a in range(j + 1, m):
            factor = row[a] * inverse
            left = squares[t, a] - factor * row[a]
            lefts[depth, t, a] = left if left > PIVOT_FLOOR + ROUNDING * factor * factor else 0.0
            rights[depth, t, a] = rhs[t, a] - factor * rhs[t, j]
            for b in range(a + 1, m):
                grams[depth, t, a, b] = gram[t, a, b] - factor * row[b]
    return gain


@njit(**INNER)
def _last_gains(gram, rhs, squares, j, start, gains):
    """Gains of j and each feature from `start` on beside the members before; gains (m,), -1 where they are singular."""
    n_tasks, m = rhs.shape
    for k in range(start, m):
        gains[k] = 0.0
    for t in range(n_tasks):
        own, inverse = rhs[t, j] * rhs[t, j] / squares[t, j], 1.0 / squares[t, j]
        share = rhs[t, j] * inverse
        row, left, right = gram[t, j, start:m], squares[t, start:m], rhs[t, start:m]
        out = gains[start:m]
        for k in range(len(out)):
            pivot = left[k] - row[k] * row[k] * inverse
            product = right[k] - share * row[k]
            bad = pivot <= PIVOT_FLOOR + ROUNDING * (row[k] * inverse) * (row[k] * inverse)
            out[k] += own + product * product / pivot if not bad else -np.inf


@njit(**INNER)
def _offer(j, prefix, gains, start, so_far, judge, best, subset):
    """Offer the subsets of prefix, j and each feature from `start` on to the list; returns the number of singular ones."""
    best_gains, best_subsets = best
    singular = 0
    subset[prefix] = j
    for k in range(start, gains.shape[0]):
        gain = gains[k]
        if gain == -np.inf:
            singular += 1
            continue
        gain += so_far
        if gain > best_gains[-1]:
            subset[prefix + 1] = k
            gain = _judged(subset, gain, judge, best_gains[-1])
            if gain > best_gains[-1]:
                _insert(gain, subset, best_gains, best_subsets)
    return singular


@njit(**INNER)
def _judged(subset, gain, judge, bar):
    """What the subset is worth: its gain, or that with signs that agree, or what its largest errors leave."""
    grams, rhs, squares, same_sign, rows, targets, bounds = judge
    if same_sign:
        return _same_sign_gain(subset, grams, rhs, squares)
    if targets.shape[0] > 0:
        return _largest_error_gain(subset, grams, rhs, squares, rows, targets, bounds, bar)
    return gain


@njit(**INNER)
def _solved(members, t, grams, rhs, squares, matrix, out):
    """Coefficients of the members in task t in out (d,), by Cholesky; returns the gain, -1 where they are singular."""
    d = len(members)
    gain = 0.0
    for a in range(d):
        for b in range(a + 1):
            i, j = members[a], members[b]
            value = squares[t, i] if a == b else grams[t, min(i, j), max(i, j)]
            for c in range(b):
                value -= matrix[a, c] * matrix[b, c]
            if a == b:
                if value <= PIVOT_FLOOR:
                    return -1.0
                matrix[a, a] = np.sqrt(value)
            else:
                matrix[a, b] = value / matrix[b, b]
        value = rhs[t, members[a]]
        for c in range(a):
            value -= matrix[a, c] * out[c]
        out[a] = value / matrix[a, a]
        gain += out[a] * out[a]
    for a in range(d - 1, -1, -1):
        for c in range(a + 1, d):
            out[a] -= matrix[c, a] * out[c]
        out[a] /= matrix[a, a]
    return gain


@njit(**INNER)
def _same_sign_gain(subset, grams, rhs, squares):
    """Largest gain of coefficients whose signs agree over tasks; a coefficient may be 0.

    With the signs given, the best coefficients of a task are of least squares on some of the members, where these have the signs.
    """
    d, n_tasks = subset.shape[0], rhs.shape[0]
    n_signs = 1 << d
    totals, members = np.zeros(n_signs), np.empty(d, dtype=np.int64)
    matrix, out, own = np.empty((d, d)), np.empty(d), np.empty(n_signs)
    for t in range(n_tasks):
        own[:] = 0.0
        for some in range(1, n_signs):
            count, negative = 0, 0
            for a in range(d):
                if some >> a & 1:
                    members[count] = subset[a]
                    count += 1
            gain = _solved(members[:count], t, grams, rhs, squares, matrix, out)
            if gain < 0.0:
                continue
            count = 0
            for a in range(d):
                if some >> a & 1:
                    negative |= (out[count] < 0.0) << a
                    count += 1
            for signs in range(n_signs):
                if signs & some == negative:
                    own[signs] = max(own[signs], gain)
        totals += own
    return totals.max()


@njit(**INNER)
def _largest_error_gain(subset, grams, rhs, squares, rows, targets, bounds, bar):
    """1 less the sum over tasks of the squares of the largest errors of the least-squares fits; -inf if that is below the bar.

    rows (m, n), targets (n,), in the order of the tasks, those of task t from bounds[t] to below bounds[t + 1].
    """
    d, n_tasks = subset.shape[0], rhs.shape[0]
    matrix, out = np.empty((d, d)), np.empty(d)
    value = 1.0
    for t in range(n_tasks):
        if _solved(subset, t, grams, rhs, squares, matrix, out) < 0.0:
            return -np.inf
        largest = 0.0
        for k in range(bounds[t], bounds[t + 1]):
            error = targets[k]
            for a in range(d):
                error -= out[a] * rows[subset[a], k]
            if abs(error) > largest:
                largest = abs(error)
                if value - largest * largest <= bar:
                    return -np.inf
        value -= largest * largest
    return value


@njit(**OPTIONS)
def best_single_features(rhs, squares, firsts, judge, best):
    """The subsets of one feature from firsts[0] to below firsts[1]; returns (seen, singular)."""
    best_gains, best_subsets = best
    subset, singular = np.zeros(1, dtype=np.int64), 0
    for j in range(firsts[0], firsts[1]):
        gain = 0.0
        for t in range(rhs.shape[0]):
            gain += rhs[t, j] * rhs[t, j] / squares[t, j] if squares[t, j] > PIVOT_FLOOR else -np.inf
        if gain == -np.inf:
            singular += 1
        elif gain > best_gains[-1]:
            subset[0] = j
            gain = _judged(subset, gain, judge, best_gains[-1])
            if gain > best_gains[-1]:
                _insert(gain, subset, best_gains, best_subsets)
    return firsts[1] - firsts[0], singular


@njit(**INNER)
def _number_of(n, d):
    """n over d."""
    out = 1
    for step in range(d):
        out = out * (n - step) // (step + 1)
    return out


@njit(**OPTIONS)
def best_task_subsets(grams, rhs, squares, firsts, judge, best):
    """All subsets of two or more features that begin with one from firsts[0] to below firsts[1]; returns (seen, singular).

    grams (n_tasks, m, m), of which the upper triangle counts; rhs, squares (n_tasks, m). judge: see `_judged`. best: gains (held,),
    best first, and subsets (held, dim).
    """
    n_tasks, m = rhs.shape
    dim = best[1].shape[1]
    last = dim - 2  # members before the last two
    room = (np.empty((last, n_tasks, m, m)), np.empty((last, n_tasks, m)), np.empty((last, n_tasks, m)))
    gains, subset, so_far = np.empty(m), np.zeros(dim, dtype=np.int64), np.zeros(dim)
    seen, singular, depth = 0, 0, 0
    subset[0] = firsts[0] - 1
    while depth >= 0:
        subset[depth] += 1
        j = subset[depth]
        if j >= (firsts[1] if depth == 0 else m) or j > m - (dim - depth):
            depth -= 1
            continue
        gram, right, left = (
            (grams, rhs, squares) if depth == 0 else (room[0][depth - 1], room[1][depth - 1], room[2][depth - 1])
        )
        below = _number_of(m - j - 1, dim - depth - 1)
        if depth < last:
            gain = _eliminate(gram, right, left, j, depth, room)
            if gain < 0.0:
                seen += below
                singular += below
                continue
            so_far[depth + 1] = so_far[depth] + gain
            depth += 1
            subset[depth] = j
            continue
        seen += below
        is_singular = False
        for t in range(n_tasks):
            is_singular |= left[t, j] <= PIVOT_FLOOR
        if is_singular:
            singular += below
            continue
        _last_gains(gram, right, left, j, j + 1, gains)
        singular += _offer(j, depth, gains, j + 1, so_far[depth], judge, best, subset)
    return seen, singular
