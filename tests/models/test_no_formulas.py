"""The learners without formulas: each learner as it is without them, and the same recalibration as of the ensemble."""

import re

import numpy as np
import pytest
from naive_process import twin_process
from sklearn.ensemble import ExtraTreesRegressor

from sisso_sal.data.table import Table
from sisso_sal.errors import FitError
from sisso_sal.models import correction
from sisso_sal.models.calibration import calibrate
from sisso_sal.models.correction import Correction
from sisso_sal.models.no_formulas import NoFormulas
from sisso_sal.models.process import ProcessLearner
from sisso_sal.models.shift import Shift
from sisso_sal.models.transform import TargetTransform
from sisso_sal.models.trees import without_last_bits
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.protocols import Continues, Described, HasOutOfBag, Surrogate
from sisso_sal.spaces.table import TableSpace


def oxides(n=40, seed=0):
    """Features, labels and formulas; rows in canonical order, by label."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 5, (n, 3)) * [1.0, 10.0, 0.1]
    y = np.sort(np.sin(X[:, 0]) + 0.1 * X[:, 1] + rng.normal(0, 0.05, n))
    metals = rng.choice(["Mg", "Ca", "Ti", "Zr", "Zn"], n)
    return X, y, [f"{metal}{i + 1}O{seed + 3}" for i, metal in enumerate(metals)]


def space_of(X, y=None, formulas=None):
    ids = tuple(f"m{i}" for i in range(len(X))) if formulas is None else tuple(formulas)
    return TableSpace(
        Table(
            path="made.csv", ids=ids, id_name="id", feature_names=("a", "b", "c"), feature_units=("eV", "", "AA"), features=X,
            target_name="y", target_unit="eV", target=y, text={"id": ids},
            headers={"id": "id", "y": "y (eV)", "a": "a (eV)", "b": "b", "c": "c (AA)"},
        )
    )  # fmt: skip


def fitted(surrogate, X, y, formulas=None):
    return surrogate.fit(space_of(X, y, formulas), np.arange(len(y)), y, np.zeros(len(y)))


def test_each_learner_is_the_one_of_the_correction_without_formula_and_trend(monkeypatch):
    monkeypatch.setattr(Shift, "measured", lambda *_: None)  # sigma is that of the learners
    (X, y, formulas), (new, _, others) = oxides(), oxides(9, seed=1)
    found = fitted(NoFormulas(seed=3), X, y, formulas)
    centre, spread = X.mean(axis=0), X.std(axis=0)
    rows, shares = (X - centre) / spread, atomic_fractions(tuple(formulas))
    asked, theirs = (new - centre) / spread, atomic_fractions(tuple(others))
    forest = ExtraTreesRegressor(100, bootstrap=True, random_state=3)
    forest.fit(rows, without_last_bits(y - y.mean(), np.ptp(y)))
    each = y.mean() + np.array([tree.predict(asked) for tree in forest.estimators_])
    means, stds = [each.mean(axis=0)], [each.std(axis=0, ddof=1)]
    processes = [one for one in found.correction._learners if isinstance(one, ProcessLearner)]
    for learner, weight in zip(processes, (0.0, 1.0, 4.0), strict=True):
        known, wanted = (
            np.hstack([a, weight * np.sqrt(3) * b]) if weight else a for a, b in ((rows, shares), (asked, theirs))
        )
        twin = twin_process(learner.process.kernel, learner.process.theta, known, y)
        mean, std = twin.predict(wanted, return_std=True)
        assert learner.process.kernel.trend is None
        means.append(mean)
        stds.append(std)
    weights = found.correction.weights
    mean = weights @ np.array(means)
    sigma = np.sqrt(weights @ (np.square(stds) + (np.array(means) - mean) ** 2))
    prediction = found.predict(space_of(new, formulas=others), np.arange(9))
    assert prediction.mean == pytest.approx(mean, rel=1e-6)
    assert prediction.std_raw == pytest.approx(sigma, rel=1e-5)


@pytest.mark.parametrize("kind", ["trees", "process", "both"])
def test_it_is_a_correction_without_formulas_and_recalibrated_by_its_left_out_errors(kind):
    (X, y, formulas), (new, _, others) = oxides(), oxides(9, seed=1)
    found = fitted(NoFormulas(kind, seed=3), X, y, formulas)
    alone = Correction(kind, X, None, y, 3, atomic_fractions(tuple(formulas)))
    mean, raw = alone.predict(new, None, atomic_fractions(tuple(others)))
    floor = 0.0 if y.min() > 0 else -np.inf
    calibration, recalibration = calibrate(y, alone.left_out_mean, alone.left_out_std, "isotonic", floor=floor)
    expected = recalibration.distribution(mean, raw, floor)
    prediction = found.predict(space_of(new, formulas=others), np.arange(9))
    assert np.array_equal(prediction.std_raw, raw)
    assert np.array_equal(prediction.mean, expected.mean)
    assert np.array_equal(prediction.std, expected.std)
    for end, own in zip(prediction.interval95, expected.interval(0.95), strict=True):
        assert np.array_equal(end, own)
    assert np.array_equal(found.out_of_bag[0], alone.left_out_mean)
    told = calibration.as_dict()
    materials = {"n_labels": 40, "n": 40, "by": "composition", "column": "", "near": None}
    shift = alone.shift.as_dict(y, lambda values: values) if alone.shift else None
    assert (shift is None) == (kind == "trees")
    described = {
        "correction": kind,
        "sigma": "recalibrated",
        "calibration": told,
        "shift": shift,
        "materials": materials,
    }
    assert found.describe(space_of(X)) == described


def test_left_out_predictions_are_in_the_order_of_the_rows_that_were_asked_for():
    X, y, formulas = oxides()
    mixed = np.random.default_rng(1).permutation(40)
    space = space_of(X, y, formulas)
    first, again = (NoFormulas().fit(space, rows, y[rows], np.zeros(40)).out_of_bag for rows in (np.arange(40), mixed))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one[mixed], other)


def test_labels_are_learned_on_the_transformed_scale():
    (X, y, _), (new, _, _) = oxides(), oxides(9, seed=1)
    found = fitted(NoFormulas(transform="yeo-johnson", recalibrate="none"), X, y)
    link = TargetTransform.fit("yeo-johnson", y)
    alone = Correction("both", X, None, link.forward(y), 0)
    mean, std = link.back(*alone.predict(new, None))
    prediction = found.predict(space_of(new), np.arange(9))
    assert np.array_equal(prediction.mean, mean)
    assert np.array_equal(prediction.std, std)
    assert found.describe(space_of(X))["sigma"] == "raw"


def test_it_fits_the_seams():
    X, y, _ = oxides()
    found = fitted(NoFormulas(), X, y)
    for seam in (Surrogate, HasOutOfBag, Continues, Described):
        assert isinstance(found, seam)


def test_it_begins_where_an_earlier_one_ended(monkeypatch):
    monkeypatch.setattr(correction, "HANDED_OVER_FROM", 25)
    X, y, formulas = oxides(31)
    first = fitted(NoFormulas(), X[:30], y[:30], formulas[:30])
    later, fresh = NoFormulas(), fitted(NoFormulas(), X, y, formulas)
    later.begin_from(first.handover())
    fitted(later, X, y, formulas)
    assert (later.handover()["n_fresh"], fresh.handover()["n_fresh"]) == (30, 31)
    assert later.handover()["theta"] != fresh.handover()["theta"]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_labels_are_learned_too(n):
    X, y, formulas = oxides()
    found = fitted(NoFormulas(), X[:n], y[:n], formulas[:n])
    prediction = found.predict(space_of(X, formulas=formulas), np.arange(40))
    assert np.isfinite(prediction.mean).all()
    assert np.isfinite(prediction.std).all()


def test_members_are_draws_by_the_recalibrated_sigma():
    (X, y, _), (new, _, _) = oxides(), oxides(2000, seed=1)
    prediction = fitted(NoFormulas(), X, y).predict(space_of(new), np.arange(2000))
    z = (prediction.members - prediction.mean) / prediction.std
    assert z.shape == (30, 2000)
    assert (z.mean(), z.std()) == pytest.approx((0.0, 1.0), abs=0.02)


def test_a_gap_among_the_features_of_a_label_is_refused():
    X, y, _ = oxides()
    X[3, 1] = np.nan
    with pytest.raises(FitError, match=f"^{re.escape('feature ' + repr('b') + ': needs finite numbers, found a gap')}"):
        fitted(NoFormulas(), X, y)
