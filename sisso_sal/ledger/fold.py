"""The state of a campaign: a fold over its events, and nothing else.

    state = fold(ledger.events())
    state = fold(new_events, state)

What each kind of event carries beside seq and time is said where the kind is registered, at the end of this file. Another room
adds a kind of its own with `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import CampaignError, DocumentError
from sisso_sal.ledger import events as data
from sisso_sal.ledger.state import Case, Event, Iteration, State
from sisso_sal.system.documents import record_of, shown

if TYPE_CHECKING:
    from pydantic import BaseModel


class Draft:
    """A state while events are folded into it: the attributes are those of `State`, the containers are its own.

    A fold function replaces the values in `extra`, and never changes them in place: earlier states share them.
    """

    def __init__(self, state: State):
        self.n_events = state.n_events
        self.created = state.created
        self.candidates = state.candidates
        self.run = state.run
        self.oracle = state.oracle
        self.cases = dict(state.cases)
        self.iterations = state.iterations
        self.asked = dict(state.asked)
        self.core_hours = state.core_hours
        self.learned = state.learned
        self.stop = state.stop
        self.last = state.last
        self.levels = dict(state.levels)
        self.filled = dict(state.filled)
        self.extra = dict(state.extra)

    def apply(self, kind: EventKind, event: Event) -> None:
        """Fold an event into this, or into the level of theory that it is of."""
        level = event.get("level")
        if level is None:
            kind.fold(self, event)
            return
        inner = Draft(self.levels.get(level, State()))
        inner.iterations = self.iterations
        kind.fold(inner, event)
        inner.iterations = ()
        self.levels[level] = State(**vars(inner))

    def put(self, event: Event, status: str, **changes: Any) -> None:
        """Give the event's candidate a status, and change what else is known of it."""
        id, since = event["id"], event["time"]
        before = self.cases.get(id)
        after = (
            Case(id, status, since, **changes)
            if before is None
            else replace(before, status=status, since=since, **changes)
        )
        self.cases[id] = after

    def learn(self, event: Event) -> None:
        """Note that a fit or a choice depends on the event: the newest proposal is then no longer current."""
        self.learned = event["seq"]

    def pay(self, event: Event) -> None:
        """Add the core-hours of the event."""
        self.core_hours += event.get("core_hours") or 0.0


@dataclass(frozen=True)
class EventKind:
    """A kind of event.

    Attributes
    ----------
    fold : callable
        Changes a `Draft` by an event. A key that it needs and that the event lacks is a `KeyError`.
    carries : str
        What an event of this kind carries beside seq and time, for people.
    data : type of pydantic model, optional
        What must hold of these for `fold` to be called.
    """

    fold: Callable[[Draft, Event], None]
    carries: str
    data: type[BaseModel] | None = None


_KINDS: dict[str, EventKind] = {}


def register(
    kind: str, fold: Callable[[Draft, Event], None], carries: str, data: type[BaseModel] | None = None
) -> None:
    """Add a kind of event.

    Parameters
    ----------
    kind : str
    fold : callable
    carries : str
    data : type of pydantic model, optional
        See `EventKind`.

    Raises
    ------
    CampaignError
        The kind is registered already.

    Examples
    --------
    >>> register("label", lambda draft, event: None, "id")
    Traceback (most recent call last):
    ...
    sisso_sal.errors.CampaignError: ledger: needs a new kind of event, found 'label', which is registered already
    """
    if kind in _KINDS:
        raise CampaignError(f"ledger: needs a new kind of event, found '{kind}', which is registered already")
    _KINDS[kind] = EventKind(fold, carries, data)


def kinds() -> Mapping[str, EventKind]:
    """Every kind of event that is registered, by name.

    Examples
    --------
    >>> kinds()["receipt"].carries
    'intent, id, job: the oracle accepted the request'
    """
    return dict(_KINDS)


def fold(events: Iterable[Event], state: State | None = None) -> State:
    """The state after some events.

    Parameters
    ----------
    events : iterable of mappings
        In order, as `Ledger.events` gives them.
    state : State, optional
        What was known before; it is left as it is.

    Raises
    ------
    CampaignError
        An event is of a kind that is not registered, lacks something, or carries what it cannot.

    Examples
    --------
    >>> event = {"seq": 1, "time": "", "event": "label", "id": "MgO", "value": 0.8, "source": "table"}
    >>> fold([event]).labels
    {'MgO': 0.8}
    """
    draft = Draft(state or State())
    for event in events:
        kind = check(event, f"ledger: event {event.get('seq')}")
        try:
            draft.apply(kind, event)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            fault = f"no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
            raise CampaignError(
                f"ledger: event {event.get('seq')}: {event['event']} needs {kind.carries}; found {fault}"
            ) from error
        draft.last = event
        draft.n_events = event["seq"]
    return State(**vars(draft))


def check(event: Event, place: str = "ledger") -> EventKind:
    """The kind of an event whose data fits.

    Parameters
    ----------
    event : mapping
        ``{"event": kind, ...data}``, as it is read from the ledger.
    place : str
        Where it is, for messages.

    Raises
    ------
    CampaignError
        The kind is not registered, or the data does not fit.

    Examples
    --------
    >>> check({"event": "label", "id": "MgO", "value": "abc"})
    Traceback (most recent call last):
        ...
    sisso_sal.errors.CampaignError: ledger: label: value: needs a valid number, found 'abc'
    """
    name = event["event"]
    kind = _KINDS.get(name)
    if kind is None:
        raise CampaignError(
            f"{place}: needs a kind of {', '.join(_KINDS)}, found {shown(name)}; a newer version of sisso-sal or a plug-in may "
            "know it"
        )
    if kind.data is not None:
        try:
            record_of(kind.data, dict(event))
        except DocumentError as error:
            problem = str(error)
            what = f" needs {kind.carries}; found {problem}" if problem.startswith("no key") else f": {problem}"
            raise CampaignError(f"{place}: {name}{what}") from error
    return kind


