"""Two targets at once, as text for a terminal: the known front, and what is proposed beyond it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sisso_sal.acquisition.goal import Goal
from sisso_sal.campaign.marks import MARKS
from sisso_sal.report.summary import counted, no_prediction
from sisso_sal.report.text.elements import excluded_text
from sisso_sal.report.text.results import flags, flags_explained
from sisso_sal.report.text.table import aligned
from sisso_sal.system.printable import printable

N_FRONT = 12
"""Materials of the front that are printed."""


def pareto_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `pareto` prints; takes the document of ``pareto --json``, and the columns of the terminal if it is one."""
    lines = [
        f"{document['n_labelled']} materials with both targets known, {counted(document['n_candidates'], 'candidate')}"
        + (f", {document['n_half_labelled']} of them half known" if document["n_half_labelled"] else ""),
    ]
    for target in document["targets"]:
        lines += ["", *_target(target)]
    counts = [*filter(None, [excluded_text(document["excluded"])])]
    counts += [f"Not proposed: {missing}"] if (missing := no_prediction(document)) else []
    if n := document["n_without_gain"]:
        counts.append(f"Not proposed: {counted(n, 'candidate')} that cannot improve the front (EHVI 0)")
    lines += ["", *counts] if counts else []
    return "\n".join([*lines, "", *_proposals(document, width), "", *_front(document, width)])


def _target(target: Mapping[str, Any]) -> list[str]:
    """What it is and how well it is predicted."""
    unit, model = _unit(target), target["model"]
    head = f"{_header(target)}, {target['goal']}: "
    if model is None:
        return [f"{head}known for every row, nothing to learn"]
    lines = [f"{head}{target['n_labelled']} known"]
    if model.get("typical"):
        typical = model["typical"][0]
        lines += ["  " + line for line in (typical.get("shown") or typical["equation"]).splitlines()]
        lines += [f"  (the most typical of {model['n_members']} formulas)"] if "n_members" in model else []
    if (accuracy := model.get("calibration")) is None:
        return [
            *lines,
            "  accuracy: not known; it is measured with out-of-bag predictions that have a standard deviation",
        ]
    return [
        *lines,
        f"  out of bag: mean absolute error {accuracy['mae']:.3g}{unit}, {accuracy['coverage95']:.0%} of the labels in their 95 % "
        "prediction interval",
    ]


def _proposals(document: Mapping[str, Any], width: int | None) -> list[str]:
    if not document["proposals"]:
        return [
            "No candidate: both targets are known for every row."
            if not document["n_candidates"]
            else "No candidate is expected to improve the front."
        ]
    rows = _rows(document)
    if width is not None and max(sum(len(cell) + 2 for cell in row[:4]) for row in rows) > width:  # names without units
        rows[0][2:4] = [target["name"] for target in document["targets"]]
    table = aligned(rows, numeric=[0, 4, 5], width=width, spare=[5, 4, 6][: len(rows[0]) - 4])
    area = " x ".join(target["unit"] for target in document["targets"] if target["unit"])
    flagged = flags_explained(_flags_of(one) for one in document["proposals"])
    explanations = {
        "EHVI": "EHVI: expected increase of the area that the front dominates, by each candidate if those above it succeed; "
        f"the area is {document['hypervolume']:.4g}{f' {area}' if area else ''} now",
        "not dominated": "not dominated: probability that no known material is at least as good in both",
        "flags": "".join(f"{line}; at most a quarter of the list while others gain" for line in flagged),
        **{mark.name: mark.explained for mark in MARKS},
    }
    head = table.partition("\n")[0]
    return ["To compute next, mean ± sigma:", table, *(line for name, line in explanations.items() if name in head)]


def _flags_of(proposal: Mapping[str, Any]) -> str:
    """`flags` of the target for which the prediction is the less certain."""
    return flags(
        {key: max((x for x in proposal[key] if x is not None), default=None) for key in ("outside", "distance")}
    )


def _rows(document: Mapping[str, Any]) -> list[list[str]]:
    """The proposals as cells, with a header; flags and marks only where they say something."""
    rows = [
        [
            "",
            "candidate",
            *(_header(target) for target in document["targets"]),
            "EHVI",
            "not dominated",
            "flags",
            *(mark.name for mark in MARKS),
        ]
    ]
    for rank, one in enumerate(document["proposals"], 1):
        values = [
            f"{mean:.4g} known" if known else with_sigma(mean, std)
            for mean, std, known in zip(one["mean"], one["std"], one["known"], strict=True)
        ]
        cells = [str(rank), one["id"], *values, f"{one['ehvi']:.3g}", f"{one['not_dominated']:.0%}"]
        rows.append([*cells, _flags_of(one), *(one.get(mark.name, "") for mark in MARKS)])
    always = len(rows[0]) - 1 - len(MARKS)
    kept = [k for k in range(len(rows[0])) if k < always or any(row[k] for row in rows[1:])]
    return [[row[k] for k in kept] for row in rows]


def _front(document: Mapping[str, Any], width: int | None) -> list[str]:
    targets, front = document["targets"], document["front"]
    worst = " and ".join(f"{target['reference']:.4g}{_unit(target)}" for target in targets)
    origin = "as given" if document["reference"] == "given" else "the worst on the front and a tenth of its range"
    reference = f"reference (worst values of interest): {worst}, {origin}"
    if not front:
        return ["Known front: empty, both targets are known for no row", reference]
    within = [_better(one["values"], document) for one in front]
    rows = [["material", *(_header(target) for target in targets)]]
    rows += [[one["id"], *(f"{value:.4g}" for value in one["values"])] for one in front[:N_FRONT]]
    more = [f"and {len(front) - N_FRONT} more"] if len(front) > N_FRONT else []
    beyond = [] if any(within) else ["None of them is better than the reference in both targets: the area is 0."]
    head = f"Known front, {len(front)} material{'s' if len(front) > 1 else ''}:"
    return [head, aligned(rows, numeric=[1, 2], width=width), *more, reference, *beyond]


def _better(values: list[float], document: Mapping[str, Any]) -> bool:
    """Whether it is better than the reference in both."""
    signs = [Goal.parse(target["goal"]).sign for target in document["targets"]]
    worst = [target["reference"] for target in document["targets"]]
    return all(sign * (bound - value) > 0 for sign, bound, value in zip(signs, worst, values, strict=True))


def _header(target: Mapping[str, Any]) -> str:
    return printable(f"{target['name']} ({target['unit']})" if target["unit"] else target["name"])


def _unit(target: Mapping[str, Any]) -> str:
    return f" {target['unit']}" if target["unit"] else ""


def with_sigma(mean: float, std: float) -> str:
    """A mean to the second digit of its standard deviation.

    Examples
    --------
    >>> with_sigma(-0.05812, 0.1153), with_sigma(2183.4, 148.2), with_sigma(1.5, 0.0), with_sigma(3e-7, 1.25e-8)
    ('-0.06 ± 0.12', '2183 ± 148', '1.5 ± 0', '3e-07 ± 1.2e-08')
    """
    digits = 1 - math.floor(math.log10(std)) if std > 0 and math.isfinite(std) else None
    if digits is None or digits > 6 or abs(mean) >= 1e6:
        return f"{mean:.4g} ± {std:.2g}"
    return f"{mean:.{max(digits, 0)}f} ± {std:.{max(digits, 0)}f}"
