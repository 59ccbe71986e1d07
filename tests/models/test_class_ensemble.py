"""Ensembles of classifiers: calibrated probabilities, materials held out as a whole, the same for any number of threads."""

import json
from pathlib import Path

import naive_classes
import numpy as np
import pandas as pd
import pytest
from compiled import needs_compiled
from sklearn.utils.estimator_checks import parametrize_with_checks

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models.class_calibration import PULL, ClassCalibration, ClassScaling
from sisso_sal.models.class_ensemble import SISSOClassifierEnsemble
from sisso_sal.models.files import load_model, model_document, read_model, save_model

PEROVSKITES = Path(__file__).parents[2].parent / "shared" / "reference" / "tasks" / "P1" / "train.dat"
SMALL = {"members": 12, "rung": 1, "dim": 1, "n_sis": 5, "operators": ("add", "mult", "div"), "threads": 1}


def not_for(estimator):
    why = "bootstrap draws rows: a repeated row and a weight of 2 give other draws"
    return {"check_sample_weight_equivalence_on_dense_data": why}


@pytest.mark.filterwarnings("ignore:.*SCIPY_ARRAY_API.*")
@parametrize_with_checks([SISSOClassifierEnsemble(members=3, rung=0, n_sis=5)], expected_failed_checks=not_for)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def noisy(n=300, seed=0, slope=10.0):
    """The true probability of yes depends on a ratio of two columns."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 2, (n, 3))
    probability = 1 / (1 + np.exp(-slope * (X[:, 0] / X[:, 1] - 1)))
    return X, (rng.uniform(size=n) < probability).astype(int), probability


@needs_compiled
@pytest.mark.parametrize("criterion", ["accuracy", "likelihood"])
def test_probabilities_are_calibrated_and_near_the_truth(criterion):
    X, y, truth = noisy()
    model = SISSOClassifierEnsemble(**SMALL, criterion=criterion).fit(X, y)
    calibration = model.calibration_
    assert calibration.is_believable
    assert calibration.log_loss < np.log(2) - 0.1
    assert calibration.n == 300
    fresh_X, fresh_y, fresh_truth = noisy(seed=1)
    fresh = ClassCalibration.of(model.predict_proba(fresh_X), fresh_y)
    assert fresh.log_loss == pytest.approx(calibration.log_loss, abs=0.1)
    assert np.corrcoef(model.predict_proba(fresh_X)[:, 1], fresh_truth)[0, 1] > 0.9
    assert np.corrcoef(model.oob_probability_[:, 1], truth)[0, 1] > 0.85


def test_threads_and_the_order_of_rows_change_nothing():
    X, y, _ = noisy(n=80)
    order = np.random.default_rng(3).permutation(80)
    one = SISSOClassifierEnsemble(**SMALL).fit(X, y)
    two = SISSOClassifierEnsemble(**{**SMALL, "threads": 2}).fit(X[order], y[order])
    assert (one.predict_proba(X) == two.predict_proba(X)).all()
    assert (one.oob_probability_[order] == two.oob_probability_).all()


def test_a_material_is_held_out_as_a_whole():
    """Labels that depend on the material alone, which no feature tells: rows of their own material must not tell it."""
    rng = np.random.default_rng(4)
    material = np.repeat(np.arange(40), 4)
    X = rng.normal(size=(40, 2))[material] + 0.01 * rng.normal(size=(160, 2))
    y = rng.permutation(np.arange(40) % 2)[material]
    model = SISSOClassifierEnsemble(**SMALL).fit(X, y, groups=material)
    assert model.calibration_.log_loss > np.log(2) - 0.05
    assert model.calibration_.n == 160


def test_overconfident_probabilities_are_told_and_mended():
    rng = np.random.default_rng(5)
    truth = rng.uniform(0.1, 0.9, 4000)
    labels = (rng.uniform(size=4000) < truth).astype(int)
    odds = (truth / (1 - truth)) ** 3
    claimed = np.column_stack([1 / (1 + odds), odds / (1 + odds)])
    assert not ClassCalibration.of(claimed, labels).is_believable
    scaling = ClassScaling.fit(claimed, labels, np.ones(4000), np.arange(4000))
    assert scaling.factor == pytest.approx(1 / 3, rel=0.15)
    assert ClassCalibration.of(scaling.applied(claimed), labels).is_believable


def scaled_by(claimed, labels, groups=None):
    n = len(labels)
    return ClassScaling.fit(claimed, labels, np.ones(n), np.arange(n) if groups is None else groups)


@pytest.mark.parametrize("n", [10, 30, 100])
def test_few_materials_scale_little(n):
    """The least of loss plus pull is at most the loss without scaling, which bounds factor and offsets."""
    yes = np.linspace(0.1, 0.9, n)
    claimed, labels = np.column_stack([1 - yes, yes]), (yes > 0.5).astype(int)  # sure that a larger factor is better
    loss = -np.log(claimed[np.arange(n), labels]).mean()
    scaling = scaled_by(claimed, labels)
    assert scaling.factor > 1.0
    assert np.log(scaling.factor) ** 2 + (scaling.offsets**2).sum() <= 2 * n * loss / PULL
    assert scaled_by(claimed[::2], labels[::2]).factor < scaling.factor


def test_a_scaling_of_few_labels_costs_calibrated_probabilities_little():
    """What it costs on average is exact, since the labels are drawn from the probabilities: a pull of 1 costs 0.026."""
    rng = np.random.default_rng(6)
    extra = []
    for _ in range(60):
        yes = rng.beta(0.8, 0.8, 30).clip(0.02, 0.98)
        claimed = np.column_stack([1 - yes, yes])
        scaled = scaled_by(claimed, (rng.uniform(size=30) < yes).astype(int)).applied(claimed)
        extra.append((claimed * np.log(claimed / scaled)).sum(axis=1).mean())
    assert np.mean(extra) < 0.007


def test_rows_of_one_material_count_once():
    rng = np.random.default_rng(7)
    yes = rng.uniform(0.1, 0.9, 25)
    claimed, labels = np.column_stack([1 - yes, yes]), rng.integers(0, 2, 25)
    one, three = (
        scaled_by(claimed, labels),
        scaled_by(*(np.repeat(x, 3, axis=0) for x in (claimed, labels, np.arange(25)))),
    )
    assert three.factor == pytest.approx(one.factor, rel=1e-4)
    assert three.offsets == pytest.approx(one.offsets, abs=1e-4)


def test_the_scores_are_those_of_their_definitions():
    told = ClassCalibration.of(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0]))
    assert told.brier == pytest.approx((0.04 + 0.04 + 0.36 + 0.36) / 2)
    assert told.log_loss == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert (told.accuracy, told.miscalibration) == (0.5, pytest.approx((0.2 + 0.6) / 2))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"members": 1}, SettingsError, "members: needs a number of at least 2, found 1"),
        ({"dropout": 1.0}, SettingsError, "dropout: needs a share below 1, found 1.0"),
    ],
)
def test_what_cannot_be_is_refused(settings, error, message):
    X, y, _ = noisy(n=40)
    with pytest.raises(error, match=message):
        SISSOClassifierEnsemble(**{**SMALL, **settings}).fit(X, y)
    with pytest.raises(FitError, match="needs samples of at least two classes"):
        SISSOClassifierEnsemble(**SMALL).fit(X, np.zeros(40, int))


@pytest.fixture(scope="module")
def three():
    """Three classes in the plane of a and b, whose logarithms are not defined everywhere; and rows beyond those of the fit."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.uniform(1, 2, (70, 3)), columns=["a (eV)", "b (eV)", "c"])
    y = np.array(["p", "q q", "r"])[np.digitize(frame["a (eV)"] / frame["b (eV)"], [0.85, 1.2])]
    settings = SMALL | {
        "members": 7,
        "operators": ("div", "log", "mult"),
        "dim": 2,
        "class_weight": {"p": 2.0, "q q": 1.0, "r": 1.0},
    }
    model = SISSOClassifierEnsemble(**settings, criterion="accuracy").fit(frame, pd.Series(y, name="phase"))
    beyond = pd.DataFrame(rng.uniform(-1, 3, (60, 3)), columns=frame.columns)
    beyond.iloc[0] = 0.0
    return model, frame, beyond


