"""Compiled kernels: values of features, exact scores, duplicates. No checks here: the callers check.

``reassoc``, ``contract`` and ``nsz`` let sums run in vector registers; nothing assumes away NaN or infinity, which mean invalid.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

FLAGS = {"reassoc", "contract", "nsz"}
OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": FLAGS}
INNER = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For kernels that only other kernels call: without a way in from Python they compile faster."""

KEPT, NOT_FINITE, OUT_OF_BOUNDS, CONSTANT = 0, 1, 2, 3
FLAT = 1e-10
"""A feature whose standard deviation is below this share of its largest value is constant."""

GATE = 1e-7
"""Features of one direction have scores closer than this."""

Limits = namedtuple("Limits", "min_abs max_abs constants")
"""Smallest and largest admitted max|f|; whether constant features are admitted."""

Problems = namedtuple("Problems", "weights targets first_target forbidden centre")
"""weights (n_problems, n) of sum 1; targets (n_targets, n) centred and of weighted norm 1, those of problem p from
first_target[p] to below first_target[p + 1]; forbidden (n_problems, n_words): bits of the primaries that a problem may not use;
centre: whether there is an intercept.
"""


@njit(**OPTIONS)
def evaluate(opcode, a, b, out):
    """Values of one feature; a, b, out (n,)."""
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
    else:
        _evaluate_transcendental(opcode, a, out)


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
    else:
        for k in range(n):
            out[k] = np.cos(a[k])


@njit(**OPTIONS)
def evaluate_many(opcode, left, right, values, out):
    """Values of many features; opcode, left, right (m,), values (n_stored, n), out (m, n)."""
    for t in range(out.shape[0]):
        evaluate(opcode[t], values[left[t]], values[right[t]], out[t])


@njit(**OPTIONS)
def classify(row, limits):
    """State of a feature with these exact values (n,)."""
    n = row.shape[0]
    # As integers, the bits of |f| keep the order of the numbers, with infinity and NaN on top.
    bits = row.view(np.int64)
    top = np.int64(0)
    for k in range(n):
        top = max(top, bits[k] & np.int64(0x7FFFFFFFFFFFFFFF))
    if top >= np.int64(0x7FF0000000000000):
        return NOT_FINITE
    largest = 0.0
    for k in range(n):
        largest = max(largest, abs(row[k]))
    if largest < limits.min_abs or largest > limits.max_abs:
        return OUT_OF_BOUNDS
    if limits.constants:
        return KEPT
    mean, square = 0.0, 0.0
    for k in range(n):
        mean += row[k]
    mean /= n
    for k in range(n):
        square += (row[k] - mean) * (row[k] - mean)
    return CONSTANT if square <= n * (FLAT * largest) ** 2 else KEPT


@njit(**OPTIONS)
def exact_score(row, weights, targets, centre):
    """Largest absolute weighted correlation of row (n,) with targets (n_targets, n); -1 for a constant row."""
    n = row.shape[0]
    mean, largest = 0.0, 0.0
    for k in range(n):
        if weights[k] > 0.0:
            mean += weights[k] * row[k]
            largest = max(largest, abs(row[k]))
    if not centre:
        mean = 0.0
    square = 0.0
    for k in range(n):
        square += weights[k] * (row[k] - mean) * (row[k] - mean)
    if square <= (FLAT * largest) ** 2:
        return -1.0
    best = 0.0
    for r in range(targets.shape[0]):
        product = 0.0
        for k in range(n):
            product += weights[k] * (row[k] - mean) * targets[r, k]
        best = max(best, abs(product))
    return best / np.sqrt(square)


@njit(**OPTIONS)
def offer(top, held, score, taken):
    """Put a score into the descending list `top` of scores that belong to different directions; return how many it holds.

    Scores closer than GATE to one in the list, or to one of `taken` (ascending), may belong to the same direction and do not count.
    """
    at = held  # the first `at` scores are >= score
    while at > 0 and top[at - 1] < score:
        at -= 1
    if at == top.shape[0] or (at > 0 and top[at - 1] - score <= GATE) or (at < held and score - top[at] <= GATE):
        return held
    low, high = 0, taken.shape[0]
    while low < high:
        middle = (low + high) // 2
        if taken[middle] < score - GATE:
            low = middle + 1
        else:
            high = middle
    if low < taken.shape[0] and taken[low] <= score + GATE:
        return held
    last = min(held, top.shape[0] - 1)
    for i in range(last, at, -1):
        top[i] = top[i - 1]
    top[at] = score
    return last + 1


@njit(**OPTIONS)
def offer_all(top, held, scores, taken):
    """`offer` for each of the scores."""
    for score in scores:
        held = offer(top, held, score, taken)
    return held


@njit(**OPTIONS)
def threshold(top, held):
    """What a score must reach: the last of the best minus GATE, so that duplicates of the best come along."""
    return top[held - 1] - GATE if held == top.shape[0] else -1.0


@njit(**OPTIONS)
def scan_singles(opcode, numbers, values, masks, problems, thresholds, limits):
    """Exact scores of features opcode(numbers[t]) for all problems.

    Returns the numbers of features (kept, not finite, out of bounds, constant), and for every feature and problem whose score
    reaches the problem's threshold the pair (feature, problem) and the score.
    """
    m, n = numbers.shape[0], values.shape[1]
    n_problems, n_words = problems.forbidden.shape
    n_states = np.zeros(4, dtype=np.int64)
    pairs, scores = np.empty((m * n_problems, 2), dtype=np.int64), np.empty(m * n_problems)
    row = np.empty(n)
    found = 0
    for t in range(m):
        i = numbers[t]
        evaluate(opcode, values[i], values[i], row)
        state = classify(row, limits)
        n_states[state] += 1
        if state != KEPT:
            continue
        for p in range(n_problems):
            is_allowed = True
            for word in range(n_words):
                is_allowed &= masks[i, word] & problems.forbidden[p, word] == 0
            first, last = problems.first_target[p], problems.first_target[p + 1]
            if not is_allowed or first == last:
                continue
            score = exact_score(row, problems.weights[p], problems.targets[first:last], problems.centre)
            if score >= 0.0 and score >= thresholds[p]:
                pairs[found, 0], pairs[found, 1], scores[found] = t, p, score
                found += 1
    return n_states, pairs[:found], scores[:found]


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
