"""Compiled kernels that look for features of which one threshold tells classes best. No checks here: the callers check.

A lane is a question of yes or no in one problem. Each sample has a signed weight: positive for yes, negative for no. A threshold
tells the weight above it that is yes and below it that is no, or the other way round. The score of a feature is the share of the
lighter side that the best threshold tells beyond the guess of the heavier side: 0 for none, 1 for all.

Bins of values bound the score from above, with one addition for each sample and lane. What may reach the threshold is sorted.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER_VIEWS, VIEWS

KEPT, NOT_FINITE, OUT_OF_BOUNDS, CONSTANT = 0, 1, 2, 3
"""States of features, as in `_scores`."""

FLAT = 1e-10
"""As in `_scores`."""

MAGNITUDE = 0x7FFFFFFFFFFFFFFF
"""The bits of a float64 beside its sign."""

INFINITE = 0x7FF0000000000000
"""The bits of infinity."""

SAME = 1e-12
"""Neighbours that differ by at most this share of their size are equal: there is no threshold between them."""

SECOND = 1e-3
"""What the area under the receiver operating characteristic counts beside the share that is told."""

SURE = 1e-9
"""What a bound of a score may be wrong by."""

N_BINS = 64

SMALL = 24
"""Bins with more samples are sorted by steps."""

Lanes = namedtuple("Lanes", "signed absolute sides positive negative first present")
"""Lanes of many problems. signed and absolute (n, n_lanes): weights of the samples with and without sign; sides (n,): 1 for samples
of which no weight is negative, -1 where none is positive, else 0; positive and negative (n_lanes,): sums of both signs; first
(n_problems + 1,): problem p has the lanes from first[p] to below first[p + 1]; present (n_problems, n): samples of positive weight.
"""

Room = namedtuple("Room", "row bins order counts yes no best")
"""Room for one feature: row, bins and order (n,), counts (N_BINS + 1,), yes and no (N_BINS, n_lanes), best (3, n_lanes)."""


@njit(**INNER_VIEWS)
def _apply(opcode, a, b, out):
    """Values of a feature of two operands; the opcodes are those of the operator table."""
    n = out.shape[0]
    if opcode == 1:
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
    else:
        for k in range(n):
            out[k] = np.nan


@njit(**INNER_VIEWS)
def _state(row, limits, spread):
    """State of a feature; its mean and mean absolute deviation in spread (2,)."""
    n = row.shape[0]
    bits = row.view(np.int64)
    top = np.int64(0)
    for k in range(n):
        top = max(top, bits[k] & np.int64(MAGNITUDE))
    if top >= np.int64(INFINITE):
        return NOT_FINITE
    largest, mean = 0.0, 0.0
    for k in range(n):
        mean += row[k]
    mean /= n
    deviation, square = 0.0, 0.0
    for k in range(n):
        deviation += abs(row[k] - mean)
        square += (row[k] - mean) * (row[k] - mean)
    spread[0], spread[1] = mean, deviation / n
    for k in range(n):
        largest = max(largest, abs(row[k]))
    if largest < limits[0] or largest > limits[1]:
        return OUT_OF_BOUNDS
    return CONSTANT if square <= n * (FLAT * largest) ** 2 else KEPT


@njit(**INNER_VIEWS)
def _gain(above, below, positive, negative):
    """Share of the lighter side that a threshold tells beyond the guess of the heavier one.

    above, below: largest and smallest sum of the signed weights below a threshold.
    """
    lighter = min(positive, negative)
    if not lighter > 0.0:
        return 0.0
    return (max(negative + above, positive - below) - max(positive, negative)) / lighter


@njit(**INNER_VIEWS)
def _fill_bins(spread, lanes, room):
    """Put each sample into a bin, and its weights into the sums of the bin."""
    n, n_lanes = lanes.signed.shape
    low = spread[0] - 2.0 * spread[1]
    scale = N_BINS / max(4.0 * spread[1], 1e-300)
    for b in range(N_BINS):
        room.counts[b] = 0
        for lane in range(n_lanes):
            room.yes[b, lane], room.no[b, lane] = 0.0, 0.0
    for k in range(n):
        room.bins[k] = np.int64(min(max((room.row[k] - low) * scale, 0.0), N_BINS - 1.0))
    for k in range(n):
        b = room.bins[k]
        room.counts[b] += 1
        yes, no, absolute = room.yes[b], room.no[b], lanes.absolute[k]
        if lanes.sides[k] > 0:
            for lane in range(n_lanes):
                yes[lane] += absolute[lane]
        elif lanes.sides[k] < 0:
            for lane in range(n_lanes):
                no[lane] += absolute[lane]
        else:
            signed = lanes.signed[k]
            for lane in range(n_lanes):
                yes[lane] += 0.5 * (absolute[lane] + signed[lane])
                no[lane] += 0.5 * (absolute[lane] - signed[lane])


@njit(**INNER_VIEWS)
def _bounds(lanes, room):
    """What the gain of each lane is at most, in best[0]."""
    n_lanes = lanes.signed.shape[1]
    before, above, below = room.best[0], room.best[1], room.best[2]
    for lane in range(n_lanes):
        before[lane], above[lane], below[lane] = 0.0, 0.0, 0.0
    for b in range(N_BINS):
        if room.counts[b]:
            yes, no = room.yes[b], room.no[b]
            for lane in range(n_lanes):
                above[lane] = max(above[lane], before[lane] + yes[lane])
                below[lane] = min(below[lane], before[lane] - no[lane])
                before[lane] += yes[lane] - no[lane]
    for lane in range(n_lanes):
        before[lane] = _gain(above[lane], below[lane], lanes.positive[lane], lanes.negative[lane])


@njit(**INNER_VIEWS)
def _sort(row, bins, order, counts):
    """Numbers of the samples in ascending order of their values; counts (N_BINS + 1,): samples of each bin."""
    n, total = row.shape[0], 0
    for b in range(N_BINS):
        own = counts[b]
        counts[b] = total
        total += own
    for k in range(n):
        order[counts[bins[k]]] = k
        counts[bins[k]] += 1
    start = 0
    for b in range(N_BINS):
        part = order[start : counts[b]]
        start = counts[b]
        m = part.shape[0]
        step = 1
        while m > SMALL and step < m // 3:
            step = 3 * step + 1
        while step >= 1:
            for i in range(step, m):
                own = part[i]
                value = row[own]
                j = i
                while j >= step and row[part[j - step]] > value:
                    part[j] = part[j - step]
                    j -= step
                part[j] = own
            step //= 3


@njit(**INNER_VIEWS)
def _exact(row, order, signed, positive, negative):
    """Gain of the best threshold, and a little of the area under the characteristic; signed (n,), order (n,)."""
    n = row.shape[0]
    above, below, total, no, area = 0.0, 0.0, 0.0, 0.0, 0.0
    tied_yes, tied_no = 0.0, 0.0
    for k in range(n):
        weight = signed[order[k]]
        total += weight
        tied_yes += max(weight, 0.0)
        tied_no += max(-weight, 0.0)
        value = row[order[k]]
        last = k + 1 == n
        if last or row[order[k + 1]] - value > SAME * max(abs(value), abs(row[order[k + 1]])):
            above, below = max(above, total), min(below, total)
            area += tied_yes * (no + 0.5 * tied_no)
            no += tied_no
            tied_yes, tied_no = 0.0, 0.0
    if not min(positive, negative) > 0.0:
        return 0.0
    area /= positive * negative
    return _gain(above, below, positive, negative) + SECOND * max(area, 1.0 - area)


@njit(**INNER_VIEWS)
def _varies(row, present):
    """Whether a feature varies over the samples of a problem; present (n,)."""
    least, most = np.inf, -np.inf
    for k in range(row.shape[0]):
        if present[k]:
            least, most = min(least, row[k]), max(most, row[k])
    return most - least > FLAT * max(abs(least), abs(most))


@njit(**INNER_VIEWS)
def _offer(feature, mask, spread, lanes, bars, found, room, count):
    """Note the feature for each problem whose threshold it reaches; returns how many there are noted then."""
    _fill_bins(spread, lanes, room)
    _bounds(lanes, room)
    is_sorted = False
    for p in range(bars.thresholds.shape[0]):
        is_allowed = True
        for word in range(mask.shape[0]):
            is_allowed &= (mask[word] & bars.forbidden[p, word]) == 0
        if not is_allowed:
            continue
        score = -1.0
        for lane in range(lanes.first[p], lanes.first[p + 1]):
            if room.best[0, lane] + SECOND + SURE < bars.thresholds[p]:
                continue
            if not is_sorted:
                _sort(room.row, room.bins, room.order, room.counts)
                is_sorted = True
            score = max(
                score,
                _exact(room.row, room.order, lanes.signed[:, lane], lanes.positive[lane], lanes.negative[lane]),
            )
        if score >= 0.0 and score >= bars.thresholds[p] and _varies(room.row, lanes.present[p]):
            found.features[0, count], found.features[1, count], found.features[2, count] = feature
            found.problems[count], found.scores[count] = p, score
            count += 1
    return count


@njit(**VIEWS)
def scan_pairs(stairs, sources, problems, bars, limits, states, found, room):
    """Go over pairs of stored features, as the kernel of this name in `_overlap`; problems: room for two numbers, and `Lanes`."""
    values, masks, mask = sources
    spread, lanes = problems
    n_problems, count = bars.thresholds.shape[0], 0
    for t in range(found.at[0], stairs.rows.shape[0]):
        i = stairs.rows[t]
        for u in range(max(stairs.first[t], found.at[1]), stairs.stop[t]):
            j = stairs.columns[u]
            left, right = (i, j) if stairs.is_row_left else (j, i)
            for word in range(mask.shape[0]):
                mask[word] = masks[i, word] | masks[j, word]
            for o in range(stairs.opcodes.shape[0]):
                opcode = stairs.opcodes[o]
                _apply(opcode, values[left], values[right], room.row)
                state = _state(room.row, limits, spread)
                states[state] += 1
                if state == KEPT:
                    count = _offer((opcode, left, right), mask, spread, lanes, bars, found, room, count)
            if count + n_problems * stairs.opcodes.shape[0] > found.quota:
                found.at[0], found.at[1] = t, u + 1
                return count
        found.at[1] = 0
    found.at[0] = stairs.rows.shape[0]
    return count


@njit(**VIEWS)
def scan_rows(rows, masks, problems, bars, limits, states, found, room):
    """The same for features with the values rows (m, n) and masks (m, n_words); the triples found are (0, number of the row, 0)."""
    spread, lanes = problems
    count = 0
    for t in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            room.row[k] = rows[t, k]
        state = _state(room.row, limits, spread)
        states[state] += 1
        if state == KEPT:
            count = _offer((0, t, 0), masks[t], spread, lanes, bars, found, room, count)
    return count
