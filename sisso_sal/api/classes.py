"""Tables whose target is a class: text, or whole numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.api.inputs import read_candidates
from sisso_sal.data.cells import shown
from sisso_sal.data.classes import Classes, coded, names_of
from sisso_sal.data.columns import ColumnFile, frame_columns, read_columns
from sisso_sal.data.table import Table
from sisso_sal.errors import TableError
from sisso_sal.settings.campaign import CampaignSettings

if TYPE_CHECKING:
    import pandas as pd

N_LISTED = 8
"""Classes that a message names."""


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
    classes: Classes


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
    file, classes = coded(read_columns(path), settings.target)
    return ClassTable(read_candidates(file, settings, formula, tell=tell), classes)


def read_class_candidates(
    path: str | os.PathLike[str] | pd.DataFrame,
    settings: CampaignSettings,
    formula: str | None,
    tell: Callable[[str], None],
) -> Table:
    """The candidates of a campaign over classes: the target is 1 where the class is one of the goal's, 0 where it is another.

    Parameters
    ----------
    path, settings, formula, tell
        See `read_candidates`; the goal names classes. Without a target it is the one column of text that has one of them.

    Raises
    ------
    TableError
        See `read_classes`; one class is enough. Also no target is named, and no column or several have a class of the goal.
    """
    goal = Goal.parse(settings.goal)
    columns = read_columns(path) if isinstance(path, str | os.PathLike) else frame_columns(path)
    target = settings.target or _column_with(goal, columns, settings.id)
    settings = settings.model_copy(update={"target": target})
    file, classes = coded(columns, target, fewest=0)
    table = read_candidates(file, settings, formula, tell=tell)
    names = names_of(np.asarray(table.target), classes)
    tell_strange_classes(goal, names, table.path, tell)
    return replace(table, target=goal.labels_of(names), classes=names)


def _column_with(goal: Goal, file: ColumnFile, id_name: str | None) -> str:
    """The header of the one column of text, other than the ids, that has a class of the goal."""
    able = [
        column.header
        for column in file.columns
        if column.values is None and column.header != id_name and not {*goal.classes}.isdisjoint(column.texts())
    ]
    if len(able) != 1:
        found = f"{', '.join(map(shown, able))}" if able else "none that has one of them"
        raise TableError(
            f"{file.path}: goal '{goal}': needs the column of the classes, found {found}; choose it with --target"
        )
    return able[0]


def tell_strange_classes(goal: Goal, names: Sequence[str], path: str, tell: Callable[[str], None]) -> None:
    """A note on each class of the goal that no row has, with a name that is like it: it may be mistyped.

    Examples
    --------
    >>> tell_strange_classes(Goal.parse("=perovksite"), ["perovskite", "ilmenite", ""], "abx3.csv", print)
    abx3.csv: no row is 'perovksite' so far; did you mean 'perovskite'?
    """
    known = sorted({name for name in names if name})
    for name in goal.classes:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            few = f"known are {', '.join(known[:N_LISTED])}{' and others' if len(known) > N_LISTED else ''}"
            hint = f"; did you mean '{close[0]}'?" if close else f"; {few}" if known else ""
            tell(f"{path}: no row is '{name}' so far{hint}")
