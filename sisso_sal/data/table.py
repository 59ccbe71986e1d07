"""A checked, immutable table of candidates, read from a file or a data frame.

Roles of columns: the target is the one numeric column with gaps, the id the first text column, and every other numeric
column is a primary feature; each can be named instead. A column that says which rows are one material has to be named. Columns
of true and false count as 1 and 0.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.data.cells import shown
from sisso_sal.data.columns import Column, ColumnFile, frame_columns, read_columns
from sisso_sal.data.left_out import LeftOut, as_documents
from sisso_sal.data.roles import DROPPED, ROW_NUMBERS, Wanted, finder, give_roles, suggestion, taken
from sisso_sal.errors import TableError

if TYPE_CHECKING:
    import pandas as pd


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
    text : mapping of str to tuple of str
        The cells of every text column, the id column among them, under its name; also those of the columns of groups and of tasks.
    headers : mapping of str to str
        The original header of each column, under its name.
    left_out : tuple of LeftOut
        Columns that are neither id nor target nor feature, and rows that are not used, with the reason.
    notes : tuple of str
        What a person should know of how the file was read.
    partial_names, partial_units : tuple of str, length n_partial
        Of columns that are no features, since a row may lack their value: what a cheaper calculation gives.
    partial : ndarray (n_rows, n_partial) of float64, read-only, in `partial_units`, NaN where unknown; or None without any
    group_name : str or None
        Name of the column that says which rows are one material; where its cell is empty, a row is a material of its own.
    task_name : str or None
        Name of the column that says of which task a row is.
    classes : tuple of str, length n_rows, or None
        Where the target is a class: its name, "" where unknown. The target itself is then what stands for it, without a unit.
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
    text: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    group_name: str | None = None
    partial_names: tuple[str, ...] = ()
    partial_units: tuple[str, ...] = ()
    partial: np.ndarray | None = None
    task_name: str | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "features", _frozen(self.features))
        put(self, "target", None if self.target is None else _frozen(self.target))
        put(self, "partial", None if self.partial is None else _frozen(self.partial))
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
            raise TableError(f"{self.path}: there is no column {shown(name)}{suggestion(name, self.headers)}")
        return self.headers[name]

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of ids, names, units, groups, text and values, in their order; the path does not count."""
        named = [self.ids, self.id_name, self.feature_names, self.feature_units, self.target_name, self.target_unit]
        named += [] if self.group_name is None else [self.group_name]
        named += [] if self.task_name is None else ["task", self.task_name]
        named += [self.partial_names, self.partial_units] if self.partial_names else []
        named += [] if self.classes is None else ["classes", self.classes]
        checksum = hashlib.sha256(json.dumps([*named, dict(self.text)], ensure_ascii=True).encode())
        checksum.update(self.features.astype("<f8").tobytes())
        if self.target is not None:
            checksum.update(self.target.astype("<f8").tobytes())
        if self.partial is not None:
            checksum.update(self.partial.astype("<f8").tobytes())
        return checksum.hexdigest()

    def remarks(self) -> dict[str, Any]:
        """What was left out and how the file was read, for JSON: ``left_out``, ``set_aside`` and ``table_notes``."""
        return as_documents(self.left_out, self.notes)

    def to_frame(self) -> "pd.DataFrame":
        """The table as a pandas frame under its original headers: ids (unless they count the rows), text, features, target."""
        import pandas as pd

        columns: dict[str, object] = {}
        counts_rows = self.ids == tuple(str(row) for row in range(1, self.n_rows + 1))
        if self.id_name != ROW_NUMBERS or ROW_NUMBERS in self.headers or not counts_rows:
            columns[self.headers.get(self.id_name, self.id_name)] = self.ids
        columns |= {self.headers[name]: cells for name, cells in self.text.items() if name != self.id_name}
        for j, name in enumerate(self.feature_names):
            columns[self.headers[name]] = self.features[:, j]
        for j, name in enumerate(self.partial_names):
            columns[self.headers[name]] = np.asarray(self.partial)[:, j]
        if self.target_name is not None:
            known = self.target if self.classes is None else [name or None for name in self.classes]
            columns[self.headers[self.target_name]] = known
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
    drop: Sequence[str] = (),
    group: str | None = None,
    partial: Sequence[str] | None = None,
) -> Table:
    """Read and check a table of candidates.

    Columns are named by full header ("EA (eV)") or by the part before the unit ("EA").

    Parameters
    ----------
    path : path or DataFrame
        A text file (UTF-8, one header line; see `read_columns`), a Parquet file, a workbook, or a DataFrame with the same headers.
    target : str, optional
        The target column. By default the one numeric column that has gaps.
    id : str, optional
        The id column; "row" asks for row numbers (unless a column is called so). By default the first text column,
        else row numbers.
    require_target : bool
        Refuse a table without a target, or without any known value of it.
    features : sequence of str, optional
        The columns to use, in this order; the columns that are left over are then not checked. By default every
        numeric column that is neither id nor target.
    drop : sequence of str
        Columns that are not used and not checked.
    group : str, optional
        A column of text or numbers that is no feature: rows with the same cell are one material.
    partial : sequence of str, optional
        Columns of which a row may lack the value; names that the table does not have do not count. Unless it is None, such are also
        the columns with gaps that ``estimate`` made. By default these are left out, unless they are among `features`.

    Returns
    -------
    Table
        Columns of text and columns without a value are no features, nor are columns that number the rows (`Column.is_index`). A row
        with a gap in a feature is set aside. `Table.left_out` names all of them.

    Raises
    ------
    TableError
        For every defect, naming file, row, column and what was found. A table to learn from (it has a target, or one is
        required) also needs two rows or more, and its constant columns are left out; a table read with `features` and without
        `require_target`, or one without a target, is there to be predicted and may have one row and constant columns.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "oxides.csv")
    ...     rows = ["formula,EA (eV),N_val,phase,gap (eV)", "MgO,1.5,2,cubic,7.8", "CaO,1.25,2,cubic,", "Al2O3,1,3,,8.8"]
    ...     _ = path.write_text("\\n".join(rows))
    ...     table = read_table(path)
    >>> table.ids, table.feature_names, table.feature_units
    (('MgO', 'CaO', 'Al2O3'), ('EA', 'N_val'), ('eV', ''))
    >>> table.target_name, table.labelled.tolist()
    ('gap', [True, False, True])
    >>> [(one.name, one.reason) for one in table.left_out]
    [('phase', 'text')]
    """
    return read_wanted(path, Wanted(target, id, require_target, features, drop, group, partial))


