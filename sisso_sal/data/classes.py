"""Columns of classes: text, or whole numbers, of which each name stands for a class."""

import os
from dataclasses import replace

import numpy as np

from sisso_sal.data.cells import shown
from sisso_sal.data.columns import Column, ColumnFile, read_columns
from sisso_sal.data.roles import Wanted, finder
from sisso_sal.data.table import read_wanted
from sisso_sal.errors import TableError
from sisso_sal.system.printable import printable

MOST_CLASSES = 50
"""A column with more different cells is no column of classes."""

LONGEST_CLASS = 200
"""Characters of the name of a class."""

Classes = tuple[str, ...] | tuple[int, ...]


def coded(file: ColumnFile, target: str, fewest: int = 2) -> tuple[ColumnFile, Classes]:
    """The same file with the number of the class in each cell of the target, NaN where it is empty; and the classes, sorted.

    Parameters
    ----------
    file : ColumnFile
    target : str
        Name or header of the column of classes.
    fewest : int
        Classes that it must have.

    Raises
    ------
    TableError
        There is no such column, its numbers are not whole, or there are too many classes or too few.

    Examples
    --------
    >>> import pandas as pd
    >>> from sisso_sal.data.columns import frame_columns
    >>> file, classes = coded(frame_columns(pd.DataFrame({"phase": ["fcc", "bcc", None, "bcc"]})), "phase")
    >>> classes, file.columns[0].values.tolist()
    (('bcc', 'fcc'), [1.0, 0.0, nan, 0.0])
    """
    column = finder(file)(target, "target")
    codes, classes = _codes(file.path, column, fewest)
    numbers = replace(column, unit="", read=replace(column.read, values=codes, bad=None, problem="", reason=""))
    return replace(file, columns=tuple(numbers if one is column else one for one in file.columns)), classes


def class_labels(path: str | os.PathLike[str], target: str, id_name: str | None) -> dict[str, str]:
    """Names of classes by the ids of the rows that have one, of a table such as a person hands in.

    Parameters
    ----------
    path : path
    target : str
        Name or header of the column of classes.
    id_name : str, optional
        See `sisso_sal.data.table.read_table`.

    Raises
    ------
    TableError
        The table cannot be read, or lacks a column.
    """
    file, classes = coded(read_columns(path), target, fewest=0)
    table = read_wanted(file, Wanted(target=target, id=id_name, features=()))
    return dict(zip(table.ids, names_of(np.asarray(table.target), classes), strict=True)) if classes else {}


def is_class(name: str) -> bool:
    """Whether a text can be the name of a class: not empty, not long, in one line.

    Examples
    --------
    >>> is_class("rock salt"), is_class(""), is_class("x" * 201)
    (True, False, False)
    """
    return 0 < len(name) <= LONGEST_CLASS and name == name.strip() == printable(name)


def names_of(codes: np.ndarray, classes: Classes) -> tuple[str, ...]:
    """The name of the class of each of n rows as text, "" where its number is NaN.

    Examples
    --------
    >>> names_of(np.array([1.0, np.nan]), (62, 221))
    ('221', '')
    """
    return tuple("" if code != code else str(classes[int(code)]) for code in codes.tolist())


def _codes(path: str, column: Column, fewest: int) -> tuple[np.ndarray, Classes]:
    """Number of the class of each row, NaN where the cell is empty; and the classes."""
    if column.values is None:
        cells = column.texts()
        classes = tuple(sorted({cell for cell in cells if cell}))
        if strange := [name for name in classes if not is_class(name)]:
            needed = f"names of classes of at most {LONGEST_CLASS} printable characters"
            raise TableError(f"{path}: target column {shown(column.header)}: needs {needed}, found {shown(strange[0])}")
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
    if not fewest <= len(classes) <= MOST_CLASSES:
        raise TableError(
            f"{path}: target column {shown(column.header)}: needs {fewest} to {MOST_CLASSES} classes, found {len(classes)}"
        )
    return codes, classes
