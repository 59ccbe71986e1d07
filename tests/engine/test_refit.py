"""Fits of the subsets of many problems have the bits of each fit by itself."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import needs_compiled

from sisso_sal.engine import refit as module
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.refit import Subsets, refit, refit_all
from sisso_sal.engine.sparsify import NUMBERS, Ranks, Subspace, sparsify, sparsify_all


def make_tasks(rng: np.random.Generator, n_features=(30, 30, 9, 30), n: int = 25) -> list[Subspace]:
    """Bootstrap samples of one target, each with features of its own, two of them of one direction and one constant."""
    target, tasks = rng.normal(size=n), []
    for m in n_features:
        values = rng.normal(size=(m, n)) + rng.normal(0, 3, (m, 1))
        values[3], values[5] = 2 * values[4], 1.0
        counts = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
        tasks.append(Subspace(values, Problem(target, counts, np.ones(1, bool))))
    return tasks


def same(fits, others) -> None:
    assert [fit and fit.subset for fit in fits] == [fit and fit.subset for fit in others]
    for fit, other in zip(fits, others, strict=True):
        if fit is not None:
            assert (fit.intercept, fit.sse) == (other.intercept, other.sse)
            np.testing.assert_array_equal(fit.coefficients, other.coefficients)
            np.testing.assert_array_equal(fit.residual, other.residual)


@pytest.mark.parametrize("chunk", [1, 7, 256])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_fits_do_not_depend_on_what_is_fitted_beside_them(dim, centre, chunk, monkeypatch):
    rng = np.random.default_rng(dim)
    parts = []
    for task in make_tasks(rng):
        m = len(task.values)
        subsets = [np.sort(rng.choice(m, dim, replace=False)) for _ in range(rng.integers(0, 12))]
        subsets += [np.sort([3, 4, 0, 1][:dim])] * (m < 30)
        parts.append(Subsets(task.values, task.problem, np.array(subsets, dtype=np.int64).reshape(-1, dim)))
    expected = [[refit(part.values, part.problem, subset, centre) for subset in part.subsets] for part in parts]
    monkeypatch.setattr(module, "CHUNK", chunk)
    for fits, others in zip(refit_all(parts, centre), expected, strict=True):
        same(fits, others)
    assert dim == 1 or expected[2][-1] is None


@pytest.mark.parametrize("keep", [1, 5, 40])
@pytest.mark.parametrize("dim", [1, *(pytest.param(dim, marks=needs_compiled) for dim in (2, 3))])
def test_best_subsets_of_many_tasks_are_those_of_each(dim, keep):
    """Also where one has fewer features than a subset needs, or none, and where equally good ones need a longer walk."""
    rng = np.random.default_rng(10 * dim + keep)
    tasks = make_tasks(rng)
    equal = np.repeat(tasks[0].values[:3], 40, axis=0)
    tasks += [
        tasks[0]._replace(values=tasks[0].values[:dim]),
        tasks[0]._replace(values=np.empty((0, 25))),
        tasks[1]._replace(values=equal, ranks=Ranks(lambda number: -number, NUMBERS.key)),
    ]
    found = sparsify_all(tasks, dim, keep=keep)
    for best, task in zip(found, tasks, strict=True):
        alone = sparsify(task.values, task.problem, dim, keep=keep, ranks=task.ranks)
        assert (best.n_subsets, best.n_singular) == (alone.n_subsets, alone.n_singular)
        same(best.fits, alone.fits)
    assert len(found[0].fits) == min(keep, 29 if dim == 1 else keep)
    assert found[5].fits == ()
