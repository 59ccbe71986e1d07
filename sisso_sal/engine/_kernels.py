"""Every compiled kernel, and nothing else. No checks here: the callers check.

``reassoc``, ``contract`` and ``nsz`` let sums run in vector registers; nothing assumes away NaN or infinity, which mean invalid.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

_FLAGS = {"reassoc", "contract", "nsz"}
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": _FLAGS}

KEPT, NOT_FINITE, OUT_OF_BOUNDS, CONSTANT = 0, 1, 2, 3
FLAT = 1e-10
"""A feature whose standard deviation is below this share of its largest value is constant."""

Features = namedtuple("Features", "opcode left right")
"""Features of one operator: left, right (m,) are numbers of stored features."""

Stored = namedtuple("Stored", "values masks")
"""values (n_stored, n) float64; masks (n_stored, n_words): bits of the primaries in each stored feature."""

Limits = namedtuple("Limits", "min_abs max_abs constants centre error")
"""Smallest and largest admitted max|f|; whether constant features are admitted; whether features are centred (a fit with
intercept); relative error of float32 sums."""

Columns = namedtuple("Columns", "weights targets weight_of first_target masks")
"""float32 right-hand sides of a screening pass.

weights (n, n_weights), targets (n, n_targets): normalised weights of the problems that have some, and weights times normalised
residuals; weight_of (n_problems,): column of a problem's weights, -1 if all samples count alike; first_target (n_problems + 1,);
masks (n_problems, n_words): primaries that a problem may NOT use.
"""

Exact = namedtuple("Exact", "weights targets first_target")
"""float64 rows for exact scores: weights (n_problems, n) of sum 1, targets (n_targets, n) centred and of weighted norm 1."""


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
def evaluate_many(opcode, left, right, values, out):
    """Values of many features; opcode, left, right (m,), values (n_stored, n), out (m, n)."""
    for t in range(out.shape[0]):
        evaluate(opcode[t], values[left[t]], values[right[t]], out[t])


@njit(**_OPTIONS)
def _standardise(row, limits, out):
    """Write `row` (n,) float64 as float32, centred and of unit mean square, to `out`; return what it is."""
    n = row.shape[0]
    # As integers, the bits of |f| keep the order of the numbers, with infinity and NaN on top: one vectorised maximum finds both.
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
    mean = 0.0
    for k in range(n):
        mean += row[k]
    mean /= n
    square = 0.0
    for k in range(n):
        square += (row[k] - mean) * (row[k] - mean)
    if square <= n * (FLAT * largest) ** 2 and not limits.constants:
        return CONSTANT
    if not limits.centre:
        square += n * mean * mean
        mean = 0.0
        if square == 0.0:
            return CONSTANT
    scale = np.sqrt(n / square)
    for k in range(n):
        out[k] = np.float32((row[k] - mean) * scale)
    return KEPT


@njit(**_OPTIONS)
def _fill(features, values, limits, out):
    """Standardised float32 values (m, n) of a block's features, zero where the returned state (m,) is not KEPT."""
    state = np.empty(features.left.shape[0], dtype=np.int8)
    row = np.empty(values.shape[1])
    for t in range(state.shape[0]):
        evaluate(features.opcode, values[features.left[t]], values[features.right[t]], row)
        state[t] = _standardise(row, limits, out[t])
        if state[t] != KEPT:
            out[t, :] = 0.0
    return state


@njit(**_OPTIONS)
def _is_forbidden(left, right, masks, forbidden):
    for word in range(masks.shape[1]):
        if (masks[left, word] | masks[right, word]) & forbidden[word] != 0:
            return True
    return False


@njit(**_OPTIONS)
def _choose(block, state, features, masks, columns, thresholds, error):
    """Pairs (feature of the block, problem) whose score may reach the problem's threshold.

    block (m, n) holds standardised features. The float32 products carry a relative error of at most `error` times the root mean
    square of f, so a pair that float64 would keep is never lost.
    """
    first = np.dot(block, columns.weights)
    second = np.dot(block * block, columns.weights)
    third = np.dot(block, columns.targets)
    n_problems = thresholds.shape[0]
    out = np.empty((block.shape[0] * n_problems, 2), dtype=np.int64)
    found = 0
    for t in range(block.shape[0]):
        if state[t] != KEPT:
            continue
        for p in range(n_problems):
            square, variance = 1.0, 1.0
            column = columns.weight_of[p]
            if column >= 0:
                square = second[t, column]
                variance = square - first[t, column] * first[t, column] - 3.0 * error * square
            best = 0.0
            for r in range(columns.first_target[p], columns.first_target[p + 1]):
                best = max(best, abs(third[t, r]))
            best += error * np.sqrt(square)
            if variance > 0.0 and best * best < thresholds[p] * abs(thresholds[p]) * variance:
                continue
            if not _is_forbidden(features.left[t], features.right[t], masks, columns.masks[p]):
                out[found, 0] = t
                out[found, 1] = p
                found += 1
    return out[:found]


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
def _exact_scores(pairs, features, values, exact, centre):
    """float64 scores of (feature, problem) pairs (m, 2), sorted by feature."""
    scores = np.empty(pairs.shape[0])
    row = np.empty(values.shape[1])
    last = -1
    for i in range(pairs.shape[0]):
        t, p = pairs[i, 0], pairs[i, 1]
        if t != last:
            evaluate(features.opcode, values[features.left[t]], values[features.right[t]], row)
            last = t
        targets = exact.targets[exact.first_target[p] : exact.first_target[p + 1]]
        scores[i] = exact_score(row, exact.weights[p], targets, centre)
    return scores


