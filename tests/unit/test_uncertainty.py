"""Coverage, miscalibration area and scale as theorems."""

import re

import numpy as np
import pytest
from scipy.stats import norm

from sisso_sal.errors import FitError
from sisso_sal.uncertainty import LEVELS, Calibration, calibrate, coverage, miscalibration_area, scale_factor


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


def test_scale_gives_the_errors_unit_mean_square():
    rng = np.random.default_rng(0)
    errors, sigma = rng.normal(0, 1, 300), rng.uniform(0.1, 2, 300)
    scale = scale_factor(errors, sigma)
    assert np.mean((errors / (scale * sigma)) ** 2) == pytest.approx(1.0, rel=1e-12)
    assert scale_factor(errors, scale * sigma) == pytest.approx(1.0, rel=1e-12)
    assert scale_factor(5.0 * errors, sigma) == pytest.approx(5.0 * scale, rel=1e-12)
    assert scale_factor(errors, 5.0 * sigma) == pytest.approx(scale / 5.0, rel=1e-12)


def test_scale_maximises_the_likelihood():
    rng = np.random.default_rng(1)
    errors, sigma = rng.normal(0, 2, 100), rng.uniform(0.5, 1.5, 100)
    scale = scale_factor(errors, sigma)
    likelihood = [norm.logpdf(errors, scale=s * sigma).sum() for s in (0.99 * scale, scale, 1.01 * scale)]
    assert likelihood[1] > max(likelihood[0], likelihood[2])


def test_scale_leaves_out_sigmas_of_zero():
    assert scale_factor(np.array([5.0, 2.0]), np.array([0.0, 1.0])) == 2.0
    with pytest.raises(FitError, match=r"^calibration: needs at least one sample with a spread above 0, found none$"):
        scale_factor(np.ones(2), np.zeros(2))


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_calibration_mends_a_sigma_that_is_off_by_a_factor(factor):
    rng = np.random.default_rng(2)
    sigma = rng.uniform(0.5, 2, 4000)
    errors = rng.normal(0, 1, 4000) * sigma * factor
    found = calibrate(errors, sigma)
    assert found.scale == pytest.approx(factor, rel=0.03)
    assert found.coverage95 == pytest.approx(0.95, abs=0.01)
    assert found.coverage95_raw == pytest.approx(2 * norm.cdf(1.96 / factor) - 1, abs=0.02)
    assert found.miscalibration_area < 0.02
    assert found.mean_squared_z == pytest.approx(1.0, rel=1e-12)
    assert found.n == 4000


def test_calibration_is_made_of_the_three_functions():
    rng = np.random.default_rng(4)
    errors, sigma = rng.standard_t(3, 60), rng.uniform(0.5, 2, 60)
    found = calibrate(errors, sigma)
    scale = scale_factor(errors, sigma)
    assert found == Calibration(
        n=60,
        coverage95=coverage(errors, scale * sigma, 0.95),
        miscalibration_area=miscalibration_area(errors, scale * sigma),
        scale=scale,
        coverage95_raw=coverage(errors, sigma, 0.95),
        miscalibration_area_raw=miscalibration_area(errors, sigma),
        mean_squared_z=pytest.approx(1.0, rel=1e-12),
        rmse=np.sqrt(np.mean(errors**2)),
        mae=np.mean(np.abs(errors)),
    )
    assert found.as_dict()["scale"] == scale
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


def test_errors_of_zero_need_no_sigma():
    found = calibrate(np.zeros(3), np.ones(3))
    assert (found.scale, found.mean_squared_z, found.coverage95, found.coverage95_raw) == (0.0, 0.0, 1.0, 1.0)
