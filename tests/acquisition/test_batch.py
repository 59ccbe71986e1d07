"""Who is chosen: the best that may be, in an order that no shuffling of rows changes."""

import numpy as np
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.acquisition.batch import select
from sisso_sal.errors import SettingsError

IDS = ["a", "b", "c", "d", "e"]


def test_the_best_scores_come_first():
    assert select(np.array([0.1, 0.5, 0.3, 0.9, 0.2]), IDS, 3).tolist() == [3, 1, 2]


def test_excluded_candidates_are_never_chosen():
    scores = np.array([0.1, 0.5, 0.3, 0.9, 0.2])
    excluded = np.array([False, True, False, True, False])
    assert select(scores, IDS, 2, excluded=excluded).tolist() == [2, 4]
    assert select(scores, IDS, 9, excluded=np.ones(5, dtype=bool)).tolist() == []


def test_nan_and_minus_infinity_are_never_chosen_and_plus_infinity_is():
    scores = np.array([np.nan, -np.inf, -5.0, np.inf, np.nan])
    assert select(scores, IDS, 5).tolist() == [3, 2]
    features = np.arange(10.0).reshape(5, 2)
    assert sorted(select(scores, IDS, 5, features=features, diversity=0.5).tolist()) == [2, 3]
    assert select(np.full(5, np.nan), IDS, 5, features=features, diversity=0.5).tolist() == []


def test_equal_scores_are_ordered_by_id():
    assert select(np.ones(5), ["d", "b", "e", "a", "c"], 4).tolist() == [3, 1, 4, 0]


def test_fewer_are_chosen_where_there_are_fewer():
    assert select(np.array([1.0, 2.0]), ["a", "b"], 10).tolist() == [1, 0]
    features = np.array([[0.0], [1.0]])
    assert select(np.array([1.0, 2.0]), ["a", "b"], 10, features=features, diversity=0.7).tolist() == [1, 0]
    assert select(np.array([]), [], 3).tolist() == []


def test_the_result_can_index_even_when_it_is_empty():
    empty = select(np.array([np.nan]), ["a"], 1)
    assert empty.dtype.kind == "i"
    assert np.array(["a"])[empty].tolist() == []


@given(
    seed=st.integers(0, 10_000),
    diversity=st.sampled_from([0.0, 0.3, 1.0]),
    levels=st.integers(1, 30),
    full=st.booleans(),
)
@settings(deadline=None, max_examples=examples_of(80))
def test_the_order_of_rows_does_not_matter(seed, diversity, levels, full):
    rng = np.random.default_rng(seed)
    n = 30
    ids = [f"M{i}" for i in rng.permutation(n)]
    scores = rng.integers(0, levels, n) / levels
    features = np.round(rng.normal(size=(n, 2)), 1)
    excluded = rng.random(n) < 0.2
    more = {}
    if full:
        features[rng.random(n) < 0.1] = np.nan
        more = {"composition": rng.dirichlet(np.ones(4), n), "pending": rng.random(n) < 0.1}
    chosen = select(scores, ids, 5, excluded=excluded, features=features, diversity=diversity, **more)
    shuffle = rng.permutation(n)
    again = select(
        scores[shuffle],
        [ids[i] for i in shuffle],
        5,
        excluded=excluded[shuffle],
        features=features[shuffle],
        diversity=diversity,
        **{name: values[shuffle] for name, values in more.items()},
    )
    assert [ids[i] for i in chosen] == [ids[shuffle[i]] for i in again]
    assert len(set(chosen.tolist())) == len(chosen)


def test_diversity_spreads_the_batch_over_the_features():
    """Two tight groups: the better group alone fills a batch without diversity, with it both are visited at once."""
    features = np.array([[0.0, 0.0], [0.01, 0.0], [0.0, 0.01], [5.0, 5.0], [5.01, 5.0]])
    scores = np.array([1.0, 0.9, 0.8, 0.7, 0.6])
    assert select(scores, IDS, 3, features=features).tolist() == [0, 1, 2]
    assert select(scores, IDS, 3, features=features, diversity=0.8).tolist()[:2] == [0, 4]
    rng = np.random.default_rng(5)
    features, scores = rng.normal(size=(200, 3)), rng.random(200)
    ids = [f"{i:03d}" for i in range(200)]

    def closest(diversity):
        rows = features[select(scores, ids, 8, features=features, diversity=diversity)]
        gaps = np.linalg.norm(rows[:, None] - rows[None], axis=2)
        return gaps[np.triu_indices(8, 1)].min()

    assert closest(0.9) > 2 * closest(0.0)


def test_the_first_pick_is_the_best_at_any_diversity():
    features = np.random.default_rng(1).normal(size=(5, 2))
    scores = np.array([0.2, 0.4, 0.9, 0.1, 0.3])
    assert {int(select(scores, IDS, 2, features=features, diversity=d)[0]) for d in (0.0, 0.5, 1.0)} == {2}


def test_diversity_looks_only_among_the_best_twenty_per_place():
    scores = -np.arange(100.0)
    features = np.zeros((100, 1))
    features[99] = 1000.0
    ids = [f"{i:03d}" for i in range(100)]
    assert 99 not in select(scores, ids, 2, features=features, diversity=1.0)
    features[39] = 1000.0
    assert select(scores, ids, 2, features=features, diversity=1.0).tolist() == [0, 39]


