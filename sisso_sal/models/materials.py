"""What a fit tells of the materials that its labels are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sisso_sal.data.neighbours import near_distances, spread_of
from sisso_sal.models.groups import Grouping, n_materials
from sisso_sal.models.inputs import groups_of
from sisso_sal.protocols import Space

NEAR = 1e-3
"""Rows that differ by less than this part of the spread of every feature are told to be nearly equal."""


def materials_told(
    rows: np.ndarray, groups: np.ndarray, grouping: Grouping, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """How many materials the labelled rows are of, what decided, and which other rows are nearly equal.

    Parameters
    ----------
    rows : ndarray (n, n_primary)
        Primary features.
    groups : ndarray (n,) of int
        Rows with the same number are one material.
    grouping : Grouping
    names : sequence of str, optional
        Of the rows; by default their numbers from 0 on.

    Returns
    -------
    dict
        ``n_labels``; ``n`` materials; ``by`` and ``column`` of the grouping; ``near``: None, or ``n`` rows that are nearly equal to
        a row of another material, and ``example``, the names of the two that are nearest.

    Examples
    --------
    >>> rows = np.array([[0.0], [1e-4], [2.0], [2.0], [3.0]])
    >>> told = materials_told(rows, np.array([0, 1, 2, 2, 3]), Grouping("composition"))
    >>> told["n_labels"], told["n"], told["by"], told["near"]
    (5, 4, 'composition', {'n': 2, 'example': ['0', '1']})
    """
    called = [str(row) for row in range(len(rows))] if names is None else list(names)
    order = np.lexsort((*rows.T, groups))  # so that the last bits of a spread are the same in any order
    return {
        "n_labels": len(rows),
        "n": n_materials(groups),
        "by": grouping.by,
        "column": grouping.column,
        "near": _near(rows[order], groups[order], [called[row] for row in order.tolist()]),
    }


def materials_of(space: Space, rows: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Which candidates of these numbers (n,) are one material: ndarray (n,) of int; and `materials_told` of them."""
    X = space.rows(rows).matrix
    groups, grouping = groups_of(space, rows, X)
    return groups, materials_told(X, groups, grouping, [space.ids[row] for row in rows.tolist()])


def _near(rows: np.ndarray, groups: np.ndarray, names: Sequence[str]) -> dict[str, Any] | None:
    """Rows that are nearly equal to one of another material; of several nearest pairs the one whose names come first."""
    apart = near_distances(rows, groups, NEAR)
    if not np.isfinite(apart).any():
        return None
    first = min(np.flatnonzero(apart == apart.min()).tolist(), key=names.__getitem__)
    size = np.abs((rows - rows[first]) / spread_of(rows)).max(axis=1)
    others = np.flatnonzero(groups != groups[first])
    nearest = others[size[others] == size[others].min()]
    second = min(nearest.tolist(), key=names.__getitem__)
    return {"n": int(np.isfinite(apart).sum()), "example": [names[first], names[second]]}
