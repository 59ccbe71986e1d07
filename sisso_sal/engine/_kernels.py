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

Stored = namedtuple("Stored", "values inverses masks")
"""values, inverses (n_stored, n) float64; masks (n_stored, n_words): bits of the primaries in each stored feature."""

Limits = namedtuple("Limits", "min_abs max_abs constants centre error")
"""Smallest and largest admitted max|f|; whether constant features are admitted; whether features are centred (a fit with
intercept); relative error of float32 sums."""

Columns = namedtuple("Columns", "weights targets weight_of first_target masks")
"""Right-hand sides of a screening pass: float64 rows (n_weights, n) and (n_targets, n), or their float32 transposes.

weights, targets: normalised weights of the problems that have some, and weights times normalised
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
def _evaluate_fast(opcode, i, j, stored, row):
    """Values of one feature in `row` (n,), their sum and their sum of squares.

    A quotient is a product with the inverse, which may differ in the last digit: enough to choose, not to decide.
    """
    values, inverses = stored.values, stored.inverses
    n = row.shape[0]
    total, square = 0.0, 0.0
    if opcode == 1:
        for k in range(n):
            f = values[i, k] + values[j, k]
            row[k] = f
            total += f
            square += f * f
    elif opcode == 2:
        for k in range(n):
            f = values[i, k] - values[j, k]
            row[k] = f
            total += f
            square += f * f
    elif opcode == 3:
        for k in range(n):
            f = values[i, k] * values[j, k]
            row[k] = f
            total += f
            square += f * f
    elif opcode == 4:
        for k in range(n):
            f = values[i, k] * inverses[j, k]
            row[k] = f
            total += f
            square += f * f
    elif opcode == 5:
        for k in range(n):
            f = abs(values[i, k] - values[j, k])
            row[k] = f
            total += f
            square += f * f
    else:
        evaluate(opcode, values[i], values[j], row)
        for k in range(n):
            total += row[k]
            square += row[k] * row[k]
    return total, square


@njit(**_OPTIONS)
def _classify(row, limits):
    """State, mean and centred sum of squares of a feature's exact values (n,)."""
    n = row.shape[0]
    # As integers, the bits of |f| keep the order of the numbers, with infinity and NaN on top.
    bits = row.view(np.int64)
    top = np.int64(0)
    for k in range(n):
        top = max(top, bits[k] & np.int64(0x7FFFFFFFFFFFFFFF))
    if top >= np.int64(0x7FF0000000000000):
        return NOT_FINITE, 0.0, 1.0
    largest = 0.0
    for k in range(n):
        largest = max(largest, abs(row[k]))
    if largest < limits.min_abs or largest > limits.max_abs:
        return OUT_OF_BOUNDS, 0.0, 1.0
    mean, square = 0.0, 0.0
    for k in range(n):
        mean += row[k]
    mean /= n
    for k in range(n):
        square += (row[k] - mean) * (row[k] - mean)
    if square <= n * (FLAT * largest) ** 2 and not limits.constants:
        return CONSTANT, 0.0, 1.0
    if not limits.centre:
        square += n * mean * mean
        mean = 0.0
        if square == 0.0:
            return CONSTANT, 0.0, 1.0
    return KEPT, mean, square


@njit(**_OPTIONS)
def _measure(features, t, stored, limits, row):
    """Values of feature t in `row`; its state, mean, centred sum of squares and plain sum of squares.

    The two sums decide where they can: the largest |f| lies between the root mean square and the root of the sum of squares. Where
    they cannot, the exact values are looked at.
    """
    i, j = features.left[t], features.right[t]
    total, square = _evaluate_fast(features.opcode, i, j, stored, row)
    n = row.shape[0]
    mean = total / n
    centred = square - total * mean
    if (
        square <= (limits.max_abs * (1.0 - 1e-9)) ** 2
        and square >= n * (limits.min_abs * (1.0 + 1e-9)) ** 2
        and centred > 1e-6 * square
    ):
        if limits.centre:
            return KEPT, mean, centred, square
        return KEPT, 0.0, square, square
    evaluate(features.opcode, stored.values[i], stored.values[j], row)
    state, mean, centred = _classify(row, limits)
    return state, mean, centred, centred + n * mean * mean


@njit(**_OPTIONS)
def _is_forbidden(left, right, masks, forbidden):
    for word in range(masks.shape[1]):
        if (masks[left, word] | masks[right, word]) & forbidden[word] != 0:
            return True
    return False


@njit(**_OPTIONS)
def _choose_directly(features, stored, columns, thresholds, limits, n_states):
    """Pairs (feature, problem) whose score may reach the problem's threshold, by float64 sums: for few right-hand sides.

    columns.weights (n_weights, n) and columns.targets (n_targets, n) are rows here.
    """
    n, n_problems = stored.values.shape[1], thresholds.shape[0]
    row = np.empty(n)
    pairs = np.empty((features.left.shape[0] * n_problems, 2), dtype=np.int64)
    found = 0
    for t in range(features.left.shape[0]):
        state, _, centred, plain = _measure(features, t, stored, limits, row)
        n_states[state] += 1
        if state != KEPT:
            continue
        for p in range(n_problems):
            square, variance = plain / n, centred / n
            column = columns.weight_of[p]
            if column >= 0:
                first, square = 0.0, 0.0
                for k in range(n):
                    f = columns.weights[column, k] * row[k]
                    first += f
                    square += f * row[k]
                variance = square - first * first if limits.centre else square
            best = 0.0
            for r in range(columns.first_target[p], columns.first_target[p + 1]):
                product = 0.0
                for k in range(n):
                    product += row[k] * columns.targets[r, k]
                best = max(best, abs(product))
            best += limits.error * np.sqrt(square)
            variance -= 3.0 * limits.error * square
            if variance > 0.0 and best * best < thresholds[p] * abs(thresholds[p]) * variance:
                continue
            if not _is_forbidden(features.left[t], features.right[t], stored.masks, columns.masks[p]):
                pairs[found, 0] = t
                pairs[found, 1] = p
                found += 1
    return pairs[:found]


