"""Which columns of Parquet files a model reads, in which units."""

# pyarrow.compute makes its functions at import, out of a type checker's sight.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from sisso_sal.data.cells import is_text, shown
from sisso_sal.data.headers import split_header
from sisso_sal.data.roles import ROW_NUMBERS, suggestion
from sisso_sal.errors import TableError
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.needs import ModelOfOneTask, factor_of, is_made_from_formulas, lacks_columns, why_needed
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.oxides.primary_features import PRIMARY_FEATURES
from sisso_sal.screening.block import PoolReading

Tell = Callable[[str], None]

LOOKED_AT = 1000
"""Rows of a pool that say whether a column of text holds formulas."""

UNIT = b"unit"
"""Key of a field of a schema that has the unit where the header has none."""

NO_COMPOSITIONS = "the correction of this ensemble uses compositions, but the pool has no column of formulas"


def wants_composition(model: ModelOfOneTask) -> bool:
    """Whether a part of the prediction was learned from compositions."""
    return (
        isinstance(model, EnsembleModel) and model.correction is not None and model.correction.composition is not None
    )


class Schema:
    """The columns of a Parquet file by name and by header, with their units.

    Parameters
    ----------
    path : str
    schema : pyarrow.Schema
    """

    def __init__(self, path: str, schema: pa.Schema):
        self.path = path
        self.fields: dict[str, pa.Field] = {}
        self.units: dict[str, str] = {}
        self.names: dict[str, str] = {}
        for column in schema:
            name, unit = split_header(column.name)
            if name in self.fields:
                raise TableError(f"{path}: column names must differ, found {shown(name)} twice")
            self.fields[name] = column
            self.units[name] = unit or ((column.metadata or {}).get(UNIT) or b"").decode()
            self.names[column.name.strip()] = name

    def found(self, name: str, role: str) -> str:
        """The name of a column that is given by its name or header."""
        known = {**{name: name for name in self.fields}, **self.names}
        if name.strip() not in known:
            raise TableError(f"{self.path}: {role} column {shown(name)} is missing{suggestion(name, self.fields)}")
        return known[name.strip()]

    def is_text(self, name: str) -> bool:
        kind = self.fields[name].type
        return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)

    def is_number(self, name: str) -> bool:
        kind = self.fields[name].type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return (
            pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_decimal(kind)
            or pa.types.is_boolean(kind)
        )

    def texts(self) -> list[str]:
        """Names of the columns of text, in order."""
        return [name for name in self.fields if self.is_text(name)]

    def header(self, name: str | None) -> str | None:
        """The header as it stands in the file."""
        return None if name is None else self.fields[name].name


def reading_of(
    model: ModelOfOneTask,
    files: Sequence[str],
    id: str | None,
    formula: str | None,
    tell: Tell,
    *,
    by_element: bool = False,
) -> PoolReading:
    """How all files of a pool are read; they have the same columns where it matters.

    Parameters
    ----------
    model : FittedModels, EnsembleModel, FittedClasses or ClassMembers
    files : sequence of str
        Parquet files, at least one.
    id, formula : str, optional
        Columns of the ids, and of the formulas from which features are made.
    tell : callable
        Takes notes.
    by_element : bool
        Whether compositions are needed whatever the model has learned from.

    Raises
    ------
    TableError
        A column that is needed is missing, of another kind, or differs between files.
    UnitError
        A column has a unit of another quantity.
    """
    first = Schema(files[0], pq.read_schema(files[0]))
    reading = _of_file(model, first, id, formula)
    if by_element or wants_composition(model):
        reading = replace(reading, composition=_composition(first, reading))
    if wants_composition(model) and reading.composition is None:
        tell(NO_COMPOSITIONS)
    if isinstance(model, EnsembleModel) and (missing := [n for n in model.primaries if n not in reading.primaries]):
        tell(f"{first.path}: there is no column {shown(missing[0])}; no formula uses it, only the distance is left out")
    if reading.formula is not None:
        tell("the model's features are made from formulas")
    for path in files[1:]:
        _check_alike(reading, first, Schema(path, pq.read_schema(path)))
    return reading


