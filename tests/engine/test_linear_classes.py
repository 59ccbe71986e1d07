"""Classes told by a threshold or a linear boundary: against brute-force twins, scikit-learn, and planted truths."""

from functools import partial
from itertools import combinations

import naive
import naive_classes
import numpy as np
import pytest
from compiled import drawn, examples_of, needs_compiled
from sklearn.linear_model import LogisticRegression

from sisso_sal.engine import linear_criterion
from sisso_sal.engine.class_pass import Bars, FoundOfClasses
from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import search_classes
from sisso_sal.engine.linear_criterion import LinearCriterion, scorer_of
from sisso_sal.engine.sparsify import NUMBERS
from sisso_sal.features.space import FeatureSpace, SpaceSettings

SETTINGS = {"operators": ("add", "mult", "div", "sqrt"), "rung": 1}


def table(seed, n=24, n_classes=2):
    rng = np.random.default_rng(seed)
    columns = {"a": rng.uniform(1, 2, n), "b": rng.uniform(0.5, 3, n), "c": np.round(rng.normal(0, 1, n), 1)}
    labels = np.concatenate([np.repeat(np.arange(n_classes), 3), rng.integers(0, n_classes, n - 3 * n_classes)])
    return columns, labels, rng


def space_of(columns, **settings):
    return FeatureSpace(list(columns), [""] * len(columns), np.array(list(columns.values())), SpaceSettings(**settings))


def problem_of(labels, weights=None):
    return ClassProblem(labels, np.ones(len(labels)) if weights is None else weights, np.ones(3, dtype=bool))


@needs_compiled
@drawn
def test_the_features_with_the_best_thresholds_are_those_of_the_twin():
    """On 300 tables, with and without weights and with ties of values."""
    for seed in range(examples_of(300)):
        columns, labels, rng = table(seed)
        weights = rng.integers(1, 4, len(labels)).astype(float) if seed % 3 == 0 else np.ones(len(labels))
        space, problem = space_of(columns, **SETTINGS), problem_of(labels, weights)
        (result,), _ = search_classes(space, [problem], LinearCriterion(), [6], keep=3)
        rungs = naive.feature_space(columns, dict.fromkeys(columns, ""), **SETTINGS)
        signed = np.where(labels == 1, weights, -weights)
        twin = {
            f.key: naive_classes.best_threshold(row, signed)
            for rung in rungs
            for f, row in zip(rung.features, rung.values, strict=True)
        }
        triples = [result.subspace.triple(number) for number in range(len(result.subspace))]
        chosen = [twin[space.key(*triple)] for triple in triples]
        assert (np.diff(chosen) < 1e-9).all()
        assert chosen[0] == pytest.approx(max(twin.values()))
        assert result.subspace.score == pytest.approx(chosen, abs=1.1e-3)  # the rest is the area
        best = result.fits[0][0]
        lighter = min(weights[labels == 0].sum(), weights[labels == 1].sum())
        assert best.errors == pytest.approx(lighter * (1 - max(twin.values())))


def test_the_best_pairs_are_those_of_scikit_learn():
    columns, labels, rng = table(3, n=40)
    weights = rng.integers(1, 4, len(labels)).astype(float)
    values = np.concatenate([list(columns.values()), rng.normal(size=(3, 40))])
    fits = LinearCriterion("likelihood", ridge=0.5).best(values, problem_of(labels, weights), 2, 5, NUMBERS, ())
    mean = values @ weights / weights.sum()
    scale = np.sqrt((values - mean[:, None]) ** 2 @ weights / weights.sum())
    rows = (values - mean[:, None]) / scale[:, None]
    losses = {}
    for pair in combinations(range(6), 2):
        one = LogisticRegression(C=2.0, tol=1e-12, max_iter=1000).fit(rows[list(pair)].T, labels, weights)
        eta = one.decision_function(rows[list(pair)].T)
        loss = weights @ (np.log1p(np.exp(eta)) - labels * eta) + 0.25 * (one.coef_**2).sum()
        losses[pair] = loss / weights.sum()
        if pair == fits[0].subset:
            assert fits[0].coefficients * scale[list(pair)] == pytest.approx(one.coef_, rel=1e-4)
    assert [fit.subset for fit in fits] == sorted(losses, key=lambda pair: losses[pair])[:5]
    assert [fit.loss for fit in fits] == pytest.approx(sorted(losses.values())[:5], rel=1e-8)


