"""A materials map with pick lists, for Jupyter: any two descriptors or features as axes, and a selection that returns ids."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.data.headers import split_header
from sisso_sal.errors import InputError
from sisso_sal.report.figures.colours import COLOURS, SCALES
from sisso_sal.report.figures.plotly_data import in_parentheses, looked_at, markup, plain, shortened, spec
from sisso_sal.report.run_view import RunView, as_view

if TYPE_CHECKING:
    import pandas as pd

    from sisso_sal.models.linear import SISSOModel
    from sisso_sal.models.regressor import SISSORegressor

LAYERS = ("candidates", "known", "proposed")
"""From the lowest to the one on top."""

_MARKS: dict[str, dict[str, Any]] = {
    "candidates": {"symbol": "circle", "size": 6, "line": {"width": 0}},
    "known": {"symbol": "square", "size": 9, "line": {"width": 1.5, "color": "#1a1a1a"}},
    "proposed": {"symbol": "diamond", "size": 15, "line": {"width": 2.5, "color": COLOURS[1]}},
}
_N_LISTED = 12


@dataclass(frozen=True, eq=False)
class MapQuantity:
    """A number of each material: `values` (n_materials,), NaN where there is none, and its title as plotly marks it up."""

    title: str
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Explored:
    """What an explorer shows.

    Attributes
    ----------
    ids : ndarray (n_materials,) of str
    quantities : mapping of str to MapQuantity
        By the names of the pick lists; the first two are the first axes.
    layer_of : ndarray (n_materials,) of str
        One of `LAYERS`.
    colour : str
        The first colouring.
    """

    ids: np.ndarray
    quantities: Mapping[str, MapQuantity]
    layer_of: np.ndarray
    colour: str


def descriptor_map(model: Any, table: pd.DataFrame | None = None, *, target: str | None = None) -> MapExplorer:
    """A map with pick lists for axes, colour and layers, whose selection returns ids.

    Draw a box or a shape around materials: `MapExplorer.selected` has their ids. It needs the extra ``notebook``.

    Parameters
    ----------
    model : SISSOEnsemble, SISSORegressor, RunView or path
        A fitted estimator, or a run folder.
    table : DataFrame, optional
        For an estimator: a row for each material, its index the ids, with the headers of the fit. It may have the column of the
        target, with gaps.
    target : str, optional
        Header of that column; by default the one of the target that was fitted.

    Raises
    ------
    InputError
        A package is not installed; or there is no table for an estimator, or one beside a run; or fewer than two quantities differ.

    Examples
    --------
    >>> import pandas as pd
    >>> from sisso_sal import SISSORegressor
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 2)), columns=["a (eV)", "r (AA)"])
    >>> regressor = SISSORegressor(rung=1, dim=1).fit(X, (X["a (eV)"] / X["r (AA)"]).rename("gap (eV/AA)"))
    >>> explored(regressor, X).quantities["a/r"].title
    'a/r (eV/Å)'
    """
    lacking = [name for name in ("ipywidgets", "anywidget", "plotly") if find_spec(name) is None]
    if lacking:
        raise InputError(
            f"descriptor_map: needs the package {lacking[0]} for pick lists; pip install 'sisso-sal[notebook]'"
        )
    return MapExplorer(explored(model, table, target))


def explored(model: Any, table: pd.DataFrame | None = None, target: str | None = None) -> Explored:
    """What `descriptor_map` shows, without a widget.

    Raises
    ------
    InputError
        As `descriptor_map`.
    """
    if isinstance(model, (str, os.PathLike, RunView)):
        if table is not None:
            raise InputError("table: a run has its own table, needs none beside it")
        return _checked(_of_view(as_view(model)))
    if table is None:
        raise InputError("table: needs a DataFrame of the materials to show, found none")
    header = target if target is not None else _header_of(model, table)
    if header is not None and header not in table:
        raise InputError(f"target: needs a column of the table, found '{header}'")
    labels = np.full(len(table), np.nan) if header is None else table[header].to_numpy(dtype=np.float64)
    if hasattr(model, "members_"):
        return _checked(_of_view(RunView.of(model, table, labels, target=header)))
    return _checked(_of_regressor(model, table, labels, header))


def _header_of(model: Any, table: pd.DataFrame) -> str | None:
    """The column of the target that was fitted, by its name."""
    return next((header for header in map(str, table.columns) if split_header(header)[0] == model.target_name_), None)


def _checked(shown: Explored) -> Explored:
    differing = [name for name, quantity in shown.quantities.items() if _differs(quantity.values)]
    if len(differing) < 2:
        raise InputError(f"descriptor_map: needs two quantities that differ between materials, found {len(differing)}")
    kept = {name: shown.quantities[name] for name in differing}
    return Explored(shown.ids, kept, shown.layer_of, shown.colour if shown.colour in kept else differing[0])


def _differs(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite) and np.ptp(finite) > 0)


def _of_view(view: RunView) -> Explored:
    quantities: dict[str, MapQuantity] = {}
    if view.ensemble is not None:
        for row in view.summary["typical"]:
            quantities |= _descriptors(view.ensemble.members[row["member"]], view.columns)
    unit = in_parentheses(view.unit)
    quantities |= {
        f"predicted {view.target}": MapQuantity(f"predicted {plain(view.target)}{unit}", view.values("mean")),
        "sigma": MapQuantity(f"sigma{unit}", view.values("std")),
        "score": MapQuantity(f"score: {plain(str(view.summary['acquisition']))}", view.values("score")),
        view.target: MapQuantity(f"{plain(view.target)}{unit}", view.values("label")),
    } | _features(view.columns, view.units)
    proposed = np.isin(view.ids, [proposal["id"] for proposal in view.proposals])
    layer_of = np.where(proposed, "proposed", np.where(view.labelled, "known", "candidates"))
    return Explored(view.ids, quantities, layer_of, f"predicted {view.target}")


def _of_regressor(model: SISSORegressor, table: pd.DataFrame, labels: np.ndarray, header: str | None) -> Explored:
    headers = list(getattr(model, "feature_names_in_", model.primaries_))
    if missing := [name for name in headers if name not in table]:
        raise InputError(f"table: needs the column '{missing[0]}' of the fit, found none")
    columns = {
        name: table[head].to_numpy(dtype=np.float64) for name, head in zip(model.primaries_, headers, strict=True)
    }
    name, unit = split_header(header) if header else (model.target_name_ or "y", "")
    predicted = np.asarray(model.model_.predict(columns)[0], dtype=np.float64)
    quantities = _descriptors(model.model_, columns) | {
        f"predicted {name}": MapQuantity(f"predicted {plain(name)}{in_parentheses(unit)}", predicted),
        name: MapQuantity(f"{plain(name)}{in_parentheses(unit)}", labels),
    }
    quantities |= _features(columns, dict(zip(model.primaries_, model.units_, strict=True)))
    layer_of = np.where(np.isfinite(labels), "known", "candidates")
    ids = np.array([str(id) for id in table.index], dtype=object)
    return Explored(ids, quantities, layer_of, f"predicted {name}")


def _descriptors(model: SISSOModel, columns: Mapping[str, np.ndarray]) -> dict[str, MapQuantity]:
    quantities = {}
    for term, values in zip(model.terms, model.descriptors(columns), strict=True):
        dimension = term.expression.dimension
        unit = "" if dimension is None or dimension.is_none else str(dimension)
        quantities[str(term.expression)] = MapQuantity(f"{markup(term.expression)}{in_parentheses(unit)}", values)
    return quantities


def _features(columns: Mapping[str, np.ndarray], units: Mapping[str, str]) -> dict[str, MapQuantity]:
    return {
        name: MapQuantity(f"{plain(name)}{in_parentheses(units[name])}", values) for name, values in columns.items()
    }


class MapExplorer:
    """The widget of `descriptor_map`; a cell that ends with it shows it.

    Attributes
    ----------
    x, y, colour : ipywidgets.Dropdown
        Names of quantities; ``explorer.x.value = "EA"`` sets one.
    layers : ipywidgets.SelectMultiple
        Of `LAYERS`.
    log_x, log_y : ipywidgets.Checkbox
    figure : plotly FigureWidget
    box : ipywidgets.VBox
        All of it.
    """

    def __init__(self, shown: Explored):
        import ipywidgets as widgets  # of the extra notebook
        from plotly.graph_objects import FigureWidget

        self._shown = shown
        self._rows = {name: np.flatnonzero(shown.layer_of == name) for name in LAYERS}
        self._selected: np.ndarray = np.zeros(len(shown.ids), dtype=bool)
        self._partners: list[MapExplorer] = []
        self._told: list[Callable[[list[str]], None]] = []
        names = list(shown.quantities)
        self.x: Any
        self.y: Any
        self.colour: Any
        self.x, self.y, self.colour = (
            widgets.Dropdown(options=names, value=value, description=what, layout={"width": "26em"})
            for what, value in (("x", names[0]), ("y", names[1]), ("colour", shown.colour))
        )
        there = tuple(name for name in LAYERS if len(self._rows[name]))
        self.layers = widgets.SelectMultiple(options=there, value=there, description="layers", rows=len(there))
        self.log_x, self.log_y = (widgets.Checkbox(value=False, description=f"log {side}") for side in "xy")
        self.note, self.listed = widgets.HTML(), widgets.HTML()
        self.figure: Any = FigureWidget(looked_at(self._figure()))
        for control in (self.x, self.y, self.colour, self.layers, self.log_x, self.log_y):
            control.observe(self._redraw, names="value")
        self.figure.observe(self._on_drawn, names="_js2py_relayout")
        for trace in self.figure.data:
            trace.on_selection(self._on_selection)
            trace.on_deselect(self._on_deselect)
        controls = [
            widgets.HBox([self.x, self.log_x]),
            widgets.HBox([self.y, self.log_y]),
            widgets.HBox([self.colour, self.layers]),
        ]
        self.box = widgets.VBox([*controls, self.figure, self.note, self.listed])
        self._tell()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.box._repr_mimebundle_(**options)

    @property
    def selected(self) -> list[str]:
        """Ids of the materials that are selected, in the order of the table."""
        return [str(id) for id in self._shown.ids[self._selected]]

    def select(self, ids: Sequence[str]) -> None:
        """Select materials by their ids.

        Raises
        ------
        InputError
            There is no such id.
        """
        known = {str(id) for id in self._shown.ids}
        if unknown := [id for id in ids if id not in known]:
            raise InputError(f"select: needs ids of the table, found '{unknown[0]}'")
        self._set(np.isin(self._shown.ids.astype(str), list(ids)))

    def link(self, other: MapExplorer) -> None:
        """Share the selection with another map, whose table may be another: what is selected here is selected there."""
        if other is not self and other not in self._partners:
            self._partners.append(other)
            other._partners.append(self)

    def on_select(self, told: Callable[[list[str]], None]) -> None:
        """Have a function called with the ids whenever the selection changes."""
        self._told.append(told)

    # Drawing -------------------------------------------------------------------------------------------------------------

    def _figure(self) -> dict[str, Any]:
        traces = [self._trace(name) for name in LAYERS if len(self._rows[name])]
        x, y = (self._quantity(control) for control in (self.x, self.y))
        return spec(
            traces, x.title, y.title, coloraxis=self._colours(), height=520, dragmode="select", uirevision="same"
        )

    def _quantity(self, control: Any) -> MapQuantity:
        return self._shown.quantities[control.value]

    def _trace(self, layer: str) -> dict[str, Any]:
        return {
            "type": "scatter", "mode": "markers", "name": layer, **self._places(layer),
            "text": [escape(str(id)) for id in self._shown.ids[self._rows[layer]]],
            "hovertemplate": "<b>%{text}</b><br>x %{x:.4g}, y %{y:.4g}, colour %{marker.color:.4g}<extra></extra>",
        }  # fmt: skip

    def _places(self, layer: str) -> dict[str, Any]:
        rows = self._rows[layer]
        x, y, colour = (self._quantity(control).values[rows] for control in (self.x, self.y, self.colour))
        marker = _MARKS[layer] | {"color": shortened(colour), "coloraxis": "coloraxis"}
        return {
            "x": shortened(x, 6), "y": shortened(y, 6), "marker": marker, "visible": layer in self.layers.value,
            "selectedpoints": np.flatnonzero(self._selected[rows]).tolist() if self._selected.any() else None,
        }  # fmt: skip

    def _colours(self) -> dict[str, Any]:
        quantity = self._quantity(self.colour)
        finite = quantity.values[np.isfinite(quantity.values)]
        low, high = np.quantile(finite, [0.01, 0.99])
        bar = {"title": {"text": quantity.title, "side": "right"}, "thickness": 14, "len": 0.9}
        scale = SCALES["std" if self.colour.value == "sigma" else "mean"]
        return {"colorscale": scale, "cmin": float(low), "cmax": float(high), "colorbar": bar}

    def _redraw(self, change: Any = None) -> None:
        x, y = (self._quantity(control) for control in (self.x, self.y))
        with self.figure.batch_update():
            for trace in self.figure.data:
                trace.update(self._places(trace.name))
            self.figure.layout.coloraxis = self._colours()
            for axis, quantity, log in (
                (self.figure.layout.xaxis, x, self.log_x),
                (self.figure.layout.yaxis, y, self.log_y),
            ):
                axis.update(
                    {"title": {"text": quantity.title}, "type": "log" if log.value else "linear", "autorange": True}
                )
        self._tell()

    def _tell(self) -> None:
        """What is not shown, and what is selected."""
        without = np.zeros(len(self._shown.ids), dtype=bool)
        for control, log in ((self.x, self.log_x), (self.y, self.log_y)):
            values = self._quantity(control).values
            with np.errstate(invalid="ignore"):
                without |= ~np.isfinite(values) | (log.value & ~(values > 0))
        n = int(without.sum())
        self.note.value = f"{n} of {len(without)} materials have no place here" if n else ""
        ids = [escape(id) for id in self.selected]
        more = f" and {len(ids) - _N_LISTED} more" if len(ids) > _N_LISTED else ""
        self.listed.value = f"{len(ids)} selected: {', '.join(ids[:_N_LISTED])}{more}" if ids else "nothing is selected"

    # Selecting -----------------------------------------------------------------------------------------------------------

    def _on_selection(self, trace: Any, points: Any, selector: Any) -> None:
        self._adopt(trace.name, points.point_inds)

    def _on_deselect(self, trace: Any, points: Any) -> None:
        self._adopt(trace.name, ())

    def _adopt(self, layer: str, chosen_points: Sequence[int]) -> None:
        """What the browser says of a layer. It shows it already: an answer would cross its next message."""
        chosen, rows = self._selected.copy(), self._rows[layer]
        chosen[rows] = False
        chosen[rows[list(chosen_points)]] = True
        self._set(chosen, is_shown=True)

    def _on_drawn(self, change: Any) -> None:
        """Boxes and shapes as the browser has them.

        Its message of the points inside is lost where the pointer comes to rest on a point: then the message of the hover takes its
        place before it is sent. The boxes come by another way, so the points are compared with them here.
        """
        selections = ((change["new"] or {}).get("relayout_data") or {}).get("selections")
        if selections is None:
            return
        places = np.column_stack([self._quantity(control).values for control in (self.x, self.y)])
        is_shown = np.isin(self._shown.layer_of, self.layers.value)
        chosen = np.zeros(len(places), dtype=bool)
        for drawn in selections:
            chosen |= is_shown & within(drawn, places)
        self._set(chosen, is_shown=True)

    def _set(self, chosen: np.ndarray, *, is_shown: bool = False) -> None:
        if np.array_equal(chosen, self._selected):
            return
        self._selected = chosen
        if is_shown:
            self._tell()
        else:
            self._redraw()
        ids = self.selected
        for partner in self._partners:
            partner._set(np.isin(partner._shown.ids.astype(str), ids))
        for told in self._told:
            told(ids)


def within(drawn: Mapping[str, Any], places: np.ndarray) -> np.ndarray:
    """Which places (n, 2) lie within a selection of plotly: a ``rect``, or a ``path`` such as ``M0,0L1,0L1,1Z``.

    Examples
    --------
    >>> places = np.array([[0.5, 0.5], [0.9, 0.9], [2.0, 2.0]])
    >>> within({"type": "rect", "x0": 0, "x1": 1, "y0": 1, "y1": 0}, places).tolist()
    [True, True, False]
    >>> within({"type": "path", "path": "M0,0L1,0L0,2Z"}, places).tolist()
    [True, False, False]
    """
    x, y = places.T
    inside = np.zeros(len(places), dtype=bool)
    with np.errstate(all="ignore"):
        if drawn["type"] == "rect":
            (left, right), (low, high) = (sorted((drawn[f"{side}0"], drawn[f"{side}1"])) for side in "xy")
            return (x >= left) & (x <= right) & (y >= low) & (y <= high)
        corners = np.array([pair.split(",") for pair in re.findall(r"[^MLZ]+", drawn["path"])], dtype=np.float64)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            inside ^= ((y0 > y) != (y1 > y)) & (
                x < (x1 - x0) * (y - y0) / (y1 - y0) + x0
            )  # a ray to the right crosses it
    return inside
