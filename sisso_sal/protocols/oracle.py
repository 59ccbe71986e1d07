"""What labels: the seam Oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

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

refused: the submission was refused; crashed: the process or its worker ended without a result; memory, walltime: more memory or
time was needed than allowed; lost: the calculation cannot be found any more; not_converged: it ended without converging;
invalid: the answer cannot be a label (incomplete, NaN, of another material); no_label: the source has no label for the candidate;
calculation: a first-principles step failed in all its attempts; competitor: the same for a competing phase, without which the label
is unknown; person: a person reported the failure.
"""


class KnownLabel(NamedTuple):
    """A label that was there before a campaign asked for it.

    - value: in the target's unit
    - source: where labels of its kind come from, for the ledger
    - place: which calculation it is from
    """

    value: float
    source: str
    place: str


@dataclass(frozen=True)
class Request:
    """A label that is asked for.

    Attributes
    ----------
    intent : str
        Unique name of this submission: at most 160 letters, digits and hyphens, no two of which differ only in case. It is on disk
        before the oracle hears of it, and whatever the oracle starts carries it.
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
    """That a request was accepted.

    Attributes
    ----------
    intent : str
    job : str
        The oracle's own name for it, at most 2000 characters.
    id : str
        The candidate. The campaign fills it in when it asks for answers: an oracle that keeps a folder, a file or a job by the name
        of the intent compares it with the candidate for which that was made.
    """

    intent: str
    job: str
    id: str = ""


@dataclass(frozen=True)
class Answer:
    """What came back: a label, or a typed failure.

    Attributes
    ----------
    intent : str
    value : float, str or None
        The label in the target's unit, or the name of a class where a campaign looks for classes; None for a failure.
    error : float or None
        Its standard deviation in the target's unit, where it is known.
    core_hours : float
        What it cost, failures too.
    arrays : mapping of str to ndarray
        Arrays that come with the label, such as ``forces`` (n_atoms, 3), in eV/Å: finite numbers under names of letters, digits
        and underscores. They are kept beside the ledger, see `sisso_sal.ledger.arrays`.
    details : mapping
        What people may want to know of the label, as plain data under these keys, of which each may be missing: ``structure`` and
        ``magnetic_order`` (of the candidate), ``coverage`` (one line: what converged of what is known), ``differences`` (lines:
        settings in which its calculations differ), ``vibrations`` (free energies of solids that are part of it, by formula, in
        eV/atom), ``phases`` (a row for each, see `sisso_sal.ledger.events.PhaseData`). They are kept in the ledger.
    kind, reason : str
        Of a failure: one of `FAILURES`, and what a person needs to know, in one line of at most 2000 characters.
    """

    intent: str
    value: float | str | None = None
    error: float | None = None
    core_hours: float = 0.0
    kind: str = ""
    reason: str = ""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)


@runtime_checkable
class Oracle(Protocol):
    """What labels: takes requests and gives answers later, over many lives of the process that asks.

    Everything is keyed by the intent. Of two submissions of one intent the second does nothing; an answer is given again for as
    long as it is asked for. A new attempt at a candidate is a new intent.

    An oracle that keeps anything by the name of an intent must keep the candidate's id with it, and compare the id in `submit`,
    `query` and `collect`. Something that was made for another candidate is a `TakenError` in the first two, and an ``invalid``
    answer in the last.
    """

    poll: float
    """Longest sensible time between two looks, in seconds."""

    barred: Mapping[str, str]
    """Candidates that it can never label, and why: they are not proposed."""

    def describe(self) -> dict[str, Any]:
        """What it is, as plain data for the ledger."""
        ...

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        """What it would now say otherwise of labels (id: value) that it gave, one line each; a campaign is then not continued.

        Where a campaign looks for classes, the values are their names.
        """
        ...

    def submit(self, request: Request) -> Receipt:
        """Accept a request.

        Raises
        ------
        UnconfirmedError
            Whether it was accepted is not known.
        TakenError
            The intent belongs to another candidate.
        OracleError
            It was not, and nothing was started.
        """
        ...

    def query(self, request: Request) -> Receipt | None:
        """The receipt of a request that may have been submitted before; None if it never arrived.

        Raises
        ------
        TakenError
            The intent belongs to another candidate.
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
