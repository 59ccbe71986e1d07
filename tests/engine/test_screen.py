"""Sure-independence screening against its naive twin: scores, duplicates, ties, masks, and independence of the order of work."""

import ast
import importlib
from itertools import pairwise
from pathlib import Path

import naive
import numpy as np
import pytest
from screening import screen

from sisso_sal.engine import _pairs, _scores
from sisso_sal.engine import screen as screen_module
from sisso_sal.engine import sweep as sweep_module
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.selection import Selection
from sisso_sal.errors import FitError
from sisso_sal.features.space import FeatureSpace, SpaceSettings


def make_space(columns, units=None, **settings):
    texts = [""] * len(columns) if units is None else [units[name] for name in columns]
    return FeatureSpace(list(columns), texts, np.array(list(columns.values())), SpaceSettings(**settings))


def make_problem(target, weights=None, n_primary=3, allowed=None):
    weights = np.ones(len(target)) if weights is None else np.asarray(weights, dtype=float)
    return Problem(
        np.asarray(target, float), weights, np.ones(n_primary, bool) if allowed is None else np.array(allowed)
    )


def run(space, problems, n_sis, *, residuals=None, **options):
    """[(keys, scores)] of each problem."""
    centre = options.get("centre", True)
    rows = residuals or [problem.target[None] for problem in problems]
    rows = [problem.normalised(np.atleast_2d(r), centre) for problem, r in zip(problems, rows, strict=True)]
    selections, _ = screen(space, problems, rows, n_sis, **options)
    return [(keys_of(space, s), s.score) for s in selections]


def keys_of(space, selection):
    return [
        space.key(*t) for t in zip(*(getattr(selection, k).tolist() for k in ("opcode", "left", "right")), strict=True)
    ]


def everything(columns, units=None, **settings):
    rungs = naive.feature_space(columns, units or dict.fromkeys(columns, ""), **settings)
    return [f for r in rungs for f in r.features], [v for r in rungs for v in r.values]


def random_columns(seed=0, n=14):
    rng = np.random.default_rng(seed)
    return {"a": rng.uniform(1, 2, n), "b": rng.uniform(0.5, 3, n), "c": rng.normal(0, 1, n)}, rng


SETTINGS = {"operators": ("add", "sub", "mult", "div", "abs_diff", "sq", "sqrt"), "rung": 2}


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_residuals", [1, 3])
def test_equals_the_naive_screening(centre, weighted, n_residuals):
    columns, rng = random_columns()
    weights = rng.integers(0, 4, 14).astype(float) if weighted else np.ones(14)
    residuals = rng.normal(0, 1, (n_residuals, 14))
    problem = make_problem(residuals[0], weights)
    ((keys, scores),) = run(make_space(columns, **SETTINGS), [problem], 25, residuals=[residuals], centre=centre)
    expected = naive.screen(*everything(columns, **SETTINGS), weights, residuals, 25, centre=centre)
    assert expected.is_clear
    assert keys == [f.key for f in expected.features]
    np.testing.assert_allclose(scores, expected.scores, rtol=1e-12)


def test_score_is_the_weighted_pearson_correlation():
    rng = np.random.default_rng(2)
    row, target, weights = rng.normal(5, 1, 30), rng.normal(0, 1, 30), rng.uniform(0, 2, 30)
    problem = make_problem(target, weights)
    for centre in (True, False):
        rows = problem.normalised(target[None], centre)
        found = _scores.exact_score(row, problem.shares, rows, centre)
        assert found == pytest.approx(abs(naive.weighted_correlation(row, target, weights, centre)), rel=1e-12)


def test_score_is_the_largest_over_the_residuals():
    rng = np.random.default_rng(3)
    row = rng.normal(0, 1, 30)
    targets = np.array([rng.normal(0, 1, 30), row + 0.1 * rng.normal(0, 1, 30), rng.normal(0, 1, 30)])
    problem = make_problem(targets[0])
    found = _scores.exact_score(row, problem.shares, problem.normalised(targets, True), True)
    assert found == pytest.approx(abs(np.corrcoef(row, targets[1])[0, 1]), rel=1e-12)


