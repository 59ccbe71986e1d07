"""Models as a Python module of sympy expressions."""

from __future__ import annotations

from sisso_sal.export.job import Job, digits, document, functions_called, indented
from sisso_sal.models.linear import SISSOModel


def write_sympy(job: Job) -> str:
    used = {"Float", "Symbol", *functions_called(job, "sympy")}
    notes = [*job.about(), "Symbols are real; sympy reports no values outside a descriptor's domain or training range."]
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
        [f"# {line}" for line in notes],
        [f"from sympy import {', '.join(sorted(used))}"],
        ["symbols = {", *symbols, "}", *short],
        result,
    )


def _sympy_sum(job: Job, model: SISSOModel) -> list[str]:
    terms = ((t.coefficient, t.expression.to_code("sympy", job.names)) for t in model.terms)
    parts = [f"+ Float({digits(size)}, 17) * ({code})" for size, code in terms]
    return ["(", *indented([f"Float({digits(model.intercept)}, 17)", *parts]), ")"]
