"""Cross-validated accuracy of a SISSO model, an ensemble, a random forest and a Gaussian process on the same folds.

    python benchmarks/accuracy.py [TABLE --target NAME]

Without a table: the labelled rows of data/oxides.csv, and ../shared/data/oxides_gpbx.csv where it is there.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sisso_sal.data.table import Table, read_table
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.report.text import aligned
from sisso_sal.uncertainty import coverage, miscalibration_area

HERE = Path(__file__).resolve().parent.parent
TABLES = ((HERE / "data/oxides.csv", None), (HERE.parent / "shared/data/oxides_gpbx.csv", "g_pbx (eV/atom)"))


class Forest(RandomForestRegressor):
    """A forest whose trees' spread is its sigma."""

    def predict(self, X, return_std=False):
        if not return_std:
            return super().predict(X)
        trees = np.array([tree.predict(np.asarray(X)) for tree in self.estimators_])
        return trees.mean(axis=0), trees.std(axis=0, ddof=1)


def contestants(n_features: int) -> dict:
    """The models, by name."""
    kernel = ConstantKernel() * Matern(np.ones(n_features), nu=2.5) + WhiteKernel()
    process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0)
    return {
        "SISSO, one model": SISSORegressor(),
        "SISSO, ensemble": SISSOEnsemble(),
        "random forest": Forest(500, random_state=0),
        "Gaussian process": make_pipeline(StandardScaler(), process),
    }


def cross_validated(model, X: pd.DataFrame, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors and sigmas of 10 folds; sigma is NaN where the model has none."""
    errors, sigmas = np.empty(len(y)), np.full(len(y), np.nan)
    for train, test in KFold(10, shuffle=True, random_state=seed).split(X):
        model.fit(X.iloc[train], y[train])
        if isinstance(model, SISSORegressor):
            mean = model.predict(X.iloc[test])
        else:
            mean, sigmas[test] = model.predict(X.iloc[test], return_std=True)
        errors[test] = y[test] - mean
    return errors, sigmas


def row(name: str, errors: np.ndarray, sigmas: np.ndarray, counted: np.ndarray) -> list[str]:
    """A line of the table."""
    e, s = errors[counted], sigmas[counted]
    undefined = int((~np.isfinite(errors)).sum())
    cells = [name, f"{np.sqrt(np.mean(e**2)):.3f}", f"{np.abs(e).mean():.3f}", f"{np.abs(e).max():.2f}", str(undefined)]
    if np.isnan(s).all():
        return [*cells, "", "", ""]
    return [
        *cells,
        f"{coverage(e, s, 0.95):.0%}",
        f"{miscalibration_area(e, s):.3f}",
        f"{spearmanr(s, np.abs(e))[0]:.2f}",
    ]


def report(table: Table, seed: int) -> str:
    """The table of all models on the labelled rows; errors are compared on the rows that every model predicts."""
    X = table.to_frame()[[table.header(name) for name in table.feature_names]][table.labelled].reset_index(drop=True)
    y = np.asarray(table.target)[table.labelled]
    found = {name: cross_validated(model, X, y, seed) for name, model in contestants(X.shape[1]).items()}
    counted = np.all([np.isfinite(errors) for errors, _ in found.values()], axis=0)
    rows = [["10-fold cross-validation", "RMSE", "MAE", "largest", "undefined", "in 95 %", "area", "Spearman"]]
    rows += [row(name, *result, counted) for name, result in found.items()]
    head = f"{Path(table.path).name}: {len(y)} rows, {X.shape[1]} primary features, {table.target_name} in {table.target_unit}"
    return f"{head}\n{aligned(rows, numeric=range(1, 8))}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--target")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", message="unit .* is not known")
    tables = [(arguments.table, arguments.target)] if arguments.table else [t for t in TABLES if t[0].exists()]
    for path, target in tables:
        print(report(read_table(path, target=target, require_target=True), arguments.seed))


if __name__ == "__main__":
    main()
