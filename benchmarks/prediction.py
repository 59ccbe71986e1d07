"""What a prediction costs for each candidate, in parts and as a whole, in two checkouts.

    python benchmarks/prediction.py [OTHER_CHECKOUT] [--labels 100 1000] [--rows 100000] [--runs 3]

An ensemble of 30 members of 2 terms with 15 primary features and compositions of 3 of 40 elements. Nothing is fitted: formulas and
the parameters of the kernels are made up, the same in both checkouts, so that their predictions can be compared as well. Printed is
the processor time (one thread) in µs for each row, the median of the runs, which the checkouts take in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parents[1]
N_MEMBERS, N_FEATURES, N_ELEMENTS, N_METALS = 30, 15, 40, 3
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def materials(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Primary features, each of them (n,) between 1 and 2, and shares (n, N_ELEMENTS) of a few elements."""
    rng = np.random.default_rng([seed, n])
    shares = np.zeros((n, N_ELEMENTS))
    chosen = rng.random((n, N_ELEMENTS)).argpartition(N_METALS, axis=1)[:, :N_METALS]
    np.put_along_axis(shares, chosen, rng.dirichlet(np.ones(N_METALS), n), axis=1)
    return {f"x{k}": rng.uniform(1, 2, n) for k in range(N_FEATURES)}, shares


def ensemble(n_labels: int) -> Any:
    """An ensemble with a correction that nobody has fitted."""
    from sisso_sal.models.correction import Correction, Kernels
    from sisso_sal.models.ensemble_model import EnsembleModel
    from sisso_sal.models.fitting import SearchCounts

    columns, shares = materials(n_labels, 0)
    members = made_up_members(columns)
    formula = np.mean([member.predict(columns)[0] for member in members], axis=0)
    features = np.column_stack(list(columns.values()))
    target = formula + 0.3 * formula.std() * (np.sin(5 * features[:, 0]) + shares[:, 0])
    length = 0.5 * np.log(N_FEATURES + 1)
    theta = [[0.0, *[length] * (N_FEATURES + 1), -2.0], [0.0, length, -2.0], [0.0, 0.0, length + np.log(2.0), -2.0]]
    correction = Correction("both", features, formula, target, 0, shares, Kernels(theta))
    return EnsembleModel(
        members=members, dropped=((),) * N_MEMBERS, aggregation="mean", chosen={"rung": 2, "dim": 2}, choices=[],
        primaries=dict.fromkeys(columns, ""), labelled=features, counts=SearchCounts(n_labels, {}, {}, 0, True),
        correction=correction,
    )  # fmt: skip


def made_up_members(columns: dict[str, np.ndarray]) -> tuple[Any, ...]:
    """Members whose terms are drawn from 40 random features of rung 2."""
    from sisso_sal.features.expression import Expression
    from sisso_sal.features.operators import OPERATORS
    from sisso_sal.models.linear import SISSOModel, Term

    rng = np.random.default_rng(0)
    names = ("add", "sub", "mult", "div", "abs_diff", "inv", "sq", "sqrt", "cbrt", "exp", "log")

    def feature(rung: int) -> Expression:
        if rung == 0:
            return Expression.primary(f"x{rng.integers(N_FEATURES)}")
        operator = OPERATORS[str(rng.choice(names))]
        return Expression.apply(operator.name, *(feature(rung - 1) for _ in range(operator.arity)))

    terms = []
    while len(terms) < 40:
        expression = feature(2)
        values = expression.evaluate(columns)
        if np.isfinite(values).all() and np.ptp(values) > 1e-3:
            terms.append(Term(expression, 1.0 / float(values.std()), float(values.min()), float(values.max())))
    pairs = [rng.choice(40, 2, replace=False) for _ in range(N_MEMBERS)]
    return tuple(SISSOModel(tuple(terms[k] for k in pair), 0.0, 0.0, 0.0) for pair in pairs)


