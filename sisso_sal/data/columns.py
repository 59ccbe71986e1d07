"""The columns of a CSV or Parquet file: headers split from units, cells told apart into numbers and text.

This module reads and classifies; it gives no column a role. A column that is neither clean numbers nor plain text is
not refused here but carries its first bad cell, because only the caller knows whether the column is used at all.
"""

# pyarrow.compute makes its functions at import, out of a type checker's sight.
# pyright: reportAttributeAccessIssue=false

import csv
import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sisso_sal.data.headers import split_header
from sisso_sal.errors import TableError

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 4096
LARGEST = 1e100

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_COMMA_NUMBER = r"^[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?$"
_INFINITE = r"^[+-]?(?i:inf|infinity)$"
_UNKNOWN = r"^(NA|N/A|n/a|#N/A|#NA|(?i:nan|null|none|-+))$"
_BOOLEAN = r"^(?i:true|false)$"
_CELLS_PER_CHUNK = 65_536
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, eq=False)
class Column:
    """One column as it stands in the file.

    Attributes
    ----------
    header, name, unit : str
        The header as written, the part before its unit, and the text of the unit ("" if there is none).
    values : ndarray (n_rows,) of float64 or None
        The numbers, NaN for an empty cell; None when the column holds text.
    cells : pyarrow.ChunkedArray (n_rows,)
        What the file holds: trimmed text from CSV, typed values from Parquet.
    bad : int or None
        0-based row of the first cell that spoils an otherwise numeric column.
    problem : str
        What that cell needed and what was found.
    """

    header: str
    name: str
    unit: str
    values: np.ndarray | None
    cells: pa.ChunkedArray
    bad: int | None = None
    problem: str = ""

    @property
    def n_gaps(self) -> int:
        """Number of empty cells of a numeric column."""
        return 0 if self.values is None else int(np.isnan(self.values).sum())

    def texts(self) -> tuple[str, ...]:
        """Every cell as text, "" where it is empty."""
        return tuple("" if cell is None else str(cell) for cell in self.cells.to_pylist())


@dataclass(frozen=True, eq=False)
class ColumnFile:
    """All columns of one file, and the way back from a row to its place in the file."""

    path: str
    columns: tuple[Column, ...]
    n_rows: int
    is_text: bool

    def place(self, row: int, column: Column | None = None) -> str:
        """Where a 0-based row (and a column) stand: ``file.csv: row 17 (line 18), column 'EA (eV)'``."""
        line = f" (line {_line_of(self.path, row)})" if self.is_text else ""
        return f"{self.path}: row {row + 1}{line}" + (f", column {shown(column.header)}" if column else "")


def shown(value: object, width: int = 48) -> str:
    """A value quoted on one line, cut when it is long.

    >>> shown("n/a"), shown("x" * 100, width=8)
    ("'n/a'", "'xxxxx...'")
    """
    text = repr(value)
    return text if len(text) <= width + 2 else text[: width - 2] + "...'"


def read_columns(path: str | os.PathLike[str]) -> ColumnFile:
    """Read a CSV or Parquet file, told apart by content.

    Parameters
    ----------
    path : path of the file. CSV is UTF-8 (a byte-order mark is fine), separated by commas, with decimal points.

    Raises
    ------
    TableError
        When the file cannot be read as a rectangle of named columns with at least one row.
    """
    path = os.fspath(path)
    start = _first_bytes(path)
    is_parquet = start.startswith(b"PAR1")
    if not is_parquet:
        _refuse_other_formats(path, start)
    headers, cells = _read_parquet(path) if is_parquet else _read_csv(path)
    return _column_file(path, headers, cells, is_text=not is_parquet)


def frame_columns(frame: "pd.DataFrame", name: str = "table") -> ColumnFile:
    """The columns of a DataFrame; an index that is no range counts as a column, ahead of the others.

    Parameters
    ----------
    frame : DataFrame
        Headers as in a file, units included.
    name : str
        What messages call it.

    Raises
    ------
    TableError
        A header is empty or there twice, a column is neither numbers nor text, or there is no row.

    Examples
    --------
    >>> import pandas as pd
    >>> [column.header for column in frame_columns(pd.DataFrame({"EA (eV)": [1.5]}, index=["MgO"])).columns]
    ['index', 'EA (eV)']
    """
    import pandas as pd

    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    headers = [str(header).strip() for header in frame.columns]
    _check_headers(name, headers, "")
    try:
        table = pa.Table.from_pandas(frame.set_axis(headers, axis=1), preserve_index=False)
    except pa.ArrowException as error:
        raise TableError(f"{name}: needs columns of numbers or text, found: {shown(str(error), 120)}") from None
    _check_types(name, table.schema)
    return _column_file(name, headers, [_as_plain(column) for column in table.columns], is_text=False)


