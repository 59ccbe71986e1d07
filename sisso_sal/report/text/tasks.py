"""Results of `fit` with several tasks as text for a terminal or a log file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.report.text.results import rejections, sizes
from sisso_sal.report.text.table import aligned


def tasks_text(document: Mapping[str, Any]) -> str:
    """What `fit --task` prints; takes the document of ``fit --json``."""
    unit = f" {document['target']['unit']}" if document["target"]["unit"] else ""
    column = f" of column {document['task_column']}" if document["task_column"] else ""
    lines = [
        f"{document['n_samples']} samples of {len(document['tasks'])} tasks{column}; features: {sizes(document['n_features'])}",
        f"left out: {rejections(document['rejected'])}",
    ]
    for model in document["models"]:
        head = (
            f"{model['dimension']}D  RMSE {model['rmse']:.4g}{unit}, largest error {model['max_abs_error']:.4g}{unit}"
        )
        lines += ["", head]
        for number, term in enumerate(model["terms"], 1):
            own = f" ({term['unit']})" if term["unit"] not in (None, "", "1") else ""
            of_coefficient = f", c{number} in {term['coefficient_unit']}" if term.get("coefficient_unit") else ""
            lines.append(f"  d{number}{own} = {term['shown']}{of_coefficient}")
        lines += [f"  {line}" for line in _coefficients(document, model).split("\n")]
    return "\n".join(lines)


def _coefficients(document: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """A line for each task: its samples, intercept, coefficients and errors."""
    numbers = [f"c{number}" for number in range(len(model["terms"]) + 1)]
    units = {task["unit"] for task in document["tasks"]}
    header = ["task", *(["unit"] if len(units) > 1 else []), "samples", *numbers, "RMSE", "largest error"]
    rows = [header]
    for task in document["tasks"]:
        own = model["tasks"][task["name"]]
        values = [own["intercept"], *own["coefficients"]]
        cells = [task["name"], *([task["unit"]] if len(units) > 1 else []), str(task["n_samples"])]
        rows.append(
            [*cells, *(f"{value:.6g}" for value in values), f"{own['rmse']:.4g}", f"{own['max_abs_error']:.4g}"]
        )
    return aligned(rows, numeric=range(len(header) - len(numbers) - 3, len(header)))
