"""The materials map for papers: every proposal is named, and no name covers another."""

from __future__ import annotations

from typing import Any

import numpy as np

from sisso_sal.report.figures.colours import COLOURS, FAILED, SCALES
from sisso_sal.report.figures.materials_map import MaterialsMap
from sisso_sal.report.figures.paper_layout import MARK_AREA, PaperSheet
from sisso_sal.report.figures.paper_names import NamedMarks, name_marks
from sisso_sal.report.figures.paper_text import TypesetLabel, plain, typeset_unit
from sisso_sal.report.run_view import RunView

BLUE, VERMILION = COLOURS[:2]
_GREY = "#888888"
_HEIGHTS = {1: 3.7, 2: 4.8}
_KNOWN, _CANDIDATE = 6.0, 0.8
"""What it costs to cover such a mark by a name, see `name_places`."""


def descriptor_map(view: RunView, plane: MaterialsMap, colour: str, columns: int) -> Any:
    """See `draw.descriptor_map`."""
    sheet = PaperSheet(columns, _HEIGHTS)
    axes = sheet.axes
    ids = [proposal["id"] for proposal in view.proposals]
    proposed = np.isin(view.ids, ids)
    scale = _scale(view, colour)
    for line in plane.lines:
        axes.plot(line.x, line.y, ":", color=_GREY, linewidth=0.8, zorder=1)
    shown = _marks(sheet, view, plane, proposed, scale, colour)
    _troubled(axes, view, plane)
    set_scales(sheet, plane)
    sheet.colour_bar(shown, colour_label(view, colour))
    figure = sheet.finish()
    name_marks(sheet, marks_of(view, plane), ids)
    return figure


def marks_of(view: RunView, plane: MaterialsMap) -> NamedMarks:
    """The points of a map, and its lines."""
    is_drawn = view.labelled.copy()
    is_drawn[plane.drawn] = True
    crowd = np.where(is_drawn, np.where(view.labelled, _KNOWN, _CANDIDATE), 0.0)
    return NamedMarks([str(id) for id in view.ids], plane.x.values, plane.y.values, crowd, plane.lines)


def _scale(view: RunView, colour: str) -> dict[str, Any]:
    values, known = view.values(colour), view.labelled
    scaled = np.where(known, view.values("label"), values) if colour == "mean" else values[~known]
    finite = scaled[np.isfinite(scaled)]
    low, high = np.quantile(finite, [0.01, 0.99]) if len(finite) else (0.0, 1.0)
    return {"cmap": SCALES[colour].lower(), "vmin": low, "vmax": high}


def colour_label(view: RunView, colour: str) -> TypesetLabel:
    """What the colours show: ``mean``, ``std`` or ``score``."""
    unit = f" ({typeset_unit(view.unit)})" if view.unit else ""
    if view.is_of_classes:
        return TypesetLabel.of({"mean": plain(view.header), "std": "spread", "score": "score"}[colour])
    return TypesetLabel.of({"mean": f"{plain(view.target)}{unit}", "std": f"sigma{unit}", "score": "score"}[colour])


def _marks(sheet: PaperSheet, view: RunView, plane: MaterialsMap, proposed: np.ndarray, scale, colour: str) -> Any:
    values, known, axes = view.values(colour), view.labelled, sheet.axes
    x, y, area = plane.x.values, plane.y.values, MARK_AREA[sheet.columns]
    rows = plane.drawn[~proposed[plane.drawn]]
    shown = axes.scatter(
        x[rows], y[rows], 0.2 * area, values[rows], **scale, linewidths=0, zorder=2, rasterized=len(rows) > 2000,
        label="candidate",
    )  # fmt: skip
    face: dict[str, Any] = {"c": view.values("label")[known], **scale} if colour == "mean" else {"c": "white"}
    axes.scatter(
        x[known], y[known], 0.5 * area, **face, marker="s", edgecolors="black", linewidths=0.6, zorder=3, label="known"
    )
    axes.scatter(
        x[proposed], y[proposed], area, values[proposed], **scale, marker="D", edgecolors=VERMILION, linewidths=1.2, zorder=4,
        label="proposed",
    )  # fmt: skip
    return shown


def _troubled(axes, view: RunView, plane: MaterialsMap) -> None:
    for name, cases, marker, colour in (
        ("being computed", view.state.pending if view.state else [], "+", BLUE),
        ("failed", view.state.failed if view.state else [], "x", FAILED),
    ):
        rows = np.isin(view.ids, [case.id for case in cases])
        if rows.any():
            axes.scatter(plane.x.values[rows], plane.y.values[rows], 30, colour, marker=marker, label=name, zorder=4)


def set_scales(sheet: PaperSheet, plane: MaterialsMap) -> None:
    """Scales, limits and labels of the axes."""
    from matplotlib.ticker import MaxNLocator

    axes = sheet.axes
    for side, axis, ticks in (("x", plane.x, axes.xaxis), ("y", plane.y, axes.yaxis)):
        getattr(axes, f"set_{side}scale")("log" if axis.is_log else "linear")
        getattr(axes, f"set_{side}lim")(axis.low, axis.high)
        if not axis.is_log:
            ticks.set_major_locator(MaxNLocator(nbins=4 * sheet.columns))
        sheet.label(side, TypesetLabel.of_expression("d1" if side == "x" else "d2", axis.expression, axis.unit))
