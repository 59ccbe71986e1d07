"""A table of cells for a terminal or a log file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sisso_sal.system.printable import printable


def aligned(
    rows: Sequence[Sequence[str]], numeric: Iterable[int] = (), width: int | None = None, spare: Sequence[int] = ()
) -> str:
    """Rows of cells as a table; the first row is the header, `numeric` columns are set flush right.

    Where the table is wider than `width`, the columns in `spare` are left out one after the other until it fits, and named in a
    last line; what is too wide even then is cut. Line ends and escapes in
    cells are written as escapes.

    Examples
    --------
    >>> print(aligned([["id", "mean"], ["MgO", "0.8"]], numeric=[1]))
    id   mean
    MgO   0.8
    >>> print(aligned([["id", "mean", "std"], ["MgO", "0.8", "0.1"]], numeric=[1, 2], width=10, spare=[2]))
    id   mean
    MgO   0.8
    columns left out to fit the width: std
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    right = set(numeric)
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    kept, gone = list(range(len(widths))), []
    for j in spare if width is not None else ():
        if width is None or sum(widths[k] + 2 for k in kept) - 2 <= width:
            break
        kept.remove(j)
        gone.append(rows[0][j])
    lines = []
    for row in rows:
        cells = [row[j].rjust(widths[j]) if j in right else row[j].ljust(widths[j]) for j in kept]
        line = "  ".join(cells).rstrip()
        lines.append(line if width is None or len(line) <= width else line[: width - 1] + "…")
    note = [f"columns left out to fit the width: {', '.join(dict.fromkeys(gone))}"] if gone else []
    return "\n".join([*lines, *note])
