"""What a campaign does beside its work, the report and what is shown of its progress: no error in it stops the campaign."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sisso_sal.campaign.exchange import Tell
from sisso_sal.campaign.learning import REPORT
from sisso_sal.errors import reason_of
from sisso_sal.ledger.state import State
from sisso_sal.ledger.store import DATABASE

NO_REPORT = "the report was not written"
LACKING = "the report lacks a part"


class Reporting:
    """Writes the report of a run folder, and keeps what went wrong.

    Parameters
    ----------
    run : path
    state : State
        At the start.
    write : callable, optional
        See `Tools.report`; without it there is no report.
    tell : callable
        Takes one line, once for each reason.
    trace : callable
        Takes the error behind such a line.
    """

    def __init__(
        self,
        run: Path,
        state: State,
        write: Callable[[Path, bool], Sequence[str]] | None,
        tell: Tell,
        trace: Callable[[Exception], None],
    ):
        self._run = run
        self._write = write
        self._tell = tell
        self._trace = trace
        self._reported = state.n_events if self._is_newest() else -1
        self._is_due = 0.0
        self._problems: dict[str, str] = {}

    def _is_newest(self) -> bool:
        """Whether the report was written after the last event, for all that the times of the files tell."""
        try:
            written, recorded = ((self._run / name).stat().st_mtime_ns for name in (REPORT, DATABASE))
        except OSError:
            return False
        return written >= recorded

    def report(self, state: State, is_over: bool) -> None:
        """Write the report if there is something new: at the end, and before that for at most a tenth of the time."""
        start = time.monotonic()
        is_new = state.n_events != self._reported and bool(state.iterations)
        if self._write is None or not is_new or not (is_over or start >= self._is_due):
            return
        write = partial(self._write, self._run, is_over)
        lacks = self.aside(NO_REPORT, write, f"; sisso-sal report {self._run} makes it again")
        self._note(LACKING, "; ".join(lacks or ()))
        self._reported = state.n_events
        end = time.monotonic()
        self._is_due = end + 9 * (end - start)

    def aside(self, what: str, call: Callable[[], Any], advice: str = "") -> Any:
        """The result of a call that must not stop a campaign; None after an error, which is told in one line."""
        try:
            result = call()
        except Exception as error:
            if self._note(what, reason_of(error), advice):
                self._trace(error)
            return None
        self._problems.pop(what, None)
        return result

    def _note(self, what: str, reason: str, advice: str = "") -> bool:
        """Tell what is wrong unless nothing is, or it was told last time; True if it was told now."""
        is_new = bool(reason) and self._problems.get(what) != reason
        self._problems[what] = reason
        if is_new:
            self._tell(f"{what}: {reason}{advice}")
        return is_new

    def about(self) -> dict[str, str | None]:
        """The file of the report, None if there is none, and what is wrong with it, None if nothing is known to be."""
        path = self._run / REPORT
        problem = self._problems.get(NO_REPORT) or self._problems.get(LACKING) or None
        return {"file": str(path) if path.is_file() else None, "problem": problem}
