"""Results of `fit` with several tasks as text for a terminal or a log file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.report.summary import materials_text
from sisso_sal.report.text.results import rejections, sizes
from sisso_sal.report.text.table import aligned
from sisso_sal.report.text.trade_off import trade_off_text


def tasks_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `fit --task` prints; takes the document of ``fit --json``, and the columns of the terminal if it is one."""
    unit = f" {document['target']['unit']}" if document["target"]["unit"] else ""
    column = f" of column {document['task_column']}" if document["task_column"] else ""
    lines = [
        f"{document['n_samples']} samples of {len(document['tasks'])} tasks{column}; features: {sizes(document['n_features'])}",
        *materials_text(document),
        f"left out: {rejections(document['rejected'])}",
    ]
    is_ensemble = "n_members" in document
    if is_ensemble:
        lines += [
            "",
            *_choice(document),
            "",
            f"{len(document['models'])} most typical of {document['n_members']} members:",
        ]
    for model in document["models"]:
        errors = f"RMSE {model['rmse']:.4g}{unit}, largest error {model['max_abs_error']:.4g}{unit}"
        lines += ["", f"{model['dimension']}D" if is_ensemble else f"{model['dimension']}D  {errors}"]
        lines += _model(document, model)
    if is_ensemble:
        lines += ["", *_accuracy(document)]
    if "trade_off" in document:
        best = document["recommended"]
        lines += ["", *trade_off_text(document, width, _model(document, best) if best else None)]
    return "\n".join(lines)


def _model(document: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    """Descriptors, and coefficients of each task."""
    lines = []
    for number, term in enumerate(model["terms"], 1):
        own = f" ({term['unit']})" if term["unit"] not in (None, "", "1") else ""
        of_coefficient = f", c{number} in {term['coefficient_unit']}" if term.get("coefficient_unit") else ""
        lines.append(f"  d{number}{own} = {term['shown']}{of_coefficient}")
    return [*lines, *(f"  {line}" for line in _coefficients(document, model).split("\n"))]


def _units(document: Mapping[str, Any]) -> bool:
    """Whether tasks have different units."""
    return len({task["unit"] for task in document["tasks"]}) > 1


def _coefficients(document: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """A line for each task: its samples, intercept, coefficients and errors."""
    numbers = [f"c{number}" for number in range(len(model["terms"]) + 1)]
    has_units = _units(document)
    header = ["task", *(["unit"] if has_units else []), "samples", *numbers, "RMSE", "largest error"]
    rows = [header]
    for task in document["tasks"]:
        own = model["tasks"][task["name"]]
        values = [own["intercept"], *own["coefficients"]]
        cells = [task["name"], *([task["unit"]] if has_units else []), str(task["n_samples"])]
        rows.append(
            [*cells, *(f"{value:.6g}" for value in values), f"{own['rmse']:.4g}", f"{own['max_abs_error']:.4g}"]
        )
    return aligned(rows, numeric=range(len(header) - len(numbers) - 3, len(header)))


def _choice(document: Mapping[str, Any]) -> list[str]:
    """Rung and number of terms of the members, and by what they were chosen."""
    terms = f"rung {document['rung']}, {document['dim']} term{'s' if document['dim'] > 1 else ''}"
    tried: dict[int, list[str]] = {}
    for choice in document["choices"]:
        error = "?" if choice["error"] is None else f"{choice['error']:.3g}"
        tried.setdefault(choice["rung"], []).append(f"{error} ({choice['dim']} term{'s' if choice['dim'] > 1 else ''})")
    if len(document["choices"]) < 2:
        return [f"Members of {terms}"]
    return [
        f"Chosen: {terms}, by the out-of-bag mean absolute errors of all tasks, as shares of the mean absolute deviation:",
        *(f"  rung {rung}: {', '.join(errors)}" for rung, errors in tried.items()),
    ]


def _accuracy(document: Mapping[str, Any]) -> list[str]:
    """A line for each task: its out-of-bag errors beside that of the mean, and how well sigma describes them."""
    has_units, is_corrected = _units(document), any(task["correction"] != "none" for task in document["tasks"])
    unit = f" in {document['target']['unit']}" if document["target"]["unit"] else ""
    errors = ["mean of others", "formulas", *(["corrected"] if is_corrected else [])]
    header = ["task", *(["unit"] if has_units else []), "samples", *errors, "inside 95 %", "rank corr."]
    rows = [header]
    for task in document["tasks"]:
        said, alone = task["calibration"], task["formula_calibration"]
        figures = [task["rmse_of_mean"], alone and alone["rmse"]]
        figures += [said and said["rmse"] if task["correction"] != "none" else None] if is_corrected else []
        rank = said and said["spearman"]
        cells = [task["name"], *([task["unit"]] if has_units else []), str(said["n"] if said else 0)]
        cells += ["-" if value is None else f"{value:.4g}" for value in figures]
        rows.append([*cells, f"{said['coverage95']:.0%}" if said else "-", "-" if rank is None else f"{rank:.2f}"])
    taught = "the samples of all tasks" if document["shared_correction"] else "each task's own samples"
    table = aligned(rows, numeric=range(1 + has_units, len(header))).split("\n")
    return [
        f"Accuracy of each task: RMSE{unit} of samples that are predicted without their labels (out of bag)",
        *(f"  {line}" for line in table),
        "  mean of others: the prediction is the mean label of the task's other materials",
        *([f"  corrected: what formulas miss is learned from {taught}"] if is_corrected else []),
        "  rank corr.: of sigma and absolute residual",
    ]
