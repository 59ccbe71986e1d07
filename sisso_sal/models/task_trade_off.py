"""How complex a descriptor of several tasks should be: errors of labels that were held out, as `trade_off` judges formulas.

The error of a sample counts as its task does. Where tasks have different units it is a share of the mean absolute deviation of its
task's labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.engine.refit import Subsets, refit_all
from sisso_sal.models.fitting import Prepared, labels_needed
from sisso_sal.models.groups import consecutive, error_of_mean, n_materials
from sisso_sal.models.task_model import TaskModel
from sisso_sal.models.trade_off import N_FOLDS, NO_FOLDS, Folds, JudgedFormula, JudgedSize, TradeOff, recommended


def kinds_of_materials(tasks: np.ndarray, material: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of which tasks each material has rows: its kind (n_materials,), and the tasks of each kind
    (n_kinds, n_tasks) of bool.

    Parameters
    ----------
    tasks, material : ndarray (n_samples,) of int
        Numbers from 0 on without gaps.

    Examples
    --------
    >>> kind, has = kinds_of_materials(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]))
    >>> kind.tolist(), has.astype(int).tolist()
    ([1, 2, 0], [[0, 1], [1, 0], [1, 1]])
    """
    has = np.zeros((int(material.max()) + 1, int(tasks.max()) + 1), dtype=bool)
    has[material, tasks] = True
    different, kind = np.unique(has, axis=0, return_inverse=True)
    return kind.reshape(-1), different


def task_folds(prepared: Prepared) -> Folds:
    """Samples of one material are in one fold, and the materials of each task are spread over all folds.

    The folds depend on the content of the table alone.
    """
    material, tasks, target = consecutive(prepared.groups), np.asarray(prepared.tasks), prepared.target
    kind, _ = kinds_of_materials(tasks, material)
    most = min(N_FOLDS, len(kind))
    if most < 2:
        return NO_FOLDS
    order = np.lexsort((np.random.default_rng(0).permutation(len(kind)), kind))
    fold = np.empty(len(kind), dtype=np.int64)
    fold[order] = np.arange(len(kind)) % most
    number = fold[material]
    needed = labels_needed(prepared.settings.dim, prepared.settings.fit_intercept)

    def is_usable(out: int) -> bool:
        seen = [target[(number != out) & (tasks == task)] for task in range(int(tasks.max()) + 1)]
        return all(len(labels) >= needed and float(np.ptp(labels)) > 0.0 for labels in seen)

    return Folds(number, tuple(out for out in range(most) if is_usable(out)))


def task_trade_off(
    problems: Sequence[Problem],
    models: Sequence[Sequence[Sequence[TaskModel]]],
    prepared: Prepared,
    folds: Folds,
    names: Sequence[str],
    columns: Mapping[str, np.ndarray],
    *,
    is_share: bool,
) -> TradeOff | None:
    """Judge numbers of terms and models.

    Parameters
    ----------
    problems : sequence of Problem
        Of all samples first, then without each usable fold.
    models : sequence of sequence of sequence of TaskModel
        What was found for each of them, see `SolvedTasks`.
    prepared : Prepared
    folds : Folds
    names : sequence of str
        Of the tasks, by their numbers.
    columns : mapping of str to ndarray (n,)
        Primary features, in the order of the problems.
    is_share : bool
        Whether errors are shares of the mean absolute deviation of each task's labels.

    Returns
    -------
    TradeOff or None
        None where no fold could be held out.
    """
    if not folds.usable:
        return None
    judge = _Judge(prepared, folds, is_share)
    tasks = np.array(names)[np.asarray(prepared.tasks)]
    sizes, formulas = [], []
    for place, alike in enumerate(models[0]):
        searched = folds.held_out(_by_search(models, place, columns, tasks))
        sizes.append(JudgedSize(alike[0].dimension, *judge.errors(searched)))
        for rank, model in enumerate(alike, 1):
            mae, mae_error, _ = judge.errors(folds.held_out(_by_refit(problems, model, prepared, columns)))
            formulas.append(JudgedFormula(model.dimension, rank, model.complexity, model.rmse, mae, mae_error))
    n = n_materials(prepared.groups)
    return TradeOff(len(folds.usable), n, tuple(sizes), tuple(formulas), recommended(sizes, formulas))


class _Judge:
    """Errors of held-out samples, each as it counts."""

    def __init__(self, prepared: Prepared, folds: Folds, is_share: bool) -> None:
        self._known = np.isin(folds.number, folds.usable)
        tasks, target = np.asarray(prepared.tasks), prepared.target
        n_tasks = int(tasks.max()) + 1
        self._target, self._groups = target, prepared.groups[self._known]
        numbers = np.bincount(tasks[self._known], minlength=n_tasks)
        self._means = np.array([target[tasks == task].mean() for task in range(n_tasks)])[tasks]
        deviations = np.array([np.abs(target - self._means)[tasks == task].mean() for task in range(n_tasks)])
        shares = np.ones(n_tasks)
        if prepared.settings.objective.is_task_equal:
            shares = self._known.sum() / (np.count_nonzero(numbers) * np.maximum(numbers, 1))
        self._counts = shares[tasks][self._known]
        self._scale = (deviations if is_share else np.ones(n_tasks))[tasks]

    def errors(self, said: np.ndarray) -> tuple[float, float, float]:
        """Mean absolute error with its standard error, and RMSE; what nothing is said of counts as the mean of its task."""
        filled = np.where(np.isfinite(said), said, self._means)
        size = (np.abs(self._target - filled) / self._scale)[self._known]
        counted = self._counts * size
        rmse = float(np.sqrt(np.mean(self._counts * size**2)))
        return float(counted.mean()), error_of_mean(counted, self._groups), rmse


def _by_search(
    models: Sequence[Sequence[Sequence[TaskModel]]], place: int, columns: Mapping[str, np.ndarray], tasks: np.ndarray
) -> Callable[[int, np.ndarray], np.ndarray]:
    """Predictions of samples by the best model that a search without them found."""

    def predictions(number: int, out: np.ndarray) -> np.ndarray:
        found = models[number]
        best = found[min(place, len(found) - 1)][0]  # without the fold there may be fewer terms
        return best.predict({name: values[out] for name, values in columns.items()}, tasks[out])[0]

    return predictions


def _by_refit(
    problems: Sequence[Problem], model: TaskModel, prepared: Prepared, columns: Mapping[str, np.ndarray]
) -> Callable[[int, np.ndarray], np.ndarray]:
    """Predictions of samples by a model whose coefficients are fitted without them."""
    values = np.array([one.evaluate(columns) for one in model.descriptors])
    whole, settings = np.arange(len(values))[None, :], prepared.settings

    def predictions(number: int, out: np.ndarray) -> np.ndarray:
        parts = [Subsets(values, problems[number], whole)]
        fit = refit_all(parts, settings.fit_intercept, settings.objective)[0][0]
        return np.full(int(out.sum()), np.nan) if fit is None else (prepared.target - fit.residual)[out]

    return predictions
