"""Simulated campaigns on a fully labelled table: how many of the lowest tenth does each acquisition find?

    python benchmarks/acquisitions.py TABLE --target NAME [--seeds 4] [--evaluations 60]

One evaluation at a time, 25 random labels to start; prints the number found, starts included, after every ten evaluations.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

from sisso_sal.acquisition import Goal, Scene, acquisition_named
from sisso_sal.data.table import Table, read_table
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.report.text import aligned

START, MEMBERS = 25, 20


def campaign(table: Table, acquisition: str, seed: int, evaluations: int) -> list[int]:
    """Targets found after each evaluation."""
    rng = np.random.default_rng(seed)
    y = np.asarray(table.target)
    frame = table.to_frame()[[table.header(name) for name in table.feature_names]]
    columns = dict(zip(table.feature_names, np.ascontiguousarray(table.features.T), strict=True))
    is_target = np.argsort(np.argsort(y)) < len(y) // 10
    known = np.zeros(len(y), dtype=bool)
    known[rng.permutation(len(y))[:START]] = True
    goal, found = Goal("min"), []
    for step in range(evaluations):
        ensemble = SISSOEnsemble(members=MEMBERS, random_state=step).fit(frame[known], y[known])
        p = ensemble.predict_distribution(columns)
        best = float(np.nanmin(p.mean[known]))
        scene = Scene(p.mean, p.std, p.members, p.valid, goal, best, table.features, table.features[known], rng)
        scores = acquisition_named(acquisition)(scene)
        known[np.argmax(np.where(np.isnan(p.mean) | known, -np.inf, scores))] = True
        found.append(int((known & is_target).sum()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--acquisitions", default="mean,pi,ei,lcb")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    table = read_table(arguments.table, target=arguments.target, require_target=True)
    after = list(range(10, arguments.evaluations + 1, 10))
    rows = [["acquisition", "seed", *map(str, after)]]
    for name in arguments.acquisitions.split(","):
        for seed in range(arguments.seeds):
            found = campaign(table, name, seed, arguments.evaluations)
            rows.append([name, str(seed), *(str(found[t - 1]) for t in after)])
    print(aligned(rows, numeric=range(1, len(rows[0]))))


if __name__ == "__main__":
    main()
