"""Formulas read back from their text: the inverse of ``str(expression)``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from sisso_sal.errors import ExpressionError, SettingsError
from sisso_sal.features.expression import Expression
from sisso_sal.features.names import is_plain, quoted, unquoted
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.unit_rules import STRICT, UnitRules

LARGEST = 64
"""Operators and parentheses in a formula, all together, are not more than this; one of rung 3 has 21 at most."""

_TOKEN = re.compile(
    r"\s*(?:(?P<name>`(?:[^`\\]|\\.)*`)|(?P<number>\d+(?:\.\d+(?:e[-+]?\d+)?|e[-+]?\d+))|(?P<sign>\*\*|[-+*/()])"
    r"|(?P<word>[^\s()+\-*/`]+))",
    re.S,
)
"""A number has a point or an exponent: it is a parameter."""

_SUMS: dict[str, str] = {}
_PRODUCTS: dict[str, str] = {}
"""Names of operators by the sign between their operands."""

_POWERS: dict[str, str] = {}
"""By the exponent."""

_RECIPROCALS: dict[str, str] = {}
"""By the number above the bar."""

_CALLS: dict[str, dict[str, str]] = {}
"""By the function, and then by what stands in its parentheses."""

_ONE, _NEGATIVE, _DIFFERENCE = "{0}", "-{0}", "{0} - {1}"


def _sort_in(name: str, template: str) -> None:
    """Put an operator into the tables above, by the form of its text."""
    forms = [
        (r"\{0\} ([+-]) \{1\}", _SUMS),
        (r"\{0\}([*/])\{1\}", _PRODUCTS),
        (r"\{0\}\*\*(\d)", _POWERS),
        (r"(\d)/\{0\}", _RECIPROCALS),
    ]
    for pattern, table in forms:
        if form := re.fullmatch(pattern, template):
            table[form[1]] = name
            return
    call = re.fullmatch(r"(\w+)\((.*)\)", template)
    if call is None or call[2] not in {_ONE, _NEGATIVE, _DIFFERENCE}:
        raise SettingsError(f"operator '{name}': needs a text that can be read back, found '{template}'")
    _CALLS.setdefault(call[1], {})[call[2]] = name


for _row in OPERATORS.values():
    _sort_in(_row.name, _row.text)


class _Token(NamedTuple):
    kind: str  # name, number, sign, word or end
    text: str
    place: int


class _Argument(NamedTuple):
    """What an operator with parameters is applied to."""

    operand: Expression
    parameters: tuple[float, float]


def parse_formula(text: str, units: Mapping[str, str], *, rules: UnitRules = STRICT) -> Expression:
    """The expression whose text this is, with the same tree.

    Parameters
    ----------
    text : str
        What ``str(expression)`` gave; spaces and more parentheses do no harm. Names of features that are no identifiers stand in
        backticks (see `quoted`).
    units : mapping of str to str
        Unit text of each primary feature.
    rules : UnitRules
        What the units allow.

    Raises
    ------
    ExpressionError
        The text is no formula of these features, or too large.
    UnitError
        The units do not fit the rules.

    Examples
    --------
    >>> units = {"a/b": "", "c": ""}
    >>> formula = parse_formula("`a/b`/c**2", units)
    >>> formula.to_json(), str(formula)
    (['div', 'a/b', ['sq', 'c']], '`a/b`/c**2')
    """
    reader = _FormulaReader(_tokens(text), units, rules)
    expression = reader.sum()
    reader.take("")
    return expression


def _tokens(text: str) -> list[_Token]:
    text = text.rstrip()
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ExpressionError(f"formula: needs a second backtick behind character {place + 1}, found {text!r}")
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return [*tokens, _Token("end", "", place)]


class _FormulaReader:
    """One pass over the tokens; a method for each strength of binding."""

    def __init__(self, tokens: list[_Token], units: Mapping[str, str], rules: UnitRules):
        self.tokens, self.units, self.rules = tokens, units, rules
        self.position = self.size = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.position]

    def take(self, text: str) -> None:
        """Go on behind a sign; "" stands for the end."""
        if self.next.text != text:
            raise self.fault(f"'{text}'" if text else "an operator or the end")
        self.position += 1

    def takes(self, table: Mapping[str, str], kind: str = "sign") -> str | None:
        """The operator of the next token, if it is in the table; then the token is taken."""
        operator = table.get(self.next.text) if self.next.kind == kind else None
        self.position += operator is not None
        return operator

    def fault(self, needed: str) -> ExpressionError:
        present = f"'{self.next.text}'" if self.next.text else "the end"
        return ExpressionError(f"formula: needs {needed} at character {self.next.place + 1}, found {present}")

    def apply(self, operator: str, *operands: Expression | _Argument) -> Expression:
        self.grow()
        parameters = next((one.parameters for one in operands if isinstance(one, _Argument)), None)
        plain = (one.operand if isinstance(one, _Argument) else one for one in operands)
        return Expression.apply(operator, *plain, rules=self.rules, parameters=parameters)

    def grow(self) -> None:
        self.size += 1
        if self.size > LARGEST:
            raise ExpressionError(f"formula: needs at most {LARGEST} operators and parentheses, found more")

    def sum(self) -> Expression:
        return self.folded(self.terms())

    def terms(self) -> list[tuple[str, Expression]]:
        """The products of a sum, each with the operator before it."""
        terms = [("", self.product())]
        while not self.is_number_next(1) and (operator := self.takes(_SUMS)):
            terms.append((operator, self.product()))
        return terms

    def is_number_next(self, behind: int) -> bool:
        """Whether a number follows, behind a sign if `behind` is 1."""
        tokens = self.tokens[self.position : self.position + behind + 1]
        return len(tokens) > behind and tokens[behind].kind == "number" and (not behind or tokens[0].text in _SUMS)

    def number(self) -> float:
        """A number, with a sign or without."""
        sign = self.takes(_SUMS)
        self.position += 1
        value = float(self.tokens[self.position - 1].text)
        return -value if sign == _SUMS["-"] else value

    def argument(self) -> list[tuple[str, Expression]] | _Argument:
        """What stands in parentheses: an operand with parameters, or the products of a sum."""
        if self.is_number_next(0) or (self.next.text == "-" and self.is_number_next(1)):
            scale = self.number()
            self.take("*")
            operand = self.power()
            return _Argument(operand, (scale, self.number() if self.is_number_next(1) else 0.0))
        terms = self.terms()
        return _Argument(self.folded(terms), (1.0, self.number())) if self.is_number_next(1) else terms

    def folded(self, terms: list[tuple[str, Expression]]) -> Expression:
        total = terms[0][1]
        for operator, term in terms[1:]:
            total = self.apply(operator, total, term)
        return total

    def product(self) -> Expression:
        total = self.reciprocal()
        while operator := self.takes(_PRODUCTS):
            total = self.apply(operator, total, self.power())
        return total

    def reciprocal(self) -> Expression:
        operator = self.takes(_RECIPROCALS, "word")
        if operator is None:
            return self.power()
        self.take("/")
        if self.next.text != "(":
            return self.apply(operator, self.power())
        return self.apply(operator, self.raised(self.atom()))

    def power(self) -> Expression:
        base = self.raised(self.atom())
        if isinstance(base, _Argument):
            raise self.fault("a power of the sum with a number")
        return base

    def raised(self, base: Expression | _Argument) -> Expression | _Argument:
        if self.next.text != "**":
            return base
        self.take("**")
        operator = self.takes(_POWERS, "word")
        if operator is None:
            raise self.fault(f"one of the exponents {', '.join(_POWERS)}")
        return self.apply(operator, base)

    def atom(self) -> Expression | _Argument:
        token = self.next
        if token.text == "(":
            return self.parenthesised()
        if token.kind == "word" and token.text in _CALLS:
            return self.call()
        if token.kind not in {"name", "word"} or (token.kind == "word" and not is_plain(token.text)):
            raise self.fault("a name (in backticks if it is no identifier) or a function")
        name = unquoted(token.text) if token.kind == "name" else token.text
        if name not in self.units:
            known = ", ".join(map(quoted, self.units))
            raise ExpressionError(f"formula: needs one of the features {known}, found {name!r}")
        self.position += 1
        return Expression.primary(name, self.units[name])

    def parenthesised(self) -> Expression | _Argument:
        self.grow()
        self.take("(")
        inner = self.argument()
        self.take(")")
        return inner if isinstance(inner, _Argument) else self.folded(inner)

    def call(self) -> Expression:
        forms = _CALLS[self.next.text]
        self.position += 1
        self.grow()
        self.take("(")
        if self.next.text == "-" and _NEGATIVE in forms and not self.is_number_next(1):
            self.take("-")
            value = self.apply(forms[_NEGATIVE], self.product())
        elif isinstance(inner := self.argument(), _Argument):
            value = self.apply(forms[_ONE], inner)
        else:
            *first, (operator, last) = inner
            if _DIFFERENCE in forms and first and operator == _SUMS["-"]:
                value = self.apply(forms[_DIFFERENCE], self.folded(first), last)
            else:
                value = self.apply(forms[_ONE], self.folded(inner))
        self.take(")")
        return value
