"""The next rung over stored features: laid out, not evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sisso_sal.features.operators import BY_OPCODE, EQUAL, NONZERO, UNITLESS, Operator
from sisso_sal.features.pairs import Block, Pairs, grouped
from sisso_sal.features.stored import StoredFeatures, kept_by


@dataclass(frozen=True)
class Layout:
    """Features of a rung.

    Attributes
    ----------
    unaries : list of (Operator, ndarray (n_features,) of int32)
        Operators, and the numbers of the stored features that each is applied to.
    pairs : list of Pairs
    """

    unaries: list[tuple[Operator, np.ndarray]]
    pairs: list[Pairs]

    @property
    def n_features(self) -> int:
        return sum(len(numbers) for _, numbers in self.unaries) + sum(pairs.n_features for pairs in self.pairs)

    def blocks(self, size: int) -> Iterator[Block]:
        """The features one by one, about `size` pairs at a time; those of unary operators come first."""
        for row, numbers in self.unaries:
            yield Block(row.opcode, numbers, numbers)
        for pairs in self.pairs:
            yield from pairs.blocks(size)


@dataclass(frozen=True)
class Builder:
    """Lays out rungs.

    Attributes
    ----------
    operators : tuple of Operator
    stored : StoredFeatures
    first_new : int
        Number of the first stored feature of the rung below: each new feature has an operand of that rung.
    unitless : int or None
        See `DimensionNumbers.unitless`; None where every operator takes a quantity with a unit.
    """

    operators: tuple[Operator, ...]
    stored: StoredFeatures
    first_new: int
    unitless: int | None

    def lay_out(self, limit: int | None, rejected: Counter) -> Layout:
        """The rung up to a complexity; what the unit, nesting, domain and complexity rules refuse is counted."""
        unaries = [(row, self._unary(row, limit, rejected)) for row in self.operators if row.arity == 1]
        pairs = [part for group in grouped(self.operators) for part in self._binary(group, limit, rejected)]
        return Layout(unaries, pairs)

    def _unary(self, row: Operator, limit: int | None, rejected: Counter) -> np.ndarray:
        stored = self.stored
        trivial = [opcode for opcode, inner in BY_OPCODE.items() if inner.name in row.trivial_on]
        rules = [("nesting", ~np.isin(stored.opcode, trivial))]
        if row.unit_rule == UNITLESS and self.unitless is not None:
            rules.append(("unit", stored.dimension == self.unitless))
        if limit is not None:
            rules.append(("complexity", stored.complexity + 1 <= limit))
        rules.append(("domain", row.admits(stored.least, stored.largest)))
        return kept_by(rules, np.arange(self.first_new, len(stored), dtype=np.int32), rejected)

    def _binary(self, operators: Sequence[Operator], limit: int | None, rejected: Counter) -> list[Pairs]:
        """Each new feature with every earlier one, as far as units and complexity allow; nothing is divided by a zero."""
        stored, row = self.stored, operators[0]
        n, first_new = len(stored), self.first_new
        orders = 1 if row.commutative or row.antisymmetric else 2  # a/b and b/a
        group = stored.dimension if row.unit_rule == EQUAL else np.zeros(n, dtype=np.int32)
        order = np.argsort(group, kind="stable").astype(np.int32)
        start = np.searchsorted(group[order], group[order])
        opcodes = tuple(row.opcode for row in operators)
        pairs = Pairs(opcodes, False, order, order, start, np.arange(n)).only(rows=np.arange(n) >= first_new)
        n_all = (n * (n - 1) - first_new * (first_new - 1)) // 2 * len(opcodes)
        rejected["unit"] += orders * (n_all - pairs.n_features)
        admitted = pairs if limit is None else self._within(limit, pairs, start)
        rejected["complexity"] += orders * (pairs.n_features - admitted.n_features)
        if orders == 1:
            return [admitted]
        last = (stored.values != 0.0).all(axis=1) if row.domain == NONZERO else row.admits(stored.least, stored.largest)
        out = [admitted.only(rows=last), replace(admitted.only(columns=last), is_row_left=True)]
        rejected["domain"] += 2 * admitted.n_features - sum(part.n_features for part in out)
        return out

    def _within(self, limit: int, pairs: Pairs, start: np.ndarray) -> Pairs:
        """The pairs up to a complexity; `start` (n_columns,) is where a column's group starts, which is ordered by complexity."""
        complexity = self.stored.complexity.astype(np.int64)
        step = int(complexity.max()) + 2
        room = np.clip(limit - 1 - complexity[pairs.rows], -1, step - 2)
        stop = np.searchsorted(start * step + complexity[pairs.columns], pairs.first * step + room, side="right")
        return replace(pairs, stop=np.clip(stop, pairs.first, pairs.stop))
