"""What terminal and page both take from the summary of an iteration: features left out, and predictions to warn of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.features.names import quoted
from sisso_sal.protocols.cause import in_words
from sisso_sal.system.printable import printable

EXTRAPOLATING = 1 / 3
"""A prediction is marked where more than this share of the formulas extrapolates."""

FAR = 2.0
"""A prediction is marked where its distance to the labelled materials (see `Prediction`) is larger."""


def extrapolates(proposal: Mapping[str, Any]) -> bool:
    """Whether too many formulas extrapolate for this proposal; no where that is not known.

    Examples
    --------
    >>> extrapolates({"outside": 0.5}), extrapolates({"outside": None})
    (True, False)
    """
    return (proposal.get("outside") or 0.0) > EXTRAPOLATING


def is_far(proposal: Mapping[str, Any]) -> bool:
    """Whether this proposal lies far from all labelled materials; no where that is not known.

    Examples
    --------
    >>> is_far({"distance": 3.0}), is_far({"distance": None})
    (True, False)
    """
    return (proposal.get("distance") or 0.0) > FAR


def no_prediction(summary: Mapping[str, Any]) -> str:
    """How many candidates have no prediction, and why; "" where all have one. Runs of earlier versions do not tell why.

    Examples
    --------
    >>> no_prediction({"n_without_prediction": 3, "without_prediction": {"log of zero": 2, "division by zero": 1}})
    '3 candidates have no prediction: log of zero (2), division by zero (1)'
    >>> no_prediction({"n_without_prediction": 1})
    '1 candidate has no prediction'
    """
    n = summary["n_without_prediction"]
    if not n:
        return ""
    reasons = in_words(summary.get("without_prediction") or {})
    return f"{n} candidate{'s have' if n > 1 else ' has'} no prediction{f': {reasons}' if reasons else ''}"


def rejected_by_cause(rejected: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int]]:
    """Features left out over all rungs, for each cause that occurred; the most frequent first.

    Examples
    --------
    >>> rejected_by_cause({"1": {"unit": 2, "bounds": 0}, "2": {"unit": 1, "domain": 4}})
    [('domain', 4), ('unit', 3)]
    """
    total: dict[str, int] = {}
    for counts in rejected.values():
        for cause, number in counts.items():
            total[cause] = total.get(cause, 0) + number
    return sorted(((cause, number) for cause, number in total.items() if number), key=lambda item: -item[1])


def materials_text(document: Mapping[str, Any]) -> list[str]:
    """How many materials the labels are of, where these are fewer or a column says it; and that others are nearly equal.

    Examples
    --------
    >>> told = {"n_labels": 40, "n": 28, "by": "composition", "column": "", "near": {"n": 2, "example": ["A1", "A2"]}}
    >>> print("\\n".join(materials_text({"materials": told})))
    labels of 40 rows, 28 materials: rows of one composition are drawn, left out and held back together
    2 rows are nearly equal to a row of another material, for example A1 and A2; --group COLUMN tells which rows are one material
    """
    told = document.get("materials") or {}
    lines = []
    if told.get("by") == "column" or told.get("n") != told.get("n_labels"):
        rows = {"composition": "rows of one composition", "features": "rows with equal features"}.get(
            told["by"], f"rows with the same {quoted(told['column'])}" if told["column"] else "rows of one group"
        )
        lines = [
            f"labels of {told['n_labels']} rows, {told['n']} materials: {rows} are drawn, left out and held back together"
        ]
    if near := told.get("near"):
        first, second = (printable(name) for name in near["example"])
        lines.append(
            f"{near['n']} rows are nearly equal to a row of another material, for example {first} and {second}; "
            "--group COLUMN tells which rows are one material"
        )
    return lines
