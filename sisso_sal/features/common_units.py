"""The units that most tables have, as pint knows them: building its registry takes a third of a second.

A test compares each name of this table with pint. A name that stands here has no other meaning there; one that does not is asked of
pint. All of these units can be multiplied, none has an offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class CommonUnit(NamedTuple):
    """A unit, prefix included: its name, symbol and the powers of its dimensions as pint has them, ``{"[length]": 1}``."""

    name: str
    symbol: str
    powers: dict[str, int]


_SMALL = {"f": "femto", "p": "pico", "n": "nano", "µ": "micro", "m": "milli"}
_LARGE = {"k": "kilo", "M": "mega", "G": "giga", "T": "tera"}
_ALL = _SMALL | _LARGE
_NONE: dict[str, str] = {}

_BASES = {"L": "length", "M": "mass", "T": "time", "I": "current", "K": "temperature", "N": "substance"}
_ENERGY, _PRESSURE = "L2 M T-2", "L-1 M T-2"

_TABLE = (
    ("meter", "m", "L", {"p": "pico", "n": "nano", "µ": "micro", "m": "milli", "c": "centi", "k": "kilo"}, ()),
    ("gram", "g", "M", {"µ": "micro", "m": "milli", "k": "kilo"}, ()),
    ("second", "s", "T", _SMALL, ()),
    ("ampere", "A", "I", {"n": "nano", "µ": "micro", "m": "milli", "k": "kilo"}, ()),
    ("kelvin", "K", "K", {"m": "milli"}, ()),
    ("mole", "mol", "N", {"m": "milli"}, ()),
    ("electron_volt", "eV", _ENERGY, {"µ": "micro", "m": "milli"} | _LARGE, ()),
    ("joule", "J", _ENERGY, {"m": "milli"} | _LARGE, ()),
    ("calorie", "cal", _ENERGY, {"k": "kilo"}, ()),
    ("hartree", "E_h", _ENERGY, _NONE, ()),
    ("rydberg", "Ry", _ENERGY, _NONE, ()),
    ("angstrom", "Å", "L", _NONE, ("ångström", "Å")),
    ("bohr", "a_0", "L", _NONE, ("a0",)),
    ("pascal", "Pa", _PRESSURE, {"m": "milli", "h": "hecto"} | _LARGE, ()),
    ("bar", "bar", _PRESSURE, {"m": "milli", "k": "kilo"}, ()),
    ("standard_atmosphere", "atm", _PRESSURE, _NONE, ()),
    ("newton", "N", "L M T-2", _ALL, ()),
    ("watt", "W", "L2 M T-3", _ALL, ()),
    ("volt", "V", "L2 M T-3 I-1", {"µ": "micro", "m": "milli", "k": "kilo", "M": "mega"}, ()),
    ("ohm", "Ω", "L2 M T-3 I-2", {"m": "milli", "k": "kilo", "M": "mega"}, ()),
    ("siemens", "S", "L-2 M-1 T3 I2", {"m": "milli", "µ": "micro"}, ()),
    ("coulomb", "C", "T I", {"µ": "micro", "m": "milli"}, ()),
    ("elementary_charge", "e", "T I", _NONE, ()),
    ("debye", "D", "L T I", _NONE, ()),
    ("tesla", "T", "M T-2 I-1", {"µ": "micro", "m": "milli"}, ()),
    ("bohr_magneton", "µ_B", "L2 I", _NONE, ()),
    ("hertz", "Hz", "T-1", _LARGE, ()),
    ("minute", "min", "T", _NONE, ()),
    ("hour", "h", "T", _NONE, ()),
    ("day", "d", "T", _NONE, ()),
    ("liter", "l", "L3", {"m": "milli", "µ": "micro"}, ("L",)),
    ("unified_atomic_mass_unit", "u", "M", _NONE, ("amu",)),
    ("dalton", "Da", "M", {"k": "kilo"}, ()),
    ("boltzmann_constant", "k", "L2 M T-2 K-1", _NONE, ()),
    ("degree", "deg", "", _NONE, ()),
    ("radian", "rad", "", {"m": "milli"}, ()),
    ("percent", "%", "", _NONE, ()),
)
"""Name, symbol, dimensions, prefixes that are used with it, other names."""


def _entries() -> Iterator[tuple[str, CommonUnit]]:
    for name, symbol, dimensions, prefixes, others in _TABLE:
        powers = {f"[{_BASES[word[0]]}]": int(word[1:] or 1) for word in dimensions.split()}
        for short, long in ({"": ""} | prefixes).items():
            unit = CommonUnit(long + name, short + symbol, powers)
            yield from ((text, unit) for text in (unit.name, unit.symbol))
        yield from ((text, CommonUnit(name, symbol, powers)) for text in others)


COMMON = dict(_entries())
"""Units by each of their names."""
