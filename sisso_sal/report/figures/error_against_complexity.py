"""Error against complexity of formulas, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.report.figures.backends import on_paper
from sisso_sal.report.figures.colours import COLOURS
from sisso_sal.report.figures.paper_layout import PaperSheet
from sisso_sal.report.figures.paper_text import TypesetLabel, typeset_unit

_MARKS = "os^Dvp"
_HEIGHTS = {1: 4.6, 2: 3.2}


def error_against_complexity(document: Mapping[str, Any], *, columns: int = 1) -> Any:
    """Held-out errors of formulas against their number of operators, and of each number of terms by searches of its own.

    Parameters
    ----------
    document : mapping
        Of ``fit --n-models --json``.
    columns : int
        Of a journal, 1 or 2, that the figure is wide: 3.375 or 7.0 inches.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        `columns` is neither, or matplotlib is not installed.

    Examples
    --------
    >>> formula = {"dimension": 1, "rank": 1, "complexity": 2, "rmse": 0.1, "mae": 0.1, "mae_error": 0.01}
    >>> size = {"dimension": 1, "mae": 0.2, "mae_error": 0.02, "rmse": 0.3}
    >>> judged = {"sizes": [size], "formulas": [formula], "recommended": [1, 1], "n_folds": 10, "n_materials": 50}
    >>> figure = error_against_complexity({"target": {"name": "gap", "unit": "eV"}, "trade_off": judged})
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['terms (search repeated)', 'operators (coefficients refitted)']
    """
    return on_paper(_drawn, document, columns=columns)


def _drawn(document: Mapping[str, Any], columns: int) -> Any:
    judged, unit = document["trade_off"], document["target"]["unit"]
    panels: dict[str, Any] = {"nrows": 2} if columns == 1 else {"ncols": 2, "width_ratios": (1, 1.6)}
    sheet = PaperSheet(columns, _HEIGHTS, sharey=True, **panels)
    sizes, formulas = sheet.panels
    _draw_sizes(sizes, judged)
    _draw_formulas(formulas, judged)
    sizes.set_ylim(bottom=0)
    sheet.label("x", TypesetLabel.of("terms (search repeated)"), sizes)
    sheet.label("x", TypesetLabel.of("operators (coefficients refitted)"), formulas)
    behind = f" ({typeset_unit(unit)})" if unit else ""
    for axes in sheet.panels if columns == 1 else (sizes,):
        sheet.label("y", TypesetLabel.of(f"mean absolute error of labels held out{behind}"), axes)
    return sheet.finish()


def _draw_sizes(axes: Any, judged: Mapping[str, Any]) -> None:
    least = min(judged["sizes"], key=lambda size: size["mae"])
    bound = least["mae"] + least["mae_error"]
    for size in judged["sizes"]:
        number = size["dimension"] - 1
        style = {
            "fmt": _MARKS[number % 6],
            "color": COLOURS[number % len(COLOURS)],
            "capsize": 2,
            "markersize": 4,
            "elinewidth": 0.8,
        }
        axes.errorbar(size["dimension"], size["mae"], size["mae_error"], **style)
    axes.axhline(bound, color="0.5", linewidth=0.8, linestyle=":", label="least error and its standard error")
    axes.set_xticks([size["dimension"] for size in judged["sizes"]])
    axes.margins(x=0.25)
    axes.set_xlabel("terms")


def _draw_formulas(axes: Any, judged: Mapping[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    for number in sorted({one["dimension"] - 1 for one in judged["formulas"]}):
        own = [one for one in judged["formulas"] if one["dimension"] == number + 1]
        place = [[one[key] for one in own] for key in ("complexity", "mae")]
        label = f"{number + 1} term{'s' if number else ''}"
        axes.plot(
            *place, _MARKS[number % 6], color=COLOURS[number % len(COLOURS)], markersize=3.5, alpha=0.8, label=label
        )
    best = next(one for one in judged["formulas"] if [one["dimension"], one["rank"]] == list(judged["recommended"]))
    ring = {"markersize": 9, "markerfacecolor": "none", "color": "0.1", "linestyle": "none"}
    axes.plot(best["complexity"], best["mae"], "o", label="recommended", **ring)
    axes.set_xlabel("operators")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.1)
