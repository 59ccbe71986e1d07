"""The columns of a table: headers split from units, cells told apart into numbers and text.

This module reads and classifies; it gives no column a role. A column that is neither clean numbers nor plain text is
not refused here but carries its first bad cell, because only the caller knows whether the column is used at all.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sisso_sal.data.cells import NUMBER, Cells, classified, shown
from sisso_sal.data.formats import RawColumns, as_plain, check_types, check_width, read_cells
from sisso_sal.data.headers import split_header
from sisso_sal.data.spreadsheet import id_of
from sisso_sal.errors import TableError

if TYPE_CHECKING:
    import pandas as pd

INDEX_HEADER = "Unnamed: 0"
"""Header of a first column that has none, as pandas calls it."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column as it stands in the file.

    Attributes
    ----------
    header, name, unit : str
        The header as written, the part before its unit, and the text of the unit ("" if there is none).
    read : Cells
        Its cells, and the numbers among them.
    """

    header: str
    name: str
    unit: str
    read: Cells

    @property
    def values(self) -> np.ndarray | None:
        """ndarray (n_rows,) of float64, NaN for an empty cell; None where the column holds no numbers, or is spoilt."""
        return self.read.values

    @property
    def is_text(self) -> bool:
        """Whether the column holds text and no number."""
        return self.read.values is None and self.read.bad is None

    @property
    def gaps(self) -> np.ndarray:
        """ndarray (n_rows,) of bool: empty cells of a column of numbers."""
        return np.zeros(len(self.read.cells), dtype=bool) if self.read.values is None else np.isnan(self.read.values)

    @property
    def is_index(self) -> bool:
        """Whether the column numbers the rows, as data frames are written: whole numbers that differ, without own header."""
        values = self.read.values
        if values is None or self.read.bad is not None or not re.fullmatch(r"Unnamed: \d+(\.\d+)*", self.header):
            return False
        return bool(
            (values == np.floor(values)).all() and (values >= 0).all() and len(np.unique(values)) == len(values)
        )

    def texts(self) -> tuple[str, ...]:
        """Every cell as text, "" where it is empty; without the apostrophe that keeps a spreadsheet from computing it."""
        return tuple(id_of(text) if text[:1] == "'" else text for text in self.read.texts())


@dataclass(frozen=True, eq=False)
class ColumnFile:
    """All columns of one file, and the way back from a row to its place in the file.

    Attributes
    ----------
    path : str
    columns : tuple of Column
    n_rows : int
    notes : tuple of str
        What a person should know of how the file was read.
    place_of : callable or None
        See `RawColumns`.
    """

    path: str
    columns: tuple[Column, ...]
    n_rows: int
    notes: tuple[str, ...] = ()
    place_of: Callable[[int], str] | None = None

    def place(self, row: int, column: Column | None = None) -> str:
        """Where a 0-based row (and a column) stand: ``file.csv: row 17 (line 18), column 'EA (eV)'``."""
        where = f" ({self.place_of(row)})" if self.place_of else ""
        return f"{self.path}: row {row + 1}{where}" + (f", column {shown(column.header)}" if column else "")


def read_columns(path: str | os.PathLike[str]) -> ColumnFile:
    """Read a table: text, Parquet or a workbook, told apart by content.

    Parameters
    ----------
    path : path of the file
        Text is UTF-8 (a byte-order mark is fine), its columns separated by commas, semicolons or tabs, perhaps packed by gzip; of
        a workbook (xlsx) the first sheet is read. Comment lines above the header are skipped. Where commas do not separate the
        columns, numbers may have decimal commas.

    Raises
    ------
    TableError
        When the file cannot be read as a rectangle of named columns with at least one row.
    """
    path = os.fspath(path)
    return _column_file(path, read_cells(path))


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
        is_unnamed_number = frame.index.name is None and pd.api.types.is_integer_dtype(frame.index)
        frame = frame.reset_index(
            names=[INDEX_HEADER] if is_unnamed_number and INDEX_HEADER not in frame.columns else None
        )
    headers = [str(header).strip() for header in frame.columns]
    if len(set(headers)) < len(headers):  # which Arrow does not take
        _check_headers(name, dict(enumerate(headers, start=1)), "")
    try:
        table = pa.Table.from_pandas(frame.set_axis(headers, axis=1), preserve_index=False)
    except pa.ArrowException as error:
        raise TableError(f"{name}: needs columns of numbers or text, found: {shown(str(error), 120)}") from None
    check_types(name, table.schema)
    return _column_file(name, RawColumns(headers, [as_plain(column) for column in table.columns]))


def _column_file(path: str, raw: RawColumns) -> ColumnFile:
    check_width(path, len(raw.headers), raw.header_place)
    kept, notes = _with_headers(raw)
    _check_headers(path, {number: header for number, (header, _) in kept.items()}, raw.header_place)
    headers, cells = [header for header, _ in kept.values()], [column for _, column in kept.values()]
    if not cells or len(cells[0]) == 0:
        raise TableError(f"{path}: needs at least one row below the header, found none")
    read, converted = classified(cells, commas=raw.may_have_commas)
    if converted:
        notes.append(f"decimal commas are read in: {_few([headers[number] for number in converted])}")
    columns = [Column(header, *split_header(header), one) for header, one in zip(headers, read, strict=True)]
    return ColumnFile(path, tuple(columns), len(cells[0]), (*raw.notes, *notes), raw.place_of)


def _with_headers(raw: RawColumns) -> tuple[dict[int, tuple[str, pa.ChunkedArray]], list[str]]:
    """Header and cells by the number of the column, and notes.

    A first column without a header gets that of an index. A column with neither a header nor a value is left out.
    """
    kept, dropped = {}, []
    for number, (header, column) in enumerate(zip(raw.headers, raw.cells, strict=True), start=1):
        if not header and len(column) and all(cell in ("", None) for cell in column.unique().to_pylist()):
            dropped.append(str(number))
        elif not header and number == 1 and INDEX_HEADER not in raw.headers:
            kept[number] = INDEX_HEADER, column
        else:
            kept[number] = header, column
    return kept, [f"columns with neither a header nor a value are left out: {_few(dropped)}"] if dropped else []


def _few(names: Sequence[str], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _check_headers(path: str, headers: Mapping[int, str], where: str) -> None:
    """Refuse headers, by the number of the column, that are empty, repeated or alike once the unit is off."""
    if headers and all(re.fullmatch(NUMBER, header) for header in headers.values()):
        raise TableError(
            f"{path}: {where}needs column names, found only numbers, {shown(next(iter(headers.values())))} first"
        )
    seen: dict[str, tuple[int, str]] = {}
    for number, header in headers.items():
        if not header:
            raise TableError(f"{path}: {where}column {number} needs a header, found an empty one")
        name = split_header(header)[0]
        if name in seen:
            first, other = seen[name]
            raise TableError(
                f"{path}: {where}column names must differ, found {shown(name)} "
                f"in column {first} ({shown(other)}) and column {number} ({shown(header)})"
            )
        seen[name] = (number, header)
