"""Error against complexity of formulas, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.report.figures.colours import COLOURS

_MARKS = "os^Dvp"


def error_against_complexity(document: Mapping[str, Any]) -> Any:
    """Held-out errors of formulas against their number of operators, and of each number of terms by searches of its own.

    Parameters
    ----------
    document : mapping
        Of ``fit --n-models --json``.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> formula = {"dimension": 1, "rank": 1, "complexity": 2, "rmse": 0.1, "mae": 0.1, "mae_error": 0.01}
    >>> size = {"dimension": 1, "mae": 0.2, "mae_error": 0.02, "rmse": 0.3}
    >>> judged = {"sizes": [size], "formulas": [formula], "recommended": [1, 1], "n_folds": 10, "n_materials": 50}
    >>> figure = error_against_complexity({"target": {"name": "gap", "unit": "eV"}, "trade_off": judged})
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['terms', 'operators']
    """
    from matplotlib.figure import Figure

    judged, unit = document["trade_off"], document["target"]["unit"]
    figure = Figure(figsize=(7.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6), sharey=True)
    _draw_sizes(left, judged)
    _draw_formulas(right, judged)
    for axes, said in ((left, "search done again without them"), (right, "coefficients fitted again without them")):
        axes.set_title(said, fontsize=9)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("mean absolute error of held-out labels" + (f" ({unit})".replace("$", r"\$") if unit else ""))
    return figure


def _draw_sizes(axes: Any, judged: Mapping[str, Any]) -> None:
    least = min(judged["sizes"], key=lambda size: size["mae"])
    bound = least["mae"] + least["mae_error"]
    for size in judged["sizes"]:
        number = size["dimension"] - 1
        style = {"fmt": _MARKS[number % 6], "color": COLOURS[number % len(COLOURS)], "capsize": 3}
        axes.errorbar(size["dimension"], size["mae"], size["mae_error"], **style)
    axes.axhline(bound, color="0.5", linewidth=0.8, linestyle=":")
    axes.annotate(
        "least + standard error", (1, bound), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7
    )
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
            *place, _MARKS[number % 6], color=COLOURS[number % len(COLOURS)], markersize=5, alpha=0.8, label=label
        )
    best = next(one for one in judged["formulas"] if [one["dimension"], one["rank"]] == list(judged["recommended"]))
    ring = {"markersize": 13, "markerfacecolor": "none", "color": "0.1", "linestyle": "none"}
    axes.plot(best["complexity"], best["mae"], "o", label="recommended", **ring)
    axes.set_xlabel("operators")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.1)
    axes.legend(frameon=False, fontsize=8)
