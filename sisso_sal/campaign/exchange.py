"""Requests to the oracle and its answers: an intent is on disk before each submission, and a receipt after it.

A crash between the two leaves an intent without receipt. Before anything else is sent, the oracle is asked whether it knows this
intent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sisso_sal.acquisition.goal import Goal
from sisso_sal.campaign.answers import checked_answers, job_of
from sisso_sal.campaign.stopping import UNUSABLE
from sisso_sal.errors import CampaignError, OracleError, TakenError, UnconfirmedError
from sisso_sal.ledger.arrays import write_arrays
from sisso_sal.ledger.fold import check, fold
from sisso_sal.ledger.state import Case, State
from sisso_sal.ledger.store import Ledger
from sisso_sal.protocols import FAILURES, Answer, Oracle, Receipt, Request, Space
from sisso_sal.system.documents import one_line, shown

Tell = Callable[[str], None]
"""Takes one line of text for people."""


class Journal:
    """A ledger and the state that follows from its events."""

    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self.state: State = fold(ledger.events())
        self._owners: dict[str, tuple[str, int]] = {}
        self._halt = 0
        self._remember(ledger.events())

    def write(self, *events: tuple[str, Mapping[str, Any]]) -> None:
        """Append events, all or none, and update the state.

        Raises
        ------
        CampaignError
            An event could not be read back; nothing was written.
        """
        for kind, data in events:
            check({"event": kind, **json.loads(json.dumps(dict(data)))})
        if events:
            written = self.ledger.append_all(events)
            self.state = fold(written, self.state)
            self._remember(written)

    def owner(self, intent: str) -> str | None:
        """The candidate that an intent was first written for; None for a new one."""
        return self._owners[intent][0] if intent in self._owners else None

    def was_before_halt(self, intent: str) -> bool:
        """Whether an intent was written before the campaign stopped because no answer could be used."""
        return self._owners.get(intent, ("", self._halt))[1] < self._halt

    def _remember(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            if event["event"] == "intent":
                self._owners.setdefault(event["intent"], (event["id"], event["seq"]))
            elif event["event"] == "stop" and event["kind"] == UNUSABLE:
                self._halt = event["seq"]


def intent_name(run_id: str, id: str, attempt: int) -> str:
    """A unique name of a submission, of letters, digits and hyphens: the run, the start of the id, its digest and the attempt.

    The digest has 128 bits: two ids never have one name, however much they look alike.

    Examples
    --------
    >>> intent_name("3f9a2c11", "SrTiO3", 1)
    '3f9a2c11-SrTiO3-0752ce0935d17939d873a748465035b4-1'
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "", id)[:24] or "x"
    return f"{run_id}-{readable}-{hashlib.sha256(id.encode()).hexdigest()[:32]}-{attempt}"


def value_of(label: float | str, goal: Goal | None) -> dict[str, Any]:
    """A label as an event has it: a number, or the name of a class and what that is for the goal.

    Examples
    --------
    >>> value_of(0.5, None), value_of("ilmenite", Goal.parse("=perovskite"))
    ({'value': 0.5}, {'value': 0.0, 'class': 'ilmenite'})
    """
    if goal is None or not isinstance(label, str):
        return {"value": float(label)}
    return {"value": goal.label_of(label), "class": label}


def _caution(details: Mapping[str, Any]) -> str:
    """What has to be told with a label at once: that its calculations differ in their settings."""
    differing = details.get("differences") or ()
    return f"; its calculations differ: {'; '.join(differing)}" if differing else ""


