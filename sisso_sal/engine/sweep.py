"""The sweep over pairs of stored features for one problem: float32 marks what may matter, float64 decides.

Of several tasks each has a sweep of its own. The score is a root mean square of the correlations in the tasks, weighted by what
each has of the residual's squares: where it reaches the threshold, one of the correlations does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import NamedTuple

import numpy as np

from sisso_sal.engine import _pairs, _scores, _values
from sisso_sal.engine.copies import FloatCopies
from sisso_sal.engine.pool import Pool, scorings_of
from sisso_sal.engine.selection import Selection
from sisso_sal.errors import SettingsError
from sisso_sal.features.operators import BY_OPCODE, OF_ABSOLUTE_DIFFERENCE, OF_QUOTIENT, OF_SUM, Operator
from sisso_sal.features.pairs import Pairs
from sisso_sal.system.costs import multiply_add_seconds

TILE = (64, 256)
"""Rows and columns that are looked at together: their factors and products stay in the second-level cache."""

QUOTA = 256
"""Marked features with which float64 decides: what they show raises the threshold for those that follow."""

ROOM = 1 << 18
"""Float64 values of features that are in memory at a time."""

WORK = 1e9
"""Most multiply-adds that a thread takes at a time: about 0.05 s, so that a pass can be stopped."""

MOST_JOBS = 128
"""Jobs that a compiled sweep goes through in one call."""

ROUNDINGS = 24
"""Roundings of a float32 sum beyond one for each sample: those of the factors, with room for higher orders."""


SMALL = 1 << 16
"""Features of pairs that are too few to be shared out among threads."""

PAIR_SECONDS = 8e-9
"""What a pair costs beside its matrix products."""

OVERHEAD = 1.3
"""Tiles of a staircase do a little more than the staircase."""


def pair_seconds(n_samples: int, n_targets: int) -> float:
    """What a pair takes in a pass, on one thread, within a factor of two or so.

    Examples
    --------
    >>> 0 < pair_seconds(100, 1) < pair_seconds(100, 5) < 1e-4
    True
    """
    return OVERHEAD * (n_samples * (2 + n_targets) * multiply_add_seconds(n_samples) + PAIR_SECONDS)


def scored_operators(pairs: Pairs) -> list[Operator]:
    """The operators of pairs, all of one sweep: sums, or a product or quotient alone.

    Raises
    ------
    SettingsError
        No sweep scores an operator with this opcode beside the others.
    """
    rows = [BY_OPCODE.get(opcode) for opcode in pairs.opcodes]
    known = [row for row in rows if row is not None and row.moments is not None]
    if len(known) < len(rows) or (len(rows) > 1 and not all(row.is_sum for row in known)):
        raise SettingsError(f"pair sweep: needs sums, a product or a quotient, found the opcodes {pairs.opcodes}")
    return known


def evaluated_rows(
    opcode: np.ndarray, left: np.ndarray, right: np.ndarray, values: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Exact values of features, in parts that fit into `ROOM`: which features, and their values (n_part, n_samples).

    The next part overwrites the values of the one before.
    """
    size = max(16, ROOM // values.shape[1])
    room = np.empty((min(size, len(opcode)), values.shape[1]))
    for start in range(0, len(opcode), size):
        part = slice(start, min(start + size, len(opcode)))
        rows = room[: part.stop - start]
        _values.evaluate_many(opcode[part], left[part], right[part], values, rows)
        yield part, rows


def of_task(scoring: _scores.Scoring, task: int) -> _scores.Scoring:
    """What the correlation in one of the tasks depends on; targets that are zero there stay so."""
    if not len(scoring.starts):
        return scoring
    own = scoring.samples[slice(*scoring.starts[task : task + 2])]
    weights, targets = np.zeros_like(scoring.weights), np.zeros_like(scoring.targets)
    weights[own] = scoring.weights[own] / scoring.weights[own].sum()
    norms = np.sqrt(scoring.targets[:, own] ** 2 @ weights[own])
    targets[:, own] = scoring.targets[:, own] / np.where(norms > 0, norms, 1.0)[:, None]
    return _scores.Scoring(weights, targets, scoring.centre, scoring.taken)


@dataclass(frozen=True)
class PairSweep:
    """One problem's sweep over the pairs that it may use.

    Attributes
    ----------
    values : ndarray (n_stored, n_samples)
        Exact values of the stored features.
    copies : FloatCopies
        The same in float32.
    scoring : Scoring
        What the score depends on. Without targets nothing is scored, and the sweep only counts the states of the features.
    limits : Limits
        Bounds of the features.
    is_census : bool
        Whether the states are counted.
    pairs : list of Pairs
    pool : Pool or None
        Where the best features go; None without targets.
    task : int
        The task by whose correlations float32 marks features.
    """

    values: np.ndarray
    copies: FloatCopies
    scoring: _scores.Scoring
    limits: _scores.Limits
    is_census: bool = False
    pairs: tuple[Pairs, ...] = ()
    pool: Pool | None = None
    task: int = 0

    @cached_property
    def marking(self) -> _scores.Scoring:
        """What float32 goes by."""
        return of_task(self.scoring, self.task)

    @property
    def n_features(self) -> int:
        return sum(pairs.n_features for pairs in self.pairs)

    @property
    def n_factors(self) -> int:
        return 1 + len(self.scoring.targets)

    def best(self) -> tuple[np.ndarray, int]:
        """The best scores so far, see `_scores.offer`; that of a sweep without targets is never reached."""
        return self.pool.best() if self.pool else (np.empty(1), 0)

    @property
    def seconds_each(self) -> float:
        """What a feature takes, see `pair_seconds`."""
        return pair_seconds(len(self.samples), len(self.scoring.targets))

    @property
    def most(self) -> float:
        """Most features that a thread takes at a time."""
        return WORK / (len(self.scoring.weights) * (1 + self.n_factors))

    @cached_property
    def samples(self) -> np.ndarray:
        """Numbers of the samples of positive weight."""
        return np.flatnonzero(self.marking.weights)

    @cached_property
    def float_factors(self) -> np.ndarray:
        """ndarray (n_factors, n_samples) of float32: weights and weights times targets."""
        weights, targets = self.marking.weights, self.marking.targets
        return np.concatenate([weights[None], weights * targets]).astype(np.float32)


class Job(NamedTuple):
    """Pairs that a sweep goes over; moments: what `FloatCopies.moments` gives, where the operators are sums."""

    sweep: PairSweep
    pairs: Pairs
    moments: tuple[np.ndarray, ...]


def jobs_of(sweep: PairSweep, pairs: Pairs, most: float) -> Iterator[Job]:
    """The pairs in jobs of at most so many features.

    Raises
    ------
    SettingsError
        No sweep scores the operators.
    """
    is_sum = scored_operators(pairs)[0].is_sum
    if not pairs.n_features:
        return
    moments = sweep.copies.moments(sweep.marking) if is_sum else ()
    for part in pairs.parts(most, TILE[0]):
        yield Job(sweep, part, moments)


def shared_out(groups: Iterable[Sequence[tuple[PairSweep, Pairs]]], threads: int) -> Iterator[list[Job]]:
    """Pairs in batches for so many threads; each group has the pairs of several sweeps with the same operators."""
    for group in groups:
        share = max(SMALL, sum(pairs.n_features for _, pairs in group) / (4 * threads)) if threads > 1 else np.inf
        most = min(share, *(sweep.most for sweep, _ in group), np.inf)
        jobs = (job for sweep, pairs in group for job in jobs_of(sweep, pairs, most))
        yield from batches(jobs, most)


def batches(jobs: Iterable[Job], most: float) -> Iterator[list[Job]]:
    """Jobs that follow each other, with about so many features together and as many residuals each."""
    batch: list[Job] = []
    n_features = 0
    for job in jobs:
        is_full = n_features + job.pairs.n_features > most or len(batch) == MOST_JOBS
        if batch and (is_full or batch[0].sweep.n_factors != job.sweep.n_factors):
            yield batch
            batch, n_features = [], 0
        batch.append(job)
        n_features += job.pairs.n_features
    if batch:
        yield batch


def run(jobs: Sequence[Job]) -> tuple[int, np.ndarray]:
    """Give the best features of the jobs to their pools; returns how many were looked at, and counts (4,) of their states."""
    chosen, states = scan(jobs, [job.sweep.best() for job in jobs])
    for job, selection in zip(jobs, chosen, strict=True):
        if job.sweep.pool and len(selection):
            job.sweep.pool.add(selection)
    return sum(job.pairs.n_features for job in jobs), states


def scan(jobs: Sequence[Job], best: Sequence[tuple[np.ndarray, int]]) -> tuple[list[Selection], np.ndarray]:
    """The features of each job whose exact score reaches the threshold of its moment, and counts (4,) of the features' states.

    Parameters
    ----------
    jobs : sequence of Job
        With the same operators, and as many residuals each.
    best : sequence of (ndarray (size,), int)
        For each job the best scores so far, see `_scores.offer`.
    """
    sweeps = [job.sweep for job in jobs]
    values, limits, n = sweeps[0].values, sweeps[0].limits, len(jobs)
    tops = _scores.Tops(np.array([top for top, _ in best]), np.array([held for _, held in best]))
    scorings = scorings_of([sweep.scoring for sweep in sweeps])
    hits, undecided = np.empty((2, n, 3, QUOTA + TILE[1] * len(jobs[0].pairs.opcodes)), np.int32)
    counts, at = np.zeros((n, 2), dtype=np.int64), np.zeros((n, 3), dtype=np.int64)
    marks = _pairs.Marks(hits, undecided, np.zeros(4, dtype=np.int64), counts, at, QUOTA)
    sweep, reaches = _sweep(jobs, _census(sweeps), marks)
    n_rows = np.array([len(job.pairs.rows) for job in jobs])
    reached: list[tuple[np.ndarray, Selection]] = []
    while (at[:, 0] < n_rows).any():
        counts[:] = 0
        for t in range(n):
            reaches.need[t] = _scores.needed(tops.scores[t], tops.held[t])
        sweep()
        marked, owners = _marked(hits, counts[:, 0])
        for part, rows in _rows(marked, values):
            which, scores = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
            count = _scores.decide(rows, owners[part], scorings, limits, tops, which, scores)
            opcode, left, right = marked[:, part][:, which[:count]]
            selection = Selection(opcode.astype(np.int16), left, right, scores[:count])
            reached.append((owners[part][which[:count]], selection))
        for _, rows in _rows(_marked(undecided, counts[:, 1])[0], values):
            _scores.count_states(rows, limits, marks.states)
    return _by_owner(reached, n), marks.states


def _marked(triples: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The marked triples (3, m) of all jobs, and whose each is (m,)."""
    parts = [triples[t, :, :count] for t, count in enumerate(counts.tolist())]
    return np.concatenate(parts, axis=1), np.repeat(np.arange(len(counts)), counts)


def _rows(triples: np.ndarray, values: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    return evaluated_rows(triples[0].astype(np.int16), triples[1], triples[2], values)


def _by_owner(reached: Sequence[tuple[np.ndarray, Selection]], n_owners: int) -> list[Selection]:
    if not reached:
        return [Selection.empty()] * n_owners
    owners = np.concatenate([part for part, _ in reached])
    every = Selection.joined([selection for _, selection in reached])
    order = np.argsort(owners, kind="stable")
    return every.take(order).split(owners[order], n_owners)


def _reaches(sweeps: Sequence[PairSweep], lanes: int) -> _pairs.Reach:
    """What each sweep needs, on as many samples as the one with the most has of positive weight, a multiple of `lanes`."""
    samples = [sweep.samples for sweep in sweeps]
    n_samples = len(sweeps[0].scoring.weights)
    n = -(-max(map(len, samples)) // lanes) * lanes
    if n >= n_samples:
        samples = [np.arange(n_samples)] * len(sweeps)
    picked, factors = np.zeros((len(sweeps), n), np.int64), np.zeros((len(sweeps), sweeps[0].n_factors, n), np.float32)
    for t, (sweep, numbers) in enumerate(zip(sweeps, samples, strict=True)):
        picked[t, : len(numbers)] = numbers
        factors[t, :, : len(numbers)] = sweep.float_factors[:, numbers]
    errors = np.full(len(sweeps), (n_samples + ROUNDINGS) * 2.0**-24)
    return _pairs.Reach(picked, factors, errors, np.full(len(sweeps), -1.0), sweeps[0].scoring.centre)


def _census(sweeps: Sequence[PairSweep]) -> _pairs.Census:
    limits = sweeps[0].limits
    least, most = float(limits.min_abs), float(limits.max_abs)
    return _pairs.Census(np.array([sweep.is_census for sweep in sweeps]), least * least, most * most)


def _sweep(jobs: Sequence[Job], census: _pairs.Census, marks: _pairs.Marks) -> tuple[Callable[[], None], _pairs.Reach]:
    """The compiled sweep over the jobs, with the float32 data and the room that it needs, and the thresholds that it goes by."""
    pairs, copies, sweeps = jobs[0].pairs, jobs[0].sweep.copies, [job.sweep for job in jobs]
    operators = scored_operators(pairs)
    reaches = _reaches(sweeps, _pairs.LANES if operators[0].is_sum else 1)
    shape, every = reaches.factors.shape[1:], _pairs.Jobs(_work(jobs), reaches, census, marks)
    if operators[0].is_sum:
        moments = (np.array(parts) for parts in zip(*(job.moments for job in jobs), strict=True))
        shifted = _pairs.Shifted(*copies.shifted(reaches.centre), *moments)
        return partial(_pairs.sweep_sums, shifted, every, _sums_room(*shape)), reaches
    is_quotient = operators[0].moments == OF_QUOTIENT
    sides = [copies.values, copies.inverses if is_quotient else copies.values]
    left, right = sides if pairs.is_row_left else sides[::-1]
    room = _products_room(*shape)
    return partial(_pairs.sweep_products, left, right, every, room), reaches


def _work(jobs: Sequence[Job]) -> _pairs.Work:
    staircases = [job.pairs for job in jobs]
    rows, columns, first, stop = (
        np.concatenate(parts) for parts in zip(*((p.rows, p.columns, p.first, p.stop) for p in staircases), strict=True)
    )
    sizes = np.array([(len(p.rows), len(p.columns)) for p in staircases]).T
    bounds = np.zeros((2, sizes.shape[1] + 1), dtype=np.int64)  # of one layout, for which the kernels are compiled
    np.cumsum(sizes, axis=1, out=bounds[:, 1:])
    one = staircases[0]
    return _pairs.Work(_operators(one.opcodes), one.is_row_left, rows, columns, first, stop, bounds, TILE)


def _products_room(n_factors: int, n: int) -> _pairs.ProductsRoom:
    height, width = TILE
    strip, tile = ((height, n), (n_factors * height, n), (height, n)), ((width, n), (width, n))
    shapes = (*strip, *tile, n_factors * height * width, height * width)
    matrices = (np.empty(shape, np.float32) for shape in shapes)
    rest = (np.empty(width), np.empty(width, np.bool_), tuple(np.empty((3, width))))
    return _pairs.ProductsRoom._make((*matrices, *rest))


def _sums_room(n_factors: int, n: int) -> _pairs.SumsRoom:
    height, width = TILE
    shapes = ((height, n), (height, n), (width, n), height * width, width, width, (n_factors - 1, width))
    matrices = (np.empty(shape, np.float32) for shape in shapes)
    best, sums, hit = np.empty(width, np.float32), np.empty(n_factors, np.float32), np.empty(width, np.bool_)
    return _pairs.SumsRoom._make((*matrices, np.empty(width), best, sums, hit, tuple(np.empty((3, width)))))


@cache
def _operators(opcodes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each operator its opcode, the sign of its second operand, and whether the absolute value is taken."""
    moments = [BY_OPCODE[opcode].moments for opcode in opcodes]
    signs = np.array([1.0 if kind == OF_SUM else -1.0 for kind in moments])
    return np.array(opcodes), signs, np.array([kind == OF_ABSOLUTE_DIFFERENCE for kind in moments])
