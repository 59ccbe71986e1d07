"""Cheap estimates of the target: difference, line, and the number alone; compared with naive twins and planted truths."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.errors import SettingsError
from sisso_sal.models.assembly import fit_ensemble
from sisso_sal.models.baseline import Baseline, Form, Low, forms_of, left_out_alone, low_names
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.estimators import ensemble_table
from sisso_sal.models.members import Draw, by_dimension, search_members
from sisso_sal.models.record_types import read_record
from sisso_sal.models.records import EnsembleRecord
from sisso_sal.models.regressor import SISSORegressor

SMALL = {"members": 6, "rung": 1, "dim": 2, "n_sis": 5, "threads": 1, "operators": ["add", "sub", "mult", "sq"]}


def planted(n: int = 40, *, noise: float = 0.02, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """A wavy estimate G that no short formula has, and a target that is G plus a law of a and b."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.uniform(1, 2, n) for _ in range(3))
    estimate = rng.normal(0, 1, n)
    X = pd.DataFrame({"a": a, "b": b, "c": c, "G (eV)": estimate})
    return X, pd.Series(estimate + 0.3 * a * b + rng.normal(0, noise, n), name="E (eV)")


@given(st.integers(0, 10**6), st.booleans(), st.integers(3, 12))
def test_line_is_that_of_least_squares(seed: int, fit_intercept: bool, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, w = rng.normal(0, 1, n), rng.normal(0, 1, n), rng.integers(0, 3, n).astype(float)
    w[:3] = 1.0
    root, ones = np.sqrt(w), np.ones(n) if fit_intercept else np.zeros(n)
    slope, intercept = np.linalg.lstsq(np.column_stack([x, ones]) * root[:, None], y * root, rcond=None)[0]
    found = Baseline.through("x", x, y, w, fit_intercept)
    assert found.slope == pytest.approx(slope, rel=1e-9, abs=1e-9)
    assert found.intercept == pytest.approx(intercept if fit_intercept else 0.0, rel=1e-9, abs=1e-9)


def test_line_of_a_column_that_does_not_vary_is_the_mean() -> None:
    found = Baseline.through("x", np.full(3, 2.0), np.array([1.0, 2.0, 6.0]), np.ones(3), True)
    assert (found.slope, found.intercept) == (0.0, 3.0)


def test_difference_needs_the_unit_of_the_target() -> None:
    X, y = planted()
    table = ensemble_table(SISSOEnsemble(), X.assign(**{"H (meV)": y * 1000}), y)
    assert forms_of(table, ["G (eV)", "H"]) == (
        Form(), Form("difference", "G"), Form("line", "G"), Form("line", "H"),
    )  # fmt: skip
    assert forms_of(table, ["G"], "yeo-johnson") == (Form(),)


@pytest.mark.parametrize("low", [["Gx"], ["E (eV)"]])
def test_a_column_that_is_no_feature_is_refused(low: list[str]) -> None:
    X, y = planted()
    with pytest.raises(
        SettingsError, match=r"^low: needs primary features of the table, found '.*' where there are G, a"
    ):
        SISSOEnsemble(**SMALL, low=low).fit(X, y)


def test_low_is_text_or_texts() -> None:
    assert SISSOEnsemble(low="G").recipe().low == ("G",)
    with pytest.raises(SettingsError, match=r"^low: needs names of columns, found"):
        SISSOEnsemble(low=[3]).recipe()
    assert low_names(["G", "G (eV)"], ["G"]) == ("G",)


def test_formula_of_the_difference_is_found() -> None:
    X, y = planted()
    ensemble = SISSOEnsemble(**SMALL, dropout=0.0, low=["G"], correction="none").fit(X, y)
    assert ensemble.low_.form == "difference"
    assert ensemble.chosen_["column"] == "G"
    member = ensemble.members_[0]
    assert str(member.terms[0].expression) == "G"
    assert any(
        str(term.expression) == "a*b" and term.coefficient == pytest.approx(0.3, abs=0.05) for term in member.terms
    )
    told = {(error.what, error.column): error.rmse for error in ensemble.low_.errors}
    assert told["model", ""] < 0.3 * told["line", "G"] < 0.3 * told["number", "G"]
    assert ensemble.low_.gain > 5 * ensemble.low_.gain_error > 0


def test_slope_is_learned_where_it_is_not_one() -> None:
    X, y = planted()
    scaled = X.assign(**{"G (eV)": 2.5 * X["G (eV)"] + 4})
    ensemble = SISSOEnsemble(**SMALL, dropout=0.0, low=["G"], correction="none").fit(scaled, y)
    assert ensemble.low_.form in {"line", "difference"}
    slope = [member.terms[0].coefficient for member in ensemble.members_]
    assert np.mean(slope) == pytest.approx(0.4, abs=0.03)


def test_members_are_fits_of_the_difference() -> None:
    """Twin: one model for the target less the number, with the weights of each member."""
    X, y = planted()
    ensemble = SISSOEnsemble(**SMALL, dropout=0.0, low=["G"])
    table, recipe = ensemble_table(SISSOEnsemble(), X, y), ensemble.recipe()
    stage = search_members(recipe, table, [Draw(np.ones(len(y), dtype=bool), 0.0)])[0]
    part = stage.part(0, stage.forms.index(Form("difference", "G")))
    members = dict(by_dimension(stage, part, table, [1, 2]))
    search = {name: value for name, value in SMALL.items() if name != "members"}
    for dim, own in members.items():
        for member, problem in zip(own, stage.problems[part], strict=True):
            weights = np.zeros(len(y))
            weights[stage.solved.order] = problem.weights
            rest = pd.Series(y - X["G (eV)"], name="E (eV)")
            twin = SISSORegressor(**{**search, "dim": dim}).fit(X, rest, sample_weight=weights).model_
            columns = {name.split(" ")[0]: X[name].to_numpy() for name in X}
            said = twin.predict(columns)[0] + columns["G"]
            assert member.predict(columns)[0] == pytest.approx(said, rel=1e-8, abs=1e-8)
            assert member.rmse == pytest.approx(twin.rmse, rel=1e-8)


def test_correction_learns_the_difference() -> None:
    """The trees and processes see the rest: predictions follow a shift of the number far beyond the labels."""
    X, y = planted()
    ensemble = SISSOEnsemble(**SMALL, dropout=0.0, low=["G"]).fit(X, y)
    assert ensemble.correction_ is not None
    assert np.ptp(ensemble.correction_.target) < 0.5 * np.ptp(y)
    assert np.sort(ensemble.correction_.target) == pytest.approx(np.sort(y - X["G (eV)"]), abs=1e-12)
    new, truth = planted(200, seed=5)
    mean, _ = ensemble.predict(new, return_std=True)
    assert np.abs(mean - truth).mean() < 0.05


@pytest.mark.parametrize(("slope", "shift", "what"), [(1.0, 0.0, "number"), (1.7, 0.5, "line")])
def test_model_becomes_the_number_or_the_line(slope: float, shift: float, what: str) -> None:
    alone = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.normal(0, 1, (30, 3)), columns=["a", "b", "G"])
        y = pd.Series(slope * X["G"] + shift + rng.normal(0, 0.05, 30), name="y")
        ensemble = SISSOEnsemble(**SMALL, low=["G"], random_state=seed).fit(X, y)
        if ensemble.low_.form == f"{what} alone":
            alone.append((ensemble, X))
    assert len(alone) >= 6  # a gain of more than a standard error comes by chance in one of six
    for ensemble, X in alone:
        assert ensemble.correction_ is None
        assert ensemble.low_.gain is None
        prediction = ensemble.predict_distribution(X)
        said = slope * X["G"].to_numpy() + shift
        assert prediction.mean == pytest.approx(said, abs=1e-12 if what == "number" else 0.1)
        assert np.ptp(prediction.std_raw) == 0.0
        assert 0.02 < prediction.std.mean() < 0.12


