"""Compiled kernels that mark pairs whose score may reach a threshold. No checks here: the callers check.

A product a*b has the weighted moments sum (w a) b, sum (w a^2) b^2 and sum (w r a) b, which for all pairs of some rows and columns
are matrix products. A sum or difference needs only sum (w a) b. The products run in float32 with a bound on their error. What may
reach the threshold is marked; float64 decides about it, see `_scores.decide`.

The bound: a float32 sum of n products, each of few rounded factors, differs from the exact one by at most (n + c) 2^-24 times the
sum of the absolute products (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sec. 3.1), which by the
Cauchy-Schwarz inequality is at most the root mean square of the feature.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, INNER_VIEWS, VIEWS

KEPT, OUT_OF_BOUNDS = 0, 2
"""States of features that float32 can tell, as in `_scores`."""

TINY = np.float32(1e-24)
"""Squares below this may have lost digits to underflow."""

LANES = 16
"""Samples that the sums over |a_i - a_j| take at a time."""

WIDER, SPREAD = np.float32(1.0 + 2.0**-11), np.float32(1.0 + 2.0**11)
"""(p + e)^2 <= WIDER p^2 + SPREAD e^2, as 2 p e <= p^2/2^11 + 2^11 e^2: a product with a bound on its error, without a root."""

HUGE = np.float32(3e38)
"""A variance above this has overflowed."""

Work = namedtuple("Work", "operators is_row_left rows columns first stop bounds tile")
"""Pairs of several jobs, each for one problem: rows[t] with each of columns[first[t]:stop[t]], as in `Pairs`.

