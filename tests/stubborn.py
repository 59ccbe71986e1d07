#!/usr/bin/env python3
"""An ``mpirun`` at its worst: it ignores SIGTERM, and so does its rank, which has a session of its own and outlives it.

Both write into the current folder every few milliseconds. ``stubborn.py SECONDS`` is how long ``mpirun`` lives, its rank an hour.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sisso_sal.system.programs import MARK


def main(seconds, kind):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if kind == "mpirun":
        subprocess.Popen([sys.executable, __file__, "3600", "rank"], start_new_session=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        Path(f"{kind}.new").write_text(f"{os.getpid()} {time.time()}")
        Path(f"{kind}.new").rename(kind)
        time.sleep(0.01)


def start(folder, mark, seconds="3600"):
    """Start it, and wait until both run."""
    environment = {**os.environ, MARK: mark.mark}
    process = subprocess.Popen([sys.executable, __file__, seconds], cwd=folder, env=environment, start_new_session=True)
    while not both_run(folder):
        time.sleep(0.02)
    return process


def both_run(folder):
    return all((folder / kind).exists() and (folder / kind).read_text() for kind in ("mpirun", "rank"))


def is_still(folder):
    """Whether nobody writes into the folder any more."""
    before = [(folder / kind).read_text() for kind in ("mpirun", "rank")]
    time.sleep(0.2)
    return before == [(folder / kind).read_text() for kind in ("mpirun", "rank")]


def keepers_of(mark):
    """Processes that keep the program of a mark."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_text()
            if mark.mark in words and "keeper" in words:
                found.append(int(place.name))
    return found


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "mpirun")