@njit(**_OPTIONS)
def _fill(features, stored, limits, values, squares):
    """float32 values (m, n) of a block's features, centred and of unit mean square, and their squares; zero where not KEPT."""
    m, n = features.left.shape[0], stored.values.shape[1]
    state = np.empty(m, dtype=np.int8)
    row = np.empty(n)
    for t in range(m):
        state[t], mean, centred, _ = _measure(features, t, stored, limits, row)
        scale = np.sqrt(n / centred) if state[t] == KEPT else 0.0
        if scale == 0.0:
            row[:] = 0.0
        for k in range(n):
            f = np.float32((row[k] - mean) * scale)
            values[t, k] = f
            squares[t, k] = f * f
    return state


@njit(**_OPTIONS)
def _reaches(first, second, third, columns, thresholds, limits, out):
    """Whether the score of one feature may reach the threshold of each problem, in `out` (n_problems,); how many may.

    first, second (n_weights,), third (n_targets,): the feature's products with the right-hand sides.
    """
    count = 0
    error = limits.error
    for p in range(thresholds.shape[0]):
        square, variance = 1.0, 1.0 - 3.0 * error
        column = columns.weight_of[p]
        if column >= 0:
            square = second[column]
            variance = square - (first[column] * first[column] if limits.centre else 0.0) - 3.0 * error * square
        best = 0.0
        for r in range(columns.first_target[p], columns.first_target[p + 1]):
            best = max(best, abs(third[r]))
        best += error * np.sqrt(square)
        out[p] = variance <= 0.0 or best * best >= thresholds[p] * abs(thresholds[p]) * variance
        count += out[p]
    return count


@njit(**_OPTIONS)
def _choose(features, stored, columns, thresholds, limits, n_states):
    """Pairs (feature, problem) whose score may reach the problem's threshold, by float32 matrix products.

    columns.weights (n, n_weights) and columns.targets (n, n_targets). The products carry a relative error of at most `limits.error`
    times the root mean square of f, so a pair that float64 would keep is never lost.
    """
    m, n = features.left.shape[0], stored.values.shape[1]
    n_problems = thresholds.shape[0]
    values, squares = np.empty((m, n), dtype=np.float32), np.empty((m, n), dtype=np.float32)
    state = _fill(features, stored, limits, values, squares)
    first = np.dot(values, columns.weights)
    second = np.dot(squares, columns.weights)
    third = np.dot(values, columns.targets)
    pairs = np.empty((m * n_problems, 2), dtype=np.int64)
    reaches = np.empty(n_problems, dtype=np.bool_)
    found = 0
    for t in range(m):
        n_states[state[t]] += 1
        if state[t] != KEPT or _reaches(first[t], second[t], third[t], columns, thresholds, limits, reaches) == 0:
            continue
        for p in range(n_problems):
            if reaches[p] and not _is_forbidden(features.left[t], features.right[t], stored.masks, columns.masks[p]):
                pairs[found, 0] = t
                pairs[found, 1] = p
                found += 1
    return pairs[:found]


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
def _decide(chosen, features, stored, exact, thresholds, centre):
    """Of chosen pairs those whose exact score reaches the threshold, and the scores."""
    found = _exact_scores(chosen, features, stored.values, exact, centre)
    good = np.empty(found.shape[0], dtype=np.bool_)
    for i in range(found.shape[0]):
        good[i] = found[i] >= 0.0 and found[i] >= thresholds[chosen[i, 1]]
    return chosen[good], found[good]


@njit(**_OPTIONS)
def scan_directly(features, stored, columns, exact, thresholds, limits):
    """One pass over a block of features by float64 sums.

    Returns the numbers of features (kept, not finite, out of bounds, constant), and for every feature and problem whose exact score
    reaches the problem's threshold the pair (feature, problem) and the score.
    """
    n_states = np.zeros(4, dtype=np.int64)
    chosen = _choose_directly(features, stored, columns, thresholds, limits, n_states)
    pairs, scores = _decide(chosen, features, stored, exact, thresholds, limits.centre)
    return n_states, pairs, scores


@njit(**_OPTIONS)
def scan(features, stored, columns, exact, thresholds, limits, rows):
    """The same by float32 matrix products, `rows` features at a time so that their values stay in cache."""
    m = features.left.shape[0]
    n_states = np.zeros(4, dtype=np.int64)
    pairs = np.empty((0, 2), dtype=np.int64)
    scores = np.empty(0)
    for start in range(0, m, rows):
        stop = min(start + rows, m)
        part = Features(features.opcode, features.left[start:stop], features.right[start:stop])
        chosen = _choose(part, stored, columns, thresholds, limits, n_states)
        good, found = _decide(chosen, part, stored, exact, thresholds, limits.centre)
        good[:, 0] += start
        pairs = np.concatenate((pairs, good))
        scores = np.concatenate((scores, found))
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


@njit(**_OPTIONS)
def _project(gram, rhs, i, pivot_diagonal, pivot_rhs):
    """Diagonal and right-hand side of the features after i, with feature i projected out."""
    inverse = 1.0 / gram[i, i]
    for k in range(i + 1, rhs.shape[0]):
        pivot_diagonal[k] = gram[k, k] - gram[i, k] * gram[i, k] * inverse
        pivot_rhs[k] = rhs[k] - gram[i, k] * rhs[i] * inverse


@njit(**_OPTIONS)
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
