"""Gross outliers: Huber's loss and transforms against naive twins, and planted laws that one wrong label must not spoil."""

from functools import cache

import numpy as np
import pytest

from sisso_sal.models.calibration import calibrate
from sisso_sal.models.correction import Correction
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.robust import HUBER, huber_weights, pseudo_observations, weighted_median

SETTINGS = {
    "members": 10, "rung": 1, "dim": 2, "n_sis": 8, "dropout": 0.0, "operators": ("add", "sub", "mult", "div", "sq"), "threads": 1,
}  # fmt: skip
OUTLIERS = (40.0, 100.0, 1e9)
PLACES = (5, 17)


def law(n, seed, noise=0.1):
    """Two terms of three of six columns, 2.7 to 8.8 eV, with noise and without."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 3, (n, 6))
    truth = 0.8 * X[:, 0] * X[:, 1] + 2.0 / X[:, 2]
    return X, truth + noise * rng.normal(size=n), truth


def fitted(outlier=None, at=5, **options):
    X, y, _ = law(30, 0)
    if outlier:
        y[at] = outlier
    return SISSOEnsemble(**SETTINGS | options).fit(X, y)


@cache
def error(outlier=None, at=5, **options):
    """Mean absolute error on new rows, all of which have a prediction but for one in a hundred."""
    new, _, truth = law(200, 1)
    off = np.abs(fitted(outlier, at, **options).predict(new) - truth)
    assert np.isnan(off).sum() <= 2
    return np.nanmean(off)


@pytest.mark.parametrize("seed", range(4))
def test_a_weighted_median_is_that_of_repeated_values(seed):
    rng = np.random.default_rng(seed)
    values, counts = rng.normal(size=13), rng.integers(0, 4, 13)
    repeated = np.sort(np.repeat(values, counts))
    assert weighted_median(values, counts.astype(float)) == repeated[(len(repeated) - 1) // 2]


def test_weights_and_pseudo_observations_of_each_label():
    rng = np.random.default_rng(0)
    target, predicted, weights = rng.standard_t(2, 41), np.zeros(41), rng.integers(1, 3, 41).astype(float)
    deviation = 1.4826 * np.sort(np.repeat(np.abs(target), weights.astype(int)))[(int(weights.sum()) - 1) // 2]
    found = huber_weights(target, weights)
    plain = 1.4826 * np.median(np.abs(target))
    cut = pseudo_observations(3.0 + target, 3.0 + predicted)
    for i, residual in enumerate(target):
        assert found[i] == pytest.approx(weights[i] * min(1.0, HUBER * deviation / abs(residual)), rel=1e-12)
        expected = np.sign(residual) * min(abs(residual), HUBER * plain)
        assert cut[i] == pytest.approx(3.0 + expected, rel=1e-12)
    assert 3 < (found < weights).sum() < 20


def test_the_influence_of_a_label_is_bounded():
    """Weight times residual, which is what a least-squares fit feels, and the pseudo-observation stop growing."""
    residual = np.append(np.linspace(-1, 1, 20), 0.0)
    felt = []
    for far in (10.0, 1e4, 1e12):
        residual[-1] = far
        felt.append((huber_weights(residual, np.ones(21))[-1] * far, pseudo_observations(residual, np.zeros(21))[-1]))
    np.testing.assert_allclose(felt, [felt[0]] * 3, rtol=1e-12)


def test_without_a_scale_labels_count_as_they_are_and_those_that_are_missed_are_what_is_predicted():
    target = np.array([2.0, 2.0, 2.0, 2.0, 50.0])
    np.testing.assert_array_equal(huber_weights(target - 2.0, np.ones(5)), np.ones(5))
    np.testing.assert_array_equal(pseudo_observations(target, np.full(5, 2.0)), np.full(5, 2.0))


def test_members_are_reweighted_from_the_median_on(drawn):
    """One term: weighted least squares by hand, first about the median of the target, then twice about the line."""
    X, _, _ = law(40, 3)
    y = X[:, 0] * X[:, 1] + 0.1 * np.random.default_rng(9).standard_t(3, 40)
    y[7] = 60.0
    order = np.argsort(y)
    X, y = X[order], y[order]
    options = {"rung": 1, "dim": 1, "operators": ("mult",), "loss": "huber", "correction": "none", "members": 6}
    ensemble = SISSOEnsemble(**SETTINGS | options).fit(X, y)
    design = np.column_stack([np.ones(40), X[:, 0] * X[:, 1]])
    for member, problem in zip(ensemble.members_, drawn, strict=True):
        assert [str(term.expression) for term in member.terms] == ["x0*x1"]
        repeated = np.sort(np.repeat(y, problem.weights.astype(int)))
        residual, found = y - repeated[(len(repeated) - 1) // 2], []
        for _ in range(3):
            root = np.sqrt(huber_weights(residual, problem.weights))
            found.append(np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0])
            residual = y - design @ found[-1]
        assert [member.intercept, member.terms[0].coefficient] == pytest.approx(found[-1], rel=1e-8)
        if problem.weights[y == 60.0]:
            assert abs(found[-1][1] - found[-2][1]) > 1e-5


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("outlier", OUTLIERS)
@pytest.mark.parametrize("correction", ["none", "both"])
def test_with_hubers_loss_one_gross_outlier_hardly_harms(correction, outlier, at):
    clean = error(loss="huber", correction=correction)
    assert clean < 0.12
    assert error(outlier, at, loss="huber", correction=correction) < clean + 0.05


@pytest.mark.parametrize("kind", ["log", "yeo-johnson"])
@pytest.mark.parametrize("outlier", OUTLIERS)
def test_a_correction_does_not_undo_a_transform(kind, outlier):
    for at in PLACES:
        alone, corrected = (error(outlier, at, target_transform=kind, correction=name) for name in ("none", "both"))
        assert corrected < 3 * alone


def test_with_both_a_gross_outlier_hardly_harms():
    options = {"target_transform": "log", "loss": "huber"}
    for at in PLACES:
        assert error(1e9, at, **options) < error(**options) + 0.05


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("kind", ["none", "log", "yeo-johnson"])
def test_the_correction_is_one_that_was_given_transformed_labels(kind, loss):
    """Built by hand from the out-of-bag formulas; sigma goes back label by label."""
    X, y, _ = law(40, 4, noise=0.5)
    y[3] = 60.0
    ensemble, alone = (
        SISSOEnsemble(**SETTINGS, target_transform=kind, loss=loss, correction=name).fit(X, y)
        for name in ("both", "none")
    )
    link, formula = ensemble.members_[0].link, alone.oob_mean_
    rows = np.array(sorted(np.flatnonzero(np.isfinite(formula)), key=lambda i: (y[i], *X[i])))
    given, labels = (np.array([link.forward(np.array([v]))[0] for v in values[rows]]) for values in (formula, y))
    residual = labels - given
    if loss == "huber":
        most = 1.345 * 1.4826 * np.median(np.abs(residual))
        labels = given + np.array([min(max(r, -most), most) for r in residual])
    twin = Correction("both", X[rows], given, labels, 0)
    new = law(60, 5)[0]
    found, formulas = ensemble.predict_distribution(new), alone.predict_distribution(new)
    mean, std = twin.predict(new, link.forward(formulas.mean))
    for got, low, middle, high in zip(
        np.column_stack([found.mean, found.std_raw]), mean - std, mean, mean + std, strict=True
    ):
        ends = [float(link.inverse(np.array([value]))[0]) for value in (low, middle, high)]
        expected = (ends[1], (ends[2] - ends[0]) / 2) if np.isfinite(ends).all() else (np.nan, np.nan)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    expected, _ = calibrate(y[rows], ensemble.oob_mean_[rows], ensemble.oob_std_[rows], floor=ensemble.model_.floor)
    for name in ("n", "rmse", "mae", "coverage95", "scale"):
        assert getattr(ensemble.calibration_, name) == pytest.approx(getattr(expected, name), rel=1e-6)
    assert ensemble.calibration_.rmse > 5  # the outlier is judged as it was labelled
    np.testing.assert_allclose(ensemble.oob_mean_[rows], link.back(twin.left_out_mean, twin.left_out_std)[0], rtol=1e-6)


def test_of_a_logarithm_a_target_multiplied_by_a_constant_is_predicted_multiplied_by_it():
    X, y, _ = law(40, 2)
    new = law(80, 3)[0]
    for loss in ("squared", "huber"):
        one, more = (
            SISSOEnsemble(**SETTINGS, target_transform="log", loss=loss).fit(X, factor * y).predict_distribution(new)
            for factor in (1.0, 1e3)
        )
        assert np.isfinite(one.mean).all()
        for name in ("mean", "std", "std_raw", "interval95", "formulas_mean", "members"):
            np.testing.assert_allclose(getattr(more, name), 1e3 * np.array(getattr(one, name)), rtol=1e-4, err_msg=name)


def test_what_has_no_inverse_is_not_predicted():
    """Labels a tenth of the law's width wide cover little of what is asked for: the rest has neither mean nor sigma."""
    X, y, truth = law(300, 6)
    narrow = np.abs(truth - np.median(truth)) < 0.3
    ensemble = SISSOEnsemble(**SETTINGS, target_transform="log").fit(X[narrow], y[narrow])
    found = ensemble.predict_distribution(X)
    gone = np.isnan(found.mean)
    assert 10 < gone.sum() < 290
    for values in (found.std, found.std_raw, *found.interval95, found.told.median):
        np.testing.assert_array_equal(np.isnan(values), gone)
    low, high = (np.exp(edge) for edge in ensemble.members_[0].link.limits)
    assert ((found.mean - found.std_raw)[~gone] > low - 0.5).all()
    assert ((found.mean + found.std_raw)[~gone] < high + 0.5).all()
