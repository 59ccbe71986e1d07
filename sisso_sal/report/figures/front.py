"""Two targets at once as a figure: the known front, and what is proposed beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sisso_sal.campaign.two_targets import Compromises
from sisso_sal.report.figures.colours import COLOURS
from sisso_sal.system.extras import require
from sisso_sal.system.printable import printable

N_NAMED = 10
"""Proposals that are named in the figure."""


def front_figure(chosen: Compromises) -> Any:
    """The plane of the two targets: what is known, its front, all predictions, and the proposals with their sigma.

    Parameters
    ----------
    chosen : Compromises
        Of `campaign.two_targets.compromises`.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sisso_sal.campaign.two_targets import compromises
    >>> from sisso_sal.data.table import read_targets
    >>> from sisso_sal.models.surrogates import Forest
    >>> from sisso_sal.spaces.table import TableSpace
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "known.csv")
    ...     _ = path.write_text("id,x,gap (eV),cost\\na,1,2,5\\nb,2,4,9\\nc,3,,1\\nd,4,5,7\\n")
    ...     spaces = [TableSpace(table) for table in read_targets(path, ["gap", "cost"])]
    >>> front_figure(compromises(spaces, ["max", "min"], 1, Forest)).axes[0].get_xlabel()
    'gap (eV), large is better'
    """
    require("matplotlib", "figures")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    mean = np.column_stack([objective.mean for objective in chosen.objectives])
    std = np.column_stack([objective.std for objective in chosen.objectives])
    known, proposed = ~chosen.candidates, np.isin(np.arange(len(mean)), chosen.picks)
    rest = ~known & ~proposed
    x, y = mean.T
    axes.scatter(
        x[rest], y[rest], 8, "0.75", linewidths=0, zorder=1, label="candidates, predicted", rasterized=bool(rest.sum() > 2000)
    )  # fmt: skip
    axes.scatter(
        x[known], y[known], 22, "white", marker="s", edgecolors="0.35", linewidths=0.8, zorder=2, label="known"
    )
    axes.plot(*_stairs(chosen).T, color=COLOURS[0], linewidth=1.2, zorder=2)
    axes.scatter(x[chosen.front], y[chosen.front], 30, COLOURS[0], marker="s", zorder=3, label="known front")
    picks = chosen.picks
    axes.errorbar(
        x[picks], y[picks], yerr=std[picks, 1], xerr=std[picks, 0], fmt="D", color=COLOURS[1], markersize=5, linewidth=0.8,
        zorder=4, label="proposed, ± sigma",
    )  # fmt: skip
    _framed(axes, chosen, mean, std)
    _named(axes, chosen, mean)
    for set_label, objective in zip((axes.set_xlabel, axes.set_ylabel), chosen.objectives, strict=True):
        set_label(f"{_plain(objective.header)}, {'small' if objective.sign > 0 else 'large'} is better")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, columnspacing=1.0)
    return figure


def _stairs(chosen: Compromises) -> np.ndarray:
    """The edge of what the known front dominates, from and to the reference; ndarray (m, 2)."""
    signs = np.array([objective.sign for objective in chosen.objectives])
    points, worst = chosen.labels[chosen.front] * signs, chosen.reference * signs
    points = points[np.all(points < worst, axis=1)]
    if not len(points):
        return np.empty((0, 2))
    corners = np.column_stack([np.append(points[:, 0], worst[0]), np.append(worst[1], points[:, 1])])
    edge = np.vstack([np.stack([corners[:-1], points], axis=1).reshape(-1, 2), corners[-1:]])
    return edge * signs


def _framed(axes, chosen: Compromises, mean: np.ndarray, std: np.ndarray) -> None:
    """Limits of the axes: they hold the front, the reference, the proposals and the middle nine tenths of all predictions."""
    picks = chosen.picks
    for j, set_limits in enumerate((axes.set_xlim, axes.set_ylim)):
        finite = mean[np.isfinite(mean[:, j]), j]
        most = np.quantile(finite, [0.05, 0.95]) if len(finite) else []
        reach = [mean[picks, j] - std[picks, j], mean[picks, j] + std[picks, j]]
        ends = np.concatenate([mean[chosen.front, j], *reach, chosen.reference[j : j + 1], most])
        low, high = ends.min(), ends.max()
        set_limits(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _named(axes, chosen: Compromises, mean: np.ndarray) -> None:
    """Names in the right margin, in the order of height, each with a line to its point."""
    ranks = sorted(range(min(N_NAMED, len(chosen.picks))), key=lambda rank: -mean[chosen.picks[rank], 1])
    for place, rank in enumerate(ranks):
        row = chosen.picks[rank]
        height = 0.5 + 0.055 * (0.5 * (len(ranks) - 1) - place)
        axes.annotate(
            f"{rank + 1} {_plain(chosen.ids[row])}", mean[row], (1.01, height), textcoords="axes fraction", va="center", fontsize=8,
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.4, "relpos": (0.0, 0.5), "shrinkB": 2}, zorder=3.5,
        )  # fmt: skip


def _plain(text: str) -> str:
    """A name as it is, in one line: no dollar of a table starts a formula."""
    return printable(text).replace("$", r"\$")
