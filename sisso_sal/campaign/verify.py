"""Check that the files of a run folder agree with its ledger."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from sisso_sal.ledger.arrays import array_files
from sisso_sal.ledger.rows import COPY
from sisso_sal.ledger.salvage import copied_rows
from sisso_sal.ledger.state import State, fold
from sisso_sal.ledger.store import DATABASE, read_ledger
from sisso_sal.spaces.snapshot import CANDIDATES


def findings(run: Path) -> tuple[int, list[str]]:
    """Number of events, and one line for each problem; nothing is changed.

    Raises
    ------
    CampaignError
        There is no ledger, or it has a newer schema.
    """
    reading = read_ledger(run)
    if reading.damage:
        return len(reading.rows), [f"{DATABASE}: {reading.damage}; {len(reading.rows)} events could be read"]
    lines = []
    with closing(sqlite3.connect(f"{(run / DATABASE).absolute().as_uri()}?mode=rw", uri=True)) as connection:
        verdict = " ".join(connection.execute("PRAGMA integrity_check").fetchone()[0].split())
    if verdict != "ok":
        lines.append(f"{DATABASE}: {verdict}")
    copy = copied_rows(run / COPY)
    if copy != reading.rows[: len(copy)] or len(copy) < len(reading.rows):
        lines.append(f"{COPY}: agrees with {len(copy)} of {len(reading.rows)} events; the next discover repairs it")
    return len(reading.rows), [*lines, *_files(run, fold(reading.events()), array_files(reading.events("label")))]


def _files(run: Path, state: State, arrays: dict[str, str]) -> list[str]:
    written = {
        f"{it.folder}/{name}": digest
        for it in state.iterations
        if it.model
        for name, digest in it.model["files"].items()
    }
    written |= arrays
    if state.candidates is not None:
        written[CANDIDATES] = state.candidates["sha256"]
    lines = []
    for name, digest in written.items():
        try:
            if hashlib.sha256((run / name).read_bytes()).hexdigest() != digest:
                lines.append(f"{name}: differs from what was written")
        except OSError as error:
            lines.append(f"{name}: {error.strerror}")
    return lines