@njit(**_OPTIONS)
def scan(features, stored, columns, exact, thresholds, limits, rows):
    """One pass over a block of features, `rows` at a time so that their values stay in cache.

    Returns the numbers of features (kept, not finite, out of bounds, constant), and for every feature and problem whose exact score
    reaches the problem's threshold the pair (feature, problem) and the score.
    """
    m = features.left.shape[0]
    n_states = np.zeros(4, dtype=np.int64)
    pairs = np.empty((0, 2), dtype=np.int64)
    scores = np.empty(0)
    buffer = np.empty((rows, stored.values.shape[1]), dtype=np.float32)
    for start in range(0, m, rows):
        stop = min(start + rows, m)
        part = Features(features.opcode, features.left[start:stop], features.right[start:stop])
        block = buffer[: stop - start]
        state = _fill(part, stored.values, limits, block)
        for t in range(stop - start):
            n_states[state[t]] += 1
        chosen = _choose(block, state, part, stored.masks, columns, thresholds, limits.error)
        found = _exact_scores(chosen, part, stored.values, exact, limits.centre)
        good = np.empty(found.shape[0], dtype=np.bool_)
        for i in range(found.shape[0]):
            good[i] = found[i] >= 0.0 and found[i] >= thresholds[chosen[i, 1]]
            chosen[i, 0] += start
        pairs = np.concatenate((pairs, chosen[good]))
        scores = np.concatenate((scores, found[good]))
    return n_states, pairs, scores


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
def _eliminate(gram, rhs, j, gram_out, rhs_out):
    """Gram matrix and right-hand side of the features after j, with feature j projected out (upper triangle only)."""
    m = rhs.shape[0]
    inverse = 1.0 / gram[j, j]
    for a in range(j + 1, m):
        factor = gram[j, a] * inverse
        for b in range(a, m):
            gram_out[a, b] = gram[a, b] - factor * gram[j, b]
        rhs_out[a] = rhs[a] - factor * rhs[j]


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
def _last_gains(gram, rhs, j, pivot_floor, out):
    """Gains of adding each feature k > j after feature j is projected out; returns (largest gain, singular subsets)."""
    m = rhs.shape[0]
    inverse = 1.0 / gram[j, j]
    scaled = rhs[j] * inverse
    best, singular = 0.0, 0
    for k in range(j + 1, m):
        cross = gram[j, k]
        pivot = gram[k, k] - cross * cross * inverse
        product = rhs[k] - cross * scaled
        regular = pivot > pivot_floor
        gain = product * product / pivot if regular else -1.0
        out[k] = gain
        singular += 0 if regular else 1
        best = max(best, gain)
    return best, singular


@njit(**_OPTIONS)
def best_subsets(gram, rhs, dim, first, pivot_floor, gains, subsets):
    """Walk over all subsets of `dim` features whose first member is in `first` (a pair start, stop).

    gram (m, m) and rhs (m,) are those of features of norm 1. The best subsets go to gains (keep,) and subsets (keep, dim), in
    descending order. A subset with a pivot below `pivot_floor` is singular. Returns (subsets held, subsets seen, singular ones).
    """
    m = rhs.shape[0]
    held, seen, singular = 0, 0, 0
    depth_count = max(dim - 1, 1)
    grams = np.empty((depth_count, m, m))
    rights = np.empty((depth_count, m))
    grams[0] = gram
    rights[0] = rhs
    subset = np.zeros(dim, dtype=np.int64)
    so_far = np.zeros(dim + 1)
    buffer = np.empty(m)
    if dim == 1:
        for j in range(first[0], first[1]):
            subset[0] = j
            seen += 1
            if gram[j, j] <= pivot_floor:
                singular += 1
                continue
            held = _insert(rhs[j] * rhs[j] / gram[j, j], subset, gains, subsets, held)
        return held, seen, singular
    depth = 0
    subset[0] = first[0] - 1
    while depth >= 0:
        subset[depth] += 1
        j = subset[depth]
        stop = first[1] if depth == 0 else m
        if j >= stop or j > m - (dim - depth):
            depth -= 1
            continue
        pivot = grams[depth, j, j]
        if pivot <= pivot_floor:
            below = 1
            for step in range(1, dim - depth):
                below = below * (m - j - step) // step
            seen += below
            singular += below
            continue
        so_far[depth + 1] = so_far[depth] + rights[depth, j] * rights[depth, j] / pivot
        if depth < dim - 2:
            _eliminate(grams[depth], rights[depth], j, grams[depth + 1], rights[depth + 1])
            depth += 1
            subset[depth] = j
            continue
        best, lost = _last_gains(grams[depth], rights[depth], j, pivot_floor, buffer)
        seen += m - j - 1
        singular += lost
        need = gains[gains.shape[0] - 1] - so_far[depth + 1] if held == gains.shape[0] else -1.0
        if best <= need:
            continue
        for k in range(j + 1, m):
            if buffer[k] > need and buffer[k] >= 0.0:
                subset[depth + 1] = k
                held = _insert(so_far[depth + 1] + buffer[k], subset, gains, subsets, held)
                if held == gains.shape[0]:
                    need = gains[held - 1] - so_far[depth + 1]
    return held, seen, singular
