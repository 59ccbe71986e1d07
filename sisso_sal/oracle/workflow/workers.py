"""Workers: who one is, whether it still lives, how one is started here."""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sisso_sal.errors import DocumentError
from sisso_sal.oracle.workflow.leases import SECONDS, Lease, LeaseWatch, seconds_of
from sisso_sal.system import processes, slurm
from sisso_sal.system.documents import read_bytes
from sisso_sal.system.storage import writing

__all__ = [
    "LOG",
    "Silent",
    "Watcher",
    "insist",
    "is_at_work",
    "living",
    "own_lease",
    "registered",
    "silent",
    "start",
    "worker_name",
]

LOG = "workers.log"
_FOLDER = "workers"
_ASK_AGAIN = 0.25  # of a lease without a sign of life, before Slurm is asked again
_NAME = re.compile(
    r"(?P<host>[\w.-]{1,255})\|(?P<pid>\d{1,10})\|(?P<began>[\w.-]*)\|(?P<job>[^|\n]*)\|(?P<mark>[0-9a-f]{16})"
)


def worker_name() -> str:
    """A new name for this process: host, process, where and when it began, job of Slurm, and a mark that no other name has."""
    return "|".join([_host(), str(os.getpid()), processes.birth(os.getpid()), slurm.own_job(), os.urandom(8).hex()])


def _host() -> str:
    return re.sub(r"[^\w.-]", "_", socket.gethostname())


def _file_of(root: Path, worker: str) -> Path | None:
    """The lease of a worker; None where the name is none of ours, as of a worker that Taskblaster's own command started."""
    parts = _NAME.fullmatch(worker)
    return parts and root / _FOLDER / f"{parts['host']}-{parts['pid']}-{parts['mark']}"


def _process_has_ended(worker: str) -> bool:
    """Processes of another boot of a host, or of another container of its name, cannot be seen from here."""
    parts = _NAME.fullmatch(worker)
    if parts is None or parts["host"] != _host():
        return False
    here, _, _ = processes.birth(os.getpid()).rpartition(".")
    place, _, _ = parts["began"].rpartition(".")
    return here == place and processes.birth(int(parts["pid"])) != parts["began"]


def _job_has_ended(worker: str) -> bool:
    parts = _NAME.fullmatch(worker)
    return parts is not None and slurm.has_ended(parts["job"])


class Watcher:
    """Who watches the workers of a folder: it tells dead ones from living ones, and gives up the dead.

    Asked in this order: the process, where it is one of this machine; the job of Slurm; the lease. The first two can prove that a
    worker has ended, not that it lives: it may be stopped, or its job may go on without it.

    Parameters
    ----------
    root : path
        Where the calculations are.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._watch = LeaseWatch()
        self._asked: dict[str, float] = {}
        self.is_undecided = False

    def dead(self, workers: Iterable[str]) -> set[str]:
        """Those of these workers that are dead; they are given up, so that one that wakes up again sees it.

        Sets `is_undecided`: whether of some it will be known only later, after at most one lease.

        Raises
        ------
        OSError
            A lease cannot be removed.
        """
        verdicts = {worker: self._verdict(worker) for worker in sorted(set(workers))}
        dead = {worker for worker, verdict in verdicts.items() if verdict == "dead"}
        for file in filter(None, (_file_of(self._root, worker) for worker in dead)):
            file.unlink(missing_ok=True)
        self._watch.forget_others(filter(None, (_file_of(self._root, worker) for worker in verdicts)))
        self._asked = {worker: at for worker, at in self._asked.items() if worker in verdicts}
        self.is_undecided = "unknown" in verdicts.values()
        return dead

    def _verdict(self, worker: str) -> Literal["dead", "alive", "unknown", "foreign"]:
        file = _file_of(self._root, worker)
        if file is None:
            return "foreign"
        if _process_has_ended(worker):
            return "dead"
        is_alive, silence = self._watch.look(file)
        if is_alive is False or self._slurm_has_ended(worker, silence):
            return "dead"
        return "alive" if is_alive else "unknown"

    def _slurm_has_ended(self, worker: str, silence: float) -> bool:
        """Slurm is asked at the first look, and again for one that is silent: not at every look of every watcher."""
        last = self._asked.get(worker)
        if last is not None and silence - last < _ASK_AGAIN:
            self._asked[worker] = min(last, silence)
            return False
        self._asked[worker] = silence
        return _job_has_ended(worker)


@dataclass(frozen=True)
class Silent:
    """A task that is running as far as the registry knows, whose worker gives no sign of life.

    Attributes
    ----------
    task, worker : str
    seconds : float or None
        Since its last sign of life, by the clocks of this machine and the file server; None where it has certainly ended.
    """

    task: str
    worker: str
    seconds: float | None


def silent(root: Path, running: Iterable[tuple[str, str]]) -> list[Silent]:
    """Tasks of workers that have ended, or were silent for longer than their lease; one look, which changes nothing.

    Parameters
    ----------
    root : path
    running : iterable of (str, str)
        Tasks and workers.
    """
    found = []
    for task, worker in running:
        file = _file_of(root, worker)
        if file is None:
            continue
        try:
            age, lease = time.time() - file.stat().st_mtime, seconds_of(file.read_bytes()[:1024])
        except FileNotFoundError:
            age, lease = math.inf, 0.0
        if _process_has_ended(worker) or age == math.inf:
            found.append(Silent(task, worker, None))
        elif age > lease:  # Slurm is asked about these alone
            found.append(Silent(task, worker, None if _job_has_ended(worker) else age))
    return found


def is_at_work(root: Path, worker: str) -> bool:
    """Whether a worker may be at work: it has a lease, and its process and its job have not certainly ended; one look."""
    file = _file_of(root, worker)
    return file is not None and file.exists() and not silent(root, [("", worker)])


_OWN: list[Lease] = []


def insist() -> None:
    """End this process if it is a worker that was given up; called before anything of a task is written down."""
    for lease in _OWN:
        lease.insist()


def own_lease() -> Path | None:
    """The lease of this process; None where it is no worker."""
    return _OWN[-1].file if _OWN else None


@contextlib.contextmanager
def registered(root: Path, seconds: float = SECONDS) -> Iterator[str]:
    """Be a worker of the folder, with a lease of so many seconds; gives its name."""
    name, folder = worker_name(), root / _FOLDER
    with writing(folder):
        folder.mkdir(exist_ok=True)
    lease = Lease(_file_of(root, name) or folder / name, name, seconds)
    _OWN.append(lease)
    try:
        yield name
    finally:
        _OWN.remove(lease)
        lease.close()


def living(root: Path) -> set[int]:
    """Processes of this host that are workers of the folder and were not given up; what dead ones left is cleared away."""
    found = set()
    for file in (root / _FOLDER).glob("[!.]*"):
        try:
            name = read_bytes(file, 1024).decode("utf-8", errors="replace").split("\n")[1]
        except (DocumentError, IndexError):  # it has just ended, or is no lease
            continue
        parts = _NAME.fullmatch(name)
        if parts is not None and _process_has_ended(name):
            file.unlink(missing_ok=True)
        elif parts is not None and parts["host"] == _host():
            found.add(int(parts["pid"]))
    return found


def start(root: Path, n: int, tags: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    """Start workers on this machine that outlive this process; each ends when there is nothing that it may do."""
    with (root / LOG).open("ab") as file:
        words = _command(root, tags)
        return [subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True) for _ in range(n)]


def _command(root: str | os.PathLike[str], tags: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "sisso_sal", "worker", str(root), "--tags", ",".join(tags)]
