"""A model of several tasks: the same descriptors, with coefficients of each; and the search for such models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.engine.refit import Fit
from sisso_sal.errors import FitError
from sisso_sal.features.expression import Expression
from sisso_sal.models.fitting import Prepared, Screened, screened_features, searched, used_formulas
from sisso_sal.models.linear import SISSOModel, build_model
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.protocols import Progress


@dataclass(frozen=True)
class TaskModel:
    """A model of several tasks.

    Attributes
    ----------
    tasks : dict of str to SISSOModel
        For each task its coefficients on the same descriptors, its errors, and the ranges of the descriptors over its samples.
    rmse : float
        Root of the mean square over tasks, weighted as the tasks count.
    max_abs_error : float
        The largest of all tasks.

    Examples
    --------
    >>> from sisso_sal.models.linear import Term
    >>> a = Expression.primary("a")
    >>> model = TaskModel({t: SISSOModel((Term(a, c, 0.0, 1.0),), 1.0, 0.0, 0.0) for t, c in (("x", 2.0), ("y", 3.0))}, 0.0, 0.0)
    >>> model.predict({"a": np.array([0.5, 0.5])}, np.array(["y", "x"]))[0].tolist()
    [2.5, 2.0]
    """

    tasks: dict[str, SISSOModel]
    rmse: float
    max_abs_error: float

    @property
    def descriptors(self) -> tuple[Expression, ...]:
        return tuple(term.expression for term in next(iter(self.tasks.values())).terms)

    @property
    def dimension(self) -> int:
        """Number of descriptors."""
        return len(self.descriptors)

    @property
    def complexity(self) -> int:
        """Number of operators in all its descriptors."""
        return sum(one.complexity for one in self.descriptors)

    def primaries(self) -> tuple[str, ...]:
        """Names of the primary features that it uses, sorted."""
        return next(iter(self.tasks.values())).primaries()

    def predict(self, columns: Mapping[str, np.ndarray], tasks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and their validity, see `SISSOModel.predict`; tasks (n,) are names.

        Raises
        ------
        FitError
            A task is none of those that were learned.
        """
        prediction, valid = np.full(len(tasks), np.nan), np.zeros(len(tasks), dtype=bool)
        for name, rows in self._rows(tasks):
            prediction[rows], valid[rows] = self.tasks[name].predict(_some(columns, rows))
        return prediction, valid

    def cause(self, columns: Mapping[str, np.ndarray], tasks: np.ndarray) -> np.ndarray:
        """Why predictions are not valid; see `SISSOModel.cause`."""
        causes = np.zeros(len(tasks), dtype=np.int8)
        for name, rows in self._rows(tasks):
            causes[rows] = self.tasks[name].cause(_some(columns, rows))
        return causes

    def _rows(self, tasks: np.ndarray) -> list[tuple[str, np.ndarray]]:
        names = sorted({*tasks.tolist()})
        for name in names:
            if name not in self.tasks:
                raise FitError(f"task '{name}': is none of those that were learned: {', '.join(self.tasks)}")
        return [(name, np.flatnonzero(tasks == name)) for name in names]

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        tasks = {name: model.to_json() for name, model in self.tasks.items()}
        return {"dimension": self.dimension, "rmse": self.rmse, "max_abs_error": self.max_abs_error, "tasks": tasks}


def _some(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in columns.items()}


class SolvedTasks(NamedTuple):
    """The models of a search for several tasks.

    - models: ``models[p][k]``, the best few of the k-th dimension that problem p has models of, best first
    - counts: what the search went through
    - subspaces: of the number of a problem its screened features of each dimension, see `Screened`
    """

    models: list[list[list[TaskModel]]]
    counts: SearchCounts
    subspaces: Callable[[int], tuple[Screened, ...]]


def solve_tasks(
    prepared: Prepared, problems: Sequence[Problem], names: Sequence[str], progress: Progress | None = None
) -> SolvedTasks:
    """Models of several tasks for one or many problems on a prepared table.

    Parameters
    ----------
    prepared : Prepared
    problems : sequence of Problem
        With tasks.
    names : sequence of str
        Of the tasks, by their numbers.
    progress : callable, optional

    Raises
    ------
    FitError
        A problem has no usable feature.
    """
    outcomes, counts = searched(prepared, problems, progress)
    formula, keep, models = cache(prepared.space.expression), prepared.settings.n_models, []
    for problem, outcome in zip(problems, outcomes, strict=True):
        best = [fits[:keep] for fits in outcome.fits if fits]
        formulas, values = used_formulas(prepared.space, formula, outcome, best)
        models.append([[_task_model(formulas, values, fit, problem, names) for fit in fits] for fits in best])
    return SolvedTasks(models, counts, lambda number: screened_features(outcomes[number], formula))


def _task_model(
    formulas: Mapping[int, Expression],
    values: Mapping[int, np.ndarray],
    fit: Fit,
    problem: Problem,
    names: Sequence[str],
) -> TaskModel:
    """The model of one fit."""
    tasks = {}
    for number, (name, own) in enumerate(zip(names, problem.of_tasks, strict=True)):
        coefficients, intercept = fit.coefficients[number], float(np.asarray(fit.intercept)[number])
        alone = Fit(fit.subset, coefficients, intercept, 0.0, fit.residual)
        tasks[name] = build_model(formulas, values, alone, own.weights)
    rmse = float(np.sqrt(fit.sse / problem.weights.sum()))
    return TaskModel(tasks, rmse, max(model.max_abs_error for model in tasks.values()))
