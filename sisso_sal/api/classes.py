"""Tables whose target is a class: text, or whole numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sisso_sal.api.inputs import read_candidates
from sisso_sal.data.cells import shown
from sisso_sal.data.columns import Column, read_columns
from sisso_sal.data.roles import finder
from sisso_sal.data.table import Table
from sisso_sal.errors import TableError
from sisso_sal.settings.campaign import CampaignSettings

MOST_CLASSES = 50
"""A column with more different cells is no column of classes."""


@dataclass(frozen=True, eq=False)
class ClassTable:
    """A table with numbers of classes as its target.

    Attributes
    ----------
    table : Table
        With NaN as the target of rows whose class is not known.
    classes : tuple of str or of int
        Sorted.
    """

    table: Table
    classes: tuple[str, ...] | tuple[int, ...]


def holds_classes(path: str | os.PathLike[str], name: str) -> bool:
    """Whether a table has a column of classes with this name or header: text of which each cell stands twice on average.

    Other text may be numbers with something behind them, such as ``1.2 ± 0.1``, or names.

    Raises
    ------
    TableError
        The table cannot be read.
    """
    for column in read_columns(path).columns:
        if name in (column.name, column.header) and column.is_text:
            cells = [cell for cell in column.texts() if cell]
            return len({*cells}) <= len(cells) / 2
    return False


def read_classes(
    path: str | os.PathLike[str], settings: CampaignSettings, formula: str | None, tell: Callable[[str], None]
) -> ClassTable:
    """A table with primary features whose target is a class.

    Parameters
    ----------
    path, settings, formula, tell
        See `read_candidates`; the settings name the target.

    Raises
    ------
    TableError
        See `read_candidates`; also there is no target named, its numbers are not whole, or there are too many classes or fewer
        than two.
    """
    if settings.target is None:
        raise TableError(f"{path}: needs the column of the classes, found none; choose it with --target")
    file = read_columns(path)
    column = finder(file)(settings.target, "target")
    codes, classes = _codes(file.path, column)
    numbers = replace(column, unit="", read=replace(column.read, values=codes, bad=None, problem="", reason=""))
    columns = tuple(numbers if one is column else one for one in file.columns)
    return ClassTable(read_candidates(replace(file, columns=columns), settings, formula, tell=tell), classes)


def _codes(path: str, column: Column) -> tuple[np.ndarray, tuple[str, ...] | tuple[int, ...]]:
    """Number of the class of each row, NaN where the cell is empty; and the classes."""
    if column.values is None:
        cells = column.texts()
        classes = tuple(sorted({cell for cell in cells if cell}))
        number = {name: float(code) for code, name in enumerate(classes)}
        codes = np.array([number.get(cell, np.nan) for cell in cells])
    else:
        values = column.values
        known = values[~np.isnan(values)]
        if len(broken := known[known != np.round(known)]):
            raise TableError(
                f"{path}: target column {shown(column.header)}: needs text or whole numbers as classes, found {broken[0]:g}"
            )
        classes = tuple(int(value) for value in np.unique(known))
        codes = np.where(np.isnan(values), np.nan, np.searchsorted(classes, np.nan_to_num(values)).astype(float))
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise TableError(
            f"{path}: target column {shown(column.header)}: needs 2 to {MOST_CLASSES} classes, found {len(classes)}"
        )
    return codes, classes
