"""The feature space, rung by rung: rungs below the last are stored, the last one is only laid out.

Rung 0 holds the primary features; rung r applies every operator to features of lower rungs, at least one of them of rung r - 1
(Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018), sec. II). A feature of the last rung is only the triple (operator, left, right).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.features.dimension import NONE, Dimension, parse_unit
from sisso_sal.features.expression import Expression, canonical_key
from sisso_sal.features.operators import (
    BY_OPCODE,
    DEFAULT_OPERATORS,
    EQUAL,
    NONZERO,
    UNIT_RULES,
    UNITLESS,
    Operator,
    operators_named,
    refuse_uncompiled,
)
from sisso_sal.system.machine import usable_memory

COPY = 0
"""Opcode of a stored feature taken as it is."""

SAME_VALUE = 1e-10
"""Two stored features are one if no value differs by more than this, relative to the largest; a feature whose standard
deviation is smaller is constant.
"""

CHUNK = 1 << 16
"""Features whose values are worked out at a time when a rung is stored."""

COPIES = 3
"""Times that a rung is in memory while it is stored: in pieces, put together, put in order."""

CAUSES = ("unit", "nesting", "complexity", "domain", "bounds", "constant", "duplicate")


@dataclass(frozen=True, kw_only=True)
class SpaceSettings:
    """What the space contains.

    Parameters
    ----------
    operators : tuple of str
        Names from the operator table.
    rung : int
        Number of times that operators are applied; 0 to 3.
    max_complexity : int or None
        Largest number of operators in a feature; None sets no limit.
    min_abs, max_abs : float
        A feature stays if min_abs <= max|f| <= max_abs over the samples.
    use_units : bool
        False switches the unit rules off.
    max_features : int
        A space with more features is refused, before any time or memory goes into it.
    """

    operators: tuple[str, ...] = DEFAULT_OPERATORS
    rung: int = 2
    max_complexity: int | None = None
    min_abs: float = 1e-5
    max_abs: float = 1e5
    use_units: bool = True
    max_features: int = 10**10

    def __post_init__(self) -> None:
        operators_named(self.operators)
        if not self.operators and self.rung:
            raise SettingsError("operators: needs at least one operator, found none")
        if not (isinstance(self.rung, int | np.integer) and 0 <= self.rung <= 3):
            raise SettingsError(f"rung: needs an integer from 0 to 3, found {self.rung!r}")
        if self.max_complexity is not None and self.max_complexity < 0:
            raise SettingsError(f"max_complexity: needs a number >= 0, found {self.max_complexity!r}")
        if self.max_features < 1:
            raise SettingsError(f"max_features: needs a number >= 1, found {self.max_features!r}")
        if not 0 <= self.min_abs < self.max_abs:
            raise SettingsError(f"min_abs, max_abs: needs 0 <= min_abs < max_abs, found {self.min_abs}, {self.max_abs}")


def grouped(operators: Sequence[Operator]) -> list[tuple[Operator, ...]]:
    """Binary operators in groups that share their pairs and are scored by one sweep; sums come first.

    Examples
    --------
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

    @property
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

    def parts(self, size: float, granule: int) -> Iterator[Pairs]:
        """The same in runs of rows with about `size` features each, cut at multiples of `granule` rows."""
        ends = np.cumsum(self.stop - self.first) * len(self.opcodes)
        start = 0
        while start < len(ends):
            before = ends[start - 1] if start else 0
            stop = int(np.searchsorted(ends, before + size, side="right"))
            stop = start + max(1, round((stop - start) / granule)) * granule
            part = slice(start, stop)
            yield replace(self, rows=self.rows[part], first=self.first[part], stop=self.stop[part])
            start = stop

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


_COLUMNS = ("opcode", "left", "right", "dimension", "complexity", "mask", "values")


