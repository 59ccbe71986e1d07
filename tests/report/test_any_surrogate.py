"""The report of a run whose surrogate has no formulas and tells little or nothing of itself."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape

from sisso_sal.campaign.status import status_document
from sisso_sal.errors import InputError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import read_ledger
from sisso_sal.models.calibration import rank_correlation
from sisso_sal.report.figures import draw
from sisso_sal.report.figures.materials_map import ALIKE, materials_map
from sisso_sal.report.figures.out_of_bag import accuracy, out_of_bag
from sisso_sal.report.figures.saved import save_figures
from sisso_sal.report.page.document import report_html
from sisso_sal.report.page.reasons import reasons
from sisso_sal.report.run_view import RunView
from sisso_sal.report.text.campaign import status_text
from sisso_sal.report.text.results import discover_text
from sisso_sal.report.text.two_targets import pareto_text

NOTHING = re.compile(r"\b(None|nan|NaN|inf|Undefined)\b")


def body(html):
    """What a reader sees: without style, scripts and data."""
    return re.sub(r"<(script|style).*?</\1>", "", html, flags=re.S)


def ranks(values):
    return np.asarray(values).argsort().argsort()


@pytest.fixture(params=["silent_run", "mute_run"])
def run(request):
    return request.getfixturevalue(request.param)


def test_the_view_has_features_and_no_ensemble(silent, view):
    assert silent.ensemble is None
    assert (silent.target, silent.unit) == (view.target, view.unit)
    assert silent.units == view.units
    assert list(silent.columns) == list(view.columns)
    for name, values in view.columns.items():
        np.testing.assert_array_equal(silent.columns[name], values)


def test_the_terminal_shows_proposals_and_no_gaps(run):
    view = RunView.read(run)
    text = discover_text({**view.summary, "is_new": True})
    assert all(proposal["id"] in text for proposal in view.proposals)
    assert not NOTHING.search(text)
    assert not [word for word in ("formula", "Features", "left out", "recur", "members", "/", ":\n\n") if word in text]
    assert "Accuracy: not known; it is measured with out-of-bag predictions that have a standard deviation" in text


def test_the_status_of_such_a_run_leaves_columns_without_numbers_out(mute_run):
    state = fold(read_ledger(mute_run).events())
    text = status_text(status_document(mute_run, state, None))
    assert not NOTHING.search(text)
    heads = next(line for line in text.splitlines() if line.startswith("iteration "))
    assert re.split(r"\s{2,}", heads) == ["iteration", "labels", "best eV", "proposed"]
    assert "model.json" not in text


def test_the_page_shows_proposals_with_their_neighbours_and_positions(run):
    view = RunView.read(run)
    html = report_html(view)
    shown = body(html)
    assert not NOTHING.search(re.sub(r"<[^>]*>", " ", shown))
    assert not re.search(r"<h[23]>[^<]*</h[23]>\s*<(h[23]|/section)", shown)  # no heading without content
    before_settings = shown.split('id="provenance"')[0]
    assert "formula" not in before_settings.replace("There are no formulas", "")
    assert "Position of its features" in shown
    for one in reasons(view):
        assert len(one.nearest) == 3
        assert (one.effects, one.terms, one.shift) == ((), (), 0.0)
        assert all(f'<span class="id">{escape(near.id)}</span> ' in shown for near in one.nearest)
    assert 'href="#features"' in shown
    assert 'id="formulas"' not in shown


def test_positions_are_shares_of_the_known_materials(silent):
    for proposal, one in zip(silent.proposals, reasons(silent), strict=True):
        row = int(np.flatnonzero(silent.ids == proposal["id"])[0])
        assert {position.name for position in one.positions} == set(silent.columns)
        for position in one.positions:
            known = silent.columns[position.name][silent.labelled]
            assert position.value == silent.columns[position.name][row]
            assert (position.low, position.high) == (known.min(), known.max())
            assert position.below == np.mean(known < position.value)
            assert position.above == np.mean(known > position.value)
        sizes = [abs(position.below - position.above) for position in one.positions]
        inside = [position.low <= position.value <= position.high for position in one.positions]
        assert sizes == sorted(sizes, reverse=True) or not all(inside)


def test_the_accuracy_is_measured_where_the_surrogate_does_not_tell(silent, view, mute_run):
    told, measured = view.summary["calibration"], accuracy(silent)
    for key in ("n", "rmse", "mae", "coverage95_raw", "miscalibration_area_raw"):
        assert measured[key] == pytest.approx(told[key])
    raw = out_of_bag(silent)
    assert measured["spearman"] == pytest.approx(
        rank_correlation(raw.residual, raw.raw)
    )  # no widths without the ensemble
    assert measured["kind"] == "none"
    mute = RunView.read(mute_run)
    seen, without_sigma = out_of_bag(mute), accuracy(mute)
    assert without_sigma["rmse"] == pytest.approx(np.sqrt(np.mean(seen.residual**2)))
    assert without_sigma["coverage95"] is None
    assert "Mean absolute error" in body(report_html(mute))


def test_figures_are_drawn_from_what_is_there(silent, mute_run, tmp_path):
    names = [path.stem for path in save_figures(silent, tmp_path / "silent", "svg")]
    assert names == [
        "map-1",
        "parity",
        "residuals",
        "calibration",
        "error-against-sigma",
        "reliability",
        "learning-curve",
    ]
    mute = RunView.read(mute_run)
    assert [path.stem for path in save_figures(mute, tmp_path / "mute", "svg")] == [
        "map-1", "parity", "residuals", "learning-curve",
    ]  # fmt: skip
    assert "error_y" not in draw.parity(mute).data[1].to_plotly_json()
    assert [trace.name for trace in draw.learning_curve(mute).data] == ["known at the start", "best so far"]
    with pytest.raises(InputError, match="run: needs the standard deviation of out-of-bag predictions, found none"):
        draw.calibration(mute)
    with pytest.raises(InputError, match="run: needs formulas to count operators in, found none"):
        draw.feature_frequency(mute, "operators")
    for backend in ("plotly", "matplotlib"):
        assert draw.descriptor_map(mute, backend=backend)


def test_the_map_is_that_of_the_features_that_matter_most(silent):
    plane = materials_map(silent)
    mean = silent.values("mean")
    agreement = {name: np.corrcoef(ranks(v), ranks(mean))[0, 1] for name, v in silent.columns.items()}
    best = sorted(agreement, key=lambda name: -abs(agreement[name]))
    assert (str(plane.x.expression), str(plane.y.expression)) == (best[0], best[1])
    assert (plane.model, plane.lines) == (None, ())
    assert f"{agreement[best[0]]:.2f} for {best[0]}, {agreement[best[1]]:.2f} for {best[1]}." in plane.notes[0]
    assert abs(np.corrcoef(ranks(plane.x.values), ranks(plane.y.values))[0, 1]) < ALIKE
    with pytest.raises(InputError, match="formula: needs a number from 1 to 1, found 2"):
        materials_map(silent, 2)
    text = draw.descriptor_map(silent).data[0].hovertemplate
    assert not [word for word in ("formulas", "extrapolating", "distance") if word in text]


def test_without_two_features_there_is_no_map(silent, tmp_path):
    alone = replace(silent, columns={"a": silent.columns["a"]}, units={"a": "eV"})
    shown = body(report_html(alone))
    assert 'id="map"' not in shown
    assert 'href="#map"' not in shown
    assert "map-1" not in {path.stem for path in save_figures(alone, tmp_path, "svg")}
    with pytest.raises(InputError, match="run: needs two primary features that differ for a map, found fewer"):
        draw.descriptor_map(alone)


def test_a_feature_of_few_values_is_no_axis_where_there_are_others(silent):
    half = np.where(silent.values("mean") > np.median(silent.values("mean")), 1.0, 0.0)
    stepped = replace(silent, columns={**silent.columns, "half": half}, units={**silent.units, "half": ""})
    before, after = materials_map(silent), materials_map(stepped)
    assert (str(after.x.expression), str(after.y.expression)) == (str(before.x.expression), str(before.y.expression))
    few = replace(stepped, columns={"a": half, "b": silent.columns["b"]}, units={"a": "", "b": ""})
    assert {str(axis.expression) for axis in (materials_map(few).x, materials_map(few).y)} == {"a", "b"}


@pytest.mark.parametrize(
    "kind", ["forest", *(pytest.param(kind, marks=pytest.mark.faults) for kind in ("process", "trees")), "no-formulas"]
)
def test_a_campaign_with_another_surrogate_ends_with_its_report(forks, campaign, tmp_path, kind):
    for name in ("table.csv", "truth.csv"):
        shutil.copy(campaign / name, tmp_path)
    arguments = ("--surrogate", kind, "--out", "run", "--oracle", "lookup:truth.csv", "--budget", 4, "--batch", 2)
    done = forks.call("discover", "table.csv", *arguments, cwd=tmp_path, lines=False)
    assert done.code in {0, 3}, done
    assert "report" not in done.err  # no note that it could not be written
    assert not NOTHING.search(done.out)
    assert "predictions.csv, proposals.csv" in done.out
    assert "model.json" not in done.out
    view = RunView.read(tmp_path / "run")
    assert view.ensemble is None
    assert view.number > 1
    status = forks.call("status", "run", cwd=tmp_path)
    assert not NOTHING.search(status.out)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"The surrogate is “{kind}”." in html
    assert not NOTHING.search(re.sub(r"<[^>]*>", " ", body(html)))
    done = forks.call("report", "run", "--format", "svg", "--out", "figures", "--json", cwd=tmp_path)
    judged = [
        "parity.svg",
        "residuals.svg",
        "calibration.svg",
        "error-against-sigma.svg",
        "reliability.svg",
    ]  # by labels that were left out
    drawn = [path.rpartition("/")[2] for path in json.loads(done.out)["files"]]
    assert drawn == ["map-1.svg", *(judged if kind != "trees" else []), "learning-curve.svg"]


def test_two_targets_are_told_without_formulas():
    target = {"name": "gap", "unit": "eV", "goal": "min", "n_labelled": 9, "reference": 1.0, "model": {}}
    document = {
        "targets": [target, target | {"name": "cost", "model": None}], "n_labelled": 9, "n_candidates": 1, "n_half_labelled": 0,
        "n_without_prediction": 0, "n_without_gain": 1, "proposals": [], "front": [], "reference": "given",
        "excluded": {"n": 0, "elements": {}},
    }  # fmt: skip
    text = pareto_text(document)
    assert "gap (eV), min: 9 known\n  accuracy: not known;" in text
    assert "cost (eV), min: known for every row, nothing to learn" in text
