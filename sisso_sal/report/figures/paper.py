"""Figures drawn with matplotlib, for papers: what `interactive` shows, at the width of a column or a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from sisso_sal.features.names import is_plain, quoted
from sisso_sal.features.symbols import latex_symbol
from sisso_sal.features.typeset import written
from sisso_sal.report.figures.colours import COLOURS, FAILED, SCALES
from sisso_sal.report.figures.course import Course
from sisso_sal.report.figures.materials_map import Axis, MaterialsMap
from sisso_sal.report.figures.out_of_bag import CalibrationCurve, OutOfBag, Reliability, groups_by_sigma
from sisso_sal.report.run_view import RunView
from sisso_sal.system.printable import printable

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
    symbols = {name: _symbol(name) for name in axis.expression.primaries()}
    formula = written(axis.expression, "latex", symbols).replace(r"\frac", r"\dfrac")
    return f"{name} = ${formula}${unit}"


def _symbol(name: str) -> str:
    """A primary feature in the part of TeX that matplotlib knows.

    Examples
    --------
    >>> print(_symbol("r_cov"), _symbol("a_b/$c"))
    r_{\\mathrm{cov}} {\\text{`a_b/\\$c`}}
    """
    if is_plain(name) and r"\text" not in latex_symbol(name):
        return latex_symbol(name)
    parts = (re.sub("[{}$]", r"\\\g<0>", part) for part in quoted(name).split("\\"))
    return "{" + r"\backslash".join(rf"\text{{{part}}}" if part else "" for part in parts) + "}"


def _unit(text: str) -> str:
    """
    Examples
    --------
    >>> _unit("eV*Å**5")
    'eV·Å$^{5}$'
    """
    return re.sub(r"\*\*\(?([-\d/]+)\)?", r"$^{\1}$", text).replace("*", "·")


def _plain(text: str) -> str:
    """A name or a unit as it is, in one line: no dollar of a table starts a formula."""
    return printable(text).replace("$", r"\$")


def _header(view: RunView) -> str:
    return _plain(view.header)


def descriptor_map(view: RunView, plane: MaterialsMap, colour: str) -> Any:
    """See `draw.descriptor_map`."""
    figure, axes = _axes(6.4, 4.8)
    proposed = np.isin(view.ids, [proposal["id"] for proposal in view.proposals])
    values = view.values(colour)
    known = view.labelled
    scaled = np.where(known, view.values("label"), values) if colour == "mean" else values[~known]
    finite = scaled[np.isfinite(scaled)]
    low, high = np.quantile(finite, [0.01, 0.99]) if len(finite) else (0.0, 1.0)
    scale = {"cmap": SCALES[colour].lower(), "vmin": low, "vmax": high}
    for line in plane.lines:
        axes.plot(line.x, line.y, ":", color=_GREY, linewidth=0.8, zorder=1)
        middle = len(line.x) // 2
        axes.annotate(
            f"{line.level:g}", (line.x[middle], line.y[middle]), fontsize=7, color="0.4", path_effects=_halo(), zorder=5
        )
    rows = plane.drawn[~proposed[plane.drawn]]
    shown = axes.scatter(
        plane.x.values[rows], plane.y.values[rows], 12, values[rows], **scale, linewidths=0, zorder=2,
        rasterized=len(rows) > 2000, label="candidate",
    )  # fmt: skip
    face = {"c": view.values("label")[known], **scale} if colour == "mean" else {"c": "white"}
    axes.scatter(
        plane.x.values[known], plane.y.values[known], 30, **face, marker="s", edgecolors="black", linewidths=0.8, zorder=3,
        label="known",
    )  # fmt: skip
    axes.scatter(
        plane.x.values[proposed], plane.y.values[proposed], 60, values[proposed], **scale, marker="D", edgecolors=VERMILION,
        linewidths=1.5, zorder=4, label="proposed",
    )  # fmt: skip
    _troubled(axes, view, plane)
    _scaled(axes, plane)
    _named(axes, view, plane)
    names = {"mean": _header(view), "std": f"sigma ({_plain(view.unit)})" if view.unit else "sigma", "score": "score"}
    figure.colorbar(shown, ax=axes, label=names[colour])
    axes.legend(frameon=False, fontsize=8, loc="best")
    return figure


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2, foreground="white")]


def _named(axes, view: RunView, plane: MaterialsMap) -> None:
    """The first proposals by name, each on the side of its mark on which it is farthest from names and proposals so far."""
    ids = [proposal["id"] for proposal in view.proposals]
    rows = np.array([int(np.flatnonzero(view.ids == id)[0]) for id in ids], dtype=int)
    places = axes.transData.transform(np.column_stack([plane.x.values[rows], plane.y.values[rows]]))
    taken = [*places[np.isfinite(places).all(axis=1)]]
    for id, row, place in zip(ids[:N_NAMED], rows, places, strict=False):
        if not np.isfinite(place).all():
            continue
        width = 5.5 * len(id) * axes.figure.dpi / 72
        sides = {(x, y): place + np.array([0.5 * width * x, 10.0 * y]) for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1))}
        x, y = max(sides, key=lambda side: _room(sides[side], width, taken))
        taken += [sides[x, y] + np.array([share * width, 0.0]) for share in (-0.4, 0.0, 0.4)]
        axes.annotate(
            _plain(id), (plane.x.values[row], plane.y.values[row]), (6 * x, 6 * y), textcoords="offset points", fontsize=8,
            ha="left" if x > 0 else "right", va="bottom" if y > 0 else "top", path_effects=_halo(), zorder=6,
        )  # fmt: skip


def _room(middle: np.ndarray, width: float, taken: Sequence[np.ndarray]) -> float:
    """Distance of the nearest point that is taken from a name around this point, in pixels; up and down counts more."""
    return min(float(np.hypot(max(abs(x) - 0.5 * width, 0.0), 2.0 * y)) for x, y in (point - middle for point in taken))


def _troubled(axes, view: RunView, plane: MaterialsMap) -> None:
    for name, cases, marker, colour in (
        ("being computed", view.state.pending if view.state else [], "+", BLUE),
        ("failed", view.state.failed if view.state else [], "x", FAILED),
    ):
        rows = np.isin(view.ids, [case.id for case in cases])
        if rows.any():
            axes.scatter(plane.x.values[rows], plane.y.values[rows], 45, colour, marker=marker, label=name, zorder=4)


def _scaled(axes, plane: MaterialsMap) -> None:
    for axis, set_scale, set_limits in (
        (plane.x, axes.set_xscale, axes.set_xlim),
        (plane.y, axes.set_yscale, axes.set_ylim),
    ):
        set_scale("log" if axis.is_log else "linear")
        set_limits(axis.low, axis.high)
    axes.set_xlabel(_title("d1", plane.x))
    axes.set_ylabel(_title("d2", plane.y))


def parity(view: RunView, seen: OutOfBag, residuals: bool) -> Any:
    """See `draw.parity`."""
    figure, axes = _axes()
    x, y = (seen.predicted, seen.residual) if residuals else (seen.known, seen.predicted)
    ends = [min(seen.known.min(), seen.predicted.min()), max(seen.known.max(), seen.predicted.max())]
    axes.plot(ends, [0, 0] if residuals else ends, "--", color=_GREY, linewidth=1)
    bars = np.nan_to_num(np.array(seen.reaches(residuals)), posinf=0.0) if seen.has_sigma else None
    axes.errorbar(x, y, bars, fmt="o", color=BLUE, markersize=4, elinewidth=0.6, ecolor=(0.0, 0.45, 0.70, 0.35))
    unit = f" ({_plain(view.unit)})" if view.unit else ""
    if residuals:
        axes.set(xlabel=f"predicted {_header(view)}", ylabel=f"residual: known − predicted{unit}")
    else:
        axes.set(xlabel=f"known {_header(view)}", ylabel=f"predicted {_header(view)}")
    return figure


def calibration(curve: CalibrationCurve) -> Any:
    """See `draw.calibration`."""
    figure, axes = _axes()
    label = "perfect sigma, 95 % range"
    axes.fill_between(curve.levels, curve.low, curve.high, color="0.85", label=label)
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
    axes.plot(curve.levels, curve.raw, ":", color=VERMILION, linewidth=2, label="raw sigma")
    if curve.kind != "none":
        axes.plot(curve.levels, curve.recalibrated, color=BLUE, linewidth=2, label=f"recalibrated ({curve.kind})")
    axes.set(xlabel="nominal coverage", ylabel="observed coverage", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def reliability(found: Reliability) -> Any:
    """See `draw.reliability`."""
    figure, axes = _axes()
    claimed, real, low, high = (
        np.array([row[name] for row in found.rows]) for name in ("claimed", "real", "low", "high")
    )
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
    axes.errorbar(
        claimed, real, np.array([real - low, high - real]), fmt="o-", color=BLUE, markersize=5, elinewidth=0.8
    )
    for x, y, row in zip(claimed, real, found.rows, strict=True):
        axes.annotate(str(row["n"]), (x, y), xytext=(5, -10), textcoords="offset points", fontsize=7, color=_GREY)
    axes.set(
        xlabel="claimed probability to reach the goal",
        ylabel="share that reaches it",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    return figure


def error_against_sigma(view: RunView, seen: OutOfBag) -> Any:
    """See `draw.error_against_sigma`."""
    figure, axes = _axes()
    groups = groups_by_sigma(seen)
    top = max(seen.sigma.max(), max(row["rmse"] for row in groups))
    axes.plot([0, top], [0, top], "--", color=_GREY, linewidth=1, label="perfect sigma")
    axes.scatter(seen.sigma, np.abs(seen.residual), 14, BLUE, alpha=0.6, linewidths=0, label="each label")
    axes.plot(
        [row["sigma"] for row in groups], [row["rmse"] for row in groups], "D-", color=VERMILION,
        label="root mean squares of five groups",
    )  # fmt: skip
    unit = f" ({_plain(view.unit)})" if view.unit else ""
    axes.set(xlabel=f"sigma{unit}", ylabel=f"absolute residual{unit}")
    axes.legend(frameon=False, fontsize=8)
    return figure


def learning_curve(view: RunView, seen: Course) -> Any:
    """See `draw.learning_curve`."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    fits = [fit for fit in seen.fits if fit["rmse"] is not None]
    figure = Figure(figsize=(6.0, 4.8 if fits else 3.6), layout="constrained")
    panels = list(figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])) if fits else [figure.subplots()]
    above, below = panels[0], panels[-1]
    n = np.arange(1, len(seen.ids) + 1)
    start, new = n <= seen.n_start, n > seen.n_start
    above.plot(
        n[start], seen.value[start], "s", color=_GREY, markersize=4, fillstyle="none", label="known at the start"
    )
    if new.any():
        above.plot(n[new], seen.value[new], "o", color=BLUE, markersize=4, label="computed")
    above.step(n, seen.best, where="post", color=VERMILION, linewidth=1.8, label="best so far")
    above.set(ylabel=_header(view))
    if fits:
        below.plot([fit["n_labelled"] for fit in fits], [fit["rmse"] for fit in fits], "D-", color=GREEN, markersize=5)
        below.set(ylabel=f"RMSE ({_plain(view.unit)})" if view.unit else "RMSE")
        below.set_ylim(0, None)
    below.set_xlabel("labels")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    above.legend(frameon=False, fontsize=8)
    return figure


def feature_frequency(rows: Sequence[tuple[str, float]], title: str) -> Any:
    """See `draw.feature_frequency`."""
    figure, axes = _axes(5.0, 0.9 + 0.24 * max(len(rows), 1))
    names = [_plain(name) for name, _ in rows]
    axes.barh(np.arange(len(rows)), [share for _, share in rows], color=BLUE)
    axes.set_yticks(np.arange(len(rows)), names)
    axes.invert_yaxis()
    axes.set(xlabel=title, xlim=(0, 1))
    return figure


def pourbaix(stability, name: str, at) -> Any:
    """See `draw.pourbaix`."""
    from sisso_sal.oracle.stability.diagram import pourbaix_figure

    return pourbaix_figure(stability, name, at)
