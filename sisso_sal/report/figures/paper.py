"""Figures drawn with matplotlib, for papers: what `interactive` shows, one or two columns wide.

The map is in `paper_map`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sisso_sal.report.figures.colours import COLOURS
from sisso_sal.report.figures.course import Course
from sisso_sal.report.figures.out_of_bag import CalibrationCurve, OutOfBag, Reliability, groups_by_sigma
from sisso_sal.report.figures.paper_layout import STYLE, TALLEST, PaperSheet, names_above, names_beside
from sisso_sal.report.figures.paper_text import TypesetLabel, plain, typeset, typeset_name, typeset_unit
from sisso_sal.report.run_view import RunView
from sisso_sal.report.summary import wanted_classes

BLUE, VERMILION, GREEN = COLOURS[:3]
_GREY = "#888888"
_SQUARE = {1: 3.6, 2: 5.2}
_FLAT = {1: 2.9, 2: 4.0}


def _unit(view: RunView) -> str:
    return f" ({typeset_unit(view.unit)})" if view.unit else ""


def _header(view: RunView) -> str:
    return f"{plain(view.target)}{_unit(view)}"


def parity(view: RunView, seen: OutOfBag, residuals: bool, columns: int) -> Any:
    """See `draw.parity`."""
    sheet = PaperSheet(columns, _FLAT if residuals else _SQUARE)
    axes = sheet.axes
    x, y = (seen.predicted, seen.residual) if residuals else (seen.known, seen.predicted)
    bars = np.nan_to_num(np.array(seen.reaches(residuals)), posinf=0.0) if seen.has_sigma else np.zeros((2, len(x)))
    low, high = _ends(np.concatenate([x, *([] if residuals else [y - bars[0], y + bars[1]])]))
    axes.plot(
        [low, high], [0, 0] if residuals else [low, high], "--", color=_GREY, linewidth=0.8, label=_ideal(residuals)
    )
    axes.errorbar(
        x, y, bars if seen.has_sigma else None, fmt="o", color=BLUE, markersize=2.5 * columns**0.5, elinewidth=0.6,
        ecolor=(0.0, 0.45, 0.70, 0.35), label="out of bag" + (", 95 % interval" if seen.has_sigma else ""),
    )  # fmt: skip
    if residuals:
        axes.set_xlim(low, high)
        sheet.label("x", TypesetLabel.of(f"predicted {_header(view)}"))
        sheet.label("y", TypesetLabel.of(f"residual: known − predicted{_unit(view)}"))
    else:
        sheet.square(low, high)
        sheet.label("x", TypesetLabel.of(f"known {_header(view)}"))
        sheet.label("y", TypesetLabel.of(f"predicted {_header(view)}"))
    return sheet.finish()


def _ideal(residuals: bool) -> str:
    return "no residual" if residuals else "predicted = known"


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    return low - pad, high + pad


def calibration(curve: CalibrationCurve, columns: int) -> Any:
    """See `draw.calibration`."""
    sheet = PaperSheet(columns, _SQUARE)
    axes = sheet.axes
    axes.fill_between(curve.levels, curve.low, curve.high, color="0.85", linewidth=0, label="perfect sigma, 95 % range")
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=0.8)
    axes.plot(curve.levels, curve.raw, ":", color=VERMILION, linewidth=1.6, label="raw sigma")
    if curve.kind != "none":
        axes.plot(curve.levels, curve.recalibrated, color=BLUE, linewidth=1.6, label=f"recalibrated ({curve.kind})")
    sheet.square(0.0, 1.0)
    sheet.label("x", TypesetLabel.of("nominal coverage"))
    sheet.label("y", TypesetLabel.of("observed coverage"))
    return sheet.finish()


def reliability(found: Reliability, columns: int) -> Any:
    """See `draw.reliability`."""
    sheet = PaperSheet(columns, _SQUARE)
    axes = sheet.axes
    claimed, real, low, high = (
        np.array([row[name] for row in found.rows]) for name in ("claimed", "real", "low", "high")
    )
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=0.8, label="claims come true")
    axes.errorbar(
        claimed, real, np.array([real - low, high - real]), fmt="o-", color=BLUE, markersize=4, elinewidth=0.8,
        label="fifths of the labels, out of bag, 95 % interval",
    )  # fmt: skip
    sheet.square(-0.03, 1.03)
    sheet.label("x", TypesetLabel.of("claimed probability to reach the goal"))
    sheet.label("y", TypesetLabel.of("share that reaches it"))
    return sheet.finish()


def error_against_sigma(view: RunView, seen: OutOfBag, columns: int) -> Any:
    """See `draw.error_against_sigma`."""
    sheet = PaperSheet(columns, _FLAT)
    axes = sheet.axes
    groups = groups_by_sigma(seen)
    top = max(seen.sigma.max(), max(row["rmse"] for row in groups))
    axes.plot([0, top], [0, top], "--", color=_GREY, linewidth=0.8, label="perfect sigma")
    axes.scatter(seen.sigma, np.abs(seen.residual), 7 * columns, BLUE, alpha=0.6, linewidths=0, label="each label")
    axes.plot(
        [row["sigma"] for row in groups], [row["rmse"] for row in groups], "D-", color=VERMILION, markersize=4,
        label="root mean squares of five groups",
    )  # fmt: skip
    sheet.label("x", TypesetLabel.of(f"sigma{_unit(view)}"))
    sheet.label("y", TypesetLabel.of(f"absolute residual{_unit(view)}"))
    return sheet.finish()


def learning_curve(view: RunView, seen: Course, columns: int) -> Any:
    """See `draw.learning_curve`."""
    from matplotlib.ticker import MaxNLocator

    if view.is_of_classes:
        return _hits(view, seen, columns)
    fits = [fit for fit in seen.fits if fit["rmse"] is not None]
    panels = {"nrows": 2, "sharex": True, "height_ratios": [2, 1]} if fits else {}
    sheet = PaperSheet(columns, {1: 3.8, 2: 4.8} if fits else _FLAT, **panels)
    above, below = sheet.panels[0], sheet.panels[-1]
    n = np.arange(1, len(seen.ids) + 1)
    start, new = n <= seen.n_start, n > seen.n_start
    size = 2.0 * columns**0.5
    above.plot(
        n[start], seen.value[start], "s", color=_GREY, markersize=size, markeredgewidth=0.6, fillstyle="none",
        label="known at the start",
    )  # fmt: skip
    if new.any():
        above.plot(n[new], seen.value[new], "o", color=BLUE, markersize=size, label="computed")
    above.step(n, seen.best, where="post", color=VERMILION, linewidth=1.4, label="best so far")
    sheet.label("y", TypesetLabel.of(_header(view)))
    if fits:
        below.plot(
            [fit["n_labelled"] for fit in fits], [fit["rmse"] for fit in fits], "D-", color=GREEN, markersize=3.5
        )
        below.set_ylim(0, 1.1 * max(fit["rmse"] for fit in fits))
        below.yaxis.set_major_locator(MaxNLocator(4))  # a number that depends on the height may change after the layout
        sheet.label("y", TypesetLabel.of(f"RMSE{_unit(view)}"), below)
    sheet.label("x", TypesetLabel.of("labels"), below)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return sheet.finish()


def _hits(view: RunView, seen: Course, columns: int) -> Any:
    """How many labels were hits, of classes."""
    from matplotlib.ticker import MaxNLocator

    sheet = PaperSheet(columns, _FLAT)
    n = np.arange(1, len(seen.ids) + 1)
    sheet.axes.step(n, seen.best, where="post", color=VERMILION, linewidth=1.4, label="hits so far")
    sheet.axes.axvline(seen.n_start, color=_GREY, linewidth=0.8, linestyle="--", label="known at the start")
    sheet.label("x", TypesetLabel.of("labels"))
    sheet.label("y", TypesetLabel.of(f"hits: {plain(wanted_classes(view.summary))}"))
    for axis in (sheet.axes.xaxis, sheet.axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return sheet.finish()


def feature_frequency(rows: Sequence[tuple[str, float]], title: str, columns: int, *, kind: str) -> Any:
    """See `draw.feature_frequency`; long names stand above their bars."""
    shown = {"primaries": typeset_name, "descriptors": typeset}.get(kind, plain)
    names = [shown(name) for name, _ in rows]
    line = STYLE["ytick.labelsize"] * 1.35 / 72.0  # inches
    beside = names_beside(names, columns, 0.42)
    if beside is not None:
        sheet = PaperSheet(columns, dict.fromkeys((1, 2), 0.6 + line * (0.4 + 1.3 * len(rows))))
        sheet.axes.barh(np.arange(len(rows)), [share for _, share in rows], color=BLUE, height=0.7)
        sheet.axes.set_yticks(np.arange(len(rows)), beside)
    else:
        sheet = _names_above_bars(rows, names_above(names, columns), line, columns)
        n_bars = len(sheet.axes.patches)
        title += f", the {n_bars} most frequent of {len(rows)}" if n_bars < len(rows) else ""
    sheet.axes.tick_params(axis="y", length=0)
    sheet.axes.invert_yaxis()
    sheet.axes.set_xlim(0, 1)
    sheet.label("x", TypesetLabel.of(title))
    return sheet.finish()


def _names_above_bars(rows: Sequence[tuple[str, float]], names: list[str], line: float, columns: int) -> PaperSheet:
    """Bars with their names above them, as many as a page has room for."""
    bar = 0.8 * line
    tall = np.array([line * (name.count("\n") + 1) + bar + 0.6 * line for name in names])
    ends = np.cumsum(tall)
    ends = ends[: max(1, int(np.searchsorted(ends, TALLEST - 0.6, side="right")))]
    sheet = PaperSheet(columns, dict.fromkeys((1, 2), float(ends[-1]) + 0.6))
    for (_, share), name, end in zip(rows, names, ends, strict=False):
        middle = end - 0.3 * line - 0.5 * bar
        sheet.axes.barh([middle], [share], color=BLUE, height=bar)
        sheet.axes.text(
            0.008, middle - 0.55 * bar, name, fontsize=STYLE["ytick.labelsize"], va="bottom", linespacing=1.15
        )
    sheet.axes.set_ylim(0.0, ends[-1])
    sheet.axes.set_yticks([])
    return sheet
