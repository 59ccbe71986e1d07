"""Progress on stderr: a bar on a terminal, else one plain line every 30 seconds."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from sisso_sal.system.durations import duration
from sisso_sal.system.printable import printable

EVERY = 30.0


def is_live() -> bool:
    """Whether stderr is a terminal on which lines can change."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


def _print(line: str) -> None:
    """A line on stderr; where it cannot be written, it is lost and the work goes on."""
    try:
        print(line, file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        return


def pace(done: int, total: int | None, seconds: float) -> str:
    """The rate, and the time that the rest will take; empty as long as nothing is done.

    Examples
    --------
    >>> pace(3, 30, 1800), pace(2, None, 3600), pace(0, 30, 60)
    ('6/h, 4.5 h left', '2/h', '')
    """
    if done <= 0 or seconds <= 0:
        return ""
    rate = f"{3600 * done / seconds:.3g}/h"
    if total is None or total < done:
        return rate
    return f"{rate}, {duration((total - done) * seconds / done)} left"


class Progress:
    """A callable (done, total), and a context manager that tidies up.

    Parameters
    ----------
    what : str
        Shown before the numbers.
    quiet : bool
        Show nothing.
    """

    def __init__(self, what: str, quiet: bool = False):
        self.what = what
        self._start = self._last = time.monotonic()
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if self._quiet:
            return
        if is_live():
            self._show(done, total)
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            seconds = self._last - self._start
            line = f"{self.what}: {done} of {total} ({done / max(total, 1):.0%})"
            if done:
                line += f", {done / seconds:.3g}/s, {duration(seconds * (total - done) / done)} left"
            _print(line)

    def _show(self, done: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            rate = TextColumn("{task.fields[rate]}")
            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn(),
            )  # fmt: skip
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.what, total=total, rate="")
        seconds = max(time.monotonic() - self._start, 1e-9)
        self._bar.update(self._task, completed=done, total=total, rate=f"{done / seconds:.3g}/s")


class Watch:
    """The output of a running campaign: a line for each thing that happens, and one line that shows how far it is.

    On a terminal that line stays at the bottom and changes, with a bar for the fit that goes on; in a log file it is printed every
    30 seconds, each line with its time. A callable (done, total) for the progress of a fit.

    Parameters
    ----------
    what : str
        Shown before the numbers of a fit.
    quiet : bool
        Show nothing.
    """

    def __init__(self, what: str, quiet: bool = False):
        self._fit = Progress(what, quiet)
        self._quiet = quiet
        self._last = time.monotonic()
        self._first: tuple[int, float] | None = None
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._fit.__exit__()
        self._hide()

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, done: int, total: int) -> None:
        self._hide()  # a terminal has room for one live display
        self._fit(done, total)
        if done >= total:
            self._fit.__exit__()
            self._fit = Progress(self._fit.what, self._quiet)

    def tell(self, line: str) -> None:
        """Print one line that stays."""
        if self._quiet:
            return
        line = printable(line)
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            stamp = "" if is_live() else time.strftime("%Y-%m-%d %H:%M:%S  ")
            _print(f"{stamp}{line}")

    def watch(self, done: int, total: int | None, line: str) -> None:
        """Show how far the campaign is: evaluations done, evaluations in all, and the rest in words."""
        if self._quiet:
            return
        now = time.monotonic()
        if self._first is None:
            self._first = (done, now)
        left = None if total is None else total - self._first[0]
        line = "; ".join(part for part in (line, pace(done - self._first[0], left, now - self._first[1])) if part)
        if is_live():
            self._show(done, total, line)
        elif now - self._last >= EVERY:
            self._last = now
            self.tell(f"{done}{f' of {total}' if total else ''} evaluations; {line}")

    def _show(self, done: int, total: int | None, line: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (
                SpinnerColumn(),
                BarColumn(20),
                MofNCompleteColumn(),
                TextColumn("{task.description}", markup=False),
            )
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(line, total=total)
        self._bar.update(self._task, completed=done, total=total, description=line)
