"""Classes in the space of the descriptors that tell them, drawn with matplotlib: a plane of two, or a strip of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.features.expression import Expression
from sisso_sal.models.class_model import ClassModel, probabilities
from sisso_sal.report.figures.colours import COLOURS
from sisso_sal.report.figures.materials_map import Axis, axis_of
from sisso_sal.report.figures.paper_layout import PaperSheet
from sisso_sal.report.figures.paper_text import TypesetLabel, plain

MARKS = "os^Dvp"
SURE = 0.9
"""Probability of the most probable class on the dotted lines."""

_N_GRID = 400
_STRONGEST = 0.42
"""Of the shading where a class is certain; 1 is its full colour."""

_FAR = 2.0
"""Samples further from 95 % of the others than so many times their range are not shown, but counted."""

_FEW_DECADES = 300.0
_PLAIN = (1e-3, 1e4)
"""Logarithmic axes with fewer decades within these ends have plain numbers at 1, 2 and 5."""

_HEIGHTS = {1: 3.5, 2: 5.0}
_STRIP = {1: 3.1, 2: 3.9}


@dataclass(frozen=True, eq=False)
class MappedClasses:
    """What a map of classes shows.

    Attributes
    ----------
    model : ClassModel
        Of one or two descriptors.
    axes : tuple of Axis
        One for each descriptor, with the values of the samples.
    labels : ndarray (n,) of int
        Number of the class of each sample.
    is_wrong : ndarray (n,) of bool
        Whether the model tells another class.
    is_shown : ndarray (n,) of bool
        Whether the sample is defined and lies within the axes.
    """

    model: ClassModel
    axes: tuple[Axis, ...]
    labels: np.ndarray
    is_wrong: np.ndarray
    is_shown: np.ndarray

    @classmethod
    def of(cls, model: ClassModel, columns: Any, labels: np.ndarray) -> MappedClasses:
        """The samples with these primary features and numbers of classes.

        Raises
        ------
        InputError
            The model has other than one or two descriptors.
        """
        if model.dimension not in (1, 2):
            raise InputError(f"map of classes: needs a model of one or two descriptors, found {model.dimension}")
        values = np.asarray(model.lanes[0].descriptors(columns), dtype=float)
        axes = tuple(_axis(one, row) for one, row in zip(model.expressions, values, strict=True))
        with np.errstate(invalid="ignore"):
            inside = [(row >= axis.low) & (row <= axis.high) for axis, row in zip(axes, values, strict=True)]
        told = model.predict(columns)
        return cls(model, axes, labels, told != labels, np.logical_and.reduce(inside))

    def probability(self, values: np.ndarray) -> np.ndarray:
        """ndarray (..., n_classes): of each class where the descriptors have these values (n_descriptors, ...)."""
        odds = np.stack(
            [
                lane.intercept + sum(term.coefficient * row for term, row in zip(lane.terms, values, strict=True))
                for lane in self.model.lanes
            ],
            axis=-1,
        )
        return probabilities(odds.reshape(-1, odds.shape[-1])).reshape(*odds.shape[:-1], -1)


def _axis(expression: Expression, values: np.ndarray) -> Axis:
    """That of a descriptor with these values (n,), as long as those that are not far need it."""
    near = _near(values)
    return replace(axis_of(expression, np.where(near, values, np.nan), near), values=values)


def _near(values: np.ndarray) -> np.ndarray:
    """Which of the values (n,) are not far from most of them; not on a logarithmic scale either, where they are positive."""
    finite = np.isfinite(values)
    near = _within(values, finite)
    if finite.any() and values[finite].min() > 0:
        near |= _within(np.log(np.where(finite, values, 1.0)), finite)
    return near & finite


def _within(values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    if not finite.any():
        return finite
    low, high = np.quantile(values[finite], [0.025, 0.975])
    far = _FAR * (high - low)
    with np.errstate(invalid="ignore"):
        return (values >= low - far) & (values <= high + far)


def map_figure(shown: MappedClasses, columns: int, said: str = "") -> Any:
    """A figure of matplotlib that is so many columns of a journal wide; `said` stands above the data."""
    sheet = _plane(shown, columns) if len(shown.axes) == 2 else _strip(shown, columns)
    left_out = int(np.count_nonzero(~shown.is_shown))
    notes = [said] * bool(said) + [f"{left_out} sample{'s' * (left_out > 1)} not shown"] * bool(left_out)
    if notes:
        sheet.axes.set_title("; ".join(notes), loc="left", fontsize=7.0, color="0.3")
    return sheet.finish()


def _colour(number: int) -> np.ndarray:
    code = COLOURS[number % len(COLOURS)].lstrip("#")
    return np.array([int(code[k : k + 2], 16) / 255.0 for k in (0, 2, 4)])


def shade(probability: np.ndarray) -> np.ndarray:
    """Colours (..., 3) of probabilities (..., n_classes): that of the most probable class, white where all are the same.

    Examples
    --------
    >>> shade(np.array([0.5, 0.5])).tolist()
    [1.0, 1.0, 1.0]
    """
    n = probability.shape[-1]
    colours = np.array([_colour(number) for number in range(n)])[probability.argmax(axis=-1)]
    strength = (probability.max(axis=-1, keepdims=True) - 1.0 / n) / (1.0 - 1.0 / n)
    return 1.0 - _STRONGEST * strength * (1.0 - colours)


def _grid(axis: Axis, n: int = _N_GRID) -> np.ndarray:
    return np.geomspace(axis.low, axis.high, n) if axis.is_log else np.linspace(axis.low, axis.high, n)


def _plane(shown: MappedClasses, columns: int) -> PaperSheet:
    sheet = PaperSheet(columns, _HEIGHTS)
    axes, (x, y) = sheet.axes, shown.axes
    xs, ys = _grid(x), _grid(y)
    told = shown.probability(np.array(np.meshgrid(xs, ys)))
    _limits(sheet, axes, "x", x)
    _limits(sheet, axes, "y", y)
    _shading(axes, shade(told))
    _hulls(axes, shown)
    _samples(axes, shown, x.values, y.values, 13.0 * columns)
    _contours(axes, xs, ys, told)
    _key(axes, shown)
    axes.plot([], [], ":", color="0.3", linewidth=0.9, label=f"probability {100 * SURE:.0f} %")
    axes.plot([], [], "--", color="0.4", linewidth=0.9, label="convex hull")
    sheet.label("x", TypesetLabel.of_expression("d1", x.expression, x.unit))
    sheet.label("y", TypesetLabel.of_expression("d2", y.expression, y.unit))
    return sheet


def _strip(shown: MappedClasses, columns: int) -> PaperSheet:
    sheet = PaperSheet(columns, _STRIP, nrows=2, sharex=True, height_ratios=[1.0, 1.2])
    (above, below), (x,) = sheet.panels, shown.axes
    n_classes = len(shown.model.classes)
    xs = _grid(x, 4 * _N_GRID)
    told = shown.probability(xs[None])
    for number in range(n_classes):
        above.plot(xs, told[:, number], color=COLOURS[number % len(COLOURS)], linewidth=1.4)
        own = x.values[shown.labels == number]
        if len(own := own[np.isfinite(own)]):
            span = {"color": COLOURS[number % len(COLOURS)], "alpha": 0.25, "linewidth": 0}
            below.barh(n_classes - 1 - number, own.max() - own.min(), 0.78, own.min(), zorder=1, **span)
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(shown.labels))
    _limits(sheet, below, "x", x)
    below.set_ylim(-0.6, n_classes - 0.4)
    _shading(below, np.broadcast_to(0.5 + 0.5 * shade(told), (2, len(xs), 3)))
    _samples(below, shown, x.values, n_classes - 1 - shown.labels + jitter, 11.0 * columns)
    for place in 0.5 * (xs[1:] + xs[:-1])[np.diff(told.argmax(axis=1)) != 0]:
        for panel in sheet.panels:
            panel.axvline(place, color="0.1", linewidth=0.9, zorder=4)
    _key(above, shown)
    above.set_ylim(-0.02, 1.02)
    below.set_yticks([])
    sheet.label("y", TypesetLabel.of("probability"))
    sheet.label("y", TypesetLabel.of("samples"), below)
    sheet.label("x", TypesetLabel.of_expression("d1", x.expression, x.unit), below)
    return sheet


def _limits(sheet: PaperSheet, axes: Any, side: str, axis: Axis) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    getattr(axes, f"set_{side}scale")("log" if axis.is_log else "linear")
    getattr(axes, f"set_{side}lim")(axis.low, axis.high)
    ticks = getattr(axes, f"{side}axis")
    if not axis.is_log:
        ticks.set_major_locator(MaxNLocator(nbins=4 * sheet.columns))
    elif axis.high / axis.low < _FEW_DECADES and _PLAIN[0] < axis.low and axis.high < _PLAIN[1]:
        ticks.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks.set_minor_formatter(NullFormatter())


def _shading(axes: Any, colours: np.ndarray) -> None:
    """Colours (n_y, n_x, 3) behind all of the axes, which may be logarithmic."""
    place = {"transform": axes.transAxes, "extent": (0, 1, 0, 1), "aspect": "auto"}
    axes.imshow(colours, origin="lower", interpolation="bilinear", zorder=0, **place)


def _mark(number: int) -> dict[str, Any]:
    return {"c": COLOURS[number % len(COLOURS)], "marker": MARKS[number % len(MARKS)]}


def _samples(axes: Any, shown: MappedClasses, x: np.ndarray, y: np.ndarray, area: float) -> None:
    """The samples, those of rare classes above the others; told wrongly with a dark edge."""
    size = area if len(x) < 300 else 0.65 * area
    counts = np.bincount(shown.labels, minlength=len(shown.model.classes))
    order = np.argsort(np.argsort(-counts, kind="stable"))
    for number in range(len(counts)):
        own = shown.is_shown & (shown.labels == number)
        level = 5.0 + order[number] / len(counts)
        for rows, edge, width, above in (
            (own & ~shown.is_wrong, "white", 0.3, 0),
            (own & shown.is_wrong, "black", 0.6, 1),
        ):
            style = {"s": size, "edgecolors": edge, "linewidths": width, "zorder": level + above}
            axes.scatter(x[rows], y[rows], **_mark(number), **style)


def _key(axes: Any, shown: MappedClasses) -> None:
    """The legend of marks and boundary."""
    for number, name in enumerate(shown.model.classes):
        axes.scatter([], [], 20.0, **_mark(number), edgecolors="none", label=plain(str(name)))
    if (shown.is_shown & shown.is_wrong).any():
        axes.scatter([], [], 20.0, "white", edgecolors="black", linewidths=0.7, label="told as another class")
    axes.plot([], [], color="0.1", linewidth=1.1, label="boundary")


def _hulls(axes: Any, shown: MappedClasses) -> None:
    """The convex hull of each class."""
    from scipy.spatial import ConvexHull, QhullError

    points = np.column_stack([axis.values for axis in shown.axes])
    share = np.linspace(0.0, 1.0, 300)[:, None]
    for number in range(len(shown.model.classes)):
        own = points[(shown.labels == number) & np.isfinite(points).all(axis=1)]
        try:
            corners = own[ConvexHull(own).vertices]
        except (QhullError, ValueError):
            continue  # fewer than three points, or all on a line
        edges = [a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
        axes.plot(*np.vstack(edges).T, "--", color=COLOURS[number % len(COLOURS)], linewidth=0.9, zorder=3)


def _contours(axes: Any, xs: np.ndarray, ys: np.ndarray, told: np.ndarray) -> None:
    """Where another class becomes the most probable, and where that one has the probability `SURE`."""
    for number in range(told.shape[-1] if told.shape[-1] > 2 else 1):
        others = np.delete(told, number, axis=-1).max(axis=-1)
        _contour(axes, xs, ys, told[..., number] - others, 0.0, colors="0.1", linewidths=1.1, linestyles="solid")
    _contour(axes, xs, ys, told.max(axis=-1), SURE, colors="0.3", linewidths=0.7, linestyles="dotted")


def _contour(axes: Any, xs: np.ndarray, ys: np.ndarray, values: np.ndarray, level: float, **style: Any) -> None:
    if values.min() < level < values.max():
        axes.contour(xs, ys, values, [level], zorder=4, **style)
