"""The four seams of a campaign: what can be chosen, what predicts, what scores, what labels.

The loop knows these and no implementation. The table, the SISSO ensemble, expected improvement and FHI-aims are the first of each.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

Progress = Callable[[int, int], None]
"""Is called with (done, total) while something takes long."""


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


@dataclass(frozen=True)
class Quantity:
    """A primary feature or a target: its name, its unit ("" where there is none), and both as the header of a column."""

    name: str
    unit: str = ""
    header: str = ""


@dataclass(frozen=True, eq=False)
class Rows:
    """Some candidates of a space, as arrays.

    Attributes
    ----------
    features : mapping of str to ndarray (n,)
        Primary features by name, in the units of the space.
    matrix : ndarray (n, n_primary)
        The same side by side, in the order of the space.
    composition : ndarray (n, n_elements), optional
        Share of each element, where the candidates have formulas.
    """

    features: Mapping[str, np.ndarray]
    matrix: np.ndarray
    composition: np.ndarray | None = None


@runtime_checkable
class Space(Protocol):
    """What can be chosen: candidates with stable ids, and what is known of them.

    Candidates are numbered from 0 in the order of `ids`. Values are asked for by number, in blocks where there are many, so that a
    space need not hold them in memory.
    """

    @property
    def name(self) -> str:
        """Where it comes from, for messages."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """Unique names of all n candidates."""
        ...

    @property
    def features(self) -> Sequence[Quantity]:
        """The primary features."""
        ...

    @property
    def target(self) -> Quantity | None:
        """What is predicted; None if nothing was named."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """ndarray (n,): the labels that came with the space, in the target's unit; NaN where there is none."""
        ...

    @property
    def errors(self) -> np.ndarray:
        """ndarray (n,): standard deviations of these labels, in the target's unit; 0 where there is none."""
        ...

    @property
    def groups(self) -> np.ndarray:
        """ndarray (n,) of int: candidates with the same number are one material, of the same composition."""
        ...

    @property
    def settings(self) -> Mapping[str, str | None]:
        """The settings that the space fixes, such as ``target`` and ``id``: a campaign is continued with the same ones."""
        ...

    def rows(self, numbers: np.ndarray | None = None) -> Rows:
        """The candidates of these numbers; by default all."""
        ...

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """The numbers of all candidates in order, at most `size` at a time."""
        ...

    def candidate(self, number: int) -> Mapping[str, Any]:
        """What an oracle is told of a candidate, under the original headers; the target is left out."""
        ...

    def describe(self) -> dict[str, Any]:
        """What it is, as plain data for the ledger: ``table`` (its name), ``digest``, ``n_rows``, ``n_features``."""
        ...

    def snapshot(self) -> bytes:
        """Its content for the run folder: a Parquet table with the ids and, under its header, each primary feature."""
        ...

    def differences(
        self,
        snapshot: Path,
        settings: Mapping[str, str | None],
        known: Mapping[str, float],
        came_later: Container[str],
    ) -> list[str]:
        """What differs from an earlier snapshot of a run, one line each; a gap that got a label is no difference.

        Parameters
        ----------
        snapshot : path
            The file in the run folder.
        settings : mapping
            The settings that the space fixed then.
        known : mapping of str to float
            Labels that the ledger has, by id.
        came_later : container of str
            Ids whose labels were not in the first table.
        """
        ...


@runtime_checkable
class Surrogate(Protocol):
    """What predicts: fitted on labelled candidates of a space, it gives a `Prediction` for any others.

    What else a surrogate can tell is optional (`Described`, `Documented`, `HasOutOfBag`); reports skip what is absent.
    """

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Surrogate:
        """Learn from labels.

        Parameters
        ----------
        space : Space
        rows : ndarray (n_labelled,) of int
            Numbers of the labelled candidates.
        labels, errors : ndarray (n_labelled,)
            Labels and their standard deviations, in the target's unit; 0 where a label has no error.
        progress : callable, optional

        Returns
        -------
        Surrogate
            Itself.

        Raises
        ------
        FitError
            Nothing can be learned from these labels.
        """
        ...

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """The prediction for the candidates of these numbers: ndarray of int."""
        ...


def one_label(settings: Any) -> tuple[int, str]:
    """Of a surrogate that can be fitted on a single label."""
    return 1, ""


