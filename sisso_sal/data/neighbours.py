"""Distances to the nearest labelled materials, in primary features that a scale makes comparable."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Labelled materials from which distances are measured, in units of their usual distance. Plain data.

    Attributes
    ----------
    scale : ndarray (n_primary,)
        In which each column is measured, see `spread_of`.
    columns : ndarray (n_primary, n_labelled)
        The labelled materials, in that scale.
    usual : float
        See `usual_distance`.

    Examples
    --------
    >>> Neighbourhood.of(np.array([[0.0], [2.0], [4.0]])).distance(np.array([[2.0], [7.0]]))
    array([0. , 1.5])
    """

    scale: np.ndarray
    columns: np.ndarray
    usual: float

    @classmethod
    def of(cls, labelled: np.ndarray) -> Neighbourhood:
        """That of labelled materials (n_labelled, n_primary)."""
        scale = spread_of(labelled, least=CONSTANT)
        return cls(scale, np.ascontiguousarray((labelled / scale).T), usual_distance(labelled, scale))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """ndarray (n,): distance of materials (n, n_primary) from the nearest labelled one; NaN where a feature is not finite."""
        known = np.isfinite(features).all(axis=1)
        out = np.full(len(features), np.nan)
        out[known] = _nearest_distance(self.columns, features[known] / self.scale) / self.usual
        return out


def _nearest_distance(columns: np.ndarray, rows: np.ndarray, *, is_same: bool = False) -> np.ndarray:
    """ndarray (n,): distance of rows (n, n_primary) from the nearest of columns (n_primary, n_labelled); see the kernel."""
    from sisso_sal.data._nearest import nearest_squares

    out = np.empty(len(rows))
    nearest_squares(columns, np.ascontiguousarray(rows), is_same, out)
    return np.sqrt(out)


def usual_distance(labelled: np.ndarray, scale: np.ndarray) -> float:
    """Median distance between a labelled material and the labelled one nearest to it; 1 where that is 0, or there is one only.

    Examples
    --------
    >>> usual_distance(np.array([[0.0], [1.0], [4.0]]), np.array([1.0]))
    1.0
    """
    if len(labelled) < 2:
        return 1.0
    rows = labelled / scale
    return float(np.median(_nearest_distance(np.ascontiguousarray(rows.T), rows, is_same=True))) or 1.0


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
    return Neighbourhood.of(labelled).distance(features)
