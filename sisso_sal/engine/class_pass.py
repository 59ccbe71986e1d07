"""A pass over all features for problems of classes: compiled kernels score each feature from its exact values."""

from __future__ import annotations

from collections import Counter, namedtuple
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from threading import Lock
from typing import Any

import numpy as np

from sisso_sal.engine import _overlap
from sisso_sal.engine.admitted import admitted_pairs, forbidden_words
from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.pool import Pool, chosen
from sisso_sal.engine.screen import BLOCK, Progress
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sweep import evaluated_rows
from sisso_sal.errors import SettingsError
from sisso_sal.features.pairs import Block, Pairs
from sisso_sal.features.space import COPY, FeatureSpace
from sisso_sal.system.machine import one_blas_thread, unordered
from sisso_sal.system.machine import workers as threads_of

PAIR_OPCODES = frozenset(range(1, 6))
"""Operators of two operands that the kernels know."""

QUOTA = 2048
"""Features found with which a kernel stops, so that they raise the thresholds for those that follow."""

PIECE = 1 << 16
"""Pairs that a thread takes at a time: a pass can be stopped between two pieces."""

Staircase = namedtuple("Staircase", "opcodes is_row_left rows columns first stop")
"""As `Pairs`, with an array of opcodes."""

Bars = namedtuple("Bars", "forbidden thresholds")
"""forbidden (n_problems, n_words): bits of the primaries that a problem may not use; thresholds (n_problems,): the score that a
feature must reach.
"""

FoundOfClasses = namedtuple("FoundOfClasses", "features problems scores at quota")
"""What a kernel finds: features (3, capacity), triples (opcode, left, right); problems and scores (capacity,); at (2,): row and
column where the next call goes on; quota: number with which a call ends.
"""


def _found(quota: int) -> FoundOfClasses:
    return FoundOfClasses(
        np.empty((3, quota), np.int64), np.empty(quota, np.int64), np.empty(quota), np.zeros(2, np.int64), quota
    )


@dataclass(frozen=True, eq=False)
class Scorer:
    """How the features are scored in many problems.

    Attributes
    ----------
    order : ndarray (n,) of int
        Numbers of the samples that the kernels see, in this order. Where these are not all, what they find is looked at again.
    scan_pairs, scan_rows : compiled kernels
        See `_overlap`.
    arguments : tuple
        What the kernels get of the problems.
    room : callable
        Makes room for one call of a kernel.
    """

    order: np.ndarray
    scan_pairs: Callable[..., int]
    scan_rows: Callable[..., int]
    arguments: Any
    room: Callable[[], Any]


