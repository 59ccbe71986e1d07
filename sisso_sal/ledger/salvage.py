"""A copy of the events beside the ledger, and what is saved from both when the ledger is damaged.

SQLite survives a killed process and a power cut, but not a file that was cut or overwritten: rows of a page stand in no order, so a
page that is half there loses earlier events too. Every event is therefore also appended as a line of JSON. The database is restored
from what both hold when it is damaged; whatever happens to the copy is mended from the database whenever a driver opens it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from sisso_sal.errors import CampaignError, StorageError
from sisso_sal.ledger.rows import (
    COPY,
    DATABASE,
    SCHEMA_VERSION,
    Row,
    fits,
    follows,
    new_database,
    stored_row,
    stored_rows,
)
from sisso_sal.system.documents import LARGE, json_of
from sisso_sal.system.operating_system import CLOSED_IN_CHILDREN, NO_LINK, WITHOUT_WAITING
from sisso_sal.system.storage import scratch_file, sync_folder, write_whole, writing


def _line(row: Row) -> str:
    head = json.dumps({"seq": row.seq, "time": row.time, "event": row.event, "digest": row.digest})
    return f'{head[:-1]}, "data": {row.data}}}\n'


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(map(_line, rows)).encode()


def _row(line: bytes) -> Row | None:
    """The row that a line holds; None where the line is damaged."""
    try:
        event = json_of(line, LARGE)
        data = json.dumps(event["data"], allow_nan=False, ensure_ascii=False)
        row = Row(event["seq"], event["time"], event["event"], data, event["digest"])
    except (ValueError, KeyError, TypeError):
        return None
    return row if fits(row) else None


class Copy:
    """The file of the copy, written by the one driver."""

    def __init__(self, folder: Path):
        self.path = folder / COPY
        self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def ahead_of(self, rows: Sequence[Row]) -> int:
        """How many events the copy has beyond `rows`."""
        content = _content(self.path)
        if not content or _lines(rows).startswith(content):
            return 0
        beyond = {row.seq: row for row in _rows_in(content) if row.seq > len(rows)}
        return len(_chain([beyond], rows)) - len(rows)

    def catch_up(self, rows: Sequence[Row], notes: list[str]) -> None:
        """Make the copy hold exactly `rows`, and open it for what comes.

        A copy without its last events, or with a part of a line at its end, is what a killed driver leaves. Any other difference is
        damage: the file is kept beside the new one, and a note says so.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        content, wanted = _content(self.path), _lines(rows)
        if content is not None and (wanted.startswith(content) or _ends_in_next(content, wanted, len(rows))):
            self._open(min(len(content), len(wanted)))
            self._append(wanted[len(content) :])
            return
        if content is None or content:
            kept = _unused(self.path)
            with writing(self.path), suppress(FileNotFoundError):
                self.path.rename(kept)
            problem = "it is no file" if content is None else _difference(content, rows)
            notes.append(
                f"{self.path} was damaged ({problem}): written again from the ledger's {len(rows)} events; the damaged file is "
                f"kept as {kept.name}"
            )
        write_whole(self.path, wanted)
        self._open(len(wanted))

    def _open(self, size: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINK | CLOSED_IN_CHILDREN
        with writing(self.path):
            self._file = os.fdopen(os.open(self.path, flags, 0o666), "ab", buffering=0)
            self._file.truncate(size)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows; the file is not synced, because the database is."""
        self._append(_lines(rows))

    def _append(self, content: bytes) -> None:
        if self._file is None or not content:
            return
        with writing(self.path):
            if self._file.write(content) != len(content):
                raise OSError("only a part was taken; is the disk full?")


def _content(path: Path) -> bytes | None:
    """The content of the copy; empty where there is none, None for what is no regular file.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | NO_LINK | WITHOUT_WAITING | CLOSED_IN_CHILDREN)
    except FileNotFoundError:
        return b""
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link, a socket
            return None
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)


