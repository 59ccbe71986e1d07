"""Laws with scales and shifts inside of operators are found, and their models are stored, exported and told as all others."""

import json
import math
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.export import export_model
from sisso_sal.features.slopes import own_parameters
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.files import load_model, save_model
from sisso_sal.models.linear import SISSOModel, Term
from sisso_sal.models.program import Program
from sisso_sal.models.regressor import SISSORegressor

ARITHMETIC = ("add", "sub", "mult", "div")
SMALL = {"operators": ARITHMETIC, "n_sis": 8, "threads": 1}


def table(n=60, n_columns=5, seed=3):
    return np.random.default_rng(seed).uniform(1, 4, (n, n_columns))


def term_of(model, shape):
    """The coefficient of the term of a shape, and the parameters of its first operator that has some."""
    (term,) = [term for term in model.terms if term.expression.shape == shape]
    return term.coefficient, next(part.parameters for part in term.expression.parts() if part.parameters)


def test_a_scale_and_a_shift_in_an_exponential():
    X = table()
    y = 2 * np.exp(-0.7 * X[:, 0] + 0.3) + 1
    model = SISSORegressor(**SMALL, param_operators=("exp",), rung=1, dim=1).fit(X, y).model_
    coefficient, (scale, shift) = term_of(model, "exp[](x0)")
    # the shift is a factor of the coefficient
    assert (scale, shift) == (pytest.approx(-0.7, abs=1e-3), 0.0)
    assert coefficient == pytest.approx(2 * math.exp(0.3), rel=1e-3)
    assert model.intercept == pytest.approx(1.0, abs=1e-3)
    assert model.rmse < 1e-9


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_frequency_and_phase(name):
    X = table()
    y = 2 * getattr(np, name)(3.3 * X[:, 1] + 0.4) - 1
    model = SISSORegressor(**SMALL, param_operators=(name,), rung=1, dim=1).fit(X, y).model_
    coefficient, parameters = term_of(model, f"{name}[](x1)")
    assert (coefficient, *parameters) == pytest.approx((2.0, 3.3, 0.4), abs=1e-3)


@pytest.mark.parametrize(
    ("operator", "law", "parameters"),
    [
        ("log", lambda x: np.log(0.8 * x + 0.5), (1.0, 0.625)),
        ("inv", lambda x: 1 / (x + 2.2), (1.0, 2.2)),
        ("inv", lambda x: 1 / (5.2 - x), (1.0, -5.2)),
        ("sqrt", lambda x: np.sqrt(5.5 - x), (-1.0, 5.5)),
        ("six_pow", lambda x: (x - 1.5) ** 6, (1.0, -1.5)),
        ("abs", lambda x: np.abs(x - 2.6), (1.0, -2.6)),
    ],
)
def test_a_shift_where_a_scale_says_nothing(operator, law, parameters):
    X = table()
    model = SISSORegressor(**SMALL, param_operators=(operator,), rung=1, dim=1).fit(X, 3 * law(X[:, 2]) - 2).model_
    assert term_of(model, f"{operator}[](x2)")[1] == pytest.approx(parameters, abs=1e-3)
    assert model.rmse < 1e-6


def test_models_with_parameters_are_ranked_by_the_criterion():
    rng = np.random.default_rng(11)
    X = table(40, 3)
    y = np.exp(-0.7 * X[:, 0]) + np.sin(2 * X[:, 1]) + 0.2 * rng.normal(size=40)
    search = {"rung": 1, "dim": 3, "n_residual": 10, "param_operators": ("exp", "sin"), "n_models": None}
    fitted = SISSORegressor(**SMALL | {"n_sis": 4} | search, criterion="max_abs_error").fit(X, y)
    for models in fitted.alternatives_:
        largest = [model.max_abs_error for model in models]
        assert largest == sorted(largest)
    rmses = [[model.rmse for model in models] for models in fitted.alternatives_]
    assert any(own != sorted(own) for own in rmses)


