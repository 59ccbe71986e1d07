"""What is written down of a calculation with a calculator of ASE."""

from __future__ import annotations

import time
from importlib import metadata
from pathlib import Path
from typing import Any

from sisso_sal.oracle.engines.plain_data import plain
from sisso_sal.oxides.magnetism import magnetism_told
from sisso_sal.system.slurm import cores_per_task

__all__ = ["calculator_document"]

ENERGY_DEFINITION = "potential energy of the ASE calculator"


def calculator_document(
    folder: Path, start: Any, atoms: Any, energy: float | None, label: str, verdict: str, reason: str, seconds: float
) -> dict[str, Any]:
    """A calculation as a document without its path, with everything that can be told whether it finished or not.

    Parameters
    ----------
    folder : path
    start : pymatgen Structure or Molecule
        What the calculation began with.
    atoms : ase Atoms
        At its end, with the calculator.
    energy : float or None
        In eV.
    label : str
        Name of the task.
    verdict, reason : str
        "finished", or what went wrong, and why.
    seconds : float
        Wall time.
    """
    finished = verdict == "finished" and energy is not None
    found = _moments_found(start, atoms) if finished else None
    return {
        "task_label": label,
        "dir_name": str(folder),
        "state": "successful" if finished else "failed",
        "completed": finished,
        **_program(atoms.calc),
        "formula_pretty": start.composition.reduced_formula,
        "nsites": len(start),
        "structure": _reached(start, atoms, finished, found).as_dict(),
        "energy": energy if finished else None,
        "energy_per_atom": energy / len(start) if finished and energy is not None else None,
        "energy_definition": ENERGY_DEFINITION,
        "bandgap": None,
        "vbm": None,
        "cbm": None,
        "efermi": None,
        "has_bands": False,
        "band_reason": "",
        "forces": None,
        "stress": None,
        "magmoms": found,
        **magnetism_told(start, found),
        "aims_version": None,
        "verdict": verdict,
        "reason": reason,
        "core_hours": seconds * cores_per_task() / 3600,
        "run_stats": {"elapsed_time": seconds},
        "completed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _moments_found(start: Any, atoms: Any) -> list[float] | None:
    """The moments that the calculator found, one for each atom; None where it tells none."""
    found = plain(getattr(atoms.calc, "results", {}).get("magmoms"))
    is_whole = isinstance(found, list) and len(found) == len(start) and all(isinstance(x, float) for x in found)
    return found if is_whole else None


def _reached(start: Any, atoms: Any, finished: bool, found: list[float] | None) -> Any:
    """The structure of the atoms; a finished one with the moments that it began with, and those that were found."""
    bare = atoms.copy()  # without the calculator, whose results may have any shape
    reached = type(start).from_ase_atoms(bare)
    if found is not None:
        reached.add_site_property("final_magmom", found)
    if "magmom" in start.site_properties and finished:
        reached.add_site_property("magmom", start.site_properties["magmom"])
    return reached


def _program(calculator: Any) -> dict[str, str | None]:
    """Which code a calculator is, and the version of the package that it comes from."""
    kind = type(calculator)
    try:
        version = metadata.version(kind.__module__.partition(".")[0])
    except metadata.PackageNotFoundError:  # a module of the user's own
        version = None
    return {"calc_code": kind.__name__, "version": version}
