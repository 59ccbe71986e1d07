"""The ledger: append-only events in SQLite, the only state of a campaign.

Rollback journal and synchronous=FULL, one writer: write-ahead logging is not safe on the network file systems of clusters. What is
known at any time is a fold over the events.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sisso_sal.errors import CampaignError, LockedError

SCHEMA_VERSION = 1
APPLICATION_ID = 0x53A15A1
_LOCK = ".lock"
_OF_CANDIDATES = frozenset({"label", "submission", "failure"})
_TABLE = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    event TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT
"""


def check_free(folder: str | Path, wait: float = 0.5) -> None:
    """Ask before slow imports whether a run folder can be driven; makes and changes nothing.

    Raises
    ------
    LockedError
        Another process is driving the folder.
    """
    if Path(folder, _LOCK).exists():
        _locked(Path(folder), wait).release()


def _locked(folder: Path, wait: float) -> FileLock:
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise LockedError(f"{folder}: another process is driving this run; wait for it or stop it") from error
    return lock


class Ledger:
    """Events of one run folder; a context manager that holds the folder's lock while it is open.

    Parameters
    ----------
    folder : path
        The run folder; made if it does not exist.
    wait : float
        Seconds to wait for another driver to go.

    Raises
    ------
    LockedError
        Another process is driving the folder.
    CampaignError
        The file is no ledger, is damaged, or has a newer schema.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Ledger(folder) as ledger:
    ...     _ = ledger.append("label", {"id": "MgO", "value": 0.8})
    ...     ledger.labels()
    {'MgO': 0.8}
    """

    def __init__(self, folder: str | Path, wait: float = 0.5):
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CampaignError(f"{folder}: cannot be made a run folder: {error.strerror}") from error
        self._lock = _locked(self.folder, wait)
        self.path = self.folder / "campaign.db"
        try:
            self._connection = self._opened()
        except BaseException:
            self._lock.release()
            raise

    def _opened(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=2.0)
            is_new = self._check(connection)
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA synchronous=FULL")
            if is_new:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                connection.execute("COMMIT")
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, sqlite3.Error | UnicodeDecodeError):
                raise CampaignError(f"{self.path}: needs a campaign ledger, cannot be read: {error}") from error
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> bool:
        """Look before anything is changed; True for an empty file, such as one whose making was interrupted."""
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if found == 0 and version == 0 and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return True
        if found != APPLICATION_ID:
            raise CampaignError(f"{self.path}: needs a campaign ledger, found another SQLite database")
        if version > SCHEMA_VERSION:
            raise CampaignError(
                f"{self.path}: needs ledger schema {SCHEMA_VERSION} or older, found {version}; update sisso-sal"
            )
        verdict = " ".join(connection.execute("PRAGMA quick_check").fetchone()[0].split())
        if verdict != "ok":
            raise CampaignError(f"{self.path}: the ledger is damaged: {verdict}")
        return False

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._lock.release()

    def append(self, event: str, data: Mapping[str, Any]) -> int:
        """Write one event to disk; returns its number."""
        return self.append_all([(event, data)])

    def append_all(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> int:
        """Write several events, all or none; returns the number of the last."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [(time, event, json.dumps(dict(data), allow_nan=False, ensure_ascii=False)) for event, data in events]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT INTO events (time, event, data) VALUES (?, ?, ?)", rows)
                last = self._connection.execute("SELECT max(seq) FROM events").fetchone()[0]
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise CampaignError(f"{self.path}: cannot be written: {error}") from error
        return int(last)

    def events(self, event: str | None = None) -> Iterator[dict[str, Any]]:
        """All events, or those of one kind, in order: ``{"seq", "time", "event", ...data}``."""
        query = "SELECT seq, time, event, data FROM events" + (" WHERE event = ?" if event else "") + " ORDER BY seq"
        try:
            for seq, time, kind, data in self._connection.execute(query, (event,) if event else ()):
                found = {"seq": seq, "time": time, "event": kind, **json.loads(data)}
                if kind in _OF_CANDIDATES and "id" not in found:
                    raise ValueError(f"event {seq} has no id")
                yield found
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise CampaignError(f"{self.path}: the ledger is damaged: {error}") from error

    def last(self, event: str) -> dict[str, Any] | None:
        """The newest event of one kind."""
        return max(self.events(event), key=lambda found: found["seq"], default=None)

    def labels(self) -> dict[str, float]:
        """Known labels by id; a later label of the same id takes the place of an earlier one, a new start of all before it."""
        start = self.last("created")
        first = start["seq"] if start else 0
        return {event["id"]: event["value"] for event in self.events("label") if event["seq"] > first}

    def pending(self) -> set[str]:
        """Ids that were submitted and have neither a label nor a failure yet."""
        submitted = {event["id"] for event in self.events("submission")}
        return submitted - set(self.labels()) - self.failed()

    def failed(self) -> set[str]:
        """Ids whose calculation failed for good."""
        return {event["id"] for event in self.events("failure")}
