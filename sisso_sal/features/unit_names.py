"""The names of units: which this program and pint know, how each is printed, and what it measures.

pint is asked for one name at a time and never reads an expression; of the usual names a table says what it would answer. What it
does not know is a base unit of its own.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from sisso_sal.data.unit_text import DIMENSIONLESS, read_factors
from sisso_sal.errors import SissoSalWarning, UnitError
from sisso_sal.features.common_units import COMMON, CommonUnit

OWN = {
    "atom": "atom", "atoms": "atom", "Pauling": "Pauling", "pauling": "Pauling",
    **dict.fromkeys(("f.u.", "f.u", "fu"), "f.u."),
    **{text: f"{kind}.%" for kind in ("at", "wt", "mol", "vol") for text in (f"{kind}%", f"{kind}.%")},
}  # fmt: skip
"""Names that pint lacks, and their symbols: base units that need no warning."""

_ALIASES = {
    **dict.fromkeys(("AA", "Ang", "Angstrom", "Å"), "angstrom"), **dict.fromkeys(("Ha", "Hartree"), "hartree"),
    **dict.fromkeys(("Ry", "Rydberg"), "rydberg"), **dict.fromkeys(("µB", "mu_B"), "bohr_magneton"), "Bohr": "bohr",
    "kB": "boltzmann_constant", "k_B": "boltzmann_constant", "Debye": "debye", "%": "percent", "‰": "permille", "°": "degree",
}  # fmt: skip
"""Names under which pint knows something else or nothing, and its own."""

_NO_UNITS = frozenset({"unit", "units"})
"""Words that pint takes for a unit: µ and nit."""


def is_known(name: str) -> bool:
    """Whether this program or pint knows a unit of this name.

    Examples
    --------
    >>> is_known("meV"), is_known("Pauling"), is_known("zork")
    (True, True, False)
    """
    return name in OWN or name in DIMENSIONLESS or _name_in_pint(name) is not None


def symbol_of(name: str) -> str:
    """The symbol under which a unit is printed, and under which it is read again; "" for a word such as "unitless".

    Parameters
    ----------
    name : str
        One that is not known becomes a base unit of its own, and one warning says so.

    Raises
    ------
    UnitError
        It is a logarithmic unit.

    Examples
    --------
    >>> symbol_of("electron_volt"), symbol_of("AA"), symbol_of("atoms")
    ('eV', 'Å', 'atom')
    """
    if name in DIMENSIONLESS:
        return ""
    name = "".join(name.split())
    if name in OWN:
        return OWN[name]
    in_pint = _name_in_pint(name)
    if in_pint is None:
        _warn_once(name)
        return name
    if _is_logarithmic(in_pint):
        raise UnitError(
            f"unit '{name}': needs a unit that can be multiplied, found a logarithmic one; such values are logarithms "
            "without a unit: leave the unit out of the header, or give the quantity itself"
        )
    symbol = _symbol(in_pint)
    return symbol if _is_one_word(symbol) and _symbol_in_pint(symbol) == symbol else in_pint


def in_pint(exponents: tuple[tuple[str, Fraction], ...]) -> tuple[Mapping[str, Fraction], Any]:
    """Units parted into the powers of those that are base units of their own, and a unit of pint for the others.

    Degrees Celsius and Fahrenheit are differences of temperature unless they stand alone.

    Parameters
    ----------
    exponents : tuple of (str, Fraction)
        Symbols, as `symbol_of` gives them, and their powers.
    """
    from pint.util import UnitsContainer

    registry = _registry()
    own, others = {}, {}
    is_alone = len(exponents) == 1 and exponents[0][1] == 1
    for symbol, power in exponents:
        name = None if symbol in OWN.values() else _name_in_pint(symbol)
        if name is None:
            own[symbol] = power
        else:
            name = name if is_alone or _is_multiplicative(name) else f"delta_{name}"
            others[name] = power.numerator if power.denominator == 1 else float(power)
    return own, registry.Unit(UnitsContainer(others))


def measured(exponents: tuple[tuple[str, Fraction], ...]) -> tuple[frozenset[tuple[str, Fraction]], frozenset]:
    """What units measure, equal for different units of one quantity: powers of base units of their own, and of dimensions.

    Parameters
    ----------
    exponents : tuple of (str, Fraction)
        As for `in_pint`.

    Examples
    --------
    >>> measured((("kJ", Fraction(1)), ("mol", Fraction(-1)))) == measured((("eV", Fraction(1)), ("mol", Fraction(-1))))
    True
    """
    own = frozenset((symbol, power) for symbol, power in exponents if symbol in OWN.values())
    others = [(_common(symbol), power) for symbol, power in exponents if symbol not in OWN.values()]
    total: dict[str, int] = {}
    for unit, power in others:
        if unit is None or power.denominator != 1:
            own_powers, in_registry = in_pint(exponents)
            return frozenset(own_powers.items()), frozenset(in_registry.dimensionality.items())
        for dimension, each in unit.powers.items():
            total[dimension] = total.get(dimension, 0) + each * power.numerator
    return own, frozenset((dimension, power) for dimension, power in total.items() if power)


def quantity(value: float, unit: Any) -> Any:
    """A number of a unit of pint as pint has it."""
    return _registry().Quantity(value, unit)


def _is_one_word(symbol: str) -> bool:
    """Whether the grammar reads a symbol as one name."""
    try:
        return read_factors(symbol) == ((symbol, 1),)
    except UnitError:
        return False


def _symbol_in_pint(symbol: str) -> str | None:
    """The symbol of what a symbol is read as; None where it is read as a base unit of this program."""
    name = None if symbol in OWN else _name_in_pint(symbol)
    return None if name is None else _symbol(name)


def _symbol(name: str) -> str:
    """The symbol of a unit of pint, whose versions write the prefix micro with one or the other of two characters."""
    if name in COMMON:
        return COMMON[name].symbol
    return _registry().get_symbol(name).replace("\u03bc", "\u00b5")


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()


def _common(name: str) -> CommonUnit | None:
    """What the table of usual units has for a name or symbol."""
    return COMMON.get(_ALIASES.get(name, name))


@cache
def _name_in_pint(name: str) -> str | None:
    """The name that pint has for a name or symbol; None where it has none."""
    if name in _NO_UNITS:
        return None
    if unit := _common(name):
        return unit.name
    import pint

    name = _ALIASES.get(name, name)
    try:
        return _registry().get_name(name) or None
    except pint.UndefinedUnitError:
        return None
    except pint.PintError as error:
        raise UnitError(f"unit '{name}': needs a unit that can have a prefix, found another") from error


def _is_logarithmic(name: str) -> bool:
    """Whether equal steps of the unit are equal factors of the quantity."""
    if name in COMMON:
        return False
    low, middle, high = (quantity(x, name).to_root_units().magnitude for x in (0.0, 1.0, 2.0))
    return abs((high - middle) - (middle - low)) > 1e-9 * max(abs(high), abs(low))


def _is_multiplicative(name: str) -> bool:
    return name in COMMON or quantity(0.0, name).to_root_units().magnitude == 0.0


@cache
def _warn_once(name: str) -> None:
    """Warn of an unknown name, at the line of the caller of this package."""
    package = str(Path(__file__).parents[1])
    frame, level = sys._getframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(f"unit '{name}' is not known: kept as a base unit of its own", SissoSalWarning, stacklevel=level)
