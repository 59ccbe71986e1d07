"""Unit exponents and their algebra.

A dimension maps unit symbols to rational exponents: ``eV**2/Å`` is ``{eV: 2, Å: -1}``. Different units of one quantity (eV
and meV) stay apart: adding them without a conversion factor would be wrong, so the space never does it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from sisso_sal.errors import UnitError

DIMENSIONLESS_TEXTS = frozenset({"", "1", "-", "none", "dimensionless", "unitless"})


@dataclass(frozen=True, slots=True)
class Dimension:
    """Exponents of unit symbols.

    Parameters
    ----------
    exponents : tuple of (str, Fraction)
        Sorted by symbol, without zero exponents. Use `parse_unit` or the operators to make one.

    Examples
    --------
    >>> energy, length = parse_unit("eV"), parse_unit("AA")
    >>> str(energy / length**2)
    'eV/Å**2'
    >>> (length**3) ** Fraction(1, 3) == length
    True
    """

    exponents: tuple[tuple[str, Fraction], ...] = ()

    @property
    def is_none(self) -> bool:
        """True where the quantity carries no unit."""
        return not self.exponents

    def __mul__(self, other: Dimension) -> Dimension:
        total = dict(self.exponents)
        for symbol, power in other.exponents:
            total[symbol] = total.get(symbol, Fraction(0)) + power
        return Dimension(tuple(sorted((s, p) for s, p in total.items() if p)))

    def __pow__(self, power: int | Fraction) -> Dimension:
        if power == 0:
            return NONE
        return Dimension(tuple((s, p * power) for s, p in self.exponents))

    def __truediv__(self, other: Dimension) -> Dimension:
        return self * other**-1

    def __str__(self) -> str:
        above = [_factor(s, p) for s, p in self.exponents if p > 0]
        below = [_factor(s, -p) for s, p in self.exponents if p < 0]
        if not below:
            return "*".join(above)
        denominator = below[0] if len(below) == 1 else f"({'*'.join(below)})"
        return f"{'*'.join(above) or '1'}/{denominator}"


NONE = Dimension()


def _factor(symbol: str, power: Fraction) -> str:
    if power == 1:
        return symbol
    return f"{symbol}**{power}" if power.denominator == 1 else f"{symbol}**({power})"


@cache
def _registry():
    import pint

    registry = pint.UnitRegistry()
    registry.define("atom = [atom]")
    registry.define("@alias angstrom = AA = Ang = Angstrom")
    return registry


def _parse(text: str):
    """The pint unit of `text`; a name that pint does not know becomes a base unit of its own, with one warning."""
    import pint

    registry = _registry()
    for _ in range(16):
        try:
            return registry.parse_units(text)
        except pint.UndefinedUnitError as error:
            names = [error.unit_names] if isinstance(error.unit_names, str) else list(error.unit_names)
            for name in names:
                try:
                    registry.define(f"{name} = [{name}]")
                except Exception as cause:
                    raise UnitError(f"unit '{text}': needs a unit such as eV, AA or kJ/mol, found '{name}'") from cause
                warnings.warn(f"unit '{name}' is not known: kept as a base unit of its own", UserWarning, stacklevel=4)
        except Exception as cause:
            raise UnitError(f"unit '{text}': needs a product of units such as eV/AA**3, cannot be read") from cause
    raise UnitError(f"unit '{text}': needs a product of units such as eV/AA**3, found too many unknown names")


@cache
def parse_unit(text: str) -> Dimension:
    """Read the unit of a column header.

    Parameters
    ----------
    text : str
        What stands in the parentheses of a header: ``"eV"``, ``"eV/AA"``, ``"Pauling"``, or ``""`` for none. A name
        that pint does not know becomes a base unit of its own, and one warning says so.

    Returns
    -------
    Dimension

    Raises
    ------
    UnitError
        The text is no product of units.

    Examples
    --------
    >>> parse_unit("kJ/mol").exponents
    (('kJ', Fraction(1, 1)), ('mol', Fraction(-1, 1)))
    >>> parse_unit("").is_none
    True
    """
    text = text.strip()
    if text.lower() in DIMENSIONLESS_TEXTS:
        return NONE
    unit = _parse(text)
    registry = _registry()
    exponents = []
    for name, power in unit._units.items():
        exponent = Fraction(power).limit_denominator(1000)
        if exponent:
            exponents.append((f"{registry.Unit(name):~}", exponent))
    return Dimension(tuple(sorted(exponents)))


def conversion_factor(unit: str, needed: str) -> float:
    """Number by which values in the unit `unit` are multiplied to be in the unit `needed`.

    Raises
    ------
    UnitError
        The two units measure different quantities, or are related by an offset (degrees Celsius).

    Examples
    --------
    >>> round(conversion_factor("nm", "AA"), 12)
    10.0
    """
    if parse_unit(unit) == parse_unit(needed):
        return 1.0
    message = f"needs a unit that converts to '{needed or 'none'}', found '{unit or 'none'}'"
    if parse_unit(unit).is_none or parse_unit(needed).is_none:
        raise UnitError(message)
    registry = _registry()
    try:
        zero, one = (registry.Quantity(x, registry.parse_units(unit)).to(needed).magnitude for x in (0.0, 1.0))
    except Exception as cause:
        raise UnitError(message) from cause
    if zero != 0.0:
        raise UnitError(f"{message}: the two scales have different zeros")
    return float(one)


def same_quantity_in_other_units(units: dict[str, str]) -> list[tuple[str, str]]:
    """Pairs of columns that measure one quantity in different units, which the space would not add.

    Parameters
    ----------
    units : dict of str to str
        Column name to unit text.

    Examples
    --------
    >>> same_quantity_in_other_units({"EA": "eV", "IP": "meV", "r": "AA"})
    [('EA', 'IP')]
    """
    registry = _registry()
    first: dict[object, str] = {}
    pairs = []
    for name, text in units.items():
        dimension = parse_unit(text)
        if dimension.is_none:
            continue
        quantity = registry.parse_units(text).dimensionality
        seen = first.setdefault(quantity, name)
        if seen != name and parse_unit(units[seen]) != dimension:
            pairs.append((seen, name))
    return pairs
