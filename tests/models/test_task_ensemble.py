"""Ensembles of several tasks: planted laws, the naive twin of their out-of-bag predictions, files, and what is refused."""

import json

import numpy as np
import pytest

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models import task_members
from sisso_sal.models.estimators import ensemble_table
from sisso_sal.models.files import load_model, read_any_model, read_model, save_model
from sisso_sal.models.multi_task_ensemble import MultiTaskSISSOEnsemble, task_recipe
from sisso_sal.models.task_assembly import fit_task_ensemble

SMALL = {
    "rung": 1,
    "dim": 1,
    "n_sis": 8,
    "operators": ("add", "mult", "div"),
    "threads": 1,
    "members": 8,
    "dropout": 0.0,
}


def planted(seed=0, n=48, noise=0.05):
    """Three tasks with one descriptor, x0 x1, and coefficients 3, 2 and -1; the last task is small."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 2, (n, 3))
    tasks = np.array(["oxides", "sulfides", "oxides", "nitrides"])[np.where(np.arange(n) % 8 == 7, 3, np.arange(n) % 3)]
    slope = np.select([tasks == "oxides", tasks == "sulfides"], [3.0, 2.0], -1.0)
    return X, slope * X[:, 0] * X[:, 1] + rng.normal(0, noise, n), tasks


def columns_of(X):
    return {f"x{i}": X[:, i] for i in range(X.shape[1])}


@pytest.fixture
def problems(monkeypatch):
    """Those of the last rung of the ensemble that is fitted in the test, with its order of samples."""
    kept = {}
    original = task_members.draw_task_members

    def spy(recipe, prepared, names):
        kept.update(order=prepared.order, problems=original(recipe, prepared, names))
        return kept["problems"]

    monkeypatch.setattr(task_members, "draw_task_members", spy)
    return kept


def test_finds_the_law_and_its_errors_are_those_of_the_noise():
    X, y, tasks = planted()
    model = MultiTaskSISSOEnsemble(**SMALL, correction="none", recalibrate="none").fit(X, y, tasks=tasks)
    assert model.tasks_ == ("nitrides", "oxides", "sulfides")
    for name, slope in (("oxides", 3.0), ("sulfides", 2.0), ("nitrides", -1.0)):
        terms = [member.terms for member in model.ensembles_[name].members]
        assert {str(own[0].expression) for own in terms} == {"x0*x1"}
        assert np.mean([own[0].coefficient for own in terms]) == pytest.approx(slope, abs=0.1)
        assert model.calibration_[name].rmse < 0.1 < 0.3 * model.rmse_of_mean_[name]
    mean, std = model.predict(X, tasks, return_std=True)
    assert np.sqrt(np.mean((mean - y) ** 2)) < 0.08
    assert (std > 0).all()


def test_out_of_bag_predictions_are_means_of_members_that_did_not_see_the_sample(problems):
    """The naive twin, sample by sample; and each sample was left out by a member, with all rows of its material."""
    X, y, tasks = planted(1)
    X[10:12], tasks[10], tasks[11] = X[10], "oxides", "sulfides"  # one material, known in two tasks
    model = MultiTaskSISSOEnsemble(**SMALL, adapt=False, correction="none").fit(X, y, tasks=tasks)
    unseen = np.zeros((8, len(y)), dtype=bool)
    for number, problem in enumerate(problems["problems"]):
        unseen[number, problems["order"]] = problem.weights == 0
    np.testing.assert_array_equal(unseen[:, 10], unseen[:, 11])
    assert unseen.any(axis=0).all()
    for row, task in enumerate(tasks):
        members = [one for one, out in zip(model.ensembles_[task].members, unseen[:, row], strict=True) if out]
        told = [member.predict(columns_of(X[[row]])) for member in members]
        said = [value[0] for value, valid in told if valid[0]]
        assert model.oob_mean_[row] == pytest.approx(np.mean(said) if said else np.nan, rel=1e-12, nan_ok=True)
    for name in model.tasks_:
        labels, own = y[tasks == name], np.isfinite(model.oob_mean_[tasks == name])
        others = (labels.sum() - labels) / (len(labels) - 1)
        assert model.rmse_of_mean_[name] == pytest.approx(np.sqrt(np.mean((labels - others)[own] ** 2)))


def test_draws_have_as_many_of_each_kind_and_enough_of_each_task(problems):
    X, y, tasks = planted(2)
    MultiTaskSISSOEnsemble(**SMALL | {"members": 24}, adapt=False, correction="none").fit(X, y, tasks=tasks)
    numbers = np.unique(tasks, return_inverse=True)[1][problems["order"]]
    for problem in problems["problems"]:
        np.testing.assert_array_equal(np.bincount(numbers, problem.weights), np.bincount(numbers))
        assert all(np.count_nonzero(problem.weights[numbers == task]) >= 3 for task in range(3))


def test_the_order_of_rows_does_not_count():
    X, y, tasks = planted(3)
    order = np.random.default_rng(0).permutation(len(y))
    one = MultiTaskSISSOEnsemble(**SMALL, correction="trees").fit(X, y, tasks=tasks)
    other = MultiTaskSISSOEnsemble(**SMALL, correction="trees").fit(X[order], y[order], tasks=tasks[order])
    np.testing.assert_array_equal(one.oob_mean_[order], other.oob_mean_)
    np.testing.assert_array_equal(one.predict(X, tasks), other.predict(X, tasks))


def test_the_file_gives_the_same_bits(tmp_path):
    X, y, tasks = planted(4, noise=0.3)
    shares = np.random.default_rng(0).dirichlet(np.ones(4), len(y))
    model = MultiTaskSISSOEnsemble(**SMALL).fit(X, y, tasks=tasks, composition=shares)
    assert {name: one.correction is not None for name, one in model.ensembles_.items()}["oxides"]
    save_model(tmp_path / "model.json", model, "gap", "eV")
    back, *named = load_model(tmp_path / "model.json")
    assert named == ["gap", "eV"]
    one, other = (each.predict_rows(columns_of(X), tasks, shares).as_columns() for each in (model, back))
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
    documents = [json.loads(json.dumps(each.document("gap", "eV"))) for each in (model, back)]
    assert documents[0].pop("settings").items() >= {"members": 8, "same_sign": False, "dropout": 0.0}.items()
    documents[1].pop("settings")
    assert documents[0] == documents[1]
    own = model.fitted_.of_task("sulfides").predict_distribution(
        columns_of(X[tasks == "sulfides"]), shares[tasks == "sulfides"]
    )
    np.testing.assert_array_equal(own.mean, one["mean"][tasks == "sulfides"])
    bare = read_any_model(tmp_path / "model.json", formulas_only=True).model
    assert all(task.correction is None for task in bare.ensembles.values())
    with pytest.raises(ModelFileError, match="3 tasks"):
        read_model(tmp_path / "model.json")


def alike(seed, n=60):
    """Two tasks that miss the same of their labels: a wave that no formula of rung 1 has; with different laws."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 2, (n, 3))
    tasks = np.where(np.arange(n) % 4 == 0, "sulfides", "oxides")
    return X, np.where(tasks == "oxides", 3.0, -2.0) * X[:, 0] * X[:, 1] + np.sin(9 * X[:, 2]), tasks