@pytest.mark.parametrize("intercept", [True, False])
def test_features_with_parameters_keep_to_the_largest_correlation(intercept):
    rng = np.random.default_rng(3)
    X = table(40, 3)
    y = np.exp(-0.7 * X[:, 0]) * X[:, 1] + np.sin(2 * X[:, 1]) + 0.1 * rng.normal(size=40)
    search = {"rung": 1, "dim": 3, "n_residual": 3, "param_operators": ("exp", "sin"), "max_correlation": 0.6}
    fitted = SISSORegressor(**SMALL | {"n_sis": 6} | search, fit_intercept=intercept).fit(X, y)
    columns = {f"x{number}": X[:, number] for number in range(3)}
    with_own = 0
    for model in [model for models in fitted.alternatives_ for model in models]:
        rows = model.descriptors(columns)
        rows = rows - rows.mean(axis=1, keepdims=True) if intercept else rows
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        assert np.abs(np.triu(rows @ rows.T, 1)).max() < 0.6 + 1e-12
        with_own += any(own_parameters(term.expression).size for term in model.terms) and model.dimension > 1
    assert with_own > 3


def test_two_terms_are_right_only_together():
    X = table(80)
    y = 2 * np.exp(-0.7 * X[:, 0]) + 1.5 * np.sin(3.3 * X[:, 1] + 0.4)
    fitted = SISSORegressor(**SMALL, param_operators=("exp", "sin"), rung=1, dim=2).fit(X, y)
    assert term_of(fitted.model_, "exp[](x0)") == (pytest.approx(2.0, abs=1e-3), (pytest.approx(-0.7, abs=1e-3), 0.0))
    assert term_of(fitted.model_, "sin[](x1)")[1] == pytest.approx((3.3, 0.4), abs=1e-3)
    assert fitted.models_[0].rmse > 0.1


def test_as_a_factor_and_of_a_difference():
    X = table()
    y = 2 * X[:, 2] * np.exp(-0.7 * X[:, 0])
    model = SISSORegressor(**SMALL, param_operators=("exp",), dim=1).fit(X, y).model_
    assert term_of(model, "mult(exp[](x0),x2)")[1][0] == pytest.approx(-0.7, abs=1e-3)
    y = 2 * np.exp(-1.3 * (X[:, 0] - X[:, 1]))
    model = SISSORegressor(**SMALL, param_operators=("exp",), dim=1).fit(X, y).model_
    assert term_of(model, "exp[](sub(x0,x1))")[1][0] == pytest.approx(-1.3, abs=1e-3)


