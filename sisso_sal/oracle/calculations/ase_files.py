"""Whatever else ASE reads: databases, lists of structures with energies (extxyz), trajectories, outputs of other programs."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sisso_sal.errors import InputError
from sisso_sal.oracle.calculations.record import DoneCalculation, cell_of_atoms, density_range
from sisso_sal.system.documents import one_line

__all__ = ["format_of", "read_ase"]

_DATABASES = frozenset({"db", "json"})
_TRAJECTORIES = frozenset({"traj", "bundletrajectory", "netcdftrajectory"})
_LISTS = frozenset({"extxyz", "xyz"})
_OUTPUTS = frozenset(
    {
        *(
            "abinit-out",
            "abinit-gsr",
            "acemolecule-out",
            "castep-castep",
            "crystal",
            "dacapo-text",
            "elk",
            "gamess-us-out",
        ),
        *(
            "gaussian-out",
            "gpaw-out",
            "gpw",
            "nwchem-out",
            "octopus-in",
            "onetep-out",
            "orca-output",
            "qbox",
            "vasp-out",
        ),
        *("turbomole", "nomad-json"),
    }
)
_NO_SETTING = frozenset(
    {
        *(
            "xc",
            "functional",
            "kpts",
            "k_grid",
            "k_grid_density",
            "spin",
            "spinpol",
            "code",
            "calculator",
            "version",
            "converged",
        ),
        *(
            "relaxed",
            "txt",
            "label",
            "directory",
            "command",
            "restart",
            "atoms",
            "name",
            "relativity",
            "cutoff",
            "basis",
            "encut",
            "smearing",
            "occupations",
        ),
        *("ecutwfc", "mode", "nbands", "symmetry", "parallel", "communicator"),
    }
)


def format_of(path: Path) -> str:
    """ASE's name of the format of a file with energies; "" for every other file.

    Raises
    ------
    InputError
        ASE is not installed.
    """
    try:
        from ase.io.formats import UnknownFileTypeError, filetype
    except ImportError:
        raise InputError(f"{path}: needs ASE; pip install 'sisso-sal[dft]'") from None
    try:
        name = filetype(str(path))
    except (UnknownFileTypeError, OSError, ValueError):
        return ""
    return name if name in _DATABASES | _TRAJECTORIES | _LISTS | _OUTPUTS else ""


def read_ase(path: Path, place: str, name: str) -> list[DoneCalculation]:
    """The calculations of a file.

    All structures of a database or of a list are calculations of their own. Of a trajectory of one composition, and of the output
    of a program, the last one is.

    Parameters
    ----------
    path : Path
    place : str
        How it is called.
    name : str
        Format, from `format_of`.

    Raises
    ------
    Exception
        Whatever ASE stumbles on in a file that is cut or damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in _DATABASES:
            return [_calculation(f"{place}#{number}", *row) for number, row in _rows(path)]
        import ase.io

        frames: list[Any] = list(ase.io.iread(path, index=":", format=name))
        is_one = name in _OUTPUTS or (
            name in _TRAJECTORIES and len({frame.get_chemical_formula() for frame in frames}) == 1
        )
        if is_one:
            return [_calculation(place, frames[-1], *_told(frames[-1]), name)] if frames else []
        return [_calculation(f"{place}#{n}", frame, *_told(frame), name) for n, frame in enumerate(frames, 1)]


def _rows(path: Path) -> Iterator[tuple[int, tuple[Any, dict[str, Any], dict[str, Any], str]]]:
    from ase.db import connect

    opened: Any = connect(str(path))
    with opened as database:
        for row in database.select():
            parameters = dict(row.get("calculator_parameters", {}))
            name = {"calculator": row.calculator} if row.get("calculator") else {}
            yield row.id, (row.toatoms(), {**name, **row.key_value_pairs}, parameters, "db")


def _told(atoms: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the comment of a structure says, with the name of its calculator; and the parameters of the calculator."""
    calculator = atoms.calc
    name = getattr(calculator, "name", None)
    named = {"calculator": name} if name and name != "unknown" else {}
    return {**named, **atoms.info}, dict(getattr(calculator, "parameters", None) or {})


def _calculation(
    place: str, atoms: Any, given: Mapping[str, Any], parameters: Mapping[str, Any], name: str
) -> DoneCalculation:
    cell = cell_of_atoms(atoms)
    energy = _energy(atoms)
    told = {**parameters, **given}
    settings = _settings(told, parameters, name)
    grid = told.get("kpts", told.get("k_grid"))
    is_grid = isinstance(grid, list | tuple) and len(grid) == 3 and all(isinstance(n, int) for n in grid)
    if isinstance(grid, list | tuple) and is_grid:
        settings["k_grid"] = " ".join(map(str, grid))
    elif grid is not None:
        settings["k_grid"] = _text(grid)
    converged = told.get("converged")
    failure = "no energy" if energy is None else ""
    if converged is not None and not converged:
        failure = "not_converged: the file says converged = false"
    return DoneCalculation(
        place=place,
        failure=failure,
        cell=cell,
        energy=None if failure else energy,
        gap=_number(told.get("band_gap", told.get("bandgap"))),
        gap_from="told" if "band_gap" in told or "bandgap" in told else "",
        relaxed=None if told.get("relaxed") is None else bool(told["relaxed"]),
        is_told_converged=converged is not None,
        version=str(told.get("version", "")),
        settings=settings,
        k_density=density_range(cell, [int(n) for n in grid]) if isinstance(grid, list | tuple) and is_grid else None,
        entropy=_entropy(atoms, energy),
    )


def _energy(atoms: Any) -> float | None:
    if atoms.calc is None:
        return None
    try:
        return _number(atoms.get_potential_energy())
    except Exception:  # a calculator without an energy tells so in its own way
        return None


def _entropy(atoms: Any, energy: float | None) -> float | None:
    """Size of -TS: the energy without smearing lies in the middle between that and the free energy."""
    free = _number((getattr(atoms.calc, "results", None) or {}).get("free_energy"))
    return None if free is None or energy is None else 2.0 * abs(free - energy)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _settings(told: Mapping[str, Any], parameters: Mapping[str, Any], name: str) -> dict[str, str]:
    """Values by the names of `record.SETTINGS`, from parameters of a calculator and from keys that people give."""
    code = told.get("code", told.get("calculator"))
    settings = {"code": "VASP" if name == "vasp-out" else str(code) if code else f"unknown, from {name}"}
    if (xc := told.get("xc", told.get("functional"))) is not None:
        settings["xc"] = _text(xc)
    basis = {key: told[key] for key in ("basis", "cutoff", "encut", "ecutwfc", "mode") if key in told}
    if basis:
        settings["species"] = _text(next(iter(basis.values())) if len(basis) == 1 else basis)
    if "relativity" in told:
        settings["relativity"] = _text(told["relativity"])
    if "spin" in told or "spinpol" in told:
        spin = told.get("spin", told.get("spinpol"))
        settings["spin"] = "none" if spin in (False, None, "none", 0, 1) and spin is not True else "collinear"
    if (smearing := told.get("occupations", told.get("smearing"))) is not None:
        settings["smearing"] = _text(smearing)
    # Parameters of a calculator decide its energies, as those of a pair potential do.
    rest = {key: value for key, value in parameters.items() if key not in _NO_SETTING and _is_parameter(value)}
    settings["code"] += f" {_text(rest)}" if rest else ""
    return settings


def _is_parameter(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.lower()
    return one_line(json.dumps(value, sort_keys=True, default=str), 200)
