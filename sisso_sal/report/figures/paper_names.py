"""Names beside the marks of a figure for papers: no name covers another, a mark or the level of a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sisso_sal.report.chemistry import are_formulas, typeset_formula
from sisso_sal.report.figures.materials_map import Line
from sisso_sal.report.figures.name_places import Room, crossed, line_to, name_places, overlap
from sisso_sal.report.figures.paper_layout import MARK_AREA, PaperSheet, legend_outside
from sisso_sal.report.figures.paper_text import plain, size_of

_NAME_SIZE, _LEVEL_SIZE = 7.0, 6.0
_HALO = 2.0
"""Points by which the white rim of a level makes it wider and higher."""
_BESIDE = 1.5
"""Points between a line and a name beside it; other lines are not nearer."""
_BUT_LAST, _BUT_FIRST = slice(None, -1), slice(1, None)
_ALONG = (0.5, 0.35, 0.65, 0.2, 0.8, 0.1, 0.9, 0.425, 0.575, 0.275, 0.725, 0.15, 0.85, 0.05, 0.95)
"""Where a line may be named, as a share of its length; the first free one is taken."""


@dataclass(frozen=True, eq=False)
class NamedMarks:
    """The points of the first panel of a sheet, of which some are named.

    Attributes
    ----------
    ids : sequence of str, length n
    x, y : ndarray (n,)
        In units of the axes; NaN where a point has no place.
    crowd : ndarray (n,)
        What it costs to cover each point by a name, see `name_places`; 0 where it is not drawn.
    lines : sequence of Line
        Named by their levels where there is room.
    drawn : ndarray (m, 3)
        Further points that had better stay visible, such as those of error bars: x, y and what it costs to cover them.
    """

    ids: Sequence[str]
    x: np.ndarray
    y: np.ndarray
    crowd: np.ndarray
    lines: Sequence[Line] = ()
    drawn: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))


def name_marks(sheet: PaperSheet, marks: NamedMarks, ids: Sequence[str]) -> None:
    """Write the names of these marks beside them, or numbers and a key below the axes where they have no room.

    For a sheet that is finished.
    """
    if not _placed(sheet, marks, _written(marks, ids), _NAME_SIZE):
        name_by_number(sheet, marks, ids)


def name_by_number(sheet: PaperSheet, marks: NamedMarks, ids: Sequence[str]) -> None:
    """Many names: numbers beside their marks, or in them where there is no room, and the names below the axes."""
    from matplotlib.lines import Line2D

    if not ids:
        return
    handles = [Line2D([], [], linestyle="none") for _ in ids]
    names = [f"{rank} {name}" for rank, name in enumerate(_written(marks, ids).values(), 1)]
    sheet.figure.set_layout_engine("constrained")
    key = legend_outside(
        sheet.figure, "outside lower left", handles, names, handlelength=0.0, handletextpad=0.0, fontsize=_NAME_SIZE
    )
    sheet.grow(key.get_window_extent().height / sheet.figure.dpi)
    sheet.arrange()
    sheet.figure.set_layout_engine("none")
    numbers = {id: str(rank) for rank, id in enumerate(ids, 1)}
    if not any(_placed(sheet, marks, numbers, _LEVEL_SIZE, may_cross) for may_cross in (False, True)):
        row_of = {id: row for row, id in enumerate(marks.ids)}
        places = _in_points(sheet.axes, marks.x, marks.y)
        for id, number in numbers.items():
            if np.isfinite(places[row_of[id]]).all():
                _write(sheet.axes, number, places[row_of[id]], 5.0, "black")


def _written(marks: NamedMarks, ids: Sequence[str]) -> dict[str, str]:
    """The names of materials: with subscripts where they are formulas."""
    write = typeset_formula if are_formulas(marks.ids) else plain
    return {id: write(id) for id in ids}


def _in_points(axes: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Places (n, 2) in points of the figure; NaN where there are none."""
    with np.errstate(all="ignore"):
        return axes.transData.transform(np.column_stack([x, y])) * 72.0 / axes.figure.dpi


