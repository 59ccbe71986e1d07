"""Simulated campaigns with levels of theory as text for a terminal or a log file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sisso_sal.report.text.table import aligned

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Parts of the budget at which the targets that are known are told."""


def levels_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `replay` prints of a campaign with levels; takes the document of ``replay --json``."""
    rules, last = document["rules"], document["last"]
    budget = rules["evaluations"] * last
    batch = f", in batches that cost {rules['batch'] * last:g}" if rules["batch"] > 1 else ""
    lines = [
        f"{document['n_targets']} targets among {document['n_materials']} materials (goal {rules['goal']}); "
        f"{rules['n_start']} labels to start ({rules['start']}), budget {budget:g}{batch}, {document['seeds']} starts",
        "",
    ]
    head = ["strategy", *(f"known at {share:.0%}" for share in SHARES), "cost until half", "until all", "calculations"]
    rows = [head]
    for name, result in document["strategies"].items():
        known = [_known(result, share * budget) for share in SHARES]
        costs = [_cost(result[key], document["seeds"]) for key in ("until_half", "until_all")]
        numbers = ", ".join(f"{n:.1f} {level or document['last_name']}" for level, n in result["calculations"].items())
        rows.append([name, *(f"{value:.1f}" for value in known), *costs, numbers])
    lines.append(aligned(rows, numeric=range(1, len(head) - 1), width=width, spare=[len(head) - 1, 1, 2]))
    lines.append("known: targets that are known when this part of the budget is spent, those of the start among them")
    return "\n".join(lines)


def _known(result: Mapping[str, Any], cost: float) -> float:
    """Mean number of targets that are known when so much is spent."""
    pairs = zip(result["cost"], result["found"], strict=True)
    return float(np.mean([found[int(np.searchsorted(spent, cost, side="right")) - 1] for spent, found in pairs]))


def _cost(costs: Sequence[float | None], seeds: int) -> str:
    """The mean, and in how many campaigns it was reached where not in all."""
    reached = [cost for cost in costs if cost is not None]
    if not reached:
        return "-"
    return f"{np.mean(reached):.4g}" + (f" ({len(reached)} of {seeds})" if len(reached) < seeds else "")
