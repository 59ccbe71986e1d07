"""The SISSO iteration: screen on residuals, extend the subspace, fit, for one problem and for many."""

import threading
from math import comb

import naive
import numba
import numpy as np
import pytest
from compiled import needs_compiled
from numba.core.event import install_listener

from sisso_sal.engine import _duplicates, _pairs, _scores, _subsets, _values
from sisso_sal.engine import search as search_module
from sisso_sal.engine.plan import SearchSize, search_cost
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import Stopped
from sisso_sal.engine.search import compile_for
from sisso_sal.engine.selection import Selection
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.space import FeatureSpace, SpaceSettings

NAMES = ("a", "b", "c")
SETTINGS = {"operators": ("add", "mult", "div", "sq"), "rung": 2}


def search(space, problems, *, dim, n_sis, n_residual=1, keep=10, **options):
    size = SearchSize(dim=dim, n_sis=n_sis, n_residual=n_residual, keep=keep)
    return search_module.search(space, problems, size, **options)


def make(seed=0, n=25):
    rng = np.random.default_rng(seed)
    columns = dict(zip(NAMES, rng.uniform(1, 2, (3, n)), strict=True))
    space = FeatureSpace(NAMES, [""] * 3, np.array(list(columns.values())), SpaceSettings(**SETTINGS))
    rungs = naive.feature_space(columns, dict.fromkeys(NAMES, ""), **SETTINGS)
    return space, [f for r in rungs for f in r.features], [v for r in rungs for v in r.values], columns, rng


def problem_of(target, weights=None, allowed=(True, True, True)):
    return Problem(target, np.ones(len(target)) if weights is None else weights, np.array(allowed))


def keys_of(space, selection):
    return [
        space.key(*t) for t in zip(*(getattr(selection, k).tolist() for k in ("opcode", "left", "right")), strict=True)
    ]


