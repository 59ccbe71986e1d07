"""Distances to the nearest labelled materials, in primary features that a scale makes comparable."""

from __future__ import annotations

import numpy as np

CONSTANT = 1e-12
"""A column whose spread is no larger a share of its mean is constant but for rounding."""


def spread_of(rows: np.ndarray, *, least: float = 0.0) -> np.ndarray:
    """ndarray (n_primary,): standard deviation of each column of rows (n, n_primary), in its unit; 1 for a constant column.

    Parameters
    ----------
    rows : ndarray (n, n_primary)
    least : float
        A column is constant if its standard deviation is no larger than this share of its mean.

    Examples
    --------
    >>> spread_of(np.array([[0.0, 5.0], [2.0, 5.0]]))
    array([1., 1.])
    """
    spread = rows.std(axis=0)
    return np.where(spread > least * np.abs(rows.mean(axis=0)), spread, 1.0)


def nearest(
    features: np.ndarray, labelled: np.ndarray, scale: np.ndarray, count: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distances to the nearest labelled materials, and which these are.

    Parameters
    ----------
    features : ndarray (n, n_primary)
        Finite.
    labelled : ndarray (n_labelled, n_primary)
        At least `count` of them.
    scale : ndarray (n_primary,)
        In which each column is measured, see `spread_of`.
    count : int
        How many.

    Returns
    -------
    distance : ndarray (n, count)
        No unit; nearest first.
    number : ndarray (n, count) of int
        Rows of `labelled`.

    Examples
    --------
    >>> nearest(np.array([[1.0], [9.0]]), np.array([[0.0], [4.0]]), np.array([2.0]))[0].ravel()
    array([0.5, 2.5])
    """
    from scipy.spatial import KDTree

    distance, number = KDTree(labelled / scale).query(features / scale, k=count)
    return distance.reshape(len(features), count), number.reshape(len(features), count)


def usual_distance(labelled: np.ndarray, scale: np.ndarray) -> float:
    """Median distance between a labelled material and the labelled one nearest to it; 1 where that is 0, or there is one only.

    Examples
    --------
    >>> usual_distance(np.array([[0.0], [1.0], [4.0]]), np.array([1.0]))
    1.0
    """
    if len(labelled) < 2:
        return 1.0
    return float(np.median(nearest(labelled, labelled, scale, 2)[0][:, 1])) or 1.0


def relative_distance(features: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Distance to the nearest labelled material in units of `usual_distance`; NaN where a feature is not finite.

    Parameters
    ----------
    features : ndarray (n, n_primary)
    labelled : ndarray (n_labelled, n_primary)

    Returns
    -------
    ndarray (n,)

    Examples
    --------
    >>> relative_distance(np.array([[2.0], [7.0]]), np.array([[0.0], [2.0], [4.0]]))
    array([0. , 1.5])
    """
    scale = spread_of(labelled, least=CONSTANT)
    known = np.isfinite(features).all(axis=1)
    out = np.full(len(features), np.nan)
    out[known] = nearest(features[known], labelled, scale)[0][:, 0] / usual_distance(labelled, scale)
    return out
