"""Exported models predict what the models predict, in every language, whatever the features are called."""

import inspect
import re
import shutil
import subprocess
import sys
import tokenize

import numpy as np
import pandas as pd
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_names import ODD

from sisso_sal.errors import SettingsError
from sisso_sal.export import FORMS, RESERVED, export_model, identifiers
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import OPERATORS
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.linear import SISSOModel, Term
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.models.transform import TargetTransform

CC = shutil.which("cc")
GFORTRAN = shutil.which("gfortran")
needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler: cc is not on the path")
needs_gfortran = pytest.mark.skipif(GFORTRAN is None, reason="no Fortran compiler: gfortran is not on the path")

NASTY = (
    "*/ int x; /*", "two\nlines", "tab\tend\\", '"""', "'quoted'", "100%_#&${}", "lambda", "double", "end", "sum", "exp",
    "fabs", "np", "mean", "std", "total", "descriptor", "M_PI", "EA", "ea", "Ea", "r cov", "r_cov", "r-cov", "χ (Å)", "Χ", "日本",
    "", "2nd", "_x", "sisso_sq", "??/", "a" * 90, "a" * 89 + "b", "\u202ertl", "{0}", "return", "x", "if", "dp", "Symbol", "S",
)  # fmt: skip
NASTY = tuple(dict.fromkeys([*NASTY, *ODD]))


def primary(name):
    return Expression.primary(name)


def random_tree(rng, names, depth):
    """An expression of at most this depth."""
    if depth == 0:
        return primary(names[rng.integers(len(names))])
    row = list(OPERATORS.values())[rng.integers(len(OPERATORS))]
    return Expression.apply(row.name, *(random_tree(rng, names, rng.integers(depth)) for _ in range(row.arity)))


