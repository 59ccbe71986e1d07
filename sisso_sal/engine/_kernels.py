"""Compiled kernels of the screening: values of features, exact scores, scores of pairs. No checks here: the callers check.

Pairs are scored from matrix products, without making the features: a product a*b has the weighted moments sum (w a) b,
sum (w a^2) b^2 and sum (w r a) b, which for all pairs of some rows and some columns are matrix products. A sum or difference needs
only sum (w a) b. The products run in float32 with a bound on their error; what may reach the threshold is evaluated in float64, and
that decides.

The bound: a float32 sum of n products, each of few rounded factors, differs from the exact one by at most (n + c) 2^-24 times the
sum of the absolute products (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sec. 3.1), which by the
Cauchy-Schwarz inequality is at most the root mean square of the feature.

``reassoc``, ``contract`` and ``nsz`` let sums run in vector registers; nothing assumes away NaN or infinity, which mean invalid.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
from numba import njit

FLAGS = {"reassoc", "contract", "nsz"}
OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": FLAGS}
INNER: dict[str, Any] = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
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

ROWS, COLUMNS = 64, 256
"""Size of a tile: its factors and products stay in the second-level cache."""

TINY = np.float32(1e-24)
"""Squares below this may have lost digits to underflow."""

HUGE = np.float32(3e38)
"""A variance above this has overflowed."""

ADD, SUB, MULT, DIV, ABS_DIFF = 1, 2, 3, 4, 5

Work = namedtuple("Work", "opcodes is_row_left rows columns first stop")
"""rows[t] with each of columns[first[t]:stop[t]], as in `Pairs`; `opcodes` has the bit 2^opcode of each operator."""

Factors = namedtuple("Factors", "values squares")
"""float32 rows (n_stored, n) of largest value 1, and float64 squares (n_stored,) of what they were divided by."""

Shifted = namedtuple("Shifted", "values means first second products")
"""float32 rows (n_stored, n) of stored features less their `means` (n_stored,), and their weighted moments in one problem: first,
second (n_stored,), and products (n_targets, n_stored) with the targets.
"""

Tile = namedtuple("Tile", "first second products means")
"""Moments and means of the columns of one tile, as in `Shifted`."""

Problem = namedtuple("Problem", "weights targets factors centre error taken")
"""weights (n,), targets (n_targets, n); factors (1 + n_targets, n): weights and weights times targets; error: relative error of
float32 sums; taken: ascending scores of the features that the problem has.
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
    elif opcode == 17:
        for k in range(n):
            out[k] = np.cos(a[k])
    else:
        for k in range(n):
            out[k] = np.nan


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
def moments(values, means, factors):
    """Moments of values (n_stored, n) less their means (n_stored,), as in `Shifted`; factors (1 + n_targets, n)."""
    m, n = values.shape
    first, second = np.empty(m, np.float32), np.empty(m, np.float32)
    products = np.empty((factors.shape[0] - 1, m), np.float32)
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
    return first, second, products


@njit(**INNER)
def _fill(numbers, source, out, squares):
    """Rows `numbers` of source (n_stored, n) and their squares."""
    for a in range(numbers.shape[0]):
        i = numbers[a]
        for k in range(out.shape[1]):
            f = source[i, k]
            out[a, k] = f
            squares[a, k] = f * f


@njit(**INNER)
def _weigh(numbers, source, factors, out, squares):
    """Rows of source times each of the factors, and their squares times the first: out (n_factors * m, n), squares (m, n)."""
    m, n = numbers.shape[0], source.shape[1]
    for a in range(m):
        i = numbers[a]
        for k in range(n):
            squares[a, k] = source[i, k] * source[i, k] * factors[0, k]
        for r in range(factors.shape[0]):
            for k in range(n):
                out[r * m + a, k] = source[i, k] * factors[r, k]


@njit(**INNER)
def _range(work, start, stop):
    """The columns that the rows from start to below stop go with lie in this range."""
    low, high = work.first[start], work.stop[start]
    for t in range(start + 1, stop):
        low, high = min(low, work.first[t]), max(high, work.stop[t])
    return low, high


