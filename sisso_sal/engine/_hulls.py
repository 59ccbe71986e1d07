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

Inside = namedtuple("Inside", "points counts")
"""The samples in an overlap: points (n + 4 n, 2) and counts (1,) how many there are."""


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
def _hull(x, y, order, lower, upper, points):
    """Vertices of the hull in points; returns the lengths of the lower chain and of all."""
    n_lower = _chain(x, y, order, 1.0, lower)
    n_upper = _chain(x, y, order, -1.0, upper)
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
def _weight_inside(x, y, span, weights, polygon, width, inside):
    """Weight of the samples in a polygon; they are added to `inside`."""
    points, n = polygon
    left, right, below, above = np.inf, -np.inf, np.inf, -np.inf
    for a in range(n):
        left, right = min(left, points[a, 0]), max(right, points[a, 0])
        below, above = min(below, points[a, 1]), max(above, points[a, 1])
    total = 0.0
    for k in range(span[0], span[1]):
        px, py = x[k], y[k]
        in_box = (px >= left - width) & (px <= right + width) & (py >= below - width) & (py <= above + width)
        if in_box and _is_inside(px, py, points, n, width):
            total += weights[k]
            inside.points[inside.counts[0], 0], inside.points[inside.counts[0], 1] = px, py
            inside.counts[0] += 1
    return total


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
def _weight_in_quadrangle(x, y, corners, weights, start, stop):
    """Weight of the samples from start to below stop in the quadrangle of four corners, which come against the clock."""
    a, b, c, d = corners
    total = 0.0
    for k in range(start, stop):
        inside = (x[b] - x[a]) * (y[k] - y[a]) - (y[b] - y[a]) * (x[k] - x[a]) >= 0.0
        inside &= (x[c] - x[b]) * (y[k] - y[b]) - (y[c] - y[b]) * (x[k] - x[b]) >= 0.0
        inside &= (x[d] - x[c]) * (y[k] - y[c]) - (y[d] - y[c]) * (x[k] - x[c]) >= 0.0
        inside &= (x[a] - x[d]) * (y[k] - y[d]) - (y[a] - y[d]) * (x[k] - x[d]) >= 0.0
        total += weights[k] if inside else 0.0
    return total


@njit(**INNER_VIEWS)
def _least_weight(x, y, by_x, by_y, plane):
    """A weight that the overlaps have at least: that in quadrangles within the hulls."""
    starts, total = plane.starts, 0.0
    for c in range(starts.shape[0] - 1):
        first, last = starts[c], starts[c + 1] - 1
        if not plane.is_convex[c] or last - first < 3:
            continue
        corners = by_x[first], by_y[first], by_x[last], by_y[last]
        if x[corners[0]] == x[corners[2]] or y[corners[1]] == y[corners[3]]:
            continue
        total += _weight_in_quadrangle(x, y, corners, plane.weights, 0, first)
        total += _weight_in_quadrangle(x, y, corners, plane.weights, last + 1, starts[starts.shape[0] - 1])
    return total


@njit(**INNER)
def _area_around(inside):
    """Area of the hull of the points of an overlap."""
    n = inside.counts[0]
    x, y = inside.points[:n, 0].copy(), inside.points[:n, 1].copy()
    order = np.argsort(x)
    lower, upper, points = np.empty((n, 2)), np.empty((n, 2)), np.empty((2 * n, 2))
    _, count = _hull(x, y, order, lower, upper, points)
    area = _area(points, count)
    return area if area >= FLAT else 0.0


@njit(**INNER)
def _in_plane(x, y, order, plane, room, most):
    """Weight in the overlaps of the classes in the plane of two features and their size; infinite where the weight is above `most`.

    order (n,): numbers of the samples in order of x, class by class.
    """
    hulls, lower, upper, inside = room
    starts, weights, is_convex, width = plane
    n_classes = starts.shape[0] - 1
    for c in range(n_classes):
        own = order[starts[c] : starts[c + 1]]
        hulls.n_lower[c], hulls.n_all[c] = _hull(x, y, own, lower, upper, hulls.points[c])
        area = _area(hulls.points[c], hulls.n_all[c])
        hulls.areas[c] = area if area >= FLAT else 0.0
    total, size, gap, n_pairs, meets = 0.0, 0.0, -np.inf, 0, False
    for i in range(n_classes - 1):
        for j in range(i + 1, n_classes):
            ni, nj = starts[i + 1] - starts[i], starts[j + 1] - starts[j]
            if ni == 0 or nj == 0 or not (is_convex[i] or is_convex[j]):
                continue
            one, two = (hulls.points[i], hulls.n_all[i]), (hulls.points[j], hulls.n_all[j])
            inside.counts[0] = 0
            both = is_convex[i] and is_convex[j]
            is_line = (ni > 2 and hulls.areas[i] == 0.0) or (nj > 2 and hulls.areas[j] == 0.0)
            if both and is_line:
                total += weights[starts[i] : starts[i + 1]].sum() + weights[starts[j] : starts[j + 1]].sum()
            else:
                if is_convex[i]:
                    total += _weight_inside(x, y, (starts[j], starts[j + 1]), weights, one, width, inside)
                if is_convex[j] and total <= most:
                    total += _weight_inside(x, y, (starts[i], starts[i + 1]), weights, two, width, inside)
            if total > most:
                return np.inf, np.inf
            if not both:
                continue
            n_pairs += 1
            share = 0.0
            if not is_line:
                n_within = _add_crossings(one[0], one[1], two[0], two[1], inside)
                if n_within > 2:  # the hulls cross each other
                    total += weights[starts[i] : starts[i + 1]].sum() + weights[starts[j] : starts[j + 1]].sum()
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
    inside = Inside(np.empty((8 * n + 8, 2)), np.zeros(1, np.int64))
    room = hulls, np.empty((n, 2)), np.empty((n, 2)), inside
    for i in range(firsts[0], firsts[1]):
        for j in range(i + 1, m):
            x, y = values[i], values[j]
            if _least_weight(x, y, orders[i], orders[j], plane) > top[keep - 1]:
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
    _, count = _hull(x, y, order, lower, upper, points)
    for k in range(px.shape[0]):
        out[k] = _is_inside(px[k], py[k], points, count, width)
