"""Trees against those of scikit-learn's forest, node by node, and what they predict against NumPy's sums over the trees."""

import pickle

import numpy as np
import pytest
from compiled import drawn, examples_of
from sklearn.ensemble import ExtraTreesRegressor

from sisso_sal.models import trees


def table(n, n_inputs, seed):
    """Columns of many values and of few, a constant one and nearly constant ones; targets of many values or of few."""
    rng = np.random.default_rng([seed, n])
    rows = rng.normal(size=(n, n_inputs))
    kind = rng.integers(0, 5, n_inputs)
    rows[:, kind == 1] = np.round(rows[:, kind == 1])
    rows[:, kind == 2] = 0.3
    rows[:, kind == 3] = 1.0 + 1e-7 * np.round(2 * rows[:, kind == 3])  # some of which float32 tells apart
    rows[n // 2 :, kind == 4] = 0.0
    target = rng.normal(size=n) * 10.0 ** rng.integers(-6, 5)
    if seed % 3 == 1:
        target = np.round(target / target.std()) * target.std()
    if seed % 3 == 2:
        target[n // 3 :] = target[0]
    return rows, target


def twin(rows, target, seed):
    forest = ExtraTreesRegressor(trees.N_TREES, bootstrap=True, random_state=seed).fit(rows, target)
    return [tree.tree_ for tree in forest.estimators_]


def same_nodes(mine, number, other):
    """From the root down; thresholds as columns of float32 see them."""
    nodes, waiting = mine.nodes, [(mine.first[number], 0)]
    while waiting:
        a, b = waiting.pop()
        assert nodes.value[a] == other.value[b, 0, 0]
        assert (nodes.child[a] == a) == (other.children_left[b] < 0)
        if nodes.child[a] != a:
            assert nodes.column[a] == other.feature[b]
            assert nodes.threshold[a] <= other.threshold[b] < np.nextafter(nodes.threshold[a], np.float32(np.inf))
            waiting += [
                (nodes.child[a], other.children_left[b]),
                (nodes.child[a] + np.uint32(1), other.children_right[b]),
            ]


@drawn
@pytest.mark.parametrize("seed", range(examples_of(9)))
@pytest.mark.parametrize(("n", "n_inputs"), [(12, 1), (13, 5), (40, 16), (100, 16), (333, 7)])
def test_they_are_those_of_scikit_learns_forest_node_by_node(n, n_inputs, seed):
    rows, target = table(n, n_inputs, seed)
    mine, unseen = trees.grown(rows, target, seed)
    others = twin(rows, target, seed)
    assert np.diff(mine.first).tolist() == [other.node_count for other in others]
    assert mine.levels.tolist() == [other.max_depth for other in others]
    for number, other in enumerate(others):
        same_nodes(mine, number, other)
    new = np.random.default_rng(seed).normal(size=(50, n_inputs))
    assert np.array_equal(mine.predict(new), [other.predict(np.float32(new)).ravel() for other in others])
    assert unseen.shape == (trees.N_TREES, n)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_of_two_thousand_rows_too(kind):
    rows, target = table(2000, 6, kind)
    mine, _ = trees.grown(rows, target, 2**32 - 1)
    others = twin(rows, target, 2**32 - 1)
    assert mine.first[-1] == sum(other.node_count for other in others)
    assert np.array_equal(mine.predict(rows), [other.predict(np.float32(rows)).ravel() for other in others])


def test_which_rows_a_tree_has_not_drawn():
    rows, target = table(40, 3, 0)
    _, unseen = trees.grown(rows, target, 7)
    forest = ExtraTreesRegressor(trees.N_TREES, bootstrap=True, random_state=7).fit(rows, target)
    for mine, rows_of_tree in zip(unseen, forest.estimators_samples_, strict=True):
        assert np.flatnonzero(~mine).tolist() == np.unique(rows_of_tree).tolist()


@pytest.mark.parametrize("n", [2, 255, 256, 257, 1000])
def test_mean_and_spread_are_numpys_sums_in_the_order_of_the_trees(n):
    mine, _ = trees.grown(*table(60, 4, 0), 0)
    rows = np.random.default_rng(n).normal(size=(n, 4))
    each, (mean, spread) = mine.predict(rows), mine.mean_and_spread(rows)
    assert np.array_equal(mean, each.mean(axis=0))
    assert np.array_equal(spread, each.std(axis=0, ddof=1))


def test_a_row_has_the_same_prediction_alone_and_among_others_and_by_a_pickle():
    mine, _ = trees.grown(*table(60, 4, 0), 0)
    rows = np.random.default_rng(1).normal(size=(300, 4))
    together = np.array(mine.mean_and_spread(rows))
    alone = np.hstack([mine.mean_and_spread(row[None]) for row in rows])
    assert np.array_equal(alone, together)
    assert np.array_equal(pickle.loads(pickle.dumps(mine)).mean_and_spread(rows[::-1])[0], together[0, ::-1])
    assert mine.mean_and_spread(rows[:0])[0].shape == (0,)


def test_a_target_that_is_the_same_everywhere_makes_trees_of_one_leaf():
    mine, _ = trees.grown(table(30, 3, 0)[0], np.full(30, 0.5), 0)
    assert mine.first.tolist() == list(range(trees.N_TREES + 1))
    assert (mine.predict(np.zeros((2, 3))) == 0.5).all()
