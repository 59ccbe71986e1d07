"""The ledger: append-only events in SQLite, the only state of a campaign.

What is known at any time is a fold over the events (`sisso_sal.ledger.fold`). Every event carries a digest of itself and of all
before it (`sisso_sal.ledger.rows`), which shows whether a ledger is damaged and up to which event it can be trusted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sisso_sal.errors import CampaignError, StorageError
from sisso_sal.ledger.lock import NOTE, DriverLock
from sisso_sal.ledger.rows import (
    COPY,
    DATABASE,
    SCHEMA_VERSION,
    Damaged,
    Row,
    checked_version,
    connected,
    digest_of,
    insert_rows,
    make_table,
    one_line,
    whole_rows,
)
from sisso_sal.ledger.salvage import Copy, restore, saved
from sisso_sal.system.storage import clear_scratch, undisturbed

# Reading -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a ledger holds.

    Attributes
    ----------
    rows : list of Row
        All events, or those that could be saved.
    damage : str
        What is wrong with the database; empty where nothing is.
    """

    rows: list[Row]
    damage: str = ""

    def events(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """All events, or those of one kind, in order."""
        return (row.as_event() for row in self.rows if kind in (None, row.event))


def read_ledger(folder: str | Path) -> Reading:
    """Read all events of a run folder while it may be driven; takes no lock and changes nothing.

    Raises
    ------
    CampaignError
        There is no ledger, the file is none, or it has a newer schema.
    """
    path = Path(folder, DATABASE)
    if not path.exists():
        if rows := saved(Path(folder)):
            return Reading(rows, "it is gone")
        raise CampaignError(f"{folder}: needs a run folder, found no {DATABASE} in it")
    try:
        with closing(connected(path, "rw")) as connection:
            if version := checked_version(connection, path):
                return Reading(whole_rows(connection, version, path))
            rows = saved(Path(folder))
            return Reading(rows, "it is empty" if rows else "")
    except Damaged as error:
        return Reading(saved(Path(folder)), str(error))


# Writing -------------------------------------------------------------------------------------------------------------


class Ledger:
    """Events of one run folder; a context manager that is the folder's one driver while it is open.

    Parameters
    ----------
    folder : path
        The run folder; made if it does not exist.
    wait : float
        Seconds to wait for another driver to go.
    take_over : bool
        Go on although a driver on another host did not record its end.

    Attributes
    ----------
    notes : list of str
        What was repaired on opening.

    Raises
    ------
    LockedError
        Another process is driving the folder, or may be.
    CampaignError
        The file is no ledger, or has a newer schema.
    StorageError
        The folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Ledger(folder) as ledger:
    ...     _ = ledger.append("label", {"id": "MgO", "value": 0.8})
    ...     [event["value"] for event in ledger.events("label")]
    [0.8]
    """

    def __init__(self, folder: str | Path, wait: float = 0.5, take_over: bool = False):
        self.folder = Path(folder)
        self.path = self.folder / DATABASE
        self.notes: list[str] = []
        with undisturbed:
            self._lock = DriverLock(self.folder, wait, take_over)
            self.notes += [self._lock.note] if self._lock.note else []
            try:
                for name in (DATABASE, COPY, NOTE):
                    clear_scratch(self.folder / name)
                self._open()
            except BaseException:
                self._lock.release()
                raise

    def _open(self) -> None:
        rows: list[Row] = []
        damage = ""
        try:
            rows = self._rows()
        except Damaged as error:
            damage = str(error)
        self._copy = Copy(self.folder)
        if not damage and (ahead := self._copy.ahead_of(rows)):
            there = f"it ends at event {len(rows)}" if self.path.exists() else "it is gone"
            damage = f"{there}, its copy at {len(rows) + ahead}"
        if damage:
            rows = restore(self.folder, damage, self.notes)
        self._connection = self._writer(rows)
        try:
            self._copy.catch_up(rows, self.notes)
        except BaseException:
            self._connection.close()
            raise
        self._held = list(rows)

    def _rows(self) -> list[Row]:
        """The rows that are there, checked before anything is changed."""
        if not self.path.exists():
            return []
        with closing(connected(self.path, "rw")) as connection:
            version = checked_version(connection, self.path)
            return whole_rows(connection, version, self.path) if version else []

    def _writer(self, rows: Sequence[Row]) -> sqlite3.Connection:
        connection = connected(self.path, "rwc")
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            # Not only the pages: that the journal is gone must be on disk too before an effect may follow.
            connection.execute("PRAGMA synchronous=EXTRA")
            if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
                make_table(connection, rows)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise StorageError(f"{self.path}: cannot be written: {one_line(error)}") from error
            raise
        return connection

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        with undisturbed:
            self._connection.close()
            self._copy.close()
            self._lock.release()

    def append(self, event: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Write one event to disk; returns it with its number and time."""
        return self.append_all([(event, data)])[0]

    def append_all(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Write several events, all or none; returns them with their numbers and times.

        Raises
        ------
        StorageError
            The disk refuses; nothing was written.
        CampaignError
            An event could not be read back; nothing was written.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows: list[Row] = []
        digest = self._held[-1].digest if self._held else ""
        for seq, (event, data) in enumerate(events, len(self._held) + 1):
            text = json.dumps(dict(data), allow_nan=False, ensure_ascii=False)
            try:
                digest = digest_of(digest, seq, time, event, text)
            except UnicodeEncodeError as error:
                raise CampaignError(
                    f"ledger: {event}: needs text that UTF-8 can hold, found {ascii(error.object)[:60]}"
                ) from error
            rows.append(Row(seq, time, event, text, digest))
        written = [row.as_event() for row in rows]  # before anything is written: it can be read back
        if rows:
            with undisturbed:
                self._commit(rows)
                self._held += rows
                self._copy.write(rows)
        return written

    def _commit(self, rows: Sequence[Row]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                insert_rows(self._connection, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: cannot be written: {one_line(error)}") from error

    def events(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """All events, or those of one kind, in order: ``{"seq", "time", "event", ...data}``."""
        return Reading(self._held).events(kind)

    def last(self, kind: str) -> dict[str, Any] | None:
        """The newest event of one kind."""
        return max(self.events(kind), key=lambda event: event["seq"], default=None)
