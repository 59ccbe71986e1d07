"""The best features of one problem while a pass goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from sisso_sal.engine import _duplicates, _scores
from sisso_sal.engine.selection import Selection
from sisso_sal.features.space import FeatureSpace

SAME_DIRECTION = 1e-8
"""Two features are duplicates for a problem if their weighted, centred unit vectors differ by less than this."""

DIGITS = 10
"""Scores are equal when they agree to this many decimals."""


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
        if len(self.taken):
            rows = self.taken.values(self.space)
            scores = [_scores.exact_score(row, self.weights, self.targets, self.centre) for row in rows]
            self.taken = Selection(self.taken.opcode, self.taken.left, self.taken.right, np.array(scores))
        self.scoring = _scores.Scoring(self.weights, self.targets, self.centre, np.sort(self.taken.score))
        self.top, self.held = np.empty(self.size), 0

    @property
    def threshold(self) -> float:
        return _scores.threshold(self.top, self.held)

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
        n_taken = len(self.taken)
        every = Selection.joined([self.taken, self.kept, *self._fresh])
        self._fresh, self._n_fresh = [], 0
        reached = np.flatnonzero((every.score >= self.threshold) | (np.arange(len(every)) < n_taken))
        order = reached[np.argsort(-every.score[reached], kind="stable")]
        every, is_taken = every.take(order), order < n_taken
        if not len(every):
            return
        rows = every.values(self.space)
        _duplicates.unit_vectors(rows, self.weights, self.centre, rows)
        labels = _duplicates.cluster(rows, every.score, _scores.GATE, SAME_DIRECTION, self.size + n_taken)
        in_reach = np.flatnonzero(labels >= 0)
        every = every.take(in_reach)
        winners = self._winners(every, labels[in_reach], is_taken[in_reach])
        self.kept = self._ranked(every.take(winners))
        best = np.sort(self.kept.score)[::-1]
        self.top[: len(best)] = best  # before `held`: another thread may read the threshold meanwhile
        self.held = len(best)

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
        steps = (np.diff(score[order]) != 0) | (np.diff(complexity[order]) != 0)
        groups = np.split(order, np.flatnonzero(steps) + 1)
        ranked: list[int] = []
        for group in groups:
            if len(ranked) >= self.size:
                break
            tied = group.tolist()
            ranked += sorted(tied, key=lambda t: self._key(unique, t)) if len(tied) > 1 else tied
        return unique.take(np.array(ranked[: self.size], dtype=np.int64))

    def _key(self, selection: Selection, t: int) -> str:
        triple = int(selection.opcode[t]), int(selection.left[t]), int(selection.right[t])
        return self.space.key(*triple)
