"""How long a command has been running, for the estimates of what it will take in all."""

from __future__ import annotations

import time

_began: list[float] = []


def begin() -> None:
    """Note that this process is a command, and when it began: its imports so far are counted by what they took of a core."""
    _began[:] = [time.monotonic() - time.process_time()]


def elapsed() -> float:
    """Seconds since the command began; 0 in a process that is none, such as a notebook.

    Examples
    --------
    >>> elapsed()
    0.0
    """
    return time.monotonic() - _began[0] if _began else 0.0
