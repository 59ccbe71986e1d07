"""Figures drawn with plotly, as plain data (``{"data": […], "layout": {…}}``), so that a page needs no plotly in Python.

Each takes what `content` or `mapping` found. Only SVG traces: a graphics card is often not there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from sisso_sal.features.expression import Expression, render
from sisso_sal.report.figures.colours import COLOURS, DIVERGING, FAILED, SCALES
from sisso_sal.report.figures.curves import CalibrationCurve, Course, Judged, groups_by_sigma
from sisso_sal.report.figures.materials_map import Axis, MaterialsMap
from sisso_sal.report.run_view import RunView

BLUE, VERMILION, GREEN = COLOURS[:3]
Spec = dict[str, Any]

LAYERS = {"mean": "prediction", "std": "sigma", "score": "acquisition score"}
"""What candidates may be coloured by, as columns of a view, and what it is called."""

_CUSTOM = ("id", "mean", "low95", "high95", "std", "formula", "score", "outside", "distance", "n_valid")
DIGITS = 4


def _spec(data: list[Spec], x: str, y: str, **layout: Any) -> Spec:
    axes = {"automargin": True, "zeroline": False}
    common = {
        "xaxis": {"title": {"text": x}, **axes, **layout.pop("xaxis", {})},
        "yaxis": {"title": {"text": y}, **axes, **layout.pop("yaxis", {})},
        "hovermode": "closest",
        "margin": {"l": 60, "r": 20, "t": 50, "b": 55},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.01, "xanchor": "left", "x": 0},
    }
    return {"data": data, "layout": common | layout}


def shortened(values: Any, digits: int = DIGITS) -> list[float | None]:
    """Numbers to so many digits; None where there is none, as JSON needs it.

    Examples
    --------
    >>> shortened([1.23456, -123456.0, 0.0, float("nan")], 3)
    [1.23, -123000.0, 0.0, None]
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    size = np.abs(np.where(known & (values != 0), values, 1.0))
    places = digits - 1 - np.floor(np.log10(size))
    up, down = 10.0 ** np.clip(places, 0, 290), 10.0 ** np.clip(-places, 0, 290)  # one of the two is 1
    rounded = np.round(np.where(known, values, 0.0) * up / down) / up * down
    return [value if is_known else None for value, is_known in zip(rounded.tolist(), known.tolist(), strict=True)]


def markup(expression: Expression) -> str:
    """A descriptor in the HTML that plotly knows.

    Examples
    --------
    >>> r = Expression.primary("r_cov", "AA")
    >>> markup(Expression.apply("mult", Expression.apply("six_pow", r), Expression.primary("q")))
    'q·r<sub>cov</sub><sup>6</sup>'
    """
    symbols = {name: _symbol(name) for name in expression.primaries()}
    text = render(expression, "text", symbols)[0]
    return re.sub(r"\*\*(\d+)", r"<sup>\1</sup>", text).replace("*", "·")


def _symbol(name: str) -> str:
    head, _, rest = (escape(part).replace("*", "&#42;") for part in name.partition("_"))
    return f"{head}<sub>{rest}</sub>" if head and rest else escape(name).replace("*", "&#42;")


def unit_markup(unit: str) -> str:
    """The text of a unit in the HTML that plotly knows.

    Examples
    --------
    >>> unit_markup("eV/Å**2")
    'eV/Å<sup>2</sup>'
    """
    return re.sub(r"\*\*\(?([-\d/]+)\)?", r"<sup>\1</sup>", escape(unit)).replace("*", "·")


def axis_title(name: str, axis: Axis) -> str:
    unit = f" ({unit_markup(axis.unit)})" if axis.unit else ""
    return f"{name} = {markup(axis.expression)}{unit}"


# The map -------------------------------------------------------------------------------------------------------------