def test_a_number_that_is_the_target_leaves_nothing_to_explain() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(0, 1, (25, 2)), columns=["a", "G"])
    ensemble = SISSOEnsemble(**SMALL, low=["G"]).fit(X, X["G"].rename("y"))
    assert ensemble.low_.form == "number alone"
    assert ensemble.predict(X) == pytest.approx(X["G"].to_numpy(), abs=1e-12)


def test_lines_have_not_seen_the_material() -> None:
    X, y = planted(12)
    groups = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
    table = ensemble_table(SISSOEnsemble(), X, y, groups=groups)
    rows = np.arange(12)
    said = left_out_alone(table, ["G"], rows, True)["line", "G"]
    x = X["G (eV)"].to_numpy()
    for i in rows:
        seen = groups != groups[i]
        slope, intercept = np.polyfit(x[seen], y[seen], 1)
        assert said[i] == pytest.approx(intercept + slope * x[i], rel=1e-9)


@pytest.mark.parametrize("noise", [0.02, 3.0])
def test_model_file_predicts_the_same_bits(noise: float) -> None:
    X, y = planted(noise=noise)
    table = ensemble_table(SISSOEnsemble(), X, y)
    settings_of = SISSOEnsemble(**SMALL, low=("G",)).get_params()
    model = fit_ensemble(SISSOEnsemble(**SMALL, low=("G",)).recipe(), table).model
    document = json.loads(json.dumps(model.document(settings_of, "E", "eV")))
    again = EnsembleModel.of_file(read_record(EnsembleRecord, document))
    assert again.low == model.low
    first, second = (one.predict_distribution(table.columns()) for one in (model, again))
    for name in ("mean", "std", "members"):
        assert np.array_equal(getattr(first, name), getattr(second, name), equal_nan=True)


