"""Of features that point in one direction one is kept: for many problems at once, since each has only a few."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

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
class Candidates:
    """Features of many problems, problem by problem, and of each problem the best scores first.

    Attributes
    ----------
    every : Selection
        Of m features.
    owner : ndarray (m,) of int64
        Number of the problem.
    is_taken : ndarray (m,) of bool
        Features that the problem has already.
    """

    every: Selection
    owner: np.ndarray
    is_taken: np.ndarray

    def take(self, index: np.ndarray) -> Candidates:
        return Candidates(self.every.take(index), self.owner[index], self.is_taken[index])


def best_distinct(
    space: FeatureSpace, candidates: Candidates, weights: np.ndarray, centre: bool, sizes: np.ndarray
) -> list[tuple[Selection, Selection]]:
    """For each problem its best features of different directions that it has not taken; and more features of other units.

    Parameters
    ----------
    space : FeatureSpace
    candidates : Candidates
    weights : ndarray (n_problems, n_samples)
        Of sum 1.
    centre : bool
        Whether there is an intercept.
    sizes : ndarray (n_problems,) of int64
        Number of features wanted. Those of other units are looked for where there are fewer.
    """
    n = len(weights)
    if not len(candidates.every):
        return [(Selection.empty(), Selection.empty())] * n
    rows, wanted = (
        candidates.every.values(space),
        sizes + np.bincount(candidates.owner[candidates.is_taken], minlength=n),
    )
    _duplicates.unit_vectors(rows, weights, candidates.owner, centre, rows)
    labels = _duplicates.cluster(rows, candidates.every.score, candidates.owner, wanted, _scores.GATE, SAME_DIRECTION)
    in_reach = np.flatnonzero(labels >= 0)
    candidates, labels = candidates.take(in_reach), labels[in_reach]
    every, owner, is_taken = candidates.every, candidates.owner, candidates.is_taken
    complexity = space.complexity(every.opcode, every.left, every.right)
    winners = _winners(space, every, labels, complexity)
    has_taken = np.zeros(len(winners), dtype=bool)
    has_taken[labels[is_taken]] = True
    free = winners[~has_taken]
    best = free[_ranked(space, every.take(free), owner[free], complexity[free], sizes)]
    out = []
    for p, own_best in enumerate(every.take(best).split(owner[best], n)):
        others = Selection.empty()
        if len(own_best) < sizes[p]:
            own = np.flatnonzero(owner == p)
            others = _in_other_units(space, every.take(own), labels[own], is_taken[own], np.isin(own, winners))
        out.append((own_best, others))
    return out


def _winners(space: FeatureSpace, every: Selection, labels: np.ndarray, complexity: np.ndarray) -> np.ndarray:
    """Of each cluster the least complex, then the first key."""
    key = cache(space.key)  # many problems share their features
    order = np.lexsort((complexity, labels))
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    least = complexity[order][starts]
    tied = np.add.reduceat(complexity[order] == np.repeat(least, np.diff(starts, append=len(order))), starts)
    winners = order[starts]
    for group in np.flatnonzero(tied > 1):
        rivals: list[int] = order[starts[group] : starts[group] + tied[group]].tolist()
        winners[group] = min(rivals, key=lambda t: key(*every.triple(t)))
    return winners


def _ranked(
    space: FeatureSpace, unique: Selection, owner: np.ndarray, complexity: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Of each owner the numbers of the best, as many as `sizes` says: higher score, then lower complexity, then canonical key."""
    score = np.round(unique.score, DIGITS)
    order = np.lexsort((complexity, -score, owner))
    owner = owner[order]
    place = np.arange(len(order)) - np.searchsorted(owner, owner)
    is_same = np.diff(score[order], prepend=np.nan) == 0
    is_same &= (np.diff(complexity[order], prepend=-1) == 0) & (place > 0)
    is_best = place < sizes[owner]
    starts = np.append(np.flatnonzero(~is_same), len(order))
    for group in np.flatnonzero((np.diff(starts) > 1) & is_best[starts[:-1]]):
        start, stop = starts[group], starts[group + 1]
        order[start:stop] = sorted(order[start:stop].tolist(), key=lambda t: space.key(*unique.triple(t)))
    return order[is_best]


def _in_other_units(
    space: FeatureSpace, every: Selection, labels: np.ndarray, is_taken: np.ndarray, is_winner: np.ndarray
) -> Selection:
    """Features of one problem with the values of the winner of their cluster, or of its taken feature, and a unit of their own.

    Of each unit the least complex, then the first key. They are other features, but say nothing more of the target.
    """
    several = np.flatnonzero(np.bincount(labels)[labels] > 1)
    order = several[np.argsort(labels[several], kind="stable")]
    units = np.empty(len(labels), dtype=np.int64)
    units[order] = space.unit_numbers(every.opcode[order], every.left[order], every.right[order])
    out: list[int] = []
    for cluster in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if len(cluster) and units[cluster].min() < units[cluster].max():
            heads = np.flatnonzero(is_taken[cluster])
            if not len(heads):
                heads = np.flatnonzero(is_winner[cluster])
            out += [int(cluster[t]) for t in _of_each_unit(space, every.take(cluster), units[cluster], heads)]
    others = every.take(np.array(out, dtype=np.int64))
    complexity = space.complexity(others.opcode, others.left, others.right)
    n = len(others)
    return others.take(_ranked(space, others, np.zeros(n, np.int64), complexity, np.array([n])))


def _of_each_unit(space: FeatureSpace, cluster: Selection, units: np.ndarray, heads: np.ndarray) -> list[int]:
    """For each unit that no head has, the first feature that equals the first head up to sign: numbers in the cluster."""
    values = cluster.values(space)
    largest = np.abs(values).max(axis=1)
    distances = np.minimum(*(np.abs(values + sign * values[heads[0]]).max(axis=1) for sign in (-1, 1)))
    is_equal = distances <= SAME_VALUE * np.maximum(largest, largest[heads[0]])
    complexity = space.complexity(cluster.opcode, cluster.left, cluster.right).tolist()
    chosen: dict[int, int] = {}
    equal = np.flatnonzero(is_equal).tolist()
    for t in sorted(equal, key=lambda t: (complexity[t], space.key(*cluster.triple(t)))):
        chosen.setdefault(int(units[t]), t)
    return [t for unit, t in chosen.items() if unit not in units[heads]]
