"""The classifier: scikit-learn's contract, planted truths, several classes, files, errors."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models.classifier import SISSOClassifier
from sisso_sal.models.files import load_model, model_document, read_model, save_model

PEROVSKITES = Path(__file__).parents[2].parent / "shared" / "reference" / "tasks" / "P1" / "train.dat"


@pytest.mark.filterwarnings("ignore:.*SCIPY_ARRAY_API.*")
@parametrize_with_checks([SISSOClassifier(rung=1, n_sis=10)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def planted(n=150, seed=0, gap=0.05):
    """A ratio of two columns in eV tells the classes; a third column does not."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(1, 3, (n, 3)), columns=["a (eV)", "b (eV)", "c"])
    ratio = X["a (eV)"] / X["b (eV)"]
    kept = np.abs(ratio - 1.1) > gap
    return X[kept], np.where(ratio[kept] > 1.1, "metal", "insulator")


@pytest.mark.parametrize("criterion", ["accuracy", "likelihood", "overlap"])
@pytest.mark.parametrize("boundary", ["logistic", "svc"])
def test_a_planted_ratio_is_found(criterion, boundary):
    X, y = planted()
    model = SISSOClassifier(rung=1, dim=1, n_sis=10, criterion=criterion, boundary=boundary).fit(X, y)
    (expression,) = model.model_.expressions
    assert str(expression) in ("a/b", "b/a")
    assert model.score(X, y) == 1.0 == model.model_.accuracy
    assert model.model_.overlap == 0
    assert model.model_.overlap_size is not None
    assert model.model_.overlap_size < 0
    lane = model.model_.lanes[0]
    place = -lane.intercept / lane.terms[0].coefficient
    assert (place if str(expression) == "a/b" else 1 / place) == pytest.approx(1.1, abs=0.06)
    assert model.model_.equations()["metal"].startswith("log_odds =")


@pytest.mark.parametrize("criterion", ["accuracy", "likelihood", "overlap"])
def test_three_classes_of_text(criterion):
    rng = np.random.default_rng(3)
    X = rng.uniform(1, 3, (240, 3))
    product = X[:, 0] * X[:, 1]
    y = np.array(["low", "middle", "high"])[np.digitize(product, [2.5, 5.0])]
    model = SISSOClassifier(rung=1, dim=2, n_sis=12, criterion=criterion).fit(X, y)
    assert model.classes_.tolist() == ["high", "low", "middle"]
    assert model.score(X, y) > (0.85 if criterion == "overlap" else 0.9)
    probability = model.predict_proba(X)
    assert probability.sum(axis=1) == pytest.approx(np.ones(240))
    assert (model.classes_[probability.argmax(axis=1)] == model.predict(X)).all()
    assert model.model_.confusion.sum() == 240
    assert np.trace(model.model_.confusion) / 240 == pytest.approx(model.score(X, y))


def test_class_weights_move_the_boundary_as_repeated_rows_do():
    rng = np.random.default_rng(5)
    X = rng.normal(2, 0.3, (120, 2))
    y = (X[:, 0] + 0.3 * rng.normal(size=120) > 2.4).astype(int)
    weighted = SISSOClassifier(rung=0, dim=1, criterion="likelihood", class_weight={0: 1, 1: 3}).fit(X, y)
    rows = np.repeat(np.arange(120), np.where(y == 1, 3, 1))
    repeated = SISSOClassifier(rung=0, dim=1, criterion="likelihood").fit(X[rows], y[rows])
    assert weighted.predict_proba(X) == pytest.approx(repeated.predict_proba(X))
    alone = SISSOClassifier(rung=0, dim=1, criterion="likelihood").fit(X, y)
    assert weighted.predict(X).sum() > alone.predict(X).sum()
    balanced = SISSOClassifier(rung=0, dim=1, criterion="likelihood", class_weight="balanced").fit(X, y)
    factors = len(y) / (2 * np.bincount(y))
    same = SISSOClassifier(rung=0, dim=1, criterion="likelihood").fit(X, y, factors[y])
    assert balanced.predict_proba(X) == pytest.approx(same.predict_proba(X))


def test_the_support_vector_boundary_is_that_of_scikit_learn():
    rng = np.random.default_rng(6)
    X = rng.normal(2, 0.3, (80, 2))
    y = (X @ [1, -2] + 0.2 * rng.normal(size=80) > -2).astype(int)
    model = SISSOClassifier(rung=0, dim=2, criterion="likelihood", boundary="svc").fit(X, y)
    machine = LinearSVC(C=1.0, dual="auto").fit((X - X.mean(0)) / X.std(0), y)
    assert (model.predict(X) == machine.predict((X - X.mean(0)) / X.std(0))).all()


