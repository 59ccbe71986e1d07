"""Classes told by the overlap of convex domains: against brute-force twins, against SISSO 3.5, and rules that always hold."""

import re
from itertools import combinations
from pathlib import Path

import naive
import naive_classes
import numpy as np
import pytest
from compiled import drawn, examples_of, needs_compiled

from sisso_sal.engine.class_pass import Bars, FoundOfClasses
from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import search_classes
from sisso_sal.engine.convex import are_inside
from sisso_sal.engine.overlap_criterion import Domains, OverlapCriterion, best_subsets, scorer_of, unclear_weight
from sisso_sal.engine.sparsify import NUMBERS
from sisso_sal.errors import FitError
from sisso_sal.features.space import FeatureSpace, SpaceSettings

TASKS = Path(__file__).parents[2].parent / "shared" / "reference" / "tasks"

OPERATORS = ("add", "sub", "mult", "div", "abs_diff", "inv", "sq", "cb", "six_pow", "sqrt")


def space_of(columns, units=None, **settings):
    units = [""] * len(columns) if units is None else units
    return FeatureSpace(list(columns), units, np.array(list(columns.values())), SpaceSettings(**settings))


def random_table(seed, n=18, n_classes=2):
    rng = np.random.default_rng(seed)
    columns = {"a": rng.uniform(1, 2, n), "b": rng.uniform(0.5, 3, n), "c": rng.normal(0, 1, n)}
    labels = np.concatenate([np.repeat(np.arange(n_classes), 3), rng.integers(0, n_classes, n - 3 * n_classes)])
    return columns, labels, rng


def keys_of(space, subspace):
    return [space.key(*subspace.triple(number)) for number in range(len(subspace))]


def problem_of(labels, weights=None, n_primary=3):
    return ClassProblem(labels, np.ones(len(labels)) if weights is None else weights, np.ones(n_primary, dtype=bool))


@needs_compiled
@drawn
@pytest.mark.parametrize("block", range(6))
def test_the_features_of_least_overlap_are_those_of_the_twin(block):
    """On 300 tables: two or three classes, with and without weights, width and classes without a domain; then pairs of features."""
    settings = {"operators": ("add", "mult", "div", "sqrt"), "rung": 1}
    for seed in range(50 * block, 50 * block + examples_of(50)):
        columns, labels, rng = random_table(seed, n_classes=2 + seed % 2)
        weights = rng.integers(0, 3, len(labels)).astype(float) if seed % 3 == 0 else np.ones(len(labels))
        weights[: 3 * (2 + seed % 2)] = 1.0
        convex = np.ones(3, dtype=bool)
        convex[0] = seed % 5 != 0
        width = (0.0, 0.05)[seed % 4 == 0]
        space, problem = space_of(columns, **settings), problem_of(labels, weights)
        criterion = OverlapCriterion(width, tuple(convex[: problem.n_classes].tolist()))
        (result,), _ = search_classes(space, [problem], criterion, [8], keep=3)
        here = weights > 0
        features, values = everything(columns, settings)
        twin = {
            f.key: naive_classes.overlap_of_intervals(row[here], labels[here], weights[here], convex, width)
            for f, row in zip(features, values, strict=True)
        }
        keys = keys_of(space, result.subspace)
        ranked = sorted((n, round(size, 9)) for n, size in twin.values())
        chosen = [(twin[key][0], round(twin[key][1], 9)) for key in keys]
        assert chosen == sorted(chosen)
        # Of features of one direction only one is chosen, so ranks may be passed over, but none that is alone.
        passed_over = {rank for rank in ranked if rank < chosen[-1]} - set(chosen)
        assert not passed_over
        best = result.fits[0][0]
        assert (best.weight, best.size) == pytest.approx(twin[keys[best.subset[0]]])
        assert (best.weight, round(best.size, 9)) == ranked[0]
        if width == 0.0 and seed % 4 == 1:
            check_planes(space, result, problem, convex)


