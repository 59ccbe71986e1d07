"""Does an ensemble know its errors where materials have several rows? Claimed against real errors, on materials without a label.

    python benchmarks/replicates.py [TABLE --target COLUMN] [--materials 80] [--each 3] [--noise 0.08] [--jitter 0.01] [--seeds 5]

Some materials of a table are labelled, each of them several times with noise (`tables.replicated`); the others are predicted, and
compared with labels of the same noise. Once every row counts as a material of its own, and once rows of one composition are one.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import numpy as np
from tables import replicated

from sisso_sal.data.table import Table, read_table
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.report.text.table import aligned

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
TABLES = (
    (SHARED / "oxides_gpbx.csv", "g_pbx"), (Path(__file__).parents[1] / "data" / "oxides.csv", None),
    (SHARED / "gaps_measured.csv", "gap"), (SHARED / "bulk_moduli.csv", "logK"), (SHARED / "phonon_peaks.csv", "wmax"),
)  # fmt: skip
"""The tables that are there, and their targets."""


def figures(table: Table, options: argparse.Namespace, seed: int) -> dict[str, list[float]]:
    """Claimed RMSE, real RMSE, claimed and real coverage, for rows as materials and for compositions."""
    known = np.flatnonzero(table.labelled)
    chosen = np.random.default_rng(seed).permutation(known)[: options.materials]
    others = np.setdiff1d(known, chosen)
    noise = options.noise * (1.0 if options.absolute else float(np.std(np.asarray(table.target)[known])))
    labelled = replicated(table, chosen, options.each, noise, options.jitter, seed)
    new = replicated(table, others, 1, noise, options.jitter, seed + 1000)
    headers = [table.header(name) for name in table.feature_names]
    target = table.header(table.target_name or "")
    shares, shares_of_new = (atomic_fractions(list(frame["formula"])) for frame in (labelled, new))
    out = {}
    for name, groups in (("each row", np.arange(len(labelled))), ("compositions", None)):
        ensemble = SISSOEnsemble(random_state=seed, threads=options.threads, members=options.members)
        ensemble.fit(labelled[headers], labelled[target], composition=shares, groups=groups)
        prediction = ensemble.predict_distribution(new[headers], shares_of_new)
        errors = new[target].to_numpy() - prediction.mean
        seen = np.isfinite(errors)
        low, high = prediction.interval95
        inside = (new[target].to_numpy() >= low) & (new[target].to_numpy() <= high)
        claimed = ensemble.calibration_
        assert claimed is not None
        rmse = float(np.sqrt(np.mean(errors[seen] ** 2)))
        out[name] = [claimed.rmse, rmse, claimed.coverage95, float(inside[seen].mean()), float((~seen).sum())]
    return out


def report(path: Path, target: str | None, options: argparse.Namespace) -> str:
    """A line for each way to count materials: root mean squares of errors and means of coverages over the seeds."""
    table = read_table(path, target=target, require_target=True)
    each = [figures(table, options, seed) for seed in range(options.seeds)]
    rows = [["", "claimed RMSE", "real RMSE", "ratio", "claimed in 95 %", "real in 95 %", "range", "undefined"]]
    for name in each[0]:
        values = np.array([one[name] for one in each])
        claimed, real = np.sqrt((values[:, :2] ** 2).mean(axis=0))
        stated, inside = values[:, 2:4].mean(axis=0)
        span = f"{values[:, 3].min():.1%} to {values[:, 3].max():.1%}"
        counted = f"{values[:, 4].sum():.0f}"
        rows.append(
            [
                name,
                f"{claimed:.3f}",
                f"{real:.3f}",
                f"{claimed / real:.2f}",
                f"{stated:.1%}",
                f"{inside:.1%}",
                span,
                counted,
            ]
        )
    head = f"{path.name}: {options.materials} materials, {options.each} rows each, {options.seeds} seeds"
    return f"{head}\n{aligned(rows, numeric=range(1, 8))}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--target")
    parser.add_argument("--materials", type=int, default=80)
    parser.add_argument("--each", type=int, default=3)
    parser.add_argument(
        "--noise", type=float, default=0.08, help="of the target: a share of its spread, or with --absolute in its unit"
    )
    parser.add_argument("--absolute", action="store_true")
    parser.add_argument("--jitter", type=float, default=0.01, help="of a feature, as a share of its spread")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--threads", type=int, default=int(os.environ.get("NUMBA_NUM_THREADS", "0")) or None)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    tables = [(options.table, options.target)] if options.table else [one for one in TABLES if one[0].exists()]
    for path, target in tables:
        print(report(path, target, options), flush=True)


if __name__ == "__main__":
    main()
