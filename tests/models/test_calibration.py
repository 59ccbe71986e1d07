"""Coverage, miscalibration area, likelihood and recalibration as theorems, and against uncertainty-toolbox and MAPIE."""

import json
import re

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mapie.conformity_scores import ResidualNormalisedScore
from mapie.regression import SplitConformalRegressor
from scipy.stats import binom, norm, rankdata, spearmanr
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from uncertainty_toolbox import metrics_calibration, metrics_scoring_rule
from uncertainty_toolbox.recalibration import get_interval_recalibrator

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models.calibration import (
    LEVELS,
    Calibration,
    area,
    calibrate,
    coverage,
    coverage_curve,
    error_against_sigma,
    mean_squared_z,
    miscalibration_area,
    negative_log_likelihood,
    noise_floor,
    rank_correlation,
    ranks,
    sharpness,
)
from sisso_sal.models.recalibration import KINDS, ONE_SIGMA, Recalibration, held_out_quantiles


def heavy_tailed(n, seed=0):
    """Errors that follow sigma, with tails far from Gaussian; and sigma."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.5, 2.0, n)
    return rng.standard_t(3, n) * sigma, sigma


def quantiles(n):
    """A perfectly Gaussian sample: n quantiles of the standard normal distribution."""
    return norm.ppf((np.arange(n) + 0.5) / n)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.68, 0.95])
def test_coverage_of_gaussian_errors_is_the_level(level):
    assert coverage(quantiles(10_000), np.ones(10_000), level) == pytest.approx(level, abs=2e-4)


def test_coverage_by_hand():
    errors, sigma = np.array([0.0, 1.0, -1.9, 2.0, -4.0]), np.array([1.0, 1.0, 1.0, 1.0, 2.0])
    assert coverage(errors, sigma, 0.95) == 0.6  # 1.96 sigma: 2.0 and -4.0/2 are out
    assert coverage(errors, sigma, 0.96) == 1.0


def test_coverage_grows_with_the_level_and_with_sigma():
    rng = np.random.default_rng(0)
    errors, sigma = rng.normal(0, 1, 200), rng.uniform(0.5, 2, 200)
    shares = [coverage(errors, sigma, level) for level in LEVELS]
    assert shares == sorted(shares)
    assert coverage(errors, 2 * sigma, 0.5) > coverage(errors, sigma, 0.5) > coverage(errors, sigma / 2, 0.5)


def test_coverage_depends_on_the_ratio_alone():
    rng = np.random.default_rng(0)
    errors, sigma = rng.normal(0, 1, 50), rng.uniform(0.5, 2, 50)
    assert coverage(1e3 * errors, 1e3 * sigma, 0.7) == coverage(-errors, sigma, 0.7) == coverage(errors, sigma, 0.7)


def test_area_of_perfect_sigma_is_zero():
    assert miscalibration_area(quantiles(20_000), np.ones(20_000)) < 1e-4
    assert miscalibration_area(3.0 * quantiles(20_000), np.full(20_000, 3.0)) < 1e-4


@pytest.mark.parametrize("factor", [1e9, 1e-9])
def test_area_is_one_half_at_worst(factor):
    """All or none covered: the gap runs over the whole triangle, less the end pieces of the hundred levels."""
    assert miscalibration_area(quantiles(1000), np.full(1000, factor)) == pytest.approx(0.5, abs=0.006)


@pytest.mark.parametrize("factor", [0.4, 0.7, 1.5, 3.0])
def test_area_of_a_sigma_that_is_off_by_a_factor(factor):
    """Observed coverage of nominal p is erf of the factor times the quantile: the area is an integral over p."""
    p = np.linspace(0, 1, 100_001)[1:-1]
    observed = 2 * norm.cdf(factor * norm.ppf(0.5 + p / 2)) - 1
    expected = np.trapezoid(np.abs(observed - p), p)
    assert miscalibration_area(quantiles(20_000), np.full(20_000, factor)) == pytest.approx(expected, rel=5e-3)


def test_area_of_few_honest_samples_is_a_third_over_the_square_root():
    rng = np.random.default_rng(3)
    areas = [miscalibration_area(rng.normal(0, 1, 50), np.ones(50)) for _ in range(400)]
    assert np.mean(areas) == pytest.approx(0.31 / np.sqrt(50), rel=0.06)


def scale_of(errors, sigma):
    return Recalibration.fit("scale", errors, sigma).scale


def test_scale_gives_the_errors_unit_mean_square():
    rng = np.random.default_rng(0)
    errors, sigma = rng.normal(0, 1, 300), rng.uniform(0.1, 2, 300)
    scale = scale_of(errors, sigma)
    assert np.mean((errors / (scale * sigma)) ** 2) == pytest.approx(1.0, rel=1e-12)
    assert scale_of(errors, scale * sigma) == pytest.approx(1.0, rel=1e-12)
    assert scale_of(5.0 * errors, sigma) == pytest.approx(5.0 * scale, rel=1e-12)
    assert scale_of(errors, 5.0 * sigma) == pytest.approx(scale / 5.0, rel=1e-12)


def test_scale_maximises_the_likelihood():
    rng = np.random.default_rng(1)
    errors, sigma = rng.normal(0, 2, 100), rng.uniform(0.5, 1.5, 100)
    scale = scale_of(errors, sigma)
    likelihood = [norm.logpdf(errors, scale=s * sigma).sum() for s in (0.99 * scale, scale, 1.01 * scale)]
    assert likelihood[1] > max(likelihood[0], likelihood[2])


def test_scale_leaves_out_sigmas_of_zero():
    assert scale_of(np.array([5.0, 2.0]), np.array([0.0, 1.0])) == pytest.approx(2.0, rel=1e-15)
    with pytest.raises(FitError, match=r"^calibration: needs at least one sample with a spread above 0, found none$"):
        scale_of(np.ones(2), np.zeros(2))


def test_coverage_curve_is_that_of_the_toolbox():
    errors, sigma = heavy_tailed(230)
    nominal, observed = metrics_calibration.get_proportion_lists_vectorized(
        np.zeros(230), sigma, errors, num_bins=101, prop_type="interval"
    )
    np.testing.assert_allclose(nominal[1:-1], LEVELS, rtol=1e-12)
    widths = norm.ppf(0.5 + LEVELS / 2)[:, None] * sigma
    np.testing.assert_array_equal(coverage_curve(errors, widths), observed[1:-1])
    np.testing.assert_array_equal(coverage_curve(errors, widths), [coverage(errors, sigma, p) for p in LEVELS])


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_area_is_that_of_the_toolbox(factor):
    """Both take the gap at the same levels; between two of opposite sign the toolbox cuts two triangles, at most 0.01 * gap/2."""
    errors, sigma = heavy_tailed(230)
    given = np.zeros(230), factor * sigma, errors
    found = miscalibration_area(errors, factor * sigma)
    mean_gap = metrics_calibration.mean_absolute_calibration_error(*given, num_bins=101, vectorized=True)
    assert found == pytest.approx(1.01 * mean_gap, rel=1e-12)
    theirs = metrics_calibration.miscalibration_area(*given, num_bins=101, vectorized=True)
    assert theirs <= found + 1e-12
    assert found == pytest.approx(theirs, abs=2e-4)
    assert found == pytest.approx(metrics_calibration.miscalibration_area(*given), abs=5e-3)


def test_area_of_a_curve_by_hand():
    assert area(LEVELS) == 0.0
    assert area(LEVELS**2) == pytest.approx(1 / 6, abs=1e-4)
    assert area(2 * LEVELS - LEVELS**2) == pytest.approx(1 / 6, abs=1e-4)
    assert area(np.ones(99)) == area(np.zeros(99)) == pytest.approx(0.495)


def test_sharpness_and_likelihood_are_those_of_the_toolbox():
    errors, sigma = heavy_tailed(90)
    assert sharpness(sigma) == pytest.approx(metrics_calibration.sharpness(sigma), rel=1e-14)
    expected = metrics_scoring_rule.nll_gaussian(np.zeros(90), sigma, errors)
    assert negative_log_likelihood(errors, sigma) == pytest.approx(expected, rel=1e-12)


def test_likelihood_of_a_sigma_of_zero():
    one = np.ones(1)
    assert negative_log_likelihood(one, 0 * one) == np.inf
    assert negative_log_likelihood(0 * one, 0 * one) == -np.inf
    assert negative_log_likelihood(np.array([1.0, 0.0]), np.zeros(2)) == np.inf
    assert negative_log_likelihood(one, 1e-200 * one) == np.inf


def test_mean_squared_z_by_hand():
    assert mean_squared_z(np.array([1.0, 6.0, 9.0]), np.array([1.0, 2.0, 0.0])) == 5.0
    assert np.isnan(mean_squared_z(np.ones(2), np.zeros(2)))


def test_ranks_are_those_of_scipy():
    rng = np.random.default_rng(3)
    for values in (
        rng.normal(size=50),
        rng.integers(0, 5, 50).astype(float),
        np.ones(4),
        np.array([0.0, -0.0, 1.0]),
        np.zeros(0),
    ):
        assert ranks(values).tolist() == rankdata(values).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlation_is_that_of_spearman_with_ties(seed):
    rng = np.random.default_rng(seed)
    errors, sigma = rng.integers(-3, 4, 40).astype(float), rng.integers(1, 5, 40).astype(float)
    assert rank_correlation(errors, sigma) == pytest.approx(spearmanr(sigma, np.abs(errors)).statistic, abs=1e-12)
    assert np.isnan(rank_correlation(errors, np.ones(40)))
    assert np.isnan(rank_correlation(np.ones(40), sigma))


def test_error_against_sigma_by_hand():
    errors = np.array([9.0, 1.0, -3.0, 4.0, 0.0])
    rows = error_against_sigma(errors, np.array([5.0, 1.0, 2.0, 2.0, 4.0]), bins=2)
    assert [row["n"] for row in rows] == [3, 2]
    np.testing.assert_allclose([row["sigma"] for row in rows], np.sqrt([9 / 3, 41 / 2]))
    np.testing.assert_allclose([row["rmse"] for row in rows], np.sqrt([26 / 3, 81 / 2]))
    assert [row["n"] for row in error_against_sigma(errors[:2], np.ones(2), bins=5)] == [1, 1]
    assert error_against_sigma(np.empty(0), np.empty(0)) == []


def test_error_against_sigma_shares_out_every_sample():
    errors, sigma = heavy_tailed(103)
    rows = error_against_sigma(errors, sigma, bins=10)
    assert sorted(row["n"] for row in rows) == [10] * 7 + [11] * 3
    widths = [row["sigma"] for row in rows]
    assert widths == sorted(widths)
    assert sum(row["n"] * row["rmse"] ** 2 for row in rows) == pytest.approx((errors**2).sum(), rel=1e-12)


@pytest.mark.parametrize("n", [20, 100, 1000, 20_000])
def test_noise_floor_is_that_of_a_brownian_bridge(n):
    mean, high = noise_floor(n)
    assert mean == pytest.approx(np.sqrt(np.pi / 32) / np.sqrt(n), rel=0.03)
    assert 1.5 * mean < high < 2.5 * mean


@pytest.mark.parametrize("n", [30, 200])
def test_one_calibrated_sigma_in_twenty_exceeds_the_noise_floor(n):
    rng, draws = np.random.default_rng(1), 1500
    sigma = rng.uniform(0.5, 2.0, n)
    areas = [miscalibration_area(rng.normal(0, 1, n) * sigma, sigma) for _ in range(draws)]
    low, high = binom.interval(0.9999, draws, 0.05)
    assert low - 10 <= np.sum(np.array(areas) > noise_floor(n)[1]) <= high + 10  # 10: the floor itself is drawn
    assert np.mean(areas) == pytest.approx(noise_floor(n)[0], rel=0.06)


@pytest.mark.parametrize("n", [1, 2, 7, 41, 100, 999, 1000, 1500])
def test_noise_floor_has_the_digits_of_its_plain_twin(n):
    assert noise_floor(n) == naive.noise_floor(n)


def test_noise_floor_of_nothing():
    with pytest.raises(FitError, match=r"^noise floor: needs at least one sample, found 0$"):
        noise_floor(0)


FEW = np.array([0.05, 0.3, ONE_SIGMA, 0.9, 0.95, 0.99])


def test_no_recalibration_is_gaussian():
    found = Recalibration.fit("none", *heavy_tailed(50))
    np.testing.assert_allclose(found.quantile(FEW), norm.ppf(0.5 + FEW / 2), rtol=1e-12)
    np.testing.assert_array_equal(found.quantile(FEW), Recalibration().quantile(FEW))
    assert found.scale == pytest.approx(1.0, rel=1e-15)


def test_scale_gives_unit_mean_squared_z():
    errors, sigma = heavy_tailed(50)
    found = Recalibration.fit("scale", errors, sigma)
    assert mean_squared_z(errors, found.std(sigma)) == pytest.approx(1.0, rel=1e-12)
    assert found.scale == pytest.approx(np.sqrt(mean_squared_z(errors, sigma)), rel=1e-12)
    np.testing.assert_allclose(found.quantile(FEW), found.scale * norm.ppf(0.5 + FEW / 2), rtol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("n", [300, 3000])
def test_isotonic_is_that_of_the_toolbox(n, factor):
    """As nominal probabilities, within the toolbox's grid of a hundredth."""
    errors, sigma = heavy_tailed(n)
    theirs = get_interval_recalibrator(np.zeros(n), sigma, factor * errors)
    found = Recalibration.fit("isotonic", factor * errors, sigma)
    for level in np.linspace(0.05, 0.95, 19):
        expected = norm.cdf(theirs(np.zeros(1), np.ones(1), level).upper[0])
        assert 2 * norm.cdf(found.quantile(level)) - 1 == pytest.approx(2 * expected - 1, abs=0.0101)


