"""Figures drawn with matplotlib, for papers: what `interactive` shows, at the width of a column or a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from sisso_sal.report.figures.colours import COLOURS, FAILED, SCALES
from sisso_sal.report.figures.curves import CalibrationCurve, Course, Judged, groups_by_sigma
from sisso_sal.report.figures.materials_map import Axis, MaterialsMap
from sisso_sal.report.run_view import RunView

BLUE, VERMILION, GREEN = COLOURS[:3]
_GREY = "#888888"
N_NAMED = 5
"""Proposals that are named on the map."""


def _axes(width: float = 5.0, height: float = 4.0) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _title(name: str, axis: Axis) -> str:
    unit = f" ({_unit(axis.unit)})" if axis.unit else ""
    return f"{name} = ${axis.expression.to_latex().replace('frac', 'dfrac')}${unit}"


def _unit(text: str) -> str:
    """
    Examples
    --------
    >>> _unit("eV*Å**5")
    'eV·Å$^{5}$'
    """
    return re.sub(r"\*\*\(?([-\d/]+)\)?", r"$^{\1}$", text).replace("*", "·")


def _plain(text: str) -> str:
    """A name or a unit as it is: no dollar of a table starts a formula."""
    return text.replace("$", r"\$")


def _header(view: RunView) -> str:
    return _plain(view.header)


def descriptor_map(view: RunView, found: MaterialsMap, colour: str) -> Any:
    """See `figures.descriptor_map`."""
    figure, axes = _axes(6.4, 4.8)
    proposed = np.isin(view.ids, [proposal["id"] for proposal in view.proposals])
    values = view.values(colour)
    known = view.labelled
    scaled = np.where(known, view.values("label"), values) if colour == "mean" else values[~known]
    finite = scaled[np.isfinite(scaled)]
    low, high = np.quantile(finite, [0.01, 0.99]) if len(finite) else (0.0, 1.0)
    scale = {"cmap": SCALES[colour].lower(), "vmin": low, "vmax": high}
    for line in found.lines:
        axes.plot(line.x, line.y, ":", color=_GREY, linewidth=0.8, zorder=1)
        middle = len(line.x) // 2
        axes.annotate(
            f"{line.level:g}", (line.x[middle], line.y[middle]), fontsize=7, color="0.4", path_effects=_halo(), zorder=5
        )
    rows = found.drawn[~proposed[found.drawn]]
    shown = axes.scatter(
        found.x.values[rows], found.y.values[rows], 12, values[rows], **scale, linewidths=0, zorder=2,
        rasterized=len(rows) > 2000, label="candidate",
    )  # fmt: skip
    face = {"c": view.values("label")[known], **scale} if colour == "mean" else {"c": "white"}
    axes.scatter(
        found.x.values[known], found.y.values[known], 30, **face, marker="s", edgecolors="black", linewidths=0.8, zorder=3,
        label="known",
    )  # fmt: skip
    axes.scatter(
        found.x.values[proposed], found.y.values[proposed], 60, values[proposed], **scale, marker="D", edgecolors=VERMILION,
        linewidths=1.5, zorder=4, label="proposed",
    )  # fmt: skip
    _troubled(axes, view, found)
    _scaled(axes, found)
    _named(axes, view, found)
    names = {"mean": _header(view), "std": f"sigma ({_plain(view.unit)})" if view.unit else "sigma", "score": "score"}
    figure.colorbar(shown, ax=axes, label=names[colour])
    axes.legend(frameon=False, fontsize=8, loc="best")
    return figure


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2, foreground="white")]


def _named(axes, view: RunView, found: MaterialsMap) -> None:
    """The first proposals by name, each on the side of its mark on which it is farthest from names and proposals so far."""
    ids = [proposal["id"] for proposal in view.proposals]
    rows = np.array([int(np.flatnonzero(view.ids == id)[0]) for id in ids], dtype=int)
    places = axes.transData.transform(np.column_stack([found.x.values[rows], found.y.values[rows]]))
    taken = [*places[np.isfinite(places).all(axis=1)]]
    for id, row, place in zip(ids[:N_NAMED], rows, places, strict=False):
        if not np.isfinite(place).all():
            continue
        width = 5.5 * len(id) * axes.figure.dpi / 72
        sides = {(x, y): place + np.array([0.5 * width * x, 10.0 * y]) for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1))}
        x, y = max(sides, key=lambda side: _room(sides[side], width, taken))
        taken += [sides[x, y] + np.array([share * width, 0.0]) for share in (-0.4, 0.0, 0.4)]
        axes.annotate(
            _plain(id), (found.x.values[row], found.y.values[row]), (6 * x, 6 * y), textcoords="offset points", fontsize=8,
            ha="left" if x > 0 else "right", va="bottom" if y > 0 else "top", path_effects=_halo(), zorder=6,
        )  # fmt: skip


def _room(middle: np.ndarray, width: float, taken: Sequence[np.ndarray]) -> float:
    """Distance of the nearest point that is taken from a name around this point, in pixels; up and down counts more."""
    return min(float(np.hypot(max(abs(x) - 0.5 * width, 0.0), 2.0 * y)) for x, y in (point - middle for point in taken))


def _troubled(axes, view: RunView, found: MaterialsMap) -> None:
    for name, cases, marker, colour in (
        ("being computed", view.state.pending if view.state else [], "+", BLUE),
        ("failed", view.state.failed if view.state else [], "x", FAILED),
    ):
        rows = np.isin(view.ids, [case.id for case in cases])
        if rows.any():
            axes.scatter(found.x.values[rows], found.y.values[rows], 45, colour, marker=marker, label=name, zorder=4)


def _scaled(axes, found: MaterialsMap) -> None:
    for axis, set_scale, set_limits in (
        (found.x, axes.set_xscale, axes.set_xlim),
        (found.y, axes.set_yscale, axes.set_ylim),
    ):
        set_scale("log" if axis.is_log else "linear")
        set_limits(axis.low, axis.high)
    axes.set_xlabel(_title("d1", found.x))
    axes.set_ylabel(_title("d2", found.y))


def parity(view: RunView, found: Judged, residuals: bool) -> Any:
    """See `figures.parity`."""
    figure, axes = _axes()
    x, y = (found.predicted, found.error) if residuals else (found.known, found.predicted)
    ends = [min(found.known.min(), found.predicted.min()), max(found.known.max(), found.predicted.max())]
    axes.plot(ends, [0, 0] if residuals else ends, "--", color=_GREY, linewidth=1)
    half = np.where(np.isfinite(found.half95), found.half95, 0.0)
    axes.errorbar(x, y, half, fmt="o", color=BLUE, markersize=4, elinewidth=0.6, ecolor=(0.0, 0.45, 0.70, 0.35))
    unit = f" ({_plain(view.unit)})" if view.unit else ""
    if residuals:
        axes.set(xlabel=f"predicted {_header(view)}", ylabel=f"known less predicted{unit}")
    else:
        axes.set(xlabel=f"known {_header(view)}", ylabel=f"predicted {_header(view)}")
    return figure


def calibration(curve: CalibrationCurve) -> Any:
    """See `figures.calibration`."""
    figure, axes = _axes()
    label = f"95 times in a hundred for a perfect sigma, {curve.n} labels"
    axes.fill_between(curve.levels, curve.low, curve.high, color="0.85", label=label)
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
    axes.plot(curve.levels, curve.raw, ":", color=VERMILION, linewidth=2, label="as it comes")
    if curve.kind != "none":
        axes.plot(curve.levels, curve.recalibrated, color=BLUE, linewidth=2, label=f"recalibrated ({curve.kind})")
    axes.set(xlabel="probability of the interval", ylabel="share of labels inside", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def error_against_sigma(view: RunView, found: Judged) -> Any:
    """See `figures.error_against_sigma`."""
    figure, axes = _axes()
    groups = groups_by_sigma(found)
    top = max(found.sigma.max(), max(row["rmse"] for row in groups))
    axes.plot([0, top], [0, top], "--", color=_GREY, linewidth=1, label="honest sigma")
    axes.scatter(found.sigma, np.abs(found.error), 14, BLUE, alpha=0.6, linewidths=0, label="each label")
    axes.plot(
        [row["sigma"] for row in groups], [row["rmse"] for row in groups], "D-", color=VERMILION,
        label="root mean squares of five groups",
    )  # fmt: skip
    unit = f" ({_plain(view.unit)})" if view.unit else ""
    axes.set(xlabel=f"sigma{unit}", ylabel=f"size of the error{unit}")
    axes.legend(frameon=False, fontsize=8)
    return figure


def learning_curve(view: RunView, found: Course) -> Any:
    """See `figures.learning_curve`."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.0, 4.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    n = np.arange(1, len(found.ids) + 1)
    start, new = n <= found.n_start, n > found.n_start
    above.plot(
        n[start], found.value[start], "s", color=_GREY, markersize=4, fillstyle="none", label="known at the start"
    )
    if new.any():
        above.plot(n[new], found.value[new], "o", color=BLUE, markersize=4, label="computed")
    above.step(n, found.best, where="post", color=VERMILION, linewidth=1.8, label="best so far")
    fits = [fit for fit in found.fits if fit["rmse"] is not None]
    below.plot([fit["n_labelled"] for fit in fits], [fit["rmse"] for fit in fits], "D-", color=GREEN, markersize=5)
    unit = f" ({_plain(view.unit)})" if view.unit else ""
    above.set(ylabel=_header(view))
    below.set(xlabel="labels", ylabel=f"RMSE{unit}")
    below.set_ylim(0, None)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    above.legend(frameon=False, fontsize=8)
    return figure


def feature_frequency(view: RunView, rows: Sequence[tuple[str, float]]) -> Any:
    """See `figures.feature_frequency`."""
    figure, axes = _axes(5.0, 0.9 + 0.24 * max(len(rows), 1))
    names = [_plain(name) for name, _ in rows]
    axes.barh(np.arange(len(rows)), [share for _, share in rows], color=BLUE)
    axes.set_yticks(np.arange(len(rows)), names)
    axes.invert_yaxis()
    axes.set(xlabel=f"share of {len(view.ensemble.members_)} formulas", xlim=(0, 1))
    return figure


def pourbaix(found, name: str, at) -> Any:
    """See `figures.pourbaix`."""
    from sisso_sal.oracle.stability.diagram import pourbaix_figure

    return pourbaix_figure(found, name, at)
