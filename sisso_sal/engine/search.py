"""The SISSO iteration for many problems at once: screen on the residuals, extend each subspace, L0, new residuals."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain

import numpy as np
from numba.core.event import Event, Listener, install_listener

from sisso_sal.engine.decorrelated import screen_decorrelated
from sisso_sal.engine.parameters import closed_to_fits, polished, with_parameters
from sisso_sal.engine.plan import SearchSize
from sisso_sal.engine.problem import SQUARES, FitObjective, Problem
from sisso_sal.engine.refit import Fit
from sisso_sal.engine.screen import Progress, ScreeningStep, Stopped, screen
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sparsify import BestSubsets, Ranks, ScoredSubsets, Subspace, sparsify, sparsify_all
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.system.executors import HERE, Workers
from sisso_sal.system.machine import one_blas_thread
from sisso_sal.system.machine import workers as threads_of

LARGER = 3
"""Subsets of so many features and more are walked by the same kernels."""

ROOM = 1 << 20
"""Values of subspaces in which a thread looks for the best subsets at a time."""

logger = logging.getLogger(__name__)


@dataclass
class SubspaceFits:
    """The subspace of one problem and the best fits in it.

    Attributes
    ----------
    subspace : Selection
        All screened features, dimension by dimension.
    fits : list of tuple of Fit
        For each dimension the best fits, best first; subset members are numbers in `subspace`.
    scored : list of ScoredSubsets
        For each dimension the best subsets by their scores, as many as were asked for.
    sizes : list of int
        Features that each dimension added.
    closed : list of int
        Features that are too like others of the subspace: no further fit has them. See `closed_to_fits`.
    n_subsets, n_singular : int
        Subsets looked at by L0, and those of them that were singular.
    is_complete : bool
        False if Ctrl-C came before all dimensions were done.
    """

    subspace: Selection
    fits: list[tuple[Fit, ...]] = field(default_factory=list)
    scored: list[ScoredSubsets] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    n_subsets: int = 0
    n_singular: int = 0
    is_complete: bool = True


def search(
    space: FeatureSpace,
    problems: Sequence[Problem],
    size: SearchSize,
    *,
    centre: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> tuple[list[SubspaceFits], Counter]:
    """Models of 1 to `size.dim` features for each problem.

    Parameters
    ----------
    space : FeatureSpace
    problems : sequence of Problem
        All of one task, or all of as many tasks.
    size : SearchSize
    centre : bool
        Whether there is an intercept.
    threads : int
        Number of threads; the result does not depend on it.
    progress : callable, optional
        Called with (features done, features in all) over all passes.
    workers : Workers
        See `screen`.

    Returns
    -------
    list of SubspaceFits
        One for each problem.
    Counter
        Features of the last rung rejected once their values were known, by cause.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C before there is any fit. Later the results hold the dimensions that were done, and of the first the best of the
        features that were looked at; they say that they are not complete.
    """
    compile_for(size.dim, with_tasks=problems[0].tasks is not None or size.objective != SQUARES)
    results = [SubspaceFits(Selection.empty()) for _ in problems]
    rejected: Counter = Counter()
    for d in range(1, size.dim + 1):
        steps = [_step(space, problem, result, size, centre) for problem, result in zip(problems, results, strict=True)]
        stage = _stage(progress, d - 1, size.dim)
        try:
            options = {"centre": centre, "threads": threads, "progress": stage, "is_census": d == 1}
            limits = size.sizes[d - 1], size.max_correlation
            chosen, causes = screen_decorrelated(space, steps, *limits, workers=workers, **options)
            rejected += causes
            chosen = with_parameters(space, steps, chosen, size.sizes[d - 1], centre=centre, most=size.max_correlation)
            _regress(space, problems, results, chosen, size, centre=centre, threads=threads)
        except KeyboardInterrupt as stop:
            if d == 1 and not (isinstance(stop, Stopped) and any(len(selection) for selection in stop.selections)):
                raise
            if isinstance(stop, Stopped) and d == 1:
                _regress(space, problems, results, stop.selections, size, centre=centre, threads=threads)
            for result in results:
                result.fits, result.scored = result.fits[: max(d - 1, 1)], result.scored[: max(d - 1, 1)]
                result.is_complete = False
            break
    return results, rejected


def _step(space: FeatureSpace, problem: Problem, result: SubspaceFits, size: SearchSize, centre: bool) -> ScreeningStep:
    """The residuals of the best fits so far; the target where there is none yet."""
    best = result.fits[-1][: size.n_residual] if result.fits else ()
    rows = np.array([fit.residual for fit in best]) if best else problem.target[None, :]
    return ScreeningStep(problem, problem.normalised(rows, centre), *result.subspace.by_origin(space))


def _stage(progress: Progress | None, stage: int, stages: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(stage * total + done, stages * total)


def _regress(space, problems, results, chosen, size: SearchSize, *, centre: bool, threads: int) -> None:
    """Add the chosen features to each subspace, and the best fits of one more dimension to each result."""
    with one_blas_thread(), threads_of(threads) as executor:
        few = len(problems) < threads  # then the threads share each walk, otherwise each takes whole problems
        subspaces = [Selection.joined([r.subspace, new]) for r, new in zip(results, chosen, strict=True)]
        keep = max(size.keep, size.n_residual)
        dim = len(results[0].fits) + 1
        regress = partial(_regress_some, space, dim=dim, keep=keep, size=size, centre=centre)
        open_ = [np.setdiff1d(np.arange(len(s)), r.closed) for s, r in zip(subspaces, results, strict=True)]
        tasks = [(one, s.take(numbers)) for one, s, numbers in zip(problems, subspaces, open_, strict=True)]
        try:
            if few:
                best = [regress([task], blocks=8 * threads, executor=executor)[0] for task in tasks]
            else:
                best = list(chain.from_iterable(executor.map(regress, _groups(tasks, space.n_samples, threads))))
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
    for number, (result, subspace, found) in enumerate(zip(results, subspaces, best, strict=True)):
        before, subsets = len(result.subspace), _renumbered(found, open_[number])
        result.fits.append(subsets.fits)
        result.scored.append(subsets.scored)
        result.n_subsets += subsets.n_subsets
        result.n_singular += subsets.n_singular
        with one_blas_thread():
            limits = {"centre": centre, "most": size.max_correlation}
            made = polished(
                space,
                problems[number],
                subspace,
                subsets.fits,
                size.n_residual,
                objective=size.objective,
                **limits,
            )
            result.subspace, result.fits[-1] = made.subspace, made.fits
            if size.max_correlation < 1.0:
                result.closed = closed_to_fits(space, problems[number], made, result.closed, **limits)
        result.sizes.append(len(result.subspace) - before)


def _renumbered(best: BestSubsets, numbers: np.ndarray) -> BestSubsets:
    """The same with the numbers that features have in a larger subspace."""
    fits = tuple(replace(fit, subset=tuple(numbers[list(fit.subset)].tolist())) for fit in best.fits)
    return replace(best, fits=fits, scored=best.scored._replace(subsets=numbers[best.scored.subsets]))


def _groups(tasks: Sequence[tuple[Problem, Selection]], n_samples: int, threads: int) -> Iterator[list]:
    """The tasks in groups of at most `ROOM` values, or of one task; so many groups that each thread has some."""
    n_values = n_samples * sum(len(subspace) for _, subspace in tasks)
    room = min(ROOM, n_values // (4 * threads)) if threads > 1 else ROOM
    group, held = [], 0
    for task in tasks:
        size = n_samples * len(task[1])
        if group and held + size > room:
            yield group
            group, held = [], 0
        group.append(task)
        held += size
    yield group


def _regress_some(
    space: FeatureSpace,
    tasks: Sequence[tuple[Problem, Selection]],
    *,
    dim: int,
    keep: int,
    size: SearchSize,
    centre: bool,
    blocks: int = 1,
    executor=None,
) -> list[BestSubsets]:
    """The best fits of `dim` features in the subspace of each problem."""
    every = Selection.joined([subspace for _, subspace in tasks])
    values, complexity = every.values(space), space.complexity(every.opcode, every.left, every.right).tolist()
    parts, start = [], 0
    for problem, subspace in tasks:
        stop = start + len(subspace)
        ranks = Ranks(complexity[start:stop].__getitem__, partial(_key, space, subspace))
        parts.append(Subspace(values[start:stop], problem, ranks))
        start = stop
    options = {"keep": keep, "n_scored": size.n_scored, "centre": centre, "blocks": blocks, "executor": executor}
    return sparsify_all(parts, dim, objective=size.objective, **options)


def _key(space: FeatureSpace, subspace: Selection, number: int) -> str:
    return space.key(*subspace.triple(number))


def compile_for(dim: int, with_tasks: bool = False) -> None:
    """Have the kernels compiled or loaded in this thread, once a process.

    Later a compilation would hold up Ctrl-C, and progress would stand still.
    """
    with install_listener("numba:compile", _Notice()):
        _compile_screening()
        for d in range(1, min(dim, LARGER) + 1):
            _compile_subsets(d)
        if with_tasks:
            _compile_tasks()


class _Notice(Listener):
    """Says before the first kernel that is not in numba's cache why nothing else happens for some seconds."""

    is_said = False

    def on_start(self, event: Event) -> None:
        if not self.is_said:
            logger.info("the compute kernels are compiled now, once after an installation; this takes 10 to 20 s")
            self.is_said = True

    def on_end(self, event: Event) -> None:
        """There is nothing to say of the end."""


