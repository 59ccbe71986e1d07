"""Models as a Python module on numpy."""

from __future__ import annotations

from sisso_sal.export.job import (
    POWERS,
    Job,
    assignments,
    digits,
    document,
    functions_called,
    indented,
    printable,
    unit_phrase,
)


def write_python(job: Job) -> str:
    calls = functions_called(job, "c")
    imports = ["import numpy as np"]
    imported = [name for name in calls if name not in POWERS]
    if imported:
        imports.append(f"from numpy import {', '.join(imported)}")
    powers = ([f"def {name}(x):", f"    return {POWERS[name]}"] for name in calls if name in POWERS)
    text = document(_docstring([f"{job.title()}."]), imports, *powers, *_python_members(job), _python_predict(job))
    return text.replace("\n\ndef ", "\n\n\ndef ")


def _docstring(lines: list[str]) -> list[str]:
    text = "\n".join(lines).replace("\\", "\\\\").replace('"', '\\"')
    closing = "\n" if len(lines) > 1 else ""
    return f'"""{text}{closing}"""'.split("\n")


def _python_members(job: Job) -> list[list[str]]:
    if not job.is_ensemble:
        return []
    inside = "np.isfinite(descriptor) & (descriptor >= low) & (descriptor <= high)"
    blocks = [["def _inside(descriptor, low, high):", f"    return {inside}"]]
    for number, model in enumerate(job.models, 1):
        body = [
            *_docstring([f"Member {number}; NaN where it is invalid.", "", *job.formula(model)]),
            "valid = True",
            *assignments(job, model, "c", "valid = valid & _inside({})"),
            "return np.where(valid & np.isfinite(total), total, np.nan)",
        ]
        blocks.append([f"def _member_{number}({', '.join(job.arguments(model))}):", *indented(body)])
    return blocks


def _python_predict(job: Job) -> list[str]:
    names = list(job.names.values())
    packed = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
    arrays = f"{packed} = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in {packed}))"
    steps = _python_ensemble(job) if job.is_ensemble else assignments(job, job.models[0], "c", "")
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
    return _docstring(lines)
