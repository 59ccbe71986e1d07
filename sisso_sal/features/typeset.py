"""Simplified formulas written for people: on a terminal, in LaTeX and in MathML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from sisso_sal.features.dimension import Dimension
from sisso_sal.features.expression import Expression, render
from sisso_sal.features.names import quoted
from sisso_sal.features.operators import ATOM
from sisso_sal.features.simplified import (
    ONE,
    Absolute,
    Base,
    Call,
    Monomial,
    Opaque,
    Power,
    Shifted,
    Sum,
    Symbol,
    simplified,
)
from sisso_sal.features.symbols import latex_symbol, mathml_symbol, number_in, unit_behind

_DIGITS, _RAISED_DIGITS = "0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"
RAISED, _LOWERED = str.maketrans(_DIGITS, _RAISED_DIGITS), str.maketrans(_RAISED_DIGITS, _DIGITS)

SUM, PRODUCT, POWER, CALL = 1, 2, 3, 4
"""Binding strengths, as in the operator table; `ATOM` is a name."""


class Piece(NamedTuple):
    """Part of a written formula, and how strongly it binds."""

    text: str
    strength: int


@dataclass(frozen=True)
class Notation:
    """How the parts of a formula are put together in one notation.

    - symbol: a primary feature by its name; own: the form in which a part that cannot be simplified is written (see `render`)
    - times, plus, minus: between factors and terms; has_bar: whether a fraction holds together what stands above and below it
    - others: templates
    """

    symbol: Callable[[str], str]
    own: str
    times: str
    plus: str
    minus: str
    negative: str
    number: str
    parentheses: str
    fraction: str
    bars: str
    root2: str
    root3: str
    call: str
    has_bar: bool
    roots_hold: bool

    @property
    def for_people(self) -> str:
        """The form of `render` with units behind parameters."""
        return "units" if self.own == "text" else self.own

    def quantity(self, value: float, unit: Dimension) -> str:
        """A number above zero with its unit."""
        behind = unit_behind(unit, self.for_people)
        return number_in(value, self.for_people) + (raised_unit(behind) if self.times == "·" else behind)

    def raised(self, base: str, exponent: int) -> str:
        """A power of a base that needs no parentheses."""
        if self.own == "latex":
            return f"{base}^{{{exponent}}}"
        if self.own == "mathml":
            index = re.fullmatch("<msub>(.*)</msub>", base)
            number = f"<mn>{exponent}</mn>"
            return f"<msubsup>{index[1]}{number}</msubsup>" if index else f"<msup><mrow>{base}</mrow>{number}</msup>"
        return base + (str(exponent).translate(RAISED) if self.times == "·" else f"**{exponent}")


def raised_unit(unit: str) -> str:
    """A unit with raised exponents.

    Examples
    --------
    >>> raised_unit("eV*AA/K**2")
    'eV·AA/K²'
    """
    text = re.sub(r"\*\*(\d+)", lambda power: power[1].translate(RAISED), unit)
    return re.sub(r"(?<!\*)\*(?!\*)", "·", text)


_PART = '<mrow><mspace width="0.15em"/><mstyle scriptlevel="0">{}</mstyle><mspace width="0.15em"/></mrow>'
"""Of a fraction: as large as the rest, and narrower than the bar, so that the bars of nested fractions can be told apart."""

_FENCE = '<mo fence="true" stretchy="true" symmetric="true" form="{}">{}</mo>'
_FENCED = f"<mrow>{_FENCE.format('prefix', '{}')}{{}}{_FENCE.format('postfix', '{}')}</mrow>"

FORMS: Mapping[str, Notation] = {
    "plain": Notation(
        symbol=quoted, own="text", times="·", plus=" + ", minus=" - ", negative="-{}", number="{}", parentheses="({})",
        fraction="{}/{}", bars="|{}|", root2="√{}", root3="∛{}", call="{}({})", has_bar=False, roots_hold=False,
    ),
    "ascii": Notation(
        symbol=quoted, own="text", times="*", plus=" + ", minus=" - ", negative="-{}", number="{}", parentheses="({})",
        fraction="{}/{}", bars="abs({})", root2="sqrt({})", root3="cbrt({})", call="{}({})", has_bar=False, roots_hold=True,
    ),
    "latex": Notation(
        symbol=latex_symbol, own="latex", times=r" \cdot ", plus=" + ", minus=" - ", negative="-{}", number="{}",
        parentheses=r"\left({}\right)", fraction=r"\frac{{{}}}{{{}}}", bars=r"\left|{}\right|", root2=r"\sqrt{{{}}}",
        root3=r"\sqrt[3]{{{}}}", call=r"\{}\left({}\right)", has_bar=True, roots_hold=True,
    ),
    "mathml": Notation(
        symbol=mathml_symbol, own="mathml", times="<mo>⋅</mo>", plus="<mo>+</mo>", minus="<mo>−</mo>",
        negative='<mrow><mo form="prefix">−</mo>{}</mrow>', number="<mn>{}</mn>",
        parentheses=_FENCED.format("(", "{}", ")"), fraction=f"<mfrac>{_PART}{_PART}</mfrac>",
        bars=_FENCED.format("|", "{}", "|"), root2="<msqrt>{}</msqrt>", root3="<mroot><mrow>{}</mrow><mn>3</mn></mroot>",
        call=f"<mrow><mi>{{}}</mi>{_FENCE.format('prefix', '(')}{{}}{_FENCE.format('postfix', ')')}</mrow>", has_bar=True,
        roots_hold=True,
    ),
}  # fmt: skip
"""``plain`` (raised exponents, for a terminal), ``ascii``, ``latex`` and ``mathml``."""


def written(
    expression: Expression, form: str, symbols: Mapping[str, str] | None = None, *, factor: bool = False
) -> str:
    r"""A formula in its simplest form, equal to the formula wherever that is defined; see `simplified`.

    Parameters
    ----------
    expression : Expression
    form : str
        See `FORMS`.
    symbols : mapping of str to str, optional
        How the primary features are written in that form.
    factor : bool
        Whether it stands behind a coefficient: a sum and, in text, ``1/x`` get parentheses.

    Examples
    --------
    >>> r, e = Expression.primary("r_cov"), Expression.primary("e_H")
    >>> formula = Expression.apply("div", Expression.apply("six_pow", r), Expression.apply("inv", e))
    >>> [written(formula, form) for form in ("plain", "ascii")]
    ['r_cov⁶·e_H', 'r_cov**6*e_H']
    >>> print(written(Expression.apply("div", e, r), "latex"))
    \frac{e_{\mathrm{H}}}{r_{\mathrm{cov}}}
    """
    writer = _Writer(FORMS[form], symbols or {})
    piece = writer.monomial(simplified(expression))
    is_one_over = not writer.form.has_bar and piece.text.startswith("1/")
    needs = factor and (piece.strength < PRODUCT or is_one_over)
    return writer.form.parentheses.format(piece.text) if needs else piece.text


_SIGNS = {"√": "sqrt", "∛": "cbrt"}
_OTHERS = str.maketrans({"·": "*", "─": "-", "●": "o", "¦": ":", "┼": "+", "…": "..."})


def in_ascii(text: str) -> str:
    """Text with formulas in the form ``plain`` for a terminal without raised digits, dots and roots; names in backticks stay.

    Examples
    --------
    >>> in_ascii("2 · r_cov⁶·√e_H/∛(a + b)")
    '2 * r_cov**6*sqrt(e_H)/cbrt(a + b)'
    """
    parts = re.split(r"(`(?:[^`\\]|\\.)*`)", text)
    return "".join(part if number % 2 else _signs_in_ascii(part) for number, part in enumerate(parts))


def _signs_in_ascii(text: str) -> str:
    text = re.sub(f"[{_RAISED_DIGITS}]+", lambda power: "**" + power[0].translate(_LOWERED), text).translate(_OTHERS)
    text = re.sub(r"([√∛])(\w+)", lambda root: f"{_SIGNS[root[1]]}({root[2]})", text)
    return re.sub("[√∛]", lambda root: _SIGNS[root[0]], text)


def _order(factor: tuple[Base, Power]) -> tuple:
    base, power = factor
    return isinstance(base, Sum | Shifted), -abs(power.value), base.key


@dataclass(frozen=True)
class _Writer:
    form: Notation
    symbols: Mapping[str, str]

    def monomial(self, monomial: Monomial) -> Piece:
        above, below = self._sides(monomial)
        size, sign = abs(monomial.coefficient), monomial.coefficient < 0
        if sign and (turned := _turned(monomial)):
            return self.monomial(turned)
        if size.numerator != 1 or not above:
            above.insert(0, Piece(self.form.number.format(size.numerator), ATOM))
        if size.denominator != 1:
            below.insert(0, Piece(self.form.number.format(size.denominator), ATOM))
        piece = self._product(above)
        if below:
            piece = self._fraction(piece, self._product(below))
        return Piece(self.form.negative.format(self._held(piece, PRODUCT)), SUM) if sign else piece

    def _sides(self, monomial: Monomial) -> tuple[list[Piece], list[Piece]]:
        """What stands above the bar and below it."""
        sides: tuple[list[Piece], list[Piece]] = [], []
        bars, cubes = [], ([], [])
        for base, power in sorted(monomial.factors, key=_order):
            if isinstance(base, Absolute) and not power.thirds and not power.halves % 2:
                bars.append((base.base, power))
                continue
            halves = power.halves if power.is_rooted or power.halves % 2 else 0
            if halves:
                sides[halves < 0].extend(self._roots(base, halves, power))
            rest = Power(power.halves - halves, power.thirds)
            if rest.value:
                size = abs(rest.value)
                whole, thirds = int(size), int(3 * (size % 1))
                if whole:
                    sides[rest.value < 0].append(self._raised(self._base(base), whole))
                if thirds:
                    cubes[rest.value < 0].append((base, Power(2 * thirds)))
        for side, factors in zip(sides, cubes, strict=True):
            if factors:
                inner = self.monomial(Monomial(Fraction(1), tuple(factors)))
                side.append(self._root(self.form.root3, inner))
        if bars:
            below = all(power.halves < 0 for _, power in bars)
            factors = [(base, power.times(-1) if below else power) for base, power in bars]
            side, piece = sides[below], self.monomial(Monomial(Fraction(1), tuple(factors)))
            side.append(Piece(self.form.bars.format(piece.text), ATOM))
        return sides

    def _roots(self, base: Base, halves: int, power: Power) -> list[Piece]:
        """Factors that are a power ``halves/2`` of a base."""
        root, whole = self._root(self.form.root2, self._base(base)), abs(halves) // 2
        if halves % 2 == 0:  # the root stays, for it is undefined below zero
            return [self._raised(root, abs(halves))]
        return ([self._raised(self._base(base), whole)] if whole else []) + [root]

    def _root(self, template: str, inner: Piece) -> Piece:
        text = inner.text
        if not self.form.roots_hold:
            text = self.form.parentheses.format(text) if text[0] in "|`" else self._held(inner, ATOM)
        return Piece(template.format(text), CALL)

    def _raised(self, base: Piece, exponent: int) -> Piece:
        if exponent == 1:
            return base
        needed = CALL if self.form.own == "text" and self.form.times == "*" else ATOM
        return Piece(self.form.raised(self._held(base, needed), exponent), POWER)

    def _base(self, base: Base) -> Piece:
        if isinstance(base, Symbol):
            return Piece(self.symbols.get(base.name) or self.form.symbol(base.name), ATOM)
        if isinstance(base, Opaque):
            return Piece(*render(base.expression, self.form.for_people, self.symbols))
        if isinstance(base, Sum):
            return Piece(self._sum(base.terms), SUM)
        if isinstance(base, Absolute):
            return Piece(self.form.bars.format(self._base(base.base).text), ATOM)
        return self._call(base) if isinstance(base, Call) else self._shifted(base)

    def _shifted(self, base: Shifted) -> Piece:
        """A scale of one without unit is left out, and so is a shift of zero."""
        piece, (per_argument, unit) = self.monomial(base.argument), base.units
        if abs(base.scale) != 1.0 or not per_argument.is_none:
            factors = [self.form.quantity(abs(base.scale), per_argument), self._held(piece, PRODUCT)]
            piece = Piece(self.form.times.join(factors), PRODUCT)
        if base.scale < 0:
            piece = Piece(self.form.negative.format(self._held(piece, PRODUCT)), SUM)
        if base.shift == 0.0:
            return piece
        sign = self.form.minus if base.shift < 0 else self.form.plus
        return Piece(piece.text + sign + self.form.quantity(abs(base.shift), unit), SUM)

    def _call(self, call: Call) -> Piece:
        inner = self.monomial(call.argument)
        if call.name in {"root2", "root3"}:
            return self._root(self.form.root2 if call.name == "root2" else self.form.root3, inner)
        name = "ln" if call.name == "log" and self.form.has_bar else call.name
        return Piece(self.form.call.format(name, inner.text), CALL)

    def _sum(self, terms: Sequence[Monomial]) -> str:
        """The terms with a coefficient above zero first."""
        ordered = sorted(terms, key=lambda term: term.coefficient < 0)
        text = ""
        for number, term in enumerate(ordered):
            size = self._held(self.monomial(term.scaled(-1 if term.coefficient < 0 else 1)), PRODUCT)
            if number:
                text += (self.form.minus if term.coefficient < 0 else self.form.plus) + size
            else:
                text = self.form.negative.format(size) if term.coefficient < 0 else size
        return text

    def _product(self, pieces: Sequence[Piece]) -> Piece:
        if len(pieces) == 1:
            return pieces[0]
        return Piece(self.form.times.join(self._held(piece, POWER) for piece in pieces), PRODUCT)

    def _fraction(self, above: Piece, below: Piece) -> Piece:
        if self.form.has_bar:
            return Piece(self.form.fraction.format(above.text, below.text), POWER)
        return Piece(self.form.fraction.format(self._held(above, PRODUCT), self._held(below, POWER)), PRODUCT)

    def _held(self, piece: Piece, needed: int) -> str:
        return piece.text if piece.strength >= needed else self.form.parentheses.format(piece.text)


def _turned(monomial: Monomial) -> Monomial | None:
    """The same with a minus sign put into a difference; None where there is none to take it."""
    for number, (base, power) in enumerate(monomial.factors):
        if isinstance(base, Sum) and power == ONE and any(term.coefficient < 0 for term in base.terms):
            turned = Sum(tuple(term.scaled(-1) for term in base.terms))
            factors = (*monomial.factors[:number], (turned, power), *monomial.factors[number + 1 :])
            return Monomial(-monomial.coefficient, factors)
    return None
