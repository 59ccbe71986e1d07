"""Check that every answer belongs to its candidate, and that the files of a run folder agree with its ledger."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from sisso_sal.errors import DocumentError
from sisso_sal.ledger.arrays import array_files
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.rows import COPY
from sisso_sal.ledger.salvage import difference
from sisso_sal.ledger.state import Event, State
from sisso_sal.ledger.store import DATABASE, read_ledger
from sisso_sal.spaces.snapshot import CANDIDATES
from sisso_sal.system.documents import LARGE, read_json, shown

_REQUESTS = {"jobs/{}/request.json": "id", "oracle/intents/{}.json": "candidate"}
"""Where the oracles of the program keep the request of an intent, and the key that has the id of its candidate."""


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
    if problem := difference(run / COPY, reading.rows):
        lines.append(f"{COPY}: {problem}; the next discover repairs it")
    lines += [*_answers(reading.events()), *_requests(run, reading.events("intent"))]
    return len(reading.rows), [*lines, *_files(run, fold(reading.events()), array_files(reading.events("label")))]


def _answers(events: Iterable[Event]) -> Iterator[str]:
    """Intents that stand for two candidates, and answers to an intent of another candidate."""
    owners: dict[str, str] = {}
    for event in events:
        intent = event.get("intent")
        if intent is None or "id" not in event:
            continue
        owner = owners.setdefault(intent, event["id"]) if event["event"] == "intent" else owners.get(intent)
        if owner is None:
            yield f"event {event['seq']}: {event['event']} of {shown(event['id'])}: there is no intent {shown(intent)}"
        elif owner != event["id"]:
            what = "intent" if event["event"] == "intent" else f"{event['event']}, to the intent"
            yield f"event {event['seq']}: {shown(event['id'])} has the {what} {intent}, which is of {shown(owner)}"


def _requests(run: Path, intents: Iterable[Event]) -> Iterator[str]:
    """Requests on disk that are for another candidate than the ledger says."""
    owners: dict[str, str] = {}
    for event in intents:
        owners.setdefault(event["intent"], event["id"])
    for intent, owner in owners.items():
        for form, key in _REQUESTS.items():
            place = form.format(intent)
            if not os.path.lexists(run / place):
                continue
            try:
                document = read_json(run / place, LARGE)
            except DocumentError as error:
                yield str(error).removeprefix(f"{run}/")
                continue
            asked = document.get(key, owner) if isinstance(document, Mapping) else None
            if asked != owner:
                yield f"{place}: is the request of {shown(asked)}, and the intent is of {shown(owner)}"


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
