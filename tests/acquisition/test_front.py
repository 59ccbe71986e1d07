"""Two targets against the definition: pairs of rows, cells of a grid, draws, and the numbers of another package."""

import math

import numpy as np
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, truncnorm

from sisso_sal.acquisition.front import (
    believed,
    choose_batch,
    expected_hypervolume_improvement,
    hypervolume,
    pareto_front,
    probability_not_dominated,
    reference_point,
)
from sisso_sal.acquisition.scores import expected_improvement
from sisso_sal.errors import InputError
from sisso_sal.protocols.distribution import Distribution

FRONT = np.array([[0.1, 0.9], [0.3, 0.5], [0.6, 0.4], [0.8, 0.1]])
REFERENCE = np.array([1.0, 1.1])
PAIRS = np.array([[0.2, 0.3], [0.5, 0.5], [1.5, 1.4], [-0.5, 0.2], [0.9, 0.95], [0.45, 0.7]])
PAIRS_STD = np.array([[0.1, 0.2], [0.3, 0.05], [0.5, 0.6], [0.4, 0.1], [0.02, 0.02], [1.0, 2.0]])

# ExpectedHypervolumeImprovement of botorch 0.18.1 for PAIRS, signs turned; per front one row.
BOTORCH_EHVI = [
    (
        FRONT,
        [
            0.1611112183244163,
            0.02335297722246617,
            0.0004217049173966397,
            0.8155980984633361,
            1.035047253017314e-163,
            0.5797275462389293,
        ],
    ),
    (
        FRONT[:0],
        [
            0.6400011432413493,
            0.3035687793008504,
            0.004943853978154238,
            1.3500075711106314,
            0.015000000160384983,
            0.7429108887188931,
        ],
    ),
    (
        FRONT[1:2],
        [
            0.2365244195761323,
            0.03638941799471418,
            0.0008700228879220694,
            0.9320669136649113,
            9.35727373455188e-114,
            0.6167759805452795,
        ],
    ),
]


@pytest.mark.parametrize("spread", [0.0, 1.0, np.inf])
def test_infinities_never_give_nan(spread):
    everywhere = np.array([(m1, m2) for m1 in (-np.inf, -1.0, 1e308, np.inf) for m2 in (-np.inf, -1.0, 1e308, np.inf)])
    for front in (FRONT, FRONT[:0]):
        std = np.full((16, 2), spread)
        assert not np.isnan(expected_hypervolume_improvement(everywhere, std, front, REFERENCE)).any()
        chance = probability_not_dominated(everywhere, std, front)
        assert np.all((chance >= 0) & (chance <= 1))
    chance = probability_not_dominated(everywhere, np.full((16, 2), spread), FRONT)
    assert chance[np.isneginf(everywhere).any(axis=1)].tolist() == [1.0] * 7
    assert chance[(everywhere == np.inf).all(axis=1)].tolist() == [0.0]


@pytest.mark.parametrize(("front", "expected"), BOTORCH_EHVI)
def test_the_expected_hypervolume_improvement_is_that_of_botorch(front, expected):
    found = expected_hypervolume_improvement(PAIRS, PAIRS_STD, front, REFERENCE)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-16)


def naive_front(values):
    """Pairwise, by the definition."""
    return [
        not np.isnan(p).any() and not any(np.all(q <= p) and np.any(q < p) for q in values if not np.isnan(q).any())
        for p in values
    ]


def naive_hypervolume(front, reference, n=400):
    """Area by counting the cells of a grid from zero."""
    axes = [(np.arange(n) + 0.5) / n * r for r in reference]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    dominated = np.zeros(len(cells), dtype=bool)
    for point in front:
        dominated |= np.all(cells > point, axis=1)
    return dominated.mean() * np.prod(reference)


