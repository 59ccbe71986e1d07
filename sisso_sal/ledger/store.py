"""The ledger: append-only events in SQLite, the only state of a campaign.

Rollback journal, full sync, one writer: write-ahead logging is not safe on the network file systems of clusters. What is known at
any time is a fold over the events (`sisso_sal.ledger.state`). Every event carries a digest of itself and of all before it, so
that a damaged ledger is told from a whole one, and how far it is whole.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sisso_sal.errors import CampaignError, LockedError, StorageError
from sisso_sal.ledger.lock import DriverLock
from sisso_sal.system.storage import undisturbed

SCHEMA_VERSION = 2
APPLICATION_ID = 0x53A15A1
DATABASE = "campaign.db"
WAIT = 30.0
"""Seconds that a write waits for a reader, and a reader for a write."""

_decoded = json.JSONDecoder().decode
_TABLE = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    event TEXT NOT NULL,
    data TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT
"""


class Damaged(Exception):
    """The database cannot be read to its end, or is not what was written; never leaves this module and `salvage`."""


class Row(NamedTuple):
    """One event as it is stored; `data` is JSON."""

    seq: int
    time: str
    event: str
    data: str
    digest: str

    def as_event(self) -> dict[str, Any]:
        """``{"seq", "time", "event", ...data}``."""
        seq, time, event, data, _ = self
        return {"seq": seq, "time": time, "event": event, **_decoded(data)}


def digest_of(before: str, seq: int, time: str, event: str, data: str) -> str:
    """Of an event and, through the digest before it, of all before: 32 hexadecimal digits of SHA-256.

    Examples
    --------
    >>> digest_of("", 1, "2026-01-01T00:00:00.000+00:00", "stop", "{}")
    '22db101c3ab4e2ac27f72ef71184b5ca'
    """
    return sha256(f"{before}\n{seq}\n{time}\n{event}\n{data}".encode()).hexdigest()[:32]


def unbroken(rows: Iterable[Row]) -> list[Row]:
    """The rows up to the first that is missing or is not what was written."""
    out: list[Row] = []
    before = ""
    for expected, row in enumerate(rows, 1):
        seq, time, event, data, digest = row
        if seq != expected or digest_of(before, seq, time, event, data) != digest:
            break
        out.append(row)
        before = digest
    return out


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
    from sisso_sal.ledger.salvage import saved

    path = Path(folder, DATABASE)
    if not path.exists():
        if rows := saved(Path(folder)):
            return Reading(rows, "it is gone")
        raise CampaignError(f"{folder}: needs a run folder, found no {DATABASE} in it")
    try:
        with closing(_connected(path, "rw")) as connection:
            if version := checked_version(connection, path):
                return Reading(whole_rows(connection, version, path))
            rows = saved(Path(folder))
            return Reading(rows, "it is empty" if rows else "")
    except Damaged as error:
        return Reading(saved(Path(folder)), str(error))


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=WAIT)
    except sqlite3.Error as error:
        raise CampaignError(f"{path}: needs a campaign ledger, cannot be read: {error}") from error


def checked_version(connection: sqlite3.Connection, path: Path) -> int:
    """Schema version; 0 for an empty file, such as one whose making was interrupted.

    Raises
    ------
    CampaignError
        It is another database, or of a newer schema.
    Damaged
        The file cannot be read.
    """
    try:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not _looks_like_ours(path):
            raise CampaignError(f"{path}: needs a campaign ledger, cannot be read: {error}") from error
        raise _as_damage(error, path) from error
    if found == 0 and version == 0 and not tables:
        return 0
    if found != APPLICATION_ID:
        raise CampaignError(f"{path}: needs a campaign ledger, found another SQLite database")
    if version > SCHEMA_VERSION:
        raise CampaignError(f"{path}: needs ledger schema {SCHEMA_VERSION} or older, found {version}; update sisso-sal")
    return version


def _looks_like_ours(path: Path) -> bool:
    """Whether a copy of the events lies beside the file, or the application id stands where SQLite keeps it."""
    from sisso_sal.ledger.salvage import COPY

    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError:
        return False
    return path.with_name(COPY).exists() or head[68:72] == APPLICATION_ID.to_bytes(4, "big")


