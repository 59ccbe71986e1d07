"""Ids in CSV files as a spreadsheet shows them: as text, and never as a formula.

A spreadsheet computes what begins with ``=``, ``+``, ``-`` or ``@``, also in a file that came from somebody else. Such an id is
written with an apostrophe before it, and an apostrophe there is taken away when a table is read.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_COMPUTED = re.compile(r"'*[=+\-@\t\r]")
_MARKED = re.compile(r"'+[=+\-@\t\r]")


def cell_of(id: str) -> str:
    """What is written for an id.

    Examples
    --------
    >>> [cell_of(id) for id in ("MgO", "=1+1", "'=1+1", "'x")]
    ['MgO', "'=1+1", "''=1+1", "'x"]
    """
    return f"'{id}" if _COMPUTED.match(id) else id


def id_of(cell: str) -> str:
    """The id that was written as a cell.

    Examples
    --------
    >>> [id_of(cell_of(id)) for id in ("MgO", "=1+1", "'=1+1", "'x")]
    ['MgO', '=1+1', "'=1+1", "'x"]
    """
    return cell[1:] if _MARKED.match(cell) else cell


def csv_of(frame: pd.DataFrame, ids: Sequence[str] = ("id",)) -> str:
    """A table as CSV, without its index.

    Parameters
    ----------
    frame : DataFrame
    ids : sequence of str
        Columns of ids or other text. Numbers stand in the others, and are written as they are.

    Examples
    --------
    >>> import pandas as pd
    >>> print(csv_of(pd.DataFrame({"id": ["@a"], "mean": [-1.5]})), end="")
    id,mean
    '@a,-1.5
    """
    texts = {str(name): [cell_of(str(id)) for id in frame[name].to_numpy(dtype=object)] for name in ids}
    columns = [texts[str(name)] if str(name) in texts else _cells(column) for name, column in frame.items()]
    out = io.StringIO()
    rows = csv.writer(out, lineterminator=os.linesep)
    rows.writerow(frame.columns)
    rows.writerows(zip(*columns, strict=True))
    return out.getvalue()


def _cells(column: pd.Series) -> list[str]:
    """Numbers with all their digits, and whatever else there is as text; "" where there is nothing."""
    if column.dtype != "float64":
        cells = zip(column.to_numpy(dtype=object), column.isna(), strict=True)
        return ["" if is_missing else str(value) for value, is_missing in cells]
    known = column.dropna()
    texts = [""] * len(column)
    for row, value in zip(np.flatnonzero(column.notna()).tolist(), known.tolist(), strict=True):
        texts[row] = repr(value)
    return texts
