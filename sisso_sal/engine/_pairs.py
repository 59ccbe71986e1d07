"""Compiled kernels that mark pairs whose score may reach a threshold. No checks here: the callers check.

Pairs are scored from matrix products, without making the features: a product a*b has the weighted moments sum (w a) b,
sum (w a^2) b^2 and sum (w r a) b, which for all pairs of some rows and some columns are matrix products. A sum or difference needs
only sum (w a) b. The products run in float32 with a bound on their error. What may reach the threshold is marked; float64 decides
about it, see `_scores.decide`.

The bound: a float32 sum of n products, each of few rounded factors, differs from the exact one by at most (n + c) 2^-24 times the
sum of the absolute products (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sec. 3.1), which by the
Cauchy-Schwarz inequality is at most the root mean square of the feature.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, OPTIONS

KEPT, OUT_OF_BOUNDS = 0, 2
"""States of features that float32 can tell, as in `_scores`."""

TINY = np.float32(1e-24)
"""Squares below this may have lost digits to underflow."""

HUGE = np.float32(3e38)
"""A variance above this has overflowed."""

Work = namedtuple("Work", "operators is_row_left rows columns first stop tile")
"""rows[t] with each of columns[first[t]:stop[t]], as in `Pairs`. operators: their opcodes, the signs of the second operands and
whether the absolute value is taken. tile: numbers of rows and of columns that are looked at together.
"""

Factors = namedtuple("Factors", "values squares")
"""float32 rows (n_stored, n) of largest value 1, and float64 squares (n_stored,) of what they were divided by."""

Shifted = namedtuple("Shifted", "values means first second products")
"""float32 rows (n_stored, n) of stored features less their `means` (n_stored,), and their weighted moments in one problem: first,
second (n_stored,), and products (n_targets, n_stored) with the targets.
"""

Tile = namedtuple("Tile", "columns first second products means")
"""Numbers of the columns of one tile, and their moments and means as in `Shifted`."""

Reach = namedtuple("Reach", "factors error centre need")
"""When a feature may reach the threshold of a problem. factors (1 + n_targets, n): weights and weights times targets; error:
relative error of float32 sums; centre: whether there is an intercept; need: see `_scores.needed`.
"""

Census = namedtuple("Census", "is_wanted least most")
"""Whether the states of all features are counted, and the squares of the smallest and largest admitted max|f|."""

Marks = namedtuple("Marks", "hits open states counts at quota")
"""What a sweep marks: hits and open (3, capacity), the triples (opcode, left, right) that may reach the threshold, and those whose
state float32 leaves open; states (4,): numbers of features of each state; counts (2,): triples in hits and open; at (3,): where the
next call goes on: first row of the strip, first column of the tile, row in it; quota: number of triples with which a call ends.
"""

ProductsRoom = namedtuple("ProductsRoom", "lefts left_squares rights right_squares sums squares scales hit moments")
"""Room for one tile, float32: weighted rows (n_factors * height, n), their squares (height, n), columns (width, n) and their
squares, and the matrix products, flat. scales (width,): squares of what the columns were divided by; hit (width,): flags; moments:
three float64 (width,), see `_judge`.
"""

SumsRoom = namedtuple(
    "SumsRoom", "lefts left_squares rights spare crosses first second products means best sums hit moments"
)
"""The same for sums: weighted rows, their squares, columns, spare room (width, n), and the matrix product, flat. first, second,
products, means: see `Tile`; best (width,), sums (n_factors,): room for products with the targets.
"""


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
def _note(opcode, i, columns, is_row_left, flags, span, triples, count):
    """Add the features of row i and the flagged columns to the triples; return how many these are then."""
    for c in range(span[0], span[1]):
        if flags[c]:
            triples[0, count] = opcode
            triples[1, count], triples[2, count] = (i, columns[c]) if is_row_left else (columns[c], i)
            count += 1
    return count


@njit(**INNER)
def _judge(span, moments, n, census, states, flags):
    """Count the states of the features of a row, and flag those whose state is left open; return how many these are.

    moments: mean of the squares, a lower bound of the variance, and a bound on the error of the first, for each column. The largest
    |f| lies between the root mean square and the root of the sum of squares.
    """
    square, variance, error = moments
    most, least = census.most, census.least
    kept = 0
    for c in range(span[0], span[1]):
        high = (square[c] + error[c]) * (1.0 + 1e-6)
        low = (square[c] - error[c]) * (1.0 - 1e-6)
        kept += (n * high <= most) & (low >= least) & (low > 0.0) & (variance[c] > 1e-12 * high)
    states[KEPT] += kept
    if kept == span[1] - span[0]:
        return 0
    n_open = 0
    for c in range(span[0], span[1]):
        high = (square[c] + error[c]) * (1.0 + 1e-6)
        low = (square[c] - error[c]) * (1.0 - 1e-6)
        is_kept = (n * high <= most) & (low >= least) & (low > 0.0) & (variance[c] > 1e-12 * high)
        is_outside = low > most or (n * high < least and low > 0.0)
        states[OUT_OF_BOUNDS] += is_outside and not is_kept
        flags[c] = not (is_kept or is_outside)
        n_open += flags[c]
    return n_open


@njit(**INNER)
def _is_full(marks):
    """Whether it is time to decide about what is marked; there is always room for another row."""
    return max(marks.counts[0], marks.counts[1]) >= marks.quota


@njit(**INNER)
def _multiply(columns, right, sums, squares, room):
    """Matrix products of a strip of m rows with the columns: for each factor (n_factors * m, width), of squares (m, width)."""
    _fill(columns, right.values, room.rights, room.right_squares)
    np.dot(room.lefts[: sums.shape[0]], room.rights[: len(columns)].T, sums)
    np.dot(room.left_squares[: squares.shape[0]], room.right_squares[: len(columns)].T, squares)
    for c in range(len(columns)):
        room.scales[c] = right.squares[columns[c]]


@njit(**INNER)
def _mark_products(a, sums, squares, span, reach, hit):
    """Mark the columns whose product with row a may reach the threshold; return how many."""
    error, centred = np.float32(reach.error), np.float32(1.0 if reach.centre else 0.0)
    need, m = np.float32(reach.need), squares.shape[0]
    for r in range(2, reach.factors.shape[0]):
        for c in range(sums.shape[1]):
            sums[m + a, c] = max(abs(sums[m + a, c]), abs(sums[r * m + a, c]))
    hits = 0
    for c in range(span[0], span[1]):
        mean, square = sums[a, c], squares[a, c]
        variance = square - centred * mean * mean - np.float32(3.0) * error * square
        most = abs(sums[m + a, c]) + error * np.sqrt(square)
        hit[c] = not (variance > TINY and most * most < need * variance)
        hits += hit[c]
    return hits


@njit(**INNER)
def _products_moments(sums, squares, span, scale, scales, error, moments):
    """For `_judge`, from one row of the matrix products; scale, scales (width,): squares of what the factors were divided by."""
    square, variance, slack = moments
    for c in range(span[0], span[1]):
        own, mean = np.float64(squares[c]), np.float64(sums[c])
        size = scale * scales[c] if own > TINY else np.nan
        square[c] = own * size
        slack[c] = 3.0 * error * square[c]
        variance[c] = (own - mean * mean) * size - slack[c]


@njit(**INNER)
def _look_at_products(row, columns, products, room, work, reach, census, marks):
    """Count and mark the products of one row, (place, number, span, square of its divisor), with the columns of a tile."""
    (a, i, span, scale), (sums, squares), hit = row, products, room.hit
    opcode = work.operators[0][0]
    if census.is_wanted:
        _products_moments(sums[a], squares[a], span, scale, room.scales, reach.error, room.moments)
        if _judge(span, room.moments, reach.factors.shape[1], census, marks.states, hit):
            marks.counts[1] = _note(opcode, i, columns, work.is_row_left, hit, span, marks.open, marks.counts[1])
    if reach.factors.shape[0] > 1 and _mark_products(a, sums, squares, span, reach, hit):
        marks.counts[0] = _note(opcode, i, columns, work.is_row_left, hit, span, marks.hits, marks.counts[0])


@njit(**OPTIONS)
def sweep_products(left, right, work, reach, census, marks, room):
    """Mark products or quotients of pairs for one problem; return whether all pairs were looked at.

    left, right: `Factors` of the rows and of the columns (values or inverses). Returns after the row with which the marks reach
    their quota; the next call goes on there, with what is in `room`.
    """
    n_factors, (height, width) = reach.factors.shape[0], work.tile
    for start in range(marks.at[0], len(work.rows), height):
        rows = work.rows[start : start + height]
        low, high = _range(work, start, start + len(rows))
        low = max(low, marks.at[1])
        if low < high and marks.at[2] == 0:
            _weigh(rows, left.values, reach.factors, room.lefts, room.left_squares)
        for c0 in range(low, high, width):
            columns, m = work.columns[c0 : min(c0 + width, high)], len(rows)
            sums = room.sums[: n_factors * m * len(columns)].reshape((n_factors * m, len(columns)))
            squares = room.squares[: m * len(columns)].reshape((m, len(columns)))
            if marks.at[2] == 0:
                _multiply(columns, right, sums, squares, room)
            for a in range(marks.at[2], m):
                span = (max(work.first[start + a] - c0, 0), min(work.stop[start + a] - c0, len(columns)))
                if span[0] < span[1]:
                    row = (a, rows[a], span, left.squares[rows[a]])
                    _look_at_products(row, columns, (sums, squares), room, work, reach, census, marks)
                    if _is_full(marks):
                        marks.at[0], marks.at[1], marks.at[2] = start, c0, a + 1
                        return False
            marks.at[2] = 0
        marks.at[1] = 0
    return True


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
def _mark_sums(sign, row, tile, shifted, reach, best, hit):
    """Mark the columns whose sum (sign 1) or difference (sign -1) with row (number, products, span) may reach the threshold."""
    i, cross, span = row
    error, centred = np.float32(reach.error), np.float32(1.0 if reach.centre else 0.0)
    need = np.float32(reach.need)
    first_i, second_i = shifted.first[i], shifted.second[i]
    begin, end = span
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
        most = best[c] + error * np.sqrt(own)
        hit[c] = not (variance > TINY and variance < HUGE and most * most < need * variance)
        hits += hit[c]
    return hits


@njit(**INNER)
def _mark_differences(row, tile, shifted, reach, sums, hit):
    """The same for absolute differences, whose means and products are summed over the samples; sums (n_factors,): room."""
    i, cross, span = row
    error, centred = np.float32(reach.error), np.float32(1.0 if reach.centre else 0.0)
    need = np.float32(reach.need)
    first_i, second_i = shifted.first[i], shifted.second[i]
    two, slack = np.float32(2.0), np.float32(2e-6)  # the slack is for the rounding of a_i - a_j, sample by sample
    hits = 0
    for c in range(span[0], span[1]):
        _difference(i, tile.columns[c], shifted, reach.factors, sums)
        product = np.float32(0.0)
        for r in range(1, sums.shape[0]):
            product = max(product, abs(sums[r]))
        shift = np.float32(shifted.means[i] - shifted.means[tile.columns[c]])
        own = second_i + tile.second[c]
        square = own - two * cross[c] + two * (first_i - tile.first[c]) * shift + shift * shift
        size = two * two * (own + shift * shift)
        variance = square - centred * sums[0] * sums[0] - error * (own + two * square) - slack * size
        most = product + error * np.sqrt(abs(square)) + slack * np.sqrt(size)
        hit[c] = not (variance > TINY and most * most < need * variance)
        hits += hit[c]
    return hits


@njit(**INNER)
def _sums_moments(sign, row, tile, shifted, bound, moments):
    """For `_judge`: mean squares and least variances of sums or differences with row, and bounds on the errors of the first.

    The variance of a sum does not depend on the features' means, so that offsets cost it no digits.
    """
    i, cross, span = row
    square, variance, slack = moments
    first_i, second_i = np.float64(shifted.first[i]), np.float64(shifted.second[i])
    for c in range(span[0], span[1]):
        own = second_i + np.float64(tile.second[c])
        mean = first_i + sign * np.float64(tile.first[c])
        shift = shifted.means[i] + sign * tile.means[c]
        centred = own + 2.0 * sign * np.float64(cross[c])
        square[c] = centred + 2.0 * mean * shift + shift * shift
        variance[c] = centred - mean * mean - 4.0 * bound * (own + mean * mean)
        slack[c] = 4.0 * bound * (own + mean * mean + shift * shift)


@njit(**INNER)
def _differences_moments(row, tile, shifted, reach, sums, moments):
    """For `_judge`: what `_sums_moments` found of differences, changed to what holds for absolute ones."""
    i, _, span = row
    square, variance, slack = moments
    for c in range(span[0], span[1]):
        _difference(i, tile.columns[c], shifted, reach.factors[:1], sums[:1])
        slack[c] += 4.0 * reach.error * square[c]
        variance[c] = square[c] - np.float64(sums[0]) ** 2 - slack[c]


@njit(**INNER)
def _cross(columns, shifted, crosses, room):
    """Weighted products of a strip of m rows with the columns, crosses (m, width), and the moments of the columns in `room`."""
    _fill(columns, shifted.values, room.rights, room.spare)
    np.dot(room.lefts[: crosses.shape[0]], room.rights[: len(columns)].T, crosses)
    for c in range(len(columns)):
        room.first[c], room.second[c] = shifted.first[columns[c]], shifted.second[columns[c]]
        room.means[c] = shifted.means[columns[c]]
        for r in range(room.products.shape[0]):
            room.products[r, c] = shifted.products[r, columns[c]]


@njit(**INNER)
def _look_at_sums(row, tile, room, shifted, work, reach, census, marks):
    """Count and mark the sums and differences of one row, (number, products, span), with the columns of a tile."""
    (i, _, span), hit = row, room.hit
    opcodes, signs, absolute = work.operators
    for o in range(len(opcodes)):
        if census.is_wanted:
            _sums_moments(signs[o], row, tile, shifted, reach.error, room.moments)
            if absolute[o]:
                _differences_moments(row, tile, shifted, reach, room.sums, room.moments)
            if _judge(span, room.moments, reach.factors.shape[1], census, marks.states, hit):
                marks.counts[1] = _note(
                    opcodes[o], i, tile.columns, work.is_row_left, hit, span, marks.open, marks.counts[1]
                )
        if reach.factors.shape[0] == 1:
            continue
        if absolute[o]:
            hits = _mark_differences(row, tile, shifted, reach, room.sums, hit)
        else:
            hits = _mark_sums(np.float32(signs[o]), row, tile, shifted, reach, room.best, hit)
        if hits:
            marks.counts[0] = _note(
                opcodes[o], i, tile.columns, work.is_row_left, hit, span, marks.hits, marks.counts[0]
            )


@njit(**OPTIONS)
def sweep_sums(shifted, work, reach, census, marks, room):
    """The same for sums, differences and absolute differences; shifted: the stored features, with their moments in the problem."""
    height, width = work.tile
    for start in range(marks.at[0], len(work.rows), height):
        rows = work.rows[start : start + height]
        low, high = _range(work, start, start + len(rows))
        low = max(low, marks.at[1])
        if low < high and marks.at[2] == 0:
            _weigh(rows, shifted.values, reach.factors[:1], room.lefts, room.left_squares)
        for c0 in range(low, high, width):
            columns, m = work.columns[c0 : min(c0 + width, high)], len(rows)
            crosses = room.crosses[: m * len(columns)].reshape((m, len(columns)))
            if marks.at[2] == 0:
                _cross(columns, shifted, crosses, room)
            tile = Tile(columns, room.first, room.second, room.products, room.means)
            for a in range(marks.at[2], m):
                span = (max(work.first[start + a] - c0, 0), min(work.stop[start + a] - c0, len(columns)))
                if span[0] < span[1]:
                    _look_at_sums((rows[a], crosses[a], span), tile, room, shifted, work, reach, census, marks)
                    if _is_full(marks):
                        marks.at[0], marks.at[1], marks.at[2] = start, c0, a + 1
                        return False
            marks.at[2] = 0
        marks.at[1] = 0
    return True
