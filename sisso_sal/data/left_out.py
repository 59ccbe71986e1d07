"""What of a table is not used, and why: one record for each column and each row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class LeftOut:
    """A column that is neither id nor target nor feature, or a row that is neither labelled material nor candidate.

    Attributes
    ----------
    kind : str
        "column" or "row".
    name : str
        The header of the column, or the id of the row.
    reason : str
        In a few words; equal for all that are left out for the same cause.
    """

    kind: Literal["column", "row"]
    name: str
    reason: str


def as_documents(left_out: Iterable[LeftOut], notes: Iterable[str]) -> dict[str, Any]:
    """The part of a JSON document that says how a table was read: ``left_out``, ``set_aside`` and ``table_notes``.

    Examples
    --------
    >>> as_documents([LeftOut("column", "cls", "text"), LeftOut("row", "MgO", "gap in 'EA'")], ())
    {'left_out': [{'column': 'cls', 'reason': 'text'}], 'set_aside': [{'id': 'MgO', 'reason': "gap in 'EA'"}], 'table_notes': []}
    """
    left_out = tuple(left_out)
    return {
        "left_out": [{"column": one.name, "reason": one.reason} for one in left_out if one.kind == "column"],
        "set_aside": [{"id": one.name, "reason": one.reason} for one in left_out if one.kind == "row"],
        "table_notes": list(notes),
    }
