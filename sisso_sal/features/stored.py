"""Stored features: their values and what is known of each, one entry per feature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sisso_sal.errors import FitError
from sisso_sal.features.dimension import NONE, Dimension, parse_unit
from sisso_sal.features.operators import BY_OPCODE, Operator
from sisso_sal.features.pairs import Block
from sisso_sal.features.unit_rules import STRICT, UnitRules

SAME_VALUE = 1e-10
"""Two stored features of one unit are one if no value differs by more than this, relative to the largest; a feature whose
standard deviation is smaller is constant.
"""

_COLUMNS = ("opcode", "left", "right", "dimension", "complexity", "mask", "values")


class DimensionNumbers:
    """Numbers for the units that occur among the features.

    Examples
    --------
    >>> numbers = DimensionNumbers()
    >>> numbers.of(parse_unit("eV")), numbers.of(NONE), numbers.of(parse_unit("eV"))
    (0, 1, 0)
    """

    def __init__(self, rules: UnitRules = STRICT) -> None:
        self._rules = rules
        self._dimensions: list[Dimension] = []
        self._numbers: dict[Dimension, int] = {}

    def of(self, dimension: Dimension) -> int:
        """The number of a unit; a new one gets the next number."""
        if dimension not in self._numbers:
            self._numbers[dimension] = len(self._dimensions)
            self._dimensions.append(dimension)
        return self._numbers[dimension]

    def dimension(self, number: int) -> Dimension:
        """The unit with this number."""
        return self._dimensions[number]

    def result(self, row: Operator, operands: Sequence[Dimension]) -> Dimension:
        """Unit of an operator's result; operands beyond those that it takes do not count."""
        return self._rules.result(row, *operands[: row.arity])

    @property
    def unitless(self) -> int:
        """The number of "no unit", -1 if that does not occur."""
        return self._numbers.get(NONE, -1)

    def of_results(self, row: Operator, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """ndarray (n_features,) of int32: numbers of an operator's results on operands with the numbers left and right."""
        n_known = len(self._dimensions)
        pairs, which = np.unique(left.astype(np.int64) * n_known + right, return_inverse=True)
        operands = [[self._dimensions[number] for number in divmod(pair, n_known)] for pair in pairs.tolist()]
        numbers = [self.of(self.result(row, dimensions)) for dimensions in operands]
        return np.array(numbers, dtype=np.int32)[which]


@dataclass
class StoredFeatures:
    """Columns of the stored features.

    Attributes
    ----------
    opcode, left, right : ndarray (n_stored,)
        How each was made; opcode 0 is a primary feature.
    dimension : ndarray (n_stored,) of int32
        See `DimensionNumbers`.
    complexity : ndarray (n_stored,) of int16
        Number of operators.
    mask : ndarray (n_stored, n_words) of uint64
        Bit p is set where primary feature p occurs.
    values : ndarray (n_stored, n_samples)
        In the units of the primaries.
    least, largest : ndarray (n_stored,)
        Extremes of the values.
    """

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

    def take(self, index: np.ndarray) -> StoredFeatures:
        return StoredFeatures(*(getattr(self, name)[index] for name in _COLUMNS))

    def with_more(self, parts: Sequence[StoredFeatures]) -> StoredFeatures:
        """These features, then those of the parts."""
        every = [self, *parts]
        return StoredFeatures(*(np.concatenate([getattr(part, name) for part in every]) for name in _COLUMNS))

    def in_order(self, before: int) -> np.ndarray:
        """Numbers of the features, those from `before` on ordered by complexity, on which pairs rely, operands, operator."""
        left, right = self.left[before:], self.right[before:]
        keys = (np.minimum(left, right), left < right, np.maximum(left, right), self.opcode[before:])
        order = np.lexsort((*keys, self.complexity[before:]))
        return np.concatenate([np.arange(before), before + order])


def primary_features(
    names: Sequence[str], units: Sequence[str], values: np.ndarray, numbers: DimensionNumbers
) -> StoredFeatures:
    """The primary features as stored ones; units "" for none.

    Raises
    ------
    FitError
        A primary feature is not finite.
    """
    for name, row in zip(names, values, strict=True):
        if not np.isfinite(row).all():
            raise FitError(f"primary feature '{name}': needs finite values, found {row[~np.isfinite(row)][0]}")
    n = len(names)
    dimension = [numbers.of(parse_unit(unit)) for unit in units]
    mask = np.zeros((n, (n + 63) // 64), dtype=np.uint64)
    for i in range(n):
        mask[i, i // 64] = np.uint64(1) << np.uint64(i % 64)
    number = np.arange(n, dtype=np.int32)
    return StoredFeatures(
        np.zeros(n, np.int16), number, number, np.array(dimension, np.int32), np.zeros(n, np.int16), mask, values
    )


def evaluated(
    block: Block, stored: StoredFeatures, numbers: DimensionNumbers, bounds: tuple[float, float], rejected: Counter
) -> StoredFeatures:
    """The features of a block that are finite, within the bounds of max|f| and not constant; the others are counted."""
    row, left, right = BY_OPCODE[block.opcode], block.left, block.right
    values = row.numpy(*(stored.values[left], stored.values[right])[: row.arity])
    if row.antisymmetric:
        # b - a is a - b up to sign; the positive one can go on into roots and logarithms.
        negative = np.less(values.max(axis=1), 0.0)
        left, right = np.where(negative, right, left), np.where(negative, left, right)
        values[negative] *= -1.0
    kept = _admitted(values, bounds, rejected)
    left, right, values = left[kept], right[kept], values[kept]
    dimension = numbers.of_results(row, stored.dimension[left], stored.dimension[right])
    complexity = stored.complexity[left] + 1
    mask = stored.mask[left]
    if row.arity == 2:
        complexity = complexity + stored.complexity[right]
        mask = mask | stored.mask[right]
    opcode = np.full(len(left), row.opcode, np.int16)
    return StoredFeatures(opcode, left, right, dimension, complexity, mask, values)


def _admitted(values: np.ndarray, bounds: tuple[float, float], rejected: Counter) -> np.ndarray:
    """Indices of the rows of `values` that are finite, within bounds and not constant."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(values).all(axis=1)
        largest = np.abs(values).max(axis=1)
        spread = values.std(axis=1)
        rules: list[tuple[str, Any]] = [
            ("domain", finite),
            ("bounds", (largest >= bounds[0]) & (largest <= bounds[1])),
            ("constant", spread > SAME_VALUE * largest),
        ]
    return kept_by(rules, np.arange(len(values)), rejected)


def kept_by(rules: Sequence[tuple[str, np.ndarray]], index: np.ndarray, rejected: Counter) -> np.ndarray:
    """Those of the index that each rule, (cause, admitted (n,) of bool), admits in turn; the others are counted."""
    for cause, admitted in rules:
        kept = index[admitted[index]]
        rejected[cause] += len(index) - len(kept)
        index = kept
    return index


def duplicates(stored: StoredFeatures, key: Callable[[int], str]) -> list[int]:
    """Numbers of features with the unit and the values of another: of each set the least complex stays, then the first key."""
    values = stored.values
    largest = np.maximum(np.abs(values).max(axis=1), np.finfo(np.float64).tiny)
    weights = np.random.default_rng(0).uniform(0.5, 1.5, values.shape[1])
    signature = (values / largest[:, None]) @ (weights / weights.sum())
    order = np.argsort(signature, kind="stable")
    gap = np.diff(signature[order]) > 2 * SAME_VALUE
    dropped: list[int] = []
    for group in np.split(order, np.flatnonzero(gap) + 1):
        if len(group) > 1:
            dropped += _duplicates_in(group, stored, largest, key)
    return dropped


def _duplicates_in(
    group: np.ndarray, stored: StoredFeatures, largest: np.ndarray, key: Callable[[int], str]
) -> list[int]:
    ranked = sorted(group.tolist(), key=lambda t: (int(stored.complexity[t]), key(t)))
    kept: list[int] = []
    dropped = []
    for t in ranked:
        same = any(
            stored.dimension[t] == stored.dimension[u]
            and np.abs(stored.values[t] - stored.values[u]).max() <= SAME_VALUE * max(largest[t], largest[u])
            for u in kept
        )
        (dropped if same else kept).append(t)
    return dropped
