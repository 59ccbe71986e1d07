"""A screening as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.registry import meaning_of
from sisso_sal.protocols.cause import in_words
from sisso_sal.report.summary import counted
from sisso_sal.report.text.table import aligned
from sisso_sal.system.durations import duration

N_SHOWN = 10
"""Best candidates that are shown."""


def screening_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What ``screen`` prints; takes its document, and the columns of the terminal if it is one."""
    target, unit = document["target"]["name"], document["target"]["unit"]
    goal, run = Goal.parse(document["goal"]), document["run"]
    lines = [
        f"{counted(document['n_rows'], 'candidate')}, {document['n_predicted']} with a prediction, {goal.in_words(target, unit)}"
    ]
    if document["n_without_prediction"]:
        lines.append(f"no prediction: {in_words(document['without_prediction'])}")
    if document["n_known"]:
        lines.append(f"not ranked, as they have a label or failed: {document['n_known']}")
    if document["n_excluded"]:
        lines.append(f"left out, as they have an element that is not wanted: {document['n_excluded']}")
    if document["expected_hits"] is not None:
        what = f"to reach {goal}" if goal.has_bound else f"to be better than {document['improve_on']:.4g}"
        lines.append(f"expected {what}: {document['expected_hits']:.4g}")
    if document["n_extrapolated"]:
        lines.append(f"more than half of the formulas extrapolate: {document['n_extrapolated']}")
    lines += ["", _table(document), f"score: {meaning_of(document['acquisition'])}"]
    if run["rows_per_second"]:
        rate = f"{counted(run['n_rows'], 'candidate')} in {duration(run['seconds'])}, {run['rows_per_second']:.3g} a second"
        before = f"; {run['n_rows_before']} were there" if run["n_rows_before"] else ""
        lines += ["", rate + before]
    else:
        lines += ["", "all results were there"]
    if run["n_removed"]:
        lines.append(f"predictions of shards that the pool no longer has were removed: {run['n_removed']}")
    return "\n".join(lines)


def share_text(document: Mapping[str, Any]) -> str:
    """What ``screen --share`` prints."""
    (number, of), run = document["share"], document["run"]
    before = f"; {run['n_rows_before']} were there" if run["n_rows_before"] else ""
    return f"Share {number} of {of}: {counted(run['n_rows'], 'candidate')} in {duration(run['seconds'])}{before}"


def _table(document: Mapping[str, Any]) -> str:
    unit = f" {document['target']['unit']}" if document["target"]["unit"] else ""
    rows = document["best"][:N_SHOWN]
    if not rows:
        return "no candidate can be ranked"
    heads = {"mean": f"mean{unit}", "std": "std", "p_hit": "P(hit)", "score": f"score ({document['acquisition']})"}
    kept = {name: head for name, head in heads.items() if name in rows[0]}
    table = [["", "candidate", *kept.values()]]
    table += [[str(rank), row["id"], *(_number(row[name]) for name in kept)] for rank, row in enumerate(rows, 1)]
    return aligned(table, numeric=[0, *range(2, 2 + len(kept))])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
