"""Programs that end with those who started them: all their processes, and seen to be gone.

A program starts others: ``mpirun`` its ranks, a script ``mpirun``, Slurm's ``srun`` a step on other nodes. So every process of a
program carries a mark in its environment, which children inherit whatever group or session they make, and a step of Slurm has it
as its name. A *keeper*, a small process beside the program, ends it when its starter is gone or was given up.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sisso_sal.errors import SissoSalError
from sisso_sal.system import processes, slurm
from sisso_sal.system.operating_system import KILL, needs_posix, send
from sisso_sal.system.storage import write_whole

__all__ = [
    "ENDED",
    "MARK",
    "Kept",
    "ProgramMark",
    "NotEnded",
    "end",
    "is_of_here",
    "kept",
    "new_mark",
    "note_end",
    "survivors",
]

MARK = "PROGRAM_OF_SISSO_SAL"
"""The variable that every process of a program has in its environment."""

ENDED = "ended.json"
"""The file of a folder that says that all processes of its program are gone."""

GRACE = 10.0
"""Seconds between asking processes to end and killing them."""

_PATIENCE = 60.0  # seconds in which killed processes have to be gone
_PAUSE = 0.05
_SLURM_PAUSE = 2.0
_ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class ProgramMark:
    """What the processes of one program can be found by.

    Attributes
    ----------
    mark : str
        The value of the variable, and the name of a step of Slurm.
    host, place : str
        Where the starter ran; the place tells a boot and a container from others.
    job : str
        Of Slurm; "" where there is none.
    """

    mark: str
    host: str
    place: str
    job: str


class NotEnded(SissoSalError):
    """A process of a program cannot be ended: most often it waits for a file system that does not answer."""


def new_mark() -> ProgramMark:
    """A mark for a program that this process starts.

    Examples
    --------
    >>> is_of_here(new_mark())
    True
    """
    return ProgramMark(
        f"sisso-sal-{os.urandom(8).hex()}", socket.gethostname(), _place(), os.environ.get("SLURM_JOB_ID", "")
    )


def _place() -> str:
    return processes.birth(os.getpid()).rpartition(".")[0]


def is_of_here(mark: ProgramMark) -> bool:
    """Whether the processes of a program, as far as they are those of its starter's machine, can be seen from here."""
    return (mark.host, mark.place) == (socket.gethostname(), _place())


def survivors(mark: ProgramMark, group: int = 0) -> list[str]:
    """What is left of a program, as far as it can be seen from here.

    Parameters
    ----------
    mark : ProgramMark
    group : int
        The process group that the program began with, where it cannot be another one by now; 0 where that is not known.

    Returns
    -------
    list of str
        ``process 12`` and ``step 7.0``.
    """
    local = [f"process {pid}" for pid in sorted(_processes(mark, group))] if is_of_here(mark) else []
    return local + [f"step {step}" for step in slurm.steps(mark.job, mark.mark)]


def _processes(mark: ProgramMark, group: int) -> set[int]:
    wanted = f"{MARK}={mark.mark}".encode()
    found = set(processes.of_group(group)) if group else set()
    for pid in processes.every():
        with contextlib.suppress(OSError):  # it has just ended, or is of another user
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found - {os.getpid()}


def end(mark: ProgramMark, group: int = 0, *, grace: float = GRACE, patience: float = _PATIENCE) -> list[str]:
    """End a program with all its processes, and see that they are gone.

    Parameters
    ----------
    mark : ProgramMark
    group : int
        As in `survivors`.
    grace, patience : float
        Seconds before processes are killed, and before those that cannot be killed are given up.

    Returns
    -------
    list of str
        What could not be ended.
    """
    began, told = time.monotonic(), set[str]()
    while left := survivors(mark, group):
        waited = time.monotonic() - began
        if waited > grace + patience:
            return left
        for each in left:
            _signal(each, signal.SIGTERM if waited <= grace else KILL, is_first=each not in told)
        told.update(left)
        time.sleep(_SLURM_PAUSE if any(each.startswith("step") for each in left) else _PAUSE)
    return []


def _signal(what: str, number: int, *, is_first: bool) -> None:
    """Ask once, kill as often as need be."""
    kind, _, name = what.partition(" ")
    if kind == "step":
        if is_first or number == KILL:
            slurm.cancel(name)
    elif is_first or number == KILL:
        send(int(name), number)


@dataclass
class Kept:
    """A program that is about to start.

    Attributes
    ----------
    mark : ProgramMark
    environment : dict of str to str
        What it has to be started with.
    """

    mark: ProgramMark
    environment: dict[str, str]
    _keeper: subprocess.Popen[bytes]
    _grace: float
    _group: int = 0

    def began(self, group: int) -> None:
        """Tell the group of its processes."""
        self._group = group
        self.say(f"{group}\n")

    def end(self) -> list[str]:
        """End all of the program; returns what could not be ended."""
        return end(self.mark, self._group, grace=self._grace)

    def say(self, text: str) -> None:
        """A line for the keeper, which may have been killed."""
        assert self._keeper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._keeper.stdin.write(text.encode())
            self._keeper.stdin.flush()


@contextlib.contextmanager
def kept(mark: ProgramMark, folder: Path, lease: Path | None = None, grace: float = GRACE) -> Iterator[Kept]:
    """Run a program in the body; afterwards nothing of it is left, whatever becomes of this process.

    Parameters
    ----------
    mark : ProgramMark
    folder : path
        Where the file `ENDED` is written.
    lease : path, optional
        A file without which this process has no business to run the program any more.
    grace : float
        As in `end`.

    Raises
    ------
    SettingsError
        This is no operating system on which programs can be ended with all that they started.
    NotEnded
        Something of it cannot be ended.
    """
    needs_posix("calculations")
    code = f"import sys; sys.path.insert(0, {_ROOT!r}); from sisso_sal.system.keeper import main; main(sys.argv[1:])"
    words = [sys.executable, "-c", code, mark.mark, mark.job, str(folder), str(lease or ""), str(grace)]
    keeper = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    # Slurm names a step after its job unless it is told otherwise.
    program = Kept(
        mark, {**os.environ, MARK: mark.mark, **({"SLURM_JOB_NAME": mark.mark} if mark.job else {})}, keeper, grace
    )
    try:
        yield program
    finally:
        left = program.end()
        if not left:
            note_end(folder)
            program.say("end\n")
        assert keeper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            keeper.stdin.close()
        if not left:
            keeper.wait()
    if left:
        threading.Thread(target=keeper.wait, daemon=True).start()  # it goes on; this process takes its exit status
        raise NotEnded(f"{', '.join(left)}: cannot be ended")


def note_end(folder: Path) -> None:
    """Write down that nothing of the program of a folder is left."""
    write_whole(folder / ENDED, json.dumps({"time": time.time()}) + "\n")
