"""The rows of a ledger: one event each, in a chain of digests, and the SQLite file that holds them.

Rollback journal, full sync, one writer: write-ahead logging is not safe on the network file systems of clusters.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sisso_sal.errors import CampaignError, DocumentError, LockedError, StorageError
from sisso_sal.system.documents import LARGE, LARGEST_INTEGER, json_of, shown

SCHEMA_VERSION = 2
APPLICATION_ID = 0x53A15A1
DATABASE = "campaign.db"
COPY = "campaign.jsonl"
"""The copy of the events beside the database, see `sisso_sal.ledger.salvage`."""
WAIT = 30.0
"""Seconds that a write waits for a reader, and a reader for a write."""

_LONGEST_KIND = 100
_DIGEST = re.compile(r"[0-9a-f]{32}")
_ROWS = "SELECT seq, time, event, data, digest FROM events"
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
    """The database cannot be read to its end, or is not what was written; caught before it leaves this package."""


class Row(NamedTuple):
    """One event as it is stored; `data` is JSON."""

    seq: int
    time: str
    event: str
    data: str
    digest: str

    def as_event(self) -> dict[str, Any]:
        """``{"seq", "time", "event", ...data}``.

        Raises
        ------
        CampaignError
            The data is no JSON object, or leaves the bounds of `sisso_sal.system.documents`.
        """
        seq, time, event, data, _ = self
        try:
            content = json_of(data, LARGE)
            if not isinstance(content, dict):
                raise DocumentError(f"needs a table of names and values, found {shown(content)}")
        except DocumentError as error:
            raise CampaignError(f"ledger: event {seq}, {event}: {error}") from error
        head = {"seq": seq, "time": time, "event": event}
        return head | content | head


def is_time(text: str) -> bool:
    """Whether the text is a date and time of day, with its distance from UTC.

    Examples
    --------
    >>> is_time("2026-01-01T00:00:00.000+00:00"), is_time("2026-01-01"), is_time("yesterday")
    (True, False, False)
    """
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def fits(row: Row) -> bool:
    """Whether each part of a row has the type and range that it must have; what the event says is not looked at.

    Examples
    --------
    >>> row = Row(1, "2026-01-01T00:00:00.000+00:00", "stop", "{}", "22db101c3ab4e2ac27f72ef71184b5ca")
    >>> fits(row), fits(row._replace(seq=0)), fits(row._replace(digest=None))
    (True, False, False)
    """
    seq, time, event, data, digest = row
    if type(seq) is not int or not all(type(text) is str for text in (time, event, data, digest)):
        return False
    return (
        1 <= seq <= LARGEST_INTEGER
        and 0 < len(event) <= _LONGEST_KIND
        and _DIGEST.fullmatch(digest) is not None
        and is_time(time)
        and _is_utf8(f"{event}{data}")
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def digest_of(before: str, seq: int, time: str, event: str, data: str) -> str:
    """Digest of an event and, through the digest before it, of all earlier ones: 32 hexadecimal digits of SHA-256.

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
        if not follows(row, expected, before):
            break
        out.append(row)
        before = row.digest
    return out


def follows(row: Row, seq: int, before: str) -> bool:
    """Whether a row is event number `seq`, and was written after the row of digest `before`."""
    return fits(row) and row.seq == seq and row.digest == digest_of(before, *row[:4])


# The database file -----------------------------------------------------------------------------------------------------


def connected(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to the database file; `mode` is SQLite's: "rw", or "rwc" where the file may be made."""
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
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not _looks_like_ours(path):
            raise CampaignError(f"{path}: needs a campaign ledger, cannot be read: {error}") from error
        raise _as_damage(error, path) from error
    if application == 0 and version == 0 and not tables:
        return 0
    if application != APPLICATION_ID:
        if path.with_name(COPY).exists():
            raise Damaged(f"its application id is {application}")
        raise CampaignError(f"{path}: needs a campaign ledger, found another SQLite database")
    if version > SCHEMA_VERSION:
        raise CampaignError(f"{path}: needs ledger schema {SCHEMA_VERSION} or older, found {version}; update sisso-sal")
    return version


def _looks_like_ours(path: Path) -> bool:
    """Whether a copy of the events lies beside the file, or the application id stands where SQLite keeps it."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError:
        return False
    return path.with_name(COPY).exists() or head[68:72] == APPLICATION_ID.to_bytes(4, "big")


def _as_damage(error: Exception, path: Path) -> Exception:
    """`Damaged`, unless the file is only busy or the disk fails: then nothing must be repaired."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return LockedError(f"{path}: another process has been writing for {WAIT:.0f} s; try again")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
        return Damaged(one_line(error))
    return StorageError(f"{path}: cannot be read: {one_line(error)}")


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
    return map(Row._make, connection.execute(f"{_ROWS} ORDER BY seq"))


def stored_row(connection: sqlite3.Connection, seq: int) -> Row | None:
    """One row of a table of schema 2; None where it is not there, or stands on a page that cannot be read."""
    try:
        stored = connection.execute(f"{_ROWS} WHERE seq = ?", (seq,)).fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    return None if stored is None else Row._make(stored)


def _with_digests(rows: Iterable[tuple[str, str, str]]) -> Iterator[Row]:
    before = ""
    for seq, (time, event, data) in enumerate(rows, 1):
        before = digest_of(before, seq, time, event, data)
        yield Row(seq, time, event, data, before)


def one_line(error: Exception) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(error).split())


def insert_rows(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Put rows into the table; the caller opens and ends the transaction."""
    connection.executemany("INSERT INTO events (seq, time, event, data, digest) VALUES (?, ?, ?, ?, ?)", rows)


def make_table(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Make the table, in the place of one of an older schema where there is one, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DROP TABLE IF EXISTS events")
    connection.execute(_TABLE)
    insert_rows(connection, rows)
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
        with closing(connected(path, "rwc")) as connection:
            make_table(connection, rows)
    except sqlite3.Error as error:
        raise StorageError(f"{path}: cannot be written: {one_line(error)}") from error
