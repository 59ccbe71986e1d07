"""The best features of one problem while a pass goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock

import numpy as np

from sisso_sal.engine import _duplicates, _scores
from sisso_sal.engine.selection import Selection
from sisso_sal.features.space import FeatureSpace
from sisso_sal.features.stored import SAME_VALUE

SAME_DIRECTION = 1e-8
"""Features have one direction in a problem if their weighted, centred unit vectors differ by less than this.

Of each direction one feature is chosen: others give the same predictions. Features with its values and another unit are no
duplicates of it, and may be chosen last.
"""

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
        self.scoring = _scores.Scoring(self.weights, self.targets, self.centre, np.empty(0))
        if len(self.taken):
            scores = np.empty(len(self.taken))
            _scores.exact_scores(self.taken.values(self.space), self.scoring, scores)
            self.taken = Selection(self.taken.opcode, self.taken.left, self.taken.right, scores)
            self.scoring = self.scoring._replace(taken=np.sort(scores))
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

    def chosen(self) -> Selection:
        """The best `size`. Features that differ from a better one only in their unit come last, where there is room."""
        with self.lock:
            self.compact()
            return self.kept.take(np.arange(min(self.size, len(self.kept))))

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
        every, labels, is_taken = every.take(in_reach), labels[in_reach], is_taken[in_reach]
        complexity = self.space.complexity(every.opcode, every.left, every.right)
        winners = self._winners(every, labels, complexity)
        has_taken = np.zeros(len(winners), dtype=bool)
        has_taken[labels[is_taken]] = True
        free = winners[~has_taken]
        best = self._ranked(every.take(free), complexity[free], self.size)
        self.kept = best
        if len(best) < self.size:
            others = self._in_other_units(every, labels, is_taken, winners)
            self.kept = Selection.joined([best, self._ranked(every.take(others), complexity[others], len(others))])
        scores = np.sort(best.score)[::-1]
        self.top[: len(scores)] = scores  # before `held`: another thread may read the threshold meanwhile
        self.held = len(scores)

    def _winners(self, every: Selection, labels: np.ndarray, complexity: np.ndarray) -> np.ndarray:
        """Of each cluster the least complex, then the first key."""
        order = np.lexsort((complexity, labels))
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        least = complexity[order][starts]
        tied = np.add.reduceat(complexity[order] == np.repeat(least, np.diff(starts, append=len(order))), starts)
        winners = order[starts]
        for group in np.flatnonzero(tied > 1):
            rivals = order[starts[group] : starts[group] + tied[group]]
            winners[group] = min(rivals.tolist(), key=lambda t: self._key(every, int(t)))
        return winners

    def _in_other_units(
        self, every: Selection, labels: np.ndarray, is_taken: np.ndarray, winners: np.ndarray
    ) -> np.ndarray:
        """Features with the values of the winner of their cluster, or of its taken feature, and a unit of their own.

        Of each unit the least complex, then the first key. They are other features, but say nothing more of the target.
        """
        members = np.flatnonzero(np.bincount(labels)[labels] > 1)
        if not len(members):
            return members
        members = members[np.argsort(labels[members], kind="stable")]
        units = self.space.unit_numbers(every.opcode[members], every.left[members], every.right[members])
        out: list[int] = []
        for part in np.split(np.arange(len(members)), np.flatnonzero(np.diff(labels[members])) + 1):
            if len(part) and units[part].min() < units[part].max():
                cluster = members[part]
                heads = np.flatnonzero(is_taken[cluster])
                if not len(heads):
                    heads = np.flatnonzero(cluster == winners[labels[cluster[0]]])
                out += [int(cluster[t]) for t in self._of_each_unit(every.take(cluster), units[part], heads)]
        return np.array(out, dtype=np.int64)

    def _of_each_unit(self, cluster: Selection, units: np.ndarray, heads: np.ndarray) -> list[int]:
        """For each unit that no head has, the first feature that equals the first head up to sign: numbers in the cluster."""
        values = cluster.values(self.space)
        largest = np.abs(values).max(axis=1)
        distances = np.minimum(*(np.abs(values + sign * values[heads[0]]).max(axis=1) for sign in (-1, 1)))
        is_equal = distances <= SAME_VALUE * np.maximum(largest, largest[heads[0]])
        complexity = self.space.complexity(cluster.opcode, cluster.left, cluster.right)
        chosen: dict[int, int] = {}
        for t in sorted(np.flatnonzero(is_equal).tolist(), key=lambda t: (int(complexity[t]), self._key(cluster, t))):
            chosen.setdefault(int(units[t]), t)
        return [t for unit, t in chosen.items() if unit not in units[heads]]

    def _ranked(self, unique: Selection, complexity: np.ndarray, most: int) -> Selection:
        """The `most` best: higher score, then lower complexity, then canonical key."""
        score = np.round(unique.score, DIGITS)
        order = np.lexsort((complexity, -score))
        starts_group = (np.diff(score[order]) != 0) | (np.diff(complexity[order]) != 0)
        if not starts_group[:most].all():
            starts = [0, *(np.flatnonzero(starts_group) + 1).tolist(), len(order)]
            for start, stop in pairwise(starts):
                if start < most and stop - start > 1:
                    order[start:stop] = sorted(order[start:stop].tolist(), key=lambda t: self._key(unique, t))
        return unique.take(order[:most])

    def _key(self, selection: Selection, number: int) -> str:
        return self.space.key(*selection.triple(number))
