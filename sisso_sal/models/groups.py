"""Which labelled rows are one material. Such rows are drawn, left out and held back together.

Rows of one composition (replicates, polymorphs) tell of each other. An error that was measured on one of them by what saw another
is too small.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.errors import FitError, SettingsError

SAME_SHARE = 1e-9
"""Shares of an element that differ by no more than this part are equal: formulas are divided by their number of atoms."""

FEWEST_COMPOSITIONS = 5
"""Rows of one composition are one material if there are at least so many compositions. Structures of a few compositions are told
apart by something else; nothing could be learned of two materials by leaving one out.
"""

FEWEST_DISTINCT = 20
"""Rows with equal features are one material if at least so many different ones are left. Features that take a few values only, such
as a valence, do not tell materials apart.
"""


@dataclass(frozen=True)
class Grouping:
    """What decided which rows are one material.

    Attributes
    ----------
    by : str
        ``column``, ``composition``, ``features``, or "" where each row is one.
    column : str
        Its header, where a column decided.
    """

    by: str = ""
    column: str = ""


EACH_ALONE = Grouping()


class Provenance(NamedTuple):
    """Where labels come from: which material each is of, and its error.

    Rows with the same number in `groups` (n,) are one material; None where each is one. `errors` (n,) are standard deviations of
    the labels, on their scale; None where no label has one.
    """

    groups: np.ndarray | None = None
    errors: np.ndarray | None = None


NOTHING_TOLD = Provenance()


def grouped(
    X: np.ndarray, groups: Any = None, composition: np.ndarray | None = None, *, column: str = ""
) -> tuple[np.ndarray, Grouping]:
    """Numbers of the materials that rows belong to, and what decided: the groups that are given, else compositions, else features.

    Parameters
    ----------
    X : ndarray (n, n_primary)
        Primary features.
    groups : array (n,), optional
        Text or numbers; a row without one (None, "", NaN) is a material of its own.
    composition : ndarray (n, n_elements), optional
        Share of each element; equal up to `SAME_SHARE`, they are one material, if there are at least `FEWEST_COMPOSITIONS`.
    column : str
        Header of the groups.

    Returns
    -------
    ndarray (n,) of int, Grouping
        Rows with the same number are one material.

    Raises
    ------
    FitError
        There are other groups than rows.

    Examples
    --------
    >>> X = np.arange(4.0)[:, None]
    >>> grouped(X, ["a", "b", "a", ""])[0].tolist()
    [0, 1, 0, 2]
    >>> same_composition(np.array([[1 / 3], [2 / 6], [0.5], [0.2]])).tolist()
    [1, 1, 2, 0]
    """
    if groups is not None:
        if np.shape(groups) != (len(X),):
            raise FitError(
                f"groups: needs one for each of {len(X)} samples, found an array of shape {np.shape(groups)}"
            )
        return group_numbers(groups), Grouping("column", column)
    if composition is not None:
        number = same_composition(composition)
        has_enough = len(np.unique(number)) >= min(FEWEST_COMPOSITIONS, len(X))
        return (number, Grouping("composition")) if has_enough else (np.arange(len(X)), EACH_ALONE)
    number = _parted(X, 0.0)
    if FEWEST_DISTINCT <= len(np.unique(number)) < len(X):
        return number, Grouping("features")
    return np.arange(len(X)), EACH_ALONE


def group_numbers(groups: Iterable[Any]) -> np.ndarray:
    """ndarray (n,) of int: a number for each group, and one for each row without a group (None, "", NaN).

    Examples
    --------
    >>> group_numbers(["a", "", "a", ""]).tolist()
    [0, 1, 0, 2]
    """
    numbers: dict[Any, int] = {}
    out: list[int] = []
    for row, cell in enumerate(groups):
        # NaN differs from itself; the missing value of pandas can only be told by its type.
        is_alone = cell is None or type(cell).__name__ == "NAType" or cell == "" or cell != cell
        out.append(numbers.setdefault(("alone", row) if is_alone else cell, len(numbers)))
    return np.array(out, dtype=np.int64)


def same_composition(shares: np.ndarray) -> np.ndarray:
    """ndarray (n,) of int: rows of shares (n, n_elements) that are equal up to `SAME_SHARE` have the same number."""
    return _parted(shares, SAME_SHARE)


def _parted(rows: np.ndarray, tolerance: float) -> np.ndarray:
    """ndarray (n,) of int: rows (n, n_columns) whose columns all agree have the same number.

    Column by column, each part is parted again; those with a zero stay as they are, so that zeros cost nothing.
    """
    number = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        others = np.flatnonzero(column)
        if len(others):
            keys = number[others] * len(rows) + _places(column[others], tolerance)
            number[others] = number.max() + 1 + np.unique(keys, return_inverse=True)[1]
    return np.unique(number, return_inverse=True)[1]


def _places(values: np.ndarray, tolerance: float) -> np.ndarray:
    """ndarray (n,) of int: places in order; neighbours that differ by no more than this part have the same one."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    out = np.empty(len(values), dtype=np.int64)
    out[order] = np.append(0, np.cumsum(np.diff(ordered) > tolerance * np.abs(ordered[1:])))
    return out


