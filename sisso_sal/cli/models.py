"""Fit models to a table, and predict with them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sisso_sal.cli.class_ensembles import (
    fit_class_members,
    predicted_by_members,
    settings_of_members,
    tell_members,
)
from sisso_sal.cli.class_pictures import PictureFiles, draw_classes
from sisso_sal.cli.classes import (
    CLASSES,
    CRITERIA_OF_NUMBERS,
    fit_classes,
    is_of_classes,
    of_classes,
    predicted_classes,
    refuse,
    tell_classes,
)
from sisso_sal.cli.fitting import FitRequest, check_sisso_output, fitted, tell_fit
from sisso_sal.cli.help import Computing, panel
from sisso_sal.cli.options import (
    COLUMNS_OF_TASKS,
    COMMON,
    ENSEMBLE,
    JSON,
    MODEL,
    OUT_FILE,
    REGRESSION,
    SEED,
    SELECTION,
    SISSO_OUTPUT,
    TABLE,
    THREADS,
    WORKERS,
    at_work,
    check_free,
    dumps,
    load_layers,
    model_changes,
    number,
    read,
    selection_of,
    write,
)
from sisso_sal.cli.plots import plot_options, save_plot
from sisso_sal.cli.tasks import TASKS, check_tasks, fit_tasks, predict_tasks, tell_tasks
from sisso_sal.cli.terminal import next_step, note
from sisso_sal.errors import SettingsError

if TYPE_CHECKING:
    from sisso_sal.cli.classes import ClassInput
    from sisso_sal.models.ensemble_model import EnsembleModel
    from sisso_sal.models.formulas import FittedModels
    from sisso_sal.settings.campaign import CampaignSettings, ModelSettings
    from sisso_sal.settings.layers import LayeredSettings


@click.command(cls=Computing, short_help="Find formulas for a property")
@TABLE
@COLUMNS_OF_TASKS
@MODEL
@REGRESSION
@SELECTION
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
    *plot_options("error against complexity (--n-models), or a map of classes"),
    click.option(
        "--plot-reliability",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Draw claimed probabilities of classes against shares that came (--members).",
    ),
)
@SISSO_OUTPUT
@SEED
@THREADS
@WORKERS
@JSON
@COMMON
def fit(
    table, target, id_column, formula, config, n_models, out, force, plot, plot_columns, plot_reliability, sisso_output, threads,
    executor, n_workers, as_json, quiet, debug, **options,
):  # fmt: skip
    """Find formulas for the target of TABLE, or formulas that tell its classes; --out saves the model for predict and export.

    With --n-models the search is done again without each of ten parts of the materials. The recommended formula has the fewest
    terms whose error is within one standard error of the least, and of such formulas the fewest operators. With --task, or with
    several --target, one descriptor is found for all tasks, with coefficients of each; --members makes an ensemble of them.

    \b
    Examples:
      sisso-sal fit table.csv --target "gap (eV)" --dim 2 --out model.json
      sisso-sal fit table.csv --target "gap (eV)" --dim 3 --n-models 5
      sisso-sal fit table.csv --target "gap (eV)" --task family
      sisso-sal fit table.csv --target phase --criterion likelihood
      sisso-sal fit table.csv --target phase --members 50 --plot map.png
    """
    check_free(out, force)
    pictures = PictureFiles(plot, plot_reliability, plot_columns)
    pictures.check(force)
    from sisso_sal.settings.campaign import EnsembleSettings

    of_class = of_classes(options)
    is_ensemble = options["members"] is not None
    only = [name for name in EnsembleSettings.model_fields if name != "low" and options.get(name) is not None]
    if only and not is_ensemble:
        raise SettingsError(f"{only[0].replace('_', '-')}: needs --members, found a fit of one model")
    of_tasks = {name: options.pop(name) for name in ("task", "same_sign", "task_weighting")}
    of_tasks["criterion"] = of_class.pop("criterion") if of_class.get("criterion") in CRITERIA_OF_NUMBERS else None
    has_tasks = check_tasks(of_tasks, options, len(target), is_ensemble=is_ensemble)
    if is_ensemble:
        refuse("needs a fit of one model, found --members", {"n-models": n_models})
    asked = target[0] if len(target) == 1 else None
    of_model = {name: value for name, value in options.items() if "select" not in name}
    changes = {"target": asked, "id": id_column, **model_changes(of_model)}
    layers = load_layers(config, changes, ensemble=is_ensemble)
    settings = layers.settings
    selection, silent = selection_of(options, settings.seed), quiet or as_json
    of_one_task = {"select": selection} | _asked_of(settings.model)
    check_sisso_output(sisso_output, settings, is_ensemble, force)
    has_classes = not has_tasks and is_of_classes(table, settings.target, of_class)
    pictures.check_target(has_classes, n_models)
    read_in = None
    if has_tasks:
        refuse("needs one task, found several", of_one_task | of_class)
        work = {"threads": threads, "executor": executor, "n_workers": n_workers, "silent": silent}
        work |= of_tasks | {"sisso_output": sisso_output, "n_models": n_models, "is_ensemble": is_ensemble}
        if is_ensemble and (doubt := settings.ensemble.doubt()):
            note(doubt)
        model, document = fit_tasks(table, target, settings, formula, work)
        tell = tell_tasks
    elif has_classes:
        numbers = of_one_task | {"n-models": n_models, "workers": n_workers, "executor": executor != "local"}
        refuse("needs a target that is a number, found classes", numbers | {"criterion": of_tasks["criterion"]})
        work = {"threads": threads, "silent": silent, "sisso_output": sisso_output, "members": is_ensemble}
        work["pictures"] = pictures
        model, document, read_in, tell = _fitted_classes(table, layers, formula, of_class, work)
    else:
        if is_ensemble and (doubt := settings.ensemble.doubt()):
            note(doubt)
        data = read(table, settings, formula)
        wanted = FitRequest(is_ensemble, selection, sisso_output, of_tasks["criterion"] or "rmse", n_models)
        with at_work(executor, n_workers, threads):
            model, document = fitted(data, settings, threads, wanted, silent=silent)
        tell = tell_fit
    if out is not None:
        _save(out, model, document["target"])
    tell(document, as_json)
    _draw(pictures, document, model.model, read_in)
    if sisso_output is not None and not as_json:
        note(f"files of SISSO are in {sisso_output}: {', '.join(document['sisso_output'][:3])}, …")
    _tell_next(out, model.model)


def _fitted_classes(table: Path, layers: LayeredSettings, formula: str | None, of_class: dict, work: dict[str, Any]):
    """A model of classes or an ensemble of them, the document that describes it, its input, and what prints the document."""
    threads, silent, sisso_output = (work[name] for name in ("threads", "silent", "sisso_output"))
    if work["members"]:
        settings = settings_of_members(layers)
        work["pictures"].check_members(settings.model.dim)
        return *fit_class_members(table, settings, formula, of_class, threads, silent), tell_members
    refuse("needs a target that is a number, found classes", _asked_of_numbers(layers.settings))
    work["pictures"].check_single()
    if of_class.get("criterion") != "overlap":
        refuse("needs --criterion overlap, SISSO's own, for classes", {"sisso-output": sisso_output})
    return *fit_classes(table, layers.settings, formula, of_class, threads, silent, sisso_output), tell_classes


def _draw(pictures: PictureFiles, document: dict[str, Any], learned, read_in: ClassInput | None) -> None:
    """Classes that were read; or error against complexity, where that was asked for and is known."""
    if read_in is not None:
        draw_classes(pictures, learned, read_in)
    elif pictures.plot is not None and document["trade_off"] is not None:
        from sisso_sal.report.figures.error_against_complexity import error_against_complexity

        save_plot(error_against_complexity, document, pictures.plot, pictures.columns)


def _tell_next(out: Path | None, learned) -> None:
    """What to do with a model that was fitted."""
    if out is None:
        next_step("add --out model.json to save the model for predict and export")
        return
    recommended, task = _recommended_other(learned), _task_of(learned)
    next_step(
        f"sisso-sal predict {out} OTHER_TABLE{recommended}, or sisso-sal export {out}{task}{recommended} --format python"
    )


def _task_of(learned) -> str:
    """The option without which `export` refuses a model of several tasks; it names the first."""
    from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble
    from sisso_sal.models.task_models import FittedTasks

    is_of_tasks = isinstance(learned, FittedTasks | FittedTaskEnsemble)
    return f" --task {shlex.quote(learned.task_names[0])}" if is_of_tasks else ""


def _recommended_other(learned) -> str:
    """The option without which another formula than the recommended one is taken."""
    from sisso_sal.models.formulas import FittedModels
    from sisso_sal.models.task_models import FittedTasks

    has_best = isinstance(learned, FittedModels | FittedTasks) and learned.recommended not in (None, learned.model)
    return " --recommended" if has_best else ""


def _save(path: Path, model, target: dict[str, str]) -> None:
    from sisso_sal.models.files import save_model

    save_model(path, model, target["name"], target["unit"])


def _asked_of(formulas: ModelSettings) -> dict[str, Any]:
    """Settings of formulas that only a fit of numbers in one task has; None where nothing is asked for."""
    is_linear = formulas.regression == "linear"
    return {"param-operators": formulas.param_operators, "regression": None if is_linear else formulas.regression}


def _asked_of_numbers(settings: CampaignSettings) -> dict[str, Any]:
    """Settings that only a target of numbers has."""
    return {"low": settings.ensemble.low, "max-correlation": settings.model.max_correlation < 1}


def _chosen(learned, is_recommended: bool):
    """The model of a file, with its recommended formula if that is wanted."""
    from sisso_sal.models.class_formulas import FittedClasses
    from sisso_sal.models.class_members import ClassMembers
    from sisso_sal.models.formulas import FittedModels
    from sisso_sal.models.task_models import FittedTasks

    if not is_recommended:
        return learned
    if isinstance(learned, FittedClasses | ClassMembers):
        raise SettingsError("recommended: needs a model file of numbers, found one of classes")
    if not isinstance(learned, FittedModels | FittedTasks):
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
    classes it is the class, its probability and that of each class; of an ensemble also the spread of the members' probabilities
    of that class, and the number of members that are defined.

    \b
    Examples:
      sisso-sal predict model.json candidates.csv --out predictions.csv
      sisso-sal predict runs/candidates other.csv
    """
    import numpy as np

    from sisso_sal.campaign.newest import model_file
    from sisso_sal.data.spreadsheet import csv_of
    from sisso_sal.models.class_formulas import FittedClasses
    from sisso_sal.models.class_members import ClassMembers
    from sisso_sal.models.files import read_any_model
    from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble
    from sisso_sal.models.task_models import FittedTasks
    from sisso_sal.protocols.cause import counted, in_words
    from sisso_sal.report.text.left_out import remarks_text

    check_free(out, force)
    stored = read_any_model(model_file(model))
    learned = _chosen(stored.model, recommended)
    is_of_tasks = isinstance(learned, FittedTasks | FittedTaskEnsemble)
    is_of_class = isinstance(learned, FittedClasses | ClassMembers)
    if task is not None and not is_of_tasks:
        raise SettingsError(f"task: needs a model of several tasks, found another one in {model}")
    if is_of_tasks:
        data, frame = predict_tasks(learned, table, id_column, formula, task)
    elif isinstance(learned, FittedClasses):
        data, frame = predicted_classes(learned, table, id_column, formula)
    elif isinstance(learned, ClassMembers):
        data, frame = predicted_by_members(learned, table, id_column, formula)
    else:
        data, frame = _predicted(learned, table, id_column, formula)
    for line in remarks_text(data):
        note(line)
    undefined = np.isnan(frame["probability" if is_of_class else "mean"])
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
    which = _task_of(learned) + (" --recommended" if recommended else "")
    form = "python" if isinstance(learned, ClassMembers) else "latex"
    next_step(f"sisso-sal export {model}{which} --format {form}, for the formulas behind it", err=True)


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
            "low95": prediction.interval95[0], "high95": prediction.interval95[1], "formulas_mean": prediction.formulas_mean,
            "n_valid": prediction.n_valid, "outside": prediction.outside,
            "distance": np.nan if prediction.distance is None else prediction.distance, "reason": prediction.reason,
        }
    )  # fmt: skip
