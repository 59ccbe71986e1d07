"""The map of a campaign, drawn with plotly as plain data."""

from __future__ import annotations

from html import escape

import numpy as np

from sisso_sal.report.figures.colours import COLOURS, SCALES
from sisso_sal.report.figures.interactive_map import axis_range, axis_title
from sisso_sal.report.figures.plotly_data import Spec, header_markup, plain, shortened, spec
from sisso_sal.report.figures.searched import SearchMap
from sisso_sal.report.run_view import RunView

VERMILION = COLOURS[1]


def search_map(view: RunView, seen: SearchMap) -> Spec:
    """See `search.search_map`."""
    plane = seen.plane
    labels = view.values("label")
    known = labels[np.concatenate([seen.start, seen.found])]
    rest = np.setdiff1d(plane.drawn, np.concatenate([seen.start, seen.found]))
    traces = [
        _points(view, seen, rest, "candidates", {"color": "#d0d0d0", "size": 4, "symbol": "circle"}),
        *_frontier(view, seen),
        _points(view, seen, seen.start, "known at the start", _mark(view, seen.start, "circle", 9, "#1a1a1a")),
    ]
    if len(seen.found):
        numbered = {
            "mode": "markers+text", "text": [str(k) for k in range(1, len(seen.found) + 1)],
            "textfont": {"size": 9, "color": "#ffffff", "weight": "bold", "shadow": "0 0 2px #000, 0 0 2px #000"},
        }  # fmt: skip
        mark = _mark(view, seen.found, "diamond", 18, VERMILION)
        traces.append(_points(view, seen, seen.found, "computed, as they came", mark) | numbered)
    low, high = np.quantile(known, [0.01, 0.99])
    bar = {"title": {"text": header_markup(view.target, view.unit), "side": "right"}, "thickness": 14, "len": 0.9}
    return spec(
        traces, axis_title("d1", plane.x), axis_title("d2", plane.y), xaxis=axis_range(plane.x), yaxis=axis_range(plane.y),
        coloraxis={"colorscale": SCALES["mean"], "cmin": float(low), "cmax": float(high), "colorbar": bar}, height=540,
        margin={"l": 60, "r": 20, "t": 90, "b": 55},
    )  # fmt: skip


def _mark(view: RunView, rows: np.ndarray, symbol: str, size: int, edge: str) -> Spec:
    colour = {"color": shortened(view.values("label")[rows]), "coloraxis": "coloraxis"}
    return colour | {"symbol": symbol, "size": size, "line": {"width": 1.5, "color": edge}}


def _points(view: RunView, seen: SearchMap, rows: np.ndarray, name: str, marker: Spec) -> Spec:
    is_known = np.isfinite(view.values("label")[rows]).all() and name != "candidates"
    value = shortened(view.values("label" if is_known else "mean")[rows])
    what = f"{plain(view.header)} %{{customdata[1]}}" if is_known else "predicted %{customdata[1]}"
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": shortened(seen.plane.x.values[rows], 6),
        "y": shortened(seen.plane.y.values[rows], 6), "marker": marker,
        "customdata": [[escape(id), v] for id, v in zip(view.ids[rows], value, strict=True)],
        "hovertemplate": f"<b>%{{customdata[0]}}</b>, {name}<br>{what}<extra></extra>",
    }  # fmt: skip


def _frontier(view: RunView, seen: SearchMap) -> list[Spec]:
    after = {level: n for n, level in seen.frontier}
    last = seen.frontier[-1][1]
    traces = []
    for line in seen.plane.lines:
        n = after[line.level]
        what = "frontier at the start" if n == 0 else f"frontier after {n} computed"
        style = {"color": "#666666", "dash": "dash", "width": 1.5} if n == 0 else {"color": VERMILION, "dash": "solid"}
        traces.append(
            {
                "type": "scatter", "mode": "lines", "x": shortened(line.x, 6), "y": shortened(line.y, 6), "name": what,
                "line": {"width": 2.5 if line.level == last else 1.0} | style,
                "hovertemplate": f"{what}: {plain(view.target)} = {line.level:g}<extra></extra>",
            }
        )  # fmt: skip
    return traces
