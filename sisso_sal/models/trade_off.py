"""How complex a formula should be: errors of labels that were held out, against terms and operators.

Two errors are told apart. That of a number of terms comes from searches that never saw the fold: all that `fit` does is done again
without it. That of a particular formula comes from coefficients that are fitted again without the fold; which formula it is was
chosen with all labels, so this error is too small, the more so the more formulas there were to choose from. It compares formulas of
one number of terms and is no estimate of how well they predict.

The recommended formula follows from both by the rule of one standard error (Breiman, Friedman, Olshen and Stone, Classification and
Regression Trees (1984), section 3.4.3): the fewest terms whose error, by searches, is within a standard error of the least; among
formulas of so many terms the one with the fewest operators whose error, refitted, is within a standard error of the least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.models.baseline import Baseline
from sisso_sal.models.fitting import Prepared, labels_needed
from sisso_sal.models.groups import error_of_mean, fold_numbers, n_materials
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.lines import on_baseline
from sisso_sal.models.trade_off_records import TradeOffRecord

N_FOLDS = 10
"""Parts of the materials, each of which is held out once; as many as there are materials, if these are fewer."""


@dataclass(frozen=True, eq=False)
class Folds:
    """Which samples are held out together.

    Attributes
    ----------
    number : ndarray (n,) of int
        Fold of each sample, in canonical order.
    usable : tuple of int
        Folds without which enough is left for a model.
    """

    number: np.ndarray
    usable: tuple[int, ...]

    def weights(self, weights: np.ndarray) -> list[np.ndarray]:
        """Weights (n,) of all samples, then of those outside of each usable fold."""
        return [weights, *(np.where(self.number == k, 0.0, weights) for k in self.usable)]

    def held_out(self, predictions: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
        """ndarray (n,): predictions of each sample without its fold; NaN where its fold is not usable.

        `predictions` takes the place of the fold's weights in `weights`, and which samples (n,) are wanted.
        """
        said = np.full(len(self.number), np.nan)
        for number, fold in enumerate(self.usable, 1):
            out = self.number == fold
            said[out] = predictions(number, out)
        return said


NO_FOLDS = Folds(np.zeros(0, dtype=np.int64), ())
"""Nothing is held out."""


def folds_of(table: TrainingTable, prepared: Prepared) -> Folds:
    """Samples of one material are in one fold; the folds depend on the content of the table alone."""
    most = n_materials(prepared.groups)
    if most < 2:
        return Folds(np.zeros(len(prepared.order), dtype=np.int64), ())
    columns, target = table.columns(prepared.order), prepared.target
    X = np.column_stack([columns[name] for name in prepared.names])
    number = fold_numbers(X, target, min(N_FOLDS, most), 0, prepared.groups)
    has_parameters = bool(prepared.space.settings.param_operators)
    needed = labels_needed(prepared.settings.dim, prepared.settings.fit_intercept, has_parameters)

    def is_usable(fold: int) -> bool:
        seen = target[number != fold]
        return len(seen) >= needed and float(np.ptp(seen)) > 0.0

    return Folds(number, tuple(fold for fold in range(min(N_FOLDS, most)) if is_usable(fold)))


@dataclass(frozen=True)
class JudgedSize:
    """A number of terms, judged by searches that did not see the labels.

    Attributes
    ----------
    dimension : int
        Number of terms.
    mae, mae_error, rmse : float
        Mean absolute error, its standard error over materials, and root mean square error, in the target's unit.
    """

    dimension: int
    mae: float
    mae_error: float
    rmse: float


@dataclass(frozen=True)
class JudgedFormula:
    """A formula, judged by coefficients that are fitted again without the labels.

    Attributes
    ----------
    dimension : int
        Number of terms.
    rank : int
        Its place among the formulas of so many terms by the error in training, from 1.
    complexity : int
        Operators in all of its descriptors.
    rmse : float
        In training, in the target's unit.
    mae, mae_error : float
        Of held-out labels with refitted coefficients, and its standard error over materials, in the target's unit.
    """

    dimension: int
    rank: int
    complexity: int
    rmse: float
    mae: float
    mae_error: float


@dataclass(frozen=True)
class TradeOff:
    """Errors of held-out labels against complexity, and the recommended formula.

    Attributes
    ----------
    n_folds, n_materials : int
    sizes : tuple of JudgedSize
        One for each number of terms, ascending.
    formulas : tuple of JudgedFormula
        By number of terms, then by rank.
    recommended : (int, int)
        Number of terms and rank.
    """

    n_folds: int
    n_materials: int
    sizes: tuple[JudgedSize, ...]
    formulas: tuple[JudgedFormula, ...]
    recommended: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return {
            "n_folds": self.n_folds,
            "n_materials": self.n_materials,
            "sizes": [asdict(size) for size in self.sizes],
            "formulas": [asdict(formula) for formula in self.formulas],
            "recommended": list(self.recommended),
        }

    @classmethod
    def of_file(cls, record: TradeOffRecord) -> TradeOff:
        """The inverse of `to_json`, from a file that was read."""
        sizes = tuple(JudgedSize(**size.model_dump()) for size in record.sizes)
        formulas = tuple(JudgedFormula(**formula.model_dump()) for formula in record.formulas)
        dimension, rank = record.recommended
        return cls(record.n_folds, record.n_materials, sizes, formulas, (dimension, rank))


def recommended(sizes: Sequence[JudgedSize], formulas: Sequence[JudgedFormula]) -> tuple[int, int]:
    """Number of terms and rank of the formula that the rule of one standard error takes; see the head of this module.

    Examples
    --------
    >>> sizes = [JudgedSize(1, 0.30, 0.02, 0.4), JudgedSize(2, 0.21, 0.02, 0.3), JudgedSize(3, 0.20, 0.02, 0.3)]
    >>> formulas = [JudgedFormula(2, 1, 6, 0.1, 0.19, 0.02), JudgedFormula(2, 2, 3, 0.1, 0.20, 0.02)]
    >>> recommended(sizes, formulas)
    (2, 2)
    """
    best = min(sizes, key=lambda size: (size.mae, size.dimension))
    dimension = min(size.dimension for size in sizes if size.mae <= best.mae + best.mae_error)
    alike = [formula for formula in formulas if formula.dimension == dimension]
    first = min(alike, key=lambda formula: (formula.mae, formula.rank))
    near = [formula for formula in alike if formula.mae <= first.mae + first.mae_error]
    chosen = min(near, key=lambda formula: (formula.complexity, formula.mae, formula.rank))
    return dimension, chosen.rank


def simplest_choice(choices: Sequence[Mapping[str, Any]]) -> Any:
    """Of the choices of an ensemble the fewest terms, then the lowest rung, within one standard error of the least error.

    None where the errors or the standard error of the least are not known.

    Examples
    --------
    >>> one, two = {"rung": 2, "dim": 1, "mae": 0.21, "mae_error": 0.01}, {"rung": 1, "dim": 2, "mae": 0.20, "mae_error": 0.02}
    >>> simplest_choice([one, two]) is one, simplest_choice([])
    (True, None)
    """
    known = [choice for choice in choices if choice["mae"] is not None]
    best = min(known, key=lambda choice: choice["mae"], default=None)
    if best is None or best.get("mae_error") is None:
        return None
    near = [choice for choice in known if choice["mae"] <= best["mae"] + best["mae_error"]]
    return min(near, key=lambda choice: (choice["dim"], choice["rung"], choice["mae"]))


class Searches(NamedTuple):
    """What was searched for, and what was found: of all samples first, then without each usable fold.

    - problems, baselines: see `sisso_sal.models.baseline.rests`
    - models: ``models[p][d]``, the models of problem p, before the baseline is added
    """

    problems: Sequence[Problem]
    baselines: Sequence[Baseline | None]
    models: Sequence[Sequence[Sequence[SISSOModel]]]


def trade_off(searches: Searches, table: TrainingTable, prepared: Prepared, folds: Folds) -> TradeOff | None:
    """Judge numbers of terms and formulas.

    Parameters
    ----------
    searches : Searches
    table : TrainingTable
    prepared : Prepared
    folds : Folds

    Returns
    -------
    TradeOff or None
        None where no fold could be held out.
    """
    if not folds.usable:
        return None
    columns = table.columns(prepared.order)
    groups = prepared.groups

    def judged(said: np.ndarray) -> tuple[float, float, float]:
        """Mean absolute error with its standard error, and RMSE; what nothing is said of counts as the mean of all labels."""
        known = np.isin(folds.number, folds.usable)
        filled = np.where(np.isfinite(said), said, prepared.target.mean())[known]
        size = np.abs(prepared.target[known] - filled)
        return float(size.mean()), error_of_mean(size, groups[known]), float(np.sqrt(np.mean(size**2)))

    sizes, formulas = [], []
    for place, pairs in _told(searches, table, columns):
        dimension = pairs[0][1].dimension
        sizes.append(JudgedSize(dimension, *judged(folds.held_out(_by_search(searches, place, table, columns)))))
        for rank, (raw, model) in enumerate(pairs, 1):
            refitted = _by_refit(searches, raw, columns, prepared.settings.fit_intercept)
            mae, mae_error, _ = judged(folds.held_out(refitted))
            formulas.append(JudgedFormula(dimension, rank, model.complexity, model.rmse, mae, mae_error))
    n_folds = len(folds.usable)
    return TradeOff(n_folds, n_materials(groups), tuple(sizes), tuple(formulas), recommended(sizes, formulas))


def _told(
    searches: Searches, table: TrainingTable, columns: Mapping[str, np.ndarray]
) -> list[tuple[int, list[tuple[SISSOModel, SISSOModel]]]]:
    """Of each number of terms the place among the dimensions searched, and its models without and with their baseline.

    Those that `FittedModels.alternatives` holds: where a baseline is among the descriptors too, both are one term.
    """
    told = {}
    for place, models in enumerate([models for models in searches.models[0] if models]):
        whole = [
            on_baseline(one, searches.baselines[0], table, columns, searches.problems[0].weights) for one in models
        ]
        n_terms = whole[0].dimension
        told[n_terms] = (place, [pair for pair in zip(models, whole, strict=True) if pair[1].dimension == n_terms])
    return list(told.values())


def _by_search(
    searches: Searches, place: int, table: TrainingTable, columns: Mapping[str, np.ndarray]
) -> Callable[[int, np.ndarray], np.ndarray]:
    """Predictions of samples by the best model that a search without them found."""

    def predictions(number: int, out: np.ndarray) -> np.ndarray:
        found = [models for models in searches.models[number] if models]
        best = found[min(place, len(found) - 1)][0]  # without the fold there may be fewer terms
        problem, baseline = searches.problems[number], searches.baselines[number]
        model = on_baseline(best, baseline, table, columns, problem.weights)
        return model.predict({name: values[out] for name, values in columns.items()})[0]

    return predictions


def _by_refit(
    searches: Searches, model: SISSOModel, columns: Mapping[str, np.ndarray], fit_intercept: bool
) -> Callable[[int, np.ndarray], np.ndarray]:
    """Predictions of samples by a formula whose coefficients are fitted without them."""
    rows = model.descriptors(columns)
    size = np.abs(rows).max(axis=1)
    design = (rows / np.where(size > 0, size, 1.0)[:, None]).T
    design = np.column_stack([design, np.ones(len(design))]) if fit_intercept else design

    def predictions(number: int, out: np.ndarray) -> np.ndarray:
        problem, baseline = searches.problems[number], searches.baselines[number]
        root = np.sqrt(problem.shares)
        coefficients = np.linalg.lstsq(design * root[:, None], problem.target * root, rcond=None)[0]
        known = 0.0 if baseline is None else baseline.values(columns)[out]
        return design[out] @ coefficients + known

    return predictions
