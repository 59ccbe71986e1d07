"""The files of SISSO 3.5 and SISSO++: notations, formats, and numbers that agree with the models and with each other."""

import re
from pathlib import Path

import numpy as np
import pytest

from sisso_sal.data.table import read_table
from sisso_sal.export.sisso_files import CPP, FORTRAN, POSTFIX, FitOfOne, fortran_number, postfix, sisso_files, written
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import OPERATORS
from sisso_sal.models.formulas import find_formulas
from sisso_sal.models.inputs import checked_table
from sisso_sal.models.regressor import SISSORegressor

REFERENCE = Path(__file__).parents[2].parent / "shared" / "data" / "oxides_gpbx.csv"
NAMES = ("b q (eV)", "a (eV)", "c (AA)")


def fit(regression="linear", **settings):
    rng = np.random.default_rng(2)
    X = rng.uniform(1, 2, (20, 3)).round(4)
    y = (3 * X[:, 0] * X[:, 1] - X[:, 2] ** 2 + 20 + 0.1 * rng.normal(size=20)).round(4)
    table = checked_table(NAMES, X, y, np.ones(20), target="T (K)")
    own = SISSORegressor(
        rung=2, dim=2, n_sis=6, n_residual=2, regression=regression, threads=1, **settings
    ).get_params()
    models = find_formulas(own, table, with_subspaces=True)
    return FitOfOne(models, table, [f"m {i}" for i in range(20)], own, 1.25)


@pytest.fixture(scope="module")
def linear():
    one = fit()
    return one, sisso_files(one)


def test_every_operator_has_a_notation():
    assert FORTRAN.keys() == CPP.keys() == POSTFIX.keys() == OPERATORS.keys()
    assert len(set(POSTFIX.values())) == len(POSTFIX)


@pytest.mark.parametrize("value", [1.0, -1.0, 0.1, 9.99999999999, 1e-12, -123456.789, 1e100, 0.05, 2.0**-40])
def test_a_number_of_fortran_reads_back(value):
    text = fortran_number(value)
    assert len(text) == 20
    assert re.fullmatch(r" *-?0\.[1-9]\d{9}E[+-]\d\d\d?", text)
    assert float(text) == pytest.approx(value, rel=1e-9)


def test_the_subspace_is_in_order_with_its_values(linear):
    one, files = linear
    lines = files["SIS_subspaces/Uspace.expressions"].splitlines()
    assert len(lines) == 12 == len(one.features)
    assert all(re.fullmatch(r"\S+     SIS_score = {6}[01]\.\d{4}", line) for line in lines)
    values = np.array([line.split() for line in files["SIS_subspaces/Uspace.dat"].splitlines()], dtype=float)
    columns = one.table.columns()
    np.testing.assert_allclose(values[:, 0], one.table.y)
    np.testing.assert_allclose(values[:, 1:].T, [f.evaluate(columns) for f in one.features], rtol=1e-9)
    first = [float(line.split()[-1]) for line in lines[:6]]
    own = [abs(np.corrcoef(row, one.table.y)[0, 1]) for row in values[:, 1:7].T]
    np.testing.assert_allclose(first, own, atol=6e-5)
    assert first == sorted(first, reverse=True)


def test_the_models_are_those_of_their_numbers_in_the_subspace(linear):
    one, files = linear
    data = np.loadtxt(files["SIS_subspaces/Uspace.dat"].splitlines())
    ranks = files["Models/top0010_D002"].splitlines()[1:]
    coefficients = files["Models/top0010_D002_coeff"].splitlines()[1:]
    assert len(ranks) == len(coefficients) == 10
    for line, numbers in zip(ranks, coefficients, strict=True):
        rank, rmse, largest, *ids = re.sub("[()]", " ", line).split()
        c0, *sizes = map(float, numbers.split()[1:])
        said = c0 + data[:, [int(i) for i in ids]] @ sizes
        assert np.sqrt(np.mean((said - data[:, 0]) ** 2)) == pytest.approx(float(rmse), abs=2e-6)
        assert np.abs(said - data[:, 0]).max() == pytest.approx(float(largest), abs=2e-6)
        assert ids == sorted(ids, key=int)
        assert one.models.alternatives[1][int(rank) - 1].rmse == pytest.approx(float(rmse), abs=1e-6)
    best = np.loadtxt(files["Models/data_top1/desc_D002.dat"].splitlines()[1:])
    np.testing.assert_allclose(best[:, 2], one.models.model.predict(one.table.columns())[0])


