"""Makers of jobflow whose jobs jobflow-remote runs: submitted now, collected later, by the database of its project.

Its jobs carry the intent, the candidate, what was asked and the reference to their output in their metadata. So the database says
what was submitted, also to another process on another machine. A flow that is there for the same question is taken up: it is not
submitted again. (jobflow-remote, https://matgenix.github.io/jobflow-remote: `submit_flow`, `JobController`.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sisso_sal.errors import DocumentError, InputError, OracleError, StorageError, TakenError, UnconfirmedError
from sisso_sal.oracle.engines.jobflow_maker import jobflow_of, made_by, output_of, resolved
from sisso_sal.oracle.jobflow_outputs import MakerQuestion
from sisso_sal.protocols import Answer, Receipt, Request
from sisso_sal.system.documents import one_line, read_json, record_of, shown
from sisso_sal.system.storage import write_whole, writing

__all__ = ["RemoteOracle"]

_INTENT, _ID, _KEY, _OUTPUT = "sisso_sal_intent", "sisso_sal_id", "sisso_sal_key", "sisso_sal_output"
_FAILED = ("FAILED", "REMOTE_ERROR", "STOPPED", "USER_STOPPED")
_DONE = "COMPLETED"


class _Flow(BaseModel):
    """What is kept of a submission here.

    Attributes
    ----------
    intent, id : str
    flow : str
        The intent under which its jobs are in the database: its own, or that of an earlier one with the same question.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    intent: str
    id: str
    flow: str


