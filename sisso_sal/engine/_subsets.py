"""Compiled kernels of the L0 walk, and nothing else. No checks here: the callers check.

Let j and k be the last two members of a subset, g their product, r their products with the target and d their squares, all beside
the members before them, and T the gain that these leave missing to the bar. Then the subset exceeds the bar if and only if

    |g - s_j s_k| > q_j q_k    with    s = r / sqrt(T),  q = sqrt(d - s^2),

or d < s^2, where one of the two is enough. This takes no division, and what belongs to one feature is computed once for all
partners. float32 does it for blocks of ROWS x WIDTH pairs in vector registers; only pairs that may exceed the bar, or may be
singular, are looked at in float64. A singular pair lacks little: (g - s_j s_k)^2 >= q_j^2 q_k^2 - PIVOT_FLOOR.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, OPTIONS

ROWS, WIDTH = 4, 16
"""A block of pairs: rows j, columns k."""

PIVOT_FLOOR = 1e-10
"""A subset is singular if a feature keeps less than this share of its square after the others are projected out."""

ROUNDING = 1e-15
"""What of a pivot may be rounding, for each square of the share of the feature before that was taken off.

A square that may be nothing but that is set to 0, so that its feature is singular also as a member that is not the last.
"""

MARGIN = np.float32(2e-5)
"""Half of it for singular pairs, which lack at most sqrt(PIVOT_FLOOR); half for float32: no factor exceeds 1 where q > 0."""

Best = namedtuple("Best", "gains subsets")
"""The best subsets so far, best first: gains (held,), filled up with the bar, and subsets (held, dim), filled up with -1."""

Terms = namedtuple("Terms", "other target reach")
"""float32 factors of the test, (M,) or as tiles (n_tiles, WIDTH), M the number of features rounded up: s (target), q (reach), and
the other factor: of what the member before takes off g or, for pairs, of the bound of what is missing in g.
"""


@njit(**OPTIONS)
def standardise(values, samples, shares, centre, out, squares):
    """Weighted rows of mean 0 (if `centre`) and norm 1 in out (m, n), and their squares, 1 or 0 if constant, in squares (m,).

    values (m, n_samples); samples, shares (n,): the samples that count and their shares of the weight.
    """
    n = samples.shape[0]
    roots = np.sqrt(shares)
    for t in range(out.shape[0]):
        row = out[t]
        for k in range(n):
            row[k] = values[t, samples[k]]
        mean, rest, square = 0.0, 0.0, 0.0
        if centre:
            for k in range(n):
                mean += shares[k] * row[k]
            for k in range(n):  # what rounding of a large mean left behind
                rest += shares[k] * (row[k] - mean)
        for k in range(n):
            row[k] = ((row[k] - mean) - rest) * roots[k]
            square += row[k] * row[k]
        if square > (1e-14 * mean) ** 2:
            squares[t], scale = 1.0, 1.0 / np.sqrt(square)
            for k in range(n):
                row[k] *= scale
        else:  # nothing but rounding, or not a number
            squares[t], row[:] = 0.0, 0.0


@njit(**OPTIONS)
def set_terms(diagonal, rhs, missing, start, terms):
    """s and q of the features from `start` on; diagonal, rhs (m,): d and r. All are hit if nothing is missing to the bar."""
    target, reach = terms.target, terms.reach
    scale, most = (1.0 / np.sqrt(missing), 1.0) if missing > 1e-12 else (0.0, 0.0)
    for k in range(start, rhs.shape[0]):
        s = rhs[k] * scale
        target[k] = s
        reach[k] = np.sqrt(np.float32(max(most * diagonal[k] - s * s, 0.0)))


@njit(**INNER)
def _insert(gain, subset, best):
    """Put a subset into the list, the last gain of which it exceeds."""
    gains, subsets = best
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
def _try_pair(j, k, cross, state, subset, best):
    """Complete the subset with j and k, whose product is `cross`, and keep it if it exceeds the bar; 1 if singular, else 0."""
    diagonal, rhs, so_far = state
    if diagonal[j] <= PIVOT_FLOOR:
        return 1
    share = cross / diagonal[j]
    pivot = diagonal[k] - cross * share
    if pivot <= PIVOT_FLOOR + ROUNDING * share * share:
        return 1
    product = rhs[k] - rhs[j] * share
    gain = so_far + rhs[j] * rhs[j] / diagonal[j] + product * product / pivot
    if gain > best.gains[-1]:
        subset[-2], subset[-1] = j, k
        _insert(gain, subset, best)
    return 0


@njit(**INNER)
def _terms_of(j, terms):
    return terms.other[j], terms.target[j], terms.reach[j]


@njit(**INNER)
def _find_tiles(tiles, j, terms, tiled, noted):
    """Number of tiles, put into `noted`, where one of the rows j to j + 3 may exceed the bar; tiles (M, n_tiles, WIDTH)."""
    other, target, reach = tiled
    g0, g1, g2, g3 = tiles[j], tiles[j + 1], tiles[j + 2], tiles[j + 3]
    (a0, s0, q0), (a1, s1, q1) = _terms_of(j, terms), _terms_of(j + 1, terms)
    (a2, s2, q2), (a3, s3, q3) = _terms_of(j + 2, terms), _terms_of(j + 3, terms)
    count = 0
    for t in range(j // WIDTH, other.shape[0]):
        hit = False
        for u in range(WIDTH):
            a, s, q = other[t, u], target[t, u], reach[t, u]
            hit |= abs(g0[t, u] - a0 * a - s0 * s) >= q0 * q - MARGIN
            hit |= abs(g1[t, u] - a1 * a - s1 * s) >= q1 * q - MARGIN
            hit |= abs(g2[t, u] - a2 * a - s2 * s) >= q2 * q - MARGIN
            hit |= abs(g3[t, u] - a3 * a - s3 * s) >= q3 * q - MARGIN
        if hit:
            noted[count] = t
            count += 1
    return count


@njit(**INNER)
def _find_pairs(panel, j, shift, terms, tiled, noted):
    """Like _find_tiles, in the rows j to j + 3 of a panel (4, n_tiles, WIDTH) that begins with tile `shift`."""
    other, target, reach = tiled.other[shift:], tiled.target[shift:], tiled.reach[shift:]
    g0, g1, g2, g3 = panel[0], panel[1], panel[2], panel[3]
    (a0, s0, q0), (a1, s1, q1) = _terms_of(j, terms), _terms_of(j + 1, terms)
    (a2, s2, q2), (a3, s3, q3) = _terms_of(j + 2, terms), _terms_of(j + 3, terms)
    count = 0
    for t in range(max(0, j // WIDTH - shift), panel.shape[1]):
        hit = False
        for u in range(WIDTH):
            a, s, q = other[t, u], target[t, u], reach[t, u]
            hit |= abs(g0[t, u] - s0 * s) >= q0 * q - a0 * a - MARGIN
            hit |= abs(g1[t, u] - s1 * s) >= q1 * q - a1 * a - MARGIN
            hit |= abs(g2[t, u] - s2 * s) >= q2 * q - a2 * a - MARGIN
            hit |= abs(g3[t, u] - s3 * s) >= q3 * q - a3 * a - MARGIN
        if hit:
            noted[count] = t
            count += 1
    return count


@njit(**INNER)
def _project(row, squares, rhs, i, diagonal, right, other):
    """d, r and the other factor of the features after i, with feature i projected out; row (m,): its products with all."""
    root = 1.0 / np.sqrt(row[i])
    along, rounding = rhs[i] * root, ROUNDING * root * root
    for k in range(i + 1, rhs.shape[0]):
        share = row[k] * root
        other[k] = share
        left = squares[k] - share * share
        diagonal[k] = left if left > PIVOT_FLOOR + rounding * share * share else 0.0
        right[k] = rhs[k] - share * along


@njit(**INNER)
def _walk_last(gram, rhs, firsts, so_far, subset, room, best):
    """All subsets whose last three members begin with one of `firsts` (start, stop); returns (subsets seen, singular ones).

    gram (m, m), of which only the upper triangle counts, and rhs (m,): products beside the members before, which gain `so_far`.
    room: space for the products as float32 (M, M), NaN where they are no pair, since NaN exceeds no bar, for Terms, and for more.
    """
    (tiles, flat), (terms, tiled), (squares, diagonal, right), noted = room
    other, target, reach = terms
    m = rhs.shape[0]
    for j in range(firsts[0], m):
        squares[j] = gram[j, j]
        for k in range(j + 1, m):
            flat[j, k] = gram[j, k]
    seen, singular = 0, 0
    for i in range(firsts[0], min(firsts[1], m - 2)):
        below = (m - i - 1) * (m - i - 2) // 2
        seen += below
        if gram[i, i] <= PIVOT_FLOOR:
            singular += below
            continue
        subset[-3] = i
        gain = so_far + rhs[i] * rhs[i] / gram[i, i]
        _project(gram[i], squares, rhs, i, diagonal, right, other)
        set_terms(diagonal, right, best.gains[-1] - gain, i + 1, terms)
        for j in range((i + 1) // ROWS * ROWS, i + 1):
            reach[j] = np.inf  # rows of the first block that are not after i exceed nothing
        state = (diagonal, right, gain)
        for block in range((i + 1) // ROWS * ROWS, m - 1, ROWS):
            for hit in range(_find_tiles(tiles, block, terms, tiled, noted)):
                t = noted[hit]
                for j in range(max(block, i + 1), min(block + ROWS, m)):
                    (a, s, q), factor = _terms_of(j, terms), gram[i, j] / gram[i, i]
                    for k in range(max(t * WIDTH, j + 1), min(t * WIDTH + WIDTH, m)):
                        if abs(flat[j, k] - a * other[k] - s * target[k]) >= q * reach[k] - MARGIN:
                            cross = gram[j, k] - factor * gram[i, k]
                            singular += _try_pair(j, k, cross, state, subset, best)
    return seen, singular


@njit(**INNER)
def _eliminate(gram, rhs, j, gram_out, rhs_out):
    """Gram matrix and right-hand side of the features after j, with feature j projected out (upper triangle only)."""
    m = rhs.shape[0]
    inverse = 1.0 / gram[j, j]
    for a in range(j + 1, m):
        factor = gram[j, a] * inverse
        for b in range(a, m):
            gram_out[a, b] = gram[a, b] - factor * gram[j, b]
        if gram_out[a, a] <= PIVOT_FLOOR + ROUNDING * factor * factor:
            gram_out[a, a] = 0.0
        rhs_out[a] = rhs[a] - factor * rhs[j]


@njit(**OPTIONS)
def best_subsets(gram, rhs, first, best):
    """Walk over all subsets of three or more features that begin with one of `first` (start, stop).

    gram (m, m) and rhs (m,): products of features and a target of norm 1. Returns (subsets seen, singular ones).
    """
    m, dim = rhs.shape[0], best.subsets.shape[1]
    n_tiles = (m + WIDTH - 1) // WIDTH
    flat = np.full((n_tiles * WIDTH, n_tiles * WIDTH), np.nan, dtype=np.float32)
    terms = np.zeros((3, n_tiles * WIDTH), dtype=np.float32)
    tiled = terms.reshape((3, n_tiles, WIDTH))
    room = (
        (flat.reshape((n_tiles * WIDTH, n_tiles, WIDTH)), flat),
        (Terms(terms[0], terms[1], terms[2]), Terms(tiled[0], tiled[1], tiled[2])),
        (np.empty(m), np.empty(m), np.empty(m)),
        np.empty(n_tiles, dtype=np.int64),
    )
    subset = np.zeros(dim, dtype=np.int64)
    if dim == 3:
        return _walk_last(gram, rhs, first, 0.0, subset, room, best)
    grams, rights = np.empty((dim - 3, m, m)), np.empty((dim - 3, m))
    so_far = np.zeros(dim - 2)
    seen, singular, depth = 0, 0, 0
    subset[0] = first[0] - 1
    while depth >= 0:
        subset[depth] += 1
        i = subset[depth]
        if i >= (first[1] if depth == 0 else m) or i > m - (dim - depth):
            depth -= 1
            continue
        above, right = (grams[depth - 1], rights[depth - 1]) if depth > 0 else (gram, rhs)
        if above[i, i] <= PIVOT_FLOOR:
            below = 1
            for step in range(1, dim - depth):
                below = below * (m - i - step) // step
            seen += below
            singular += below
            continue
        so_far[depth + 1] = so_far[depth] + right[i] * right[i] / above[i, i]
        _eliminate(above, right, i, grams[depth], rights[depth])
        if depth < dim - 4:
            depth += 1
            subset[depth] = i
            continue
        more, lost = _walk_last(grams[depth], rights[depth], (i + 1, m), so_far[depth + 1], subset, room, best)
        seen += more
        singular += lost
    return seen, singular


@njit(**OPTIONS)
def best_pairs(panel, corner, data, terms, tiled, best):
    """Look at the pairs (j, k), j < k, of a panel of products; returns the number of singular ones.

    panel (n_rows, n_tiles, WIDTH) float32: products of the leading parts of features j and k, the first of which is `corner`.
    terms.other: norms of the parts left out; data: the features (m, n), their squares (m,) and their products with the target (m,).
    """
    rows, squares, rhs = data
    m, shift = rhs.shape[0], corner[1] // WIDTH
    subset, noted = np.zeros(2, dtype=np.int64), np.empty(panel.shape[1], dtype=np.int64)
    other, target, reach = terms
    singular = 0
    for row in range(0, panel.shape[0], ROWS):
        block = corner[0] + row
        for hit in range(_find_pairs(panel[row : row + ROWS], block, shift, terms, tiled, noted)):
            t = noted[hit]
            column = (shift + t) * WIDTH
            for r in range(ROWS):
                j = block + r
                a, s, q = _terms_of(j, terms)
                for k in range(max(column, j + 1), min(column + WIDTH, m)):
                    if abs(panel[row + r, t, k - column] - s * target[k]) >= q * reach[k] - a * other[k] - MARGIN:
                        cross = 0.0
                        for sample in range(rows.shape[1]):
                            cross += rows[j, sample] * rows[k, sample]
                        singular += _try_pair(j, k, cross, (squares, rhs, 0.0), subset, best)
    return singular


@njit(**OPTIONS)
def extend(cross, parents, squares, rhs, least, gains):
    """Gains (n_parents, m) of subsets with each feature added, -1 if less than `least` of it is left.

    cross (n_parents, size, m): products of the members of the parents (n_parents, size) with all features; is overwritten.
    """
    m = rhs.shape[0]
    for p in range(parents.shape[0]):
        left, right, gain = squares.copy(), rhs.copy(), 0.0
        for depth in range(parents.shape[1]):
            row, i = cross[p, depth], parents[p, depth]
            for d in range(depth):
                factor = cross[p, d, i]
                for k in range(m):
                    row[k] -= factor * cross[p, d, k]
            root = 1.0 / np.sqrt(left[i])
            along = right[i] * root
            gain += along * along
            for k in range(m):
                row[k] *= root
                left[k] -= row[k] * row[k]
                right[k] -= row[k] * along
        for k in range(m):
            gains[p, k] = gain + right[k] * right[k] / left[k] if left[k] >= least else -1.0