def test_what_all_tasks_miss_is_learned_from_all_of_them(tmp_path):
    X, y, tasks = alike(0)
    model = MultiTaskSISSOEnsemble(**SMALL).fit(X, y, tasks=tasks)
    shared = model.fitted_.shared_correction
    assert shared is not None
    assert sorted(shared.target.tolist()) == sorted(y.tolist())
    apart = MultiTaskSISSOEnsemble(**SMALL)
    small = tasks == "sulfides"
    units = {"oxides": "eV", "sulfides": "GPa"}  # the same numbers, but no sums of them
    table = ensemble_table(apart, X, y, None, composition=None, groups=None, errors=None, tasks=tasks)
    own = fit_task_ensemble(task_recipe(apart.get_params()), table, units=units)
    assert own.model.shared_correction is None
    new, wanted, names = alike(1, 200)
    of_small = names == "sulfides"
    errors = [
        np.abs(one.predict(columns_of(new), names).mean - wanted)[of_small].mean() for one in (model.fitted_, own.model)
    ]
    assert errors[0] < 0.8 * errors[1]
    left_out = [np.abs(oob - y)[small].mean() for oob in (model.oob_mean_, own.oob_mean)]
    assert left_out[0] < left_out[1]
    save_model(tmp_path / "model.json", model, "gap", "eV")
    document = json.loads((tmp_path / "model.json").read_text())
    assert [task["correction"] for task in document["tasks"]] == [None, None]
    back = load_model(tmp_path / "model.json")[0]
    one, other = (each.predict_rows(columns_of(new), names).as_columns() for each in (model, back))
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
    assert back.fitted_.ensembles["oxides"].formula_calibration == model.ensembles_["oxides"].formula_calibration
    assert back.document("gap", "eV")["correction"] == document["correction"]
    document["correction"]["kind"] = "trees"
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match="correction: needs kind both"):
        read_any_model(tmp_path / "model.json")


