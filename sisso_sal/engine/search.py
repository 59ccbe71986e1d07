"""The SISSO iteration for many problems at once: screen on the residuals, extend each subspace, L0, new residuals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import Progress, Selection, Stopped, compile_kernels, screen
from sisso_sal.engine.sparsify import Fit, sparsify
from sisso_sal.features.space import Space
from sisso_sal.system.machine import one_blas_thread, workers


@dataclass
class Outcome:
    """What the search found for one problem.

    Attributes
    ----------
    subspace : Selection
        All screened features, dimension by dimension.
    fits : list of tuple of Fit
        For each dimension the best fits, best first; subset members are numbers in `subspace`.
    n_subsets, n_singular : int
        Subsets looked at by L0, and those of them that were singular.
    is_complete : bool
        False if Ctrl-C came before all dimensions were done.
    """

    subspace: Selection
    fits: list[tuple[Fit, ...]] = field(default_factory=list)
    n_subsets: int = 0
    n_singular: int = 0
    is_complete: bool = True


def search(
    space: Space,
    problems: Sequence[Problem],
    *,
    dim: int,
    n_sis: int,
    n_residual: int = 1,
    keep: int = 10,
    centre: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[list[Outcome], Counter]:
    """Models of 1 to `dim` features for each problem.

    Parameters
    ----------
    space : Space
    problems : sequence of Problem
    dim : int
        Largest number of terms.
    n_sis : int
        Features added to each subspace per dimension.
    n_residual : int
        Number of best models of a dimension whose residuals the next screening sees (Purcell et al., npj Comput. Mater. 9, 112
        (2023)).
    keep : int
        Fits kept for each dimension.
    centre : bool
        Whether there is an intercept.
    threads : int
        Number of threads; the result does not depend on it.
    progress : callable, optional
        Called with (features done, features in all) over all passes.

    Returns
    -------
    list of Outcome
        One for each problem.
    Counter
        Features of the last rung rejected once their values were known, by cause.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C before there is any fit. Later the outcomes hold the dimensions that were done, and of the first the best of the
        features that were looked at; they say that they are not complete.
    """
    _compile(dim)
    outcomes = [Outcome(Selection.empty()) for _ in problems]
    rejected: Counter = Counter()
    for d in range(1, dim + 1):
        residuals = [
            problem.normalised(np.array([fit.residual for fit in outcome.fits[-1][:n_residual]]), centre)
            if d > 1 and outcome.fits[-1]
            else problem.normalised(problem.target[None, :], centre)
            for problem, outcome in zip(problems, outcomes, strict=True)
        ]
        try:
            found, causes = screen(
                space, problems, residuals, n_sis, taken=[o.subspace for o in outcomes], centre=centre, threads=threads,
                progress=_stage(progress, d - 1, dim), is_census=d == 1,
            )  # fmt: skip
            rejected += causes
            _regress(space, problems, outcomes, found, d, max(keep, n_residual), centre, threads)
        except KeyboardInterrupt as stop:
            if d == 1 and not (isinstance(stop, Stopped) and any(len(selection) for selection in stop.selections)):
                raise
            if isinstance(stop, Stopped) and d == 1:
                _regress(space, problems, outcomes, stop.selections, d, max(keep, n_residual), centre, threads)
            for outcome in outcomes:
                outcome.fits = outcome.fits[: max(d - 1, 1)]
                outcome.is_complete = False
            break
    return outcomes, rejected


def _compile(dim: int) -> None:
    """Have the kernels compiled or loaded now: later, Ctrl-C would have to wait for it, and progress would stand still."""
    compile_kernels()
    values = np.random.default_rng(0).normal(size=(dim + 2, dim + 4))
    problem = Problem(values[0] + values[-1], np.ones(dim + 4), np.ones(1, dtype=bool))
    for d in range(1, dim + 1):
        sparsify(values, problem, d)


def _stage(progress: Progress | None, stage: int, stages: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(stage * total + done, stages * total)


def _regress(space, problems, outcomes, found, d, keep, centre, threads) -> None:
    with one_blas_thread(), workers(threads) as executor:
        few = len(problems) < threads  # then the threads share each walk, otherwise each takes whole problems
        subspaces = [Selection.joined([o.subspace, new]) for o, new in zip(outcomes, found, strict=True)]
        jobs = [
            (space, problem, subspace, d, keep, centre, 8 * threads if few else 1)
            for problem, subspace in zip(problems, subspaces, strict=True)
        ]
        try:
            results = [_regress_one(job, executor) for job in jobs] if few else list(executor.map(_regress_one, jobs))
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
    for outcome, subspace, result in zip(outcomes, subspaces, results, strict=True):
        outcome.subspace = subspace
        outcome.fits.append(result.fits)
        outcome.n_subsets += result.n_subsets
        outcome.n_singular += result.n_singular


def _regress_one(job, executor=None):
    space, problem, subspace, d, keep, centre, blocks = job
    triples = list(zip(subspace.opcode.tolist(), subspace.left.tolist(), subspace.right.tolist(), strict=True))
    complexity = space.complexity(subspace.opcode, subspace.left, subspace.right).tolist()
    ranks = list(zip(complexity, (space.key(*triple) for triple in triples), strict=True))
    return sparsify(
        subspace.values(space), problem, d, keep=keep, centre=centre, ranks=ranks, blocks=blocks, executor=executor
    )
