"""What the engine costs: screening, L0, whole searches, growth with features, samples and members.

    python benchmarks/speed.py [--table TABLE --target NAME] [--plot docs/growth-of-a-pass.png]

CPU time is user time over all threads; of each row the median of five runs after one that warms up. It is also given as a multiple
of the time that NumPy's float64 product of two 2048 x 2048 matrices takes, in the same process, for as many multiply-adds: of one
feature and sample for a screening, of one subset for L0. The tables are random, of the shape of the published ones; F2 and F3 (the
names of ../shared/reference) run on the table given, else on a random one of its shape.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sisso_sal.data.table import read_table
from sisso_sal.engine.plan import SearchSize
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import ScreeningStep, screen
from sisso_sal.engine.search import search
from sisso_sal.engine.sparsify import sparsify
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.report.text.table import aligned
from sisso_sal.system.machine import one_blas_thread, usable_cores

THREADS = usable_cores()
OXIDE_UNITS = ("AA",) * 3 + ("eV",) * 5 + ("Pauling",) + ("",) * 5
"""Units of the 14 primary features of the published oxide tables."""

RUNG_3 = ("add", "sub", "mult", "div", "sq", "sqrt", "inv")


def user_seconds() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def median_cost(run: Callable[[], object], repeats: int = 5) -> float:
    """Median user time, after one run that compiles and warms up."""
    run()
    spent = []
    for _ in range(repeats):
        start = user_seconds()
        run()
        spent.append(user_seconds() - start)
    return statistics.median(spent)


class Bench:
    """Rows of the table, and the costs that the plot shows."""

    def __init__(self) -> None:
        a, b = np.random.default_rng(0).random((2, 2048, 2048))
        self.multiply_add = median_cost(lambda: a @ b) / 2048**3
        self.rows = [["what", "CPU time", "for each", "multiply-adds"]]

    def add(self, what: str, seconds: float, unit: str, multiply_adds: float) -> None:
        """One row; `multiply_adds`: how many the unit is compared with."""
        multiple = seconds / self.multiply_add / multiply_adds
        self.rows.append([what, _scaled(seconds), unit, f"{multiple:.3g}"])
        print(f"  {what}: {_scaled(seconds)}", file=sys.stderr, flush=True)


def _scaled(seconds: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


# Inputs --------------------------------------------------------------------------------------------------------------


def random_space(units: Sequence[str], n_samples: int, seed: int = 0, **settings) -> tuple[FeatureSpace, np.ndarray]:
    """A space over random primaries, and a target made from two of its features."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.5, 3.0, (len(units), n_samples))
    space = FeatureSpace([f"x{i:02d}" for i in range(len(units))], units, values, SpaceSettings(**settings))
    return space, values[0] * values[-1] + values[1] / values[-2] + rng.normal(0, 0.05, n_samples)


def members(target: np.ndarray, n_primary: int, count: int) -> list[Problem]:
    """Bootstrap problems without 20 % of the primaries; a single one is the plain fit."""
    if count == 1:
        return [Problem(target, np.ones(len(target)), np.ones(n_primary, dtype=bool))]
    rng, out, n = np.random.default_rng(1), [], len(target)
    for _ in range(count):
        counts = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
        allowed = np.ones(n_primary, dtype=bool)
        allowed[rng.permutation(n_primary)[: round(0.2 * n_primary)]] = False
        out.append(Problem(target, counts, allowed))
    return out


def published(table: Path | None, target: str | None) -> tuple[FeatureSpace, np.ndarray]:
    """The feature space of F2 and F3: all default operators, rung 2."""
    if table is None:
        return random_space(OXIDE_UNITS, 250)
    data = read_table(table, target=target)
    known = data.labelled
    order = np.argsort(data.feature_names)
    names, units = ([row[i] for i in order] for row in (data.feature_names, data.feature_units))
    values = np.ascontiguousarray(data.features[known][:, order].T)
    return FeatureSpace(names, units, values, SpaceSettings()), np.asarray(data.target)[known]


# Rows ----------------------------------------------------------------------------------------------------------------


def screening_cost(space: FeatureSpace, target: np.ndarray, count: int, n_sis: int = 50, repeats: int = 5) -> float:
    """Seconds for a feature, pass and problem, the census of rejected features included."""
    problems = members(target, len(space.names), count)
    steps = [ScreeningStep(problem, problem.normalised(target[None, :], True)) for problem in problems]
    spent = median_cost(lambda: screen(space, steps, n_sis, threads=THREADS), repeats)
    return spent / space.n_features / count


def screening(bench: Bench) -> None:
    space, target = random_space(OXIDE_UNITS, 250)
    for count in (1, 10, 100):
        each = screening_cost(space, target, count)
        noun = "one problem" if count == 1 else f"{count} members with dropout"
        bench.add(f"screening, {noun}", each, "feature, pass and problem", 250)