def descriptor_map(view: RunView, found: MaterialsMap, colour: str) -> Spec:
    """See `figures.descriptor_map`; ``meta`` of the candidates has the colours of every layer."""
    ranks = {proposal["id"]: rank for rank, proposal in enumerate(view.proposals, 1)}
    proposed = [row for row in found.drawn if view.ids[row] in ranks]
    others = [row for row in found.drawn if view.ids[row] not in ranks]
    hover = _hover(view, found)
    layers = {name: _layer(view, name) for name in LAYERS}
    known = np.flatnonzero(view.labelled)
    value = view.values("label")[known]
    data = [
        *(_line(view, line) for line in found.lines),
        _points(view, found, others, "candidates", hover, layers, colour, symbol="circle", size=6, line={"width": 0}),
        {
            "type": "scatter", "mode": "markers", "name": "known", "x": shortened(found.x.values[known], 6),
            "y": shortened(found.y.values[known], 6),
            "customdata": [[escape(view.ids[row]), v] for row, v in zip(known, shortened(value), strict=True)],
            "hovertemplate": f"<b>%{{customdata[0]}}</b>, known<br>{escape(view.header)} %{{customdata[1]}}{_place(found)}"
            "<extra></extra>",
            "marker": {
                "symbol": "square", "size": 9, "line": {"width": 1.5, "color": "#1a1a1a"},
                **({"color": shortened(value), "coloraxis": "coloraxis"} if colour == "mean" else {"color": "#ffffff"}),
            },
            "meta": {"role": "known", "values": shortened(value)},
        },
        {
            **_points(view, found, proposed, "proposed", hover, layers, colour, symbol="diamond", size=19,
                      line={"width": 2.5, "color": VERMILION}),
            "mode": "markers+text", "text": [str(ranks[view.ids[row]]) for row in proposed],
            "textfont": {"size": 10, "color": "#ffffff", "weight": "bold", "shadow": "0 0 2px #000, 0 0 2px #000"},
        },
        *_troubled(view, found),
    ]  # fmt: skip
    return _spec(
        data, axis_title("d1", found.x), axis_title("d2", found.y),
        xaxis=_range(found.x), yaxis=_range(found.y), coloraxis=layers[colour]["coloraxis"],
    )  # fmt: skip


def _range(axis: Axis) -> Spec:
    ends = [axis.low, axis.high]
    return {"type": "log", "range": list(np.log10(ends))} if axis.is_log else {"range": ends}


def _place(found: MaterialsMap) -> str:
    units = (f" {unit_markup(axis.unit)}" if axis.unit else "" for axis in (found.x, found.y))
    names = (markup(axis.expression) for axis in (found.x, found.y))
    (x_name, y_name), (x_unit, y_unit) = names, units
    return f"<br>{x_name} = %{{x:.4g}}{x_unit}<br>{y_name} = %{{y:.4g}}{y_unit}"


def _hover(view: RunView, found: MaterialsMap) -> str:
    n = len(view.ensemble.members_)
    return (
        f"<b>%{{customdata[0]}}</b><br>{escape(view.header)} %{{customdata[1]}} (95 %: %{{customdata[2]}} to %{{customdata[3]}})"
        "<br>sigma %{customdata[4]}, formulas alone %{customdata[5]}<br>score %{customdata[6]}"
        f"{_place(found)}<br>valid formulas %{{customdata[9]}} of {n}, extrapolating %{{customdata[7]:.0%}}"
        "<br>distance to the known %{customdata[8]}<extra></extra>"
    )


def _points(view, found, rows, name, hover, layers, colour, **marker) -> Spec:
    rows = np.asarray(rows, dtype=np.int64)
    columns = [[escape(id) for id in view.ids[rows]], *(shortened(view.values(key)[rows], 3) for key in _CUSTOM[1:])]
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": shortened(found.x.values[rows], 6),
        "y": shortened(found.y.values[rows], 6), "customdata": list(map(list, zip(*columns, strict=True))),
        "hovertemplate": hover,
        "marker": {"color": shortened(view.values(colour)[rows]), "coloraxis": "coloraxis", "opacity": 0.9, **marker},
        "meta": {
            "role": name, "layers": {key: {"color": shortened(view.values(key)[rows]), **layer} for key, layer in layers.items()},
        },
    }  # fmt: skip


def _layer(view: RunView, name: str) -> Spec:
    """Colour scale of a layer; the range leaves out the outermost hundredth, which would take all the colours."""
    values = view.values(name)
    if name == "mean":
        values = np.where(view.labelled, view.values("label"), values)
    else:
        values = values[~view.labelled] if not view.labelled.all() else values
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.01, 0.99]) if len(finite) else (0.0, 1.0)
    unit = f" ({unit_markup(view.unit)})" if view.unit and name != "score" else ""
    title = f"{escape(view.target) if name == 'mean' else LAYERS[name]}{unit}"
    if name == "score":
        title = f"score: {escape(str(view.summary['acquisition']))}"
    return {
        "coloraxis": {
            "colorscale": SCALES[name], "cmin": float(low), "cmax": float(high),
            "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 14, "len": 0.9},
        }
    }  # fmt: skip


