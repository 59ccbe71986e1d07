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
from sisso_sal.cli.terminal import emit, fail, note, show, width
from sisso_sal.data.headers import split_header
from sisso_sal.errors import SettingsError, TableError, fit_of
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
    if is_ensemble and options["criterion"]:
        raise SettingsError("criterion: needs a fit of one model, found --members")
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
        Those of `TASKS`, and ``threads``, ``executor``, ``n_workers`` and ``silent``; ``n_models``; whether it ``is_ensemble``; the
        files of SISSO go to ``sisso_output``.
    """
    from sisso_sal.cli.task_tables import read_tasks
    from sisso_sal.models.task_models import FittedTasks

    if options["is_ensemble"]:
        _check_ensemble(settings)
    samples = read_tasks(table, targets, settings, formula, options["task"])
    start = time.perf_counter()
    with (
        fit_of(str(table)),
        at_work(options["executor"], options["n_workers"], options["threads"]),
        Progress("screening", options["silent"]) as progress,
    ):
        fit = _fit_ensemble if options["is_ensemble"] else _fit_models
        stored = fit(samples, settings, options, progress)
    about: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 4), "seed": settings.seed}
    if (folder := options.get("sisso_output")) is not None and isinstance(stored.model, FittedTasks):
        from sisso_sal.cli.fitting import write_files
        from sisso_sal.export.sisso_parts import FitOfTasks, files_of_tasks

        written = FitOfTasks(stored.model, samples.table, stored.settings, about["seconds"])
        about["sisso_output"] = write_files(folder, files_of_tasks(written))
    told = _ensemble_document(stored) if options["is_ensemble"] else _models_document(stored)
    document = _document(stored) | told | samples.remarks
    if options["is_ensemble"]:
        document["materials"] = samples.materials
    return stored, document | about


def _check_ensemble(settings) -> None:
    """Refuse settings of an ensemble that are for one task.

    Raises
    ------
    SettingsError
    """
    for option, value, default in (
        ("transform", settings.ensemble.transform, "none"),
        ("loss", settings.ensemble.loss, "squared"),
    ):
        if value != default:
            raise SettingsError(f"{option}: needs one task, or {default} with several, found {value}")


def _parameters(settings, options: dict[str, Any]) -> dict[str, Any]:
    """Parameters that one model of tasks and an ensemble have in common."""
    formulas = settings.model.estimator_parameters()
    return {name: value for name, value in formulas.items() if name != "param_operators"} | {
        "threads": options["threads"],
        "same_sign": options["same_sign"],
        "task_weighting": options["task_weighting"] or "tasks",
    }


def _fit_models(samples, settings, options: dict[str, Any], progress):
    """The best models of each dimension, with the parameters of a `MultiTaskSISSO`."""
    from sisso_sal.models.multi_task import check_task_settings
    from sisso_sal.models.stored import StoredModel
    from sisso_sal.models.task_models import find_task_formulas

    parameters = _parameters(settings, options) | {"criterion": options["criterion"] or "rmse"}
    parameters |= {"n_models": options["n_models"]}
    check_task_settings(parameters)
    has_files = options.get("sisso_output") is not None
    table, column = samples.table, samples.task_column
    model = find_task_formulas(parameters, table, column, samples.units, progress, with_subspaces=has_files)
    return StoredModel(model, parameters, table.target, table.target_unit)


def _fit_ensemble(samples, settings, options: dict[str, Any], progress):
    """An ensemble, with the parameters of a `MultiTaskSISSOEnsemble`."""
    from sisso_sal.models.multi_task_ensemble import task_recipe
    from sisso_sal.models.stored import StoredModel
    from sisso_sal.models.task_assembly import fit_task_ensemble
    from sisso_sal.models.task_ensemble_records import ONE_TASK

    own = {name: value for name, value in settings.ensemble.estimator_parameters().items() if name not in ONE_TASK}
    parameters = _parameters(settings, options) | own | {"random_state": settings.seed}
    table = samples.table
    fit = fit_task_ensemble(
        task_recipe(parameters), table, samples.composition, task_column=samples.task_column, units=samples.units,
        progress=progress,
    )  # fmt: skip
    return StoredModel(fit.model, parameters, table.target, table.target_unit)


def _document(stored) -> dict[str, Any]:
    """What models and ensembles of several tasks have in common."""
    model, counts = stored.model, stored.model.counts
    return {
        "target": {"name": stored.target, "unit": stored.target_unit},
        "task_column": model.task_column,
        "tasks": [
            {"name": name, "unit": model.units[name], "n_samples": number} for name, number in model.n_of_task.items()
        ],
        "n_features": counts.n_features,
        "rejected": counts.rejected,
        "complete": counts.is_complete,
        "n_singular": counts.n_singular,
        "n_samples": counts.n_samples,
    }


def _models_document(stored) -> dict[str, Any]:
    model = stored.model
    units = {*model.units.values()}
    document: dict[str, Any] = {"models": [_model_document(one, units) for one in model.models]}
    if stored.settings["n_models"] is None:
        return document
    best = model.recommended
    return document | {
        "alternatives": [[_model_document(one, units) for one in models] for models in model.alternatives],
        "trade_off": model.trade_off.to_json() if model.trade_off else None,
        "recommended": _model_document(best, units) if best else None,
    }


def _ensemble_document(stored) -> dict[str, Any]:
    model = stored.model
    units = {*model.units.values()}
    tasks = []
    for name, one in model.ensembles.items():
        tasks.append(
            {
                "name": name,
                "unit": model.units[name],
                "n_samples": one.counts.n_samples,
                "rmse_of_mean": model.rmse_of_mean[name],
                "correction": one.correction.kind if one.correction else "none",
                "sigma": "recalibrated" if one.recalibration and one.recalibration.kind != "none" else "raw",
                "calibration": one.calibration.as_dict() if one.calibration else None,
                "formula_calibration": one.formula_calibration.as_dict() if one.formula_calibration else None,
            }
        )
    told = [_model_document(model.member(number), units) | {"member": number} for number in model.typical_members()]
    chosen = {name: model.first.chosen[name] for name in ("rung", "dim")}
    about = {"n_members": len(model.first.members), **chosen, "choices": model.choices}
    about["shared_correction"] = model.shared_correction is not None
    return about | {"models": told, "recurrence": model.first.recurrence(), "tasks": tasks}


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
    return {"dimension": model.dimension, **errors, "complexity": model.complexity, "terms": terms, "tasks": tasks}


def tell_tasks(document: dict[str, Any], as_json: bool) -> None:
    """Print the descriptors and the coefficients of each task; after an interrupted search the program ends here."""
    from sisso_sal.report.text.tasks import tasks_text

    emit(dumps(document)) if as_json else show(tasks_text(document, width()))
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
    told = _told(learned, data, columns, tasks)
    roles = {learned.task_column, *(names if not learned.task_column else ())}
    data = replace(data, left_out=tuple(one for one in data.left_out if split_header(one.name)[0] not in roles))
    return data, pd.DataFrame({"id": ids, "task": tasks, **told})


def _told(learned, data, columns: dict[str, Any], tasks) -> dict[str, Any]:
    """What one model, or an ensemble, predicts: a column for each thing that is said."""
    import numpy as np

    from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble
    from sisso_sal.spaces.table import TableSpace

    if not isinstance(learned, FittedTaskEnsemble):
        mean, valid = learned.predict_with_validity(columns, tasks)
        return {"mean": mean, "valid": valid, "reason": learned.reasons(columns, tasks)}
    shares = TableSpace(data).composition
    if shares is None and learned.has_shares:
        note("the correction of this ensemble uses compositions, but the ids of the table are no formulas")
    shares = None if shares is None else np.tile(shares, (len(tasks) // len(shares), 1))
    return learned.predict(columns, tasks, shares).as_columns()


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
