"""Large text files without quotation marks: Arrow reads them all at once, to the same cells as the careful way."""

# pyarrow.compute makes its functions at import, out of a type checker's sight.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import csv
import mmap
import os
import re

import pyarrow as pa
import pyarrow.compute as pc

from sisso_sal.data.delimited import TextFile

SMALLEST = 2**20
"""Bytes from which on this pays."""

_BLOCK = 2**22


def plain_columns(file: TextFile, n_above: int, n_columns: int) -> list[pa.ChunkedArray] | None:
    """Trimmed text by column; None where the file has to be read record by record, as for what is wrong with it.

    Without quotation marks a record is a line and a separator always separates. A line of another number of cells, text that is not
    UTF-8 or a cell that the careful way refuses as too long is left to that way, which knows the words.

    Parameters
    ----------
    file : TextFile
    n_above : int
        Lines up to the header and with it.
    n_columns : int
        Cells of the header.

    Returns
    -------
    list of pyarrow.ChunkedArray (n_rows,), or None
    """
    if file.is_packed or n_columns < 2 or os.path.getsize(file.path) < SMALLEST or not _is_plain(file.path):
        return None
    from pyarrow import csv as arrow_csv

    names = [str(number) for number in range(n_columns)]
    try:
        table = arrow_csv.read_csv(
            file.path,
            arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK, skip_rows=n_above, column_names=names),
            arrow_csv.ParseOptions(delimiter=file.separator, quote_char=False, double_quote=False),
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:
        return None
    columns = table.columns
    del table
    longest = csv.field_size_limit()
    for number in range(n_columns):
        if (pc.max(pc.binary_length(columns[number])).as_py() or 0) > longest:
            return None
        columns[number] = pc.utf8_trim_whitespace(columns[number])
    return columns


def _is_plain(path: str) -> bool:
    """Whether lines end at line feeds alone (after a carriage return or none) and nothing is in quotation marks."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b'"') >= 0 or content.find(b"\0") >= 0:
            return False
        return content.find(b"\r") < 0 or re.search(rb"\r(?!\n)", content) is None