class RemoteOracle:
    """Submits a flow for each candidate to jobflow-remote, and looks for its output.

    Parameters
    ----------
    question : MakerQuestion
    folder : path
        Of what is kept of the submissions.
    barred : mapping of str to str
    """

    poll = 30.0

    def __init__(self, question: MakerQuestion, folder: Path, barred: Mapping[str, str]):
        self.barred = barred
        self._question = question
        self._folder = folder
        self._opened: Any = None

    def describe(self) -> dict[str, Any]:
        return self._question.describe()

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        return self._question.differences(labels)

    def submit(self, request: Request) -> Receipt:
        receipt = self.query(request)
        if receipt is not None:
            return receipt
        try:
            asked = self._question.about(request.id)
        except InputError as error:
            raise OracleError(str(error)) from error
        same = _usable(self._jobs({_KEY: asked.key}))
        self._keep(_Flow(intent=request.intent, id=request.id, flow=same or request.intent))
        if same is None:
            try:
                made = made_by(asked.maker, asked.settings, self._question.structure(request.id))
            except InputError as error:
                raise OracleError(str(error)) from error
            self._send(made, {_INTENT: request.intent, _ID: request.id, _KEY: asked.key})
        return Receipt(request.intent, same or request.intent)

    def query(self, request: Request) -> Receipt | None:
        kept = self._kept(request.intent)
        if kept is None:
            return None
        if kept.id != request.id:
            raise TakenError(f"the intent {request.intent} was made for {shown(kept.id)}, not for {shown(request.id)}")
        return Receipt(request.intent, kept.flow) if self._jobs({_INTENT: kept.flow}) else None

    def collect(self, receipts: Sequence[Receipt]) -> Sequence[Answer]:
        answers = [self._look(receipt) for receipt in receipts]
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """What was submitted goes on."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # -----------------------------------------------------------------------------------------------------------------------

    def _send(self, made: Any, about: dict[str, str]) -> None:
        from monty.json import MontyEncoder

        database_errors: Any = import_module("pymongo.errors").PyMongoError
        settings = self._question.settings
        made.update_metadata({**about, _OUTPUT: json.dumps(output_of(made), cls=MontyEncoder)})
        try:
            jobflow_of("jobflow-remote").submit_flow(
                made,
                worker=settings.worker,
                project=settings.project,
                exec_config=settings.exec_config,
                resources=settings.resources or None,
            )
        except database_errors as error:
            raise UnconfirmedError(f"jobflow-remote: {_told(error)}") from error
        except Exception as error:  # it refuses projects and workers in ways of its own
            raise OracleError(f"jobflow-remote: {_told(error)}") from error

    def _controller(self) -> Any:
        if self._opened is None:
            self._opened = jobflow_of("jobflow-remote").JobController.from_project_name(self._question.settings.project)
        return self._opened

    def _jobs(self, metadata: Mapping[str, str]) -> list[Any]:
        """Jobs of the database with this metadata; `OracleError` where that cannot be found out now."""
        try:
            return self._controller().get_jobs_info(metadata=dict(metadata))
        except Exception as error:  # the database and the settings of the project fail in ways of their own
            raise OracleError(f"jobflow-remote: {_told(error)}") from error

    def _look(self, receipt: Receipt) -> Answer | None:
        """The answer of a submission that ended; None while its jobs run or wait."""
        intent = receipt.intent
        try:
            kept = self._kept(intent)
        except TakenError as error:
            return Answer(intent, kind="invalid", reason=one_line(str(error)))
        if kept is None:
            return Answer(intent, kind="lost", reason=f"{self._folder.name}/{intent}.json is gone")
        if receipt.id not in ("", kept.id):
            reason = f"needs the answer for {shown(receipt.id)}, found the flow of {shown(kept.id)}"
            return Answer(intent, kind="invalid", reason=reason)
        jobs = self._jobs({_INTENT: kept.flow})
        if not jobs:
            return Answer(intent, kind="lost", reason=f"the database has no job of {kept.flow}")
        hours = sum(job.run_time or 0.0 for job in jobs) / 3600 if kept.flow == intent else 0.0
        states = {str(job.state.value) for job in jobs}
        broken = next((job for job in jobs if job.state.value in _FAILED), None)
        if broken is not None:
            reason = f"job {broken.db_id} ({broken.name}): {broken.state.value}: {_reason(broken)}"
            return Answer(intent, core_hours=hours, kind="calculation", reason=one_line(reason))
        return self._answer(intent, kept, jobs, hours) if states == {_DONE} else None

    def _answer(self, intent: str, kept: _Flow, jobs: Sequence[Any], hours: float) -> Answer:
        from monty.json import MontyDecoder

        try:
            asked = self._question.about(kept.id)
            if self._question.outputs.read(asked) is None:
                reference = json.loads((jobs[0].metadata or {})[_OUTPUT], cls=MontyDecoder)
                self._question.outputs.write(asked, resolved(reference, self._controller().jobstore))
            return Answer(intent, value=self._question.outputs.value(asked), core_hours=hours)
        except OracleError as error:
            return Answer(intent, core_hours=hours, kind="calculation", reason=one_line(str(error)))
        except (KeyError, ValueError) as error:
            return Answer(intent, core_hours=hours, kind="invalid", reason=one_line(str(error)))

    def _kept(self, intent: str) -> _Flow | None:
        file = self._folder / f"{intent}.json"
        if not file.exists():
            return None
        try:
            return record_of(_Flow, read_json(file))
        except DocumentError as error:
            raise TakenError(f"{error}; for which candidate it was made is not known") from error

    def _keep(self, flow: _Flow) -> None:
        try:
            with writing(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / f"{flow.intent}.json", flow.model_dump_json() + "\n")
        except StorageError as error:
            raise OracleError(str(error)) from error


def _usable(jobs: Sequence[Any]) -> str | None:
    """The intent of a flow among jobs of the same question, none of whose jobs has failed; None where there is none."""
    flows: dict[str, list[str]] = {}
    for job in jobs:
        if intent := (job.metadata or {}).get(_INTENT):
            flows.setdefault(intent, []).append(job.state.value)
    good = [intent for intent, states in flows.items() if not set(states) & set(_FAILED)]
    done = [intent for intent in good if set(flows[intent]) == {_DONE}]
    return next(iter([*done, *good]), None)


def _reason(job: Any) -> str:
    """The last line of what a job left as its error."""
    text = job.error or ""
    with suppress(AttributeError):
        text = text or job.remote.error or ""
    return next((line for line in reversed(text.strip().splitlines()) if line.strip()), "no reason is known")


def _told(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")
