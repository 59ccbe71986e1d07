"""How many labels are needed: held-out error against number of labels, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sisso_sal.report.figures.backends import on_paper
from sisso_sal.report.figures.colours import COLOURS, DASHES
from sisso_sal.report.figures.paper_layout import STYLE, PaperSheet, ticks_apart
from sisso_sal.report.figures.paper_text import TypesetLabel, typeset_unit

_HEIGHTS = {1: 3.2, 2: 4.2}
_LABELS = {"random": "at random", "error": "worst predicted first", "coverage": "farthest first"}
_MARKS = {"random": "o", "error": "s", "coverage": "^"}


def error_against_labels(document: Mapping[str, Any], *, columns: int = 1) -> Any:
    """RMSE of held-out rows against number of labels in each order, and the extrapolation of the random one.

    Parameters
    ----------
    document : mapping
        Of ``tune --learning-curve --json``.
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
    >>> point = {"labels": 10, "rmse": {"value": 0.3, "low": 0.2, "high": 0.4}}
    >>> document = {"target": {"name": "gap", "unit": "eV"}, "n_labels": 20, "curves": {"random": [point]},
    ...             "extrapolation": {"rmse": None}}
    >>> error_against_labels(document).axes[0].get_ylabel()
    'RMSE of rows not learned from (eV)'
    """
    return on_paper(_drawn, document, columns=columns)


def _drawn(document: Mapping[str, Any], columns: int) -> Any:
    sheet = PaperSheet(columns, _HEIGHTS)
    axes = sheet.axes
    for number, (order, points) in enumerate(document["curves"].items()):
        sizes = np.array([point["labels"] for point in points])
        value, low, high = (np.array([point["rmse"][key] for point in points]) for key in ("value", "low", "high"))
        shift = 1 + 0.018 * (number - 1)  # intervals stand beside each other
        axes.vlines(sizes * shift, low, high, color=COLOURS[number], linewidth=0.8, alpha=0.7)
        axes.plot(
            sizes * shift, value, f"{_MARKS[order]}{DASHES[number]}", color=COLOURS[number], markersize=3.2 * columns**0.5,
            linewidth=1.0, label=_LABELS[order], zorder=3,
        )  # fmt: skip
    if (law := document["extrapolation"]["rmse"]) is not None:
        _draw_law(axes, document, law)
    _scaled(axes)
    unit = document["target"]["unit"]
    behind = f" ({typeset_unit(unit)})" if unit else ""
    sheet.label("x", TypesetLabel.of("labels learned from"))
    sheet.label("y", TypesetLabel.of(f"RMSE of rows not learned from{behind}"))
    figure = sheet.finish()
    points = [*document["curves"]["random"], *(law["points"] if law else [])]
    ticks_apart(axes, sorted({point["labels"] for point in points}))
    return figure


def _draw_law(axes: Any, document: Mapping[str, Any], law: Mapping[str, Any]) -> None:
    """The extrapolation, and its interval from the last size on."""
    sizes, value, low, high = (
        np.array([point[key] for point in law["line"]]) for key in ("labels", "value", "low", "high")
    )
    axes.plot(sizes, value, "--", color="0.35", linewidth=1.0, label="extrapolation of the random order", zorder=1)
    later = sizes >= document["curves"]["random"][-1]["labels"]
    axes.fill_between(
        sizes[later], low[later], high[later], color="0.5", alpha=0.18, linewidth=0, label="its 95 % interval", zorder=0
    )
    axes.axvline(document["n_labels"], color="0.6", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"all {document['n_labels']} labels", (document["n_labels"], 0.0), xycoords=("data", "axes fraction"), xytext=(3, 4),
        textcoords="offset points", color="0.35", fontsize=STYLE["legend.fontsize"],
    )  # fmt: skip


def _scaled(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_ylim(0, None)
    axes.yaxis.set_major_locator(MaxNLocator(5))
