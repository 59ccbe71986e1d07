"""Oracles for the tests of campaigns: they keep what they accepted in a folder, as a scheduler does, and misbehave when told."""

import json
from pathlib import Path
from typing import ClassVar

from lines import TRUE

from sisso_sal.errors import OracleError, UnconfirmedError
from sisso_sal.protocols import Answer, Receipt


class Cluster:
    """Accepts what it is given, whole runs of it, and answers after `delay` looks.

    Parameters
    ----------
    folder : path
        One file for each accepted intent: it outlives the driver.
    delay : callable
        Intent -> looks before it ends.
    answer : callable
        (intent, id) -> Answer.
    trouble : callable
        (what, intent) -> None; called before each ``submit``, ``query`` and ``collect``, and after each ``submit`` as
        ``accepted``; raises what is to go wrong.
    """

    poll = 0.0
    barred: ClassVar = {}

    def __init__(self, folder, delay=lambda intent: 0, answer=None, trouble=lambda what, intent: None):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.delay = delay
        self.answer = answer or (lambda intent, id: Answer(intent, value=TRUE[id], core_hours=2.0))
        self.trouble = trouble
        self.looks = {}
        self.closed = False

    def describe(self):
        return {"oracle": "cluster"}

    def differences(self, labels):
        return []

    def submit(self, request):
        self.trouble("submit", request.intent)
        path = self.folder / request.intent
        if not path.exists():
            path.write_text(json.dumps([request.id, dict(request.candidate)]))
            with (self.folder / "started").open("a") as file:
                file.write(f"{request.intent} {request.id}\n")
        self.trouble("accepted", request.intent)
        return Receipt(request.intent, f"job-{request.id}")

    def query(self, request):
        self.trouble("query", request.intent)
        return Receipt(request.intent, f"job-{request.id}") if (self.folder / request.intent).exists() else None

    def collect(self, receipts):
        self.trouble("collect", "")
        found = []
        for receipt in receipts:
            self.looks[receipt.intent] = self.looks.get(receipt.intent, 0) + 1
            if self.looks[receipt.intent] > self.delay(receipt.intent):
                id, _ = json.loads((self.folder / receipt.intent).read_text())
                found.append(self.answer(receipt.intent, id))
        return found

    def close(self):
        self.closed = True

    @property
    def started(self):
        """(intent, id) of everything that was really started, in order."""
        path = self.folder / "started"
        return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []


class Once:
    """Goes wrong the first time that something is done to an intent, or the first `times` times."""

    def __init__(self, what, error, times=1):
        self.what = what
        self.error = error
        self.times = times
        self.seen = {}

    def __call__(self, what, intent):
        if what == self.what:
            self.seen[intent] = self.seen.get(intent, 0) + 1
            if self.seen[intent] <= self.times:
                raise self.error


TIMED_OUT = UnconfirmedError("no answer within 30 s")
REFUSED = OracleError("queue limit reached")
