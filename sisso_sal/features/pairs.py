"""Features that are only laid out: triples of an operator and the numbers of two stored features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sisso_sal.features.operators import UNIT_RULES, Operator


def grouped(operators: Sequence[Operator]) -> list[tuple[Operator, ...]]:
    """Binary operators in groups that share their pairs and are scored by one sweep; sums come first.

    Examples
    --------
    >>> from sisso_sal.features.operators import operators_named
    >>> [[row.name for row in group] for group in grouped(operators_named(("add", "mult", "sub", "exp")))]
    [['add', 'sub'], ['mult']]
    """
    groups: dict[tuple, list[Operator]] = {}
    for row in operators:
        if row.arity == 2:
            has_one_order = row.commutative or row.antisymmetric
            key = (
                UNIT_RULES.index(row.unit_rule),
                "" if row.is_sum else row.moments,
                has_one_order,
                "" if has_one_order else row.domain,
            )
            groups.setdefault(key, []).append(row)
    return [tuple(groups[key]) for key in sorted(groups)]


@dataclass(frozen=True)
class Block:
    """Features of one operator: feature t is operator(left[t], right[t]); unary operators have right = left.

    Attributes
    ----------
    opcode : int
        0 stands for a stored feature itself.
    left, right : ndarray (n_features,) of int32
        Numbers of stored features.
    """

    opcode: int
    left: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Features of binary operators over a staircase of pairs: ``rows[t]`` goes with each of ``columns[first[t]:stop[t]]``.

    Attributes
    ----------
    opcodes : tuple of int
        Operators that are applied to every pair.
    is_row_left : bool
        Whether the row is the left operand; otherwise the column is.
    rows, columns : ndarray (n_rows,), (n_columns,) of int32
        Numbers of stored features.
    first, stop : ndarray (n_rows,) of int64
        Ranges in `columns`.
    """

    opcodes: tuple[int, ...]
    is_row_left: bool
    rows: np.ndarray
    columns: np.ndarray
    first: np.ndarray
    stop: np.ndarray

    @cached_property
    def n_features(self) -> int:
        return int((self.stop - self.first).sum()) * len(self.opcodes)

    def only(self, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> Pairs:
        """The pairs whose row and column are admitted; `rows`, `columns` (n_stored,) of bool, None for all."""
        kept = slice(None) if rows is None else rows[self.rows]
        first, stop, numbers = self.first[kept], self.stop[kept], self.columns
        if columns is not None:
            inside = columns[numbers]
            before = np.concatenate(([0], np.cumsum(inside)))
            first, stop, numbers = before[first], before[stop], numbers[inside]
        return replace(self, rows=self.rows[kept], columns=numbers, first=first, stop=stop)

    def between(self, start: int, stop: int) -> Pairs:
        """The pairs of some rows."""
        part = slice(start, stop)
        return replace(self, rows=self.rows[part], first=self.first[part], stop=self.stop[part])

    def cuts(self, size: float, granule: int) -> Iterator[tuple[int, int]]:
        """Runs of rows, as (start, stop), with about `size` features each, cut at multiples of `granule` rows."""
        if self.n_features <= size:
            yield 0, len(self.rows)
            return
        ends = np.cumsum(self.stop - self.first) * len(self.opcodes)
        start = 0
        while start < len(ends):
            before = ends[start - 1] if start else 0
            stop = int(np.searchsorted(ends, before + size, side="right"))
            stop = start + max(1, round((stop - start) / granule)) * granule
            yield start, min(stop, len(ends))
            start = stop

    def parts(self, size: float, granule: int) -> Iterator[Pairs]:
        """The same in the runs of rows of `cuts`."""
        for start, stop in self.cuts(size, granule):
            yield self.between(start, stop)

    def blocks(self, size: int) -> Iterator[Block]:
        """The features one by one, about `size` pairs at a time."""
        counts = self.stop - self.first
        ends = np.cumsum(counts)
        if not len(ends):
            return
        cuts = np.searchsorted(ends, np.arange(size, ends[-1], size), side="right")
        for part in np.split(np.arange(len(counts)), np.unique(cuts)):
            which = np.repeat(part, counts[part])
            if not len(which):
                continue
            step = np.arange(len(which)) - np.repeat(
                ends[part] - counts[part] - ends[part[0]] + counts[part[0]], counts[part]
            )
            row, column = self.rows[which], self.columns[self.first[which] + step]
            for opcode in self.opcodes:
                yield Block(opcode, *((row, column) if self.is_row_left else (column, row)))
