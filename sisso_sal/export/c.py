"""Models as C99."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sisso_sal.export.job import POWERS, Job, assignments, digits, document, functions_called, indented, inverse_step
from sisso_sal.models.linear import SISSOModel

_C_INVERSE_POWER = (
    "static double sisso_inverse_power(double x, double exponent)",
    "{",
    "    double power = x < 0.0 ? 2.0 - exponent : exponent, size = fabs(x);",
    "    return copysign(power == 0.0 ? expm1(size) : expm1(log1p(power * size) / power), x);",
    "}",
)
"""Inverse of the transform of Yeo and Johnson."""


def write_c(job: Job) -> str:
    flags = "Compile with -std=c99 and without -ffast-math, which breaks NaN."
    powers = (
        [f"static double {name}(double x)", "{", f"    return {POWERS[name]};", "}"]
        for name in functions_called(job, "c")
        if name in POWERS
    )
    inverse = [_C_INVERSE_POWER] if job.has_power else []
    functions = _c_ensemble(job) if job.is_ensemble else [_c_single(job)]
    return document(
        _c_comment([*job.about(), job.undefined(), flags]), ["#include <math.h>"], *powers, *inverse, *functions
    )


def _c_comment(lines: list[str]) -> list[str]:
    lines = [re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", line) for line in lines]
    if len(lines) == 1:
        return [f"/* {lines[0]} */"]
    return [f"{' *' if i else '/*'} {line}".rstrip() for i, line in enumerate(lines)] + [" */"]


def _c_function(head: str, body: list[str]) -> list[str]:
    return [head, "{", *indented(f"{line};" if line[-1:] not in "{}" else line for line in body), "}"]


def _c_arguments(names: Iterable[str]) -> str:
    return ", ".join(f"double {name}" for name in names)


def _c_inverse(model: SISSOModel) -> list[str]:
    if model.link.is_identity:
        return []
    low, high = map(digits, model.link.limits)
    limited = f"total = total >= {low} && total <= {high} ? total : NAN"
    return [limited, inverse_step(model.link, "exp", "sisso_inverse_power")]


def _c_single(job: Job) -> list[str]:
    head = f"double sisso_predict({_c_arguments(job.names.values())})"
    body = [
        "double total, descriptor",
        *assignments(job, job.models[0], "c", ""),
        *_c_inverse(job.models[0]),
        "return isfinite(total) ? total : NAN",
    ]
    return [*_c_comment(job.formula(job.models[0])), f"{head};", "", *_c_function(head, body)]


def _c_ensemble(job: Job) -> list[list[str]]:
    inside = "return isfinite(descriptor) && descriptor >= low && descriptor <= high"
    blocks = [_c_function("static int sisso_inside(double descriptor, double low, double high)", [inside])]
    for number, model in enumerate(job.models, 1):
        head = f"static double sisso_member_{number}({_c_arguments(job.arguments(model))})"
        body = [
            "double total, descriptor",
            "int valid = 1",
            *assignments(job, model, "c", "valid = valid && sisso_inside({})"),
            *_c_inverse(model),
            "return valid && isfinite(total) ? total : NAN",
        ]
        blocks.append([*_c_comment([f"Member {number}:", *job.formula(model)]), *_c_function(head, body)])
    return [*blocks, _c_mean(job)]


def _c_mean(job: Job) -> list[str]:
    head = f"void sisso_predict({_c_arguments(job.names.values())}, double *mean, double *std)"
    n = len(job.models)
    loop = f"for (i = 0; i < {n}; i++) {{"
    body = [
        f"double values[{n}], total = 0.0, square = 0.0",
        "int i, count = 0",
        *(f"values[{i}] = sisso_member_{i + 1}({', '.join(job.arguments(m))})" for i, m in enumerate(job.models)),
        *(loop, "    if (isfinite(values[i])) {", "        total += values[i]", "        count++", "    }", "}"),
        *("*mean = NAN", "*std = NAN", f"if (count >= {job.needed}) {{", "    *mean = total / count"),
        *(f"    {loop}", "        if (isfinite(values[i])) {"),
        *("            square += (values[i] - *mean) * (values[i] - *mean)", "        }", "    }"),
        *(f"    *std = {digits(job.scale)} * sqrt(square / (count - 1))", "}"),
    ]
    return [*_c_comment([job.spread()]), f"{head};", "", *_c_function(head, body)]
