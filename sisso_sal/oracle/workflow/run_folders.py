"""The folders of calculations of a run: its own and, where it has levels of theory, one for each lower level that computes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from sisso_sal.oracle.workflow.repository import has_tasks
from sisso_sal.oracle.workflow.tasks import TAGS, put_back, work

__all__ = ["calculation_folders", "put_back_in_run", "work_for_run"]

_PAUSE = 5.0
_LOOK = 60.0  # seconds that a worker waits in one folder before it looks whether there are others


def calculation_folders(run: Path) -> list[Path]:
    """Those that hold calculations now, that of the run first; of a folder of calculations itself (``RUN/oracle``) that alone."""
    places = [run / "oracle", *sorted(run.glob("levels/*/oracle")), run]
    return [place for place in places if has_tasks(place)]


def work_for_run(run: Path, tags: Sequence[str] = TAGS, idle: float = 0.0) -> None:
    """Be a worker of a run, at all its levels, until no step is left.

    Parameters
    ----------
    run : path
        A run folder, the folder of a level, or a folder of calculations.
    tags, idle
        As `sisso_sal.oracle.workflow.tasks.work` takes them.

    Raises
    ------
    InputError
        The run holds no calculations, or a tag is unknown.
    OracleError
        A folder cannot be used, or its tasks cannot be begun.
    """
    last = time.monotonic()
    while True:  # the folder of a level may come later than that of another
        folders = calculation_folders(run) or [run]
        waits = min(idle, _LOOK) if len(folders) == 1 else 0.0
        n_done = sum(work(folder, tags, waits) for folder in folders)
        if n_done:
            last = time.monotonic() - waits
        elif time.monotonic() - last >= idle:
            return
        elif not waits:
            time.sleep(min(_PAUSE, idle))


def put_back_in_run(run: Path) -> list[str]:
    """Put back what dead workers of a run left, see `sisso_sal.oracle.workflow.tasks.put_back`; returns names of steps."""
    return [name for folder in calculation_folders(run) or [run] for name in put_back(folder)]