@needs_compiled
def test_a_saved_ensemble_tells_the_same(three, tmp_path):
    model, _, beyond = three
    save_model(tmp_path / "model.json", model, "phase")
    again, target, unit = load_model(tmp_path / "model.json")
    assert isinstance(again, SISSOClassifierEnsemble)
    assert (target, unit) == ("phase", "")
    assert again.get_params() == model.get_params() | {"threads": None, "operators": list(model.operators)}
    assert np.array_equal(again.predict_proba(beyond), model.predict_proba(beyond), equal_nan=True)
    assert (again.predict(beyond) == model.predict(beyond)).all()
    assert (again.n_valid(beyond) == model.n_valid(beyond)).all()
    assert again.calibration_ == model.calibration_
    assert again.raw_calibration_ == model.raw_calibration_
    assert (again.oob_confusion_ == model.oob_confusion_).all()
    assert (again.n_features_, again.rejected_) == (model.n_features_, model.rejected_)
    assert again.oob_probability_ is None
    assert model_document(again, "phase") == model_document(model, "phase")
    with pytest.raises(ModelFileError, match="needs a model that predicts a number, found an ensemble of classifiers"):
        read_model(tmp_path / "model.json")


@needs_compiled
def test_the_mean_of_members_is_scaled_as_a_naive_twin_says(three):
    model, _, beyond = three
    columns = columns_named(beyond)
    columns["a"][1] = columns["b"][1] = columns["c"][1] = np.nan
    told = model.predict_distribution(columns)
    members = [[one[k] for one in (member.probability(columns) for member in model.members_)] for k in range(60)]
    scaling = model.fitted_.scaling
    for row, own in enumerate(members):
        expected = naive_classes.scaled_mean(own, scaling.factor, scaling.offsets.tolist())
        assert told.n_defined[row] == expected["n"]
        assert told.probability[row] == pytest.approx(expected["probability"], nan_ok=True)
        assert (told.reason[row] == "") == (expected["n"] > 0)
        if expected["n"]:
            assert told.told[row] == np.argmax(expected["probability"])
            assert told.spread[row] == pytest.approx(expected["spread"], nan_ok=True, abs=1e-12)
    assert told.n_defined.min() == 0
    assert told.n_defined.max() == 7
    outside = [np.mean([bool(member.reasons(columns)[k]) for member in model.members_]) for k in range(60)]
    assert told.outside == pytest.approx(outside)


