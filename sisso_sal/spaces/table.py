"""A table of candidates as a space."""

from __future__ import annotations

import io
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.data.headers import split_header
from sisso_sal.data.table import Table
from sisso_sal.models.groups import group_numbers
from sisso_sal.oxides.elements import composition_of
from sisso_sal.protocols import Quantity, Rows
from sisso_sal.spaces.snapshot import ids_of

if TYPE_CHECKING:
    import pandas as pd


class TableSpace:
    """The rows of a table, with the composition of each where there are formulas. It is a `Space`.

    Parameters
    ----------
    table : Table

    Examples
    --------
    >>> import tempfile
    >>> from sisso_sal.data.table import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "gaps.csv")
    ...     _ = path.write_text("formula,EN,gap (eV)\\nMgO,1.3,7.8\\nCaO,1.0,\\nMgO,1.3,7.6\\n")
    ...     space = TableSpace(read_table(path, id="row"))
    >>> space.target.header, space.labels.tolist()
    ('gap (eV)', [7.8, nan, 7.6])
    >>> space.rows(np.array([1])).features["EN"].tolist()
    [1.0]
    """

    def __init__(self, table: Table):
        self.table = table
        named = zip(table.feature_names, table.feature_units, strict=True)
        self.features = tuple(Quantity(name, unit, table.header(name)) for name, unit in named)
        self.target = (
            None
            if table.target_name is None
            else Quantity(table.target_name, table.target_unit, table.header(table.target_name))
        )
        self.labels = np.full(table.n_rows, np.nan) if table.target is None else np.asarray(table.target)
        self.errors = np.zeros(table.n_rows)  # a table has no column of errors
        held = zip(table.partial_names, table.partial_units, strict=True)
        self.partial: Mapping[Quantity, np.ndarray] = {
            Quantity(name, unit, table.header(name)): np.asarray(table.partial)[:, number]
            for number, (name, unit) in enumerate(held)
        }

    @property
    def name(self) -> str:
        """The file that the table was read from."""
        return self.table.path

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The name of the class of each row, "" where it is not known; None where the target is a number."""
        return self.table.classes

    @property
    def ids(self) -> tuple[str, ...]:
        """Unique names of the rows."""
        return self.table.ids

    @cached_property
    def composition(self) -> np.ndarray | None:
        """Share of each element: ndarray (n_rows, n_elements), see `composition_of`; None where there are no formulas."""
        return composition_of(self.table)

    @property
    def groups(self) -> np.ndarray | None:
        """ndarray (n_rows,) of int: rows with the same cell in the column of groups have the same number; None without one."""
        return self._groups

    @cached_property
    def _groups(self) -> np.ndarray | None:
        name = self.table.group_name
        return None if name is None else group_numbers(self.table.text[name])

    @property
    def settings(self) -> Mapping[str, str | None]:
        """``target`` and ``group`` as headers, and ``id``."""
        table = self.table
        group = None if table.group_name is None else table.header(table.group_name)
        return {"target": self.target.header if self.target else None, "id": table.id_name, "group": group}

    def rows(self, numbers: np.ndarray | None = None) -> Rows:
        """The rows of these numbers; by default all."""
        table = self.table
        matrix = table.features if numbers is None else table.features[numbers]
        columns = dict(zip(table.feature_names, np.ascontiguousarray(matrix.T), strict=True))
        return Rows(columns, matrix, partial(self._composition_of, numbers))

    def _composition_of(self, numbers: np.ndarray | None) -> np.ndarray | None:
        shares = self.composition
        return shares if shares is None or numbers is None else shares[numbers]

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """The numbers of all rows in order, at most `size` at a time."""
        for start in range(0, self.table.n_rows, size):
            yield np.arange(start, min(start + size, self.table.n_rows))

    def candidate(self, number: int) -> Mapping[str, Any]:
        """The text cells and primary features of a row, under the headers of the table."""
        table = self.table
        features = zip(table.feature_names, table.features[number].tolist(), strict=True)
        texts = {table.header(name): cells[number] for name, cells in table.text.items()}
        known = {
            one.header: float(values[number]) for one, values in self.partial.items() if np.isfinite(values[number])
        }
        return texts | {table.header(name): value for name, value in features} | known

    def describe(self) -> dict[str, Any]:
        """Name and digest of the table, its size, and what was left out of it."""
        return dict(self._about)

    @cached_property
    def _about(self) -> dict[str, Any]:
        table = self.table
        n_features = len(table.feature_names)
        return {
            "table": os.path.basename(table.path), "digest": table.digest(), "n_rows": table.n_rows, "n_features": n_features,
            "remarks": table.remarks(),
        }  # fmt: skip

    def snapshot(self) -> bytes:
        """The table as a Parquet file, under its original headers."""
        content = io.BytesIO()
        self.table.to_frame().to_parquet(content)
        return content.getvalue()

    def as_begun(self, snapshot: Path) -> tuple[TableSpace, Mapping[str, Mapping[str, float]]]:
        """The table without what was filled into columns with gaps since a snapshot, and that: header -> id -> value.

        A table that differs in columns or rows is left as it is, see `differences`.
        """
        import pandas as pd

        now = self.table.to_frame()
        try:
            before = pd.read_parquet(snapshot)
        except (OSError, ValueError):
            return self, {}
        if {*before.columns} != {*now.columns} or ids_of(before, self.table.id_name) != [*self.ids]:
            return self, {}
        target = self.target.header if self.target else None
        held = [name for name in before.columns if name != target and before[name].dtype == float]
        filled: dict[str, dict[str, float]] = {}
        partial: dict[str, np.ndarray] = {}
        for header in held:
            old, new = before[header].to_numpy(), now[header].to_numpy()
            if np.isnan(old).any():
                added = np.isnan(old) & ~np.isnan(new)
                partial[header] = np.where(added, np.nan, new)
                if added.any():
                    filled[header] = {self.ids[row]: float(new[row]) for row in np.flatnonzero(added)}
        return (TableSpace(_with_partial(self.table, partial)), filled) if filled else (self, filled)

    def differences(
        self,
        snapshot: Path,
        settings: Mapping[str, str | None],
        known: Mapping[str, float] | Mapping[str, str],
        came_later: Container[str],
    ) -> list[str]:
        """What differs from an earlier snapshot, one line each: columns, rows, cells, order."""
        import pandas as pd

        table, target = self.table, settings["target"]
        try:
            before = pd.read_parquet(snapshot)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            return [f"table: differs; the differences cannot be shown, {snapshot} cannot be read: {reason}"]
        now = table.to_frame()
        in_order = list(before.columns) == list(now.columns)
        lines = [f"column '{name}': removed" for name in before.columns.difference(now.columns)]
        lines += [f"column '{name}': added" for name in now.columns.difference(before.columns)]
        if settings["id"] != table.id_name:  # rows cannot be told apart by other ids
            return lines
        before.index, now.index = pd.Index(ids_of(before, table.id_name)), pd.Index(table.ids)
        in_order &= list(before.index) == list(now.index)
        if target in before.columns:
            kind = float if table.classes is None else object
            before[target] = pd.Series(before.index.map(dict(known)).to_numpy(dtype=kind), before.index, kind)
        lines += [f"row '{id}': removed" for id in before.index.difference(now.index, sort=False)]
        lines += [f"row '{id}': added" for id in now.index.difference(before.index, sort=False)]
        lines += _changed_cells(before, now, target, came_later)
        return lines or ([] if in_order else ["rows or columns: in another order"])


def _with_partial(table: Table, partial: Mapping[str, np.ndarray]) -> Table:
    """The table with these columns (n_rows,), by header, as those with gaps: one without any left had become a feature."""
    split = [split_header(header) for header in partial]
    names, units = tuple(name for name, _ in split), tuple(unit for _, unit in split)
    kept = [number for number, name in enumerate(table.feature_names) if name not in names]
    return replace(
        table,
        feature_names=tuple(table.feature_names[number] for number in kept),
        feature_units=tuple(table.feature_units[number] for number in kept),
        features=table.features[:, kept],
        partial_names=names,
        partial_units=units,
        partial=np.column_stack(list(partial.values())),
    )


def _changed_cells(
    before: pd.DataFrame, now: pd.DataFrame, target: str | None, came_later: Container[str]
) -> list[str]:
    """One line for each cell of the shared rows and columns that differs; a gap in the target that was filled is none."""
    lines = []
    shared = before.index.intersection(now.index, sort=False)
    is_later = np.array([id in came_later for id in shared], dtype=bool)
    for name in before.columns.intersection(now.columns, sort=False):
        old, new = before.loc[shared, name], now.loc[shared, name]
        same = (old == new) | (old.isna() & (new.isna() | (name == target)))
        if name == target:  # a label that the ledger has need not be in the table
            same |= new.isna() & is_later
        lines += [f"row '{id}', column '{name}': {old[id]} -> {new[id]}" for id in shared[~same.to_numpy()]]
    return lines