def _column_file(path: str, headers: list[str], cells: list[pa.ChunkedArray], *, is_text: bool) -> ColumnFile:
    if not cells or len(cells[0]) == 0:
        raise TableError(f"{path}: needs at least one row below the header, found none")
    columns = []
    for header, chunks in zip(headers, cells, strict=True):
        name, unit = split_header(header)
        columns.append(Column(header, name, unit, *_classified(chunks)))
    return ColumnFile(path, tuple(columns), len(cells[0]), is_text=is_text)


def _first_bytes(path: str) -> bytes:
    try:
        if os.path.isdir(path):
            raise TableError(f"{path or '.'}: needs a CSV or Parquet file, found a folder")
        if os.path.exists(path) and not os.path.isfile(path):
            raise TableError(f"{path}: needs a regular file, found a device or pipe")
        with open(path, "rb") as file:
            return file.read(65_536)
    except FileNotFoundError:
        raise TableError(_missing(path)) from None
    except TableError:
        raise
    except (OSError, ValueError) as error:
        raise TableError(f"{path!r}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _missing(path: str) -> str:
    folder = Path(path).parent
    if not folder.is_dir():
        return f"{path}: there is no folder {str(folder)!r}"
    similar = difflib.get_close_matches(Path(path).name, os.listdir(folder), n=3)
    return f"{path}: there is no such file" + (f"; similar names there: {', '.join(similar)}" if similar else "")


def _refuse_other_formats(path: str, start: bytes) -> None:
    if path.lower().endswith((".parquet", ".pq")):
        raise TableError(f"{path}: needs a Parquet file, found other content (it does not begin with 'PAR1')")
    if not start:
        raise TableError(f"{path}: needs a header and rows, found an empty file")
    if start.startswith(b"PK\x03\x04"):
        raise TableError(f"{path}: needs CSV or Parquet, found a zip archive or spreadsheet; export the sheet as CSV")
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise TableError(f"{path}: needs CSV or Parquet, found a compressed file; unpack it first")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{path}: needs UTF-8 text, found UTF-16; save it as UTF-8")
    if b"\x00" in start:
        raise TableError(f"{path}: needs CSV or Parquet, found binary data")


def _check_headers(path: str, headers: list[str], where: str) -> None:
    """Refuse headers that are empty, repeated, alike once the unit is off, or too many."""
    if len(headers) > MAX_COLUMNS:
        raise TableError(f"{path}: {where}needs at most {MAX_COLUMNS} columns, found {len(headers)}")
    if headers and all(re.match(_NUMBER, header) for header in headers):
        raise TableError(f"{path}: {where}needs column names, found only numbers, {shown(headers[0])} first")
    seen: dict[str, tuple[int, str]] = {}
    for number, header in enumerate(headers, start=1):
        if not header:
            hint = " (an index column? write the table without it)" if number == 1 else ""
            raise TableError(f"{path}: {where}column {number} needs a header, found an empty one{hint}")
        name = split_header(header)[0]
        if name in seen:
            first, other = seen[name]
            raise TableError(
                f"{path}: {where}column names must differ, found {shown(name)} "
                f"in column {first} ({shown(other)}) and column {number} ({shown(header)})"
            )
        seen[name] = (number, header)


def _records(path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line on which the record begins, cells) of a CSV file; blank lines are passed over."""
    line = 1
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = str(error)
                if "unexpected end" in reason or "field larger" in reason:
                    reason = "a quotation mark opens here and does not close"
                raise TableError(f"{path}: line {line}: needs well-formed CSV, found: {reason}") from None
            except UnicodeDecodeError:
                raise TableError(_undecodable(path)) from None
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1


def _undecodable(path: str) -> str:
    with open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = raw[error.start]
                return f"{path}: line {number}: needs UTF-8 text, found byte 0x{byte:02x}; save the table as UTF-8"
    return f"{path}: needs UTF-8 text, found other bytes; save the table as UTF-8"


def _line_of(path: str, row: int) -> int:
    """Line on which a 0-based data row begins."""
    for number, (line, _) in enumerate(_records(path)):
        if number == row + 1:
            return line
    raise IndexError(row)


def _read_csv(path: str) -> tuple[list[str], list[pa.ChunkedArray]]:
    records = _records(path)
    line, first = next(records, (0, []))
    if not first:
        raise TableError(f"{path}: needs a header and rows, found only blank lines")
    _check_separator(path, line, first)
    headers = [header.strip() for header in first]
    _check_headers(path, headers, f"line {line}: ")
    width = len(headers)
    per_chunk = max(1, _CELLS_PER_CHUNK // width)
    chunks: list[list[pa.Array]] = [[] for _ in headers]
    rows: list[list[str]] = []

    def flush() -> None:
        for column, cells in zip(chunks, zip(*rows, strict=True), strict=False):
            column.append(pc.utf8_trim_whitespace(pa.array(cells, pa.string())))
        rows.clear()

    for number, (line, cells) in enumerate(records, start=1):
        if len(cells) != width:
            hint = " (decimal commas? write 1.5, not 1,5)" if len(cells) > width else ""
            raise TableError(
                f"{path}: row {number} (line {line}): needs {width} cells as in the header, found {len(cells)}{hint}"
            )
        rows.append(cells)
        if len(rows) == per_chunk:
            flush()
    flush()
    return headers, [pa.chunked_array(column, pa.string()) for column in chunks]


def _check_separator(path: str, line: int, header: list[str]) -> None:
    joined = ",".join(header)
    for mark, plural in _OTHER_SEPARATORS.items():
        if joined.count(mark) >= max(1, len(header) - 1):
            raise TableError(
                f"{path}: line {line}: needs columns separated by commas (and decimal points), found {plural}; "
                f"convert it, for instance: pandas.read_csv({path!r}, sep={mark!r}).to_csv('table.csv', index=False), "
                "with decimal=',' in read_csv if the numbers have decimal commas"
            )


def _read_parquet(path: str) -> tuple[list[str], list[pa.ChunkedArray]]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _check_headers(path, [name.strip() for name in schema.names], "")
            _check_types(path, schema)
            table = file.read()
            table.validate(full=True)
            return [name.strip() for name in table.column_names], [_as_plain(column) for column in table.columns]
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"{path}: needs a readable Parquet file, found: {shown(str(error), 120)}") from None


def _check_types(path: str, schema: pa.Schema) -> None:
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if not (pa.types.is_primitive(kind) or pa.types.is_null(kind) or pa.types.is_decimal(kind) or _is_text(kind)):
            raise TableError(f"{path}: column {shown(field.name)} needs numbers or text, found {shown(str(kind))}")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _as_plain(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers and booleans stay; every other type becomes trimmed text."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    kind = cells.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return cells
    return pc.utf8_trim_whitespace(cells.cast(pa.string() if not pa.types.is_large_string(kind) else kind))


def _classified(cells: pa.ChunkedArray) -> tuple[np.ndarray | None, pa.ChunkedArray, int | None, str]:
    """Values, cells, first bad row and its problem, in the order of the fields of `Column`."""
    if not _is_text(cells.type):
        values = cells.cast(pa.float64(), safe=False).to_numpy()
        return values, cells, *_too_large(values, cells)
    filled = pc.if_else(pc.equal(cells, ""), None, cells)
    try:
        values = filled.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return _classified_cell_by_cell(cells, filled)
    if np.isnan(values).sum() != filled.null_count:
        return _classified_cell_by_cell(cells, filled)
    return values, cells, *_too_large(values, cells)


def _too_large(values: np.ndarray, cells: pa.ChunkedArray) -> tuple[int | None, str]:
    bad = np.flatnonzero(np.abs(values) > LARGEST)
    if not bad.size:
        return None, ""
    kind = "a finite number" if np.isinf(values[bad[0]]) else f"a number no larger than {LARGEST:.0e} in size"
    return int(bad[0]), f"needs {kind}, found {shown(str(cells[int(bad[0])].as_py()))}"


def _classified_cell_by_cell(
    cells: pa.ChunkedArray, filled: pa.ChunkedArray
) -> tuple[np.ndarray | None, pa.ChunkedArray, int | None, str]:
    """Decide between numbers, booleans, text, and numbers spoilt by other cells."""

    def matches(pattern: str) -> np.ndarray:
        return pc.fill_null(pc.match_substring_regex(filled, pattern), False).to_numpy()

    n_filled = len(filled) - filled.null_count
    number = matches(_NUMBER)
    if number.sum() == n_filled:
        values = np.array([np.nan if cell is None else float(cell) for cell in filled.to_pylist()])
        return values, cells, *_too_large(values, cells)
    if matches(_BOOLEAN).sum() == n_filled:
        truth = {None: np.nan, "true": 1.0, "false": 0.0}
        return np.array([truth[cell and cell.lower()] for cell in filled.to_pylist()]), cells, None, ""
    comma = matches(_COMMA_NUMBER)
    standing_for_number = number | matches(_INFINITE) | matches(_UNKNOWN)
    is_numeric = (
        2 * number.sum() >= n_filled
        or (comma.any() and 2 * (number | comma).sum() >= n_filled)
        or standing_for_number.sum() == n_filled
    )
    if not is_numeric:
        return None, cells, None, ""
    bad = int(np.flatnonzero(~number & pc.is_valid(filled).to_numpy())[0])
    return None, cells, bad, _problem(cells[bad].as_py(), bool(comma[bad]), bool(number.any()))


def _problem(cell: str, has_comma: bool, some_numbers: bool) -> str:
    if has_comma:
        return f"needs a decimal point and no other separator, found {shown(cell)}"
    if re.match(_INFINITE, cell):
        return f"needs a finite number, found {shown(cell)}"
    if not re.match(_UNKNOWN, cell):
        return f"needs a number, found {shown(cell)}"
    if not some_numbers:
        return f"needs a number, found {shown(cell)}; no cell of this column holds a number, remove it"
    return f"needs a number, found {shown(cell)}; leave the cell empty where a target is unknown"