@njit(**INNER)
def _largest(sums, m, a):
    """Reduce the products of row a with the targets to the largest absolute value, in the first one's place."""
    for r in range(2, sums.shape[0] // m):
        for c in range(sums.shape[1]):
            sums[m + a, c] = max(abs(sums[m + a, c]), abs(sums[r * m + a, c]))


@njit(**INNER)
def _may_reach(mean, square, product, need, error, centred):
    """Whether the score of a feature with these float32 moments may reach sqrt(need)."""
    variance = square - centred * mean * mean - np.float32(3.0) * error * square
    reach = abs(product) + error * np.sqrt(square)
    return not (variance > TINY and reach * reach < need * variance)


@njit(**INNER)
def _grown(triples, scores):
    """The same with twice the room."""
    more, more_scores = np.empty((2 * len(scores), 3), dtype=np.int64), np.empty(2 * len(scores))
    for t in range(len(scores)):
        more_scores[t] = scores[t]
        for c in range(3):
            more[t, c] = triples[t, c]
    return more, more_scores


@njit(**INNER)
def _needed(top, held):
    """Square of the threshold with its sign, as float32 and rounded down."""
    limit = threshold(top, held)
    return np.float32(limit * abs(limit) - 1e-6 * limit * limit)


@njit(**INNER)
def _census(work, opcode, i, columns, span, moments, n, values, limits, row, states):
    """Count the states of the features of row i and of the columns in `span`; return nothing.

    moments: mean of the squares, a lower bound of the variance, and a bound on the error of the first, for each column. The largest
    |f| lies between the root mean square and the root of the sum of squares; where that leaves the state open, the values decide.
    """
    square, variance, error = moments
    most, least = limits.max_abs**2, limits.min_abs**2
    begin, end = span
    kept = 0
    for c in range(begin, end):
        high = (square[c] + error[c]) * (1.0 + 1e-6)
        low = (square[c] - error[c]) * (1.0 - 1e-6)
        kept += (n * high <= most) & (low >= least) & (low > 0.0) & (variance[c] > 1e-12 * high)
    states[KEPT] += kept
    if kept == end - begin:
        return
    for c in range(begin, end):
        high = (square[c] + error[c]) * (1.0 + 1e-6)
        low = (square[c] - error[c]) * (1.0 - 1e-6)
        if (n * high <= most) & (low >= least) & (low > 0.0) & (variance[c] > 1e-12 * high):
            continue
        if low > most or (n * high < least and low > 0.0):
            states[OUT_OF_BOUNDS] += 1
            continue
        left, right = (i, columns[c]) if work.is_row_left else (columns[c], i)
        evaluate(opcode, values[left], values[right], row)
        states[classify(row, limits)] += 1


@njit(**INNER)
def _decide(work, opcode, i, columns, hit, span, values, problem, limits, found, row):
    """Evaluate the features of row i and the marked columns; add those that reach the threshold to `found`."""
    top, held, triples, scores, count = found
    for c in range(span[0], span[1]):
        if not hit[c]:
            continue
        left, right = (i, columns[c]) if work.is_row_left else (columns[c], i)
        evaluate(opcode, values[left], values[right], row)
        if classify(row, limits) != KEPT:
            continue
        score = exact_score(row, problem.weights, problem.targets, problem.centre)
        if not (score >= 0.0 and score >= threshold(top, held)):
            continue
        if count == len(scores):
            triples, scores = _grown(triples, scores)
        triples[count, 0], triples[count, 1], triples[count, 2] = opcode, left, right
        scores[count] = score
        count += 1
        held = offer(top, held, score, problem.taken)
    return top, held, triples, scores, count


@njit(**OPTIONS)
def scan_products(left, right, work, values, problem, top, held, is_census, limits):
    """Products and quotients of pairs for one problem.

    left, right: `Factors` of the rows and of the columns (values or inverses); values (n_stored, n) float64; top, held: the best
    scores so far, see `offer`. Returns triples (opcode, left, right) of the features whose exact score reaches the threshold, the
    scores, and with `is_census` the numbers of features (kept, not finite, out of bounds, constant).
    """
    n, n_factors = values.shape[1], problem.factors.shape[0]
    error, centred = np.float32(problem.error), np.float32(1.0 if problem.centre else 0.0)
    row = np.empty(n)
    found = (top, held, np.empty((256, 3), dtype=np.int64), np.empty(256), 0)
    states = np.zeros(4, dtype=np.int64)
    opcode = MULT if work.opcodes == 1 << MULT else DIV
    lefts, left_squares = np.empty((n_factors * ROWS, n), np.float32), np.empty((ROWS, n), np.float32)
    rights, right_squares = np.empty((COLUMNS, n), np.float32), np.empty((COLUMNS, n), np.float32)
    hit = np.empty(COLUMNS, np.bool_)
    scales, square, variance, slack = np.empty(COLUMNS), np.empty(COLUMNS), np.empty(COLUMNS), np.empty(COLUMNS)
    sums_room, squares_room = np.empty(n_factors * ROWS * COLUMNS, np.float32), np.empty(ROWS * COLUMNS, np.float32)
    for start in range(0, work.rows.shape[0], ROWS):
        rows = work.rows[start : start + ROWS]
        m = rows.shape[0]
        low, high = _range(work, start, start + m)
        if high > low:
            _weigh(rows, left.values, problem.factors, lefts, left_squares)
        for c0 in range(low, high, COLUMNS):
            columns = work.columns[c0 : min(c0 + COLUMNS, high)]
            width = columns.shape[0]
            _fill(columns, right.values, rights, right_squares)
            for c in range(width):
                scales[c] = right.squares[columns[c]]
            sums = sums_room[: n_factors * m * width].reshape((n_factors * m, width))
            squares = squares_room[: m * width].reshape((m, width))
            np.dot(lefts[: n_factors * m], rights[:width].T, sums)
            np.dot(left_squares[:m], right_squares[:width].T, squares)
            for a in range(m):
                i = rows[a]
                begin, end = max(work.first[start + a] - c0, 0), min(work.stop[start + a] - c0, width)
                span = (begin, end)
                if is_census:
                    scale = left.squares[i]
                    for c in range(begin, end):
                        own = np.float64(squares[a, c])
                        mean = np.float64(sums[a, c])
                        size = scale * scales[c] if own > TINY else np.nan
                        square[c] = own * size
                        slack[c] = 3.0 * problem.error * square[c]
                        variance[c] = (own - mean * mean) * size - slack[c]
                    moments = (square, variance, slack)
                    _census(work, opcode, i, columns, span, moments, n, values, limits, row, states)
                if n_factors == 1:
                    continue
                _largest(sums, m, a)
                need = _needed(top, found[1])
                hits = 0
                for c in range(begin, end):
                    hit[c] = _may_reach(sums[a, c], squares[a, c], sums[m + a, c], need, error, centred)
                    hits += hit[c]
                if hits:
                    found = _decide(work, opcode, i, columns, hit, span, values, problem, limits, found, row)
    return found[2][: found[4]], found[3][: found[4]], states


@njit(**INNER)
def _difference(i, j, shifted, factors, out):
    """Products of |a_i - a_j| with each of the factors, in `out` (n_factors,)."""
    shift = np.float32(shifted.means[i] - shifted.means[j])
    left, right = shifted.values[i], shifted.values[j]
    for r in range(0, out.shape[0] - 1, 2):
        first, second = np.float32(0.0), np.float32(0.0)
        for k in range(left.shape[0]):
            f = abs(left[k] - right[k] + shift)
            first += f * factors[r, k]
            second += f * factors[r + 1, k]
        out[r], out[r + 1] = first, second
    if out.shape[0] % 2:
        last = np.float32(0.0)
        for k in range(left.shape[0]):
            last += abs(left[k] - right[k] + shift) * factors[out.shape[0] - 1, k]
        out[out.shape[0] - 1] = last


@njit(**INNER)
def _mark_sums(sign, i, cross, tile, span, shifted, error, centred, need, best, hit):
    """Mark the columns whose sum (sign 1) or difference (sign -1) with row i may reach the threshold; return how many."""
    begin, end = span
    first_i, second_i = shifted.first[i], shifted.second[i]
    for c in range(begin, end):
        best[c] = np.float32(0.0)
    for r in range(tile.products.shape[0]):
        own_product = shifted.products[r, i]
        for c in range(begin, end):
            best[c] = max(best[c], abs(own_product + sign * tile.products[r, c]))
    hits = 0
    for c in range(begin, end):
        own = second_i + tile.second[c]
        mean = first_i + sign * tile.first[c]
        variance = own + sign * np.float32(2.0) * cross[c] - centred * mean * mean - np.float32(3.0) * error * own
        reach = best[c] + error * np.sqrt(own)
        hit[c] = not (variance > TINY and variance < HUGE and reach * reach < need * variance)
        hits += hit[c]
    return hits


@njit(**INNER)
def _mark_differences(i, columns, cross, tile, span, shifted, factors, error, centred, need, sums, hit):
    """The same for absolute differences, whose means and products are summed over the samples; sums (n_factors,): room."""
    first_i, second_i = shifted.first[i], shifted.second[i]
    two, slack = np.float32(2.0), np.float32(2e-6)  # the slack is for the rounding of a_i - a_j, sample by sample
    hits = 0
    for c in range(span[0], span[1]):
        _difference(i, columns[c], shifted, factors, sums)
        product = np.float32(0.0)
        for r in range(1, sums.shape[0]):
            product = max(product, abs(sums[r]))
        shift = np.float32(shifted.means[i] - shifted.means[columns[c]])
        own = second_i + tile.second[c]
        square = own - two * cross[c] + two * (first_i - tile.first[c]) * shift + shift * shift
        size = two * two * (own + shift * shift)
        variance = square - centred * sums[0] * sums[0] - error * (own + two * square) - slack * size
        reach = product + error * np.sqrt(abs(square)) + slack * np.sqrt(size)
        hit[c] = not (variance > TINY and reach * reach < need * variance)
        hits += hit[c]
    return hits


@njit(**INNER)
def _sums_moments(opcode, i, columns, cross, tile, span, shifted, factors, bound, sums, moments):
    """For `_census`: mean squares and least variances of sums or differences with row i, and bounds on the errors of the first.

    The variance of a sum does not depend on the features' means, so that offsets cost it no digits.
    """
    square, variance, slack = moments
    sign = 1.0 if opcode == ADD else -1.0
    first_i, second_i = np.float64(shifted.first[i]), np.float64(shifted.second[i])
    for c in range(span[0], span[1]):
        own = second_i + np.float64(tile.second[c])
        mean = first_i + sign * np.float64(tile.first[c])
        shift = shifted.means[i] + sign * tile.means[c]
        centred = own + 2.0 * sign * np.float64(cross[c])
        square[c] = centred + 2.0 * mean * shift + shift * shift
        variance[c] = centred - mean * mean - 4.0 * bound * (own + mean * mean)
        slack[c] = 4.0 * bound * (own + mean * mean + shift * shift)
    if opcode == ABS_DIFF:
        for c in range(span[0], span[1]):
            _difference(i, columns[c], shifted, factors[:1], sums[:1])
            slack[c] += 4.0 * bound * square[c]
            variance[c] = square[c] - np.float64(sums[0]) ** 2 - slack[c]


@njit(**OPTIONS)
def scan_sums(shifted, work, values, problem, top, held, is_census, limits):
    """The same for sums, differences and absolute differences; shifted: the stored features, with their moments in the problem."""
    n, n_factors = values.shape[1], problem.factors.shape[0]
    error, centred = np.float32(problem.error), np.float32(1.0 if problem.centre else 0.0)
    factors = problem.factors
    row = np.empty(n)
    found = (top, held, np.empty((256, 3), dtype=np.int64), np.empty(256), 0)
    states = np.zeros(4, dtype=np.int64)
    lefts, rights, spare = (
        np.empty((ROWS, n), np.float32),
        np.empty((COLUMNS, n), np.float32),
        np.empty((COLUMNS, n), np.float32),
    )
    crosses_room = np.empty(ROWS * COLUMNS, np.float32)
    tile = Tile(
        np.empty(COLUMNS, np.float32),
        np.empty(COLUMNS, np.float32),
        np.empty((n_factors - 1, COLUMNS), np.float32),
        np.empty(COLUMNS),
    )
    best, sums, hit = np.empty(COLUMNS, np.float32), np.empty(n_factors, np.float32), np.empty(COLUMNS, np.bool_)
    moments = (np.empty(COLUMNS), np.empty(COLUMNS), np.empty(COLUMNS))
    for start in range(0, work.rows.shape[0], ROWS):
        rows = work.rows[start : start + ROWS]
        m = rows.shape[0]
        low, high = _range(work, start, start + m)
        if high > low:
            _weigh(rows, shifted.values, factors[:1], lefts, spare)
        for c0 in range(low, high, COLUMNS):
            columns = work.columns[c0 : min(c0 + COLUMNS, high)]
            width = columns.shape[0]
            _fill(columns, shifted.values, rights, spare)
            for c in range(width):
                tile.first[c], tile.second[c] = shifted.first[columns[c]], shifted.second[columns[c]]
                tile.means[c] = shifted.means[columns[c]]
                for r in range(n_factors - 1):
                    tile.products[r, c] = shifted.products[r, columns[c]]
            crosses = crosses_room[: m * width].reshape((m, width))
            np.dot(lefts[:m], rights[:width].T, crosses)
            for a in range(m):
                i, cross = rows[a], crosses[a]
                span = (max(work.first[start + a] - c0, 0), min(work.stop[start + a] - c0, width))
                if span[0] >= span[1]:
                    continue
                for opcode in (ADD, SUB, ABS_DIFF):
                    if not (work.opcodes >> opcode) & 1:
                        continue
                    if is_census:
                        _sums_moments(
                            opcode, i, columns, cross, tile, span, shifted, factors, problem.error, sums, moments
                        )
                        _census(work, opcode, i, columns, span, moments, n, values, limits, row, states)
                    if n_factors == 1:
                        continue
                    need = _needed(top, found[1])
                    if opcode == ABS_DIFF:
                        hits = _mark_differences(
                            i, columns, cross, tile, span, shifted, factors, error, centred, need, sums, hit
                        )
                    else:
                        sign = np.float32(1.0 if opcode == ADD else -1.0)
                        hits = _mark_sums(sign, i, cross, tile, span, shifted, error, centred, need, best, hit)
                    if hits:
                        found = _decide(work, opcode, i, columns, hit, span, values, problem, limits, found, row)
    return found[2][: found[4]], found[3][: found[4]], states
