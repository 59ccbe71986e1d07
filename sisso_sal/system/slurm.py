"""Jobs of Slurm: which one this process is in, and whether another has ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

PATIENCE = 30
"""Seconds in which ``squeue`` has to answer."""


def own_job() -> str:
    """The job in which this process runs, and how many times it was put back into the queue; empty where there is none.

    Examples
    --------
    >>> isinstance(own_job(), str)
    True
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    again = os.environ.get("SLURM_RESTART_COUNT", "")
    return f"{job}.{again}" if job and again not in ("", "0") else job


def cores_per_task() -> int:
    """Cores that each parallel task of a program which is started from here has: those of the job, else the threads of OpenMP.

    Examples
    --------
    >>> cores_per_task() >= 1
    True
    """
    for name in ("SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"):
        first = os.environ.get(name, "").partition(",")[0].strip()  # OpenMP takes one number for each level
        if first.isdecimal() and int(first) > 0:
            return int(first)
    return 1


def has_ended(job: str) -> bool:
    """Whether a job, named as by `own_job`, has ended for certain. One that cannot be asked about counts as running.

    A job that was put back into the queue keeps its number; what ran in it before has ended.

    Parameters
    ----------
    job : str

    Examples
    --------
    >>> has_ended("")
    False
    """
    number, _, again = job.partition(".")
    if not number.isdigit():
        return False
    own, _, own_again = own_job().partition(".")
    if number == own:
        return int(again or 0) < int(own_again or 0)
    try:
        done = subprocess.run(["squeue", "-h", "-j", number], capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "Invalid job id" in done.stderr or (done.returncode == 0 and not done.stdout.strip())


def steps(job: str, name: str) -> list[str]:
    """Steps of a job that have a name and have not ended; none where Slurm cannot be asked.

    Examples
    --------
    >>> steps("", "anything")
    []
    """
    if not job.isdigit():
        return []
    words = ["squeue", "-h", "-s", "-j", job, "-o", "%i %j"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    return [row[0] for row in rows if len(row) == 2 and row[1].strip() == name]


def cancel(step: str) -> None:
    """End a step; whether it has ended is for `steps` to tell."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["scancel", step], capture_output=True, timeout=PATIENCE)


def absolute(path: str | os.PathLike[str]) -> str:
    """A path for a script that may be started anywhere; links stay, since a shared file system is often behind one."""
    return os.path.abspath(Path(path))
