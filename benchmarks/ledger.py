"""How fast the ledger is: events a second with every one on disk, and the time to open a run of many.

    python benchmarks/ledger.py [--events 10000] [--folder FOLDER]

The time of a synced write is that of the disk; beside it stands the time of the bare syncs that it needs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import Ledger, read_ledger

SYNCS = 5
"""Of one transaction: journal twice, its folder twice (made and gone), database."""


def label(number: int) -> tuple[str, dict]:
    return "label", {"id": f"Sr{number}TiO{number}", "value": number / 7, "source": "oracle", "core_hours": 1.5}


def bare_syncs(folder: Path, number: int) -> float:
    """Seconds for as many syncs of a file that grows by a page each."""
    with (folder / "bare").open("wb", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(number):
            file.write(bytes(4096))
            os.fsync(file.fileno())
        return time.perf_counter() - start


def written(folder: Path, n_events: int, at_a_time: int) -> float:
    """Seconds to write events, so many in one transaction."""
    with Ledger(folder) as ledger:
        start = time.perf_counter()
        for first in range(0, n_events, at_a_time):
            ledger.append_all([label(number) for number in range(first, min(first + at_a_time, n_events))])
        return time.perf_counter() - start


def opened(folder: Path, n_events: int) -> tuple[float, float, float]:
    """Seconds to open a run of many events as a driver (checks, lock, state), as a reader, and of CPU time as a reader."""
    with Ledger(folder) as ledger:
        ledger.append_all([label(number) for number in range(n_events)])
    start = time.perf_counter()
    with Ledger(folder) as ledger:
        state = fold(ledger.events())
        driver = time.perf_counter() - start
    assert len(state.labels) == n_events
    start, cpu = time.perf_counter(), time.process_time()
    fold(read_ledger(folder).events())
    return driver, time.perf_counter() - start, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the temporary folder by default")
    arguments = parser.parse_args()
    n = arguments.events
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder = Path(scratch)
        bare = bare_syncs(folder, 500) / 500
        print(f"one sync of a growing file: {1e3 * bare:.2f} ms; a transaction needs {SYNCS}")
        for at_a_time in (1, 5):
            seconds = written(folder / f"by{at_a_time}", n, at_a_time)
            each = seconds / (n / at_a_time)
            print(
                f"{n} events, {at_a_time} in a transaction, each on disk: {seconds:.1f} s ({1e3 * each:.2f} ms a transaction, "
                f"{each / bare:.1f} bare syncs)"
            )
        driver, reader, cpu = opened(folder / "large", 10 * n)
        print(f"opening a run of {10 * n} events: {driver:.2f} s as driver, {reader:.2f} s as reader ({cpu:.2f} s CPU)")


if __name__ == "__main__":
    main()
