"""Aggregation against NumPy, and against members that shoot off."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sisso_sal.errors import SettingsError
from sisso_sal.models.aggregation import MEANS, aggregate

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


@given(given_=ensembles(), mean=st.sampled_from(MEANS), scale=st.floats(0.1, 10))
@settings(deadline=None)
def test_the_weight_of_a_member_cancels(given_, mean, scale):
    members, valid = given_
    plain = aggregate(members, valid, 2, mean=mean)
    scaled = aggregate(members, valid, 2, mean=mean, weight=scale)
    for a, b in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-5)


@given(given_=ensembles(), mean=st.sampled_from(MEANS), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_order_of_the_members_does_not_count(given_, mean, seed):
    members, valid = given_
    order = np.random.default_rng(seed).permutation(len(members))
    for a, b in zip(
        aggregate(members, valid, 2, mean=mean),
        aggregate(members[order], valid[order], 2, mean=mean),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-5)


def test_one_member_that_shoots_off_moves_no_median():
    values = np.random.default_rng(2).normal(size=30)
    values[0] = values.max() + 0.01
    calm = one(values, mean="median")[0]
    values[0] = 1e300
    assert one(values, mean="median")[0] == calm


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e300])
def test_an_invalid_member_moves_nothing_at_all(mean, junk):
    members = np.append(np.random.default_rng(3).normal(size=9), junk)[:, None]
    valid = np.arange(10)[:, None] < 9
    found = aggregate(members, valid, 2, mean=mean)
    assert found[0][0] == pytest.approx(one(members[:9, 0], mean=mean)[0], rel=1e-14)
    assert found[1][0] == pytest.approx(one(members[:9, 0], mean=mean)[1], rel=1e-14)


def test_nearly_half_of_the_members_may_shoot_off_and_the_median_stays():
    for n in range(3, 80):
        values = np.arange(n, dtype=float)
        calm = one(values, mean="median")[0]
        values[-((n - 1) // 2) :] = 1e300
        assert one(values, mean="median")[0] == pytest.approx(calm, abs=1e-9), n


def test_a_spread_too_large_for_a_number_is_infinite():
    assert one([1.0, 2.0, 1e300]) == (pytest.approx(1e300 / 3), np.inf)


@pytest.mark.parametrize("mean", MEANS)
def test_too_few_valid_members_say_nothing(mean):
    members = np.array([[1.0, 1.0, np.nan], [2.0, np.nan, np.nan], [3.0, np.nan, np.nan]])
    found = aggregate(members, np.isfinite(members), 2, mean=mean)
    assert np.isnan(found).tolist() == [[False, True, True]] * 2


def test_an_unknown_mean_is_refused():
    with pytest.raises(SettingsError, match=r"^aggregation: needs one of mean, median, found 'mode'$"):
        one([1.0, 2.0], mean="mode")
