"""Fit models to a table, and predict with them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sisso_sal.cli.classes import (
    CLASSES,
    CRITERIA_OF_NUMBERS,
    fit_classes,
    is_of_classes,
    of_classes,
    predicted_classes,
    refuse_numbers,
    tell_classes,
)
from sisso_sal.cli.help import Computing, panel
from sisso_sal.cli.options import (
    COLUMNS_OF_TASKS,
    COMMON,
    ENSEMBLE,
    JSON,
    MODEL,
    OUT_FILE,
    SEED,
    TABLE,
    THREADS,
    WORKERS,
    at_work,
    check_free,
    check_plot,
    dumps,
    load,
    model_changes,
    number,
    read,
    write,
)
from sisso_sal.cli.tasks import TASKS, check_tasks, fit_tasks, predict_tasks, tell_tasks
from sisso_sal.cli.terminal import emit, fail, next_step, note, show, width
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.system.progress import Progress

if TYPE_CHECKING:
    from sisso_sal.models.ensemble_model import EnsembleModel
    from sisso_sal.models.formulas import FittedModels


@click.command(cls=Computing, short_help="Find formulas for a property")
@TABLE
@COLUMNS_OF_TASKS
@MODEL
@CLASSES
@ENSEMBLE
@TASKS
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings in a TOML file; options of the command override them."
)
@panel(
    "Formulas",
    click.option(
        "--n-models",
        metavar="M",
        type=click.IntRange(1, 1000),
        help="Show the best M formulas of each number of terms, and recommend one by held-out labels.",
    ),
)
@OUT_FILE
@panel(
    "Output",
    click.option(
        "--plot",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Draw error against complexity (--n-models), as PNG, PDF or SVG.",
    ),
)
@SEED
@THREADS
@WORKERS
@JSON
@COMMON
def fit(
    table, target, id_column, formula, config, n_models, out, force, plot, threads, executor, n_workers, as_json, quiet, debug,
    **options,
):  # fmt: skip
    """Find formulas for the target of TABLE, or formulas that tell its classes; --out saves the model for predict and export.

    With --n-models the search is done again without each of ten parts of the materials. The recommended formula has the fewest
    terms whose error is within one standard error of the least, and of such formulas the fewest operators. With --task, or with
    several --target, one descriptor is found for all tasks, with coefficients of each.

    \b
    Examples:
      sisso-sal fit table.csv --target "gap (eV)" --dim 2 --out model.json
      sisso-sal fit table.csv --target "gap (eV)" --dim 3 --n-models 5
      sisso-sal fit table.csv --target "gap (eV)" --task family
      sisso-sal fit table.csv --target phase --criterion likelihood
    """
    check_free(out, force)
    check_plot(plot, force)
    from sisso_sal.settings.campaign import EnsembleSettings

    of_class = of_classes(options)
    is_ensemble = options["members"] is not None
    only = [name for name in EnsembleSettings.model_fields if name != "low" and options.get(name) is not None]
    if only and not is_ensemble:
        raise SettingsError(f"{only[0].replace('_', '-')}: needs --members, found a fit of one model")
    of_tasks = {name: options.pop(name) for name in ("task", "same_sign", "task_weighting")}
    criterion = of_class.get("criterion")
    of_tasks["criterion"] = of_class.pop("criterion") if criterion in CRITERIA_OF_NUMBERS else None
    has_tasks = bool(of_tasks["task"]) or len(target) > 1
    check_tasks(of_tasks, options, len(target), is_ensemble=is_ensemble)
    if n_models is not None and (is_ensemble or has_tasks):
        found = "--members" if is_ensemble else "several tasks"
        raise SettingsError(f"n-models: needs a fit of one model, found {found}")
    if plot is not None and n_models is None:
        raise SettingsError("plot: needs --n-models, found a fit without")
    if has_tasks and of_class:
        raise SettingsError(f"{next(iter(of_class)).replace('_', '-')}: needs one task, found several")
    asked = target[0] if len(target) == 1 else None
    settings = load(config, {"target": asked, "id": id_column, **model_changes(options)}, ensemble=is_ensemble)
    silent = quiet or as_json
    if not has_tasks and is_of_classes(table, settings.target, of_class):
        numbers = {"members": is_ensemble, "low": settings.ensemble.low, "n-models": n_models, "plot": plot}
        numbers |= {"criterion": of_tasks["criterion"], "param-operators": settings.model.param_operators}
        refuse_numbers(numbers)
        stored, document = fit_classes(table, settings, formula, of_class, threads, silent)
        if out is not None:
            from sisso_sal.models.files import save_model

            save_model(out, stored, stored.target)
        tell_classes(document, as_json)
        next_step(
            f"sisso-sal predict {out} OTHER_TABLE" if out else "add --out model.json to save the model for predict"
        )
        return
    if is_ensemble and (doubt := settings.ensemble.doubt()):
        note(doubt)
    if has_tasks:
        work = {"threads": threads, "executor": executor, "n_workers": n_workers, "silent": silent}
        model, document = fit_tasks(table, target, settings, formula, of_tasks | work)
    else:
        data = read(table, settings, formula)
        given = {"threads": threads}
        if not is_ensemble:
            given |= {"n_models": n_models, "criterion": of_tasks["criterion"] or "rmse"}
        with at_work(executor, n_workers, threads):
            model, document = fitted(data, settings, given, is_ensemble=is_ensemble, silent=silent)
    if out is not None:
        from sisso_sal.models.files import save_model

        save_model(out, model, document["target"]["name"], document["target"]["unit"])
    tell_tasks(document, as_json) if has_tasks else tell_fit(document, as_json)
    if plot is not None and document["trade_off"] is not None:
        from sisso_sal.report.figures.error_against_complexity import error_against_complexity
        from sisso_sal.report.figures.saved import save_figure

        save_figure(error_against_complexity(document), plot)
    if out is not None:
        next_step(f"sisso-sal predict {out} OTHER_TABLE, or sisso-sal export {out} --format python")
    else:
        next_step("add --out model.json to save the model for predict and export")


def fitted(data, settings, given: dict[str, Any], *, is_ensemble: bool, silent: bool):
    """A model of the labelled rows, and the document that describes it; an interrupted search gives the best models so far.

    `given` are parameters that no settings file has: ``threads`` and, for one model, ``criterion`` and ``n_models``, with which so
    many formulas of each number of terms are judged by held-out labels.
    """
    import numpy as np

    from sisso_sal.models.fitting import labels_needed
    from sisso_sal.spaces.table import TableSpace

    space = TableSpace(data)
    known = np.flatnonzero(data.labelled)
    dim, has_parameters = settings.model.dim, bool(settings.model.param_operators)
    needed = labels_needed(dim, settings.model.intercept, has_parameters)
    if len(known) < needed:
        wanted = f"dim {dim}{' with fitted scales and shifts' if has_parameters else ''}"
        raise FitError(f"{space.name}: needs at least {needed} labelled rows for {wanted}, found {len(known)}")
    start = time.perf_counter()
    with Progress("screening", silent) as progress:
        stored = _searched(space, known, settings, given, is_ensemble, progress)
    seconds = time.perf_counter() - start
    document = _fit_document(stored.model, space, is_ensemble, given.get("n_models"))
    if is_ensemble:
        from sisso_sal.models.materials import materials_of

        document["materials"] = materials_of(space, known)[1]
    return stored, document | {"seconds": round(seconds, 4), "seed": settings.seed}


def _searched(space, known, settings, given: dict[str, Any], is_ensemble: bool, progress):
    """The model of the rows of these numbers, with its settings; `given` are parameters that no settings file has."""
    from sisso_sal.models.baseline import low_of
    from sisso_sal.models.inputs import table_of
    from sisso_sal.models.stored import StoredModel

    low = low_of(settings.ensemble.low, space)
    parameters = settings.model.estimator_parameters() | given | {"low": low}
    table = table_of(space, known, space.labels[known])
    if not is_ensemble:
        from sisso_sal.models.formulas import find_formulas

        return StoredModel(find_formulas(parameters, table, progress), parameters)
    from sisso_sal.models.assembly import fit_ensemble
    from sisso_sal.models.recipe import recipe_of

    parameters = settings.ensemble.estimator_parameters() | parameters | {"random_state": settings.seed}
    shares = space.rows(known).composition
    return StoredModel(fit_ensemble(recipe_of(parameters), table, shares, progress=progress).model, parameters)


def tell_fit(document: dict[str, Any], as_json: bool) -> None:
    """Print the formulas; after an interrupted search the program ends here."""
    from sisso_sal.report.text.results import fit_text

    emit(dumps(document)) if as_json else show(fit_text(document, width()))
    if not document["complete"]:
        fail("interrupted: these are the best models so far, the search was not finished", 130)


_ABOUT = (
    "n_members", "sigma", "calibration", "formula_calibration", "correction", "shift", "rung", "dim", "choices", "certain", "low",
)  # fmt: skip


def _fit_document(model, space, is_ensemble: bool, n_models: int | None) -> dict[str, Any]:
    target, columns = space.target, space.rows().features
    best = [model.members[i] for i, _ in model.typical_members(columns)] if is_ensemble else model.models
    document = {
        "target": {"name": target.name, "unit": target.unit},
        "models": [_told(one, target) for one in best],
        "n_features": model.counts.n_features,
        "rejected": model.counts.rejected,
        "complete": model.counts.is_complete,
        "n_singular": model.counts.n_singular,
        "n_samples": model.counts.n_samples,
        **space.table.remarks(),
    }
    if is_ensemble:
        about = model.describe(columns, target.name, target.unit)
        return document | {key: about[key] for key in _ABOUT}
    document |= {"choices": model.choices, "low": model.low.to_json() if model.low else None}
    if n_models is None:
        return document
    return document | {
        "alternatives": [[_told(one, target) for one in models] for models in model.alternatives],
        "trade_off": model.trade_off.to_json() if model.trade_off else None,
        "recommended": _told(model.recommended, target) if model.recommended else None,
    }


def _told(model, target) -> dict[str, Any]:
    """A formula as plain data, with its text."""
    from sisso_sal.features.typeset import written

    told = {"equation": model.equation(target.name, target.unit), "shown": model.shown(target.name, target.unit)}
    entry = model.to_json() | told
    for row, term, unit in zip(entry["terms"], model.terms, model.coefficient_units(target.unit), strict=True):
        row |= {"coefficient_unit": unit.strip("[]"), "shown": written(term.expression, "plain")}
    return entry


def _chosen(learned, is_recommended: bool):
    """The model of a file, with its recommended formula if that is wanted."""
    from sisso_sal.models.formulas import FittedModels

    if not is_recommended:
        return learned
    if not isinstance(learned, FittedModels):
        raise SettingsError("recommended: needs a model file of one model, found an ensemble")
    return learned.with_recommended()


@click.command(cls=Computing, short_help="Predict with a model")
@click.argument("model", type=click.Path(path_type=Path))
@TABLE
@click.option("--id", "id_column", metavar="COLUMN", help="Column of the ids; by default the first text column.")
@click.option("--formula", metavar="COLUMN", help="Make the features from formulas of oxides in this column.")
@click.option("--task", metavar="NAME", help="Predict for this task; by default for that in the table's own column.")
@click.option("--recommended", is_flag=True, help="With the formula that fit --n-models recommended.")
@OUT_FILE
@JSON
@COMMON
def predict(model, table, id_column, formula, task, recommended, out, force, as_json, quiet, debug):
    """Predict for every row of TABLE with MODEL: a model file, or a run folder, of which the newest iteration is taken.

    Columns are matched by name, in any order, and converted to the model's units; only those that the model uses need to be there.
    For a single model the output is id, mean, valid (the row is inside the domain and near the training range of every term) and
    the reason where it is not; for an ensemble also the standard deviation, a 95 % interval and the number of valid members. For
    classes it is the class, its probability and that of each class.

    \b
    Examples:
      sisso-sal predict model.json candidates.csv --out predictions.csv
      sisso-sal predict runs/candidates other.csv
    """
    import numpy as np

    from sisso_sal.campaign.newest import model_file
    from sisso_sal.data.spreadsheet import csv_of
    from sisso_sal.models.class_formulas import FittedClasses
    from sisso_sal.models.files import read_any_model
    from sisso_sal.models.task_models import FittedTasks
    from sisso_sal.protocols.cause import counted, in_words
    from sisso_sal.report.text.left_out import remarks_text

    check_free(out, force)
    stored = read_any_model(model_file(model))
    learned = stored.model
    if recommended and isinstance(learned, FittedTasks | FittedClasses):
        kind = "several tasks" if isinstance(learned, FittedTasks) else "classes"
        raise SettingsError(f"recommended: needs a model file of one task and of numbers, found one of {kind}")
    if task is not None and not isinstance(learned, FittedTasks):
        raise SettingsError(f"task: needs a model of several tasks, found another one in {model}")
    if isinstance(learned, FittedTasks):
        data, frame = predict_tasks(learned, table, id_column, formula, task)
    elif isinstance(learned, FittedClasses):
        data, frame = predicted_classes(learned, table, id_column, formula)
    else:
        data, frame = _predicted(_chosen(learned, recommended), table, id_column, formula)
    for line in remarks_text(data):
        note(line)
    undefined = np.isnan(frame["probability" if isinstance(learned, FittedClasses) else "mean"])
    if undefined.any():
        why = in_words(counted(frame["reason"][undefined]))
        note(f"{undefined.sum()} of {len(frame)} rows have no prediction: {why}")
    if as_json:
        rows = [
            {k: number(v) if isinstance(v, float) else v for k, v in row.items()} for row in frame.to_dict("records")
        ]
        write(
            dumps(
                {"target": {"name": stored.target, "unit": stored.target_unit}, "predictions": rows, **data.remarks()}
            ),
            out,
            force,
        )
    else:
        write(csv_of(frame), out, force)
    if not isinstance(learned, FittedClasses):
        next_step(f"sisso-sal export {model} --format latex, for the formulas behind it", err=True)


def _predicted(learned: FittedModels | EnsembleModel, path: Path, id_column: str | None, formula: str | None):
    """The table, and a frame of predictions."""
    import numpy as np
    import pandas as pd

    from sisso_sal.api.prediction import columns_for
    from sisso_sal.models.formulas import FittedModels
    from sisso_sal.spaces.table import TableSpace

    data, columns = columns_for(learned, path, id_column, formula, note)
    ids = data.ids
    if isinstance(learned, FittedModels):
        mean, valid = learned.predict_with_validity(columns)
        return data, pd.DataFrame({"id": ids, "mean": mean, "valid": valid, "reason": learned.reasons(columns)})
    shares = TableSpace(data).composition
    if shares is None and learned.correction and learned.correction.composition is not None:
        note("the correction of this ensemble uses compositions, but the ids of the table are no formulas")
    prediction = learned.predict_distribution(columns, shares)
    return data, pd.DataFrame(
        {
            "id": ids, "mean": prediction.mean, "std": prediction.std, "std_raw": prediction.std_raw,
            "low95": prediction.interval95[0], "high95": prediction.interval95[1], "formula": prediction.formula,
            "n_valid": prediction.n_valid, "outside": prediction.outside,
            "distance": np.nan if prediction.distance is None else prediction.distance, "reason": prediction.reason,
        }
    )  # fmt: skip
