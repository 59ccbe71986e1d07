"""Why each candidate was proposed, in lines for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from sisso_sal.system.printable import printable


def why_lines(proposals: Sequence[Mapping[str, Any]], width: int | None = None) -> list[str]:
    """A line for each proposal that says why it was chosen, below a heading; none where nothing is said.

    Parameters
    ----------
    proposals : sequence of mapping
        ``id``, ``why``, ``rank``, and ``place`` where it is not the number of the row. Runs of earlier versions
        say nothing.
    width : int, optional
        Columns of the terminal; lines that are longer are continued in the next one.

    Examples
    --------
    >>> rows = [{"id": "MgO", "why": "likely a hit (77 %)", "rank": 1}, {"id": "CaO", "why": "likely a hit (70 %)", "rank": 3}]
    >>> print("\\n".join(why_lines(rows)))
    Why these:
     1  MgO: likely a hit (77 %)
     2  CaO: likely a hit (70 %); place 3 by the score alone
    """
    said = [(number, row) for number, row in enumerate(proposals, 1) if row.get("why")]
    lines = []
    for number, row in said:
        place = row.get("place", number)
        is_moved = row.get("rank") not in {None, place} and not row.get("level")
        elsewhere = f"; place {row['rank']} by the score alone" if is_moved else ""
        line = f"{place:2d}  {printable(row['id'])}: {printable(row['why'])}{elsewhere}"
        lines += (
            [line] if width is None else textwrap.wrap(line, width, subsequent_indent="    ", break_on_hyphens=False)
        )
    return ["Why these:", *lines] if lines else []
