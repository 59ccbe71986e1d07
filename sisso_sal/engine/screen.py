"""Sure-independence screening: one pass over the space ranks its features for many problems.

The score of a feature is the largest over the residuals of the absolute weighted Pearson correlation (Fan and Lv, J. R. Stat. Soc.
B 70, 849 (2008); Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018)). float32 products choose which pairs of feature and problem may
matter, with a bound on their error; float64 on centred data decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from sisso_sal.engine import _kernels as kernels
from sisso_sal.engine.problem import Problem
from sisso_sal.features.space import Block, Space

SAME_DIRECTION = 1e-8
"""Two features are duplicates for a problem if their weighted, centred unit vectors differ by less than this."""

GATE = 1e-7
"""Duplicates have scores closer than this."""

DIGITS = 10
"""Scores are equal when they agree to this many decimals."""

BLOCK = 4096
"""Features that a thread takes at a time."""

ROWS = 192
"""Features whose float32 values are held at a time: they stay in the second-level cache."""

DIRECT = 6
"""Up to so many right-hand sides float64 sums are faster than float32 matrix products."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Selection:
    """Features of one problem, best first: parallel arrays of triples and scores.

    Attributes
    ----------
    opcode, left, right : ndarray (k,) of integers
        See `Space.expression`.
    score : ndarray (k,)
        Largest absolute weighted correlation with a residual, float64.
    """

    opcode: np.ndarray
    left: np.ndarray
    right: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.opcode)

    def take(self, index: np.ndarray) -> Selection:
        return Selection(self.opcode[index], self.left[index], self.right[index], self.score[index])

    @staticmethod
    def joined(parts: Sequence[Selection]) -> Selection:
        names = ("opcode", "left", "right", "score")
        return Selection(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @staticmethod
    def empty() -> Selection:
        return Selection(np.empty(0, np.int16), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))

    def values(self, space: Space) -> np.ndarray:
        """ndarray (k, n_samples): values of the features."""
        out = np.empty((len(self), space.n_samples))
        kernels.evaluate_many(self.opcode, self.left, self.right, space.values, out)
        return out


@dataclass
class _Pool:
    """The best features of one problem so far, without duplicates after each `compact`."""

    space: Space
    weights: np.ndarray
    targets: np.ndarray
    size: int
    centre: bool
    taken: Selection
    threshold: float = -1.0
    kept: Selection = field(default_factory=Selection.empty)
    _fresh: list[Selection] = field(default_factory=list)
    _held: int = 0

    def __post_init__(self) -> None:
        if len(self.taken):
            rows = self.taken.values(self.space)
            scores = [kernels.exact_score(row, self.weights, self.targets, self.centre) for row in rows]
            self.taken = Selection(self.taken.opcode, self.taken.left, self.taken.right, np.array(scores))

    def add(self, found: Selection) -> None:
        self._fresh.append(found)
        self._held += len(found)
        if self._held > 3 * self.size + 64:
            self.compact()

    def compact(self) -> None:
        """Remove duplicates and whatever is below the k-th best; raise the threshold."""
        n_taken = len(self.taken)
        every = Selection.joined([self.taken, self.kept, *self._fresh])
        self._fresh, self._held = [], 0
        order = np.argsort(-every.score, kind="stable")
        every, is_taken = every.take(order), order < n_taken
        if not len(every):
            return
        rows = every.values(self.space)
        kernels.unit_vectors(rows, self.weights, self.centre, rows)
        labels = kernels.cluster(rows, every.score, GATE, SAME_DIRECTION)
        winners = self._winners(every, labels, is_taken)
        self.kept = self._ranked(every.take(winners))
        if len(self.kept) == self.size:
            self.threshold = round(float(self.kept.score[-1]), DIGITS) - 2 * 10.0**-DIGITS

    def _winners(self, every: Selection, labels: np.ndarray, is_taken: np.ndarray) -> np.ndarray:
        """Of each cluster without a taken feature, the least complex, then the first key."""
        complexity = self.space.complexity(every.opcode, every.left, every.right)
        order = np.lexsort((complexity, labels))
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        least = complexity[order][starts]
        tied = np.add.reduceat(complexity[order] == np.repeat(least, np.diff(starts, append=len(order))), starts)
        winners = order[starts]
        for group in np.flatnonzero(tied > 1):
            rivals = order[starts[group] : starts[group] + tied[group]]
            winners[group] = min(rivals.tolist(), key=lambda t: self._key(every, int(t)))
        return winners[~np.isin(labels[winners], labels[is_taken])]

    def _ranked(self, unique: Selection) -> Selection:
        """The best `size`: higher score, then lower complexity, then canonical key."""
        score = np.round(unique.score, DIGITS)
        complexity = self.space.complexity(unique.opcode, unique.left, unique.right)
        order = np.lexsort((complexity, -score))
        tied = np.flatnonzero((np.diff(score[order]) == 0) & (np.diff(complexity[order]) == 0))
        if len(tied):
            keys = [self._key(unique, t) if (score == score[t]).sum() > 1 else "" for t in range(len(unique))]
            order = np.array(sorted(range(len(unique)), key=lambda t: (-score[t], complexity[t], keys[t])))
        return unique.take(order[: self.size])

    def _key(self, selection: Selection, t: int) -> str:
        triple = int(selection.opcode[t]), int(selection.left[t]), int(selection.right[t])
        return self.space.key(*triple)


