"""Whether points lie in the convex hulls of others: intervals, polygons, and beyond by linear programs."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from sisso_sal.engine import _hulls


def are_inside(points: np.ndarray, hull: np.ndarray, width: float) -> np.ndarray:
    """Whether points lie in the convex hull of others, or at most `width` from it.

    Parameters
    ----------
    points : ndarray (dim, n)
    hull : ndarray (dim, n_hull)
        Points whose hull it is.
    width : float
        In three and more dimensions the distance along the axis along which it is largest.

    Returns
    -------
    ndarray (n,) of bool
        False where a coordinate is not finite.

    Examples
    --------
    >>> square = np.array([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    >>> are_inside(np.array([[0.5, 1.5], [0.5, 0.5]]), square, 0.0)
    array([ True, False])
    """
    out = np.logical_and.reduce(np.isfinite(points), axis=0)
    if len(points) == 1:
        return out & (points[0] >= hull[0].min() - width) & (points[0] <= hull[0].max() + width)
    for pair in combinations(range(len(points)), 2):
        if not (numbers := np.flatnonzero(out)).size:
            return out
        x, y = (np.ascontiguousarray(hull[axis]) for axis in pair)
        is_inside = np.empty(len(numbers), dtype=bool)
        px, py = (np.ascontiguousarray(points[axis, numbers]) for axis in pair)
        # A point within `width` along each axis is within the diagonal of its shadows.
        reach = width if len(points) == 2 else width * np.sqrt(2.0)
        _hulls.are_inside(x, y, np.argsort(x, kind="stable"), px, py, reach, is_inside)
        out[numbers] = is_inside
    if len(points) > 2:
        numbers = np.flatnonzero(out)
        out[numbers] = [_is_mixture(points[:, number], hull, width) for number in numbers]
    return out


def _is_mixture(point: np.ndarray, hull: np.ndarray, width: float) -> bool:
    """Whether a mixture of points of the hull is at most `width` from the point along each axis: a linear program, by HiGHS."""
    from scipy.optimize import linprog

    scale = np.ptp(hull, axis=1)
    scale[scale == 0.0] = 1.0
    shifted = (hull - point[:, None]) / scale[:, None]  # mixtures of sum 1 keep the shift
    reach = width / scale
    sums = np.ones((1, hull.shape[1]))
    bounds = np.concatenate([reach, reach]) + 1e-12
    result = linprog(
        np.zeros(hull.shape[1]),
        A_ub=np.concatenate([shifted, -shifted]),
        b_ub=bounds,
        A_eq=sums,
        b_eq=[1.0],
        bounds=(0.0, None),
        method="highs",
    )
    return result.status == 0
