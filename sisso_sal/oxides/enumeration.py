"""Charge-balanced oxides of given metals as a pool of candidates that is never all in memory.

`sisso_sal.oxides.pool` fills known structure types; here every composition counts whose metals have common oxidation states and
small whole indices. Formulas and primary features are made in parts, each from its name alone.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.oxides.balance import (
    BalancedOxides,
    MetalTable,
    balanced_oxides,
    count_balanced,
    formulas_of,
    metal_table,
)
from sisso_sal.oxides.compositions import compositions_of
from sisso_sal.oxides.element_groups import elements_named
from sisso_sal.oxides.elements import element_data
from sisso_sal.oxides.metals import METALS, check_metals
from sisso_sal.oxides.primary_features import PRIMARY_FEATURES, check_values, feature_values

__all__ = ["OxideBlock", "OxideEnumeration", "OxidePart"]

_VERSION = 1
"""Of the rules and the order; a change of what is enumerated raises it."""

_MOST_METALS, _MOST_INDEX, _MOST_POSITIONS = 6, 99, 1 << 62
_SETTINGS = ("metals", "exclude", "max_metals", "min_metals", "max_index")


class OxidePart(NamedTuple):
    """Some of the oxides of one number of metals: those from position `start` to before `stop`, see `balanced_oxides`."""

    n_metals: int
    start: int
    stop: int


class OxideBlock(NamedTuple):
    """Candidates of a part.

    - ``formulas``: ndarray (n,) of str objects; as `sisso_sal.oxides.pool.reduced_formula` writes them.
    - ``features``: dict of str to ndarray (n,); header with unit, as in `PRIMARY_FEATURES` -> values.
    - ``shares``: callable; makes the atomic fractions, ndarray (n, n_in_table), elements as in `element_data`.
    """

    formulas: np.ndarray
    features: dict[str, np.ndarray]
    shares: Callable[[], np.ndarray]


@dataclass(frozen=True)
class OxideEnumeration:
    """All charge-balanced oxides of some metals with common oxidation states.

    Parameters
    ----------
    metals : tuple of str
        Elements with a common positive oxidation state (``elements.csv``).
    max_metals, min_metals : int
        Metals in an oxide, at most 6.
    max_index : int
        Largest index of a metal in the reduced formula, at most 99. Oxygen (-2) has the index that balances the charges.

    Attributes
    ----------
    metals : tuple of str
        In alphabetical order, without those of `left_out`.
    left_out : mapping of str to str
        Metals without some elemental value, each with the reason.

    Raises
    ------
    InputError
        An element cannot be a metal here, or a number is out of bounds.

    Examples
    --------
    >>> oxides = OxideEnumeration.parse("oxides:metals=Sr,Ti,max_index=2")
    >>> blocks = [oxides.read(part) for part in oxides.parts(1000)]
    >>> [block.formulas.tolist() for block in blocks]
    [['SrO', 'TiO2'], ['SrTiO3', 'SrTi2O5', 'Sr2TiO4']]
    >>> blocks[1].features["max_OS"]
    array([4., 4., 4.])
    """

    metals: tuple[str, ...] = METALS
    max_metals: int = 2
    min_metals: int = 1
    max_index: int = 6
    left_out: Mapping[str, str] = field(init=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        symbols = sorted(set(self.metals))
        check_metals(symbols, "oxides: metals")
        left_out = {symbol: reason for symbol in symbols if (reason := _reason_against(symbol))}
        object.__setattr__(self, "metals", tuple(symbol for symbol in symbols if symbol not in left_out))
        object.__setattr__(self, "left_out", left_out)
        for name, most in (("max_metals", _MOST_METALS), ("min_metals", _MOST_METALS), ("max_index", _MOST_INDEX)):
            value = getattr(self, name)
            if not (isinstance(value, int) and 1 <= value <= most):
                raise InputError(f"oxides: {name} needs a whole number from 1 to {most}, found {value}")
        if self.min_metals > self.max_metals:
            raise InputError(f"oxides: min_metals needs at most max_metals, {self.max_metals}, found {self.min_metals}")
        if self.min_metals > len(self.metals):
            known = "; ".join([", ".join(self.metals) or "none", *left_out.values()])
            raise InputError(f"oxides: metals needs at least min_metals, {self.min_metals}, found {known}")
        if max(self._n_positions(size) for size in self._sizes) > _MOST_POSITIONS:
            raise InputError(
                f"oxides: needs fewer metals or a smaller max_index, found {self.max_index}: too many to number"
            )

    @classmethod
    def parse(cls, text: str) -> OxideEnumeration:
        """The enumeration that a text stands for.

        Parameters
        ----------
        text : str
            ``oxides``, or ``oxides:`` and settings with commas between them: ``metals``, ``max_metals``, ``min_metals``,
            ``max_index``, and ``exclude``: elements, or groups of elements, that are not taken.

        Raises
        ------
        InputError
            A setting is unknown, comes twice or cannot be used.

        Examples
        --------
        >>> OxideEnumeration.parse("oxides:metals=Li,Na,Ti,max_metals=3")
        OxideEnumeration(metals=('Li', 'Na', 'Ti'), max_metals=3, min_metals=1, max_index=6, left_out={})
        >>> len(OxideEnumeration.parse("oxides:exclude=toxic,radioactive").metals)
        56
        """
        name, _, rest = text.partition(":")
        if name.strip() != "oxides":
            raise InputError(f"pool '{text}': needs oxides or oxides:SETTINGS, found '{name}'")
        settings = _settings(rest, text)
        metals = settings.pop("metals", METALS)
        numbers = {name: _whole(values, name, text) for name, values in settings.items() if name != "exclude"}
        refused = elements_named(settings.get("exclude", ()), f"pool '{text}': exclude")
        try:
            return cls(tuple(metal for metal in metals if metal not in refused), **numbers)
        except InputError as reason:
            raise InputError(f"pool '{text}': {str(reason).removeprefix('oxides: ')}") from reason

    @property
    def _sizes(self) -> range:
        return range(self.min_metals, min(self.max_metals, len(self.metals)) + 1)

    @cached_property
    def _table(self) -> MetalTable:
        return metal_table(self.metals)

    def _n_positions(self, size: int) -> int:
        return math.comb(len(self.metals), size) * self.max_index**size

    def count(self) -> int:
        """How many oxides there are, without making them all: in 0.2 s for three of all metals, in 3 s for four.

        With indices up to 12 it takes 0.6 and 50 s.

        Examples
        --------
        >>> OxideEnumeration(("Ti", "Sr"), max_index=2).count()
        5
        """
        return sum(count_balanced(self._table, size, self.max_index) for size in self._sizes)

    def parts(self, size: int) -> Iterator[OxidePart]:
        """Names of parts of about `size` oxides each, which together have every oxide once.

        Parameters
        ----------
        size : int

        Yields
        ------
        OxidePart
            By the number of metals, then the metals in lexicographic order, then their indices. Where the metals are many,
            parts of two and more metals have `size` oxides to within a factor of about two.

        Examples
        --------
        >>> list(OxideEnumeration(("Ti", "Sr"), max_index=2).parts(3))
        [OxidePart(n_metals=1, start=0, stop=4), OxidePart(n_metals=2, start=0, stop=4)]
        """
        if size < 1:
            raise InputError(f"oxides: a part needs at least 1 oxide, found {size}")
        n_states = self._table.n_states.tolist()
        for n_metals in self._sizes:
            # Half of the choices of states have an even charge.
            step = max(1, round(2 * size / _mean_product(n_states, n_metals)))
            total = self._n_positions(n_metals)
            for start in range(0, total, step):
                yield OxidePart(n_metals, start, min(total, start + step))

    def read(self, part: OxidePart) -> OxideBlock:
        """The oxides of a part, with their features.

        Parameters
        ----------
        part : OxidePart
            Of this enumeration.

        Examples
        --------
        >>> block = OxideEnumeration(("Al", "Mg"), max_index=2).read(OxidePart(2, 0, 4))
        >>> block.formulas.tolist(), block.features["AN"].tolist()
        (['MgAl2O4', 'Mg2Al2O5'], [11.0, 11.0])
        >>> block.shares().sum(axis=1).tolist()
        [1.0, 1.0]
        """
        slabs = list(balanced_oxides(self._table, part.n_metals, self.max_index, part.start, part.stop))
        oxides = BalancedOxides(*(np.concatenate(columns, axis=-1) for columns in zip(*slabs, strict=True)))
        known = (oxides.metals, oxides.indices, oxides.states, oxides.oxygen)
        compositions = compositions_of(self._table, *known)
        shares = partial(_shares, compositions.elements.astype(np.int16), compositions.amounts.astype(np.int32))
        return OxideBlock(formulas_of(self._table, oxides), feature_values(compositions), shares)

    def describe(self) -> dict[str, Any]:
        """All that decides the oxides, their order and their features, as plain data: for the name of a result.

        Examples
        --------
        >>> OxideEnumeration(("Ti", "Sr")).describe() == OxideEnumeration(("Sr", "Ti")).describe()
        True
        """
        data = resources.files("sisso_sal.oxides").joinpath("elements.csv").read_bytes()
        return {
            "pool": "oxides",
            "version": _VERSION,
            "metals": list(self.metals),
            "max_metals": self.max_metals,
            "min_metals": self.min_metals,
            "max_index": self.max_index,
            "features": [feature.header for feature in PRIMARY_FEATURES],
            "elements": hashlib.sha256(data).hexdigest(),
        }


def _reason_against(symbol: str) -> str:
    """Why a metal cannot be used, "" if it can."""
    try:
        check_values([symbol, "O"])
    except InputError as reason:
        return str(reason)
    return ""


def _settings(rest: str, text: str) -> dict[str, list[str]]:
    """Name of a setting -> what stands after it, separated at the commas."""
    settings: dict[str, list[str]] = {}
    values: list[str] | None = None
    for piece in rest.split(",") if rest.strip() else ():
        name, equals, value = (word.strip() for word in piece.partition("="))
        if equals:
            if name not in _SETTINGS or name in settings:
                problem = f"'{name}' twice" if name in settings else f"'{name}'"
                raise InputError(f"pool '{text}': needs settings {', '.join(_SETTINGS)}, each once, found {problem}")
            values = settings[name] = []
        else:
            value = name
        if values is None or not value:
            raise InputError(f"pool '{text}': needs SETTING=VALUE with commas between them, found '{piece}'")
        values.append(value)
    return settings


def _whole(values: list[str], name: str, text: str) -> int:
    if len(values) != 1 or not re.fullmatch("[0-9]{1,9}", values[0]):
        raise InputError(f"pool '{text}': {name} needs a whole number, found '{','.join(values)}'")
    return int(values[0])


def _mean_product(numbers: list[int], size: int) -> float:
    """Mean of the products of the combinations of `size` numbers."""
    sums = [1] + [0] * size
    for number in numbers:
        for k in reversed(range(size)):
            sums[k + 1] += number * sums[k]
    return sums[size] / math.comb(len(numbers), size)


def _shares(elements: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Atomic fractions (n, n_in_table) from elements and amounts, both (n_elements, n)."""
    shares = np.zeros((elements.shape[1], len(element_data())))
    rows = np.arange(len(shares))
    total = amounts.sum(axis=0)
    for element, amount in zip(elements, amounts, strict=True):
        shares[rows, element] = amount / total
    return shares
