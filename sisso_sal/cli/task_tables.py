"""Tables of several tasks: rows whose task a column names, or several targets of the same materials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sisso_sal.cli.terminal import note
from sisso_sal.errors import TableError

if TYPE_CHECKING:
    import numpy as np

    from sisso_sal.models.inputs import TrainingTable


@dataclass(frozen=True, eq=False)
class TaskSamples:
    """Samples of all tasks.

    `table` has tasks, and `task_column` is the column that names them, "" where each is a target; `units` of their targets by name;
    `composition` (n_samples, n_elements) or None; `materials` see `materials_told`; `remarks` on how the table was read.
    """

    table: TrainingTable
    task_column: str
    units: dict[str, str]
    composition: np.ndarray | None
    materials: dict[str, Any]
    remarks: dict[str, Any]


def read_tasks(path: Path, targets: tuple[str, ...], settings, formula: str | None, task: str | None) -> TaskSamples:
    """The samples of a table whose column `task` names the task of each row, or in which each of several targets is a task.

    Raises
    ------
    TableError
        The table cannot be used, or a row has no task.
    """
    if task is None:
        return _of_targets(path, targets, settings, formula)
    return _of_column(path, settings, formula, task)


def _of_column(path: Path, settings, formula: str | None, task: str) -> TaskSamples:
    """Samples of all tasks that a column names."""
    import numpy as np

    from sisso_sal.api.inputs import constant_where_known, read_candidates
    from sisso_sal.models.inputs import table_of
    from sisso_sal.models.materials import materials_of
    from sisso_sal.spaces.table import TableSpace

    data = read_candidates(path, settings, formula, task=task, tell=note)
    data = constant_where_known(data, note) if settings.model.intercept else data
    space, known = TableSpace(data), np.flatnonzero(data.labelled)
    name = str(data.task_name)
    tasks = np.array(data.text[name])[known]
    if not all(tasks):
        row = int(known[np.flatnonzero(tasks == "")[0]])
        raise TableError(f"{data.path}: row {data.ids[row]}: column '{name}' needs a task, found an empty cell")
    table = replace(table_of(space, known, space.labels[known]), tasks=tasks)
    table = table.in_groups(table.groups, table.grouping)
    units = dict.fromkeys(table.task_names, data.target_unit)
    materials = materials_of(space, known)[1]
    return TaskSamples(table, name, units, space.rows(known).composition, materials, data.remarks())


def _of_targets(path: Path, targets: tuple[str, ...], settings, formula: str | None) -> TaskSamples:
    """Samples of all target columns, a task each; a material may be known for some of them."""
    import numpy as np

    from sisso_sal.api.inputs import read_targets_of
    from sisso_sal.models.inputs import table_of
    from sisso_sal.models.materials import materials_of
    from sisso_sal.spaces.table import TableSpace

    tables = read_targets_of(path, targets, settings, formula, note)
    parts, units, rows = [], {}, []
    for data in tables:
        space, known = TableSpace(data), np.flatnonzero(data.labelled)
        name = str(data.target_name)
        part = table_of(space, known, space.labels[known])
        parts.append(replace(part, tasks=np.full(len(known), name)))
        rows.append(known)
        units[name] = data.target_unit
    space, every = TableSpace(tables[0]), np.unique(np.concatenate(rows))
    groups, materials = materials_of(space, every)
    places = np.searchsorted(every, np.concatenate(rows))
    first = parts[0]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("X", "y", "weights", "tasks")}
    unit = first.target_unit if len({*units.values()}) == 1 else ""
    table = replace(first, **joined, target=", ".join(units), target_unit=unit)
    table = table.in_groups(groups[places], first.grouping)
    shares = space.rows(every).composition
    shares = None if shares is None else shares[places]
    return TaskSamples(table, "", units, shares, materials, tables[0].remarks())
