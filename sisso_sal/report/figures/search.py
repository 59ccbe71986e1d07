"""The map of a campaign: what was known at its start, what it found as it came, and how the frontier moved."""

from __future__ import annotations

import os
from typing import Any

from sisso_sal.report.figures import interactive_search, paper_search
from sisso_sal.report.figures.backends import drawn
from sisso_sal.report.figures.searched import searched
from sisso_sal.report.run_view import RunView, as_view


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
    >>> import numpy as np
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
