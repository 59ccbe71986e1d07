"""What a folder of calculations has, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sisso_sal.report.text.table import aligned

__all__ = ["survey_text"]

SHOWN = 20
"""Rows of each table; JSON has them all."""


def survey_text(notes: Sequence[str], document: Mapping[str, Any]) -> str:
    """The findings of a survey: a line each, then a table of each kind.

    Parameters
    ----------
    notes : sequence of str
    document : mapping
        See `sisso_sal.oracle.calculations.survey.Survey.document`.
    """
    parts = ["\n".join(notes)]
    parts += _groups(document["groups"])
    parts += _table(
        "Left out",
        ["calculation", "formula", "reason"],
        ([r["calculation"], r["formula"], r["reason"]] for r in document["left_out"]),
    )
    parts += _table(
        "Other settings than those of the labels",
        ["calculation", "setting", "value", "labels have"],
        ([r["calculation"], r["setting"], r["value"], r["usual"]] for r in document["other_settings"]),
    )
    parts += _table(
        "Labels",
        ["candidate", "label", "calculation"],
        ([r["id"], f"{r['value']:.6g}", r["calculation"]] for r in document["labels"]),
        numeric=[1],
    )
    parts += _table(
        "Without a label", ["candidate", "needs"], ([r["id"], "; ".join(r["lacks"])] for r in document["lacking"])
    )
    return "\n\n".join(parts)


def _groups(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The groups of settings: values that all of them have are said once."""
    if len(groups) < 2:
        return []
    names = [name for name in groups[0]["settings"] if len({group["settings"][name] for group in groups}) > 1]
    rows = (
        [
            "used" if group["is_used"] else "",
            str(group["n_calculations"]),
            str(group["n_labels"]),
            *(group["settings"][name] for name in names),
        ]
        for group in groups
    )
    return _table("Groups of equal settings", ["", "calculations", "labels", *names], rows, numeric=[1, 2])


def _table(title: str, header: list[str], rows: Iterable[list[str]], numeric: Sequence[int] = ()) -> list[str]:
    listed = list(rows)
    if not listed:
        return []
    more = f"\nand {len(listed) - SHOWN} more; --json has all" if len(listed) > SHOWN else ""
    return [f"{title} ({len(listed)}):\n{aligned([header, *listed[:SHOWN]], numeric=list(numeric))}{more}"]
