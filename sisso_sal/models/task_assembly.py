"""From the members that were searched for to an ensemble of several tasks: rung and number of terms, correction, calibration.

Rung and number of terms are the same for all tasks, as the descriptors are. One correction is learned from the samples of all
tasks, unless labels that are left out are predicted better by one of each task. The calibration of a task follows from its errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.models.assembly import (
    Assembled,
    calibrated,
    features_of,
    judged_ensemble,
    learned_correction,
    out_of_bag_errors,
)
from sisso_sal.models.correction import FEWEST, checked_composition
from sisso_sal.models.costs import choice_cost, correction_cost
from sisso_sal.models.ensemble_model import EnsembleModel, aggregated, evaluated
from sisso_sal.models.groups import error_of_mean, n_materials
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble
from sisso_sal.models.task_members import TaskStage, search_task_members
from sisso_sal.models.task_model import TaskModel
from sisso_sal.models.task_models import samples_of_tasks
from sisso_sal.protocols import Progress


@dataclass(frozen=True, eq=False)
class AssembledTasks:
    """An ensemble of several tasks and what it predicts of its own samples without having seen them.

    Attributes
    ----------
    model : FittedTaskEnsemble
    oob_mean, oob_std : ndarray (n_samples,)
        Out-of-bag prediction and raw sigma, in the unit of the sample's task; NaN where there is none.
    """

    model: FittedTaskEnsemble
    oob_mean: np.ndarray
    oob_std: np.ndarray


@dataclass(frozen=True, eq=False)
class _TaskPart:
    """The samples of one task.

    rows (n,): their numbers in the whole table; table: of these samples alone; order (n_present,): numbers within it of those of
    positive weight, in canonical order; unseen (n_members, n): what each member did not see.
    """

    rows: np.ndarray
    table: TrainingTable
    order: np.ndarray
    unseen: np.ndarray


@dataclass(frozen=True, eq=False)
class _TaskChoice:
    """Members of one rung and number of terms, and their out-of-bag errors: of each task, and over all of them."""

    stage: TaskStage
    dim: int
    members: list[TaskModel]
    of_tasks: dict[str, tuple[float, float, float]]
    error: float

    @property
    def place(self) -> dict[str, Any]:
        return {"rung": self.stage.rung, "dim": self.dim, "form": "feature", "column": ""}

    def of_task(self, name: str) -> dict[str, Any]:
        """As `EnsembleModel.choices` has it."""
        errors = dict(zip(("mae", "rmse", "mae_error"), self.of_tasks[name], strict=True))
        return self.place | {key: value if np.isfinite(value) else None for key, value in errors.items()}


def fit_task_ensemble(
    recipe: EnsembleRecipe,
    table: TrainingTable,
    composition: np.ndarray | None = None,
    *,
    task_column: str = "",
    units: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> AssembledTasks:
    """Search for all members in one pass over the feature space per dimension, and assemble them.

    Parameters
    ----------
    recipe : EnsembleRecipe
        See `task_recipe`.
    table : TrainingTable
        With tasks.
    composition : array (n_samples, n_elements), optional
        Share of each element, for the corrections.
    task_column : str
        Name of the column that tasks come from, if they do.
    units : mapping of str to str, optional
        Unit of each task's target, where they are not that of the table.
    progress : callable, optional
        Called with (features done, features in all).

    Raises
    ------
    FitError, SettingsError
        See `MultiTaskSISSOEnsemble.fit`.
    KeyboardInterrupt
        On Ctrl-C before there is a model.
    """
    composition = checked_composition(composition, len(table.y))
    numbers = samples_of_tasks(table, recipe.search)
    for name in numbers:
        recipe.floor(table.y[(np.asarray(table.tasks) == name) & (table.weights > 0)])  # refused before the search
    own_units = {name: (units or {}).get(name, table.target_unit) for name in numbers}
    may_share = len({*own_units.values()}) == 1
    n_inputs, has_shares = len(table.names), composition is not None
    sizes = [*numbers.values(), *([len(table.y)] if may_share else [])]
    corrections = [correction_cost(recipe, size, n_inputs, has_shares) for size in sizes]
    stages = search_task_members(recipe, table, progress, [choice_cost(recipe, 1, len(table.y)), *corrections])
    parts = _parts(table, stages[-1])
    choices = [choice for stage in stages for choice in _choices(recipe, stage, parts)]
    best = min(choices, key=lambda choice: (choice.error, choice.stage.rung, choice.dim))
    each = {}
    for name, part in parts.items():
        shares = None if composition is None else composition[part.rows]
        each[name] = _of_task(recipe, name, part, best, choices, stages, shares)
    if may_share:
        each = _with_shared(recipe, table, parts, each, stages[-1].prepared.order, composition)
    mean, std = np.full(len(table.y), np.nan), np.full(len(table.y), np.nan)
    for name, part in parts.items():
        mean[part.rows], std[part.rows] = each[name].oob_mean, each[name].oob_std
    ensembles = {name: one.model for name, one in each.items()}
    by_mean = {name: _error_of_means(part, mean[part.rows]) for name, part in parts.items()}
    told = [
        choice.place | {"error": choice.error if np.isfinite(choice.error) else None}
        for choice in choices
    ]  # fmt: skip
    counts = _counts(stages, best.stage)
    return AssembledTasks(FittedTaskEnsemble(ensembles, counts, task_column, own_units, told, by_mean), mean, std)


def _parts(table: TrainingTable, stage: TaskStage) -> dict[str, _TaskPart]:
    """The samples of each task."""
    order, unseen = stage.prepared.order, np.zeros((len(stage.problems), len(table.y)), dtype=bool)
    for number, problem in enumerate(stage.problems):
        unseen[number, order] = problem.weights == 0
    parts = {}
    for name in table.task_names:
        rows = np.flatnonzero(np.asarray(table.tasks) == name)
        mine = order[np.asarray(table.tasks)[order] == name]
        parts[name] = _TaskPart(rows, table.of_rows(rows), np.searchsorted(rows, mine), unseen[:, rows])
    return parts


def _choices(recipe: EnsembleRecipe, stage: TaskStage, parts: Mapping[str, _TaskPart]) -> list[_TaskChoice]:
    """Members of each number of terms, as far as there are any.

    Over all tasks the error is the mean of their mean absolute errors, each as a share of the mean absolute deviation of its
    labels, counted as tasks are weighted.
    """
    largest, out = max(len(models) for models in stage.models), []
    for dim in sorted({min(dim, largest) for dim in recipe.dims}):
        members = stage.members(dim)
        of_tasks, shares, counts = {}, [], []
        for name, part in parts.items():
            own = [member.tasks[name] for member in members]
            of_tasks[name] = out_of_bag_errors(recipe, part.table, own, part.unseen, part.order)
            labels = part.table.y[part.order]
            shares.append(of_tasks[name][0] / np.abs(labels - labels.mean()).mean())
            counts.append(1.0 if recipe.search.objective.is_task_equal else float(len(labels)))
        error = float(np.average(shares, weights=counts)) if np.isfinite(shares).all() else np.inf
        out.append(_TaskChoice(stage, dim, members, of_tasks, error))
    return out


def _of_task(
    recipe: EnsembleRecipe,
    name: str,
    part: _TaskPart,
    best: _TaskChoice,
    choices: Sequence[_TaskChoice],
    stages: Sequence[TaskStage],
    composition: np.ndarray | None,
) -> Assembled:
    """The ensemble of one task: its coefficients of the members, and what its out-of-bag errors teach."""
    names = np.array(best.stage.prepared.names, dtype=object)
    model = EnsembleModel(
        members=tuple(member.tasks[name] for member in best.members),
        dropped=tuple(tuple(names[~problem.allowed]) for problem in best.stage.problems),
        aggregation=recipe.aggregation,
        chosen=best.place,
        choices=[choice.of_task(name) for choice in choices],
        primaries=part.table.primaries,
        labelled=features_of(part.table, part.order),
        counts=replace(_counts(stages, best.stage), n_samples=len(part.order)),
    )
    return judged_ensemble(recipe, part.table, model, part.unseen, part.order, composition, None)


def _with_shared(
    recipe: EnsembleRecipe,
    table: TrainingTable,
    parts: Mapping[str, _TaskPart],
    each: dict[str, Assembled],
    order: np.ndarray,
    composition: np.ndarray | None,
) -> dict[str, Assembled]:
    """The same ensembles with one correction that the samples of all tasks taught, unless it is worse, see `_is_worse`."""
    formula = np.full(len(table.y), np.nan)
    for name, part in parts.items():
        values, valid, _ = evaluated(each[name].model.program, part.table.columns())
        said, _ = aggregated(values, valid & part.unseen, 1, recipe.aggregation)
        formula[part.rows] = np.where(np.isfinite(said), said, part.table.y[part.order].mean())
    if recipe.correction == "none" or n_materials(table.groups[order]) < FEWEST:
        return each
    first = next(iter(each.values())).model
    correction = learned_correction(recipe, table, first, formula, np.zeros(len(formula)), order, composition, None)
    if correction is None:
        return each
    mean, std = np.full(len(formula), np.nan), np.full(len(formula), np.nan)
    mean[order], std[order] = correction.left_out_mean, correction.left_out_std
    shared = {}
    for name, part in parts.items():
        own = each[name].model
        said = mean[part.rows], std[part.rows]
        calibration, recalibration = calibrated(recipe.recalibrate, part.table, *said, part.order, own.floor)
        model = replace(own, correction=correction, calibration=calibration, recalibration=recalibration)
        shared[name] = Assembled(model, *said)
    return each if _is_worse(recipe, table, parts, each, shared) else shared


def _is_worse(
    recipe: EnsembleRecipe,
    table: TrainingTable,
    parts: Mapping[str, _TaskPart],
    each: Mapping[str, Assembled],
    shared: Mapping[str, Assembled],
) -> bool:
    """Whether errors with one correction of all are larger than with one of each by more than a standard error.

    They are absolute errors of the samples that both predict, as shares of the mean absolute deviation of their task's labels,
    counted as tasks are weighted.
    """
    more, counts, groups = [], [], []
    for name, part in parts.items():
        y = part.table.y[part.order]
        own, other = (np.abs(y - told[name].oob_mean[part.order]) for told in (each, shared))
        known = np.isfinite(own)
        more.append((other - own)[known] / np.abs(y - y.mean()).mean())
        is_equal = recipe.search.objective.is_task_equal
        counts.append(np.full(len(more[-1]), 1.0 / max(len(more[-1]), 1) if is_equal else 1.0))
        groups.append(table.groups[part.rows][part.order][known])
    weights, materials = np.concatenate(counts), np.concatenate(groups)
    if n_materials(materials) < 2:
        return True
    counted = np.concatenate(more) * weights / weights.mean()
    return bool(counted.mean() > error_of_mean(counted, materials))


def _counts(stages: Sequence[TaskStage], chosen: TaskStage) -> SearchCounts:
    n_singular, is_complete = (
        sum(one.counts.n_singular for one in stages),
        all(one.counts.is_complete for one in stages),
    )
    return replace(chosen.counts, n_singular=n_singular, is_complete=is_complete)


def _error_of_means(part: _TaskPart, predicted: np.ndarray) -> float | None:
    """RMSE of the mean of the task's other materials, for the samples that have an out-of-bag prediction; None without any."""
    y, groups = part.table.y[part.order], part.table.groups[part.order]
    if n_materials(groups) < 2:
        return None
    number = np.unique(groups, return_inverse=True)[1]
    total, size = np.bincount(number, y)[number], np.bincount(number)[number]
    errors = (y - (y.sum() - total) / (len(y) - size))[np.isfinite(predicted[part.order])]
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else None