def hot(n=60):
    """A law of an energy and a temperature that no exponential of a number without unit says."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"T (K)": rng.uniform(300, 900, n), "E (eV)": rng.uniform(0.2, 1.2, n), "r (AA)": rng.uniform(1, 3, n)}
    )
    return frame, 4.2 * frame["E (eV)"].to_numpy() * np.exp(-0.0052 * frame["T (K)"].to_numpy()) + 0.3


@pytest.fixture(scope="module")
def decay():
    frame, y = hot()
    target = pd.Series(y, name="k (eV)")
    return (
        SISSORegressor(operators=("mult", "div"), param_operators=["exp"], dim=2, n_sis=6).fit(frame, target),
        frame,
        y,
    )


def test_units_hold(decay):
    model = decay[0].models_[0]
    assert model.equation("k", "eV") == "k (eV) =  0.3\n       + 4.2 * E*exp(-0.0052 [1/K] * T)"
    assert [str(unit) for unit in model.coefficient_dimensions("eV")] == [""]
    assert "K" in decay[0]._repr_html_()


def test_a_file_gives_back_the_same_bits(decay, tmp_path):
    model, frame, _ = decay
    save_model(tmp_path / "m.json", model, "k", "eV")
    again, *_ = load_model(tmp_path / "m.json")
    new = {name: 1.1 * frame[header].to_numpy() for name, header in zip("TEr", frame, strict=True)}
    assert np.array_equal(again.predict(new), model.predict(new))
    assert again.get_params()["param_operators"] == ["exp"]
    document = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    document["settings"]["param_operators"] = []
    (tmp_path / "m.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(Exception, match="needs operators of the settings, found 'exp'"):
        load_model(tmp_path / "m.json")


def every_shape():
    """A model with each operator that can have parameters, also inside of others, and rows for it."""
    from sisso_sal.features.expression import Expression
    from sisso_sal.features.parameters import RULES

    rng = np.random.default_rng(4)
    columns = {name: rng.uniform(0.6, 2.0, 30) for name in ("a", "b")}
    a, b = (Expression.primary(name) for name in columns)
    terms = []
    for number, name in enumerate(RULES):
        inner = Expression.apply(name, Expression.apply("div", a, b), parameters=(0.3 + 0.1 * number, 0.25))
        outer = (
            Expression.apply("inv", inner, parameters=(-1.5, 1e2)) if number % 2 else Expression.apply("mult", inner, b)
        )
        values = outer.evaluate(columns)
        terms.append(Term(outer, rng.normal(), float(values.min()), float(values.max())))
    return SISSOModel(tuple(terms), 0.5, 0.0, 0.0), columns


def test_python_and_sympy_predict_the_same():
    model, columns = every_shape()
    expected, valid = model.predict(columns)
    assert valid.all()
    made = {}
    exec(export_model([model], "python", target="y", target_unit="", units={}), made)
    assert np.allclose(made["predict"](**columns), expected, rtol=1e-12, atol=0)
    exec(export_model([model], "sympy", target="y", target_unit="", units={}), made)
    for row in range(3):
        values = {made["symbols"][name]: columns[name][row] for name in columns}
        assert float(made["expression"].subs(values)) == pytest.approx(expected[row], rel=1e-12)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: cc is not on the path")
def test_c_predicts_the_same(tmp_path):
    model, columns = every_shape()
    rows = np.column_stack([columns["a"], columns["b"]])
    loop = 'while (scanf("%lf %lf", &a, &b) == 2) printf("%.17g\\n", sisso_predict(a, b));'
    main = f"int main(void) {{ double a, b; {loop} return 0; }}"
    code = export_model([model], "c", target="y", target_unit="", units={})
    (tmp_path / "m.c").write_text(f"#include <stdio.h>\n{code}\n{main}\n", encoding="utf-8")
    subprocess.run(["cc", "-std=c99", "-O1", "-o", tmp_path / "m", tmp_path / "m.c", "-lm"], check=True)
    text = "\n".join(" ".join(map(repr, row)) for row in rows.tolist())
    out = subprocess.run([tmp_path / "m"], input=text, capture_output=True, text=True, check=True).stdout
    assert np.allclose([float(line) for line in out.split()], model.predict(columns)[0], rtol=1e-12, atol=0)


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="no Fortran compiler: gfortran is not on the path")
def test_fortran_predicts_the_same(tmp_path):
    model, columns = every_shape()
    code = export_model([model], "fortran", target="y", target_unit="", units={})
    main = (
        "program p\n use sisso_model\n use, intrinsic :: iso_fortran_env, only: dp => real64\n real(dp) :: a, b\n integer :: i\n"
        " do i = 1, 30\n  read (*, *) a, b\n  write (*, '(es25.17)') sisso_predict(a, b)\n end do\nend program\n"
    )
    (tmp_path / "m.f90").write_text(f"{code}\n{main}", encoding="utf-8")
    subprocess.run(["gfortran", "-o", tmp_path / "m", tmp_path / "m.f90"], check=True, cwd=tmp_path)
    text = "\n".join(f"{a!r} {b!r}" for a, b in zip(columns["a"].tolist(), columns["b"].tolist(), strict=True))
    out = subprocess.run([tmp_path / "m"], input=text, capture_output=True, text=True, check=True).stdout
    assert np.allclose([float(line) for line in out.split()], model.predict(columns)[0], rtol=1e-12, atol=0)


def test_the_program_of_many_formulas_gives_the_same_bits():
    model, columns = every_shape()
    values, outside = Program.of([model, model]).evaluate(columns)
    expected, reach = model.predict_with_reach(columns)
    assert np.array_equal(values, [expected] * 2)
    assert np.array_equal(outside, [reach] * 2)


def test_the_order_of_rows_and_columns_changes_nothing(decay):
    model, frame, y = decay
    rows, columns = np.random.default_rng(0).permutation(len(y)), ["r (AA)", "E (eV)", "T (K)"]
    other = SISSORegressor(operators=("mult", "div"), param_operators=["exp"], dim=2, n_sis=6, threads=2)
    other.fit(frame[columns].iloc[rows], pd.Series(y[rows], name="k (eV)"))
    assert other.model_.to_json() == model.model_.to_json()


def test_a_weight_of_two_is_a_row_twice_and_one_of_zero_none():
    X = table(30, 3)
    y = 2 * np.exp(-0.7 * X[:, 0]) + np.random.default_rng(1).normal(0, 0.02, 30)
    weights = np.arange(30) % 3
    options = {**SMALL, "n_sis": 4, "param_operators": ("exp",), "rung": 1, "dim": 1}
    weighted = SISSORegressor(**options).fit(X, y, sample_weight=weights).model_
    repeated = SISSORegressor(**options).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights)).model_
    assert weighted.terms[0].expression.shape == repeated.terms[0].expression.shape == "exp[](x0)"
    (_, one), (_, other) = (term_of(model, "exp[](x0)") for model in (weighted, repeated))
    assert one == pytest.approx(other, rel=1e-5)


def test_an_ensemble_agrees_on_a_shape():
    X = table(40, 4)
    y = 2 * np.exp(-0.7 * X[:, 0]) + np.random.default_rng(1).normal(0, 0.01, 40)
    ensemble = SISSOEnsemble(
        operators=ARITHMETIC,
        param_operators=("exp",),
        rung=1,
        dim=1,
        n_sis=4,
        members=6,
        dropout=0.0,
        correction="none",
        threads=1,
    ).fit(X, y)
    assert {member.terms[0].expression.shape for member in ensemble.members_} == {"exp[](x0)"}
    (descriptor, *_) = ensemble.certain_.descriptors
    assert descriptor.expression.shape == "exp[](x0)"
    assert descriptor.probability > 0.9
    scales = [term_of(member, "exp[](x0)")[1][0] for member in ensemble.members_]
    assert len(set(scales)) == 6
    assert scales == pytest.approx([-0.7] * 6, abs=0.1)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_formula_with_and_without_parameters_that_say_nothing_is_told_once(noise):
    """Of the law without parameters there is no second one whose scale is nearly 1; a scale that counts stays."""
    X = table(40, 3)
    options = {"operators": ("add", "exp", "sq"), "param_operators": ("exp", "sq"), "rung": 1, "dim": 1, "n_sis": 12}
    rest = noise * np.random.default_rng(1).normal(0, 1, 40)
    found = SISSORegressor(**options, n_models=12, threads=1).fit(X, 2 * np.exp(X[:, 0]) + 1 + rest).alternatives_[0]
    assert str(found[0].terms[0].expression) == "exp(x0)"
    assert "exp[](x0)" not in {one.terms[0].expression.shape for one in found}
    assert [one.rmse for one in found] == sorted(one.rmse for one in found)
    scaled = (
        SISSORegressor(**options, n_models=12, threads=1).fit(X, 2 * np.exp(1.02 * X[:, 0]) + rest).alternatives_[0]
    )
    shapes = [model.terms[0].expression.shape for model in scaled]
    assert shapes[0] == "exp[](x0)"
    assert "exp(x0)" in shapes


def test_what_is_refused():
    X = table(12, 2)
    with pytest.raises(SettingsError, match="found 'add', which takes no parameters"):
        SISSORegressor(param_operators=("add",)).fit(X, X[:, 0])
    with pytest.raises(
        FitError, match="at least 14 labelled samples for dim 4 with fitted scales and shifts, found 12"
    ):
        SISSORegressor(param_operators=("exp",), rung=1, dim=4).fit(X, X[:, 0] ** 2)
