"""Reads the input of another SISSO program from its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sisso_sal.data.foreign.sisso_cpp import read_sisso_cpp
from sisso_sal.data.foreign.sisso_fortran import read_sisso_fortran
from sisso_sal.data.foreign.translation import ForeignInput, Rows
from sisso_sal.data.headers import split_header
from sisso_sal.errors import InputError


def read_foreign(folder: str | Path, task: str | None = None) -> ForeignInput:
    """Read the input of SISSO (SISSO.in and train.dat) or of SISSO++ (sisso.json and its CSV) from a folder.

    Parameters
    ----------
    folder : path
        The folder, or the file SISSO.in or sisso.json itself.
    task : str, optional
        The one task to take of an input with several: its number (SISSO) or its name (SISSO++); all by default.

    Raises
    ------
    InputError
        There is no such input, it is damaged, or it asks for what cannot be done here, such as classes of several tasks.
    """
    place = Path(folder)
    readers = {"SISSO.in": read_sisso_fortran, "sisso.json": read_sisso_cpp}
    if place.is_file():
        reader = read_sisso_cpp if place.suffix == ".json" else read_sisso_fortran
        return _without_constants(reader(place, task))
    if not place.is_dir():
        raise InputError(f"{place}: there is no such folder")
    inputs = [name for name in readers if (place / name).is_file()]
    if len(inputs) != 1:
        which = "both; name the file" if inputs else "neither"
        raise InputError(f"{place}: needs SISSO.in (with train.dat) or sisso.json (with its CSV), found {which}")
    return _without_constants(readers[inputs[0]](place / inputs[0], task))


def _without_constants(foreign: ForeignInput) -> ForeignInput:
    """The same without features that have one value in every row: nothing can be learned from them."""
    constant = [j for j in range(2, len(foreign.header)) if len({_value(row[j]) for row in foreign.rows}) == 1]
    roles = {foreign.settings["target"], foreign.options.get("task")}
    kept = [j for j in range(len(foreign.header)) if j not in constant or split_header(foreign.header[j])[0] in roles]
    notes = tuple(f"feature {foreign.header[j]}: the same in every row; left out" for j in constant if j not in kept)

    def cut(rows: Rows) -> Rows:
        return [[row[j] for j in kept] for row in rows]

    return replace(
        foreign, header=tuple(foreign.header[j] for j in kept), rows=cut(foreign.rows), left_out=cut(foreign.left_out),
        without_counterpart=foreign.without_counterpart + notes,
    )  # fmt: skip


def _value(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
