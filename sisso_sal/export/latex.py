"""Models as a LaTeX align environment."""

from __future__ import annotations

from sisso_sal.export.job import Job, digits, sign_of
from sisso_sal.features.dimension import NONE, parse_unit
from sisso_sal.features.symbols import latex_symbol, latex_text, latex_unit
from sisso_sal.features.typeset import written
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.spelling import prefactor
from sisso_sal.system.printable import printable


def write_latex(job: Job) -> str:
    spread = [job.spread()] if job.is_ensemble else []
    notes = [*job.about(), *spread, *_latex_transforms(job), "Needs the package amsmath."]
    equations = (_latex_equation(job, model, number) for number, model in enumerate(job.models, 1))
    return "\n".join([*(f"% {line}" for line in notes), r"\begin{align}", "\\\\\n".join(equations), r"\end{align}", ""])


def _latex_transforms(job: Job) -> list[str]:
    """A line on each transform of the target that the equations name."""
    kinds = {model.link.kind for model in job.models if not model.is_product}
    unit = printable(f" of the number in {job.target_unit}" if job.target_unit else "")
    log = rf"\log is the natural logarithm{unit}."
    above, below = r"((1 + x)^\lambda - 1) / \lambda", r"-((1 - x)^{2 - \lambda} - 1) / (2 - \lambda)"
    power = rf"\mathrm{{YJ}}_\lambda(x) is the transform of Yeo and Johnson: {above} for x >= 0 and {below} for x < 0."
    return [*([log] if "log" in kinds else []), *([power] if "yeo-johnson" in kinds else [])]


def _latex_left(job: Job, model: SISSOModel, number: int) -> str:
    """The target, or what the model gives of it."""
    above = rf"^{{\text{{{latex_text(printable(job.task))}}}}}" if job.task else ""
    target = f"{latex_symbol(job.target)}{above}{f'^{{({number})}}' if job.is_ensemble else ''}"
    link, unit = model.link, latex_unit(parse_unit(job.target_unit).exponents)
    if link.is_identity:
        return target
    if link.kind == "log":
        return rf"\log\left({target}\right)"
    shift = f"{'+' if link.centre < 0 else '-'} {_latex_number(abs(link.centre))}{unit}"
    scaled = rf"\frac{{{target} {shift}}}{{{_latex_number(link.scale)}{unit}}}"
    return rf"\mathrm{{YJ}}_{{\lambda={_latex_number(link.exponent)}}}\!\left({scaled}\right)"


def _latex_equation(job: Job, model: SISSOModel, number: int) -> str:
    if model.is_product:
        return _latex_product(job, model)
    return latex_sum(job, model, _latex_left(job, model, number))


def latex_sum(job: Job, model: SISSOModel, left: str) -> str:
    """An equation with this left side: the intercept, and a row for each term."""
    unit = parse_unit(job.target_unit) if model.link.is_identity else NONE
    rows = [f"{left} &= {_latex_number(model.intercept)}{latex_unit(unit.exponents)}"]
    for term, unit in zip(model.terms, model.coefficient_dimensions(job.target_unit), strict=True):
        factor = written(term.expression, "latex", job.names, factor=True)
        size = f"{_latex_number(abs(term.coefficient))}{latex_unit(unit.exponents)}"
        rows.append(rf"  &\quad {sign_of(term.coefficient)} {size}\; {factor}")
    return " \\nonumber\\\\\n".join(rows)


def _latex_product(job: Job, model: SISSOModel) -> str:
    """A product of powers, in the units of the table."""
    rows = [f"{latex_symbol(job.target)} &= {_latex_power(prefactor(model.intercept, job.n_digits))}"]
    for term in model.terms:
        size = rf"\left|{term.expression.to_latex(job.names)}\right|"
        rows.append(rf"  &\quad \times {size}^{{{_latex_number(term.coefficient)}}}")
    return " \\nonumber\\\\\n".join(rows)


def _latex_number(value: float) -> str:
    return _latex_power(digits(value))


def _latex_power(number: str) -> str:
    mantissa, _, exponent = number.partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa
