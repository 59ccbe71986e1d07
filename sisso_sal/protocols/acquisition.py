"""What scores: the seam Acquisition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Acquisition:
    """How candidates are scored, and the words in which people are told of it.

    Attributes
    ----------
    name : str
        As in the settings.
    score : callable
        `sisso_sal.acquisition.scene.Scene` -> score of each candidate, ndarray (n,). Greater is better; NaN and minus infinity
        are never chosen.
    summary : str
        What it is good for, in one line.
    meaning : str
        What the score is, as a phrase that completes "candidates are ranked by".
    has_unit : bool
        Whether the score is in the target's unit; otherwise it has no unit.
    uses : frozenset of str
        Parts of a `Prediction` that it uses: ``distribution`` (mean and standard deviation), ``members``. Empty where it needs no
        surrogate. Members that are used must be there.
    share : float, optional
        Share of all materials, the best ones, that stands for a goal without a bound; None where no bound is needed.
    needs_direction : bool
        Whether it cannot look for a window, only for small or for large values.
    of_classes : str
        What the score is in a campaign over classes, as `meaning`; "" where it means nothing there and is refused.
    """

    name: str
    score: Callable[[Any], np.ndarray]
    summary: str
    meaning: str
    has_unit: bool = False
    uses: frozenset[str] = frozenset({"distribution"})
    share: float | None = None
    needs_direction: bool = False
    of_classes: str = ""

    def explained(self, unit: str = "", classes: bool = False) -> str:
        """What the score is, as it stands under a table of proposals; `unit` is that of the target, `classes` whether it has some.

        Examples
        --------
        >>> Acquisition("gap", lambda scene: scene.mean, "wide gaps", "the predicted gap", has_unit=True).explained("eV")
        'the predicted gap, in eV'
        """
        if classes and self.of_classes:
            return self.of_classes
        return f"{self.meaning}, in {unit}" if self.has_unit and unit else self.meaning


@runtime_checkable
class Maximiser(Protocol):
    """A space that finds the candidates with the best scores by itself, because it has no list of all of them.

    A continuous space is one, and so is one that generates structures. A candidate has a number and an id, which it keeps: what the
    space generates is added to its `ids`, behind what is there.
    """

    def recall(self, ids: Sequence[str]) -> None:
        """Add candidates that an earlier process generated, where they are not there; an id says what the candidate is."""
        ...

    def maximise(
        self, score: Callable[[np.ndarray], np.ndarray], n: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Candidates with the best scores.

        Parameters
        ----------
        score : callable
            Primary features (m, n_primary) -> scores (m,). Greater is better; NaN and minus infinity are never chosen. The score
            of a candidate is the same in every call and depends on its features alone.
        n : int
            Largest number of candidates.
        rng : numpy Generator

        Returns
        -------
        numbers : ndarray (k,) of int
            At most n, best first. The space decides which candidates count as different.
        features : ndarray (k, n_primary)
            Their primary features.
        """
        ...
