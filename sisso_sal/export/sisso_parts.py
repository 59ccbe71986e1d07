"""Results of a fit of several tasks in the files of SISSO 3.5.

Names, columns and formats as in `sisso_sal.export.sisso_files`; SISSO writes a file for each task where it writes one for one task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.export.sisso_files import (
    LINE,
    OutLines,
    Search,
    fortran_number,
    selected_text,
    selection_lines,
    sisso_out,
)
from sisso_sal.features.expression import Expression
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.task_models import FittedTasks, TaskModel


@dataclass(frozen=True)
class FitOfTasks:
    """What is written.

    Attributes
    ----------
    models : FittedTasks
        With the subspaces of the search.
    table : TrainingTable
        Rows and columns in the order in which the user has them.
    settings : mapping
        Parameters of a `MultiTaskSISSO`.
    seconds : float
    """

    models: FittedTasks
    table: TrainingTable
    settings: Mapping[str, Any]
    seconds: float

    @property
    def features(self) -> list[Expression]:
        """All screened features, dimension by dimension; their numbers are places in this list."""
        return [feature for part in self.models.subspaces for feature, _ in part]

    def rows(self, task: str) -> np.ndarray:
        """Numbers of the rows of a task."""
        return np.flatnonzero(np.asarray(self.table.tasks) == task)


def files_of_tasks(fit: FitOfTasks) -> dict[str, str]:
    """The files by their path within a folder.

    Parameters
    ----------
    fit : FitOfTasks
    """
    models, features, columns = fit.models, fit.features, fit.table.columns()
    values = np.array([feature.evaluate(columns) for feature in features])
    scored = [one for part in models.subspaces for one in part]
    texts = {
        "SISSO.out": _out(fit),
        "SIS_subspaces/Uspace.expressions": [
            f"{selected_text(one)}     SIS_score ={size:12.4f}" for one, size in scored
        ],
        **_best_few(fit),
    }
    dimension = f"D{models.model.dimension:03d}"
    chosen = [number for number, _ in _order(features, models.model)]
    head = f"{'Index':>10}{'y_true':>20}{'y_pred':>20}"
    head += "".join(f"{'descriptor_':>19}{k}" for k in range(1, len(chosen) + 1))
    said, _ = models.model.predict(columns, np.asarray(fit.table.tasks))
    for place, task in enumerate(models.task_names, 1):
        own = fit.rows(task)
        every = np.vstack([fit.table.y, values])[:, own].T.tolist()
        best = np.vstack([fit.table.y, said, values[chosen]])[:, own].T.tolist()
        texts[f"SIS_subspaces/Uspace_t{place:03d}.dat"] = [_numbers(row) for row in every]
        rows = [f"{number:10d}{_numbers(row)}" for number, row in enumerate(best, 1)]
        texts[f"Models/data_top1/desc_{dimension}_t{place:03d}.dat"] = [head, *rows]
    return {name: "\n".join(lines) + "\n" for name, lines in texts.items()}


def _order(features: Sequence[Expression], model: TaskModel) -> list[tuple[int, int]]:
    """Number of each descriptor among the features, from 0, and its place in the model; by number."""
    numbers = {feature.key: number for number, feature in enumerate(features)}
    return sorted((numbers[one.key], place) for place, one in enumerate(model.descriptors))


def _numbers(row: Sequence[float]) -> str:
    return "".join(map(fortran_number, row))


def _coefficients(model: TaskModel, task: str, order: Sequence[tuple[int, int]]) -> list[float]:
    """Of a task, by the numbers of the features."""
    terms = model.tasks[task].terms
    return [terms[place].coefficient for _, place in order]


def _best_few(fit: FitOfTasks) -> dict[str, list[str]]:
    """The best few models of the largest dimension: errors over all tasks, and coefficients of each."""
    models, features = fit.models, fit.features
    best = models.alternatives[-1]
    ranks = [f"{'Rank':>12}{'RMSE':>12}{'MaxAE':>12}{'Feature_ID':>12}"]
    coefficients = ["Model_ID, [(c_i,i=0,n)_j,j=1,ntask]"]
    for rank, model in enumerate(best, 1):
        order = _order(features, model)
        ids = "".join(f"{number + 1:8d}" for number, _ in order)
        ranks.append(f"{rank:12d}{model.rmse:12.6f}{model.max_abs_error:12.6f}  ({ids})")
        own = [[model.tasks[task].intercept, *_coefficients(model, task, order)] for task in models.task_names]
        coefficients.append(f"{rank:12d}{''.join(map(_numbers, own))}")
    top = f"Models/top{len(best):04d}_D{models.model.dimension:03d}"
    return {top: ranks, f"{top}_coeff": coefficients}


def _out(fit: FitOfTasks) -> list[str]:
    models, settings = fit.models, fit.settings
    deviations = [float(fit.table.y[fit.rows(task)].std()) for task in models.task_names]
    search = Search(
        settings, len(fit.table.names), models.subspaces, models.counts.n_features, models.model.dimension,
        len(models.alternatives[-1]), fit.seconds,
    )  # fmt: skip
    weighting = 1 if settings["task_weighting"] == "tasks" else 2
    words = "Standard Deviation (sqrt[sum(y-y_mean)^2/n]) of the target property of task "
    own = OutLines(
        [f"{words}{place:03d}: {value:10.5f}" for place, value in enumerate(deviations, 1)],
        [
            *("Property type:     1", f"Number of tasks: {len(models.task_names):8d}"),
            f"Descriptor dimension: {models.model.dimension:8d}",
            f"Number of samples for the task(s): {''.join(f'{n:6d}' for n in models.n_of_task.values())}",
            f"Task_weighting: {weighting:8d}",
            f"Sign-constrained multi-task learning: {'T' if settings['same_sign'] else 'F':>6}",
        ],
        selection_lines(settings),
        _best_model(fit, weighting),
    )
    return sisso_out(search, own)


def _best_model(fit: FitOfTasks, weighting: int) -> list[str]:
    model, features = fit.models.model, fit.features
    order = _order(features, model)
    lines = [" ", f"{model.dimension:3d}D descriptor/model(y=sum(ci*di)+c0) : ", LINE]
    lines += [
        f"     d{place:03d} = {selected_text(features[number])}    feature_ID:{number + 1:06d}"
        for place, (number, _) in enumerate(order, 1)
    ]
    lines.append(" ")
    for place, task in enumerate(fit.models.task_names, 1):
        own = model.tasks[task]
        lines += [
            f"     task_{place:03d}",
            f"        coeff.(ci): {_numbers(_coefficients(model, task, order))}",
            f"{'c0: ':>20}{fortran_number(own.intercept)}",
            f"{'RMSE and MaxAE: ':>20}{fortran_number(own.rmse)}{fortran_number(own.max_abs_error)}",
        ]
    rule = "sqrt(sum(RMSE_i^2)/ntask)" if weighting == 1 else "sqrt(sum(RMSE_i^2*n_i)/sum(n_i))"
    return [
        *lines,
        *("", f"     Overall RMSE and MaxAE: {model.rmse:10.6f}{model.max_abs_error:10.6f}"),
        f"     RMSE = {rule}   (for task_weighting={weighting})",
        *("     MaxAE = max(MaxAE_i)", LINE),
    ]
