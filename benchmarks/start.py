"""How long a small `fit`, a dry run of `discover` and `--help` take from start to end in two checkouts: most of it is the start.

    python benchmarks/start.py OTHER_CHECKOUT [--runs 15] [--first 1]

The two take turns, so that other work of the machine disturbs both alike. Compiled kernels and bytecode are on disk after the first
run of each, which is not counted; "first fit" is the same fit with no compiled kernel on disk, as after an installation. Printed
are the medians on the clock and of the processor time, and the ratio of this checkout to the other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[1]


def small_table(path: Path) -> None:
    """20 rows of four random columns, the last of them the target ``y``."""
    rows = np.random.default_rng(0).uniform(1, 2, (20, 4)).round(5)
    path.write_text("a,b,c,y\n" + "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n")


def one_run(checkout: Path, folder: Path, arguments: list[str], kernels: Path | None = None) -> tuple[float, float]:
    """Seconds on the clock, and of processor time (user and system), of one command.

    Parameters
    ----------
    checkout : path
    folder : path
        Where the command runs; bytecode is kept there too, in the place of the checkout.
    arguments : list of str
    kernels : path, optional
        Folder of the compiled kernels; by default one for each checkout.

    Raises
    ------
    SystemExit
        The command fails.
    """
    kernels = folder / f"kernels of {checkout.name}" if kernels is None else kernels
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "XDG_CONFIG_HOME": str(folder),
        "NUMBA_CACHE_DIR": str(kernels),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, clock = os.times(), time.perf_counter()
    command = [sys.executable, "-c", "from sisso_sal.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds, after = time.perf_counter() - clock, os.times()
    if done.returncode:
        raise SystemExit(f"{checkout}: exit code {done.returncode}\n{done.stderr}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the checkout to compare this one with")
    parser.add_argument("--runs", type=int, default=15, help="runs of each command in each checkout")
    parser.add_argument("--first", type=int, default=1, help="runs without compiled kernels in each checkout")
    options = parser.parse_args()
    checkouts = [HERE, options.other.resolve()]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        small_table(folder / "small.csv")
        fit = ["fit", "small.csv", "--target", "y", "--json"]
        search = ["discover", str(HERE / "data" / "oxides.csv"), "--dry-run", "--json"]
        print(f"{'':17}{'this':>9}{'other':>10}{'ratio':>8}")
        for name, arguments in {"fit": fit, "discover": search, "--help": ["--help"]}.items():
            for checkout in checkouts:
                one_run(checkout, folder, arguments)
            compared(name, options.runs, lambda which, _, command=arguments: one_run(checkouts[which], folder, command))
        compared(
            "first fit",
            options.first,
            lambda which, turn: one_run(checkouts[which], folder, fit, folder / f"no kernels {which} {turn}"),
        )


def compared(name: str, runs: int, run: Callable[[int, int], tuple[float, float]]) -> None:
    """Print the medians of both checkouts; `run` takes 0 or 1, which of them, and the number of the turn."""
    spent: list[list[tuple[float, float]]] = [[], []]
    for turn in range(runs):
        for which in (0, 1) if turn % 2 else (1, 0):
            spent[which].append(run(which, turn))
    for kind, label in enumerate(("clock", "CPU")):
        this, other = (statistics.median(one[kind] for one in runs) for runs in spent)
        print(f"{name + ', ' + label:17}{this:7.3f} s{other:8.3f} s{this / other:8.3f}", flush=True)


if __name__ == "__main__":
    main()
