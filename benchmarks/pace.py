"""What whole commands cost, from start to end: CPU time and memory, beside the commit before.

    python benchmarks/pace.py [--before CHECKOUT_OR_COMMIT] [--rows NAME,…] [--runs 5] [--limit 1800]
    python benchmarks/pace.py --plot docs/growth.png

Each command runs as a process of its own. CPU time is user and system time of the process and of those that it started. The two
checkouts take turns, so that other work of the machine disturbs both alike. Printed is the median of each. Bytecode and compiled
kernels are on disk after a first run, which is not counted. Memory is the largest resident size of one process. A run that takes
more CPU time than the limit is ended, and its row says so. `--before` is the commit before this one where nothing else is given;
outside of a repository there is only this checkout. `--plot` draws how time and memory of `discover` grow with labels, candidates
and members.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tables import pool_table

HERE = Path(__file__).resolve().parents[1]
OXIDES = HERE / "data" / "oxides.csv"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name : str
        For ``--rows``.
    what : str
        In words.
    make : callable
        Takes a folder, writes what the command reads there, and returns the arguments of ``sisso-sal``.
    runs : int
        At most; a run that takes minutes is not repeated.
    is_first : bool
        Whether kernels must be compiled.
    """

    name: str
    what: str
    make: Callable[[Path], list[str]]
    runs: int = 5
    is_first: bool = False


@dataclass(frozen=True)
class Cost:
    """CPU time (s) and largest memory (bytes) of one process; the time is infinite where the limit ended it."""

    seconds: float
    n_bytes: int


def small(folder: Path) -> list[str]:
    """20 rows of four random columns, the last of them the target ``y``."""
    rows = np.random.default_rng(0).uniform(1, 2, (20, 4)).round(5)
    path = folder / "small.csv"
    path.write_text("a,b,c,y\n" + "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n")
    return ["fit", str(path), "--target", "y", "--json"]


def help_page(folder: Path) -> list[str]:
    return ["--help"]


def shipped(folder: Path) -> list[str]:
    return ["discover", str(OXIDES), "--dry-run", "--json"]


def shipped_as_a_run(folder: Path) -> list[str]:
    return ["discover", str(OXIDES), "--out", "run", "--json"]


def random_candidates(n: int, n_labelled: int, *, formulas: bool = True) -> Callable[[Path], list[str]]:
    """`discover` on random candidates, see `tables.pool_table`."""

    def make(folder: Path) -> list[str]:
        path = folder / f"candidates-{n}-{n_labelled}.csv"
        pool_table(path, n, n_labelled, formulas=formulas)
        return ["discover", str(path), "--dry-run", "--json"]

    return make


def many_members(count: int) -> Callable[[Path], list[str]]:
    """`discover` on the shipped table with so many members."""
    return lambda folder: [*shipped(folder), "--members", str(count)]


def one_seed(folder: Path) -> list[str]:
    """Sixty evaluations of the 250 oxides beside the checkout, where they are, else twenty of those that are shipped."""
    table = HERE.parent / "shared" / "data" / "oxides_gpbx.csv"
    shared = ["--target", "g_pbx (eV/atom)", "--evaluations", "60"]
    source = [str(table), *shared] if table.exists() else [str(OXIDES), "--n-start", "15", "--evaluations", "20"]
    return ["replay", *source, "--surrogates", "sisso", "--members", "30", "--seeds", "1", "--workers", "1", "--json"]


ROWS = (
    Row("help", "--help", help_page),
    Row("fit", "fit, 20 rows of 3 features", small),
    Row("first", "the same, first run after an installation", small, runs=1, is_first=True),
    Row("discover", "discover data/oxides.csv --dry-run", shipped),
    Row("run", "discover data/oxides.csv, with run folder and report", shipped_as_a_run),
    Row("1000", "discover, 4500 candidates, 1000 labels", random_candidates(4500, 1000), runs=3),
    Row("5000", "discover, 9000 candidates, 5000 labels", random_candidates(9000, 5000), runs=1),
    Row("formulas", "discover, 2·10^5 candidates with formulas", random_candidates(200_000, 100), runs=3),
    Row(
        "million", "discover, 10^6 candidates of 15 features", random_candidates(1_000_000, 100, formulas=False), runs=1
    ),
    Row("replay", "one seed of a replay", one_seed, runs=1),
)

