"""Several tasks, signs that agree over them, and largest errors: against brute force, and against SISSO 3.5."""

from itertools import combinations, product

import numpy as np
import pytest
from compiled import drawn, examples_of, needs_compiled
from reference import shared_tasks
from scipy.optimize import nnls

from sisso_sal.engine.plan import SearchSize
from sisso_sal.engine.problem import FitObjective, Problem
from sisso_sal.engine.screen import ScreeningStep, screen
from sisso_sal.engine.search import search
from sisso_sal.engine.sparsify import Subspace, sparsify, sparsify_all
from sisso_sal.errors import FitError
from sisso_sal.features.space import FeatureSpace, SpaceSettings

N_TABLES = examples_of(300)
"""Of each of three kinds of objective."""


def random_problem(seed, m=6, n=24):
    rng = np.random.default_rng(seed)
    tasks = rng.permutation(np.arange(n) % rng.integers(2, 4))
    weights = rng.integers(1, 3, n) * (rng.uniform(size=n) > 0.1)
    values = rng.normal(size=(m, n))
    target = values[0] * (1 + tasks) - values[1] * rng.choice([-1, 1], 3)[tasks] + rng.normal(0, 0.5, n)
    return values, Problem(target, weights.astype(float), np.ones(1, bool), tasks)


def in_task(values, problem, t, subset, centre, sign=None):
    """(coefficients, intercept, weighted sum of squares, residuals): least squares of one task, with given signs by nnls."""
    here = (problem.tasks == t) & (problem.weights > 0)
    root = np.sqrt(problem.weights[here])
    rows, target = values[list(subset)][:, here], problem.target[here]
    shift = np.average(rows, axis=1, weights=root**2) if centre else np.zeros(len(subset))
    mean = np.average(target, weights=root**2) if centre else 0.0
    A, b = ((rows - shift[:, None]) * root).T, (target - mean) * root
    c = np.linalg.lstsq(A, b, rcond=None)[0] if sign is None else nnls(A * sign, b)[0] * sign
    residual = target - mean - c @ (rows - shift[:, None])
    return c, mean - c @ shift, root**2 @ residual**2, residual


def best_by_brute_force(values, problem, dim, centre, objective):
    """(error, subset, coefficients) of all subsets, best first."""
    out = []
    for subset in combinations(range(len(values)), dim):
        signs = product((-1.0, 1.0), repeat=dim) if objective.is_same_sign else [None]
        fits = [
            [in_task(values, problem, t, subset, centre, s and np.array(s)) for t in range(problem.n_tasks)]
            for s in signs
        ]
        heights = [problem.weights[problem.tasks == t].sum() for t in range(problem.n_tasks)]
        count = [sum(heights) / len(heights) / h if objective.is_task_equal else 1.0 for h in heights]
        if objective.is_largest_error:
            errors = [
                sum(c * h * max(abs(f[3])) ** 2 for c, h, f in zip(count, heights, fit, strict=True)) for fit in fits
            ]
        else:
            errors = [sum(c * f[2] for c, f in zip(count, fit, strict=True)) for fit in fits]
        best = int(np.argmin(errors))
        out.append((errors[best], subset, np.array([f[0] for f in fits[best]])))
    return sorted(out, key=lambda entry: entry[0])


@drawn
@pytest.mark.parametrize("kind", ["squares", "same sign", "largest error"])
def test_equals_brute_force(kind):
    for seed in range(N_TABLES):
        values, problem = random_problem(seed)
        dim, centre = seed % 3 + 1, seed % 2 == 0
        objective = FitObjective(seed % 5 < 3, kind == "same sign", kind == "largest error")
        found = sparsify_all([Subspace(values, problem)], dim, keep=3, centre=centre, objective=objective)[0].fits
        expected = best_by_brute_force(values, problem, dim, centre, objective)[:3]
        assert [fit.subset for fit in found] == [subset for _, subset, _ in expected], seed
        for fit, (error, _, coefficients) in zip(found, expected, strict=True):
            np.testing.assert_allclose(fit.coefficients, coefficients, rtol=1e-6, atol=1e-8)
            if kind != "largest error":
                assert fit.sse == pytest.approx(error, rel=1e-9)


def test_one_task_is_as_without_tasks():
    values, problem = random_problem(3)
    alone = Problem(problem.target, problem.weights, problem.allowed)
    one = Problem(problem.target, problem.weights, problem.allowed, np.zeros(len(problem.target), dtype=int))
    for dim in (1, 2, 3):
        with_tasks, without = (sparsify(values, p, dim, keep=4).fits for p in (one, alone))
        assert [fit.subset for fit in with_tasks] == [fit.subset for fit in without]
        np.testing.assert_allclose([fit.coefficients[0] for fit in with_tasks], [fit.coefficients for fit in without])


@pytest.mark.parametrize("blocks", [2, 7])
def test_pieces_give_the_same(blocks):
    values, problem = random_problem(5, m=12)
    for dim in (1, 2, 3):
        whole, cut = (sparsify(values, problem, dim, blocks=n) for n in (1, blocks))
        assert [fit.subset for fit in cut.fits] == [fit.subset for fit in whole.fits]
        assert (cut.n_subsets, cut.n_singular) == (whole.n_subsets, whole.n_singular)