def columns_named(frame):
    return {name.split(" ")[0]: frame[name].to_numpy(copy=True) for name in frame}


@needs_compiled
def test_what_the_samples_say_is_counted_out_of_bag(three):
    model, frame, _ = three
    told = model.oob_probability_
    known = ~np.isnan(told).any(axis=1)
    assert model.oob_confusion_.sum() == known.sum() == model.calibration_.n
    assert np.trace(model.oob_confusion_) / known.sum() == pytest.approx(model.calibration_.accuracy)
    recurrence = model.recurrence()
    for name in "abc":
        share = np.mean([name in member.primaries() for member in model.members_])
        assert recurrence["primaries"].get(name, 0.0) == pytest.approx(share)
    typical = model.fitted_.typical(columns_named(frame), 7)
    every = np.array([member.probability(columns_named(frame)) for member in model.members_])
    distance = np.sqrt(((every - every.mean(axis=0)) ** 2).mean(axis=(1, 2)))
    assert typical[0].number == distance.argmin()
    assert typical[0].distance == pytest.approx(distance.min())
    assert sum(one.n_members for one in typical) == 7


@needs_compiled
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["members"].pop(), "members: needs 7, found 6"),
        (lambda d: d["dropped"].append([]), "dropped: needs names of primary features for each member"),
        (lambda d: d["dropped"][0].append("z"), "dropped: needs names of primary features for each member"),
        (lambda d: d["scaling"]["offsets"].pop(), "scaling.offsets: needs 3 finite numbers"),
        (lambda d: d["scaling"].update(factor=0.0), "scaling.factor"),
        (lambda d: d["confusion"][0].__setitem__(0, 1000), "confusion: needs "),
        (lambda d: d["calibration"].update(accuracy=1.5), "calibration.accuracy"),
        (lambda d: d["classes"].pop(), "lanes: needs 1 for 2 classes, found 3"),
        (lambda d: d["settings"].pop("dropout"), "settings: no key 'dropout'"),
        (lambda d: d["members"][2]["lanes"][1]["terms"][0].update(tree="d"), r"members.2.lanes.1.terms.0"),
    ],
)
def test_a_damaged_file_of_an_ensemble_is_refused(three, tmp_path, change, message):
    document = json.loads(json.dumps(model_document(three[0], "phase")))
    change(document)
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match=message):
        load_model(tmp_path / "model.json")


@needs_compiled
def test_a_member_uses_nothing_that_it_does_without(three, tmp_path):
    document = json.loads(json.dumps(model_document(three[0], "phase")))
    document["dropped"][0] = ["a", "b", "c"]
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match=r"dropped.0: needs features that the member does without, found"):
        load_model(tmp_path / "model.json")


@needs_compiled
@pytest.mark.skipif(not PEROVSKITES.exists(), reason="needs ../shared/reference")
def test_probabilities_of_perovskites_are_calibrated():
    rows = [line.split()[1:] for line in PEROVSKITES.read_text().splitlines() if line.strip()]
    X = np.array(rows[1:], dtype=float)
    X = np.column_stack([X, X[:, 0] / X[:, 1], X[:, 2] / X[:, 1], X[:, 0] / X[:, 2]])
    y = np.repeat([1, 0], [313, 263])
    operators = ("add", "sub", "mult", "div", "inv", "sq", "cb", "sqrt", "log")
    model = SISSOClassifierEnsemble(operators=operators, units=["AA"] * 3 + [""] * 6).fit(X, y)
    assert model.calibration_.is_believable
    assert model.calibration_.accuracy > 0.87
