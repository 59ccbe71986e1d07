"""Notes from people to a campaign: labels, failures, retries, stop.

While a driver is running, notes are left in the inbox, and the driver adds them to the ledger at its next step. A note can be read
twice, after a crash between writing the ledger and removing the note; the second time it adds no events.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sisso_sal.acquisition.goal import Goal
from sisso_sal.campaign.answers import class_in
from sisso_sal.campaign.exchange import value_of
from sisso_sal.campaign.filled import values_of_table
from sisso_sal.campaign.inputs import candidate_ids
from sisso_sal.data.cells import LARGEST
from sisso_sal.errors import CampaignError, DocumentError, LockedError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.state import State
from sisso_sal.ledger.store import Ledger, read_ledger
from sisso_sal.settings import names_classes
from sisso_sal.system.documents import LARGE, one_line, read_json, record_of, shown
from sisso_sal.system.storage import write_whole, writing

INBOX = "inbox"

Note = Mapping[str, Any]
"""``{"note": "label", "id", "value", "error", "source", "calculation", "replace"}``, ``{"note": "failed", "id", "reason"}``,
``{"note": "retry", "ids"}`` or ``{"note": "stop"}``."""

Event = tuple[str, dict[str, Any]]
OfTable = Mapping[str, Mapping[str, float]]
"""What the table says at lower levels, see `values_of_table`."""


class _NoteRecord(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class _Label(_NoteRecord):
    note: Literal["label"]
    id: str
    value: float | str
    error: float | None = None
    source: Literal["person", "file", "folder"] = "person"
    calculation: str | None = None
    replace: bool = False
    level: str | None = None

    def events(self, state: State, ids: Collection[str], of_table: OfTable) -> list[Event]:
        _check_id(self.id, ids)
        at, of = _at(state, self.level)
        goal = goal_of(state)
        told = self._checked(goal)
        known = at.cases.get(self.id)
        value, error = of_table.get(of.get("level", ""), {}).get(self.id), None
        if known is not None and known.status == "labelled":
            value, error = known.label, known.error
        if value is not None:
            if (value, error) == (told, self.error):
                return []
            if not self.replace:
                raise CampaignError(
                    f"label of {shown(self.id)}: is already {_with_error(value, error)}; "
                    f"--replace (in Python replace=True) changes it to {_with_error(told, self.error)}"
                )
        place = {"calculation": self.calculation} if self.calculation is not None else {}
        label = {"id": self.id, **value_of(told, goal), "source": self.source, **place, **of}
        return [("label", label if self.error is None else label | {"error": self.error})]

    def _checked(self, goal: Goal | None) -> float | str:
        """The label, a number or the name of a class, as the goal asks for."""
        place = f"label of {shown(self.id)}"
        if goal is not None:
            name = class_in(self.value)
            if name is None or self.error is not None:
                found = f"{shown(self.value)}{'' if self.error is None else f' ± {self.error}'}"
                raise CampaignError(f"{place}: needs the name of a class, without an error, found {found}")
            return name
        if isinstance(self.value, str) or not (math.isfinite(self.value) and abs(self.value) <= LARGEST):
            found = shown(self.value) if isinstance(self.value, str) else self.value
            raise CampaignError(f"{place}: needs a finite number, found {found}")
        if self.error is not None and not 0 <= self.error <= LARGEST:
            raise CampaignError(f"{place}: needs an error >= 0, found {self.error}")
        return self.value


def goal_of(state: State) -> Goal | None:
    """The goal of a campaign over classes; None where labels are numbers."""
    goal = ((state.created or {}).get("settings") or {}).get("goal") or ""
    return Goal.parse(goal) if names_classes(goal) else None


class _FailedNote(_NoteRecord):
    note: Literal["failed"]
    id: str
    reason: str
    level: str | None = None

    def events(self, state: State, ids: Collection[str], of_table: OfTable) -> list[Event]:
        _check_id(self.id, ids)
        at, of = _at(state, self.level)
        known = at.cases.get(self.id)
        if known is not None and known.status == "labelled":
            raise CampaignError(f"{shown(self.id)}: has the label {known.label}; a label cannot be removed")
        if known is not None and known.status == "failed":
            return []
        reason = one_line(self.reason)
        failure = {"id": self.id, "kind": "person", "reason": reason, "final": True, "source": "person", **of}
        return [("failure", failure)]


class _Retry(_NoteRecord):
    note: Literal["retry"]
    ids: list[str]

    def events(self, state: State, ids: Collection[str], of_table: OfTable) -> list[Event]:
        named = ("", *state.levels)
        failed = [(level, case.id) for level in named for case in state.at(level).failed]
        wanted = list(dict.fromkeys(self.ids))
        for id in wanted:
            _check_id(id, ids)
            if id not in {one for _, one in failed}:
                case = state.cases.get(id)
                raise CampaignError(
                    f"{shown(id)}: needs a failed calculation to retry, found {case.status if case else 'none'}"
                )
        chosen = [(level, id) for level, id in failed if not wanted or id in wanted]
        return [("retry", {"id": id, "by": "person", **({"level": level} if level else {})}) for level, id in chosen]


class _Stop(_NoteRecord):
    note: Literal["stop"]

    def events(self, state: State, ids: Collection[str], of_table: OfTable) -> list[Event]:
        if state.stop is not None and state.stop["kind"] == "person":
            return []
        return [("stop", {"kind": "person", "why": "a person ran sisso-sal stop", "by": "person"})]


_NOTES: Mapping[str, type[_Label | _FailedNote | _Retry | _Stop]] = {
    "label": _Label,
    "failed": _FailedNote,
    "retry": _Retry,
    "stop": _Stop,
}


def events_for(note: Note, state: State, ids: Collection[str], of_table: OfTable) -> list[Event]:
    """The events of a note; none if the ledger or the table has all of it already.

    Parameters
    ----------
    note : mapping
    state : State
    ids : collection of str
        All candidates.
    of_table : mapping of str to mapping of str to float
        See `values_of_table`.

    Raises
    ------
    CampaignError
        The note does not fit the campaign: no such candidate, another label, nothing that failed.
    """
    kind = note.get("note") if isinstance(note, Mapping) else None
    model = _NOTES.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise CampaignError(f"note: needs a label, failed, retry or stop, found {shown(note)}")
    try:
        record = record_of(model, dict(note))
    except DocumentError as error:
        raise CampaignError(f"note: needs a label, failed, retry or stop, found {shown(note)}: {error}") from error
    return record.events(state, ids, of_table)


def taken_in(notes: Sequence[Note], state: State, ids: Collection[str], of_table: OfTable) -> list[Event]:
    """The events of several notes, all or none; see `events_for`."""
    events = [event for note in notes for event in events_for(note, state, ids, of_table)]
    labelled = [(data["id"], data.get("level")) for kind, data in events if kind == "label"]
    if len(set(labelled)) < len(labelled):
        twice = next(one[0] for one in labelled if labelled.count(one) > 1)
        raise CampaignError(f"label of {shown(twice)}: needs one value, found two")
    return events


def _at(state: State, level: str | None) -> tuple[State, dict[str, str]]:
    """What is known at a level, and what an event of it says besides."""
    if level is None:
        return state, {}
    names = [one["name"] for one in (state.created or {"settings": {}})["settings"].get("level", ())]
    if level not in names:
        raise CampaignError(f"level: needs one of {', '.join(names) or 'none'}, found {shown(level)}")
    return (state, {}) if level == names[-1] else (state.at(level), {"level": level})


def _with_error(value: float | str | None, error: float | None) -> str:
    return f"{value}" if error is None else f"{value} ± {error}"


def _check_id(id: str, ids: Collection[str]) -> None:
    if id not in ids:
        import difflib

        close = difflib.get_close_matches(id, list(ids), n=1)
        raise CampaignError(
            f"{shown(id)}: is no candidate of this run{f'; did you mean {shown(close[0])}?' if close else ''}"
        )


@dataclass(frozen=True)
class HandedIn:
    """The result of `hand_in`: the number of events written, and whether the notes were left for a driver that is running."""

    n_events: int
    is_left: bool = False


def hand_in(run: Path, notes: Sequence[Note], tell: Callable[[str], None]) -> HandedIn:
    """Check all notes; then write them, or leave them for the driver that is running.

    Parameters
    ----------
    run : path
        The run folder.
    notes : sequence of Note
    tell : callable
        Takes each note from opening the ledger, one line.

    Raises
    ------
    CampaignError
        The run was not started, or a note does not fit it; nothing is written then.
    """
    before = fold(read_ledger(run).events())
    if before.created is None:
        raise CampaignError(f"{run}: needs a run that was started, found an empty ledger")
    ids, of_table = set(candidate_ids(run, before)), values_of_table(run, before)
    if not taken_in(notes, before, ids, of_table):
        return HandedIn(0)
    try:
        with Ledger(run) as ledger:
            for line in ledger.notes:
                tell(line)
            return HandedIn(len(ledger.append_all(taken_in(notes, fold(ledger.events()), ids, of_table))))
    except LockedError:
        leave(run, notes)
        return HandedIn(0, is_left=True)


# The inbox -----------------------------------------------------------------------------------------------------------


def leave(run: Path, notes: Sequence[Note]) -> None:
    """Put notes into the inbox, all or none.

    Raises
    ------
    StorageError
        The disk refuses.
    """
    inbox = run / INBOX
    with writing(inbox):
        inbox.mkdir(exist_ok=True)
    number = len(list(inbox.glob("*.json")))
    write_whole(inbox / f"{number:06d}-{secrets.token_hex(16)}.json", json.dumps(list(notes), allow_nan=False))


def left(run: Path) -> list[Path]:
    """Files of the inbox, oldest first."""
    by_age: list[tuple[int, str, Path]] = []
    for path in Path(run, INBOX).glob("*.json"):
        with suppress(FileNotFoundError):
            by_age.append((path.lstat().st_mtime_ns, path.name, path))
    return [path for _, _, path in sorted(by_age)]


def notes_in(path: Path) -> list[Note]:
    """The notes in a file of the inbox.

    Raises
    ------
    CampaignError
        The file has no notes.
    """
    try:
        notes = read_json(path, LARGE)
    except DocumentError as error:
        told = str(error).removeprefix(f"{path}: ")
        raise CampaignError(f"{path}: needs notes of sisso-sal, cannot be read: {told}") from error
    if not isinstance(notes, list):
        raise CampaignError(f"{path}: needs a list of notes, found {shown(notes)}")
    return notes


def put_away(path: Path, refused: bool) -> None:
    """Remove a note that was recorded; rename one that was refused, to a name that no other has."""
    with writing(path):
        if not refused:
            path.unlink(missing_ok=True)
            return
        place = path.with_suffix(".refused")
        path.rename(path.with_suffix(f".{secrets.token_hex(8)}.refused") if os.path.lexists(place) else place)
