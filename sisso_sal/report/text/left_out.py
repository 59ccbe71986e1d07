"""What was left out of a table, and how the table was read, in short lines."""

from __future__ import annotations

from collections.abc import Sequence

from sisso_sal.data.cells import shown
from sisso_sal.data.left_out import LeftOut
from sisso_sal.data.table import Table

N_NAMES, N_REASONS = 8, 6
"""Names shown for each reason, and reasons; the JSON document and the report have all."""


def remarks_text(table: Table) -> list[str]:
    """The notes on a table: how it was read, columns that are no features, and rows that are set aside.

    Examples
    --------
    >>> import numpy as np
    >>> table = Table(
    ...     path="t.csv", ids=("MgO",), id_name="id", feature_names=("a",), feature_units=("",), features=np.ones((1, 1)),
    ...     target_name=None, target_unit="", target=None, text={}, headers={},
    ...     left_out=(LeftOut("column", "P (GPa)", "constant"), LeftOut("row", "CaO", "gap in 'a'")),
    ... )
    >>> print("\\n".join(remarks_text(table)))
    1 column is not used as a feature: 'P (GPa)' (constant)
    1 of 2 rows is set aside: 'CaO' (gap in 'a'); to keep rows, leave out columns with --drop
    """
    columns = [one for one in table.left_out if one.kind == "column"]
    rows = [one for one in table.left_out if one.kind == "row"]
    lines = list(table.notes)
    if columns:
        many = f"{len(columns)} columns are" if len(columns) > 1 else "1 column is"
        lines.append(f"{many} not used as a feature: {by_reason(columns)}")
    if rows:
        are = "are" if len(rows) > 1 else "is"
        lines.append(
            f"{len(rows)} of {table.n_rows + len(rows)} rows {are} set aside: {by_reason(rows)}; to keep rows, leave out columns "
            "with --drop"
        )
    return lines


def by_reason(left_out: Sequence[LeftOut]) -> str:
    """Names with each reason behind them, the first few of each.

    Examples
    --------
    >>> by_reason([LeftOut("column", name, "text") for name in ("cls", "phase")] + [LeftOut("column", "P", "constant")])
    "'cls', 'phase' (text); 'P' (constant)"
    """
    names: dict[str, list[str]] = {}
    for one in left_out:
        names.setdefault(one.reason, []).append(shown(one.name))
    parts = []
    for reason, group in list(names.items())[:N_REASONS]:
        more = f" and {len(group) - N_NAMES} more" if len(group) > N_NAMES else ""
        parts.append(f"{', '.join(group[:N_NAMES])}{more} ({reason})")
    n_others = sum(map(len, list(names.values())[N_REASONS:]))
    return "; ".join([*parts, f"and {n_others} more" if n_others else ""]).removesuffix("; ")