@given(seed=st.integers(0, 10_000), n=st.integers(0, 25), levels=st.integers(1, 8))
@settings(deadline=None, max_examples=examples_of(80))
def test_the_front_is_what_no_other_row_dominates(seed, n, levels):
    rng = np.random.default_rng(seed)
    values = rng.integers(-levels, levels, (n, 2)) / levels * rng.choice([1.0, -1.0], (n, 2))
    values[rng.random((n, 2)) < 0.05] = np.nan
    values[rng.random((n, 2)) < 0.05] = np.inf
    found = pareto_front(values)
    assert found.dtype == bool
    assert found.tolist() == naive_front(values)
    shuffle = rng.permutation(n)
    assert np.array_equal(pareto_front(values[shuffle]), found[shuffle])
    assert np.array_equal(pareto_front(values[:, ::-1]), found)


def test_the_hypervolume_is_the_area_counted():
    assert hypervolume(FRONT, REFERENCE) == pytest.approx(0.56)  # botorch 0.18.1
    rng = np.random.default_rng(4)
    for _ in range(5):
        front = rng.random((6, 2)) * 1.3
        assert hypervolume(front, REFERENCE) == pytest.approx(naive_hypervolume(front, REFERENCE), abs=5e-3)
    assert hypervolume(np.empty((0, 2)), REFERENCE) == 0.0
    assert hypervolume(np.array([[1.0, 0.0], [0.0, 1.1], [2.0, 2.0], [np.nan, 0.0]]), REFERENCE) == 0.0


@given(seed=st.integers(0, 10_000), k=st.integers(0, 8))
@settings(deadline=None, max_examples=examples_of(60))
def test_at_zero_spread_the_expected_growth_is_the_growth(seed, k):
    rng = np.random.default_rng(seed)
    front, mean = np.round(rng.random((k, 2)) * 1.3, 1), np.round(rng.random((12, 2)) * 1.4 - 0.1, 1)
    before = hypervolume(front, REFERENCE)
    growth = [hypervolume(np.vstack([front, point]), REFERENCE) - before for point in mean]
    found = expected_hypervolume_improvement(mean, np.zeros((12, 2)), front, REFERENCE)
    assert found == pytest.approx(growth, abs=1e-12)
    near = expected_hypervolume_improvement(mean, np.full((12, 2), 1e-9), front, REFERENCE)
    assert near == pytest.approx(growth, abs=1e-7)


@pytest.mark.parametrize("front", [FRONT, FRONT[:0], FRONT[1:2]])
def test_the_expected_growth_is_the_mean_growth_of_draws(front):
    rng, n = np.random.default_rng(1), 200_000
    found = expected_hypervolume_improvement(PAIRS, PAIRS_STD, front, REFERENCE)
    for mean, std, expected in zip(PAIRS, PAIRS_STD, found, strict=True):
        draws = rng.normal(mean, std, (n, 2))
        growth = expected_hypervolume_improvement(draws, np.zeros((n, 2)), front, REFERENCE)
        assert growth.mean() == pytest.approx(expected, abs=5 * growth.std() / math.sqrt(n) + 1e-15)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=examples_of(40))
def test_the_expected_growth_ignores_order_of_targets_and_all_that_adds_no_area(seed):
    rng = np.random.default_rng(seed)
    front, mean, std = rng.random((5, 2)), rng.random((7, 2)), 0.05 + rng.random((7, 2))
    found = expected_hypervolume_improvement(mean, std, front, REFERENCE)
    assert np.all(found > 0)
    turned = expected_hypervolume_improvement(mean[:, ::-1], std[:, ::-1], front[:, ::-1], REFERENCE[::-1])
    assert turned == pytest.approx(found, rel=1e-9)
    idle = np.array([[1.0, 0.0], [1.5, -3.0], [0.0, 1.1], [9.0, 9.0], [np.nan, 0.0], front[0] + 1e-3, front[0]])
    more = expected_hypervolume_improvement(mean, std, np.vstack([idle, front]), REFERENCE)
    assert np.array_equal(more, found)
    half = expected_hypervolume_improvement(mean, 0.5 * std, front[1:], REFERENCE)
    assert np.all(half >= expected_hypervolume_improvement(mean, 0.5 * std, front, REFERENCE) - 1e-15)