def test_isotonic_makes_observed_coverage_nominal():
    errors, sigma = heavy_tailed(2000)
    found = Recalibration.fit("isotonic", errors, sigma)
    observed = coverage_curve(errors, found.quantile(LEVELS)[:, None] * sigma)
    np.testing.assert_allclose(observed, LEVELS, atol=1e-3)


def test_isotonic_is_linear_between_scores_and_gaussian_beyond():
    found = Recalibration.fit("isotonic", np.array([1.0, 2.0, 6.0]), np.ones(3))
    np.testing.assert_allclose(found.quantile(np.array([0.0, 0.125, 0.25, 0.5, 0.625, 0.75])), [0, 0.5, 1, 2, 4, 6])
    beyond = np.array([0.8, 0.99])
    np.testing.assert_allclose(found.quantile(beyond), 6 * norm.ppf(0.5 + beyond / 2) / norm.ppf(0.875), rtol=1e-12)


class FirstColumn(RegressorMixin, BaseEstimator):
    """Predicts the first feature; MAPIE asks it for sigma."""

    fitted_ = True

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0]


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("n", [20, 137, 1000])
def test_conformal_is_that_of_mapie(n, normalised):
    errors, sigma = heavy_tailed(n)
    levels = [0.1, 0.5, 0.68, 0.81, 0.93] + [0.99] * (n > 99)
    score = ResidualNormalisedScore(residual_estimator=FirstColumn(), prefit=True) if normalised else "absolute"
    nothing = DummyRegressor(strategy="constant", constant=0.0).fit(np.zeros((1, 1)), [0.0])
    theirs = SplitConformalRegressor(nothing, confidence_level=levels, conformity_score=score, prefit=True)
    theirs.conformalize(sigma[:, None], errors)
    fresh = np.array([0.7, 1.0, 3.0])
    _, bounds = theirs.predict_interval(fresh[:, None])
    found = Recalibration.fit("conformal", errors, sigma if normalised else np.ones(n))
    widths = [found.half_width(level, fresh if normalised else np.ones(3)) for level in levels]
    np.testing.assert_allclose(np.transpose(widths), bounds[:, 1], rtol=1e-12)
    np.testing.assert_allclose(np.transpose(widths), -bounds[:, 0], rtol=1e-12)