def _other_descriptor(document):
    own = document["tasks"][0]["members"][0]
    own["terms"][0] |= {"tree": "x0", "expression": "x0", "complexity": 0}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d["tasks"].reverse(), "tasks: needs at least two, by name, that differ"),
        (lambda d: d["tasks"][0].update(n_samples=1), "n_samples: needs .* as the tasks have"),
        (lambda d: d["chosen"].update(rung=3), "chosen: needs to be one of the choices"),
        (lambda d: d["settings"].update(task_weighting="rows"), "task_weighting"),
        (lambda d: d["tasks"][1].pop("members"), "members"),
        (_other_descriptor, "same descriptors"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, told):
    X, y, tasks = planted()
    model = MultiTaskSISSOEnsemble(**SMALL, correction="none").fit(X, y, tasks=tasks)
    save_model(tmp_path / "model.json", model, "gap")
    document = json.loads((tmp_path / "model.json").read_text())
    change(document)
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match=told):
        read_any_model(tmp_path / "model.json")


def test_typical_members_have_descriptors_that_differ():
    X, y, tasks = planted(5, noise=0.6)
    model = MultiTaskSISSOEnsemble(**SMALL | {"dropout": 0.4}, correction="none").fit(X, y, tasks=tasks).fitted_
    numbers = model.typical_members(3)
    descriptors = [tuple(str(one) for one in model.member(number).descriptors) for number in numbers]
    assert len(set(descriptors)) == len(numbers) > 1
    member = model.member(numbers[0])
    assert member.rmse == pytest.approx(np.sqrt(np.mean([own.rmse**2 for own in member.tasks.values()])))


def test_what_is_refused():
    X, y, tasks = planted()
    few = np.where(np.arange(len(y)) < 3, "rare", tasks)
    with pytest.raises(
        FitError, match=r"at least 3 labelled samples of each task without any one .* found 2 of 'rare'"
    ):
        MultiTaskSISSOEnsemble(**SMALL).fit(X, y, tasks=few)
    with pytest.raises(FitError, match="at least two tasks, found 1"):
        MultiTaskSISSOEnsemble(**SMALL).fit(X, y, tasks="oxides")
    with pytest.raises(SettingsError, match="members"):
        MultiTaskSISSOEnsemble(**SMALL | {"members": 0}).fit(X, y, tasks=tasks)
    model = MultiTaskSISSOEnsemble(**SMALL, correction="none").fit(X, y, tasks=tasks)
    with pytest.raises(
        FitError, match="task 'halides': is none of those that were learned: nitrides, oxides, sulfides"
    ):
        model.predict(X, "halides")
