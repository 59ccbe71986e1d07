"""Error against complexity as text: the formulas of each number of terms, and which is recommended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sisso_sal.report.text.table import aligned

N_CELLS = 36
"""Columns of the drawing."""

N_WIDE = 60
"""Characters of formulas in the table; longer ones are cut."""


def trade_off_text(
    document: Mapping[str, Any], width: int | None = None, shown: Sequence[str] | None = None
) -> list[str]:
    """Lines on what ``fit --n-models`` judged; takes the document of ``fit --json``.

    `shown` are lines of the recommended model, by default its equation.
    """
    judged = document["trade_off"]
    if judged is None:
        return [
            "The best formulas of each size:",
            _table(document, width),
            f"No formula is recommended: {_why_not(document)}",
        ]
    best = document["recommended"]
    terms = _terms(best["dimension"])
    return [
        f"Mean absolute error{_scale(document)} of held-out labels ({judged['n_folds']} parts of {judged['n_materials']} "
        "materials), ± standard error;",
        "for each part the search was done again without it:",
        *_drawing(judged),
        "",
        "The best formulas of each size:",
        _table(document, width),
        "refitted: mean absolute error with coefficients fitted again without each part. The formulas were chosen with all labels:",
        "  it is too small, and compares formulas of one size only",
        "",
        f"Recommended (*): the fewest terms within one standard error of the least error, {terms}, and of such formulas",
        "  the one with the fewest operators within one standard error, refitted:",
        "",
        *(shown or (best.get("shown") or best["equation"]).splitlines()),
    ]


def _scale(document: Mapping[str, Any]) -> str:
    """What errors are in: a unit, or shares where tasks have different ones."""
    if len({task["unit"] for task in document.get("tasks", ())}) > 1:
        return " (of each task as a share of the mean absolute deviation of its labels)"
    return f" in {document['target']['unit']}" if document["target"]["unit"] else ""


def _why_not(document: Mapping[str, Any]) -> str:
    """Why nothing was judged."""
    if not document["complete"]:
        return "the search was interrupted"
    if (document.get("low") or {}).get("form", "").endswith("alone"):
        return "no formula is better than the low column"
    return "no labels could be held out"


def _terms(dimension: int) -> str:
    return f"{dimension} term" if dimension == 1 else f"{dimension} terms"


def _drawing(judged: Mapping[str, Any]) -> list[str]:
    """A line for each number of terms: its error as a point on a scale from 0, with a bar of one standard error to each side."""
    sizes = judged["sizes"]
    least = min(sizes, key=lambda size: size["mae"])
    bound = least["mae"] + least["mae_error"]
    most = max(size["mae"] + size["mae_error"] for size in sizes) or 1.0

    def cell(value: float) -> int:
        return max(0, min(N_CELLS - 1, round(value / most * (N_CELLS - 1))))

    lines = []
    for size in sizes:
        low, place, high = (cell(size["mae"] + k * size["mae_error"]) for k in (-1, 0, 1))
        cells = [" "] * N_CELLS
        cells[low : high + 1] = ["─"] * (high + 1 - low)
        cells[cell(bound)] = "┼" if low <= cell(bound) <= high else "¦"
        cells[place] = "●"
        mark = "  *" if size["dimension"] == judged["recommended"][0] else ""
        told = f"{size['mae']:.3g} ± {size['mae_error']:.2g}"
        lines.append(f"  {_terms(size['dimension']):>7} |{''.join(cells)}| {told}{mark}")
    lines.append(f"  ¦ ┼: the least error and one standard error, {bound:.3g}; left edge: 0")
    return lines


def _table(document: Mapping[str, Any], width: int | None) -> str:
    judged = document["trade_off"]
    unit = f" {document['target']['unit']}" if document["target"]["unit"] else ""
    if judged is None:
        return _unjudged(document, unit, width)
    rows = [["", "terms", "operators", f"RMSE in training{unit}", f"refitted{unit}", "±", "descriptors"]]
    models = [model for models in document["alternatives"] for model in models]
    for one, model in zip(judged["formulas"], models, strict=True):
        mark = "*" if [one["dimension"], one["rank"]] == judged["recommended"] else ""
        figures = [f"{one['rmse']:.4g}", f"{one['mae']:.4g}", f"{one['mae_error']:.2g}"]
        rows.append([mark, str(one["dimension"]), str(one["complexity"]), *figures, _descriptors(model)])
    return aligned(rows, numeric=[1, 2, 3, 4, 5], width=width, spare=[3, 5])


def _unjudged(document: Mapping[str, Any], unit: str, width: int | None) -> str:
    rows = [["terms", "operators", f"RMSE in training{unit}", "descriptors"]]
    for model in (model for models in document["alternatives"] for model in models):
        complexity = sum(term["complexity"] for term in model["terms"])
        rows.append([str(model["dimension"]), str(complexity), f"{model['rmse']:.4g}", _descriptors(model)])
    return aligned(rows, numeric=[0, 1, 2], width=width)


def _descriptors(model: Mapping[str, Any]) -> str:
    text = ", ".join(term["shown"] for term in model["terms"])
    return text if len(text) <= N_WIDE else f"{text[: N_WIDE - 1]}…"
