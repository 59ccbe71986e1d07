"""Models as a Python module on numpy."""

from __future__ import annotations

from collections.abc import Sequence

from sisso_sal.export.job import (
    POWERS,
    Job,
    assignments,
    digits,
    docstring,
    document,
    functions_called,
    indented,
    inverse_step,
    unit_phrase,
)
from sisso_sal.models.linear import SISSOModel
from sisso_sal.system.printable import printable

_PYTHON_INVERSE_POWER = (
    "def _inverse_power(x, exponent):",
    "    power = np.where(x < 0, 2.0 - exponent, exponent)",
    "    size = np.abs(x)",
    "    size = np.where(power == 0, np.expm1(size), np.expm1(np.log1p(power * size) / power))",
    "    return np.copysign(size, x)",
)
"""Inverse of the transform of Yeo and Johnson."""


def write_python(job: Job) -> str:
    inverse = [_PYTHON_INVERSE_POWER] if job.has_power else []
    head = [docstring([f"{job.title()}."]), *python_functions(job)]
    return python_text(*head, *inverse, *_python_members(job), _python_predict(job))


def python_text(*blocks: Sequence[str]) -> str:
    """A module of these blocks."""
    return document(*blocks).replace("\n\ndef ", "\n\n\ndef ")


def python_functions(job: Job) -> list[list[str]]:
    """The imports, and a block for each function that the descriptors call and numpy has not."""
    calls = functions_called(job, "c")
    imports = ["import numpy as np"]
    imported = [name for name in calls if name not in POWERS]
    if imported:
        imports.append(f"from numpy import {', '.join(imported)}")
    return [imports, *([f"def {name}(x):", f"    return {POWERS[name]}"] for name in calls if name in POWERS)]


def python_arrays(job: Job) -> str:
    """The statement that makes arrays of one shape of the arguments."""
    names = list(job.names.values())
    packed = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
    return f"{packed} = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in {packed}))"


def _python_inverse(model: SISSOModel) -> list[str]:
    if model.link.is_identity:
        return []
    low, high = map(digits, model.link.limits)
    limited = f"total = np.where((total >= {low}) & (total <= {high}), total, np.nan)"
    return [limited, inverse_step(model.link, "np.exp", "_inverse_power")]


def _python_members(job: Job) -> list[list[str]]:
    if not job.is_ensemble:
        return []
    inside = "np.isfinite(descriptor) & (descriptor >= low) & (descriptor <= high)"
    blocks = [["def _inside(descriptor, low, high):", f"    return {inside}"]]
    for number, model in enumerate(job.models, 1):
        body = [
            *docstring([f"Member {number}; NaN where it is invalid.", "", *job.formula(model)]),
            "valid = True",
            *assignments(job, model, "c", "valid = valid & _inside({})"),
            *_python_inverse(model),
            "return np.where(valid & np.isfinite(total), total, np.nan)",
        ]
        blocks.append([f"def _member_{number}({', '.join(job.arguments(model))}):", *indented(body)])
    return blocks


def _python_predict(job: Job) -> list[str]:
    names = list(job.names.values())
    arrays, model = python_arrays(job), job.models[0]
    single = [*assignments(job, model, "c", ""), *_python_inverse(model)]
    steps = _python_ensemble(job) if job.is_ensemble else single
    result = "mean[()], std[()]" if job.is_ensemble else "np.where(np.isfinite(total), total, np.nan)[()]"
    body = [*_python_docstring(job), arrays, 'with np.errstate(all="ignore"):', *indented(steps), f"return {result}"]
    return [f"def predict({', '.join(names)}):", *indented(body)]


def _python_ensemble(job: Job) -> list[str]:
    members = (f"_member_{i}({', '.join(job.arguments(model))})," for i, model in enumerate(job.models, 1))
    return [
        *("values = np.array(", "    [", *indented(members, 8), "    ]", ")"),
        "valid = np.isfinite(values)",
        "count = valid.sum(axis=0)",
        "mean = np.where(valid, values, 0.0).sum(axis=0) / np.maximum(count, 1)",
        "square = np.where(valid, (values - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)",
        f"mean = np.where(count >= {job.needed}, mean, np.nan)",
        f"std = {digits(job.scale)} * np.where(count >= {job.needed}, np.sqrt(square), np.nan)",
    ]


def _python_docstring(job: Job) -> list[str]:
    unit = printable(unit_phrase(job.target_unit))
    lines = [f"{job.title()}.", "", "Parameters", "----------"]
    for name, short in job.names.items():
        lines += [f"{short} : float or array", f"    The {job.input(name)}."]
    lines += ["", "Returns", "-------"]
    if job.is_ensemble:
        lines += [f"mean : float or array, {unit}", f"    {job.undefined()}"]
        lines += [f"std : float or array, {unit}", f"    {job.spread()}"]
    else:
        lines[2:2] = [*job.formula(job.models[0]), ""]
        lines += [f"float or array, {unit}", f"    {job.undefined()}"]
    return docstring(lines)
