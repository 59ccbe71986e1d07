"""Candidates that are not proposed because of the elements that they contain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from sisso_sal.oxides.element_groups import unwanted
from sisso_sal.protocols import Space
from sisso_sal.settings.campaign import RunSettings


@dataclass(frozen=True)
class Exclusion:
    """What the settings ``exclude_elements`` and ``only_elements`` leave out.

    Attributes
    ----------
    ids : frozenset of str
        Materials with an element that is not wanted; those with a label are learned from all the same.
    counts : dict of str to int
        Element -> candidates without a label that contain it and are left out, most first.
    n : int
        Candidates without a label that are left out.
    """

    ids: frozenset[str]
    counts: dict[str, int]
    n: int

    def document(self) -> dict[str, object]:
        """For a summary."""
        return {"n": self.n, "elements": self.counts}


def excluded(space: Space, run: RunSettings, is_open: np.ndarray) -> Exclusion:
    """The materials of a space that contain an element that is not wanted.

    Parameters
    ----------
    space : Space
    run : RunSettings
        Its ``exclude_elements`` and ``only_elements``.
    is_open : ndarray (n,) of bool
        Candidates without a label: those that are counted.

    Raises
    ------
    SettingsError
        A name is neither an element nor a group, or the space has no formulas.
    """
    if not run.exclude_elements and not run.only_elements:
        return Exclusion(frozenset(), {}, 0)
    held = unwanted(space.rows().composition, run.exclude_elements, run.only_elements, space.name)
    counts = Counter(symbol for row, symbols in held.items() if is_open[row] for symbol in symbols)
    ids = space.ids
    return Exclusion(
        frozenset(ids[row] for row in held), dict(counts.most_common()), sum(bool(is_open[row]) for row in held)
    )
