"""The materials map for papers: every proposal is named, and no name covers another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sisso_sal.report.chemistry import are_formulas, typeset_formula
from sisso_sal.report.figures.colours import COLOURS, FAILED, SCALES
from sisso_sal.report.figures.materials_map import MaterialsMap
from sisso_sal.report.figures.name_places import Room, line_to, name_places, overlap
from sisso_sal.report.figures.paper_layout import PaperSheet, legend_outside
from sisso_sal.report.figures.paper_text import TypesetLabel, plain, size_of, typeset_unit
from sisso_sal.report.run_view import RunView

BLUE, VERMILION = COLOURS[:2]
_GREY = "#888888"
_HEIGHTS = {1: 3.7, 2: 4.8}
_NAME_SIZE, _LEVEL_SIZE = 7.0, 6.0
MARK_AREA = {1: 26.0, 2: 44.0}
"""Area of the mark of a proposal, in points squared; others are smaller."""
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
    if not _placed(sheet, view, plane, _written(view, ids), _NAME_SIZE):
        name_by_number(sheet, view, plane, ids)
    return figure


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


def _in_points(axes, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Places (n, 2) in points of the figure; NaN where there are none."""
    with np.errstate(all="ignore"):
        return axes.transData.transform(np.column_stack([x, y])) * 72.0 / axes.figure.dpi


def _placed(
    sheet: PaperSheet, view: RunView, plane: MaterialsMap, names: Mapping[str, str], size: float, may_cross=False
) -> bool:
    """Write a name beside the mark of each id; False where there is no room for all. Names go before levels of lines."""
    axes = sheet.axes
    box = axes.get_window_extent()
    frame = np.array([box.x0, box.y0, box.x1, box.y1]) * 72.0 / sheet.figure.dpi
    places = _in_points(axes, plane.x.values, plane.y.values)
    row_of = {id: row for row, id in enumerate(view.ids)}
    rows = np.array([row_of[id] for id in names if np.isfinite(places[row_of[id]]).all()], dtype=np.int64)
    radius = 0.5 * float(np.sqrt(2.0 * MARK_AREA[sheet.columns])) + 0.8
    marks = places[rows]
    texts = [names[str(view.ids[row])] for row in rows]
    sizes = np.array([size_of(text, size) for text in texts]).reshape(-1, 2) + np.array([2.0, 1.0])
    crowd = np.column_stack([places, np.where(view.labelled, _KNOWN, _CANDIDATE)])
    crowd = crowd[np.union1d(np.flatnonzero(view.labelled), plane.drawn)]
    crowd = crowd[np.isfinite(crowd).all(axis=1)]
    levels = _levels(axes, plane, frame, np.hstack([marks - radius, marks + radius]))
    for shown in (levels, []):
        room = Room(frame, np.array([box for _, _, box in shown]).reshape(-1, 4), crowd)
        boxes = name_places(marks, radius, sizes, room, may_cross=may_cross)
        if boxes is not None:
            break
    if boxes is None:
        return False
    for level, place, _ in shown:
        _write(axes, f"{level:.3g}".replace("-", "−"), place, _LEVEL_SIZE, "0.4")
    for text, mark, box in zip(texts, marks, boxes, strict=True):
        _write(axes, text, 0.5 * (box[:2] + box[2:]), size, "black")
        end = line_to(mark, box)
        if np.hypot(*(end - mark)) > radius + 3.0:
            _line(axes, mark, end, radius)
    return True


def _write(axes, text: str, middle: np.ndarray, size: float, colour: str) -> None:
    """Text around a point (points of the figure); it stays there at any resolution."""
    from matplotlib.patheffects import withStroke

    x, y = middle / 72.0 / axes.figure.get_size_inches()
    axes.text(
        x, y, text, transform=axes.figure.transFigure, fontsize=size, color=colour, ha="center", va="center", zorder=6,
        path_effects=[withStroke(linewidth=1.6, foreground="white")],
    )  # fmt: skip


def _line(axes, mark: np.ndarray, end: np.ndarray, radius: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    start = mark + (end - mark) / np.hypot(*(end - mark)) * radius * 0.8
    x, y = (np.array([start, end]) / 72.0 / axes.figure.get_size_inches()).T
    halo = [withStroke(linewidth=1.6, foreground="white")]
    axes.add_line(
        Line2D(x, y, transform=axes.figure.transFigure, color="0.15", linewidth=0.6, zorder=5, path_effects=halo)
    )


def _levels(
    axes, plane: MaterialsMap, frame: np.ndarray, taken: np.ndarray
) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Where lines are named by their levels: level, middle and box in points; a line without a free place has no name."""
    found = []
    for line in plane.lines:
        points = _in_points(axes, line.x, line.y)
        size = np.array(size_of(f"{line.level:.3g}", _LEVEL_SIZE)) + 2.0
        for share in (0.5, 0.35, 0.65, 0.2, 0.8, 0.1, 0.9):
            middle = points[round(share * (len(points) - 1))]
            box = np.concatenate([middle - 0.5 * size, middle + 0.5 * size])
            if np.all(box[:2] > frame[:2]) and np.all(box[2:] < frame[2:]) and not overlap(box, taken).any():
                found.append((line.level, middle, box))
                taken = np.vstack([taken, box])
                break
    return found


def _written(view: RunView, ids: list[str]) -> dict[str, str]:
    """The names of materials: with subscripts where they are formulas."""
    write = typeset_formula if are_formulas(view.ids) else plain
    return {id: write(id) for id in ids}


def name_by_number(sheet: PaperSheet, view: RunView, plane: MaterialsMap, ids: list[str]) -> None:
    """Many proposals: numbers beside their marks, or in them where there is no room, and their names below the axes."""
    from matplotlib.lines import Line2D

    if not ids:
        return
    handles = [Line2D([], [], linestyle="none") for _ in ids]
    names = [f"{rank} {name}" for rank, name in enumerate(_written(view, ids).values(), 1)]
    sheet.figure.set_layout_engine("constrained")
    key = legend_outside(
        sheet.figure, "outside lower left", handles, names, handlelength=0.0, handletextpad=0.0, fontsize=_NAME_SIZE
    )
    sheet.grow(key.get_window_extent().height / sheet.figure.dpi)
    sheet.arrange()
    sheet.figure.set_layout_engine("none")
    numbers = {id: str(rank) for rank, id in enumerate(ids, 1)}
    if not any(_placed(sheet, view, plane, numbers, _LEVEL_SIZE, may_cross) for may_cross in (False, True)):
        row_of = {id: row for row, id in enumerate(view.ids)}
        places = _in_points(sheet.axes, plane.x.values, plane.y.values)
        for id, number in numbers.items():
            if np.isfinite(places[row_of[id]]).all():
                _write(sheet.axes, number, places[row_of[id]], 5.0, "black")
