"""The last rung of a feature space looked through by other processes: same choice, how much faster, how many bytes.

    python benchmarks/workers.py check [--workers 2]
    python benchmarks/workers.py ratio [--features 1e8] [--problems 1] [--rounds 3]
    python benchmarks/workers.py big [--fraction 0.001] [--primaries 8] [--samples 250] [--executor local] [--workers 2]

``check`` compares selections and census with those of this process, for rungs 2 and 3. ``ratio`` does the same search with one
worker and with two, in turn, and prints the wall times, features per second, and bytes sent and returned for 10^9 features; a
worker has one thread. ``big`` lays out rung 3 over 8 primary features and looks through every k-th part of one pass, so that the
part looked through is like the whole; it prints what the whole would take. The stored features and those of unary operators, which
begin a pass here, are looked through in any case and are timed apart. Wall times mean something only where nothing else runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import pickle
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sisso_sal.engine import parts
from sisso_sal.engine import screen as screening
from sisso_sal.engine.copies import copies_of
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import ScreeningStep, screen
from sisso_sal.engine.search import compile_for
from sisso_sal.engine.selection import Selection
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.system.durations import duration
from sisso_sal.system.executors import HERE, Workers, open_workers

N_SIS = 50


@dataclass
class Counted:
    """Workers whose parts are counted; of every `step` parts one is handed out."""

    workers: Workers
    step: int = 1
    sent: list[int] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    seconds: float = 0.0
    n_all: int = 0

    is_here = False

    @property
    def n(self) -> int:
        return self.workers.n

    @property
    def threads(self) -> int:
        return self.workers.threads

    def _some(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for number, part in enumerate(parts):
            self.n_all += 1
            if number % self.step == self.step // 2:
                yield part

    def unordered(self, function: Callable, parts: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        start = time.perf_counter()
        for part, answer in self.workers.unordered(function, self._some(parts)):
            self.sent.append(len(part))
            self.returned.append(len(answer))
            yield part, answer
        self.seconds += time.perf_counter() - start

    def in_words(self, n_features: float) -> str:
        each = 1e9 / n_features
        return (
            f"{len(self.sent)} of {self.n_all} parts; {np.mean(self.sent) / 1024:.1f} KiB out and "
            f"{np.mean(self.returned) / 1024:.1f} KiB back for a part, {sum(self.sent) * each / 2**20:.2f} MiB and "
            f"{sum(self.returned) * each / 2**20:.2f} MiB for 1e9 features"
        )


def warm(_: int) -> None:
    """Kernels are loaded before anything is measured; long enough for each worker to get one."""
    compile_for(1)
    time.sleep(0.5)


def prepared(recipe: bytes) -> None:
    """A worker makes the space and its copies in float32, and waits until the others do so too."""
    warm(0)
    copies = copies_of(parts.space_of(recipe))
    _ = copies.values, copies.inverses, copies.centred
    time.sleep(1.0)


def resident(_: int) -> float:
    """Largest memory of a worker, in GiB."""
    time.sleep(0.1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def made(n_primary: int, n_samples: int, settings: SpaceSettings) -> FeatureSpace:
    """A space over random primary features without units."""
    values = np.random.default_rng(0).uniform(1, 3, (n_primary, n_samples))
    return FeatureSpace([f"x{i}" for i in range(n_primary)], [""] * n_primary, values, settings)


def steps_of(space: FeatureSpace, n_problems: int, taken: list[Selection] | None = None) -> list[ScreeningStep]:
    """Bootstrap samples of one target; the first problem has all samples."""
    rng, x = np.random.default_rng(1), space.values
    target = x[0] * x[1] / x[2] + x[3] + rng.normal(0, 0.3, space.n_samples)
    steps = []
    for number in range(n_problems):
        counts = np.bincount(rng.integers(0, space.n_samples, space.n_samples), minlength=space.n_samples)
        weights = counts.astype(float) if number else np.ones(space.n_samples)
        problem = Problem(target, weights, np.ones(len(space.names), dtype=bool))
        own = taken[number] if taken else Selection.empty()
        steps.append(ScreeningStep(problem, problem.normalised(target[None], True), own))
    return steps


def look(space: FeatureSpace, steps: list[ScreeningStep], workers: Any = HERE) -> tuple[list[Selection], Any, float]:
    """The selections, the census and the wall time of a pass."""
    start = time.perf_counter()
    selections, census = screen(space, steps, N_SIS, workers=workers)
    return selections, census, time.perf_counter() - start


def is_equal(one: list[Selection], other: list[Selection]) -> bool:
    names = ("opcode", "left", "right", "score")
    return all(np.array_equal(getattr(a, k), getattr(b, k)) for a, b in zip(one, other, strict=True) for k in names)


def sized(n_features: float, n_samples: int) -> FeatureSpace:
    """Rung 3 with about so many features."""
    settings = SpaceSettings(operators=("add", "sub", "mult", "div"), rung=3)
    return next(space for n in range(3, 12) if (space := made(n, n_samples, settings)).n_features > n_features)


def check(arguments: argparse.Namespace) -> None:
    screening.WORTH, parts.LEAST_SECONDS = 0.0, 0.02  # many parts, however short
    spaces = {
        "rung 2": made(12, 250, SpaceSettings(rung=2)),
        "rung 3": made(4, 100, SpaceSettings(operators=("add", "sub", "mult", "div"), rung=3)),
    }
    with open_workers(arguments.executor, arguments.workers, threads=1) as opened:
        for name, space in spaces.items():
            first, census, here = look(space, steps_of(space, 6))
            counted = Counted(opened)
            found, again, there = look(space, steps_of(space, 6), counted)
            second, _, _ = look(space, steps_of(space, 6, first))
            repeated, _, _ = look(space, steps_of(space, 6, first), counted)
            same = is_equal(first, found) and is_equal(second, repeated) and census == again
            verdict = f"{len(counted.sent)} parts, {'equal' if same else 'NOT EQUAL'}"
            print(
                f"{name}: {space.n_features:.3g} features, 6 problems: {here:.1f} s here, {there:.1f} s there; {verdict}"
            )
            if not same:
                raise SystemExit(1)


def ratio(arguments: argparse.Namespace) -> None:
    space = sized(arguments.features, arguments.samples)
    n_features, steps = float(arguments.problems * space.n_features), steps_of(space, arguments.problems)
    said: dict[int, str] = {}
    times: dict[int, list[float]] = {1: [], 2: []}
    where = "dask:local" if arguments.executor.startswith("dask") else "local"
    spawn = multiprocessing.get_context("spawn")
    with open_workers(where, 2, threads=1) as two, ProcessPoolExecutor(1, spawn) as alone:
        one = Workers(1, "one process", lambda: 1, lambda: alone)
        for workers in (one, two):
            list(workers.unordered(warm, range(4)))
        for _ in range(arguments.rounds):
            for number, workers in ((1, one), (2, two)):
                counted = Counted(workers)
                look(space, steps, counted)
                times[number].append(counted.seconds)
                said[number] = counted.in_words(n_features)
    for number, seconds in times.items():
        print(f"{number}: {min(seconds):.2f} s, {n_features / min(seconds):.3g} features/s ({said[number]})")
    print(f"ratio {min(times[1]) / min(times[2]):.3f}, {n_features:.3g} features, {arguments.problems} problems")


def big(arguments: argparse.Namespace) -> None:
    start = time.perf_counter()
    space = made(arguments.primaries, arguments.samples, SpaceSettings(rung=3))
    ranges = sum(getattr(pairs, k).nbytes for pairs in space.pairs for k in ("rows", "columns", "first", "stop"))
    print(
        f"{space.n_features:.3g} features of {len(space.values)} stored ones, made in {time.perf_counter() - start:.1f} s: "
        f"values {space.values.nbytes / 2**20:.0f} MiB, ranges of the last rung {ranges / 2**20:.1f} MiB"
    )
    n_pairs = sum(pairs.n_features for pairs in space.pairs)
    parts.MOST_SECONDS = min(parts.MOST_SECONDS, max(0.2, 40 * arguments.fraction))  # some parts of each operator
    with open_workers(arguments.executor, arguments.workers, threads=1) as opened:
        start = time.perf_counter()
        list(opened.unordered(prepared, [pickle.dumps(space.recipe())] * (2 * opened.n)))
        print(f"workers made it too, in {time.perf_counter() - start:.1f} s with their start")
        counted = Counted(opened, max(1, round(1 / arguments.fraction)))
        _, _, seconds = look(space, steps_of(space, arguments.problems), counted)
        memory = max(size for _, size in opened.unordered(resident, range(4 * opened.n)))
    share = len(counted.sent) / counted.n_all
    looked_at = arguments.problems * n_pairs * share
    print(
        f"{looked_at:.3g} features of pairs ({share:.2%}) in {counted.seconds:.1f} s by {opened.n} workers, "
        f"{looked_at / counted.seconds:.3g}/s; the others in {seconds - counted.seconds:.1f} s\n{counted.in_words(looked_at)}\n"
        f"a whole pass: about {duration(counted.seconds / share)} by {opened.n} workers; largest memory of a worker "
        f"{memory:.2f} GiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["check", "ratio", "big"])
    parser.add_argument("--executor", default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--features", type=float, default=1e8)
    parser.add_argument("--primaries", type=int, default=8)
    parser.add_argument("--samples", type=int, default=250)
    parser.add_argument("--problems", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fraction", type=float, default=0.001)
    arguments = parser.parse_args()
    {"check": check, "ratio": ratio, "big": big}[arguments.what](arguments)


if __name__ == "__main__":
    main()
