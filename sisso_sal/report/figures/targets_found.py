"""What simulated campaigns found: targets known against evaluations, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sisso_sal.report.figures.backends import on_paper
from sisso_sal.report.figures.colours import COLOURS, DASHES
from sisso_sal.report.figures.paper_layout import STYLE, PaperSheet
from sisso_sal.report.figures.paper_text import TypesetLabel, plain

_HEIGHTS = {1: 2.7, 2: 3.8}
_MOST_BANDS = 4
_APART = 0.018
"""Between intervals at the end, as a share of the evaluations."""


def found_targets(document: Mapping[str, Any], *, columns: int = 1) -> Any:
    """Targets known against evaluations, for each strategy of a replay: mean over the starts, and its 95 % interval.

    Of more than four strategies the intervals are drawn at the end only, right of the lines.

    Parameters
    ----------
    document : mapping
        Of `replay.simulate.simulate`, or of ``replay --json``.
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
    >>> figure = found_targets({"n_targets": 2, "n_materials": 9, "rules": {"n_start": 3}, "target": {"name": "gap"},
    ...                         "strategies": {"random": {"found": [[0, 1], [1, 1]]}}})
    >>> figure.axes[0].get_xlabel()
    'evaluations after a start with 3 labels'
    """
    return on_paper(_drawn, document, columns=columns)


def _drawn(document: Mapping[str, Any], columns: int) -> Any:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    n_targets = document["n_targets"]
    sheet = PaperSheet(columns, _HEIGHTS)
    axes = sheet.axes
    ordered = sorted(document["strategies"].items(), key=lambda item: -np.mean([row[-1] for row in item[1]["found"]]))
    has_bands = len(ordered) <= _MOST_BANDS
    for number, (name, result) in enumerate(ordered):
        _strategy(axes, number, name, np.array(result["found"], dtype=float), has_bands)
    if any(len(result["found"]) > 1 for _, result in ordered):
        _legend_of_intervals(axes, has_bands)
    axes.axhline(n_targets, color="0.6", linewidth=0.8)
    axes.text(
        0.01, n_targets, f"all {n_targets} targets", transform=axes.get_yaxis_transform(), va="bottom", color="0.35",
        fontsize=STYLE["legend.fontsize"],
    )  # fmt: skip
    axes.set_xlim(0, None)
    axes.set_ylim(0, n_targets * (1.12 if columns == 2 else 1.16))
    last = max(len(row) for result in document["strategies"].values() for row in result["found"]) - 1
    ticks = MaxNLocator("auto", integer=True).tick_values(0, max(last, 1))
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0 <= tick <= last]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    sheet.label("x", TypesetLabel.of(f"evaluations after a start with {document['rules']['n_start']} labels"))
    of_all = f"targets known among {document['n_materials']} materials: {plain(document['target']['name'])}"
    sheet.label("y", TypesetLabel((of_all, "targets known"), "targets known"))
    return sheet.finish(grows=True)


def _strategy(axes: Any, number: int, name: str, counts: np.ndarray, has_band: bool) -> None:
    """A line, and where there are several starts its interval, as a band or only at the end: counts (n_starts, n_steps)."""
    from scipy.special import stdtrit

    steps, mean = np.arange(counts.shape[1]), counts.mean(axis=0)
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
    axes.plot(steps, mean, dash, color=colour, label=f"{plain(name)}: {mean[-1]:.1f} at the end")
    if len(counts) > 1:
        half = stdtrit(len(counts) - 1, 0.975) * counts.std(axis=0, ddof=1) / np.sqrt(len(counts))
        if has_band:
            axes.fill_between(steps, mean - half, mean + half, color=colour, alpha=0.12, linewidth=0)
        else:  # many bands could not be told apart
            place = steps[-1] * (1.0 + _APART * (number + 1))
            axes.errorbar(place, mean[-1], half[-1], fmt="_", color=colour, markersize=4, elinewidth=0.9)


def _legend_of_intervals(axes: Any, has_bands: bool) -> None:
    if has_bands:
        axes.fill_between([], [], [], color="0.5", alpha=0.25, linewidth=0, label="95 % intervals")
    else:
        axes.errorbar([], [], [], fmt="_", color="0.4", markersize=4, elinewidth=0.9, label="95 % intervals at the end")
