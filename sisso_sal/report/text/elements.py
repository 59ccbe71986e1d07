"""Groups of elements, and what was left out because of its elements, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.oxides.element_groups import element_groups


def groups_text() -> str:
    """What ``--element-groups`` prints: each group, its elements with their reasons, and the sources."""
    parts = []
    for group in element_groups().values():
        lines = [f"{group.name}: {group.means} ({group.note})"]
        if any(group.reasons.values()):
            lines += [f"  {symbol:2}  {reason}" for symbol, reason in group.reasons.items()]
        else:
            lines.append(f"  {', '.join(group.reasons)}")
        lines += [f"  source: {source}" for source in group.sources]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def excluded_text(excluded: Mapping[str, Any]) -> str:
    """How many candidates were left out for which elements; "" where none was. Takes ``excluded`` of a summary.

    Examples
    --------
    >>> excluded_text({"n": 3, "elements": {"U": 2, "Hg": 1}})
    '3 candidates left out for their elements: U (2), Hg (1)'
    """
    if not excluded["n"]:
        return ""
    counts = ", ".join(f"{symbol} ({n})" for symbol, n in excluded["elements"].items())
    return f"{excluded['n']} candidate{'s' if excluded['n'] > 1 else ''} left out for their elements: {counts}"
