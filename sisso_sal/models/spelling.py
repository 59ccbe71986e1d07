"""Models as text in several notations: for people with simplified formulas, for programs as they are computed."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from math import exp
from typing import Any, Protocol

from sisso_sal.errors import SettingsError
from sisso_sal.features.expression import Expression
from sisso_sal.features.names import quoted
from sisso_sal.features.symbols import latex_symbol, latex_text, mathml_symbol
from sisso_sal.features.typeset import raised_unit, written
from sisso_sal.features.unit_rules import SISSO
from sisso_sal.models.transform import TargetTransform

LARGEST_EXPONENT = 709.0
"""Of e in a double."""

_FUNCTIONS = ("cbrt", "cos", "exp", "log", "sin", "sqrt")


class SpelledTerm(Protocol):
    """What is written of a term."""

    @property
    def expression(self) -> Expression: ...

    @property
    def coefficient(self) -> float: ...


class Spelled(Protocol):
    """What is written of a `SISSOModel`."""

    @property
    def terms(self) -> Sequence[SpelledTerm]: ...

    @property
    def intercept(self) -> float: ...

    @property
    def link(self) -> TargetTransform: ...

    @property
    def is_product(self) -> bool: ...

    def primaries(self) -> tuple[str, ...]: ...

    def coefficient_units(self, target_unit: str) -> list[str]: ...


def shown(model: Spelled, target: str, target_unit: str = "") -> str:
    """The model over several lines as a terminal shows it: simplified, each coefficient with its unit.

    Examples
    --------
    >>> from sisso_sal.features.expression import Expression
    >>> from sisso_sal.models.linear import SISSOModel, Term
    >>> r = Expression.primary("r", "AA")
    >>> square = Expression.apply("div", Expression.apply("cb", r), r)
    >>> print(shown(SISSOModel((Term(square, -2.0, 0.0, 1.0),), 1.0, 0.0, 0.0), "E", "eV"))
    E (eV) =  1
           - 2 [eV/Å²] · r²
    """
    name = quoted(target) + (f" ({target_unit})" if target_unit else "")
    if model.is_product:
        pad = " " * (len(name) + 1)
        factors = [f"{pad}· {size}^{_plain_exponent(power)}" for size, power in _powers(model, "plain")]
        return "\n".join([f"{name} =  {prefactor(model.intercept, 6)}", *factors])
    head = model.link.phrase(name)
    lines = [f"{head} = {' ' if model.intercept >= 0 else '-'}{abs(model.intercept):.6g}"]
    pad = " " * (len(head) + 1)
    for term, unit in zip(model.terms, model.coefficient_units(target_unit), strict=True):
        sign, size = "-" if term.coefficient < 0 else "+", f"{abs(term.coefficient):.6g}"
        quantity = f"{size} {raised_unit(unit)}" if unit else size
        lines.append(f"{pad}{sign} {quantity} · {written(term.expression, 'plain', factor=True)}")
    return "\n".join(lines)


def _powers(model: Spelled, form: str) -> list[tuple[str, float]]:
    """Of a product of powers the absolute value of each descriptor, written, and its exponent."""
    sizes = [Expression.apply("abs", term.expression, rules=SISSO) for term in model.terms]
    return [(written(size, form), term.coefficient) for size, term in zip(sizes, model.terms, strict=True)]


def prefactor(intercept: float, n_digits: int | None = None) -> str:
    """What a product of powers is multiplied by, e to the intercept, also where it is beyond the range of a double.

    Parameters
    ----------
    intercept : float
    n_digits : int, optional
        Significant digits; by default all that a double has.

    Examples
    --------
    >>> prefactor(0.0, 6), prefactor(-1800.0, 6), prefactor(1000.0, 3)
    ('1', '1.8618e-782', '1.97e+434')
    """
    value = exp(min(intercept, LARGEST_EXPONENT))
    if value >= sys.float_info.min and intercept <= LARGEST_EXPONENT:
        return repr(value) if n_digits is None else f"{value:.{n_digits}g}"
    exact = Decimal(intercept).exp(Context(prec=30, Emax=MAX_EMAX, Emin=MIN_EMIN))
    mantissa, _, power = f"{exact:.{(n_digits or 17) - 1}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{power}"


def _plain_exponent(value: float) -> str:
    return f"({value:.6g})" if value < 0 else f"{value:.6g}"


def latex(model: Spelled, target: str) -> str:
    """The model as one line of LaTeX with simplified formulas; coefficients are in units of the target over the descriptor."""
    if model.is_product:
        factors = (rf" \, {{{size}}}^{{{_latex_number(power)}}}" for size, power in _powers(model, "latex"))
        return f"{latex_symbol(target)} = {_latex_power(prefactor(model.intercept, 6))}{''.join(factors)}"
    head = latex_symbol(target) if model.link.is_identity else rf"\text{{{latex_text(model.link.phrase(target))}}}"
    text = f"{head} = {_latex_number(model.intercept)}"
    for term in model.terms:
        sign = "-" if term.coefficient < 0 else "+"
        factor = written(term.expression, "latex", factor=True)
        text += rf" {sign} {_latex_number(abs(term.coefficient))} \, {factor}"
    return text


def _latex_number(value: float) -> str:
    return _latex_power(f"{value:.6g}")


def _latex_power(number: str) -> str:
    mantissa, _, exponent = number.partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa


def mathml(model: Spelled, target: str) -> str:
    """The model as one ``math`` element of presentation MathML with simplified formulas; fractions, roots and bars stretch."""
    if model.is_product:
        factors = (
            f"<mo>⋅</mo><msup><mrow>{size}</mrow>{_mathml_number(power)}</msup>"
            for size, power in _powers(model, "mathml")
        )
        head = f"{mathml_symbol(target)}<mo>=</mo>{_mathml_power(prefactor(model.intercept, 6))}"
        return f'<math display="block"><mrow>{head}{"".join(factors)}</mrow></math>'
    is_target = model.link.is_identity
    head = mathml_symbol(target) if is_target else f"<mtext>{model.link.phrase(mathml_symbol(target))}</mtext>"
    text = f"{head}<mo>=</mo>{_mathml_number(model.intercept)}"
    for term in model.terms:
        sign = "−" if term.coefficient < 0 else "+"
        factor = written(term.expression, "mathml", factor=True)
        text += f"<mo>{sign}</mo>{_mathml_number(abs(term.coefficient))}<mo>⋅</mo>{factor}"
    return f'<math display="block"><mrow>{text}</mrow></math>'


def _mathml_number(value: float) -> str:
    number = _mathml_power(f"{abs(value):.6g}")
    return f"<mrow><mo>−</mo>{number}</mrow>" if value < 0 else number


def _mathml_power(text: str) -> str:
    size, _, power = text.partition("e")
    number = f"<mn>{size}</mn>"
    if power:
        exponent = str(int(power)).replace("-", "−")
        number += f"<mo>×</mo><msup><mn>10</mn><mn>{exponent}</mn></msup>"
    return number


def python(model: Spelled) -> str:
    """The source of a function ``predict`` of the primary features, on NumPy, with every digit of the coefficients.

    Names that are no identifiers of Python become some; arguments are in the order of the names, see `SISSOModel.primaries`.

    Raises
    ------
    SettingsError
        The model is not one of the target itself.
    """
    _refuse_link(model, "python")
    names = _identifiers(model.primaries())
    sums = [f"{term.coefficient!r} * ({term.expression.to_code('text', names)})" for term in model.terms]
    total = " + ".join([repr(model.intercept), *sums])
    used = [name for name in _FUNCTIONS if re.search(rf"\b{name}\(", total)]
    heads = [f"from numpy import {', '.join(used)}", "", ""] if used else []
    return "\n".join([*heads, f"def predict({', '.join(names.values())}):", f"    return {total}", ""])


def _identifiers(names: Sequence[str]) -> dict[str, str]:
    from keyword import iskeyword

    out: dict[str, str] = {}
    for name in names:
        short = re.sub(r"\W", "_", name, flags=re.ASCII)
        short = f"x_{short}" if not short.isidentifier() or iskeyword(short) or short in {*_FUNCTIONS, "abs"} else short
        while short in out.values():
            short += "_"
        out[name] = short
    return out


def sympy(model: Spelled) -> Any:
    """The model as a sympy expression over real symbols, with every digit of the coefficients.

    Raises
    ------
    SettingsError
        The model is not one of the target itself.
    """
    _refuse_link(model, "sympy")
    from sympy import Float

    total = Float(repr(model.intercept), 17)
    for term in model.terms:
        total += Float(repr(term.coefficient), 17) * term.expression.to_sympy()
    return total


def _refuse_link(model: Spelled, form: str) -> None:
    if not model.link.is_identity:
        raise SettingsError(
            f"{form}: needs a model of the target itself, found one of {model.link.phrase('target')}; export_model writes it"
        )
