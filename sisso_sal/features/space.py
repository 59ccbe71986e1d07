"""The feature space, rung by rung: rungs below the last are stored, the last one is only laid out.

Rung 0 holds the primary features; rung r applies every operator to features of lower rungs, at least one of them of rung r - 1
(Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018), sec. II). A feature of the last rung is only the triple (operator, left, right).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.features.additions import Additions, n_fitted
from sisso_sal.features.dimension import Dimension
from sisso_sal.features.expression import Expression, canonical_key
from sisso_sal.features.layout import Builder, Layout
from sisso_sal.features.operator_names import OperatorNames, names_of, of_each_rung
from sisso_sal.features.operators import (
    BY_OPCODE,
    DEFAULT_OPERATORS,
    operators_named,
    refuse_uncompiled,
)
from sisso_sal.features.pairs import Block, Pairs
from sisso_sal.features.parameters import param_operators_named
from sisso_sal.features.stored import DimensionNumbers, duplicates, evaluated, primary_features
from sisso_sal.features.unit_rules import STRICT, UnitRules, unit_rules_named
from sisso_sal.system.machine import usable_memory

COPY = 0
"""Opcode of a stored feature taken as it is."""

CHUNK = 1 << 16
"""Features whose values are worked out at a time when a rung is stored."""

COPIES = 3
"""Times that a rung is in memory while it is stored: in pieces, put together, put in order."""

_TAKES_TWO = np.array([opcode in BY_OPCODE and BY_OPCODE[opcode].arity == 2 for opcode in range(max(BY_OPCODE) + 1)])
"""Whether the operator with an opcode has two operands."""

CAUSES = ("unit", "nesting", "complexity", "domain", "bounds", "constant", "duplicate")


@dataclass(frozen=True, kw_only=True)
class SpaceSettings:
    """What the space contains.

    Parameters
    ----------
    operators : tuple of str, or tuple of tuple of str
        Names from the operator table: of all rungs, or those of each rung.
    rung : int
        Number of times that operators are applied; 0 to 3.
    max_complexity : int or None
        Largest number of operators in a feature; None sets no limit.
    min_abs, max_abs : float
        A feature stays if min_abs <= max|f| <= max_abs over the samples.
    unit_rules : str
        What units allow, see `unit_rules.UNIT_RULES`.
    max_features : int or None
        A space with more features is refused; with None whatever fits into memory is laid out.
    param_operators : tuple of str
        Operators that also occur with a scale and a shift, which a search fits; see `features.parameters`. They need not be among
        `operators`.
    logarithms : bool
        Whether features are compared and fitted by log|f|, as for products of powers.
    """

    operators: OperatorNames = DEFAULT_OPERATORS
    rung: int = 2
    max_complexity: int | None = None
    min_abs: float = 1e-5
    max_abs: float = 1e5
    unit_rules: str = STRICT.name
    max_features: int | None = None
    param_operators: tuple[str, ...] = ()
    logarithms: bool = False

    @property
    def rules(self) -> UnitRules:
        return unit_rules_named(self.unit_rules)

    def operators_of(self, rung: int) -> tuple[str, ...]:
        """The operators that make a rung, by name.

        Examples
        --------
        >>> SpaceSettings(operators=(("add", "sub"), ("div",))).operators_of(2)
        ('div',)
        """
        return of_each_rung(self.operators, self.rung)[rung - 1]

    def __post_init__(self) -> None:
        unit_rules_named(self.unit_rules)
        if not (isinstance(self.rung, int | np.integer) and 0 <= self.rung <= 3):
            raise SettingsError(f"rung: needs an integer from 0 to 3, found {self.rung!r}")
        of_each_rung(self.operators, self.rung)
        if param_operators_named(self.param_operators) and self.rung == 0:
            raise SettingsError("param_operators: needs a rung of 1 or more, found 0")
        if self.max_complexity is not None and self.max_complexity < 0:
            raise SettingsError(f"max_complexity: needs a number >= 0, found {self.max_complexity!r}")
        if self.max_features is not None and self.max_features < 1:
            raise SettingsError(f"max_features: needs a number >= 1, found {self.max_features!r}")
        if not 0 <= self.min_abs < self.max_abs:
            raise SettingsError(f"min_abs, max_abs: needs 0 <= min_abs < max_abs, found {self.min_abs}, {self.max_abs}")


@dataclass(frozen=True, eq=False)
class SpaceRecipe:
    """All that a space is made of: it is small, travels in place of the space, and makes the same space elsewhere.

    Attributes
    ----------
    names, units : tuple of str
        Of the primary features.
    values : ndarray (n_primary, n_samples)
        Of the primary features.
    settings : SpaceSettings
    digest : str
        Of how the stored features are made.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: np.ndarray
    settings: SpaceSettings
    digest: str

    def made(self) -> FeatureSpace:
        """The space; its stored features are evaluated again.

        Raises
        ------
        FitError
            They are not those of the space whose recipe it is: their numbers would mean other features.
        """
        space = FeatureSpace(self.names, self.units, self.values, self.settings)
        if space.digest() != self.digest:
            raise FitError(
                "feature space: needs the same stored features in each process, found others in this one; are the versions of "
                "Python, NumPy and sisso-sal the same on all workers?"
            )
        return space


