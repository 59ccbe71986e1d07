"""Figures for notebooks, papers and reports: plotly to look at, matplotlib to print.

Every function takes a run folder, or a `RunView` of a fitted ensemble and a table, and gives a figure of the chosen backend.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import InputError
from sisso_sal.report.figures import interactive, interactive_map, paper, paper_map
from sisso_sal.report.figures.backends import drawn
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.materials_map import materials_map
from sisso_sal.report.figures.out_of_bag import (
    calibration_curve,
    out_of_bag,
    reliability_of_hits,
)
from sisso_sal.report.run_view import RunView, as_view
from sisso_sal.system.extras import require

if TYPE_CHECKING:
    from sisso_sal.oracle.stability.diagram import StabilityMap
    from sisso_sal.oracle.stability.pourbaix import Conditions

RECURRENCES = ("primaries", "operators", "descriptors")
"""What can recur in the formulas of an ensemble."""

N_BARS = 20
"""Bars of `feature_frequency`."""


def descriptor_map(
    run: RunView | str | os.PathLike[str],
    *,
    formula: int = 1,
    colour: str = "mean",
    backend: str = "plotly",
    columns: int | None = None,
) -> Any:
    """The materials map: all materials in the plane of two descriptors of a typical formula.

    Known materials are squares, candidates circles, proposals diamonds; along each dotted line the formula has the same value.
    Without formulas the plane is that of the two primary features that matter most, see `materials_map`.

    Parameters
    ----------
    run : RunView or path
        A run folder, or ``RunView.of(ensemble, X, y)``.
    formula : int
        Which of the typical formulas spans the map; 1 is the most typical.
    colour : str
        What candidates are coloured by: ``mean``, ``std``, or ``score``, the acquisition.
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
        There is no such formula, colour or backend, or no two primary features span a plane.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sisso_sal import SISSOEnsemble
    >>> from sisso_sal.report.run_view import RunView
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"])
    >>> y = (X["a (eV)"] * X["b (eV)"] - 3 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)").where(X.index < 30)
    >>> view = RunView.of(SISSOEnsemble(members=4, rung=1, dim=2, n_sis=5, dropout=0.0).fit(X[:30], y[:30]), X, y)
    >>> descriptor_map(view).layout.xaxis.title.text
    'd1 = b/r (eV/Å)'
    >>> len(descriptor_map(view, colour="std", backend="matplotlib").axes)
    2
    """
    view = as_view(run)
    if colour not in interactive_map.COLOURINGS:
        raise InputError(f"colour: needs one of {', '.join(interactive_map.COLOURINGS)}, found '{colour}'")
    makers = (interactive_map.descriptor_map, paper_map.descriptor_map)
    return drawn((backend, columns), makers, view, materials_map(view, formula), colour)


def parity(
    run: RunView | str | os.PathLike[str],
    *,
    residuals: bool = False,
    backend: str = "plotly",
    columns: int | None = None,
) -> Any:
    """Out-of-bag predictions against known values, with 95 % prediction intervals where there is a sigma.

    Parameters
    ----------
    run : RunView or path
        A run folder, or ``RunView.of(ensemble, X, y)``.
    residuals : bool
        Draw the residuals, known − predicted, against the prediction instead.
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
        There are no out-of-bag predictions.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sisso_sal import SISSOEnsemble
    >>> from sisso_sal.report.run_view import RunView
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"])
    >>> y = (X["a (eV)"] * X["b (eV)"] - 3 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)").where(X.index < 30)
    >>> view = RunView.of(SISSOEnsemble(members=4, rung=1, dim=2, n_sis=5, dropout=0.0).fit(X[:30], y[:30]), X, y)
    >>> parity(view).layout.xaxis.title.text
    'known gap (eV)'
    """
    view = as_view(run)
    return drawn((backend, columns), (interactive.parity, paper.parity), view, out_of_bag(view), residuals)


def calibration(run: RunView | str | os.PathLike[str], *, backend: str = "plotly", columns: int | None = None) -> Any:
    """Calibration curve: observed against nominal coverage of the prediction intervals, before and after recalibration.

    The band shows where the curve of a perfect sigma lies with a probability of 95 %.

    Parameters
    ----------
    run : RunView or path
        A run folder, or ``RunView.of(ensemble, X, y)``.
    backend : str
        ``plotly`` or ``matplotlib``.
    columns : int, optional
        Of a journal, 1 (the default) or 2, that a figure of matplotlib is wide: 3.375 or 7.0 inches.

    Returns
    -------
    plotly Figure or matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sisso_sal import SISSOEnsemble
    >>> from sisso_sal.report.run_view import RunView
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"])
    >>> y = (X["a (eV)"] * X["b (eV)"] - 3 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)").where(X.index < 30)
    >>> view = RunView.of(SISSOEnsemble(members=4, rung=1, dim=2, n_sis=5, dropout=0.0).fit(X[:30], y[:30]), X, y)
    >>> calibration(view).layout.yaxis.title.text
    'observed coverage'
    """
    return drawn((backend, columns), (interactive.calibration, paper.calibration), calibration_curve(as_view(run)))


def reliability(run: RunView | str | os.PathLike[str], *, backend: str = "plotly", columns: int | None = None) -> Any:
    """Reliability of the probability to reach the goal: claimed against real, by fifths of the claim, for labels out of bag.

    Bars show what so few labels leave open with a probability of 95 %; on the diagonal claims come true.

    Parameters
    ----------
    run : RunView or path
        A run folder, or ``RunView.of(ensemble, X, y)``.
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
        The goal has no bound, or there are no out-of-bag predictions with a sigma.
    """
    view = as_view(run)
    found = reliability_of_hits(view)
    if found is None:
        raise InputError(f"{view.title}: needs a goal with a bound and out-of-bag predictions with a sigma, found none")
    return drawn((backend, columns), (interactive.reliability, paper.reliability), found)


def error_against_sigma(
    run: RunView | str | os.PathLike[str], *, backend: str = "plotly", columns: int | None = None
) -> Any:
    """Absolute out-of-bag residuals against sigma, for each material and as root mean squares over five groups of equal size.

    Parameters
    ----------
    run : RunView or path
        A run folder, or ``RunView.of(ensemble, X, y)``.
    backend : str
        ``plotly`` or ``matplotlib``.
    columns : int, optional
        Of a journal, 1 (the default) or 2, that a figure of matplotlib is wide: 3.375 or 7.0 inches.

    Returns
    -------
    plotly Figure or matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sisso_sal import SISSOEnsemble
    >>> from sisso_sal.report.run_view import RunView
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"])
    >>> y = (X["a (eV)"] * X["b (eV)"] - 3 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)").where(X.index < 30)
    >>> view = RunView.of(SISSOEnsemble(members=4, rung=1, dim=2, n_sis=5, dropout=0.0).fit(X[:30], y[:30]), X, y)
    >>> error_against_sigma(view).layout.xaxis.title.text
    'sigma (eV)'
    """
    view = as_view(run)
    makers = (interactive.error_against_sigma, paper.error_against_sigma)
    return drawn((backend, columns), makers, view, out_of_bag(view, needs_sigma=True))


def learning_curve(
    run: RunView | str | os.PathLike[str], *, backend: str = "plotly", columns: int | None = None
) -> Any:
    """How a campaign went: each label in the order in which it came, the best so far, and the out-of-bag RMSE of each fit.

    The RMSE is left out where no fit knows it. Core-hours, where the oracle reports them, are in the text of each point.

    Parameters
    ----------
    run : RunView or path
        A run folder, or ``RunView.of(ensemble, X, y)``.
    backend : str
        ``plotly`` or ``matplotlib``.
    columns : int, optional
        Of a journal, 1 (the default) or 2, that a figure of matplotlib is wide: 3.375 or 7.0 inches.

    Returns
    -------
    plotly Figure or matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sisso_sal import SISSOEnsemble
    >>> from sisso_sal.report.run_view import RunView
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"])
    >>> y = (X["a (eV)"] * X["b (eV)"] - 3 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)").where(X.index < 30)
    >>> view = RunView.of(SISSOEnsemble(members=4, rung=1, dim=2, n_sis=5, dropout=0.0).fit(X[:30], y[:30]), X, y)
    >>> learning_curve(view).layout.xaxis.title.text
    'labels'
    """
    view = as_view(run)
    return drawn((backend, columns), (interactive.learning_curve, paper.learning_curve), view, course(view))


def feature_frequency(
    run: RunView | str | os.PathLike[str],
    kind: str = "primaries",
    *,
    backend: str = "plotly",
    columns: int | None = None,
) -> Any:
    """The share of formulas in which primary features, operators or descriptors occur, the most frequent first.

    Parameters
    ----------
    run : RunView or path
        A run folder, or ``RunView.of(ensemble, X, y)``.
    kind : str
        ``primaries``, ``operators`` or ``descriptors``.
    backend : str
        ``plotly`` or ``matplotlib``.
    columns : int, optional
        Of a journal, 1 (the default) or 2, that a figure of matplotlib is wide: 3.375 or 7.0 inches.

    Returns
    -------
    plotly Figure or matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sisso_sal import SISSOEnsemble
    >>> from sisso_sal.report.run_view import RunView
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"])
    >>> y = (X["a (eV)"] * X["b (eV)"] - 3 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)").where(X.index < 30)
    >>> view = RunView.of(SISSOEnsemble(members=4, rung=1, dim=2, n_sis=5, dropout=0.0).fit(X[:30], y[:30]), X, y)
    >>> feature_frequency(view, "operators").layout.xaxis.title.text
    'share of 4 formulas'
    """
    view = as_view(run)
    if kind not in RECURRENCES:
        raise InputError(f"kind: needs one of {', '.join(RECURRENCES)}, found '{kind}'")
    shares = view.summary.get("recurrence", {}).get(kind)
    if not shares:
        raise InputError(f"{view.title}: needs formulas to count {kind} in, found none")
    n_members = view.summary.get("n_members")
    title = f"share of {n_members} formulas" if n_members else "share of the formulas"
    for_matplotlib = partial(paper.feature_frequency, kind=kind)
    rows = list(shares.items())[:N_BARS]
    return drawn((backend, columns), (interactive.feature_frequency, for_matplotlib), rows, title)


def pourbaix(
    stability: StabilityMap, name: str, conditions: Conditions | None = None, *, backend: str = "plotly"
) -> Any:
    """Where a solid is stable in water: decomposition free energy over pH and potential.

    Parameters
    ----------
    stability : StabilityMap
        Of `sisso_sal.oracle.stability.diagram.stability_map`.
    name : str
        Of the solid.
    conditions : Conditions, optional
        A cross marks this potential and pH.
    backend : str
        ``plotly`` or ``matplotlib``.

    Returns
    -------
    plotly Figure or matplotlib Figure

    Examples
    --------
    >>> from sisso_sal.oracle.stability.pourbaix import Species
    >>> from sisso_sal.oracle.stability.diagram import stability_map
    >>> oxide = Species("TiO2", {"Ti": 1, "O": 2}, mu=-9.21)
    >>> ion = Species("TiO++", {"Ti": 1, "O": 1}, charge=2, mu=-5.98, state="aqueous")
    >>> pourbaix(stability_map(oxide, [ion]), "TiO2").layout.title.text
    'TiO2: stable inside the thick line, 1e-06 mol/L, 298.15 K'
    """
    from sisso_sal.oracle.stability.pourbaix import Conditions

    at = conditions or Conditions()
    if backend == "matplotlib":
        require("matplotlib", "figures")
        from sisso_sal.oracle.stability.diagram import pourbaix_figure

        return pourbaix_figure(stability, name, at)
    return drawn((backend, None), (interactive.pourbaix, interactive.pourbaix), stability, name, at)