def subsets(bench: Bench, space: FeatureSpace, target: np.ndarray) -> None:
    """L0 on random features, and on those that a screening of the space chose, which resemble each other."""
    rng = np.random.default_rng(0)
    problem = members(target, len(space.names), 1)[0]
    step = ScreeningStep(problem, problem.normalised(target[None], True))
    (chosen,), _ = screen(space, [step], 2000, threads=THREADS)
    screened = chosen.values(space)
    for dim, name, size in ((2, "pairs", 2000), (3, "triples", 600), (4, "quadruples", 150)):
        for kind, values in (("random", rng.normal(size=(size, space.n_samples))), ("screened", screened[:size])):
            with one_blas_thread():  # as in a search; a second thread would wait and count
                seen = sparsify(values, problem, dim).n_subsets
                each = median_cost(lambda v=values, d=dim: sparsify(v, problem, d)) / seen
            bench.add(f"L0, {name} of {size} {kind} features", each, "subset", 1)


def whole_searches(bench: Bench, space: FeatureSpace, target: np.ndarray) -> None:
    one, ten = (members(target, len(space.names), count) for count in (1, 10))
    cases = (
        ("F2 (n_sis 50, 2D)", one, {"dim": 2, "n_sis": 50}),
        ("F2, ten members with dropout", ten, {"dim": 2, "n_sis": 50}),
        ("F3 (n_sis 200, 3D)", one, {"dim": 3, "n_sis": 200}),
    )
    for name, problems, options in cases:
        spent = median_cost(lambda p=problems, o=options: search(space, p, SearchSize(**o), threads=THREADS))
        work = len(problems) * options["dim"] * space.n_features * space.n_samples
        bench.add(name, spent, f"search of {space.n_features} features", work)


def large(bench: Bench) -> None:
    space, target = random_space(("eV",) * 3 + ("",) * 27, 1000)
    problem = members(target, 30, 1)
    spent = median_cost(lambda: search(space, problem, SearchSize(dim=2, n_sis=100), threads=THREADS))
    work = 2 * space.n_features * 1000
    bench.add("1000 samples, 30 primaries, 2D, n_sis 100", spent, f"search of {space.n_features:.3g} features", work)


def rung_3(bench: Bench) -> str:
    """One pass over a billion features, in a process of its own, whose memory is told."""
    done = subprocess.run([sys.executable, __file__, "--rung-3"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    bench.add("rung 3, 100 samples, one pass", found["user"], f"pass over {found['n']:.3g} features", found["n"] * 100)
    return f"rung 3: {found['wall']:.3g} s on the clock with {THREADS} threads, {found['peak'] / 2**20:.0f} MiB at most"


def _rung_3_alone() -> None:
    space, target = random_space(("eV",) * 5 + ("AA",) * 4 + ("",), 100, rung=3, operators=RUNG_3)
    problem = members(target, len(space.names), 1)[0]
    step = ScreeningStep(problem, problem.normalised(target[None], True))
    start, clock = user_seconds(), time.perf_counter()
    screen(space, [step], 50, threads=THREADS)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = {"user": usage.ru_utime - start, "wall": time.perf_counter() - clock}
    print(json.dumps(seconds | {"n": space.n_features, "peak": usage.ru_maxrss * 1024}))


# Growth --------------------------------------------------------------------------------------------------------------


def growth(path: Path) -> None:
    """Cost of one pass against features, samples and members, beside a line of slope one."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    curves: dict[str, list[tuple[float, float]]] = {"features": [], "samples": [], "members": []}
    operators = ("mult", "div", "add", "sub", "abs_diff")
    for n_primary in (8, 11, 14, 20, 28, 40):
        space, target = random_space(("",) * n_primary, 250, operators=operators)
        curves["features"].append((space.n_features, screening_cost(space, target, 1, repeats=3) * space.n_features))
    for n_samples in (50, 100, 200, 400, 800, 1600):
        space, target = random_space(("",) * 28, n_samples, operators=operators)
        curves["samples"].append((n_samples, screening_cost(space, target, 1, repeats=3) * space.n_features))
    space, target = random_space(OXIDE_UNITS, 250)
    for count in (2, 5, 10, 20, 50, 100):
        curves["members"].append((count, screening_cost(space, target, count, repeats=3) * space.n_features * count))
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True, layout="constrained")
    for axis, (name, points) in zip(axes, curves.items(), strict=True):
        x, y = np.array(points).T
        axis.loglog(x, y, "o-", color="#0072B2", label="measured")
        axis.loglog(x, y[-1] * x / x[-1], "--", color="#888888", label="proportional")
        slope = np.polyfit(np.log(x[len(x) // 2 :]), np.log(y[len(x) // 2 :]), 1)[0]
        axis.set(xlabel=name, title=f"upper half grows with power {slope:.2f}")
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("CPU time of one pass (s)")
    axes[0].legend()
    figure.savefig(path, dpi=150)
    print(f"wrote {path}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, help="table for F2 and F3")
    parser.add_argument("--target", help="its target column")
    parser.add_argument("--plot", type=Path, help="draw the growth with features, samples and members into this file")
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    parser.add_argument("--rung-3", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rung_3:
        _rung_3_alone()
        return
    bench = Bench()
    screening(bench)
    space, target = published(options.table, options.target)
    subsets(bench, space, target)
    whole_searches(bench, space, target)
    notes = []
    if not options.quick:
        large(bench)
        notes = [rung_3(bench)]
    print(f"one multiply-add of a float64 matrix product: {bench.multiply_add * 1e9:.4f} ns; {THREADS} threads\n")
    print(aligned(bench.rows, numeric=[1, 3]))
    print("", *notes, sep="\n")
    if options.plot:
        growth(options.plot)


if __name__ == "__main__":
    main()
