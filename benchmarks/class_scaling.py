"""What scaling the probabilities of an ensemble of classifiers is worth on materials left out, by how it is pulled to none.

    python benchmarks/class_scaling.py [--pulls 1,10,20] [--seeds 30] [--rung 1]

It needs ../shared/reference for two of the five tables: P1 and C1 (C2 has the samples of C1). The others are of data/: stability in
acid at most 0.1 eV/atom, or below its median, and melting points above their median. From each table so many rows are drawn, an
ensemble of 30 members learns from them, and the others are predicted. Printed are log loss and Brier score without a scaling, and
by how much they are larger with one, as a mean over the draws with its standard error. "if it pays" scales with the first pull, but
only where the out-of-bag log loss is smaller with than without it.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sisso_sal import SISSOClassifierEnsemble
from sisso_sal.models.class_calibration import ClassCalibration
from sisso_sal.models.class_members import fit_members, mean_probability
from sisso_sal.models.inputs import checked_table
from sisso_sal.oxides.primary_features import featurize
from sisso_sal.report.text.table import aligned

HERE = Path(__file__).resolve().parents[1]
REFERENCE = HERE.parent / "shared" / "reference" / "tasks"


class Samples(NamedTuple):
    """Primary features, number of the class of each row, and how many rows are learned from."""

    name: str
    X: pd.DataFrame
    labels: np.ndarray
    sizes: tuple[int, ...]


def tables() -> Iterator[Samples]:
    """Those that are there."""
    for name, counts, sizes in (("P1", (313, 263), (30, 60, 120, 300, 460)), ("C1", (49, 201), (60, 125, 200))):
        if (file := REFERENCE / name / "train.dat").exists():
            X = pd.read_csv(file, sep=r"\s+").iloc[:, 1:].astype(float)
            yield Samples(name, X, np.repeat([0, 1], counts), sizes)
    oxides = pd.read_csv(HERE / "data" / "oxides.csv").drop(columns=["formula", "dG_pbx_chgnet (eV/atom)"]).dropna()
    energy = oxides.pop("dG_pbx (eV/atom)").to_numpy()
    yield Samples("stable", oxides, (energy <= 0.1).astype(int), (30, 50, 80))
    yield Samples("stabler half", oxides, (energy <= np.median(energy)).astype(int), (30, 50, 80))
    melting = pd.read_csv(HERE / "data" / "melting.csv")
    X, rejected = featurize(list(melting["formula"]))
    kept = ~melting["formula"].isin([formula for formula, _ in rejected]).to_numpy()
    point = melting["T_melt (K)"].to_numpy()[kept]
    yield Samples("melting", X.reset_index(drop=True), (point > np.median(point)).astype(int), (30, 50, 68))


def scores(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log loss and Brier score."""
    told = ClassCalibration.of(probability, labels)
    return np.array([told.log_loss, told.brier])


def of_draw(table: Samples, n: int, seed: int, pulls: list[float], rung: int) -> np.ndarray | None:
    """ndarray (2 + n_pulls, 2): scores without scaling, with that of each pull, and with the first where it pays.

    None where the rows that were drawn have fewer than three of a class.
    """
    order = np.random.default_rng([seed, n]).permutation(len(table.labels))
    known, others = order[:n], order[n:]
    if min(np.bincount(table.labels[known], minlength=table.labels.max() + 1)) < 3:
        return None
    headers, labels = list(table.X), table.labels[others]
    learned = checked_table(
        headers, table.X.to_numpy(float)[known], table.labels[known].astype(float), np.ones(n), target="y"
    )
    columns = dict(zip(learned.names, table.X.to_numpy(float)[others].T, strict=True))
    found = []
    for pull in pulls:
        settings = SISSOClassifierEnsemble(rung=rung, random_state=seed, threads=1).get_params()
        model = fit_members(settings, learned, (0, 1), pull=pull)
        if not found:
            raw = mean_probability(model.models, columns)[0]
            ok = np.isfinite(raw).all(axis=1)
            found.append(scores(raw[ok], labels[ok]))
            pays = model.calibration.log_loss < model.raw.log_loss
        found.append(scores(model.scaling.applied(raw)[ok], labels[ok]))
    return np.array([*found, found[1] if pays else found[0]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pulls", default="1,10,20")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--rung", type=int, default=1)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    pulls = [float(pull) for pull in options.pulls.split(",")]
    heads = [*(f"pull {pull:g}" for pull in pulls), "if it pays"]
    lines = {place: [["table", "rows", "unscaled", *heads]] for place in ("log loss", "Brier score")}
    total: list[np.ndarray] = []
    for table in tables():
        for n in table.sizes:
            draws = [of_draw(table, n, seed, pulls, options.rung) for seed in range(options.seeds)]
            every = np.array([draw for draw in draws if draw is not None])
            more = every[:, 1:] - every[:, :1]
            total.append(more.mean(axis=0) / every[:, 0].mean(axis=0))
            half = more.std(axis=0, ddof=1) / np.sqrt(len(more))
            for k, rows in enumerate(lines.values()):
                cells = [
                    f"{mean:+.4f} ± {error:.4f}"
                    for mean, error in zip(more.mean(axis=0)[:, k], half[:, k], strict=True)
                ]
                rows.append([table.name, str(n), f"{every[:, 0, k].mean():.3f}", *cells])
    for k, (title, rows) in enumerate(lines.items()):
        rows.append(["mean", "", "", *(f"{100 * share:+.1f} %" for share in np.mean(total, axis=0)[:, k])])
        print(f"{title}\n{aligned(rows, numeric=range(1, 3 + len(heads)))}\n")


if __name__ == "__main__":
    main()