def test_what_scripts_take_from_sisso_out(linear):
    one, files = linear
    lines = files["SISSO.out"].splitlines()
    at = next(i for i, line in enumerate(lines) if line.count("D descriptor"))
    assert lines[at] == "  2D descriptor/model(y=sum(ci*di)+c0) : "
    names = [lines[at + 2 + d].split("=")[1].split()[0] for d in range(2)]
    listed = [line.split()[0] for line in files["SIS_subspaces/Uspace.expressions"].splitlines()]
    ids = [int(lines[at + 2 + d].split("feature_ID:")[1]) for d in range(2)]
    assert names == [listed[i - 1] for i in ids]
    rmse = next(line for line in lines if "RMSE and MaxAE:" in line).replace("RMSE and MaxAE:", "").split()[0]
    assert float(rmse) == pytest.approx(one.models.model.rmse, rel=1e-9)
    assert lines[-3].startswith("Total time (second):")
    assert "Descriptor dimension:        2" in lines


def test_postfix_reads_back_to_the_formula(linear):
    one, files = linear
    names = {v: k for k, v in POSTFIX.items()}
    primaries = [Expression.primary(name, unit) for name, unit in zip(one.table.names, one.table.units, strict=True)]
    rows = [line.split() for line in files["feature_space/selected_features.txt"].splitlines() if line[0] != "#"]
    for (number, text), feature in zip(rows, one.features, strict=True):
        stack = []
        for token in text.split("|"):
            if token.isdigit():
                stack.append(primaries[int(token)])
                continue
            row = OPERATORS[names[token]]
            operands = [stack.pop() for _ in range(row.arity)][::-1]
            stack.append(Expression.apply(row.name, *operands))
        assert [one.key for one in stack] == [feature.key]
        assert one.features[int(number)] is feature
    summary = files["feature_space/SIS_summary.txt"].splitlines()
    assert sum(line.startswith("#---") for line in summary) == 2
    assert "b_q" in "".join(summary)


def test_the_models_of_sisso_cpp_hold_their_numbers(linear):
    one, files = linear
    lines = files["models/train_dim_1_model_0.dat"].splitlines()
    model = one.models.alternatives[0][0]
    assert lines[0] == f"# c0 + a0 * {written(model.terms[0].expression, CPP, lambda name: name.replace(' ', '_'))}"
    assert lines[1] == "# Property Label: $T$; Unit of the Property: K"
    numbers = [float(v) for v in lines[5].removeprefix("# all ,").rstrip(",").split(",")]
    np.testing.assert_allclose(numbers, [model.terms[0].coefficient, model.intercept], rtol=1e-14)
    rows = [line.split(",") for line in lines if not line.startswith("#") and line]
    assert [row[0].strip() for row in rows] == [f"m_{i}" for i in range(20)]
    np.testing.assert_allclose([float(row[2]) for row in rows], model.predict(one.table.columns())[0], rtol=1e-14)
    assert postfix(model.terms[0].expression, {name: i for i, name in enumerate(one.table.names)}) in lines[7]
    assert {name for name in files if name.startswith("models/")} == {
        f"models/train_dim_{d}_model_{k}.dat"
        for d, models in enumerate(one.models.alternatives, 1)
        for k in range(len(models))
    }


def test_a_product_has_the_files_of_sisso_cpp_alone():
    one = fit("log", max_correlation=0.95)
    files = sisso_files(one)
    assert not any(name.startswith(("SISSO", "SIS_", "Models")) for name in files)
    lines = files["models/train_dim_2_model_0.dat"].splitlines()
    assert re.fullmatch(r"# exp\(c0\) \* \(.+\)\^a0 \* \(.+\)\^a1", lines[0])
    *powers, c0 = [float(v) for v in lines[5].removeprefix("# all ,").rstrip(",").split(",")]
    rows = np.array([line.split(",")[1:] for line in lines if not line.startswith("#") and line], dtype=float)
    np.testing.assert_allclose(np.exp(c0) * np.prod(np.abs(rows[:, 2:]) ** powers, axis=1), rows[:, 1])


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs ../shared/data")
def test_the_first_subspace_of_the_reference_has_the_scores_of_sisso():
    """Job B1 of the reference: the first ten scores of SISSO 3.5."""
    data = read_table(REFERENCE, target="g_pbx (eV/atom)", id="oxide")
    table = checked_table(
        [data.header(name) for name in data.feature_names],
        data.features,
        np.asarray(data.target),
        np.ones(data.n_rows),
        target="g_pbx (eV/atom)",
    )
    basic = ("add", "sub", "abs_diff", "mult", "div", "inv", "sq", "cb", "six_pow", "sqrt")
    own = SISSORegressor(operators=basic, dim=1, n_sis=50, n_residual=1).get_params()
    files = sisso_files(FitOfOne(find_formulas(own, table, with_subspaces=True), table, data.ids, own, 1.0))
    scores = [line.split()[-1] for line in files["SIS_subspaces/Uspace.expressions"].splitlines()[:10]]
    assert scores == [
        "0.8921",
        "0.8883",
        "0.8864",
        "0.8862",
        "0.8852",
        "0.8848",
        "0.8818",
        "0.8815",
        "0.8814",
        "0.8812",
    ]
    assert "RMSE and MaxAE:     0.4901648810E+00    0.31585517" in files["SISSO.out"]