The rows of job u are those from bounds[0, u] to below bounds[0, u + 1], and so are first and stop; bounds[1] says the same of its
columns. operators: their opcodes, the signs of the second operands and whether the absolute value is taken. tile: numbers of rows
and of columns that are looked at together.
"""

Factors = namedtuple("Factors", "values squares")
"""float32 rows (n_stored, n) of largest value 1, and float64 squares (n_stored,) of what they were divided by."""

Shifted = namedtuple("Shifted", "values means first second products")
"""float32 rows (n_stored, n_samples) of stored features less their `means` (n_stored,), and their weighted moments in one problem:
first, second (n_stored,), and products (n_targets, n_stored) with the targets; or those of several jobs, on a first axis.
"""

Tile = namedtuple("Tile", "columns first second products means")
"""Numbers of the columns of one tile, and their moments and means as in `Shifted`."""

Reach = namedtuple("Reach", "samples factors error need centre")
"""When a feature may reach the threshold of a problem. samples (n,): those of positive weight, or all if n is at least n_samples;
factors (1 + n_targets, n): weights and weights times targets, zero where n is more than there are; error: relative error of float32
sums; need: see `_scores.needed`; centre: whether there is an intercept. Of several jobs all but the last have a first axis.
"""

Census = namedtuple("Census", "is_wanted least most")
"""Whether the states of all features are counted, in each job; and the squares of the smallest and largest admitted max|f|."""

Marks = namedtuple("Marks", "hits open states counts at quota")
"""What a sweep marks: hits and open (3, capacity), the triples (opcode, left, right) that may reach the threshold, and those whose
state float32 leaves open; states (4,): numbers of features of each state; counts (2,): triples in hits and open; at (3,): where the
next call goes on: first row of the strip, first column of the tile, row in it; quota: number of triples with which a call ends.
Of several jobs hits, open, counts and at have a first axis.
"""

Jobs = namedtuple("Jobs", "work reach census marks")
"""What one call of a sweep is about."""

ProductsRoom = namedtuple(
    "ProductsRoom", "rows lefts left_squares rights right_squares sums squares scales hit moments"
)
"""Room for one tile, float32: rows (height, n), weighted rows (n_factors * height, n), squares (height, n), columns (width, n) and
their squares, and the matrix products, flat. scales (width,): squares of what the columns were divided by; hit (width,): flags;
moments: three float64 (width,), see `_judge`.
"""

SumsRoom = namedtuple("SumsRoom", "rows lefts rights crosses first second products means best sums hit moments")
"""The same for sums. first, second, products, means: see `Tile`; best (width,), sums (n_factors,): products with the targets."""


@njit(**INNER_VIEWS, inline="always")
def _job(u, jobs):
    """What belongs to job u alone."""
    work, reach, census, marks = jobs
    first, last = work.bounds[0, u], work.bounds[0, u + 1]
    columns = work.columns[work.bounds[1, u] : work.bounds[1, u + 1]]
    rows, starts, stops = work.rows[first:last], work.first[first:last], work.stop[first:last]
    return (
        Work(work.operators, work.is_row_left, rows, columns, starts, stops, work.bounds, work.tile),
        Reach(reach.samples[u], reach.factors[u], reach.error[u], reach.need[u], reach.centre),
        Census(census.is_wanted[u], census.least, census.most),
        Marks(marks.hits[u], marks.open[u], marks.states, marks.counts[u], marks.at[u], marks.quota),
    )


@njit(**INNER_VIEWS)
def _fill(numbers, source, samples, out):
    """Rows `numbers` of source (n_stored, n_samples) at the samples (n,), filled up with zeros: out (m, n)."""
    n = samples.shape[0]
    for a in range(numbers.shape[0]):
        row, picked = source[numbers[a]], out[a]
        if n < row.shape[0]:
            for k in range(n):
                picked[k] = row[samples[k]]
        else:
            for k in range(row.shape[0]):
                picked[k] = row[k]
            for k in range(row.shape[0], n):
                picked[k] = 0.0


@njit(**INNER_VIEWS)
def _weigh(rows, factors, out):
    """Rows (m, n) times each of the factors (n_factors, n): out (n_factors * m, n)."""
    m = rows.shape[0]
    for a in range(m):
        for r in range(factors.shape[0]):
            for k in range(factors.shape[1]):
                out[r * m + a, k] = rows[a, k] * factors[r, k]


@njit(**INNER_VIEWS)
def _range(work, start, stop):
    """The columns that the rows from start to below stop go with lie in this range."""
    low, high = work.first[start], work.stop[start]
    for t in range(start + 1, stop):
        low, high = min(low, work.first[t]), max(high, work.stop[t])
    return low, high


@njit(**INNER_VIEWS)
def _note(opcode, i, columns, is_row_left, flags, span, triples, count):
    """Add the features of row i and the flagged columns to the triples; return how many these are then."""
    for c in range(span[0], span[1]):
        if flags[c]:
            triples[0, count] = opcode
            triples[1, count], triples[2, count] = (i, columns[c]) if is_row_left else (columns[c], i)
            count += 1
    return count


@njit(**INNER_VIEWS)
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
def _dot(rows, columns, out):
    """Products of each of rows (m, n) with each of columns (width, n), in out (m, width)."""
    np.dot(rows, columns.T, out)


@njit(**INNER_VIEWS)
def _multiply(columns, right, reach, sums, squares, room):
    """Matrix products of a strip of m rows with the columns: for each factor (n_factors * m, width), of squares (m, width)."""
    width = len(columns)
    _fill(columns, right.values, reach.samples, room.rights)
    for c in range(width):
        for k in range(room.rights.shape[1]):
            room.right_squares[c, k] = room.rights[c, k] * room.rights[c, k]
        room.scales[c] = right.squares[columns[c]]
    _dot(room.lefts[: sums.shape[0]], room.rights[:width], sums)
    _dot(room.left_squares[: squares.shape[0]], room.right_squares[:width], squares)


@njit(**INNER_VIEWS, inline="always")
def _mark_products(a, sums, squares, span, reach, hit):
    """Mark the columns whose product with row a may reach the threshold; return whether there are any."""
    error, need, centred = np.float32(reach.error), np.float32(reach.need), np.float32(1.0 if reach.centre else 0.0)
    m, (begin, end) = squares.shape[0], span
    # Slices start at 0, so that the loops over them run in vector registers.
    means, own, best, flags = sums[a, begin:end], squares[a, begin:end], sums[m + a, begin:end], hit[begin:end]
    for r in range(2, reach.factors.shape[0]):
        products = sums[r * m + a, begin:end]
        for c in range(len(products)):
            best[c] = max(abs(best[c]), abs(products[c]))
    spread, found = SPREAD * error * error, False
    for c in range(len(means)):
        mean, square = means[c], own[c]
        variance = square - centred * mean * mean - np.float32(3.0) * error * square
        most = WIDER * best[c] * best[c] + spread * square
        is_hit = not ((variance > TINY) & (most < need * variance))
        flags[c] = is_hit
        found |= is_hit
    return found


@njit(**INNER_VIEWS)
def _products_moments(sums, squares, span, scale, scales, error, moments):
    """For `_judge`, from one row of the matrix products; scale, scales (width,): squares of what the factors were divided by."""
    square, variance, slack = moments
    for c in range(span[0], span[1]):
        own, mean = np.float64(squares[c]), np.float64(sums[c])
        size = scale * scales[c] if own > TINY else np.nan
        square[c] = own * size
        slack[c] = 3.0 * error * square[c]
        variance[c] = (own - mean * mean) * size - slack[c]


@njit(**INNER_VIEWS, inline="always")
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


@njit(**VIEWS)
def sweep_products(left, right, jobs, room):
    """Mark products or quotients; left, right: `Factors` of the rows and of the columns (values or inverses).

    A job ends when its marks reach their quota; the next call goes on there.
    """
    n_factors, (height, width) = jobs.reach.factors.shape[1], jobs.work.tile
    for u in range(len(jobs.reach.need)):
        work, reach, census, marks = _job(u, jobs)
        is_full = False
        for start in range(marks.at[0], len(work.rows), height):
            rows = work.rows[start : start + height]
            low, high = _range(work, start, start + len(rows))
            low = max(low, marks.at[1])
            if low < high:
                _fill(rows, left.values, reach.samples, room.rows)
                _weigh(room.rows[: len(rows)], reach.factors, room.lefts)
                for a in range(len(rows)):
                    for k in range(room.rows.shape[1]):
                        room.left_squares[a, k] = room.lefts[a, k] * room.rows[a, k]
            for c0 in range(low, high, width):
                columns, m = work.columns[c0 : min(c0 + width, high)], len(rows)
                sums = room.sums[: n_factors * m * len(columns)].reshape((n_factors * m, len(columns)))
                squares = room.squares[: m * len(columns)].reshape((m, len(columns)))
                _multiply(columns, right, reach, sums, squares, room)
                for a in range(marks.at[2], m):
                    span = (max(work.first[start + a] - c0, 0), min(work.stop[start + a] - c0, len(columns)))
                    if span[0] < span[1]:
                        row = (a, rows[a], span, left.squares[rows[a]])
                        _look_at_products(row, columns, (sums, squares), room, work, reach, census, marks)
                        if max(marks.counts[0], marks.counts[1]) >= marks.quota:  # there is always room for a row
                            marks.at[0], marks.at[1], marks.at[2] = start, c0, a + 1
                            is_full = True
                            break
                if is_full:
                    break
                marks.at[2] = 0
            if is_full:
                break
            marks.at[1] = 0
        if not is_full:
            marks.at[0] = len(work.rows)


@njit(**INNER_VIEWS)
def _difference(left, right, shift, factors, out):
    """Products of |left - right + shift|, rows (n,), with each of the factors, in `out` (n_factors,)."""
    n, n_factors = left.shape[0], factors.shape[0]
    for r in range(0, n_factors, 3):
        # The last is summed again where their number is no multiple of three.
        s, t = min(r + 1, n_factors - 1), min(r + 2, n_factors - 1)
        one, two, three = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for k in range(n):
            f = abs(left[k] - right[k] + shift)
            one += f * factors[r, k]
            two += f * factors[s, k]
            three += f * factors[t, k]
        out[r], out[s], out[t] = one, two, three


@njit(**INNER_VIEWS, inline="always")
def _mark_sums(sign, row, tile, shifted, reach, best, hit):
    """Mark the columns whose sum (sign 1) or difference (sign -1) with row may reach the threshold; row: see `_look_at_sums`."""
    i, _, cross, (begin, end) = row
    error, need, centred = np.float32(reach.error), np.float32(reach.need), np.float32(1.0 if reach.centre else 0.0)
    first_i, second_i = shifted.first[i], shifted.second[i]
    for c in range(begin, end):
        best[c] = np.float32(0.0)
    for r in range(tile.products.shape[0]):
        own_product = shifted.products[r, i]
        for c in range(begin, end):
            best[c] = max(best[c], abs(own_product + sign * tile.products[r, c]))
    spread, found = SPREAD * error * error, False
    for c in range(begin, end):
        own = second_i + tile.second[c]
        mean = first_i + sign * tile.first[c]
        variance = own + sign * np.float32(2.0) * cross[c] - centred * mean * mean - np.float32(3.0) * error * own
        most = WIDER * best[c] * best[c] + spread * own
        is_hit = not ((variance > TINY) & (variance < HUGE) & (most < need * variance))
        hit[c] = is_hit
        found |= is_hit
    return found


@njit(**INNER_VIEWS, inline="always")
def _mark_differences(row, tile, shifted, reach, room):
    """The same for absolute differences, whose means and products are summed over the samples."""
    (i, own_values, cross, span), sums, hit = row, room.sums, room.hit
    error, need, centred = np.float32(reach.error), np.float32(reach.need), np.float32(1.0 if reach.centre else 0.0)
    first_i, second_i = shifted.first[i], shifted.second[i]
    two, slack = np.float32(2.0), np.float32(2e-6)  # the slack is for the rounding of a_i - a_j, sample by sample
    hits = 0
    for c in range(span[0], span[1]):
        shift = np.float32(shifted.means[i] - tile.means[c])
        _difference(own_values, room.rights[c], shift, reach.factors, sums)
        product = np.float32(0.0)
        for r in range(1, sums.shape[0]):
            product = max(product, abs(sums[r]))
        own = second_i + tile.second[c]
        square = own - two * cross[c] + two * (first_i - tile.first[c]) * shift + shift * shift
        size = two * two * (own + shift * shift)
        variance = square - centred * sums[0] * sums[0] - error * (own + two * square) - slack * size
        most = product + error * np.sqrt(abs(square)) + slack * np.sqrt(size)
        hit[c] = not (variance > TINY and most * most < need * variance)
        hits += hit[c]
    return hits


@njit(**INNER_VIEWS)
def _sums_moments(sign, row, tile, shifted, bound, moments):
    """For `_judge`: mean squares and least variances of sums or differences with row, and bounds on the errors of the first.

    The variance of a sum does not depend on the features' means, so that offsets cost it no digits.
    """
    i, _, cross, span = row
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


@njit(**INNER_VIEWS)
def _differences_moments(row, tile, shifted, reach, room):
    """For `_judge`: what `_sums_moments` found of differences, changed to what holds for absolute ones."""
    (i, own_values, _, span), (square, variance, slack) = row, room.moments
    for c in range(span[0], span[1]):
        shift = np.float32(shifted.means[i] - tile.means[c])
        _difference(own_values, room.rights[c], shift, reach.factors[:1], room.sums[:1])
        slack[c] += 4.0 * reach.error * square[c]
        variance[c] = square[c] - np.float64(room.sums[0]) ** 2 - slack[c]


@njit(**INNER_VIEWS)
def _cross(columns, shifted, reach, crosses, room):
    """Weighted products of a strip of m rows with the columns, crosses (m, width), and the moments of the columns in `room`."""
    _fill(columns, shifted.values, reach.samples, room.rights)
    _dot(room.lefts[: crosses.shape[0]], room.rights[: len(columns)], crosses)
    for c in range(len(columns)):
        room.first[c], room.second[c] = shifted.first[columns[c]], shifted.second[columns[c]]
        room.means[c] = shifted.means[columns[c]]
        for r in range(room.products.shape[0]):
            room.products[r, c] = shifted.products[r, columns[c]]


@njit(**INNER_VIEWS, inline="always")
def _look_at_sums(row, tile, room, shifted, work, reach, census, marks):
    """Count and mark the sums and differences of one row, (number, values, products, span), with the columns of a tile."""
    (i, _, _, span), hit, columns, is_left = row, room.hit, tile.columns, work.is_row_left
    opcodes, signs, absolute = work.operators
    for o in range(len(opcodes)):
        if census.is_wanted:
            _sums_moments(signs[o], row, tile, shifted, reach.error, room.moments)
            if absolute[o]:
                _differences_moments(row, tile, shifted, reach, room)
            if _judge(span, room.moments, reach.factors.shape[1], census, marks.states, hit):
                marks.counts[1] = _note(opcodes[o], i, columns, is_left, hit, span, marks.open, marks.counts[1])
        if reach.factors.shape[0] == 1:
            continue
        if absolute[o]:
            hits = _mark_differences(row, tile, shifted, reach, room)
        else:
            hits = _mark_sums(np.float32(signs[o]), row, tile, shifted, reach, room.best, hit)
        if hits:
            marks.counts[0] = _note(opcodes[o], i, columns, is_left, hit, span, marks.hits, marks.counts[0])


@njit(**VIEWS)
def sweep_sums(features, jobs, room):
    """The same for sums, differences and absolute differences; features: `Shifted`, with the moments in each job."""
    height, width = jobs.work.tile
    for u in range(len(jobs.reach.need)):
        work, reach, census, marks = _job(u, jobs)
        shifted = Shifted(features.values, features.means, features.first[u], features.second[u], features.products[u])
        is_full = False
        for start in range(marks.at[0], len(work.rows), height):
            rows = work.rows[start : start + height]
            low, high = _range(work, start, start + len(rows))
            low = max(low, marks.at[1])
            if low < high:
                _fill(rows, shifted.values, reach.samples, room.rows)
                _weigh(room.rows[: len(rows)], reach.factors[:1], room.lefts)
            for c0 in range(low, high, width):
                columns, m = work.columns[c0 : min(c0 + width, high)], len(rows)
                crosses = room.crosses[: m * len(columns)].reshape((m, len(columns)))
                _cross(columns, shifted, reach, crosses, room)
                tile = Tile(columns, room.first, room.second, room.products, room.means)
                for a in range(marks.at[2], m):
                    span = (max(work.first[start + a] - c0, 0), min(work.stop[start + a] - c0, len(columns)))
                    if span[0] < span[1]:
                        row = (rows[a], room.rows[a], crosses[a], span)
                        _look_at_sums(row, tile, room, shifted, work, reach, census, marks)
                        if max(marks.counts[0], marks.counts[1]) >= marks.quota:  # there is always room for a row
                            marks.at[0], marks.at[1], marks.at[2] = start, c0, a + 1
                            is_full = True
                            break
                if is_full:
                    break
                marks.at[2] = 0
            if is_full:
                break
            marks.at[1] = 0
        if not is_full:
            marks.at[0] = len(work.rows)
