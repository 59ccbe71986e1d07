"""Bootstrap samples: what they add up to, whom they leave out, and that a seed decides all."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.errors import SettingsError
from sisso_sal.models.bootstrap import KINDS, N_STRATA, draw_allowed, draw_weights

SEEDS = st.integers(0, 2**32 - 1)


def many(kind, n, draws=400):
    rng = np.random.default_rng(7)
    target = rng.normal(size=n)
    return np.array([draw_weights(kind, target, rng) for _ in range(draws)])


@given(kind=st.sampled_from(KINDS), n=st.integers(1, 60), seed=SEEDS)
@settings(deadline=None)
def test_weights_are_not_negative_and_add_up_to_what_was_drawn(kind, n, seed):
    weights = draw_weights(kind, np.arange(n) % 7.0, np.random.default_rng(seed))
    assert weights.shape == (n,)
    assert weights.min() >= 0.0
    drawn = min(n, max(2, round((1 - np.exp(-1)) * n))) if kind == "bayesian" else n
    assert weights.sum() == pytest.approx(drawn)


@given(kind=st.sampled_from(["plain", "stratified"]), n=st.integers(1, 60), seed=SEEDS)
@settings(deadline=None)
def test_draws_with_replacement_are_counts(kind, n, seed):
    weights = draw_weights(kind, np.arange(n) % 7.0, np.random.default_rng(seed))
    assert np.array_equal(weights, np.round(weights))


def test_a_plain_draw_is_a_count_of_the_generators_integers():
    rows = np.random.default_rng(3).integers(0, 9, 9)
    expected = [float((rows == i).sum()) for i in range(9)]
    assert draw_weights("plain", np.zeros(9), np.random.default_rng(3)).tolist() == expected


@pytest.mark.parametrize(
    ("kind", "unseen"),
    [
        ("plain", (1 - 1 / 50) ** 50),
        ("stratified", (1 - 1 / 10) ** 10),  # each of five strata of ten
        ("bayesian", 18 / 50),
    ],
)
def test_the_share_of_unseen_samples_is_about_exp_of_minus_one(kind, unseen):
    found = (many(kind, 50) == 0).mean()
    assert found == pytest.approx(unseen, abs=0.01)
    assert found == pytest.approx(np.exp(-1), abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_counts_the_same_on_average(kind):
    weights = many(kind, 20, draws=2000)
    expected = weights[0].sum() / 20
    assert weights.mean(axis=0) == pytest.approx(np.full(20, expected), abs=0.15)


@given(n=st.integers(1, 60), seed=SEEDS)
@settings(deadline=None)
def test_strata_keep_their_size(n, seed):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=n)
    weights = draw_weights("stratified", target, rng)
    by_target = weights[np.argsort(target)]
    sizes = [n // N_STRATA + (i < n % N_STRATA) for i in range(N_STRATA)]
    ends = np.cumsum(sizes)
    assert [by_target[end - size : end].sum() for size, end in zip(sizes, ends, strict=True)] == sizes


def test_a_plain_draw_does_not_keep_strata():
    rng = np.random.default_rng(0)
    assert len({draw_weights("plain", np.arange(50.0), rng)[:10].sum() for _ in range(20)}) > 3


def test_bayesian_weights_are_exponential_on_the_seen_share():
    weights = many("bayesian", 100)
    seen = weights > 0
    assert (seen.sum(axis=1) == 63).all()
    # A share of n exponentials has mean 1/n and variance (n - 1)/(n^2 (n + 1)): Dirichlet.
    assert weights.sum(axis=1) == pytest.approx(np.full(len(weights), 63.0))
    assert weights[seen].std() == pytest.approx(np.sqrt(62 / 64), abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_the_draw(kind):
    target = np.random.default_rng(0).normal(size=40)
    draws = [draw_weights(kind, target, np.random.default_rng(seed)).tobytes() for seed in (5, 5, 6)]
    assert draws[0] == draws[1] != draws[2]


def test_an_unknown_kind_is_refused():
    message = "bootstrap: needs one of plain, stratified, bayesian, found 'jackknife'"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        draw_weights("jackknife", np.zeros(3), np.random.default_rng(0))


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