def random_model(rng, roots, names, rows):
    """A model with a term for each operator in `roots`, and ranges that only part of `rows` keeps."""
    terms = []
    for root in roots:
        operands = [random_tree(rng, names, rng.integers(2)) for _ in range(OPERATORS[root].arity)]
        expression = Expression.apply(root, *operands)
        values = expression.evaluate(rows)
        values = np.sort(values[np.isfinite(values)])
        low, high = (values[len(values) // 6], values[-len(values) // 6]) if len(values) else (0.0, 1.0)
        terms.append(Term(expression, float(rng.normal()), float(low), float(high)))
    return SISSOModel(tuple(terms), float(rng.normal()), 0.0, 0.0)


def sample(rng, names, n=60):
    """Columns with negative values, zeros, a NaN and values that overflow."""
    columns = {name: rng.uniform(-2.5, 2.5, n) for name in names}
    for name, column in columns.items():
        column[rng.integers(n, size=3)] = 0.0
        column[rng.integers(n)] = np.nan
        column[rng.integers(n)] = 1e60 if name != names[0] else -1e60
    return columns


def some_models(seed, names=("a", "b", "c"), size=3):
    """Models over all operators, and the samples to compare on."""
    rng = np.random.default_rng(seed)
    rows = sample(rng, names)
    roots = np.array(list(OPERATORS))[rng.permutation(len(OPERATORS))]
    return [random_model(rng, part, names, rows) for part in np.array_split(roots, -(-len(roots) // size))], rows


def written(models, form, **changes):
    return export_model(models, form, **{"target": "E", "target_unit": "eV", "units": {}, **changes})


def defined(model, rows):
    values = model.predict(rows)[0]
    return np.where(np.isfinite(values), values, np.nan)


def reference(models, rows, scale=1.0):
    """Mean and spread over the valid members, one sample at a time."""
    results = [model.predict(rows) for model in models]
    mean, std = [], []
    for i in range(len(results[0][0])):
        kept = [values[i] for values, valid in results if valid[i]]
        enough = len(kept) >= max(2, (len(models) + 1) // 2)
        mean.append(np.mean(kept) if enough else np.nan)
        std.append(scale * np.std(kept, ddof=1) if enough else np.nan)
    return np.array(mean), np.array(std)


def run_python(text, rows, used):
    made = {}
    exec(compile(text, "exported", "exec"), made)
    return made["predict"](*(rows[name] for name in used))


def run_compiled(folder, compiler, suffix, main, text, rows, used):
    """Output rows of a program that reads the samples from its standard input."""
    model, program = folder / f"model{suffix}", folder / f"main{suffix}"
    model.write_text(text, encoding="utf-8")
    program.write_text(main, encoding="utf-8")
    command = [*compiler, str(model), str(program), "-o", str(folder / "run"), "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert built.returncode == 0, built.stderr + text
    table = np.array([rows[name] for name in used]).T
    fed = "\n".join(" ".join(map(repr, map(float, row))) for row in table)
    ran = subprocess.run([str(folder / "run")], input=fed, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return np.array([[float(v) for v in line.split()] for line in ran.stdout.splitlines()]).T


def run_c(folder, text, rows, used, ensemble=False):
    n = len(used)
    arguments = ", ".join(f"v[{i}]" for i in range(n))
    declared = ", ".join(["double"] * n + ["double *"] * (2 * ensemble))
    call = f"sisso_predict({arguments}, &r, &s)" if ensemble else f"r = sisso_predict({arguments})"
    main = f"""#include <stdio.h>
{"void" if ensemble else "double"} sisso_predict({declared});
int main(void) {{
    double v[{n}], r, s = 0.0;
    for (;;) {{
        for (int i = 0; i < {n}; i++) if (scanf("%lf", &v[i]) != 1) return 0;
        {call};
        printf("%.17g %.17g\\n", r, s);
    }}
}}
"""
    flags = [CC, "-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wmissing-prototypes"]
    return run_compiled(folder, flags, ".c", main, text, rows, used)


def run_fortran(folder, text, rows, used, ensemble=False):
    arguments = ", &\n".join(f"v({i})" for i in range(1, len(used) + 1))
    call = f"call sisso_predict( &\n{arguments}, r, s)" if ensemble else f"r = sisso_predict( &\n{arguments})"
    main = f"""program main
  use sisso_model, only: sisso_predict
  implicit none
  double precision :: v({len(used)}), r, s
  integer :: status
  s = 0.0d0
  do
    read (*, *, iostat=status) v
    if (status /= 0) exit
    {call}
    print '(2es26.16e3)', r, s
  end do
end program main
"""
    flags = [GFORTRAN, "-std=f2008", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-dummy-argument"]
    return run_compiled(folder, flags, ".f90", main, text, rows, used)


def used_by(*models):
    return sorted({name for model in models for name in model.primaries()})


def agree(found, expected):
    assert np.isfinite(expected).any()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("seed", range(8))
def test_python_gives_the_same_numbers_as_the_model(seed):
    models, rows = some_models(seed)
    for model in models:
        found = run_python(written([model], "python"), rows, used_by(model))
        np.testing.assert_array_equal(found, defined(model, rows))


@needs_cc
@pytest.mark.parametrize("seed", range(2))
def test_c_gives_the_same_numbers_as_the_model(seed, tmp_path):
    models, rows = some_models(seed)
    for model in models:
        agree(run_c(tmp_path, written([model], "c"), rows, used_by(model))[0], defined(model, rows))


@needs_gfortran
@pytest.mark.parametrize("seed", range(2))
def test_fortran_gives_the_same_numbers_as_the_model(seed, tmp_path):
    models, rows = some_models(seed)
    for model in models:
        agree(run_fortran(tmp_path, written([model], "fortran"), rows, used_by(model))[0], defined(model, rows))


def lambdified(text, expression, rows, used):
    made = {}
    exec(compile(text, "exported", "exec"), made)
    symbols = [made["symbols"][name] for name in used]
    with np.errstate(all="ignore"):
        return sympy.lambdify(symbols, expression(made), "numpy")(*(rows[name] for name in used))


@pytest.mark.parametrize("operator", OPERATORS)
def test_sympy_gives_the_same_numbers_as_the_model(operator):
    rng = np.random.default_rng(OPERATORS[operator].opcode)
    rows = {name: rng.uniform(0.5, 2.5, 40) for name in "abc"}
    a, b, c = map(primary, "abc")
    inner = [Expression.apply("sub", a, b), Expression.apply("div", b, c)][: OPERATORS[operator].arity]
    outer = Expression.apply("mult", Expression.apply(operator, *inner), Expression.apply("inv", c))
    model = SISSOModel((Term(outer, -0.1, 0.0, 1.0), Term(a, 1e-7, 0.0, 1.0)), 1 / 3, 0.0, 0.0)
    made = lambdified(written([model], "sympy"), lambda m: m["expression"], rows, used_by(model))
    agree(made, defined(model, rows))


def test_sympy_gives_the_members_of_an_ensemble():
    models, _ = some_models(3)
    text = written(models, "sympy")
    made = {}
    exec(text, made)
    assert len(made["expressions"]) == len(models)
    point = {"a": 0.7, "b": 1.9, "c": 1.3}
    for model, expression in zip(models, made["expressions"], strict=True):
        value = defined(model, {name: np.array([v]) for name, v in point.items()})[0]
        at = {made["symbols"][name]: point[name] for name in used_by(*models)}
        if np.isfinite(value):
            assert complex(expression.evalf(30, subs=at)).real == pytest.approx(value, rel=1e-12)


def test_python_takes_scalars_keywords_and_arrays_of_any_shape():
    models, _ = some_models(1)
    made = {}
    exec(written(models[:1], "python"), made)
    names = list(inspect.signature(made["predict"]).parameters)
    assert names == used_by(models[0])
    value = made["predict"](**dict.fromkeys(names, 1.25))
    assert isinstance(value, float)
    assert made["predict"](**dict.fromkeys(names, np.full((2, 3), 1.25))).tolist() == [[value] * 3] * 2
    exec(written(models, "python"), made)
    mean, std = made["predict"](a=0.5, b=np.full((4, 1), 0.7), c=[1.0, 2.0, 3.0])
    assert mean.shape == std.shape == (4, 3)
    alone = made["predict"](a=0.5, b=0.7, c=3.0)
    assert [float(v) for v in alone] == pytest.approx([mean[0, 2], std[0, 2]], rel=1e-12, nan_ok=True)


def an_ensemble():
    """Members of which some, and at some samples most, are invalid."""
    models, rows = some_models(3, size=1)
    models = models[:11]
    counts = sum(model.predict(rows)[1].astype(int) for model in models)
    assert {5, 6, 11} <= set(counts.tolist())
    return models, rows


def test_an_ensemble_in_python():
    models, rows = an_ensemble()
    found = run_python(written(models, "python", scale=1.75), rows, used_by(*models))
    for part, expected in zip(found, reference(models, rows, 1.75), strict=True):
        agree(part, expected)


@needs_cc
def test_an_ensemble_in_c(tmp_path):
    models, rows = an_ensemble()
    found = run_c(tmp_path, written(models, "c", scale=1.75), rows, used_by(*models), ensemble=True)
    for part, expected in zip(found, reference(models, rows, 1.75), strict=True):
        agree(part, expected)


@needs_gfortran
def test_an_ensemble_in_fortran(tmp_path):
    models, rows = an_ensemble()
    found = run_fortran(tmp_path, written(models, "fortran", scale=1.75), rows, used_by(*models), ensemble=True)
    for part, expected in zip(found, reference(models, rows, 1.75), strict=True):
        agree(part, expected)


def test_two_members_must_both_be_valid():
    a = primary("a")
    models = [SISSOModel((Term(a, 1.0, 0.0, high),), 0.0, 0.0, 0.0) for high in (1.0, 2.0)]
    mean, std = run_python(written(models, "python"), {"a": np.array([1.5, 2.0, 2.1, -1.0, -1.1])}, ["a"])
    np.testing.assert_array_equal(mean, [1.5, 2.0, np.nan, -1.0, np.nan])
    np.testing.assert_array_equal(std, [0.0, 0.0, np.nan, 0.0, np.nan])


def test_fitted_estimators_and_their_exports_agree():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 2, (60, 4))
    y = 3 * X[:, 0] * X[:, 1] - 2 / X[:, 2] + rng.normal(0, 0.05, 60)
    single = SISSORegressor(rung=1, dim=2, n_sis=10).fit(X, y)
    settings = {"members": 6, "rung": 1, "dim": 2, "n_sis": 5, "dropout": 0.2}
    ensemble = SISSOEnsemble(**settings, correction="none", recalibrate="scale", positive="no").fit(X, y)
    wide = rng.uniform(-1, 4, (200, 4))
    rows = dict(zip(single.primaries_, wide.T, strict=True))
    found = run_python(written([single.model_], "python"), rows, used_by(single.model_))
    np.testing.assert_array_equal(found, single.predict(wide))
    prediction = ensemble.predict_distribution(wide)
    text = written(ensemble.members_, "python", scale=ensemble.calibration_.scale)
    mean, std = run_python(text, rows, used_by(*ensemble.members_))
    assert np.isnan(prediction.mean).any()
    agree(mean, prediction.mean)
    agree(std, prediction.std)
    assert ensemble.calibration_.scale != pytest.approx(1.0, abs=0.01)
    corrected = SISSOEnsemble(**settings).fit(X, y)
    assert corrected.correction_ is not None
    assert [m.to_json() for m in corrected.members_] == [m.to_json() for m in ensemble.members_]
    agree(mean, corrected.predict_distribution(wide).formulas_mean)


def a_correction():
    """One model of what is left of a line through G, and samples to compare on."""
    rng = np.random.default_rng(2)
    X = pd.DataFrame(rng.uniform(1, 2, (40, 3)), columns=["G", "a", "b"])
    y = 0.8 * X["G"] + 0.3 * X["a"] / X["b"] + rng.normal(0, 0.01, 40)
    fitted = SISSORegressor(rung=1, dim=1, n_sis=5, threads=1, low=["G"]).fit(X, y)
    assert fitted.low_.form in {"difference", "line"}
    model = fitted.model_
    assert [term.expression.rung for term in model.terms] == [0, 1]
    return model, {name: rng.uniform(0.5, 3, 60) for name in ("G", "a", "b")}


def test_a_correction_of_a_cheap_estimate_in_python_and_sympy():
    model, rows = a_correction()
    np.testing.assert_array_equal(run_python(written([model], "python"), rows, used_by(model)), defined(model, rows))
    made = lambdified(written([model], "sympy"), lambda m: m["expression"], rows, used_by(model))
    agree(made, defined(model, rows))


@needs_cc
def test_a_correction_of_a_cheap_estimate_in_c(tmp_path):
    model, rows = a_correction()
    agree(run_c(tmp_path, written([model], "c"), rows, used_by(model))[0], defined(model, rows))


@needs_gfortran
def test_a_correction_of_a_cheap_estimate_in_fortran(tmp_path):
    model, rows = a_correction()
    agree(run_fortran(tmp_path, written([model], "fortran"), rows, used_by(model))[0], defined(model, rows))


EXPONENTS = (-0.9, -0.3, 0.0, 0.4, 1.0, 2.0, 2.6)

LINKS = {
    "log": TargetTransform("log", low=-1.0, high=1.0),
    **{f"{x}": TargetTransform("yeo-johnson", 0.4, 1.7, x, -1.0, 1.0) for x in EXPONENTS},
    "negative centre": TargetTransform("yeo-johnson", -1e3, 1e-3, 0.1234567890123456, -1.0, 1.0),
}


def linked_model(link, slope=1.8):
    """A model of a transformed target, and samples of which some are beyond the limits of the transform."""
    names = ("expm1", "Piecewise", "exp")
    a, b, c = map(primary, names)
    difference, root = Expression.apply("sub", a, b), Expression.apply("cbrt", c)
    rows = {name: np.random.default_rng(number).uniform(0.5, 2.5, 80) for number, name in enumerate(names)}
    rows["exp"][7] = np.nan
    return SISSOModel((Term(difference, slope, -1.0, 1.0), Term(root, -0.1, 0.0, 2.0)), 0.3, 0.0, 0.0, link), rows


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_the_samples_are_on_both_sides_and_beyond_the_limits(link):
    model, rows = linked_model(link)
    plain = defined(linked_model(TargetTransform())[0], rows)
    low, high = link.limits
    inside = np.isfinite(defined(model, rows))
    np.testing.assert_array_equal(inside, (plain >= low) & (plain <= high))
    assert (
        min((plain < low).sum(), (plain > high).sum(), (inside & (plain < 0)).sum(), (inside & (plain > 0)).sum()) >= 5
    )


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_transformed_target_in_python(link):
    model, rows = linked_model(link)
    agree(run_python(written([model], "python"), rows, used_by(model)), defined(model, rows))
    at = {"exp": 0.8, "expm1": 1.5, "Piecewise": 1.4}
    value = run_python(written([model], "python"), at, used_by(model))
    assert isinstance(value, float)
    agree(value, model.predict({name: np.array([x]) for name, x in at.items()})[0][0])


@needs_cc
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_transformed_target_in_c(link, tmp_path):
    model, rows = linked_model(link)
    agree(run_c(tmp_path, written([model], "c"), rows, used_by(model))[0], defined(model, rows))


@needs_gfortran
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_transformed_target_in_fortran(link, tmp_path):
    model, rows = linked_model(link)
    agree(run_fortran(tmp_path, written([model], "fortran"), rows, used_by(model))[0], defined(model, rows))


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_transformed_target_in_sympy(link):
    model, rows = linked_model(link)
    expected = defined(model, rows)
    kept = {name: column[np.isfinite(expected)] for name, column in rows.items()}
    made = lambdified(written([model], "sympy"), lambda m: m["expression"], kept, used_by(model))
    agree(made, expected[np.isfinite(expected)])


def linked_ensemble():
    """Members with every transform; samples at which some, none or most are valid."""
    made = [linked_model(link, slope) for link in LINKS.values() for slope in (0.9, 1.8)]
    models, rows = [model for model, _ in made], made[0][1]
    counts = sum(model.predict(rows)[1].astype(int) for model in models)
    assert {0, len(models)} < set(counts.tolist())
    return models, rows


def test_an_ensemble_of_transformed_targets_in_python():
    models, rows = linked_ensemble()
    found = run_python(written(models, "python", scale=1.75), rows, used_by(*models))
    for part, expected in zip(found, reference(models, rows, 1.75), strict=True):
        agree(part, expected)


@needs_cc
def test_an_ensemble_of_transformed_targets_in_c(tmp_path):
    models, rows = linked_ensemble()
    found = run_c(tmp_path, written(models, "c", scale=1.75), rows, used_by(*models), ensemble=True)
    for part, expected in zip(found, reference(models, rows, 1.75), strict=True):
        agree(part, expected)


@needs_gfortran
def test_an_ensemble_of_transformed_targets_in_fortran(tmp_path):
    models, rows = linked_ensemble()
    found = run_fortran(tmp_path, written(models, "fortran", scale=1.75), rows, used_by(*models), ensemble=True)
    for part, expected in zip(found, reference(models, rows, 1.75), strict=True):
        agree(part, expected)


def test_an_ensemble_of_transformed_targets_in_sympy():
    models, rows = linked_ensemble()
    text = written(models, "sympy")
    for number, model in enumerate(models):
        expected = defined(model, rows)
        kept = {name: column[np.isfinite(expected)] for name, column in rows.items()}
        made = lambdified(text, lambda m, i=number: m["expressions"][i], kept, used_by(*models))
        agree(made, expected[np.isfinite(expected)])


def nasty_models():
    """Two models over every nasty name."""
    terms = [Term(primary(name), 1.0 + 0.37 * i, 0.0, 5.0) for i, name in enumerate(NASTY)]
    sq = Term(Expression.apply("six_pow", Expression.apply("neg_exp", primary("*/ int x; /*"))), 2.0, -5.0, 5.0)
    models = [SISSOModel((*terms, sq), 0.5, 0.0, 0.0), SISSOModel(tuple(terms[::-1]), -0.5, 0.0, 0.0)]
    rng = np.random.default_rng(2)
    return models, {name: rng.uniform(0.1, 2.0, 5) for name in NASTY}


@pytest.mark.parametrize("ensemble", [False, True])
def test_any_names_in_python_and_sympy(ensemble):
    models, rows = nasty_models()
    models = models if ensemble else models[:1]
    changes = {"target": '"""\n*/', "units": dict.fromkeys(NASTY, "eV")}
    found = run_python(written(models, "python", **changes), rows, used_by(*models))
    agree(found, reference(models, rows) if ensemble else defined(models[0], rows))
    made = lambdified(
        written(models, "sympy", **changes), lambda m: m["expressions"][0] if ensemble else m["expression"], rows, sorted(NASTY)
    )  # fmt: skip
    agree(made, defined(models[0], rows))


@needs_cc
@pytest.mark.parametrize("ensemble", [False, True])
def test_any_names_in_c(ensemble, tmp_path):
    models, rows = nasty_models()
    models = models if ensemble else models[:1]
    text = written(models, "c", target="*/ #error\n", units=dict.fromkeys(NASTY, "eV"))
    found = run_c(tmp_path, text, rows, used_by(*models), ensemble=ensemble)
    if ensemble:
        agree(found, reference(models, rows))
    else:
        agree(found[0], defined(models[0], rows))
    assert CC is not None
    subprocess.run([CC, "-std=gnu99", "-c", "model.c", "-o", "gnu.o"], cwd=tmp_path, check=True)


@needs_gfortran
@pytest.mark.parametrize("ensemble", [False, True])
def test_any_names_in_fortran(ensemble, tmp_path):
    models, rows = nasty_models()
    models = models if ensemble else models[:1]
    text = written(models, "fortran", target="! &\n", units=dict.fromkeys(NASTY, "eV"))
    found = run_fortran(tmp_path, text, rows, used_by(*models), ensemble=ensemble)
    if ensemble:
        agree(found, reference(models, rows))
    else:
        agree(found[0], defined(models[0], rows))


@pytest.mark.parametrize("language", RESERVED)
@given(names=st.lists(st.text(max_size=12) | st.sampled_from(NASTY), unique=True, max_size=12))
@settings(deadline=None)
def test_identifiers_are_valid_and_distinct(language, names):
    chosen = identifiers(names, language)
    assert list(chosen) == names
    fold = str.lower if language == "fortran" else str
    assert len({fold(short) for short in chosen.values()}) == len(names)
    for short in chosen.values():
        assert re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,62}", short)
        assert fold(short) not in RESERVED[language]
        assert not short.lower().startswith("sisso")


@pytest.mark.parametrize(
    ("name", "language", "expected"),
    [
        ("EA", "c", "EA"),
        ("lambda", "python", "lambda_"),
        ("lambda", "c", "lambda"),
        ("double", "c", "double_"),
        ("M_E", "c", "M_E_"),
        ("electronegativity χ", "fortran", "electronegativity_chi"),
        ("Sum", "fortran", "Sum_"),
        ("é (eV)", "python", "e_eV"),
    ],
)
def test_identifiers_stay_near_the_names(name, language, expected):
    assert identifiers([name], language) == {name: expected}


def test_identifiers_made_of_other_names_differ():
    names = ["a/b", "a_b", "a-b", "a b", "a_b_2"]
    for language in RESERVED:
        assert identifiers(names, language) == {
            "a/b": "a_b_3", "a_b": "a_b", "a-b": "a_b_4", "a b": "a_b_5", "a_b_2": "a_b_2",
        }  # fmt: skip


@pytest.mark.parametrize("form", ["python", "sympy"])
def test_no_name_sets_the_encoding_of_an_exported_file(form, tmp_path):
    """Python reads "coding: …" in a comment of the first two lines, and decodes the file, code and all, by it."""
    names = ["-*- coding: utf-7 -*-", "coding=rot13"]
    model = SISSOModel(tuple(Term(primary(name), 1.0, 0.0, 1.0) for name in names), 0.5, 0.0, 0.0)
    path = tmp_path / "model.py"
    path.write_text(written([model], form, target="coding: utf-7"), encoding="utf-8")
    subprocess.run([sys.executable, str(path)], check=True, capture_output=True)
    with open(path, "rb") as file:
        assert tokenize.detect_encoding(file.readline)[0] == "utf-8"


@pytest.mark.parametrize("form", FORMS)
def test_a_name_that_is_code_is_never_run(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [
        "__import__('os').mkdir('made')",
        '"""\n__import__("os").mkdir("made")\n"""',
        "\n#error\n",
        '\' // system("mkdir made")',
    ]
    model = SISSOModel(tuple(Term(primary(name), 1.0, 0.0, 1.0) for name in names), 0.5, 0.0, 0.0)
    text = written([model], form, target=names[0])
    if form in {"python", "sympy"}:
        exec(compile(text, "exported", "exec"), {})
    model.terms[0].expression.to_sympy()
    assert not (tmp_path / "made").exists()


def test_fortran_tells_names_apart_that_differ_in_case_only():
    assert identifiers(["EA", "ea", "Ea"], "fortran") == {"EA": "EA", "ea": "ea_2", "Ea": "Ea_3"}
    assert identifiers(["EA", "ea", "Ea"], "c") == {"EA": "EA", "ea": "ea", "Ea": "Ea"}


def test_fortran_lines_are_short_enough():
    rng = np.random.default_rng(9)
    long = [f"a rather long name of a feature number {i}" for i in range(8)]
    tree = primary(long[0])
    for _ in range(40):
        tree = Expression.apply("mult", tree, random_tree(rng, long, 2))
    text = written([SISSOModel((Term(tree, 1.0, 0.0, 1.0),), 0.0, 0.0, 0.0)] * 2, "fortran")
    assert max(map(len, text.splitlines())) <= 132
    assert re.search(r"&\n", text)


@needs_gfortran
def test_fortran_continuations_compile(tmp_path):
    names = [f"a rather long name of a feature number {i}" for i in range(8)]
    tree = primary(names[0])
    for name in names * 3:
        tree = Expression.apply("add", Expression.apply("cos", tree), Expression.apply("cb", primary(name)))
    model = SISSOModel((Term(tree, -1.0 / 3.0, 0.0, 1.0),), 0.1, 0.0, 0.0)
    rng = np.random.default_rng(4)
    rows = {name: rng.uniform(0.5, 1.5, 10) for name in names}
    agree(run_fortran(tmp_path, written([model], "fortran"), rows, names)[0], defined(model, rows))


@pytest.mark.parametrize("form", ["python", "c", "fortran", "sympy"])
def test_comments_say_which_identifier_stands_for_what(form):
    model = SISSOModel((Term(primary("r cov"), 1.0, 0.0, 1.0),), 0.0, 0.0, 0.0)
    text = written([model], form, target="gap", target_unit="eV", units={"r cov": "angstrom"})
    assert re.search(r"r_cov\b.*\n?.*primary feature 'r cov', in angstrom", text)
    assert "gap (eV), a SISSO model" in text


def test_the_python_docstring_has_the_formula_and_the_units():
    a, b = Expression.primary("a", "eV"), Expression.primary("b", "eV")
    terms = (Term(Expression.apply("add", a, b), -0.1, 0.0, 1.0), Term(Expression.apply("inv", a), 2.0, 0.0, 1.0))
    made = {}
    exec(written([SISSOModel(terms, 1.5, 0.0, 0.0)], "python", units={"a": "eV", "b": "eV"}), made)
    assert inspect.getdoc(made["predict"]) == inspect.cleandoc(
        """E (eV), a SISSO model.

        E = 1.5 [eV]
            - 0.1 * (a + b)
            + 2.0 [eV**2] * (1/a)

        Parameters
        ----------
        a : float or array
            The primary feature 'a', in eV.
        b : float or array
            The primary feature 'b', in eV.

        Returns
        -------
        float or array, in eV
            NaN where a descriptor is undefined.
        """
    )


def test_latex_of_a_model():
    a, b = Expression.primary("r_cov", "angstrom"), Expression.primary("E 0", "eV")
    terms = (Term(Expression.apply("div", b, a), -1e-7, 0.0, 1.0), Term(b, 0.1 + 0.2, 0.0, 1.0))
    text = written([SISSOModel(terms, 1.5, 0.0, 0.0)], "latex", units={"r_cov": "angstrom", "E 0": "eV"})
    assert text == (
        "% E (eV), a SISSO model\n"
        "% \\text{`E 0'}: primary feature 'E 0', in eV\n"
        "% r_{\\mathrm{cov}}: primary feature 'r_cov', in angstrom\n"
        "% Needs the package amsmath.\n"
        "\\begin{align}\n"
        "E &= 1.5\\,\\mathrm{eV} \\nonumber\\\\\n"
        "  &\\quad - 1 \\times 10^{-7}\\,\\text{\\AA{}}\\; \\frac{\\text{`E 0'}}{r_{\\mathrm{cov}}} \\nonumber\\\\\n"
        "  &\\quad + 0.30000000000000004\\; \\text{`E 0'}\n"
        "\\end{align}\n"
    )


def in_electronvolts(link):
    a, b = Expression.primary("a", "eV"), Expression.primary("b", "angstrom")
    return SISSOModel((Term(a, -2.0, 0.0, 1.0), Term(b, 0.5, 0.0, 1.0)), 1.5, 0.0, 0.0, link)


@pytest.mark.parametrize(
    ("link", "note", "left"),
    [
        (
            TargetTransform("log", low=0.0, high=1.0),
            r"\log is the natural logarithm of the number in eV.",
            r"\log\left({}\right)",
        ),
        (
            TargetTransform("yeo-johnson", -0.5, 2e-9, -0.3, 0.0, 1.0),
            r"\mathrm{YJ}_\lambda(x) is the transform of Yeo and Johnson: ((1 + x)^\lambda - 1) / \lambda for x >= 0"
            r" and -((1 - x)^{2 - \lambda} - 1) / (2 - \lambda) for x < 0.",
            r"\mathrm{{YJ}}_{{\lambda=-0.3}}\!\left("
            r"\frac{{{} + 0.5\,\mathrm{{eV}}}}{{2 \times 10^{{-9}}\,\mathrm{{eV}}}}\right)",
        ),
    ],
    ids=["log", "yeo-johnson"],
)
def test_latex_of_a_transformed_target(link, note, left):
    model = in_electronvolts(link)
    right = (
        " &= 1.5 \\nonumber\\\\\n"
        "  &\\quad - 2.0\\,\\mathrm{eV}^{-1}\\; a \\nonumber\\\\\n"
        "  &\\quad + 0.5\\,\\text{\\AA{}}^{-1}\\; b"
    )
    units = {"a": "eV", "b": "angstrom"}
    assert written([model], "latex", units=units) == (
        "% E (eV), a SISSO model\n"
        "% a: primary feature 'a', in eV\n"
        "% b: primary feature 'b', in angstrom\n"
        f"% {note}\n"
        "% Needs the package amsmath.\n"
        f"\\begin{{align}}\n{left.format('E')}{right}\n\\end{{align}}\n"
    )
    text = written([model, in_electronvolts(TargetTransform())], "latex", units=units)
    assert f"{left.format('E^{(1)}')}{right}\\\\\nE^{{(2)}} &= 1.5\\,\\mathrm{{eV}} \\nonumber" in text
    assert text.count(note) == 1


@pytest.mark.parametrize("form", ["python", "c", "fortran"])
def test_comments_say_what_the_sum_is(form):
    text = written([in_electronvolts(TargetTransform("log", low=0.0, high=1.0))], form)
    assert re.search(r"log\(E\) = 1\.5\n.* - 2\.0 \[1/eV\] \* a\n", text)
    assert "NaN where a descriptor is undefined or the sum is beyond the range of the transform." in text
    text = written([in_electronvolts(TargetTransform("yeo-johnson", -0.5, 2.0, -0.3, 0.0, 1.0))], form)
    assert re.search(r"yeo_johnson\(\(E \+ 0\.5\)/2, lambda = -0\.3\) = 1\.5\n", text)
    text = written([in_electronvolts(TargetTransform())], form)
    assert re.search(r"[ *]E = 1\.5 \[eV\]\n.* - 2\.0 \* a\n", text)
    assert "transform" not in text
    assert "inverse_power" not in text


def test_latex_puts_sums_in_parentheses_and_numbers_the_members():
    a, b = primary("a"), primary("b")
    model = SISSOModel((Term(Expression.apply("add", a, b), 2.0, 0.0, 1.0),), 1.0, 0.0, 0.0)
    text = written([model] * 3, "latex", target_unit="")
    assert text.count(r"2.0\; \left(a + b\right)") == 3
    assert re.findall(r"E\^\{\((\d)\)\} &=", text) == ["1", "2", "3"]
    assert text.count("\\\\\n") == 5


def test_latex_escapes_any_name():
    models, _ = nasty_models()
    text = written(models[:1], "latex", target="a_b\n%")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"100\%\_\#\&\$\{\}" in body
    assert r"\text{`$\chi$ (\AA{})'}" in body
    assert body.count("{") - body.count(r"\{") == body.count("}") - body.count(r"\}")
    assert not re.search(r"(?<!\\)[%#$]", body.replace(r"$\chi$", "").replace("$'$", ""))


@pytest.mark.parametrize(
    ("found", "hint"), [("pyton", "; did you mean 'python'?"), ("C", "; did you mean 'c'?"), ("matlab", "")]
)
def test_an_unknown_form_is_refused(found, hint):
    models, _ = some_models(0)
    with pytest.raises(SettingsError) as caught:
        written(models, found)
    assert str(caught.value) == f"form: needs one of latex, sympy, python, c, fortran, found '{found}'{hint}"


A_TERM = Term(primary("a"), 1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("models", "scale", "message"),
    [
        ([], 1.0, "models: needs at least one, found none"),
        ([SISSOModel((), 1.0, 0.0, 0.0)], 1.0, "models: needs at least one descriptor in each, found none in model 1"),
        ([SISSOModel((A_TERM,), np.inf, 0.0, 0.0)], 1.0, "models: needs finite numbers, found another in model 1"),
        (
            [SISSOModel((A_TERM,), 1.0, 0.0, 0.0, TargetTransform("log"))],
            1.0,
            "models: needs finite numbers, found another in model 1",
        ),
        ([SISSOModel((A_TERM,), 1.0, 0.0, 0.0)], -1.0, "scale: needs a finite number >= 0, found -1.0"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_cannot_be_exported_is_refused(models, scale, message, form):
    with pytest.raises(SettingsError) as caught:
        written(models, form, scale=scale)
    assert str(caught.value) == message
