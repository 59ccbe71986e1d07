"""What `fit` does for a target that is a number."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sisso_sal.cli.options import dumps
from sisso_sal.cli.terminal import emit, fail, show, width
from sisso_sal.errors import FitError, InputError, SettingsError, fit_of
from sisso_sal.system.progress import Progress

if TYPE_CHECKING:
    from sisso_sal.models.variables import SelectionSettings


class FitRequest(NamedTuple):
    """What is to be fitted: an ensemble or one model, how primary features are chosen, where the files of SISSO go.

    `criterion` and `n_models` are parameters of a `SISSORegressor`.
    """

    is_ensemble: bool = False
    selection: SelectionSettings | None = None
    sisso_output: Path | None = None
    criterion: str = "rmse"
    n_models: int | None = None


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
    if own := settings.model.param_operators:
        found = f"found --param-operators {','.join(own)}"
        raise SettingsError(f"sisso-output: needs operators without fitted scales and shifts, {found}")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise InputError(f"{folder}: is not empty; give another --sisso-output, or --force to replace its files")


def fitted(data, settings, threads: int | None, wanted: FitRequest, *, silent: bool):
    """A model of the labelled rows, and the document that describes it; an interrupted search gives the best models so far."""
    import numpy as np

    from sisso_sal.spaces.table import TableSpace

    space = TableSpace(data)
    known = np.flatnonzero(data.labelled)
    _check_labels(space, known, settings)
    start = time.perf_counter()
    has_rounds = wanted.selection is not None and wanted.selection.by == "subsets"
    with fit_of(space.name), Progress("subsets" if has_rounds else "screening", silent) as progress:
        stored, selected = _searched(space, known, settings, threads, wanted, progress)
    seconds = time.perf_counter() - start
    document = _fit_document(stored.model, space, wanted)
    if wanted.sisso_output is not None:
        document["sisso_output"] = _write_sisso_output(wanted.sisso_output, stored, space, known, seconds)
    if selected is not None:
        document["selection"] = selected.to_json()
    if wanted.is_ensemble:
        from sisso_sal.models.materials import materials_of

        document["materials"] = materials_of(space, known)[1]
    return stored, document | {"seconds": round(seconds, 4), "seed": settings.seed}


def _check_labels(space, known, settings) -> None:
    """Refuse a table with too few labels, or with some that cannot be learned from.

    Raises
    ------
    FitError
    """
    from sisso_sal.models.fitting import labels_needed

    dim, has_parameters = settings.model.dim, bool(settings.model.param_operators)
    needed = labels_needed(dim, settings.model.intercept, has_parameters)
    if len(known) < needed:
        wanted = f"dim {dim}{' with fitted scales and shifts' if has_parameters else ''}"
        raise FitError(f"{space.name}: needs at least {needed} labelled rows for {wanted}, found {len(known)}")
    if settings.model.regression == "log":
        bad = known[space.labels[known] <= 0]
        if len(bad):
            found = f"{space.labels[bad[0]]:g} in row '{space.ids[bad[0]]}'"
            raise FitError(f"{space.name}: target: --regression log needs numbers above 0, found {found}")


def _write_sisso_output(folder: Path, stored, space, known, seconds: float) -> list[str]:
    """Write the files of SISSO and SISSO++; returns their paths within the folder."""
    from sisso_sal.export.sisso_files import FitOfOne, sisso_files
    from sisso_sal.models.inputs import table_of

    table = table_of(space, known, space.labels[known])
    table = table.only([name for name in table.names if name in stored.model.primaries])
    ids = [space.ids[row] for row in known]
    return write_files(folder, sisso_files(FitOfOne(stored.model, table, ids, stored.settings, seconds)))


def write_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write texts by their paths within a folder; returns the paths."""
    from sisso_sal.system.storage import write_whole, writing

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
    has_low = not (is_log or wanted.sisso_output or wanted.criterion != "rmse")
    low = () if not has_low and settings.ensemble.low is None else low_of(settings.ensemble.low, space)
    parameters = settings.model.estimator_parameters() | {"threads": threads, "low": low}
    own = {"regression": settings.model.regression, "criterion": wanted.criterion, "n_models": wanted.n_models}
    of_one = parameters | own
    table, selected = table_of(space, known, space.labels[known]), None
    if wanted.selection is not None:
        from sisso_sal.models.variables import select_variables

        selected = select_variables(of_one | {"criterion": "rmse", "n_models": None}, table, wanted.selection, progress)
        table = table.only(selected.names)
    if not wanted.is_ensemble:
        from sisso_sal.models.formulas import find_formulas

        models, has_files = selected.models if selected is not None else None, wanted.sisso_output is not None
        if models is None or has_files or (wanted.criterion, wanted.n_models) != ("rmse", None):
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

    emit(dumps(document)) if as_json else show(fit_text(document, width()))
    if not document["complete"]:
        fail("interrupted: these are the best models so far, the search was not finished", 130)


_ABOUT = (
    "n_members", "sigma", "calibration", "formula_calibration", "correction", "shift", "rung", "dim", "choices", "certain", "low",
)  # fmt: skip


def _fit_document(model, space, wanted: FitRequest) -> dict[str, Any]:
    target, columns = space.target, space.rows().features
    best = [model.members[i] for i, _ in model.typical_members(columns)] if wanted.is_ensemble else model.models
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
    if wanted.is_ensemble:
        about = model.describe(columns, target.name, target.unit)
        return document | {key: about[key] for key in _ABOUT}
    document |= {"choices": model.choices, "low": model.low.to_json() if model.low else None}
    if wanted.n_models is None:
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