@dataclass
class _Stored:
    """Columns of the stored features; one entry per feature."""

    opcode: np.ndarray
    left: np.ndarray
    right: np.ndarray
    dimension: np.ndarray
    complexity: np.ndarray
    mask: np.ndarray
    values: np.ndarray
    least: np.ndarray = field(init=False)
    largest: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.least, self.largest = self.values.min(axis=1), self.values.max(axis=1)

    def __len__(self) -> int:
        return len(self.opcode)

    def take(self, index: np.ndarray) -> _Stored:
        return _Stored(*(getattr(self, name)[index] for name in _COLUMNS))


class Space:
    """All features of given rungs over given samples.

    Parameters
    ----------
    names : sequence of str
        Primary features.
    units : sequence of str
        Their unit texts; "" for none.
    values : ndarray (n_primary, n_samples)
        Their values, finite.
    settings : SpaceSettings

    Attributes
    ----------
    rejected : list of Counter
        Per rung the number of features left out, by cause (see `CAUSES`). What happens in the last rung below the unit, nesting
        and complexity rules shows only when its values are looked at: the screening adds those counts.
    sizes : list of int
        Number of features of each rung; for the last rung the number that is streamed.

    Raises
    ------
    FitError
        A primary feature is not finite.
    SettingsError
        The space has more features than admitted, or a stored rung does not fit into memory.

    Examples
    --------
    >>> space = Space(["a", "b"], ["eV", "eV"], np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 5.0]]),
    ...               SpaceSettings(operators=("add", "div"), rung=1))
    >>> [str(space.expression(*triple)) for triple in space.triples()]
    ['a', 'b', 'a + b', 'a/b', 'b/a']
    """

    def __init__(self, names: Sequence[str], units: Sequence[str], values: np.ndarray, settings: SpaceSettings):
        self.settings = settings
        self.names = tuple(names)
        self.units = tuple(units)
        self.operators = operators_named(settings.operators)
        refuse_uncompiled(self.operators)
        self.rejected: list[Counter] = [Counter()]
        self._dimensions: list[Dimension] = []
        self._dimension_numbers: dict[Dimension, int] = {}
        self._expressions: dict[int, Expression] = {}
        self._keys: dict[int, str] = {}
        self._stored = self._primaries(np.ascontiguousarray(values, dtype=np.float64))
        self._rung_start = [0]
        self.sizes = [len(self._stored)]
        self.pairs: list[Pairs] = []
        self._unaries: list[tuple[Operator, np.ndarray]] = []
        for rung in range(1, settings.rung + 1):
            self.rejected.append(Counter())
            n_features = self._enumerate(self.rejected[-1], settings.max_complexity)
            self._check_size(rung, n_features)
            if rung < settings.rung:
                self._store(self.rejected[-1])
            else:
                self.sizes.append(n_features)

    def _primaries(self, values: np.ndarray) -> _Stored:
        for name, row in zip(self.names, values, strict=True):
            if not np.isfinite(row).all():
                raise FitError(f"primary feature '{name}': needs finite values, found {row[~np.isfinite(row)][0]}")
        n = len(self.names)
        use_units = self.settings.use_units
        dimension = [self._number(parse_unit(unit) if use_units else NONE) for unit in self.units]
        mask = np.zeros((n, (n + 63) // 64), dtype=np.uint64)
        for i in range(n):
            mask[i, i // 64] = np.uint64(1) << np.uint64(i % 64)
        number = np.arange(n, dtype=np.int32)
        return _Stored(
            np.zeros(n, np.int16), number, number, np.array(dimension, np.int32), np.zeros(n, np.int16), mask, values
        )

    def _number(self, dimension: Dimension) -> int:
        if dimension not in self._dimension_numbers:
            self._dimension_numbers[dimension] = len(self._dimensions)
            self._dimensions.append(dimension)
        return self._dimension_numbers[dimension]

    @property
    def values(self) -> np.ndarray:
        """ndarray (n_stored, n_samples): values of the stored features, in the units of the primaries."""
        return self._stored.values

    @property
    def masks(self) -> np.ndarray:
        """ndarray (n_stored, n_words) of uint64: bit p is set where primary feature p occurs."""
        return self._stored.mask

    @property
    def n_samples(self) -> int:
        return self._stored.values.shape[1]

    @property
    def n_features(self) -> int:
        """Number of features that a pass over the space looks at."""
        return sum(self.sizes)

    # Enumeration -----------------------------------------------------------------------------------------------------

    def singles(self, size: int = 4096) -> Iterator[Block]:
        """The stored features, then those that unary operators make of them in the last rung, `size` at most in a block."""
        stored = np.arange(len(self._stored), dtype=np.int32)
        for opcode, numbers in ((COPY, stored), *((row.opcode, numbers) for row, numbers in self._unaries)):
            for start in range(0, len(numbers), size):
                part = numbers[start : start + size]
                yield Block(opcode, part, part)

    def triples(self) -> Iterator[tuple[int, int, int]]:
        """Every feature as (opcode, left, right)."""
        for block in (*self.singles(), *(block for pairs in self.pairs for block in pairs.blocks(CHUNK))):
            for left, right in zip(block.left.tolist(), block.right.tolist(), strict=True):
                yield block.opcode, left, right

    def _enumerate(self, rejected: Counter, limit: int | None) -> int:
        """Lay out the next rung over the stored features, up to a complexity; return how many features it has.

        What the unit, nesting, domain and complexity rules refuse is counted.
        """
        self._unaries = [(row, self._unary(row, limit, rejected)) for row in self.operators if row.arity == 1]
        self.pairs = []
        for group in grouped(self.operators):
            self.pairs += self._binary(group, limit, rejected)
        return sum(len(numbers) for _, numbers in self._unaries) + sum(pairs.n_features for pairs in self.pairs)

    def _check_size(self, rung: int, n_features: int) -> None:
        """Refuse a rung that is larger than admitted or, if it is to be stored, than memory; say what would fit."""
        is_stored = rung < self.settings.rung
        most, reason = self.settings.max_features, f"at most {self.settings.max_features:.3g} (--max-features)"
        if is_stored:
            bytes_each = COPIES * 8 * self.n_samples
            fitting = usable_memory() // bytes_each
            if fitting < most:
                free = usable_memory() / 2**30
                most, reason = fitting, f"at most {fitting:.3g} (they are stored, {free:.1f} GiB are free)"
        if n_features <= most:
            return
        largest = 2 * int(self._stored.complexity.max()) + 1
        fits = (limit for limit in range(largest, rung - 1, -1) if self._enumerate(Counter(), limit) <= most)
        limit = next(fits, None)
        advice = f"--rung {rung - 1}" if limit is None else f"--max-complexity {limit}"
        raise SettingsError(
            f"feature space: needs {reason} features of rung {rung}, found {n_features:.3g}; "
            f"try {advice}, or fewer operators or primary features"
        )

    def _unary(self, row: Operator, limit: int | None, rejected: Counter) -> np.ndarray:
        stored = self._stored
        index = np.arange(self._rung_start[-1], len(stored), dtype=np.int32)
        trivial = [opcode for opcode, inner in BY_OPCODE.items() if inner.name in row.trivial_on]
        rules = [("nesting", ~np.isin(stored.opcode, trivial))]
        if row.unit_rule == UNITLESS:
            rules.append(("unit", stored.dimension == self._dimension_numbers.get(NONE, -1)))
        if limit is not None:
            rules.append(("complexity", stored.complexity + 1 <= limit))
        rules.append(("domain", row.admits(stored.least, stored.largest)))
        for cause, admitted in rules:
            kept = index[admitted[index]]
            rejected[cause] += len(index) - len(kept)
            index = kept
        return index

    def _binary(self, operators: Sequence[Operator], limit: int | None, rejected: Counter) -> list[Pairs]:
        """Each new feature with every earlier one, as far as units and complexity allow; nothing is divided by a zero."""
        stored, row = self._stored, operators[0]
        opcodes = tuple(row.opcode for row in operators)
        n, first_new = len(stored), self._rung_start[-1]
        orders = 1 if row.commutative or row.antisymmetric else 2  # a/b and b/a
        group = stored.dimension if row.unit_rule == EQUAL else np.zeros(n, dtype=np.int32)
        order = np.argsort(group, kind="stable").astype(np.int32)
        start = np.searchsorted(group[order], group[order])
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
        complexity = self._stored.complexity.astype(np.int64)
        step = int(complexity.max()) + 2
        room = np.clip(limit - 1 - complexity[pairs.rows], -1, step - 2)
        stop = np.searchsorted(start * step + complexity[pairs.columns], pairs.first * step + room, side="right")
        return replace(pairs, stop=np.clip(stop, pairs.first, pairs.stop))

    # Storing a rung --------------------------------------------------------------------------------------------------

    def _store(self, rejected: Counter) -> None:
        """Evaluate the rung that is laid out and add it to the stored features."""
        before = len(self._stored)
        blocks = [Block(row.opcode, numbers, numbers) for row, numbers in self._unaries]
        parts = [self._evaluated(block, rejected) for block in blocks]
        parts += [self._evaluated(block, rejected) for pairs in self.pairs for block in pairs.blocks(CHUNK)]
        self._rung_start.append(before)
        everything = [self._stored, *parts]
        self._stored = _Stored(*(np.concatenate([getattr(part, name) for part in everything]) for name in _COLUMNS))
        self._drop_duplicates(before, rejected)
        self._stored = self._stored.take(self._in_order(before))
        self.sizes.append(len(self._stored) - before)

    def _in_order(self, before: int) -> np.ndarray:
        """The stored features by complexity, which the enumeration of pairs relies on, then by operator and operands."""
        stored = self._stored
        left, right = stored.left[before:], stored.right[before:]
        keys = (np.minimum(left, right), left < right, np.maximum(left, right), stored.opcode[before:])
        order = np.lexsort((*keys, stored.complexity[before:]))
        return np.concatenate([np.arange(before), before + order])

    def _evaluated(self, block: Block, rejected: Counter) -> _Stored:
        stored, row, left, right = self._stored, BY_OPCODE[block.opcode], block.left, block.right
        operands = (stored.values[left], stored.values[right])[: row.arity]
        values = row.numpy(*operands)
        if row.antisymmetric:
            # b - a is a - b up to sign; the positive one can go on into roots and logarithms.
            negative = np.less(values.max(axis=1), 0.0)
            left, right = np.where(negative, right, left), np.where(negative, left, right)
            values[negative] *= -1.0
        kept = self._admitted(values, rejected)
        left, right, values = left[kept], right[kept], values[kept]
        dimension = self._result_dimensions(row, left, right)
        complexity = stored.complexity[left] + 1
        mask = stored.mask[left]
        if row.arity == 2:
            complexity = complexity + stored.complexity[right]
            mask = mask | stored.mask[right]
        return _Stored(np.full(len(left), row.opcode, np.int16), left, right, dimension, complexity, mask, values)

    def _admitted(self, values: np.ndarray, rejected: Counter) -> np.ndarray:
        """Indices of the rows of `values` that are finite, within bounds and not constant."""
        index = np.arange(len(values))
        with np.errstate(all="ignore"):
            finite = np.isfinite(values).all(axis=1)
            largest = np.abs(values).max(axis=1)
            spread = values.std(axis=1)
            rules: list[tuple[str, Any]] = [
                ("domain", finite),
                ("bounds", (largest >= self.settings.min_abs) & (largest <= self.settings.max_abs)),
                ("constant", spread > SAME_VALUE * largest),
            ]
        for cause, admitted in rules:
            kept = index[admitted[index]]
            rejected[cause] += len(index) - len(kept)
            index = kept
        return index

    def _result_dimensions(self, row: Operator, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        own = self._stored.dimension.astype(np.int64)
        pairs, which = np.unique(own[left] * len(self._dimensions) + own[right], return_inverse=True)
        known = [
            [self._dimensions[number] for number in divmod(pair, len(self._dimensions))] for pair in pairs.tolist()
        ]
        numbers = [self._number(row.result_dimension(*operands[: row.arity])) for operands in known]
        return np.array(numbers, dtype=np.int32)[which]

    def _drop_duplicates(self, before: int, rejected: Counter) -> None:
        """Keep one of each set of numerically equal stored features: the least complex, then the first key."""
        values = self._stored.values
        largest = np.maximum(np.abs(values).max(axis=1), np.finfo(np.float64).tiny)
        weights = np.random.default_rng(0).uniform(0.5, 1.5, values.shape[1])
        signature = (values / largest[:, None]) @ (weights / weights.sum())
        order = np.argsort(signature, kind="stable")
        gap = np.diff(signature[order]) > 2 * SAME_VALUE
        dropped: list[int] = []
        for group in np.split(order, np.flatnonzero(gap) + 1):
            if len(group) > 1:
                dropped += self._duplicates_in(group, largest)
        dropped = [number for number in dropped if number >= before]
        rejected["duplicate"] += len(dropped)
        kept = np.setdiff1d(np.arange(len(values)), dropped)
        self._stored = self._stored.take(kept)
        self._expressions.clear()
        self._keys.clear()

    def _duplicates_in(self, group: np.ndarray, largest: np.ndarray) -> list[int]:
        stored = self._stored
        ranked = sorted(group.tolist(), key=lambda t: (int(stored.complexity[t]), self._stored_key(t)))
        kept: list[int] = []
        dropped = []
        for t in ranked:
            same = any(
                np.abs(stored.values[t] - stored.values[u]).max() <= SAME_VALUE * max(largest[t], largest[u])
                for u in kept
            )
            (dropped if same else kept).append(t)
        return dropped

    # Formulas --------------------------------------------------------------------------------------------------------

    def stored_expression(self, number: int) -> Expression:
        """The formula of a stored feature."""
        if number not in self._expressions:
            stored = self._stored
            opcode = int(stored.opcode[number])
            if opcode == COPY:
                formula = Expression.primary(self.names[number], self.units[number])
            else:
                formula = self.expression(opcode, int(stored.left[number]), int(stored.right[number]))
            self._expressions[number] = formula
        return self._expressions[number]

    def expression(self, opcode: int, left: int, right: int) -> Expression:
        """The formula of operator(left, right); opcode 0 is the stored feature `left` itself."""
        if opcode == COPY:
            return self.stored_expression(left)
        row = BY_OPCODE[opcode]
        operands = [self.stored_expression(left), self.stored_expression(right)][: row.arity]
        return Expression.apply(row.name, *operands, check_units=self.settings.use_units)

    def key(self, opcode: int, left: int, right: int) -> str:
        """The canonical key of `expression`, without making the expression."""
        if opcode == COPY:
            return self._stored_key(left)
        row = BY_OPCODE[opcode]
        return canonical_key(row, [self._stored_key(left), self._stored_key(right)][: row.arity])

    def _stored_key(self, number: int) -> str:
        if number not in self._keys:
            stored = self._stored
            if opcode := int(stored.opcode[number]):
                self._keys[number] = self.key(opcode, int(stored.left[number]), int(stored.right[number]))
            else:
                self._keys[number] = self.stored_expression(number).key
        return self._keys[number]

    def complexity(self, opcode: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Number of operators of features given as arrays of triples."""
        own = self._stored.complexity
        binary = np.isin(opcode, [row.opcode for row in self.operators if row.arity == 2])
        return own[left] + np.where(binary, own[right], 0) + (opcode != COPY)
