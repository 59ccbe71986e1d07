"""Target transforms invert, agree with scipy and scikit-learn, and say where they have no inverse."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import yeojohnson, yeojohnson_llf, yeojohnson_normmax
from sklearn.preprocessing import PowerTransformer

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models.transform import IDENTITY, KINDS, REACH, TargetTransform

EXPONENTS = (-3.0, -0.5, -1e-9, 0.0, 1e-9, 0.3, 1.0, 1.7, 2.0, 2.0 + 1e-9, 2.5, 5.0)


def skewed(n=80, seed=0):
    """Positive targets with a long tail."""
    return np.exp(np.random.default_rng(seed).normal(0.5, 1.2, n))


def power(exponent, low=-np.inf, high=np.inf, centre=0.0, scale=1.0):
    return TargetTransform("yeo-johnson", centre, scale, exponent, low, high)


def with_range_of(link, target):
    scaled = link.forward(target)
    return replace(link, low=float(scaled.min()), high=float(scaled.max()))


TARGETS = arrays(float, st.integers(3, 30), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 6)))


@given(target=TARGETS, exponent=st.floats(-1.0, 3.0), centre=st.floats(-10, 10), scale=st.floats(0.1, 1e3))
@example(np.array([0.0, 0.0, 1.0]), 5e-324, 0.0, 1.0)
@settings(deadline=None)
def test_inverse_undoes_forward(target, exponent, centre, scale):
    link = with_range_of(power(exponent, centre=centre, scale=scale), target)
    np.testing.assert_allclose(link.inverse(link.forward(target)), target, rtol=1e-9, atol=1e-9)


@given(target=TARGETS)
@settings(deadline=None)
def test_inverse_undoes_forward_once_fitted(target):
    link = TargetTransform.fit("yeo-johnson", target)
    scaled = link.forward(target)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(link.inverse(scaled), target, rtol=1e-9, atol=1e-9 * np.abs(target).max())
    positive = np.abs(target) + 1e-3
    log = TargetTransform.fit("log", positive)
    np.testing.assert_allclose(log.inverse(log.forward(positive)), positive, rtol=1e-12)


@given(target=TARGETS)
@settings(deadline=None)
def test_both_are_monotone(target):
    link = TargetTransform.fit("yeo-johnson", target)
    assert (np.diff(link.forward(np.sort(target))) >= 0).all()
    t = np.linspace(*link.limits, 101)
    assert (np.diff(link.inverse(t)) >= 0).all()


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_forward_is_that_of_scipy_and_scikit_learn(exponent):
    target = skewed() - 1.5
    link = power(exponent, centre=0.7, scale=2.5)
    scaled = (target - 0.7) / 2.5
    found = link.forward(target)
    np.testing.assert_allclose(found, yeojohnson(scaled, exponent), rtol=1e-14)
    theirs = PowerTransformer(standardize=False).fit(scaled[:, None])
    theirs.lambdas_ = np.array([exponent])
    np.testing.assert_allclose(
        found, theirs.transform(scaled[:, None])[:, 0], rtol=1e-6
    )  # small exponents lose digits there
    ranged = with_range_of(link, target)
    np.testing.assert_allclose(
        ranged.inverse(found), theirs.inverse_transform(found[:, None])[:, 0] * 2.5 + 0.7, rtol=1e-5
    )


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_inverse_by_the_textbook(exponent):
    """Yeo and Johnson (2000), eq. 2.1, solved for the target."""
    x = np.array([-3.0, -0.5, -1e-8, 0.0, 1e-8, 0.5, 3.0])
    up, down = np.maximum(x, 0.0), np.maximum(-x, 0.0)
    above = np.log1p(up) if exponent == 0 else np.expm1(exponent * np.log1p(up)) / exponent
    below = np.log1p(down) if exponent == 2 else np.expm1((2 - exponent) * np.log1p(down)) / (2 - exponent)
    link = with_range_of(power(exponent), x)
    np.testing.assert_allclose(link.inverse(np.where(x >= 0, above, -below)), x, rtol=1e-11)


def test_exponent_one_is_the_identity_and_exponents_0_and_2_are_logarithms():
    t = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    np.testing.assert_allclose(power(1.0, -2.0, 2.0).inverse(t), t, rtol=1e-15)
    np.testing.assert_allclose(power(0.0, -2.0, 2.0).inverse(t)[3:], np.exp([1.0, 2.0]) - 1)
    np.testing.assert_allclose(power(2.0, -2.0, 2.0).inverse(t)[:2], 1 - np.exp([2.0, 1.0]))
    np.testing.assert_allclose(power(0.0, -4.0, 4.0).inverse(t)[:2], [1 - np.sqrt(5), 1 - np.sqrt(3)])


@pytest.mark.parametrize("seed", range(3))
def test_exponent_is_the_most_likely_one(seed):
    target = skewed(seed=seed)
    link = TargetTransform.fit("yeo-johnson", target)
    low, centre, high = np.quantile(target, [0.25, 0.5, 0.75])
    assert (link.centre, link.scale) == (centre, high - low)
    scaled = (target - centre) / (high - low)
    assert link.exponent == yeojohnson_normmax(scaled)
    likelihood = [yeojohnson_llf(link.exponent + step, scaled) for step in (-0.01, 0.0, 0.01)]
    assert likelihood[1] > max(likelihood[0], likelihood[2])
    theirs = PowerTransformer(standardize=False).fit(scaled[:, None])
    assert link.exponent == pytest.approx(theirs.lambdas_[0], abs=1e-4)
    assert (link.low, link.high) == (link.forward(target).min(), link.forward(target).max())


def test_a_long_tail_becomes_short():
    target = skewed()
    for kind in ("log", "yeo-johnson"):
        scaled = TargetTransform.fit(kind, target).forward(target)
        before, after = (np.ptp(x) / np.subtract(*np.quantile(x, [0.75, 0.25])) for x in (target, scaled))
        assert after < 0.6 * before


@pytest.mark.parametrize("link", [TargetTransform("log", low=-1.0, high=3.0), power(0.5, -1.0, 3.0)])
def test_no_inverse_beyond_half_the_width_of_the_training_range(link):
    assert link.limits == (-3.0, 5.0)
    found = link.inverse(np.array([np.nextafter(-3.0, -4), -3.0, 5.0, np.nextafter(5.0, 6), np.nan, np.inf, -np.inf]))
    np.testing.assert_array_equal(np.isfinite(found), [False, True, True, False, False, False, False])
    assert np.isnan(found[~np.isfinite(found)]).all()


@pytest.mark.parametrize("exponent", [-3.0, -1.0, -0.2])
def test_limits_keep_away_from_where_the_inverse_diverges(exponent):
    """At most half the way from the outermost training target to -1/lambda; mirrored about 0 for 2 - lambda."""
    edge = 0.9 * -1.0 / exponent
    expected = edge + REACH * (-1.0 / exponent - edge)
    low, high = power(exponent, -5.0 / -exponent, edge).limits
    assert high == pytest.approx(expected, rel=1e-12)
    assert low == pytest.approx(1.5 * -5.0 / -exponent - 0.5 * edge, rel=1e-12)
    mirrored = power(2.0 - exponent, -edge, 5.0 / -exponent)
    assert mirrored.limits == pytest.approx((-high, -low), rel=1e-12)
    ends = mirrored.inverse(np.array(mirrored.limits))
    np.testing.assert_allclose(ends, -power(exponent, -5.0 / -exponent, edge).inverse(np.array([high, low])), rtol=1e-9)
    assert ends[0] == pytest.approx(1 - 0.05 ** (1 / exponent), rel=1e-9)


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 2.0, 3.0])
def test_without_a_training_range_only_the_divergence_limits(exponent):
    low, high = power(exponent).limits
    assert (high == np.inf) == (exponent >= 0)
    assert (low == -np.inf) == (exponent <= 2)
    inside = np.array([x for x in (low, high, 0.0) if np.isfinite(x)])
    assert np.isfinite(power(exponent).inverse(inside)).all()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_training_targets_are_within_the_limits(kind):
    """Also where nearly all targets are the same, which has scipy put the exponent at -30."""
    outlier = np.append(np.full(20, 5.0), 9.0)
    for target in (
        skewed(),
        outlier,
        np.append(np.full(20, 5.0), 5e6),
        np.full(4, 3.0),
        np.array([2.0]),
        np.array([1.0, 2.0]),
    ):
        link = TargetTransform.fit(kind, target)
        np.testing.assert_allclose(link.inverse(link.forward(target)), target, rtol=1e-9)
    assert yeojohnson_normmax((outlier - 5) / 4) < -29


def test_an_exponent_is_held_back_on_both_sides():
    target = np.append(np.full(20, 5.0), 9.0)
    high, low = TargetTransform.fit("yeo-johnson", target), TargetTransform.fit("yeo-johnson", -target)
    assert high.exponent == pytest.approx(np.log(1e-6) / np.log(2.0))
    assert low.exponent == pytest.approx(2.0 - high.exponent)
    np.testing.assert_allclose(low.inverse(low.forward(-target)), -target, rtol=1e-9)


def test_targets_that_differ_in_the_last_digits_only():
    target = 3.0 + 4.440892098500626e-16 * np.arange(-5, 6)
    link = TargetTransform.fit("yeo-johnson", target)
    assert np.isfinite([link.exponent, link.scale, *link.limits]).all()
    np.testing.assert_allclose(link.inverse(link.forward(target)), target, rtol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-200, 1e-12, 1e12, 1e200])
def test_any_unit_gives_the_same_transform(kind, size):
    target = skewed()
    near, far = TargetTransform.fit(kind, target), TargetTransform.fit(kind, size * target)
    assert far.exponent == pytest.approx(near.exponent, abs=1e-6)
    np.testing.assert_allclose(far.inverse(far.forward(size * target)), size * target, rtol=1e-9)
    t = np.linspace(-1.0, 1.0, 21) + (np.log(size) if kind == "log" else 0.0)
    back = near.inverse(t - (np.log(size) if kind == "log" else 0.0))
    np.testing.assert_allclose(far.inverse(size * t if kind == "none" else t) / size, back, rtol=1e-5)


def test_a_thousandfold_target_scales_the_inverse_a_thousandfold():
    target = skewed() - 1.0
    near, far = TargetTransform.fit("yeo-johnson", target), TargetTransform.fit("yeo-johnson", 1000.0 * target)
    assert far.exponent == pytest.approx(near.exponent, abs=1e-6)
    assert (far.centre, far.scale) == pytest.approx((1000.0 * near.centre, 1000.0 * near.scale), rel=1e-12)
    t = np.linspace(*near.limits, 33)[1:-1]
    np.testing.assert_allclose(far.inverse(t), 1000.0 * near.inverse(t), rtol=1e-4)


def test_an_inverse_too_large_for_a_number_is_infinite():
    link = TargetTransform("log", low=-600.0, high=600.0)
    np.testing.assert_array_equal(link.inverse(np.array([1000.0, -1000.0])), [np.inf, 0.0])


@pytest.mark.parametrize("exponent", [-1.5, 0.0, 0.4, 2.0, 3.0])
def test_a_normal_distribution_goes_back_end_by_end(exponent):
    link = with_range_of(power(exponent, centre=2.0, scale=3.0), np.linspace(-1.0, 5.0, 20))
    width = link.high - link.low
    mean = np.append(np.linspace(link.low - width, link.high + width, 40), [np.nan, np.inf])
    std = np.append(np.tile([0.0, 0.1, 0.4, 0.8], 10), [0.1, 0.1]) * width
    found = np.array(link.back(mean, std)).T
    known = 0
    for m, s, got in zip(mean, std, found, strict=True):
        low, high = (float(link.inverse(np.array([end]))[0]) for end in (m - s, m + s))
        if np.isfinite(low) and np.isfinite(high):
            known += 1
            assert got == pytest.approx([float(link.inverse(np.array([m]))[0]), (high - low) / 2], rel=1e-12)
            assert low <= got[0] <= high
        else:
            assert np.isnan(got).all()
    assert 10 < known < 35


def test_an_end_that_is_infinite_is_none():
    median, sigma = TargetTransform("log", low=-600.0, high=600.0).back(
        np.array([650.0, 700.0, 1000.0]), np.full(3, 100.0)
    )
    assert np.isnan([median, sigma]).all()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_what_has_no_transform_is_nan(kind):
    link = TargetTransform.fit(kind, skewed())
    values = np.array([np.nan, np.inf, -np.inf])
    assert np.isnan(link.forward(values)).all()
    assert np.isnan(link.forward(np.array([0.0, -1.0]))).all() == (kind == "log")
    assert yeojohnson(np.array([np.inf]), -0.5)[0] == 2.0  # a finite number, were it not for the rule


def test_no_transform_changes_nothing():
    target = np.array([1.0, np.nan, -np.inf])
    assert TargetTransform.fit("none", target) == IDENTITY == TargetTransform()
    assert IDENTITY.is_identity
    assert IDENTITY.forward(target) is target
    assert IDENTITY.inverse(target) is target
    std = np.array([0.5, np.nan, 1.0])
    assert IDENTITY.back(target, std) == (target, std)
    assert IDENTITY.to_json() == {"kind": "none"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sort_keys", [False, True])
def test_through_json_it_is_the_same(kind, sort_keys):
    link = TargetTransform.fit(kind, skewed())
    text = json.dumps(link.to_json(), sort_keys=sort_keys, allow_nan=False)
    assert TargetTransform.from_json(json.loads(text)) == link


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (IDENTITY, "E (eV)"),
        (TargetTransform("log"), "log(E (eV))"),
        (power(0.25, centre=1.5, scale=0.5), "yeo_johnson((E (eV) - 1.5)/0.5, lambda = 0.25)"),
        (power(-1 / 3, centre=-1.5, scale=1e-9), "yeo_johnson((E (eV) + 1.5)/1e-09, lambda = -0.3333)"),
    ],
)
def test_phrase(link, expected):
    assert link.phrase("E (eV)") == expected


def test_an_unknown_kind_is_refused():
    message = "transform: needs one of none, log, yeo-johnson, found 'sqrt'"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        TargetTransform.fit("sqrt", np.ones(2))
    with pytest.raises(ModelFileError, match=r"^kind: needs 'log' or 'yeo-johnson', found 'sqrt'$"):
        TargetTransform.from_json({"kind": "sqrt"})


@pytest.mark.parametrize(("lowest", "shown"), [(0.0, "0"), (-2.5, "-2.5")])
def test_a_logarithm_needs_positive_targets(lowest, shown):
    message = f"transform: log needs a target above 0, found {shown}; try yeo-johnson"
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        TargetTransform.fit("log", np.array([1.0, lowest]))