@pytest.mark.parametrize("width", [0.0, 0.001, 0.4])
def test_weights_in_planes_are_those_of_each_sample_alone(width):
    """Clouds, grids, bows and points on lines: looked at one after another, and without those that a bound tells to be worse."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, n_classes = int(rng.integers(12, 120)), 2 + seed % 2
        x = rng.normal(0, 1, n)
        rows = [
            x,
            x**2,
            x**3,
            rng.normal(0, 1, n),
            rng.integers(0, 3, n),
            rng.integers(0, 7, n) / 4,
            np.round(x, 1),
            2 * x,
        ]
        labels = np.concatenate([np.repeat(np.arange(n_classes), 4), rng.integers(0, n_classes, n - 4 * n_classes)])
        problem = problem_of(labels, rng.integers(1, 4, n) * (1.0, 0.7)[seed % 4 == 1])
        values, every = np.array(rows, dtype=float), np.ones(n, dtype=bool)
        domains = Domains.of(problem, every, np.array([True, seed % 5 > 0, True][:n_classes]), width)
        pairs = len(values) * (len(values) - 1) // 2
        found = best_subsets(values, domains, 2, pairs, NUMBERS)
        assert len(found) == pairs
        sums = np.bincount(labels, problem.weights)
        crossed = [sums[i] + sums[j] for i in range(n_classes) for j in range(i)]
        possible = [sum(some) for m in range(len(crossed) + 1) for some in combinations(crossed, m)]
        for one in found:
            points = values[list(one.subset)]
            clouds = [points[:, labels == c] for c in range(n_classes)]
            if all(np.linalg.matrix_rank(cloud - cloud[:, :1]) == 2 for cloud in clouds):
                # Hulls that cross each other count as overlapping wholly.
                more = one.weight - unclear_weight(points, domains)
                assert min(abs(more - weight) for weight in possible) < 1e-9
        for keep in (1, 4):
            best = best_subsets(values, domains, 2, keep, NUMBERS)
            assert [(b.subset, b.weight, b.size) for b in best] == [(b.subset, b.weight, b.size) for b in found[:keep]]


def everything(columns, settings):
    rungs = naive.feature_space(columns, dict.fromkeys(columns, ""), **settings)
    return [f for r in rungs for f in r.features], [v for r in rungs for v in r.values]


def check_planes(space, result, problem, convex):
    here = problem.weights > 0
    values = result.subspace.values(space)
    domains = Domains.of(problem, here, convex[: problem.n_classes])
    best = best_subsets(values, domains, 2, 1, NUMBERS)[0]
    twins = {}
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            points = values[[i, j]].T[here]
            twins[i, j] = naive_classes.overlap_of_hulls(points, problem.labels[here], problem.weights[here], convex)
    assert (best.weight, best.size) == pytest.approx(twins[best.subset], rel=1e-6)
    least = min((n, round(size, 7)) for n, size in twins.values())
    assert (best.weight, best.size) == pytest.approx(least, abs=1e-6)


def reference(name):
    """Space and problem of an input of SISSO 3.5."""
    folder = TASKS / name
    if not folder.is_dir():
        pytest.skip("needs the reference results of SISSO 3.5 in ../shared/reference")
    lines = [line.split()[1:] for line in (folder / "train.dat").read_text().splitlines() if line.strip()]
    X = np.array(lines[1:], dtype=float)
    ((first, second),) = re.findall(r"nsample=\((\d+),(\d+)\)", (folder / "SISSO.in").read_text())
    labels = np.repeat([0, 1], [int(first), int(second)])
    columns = dict(zip(lines[0], np.ascontiguousarray(X.T), strict=True))
    if name == "P1":
        units, operators = ["Å"] * 3 + [""] * 3, ("add", "sub", "mult", "div", "inv", "sq", "cb", "sqrt", "log")
        space = space_of(columns, units, operators=operators, rung=2, unit_rules="sisso")
    else:
        units = ["Å"] * 3 + ["Pauling"] + ["eV"] * 5 + [""] * 5
        space = space_of(columns, units, operators=OPERATORS, rung=2)
    return space, problem_of(labels, n_primary=len(columns))


@needs_compiled
@pytest.mark.parametrize(
    ("name", "n_sis", "weight", "size", "formulas"),
    [
        ("C1", [50], 134, 0.74287, ["stdev_OS**3 + N_val**2"]),
        ("C2", [50, 50], 93, 0.69123, ["stdev_OS**3 + N_val**2", "IP/e_L + AN*max_OS"]),
        ("P1", [100], 453, 0.84638, ["nB*rB/log(rX)"]),
    ],
)
def test_sisso_finds_the_same(name, n_sis, weight, size, formulas):
    space, problem = reference(name)
    (result,), _ = search_classes(space, [problem], OverlapCriterion(), n_sis)
    best = result.fits[-1][0]
    assert best.weight == weight
    assert best.size == pytest.approx(size, abs=1e-5)
    assert [str(space.expression(*result.subspace.triple(number))) for number in best.subset] == formulas


@needs_compiled
@pytest.mark.parametrize(
    ("n", "n_classes", "n_problems", "width"),
    [(30, 2, 6, 0.001), (160, 2, 33, 0.0), (160, 3, 40, 0.2), (90, 3, 3, 0.0)],
)
def test_many_problems_in_one_pass_are_each_as_alone(n, n_classes, n_problems, width):
    """Members with weights and without some primary features; with many equal values, and some that are far from all others."""
    columns, labels, rng = random_table(5, n, n_classes)
    if n > 30:
        columns = {"a": columns["a"] ** 20, "b": np.ceil(2 * columns["b"]), "c": np.round(columns["c"], 1) + 0.05}
        rest = slice(3 * n_classes, n)
        labels[rest] = (columns["b"][rest] > 3) + (columns["c"][rest] > 0.5) * (n_classes > 2)
    space = space_of(columns, operators=("add", "mult", "div"), rung=2)
    problems, criterion = [], OverlapCriterion(width, (True,) * (n_classes - 1) + (n_classes == 2,))
    for number in range(n_problems):
        weights = rng.integers(0, 3, len(labels)) * (1.0 + 0.1 * (number % 2) * labels)
        weights[: 3 * n_classes] = 1.0
        allowed = np.ones(3, dtype=bool)
        allowed[number % 3] = number < 2
        problems.append(ClassProblem(labels, weights, allowed))
    together, _ = search_classes(space, problems, criterion, [10, 10], threads=2)
    for problem, result in zip(problems, together, strict=True):
        (alone,), _ = search_classes(space, [problem], criterion, [10, 10])
        assert keys_of(space, alone.subspace) == keys_of(space, result.subspace)
        assert [f.subset for f in alone.fits[1]] == [f.subset for f in result.fits[1]]
        triples = [result.subspace.triple(number) for number in range(len(result.subspace))]
        used = set("".join(str(space.expression(*triple)) for triple in triples)) & set("abc")
        assert used == {name for k, name in enumerate("abc") if problem.allowed[k]}


@needs_compiled
@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_bound_leaves_out_what_reaches_the_threshold(n_classes):
    """Each of many problems asks for exactly what a feature has there."""
    rng = np.random.default_rng(n_classes)
    n, n_problems = 150, 35
    x = rng.normal(0, 1, (20, n))
    rows = np.concatenate([x, x**5, np.round(2 * x), np.exp(3 * x)])
    labels = np.sort(rng.integers(0, n_classes, n))
    labels[-1] = 0
    problems = [problem_of(labels, rng.integers(0, 3, n) * rng.choice([1.0, 0.7], n)) for _ in range(n_problems)]
    criterion = OverlapCriterion(0.0, (True, True, False)[:n_classes])
    scorer = scorer_of([criterion.domains(problem) for problem in problems], n)
    scores = np.array([scores_of(scorer, row, np.full(n_problems, -1.0)) for row in rows])
    assert (scores > 0).all()
    assert np.array_equal([scores_of(scorer, *both) for both in zip(rows, scores, strict=True)], scores)


def scores_of(scorer, row, thresholds):
    """ndarray (n_problems,): 0 where the feature does not reach the threshold."""
    n, out = len(thresholds), np.zeros(len(thresholds))
    found = FoundOfClasses(np.empty((3, n), np.int64), np.empty(n, np.int64), np.empty(n), np.zeros(2, np.int64), n)
    bars = Bars(np.zeros((n, 1), np.uint64), thresholds)
    states, masks = np.zeros(4, np.int64), np.zeros((1, 1), np.uint64)
    args = (row[None], masks, scorer.arguments, bars, (0.0, np.inf), states, found, scorer.room())
    count = scorer.scan_rows(*args)
    out[found.problems[:count]] = found.scores[:count]
    return out


def test_weights_are_repeated_rows():
    columns, labels, rng = random_table(11, n=24)
    counts = rng.integers(1, 4, len(labels))
    settings = {"operators": ("add", "mult", "div"), "rung": 1}
    weighted = search_classes(
        space_of(columns, **settings), [problem_of(labels, counts.astype(float))], OverlapCriterion(), [6, 6]
    )
    repeated = {name: np.repeat(row, counts) for name, row in columns.items()}
    rows = search_classes(
        space_of(repeated, **settings), [problem_of(np.repeat(labels, counts))], OverlapCriterion(), [6, 6]
    )
    for one, two in zip(weighted[0][0].fits, rows[0][0].fits, strict=True):
        assert [(f.subset, f.weight) for f in one] == [(f.subset, f.weight) for f in two]


def test_a_planted_boundary_ends_the_search():
    rng = np.random.default_rng(2)
    columns = {name: rng.uniform(1, 3, 60) for name in "abc"}
    ratio = columns["a"] / columns["b"]
    keep = np.abs(ratio - 1) > 0.05
    columns = {name: row[keep] for name, row in columns.items()}
    labels = (ratio[keep] > 1).astype(int)
    space = space_of(columns, operators=("add", "mult", "div"), rung=1)
    (result,), _ = search_classes(space, [problem_of(labels)], OverlapCriterion(), [5, 5, 5])
    assert len(result.fits) == 1
    best = result.fits[0][0]
    assert best.weight == 0
    assert best.size < 0
    assert str(space.expression(*result.subspace.triple(best.subset[0]))) in ("a/b", "b/a")


@pytest.mark.parametrize("dim", [3, 4])
def test_points_in_hulls_of_more_dimensions_are_found_by_linear_programs(dim):
    rng = np.random.default_rng(dim)
    corners = np.concatenate([np.eye(dim), np.zeros((1, dim))]).T  # x >= 0, sum <= 1
    points = rng.uniform(-0.1, 0.6, (dim, 200))
    expected = (points >= 0).all(axis=0) & (points.sum(axis=0) <= 1)
    assert (are_inside(points, corners, 0.0) == expected).all()
    wide = are_inside(points, corners, 0.05)
    assert (wide >= expected).all()
    assert wide.sum() > expected.sum()


def test_three_features_tell_what_two_do_not():
    """A sphere in a shell: each plane shows an overlap."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3, 90))
    points /= np.linalg.norm(points, axis=0)
    points[:, :30] *= 0.2
    labels = np.repeat([0, 1], [30, 60])
    shifted = points + np.where(labels == 1, 0.0, 1.2) * np.array([[1], [1], [1]])
    space = space_of(dict(zip("abc", shifted, strict=True)), operators=("add",), rung=0)
    (result,), _ = search_classes(space, [problem_of(labels)], OverlapCriterion(0.0), [3, 3, 3])
    weights = [fits[0].weight for fits in result.fits]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 0


def test_one_class_is_refused():
    with pytest.raises(FitError, match="needs samples of at least two classes"):
        problem_of(np.zeros(5, dtype=int))
