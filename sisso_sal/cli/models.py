"""Fit models to a table, and predict with them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sisso_sal.cli.help import Computing
from sisso_sal.cli.options import (
    COLUMNS,
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
    load,
    model_changes,
    number,
    read,
    selection_of,
    write,
)
from sisso_sal.cli.terminal import emit, fail, next_step, note, show
from sisso_sal.errors import FitError, InputError, SettingsError
from sisso_sal.system.progress import Progress

if TYPE_CHECKING:
    from sisso_sal.models.variables import SelectionSettings


@click.command(cls=Computing, short_help="Find formulas for a property")
@TABLE
@COLUMNS
@MODEL
@REGRESSION
@SELECTION
@ENSEMBLE
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings in a TOML file; options of the command override them."
)
@OUT_FILE
@SISSO_OUTPUT
@SEED
@THREADS
@WORKERS
@JSON
@COMMON
def fit(
    table, target, id_column, formula, config, out, sisso_output, force, threads, executor, n_workers, as_json, quiet, debug,
    **options,
):  # fmt: skip
    """Find formulas for the target of TABLE; --out saves the model for predict and export.

    \b
    Example:
      sisso-sal fit table.csv --target "gap (eV)" --dim 2 --out model.json
    """
    check_free(out, force)
    from sisso_sal.settings.campaign import EnsembleSettings

    is_ensemble = options["members"] is not None
    only = [name for name in EnsembleSettings.model_fields if name != "low" and options.get(name) is not None]
    if only and not is_ensemble:
        raise SettingsError(f"{only[0].replace('_', '-')}: needs --members, found a fit of one model")
    of_model = {name: value for name, value in options.items() if "select" not in name}
    settings = load(config, {"target": target, "id": id_column, **model_changes(of_model)}, ensemble=is_ensemble)
    selection = selection_of(options, settings.seed)
    check_sisso_output(sisso_output, settings, is_ensemble, force)
    if is_ensemble and (doubt := settings.ensemble.doubt()):
        note(doubt)
    data = read(table, settings, formula)
    with at_work(executor, n_workers, threads):
        wanted = FitRequest(is_ensemble, selection, sisso_output)
        model, document = fitted(data, settings, threads, wanted, silent=quiet or as_json)
    if out is not None:
        from sisso_sal.models.files import save_model

        save_model(out, model, data.target_name or "", data.target_unit)
    tell_fit(document, as_json)
    if sisso_output is not None and not as_json:
        note(
            f"files of {'SISSO++' if settings.model.regression == 'log' else 'SISSO 3.5 and SISSO++'} are in {sisso_output}"
        )
    if out is not None:
        next_step(f"sisso-sal predict {out} OTHER_TABLE, or sisso-sal export {out} --format python")
    else:
        next_step("add --out model.json to save the model for predict and export")


class FitRequest(NamedTuple):
    """What is to be fitted: an ensemble or one model, how primary features are chosen, where the files of SISSO go."""

    is_ensemble: bool = False
    selection: SelectionSettings | None = None
    sisso_output: Path | None = None


def check_sisso_output(folder: Path | None, settings, is_ensemble: bool, force: bool) -> None:
    """Refuse what the files of SISSO cannot hold, before the search.

    Raises
    ------
    SettingsError, InputError
    """
    if folder is None:
        return
    if is_ensemble:
        raise SettingsError("sisso-output: needs a fit of one model, found --members")
    if settings.ensemble.low:
        raise SettingsError(f"sisso-output: needs a fit without low columns, found --low {settings.ensemble.low[0]}")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise InputError(f"{folder}: is not empty; give another --sisso-output, or --force to replace its files")


def fitted(data, settings, threads: int | None, wanted: FitRequest, *, silent: bool):
    """A model of the labelled rows, and the document that describes it; an interrupted search gives the best models so far."""
    import numpy as np

    from sisso_sal.models.fitting import labels_needed
    from sisso_sal.spaces.table import TableSpace

    space = TableSpace(data)
    known = np.flatnonzero(data.labelled)
    dim, needed = settings.model.dim, labels_needed(settings.model.dim, settings.model.intercept)
    if len(known) < needed:
        raise FitError(f"{space.name}: needs at least {needed} labelled rows for dim {dim}, found {len(known)}")
    if settings.model.regression == "log":
        bad = known[space.labels[known] <= 0]
        if len(bad):
            found = f"{space.labels[bad[0]]:g} in row '{space.ids[bad[0]]}'"
            raise FitError(f"{space.name}: target: --regression log needs numbers above 0, found {found}")
    start = time.perf_counter()
    has_rounds = wanted.selection is not None and wanted.selection.by == "subsets"
    with Progress("subsets" if has_rounds else "screening", silent) as progress:
        stored, selected = _searched(space, known, settings, threads, wanted, progress)
    seconds = time.perf_counter() - start
    is_ensemble = wanted.is_ensemble
    document = _fit_document(stored.model, space, is_ensemble)
    if wanted.sisso_output is not None:
        document["sisso_output"] = _write_sisso_output(wanted.sisso_output, stored, space, known, seconds)
    if selected is not None:
        document["selection"] = selected.to_json()
    if is_ensemble:
        from sisso_sal.models.materials import materials_of

        document["materials"] = materials_of(space, known)[1]
    return stored, document | {"seconds": round(seconds, 4), "seed": settings.seed}


def _write_sisso_output(folder: Path, stored, space, known, seconds: float) -> list[str]:
    """Write the files of SISSO and SISSO++; returns their paths within the folder."""
    from sisso_sal.export.sisso_files import FitOfOne, sisso_files
    from sisso_sal.models.inputs import table_of
    from sisso_sal.system.storage import write_whole, writing

    table = table_of(space, known, space.labels[known])
    table = table.only([name for name in table.names if name in stored.model.primaries])
    ids = [space.ids[row] for row in known]
    files = sisso_files(FitOfOne(stored.model, table, ids, stored.settings, seconds))
    for name, text in files.items():
        path = folder / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    return list(files)


def _searched(space, known, settings, threads: int | None, wanted: FitRequest, progress):
    """The model of the rows of these numbers, with its settings, and how its primary features were chosen."""
    from sisso_sal.models.baseline import low_of
    from sisso_sal.models.inputs import table_of
    from sisso_sal.models.stored import StoredModel

    is_log = settings.model.regression == "log"
    has_no_low = (is_log or wanted.sisso_output) and settings.ensemble.low is None
    low = () if has_no_low else low_of(settings.ensemble.low, space)
    parameters = settings.model.estimator_parameters() | {"threads": threads, "low": low}
    of_one = parameters | {"regression": settings.model.regression}
    table, selected = table_of(space, known, space.labels[known]), None
    if wanted.selection is not None:
        from sisso_sal.models.variables import select_variables

        selected = select_variables(of_one, table, wanted.selection, progress)
        table = table.only(selected.names)
    if not wanted.is_ensemble:
        from sisso_sal.models.formulas import find_formulas

        models, has_files = selected.models if selected is not None else None, wanted.sisso_output is not None
        if models is None or has_files:
            models = find_formulas(of_one, table, progress, with_subspaces=has_files)
        return StoredModel(models, of_one), selected
    from sisso_sal.models.assembly import fit_ensemble
    from sisso_sal.models.recipe import recipe_of

    parameters = settings.ensemble.estimator_parameters() | parameters | {"random_state": settings.seed}
    shares = space.rows(known).composition
    return StoredModel(
        fit_ensemble(recipe_of(parameters), table, shares, progress=progress).model, parameters
    ), selected


def tell_fit(document: dict[str, Any], as_json: bool) -> None:
    """Print the formulas; after an interrupted search the program ends here."""
    from sisso_sal.report.text.results import fit_text

    emit(dumps(document)) if as_json else show(fit_text(document))
    if not document["complete"]:
        fail("interrupted: these are the best models so far, the search was not finished", 130)


_ABOUT = (
    "n_members", "sigma", "calibration", "formula_calibration", "correction", "shift", "rung", "dim", "choices", "certain", "low",
)  # fmt: skip


def _fit_document(model, space, is_ensemble: bool) -> dict[str, Any]:
    target, columns = space.target, space.rows().features
    best = [model.members[i] for i, _ in model.typical_members(columns)] if is_ensemble else model.models
    models = []
    for one in best:
        units = one.coefficient_units(target.unit)
        entry = one.to_json() | {"equation": one.equation(target.name, target.unit)}
        for term, unit in zip(entry["terms"], units, strict=True):
            term["coefficient_unit"] = unit.strip("[]")
        models.append(entry)
    document = {
        "target": {"name": target.name, "unit": target.unit},
        "models": models,
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
    return document | {"choices": model.choices, "low": model.low.to_json() if model.low else None}


@click.command(cls=Computing, short_help="Predict with a model")
@click.argument("model", type=click.Path(path_type=Path))
@TABLE
@click.option("--id", "id_column", metavar="COLUMN", help="Column of the ids; by default the first text column.")
@click.option("--formula", metavar="COLUMN", help="Make the features from formulas of oxides in this column.")
@OUT_FILE
@JSON
@COMMON
def predict(model, table, id_column, formula, out, force, as_json, quiet, debug):
    """Predict for every row of TABLE with MODEL: a model file, or a run folder, of which the newest iteration is taken.

    Columns are matched by name, in any order, and converted to the model's units; only those that the model uses need to be there.
    For a single model the output is id, mean, valid (the row is inside the domain and near the training range of every term) and
    the reason where it is not; for an ensemble also the standard deviation, a 95 % interval and the number of valid members.

    \b
    Examples:
      sisso-sal predict model.json candidates.csv --out predictions.csv
      sisso-sal predict runs/candidates other.csv
    """
    import numpy as np
    import pandas as pd

    from sisso_sal.api.prediction import columns_for
    from sisso_sal.campaign.newest import model_file
    from sisso_sal.data.spreadsheet import csv_of
    from sisso_sal.models.files import read_model
    from sisso_sal.models.formulas import FittedModels
    from sisso_sal.protocols.cause import counted, in_words
    from sisso_sal.report.text.left_out import remarks_text
    from sisso_sal.spaces.table import TableSpace

    check_free(out, force)
    stored = read_model(model_file(model))
    learned = stored.model
    data, columns = columns_for(learned, table, id_column, formula, note)
    for line in remarks_text(data):
        note(line)
    ids = data.ids
    if isinstance(learned, FittedModels):
        mean, valid = learned.predict_with_validity(columns)
        frame = pd.DataFrame({"id": ids, "mean": mean, "valid": valid, "reason": learned.reasons(columns)})
    else:
        shares = TableSpace(data).composition
        if shares is None and learned.correction and learned.correction.composition is not None:
            note("the correction of this ensemble uses compositions, but the ids of the table are no formulas")
        prediction = learned.predict_distribution(columns, shares)
        frame = pd.DataFrame(
            {
                "id": ids, "mean": prediction.mean, "std": prediction.std, "std_raw": prediction.std_raw,
                "low95": prediction.interval95[0], "high95": prediction.interval95[1], "formula": prediction.formula,
                "n_valid": prediction.n_valid, "outside": prediction.outside,
                "distance": np.nan if prediction.distance is None else prediction.distance, "reason": prediction.reason,
            }
        )  # fmt: skip
    undefined = np.isnan(frame["mean"])
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
    next_step(f"sisso-sal export {model} --format latex, for the formulas behind it", err=True)
