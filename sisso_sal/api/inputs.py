"""From what a person gives, a table and options, to checked settings and candidates with features."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.data.columns import ColumnFile
from sisso_sal.data.formats import headers_of
from sisso_sal.data.headers import header_notes, split_header
from sisso_sal.data.left_out import LeftOut
from sisso_sal.data.roles import Wanted
from sisso_sal.data.table import Table, read_targets, read_wanted
from sisso_sal.errors import SettingsError, TableError
from sisso_sal.features.dimension import check_units, same_quantity_in_other_units
from sisso_sal.features.operator_names import of_each_rung
from sisso_sal.features.operators import DEFAULT_OPERATORS
from sisso_sal.features.parameters import param_operators_named
from sisso_sal.models.magnitudes import why_flat
from sisso_sal.models.registry import check_surrogate, surrogate_named, unused_sections
from sisso_sal.oracle.candidates import UNITS
from sisso_sal.oxides.primary_features import featurize_table
from sisso_sal.report.text.left_out import by_reason, remarks_text
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.settings.layers import LayeredSettings, Origin, layered

if TYPE_CHECKING:
    import pandas as pd

Tell = Callable[[str], None]
"""Takes a note for a person; it may have several lines."""


def complete_settings(
    config: str | os.PathLike[str] | None,
    options: Mapping[str, Any],
    *,
    ensemble: bool = True,
    user: Mapping[str, Any] | None = None,
) -> LayeredSettings:
    """Settings from options, environment, settings file and the user's own, every default filled in, and where each comes from.

    Parameters
    ----------
    config, options, user
        See `layered`.
    ensemble : bool
        Whether the defaults are those of an ensemble or of one model.

    Raises
    ------
    SettingsError
        A setting or an operator is unknown, or a value is out of range.
    """
    given = layered(config if config is None else Path(config), options, os.environ, user)
    return replace(given, settings=_completed(given.settings, ensemble=ensemble))


def complete_defaults() -> CampaignSettings:
    """The settings of a campaign for which nothing was given."""
    return _completed(CampaignSettings(), ensemble=True)


def _completed(settings: CampaignSettings, *, ensemble: bool) -> CampaignSettings:
    model = settings.model
    names = DEFAULT_OPERATORS if model.operators is None else model.operators
    of_each_rung(names, model.rung)
    own = {"operators": tuple(names), "param_operators": param_operators_named(model.param_operators)}
    classes = settings.looks_for_classes
    completed = model.completed(ensemble=ensemble, classes=classes).model_copy(update=own)
    return settings.model_copy(update={"model": completed})


def without_unused(given: LayeredSettings, tell: Tell) -> LayeredSettings:
    """The same settings with those of formulas at their defaults where the surrogate does not use them.

    A note tells of an ensemble with few members.

    Parameters
    ----------
    given : LayeredSettings
        Complete.
    tell : callable
        Takes notes; one has the names of the settings that were given and have no effect.

    Raises
    ------
    SettingsError
        There is no such surrogate, it cannot predict what the goal asks for, or a setting means nothing for classes.
    """
    check_surrogate(given.settings)
    _check_classes(given)
    kind = surrogate_named(given.settings.surrogate)
    unused = unused_sections(kind.name)
    places = {name: origin for name, origin in given.origins.items() if name.partition(".")[0] in unused}
    names = [name.partition(".")[2] for name, origin in places.items() if origin.kind != "default"]
    if names:
        tell(f"the surrogate {kind.name} does not use these settings: {', '.join(names)}")
    default = complete_defaults()
    changes = {section: getattr(default, section) for section in unused}
    if "ensemble" not in unused and (doubt := given.settings.ensemble.doubt()):
        tell(doubt)
    origins = {**given.origins, **dict.fromkeys(places, Origin("default"))}
    return LayeredSettings(given.settings.model_copy(update=changes), origins)


OF_NUMBERS = (
    "improve_on", "level", "model.intercept", "model.param_operators", "model.regression", "model.max_correlation",
    "ensemble.adapt", "ensemble.transform", "ensemble.loss", "ensemble.aggregation", "ensemble.correction",
    "ensemble.recalibrate", "ensemble.positive", "ensemble.low",
)  # fmt: skip
"""Settings that mean nothing where the target is a class."""


def _check_classes(given: LayeredSettings) -> None:
    """Refuse settings of numbers where the goal names classes."""
    if not given.settings.looks_for_classes:
        return
    default = complete_defaults()
    for name in OF_NUMBERS:
        section, _, key = name.rpartition(".")
        chosen, usual = (getattr(getattr(one, section) if section else one, key) for one in (given.settings, default))
        if chosen != usual and not (name == "ensemble.low" and not chosen):
            raise SettingsError(
                f"{key}: needs a target that is a number, found the goal '{given.settings.goal.strip()}'"
            )


def read_candidates(
    path: str | os.PathLike[str] | pd.DataFrame | ColumnFile,
    settings: CampaignSettings,
    formula: str | None = None,
    *,
    require_target: bool = True,
    with_gaps: bool = False,
    task: str | None = None,
    tell: Tell = lambda note: None,
) -> Table:
    """A table with primary features: its own, or made from formulas where it has none or where that is asked for.

    Parameters
    ----------
    path : path, DataFrame or ColumnFile
        A file that `read_table` reads, a DataFrame with the same headers, or columns that were read already.
    settings : CampaignSettings
        Of these ``target``, ``id``, ``group`` (which rows are one material), ``columns`` (the only features) and ``drop`` (columns
        that are not used).
    formula : str, optional
        Column of formulas of oxides from which the features are made, in place of the table's own.
    require_target : bool
    with_gaps : bool
        Whether a row may lack what a lower level of theory gives, see `read_table`.
    task : str, optional
        Column that names the task of each row.
    tell : callable, optional
        Takes notes: how the table and its headers were read, which features were made, which columns and rows were left out, which
        units cannot be related.

    Raises
    ------
    TableError
        The table cannot be used.
    UnitError
        The unit of a column cannot be used.
    SettingsError
        ``columns`` is given together with a column of formulas.
    """
    _check_one_source(settings, formula)
    wanted = Wanted(
        settings.target, settings.id, require_target, settings.columns, settings.drop or (), settings.group,
        _partial(settings) if with_gaps else None, () if with_gaps else settings.ensemble.low or (), task,
    )  # fmt: skip
    table = read_wanted(path, wanted)
    for level in settings.lower:
        name, unit = split_header(str(level.column))
        check_units(f"level {level.name}", [(str(level.column), unit)])
        if name in table.text or any(name == split_header(column)[0] for column in settings.drop or ()):
            found = "text" if name in table.text else "it among the columns to drop"
            raise TableError(
                f"{table.path}: level {level.name}: needs numbers in column '{level.column}', found {found}"
            )
    made = with_features(table, formula, tell)
    known = {*made.feature_names, *made.partial_names}
    if unknown := [name for name in settings.features if split_header(name)[0] not in known]:
        tell(f"described in section features, but no feature of {made.path}: {', '.join(unknown)}")
    return made


def read_targets_of(
    path: str | os.PathLike[str],
    targets: Sequence[str],
    settings: CampaignSettings,
    formula: str | None = None,
    tell: Tell = lambda note: None,
) -> tuple[Table, ...]:
    """The same candidates once for each of several targets, with features as in `read_candidates`."""
    _check_one_source(settings, formula)
    wanted = {"id": settings.id, "features": settings.columns, "drop": settings.drop or (), "group": settings.group}
    first, *others = read_targets(path, targets, **wanted)

    def silent(note: str) -> None:
        """What is to be said of the table is said once."""

    return (with_features(first, formula, tell), *(with_features(one, formula, silent) for one in others))


def read_unlabelled(
    path: str | os.PathLike[str] | pd.DataFrame,
    settings: CampaignSettings,
    formula: str | None = None,
    *,
    with_gaps: bool = False,
    tell: Tell = lambda note: None,
) -> Table:
    """A table whose labels may all come from elsewhere: its target may be empty, or not be there at all.

    Parameters and errors are those of `read_candidates`. A target that is missing becomes an empty column: that which ``target``
    names, else one with the name of ``label.quantity``.
    """
    headers = headers_of(os.fspath(path)) if isinstance(path, str | os.PathLike) else [*map(str, path.columns)]
    names = {split_header(header)[0] for header in headers}
    asked = settings.target
    is_new = asked is not None and split_header(asked)[0] not in names
    wanted = settings.model_copy(update={"target": None}) if is_new else settings
    table = read_candidates(path, wanted, formula, require_target=False, with_gaps=with_gaps, tell=tell)
    if is_new and table.target_name is not None:
        found = table.header(table.target_name)
        raise TableError(
            f"{table.path}: target column '{asked}' is missing, and '{found}' has gaps; --drop leaves it out"
        )
    return with_target(table, settings.of_target.label.quantity, asked if is_new else None)


def with_target(table: Table, quantity: str, header: str | None = None) -> Table:
    """The same table with a target: an empty column, its own or a new one, where it has none.

    Parameters
    ----------
    table : Table
    quantity : str
        What the label is, as ``label.quantity``; the column has its name and unit.
    header : str, optional
        The header of a new column.

    Examples
    --------
    >>> import pandas as pd
    >>> from sisso_sal.data.table import read_table
    >>> table = with_target(read_table(pd.DataFrame({"formula": ["MgO", "CaO"], "EN": [1.3, 1.0]})), "band_gap")
    >>> table.header("band_gap"), table.target.tolist()
    ('band_gap (eV)', [nan, nan])
    """
    if table.target_name is not None:
        return table
    known = quantity.strip() if quantity.strip() in UNITS else "label"
    made = header or (f"{known} ({UNITS[known]})" if known in UNITS else known)
    name = split_header(made)[0]
    made = table.headers.get(name, made)
    if name in (*table.text, *table.feature_names, *table.partial_names):
        raise TableError(f"{table.path}: column '{made}' has no gaps; choose the target with --target")
    return replace(
        table,
        target_name=name,
        target_unit=split_header(made)[1],
        target=np.full(table.n_rows, np.nan),
        headers={**table.headers, name: made},
        left_out=tuple(one for one in table.left_out if one.kind == "row" or one.name != made),
    )


def _partial(settings: CampaignSettings) -> list[str] | None:
    """Columns that may have gaps: those of lower levels and of cheap estimates; None where these are switched off."""
    named = [
        split_header(str(level.column))[0] for level in settings.lower
    ]  # another unit is refused later, by its level
    low = settings.ensemble.low
    return None if low == () and not named else [*named, *(low or ())]


def read_two_targets(
    path: str | os.PathLike[str], targets: Sequence[str], settings: CampaignSettings, formula: str | None, tell: Tell
) -> tuple[Table, Table]:
    """The table once for each of two targets, with features as `read_candidates` makes them."""
    _check_one_source(settings, formula)
    first, second = read_targets(
        path, targets, id=settings.id, features=settings.columns, drop=settings.drop or (), group=settings.group
    )
    check_table_units(second)
    featured = with_features(first, formula, tell)
    kept = np.isin(second.ids, featured.ids)  # rows without features were left out
    values = np.asarray(second.target)[kept]
    return featured, replace(featured, target_name=second.target_name, target_unit=second.target_unit, target=values)


def _check_one_source(settings: CampaignSettings, formula: str | None) -> None:
    if formula is not None and settings.columns is not None:
        raise SettingsError(
            "columns: needs features of the table, found --formula, which makes the features in their place"
        )


def with_features(table: Table, formula: str | None, tell: Tell) -> Table:
    """The same table with primary features, see `read_candidates`."""
    rejected: Sequence[tuple[str, str]] = ()
    if formula is not None or not table.feature_names:
        table, rejected = _made_from_formulas(table, formula)
        tell(f"features made from formulas: {', '.join(table.feature_names)}")
        tell_rejected(rejected, tell)
    elif counts_rows(table.features[:, 0]):
        name = table.feature_names[0]
        tell(f"'{name}' numbers the rows but is used as a primary feature; --id {name} makes it the id")
    check_table_units(table)
    for line in remarks_text(table):
        tell(line)
    units = dict(zip(table.feature_names, table.feature_units, strict=True))
    headers = [table.header(name) for name in (*table.feature_names, table.target_name) if name is not None]
    for line in header_notes(headers):
        tell(line)
    if not any(units.values()) and not table.target_unit:
        tell("no column has a unit in its header, so no formula is excluded by units; write units as in 'EA (eV)'")
    for first, second in same_quantity_in_other_units(units):
        tell(
            f"'{first}' ({units[first]}) and '{second}' ({units[second]}) measure one quantity in different units and "
            "are never added; convert one to relate them"
        )
    rows = (LeftOut("row", name, _short(name, reason)) for name, reason in rejected)
    return replace(table, left_out=(*table.left_out, *rows))


def _in_known_rows(reason: str) -> str:
    place = "in the rows with a target"
    return f"{reason} {place}" if reason == "constant" else f"{place} {reason}"


def constant_where_known(table: Table, tell: Tell) -> Table:
    """The same table with a record of each feature that does not vary over the rows with a target: one fit has no use for it.

    Parameters
    ----------
    table : Table
    tell : callable
        Takes a note that names these features.
    """
    known = table.features[table.labelled]
    if len(known) < 2:
        return table
    columns = tuple(
        LeftOut("column", table.header(name), _in_known_rows(reason))
        for name, values in zip(table.feature_names, known.T, strict=True)
        if (reason := why_flat(values))
    )
    if not columns:
        return table
    tell(f"not used as a feature: {by_reason(columns)}")
    return replace(table, left_out=(*columns, *table.left_out))


def _made_from_formulas(table: Table, formula: str | None) -> tuple[Table, list[tuple[str, str]]]:
    """The table with features from formulas, and the rows for which that fails; columns that they replace are left out."""
    source = table.headers.get(formula or table.id_name)
    left_out = [one for one in table.left_out if one.kind == "row" or one.name != source]
    replaced = [
        LeftOut("column", table.header(name), "features are made from formulas") for name in table.feature_names
    ]
    try:
        made, rejected = featurize_table(table, formula)
    except TableError as error:
        columns = [one for one in left_out if one.kind == "column"]
        if formula is None and table.partial is not None:
            gaps = np.isnan(table.partial).sum(axis=0)
            found = [
                LeftOut("column", table.header(name), f"gaps in {n} of {table.n_rows} rows")
                for name, n in zip(table.partial_names, gaps, strict=True)
            ]
            raise TableError(
                f"{table.path}: needs a feature with a number in every row, found only {by_reason([*found, *columns])}, and "
                "ids that are no formulas of oxides"
            ) from error
        if formula is not None or not columns:
            raise
        reason = str(error).removeprefix(f"{table.path}: ")
        raise TableError(
            f"{table.path}: needs a column that can be a feature, found none among {by_reason(columns)}; nor can features be made "
            f"from formulas: {reason}"
        ) from error
    return replace(made, left_out=(*replaced, *left_out)), rejected


def check_table_units(table: Table) -> None:
    """Refuse a unit of a feature, of a column with gaps or of the target that cannot be read, or not printed and read again.

    Raises
    ------
    UnitError
        Names file and column.
    """
    units = dict(zip(table.feature_names, table.feature_units, strict=True))
    units |= dict(zip(table.partial_names, table.partial_units, strict=True))
    if table.target_name is not None:
        units[table.target_name] = table.target_unit
    check_units(table.path, ((table.header(name), unit) for name, unit in units.items()))


def counts_rows(column: np.ndarray) -> bool:
    """Whether a column holds successive integers, as a row number does: ndarray (n,)."""
    return len(column) > 2 and bool((np.diff(column) == 1).all())


def tell_rejected(rejected: Sequence[tuple[str, str]], tell: Tell, shown: int = 5) -> None:
    """Tell which rows were left out and why, the first few."""
    if rejected:
        lines = [f"{name}: {_short(name, reason)}" for name, reason in rejected[:shown]]
        lines += [f"and {len(rejected) - shown} more"] if len(rejected) > shown else []
        tell("\n  ".join([f"{len(rejected)} rows left out:", *lines]))


def _short(name: str, reason: str) -> str:
    """The reason of a rejected row without the formula that stands beside it."""
    return reason.removeprefix(f"formula {name!r}: ")
