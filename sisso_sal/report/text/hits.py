"""What `discover` prints of a campaign over classes: probabilities of a class that is looked for, and no number of a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.acquisition.registry import installed
from sisso_sal.acquisition.scores import HITS
from sisso_sal.report.summary import classes_known, probability_of, probability_text, wanted_classes
from sisso_sal.report.text.table import aligned
from sisso_sal.system.printable import printable


def formulas_of_hits(summary: Mapping[str, Any]) -> list[str]:
    """The most typical formulas of log-odds; nothing where there are none."""
    members = summary.get("typical") or []
    if not members:
        return []
    name = printable(wanted_classes(summary))
    lines = [f"Most typical of {summary['n_members']} formulas (closest to the probabilities of all), for {name}:"]
    for member in members:
        said = [f"{member['accuracy']:.1%} right, log loss {member['log_loss']:.3g} in training"]
        said += [f"probability {member['apart']:.2g} from that of all"] if member["apart"] is not None else []
        said += [f"{member['n_members']} members have these descriptors"] if member["n_members"] > 1 else []
        lines += ["", *("  " + line for line in member["shown"].splitlines()), f"  {'; '.join(said)}"]
    return lines


def accuracy_of_hits(summary: Mapping[str, Any]) -> list[str]:
    """How far the probabilities can be believed."""
    return [said] if (said := probability_text(summary)) else []


def known_hits(summary: Mapping[str, Any]) -> str:
    """How many labels are hits, and why nothing can be told apart, if so."""
    return f"Known: {printable(classes_known(summary))}"


def hits_table(summary: Mapping[str, Any], width: int | None, marks: Mapping[str, list[str]]) -> str:
    """The proposals of a campaign over classes; `marks` are further columns."""
    proposals, n_members = summary["proposals"], summary.get("n_members")
    columns = {
        "": [str(rank) for rank in range(1, len(proposals) + 1)],
        "candidate": [p["id"] for p in proposals],
        printable(probability_of(summary)): [_number(p["mean"], ".3f") for p in proposals],
    }
    if any(p["std"] is not None for p in proposals):
        columns["spread"] = [_number(p["std"], ".3f") for p in proposals]
        columns["95 % of members"] = [
            f"{_number(p['low95'], '.3f')} to {_number(p['high95'], '.3f')}" for p in proposals
        ]
    if summary["acquisition"] != HITS.name:
        columns[f"score ({summary['acquisition']})"] = [_number(p["score"], ".4g") for p in proposals]
    if n_members is not None:
        columns["members"] = [f"{p['n_valid']}/{n_members}" for p in proposals]
    columns |= marks
    names = list(columns)
    text = {"candidate", "95 % of members", *marks}
    spare = [names.index(name) for name in ("members", "95 % of members", "spread") if name in columns]
    rows = [names, *(list(row) for row in zip(*columns.values(), strict=True))]
    return aligned(rows, numeric=[k for k, name in enumerate(names) if name not in text], width=width, spare=spare)


def after_hits(summary: Mapping[str, Any]) -> list[str]:
    """What the score is where it is not the probability, and how many hits are expected."""
    acquisition = installed(summary["acquisition"])
    lines = []
    if acquisition is not None and acquisition.name != HITS.name:
        lines.append(f"score: {acquisition.explained(classes=True)}")
    if any(p["std"] is not None for p in summary["proposals"]):
        lines.append("spread: standard deviation of the probabilities of the members")
    if summary["expected_hits"] is not None:
        n, name = len(summary["proposals"]), printable(wanted_classes(summary))
        which = f"these {n}" if n > 1 else "this candidate"
        lines.append(f"{summary['expected_hits']:.1f} of {which} {'are' if n > 1 else 'is'} expected to be {name}")
    return lines


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
