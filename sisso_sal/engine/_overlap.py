"""Compiled kernels that look for features along which the intervals of classes overlap least. No checks here: the callers check.

The samples come class by class. The interval of a class reaches from its smallest to its largest value; what is counted is the
weight of the samples of one class in the interval of another (Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018), sec. II C).
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

N_BINS = 128
"""Bins by which values are sorted."""

REACH = 3.0
"""Mean deviations from the mean over which the bins reach."""

SMALL = 10
"""A bin of at most this many samples is sorted."""

SURE = 1e-6
"""What a float32 sum of weights may be wrong by, for each unit of weight and each sample."""

MAGNITUDE = 0x7FFFFFFFFFFFFFFF
"""The bits of a float64 beside its sign."""

INFINITE = 0x7FF0000000000000
"""The bits of infinity."""

Domains = namedtuple("Domains", "samples starts weights is_first is_convex width offsets labels by_sample open others")
"""Classes in many problems. samples (n_problems, most): numbers of the samples, class by class, of which class c has those from
starts[p, c] to below starts[p, c + 1]; weights (n_problems, most): of these samples; is_first (n_problems,): whether they are the
first samples in their order, with the same starts; is_convex (n_classes,): whether a class has an interval; width: by how much
intervals are widened; offsets (n_problems,): see `score_of`; labels (n,): class of each sample, and by_sample (n, n_problems) its
weight in each problem; open (n_classes, n_problems): 1 for classes that have an interval in a problem, else 0; others
(n_problems,): weight of the samples of other classes, summed over the classes that have an interval. Of one problem there is none
of the last four. Of several, the last three are filled up with problems that have no weights.
"""

Staircase = namedtuple("Staircase", "opcodes is_row_left rows columns first stop")
"""As `Pairs`, with an array of opcodes."""

Bars = namedtuple("Bars", "forbidden thresholds")
"""forbidden (n_problems, n_words): bits of the primaries that a problem may not use; thresholds (n_problems,): the score that a
feature must reach.
"""

Found = namedtuple("Found", "features problems scores at quota")
"""What a scan finds: features (3, capacity), triples (opcode, left, right); problems and scores (capacity,); at (2,): row and
column where the next call goes on; quota: number with which a call ends.
"""

Room = namedtuple("Room", "row picked low high own_low own_high bins order counts open n_open least")
"""Room for one feature: row and picked (n,), low and high (n_parts,), the ends of the parts of all samples, and own_low and
own_high (n_classes,), those of the classes in one problem; for a bound in many problems bins and order (n,), counts (N_BINS + 1,),
open (n_classes, n_problems), n_open and least (n_problems,).
"""


@njit(**INNER_VIEWS)
def _apply(opcode, a, b, out):
    """Values of a feature of two operands, or of a stored one; the opcodes are those of the operator table."""
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
def _ends(row, starts, low, high):
    """Smallest and largest value of each class; not a number where a value is not finite.

    The bits of a float64, those of negative numbers turned round, are integers in the order of the numbers.
    """
    bits = row.view(np.int64)
    for c in range(starts.shape[0] - 1):
        least, most = np.int64(MAGNITUDE), np.int64(-MAGNITUDE)
        for k in range(starts[c], starts[c + 1]):
            key = bits[k] ^ ((bits[k] >> np.int64(63)) & np.int64(MAGNITUDE))
            least, most = min(least, key), max(most, key)
        if starts[c] == starts[c + 1]:
            low[c], high[c] = np.inf, -np.inf
        elif most >= np.int64(INFINITE) or least <= np.int64(-1 - INFINITE):
            low[c], high[c] = np.nan, np.nan
        else:
            low[c], high[c] = np.inf, -np.inf
            low.view(np.int64)[c] = least ^ ((least >> np.int64(63)) & np.int64(MAGNITUDE))
            high.view(np.int64)[c] = most ^ ((most >> np.int64(63)) & np.int64(MAGNITUDE))


@njit(**INNER_VIEWS)
def _state(row, low, high, limits):
    """State of a feature; low, high (n_parts,): the ends of all parts of its samples, as from `_ends`."""
    least, most = np.inf, -np.inf
    for c in range(low.shape[0]):
        if np.isnan(low[c]):
            return NOT_FINITE
        least, most = min(least, low[c]), max(most, high[c])
    largest = max(abs(least), abs(most))
    if largest < limits[0] or largest > limits[1]:
        return OUT_OF_BOUNDS
    n = row.shape[0]
    # A variance is at least the square of the range over 2n.
    if (most - least) > 2.0 * FLAT * largest * np.sqrt(2.0 * n):
        return KEPT
    mean, square = 0.0, 0.0
    for k in range(n):
        mean += row[k]
    mean /= n
    for k in range(n):
        square += (row[k] - mean) * (row[k] - mean)
    return CONSTANT if square <= n * (FLAT * largest) ** 2 else KEPT


@njit(**INNER_VIEWS)
def _weight_inside(row, weights, start, stop, low, high):
    """Weight of the samples from start to below stop whose value lies from low to high."""
    total = 0.0
    for k in range(start, stop):
        total += weights[k] if (row[k] >= low) & (row[k] <= high) else 0.0
    return total


@njit(**INNER_VIEWS)
def _overlap(row, domains, ends, most):
    """Weight in the overlaps and their size, see `overlaps`; infinite as soon as the weight is above `most`.

    domains: starts (n_classes + 1,), weights (n,), is_convex (n_classes,), width; ends: low, high (n_classes,).
    """
    starts, weights, is_convex, width = domains
    low, high = ends
    total, size, gap, n_pairs, meets = 0.0, 0.0, -np.inf, 0, False
    for i in range(low.shape[0] - 1):
        for j in range(i + 1, low.shape[0]):
            if starts[i] == starts[i + 1] or starts[j] == starts[j + 1]:
                continue
            if is_convex[j]:
                total += _weight_inside(row, weights, starts[i], starts[i + 1], low[j] - width, high[j] + width)
            if is_convex[i] and total <= most:
                total += _weight_inside(row, weights, starts[j], starts[j + 1], low[i] - width, high[i] + width)
            if total > most:
                return np.inf, np.inf
            if is_convex[i] and is_convex[j]:
                n_pairs += 1
                length = min(high[i], high[j]) - max(low[i], low[j])
                shorter = min(high[i] - low[i], high[j] - low[j])
                if length < 0.0:
                    gap = max(gap, length)
                else:
                    meets = True
                    size += length / shorter if shorter > 0.0 else 1.0
    if meets:
        return total, size / n_pairs
    return total, gap if n_pairs else 0.0


@njit(**INNER_VIEWS)
def score_of(total, size, offset):
    """Score that is the higher the less weight is in the overlap, then the smaller the overlap: the size counts less than a sample.

    offset: what no weight in the overlap exceeds, so that scores are not negative.
    """
    return offset - total - 0.5 * size / (1.0 + abs(size))


@njit(**INNER_VIEWS)
def _put_in_bins(row, bins, order, counts):
    """Numbers of the samples bin by bin, in order (n,); of bin b those from counts[b] to below counts[b + 1].

    The bins are of equal width around the mean, and the outer ones take what lies beyond.
    """
    n, mean, deviation = row.shape[0], 0.0, 0.0
    for k in range(n):
        mean += row[k]
    mean /= n
    for k in range(n):
        deviation += abs(row[k] - mean)
    deviation = max(deviation / n, 1e-300)
    low, scale = mean - REACH * deviation, N_BINS / (2.0 * REACH * deviation)
    for k in range(n):
        bins[k] = np.int64(min(max((row[k] - low) * scale, 0.0), N_BINS - 1.0))
    counts[:] = 0
    for k in range(n):
        counts[bins[k] + 1] += 1
    for b in range(N_BINS):
        counts[b + 1] += counts[b]
    for k in range(n - 1, -1, -1):
        counts[bins[k] + 1] -= 1
        order[counts[bins[k] + 1]] = k
    for b in range(1, N_BINS):
        counts[b] = counts[b + 1]
    counts[N_BINS] = n


@njit(**INNER_VIEWS)
def _sort(row, part):
    """Put numbers of samples (m,) in the order of their values."""
    for i in range(1, part.shape[0]):
        own, j = part[i], i
        value = row[own]
        while j > 0 and row[part[j - 1]] > value:
            part[j] = part[j - 1]
            j -= 1
        part[j] = own


@njit(**INNER_VIEWS)
def _leave_out(k, domains, room):
    """Take from room.least the weight of sample k where the interval of another class is still to come."""
    own, weights, n_open, least = room.open[domains.labels[k]], domains.by_sample[k], room.n_open, room.least
    for p in range(least.shape[0]):
        least[p] -= weights[p] * (n_open[p] - own[p])


@njit(**INNER_VIEWS)
def _begin_at(k, domains, room):
    """The interval of the class of sample k has begun where the sample is."""
    own, weights, n_open = room.open[domains.labels[k]], domains.by_sample[k], room.n_open
    for p in range(n_open.shape[0]):
        before = own[p]
        own[p] = np.float32(0.0) if weights[p] > np.float32(0.0) else before
        n_open[p] += own[p] - before


@njit(**INNER_VIEWS)
def _begin(domains, room):
    """No interval has begun."""
    room.n_open[:] = np.float32(0.0)
    for c in range(domains.open.shape[0]):
        for p in range(room.n_open.shape[0]):
            room.open[c, p] = domains.open[c, p]
            room.n_open[p] += domains.open[c, p]


@njit(**INNER_VIEWS)
def _bound(domains, room):
    """What the weight in the overlaps is at least in each problem, in room.least: without what lies near an interval.

    The samples pass by from below, then from above, until all intervals have begun in all problems.
    """
    _put_in_bins(room.row, room.bins, room.order, room.counts)
    for p in range(room.least.shape[0]):
        room.least[p] = domains.others[p]
    for side in range(2):
        _begin(domains, room)
        for step in range(N_BINS):
            b = step if side == 0 else N_BINS - 1 - step
            part = room.order[room.counts[b] : room.counts[b + 1]]
            if part.shape[0] == 0:
                continue
            if part.shape[0] <= SMALL:
                _sort(room.row, part)
                for t in range(part.shape[0]):
                    k = part[t] if side == 0 else part[part.shape[0] - 1 - t]
                    _leave_out(k, domains, room)
                    _begin_at(k, domains, room)
            else:
                for t in range(part.shape[0]):
                    _leave_out(part[t], domains, room)
                for t in range(part.shape[0]):
                    _begin_at(part[t], domains, room)
            if room.n_open.sum() == 0.0:
                break


@njit(**INNER_VIEWS)
def _score(p, room, domains, threshold):
    """Score of the feature of this room in problem p; -1 where it stays below the threshold."""
    starts, weights = domains.starts[p], domains.weights[p]
    n_classes = starts.shape[0] - 1
    most = domains.offsets[p] - threshold + 0.5
    if domains.labels.shape[0] > 0 and room.least[p] - SURE * domains.labels.shape[0] * domains.offsets[p] > most:
        return -1.0
    row, low, high = room.row, room.low[:n_classes], room.high[:n_classes]
    if not domains.is_first[p]:
        n = starts[n_classes]
        row, low, high = room.picked[:n], room.own_low, room.own_high
        numbers = domains.samples[p]
        for k in range(n):
            row[k] = room.row[numbers[k]]
        _ends(row, starts, low, high)
    least, largest = np.inf, -np.inf
    for c in range(low.shape[0]):
        least, largest = min(least, low[c]), max(largest, high[c])
    if largest - least <= FLAT * max(abs(least), abs(largest)):
        return -1.0
    offset = domains.offsets[p]
    total, size = _overlap(row, (starts, weights, domains.is_convex, domains.width), (low, high), most)
    if total > most:
        return -1.0
    score = score_of(total, size, offset)
    return score if score >= threshold else -1.0


@njit(**INNER_VIEWS)
def _offer(feature, mask, room, domains, bars, found, count):
    """Note the feature for each problem whose threshold it reaches; returns how many there are noted then."""
    if domains.labels.shape[0] > 0:
        _bound(domains, room)
    for p in range(bars.thresholds.shape[0]):
        is_allowed = True
        for word in range(mask.shape[0]):
            is_allowed &= (mask[word] & bars.forbidden[p, word]) == 0
        if not is_allowed:
            continue
        score = _score(p, room, domains, bars.thresholds[p])
        if score >= 0.0:
            found.features[0, count], found.features[1, count], found.features[2, count] = feature
            found.problems[count], found.scores[count] = p, score
            count += 1
    return count


@njit(**VIEWS)
def scan_pairs(stairs, sources, classes, bars, limits, states, found, room):
    """Go over pairs of stored features; returns how many features were found. It ends when these reach their quota.

    sources: values (n_stored, n), masks (n_stored, n_words), and room for one (n_words,); classes: starts (n_parts + 1,) of parts
    of these samples, of which the first are the classes of the problems whose samples come first, and `Domains`; limits: smallest
    and largest admitted max|f|; states (4,): the states of the features are counted there.
    """
    values, masks, mask = sources
    starts, domains = classes
    n_problems, count = bars.thresholds.shape[0], 0
    for t in range(found.at[0], stairs.rows.shape[0]):
        i = stairs.rows[t]
        first = max(stairs.first[t], found.at[1])
        for u in range(first, stairs.stop[t]):
            j = stairs.columns[u]
            left, right = (i, j) if stairs.is_row_left else (j, i)
            for word in range(mask.shape[0]):
                mask[word] = masks[i, word] | masks[j, word]
            for o in range(stairs.opcodes.shape[0]):
                opcode = stairs.opcodes[o]
                _apply(opcode, values[left], values[right], room.row)
                _ends(room.row, starts, room.low, room.high)
                state = _state(room.row, room.low, room.high, limits)
                states[state] += 1
                if state == KEPT:
                    count = _offer((opcode, left, right), mask, room, domains, bars, found, count)
            if count + n_problems * stairs.opcodes.shape[0] > found.quota:
                found.at[0], found.at[1] = t, u + 1
                return count
        found.at[1] = 0
    found.at[0] = stairs.rows.shape[0]
    return count


@njit(**VIEWS)
def scan_rows(rows, masks, classes, bars, limits, states, found, room):
    """The same for features with the values rows (m, n) and masks (m, n_words); the triples found are (0, number of the row, 0)."""
    starts, domains = classes
    count = 0
    for t in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            room.row[k] = rows[t, k]
        _ends(room.row, starts, room.low, room.high)
        state = _state(room.row, room.low, room.high, limits)
        states[state] += 1
        if state == KEPT:
            count = _offer((0, t, 0), masks[t], room, domains, bars, found, count)
    return count


@njit(**VIEWS)
def overlaps(rows, domains, room, totals, sizes):
    """Weight in the overlaps and their size for rows (m, n), samples class by class, in totals and sizes (m,).

    domains: starts (n_classes + 1,), weights (n,), is_convex (n_classes,), width.

    The size is the mean over pairs of convex classes of the length of the overlap over that of the shorter interval. If no two
    intervals meet it is minus the smallest distance of two.
    """
    for t in range(rows.shape[0]):
        _ends(rows[t], domains[0], room.low, room.high)
        totals[t], sizes[t] = _overlap(rows[t], domains, (room.low, room.high), np.inf)


@njit(**VIEWS)
def states_of(rows, starts, limits, ends, states):
    """State of each feature with the values rows (m, n) in states (m,); starts (2,): 0 and n; ends: room for two numbers (1,)."""
    low, high = ends
    for t in range(rows.shape[0]):
        _ends(rows[t], starts, low, high)
        states[t] = _state(rows[t], low, high, limits)
