"""What is known of a campaign; see `sisso_sal.ledger.fold` for how it follows from the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sisso_sal.settings import PEOPLE, is_left_to_people

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """Where one candidate stands.

    Attributes
    ----------
    id : str
    status : str
        ``labelled``; ``intended`` (about to be submitted, or not known whether it was); ``submitted``; ``again`` (to be
        submitted once more); ``failed``.
    since : str
        Time of the event that made it so.
    value, error : float or None
        Of the label and its standard deviation, in the target's unit.
    class_name : str
        Of a label that is a class; its value is then 1 where it is one of the goal's, else 0. "" of a number.
    source : str
        Where the label came from: table, person, file, folder, oracle.
    intent, job : str
        Of the newest submission.
    attempt : int
        Submissions so far.
    failures : tuple of events
    arrays : mapping
        Where the named arrays of the label are, see `sisso_sal.ledger.arrays`.
    details : mapping
        What the label rests on, see `sisso_sal.protocols.Answer`; empty where its oracle told nothing.
    core_hours : float or None
        What the label cost.
    """

    id: str
    status: str
    since: str
    value: float | None = None
    error: float | None = None
    source: str = ""
    intent: str = ""
    job: str = ""
    attempt: int = 0
    failures: tuple[Event, ...] = ()
    arrays: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    core_hours: float | None = None
    class_name: str = ""

    @property
    def label(self) -> float | str | None:
        """What was told: the name of a class, or the value."""
        return self.class_name or self.value


@dataclass(frozen=True)
class Iteration:
    """One fit and what was proposed from it; `model` is None in ledgers that were begun with schema 1."""

    number: int
    folder: str
    model: Event | None = None
    proposal: Event | None = None


@dataclass(frozen=True)
class State:
    """Everything that is known of a campaign.

    Attributes
    ----------
    n_events : int
    created, candidates : event or None
    run : mapping
        The settings of section ``run`` as they were last given.
    oracle : mapping
        What the oracle said of itself.
    cases : mapping of id to Case
        Of every candidate that has a label, was submitted or failed.
    iterations : tuple of Iteration
    asked : mapping of ids
        Candidates that were submitted, or labelled after the first fit: the evaluations.
    core_hours : float
    learned : int
        seq of the newest event that a fit or a choice depends on.
    stop : event or None
    last : event or None
        The newest event.
    levels : mapping of str to State
        Cases, evaluations and core-hours of each lower level of theory, by its name.
    filled : mapping of str to mapping of str to float
        Cells of columns with gaps that came into the table after the start: header -> id -> value.
    extra : mapping
        What rooms keep that have registered kinds of events, each under a name of its own.
    """

    n_events: int = 0
    created: Event | None = None
    candidates: Event | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    oracle: Mapping[str, Any] = field(default_factory=dict)
    cases: Mapping[str, Case] = field(default_factory=dict)
    iterations: tuple[Iteration, ...] = ()
    asked: Mapping[str, None] = field(default_factory=dict)
    core_hours: float = 0.0
    learned: int = 0
    stop: Event | None = None
    last: Event | None = None
    levels: Mapping[str, State] = field(default_factory=dict)
    filled: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def at(self, level: str) -> State:
        """What is known at a lower level of theory; for "" the same."""
        return self.levels.get(level, State()) if level else self

    def of(self, *statuses: str) -> list[Case]:
        """The cases of these statuses, in the order in which they came up."""
        return [case for case in self.cases.values() if case.status in statuses]

    @property
    def labels(self) -> dict[str, float]:
        """Known labels by id, in the target's unit."""
        return {case.id: case.value for case in self.of("labelled") if case.value is not None}

    @property
    def told(self) -> dict[str, float] | dict[str, str]:
        """The same as people know them: of classes their names."""
        named = {case.id: case.class_name for case in self.of("labelled") if case.class_name}
        return named or self.labels

    @property
    def errors(self) -> dict[str, float]:
        """Standard deviations of labels by id, where they were given."""
        return {case.id: case.error for case in self.of("labelled") if case.error is not None}

    @property
    def pending(self) -> list[Case]:
        """Candidates that a label is expected for."""
        return self.of("intended", "submitted", "again")

    @property
    def failed(self) -> list[Case]:
        """Candidates whose calculation failed for good."""
        return self.of("failed")

    @property
    def proposal(self) -> Event | None:
        """The newest proposal."""
        return self.iterations[-1].proposal if self.iterations else None

    @property
    def has_oracle(self) -> bool:
        """Whether an oracle labels, and not people."""
        return not is_left_to_people(self.run.get("oracle", PEOPLE))

    @property
    def is_current(self) -> bool:
        """Whether nothing was learned since the newest proposal."""
        learned = max([self.learned, *(one.learned for one in self.levels.values())])
        return self.proposal is not None and self.proposal["seq"] > learned
