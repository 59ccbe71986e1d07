"""A lock that allows one driver for a run folder, and a note that says which process that is."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from sisso_sal.errors import CampaignError, DocumentError, LockedError, StorageError
from sisso_sal.ledger.rows import is_time
from sisso_sal.system import processes
from sisso_sal.system.documents import read_json, shown
from sisso_sal.system.printable import printable
from sisso_sal.system.slurm import has_ended, own_job
from sisso_sal.system.storage import write_whole, writing

LOCK = ".lock"
NOTE = ".driver.json"
_LONGEST_HOST = 255
_JOB = r"([0-9]{1,18}(\.[0-9]{1,9})?)?"
_WRONG_PLACE = {errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.EINVAL}
"""What the operating system says of a path that can never be a folder, whatever the disk and the rights."""


@dataclass(frozen=True)
class DriverProcess:
    """A process that drives a run folder, or that ended without recording it."""

    host: str
    pid: int
    since: str
    job: str = ""

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool | None:
        """Whether the process exists; None for one on another host, unless Slurm says that its job has ended."""
        if self.is_here:
            return processes.exists(self.pid)
        return False if has_ended(self.job) else None

    def __str__(self) -> str:
        return f"process {self.pid} on {printable(self.host)}, since {self.since}"


def noted_driver(folder: str | Path, tell: Callable[[str], None] = lambda line: None) -> DriverProcess | None:
    """The driver that last took the folder and did not record its end; takes no lock.

    Parameters
    ----------
    folder : path
        The run folder.
    tell : callable
        Takes one line where there is a note that cannot be read; such a note counts as none.
    """
    path = Path(folder, NOTE)
    if not os.path.lexists(path):
        return None
    try:
        return _driver_of(read_json(path))
    except DocumentError as error:
        if os.path.lexists(path):  # else the driver has just ended
            place = "" if str(error).startswith(str(path)) else f"{path}: "
            tell(f"{place}{error}; the note of the last driver is passed over")
        return None


def _driver_of(document: object) -> DriverProcess:
    match document:
        case {"host": str(host), "pid": int(pid), "since": str(since), **rest}:
            fits = not isinstance(pid, bool) and 0 < pid <= processes.LARGEST
            job = rest.get("job", "")
            is_job = isinstance(job, str) and re.fullmatch(_JOB, job)
            if fits and is_job and 0 < len(host) <= _LONGEST_HOST and is_time(since):
                return DriverProcess(host, pid, since, job)
    raise DocumentError(f"needs host, number (1 or more) and start of a process, found {shown(document)}")


class DriverLock:
    """A lock on a run folder, held from its creation to `release`. The operating system releases it when the process ends.

    Raises
    ------
    LockedError
        Another process holds it, or one on another host did not record its end: on some network file systems a lock is not
        seen from other hosts.
    CampaignError
        The path cannot be a folder.
    StorageError
        The folder cannot be written.

    Attributes
    ----------
    note : str
        What is wrong with the note of the last driver; empty where nothing is.
    """

    def __init__(self, folder: Path, wait: float, take_over: bool = False):
        self.note = ""
        self._note = folder / NOTE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / LOCK).is_symlink():
                raise CampaignError(f"{folder / LOCK}: needs a file, found a link")
            self._lock = FileLock(folder / LOCK)
            self._lock.acquire(timeout=wait)
        except Timeout as error:
            raise LockedError(_held(folder)) from error
        except OSError as error:
            kind = CampaignError if error.errno in _WRONG_PLACE else StorageError
            raise kind(f"{folder}: cannot be made a run folder: {error.strerror}") from error
        try:
            before = noted_driver(folder, self._wrong)
            if before is not None and not before.is_here and before.is_alive is None and not take_over:
                raise LockedError(
                    f"{folder}: {before}, drives this run or was killed; make sure that it has ended, then give "
                    "--take-over"
                )
            now = datetime.now(UTC).isoformat(timespec="seconds")
            write_whole(
                self._note, json.dumps(asdict(DriverProcess(socket.gethostname(), os.getpid(), now, own_job()))) + "\n"
            )
        except BaseException:
            self._lock.release()
            raise

    def _wrong(self, line: str) -> None:
        self.note = line

    def release(self) -> None:
        try:
            with writing(self._note):
                self._note.unlink(missing_ok=True)
        finally:
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
