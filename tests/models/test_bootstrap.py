"""Bootstrap samples: what they add up to, whom they leave out, and that a seed decides all."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sisso_sal.models.bootstrap import draw_allowed, draw_counts, leave_each_out

SEEDS = st.integers(0, 2**32 - 1)


@given(n=st.integers(1, 60), seed=SEEDS)
@settings(deadline=None)
def test_as_many_are_drawn_as_there_are(n, seed):
    counts = draw_counts(n, np.random.default_rng(seed))
    assert counts.shape == (n,)
    assert counts.min() >= 0.0
    assert counts.sum() == n
    assert np.array_equal(counts, np.round(counts))


def test_a_draw_is_a_count_of_the_generators_integers():
    rows = np.random.default_rng(3).integers(0, 9, 9)
    expected = [float((rows == i).sum()) for i in range(9)]
    assert draw_counts(9, np.random.default_rng(3)).tolist() == expected


def test_the_share_of_unseen_samples_is_about_exp_of_minus_one():
    rng = np.random.default_rng(7)
    unseen = np.mean([draw_counts(50, rng) == 0 for _ in range(400)])
    assert unseen == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


def test_every_sample_counts_the_same_on_average():
    rng = np.random.default_rng(7)
    assert np.mean([draw_counts(20, rng) for _ in range(2000)], axis=0) == pytest.approx(np.ones(20), abs=0.15)


def test_a_seed_decides_the_draw():
    draws = [draw_counts(40, np.random.default_rng(seed)).tobytes() for seed in (5, 5, 6)]
    assert draws[0] == draws[1] != draws[2]


@given(n=st.integers(1, 40), dropout=st.floats(0, 0.999), seed=SEEDS)
@settings(deadline=None)
def test_dropout_leaves_out_the_rounded_share_but_keeps_one(n, dropout, seed):
    allowed = draw_allowed(n, dropout, np.random.default_rng(seed))
    assert allowed.dtype == bool
    assert (~allowed).sum() == min(round(dropout * n), n - 1)


def test_dropout_is_the_same_for_all_features():
    rng = np.random.default_rng(1)
    share = np.mean([draw_allowed(10, 0.3, rng) for _ in range(3000)], axis=0)
    assert share == pytest.approx(np.full(10, 0.7), abs=0.04)


def drawn(n_members, n, seed):
    rng = np.random.default_rng(seed)
    return np.array([draw_counts(n, rng) for _ in range(n_members)])


def always(counts):
    return True


@given(n_members=st.integers(2, 30), n=st.integers(2, 40), seed=SEEDS)
@settings(deadline=None)
def test_no_material_is_in_all_samples_whatever_the_number_of_members(n_members, n, seed):
    samples = drawn(n_members, n, seed)
    assume((np.count_nonzero(samples, axis=1) > 1).all())
    given_samples = samples.copy()
    found = leave_each_out(samples, always, seed)
    assert np.array_equal(samples, given_samples)
    assert (found == 0).any(axis=0).all()
    assert np.array_equal(found.sum(axis=1), np.full(n_members, float(n)))  # as many draws in each as before
    assert found.min() >= 0.0
    out = samples == 0
    assert (found[out] == 0).all()  # what a member leaves out it still does
    everywhere = (samples > 0).all(axis=0)
    assert (found != samples).any(axis=1).sum() <= everywhere.sum()  # one member for each of these
    assert np.array_equal((found == 0).sum() - out.sum(), everywhere.sum())


@given(n_members=st.integers(2, 30), n=st.integers(2, 40), seed=SEEDS)
@settings(deadline=None)
def test_samples_that_leave_each_material_out_stay_as_they_are(n_members, n, seed):
    found = leave_each_out(drawn(n_members, n, seed), always, seed)
    assert np.array_equal(leave_each_out(found, always, seed + 1), found)


def test_thirty_members_are_as_they_were_drawn():
    for seed in range(20):
        samples = drawn(30, 40, seed)
        assert np.array_equal(leave_each_out(samples, always, seed), samples)


def test_a_seed_decides_who_leaves_a_material_out_and_all_members_do_it_in_turn():
    samples = np.ones((4, 6))
    found = [leave_each_out(samples, always, seed) for seed in range(40)]
    assert np.array_equal(found[3], leave_each_out(samples, always, 3))
    changed = [tuple((one == 0).any(axis=1)) for one in found]
    assert len(set(changed)) > 5
    assert np.mean([one.any(axis=None) for one in np.equal(found, 0).transpose(1, 2, 0)]) == 1.0


def test_a_member_that_could_not_be_fitted_any_more_stays_as_it_is():
    """Members need three different materials here: the second has no more, so the first leaves all out that both have."""
    samples = np.array([[1.0, 1.0, 2.0, 1.0, 1.0], [2.0, 2.0, 1.0, 0.0, 0.0]])

    def is_enough(counts):
        return np.count_nonzero(counts) >= 3

    for seed in range(20):
        with_limit = leave_each_out(samples, is_enough, seed)
        assert all(is_enough(row) for row in with_limit)
        assert np.array_equal(with_limit[1], samples[1])
        # Two can be left out by the first; the third material stays in both.
        assert (with_limit > 0).all(axis=0).sum() == 1
