"""The materials map, drawn with plotly as plain data. Only SVG traces: a graphics card is often not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from sisso_sal.models.calibration import ranks
from sisso_sal.report.chemistry import are_formulas, subscripted
from sisso_sal.report.figures.colours import COLOURS, FAILED, SCALES
from sisso_sal.report.figures.labels import MOST_LETTERS, placed
from sisso_sal.report.figures.materials_map import Axis, Line, MaterialsMap, place
from sisso_sal.report.figures.plotly_data import (
    Spec,
    header_markup,
    in_parentheses,
    markup,
    plain,
    shortened,
    spec,
    unit_markup,
)
from sisso_sal.report.run_view import RunView
from sisso_sal.system.printable import printable

BLUE, VERMILION = COLOURS[:2]

COLOURINGS = {"mean": "prediction", "std": "sigma", "score": "acquisition score"}
"""What candidates may be coloured by, as columns of a view, and what it is called."""

FAINTEST = 0.2
"""Opacity of the candidate with the largest sigma."""

_SHOWN = ("mean", "low95", "high95", "std", "formulas_mean", "score", "outside", "distance", "n_valid")
"""Columns of a view that the text of a point shows, behind the id."""


def axis_title(name: str, axis: Axis) -> str:
    """Name of an axis, its expression and unit."""
    return f"{name} = {markup(axis.expression)}{in_parentheses(axis.unit)}"


def descriptor_map(view: RunView, plane: MaterialsMap, colour: str) -> Spec:
    """See `draw.descriptor_map`; ``meta`` of the candidates has the colours of every colouring."""
    ranks = {proposal["id"]: rank for rank, proposal in enumerate(view.proposals, 1)}
    proposed = [row for row in plane.drawn if view.ids[row] in ranks]
    others = [row for row in plane.drawn if view.ids[row] not in ranks]
    colourings = {name: _colouring(view, name) for name in COLOURINGS}
    traces = [
        *(_line(view, line) for line in plane.lines),
        _points(view, plane, others, "candidates", colourings, colour, symbol="circle", size=6, line={"width": 0}),
        _known(view, plane, colour),
        {
            **_points(view, plane, proposed, "proposed", colourings, colour, symbol="diamond", size=12,
                      line={"width": 2, "color": VERMILION}),
            "mode": "markers+text", "text": [str(ranks[view.ids[row]]) for row in proposed], "textposition": "top center",
            "textfont": {"size": 11, "color": "rgba(0,0,0,0)"},
        },
        *_troubled(view, plane),
    ]  # fmt: skip
    return spec(
        traces, axis_title("d1", plane.x), axis_title("d2", plane.y),
        xaxis=axis_range(plane.x), yaxis=axis_range(plane.y),
        coloraxis=colourings[colour]["coloraxis"], annotations=_names(view, plane, proposed, ranks),
    )  # fmt: skip


def _names(view: RunView, plane: MaterialsMap, rows: Sequence[int], ranks: Mapping[str, int]) -> list[Spec]:
    """Rank and name of each proposal, with a line to its place."""
    chosen = np.array(
        [row for row in rows if all(np.isfinite(a.values[row]) for a in (plane.x, plane.y))], dtype=np.int64
    )
    shown = [(printable(id)[:MOST_LETTERS], ranks[id]) for id in view.ids[chosen]]
    is_formula = are_formulas(view.ids)
    letters = [len(f"{rank} {name}") for name, rank in shown]
    offsets = placed(place(plane.x)[chosen], place(plane.y)[chosen], letters)
    x, y = (np.log10(a.values[chosen]) if a.is_log else a.values[chosen] for a in (plane.x, plane.y))
    return [
        {
            "x": float(x[k]), "y": float(y[k]), "ax": round(float(offsets[k, 0]), 1), "ay": round(-float(offsets[k, 1]), 1),
            "text": f"{rank} {subscripted(name) if is_formula else plain(name)}", "showarrow": True, "arrowhead": 0,
            "arrowwidth": 1, "arrowcolor": VERMILION, "standoff": 5, "bgcolor": "rgba(255,255,255,0.7)",
            "font": {"size": 12, "color": "#1a1a1a"},
            "borderpad": 0, "name": "proposed",
        }
        for k, (name, rank) in enumerate(shown)
    ]  # fmt: skip


def _known(view: RunView, plane: MaterialsMap, colour: str) -> Spec:
    known = np.flatnonzero(view.labelled)
    value = shortened(view.values("label")[known])
    name = view.target if view.is_of_classes else view.header
    told = [plain(str(view.known_as[row])) for row in known] if view.is_of_classes else value
    return {
        "type": "scatter", "mode": "markers", "name": "known", "x": shortened(plane.x.values[known], 6),
        "y": shortened(plane.y.values[known], 6),
        "customdata": [[escape(view.ids[row]), v] for row, v in zip(known, told, strict=True)],
        "hovertemplate": f"<b>%{{customdata[0]}}</b>, known<br>{plain(name)} %{{customdata[1]}}{_place(plane)}"
        "<extra></extra>",
        "marker": {
            "symbol": "square", "size": 9, "line": {"width": 1.5, "color": "#1a1a1a"},
            **({"color": value, "coloraxis": "coloraxis"} if colour == "mean" else {"color": "#ffffff"}),
        },
        "meta": {"role": "known", "values": value},
    }  # fmt: skip


def axis_range(axis: Axis) -> Spec:
    """Type and limits of an axis."""
    ends = [axis.low, axis.high]
    return {"type": "log", "range": list(np.log10(ends))} if axis.is_log else {"range": ends}


def _place(plane: MaterialsMap) -> str:
    units = (f" {unit_markup(axis.unit)}" if axis.unit else "" for axis in (plane.x, plane.y))
    names = (markup(axis.expression) for axis in (plane.x, plane.y))
    (x_name, y_name), (x_unit, y_unit) = names, units
    return f"<br>{x_name} = %{{x:.4g}}{x_unit}<br>{y_name} = %{{y:.4g}}{y_unit}"


def _hover(view: RunView, plane: MaterialsMap) -> str:
    """Text of a point: what the surrogate gives of the candidates."""
    number = {name: f"%{{customdata[{k}]}}" for k, name in enumerate(_SHOWN, 1)}
    is_given = {name: bool(np.isfinite(view.values(name)[~view.labelled]).any()) for name in _SHOWN}
    n_members = view.summary.get("n_members")
    members, sigma = (" of members", "spread") if view.is_of_classes else ("", "sigma")
    lines = [
        "<b>%{customdata[0]}</b>",
        f"{plain(view.header)} {number['mean']}"
        + (f" (95 %{members}: {number['low95']} to {number['high95']})" if is_given["low95"] else ""),
        f"{sigma} {number['std']}"
        + (
            f", formulas alone {number['formulas_mean']}"
            if view.ensemble is not None and is_given["formulas_mean"]
            else ""
        ),
        f"score {number['score']}{_place(plane)}",
    ]
    rest = [f"valid formulas {number['n_valid']} of {n_members}"] if view.ensemble is not None and n_members else []
    rest += [f"extrapolating {number['outside'][:-1]}:.0%}}"] if is_given["outside"] else []
    lines += [", ".join(rest)] if rest else []
    lines += [f"distance to the known {number['distance']}"] if is_given["distance"] else []
    return "<br>".join(lines) + "<extra></extra>"


def _points(
    view: RunView, plane: MaterialsMap, chosen: Sequence[int], role: str, colourings: Spec, colour: str, **marker
) -> Spec:
    rows = np.asarray(chosen, dtype=np.int64)
    columns = [[escape(id) for id in view.ids[rows]], *(shortened(view.values(key)[rows], 3) for key in _SHOWN)]
    return {
        "type": "scatter", "mode": "markers", "name": role, "x": shortened(plane.x.values[rows], 6),
        "y": shortened(plane.y.values[rows], 6), "customdata": list(map(list, zip(*columns, strict=True))),
        "hovertemplate": _hover(view, plane),
        "marker": {"color": shortened(view.values(colour)[rows]), "coloraxis": "coloraxis", "opacity": 0.9, **marker},
        "meta": {
            "role": role,
            "sure": _sureness(view)[rows].round(2).tolist(),
            "colourings": {key: {"color": shortened(view.values(key)[rows]), **one} for key, one in colourings.items()},
        },
    }  # fmt: skip


def _sureness(view: RunView) -> np.ndarray:
    """How solid a candidate is drawn: 1 with the smallest sigma of all, `FAINTEST` with the largest; ndarray (n_materials,)."""
    std = view.values("std")
    open_rows = np.flatnonzero(~view.labelled & np.isfinite(std))
    sure = np.ones(len(std))
    if len(open_rows) and np.ptp(std[open_rows]) > 0:
        order = (ranks(std[open_rows]) - 1) / max(len(open_rows) - 1, 1)
        sure[open_rows] = 1 - (1 - FAINTEST) * order
    return sure


def _colouring(view: RunView, name: str) -> Spec:
    """Colour scale for a column; its range leaves out the outermost hundredth, which would take all the colours."""
    values = view.values(name)
    if name == "mean":
        values = np.where(view.labelled, view.values("label"), values)
    else:
        values = values[~view.labelled] if not view.labelled.all() else values
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.01, 0.99]) if len(finite) else (0.0, 1.0)
    title = {
        "mean": plain(view.header) if view.is_of_classes else header_markup(view.target, view.unit),
        "std": "spread" if view.is_of_classes else COLOURINGS["std"] + in_parentheses(view.unit),
        "score": f"score: {escape(str(view.summary['acquisition']))}",
    }[name]
    return {
        "coloraxis": {
            "colorscale": SCALES[name], "cmin": float(low), "cmax": float(high),
            "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 14, "len": 0.9},
        }
    }  # fmt: skip


def _line(view: RunView, line: Line) -> Spec:
    text = f"{line.level:g}"
    middle = (
        int(0.92 * (len(line.x) - 1)) if line.y[-1] >= line.y[0] else int(0.08 * (len(line.x) - 1))
    )  # near its upper end
    return {
        "type": "scatter", "mode": "lines+text", "x": shortened(line.x, 6), "y": shortened(line.y, 6),
        "line": {"color": "#888888", "width": 1, "dash": "dot"}, "showlegend": False, "hoverinfo": "skip",
        "text": ["" if k != middle else text for k in range(len(line.x))], "textposition": "top right",
        "textfont": {"size": 10, "color": "#777777"}, "meta": {"role": "lines"}, "name": f"{plain(view.target)} = {text}",
    }  # fmt: skip


def _troubled(view: RunView, plane: MaterialsMap) -> list[Spec]:
    """What is being computed, and what failed."""
    if view.state is None:
        return []
    cases = (
        ("being computed", view.state.pending, "hourglass-open", BLUE),
        ("failed", view.state.failed, "x-open", FAILED),
    )
    place = {id: row for row, id in enumerate(view.ids)}
    traces = []
    for name, affected, symbol, colour in cases:
        rows = np.array([place[case.id] for case in affected if case.id in place], dtype=np.int64)
        if len(rows):
            traces.append(
                {
                    "type": "scatter", "mode": "markers", "name": name, "x": shortened(plane.x.values[rows], 6),
                    "y": shortened(plane.y.values[rows], 6), "text": [escape(id) for id in view.ids[rows]],
                    "hovertemplate": f"<b>%{{text}}</b>, {name}<extra></extra>", "meta": {"role": name},
                    "marker": {"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2}},
                }
            )  # fmt: skip
    return traces