def _as_damage(error: Exception, path: Path) -> Exception:
    """Damage, unless the file is only busy or the disk at fault: then nothing must be repaired."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return LockedError(f"{path}: another process has been writing for {WAIT:.0f} s; try again")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
        return Damaged(_one_line(error))
    return StorageError(f"{path}: cannot be read: {_one_line(error)}")


def whole_rows(connection: sqlite3.Connection, version: int, path: Path) -> list[Row]:
    """All events, each checked against its digest.

    Raises
    ------
    Damaged
        A page cannot be read, or an event is not what was written.
    """
    try:
        rows = list(stored_rows(connection, version))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _as_damage(error, path) from error
    whole = unbroken(rows)
    if len(whole) < len(rows):
        raise Damaged(f"event {len(whole) + 1} is not what was written")
    return whole


def stored_rows(connection: sqlite3.Connection, version: int) -> Iterator[Row]:
    """The rows as they are; those of schema 1 get their digests here."""
    if version == 1:
        return _with_digests(connection.execute("SELECT time, event, data FROM events ORDER BY seq"))
    return map(Row._make, connection.execute("SELECT seq, time, event, data, digest FROM events ORDER BY seq"))


def _with_digests(rows: Iterable[tuple[str, str, str]]) -> Iterator[Row]:
    before = ""
    for seq, (time, event, data) in enumerate(rows, 1):
        before = digest_of(before, seq, time, event, data)
        yield Row(seq, time, event, data, before)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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
        Go on though a driver on another host did not say that it ended.

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
            try:
                self._open()
            except BaseException:
                self._lock.release()
                raise

    def _open(self) -> None:
        from sisso_sal.ledger.salvage import Copy, restore

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
            self._copy.catch_up(rows)
        except BaseException:
            self._connection.close()
            raise
        self._held = list(rows)

    def _rows(self) -> list[Row]:
        """The rows that are there, checked before anything is changed."""
        if not self.path.exists():
            return []
        with closing(_connected(self.path, "rw")) as connection:
            version = checked_version(connection, self.path)
            return whole_rows(connection, version, self.path) if version else []

    def _writer(self, rows: Sequence[Row]) -> sqlite3.Connection:
        connection = _connected(self.path, "rwc")
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            # Not only the pages: that the journal is gone must be on disk too before an effect may follow.
            connection.execute("PRAGMA synchronous=EXTRA")
            if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
                _make(connection, rows)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise StorageError(f"{self.path}: cannot be written: {_one_line(error)}") from error
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
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows: list[Row] = []
        digest = self._held[-1].digest if self._held else ""
        for seq, (event, data) in enumerate(events, len(self._held) + 1):
            text = json.dumps(dict(data), allow_nan=False, ensure_ascii=False)
            digest = digest_of(digest, seq, time, event, text)
            rows.append(Row(seq, time, event, text, digest))
        if rows:
            with undisturbed:
                self._commit(rows)
                self._held += rows
                self._copy.write(rows)
        return [row.as_event() for row in rows]

    def _commit(self, rows: Sequence[Row]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                _insert(self._connection, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: cannot be written: {_one_line(error)}") from error

    def events(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """All events, or those of one kind, in order: ``{"seq", "time", "event", ...data}``."""
        return Reading(self._held).events(kind)

    def last(self, kind: str) -> dict[str, Any] | None:
        """The newest event of one kind."""
        return max(self.events(kind), key=lambda found: found["seq"], default=None)


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.executemany("INSERT INTO events (seq, time, event, data, digest) VALUES (?, ?, ?, ?, ?)", rows)


def _make(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Make the table, in the place of one of an older schema where there is one, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DROP TABLE IF EXISTS events")
    connection.execute(_TABLE)
    _insert(connection, rows)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def new_database(path: Path, rows: Sequence[Row]) -> None:
    """Write a database that holds `rows`.

    Raises
    ------
    StorageError
        The disk refuses.
    """
    try:
        with closing(_connected(path, "rwc")) as connection:
            _make(connection, rows)
    except sqlite3.Error as error:
        raise StorageError(f"{path}: cannot be written: {_one_line(error)}") from error
