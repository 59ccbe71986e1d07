"""One model with low columns: planted truths, and a twin that fits every form and fold by itself."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.features.expression import Expression
from sisso_sal.models import form_choice
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.files import load_model, save_model
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.groups import fold_numbers
from sisso_sal.models.linear import SISSOModel, Term
from sisso_sal.models.record_types import read_record
from sisso_sal.models.records import RegressorRecord
from sisso_sal.models.regressor import SISSORegressor

SMALL = {"rung": 1, "dim": 2, "n_sis": 5, "threads": 1, "operators": ["add", "sub", "mult", "sq"]}


def planted(n: int = 40, *, noise: float = 0.02, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """An estimate G that no short formula has, and a target that is G plus a law of a and b."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.uniform(1, 2, n) for _ in range(3))
    estimate = rng.normal(0, 1, n)
    X = pd.DataFrame({"a": a, "b": b, "c": c, "G (eV)": estimate})
    return X, pd.Series(estimate + 0.3 * a * b + rng.normal(0, noise, n), name="E (eV)")


def read_again(model: SISSORegressor, target: str = "E", unit: str = "eV") -> FittedModels:
    document = json.loads(json.dumps(model.document(target, unit)))
    return FittedModels.of_file(read_record(RegressorRecord, document))


def test_planted_correction_is_found() -> None:
    X, y = planted()
    model = SISSORegressor(**SMALL, low=["G"]).fit(X, y)
    assert model.low_.form == "difference"
    first, *rest = model.model_.terms
    assert (str(first.expression), first.coefficient) == ("G", pytest.approx(1.0, abs=0.05))
    assert any(str(term.expression) == "a*b" and term.coefficient == pytest.approx(0.3, abs=0.05) for term in rest)
    errors = {(error.what, error.column): error.mae for error in model.low_.errors}
    assert errors["model", ""] < 0.3 * errors["line", "G"] < 0.3 * errors["number", "G"]
    assert model.low_.gain > 5 * model.low_.gain_error > 0
    assert model.model_.equation("E", "eV").splitlines()[1].strip() == "+ 1 * G"


def test_slope_is_learned_where_it_is_not_one() -> None:
    X, y = planted()
    model = SISSORegressor(**SMALL, low=["G"]).fit(X.assign(**{"G (eV)": 2.5 * X["G (eV)"] + 4}), y)
    assert model.model_.terms[0].coefficient == pytest.approx(0.4, abs=0.01)
    assert model.low_.gain is not None


@pytest.mark.parametrize(("slope", "shift", "what"), [(1.0, 0.0, "number"), (1.7, 0.5, "line")])
def test_model_becomes_the_number_or_the_line(slope: float, shift: float, what: str) -> None:
    alone = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.normal(0, 1, (30, 3)), columns=["a", "b", "G"])
        y = pd.Series(slope * X["G"] + shift + rng.normal(0, 0.05, 30), name="y")
        model = SISSORegressor(**SMALL, low=["G"]).fit(X, y)
        if model.low_.form == f"{what} alone":
            alone.append((model, X, y))
    assert len(alone) >= 6  # a gain of more than a standard error comes by chance in one of six
    for model, X, y in alone:
        assert model.low_.gain is None
        fitted = np.polyfit(X["G"], y, 1) if what == "line" else (1.0, 0.0)
        assert model.predict(X) == pytest.approx(fitted[0] * X["G"].to_numpy() + fitted[1], abs=1e-12)
        assert [len(one.terms) for one in model.models_] == [1]
        assert 0.02 < model.low_.spread < 0.12
        assert np.array_equal(read_again(model, "y", "").predict_with_validity(dict(X.items()))[0], model.predict(X))


def test_a_number_that_is_the_target_leaves_nothing_to_explain() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(0, 1, (25, 2)), columns=["a", "G"])
    model = SISSORegressor(**SMALL, low="G").fit(X, X["G"].rename("y"))
    assert model.low_.form == "number alone"
    assert [choice["form"] for choice in model.choices_] == ["feature"]
    assert np.array_equal(model.predict(X), X["G"])


@pytest.mark.parametrize("is_grouped", [False, True])
def test_errors_are_those_of_fits_without_each_fold(is_grouped: bool) -> None:
    """Twin: a search for each form and fold, with the held-out rows as weights of zero."""
    X, y = planted(36, noise=0.1)
    groups = np.arange(36) // 3 if is_grouped else np.arange(36)
    model = SISSORegressor(**SMALL, low=["G"]).fit(X, y, groups=groups)
    fold = fold_numbers(X[["G (eV)", "a", "b", "c"]].to_numpy(), y.to_numpy(), 10, 0, groups)
    x = X["G (eV)"].to_numpy()
    errors = {"feature": [], "difference": [], "line": [], "line alone": []}
    for number in range(10):
        out = fold == number
        slope, intercept = np.polyfit(x[~out], y[~out], 1)
        errors["line alone"] += [*np.abs(slope * x + intercept - y)[out]]
        for form, known in (("feature", 0 * x), ("difference", x), ("line", slope * x + intercept)):
            twin = SISSORegressor(**SMALL).fit(X, (y - known).rename("E (eV)"), sample_weight=(~out).astype(float))
            errors[form] += [*np.abs(twin.predict(X) + known - y)[out]]
    for choice in model.choices_:
        assert choice["mae"] == pytest.approx(np.mean(errors[choice["form"]]), rel=1e-6)
    best = min(model.choices_, key=lambda choice: choice["mae"])
    assert model.low_.form == best["form"]
    told = {error.what: error.mae for error in model.low_.errors}
    assert told["model"] == pytest.approx(best["mae"], rel=1e-12)
    assert told["line"] == pytest.approx(np.mean(errors["line alone"]), rel=1e-9)
    assert told["number"] == pytest.approx(np.abs(x - y).mean(), rel=1e-12)