def test_the_scale_of_a_feature_does_not_matter_and_a_constant_one_neither():
    rng = np.random.default_rng(2)
    features, scores = rng.normal(size=(40, 2)), rng.random(40)
    ids = [f"{i:02d}" for i in range(40)]
    found = select(scores, ids, 6, features=features, diversity=0.6).tolist()
    assert select(scores, ids, 6, features=features * [1024.0, 1.0], diversity=0.6).tolist() == found
    padded = np.column_stack([features, np.full(40, 3.0)])
    assert select(scores, ids, 6, features=padded, diversity=0.6).tolist() == found


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_needs_a_place(batch):
    with pytest.raises(SettingsError, match=rf"^batch: needs a number >= 1, found {batch}$"):
        select(np.ones(2), ["a", "b"], batch)


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_diversity_is_a_share(diversity):
    with pytest.raises(
        SettingsError, match=rf"^diversity: needs a number from 0 to 1 and features, found {diversity}$"
    ):
        select(np.ones(2), ["a", "b"], 1, features=np.ones((2, 1)), diversity=diversity)


def test_diversity_needs_features():
    with pytest.raises(SettingsError, match=r"^diversity: needs a number from 0 to 1 and features, found 0\.5$"):
        select(np.ones(2), ["a", "b"], 1, diversity=0.5)


def test_the_arguments_are_left_as_they_are():
    scores, excluded, features = np.array([1.0, 2.0]), np.array([True, False]), np.array([[1.0], [2.0]])
    select(scores, ["a", "b"], 2, excluded=excluded, features=features, diversity=0.5)
    assert (scores.tolist(), excluded.tolist(), features.tolist()) == ([1.0, 2.0], [True, False], [[1.0], [2.0]])


def naive_select(scores, ids, batch, diversity, features, composition, pending):
    """Every distance written out: no rounding but in the features, ranks by counting."""
    n, spread = len(scores), np.nanstd(features, axis=0)
    order = sorted((i for i in range(n) if not pending[i]), key=lambda i: (-scores[i], ids[i]))[: 20 * batch]

    def distance(i, j):
        apart = np.sqrt(np.mean(((features[i] - features[j]) / spread) ** 2))
        return np.nan_to_num(apart) + np.abs(composition[i] - composition[j]).sum() / 2

    picks = []
    while len(picks) < min(batch, len(order)):
        made = [*np.flatnonzero(pending), *picks]
        nearest = {i: round(min((distance(i, j) for j in made), default=0.0), 10) for i in order}
        worth = {
            i: (1 - diversity) * (1 - place / len(order))
            + diversity * sum(other < nearest[i] for other in nearest.values()) / len(order)
            for place, i in enumerate(order)
        }
        picks.append(max((i for i in order if i not in picks), key=worth.__getitem__))
    return picks


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_diverse_batch_is_that_of_the_slow_twin(diversity, share):
    rng = np.random.default_rng(17)
    n = 50
    scores, features = rng.random(n), rng.normal(size=(n, 3)) * [1, 10, 100]
    composition, pending = rng.dirichlet(np.ones(5), n), rng.random(n) < share
    features[[3, 20]] = np.nan
    ids = [f"{i:02d}" for i in range(n)]
    naive = naive_select(scores, ids, 6, diversity, features, composition, pending)
    found = select(
        scores, ids, 6, features=features, diversity=diversity, composition=composition, pending=pending
    ).tolist()
    assert found == naive


def test_what_is_pending_is_never_chosen_and_keeps_the_batch_away():
    """Two tight groups; a candidate of the better one is being computed, so the first pick goes to the other."""
    features = np.array([[0.0], [0.01], [0.02], [5.0], [5.01]])
    scores, pending = np.array([1.0, 0.9, 0.8, 0.7, 0.6]), np.array([True, False, False, False, False])
    assert select(scores, IDS, 5, pending=pending).tolist() == [1, 2, 3, 4]
    assert select(scores, IDS, 2, features=features, diversity=0.9).tolist()[0] == 0
    assert select(scores, IDS, 2, features=features, diversity=0.9, pending=pending).tolist()[0] == 4
    away = ~pending & (np.arange(5) != 2)
    assert select(scores, IDS, 5, features=features, diversity=0.9, pending=pending, excluded=away).tolist() == [2]
    nothing = np.zeros(5, dtype=bool)
    plain = select(scores, IDS, 3, features=features, diversity=0.5).tolist()
    assert select(scores, IDS, 3, features=features, diversity=0.5, pending=nothing).tolist() == plain


def test_a_composition_tells_apart_what_features_cannot():
    features = np.zeros((5, 2))
    composition = np.array([[1.0, 0.0], [0.9, 0.1], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    scores = np.array([1.0, 0.9, 0.8, 0.7, 0.6])
    assert select(scores, IDS, 2, features=features, diversity=0.9).tolist() == [0, 1]
    assert select(scores, IDS, 2, features=features, composition=composition, diversity=0.9).tolist() == [0, 3]


def test_a_row_with_gaps_is_far_from_nothing_and_hides_no_distance():
    features = np.array([[0.0, 0.0], [0.1, 0.0], [np.nan, np.nan], [9.0, np.inf], [5.0, 5.0]])
    scores = np.array([1.0, 0.9, 0.8, 0.7, 0.6])
    assert select(scores, IDS, 2, features=features, diversity=1.0).tolist() == [0, 4]
    for gap in (np.nan, np.inf):
        first = features.copy()
        first[0] = gap
        # The first pick has no place; the next one is chosen by its score, and only then do distances count.
        assert select(scores, IDS, 3, features=first, diversity=0.9).tolist() == [0, 1, 4]
        pending = np.arange(5) == 0
        assert select(scores, IDS, 2, features=first, diversity=0.9, pending=pending).tolist() == [1, 4]
    assert select(scores, IDS, 3, features=np.full((5, 2), np.nan), diversity=0.9).tolist() == [0, 1, 2]


def test_equal_distances_leave_the_choice_to_the_score():
    assert select(np.arange(5.0), IDS, 3, features=np.zeros((5, 1)), diversity=1.0).tolist() == [4, 3, 2]