def test_one_certain_target_leaves_a_plain_expected_improvement():
    mean, std = np.array([[0.4, 0.6]]), np.array([[0.3, 0.0]])
    found = expected_hypervolume_improvement(mean, std, np.empty((0, 2)), REFERENCE)
    assert found[0] == pytest.approx(
        (1.1 - 0.6) * expected_improvement(Distribution(mean[:, 0], std[:, 0]), 1.0)[0], rel=1e-12
    )


def test_a_candidate_without_prediction_of_one_target_has_no_expected_growth():
    mean, std = np.array([[0.2, np.nan], [0.2, 0.3], [np.nan, 0.3]]), np.full((3, 2), 0.1)
    found = expected_hypervolume_improvement(mean, std, FRONT, REFERENCE)
    assert np.isnan(found).tolist() == [True, False, True]


# The chance to join the front ----------------------------------------------------------------------------------------


def naive_not_dominated(mean, std, front, n=40_000, seed=0):
    """The share of draws that no point of the front beats, by the definition."""
    draws = np.random.default_rng(seed).normal(mean, std, (n, 2))
    worse = [np.all(draws >= point, axis=1) & np.any(draws > point, axis=1) for point in front]
    return 1.0 - np.any(worse, axis=0).mean() if len(front) else 1.0


@pytest.mark.parametrize("front", [FRONT, FRONT[:0], FRONT[1:2], np.vstack([FRONT, FRONT + 0.2, FRONT[::-1]])])
def test_the_chance_is_the_share_of_draws_that_nothing_dominates(front):
    std = np.vstack([PAIRS_STD, PAIRS_STD * [0.0, 1.0], PAIRS_STD * [1.0, 0.0], np.zeros((4, 2))])
    mean = np.vstack([PAIRS, PAIRS, PAIRS, FRONT[0], FRONT[1] - [0, 0.01], FRONT[1] + [0, 0.01], PAIRS[0]])
    mean[6, 0], mean[12, 1] = FRONT[1]  # known in one target, and level with a point of the front there
    found = probability_not_dominated(mean, std, front)
    drawn = [naive_not_dominated(m, s, front) for m, s in zip(mean, std, strict=True)]
    assert found == pytest.approx(drawn, abs=5 * 0.5 / math.sqrt(40_000))
    certain = np.flatnonzero((std == 0).all(axis=1))
    assert found[certain].tolist() == [drawn[i] for i in certain]


@given(seed=st.integers(0, 10_000), k=st.integers(0, 8))
@settings(deadline=None, max_examples=examples_of(60))
def test_the_chance_ignores_the_order_of_targets_and_dominated_points(seed, k):
    rng = np.random.default_rng(seed)
    front, mean, std = np.round(rng.random((k, 2)), 1), np.round(rng.random((9, 2)), 1), 0.01 + rng.random((9, 2))
    std[rng.random((9, 2)) < 0.3] = 0.0
    found = probability_not_dominated(mean, std, front)
    turned = probability_not_dominated(mean[:, ::-1], std[:, ::-1], front[:, ::-1])
    assert turned == pytest.approx(found, abs=1e-12)
    idle = np.vstack([front, front + 0.1, front, np.full((1, 2), np.nan)])
    assert np.array_equal(probability_not_dominated(mean, std, idle), found)
    certain = (std == 0).all(axis=1)
    kept = [naive_front(np.vstack([front, m]))[-1] for m in mean[certain]]
    assert found[certain].tolist() == [float(k) for k in kept]


def test_a_candidate_without_prediction_of_one_target_has_no_chance():
    mean, std = np.array([[0.2, np.nan], [0.2, 0.3], [np.nan, 0.3]]), np.array([[0.1, 0.1], [0.1, 0.1], [0.0, 0.0]])
    assert np.isnan(probability_not_dominated(mean, std, FRONT)).tolist() == [True, False, True]