@pytest.mark.parametrize("n", [1, 9, 20, 137])
def test_conformal_takes_the_score_of_the_right_rank(n):
    """ceil((n + 1) p) in whole numbers, for p in thousandths; infinite where n samples do not suffice."""
    found = Recalibration.fit("conformal", np.arange(1.0, n + 1), np.ones(n))
    for thousandths in range(1, 1000):
        rank = -(-(n + 1) * thousandths // 1000)
        assert found.quantile(thousandths / 1000) == (rank if rank <= n else np.inf)
    ranks = np.arange(1, n + 1)
    np.testing.assert_array_equal(found.quantile(ranks / (n + 1)), ranks)
    np.testing.assert_array_equal(found.quantile(ranks[:-1] / (n + 1) + 1e-9), ranks[1:])
    assert found.quantile(n / (n + 1) + 1e-9) == found.quantile(1.0) == np.inf
    assert (found.quantile(0.0), found.quantile(1e-300), found.quantile(1e-12)) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("n", [19, 40])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_conformal_covers_fresh_samples_of_any_distribution(n, level):
    """Papadopoulos et al.: exchangeable samples are covered with ceil((n + 1) p)/(n + 1), whatever their tails."""
    rng, repeats, covered = np.random.default_rng(n), 3000, 0
    for _ in range(repeats):
        sigma = rng.uniform(0.5, 2.0, n + 1)
        errors = rng.standard_cauchy(n + 1) * rng.uniform(0.1, 3.0, n + 1)
        found = Recalibration.fit("conformal", errors[:n], sigma[:n])
        covered += abs(errors[n]) <= found.half_width(level, sigma[n:])[0]
    exact = np.ceil((n + 1) * level - 1e-9) / (n + 1)
    low, high = binom.interval(0.9999, repeats, exact)
    assert low <= covered <= high
    assert exact >= level - 1e-12


def test_gaussian_intervals_do_not_cover_heavy_tails():
    errors, sigma = heavy_tailed(2000)
    scaled, conformal = (calibrate(errors, sigma, kind)[0] for kind in ("scale", "conformal"))
    assert scaled.miscalibration_area > 2 * scaled.noise_floor95
    assert conformal.miscalibration_area < conformal.noise_floor95


FINITE = st.floats(-1e6, 1e6)
SAMPLES = st.integers(1, 40).flatmap(
    lambda n: st.tuples(arrays(float, n, elements=FINITE), arrays(float, n, elements=st.floats(1e-3, 1e3)))
)


@pytest.mark.parametrize("kind", KINDS)
@given(samples=SAMPLES, levels=st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=2, max_size=12))
@settings(deadline=None)
def test_quantile_grows_with_the_level_and_is_never_negative(kind, samples, levels):
    found = Recalibration.fit(kind, *samples)
    levels = np.sort(levels)
    widths = found.quantile(levels)
    assert widths.shape == levels.shape
    assert (widths >= 0).all()
    assert (widths[1:] >= widths[:-1] * (1 - 1e-12)).all()
    np.testing.assert_array_equal(widths, [found.quantile(level) for level in levels])


