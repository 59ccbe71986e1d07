"""The text of a unit read into names and powers: a grammar of products, fractions and powers, and nothing else.

    unit   = product { "/" factor }             a second slash divides again: a/b/c is a/(b*c)
    product = factor { separator factor }       separator: a space, * . · ⋅ × ; none may follow a slash without parentheses
    factor = "1" | word [power] | "(" unit ")" [power]
    power  = integer | superscripts | ("^" | "**") number | ("^" | "**") "(" number ["/" number] ")"

A word that ends in digits ("Å3", "H2O") is split by `known_power`, which is told what names there are. Nothing is evaluated, and
length, depth and powers are bounded, so that reading takes no time whatever the text is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction
from typing import NoReturn

from sisso_sal.errors import UnitError

MOST_CHARACTERS = 128
MOST_NESTED = 4
LARGEST_POWER = 12
"""Of the numerator and of the denominator of a power."""

DIMENSIONLESS = frozenset({"", "1", "-", "none", "dimensionless", "unitless"})

Factors = tuple[tuple[str, Fraction], ...]
"""Words as they are written and their powers, in the order in which they are written."""

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻₀₁₂₃₄₅₆₇₈₉⁄ᐟ", "0123456789+-0123456789//")
_ALIKE = str.maketrans({"μ": "µ", "−": "-", "–": "-", "⋅": "·", "∙": "·", "•": "·", "×": "·"})
_LETTER = r"[^\W\d²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉¼½¾]"
_TOKEN = re.compile(
    r"(?P<dotted>(?:at|wt|mol|vol)\.?\s?%|f\.u\.?|a\.u\.?|arb\.\s?u(?:nits|\.)?)"
    rf"|(?P<word>(?:{_LETTER}|Δ?°)(?:{_LETTER}|[0-9])*|%|‰)"
    r"|(?P<raised>[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+(?:[⁄ᐟ][⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉]+)?)"
    r"|(?P<power>\s*(?:\*\*|\^)\s*)"
    r"|(?P<slash>\s*/\s*)"
    r"|(?P<open>[({])|(?P<close>\s*[)}])"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<separator>\s*[*·]\s*|\.|\s+)"
)
_IN_WORDS = (
    (re.compile(r"\s+per\s+"), "/"),
    (re.compile(r"\b(?:square|sq)\s+([^\W\d]+)"), r"\1^2"),
    (re.compile(r"\bcubic\s+([^\W\d]+)"), r"\1^3"),
    (re.compile(r"\b([^\W\d]+)\s+squared\b"), r"\1^2"),
    (re.compile(r"\b([^\W\d]+)\s+cubed\b"), r"\1^3"),
)


def read_factors(text: str) -> Factors:
    """The words of a unit with their powers; none for a text that stands for no unit.

    Raises
    ------
    UnitError
        The text is no product of units, or exceeds a bound.

    Examples
    --------
    >>> [(word, str(power)) for word, power in read_factors("J/(mol K)")]
    [('J', '1'), ('mol', '-1'), ('K', '-1')]
    >>> [(word, str(power)) for word, power in read_factors("eV³⁄² cm-3")]
    [('eV', '3/2'), ('cm', '-3')]
    """
    plain = " ".join(unicodedata.normalize("NFC", text).translate(_ALIKE).split())
    if plain.lower() in DIMENSIONLESS:
        return ()
    if len(plain) > MOST_CHARACTERS:
        raise UnitError(f"unit '{plain[:24]}…': needs at most {MOST_CHARACTERS} characters, found {len(plain)}")
    for pattern, symbols in _IN_WORDS:
        plain = pattern.sub(symbols, plain)
    return _UnitReader(text.strip(), plain).whole()


def known_power(word: str, is_known: Callable[[str], bool]) -> tuple[str, int]:
    """A word parted into the name of a unit and the digits behind it, which are its power.

    The digits belong to the name where the whole word is a known name, or where nothing of it is known.

    Examples
    --------
    >>> known = {"cm", "H2O"}.__contains__
    >>> known_power("cm3", known), known_power("H2O", known), known_power("unit7", known)
    (('cm', 3), ('H2O', 1), ('unit7', 1))
    """
    name = word.rstrip("0123456789")
    if name == word or is_known(word) or not is_known(name):
        return word, 1
    return name, int(word[len(name) :])


def checked_power(text: str, power: Fraction) -> Fraction:
    """The power, if it is within bounds.

    Raises
    ------
    UnitError
        It is zero, or its numerator or denominator is too large.
    """
    if power == 0 or abs(power.numerator) > LARGEST_POWER or power.denominator > LARGEST_POWER:
        raise UnitError(
            f"unit '{text}': needs powers other than 0 with at most {LARGEST_POWER} above and below the line, "
            f"such as 3, -1/2 or 0.5, found {str(power)[:24]}"
        )
    return power


class _UnitReader:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, plain: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(plain):
            match = _TOKEN.match(plain, place)
            if match is None or match.lastgroup is None:
                self._refuse(f"'{plain[place]}'")
            self._tokens.append((match.lastgroup, match.group().strip() or " "))
            place = match.end()
        self._at = 0

    def whole(self) -> Factors:
        factors = self._unit(0)
        if self._kind:
            self._refuse(f"'{self._value}'")
        return factors

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    @property
    def _value(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else "its end"

    def _take(self, kind: str) -> str | None:
        if self._kind != kind:
            return None
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _refuse(
        self, present: str, needed: str = "a product of units such as eV/Å**3, g cm-3 or J/(mol K)"
    ) -> NoReturn:
        raise UnitError(f"unit '{self._text}': needs {needed}, found {present}")

    def _unit(self, depth: int) -> Factors:
        if depth > MOST_NESTED:
            self._refuse("more", f"at most {MOST_NESTED} parentheses inside each other")
        factors = self._factor(depth)
        while self._take("separator"):
            factors += self._factor(depth)
        while self._take("slash"):
            factors += tuple((word, -power) for word, power in self._factor(depth, may_be_one=False))
            if self._kind == "separator":
                self._refuse(
                    "a product behind a slash",
                    "parentheses where more than one unit is below the line, as in J/(mol K)",
                )
        return factors

    def _factor(self, depth: int, *, may_be_one: bool = True) -> Factors:
        if may_be_one and self._kind == "number" and self._value == "1" and self._next_is_slash():
            self._at += 1
            return ()
        if self._take("open"):
            inner = self._unit(depth + 1)
            if not self._take("close"):
                self._refuse(f"'{self._value}'" if self._kind else "no closing parenthesis")
        elif word := self._take("word") or self._take("dotted"):
            inner = ((word, Fraction(1)),)
        else:
            self._refuse_factor()
        power = self._power()
        return tuple((word, checked_power(self._text, own * power)) for word, own in inner)

    def _next_is_slash(self) -> bool:
        return self._at + 1 < len(self._tokens) and self._tokens[self._at + 1][0] == "slash"

    def _refuse_factor(self) -> NoReturn:
        if self._kind == "number":
            self._refuse(self._value, "a product of units without numbers (multiply the values instead)")
        self._refuse(f"'{self._value}'" if self._kind else "nothing behind it")

    def _power(self) -> Fraction:
        if raised := self._take("raised"):
            return self._number(raised.translate(_RAISED))
        if self._take("power"):
            if self._take("open"):
                number = self._take("number") or ""
                if self._take("slash"):
                    number += "/" + (self._take("number") or "")
                if not self._take("close"):
                    self._refuse(f"'{self._value}'", "a power such as **2, ^-1 or ^(1/2)")
                return self._number(number)
            return self._number(self._take("number") or "")
        return self._number(self._take("number") or "1")

    def _number(self, text: str) -> Fraction:
        try:
            power = Fraction(text)
        except (ValueError, ZeroDivisionError):
            self._refuse(f"'{text or self._value}'", "a power such as **2, ^-1 or ^(1/2)")
        return checked_power(self._text, power)
