#!/usr/bin/env python3
"""A program as an ``mpirun`` at its worst: it ignores SIGTERM, and so does its rank, which has a session of its own and outlives it.

Both write into the current folder every few milliseconds. ``stubborn.py SECONDS`` is how long ``mpirun`` lives, its rank an hour.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(seconds, kind):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if kind == "mpirun":
        subprocess.Popen([sys.executable, __file__, "3600", "rank"], start_new_session=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        Path(kind).write_text(f"{os.getpid()} {time.time()}")
        time.sleep(0.01)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "mpirun")
