"""Cross-validated accuracy and calibration of SISSO, a random forest and a Gaussian process on the same folds.

    python benchmarks/accuracy.py [TABLE --target NAME]

Without a table: the labelled rows of data/oxides.csv, and ../shared/data/oxides_gpbx.csv where it is there.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sisso_sal.data.table import Table, read_table
from sisso_sal.models.calibration import (
    coverage,
    error_against_sigma,
    miscalibration_area,
    noise_floor,
    rank_correlation,
)
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.models.validation import CrossValidated, cross_validate
from sisso_sal.oxides.elements import composition_of
from sisso_sal.report.text.table import aligned

HERE = Path(__file__).resolve().parent.parent
TABLES = ((HERE / "data/oxides.csv", None), (HERE.parent / "shared/data/oxides_gpbx.csv", "g_pbx (eV/atom)"))


class _Spread:
    """A forest whose trees' spread is its sigma."""

    def predict(self, X, return_std=False):
        if not return_std:
            return super().predict(X)
        trees = np.array([tree.predict(np.asarray(X)) for tree in self.estimators_])
        return trees.mean(axis=0), trees.std(axis=0, ddof=1)


class Forest(_Spread, RandomForestRegressor): ...


class Trees(_Spread, ExtraTreesRegressor): ...


def others(n_features: int) -> dict:
    """The models that are fitted fold by fold, by name."""
    kernel = ConstantKernel() * Matern(np.ones(n_features), nu=2.5) + WhiteKernel()
    process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0)
    return {
        "SISSO, one model": SISSORegressor(),
        "random forest": Forest(500, random_state=0),
        "randomised trees": Trees(500, random_state=0),
        "Gaussian process": make_pipeline(StandardScaler(), process),
    }


def fold_by_fold(model, X: pd.DataFrame, y: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors and sigmas; sigma is NaN where the model has none."""
    errors, sigmas = np.empty(len(y)), np.full(len(y), np.nan)
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        model.fit(X[train], y[train])
        if isinstance(model, SISSORegressor):
            mean = model.predict(X[test])
        else:
            mean, sigmas[test] = model.predict(X[test], return_std=True)
        errors[test] = y[test] - mean
    return errors, sigmas


def row(name: str, errors: np.ndarray, sigmas: np.ndarray, counted: np.ndarray) -> list[str]:
    """A line of the table, with Gaussian intervals."""
    e, s = errors[counted], sigmas[counted]
    undefined = int((~np.isfinite(errors)).sum())
    cells = [name, f"{np.sqrt(np.mean(e**2)):.3f}", f"{np.abs(e).mean():.3f}", f"{np.abs(e).max():.2f}", str(undefined)]
    if np.isnan(s).all():
        return [*cells, "", "", ""]
    return [
        *cells,
        f"{coverage(e, s, 0.95):.1%}",
        f"{miscalibration_area(e, s):.3f}",
        f"{rank_correlation(e, s):.2f}",
    ]


def ensemble_row(name: str, found: CrossValidated, counted: np.ndarray) -> list[str]:
    """The same with the recalibrated intervals of the ensemble."""
    calibration = found.calibration()
    cells = row(name, found.target - found.mean, found.std, counted)
    return [*cells[:5], f"{calibration.coverage95:.1%}", f"{calibration.miscalibration_area:.3f}", cells[7]]


def report(table: Table, seed: int) -> str:
    """The table of all models on the labelled rows; errors are compared on the rows that every model predicts."""
    X = table.to_frame()[[table.header(name) for name in table.feature_names]][table.labelled].reset_index(drop=True)
    y = np.asarray(table.target)[table.labelled]
    shares = composition_of(table)
    shares = None if shares is None else shares[table.labelled]
    ours = cross_validate(SISSOEnsemble(), X, y, composition=shares, seed=seed)
    features_only = cross_validate(SISSOEnsemble(), X, y, groups=ours.groups, seed=seed)
    alone = cross_validate(SISSOEnsemble(correction="none"), X, y, groups=ours.groups, seed=seed)
    found = {name: fold_by_fold(model, X, y, ours.fold) for name, model in others(X.shape[1]).items()}
    counted = np.all([np.isfinite(errors) for errors, _ in found.values()], axis=0)
    counted &= np.isfinite(ours.mean) & np.isfinite(features_only.mean) & np.isfinite(alone.mean)
    rows = [["10-fold cross-validation", "RMSE", "MAE", "largest", "undefined", "in 95 %", "area", "Spearman"]]
    rows.append(row("SISSO, one model", *found.pop("SISSO, one model"), counted))
    rows.append(ensemble_row("SISSO ensemble, formulas alone", alone, counted))
    rows.append(ensemble_row("SISSO ensemble, no compositions", features_only, counted))
    rows.append(ensemble_row("SISSO ensemble", ours, counted))
    rows += [row(name, *result, counted) for name, result in found.items()]
    floor = noise_floor(int(counted.sum()))
    bins = error_against_sigma((y - ours.mean)[counted], ours.std[counted])
    ranked = ", ".join(f"{part['sigma']:.3f} and {part['rmse']:.3f}" for part in bins)
    return (
        f"{Path(table.path).name}: {len(y)} rows, {X.shape[1]} primary features, {table.target_name} in {table.target_unit}\n"
        f"{aligned(rows, numeric=range(1, 8))}\n"
        f"a perfect sigma has an area of {floor[0]:.3f} on average, and below {floor[1]:.3f} with a probability of 95 %\n"
        f"SISSO ensemble, sigma and error (root mean squares) in five groups by sigma: {ranked}\n"
    )


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
