"""Several tasks as an estimator and as a file."""

import json

import numpy as np
import pytest

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models.files import load_model, read_model, save_model
from sisso_sal.models.multi_task import MultiTaskSISSO
from sisso_sal.models.regressor import SISSORegressor

SMALL = {"rung": 1, "dim": 2, "n_sis": 10, "operators": ("add", "mult", "div"), "threads": 1}


def planted(seed=0, n=30):
    """Two tasks with one descriptor: 3 x0 x1 + 1 and -2 x0 x1 - x2/x3."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 2, (n, 4))
    tasks = np.where(np.arange(n) % 3 == 0, "sulfides", "oxides")
    d1, d2 = X[:, 0] * X[:, 1], X[:, 2] / X[:, 3]
    y = np.where(tasks == "oxides", 3 * d1 + 0.5 * d2 + 1, -2 * d1 - d2)
    return X, y, tasks


def test_finds_what_was_planted():
    X, y, tasks = planted()
    model = MultiTaskSISSO(**SMALL).fit(X, y, tasks=tasks)
    assert [str(one) for one in model.model_.descriptors] == ["x2/x3", "x0*x1"]
    coefficients = {
        name: [own.intercept, *(term.coefficient for term in own.terms)] for name, own in model.model_.tasks.items()
    }
    np.testing.assert_allclose(coefficients["oxides"], [1, 0.5, 3], atol=1e-9)
    np.testing.assert_allclose(coefficients["sulfides"], [0, -1, -2], atol=1e-9)
    np.testing.assert_allclose(model.predict(X, tasks), y, atol=1e-9)
    np.testing.assert_allclose(model.predict(X, "oxides")[tasks == "oxides"], y[tasks == "oxides"], atol=1e-9)


def test_signs_that_agree():
    X, y, tasks = planted()
    model = MultiTaskSISSO(**SMALL, same_sign=True).fit(X, y, tasks=tasks).model_
    signs = np.sign([[term.coefficient for term in own.terms] for own in model.tasks.values()])
    assert (signs.max(axis=0) - signs.min(axis=0) <= 1).all()
    assert model.rmse > 0.1


def test_rows_in_any_order_and_tasks_by_number_give_the_same():
    X, y, tasks = planted()
    order = np.random.default_rng(3).permutation(len(y))
    one = MultiTaskSISSO(**SMALL).fit(X, y, tasks=tasks)
    other = MultiTaskSISSO(**SMALL).fit(X[order], y[order], tasks=tasks[order])
    assert one.model_ == other.model_
    numbered = MultiTaskSISSO(**SMALL).fit(X, y, tasks=np.where(tasks == "oxides", 1, 2))
    assert numbered.tasks_ == ("1", "2")
    np.testing.assert_array_equal(numbered.predict(X, 1), one.predict(X, "oxides"))


def test_a_repeated_sample_is_one_of_weight_two():
    X, y, tasks = planted(1, 24)
    y = y + np.random.default_rng(0).normal(0, 0.3, len(y))
    twice = np.r_[np.arange(24), 3, 5]
    weights = 1.0 + np.isin(np.arange(24), (3, 5))
    for options in ({}, {"task_weighting": "samples"}, {"criterion": "max_abs_error"}):
        repeated = MultiTaskSISSO(**SMALL, **options).fit(X[twice], y[twice], tasks=tasks[twice])
        weighted = MultiTaskSISSO(**SMALL, **options).fit(X, y, weights, tasks=tasks)
        np.testing.assert_allclose(repeated.predict(X, tasks), weighted.predict(X, tasks), rtol=1e-9)


def test_the_file_gives_the_same_bits(tmp_path):
    X, y, tasks = planted(2)
    y = y + np.random.default_rng(0).normal(0, 0.3, len(y))
    model = MultiTaskSISSO(**SMALL, task_weighting="samples").fit(X, y, tasks=tasks)
    save_model(tmp_path / "model.json", model, "gap", "eV")
    back, *named = load_model(tmp_path / "model.json")
    assert named == ["gap", "eV"]
    columns = dict(zip(model.primaries_, np.ascontiguousarray(X.T), strict=True))
    np.testing.assert_array_equal(back.predict(columns, tasks), model.predict(X, tasks))
    assert back.models_ == model.models_
    assert back.get_params() == {**model.get_params(), "operators": ["add", "mult", "div"], "threads": None}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d["models"][0][0]["tasks"].pop("oxides"), "needs the same descriptors for each of oxides, sulfides"),
        (lambda d: d["tasks"].pop(), "tasks: needs at least two"),
        (lambda d: d["settings"].pop("same_sign"), "same_sign"),
        (lambda d: d["models"].pop(0), "needs lists of one dimension each"),
        (lambda d: d["models"][0][0].update(dimension=2), "needs models of dimension 2"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, told):
    X, y, tasks = planted()
    save_model(tmp_path / "model.json", MultiTaskSISSO(**SMALL).fit(X, y, tasks=tasks), "gap")
    document = json.loads((tmp_path / "model.json").read_text())
    change(document)
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match=told):
        read_model(tmp_path / "model.json")


def test_what_is_refused():
    X, y, tasks = planted()
    with pytest.raises(FitError, match="at least two tasks, found 1"):
        MultiTaskSISSO(**SMALL).fit(X, y, tasks="oxides")
    with pytest.raises(FitError, match="at least 4 labelled samples of each task for dim 2, found 2 of 'rare'"):
        MultiTaskSISSO(**SMALL).fit(X, y, tasks=np.where(np.arange(30) < 2, "rare", tasks))
    with pytest.raises(FitError, match="a name for each of 30 samples, found 3"):
        MultiTaskSISSO(**SMALL).fit(X, y, tasks=tasks[:3])
    with pytest.raises(FitError, match="found none for sample 1"):
        MultiTaskSISSO(**SMALL).fit(X, y, tasks=np.where(np.arange(30) < 2, "", tasks))
    for gap in (None, float("nan")):
        with pytest.raises(FitError, match="found none for sample 1"):
            MultiTaskSISSO(**SMALL).fit(X, y, tasks=[gap, *tasks[1:]])
    with pytest.raises(SettingsError, match="task_weighting: needs tasks or samples, found 'rows'"):
        MultiTaskSISSO(**SMALL, task_weighting="rows").fit(X, y, tasks=tasks)
    with pytest.raises(SettingsError, match="same_sign: needs the criterion rmse"):
        MultiTaskSISSO(**SMALL, same_sign=True, criterion="max_abs_error").fit(X, y, tasks=tasks)
    model = MultiTaskSISSO(**SMALL).fit(X, y, tasks=tasks)
    with pytest.raises(FitError, match="task 'nitrides': is none of those that were learned: oxides, sulfides"):
        model.predict(X, "nitrides")


def test_one_model_by_the_largest_error():
    rng = np.random.default_rng(5)
    X = rng.uniform(1, 2, (20, 4))
    y = X[:, 0] * X[:, 1] + rng.normal(0, 0.3, 20)
    by_squares, by_largest = (
        SISSORegressor(**SMALL | {"dim": 1}, criterion=criterion).fit(X, y) for criterion in ("rmse", "max_abs_error")
    )
    errors = [model.max_abs_error for model in by_largest.alternatives_[0]]
    assert errors == sorted(errors)
    assert by_largest.model_.max_abs_error <= min(m.max_abs_error for m in by_squares.alternatives_[0])
    with pytest.raises(SettingsError, match="criterion: needs rmse or max_abs_error, found 'mae'"):
        SISSORegressor(**SMALL, criterion="mae").fit(X, y)
    with pytest.raises(SettingsError, match="low: needs the criterion rmse"):
        SISSORegressor(**SMALL, criterion="max_abs_error", low=("x0",)).fit(X, y)