@cache
def _compile_screening() -> None:
    x = np.array([[1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 4.0, 3.0]])
    settings = SpaceSettings(operators=("add", "abs_diff", "mult", "div"), rung=1, max_abs=2.5)
    space = FeatureSpace(["a", "b"], ["", ""], x, settings)
    problem = Problem(np.arange(4.0) ** 2, np.ones(4), np.ones(2, dtype=bool))
    residuals = problem.normalised(problem.target[None], True)
    first = np.zeros(1, np.int32)
    taken = Selection(np.zeros(1, np.int16), first, first, np.zeros(1))  # as in each dimension but the first
    screen(space, [ScreeningStep(problem, residuals, taken)], 2)


@cache
def _compile_tasks() -> None:
    x = np.array([[1.0, 2.0, 3.0, 5.0, 4.0, 1.0], [2.0, 1.0, 4.0, 3.0, 7.0, 6.0]])
    space = FeatureSpace(["a", "b"], ["", ""], x, SpaceSettings(operators=("add", "mult", "div"), rung=1))
    problem = Problem(x[0] ** 2, np.ones(6), np.ones(2, dtype=bool), np.array([0, 0, 0, 1, 1, 1]))
    screen(space, [ScreeningStep(problem, problem.normalised(problem.target[None], True))], 2)
    for dim in (1, 2):
        sparsify_all([Subspace(x, problem)], dim, objective=FitObjective(is_same_sign=True))


@cache
def _compile_subsets(dim: int) -> None:
    values = np.random.default_rng(0).normal(size=(dim + 2, dim + 4))
    sparsify(values, Problem(values[0] + values[-1], np.ones(dim + 4), np.ones(1, dtype=bool)), dim)
