"""The map with pick lists: its Python side, driven as a browser drives it."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal import SISSORegressor
from sisso_sal.errors import InputError
from sisso_sal.report import explorer as explorers
from sisso_sal.report.explorer import descriptor_map, explored


@pytest.fixture(scope="module")
def regressor_and_table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        rng.uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"], index=[f"M{k}" for k in range(40)]
    )
    y = (X["a (eV)"] * X["b (eV)"] - 3 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)")
    regressor = SISSORegressor(rung=1, dim=2, n_sis=8).fit(X[:30], y[:30])
    return regressor, X.assign(**{"gap (eV)": y.where(np.arange(40) < 30)})


def test_what_is_explored_of_a_single_model(regressor_and_table):
    regressor, table = regressor_and_table
    shown = explored(regressor, table)
    terms = [str(term.expression) for term in regressor.model_.terms]
    assert list(shown.quantities)[:2] == terms
    assert shown.quantities["predicted gap"].values == pytest.approx(
        regressor.predict(table[["a (eV)", "b (eV)", "r (AA)"]])
    )
    assert shown.quantities["gap"].title == "gap (eV)"
    assert (shown.layer_of == "known").sum() == 30
    assert np.isnan(shown.quantities["gap"].values[30:]).all()
    bare = explored(regressor, table.drop(columns="gap (eV)"))
    assert set(bare.layer_of) == {"candidates"}
    assert "gap" not in bare.quantities  # it does not differ: there is none


def test_what_is_explored_of_a_run(view, campaign):
    shown = explored(campaign / "run")
    assert list(shown.ids) == list(view.ids)
    assert {"sigma", "score", f"predicted {view.target}", *view.columns} <= set(shown.quantities)
    assert set(shown.ids[shown.layer_of == "proposed"]) == {proposal["id"] for proposal in view.proposals}
    with pytest.raises(InputError, match="table: a run has its own table"):
        explored(view, view.table)


def test_what_cannot_be_explored_is_said(regressor_and_table):
    regressor, table = regressor_and_table
    with pytest.raises(InputError, match="table: needs a DataFrame of the materials to show, found none"):
        explored(regressor)
    with pytest.raises(InputError, match=r"table: needs the column 'r \(AA\)' of the fit, found none"):
        explored(regressor, table.drop(columns="r (AA)"))
    with pytest.raises(InputError, match="target: needs a column of the table, found 'gip'"):
        explored(regressor, table, target="gip")
    with pytest.raises(InputError, match="needs two quantities that differ between materials, found 0"):
        explored(regressor, table[:1])


def test_a_package_that_is_not_there_is_named(regressor_and_table, monkeypatch):
    monkeypatch.setattr(explorers, "find_spec", lambda name: None if name == "ipywidgets" else object())
    with pytest.raises(
        InputError, match=r"needs the package ipywidgets for pick lists; pip install 'sisso-sal\[notebook\]'"
    ):
        descriptor_map(*regressor_and_table)


class TestWidget:
    @pytest.fixture
    def explorer(self, view):
        pytest.importorskip("ipywidgets")
        pytest.importorskip("anywidget")
        return descriptor_map(view)

    @staticmethod
    def trace_of(explorer, name):
        return next(trace for trace in explorer.figure.data if trace.name == name)

    @staticmethod
    def drawn_around(explorer, chosen):
        """What a browser sends when a box was drawn: for each trace the points inside."""
        indexes = [(k, point) for k, points in chosen.items() for point in points]
        explorer.figure._js2py_pointsCallback = {
            "event_type": "plotly_selected",
            "points": {
                "trace_indexes": [k for k, _ in indexes], "point_indexes": [point for _, point in indexes],
                "xs": [0.0] * len(indexes), "ys": [0.0] * len(indexes),
            },
            "selector": {"type": "box", "selector_state": {"xrange": [0, 1], "yrange": [0, 1]}}, "device_state": None,
        }  # fmt: skip

    def test_axes_colours_and_layers_follow_the_pick_lists(self, explorer, view):
        explorer.x.value, explorer.colour.value = "a", "sigma"
        known = self.trace_of(explorer, "known")
        assert list(known.x) == pytest.approx(view.columns["a"][view.labelled], rel=1e-5)
        assert list(known.marker.color) == pytest.approx(view.values("std")[view.labelled], rel=1e-3)
        assert explorer.figure.layout.xaxis.title.text.startswith("a")
        explorer.layers.value = ("candidates",)
        assert not self.trace_of(explorer, "known").visible
        assert self.trace_of(explorer, "candidates").visible
        explorer.log_x.value = True
        assert explorer.figure.layout.xaxis.type == "log"

    def test_a_box_returns_the_ids_inside(self, explorer):
        names = [trace.name for trace in explorer.figure.data]
        told = []
        explorer.on_select(told.append)
        chosen = {names.index("candidates"): [0, 1], names.index("proposed"): [1]}
        self.drawn_around(explorer, chosen)
        shown = explorer._shown
        rows = [
            *np.flatnonzero(shown.layer_of == "candidates")[[0, 1]],
            np.flatnonzero(shown.layer_of == "proposed")[1],
        ]
        assert explorer.selected == [shown.ids[row] for row in sorted(rows)]
        assert told[-1] == explorer.selected
        assert "3 selected" in explorer.listed.value
        explorer.colour.value = "sigma"  # what is drawn anew is still selected
        assert self.trace_of(explorer, "candidates").selectedpoints == (0, 1)
        assert self.trace_of(explorer, "known").selectedpoints == ()
        self.drawn_around(explorer, {names.index("known"): [4]})
        assert explorer.selected == [shown.ids[shown.layer_of == "known"][4]]

    def test_a_box_counts_where_the_message_of_the_points_is_lost(self, explorer, view):
        explorer.x.value, explorer.y.value = "a", "b"
        a, b = view.columns["a"], view.columns["b"]
        (left, right), (low, high) = np.quantile(a, [0.3, 0.8]), np.quantile(b, [0.2, 0.9])
        inside = (a >= left) & (a <= right) & (b >= low) & (b <= high)
        box = {"type": "rect", "xref": "x", "yref": "y", "x0": right, "x1": left, "y0": low, "y1": high}
        explorer.figure._js2py_relayout = {"relayout_data": {"selections": [box]}, "source_view_id": "one"}
        assert explorer.selected == [str(id) for id in view.ids[inside]]
        assert 0 < inside.sum() < len(inside)
        explorer.layers.value = ("candidates",)
        explorer.figure._js2py_relayout = {"relayout_data": {"selections": [box, box]}, "source_view_id": "one"}
        assert set(explorer.selected) == set(view.ids[inside & (explorer._shown.layer_of == "candidates")])
        explorer.figure._js2py_relayout = {"relayout_data": {"selections": []}, "source_view_id": "one"}
        assert explorer.selected == []

    def test_linked_maps_share_their_selection(self, explorer, view):
        other, third = descriptor_map(view), descriptor_map(view)
        explorer.link(other)
        other.link(third)
        ids = [str(id) for id in view.ids[[3, 5, 8]]]
        third.select(ids)
        assert explorer.selected == other.selected == ids
        explorer.select([])
        assert third.selected == []
        assert self.trace_of(third, "known").selectedpoints is None
        with pytest.raises(InputError, match="select: needs ids of the table, found 'nowhere'"):
            explorer.select(["nowhere"])

    def test_hostile_names_are_shown_as_they_are(self, explorer, view):
        texts = [text for trace in explorer.figure.data for text in trace.text]
        assert not [text for text in texts if "<" in text]
        explorer.select([str(id) for id in view.ids])
        assert "<script" not in explorer.listed.value

    def test_materials_without_a_place_are_counted(self, view):
        pytest.importorskip("ipywidgets")
        pytest.importorskip("anywidget")
        explorer = descriptor_map(view)
        explorer.x.value = view.target
        assert explorer.note.value == f"{(~view.labelled).sum()} of {len(view.ids)} materials have no place here"