def _line(view: RunView, line) -> Spec:
    text = f"{line.level:g}"
    middle = (
        int(0.92 * (len(line.x) - 1)) if line.y[-1] >= line.y[0] else int(0.08 * (len(line.x) - 1))
    )  # near its upper end
    return {
        "type": "scatter", "mode": "lines+text", "x": shortened(line.x, 6), "y": shortened(line.y, 6),
        "line": {"color": "#888888", "width": 1, "dash": "dot"}, "showlegend": False, "hoverinfo": "skip",
        "text": ["" if k != middle else text for k in range(len(line.x))], "textposition": "top right",
        "textfont": {"size": 10, "color": "#777777"}, "meta": {"role": "lines"}, "name": f"{escape(view.target)} = {text}",
    }  # fmt: skip


def _troubled(view: RunView, found: MaterialsMap) -> list[Spec]:
    """What is being computed, and what failed."""
    if view.state is None:
        return []
    cases = (
        ("being computed", view.state.pending, "hourglass-open", BLUE),
        ("failed", view.state.failed, "x-open", FAILED),
    )
    place = {id: row for row, id in enumerate(view.ids)}
    data = []
    for name, out, symbol, colour in cases:
        rows = np.array([place[case.id] for case in out if case.id in place], dtype=np.int64)
        if len(rows):
            data.append(
                {
                    "type": "scatter", "mode": "markers", "name": name, "x": shortened(found.x.values[rows], 6),
                    "y": shortened(found.y.values[rows], 6), "text": [escape(id) for id in view.ids[rows]],
                    "hovertemplate": f"<b>%{{text}}</b>, {name}<extra></extra>", "meta": {"role": name},
                    "marker": {"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2}},
                }
            )  # fmt: skip
    return data


# How far to trust it -------------------------------------------------------------------------------------------------


def parity(view: RunView, found: Judged, residuals: bool) -> Spec:
    """See `figures.parity`."""
    unit = f" ({unit_markup(view.unit)})" if view.unit else ""
    header = escape(view.target) + unit
    x, y = (found.predicted, found.error) if residuals else (found.known, found.predicted)
    ends = [float(min(found.known.min(), found.predicted.min())), float(max(found.known.max(), found.predicted.max()))]
    half = np.where(np.isfinite(found.half95), found.half95, np.nan)
    numbers = zip(*(shortened(v) for v in (found.known, found.predicted, found.error, found.sigma)), strict=True)
    points = {
        "type": "scatter", "mode": "markers", "name": "labelled, out of bag", "x": shortened(x), "y": shortened(y),
        "customdata": [[escape(id), *row] for id, row in zip(found.ids, numbers, strict=True)],
        "hovertemplate": "<b>%{customdata[0]}</b><br>known %{customdata[1]}<br>predicted without it %{customdata[2]}"
        "<br>error %{customdata[3]}, sigma %{customdata[4]}<extra></extra>",
        "marker": {"color": BLUE, "size": 7, "line": {"width": 0.5, "color": "#ffffff"}},
        "error_y": {"type": "data", "array": shortened(half), "thickness": 1, "width": 0, "color": "rgba(0,114,178,0.35)"},
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "x": ends, "y": [0, 0] if residuals else ends, "hoverinfo": "skip",
        "showlegend": False, "line": {"color": "#888888", "width": 1.5, "dash": "dash"},
    }  # fmt: skip
    titles = (
        (f"predicted {header}", f"known less predicted{unit}")
        if residuals
        else (f"known {header}", f"predicted {header}")
    )
    return _spec([line, points], *titles, showlegend=False)


def calibration(curve: CalibrationCurve) -> Spec:
    """See `figures.calibration`."""
    levels = shortened(curve.levels)
    percent = {"tickformat": ".0%", "range": [0, 1]}
    band = {
        "type": "scatter", "mode": "lines", "name": f"95 times in a hundred for a perfect sigma, {curve.n} labels",
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
            "hovertemplate": f"{name}: of the %{{x:.0%}} intervals %{{y:.0%}} hold the label<extra></extra>",
        }  # fmt: skip

    data = [band, ideal, shown("as it comes", curve.raw, VERMILION, "dot")]
    if curve.kind != "none":
        data.append(shown(f"recalibrated ({curve.kind})", curve.recalibrated, BLUE, "solid"))
    return _spec(data, "probability of the interval", "share of labels inside", xaxis=percent, yaxis=dict(percent))


def error_against_sigma(view: RunView, found: Judged) -> Spec:
    """See `figures.error_against_sigma`."""
    unit = f" ({unit_markup(view.unit)})" if view.unit else ""
    groups = groups_by_sigma(found)
    top = float(max(found.sigma.max(), max(row["rmse"] for row in groups)))
    points = {
        "type": "scatter", "mode": "markers", "name": "each label", "x": shortened(found.sigma),
        "y": shortened(np.abs(found.error)), "text": [escape(id) for id in found.ids],
        "hovertemplate": "<b>%{text}</b><br>sigma %{x}, size of the error %{y}<extra></extra>",
        "marker": {"color": BLUE, "size": 6, "opacity": 0.6},
    }  # fmt: skip
    means = {
        "type": "scatter", "mode": "lines+markers", "name": "root mean squares of five groups",
        "x": shortened([row["sigma"] for row in groups]), "y": shortened([row["rmse"] for row in groups]),
        "text": [str(row["n"]) for row in groups],
        "hovertemplate": "%{text} labels: sigma %{x}, error %{y}<extra></extra>",
        "marker": {"color": VERMILION, "size": 11, "symbol": "diamond"}, "line": {"color": VERMILION, "width": 2},
    }  # fmt: skip
    ideal = {
        "type": "scatter", "mode": "lines", "x": [0, top], "y": [0, top], "name": "honest sigma", "hoverinfo": "skip",
        "line": {"color": "#888888", "width": 1.5, "dash": "dash"},
    }  # fmt: skip
    return _spec([points, ideal, means], f"sigma{unit}", f"size of the error{unit}")


# The course and what recurs ------------------------------------------------------------------------------------------


def learning_curve(view: RunView, found: Course) -> Spec:
    """See `figures.learning_curve`."""
    unit = f" ({unit_markup(view.unit)})" if view.unit else ""
    n = np.arange(1, len(found.ids) + 1)
    new = n > found.n_start
    data = [
        _labels(found, n, ~new, "known at the start", "square-open", "#888888"),
        *([_labels(found, n, new, "computed", "circle", BLUE)] if new.any() else []),
        {
            "type": "scatter", "mode": "lines", "name": "best so far", "x": n.tolist(), "y": shortened(found.best),
            "line": {"color": VERMILION, "width": 2.5, "shape": "hv"},
            "hovertemplate": "best %{y} after %{x} labels<extra></extra>",
        },
        {
            "type": "scatter", "mode": "lines+markers", "name": "out-of-bag RMSE of each fit", "xaxis": "x", "yaxis": "y2",
            "x": [fit["n_labelled"] for fit in found.fits], "y": [fit["rmse"] for fit in found.fits],
            "text": [_told(fit) for fit in found.fits], "hovertemplate": "%{text}<br>RMSE %{y:.3g}<extra></extra>",
            "marker": {"color": GREEN, "size": 9, "symbol": "diamond"}, "line": {"color": GREEN, "width": 2},
        },
    ]  # fmt: skip
    return _spec(
        data, "labels", f"{escape(view.target)}{unit}", height=520,
        xaxis={"anchor": "y2"}, yaxis={"domain": [0.42, 1.0]},
        yaxis2={"domain": [0.0, 0.32], "title": {"text": f"RMSE{unit}"}, "automargin": True, "rangemode": "tozero"},
    )  # fmt: skip


def _told(fit: Spec) -> str:
    cost = f", {fit['core_hours']:.3g} core-hours before it" if fit["core_hours"] else ""
    took = f", fit {fit['seconds']:.0f} s" if fit["seconds"] is not None else ""
    return f"iteration {fit['iteration']}: {fit['n_labelled']} labels{took}{cost}"


def _labels(found: Course, n: np.ndarray, rows: np.ndarray, name: str, symbol: str, colour: str) -> Spec:
    hours = [
        f"<br>{found.core_hours[k]:.3g} core-hours so far" if found.core_hours[k] else "" for k in np.flatnonzero(rows)
    ]
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": n[rows].tolist(), "y": shortened(found.value[rows]),
        "customdata": [[escape(found.ids[k]), cost] for k, cost in zip(np.flatnonzero(rows), hours, strict=True)],
        "hovertemplate": "<b>%{customdata[0]}</b> %{y}%{customdata[1]}<extra></extra>",
        "marker": {"color": colour, "size": 7, "symbol": symbol},
    }  # fmt: skip


