"""Log regression: planted products, invariances, files, exports, what is refused."""

import json
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.export import FORMS, export_model
from sisso_sal.features.expression import Expression
from sisso_sal.models.display import formula_html
from sisso_sal.models.files import load_model, read_model, save_model
from sisso_sal.models.linear import SISSOModel, Term
from sisso_sal.models.products import ANY_LOG
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.protocols import Cause

NAMES = ("a (eV)", "b (eV)", "c (AA)", "d")


def planted(noise=0.0, seed=0, n=60):
    """2.5 (a + b)^1.7 / c^0.6, whose features have units, over two decades."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(dict(zip(NAMES, np.exp(0.5 * rng.normal(size=(4, n))), strict=True)))
    a, b, c, _ = X.to_numpy().T
    return X, 2.5 * (a + b) ** 1.7 * c**-0.6 * np.exp(noise * rng.normal(size=n))


def fitted(X, y, **options):
    return SISSORegressor(**{"rung": 1, "dim": 2, "n_sis": 10, "regression": "log", "threads": 1, **options}).fit(X, y)


def test_a_product_of_powers_is_found_and_written_as_one():
    X, y = planted()
    y = pd.Series(y, name="T (K)")
    model = fitted(X, y)
    (first, second), best = model.model_.terms, model.model_
    assert [str(first.expression), str(second.expression)] == ["a + b", "c"]
    np.testing.assert_allclose([first.coefficient, second.coefficient], [1.7, -0.6], rtol=1e-9)
    assert np.exp(best.intercept) == pytest.approx(2.5)
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-9)
    assert best.rmse < 1e-9
    assert best.equation("T", "K") == "T (K) =  2.5\n      * abs(a + b)**1.7\n      * abs(c)**(-0.6)"
    assert best.coefficient_units("K") == ["", ""]


def test_what_people_see_is_a_product_too():
    a, b = Expression.primary("a"), Expression.primary("b")
    terms = (Term(Expression.apply("div", a, b), -0.5, 0.0, 1.0), Term(Expression.apply("abs", b), 2.0, 0.0, 1.0))
    model = SISSOModel(terms, np.log(3.0), 0.0, 0.0, ANY_LOG, is_product=True)
    assert model.shown("y", "eV").split("\n") == ["y (eV) =  3", "       · |a/b|^(-0.5)", "       · |b|^2"]
    assert model.latex("y") == r"y = 3 \, {\left|\frac{a}{b}\right|}^{-0.5} \, {\left|b\right|}^{2}"
    assert model.mathml("y").count("<msup>") == 2


def test_errors_are_those_of_the_target_and_l0_minimises_those_of_its_logarithm():
    X, y = planted(noise=0.2, seed=3)
    model = fitted(X, y)
    residual = y - model.predict(X)
    assert model.model_.rmse == pytest.approx(np.sqrt(np.mean(residual**2)))
    assert model.model_.max_abs_error == pytest.approx(np.abs(residual).max())
    logs = np.array([np.log(np.abs(term.expression.evaluate(_columns(X)))) for term in model.model_.terms])
    own = np.linalg.lstsq(np.vstack([np.ones(len(y)), logs]).T, np.log(y), rcond=None)[0]
    np.testing.assert_allclose([model.model_.intercept, *(t.coefficient for t in model.model_.terms)], own, rtol=1e-6)
    sums = [np.sum((np.log(y) - np.log(one.predict(_columns(X))[0])) ** 2) for one in model.alternatives_[1]]
    np.testing.assert_allclose(sums, sorted(sums), rtol=1e-12)


def _columns(X):
    return {name.partition(" ")[0]: X[name].to_numpy() for name in X}


@settings(max_examples=5)
@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_other_units_change_the_prefactor_alone(of_c, of_target):
    X, y = planted(noise=0.1)
    options = {"operators": ("mult", "div"), "min_abs": 0.0, "max_abs": 1e12}
    one, other = fitted(X, y, **options).model_, fitted(X * [1, 1, of_c, 1], y * of_target, **options).model_
    assert [str(t.expression) for t in one.terms] == [str(t.expression) for t in other.terms]
    for term, twin in zip(one.terms, other.terms, strict=True):
        assert twin.coefficient == pytest.approx(term.coefficient, rel=1e-6)
    assert other.rmse == pytest.approx(of_target * one.rmse, rel=1e-6)


def test_a_factor_that_changes_sign_counts_by_its_absolute_value_and_zero_is_no_prediction():
    X, _ = planted()
    a, b = X["a (eV)"].to_numpy(), X["b (eV)"].to_numpy()
    model = fitted(X, 3 * np.abs(a - b) ** 0.5, dim=1)
    assert model.model_.equation("y") == "y =  3\n  * abs(a - b)**0.5"  # abs_diff comes before sub
    model = fitted(X, 3 * np.abs(a - b) ** 0.5, dim=1, operators=("sub", "mult"))
    assert model.model_.equation("y") == "y =  3\n  * abs(a - b)**0.5"
    new = {"a": np.array([1.0, 2.0, 1.0]), "b": np.array([1.7, 1.3, 1.0])}
    said, valid = model.model_.predict(new)
    np.testing.assert_allclose(said[:2], 3 * np.sqrt(0.7))
    assert valid.tolist() == [True, True, False]
    assert [cause and Cause(cause).words for cause in model.model_.cause(new).tolist()] == [0, 0, "log of zero"]


def test_a_file_holds_it_and_must_say_the_same_twice(tmp_path):
    X, y = planted(noise=0.1)
    model, path = fitted(X, y), tmp_path / "model.json"
    save_model(path, model, "T", "K")
    stored = read_model(path)
    np.testing.assert_array_equal(stored.model.predict_with_validity(_columns(X))[0], model.predict(X))
    again, *_ = load_model(path)
    assert again.get_params()["regression"] == "log"
    assert again.model_ == model.model_
    document = json.loads(path.read_text())
    document["models"][0][0].pop("form")
    path.write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match=r"models\.0\.0\.form: needs product as the settings say, found sum"):
        read_model(path)
    document["models"][0][0] = document["models"][0][1] | {"form": "product"}
    document["models"][0][0].pop("link")
    path.write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match="link: needs a log of a product"):
        read_model(path)


def test_exports_give_the_same_numbers():
    X, y = planted(noise=0.1)
    model = fitted(X, y)
    texts = {
        form: export_model([model.model_], form, target="T", target_unit="K", units=model.fitted_.primaries)
        for form in FORMS
    }
    module = {}
    exec(texts["python"], module)
    columns = _columns(X)
    names = model.model_.primaries()
    np.testing.assert_allclose(module["predict"](*(columns[name] for name in names)), model.predict(X), rtol=1e-12)
    symbolic = {}
    exec(texts["sympy"], symbolic)
    point = {symbolic["symbols"][name]: columns[name][0] for name in names}
    assert float(sympy.N(symbolic["expression"].subs(point))) == pytest.approx(model.predict(X)[0])
    assert r"\times \left|" in texts["latex"]
    assert "is the natural logarithm" not in texts["latex"]
    assert "log(fabs(" in texts["c"]
    assert "<msup><mrow><mo>|</mo>" in formula_html(model.model_, "T", "K")


def test_what_cannot_be_is_refused():
    X, y = planted()
    y[7] = -0.25
    with pytest.raises(FitError, match=r"target: regression log needs numbers above 0, found -0\.25 in sample 7"):
        fitted(X, y)
    weights = np.ones(60)
    weights[7] = 0.0
    model = SISSORegressor(rung=1, dim=2, regression="log").fit(X, y, sample_weight=weights)
    assert model.model_.rmse < 1e-9
    with pytest.raises(SettingsError, match="regression: needs one of linear, log, found 'logistic'"):
        fitted(X, y, regression="logistic")
    with pytest.raises(SettingsError, match=r"low: needs regression linear, found log \(and the column d\)"):
        fitted(X, np.abs(y), low=("d",))


def test_a_feature_with_a_zero_is_counted():
    X, y = planted()
    X["d"] = np.arange(60.0)
    model = fitted(X, y, operators=("add", "mult"))
    assert model.rejected_["0"] == {"domain": 1}
    assert model.n_features_["0"] == 3
    assert model.model_.rmse < 1e-9


def test_prefactors_of_few_digits_and_beyond_the_range_of_doubles():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"n (1/m**3)": rng.uniform(1, 2, 30) * 1e40, "b": rng.uniform(1, 2, 30)})
    y = (X["n (1/m**3)"] / 1e40) ** 20 / X["b"] * np.exp(0.001 * rng.normal(size=30))
    model = fitted(X, y, rung=0, max_abs=1e100).model_
    expected = Decimal(model.intercept).exp()
    assert -900 < expected.adjusted() < -700
    for digits, tolerance in ((3, 1e-2), (None, 1e-12)):
        latex = export_model([model], "latex", target="T", target_unit="", units={}, n_digits=digits)
        mantissa, power = re.search(r"&= (\S+) \\times 10\^{(-\d+)}", latex).groups()
        assert float(Decimal(f"{mantissa}e{power}") / expected) == pytest.approx(1, abs=tolerance)
        assert len(mantissa) <= 1 + (digits or 17)
    assert re.search(r"y =  \d\.\d+e-\d{3}\n", model.equation("y"))
    assert model.shown("y").startswith(model.equation("y").split("\n")[0])
    assert re.search(r"= \d\.\d+ \\times 10\^{-\d{3}} ", model.latex("y"))
    assert re.search(r"<mn>10</mn><mn>−\d{3}</mn>", model.mathml("y"))
    small = export_model(
        [fitted(*planted(noise=0.1)).model_], "latex", target="T", target_unit="", units={}, n_digits=3
    )
    assert re.search(r"T &= \d\.\d+ ", small)