@dataclass(eq=False)
class _ClassPass:
    """State that the threads share."""

    space: FeatureSpace
    scorer: Scorer
    pools: list[Pool]
    forbidden: np.ndarray
    pairs: list[Pairs]
    states: np.ndarray = field(default_factory=lambda: np.zeros(4, dtype=np.int64))
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        order = self.scorer.order
        is_sorted = (np.diff(order) > 0).all() and len(order) == self.space.n_samples
        self.values = self.space.values if is_sorted else np.ascontiguousarray(self.space.values[:, order])
        settings = self.space.settings
        self.limits = float(settings.min_abs), float(settings.max_abs)
        self.is_partial = len(order) < self.space.n_samples

    @property
    def n_features(self) -> int:
        return sum(pairs.n_features for pairs in self.pairs) + sum(len(block.left) for block in self.space.singles())

    def pieces(self) -> Iterator[Callable[[], int]]:
        """The pairs in pieces."""
        for pairs in self.pairs:
            if not PAIR_OPCODES.issuperset(pairs.opcodes):
                raise SettingsError(f"pass over classes: needs the opcodes 1 to 5 for pairs, found {pairs.opcodes}")
            for part in pairs.parts(PIECE, 1):
                yield partial(self._scan_pairs, part)

    def singles(self) -> Iterator[Callable[[], int]]:
        """The stored features, then those of unary operators, in pieces."""
        for block in self.space.singles(BLOCK):
            yield partial(self._scan_singles, block)

    def _bars(self) -> Bars:
        return Bars(self.forbidden, np.array([pool.threshold for pool in self.pools]))

    def _scan_pairs(self, pairs: Pairs) -> int:
        stairs = Staircase(
            np.array(pairs.opcodes), pairs.is_row_left, pairs.rows, pairs.columns, pairs.first, pairs.stop
        )
        masks, states = self.space.masks, np.zeros(4, dtype=np.int64)
        sources = self.values, masks, np.empty(masks.shape[1], np.uint64)
        quota = QUOTA + len(self.pools) * len(pairs.opcodes)
        found, room = _found(quota), self.scorer.room()
        while found.at[0] < len(pairs.rows):
            count = self.scorer.scan_pairs(
                stairs, sources, self.scorer.arguments, self._bars(), self._seen(self.limits), states, found, room
            )
            self._hand_out(found.features[:, :count], found.problems[:count], found.scores[:count], self.limits)
        self._count(states)
        return pairs.n_features

    def _scan_singles(self, block: Block) -> int:
        """The features of one operator; stored ones are within bounds, but primary features may be constant."""
        opcode = np.full(len(block.left), block.opcode, np.int16)
        limits = (0.0, np.inf) if block.opcode == COPY else self.limits
        masks, states, room = self.space.masks[block.left], np.zeros(4, dtype=np.int64), self.scorer.room()
        for part, rows in evaluated_rows(opcode, block.left, block.right, self.values):
            capacity = len(rows) * len(self.pools)
            found = _found(capacity)
            count = self.scorer.scan_rows(
                rows, masks[part], self.scorer.arguments, self._bars(), self._seen(limits), states, found, room
            )
            numbers = block.left[part][found.features[1, :count]].astype(np.int64)
            triples = np.array([np.full(count, block.opcode), numbers, numbers])
            self._hand_out(triples, found.problems[:count], found.scores[:count], limits)
        if block.opcode != COPY:  # stored features were counted when their rung was made
            self._count(states)
        return len(block.left)

    def _seen(self, limits: tuple[float, float]) -> tuple[float, float]:
        """What is asked of the samples that the kernels see: of some of them the largest value may be below that of all."""
        return (0.0, limits[1]) if self.is_partial else limits

    def _hand_out(
        self, triples: np.ndarray, problems: np.ndarray, scores: np.ndarray, limits: tuple[float, float]
    ) -> None:
        """Give features to the pools of their problems."""
        order = np.argsort(problems, kind="stable")
        if self.is_partial:
            order = order[self._are_kept(triples[:, order], limits)]
        opcode, left, right = triples[:, order]
        every = Selection(opcode.astype(np.int16), left.astype(np.int32), right.astype(np.int32), scores[order])
        for pool, own in zip(self.pools, every.split(problems[order], len(self.pools)), strict=True):
            if len(own):
                pool.add(own)

    def _are_kept(self, triples: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """ndarray (m,) of bool: whether features are within the limits on all samples."""
        opcode, left, right = triples
        states, n = np.empty(len(opcode), np.int64), self.space.n_samples
        ends = np.empty(1), np.empty(1)
        for part, rows in evaluated_rows(opcode.astype(np.int16), left, right, self.space.values):
            _overlap.states_of(rows, np.array([0, n]), limits, ends, states[part])
        return states == _overlap.KEPT

    def _count(self, states: np.ndarray) -> None:
        with self.lock:
            self.states += states


def screen_classes(
    space: FeatureSpace,
    problems: Sequence[ClassProblem],
    taken: Sequence[Selection],
    scorer: Scorer,
    n_sis: int,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[list[Selection], Counter]:
    """The `n_sis` best features of the space for each problem.

    Parameters
    ----------
    space : FeatureSpace
    problems : sequence of ClassProblem
    taken : sequence of Selection
        What each problem has already; it and what points in its direction is not chosen again.
    scorer : Scorer
    n_sis : int
    threads : int
        The result does not depend on it.
    progress : callable, optional
        Called with (features done, features in all).

    Returns
    -------
    list of Selection
        For each problem, best first: higher score, then lower complexity, then canonical key.
    Counter
        Features rejected in the last rung once their values were known, by cause; empty where the scorer sees only some samples.
    """
    pools = [
        _pool(space, problem, scorer, n_sis, own, (number, len(problems)))
        for number, (problem, own) in enumerate(zip(problems, taken, strict=True))
    ]
    allowed = [problem.allowed for problem in problems]
    # A pass looks at the pairs of the union of what its problems may use.
    union = np.logical_or.reduce(allowed)
    walk = _ClassPass(space, scorer, pools, forbidden_words(space, allowed), admitted_pairs(space, [union])[0])
    total, done = walk.n_features, 0
    with one_blas_thread(), threads_of(threads) as executor:
        try:
            on_singles = unordered(executor, walk.singles(), 4 * threads)
            for looked_at in chain(on_singles, unordered(executor, walk.pieces(), 4 * threads)):
                done += looked_at
                if progress:
                    progress(space.n_features * done // total, space.n_features)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    if walk.is_partial:
        return chosen(pools), Counter()
    _, not_finite, out_of_bounds, constant = walk.states.tolist()
    return chosen(pools), Counter(domain=not_finite, bounds=out_of_bounds, constant=constant)


def _pool(
    space: FeatureSpace, problem: ClassProblem, scorer: Scorer, n_sis: int, taken: Selection, place: tuple[int, int]
) -> Pool:
    """The pool of a problem, with the scores of what it has already; place: its number, and the number of problems."""
    pool = Pool(space, problem.shares, np.empty((0, space.n_samples)), n_sis, True, Selection.empty())
    if len(taken):
        number, n_problems = place
        masks = np.zeros((len(taken), space.masks.shape[1]), np.uint64)
        thresholds = np.full(n_problems, np.inf)
        thresholds[number] = -1.0
        bars = Bars(np.zeros((n_problems, masks.shape[1]), np.uint64), thresholds)
        found = _found(len(taken) * n_problems)
        rows = np.ascontiguousarray(taken.values(space)[:, scorer.order])
        states, limits = np.zeros(4, np.int64), (0.0, np.inf)
        count = scorer.scan_rows(rows, masks, scorer.arguments, bars, limits, states, found, scorer.room())
        scores = np.zeros(len(taken))
        scores[found.features[1, :count]] = found.scores[:count]
        pool.taken = Selection(taken.opcode, taken.left, taken.right, scores)
        pool.scoring = pool.scoring._replace(taken=np.sort(scores))
    return pool