def test_counts_equal_repeated_rows():
    columns, rng = random_columns()
    target, counts = rng.normal(0, 1, 14), np.array([0, 1, 2, 3, 1, 1, 0, 1, 2, 1, 4, 1, 1, 1])
    space = make_space(columns, **SETTINGS)
    ((keys, scores),) = run(space, [make_problem(target, counts)], 20)
    rows = {name: naive.repeated(row, counts) for name, row in columns.items()}
    ((again, scores_again),) = run(make_space(rows, **SETTINGS), [make_problem(naive.repeated(target, counts))], 20)
    assert keys == again
    np.testing.assert_allclose(scores, scores_again, rtol=1e-12)


def test_a_weight_of_zero_means_that_the_sample_is_not_there():
    columns, rng = random_columns()
    target = rng.normal(0, 1, 14)
    weights = np.ones(14)
    weights[3] = 0
    space = make_space(columns, **SETTINGS)
    ((keys, scores),) = run(space, [make_problem(target, weights)], 20)
    target[3] = 1e6
    ((again, scores_again),) = run(space, [make_problem(target, weights)], 20)
    assert keys == again
    np.testing.assert_allclose(scores, scores_again, rtol=1e-9)


def test_only_allowed_primaries_occur():
    columns, rng = random_columns()
    problem = make_problem(rng.normal(0, 1, 14), allowed=[True, False, True])
    space = make_space(columns, **SETTINGS)
    ((keys, _),) = run(space, [problem], 30)
    expected = naive.screen(*everything(columns, **SETTINGS), problem.weights, [problem.target], 30, allowed={"a", "c"})
    assert keys == [f.key for f in expected.features]
    assert len(keys) == 30
    assert not any("b" in key.replace("abs", "").replace("sub", "") for key in keys)


def test_masks_beyond_64_primaries():
    rng = np.random.default_rng(0)
    columns = {f"x{i:02d}": row for i, row in enumerate(rng.uniform(1, 2, (70, 20)))}
    target = columns["x66"] * columns["x68"]
    space = make_space(columns, operators=("mult",), rung=1)
    problems = [make_problem(target, allowed=np.arange(70) != number) for number in (0, 68)]
    (best, _), (second, _) = run(space, problems, 5)
    assert best[0] == "mult(x66,x68)"
    assert not any("x68" in key for key in second)


def test_taken_features_and_their_duplicates_are_not_chosen_again():
    columns, rng = random_columns()
    columns["d"] = 3.0 * columns["a"] - 2.0
    target = columns["a"] + 0.3 * rng.normal(0, 1, 14)
    space = make_space(columns, operators=("add", "mult"), rung=1)
    problem = make_problem(target, n_primary=4)
    taken = Selection(np.zeros(1, np.int16), np.array([3], np.int32), np.array([3], np.int32), np.ones(1))
    ((keys, _),) = run(space, [problem], 9, taken=[taken])
    expected = naive.screen(
        *everything(columns, operators=("add", "mult"), rung=1), np.ones(14), [target], 9, taken={"d"}
    )
    assert keys == [f.key for f in expected.features]
    # a, a + d are affinely related to d
    assert not {"a", "d", "add(a,d)"} & set(keys)


def test_of_duplicates_the_least_complex_stays_then_the_first_key():
    rng = np.random.default_rng(4)
    x = rng.uniform(1, 2, 12)
    other = rng.uniform(1, 2, 12)
    space = make_space({"z": x, "y": 5.0 - 2.0 * x, "k": other}, operators=("add", "sq"), rung=1)
    ((keys, scores),) = run(space, [make_problem(x)], 3)
    assert keys[0] == "y"
    assert scores[0] == pytest.approx(1.0, abs=1e-14)
    assert "z" not in keys
    assert "add(y,z)" not in keys  # 5 - x points the same way, with one operator