# Reference and batch -------------------------------------------------------------------------------------------------


def test_the_reference_is_a_tenth_of_the_front_beyond_it():
    assert reference_point(FRONT) == pytest.approx([0.87, 0.98])
    shadow = np.vstack([FRONT, [[5.0, 5.0], [np.nan, -9.0]]])
    assert np.array_equal(reference_point(shadow), reference_point(FRONT))
    assert np.array_equal(reference_point(FRONT[:, ::-1]), reference_point(FRONT)[::-1])
    lonely = np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 4.0], [0.0, 0.0]])  # the front is one point: all rows tell
    assert reference_point(lonely) == pytest.approx([2.2, 4.4])


@pytest.mark.parametrize("values", [np.empty((0, 2)), FRONT[:1], [[0.0, 1.0], [0.0, 2.0]], [[np.nan, 1.0], [0.0, 2.0]]])
def test_without_a_range_there_is_no_reference(values):
    with pytest.raises(
        InputError, match=r"reference: needs rows with both targets known that differ in each, found \d;"
    ):
        reference_point(np.array(values))


def naive_believed(mean, std, front, reference):
    """By the definition: the predicted values, or the expected ones in the box between neighbours where most is gained."""
    front = [point for point in front if all(x < r for x, r in zip(point, reference, strict=True))]
    front = sorted({p for p in front if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in front)})
    if all(mean < reference) and not any(p[0] <= mean[0] and p[1] <= mean[1] for p in front):
        return tuple(mean)
    lefts, tops = [p[0] for p in front] + [reference[0]], [reference[1]] + [p[1] for p in front]
    boxes = []
    for number, corner in enumerate(zip(lefts, tops, strict=True)):
        gain, inside = 1.0, []
        for m, s, bound in zip(mean, std, corner, strict=True):
            if s == 0:
                gain, expected = gain * max(bound - m, 0.0), m
            else:
                z = (bound - m) / s
                gain *= s * (z * norm.cdf(z) + norm.pdf(z))
                expected = truncnorm.mean(-np.inf, z, loc=m, scale=s)
            inside.append(expected)
        boxes.append((-gain, number, tuple(inside)))
    return min(boxes)[2] if min(boxes)[0] < 0 else tuple(mean)


def naive_batch(mean, std, front, reference, ids, batch):
    """Each pick by itself, with the front made anew."""
    picks, front = [], [tuple(point) for point in front]
    for _ in range(batch):
        scored = []
        for i, name in enumerate(ids):
            if i not in picks:
                gain = expected_hypervolume_improvement(
                    mean[i : i + 1], std[i : i + 1], np.array(front).reshape(-1, 2), reference
                )
                if gain[0] > 0:
                    scored.append((-gain[0], name, i))
        if scored:
            picks.append(min(scored)[2])
            front.append(naive_believed(mean[picks[-1]], std[picks[-1]], front, reference))
    return picks


@given(seed=st.integers(0, 10_000), k=st.integers(0, 5))
@settings(deadline=None, max_examples=examples_of(40))
def test_a_batch_is_chosen_one_by_one_and_in_any_order_of_rows(seed, k):
    rng = np.random.default_rng(seed)
    n = 12
    front, mean = np.round(rng.random((k, 2)), 1), np.round(rng.random((n, 2)) * 1.3, 1)
    std = np.where(rng.random((n, 2)) < 0.5, 0.0, 0.1)
    mean[rng.integers(n), 0] = np.nan
    ids = [f"m{i}" for i in rng.permutation(n)]
    picks, gains = choose_batch(mean, std, front, REFERENCE, ids, 5)
    assert picks.tolist() == naive_batch(mean, std, front, REFERENCE, ids, 5)
    assert len(set(picks.tolist())) == len(picks)
    assert np.all(gains > 0)
    assert np.all(np.diff(gains) <= 1e-15)
    shuffle = rng.permutation(n)
    again, same = choose_batch(mean[shuffle], std[shuffle], front, REFERENCE, [ids[i] for i in shuffle], 5)
    assert [ids[shuffle[i]] for i in again] == [ids[i] for i in picks]
    assert np.array_equal(same, gains)


