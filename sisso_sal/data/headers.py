"""Headers of columns: the name of a quantity and the text of its unit.

- ``EA (eV)`` is EA in eV: what stands in parentheses at the end is a unit.
- ``EA [eV]``, ``EA, eV`` are EA in eV, if all names of the unit are in `COMMON_UNITS`; else it is all name, as in ``x[Fe]``.
- ``radius/Å``, ``D/(g cm-3)`` are a quantity and its unit, under the same condition.
- ``c/a``, ``T/K``, ``x[C]`` are names: one letter is likelier a quantity or an element.
- ``E/atom``, ``E/mol`` are names: the energy of an atom, no number of atoms. So is ``eV/atom``, which has no other name.
- ``Eg_eV`` is a name.

`header_notes` says what was read in another form than parentheses, and what looks like a unit but was not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from sisso_sal.data.unit_text import DIMENSIONLESS, Factors, known_power, read_factors
from sisso_sal.errors import UnitError

_PREFIXED = {
    "eV": "m k M", "J": "m k M", "cal": "k", "m": "f p n µ u m c d k", "g": "n µ u m k", "s": "f p n µ u m", "A": "n µ u m k",
    "K": "m", "mol": "m µ", "Pa": "h k M G T", "bar": "m k M", "N": "µ u m k", "W": "µ u m k M", "V": "µ u m k", "C": "µ m",
    "F": "p n µ", "H": "µ m", "T": "µ m", "Hz": "k M G T", "Ω": "m k M", "ohm": "m k M", "S": "µ m", "L": "m", "l": "m", "M": "m",
}  # fmt: skip
_ALONE = (
    "AA Å Ang Angstrom angstrom Ha Eh hartree Hartree Ry Rydberg rydberg bohr Bohr amu Da u Pauling pauling debye Debye D e "
    "µB µ_B mu_B kB k_B cm mmHg atm torr Torr kgf erg dyn Oe emu GPa ppm ppb % ‰ ° deg degree degrees rad °C °F degC at.% wt.% "
    "mol.% vol.% at% wt% mol% vol% f.u. f.u atom atoms electron states fu h day"
)
COMMON_UNITS = frozenset(_ALONE.split()).union(
    *({unit, *(prefix + unit for prefix in prefixes.split())} for unit, prefixes in _PREFIXED.items())
)
"""Names that make a unit of what stands in brackets, or behind a slash or a comma."""

COUNTS = frozenset({"atom", "atoms", "f.u.", "f.u", "fu", "mol", "mmol", "µmol", "electron", "states"})
"""What a quantity may be per: alone behind a slash it is no unit of the quantity."""

_CELSIUS = frozenset({"°C", "degC", "celsius", "degree_Celsius", "°F", "degF", "fahrenheit", "degree_Fahrenheit"})
_MOST_SHOWN = 5


def split_header(header: str) -> tuple[str, str]:
    """Split a header into its name and the text of its unit, "" if it has none.

    >>> split_header("EA (eV)"), split_header("f(x) (J/(mol K))"), split_header("a (b) c"), split_header("N_val")
    (('EA', 'eV'), ('f(x)', 'J/(mol K)'), ('a (b) c', ''), ('N_val', ''))
    >>> split_header("EA [eV]"), split_header("radius/Å"), split_header("EA, eV"), split_header("c/a")
    (('EA', 'eV'), ('radius', 'Å'), ('EA', 'eV'), ('c/a', ''))
    """
    name, unit, _ = _parts(header)
    return name, unit


def header_notes(headers: Iterable[str]) -> list[str]:
    """What a person should know of how these headers were read, one line for each kind.

    Examples
    --------
    >>> for line in header_notes(["radius/Å", "Eg_eV", "r (A)"]):
    ...     print(line)
    units read: 'radius/Å' as 'radius' in 'Å'
    no unit read from 'Eg_eV'; where there is one, write it as in 'Eg (eV)'
    'r (A)': A is ampere; for ångström write Å or AA
    """
    split = {header: _parts(header) for header in headers}
    read = [f"{header!r} as {name!r} in {unit!r}" for header, (name, unit, form) in split.items() if form in {"/", ","}]
    unread = {header: better for header in split if (better := _unread(header))}
    ampere = [header for header, (_, unit, _) in split.items() if unit and "A" in _names(unit)]
    celsius = [header for header, (_, unit, _) in split.items() if unit and _CELSIUS.intersection(_names(unit))]
    lines = [f"units read: {_few(read)}"] if read else []
    if unread:
        first = next(iter(unread.values()))
        lines.append(f"no unit read from {_few(map(repr, unread))}; where there is one, write it as in {first!r}")
    if ampere:
        lines.append(f"{_few(map(repr, ampere))}: A is ampere; for ångström write Å or AA")
    if celsius:
        lines.append(
            f"{_few(map(repr, celsius))}: the zero of this scale is arbitrary, and products and ratios of such values depend "
            "on it; kelvin is better"
        )
    return lines


def _few(items: Iterable[str]) -> str:
    texts = list(items)
    more = f" and {len(texts) - _MOST_SHOWN} more" if len(texts) > _MOST_SHOWN else ""
    return ", ".join(texts[:_MOST_SHOWN]) + more


@cache
def _parts(header: str) -> tuple[str, str, str]:
    """Name, unit, and the mark of the form in which the unit stands: "(", "[", "/", "," or ""."""
    header = header.strip()
    for form, split in _forms(header):
        if form == "(" or _is_unit_of(*split, form):
            return split[0].strip(), _bare(split[1]), form
    return header, "", ""


def _forms(header: str) -> list[tuple[str, tuple[str, str]]]:
    """What may be name and unit, in each form that the header has; parentheses behind a slash are a part of a unit."""
    whole = _bracketed(header, "()")
    forms = {
        "(": None if whole is None or whole[0].rstrip().endswith("/") else whole,
        "[": _bracketed(header, "[]"),
        ",": _parted(header, header.rfind(",")),
        "/": _parted(header, _first_slash(header)),
    }
    return [(form, split) for form, split in forms.items() if split is not None]


def _bracketed(header: str, brackets: str) -> tuple[str, str] | None:
    """What stands before, and in, the brackets at the end; None without such brackets or without a name before them."""
    left, right = brackets
    if not header.endswith(right):
        return None
    depth = 0
    for start in range(len(header) - 1, -1, -1):
        depth += {right: 1, left: -1}.get(header[start], 0)
        if depth == 0:
            name = header[:start]
            return (name, header[start + 1 : -1]) if name.strip() else None
    return None


def _bare(unit: str) -> str:
    """The unit without parentheses around all of it."""
    unit = unit.strip()
    return unit[1:-1].strip() if _bracketed(f"x{unit}", "()") == ("x", unit[1:-1]) else unit


def _parted(header: str, place: int) -> tuple[str, str] | None:
    """What stands before and behind a place; None where one of them is empty."""
    name, unit = header[: max(place, 0)], header[place + 1 :]
    return (name, unit) if name.strip() and unit.strip() else None


def _first_slash(header: str) -> int:
    """Place of the first slash outside parentheses; -1 without one."""
    depth = 0
    for place, character in enumerate(header):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "/" and depth == 0:
            return place
    return -1


def _is_unit_of(name: str, text: str, form: str) -> bool:
    """Whether what stands in brackets, or behind a slash or comma, is the unit of the quantity before it."""
    if form == "[" and text.strip().lower() in DIMENSIONLESS - {"", "1"}:
        return True
    factors = _common(text)
    if not factors or name.strip().isdigit() or name.rstrip().endswith("/"):
        return False
    if form == "/":
        return (
            not all(_is_letter(word) for word, _ in factors)
            and not all(word in COUNTS for word, _ in factors)
            and ("/" not in text or text.strip().startswith("("))
            and not (_common(name) and len(name.strip()) > 1)
        )
    return not _is_letter(text.strip()) or (form == "[" and name.endswith(" "))


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word.isascii() and word.isalpha()


@cache
def _common(text: str) -> Factors:
    """The words of a unit and their powers if all are common units; else none."""
    try:
        factors = read_factors(text)
    except UnitError:
        return ()
    parted = [(*known_power(word, COMMON_UNITS.__contains__), power) for word, power in factors]
    is_common = all(word in COMMON_UNITS and digits for word, digits, _ in parted)
    return tuple((word, digits * power) for word, digits, power in parted) if is_common else ()


def _names(text: str) -> set[str]:
    try:
        return {known_power(word, COMMON_UNITS.__contains__)[0] for word, _ in read_factors(text)}
    except UnitError:
        return set()


def _unread(header: str) -> str:
    """How a header that looks as if it had a unit would be written; "" if it has one, or does not look so."""
    name, _, form = _parts(header)
    if form:
        return ""
    tail = re.fullmatch(r"(.*[^_\s])[_\s]([^_\s]+)", name)
    for form, split in [*_forms(name), *([("_", (tail[1], tail[2]))] if tail else [])]:
        words = [word for word, _ in _common(split[1])]
        if not words or all(word in COUNTS for word in words) or (form == "_" and all(map(_is_letter, words))):
            continue
        return f"{split[0].strip()} ({_bare(split[1])})"
    return ""
