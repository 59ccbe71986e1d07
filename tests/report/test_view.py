"""What a report reads from a run, and the numbers behind its figures."""

import base64
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hostile import HOSTILE
from lines import TRUE

from sisso_sal import SISSOEnsemble
from sisso_sal.errors import CampaignError, InputError
from sisso_sal.models.files import load_model
from sisso_sal.report.figures import materials_map as mapping
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.out_of_bag import calibration_curve, out_of_bag
from sisso_sal.report.page import document as page
from sisso_sal.report.page import reasons
from sisso_sal.report.run_view import RunView, as_view


@pytest.fixture(scope="module")
def learned():
    """An ensemble that finds 3 a b - 2 b / r exactly, and 40 materials of which 30 are labelled."""
    rng = np.random.default_rng(4)
    X = pd.DataFrame(
        rng.uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"], index=[f"m{i}" for i in range(40)]
    )
    y = (3 * X["a (eV)"] * X["b (eV)"] - 2 * X["b (eV)"] / X["r (AA)"]).rename("gap (eV)")
    y[30:] = np.nan
    ensemble = SISSOEnsemble(members=5, rung=1, dim=2, n_sis=40, dropout=0.0, adapt=False, correction="none")
    return ensemble.fit(X[:30], y[:30]), X, y


@pytest.fixture(scope="module")
def planted(learned):
    return RunView.of(*learned, goal="max", acquisition="mean")


def test_a_run_is_read_as_it_was_written(campaign, view):
    folder = campaign / "run" / view.iteration.folder
    written = pd.read_csv(
        folder / "predictions.csv",
        dtype={"id": str},
        keep_default_na=False,
        na_values=[""],
    )
    pd.testing.assert_frame_equal(view.table, written)
    table = pd.read_csv(campaign / "table.csv").set_index("formula")
    assert view.columns["r"].tolist() == table.loc[view.ids, "r (AA)"].tolist()
    assert (view.target, view.unit, view.header) == ("gap", "eV", "gap (eV)")
    assert HOSTILE in view.ids
    whole, _, _ = load_model(folder / "model.json")
    assert [str(m.to_json()) for m in whole.members_] == [str(m.to_json()) for m in view.ensemble.members]
    assert (view.ensemble.correction, view.ensemble.calibration) == (None, whole.calibration_)
    assert as_view(campaign / "run").table.equals(view.table)
    assert as_view(view) is view


def test_an_earlier_iteration_can_be_asked_for(campaign, view):
    first = RunView.read(campaign / "run", 1)
    assert (first.number, view.number) == (1, len(view.state.iterations))
    assert first.labelled.sum() == 20 < view.labelled.sum()
    text = page.report_html(first)
    assert f"This is iteration 1; the newest is {view.number}." in text


def test_marks_of_proposals_stand_on_the_page(view):
    plain = page.report_html(view)
    first, *others = view.summary["proposals"]
    marked = {**first, "contains": "Hg (toxic)", "unstable": "chgnet: -3.21 THz at R"}
    text = page.report_html(replace(view, summary={**view.summary, "proposals": [marked, *others]}))
    words = '<span class="marks">contains Hg (toxic); dynamically unstable (chgnet: -3.21 THz at R)</span>'
    assert (words in text, words in plain) == (True, False)


def test_what_is_missing_is_named(campaign, tmp_path):
    with pytest.raises(CampaignError, match=r"run: needs iteration 7, found \d; run discover first"):
        RunView.read(campaign / "run", 7)
    with pytest.raises(CampaignError, match="nowhere"):
        RunView.read(tmp_path / "nowhere")


def test_an_ensemble_and_a_table_are_a_view_too(learned, planted):
    ensemble = learned[0]
    assert planted.ids.tolist() == [f"m{i}" for i in range(40)]
    mean = ensemble.predict_distribution(planted.columns).mean
    np.testing.assert_array_equal(planted.values("mean"), mean)
    np.testing.assert_array_equal(planted.values("oob_mean")[planted.labelled], ensemble.oob_mean_)
    best = planted.ids[30 + np.argsort(-mean[30:])]
    assert [p["id"] for p in planted.proposals] == best.tolist()
    assert planted.summary["best"]["value"] == np.nanmax(planted.values("label"))
    with pytest.raises(InputError, match="ids: needs one for each of 40 materials, found 1"):
        RunView.of(ensemble, np.ones((40, 3)), ids=["a"])
    with pytest.raises(InputError, match="needs a run folder for a report"):
        page.report_html(planted)


