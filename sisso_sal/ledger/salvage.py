"""A copy of the events beside the ledger, and what is saved from both when the ledger is damaged.

SQLite survives a killed process and a power cut, but not a file that was cut or overwritten: rows of a page stand in no order, so a
page that is half there loses earlier events too. Every event is therefore also appended as a line of JSON. The copy is read only
when the database is damaged, and is brought in line with the database whenever a driver opens it.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from sisso_sal.errors import CampaignError, StorageError
from sisso_sal.ledger.rows import (
    APPLICATION_ID,
    COPY,
    DATABASE,
    SCHEMA_VERSION,
    Row,
    digest_of,
    new_database,
    stored_rows,
    unbroken,
)
from sisso_sal.system.storage import sync_folder, write_whole, writing


def _line(row: Row) -> str:
    head = json.dumps({"seq": row.seq, "time": row.time, "event": row.event, "digest": row.digest})
    return f'{head[:-1]}, "data": {row.data}}}\n'


def _row(line: bytes) -> Row | None:
    """The row that a line holds; None where the line is damaged."""
    try:
        event = json.loads(line)
        data = json.dumps(event["data"], allow_nan=False, ensure_ascii=False)
        return Row(event["seq"], event["time"], event["event"], data, event["digest"])
    except (ValueError, KeyError, TypeError):
        return None


class Copy:
    """The file of the copy, written by the one driver."""

    def __init__(self, folder: Path):
        self.path = folder / COPY
        self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be read: {error.strerror}") from error

    def ahead_of(self, rows: Sequence[Row]) -> int:
        """How many events the copy has beyond `rows`."""
        last = _last_row(self._content())
        if last is None or last.seq <= len(rows):
            return 0
        held = copied_rows(self.path)
        follows = len(held) > len(rows) and (not rows or held[len(rows) - 1] == rows[-1])
        return len(held) - len(rows) if follows else 0

    def catch_up(self, rows: Sequence[Row]) -> None:
        """Make the copy hold exactly `rows`, and open it for what comes.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        content = self._content()
        whole = content[: content.rfind(b"\n") + 1]
        last = _last_row(whole)
        number = 0 if last is None else last.seq
        if number <= len(rows) and (last is None or rows[number - 1] == last) and (last is not None or not content):
            with writing(self.path):
                self._file = self.path.open("ab", buffering=0)
                self._file.truncate(len(whole))
            self.write(rows[number:])
            return
        write_whole(self.path, "".join(map(_line, rows)))
        with writing(self.path):
            self._file = self.path.open("ab", buffering=0)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows; the file is not synced, because the database is."""
        if self._file is None or not rows:
            return
        content = "".join(map(_line, rows)).encode()
        with writing(self.path):
            if self._file.write(content) != len(content):
                raise OSError("only a part was taken; is the disk full?")


def _last_row(content: bytes) -> Row | None:
    """The last whole line."""
    lines = content[: content.rfind(b"\n") + 1]
    start = lines.rfind(b"\n", 0, max(len(lines) - 1, 0)) + 1
    return _row(lines[start:]) if lines else None


# Saving what can be saved --------------------------------------------------------------------------------------------


def saved(folder: Path) -> list[Row]:
    """The longest unbroken chain of events from what can be read of the database and of its copy."""
    held: dict[int, list[Row]] = {}
    for row in [*_readable(folder / DATABASE), *_copied(folder / COPY)]:
        held.setdefault(row.seq, []).append(row)
    out: list[Row] = []
    before = ""
    while True:
        seq = len(out) + 1
        fitting = [row for row in held.get(seq, []) if row.digest == digest_of(before, *row[:4])]
        if not fitting:
            return out
        out.append(fitting[0])
        before = fitting[0].digest


def copied_rows(path: Path) -> list[Row]:
    """The rows of a copy up to the first that is not what was written."""
    return unbroken(_copied(path))


def _copied(path: Path) -> Iterator[Row]:
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            if (row := _row(line)) is not None:
                yield row


def _readable(path: Path) -> Iterator[Row]:
    """Rows of a damaged database up to the first page that cannot be read."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.execute("PRAGMA writable_schema=ON")  # else a file shorter than its header says is not opened
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if 0 < version <= SCHEMA_VERSION:
                yield from stored_rows(connection, version)
    except (sqlite3.Error, UnicodeDecodeError):
        return  # what follows on the page that cannot be read is what the copy is for


def restore(folder: Path, damage: str, notes: list[str]) -> list[Row]:
    """Replace a damaged database by one with the events that can be saved; the damaged one is kept beside it.

    Raises
    ------
    CampaignError
        Nothing can be saved; the damaged file is as it was.
    StorageError
        The disk refuses.
    """
    path = folder / DATABASE
    rows = saved(folder)
    if not rows:
        raise CampaignError(
            f"{path}: the ledger is damaged ({damage}) and no event can be read, neither in it nor in a copy"
        )
    scratch = folder / f".{DATABASE}.part"
    kept = _unused(folder)
    with writing(path):
        scratch.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(path, kept)
        with suppress(FileNotFoundError):  # a journal belongs to the damaged file alone
            path.with_name(f"{DATABASE}-journal").rename(kept.with_name(f"{kept.name}-journal"))
        new_database(scratch, rows)
        os.replace(scratch, path)
    sync_folder(folder)
    evidence = f"; the damaged file is kept as {kept.name}" if kept.exists() else ""
    notes.append(
        f"{path} was damaged ({damage}): {len(rows)} events were saved, the last a {rows[-1].event} of "
        f"{rows[-1].time}{evidence}"
    )
    return rows


def _unused(folder: Path) -> Path:
    number = 1
    while (path := folder / f"{DATABASE}.damaged-{number}").exists():
        number += 1
    return path
