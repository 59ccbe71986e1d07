"""What all figures for papers share: width of one or two columns, legend beside the data, labels that are wrapped, square axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.report.figures.paper_text import BREAK, TypesetLabel, size_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

WIDTHS = {1: 3.375, 2: 7.0}
"""Inches: one and two columns of a journal (8.6 cm and 17.8 cm, as the APS asks; Nature's columns are 2 mm wider)."""

TALLEST = 9.0
"""Inches: what a page has room for."""

MARK_AREA = {1: 26.0, 2: 44.0}
"""Area of the mark of a proposal, in points squared, for each number of columns; others are smaller."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.size": 8.0, "axes.labelsize": 8.0, "axes.titlesize": 8.0, "legend.fontsize": 7.0,
    "xtick.labelsize": 7.0, "ytick.labelsize": 7.0, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4, "ytick.minor.width": 0.4, "lines.linewidth": 1.2, "text.usetex": False, "axes.grid": False,
}  # fmt: skip
"""Settings of matplotlib while a figure is made, so that it does not depend on what a reader has set."""

_LOW_LEGEND = 0.45
"""Inches of a legend that all figures have room for."""

_MARGIN = 3.0  # points that a label stays within its axis


def check_columns(columns: int) -> int:
    """
    Raises
    ------
    InputError
        Neither 1 nor 2.
    """
    if columns not in WIDTHS:
        raise InputError(f"columns: needs 1 or 2, found {columns!r}")
    return columns


class PaperSheet:
    """A figure that is being made: its labels are wrapped and its legend is placed by `finish`.

    Parameters
    ----------
    columns : int
        Wide, 1 or 2.
    heights : mapping of int to float
        Inches, for each number of columns.
    **panels
        Of `Figure.subplots`.

    Examples
    --------
    >>> sheet = PaperSheet(1, {1: 3.0, 2: 4.0})
    >>> sheet.label("x", TypesetLabel.of("a very long name of a primary feature that no single column has room for"))
    >>> figure = sheet.finish()
    >>> figure.get_size_inches().tolist(), sheet.axes.get_xlabel().count(chr(10))
    ([3.375, 3.0], 1)
    """

    def __init__(self, columns: int, heights: Mapping[int, float], **panels: Any):
        from matplotlib.figure import Figure

        self.columns = check_columns(columns)
        self.figure: Figure = Figure(figsize=(WIDTHS[columns], heights[columns]), layout="constrained")
        self.panels: list[Axes] = list(np.atleast_1d(self.figure.subplots(**panels)))
        self._labels: list[tuple[Text, Axes, str, TypesetLabel]] = []
        for axes in self.panels:
            axes.spines[["top", "right"]].set_visible(False)

    @property
    def axes(self) -> Axes:
        """The first panel."""
        return self.panels[0]

    def label(self, side: str, text: TypesetLabel, axes: Axes | None = None) -> None:
        """Label of an axis, ``x`` or ``y``; by default of the first panel."""
        axes = axes or self.axes
        shown = (axes.xaxis if side == "x" else axes.yaxis).label
        shown.set_text(text.lines[0] if text.lines else text.breakable)
        self._labels.append((shown, axes, side, text))

    def square(self, low: float, high: float) -> None:
        """The same limits on both axes of the first panel, which is a square."""
        self.axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", adjustable="box")

    def colour_bar(self, shown: Any, text: TypesetLabel) -> None:
        """Above the data where the figure is one column wide, beside them where it is two."""
        is_wide = self.columns == 2
        place = {"location": "right", "aspect": 30} if is_wide else {"location": "top", "aspect": 30}
        bar = self.figure.colorbar(shown, ax=self.axes, pad=0.02, **place)
        bar.outline.set_linewidth(0.4)
        self.label("y" if is_wide else "x", text, bar.ax)

    def grow(self, inches: float) -> None:
        """Make the figure higher."""
        width, height = self.figure.get_size_inches()
        self.figure.set_size_inches(width, height + inches)

    def finish(self, *, grows: bool = False) -> Figure:
        """Wrap the labels, put the legend above the data, and keep the places of all parts.

        If the figure grows, a legend of many lines makes it higher, and takes nothing from the data.
        """
        legend = _legend_above(self.figure, self.panels)
        if grows and legend is not None:
            self.grow(max(0.0, legend.get_window_extent().height / self.figure.dpi - _LOW_LEGEND))
        self.arrange()
        self.figure.set_layout_engine("none")
        return self.figure

    def arrange(self) -> None:
        """Place all parts; labels that are longer than their axis are wrapped, which moves the others."""
        for _ in range(4):  # a label of one more line takes room from the other axis
            self.figure.draw_without_rendering()
            before = [shown.get_text() for shown, *_ in self._labels]
            for shown, axes, side, text in self._labels:
                box = axes.get_window_extent()
                room = (box.width if side == "x" else box.height) * 72.0 / self.figure.dpi - _MARGIN
                shown.set_text(text.fitted(room, STYLE["axes.labelsize"]))
            if before == [shown.get_text() for shown, *_ in self._labels]:
                break
        self.figure.draw_without_rendering()


def _legend_above(figure: Figure, panels: Sequence[Axes]) -> Any:
    """What the panels show, in as many columns as have room."""
    entries = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if not entries:
        return None
    return legend_outside(figure, "outside upper left", list(entries.values()), list(entries))


def ticks_apart(axes: Axes, places: Sequence[float]) -> None:
    """Ticks at those of the places (increasing) whose numbers have room below the horizontal axis; the last one always has.

    For a sheet that is finished.
    """
    from matplotlib.ticker import FixedLocator, NullLocator

    size = STYLE["xtick.labelsize"]
    kept: list[float] = []
    left_edge = np.inf
    for place in reversed(places):
        middle = axes.transData.transform((place, 1.0))[0] * 72.0 / axes.figure.dpi
        half = 0.5 * size_of(f"{place:g}", size)[0] + 1.5
        if middle + half <= left_edge:
            kept.append(place)
            left_edge = middle - half
    axes.xaxis.set_major_locator(FixedLocator(kept[::-1]))
    axes.xaxis.set_minor_locator(NullLocator())


def legend_outside(figure: Figure, place: Any, handles: list[Any], labels: list[str], **style: Any) -> Any:
    """A legend outside of all axes with as many columns as the figure has room for; longer names are wrapped."""
    room = figure.get_size_inches()[0] * 72.0 - 4.0
    size = style.get("fontsize", STYLE["legend.fontsize"])
    in_text = room - size * (style.get("handlelength", 2.0) + 1.8)  # with the paddings of a legend
    labels = [label if size_of(label, size)[0] <= in_text else wrapped(label, in_text, size) for label in labels]
    for n_columns in range(min(len(handles), 12), 0, -1):
        style = {"frameon": False, "columnspacing": 1.0, "handletextpad": 0.4, "borderaxespad": 0.2} | style
        legend = figure.legend(handles, labels, loc=place, ncols=n_columns, **style)
        if legend.get_window_extent().width * 72.0 / figure.dpi <= room or n_columns == 1:
            return legend
        legend.remove()
    return None


def names_beside(names: list[str], columns: int, share: float) -> list[str] | None:
    """Names of bars in one line each, or None where one needs more than this share of the width."""
    size, room = STYLE["ytick.labelsize"], share * WIDTHS[columns] * 72.0
    lines = [name.replace(BREAK, "") for name in names]
    return lines if all(size_of(line, size)[0] <= room for line in lines) else None


def names_above(names: list[str], columns: int) -> list[str]:
    """Names of bars wrapped to the width of the figure."""
    return [wrapped(name, (WIDTHS[columns] - 0.3) * 72.0, STYLE["ytick.labelsize"]) for name in names]
