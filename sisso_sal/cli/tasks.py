"""Fit one descriptor to several tasks, and predict for each of them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sisso_sal.cli import known_values
from sisso_sal.cli.help import panel
from sisso_sal.cli.options import at_work, dumps
from sisso_sal.cli.terminal import emit, fail, note, show
from sisso_sal.data.headers import split_header
from sisso_sal.errors import SettingsError, TableError
from sisso_sal.system.progress import Progress

TASKS = panel(
    "Several tasks",
    click.option(
        "--task",
        metavar="COLUMN",
        shell_complete=known_values.columns,
        help="Rows with the same cell here are a task: one descriptor, coefficients of each.",
    ),
    click.option("--same-sign", is_flag=True, help="Signs of coefficients agree over tasks."),
    click.option(
        "--task-weighting",
        type=click.Choice(("tasks", "samples")),
        help="What counts alike: each task, or each sample; tasks by default.",
    ),
)


def check_tasks(options: dict[str, Any], others: dict[str, Any], n_targets: int, *, is_ensemble: bool) -> bool:
    """Whether there are several tasks. Options of several are refused where there is one, and others that need one.

    Parameters
    ----------
    options, others : dict
        Those of `TASKS`, and those of formulas and ensembles.
    n_targets : int
    is_ensemble : bool

    Raises
    ------
    SettingsError
        The message names the option.
    """
    has_tasks = bool(options["task"]) or n_targets > 1
    if options["task"] and n_targets > 1:
        raise SettingsError(f"task: needs one --target, found {n_targets}, each of which is a task")
    for name in ("same_sign", "task_weighting"):
        if options[name] and not has_tasks:
            raise SettingsError(f"{name.replace('_', '-')}: needs --task or several --target, found one task")
    if is_ensemble and (has_tasks or options["criterion"]):
        name = "criterion" if options["criterion"] else "task" if options["task"] else "target"
        raise SettingsError(f"{name}: several tasks and other criteria are fitted by one model, found --members")
    if has_tasks and others.get("low"):
        raise SettingsError("low: needs one task, found several")
    return has_tasks


def fit_tasks(table: Path, targets: tuple[str, ...], settings, formula: str | None, options: dict[str, Any]):
    """The models of several tasks, and the document that describes them.

    Parameters
    ----------
    table : path
    targets : tuple of str
        Target columns; each is a task where there are several.
    settings : CampaignSettings
    formula : str, optional
        Column of formulas from which the features are made.
    options : dict
        Those of `TASKS`, and ``threads``, ``executor``, ``n_workers`` and ``silent``; the files of SISSO go to ``sisso_output``.
    """
    from sisso_sal.models.stored import StoredModel
    from sisso_sal.models.task_models import find_task_formulas

    training, column, units, remarks = _of_targets(table, targets, settings, formula) if len(targets) > 1 else (
        _of_column(table, settings, formula, options["task"])
    )  # fmt: skip
    formulas = settings.model.estimator_parameters()
    parameters = {name: value for name, value in formulas.items() if name != "param_operators"} | {
        "threads": options["threads"],
        "same_sign": options["same_sign"],
        "task_weighting": options["task_weighting"] or "tasks",
        "criterion": options["criterion"] or "rmse",
    }
    from sisso_sal.models.multi_task import check_task_settings

    check_task_settings(parameters)
    start = time.perf_counter()
    with (
        at_work(options["executor"], options["n_workers"], options["threads"]),
        Progress("screening", options["silent"]) as progress,
    ):
        folder = options.get("sisso_output")
        model = find_task_formulas(parameters, training, column, units, progress, with_subspaces=folder is not None)
    about: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 4), "seed": settings.seed}
    if folder is not None:
        from sisso_sal.cli.fitting import write_files
        from sisso_sal.export.sisso_parts import FitOfTasks, files_of_tasks

        fit = FitOfTasks(model, training, parameters, about["seconds"])
        about["sisso_output"] = write_files(folder, files_of_tasks(fit))
    target = (training.target, training.target_unit)
    return StoredModel(model, parameters, *target), _document(model, target, remarks) | about


def _of_column(path: Path, settings, formula: str | None, task: str):
    """Samples of all tasks that a column names."""
    import numpy as np

    from sisso_sal.api.inputs import constant_where_known, read_candidates
    from sisso_sal.models.inputs import table_of
    from sisso_sal.spaces.table import TableSpace

    data = read_candidates(path, settings, formula, task=task, tell=note)
    data = constant_where_known(data, note) if settings.model.intercept else data
    space, known = TableSpace(data), np.flatnonzero(data.labelled)
    name = str(data.task_name)
    tasks = np.array(data.text[name])[known]
    if not all(tasks):
        row = int(known[np.flatnonzero(tasks == "")[0]])
        raise TableError(f"{data.path}: row {data.ids[row]}: column '{name}' needs a task, found an empty cell")
    table = replace(table_of(space, known, space.labels[known]), tasks=tasks)
    return table, name, dict.fromkeys(table.task_names, data.target_unit), data.remarks()


def _of_targets(path: Path, targets: tuple[str, ...], settings, formula: str | None):
    """Samples of all target columns, a task each; a material may be known for some of them."""
    import numpy as np

    from sisso_sal.api.inputs import read_targets_of
    from sisso_sal.models.inputs import table_of
    from sisso_sal.spaces.table import TableSpace

    tables = read_targets_of(path, targets, settings, formula, note)
    parts, units = [], {}
    for data in tables:
        space, known = TableSpace(data), np.flatnonzero(data.labelled)
        name = str(data.target_name)
        part = table_of(space, known, space.labels[known])
        parts.append(replace(part, tasks=np.full(len(known), name)))
        units[name] = data.target_unit
    first = parts[0]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("X", "y", "weights", "tasks")}
    groups = np.arange(len(joined["y"]))
    unit = first.target_unit if len({*units.values()}) == 1 else ""
    table = replace(first, **joined, groups=groups, target=", ".join(units), target_unit=unit)
    return table, "", units, tables[0].remarks()


def _document(model, target: tuple[str, str], remarks: dict[str, Any]) -> dict[str, Any]:
    counts = model.counts
    return {
        "target": {"name": target[0], "unit": target[1]},
        "task_column": model.task_column,
        "tasks": [
            {"name": name, "unit": model.units[name], "n_samples": number} for name, number in model.n_of_task.items()
        ],
        "models": [_model_document(one, {*model.units.values()}) for one in model.models],
        "n_features": counts.n_features,
        "rejected": counts.rejected,
        "complete": counts.is_complete,
        "n_singular": counts.n_singular,
        "n_samples": counts.n_samples,
        **remarks,
    }


def _model_document(model, target_units: set[str]) -> dict[str, Any]:
    from sisso_sal.features.typeset import written

    terms = [
        {
            "expression": str(one),
            "shown": written(one, "plain"),
            "complexity": one.complexity,
            "unit": None if one.dimension is None else str(one.dimension),
        }
        for one in model.descriptors
    ]
    if len(target_units) == 1:
        one_task = next(iter(model.tasks.values()))
        for term, unit in zip(terms, one_task.coefficient_units(*target_units), strict=True):
            term["coefficient_unit"] = unit.strip("[]")
    tasks = {
        name: {
            "intercept": own.intercept,
            "coefficients": [term.coefficient for term in own.terms],
            "rmse": own.rmse,
            "max_abs_error": own.max_abs_error,
        }
        for name, own in model.tasks.items()
    }
    errors = {"rmse": model.rmse, "max_abs_error": model.max_abs_error}
    return {"dimension": model.dimension, **errors, "terms": terms, "tasks": tasks}


def tell_tasks(document: dict[str, Any], as_json: bool) -> None:
    """Print the descriptors and the coefficients of each task; after an interrupted search the program ends here."""
    from sisso_sal.report.text.tasks import tasks_text

    emit(dumps(document)) if as_json else show(tasks_text(document))
    if not document["complete"]:
        fail("interrupted: these are the best models so far, the search was not finished", 130)


def predict_tasks(learned, table: Path, id_column: str | None, formula: str | None, task: str | None):
    """The table, and a frame of predictions: of the rows' own tasks, of one task, or of all where each is a target of its own."""
    import numpy as np
    import pandas as pd

    from sisso_sal.api.prediction import columns_for

    data, columns = columns_for(learned, table, id_column, formula, note)
    ids, names = np.array(data.ids, dtype=object), learned.task_names
    if task is not None:
        if task not in names:
            raise SettingsError(f"task: needs one of {', '.join(names)}, found '{task}'")
        tasks = np.full(len(ids), task)
    elif learned.task_column:
        tasks = _task_cells(data, table, learned.task_column, names)
    else:
        tasks, ids = np.repeat(names, len(ids)), np.tile(ids, len(names))
        columns = {name: np.tile(values, len(names)) for name, values in columns.items()}
    mean, valid = learned.predict_with_validity(columns, tasks)
    reasons = learned.reasons(columns, tasks)
    roles = {learned.task_column, *(names if not learned.task_column else ())}
    data = replace(data, left_out=tuple(one for one in data.left_out if split_header(one.name)[0] not in roles))
    return data, pd.DataFrame({"id": ids, "task": tasks, "mean": mean, "valid": valid, "reason": reasons})


def _task_cells(data, path: Path, column: str, names: tuple[str, ...]):
    """The task of each row of a table."""
    import numpy as np

    from sisso_sal.data.roles import Wanted
    from sisso_sal.data.table import read_wanted

    whole = read_wanted(path, Wanted(None, data.id_name, features=(), task=column))
    cells = dict(zip(whole.ids, whole.text[str(whole.task_name)], strict=True))
    for name in data.ids:
        if cells[name] not in names:
            found = f"'{cells[name]}'" if cells[name] else "an empty cell"
            raise TableError(
                f"{path}: row {name}: column '{column}' needs one of the tasks {', '.join(names)}, found {found}"
            )
    return np.array([cells[name] for name in data.ids])
