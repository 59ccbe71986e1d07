"""From a file to columns of cells: which format it has, by its content, and what each format needs."""

# pyarrow.compute makes its functions at import, out of a type checker's sight.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import difflib
import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sisso_sal.data.arrow import text_array
from sisso_sal.data.bulk import plain_columns
from sisso_sal.data.cells import is_text, shown
from sisso_sal.data.delimited import PACKED, comment_note, laid_out, unpacked_start
from sisso_sal.errors import TableError

MAX_COLUMNS = 4096
_CELLS_PER_CHUNK = 65_536
_START = 65_536


@dataclass(frozen=True, eq=False)
class RawColumns:
    """The columns of a file before they are told apart.

    Attributes
    ----------
    headers : list of str
        As the file has them; empty where there is none.
    cells : list of pyarrow.ChunkedArray (n_rows,)
        Trimmed text, numbers or booleans.
    header_place : str
        How a message names the place of the header: "line 1: ", or "".
    place_of : callable or None
        From a 0-based row to its place in the file, as in "line 18"; None where rows have no other place than their number.
    may_have_commas : bool
        Whether numbers may have decimal commas.
    notes : tuple of str
        What a person should know of how the file was read.
    """

    headers: list[str]
    cells: list[pa.ChunkedArray]
    header_place: str = ""
    place_of: Callable[[int], str] | None = None
    may_have_commas: bool = False
    notes: tuple[str, ...] = ()


def read_cells(path: str) -> RawColumns:
    """The columns of a file: text (also packed by gzip), Parquet or an Excel workbook, told apart by content.

    Raises
    ------
    TableError
        The file cannot be read, or is none of these.
    """
    start = _first_bytes(path)
    if start.startswith(b"PAR1"):
        return _read_parquet(path)
    if path.lower().endswith((".parquet", ".pq")):
        raise TableError(f"{path}: needs a Parquet file, found other content (it does not begin with 'PAR1')")
    if _is_workbook(path, start):
        from sisso_sal.data.excel import read_sheet

        sheet = read_sheet(path)
        cells = _columns_of(sheet.rows, sheet.headers)
        return RawColumns(sheet.headers, cells, sheet.header_place, sheet.place_of, True, sheet.notes)
    is_packed = start.startswith(PACKED)
    _check_is_text(path, unpacked_start(path, _START) if is_packed else start)
    return _read_text(path, is_packed)


def is_parquet(path: str) -> bool:
    """Whether a file is Parquet, by its content.

    Raises
    ------
    TableError
        The file cannot be read.
    """
    return _first_bytes(path).startswith(b"PAR1")


def headers_of(path: str) -> list[str]:
    """The headers of the columns of a file, without a look at its rows; see `read_cells`."""
    start = _first_bytes(path)
    if start.startswith(b"PAR1"):
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)
    if _is_workbook(path, start):
        from sisso_sal.data.excel import read_sheet

        return read_sheet(path).headers
    return next(laid_out(path, is_packed=start.startswith(PACKED)).records(), (0, []))[1]


def check_types(path: str, schema: pa.Schema) -> None:
    """Refuse columns that hold neither numbers nor text."""
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if not (pa.types.is_primitive(kind) or pa.types.is_null(kind) or pa.types.is_decimal(kind) or is_text(kind)):
            raise TableError(f"{path}: column {shown(field.name)} needs numbers or text, found {shown(str(kind))}")


def check_width(path: str, n_columns: int, place: str = "") -> None:
    """Refuse more columns than `MAX_COLUMNS`."""
    if n_columns > MAX_COLUMNS:
        raise TableError(f"{path}: {place}needs at most {MAX_COLUMNS} columns, found {n_columns}")


def as_plain(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers and booleans stay; every other type becomes trimmed text."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    kind = cells.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return cells
    return pc.utf8_trim_whitespace(cells.cast(pa.string() if not pa.types.is_large_string(kind) else kind))


def _first_bytes(path: str) -> bytes:
    try:
        if os.path.isdir(path):
            raise TableError(f"{path or '.'}: needs a CSV or Parquet file, found a folder")
        if os.path.exists(path) and not os.path.isfile(path):
            raise TableError(f"{path}: needs a regular file, found a device or pipe")
        with open(path, "rb") as file:
            return file.read(_START)
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


def _is_workbook(path: str, start: bytes) -> bool:
    """Whether a file is an Excel workbook; another archive is refused."""
    if not start.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            if "xl/workbook.xml" in archive.namelist():
                return True
    except (zipfile.BadZipFile, OSError, ValueError):
        pass
    raise TableError(
        f"{path}: needs CSV, Parquet or xlsx, found another archive or spreadsheet; export the table as CSV"
    )


def _check_is_text(path: str, start: bytes) -> None:
    if not start:
        raise TableError(f"{path}: needs a header and rows, found an empty file")
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise TableError(f"{path}: needs CSV, Parquet or xlsx, found an old Excel file; save it as xlsx")
    if start.startswith((b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", PACKED, b"PK\x03\x04", b"PAR1")):
        raise TableError(f"{path}: needs CSV, Parquet or xlsx, found a compressed file; unpack it first")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{path}: needs UTF-8 text, found UTF-16; save it as UTF-8")
    if b"\x00" in start:
        raise TableError(f"{path}: needs CSV, Parquet or xlsx, found binary data")


def _read_text(path: str, is_packed: bool) -> RawColumns:
    file = laid_out(path, is_packed=is_packed)
    records = file.records()
    line, first = next(records, (0, []))
    if not first:
        raise TableError(f"{path}: needs a header and rows, found only blank lines")
    headers = [header.strip() for header in first]
    place = f"line {line}: "
    check_width(path, len(headers), place)
    return RawColumns(
        headers,
        plain_columns(file, line, len(headers)) or _columns_of(_as_wide(path, headers, records), headers),
        place,
        lambda row: f"line {file.line_of(row)}",
        file.separator != ",",
        tuple(comment_note(file.comments)),
    )


def _as_wide(path: str, headers: list[str], records: Iterable[tuple[int, list[str]]]) -> Iterable[list[str]]:
    """The cells of each record, as many as there are headers."""
    for number, (line, cells) in enumerate(records, start=1):
        if len(cells) != len(headers):
            hint = " (decimal commas? write 1.5, not 1,5)" if len(cells) > len(headers) else ""
            raise TableError(
                f"{path}: row {number} (line {line}): needs {len(headers)} cells as in the header, found {len(cells)}{hint}"
            )
        yield cells


def _columns_of(rows: Iterable[list[str]], headers: list[str]) -> list[pa.ChunkedArray]:
    """Trimmed text by column."""
    per_chunk = max(1, _CELLS_PER_CHUNK // len(headers))
    chunks: list[list[pa.Array]] = [[] for _ in headers]
    block: list[list[str]] = []

    def flush() -> None:
        for column, cells in zip(chunks, zip(*block, strict=True), strict=False):
            column.append(pc.utf8_trim_whitespace(text_array(cells)))
        block.clear()

    for row in rows:
        block.append(row)
        if len(block) == per_chunk:
            flush()
    flush()
    return [pa.chunked_array(column, pa.string()) for column in chunks]


def _read_parquet(path: str) -> RawColumns:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            check_width(path, len(schema.names))
            check_types(path, schema)
            table = file.read()
            table.validate(full=True)
            return RawColumns(
                [name.strip() for name in table.column_names], [as_plain(column) for column in table.columns]
            )
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"{path}: needs a readable Parquet file, found: {shown(str(error), 120)}") from None
