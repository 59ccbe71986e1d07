"""Which column is the id, which the target and which are features; and what is left out, columns and rows, with the reason."""

import difflib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sisso_sal.data.cells import shown
from sisso_sal.data.columns import Column, ColumnFile
from sisso_sal.data.estimated import is_estimated, is_of_phonons
from sisso_sal.data.headers import split_header
from sisso_sal.data.left_out import LeftOut
from sisso_sal.data.phonon_columns import numbers_beside
from sisso_sal.errors import TableError

LONGEST_NAME = 60
"""Characters of a name in a list of names."""

ROW_NUMBERS = "row"
DROPPED = "named to be dropped"
UNASKED = "on phonons: a feature only where it is named"


@dataclass(frozen=True)
class Wanted:
    """What a caller says of the columns of a table, each by its name or its header; see `sisso_sal.data.table.read_table`.

    Of the columns that ``estimate`` made those in `whole` are features in spite of their gaps: a gap sets the row aside.
    """

    target: str | None = None
    id: str | None = None
    require_target: bool = False
    features: Sequence[str] | None = None
    drop: Sequence[str] = ()
    group: str | None = None
    partial: Sequence[str] | None = None
    whole: Sequence[str] = ()
    task: str | None = None


@dataclass(frozen=True, eq=False)
class Roles:
    """The roles of the columns of one file.

    Attributes
    ----------
    id : Column or None
        None for row numbers.
    target : Column or None
    group, task : Column or None
    features, partial : tuple of Column
    rows : ndarray of int
        0-based rows that are used, in their order.
    ids : tuple of str
        Of these rows.
    left_out : tuple of LeftOut
    """

    id: Column | None
    target: Column | None
    group: Column | None
    task: Column | None
    features: tuple[Column, ...]
    partial: tuple[Column, ...]
    rows: np.ndarray
    ids: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def give_roles(file: ColumnFile, wanted: Wanted, apart: Sequence[Column] = ()) -> Roles:
    """Give each column of a file its role, or the reason why it has none.

    Parameters
    ----------
    file : ColumnFile
    wanted : Wanted
    apart : sequence of Column
        Columns that are neither id nor feature: further targets.

    Raises
    ------
    TableError
        See `sisso_sal.data.table.read_table`.
    """
    find = finder(file)
    target = None if wanted.target is None else find(wanted.target, "target")
    chosen = None if wanted.features is None else [find(name, "feature") for name in wanted.features]
    dropped = [find(name, "drop") for name in wanted.drop]
    group = None if wanted.group is None else find(wanted.group, "group")
    repeated = group if group is not None and len(set(group.texts())) < file.n_rows else None
    task = None if wanted.task is None else find(wanted.task, "task")
    id_column = _id_column(file, wanted.id, find, [*(chosen or ()), *dropped, target, repeated, task])
    _check_apart(file, target, id_column, chosen, dropped)
    _check_only(file, group, "group", target, [*(chosen or ()), *apart], dropped)
    _check_only(file, task, "task", target, [*(chosen or ()), *apart], dropped)
    _check_target(file, target, wanted.require_target)
    reasons = dict.fromkeys(dropped, DROPPED)
    others = [c for c in file.columns if c not in (id_column, group, task, *apart) and c not in reasons]
    partial = _partial_columns(wanted, [c for c in others if c is not target], chosen)
    others = [column for column in others if column not in partial]
    chosen = None if chosen is None else [column for column in chosen if column not in partial]
    if wanted.partial is None:
        reasons |= {column: _unfilled(column) for column in partial}
        partial = ()
    unasked = _unasked(file, [c for c in others if c is not target])
    if chosen is None:
        reasons |= dict.fromkeys(unasked, UNASKED)
        others = [c for c in others if c not in unasked]
        reasons |= {column: reason for column in others if column is not target and (reason := _unusable(column))}
        _check_unspoilt(file, [column for column in others if column not in reasons and column is not target])
    else:
        _check_chosen(file, chosen)
        reasons |= {column: "not a chosen feature" for column in others if column not in chosen}
    if target is None:
        if group is not None and wanted.require_target and _gapped_column(file, [*others, group], Wanted()) is group:
            raise TableError(f"{file.path}: column {shown(group.header)} cannot be the group and also be the target")
        made = [c for c in others if is_estimated(c.name) or is_of_phonons(c.name)]
        possible = [c for c in others if c not in (*(chosen or ()), *unasked, *made)]
        target = _gapped_column(file, possible, wanted)
    if target is not None:
        reasons.pop(target, None)
    used = [c for c in others if c not in reasons and c is not target] if chosen is None else chosen
    is_to_learn = wanted.require_target or (target is not None and chosen is None)
    if is_to_learn and file.n_rows < 2:
        raise TableError(f"{file.path}: needs at least two rows to learn from, found one")
    if is_to_learn:
        reasons |= {column: "constant" for column in used if _is_constant(column, ~column.gaps)}
    rows, gaps = _rows_without_gaps(file, [column for column in used if column not in reasons])
    if is_to_learn and len(rows) < 2:
        raise TableError(f"{file.path}: needs at least two rows with a number for every feature, found one")
    if is_to_learn:
        reasons |= {column: "constant" for column in used if column not in reasons and _is_constant(column, rows)}
    ids = _unique_ids(file, id_column)
    left_out = [LeftOut("column", c.header, reasons[c]) for c in file.columns if c in reasons]
    left_out += [LeftOut("row", ids[row], reason) for row, reason in gaps.items()]
    features = tuple(column for column in used if column not in reasons)
    return Roles(id_column, target, group, task, features, partial, rows, taken(ids, rows), tuple(left_out))


