"""A lock that allows one driver for a run folder, and a note that says which process that is."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from sisso_sal.errors import CampaignError, LockedError
from sisso_sal.system.storage import write_whole

LOCK = ".lock"
NOTE = ".driver.json"


@dataclass(frozen=True)
class DriverProcess:
    """A process that drives a run folder, or that ended without recording it."""

    host: str
    pid: int
    since: str

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool | None:
        """Whether the process exists; None for one on another host."""
        if not self.is_here:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def noted_driver(folder: str | Path) -> DriverProcess | None:
    """The driver that last took the folder and did not record its end; takes no lock."""
    try:
        return DriverProcess(**json.loads(Path(folder, NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class DriverLock:
    """A lock on a run folder, held from its creation to `release`. The operating system releases it when the process ends.

    Raises
    ------
    LockedError
        Another process holds it, or one on another host did not record its end: on some network file systems a lock is not
        seen from other hosts.
    CampaignError
        The folder cannot be made.
    """

    def __init__(self, folder: Path, wait: float, take_over: bool = False):
        self._note = folder / NOTE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / LOCK)
            self._lock.acquire(timeout=wait)
        except Timeout as error:
            raise LockedError(_held(folder)) from error
        except OSError as error:
            raise CampaignError(f"{folder}: cannot be made a run folder: {error.strerror}") from error
        try:
            before = noted_driver(folder)
            if before is not None and not before.is_here and not take_over:
                raise LockedError(
                    f"{folder}: {before}, drives this run or was killed; make sure that it has ended, then give "
                    "--take-over"
                )
            now = datetime.now(UTC).isoformat(timespec="seconds")
            write_whole(self._note, json.dumps(asdict(DriverProcess(socket.gethostname(), os.getpid(), now))) + "\n")
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        self._note.unlink(missing_ok=True)
        self._lock.release()


def _held(folder: Path) -> str:
    driver = noted_driver(folder)
    who = f"another process is driving this run{f' ({driver})' if driver else ''}"
    return f"{folder}: {who}; wait for it, or end it with sisso-sal stop {folder}"


def check_free(folder: str | Path, wait: float = 0.5) -> None:
    """Check before slow imports that no process drives a run folder; nothing is made or changed.

    Raises
    ------
    LockedError
        Another process is driving the folder.
    """
    if not Path(folder, LOCK).exists():
        return
    lock = FileLock(Path(folder, LOCK))
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise LockedError(_held(Path(folder))) from error
    lock.release()
