"""Distances to the nearest labelled materials, in primary features that a scale makes comparable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CONSTANT = 1e-12
"""A column whose spread is no larger a share of its mean is constant but for rounding."""


_OF_OWN_GROUP = 16
"""Nearest points that are looked at for one of another group, before all of that group are left out."""


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


def near_distances(rows: np.ndarray, groups: np.ndarray, within: float) -> np.ndarray:
    """How far each row is from the nearest row of another group, in the column in which they differ most.

    Parameters
    ----------
    rows : ndarray (n, n_primary)
        Finite.
    groups : ndarray (n,) of int
    within : float
        Largest distance of interest, in units of the spread of each column (`spread_of`).

    Returns
    -------
    ndarray (n,)
        No unit; infinite where no row of another group is so near.

    Examples
    --------
    >>> rows = np.array([[0.0], [0.001], [4.0], [4.0]])
    >>> near_distances(rows, np.array([0, 1, 2, 2]), 0.01).round(4)
    array([0.0005, 0.0005,    inf,    inf])
    """
    points, place = np.unique(rows / spread_of(rows, least=CONSTANT) + 0.0, axis=0, return_inverse=True)
    place, number = place.reshape(-1), np.unique(groups, return_inverse=True)[1]
    lowest, highest = np.full(len(points), len(rows)), np.full(len(points), -1)
    np.minimum.at(lowest, place, number)
    np.maximum.at(highest, place, number)
    is_shared = lowest < highest
    out = np.where(is_shared, 0.0, np.inf)
    group = np.where(is_shared, -1, lowest)
    alone = np.flatnonzero(~is_shared)
    out[alone], is_open = _nearest_of_others(points, alone, group, within)
    left = alone[is_open][np.argsort(group[alone[is_open]], kind="stable")]
    inside = _Boxes.of(points)
    for part in np.split(left, 1 + np.flatnonzero(np.diff(group[left]))):
        near = inside.box(points[part], within)
        near = near[~np.isin(group[near], group[part])]
        if len(near):
            out[part] = _within(points[near], points[part], 1, within)[0][:, 0]
    return out[place]


class _Boxes(NamedTuple):
    """Points (n, n_columns), and each column of them in order: numbers and values."""

    points: np.ndarray
    numbers: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> _Boxes:
        numbers = np.argsort(points, axis=0)
        return cls(points, numbers, np.take_along_axis(points, numbers, axis=0))

    def box(self, some: np.ndarray, margin: float) -> np.ndarray:
        """Numbers of the points in the box around some points, and not farther from it than a margin."""
        if not len(some):
            return np.empty(0, dtype=np.int64)
        low, high = some.min(axis=0) - margin, some.max(axis=0) + margin
        columns = range(len(low))
        first = [int(np.searchsorted(self.values[:, c], low[c], "left")) for c in columns]
        behind = [int(np.searchsorted(self.values[:, c], high[c], "right")) for c in columns]
        fewest = min(columns, key=lambda c: behind[c] - first[c])
        numbers = self.numbers[first[fewest] : behind[fewest], fewest]
        return numbers[((self.points[numbers] >= low) & (self.points[numbers] <= high)).all(axis=1)]


def _within(points: np.ndarray, wanted: np.ndarray, count: int, within: float) -> tuple[np.ndarray, np.ndarray]:
    """Largest differences (n, count) from the nearest points, and which these are; infinite where there are fewer so near."""
    from scipy.spatial import KDTree

    apart, number = KDTree(points).query(wanted, k=count, p=np.inf, distance_upper_bound=within)
    return np.reshape(apart, (len(wanted), count)), np.reshape(number, (len(wanted), count))


def _nearest_of_others(
    points: np.ndarray, wanted: np.ndarray, group: np.ndarray, within: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distance (n,) of the wanted points from the nearest one of another group, and where only its own group was looked at (n,)."""
    count = min(_OF_OWN_GROUP, len(points))
    apart, number = _within(points, points[wanted], count, within)
    is_other = np.append(group, -2)[number] != group[wanted, None]
    nearest_one = np.where(is_other, apart, np.inf).min(axis=1, initial=np.inf)
    return nearest_one, np.isinf(nearest_one) & np.isfinite(apart[:, -1]) & (count < len(points))


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
