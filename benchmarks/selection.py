"""Ways to choose among many primary features, before formulas of rung 2 are searched for among the chosen ones.

    python benchmarks/selection.py [--tables law200,law1000,oxides,…] [--ways pairs,forest,…] [--number 16] [--folds 5] [--seeds 3]

The tables: four laws among 200 or 1000 primary features (lognormal noise, with three copies of each feature of a law, correlated to
0.8), 120 rows, noise of a tenth of the spread, and 300 rows to test on, for several seeds; and the tables of labelled.py that are
there, with mean, least, largest, range and standard deviation of the elements' data beside their own columns, cross-validated with
the choice within each fold. All ways have the same inputs, and what follows the choice is the same: rung 2, two terms. The error is
the RMSE over the standard deviation of the labels; a prediction that is not valid counts as the mean of the labels. The way all
searches among all primary features; that takes minutes a table with 70 of them.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from labelled import TABLES, space_named, usable

from sisso_sal.models.formulas import find_formulas
from sisso_sal.models.groups import fold_numbers, grouped
from sisso_sal.models.inputs import checked_table
from sisso_sal.models.variables import SelectionSettings, select_variables
from sisso_sal.oxides.elements import atomic_fractions, element_data
from sisso_sal.report.text.table import aligned
from sisso_sal.settings.campaign import ModelSettings

SEARCH = ModelSettings(rung=2, dim=2).completed(ensemble=False).estimator_parameters() | {"threads": 1, "low": ()}
LAWS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "ab/c": (lambda x: x[0] * x[1] / x[2], 3),
    "(a-b)/c": (lambda x: (x[0] - x[1]) / x[2], 3),
    "|a-b|c": (lambda x: np.abs(x[0] - x[1]) * x[2], 3),
    "a/b+cd": (lambda x: x[0] / x[1] + x[2] * x[3], 4),
}
"""Laws, and the number of primary features in them."""

N_KNOWN, N_TEST = 120, 300

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Rows to learn from and their labels, rows to test on and theirs."""


