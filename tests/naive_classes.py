"""Slow, obvious twins of what the engine does for classes."""

from __future__ import annotations

from itertools import combinations

import numpy as np


def overlap_of_intervals(row, labels, weights, is_convex, width):
    """Weight in the overlaps of the classes along one feature, and their size."""
    total, sizes, gaps = 0.0, [], []
    for a, b in combinations(np.unique(labels), 2):
        one, two = row[labels == a], row[labels == b]
        for domain, others, c in ((one, b, a), (two, a, b)):
            if is_convex[c]:
                for value, weight in zip(row[labels == others], weights[labels == others], strict=True):
                    total += weight * (domain.min() - width <= value <= domain.max() + width)
        if is_convex[a] and is_convex[b]:
            length = min(one.max(), two.max()) - max(one.min(), two.min())
            shorter = min(np.ptp(one), np.ptp(two))
            (gaps if length < 0 else sizes).append(length if length < 0 else length / shorter if shorter else 1.0)
    return total, _size(sizes, gaps)


def overlap_of_hulls(points, labels, weights, is_convex):
    """The same in the plane of two features, points (n, 2), with hulls that are not widened."""
    total, sizes, gaps = 0.0, [], []
    for a, b in combinations(np.unique(labels), 2):
        one, two = polygon(points[labels == a]), polygon(points[labels == b])
        for domain, others, c in ((one, b, a), (two, a, b)):
            if is_convex[c]:
                inside = [is_inside(point, domain) for point in points[labels == others]]
                total += weights[labels == others][inside].sum()
        if is_convex[a] and is_convex[b]:
            if crossings(one, two) > 2:
                total += weights[labels == a].sum() + weights[labels == b].sum()
            common = area(clipped(one, two))
            if common > 0:
                sizes.append(common / min(area(one), area(two)))
            else:
                gaps.append(-distance(one, two))
    return total, _size(sizes, gaps)


def _size(sizes, gaps):
    if sizes:
        return sum(sizes) / (len(sizes) + len(gaps))
    return max(gaps) if gaps else 0.0


def polygon(points):
    """The corners of the hull, against the clock: each line through two points that has all others on its left."""
    turn = {}
    for i, j in ((i, j) for i in range(len(points)) for j in range(len(points)) if i != j):
        if all(cross(points[i], points[j], points[k]) > 0 for k in range(len(points)) if k not in (i, j)):
            turn[i] = j
    start = min(turn)
    out, k = [start], turn[start]
    while k != start:
        out.append(k)
        k = turn[k]
    return points[out]


def cross(a, b, p):
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def edges(corners):
    return list(zip(corners, np.roll(corners, -1, axis=0), strict=True))


def is_inside(point, corners):
    return all(cross(a, b, point) >= 0 for a, b in edges(corners))


def area(corners):
    return 0.5 * abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in edges(corners))) if len(corners) > 2 else 0.0


def clipped(one, two):
    """The part of a convex polygon in another one, cut off edge by edge."""
    out = list(one)
    for a, b in edges(two):
        before, out = out, []
        for p, q in zip(before, before[1:] + before[:1], strict=True):
            at_p, at_q = cross(a, b, p), cross(a, b, q)
            if at_p >= 0:
                out.append(p)
            if at_p * at_q < 0:
                out.append(p + (q - p) * at_p / (at_p - at_q))
    return np.array(out)


def crossings(one, two):
    count = 0
    for (a, b), (c, d) in ((e, f) for e in edges(one) for f in edges(two)):
        count += cross(a, b, c) * cross(a, b, d) < 0 and cross(c, d, a) * cross(c, d, b) < 0
    return count


def distance(one, two):
    def to_edge(p, a, b):
        along = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        return np.linalg.norm(p - a - along * (b - a))

    return min(
        *(to_edge(p, *edge) for p in one for edge in edges(two)),
        *(to_edge(p, *edge) for p in two for edge in edges(one)),
    )


def best_threshold(row, signed):
    """Share of the lighter side that the best threshold tells beyond the guess of the heavier one."""
    positive, negative = signed[signed > 0].sum(), -signed[signed < 0].sum()
    best = 0.0
    for cut in np.append(np.unique(row), np.inf):
        below = signed[row < cut].sum()
        best = max(best, negative + below, positive - below)
    return (best - max(positive, negative)) / min(positive, negative)


def scaled_mean(members, factor, offsets):
    """Mean of the probabilities of members (lists) that are defined, scaled: with the spread that they give to the class told."""
    known = [own for own in members if not any(np.isnan(own))]
    k = len(offsets)
    if not known:
        return {"n": 0, "probability": [np.nan] * k, "spread": np.nan}

    def scaled(own):
        odds = [max(own[c], 1e-6) ** factor * np.exp(offsets[c]) for c in range(k)]
        return [one / sum(odds) for one in odds]

    mean = scaled([sum(own[c] for own in known) / len(known) for c in range(k)])
    told = [scaled(own)[int(np.argmax(mean))] for own in known]
    return {"n": len(known), "probability": mean, "spread": np.std(told, ddof=1) if len(told) > 1 else np.nan}