def test_a_feature_that_is_constant_in_a_task_is_singular():
    values, problem = random_problem(7)
    values[2, problem.tasks == 0] = 4.0
    best = sparsify(values, problem, 2, keep=100)
    assert not any(2 in fit.subset for fit in best.fits)
    assert best.n_singular == len(values) - 1


@pytest.mark.parametrize("centre", [True, False])
def test_scores_are_shares_of_the_squares_that_coefficients_of_each_task_explain(centre):
    rng = np.random.default_rng(1)
    x = rng.uniform(0.5, 2, (4, 30))
    tasks = np.repeat([0, 1, 2], [15, 9, 6])
    target = (x[0] * x[1]) * np.array([3.0, 0.2, -1.0])[tasks] + rng.normal(0, 0.3, 30)
    weights = rng.integers(0, 3, 30) + (np.arange(30) % 2)
    operators = ("add", "abs_diff", "mult", "div", "sq")
    space = FeatureSpace(list("abcd"), [""] * 4, x, SpaceSettings(operators=operators, rung=2))
    problem = Problem(target, weights.astype(float), np.ones(4, bool), tasks)
    rows = problem.normalised(np.array([target, rng.normal(size=30)]), centre)
    (best,), _ = screen(space, [ScreeningStep(problem, rows)], 40, centre=centre)
    (every,), _ = screen(space, [ScreeningStep(problem, rows)], 10**5, centre=centre)

    def naive(row):
        shares, totals = problem.weights / problem.weights.sum(), []
        for residual in rows:
            total = 0.0
            for t in range(3):
                w, f, r = (part[tasks == t] for part in (shares, row, residual))
                f = f - (w @ f / w.sum() if centre else 0.0)
                total += (w @ (f * r)) ** 2 / (w @ f**2)
            totals.append(np.sqrt(total))
        return max(totals)

    scores = np.array([naive(row) for row in every.values(space)])
    np.testing.assert_allclose(every.score, scores, rtol=1e-9)
    assert len(every) > 200
    np.testing.assert_allclose(best.score, np.sort(scores)[::-1][:40], rtol=1e-9)


def test_a_task_without_weights_is_refused():
    with pytest.raises(FitError, match="weights above 0 in each task"):
        Problem(np.arange(4.0), np.array([1.0, 1, 0, 0]), np.ones(1, bool), np.array([0, 0, 1, 1]))


@needs_compiled
@pytest.mark.parametrize(
    ("name", "rung", "n_sis", "sizes", "signs"),
    [("M1", 2, 50, (137, 113), False), ("M1", 2, 50, (137, 113), True), ("M3", 1, 20, (112, 138), False)],
)
def test_finds_what_sisso_finds(name, rung, n_sis, sizes, signs):
    names, x, target = shared_tasks(name)
    units = ["Å"] * 3 + ["Pauling"] + ["eV"] * 5 + [""] * 5
    operators = ("add", "sub", "abs_diff", "mult", "div", "inv", "sq", "cb", "six_pow", "sqrt")
    space = FeatureSpace(names, units, x, SpaceSettings(operators=operators, rung=rung))
    tasks = np.repeat(np.arange(2), sizes)
    problem = Problem(target, np.ones(len(target)), np.ones(len(names), bool), tasks)
    size = SearchSize(dim=2, n_sis=n_sis, keep=5, objective=FitObjective(is_task_equal=True, is_same_sign=signs))
    (found,), _ = search(space, [problem], size)
    best = found.fits[1][0]
    values = [
        space.expression(*found.subspace.triple(t)).evaluate(dict(zip(names, x, strict=True))) for t in best.subset
    ]
    columns = dict(zip(names, x, strict=True))
    expected = {
        "M1": [
            columns["r_cov"] ** 3 * columns["N_unf"],
            columns["r_s"] * columns["CE"] * columns["N_unf"] * columns["max_OS"],
        ],
        "M3": [columns["N_unf"] ** 3, columns["r_val"] / columns["EN"]],
    }[name]
    coefficients, intercepts, errors, largest, total = {
        "M1": (
            [[0.3206569902, 0.01051054072], [0.2036586731, 0.004176796326]],
            [0.08744407134, 0.1410821822],
            [0.4926788908, 0.2160479994],
            [2.401271954, 0.6937410620],
            [0.380401],
        ),
        "M3": (
            [[0.02082930077, 3.542286355], [0.002381378569, 1.119736392]],
            [-0.8660829379, -0.1271021771],
            [0.4078525042, 0.4420607501],
            None,
            [0.425301, 0.430998, 0.432552, 0.436247, 0.436640],
        ),
    }[name]
    order = [int(np.argmax([abs(np.corrcoef(value, own)[0, 1]) for value in values])) for own in expected]
    np.testing.assert_allclose(np.array(values)[order], expected, rtol=1e-12)
    np.testing.assert_allclose(best.coefficients[:, order], coefficients, rtol=1e-6)
    np.testing.assert_allclose(best.intercept, intercepts, rtol=1e-6)
    rest = [best.residual[tasks == t] for t in range(2)]
    np.testing.assert_allclose([np.sqrt(np.mean(r**2)) for r in rest], errors, rtol=1e-6)
    if largest:
        np.testing.assert_allclose([np.abs(r).max() for r in rest], largest, rtol=1e-6)
    n = len(total)
    np.testing.assert_allclose([np.sqrt(fit.sse / len(target)) for fit in found.fits[1][:n]], total, atol=6e-7)
