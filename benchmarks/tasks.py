"""Do tasks that share a descriptor predict better than one model of all, or one model of each task?

    python benchmarks/tasks.py [--few 6 10 20] [--repeats 10]
    python benchmarks/tasks.py --ensembles [--table NAME]

Each table is parted into families by its anions, or by its number of metals: a family is a task. Two questions, each with models of
two terms of rung 1, n_sis 20:

1. Five folds of each table: the RMSE of rows that were held out, as a root mean square over families.
2. One family has few labels, all others have theirs: the RMSE of the family's other rows, as a mean over families and repeats.

With --ensembles: five folds of each table, materials of one composition in one fold, with ensembles of 20 members, with and without
correction. A line for each family has the RMSE of rows that were held out, that of the training rows out of bag, the share of
held-out rows in the 95 % interval, and the spread of the labels.

"offsets" is a simple baseline with the same inputs: one model of all rows, and the mean of each family's residuals on top.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sisso_sal.errors import FitError
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.multi_task import MultiTaskSISSO
from sisso_sal.models.multi_task_ensemble import MultiTaskSISSOEnsemble
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.oxides.elements import atomic_fractions

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


class Parts(NamedTuple):
    """Rows to learn from and rows to predict: features, labels, families, and share of each element."""

    X: pd.DataFrame
    y: np.ndarray
    families: np.ndarray
    shares: np.ndarray
    test_X: pd.DataFrame
    test_families: np.ndarray
    test_shares: np.ndarray


KINDS = (
    ("halides", "F Cl Br I"),
    ("oxides", "O"),
    ("chalcogenides", "S Se Te"),
    ("pnictides", "N P As Sb"),
)
SETTINGS = {"rung": 1, "dim": 2, "n_sis": 20, "n_residual": 1, "threads": 1}
FEWEST = 20
"""Rows of the smallest family that is looked at."""


def elements(formula: str) -> set[str]:
    return set(re.findall("[A-Z][a-z]?", formula))


def by_anion(formula: str) -> str:
    return next((name for name, anions in KINDS if elements(formula) & set(anions.split())), "others")


def by_metals(formula: str) -> str:
    return f"{len(elements(formula) - {'O'})} metals"


def tables() -> dict[str, tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]]:
    """Features, labels, families and formulas of each table."""
    found = {}
    kinds: dict[str, tuple[Path, str, Callable[[str], str]]] = {
        "oxides.csv": (ROOT / "data" / "oxides.csv", "dG_pbx (eV/atom)", by_metals),
        "oxides_gpbx": (SHARED / "oxides_gpbx.csv", "g_pbx (eV/atom)", by_metals),
        "gaps_measured": (SHARED / "gaps_measured.csv", "gap (eV)", by_anion),
        "bulk_moduli": (SHARED / "bulk_moduli.csv", "logK", by_anion),
        "phonon_peaks": (SHARED / "phonon_peaks.csv", "wmax (cm**-1)", by_anion),
    }
    for name, (path, target, family) in kinds.items():
        if not path.exists():
            continue
        frame = pd.read_csv(path)
        frame = frame[frame[target].notna()].reset_index(drop=True)
        families = frame.iloc[:, 0].map(family).to_numpy()
        large = frame.groupby(families)[target].transform("size").to_numpy() >= FEWEST
        frame, families = frame[large], families[large]
        features = frame.drop(columns=[frame.columns[0], target])
        whole = features.columns[features.notna().all()]
        formulas = frame.iloc[:, 0].str.replace(r"[^A-Za-z0-9.]", "", regex=True).to_numpy()
        found[name] = (features[whole], frame[target].to_numpy(), families, formulas)
    return found


def one_model(X, y, families, test_X, test_families):
    return SISSORegressor(**SETTINGS).fit(X, y).predict(test_X)


def offsets(X, y, families, test_X, test_families):
    """One model of all rows, and the mean of what it leaves in each family on top."""
    model = SISSORegressor(**SETTINGS).fit(X, y)
    rest = y - model.predict(X)
    means = {family: rest[families == family].mean() for family in np.unique(families)}
    return model.predict(test_X) + np.array([means[family] for family in test_families])


def each_alone(X, y, families, test_X, test_families):
    out = np.empty(len(test_X))
    for family in np.unique(test_families):
        own, wanted = families == family, test_families == family
        out[wanted] = SISSORegressor(**SETTINGS).fit(X[own], y[own]).predict(test_X[wanted])
    return out


def tasks(**options):
    def predict(X, y, families, test_X, test_families):
        return MultiTaskSISSO(**SETTINGS, **options).fit(X, y, tasks=families).predict(test_X, test_families)

    return predict


WAYS = {
    "one model": one_model,
    "offsets": offsets,
    "each alone": each_alone,
    "tasks": tasks(),
    "by samples": tasks(task_weighting="samples"),
    "same sign": tasks(same_sign=True),
}


def rmse(errors: np.ndarray, families: np.ndarray) -> float:
    """Root of the mean over families of their mean squares; what is undefined is left out and counts as the family's spread."""
    return float(np.sqrt(np.mean([np.mean(errors[families == family] ** 2) for family in np.unique(families)])))