def _partial_columns(wanted: Wanted, columns: list[Column], chosen: list[Column] | None) -> tuple[Column, ...]:
    """Columns with gaps of which a row may lack the value: those that are named, and those that `is_estimated`.

    Where nothing fills gaps, a column that is chosen, or needed for each row, is none.
    """
    named, whole = ({name.strip() for name in names} for names in (wanted.partial or (), wanted.whole))
    fills = wanted.partial is not None

    def may_lack(column: Column) -> bool:
        names = {column.name, column.header}
        if not _has_some(column) or names & whole:
            return False
        return bool(names & named) or (is_estimated(column.name) and (chosen is None or (fills and column in chosen)))

    return tuple(column for column in columns if may_lack(column))


def _unfilled(column: Column) -> str:
    n = int(column.gaps.sum())
    return f"gaps in {n} row{'s' if n > 1 else ''}, which only discover fills"


def _has_some(column: Column) -> bool:
    """Whether a column of numbers has gaps and values."""
    return column.values is not None and column.read.bad is None and bool(column.gaps.any() and not column.gaps.all())


def taken(cells: tuple[str, ...], rows: np.ndarray) -> tuple[str, ...]:
    """The cells of these rows, which are some of all, in their order."""
    return cells if len(rows) == len(cells) else tuple(cells[row] for row in rows.tolist())


def finder(file: ColumnFile) -> Callable[[str, str], Column]:
    """A function from a name or full header, and the role that is meant, to the column."""
    known = {column.name: column for column in file.columns} | {column.header: column for column in file.columns}

    def find(name: str, role: str) -> Column:
        if name.strip() not in known:
            raise TableError(f"{file.path}: {role} column {shown(name)} is missing{suggestion(name, known)}")
        return known[name.strip()]

    return find


def suggestion(name: str, known: Mapping[str, object]) -> str:
    """The end of a message on an unknown column: a column of a similar name, else all names."""
    by_lower = {header.lower(): header for header in known}
    sought = name.strip().lower()
    close = (
        difflib.get_close_matches(sought, by_lower, n=1)
        or [header for header in by_lower if sought and sought in header][:1]
    )
    if close:
        return f"; did you mean {shown(by_lower[close[0]])}?"
    return f"; columns are {_listed(dict.fromkeys(split_header(header)[0] for header in known))}"


def _listed(items: Iterable[str], limit: int = 8) -> str:
    texts = [text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…" for text in items]
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit} more" if len(texts) > limit else "")


def _id_column(
    file: ColumnFile, wanted: str | None, find: Callable[[str, str], Column], taken: Sequence[Column | None]
) -> Column | None:
    """The column of ids, or None for row numbers."""
    if wanted is None:
        return next((column for column in file.columns if column.is_text and column not in taken), None)
    if wanted == ROW_NUMBERS and all(column.name != ROW_NUMBERS for column in file.columns):
        return None
    return find(wanted, "id")


def _check_apart(
    file: ColumnFile,
    target: Column | None,
    id_column: Column | None,
    chosen: list[Column] | None,
    dropped: list[Column],
) -> None:
    """Refuse a column that was named for two roles."""
    features = chosen or []
    if id_column is not None and id_column in features:
        raise TableError(f"{file.path}: column {shown(id_column.header)} cannot be the id and also a feature")
    if target is not None and (target is id_column or target in features):
        raise TableError(f"{file.path}: column {shown(target.header)} cannot be the target and also an id or feature")
    for column in dropped:
        roles = {"the target": column is target, "the id": column is id_column, "a feature": column in features}
        if role := next((role for role, is_taken in roles.items() if is_taken), None):
            raise TableError(f"{file.path}: column {shown(column.header)} cannot be dropped and also be {role}")
    for place, column in enumerate(features):
        if column in features[:place]:
            raise TableError(f"{file.path}: feature {shown(column.header)} is asked for twice")


def _check_only(
    file: ColumnFile,
    column: Column | None,
    role: str,
    target: Column | None,
    features: list[Column],
    dropped: list[Column],
) -> None:
    """Refuse a column of groups or tasks that has another role; it may be that of the ids."""
    if column is None:
        return
    roles = {"the target": column is target, "a feature or a target": column in features, "dropped": column in dropped}
    if other := next((other for other, is_taken in roles.items() if is_taken), None):
        raise TableError(f"{file.path}: column {shown(column.header)} cannot be the {role} and also be {other}")


