"""Coverage, miscalibration area, likelihood and recalibration as theorems, and against uncertainty-toolbox."""

import json
import re

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, norm, rankdata, spearmanr
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
    judge,
    mean_squared_z,
    miscalibration_area,
    negative_log_likelihood,
    noise_floor,
    probabilities,
    rank_correlation,
    ranks,
    reliability,
    sharpness,
)
from sisso_sal.models.recalibration import FEWEST, KINDS, Recalibration, held_out
from sisso_sal.models.widths import PARAMETERS
from sisso_sal.protocols.distribution import ONE_SIGMA, Distribution


def errors_and_sigma(n, seed=0):
    """Errors that follow sigma, with tails far from Gaussian; and sigma."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.5, 2.0, n)
    return rng.standard_t(3, n) * sigma, sigma


def heavy_tailed(n, seed=0):
    """Labels, predictions whose errors follow sigma, with tails far from Gaussian; and sigma."""
    errors, sigma = errors_and_sigma(n, seed)
    mean = np.random.default_rng(seed + 100).uniform(-3.0, 3.0, n)
    return mean + errors, mean, sigma


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
    return Recalibration.fit("scale", errors, np.zeros(len(errors)), sigma).factor


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
    assert scale_of(np.append(5.0, np.full(12, 2.0)), np.append(0.0, np.ones(12))) == pytest.approx(2.0, rel=1e-15)
    with pytest.raises(FitError, match=r"^calibration: needs at least one sample with a spread above 0, found none$"):
        scale_of(np.ones(2), np.zeros(2))


def test_coverage_curve_is_that_of_the_toolbox():
    errors, sigma = errors_and_sigma(230)
    nominal, observed = metrics_calibration.get_proportion_lists_vectorized(
        np.zeros(230), sigma, errors, num_bins=101, prop_type="interval"
    )
    np.testing.assert_allclose(nominal[1:-1], LEVELS, rtol=1e-12)
    found = coverage_curve(norm.cdf(errors / sigma))
    np.testing.assert_array_equal(found, observed[1:-1])
    np.testing.assert_array_equal(found, [coverage(errors, sigma, p) for p in LEVELS])


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_area_is_that_of_the_toolbox(factor):
    """Both take the gap at the same levels; between two of opposite sign the toolbox cuts two triangles, at most 0.01 * gap/2."""
    errors, sigma = errors_and_sigma(230)
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
    errors, sigma = errors_and_sigma(90)
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
    errors, sigma = errors_and_sigma(103)
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


FEW = np.array([0.05, 0.3, 0.5, ONE_SIGMA, 0.9, 0.95, 0.99])


def folded(recalibration, labels, mean, sigma):
    """Share of its side's probability between zero and each standardised error; the width is that of the samples themselves."""
    shape, widths = recalibration.shape, recalibration.widths
    p = shape.cdf((labels - mean) / (widths.factors(mean) * sigma))
    return np.where(p < shape.below, 1.0 - p / shape.below, (p - shape.below) / (1.0 - shape.below))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, FEWEST - 1])
def test_errors_of_few_materials_recalibrate_nothing(kind, n):
    assert Recalibration.fit(kind, *heavy_tailed(n)) == Recalibration()
    found, _ = calibrate(*heavy_tailed(n), kind)
    assert (found.kind, found.n, found.n_materials) == ("none", n, n)


@pytest.mark.parametrize("kind", KINDS)
def test_so_many_materials_are_counted_not_so_many_samples(kind):
    labels, mean, sigma = heavy_tailed(4 * FEWEST)
    for n_materials, expected in ((FEWEST - 1, "none"), (FEWEST, kind)):
        groups = 10 * (np.arange(4 * FEWEST) % n_materials)
        assert Recalibration.fit(kind, labels, mean, sigma, groups).kind == expected
        assert calibrate(labels, mean, sigma, kind, groups)[0].kind == expected