GROWTH: Mapping[str, Mapping[int, Callable[[Path], list[str]]]] = {
    "labels (of 10 000 candidates)": {n: random_candidates(10_000, n) for n in (30, 100, 300, 1000, 2000, 5000)},
    "candidates (100 labels)": {n: random_candidates(n, 100) for n in (300, 3000, 30_000, 300_000, 1_000_000)},
    "members (data/oxides.csv)": {n: many_members(n) for n in (10, 30, 100, 300)},
}
"""Curves of the plot: what grows, and the command for each size."""


class Checkout:
    """Runs commands of one checkout.

    Parameters
    ----------
    root : Path
    folder : Path
        Where they run; compiled kernels are kept there.
    limit : int
        Seconds of CPU time that a run may take.
    """

    def __init__(self, root: Path, folder: Path, limit: int):
        self.root, self.folder, self.limit = root, folder, limit
        folder.mkdir()

    def cost(self, arguments: Sequence[str], kernels: str) -> Cost:
        """Run a command with kernels in a folder of this name.

        Raises
        ------
        SystemExit
            It fails otherwise than by the limit.
        """
        place = {"PYTHONPATH": str(self.root), "XDG_CONFIG_HOME": str(self.folder)}
        caches = {"NUMBA_CACHE_DIR": self.folder / kernels, "PYTHONPYCACHEPREFIX": self.folder / "bytecode"}
        environment = os.environ | place | {name: str(cache) for name, cache in caches.items()}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        command = [sys.executable, "-c", "from sisso_sal.cli import main; main()", *arguments]
        with tempfile.TemporaryFile() as stderr:
            child = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=stderr,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (self.limit, self.limit)),
            )  # fmt: skip
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode < 0:  # by the limit of the CPU time
                return Cost(float("inf"), usage.ru_maxrss * 1024)
            if child.returncode:
                stderr.seek(0)
                message = stderr.read().decode(errors="replace")
                raise SystemExit(f"{self.root}: {' '.join(arguments)}: exit code {child.returncode}\n{message}")
        return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def measure(row: Row, checkouts: Sequence[Checkout], folder: Path, runs: int) -> list[Cost]:
    """The median costs of a row in each checkout, which take turns."""
    arguments = row.make(folder)
    spent: list[list[Cost]] = [[] for _ in checkouts]
    if not row.is_first:
        for checkout in checkouts:
            checkout.cost(small(folder) if row.runs == 1 else arguments, "kernels")
    for turn in range(min(runs, row.runs)):
        for which in range(len(checkouts))[:: 1 if turn % 2 else -1]:
            kernels = f"none-{turn}" if row.is_first else "kernels"
            spent[which].append(checkouts[which].cost(arguments, kernels))
    return [
        Cost(statistics.median(c.seconds for c in each), int(statistics.median(c.n_bytes for c in each)))
        for each in spent
    ]


def in_words(cost: Cost, limit: int) -> tuple[str, str]:
    """Seconds and MiB."""
    seconds = (
        f"> {limit}"
        if np.isinf(cost.seconds)
        else f"{cost.seconds:.3g}"
        if cost.seconds < 100
        else f"{cost.seconds:.0f}"
    )
    return seconds, f"{cost.n_bytes / 2**20:.0f}"


def growth(checkout: Checkout, folder: Path) -> dict[str, dict[int, Cost]]:
    """What `discover` costs for each size of each curve."""
    curves: dict[str, dict[int, Cost]] = {}
    for name, commands in GROWTH.items():
        curves[name] = {}
        for size, make in commands.items():
            cost = curves[name][size] = checkout.cost(make(folder), "kernels")
            print(f"  {name}: {size}: {' s, '.join(in_words(cost, checkout.limit))} MiB", file=sys.stderr, flush=True)
    return curves


