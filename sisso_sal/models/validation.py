"""Cross-validation of an ensemble, and the choice of its settings, in one pass where folds are problems too.

Features are laid out on all samples, so a feature that is undefined on a held-out sample is not used in that fold either; targets
of held-out samples are seen by nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from sklearn.base import clone

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.assembly import assemble
from sisso_sal.models.calibration import Calibration, judge
from sisso_sal.models.correction import checked_composition
from sisso_sal.models.costs import correction_cost
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.estimators import ensemble_table
from sisso_sal.models.groups import error_of_mean, fold_numbers, n_materials
from sisso_sal.models.members import Draw, Stage, search_members
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.models.transform import TargetTransform
from sisso_sal.protocols import Progress


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """Predictions of samples by ensembles that did not see them.

    Attributes
    ----------
    target, mean, std, std_raw, formulas_mean : ndarray (n,)
        In the target's unit; `formulas_mean` is the mean of the formulas alone. NaN where there is no prediction.
    probability : ndarray (n,)
        Of the predictive distribution, to be at most the target.
    fold : ndarray (n,) of int
    groups : ndarray (n,) of int
        Samples with the same number are one material.
    chosen : list of dict
        Rung, dimension and form in each fold.
    kind : str
        Of the recalibration.
    """

    target: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    std_raw: np.ndarray
    formulas_mean: np.ndarray
    probability: np.ndarray
    fold: np.ndarray
    groups: np.ndarray
    chosen: list[dict[str, Any]]
    kind: str

    @property
    def n_undefined(self) -> int:
        """Samples without prediction."""
        return int(np.isnan(self.mean).sum())

    def calibration(self) -> Calibration:
        """Of the samples that have a prediction with a spread; where none has a spread, of those with a prediction.

        Raises
        ------
        FitError
            No sample has a prediction.
        """
        predicted = np.isfinite(self.mean)
        if not predicted.any():
            raise FitError(f"cross-validation: needs a prediction, found none for {len(self.mean)} samples")
        spread = predicted & (self.std_raw > 0)
        known = spread if spread.any() else predicted
        errors, n = (self.target - self.mean)[known], n_materials(self.groups[known])
        return judge(errors, self.std_raw[known], self.std[known], self.probability[known], self.kind, n)


def cross_validate(
    ensemble: SISSOEnsemble,
    X,
    y,
    *,
    composition: np.ndarray | None = None,
    groups: Any = None,
    folds: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> CrossValidated:
    """Predict every sample by an ensemble of the given settings that did not see it.

    Parameters
    ----------
    ensemble : SISSOEnsemble
        Its settings; it is not changed.
    X : array or DataFrame (n_samples, n_primary)
    y : array (n_samples,)
    composition : array (n_samples, n_elements), optional
        See `SISSOEnsemble.fit`.
    groups : array (n_samples,), optional
        See `SISSOEnsemble.fit`; samples of one material are in one fold.
    folds : int
    seed : int
        Of the folds.
    progress : callable, optional

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (40, 3))
    >>> y = X[:, 0] * X[:, 1] + rng.normal(0, 0.02, 40)
    >>> validated = cross_validate(SISSOEnsemble(members=6, rung=1, dim=1, n_sis=5), X, y, folds=4)
    >>> bool(validated.calibration().rmse < 0.1)
    True
    """
    bench = _Bench(ensemble, X, y, folds, seed, composition, groups)
    stages = bench.search(bench.recipe, [bench.recipe.dropout], progress)
    return bench.assembled(bench.recipe, stages, 0)


class _Bench:
    """A table cut into folds, and the searches that serve all of them."""

    def __init__(
        self,
        ensemble: SISSOEnsemble,
        X,
        y,
        folds: int,
        seed: int,
        composition: np.ndarray | None = None,
        groups: Any = None,
    ):
        self.recipe = ensemble.recipe().changed(n_scored=0)  # nobody asks which descriptors are certain in a fold
        copied: Any = clone(ensemble)  # scikit-learn notes the columns at it
        self.table = ensemble_table(copied, X, y, composition=composition, groups=groups)
        self.composition = checked_composition(composition, len(self.table.y))
        self.folds = folds
        features = np.column_stack([self.table.columns()[name] for name in self.table.primaries])
        self.fold = fold_numbers(features, self.table.y, folds, seed, self.table.groups)

    def search(self, recipe: EnsembleRecipe, dropouts: Sequence[float], progress: Progress | None) -> list[Stage]:
        """One pass for all dropouts and folds; fold k with dropout number j is draw ``j folds + k``."""
        draws = [Draw(self.fold != k, dropout) for dropout in dropouts for k in range(self.folds)]
        n_seen, has_shares = len(self.table.y) - len(self.table.y) // self.folds, self.composition is not None
        later = correction_cost(recipe, n_seen, len(self.table.names), has_shares, len(draws))
        stages = search_members(recipe, self.table, draws, progress, [later])
        if not all(stage.solved.counts.is_complete for stage in stages):
            raise KeyboardInterrupt
        return stages

    def assembled(self, recipe: EnsembleRecipe, stages: Sequence[Stage], dropout: int) -> CrossValidated:
        """Predictions by the ensembles of all folds."""
        n = len(self.fold)
        parts = {name: np.full(n, np.nan) for name in ("mean", "std", "std_raw", "formulas_mean")}
        probability, chosen = np.full(n, np.nan), []
        for k in range(self.folds):
            held_out = self.fold == k
            draw = dropout * self.folds + k
            model = assemble(recipe, self.table, stages, draw, ~held_out, self.composition).model
            shares = None if self.composition is None else self.composition[held_out]
            prediction = model.predict_distribution(self.table.columns(held_out), shares)
            for name, values in parts.items():
                values[held_out] = getattr(prediction, name)
            probability[held_out] = prediction.told.place(self.table.y[held_out])
            chosen.append(model.chosen)
        return CrossValidated(
            self.table.y, **parts, probability=probability, fold=self.fold, groups=self.table.groups, chosen=chosen,
            kind=recipe.recalibrate,
        )  # fmt: skip


GRID: Mapping[str, tuple] = {
    "rung": (1, 2), "dim": (1, 2, 3), "n_sis": (10, 50), "members": (10, 30), "dropout": (0.0, 0.2, 0.4),
    "transform": ("none", "yeo-johnson"),
}  # fmt: skip
"""Settings that `tune` compares, unless told otherwise."""


def tune(
    ensemble: SISSOEnsemble,
    X,
    y,
    grid: Mapping[str, Sequence[Any]] = GRID,
    *,
    groups: Any = None,
    folds: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Cross-validated errors of all combinations of settings, best first.

    A search serves all folds, dropouts and dimensions; rung, n_sis, the transform and the number of members need one of their own
    (ten members are not the first ten of thirty, which leave each other's labels out).
    The formulas are compared without correction, which would hide what they are worth.

    Parameters
    ----------
    ensemble : SISSOEnsemble
        All other settings.
    X : array or DataFrame (n_samples, n_primary)
    y : array (n_samples,)
    grid : mapping of str to sequence
        The keys of `GRID`.
    groups : array (n_samples,), optional
        See `SISSOEnsemble.fit`; samples of one material are in one fold.
    folds, seed : int
    progress : callable, optional
        Called with (searches done, searches in all).

    Returns
    -------
    list of dict
        The settings and ``mae``, ``mae_error`` (standard error), ``rmse``, ``coverage95``, ``miscalibration_area``,
        ``spearman``, ``n_undefined``. Samples without prediction count with the error of the mean of all targets, so that saying
        nothing never pays.

    Raises
    ------
    SettingsError
        A key is missing or unknown, or has no value or one that is out of range; nothing was searched then.
    FitError
        The target is not positive and its logarithm is among the transforms; nothing was searched then.
    """
    unknown = set(grid) ^ set(GRID)
    if unknown:
        raise SettingsError(
            f"grid: needs exactly {', '.join(GRID)}, found a difference in {', '.join(sorted(unknown))}"
        )
    bench = _Bench(ensemble, X, y, folds, seed, None, groups)
    _check_grid(bench, grid)
    shared: tuple[str, ...] = ("rung", "n_sis", "transform", "members")
    searches: list[dict[str, Any]] = [
        dict(zip(shared, values, strict=True)) for values in product(*(grid[name] for name in shared))
    ]
    rows = []
    for number, settings in enumerate(searches):
        rows += _compared(bench, grid, settings)
        if progress:
            progress(number + 1, len(searches))
    return sorted(
        rows, key=lambda row: (row["mae"], row["rung"], row["dim"], row["n_sis"], row["members"], row["dropout"])
    )


