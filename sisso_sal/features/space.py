"""The feature space, rung by rung: rungs below the last are stored, the last one is a stream of blocks.

Rung 0 holds the primary features; rung r applies every operator to features of lower rungs, at least one of them of rung r - 1
(Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018), sec. II). A feature of the last rung is only the triple (operator, left, right).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.features.dimension import NONE, Dimension, parse_unit
from sisso_sal.features.expression import Expression, canonical_key
from sisso_sal.features.operators import (
    BY_OPCODE,
    DEFAULT_OPERATORS,
    EQUAL,
    QUOTIENT,
    UNITLESS,
    Operator,
    operators_named,
)

COPY = 0
"""Opcode of a stored feature taken as it is."""

SAME_VALUE = 1e-10
"""Two stored features are one if no value differs by more than this, relative to the largest; a feature whose standard
deviation is smaller is constant.
"""

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
    """

    operators: tuple[str, ...] = DEFAULT_OPERATORS
    rung: int = 2
    max_complexity: int | None = None
    min_abs: float = 1e-5
    max_abs: float = 1e5
    use_units: bool = True

    def __post_init__(self) -> None:
        operators_named(self.operators)
        if not self.operators and self.rung:
            raise SettingsError("operators: needs at least one operator, found none")
        if not (isinstance(self.rung, int | np.integer) and 0 <= self.rung <= 3):
            raise SettingsError(f"rung: needs an integer from 0 to 3, found {self.rung!r}")
        if self.max_complexity is not None and self.max_complexity < 0:
            raise SettingsError(f"max_complexity: needs a number >= 0, found {self.max_complexity!r}")
        if not 0 <= self.min_abs < self.max_abs:
            raise SettingsError(f"min_abs, max_abs: needs 0 <= min_abs < max_abs, found {self.min_abs}, {self.max_abs}")


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

    Examples
    --------
    >>> space = Space(["a", "b"], ["eV", "eV"], np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 5.0]]),
    ...               SpaceSettings(operators=("add", "div"), rung=1))
    >>> [str(space.expression(*triple)) for triple in space.triples()]
    ['a', 'b', 'a + b', 'b/a', 'a/b']
    """

    def __init__(self, names: Sequence[str], units: Sequence[str], values: np.ndarray, settings: SpaceSettings):
        self.settings = settings
        self.names = tuple(names)
        self.units = tuple(units)
        self.operators = operators_named(settings.operators)
        self.rejected: list[Counter] = [Counter()]
        self._dimensions: list[Dimension] = []
        self._dimension_numbers: dict[Dimension, int] = {}
        self._expressions: dict[int, Expression] = {}
        self._stored = self._primaries(np.ascontiguousarray(values, dtype=np.float64))
        self._rung_start = [0]
        self.sizes = [len(self._stored)]
        for rung in range(1, settings.rung):
            self._store_rung(rung)
        if settings.rung:
            self.rejected.append(Counter())
            self.sizes.append(self._count_last())

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

    def blocks(self, size: int = 4096) -> Iterator[Block]:
        """All features of the space: the stored ones, then the last rung, `size` at most in a block."""
        stored = np.arange(len(self._stored), dtype=np.int32)
        for start in range(0, len(stored), size):
            part = stored[start : start + size]
            yield Block(COPY, part, part)
        if self.settings.rung:
            for row, left, right in self._candidates(Counter()):
                for start in range(0, len(left), size):
                    yield Block(row.opcode, left[start : start + size], right[start : start + size])

    def triples(self) -> Iterator[tuple[int, int, int]]:
        """Every feature as (opcode, left, right)."""
        for block in self.blocks():
            for left, right in zip(block.left.tolist(), block.right.tolist(), strict=True):
                yield block.opcode, left, right

    def _count_last(self) -> int:
        return sum(len(left) for _, left, _ in self._candidates(self.rejected[-1]))

    def _candidates(self, rejected: Counter, chunk: int = 1 << 16) -> Iterator[tuple[Operator, np.ndarray, np.ndarray]]:
        """Operator and operand numbers of the next rung; counts what the unit, nesting, domain and complexity rules refuse."""
        first_new = self._rung_start[-1]
        for row in self.operators:
            if row.arity == 1:
                left = self._unary(row, first_new, rejected)
                for start in range(0, len(left), chunk):
                    yield row, left[start : start + chunk], left[start : start + chunk]
                continue
            lefts, rights, held = [], [], 0
            for left, right in self._binary(row, first_new, rejected):
                lefts.append(left)
                rights.append(right)
                held += len(left)
                if held >= chunk:
                    yield row, np.concatenate(lefts), np.concatenate(rights)
                    lefts, rights, held = [], [], 0
            if held:
                yield row, np.concatenate(lefts), np.concatenate(rights)

    def _unary(self, row: Operator, first_new: int, rejected: Counter) -> np.ndarray:
        stored = self._stored
        index = np.arange(first_new, len(stored), dtype=np.int32)
        trivial = [opcode for opcode, inner in BY_OPCODE.items() if inner.name in row.trivial_on]
        rules = [("nesting", ~np.isin(stored.opcode, trivial))]
        if row.unit_rule == UNITLESS:
            rules.append(("unit", stored.dimension == self._dimension_numbers.get(NONE, -1)))
        if self.settings.max_complexity is not None:
            rules.append(("complexity", stored.complexity + 1 <= self.settings.max_complexity))
        rules.append(("domain", row.admits(stored.least, stored.largest)))
        for cause, admitted in rules:
            kept = index[admitted[index]]
            rejected[cause] += len(index) - len(kept)
            index = kept
        return index

    def _binary(self, row: Operator, first_new: int, rejected: Counter) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each new feature i its partners j < i, as (left, right) in the order the operator wants."""
        stored = self._stored
        every = np.arange(len(stored), dtype=np.int32)
        groups: dict[int, np.ndarray] = {}
        if row.unit_rule == EQUAL:
            groups = {number: every[stored.dimension == number] for number in np.unique(stored.dimension).tolist()}
        denominators = row.admits(stored.least, stored.largest)
        for i in range(first_new, len(stored)):
            partners = every[:i]
            if row.unit_rule == EQUAL:
                group = groups[int(stored.dimension[i])]
                partners = group[: np.searchsorted(group, i)]
                rejected["unit"] += i - len(partners)
            if self.settings.max_complexity is not None:
                room = self.settings.max_complexity - 1 - int(stored.complexity[i])
                kept = partners[stored.complexity[partners] <= room]
                orders = 2 if row.unit_rule == QUOTIENT else 1  # a/b and b/a
                rejected["complexity"] += orders * (len(partners) - len(kept))
                partners = kept
            own = np.full(len(partners), i, dtype=np.int32)
            if row.unit_rule == QUOTIENT:
                fit = denominators[partners]
                rejected["domain"] += int((~fit).sum()) + (0 if denominators[i] else len(partners))
                yield own[fit], partners[fit]
                if denominators[i]:
                    yield partners, own
            elif row.commutative:
                yield own, partners
            else:
                yield partners, own

    # Storing a rung --------------------------------------------------------------------------------------------------

    def _store_rung(self, rung: int) -> None:
        rejected: Counter = Counter()
        parts = [self._evaluated(row, left, right, rejected) for row, left, right in self._candidates(rejected)]
        self._rung_start.append(len(self._stored))
        before = len(self._stored)
        everything = [self._stored, *parts]
        self._stored = _Stored(*(np.concatenate([getattr(part, name) for part in everything]) for name in _COLUMNS))
        self._drop_duplicates(before, rejected)
        self.rejected.append(rejected)
        self.sizes.append(len(self._stored) - before)

    def _evaluated(self, row: Operator, left: np.ndarray, right: np.ndarray, rejected: Counter) -> _Stored:
        stored = self._stored
        operands = (stored.values[left], stored.values[right])[: row.arity]
        values = row.numpy(*operands)
        if row.name == "sub":
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
        known: dict[tuple[int, int], int] = {}
        own = self._stored.dimension
        pairs = zip(own[left].tolist(), own[right].tolist(), strict=True)
        out = np.empty(len(left), dtype=np.int32)
        for t, pair in enumerate(pairs):
            if pair not in known:
                operands = tuple(self._dimensions[number] for number in pair)[: row.arity]
                known[pair] = self._number(row.result_dimension(*operands))
            out[t] = known[pair]
        return out

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

    def _duplicates_in(self, group: np.ndarray, largest: np.ndarray) -> list[int]:
        stored = self._stored
        ranked = sorted(group.tolist(), key=lambda t: (int(stored.complexity[t]), self.stored_expression(t).key))
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
            return self.stored_expression(left).key
        row = BY_OPCODE[opcode]
        keys = [self.stored_expression(left).key, self.stored_expression(right).key][: row.arity]
        return canonical_key(row, keys)

    def complexity(self, opcode: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Number of operators of features given as arrays of triples."""
        own = self._stored.complexity
        binary = np.isin(opcode, [row.opcode for row in self.operators if row.arity == 2])
        return own[left] + np.where(binary, own[right], 0) + (opcode != COPY)
