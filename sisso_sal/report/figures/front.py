"""Two targets at once as a figure: the known front, and what is proposed beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sisso_sal.campaign.two_targets import Compromises
from sisso_sal.report.figures.backends import on_paper
from sisso_sal.report.figures.colours import COLOURS
from sisso_sal.report.figures.paper_layout import MARK_AREA, PaperSheet
from sisso_sal.report.figures.paper_names import NamedMarks, name_marks
from sisso_sal.report.figures.paper_text import TypesetLabel, plain, typeset_unit

_HEIGHTS = {1: 3.4, 2: 4.6}
_OF_FRONT, _OF_KNOWN, _OF_CANDIDATE, _OF_BAR = 8.0, 4.0, 0.5, 1.0
"""What it costs to cover such a mark, or a point of a bar, by a name, see `name_places`."""
_ON_BARS = np.linspace(-1.0, 1.0, 41)

N_NAMED = 10
"""Proposals that are named in the figure."""


def front_figure(chosen: Compromises, *, columns: int = 1) -> Any:
    """The plane of the two targets: what is known, its front, all predictions, and the proposals with their sigma.

    Parameters
    ----------
    chosen : Compromises
        Of `campaign.two_targets.compromises`.
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
    return on_paper(_drawn, chosen, columns=columns)


def _drawn(chosen: Compromises, columns: int) -> Any:
    sheet = PaperSheet(columns, _HEIGHTS)
    axes, area = sheet.axes, MARK_AREA[columns]
    mean = np.column_stack([objective.mean for objective in chosen.objectives])
    std = np.column_stack([objective.std for objective in chosen.objectives])
    known, proposed = ~chosen.candidates, np.isin(np.arange(len(mean)), chosen.picks)
    rest = ~known & ~proposed
    x, y = mean.T
    axes.scatter(
        x[rest], y[rest], 0.2 * area, "0.75", linewidths=0, zorder=1, label="candidates, predicted",
        rasterized=bool(rest.sum() > 2000),
    )  # fmt: skip
    axes.scatter(
        x[known], y[known], 0.5 * area, "white", marker="s", edgecolors="0.35", linewidths=0.6, zorder=2, label="known"
    )
    axes.plot(*_stairs(chosen).T, color=COLOURS[0], linewidth=1.0, zorder=2)
    axes.scatter(x[chosen.front], y[chosen.front], 0.6 * area, COLOURS[0], marker="s", zorder=3, label="known front")
    picks = chosen.picks
    axes.errorbar(
        x[picks], y[picks], yerr=std[picks, 1], xerr=std[picks, 0], fmt="D", color=COLOURS[1], markersize=0.6 * area**0.5,
        linewidth=0, elinewidth=0.6, zorder=4, label="proposed, ± sigma",
    )  # fmt: skip
    _framed(axes, chosen, mean, std)
    for side, objective in zip("xy", chosen.objectives, strict=True):
        unit = f" ({typeset_unit(objective.unit)})" if objective.unit else ""
        better = "small" if objective.sign > 0 else "large"
        sheet.label(side, TypesetLabel.of(f"{plain(objective.name)}{unit}, {better} is better"))
    figure = sheet.finish()
    cost = np.where(known, _OF_KNOWN, _OF_CANDIDATE)
    cost[chosen.front] = _OF_FRONT
    ids = [str(id) for id in chosen.ids]
    bars = _bars(mean[picks], std[picks])
    name_marks(sheet, NamedMarks(ids, x, y, cost, drawn=bars), [ids[row] for row in picks[:N_NAMED]])
    return figure


def _bars(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Points of the bars of proposals (n, 2), and what it costs to cover each; ndarray (m, 3)."""
    across = [mean + _ON_BARS[:, None, None] * std * side for side in ([1.0, 0.0], [0.0, 1.0])]
    points = np.concatenate(across).reshape(-1, 2)
    return np.column_stack([points, np.full(len(points), _OF_BAR)])


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