def canonical_order(
    columns: np.ndarray, target: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Row order that depends on the content alone: by target, then by the features in turn, then by weight, then by group.

    Sums run in this order, so that a shuffled table gives the same bits.

    Parameters
    ----------
    columns : ndarray (n_primary, n)
    target, weights : ndarray (n,)
    groups : ndarray (n,) of int, optional
        In `canonical_numbers`.

    Examples
    --------
    >>> canonical_order(np.array([[3.0, 1.0, 2.0]]), np.array([0.5, 0.5, 0.1]), np.ones(3))
    array([2, 1, 0])
    """
    last = () if groups is None else (groups,)
    return np.lexsort((*last, weights, *columns[::-1], target))


def canonical_numbers(
    columns: np.ndarray, target: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Numbers of the groups from 0 on that depend on what their rows hold, not on how the groups or rows were numbered.

    A group stands where its first row stands in `canonical_order`; without groups each row is one.

    Parameters
    ----------
    columns : ndarray (n_primary, n)
    target, weights : ndarray (n,)
    groups : ndarray (n,) of int, optional

    Returns
    -------
    ndarray (n,) of int

    Examples
    --------
    >>> canonical_numbers(np.array([[1.0, 1.0, 2.0]]), np.array([0.5, 0.1, 0.3]), np.ones(3), np.array([7, 7, 4])).tolist()
    [0, 0, 1]
    """
    order = canonical_order(columns, target, weights)
    out = np.empty(len(order), dtype=np.int64)
    if groups is None or len(np.unique(groups)) == len(groups):
        out[order] = np.arange(len(order))
        return out
    content = np.vstack([columns, target, weights])[:, order]
    rank = np.append(0, np.cumsum((content[:, 1:] != content[:, :-1]).any(axis=0)))
    ranks_of: dict[int, list[int]] = {}
    for row, place in zip(order.tolist(), rank.tolist(), strict=True):
        ranks_of.setdefault(int(groups[row]), []).append(place)
    # Groups that hold equal rows are told apart by their other rows; those that hold the same can change places.
    number = {group: place for place, group in enumerate(sorted(ranks_of, key=ranks_of.__getitem__))}
    out[:] = [number[int(group)] for group in groups]
    return out


def fold_numbers(X: np.ndarray, y: np.ndarray, folds: int, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """ndarray (n,) of int: the fold of each sample, by its content alone; folds differ by one material at most.

    Samples with the same number in `groups` (n,) are one material; by default each is one.

    Raises
    ------
    SettingsError
        Fewer than two folds, or more than materials.

    Examples
    --------
    >>> fold_numbers(np.arange(6.0)[:, None], np.arange(6.0), 3, seed=0).tolist()
    [0, 2, 2, 1, 0, 1]
    """
    material = canonical_numbers(np.ascontiguousarray(X.T), y, np.ones(len(y)), groups)
    most = n_materials(material)
    if not 2 <= folds <= most:
        counted = "" if most == len(y) else f", as there are {most} materials"
        raise SettingsError(f"folds: needs a number from 2 to {most}{counted}, found {folds}")
    return (np.random.default_rng(seed).permutation(most) % folds)[material]


def consecutive(groups: np.ndarray) -> np.ndarray:
    """ndarray (n,) of int: the same groups numbered from 0 on without gaps, in the same order.

    Examples
    --------
    >>> consecutive(np.array([4, 9, 4])).tolist()
    [0, 1, 0]
    """
    return np.unique(groups, return_inverse=True)[1]


def in_order_of_rows(groups: np.ndarray) -> np.ndarray:
    """ndarray (n,) of int: the same groups numbered from 0 on, in the order in which they first occur.

    Examples
    --------
    >>> in_order_of_rows(np.array([9, 4, 9])).tolist()
    [0, 1, 0]
    """
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]


def n_materials(groups: np.ndarray) -> int:
    """How many different groups there are.

    Examples
    --------
    >>> n_materials(np.array([4, 9, 4]))
    2
    """
    return len(np.unique(groups))


def error_of_mean(values: np.ndarray, groups: np.ndarray) -> float:
    """Standard error of the mean of values (n,), of which those of one group (n,) are not independent.

    Examples
    --------
    >>> round(error_of_mean(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1])), 3)
    1.0
    """
    n, n_groups = len(values), n_materials(groups)
    if n_groups == n:
        return float(values.std(ddof=1) / np.sqrt(n))
    sums = np.bincount(consecutive(groups), weights=values - values.mean())
    return float(np.sqrt((sums**2).sum() * n_groups / max(n_groups - 1, 1)) / n)
