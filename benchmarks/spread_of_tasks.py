"""Does a correction of the spread for each task pay? Calibration of held-out rows by ensembles of several tasks.

    python benchmarks/spread_of_tasks.py [--table NAME]

Five folds of M1 and M3 of the reference (two tasks each), and five planted tables with tasks of 60, 30, 10 and 8 rows and 100
rows to predict of each. Sigma is raw; or multiplied by one factor that out-of-bag errors of all tasks tell; or by a factor of each
task; or recalibrated by isotonic regression of each task. A line has the share of rows in the 95 % interval, the miscalibration
area and the negative log likelihood.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sisso_sal.models.calibration import area, coverage_curve, negative_log_likelihood
from sisso_sal.models.multi_task_ensemble import MultiTaskSISSOEnsemble
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.oxides.elements import atomic_fractions

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "tasks"
SIZES = {"M1": (137, 113), "M3": (112, 138)}
SETTINGS = {"rung": 1, "dim": 2, "n_sis": 20, "threads": 1, "members": 20, "recalibrate": "none"}
PLANTED = {"60 rows": (60, 3.0, 0.3), "30 rows": (30, 2.0, 0.1), "10 rows": (10, 4.0, 0.2), "8 rows": (8, -2.0, 0.5)}
"""Rows, coefficient and noise of each task."""


class Rows(NamedTuple):
    """Features, labels, tasks, and share of each element if there is one."""

    X: pd.DataFrame
    y: np.ndarray
    tasks: np.ndarray
    shares: np.ndarray | None


def reference(name: str) -> Iterator[tuple[Rows, Rows]]:
    """Rows to learn from and rows to predict of each fold; a material is in one fold."""
    frame = pd.read_csv(REFERENCE / name / "train.dat", sep=r"\s+")
    names = frame.iloc[:, 0].str.replace(r"[^A-Za-z0-9.]", "", regex=True).to_numpy()
    material = np.unique(names, return_inverse=True)[1]
    fold = (np.random.default_rng(0).permutation(material.max() + 1) % 5)[material]
    tasks, shares = np.repeat(["first", "second"], SIZES[name]), atomic_fractions(names)
    X, y = frame.iloc[:, 2:], frame.iloc[:, 1].to_numpy()
    for number in range(5):
        parts = (np.flatnonzero(fold != number), np.flatnonzero(fold == number))
        learned, other = (Rows(X.iloc[part], y[part], tasks[part], shares[part]) for part in parts)
        yield learned, other


def planted() -> Iterator[tuple[Rows, Rows]]:
    """One descriptor with coefficients and noise of each task, and a wave that no formula of rung 1 has."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        tables = []
        for more in (None, 100):
            sizes = [more or rows for rows, _, _ in PLANTED.values()]
            X = pd.DataFrame(rng.uniform(1, 2, (sum(sizes), 4)), columns=["p", "q", "r", "s"])
            slope, noise = (np.repeat([one[place] for one in PLANTED.values()], sizes) for place in (1, 2))
            y = slope * X["p"] / X["q"] + 0.5 * np.sin(4 * X["r"]) + noise * rng.normal(size=len(X))
            tables.append(Rows(X, y.to_numpy(), np.repeat([*PLANTED], sizes), None))
        yield tables[0], tables[1]


def told(name: str, correction: str) -> None:
    """A line for each task and way."""
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for learned, other in planted() if name == "planted" else reference(name):
        model = MultiTaskSISSOEnsemble(**SETTINGS, correction=correction)
        model.fit(learned.X, learned.y, tasks=learned.tasks, composition=learned.shares)
        said = model.predict_rows(other.X, other.tasks, other.shares)
        y, mean, sigma = learned.y, model.oob_mean_, model.oob_std_
        known = np.isfinite(mean) & (sigma > 0)
        of_all = Recalibration.fit("scale", y[known], mean[known], sigma[known])
        for task in np.unique(learned.tasks):
            own = known & (learned.tasks == task)
            rows = (other.tasks == task) & np.isfinite(said.mean) & (said.std_raw > 0)
            ways = {"raw": Recalibration(), "factor of all": of_all}
            ways |= {
                label: Recalibration.fit(kind, y[own], mean[own], sigma[own])
                for label, kind in (("factor of each", "scale"), ("isotonic of each", "isotonic"))
            }
            for way, recalibration in ways.items():
                spread = recalibration.distribution(said.mean[rows], said.std_raw[rows])
                labels = other.y[rows]
                figures = np.array([spread.place(labels), labels - spread.estimate, spread.std])
                found.setdefault((task, way), []).append(figures)
    for (task, way), parts in sorted(found.items()):
        place, error, std = np.hstack(parts)
        inside = (np.abs(2 * place - 1) <= 0.95).mean()
        print(
            f"{name:8} {correction:5} {task:8} {way:17} {len(place):4}  {inside:5.3f}  {area(coverage_curve(place)):5.3f}"
            f"  {negative_log_likelihood(error, std):6.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", choices=["planted", *SIZES])
    options = parser.parse_args()
    print("table    corr. task     sigma             rows  inside   area     nll")
    for name in [options.table] if options.table else ["planted", *SIZES]:
        for correction in ("none", "both"):
            told(name, correction)


if __name__ == "__main__":
    main()
