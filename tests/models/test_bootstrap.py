"""Bootstrap samples: what they add up to, whom they leave out, and that a seed decides all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.models.bootstrap import draw_allowed, draw_counts

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
