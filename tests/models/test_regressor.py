"""The single model: scikit-learn's contract, planted laws, the published reference, errors."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sympy
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.linear import REACH, SISSOModel
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.models.variable_selector import VariableSelector

REFERENCE = Path(__file__).parents[2].parent / "shared" / "data" / "oxides_gpbx.csv"


def not_for(estimator):
    if isinstance(estimator, SISSOEnsemble):
        why = "bootstrap draws rows: a repeated row and a weight of 2 give other draws"
        return {"check_sample_weight_equivalence_on_dense_data": why}
    return {}


@pytest.mark.filterwarnings("ignore:.*SCIPY_ARRAY_API.*")
@parametrize_with_checks(
    [SISSORegressor(), SISSOEnsemble(members=3, rung=1), VariableSelector(n_select=2)], expected_failed_checks=not_for
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def planted(n=1000, noise=0.01, seed=0):
    """Six positive columns and a law of two terms of rung 2, with noise of 1 % of its spread."""
    rng = np.random.default_rng(seed)
    names = ["a (eV)", "b (eV)", "c (AA)", "d (AA)", "m", "n"]
    X = pd.DataFrame(dict(zip(names, rng.uniform(1, 3, (6, n)), strict=True)))
    a, b, c, d, m, _ = X.to_numpy().T
    y = 2.0 * (a + b) / c - 3.0 * np.sqrt(m) * d + 0.7
    return X, y + noise * y.std() * rng.normal(0, 1, n)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_law_is_recovered(seed):
    X, y = planted(seed=seed)
    model = SISSORegressor(rung=2, dim=2, n_sis=50).fit(X, y)
    assert [str(term.expression) for term in model.model_.terms] == ["(a + b)/c", "d*sqrt(m)"]
    np.testing.assert_allclose([term.coefficient for term in model.model_.terms], [2.0, -3.0], rtol=5e-3)
    assert model.model_.intercept == pytest.approx(0.7, abs=0.05)
    assert model.model_.rmse == pytest.approx(0.01 * y.std(), rel=0.1)
    assert model.score(X, y) > 0.9998
    assert model.model_.coefficient_units("eV/AA") == ["", "[eV/Å**2]"]


def test_a_planted_law_without_noise_or_units_or_intercept():
    rng = np.random.default_rng(2)
    X = rng.uniform(1, 3, (200, 4))
    y = 5.0 * X[:, 0] / X[:, 1] ** 2 - 2.0 * X[:, 2] * X[:, 3]
    model = SISSORegressor(rung=2, dim=2, n_sis=200, fit_intercept=False).fit(X, y)
    assert [str(term.expression) for term in model.model_.terms] == ["(x0/x1)/x1", "x2*x3"]  # before x0/x1**2 by key
    np.testing.assert_allclose([term.coefficient for term in model.model_.terms], [5.0, -2.0], rtol=1e-10)
    assert model.model_.intercept == 0.0
    assert model.model_.rmse < 1e-12


def test_models_of_every_dimension_and_alternatives():
    X, y = planted(n=60, noise=0.2)
    model = SISSORegressor(rung=1, dim=3, n_sis=10).fit(X, y)
    assert [m.dimension for m in model.models_] == [1, 2, 3]
    errors = [m.rmse for m in model.models_]
    assert errors[0] > errors[1] > errors[2]
    assert model.model_ is model.models_[-1]
    for models, best in zip(model.alternatives_, model.models_, strict=True):
        assert len(models) == 10
        assert models[0] is best
        assert sorted(m.rmse for m in models) == [m.rmse for m in models]


def test_statistics_are_those_of_the_predictions():
    X, y = planted(n=60, noise=0.2)
    weights = np.random.default_rng(0).integers(0, 3, 60).astype(float)
    model = SISSORegressor(rung=1, n_sis=10).fit(X, y, weights)
    residual = y - model.predict(X)
    assert model.model_.rmse == pytest.approx(np.sqrt(np.average(residual**2, weights=weights)), rel=1e-9)
    assert model.model_.max_abs_error == pytest.approx(np.abs(residual[weights > 0]).max(), rel=1e-9)
    assert model.n_samples_ == np.count_nonzero(weights)


def test_weights_are_repetitions():
    X, y = planted(n=40, noise=0.2)
    counts = np.random.default_rng(1).integers(0, 4, 40)
    weighted = SISSORegressor(rung=1, n_sis=10).fit(X, y, counts).model_
    repeated = (
        SISSORegressor(rung=1, n_sis=10).fit(X.iloc[np.repeat(np.arange(40), counts)], np.repeat(y, counts)).model_
    )
    assert [str(t.expression) for t in weighted.terms] == [str(t.expression) for t in repeated.terms]
    np.testing.assert_allclose(
        [t.coefficient for t in weighted.terms], [t.coefficient for t in repeated.terms], rtol=1e-9
    )
    assert weighted.rmse == pytest.approx(repeated.rmse, rel=1e-9)


def test_units_come_from_the_headers_or_from_the_setting():
    X, y = planted(n=40)
    from_headers = SISSORegressor(rung=1, dim=1, operators=("add",)).fit(X, y)
    assert from_headers.primaries_ == ("a", "b", "c", "d", "m", "n")
    assert from_headers.units_ == ("eV", "eV", "AA", "AA", "", "")
    assert from_headers.n_features_ == {"0": 6, "1": 3}
    assert from_headers.rejected_ == {"0": {}, "1": {"unit": 12}}
    without = SISSORegressor(rung=1, dim=1, operators=("add",), unit_rules="none").fit(X, y)
    assert without.n_features_ == {"0": 6, "1": 15}
    given = SISSORegressor(rung=1, dim=1, operators=("add",), units=["eV"] * 6).fit(X.to_numpy(), y)
    assert given.n_features_ == {"0": 6, "1": 15}
    assert given.units_ == ("eV",) * 6


def test_a_constant_column_is_counted():
    X, y = planted(n=40)
    X["k"] = 3.0
    model = SISSORegressor(rung=1, dim=1, operators=("mult",), n_sis=5).fit(X, y)
    assert model.n_features_["0"] == 6
    assert model.rejected_["0"] == {"constant": 1}
    assert "k" not in model.model_.primaries()
    table_only = SISSORegressor(rung=0, dim=1, n_sis=50).fit(X, y)
    assert table_only.n_features_ == {"0": 6}
    assert table_only.rejected_ == {"0": {"constant": 1}}
    assert len(table_only.alternatives_[0]) == 6


def test_counts_of_features_add_up():
    X, y = planted(n=40)
    X["z"] = np.arange(40.0)
    model = SISSORegressor(rung=1, dim=1, operators=("div", "log"), n_sis=5).fit(X, y)
    # div: 42 ordered pairs, those over z are infinite; log: m, n; of z it is -inf, of the other four there are units.
    assert model.n_features_ == {"0": 7, "1": 38}
    assert model.rejected_ == {"0": {}, "1": {"domain": 7, "unit": 4}}


def test_max_complexity_and_bounds():
    X, y = planted(n=100)
    model = SISSORegressor(rung=2, dim=1, n_sis=20, max_complexity=2).fit(X, y)
    assert max(t.expression.complexity for models in model.alternatives_ for m in models for t in m.terms) <= 2
    narrow = SISSORegressor(rung=1, dim=1, n_sis=50, min_abs=3.5, max_abs=8.0).fit(X, y)
    for other in narrow.alternatives_[0]:
        (term,) = other.terms
        if not term.expression.is_primary:
            assert 3.5 <= max(abs(term.low), abs(term.high)) <= 8.0
    assert narrow.rejected_["1"]["bounds"] > 0


def test_prediction_outside_the_domain_is_nan_and_invalid():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 2, (50, 2))
    model = SISSORegressor(rung=1, dim=1, operators=("sqrt",), n_sis=5).fit(X, 2.0 * np.sqrt(X[:, 0]))
    new = np.array([[1.5, 1.0], [-1.0, 1.0], [100.0, 1.0]])
    prediction, valid = model.predict_with_validity(new)
    assert valid.tolist() == [True, False, False]
    np.testing.assert_allclose(prediction, [2.0 * np.sqrt(1.5), np.nan, 20.0], rtol=1e-9)
    np.testing.assert_array_equal(model.predict(new), prediction)


def test_an_infinite_descriptor_is_nan():
    X = np.random.default_rng(0).uniform(1, 2, (50, 1))
    model = SISSORegressor(rung=1, dim=1, operators=("inv",), n_sis=5).fit(X, 1.0 / X[:, 0])
    prediction, valid = model.predict_with_validity(np.array([[0.0]]))
    assert np.isnan(prediction[0])
    assert not valid[0]


def test_valid_means_within_one_width_of_the_training_range():
    X = np.linspace(1, 3, 30)[:, None]
    model = SISSORegressor(rung=0, dim=1).fit(X, X[:, 0])
    edge = np.array([1 - 2 * REACH, 3 + 2 * REACH])
    new = np.array([edge[0] - 0.01, edge[0] + 0.01, edge[1] - 0.01, edge[1] + 0.01])
    assert model.predict_with_validity(new[:, None])[1].tolist() == [False, True, True, False]


def test_model_round_trips_through_json():
    X, y = planted(n=60)
    model = SISSORegressor(rung=2, n_sis=10, operators=("add", "mult", "div", "sqrt")).fit(X, y)
    units = dict(zip(model.primaries_, model.units_, strict=True))
    back = SISSOModel.from_json(json.loads(json.dumps(model.model_.to_json())), units)
    assert back == model.model_
    columns = dict(zip(model.primaries_, X.to_numpy().T, strict=True))
    np.testing.assert_array_equal(back.predict(columns)[0], model.predict(X))
    with pytest.raises(ModelFileError, match=r"^no key 'dimension'$"):
        SISSOModel.from_json({"terms": [{}]}, units)


def test_sympy_form_predicts_the_same():
    X, y = planted(n=60)
    model = SISSORegressor(rung=2, n_sis=10, operators=("add", "mult", "div", "sqrt")).fit(X, y)
    symbols = [sympy.Symbol(name, real=True) for name in model.primaries_]
    total = sum(term.coefficient * term.expression.to_sympy() for term in model.model_.terms) + model.model_.intercept
    function = sympy.lambdify(symbols, total)
    np.testing.assert_allclose(function(*X.to_numpy().T), model.predict(X), rtol=1e-12)


def test_equation():
    X, y = planted(n=200, noise=0.0)
    text = SISSORegressor(rung=2, n_sis=50).fit(X, y).model_.equation("E", "eV/AA")
    assert text == "E (eV/AA) =  0.7\n          + 2 * (a + b)/c\n          - 3 [eV/Å**2] * d*sqrt(m)"


def test_progress_reaches_the_end():
    X, y = planted(n=40)
    calls = []
    SISSORegressor(rung=1, dim=2, n_sis=5).fit(X, y, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_fit_changes_no_setting():
    X, y = planted(n=40)
    model = SISSORegressor(operators=["add", "mult"], rung=1, n_sis=5, units=["eV"] * 6)
    before = model.get_params()
    model.fit(X, y)
    assert model.get_params() == before
    assert clone(model).get_params() == before


def test_not_fitted():
    with pytest.raises(NotFittedError):
        SISSORegressor().predict(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dim: needs an integer from 1 to 6, found 0"),
        ({"dim": 7}, "dim: needs an integer from 1 to 6, found 7"),
        ({"dim": 1.5}, "dim: needs an integer from 1 to 6, found 1.5"),
        ({"n_sis": 0}, "n_sis: needs an integer from 1 to 10000000, found 0"),
        ({"n_residual": 0}, "n_residual: needs an integer from 1 to 1000, found 0"),
        ({"threads": 0}, "threads: needs a number >= 1, found 0"),
        ({"rung": 4}, "rung: needs an integer from 0 to 3, found 4"),
        ({"rung": -1}, "rung: needs an integer from 0 to 3, found -1"),
        ({"operators": []}, "operators: needs at least one operator, found none"),
        ({"operators": "add"}, "operators: needs a sequence of names, found 'add'"),
        ({"param_operators": "exp"}, "param_operators: needs a sequence of names, found 'exp'"),
        ({"param_operators": None}, "param_operators: needs a sequence of names, found None"),
        ({"max_correlation": "1"}, "max_correlation: needs a number above 0, at most 1, found '1'"),
        ({"min_abs": 2, "max_abs": 1}, "min_abs, max_abs: needs 0 <= min_abs < max_abs, found 2, 1"),
        ({"units": ["eV"]}, "units: needs one for each of 6 features, found 1"),
    ],
)
def test_settings_out_of_range(settings, message):
    X, y = planted(n=20)
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        SISSORegressor(**{"rung": 1, **settings}).fit(X, y)


def test_an_unknown_operator_comes_with_a_suggestion():
    X, y = planted(n=20)
    with pytest.raises(SettingsError, match=r"found 'squared'$|found 'sqr'; did you mean 'sqrt'\?$"):
        SISSORegressor(operators=["sqr"], rung=1).fit(X, y)


def test_a_name_that_comes_twice():
    X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (20, 2)), columns=["a (eV)", "a (AA)"])
    with pytest.raises(SettingsError, match=r"^features: needs names that differ, found 'a' twice$"):
        SISSORegressor(rung=1).fit(X, np.arange(20.0))


@pytest.mark.parametrize(
    ("n", "settings", "message"),
    [
        (3, {"dim": 2}, "fit: needs at least 4 labelled samples for dim 2, found 3 samples"),
        (2, {"dim": 2, "fit_intercept": False}, "fit: needs at least 3 labelled samples for dim 2, found 2 samples"),
        (4, {"dim": 3}, "fit: needs at least 5 labelled samples for dim 3, found 4 samples"),
    ],
)
def test_too_few_samples(n, settings, message):
    X, y = planted(n=n)
    with pytest.raises(FitError, match=f"^{message}$"):
        SISSORegressor(rung=1, **settings).fit(X, y)


def test_samples_of_weight_zero_do_not_count():
    X, y = planted(n=20)
    weights = np.zeros(20)
    weights[3] = 1.0
    with pytest.raises(FitError, match=r"^fit: needs at least 3 labelled samples for dim 1, found 1 sample$"):
        SISSORegressor(rung=1, dim=1).fit(X, y, weights)
    weights[:6] = 1.0
    few = SISSORegressor(rung=1, dim=1).fit(X, y, weights)
    alone = SISSORegressor(rung=1, dim=1).fit(X[:6], y[:6])
    assert few.model_ == alone.model_
    assert few.rejected_ == alone.rejected_


def test_constant_target():
    X, _ = planted(n=20)
    with pytest.raises(FitError, match=r"^fit: needs a target that varies, found 2.5 on every sample$"):
        SISSORegressor(rung=1).fit(X, np.full(20, 2.5))


def test_no_usable_feature():
    X = np.full((20, 2), 3.0)
    with pytest.raises(
        FitError, match=r"^fit: needs at least one usable feature, found none \(bounds, units and domains"
    ):
        SISSORegressor(rung=1).fit(X, np.arange(20.0))


needs_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason="the reference table shared/data/oxides_gpbx.csv is absent"
)
BASIC = ("add", "sub", "abs_diff", "mult", "div", "inv", "sq", "cb", "six_pow", "sqrt")


def b1(t):
    return [t.r_cov * t.N_unf / (t.N_val + t.max_OS)]


def b2(t):
    return [t.r_cov**3 * t.e_H * t.N_unf, np.abs(np.abs(t.N_unf - t.stdev_OS) - t.N_unf * t.stdev_OS)]


def b4(t):
    return [*b2(t), t.r_val * t.AN / np.abs(t.r_s - t.r_cov)]


B2 = [-0.04117213801, -0.09016370803]
RESULTS = {
    "B1": (50, 1, 0.4901648810, 3.158551736, b1, [3.030294777], -0.4422919852),
    "B2": (50, 2, 0.3748653374, 2.895145583, b2, B2, 0.2936786208),
    "B3": (200, 2, 0.3748653374, 2.895145583, b2, B2, 0.2936786208),
    "B4": (100, 3, 0.3348283429, 1.933271289, b4, [-0.04086285431, -0.08556716117, -1.842700588e-4], 0.3246756681),
}


@pytest.fixture(scope="module")
def reference():
    table = pd.read_csv(REFERENCE)
    X = table.drop(columns=["oxide", "g_pbx (eV/atom)"])
    plain = table.rename(columns=lambda header: header.split(" (")[0])
    return X, table["g_pbx (eV/atom)"].to_numpy(), plain


def fit_reference(reference, n_sis, dim):
    return SISSORegressor(operators=BASIC, rung=2, dim=dim, n_sis=n_sis, n_residual=1).fit(*reference[:2])


def same_direction(found, expected):
    """Whether two features are one up to scale and offset."""
    return abs(np.corrcoef(found, expected)[0, 1]) > 1 - 1e-12


@needs_reference
@pytest.mark.filterwarnings("ignore:unit 'Pauling' is not known:UserWarning")
@pytest.mark.parametrize(
    ("n_sis", "dim", "rmse", "largest", "formulas", "coefficients", "intercept"), RESULTS.values(), ids=RESULTS
)
def test_results_of_sisso_3_5(reference, n_sis, dim, rmse, largest, formulas, coefficients, intercept):
    model = fit_reference(reference, n_sis, dim).models_[dim - 1]
    assert model.rmse == pytest.approx(rmse, rel=1e-6)
    assert model.max_abs_error == pytest.approx(largest, rel=1e-6)
    assert model.intercept == pytest.approx(intercept, rel=1e-5)
    values = model.descriptors(reference[2])
    remaining = list(range(dim))
    for row, coefficient in zip(formulas(reference[2]), coefficients, strict=True):
        match = [i for i in remaining if np.allclose(np.abs(values[i]), np.abs(row), rtol=1e-9)]
        assert len(match) == 1
        remaining.remove(match[0])
        sign = np.sign(values[match[0]] @ row)
        assert sign * model.terms[match[0]].coefficient == pytest.approx(coefficient, rel=1e-5)


FIRST_TEN = [
    (0.8921, lambda t: t.r_cov * t.N_unf / (t.N_val + t.max_OS)),
    (0.8883, lambda t: (t.N_unf / t.EN) / (t.N_val + t.max_OS)),
    (0.8864, lambda t: t.r_cov**6 * t.N_val * t.N_unf),
    (0.8862, lambda t: (t.N_unf / t.r_val) * t.r_cov**6),
    (0.8852, lambda t: t.r_cov**4 * t.N_unf),
    (0.8848, lambda t: t.r_cov**3 * np.abs(t.N_unf - t.stdev_OS)),
    (0.8818, lambda t: (t.N_unf / t.IP) / (t.N_val + t.max_OS)),
    (0.8815, lambda t: t.r_cov**3 * t.N_unf / t.EN),
    (0.8814, lambda t: t.r_cov**3 * t.N_unf / t.IP),
    (0.8812, lambda t: t.r_cov * t.N_unf / (t.N_val + t.stdev_OS)),
]


@needs_reference
@pytest.mark.filterwarnings("ignore:unit 'Pauling' is not known:UserWarning")
def test_first_screening_of_sisso_3_5(reference):
    """The ten best models of one term are the ten best features, and their RMSE is sigma * sqrt(1 - score**2)."""
    model = fit_reference(reference, 50, 1)
    assert model.n_features_["0"] == 14
    for found, (score, formula) in zip(model.alternatives_[0], FIRST_TEN, strict=True):
        assert np.sqrt(1 - (found.rmse / reference[1].std()) ** 2) == pytest.approx(score, abs=5e-5)
        assert same_direction(found.descriptors(reference[2])[0], formula(reference[2]))


@pytest.mark.parametrize("extra", ["e", "e (eV*AA)", "e (eV)", "2e", None])
@pytest.mark.parametrize("order", [1, -1])
def test_a_column_that_equals_a_feature_of_another_unit_takes_no_law_away(extra, order):
    rng = np.random.default_rng(3)
    a, b, c, d = rng.normal(size=40), rng.normal(size=40), rng.uniform(1, 3, 40), rng.uniform(0.5, 2, 40)
    columns = {"a (eV)": a, "b (eV)": b, "c (AA)": c, "d (AA)": d}
    if extra:
        columns[extra] = 2 * b * d if extra == "2e" else b * d
    frame = pd.DataFrame(columns)[list(columns)[::order]]
    model = SISSORegressor(rung=2, dim=2, n_sis=20, operators=("add", "mult")).fit(frame, a * c + b * d)
    assert model.models_[0].rmse < 1e-12
    expected = "e + a*c" if extra == "e (eV*AA)" else "a*c + b*d"
    assert str(model.models_[0].terms[0].expression) == expected