def _of_file(model: ModelOfOneTask, schema: Schema, id: str | None, formula: str | None) -> PoolReading:
    """Ids and features."""
    row_numbers = id == ROW_NUMBERS and ROW_NUMBERS not in schema.fields
    taken = None if formula is None else schema.found(formula, "formula")
    texts = schema.texts()
    named = None if row_numbers else (texts[0] if texts else None) if id is None else schema.found(id, "id")
    if taken is not None or is_made_from_formulas(model, schema.fields):
        taken = taken or named
        if taken is None or not schema.is_text(taken):
            found = f"{schema.path}: needs a column of formulas to make features from, found none"
            raise TableError(found if formula is not None else f"{found}; {lacks_columns(model)}")
        made = made_features(model, schema.path)
        return PoolReading(
            id=schema.header(named), formula=schema.header(taken), features=made, primaries=dict(model.primaries)
        )
    features, primaries = {}, {}
    for name, unit in model.primaries.items():
        is_needed = name in model.needed
        if name not in schema.fields:
            if is_needed:
                found = f"there is no column {shown(name)}{suggestion(name, schema.fields)}"
                raise TableError(f"{schema.path}: {found} ({why_needed(model, name)})")
            continue
        if not schema.is_number(name):
            if is_needed:
                kind = schema.fields[name].type
                raise TableError(f"{schema.path}: column {shown(name)} needs numbers, found {shown(str(kind))}")
            continue
        factor = factor_of(schema.path, name, schema.units[name], unit)
        features[name], primaries[name] = (schema.fields[name].name, factor), unit
    return PoolReading(id=schema.header(named), features=features, primaries=primaries)


def made_features(model: ModelOfOneTask, place: str) -> dict[str, tuple[str, float]]:
    """Header and factor of each primary feature among those that are made from formulas.

    Raises
    ------
    TableError
        The model needs another.
    """
    made = {split_header(feature.header)[0]: feature.header for feature in PRIMARY_FEATURES}
    if missing := [name for name in model.needed if name not in made]:
        raise TableError(f"{place}: the model needs '{missing[0]}', which is not among the features made from formulas")
    headers = {name: made[name] for name in model.primaries if name in made}
    return {
        name: (header, factor_of(place, name, split_header(header)[1], model.primaries[name]))
        for name, header in headers.items()
    }


def _composition(schema: Schema, reading: PoolReading) -> str | None:
    """The first column of formulas: that of the ids, or one of text that is called formula or composition."""
    names = [schema.names[(reading.id or "").strip()]] if reading.id else []
    names += [name for name in schema.texts() if name.lower() in {"formula", "composition"}]
    with pq.ParquetFile(schema.path) as file:
        for name in names:
            header = schema.fields[name].name
            batch = next(file.iter_batches(LOOKED_AT, columns=[header], use_threads=False), None)
            texts = [] if batch is None or not schema.is_text(name) else batch.column(0).to_pylist()
            if texts and all(texts) and atomic_fractions(texts) is not None:
                return header
    return None


def _check_alike(reading: PoolReading, first: Schema, other: Schema) -> None:
    """Refuse a file whose columns have other names, units or kinds than those of the first one."""
    for header in reading.headers:
        name = first.names[header.strip()]
        if other.names.get(header.strip()) != name or other.fields[name].name != header:
            raise TableError(f"{other.path}: needs a column {shown(header)} as in {first.path}, found none")
        if first.units[name] != other.units[name]:
            found = f"{shown(other.units[name])}"
            raise TableError(
                f"{other.path}: column {shown(name)} needs the unit {shown(first.units[name])}, found {found}"
            )
        if first.is_text(name) != other.is_text(name):
            raise TableError(f"{other.path}: column {shown(name)} needs the type it has in {first.path}, found another")
