"""Text of figures for papers: formulas and names as matplotlib writes them, and where they may be broken into lines."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from sisso_sal.features.expression import Expression, render
from sisso_sal.features.names import is_plain, quoted
from sisso_sal.features.symbols import latex_symbol
from sisso_sal.features.typeset import written
from sisso_sal.system.printable import printable

BREAK = "\u200b"
"""Where a line may end without a space: no font shows it, and `wrapped` takes it out."""

_LONGEST_SYMBOL = 12
"""An identifier with more letters is written as it is: a long index is hard to read."""

_OPERATORS = re.compile(r"\*\*(?P<power>\d+)|(?P<sign>[*/])| (?P<sum>[+-]) ")
_PARTS = re.compile(r"(?P<quoted>`(?:\\.|[^`\\])*`)|(?P<name>[^\W\d]\w*)(?P<call>\()?")


class TypesetLabel(NamedTuple):
    """Text of an axis: the first of the lines that has room, else the breakable text, wrapped.

    - lines: tuple of str, the nicest first
    - breakable: str, with `BREAK` where a line may end
    """

    lines: tuple[str, ...]
    breakable: str

    @classmethod
    def of(cls, text: str) -> TypesetLabel:
        """Of plain text that may be broken at spaces.

        Examples
        --------
        >>> TypesetLabel.of("known gap").fitted(500.0, 8.0)
        'known gap'
        """
        return cls((text,), text)

    @classmethod
    def of_expression(cls, head: str, expression: Expression, unit: str) -> TypesetLabel:
        """Of a descriptor: ``head = descriptor (unit)``.

        Examples
        --------
        >>> a, b = Expression.primary("a", "eV"), Expression.primary("long name", "eV")
        >>> label = TypesetLabel.of_expression("d1", Expression.apply("div", a, b), "")
        >>> print(label.fitted(200.0, 8.0))
        d1 = $\\dfrac{a}{{\\text{‘long name’}}}$
        >>> print(label.fitted(50.0, 8.0))
        d1 = $a$/‘long
        name’
        """
        behind = f" ({typeset_unit(unit)})" if unit else ""
        symbols = {name: symbol(name) for name in expression.primaries()}
        fraction = written(expression, "latex", symbols).replace(r"\frac", r"\dfrac")
        return cls((f"{head} = ${fraction}${behind}",), f"{head} = {typeset(render(expression, 'text')[0])}{behind}")

    def fitted(self, room: float, size: float) -> str:
        """The text in a room so wide (points), with letters of this size (points)."""
        for line in self.lines:
            if size_of(line, size)[0] <= room:
                return line
        return wrapped(self.breakable, room, size)


def symbol(name: str) -> str:
    """A primary feature in the part of TeX that matplotlib knows.

    Examples
    --------
    >>> print(symbol("r_cov"), symbol("a_b/$c"))
    r_{\\mathrm{cov}} {\\text{‘a_b/\\$c’}}
    """
    if is_plain(name) and r"\text" not in latex_symbol(name):
        return latex_symbol(name)
    text = f"‘{quoted(name)[1:-1]}’" if not is_plain(name) else name
    parts = (re.sub("[{}$]", r"\\\g<0>", part) for part in text.split("\\"))
    return "{" + r"\backslash".join(rf"\text{{{part}}}" if part else "" for part in parts) + "}"


def typeset_name(name: str) -> str:
    """A primary feature that stands alone needs no quotes.

    Examples
    --------
    >>> print(typeset_name("r_cov"), typeset_name("d-band centre, slab"))
    $r_{\\mathrm{cov}}$ d-band centre, slab
    """
    return typeset(name) if is_plain(name) else plain(name)


def typeset(formula: str) -> str:
    """The text of a formula with symbols, powers and quotes as matplotlib writes them, and with `BREAK` behind operators.

    Examples
    --------
    >>> print(typeset("r_cov**2*`d-band centre, slab`/sqrt(a_long_identifier)").replace(BREAK, "|"))
    $r_{\\mathrm{cov}}$$^{2}$·|‘d-band centre, slab’/|sqrt(a_|long_|identifier)
    """
    done, start = [], 0
    for part in _PARTS.finditer(formula):
        done.append(_operators(formula[start : part.start()]))
        done.append(_name(part))
        start = part.end()
    return "".join(done) + _operators(formula[start:])


def _operators(text: str) -> str:
    def shown(found: re.Match[str]) -> str:
        if found["power"]:
            return f"$^{{{found['power']}}}$"
        if found["sum"]:
            return f"\u00a0{found['sum'].replace('-', '−')} "
        return f"{'·' if found['sign'] == '*' else '/'}{BREAK}"

    return _OPERATORS.sub(shown, text)


def _name(part: re.Match[str]) -> str:
    if part["quoted"]:
        return f"‘{plain(part['quoted'][1:-1])}’"
    if part["call"]:
        return part[0]
    if len(part["name"]) > _LONGEST_SYMBOL or r"\text" in latex_symbol(part["name"]):
        return plain(part["name"]).replace("_", f"_{BREAK}")
    return f"${latex_symbol(part['name'])}$"


def typeset_unit(text: str) -> str:
    """
    Examples
    --------
    >>> typeset_unit("eV*Å**2/Pauling"), typeset_unit("Å**(1/6)")
    ('eV·Å$^{2}$/Pauling', 'Å$^{1/6}$')
    """
    return re.sub(r"\*\*(?:\(([-\d/]+)\)|(-?\d+))", r"$^{\1\2}$", plain(text)).replace("*", "·")


def plain(text: str) -> str:
    """A name as it is, in one line: no dollar of a table starts a formula."""
    return printable(text).replace("$", r"\$")


@lru_cache(maxsize=4096)
def size_of(text: str, size: float) -> tuple[float, float]:
    """Width and height in points of text in one line, with letters of this size.

    Examples
    --------
    >>> short, long = size_of("TiO2", 8.0), size_of("Tl2Ru2O7", 8.0)
    >>> short[0] < long[0] < 60.0
    True
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    n_dollars = len(re.findall(r"(?<!\\)\$", text))
    is_math = n_dollars > 0 and n_dollars % 2 == 0
    shown = text.replace(BREAK, "")
    shown = shown if is_math else shown.replace(r"\$", "$")
    font = FontProperties(family="sans-serif", size=size)
    width, height, descent = TextToPath().get_text_width_height_descent(shown, font, ismath=is_math)
    return float(width), float(height + descent)


def wrapped(text: str, room: float, size: float) -> str:
    """Text in lines no wider than the room (points), broken at spaces and at `BREAK`; a longer word within the word.

    Examples
    --------
    >>> print(wrapped("Number of valence electrons of the host", 80.0, 8.0))
    Number of valence
    electrons of the
    host
    """
    lines = [""]
    for piece in re.findall(f"[^ {BREAK}]*(?: |{BREAK}|$)", text):
        for part in _parts_of(piece, room, size):
            if lines[-1] and size_of((lines[-1] + part).rstrip(), size)[0] > room:
                lines.append("")
            lines[-1] += part.replace(BREAK, "")
    return "\n".join(line.rstrip() for line in lines)


def _parts_of(piece: str, room: float, size: float) -> list[str]:
    """A word, or pieces of it that have room; a formula is never parted."""
    if "$" in piece or size_of(piece.rstrip(), size)[0] <= room:
        return [piece]
    parts = [""]
    for character in piece:
        if parts[-1] and size_of(parts[-1] + character, size)[0] > room:
            parts.append("")
        parts[-1] += character
    return parts
