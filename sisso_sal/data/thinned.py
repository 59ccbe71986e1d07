"""The file of a table without some of its rows; all else in it stays as it was."""

from __future__ import annotations

import gzip
import io
from collections.abc import Set
from pathlib import Path

import numpy as np

from sisso_sal.data.columns import read_columns
from sisso_sal.data.delimited import PACKED, laid_out
from sisso_sal.data.roles import ROW_NUMBERS
from sisso_sal.data.table import Table
from sisso_sal.errors import InputError

_PARQUET = b"PAR1"
_ARCHIVE = b"PK\x03\x04"


def check_thinnable(path: Path, out: Path) -> None:
    """Refuse a table that cannot be written with fewer rows, before long work.

    Raises
    ------
    InputError
        It is a workbook, in which cells may refer to rows that go; or `out` is the table itself or has another ending.
    """
    if out.exists() and path.exists() and out.samefile(path):
        raise InputError(f"{out}: needs another file than the table itself")
    if out.suffix.lower() != path.suffix.lower():
        raise InputError(f"{out}: needs a name that ends in '{path.suffix}' as that of the table, found '{out.suffix}'")
    if path.is_file() and _start_of(path).startswith(_ARCHIVE):
        raise InputError(
            f"{path}: needs a text or Parquet file to write one with fewer rows, found a workbook; save it as CSV"
        )


def without_rows(table: Table, gone: Set[str]) -> bytes:
    """The content of the file of a table without the rows of some ids.

    Parameters
    ----------
    table : Table
        As `read_table` gave it; its file is read again.
    gone : set of str
        Ids of rows.

    Returns
    -------
    bytes
        Of a text file the other lines to the last byte: comments, header, separators, quotation marks and line ends.

    Examples
    --------
    >>> import tempfile
    >>> from sisso_sal.data.table import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "gaps.csv")
    ...     _ = path.write_text("# ours\\nformula;EN;gap (eV)\\nMgO;1.3;7.8\\nCaO;1.0;\\nBaO;0.9;4.4\\n")
    ...     without_rows(read_table(path), {"MgO"}).decode()
    '# ours\\nformula;EN;gap (eV)\\nCaO;1.0;\\nBaO;0.9;4.4\\n'
    """
    keeps = np.array([id not in gone for id in _ids_of_file(table)], dtype=bool)
    path = Path(table.path)
    if _start_of(path).startswith(_PARQUET):
        return _thinned_parquet(path, keeps)
    is_packed = _start_of(path).startswith(PACKED)
    content = gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes()
    thinned = _thinned_text(table.path, content, is_packed, keeps)
    return gzip.compress(thinned, mtime=0) if is_packed else thinned


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _ids_of_file(table: Table) -> tuple[str, ...]:
    """The id of each row of the file, of those that the table sets aside as well."""
    file = read_columns(table.path)
    if table.id_name == ROW_NUMBERS and ROW_NUMBERS not in table.headers:
        return tuple(str(row) for row in range(1, file.n_rows + 1))
    return next(column for column in file.columns if column.name == table.id_name).texts()


def _thinned_text(path: str, content: bytes, is_packed: bool, keeps: np.ndarray) -> bytes:
    """A record begins on its line and ends where the next one begins; with a row go the blank lines behind it."""
    lines = list(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""))
    starts = [line - 1 for line, _ in laid_out(path, is_packed=is_packed).records()]
    rows = zip(starts[1:], [*starts[2:], len(lines)], keeps.tolist(), strict=True)
    kept = [line for start, end, is_kept in rows if is_kept for line in lines[start:end]]
    return "".join([*lines[: starts[1]], *kept]).encode()


def _thinned_parquet(path: Path, keeps: np.ndarray) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pq.read_table(path).filter(pa.array(keeps)), out)
    return out.getvalue()
