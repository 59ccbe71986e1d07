"""What is in the folder of a submission: the request, and what the command left; each read with bounds into a typed model."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sisso_sal.errors import DocumentError
from sisso_sal.protocols import FAILURES, Answer
from sisso_sal.system.documents import (
    LARGE,
    SMALL,
    json_of,
    last_line,
    one_line,
    read_bytes,
    read_json,
    record_of,
    shown,
)

__all__ = ["REQUEST", "Submission", "process_of", "read_answer", "read_submission"]

REQUEST = "request.json"
_FORM = '{"value": 1.5}'
_FORM_OF_CLASSES = '{"value": "perovskite"}'
_LARGEST_PROCESS = 1 << 31


class _AnswerRecord(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Submission(_AnswerRecord):
    """The request of a submission, as it lies in its folder."""

    intent: str
    id: str
    candidate: dict[str, Any]


class _Labelled(_AnswerRecord):
    value: float
    error: float | None = None
    core_hours: float | None = None
    id: str | None = None


class _LabelledClass(_AnswerRecord):
    value: str | int | float
    error: None = None
    core_hours: float | None = None
    id: str | None = None


class _FailedAnswer(_AnswerRecord):
    failure: str
    reason: str | None = None
    core_hours: float | None = None
    id: str | None = None


def read_submission(job: Path) -> Submission:
    """The request in the folder of a submission.

    Raises
    ------
    DocumentError
        It is missing, or is no request.
    """
    try:
        return record_of(Submission, read_json(job / REQUEST, LARGE))
    except DocumentError as error:
        raise DocumentError(f"{job.name}/{REQUEST}: {str(error).removeprefix(f'{job / REQUEST}: ')}") from error


def process_of(job: Path) -> tuple[int, str] | None:
    """Process group and host of a command that was started; None where the file does not say it."""
    try:
        words = re.fullmatch(rb"(\d{1,10}) (\S{1,255})\s*", read_bytes(job / "pid", 300))
    except DocumentError:
        return None
    if (
        words is None or not 1 < int(words[1]) < _LARGEST_PROCESS
    ):  # 0 and 1 would mean other groups than that of the command
        return None
    return int(words[1]), words[2].decode("utf-8", errors="replace")


def read_answer(intent: str, job: Path, hours: float, of_classes: bool = False) -> Answer:
    """What a command that ended has answered.

    Parameters
    ----------
    intent : str
    job : Path
        The folder of the submission.
    hours : float
        That it took; the cost where the answer does not tell its core-hours.
    of_classes : bool
        Whether labels are names of classes.
    """
    path = job / "answer.json" if os.path.lexists(job / "answer.json") else job / "stdout"
    answer: _Labelled | _LabelledClass | _FailedAnswer | None = None
    code, problem = _exit_code(job), ""
    try:
        answer = _answer_in(path, of_classes)
    except DocumentError as error:
        problem = str(error)
    if code != 0 and not isinstance(answer, _FailedAnswer):
        return Answer(intent, core_hours=hours, kind="crashed", reason=_ending(code, job))
    if answer is None:
        return Answer(intent, core_hours=hours, kind="invalid", reason=one_line(problem))
    cost = hours if answer.core_hours is None else answer.core_hours
    try:
        asked = read_submission(job).id
    except DocumentError as error:
        return Answer(intent, core_hours=cost, kind="invalid", reason=one_line(str(error)))
    if answer.id not in (None, asked):
        reason = f"needs the answer for {shown(asked)}, found one for {shown(answer.id)}"
        return Answer(intent, core_hours=cost, kind="invalid", reason=reason)
    if isinstance(answer, _Labelled):
        return Answer(intent, answer.value, answer.error, cost)
    if isinstance(answer, _LabelledClass):
        return Answer(intent, answer.value, core_hours=cost)
    kind, reason = _failure(answer)
    return Answer(intent, core_hours=cost, kind=kind, reason=reason)


def _answer_in(path: Path, of_classes: bool) -> _Labelled | _LabelledClass | _FailedAnswer:
    try:
        content = read_bytes(path, SMALL.size)
    except DocumentError as error:
        raise DocumentError(str(error).removeprefix(f"{path.parent}/")) from error
    try:
        document = json_of(content)
    except DocumentError as error:
        raise DocumentError(f"{path.name}: {_unread(content, error)}") from error
    form = _FORM_OF_CLASSES if of_classes else _FORM
    needed = f"needs an answer such as {form}, found {shown(document)}"
    if not isinstance(document, dict) or (document.get("failure") is None and "value" not in document):
        raise DocumentError(needed)
    try:
        if document.get("failure") is not None:
            return record_of(_FailedAnswer, document)
        return record_of(_LabelledClass if of_classes else _Labelled, document)
    except DocumentError as error:
        raise DocumentError(f"{needed}: {error}") from error


def _unread(content: bytes, error: DocumentError) -> str:
    """What is wrong with a text that is no JSON document."""
    text = content.decode("utf-8", errors="replace").strip()
    if not text:
        return "needs one JSON document, found nothing"
    start = re.search(r"^[ \t]*\{", text, re.MULTILINE)
    if start is not None and start.start() and _is_document(text[start.start() :]):
        return f"needs one JSON document, printed {shown(text[: start.start()].strip())} before its JSON"
    return f"{error}; it begins with {shown(text)}" if str(error).startswith("needs a JSON document") else str(error)


def _is_document(text: str) -> bool:
    try:
        json_of(text)
    except DocumentError:
        return False
    return True


def _failure(answer: _FailedAnswer) -> tuple[str, str]:
    """Kind and reason; a kind that is not known is part of the reason."""
    reason = answer.failure if answer.reason is None else answer.reason
    if answer.failure in FAILURES:
        return answer.failure, one_line(reason)
    told = "" if answer.reason is None else f": {reason}"
    return "invalid", one_line(f"{one_line(answer.failure, 100)}, which is no kind of failure{told}")


def _exit_code(job: Path) -> int | None:
    """Exit code of a command that ended; None where the file does not say it."""
    try:
        content = read_bytes(job / "status", 64)
    except DocumentError:
        return None
    return int(content) if re.fullmatch(rb"\s*\d{1,3}\s*", content) else None


def _ending(code: int | None, job: Path) -> str:
    if code is None:
        return "its exit code is not known: the file 'status' holds none"
    words = last_line(job / "stderr")
    return f"{f'killed by signal {code - 128}' if code > 128 else f'exit code {code}'}{f': {words[:200]}' if words else ''}"
