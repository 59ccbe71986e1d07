"""Calculations and labels as a database of ASE (https://ase-lib.org/ase/db/db.html), for ``ase db`` and its Python interface."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.errors import InputError, SettingsError, StorageError
from sisso_sal.export.calculations import RunCalculations, SuccessfulCalculation
from sisso_sal.system.storage import replacing, writing

__all__ = ["ENDINGS", "KEYS", "check_database_name", "write_ase_database"]

ENDINGS = {".db": "db", ".json": "json"}
"""Endings of a file, with the kind of database that ASE takes for them: SQLite and JSON."""

KEYS = {
    "task": ("Task", "Phase, starting structure and step", ""),
    "step": ("Step", "relax, static or bands", ""),
    "start": ("Start", "Name of the structure that the calculation started from", ""),
    "reduced_formula": ("Reduced", "Reduced formula", ""),
    "code": ("Code", "Program", ""),
    "version": ("Version", "Version of the program", ""),
    "functional": ("Functional", "Exchange-correlation functional, with what is computed on top of it", ""),
    "converged": ("Converged", "Always true: others are left out", ""),
    "magnetic_order": ("Order", "NM, FM, AFM or FiM", ""),
    "energy_per_atom": ("Energy/atom", "Energy of an atom", "eV"),
    "bandgap": ("Gap", "Band gap", "eV"),
    "candidate": ("Candidate", "Id of the candidate that this is a structure of", ""),
    "label": ("Label", "Label of the candidate", ""),
    "target": ("Target", "What the label is", ""),
}
"""Key-value pairs of a row, with the short and the long description and the unit that ASE shows."""


def check_database_name(path: str | os.PathLike[str]) -> None:
    """Refuse a name that ASE would not know.

    Raises
    ------
    SettingsError
        It ends otherwise than `ENDINGS`.
    """
    if Path(path).suffix not in ENDINGS:
        raise SettingsError(f"{path}: needs a name that ends with {' or '.join(ENDINGS)}, found another")


def write_ase_database(path: str | os.PathLike[str], calculations: RunCalculations) -> int:
    """Write a row for each calculation: structure, energy, forces, stress and moments, the keys of `KEYS`, the document as data.

    The energy of a row is that of the label (`energy_definition` in the document), in eV for the cell. Documents are read one after
    the other. The file has its name only when it is whole.

    Parameters
    ----------
    path : path
        Ends as `ENDINGS`.
    calculations : RunCalculations

    Returns
    -------
    int
        Rows.

    Raises
    ------
    InputError
        ASE is not installed, or a document is gone.
    StorageError
        The file cannot be written; an earlier one is as it was.
    """
    check_database_name(path)
    try:
        from ase.db import connect
    except ImportError:
        raise InputError("format ase: needs ASE; pip install 'sisso-sal[dft]'") from None
    kind = ENDINGS[Path(path).suffix]
    with replacing(path) as scratch, writing(path):
        database: Any = connect(str(scratch), type=kind, use_lock_file=False)
        try:
            _fill(database, calculations)
        except sqlite3.Error as error:  # a full disk, for instance
            raise StorageError(f"{path}: cannot be written: {error}") from error
    return len(calculations.found)


def _fill(database: Any, calculations: RunCalculations) -> None:
    with database:  # outside, ASE opens connections that it does not close
        for one in calculations.found:
            document = one.document()
            pairs = _pairs(one, document, calculations)
            database.write(_atoms_of(document), key_value_pairs=pairs, data={"document": document})
        database.metadata = {
            "title": "Calculations of sisso-sal",
            "default_columns": ["id", "formula", "step", "energy", "fmax", "candidate", "label"],
            "key_descriptions": {key: list(words) for key, words in KEYS.items()},
        }


def _atoms_of(document: Mapping[str, Any]) -> Any:
    """The atoms with what was computed of them."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    from sisso_sal.oracle.workflow.steps import structure_of

    structure = structure_of(dict(document["structure"]))
    lattice = getattr(structure, "lattice", None)
    atoms = Atoms([site.specie.symbol for site in structure], structure.cart_coords)
    if lattice is not None:
        atoms.set_cell(lattice.matrix)
        atoms.pbc = True
    if (moments := structure.site_properties.get("magmom")) is not None:
        atoms.set_initial_magnetic_moments([moment or 0.0 for moment in moments])
    results = {name: document.get(name) for name in ("energy", "forces", "stress", "magmoms")}
    if results["stress"] is not None:
        stress = np.array(results["stress"], dtype=float)
        results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    atoms.calc = SinglePointCalculator(atoms, **{name: value for name, value in results.items() if value is not None})
    return atoms


def _pairs(one: SuccessfulCalculation, document: Mapping[str, Any], calculations: RunCalculations) -> dict[str, Any]:
    """The key-value pairs of a row, without what is not known."""
    pairs = {
        "task": one.task,
        "step": one.step,
        "start": one.structure_name,
        "reduced_formula": one.formula,
        "code": document.get("calc_code"),
        "version": document.get("version"),
        "functional": _functional(document.get("input") or {}),
        "converged": True,
        "magnetic_order": document.get("ordering"),
        "energy_per_atom": document.get("energy_per_atom"),
        "bandgap": document.get("bandgap"),
    }
    if one.candidates:
        labels = {calculations.labels[id] for id in one.candidates if id in calculations.labels}
        pairs["candidate"] = ", ".join(one.candidates)
        if len(labels) == 1:
            pairs |= {"label": labels.pop(), "target": calculations.target or None}
    return {key: _value(value) for key, value in pairs.items() if value is not None}


def _functional(given: Mapping[str, Any]) -> str | None:
    """The functional; RPA and GW make an energy or a gap another one, so that they are named with it."""
    parameters = given.get("parameters") or {}
    beyond = [f"{key} {parameters[key]}" for key in ("total_energy_method", "qpe_calc") if key in parameters]
    return " + ".join([str(given["xc"]), *beyond]) if given.get("xc") else None


def _value(value: Any) -> Any:
    """ASE refuses a text that reads as a number or truth value: it is stored as what it reads as."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return {"True": True, "False": False}.get(value, value)
