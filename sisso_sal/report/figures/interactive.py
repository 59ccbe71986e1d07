"""Figures drawn with plotly, as plain data (``{"data": […], "layout": {…}}``), so that a page needs no plotly in Python.

They take the numbers of `out_of_bag` and `course`. Only SVG traces: a graphics card is often not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from sisso_sal.report.chemistry import are_formulas, subscripted
from sisso_sal.report.figures.colours import COLOURS, DIVERGING
from sisso_sal.report.figures.course import Course
from sisso_sal.report.figures.labels import MOST_LETTERS, placed
from sisso_sal.report.figures.out_of_bag import CalibrationCurve, OutOfBag, Reliability, groups_by_sigma
from sisso_sal.report.figures.plotly_data import Spec, header_markup, in_parentheses, plain, shortened, spec
from sisso_sal.report.run_view import RunView
from sisso_sal.report.summary import wanted_classes
from sisso_sal.system.printable import printable

BLUE, VERMILION, GREEN = COLOURS[:3]

N_NAMED = 3
"""Materials whose names stand beside their points, those farthest from the diagonal."""


def parity(view: RunView, seen: OutOfBag, residuals: bool) -> Spec:
    """See `draw.parity`."""
    header = header_markup(view.target, view.unit)
    x, y = (seen.predicted, seen.residual) if residuals else (seen.known, seen.predicted)
    ends = [float(min(seen.known.min(), seen.predicted.min())), float(max(seen.known.max(), seen.predicted.max()))]
    numbers = zip(*(shortened(v) for v in (seen.known, seen.predicted, seen.residual, seen.sigma)), strict=True)
    points: Spec = {
        "type": "scatter", "mode": "markers", "name": "labelled, out of bag", "x": shortened(x), "y": shortened(y),
        "customdata": [[escape(id), *row] for id, row in zip(seen.ids, numbers, strict=True)],
        "hovertemplate": "<b>%{customdata[0]}</b><br>known %{customdata[1]}<br>predicted out of bag %{customdata[2]}"
        f"<br>residual %{{customdata[3]}}{', sigma %{customdata[4]}' if seen.has_sigma else ''}<extra></extra>",
        "marker": {"color": BLUE, "size": 7, "line": {"width": 0.5, "color": "#ffffff"}},
    }  # fmt: skip
    if seen.has_sigma:
        below, above = seen.reaches(residuals)
        points["error_y"] = {
            "type": "data", "symmetric": False, "array": shortened(above), "arrayminus": shortened(below), "thickness": 1,
            "width": 0, "color": "rgba(0,114,178,0.35)",
        }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "x": ends, "y": [0, 0] if residuals else ends, "hoverinfo": "skip",
        "showlegend": False, "line": {"color": "#888888", "width": 1.5, "dash": "dash"},
    }  # fmt: skip
    titles = (
        (f"predicted {header}", f"residual: known − predicted{in_parentheses(view.unit)}")
        if residuals
        else (f"known {header}", f"predicted {header}")
    )
    return spec([line, points], *titles, showlegend=False, annotations=_farthest(view, seen, residuals))


def _farthest(view: RunView, seen: OutOfBag, residuals: bool) -> list[Spec]:
    """The names of the materials with the largest residuals, whose labels are to be checked first."""
    x, y = (seen.predicted, seen.residual) if residuals else (seen.known, seen.predicted)
    below, above = (
        (np.nan_to_num(reach, posinf=0.0) for reach in seen.reaches(residuals)) if seen.has_sigma else (0.0, 0.0)
    )
    ends = (x.min(), x.max()), (float((y - below).min()), float((y + above).max()))
    order = np.argsort(-np.abs(seen.residual), kind="stable")[:N_NAMED]
    names = [printable(str(id))[:MOST_LETTERS] for id in np.asarray(seen.ids, dtype=object)[order]]
    shares = [(values - low) / ((high - low) or 1.0) for values, (low, high) in zip((x, y), ends, strict=True)]
    offsets = placed(shares[0][order], shares[1][order], [len(name) for name in names], (shares[0], shares[1]))
    is_formula = are_formulas(view.ids)
    return [
        {
            "x": float(x[row]), "y": float(y[row]), "ax": round(float(right), 1), "ay": round(-float(up), 1), "showarrow": True,
            "arrowhead": 0, "arrowwidth": 1, "arrowcolor": "#888888", "standoff": 4, "font": {"size": 11},
            "text": subscripted(name) if is_formula else plain(name),
        }
        for row, name, (right, up) in zip(order.tolist(), names, offsets, strict=True)
    ]  # fmt: skip


def calibration(curve: CalibrationCurve) -> Spec:
    """See `draw.calibration`."""
    levels = shortened(curve.levels)
    percent = {"tickformat": ".0%", "range": [0, 1]}
    band = {
        "type": "scatter", "mode": "lines", "name": "perfect sigma, 95 % range",
        "x": levels + levels[::-1], "y": shortened(curve.high) + shortened(curve.low)[::-1], "fill": "toself",
        "fillcolor": "rgba(128,128,128,0.25)", "line": {"width": 0}, "hoverinfo": "skip",
    }  # fmt: skip
    ideal = {
        "type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "showlegend": False, "hoverinfo": "skip",
        "line": {"color": "#888888", "width": 1, "dash": "dash"},
    }  # fmt: skip

    def shown(name: str, values: np.ndarray, colour: str, dash: str) -> Spec:
        return {
            "type": "scatter", "mode": "lines", "name": name, "x": levels, "y": shortened(values),
            "line": {"color": colour, "width": 2.5, "dash": dash},
            "hovertemplate": f"{name}: %{{y:.0%}} of the labels lie in their %{{x:.0%}} interval<extra></extra>",
        }  # fmt: skip

    traces = [band, ideal, shown("raw sigma", curve.raw, VERMILION, "dot")]
    if curve.kind != "none":
        traces.append(shown(f"recalibrated ({curve.kind})", curve.recalibrated, BLUE, "solid"))
    return spec(traces, "nominal coverage", "observed coverage", xaxis=percent, yaxis=dict(percent))


def reliability(found: Reliability) -> Spec:
    """See `draw.reliability`."""
    claimed, real = ([row[name] for row in found.rows] for name in ("claimed", "real"))
    points: Spec = {
        "type": "scatter", "mode": "lines+markers", "name": "labels, out of bag", "x": shortened(claimed), "y": shortened(real),
        "customdata": [[row["n"]] for row in found.rows], "marker": {"color": BLUE, "size": 9},
        "line": {"color": BLUE, "width": 1.5},
        "error_y": {
            "type": "data", "symmetric": False, "array": shortened([row["high"] - row["real"] for row in found.rows]),
            "arrayminus": shortened([row["real"] - row["low"] for row in found.rows]), "thickness": 1, "width": 4,
            "color": "rgba(0,114,178,0.5)",
        },
        "hovertemplate": "claimed %{x:.0%}, real %{y:.0%} of %{customdata[0]} labels<extra></extra>",
    }  # fmt: skip
    ideal = {
        "type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "showlegend": False, "hoverinfo": "skip",
        "line": {"color": "#888888", "width": 1, "dash": "dash"},
    }  # fmt: skip
    percent = {"tickformat": ".0%", "range": [-0.02, 1.02]}
    drawn = spec([ideal, points], "claimed probability to reach the goal", "share that reaches it", showlegend=False)
    for axis in ("xaxis", "yaxis"):
        drawn["layout"][axis] |= percent
    return drawn


def error_against_sigma(view: RunView, seen: OutOfBag) -> Spec:
    """See `draw.error_against_sigma`."""
    unit = in_parentheses(view.unit)
    groups = groups_by_sigma(seen)
    top = float(max(seen.sigma.max(), max(row["rmse"] for row in groups)))
    points = {
        "type": "scatter", "mode": "markers", "name": "each label", "x": shortened(seen.sigma),
        "y": shortened(np.abs(seen.residual)), "text": [escape(id) for id in seen.ids],
        "hovertemplate": "<b>%{text}</b><br>sigma %{x}, absolute residual %{y}<extra></extra>",
        "marker": {"color": BLUE, "size": 6, "opacity": 0.6},
    }  # fmt: skip
    means = {
        "type": "scatter", "mode": "lines+markers", "name": "root mean squares of five groups",
        "x": shortened([row["sigma"] for row in groups]), "y": shortened([row["rmse"] for row in groups]),
        "text": [str(row["n"]) for row in groups],
        "hovertemplate": "%{text} labels: sigma %{x}, residual %{y}<extra></extra>",
        "marker": {"color": VERMILION, "size": 11, "symbol": "diamond"}, "line": {"color": VERMILION, "width": 2},
    }  # fmt: skip
    ideal = {
        "type": "scatter", "mode": "lines", "x": [0, top], "y": [0, top], "name": "perfect sigma", "hoverinfo": "skip",
        "line": {"color": "#888888", "width": 1.5, "dash": "dash"},
    }  # fmt: skip
    return spec([points, ideal, means], f"sigma{unit}", f"absolute residual{unit}")


def learning_curve(view: RunView, seen: Course) -> Spec:
    """See `draw.learning_curve`."""
    n = np.arange(1, len(seen.ids) + 1)
    new = n > seen.n_start
    traces = [
        _labels(seen, n, ~new, "known at the start", "square-open", "#888888"),
        *([_labels(seen, n, new, "computed", "circle", BLUE)] if new.any() else []),
        {
            "type": "scatter", "mode": "lines", "name": "best so far", "x": n.tolist(), "y": shortened(seen.best),
            "line": {"color": VERMILION, "width": 2.5, "shape": "hv"},
            "hovertemplate": "best %{y} after %{x} labels<extra></extra>",
        },
    ]  # fmt: skip
    if view.is_of_classes:
        return spec([_hits(seen, n)], "labels", f"hits: {plain(wanted_classes(view.summary))}", height=400)
    header = header_markup(view.target, view.unit)
    fits = [fit for fit in seen.fits if fit["rmse"] is not None]
    if not fits:
        return spec(traces, "labels", header, height=400)
    traces.append(
        {
            "type": "scatter", "mode": "lines+markers", "name": "out-of-bag RMSE of each fit", "xaxis": "x", "yaxis": "y2",
            "x": [fit["n_labelled"] for fit in fits], "y": [fit["rmse"] for fit in fits],
            "text": [_fit_text(fit) for fit in fits], "hovertemplate": "%{text}<br>RMSE %{y:.3g}<extra></extra>",
            "marker": {"color": GREEN, "size": 9, "symbol": "diamond"}, "line": {"color": GREEN, "width": 2},
        }
    )  # fmt: skip
    below = {"title": {"text": f"RMSE{in_parentheses(view.unit)}"}, "automargin": True, "rangemode": "tozero"}
    return spec(
        traces, "labels", header, height=520,
        xaxis={"anchor": "y2"}, yaxis={"domain": [0.42, 1.0]}, yaxis2={"domain": [0.0, 0.32], **below},
    )  # fmt: skip


def _hits(seen: Course, n: np.ndarray) -> Spec:
    """How many labels were hits, of classes."""
    names = [[escape(id), "a hit" if value else "no hit"] for id, value in zip(seen.ids, seen.value, strict=True)]
    return {
        "type": "scatter", "mode": "lines", "name": "hits so far", "x": n.tolist(), "y": shortened(seen.best), "customdata": names,
        "line": {"color": VERMILION, "width": 2.5, "shape": "hv"},
        "hovertemplate": "<b>%{customdata[0]}</b>, %{customdata[1]}: %{y} hits after %{x} labels<extra></extra>",
    }  # fmt: skip


def _fit_text(fit: Spec) -> str:
    cost = f", {fit['core_hours']:.3g} core-hours before it" if fit["core_hours"] else ""
    took = f", fit {fit['seconds']:.0f} s" if fit["seconds"] is not None else ""
    return f"iteration {fit['iteration']}: {fit['n_labelled']} labels{took}{cost}"


def _labels(seen: Course, n: np.ndarray, rows: np.ndarray, name: str, symbol: str, colour: str) -> Spec:
    hours = [
        f"<br>{seen.core_hours[k]:.3g} core-hours so far" if seen.core_hours[k] else "" for k in np.flatnonzero(rows)
    ]
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": n[rows].tolist(), "y": shortened(seen.value[rows]),
        "customdata": [[escape(seen.ids[k]), cost] for k, cost in zip(np.flatnonzero(rows), hours, strict=True)],
        "hovertemplate": "<b>%{customdata[0]}</b> %{y}%{customdata[1]}<extra></extra>",
        "marker": {"color": colour, "size": 7, "symbol": symbol},
    }  # fmt: skip


def feature_frequency(rows: Sequence[tuple[str, float]], title: str) -> Spec:
    """See `draw.feature_frequency`."""
    names = [plain(name) for name, _ in rows][::-1]
    share = [value for _, value in rows][::-1]
    bars = {
        "type": "bar", "orientation": "h", "x": share, "y": names, "marker": {"color": BLUE},
        "text": [f"{value:.0%}" for value in share], "textposition": "auto", "cliponaxis": False,
        "hovertemplate": "%{y}: in %{x:.0%} of the formulas<extra></extra>",
    }  # fmt: skip
    return spec(
        [bars], title, "", height=90 + 24 * len(names), showlegend=False,
        xaxis={"tickformat": ".0%", "range": [0, 1]}, yaxis={"type": "category"}, bargap=0.25,
    )  # fmt: skip


def pourbaix(stability, name: str, at) -> Spec:
    """See `draw.pourbaix`."""
    from sisso_sal.oracle.stability.diagram import water_lines

    limit = float(np.clip(np.abs(stability.energy).max(), 0.1, 1.0))
    x, y = shortened(stability.pH), shortened(stability.potential)
    energy = stability.energy
    products = np.array([" + ".join(mixture) for mixture in stability.mixtures])[stability.energies.argmax(axis=0)]
    field = {
        "type": "heatmap", "x": x, "y": y, "z": [shortened(row, 3) for row in energy], "zmid": 0, "zmin": -limit, "zmax": limit,
        "colorscale": DIVERGING, "text": products.tolist(),
        "hovertemplate": "pH %{x:.2f}, %{y:.2f} V<br>%{z:.3f} eV/atom<br>into %{text}<extra></extra>",
        "colorbar": {"title": {"text": "decomposition free energy (eV/atom)", "side": "right"}, "thickness": 14},
    }  # fmt: skip
    contour = {"type": "contour", "x": x, "y": y, "showscale": False, "hoverinfo": "skip", "ncontours": 1}
    zero = {"start": 0, "end": 0, "size": 1, "coloring": "none"}
    edges = [
        {**contour, "z": [shortened(row, 3) for row in stability.margin(k)], "contours": zero, "showlegend": False,
         "line": {"color": "#555555", "width": 1}}
        for k in range(len(stability.mixtures))
        if stability.margin(k).min() < 0 < stability.margin(k).max()
    ]  # fmt: skip
    if energy.min() < 0 < energy.max():
        edges.append({**contour, "z": field["z"], "contours": zero, "line": {"color": "#000000", "width": 3}})
    water = [
        {"type": "scatter", "mode": "lines", "x": x, "y": shortened(line), "hoverinfo": "skip", "showlegend": False,
         "line": {"color": "#000000", "dash": "dash", "width": 1}}
        for line in water_lines(stability.pH, at)
    ]  # fmt: skip
    here = {
        "type": "scatter", "mode": "markers", "x": [at.pH], "y": [at.potential], "showlegend": False,
        "hovertemplate": "asked for: pH %{x}, %{y} V<extra></extra>",
        "marker": {"symbol": "x-thin-open", "size": 12, "color": "#000000", "line": {"width": 3}},
    }  # fmt: skip
    stable = "no stable region here" if energy.min() >= 0 else "stable inside the thick line"
    title = f"{escape(name)}: {stable}, {at.concentration:g} mol/L, {at.temperature:g} K"
    return spec(
        [field, *edges, *water, here], "pH", "potential against SHE (V)", title={"text": title, "font": {"size": 14}},
        xaxis={"range": [x[0], x[-1]]}, yaxis={"range": [y[0], y[-1]]}, showlegend=False,
    )  # fmt: skip
