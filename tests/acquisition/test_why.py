"""The reason that is given for a choice: each clause where its number is planted, and no clause where it says nothing."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.acquisition.batch import select, standing
from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.why import Ground, Others, chances, choices, together
from sisso_sal.protocols.distribution import Distribution

N = 50
NOBODY = Others.none(1)


def ground(mean, std=1.0, *, goal="<=0", acquisition="hits", pick=0, others=NOBODY, **more):
    """A choice among N candidates with these means; the first is picked."""
    mean = np.asarray(mean, dtype=float)
    told = Distribution(mean, np.broadcast_to(np.asarray(std, dtype=float), mean.shape).copy())
    parsed = Goal.parse(goal)
    scores = more.pop("scores", chances(told, parsed, 0.0))
    picks = np.array([pick])
    return Ground(
        acquisition_named(acquisition), parsed, 0.0, told, scores, np.ones(len(mean), dtype=bool), picks, scores[picks], others,
        **more,
    )  # fmt: skip


def why(*arguments, **options):
    """The sentence; without the numbers it is the short one."""
    choice = choices(ground(*arguments, **options))[0]
    assert re.sub(r" \([^()]*\)", "", choice.why).replace(";", ",") == choice.reason
    return choice.why


def far_means(first):
    return np.r_[first, np.full(N - 1, 5.0)]


@pytest.mark.parametrize(
    ("mean", "goal", "sentence"),
    [
        (-1.0, "<=0", "likely a hit (84 %)"),
        (0.5, "<=0", "the likeliest that is left, perhaps a hit (31 %)"),
        (2.5, "<=0", "the likeliest that is left, unlikely a hit (0.6 %)"),
        (4.5, "<=0", "the likeliest that is left, unlikely a hit (below 0.01 %)"),
        (-9.0, "<=0", "likely a hit (100 %)"),
        (-2.8, "<=0", "likely a hit (above 99 %)"),
        (-1.0, "min", "likely better than the best known (84 %)"),
        (0.0, "-1..1", "likely a hit (68 %)"),
    ],
)
def test_its_own_probability(mean, goal, sentence):
    assert why(far_means(mean), goal=goal) == sentence


def test_a_choice_that_is_not_the_likeliest_says_by_what_it_was_made():
    mean, std = far_means(3.0), np.r_[4.0, np.full(N - 1, 1.0)]
    mean[1] = -1.0
    assert why(mean, std, goal="min", acquisition="ei", scores=np.arange(N, 0.0, -1)) == (
        "uncertain (± 4, the largest 2 %), perhaps better than the best known (23 %)"
    )
    assert why(mean, goal="min", acquisition="ei", scores=np.arange(N, 0.0, -1)).startswith(
        "the best by the expected improvement over the best, or over the bound of the goal, unlikely better than"
    )
    assert why(mean, acquisition="random", scores=np.arange(N, 0.0, -1)) == "the best by a random number"
    assert why(np.r_[np.nan, mean[1:]], acquisition="distance", scores=np.arange(N, 0.0, -1)).startswith(
        "the best by the distance"
    )


@pytest.mark.parametrize(
    ("value", "goal", "clause"),
    [
        (-5.0, "<=0", "cheap estimate low (G: lowest 2 %)"),
        (0.5, "<=0", ""),
        (30.5, "<=0", "though its cheap estimate is not low (G: 60 % are better)"),
        (100.0, ">=0", "cheap estimate high (G: highest 2 %)"),
        (-5.0, "-9..9", ""),
    ],
)
def test_a_cheap_estimate(value, goal, clause):
    values = np.r_[value, np.arange(1.0, N)]
    if clause == "":
        values = np.r_[value, np.linspace(-1, 4, N - 1)]
    said = why(far_means(-1.0), goal=goal, estimates={"G": values})
    assert said.endswith(clause)
    assert ("estimate" in said) == bool(clause)
    guessed = {"G": np.r_[0.1, np.zeros(N - 1)]}
    if clause:
        assert "predicted" in why(far_means(-1.0), goal=goal, estimates={"G": values}, guessed=guessed)


@pytest.mark.parametrize(
    ("n", "clause"),
    [(28, "formulas agree (28 of 30)"), (15, "formulas differ (15 of 30)"), (3, "few formulas say so (3 of 30)")],
)
def test_what_the_formulas_say_one_by_one(n, clause):
    of_pick = np.r_[np.full(n, -1.0), np.full(30 - n, 1.0)][:, None]
    others = Others(of_pick, np.empty((30, 0)), ())
    assert why(far_means(-1.0), others=others) == f"likely a hit (84 %), {clause}"
    invalid = np.r_[of_pick, np.full((5, 1), np.nan)]
    assert clause in why(far_means(-1.0), others=replace(others, of_picks=invalid, of_others=np.empty((35, 0))))


def planted(rng, n_members=30, n_others=40, n_moved=6):
    """A pick, and others of which the first move together with it."""
    pick = rng.normal(size=n_members)
    others = rng.normal(size=(n_members, n_others))
    others[:, :n_moved] = 3 * pick[:, None] + 0.5 * rng.normal(size=(n_members, n_moved))
    return pick, others


def test_others_of_which_its_label_tells():
    pick, members = planted(np.random.default_rng(0))
    assert np.flatnonzero(together(pick, members)).tolist() == list(range(6))
    plain = [frozenset({"O", "Ti"})] * 40
    tellurium, sulfur = frozenset({"O", "Te"}), frozenset({"S", "Te"})
    said = [
        ([tellurium] * 6 + plain[6:], "6 Te oxides (of the 40 likeliest)"),
        ([tellurium] * 5 + plain[5:], "6 others, mostly Te oxides (5 of 6, among the 40 likeliest)"),
        ([sulfur] * 6 + plain[6:], "6 Te materials (of the 40 likeliest)"),
        (plain, "6 others (of the 40 likeliest)"),  # all have titanium, as those have of which it does not tell
        ([frozenset()] * 40, "6 others (of the 40 likeliest)"),
    ]
    for elements, clause in said:
        others = Others(pick[:, None], members, elements)
        assert why(far_means(-1.0), others=others).endswith(f"; also tells about {clause}")
    alone = Others(pick[:, None], members[:, 4:], plain[4:])
    assert "tells" not in why(far_means(-1.0), others=alone)


@given(st.integers(0, 10_000), st.sampled_from([2, 3, 4, 6, 10, 30]))
def test_chance_moves_nothing_together(seed, n_members):
    x = np.random.default_rng(seed).normal(size=(n_members, 301))
    assert together(x[:, 0], x[:, 1:]).sum() <= 1


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-100, 100))
def test_moving_together_has_no_scale_and_no_origin(seed, scale, shift):
    pick, members = planted(np.random.default_rng(seed))
    assert (together(pick, members) == together(scale * pick + shift, members)).all()
    gaps = members.copy()
    gaps[0] = np.nan
    assert (together(pick, gaps) == together(pick[1:], members[1:])).all()


def test_rank_and_score_given_those_above():
    scores = np.array([0.9, 0.89, 0.5, 0.4])
    features = np.array([[0.0], [0.01], [5.0], [0.02]])
    ids = list("abcd")
    picks = select(scores, ids, 3, features=features, diversity=0.6)
    assert picks.tolist() == [0, 2, 1]
    taken = standing(picks, scores, ids, 3, features=features, diversity=0.6)
    assert taken.far[0] == 0
    # The second: 3rd of four by score, and all others are nearer to the first.
    assert taken.chosen_by[1] == pytest.approx(0.4 * 0.5 + 0.6 * 0.75)
    told = Distribution(np.array([-1.3, -1.2, 0.0, 0.2]), np.ones(4))
    made = choices(
        Ground(
            acquisition_named("hits"), Goal.parse("<=0"), 0.0, told, scores, np.ones(4, dtype=bool), picks, taken.chosen_by, NOBODY,
            taken.far,
        )
    )  # fmt: skip
    assert [one.rank for one in made] == [1, 3, 2]
    assert made[0].why == "likely a hit (90 %)"
    assert made[1].why == "unlike those above (farther from them than 75 % of the best), likely a hit (50 %)"


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.7, 1.0]), st.booleans())
def test_each_pick_has_more_than_all_that_are_left(seed, diversity, is_pending):
    rng = np.random.default_rng(seed)
    scores, features, ids = rng.normal(size=30), rng.normal(size=(30, 2)), [f"{i:02d}" for i in range(30)]
    excluded = rng.random(30) < 0.2
    rules = {
        "pending": rng.random(30) < 0.2 if is_pending else None,
        "features": features,
        "diversity": diversity,
    }
    picks = select(scores, ids, 5, excluded=excluded, **rules)
    able = np.where(excluded, np.nan, scores)
    taken = standing(picks, able, ids, 5, **rules)
    assert taken.chosen_by.shape == taken.far.shape == picks.shape
    assert ((taken.far >= 0) & (taken.far <= 1)).all()
    if not diversity:
        assert (taken.chosen_by == scores[picks]).all()
    # What decides a place would have decided it for each later pick too, and it had less there.
    for place, row in enumerate(picks.tolist()):
        for later in picks[place + 1 :].tolist():
            swapped = np.array([*picks[:place].tolist(), later])
            assert standing(swapped, able, ids, 5, **rules).chosen_by[place] <= taken.chosen_by[place]
        assert row not in np.flatnonzero(excluded)