def drawn(seed, n_classes=2):
    """Values (14, n) with long tails and near copies, and a problem with weights, of which some may be zero."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(25, 80))
    values = rng.normal(size=(14, n))
    values[3], values[4:6] = np.exp(3 * values[0]), values[1:3] + 1e-3 * rng.normal(size=(2, n))
    slope = float(rng.choice([0.0, 1.0, 30.0]))  # noise, overlap, and classes that can be separated
    towards = slope * (values[6] - values[7]) + rng.logistic(size=n)
    labels = np.searchsorted(np.quantile(towards, np.arange(1, n_classes) / n_classes), towards)
    weights = rng.integers(0, 3, n).astype(float) if seed % 2 else rng.uniform(0.2, 2.0, n)
    return values, problem_of(labels, weights)


@needs_compiled
@pytest.mark.parametrize("n_classes", [2, 3])
def test_bounds_are_below_and_become_narrow(n_classes):
    """Of errors and of the loss, on pairs and triples."""
    narrow, of_errors = [], []
    for seed in range(12):
        values, problem = drawn(seed, n_classes)
        table, total = linear_criterion._Standardised.of(values, problem, 0.01), problem.weights.sum()
        subsets = np.array(list(combinations(range(14), 2 + seed % 2)))
        losses, errors = table.scored(subsets)
        for most, truth, gaps in ((np.inf, losses * total, narrow), (np.median(errors), errors, of_errors)):
            betas, lower = table.starts(subsets), np.full(len(subsets), -np.inf)
            for _ in range(8):
                table.narrow(subsets, betas, most, lower)
                assert (lower <= truth + 1e-9 * total).all()
            gaps.append((truth - lower)[truth <= most])
    assert np.quantile(np.concatenate(narrow), 0.9) < 1e-6
    assert np.quantile(np.concatenate(of_errors), 0.8) < 1e-9


@needs_compiled
@pytest.mark.parametrize("kind", ["accuracy", "likelihood"])
def test_what_is_not_fitted_is_not_among_the_best(kind, monkeypatch):
    """Against the search that fits all subsets: the same subsets with the same numbers, and most are not fitted."""
    fitted = []

    def scored(table, subsets, own=linear_criterion._Standardised.scored):
        fitted.append(len(subsets))
        return own(table, subsets)

    monkeypatch.setattr(linear_criterion._Standardised, "scored", scored)
    shares = []
    for seed in range(16):
        values, problem = drawn(seed, 2 + seed % 4 // 2)
        values = np.concatenate([values, values[:6] * values[6:12], values[6:12] ** 2])
        look = partial(LinearCriterion(kind).best, values, problem, 2 + seed % 3 // 2, 5, NUMBERS, ())
        pruned = look()
        n_fitted = sum(fitted)
        fitted.clear()
        with monkeypatch.context() as patch:
            patch.setattr(linear_criterion, "PROBES", 0)
            every = look()
        shares.append(n_fitted / sum(fitted))
        fitted.clear()
        assert [(fit.subset, fit.loss, fit.errors) for fit in pruned] == [
            (fit.subset, fit.loss, fit.errors) for fit in every
        ]
    assert np.median(shares) < 0.5


@pytest.mark.parametrize("kind", ["accuracy", "likelihood"])
def test_a_planted_pair_of_formulas_is_found(kind):
    rng = np.random.default_rng(1)
    columns = {name: rng.uniform(1, 3, 300) for name in "abc"}
    eta = 8 * (columns["a"] * columns["b"] - 4) - 12 * (columns["c"] / columns["a"] - 1)
    labels = (rng.uniform(size=300) < 1 / (1 + np.exp(-eta))).astype(int)
    space = space_of(columns, operators=("add", "mult", "div"), rung=1)
    (result,), _ = search_classes(space, [problem_of(labels)], LinearCriterion(kind), [15, 15])
    formulas = [
        {str(space.expression(*result.subspace.triple(number))) for number in fit.subset} for fit in result.fits[1]
    ]
    assert {"a*b", "c/a"} in formulas[:5]


@pytest.mark.parametrize("kind", ["accuracy", "likelihood"])
def test_many_problems_in_one_pass_are_each_as_alone(kind):
    columns, labels, rng = table(5, n=40, n_classes=3)
    space = space_of(columns, operators=("add", "mult", "div"), rung=2)
    problems = []
    for number in range(5):
        weights = rng.integers(0, 3, len(labels)).astype(float)
        weights[:9] = 1.0
        allowed = np.ones(3, dtype=bool)
        allowed[number % 3] = number < 2
        problems.append(ClassProblem(labels, weights, allowed))
    together, _ = search_classes(space, problems, LinearCriterion(kind, n_residual=2), [8, 8], threads=2)
    for problem, result in zip(problems, together, strict=True):
        (alone,), _ = search_classes(space, [problem], LinearCriterion(kind, n_residual=2), [8, 8])
        for one, two in zip(alone.fits, result.fits, strict=True):
            assert [fit.subset for fit in one] == [fit.subset for fit in two]
        keys = [space.key(*alone.subspace.triple(number)) for number in range(len(alone.subspace))]
        assert keys == [space.key(*result.subspace.triple(number)) for number in range(len(result.subspace))]


def test_monotone_changes_of_a_feature_change_no_score():
    """Thresholds know the order of the values alone, also of values with long tails, which fill few bins."""
    _, labels, rng = table(8, n=200)
    row = np.sort(rng.normal(size=200))[rng.permutation(200)]
    rows = np.array([row, np.exp(4 * row), -(row**3), np.arctan(row)])
    problem = problem_of(labels)
    scorer = scorer_of([problem], [problem.lanes() - 0.5])
    bars = Bars(np.zeros((1, 1), np.uint64), np.array([-1.0]))
    found = FoundOfClasses(np.empty((3, 4), int), np.empty(4, int), np.empty(4), np.zeros(2, int), 4)
    count = scorer.scan_rows(
        rows, np.zeros((4, 1), np.uint64), scorer.arguments, bars, (0.0, np.inf), np.zeros(4, int), found, scorer.room()
    )
    assert count == 4
    assert found.scores == pytest.approx(np.full(4, found.scores[0]))
    signed = np.where(labels == 1, 1.0, -1.0)
    assert found.scores[0] == pytest.approx(naive_classes.best_threshold(row, signed), abs=1.1e-3)
