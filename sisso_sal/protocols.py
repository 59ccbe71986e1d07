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
    correlation : callable, optional
        Numbers of k candidates -> correlation (k, k) of what is not known of them: does a surprise at one tell of another?
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
    correlation: Callable[[np.ndarray], np.ndarray] | None = None

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
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "correlation"}
        kept: dict[str, Any] = {name: None if part is None else part[..., index] for name, part in parts.items()}
        link, n = self.correlation, len(self.mean)
        return Prediction(**kept, correlation=None if link is None else lambda rows: link(np.arange(n)[index][rows]))


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

    # A surrogate that knows the spread of those predictions has it as `oob_std_` (n_labelled,), in the target's unit.
    # Labels with error bars come as a third argument, `sample_weight` (n_labelled,), to surrogates that take it.

    def predict_distribution(self, X: Any, composition: np.ndarray | None = None) -> Prediction: ...

    def describe(self, X: Any, target: str, target_unit: str = "") -> dict[str, Any]: ...

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]: ...


Acquisition = Callable[..., np.ndarray]
"""(mean, std, ...) -> score of each candidate; greater is better."""


FAILURES: Mapping[str, bool] = {
    "refused": True,
    "crashed": True,
    "memory": True,
    "walltime": True,
    "lost": True,
    "not_converged": False,
    "invalid": False,
    "no_label": False,
    "calculation": False,
    "competitor": False,
    "person": False,
}
"""Kinds of failure, and whether the same calculation may do better next time.

refused: the submission was turned down; crashed: the worker died; memory, walltime: it ran out of them; lost: nothing is known of
it any more; not_converged: it ended without an answer; invalid: the answer is none (cut, NaN, of another material);
no_label: the source does not have it; calculation: a first-principles step failed after all its own tries; competitor: so did one
of a phase beside the candidate, without which the label is unknown; person: somebody said so.
"""


@dataclass(frozen=True)
class Request:
    """A label that is asked for.

    Attributes
    ----------
    intent : str
        Unique name of this submission: letters, digits and hyphens. It is on disk before the oracle hears of it, and whatever the
        oracle starts carries it.
    id : str
        The candidate.
    candidate : mapping of str to number or text
        Its row of the table under the original headers, without the target.
    """

    intent: str
    id: str
    candidate: Mapping[str, Any]


@dataclass(frozen=True)
class Receipt:
    """That a request was accepted, and the oracle's own name for the job."""

    intent: str
    job: str


@dataclass(frozen=True)
class Answer:
    """What came back: a label, or a typed failure.

    Attributes
    ----------
    intent : str
    value : float or None
        The label in the target's unit; None for a failure.
    error : float or None
        Its standard deviation in the target's unit, where it is known.
    core_hours : float
        What it cost, failures too.
    kind, reason : str
        Of a failure: one of `FAILURES`, and what a person needs to know, in one line.
    """

    intent: str
    value: float | None = None
    error: float | None = None
    core_hours: float = 0.0
    kind: str = ""
    reason: str = ""


@runtime_checkable
class Oracle(Protocol):
    """What labels: takes requests and gives answers later, over many lives of the process that asks.

    Everything is keyed by the intent. Of two submissions of one intent the second does nothing; an answer is given again for as
    long as it is asked for. A new attempt at a candidate is a new intent.
    """

    poll: float
    """Longest sensible time between two looks, in seconds."""

    barred: Mapping[str, str]
    """Candidates that it can never label, and why: they are not proposed."""

    def describe(self) -> dict[str, Any]:
        """What it is, as plain data for the ledger."""
        ...

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        """What it would now say otherwise of labels (id: value) that it gave, one line each; a campaign is then not continued."""
        ...

    def submit(self, request: Request) -> Receipt:
        """Accept a request.

        Raises
        ------
        UnconfirmedError
            Whether it was accepted is not known.
        OracleError
            It was not, and nothing was started.
        """
        ...

    def query(self, request: Request) -> Receipt | None:
        """The receipt of a request that may have been submitted before; None if it never arrived.

        Raises
        ------
        OracleError
            That cannot be found out now.
        """
        ...

    def collect(self, receipts: Sequence[Receipt]) -> Sequence[Answer]:
        """Answers to those of the accepted requests that have ended; in no particular order.

        Raises
        ------
        OracleError
            Nothing can be found out now.
        """
        ...

    def close(self) -> None:
        """Called when the driver goes; what was submitted goes on."""
        ...
