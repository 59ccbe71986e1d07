"""The map of a campaign: what was known at its start, what it found as it came, and how the frontier moved."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.report.figures import interactive_search, paper_search
from sisso_sal.report.figures.backends import drawn
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.materials_map import MaterialsMap, materials_map
from sisso_sal.report.run_view import RunView, as_view


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


def search_map(
    run: RunView | str | os.PathLike[str], *, formula: int = 1, backend: str = "plotly", columns: int | None = None
) -> Any:
    """The map of a campaign in the plane of two descriptors of a formula of its newest iteration.

    Materials that were known at the start are circles. Those that the campaign had computed are diamonds with numbers, in the order
    in which they came. The frontier is the line on which the formula has the value of the best known material: dashed at the start,
    and a full line for each better material that was found. A formula is not exact, so a material may lie on the other side.

    Parameters
    ----------
    run : RunView or path
        A run folder.
    formula : int
        Which of the typical formulas spans the map; 1 is the most typical.
    backend : str
        ``plotly`` or ``matplotlib``.
    columns : int, optional
        Of a journal, 1 (the default) or 2, that a figure of matplotlib is wide: 3.375 or 7.0 inches.

    Returns
    -------
    plotly Figure or matplotlib Figure

    Raises
    ------
    InputError
        There is no such formula or backend, or there are no formulas.

    Examples
    --------
    >>> import pandas as pd
    >>> from sisso_sal import SISSOEnsemble
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"])
    >>> y = (X["a (eV)"] * X["b (eV)"] - 3 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)").where(X.index < 30)
    >>> view = RunView.of(SISSOEnsemble(members=4, rung=1, dim=2, n_sis=5, dropout=0.0).fit(X[:30], y[:30]), X, y)
    >>> [trace.name for trace in search_map(view).data if trace.showlegend is not False]
    ['candidates', 'frontier at the start', 'known at the start']
    """
    view = as_view(run)
    makers = (interactive_search.search_map, paper_search.search_map)
    return drawn((backend, columns), makers, view, searched(view, formula))