def test_of_duplicates_of_one_complexity_the_first_key_stays():
    rng = np.random.default_rng(4)
    x, k = rng.uniform(1, 2, (2, 12))
    space = make_space({"q": x, "p": 2.0 * x, "k": k}, operators=("mult",), rung=1)
    ((keys, _),) = run(space, [make_problem(x * k)], 2)
    assert keys[0] == "mult(k,p)"


def hadamard():
    """Three orthogonal patterns of eight samples: correlations among them are exactly 0."""
    bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    return (2.0 * bits - 1.0).T


def test_ties_go_to_lower_complexity_then_to_the_first_key():
    u, v, w = hadamard()
    space = make_space({"z": u + 3.0, "b": v + 3.0, "m": w + 3.0}, operators=("cb",), rung=1)
    target = u + v + w
    ((keys, scores),) = run(space, [make_problem(target)], 3)
    assert keys == ["b", "m", "z"]
    np.testing.assert_allclose(scores, 3**-0.5, rtol=1e-14)
    ((keys, _),) = run(space, [make_problem(target)], 1)
    assert keys == ["b"]


def test_a_tie_beyond_the_tenth_decimal_is_one():
    u, v, w = hadamard()
    space = make_space({"z": u, "b": v, "m": w}, rung=0)
    ((keys, _),) = run(space, [make_problem((1 + 1e-12) * u + v + 0.5 * w)], 3)
    assert keys == ["b", "z", "m"]
    ((keys, _),) = run(space, [make_problem((1 + 1e-8) * u + v + 0.5 * w)], 3)
    assert keys == ["z", "b", "m"]


@pytest.mark.parametrize("others_tied", [True, False])
def test_a_simpler_feature_wins_a_tie_whatever_its_key(others_tied):
    u, v, w = hadamard()
    space = make_space({"a": u, "b": v, "z": w}, operators=("mult",), rung=1)
    rest = 0.0 if others_tied else 0.1 * u + 0.2 * v + 0.3 * u * w + 0.4 * v * w
    ((keys, scores),) = run(space, [make_problem(u * v + w + rest)], 6)
    assert keys[:2] == ["z", "mult(a,b)"]
    assert scores[0] == pytest.approx(scores[1], abs=1e-14)
    assert keys[2:] == (["a", "b", "mult(a,z)", "mult(b,z)"] if others_tied else ["mult(b,z)", "mult(a,z)", "b", "a"])


def test_constant_features_are_never_chosen():
    rng = np.random.default_rng(6)
    columns = {"a": rng.uniform(1, 2, 10), "k": np.full(10, 0.1), "step": np.repeat([1.0, 2.0], 5)}
    weights = np.repeat([1.0, 0.0], 5)
    problem = make_problem(rng.normal(0, 1, 10), weights)
    space = make_space(columns, operators=("sq",), rung=1)
    ((keys, scores),) = run(space, [problem], 10)
    assert sorted(keys) == ["a", "sq(a)"]
    assert (scores >= 0).all()


def test_without_an_intercept_a_constant_is_a_feature():
    columns = {"a": np.array([1.0, -1.0, 1.0, -1.0]), "k": np.full(4, 0.1)}
    space = make_space(columns, rung=0)
    ((keys, scores),) = run(space, [make_problem([3.0, 3.1, 2.9, 3.0], n_primary=2)], 2, centre=False)
    assert keys == ["k", "a"]
    assert scores[0] > 0.99


@pytest.mark.parametrize("centre", [True, False])
def test_an_intercept_in_disguise_is_no_feature(centre):
    """(a/b)*(b/a) is 1: of no use beside an intercept, and not asked for without one."""
    columns, rng = random_columns()
    space = make_space(columns, operators=("mult", "div"), rung=2)
    ((keys, _),) = run(space, [make_problem(5.0 + 0.01 * rng.normal(0, 1, 14))], 1000, centre=centre)
    assert len(keys) > 50
    assert "mult(div(a,b),div(b,a))" not in keys


