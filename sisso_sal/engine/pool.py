"""The best features of one problem while a pass goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from threading import Lock

import numpy as np

from sisso_sal.engine import _scores
from sisso_sal.engine.distinct import Candidates, best_distinct
from sisso_sal.engine.selection import Selection
from sisso_sal.features.space import FeatureSpace

ROOM = 1 << 20
"""Values of features that are in memory at a time while duplicates are looked for, where several pools do so together."""


@dataclass
class Pool:
    """The best features of one problem so far, without duplicates after each `compact`; several threads may add."""

    space: FeatureSpace
    weights: np.ndarray
    targets: np.ndarray
    size: int
    centre: bool
    taken: Selection
    kept: Selection = field(default_factory=Selection.empty)
    lock: Lock = field(default_factory=Lock)
    _fresh: list[Selection] = field(default_factory=list)
    _n_fresh: int = 0

    def __post_init__(self) -> None:
        self.scoring = _scores.Scoring(self.weights, self.targets, self.centre, np.empty(0))
        if len(self.taken):
            scores = np.empty(len(self.taken))
            _scores.exact_scores(self.taken.values(self.space), self.scoring, scores)
            self.taken = Selection(self.taken.opcode, self.taken.left, self.taken.right, scores)
            self.scoring = self.scoring._replace(taken=np.sort(scores))
        self.top, self.held = np.empty(self.size), 0

    @property
    def threshold(self) -> float:
        """As `_scores.threshold`, without the price of a call into compiled code."""
        return float(self.top[-1]) - _scores.GATE if self.held == self.size else -1.0

    def best(self) -> tuple[np.ndarray, int]:
        """A copy of the best scores, see `_scores.offer`."""
        with self.lock:
            return self.top.copy(), self.held

    def add(self, more: Selection) -> None:
        with self.lock:
            self.held = _scores.offer_all(self.top, self.held, more.score, self.scoring.taken)
            self._fresh.append(more)
            self._n_fresh += len(more)
            if self._n_fresh > 8 * self.size + 4096:
                self.compact()

    def compact(self) -> None:
        """Remove duplicates and whatever is below the k-th best."""
        _compact([self])

    def parts(self) -> list[Selection]:
        """All that may be among the best, first what was taken."""
        return [self.taken, self.kept, *self._fresh]

    def settle(self, best: Selection, others: Selection) -> None:
        """Go on from the best features and, where there are few, those of other units."""
        self._fresh, self._n_fresh = [], 0
        self.kept = Selection.joined([best, others]) if len(others) else best
        scores = np.sort(best.score)[::-1]
        self.top[: len(scores)] = scores  # before `held`: another thread may read the threshold meanwhile
        self.held = len(scores)


def chosen(pools: Sequence[Pool]) -> list[Selection]:
    """The best `size` of each pool. Features that differ from a better one only in their unit come last, where there is room.

    No thread adds to the pools any more.
    """
    group: list[Pool] = []
    n_values = 0
    for pool in pools:
        more = pool.space.n_samples * sum(map(len, pool.parts()))
        if group and n_values + more > ROOM:
            _compact(group)
            group, n_values = [], 0
        group.append(pool)
        n_values += more
    _compact(group)
    return [pool.kept.take(np.arange(min(pool.size, len(pool.kept)))) for pool in pools]


def _compact(pools: Sequence[Pool]) -> None:
    """Remove the duplicates of each pool and whatever is below its k-th best."""
    parts = [pool.parts() for pool in pools]
    every = Selection.joined(list(chain.from_iterable(parts)))
    sizes = [[len(part) for part in own] for own in parts]
    owner = np.repeat(np.arange(len(pools)), [sum(own) for own in sizes])
    is_taken = np.repeat([i == 0 for own in sizes for i in range(len(own))], list(chain.from_iterable(sizes)))
    thresholds = np.array([pool.threshold for pool in pools])
    reached = np.flatnonzero((every.score >= thresholds[owner]) | is_taken)
    reached = reached[np.lexsort((-every.score[reached], owner[reached]))]
    candidates = Candidates(every, owner, is_taken).take(reached)
    weights, most = np.array([pool.weights for pool in pools]), np.array([pool.size for pool in pools])
    distinct = best_distinct(pools[0].space, candidates, weights, pools[0].centre, most)
    for pool, (best, others) in zip(pools, distinct, strict=True):
        pool.settle(best, others)
