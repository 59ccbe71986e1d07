"""The four seams of a campaign: what can be chosen, what predicts, what scores, what labels.

The loop knows these and no implementation. The table, the SISSO ensemble, expected improvement and FHI-aims are the first of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a surrogate says of candidates.

    Attributes
    ----------
    mean : ndarray (n_candidates,)
        In the target's unit; NaN where too few members are valid.
    std : ndarray (n_candidates,)
        The standard deviation to act on (recalibrated where the surrogate recalibrates), in the target's unit.
    std_raw : ndarray (n_candidates,)
        Spread of the members as it is, in the target's unit.
    members : ndarray (n_members, n_candidates)
        Every member's prediction, invalid ones included as they came out.
    valid : ndarray (n_members, n_candidates) of bool
        False where a member left its domain.
    half95 : ndarray (n_candidates,), optional
        Half the width of the 95 % interval around the mean, in the target's unit; by default that of a Gaussian.
    formula : ndarray (n_candidates,), optional
        Mean of the formulas alone, where `mean` has a correction on top.
    outside : ndarray (n_candidates,), optional
        Share of members that extrapolate: a descriptor lies outside its training range.
    distance : ndarray (n_candidates,), optional
        Distance to the nearest labelled material in standardised primary features, in units of the median distance between a
        labelled material and the labelled one nearest to it.
    """

    mean: np.ndarray
    std: np.ndarray
    std_raw: np.ndarray
    members: np.ndarray
    valid: np.ndarray
    half95: np.ndarray | None = None
    formula: np.ndarray | None = None
    outside: np.ndarray | None = None
    distance: np.ndarray | None = None

    @property
    def n_valid(self) -> np.ndarray:
        """ndarray (n_candidates,) of int: members that are valid for each candidate."""
        return self.valid.sum(axis=0)

    @property
    def interval95(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the 95 % interval, (n_candidates,) each, in the target's unit."""
        half = 1.959963984540054 * self.std if self.half95 is None else self.half95
        return self.mean - half, self.mean + half

    def take(self, index: np.ndarray) -> Prediction:
        """The same for some candidates."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        kept: dict[str, Any] = {name: None if part is None else part[..., index] for name, part in parts.items()}
        return Prediction(**kept)


@runtime_checkable
class Space(Protocol):
    """What can be chosen: candidates with stable ids."""

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def features(self) -> np.ndarray: ...


@runtime_checkable
class Surrogate(Protocol):
    """What predicts: fitted on labelled candidates, it gives a `Prediction` for any.

    X is a DataFrame with units in its headers for `fit`, and a mapping from primary feature to values afterwards; the composition,
    where there are formulas, is the share of each element (n, n_elements).
    """

    oob_mean_: np.ndarray
    """ndarray (n_labelled,): predictions of labelled candidates by members that did not see them; NaN where there are none."""

    def fit(
        self,
        X: Any,
        y: np.ndarray,
        *,
        composition: np.ndarray | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Surrogate: ...

    def predict_distribution(self, X: Any, composition: np.ndarray | None = None) -> Prediction: ...

    def describe(self, X: Any, target: str, target_unit: str = "") -> dict[str, Any]: ...

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]: ...


Acquisition = Callable[..., np.ndarray]
"""(mean, std, ...) -> score of each candidate; greater is better."""


@dataclass(frozen=True)
class Submission:
    """A calculation that was asked for: the candidate's id and the oracle's own name for the job."""

    id: str
    job: str


@dataclass(frozen=True)
class Answer:
    """What came back: a label, or the reason why there is none."""

    id: str
    value: float | None
    reason: str = ""


@runtime_checkable
class Oracle(Protocol):
    """What labels: takes candidates, gives answers later. Both calls are idempotent by id."""

    def submit(self, ids: Sequence[str], candidates: Mapping[str, Mapping[str, Any]]) -> Sequence[Submission]: ...

    def collect(self) -> Sequence[Answer]: ...