def test_fewer_features_only_if_the_space_has_no_more():
    columns, rng = random_columns()
    settings = {"operators": ("add", "sub"), "rung": 2}
    space = make_space(columns, **settings)
    target = rng.normal(0, 1, 14)
    expected = naive.screen(*everything(columns, **settings), np.ones(14), [target], 10_000)
    for n_sis in (len(expected.features) - 1, len(expected.features), 10_000):
        ((keys, _),) = run(space, [make_problem(target)], n_sis)
        assert keys == [f.key for f in expected.features[:n_sis]]


def test_many_duplicates_do_not_crowd_out_what_comes_after_them():
    """More copies of the best feature than the pool holds before it is compacted."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(1, 2, (2, 15))
    columns = {f"x{i:03d}": (i + 1.0) * x + i for i in range(300)} | {"y": y}
    space = make_space(columns, rung=0)
    ((keys, _),) = run(space, [make_problem(x + 0.1 * y, n_primary=301)], 2)
    assert keys == ["x000", "y"]


@pytest.mark.parametrize("centre", [True, False])
def test_scores_closer_than_single_precision_are_told_apart(centre):
    """float32 chooses and float64 decides: 40 features whose scores differ in the eighth decimal come out in the right order."""
    rng = np.random.default_rng(7)
    n = 2000
    base, noise = rng.normal(0, 1, (2, n))
    noise -= base * (base @ noise) / (base @ base)
    order = rng.permutation(40)
    columns = {f"x{i:02d}": 1.0 * base + np.sqrt(2e-8 * (order[i] + 1)) * noise for i in range(40)}
    columns |= {f"y{i:03d}": row for i, row in enumerate(rng.normal(0, 1, (200, n)))}
    space = make_space(columns, rung=0)
    ((keys, _),) = run(space, [make_problem(base, n_primary=240)], 10, centre=centre)
    assert keys == [f"x{i:02d}" for i in np.argsort(order)[:10]]


def test_an_outlier_of_weight_zero_does_not_blind_the_single_precision_filter():
    columns, rng = random_columns(n=60)
    columns["a"][7] = 9e4
    weights = np.ones(60)
    weights[7] = 0.0
    target = columns["a"] * columns["b"] + 0.01 * rng.normal(0, 1, 60)
    settings = {"operators": ("mult", "add", "div"), "rung": 2, "max_abs": 1e12}
    ((keys, _),) = run(make_space(columns, **settings), [make_problem(target, weights)], 15)
    expected = naive.screen(*everything(columns, **settings), weights, [target], 15)
    assert keys == [f.key for f in expected.features]
    assert keys[0] == "mult(a,b)"


def test_an_offset_of_a_million():
    columns, _ = random_columns(n=20)
    columns["a"] = columns["a"] + 1e6
    target = columns["a"] - 1e6 + 0.2 * columns["c"]
    space = make_space(columns, rung=0)
    ((keys, scores),) = run(space, [make_problem(target)], 3)
    expected = naive.screen(*everything(columns, operators=(), rung=0), np.ones(20), [target], 3)
    assert keys == [f.key for f in expected.features]
    np.testing.assert_allclose(scores, expected.scores, rtol=1e-12)


def test_one_pass_for_many_problems_equals_one_pass_for_each():
    columns, rng = random_columns()
    space = make_space(columns, **SETTINGS)
    problems = [
        make_problem(rng.normal(0, 1, 14)),
        make_problem(rng.normal(0, 1, 14), rng.integers(0, 3, 14)),
        make_problem(rng.normal(0, 1, 14), allowed=[False, True, True]),
        make_problem(rng.normal(0, 1, 14), rng.uniform(0, 1, 14), allowed=[True, True, False]),
    ]
    residuals = [rng.normal(0, 1, (k, 14)) for k in (1, 3, 2, 1)]
    together = run(space, problems, 12, residuals=residuals)
    for problem, rows, (keys, scores) in zip(problems, residuals, together, strict=True):
        ((alone, alone_scores),) = run(space, [problem], 12, residuals=[rows])
        assert keys == alone
        np.testing.assert_array_equal(scores, alone_scores)


@pytest.mark.parametrize("n_sis", [1, 7, 40])
def test_result_depends_neither_on_the_order_of_work_nor_on_threads(monkeypatch, n_sis):
    columns, rng = random_columns(n=25)
    space = make_space(columns, **SETTINGS)
    problems = [make_problem(rng.normal(0, 1, 25)), make_problem(columns["a"] * columns["b"], rng.integers(0, 3, 25))]
    expected = run(space, problems, n_sis)
    pieces = screen_module._Pass.pieces
    for seed, work, threads in ((0, 1e4, 1), (1, 1e6, 1), (2, 1e4, 2), (3, 1e5, 3)):

        def shuffled(state, threads, seed=seed):
            every = list(pieces(state, threads))
            return [every[i] for i in np.random.default_rng(seed).permutation(len(every))]

        monkeypatch.setattr(screen_module._Pass, "pieces", shuffled)
        monkeypatch.setattr(sweep_module, "WORK", work)
        for (keys, scores), (keys_0, scores_0) in zip(
            run(space, problems, n_sis, threads=threads), expected, strict=True
        ):
            assert keys == keys_0
            np.testing.assert_array_equal(scores, scores_0)


def test_more_features_than_one_buffer_and_one_block():
    rng = np.random.default_rng(1)
    columns = {f"x{i:03d}": row for i, row in enumerate(rng.uniform(1, 2, (130, 12)))}
    space = make_space(columns, operators=("mult",), rung=1)
    assert space.n_features > 2 * screen_module.BLOCK
    target = columns["x003"] * columns["x005"] + 1e-3 * columns["x127"] * columns["x128"]
    ((keys, scores),) = run(space, [make_problem(target, n_primary=130)], 1)
    assert keys == ["mult(x003,x005)"]
    assert scores[0] > 0.99


def test_progress_ends_where_the_space_ends():
    columns, rng = random_columns()
    columns["k"] = np.ones(14)
    space = make_space(columns, operators=("div", "sqrt"), rung=2)
    calls = []
    run(
        space,
        [make_problem(rng.normal(0, 1, 14), n_primary=4)],
        3,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (space.n_features, space.n_features)
    assert all(first[0] < second[0] for first, second in pairwise(calls))


def test_a_problem_without_residual_gets_nothing_and_does_not_disturb_the_others():
    columns, rng = random_columns()
    space = make_space(columns, **SETTINGS)
    problem = make_problem(rng.normal(0, 1, 14))
    rows = problem.normalised(problem.target[None], True)
    (first, second), _ = screen(space, [problem, problem], [np.empty((0, 14)), rows], 5)
    (alone,), _ = screen(space, [problem], [rows], 5)
    assert len(first) == 0
    assert keys_of(space, second) == keys_of(space, alone)
    (nothing,), causes = screen(space, [problem], [np.empty((0, 14))], 5)
    assert len(nothing) == 0
    assert causes.total() == 0


def test_normalised_residuals():
    rng = np.random.default_rng(0)
    target, weights = rng.normal(3, 1, 20), rng.uniform(0, 1, 20)
    problem = make_problem(target, weights)
    rows = problem.normalised(np.array([target, np.full(20, 7.0), target * 1e-14, -2 * target]), True)
    assert rows.shape == (2, 20)
    np.testing.assert_allclose(rows @ problem.shares, 0, atol=1e-15)
    np.testing.assert_allclose(rows**2 @ problem.shares, 1, rtol=1e-14)
    np.testing.assert_allclose(rows[1], -rows[0], rtol=1e-12)
    np.testing.assert_allclose(problem.normalised(target[None], False)[0] @ problem.shares, 0.9, atol=0.2)


@pytest.mark.parametrize(
    ("target", "weights", "message"),
    [
        ([1.0, 2.0], [1.0], "problem: needs one weight per target, found shapes (1,), (2,)"),
        ([1.0, 2.0], [1.0, -1.0], "problem: needs finite weights >= 0, at least one above 0"),
        ([1.0, 2.0], [0.0, 0.0], "problem: needs finite weights >= 0, at least one above 0"),
        ([1.0, 2.0], [np.inf, 1.0], "problem: needs finite weights >= 0, at least one above 0"),
        ([1.0, np.nan], [1.0, 1.0], "problem: needs a finite target on every sample"),
    ],
)
def test_a_problem_that_is_none(target, weights, message):
    with pytest.raises(FitError) as caught:
        make_problem(target, weights)
    assert str(caught.value) == message


KERNEL_FILES = [
    "_values", "_scores", "_pairs", "_subsets", "_task_subsets", "_duplicates", "_hulls", "_logistic",
    "_logistic_bounds", "_overlap", "_thresholds",
]  # fmt: skip


def test_every_file_of_kernels_is_looked_at():
    folder = Path(sweep_module.__file__).parent
    assert {path.stem for path in folder.glob("*.py") if "@njit" in path.read_text()} == set(KERNEL_FILES)


@pytest.mark.parametrize("name", KERNEL_FILES)
def test_kernels_use_nothing_of_another_file(name):
    """numba's cache would not notice that a kernel, a tuple or a constant in another file was edited."""
    module = importlib.import_module(f"sisso_sal.engine.{name}")
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - {"__future__", "collections", "numba"} == {"sisso_sal.engine._compilation"}
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= {"numpy"}


