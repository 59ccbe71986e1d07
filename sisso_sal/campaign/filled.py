"""Cells of columns with gaps that came into the table of a run after it began: knowledge, like a label, that costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sisso_sal.data.headers import split_header
from sisso_sal.ledger.state import State
from sisso_sal.protocols import HasPartial, Space
from sisso_sal.spaces.snapshot import CANDIDATES, read_snapshot


@dataclass(frozen=True)
class Begun:
    """A space beside what a run knows of it.

    Attributes
    ----------
    space : Space
        As the run began with it: without the cells that were filled in since.
    new : dict
        Header -> id -> value of cells that the ledger does not have.
    changes : list of str
        One line for each cell that the ledger has with another value.
    """

    space: Space
    new: dict[str, dict[str, float]] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """One for each column with new cells."""
        return [("filled", {"column": header, "values": values}) for header, values in self.new.items()]


def as_begun(run: Path, state: State, space: Space) -> Begun:
    """The space as a run began with it, and the cells that were filled in since."""
    if not isinstance(space, HasPartial):
        return Begun(space)
    earlier, filled = space.as_begun(run / CANDIDATES)
    new, changes = {}, []
    for header, values in filled.items():
        known = state.filled.get(header, {})
        if added := {id: value for id, value in values.items() if id not in known}:
            new[header] = added
        changes += [
            f"row '{id}', column '{header}': {known[id]} -> {value}"
            for id, value in values.items()
            if known.get(id, value) != value
        ]
    return Begun(earlier, new, changes)


def values_of_table(run: Path, state: State) -> dict[str, dict[str, float]]:
    """What the table of a run says at lower levels: name of the level -> id -> value.

    Raises
    ------
    CampaignError
        The copy of the candidates cannot be read.
    """
    settings = (state.created or {"settings": {}})["settings"]
    lower = settings.get("level", ())[:-1]
    if not lower:
        return {}
    frame = read_snapshot(run / CANDIDATES, settings.get("id"))
    headers = {split_header(header)[0]: header for header in frame.columns}
    known = {}
    for level in lower:
        header = headers.get(split_header(level["column"])[0])
        if header is not None:
            known[level["name"]] = frame[header].dropna().to_dict() | dict(state.filled.get(header, {}))
    return known
