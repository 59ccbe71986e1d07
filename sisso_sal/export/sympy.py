"""Models as a Python module of sympy expressions."""

from __future__ import annotations

from sisso_sal.export.job import Job, digits, docstring, document, functions_called, indented
from sisso_sal.models.linear import SISSOModel

_SYMPY_PIECEWISE = ("from sympy import Piecewise as _Piecewise",)
"""Under a name that no primary feature takes."""

_SYMPY_INVERSE_POWER = (
    "def _inverse_power(x, exponent):",
    "    other = 2 - exponent",
    "    above = exp(x) - 1 if exponent.is_zero else (1 + exponent * x) ** (1 / exponent) - 1",
    "    below = 1 - exp(-x) if other.is_zero else 1 - (1 - other * x) ** (1 / other)",
    "    return _Piecewise((above, x >= 0), (below, True))",
)
"""Inverse of the transform of Yeo and Johnson."""


def write_sympy(job: Job) -> str:
    used = {"Float", "Symbol", *functions_called(job, "sympy"), *(["exp"] if job.has_link else [])}
    real = "Symbols are real; sympy reports no values outside a descriptor's domain or training range."
    about = [f"{job.title()}.", "", *job.inputs(), real]  # in no comment: Python reads "coding: …" in one
    symbols = (f"    {name!r}: Symbol({short!r}, real=True)," for name, short in job.names.items())
    short = (f"{short} = symbols[{name!r}]" for name, short in job.names.items())
    sums = [_sympy_sum(job, model) for model in job.models]
    if job.is_ensemble:
        result = [
            "expressions = [",
            *(line for lines in sums for line in indented([*lines[:-1], f"{lines[-1]},"])),
            "]",
        ]
    else:
        result = ["expression = " + sums[0][0], *sums[0][1:]]
    return document(
        docstring(about),
        [f"from sympy import {', '.join(sorted(used))}", *_SYMPY_PIECEWISE[: job.has_power]],
        _SYMPY_INVERSE_POWER if job.has_power else (),
        ["symbols = {", *symbols, "}", *short],
        result,
    )


def _sympy_sum(job: Job, model: SISSOModel) -> list[str]:
    pairs = zip(model.terms, model.summands, strict=True)
    terms = ((term.coefficient, summand.to_code("sympy", job.names)) for term, summand in pairs)
    parts = [f"+ {_sympy_number(size)} * ({code})" for size, code in terms]
    total = ["(", *indented([_sympy_number(model.intercept), *parts]), ")"]
    if model.link.is_identity:
        return total
    if model.link.kind == "log":
        return ["exp(", *total[1:]]
    centre, scale, exponent = map(_sympy_number, (model.link.centre, model.link.scale, model.link.exponent))
    total[-2] += ","
    return [f"{centre} + {scale} * _inverse_power(", *total[1:-1], f"    {exponent},", ")"]


def _sympy_number(value: float) -> str:
    return f"Float({digits(value)}, 17)"
