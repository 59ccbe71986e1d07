"""The sweep over pairs of stored features for one problem: float32 marks what may matter, float64 decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np

from sisso_sal.engine import _pairs, _scores, _values
from sisso_sal.engine.copies import FloatCopies
from sisso_sal.engine.pool import Pool
from sisso_sal.engine.selection import Selection
from sisso_sal.errors import SettingsError
from sisso_sal.features.operators import BY_OPCODE, OF_ABSOLUTE_DIFFERENCE, OF_QUOTIENT, OF_SUM, Operator
from sisso_sal.features.pairs import Pairs

TILE = (64, 256)
"""Rows and columns that are looked at together: their factors and products stay in the second-level cache."""

QUOTA = 256
"""Marked features with which float64 decides: what they show raises the threshold for those that follow."""

ROOM = 1 << 18
"""Float64 values of features that are in memory at a time."""

WORK = 1e9
"""Most multiply-adds that a thread takes at a time: about 0.05 s, so that a pass can be stopped."""

ROUNDINGS = 24
"""Roundings of a float32 sum beyond one for each sample: those of the factors, with room for higher orders."""


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
    """

    values: np.ndarray
    copies: FloatCopies
    scoring: _scores.Scoring
    limits: _scores.Limits
    is_census: bool = False
    pairs: tuple[Pairs, ...] = ()
    pool: Pool | None = None

    @property
    def n_features(self) -> int:
        return sum(pairs.n_features for pairs in self.pairs)

    def pieces(self, pairs: Pairs, most: float) -> Iterator[Callable[[], tuple[int, np.ndarray]]]:
        """Pieces of at most so many features; each returns how many it looked at, and counts (4,) of their states."""
        most = min(most, WORK / (len(self.scoring.weights) * (2 + len(self.scoring.targets))))
        kernel = self.kernel(pairs)
        for part in pairs.parts(most, TILE[0]):
            yield partial(self._piece, part, kernel)

    def kernel(self, pairs: Pairs) -> Callable[..., bool]:
        """The compiled sweep that scores these pairs, with the float32 data that it needs.

        Raises
        ------
        SettingsError
            No sweep scores the operators.
        """
        operators = scored_operators(pairs)
        if operators[0].is_sum:
            return partial(_pairs.sweep_sums, self.copies.shifted(self.scoring))
        is_quotient = operators[0].moments == OF_QUOTIENT
        sides = [self.copies.values, self.copies.inverses if is_quotient else self.copies.values]
        return partial(_pairs.sweep_products, *(sides if pairs.is_row_left else sides[::-1]))

    def _piece(self, pairs: Pairs, kernel: Callable[..., bool]) -> tuple[int, np.ndarray]:
        top, held = self.pool.best() if self.pool else (np.empty(1), 0)
        selection, states = self.scan(pairs, kernel, top, held)
        if self.pool and len(selection):
            self.pool.add(selection)
        return pairs.n_features, states

    def scan(
        self, pairs: Pairs, kernel: Callable[..., bool], top: np.ndarray, held: int
    ) -> tuple[Selection, np.ndarray]:
        """The features whose exact score reaches the threshold of its moment, and counts (4,) of the features' states.

        Parameters
        ----------
        pairs : Pairs
        kernel : callable
            From `kernel`.
        top, held
            The best scores so far, see `_scores.offer`; changed in place.
        """
        work, reach = _work(pairs), self._reach
        least, most = float(self.limits.min_abs), float(self.limits.max_abs)
        census = _pairs.Census(self.is_census, least * least, most * most)
        hits, undecided = np.empty((2, 3, QUOTA + TILE[1] * len(pairs.opcodes)), np.int32)
        counts, at = np.zeros(2, dtype=np.int64), np.zeros(3, dtype=np.int64)
        marks = _pairs.Marks(hits, undecided, np.zeros(4, dtype=np.int64), counts, at, QUOTA)
        room = (_sums_room if scored_operators(pairs)[0].is_sum else _products_room)(*reach.factors.shape)
        reached: list[Selection] = []
        is_done = False
        while not is_done:
            counts[:] = 0
            is_done = kernel(work, reach._replace(need=float(_scores.needed(top, held))), census, marks, room)
            held = self._decide(hits[:, : counts[0]], top, held, reached)
            for _, rows in self._rows(undecided[:, : counts[1]]):
                _scores.count_states(rows, self.limits, marks.states)
        return Selection.joined(reached) if reached else Selection.empty(), marks.states

    @cached_property
    def _reach(self) -> _pairs.Reach:
        weights, targets = self.scoring.weights, self.scoring.targets
        factors = np.concatenate([weights[None], weights * targets]).astype(np.float32)
        return _pairs.Reach(factors, (len(weights) + ROUNDINGS) * 2.0**-24, self.scoring.centre, -1.0)

    def _rows(self, triples: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        return evaluated_rows(triples[0].astype(np.int16), triples[1], triples[2], self.values)

    def _decide(self, triples: np.ndarray, top: np.ndarray, held: int, reached: list[Selection]) -> int:
        """Score the features triples (3, m); add those that reach the threshold, and return how many scores `top` holds."""
        for part, rows in self._rows(triples):
            which, scores = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
            count, held = _scores.decide(rows, self.scoring, self.limits, top, held, which, scores)
            opcode, left, right = triples[:, part][:, which[:count]]
            if count:
                reached.append(Selection(opcode.astype(np.int16), left, right, scores[:count]))
        return held


def _products_room(n_factors: int, n: int) -> _pairs.ProductsRoom:
    height, width = TILE
    shapes = ((n_factors * height, n), (height, n), (width, n), (width, n), n_factors * height * width, height * width)
    matrices = (np.empty(shape, np.float32) for shape in shapes)
    rest = (np.empty(width), np.empty(width, np.bool_), tuple(np.empty((3, width))))
    return _pairs.ProductsRoom._make((*matrices, *rest))


def _sums_room(n_factors: int, n: int) -> _pairs.SumsRoom:
    height, width = TILE
    shapes = ((height, n), (height, n), (width, n), (width, n), height * width, width, width, (n_factors - 1, width))
    matrices = (np.empty(shape, np.float32) for shape in shapes)
    best, sums, hit = np.empty(width, np.float32), np.empty(n_factors, np.float32), np.empty(width, np.bool_)
    return _pairs.SumsRoom._make((*matrices, np.empty(width), best, sums, hit, tuple(np.empty((3, width)))))


@cache
def _operators(opcodes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each operator its opcode, the sign of its second operand, and whether the absolute value is taken."""
    moments = [BY_OPCODE[opcode].moments for opcode in opcodes]
    signs = np.array([1.0 if kind == OF_SUM else -1.0 for kind in moments])
    return np.array(opcodes), signs, np.array([kind == OF_ABSOLUTE_DIFFERENCE for kind in moments])


def _work(pairs: Pairs) -> _pairs.Work:
    staircase = (pairs.is_row_left, pairs.rows, pairs.columns, pairs.first, pairs.stop)
    return _pairs.Work(_operators(pairs.opcodes), *staircase, TILE)
