"""The SISSO iteration for classes: screen all features, extend each subspace, look for the best subsets, screen on what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Protocol

import numpy as np

from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.screen import Progress
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sparsify import Ranks
from sisso_sal.features.space import FeatureSpace
from sisso_sal.system.machine import one_blas_thread
from sisso_sal.system.machine import workers as threads_of


class ClassFit(Protocol):
    """How well a subset of features tells the classes."""

    @property
    def subset(self) -> tuple[int, ...]:
        """Numbers of the features, ascending."""
        ...

    @property
    def is_perfect(self) -> bool:
        """Whether nothing is left that another feature could do."""
        ...


@dataclass
class SubspaceClassFits:
    """The subspace of one problem and the best subsets of it.

    Attributes
    ----------
    problem : ClassProblem
    subspace : Selection
        All screened features, dimension by dimension.
    fits : list of list of ClassFit
        For each dimension the best, best first; subset members are numbers in `subspace`. There are no more dimensions once a fit
        is perfect.
    sizes : list of int
        Features that each dimension added.
    """

    problem: ClassProblem
    subspace: Selection = field(default_factory=Selection.empty)
    fits: list[list[Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return bool(self.fits) and (not self.fits[-1] or self.fits[-1][0].is_perfect)


class ClassCriterion(Protocol):
    """What makes descriptors good."""

    def screened(
        self,
        space: FeatureSpace,
        results: Sequence[SubspaceClassFits],
        n_sis: int,
        *,
        threads: int,
        progress: Progress | None,
    ) -> tuple[list[Selection], Counter]:
        """The `n_sis` best features for each problem after what it has, and features rejected, by cause."""
        ...

    def best(
        self, values: np.ndarray, problem: ClassProblem, dim: int, keep: int, ranks: Ranks, parents: Sequence[Any]
    ) -> Sequence[ClassFit]:
        """The best `keep` subsets of `dim` of the features with the values (m, n_samples); parents: those of one feature less."""
        ...


def search_classes(
    space: FeatureSpace,
    problems: Sequence[ClassProblem],
    criterion: ClassCriterion,
    n_sis: Sequence[int],
    *,
    keep: int = 10,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[list[SubspaceClassFits], Counter]:
    """Descriptors of 1 to ``len(n_sis)`` features for each problem.

    Parameters
    ----------
    space : FeatureSpace
    problems : sequence of ClassProblem
        With the same labels.
    criterion : ClassCriterion
    n_sis : sequence of int
        Features added to each subspace in each dimension.
    keep : int
        Subsets kept for each dimension.
    threads : int
        The result does not depend on it.
    progress : callable, optional
        Called with (features done, features in all) over all passes.

    Returns
    -------
    list of SubspaceClassFits
        One for each problem.
    Counter
        Features of the last rung rejected once their values were known, by cause.
    """
    results = [SubspaceClassFits(problem) for problem in problems]
    rejected: Counter = Counter()
    for d, number in enumerate(n_sis, start=1):
        open_ = [result for result in results if not result.is_done]
        if not open_:
            break
        stage = _stage(progress, d - 1, len(n_sis))
        selections, causes = criterion.screened(space, open_, number, threads=threads, progress=stage)
        if d == 1:
            rejected += causes
        for result, new in zip(open_, selections, strict=True):
            result.subspace = Selection.joined([result.subspace, new])
            result.sizes.append(len(new))
        look = partial(_best, space, criterion, dim=d, keep=keep)
        with one_blas_thread(), threads_of(threads) as executor:
            for result, fits in zip(open_, list(executor.map(look, open_)), strict=True):
                result.fits.append(list(fits))
    return results, rejected


def _best(
    space: FeatureSpace, criterion: ClassCriterion, result: SubspaceClassFits, *, dim: int, keep: int
) -> Sequence[ClassFit]:
    subspace = result.subspace
    if len(subspace) < dim:
        return []
    complexity = space.complexity(subspace.opcode, subspace.left, subspace.right).tolist()
    ranks = Ranks(complexity.__getitem__, cache(partial(_key, space, subspace)))
    parents = result.fits[-1] if result.fits else ()
    return criterion.best(subspace.values(space), result.problem, dim, keep, ranks, parents)


def first_subsets(
    members: np.ndarray, first: np.ndarray, second: np.ndarray, keep: int, ranks: Ranks
) -> list[tuple[int, tuple[int, ...]]]:
    """The best `keep` of some subsets: smallest `first`, then `second` to ten decimals, then complexity, then keys.

    Parameters
    ----------
    members : ndarray (n, dim) of int
    first, second : ndarray (n,)
    keep : int
    ranks : Ranks

    Returns
    -------
    list of (int, tuple of int)
        Their numbers and members.

    Examples
    --------
    >>> ranks = Ranks([3, 1].__getitem__, str)
    >>> first_subsets(np.array([[0], [1]]), np.zeros(2), np.zeros(2), 1, ranks)
    [(1, (1,))]
    """
    if not len(members):
        return []
    complexity = np.array([ranks.complexity(number) for number in range(members.max() + 1)])
    columns = np.array([first, np.round(second, 10), complexity[members].sum(axis=1)])
    order = np.lexsort(columns[::-1])
    if len(order) > keep:
        is_tied = (columns[:, order] == columns[:, order[keep - 1], None]).all(axis=0)
        order = order[(np.arange(len(order)) < keep) | is_tied]
    subsets = {int(t): tuple(members[t].tolist()) for t in order}

    def rank(t: int) -> tuple:
        return *columns[:, t].tolist(), sorted(map(ranks.key, subsets[t]))

    return [(t, subsets[t]) for t in sorted(subsets, key=rank)[:keep]]


def _key(space: FeatureSpace, subspace: Selection, number: int) -> str:
    return space.key(*subspace.triple(number))


def _stage(progress: Progress | None, stage: int, stages: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(stage * total + done, stages * total)