def _columns(problems: Sequence[Problem], residuals: Sequence[np.ndarray], n_primary: int) -> kernels.Columns:
    """Right-hand sides as float64 rows."""
    weights, targets, weight_of, first = [], [], [], [0]
    n_words = (n_primary + 63) // 64
    forbidden = np.zeros((len(problems), n_words), dtype=np.uint64)
    for p, (problem, rows) in enumerate(zip(problems, residuals, strict=True)):
        weight_of.append(-1 if problem.is_uniform() else len(weights))
        if weight_of[-1] >= 0:
            weights.append(problem.shares)
        targets += [problem.shares * row for row in rows]
        first.append(len(targets))
        for i in np.flatnonzero(~problem.allowed):
            forbidden[p, i // 64] |= np.uint64(1) << np.uint64(i % 64)
    n = len(problems[0].target)
    left, right = (np.reshape(rows, (len(rows), n)).astype(np.float64) for rows in (weights, targets))
    return kernels.Columns(left, right, np.array(weight_of, np.int64), np.array(first, np.int64), forbidden)


class _Pass:
    """State that the threads of one pass share."""

    def __init__(self, space: Space, problems: Sequence[Problem], residuals: Sequence[np.ndarray], centre: bool):
        self.space = space
        columns = _columns(problems, residuals, len(space.names))
        self.is_direct = 2 * len(columns.weights) + len(columns.targets) <= DIRECT
        if not self.is_direct:
            left, right = (np.ascontiguousarray(rows.T, dtype=np.float32) for rows in columns[:2])
            columns = columns._replace(weights=left, targets=right)
        self.columns = columns
        error = (space.n_samples + 8) * (2.0**-53 if self.is_direct else 2.0**-24)
        self.limits = kernels.Limits(space.settings.min_abs, space.settings.max_abs, False, centre, error)
        with np.errstate(divide="ignore", over="ignore"):
            self.stored = kernels.Stored(space.values, 1.0 / space.values, space.masks)
        targets = np.ascontiguousarray(np.concatenate(residuals))
        shares = np.array([problem.shares for problem in problems])
        self.exact = kernels.Exact(shares, targets, self.columns.first_target)
        self.thresholds = np.array([-1.0 if len(rows) else np.inf for rows in residuals])

    def scan(self, block: Block) -> tuple[Block, np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of features by state, and pairs (feature, problem) with their exact scores."""
        features = kernels.Features(block.opcode, block.left, block.right)
        limits = self.limits
        if not block.opcode:  # primaries: without an intercept a constant column may be of use
            limits = limits._replace(min_abs=0.0, max_abs=np.inf, constants=not limits.centre)
        arguments = (features, self.stored, self.columns, self.exact, self.thresholds, limits)
        states, pairs, scores = kernels.scan_directly(*arguments) if self.is_direct else kernels.scan(*arguments, ROWS)
        return block, states, pairs, scores


def screen(
    space: Space,
    problems: Sequence[Problem],
    residuals: Sequence[np.ndarray],
    n_sis: int,
    *,
    taken: Sequence[Selection] | None = None,
    centre: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[list[Selection], Counter]:
    """The `n_sis` best features of the space for each problem.

    Parameters
    ----------
    space : Space
    problems : sequence of Problem
    residuals : sequence of ndarray (n_residuals, n_samples)
        One or several residuals for each problem, centred and of weighted norm 1 (`Problem.normalised`); a problem without any
        gets no features.
    n_sis : int
        Number of features for each problem.
    taken : sequence of Selection, optional
        Features that a problem has already; they and their duplicates are not chosen again.
    centre : bool
        False for fits without intercept: the score is then the cosine, not the correlation.
    threads : int
        Number of threads; the result does not depend on it.
    progress : callable, optional
        Called with (features done, features in all).

    Returns
    -------
    list of Selection
        For each problem, best first: higher score, then lower complexity, then canonical key. Fewer than `n_sis` only if the space
        has no more.
    Counter
        Features rejected in the last rung once their values were known, by cause.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> x = np.array([[1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 4.0, 3.0]])
    >>> space = Space(["a", "b"], ["", ""], x, SpaceSettings(operators=("mult",), rung=1))
    >>> problem = Problem(3 * x[0] * x[1] + 1, np.ones(4), np.ones(2, bool))
    >>> (best,), _ = screen(space, [problem], [problem.normalised(problem.target[None], True)], 1)
    >>> str(space.expression(best.opcode[0], best.left[0], best.right[0])), round(float(best.score[0]), 6)
    ('a*b', 1.0)
    """
    state = _Pass(space, problems, residuals, centre)
    taken = taken or [Selection.empty()] * len(problems)
    pools = [_Pool(space, state.exact.weights[p], residuals[p], n_sis, centre, taken[p]) for p in range(len(problems))]
    n_states, done = np.zeros(4, dtype=np.int64), 0
    if not any(len(rows) for rows in residuals):
        return [Selection.empty() for _ in problems], Counter()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as executor:
        try:
            for block, states, pairs, scores in _unordered(executor, state.scan, space.blocks(BLOCK), 4 * threads):
                _merge(block, pairs, scores, pools, state.thresholds)
                if block.opcode:  # stored features were counted when their rung was made
                    n_states += states
                done += len(block.left)
                if progress:
                    progress(done, space.n_features)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    for pool in pools:
        pool.compact()
    rejected = Counter(domain=int(n_states[1]), bounds=int(n_states[2]), constant=int(n_states[3]))
    return [pool.kept for pool in pools], rejected


def _unordered(executor: ThreadPoolExecutor, function, items, ahead: int):
    """Results of function(item) as they come, with at most `ahead` items under way."""
    waiting: set[Future] = set()
    for item in items:
        waiting.add(executor.submit(function, item))
        if len(waiting) >= ahead:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    while waiting:
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in finished)


def _merge(block: Block, pairs: np.ndarray, scores: np.ndarray, pools: list[_Pool], thresholds: np.ndarray) -> None:
    if not len(pairs):
        return
    order = np.argsort(pairs[:, 1], kind="stable")
    owner = pairs[order, 1]
    for part in np.split(order, np.flatnonzero(np.diff(owner)) + 1):
        p, t = int(pairs[part[0], 1]), pairs[part, 0]
        opcode = np.full(len(t), block.opcode, dtype=np.int16)
        pools[p].add(Selection(opcode, block.left[t], block.right[t], scores[part]))
        thresholds[p] = max(thresholds[p], pools[p].threshold)
