"""Requests to the oracle and its answers: an intent is on disk before each submission, and a receipt after it.

A crash between the two leaves an intent without receipt. Before anything else is sent, the oracle is asked whether it knows this
intent.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

from sisso_sal.data.cells import LARGEST, shown
from sisso_sal.errors import OracleError, UnconfirmedError
from sisso_sal.ledger.arrays import problem_of, write_arrays
from sisso_sal.ledger.state import Case, State, fold
from sisso_sal.ledger.store import Ledger
from sisso_sal.protocols import FAILURES, Answer, Oracle, Receipt, Request, Space

Tell = Callable[[str], None]
"""Takes one line of text for people."""


class Journal:
    """A ledger and the state that follows from its events."""

    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self.state: State = fold(ledger.events())

    def write(self, *events: tuple[str, Mapping[str, Any]]) -> None:
        """Append events, all or none, and update the state."""
        if events:
            self.state = fold(self.ledger.append_all(events), self.state)


def intent_name(run_id: str, id: str, attempt: int) -> str:
    """A unique name of a submission, of letters, digits and hyphens; it contains the run, the candidate and the attempt.

    Examples
    --------
    >>> intent_name("3f9a2c11", "SrTiO3", 1)
    '3f9a2c11-SrTiO3-0752ce-1'
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "", id)[:24] or "x"
    return f"{run_id}-{readable}-{hashlib.sha256(id.encode()).hexdigest()[:6]}-{attempt}"


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
    """

    def __init__(self, oracle: Oracle, journal: Journal, space: Space, retries: int, tell: Tell):
        self.oracle = oracle
        self._journal = journal
        self._space = space
        self._numbers: dict[str, int] = {}
        self._retries = retries
        self._tell = tell
        self._told: set[str] = set()

    def reconcile(self) -> bool:
        """Ask the oracle about intents without receipt, and submit those that never arrived; True if any was resolved."""
        settled = [self._settle(case) for case in self._journal.state.of("intended")]
        return any(settled)

    def _settle(self, case: Case) -> bool:
        request = self._request(case)
        try:
            receipt = self.oracle.query(request)
        except OracleError as error:
            self._tell_once(f"{case.id}: it is not known whether {case.intent} was accepted; asking again ({error})")
            return False
        if receipt is None:
            return self._send(request)
        self._journal.write(("receipt", {"intent": case.intent, "id": case.id, "job": receipt.job}))
        return True

    def submit(self, ids: Sequence[str], iteration: int) -> None:
        """Submit candidates: first the intents of all, then one after the other."""
        run_id = (self._journal.state.created or {}).get("run_id", "run")
        intents = []
        for id in ids:
            case = self._journal.state.cases.get(id)
            attempt = 1 + (case.attempt if case else 0)
            name = intent_name(run_id, id, attempt)
            intents.append(("intent", {"intent": name, "id": id, "attempt": attempt, "iteration": iteration}))
        self._journal.write(*intents)
        for _, intent in intents:
            self._send(self._request(self._journal.state.cases[intent["id"]]))

    def _send(self, request: Request) -> bool:
        try:
            receipt = self.oracle.submit(request)
        except UnconfirmedError as error:
            self._tell_once(
                f"{request.id}: it is not known whether {request.intent} was accepted; asking again ({error})"
            )
            return False
        except OracleError as error:
            events, line = self._outcome(Answer(request.intent, kind="refused", reason=str(error)), request.id)
            self._journal.write(*events)
            self._tell(line)
            return True
        self._journal.write(("receipt", {"intent": request.intent, "id": request.id, "job": receipt.job}))
        return True

    def collect(self) -> bool:
        """Ask for answers and record them in the order of the candidates; True if there were any."""
        waiting = {case.intent: case for case in self._journal.state.of("submitted")}
        if not waiting:
            return False
        try:
            answers = self.oracle.collect([Receipt(case.intent, case.job) for case in waiting.values()])
        except OracleError as error:
            self._tell_once(f"the oracle does not answer; trying again ({error})")
            return False
        accepted = {answer.intent: answer for answer in answers if answer.intent in waiting}
        events, lines = [], []
        number_of = self._numbered()
        for answer in sorted(accepted.values(), key=lambda answer: number_of.get(waiting[answer.intent].id, -1)):
            new, line = self._outcome(checked(answer), waiting[answer.intent].id)
            events += new
            lines.append(line)
        self._journal.write(*events)
        for line in lines:
            self._tell(line)
        return bool(accepted)

    def _outcome(self, answer: Answer, id: str) -> tuple[list[tuple[str, dict[str, Any]]], str]:
        """The events of an answer, and the same as one line of text."""
        about = {"source": "oracle", "intent": answer.intent, "core_hours": answer.core_hours}
        if answer.value is not None:
            error = {} if answer.error is None else {"error": float(answer.error)}
            kept = write_arrays(
                self._journal.ledger.folder, answer.intent, answer.arrays
            )  # before the event that names them
            arrays = {"arrays": kept} if kept else {}
            label = {"id": id, "value": float(answer.value), **error, **about, **arrays}
            return [("label", label)], f"{id}: {answer.value:.6g}"
        attempt = self._journal.state.cases[id].attempt
        again = FAILURES.get(answer.kind, False) and attempt <= self._retries
        reason = " ".join(answer.reason.split())
        failure = {"id": id, "kind": answer.kind, "reason": reason, "final": not again, **about}
        retry = [("retry", {"id": id, "by": "campaign"})] if again else []
        outlook = f"trying again ({attempt} of {self._retries})" if again else "not tried again"
        return [("failure", failure), *retry], f"{id}: {answer.kind}: {reason}; {outlook}"

    def _numbered(self) -> Mapping[str, int]:
        """Numbers of the candidates by id; the space may have generated some since the last call."""
        if len(self._numbers) < len(self._space.ids):
            self._numbers = {id: number for number, id in enumerate(self._space.ids)}
        return self._numbers

    def _request(self, case: Case) -> Request:
        return Request(case.intent, case.id, self._space.candidate(self._numbered()[case.id]))

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def checked(answer: Answer) -> Answer:
    """The same answer, or a failure if its numbers cannot be a label.

    Examples
    --------
    >>> checked(Answer("a", value=float("nan"))).reason
    'needs a finite number as the label, found nan'
    """
    cost = answer.core_hours if _is_finite(answer.core_hours) and answer.core_hours >= 0 else 0.0
    if answer.value is None:
        return Answer(
            answer.intent, core_hours=cost, kind=answer.kind or "invalid", reason=answer.reason or "no reason given"
        )
    if not _is_finite(answer.value):
        problem = f"needs a finite number as the label, found {_plain(answer.value)}"
    elif answer.error is not None and not (_is_finite(answer.error) and answer.error >= 0):
        problem = f"needs a number >= 0 as the label's error, found {_plain(answer.error)}"
    else:
        problem = problem_of(answer.arrays)
    if problem:
        return Answer(answer.intent, core_hours=cost, kind="invalid", reason=problem)
    return Answer(answer.intent, answer.value, answer.error, cost, arrays=answer.arrays)


def _is_finite(value: Any) -> bool:
    """Whether an oracle's value is a number that a table could hold; an oracle of one's own may give anything."""
    return (
        isinstance(value, Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(float(value)) <= LARGEST
    )


def _plain(value: Any) -> str:
    return str(value) if isinstance(value, Real) else shown(value)