def _placed(
    sheet: PaperSheet, marks: NamedMarks, names: Mapping[str, str], size: float, may_cross: bool = False
) -> bool:
    """Write a name beside the mark of each id; False where there is no room for all. Names go before levels of lines."""
    axes = sheet.axes
    box = axes.get_window_extent()
    frame = np.array([box.x0, box.y0, box.x1, box.y1]) * 72.0 / sheet.figure.dpi
    places = _in_points(axes, marks.x, marks.y)
    row_of = {id: row for row, id in enumerate(marks.ids)}
    rows = np.array([row_of[id] for id in names if np.isfinite(places[row_of[id]]).all()], dtype=np.int64)
    radius = 0.5 * float(np.sqrt(2.0 * MARK_AREA[sheet.columns])) + 0.8
    at = places[rows]
    texts = [names[str(marks.ids[row])] for row in rows]
    sizes = np.array([size_of(text, size) for text in texts]).reshape(-1, 2) + np.array([2.0, 1.0])
    further = np.column_stack([_in_points(axes, *marks.drawn[:, :2].T), marks.drawn[:, 2]])
    crowd = np.vstack([np.column_stack([places, marks.crowd]), further])
    crowd = crowd[(crowd[:, 2] > 0.0) & np.isfinite(crowd).all(axis=1)]
    levels = _levels(axes, marks.lines, frame, np.hstack([at - radius, at + radius]))
    for shown in (levels, []):
        room = Room(frame, np.array([box for _, _, box in shown]).reshape(-1, 4), crowd)
        boxes = name_places(at, radius, sizes, room, may_cross=may_cross)
        if boxes is not None:
            break
    if boxes is None:
        return False
    for text, place, _ in shown:
        _write(axes, text, place, _LEVEL_SIZE, "0.4")
    for text, mark, box in zip(texts, at, boxes, strict=True):
        _write(axes, text, 0.5 * (box[:2] + box[2:]), size, "black")
        end = line_to(mark, box)
        if np.hypot(*(end - mark)) > radius + 3.0:
            _line(axes, mark, end, radius)
    return True


def _write(axes: Any, text: str, middle: np.ndarray, size: float, colour: str) -> None:
    """Text around a point (points of the figure); it stays there at any resolution."""
    from matplotlib.patheffects import withStroke

    x, y = middle / 72.0 / axes.figure.get_size_inches()
    axes.text(
        x, y, text, transform=axes.figure.transFigure, fontsize=size, color=colour, ha="center", va="center", zorder=6,
        path_effects=[withStroke(linewidth=1.6, foreground="white")],
    )  # fmt: skip


def _line(axes: Any, mark: np.ndarray, end: np.ndarray, radius: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    start = mark + (end - mark) / np.hypot(*(end - mark)) * radius * 0.8
    x, y = (np.array([start, end]) / 72.0 / axes.figure.get_size_inches()).T
    halo = [withStroke(linewidth=1.6, foreground="white")]
    axes.add_line(
        Line2D(x, y, transform=axes.figure.transFigure, color="0.15", linewidth=0.6, zorder=5, path_effects=halo)
    )


def _levels(
    axes: Any, lines: Sequence[Line], frame: np.ndarray, taken: np.ndarray
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Where lines are named by their levels: text, middle and box in points; a line without a free place has no name.

    A name stands on its line or beside it, and no other line passes through it.
    """
    found = []
    ways = [_in_points(axes, line.x, line.y) for line in lines]
    for line, text in zip(ways, level_texts([line.level for line in lines]), strict=True):
        others = [way for way in ways if way is not line]
        starts, ends = (np.concatenate([way[part] for way in others] or [line[:0]]) for part in (_BUT_LAST, _BUT_FIRST))
        for middle, half, rim in _beside(line, 0.5 * (np.array(size_of(text, _LEVEL_SIZE)) + _HALO)):
            box = np.concatenate([middle - half, middle + half])
            if not np.all(box[:2] > frame[:2]) or not np.all(box[2:] < frame[2:]) or overlap(box, taken).any():
                continue
            if not crossed(starts, ends, np.concatenate([box[:2] - rim, box[2:] + rim])[None, :]).any():
                found.append((text, middle, box))
                taken = np.vstack([taken, box])
                break
    return found


def _beside(line: np.ndarray, half: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Middles of a name on a line (n, 2), then on both sides of it; half of its size; how far other lines stay away."""
    places = [round(share * (len(line) - 1)) for share in _ALONG]
    for place in places:
        yield line[place], half, 0.0
    for place in places:
        along = line[min(place + 1, len(line) - 1)] - line[max(place - 1, 0)]
        if not (length := np.hypot(*along)):
            continue
        across = np.array([-along[1], along[0]]) / length
        for side in (1.0, -1.0):
            yield line[place] + side * across * (np.abs(across) @ half + _BESIDE), half, 0.7 * _BESIDE


def level_texts(levels: Sequence[float]) -> list[str]:
    """Levels with three digits, or as many more as tell them apart.

    Examples
    --------
    >>> level_texts([0.25, -1.0]), level_texts([0.12347, 0.12339])
    (['0.25', '−1'], ['0.1235', '0.1234'])
    """

    def written(digits: int) -> list[str]:
        return [f"{level:.{digits}g}".replace("-", "−") for level in levels]

    return written(next((n for n in range(3, 9) if len(set(written(n))) == len(set(levels))), 9))