def planted(law: str, n_primary: int, seed: int) -> Split:
    """Rows of a law; the features of the law come first, then their copies."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(N_KNOWN + N_TEST, n_primary))
    for own in range(4):
        for copy in range(4 + 3 * own, 7 + 3 * own):
            z[:, copy] = 0.8 * z[:, own] + 0.6 * z[:, copy]
    X = np.exp(0.4 * z)
    y = LAWS[law][0](X.T)
    y = y + 0.1 * y.std() * rng.normal(size=len(y))
    return X[:N_KNOWN], y[:N_KNOWN], X[N_KNOWN:], y[N_KNOWN:]


def folds_of(name: str, n_folds: int) -> Iterator[Split]:
    """The folds of a table with statistics of its compositions; rows of one composition stay together."""
    space = space_named(name)
    X, y = space.rows().matrix, space.labels
    groups = grouped(X, space.groups, space.composition)[0]
    every = np.hstack([X, _statistics(space.ids)])
    every = every[:, np.isfinite(every).all(axis=0) & (np.ptp(every, axis=0) > 0)]
    fold = fold_numbers(X, y, n_folds, 0, groups)
    for k in range(n_folds):
        seen = fold != k
        yield every[seen], y[seen], every[~seen], y[~seen]


def _statistics(formulas) -> np.ndarray:
    """ndarray (n, 5 * n_headers): of the elements' data, weighted by the shares of the atoms."""
    shares = atomic_fractions(list(formulas))
    if shares is None:
        return np.empty((len(formulas), 0))
    data = [*element_data().values()]
    columns = []
    for header in data[0].values:
        values = np.array([one.values.get(header, np.nan) for one in data])
        held = np.where(shares > 0, values, np.nan)
        mean = np.where(shares > 0, shares * values, 0.0).sum(axis=1)
        spread = np.sqrt(np.where(shares > 0, shares * (values - mean[:, None]) ** 2, 0.0).sum(axis=1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            low, high = np.nanmin(held, axis=1), np.nanmax(held, axis=1)
        columns += [mean, low, high, high - low, spread]
    return np.array(columns).T


def by_correlation(X: np.ndarray, y: np.ndarray, number: int) -> np.ndarray:
    return np.argsort(-np.abs(np.corrcoef(X.T, y)[-1, :-1]), kind="stable")[:number]


def by_information(X: np.ndarray, y: np.ndarray, number: int) -> np.ndarray:
    from sklearn.feature_selection import mutual_info_regression

    return np.argsort(-mutual_info_regression(X, y, random_state=0), kind="stable")[:number]


def by_lasso(X: np.ndarray, y: np.ndarray, number: int) -> np.ndarray:
    """In the order in which they enter the path."""
    from sklearn.linear_model import lars_path

    path = lars_path((X - X.mean(axis=0)) / X.std(axis=0), y - y.mean(), method="lasso", max_iter=3 * number)[2]
    order = [j for step in path.T for j in np.flatnonzero(step).tolist()]
    return np.array(list(dict.fromkeys(order))[:number])


def by_forest(X: np.ndarray, y: np.ndarray, number: int) -> np.ndarray:
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(300, random_state=0, n_jobs=1).fit(X, y)
    return np.argsort(-forest.feature_importances_, kind="stable")[:number]


def all_of_them(X: np.ndarray, y: np.ndarray, number: int) -> np.ndarray:
    return np.arange(X.shape[1])


def by_ours(X: np.ndarray, y: np.ndarray, number: int, by: str) -> np.ndarray:
    selected = select_variables(SEARCH, _table(X, y, np.arange(X.shape[1])), SelectionSettings(number=number, by=by))
    return np.array([int(name[1:]) for name in selected.names])


WAYS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "correlation": by_correlation, "information": by_information, "lasso": by_lasso, "forest": by_forest,
    "pairs": partial(by_ours, by="pairs"), "subsets": partial(by_ours, by="subsets"), "all": all_of_them,
}  # fmt: skip


def _table(X: np.ndarray, y: np.ndarray, columns: np.ndarray):
    return checked_table([f"x{j:04d}" for j in columns], X[:, columns], y, np.ones(len(y)), target="y")


def error(split: Split, columns: np.ndarray) -> np.ndarray:
    """Errors (n_test,) of a formula of these columns; of what is not valid, those of the mean."""
    X, y, X_test, y_test = split
    model = find_formulas(SEARCH, _table(X, y, columns)).model
    said, valid = model.predict({f"x{j:04d}": X_test[:, j] for j in columns})
    return np.where(valid, said, y.mean()) - y_test


def line_of_law(n_primary: int, ways: list[str], number: int, seeds: int) -> list[list[str]]:
    rows = []
    for way in ways:
        n_found, errors, begin = 0, [], time.process_time()
        for law, (_, n_needed) in LAWS.items():
            for seed in range(seeds):
                split = planted(law, n_primary, seed)
                columns = WAYS[way](*split[:2], number)
                n_found += set(range(n_needed)) <= set(columns.tolist())
                errors.append(np.sqrt(np.mean(error(split, columns) ** 2)) / split[3].std())
        each = (time.process_time() - begin) / len(errors)
        found, said = f"{n_found}/{len(errors)}", f"{np.mean(errors):.3f}"
        rows.append([f"law{n_primary}", str(n_primary), way, found, said, f"{each:.1f}"])
        print("  ".join(rows[-1]), flush=True)
    return rows


def line_of_table(name: str, ways: list[str], number: int, n_folds: int) -> list[list[str]]:
    rows = []
    splits = list(folds_of(name, n_folds))
    labels = np.concatenate([split[3] for split in splits])
    for way in ways:
        begin = time.process_time()
        every = np.concatenate([error(split, WAYS[way](*split[:2], number)) for split in splits])
        each = (time.process_time() - begin) / n_folds
        said = f"{np.sqrt(np.mean(every**2)) / labels.std():.3f}"
        rows.append([name, str(splits[0][0].shape[1]), way, "", said, f"{each:.1f}"])
        print("  ".join(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [name for name in usable() if TABLES[name].file is not None]
    parser.add_argument("--tables", default=",".join(["law200", "law1000", *known]))
    parser.add_argument("--ways", default=",".join(way for way in WAYS if way != "all"))
    for name, default in (("number", 16), ("folds", 5), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    ways, rows = options.ways.split(","), []
    for name in options.tables.split(","):
        if name.startswith("law"):
            rows += line_of_law(int(name[3:]), ways, options.number, options.seeds)
        else:
            rows += line_of_table(name, ways, options.number, options.folds)
    print()
    print(aligned([["table", "features", "chosen by", "law found", "error", "CPU s"], *rows], numeric=(1, 3, 4, 5)))


if __name__ == "__main__":
    main()