class Exchange:
    """Submits candidates to an oracle and records its answers.

    Parameters
    ----------
    oracle : Oracle
    journal : Journal
    space : Space
    retries : int
        Times that a failed calculation is tried again, if its kind of failure allows it.
    tell : callable
    level : str
        The lower level of theory that it is for; "" for the one that counts.
    goal : Goal, optional
        Of a campaign over classes: labels are names of classes then.
    """

    def __init__(
        self,
        oracle: Oracle,
        journal: Journal,
        space: Space,
        retries: int,
        tell: Tell,
        level: str = "",
        goal: Goal | None = None,
    ):
        self.oracle = oracle
        self._goal = goal if goal is not None and goal.classes else None
        self.level = level
        self._journal = journal
        self._space = space
        self._numbers: dict[str, int] = {}
        self._retries = retries
        self._tell = tell
        self._told: set[str] = set()

    @property
    def state(self) -> State:
        """What is known at this level."""
        return self._journal.state.at(self.level)

    def _write(self, *events: tuple[str, Mapping[str, Any]]) -> None:
        of = {"level": self.level} if self.level else {}
        self._journal.write(*((kind, {**data, **of}) for kind, data in events))

    def _named(self, id: str) -> str:
        """The candidate, for people."""
        return f"{id} ({self.level})" if self.level else id

    def reconcile(self) -> bool:
        """Ask the oracle about intents without receipt, and submit those that never arrived; True if any was resolved."""
        settled = [self._settle(case) for case in self.state.of("intended")]
        return any(settled)

    def _settle(self, case: Case) -> bool:
        if self._fail_taken([case]):
            return True
        request = self._request(case)
        try:
            receipt = self.oracle.query(request)
        except TakenError as error:
            return self._refuse(request, error)
        except OracleError as error:
            self._tell_once(f"{case.id}: it is not known whether {case.intent} was accepted; asking again ({error})")
            return False
        return self._send(request) if receipt is None else self._accept(request, receipt)

    def submit(self, ids: Sequence[str], iteration: int) -> None:
        """Submit candidates: first the intents of all, then one after the other.

        Raises
        ------
        CampaignError
            An intent belongs to another candidate already; nothing is submitted.
        """
        run_id = (self._journal.state.created or {}).get("run_id", "run")
        run_id = f"{run_id}-{self.level}" if self.level else run_id
        intents: dict[str, dict[str, Any]] = {}
        for id in ids:
            case = self.state.cases.get(id)
            attempt = 1 + (case.attempt if case else 0)
            name = intent_name(run_id, id, attempt)
            owner = intents[name]["id"] if name in intents else self._journal.owner(name)
            if owner is not None:
                raise CampaignError(
                    f"{self._journal.ledger.folder}: needs an intent of its own for {shown(id)}, found {name} of "
                    f"{shown(owner)}; nothing is submitted"
                )
            intents[name] = {"intent": name, "id": id, "attempt": attempt, "iteration": iteration}
        self._write(*(("intent", intent) for intent in intents.values()))
        for intent in intents.values():
            self._send(self._request(self.state.cases[intent["id"]]))

    def _send(self, request: Request) -> bool:
        try:
            receipt = self.oracle.submit(request)
        except UnconfirmedError as error:
            self._tell_once(
                f"{request.id}: it is not known whether {request.intent} was accepted; asking again ({error})"
            )
            return False
        except OracleError as error:
            return self._refuse(request, error)
        return self._accept(request, receipt)

    def _refuse(self, request: Request, error: OracleError) -> bool:
        return self._record([(Answer(request.intent, kind="refused", reason=one_line(str(error))), request.id)])

    def _accept(self, request: Request, receipt: Receipt) -> bool:
        try:
            job = job_of(receipt, request)
        except OracleError as error:
            return self._record([(Answer(request.intent, kind="invalid", reason=str(error)), request.id)])
        self._write(("receipt", {"intent": request.intent, "id": request.id, "job": job}))
        return True

    def _fail_taken(self, cases: Sequence[Case]) -> list[Case]:
        """Fail the cases whose intent was written for another candidate first: no answer to it is theirs."""
        taken = [case for case in cases if self._journal.owner(case.intent) not in (None, case.id)]
        reasons = [f"its intent {case.intent} belongs to {shown(self._journal.owner(case.intent))}" for case in taken]
        self._record(
            [
                (Answer(case.intent, kind="invalid", reason=reason), case.id)
                for case, reason in zip(taken, reasons, strict=True)
            ]
        )
        return taken

    def collect(self) -> bool:
        """Ask for answers and record them in the order of the candidates; True if there were any."""
        has_failed = bool(self._fail_taken(self.state.of("submitted")))
        waiting = {case.intent: case for case in self.state.of("submitted")}
        if not waiting:
            return has_failed
        try:
            answers = self.oracle.collect([Receipt(case.intent, case.job, case.id) for case in waiting.values()])
            accepted = checked_answers(answers, waiting, self._tell_once, of_classes=self._goal is not None)
        except OracleError as error:
            self._tell_once(f"the oracle does not answer; trying again ({error})")
            return has_failed
        number_of = self._numbered()
        pairs = [(answer, waiting[answer.intent].id) for answer in accepted]
        return self._record(sorted(pairs, key=lambda pair: number_of.get(pair[1], -1))) or has_failed

    def _record(self, answers: Sequence[tuple[Answer, str]]) -> bool:
        """Write answers to candidates in one transaction, and tell them."""
        events, lines = [], []
        for answer, id in answers:
            new, line = self._outcome(answer, id)
            events += new
            lines.append(line)
        self._write(*events)
        for line in lines:
            self._tell(line)
        return bool(answers)

    def _outcome(self, answer: Answer, id: str) -> tuple[list[tuple[str, dict[str, Any]]], str]:
        """The events of an answer, and the same as one line of text."""
        about = {"source": "oracle", "intent": answer.intent, "core_hours": answer.core_hours}
        if answer.value is not None:
            error = {} if answer.error is None else {"error": float(answer.error)}
            kept = write_arrays(
                self._journal.ledger.folder, answer.intent, answer.arrays
            )  # before the event that names them
            arrays = {"arrays": kept} if kept else {}
            details = {"details": dict(answer.details)} if answer.details else {}
            label = {"id": id, **value_of(answer.value, self._goal), **error, **about, **arrays, **details}
            told = answer.value if isinstance(answer.value, str) else f"{answer.value:.6g}"
            return [("label", label)], f"{self._named(id)}: {told}{_caution(answer.details)}"
        case = self.state.cases[id]
        attempt = case.attempt - sum(failure["kind"] == "invalid" for failure in case.failures)
        is_old = answer.kind == "invalid" and self._journal.was_before_halt(answer.intent)
        again = is_old or (FAILURES[answer.kind] and attempt <= self._retries)
        reason = answer.reason
        failure = {"id": id, "kind": answer.kind, "reason": reason, "final": not again, **about}
        retry = [("retry", {"id": id, "by": "campaign"})] if again else []
        outlook = f"trying again ({attempt} of {self._retries})" if again else "not tried again"
        outlook = "trying again, as it was submitted before the campaign stopped" if is_old else outlook
        return [("failure", failure), *retry], f"{self._named(id)}: {answer.kind}: {reason}; {outlook}"

    def _numbered(self) -> Mapping[str, int]:
        """Numbers of the candidates by id; the space may have generated some since the last call."""
        if len(self._numbers) < len(self._space.ids):
            self._numbers = {id: number for number, id in enumerate(self._space.ids)}
        return self._numbers

    def _request(self, case: Case) -> Request:
        number = self._numbered().get(case.id)
        if number is None:
            raise CampaignError(f"ledger: {case.intent}: needs a candidate of this run, found {shown(case.id)}")
        return Request(case.intent, case.id, self._space.candidate(number))

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)