@pytest.mark.parametrize("kind", ["scale", "isotonic"])
def test_errors_of_zero_have_intervals_of_zero_at_every_level_below_one(kind):
    found = Recalibration.fit(kind, np.zeros(3), np.ones(3))
    assert found.quantile(np.array([0.0, 0.5, 1 - 1e-16, np.nextafter(1.0, 0.0)])).tolist() == [0.0] * 4


@pytest.mark.parametrize("kind", KINDS)
@given(samples=SAMPLES)
@settings(deadline=None)
def test_recalibration_through_json_is_the_same(kind, samples):
    found = Recalibration.fit(kind, *samples)
    assert Recalibration.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("kind", KINDS)
def test_recalibration_depends_on_the_ratio_alone(kind):
    errors, sigma = heavy_tailed(50)
    found = Recalibration.fit(kind, errors, sigma)
    for same in (
        Recalibration.fit(kind, -8.0 * errors, 8.0 * sigma),
        Recalibration.fit(kind, errors[::-1], sigma[::-1]),
    ):
        assert same == found
    wider = Recalibration.fit(kind, errors, sigma / 4)
    factor = 1.0 if kind == "none" else 4.0
    np.testing.assert_allclose(wider.quantile(FEW), factor * found.quantile(FEW), rtol=1e-12)


