"""Aggregation against NumPy and SciPy, with weights against repetition, and against members that shoot off."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import trim_mean

from sisso_sal.errors import SettingsError
from sisso_sal.models.aggregation import MEANS, SPREADS, aggregate

VALUES = st.floats(-1e6, 1e6)


@st.composite
def ensembles(draw):
    """Members and which of them are valid, invalid ones being anything."""
    n_members, n = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    members = draw(arrays(float, (n_members, n), elements=VALUES))
    valid = draw(arrays(bool, (n_members, n)))
    junk = draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e300]))
    return np.where(valid, members, junk), valid


def one(values, **options):
    """Mean and spread of a single material whose members are all valid."""
    members = np.array(values, dtype=float)[:, None]
    mean, spread = aggregate(members, np.ones(members.shape, dtype=bool), 2, **options)
    return float(mean[0]), float(spread[0])


@given(given_=ensembles(), needed=st.integers(2, 6))
@settings(deadline=None)
def test_mean_and_std_are_numpys_over_the_valid_members(given_, needed):
    members, valid = given_
    mean, std = aggregate(members, valid, needed)
    for j in range(members.shape[1]):
        own = members[valid[:, j], j]
        if len(own) < needed:
            assert np.isnan([mean[j], std[j]]).all()
        else:
            size = np.abs(own).max()
            assert mean[j] == pytest.approx(own.mean(), rel=1e-12, abs=1e-12 * size)
            assert std[j] == pytest.approx(own.std(ddof=1), rel=1e-9, abs=1e-12 * size)


@given(given_=ensembles())
@settings(deadline=None)
def test_median_is_numpys_over_the_valid_members(given_):
    members, valid = given_
    median, _ = aggregate(members, valid, 2, mean="median")
    for j in range(members.shape[1]):
        own = members[valid[:, j], j]
        expected = np.median(own) if len(own) >= 2 else np.nan
        assert median[j] == pytest.approx(expected, rel=1e-9, abs=1e-6, nan_ok=True)


@given(values=st.integers(1, 5).flatmap(lambda k: st.lists(VALUES, min_size=5 * k, max_size=5 * k)))
@settings(deadline=None)
def test_trimmed_is_scipys_where_a_fifth_is_a_whole_number(values):
    assert one(values, mean="trimmed")[0] == pytest.approx(trim_mean(values, 0.2), rel=1e-9, abs=1e-6)


def test_trimmed_takes_parts_of_members():
    # A fifth of three members is 0.6 of one: 0.4, 1 and 0.4 of them remain.
    assert one([0.0, 1.0, 10.0], mean="trimmed")[0] == pytest.approx((1.0 + 0.4 * 10.0) / 1.8)


@given(pairs=st.lists(st.tuples(VALUES, st.integers(1, 4)), min_size=2, max_size=8))
@settings(deadline=None)
def test_integer_weights_mean_repeated_members(pairs):
    values, counts = np.array([v for v, _ in pairs]), np.array([c for _, c in pairs])
    repeated = np.repeat(values, counts)
    for mean in ("mean", "trimmed"):
        found = one(values, weights=counts.astype(float), mean=mean)[0]
        assert found == pytest.approx(one(repeated, mean=mean)[0], rel=1e-9, abs=1e-6)


@given(pairs=st.lists(st.tuples(VALUES, st.floats(0.01, 10.0)), min_size=2, max_size=8))
@settings(deadline=None)
def test_weighted_spread_has_the_unbiased_denominator_of_reliability_weights(pairs):
    values, weights = np.array([v for v, _ in pairs]), np.array([w for _, w in pairs])
    mean = np.average(values, weights=weights)
    variance = (weights * (values - mean) ** 2).sum() / (weights.sum() - (weights**2).sum() / weights.sum())
    found = one(values, weights=weights)
    assert found[0] == pytest.approx(mean, rel=1e-9, abs=1e-6)
    assert found[1] == pytest.approx(np.sqrt(variance), rel=1e-9, abs=1e-6)


@given(given_=ensembles(), mean=st.sampled_from(MEANS), spread=st.sampled_from(SPREADS), scale=st.floats(0.1, 10))
@settings(deadline=None)
def test_only_ratios_of_weights_count(given_, mean, spread, scale):
    members, valid = given_
    plain = aggregate(members, valid, 2, mean=mean, spread=spread)
    scaled = aggregate(members, valid, 2, mean=mean, spread=spread, weights=np.full(len(members), scale))
    for a, b in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-5)


@given(given_=ensembles(), mean=st.sampled_from(MEANS), spread=st.sampled_from(SPREADS), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_order_of_the_members_does_not_count(given_, mean, spread, seed):
    members, valid = given_
    order = np.random.default_rng(seed).permutation(len(members))
    for a, b in zip(
        aggregate(members, valid, 2, mean=mean, spread=spread),
        aggregate(members[order], valid[order], 2, mean=mean, spread=spread),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-5)


def test_robust_spread_of_a_gaussian_sample_is_its_sigma():
    sample = np.random.default_rng(0).normal(3.0, 2.0, 20_000)
    assert one(sample, spread="robust")[1] == pytest.approx(2.0, rel=0.02)


def test_robust_spread_is_half_the_distance_between_the_percentiles():
    values = np.random.default_rng(1).normal(size=40)
    low, high = np.quantile(values, [0.15866, 0.84134], method="hazen")
    assert one(values, spread="robust")[1] == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("mean", ["median", "trimmed"])
def test_one_member_that_shoots_off_moves_nothing_robust(mean):
    values = np.random.default_rng(2).normal(size=30)
    values[0] = values.max() + 0.01
    calm = one(values, mean=mean, spread="robust")
    values[0] = 1e300
    assert one(values, mean=mean, spread="robust") == calm


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e300])
def test_an_invalid_member_moves_nothing_at_all(mean, spread, junk):
    members = np.append(np.random.default_rng(3).normal(size=9), junk)[:, None]
    valid = np.arange(10)[:, None] < 9
    found = aggregate(members, valid, 2, mean=mean, spread=spread)
    assert found[0][0] == pytest.approx(one(members[:9, 0], mean=mean, spread=spread)[0], rel=1e-14)
    assert found[1][0] == pytest.approx(one(members[:9, 0], mean=mean, spread=spread)[1], rel=1e-14)


@pytest.mark.parametrize(("mean", "share"), [("median", 0.5), ("trimmed", 0.2)])
def test_the_largest_part_of_members_that_may_shoot_off_moves_nothing(mean, share):
    for n in range(3, 80):
        n_off = (n - 1) // 2 if mean == "median" else int(share * n)
        values = np.arange(n, dtype=float)
        calm = one(values, mean=mean)[0]
        if n_off:
            values[-n_off:] = 1e300
        assert one(values, mean=mean, spread="robust")[0] == pytest.approx(calm, abs=1e-9), n


def test_a_spread_too_large_for_a_number_is_infinite():
    assert one([1.0, 2.0, 1e300]) == (pytest.approx(1e300 / 3), np.inf)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("spread", SPREADS)
def test_too_few_valid_members_say_nothing(mean, spread):
    members = np.array([[1.0, 1.0, np.nan], [2.0, np.nan, np.nan], [3.0, np.nan, np.nan]])
    found = aggregate(members, np.isfinite(members), 2, mean=mean, spread=spread)
    assert np.isnan(found).tolist() == [[False, True, True]] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": "mode"}, "aggregation: needs one of mean, median, trimmed, found 'mode'"),
        ({"spread": "range"}, "spread: needs one of std, robust, found 'range'"),
    ],
)
def test_unknown_names_are_refused(options, message):
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        one([1.0, 2.0], **options)