def test_the_map_of_a_formula_of_two_terms_is_the_formula(planted):
    found = mapping.materials_map(planted)
    assert {str(found.x.expression), str(found.y.expression)} == {"a*b", "b/r"}
    assert len(found.lines) >= 3
    coefficient = {str(t.expression): t.coefficient for t in found.model.terms}
    for line in found.lines:
        parts = (coefficient[str(axis.expression)] * v for axis, v in ((found.x, line.x), (found.y, line.y)))
        np.testing.assert_allclose(found.model.intercept + sum(parts), line.level, rtol=1e-9)
        assert line.x.min() >= found.x.low * (1 - 1e-12)
        assert line.y.max() <= found.y.high * (1 + 1e-12)
    assert (
        found.notes[0] == "The formula has these two descriptors and no others. Along each line it has the same value."
    )
    assert "the rank correlation of the two over all materials is 1.00" in found.notes[1]
    assert found.drawn.tolist() == list(range(30, 40))
    with pytest.raises(InputError, match="formula: needs a number from 1 to"):
        mapping.materials_map(planted, 9)


@pytest.mark.parametrize("dim", [1, 3])
def test_the_map_of_one_term_or_three_says_what_it_shows(dim):
    rng = np.random.default_rng(5)
    X = pd.DataFrame(rng.uniform(1, 2, (40, 3)), columns=["a", "b", "c"])
    y = X["a"] * X["b"] + 0.5 * X["b"] * X["c"] + 0.2 * X["c"] / X["a"]
    ensemble = SISSOEnsemble(members=4, rung=1, dim=dim, n_sis=8, dropout=0.0, adapt=False, correction="none")
    view = RunView.of(ensemble.fit(X, y), X, y)
    found = mapping.materials_map(view)
    assert found.x.expression != found.y.expression
    if dim == 1:
        assert "The formula has one term, which is d1; d2 is a descriptor of another formula." in found.notes[0]
        assert all(np.ptp(line.x) == 0 for line in found.lines)
        x, y = found.x.values, found.y.values
        assert abs(np.corrcoef(x.argsort().argsort(), y.argsort().argsort())[0, 1]) < mapping.ALIKE
    else:
        spread = [
            abs(t.coefficient) * np.ptp(np.quantile(t.expression.evaluate(view.columns), [0.05, 0.95]))
            for t in found.model.terms
        ]
        order = np.argsort(spread)[::-1]
        terms = [found.model.terms[k].expression for k in order]
        assert [found.x.expression, found.y.expression] == terms[:2]
        assert "The formula has 3 terms; d1 and d2 are the two that change its prediction most." in found.notes[0]


def test_thinning_keeps_the_best_of_each_cell_and_no_more_than_asked():
    rng = np.random.default_rng(6)
    x, y, score = rng.random((3, 20_000))

    def best_of_each(cells):
        cell = (y * (cells - 1)).astype(int) * cells + (x * (cells - 1)).astype(int)
        return sorted(pd.Series(score).groupby(cell).idxmax())

    kept = mapping.thinned(x, y, score, 500)
    assert 100 < len(kept) <= 500
    assert int(np.argmax(score)) in kept
    assert kept.tolist() == best_of_each(16)
    assert len(best_of_each(24)) > 500


