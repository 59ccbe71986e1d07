"""Which calculation of which level comes next: the index against all rules that there are, and what is affordable."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.scene import Materials, Policy, set_scene
from sisso_sal.levels.choice import Level, chances_after, choose_calculations, levels_unpaid, targets_per_cost
from sisso_sal.levels.ladder import LevelValues
from sisso_sal.protocols import Prediction, Quantity
from sisso_sal.protocols.distribution import Distribution

GOAL = Goal.parse("<=0")


def best_rule(chances, weights, look, last):
    """The most targets per cost of all rules that go on after some of the results."""
    n = len(chances)
    rules = [rule for size in range(1, n + 1) for rule in combinations(range(n), size)]
    return max(
        sum(weights[i] * chances[i] for i in rule) / (look + last * sum(weights[i] for i in rule)) for rule in rules
    )


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=6),
    st.floats(1e-3, 10),
    st.floats(0.1, 100),
)
@settings(deadline=None, max_examples=examples_of(100))
def test_the_index_is_that_of_the_best_rule(outcomes, look, last):
    chances, weights = (np.array(part) for part in zip(*outcomes, strict=True))
    weights = weights / weights.sum()
    assert targets_per_cost(chances[:, None], weights, look, last)[0] == pytest.approx(
        best_rule(chances, weights, look, last), rel=1e-9
    )


@given(st.floats(-3, 3), st.floats(0.1, 3), st.floats(0, 0.999))
@settings(deadline=None, max_examples=examples_of(100))
def test_the_chances_after_a_look_are_in_the_mean_those_before(centre, scale, share):
    told = Distribution(np.array([centre]), np.array([scale]))
    chances, weights = chances_after(told, np.array([share * scale]), GOAL)
    assert weights.sum() == pytest.approx(1.0)
    # Where the chance is nearly a step, close to one of nine results, half of the weight of this one may be on the wrong side.
    rough = 0.5 * weights.max() if share > 0.9 else 0.0
    assert weights @ chances[:, 0] == pytest.approx(told.probability(high=0.0)[0], abs=0.02 + rough)


def test_a_look_that_tells_nothing_is_worse_than_none_and_one_that_tells_more_is_better():
    told = Distribution(np.full(4, 0.5), np.ones(4))
    moved = np.array([0.0, 0.3, 0.6, 0.9])
    index = 10.0 * targets_per_cost(*chances_after(told, moved, GOAL), 1.0, 10.0)
    direct = told.probability(high=0.0)[0]
    assert index[0] < direct < index[2]
    assert np.all(np.diff(index) > 0)
    dearer = 10.0 * targets_per_cost(*chances_after(told, moved, GOAL), 5.0, 10.0)
    assert np.all(dearer < index)


class Table:
    """Candidates m0, m1, …: the first `n_known` have a label; of the others the prediction is given."""

    def __init__(self, labels, mean, std, low, **more):
        n = len(labels) + len(mean)
        self.target = np.append(labels, np.full(len(mean), np.nan))
        mean, std = np.append(labels, mean), np.append(np.zeros(len(labels)), std)
        prediction = Prediction(mean, std, std, mean[None], np.ones((1, n), dtype=bool))
        ids = [f"m{i}" for i in range(n)]
        pending = more.get("pending", np.zeros(n, dtype=bool))
        materials = Materials(ids, np.zeros((n, 1)), self.target, pending)
        policy = Policy(acquisition_named("hits"), batch=3)
        self.scene = set_scene(prediction, materials, GOAL, policy, np.random.default_rng(0))
        none = np.zeros(n, dtype=bool)
        values = LevelValues(Quantity("low"), np.array(low, dtype=float))
        self.level = Level("cheap", 1.0, values, more.get("busy", none), more.get("failed", none))

    def chosen(self, taught, spend=30.0, left=1000.0):
        _, found = choose_calculations(self.scene, self.target, np.array([taught]), [self.level], 10.0, spend, left)
        return [(one.row, one.level) for one in found]


def test_labelled_materials_come_first_spread_over_their_labels():
    labels = np.arange(20.0)
    low = np.full(22, np.nan)
    table = Table(labels, [0.1, 5.0], [1.0, 1.0], low)
    pairs = table.chosen(np.zeros(22))
    assert pairs == [(row, "cheap") for row in (0, 5, 10, 14, 19)]  # five: half of the cost of one last calculation
    busy = np.zeros(22, dtype=bool)
    busy[[0, 5, 10]] = True
    assert Table(labels, [0.1, 5.0], [1.0, 1.0], low, busy=busy).chosen(np.zeros(22)) == [(1, "cheap"), (19, "cheap")]


def test_a_level_is_not_begun_where_its_pairs_cannot_be_paid():
    """Fewer than five values teach nothing: what they cost would be lost."""
    table = Table(np.arange(20.0), [0.1, 5.0], [1.0, 1.0], np.full(22, np.nan))
    told = "not begun, as 5 labelled materials to learn from and a calculation that counts cost 15, and 14.9 of the budget is left"
    assert levels_unpaid(table.scene.ids, table.target, [table.level], 10.0, 14.9) == {"cheap": told}
    assert table.chosen(np.zeros(22), left=14.9) == [(20, "")]
    assert levels_unpaid(table.scene.ids, table.target, [table.level], 10.0, 15.0) == {}
    assert [level for _, level in table.chosen(np.zeros(22), left=15.0)] == ["cheap"] * 5
    low = np.append(np.zeros(3), np.full(19, np.nan))  # two are lacking
    begun = Table(np.arange(20.0), [0.1, 5.0], [1.0, 1.0], low)
    assert [level for _, level in begun.chosen(np.zeros(22), left=12.0)] == ["cheap", "cheap"]
    assert begun.chosen(np.zeros(22), left=11.9) == [(20, "")]


def test_what_the_pairs_of_one_level_cost_is_not_there_for_those_of_the_next():
    table = Table(np.arange(20.0), [0.1, 5.0], [1.0, 1.0], np.full(22, np.nan))
    second = replace(table.level, name="middle", cost=2.0)
    both = [table.level, second]
    assert levels_unpaid(table.scene.ids, table.target, both, 10.0, 25.0) == {}
    assert set(levels_unpaid(table.scene.ids, table.target, both, 10.0, 24.9)) == {"middle"}


def known_low(n, n_labels):
    return np.append(np.zeros(n_labels), np.full(n - n_labels, np.nan))


def test_each_candidate_at_the_level_with_the_most_targets_for_its_cost():
    labels = np.linspace(1, 2, 6)
    table = Table(labels, [0.2, -3.0, 0.2, 0.2], [1.0, 0.5, 1.0, 1.0], known_low(10, 6))
    taught = np.append(np.zeros(6), [0.9, 0.45, 0.0, 0.9])
    # m7 is sure; of m6 and m9 a look tells much; of m8 nothing. Equal ones by id.
    assert table.chosen(taught, spend=21.0) == [(7, ""), (6, "cheap"), (9, "cheap")]
    assert table.chosen(taught) == [(7, ""), (6, "cheap"), (9, "cheap"), (8, "")]


def test_what_runs_or_failed_is_left_alone_and_the_rest_of_the_budget_is_kept():
    labels = np.linspace(1, 2, 6)
    taught = np.append(np.zeros(6), [0.9, 0.9])
    flags = np.zeros(8, dtype=bool)
    flags[6] = True
    args = (labels, [0.2, 0.2], [1.0, 1.0], known_low(8, 6))
    assert Table(*args).chosen(taught, spend=2.0) == [(6, "cheap"), (7, "cheap")]
    assert Table(*args, busy=flags).chosen(taught, spend=2.0) == [(7, "cheap")]
    assert Table(*args, pending=flags).chosen(taught, spend=2.0) == [(7, "cheap")]
    assert Table(*args, failed=flags).chosen(taught, spend=11.0) == [(7, "cheap"), (6, "")]
    # A cheap look is of no use when its candidate can no longer be computed.
    assert Table(*args).chosen(taught, left=11.5) == [(6, "cheap")]
    assert Table(*args).chosen(taught, left=10.5) == [(6, "")]
    assert Table(*args).chosen(taught, left=9.5) == []


def test_pairs_that_cannot_be_paid_do_not_hold_up_what_can():
    table = Table(np.arange(20.0), [0.1, 5.0], [1.0, 1.0], np.full(22, np.nan))
    assert table.chosen(np.zeros(22), left=10.5) == [(20, "")]


def test_a_goal_out_of_reach_is_no_reason_to_end():
    labels = np.linspace(1000, 1001, 6)
    table = Table(labels, [900.0, 800.0, 850.0], [1.0, 1.0, 1.0], known_low(9, 6))
    assert table.chosen(np.append(np.zeros(6), [0.9, 0.9, 0.9])) == [(7, ""), (8, ""), (6, "")]