def test_models_are_those_of_the_difference() -> None:
    X, y = planted()
    model = SISSORegressor(**SMALL, low=["G"]).fit(X, y)
    twin = SISSORegressor(**SMALL).fit(X, (y - X["G (eV)"]).rename("E (eV)"))
    assert model.low_.form == "difference"
    assert [one.dimension for one in model.models_] == [2, 3]
    for own, other in zip(model.models_, twin.models_, strict=True):
        assert [str(term.expression) for term in own.terms[1:]] == [str(term.expression) for term in other.terms]
        assert own.rmse == pytest.approx(other.rmse, rel=1e-9)
    assert model.predict(X) == pytest.approx(twin.predict(X) + X["G (eV)"].to_numpy(), rel=1e-12)


def test_a_low_column_that_is_a_descriptor_too_is_one_term() -> None:
    a, b = (Term(Expression.primary(name), 1.0, 0.0, 1.0) for name in "ab")
    one, two = (SISSOModel(terms, 0.0, 1.0, 1.0) for terms in ((a,), (a, b)))
    assert form_choice._of_one_size([[one, two, one], [two, one]]) == [[one, one], [two]]
    assert form_choice._of_one_size([[two, one], [two, two, one]]) == [[two, two]]


@pytest.mark.parametrize("noise", [0.02, 3.0])
def test_model_file_predicts_the_same_bits(noise: float, tmp_path) -> None:
    X, y = planted(noise=noise)
    model = SISSORegressor(**SMALL, low="G (eV)").fit(X, y)
    save_model(tmp_path / "model.json", model, "E", "eV")
    again, *_ = load_model(tmp_path / "model.json")
    assert again.low_ == model.low_
    assert again.choices_ == model.choices_
    assert np.array_equal(again.predict(X[["G (eV)", "a", "b", "c"]]), model.predict(X))


def test_model_file_of_an_ensemble_whose_low_is_a_text_is_read(tmp_path) -> None:
    X, y = planted()
    ensemble = SISSOEnsemble(**SMALL, members=4, correction="none", low="G").fit(X, y)
    save_model(tmp_path / "model.json", ensemble, "E", "eV")
    again, *_ = load_model(tmp_path / "model.json")
    assert again.low_ == ensemble.low_


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"low": None}, "choices"),
        ({"choices": []}, "choices"),
        ({"primaries": [{"name": name, "unit": ""} for name in "abc"]}, "low.columns"),
    ],
)
def test_what_a_file_says_of_low_columns_must_agree(change: dict, told: str) -> None:
    X, y = planted()
    document = SISSORegressor(**SMALL, low=["G"]).fit(X, y).document("E", "eV")
    with pytest.raises(Exception, match=told):
        read_record(RegressorRecord, json.loads(json.dumps(document)) | change)


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(30)), st.permutations(range(4)))
def test_order_of_rows_and_columns_does_not_matter(rows: list[int], columns: list[int]) -> None:
    X, y = planted(30)
    groups = np.arange(30) // 2
    first = SISSORegressor(**SMALL, low=["G"]).fit(X, y, groups=groups)
    second = SISSORegressor(**SMALL, low=["G"]).fit(X.iloc[rows, columns], y.iloc[rows], groups=100 - groups[rows])
    assert (first.low_, first.choices_, first.models_) == (second.low_, second.choices_, second.models_)


def test_a_sample_without_weight_is_not_there() -> None:
    X, y = planted(30)
    present = np.arange(30) >= 6
    wrong = y.where(present, 1000.0)
    first = SISSORegressor(**SMALL, low=["G"]).fit(X, wrong, sample_weight=present.astype(float))
    second = SISSORegressor(**SMALL, low=["G"]).fit(X[present], y[present])
    assert (first.low_, first.models_) == (second.low_, second.models_)


def test_of_too_few_labels_the_simple_one_is_the_model() -> None:
    """Without one of four labels no formula of two terms can be fitted, so that nothing says that formulas are better."""
    X, y = planted(4)
    model = SISSORegressor(**SMALL, low=["G"]).fit(X, y)
    assert model.low_.form in {"number alone", "line alone"}
    assert {error.what for error in model.low_.errors} == {"number", "line"}
    assert {choice["mae"] for choice in model.choices_} == {None}
    assert read_again(model).low == model.low_


def test_without_an_intercept_the_line_goes_through_the_origin() -> None:
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.normal(0, 1, (30, 2)), columns=["a", "G"])
    y = pd.Series(1.7 * X["G"] + rng.normal(0, 0.05, 30), name="y")
    model = SISSORegressor(**SMALL, low=["G"], fit_intercept=False).fit(X, y)
    assert {one.intercept for one in model.models_} == {0.0}
    assert model.model_.terms[0].coefficient == pytest.approx(1.7, abs=0.05)
    assert read_again(model).low == model.low_
