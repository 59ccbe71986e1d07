"""Error against complexity of shared descriptors: a twin that fits every fold by itself, and what a model file keeps of it."""

import numpy as np
import pytest

from sisso_sal.models import task_models
from sisso_sal.models.estimators import ensemble_table
from sisso_sal.models.files import load_model, save_model
from sisso_sal.models.multi_task import MultiTaskSISSO

SMALL = {"rung": 1, "dim": 2, "n_sis": 4, "operators": ("add", "mult", "div"), "threads": 1}


def planted(n=40, noise=0.3):
    """Two tasks of different size with one law; rows 8 and 9 are one material in both."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 2, (n, 3))
    tasks = np.where(np.arange(n) % 4 == 0, "sulfides", "oxides")
    X[9] = X[8]
    y = np.where(tasks == "oxides", 3.0, -2.0) * X[:, 0] * X[:, 1] + rng.normal(0, noise, n)
    return X, y, tasks


@pytest.fixture
def folds(monkeypatch):
    """Those of the fit in the test, with its order of samples: fold of each sample, and the folds that are held out."""
    kept = {}
    original = task_models.task_folds

    def spy(prepared):
        kept.update(order=prepared.order, folds=original(prepared))
        return kept["folds"]

    monkeypatch.setattr(task_models, "task_folds", spy)
    return kept


@pytest.mark.parametrize("weighting", ["tasks", "samples"])
def test_errors_are_those_of_fits_without_each_fold(folds, weighting):
    """The naive twin: a fit without each fold predicts it, or the formula is fitted again; tasks count as they are weighted."""
    X, y, tasks = planted()
    options = SMALL | {"task_weighting": weighting}
    model = MultiTaskSISSO(**options, n_models=2).fit(X, y, tasks=tasks)
    number = np.empty(len(y), dtype=int)
    number[folds["order"]] = folds["folds"].number
    assert number[8] == number[9]
    assert set(folds["folds"].usable) == {*range(10)}
    counts = np.ones(len(y))
    if weighting == "tasks":
        counts = np.where(
            tasks == "oxides", len(y) / 2 / (tasks == "oxides").sum(), len(y) / 2 / (tasks == "sulfides").sum()
        )
    by_search, by_refit = np.full((2, len(y)), np.nan), np.full((2, 2, len(y)), np.nan)
    for fold in range(10):
        out = number == fold
        part = MultiTaskSISSO(**options).fit(X[~out], y[~out], tasks=tasks[~out])
        columns = {f"x{i}": X[out, i] for i in range(3)}
        by_search[:, out] = [one.predict(columns, tasks[out])[0] for one in part.models_]
        for d, alike in enumerate(model.fitted_.alternatives):
            for rank, formula in enumerate(alike):
                by_refit[d, rank, out] = refitted(formula, X, y, tasks, out)
    for size, said in zip(model.fitted_.trade_off.sizes, by_search, strict=True):
        error = np.abs(said - y)
        assert size.mae == pytest.approx(np.mean(counts * error), rel=1e-9)
        assert size.rmse == pytest.approx(np.sqrt(np.mean(counts * error**2)), rel=1e-9)
    for judged in model.fitted_.trade_off.formulas:
        error = np.abs(by_refit[judged.dimension - 1, judged.rank - 1] - y)
        assert judged.mae == pytest.approx(np.mean(counts * error), rel=1e-9)


def refitted(formula, X, y, tasks, out):
    """Predictions of a fold by least squares of each task on the descriptors, without the fold."""
    values = np.array([one.evaluate({f"x{i}": X[:, i] for i in range(3)}) for one in formula.descriptors])
    design = np.vstack([values, np.ones(len(y))]).T
    said = np.full(len(y), np.nan)
    for task in np.unique(tasks):
        mine = tasks == task
        best = np.linalg.lstsq(design[mine & ~out], y[mine & ~out], rcond=None)[0]
        said[mine] = design[mine] @ best
    return said[out]


def test_the_planted_descriptor_is_recommended_and_the_file_keeps_what_was_judged(tmp_path):
    X, y, tasks = planted(noise=0.05)
    model = MultiTaskSISSO(**SMALL, n_models=3).fit(X, y, tasks=tasks)
    best = model.fitted_.recommended
    assert [str(one) for one in best.descriptors] == ["x0*x1"]
    save_model(tmp_path / "model.json", model, "gap", "eV")
    back = load_model(tmp_path / "model.json")[0].fitted_
    assert back.trade_off == model.fitted_.trade_off
    assert back.with_recommended().model == best
    none = MultiTaskSISSO(**SMALL).fit(X, y, tasks=tasks).fitted_
    assert none.trade_off is None
    assert none.recommended is None


def test_tasks_of_different_units_count_as_shares_of_their_spread():
    """Labels of a task in another unit give the same errors."""
    X, y, tasks = planted(noise=0.05)
    told = []
    for factor in (1.0, 1000.0):
        own = np.where(tasks == "oxides", factor, 1.0) * y
        model = MultiTaskSISSO(**SMALL, n_models=2)
        table = ensemble_table(model, X, own, tasks=tasks)
        found = task_models.find_task_formulas(model.get_params(), table, units={"oxides": "meV", "sulfides": "GPa"})
        told.append([(one.mae, one.mae_error) for one in found.trade_off.sizes[:1]])
    np.testing.assert_allclose(told[0], told[1], rtol=1e-9)


def test_folds_without_which_a_task_has_too_few_rows_are_not_held_out():
    """A task has as many rows as two terms need; each of them is in another fold."""
    X, y, tasks = planted(20)
    tasks = np.where(np.arange(20) < 4, "rare", "oxides")
    model = MultiTaskSISSO(**SMALL, n_models=2).fit(X, y, tasks=tasks)
    assert model.fitted_.trade_off.n_folds == 6
