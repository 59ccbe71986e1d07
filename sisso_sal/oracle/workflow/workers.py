"""Workers: who one is, whether it still lives, how one is started here or as a job of Slurm."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sisso_sal.errors import DocumentError
from sisso_sal.system.documents import read_bytes
from sisso_sal.system.slurm import has_ended, own_job
from sisso_sal.system.storage import write_whole, writing

__all__ = ["is_dead", "living", "registered", "start", "worker_name"]

LOG = "workers.log"
_FOLDER = "workers"


def worker_name() -> str:
    """Who this process is, so that its death can be seen: host, process, when the process began, Slurm job."""
    return "|".join([socket.gethostname(), str(os.getpid()), _began(os.getpid()), own_job()])


def _began(pid: int) -> str:
    """Start of a process in clock ticks, which tells it from a later one of the same number; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_dead(worker: str) -> bool:
    """Whether the worker of this name has ended for certain; one that cannot be asked about counts as alive."""
    host, pid, began, job = (*worker.split("|"), "", "", "", "")[:4]
    if job:
        return has_ended(job)
    if host != socket.gethostname() or (process := _process(pid)) is None:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _began(process) != began


def _process(text: str) -> int | None:
    """The number of a process; None for a text that is none, and for 0 and 1, which no worker has."""
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text) and 1 < int(text) < 1 << 31 else None


@contextlib.contextmanager
def registered(root: Path) -> Iterator[None]:
    """Be known as a worker of the folder."""
    folder = root / _FOLDER
    with writing(folder):
        folder.mkdir(exist_ok=True)
    file = folder / f"{socket.gethostname()}-{os.getpid()}"
    write_whole(file, worker_name())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def living(root: Path) -> set[int]:
    """Processes of this host that are workers of the folder; what dead ones left is cleared away."""
    processes = set()
    for file in (root / _FOLDER).glob("[!.]*"):
        try:
            name = read_bytes(file, 1024).decode("utf-8", errors="replace")
        except DocumentError:  # it has just ended
            continue
        host, _, rest = name.partition("|")
        process = _process(rest.partition("|")[0])
        if process is not None and is_dead(name):
            file.unlink(missing_ok=True)
        elif process is not None and host == socket.gethostname():
            processes.add(process)
    return processes


def start(root: Path, n: int, tags: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    """Start workers on this machine that outlive this process; each ends when there is nothing that it may do."""
    with (root / LOG).open("ab") as file:
        words = _command(root, tags)
        return [subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True) for _ in range(n)]


def _command(root: str | os.PathLike[str], tags: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "sisso_sal", "worker", str(root), "--tags", ",".join(tags)]
