"""The columns of a new table that a model needs, in the units of the model."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from sisso_sal.api.inputs import tell_rejected
from sisso_sal.data.table import Table, read_table
from sisso_sal.errors import TableError
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.needs import AnyModel, factor_of, is_made_from_formulas, lacks_columns, why_needed
from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble
from sisso_sal.oxides.primary_features import featurize_table


def columns_for(
    model: AnyModel,
    path: str | os.PathLike[str],
    id: str | None,
    formula: str | None,
    tell: Callable[[str], None],
) -> tuple[Table, dict[str, np.ndarray]]:
    """A table, and the primary features of a model from it in the model's units.

    Only the features that the prediction needs must be there. Of the others an ensemble needs those of the labelled materials for
    the distance to them; where one is missing or cannot be used, a note says that there is no distance.

    Parameters
    ----------
    model : FittedModels, EnsembleModel, FittedTasks, FittedTaskEnsemble or FittedClasses
    path : path
        A table; columns that the model does not know are left alone.
    id : str, optional
        Column of the ids.
    formula : str, optional
        Column of formulas of oxides from which the features are made.
    tell : callable
        Takes notes.

    Returns
    -------
    table : Table
    columns : dict of str to ndarray (n,)

    Raises
    ------
    TableError
        A feature that is needed is missing or no column of numbers; the message says what needs it.
    UnitError
        A column has a unit of another quantity.
    """
    path = Path(path)
    names = read_table(path, id=id, features=[])
    if formula is not None or is_made_from_formulas(model, names.headers):
        try:
            table, rejected = featurize_table(names, formula)
        except TableError as error:
            raise error if formula is not None else TableError(f"{error}; {lacks_columns(model)}") from error
        tell("the model's features were made from formulas")
        tell_rejected(rejected, tell)
        missing = [name for name in model.needed if name not in table.feature_names]
        if missing:
            raise TableError(
                f"{path}: the model needs '{missing[0]}', which is not among the features made from formulas"
            )
    else:
        table = _with_needed(model, path, names, id, tell)
    columns = {}
    for name, unit in model.primaries.items():
        if name in table.feature_names:
            place = table.feature_names.index(name)
            columns[name] = table.features[:, place] * factor_of(str(path), name, table.feature_units[place], unit)
    return table, columns


def _with_needed(model: AnyModel, path: Path, names: Table, id: str | None, tell: Callable[[str], None]) -> Table:
    """The table with the features that are needed and, where that works, all others of an ensemble."""
    for name in model.needed:
        try:
            names.header(name)
        except TableError as error:
            raise TableError(f"{error} ({why_needed(model, name)})") from error
    table = read_table(path, id=id, features=model.needed)
    if isinstance(model, EnsembleModel | FittedTaskEnsemble) and len(model.needed) < len(model.primaries):
        try:
            whole = read_table(path, id=id, features=tuple(model.primaries))
            if whole.n_rows == table.n_rows:
                return whole
            problem = f"{path}: a feature that no formula uses has gaps"
        except TableError as error:
            problem = f"{error}; no formula uses it"
        tell(f"{problem}, only the distance to the labelled materials is left out")
    own = {
        table.headers[name] for name in model.primaries if name in table.headers
    }  # which the model knows and does not use
    return replace(table, left_out=tuple(one for one in table.left_out if one.name not in own))
