"""One descriptor for several tasks, with coefficients of each task (multi-task SISSO)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.engine.problem import FitObjective, Problem
from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models.alternatives import RankedModels
from sisso_sal.models.fitting import (
    Screened,
    SearchSettings,
    labels_needed,
    models_of_file,
    prepare,
    search_settings,
    space_settings,
)
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.magnitudes import check_labels
from sisso_sal.models.records import file_document
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.models.task_model import TaskModel, solve_tasks
from sisso_sal.models.task_records import TasksRecord
from sisso_sal.models.task_trade_off import task_folds, task_trade_off
from sisso_sal.models.trade_off import NO_FOLDS, TradeOff
from sisso_sal.protocols import Cause, Progress
from sisso_sal.system.costs import announce

N_ALTERNATIVES = 10
"""Models kept of each dimension, unless `n_models` says how many."""

WEIGHTINGS = ("tasks", "samples")
"""What counts alike: each task, or each sample."""


@dataclass(frozen=True)
class FittedTasks(RankedModels[TaskModel]):
    """The models of a search for one descriptor of several tasks.

    Attributes
    ----------
    alternatives : list of list of TaskModel
        The best few of each dimension, best first.
    primaries : dict of str to str
        Unit of each primary feature, in the order of the names.
    counts : SearchCounts
    task_column : str
        Name of the column that names the tasks; "" where each task is a target column of its own.
    units : dict of str to str
        The unit of each task's target.
    n_of_task : dict of str to int
        Samples of each task.
    trade_off : TradeOff or None
        Errors against complexity, where `n_models` was given and labels could be held out; see `task_trade_off`.
    subspaces : tuple of Screened
        The screened features of each dimension, where they were asked for; no file holds them.
    """

    alternatives: list[list[TaskModel]]
    primaries: dict[str, str]
    counts: SearchCounts
    task_column: str
    units: dict[str, str]
    n_of_task: dict[str, int]
    trade_off: TradeOff | None = None
    subspaces: tuple[Screened, ...] = ()

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(self.n_of_task)

    def of_task(self, name: str) -> FittedModels:
        """The models of one task.

        Raises
        ------
        SettingsError
            There is no such task.
        """
        if name not in self.n_of_task:
            raise SettingsError(f"task: needs one of {', '.join(self.n_of_task)}, found '{name}'")
        own = [[model.tasks[name] for model in models] for models in self.alternatives]
        return FittedModels(own, self.primaries, replace(self.counts, n_samples=self.n_of_task[name]))

    @property
    def needed(self) -> tuple[str, ...]:
        """Primary features without which `model` makes no prediction, sorted."""
        return self.model.primaries()

    def predict_with_validity(
        self, columns: Mapping[str, np.ndarray], tasks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of `model`, and False where a descriptor is undefined or far outside its range over the task's samples.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Primary features in the units of the training table: those that `needed` names.
        tasks : ndarray (n,) of str
        """
        prediction, valid = self.model.predict(columns, tasks)
        return np.where(np.isfinite(prediction), prediction, np.nan), valid

    def reasons(self, columns: Mapping[str, np.ndarray], tasks: np.ndarray) -> np.ndarray:
        """Why predictions of `model` are not valid: ndarray (n,) of str, "" where they are; see `Cause`."""
        causes = self.model.cause(columns, tasks)
        return np.array([(cause and Cause(cause).words) or "" for cause in causes.tolist()], dtype=object)

    def document(self, settings: Mapping[str, Any], target: str, target_unit: str = "") -> dict[str, Any]:
        """The content of a model file; see `file_document`.

        Parameters
        ----------
        settings : mapping
            Parameters of a `MultiTaskSISSO`.
        target, target_unit : str
            Name and unit of what they predict.
        """
        own = [{"name": name, "unit": self.units[name], "n_samples": number} for name, number in self.n_of_task.items()]
        models = {
            "task_column": self.task_column,
            "tasks": own,
            "models": [[model.to_json() for model in models] for models in self.alternatives],
            "trade_off": self.trade_off.to_json() if self.trade_off else None,
        }
        return file_document("tasks", (target, target_unit), self.primaries, settings, self.counts.to_json(), models)

    @classmethod
    def of_file(cls, record: TasksRecord) -> FittedTasks:
        """The inverse of `document`, from a file that was read.

        Raises
        ------
        ModelFileError, SettingsError
            A setting cannot be; a tree is no formula of the primary features, or the settings do not allow it; the tasks of a model
            have other descriptors than each other.
        """
        units, settings = record.units, record.settings.model_dump() | {"threads": None}
        space, search = space_settings(settings), task_search(settings)
        names, alternatives = [task.name for task in record.tasks], []
        for number, given in enumerate(record.models):
            read: list[TaskModel] = []
            for place, one in enumerate(given):
                where = f"models.{number}.{place}"
                parts = models_of_file(list(one.tasks.values()), f"{where}.tasks", units, space, search)
                model = TaskModel(dict(zip(one.tasks, parts, strict=True)), one.rmse, one.max_abs_error)
                keys = {tuple(term.expression.key for term in part.terms) for part in parts}
                if len(keys) > 1 or [*one.tasks] != names:
                    raise ModelFileError(f"{where}: needs the same descriptors for each of {', '.join(names)}")
                read.append(model)
            alternatives.append(read)
        target_units = {task.name: task.unit for task in record.tasks}
        numbers = {task.name: task.n_samples for task in record.tasks}
        judged = None if record.trade_off is None else TradeOff.of_file(record.trade_off)
        return cls(alternatives, units, SearchCounts.of_file(record), record.task_column, target_units, numbers, judged)


