"""Error against complexity: a twin that fits every fold by itself, planted laws, and what a model file keeps of it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.errors import ModelFileError, SettingsError
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.groups import error_of_mean, fold_numbers
from sisso_sal.models.record_types import read_record
from sisso_sal.models.records import RegressorRecord
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.models.trade_off import JudgedFormula, JudgedSize, recommended

SMALL = {"rung": 1, "dim": 2, "n_sis": 4, "threads": 1, "operators": ["add", "mult", "sq", "sqrt"]}


def planted(n=40, *, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(1, 2, (n, 3)), columns=["a", "b", "c"])
    return X, pd.Series(3 * X["a"] * X["b"] + rng.normal(0, noise, n), name="E (eV)")


def in_folds(X, y, groups=None):
    """Which samples a fold leaves out, with the numbers of the folds."""
    number = fold_numbers(X.to_numpy(), y.to_numpy(), 10, 0, groups)
    return number, [number == k for k in range(10)]


def test_errors_of_sizes_are_those_of_fits_without_each_fold():
    """The naive twin: ten fits, each without a fold, and predictions of it."""
    X, y = planted(noise=0.4)
    model = SISSORegressor(**SMALL, n_models=3).fit(X, y)
    _, folds = in_folds(X, y)
    said = np.full((2, len(y)), np.nan)
    for out in folds:
        part = SISSORegressor(**SMALL).fit(X[~out], y[~out])
        columns = {name: X[name].to_numpy()[out] for name in X}
        said[:, out] = [one.predict(columns)[0] for one in part.models_]
    for size, values in zip(model.trade_off_.sizes, said, strict=True):
        error = np.abs(values - y.to_numpy())
        assert size.mae == pytest.approx(error.mean(), rel=1e-9)
        assert size.mae_error == pytest.approx(error.std(ddof=1) / np.sqrt(len(y)), rel=1e-9)
        assert size.rmse == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
def test_errors_of_formulas_are_those_of_refitted_coefficients(intercept):
    X, y = planted(noise=0.4)
    model = SISSORegressor(**SMALL, n_models=3, fit_intercept=intercept).fit(X, y)
    _, folds = in_folds(X, y)
    columns = {name: X[name].to_numpy() for name in X}
    for judged in model.trade_off_.formulas:
        formula = model.alternatives_[judged.dimension - 1][judged.rank - 1]
        design = np.vstack([formula.descriptors(columns), *([np.ones(len(y))] if intercept else [])]).T
        error = np.empty(len(y))
        for out in folds:
            coefficients = np.linalg.lstsq(design[~out], y.to_numpy()[~out], rcond=None)[0]
            error[out] = np.abs(design[out] @ coefficients - y.to_numpy()[out])
        assert judged.mae == pytest.approx(error.mean(), rel=1e-8)
        assert (judged.complexity, judged.rmse) == (formula.complexity, formula.rmse)


def test_rows_of_one_material_are_held_out_together():
    X, y = planted(20, noise=0.3)
    groups = np.repeat(np.arange(20), 3)
    X3, y3 = X.loc[groups].reset_index(drop=True), y.loc[groups].reset_index(drop=True)
    model = SISSORegressor(**SMALL, n_models=1).fit(X3, y3, groups=groups)
    number, folds = in_folds(X3, y3, groups)
    said = np.empty(60)
    for out in folds:
        part = SISSORegressor(**SMALL).fit(X3[~out], y3[~out])
        said[out] = part.predict({name: X3[name].to_numpy()[out] for name in X3})
    assert all(len(set(number[groups == group])) == 1 for group in range(20))
    judged = model.trade_off_
    assert (judged.n_materials, judged.n_folds) == (20, 10)
    assert judged.sizes[-1].mae == pytest.approx(np.abs(said - y3).mean(), rel=1e-8)
    assert judged.sizes[-1].mae_error == pytest.approx(error_of_mean(np.abs(said - y3.to_numpy()), groups), rel=1e-8)


def test_the_law_is_recommended_and_the_largest_model_stays():
    X, y = planted(60, noise=0.2)
    model = SISSORegressor(**SMALL | {"dim": 3}, n_models=5).fit(X, y)
    assert [str(term.expression) for term in model.recommended_.terms] == ["a*b"]
    assert model.model_.dimension == 3
    assert "a·b" in model.summary().rpartition("Recommended")[2]


@pytest.mark.parametrize("low", [(), ("c",)])
def test_models_are_those_that_are_found_without_judging(low):
    X, y = planted(noise=0.3)
    plain = SISSORegressor(**SMALL, low=low).fit(X, y)
    judged = SISSORegressor(**SMALL, low=low, n_models=4).fit(X, y)
    assert [one.to_json() for one in judged.models_] == [one.to_json() for one in plain.models_]
    assert {len(models) for models in judged.alternatives_} <= {1, 2, 3, 4}
    assert plain.trade_off_ is None
    assert plain.recommended_ is None


def test_what_a_low_column_says_is_held_out_too():
    """Of a target that is a low column and a law, the errors are those of the rest, whatever the column holds."""
    X, y = planted(60, noise=0.2)
    rng = np.random.default_rng(5)
    estimate = rng.normal(0, 50, 60)
    frame, labels = X.assign(**{"G (eV)": estimate}), pd.Series(y + estimate, name="E (eV)")
    model = SISSORegressor(**SMALL | {"dim": 1}, n_models=3, low=["G"]).fit(frame, labels)
    assert model.low_.form == "difference"
    assert [one.dimension for one in model.trade_off_.sizes] == [2]
    assert model.trade_off_.sizes[0].mae < 0.3
    assert {str(term.expression) for term in model.recommended_.terms} == {"G", "a*b"}


@settings(max_examples=examples_of(60), deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 1), st.floats(0, 0.5)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9), st.floats(0.1, 1), st.floats(0, 0.5)), max_size=12),
)
def test_recommended_is_the_simplest_within_one_standard_error(errors, others):
    sizes = [JudgedSize(d, mae, error, mae) for d, (mae, error) in enumerate(errors, 1)]
    formulas = [JudgedFormula(d, 1, 1, 0.1, 0.5, 0.1) for d in range(1, len(sizes) + 1)]
    formulas += [JudgedFormula(d, 2 + k, size, 0.1, mae, error) for k, (d, size, mae, error) in enumerate(others)]
    dimension, rank = recommended(sizes, formulas)
    best = min(sizes, key=lambda size: size.mae)
    assert sizes[dimension - 1].mae <= best.mae + best.mae_error
    assert all(size.mae > best.mae + best.mae_error for size in sizes[: dimension - 1])
    alike = [one for one in formulas if one.dimension == dimension]
    chosen = next(one for one in alike if one.rank == rank)
    first = min(alike, key=lambda one: one.mae)
    assert chosen.mae <= first.mae + first.mae_error
    simpler = [one for one in alike if one.complexity < chosen.complexity]
    assert all(one.mae > first.mae + first.mae_error for one in simpler)


def test_too_few_materials_give_no_recommendation():
    X, y = planted(12)
    model = SISSORegressor(**SMALL, n_models=2).fit(X, y, groups=np.zeros(12))
    assert model.trade_off_ is None
    assert model.recommended_ is None
    with pytest.raises(SettingsError, match="recommended: needs a model of fit --n-models"):
        model.fitted_.with_recommended()


def document_of(model):
    return json.loads(json.dumps(model.document("E", "eV")))


def test_a_model_file_keeps_it_and_older_ones_are_read():
    X, y = planted(noise=0.3)
    model = SISSORegressor(**SMALL, n_models=3).fit(X, y)
    document = document_of(model)
    again = FittedModels.of_file(read_record(RegressorRecord, document))
    assert again.trade_off == model.trade_off_
    assert again.with_recommended().model.to_json() == model.recommended_.to_json()
    older = document_of(SISSORegressor(**SMALL).fit(X, y))
    del older["trade_off"], older["settings"]["n_models"]
    assert FittedModels.of_file(read_record(RegressorRecord, older)).trade_off is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"recommended": [7, 1]}, "recommended: needs one of the models"),
        ({"sizes": []}, "sizes: needs one entry for each dimension"),
        ({"formulas": []}, "formulas: needs an entry for each model"),
    ],
)
def test_a_damaged_file_is_refused(changed, told):
    X, y = planted(noise=0.3)
    document = document_of(SISSORegressor(**SMALL, n_models=2).fit(X, y))
    document["trade_off"] |= changed
    with pytest.raises(ModelFileError, match=told):
        read_record(RegressorRecord, document)


def test_a_number_of_models_out_of_range_is_refused():
    X, y = planted()
    with pytest.raises(SettingsError, match="n_models: needs an integer from 1 to 1000, found 0"):
        SISSORegressor(**SMALL, n_models=0).fit(X, y)


def test_notations_of_a_fitted_model_say_what_it_predicts():
    X, y = planted(noise=0.3)
    model = SISSORegressor(**SMALL).fit(X.rename(columns={"a": "lambda", "b": "b/2"}), y)
    columns = {"lambda": X["a"].to_numpy(), "b/2": X["b"].to_numpy(), "c": X["c"].to_numpy()}
    known = model.predict(columns)
    made = {}
    exec(model.python(), made)
    np.testing.assert_allclose(
        made["predict"](*(columns[name] for name in model.model_.primaries())), known, rtol=1e-12
    )
    from sympy import Symbol

    point = {Symbol(name, real=True): float(row[0]) for name, row in columns.items()}
    assert float(model.sympy().subs(point)) == pytest.approx(known[0], rel=1e-12)
    descriptors = model.model_.descriptors(columns)
    np.testing.assert_allclose(model.coef_ @ descriptors + model.intercept_, known, rtol=1e-12)
    assert model.latex().startswith("E = ")
    assert model.mathml().startswith('<math display="block"><mrow><mi>E</mi><mo>=</mo>')
    assert list(model.feature_names_in_) == ["lambda", "b/2", "c"]


def test_a_model_of_a_transformed_target_has_no_function_of_its_own():
    from sisso_sal.models.transform import TargetTransform

    X, y = planted()
    fitted = SISSORegressor(**SMALL).fit(X, y).model_
    model = replace(fitted, link=TargetTransform.fit("log", y.to_numpy()))
    for form in (model.python, model.sympy):
        with pytest.raises(SettingsError, match=r"needs a model of the target itself, found one of log\(target\)"):
            form()
    assert model.latex("E").startswith(r"\text{log(E)} = ")
    assert model.shown("E", "eV").startswith("log(E (eV)) = ")
