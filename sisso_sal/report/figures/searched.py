"""What the map of a campaign shows: the known, the found in their order, and the frontier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.materials_map import MaterialsMap, materials_map
from sisso_sal.report.run_view import RunView


@dataclass(frozen=True, eq=False)
class SearchMap:
    """What the map of a campaign shows.

    Attributes
    ----------
    plane : MaterialsMap
        Of a formula of the newest iteration; its lines are the frontier.
    start : ndarray (n_start,) of int
        Rows that were known at the start.
    found : ndarray (n_found,) of int
        Rows that were computed since, in the order in which they came.
    frontier : tuple of (int, float)
        How many were computed, and the best label then, in the target's unit: at the start, and whenever a better one came.
    """

    plane: MaterialsMap
    start: np.ndarray
    found: np.ndarray
    frontier: tuple[tuple[int, float], ...]


def searched(view: RunView, formula: int = 1) -> SearchMap:
    """The numbers of the map of a campaign.

    Raises
    ------
    InputError
        There is no such formula, or it has no formulas at all.
    """
    if view.ensemble is None:
        raise InputError(f"{view.title}: needs formulas for the map of a campaign, found a surrogate without")
    seen = course(view)
    row_of = {id: row for row, id in enumerate(view.ids)}
    rows = np.array([row_of[id] for id in seen.ids], dtype=np.int64)
    steps = [(0, float(seen.best[seen.n_start - 1]))]
    for k in range(seen.n_start, len(rows)):
        if seen.best[k] != steps[-1][1]:
            steps.append((k - seen.n_start + 1, float(seen.best[k])))
    plane = materials_map(view, formula, [level for _, level in steps], rows)
    return SearchMap(plane, rows[: seen.n_start], rows[seen.n_start :], tuple(steps))
