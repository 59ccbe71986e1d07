"""What POSIX alone has lies behind one module, and the rest of the program does without it."""

import ctypes
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import sisso_sal
from sisso_sal.system import operating_system
from sisso_sal.system.operating_system import is_running, try_lock

POSIX_OF_OS = ["O_NOFOLLOW", "O_NONBLOCK", "getpgrp", "getpgid", "killpg", "posix_spawn", "sched_getaffinity", "setsid"]
POSIX_OF_SIGNAL = ["SIGKILL", "SIGALRM", "SIGHUP", "SIGPIPE", "setitimer", "ITIMER_REAL"]

WITHOUT_POSIX = f"""
import os, signal, sys
sys.modules["fcntl"] = None
for module, names in ((os, {POSIX_OF_OS}), (signal, {POSIX_OF_SIGNAL})):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
from sisso_sal.cli import main
main()
"""
TABLE = "id,a (eV),b (eV),gap (eV)\n" + "".join(
    f"M{i},{1 + 0.37 * i % 1.3:.3f},{1 + 0.71 * i % 1.7:.3f},{f'{2 + 0.37 * i % 1.3:.3f}' if i < 12 else ''}\n"
    for i in range(16)
)


def test_only_one_module_uses_what_posix_alone_has():
    """But for starting a command in a session of its own, which is asked for after `needs_posix`."""
    root = Path(sisso_sal.__file__).parent
    names = "|".join({*POSIX_OF_OS, "kill", "waitpid", "fork"} - {"sched_getaffinity", "posix_spawn", "waitpid"})
    wanted = re.compile(
        rf"\bos\.({names})\b|\bsignal\.({'|'.join(POSIX_OF_SIGNAL)})\b|^\s*import (fcntl|resource|termios)\b", re.M
    )
    found = {
        str(path.relative_to(root)) for path in root.rglob("*.py") if wanted.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"system/operating_system.py"}


def test_without_posix_tables_are_read_models_fitted_and_reports_written_and_commands_refused(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)

    def run(*words):
        command = [sys.executable, "-W", "ignore", "-c", WITHOUT_POSIX, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("discover", "table.csv", "--rung", "1", "--members", "4", "--batch", "2")
    assert done.returncode == 0, done.stderr
    assert "Best candidates for gap" in done.stdout
    assert (tmp_path / "runs/table/report.html").stat().st_size > 1_000_000
    status = run("status", "runs/table")
    assert (status.returncode, status.stderr.count("error")) == (0, 0)
    refused = run("discover", "table.csv", "--oracle", "command:true {id}", "--out", "runs/other")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith(f"error: oracle command: needs Linux or macOS, found {sys.platform}\n")


@pytest.mark.parametrize(
    ("handle", "error", "code", "is_there"),
    [(8, 0, 259, True), (8, 0, 1, False), (0, 5, 0, True), (0, 87, 0, False)],
    ids=["runs", "has ended", "is of another user", "is none"],
)
def test_windows_is_asked_without_a_signal(handle, error, code, is_there):
    """The three calls as Microsoft describes them; a signal 0 would end a process there."""
    closed = []

    def exit_code(_, place):
        place._obj.value = code
        return 1

    kernel = types.SimpleNamespace(
        OpenProcess=lambda access, inherits, pid: handle,
        GetLastError=lambda: error,
        GetExitCodeProcess=exit_code,
        CloseHandle=closed.append,
    )
    assert operating_system._runs_on_windows(kernel, 7) is is_there
    assert closed == [handle] * (handle > 0)
    assert ctypes.sizeof(ctypes.c_ulong) >= 4


def test_a_lock_is_held_until_its_handle_is_closed(tmp_path):
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)
    assert is_running(os.getpid())
