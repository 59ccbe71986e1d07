"""Sure-independence screening: one pass over the space ranks its features for many problems.

The score of a feature is the largest over the residuals of the absolute weighted Pearson correlation (Fan and Lv, J. R. Stat. Soc.
B 70, 849 (2008); Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018)). Of several tasks it is the root of the share of the residual's
squares that the feature explains with coefficients of each task (Ouyang et al., J. Phys. Mater. 2, 024002 (2019); so in SISSO 3.5).
float32 matrix products choose which features of the last rung may matter, with a bound on their error; float64 on centred data
decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from threading import Lock

import numpy as np

from sisso_sal.engine import _scores
from sisso_sal.engine.admitted import admitted_pairs, forbidden_words
from sisso_sal.engine.copies import copies_of
from sisso_sal.engine.logarithms import in_logarithms
from sisso_sal.engine.parts import Sharing, look_through
from sisso_sal.engine.pool import Pool, chosen, scorings_of
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sweep import Job, PairSweep, evaluated_rows, run, shared_out
from sisso_sal.features.space import COPY, FeatureSpace
from sisso_sal.system.executors import HERE, Workers
from sisso_sal.system.machine import one_blas_thread, unordered
from sisso_sal.system.machine import workers as threads_of

BLOCK = 1024
"""Single features that a thread takes at a time."""

WORTH = 1.0
"""Seconds that the pairs of a pass must take here before it pays to have others look through them."""

Progress = Callable[[int, int], None]


class Stopped(KeyboardInterrupt):
    """Ctrl-C came during a pass.

    Attributes
    ----------
    selections : list of Selection
        The best features of each problem among those looked at.
    """

    def __init__(self, selections: list[Selection]):
        super().__init__()
        self.selections = selections


@dataclass(frozen=True, eq=False)
class ScreeningStep:
    """What one problem looks for in a pass.

    Attributes
    ----------
    problem : Problem
    residuals : ndarray (n_residuals, n_samples)
        Centred and of weighted norm 1 (`Problem.normalised`); without any the problem gets no features.
    taken : Selection
        Features that the problem has already; they and others of their direction and unit are not chosen again.
    added : Selection
        Features with parameters that it has already, which are none of the space's own.
    """

    problem: Problem
    residuals: np.ndarray
    taken: Selection = field(default_factory=Selection.empty)
    added: Selection = field(default_factory=Selection.empty)


class _Pass:
    """State that the threads of one pass share."""

    def __init__(
        self,
        space: FeatureSpace,
        problems: Sequence[Problem],
        pools: list[Pool],
        centre: bool,
        is_census: bool,
    ):
        self.space, self.pools, self.centre, self.is_census = space, pools, centre, is_census
        self.limits = _scores.Limits(space.settings.min_abs, space.settings.max_abs, False)
        self.forbidden = forbidden_words(space, [problem.allowed for problem in problems])
        self.scorings = scorings_of([pool.scoring for pool in pools])
        self.n_states = np.zeros(4, dtype=np.int64)
        self.allowed: list[np.ndarray] = []
        self.sweeps = self._sweeps(problems, is_census)
        self._lock = Lock()

    def _sweeps(self, problems: Sequence[Problem], is_census: bool) -> list[PairSweep]:
        """One for each task of each problem with targets. One with all pairs and equal weights counts states, or one of its own."""
        values, copies, out = self.space.values, copies_of(self.space), []
        admitted = admitted_pairs(self.space, [problem.allowed for problem in problems])
        for problem, pool, pairs in zip(problems, self.pools, admitted, strict=True):
            if not len(pool.targets):
                continue
            counts = is_census and problem.n_tasks == 1 and problem.is_uniform() and bool(problem.allowed.all())
            is_census = is_census and not counts
            for task in range(problem.n_tasks):
                out.append(PairSweep(values, copies, pool.scoring, self.limits, counts, tuple(pairs), pool, task))
                self.allowed.append(problem.allowed)
        if is_census:
            n = self.space.n_samples
            nothing = _scores.Scoring(np.full(n, 1.0 / n), np.empty((0, n)), self.centre, np.empty(0))
            out.append(PairSweep(values, copies, nothing, self.limits, True, tuple(self.space.pairs)))
            self.allowed.append(np.ones(len(self.space.names), dtype=bool))
        return out

    @property
    def n_features(self) -> int:
        """Features to be looked at, counted once for each task of each problem."""
        singles = self.space.n_features - sum(pairs.n_features for pairs in self.space.pairs)
        return singles + sum(sweep.n_features for sweep in self.sweeps)

    # Work: each piece returns how many features it looked at -----------------------------------------------------------

    def on_pairs(self, executor: Executor, threads: int, workers: Workers) -> Iterator[int]:
        """The pairs, by the threads of this process, or by workers where that pays."""
        seconds = sum(sweep.n_features * sweep.seconds_each for sweep in self.sweeps)
        if workers.is_here or seconds < threads * WORTH:
            yield from unordered(executor, self.pieces(threads), 4 * threads)
            return
        sharing = Sharing(self.space, self.sweeps, self.allowed, self.pools[0].size, self.centre, workers)
        with closing(workers.unordered(look_through, sharing.parts())) as answers:
            for _, answer in answers:
                n_features, states = sharing.merge(answer)
                self.count(states)
                yield n_features

    def pieces(self, threads: int) -> Iterator[Callable[[], int]]:
        """The pairs in pieces, operators by operators."""
        groups = (
            list(zip(self.sweeps, group, strict=True)) for group in zip(*(s.pairs for s in self.sweeps), strict=True)
        )
        for batch in shared_out(groups, threads):
            yield partial(self._counted, batch)

    def _counted(self, batch: list[Job]) -> int:
        n_features, states = run(batch)
        self.count(states)
        return n_features

    def singles(self) -> Iterator[Callable[[], int]]:
        """The stored features and, apart from them, those of unary operators, in pieces."""
        blocks = list(self.space.singles(BLOCK))
        opcodes = np.repeat(
            np.array([block.opcode for block in blocks], np.int16), [len(block.left) for block in blocks]
        )
        numbers = np.concatenate([block.left for block in blocks])
        n_stored = len(self.space.values)
        starts = [*range(0, n_stored, BLOCK), *range(n_stored, len(numbers), BLOCK), len(numbers)]
        for start, stop in pairwise(starts):
            yield partial(self._scan_singles, opcodes[start:stop], numbers[start:stop])

    def _scan_singles(self, opcodes: np.ndarray, numbers: np.ndarray) -> int:
        """Either stored features alone, or none of them."""
        limits, is_stored = self.limits, opcodes[0] == COPY
        if is_stored:  # they are within bounds, and without intercept a constant primary may be of use
            limits = limits._replace(min_abs=0.0, max_abs=np.inf, constants=not self.centre)
        thresholds = np.array([pool.threshold for pool in self.pools])
        states, masks = np.zeros(4, dtype=np.int64), self.space.masks
        for part, rows in evaluated_rows(opcodes, numbers, numbers, self.space.values):
            own = numbers[part]
            most = len(rows) * len(thresholds)
            pairs, scores = np.empty((most, 2), dtype=np.int64), np.empty(most)
            bars = self.forbidden, thresholds
            count = _scores.score_all(rows, masks[own], self.scorings, bars, limits, states, pairs, scores)
            self.hand_out(opcodes[part], own, own, pairs[:count], scores[:count])
        if self.is_census and not is_stored:  # stored features were counted when their rung was made
            self.count(states)
        return len(numbers)

    def hand_out(
        self, opcodes: np.ndarray, left: np.ndarray, right: np.ndarray, pairs: np.ndarray, scores: np.ndarray
    ) -> None:
        """Give the features to the pools of their problems; pairs (m, 2): number of the feature here and of the problem."""
        order = np.argsort(pairs[:, 1], kind="stable")
        features, problems = pairs[order].T
        every = Selection(opcodes[features], left[features], right[features], scores[order])
        for pool, own in zip(self.pools, every.split(problems, len(self.pools)), strict=True):
            if len(own):
                pool.add(own)

    def count(self, states: np.ndarray) -> None:
        with self._lock:
            self.n_states += states


def screen(
    space: FeatureSpace,
    steps: Sequence[ScreeningStep],
    n_sis: int,
    *,
    centre: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
    is_census: bool = True,
    workers: Workers = HERE,
) -> tuple[list[Selection], Counter]:
    """The `n_sis` best features of the space for each problem.

    Parameters
    ----------
    space : FeatureSpace
    steps : sequence of ScreeningStep
        One for each problem.
    n_sis : int
        Number of features for each problem.
    centre : bool
        False for fits without intercept: the score is then the cosine, not the correlation.
    threads : int
        Number of threads; the result does not depend on it.
    progress : callable, optional
        Called with (features done, features in all).
    is_census : bool
        Whether to count the rejected features; that need be done once for a space.
    workers : Workers
        Other processes that look through the pairs, where that pays; the result does not depend on them.

    Returns
    -------
    list of Selection
        For each problem, best first: higher score, then lower complexity, then canonical key. Features that have the values of
        a better one and another unit come last, if there are not enough others. Fewer than `n_sis` only if the space has no
        more.
    Counter
        Features rejected in the last rung once their values were known, by cause.

    Raises
    ------
    Stopped
        On Ctrl-C, with the best so far.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> x = np.array([[1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 4.0, 3.0]])
    >>> space = FeatureSpace(["a", "b"], ["", ""], x, SpaceSettings(operators=("mult",), rung=1))
    >>> problem = Problem(3 * x[0] * x[1] + 1, np.ones(4), np.ones(2, bool))
    >>> step = ScreeningStep(problem, problem.normalised(problem.target[None], True))
    >>> (best,), _ = screen(space, [step], 1)
    >>> str(space.expression(best.opcode[0], best.left[0], best.right[0])), round(float(best.score[0]), 6)
    ('a*b', 1.0)
    """
    if not any(len(step.residuals) for step in steps):
        return [Selection.empty() for _ in steps], Counter()
    pools = [
        Pool(space, step.problem.shares, step.residuals, n_sis, centre, step.taken, step.problem.tasks)
        for step in steps
    ]
    state = _Pass(space, [step.problem for step in steps], pools, centre, is_census)
    total, done = state.n_features, 0
    with one_blas_thread(), threads_of(threads) as executor:
        try:
            # The scores of the singles are the first thresholds of the pairs.
            on_singles = unordered(executor, state.singles(), 4 * threads)
            parts = chain(on_singles, state.on_pairs(executor, threads, workers))
            if space.settings.logarithms:
                parts = unordered(executor, in_logarithms(state), 4 * threads)
            for looked_at in parts:
                done += looked_at
                if progress:
                    progress(space.n_features * done // total, space.n_features)
        except KeyboardInterrupt:
            executor.shutdown(cancel_futures=True)
            raise Stopped(chosen(pools)) from None
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    _, not_finite, out_of_bounds, constant = state.n_states.tolist()
    return chosen(pools), Counter(domain=not_finite, bounds=out_of_bounds, constant=constant)
