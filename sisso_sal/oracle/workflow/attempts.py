"""Attempts at a calculation: each has a folder of its own, and begins when nothing is left of those before.

The folders are the memory of a step. A worker that takes over reads there how many attempts there were, what changed from one to
the next, and how far they came. An attempt that takes its worker down with it counts, so it is not repeated for ever.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sisso_sal.errors import DocumentError, InputError, OracleError
from sisso_sal.oracle.workflow.leases import pause_of
from sisso_sal.oracle.workflow.workers import insist, own_lease
from sisso_sal.system import programs
from sisso_sal.system.documents import read_json, record_of
from sisso_sal.system.storage import write_whole, writing

__all__ = ["MAX_ATTEMPTS", "Attempt", "attempts_of", "begin_attempt", "forget_attempts", "running_in", "seconds_of"]

MAX_ATTEMPTS = 3
"""Attempts that may end without a step forward."""

_MOST = 30  # attempts in all
_NAME = re.compile(r"attempt-([1-9][0-9]{0,3})")
_FILE = "attempt.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    mark: str
    host: str
    place: str
    job: str
    changes: dict[str, Any] = {}
    """Settings that differ from those of the step."""
    beside: str = ""
    """Earlier attempts that were not seen to have ended when this one began."""
    seconds: float | None = Field(default=None, ge=0)
    """What it took; None of one that died with its worker."""
    verdict: dict[str, Any] | None = None
    """How it ended, in the words of its engine."""


@dataclass(frozen=True)
class Attempt:
    """An attempt and its folder.

    Attributes
    ----------
    number : int
    folder : path
    record : _Record
        What is written in its folder.
    """

    number: int
    folder: Path
    record: _Record

    @property
    def mark(self) -> programs.ProgramMark:
        """By which its program is found."""
        record = self.record
        return programs.ProgramMark(record.mark, record.host, record.place, record.job)

    @property
    def seconds(self) -> float:
        """What it took; of one that died with its worker, from its beginning to the last trace in its folder."""
        if self.record.seconds is not None:
            return self.record.seconds
        times = {file.name: file.stat().st_mtime for file in self.folder.iterdir() if file.name != programs.ENDED}
        return max(times.values(), default=0.0) - times.get(_FILE, 0.0)

    def ended(self, verdict: Mapping[str, Any] | None, seconds: float) -> Attempt:
        """Write down how it ended."""
        insist()
        record = self.record.model_copy(
            update={"verdict": None if verdict is None else dict(verdict), "seconds": seconds}
        )
        write_whole(self.folder / _FILE, record.model_dump_json() + "\n")
        return Attempt(self.number, self.folder, record)


def attempts_of(folder: Path) -> list[Attempt]:
    """The attempts in the folder of a step, in their order.

    Raises
    ------
    InputError
        What one of them left cannot be read.
    """
    found = []
    for place in folder.iterdir():
        name = _NAME.fullmatch(place.name)
        if name is None:
            continue
        file = place / _FILE
        try:
            record = (
                record_of(_Record, read_json(file)) if file.exists() else _Record(mark="", host="", place="", job="")
            )
        except (OSError, DocumentError) as error:
            raise InputError(f"{file}: cannot be read: {str(error).removeprefix(f'{file}: ')}") from error
        found.append(Attempt(int(name[1]), place, record))
    return sorted(found, key=lambda attempt: attempt.number)


def begin_attempt(
    folder: Path,
    *,
    changes: Mapping[str, Any] | None = None,
    is_free: Callable[[Attempt], bool] = lambda attempt: False,
    patience: float = 60.0,
) -> Attempt | None:
    """A new attempt in a folder of its own, written down before it begins; None if there were enough.

    Parameters
    ----------
    folder : path
        Of the step.
    changes : mapping, optional
        Settings that differ from those of the step.
    is_free : callable
        Whether an earlier attempt does not count, because it came forward and was ended from outside.
    patience : float
        Seconds in which an attempt on another machine has to be seen to have ended. One that was not is named in the record; its
        files stay apart.

    Raises
    ------
    InputError
        What the earlier attempts left cannot be read.
    OracleError
        The program of an earlier attempt is here and cannot be ended.
    """
    insist()
    earlier = attempts_of(folder)
    if sum(not is_free(attempt) for attempt in earlier) >= MAX_ATTEMPTS or len(earlier) >= _MOST:
        return None
    beside = "; ".join(filter(None, (_see_ended(attempt, patience) for attempt in earlier)))
    insist()
    number = max((attempt.number for attempt in earlier), default=0) + 1
    place = folder / f"attempt-{number}"
    with writing(place):
        place.mkdir()  # one of two workers who come here fails
    record = _Record(**asdict(programs.new_mark()), changes=dict(changes or {}), beside=beside)
    write_whole(place / _FILE, record.model_dump_json() + "\n")
    return Attempt(number, place, record)


def _see_ended(attempt: Attempt, patience: float) -> str:
    """End what is left of an earlier attempt and see that it is gone; returns what could not be seen."""
    ended = attempt.folder / programs.ENDED
    until = time.monotonic() + patience
    if ended.exists() or not attempt.record.mark:
        return ""
    left = programs.end(attempt.mark)
    if left:
        raise OracleError(f"{attempt.folder}: {', '.join(left)} of this attempt cannot be ended")
    if programs.is_of_here(attempt.mark):
        programs.note_end(attempt.folder)
        return ""
    while not ended.exists():  # its keeper is on another machine
        if time.monotonic() > until:
            return f"attempt {attempt.number} on {attempt.record.host} was not seen to have ended"
        time.sleep(pause_of(patience))
    return ""


@contextlib.contextmanager
def running_in(attempt: Attempt) -> Iterator[programs.Kept]:
    """Run what computes an attempt in the body; afterwards nothing of it is left.

    What the body starts with this process's environment belongs to the attempt too.

    Raises
    ------
    OracleError
        Something of it cannot be ended.
    """
    try:
        with programs.kept(attempt.mark, attempt.folder, own_lease()) as program:
            os.environ[programs.MARK] = attempt.record.mark
            try:
                yield program
            finally:
                del os.environ[programs.MARK]
    except programs.NotEnded as error:
        raise OracleError(f"{attempt.folder}: {error}") from error


def forget_attempts(folder: Path) -> None:
    """Put the attempts below a folder aside, so that there may be as many again; their files are kept."""
    places = {place.parent.parent for place in folder.rglob(f"attempt-*/{_FILE}")}
    for place in places:
        if place.name.startswith("earlier-"):
            continue
        aside = place / f"earlier-{1 + sum(1 for _ in place.glob('earlier-*'))}"
        with writing(aside):
            aside.mkdir()
            for attempt in attempts_of(place):
                attempt.folder.rename(aside / attempt.folder.name)


def seconds_of(attempts: Sequence[Attempt]) -> float:
    """What attempts took, those included that died with their workers."""
    return sum(attempt.seconds for attempt in attempts)
