"""Cost of screening and of L0, as CPU time per unit and as a multiple of a matrix product's time for the same arithmetic.

    python benchmarks/speed.py

The reference is NumPy's float64 product of two 2048 x 2048 matrices in the same process: one feature and sample of a screening
pass, or one subset of L0, is compared with the time of one multiply-add. Median of five runs after one to compile.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import screen
from sisso_sal.engine.sparsify import sparsify
from sisso_sal.features.space import Space, SpaceSettings
from sisso_sal.machine import usable_cores
from sisso_sal.report.text import aligned

N_SAMPLES, N_PRIMARY = 250, 14


def cpu_seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """Median CPU time over all threads, after one run that compiles and warms up."""
    run()
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def synthetic(rng: np.random.Generator) -> tuple[Space, np.ndarray]:
    """A rung-2 space over random primaries in three units, and a target made from two of its features."""
    values = rng.uniform(0.5, 3.0, (N_PRIMARY, N_SAMPLES))
    units = ["eV"] * 5 + ["AA"] * 3 + [""] * 6
    space = Space([f"x{i:02d}" for i in range(N_PRIMARY)], units, values, SpaceSettings())
    target = values[0] * values[6] + values[9] / values[11] + rng.normal(0, 0.05, N_SAMPLES)
    return space, target


def members(target: np.ndarray, count: int, rng: np.random.Generator) -> list[Problem]:
    """Bootstrap problems with 20 % of the primaries dropped; a single one is the plain fit."""
    if count == 1:
        return [Problem(target, np.ones(N_SAMPLES), np.ones(N_PRIMARY, dtype=bool))]
    out = []
    for _ in range(count):
        counts = np.bincount(rng.integers(0, N_SAMPLES, N_SAMPLES), minlength=N_SAMPLES).astype(float)
        allowed = np.ones(N_PRIMARY, dtype=bool)
        allowed[rng.permutation(N_PRIMARY)[:3]] = False
        out.append(Problem(target, counts, allowed))
    return out


def main() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 2048, 2048))
    multiply_add = cpu_seconds(lambda: a @ b) / 2048**3
    space, target = synthetic(rng)
    threads = usable_cores()
    rows = [["what", "unit", "CPU time", "multiply-adds' time"]]
    for count in (1, 10, 100):
        problems = members(target, count, rng)
        residuals = [problem.normalised(target[None, :], True) for problem in problems]
        spent = cpu_seconds(lambda p=problems, r=residuals: screen(space, p, r, 50, threads=threads))
        each = spent / space.n_features / count
        rows.append(
            [f"screening, {count} problem{'s' * (count > 1)}", "feature, pass and problem", f"{each * 1e6:.4f} µs",
             f"{each / N_SAMPLES / multiply_add:.1f} per sample"]
        )  # fmt: skip
    problem = members(target, 1, rng)[0]
    for dim, size in ((2, 2000), (3, 600), (4, 150)):
        values = rng.normal(size=(size, N_SAMPLES))
        with threadpool_limits(1, user_api="blas"):  # as in a search; a second thread would wait and count
            seen = sparsify(values, problem, dim).n_subsets
            each = cpu_seconds(lambda v=values, d=dim: sparsify(v, problem, d), 3) / seen
        rows.append([f"L0, {dim} of {size} features", "subset", f"{each * 1e6:.4f} µs", f"{each / multiply_add:.1f}"])
    print(f"{space.n_features} features, {N_SAMPLES} samples, {threads} threads")
    print(f"one multiply-add of a float64 matrix product: {multiply_add * 1e9:.4f} ns of CPU time\n")
    print(aligned(rows, numeric=[2, 3]))


if __name__ == "__main__":
    main()