def test_samples_without_a_sigma_teach_nothing():
    errors, sigma = np.array([1.0, 2.0, 3.0, np.nan, 5.0]), np.array([1.0, 0.0, np.nan, 1.0, 2.0])
    assert Recalibration.fit("conformal", errors, sigma).scores == (1.0, 2.5)


def test_scale_is_finite_where_the_interval_of_one_sigma_is_not():
    found = Recalibration.fit("conformal", np.array([3.0, 4.0]), np.ones(2))
    assert found.quantile(ONE_SIGMA) == np.inf
    assert found.scale == pytest.approx(np.sqrt(12.5))
    np.testing.assert_array_equal(found.half_width(0.95, np.array([0.0, 1.0, np.nan])), [0.0, np.inf, np.nan])


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_quantiles_do_not_depend_on_the_own_error(kind):
    errors, sigma = heavy_tailed(40)
    before = held_out_quantiles(kind, errors, sigma, FEW)
    assert before.shape == (6, 40)
    changed = []
    for sample in range(40):
        other = errors.copy()
        other[sample] = 1e3
        after = held_out_quantiles(kind, other, sigma, FEW)
        np.testing.assert_array_equal(after[:, sample], before[:, sample])
        changed.append((after != before).any(axis=0).sum())
    assert set(changed) == ({0} if kind == "none" else {36})  # all but the four of its part


