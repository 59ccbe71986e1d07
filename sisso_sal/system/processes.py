"""Processes that a file names: whether they exist, and whether a group of them is the one that is meant."""

from __future__ import annotations

import os
from pathlib import Path

LARGEST = 2**31 - 1
"""The largest number that a process can have."""


def exists(pid: int) -> bool:
    """Whether a process of this number exists on this machine.

    Numbers that no process has (0, negative, too large) name none: for the operating system they stand for groups of processes.

    Examples
    --------
    >>> exists(os.getpid()), exists(0), exists(-1), exists(10**30)
    (True, False, False, False)
    """
    if not 0 < pid <= LARGEST:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def holds(group: int, path: str | os.PathLike[str]) -> bool:
    """Whether a process of a group has a file open, so that a signal to the group reaches those who work with the file.

    Parameters
    ----------
    group : int
        Number of a process group; 1 and less stand for others than one group, and hold nothing.
    path : path

    Returns
    -------
    bool
        Without a folder ``/proc`` it cannot be seen; then whether the group is not the own one.
    """
    if not 1 < group <= LARGEST or group == os.getpgrp():
        return False
    if not Path("/proc/self/fd").is_dir():
        return True
    wanted = os.stat(path)
    return any(_has_open(pid, wanted) for pid in os.listdir("/proc") if pid.isdigit() and _group_of(int(pid)) == group)


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _has_open(pid: str, wanted: os.stat_result) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            try:
                if os.path.samestat(os.stat(f"{folder}/{name}"), wanted):
                    return True
            except OSError:  # it was just closed
                continue
    except OSError:  # it has just ended, or is of another user
        pass
    return False
