"""Text files of columns: comment lines, separator, packing, and the records with their places."""

from __future__ import annotations

import csv
import gzip
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from sisso_sal.data.cells import NUMBER, shown
from sisso_sal.errors import TableError

PACKED = b"\x1f\x8b"
MARKS = ("#", "%", "//")
"""A line above the header that begins with one of these is a comment."""

_SEPARATOR_LINE = r'"?sep=.?"?'
"""By which a spreadsheet program knows the separator; here it is seen from the rows."""
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_N_TRIED = 20


@dataclass(frozen=True)
class TextFile:
    """A text file with a header and rows, and how it is laid out.

    Attributes
    ----------
    path : str
    is_packed : bool
        Whether gzip packed it.
    separator : str
        A comma, a semicolon or a tab.
    n_skipped : int
        Lines above the header.
    comments : tuple of str
        Those of them that are comments.
    """

    path: str
    is_packed: bool
    separator: str = ","
    n_skipped: int = 0
    comments: tuple[str, ...] = ()

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line on which the record begins, cells), the header first; blank lines are passed over.

        Raises
        ------
        TableError
            The text is not UTF-8, or a quotation mark is not closed.
        """
        with _opened(self.path, self.is_packed) as file:
            try:
                yield from _records(self, file)
            except UnicodeDecodeError:
                raise TableError(_undecodable(self)) from None

    def line_of(self, row: int) -> int:
        """Line on which a 0-based row of the data begins."""
        return next(line for line, _ in islice(self.records(), row + 1, None))


def laid_out(path: str, *, is_packed: bool) -> TextFile:
    """Find the comment lines above the header of a text file, and the separator of its columns.

    Raises
    ------
    TableError
        There is no header, or the separator is not clear.
    """
    plain = TextFile(path, is_packed)
    lines = _lines_above(plain)
    comments = tuple(line for line in lines if _is_comment(line))
    laid = TextFile(path, is_packed, n_skipped=len(lines), comments=comments)
    laid = TextFile(path, is_packed, _separator(laid), len(lines), comments)
    if comments and _is_header(laid, comments[-1]):
        last = max(number for number, line in enumerate(lines) if _is_comment(line))
        laid = TextFile(path, is_packed, laid.separator, last, comments[:-1])
        laid = TextFile(path, is_packed, _separator(laid), last, comments[:-1])
    return laid


def most_unpacked(n_packed: int) -> int:
    """Bytes to which a packed file of so many bytes may unpack: 200 times as many, at least 16 MiB and at most 1 GiB.

    Examples
    --------
    >>> most_unpacked(1000), most_unpacked(10**9)
    (16777216, 1073741824)
    """
    return min(2**30, max(2**24, 200 * n_packed))


def unpacked_start(path: str, size: int) -> bytes:
    """The first bytes of a packed file, after a look at how large it becomes and whether it is whole.

    Raises
    ------
    TableError
        It is damaged or becomes too large.
    """
    most = most_unpacked(os.path.getsize(path))
    start, n = b"", 0
    try:
        with gzip.open(path, "rb") as file:
            while block := file.read(2**20):
                start = start or block[:size]
                n += len(block)
                if n > most:
                    raise TableError(
                        f"{path}: needs a packed file that unpacks to at most {most / 2**20:.0f} MiB, found more; unpack it first"
                    )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TableError(f"{path}: needs a whole gzip file, found: {error}") from None
    return start


def _opened(path: str, is_packed: bool) -> TextIO:
    if is_packed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _records(layout: TextFile, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    for _ in range(layout.n_skipped):
        next(file)
    line = layout.n_skipped + 1
    reader = csv.reader(file, strict=True, skipinitialspace=layout.separator != "\t", delimiter=layout.separator)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = str(error)
            if "unexpected end" in reason or "field larger" in reason:
                reason = "a quotation mark opens here and does not close"
            raise TableError(f"{layout.path}: line {line}: needs well-formed CSV, found: {reason}") from None
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield line, cells
        line = layout.n_skipped + reader.line_num + 1


def _undecodable(layout: TextFile) -> str:
    with (gzip.open if layout.is_packed else open)(layout.path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = raw[error.start]
                return (
                    f"{layout.path}: line {number}: needs UTF-8 text, found byte 0x{byte:02x}; save the table as UTF-8"
                )
    return f"{layout.path}: needs UTF-8 text, found other bytes; save the table as UTF-8"


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(MARKS)


def _lines_above(plain: TextFile) -> list[str]:
    """The comment lines, blank lines and lines for a spreadsheet program at the top."""
    lines: list[str] = []
    with _opened(plain.path, plain.is_packed) as file:
        try:
            for line in file:
                if line.strip() and not _is_comment(line) and not re.fullmatch(_SEPARATOR_LINE, line.strip()):
                    return lines if any(map(str.strip, lines)) else []
                lines.append(line.rstrip("\r\n"))
        except UnicodeDecodeError:
            raise TableError(_undecodable(plain)) from None
    if any(map(str.strip, lines)):
        return lines
    raise TableError(f"{plain.path}: needs a header and rows, found only blank lines")


def _first_records(layout: TextFile, separator: str) -> list[list[str]]:
    """The first few records as this separator parts them; fewer where that goes wrong."""
    tried = TextFile(layout.path, layout.is_packed, separator, layout.n_skipped)
    first: list[list[str]] = []
    with suppress(TableError):
        first.extend(cells for _, cells in islice(tried.records(), _N_TRIED))
    return first


def _separator(layout: TextFile) -> str:
    """The separator of the columns: the one that parts the first records into equally many cells, as many as the header has.

    Raises
    ------
    TableError
        Two would do, or the columns are separated by vertical bars.
    """
    first = {mark: _first_records(layout, mark) for mark in _SEPARATORS}
    header = first[","][0] if first[","] else []
    joined = ",".join(header)
    widths = {mark: {len(cells) for cells in records} for mark, records in first.items()}
    fits = [mark for mark, seen in widths.items() if len(seen) == 1 and seen != {1}]
    claims = [mark for mark in (*_SEPARATORS, "|") if mark != "," and joined.count(mark) >= max(1, len(header) - 1)]
    others = [mark for mark in fits if mark != ","]
    if claims and claims[0] == "|" and not fits:
        raise TableError(
            f"{layout.path}: line {layout.n_skipped + 1}: needs commas, semicolons or tabs between the columns, found vertical bars"
        )
    if "," in fits and not set(others) & set(claims):
        return ","
    if len(fits) > 1:
        listed = " and ".join(_SEPARATORS[mark] for mark in fits)
        raise TableError(
            f"{layout.path}: line {layout.n_skipped + 1}: needs one separator of columns, found that both {listed} would do; put "
            "cells with such a mark inside into quotation marks"
        )
    return (fits or [mark for mark in claims if mark in _SEPARATORS] or [","])[0]


def _is_header(layout: TextFile, comment: str) -> bool:
    """Whether the last comment line is the header: it has a cell for each column, and numbers or mere text stand below it."""
    first = _first_records(layout, layout.separator)[:2]
    try:
        cells = next(csv.reader([comment], skipinitialspace=True, delimiter=layout.separator), [])
    except csv.Error:
        return False
    if not first:
        return True
    has_number = [any(re.fullmatch(NUMBER, cell.strip()) for cell in record) for record in first]
    return len(cells) == len(first[0]) and (has_number[0] or not any(has_number[1:]))


def comment_note(comments: tuple[str, ...]) -> list[str]:
    """What is said of comment lines that were skipped.

    Examples
    --------
    >>> comment_note(("# data of our group", "# 2024"))
    ["2 comment lines above the header are skipped, the first is '# data of our group'"]
    """
    if len(comments) == 1:
        return [f"a comment line above the header is skipped: {shown(comments[0])}"]
    many = f"{len(comments)} comment lines above the header are skipped"
    return [f"{many}, the first is {shown(comments[0])}"] if comments else []