@pytest.mark.parametrize("kind", KINDS)
def test_few_samples_are_not_parted(kind):
    errors, sigma = heavy_tailed(19)
    found = held_out_quantiles(kind, errors, sigma, FEW)
    np.testing.assert_array_equal(
        found, np.repeat(Recalibration.fit(kind, errors, sigma).quantile(FEW)[:, None], 19, axis=1)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-9, 1.0, 50.0, 1e12])
def test_calibration_of_few_samples_in_any_unit(kind, size):
    """Twenty samples are too few for some levels: their intervals are infinite, without a warning."""
    errors, sigma = heavy_tailed(20)
    sigma[3] = 0.0
    found, recalibration = calibrate(size * errors, size * sigma, kind)
    same, _ = calibrate(errors, sigma, kind)
    assert found.coverage95 == same.coverage95
    assert found.miscalibration_area == pytest.approx(same.miscalibration_area, rel=1e-12)
    assert found.scale == recalibration.scale == pytest.approx(same.scale, rel=1e-12)
    assert (found.sharpness, found.rmse) == pytest.approx((size * same.sharpness, size * same.rmse), rel=1e-12)
    assert found.coverage95 < 1.0  # the sample whose sigma is 0


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_calibration_mends_a_sigma_that_is_off_by_a_factor(factor, kind):
    rng = np.random.default_rng(2)
    sigma = rng.uniform(0.5, 2, 2000)
    errors = rng.normal(0, 1, 2000) * sigma * factor
    found, _ = calibrate(errors, sigma, kind)
    assert found.scale == pytest.approx(factor, rel=0.05)
    assert found.coverage95 == pytest.approx(0.95, abs=0.02)
    assert found.coverage95_raw == pytest.approx(2 * norm.cdf(1.96 / factor) - 1, abs=0.02)
    assert found.miscalibration_area < 0.02
    assert found.mean_squared_z == pytest.approx(1.0, rel=1e-12 if kind == "scale" else 0.1)
    assert (found.n, found.kind) == (2000, kind)