def read_wanted(path: "str | os.PathLike[str] | pd.DataFrame | ColumnFile", wanted: Wanted) -> Table:
    """The same as `read_table`, with all that a caller can say of the columns; also of columns that were read already."""
    if isinstance(path, ColumnFile):
        return _read(path, wanted)
    return _read(read_columns(path) if isinstance(path, (str, os.PathLike)) else frame_columns(path), wanted)


def read_targets(
    path: str | os.PathLike[str],
    targets: Sequence[str],
    *,
    id: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
) -> tuple[Table, ...]:
    """The same candidates once for each of several targets, none of which is a feature of another.

    Parameters
    ----------
    path, id, features, drop, group
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
    find = finder(file)
    columns = [find(target, "target") for target in targets]
    for place, column in enumerate(columns):
        if column in columns[:place]:
            raise TableError(f"{file.path}: needs targets that differ, found {shown(column.header)} twice")
    wanted = Wanted(None, id, True, features, drop, group)
    return tuple(_read(file, replace(wanted, target=column.header), columns) for column in columns)


def _read(file: ColumnFile, wanted: Wanted, apart: Sequence[Column] = ()) -> Table:
    """The columns of a file with the roles that follow from what is wanted; those `apart` are neither id nor feature."""
    roles = give_roles(file, wanted, apart)
    features = np.empty((len(roles.rows), len(roles.features)))
    for j, column in enumerate(roles.features):
        features[:, j] = np.asarray(column.values)[roles.rows]
    dropped = {one.name for one in roles.left_out if one.kind == "column" and one.reason == DROPPED}
    texts = {
        c.name: roles.ids if c is roles.id else taken(_names(c), roles.rows)
        for c in file.columns
        if (c.values is None and c.header not in dropped) or c in (roles.group, roles.task)
    }
    target = roles.target
    partial = [np.asarray(column.values)[roles.rows] for column in roles.partial]
    return Table(
        path=file.path,
        ids=roles.ids,
        id_name=ROW_NUMBERS if roles.id is None else roles.id.name,
        feature_names=tuple(column.name for column in roles.features),
        feature_units=tuple(column.unit for column in roles.features),
        features=features,
        target_name=None if target is None else target.name,
        target_unit="" if target is None else target.unit,
        target=None if target is None else np.asarray(target.values)[roles.rows],
        text=texts,
        headers={column.name: column.header for column in file.columns},
        left_out=roles.left_out,
        notes=file.notes,
        group_name=None if roles.group is None else roles.group.name,
        partial_names=tuple(column.name for column in roles.partial),
        partial_units=tuple(column.unit for column in roles.partial),
        partial=np.column_stack(partial) if partial else None,
        task_name=None if roles.task is None else roles.task.name,
    )


def _names(column: Column) -> tuple[str, ...]:
    """The cells as text; equal numbers are the same text, however they are written."""
    if column.values is None:
        return column.texts()
    return tuple("" if value != value else f"{value:.17g}" for value in column.values.tolist())


def _frozen(values: np.ndarray) -> np.ndarray:
    """A read-only float64 copy in C order, every NaN the same NaN."""
    values = np.array(values, dtype=np.float64, order="C")
    values[np.isnan(values)] = np.nan
    values.setflags(write=False)
    return values
