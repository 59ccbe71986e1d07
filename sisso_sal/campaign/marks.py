"""What a reader should know of a proposal before anything is computed: elements that are hard to use, unstable structures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sisso_sal.data.headers import split_header
from sisso_sal.data.phonon_columns import instability
from sisso_sal.oxides.element_groups import groups_of
from sisso_sal.oxides.elements import element_data
from sisso_sal.protocols import Space

EXTRAPOLATING = 1 / 3
"""A prediction is marked where more than this share of the formulas extrapolates."""

FAR = 2.0
"""A prediction is marked where its distance to the labelled materials (see `Prediction`) is larger."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One kind of mark.

    Attributes
    ----------
    name : str
        Key of a proposal and header of a column, in the terminal and in ``proposals.csv``.
    words : str
        What the page says; ``{}`` stands for the text of the mark.
    explained : str
        One line below the table of the terminal.
    find : callable
        Space and numbers of materials, ndarray (k,) of int -> the texts, "" where there is no mark.
    """

    name: str
    words: str
    explained: str
    find: Callable[[Space, np.ndarray], list[str]]


def _hard_to_use(space: Space, numbers: np.ndarray) -> list[str]:
    """The elements that are radioactive, toxic or scarce; none where there are no formulas."""
    shares = space.rows(numbers).composition
    if shares is None:
        return [""] * len(numbers)
    symbols = np.array(list(element_data()))
    return [groups_of(symbols[row > 0].tolist()) for row in shares]


def _unstable(space: Space, numbers: np.ndarray) -> list[str]:
    """Imaginary modes that columns of ``estimate`` tell."""
    rows = (space.candidate(int(number)) for number in numbers)
    return [
        ", ".join(filter(None, (instability(split_header(header)[0], cell) for header, cell in row.items())))
        for row in rows
    ]


MARKS = (
    Mark(
        name="contains",
        words="contains {}",
        explained="contains: --exclude-elements leaves such candidates out; --element-groups has the lists and their sources",
        find=_hard_to_use,
    ),
    Mark(
        name="unstable",
        words="dynamically unstable ({})",
        explained="unstable: an imaginary mode of the relaxed structure, with a potential; another structure can be stable",
        find=_unstable,
    ),
)


def marked(space: Space, numbers: np.ndarray) -> list[dict[str, str]]:
    """For each material the text of every mark by its name, "" where it has none.

    Parameters
    ----------
    space : Space
    numbers : ndarray (k,) of int
    """
    texts = {mark.name: mark.find(space, numbers) for mark in MARKS}
    return [{name: found[row] for name, found in texts.items()} for row in range(len(numbers))]


def marks_of(proposal: Mapping[str, object]) -> tuple[str, ...]:
    """What the page says of a proposal; one of an earlier version of the program may lack a mark.

    Examples
    --------
    >>> marks_of({"id": "HgO", "contains": "Hg (toxic)", "unstable": ""})
    ('contains Hg (toxic)',)
    """
    return tuple(mark.words.format(text) for mark in MARKS if (text := proposal.get(mark.name)))