def test_model_file_of_a_line_is_read_back_though_formulas_would_have_a_transform() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(0, 1, (30, 3)), columns=["a", "b", "G"])
    y = pd.Series(2.0 * X["G"] + 20.0 + rng.normal(0, 0.05, 30), name="y")
    ensemble = SISSOEnsemble(**SMALL, low=("G",), target_transform="log")
    model = fit_ensemble(ensemble.recipe(), ensemble_table(ensemble, X, y)).model
    assert model.low.form == "line alone"
    document = json.loads(json.dumps(model.document(ensemble.get_params(), "y", "")))
    again = EnsembleModel.of_file(read_record(EnsembleRecord, document))
    columns = ensemble_table(ensemble, X, y).columns()
    assert np.array_equal(again.predict_distribution(columns).mean, model.predict_distribution(columns).mean)


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(30)), st.permutations(range(4)))
def test_order_of_rows_and_columns_does_not_matter(rows: list[int], columns: list[int]) -> None:
    X, y = planted(30)
    first = SISSOEnsemble(**SMALL, low=["G"]).fit(X, y)
    second = SISSOEnsemble(**SMALL, low=["G"]).fit(X.iloc[rows, columns], y.iloc[rows])
    assert first.low_ == second.low_
    assert np.array_equal(first.predict(X), second.predict(X.iloc[:, columns]))


def test_no_member_does_without_a_low_column() -> None:
    X, y = planted()
    ensemble = SISSOEnsemble(**{**SMALL, "dropout": 0.6}, low=["G"]).fit(X, y)
    assert all("G" not in dropped for dropped in ensemble.dropped_)
    assert any(dropped for dropped in ensemble.dropped_)


def test_a_sample_without_weight_is_not_there() -> None:
    X, y = planted(30)
    present = np.arange(30) >= 6
    wrong = y.where(present, 1000.0)
    first = SISSOEnsemble(**SMALL, low=["G"]).fit(X, wrong, sample_weight=present.astype(float))
    second = SISSOEnsemble(**SMALL, low=["G"]).fit(X[present], y[present])
    assert first.low_ == second.low_
    assert first.predict(X) == pytest.approx(second.predict(X), rel=1e-9, abs=1e-9)


def test_low_of_a_file_is_checked() -> None:
    low = Low(("G",), "difference", Baseline("G"), None).to_json()
    assert Low.from_json(low).baseline == Baseline("G")
    for wrong in ({"baseline": None}, {"spread": 1.0}, {"form": "line alone"}, {"columns": ["H"]}):
        with pytest.raises(Exception, match=r"baseline|spread"):
            Low.from_json({**low, **wrong})
