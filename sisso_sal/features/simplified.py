"""Formulas as a person would write them: factors collected, like terms added, equal to the formula wherever it is defined.

The rules are those of real numbers. ``sqrt(x)**2`` stays, since it is undefined below zero and ``x`` is not; ``sqrt(x**2)`` is
``|x|``; a cube root is real for every number, so it may be taken factor by factor. A factor that cancels, as in ``a*b/a``, leaves
a form that has a value at the single points where the factor is zero. Nothing that makes a formula undefined on a range is lost: a
step that would lose it is not taken. ``scale*x + shift``, what an operator with parameters is applied to, is one factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import gcd, lcm
from typing import NamedTuple

from sisso_sal.features.dimension import Dimension
from sisso_sal.features.expression import Expression


class Power(NamedTuple):
    """An exponent ``halves/2 + thirds/3``.

    - halves: halves of the exponent, an odd number for a square root; below zero in a denominator
    - thirds: 0, 1 or 2, of a cube root, which is real for negative numbers too
    - is_rooted: whether a square root makes it undefined below zero
    """

    halves: int
    thirds: int = 0
    is_rooted: bool = False

    @property
    def is_integer(self) -> bool:
        """Whether it is a whole exponent that is defined for negative numbers."""
        return not (self.halves % 2 or self.thirds or self.is_rooted)

    @property
    def value(self) -> Fraction:
        return Fraction(self.halves, 2) + Fraction(self.thirds, 3)

    def times(self, n: int) -> Power:
        """Of the factor raised to the whole power n."""
        whole, thirds = divmod(self.thirds * n, 3)
        return Power(self.halves * n + 2 * whole, thirds, self.is_rooted)

    def plus(self, other: Power) -> Power:
        """Of the product of two powers of one base."""
        whole, thirds = divmod(self.thirds + other.thirds, 3)
        return Power(self.halves + other.halves + 2 * whole, thirds, self.is_rooted or other.is_rooted)


ONE = Power(2)


@dataclass(frozen=True)
class Symbol:
    """A primary feature."""

    name: str

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True)
class Opaque:
    """A part that is written as it is."""

    expression: Expression

    @property
    def key(self) -> str:
        return f"~{self.expression.key}"


@dataclass(frozen=True)
class Sum:
    """A sum of two monomials or more that share no factor; the first of them has a coefficient above zero."""

    terms: tuple[Monomial, ...]

    @cached_property
    def key(self) -> str:
        return f"({'+'.join(term.key for term in self.terms)})"


@dataclass(frozen=True)
class Absolute:
    """The absolute value of one factor."""

    base: Base

    @cached_property
    def key(self) -> str:
        return f"|{self.base.key}|"


@dataclass(frozen=True)
class Call:
    """A function of a monomial: exp, log, sin, cos; ``root2`` and ``root3`` where roots cannot be taken factor by factor."""

    name: str
    argument: Monomial

    @cached_property
    def key(self) -> str:
        return f"{self.name}({self.argument.key})"


@dataclass(frozen=True)
class Shifted:
    """``scale * argument + shift``, what an operator with parameters is applied to.

    Attributes
    ----------
    argument : Monomial
    scale, shift : float
    units : tuple of Dimension
        Of the scale and of the shift, which is that of the sum.
    """

    argument: Monomial
    scale: float
    shift: float
    units: tuple[Dimension, Dimension]

    @cached_property
    def key(self) -> str:
        return f"[{self.scale!r},{self.shift!r}]({self.argument.key})"


Base = Symbol | Opaque | Sum | Absolute | Call | Shifted


@dataclass(frozen=True)
class Monomial:
    """A rational coefficient times powers of different bases, which are sorted by their keys.

    Examples
    --------
    >>> a, b = Expression.primary("a"), Expression.primary("b")
    >>> formula = Expression.apply("div", Expression.apply("mult", a, b), Expression.apply("sq", b))
    >>> [(base.name, int(power.value)) for base, power in simplified(formula).factors]
    [('a', 1), ('b', -1)]
    """

    coefficient: Fraction
    factors: tuple[tuple[Base, Power], ...]

    @cached_property
    def key(self) -> str:
        return f"{self.coefficient}{self.name}"

    @cached_property
    def name(self) -> str:
        """What like terms have in common."""
        return "*".join(f"{base.key}^{tuple(power)}" for base, power in self.factors)

    def scaled(self, number: Fraction | int) -> Monomial:
        return Monomial(self.coefficient * number, self.factors)


class _Lost(Exception):
    """A step would leave a formula that is defined where the one before is not, or nothing at all."""


def simplified(expression: Expression) -> Monomial:
    """The formula with its factors collected and its like terms added; it has the same value wherever the formula is defined.

    Examples
    --------
    >>> from sisso_sal.features.typeset import written
    >>> a, b = Expression.primary("a"), Expression.primary("b")
    >>> written(Expression.apply("div", Expression.apply("cb", a), Expression.apply("div", b, a)), "plain")
    'a⁴/b'
    """
    units = (part for part in expression.parts() if part.parameters is not None)
    return _simplified(expression, tuple((part.scale_dimension, part.shift_dimension) for part in units))


@lru_cache(maxsize=4096)
def _simplified(expression: Expression, _units: tuple[tuple[Dimension, Dimension], ...]) -> Monomial:
    """Equal formulas may have parameters of different units."""
    if expression.is_primary:
        return _of(Symbol(expression.name))
    operands = [simplified(operand) for operand in expression.operands]
    if expression.parameters is not None:
        operands = [_argument(operands[0], expression)]
    rule = _RULES.get(expression.name)
    try:
        if rule is None:
            raise _Lost
        result = rule(*operands)
        if not set().union(*map(_guards, operands)) <= _guards(result):
            raise _Lost
    except _Lost:
        return _of(Opaque(expression))
    return result


def _argument(operand: Monomial, expression: Expression) -> Monomial:
    """What an operator with parameters is applied to; a sign of the scale stands in front where there is no shift."""
    scale, shift = expression.parameters or (1.0, 0.0)
    units = (expression.scale_dimension, expression.shift_dimension)
    if shift != 0.0:
        return _of(Shifted(operand, scale, shift, units))
    sign = -1 if scale < 0 else 1
    if abs(scale) == 1.0 and units[0].is_none:
        return operand.scaled(sign)
    return _of(Shifted(operand, abs(scale), shift, units)).scaled(sign)


def _of(base: Base, power: Power = ONE) -> Monomial:
    return Monomial(Fraction(1), ((base, power),))


def _guards(monomial: Monomial) -> frozenset[str]:
    """Keys of what must not be below zero."""
    found: set[str] = set()
    for base, power in monomial.factors:
        if power.is_rooted:
            found.add(base.key)
        if isinstance(base, Call) and base.name in {"root2", "log"}:
            found.add(base.argument.key)
        if isinstance(base, Opaque):
            found.add(base.key)
        found |= set().union(*map(_guards, _parts(base)))
    return frozenset(found)


def _parts(base: Base) -> Iterator[Monomial]:
    """Monomials that a base is made of."""
    if isinstance(base, Sum):
        yield from base.terms
    elif isinstance(base, Call | Shifted):
        yield base.argument
    elif isinstance(base, Absolute):
        yield _of(base.base)
    elif isinstance(base, Opaque):
        yield from map(simplified, base.expression.operands)


def _has_opaque(monomial: Monomial) -> bool:
    return any(isinstance(base, Opaque) or any(map(_has_opaque, _parts(base))) for base, _ in monomial.factors)


def _is_nonnegative(base: Base) -> bool:
    return isinstance(base, Absolute) or (isinstance(base, Call) and base.name in {"exp", "root2"})


def _product(monomials: Iterable[Monomial]) -> Monomial:
    coefficient, powers, bases = Fraction(1), {}, {}
    exponent: list[Monomial] = []
    waiting = []
    for monomial in monomials:
        coefficient *= monomial.coefficient
        waiting += monomial.factors
    for base, power in waiting:
        if isinstance(base, Call) and base.name == "exp":
            exponent.append(base.argument.scaled(power.value))
            continue
        bases[base.key] = base
        powers[base.key] = power if base.key not in powers else powers[base.key].plus(power)
    for key in [key for key, base in bases.items() if isinstance(base, Absolute)]:
        if powers[key].is_integer and powers[key].halves % 4 == 0:  # |x|**2 is x**2
            base, power = bases.pop(key).base, powers.pop(key)
            bases[base.key] = base
            powers[base.key] = power if base.key not in powers else powers[base.key].plus(power)
    if total := _total(exponent):
        call = Call("exp", total)
        bases[call.key], powers[call.key] = call, ONE
    return Monomial(coefficient, tuple(_kept(bases, powers)))


def _kept(bases: dict[str, Base], powers: dict[str, Power]) -> Iterator[tuple[Base, Power]]:
    """The factors that are left, sorted."""
    for key in sorted(bases):
        power = powers[key]
        if power.is_rooted and _is_nonnegative(bases[key]):
            power = power._replace(is_rooted=False)
        if power.value:
            yield bases[key], power


def _total(exponents: list[Monomial]) -> Monomial | None:
    """The sum of exponents; None for zero."""
    total = None
    for exponent in exponents:
        if total is None:
            total = exponent
        elif (terms := _like_terms([total, exponent])) == []:
            total = None
        else:
            total = _sum(terms)
    return total


def _power(monomial: Monomial, n: int) -> Monomial:
    if n < 0 and _has_opaque(monomial):  # it may be zero throughout
        raise _Lost
    factors = tuple((base, power.times(n)) for base, power in monomial.factors)
    return _product([Monomial(monomial.coefficient**n, factors)])


def _absolute(monomial: Monomial) -> Monomial:
    def size(base: Base, power: Power) -> Base:
        is_even = power.is_integer and power.halves % 4 == 0
        return base if is_even or power.is_rooted or _is_nonnegative(base) else Absolute(base)

    factors = tuple((size(base, power), power) for base, power in monomial.factors)
    return _product([Monomial(abs(monomial.coefficient), factors)])


def _square_root(monomial: Monomial) -> Monomial:
    if monomial.coefficient == 1 and len(monomial.factors) == 1:
        ((base, power),) = monomial.factors
        if isinstance(base, Call) and base.name == "exp":
            return _of(Call("exp", base.argument.scaled(power.value / 2)))
        if power.is_integer and power.halves % 4 == 0:
            return _absolute(_of(base, Power(power.halves // 2)))
        if power.is_integer:
            return _of(base, Power(power.halves // 2, 0, not _is_nonnegative(base)))
    return _of(Call("root2", monomial))


def _cube_root(monomial: Monomial) -> Monomial:
    if abs(monomial.coefficient) != 1 or not all(power.is_integer for _, power in monomial.factors):
        return _of(Call("root3", monomial))
    parts = [Monomial(monomial.coefficient, ())]
    for base, power in monomial.factors:
        whole, thirds = divmod(power.halves // 2, 3)
        if isinstance(base, Call) and base.name == "exp":
            parts.append(_of(Call("exp", base.argument.scaled(power.value / 3))))
        else:
            parts.append(_of(base, Power(2 * whole, thirds)))
    return _product(parts)


def _like_terms(monomials: Iterable[Monomial]) -> list[Monomial]:
    """The terms of a sum, those of the same name added up."""
    terms: dict[str, Monomial] = {}
    for monomial in monomials:
        for term in _terms(monomial):
            total = term.coefficient + (terms[term.name].coefficient if term.name in terms else 0)
            terms[term.name] = Monomial(total, term.factors)
    return [terms[name] for name in sorted(terms) if terms[name].coefficient]


def _terms(monomial: Monomial) -> list[Monomial]:
    if len(monomial.factors) == 1:
        ((base, power),) = monomial.factors
        if isinstance(base, Sum) and power == ONE:
            return [term.scaled(monomial.coefficient) for term in base.terms]
    return [monomial]


def _sum(terms: list[Monomial]) -> Monomial:
    """Terms that differ, with their common factors in front."""
    if not terms:
        raise _Lost
    if len(terms) == 1:
        return terms[0]
    common = _common(terms)
    rest = [_without(term, common) for term in terms]
    if any(not term.factors for term in rest):  # r - r/m is no longer than r*(1 - 1/m)
        common, rest = Monomial(Fraction(1), ()), terms
    flat = _like_terms(rest)
    if not flat:
        raise _Lost
    if len(flat) == 1:
        return _product([common, *flat])
    numerators, denominators = zip(*(term.coefficient.as_integer_ratio() for term in flat), strict=True)
    content = Fraction(gcd(*numerators), lcm(*denominators))
    content = -content if flat[0].coefficient < 0 else content
    inner = Sum(tuple(term.scaled(1 / content) for term in flat))
    return _product([common.scaled(content), _of(inner)])


def _without(term: Monomial, common: Monomial) -> Monomial:
    """A term without factors that it contains."""
    taken = {base.key: power for base, power in common.factors}
    factors = []
    for base, power in term.factors:
        if base.key not in taken:
            factors.append((base, power))
        elif power != taken[base.key]:
            factors.append((base, Power(power.halves - taken[base.key].halves)))
    return Monomial(term.coefficient, tuple(factors))


def _common(terms: list[Monomial]) -> Monomial:
    """What all terms contain."""
    every = [{base.key: power for base, power in term.factors} for term in terms]
    factors = []
    for base, first in terms[0].factors:
        powers = [powers.get(base.key) for powers in every]
        known = [power for power in powers if power is not None]
        if len(known) < len(terms):
            continue
        if all(power == first for power in known):
            factors.append((base, first))
        elif all(power.is_integer and power.halves * first.halves > 0 for power in known):
            factors.append((base, min(known, key=lambda power: abs(power.halves))))
    return Monomial(Fraction(1), tuple(factors))


def _call(name: str) -> Callable[[Monomial], Monomial]:
    def apply(argument: Monomial) -> Monomial:
        if not argument.factors:  # log(1) is zero
            raise _Lost
        return _product([_of(Call(name, argument))])

    return apply


def _difference(a: Monomial, b: Monomial) -> Monomial:
    return _sum(_like_terms([a, b.scaled(-1)]))


_RULES: dict[str, Callable[..., Monomial]] = {
    "add": lambda a, b: _sum(_like_terms([a, b])),
    "sub": _difference,
    "abs_diff": lambda a, b: _absolute(_difference(a, b)),
    "mult": lambda a, b: _product([a, b]),
    "div": lambda a, b: _product([a, _power(b, -1)]),
    "inv": lambda a: _power(a, -1),
    "sq": lambda a: _power(a, 2),
    "cb": lambda a: _power(a, 3),
    "six_pow": lambda a: _power(a, 6),
    "abs": _absolute,
    "sqrt": _square_root,
    "cbrt": _cube_root,
    "exp": _call("exp"),
    "neg_exp": lambda a: _product([_of(Call("exp", a.scaled(-1)))]),
    "log": _call("log"),
    "sin": _call("sin"),
    "cos": _call("cos"),
}
"""What each operator does with monomials. A formula with another operator is written as it is."""