def test_a_batch_spreads_along_the_front():
    """Two groups of near twins: the best two by themselves are twins, the batch takes one of each group."""
    mean = np.array([[0.0, 0.30], [0.0, 0.31], [0.35, 0.0], [0.36, 0.0]])
    std, ids = np.full((4, 2), 0.01), list("abcd")
    alone = expected_hypervolume_improvement(mean, std, FRONT, REFERENCE)
    assert np.argsort(-alone)[:2].tolist() == [0, 1]
    assert choose_batch(mean, std, FRONT, REFERENCE, ids, 2)[0].tolist() == [0, 2]


def test_a_batch_spreads_where_all_are_predicted_behind_the_front():
    """Near twins in two places behind the front, each uncertain: the best three by themselves are twins."""
    front = np.array([[0.1, 0.6], [0.6, 0.1]])
    mean = np.array([[0.13, 0.65], [0.13, 0.66], [0.13, 0.65], [0.66, 0.13], [0.67, 0.13]])
    std, ids = np.full((5, 2), 0.1), list("abcde")
    alone = expected_hypervolume_improvement(mean, std, front, REFERENCE)
    assert sorted(np.argsort(-alone)[:3].tolist()) == [0, 1, 2]
    assert {int(i) // 3 for i in choose_batch(mean, std, front, REFERENCE, ids, 2)[0]} == {0, 1}


@given(seed=st.integers(0, 10_000), k=st.integers(1, 5))
@settings(deadline=None, max_examples=examples_of(60))
def test_what_is_believed_extends_the_front_and_does_not_depend_on_the_order_of_targets(seed, k):
    rng = np.random.default_rng(seed)
    front, mean, std = rng.random((k, 2)), rng.random(2) * 1.3, rng.uniform(0.05, 0.3, 2)
    point = believed(mean, std, front, REFERENCE)
    assert not np.any(np.all(front <= point, axis=1))
    assert np.all(point < REFERENCE)
    np.testing.assert_allclose(believed(mean[::-1], std[::-1], front[:, ::-1], REFERENCE[::-1])[::-1], point)
    np.testing.assert_allclose(point, naive_believed(mean, std, [tuple(p) for p in front], REFERENCE), rtol=1e-6)


def test_doubtful_candidates_take_a_quarter_of_a_batch_while_others_gain():
    n = 12
    mean = np.column_stack([np.linspace(0.05, 0.4, n), np.linspace(0.4, 0.05, n)])
    std, ids = np.full((n, 2), 0.05), [f"m{i:02d}" for i in range(n)]
    std[:8] = 0.4  # unsure, and so better by themselves
    doubtful = np.arange(n) < 8
    everyone = choose_batch(mean, std, FRONT, REFERENCE, ids, 4)[0]
    picks, gains = choose_batch(mean, std, FRONT, REFERENCE, ids, 4, doubtful)
    assert doubtful[everyone].sum() > 1
    assert doubtful[picks].sum() == 1
    assert np.all(gains > 0)
    alone = choose_batch(mean[:8], std[:8], FRONT, REFERENCE, ids[:8], 4, doubtful[:8])[0]
    assert len(alone) == 4  # there is nothing else


def test_what_cannot_gain_is_not_chosen():
    mean = np.array([[0.9, 0.95], [np.nan, 0.0], [0.2, 0.2]])
    picks, gains = choose_batch(mean, np.zeros((3, 2)), FRONT, REFERENCE, list("abc"), 3)
    assert (picks.tolist(), len(gains)) == ([2], 1)
    assert choose_batch(mean[:0], mean[:0], FRONT, REFERENCE, [], 3)[0].tolist() == []