def simplest(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of rows of `tune` the one with the simplest formulas whose error is within one standard error of the least.

    A target as it is goes before a transformed one, then fewer terms, then a lower rung: a transform is chosen only if nothing
    without one comes so near. `n_sis`, `members` and `dropout` make no formula simpler; of these the least error decides. (The rule
    of one standard error: Breiman, Friedman, Olshen and Stone, Classification and Regression Trees (1984), section 3.4.3.)

    Examples
    --------
    >>> one = {"transform": "none", "dim": 1, "rung": 1, "mae": 0.21, "mae_error": 0.01}
    >>> two = {"transform": "none", "dim": 2, "rung": 2, "mae": 0.20, "mae_error": 0.02}
    >>> simplest([two, one]) is one
    True
    """
    best = min(rows, key=lambda row: row["mae"])
    near = [row for row in rows if row["mae"] <= best["mae"] + best["mae_error"]]
    return min(near, key=lambda row: (row["transform"] != "none", row["dim"], row["rung"], row["mae"]))


def _compared(bench: _Bench, grid: Mapping[str, Sequence[Any]], shared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of `tune` that one search gives; `shared` are the settings of the search."""
    fixed = bench.recipe.changed(
        rung=shared["rung"], n_sis=shared["n_sis"], target_transform=shared["transform"], members=shared["members"],
        adapt=False, correction="none",
    )  # fmt: skip
    stages = bench.search(fixed.changed(dim=max(grid["dim"])), grid["dropout"], None)
    rows = []
    for (j, dropout), dim in product(enumerate(grid["dropout"]), grid["dim"]):
        validated = bench.assembled(fixed.changed(dim=dim, dropout=dropout), stages, j)
        varied = {"dropout": dropout, "dim": dim}
        rows.append({name: {**shared, **varied}[name] for name in GRID} | _figures(validated))
    return rows


def _check_grid(bench: _Bench, grid: Mapping[str, Sequence[Any]]) -> None:
    """A value that cannot be used is told before hours of searching, not after."""
    for name, values in grid.items():
        if not len(values):
            raise SettingsError(f"{name}: needs a value at least, found none")
        for value in values:
            bench.recipe.changed(**{"target_transform" if name == "transform" else name: value})
    for transform in grid["transform"]:
        TargetTransform.fit(transform, bench.table.y)


def _figures(validated: CrossValidated) -> dict[str, Any]:
    filled = np.where(np.isnan(validated.mean), validated.target.mean(), validated.mean)
    size = np.abs(validated.target - filled)
    calibration = validated.calibration() if validated.n_undefined < len(size) else None
    return {
        "mae": float(size.mean()),
        "mae_error": error_of_mean(size, validated.groups),
        "rmse": float(np.sqrt(np.mean(size**2))),
        "coverage95": calibration.coverage95 if calibration else 0.0,
        "miscalibration_area": calibration.miscalibration_area if calibration else 0.5,
        "spearman": calibration.spearman if calibration else None,
        "n_undefined": validated.n_undefined,
    }
