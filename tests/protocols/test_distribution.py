"""A predictive distribution against SciPy, numerical integrals and fifty digits, with and without a floor."""

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from sisso_sal.protocols.distribution import GAUSSIAN, ONE_SIGMA, Distribution, Shape

LEVELS = np.array([1e-12, 1e-4, 0.025, 0.2, 0.5, 0.7, 0.975, 0.9999])
CENTRE = np.array([-2.0, -0.1, 0.0, 0.3, 1.0, 5.0, 40.0])
SCALE = np.array([1.0, 0.5, 2.0, 0.01, 3.0, 0.2, 7.0])
BOUNDS = (-3.0, 0.0, 0.2, 1.7, 30.0)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)  # for integrals of what is smooth
CERTAIN = Distribution(np.array([0.5, 0.7, np.inf, -np.inf, np.nan]), np.array([0.0, 0.0, 1.0, np.inf, 1.0]))


def skewed(n=30, low=0.7, high=1.6, seed=0):
    """A two-piece shape with heavy tails, as a recalibration makes them."""
    scores = np.sort(np.abs(np.random.default_rng(seed).standard_t(3, n)))
    below, known = high / (low + high), np.arange(1, n + 1) / (n + 1)
    nodes = np.concatenate([-low * scores[::-1], [0.0], high * scores])
    levels = np.concatenate([below * (1 - known[::-1]), [below], below + (1 - below) * known])
    last = scores[-1] / norm.ppf(0.5 + known[-1] / 2)
    return Shape(nodes, levels, below, (float(low * last), float(high * last)))


SHAPES = {"gaussian": GAUSSIAN, "skewed": skewed(), "few scores": skewed(3, 1.5, 0.6, 1)}
FLOORS = (-np.inf, 0.0, 0.25)


def every(shape="skewed", floor=-np.inf):
    return Distribution(CENTRE, SCALE, SHAPES[shape], floor)


# A Gaussian, and what is left of one above a floor, as SciPy knows them