def test_rows_and_columns_may_come_in_any_order():
    X, y = planted(seed=2)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(X)), ["c", "b (eV)", "a (eV)"]
    one = SISSOClassifier(rung=1, dim=2, n_sis=8, criterion="overlap").fit(X, y)
    two = SISSOClassifier(rung=1, dim=2, n_sis=8, criterion="overlap").fit(X.iloc[rows][columns], y[rows])
    assert one.fitted_.to_json() == two.fitted_.to_json()


@pytest.mark.parametrize("labels", [("no", "yes"), (0, 1), (False, True)])
def test_a_saved_model_predicts_the_same(tmp_path, labels):
    X, y = planted(gap=0.0)
    y = np.where(y == "metal", *labels[::-1])
    model = SISSOClassifier(rung=1, dim=2, n_sis=10, class_weight={labels[0]: 1.0, labels[1]: 2.0}).fit(X, y)
    save_model(tmp_path / "model.json", model, "kind")
    loaded, target, unit = load_model(tmp_path / "model.json")
    assert isinstance(loaded, SISSOClassifier)
    assert (target, unit) == ("kind", "")
    columns = {"a": X["a (eV)"].to_numpy(), "b": X["b (eV)"].to_numpy(), "c": X["c"].to_numpy()}
    assert (loaded.predict_proba(columns) == model.predict_proba(X)).all()
    assert (loaded.predict(columns) == model.predict(X)).all()
    assert loaded.classes_.dtype == model.classes_.dtype
    assert model_document(loaded, "kind") == json.loads((tmp_path / "model.json").read_text())
    with pytest.raises(ModelFileError, match="needs a model that predicts a number, found a classifier"):
        read_model(tmp_path / "model.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["classes"].pop(), "classes: "),
        (lambda d: d["models"][0][0]["lanes"][0]["terms"][0].update(expression="a + c"), "expression: needs"),
        (lambda d: d["models"][0][0].update(confusion=[[1.0]]), "confusion: needs 2 x 2 finite numbers"),
        (lambda d: d["settings"].update(criterion="best"), "criterion"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
    X, y = planted()
    model = SISSOClassifier(rung=1, dim=1, n_sis=5).fit(X, y)
    document = model_document(model, "kind")
    change(document)
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match=message):
        load_model(tmp_path / "model.json")


def test_what_is_undefined_has_no_probability_and_a_reason():
    X, y = planted()
    model = SISSOClassifier(rung=1, dim=1, n_sis=5).fit(X, y)
    where = {"a": np.array([2.0, 0.0, 200.0]), "b": np.array([2.0, 0.0, 0.01]), "c": np.ones(3)}
    probability = model.predict_proba(where)
    assert np.isnan(probability[1]).all()
    assert model.predict(where)[1] == max(model.classes_, key=y.tolist().count)
    _, valid = model.predict_with_validity(where)
    assert valid.tolist() == [True, False, False]
    assert model.reasons(where)[1] == "division by zero"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"criterion": "best"}, "criterion: needs one of accuracy, likelihood, overlap, found 'best'"),
        ({"boundary": "tree"}, "boundary: needs one of logistic, svc, found 'tree'"),
        ({"width": -1.0}, "width: needs a number of at least 0, found -1.0"),
        ({"ridge": 0.0}, "ridge: needs a number above 0, found 0.0"),
        ({"convex": ["wood"]}, r"convex: needs names of classes \(insulator, metal\), found 'wood'"),
        ({"class_weight": "fair"}, "class_weight: needs 'balanced' or a weight for each class, found 'fair'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    X, y = planted()
    with pytest.raises(SettingsError, match=message):
        SISSOClassifier(rung=0, **settings).fit(X, y)


def test_one_class_is_refused():
    X, _ = planted()
    with pytest.raises(FitError, match="needs samples of at least two classes, found 1 class"):
        SISSOClassifier(rung=0).fit(X, np.repeat("metal", len(X)))


@pytest.mark.skipif(not PEROVSKITES.exists(), reason="needs ../shared/reference")
def test_perovskites_are_told_at_least_as_well_as_by_the_published_tolerance_factor():
    """576 ABX3: tau is right for 91.7 % (Bartel et al., Sci. Adv. 5, eaav0693 (2019), Table S1)."""
    rows = [line.split()[1:] for line in PEROVSKITES.read_text().splitlines() if line.strip()]
    X = pd.DataFrame(np.array(rows[1:], dtype=float), columns=[*(f"{name} (AA)" for name in rows[0][:3]), *rows[0][3:]])
    for one, two in (("rA", "rB"), ("rX", "rB"), ("rA", "rX")):
        X[f"{one}_{two}"] = X[f"{one} (AA)"] / X[f"{two} (AA)"]
    y = np.repeat(["perovskite", "other"], [313, 263])
    operators = ("add", "sub", "mult", "div", "inv", "sq", "cb", "sqrt", "log")
    model = SISSOClassifier(operators=operators, rung=2, dim=2, n_sis=50).fit(X, y)
    assert model.score(X, y) >= 0.917
