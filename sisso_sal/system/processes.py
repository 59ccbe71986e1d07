"""Processes that a file names: whether they exist, and whether a group of them is the one that is meant."""

from __future__ import annotations

import os
from pathlib import Path

from sisso_sal.system.operating_system import group_of, is_running, own_group

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
    return is_running(pid)


def birth(pid: int) -> str:
    """Where and when a process began: boot of the machine, space of process numbers, clock tick. Empty where there is none.

    It tells a process from a later one of the same number, and whether a number of a file can be asked about here at all. A process
    that has ended, but of which its parent has not taken note, is none. Without ``/proc`` it tells only whether there is one.

    Examples
    --------
    >>> birth(os.getpid()) == birth(os.getpid()) != birth(os.getppid())
    True
    """
    if not Path("/proc/self/stat").exists():
        return "..0" if exists(pid) else ""
    try:
        state, *words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        space = os.stat("/proc/self/ns/pid").st_ino
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else f"{boot}.{space}.{words[18]}"


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
    if not 1 < group <= LARGEST or group == own_group():
        return False
    if not Path("/proc/self/fd").is_dir():
        return True
    wanted = os.stat(path)
    return any(_has_open(str(pid), wanted) for pid in of_group(group))


def every() -> list[int]:
    """Numbers of all processes that can be seen; none without a folder ``/proc``."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if Path("/proc/self").exists() else []


def of_group(group: int) -> list[int]:
    """Processes of a group that have not ended; without a folder ``/proc`` the leader stands for them."""
    if not Path("/proc/self").exists():
        return [group] if exists(group) else []
    return [pid for pid in every() if group_of(pid) == group and birth(pid)]


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
