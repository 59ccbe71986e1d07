"""Of features that point in one direction one is kept: for many problems at once, since each has only a few.

To be close is not transitive, so a choice that is made in parts could depend on what is in which part. Parts are therefore only
narrowed: of each cell of a fine grid of directions, which is the same for all parts, the first feature stays. Directions are
compared once, at the end, in an order that follows from the features alone.
"""

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

APART = 4 * SAME_DIRECTION
"""Features that are farther from each other than this have different directions, whatever lies between them: each of two features
may have the direction of a third one, as far as a cell from it.
"""

CELL = SAME_DIRECTION / 10
"""Width of a cell. Rounding moves a unit vector by much less."""

N_PROJECTIONS = 6
"""Projections that make a cell. For vectors whose distance is `SAME_DIRECTION` one of them agrees in eight cases of a hundred."""

DIGITS = 10
"""Scores are equal when they agree to this many decimals."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Features of many problems.

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

    def in_order(self, space: FeatureSpace) -> Candidates:
        """Problem by problem, and of each the best scores first; the order does not depend on that in which they came."""
        every = self.every
        complexity = space.complexity(every.opcode, every.left, every.right)
        return self.take(np.lexsort((every.right, every.left, every.opcode, complexity, -every.score, self.owner)))


@dataclass(frozen=True, eq=False)
class Narrowed:
    """Candidates in order, one of each cell, or of each cell and unit, and all that are taken.

    Attributes
    ----------
    candidates : Candidates
    complexity : ndarray (m,)
    units : ndarray (m, n_samples)
        Weighted, centred vectors of norm 1.
    cells : ndarray (m, N_PROJECTIONS) of int64
    has_units : bool
        Whether there may be several of one cell.
    """

    candidates: Candidates
    complexity: np.ndarray
    units: np.ndarray
    cells: np.ndarray
    has_units: bool

    def take(self, index: np.ndarray) -> Narrowed:
        """Those with some numbers, which ascend; values are not copied where these are all."""
        if len(index) == len(self.complexity):
            return self
        candidates, complexity = self.candidates.take(index), self.complexity[index]
        return Narrowed(candidates, complexity, self.units[index], self.cells[index], self.has_units)

    def apart(self) -> np.ndarray:
        """ndarray (m,) of bool: features of directions that stay different whatever comes to them, see `APART`."""
        every, owner, is_taken = self.candidates.every, self.candidates.owner, self.candidates.is_taken
        out = np.empty(len(self.units), dtype=bool)
        _duplicates.apart(self.units, every.score, owner, is_taken, _scores.GATE, APART, out)
        return out


def narrowed(space: FeatureSpace, candidates: Candidates, scorings: _scores.Scorings, is_full: np.ndarray) -> Narrowed:
    """One candidate of each cell: the least complex, then the first key. What is taken stays.

    Parameters
    ----------
    space : FeatureSpace
    candidates : Candidates
    scorings : Scorings
        Of the problems.
    is_full : ndarray (n_problems,) of bool
        Problems with enough features of different directions. For the others one of each unit stays.
    """
    candidates = candidates.in_order(space)
    every, owner = candidates.every, candidates.owner
    units, cells = every.values(space), np.empty((len(every), N_PROJECTIONS), dtype=np.int64)
    weights, centre, samples, starts = scorings.weights, scorings.centre, scorings.samples, scorings.starts
    if starts.shape[1]:
        _duplicates.unit_vectors_in_tasks(units, weights, owner, centre, samples, starts, units)
    else:
        _duplicates.unit_vectors(units, weights, owner, centre, units)
    _duplicates.cells(units, _directions(space.n_samples), CELL, cells)
    kinds = np.zeros(len(every), dtype=np.int64)
    open_ = np.flatnonzero(~is_full[owner])
    found = Narrowed(candidates, space.complexity(every.opcode, every.left, every.right), units, cells, len(open_) > 0)
    kinds[open_] = space.unit_numbers(every.opcode[open_], every.left[open_], every.right[open_])
    labels = _cell_labels(found, kinds)
    return found.take(np.sort(_winners(space, every, labels, found.complexity)))


@cache
def _directions(n: int) -> np.ndarray:
    """ndarray (N_PROJECTIONS, n) on which unit vectors are projected; no component is near 0, so that each sample counts."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.5, 1.5, (N_PROJECTIONS, n)) * rng.choice([-1.0, 1.0], (N_PROJECTIONS, n))


def _cell_labels(found: Narrowed, kinds: np.ndarray) -> np.ndarray:
    """ndarray (m,): equal numbers for what is of one problem, in one cell and of one kind (m,); each taken feature is alone."""
    candidates = found.candidates
    alone = np.where(candidates.is_taken, np.arange(1, len(kinds) + 1), 0)
    columns = np.column_stack([candidates.owner, kinds, alone, found.cells])
    places = np.ascontiguousarray(columns).view(f"V{columns.itemsize * columns.shape[1]}").ravel()
    return np.unique(places, return_inverse=True)[1]


def best_distinct(space: FeatureSpace, found: Narrowed, sizes: np.ndarray) -> list[Selection]:
    """For each problem its best features of different directions that it has not taken.

    Where there are too few, features follow that differ from a better one, or from one that is taken, only in their unit.

    Parameters
    ----------
    space : FeatureSpace
    found : Narrowed
    sizes : ndarray (n_problems,) of int64
        Number of features wanted.
    """
    n, every_one = len(sizes), np.arange(len(found.complexity))
    cell_of = _cell_labels(found, np.zeros_like(every_one)) if found.has_units else every_one
    firsts = _winners(space, found.candidates.every, cell_of, found.complexity) if found.has_units else every_one
    order = np.sort(firsts)
    heads = found.take(order)
    candidates, owner, is_taken = heads.candidates, heads.candidates.owner, heads.candidates.is_taken
    every, complexity = candidates.every, heads.complexity
    wanted = sizes + np.bincount(owner[is_taken], minlength=n)
    labels = np.empty(len(heads.units), dtype=np.int64)
    _duplicates.cluster(heads.units, every.score, owner, wanted, _scores.GATE, SAME_DIRECTION, labels)
    in_reach = np.flatnonzero(labels >= 0)
    winners = in_reach[_winners(space, every.take(in_reach), labels[in_reach], complexity[in_reach])]
    has_taken = np.zeros(len(winners), dtype=bool)
    has_taken[labels[is_taken & (labels >= 0)]] = True
    free = winners[~has_taken]
    best = free[_ranked(space, every.take(free), owner[free], complexity[free], sizes)]
    of_all = labels[np.searchsorted(order, firsts)][
        cell_of
    ]  # the cluster of each feature is that of the first of its cell
    out = []
    for p, own_best in enumerate(every.take(best).split(owner[best], n)):
        if len(own_best) < sizes[p]:
            own = np.flatnonzero(found.candidates.owner == p)
            part, is_winner = found.candidates.take(own), np.isin(own, order[winners])
            others = _in_other_units(space, part.every, of_all[own], part.is_taken, is_winner)
            own_best = Selection.joined([own_best, others]).take(np.arange(min(sizes[p], len(own_best) + len(others))))
        out.append(own_best)
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