@dataclass(frozen=True)
class SurrogateKind:
    """A kind of surrogate, as the registry and the entry points of ``sisso_sal.surrogates`` have it.

    Attributes
    ----------
    name : str
        What ``--surrogate`` takes.
    summary : str
        A few words for the help.
    make : callable
        (settings of the campaign, seed, threads or None) -> an unfitted surrogate.
    fewest_labels : callable
        (settings) -> labels that it needs before it can be fitted, and why, as in ``(5, " for dim 3")``.
    sections : tuple of str
        Sections of the settings that it uses (``model``, ``ensemble``); whoever sets another one is told that it has no effect.
    """

    name: str
    summary: str
    make: Callable[[Any, int, int | None], Surrogate]
    fewest_labels: Callable[[Any], tuple[int, str]] = one_label
    sections: tuple[str, ...] = ()


@runtime_checkable
class Described(Protocol):
    """A surrogate that tells of its fit, as plain data for terminal and page.

    Keys that reports know: n_members, rung, dim, choices, correction, sigma, calibration, formula_calibration, typical, recurrence,
    n_features, rejected. None of them has to be there.
    """

    def describe(self, space: Space) -> dict[str, Any]: ...


@runtime_checkable
class Documented(Protocol):
    """A surrogate that can be kept in a model file: its content as plain data."""

    def document(self, space: Space) -> dict[str, Any]: ...


@runtime_checkable
class HasOutOfBag(Protocol):
    """A surrogate that predicts the labels it learned from, each by what did not see it."""

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and raw standard deviation, ndarray (n_labelled,) each, in the target's unit; NaN where there is none."""
        ...


class Chooser(Protocol):
    """Chooses the candidates of a batch one by one: each choice changes the scores of the others."""

    def scores(self) -> np.ndarray:
        """ndarray (n,): score of each candidate after the choices so far; NaN and minus infinity are never chosen."""
        ...

    def choose(self, row: int) -> None:
        """Count the candidate of this number among the chosen."""
        ...


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
        Parts of a `Prediction` that it uses: ``distribution`` (mean and standard deviation), ``members``, ``correlation``. Empty
        where it needs no surrogate. Members that are used must be there; without a correlation candidates count as independent.
    share : float, optional
        Share of all materials, the best ones, that stands for a goal without a bound; None where no bound is needed.
    needs_direction : bool
        Whether it cannot look for a window, only for small or for large values.
    chooser : callable, optional
        Scene -> `Chooser`, where candidates are chosen one by one; by default the best scores are taken.
    explain : callable, optional
        Number of evaluations that follow the batch -> sentences on the score, where `meaning` does not say enough.
    """

    name: str
    score: Callable[[Any], np.ndarray]
    summary: str
    meaning: str
    has_unit: bool = False
    uses: frozenset[str] = frozenset({"distribution"})
    share: float | None = None
    needs_direction: bool = False
    chooser: Callable[[Any], Chooser] | None = None
    explain: Callable[[int], str] | None = None

    def explained(self, n_later: int, unit: str = "") -> str:
        """What the score is, as it stands under a table of proposals.

        Parameters
        ----------
        n_later : int
            Evaluations that follow the batch.
        unit : str
            Of the target.

        Examples
        --------
        >>> Acquisition("gap", lambda scene: scene.mean, "wide gaps", "the predicted gap", has_unit=True).explained(0, "eV")
        'the predicted gap, in eV'
        """
        if self.explain is not None:
            return self.explain(n_later)
        if not self.has_unit:
            return f"{self.meaning}, no unit"
        return f"{self.meaning}, in {unit}" if unit else self.meaning


class Maximiser(Protocol):
    """A space that finds the candidates with the best scores by itself, because it has no list of all of them.

    A continuous space is one, and so is one that generates structures. A candidate has a number, which it keeps: what the space
    generates is added behind what it has.
    """

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
    arrays : mapping of str to ndarray
        Arrays that come with the label, such as ``forces`` (n_atoms, 3), in eV/Å: finite numbers under names of letters, digits
        and underscores. They are kept beside the ledger, see `sisso_sal.ledger.arrays`.
    kind, reason : str
        Of a failure: one of `FAILURES`, and what a person needs to know, in one line.
    """

    intent: str
    value: float | None = None
    error: float | None = None
    core_hours: float = 0.0
    kind: str = ""
    reason: str = ""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)


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