def draw(curves: Mapping[str, Mapping[int, Cost]], path: Path) -> None:
    """CPU time and memory against labels, candidates and members."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(curves), figsize=(11, 5.6), sharex="col", sharey="row", layout="constrained")
    for (upper, lower), (name, costs) in zip(axes.T, curves.items(), strict=True):
        sizes = np.array(list(costs), dtype=float)
        seconds = np.array([cost.seconds for cost in costs.values()])
        upper.loglog(sizes, seconds, "o-", color="#0072B2", label="measured")
        upper.loglog(sizes, seconds[-1] * sizes / sizes[-1], "--", color="#888888", label="proportional")
        lower.loglog(sizes, [cost.n_bytes / 2**30 for cost in costs.values()], "o-", color="#D55E00")
        lower.set(xlabel=name)
    for row, ticks in zip(axes, ((1, 2, 5, 10, 20, 50), (0.25, 0.5, 1, 2)), strict=True):
        row[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        row[0].set_yticks([], minor=True)
    for axis in axes.flat:
        axis.grid(alpha=0.3, which="both")
    axes[0, 0].set_ylabel("CPU time of discover (s)")
    axes[1, 0].set_ylabel("largest memory (GiB)")
    axes[0, 0].legend()
    axes[0, 0].set_ylim(bottom=1)
    figure.savefig(path, dpi=150)
    print(f"wrote {path}", file=sys.stderr)


def checkout_of(before: str | None, folder: Path) -> Path | None:
    """The folder of a checkout, or the files of a commit, unpacked; None without a repository.

    Raises
    ------
    SystemExit
        There is no such folder or commit.
    """
    if before and Path(before, "sisso_sal").is_dir():
        return Path(before).resolve()
    archive = folder / "before.tar"
    command = ["git", "-C", str(HERE), "archive", "--output", str(archive), before or "HEAD~1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        if before:
            raise SystemExit(f"--before: needs a checkout or a commit, found '{before}': {done.stderr.strip()}")
        return None
    target = folder / "before"
    shutil.unpack_archive(archive, target, filter="data")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--before", help="a checkout or a commit to compare with; by default the commit before this one"
    )
    parser.add_argument("--rows", help=f"which lines, of {','.join(row.name for row in ROWS)}; by default all")
    parser.add_argument("--plot", type=Path, help="draw the growth of time and memory into this file, and nothing else")
    parser.add_argument("--runs", type=int, default=5, help="runs of each command in each checkout, at most")
    parser.add_argument("--limit", type=int, default=1800, help="CPU seconds after which a run is ended")
    options = parser.parse_args()
    wanted = options.rows.split(",") if options.rows else [row.name for row in ROWS]
    unknown = set(wanted) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"--rows: needs names of {','.join(row.name for row in ROWS)}, found {','.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if options.plot:
            checkout = Checkout(HERE, folder / "this", options.limit)
            checkout.cost(shipped(folder), "kernels")
            draw(growth(checkout, folder), options.plot)
            return
        other = checkout_of(options.before, folder)
        roots = [HERE] if other is None else [HERE, other]
        checkouts = [
            Checkout(root, folder / name, options.limit) for root, name in zip(roots, ("this", "other"), strict=False)
        ]
        print("| command | before s | now s | ratio | before MiB | now MiB |\n|---|---|---|---|---|---|")
        for row in ROWS:
            if row.name in wanted:
                now, *rest = measure(row, checkouts, folder, options.runs)
                seconds, memory = in_words(now, options.limit)
                old, old_memory, ratio = "-", "-", "-"
                if rest:
                    (old, old_memory), ratio = in_words(rest[0], options.limit), f"{now.seconds / rest[0].seconds:.2f}"
                print(f"| {row.what} | {old} | {seconds} | {ratio} | {old_memory} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
