"""The first sheet of an Excel workbook, as text cells; openpyxl reads it and is an optional dependency."""

from __future__ import annotations

import datetime
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sisso_sal.data.cells import shown
from sisso_sal.data.delimited import MARKS, comment_note, most_unpacked
from sisso_sal.errors import TableError


@dataclass(frozen=True, eq=False)
class Sheet:
    """A sheet with a header and rows.

    Attributes
    ----------
    headers : list of str
    rows : list of list of str
        Numbers as Python writes them, dates in ISO 8601, "" for an empty cell; every row as wide as the header.
    header_place : str
        As in "sheet row 1: ".
    place_of : callable
        From a 0-based row to its place, as in "sheet row 3".
    notes : tuple of str
        Which other sheets there are.
    """

    headers: list[str]
    rows: list[list[str]]
    header_place: str
    place_of: Callable[[int], str]
    notes: tuple[str, ...]


def read_sheet(path: str) -> Sheet:
    """Read the first sheet.

    Raises
    ------
    TableError
        openpyxl is not installed, the workbook is damaged or too large, or a formula in it was never computed.
    """
    _check_size(path)
    with _workbook(path, computed=True) as book:
        names = [sheet.title for sheet in book.worksheets]
        rows = _filled_rows(book)
    comments = []
    while rows and _is_comment(rows[0][1]):
        comments.append(next(filter(None, rows.pop(0)[1])))
    if not rows:
        raise TableError(f"{path}: needs a header and rows, found an empty sheet {shown(names[0])}")
    (first, headers), body = rows[0], rows[1:]
    for number, cells in body:
        if len(cells) > len(headers):
            raise TableError(
                f"{path}: sheet row {number}: needs {len(headers)} cells as in the header, found {len(cells)}"
            )
    _check_computed(path, {(number, column) for number, cells in rows for column, cell in enumerate(cells) if cell})
    numbers = [number for number, _ in body]
    others = f"only the first sheet, {shown(names[0])}, is read, not {', '.join(map(shown, names[1:]))}"
    return Sheet(
        headers,
        [cells + [""] * (len(headers) - len(cells)) for _, cells in body],
        f"sheet row {first}: ",
        lambda row: f"sheet row {numbers[row]}",
        (*comment_note(tuple(comments)), *([others] if len(names) > 1 else [])),
    )


def _check_size(path: str) -> None:
    with zipfile.ZipFile(path) as archive:
        n = sum(member.file_size for member in archive.infolist())
    most = most_unpacked(os.path.getsize(path))
    if n > most:
        raise TableError(
            f"{path}: needs a workbook that unpacks to at most {most / 2**20:.0f} MiB, found {n / 2**20:.0f} MiB"
        )


@contextmanager
def _workbook(path: str, *, computed: bool) -> Iterator[Any]:
    """The workbook, with the values of its formulas or with the formulas themselves."""
    try:
        import openpyxl
    except ImportError:
        raise TableError(
            f"{path}: needs the package openpyxl to read a workbook; pip install 'sisso-sal[excel]', or save it as CSV"
        ) from None
    try:
        with warnings.catch_warnings(action="ignore"):  # parts of a workbook that are no cells
            book = openpyxl.load_workbook(path, read_only=True, data_only=computed)
            try:
                yield book
            finally:
                book.close()
    except TableError:
        raise
    except Exception as error:  # openpyxl has no error of its own for damaged files
        raise TableError(f"{path}: needs a readable workbook, found: {shown(str(error), 120)}") from None


def _filled_rows(book: Any) -> list[tuple[int, list[str]]]:
    """Number and cells of each row of the first sheet that is not empty; empty cells at its end are left out."""
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # what a file says of its size need not be true
    rows = []
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = [_as_text(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.append((number, cells))
    return rows


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ") if value.time() != datetime.time() else value.date().isoformat()
    return repr(value) if isinstance(value, float) else str(value).strip()


def _is_comment(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return len(filled) == 1 and filled[0].lstrip().startswith(MARKS)


def _check_computed(path: str, filled: set[tuple[int, int]]) -> None:
    """Refuse formulas of which none has a value: a program wrote them, and no spreadsheet program opened the file since."""
    with _workbook(path, computed=False) as book:
        formulas = [
            (number, column)
            for number, cells in _filled_rows(book)
            for column, cell in enumerate(cells)
            if cell.startswith(("=", "<openpyxl"))
        ]
    if formulas and not filled.intersection(formulas):
        number, column = formulas[0]
        raise TableError(
            f"{path}: sheet row {number}, column {column + 1}: needs a value, found a formula that was never computed; open the "
            "file in a spreadsheet program and save it"
        )
