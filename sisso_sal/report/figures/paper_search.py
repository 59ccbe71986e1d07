"""The map of a campaign for papers."""

from __future__ import annotations

from typing import Any

import numpy as np

from sisso_sal.report.figures.colours import COLOURS, SCALES
from sisso_sal.report.figures.paper_layout import MARK_AREA, PaperSheet
from sisso_sal.report.figures.paper_map import colour_label, marks_of, set_scales
from sisso_sal.report.figures.paper_names import name_by_number
from sisso_sal.report.figures.searched import SearchMap
from sisso_sal.report.run_view import RunView

VERMILION = COLOURS[1]
_HEIGHTS = {1: 3.7, 2: 4.8}


def search_map(view: RunView, seen: SearchMap, columns: int) -> Any:
    """See `search.search_map`."""
    sheet = PaperSheet(columns, _HEIGHTS)
    plane, axes, area = seen.plane, sheet.axes, MARK_AREA[columns]
    x, y, label = plane.x.values, plane.y.values, view.values("label")
    low, high = np.quantile(label[np.concatenate([seen.start, seen.found])], [0.01, 0.99])
    scale: dict[str, Any] = {"cmap": SCALES["mean"].lower(), "vmin": low, "vmax": high}
    rest = np.setdiff1d(plane.drawn, np.concatenate([seen.start, seen.found]))
    axes.scatter(
        x[rest], y[rest], 0.15 * area, "0.8", linewidths=0, zorder=1, rasterized=len(rest) > 2000, label="candidate"
    )
    shown = axes.scatter(
        x[seen.start], y[seen.start], 0.5 * area, label[seen.start], **scale, edgecolors="black", linewidths=0.6, zorder=3,
        label="known at the start",
    )  # fmt: skip
    if len(seen.found):
        axes.scatter(
            x[seen.found], y[seen.found], 0.8 * area, label[seen.found], **scale, marker="D", edgecolors=VERMILION, linewidths=1.0,
            zorder=4, label="computed, as they came",
        )  # fmt: skip
    _frontier(axes, seen)
    set_scales(sheet, plane)
    sheet.colour_bar(shown, colour_label(view, "mean"))
    figure = sheet.finish()
    name_by_number(sheet, marks_of(view, plane), [str(id) for id in view.ids[seen.found]])
    return figure


def _frontier(axes, seen: SearchMap) -> None:
    """The line of the best at the start dashed, those of better ones full, the last one thick."""
    after = {level: n for n, level in seen.frontier}
    last = seen.frontier[-1][1]
    named = set()
    for line in seen.plane.lines:
        n = after[line.level]
        style = {"color": "0.4", "linestyle": "--"} if n == 0 else {"color": VERMILION, "linestyle": "-"}
        name = (
            "frontier at the start" if n == 0 else "frontier at the end" if line.level == last else "frontier between"
        )
        axes.plot(
            line.x, line.y, linewidth=1.6 if line.level == last else 0.7, zorder=2, label=None if name in named else name, **style
        )  # fmt: skip
        named.add(name)
