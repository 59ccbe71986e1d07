"""Leases: the sign of life of a worker, which others watch, and by which a worker sees that it was given up.

A lease is a file that its worker changes every few seconds. Whoever gives a worker up removes the file first. So a worker without
its file has lost its tasks, and a task whose worker has no file can be given to another one. No clock is compared with another: a
watcher measures with its own how long it has seen no change.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from sisso_sal.system.operating_system import CLOSED_IN_CHILDREN
from sisso_sal.system.storage import write_whole, writing

__all__ = ["GIVEN_UP", "SECONDS", "Lease", "LeaseWatch", "pause_of", "seconds_of"]

SECONDS = 120.0
"""After so long without a sign of life a worker is given up, by default."""

GIVEN_UP = 75
"""Exit code of a worker that was given up."""

_LONGEST_PAUSE = 5.0
_RENEWALS = 8  # in the time of a lease
_WIDTH = 20  # digits of the number that changes


class Lease:
    """The lease of this process, renewed by a thread until it is closed.

    Parameters
    ----------
    file : path
        Its name belongs to one worker for ever.
    worker : str
        Who that is, for those who look.
    seconds : float
        How long others wait for a sign of life.

    Raises
    ------
    StorageError
        The file cannot be written.
    """

    def __init__(self, file: Path, worker: str, seconds: float) -> None:
        self.file = file
        self._number = 0
        self._trouble = ""
        self._head = f"{seconds:g}\n{worker}\n".encode()
        write_whole(file, self._head + b"0" * _WIDTH)
        with writing(file):
            self._handle = os.open(file, os.O_WRONLY | CLOSED_IN_CHILDREN)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(pause_of(seconds),), name="lease", daemon=True)
        self._thread.start()

    def is_held(self) -> bool:
        """Whether nobody has given this worker up; a file that cannot be looked at now counts as held."""
        try:
            return os.path.samestat(os.stat(self.file), os.fstat(self._handle))
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def insist(self) -> None:
        """End this process at once if it was given up: what it does from here on is not its own to do."""
        if not self.is_held():
            print(f"{self.file.name}: was given up by others while it gave no sign of life; it ends", file=sys.stderr)
            sys.stderr.flush()
            os._exit(GIVEN_UP)

    def close(self) -> None:
        """Give the lease back."""
        self._end.set()
        self._thread.join()
        if self.is_held():
            self.file.unlink(missing_ok=True)
        os.close(self._handle)

    def _beat(self, pause: float) -> None:
        while not self._end.wait(pause):
            self.insist()
            trouble = self._renew()
            if trouble != self._trouble and trouble:
                print(f"{self.file}: cannot be renewed: {trouble}", file=sys.stderr)
            self._trouble = trouble

    def _renew(self) -> str:
        """Change the file in its place, which takes no room on a full disk; returns what went wrong."""
        self._number += 1
        try:
            os.pwrite(self._handle, f"{self._number:0{_WIDTH}d}".encode(), len(self._head))
            os.fsync(self._handle)
        except OSError as error:
            return error.strerror or str(error)
        return ""


def pause_of(seconds: float) -> float:
    """Seconds between two renewals of a lease.

    Examples
    --------
    >>> pause_of(120), pause_of(2)
    (5.0, 0.25)
    """
    return min(_LONGEST_PAUSE, seconds / _RENEWALS)


class LeaseWatch:
    """What one process has seen of leases; it knows more the longer it is kept."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[bytes, float, bool]] = {}

    def look(self, file: Path) -> tuple[bool | None, float]:
        """Look at a lease once more.

        Parameters
        ----------
        file : path

        Returns
        -------
        bool or None
            Whether it is alive: None as long as that is not known.
        float
            For how long it was seen without a change, in units of the lease.
        """
        before = time.monotonic()
        try:
            content = file.read_bytes()[:1024]
        except FileNotFoundError:
            self._seen.pop(file, None)
            return False, 0.0
        except OSError:
            content = self._seen.get(file, (b"", 0.0, False))[0]
        known, since, was_renewed = self._seen.get(file, (None, 0.0, False))
        if content != known:
            self._seen[file] = (content, time.monotonic(), known is not None)
            return (True if known is not None else None), 0.0
        waited = (before - since) / seconds_of(content)
        if waited > 1:
            return False, waited
        return (True if was_renewed else None), waited

    def forget_others(self, files: Iterable[Path]) -> None:
        """Keep what is known of these files alone."""
        kept = set(files)
        self._seen = {file: seen for file, seen in self._seen.items() if file in kept}


def seconds_of(content: bytes) -> float:
    """The length of a lease, which its worker has written; the default where that cannot be read."""
    try:
        seconds = float(content.split(b"\n")[0])
    except ValueError:
        return SECONDS
    return max(0.1, seconds) if math.isfinite(seconds) else SECONDS
