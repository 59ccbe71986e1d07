"""What an oracle hands over, checked where it enters the campaign: an oracle of one's own may give anything."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container, Iterable, Mapping
from numbers import Real
from typing import Any

from sisso_sal.data.cells import LARGEST
from sisso_sal.data.classes import is_class
from sisso_sal.errors import DocumentError, OracleError
from sisso_sal.ledger.arrays import problem_of
from sisso_sal.ledger.events import DetailsData
from sisso_sal.protocols import FAILURES, Answer, Receipt, Request
from sisso_sal.system.documents import LONGEST_TEXT, one_line, record_of, shown

_LONGEST_DETAILS = 200_000


def job_of(receipt: Receipt, request: Request) -> str:
    """The oracle's name for the job of a request.

    Raises
    ------
    OracleError
        This is no receipt of the request.

    Examples
    --------
    >>> job_of(Receipt("a", "77"), Request("a", "MgO", {}))
    '77'
    """
    needed = f"needs a Receipt of the intent {request.intent}"
    if not isinstance(receipt, Receipt):
        raise OracleError(f"{needed}, found {shown(receipt)}")
    if receipt.intent != request.intent:
        raise OracleError(f"{needed}, found one of {shown(receipt.intent)}")
    if receipt.id not in ("", request.id):
        raise OracleError(f"{needed} for {shown(request.id)}, found one for {shown(receipt.id)}")
    job = str(receipt.job) if isinstance(receipt.job, int) else receipt.job
    if not isinstance(job, str) or one_line(job) != " ".join(job.split()):
        raise OracleError(
            f"{needed} whose job is a text of at most {LONGEST_TEXT} characters, found {shown(receipt.job)}"
        )
    return job


def checked_answers(
    answers: Iterable[Answer], asked: Container[str], tell: Callable[[str], None], *, of_classes: bool = False
) -> list[Answer]:
    """The answers to what was asked, each a label or a typed failure; see `checked`.

    Parameters
    ----------
    answers : iterable of Answer
    asked : container of str
        Intents.
    tell : callable
        Takes a line about each answer that is not taken.
    of_classes : bool
        Whether labels are names of classes.

    Raises
    ------
    OracleError
        The oracle gave no list of answers.
    """
    if isinstance(answers, str | bytes | Mapping) or not isinstance(answers, Iterable):
        raise OracleError(f"needs a list of answers, found {shown(answers)}")
    accepted: dict[str, Answer] = {}
    for answer in answers:
        intent = getattr(answer, "intent", None)
        if not isinstance(answer, Answer) or not isinstance(intent, str) or intent not in asked:
            tell(f"an answer that was not asked for is not taken: {shown(answer if intent is None else intent)}")
            continue
        new = checked(answer, of_classes)
        if intent in accepted and accepted[intent] != new:
            new = Answer(
                intent, core_hours=new.core_hours, kind="invalid", reason="needs one answer, found two that differ"
            )
        accepted[intent] = new
    return list(accepted.values())


def checked(answer: Answer, of_classes: bool = False) -> Answer:
    """The same answer, or a failure if it cannot be a label: a number or, with `of_classes`, the name of a class.

    Examples
    --------
    >>> checked(Answer("a", value=float("nan"))).reason
    'needs a finite number as the label, found nan'
    >>> checked(Answer("a", value=" perovskite "), of_classes=True).value
    'perovskite'
    """
    value, cost, problem = answer.value, 0.0, ""
    if is_number(answer.core_hours) and answer.core_hours >= 0:
        cost = float(answer.core_hours)
    else:
        problem = f"needs a number >= 0 as the core-hours, found {_plain(answer.core_hours)}"
    if value is None:
        kind, reason = _failure(answer.kind, answer.reason)
        return Answer(answer.intent, core_hours=cost, kind=kind, reason=f"{reason}; {problem}" if problem else reason)
    if problem := problem or _problem(answer, of_classes):
        return Answer(answer.intent, core_hours=cost, kind="invalid", reason=one_line(problem))
    error = None if answer.error is None else float(answer.error)
    kept = class_in(value) if of_classes else float(value)
    return Answer(answer.intent, kept, error, cost, arrays=answer.arrays, details=answer.details)


def class_in(value: Any) -> str | None:
    """The name of a class as a table would have it, a whole number among them; None where it is none.

    Examples
    --------
    >>> class_in("rock salt"), class_in(221), class_in(1.5), class_in(" "), class_in("a\\nb")
    ('rock salt', '221', None, None, None)
    """
    if isinstance(value, Real) and is_number(value) and float(value).is_integer():
        return str(int(float(value)))
    if not isinstance(value, str):
        return None
    name = value.strip()
    return name if is_class(name) else None


def _problem(answer: Answer, of_classes: bool) -> str:
    """Why an answer cannot be a label; empty where it can."""
    if of_classes and class_in(answer.value) is None:
        return f"needs the name of a class as the label, found {_plain(answer.value)}"
    if of_classes and answer.error is not None:
        return f"needs a class without an error, found {_plain(answer.error)} beside {_plain(answer.value)}"
    if not of_classes and not is_number(answer.value):
        return f"needs a finite number as the label, found {_plain(answer.value)}"
    if answer.error is not None and not (is_number(answer.error) and answer.error >= 0):
        return f"needs a number >= 0 as the label's error, found {_plain(answer.error)}"
    if not isinstance(answer.arrays, Mapping):
        return f"needs arrays by name, found {shown(answer.arrays)}"
    return problem_of(answer.arrays) or _problem_of_details(answer.details)


def _problem_of_details(details: Any) -> str:
    """Why details cannot be kept in a ledger; empty where they can."""
    if not isinstance(details, Mapping):
        return f"needs details by name, found {shown(details)}"
    try:
        text = json.dumps(dict(details), allow_nan=False)
        record_of(DetailsData, json.loads(text))
    except (TypeError, ValueError, DocumentError) as error:
        return f"needs details of a label as plain data: {one_line(str(error))}"
    return (
        ""
        if len(text) <= _LONGEST_DETAILS
        else f"needs details of at most {_LONGEST_DETAILS} characters, found {len(text)}"
    )


def _failure(kind: Any, reason: Any) -> tuple[str, str]:
    """Kind and reason of a failure; a kind that does not exist is told as a part of the reason."""
    told = one_line(reason) if isinstance(reason, str) else shown(reason)
    name = "invalid" if kind is None or (isinstance(kind, str) and not kind) else kind
    if isinstance(name, str) and name in FAILURES:
        return name, told or "no reason given"
    return "invalid", f"{shown(kind)} is no kind of failure{f': {told}' if told else ''}"


def is_number(value: Any) -> bool:
    """Whether a value is a number that a table could hold.

    Examples
    --------
    >>> is_number(1.5), is_number(True), is_number(10**400), is_number("1")
    (True, False, False, False)
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        number = float(value)
    except (OverflowError, ValueError, TypeError):
        return False
    return math.isfinite(number) and abs(number) <= LARGEST


def _plain(value: Any) -> str:
    """A number as it is written; of a long one only the start."""
    if not isinstance(value, Real):
        return shown(value)
    try:
        return one_line(str(value), 60)
    except ValueError:  # an integer with more digits than Python writes
        return "an integer of thousands of digits"