def test_no_recalibration_is_gaussian():
    labels, mean, sigma = heavy_tailed(50)
    found = Recalibration.fit("none", labels, mean, sigma)
    assert found == Recalibration()
    told = found.distribution(mean, sigma)
    for p in FEW:
        np.testing.assert_allclose(told.quantile(p), norm.ppf(p, mean, sigma), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(told.place(labels), norm.cdf(labels, mean, sigma), rtol=1e-12)
    np.testing.assert_array_equal(told.std, sigma)
    np.testing.assert_array_equal(told.mean, mean)


def test_scale_gives_unit_mean_squared_z():
    labels, mean, sigma = heavy_tailed(50)
    found = Recalibration.fit("scale", labels, mean, sigma)
    told = found.distribution(mean, sigma)
    assert mean_squared_z(labels - mean, told.std) == pytest.approx(1.0, rel=1e-12)
    assert found.factor == pytest.approx(np.sqrt(mean_squared_z(labels - mean, sigma)), rel=1e-12)
    for p in FEW:
        np.testing.assert_allclose(told.quantile(p), norm.ppf(p, mean, found.factor * sigma), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_isotonic_of_symmetric_errors_is_that_of_the_toolbox(factor):
    """As nominal probabilities; theirs knows one side and no widths, which of these errors there is no need to learn."""
    labels, mean, sigma = heavy_tailed(3000)
    labels = mean + factor * (labels - mean)
    theirs = get_interval_recalibrator(mean, sigma, labels)
    found = Recalibration.fit("isotonic", labels, mean, sigma)
    for level in np.linspace(0.05, 0.95, 19):
        expected = norm.cdf(theirs(np.zeros(1), np.ones(1), level).upper[0])
        low, high = found.distribution(np.zeros(1), np.ones(1)).interval(level)
        assert 2 * norm.cdf(0.5 * (high - low)[0]) - 1 == pytest.approx(2 * expected - 1, abs=0.03)


@pytest.mark.parametrize("n", [12, 50, 401])
@pytest.mark.parametrize("skew", [1.0, 3.0])
def test_the_places_of_its_own_errors_are_uniform(n, skew):
    """k/(n + 1) of the probability of its side is nearer to the mean than the error of rank k."""
    labels, mean, sigma = heavy_tailed(n)
    labels = np.where(labels > mean, mean + skew * (labels - mean), labels)
    found = Recalibration.fit("isotonic", labels, mean, sigma)
    np.testing.assert_allclose(np.sort(folded(found, labels, mean, sigma)), np.arange(1, n + 1) / (n + 1), rtol=1e-9)
    assert found.shape.below == pytest.approx(found.high / (found.low + found.high), rel=1e-15)
    assert (found.high / found.low > 1.5) == (skew > 1 and n > 12)


def test_isotonic_makes_observed_coverage_nominal():
    labels, mean, sigma = heavy_tailed(4000)
    found = Recalibration.fit("isotonic", labels, mean, sigma)
    observed = coverage_curve(found.distribution(mean, sigma).place(labels))
    np.testing.assert_allclose(observed, LEVELS, atol=0.02)


def test_isotonic_is_linear_between_scores_and_gaussian_beyond():
    labels, mean, sigma = heavy_tailed(20)
    found = Recalibration.fit("isotonic", labels, mean, sigma)
    scores, known = np.append(0.0, found.scores), np.arange(21) / 21
    below, shape = found.shape.below, found.shape
    for share in (0.0, 0.3 / 21, 1 / 21, 0.5, 19.5 / 21, 20 / 21):
        size = np.interp(share, known, scores)
        assert shape.quantile(below + (1 - below) * share) == pytest.approx(found.high * size, rel=1e-9, abs=1e-12)
        assert shape.quantile(below - below * share) == pytest.approx(-found.low * size, rel=1e-9, abs=1e-12)
    for share in (0.97, 0.999):
        size = scores[-1] * norm.ppf(0.5 + share / 2) / norm.ppf(0.5 + known[-1] / 2)
        assert shape.quantile(below + (1 - below) * share) == pytest.approx(found.high * size, rel=1e-9)
        assert shape.quantile(below * (1 - share)) == pytest.approx(-found.low * size, rel=1e-9)


def test_other_materials_are_less_certain_than_those_that_widths_were_learned_from():
    """As of a straight line: the errors of its own points are too small."""
    for n in (20, 200):
        labels, mean, sigma = heavy_tailed(n)
        found = Recalibration.fit("isotonic", labels, mean, sigma)
        told = found.distribution(mean, sigma)
        own = Distribution(mean, found.widths.factors(mean) * sigma, found.shape)
        np.testing.assert_allclose(told.std, np.sqrt(1 + PARAMETERS / n) * own.std, rtol=1e-12)
        np.testing.assert_array_equal(told.mean, mean)


def test_gaussian_intervals_do_not_cover_heavy_tails():
    samples = heavy_tailed(2000)
    scaled, learned = (calibrate(*samples, kind)[0] for kind in ("scale", "isotonic"))
    assert scaled.miscalibration_area > 2 * scaled.noise_floor95
    assert learned.miscalibration_area < learned.noise_floor95


def planted(n, rng):
    """Labels whose errors grow with the value and reach further up than down; the mean is right, sigma says nothing of it."""
    mean = rng.uniform(1.0, 12.0, n)
    size = np.abs(rng.normal(0.0, 1.0, n))
    errors = np.where(rng.random(n) < 0.6, -0.8 * size, 1.2 * size)  # a two-piece Gaussian of mean 0
    return mean + 0.3 * np.exp(0.2 * mean) * errors, mean, np.ones(n)


@pytest.fixture(scope="module")
def fresh():
    """Of forty tables of 200 labels each: 400 fresh labels, and their distribution by what those of the table teach."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        learned = Recalibration.fit("isotonic", *planted(200, rng))
        labels, mean, sigma = planted(400, rng)
        found.append((labels, learned.distribution(mean, sigma)))
    return found


def test_fresh_labels_of_a_planted_law_are_covered_at_every_level_and_at_every_value(fresh):
    place = np.concatenate([told.place(labels) for labels, told in fresh])
    mean = np.concatenate([told.centre for _, told in fresh])
    errors = np.concatenate([labels for labels, _ in fresh]) - mean
    np.testing.assert_allclose(coverage_curve(place), LEVELS, atol=0.03)
    widest = np.sqrt(np.mean(errors**2))
    parts = np.array_split(np.argsort(mean), 4)
    for part in parts:
        assert np.mean(np.abs(2 * place[part] - 1) <= 0.95) == pytest.approx(0.95, abs=0.03)
        assert np.mean(place[part] < 0.1) == pytest.approx(0.1, abs=0.04)
        assert np.mean(place[part] > 0.9) == pytest.approx(0.1, abs=0.03)
    same = [coverage(errors[part], np.full(len(part), widest), 0.95) for part in parts]  # of one sigma for all
    assert same[0] > 0.99
    assert same[3] < 0.88


def test_fresh_labels_hold_what_probabilities_of_a_hit_claim(fresh):
    def rows(of, bounds=(3.0, 6.0, 9.0)):
        claimed = np.concatenate([of(told, bound) for _, told in fresh for bound in bounds])
        came = np.concatenate([labels <= bound for labels, _ in fresh for bound in bounds])
        return reliability(claimed, came)

    learned = rows(lambda told, bound: told.probability(high=bound))
    assert sum(row["n"] for row in learned) == 3 * 40 * 400
    assert len(learned) == 5
    for row in learned:
        assert row["n"] > 1000
        assert row["real"] == pytest.approx(row["claimed"], abs=0.03)
    gaussian = rows(lambda told, bound: norm.cdf(bound, told.centre, told.std))
    assert max(abs(row["real"] - row["claimed"]) for row in gaussian) > 0.07


def test_reliability_shares_out_all():
    claimed = np.array([0.0, 0.2, 0.199, 1.0, 0.8])
    rows = reliability(claimed, np.array([False, True, False, True, False]))
    assert [(row["n"], row["real"]) for row in rows] == [(2, 0.0), (1, 1.0), (2, 0.5)]
    assert [row["claimed"] for row in rows] == pytest.approx([0.0995, 0.2, 0.9])
    assert reliability(np.empty(0), np.empty(0, dtype=bool)) == []


FINITE = st.floats(-1e6, 1e6)
SAMPLES = st.integers(FEWEST, 40).flatmap(
    lambda n: st.tuples(
        arrays(float, n, elements=FINITE),
        arrays(float, n, elements=FINITE),
        arrays(float, n, elements=st.floats(1e-3, 1e3)),
    )
)


@pytest.mark.parametrize("kind", KINDS)
@given(
    samples=SAMPLES,
    levels=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12),
    floor=st.sampled_from([-np.inf, 0.0]),
)
@settings(deadline=None)
def test_quantiles_grow_with_the_level_and_are_on_their_side_of_the_median(kind, samples, levels, floor):
    _, mean, sigma = samples
    told = Recalibration.fit(kind, *samples).distribution(mean, sigma, floor)
    ends = np.array([told.quantile(p) for p in np.sort(levels)])
    assert not np.isnan(ends).any()
    slack = 1e-9 * (np.abs(told.median) + told.scale)
    with np.errstate(invalid="ignore"):  # the difference of two infinite ends
        assert not (ends[1:] < ends[:-1] - slack).any()
    for level in levels:
        low, high = told.interval(level)
        assert (low <= told.median + slack).all()
        assert (high >= told.median - slack).all()
        assert (low >= floor).all()


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_zero_recalibrate_nothing(kind):
    """They say nothing of the next error, not that there is none."""
    found = Recalibration.fit(kind, np.arange(13.0), np.arange(13.0), np.ones(13))
    assert found == Recalibration()


@pytest.mark.parametrize("kind", KINDS)
@given(samples=SAMPLES)
@settings(deadline=None)
def test_recalibration_through_json_is_the_same(kind, samples):
    found = Recalibration.fit(kind, *samples)
    assert Recalibration.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("kind", KINDS)
def test_recalibration_depends_on_the_ratio_alone(kind):
    labels, mean, sigma = heavy_tailed(50)
    told = Recalibration.fit(kind, labels, mean, sigma).distribution(mean, sigma)
    eightfold = Recalibration.fit(kind, 8.0 * labels, 8.0 * mean, 8.0 * sigma).distribution(8.0 * mean, 8.0 * sigma)
    backwards = Recalibration.fit(kind, labels[::-1], mean[::-1], sigma[::-1]).distribution(mean, sigma)
    mirrored = Recalibration.fit(kind, -labels, -mean, sigma).distribution(-mean, sigma)
    narrower = Recalibration.fit(kind, labels, mean, sigma / 4).distribution(mean, sigma / 4)
    for p in FEW:
        expected = told.quantile(p)
        np.testing.assert_allclose(eightfold.quantile(p) / 8.0, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(backwards.quantile(p), expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(-mirrored.quantile(1.0 - p), expected, rtol=1e-9, atol=1e-9)
        factor = 0.25 if kind == "none" else 1.0
        np.testing.assert_allclose(narrower.quantile(p), mean + factor * (expected - mean), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_without_a_sigma_teach_nothing(kind):
    labels, mean, sigma = heavy_tailed(40)
    holes = sigma.copy()
    holes[[1, 7, 20]] = 0.0, np.nan, -1.0
    other = np.where(np.arange(40) == 33, np.nan, labels)
    seen = np.delete(np.arange(40), [1, 7, 20, 33])
    assert Recalibration.fit(kind, other, mean, holes) == Recalibration.fit(kind, labels[seen], mean[seen], sigma[seen])


def in_order(kind, labels, mean, sigma, groups=None, floor=-np.inf):
    """Quantiles (7, n) of each sample by a recalibration that it is not in."""
    found = np.full((len(FEW), len(labels)), np.nan)
    for rows, told in held_out(kind, labels, mean, sigma, groups, floor):
        assert np.isnan(found[:, rows]).all()
        found[:, rows] = [told.quantile(p) for p in FEW]
    assert not np.isnan(found).any()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_distributions_do_not_depend_on_the_own_label(kind):
    labels, mean, sigma = heavy_tailed(40)
    before = in_order(kind, labels, mean, sigma)
    changed = []
    for sample in range(40):
        other = labels.copy()
        other[sample] = 1e3
        after = in_order(kind, other, mean, sigma)
        np.testing.assert_array_equal(after[:, sample], before[:, sample])
        changed.append((after != before).any(axis=0).sum())
    assert set(changed) == ({0} if kind == "none" else {36})  # all but the four of its part


@pytest.mark.parametrize("kind", KINDS)
def test_few_samples_are_not_parted(kind):
    labels, mean, sigma = heavy_tailed(19)
    told = Recalibration.fit(kind, labels, mean, sigma).distribution(mean, sigma, -50.0)
    assert np.array_equal(in_order(kind, labels, mean, sigma, floor=-50.0), [told.quantile(p) for p in FEW])


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_the_held_out_distributions(kind):
    labels, mean, sigma = heavy_tailed(40)
    labels, mean = np.abs(labels), np.abs(mean)
    found = probabilities(kind, labels, mean, sigma, floor=0.0)
    twin = np.empty(40)
    for rows, told in held_out(kind, labels, mean, sigma, floor=0.0):
        twin[rows] = [told.take(np.array([i])).probability(high=labels[row])[0] for i, row in enumerate(rows)]
    np.testing.assert_allclose(found, twin, rtol=1e-12)
    np.testing.assert_array_equal(
        found, probabilities(kind, labels, mean, sigma)
    )  # what is lifted stays below the labels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-9, 1.0, 50.0, 1e12])
def test_calibration_of_few_samples_in_any_unit(kind, size):
    labels, mean, sigma = heavy_tailed(20)
    sigma[3] = 0.0
    found, recalibration = calibrate(size * labels, size * mean, size * sigma, kind)
    same, _ = calibrate(labels, mean, sigma, kind)
    assert found.coverage95 == same.coverage95
    assert found.miscalibration_area == pytest.approx(same.miscalibration_area, rel=1e-9)
    assert recalibration.kind == found.kind == kind
    assert found.scale == pytest.approx(same.scale, rel=1e-9)
    assert (found.sharpness, found.rmse) == pytest.approx((size * same.sharpness, size * same.rmse), rel=1e-9)
    assert found.coverage95 < 1.0  # the sample whose sigma is 0


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_calibration_mends_a_sigma_that_is_off_by_a_factor(factor, kind):
    rng = np.random.default_rng(2)
    sigma, mean = rng.uniform(0.5, 2, 2000), rng.uniform(-3, 3, 2000)
    labels = mean + rng.normal(0, 1, 2000) * sigma * factor
    found, _ = calibrate(labels, mean, sigma, kind)
    assert found.scale == pytest.approx(factor, rel=0.05)
    assert found.coverage95 == pytest.approx(0.95, abs=0.02)
    assert found.coverage95_raw == pytest.approx(2 * norm.cdf(1.96 / factor) - 1, abs=0.02)
    assert found.miscalibration_area < 0.02
    assert found.mean_squared_z == pytest.approx(1.0, rel=1e-12 if kind == "scale" else 0.1)
    assert (found.n, found.kind) == (2000, kind)


def test_no_recalibration_leaves_the_figures_as_they_are():
    labels, mean, sigma = heavy_tailed(60)
    found, recalibration = calibrate(labels, mean, sigma, "none")
    assert found.coverage95 == found.coverage95_raw == coverage(labels - mean, sigma, 0.95)
    assert found.miscalibration_area == found.miscalibration_area_raw == miscalibration_area(labels - mean, sigma)
    assert (found.scale, recalibration) == (1.0, Recalibration())


@pytest.mark.parametrize("floor", [-np.inf, 0.0])
@pytest.mark.parametrize("kind", KINDS)
def test_calibration_is_made_of_the_functions(kind, floor):
    labels, mean, sigma = heavy_tailed(60)
    labels, mean = np.abs(labels), np.abs(mean)
    groups = np.arange(60) // 2
    found, recalibration = calibrate(labels, mean, sigma, kind, groups, floor)
    assert recalibration == Recalibration.fit(kind, labels, mean, sigma, groups)
    told = recalibration.distribution(mean, sigma, floor)
    place, errors = probabilities(kind, labels, mean, sigma, groups, floor), labels - told.estimate
    assert found == Calibration(
        n=60,
        n_materials=30,
        kind=kind,
        coverage95=np.mean((place >= 0.025 - 1e-12) & (place <= 0.975 + 1e-12)),
        miscalibration_area=area(coverage_curve(place)),
        noise_floor=noise_floor(30)[0],
        noise_floor95=noise_floor(30)[1],
        scale=np.median(told.std / sigma),
        coverage95_raw=coverage(errors, sigma, 0.95),
        miscalibration_area_raw=miscalibration_area(errors, sigma),
        mean_squared_z=mean_squared_z(errors, told.std),
        negative_log_likelihood=negative_log_likelihood(errors, told.std),
        sharpness=sharpness(told.std),
        spearman=rank_correlation(errors, told.std),
        rmse=np.sqrt(np.mean(errors**2)),
        mae=np.mean(np.abs(errors)),
    )
    assert list(found.as_dict()) == list(Calibration.__dataclass_fields__)
    assert judge(errors, sigma, told.std, place, kind, 30) == found


def test_entries_that_are_not_finite_are_left_out():
    labels, mean, sigma = heavy_tailed(30)
    more = np.append(labels, [np.nan, 1.0, np.inf, 2.0]), np.append(mean, [0.0, 1.0, 0.0, np.nan])
    holes = calibrate(*more, np.append(sigma, [1.0, np.nan, 1.0, 1.0]))
    assert holes == calibrate(labels, mean, sigma)


def test_nothing_to_calibrate_with():
    message = "calibration: needs at least one sample outside the fit, found none"
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        calibrate(np.array([np.nan]), np.array([1.0]), np.array([1.0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sigma_of_zero_everywhere_cannot_be_recalibrated(kind):
    message = "calibration: needs at least one sample with a spread above 0, found none"
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        calibrate(np.ones(20), np.zeros(20), np.zeros(20), kind)


def test_an_unknown_kind_is_refused():
    for name in ("platt", "conformal"):
        message = f"recalibration: needs one of none, scale, isotonic, found '{name}'"
        with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
            Recalibration.fit(name, np.ones(2), np.ones(2), np.ones(2))
        message = f"kind: needs 'none', 'scale' or 'isotonic', found '{name}'"
        with pytest.raises(ModelFileError, match=f"^{re.escape(message)}$"):
            Recalibration.from_json(Recalibration().to_json() | {"kind": name})


def learned_file(**changes):
    """The file of an isotonic recalibration, with some of its entries changed."""
    return Recalibration.fit("isotonic", *heavy_tailed(20)).to_json() | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": None}, "widths: needs to be there for isotonic, and only there"),
        ({"kind": "scale", "scores": []}, "widths: needs to be there for isotonic, and only there"),
        ({"scores": []}, "scores: needs some for isotonic, and only there"),
        ({"scores": [1.0, 0.5]}, "scores: needs numbers >= 0 in order"),
        ({"scores": [-1.0, 0.5]}, "scores: needs numbers >= 0 in order"),
        ({"scores": [0.0, 0.0]}, "scores: needs one above 0"),
        ({"low": 0.0}, "low: needs greater than 0, found 0.0"),
        ({"factor": -1.0}, "factor: needs greater than or equal to 0, found -1.0"),
    ],
)
def test_a_file_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ModelFileError, match=f"^{re.escape(message)}$"):
        Recalibration.from_json(learned_file(**changes))


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_zero_leave_figures_that_json_can_hold(kind):
    found, recalibration = calibrate(np.zeros(13), np.zeros(13), np.ones(13), kind)
    assert (found.kind, found.scale, found.mean_squared_z, found.coverage95) == ("none", 1.0, 0.0, 1.0)
    assert (found.coverage95_raw, found.spearman) == (1.0, None)
    json.dumps([found.as_dict(), recalibration.to_json()], allow_nan=False)
