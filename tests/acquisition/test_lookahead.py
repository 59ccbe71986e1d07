"""Looking ahead: against truncated normals, a naive twin, draws of whole searches, and what must hold in any case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm, truncnorm

from sisso_sal.acquisition.lookahead import GOES_ON, Belief, expected_finds, lasting
from sisso_sal.acquisition.normal import log_between

BOUNDS = [
    (-np.inf, -1.3),
    (-np.inf, 0.4),
    (-np.inf, 3.0),
    (-0.5, np.inf),
    (2.2, np.inf),
    (-1.0, 0.7),
    (1.5, 2.0),
    (-9.0, -6.0),
]


def correlated(n, seed, strength=0.7):
    """A correlation matrix of n candidates in three families."""
    rng = np.random.default_rng(seed)
    load = rng.uniform(0, strength, n)[:, None] * np.eye(3)[rng.integers(0, 3, n)]
    link = load @ load.T
    np.fill_diagonal(link, 1.0)
    return link


def believed(n, seed=0, strength=0.7):
    rng = np.random.default_rng([seed, 1])
    return Belief(np.full(n, -np.inf), rng.normal(-0.7, 0.6, n), correlated(n, seed, strength))


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_moments_of_a_hit_are_those_of_the_truncated_normal_distribution(low, high):
    belief = Belief(np.array([low]), np.array([high]), np.eye(1))
    mean, variance = (value[0] for value in belief.hit)
    twin = truncnorm(low, high)
    assert mean == pytest.approx(twin.mean(), rel=1e-6)
    assert variance == pytest.approx(twin.var(), rel=1e-4, abs=1e-7)
    assert belief.probability[0] == pytest.approx(norm.cdf(high) - norm.cdf(low), rel=1e-9)


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_hit_and_miss_together_are_the_standard_normal_distribution(low, high):
    belief = Belief(np.array([low]), np.array([high]), np.eye(1))
    p, (a, v), (b, w) = belief.probability, belief.hit, belief.miss
    assert (p * a + (1 - p) * b)[0] == pytest.approx(0.0, abs=1e-9)
    assert (p * (v + a**2) + (1 - p) * (w + b**2))[0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("z", [-3.0, -12.0, -38.0, -100.0, -1000.0])
def test_a_hit_that_is_hardly_possible_lies_at_its_bound(z):
    belief = Belief(np.array([-np.inf]), np.array([z]), np.eye(1))
    mean, variance = (value[0] for value in belief.hit)
    assert z * (1 + 1e-10) + 1 / z <= mean <= z
    assert 0 <= variance <= 1.5 / z**2 + 1e-5
    assert np.isfinite(belief.log_probability[0])
    assert [value[0] for value in belief.miss] == pytest.approx([0.0, 1.0], abs=0.02)


def test_certain_outcomes_tell_nothing():
    belief = Belief(np.array([-np.inf, np.inf, -np.inf]), np.array([np.inf, np.inf, -np.inf]), np.eye(3))
    assert belief.probability.tolist() == [1.0, 0.0, 0.0]
    for mean, variance in (belief.hit, belief.miss):
        assert mean.tolist() == [0.0, 0.0, 0.0]
        assert variance.tolist() == [1.0, 1.0, 1.0]
    assert expected_finds(belief, np.array([0.5, 0.25])).tolist() == [1.0, 0.5, 0.5]


def naive_finds(belief, weights):
    """For each candidate: the others after a hit, after a miss what makes up the whole, and the likeliest of either."""
    n, out = len(belief.high), []
    p = [norm.cdf(belief.high[i]) - norm.cdf(belief.low[i]) for i in range(n)]
    for i in range(n):
        hit = truncnorm(belief.low[i], belief.high[i])
        after_hit, after_miss = [], []
        for j in range(n):
            if j != i:
                r = belief.correlation[i, j]
                spread = np.sqrt(1 - r * r + r * r * hit.var())
                low, high = (edge - r * hit.mean() for edge in (belief.low[j], belief.high[j]))
                after_hit.append(norm.cdf(high / spread) - norm.cdf(low / spread))
                after_miss.append(max(0.0, p[j] - p[i] * after_hit[-1]) / (1 - p[i]))
        later = [
            sum(weight * chance for weight, chance in zip(weights, sorted(chances, reverse=True), strict=False))
            for chances in (after_hit, after_miss)
        ]
        out.append(p[i] + p[i] * later[0] + (1 - p[i]) * later[1])
    return out


@pytest.mark.parametrize("horizon", [1, 2, 3, 8, 9, 30])
def test_the_expected_finds_are_those_of_a_naive_twin(horizon):
    belief, weights = believed(8), lasting(horizon - 1)
    assert expected_finds(belief, weights) == pytest.approx(naive_finds(belief, weights), rel=1e-6)
    rng = np.random.default_rng(3)
    low = rng.normal(-0.5, 0.5, 8)
    window = Belief(low, low + 0.8, correlated(8, 2))
    assert expected_finds(window, weights) == pytest.approx(naive_finds(window, weights), rel=1e-6)


def test_two_evaluations_are_what_an_enumeration_of_all_outcomes_gives():
    """Probabilities of pairs are exact here, by the distribution function of two correlated normal variables."""
    belief, weight = believed(5, seed=2, strength=0.9), 0.6
    n, p = 5, norm.cdf(belief.high)
    both = np.diag(p)
    for i in range(n):
        for j in range(i):
            link = belief.correlation[np.ix_([i, j], [i, j])]
            both[i, j] = both[j, i] = multivariate_normal.cdf(belief.high[[i, j]], np.zeros(2), link)
    enumerated = [
        p[i] + weight * sum(max(chances[j] for j in range(n) if j != i) for chances in (both[i], p - both[i]))
        for i in range(n)
    ]
    assert expected_finds(belief, np.array([weight])) == pytest.approx(enumerated, abs=0.01)


def test_weights_are_those_of_a_campaign_that_may_end_after_any_evaluation():
    """The mean over its end of what is found until then, where it ends after the last evaluation at the latest."""
    belief, n = believed(9, seed=1, strength=0.9), 7
    ends = (1 - GOES_ON) * GOES_ON ** np.arange(n)
    ends[-1] = GOES_ON ** (n - 1)
    assert ends.sum() == pytest.approx(1.0)
    until = [expected_finds(belief, np.ones(k)) for k in range(n)]
    assert expected_finds(belief, lasting(n - 1)) == pytest.approx(ends @ until, rel=1e-12)


def test_without_later_weight_the_score_is_the_probability_and_with_full_weight_their_number():
    belief = believed(9, seed=3)
    for none in (np.empty(0), np.zeros(4)):
        assert np.array_equal(expected_finds(belief, none), belief.probability)
    assert expected_finds(belief, np.ones(8)) == pytest.approx(np.full(9, belief.probability.sum()), rel=1e-12)
    assert np.array_equal(expected_finds(belief, np.ones(30)), expected_finds(belief, np.ones(8)))


def test_the_expected_finds_are_those_of_drawn_truths():
    """Of many drawn truths those in which the first is a target tell how often another one is; no moments are matched there."""
    belief = believed(6, seed=4, strength=0.9)
    rng = np.random.default_rng(0)
    reached = rng.multivariate_normal(np.zeros(6), belief.correlation, 400_000) <= belief.high
    for i in range(6):
        others = [j for j in range(6) if j != i]
        finds = reached[:, i].mean()
        for outcome in (reached[:, i], ~reached[:, i]):
            finds += outcome.mean() * np.array([0.8, 0.9]) @ np.sort(reached[outcome][:, others].mean(axis=0))[-2:]
        assert expected_finds(belief, np.array([0.9, 0.8]))[i] == pytest.approx(finds, abs=0.02)


def test_without_kin_the_likeliest_come_first_and_nothing_is_gained():
    high = np.array([-1.0, 0.0, -0.5, 0.3])
    p = norm.cdf(high)
    finds = expected_finds(Belief(np.full(4, -np.inf), high, np.eye(4)), np.array([0.7, 0.6]))
    assert finds == pytest.approx(p + 0.7 * p[[3, 3, 3, 1]] + 0.6 * p[[1, 2, 1, 2]])


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0, 0.95))
def test_whatever_is_believed(seed, horizon, strength):
    belief, weights = believed(9, seed, strength), lasting(horizon - 1)
    p, finds = belief.probability, expected_finds(belief, weights)
    every, n_later = np.append(1.0, weights)[:9], min(horizon, 9) - 1
    # An evaluation never harms, as the mean of the best is no less than the best of the mean; no search finds more than there are.
    blind = np.array([p[i] + weights[:n_later] @ np.sort(np.delete(p, i))[::-1][:n_later] for i in range(9)])
    assert np.all(finds >= blind - 1e-3)  # clipped probabilities
    assert finds.max() >= every @ np.sort(p)[::-1][: len(every)] - 1e-3
    assert finds.max() <= min(p.sum(), horizon) + 1e-3
    order = np.random.default_rng(seed).permutation(9)
    moved = Belief(belief.low[order], belief.high[order], belief.correlation[np.ix_(order, order)])
    assert np.array_equal(expected_finds(moved, weights), finds[order])
    turned = Belief(-belief.high, -belief.low, belief.correlation)
    assert expected_finds(turned, weights) == pytest.approx(finds, abs=1e-9)


def test_one_that_speaks_for_many_comes_before_a_likelier_one():
    kin = np.eye(6)
    kin[1:, 1:] = 0.85
    np.fill_diagonal(kin, 1.0)
    belief = Belief(np.full(6, -np.inf), np.array([-0.3, -0.6, -0.6, -0.6, -0.6, -0.6]), kin)
    assert np.argmax(expected_finds(belief, lasting(0))) == 0
    assert np.argmax(expected_finds(belief, lasting(3))) != 0


def test_the_same_candidates_are_worth_less_where_the_campaign_may_end_sooner():
    """Of a hundred others hardly one is likely; who speaks for them is chosen where all the finds count, not where soon ones do."""
    kin = np.eye(21)
    kin[1:, 1:] = 0.9
    np.fill_diagonal(kin, 1.0)
    belief = Belief(np.full(21, -np.inf), np.append(-0.2, np.full(20, -1.5)), kin)
    assert np.argmax(expected_finds(belief, np.ones(15))) != 0
    assert np.argmax(expected_finds(belief, 0.5 ** np.arange(1, 16))) == 0


def test_after_a_miss_its_kin_are_what_draws_say():
    belief = believed(5, seed=7, strength=0.95)
    rng = np.random.default_rng(0)
    drawn = rng.multivariate_normal(np.zeros(5), belief.correlation, 400_000)
    kept = drawn[drawn[:, 2] > belief.high[2]]
    after = belief.after_miss(2)
    others = [0, 1, 3, 4]
    assert after.probability[others] == pytest.approx((kept <= belief.high).mean(axis=0)[others], abs=0.01)
    link = np.corrcoef(kept.T)
    assert after.correlation[np.ix_(others, others)] == pytest.approx(link[np.ix_(others, others)], abs=0.01)
    assert np.all(after.probability[others] <= belief.probability[others] + 1e-12)
    last = after.take(np.array([False, False, False, True, True]))
    assert (
        last.probability.tolist() == after.take(np.array([3, 4])).probability.tolist() == after.probability[3:].tolist()
    )
    assert np.diag(last.correlation) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("strength", [0.9, 0.9999, 1.0])
def test_many_misses_leave_a_correlation(strength):
    link = np.full((12, 12), strength)
    np.fill_diagonal(link, 1.0)
    belief = Belief(np.full(12, -np.inf), np.full(12, -0.3), link)
    for number in range(10):
        belief = belief.after_miss(number)
    rest = belief.take(np.arange(10, 12))
    assert np.diag(rest.correlation) == pytest.approx([1.0, 1.0])
    assert abs(rest.correlation[0, 1]) <= 1 + 1e-12
    assert 0 <= rest.probability[0] < 0.1


def test_between_is_accurate_in_both_tails():
    found = log_between(np.array([-40.0, 39.0, -np.inf, 5.0]), np.array([-39.0, 40.0, 0.0, np.inf]))
    tail = norm.logcdf(-39.0) + np.log1p(-np.exp(norm.logcdf(-40.0) - norm.logcdf(-39.0)))
    assert found == pytest.approx([tail, tail, np.log(0.5), norm.logsf(5.0)], rel=1e-12)