class FeatureSpace:
    """All features of given rungs over given samples. It pickles as its recipe.

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
    >>> space = FeatureSpace(["a", "b"], ["eV", "eV"], np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 5.0]]),
    ...                      SpaceSettings(operators=("add", "div"), rung=1))
    >>> [str(space.expression(*triple)) for triple in space.triples()]
    ['a', 'b', 'a + b', 'a/b', 'b/a']
    """

    def __init__(self, names: Sequence[str], units: Sequence[str], values: np.ndarray, settings: SpaceSettings):
        self.settings = settings
        self.names = tuple(names)
        self.units = tuple(units)
        self.operators = [operators_named(names) for names in of_each_rung(settings.operators, settings.rung)]
        refuse_uncompiled(operators_named(sorted(names_of(settings.operators))))
        self.rejected: list[Counter] = [Counter()]
        self._numbers = DimensionNumbers(settings.rules)
        self._expressions: dict[int, Expression] = {}
        self._keys: dict[int, str] = {}
        self._additions = Additions()
        self._unit_numbers: dict[tuple[int, int, int], int] = {}
        self._result_units: dict[Dimension, int] = {}
        known_units = self.units if settings.rules.are_checked else [""] * len(self.units)
        primaries = np.ascontiguousarray(values, dtype=np.float64)
        self._stored = primary_features(self.names, known_units, primaries, self._numbers)
        self._rung_start = [0]
        self.sizes = [len(self._stored)]
        self._last = Layout([], [])
        for rung in range(1, settings.rung + 1):
            self.rejected.append(Counter())
            self._last = self._builder(rung).lay_out(settings.max_complexity, self.rejected[-1])
            self._check_size(rung, self._last.n_features)
            if rung < settings.rung:
                self._store(self.rejected[-1])
            else:
                self.sizes.append(self._last.n_features)

    @property
    def values(self) -> np.ndarray:
        """ndarray (n_stored, n_samples): values of the stored features, in the units of the primaries."""
        return self._stored.values

    @property
    def masks(self) -> np.ndarray:
        """ndarray (n_stored, n_words) of uint64: bit p is set where primary feature p occurs."""
        return self._stored.mask

    @property
    def pairs(self) -> list[Pairs]:
        """Features of the last rung that have two operands."""
        return self._last.pairs

    @property
    def n_samples(self) -> int:
        return self._stored.values.shape[1]

    @property
    def n_features(self) -> int:
        """Number of features that a pass over the space looks at."""
        return sum(self.sizes)

    # Features with parameters -----------------------------------------------------------------------------------------

    def add(self, expression: Expression, values: np.ndarray) -> int:
        """Give a feature with parameters a number, behind those of the stored features; no pass over the space looks at it.

        Parameters
        ----------
        expression : Expression
        values : ndarray (n_samples,)
            Its values.
        """
        return len(self._stored) + self._additions.place(expression, values)

    def added_values(self, numbers: np.ndarray) -> np.ndarray:
        """ndarray (n_features, n_samples): values of features that were added, by their numbers."""
        places = (numbers - len(self._stored)).tolist()
        return np.array([self._additions.values[place] for place in places]).reshape(-1, self.n_samples)

    def is_added(self, numbers: np.ndarray) -> np.ndarray:
        """ndarray (n_features,) of bool: whether these are numbers of features that were added."""
        return numbers >= len(self._stored)

    def n_parameters(self, numbers: np.ndarray) -> np.ndarray:
        """ndarray (n_features,): parameters that were fitted in features with these numbers."""
        counts = np.array([0, *map(n_fitted, self._additions.expressions)])
        return counts[np.maximum(numbers - len(self._stored) + 1, 0)]

    def masks_of(self, numbers: np.ndarray) -> np.ndarray:
        """ndarray (n_features, n_words) of uint64: rows of `masks`, also of features that were added."""
        if not self._additions.values:
            return self.masks[numbers]
        place = {name: number for number, name in enumerate(self.names)}
        own = [
            np.bitwise_or.reduce(self.masks[[place[name] for name in formula.primaries()]], axis=0)
            for formula in self._additions.expressions
        ]
        return np.concatenate([self.masks, np.array(own)])[numbers]

    # Elsewhere -------------------------------------------------------------------------------------------------------

    def recipe(self) -> SpaceRecipe:
        """What makes this space again."""
        return SpaceRecipe(self.names, self.units, self.values[: self.sizes[0]], self.settings, self.digest())

    def digest(self) -> str:
        """Hash of how the stored features are made, and of how many features there are."""
        stored, content = self._stored, sha256(repr((self.names, self.sizes)).encode())
        for column in (stored.opcode, stored.left, stored.right):
            content.update(np.ascontiguousarray(column).tobytes())
        return content.hexdigest()

    def __reduce__(self) -> tuple:
        return SpaceRecipe.made, (self.recipe(),)

    # Enumeration -----------------------------------------------------------------------------------------------------

    def singles(self, size: int = 4096) -> Iterator[Block]:
        """The stored features, then those that unary operators make of them in the last rung, `size` at most in a block."""
        stored = np.arange(len(self._stored), dtype=np.int32)
        for opcode, numbers in ((COPY, stored), *((row.opcode, numbers) for row, numbers in self._last.unaries)):
            for start in range(0, len(numbers), size):
                part = numbers[start : start + size]
                yield Block(opcode, part, part)

    def triples(self) -> Iterator[tuple[int, int, int]]:
        """Every feature as (opcode, left, right)."""
        for block in (*self.singles(), *(block for pairs in self.pairs for block in pairs.blocks(CHUNK))):
            for left, right in zip(block.left.tolist(), block.right.tolist(), strict=True):
                yield block.opcode, left, right

    def _builder(self, rung: int) -> Builder:
        unitless = None if self.settings.rules.is_any_argument else self._numbers.unitless
        return Builder(self.operators[rung - 1], self._stored, self._rung_start[-1], unitless)

    def _check_size(self, rung: int, n_features: int) -> None:
        """Refuse a rung that is larger than admitted or, if it is to be stored, than memory; say what would fit."""
        most, reason = float("inf"), ""
        if self.settings.max_features is not None:
            most, reason = self.settings.max_features, f"at most {self.settings.max_features:.3g} (--max-features)"
        if rung < self.settings.rung:
            bytes_each = COPIES * 8 * self.n_samples
            n_in_memory = usable_memory() // bytes_each
            if n_in_memory < most:
                free = usable_memory() / 2**30
                most, reason = n_in_memory, f"at most {n_in_memory:.3g} (they are stored, {free:.1f} GiB are free)"
        if n_features > most:
            raise SettingsError(
                f"feature space: needs {reason} features of rung {rung}, found {n_features:.3g}; "
                f"try {self.smaller(rung, most)}, or fewer operators or primary features"
            )

    def smaller(self, rung: int, most: float) -> str:
        """The option with which the rung above the stored ones has at most so many features."""
        largest = 2 * int(self._stored.complexity.max()) + 1
        builder, limits = self._builder(rung), range(largest, rung - 1, -1)
        fitting = (limit for limit in limits if builder.lay_out(limit, Counter()).n_features <= most)
        limit = next(fitting, None)
        return f"--rung {rung - 1}" if limit is None else f"--max-complexity {limit}"

    def _store(self, rejected: Counter) -> None:
        """Evaluate the rung that is laid out and add it to the stored features."""
        before, bounds = len(self._stored), (self.settings.min_abs, self.settings.max_abs)
        blocks = self._last.blocks(CHUNK)
        parts = [evaluated(block, self._stored, self._numbers, bounds, rejected) for block in blocks]
        self._rung_start.append(before)
        self._stored = self._stored.with_more(parts)
        dropped = [number for number in duplicates(self._stored, self._stored_key) if number >= before]
        rejected["duplicate"] += len(dropped)
        self._stored = self._stored.take(np.setdiff1d(np.arange(len(self._stored)), dropped))
        self._expressions.clear()
        self._keys.clear()
        self._stored = self._stored.take(self._stored.in_order(before))
        self.sizes.append(len(self._stored) - before)

    def unit_numbers(self, opcode: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """ndarray (n_features,) of int64: equal numbers for equal units."""
        own = self._stored.dimension
        kinds = zip(opcode.tolist(), own[left].tolist(), own[right].tolist(), strict=True)
        return np.array([self._unit_number(kind) for kind in kinds], dtype=np.int64)

    def _unit_number(self, kind: tuple[int, int, int]) -> int:
        """Number of the unit that an operator makes of the units with two numbers."""
        if kind not in self._unit_numbers:
            opcode, *numbers = kind
            units = [self._numbers.dimension(number) for number in numbers]
            unit = units[0] if opcode == COPY else self._numbers.result(BY_OPCODE[opcode], units)
            self._unit_numbers[kind] = self._result_units.setdefault(unit, len(self._result_units))
        return self._unit_numbers[kind]

    # Formulas --------------------------------------------------------------------------------------------------------

    def stored_expression(self, number: int) -> Expression:
        """The formula of a stored feature, or of one that was added."""
        if number >= len(self._stored):
            return self._additions.expressions[number - len(self._stored)]
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
        return Expression.apply(row.name, *operands, rules=self.settings.rules)

    def key(self, opcode: int, left: int, right: int) -> str:
        """The canonical key of `expression`, without making the expression."""
        if opcode == COPY:
            return self._stored_key(left)
        row = BY_OPCODE[opcode]
        return canonical_key(row, [self._stored_key(left), self._stored_key(right)][: row.arity])

    def _stored_key(self, number: int) -> str:
        if number not in self._keys:
            if number >= len(self._stored):
                return self.stored_expression(number).key
            stored = self._stored
            if opcode := int(stored.opcode[number]):
                self._keys[number] = self.key(opcode, int(stored.left[number]), int(stored.right[number]))
            else:
                self._keys[number] = self.stored_expression(number).key
        return self._keys[number]

    def complexity(self, opcode: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Number of operators of features given as arrays of triples."""
        own = self._stored.complexity
        if self._additions.values:
            own = np.concatenate([own, [formula.complexity for formula in self._additions.expressions]])
        return own[left] + np.where(_TAKES_TWO[opcode], own[right], 0) + (opcode != COPY)