def _unasked(file: ColumnFile, columns: list[Column]) -> list[Column]:
    """The numbers on phonons among columns: neither features nor the target by themselves, because they have gaps."""
    names = numbers_beside(column.name for column in file.columns if column.is_text)
    return [column for column in columns if column.name in names]


def _unusable(column: Column) -> str:
    """Why a column cannot be a feature; "" where it can, or is spoilt."""
    if column.read.reason:
        return column.read.reason
    if column.gaps.all():
        return "empty"
    return "numbers the rows" if column.is_index else ""


def _check_unspoilt(file: ColumnFile, columns: list[Column]) -> None:
    """Refuse columns of numbers with cells that are none, all in one message: the first in full, and the places of the others."""
    spoilt = [(column, column.read.bad) for column in columns if column.read.bad is not None]
    if not spoilt:
        return
    (first, row), others = spoilt[0], spoilt[1:]
    more = ""
    if others:
        listed = _listed([f"{shown(column.header)} (row {bad + 1})" for column, bad in others], 4)
        more = f"; the same kind of fault in {listed}"
    names = shlex.quote(",".join(column.name for column, _ in spoilt[:4])) if len(spoilt) < 5 else "A,B,…"
    them = "the columns" if others else "the column"
    raise TableError(f"{file.place(row, first)}: {first.read.problem}{more}; or leave {them} out with --drop {names}")


def _check_chosen(file: ColumnFile, chosen: list[Column]) -> None:
    for column in chosen:
        _check_number_column(file, column, "a feature")
        if column.gaps.all():
            raise TableError(
                f"{file.path}: feature column {shown(column.header)} needs numbers, found only empty cells"
            )


def _check_number_column(file: ColumnFile, column: Column, role: str) -> None:
    if column.read.bad is not None:
        raise TableError(f"{file.place(column.read.bad, column)}: {column.read.problem}")
    if column.values is None:
        row, cell = next((row, cell) for row, cell in enumerate(column.texts()) if cell)
        raise TableError(f"{file.place(row, column)}: {role} needs a number, found {shown(cell)}")


def _gapped_column(file: ColumnFile, candidates: list[Column], wanted: Wanted) -> Column | None:
    """The one numeric column with gaps; None when there is none and none is required."""
    numeric = [column for column in candidates if column.values is not None and column.read.bad is None]
    gapped = [column for column in numeric if column.gaps.any() and not column.gaps.all()]
    if len(gapped) == 1:
        return gapped[0]
    if not wanted.require_target and (not gapped or wanted.features is not None):
        return None
    if gapped:
        listed = _listed(f"{c.header!r} ({c.gaps.sum()} gaps, first in row {c.gaps.argmax() + 1})" for c in gapped)
        raise TableError(f"{file.path}: needs one column with gaps as the target, found {listed}; choose with --target")
    known = _listed(repr(column.header) for column in numeric if not column.gaps.all())
    empty = _listed(repr(column.header) for column in numeric if column.gaps.all())
    words = _listed(repr(column.header) for column in candidates if column.values is None and column.read.bad is None)
    raise TableError(
        f"{file.path}: needs a target, found no column with gaps; choose with --target (numeric columns: {known or 'none'}"
        + (f"; only empty cells: {empty}" if empty else "")
        + (f"; text, which fit takes as classes: {words})" if words else ")")
    )


def _check_target(file: ColumnFile, column: Column | None, require_target: bool) -> None:
    if column is None:
        return
    _check_number_column(file, column, "the target")
    if require_target and column.gaps.all():
        raise TableError(f"{file.path}: target column {shown(column.header)} needs a known value, found none")


def _is_constant(column: Column, rows: np.ndarray) -> bool:
    """Whether all values of these rows (numbers, or a mask) are equal."""
    values = np.asarray(column.values)[rows]
    return len(values) > 0 and bool((values == values[0]).all())


def _rows_without_gaps(file: ColumnFile, used: list[Column]) -> tuple[np.ndarray, dict[int, str]]:
    """Rows in which every feature is known, and for each other row which are not."""
    gapped = [column for column in used if column.gaps.any()]
    if not gapped:
        return np.arange(file.n_rows), {}
    gaps = np.column_stack([column.gaps for column in gapped])
    is_whole = ~gaps.any(axis=1)
    if not is_whole.any():
        listed = _listed((f"{shown(c.header)} ({c.gaps.sum()} of {file.n_rows} rows)" for c in gapped), 4)
        names = shlex.quote(max(gapped, key=lambda column: column.gaps.sum()).name)
        raise TableError(
            f"{file.path}: needs a row with a number for every feature, found none; there are gaps in {listed}; leave out columns "
            f"with --drop, for instance --drop {names}"
        )
    reasons = {
        int(row): "gap in "
        + _listed([shown(column.header) for column, is_gap in zip(gapped, gaps[row], strict=True) if is_gap], 3)
        for row in np.flatnonzero(~is_whole)
    }
    return np.flatnonzero(is_whole), reasons


def _unique_ids(file: ColumnFile, column: Column | None) -> tuple[str, ...]:
    """The ids of all rows."""
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