@pytest.mark.parametrize("name", KERNEL_FILES)
def test_no_kernel_takes_more_than_eight_arguments(name):
    tree = ast.parse(Path(importlib.import_module(f"sisso_sal.engine.{name}").__file__).read_text())
    sizes = {node.name: len(node.args.args) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert sizes
    assert {kernel: size for kernel, size in sizes.items() if size > 8} == {}


def test_states_have_one_number_in_both_files():
    assert (_pairs.KEPT, _pairs.OUT_OF_BOUNDS) == (_scores.KEPT, _scores.OUT_OF_BOUNDS)


def equal_values(n=20):
    """Two energies, two lengths, and a number that equals a product of them."""
    rng = np.random.default_rng(3)
    columns = {"a": rng.normal(size=n), "b": rng.normal(size=n), "c": rng.uniform(1, 3, n), "d": rng.uniform(0.5, 2, n)}
    columns["e"] = columns["b"] * columns["d"]
    return columns, {"a": "eV", "b": "eV", "c": "AA", "d": "AA", "e": ""}, rng


@pytest.mark.parametrize("n_sis", [1, 5, 12, 13, 14, 60])
@pytest.mark.parametrize("rules", ["strict", "none"])
def test_features_of_equal_values_and_other_units_come_last(rules, n_sis):
    columns, units, rng = equal_values()
    settings = {"operators": ("mult", "add"), "rung": 1, "unit_rules": rules}
    space = make_space(columns, units, **settings)
    features, values = everything(columns, units, **settings)
    weights = rng.integers(0, 3, 20).astype(float)
    problem = make_problem(rng.normal(size=20), weights, 5)
    ((keys, scores),) = run(space, [problem], n_sis)
    (rows,) = [problem.normalised(problem.target[None], True)]
    expected = naive.screen(features, values, weights, rows, n_sis)
    assert keys == [f.key for f in expected.features]
    np.testing.assert_allclose(scores, expected.scores, atol=1e-12)
    if rules == "strict" and n_sis == 60:
        assert keys[-1] == "mult(b,d)"  # equals e
    assert "e" in keys or n_sis < 12


def test_a_taken_feature_does_not_stand_for_one_of_another_unit():
    columns, units, rng = equal_values()
    space = make_space(columns, units, operators=("mult",), rung=1)
    problem = make_problem(columns["e"] + 0.1 * rng.normal(size=20), n_primary=5)
    rows = [problem.normalised(problem.target[None], True)]
    (first,), _ = screen(space, [problem], rows, 1)
    assert keys_of(space, first) == ["e"]
    (second,), _ = screen(space, [problem], rows, 100, taken=[first])
    assert keys_of(space, second)[-1] == "mult(b,d)"
    assert "e" not in keys_of(space, second)
    (third,), _ = screen(space, [problem], rows, 100, taken=[Selection.joined([first, second])])
    assert len(third) == 0