@pytest.mark.parametrize("n_residual", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("n_sis", [6, (9, 2, 5)])
def test_equals_the_naive_search(n_residual, weighted, centre, n_sis):
    space, features, values, columns, rng = make()
    weights = rng.integers(0, 4, 25).astype(float) if weighted else np.ones(25)
    target = columns["a"] * columns["b"] - columns["c"] ** 2 + rng.normal(0, 0.1, 25)
    options = {"dim": 3, "n_sis": n_sis, "n_residual": n_residual, "centre": centre}
    sizes = np.cumsum([6, 6, 6] if n_sis == 6 else n_sis).tolist()
    (outcome,), _ = search(space, [problem_of(target, weights)], **options)
    steps = naive.search(features, values, target, weights, **options)
    keys = keys_of(space, outcome.subspace)
    assert len(outcome.fits) == 3
    for d, (subspace, fits, clear) in enumerate(steps, start=1):
        assert clear
        assert keys[: sizes[d - 1]] == subspace
        found = outcome.fits[d - 1]
        assert [fit.subset for fit in found] == [fit.subset for fit in fits[: len(found)]]
        for fit, twin in zip(found, fits, strict=False):
            np.testing.assert_allclose(fit.coefficients, twin.coefficients, rtol=1e-6)
            assert fit.sse == pytest.approx(twin.sse, rel=1e-8)
    assert outcome.n_subsets == sum(comb(size, d) for d, size in enumerate(sizes, start=1))
    assert outcome.n_singular == 0


def test_more_residuals_give_another_subspace():
    space, _, _, columns, rng = make()
    target = columns["a"] * columns["b"] + rng.normal(0, 0.3, 25)
    one, five = (search(space, [problem_of(target)], dim=2, n_sis=6, n_residual=k)[0][0] for k in (1, 5))
    assert keys_of(space, one.subspace)[:6] == keys_of(space, five.subspace)[:6]
    assert keys_of(space, one.subspace)[6:] != keys_of(space, five.subspace)[6:]


def test_no_feature_enters_a_subspace_twice():
    space, _, _, _, rng = make()
    (outcome,), _ = search(space, [problem_of(rng.normal(0, 1, 25))], dim=4, n_sis=10)
    keys = keys_of(space, outcome.subspace)
    assert len(keys) == len(set(keys)) == 40
    units = naive.directions(outcome.subspace.values(space), np.ones(25))
    assert np.abs(np.triu(units @ units.T, 1)).max() < 1 - 1e-13


def test_one_search_for_many_problems_equals_one_for_each():
    space, _, _, columns, rng = make()
    target = columns["a"] * columns["b"] - columns["c"] ** 2 + rng.normal(0, 0.1, 25)
    problems = [
        problem_of(target),
        problem_of(target, rng.integers(0, 3, 25).astype(float)),
        problem_of(target, rng.integers(0, 3, 25).astype(float), (True, False, True)),
        problem_of(-target, allowed=(False, True, True)),
    ]
    options = {"dim": 2, "n_sis": 7, "n_residual": 2}
    together, causes = search(space, problems, **options)
    for problem, outcome in zip(problems, together, strict=True):
        (alone,), causes_alone = search(space, [problem], **options)
        assert keys_of(space, outcome.subspace) == keys_of(space, alone.subspace)
        assert causes_alone == causes
        for fits, twins in zip(outcome.fits, alone.fits, strict=True):
            assert [fit.subset for fit in fits] == [twin.subset for twin in twins]
            for fit, twin in zip(fits, twins, strict=True):
                np.testing.assert_array_equal(fit.residual, twin.residual)


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_do_not_show(threads):
    space, _, _, columns, rng = make()
    target = columns["a"] * columns["b"] - columns["c"] ** 2 + rng.normal(0, 0.1, 25)
    for problems in (
        [problem_of(target)],
        [problem_of(target, rng.integers(0, 3, 25).astype(float)) for _ in range(5)],
    ):
        single, _ = search(space, problems, dim=3, n_sis=8, n_residual=3)
        several, _ = search(space, problems, dim=3, n_sis=8, n_residual=3, threads=threads)
        for outcome, twin in zip(single, several, strict=True):
            assert keys_of(space, outcome.subspace) == keys_of(space, twin.subspace)
            assert (outcome.n_subsets, outcome.n_singular) == (twin.n_subsets, twin.n_singular)
            for fits, other in zip(outcome.fits, twin.fits, strict=True):
                assert [fit.subset for fit in fits] == [fit.subset for fit in other]
                assert all(np.array_equal(f.coefficients, t.coefficients) for f, t in zip(fits, other, strict=True))


def test_a_perfect_fit_ends_the_screening_but_not_the_dimensions():
    """A residual of zero has nothing left to screen on; the pairs are those of the first subspace."""
    space, _, _, columns, _ = make()
    target = 3.0 * columns["a"] * columns["b"] - 1.0
    (outcome,), _ = search(space, [problem_of(target)], dim=2, n_sis=5)
    assert keys_of(space, outcome.subspace)[0] == "mult(a,b)"
    assert len(outcome.subspace) == 5
    assert outcome.fits[0][0].sse < 1e-20
    assert all(0 in fit.subset and fit.sse < 1e-20 for fit in outcome.fits[1][:4])
    assert outcome.n_subsets == 5 + 10


def test_more_dimensions_than_features():
    rng = np.random.default_rng(0)
    space = FeatureSpace(["a"], [""], rng.uniform(1, 2, (1, 10)), SpaceSettings(rung=0))
    (outcome,), _ = search(space, [problem_of(rng.normal(0, 1, 10), allowed=(True,))], dim=3, n_sis=5)
    assert [len(fits) for fits in outcome.fits] == [1, 0, 0]


def test_progress_covers_all_passes():
    space, _, _, _, rng = make()
    calls = []
    search(
        space, [problem_of(rng.normal(0, 1, 25))], dim=2, n_sis=3, progress=lambda done, total: calls.append((done, total))
    )  # fmt: skip
    assert calls[-1] == (2 * space.n_features, 2 * space.n_features)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_number_of_fits_kept():
    space, _, _, _, rng = make()
    problem = problem_of(rng.normal(0, 1, 25))
    for keep, n_residual, expected in ((3, 1, 3), (3, 5, 5), (30, 1, 8)):
        (outcome,), _ = search(space, [problem], dim=1, n_sis=8, keep=keep, n_residual=n_residual)
        assert len(outcome.fits[0]) == expected


def test_rejected_features_are_counted_once_whatever_the_dimension():
    columns = {"a": np.array([1.0, 2.0, 3.0, 4.0, 6.0]), "z": np.array([0.0, 1.0, 2.0, 1.5, 1e3])}
    space = FeatureSpace(
        list(columns), ["", ""], np.array(list(columns.values())), SpaceSettings(operators=("exp",), rung=1)
    )
    problem = problem_of(np.array([1.0, 3.0, 2.0, 5.0, 4.0]), allowed=(True, True))
    for dim in (1, 2):
        _, causes = search(space, [problem], dim=dim, n_sis=1)
        assert +causes == {"domain": 1}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stop_at", [0.5, 1.5])
def test_an_interrupt_leaves_the_best_so_far(stop_at, threads):
    space, _, _, columns, rng = make()
    problem = problem_of(columns["a"] * columns["b"] + rng.normal(0, 0.1, 25))
    threads_before = threading.active_count()

    def progress(done, total):
        if done >= stop_at * total / 2:
            raise KeyboardInterrupt

    (whole,), _ = search(space, [problem], dim=2, n_sis=5)
    (part,), _ = search(space, [problem], dim=2, n_sis=5, threads=threads, progress=progress)
    assert whole.is_complete
    assert not part.is_complete
    assert len(whole.fits) == 2
    assert len(part.fits) == 1
    if stop_at > 1:
        assert [fit.sse for fit in part.fits[0]] == [fit.sse for fit in whole.fits[0]]
    else:
        assert len(part.fits[0]) >= 1
        assert part.fits[0][0].sse >= whole.fits[0][0].sse
    assert threading.active_count() == threads_before


def test_an_interrupt_before_anything_was_found_is_passed_on(monkeypatch):
    space, _, _, columns, _ = make()
    problem = problem_of(columns["a"])

    def nothing(*arguments, **options):
        raise Stopped([Selection.empty()])

    compile_for(2)
    monkeypatch.setattr(search_module, "screen_decorrelated", nothing)
    with pytest.raises(KeyboardInterrupt):
        search(space, [problem], dim=2, n_sis=5)


def test_the_cost_of_a_search_counts_what_is_there():
    """No more features than the space has are screened; pairs need no Gram matrix, triples do."""
    space, _, _, columns, _ = make()
    problem = problem_of(columns["a"])
    m = space.n_features
    costs = {dim: search_cost(space, [problem], SearchSize(dim=dim, n_sis=10**6), threads=1) for dim in (1, 2, 3)}
    for dim, cost in costs.items():
        n_subsets = sum(comb(m, d) for d in range(1, dim + 1))
        assert cost.what.startswith(f"{m:.3g} features, screened ")
        assert cost.what.endswith(f" and {n_subsets:.3g} subsets")
    assert costs[1].n_bytes == costs[2].n_bytes == costs[3].n_bytes - 12 * m**2
    assert costs[1].seconds < costs[2].seconds < costs[3].seconds


@needs_compiled
def test_people_are_told_once_that_kernels_are_compiled(caplog):
    with caplog.at_level("INFO"), install_listener("numba:compile", search_module._Notice()):
        compiled = [numba.njit(lambda x: x + 1), numba.njit(lambda x: x + 2)]
        assert [kernel(1) for kernel in compiled] == [2, 3]
        compiled[0](2)
    (said,) = caplog.messages
    assert said.startswith("the compute kernels are compiled now")


@needs_compiled
def test_after_the_compile_check_a_search_compiles_nothing(monkeypatch):
    """Ctrl-C would have to wait for it: all that a search calls is compiled or loaded before it starts, once a process."""
    compile_for(4)
    every = [item for module in (_duplicates, _pairs, _scores, _subsets, _values) for item in vars(module).values()]
    dispatchers = [item for item in every if hasattr(item, "signatures")]
    before = {item: len(item.signatures) for item in dispatchers}
    assert len(before) > 30
    rng = np.random.default_rng(0)
    values = np.vstack([rng.uniform(1, 2, (3, 30)), rng.normal(0, 1, (1, 30))])
    settings = SpaceSettings(operators=tuple(OPERATORS), rung=2, max_complexity=3, max_abs=9.0)
    space = FeatureSpace(list("abcd"), ["eV", "eV", "", ""], values, settings)
    counts = np.bincount(rng.integers(0, 30, 30), minlength=30).astype(float)
    problems = [Problem(values[0] * values[3], w, np.ones(4, bool)) for w in (np.ones(30), counts, counts[::-1].copy())]
    for centre in (True, False):
        search(space, problems, dim=4, n_sis=6, n_residual=3, centre=centre, threads=2)
    assert {item: len(item.signatures) for item in dispatchers} == before

    def again(*arguments, **options):
        raise AssertionError("the kernels were checked before")

    monkeypatch.setattr(search_module, "screen", again)
    monkeypatch.setattr(search_module, "sparsify", again)
    compile_for(4)
