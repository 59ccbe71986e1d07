"""What each choice of the ensemble is worth: ten-fold cross-validation with one setting changed at a time.

    python benchmarks/ablation.py [TABLE --target NAME] [--laws]

Without a table: the labelled rows of data/oxides.csv, and ../shared/data/oxides_gpbx.csv where it is there. With ``--laws`` planted
laws instead: real primary features of 60 oxides of data/oxides.csv, and targets made of them whose truth is known.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from labelled import HERE, space_named, usable

from sisso_sal.data.table import Table, read_table
from sisso_sal.models.calibration import noise_floor
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.groups import grouped
from sisso_sal.models.validation import cross_validate
from sisso_sal.oxides.elements import composition_of

CHANGES: tuple[tuple[str, dict], ...] = (
    ("default", {}),
    ("10 members", {"members": 10}),
    ("100 members", {"members": 100}),
    ("no dropout", {"dropout": 0.0}),
    ("dropout 0.4", {"dropout": 0.4}),
    ("rung 2, 2 terms, n_sis 50", {"adapt": False, "dim": 2, "n_sis": 50}),
    ("rung 1, 2 terms, n_sis 10", {"adapt": False, "rung": 1, "dim": 2, "n_sis": 10}),
    ("median", {"aggregation": "median"}),
    ("Yeo-Johnson", {"target_transform": "yeo-johnson"}),
    ("Huber loss", {"loss": "huber"}),
    ("no compositions", {}),
    ("trees only", {"correction": "trees"}),
    ("process only", {"correction": "process"}),
    ("formulas alone", {"correction": "none"}),
    ("raw sigma", {"recalibrate": "none"}),
    ("sigma scaled", {"recalibrate": "scale"}),
)


FOR_LAWS = (
    "default", "10 members", "no dropout", "dropout 0.4", "median", "Yeo-Johnson", "Huber loss", "no compositions",
    "trees only", "process only", "formulas alone",
)  # fmt: skip
"""Changes that are tried on planted laws: those that move the mean."""

Columns = Mapping[str, np.ndarray]
LAWS: dict[str, Callable[[Columns], list[np.ndarray]]] = {
    "one descriptor": lambda c: [c["IP"] * c["r_cov"] / c["EN"]],
    "two descriptors": lambda c: [c["EA"] / c["r_cat"], abs(c["e_H"] - c["e_s"]) * c["max_OS"]],
    "three descriptors": lambda c: [c["N_val"] / c["AN"], c["r_cov"] ** 2, np.sqrt(c["IP"]) * c["stdev_OS"]],
}
"""Descriptors of each planted law, from primary features; each counts the same."""

N_ROWS = 60

NOISE = 0.05
"""Of the labels of the laws; like `BY_ELEMENT` in units of one descriptor's standard deviation."""

BY_ELEMENT = 1.0
"""What the elements add to a law with a value of their own, which no formula of averages expresses."""

HEAD = ("", "RMSE", "MAE", "±", "formulas RMSE", "MAE", "in 95 %", "area", "mean z²", "Spearman", "undefined")
WIDTHS = (30, 5, 5, 5, 13, 5, 7, 5, 7, 8, 9)


def report(table: Table, seed: int) -> None:
    """Print one line for each change, as it is done; ± is the standard error of the mean absolute error."""
    X = table.to_frame()[[table.header(name) for name in table.feature_names]][table.labelled].reset_index(drop=True)
    y = np.asarray(table.target)[table.labelled]
    shares = composition_of(table)
    shares = None if shares is None else shares[table.labelled]
    compare(Path(table.path).name, X, y, shares, seed)


def report_laws(seed: int) -> None:
    """The same for planted laws, each with and without a share of every element that no formula of averages expresses."""
    table = read_table(HERE / "data/oxides.csv")
    rng = np.random.default_rng(seed)
    rows = rng.permutation(table.n_rows)[:N_ROWS]
    X = table.to_frame()[[table.header(name) for name in table.feature_names]].iloc[rows].reset_index(drop=True)
    shares = composition_of(table)[rows]
    values = dict(zip(table.feature_names, table.features[rows].T, strict=True))
    for name, terms in LAWS.items():
        law = sum((_standardised(term) for term in terms(values)), np.zeros(len(rows)))
        by_element = BY_ELEMENT * _standardised(shares @ rng.normal(size=shares.shape[1]))
        noise = rng.normal(0, NOISE, len(rows))
        compare(name, X, law + noise, shares, seed, FOR_LAWS)
        compare(f"{name} and elements", X, law + by_element + noise, shares, seed, FOR_LAWS)


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def compare(
    title: str, X, y: np.ndarray, shares: np.ndarray | None, seed: int, names: Sequence[str] | None = None
) -> None:
    """A table for one set of labels, with all changes or those named."""
    floor = noise_floor(len(y))[1]
    print(f"{title}: {len(y)} rows; a perfect sigma has an area below {floor:.3f} with a probability of 95 %")
    _print(HEAD)
    groups, _ = grouped(np.asarray(X), composition=shares)
    for name, change in CHANGES:
        if names is not None and name not in names:
            continue
        known = None if name == "no compositions" else shares
        found = cross_validate(SISSOEnsemble(**change), X, y, composition=known, groups=groups, seed=seed)
        figures = found.calibration()
        alone = (found.target - found.formulas_mean)[np.isfinite(found.formulas_mean)]
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
    parser.add_argument("--laws", action="store_true", help="planted laws in the place of tables")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    if arguments.laws:
        report_laws(arguments.seed)
        return
    if arguments.table:
        report(read_table(arguments.table, target=arguments.target, require_target=True), arguments.seed)
        return
    for name in ("oxides", "oxides_gpbx"):
        if name in usable():
            report(space_named(name).table, arguments.seed)


if __name__ == "__main__":
    main()
