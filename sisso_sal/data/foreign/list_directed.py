"""List-directed input, the rules by which Fortran reads values from a line (ISO/IEC 1539-1:2018, 13.10.3)."""

from __future__ import annotations

import re
from collections.abc import Callable

MOST = 1000
"""Most items that are read from a line."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<count>\d+)\*)?                      # r*c stands for r times c
        (?: '(?P<single>(?:[^']|'')*)(?:'|$)          # a quotation mark inside is written twice
          | "(?P<double>(?:[^"]|"")*)(?:"|$)
          | (?P<plain>[^\s,;/]*) )""",
    re.VERBOSE,
)
_AHEAD = re.compile(r"\S")
_GAP = re.compile(r"\s*[,;]|\s+|(?=/)|$")
_INTEGER = re.compile(r"[+-]?\d+")
_REAL = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[edq]?([+-]\d+)|[edq](\d+))?", re.IGNORECASE)
_LOGICAL = re.compile(r"\.?([tf])", re.IGNORECASE)


def items(text: str, most: int = MOST) -> list[str | None]:
    """The items of a line: parted by blanks, commas or semicolons, up to a slash; None for a value that is left out.

    Parameters
    ----------
    text : str
        What stands in the line, without comments.
    most : int
        Items beyond these are not read.

    Examples
    --------
    >>> items("10   number of terms"), items("3*20, 5/7"), items("'(+)(/)' # all"), items(",2")
    (['10', 'number', 'of', 'terms'], ['20', '20', '20', '5'], ['(+)(/)', '#', 'all'], [None, '2'])
    """
    values: list[str | None] = []
    place = 0
    while len(values) < most and (ahead := _AHEAD.search(text, place)) and ahead[0] != "/":
        match = _TOKEN.match(text, place)
        if match is None:  # a quotation mark after a repeat count that does not end
            break
        count = min(int(match["count"][:9]), most - len(values)) if match["count"] else 1
        values += [_value(match)] * count
        gap = _GAP.match(text, match.end())
        place = gap.end() if gap else match.end()
    return values


def _value(match: re.Match[str]) -> str | None:
    for kind, mark in (("single", "'"), ("double", '"')):
        if match[kind] is not None:
            return match[kind].replace(2 * mark, mark)
    return match["plain"] or None


def first(text: str) -> str | None:
    """The first item of a line; None if it is left out.

    Examples
    --------
    >>> first("1   # regression"), first(",")
    ('1', None)
    """
    return (items(text, 1) or [None])[0]


def integer(text: str) -> int:
    """An integer as Fortran writes it.

    Raises
    ------
    ValueError
        It is none.
    """
    if not _INTEGER.fullmatch(text) or len(text) > 18:
        raise ValueError(text)
    return int(text)


def real(text: str) -> float:
    """A number as Fortran writes it: an exponent follows e, d or q, or a sign alone.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> real("1.5D-03"), real(".5"), real("1+3")
    (0.0015, 0.5, 1000.0)
    """
    match = _REAL.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return float(f"{match[1]}e{match[2] or match[3] or 0}")


def logical(text: str) -> bool:
    """A logical value: its first letter, T or F, counts; a point may stand before it.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> logical(".true."), logical("F"), logical(".t")
    (True, False, True)
    """
    match = _LOGICAL.match(text)
    if match is None:
        raise ValueError(text)
    return match[1].lower() == "t"


WORDS: dict[Callable[[str], object], str] = {
    integer: "an integer", real: "a number", logical: "a logical value, .true. or .false.",
}  # fmt: skip
"""What each of these needs."""