def _created(draft: Draft, event: Event) -> None:
    """A run that learned nothing yet may start anew."""
    anew = State(created=event, run=event["settings"].get("run", {}), oracle=event.get("oracle") or {})
    draft.__dict__.update(vars(Draft(anew)))
    draft.learn(event)


def _candidates(draft: Draft, event: Event) -> None:
    draft.candidates = event


def _settings(draft: Draft, event: Event) -> None:
    if any(event["run"].get(name) != draft.run.get(name) for name in ("exclude_elements", "only_elements")):
        draft.learn(event)  # the newest proposal was made among other candidates
    has_levels = draft.created is not None and draft.created["settings"].get("level")
    if has_levels and event["run"].get("budget") != draft.run.get("budget"):
        draft.learn(event)  # the newest proposal was made for what could be paid then
    draft.run, draft.oracle = event["run"], event["oracle"]


def _label(draft: Draft, event: Event) -> None:
    draft.put(
        event, "labelled", value=event["value"], error=event.get("error"), source=event.get("source", ""),
        arrays=event.get("arrays", {}), details=event.get("details") or {}, core_hours=event.get("core_hours"),
        class_name=event.get("class") or "",
    )  # fmt: skip
    if draft.iterations:
        draft.asked[event["id"]] = None
    draft.pay(event)
    draft.learn(event)


def _filled(draft: Draft, event: Event) -> None:
    draft.filled[event["column"]] = {**draft.filled.get(event["column"], {}), **event["values"]}
    draft.learn(event)


def _model(draft: Draft, event: Event) -> None:
    draft.iterations += (Iteration(event["iteration"], event["folder"], model=event),)


def _remade(draft: Draft, event: Event) -> None:
    """The files of an iteration were made again and differ, as those of another version do: these count from now on."""
    draft.iterations = tuple(
        replace(it, model={**it.model, "files": event["files"]}) if it.model and it.number == event["iteration"] else it
        for it in draft.iterations
    )


def _proposal(draft: Draft, event: Event) -> None:
    last = draft.iterations[-1] if draft.iterations else None
    if last is None or last.proposal is not None:
        draft.iterations += (Iteration(event["iteration"], event["folder"], proposal=event),)
    else:
        draft.iterations = (*draft.iterations[:-1], replace(last, proposal=event))


def _intent(draft: Draft, event: Event) -> None:
    draft.put(event, "intended", intent=event["intent"], attempt=event["attempt"], job="")
    draft.asked[event["id"]] = None


def _receipt(draft: Draft, event: Event) -> None:
    draft.put(event, "submitted", job=event["job"])


def _failure(draft: Draft, event: Event) -> None:
    failures = draft.cases[event["id"]].failures if event["id"] in draft.cases else ()
    draft.put(event, "failed", failures=(*failures, event))
    draft.asked[event["id"]] = None
    draft.pay(event)
    if event["final"]:
        draft.learn(event)


def _retry(draft: Draft, event: Event) -> None:
    draft.put(event, "again")
    if event["by"] == "person":
        draft.learn(event)


def _stop(draft: Draft, event: Event) -> None:
    draft.stop = event


def _resumed(draft: Draft, event: Event) -> None:
    draft.stop = None


register("created", _created, "settings, run_id, table, digest (of the table), versions, oracle", data.CreatedData)
register("candidates", _candidates, "n_rows, n_features, sha256 (of candidates.parquet)", data.CandidatesData)
register(
    "settings", _settings, "run (the settings that may change during a campaign), changes, oracle", data.ChangedData
)
register(
    "label",
    _label,
    "id, value, source; of a class its name (value is 1 where the goal has it, else 0); where known error (standard deviation), "
    "and of a calculation intent, core_hours and arrays (name: file, sha256, shape, dtype)",
    data.LabelData,
)
register(
    "filled", _filled, "column, values (id: value): cells that were gaps of the table at the start", data.FilledData
)
register(
    "model",
    _model,
    "iteration, folder, files (name: sha256), seed, n_labelled, best, calibration, versions, seconds, handover",
    data.ModelData,
)
register("remade", _remade, "iteration, files (name: sha256), versions: they differ from those before", data.RemadeData)
register(
    "proposal",
    _proposal,
    "iteration, folder, seed, proposals; model (seq of the event), batch, gain",
    data.ProposalData,
)
register("intent", _intent, "intent, id, attempt, iteration: this will be submitted", data.IntentData)
register("receipt", _receipt, "intent, id, job: the oracle accepted the request", data.ReceiptData)
register(
    "failure",
    _failure,
    "id, kind, reason, final (False where it is tried again), source; of a calculation intent and core_hours",
    data.FailureData,
)
register("retry", _retry, "id, by", data.RetryData)
register("stop", _stop, "kind, why, by", data.StopData)
register("resumed", _resumed, "nothing", data.ResumedData)
