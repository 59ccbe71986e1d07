"""Names of primary features in formulas: an identifier stands as it is, every other name in backticks.

Inside of the backticks a backtick and a backslash follow a backslash, and what does not print is an escape of Python. Thus a
name has no end but the closing backtick, and a formula with it is one line.
"""

from __future__ import annotations

import re
import unicodedata

from sisso_sal.errors import ExpressionError
from sisso_sal.features.operators import OPERATORS
from sisso_sal.system.printable import printable

FUNCTIONS = frozenset(
    name
    for row in OPERATORS.values()
    for name in (*re.findall(r"(\w+)\(", row.text), *re.findall(r"<mi>(\w+)</mi><mo>\(", row.mathml))
)
"""Functions that formulas are written with. A feature with such a name is quoted."""

_NUMBERS = frozenset({"inf", "infinity", "nan"})

_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.?))", re.S)
_SHORT_ESCAPES = {"\\": "\\", "`": "`", "n": "\n", "r": "\r", "t": "\t"}


def is_plain(name: str) -> bool:
    """Whether a name stands in a formula as it is.

    It does if it consists of letters, digits and underscores and begins with no digit, and is neither a function nor a number.

    Examples
    --------
    >>> [is_plain(name) for name in ("r_cov", "χ_A", "a/b", "2r", "EA'", "sin", "nan")]
    [True, True, False, False, False, False, False]
    """
    if not name.isidentifier() or name in FUNCTIONS or name.lower() in _NUMBERS:
        return False
    return all(map(_is_letter_or_digit, name))


def _is_letter_or_digit(character: str) -> bool:
    """Of the characters of identifiers all but a middle dot, which reads as a product, and raised letters, as a power."""
    is_raised = unicodedata.decomposition(character).startswith("<super>")
    return character == "_" or (unicodedata.category(character)[0] in "LMN" and not is_raised)


def quoted(name: str) -> str:
    """A name as it stands in a formula.

    Examples
    --------
    >>> print(quoted("EA"), quoted("a/b"), quoted("x`y"), quoted("two\\nlines"))
    EA `a/b` `x\\`y` `two\\nlines`
    """
    if is_plain(name):
        return name
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{printable(escaped)}`"


def unquoted(text: str) -> str:
    """The name that `quoted` put in backticks.

    Raises
    ------
    ExpressionError
        There are no backticks around it, or a backslash begins no escape.

    Examples
    --------
    >>> unquoted("`a/b`")
    'a/b'
    """
    if not re.fullmatch(r"`(?:[^`\\]|\\.)*`", text, re.S):
        raise ExpressionError(f"formula: needs a name in backticks, found {text!r}")
    return _ESCAPE.sub(_unescaped, text[1:-1])


def _unescaped(escape: re.Match[str]) -> str:
    digits = escape[1] or escape[2] or escape[3]
    number = int(digits, 16) if digits else None
    if number is not None and number <= 0x10FFFF:
        return chr(number)
    if escape[4] not in _SHORT_ESCAPES:
        raise ExpressionError(
            rf"formula: needs \\, \`, \n, \r, \t, \x.., \u.... or \U........ in a name, found {escape[0]!r}"
        )
    return _SHORT_ESCAPES[escape[4]]