def test_no_recalibration_leaves_the_figures_as_they_are():
    errors, sigma = heavy_tailed(60)
    found, recalibration = calibrate(errors, sigma, "none")
    assert found.coverage95 == found.coverage95_raw == coverage(errors, sigma, 0.95)
    assert found.miscalibration_area == found.miscalibration_area_raw == miscalibration_area(errors, sigma)
    assert found.scale == recalibration.scale == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_is_made_of_the_functions(kind):
    errors, sigma = heavy_tailed(60)
    found, recalibration = calibrate(errors, sigma, kind)
    assert recalibration == Recalibration.fit(kind, errors, sigma)
    std = recalibration.scale * sigma
    quantiles = held_out_quantiles(kind, errors, sigma, LEVELS)
    assert found == Calibration(
        n=60,
        n_materials=60,
        kind=kind,
        coverage95=np.mean(np.abs(errors) <= held_out_quantiles(kind, errors, sigma, np.array([0.95]))[0] * sigma),
        miscalibration_area=area(coverage_curve(errors, quantiles * sigma)),
        noise_floor=noise_floor(60)[0],
        noise_floor95=noise_floor(60)[1],
        scale=recalibration.scale,
        coverage95_raw=coverage(errors, sigma, 0.95),
        miscalibration_area_raw=miscalibration_area(errors, sigma),
        mean_squared_z=mean_squared_z(errors, std),
        negative_log_likelihood=negative_log_likelihood(errors, std),
        sharpness=sharpness(std),
        spearman=rank_correlation(errors, sigma),
        rmse=np.sqrt(np.mean(errors**2)),
        mae=np.mean(np.abs(errors)),
    )
    assert found.as_dict()["scale"] == recalibration.scale
    assert list(found.as_dict()) == list(Calibration.__dataclass_fields__)


def test_entries_that_are_not_finite_are_left_out():
    rng = np.random.default_rng(5)
    errors, sigma = rng.normal(0, 1, 20), rng.uniform(0.5, 2, 20)
    holes = calibrate(np.append(errors, [np.nan, 1.0, np.inf]), np.append(sigma, [1.0, np.nan, 1.0]))
    assert holes == calibrate(errors, sigma)


def test_nothing_to_calibrate_with():
    message = "calibration: needs at least one sample outside the fit, found none"
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        calibrate(np.array([np.nan]), np.array([1.0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sigma_of_zero_everywhere_cannot_be_recalibrated(kind):
    message = "calibration: needs at least one sample with a spread above 0, found none"
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        calibrate(np.ones(3), np.zeros(3), kind)


def test_an_unknown_kind_is_refused():
    message = "recalibration: needs one of none, scale, isotonic, conformal, found 'platt'"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        Recalibration.fit("platt", np.ones(2), np.ones(2))
    message = "kind: needs 'none', 'scale', 'isotonic' or 'conformal', found 'platt'"
    with pytest.raises(ModelFileError, match=f"^{re.escape(message)}$"):
        Recalibration.from_json({"kind": "platt", "scores": []})


@pytest.mark.parametrize("kind", KINDS[1:])
def test_errors_of_zero_need_no_sigma(kind):
    found, recalibration = calibrate(np.zeros(3), np.ones(3), kind)
    assert (found.scale, found.mean_squared_z, found.coverage95, found.coverage95_raw) == (0.0, 0.0, 1.0, 1.0)
    assert (found.negative_log_likelihood, found.spearman) == (None, None)
    json.dumps([found.as_dict(), recalibration.to_json()], allow_nan=False)
