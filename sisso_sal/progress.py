"""Progress on stderr: a bar on a terminal, else one plain line every 30 seconds."""

from __future__ import annotations

import sys
import time
from typing import Any

EVERY = 30.0


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
        if sys.stderr.isatty():
            self._show(done, total)
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            seconds = self._last - self._start
            left = seconds * (total - done) / max(done, 1)
            line = f"{self.what}: {done} of {total} ({done / max(total, 1):.0%}), {done / seconds:.3g}/s, {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)

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
