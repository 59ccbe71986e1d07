"""A checked, immutable table of candidates, read from CSV or Parquet.

Roles of columns: the target is the one numeric column with gaps, the id the first text column, and every other numeric
column is a primary feature; each can be named instead. Columns of true and false count as 1 and 0.
"""

import difflib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from sisso_sal.data.columns import Column, ColumnFile, frame_columns, read_columns, shown
from sisso_sal.data.headers import split_header
from sisso_sal.errors import TableError

if TYPE_CHECKING:
    import pandas as pd

ROW_NUMBERS = "row"


@dataclass(frozen=True, eq=False)
class Table:
    """Candidates with their primary features and, where known, their target.

    Two tables are equal when their content is (`digest`), wherever they were read from.

    Attributes
    ----------
    path : str
        The file the table was read from.
    ids : tuple of str, length n_rows
        Unique names of the rows.
    id_name : str
        Header of the id column, or "row" when the ids are row numbers ("1", "2", ...).
    feature_names, feature_units : tuple of str, length n_features
        Names without their units, and the text of the units ("" where there is none).
    features : ndarray (n_rows, n_features) of float64, read-only, C order, in `feature_units`
    target_name : str or None
    target_unit : str
    target : ndarray (n_rows,) of float64, read-only, in `target_unit`, NaN where unknown; or None
    ignored : tuple of str
        Headers of the columns that have no role.
    text : mapping of str to tuple of str
        The cells of every text column, the id column among them, under its name.
    headers : mapping of str to str
        The original header of each column, under its name.
    """

    path: str
    ids: tuple[str, ...]
    id_name: str
    feature_names: tuple[str, ...]
    feature_units: tuple[str, ...]
    features: np.ndarray
    target_name: str | None
    target_unit: str
    target: np.ndarray | None
    ignored: tuple[str, ...]
    text: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "features", _frozen(self.features))
        put(self, "target", None if self.target is None else _frozen(self.target))
        put(self, "text", MappingProxyType(dict(self.text)))
        put(self, "headers", MappingProxyType(dict(self.headers)))
        expected = (len(self.ids), len(self.feature_names))
        if self.features.shape != expected:
            raise TableError(f"{self.path}: needs features of shape {expected}, found {self.features.shape}")
        if self.target is not None and self.target.shape != expected[:1]:
            raise TableError(f"{self.path}: needs a target of shape {expected[:1]}, found {self.target.shape}")

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.ids)

    @property
    def labelled(self) -> np.ndarray:
        """True where the target is known: ndarray (n_rows,) of bool."""
        return np.zeros(self.n_rows, dtype=bool) if self.target is None else ~np.isnan(self.target)

    def header(self, name: str) -> str:
        """The header as the file has it, unit included, of the column with this name.

        Raises
        ------
        TableError
            When no column has this name.
        """
        if name not in self.headers:
            raise TableError(f"{self.path}: there is no column {shown(name)}{_suggestion(name, self.headers)}")
        return self.headers[name]

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of ids, names, units, text and values, in their order; the path does not count."""
        named = [self.ids, self.id_name, self.feature_names, self.feature_units, self.target_name, self.target_unit]
        checksum = hashlib.sha256(json.dumps([*named, dict(self.text)], ensure_ascii=True).encode())
        checksum.update(self.features.astype("<f8").tobytes())
        if self.target is not None:
            checksum.update(self.target.astype("<f8").tobytes())
        return checksum.hexdigest()

    def to_frame(self) -> "pd.DataFrame":
        """The table as a pandas frame under its original headers: ids (unless row numbers), text, features, target."""
        import pandas as pd

        columns: dict[str, object] = {}
        if self.id_name != ROW_NUMBERS or ROW_NUMBERS in self.headers:
            columns[self.headers.get(self.id_name, self.id_name)] = self.ids
        columns |= {self.headers[name]: cells for name, cells in self.text.items() if name != self.id_name}
        for j, name in enumerate(self.feature_names):
            columns[self.headers[name]] = self.features[:, j]
        if self.target_name is not None:
            columns[self.headers[self.target_name]] = self.target
        return pd.DataFrame(columns, index=pd.RangeIndex(self.n_rows))

    def __eq__(self, other: object) -> bool:
        return self.digest() == other.digest() if isinstance(other, Table) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest())

    def __reduce__(self) -> tuple[type["Table"], tuple[object, ...]]:
        state = [getattr(self, field.name) for field in fields(self)]
        return Table, tuple(dict(value) if isinstance(value, MappingProxyType) else value for value in state)


def read_table(
    path: "str | os.PathLike[str] | pd.DataFrame",
    *,
    target: str | None = None,
    id: str | None = None,
    require_target: bool = False,
    features: Sequence[str] | None = None,
) -> Table:
    """Read and check a table of candidates.

    Columns are named by full header ("EA (eV)") or by the part before the unit ("EA").

    Parameters
    ----------
    path : path or DataFrame
        A CSV file (UTF-8, commas, decimal points, one header line), a Parquet file, or a DataFrame with the same headers.
    target : str, optional
        The target column. By default the one numeric column that has gaps.
    id : str, optional
        The id column; "row" asks for row numbers (unless a column is called so). By default the first text column,
        else row numbers.
    require_target : bool
        Refuse a table without a target, or without any known value of it.
    features : sequence of str, optional
        Exactly the columns to use, in this order; the columns that are left over are then not checked. By default every
        numeric column that is neither id nor target.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        For every defect, naming file, row, column and what was found. A table to learn from (it has a target, or one is
        required) also needs two rows or more and features that vary; a table read with `features` and without
        `require_target`, or one without a target, is there to be predicted and may have one row and constant columns.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "oxides.csv")
    ...     _ = path.write_text("formula,EA (eV),N_val,gap (eV)\\nMgO,1.5,2,7.8\\nCaO,1.25,2,\\nAl2O3,1,3,8.8\\n")
    ...     table = read_table(path)
    >>> table.ids, table.feature_names, table.feature_units
    (('MgO', 'CaO', 'Al2O3'), ('EA', 'N_val'), ('eV', ''))
    >>> table.target_name, table.labelled.tolist()
    ('gap', [True, False, True])
    """
    file = read_columns(path) if isinstance(path, (str, os.PathLike)) else frame_columns(path)
    return _read(file, target, id, require_target, features)


def read_targets(path: str | os.PathLike[str], targets: Sequence[str], *, id: str | None = None) -> tuple[Table, ...]:
    """The same candidates once for each of several targets, none of which is a feature of another.

    Parameters
    ----------
    path, id
        As in `read_table`.
    targets : sequence of str
        Different target columns, each known for a row at least; each may have gaps, or none.

    Returns
    -------
    tuple of Table, one for each target
        They differ in the target only.

    Raises
    ------
    TableError
        As `read_table`; or a target is named twice.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "oxides.csv")
    ...     _ = path.write_text("formula,EA (eV),T (K),gap (eV)\\nMgO,1.5,3098,7.8\\nCaO,1.25,,\\nBaO,1,,4.4\\n")
    ...     tables = read_targets(path, ["gap", "T"])
    >>> [(table.target_name, table.feature_names, int(table.labelled.sum())) for table in tables]
    [('gap', ('EA',), 2), ('T', ('EA',), 1)]
    """
    file = read_columns(path)
    find = _finder(file)
    columns = [find(target, "target") for target in targets]
    for place, column in enumerate(columns):
        if column in columns[:place]:
            raise TableError(f"{file.path}: needs targets that differ, found {shown(column.header)} twice")
    return tuple(_read(file, column.header, id, True, None, columns) for column in columns)


def _read(
    file: ColumnFile,
    target: str | None,
    id: str | None,
    require_target: bool,
    features: Sequence[str] | None,
    apart: Sequence[Column] = (),
) -> Table:
    """What `read_table` gives; the columns `apart` are neither id nor feature."""
    find = _finder(file)
    target_column = None if target is None else find(target, "target")
    chosen = None if features is None else [find(name, "feature") for name in features]
    id_column = _id_column(file, id, find, chosen, target_column)
    others = [column for column in file.columns if column is not id_column and column not in apart]
    if chosen is None:
        _check_unspoilt(file, others, target_column)
    if target_column is None:
        target_column = _gapped_column(file, [c for c in others if c not in (chosen or ())], require_target, chosen)
    elif target_column is id_column or target_column in (chosen or ()):
        raise TableError(
            f"{file.path}: column {shown(target_column.header)} cannot be the target and also an id or feature"
        )
    used = chosen if chosen is not None else [c for c in others if c.values is not None and c is not target_column]
    _check_target(file, target_column, require_target)
    _check_features(file, used)
    if require_target or (target_column is not None and chosen is None):
        _check_informative(file, used)
    return _assemble(file, id_column, used, target_column)


def _finder(file: ColumnFile) -> Callable[[str, str], Column]:
    """A function from a name or full header to its column."""
    known = {column.name: column for column in file.columns} | {column.header: column for column in file.columns}

    def find(wanted: str, role: str) -> Column:
        if wanted.strip() not in known:
            raise TableError(f"{file.path}: {role} column {shown(wanted)} is missing{_suggestion(wanted, known)}")
        return known[wanted.strip()]

    return find


def _suggestion(wanted: str, known: Mapping[str, object]) -> str:
    by_lower = {name.lower(): name for name in known}
    sought = wanted.strip().lower()
    close = (
        difflib.get_close_matches(sought, by_lower, n=1) or [name for name in by_lower if sought and sought in name][:1]
    )
    return (
        f"; did you mean {by_lower[close[0]]!r}?"
        if close
        else f"; columns are {_listed(dict.fromkeys(split_header(name)[0] for name in known))}"
    )


def _id_column(
    file: ColumnFile,
    wanted: str | None,
    find: Callable[[str, str], Column],
    chosen: list[Column] | None,
    target: Column | None,
) -> Column | None:
    """The column of ids, or None for row numbers."""
    if wanted is None:
        taken = [*(chosen or ()), target]
        texts = (c for c in file.columns if c.values is None and c.bad is None and c not in taken)
        return next(texts, None)
    if wanted == ROW_NUMBERS and all(column.name != ROW_NUMBERS for column in file.columns):
        return None
    column = find(wanted, "id")
    if column in (chosen or ()):
        raise TableError(f"{file.path}: column {shown(column.header)} cannot be the id and also a feature")
    return column


def _check_unspoilt(file: ColumnFile, columns: list[Column], target: Column | None) -> None:
    for column in columns:
        if column.bad is not None:
            raise TableError(f"{file.place(column.bad, column)}: {column.problem}")
        if column is not target and column.n_gaps == file.n_rows:
            raise TableError(
                f"{file.path}: column {shown(column.header)} needs numbers or text, found only empty cells; remove it "
                "or, if it is the target, name it with --target"
            )


def _gapped_column(
    file: ColumnFile, candidates: list[Column], require_target: bool, chosen: list[Column] | None
) -> Column | None:
    """The one numeric column with gaps; None when there is none and none is required."""
    gapped = [column for column in candidates if 0 < column.n_gaps < file.n_rows and column.bad is None]
    if len(gapped) == 1:
        return gapped[0]
    if not require_target and (not gapped or chosen is not None):
        return None
    if gapped:
        listed = _listed(f"{c.header!r} ({c.n_gaps} gaps, first in row {_first_gap(c) + 1})" for c in gapped)
        raise TableError(f"{file.path}: needs one column with gaps as the target, found {listed}; choose with --target")
    listed = _listed(repr(column.header) for column in candidates if column.values is not None)
    raise TableError(
        f"{file.path}: needs a target, found no column with gaps; choose with --target "
        f"(numeric columns: {listed or 'none'})"
    )


def _listed(items: Iterable[str], limit: int = 8) -> str:
    texts = list(items)
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit} more" if len(texts) > limit else "")


def _first_gap(column: Column) -> int:
    return 0 if column.values is None else int(np.isnan(column.values).argmax())


def _check_number_column(file: ColumnFile, column: Column, role: str) -> None:
    if column.bad is not None:
        raise TableError(f"{file.place(column.bad, column)}: {column.problem}")
    if column.values is None:
        row, cell = next((row, cell) for row, cell in enumerate(column.texts()) if cell)
        raise TableError(f"{file.place(row, column)}: {role} needs a number, found {shown(cell)}")


def _check_features(file: ColumnFile, used: list[Column]) -> None:
    seen: set[Column] = set()
    for column in used:
        if column in seen:
            raise TableError(f"{file.path}: feature {shown(column.header)} is asked for twice")
        seen.add(column)
        _check_number_column(file, column, "a feature")
        if column.n_gaps:
            place = file.place(_first_gap(column), column)
            raise TableError(f"{place}: a feature needs a number in every row, found an empty cell")


def _check_target(file: ColumnFile, column: Column | None, require_target: bool) -> None:
    if column is None:
        return
    _check_number_column(file, column, "the target")
    if require_target and column.n_gaps == file.n_rows:
        raise TableError(f"{file.path}: target column {shown(column.header)} needs a known value, found none")


def _check_informative(file: ColumnFile, used: list[Column]) -> None:
    if file.n_rows < 2:
        raise TableError(f"{file.path}: needs at least two rows to learn from, found one")
    for column in used:
        values = column.values
        if values is not None and values.min() == values.max():
            raise TableError(
                f"{file.path}: column {shown(column.header)} needs values that differ, found {values[0]:g} "
                "in every row; remove it"
            )


def _unique_ids(file: ColumnFile, column: Column | None) -> tuple[str, ...]:
    if column is None:
        return tuple(str(row) for row in range(1, file.n_rows + 1))
    ids = column.texts()
    if len(set(ids)) == len(ids) and "" not in ids:
        return ids
    seen: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not name:
            raise TableError(f"{file.place(row, column)}: needs an id, found an empty cell")
        if name in seen:
            raise TableError(
                f"{file.place(row, column)}: ids must differ, found {shown(name)} again after row {seen[name] + 1}; "
                "choose another id with --id ('row' numbers the rows)"
            )
        seen[name] = row
    return ids


def _assemble(file: ColumnFile, id_column: Column | None, used: list[Column], target: Column | None) -> Table:
    features = np.empty((file.n_rows, len(used)))
    for j, column in enumerate(used):
        features[:, j] = column.values
    in_use = {id(column) for column in (id_column, target, *used)}
    return Table(
        path=file.path,
        ids=_unique_ids(file, id_column),
        id_name=ROW_NUMBERS if id_column is None else id_column.name,
        feature_names=tuple(column.name for column in used),
        feature_units=tuple(column.unit for column in used),
        features=features,
        target_name=None if target is None else target.name,
        target_unit="" if target is None else target.unit,
        target=None if target is None else target.values,
        ignored=tuple(column.header for column in file.columns if id(column) not in in_use),
        text={column.name: column.texts() for column in file.columns if column.values is None},
        headers={column.name: column.header for column in file.columns},
    )


def _frozen(values: np.ndarray) -> np.ndarray:
    """A read-only float64 copy in C order, every NaN the same NaN."""
    values = np.array(values, dtype=np.float64, order="C")
    values[np.isnan(values)] = np.nan
    values.setflags(write=False)
    return values
