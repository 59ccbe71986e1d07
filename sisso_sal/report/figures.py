"""Figures for papers and reports, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.errors import InputError, SissoSalError

# Okabe and Ito's colours, told apart by people with any colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")


def found_targets(document: Mapping[str, Any]) -> Any:
    """Targets known against evaluations, for each strategy of a replay: mean over the starts, and its 95 % interval.

    Parameters
    ----------
    document : mapping
        Of `campaign.replay.replay`.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> figure = found_targets({"n_targets": 2, "n_materials": 9, "rules": {"n_start": 3}, "target": {"name": "gap"},
    ...                         "strategies": {"random": {"found": [[0, 1], [1, 1]]}}})
    >>> figure.axes[0].get_xlabel()
    'evaluations after the start'
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    from scipy.special import stdtrit

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    ordered = sorted(document["strategies"].items(), key=lambda item: -np.mean([row[-1] for row in item[1]["found"]]))
    for number, (name, result) in enumerate(ordered):
        found = np.array(result["found"], dtype=float)
        steps, mean = np.arange(found.shape[1]), found.mean(axis=0)
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(
            steps, mean, _DASHES[number // len(_COLOURS) % len(_DASHES)], color=colour, label=f"{name}  {mean[-1]:.1f}"
        )
        if len(found) > 1:
            half = stdtrit(len(found) - 1, 0.975) * found.std(axis=0, ddof=1) / np.sqrt(len(found))
            axes.fill_between(steps, mean - half, mean + half, color=colour, alpha=0.12, linewidth=0)
    axes.axhline(document["n_targets"], color="0.6", linewidth=0.8)
    axes.annotate(
        f"all {document['n_targets']} targets", (0.01, document["n_targets"]), xycoords=("axes fraction", "data"),
        va="bottom", color="0.35", fontsize=8,
    )  # fmt: skip
    axes.set(xlabel="evaluations after the start", ylabel="targets known", ylim=(0, document["n_targets"] * 1.08))
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(
        f"{document['target']['name']}: {document['n_materials']} materials, {document['rules']['n_start']} labels to start",
        fontsize=10, loc="left",
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.0, 0.94), title="at the end")
    return figure


def save_figure(figure: Any, path: str | Path) -> None:
    """Write a figure as PNG, PDF or SVG, by the ending of the path.

    Raises
    ------
    InputError
        Another ending.
    SissoSalError
        The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in {".png", ".pdf", ".svg"}:
        raise InputError(f"{path}: needs a name that ends in .png, .pdf or .svg")
    try:
        figure.savefig(path, dpi=160)
    except OSError as error:
        raise SissoSalError(f"{path}: cannot be written: {error.strerror}") from error
