"""How many labels are needed: held-out error against number of labels, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sisso_sal.report.figures.colours import COLOURS
from sisso_sal.system.extras import require

_LABELS = {"random": "at random", "error": "worst predicted first", "coverage": "farthest first"}
_MARKS = {"random": "o", "error": "s", "coverage": "^"}


def error_against_labels(document: Mapping[str, Any]) -> Any:
    """RMSE of held-out rows against number of labels in each order, and the extrapolation of the random one.

    Parameters
    ----------
    document : mapping
        Of ``tune --learning-curve --json``.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> point = {"labels": 10, "rmse": {"value": 0.3, "low": 0.2, "high": 0.4}}
    >>> document = {"target": {"name": "gap", "unit": "eV"}, "n_labels": 20, "curves": {"random": [point]},
    ...             "extrapolation": {"rmse": None}}
    >>> error_against_labels(document).axes[0].get_ylabel()
    'RMSE of rows not learned from (eV)'
    """
    require("matplotlib", "figures")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (order, points) in enumerate(document["curves"].items()):
        sizes = np.array([point["labels"] for point in points])
        value, low, high = (np.array([point["rmse"][key] for point in points]) for key in ("value", "low", "high"))
        shift = 1 + 0.018 * (number - 1)  # intervals stand beside each other
        axes.vlines(sizes * shift, low, high, color=COLOURS[number], linewidth=0.9, alpha=0.7)
        style, colour = f"{_MARKS[order]}-", COLOURS[number]
        axes.plot(
            sizes * shift, value, style, color=colour, markersize=5, linewidth=1.2, label=_LABELS[order], zorder=3
        )
    if (law := document["extrapolation"]["rmse"]) is not None:
        _draw_law(axes, document, law)
    _label(axes, document)
    return figure


def _draw_law(axes: Any, document: Mapping[str, Any], law: Mapping[str, Any]) -> None:
    """The extrapolation, and its interval from the last size on."""
    sizes, value, low, high = (
        np.array([point[key] for point in law["line"]]) for key in ("labels", "value", "low", "high")
    )
    axes.plot(sizes, value, "--", color="0.35", linewidth=1.1, label="extrapolation of the random order", zorder=1)
    later = sizes >= document["curves"]["random"][-1]["labels"]
    axes.fill_between(
        sizes[later], low[later], high[later], color="0.5", alpha=0.18, linewidth=0, label="its 95 % interval", zorder=0
    )
    axes.axvline(document["n_labels"], color="0.6", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"all {document['n_labels']} labels", (document["n_labels"], 0.0), xycoords=("data", "axes fraction"), xytext=(3, 4),
        textcoords="offset points", color="0.35", fontsize=8,
    )  # fmt: skip


def _label(axes: Any, document: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    unit = document["target"]["unit"]
    axes.set_xscale("log")
    law = document["extrapolation"]["rmse"]
    sizes = [point["labels"] for point in document["curves"]["random"]]
    sizes += [point["labels"] for point in law["points"]] if law else []
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_ylim(0, None)
    axes.set(xlabel="labels learned from", ylabel=f"RMSE of rows not learned from{f' ({unit})' if unit else ''}")
    axes.set_title(f"{document['target']['name']}: how many labels are needed", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