def parts(model: Any, n_rows: int) -> dict[str, Callable[[], Any]]:
    """What is measured, by name; the last two are wholes."""
    from dataclasses import replace

    from sisso_sal.data.neighbours import relative_distance
    from sisso_sal.models.correction import _seen

    columns, shares = materials(n_rows, 1)
    correction, alone = model.correction, replace(model, correction=None)
    features = np.column_stack(list(columns.values()))
    formula = alone.predict_distribution(columns).formulas_mean
    rows = correction._rows(features, formula)

    def asked(*numbers: int) -> Callable[[], Any]:
        learners = [correction._learners[number] for number in numbers]
        seen = [_seen(rows, N_FEATURES, shares, learner.kinship) for learner in learners]
        return lambda: [learner.predict(part, formula) for learner, part in zip(learners, seen, strict=True)]

    return {
        "nearest label": lambda: relative_distance(features, model.labelled),
        "100 trees": asked(0),
        "process on features": asked(1),
        "processes on compositions": asked(2, 3),
        "correction": lambda: correction.predict(features, formula, shares),
        "whole, formulas": lambda: alone.predict_distribution(columns),
        "whole, corrected": lambda: model.predict_distribution(columns, shares),
    }


def measure(n_labels: int, n_rows: int, out: Path) -> None:
    """Write µs for each row, by part, and the predictions."""
    model = ensemble(n_labels)
    spent = {}
    for name, part in parts(model, n_rows).items():
        part()
        start = time.process_time()
        part()
        spent[name] = 1e6 * (time.process_time() - start) / n_rows
    columns, shares = materials(n_rows, 1)
    prediction = model.predict_distribution(columns, shares)
    np.savez(
        out, spent=json.dumps(spent), mean=prediction.mean, std=prediction.std,
        formulas_mean=prediction.formulas_mean, distance=prediction.distance,
    )  # fmt: skip


def one_run(checkout: Path, n_labels: int, n_rows: int, folder: Path) -> dict[str, Any]:
    """What `measure` wrote in a process that imports a checkout.

    Raises
    ------
    SystemExit
        The process fails.
    """
    out = folder / "out.npz"
    command = [sys.executable, __file__, "--labels", str(n_labels), "--rows", str(n_rows), "--measure", str(out)]
    done = subprocess.run(command, env=os.environ | ONE_THREAD | {"PYTHONPATH": str(checkout)}, cwd=folder)
    if done.returncode:
        raise SystemExit(f"{checkout}: exit code {done.returncode}")
    with np.load(out) as written:
        return {name: written[name] for name in written} | {"spent": json.loads(str(written["spent"]))}


def compare(checkouts: list[Path], n_labels: int, n_rows: int, n_runs: int) -> None:
    """Print the table for so many labels."""
    with tempfile.TemporaryDirectory() as place:
        runs = [[one_run(checkout, n_labels, n_rows, Path(place)) for checkout in checkouts] for _ in range(n_runs)]
    heads = "".join(f"{head:>10}" for head in ("this", "other", "ratio")[: 2 * len(checkouts) - 1])
    print(f"{f'{n_labels} labels, µs a row':28}{heads}")
    for name in runs[0][0]["spent"]:
        medians = [statistics.median(turn[k]["spent"][name] for turn in runs) for k in range(len(checkouts))]
        ratio = [medians[0] / medians[1]] if len(checkouts) == 2 else []
        print(f"{name:28}" + "".join(f"{value:10.3f}" for value in medians + ratio))
    if len(checkouts) == 2:
        this, other = runs[0]
        for name in ("formulas_mean", "distance", "mean", "std"):
            apart = np.nanmax(np.abs(this[name] - other[name]) / np.nanstd(other[name]))
            print(f"largest difference of {name}: {apart:.1e} standard deviations")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, nargs="?", help="the checkout to compare this one with")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000], help="numbers of labels")
    parser.add_argument("--rows", type=int, default=100_000, help="candidates")
    parser.add_argument("--runs", type=int, default=3, help="runs in each checkout")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.labels[0], options.rows, options.measure)
        return
    checkouts = [HERE, *([options.other.resolve()] if options.other else [])]
    for n_labels in options.labels:
        compare(checkouts, n_labels, options.rows, options.runs)


if __name__ == "__main__":
    main()
