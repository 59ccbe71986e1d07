"""Ensembles of classifiers: calibrated probabilities, materials held out as a whole, the same for any number of threads."""

from pathlib import Path

import numpy as np
import pytest
from compiled import needs_compiled
from sklearn.utils.estimator_checks import parametrize_with_checks

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.class_calibration import ClassCalibration, ClassScaling
from sisso_sal.models.class_ensemble import SISSOClassifierEnsemble

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
    scaling = ClassScaling.fit(claimed, labels, np.ones(4000))
    assert scaling.factor == pytest.approx(1 / 3, rel=0.15)
    assert ClassCalibration.of(scaling.applied(claimed), labels).is_believable


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
