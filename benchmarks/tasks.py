"""Do tasks that share a descriptor predict better than one model of all, or one model of each task?

    python benchmarks/tasks.py [--few 6 10 20] [--repeats 10]

Each table is parted into families by its anions, or by its number of metals: a family is a task. Two questions, each with models of
two terms of rung 1, n_sis 20:

1. Five folds of each table: the RMSE of rows that were held out, as a root mean square over families.
2. One family has few labels, all others have theirs: the RMSE of the family's other rows, as a mean over families and repeats.

"offsets" is a simple baseline with the same inputs: one model of all rows, and the mean of each family's residuals on top.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from sisso_sal.errors import FitError
from sisso_sal.models.multi_task import MultiTaskSISSO
from sisso_sal.models.regressor import SISSORegressor

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
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


def tables() -> dict[str, tuple[pd.DataFrame, np.ndarray, np.ndarray]]:
    """Features, labels and families of each table."""
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
        found[name] = (features[whole], frame[target].to_numpy(), families)
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
    X, y, families = tables()[name]
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
    X, y, families = tables()[name]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, nargs="+", default=[6, 10, 20])
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    print("RMSE of held-out rows; with few labels in one family as a share of its spread")
    print(f"{'table':14} {'families':>8} {'labels':>6}  " + "  ".join(f"{way:>10}" for way in WAYS))
    for name in tables():
        folds(name, options.repeats)
        for few in options.few:
            few_labels(name, few, options.repeats)


if __name__ == "__main__":
    main()
