"""Unit exponents and their algebra.

A dimension maps unit symbols to rational exponents: ``eV**2/Å`` is ``{eV: 2, Å: -1}``. Different units of one quantity (eV
and meV) stay apart: adding them without a conversion factor would be wrong, so the space never does it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from sisso_sal.data.unit_text import MOST_CHARACTERS, checked_power, known_power, read_factors
from sisso_sal.errors import UnitError
from sisso_sal.features.unit_names import in_pint, is_known, measured, quantity, symbol_of


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
def parse_unit(text: str) -> Dimension:
    """Read the unit of a column header.

    Parameters
    ----------
    text : str
        A product of names with powers, as `sisso_sal.data.unit_text` reads it: ``"eV"``, ``"g cm-3"``, ``"J/(mol K)"``, or
        ``""`` for none. A name that neither this program nor pint knows is a base unit of its own, and one warning says so.

    Returns
    -------
    Dimension
        One whose text is read as the same dimension.

    Raises
    ------
    UnitError
        The text is no product of units, or a unit is logarithmic, or a bound is exceeded.

    Examples
    --------
    >>> parse_unit("kJ/mol").exponents
    (('kJ', Fraction(1, 1)), ('mol', Fraction(-1, 1)))
    >>> str(parse_unit("g cm-3")), str(parse_unit("eV³⁄²"))
    ('g/cm**3', 'eV**(3/2)')
    >>> parse_unit("").is_none
    True
    """
    dimension = _read(text)
    printed = str(dimension)
    if len(printed) > MOST_CHARACTERS or _read(printed) != dimension:
        raise UnitError(
            f"unit '{text}': needs a unit that can be printed with at most {MOST_CHARACTERS} characters and read again, "
            f"found '{printed}'"
        )
    return dimension


def _read(text: str) -> Dimension:
    total: dict[str, Fraction] = {}
    for word, power in read_factors(text):
        name, digits = known_power(word, is_known)
        symbol = symbol_of(name)
        total[symbol] = total.get(symbol, Fraction(0)) + checked_power(text, power * digits)
    exponents = ((symbol, checked_power(text, power)) for symbol, power in total.items() if symbol and power)
    return Dimension(tuple(sorted(exponents))) if any(total.values()) else NONE


def check_units(place: str, units: Iterable[tuple[str, str]]) -> None:
    """Refuse a table with a unit that cannot be read, or not printed and read again.

    Parameters
    ----------
    place : str
        What messages call the table.
    units : iterable of (str, str)
        Header and text of the unit of each column.

    Raises
    ------
    UnitError
        Names the column.
    """
    for header, unit in units:
        try:
            parse_unit(unit)
        except UnitError as error:
            raise UnitError(f"{place}: column '{header}': {error}") from error


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
    has, wanted = parse_unit(unit), parse_unit(needed)
    if has == wanted:
        return 1.0
    message = f"needs a unit that converts to '{needed or 'none'}', found '{unit or 'none'}'"
    (own, source), (own_wanted, goal) = in_pint(has.exponents), in_pint(wanted.exponents)
    if has.is_none or wanted.is_none or own != own_wanted or source.dimensionality != goal.dimensionality:
        raise UnitError(message)
    zero, one = (quantity(x, source).to(goal).magnitude for x in (0.0, 1.0))
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
    first: dict[object, str] = {}
    pairs = []
    for name, text in units.items():
        dimension = parse_unit(text)
        if dimension.is_none:
            continue
        seen = first.setdefault(measured(dimension.exponents), name)
        if seen != name and parse_unit(units[seen]) != dimension:
            pairs.append((seen, name))
    return pairs