def test_drivers_are_what_one_feature_changes(planted):
    found = reasons.reasons(planted)
    row = int(np.flatnonzero(planted.ids == planted.proposals[0]["id"])[0])
    here = {name: values[[row]] for name, values in planted.columns.items()}
    usual = {name: np.median(values[:30]) for name, values in planted.columns.items()}

    def median(columns):
        return np.median([member.predict(columns)[0][0] for member in planted.ensemble.members])

    for driver in found[0].effects:
        other = median({**here, driver.name: np.array([usual[driver.name]])})
        assert driver.effect == pytest.approx(median(here) - other, abs=1e-9)
        assert driver.usual == usual[driver.name]
    model = planted.ensemble.members[planted.summary["typical"][0]["member"]]
    total = sum(effect.effect for effect in found[0].terms)
    usual_sum = sum(t.coefficient * np.median(t.expression.evaluate(planted.columns)[:30]) for t in model.terms)
    assert model.intercept + usual_sum + total == pytest.approx(model.predict(here)[0][0])
    sizes = [abs(driver.effect) for driver in found[0].effects]
    assert sizes == sorted(sizes, reverse=True)
    assert found[0].shift == 0.0


def test_the_nearest_known_lies_at_the_distance_that_was_recorded(view):
    for found, proposal in zip(reasons.reasons(view), view.proposals, strict=True):
        assert found.nearest[0].distance == pytest.approx(proposal["distance"], rel=1e-9)
        assert [n.distance for n in found.nearest] == sorted(n.distance for n in found.nearest)
        assert found.shift == pytest.approx(proposal["mean"] - proposal["formulas_mean"])


def test_calibration_agrees_with_what_the_fit_said(view):
    told, curve = view.summary["calibration"], calibration_curve(view)
    at95 = int(np.flatnonzero(np.isclose(curve.levels, 0.95))[0])
    assert curve.n == told["n"]
    assert curve.raw[at95] == pytest.approx(told["coverage95_raw"])
    assert curve.recalibrated[at95] == pytest.approx(told["coverage95"])
    found = out_of_bag(view)
    assert np.sqrt(np.mean(found.residual**2)) == pytest.approx(told["rmse"])
    assert np.median(found.sigma / found.raw) == pytest.approx(told["scale"])
    assert np.sqrt(np.mean(found.sigma**2)) == pytest.approx(told["sharpness"])
    below, above = found.reaches(False)
    inside = (found.known >= found.predicted - below) & (found.known <= found.predicted + above)
    assert inside.mean() >= 0.9
    assert inside.tolist() == (np.abs(2 * found.told.place(found.known) - 1) <= 0.95).tolist()
    mirrored = found.reaches(True)
    assert inside.tolist() == ((found.residual - mirrored[0] <= 0) & (found.residual + mirrored[1] >= 0)).tolist()
    assert (curve.low <= curve.levels).all()
    assert (curve.high >= curve.levels).all()


def test_a_reloaded_ensemble_has_no_out_of_bag_predictions(campaign, view):
    ensemble, _, _ = load_model(campaign / "run" / view.iteration.folder / "model.json")
    X = np.column_stack([view.columns[name] for name in ensemble.primaries_])
    bare = RunView.of(ensemble, X, view.values("label"))
    with pytest.raises(InputError, match="y: needs out-of-bag predictions of labelled materials, found none"):
        out_of_bag(bare)


def test_the_course_is_the_ledger(view):
    found = course(view)
    assert found.n_start == 20
    assert len(found.ids) == view.labelled.sum()
    computed = found.ids[20:]
    assert found.value[20:].tolist() == [TRUE[id] for id in computed]
    assert found.best[19] == min(found.value[:20])
    assert found.best.tolist() == [min(found.value[: max(k, 20)]) for k in range(1, len(found.ids) + 1)]
    assert set(computed) <= {id for fit in found.fits for id in fit["proposed"]}
    assert [fit["n_labelled"] for fit in found.fits] == sorted(fit["n_labelled"] for fit in found.fits)
    assert view.state.failed[0].id not in found.ids


def test_the_page_holds_all_materials_and_the_failure(view):
    text = page.report_html(view)
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["ids"] == view.ids.tolist()
    mean = np.frombuffer(base64.b64decode(data["columns"]["mean"]), "<f4")
    np.testing.assert_allclose(mean, view.values("mean"), rtol=1e-6)
    failed = view.state.failed[0]
    assert f'<th scope="row">{failed.id}</th><td>{failed.failures[-1]["kind"]}</td>' in text
    assert "<b>&" not in text.split("<script")[0]
    assert "http://" not in text.split("<script")[0]
    assert len(text) < 6_000_000