def predicted(way, X, y, families, train, test) -> np.ndarray:
    """Predictions of rows; where there is none, the mean of the family."""
    means = np.array([y[train][families[train] == family].mean() for family in families[test]])
    try:
        with np.errstate(all="ignore"):
            found = way(X.iloc[train], y[train], families[train], X.iloc[test], families[test])
    except FitError:
        return means
    return np.where(np.isfinite(found), found, means)


def folds(name: str, repeats: int) -> None:
    X, y, families, _ = tables()[name]
    cells = []
    for way in WAYS.values():
        errors = []
        for seed in range(max(repeats // 5, 1)):
            fold = np.random.default_rng(seed).permutation(len(y)) % 5
            rest = np.empty(len(y))
            for number in range(5):
                train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                rest[test] = y[test] - predicted(way, X, y, families, train, test)
            errors.append(rmse(rest, families))
        cells.append(f"{np.mean(errors):.4g}")
    print(
        f"{name:14} {len(np.unique(families)):8} {'all':>6}  " + "  ".join(f"{cell:>10}" for cell in cells), flush=True
    )


def few_labels(name: str, few: int, repeats: int) -> None:
    X, y, families, _ = tables()[name]
    cells = []
    for way in WAYS.values():
        errors = []
        for family in np.unique(families):
            own = np.flatnonzero(families == family)
            for seed in range(repeats):
                order = np.random.default_rng(seed).permutation(own)
                train = np.concatenate([np.flatnonzero(families != family), order[:few]])
                test = order[few:]
                rest = y[test] - predicted(way, X, y, families, train, test)
                errors.append(np.sqrt(np.mean(rest**2)) / y[own].std())
        cells.append(f"{np.mean(errors):.3f}")
    print(f"{name:14} {len(np.unique(families)):8} {few:6}  " + "  ".join(f"{cell:>10}" for cell in cells), flush=True)


MEMBERS = {**SETTINGS, "members": 20}


class Held(NamedTuple):
    """Means and ends of the intervals of rows that were held out, and out-of-bag means of those that were learned from."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    out_of_bag: np.ndarray


def single(model: SISSOEnsemble, parts: Parts) -> Held:
    """An ensemble of one task."""
    X, y, _, shares, test_X, _, test_shares = parts
    model.fit(X, y, composition=shares)
    told = model.predict_distribution(test_X, test_shares)
    return Held(told.mean, *told.interval95, model.oob_mean_)


def without_families(correction: str):
    return lambda parts: single(SISSOEnsemble(**MEMBERS, correction=correction), parts)


def families_as_features(correction: str):
    """A column of 0 and 1 for each family."""

    def predict(parts: Parts) -> Held:
        known = np.unique(parts.families)
        X, test_X = (
            frame.assign(**{f"is_{name}".replace(" ", "_"): (families == name) * 1.0 for name in known})
            for frame, families in ((parts.X, parts.families), (parts.test_X, parts.test_families))
        )
        return single(SISSOEnsemble(**MEMBERS, correction=correction), parts._replace(X=X, test_X=test_X))

    return predict


def ensembles_alone(correction: str):
    def predict(parts: Parts) -> Held:
        out = Held(*(np.full(n, np.nan) for n in [len(parts.test_X)] * 3 + [len(parts.y)]))
        for family in np.unique(parts.families):
            own, wanted = parts.families == family, parts.test_families == family
            part = Parts(
                parts.X[own], parts.y[own], parts.families[own], parts.shares[own], parts.test_X[wanted],
                parts.test_families[wanted], parts.test_shares[wanted],
            )  # fmt: skip
            told = single(SISSOEnsemble(**MEMBERS, correction=correction), part)
            for values, found, rows in zip(out, told, (wanted, wanted, wanted, own), strict=True):
                values[rows] = found
        return out

    return predict


def ensemble_of_tasks(correction: str, **options):
    def predict(parts: Parts) -> Held:
        model = MultiTaskSISSOEnsemble(**MEMBERS, correction=correction, **options)
        model.fit(parts.X, parts.y, tasks=parts.families, composition=parts.shares)
        told = model.predict_rows(parts.test_X, parts.test_families, parts.test_shares)
        return Held(told.mean, told.low95, told.high95, model.oob_mean_)

    return predict


ENSEMBLES = {
    "one": without_families,
    "families as features": families_as_features,
    "each alone": ensembles_alone,
    "tasks": ensemble_of_tasks,
    "tasks, same sign": lambda correction: ensemble_of_tasks(correction, same_sign=True),
}


def folds_of_ensembles(name: str) -> None:
    """A line for each way and family, with and without correction."""
    X, y, families, formulas = tables()[name]
    shares = atomic_fractions(formulas)
    material = np.unique(formulas, return_inverse=True)[1]
    fold = (np.random.default_rng(0).permutation(material.max() + 1) % 5)[material]
    for correction in ("none", "both"):
        for way, made in ENSEMBLES.items():
            mean, low, high = (np.full(len(y), np.nan) for _ in range(3))
            squares = {family: [] for family in np.unique(families)}
            for number in range(5):
                train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                parts = Parts(
                    X.iloc[train], y[train], families[train], shares[train], X.iloc[test], families[test], shares[test]
                )
                mean[test], low[test], high[test], out_of_bag = made(correction)(parts)
                for family, errors in squares.items():
                    own = families[train] == family
                    errors.append(np.nanmean((y[train] - out_of_bag)[own] ** 2))
            means = np.array([y[families == family].mean() for family in families])
            rest = y - np.where(np.isfinite(mean), mean, means)
            whole = rmse(rest, families)
            for family, errors in squares.items():
                own = families == family
                inside = ((low <= y) & (y <= high))[own & np.isfinite(mean)].mean()
                print(
                    f"{name:14} {correction:5} {way:22} {family:14} {own.sum():4}  {np.sqrt(np.mean(rest[own] ** 2)):9.4g}"
                    f"  {np.sqrt(np.mean(errors)):9.4g}  {inside:5.2f}  {y[own].std():9.4g}"
                )
            of_bag = np.sqrt(np.mean([np.mean(errors) for errors in squares.values()]))
            print(f"{name:14} {correction:5} {way:22} {'all':14} {len(y):4}  {whole:9.4g}  {of_bag:9.4g}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, nargs="+", default=[6, 10, 20])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--ensembles", action="store_true")
    parser.add_argument("--table")
    options = parser.parse_args()
    if options.ensembles:
        print(f"{'table':14} corr. {'way':22} {'family':14} rows  held out  out of bag  inside  spread")
        for name in [options.table] if options.table else tables():
            folds_of_ensembles(name)
        return
    print("RMSE of held-out rows; with few labels in one family as a share of its spread")
    print(f"{'table':14} {'families':>8} {'labels':>6}  " + "  ".join(f"{way:>10}" for way in WAYS))
    for name in tables():
        folds(name, options.repeats)
        for few in options.few:
            few_labels(name, few, options.repeats)


if __name__ == "__main__":
    main()