def feature_frequency(view: RunView, rows: Sequence[tuple[str, float]]) -> Spec:
    """See `figures.feature_frequency`."""
    n = len(view.ensemble.members_)
    names = [escape(name) for name, _ in rows][::-1]
    share = [value for _, value in rows][::-1]
    bars = {
        "type": "bar", "orientation": "h", "x": share, "y": names, "marker": {"color": BLUE},
        "text": [f"{value:.0%}" for value in share], "textposition": "auto", "cliponaxis": False,
        "hovertemplate": "%{y}: in %{x:.0%} of the formulas<extra></extra>",
    }  # fmt: skip
    return _spec(
        [bars], f"share of {n} formulas", "", height=90 + 24 * len(names), showlegend=False,
        xaxis={"tickformat": ".0%", "range": [0, 1]}, yaxis={"type": "category"}, bargap=0.25,
    )  # fmt: skip


def pourbaix(found, name: str, at) -> Spec:
    """See `figures.pourbaix`."""
    from sisso_sal.oracle.stability.diagram import water_lines

    limit = float(np.clip(np.abs(found.energy).max(), 0.1, 1.0))
    x, y = shortened(found.pH), shortened(found.potential)
    energy = found.energy
    products = np.array([" + ".join(mixture) for mixture in found.mixtures])[found.energies.argmax(axis=0)]
    field = {
        "type": "heatmap", "x": x, "y": y, "z": [shortened(row, 3) for row in energy], "zmid": 0, "zmin": -limit, "zmax": limit,
        "colorscale": DIVERGING, "text": products.tolist(),
        "hovertemplate": "pH %{x:.2f}, %{y:.2f} V<br>%{z:.3f} eV/atom<br>into %{text}<extra></extra>",
        "colorbar": {"title": {"text": "decomposition free energy (eV/atom)", "side": "right"}, "thickness": 14},
    }  # fmt: skip
    contour = {"type": "contour", "x": x, "y": y, "showscale": False, "hoverinfo": "skip", "ncontours": 1}
    zero = {"start": 0, "end": 0, "size": 1, "coloring": "none"}
    edges = [
        {**contour, "z": [shortened(row, 3) for row in found.margin(k)], "contours": zero, "showlegend": False,
         "line": {"color": "#555555", "width": 1}}
        for k in range(len(found.mixtures))
        if found.margin(k).min() < 0 < found.margin(k).max()
    ]  # fmt: skip
    if energy.min() < 0 < energy.max():
        edges.append({**contour, "z": field["z"], "contours": zero, "line": {"color": "#000000", "width": 3}})
    water = [
        {"type": "scatter", "mode": "lines", "x": x, "y": shortened(line), "hoverinfo": "skip", "showlegend": False,
         "line": {"color": "#000000", "dash": "dash", "width": 1}}
        for line in water_lines(found.pH, at)
    ]  # fmt: skip
    here = {
        "type": "scatter", "mode": "markers", "x": [at.pH], "y": [at.potential], "showlegend": False,
        "hovertemplate": "where it is wanted: pH %{x}, %{y} V<extra></extra>",
        "marker": {"symbol": "x-thin-open", "size": 12, "color": "#000000", "line": {"width": 3}},
    }  # fmt: skip
    stable = "no stable region here" if energy.min() >= 0 else "stable inside the thick line"
    title = f"{escape(name)}: {stable}, {at.concentration:g} mol/L, {at.temperature:g} K"
    return _spec(
        [field, *edges, *water, here], "pH", "potential against SHE (V)", title={"text": title, "font": {"size": 14}},
        xaxis={"range": [x[0], x[-1]]}, yaxis={"range": [y[0], y[-1]]}, showlegend=False,
    )  # fmt: skip
