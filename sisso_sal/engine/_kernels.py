"""Compiled kernels: values of features, exact scores, duplicates. No checks here: the callers check.

``reassoc``, ``contract`` and ``nsz`` let sums run in vector registers; nothing assumes away NaN or infinity, which mean invalid.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

FLAGS = {"reassoc", "contract", "nsz"}
OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": FLAGS}

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


@njit(**OPTIONS)
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
    at = held - np.searchsorted(top[:held][::-1], score)  # the first `at` scores are >= score
    if at == top.shape[0] or (at > 0 and top[at - 1] - score <= GATE) or (at < held and score - top[at] <= GATE):
        return held
    near = np.searchsorted(taken, score)
    if (near < taken.shape[0] and taken[near] - score <= GATE) or (near > 0 and score - taken[near - 1] <= GATE):
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


@njit(**OPTIONS)
def _eliminate(gram, rhs, j, gram_out, rhs_out):
    """Gram matrix and right-hand side of the features after j, with feature j projected out (upper triangle only)."""
    m = rhs.shape[0]
    inverse = 1.0 / gram[j, j]
    for a in range(j + 1, m):
        factor = gram[j, a] * inverse
        for b in range(a, m):
            gram_out[a, b] = gram[a, b] - factor * gram[j, b]
        rhs_out[a] = rhs[a] - factor * rhs[j]


@njit(**OPTIONS)
def _insert(gain, subset, gains, subsets, held):
    """Put a subset into the descending list of the best; return how many it holds."""
    keep = gains.shape[0]
    if held == keep and gain <= gains[keep - 1]:
        return held
    position = min(held, keep - 1)
    while position > 0 and gains[position - 1] < gain:
        gains[position] = gains[position - 1]
        subsets[position] = subsets[position - 1]
        position -= 1
    gains[position] = gain
    subsets[position] = subset
    return min(held + 1, keep)


@njit(**OPTIONS)
def _scan_last(gram, i, js, state, so_far, subset, pivot_floor, best):
    """Try every pair (j, k) with j from js[0] to below js[1]; returns (subsets held, subsets seen, singular ones).

    Feature i is projected out on the way, unless it is -1; state is (diagonal, rhs) after that; best is (gains, subsets, held). A
    subset is worth a closer look if product^2 / pivot, the gain of k, exceeds what is needed; the test needs no division.
    """
    diagonal, rhs = state
    gains, subsets, held = best
    m, keep, dim = rhs.shape[0], gains.shape[0], subset.shape[0]
    seen, singular = 0, 0
    inverse_i = 1.0 / gram[i, i] if i >= 0 else 0.0
    row_i = gram[max(i, 0)]
    for j in range(js[0], min(js[1], m - 1)):
        seen += m - j - 1
        if diagonal[j] <= pivot_floor:
            singular += m - j - 1
            continue
        factor = row_i[j] * inverse_i
        inverse_j = 1.0 / diagonal[j]
        scaled = rhs[j] * inverse_j
        gain_j = so_far + rhs[j] * scaled
        need = gains[keep - 1] - gain_j if held == keep else -1.0
        hits, lost = 0, 0
        for k in range(j + 1, m):
            cross = gram[j, k] - factor * row_i[k]
            pivot = diagonal[k] - cross * cross * inverse_j
            product = rhs[k] - cross * scaled
            hits += 1 if product * product > need * pivot else 0
            lost += 1 if pivot <= pivot_floor else 0
        singular += lost
        if hits == 0:
            continue
        subset[dim - 2] = j
        for k in range(j + 1, m):
            cross = gram[j, k] - factor * row_i[k]
            pivot = diagonal[k] - cross * cross * inverse_j
            product = rhs[k] - cross * scaled
            if pivot > pivot_floor and product * product > need * pivot:
                subset[dim - 1] = k
                held = _insert(gain_j + product * product / pivot, subset, gains, subsets, held)
                need = gains[keep - 1] - gain_j if held == keep else -1.0
    return held, seen, singular


@njit(**OPTIONS)
def _project(gram, rhs, i, pivot_diagonal, pivot_rhs):
    """Diagonal and right-hand side of the features after i, with feature i projected out."""
    inverse = 1.0 / gram[i, i]
    for k in range(i + 1, rhs.shape[0]):
        pivot_diagonal[k] = gram[k, k] - gram[i, k] * gram[i, k] * inverse
        pivot_rhs[k] = rhs[k] - gram[i, k] * rhs[i] * inverse


@njit(**OPTIONS)
def best_subsets(gram, rhs, dim, first, pivot_floor, gains, subsets):
    """Walk over all subsets of `dim` features whose first member is in `first` (a pair start, stop).

    gram (m, m) and rhs (m,) are those of features of norm 1. The best subsets go to gains (keep,) and subsets (keep, dim), in
    descending order. A subset with a pivot below `pivot_floor` is singular. Returns (subsets held, subsets seen, singular ones).
    """
    m = rhs.shape[0]
    held, seen, singular = 0, 0, 0
    subset = np.zeros(dim, dtype=np.int64)
    if dim == 1:
        for j in range(first[0], first[1]):
            subset[0] = j
            seen += 1
            if gram[j, j] <= pivot_floor:
                singular += 1
                continue
            held = _insert(rhs[j] * rhs[j] / gram[j, j], subset, gains, subsets, held)
        return held, seen, singular
    levels = max(dim - 2, 1)
    grams = np.empty((levels, m, m))
    rights = np.empty((levels, m))
    grams[0] = gram
    rights[0] = rhs
    diagonal, right = np.empty(m), np.empty(m)
    if dim == 2:
        for k in range(m):
            diagonal[k] = gram[k, k]
        return _scan_last(gram, -1, first, (diagonal, rhs), 0.0, subset, pivot_floor, (gains, subsets, 0))
    so_far = np.zeros(levels + 1)
    depth = 0
    subset[0] = first[0] - 1
    while depth >= 0:
        subset[depth] += 1
        i = subset[depth]
        if i >= (first[1] if depth == 0 else m) or i > m - (dim - depth):
            depth -= 1
            continue
        pivot = grams[depth, i, i]
        if pivot <= pivot_floor:
            below = 1
            for step in range(1, dim - depth):
                below = below * (m - i - step) // step
            seen += below
            singular += below
            continue
        so_far[depth + 1] = so_far[depth] + rights[depth, i] * rights[depth, i] / pivot
        if depth < dim - 3:
            _eliminate(grams[depth], rights[depth], i, grams[depth + 1], rights[depth + 1])
            depth += 1
            subset[depth] = i
            continue
        _project(grams[depth], rights[depth], i, diagonal, right)
        state, best = (diagonal, right), (gains, subsets, held)
        js = (i + 1, m)
        held, more, lost = _scan_last(grams[depth], i, js, state, so_far[depth + 1], subset, pivot_floor, best)
        seen += more
        singular += lost
    return held, seen, singular
