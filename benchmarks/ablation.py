"""What each choice of the ensemble is worth: ten-fold cross-validation with one setting changed at a time.

    python benchmarks/ablation.py [TABLE --target NAME]

Without a table: the labelled rows of data/oxides.csv, and ../shared/data/oxides_gpbx.csv where it is there.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accuracy import TABLES

from sisso_sal.data.elements import composition_of
from sisso_sal.data.table import Table, read_table
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.validation import cross_validate
from sisso_sal.uncertainty import noise_floor

CHANGES: tuple[tuple[str, dict], ...] = (
    ("as it is", {}),
    ("10 members", {"members": 10}),
    ("100 members", {"members": 100}),
    ("no dropout", {"dropout": 0.0}),
    ("dropout 0.4", {"dropout": 0.4}),
    ("stratified bootstrap", {"bootstrap": "stratified"}),
    ("Bayesian bootstrap", {"bootstrap": "bayesian"}),
    ("rung 2, 2 terms, n_sis 50", {"adapt": False, "dim": 2, "n_sis": 50}),
    ("rung 1, 2 terms, n_sis 10", {"adapt": False, "rung": 1, "dim": 2, "n_sis": 10}),
    ("median", {"aggregation": "median"}),
    ("trimmed mean", {"aggregation": "trimmed"}),
    ("members weighted by error", {"weighting": "oob"}),
    ("Yeo-Johnson", {"target_transform": "yeo-johnson"}),
    ("Huber loss", {"loss": "huber"}),
    ("no compositions", {}),
    ("trees only", {"correction": "trees"}),
    ("process only", {"correction": "process"}),
    ("formulas alone", {"correction": "none"}),
    ("formulas alone, robust spread", {"correction": "none", "spread": "robust"}),
    ("sigma as it comes", {"recalibrate": "none"}),
    ("sigma scaled", {"recalibrate": "scale"}),
    ("conformal", {"recalibrate": "conformal"}),
)


HEAD = ("", "RMSE", "MAE", "±", "formulas RMSE", "MAE", "in 95 %", "area", "mean z²", "Spearman", "undefined")
WIDTHS = (30, 5, 5, 5, 13, 5, 7, 5, 7, 8, 9)


def report(table: Table, seed: int) -> None:
    """Print one line for each change, as it is done; ± is the standard error of the mean absolute error."""
    X = table.to_frame()[[table.header(name) for name in table.feature_names]][table.labelled].reset_index(drop=True)
    y = np.asarray(table.target)[table.labelled]
    shares = composition_of(table)
    shares = None if shares is None else shares[table.labelled]
    floor = noise_floor(len(y))[1]
    print(f"{Path(table.path).name}: {len(y)} rows; a perfect sigma shows an area over {floor:.3f} once in twenty")
    _print(HEAD)
    for name, change in CHANGES:
        known = None if name == "no compositions" else shares
        found = cross_validate(SISSOEnsemble(**change), X, y, composition=known, seed=seed)
        figures = found.calibration()
        alone = (found.target - found.formula)[np.isfinite(found.formula)]
        error = np.abs(found.target - found.mean)[np.isfinite(found.mean)]
        _print(
            (
                *(name, f"{figures.rmse:.3f}", f"{figures.mae:.3f}", f"{error.std(ddof=1) / np.sqrt(len(error)):.3f}"),
                *(f"{np.sqrt(np.mean(alone**2)):.3f}", f"{np.abs(alone).mean():.3f}", f"{figures.coverage95:.1%}"),
                *(
                    f"{figures.miscalibration_area:.3f}",
                    f"{figures.mean_squared_z:.2f}",
                    f"{figures.spearman or 0:.2f}",
                ),
                str(found.n_undefined),
            )
        )


def _print(cells: Sequence[str]) -> None:
    first, *others = (
        cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    print("  ".join((first, *others)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--target")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    tables = [(arguments.table, arguments.target)] if arguments.table else [t for t in TABLES if t[0].exists()]
    for path, target in tables:
        report(read_table(path, target=target, require_target=True), arguments.seed)


if __name__ == "__main__":
    main()
