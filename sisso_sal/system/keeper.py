"""The keeper of a program: it ends the program when its starter is gone, or has lost its lease. See `sisso_sal.system.programs`."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sisso_sal.system.operating_system import HANG_UP
from sisso_sal.system.programs import end, new_mark, note_end

__all__ = ["main"]

_PAUSE = 0.5  # seconds between two looks at the lease


def main(words: Sequence[str]) -> None:
    """Wait for the end of a starter, which is the end of the standard input.

    Parameters
    ----------
    words : sequence of str
        The mark, the job of Slurm or "", the folder for the note that all is gone, the lease or "", and the seconds of grace.
    """
    mark, folder, lease = replace(new_mark(), mark=words[0], job=words[1]), Path(words[2]), words[3]
    for number in (signal.SIGTERM, signal.SIGINT, HANG_UP):  # what ends the starter must not end its keeper first
        signal.signal(number, signal.SIG_IGN)
    said = b""
    while not lease or os.path.exists(lease):
        if not select.select([0], [], [], _PAUSE)[0]:
            continue
        new = os.read(0, 1024)
        said += new
        if b"end" in said:
            return
        if not new:
            break
    group = said.split(b"\n")[0]
    if not end(mark, int(group) if group.isdigit() else 0, grace=float(words[4])):
        note_end(folder)
