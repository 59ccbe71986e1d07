"""Models typeset: formulas as MathML with units, for notebooks and reports; what a browser shows without any script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from sisso_sal.errors import UnitError
from sisso_sal.features.dimension import Dimension, parse_unit
from sisso_sal.features.expression import Expression
from sisso_sal.features.names import quoted
from sisso_sal.features.symbols import mathml_symbol
from sisso_sal.features.typeset import written
from sisso_sal.models.linear import SISSOModel

if TYPE_CHECKING:
    from sisso_sal.models.ensemble_model import EnsembleModel

DIGITS = 5
N_RECURRING = 8


def number_html(value: float, digits: int = DIGITS) -> str:
    """A number, with a power of ten where it is very large or small.

    Examples
    --------
    >>> number_html(-0.25), number_html(8.8923e-05)
    ('−0.25', '8.8923×10<sup>−5</sup>')
    """
    size, _, power = f"{abs(value):.{digits}g}".partition("e")
    exponent = f"×10<sup>{int(power)}</sup>".replace("-", "−") if power else ""
    return f"{'−' if value < 0 else ''}{size}{exponent}"


def unit_html(dimension: Dimension) -> str:
    """A unit with negative exponents; "" for none.

    Examples
    --------
    >>> unit_html(parse_unit("eV/AA**2"))
    'eV\u202fÅ<sup>−2</sup>'
    """
    parts = []
    for symbol, power in sorted(dimension.exponents, key=lambda item: (item[1] < 0, item[0])):
        exponent = "" if power == 1 else f"<sup>{str(power).replace('-', '−')}</sup>"
        parts.append(escape(symbol) + exponent)
    return "\u202f".join(parts)  # narrow spaces that do not break


def formula_html(model: SISSOModel, target: str, target_unit: str = "") -> str:
    """A formula as HTML: the intercept and each term on a line of its own, coefficients with units.

    Parameters
    ----------
    model : SISSOModel
    target, target_unit : str
        Name and unit of what it predicts.
    """
    if model.is_product:
        return _product_html(model, target)
    link = model.link
    head = mathml_symbol(target) if link.is_identity else f"<mtext>{escape(link.phrase(quoted(target)))}</mtext>"
    unit = parse_unit(target_unit) if link.is_identity else Dimension()
    return _linear_html(model, head, unit, model.coefficient_dimensions(target_unit))


_ODDS = "<mfrac><mi>p</mi><mrow><mn>1</mn><mo>−</mo><mi>p</mi></mrow></mfrac>"
_LOG_ODDS = f'<mstyle displaystyle="true"><mi>ln</mi><mspace width="0.17em"/>{_ODDS}</mstyle>'


def log_odds_html(model: SISSOModel) -> str:
    """A formula of the log-odds of a class, of which p is the probability, like `formula_html`."""
    return _linear_html(model, _LOG_ODDS, Dimension(), model.coefficient_dimensions(""))


def _linear_html(model: SISSOModel, head: str, unit: Dimension, dimensions: Sequence[Dimension]) -> str:
    lines = [f"<math>{head}</math> = {_quantity(model.intercept, unit)}"]
    for term, dimension in zip(model.terms, dimensions, strict=True):
        sign = "−" if term.coefficient < 0 else "+"
        lines.append(
            f"{sign} {_quantity(abs(term.coefficient), dimension)} · {descriptor_html(term.expression, factor=True)}"
        )
    return '<div class="formula">' + "".join(f'<div class="term">{line}</div>' for line in lines) + "</div>"


def _product_html(model: SISSOModel, target: str) -> str:
    """A product of powers; quantities are in the units of the table."""
    lines = [f"<math>{mathml_symbol(target)}</math> = {number_html(math.exp(min(model.intercept, 700.0)))}"]
    for term in model.terms:
        power = f"<mn>{term.coefficient:.{DIGITS}g}</mn>".replace("-", "−")
        content = f"<msup><mrow><mo>|</mo>{term.expression.to_mathml()}<mo>|</mo></mrow>{power}</msup>"
        lines.append(f'× <math><mstyle displaystyle="true">{content}</mstyle></math>')
    return '<div class="formula">' + "".join(f'<div class="term">{line}</div>' for line in lines) + "</div>"


def descriptor_html(expression: Expression, *, factor: bool = False) -> str:
    """A descriptor in its simplest form, typeset with fractions at full size; a sum that is a `factor` stands in parentheses."""
    content = written(expression, "mathml", factor=factor)
    return (
        f'<math alttext="{escape(str(expression), quote=True)}"><mstyle displaystyle="true">{content}</mstyle></math>'
    )


def _quantity(value: float, dimension: Dimension) -> str:
    unit = unit_html(dimension)
    return f'<span class="number">{number_html(value)}{chr(0xA0) if unit else ""}{unit}</span>'


MATH_FONTS = '"Cambria Math","STIX Two Math","Latin Modern Math","Noto Sans Math","DejaVu Math TeX Gyre",math,serif'
"""Fonts whose bars, roots and parentheses grow with what they hold; browsers find none of them by themselves on some systems."""

_STYLE = (
    "<style>.sisso-sal{line-height:1.5}.sisso-sal .term{margin:.35em 0 .35em 1em}.sisso-sal .number{white-space:nowrap}"
    f".sisso-sal math{{font-family:{MATH_FONTS}}}"
    ".sisso-sal table{border-collapse:collapse;margin:.5em 0}"
    ".sisso-sal td,.sisso-sal th{padding:.15em .8em .15em 0;text-align:left}</style>"
)


def regressor_html(
    models: Sequence[SISSOModel], n_samples: int, n_searched: int, target: str, target_unit: str = ""
) -> str:
    """Fitted models for a notebook: the last one typeset, and a line for the best of each dimension.

    Parameters
    ----------
    models : sequence of SISSOModel
        The best of each dimension.
    n_samples, n_searched : int
        Samples, and features that were searched.
    target, target_unit : str
    """
    unit = f" ({escape(target_unit)})" if target_unit else ""
    rows = [(str(model.dimension), f"{model.rmse:.4g}", f"{model.max_abs_error:.4g}") for model in models]
    table = _table(("terms", f"RMSE{unit}", f"largest error{unit}"), rows)
    return (
        f'{_STYLE}<div class="sisso-sal"><b>SISSO model</b>, the best of {n_searched} features on {n_samples} '
        f"samples{formula_html(models[-1], target, target_unit)}{table}</div>"
    )


def ensemble_html(model: EnsembleModel, target: str, target_unit: str = "") -> str:
    """A fitted ensemble for a notebook: what it is, how good it is, its most typical formula, and what recurs."""
    typical = model.typical_members(dict(zip(model.primaries, model.labelled.T, strict=True)), 1)
    unit = f" {escape(target_unit)}" if target_unit else ""
    n_terms = model.chosen["dim"]
    words = (
        f"<b>SISSO ensemble</b> of {len(model.members)} formulas, rung {model.chosen['rung']}, {n_terms} "
        f"term{'' if n_terms == 1 else 's'}, on {model.counts.n_samples} samples"
    )
    calibration = model.calibration
    rows = []
    if calibration is not None:
        rows = [
            ("out-of-bag RMSE", f"{calibration.rmse:.3g}{unit}"),
            ("out-of-bag mean absolute error", f"{calibration.mae:.3g}{unit}"),
            ("within the 95 % interval", f"{calibration.coverage95:.0%} (raw {calibration.coverage95_raw:.0%})"),
            ("sigma times", f"{calibration.scale:.2f} ({escape(calibration.kind)})"),
        ]
    recurring = list(model.recurrence()["primaries"].items())[:N_RECURRING]
    rows.append(
        ("primary features that recur", ", ".join(f"{escape(quoted(name))} {share:.0%}" for name, share in recurring))
    )
    formula = formula_html(model.members[typical[0][0]], target, target_unit) if typical else ""
    return f'{_STYLE}<div class="sisso-sal">{words}; the most typical:{formula}{_table((), rows)}</div>'


def _table(head: tuple[str, ...], rows) -> str:
    """Cells are HTML already."""
    first = f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{first}{body}</table>"


def checked_target(name: str, unit: str) -> tuple[str, str]:
    """Name and unit as they are, or the whole header as a name where what stands in its parentheses is no unit."""
    try:
        parse_unit(unit)
    except UnitError:
        return f"{name} ({unit})", ""
    return name, unit
