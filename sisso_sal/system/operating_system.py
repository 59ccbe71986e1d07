"""What operating systems do not have in common, in one place.

Linux is what the tests run on. macOS has the same calls, but no ``/proc``. Windows has not: there tables are read, models fitted,
candidates proposed and reports written, and what starts calculations is refused (`needs_posix`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from sisso_sal.errors import SettingsError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = [
    "BROKEN_PIPE",
    "CLOSED_IN_CHILDREN",
    "HANG_UP",
    "KILL",
    "NO_LINK",
    "WITHOUT_WAITING",
    "group_of",
    "handle_later",
    "is_running",
    "needs_posix",
    "own_group",
    "send",
    "send_to_group",
    "sync_entries",
    "try_lock",
]

NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
"""Flag of `os.open`: refuse a link in the place of a file."""

CLOSED_IN_CHILDREN: int = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_BINARY", 0)
"""Flags of `os.open`: children do not get the handle; bytes are taken as they are."""

WITHOUT_WAITING: int = getattr(os, "O_NONBLOCK", 0)
"""Flag of `os.open`: do not wait for the other end of a pipe."""

KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)
"""The signal that a process cannot ignore."""

HANG_UP: int = getattr(signal, "SIGHUP", signal.SIGTERM)
"""The signal that a terminal sends when it is closed."""

BROKEN_PIPE = 13
"""Number of the signal of POSIX that ends who writes to a pipe without a reader."""

_SEES = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
_DENIED = 5  # ERROR_ACCESS_DENIED
_RUNS = 259  # STILL_ACTIVE


def needs_posix(what: str) -> None:
    """Refuse work that rests on process groups and locks of POSIX.

    Raises
    ------
    SettingsError
        This is another operating system.

    Examples
    --------
    >>> needs_posix("oracle command")
    """
    if fcntl is None:
        raise SettingsError(f"{what}: needs Linux or macOS, found {sys.platform}")


def is_running(pid: int) -> bool:
    """Whether a process of this number, which is above 0, exists.

    Examples
    --------
    >>> is_running(os.getpid())
    True
    """
    if sys.platform == "win32":  # os.kill would end it there
        import ctypes

        return _runs_on_windows(ctypes.windll.kernel32, pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _runs_on_windows(kernel: Any, pid: int) -> bool:
    import ctypes

    handle = kernel.OpenProcess(_SEES, False, pid)
    if not handle:
        return kernel.GetLastError() == _DENIED
    code = ctypes.c_ulong()
    is_known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return bool(is_known) and code.value == _RUNS


def send(pid: int, number: int) -> None:
    """Send a signal; nothing happens where the process has ended or is of another user."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def send_to_group(group: int, number: int) -> None:
    """Send a signal to all processes of a group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def own_group() -> int:
    """Number of the process group of this process; 0 where there are none."""
    return os.getpgrp() if hasattr(os, "getpgrp") else 0


def group_of(pid: int) -> int:
    """Number of the process group of a process; 0 where it is not known."""
    try:
        return os.getpgid(pid)
    except (OSError, AttributeError):
        return 0


def try_lock(handle: int) -> bool:
    """Lock an open file for this process and those that get its handle, until the last of them has closed it.

    Parameters
    ----------
    handle : int

    Returns
    -------
    bool
        Whether it could be locked; False where another has it.

    Raises
    ------
    OSError
        The file system has no locks.
    """
    assert fcntl is not None, "needs_posix was not asked"
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def handle_later(seconds: float, handler: Callable[[int, FrameType | None], Any]) -> bool:
    """Have a signal handler called after a while; False where there is no such clock, and nothing happens."""
    if not hasattr(signal, "SIGALRM"):
        return False
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return True


def sync_entries(folder: str | os.PathLike[str]) -> None:
    """Write the list of a folder's files to disk, where folders can be opened; elsewhere the system does it.

    Raises
    ------
    OSError
        The disk refuses.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if sys.platform == "win32" and error.errno == errno.EACCES:
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