def _ends_in_next(content: bytes, wanted: bytes, n_rows: int) -> bool:
    """Whether a copy ends in a part of the line after the wanted ones: its event is lost, and that was told."""
    head = f'{{"seq": {n_rows + 1}, '.encode()
    rest = content[len(wanted) :]
    return content.startswith(wanted) and b"\n" not in rest and rest[: len(head)] == head[: len(rest)]


def difference(path: Path, rows: Sequence[Row]) -> str:
    """How the file of a copy differs from the events, in words; empty where it does not.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    content = _content(path)
    if content is None:
        return "it is no file"
    return "" if content == _lines(rows) else _difference(content, rows)


def _difference(content: bytes, rows: Sequence[Row]) -> str:
    for number, (line, row) in enumerate(zip(content.splitlines(keepends=True), rows, strict=False), 1):
        if line != _line(row).encode():
            return f"line {number} is not event {number}"
    n_lines = content.count(b"\n")
    return f"it has {n_lines} events" if n_lines < len(rows) else f"there is more after line {len(rows)}"


# Saving what can be saved --------------------------------------------------------------------------------------------


def saved(folder: Path) -> list[Row]:
    """The longest unbroken chain of events from what can be read of the database and of its copy."""
    try:
        content = _content(folder / COPY) or b""
    except StorageError:
        content = b""
    copied = {row.seq: row for row in _rows_in(content)}
    stored = {row.seq: row for row in _readable(folder / DATABASE, content.count(b"\n") + 1)}
    return _chain([stored, copied], [])


def _chain(sources: Sequence[Mapping[int, Row]], rows: Sequence[Row]) -> list[Row]:
    """The rows, and all from the sources that follow without a gap."""
    out = list(rows)
    while True:
        before = out[-1].digest if out else ""
        seq = len(out) + 1
        fitting = [held[seq] for held in sources if seq in held and follows(held[seq], seq, before)]
        if not fitting:
            return out
        out.append(fitting[0])


def _rows_in(content: bytes) -> Iterator[Row]:
    """The rows of a copy whose lines are whole, in the order of the file."""
    for line in content.split(b"\n"):
        if (row := _row(line)) is not None:
            yield row


def _readable(path: Path, reach: int) -> Iterator[Row]:
    """Rows of a damaged database; behind a page that cannot be read, row by row to number `reach` and as far as they are there."""
    if not path.exists():
        return
    last = 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.execute("PRAGMA writable_schema=ON")  # else a file shorter than its header says is not opened
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            try:
                for row in stored_rows(connection, 1 if version == 1 else SCHEMA_VERSION):
                    if fits(row):
                        last = row.seq
                        yield row
            except (sqlite3.Error, UnicodeDecodeError):
                if version == 1:
                    return
                for seq in count(last + 1):
                    row = stored_row(connection, seq)
                    if row is None and seq > reach:
                        return
                    if row is not None and fits(row):
                        yield row
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
    kept = _unused(path)
    with writing(path):
        with suppress(FileNotFoundError), path.open("rb") as damaged, kept.open("xb") as evidence:
            shutil.copyfileobj(damaged, evidence)
        with suppress(FileNotFoundError):  # a journal belongs to the damaged file alone
            path.with_name(f"{DATABASE}-journal").rename(kept.with_name(f"{kept.name}-journal"))
        scratch, handle = scratch_file(path)
        os.close(handle)
        try:
            new_database(scratch, rows)
            os.replace(scratch, path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    sync_folder(folder)
    place = f"; the damaged file is kept as {kept.name}" if kept.exists() else ""
    notes.append(
        f"{path} was damaged ({damage}): {len(rows)} events were saved, the last a {rows[-1].event} of "
        f"{rows[-1].time}{place}"
    )
    return rows


def _unused(path: Path) -> Path:
    """A name beside a damaged file, under which it is kept."""
    return next(kept for n in count(1) if not os.path.lexists(kept := path.with_name(f"{path.name}.damaged-{n}")))
