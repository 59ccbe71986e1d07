"""The best features of one problem while a pass goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from threading import Lock

import numpy as np

from sisso_sal.engine import _scores
from sisso_sal.engine.distinct import Candidates, Narrowed, best_distinct, narrowed
from sisso_sal.engine.selection import Selection
from sisso_sal.features.space import FeatureSpace

ROOM = 1 << 20
"""Values of features that are in memory at a time while duplicates are looked for, where several pools do so together."""


def scorings_of(scorings: Sequence[_scores.Scoring]) -> _scores.Scorings:
    """What the scores in several problems depend on, in one."""
    weights = np.array([scoring.weights for scoring in scorings])
    samples, starts = (_filled_up([getattr(scoring, name) for scoring in scorings]) for name in ("samples", "starts"))
    targets, taken = ([getattr(scoring, name) for scoring in scorings] for name in ("targets", "taken"))
    first, first_taken = (np.cumsum([0, *map(len, parts)]) for parts in (targets, taken))
    return _scores.Scorings(
        weights, np.concatenate(targets), first, scorings[0].centre, np.concatenate(taken), first_taken, samples, starts
    )


def _filled_up(rows: Sequence[np.ndarray]) -> np.ndarray:
    out = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for number, row in enumerate(rows):
        out[number, : len(row)] = row
    return out


@dataclass
class Pool:
    """The best features of one problem so far, without duplicates after each `compact`; several threads may add."""

    space: FeatureSpace
    weights: np.ndarray
    targets: np.ndarray
    size: int
    centre: bool
    taken: Selection
    tasks: np.ndarray | None = None
    kept: Selection = field(default_factory=Selection.empty)
    lock: Lock = field(default_factory=Lock)
    _fresh: list[Selection] = field(default_factory=list)
    _n_fresh: int = 0

    def __post_init__(self) -> None:
        self.scoring = _scores.Scoring(self.weights, self.targets, self.centre, np.empty(0))
        if self.tasks is not None:
            present = np.flatnonzero(self.weights)
            samples = present[np.argsort(self.tasks[present], kind="stable")]
            starts = np.cumsum([0, *np.bincount(self.tasks[samples])])
            self.scoring = self.scoring._replace(samples=samples, starts=starts)
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
            if self._n_fresh > max(8 * self.size + 4096, len(self.kept)):
                self.compact()

    def begin_at(self, top: np.ndarray, held: int) -> None:
        """Look only for what reaches the best scores so far of another pool of the problem, see `best`."""
        self.top[:held] = top[:held]
        self.held = held

    def compact(self) -> None:
        """Remove what is below the k-th best, and of equal features all but one.

        What is chosen in the end from pools that were compacted, anyhow and in any parts, is what would be chosen from all features
        at once.
        """
        found = _narrowed([self])
        candidates = found.candidates
        self._fresh, self._n_fresh = [], 0
        self.kept = candidates.every.take(np.flatnonzero(~candidates.is_taken))
        apart = candidates.every.score[found.apart()][: self.size]
        if len(apart) > self.held or (len(apart) == self.size and apart[-1] > self.top[-1]):
            self.begin_at(apart, len(apart))

    def parts(self) -> list[Selection]:
        """All that may be among the best, first what was taken."""
        return [self.taken, self.kept, *self._fresh]


def chosen(pools: Sequence[Pool]) -> list[Selection]:
    """The best `size` of each pool. Features that differ from a better one only in their unit come last, where there is room.

    No thread adds to the pools any more.
    """
    groups: list[list[Pool]] = [[]]
    n_values = 0
    for pool in pools:
        more = pool.space.n_samples * sum(map(len, pool.parts()))
        if groups[-1] and n_values + more > ROOM:
            groups.append([])
            n_values = 0
        groups[-1].append(pool)
        n_values += more
    return list(chain.from_iterable(map(_chosen, groups)))


def _chosen(pools: Sequence[Pool]) -> list[Selection]:
    found, sizes = _narrowed(pools), np.array([pool.size for pool in pools])
    if not len(found.candidates.every):
        return [Selection.empty()] * len(pools)
    return best_distinct(pools[0].space, found, sizes)


def _narrowed(pools: Sequence[Pool]) -> Narrowed:
    """What each pool has, without equal features and without whatever is below its k-th best."""
    parts = [pool.parts() for pool in pools]
    every = Selection.joined(list(chain.from_iterable(parts)))
    sizes = [[len(part) for part in own] for own in parts]
    owner = np.repeat(np.arange(len(pools)), [sum(own) for own in sizes])
    is_taken = np.repeat([i == 0 for own in sizes for i in range(len(own))], list(chain.from_iterable(sizes)))
    thresholds = np.array([pool.threshold for pool in pools])
    reached = np.flatnonzero((every.score >= thresholds[owner]) | is_taken)
    candidates = Candidates(every, owner, is_taken).take(reached)
    is_full = np.array([pool.held == pool.size for pool in pools])
    return narrowed(pools[0].space, candidates, scorings_of([pool.scoring for pool in pools]), is_full)
