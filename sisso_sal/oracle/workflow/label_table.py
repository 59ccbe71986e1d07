"""labels.csv beside the calculations: a row for each label that was computed, with what it rests on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from sisso_sal.oracle.workflow.outcomes import LabelOutcome
from sisso_sal.system.storage import write_whole

__all__ = ["LABELS_FILE", "record_labels"]

LABELS_FILE = "labels.csv"

_COLUMNS = (
    *("intent", "formula", "label", "structure", "magnetic_order", "coverage", "differences", "core_hours"),
    *("formation_energy (eV/atom)", "energy_above_hull (eV/atom)", "dG_pbx (eV/atom)", "band_gap (eV)"),
)


def record_labels(root: Path, outcomes: Iterable[LabelOutcome]) -> None:
    """Put the labels among these outcomes into the table of a folder; rows of other intents stay.

    Parameters
    ----------
    root : path
        Of the calculations.
    outcomes : iterable of LabelOutcome

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    new = {outcome.intent: _row(outcome) for outcome in outcomes if outcome.value is not None}
    if not new:
        return
    file = root / LABELS_FILE
    rows = {row["intent"]: row for row in _rows_of(file)}
    if all(rows.get(intent) == row for intent, row in new.items()):
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows((rows | new).values())
    write_whole(file, text.getvalue())


def _rows_of(file: Path) -> list[dict[str, str]]:
    """The rows that are there; none of a table that cannot be read, since all of it can be made again."""
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return [row for row in csv.DictReader(lines) if row.get("intent")]
    except (OSError, ValueError, csv.Error):
        return []


def _row(outcome: LabelOutcome) -> dict[str, str]:
    details = outcome.details
    parts = {name.partition(" ")[0]: name for name in _COLUMNS if name.endswith(")")}
    return {
        **dict.fromkeys(_COLUMNS, ""),
        "intent": outcome.intent,
        "formula": outcome.id,
        "label": "" if outcome.value is None else repr(outcome.value),
        "structure": str(details.get("structure", "")),
        "magnetic_order": str(details.get("magnetic_order", "")),
        "coverage": str(details.get("coverage", "")),
        "differences": "; ".join(details.get("differences", ())),
        "core_hours": repr(outcome.core_hours),
        **{header: repr(outcome.parts[name]) for name, header in parts.items() if name in outcome.parts},
    }
