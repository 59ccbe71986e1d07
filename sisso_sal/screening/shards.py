"""Shards of Parquet files: where they begin and end depends on the file alone, so that results do not depend on who reads them."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sisso_sal.data.cells import shown
from sisso_sal.errors import TableError

MOST_ROWS = 2**20
"""A row group that is larger is cut: it is what a single worker does between two results."""

JOINED = 2**18
"""Row groups are joined up to so many rows: a result of fewer costs more to write than to compute."""

_ENDINGS = (".parquet", ".pq")
_UNLIKE = re.compile(r"[^\w.=+-]")


@dataclass(frozen=True)
class Shard:
    """Some rows of a Parquet file that are predicted together. Plain data, to be sent to workers.

    Attributes
    ----------
    path : str
    file : str
        Tells the file from others, and from what it was earlier: a digest of its footer, size and time of change.
    groups : tuple of int
        Row groups that have the rows.
    skip : int
        Rows of the first one before the shard.
    n_rows : int
    first : int
    first, start : int
        Number of the first row in the whole pool, and in the file, from 0 on.
    """

    path: str
    file: str
    groups: tuple[int, ...]
    skip: int
    n_rows: int
    first: int
    start: int

    @property
    def label(self) -> str:
        """Begins the name of the file with the predictions, so that those of one file are in order."""
        return f"{_UNLIKE.sub('_', Path(self.path).stem)[:80]}-{self.start:012d}"

    def key(self, *, by_number: bool) -> dict[str, Any]:
        """What results depend on; on the number of the first row only where rows are named by their numbers."""
        key = asdict(self)
        del key["path"], key["start"]
        if not by_number:
            del key["first"]
        return key


def parquet_files(pool: str) -> list[str]:
    """The Parquet files that a text stands for, sorted: a file, all files of a folder (and of those in it), or a pattern.

    Raises
    ------
    TableError
        There is none.
    """
    if os.path.isdir(pool):
        found = [str(path) for ending in _ENDINGS for path in Path(pool).rglob(f"*{ending}")]
        # What begins with a dot or underscore is not data: scratch, checksums and notes of the program that wrote the folder.
        found = [path for path in found if not _is_hidden(os.path.relpath(path, pool))]
    elif os.path.exists(pool) or not glob.has_magic(pool):
        return [pool]
    else:
        found = glob.glob(pool, recursive=True)
    if not found:
        raise TableError(f"{pool}: needs Parquet files, found none")
    return sorted(found)


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in Path(path).parts)


def shards_of(files: Sequence[str]) -> Iterator[Shard]:
    """The shards of Parquet files, in order.

    Raises
    ------
    TableError
        A file cannot be read.
    """
    first = 0
    for path in files:
        metadata, file = _footer(path)
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        start = 0
        for groups, skip, n_rows in cut(sizes):
            yield Shard(os.path.abspath(path), file, groups, skip, n_rows, first + start, start)
            start += n_rows
        first += start


def cut(sizes: Sequence[int]) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Row groups, rows to skip in the first of them, and rows, of each shard of a file.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each row group.

    Examples
    --------
    >>> list(cut([3, 4, 2**18, 2**20 + 1, 0]))
    [((0, 1), 0, 7), ((2,), 0, 262144), ((3,), 0, 1048576), ((3,), 1048576, 1)]
    """
    joined: list[int] = []
    n_rows = 0
    for number, size in enumerate(sizes):
        if joined and n_rows + size > JOINED:
            yield tuple(joined), 0, n_rows
            joined, n_rows = [], 0
        if size > MOST_ROWS:
            yield from (((number,), skip, min(MOST_ROWS, size - skip)) for skip in range(0, size, MOST_ROWS))
        elif size:
            joined.append(number)
            n_rows += size
    if joined:
        yield tuple(joined), 0, n_rows


def _footer(path: str) -> tuple[pq.FileMetaData, str]:
    """What the footer of a file says, and a digest of the file."""
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            file.seek(max(0, about.st_size - 8))
            end = file.read(8)
            length = int.from_bytes(end[:4], "little")
            if end[4:] != b"PAR1" or length + 8 > about.st_size:
                raise TableError(f"{path}: needs a Parquet file, found other content, or a part of one")
            file.seek(about.st_size - 8 - length)
            digest = hashlib.sha256(file.read(length))
        digest.update(f"{about.st_size} {about.st_mtime_ns}".encode())
        return pq.read_metadata(path), digest.hexdigest()[:32]
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path}: needs a readable Parquet file, found: {shown(str(error), 120)}") from None
