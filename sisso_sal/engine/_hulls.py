"""Compiled kernels that look for pairs of features in whose plane the convex hulls of classes overlap least. No checks here."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, INNER_VIEWS, OPTIONS

FLAT = 1e-10
"""Hulls of a smaller area, in the units of the features, are lines."""

Plane = namedtuple("Plane", "starts weights is_convex width")
"""Samples class by class: starts (n_classes + 1,), weights (n,), is_convex (n_classes,), width by which hulls are widened."""

Hulls = namedtuple("Hulls", "points n_lower n_all areas")
"""Of each class the vertices, points (n_classes, most, 2), against the clock: n_all (n_classes,) of them, of which the n_lower
(n_classes,) of the lower chain come first, from left to right; areas (n_classes,).
"""

NEAR = 1e-9
"""Larger than roundings, for each unit of the size of a polygon."""

N_PARTS = 8
"""Parts of the samples of a class whose extremes make a polygon within its hull."""

Inside = namedtuple("Inside", "points counts flags")
"""The samples in an overlap: points (8 n + 8, 2) and counts (1,) how many there are; flags (n,): whether a sample is inside."""


@njit(**INNER_VIEWS)
def _cross(o, a, b):
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


@njit(**INNER_VIEWS)
def _chain(x, y, order, sign, out):
    """The lower chain (sign 1) or the upper one (sign -1) of the hull of points, in `order` of x, in out (most, 2); its length."""
    m, count = order.shape[0], 0
    a = 0
    while a < m:
        k = order[a]
        px, py = x[k], y[k]
        a += 1
        while a < m and x[order[a]] == px:  # of points above each other only the lowest or highest
            py = min(sign * py, sign * y[order[a]]) * sign
            a += 1
        while count >= 2:
            turn = (out[count - 1, 0] - out[count - 2, 0]) * (py - out[count - 2, 1])
            turn -= (out[count - 1, 1] - out[count - 2, 1]) * (px - out[count - 2, 0])
            if sign * turn > 0.0:
                break
            count -= 1
        out[count, 0], out[count, 1] = px, py
        count += 1
    return count


@njit(**INNER_VIEWS)
def _area(points, n):
    """Area of a polygon."""
    total = 0.0
    for a in range(2, n):
        total += _cross(points[0], points[a - 1], points[a])
    return 0.5 * abs(total)


@njit(**INNER_VIEWS)
def _hull(x, y, low, high, lower, upper, points):
    """Vertices of the hull in points; returns the lengths of the lower chain and of all.

    low, high: numbers in order of x of all points that may be in the lower and in the upper chain, with the same first and last.
    """
    n_lower = _chain(x, y, low, 1.0, lower)
    n_upper = _chain(x, y, high, -1.0, upper)
    count = 0
    for a in range(n_lower):
        points[count, 0], points[count, 1] = lower[a, 0], lower[a, 1]
        count += 1
    for a in range(n_upper - 1, -1, -1):
        is_end = a == n_upper - 1 or a == 0
        end = lower[n_lower - 1] if a == n_upper - 1 else lower[0]
        if is_end and upper[a, 0] == end[0] and upper[a, 1] == end[1]:
            continue
        points[count, 0], points[count, 1] = upper[a, 0], upper[a, 1]
        count += 1
    return n_lower, count


@njit(**INNER_VIEWS)
def _square_to_edge(px, py, a, b):
    """Squared distance of a point to the segment from a to b."""
    vx, vy = b[0] - a[0], b[1] - a[1]
    wx, wy = px - a[0], py - a[1]
    square = vx * vx + vy * vy
    along = 0.0
    if square > 0.0:
        along = min(max((wx * vx + wy * vy) / square, 0.0), 1.0)
    dx, dy = wx - along * vx, wy - along * vy
    return dx * dx + dy * dy


@njit(**INNER_VIEWS)
def _is_inside(px, py, points, n, width):
    """Whether a point lies in a polygon or at most `width` from it."""
    if n == 1:
        return _square_to_edge(px, py, points[0], points[0]) <= width * width
    outside = False
    for a in range(n):
        b = points[a + 1] if a + 1 < n else points[0]
        vx, vy = b[0] - points[a, 0], b[1] - points[a, 1]
        turn = vx * (py - points[a, 1]) - vy * (px - points[a, 0])
        if turn < 0.0:
            # The line through an edge is nearer than the polygon, which lies on its other side.
            if turn * turn > width * width * (vx * vx + vy * vy):
                return False
            outside = True
    if not outside:
        return True
    for a in range(n):
        b = points[a + 1] if a + 1 < n else points[0]
        if _square_to_edge(px, py, points[a], b) <= width * width:
            return True
    return False


@njit(**INNER_VIEWS)
def _upper(n_lower, n, t):
    """Number of vertex t of the upper chain of a polygon, from left to right; its ends are those of the lower chain."""
    if t == 0:
        return 0
    return n - t if t <= n - n_lower else n_lower - 1


@njit(**INNER_VIEWS)
def _beyond(px, py, a, b):
    """Distance of a point to the left of the line from a to b, times the length from a to b; and the square of this length."""
    vx, vy = b[0] - a[0], b[1] - a[1]
    return vx * (py - a[1]) - vy * (px - a[0]), vx * vx + vy * vy


@njit(**INNER_VIEWS)
def _margin(length, height, width):
    """Vertical distance to the edges above and below it from which on a sample is inside a polygon, whatever the rounding."""
    return 0.0 if width > NEAR * (length + height) else NEAR * height


@njit(**INNER_VIEWS)
def _find_inside(x, y, order, polygon, width, flags):
    """Whether samples lie in a polygon, or at most `width` from it, in flags (n,); order (m,): their numbers in order of x.

    The edges above and below a sample tell; they are found as x grows. A sample near an edge is tested against all edges.
    """
    points, n_lower, n = polygon
    below, above = np.inf, -np.inf
    for a in range(n):
        below, above = min(below, points[a, 1]), max(above, points[a, 1])
    left, right, a, u = points[0, 0], points[n_lower - 1, 0], 0, 0
    margin, before = _margin(right - left, above - below, width), np.nextafter(right, left)
    for t in range(order.shape[0]):
        k = order[t]
        px, py = x[k], y[k]
        in_box = (px >= left - width) & (px <= right + width) & (py >= below - width) & (py <= above + width)
        if not in_box:
            flags[k] = False
            continue
        if n > 2 and px >= left and px <= right:
            while a < n_lower - 2 and points[a + 1, 0] <= px:
                a += 1
            while u < n - n_lower and points[_upper(n_lower, n, u + 1), 0] <= min(px, before):
                u += 1
            low, square = _beyond(px, py, points[a], points[a + 1])
            if low < 0.0 and low * low > width * width * square:
                flags[k] = False
                continue
            # Against the clock the upper chain goes from right to left.
            one, two = points[_upper(n_lower, n, u + 1)], points[_upper(n_lower, n, u)]
            high, square = _beyond(px, py, one, two)
            if high < 0.0 and high * high > width * width * square:
                flags[k] = False
                continue
            if low >= margin * (points[a + 1, 0] - points[a, 0]) and high >= margin * (one[0] - two[0]):
                flags[k] = True
                continue
        flags[k] = _is_inside(px, py, points, n, width)


@njit(**INNER_VIEWS)
def _weight_of(flags, weights, start, stop):
    """Weight of the samples from start to below stop that have a flag."""
    total = 0.0
    for k in range(start, stop):
        total += weights[k] if flags[k] else 0.0
    return total


@njit(**INNER_VIEWS)
def _add_samples(x, y, flags, start, stop, inside):
    """Add the samples from start to below stop that have a flag."""
    for k in range(start, stop):
        if flags[k]:
            inside.points[inside.counts[0], 0], inside.points[inside.counts[0], 1] = x[k], y[k]
            inside.counts[0] += 1


@njit(**INNER_VIEWS)
def _add_crossings(one, n_one, two, n_two, inside):
    """Add the points where edges of two polygons meet; returns how many of these lie within both edges."""
    n_within = 0
    for a in range(n_one):
        p, q = one[a], one[a + 1 if a + 1 < n_one else 0]
        for b in range(n_two):
            r, s = two[b], two[b + 1 if b + 1 < n_two else 0]
            if max(p[0], q[0]) < min(r[0], s[0]) or max(r[0], s[0]) < min(p[0], q[0]):
                continue
            det = (q[0] - p[0]) * (s[1] - r[1]) - (q[1] - p[1]) * (s[0] - r[0])
            if det == 0.0:
                continue
            u = ((r[0] - p[0]) * (s[1] - r[1]) - (r[1] - p[1]) * (s[0] - r[0])) / det
            v = ((r[0] - p[0]) * (q[1] - p[1]) - (r[1] - p[1]) * (q[0] - p[0])) / det
            if u < 0.0 or u > 1.0 or v < 0.0 or v > 1.0:
                continue
            n_within += 0.0 < u < 1.0 and 0.0 < v < 1.0
            inside.points[inside.counts[0], 0] = p[0] + u * (q[0] - p[0])
            inside.points[inside.counts[0], 1] = p[1] + u * (q[1] - p[1])
            inside.counts[0] += 1
    return n_within


@njit(**INNER_VIEWS)
def _distance(one, n_one, two, n_two):
    """Distance of two polygons that do not meet."""
    square = np.inf
    for a in range(n_one):
        for b in range(n_two):
            edge = two[b + 1 if b + 1 < n_two else 0]
            square = min(square, _square_to_edge(one[a, 0], one[a, 1], two[b], edge))
            edge = one[a + 1 if a + 1 < n_one else 0]
            square = min(square, _square_to_edge(two[b, 0], two[b, 1], one[a], edge))
    return np.sqrt(square)


@njit(**INNER_VIEWS)
def _pick_extremes(y, order, low, high):
    """The lowest and the highest of each of some parts of samples, and the first and the last of all.

    order (m,): their numbers in order of x; low, high (n_parts + 2,): where they go.
    """
    m, n_parts = order.shape[0], low.shape[0] - 2
    low[0], high[0], low[n_parts + 1], high[n_parts + 1] = order[0], order[0], order[m - 1], order[m - 1]
    for part in range(n_parts):
        least, most = order[part * m // n_parts], order[part * m // n_parts]
        for t in range(part * m // n_parts, (part + 1) * m // n_parts):
            k = order[t]
            least = k if y[k] < y[least] else least
            most = k if y[k] > y[most] else most
        low[part + 1], high[part + 1] = least, most


@njit(**INNER_VIEWS)
def _weight_within(x, y, order, polygon, weights, width, enough):
    """Weight of samples that clearly lie in a polygon, of some once it is more than enough; order (m,): as for `_find_inside`."""
    points, n_lower, n = polygon
    below, above, total, a, u = np.inf, -np.inf, 0.0, 0, 0
    for t in range(n):
        below, above = min(below, points[t, 1]), max(above, points[t, 1])
    left, right = points[0, 0], points[n_lower - 1, 0]
    margin, before = _margin(right - left, above - below, width), np.nextafter(right, left)
    one, two = points[_upper(n_lower, n, 1)], points[0]
    for t in range(order.shape[0]):
        px, py = x[order[t]], y[order[t]]
        if px < left or px > right:
            continue
        while a < n_lower - 2 and points[a + 1, 0] <= px:
            a += 1
        while u < n - n_lower and points[_upper(n_lower, n, u + 1), 0] <= min(px, before):
            u += 1
            one, two = points[_upper(n_lower, n, u + 1)], points[_upper(n_lower, n, u)]
        low, _ = _beyond(px, py, points[a], points[a + 1])
        high, _ = _beyond(px, py, one, two)
        is_inside = (low >= margin * (points[a + 1, 0] - points[a, 0])) & (high >= margin * (one[0] - two[0]))
        total += weights[order[t]] if is_inside else 0.0
        if total > enough:
            break
    return total


@njit(**INNER_VIEWS)
def _is_worse(x, y, order, plane, room, most):
    """Whether the overlaps have more weight than `most` for sure: that in polygons within the hulls tells."""
    starts, total, (low, high, lower, upper, points) = plane.starts, 0.0, room
    enough = most + NEAR * (1.0 + most)
    for c in range(starts.shape[0] - 1):
        own = order[starts[c] : starts[c + 1]]
        if not plane.is_convex[c] or own.shape[0] < 3:
            continue
        _pick_extremes(y, own, low, high)
        n_lower, n = _hull(x, y, low, high, lower, upper, points)
        for other in range(starts.shape[0] - 1):
            if other != c and n > 2:
                rest = order[starts[other] : starts[other + 1]]
                total += _weight_within(x, y, rest, (points, n_lower, n), plane.weights, plane.width, enough - total)
                if total > enough:
                    return True
    return False


@njit(**INNER)
def _area_around(inside):
    """Area of the hull of the points of an overlap."""
    n = inside.counts[0]
    x, y = inside.points[:n, 0].copy(), inside.points[:n, 1].copy()
    order = np.argsort(x)
    lower, upper, points = np.empty((n, 2)), np.empty((n, 2)), np.empty((2 * n, 2))
    _, count = _hull(x, y, order, order, lower, upper, points)
    area = _area(points, count)
    return area if area >= FLAT else 0.0


@njit(**INNER)
def _in_plane(x, y, order, plane, room, most):
    """Weight in the overlaps of the classes in the plane of two features and their size; infinite where the weight is above `most`.

    order (n,): numbers of the samples in order of x, class by class.
    """
    hulls, lower, upper, inside = room
    starts, weights, is_convex, width = plane
    n_classes, flags = starts.shape[0] - 1, inside.flags
    for c in range(n_classes):
        own = order[starts[c] : starts[c + 1]]
        hulls.n_lower[c], hulls.n_all[c] = _hull(x, y, own, own, lower, upper, hulls.points[c])
        area = _area(hulls.points[c], hulls.n_all[c])
        hulls.areas[c] = area if area >= FLAT else 0.0
    total, size, gap, n_pairs, meets = 0.0, 0.0, -np.inf, 0, False
    for i in range(n_classes - 1):
        for j in range(i + 1, n_classes):
            (ai, zi), (aj, zj) = (starts[i], starts[i + 1]), (starts[j], starts[j + 1])
            ni, nj = zi - ai, zj - aj
            if ni == 0 or nj == 0 or not (is_convex[i] or is_convex[j]):
                continue
            both = is_convex[i] and is_convex[j]
            is_line = (ni > 2 and hulls.areas[i] == 0.0) or (nj > 2 and hulls.areas[j] == 0.0)
            if both and is_line:
                total += weights[ai:zi].sum() + weights[aj:zj].sum()
            else:
                if is_convex[i]:
                    polygon = hulls.points[i], hulls.n_lower[i], hulls.n_all[i]
                    _find_inside(x, y, order[aj:zj], polygon, width, flags)
                    total += _weight_of(flags, weights, aj, zj)
                if is_convex[j] and total <= most:
                    polygon = hulls.points[j], hulls.n_lower[j], hulls.n_all[j]
                    _find_inside(x, y, order[ai:zi], polygon, width, flags)
                    total += _weight_of(flags, weights, ai, zi)
            if total > most:
                return np.inf, np.inf
            if not both:
                continue
            n_pairs += 1
            share = 0.0
            if not is_line:
                one, two = (hulls.points[i], hulls.n_all[i]), (hulls.points[j], hulls.n_all[j])
                inside.counts[0] = 0
                _add_samples(x, y, flags, aj, zj, inside)
                _add_samples(x, y, flags, ai, zi, inside)
                n_within = _add_crossings(one[0], one[1], two[0], two[1], inside)
                if n_within > 2:  # the hulls cross each other
                    total += weights[ai:zi].sum() + weights[aj:zj].sum()
                if inside.counts[0] == 0:
                    share = -_distance(one[0], one[1], two[0], two[1])
                elif inside.counts[0] > 2:
                    share = _area_around(inside)
            if share < 0.0:
                gap = max(gap, share)
            else:
                meets = True
                smaller = min(hulls.areas[i], hulls.areas[j])
                size += share / smaller if smaller > 0.0 else 1.0
    if meets:
        return total, size / n_pairs
    return total, gap if n_pairs else 0.0


@njit(**OPTIONS)
def scan_planes(values, orders, firsts, plane, top, totals, sizes):
    """Weight in the overlaps and their size in the planes of pairs of features; infinite where others have less weight.

    values (m, n), samples class by class; orders (m, n): numbers of the samples in order of each feature, class by class; firsts:
    range of the first member of a pair; top (keep,): the least weights so far, ascending; totals, sizes (m, m).
    """
    m, n = values.shape
    n_classes, keep = plane.starts.shape[0] - 1, top.shape[0]
    points = np.empty((n_classes, 2 * n + 2, 2))
    counts = np.empty(n_classes, np.int64), np.empty(n_classes, np.int64)
    hulls = Hulls(points, counts[0], counts[1], np.empty(n_classes))
    inside = Inside(np.empty((8 * n + 8, 2)), np.zeros(1, np.int64), np.empty(n, np.bool_))
    room = hulls, np.empty((n, 2)), np.empty((n, 2)), inside
    numbers, chains = np.empty((2, N_PARTS + 2), np.int64), np.empty((4, N_PARTS + 2, 2))
    inner = numbers[0], numbers[1], chains[0], chains[1], chains[2:].reshape((2 * N_PARTS + 4, 2))
    for i in range(firsts[0], firsts[1]):
        for j in range(i + 1, m):
            x, y = values[i], values[j]
            if _is_worse(x, y, orders[i], plane, inner, top[keep - 1]):
                totals[i, j] = np.inf
                continue
            totals[i, j], sizes[i, j] = _in_plane(x, y, orders[i], plane, room, top[keep - 1])
            at = keep
            while at > 0 and top[at - 1] > totals[i, j]:
                at -= 1
            for k in range(keep - 1, at, -1):
                top[k] = top[k - 1]
            if at < keep:
                top[at] = totals[i, j]


@njit(**OPTIONS)
def are_inside(x, y, order, px, py, width, out):
    """Whether points px, py (m,) lie in the hull of others x, y (n,), or at most `width` from it, in out (m,).

    order (n,): numbers of the others in order of x.
    """
    n = x.shape[0]
    lower, upper, points = np.empty((n, 2)), np.empty((n, 2)), np.empty((2 * n + 2, 2))
    _, count = _hull(x, y, order, order, lower, upper, points)
    for k in range(px.shape[0]):
        out[k] = _is_inside(px[k], py[k], points, count, width)