def test_a_gaussian_has_the_figures_of_scipy():
    told, theirs = every("gaussian"), norm(CENTRE, SCALE)
    for p in LEVELS:
        np.testing.assert_allclose(told.quantile(p), theirs.ppf(p), rtol=1e-12, atol=1e-14)
    for low, high in ((-np.inf, 0.3), (0.1, 0.9), (2.0, np.inf), (-1.0, 90.0)):
        inside = theirs.cdf(high) - theirs.cdf(low) if low == -np.inf or high < 90 else theirs.sf(low) - theirs.sf(high)
        np.testing.assert_allclose(told.probability(low, high), inside, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(told.place(CENTRE + 0.3 * SCALE), norm.cdf(0.3), rtol=1e-14)
    np.testing.assert_array_equal(told.std, SCALE)  # to the last bit
    np.testing.assert_array_equal(told.mean, CENTRE)
    np.testing.assert_array_equal(told.estimate, CENTRE)
    np.testing.assert_array_equal(told.median, CENTRE)


@pytest.mark.parametrize("floor", [0.0, 0.25, -1.0])
def test_a_gaussian_with_a_floor_is_a_rectified_one(floor):
    """Its quantiles are lifted to the floor; its mean is that of a rectified Gaussian."""
    told, theirs = every("gaussian", floor), norm(CENTRE, SCALE)
    for p in LEVELS:
        np.testing.assert_allclose(told.quantile(p), np.maximum(theirs.ppf(p), floor), rtol=1e-12, atol=1e-14)
    for bound in (0.3, 0.9, 6.0):
        np.testing.assert_allclose(told.probability(high=bound), theirs.cdf(bound), rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(told.probability(low=bound), theirs.sf(bound), rtol=1e-9, atol=1e-300)
    a = (CENTRE - floor) / SCALE
    np.testing.assert_allclose(told.mean, floor + SCALE * (a * norm.cdf(a) + norm.pdf(a)), rtol=1e-9)
    lifted = [np.maximum(theirs.ppf(p), floor) for p in (ONE_SIGMA, 1 - ONE_SIGMA)]
    np.testing.assert_allclose(told.std, 0.5 * (lifted[0] - lifted[1]), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("bound", BOUNDS)
def test_expected_improvements_of_a_gaussian_are_those_in_closed_form(bound):
    told = every("gaussian")
    z = (bound - CENTRE) / SCALE
    np.testing.assert_allclose(told.shortfall(bound), SCALE * (z * norm.cdf(z) + norm.pdf(z)), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(told.excess(bound), SCALE * (-z * norm.cdf(-z) + norm.pdf(z)), rtol=1e-9, atol=1e-13)


# Any shape, against integrals of its own distribution function


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_expected_improvements_are_integrals_of_the_distribution_function(shape, floor):
    told = every(shape, floor)
    for i in range(5):
        one = told.take(np.array([i]))
        ends = [float(one.quantile(p)[0]) for p in (1e-15, 1 - 1e-15)]
        for bound in BOUNDS:
            below, above = max(ends[0], floor), max(ends[1], bound)
            kinks = one.centre[0] + one.scale[0] * SHAPES[shape].nodes
            steps = [one.quantile(p)[0] for p in (1e-9, 1e-3, 0.5, 0.999, 1 - 1e-9)]
            stops = np.sort(np.append(kinks, steps))

            def integral(part, low, high, i=i, stops=stops):
                inner = np.array([low, *stops[(stops > low) & (stops < high)], high])
                half = np.diff(inner)[:, None] / 2
                places = (inner[:-1, None] + half + half * NODES).ravel()
                return part(told.take(np.full(len(places), i)), places) @ (half * WEIGHTS).ravel()

            lost = integral(lambda y, x: y.probability(high=x), below, bound) if bound > below else 0.0
            won = integral(lambda y, x: y.probability(low=x), bound, above) if above > bound else 0.0
            assert one.shortfall(bound)[0] == pytest.approx(lost, rel=1e-6, abs=1e-9 * one.scale[0])
            assert one.excess(bound)[0] == pytest.approx(won, rel=1e-6, abs=1e-9 * one.scale[0])


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bound", BOUNDS)
def test_what_is_won_less_what_is_lost_is_the_distance_of_the_mean(shape, floor, bound):
    told = every(shape, floor)
    size = np.abs(told.mean) + np.abs(bound) + SCALE
    np.testing.assert_allclose(told.excess(bound) - told.shortfall(bound), told.mean - bound, atol=1e-9 * size.max())
    np.testing.assert_allclose(np.exp(told.log_shortfall(bound)), told.shortfall(bound), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(np.exp(told.log_excess(bound)), told.excess(bound), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_of_a_shape_is_zero(shape):
    one = Distribution(np.zeros(1), np.ones(1), SHAPES[shape])
    assert one.excess(0.0)[0] == pytest.approx(one.shortfall(0.0)[0], rel=1e-12)
    assert one.mean[0] == 0.0
    draws = one.shape.quantile(np.random.default_rng(1).random(400_000))
    assert np.mean(draws) == pytest.approx(0.0, abs=4 * np.std(draws) / np.sqrt(400_000))


# Accurate where probabilities are tiny


@pytest.mark.parametrize("edge", [-3.0, -37.5, -39.0, -200.0, -1e4])
def test_logarithms_of_tails_have_the_digits_of_mpmath(edge):
    one = Distribution(np.zeros(1), np.ones(1))
    with mpmath.workdps(60):
        tail = mpmath.erfc(-mpmath.mpf(edge) / mpmath.sqrt(2)) / 2
        log_tail = float(mpmath.log(tail))
        density = mpmath.exp(-(mpmath.mpf(edge) ** 2) / 2) / mpmath.sqrt(2 * mpmath.pi)
        log_gain = float(mpmath.log(density + edge * tail))
    assert one.log_probability(high=edge)[0] == pytest.approx(log_tail, rel=1e-12)
    assert one.log_probability(low=-edge)[0] == pytest.approx(log_tail, rel=1e-12)
    assert one.log_shortfall(edge)[0] == pytest.approx(log_gain, rel=1e-10)
    assert one.log_excess(-edge)[0] == pytest.approx(log_gain, rel=1e-10)


@pytest.mark.parametrize("edge", [5.0, 37.0, 1e3])
def test_a_prediction_far_below_the_floor_is_the_floor(edge):
    one = Distribution(np.array([-edge]), np.ones(1), floor=0.0)
    assert one.interval(0.95) == (0.0, 0.0)
    assert (one.median[0], one.estimate[0], one.std[0]) == (0.0, 0.0, 0.0)
    assert 0.0 <= one.mean[0] < 1e-6
    assert one.probability(0.0, 0.0)[0] == pytest.approx(1.0, abs=1e-6)


# Theorems of any distribution

NUMBER = st.floats(-1e3, 1e3)
SPREAD = st.floats(1e-3, 1e3)
ANY = st.tuples(NUMBER, SPREAD, st.sampled_from(sorted(SHAPES)), st.sampled_from([-np.inf, 0.0, -20.0]))


def made(centre, scale, shape, floor):
    return Distribution(np.array([centre]), np.array([scale]), SHAPES[shape], floor)


@given(any_=ANY, levels=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8))
@settings(deadline=None)
def test_quantiles_grow_and_stay_above_the_floor(any_, levels):
    told = made(*any_)
    ends = np.array([told.quantile(p)[0] for p in sorted(levels)])
    slack = 1e-12 * (abs(any_[0]) + any_[1])
    assert not np.isnan(ends).any()
    assert (ends[1:] >= ends[:-1] - slack).all()
    assert (ends >= any_[3]).all()


@given(any_=ANY, p=st.floats(1e-9, 1 - 1e-9))
@settings(deadline=None)
def test_the_probability_below_a_quantile_is_its_level(any_, p):
    told = made(*any_)
    value = told.quantile(p)[0]
    # A last bit of the value is so many widths.
    bit = np.spacing(max(abs(value), abs(any_[0]))) / any_[1]
    nearby = (
        told.probability(high=value + (2 * bit + 1e-12) * any_[1])[0],
        told.probability(high=value - (2 * bit + 1e-12) * any_[1])[0],
    )
    assert nearby[1] - 1e-7 <= p <= nearby[0] + 1e-7


@given(any_=ANY, values=st.lists(NUMBER, min_size=2, max_size=8))
@settings(deadline=None)
def test_probabilities_grow_with_the_bound(any_, values):
    told, values = made(*any_), sorted(values)
    below = np.array([told.probability(high=v)[0] for v in values])
    assert ((below >= 0) & (below <= 1)).all()
    assert (np.diff(below) >= -1e-12).all()
    assert (below[np.array(values) < any_[3]] == 0).all()


@given(any_=ANY, bounds=st.tuples(NUMBER, NUMBER))
@settings(deadline=None)
def test_parts_add_up_to_the_whole(any_, bounds):
    told, (low, high) = made(*any_), sorted(bounds)
    assume(any_[3] not in bounds)  # what is lifted there would count in two parts
    parts = told.probability(high=low) + told.probability(low, high) + told.probability(low=high)
    assert parts[0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mirror_image_has_the_mirrored_figures(shape):
    told, mirror = every(shape), Distribution(-CENTRE, SCALE, SHAPES[shape].mirrored)
    for p in LEVELS[2:7]:
        np.testing.assert_allclose(mirror.quantile(1 - p), -told.quantile(p), rtol=1e-9, atol=1e-12)
    for bound in BOUNDS:
        np.testing.assert_allclose(
            mirror.log_probability(low=-bound), told.log_probability(high=bound), rtol=1e-9, atol=1e-15
        )
        np.testing.assert_allclose(mirror.shortfall(-bound), told.excess(bound), rtol=1e-12)
    np.testing.assert_allclose(mirror.std, told.std, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1e-12, 1e12])
@pytest.mark.parametrize("floor", [-np.inf, 0.0])
def test_another_unit_gives_the_same_figures_in_that_unit(shape, size, floor):
    told, other = every(shape, floor), Distribution(size * CENTRE, size * SCALE, SHAPES[shape], floor)
    for p in LEVELS:
        np.testing.assert_allclose(other.quantile(p), size * told.quantile(p), rtol=1e-9, atol=1e-12 * size)
    for bound in BOUNDS:
        np.testing.assert_allclose(
            other.log_probability(high=size * bound), told.log_probability(high=bound), rtol=1e-7, atol=1e-12
        )
        np.testing.assert_allclose(
            other.shortfall(size * bound), size * told.shortfall(bound), rtol=1e-7, atol=1e-12 * size
        )
        np.testing.assert_allclose(other.excess(size * bound), size * told.excess(bound), rtol=1e-7, atol=1e-12 * size)
    np.testing.assert_allclose(other.std, size * told.std, rtol=1e-9)
    np.testing.assert_allclose(other.mean, size * told.mean, rtol=1e-9, atol=1e-12 * size)


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_below_the_floor(shape):
    told = every(shape, 0.25)
    assert (told.probability(high=0.2499) == 0).all()
    assert (told.log_probability(-5.0, 0.2) == -np.inf).all()
    assert (told.probability(low=0.25) == 1).all()
    assert (told.probability(low=-7.0) == 1).all()
    assert (told.shortfall(0.25) == 0).all()
    np.testing.assert_allclose(told.excess(-1.0), told.mean + 1.0, rtol=1e-12)
    assert (told.quantile(0.0) >= 0.25).all()
    assert (told.estimate == np.maximum(CENTRE, 0.25)).all()
    assert (told.mean > 0.25).all()
    assert (told.median >= 0.25).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_floor_far_below_changes_nothing(shape):
    told, bare = every(shape, -1e6), every(shape)
    for p in LEVELS[2:7]:
        np.testing.assert_allclose(told.quantile(p), bare.quantile(p), rtol=1e-9, atol=1e-12)
    for bound in BOUNDS:
        np.testing.assert_allclose(
            told.log_probability(high=bound), bare.log_probability(high=bound), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(told.excess(bound), bare.excess(bound), rtol=1e-9)
    np.testing.assert_allclose(told.mean, bare.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(told.std, bare.std, rtol=1e-9)


@pytest.mark.parametrize("floor", [-np.inf, 0.0])
def test_what_is_certain_is_a_step(floor):
    told = Distribution(CERTAIN.centre, CERTAIN.scale, SHAPES["skewed"], floor)
    assert told.probability(high=0.5).tolist()[:4] == [1.0, 0.0, 0.0, 1.0]
    assert told.probability(low=0.5).tolist()[:4] == [1.0, 1.0, 1.0, 0.0]
    assert told.probability(0.6, 0.8).tolist()[:4] == [0.0, 1.0, 0.0, 0.0]
    assert told.place(np.array([0.5, 0.0, 9.0, 9.0, 1.0])).tolist()[:4] == [0.5, 0.0, 0.0, 1.0]
    for p in (0.0, 0.3, 1.0):
        assert told.quantile(p).tolist()[:4] == [0.5, 0.7, np.inf, -np.inf]
    assert told.shortfall(0.6).tolist()[:4] == [pytest.approx(0.1), 0.0, 0.0, np.inf]
    assert told.excess(0.6).tolist()[:4] == [0.0, pytest.approx(0.1), np.inf, 0.0]
    assert (
        told.estimate.tolist()[:4] == told.mean.tolist()[:4] == told.median.tolist()[:4] == [0.5, 0.7, np.inf, -np.inf]
    )
    assert told.std.tolist()[:2] == [0.0, 0.0]
    nothing = (
        told.probability(high=1.0),
        told.quantile(0.4),
        told.shortfall(1.0),
        told.excess(1.0),
        told.mean,
        told.estimate,
    )
    assert all(np.isnan(values[4]) for values in nothing)
    assert np.isnan(told.log_probability(0.0, 1.0)[4])


@pytest.mark.parametrize("floor", FLOORS)
def test_parts_of_candidates_keep_their_figures(floor):
    told, some = every("skewed", floor), np.array([4, 1])
    part, joined = told.take(some), told.take(some).followed_by(told.take(np.array([0])))
    assert (len(part), len(joined)) == (2, 3)
    for p in LEVELS:
        assert part.quantile(p).tolist() == told.quantile(p)[some].tolist()
        assert joined.quantile(p).tolist() == told.quantile(p)[[4, 1, 0]].tolist()
    values = np.full(7, np.nan)
    values[2] = 0.875
    known = told.known_as(values)
    assert known.interval(0.95)[0][2] == known.interval(0.95)[1][2] == known.median[2] == 0.875
    others = np.delete(np.arange(7), 2)
    assert known.quantile(0.1)[others].tolist() == told.quantile(0.1)[others].tolist()
    assert Distribution.certain([1.0, 2.0]).interval(0.95)[0].tolist() == [1.0, 2.0]


def test_bounds_may_be_one_for_each_candidate():
    told, bounds = every("skewed", 0.0), CENTRE + 0.5 * SCALE
    one_by_one = [told.take(np.array([i])).probability(high=bounds[i])[0] for i in range(7)]
    assert told.probability(high=bounds).tolist() == one_by_one == told.place(bounds).tolist()


def test_a_shape_is_linear_between_its_nodes_and_gaussian_beyond():
    shape = Shape(np.array([-1.0, 0.0, 2.0]), np.array([0.2, 0.6, 0.8]), 0.6, (1.0, 3.0))
    assert shape.cdf(np.array([-1.0, -0.5, 0.0, 1.0])).tolist() == pytest.approx([1.2 * norm.cdf(-1.0), 0.4, 0.6, 0.7])
    np.testing.assert_allclose(shape.cdf(np.array([-2.0, 5.0])), [1.2 * norm.cdf(-2.0), 1 - 0.8 * norm.sf(5 / 3)])
    np.testing.assert_allclose(shape.quantile(np.array([0.4, 0.7])), [-0.5, 1.0])
    np.testing.assert_allclose(
        shape.quantile(np.array([1e-3, 1 - 1e-3])), [norm.ppf(1e-3 / 1.2), -3 * norm.ppf(1e-3 / 0.8)]
    )