def task_search(parameters: Mapping[str, Any]) -> SearchSettings:
    """The settings of the search among the parameters of a `MultiTaskSISSO`."""
    objective = FitObjective(
        is_task_equal=parameters["task_weighting"] == "tasks",
        is_same_sign=parameters["same_sign"],
        is_largest_error=parameters["criterion"] == "max_abs_error",
    )
    n_models = parameters.get("n_models")
    return search_settings(parameters, N_ALTERNATIVES if n_models is None else n_models, objective=objective)


def find_task_formulas(
    settings: Mapping[str, Any],
    table: TrainingTable,
    task_column: str = "",
    units: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    *,
    with_subspaces: bool = False,
) -> FittedTasks:
    """The models of a table with tasks. They are not complete if Ctrl-C ended the search before the largest dimension was done.

    Parameters
    ----------
    settings : mapping
        Parameters of a `MultiTaskSISSO`.
    table : TrainingTable
        With tasks.
    task_column : str
        Name of the column that they come from, if they do.
    units : mapping of str to str, optional
        Unit of each task's target, where they are not that of the table.
    progress : callable, optional
        Called with (features done, features in all).
    with_subspaces : bool
        Whether the screened features are wanted too.

    Raises
    ------
    FitError
        There is one task, one has too few samples, or see `MultiTaskSISSO.fit`.
    SettingsError
        See `MultiTaskSISSO.fit`.
    KeyboardInterrupt
        On Ctrl-C before there is a model.
    """
    search = task_search(settings)
    names, numbers = table.task_names, samples_of_tasks(table, search)
    own_units = {name: (units or {}).get(name, table.target_unit) for name in names}
    is_judged = settings.get("n_models") is not None
    prepared = prepare(table, space_settings(settings), search)
    every = np.ones(len(prepared.names), dtype=bool)
    folds = task_folds(prepared) if is_judged else NO_FOLDS
    each = folds.weights(prepared.weights)
    problems = [Problem(prepared.target, weights, every, prepared.tasks) for weights in each]
    cost = prepared.cost(problems)
    prepared.plan(cost)
    announce([cost])
    solved = solve_tasks(prepared, problems, names, progress)
    judged = None
    if is_judged and solved.counts.is_complete:
        has_one_unit = len({*own_units.values()}) == 1
        columns = table.columns(prepared.order)
        judged = task_trade_off(problems, solved.models, prepared, folds, names, columns, is_share=not has_one_unit)
    subspaces = solved.subspaces(0) if with_subspaces else ()
    return FittedTasks(
        solved.models[0], table.primaries, solved.counts, task_column, own_units, numbers, judged, subspaces
    )


def samples_of_tasks(table: TrainingTable, search: SearchSettings) -> dict[str, int]:
    """Samples of positive weight of each task, whose labels are checked.

    Raises
    ------
    FitError
        There is one task, or one has too few samples, or labels that cannot be learned from.
    """
    names, needed = table.task_names, labels_needed(search.dim, search.fit_intercept)
    if len(names) < 2:
        raise FitError(f"fit: needs at least two tasks, found {len(names)}")
    counted = np.bincount(np.asarray(table.task_numbers), table.weights > 0, minlength=len(names)).astype(int)
    for name, number in zip(names, counted.tolist(), strict=True):
        if number < needed:
            raise FitError(
                f"fit: needs at least {needed} labelled samples of each task for dim {search.dim}, found {number} of '{name}'"
            )
    for name in names:
        mine = (np.asarray(table.tasks) == name) & (table.weights > 0)
        check_labels(f"{table.target} of task {name}", table.y[mine])
    return dict(zip(names, counted.tolist(), strict=True))
