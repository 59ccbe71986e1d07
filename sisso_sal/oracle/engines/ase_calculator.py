"""Relaxations and energies with any ASE calculator, where FHI-aims is not at hand.

The documents are those of `sisso_sal.oracle.engines.aims.calculation_document`, so whatever reads one reads both.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sisso_sal.errors import InputError, OracleError, SettingsError
from sisso_sal.oracle.engines.ase_bands import band_edges
from sisso_sal.oracle.engines.ase_document import calculator_document
from sisso_sal.oracle.engines.plain_data import plain
from sisso_sal.oracle.engines.task_document import Recorder, finished_document, trajectory_of
from sisso_sal.settings.calculation import first_problem
from sisso_sal.system.documents import one_line

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["PRESETS", "CalculatorSettings", "calculate", "calculator_preset", "relax_structure", "static_energy"]

_VOLUMES = np.linspace(0.94, 1.06, 7)
_SCANS = 6
_RELAXING = ("prerelax", "relax")
_SYMMETRIC = 0.03  # Å
_SAME_ENERGY = 1e-3  # eV/atom
_ROOM = 10.0  # Å around a molecule, for a calculator that needs a cell even where nothing is periodic


class CalculatorSettings(BaseModel):
    """Which calculator, and how it relaxes.

    Parameters
    ----------
    calculator : str
        ``package.module:Class`` of an ASE calculator.
    parameters : mapping
        What the class is called with.
    molecule : mapping
        Parameters that molecules have instead.
    vacuum : float, optional
        In Å around a molecule, in a periodic box; by default the molecule has a cell of 10 Å of vacuum that is not periodic.
    install : str
        How to install the engine, for the message where it is missing.
    relax : {"full", "volume", "atoms", "none"}
        Cell and atoms by stress and forces; an equation of state of the volume, with atoms relaxed at its end where there are
        forces; atoms alone; or nothing. Of a molecule only the atoms move.
    force_tolerance : float
        In eV/Å.
    max_steps : int
    refine_symmetry : bool
        Whether a relaxed crystal is moved to the symmetry that it nearly has: the noise of a potential leaves none, and an engine
        that uses symmetry would have more k-points to compute.
    path_points : int
        K-points of a band structure.
    hybrid : {"", "HSE06", "HSE03", "PBE0"}
        Functional whose gap replaces that of the band structure: on the density of the calculation and at its
        k-points. GPAW only.

    Examples
    --------
    >>> calculator_preset("elk").relax
    'volume'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    calculator: str = Field(pattern=r"^[\w.]+:\w+$")
    parameters: dict[str, Any] = {}
    molecule: dict[str, Any] = {}
    vacuum: float | None = Field(default=None, gt=0)
    install: str = ""
    relax: Literal["full", "volume", "atoms", "none"] = "full"
    force_tolerance: float = Field(default=0.05, gt=0)
    max_steps: int = Field(default=100, ge=1)
    refine_symmetry: bool = False
    path_points: int = Field(default=40, ge=2)
    hybrid: Literal["", "HSE06", "HSE03", "PBE0"] = ""

    def for_molecule(self) -> CalculatorSettings:
        """These settings where there is no cell to relax."""
        relax = "none" if self.relax == "none" else "atoms"
        return self.model_copy(update={"relax": relax, "parameters": {**self.parameters, **self.molecule}})

    def numerics(self) -> dict[str, Any]:
        """The calculator and its parameters, as far as they decide the energy."""
        named = {key: value for key, value in self.parameters.items() if key != "txt"}
        return {"calculator": self.calculator, **named}


_GPAW: dict[str, Any] = {
    "calculator": "gpaw:GPAW",
    "parameters": {
        "mode": {"name": "pw", "ecut": 700},
        "xc": "PBE",
        "kpts": {"density": 5.0, "gamma": True},
        "occupations": {"name": "fermi-dirac", "width": 0.01},
        "txt": "gpaw.txt",
    },
    "molecule": {"kpts": {"size": (1, 1, 1)}},
    "vacuum": 4.0,
    "install": "CC=g++ pip install gpaw",
}

PRESETS: dict[str, dict[str, Any]] = {
    "gpaw": _GPAW,
    "gpaw-light": {
        **_GPAW,
        "parameters": {
            **_GPAW["parameters"],
            "kpts": {"density": 1.5, "gamma": True},
            "occupations": {"name": "fermi-dirac", "width": 0.05},
            "convergence": {"eigenstates": 1e-6},
        },
        "vacuum": 3.0,
        "force_tolerance": 0.02,
    },
    "elk": {
        "calculator": "sisso_sal.oracle.engines.elk:elk",
        "parameters": {"tasks": 0, "xc": "PBE", "kpts": 2.0, "rgkmax": 7.0},
        "molecule": {"kpts": [1, 1, 1]},
        "vacuum": 4.0,
        "install": "apt-get install elk-lapw",
        "relax": "volume",
    },
    "chgnet": {
        "calculator": "sisso_sal.oracle.engines.potentials:chgnet",
        "install": "pip install 'sisso-sal[potential-chgnet]'",
        "max_steps": 500,
    },
    "sevenn": {
        "calculator": "sisso_sal.oracle.engines.potentials:sevenn",
        "install": "pip install 'sisso-sal[potential-sevenn]'",
        "max_steps": 500,
    },
}
"""GPAW with plane waves, and lighter for small machines; Elk, which has no stress; two universal potentials.

Below 700 eV the stress of GPAW pulls the cell together, and the number of plane waves jumps along an equation of state.
"""


def calculator_preset(name: str, **changes: Any) -> CalculatorSettings:
    """Settings of a preset, or of a calculator by its class, with changes; `parameters` go on top of those of the preset.

    Raises
    ------
    SettingsError
        The name is neither, or a change is unknown or out of range.
    """
    base = PRESETS.get(name, {"calculator": name})
    if isinstance(changes.get("parameters"), dict):
        changes["parameters"] = {**base.get("parameters", {}), **changes["parameters"]}
    try:
        return CalculatorSettings(**{**base, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        if name not in PRESETS and first["loc"] == ("calculator",):
            text = f"calculator '{name}': needs one of {', '.join(PRESETS)} or 'package.module:Class'"
            raise SettingsError(text) from error
        raise SettingsError(f"calculator '{name}': {first_problem(error, CalculatorSettings)}") from error


def make_calculator(settings: CalculatorSettings, folder: Path) -> Any:
    """A fresh calculator that works in the folder."""
    module, _, name = settings.calculator.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except Exception as error:  # a library that is missing below it raises what it likes
        advice = f"; install it with: {settings.install}" if settings.install else ""
        raise InputError(
            f"calculator '{settings.calculator}': cannot be imported ({one_line(str(error))}){advice}"
        ) from None
    parameters = dict(settings.parameters)
    if "txt" in parameters:
        parameters["txt"] = str(folder / parameters["txt"])
    try:
        calculator = kind(**parameters)
    except Exception as error:  # each class refuses its parameters in its own way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        advice = f"; install it with: {settings.install}" if settings.install else ""
        raise InputError(f"calculator '{settings.calculator}': cannot be set up: {reason}{advice}") from error
    if hasattr(calculator, "directory"):
        calculator.directory = folder
    return calculator


def calculate(
    folder: str | os.PathLike[str],
    structure: Structure | Molecule,
    settings: CalculatorSettings,
    *,
    label: str,
    with_bands: bool = False,
) -> dict[str, Any]:
    """One step of a workflow: "prerelax" and "relax" relax, any other computes as it is; a failure is told in the document.

    Parameters
    ----------
    folder : path
        Made if need be.
    structure : pymatgen Structure or Molecule
    settings : CalculatorSettings
    label : str
    with_bands : bool
        Whether bands follow on the energy, as they do for the label "bands". If they fail, the energy stays.

    Returns
    -------
    dict
        As `sisso_sal.oracle.engines.aims.calculation_document`; ``steps`` is None where the calculator failed. ``calc_code`` is the
        class of the calculator, and ``version`` that of the package which the class comes from.

    Raises
    ------
    InputError
        The engine is not installed or refuses its parameters.
    """
    started = time.monotonic()
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    atoms = _atoms_of(structure, settings.vacuum)
    settings = settings if hasattr(structure, "lattice") else settings.for_molecule()
    atoms.calc = make_calculator(settings, place)
    verdict, reason, energy, edges = "finished", "the calculation ended", None, None
    n_steps: int | None = 1
    derivatives: dict[str, Any] = {"forces": None, "stress": None}
    path = Recorder()
    try:
        if label in _RELAXING and settings.relax != "none":
            n_steps = relax_structure(atoms, settings, path)
        energy = static_energy(atoms)
        derivatives = _derivatives(atoms, with_stress=hasattr(structure, "lattice"))
        path.record(atoms)
        edges = _edges_of(atoms, place, settings, with_bands=with_bands, alone=label == "bands")
    except InputError:
        raise
    except _Unconverged as error:
        verdict, reason, n_steps = "relaxation_not_converged", str(error), error.n_steps
    except Exception as error:  # an engine fails with errors of its own; the kind and its first line are the reason
        verdict, reason, n_steps = "failed", f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}", None
    document = calculator_document(place, structure, atoms, energy, label, verdict, reason, time.monotonic() - started)
    document |= {"steps": n_steps, "settings": settings.numerics(), **(derivatives if verdict == "finished" else {})}
    document |= {} if edges is None or document["state"] != "successful" else edges
    trajectory = trajectory_of(atoms.get_chemical_symbols(), path.frames)
    return finished_document(document, structure, trajectory, **_inputs(settings))


def _inputs(settings: CalculatorSettings) -> dict[str, Any]:
    """Functional and parameters of the calculator, and how it relaxed."""
    xc = settings.parameters.get("xc")
    how = settings.model_dump(
        mode="json", include={"relax", "force_tolerance", "max_steps", "refine_symmetry", "hybrid"}
    )
    return {"xc": None if xc is None else str(xc), "parameters": settings.parameters, "relaxation": how}


def _edges_of(
    atoms: Any, folder: Path, settings: CalculatorSettings, *, with_bands: bool, alone: bool
) -> dict[str, Any] | None:
    """Gap and edges at the k-points of the calculation, or those of the bands; beside an energy bands may fail, with the reason."""
    if not (with_bands or alone):
        return band_edges(atoms, folder)
    try:
        edges = band_edges(atoms, folder, path_points=settings.path_points, hybrid=settings.hybrid)
    except Exception as error:  # an engine fails with errors of its own
        if alone:
            raise
        return (band_edges(atoms, folder) or {}) | {"band_reason": f"{type(error).__name__}: {one_line(str(error))}"}
    return (edges or {}) | {"has_bands": True}


def _atoms_of(structure: Structure | Molecule, vacuum: float | None) -> Any:
    """ASE's atoms with the moments to start from; a molecule in a cell, which is periodic where a vacuum is given."""
    atoms = structure.to_ase_atoms()
    if not hasattr(structure, "lattice"):
        atoms.center(vacuum=vacuum or _ROOM)
        atoms.pbc = vacuum is not None
    if "magmom" in structure.site_properties:
        atoms.set_initial_magnetic_moments([moment or 0.0 for moment in structure.site_properties["magmom"]])
    return atoms


class _Unconverged(OracleError):
    """The optimiser ran out of steps."""

    def __init__(self, message: str, n_steps: int) -> None:
        super().__init__(message)
        self.n_steps = n_steps


def static_energy(atoms: Any) -> float:
    """Potential energy, in eV; `OracleError` where it is no finite number."""
    energy = np.asarray(plain(atoms.get_potential_energy()), dtype=float).ravel()
    if energy.size != 1 or not np.isfinite(energy[0]):
        raise OracleError(f"needs a finite energy, found {', '.join(map(str, energy)) or 'none'}")
    return float(energy[0])


def relax_structure(atoms: Any, settings: CalculatorSettings, path: Recorder | None = None) -> int:
    """Relax atoms in place: cell and positions, or volume and positions.

    Parameters
    ----------
    atoms : ase Atoms
        With a calculator.
    settings : CalculatorSettings
    path : Recorder, optional
        Keeps the geometries that are computed.

    Returns
    -------
    int
        Geometries that were computed.

    Raises
    ------
    OracleError
        The forces did not come below the tolerance in the steps allowed, or no volume has the least energy.
    """
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    path = path or Recorder()
    n_steps = _best_volume(atoms, path) if settings.relax == "volume" else 0
    if settings.relax != "full" and len(atoms) == 1:
        return n_steps
    moving: Any = FrechetCellFilter(atoms) if settings.relax == "full" else atoms
    optimiser = BFGS(moving, logfile=None)
    optimiser.attach(path.record, 1, atoms)
    converged = optimiser.run(fmax=settings.force_tolerance, steps=settings.max_steps)
    n_steps += optimiser.nsteps + 1
    if not converged:
        told = f"forces above {settings.force_tolerance:g} eV/Å after {settings.max_steps} steps"
        raise _Unconverged(told, n_steps)
    return n_steps + (_refine(atoms) if settings.refine_symmetry and atoms.pbc.all() else 0)


def _refine(atoms: Any) -> int:
    """Move atoms and cell to the symmetry that they have within `_SYMMETRIC`, unless the energy tells that they have it not.

    Returns the number of energies: 1.
    """
    from ase.spacegroup.symmetrize import refine_symmetry

    energy, before = static_energy(atoms), atoms.copy()
    refine_symmetry(atoms, symprec=_SYMMETRIC)
    if static_energy(atoms) > energy + _SAME_ENERGY * len(atoms):
        atoms.set_cell(before.cell)
        atoms.set_positions(before.positions)
    return 1


def _best_volume(atoms: Any, path: Recorder) -> int:
    """Set the volume to the minimum of a Birch-Murnaghan equation of state; the scan moves until it holds the minimum.

    Returns the number of energies.
    """
    from ase.eos import EquationOfState

    for scan in range(1, _SCANS + 1):
        start = atoms.cell.copy()
        volumes, energies = [], []
        for factor in _VOLUMES:
            atoms.set_cell(start * factor ** (1 / 3), scale_atoms=True)
            volumes.append(atoms.get_volume())
            energies.append(static_energy(atoms))
            path.record(atoms)
        least = int(np.argmin(energies))
        if 0 < least < len(_VOLUMES) - 1:
            volume, _, _ = EquationOfState(volumes, energies, eos="birchmurnaghan").fit(warn=False)
            atoms.set_cell(start * (volume / abs(np.linalg.det(start.array))) ** (1 / 3), scale_atoms=True)
            return scan * len(_VOLUMES)
        atoms.set_cell(start * _VOLUMES[least] ** (1 / 3), scale_atoms=True)
    told = "no volume has the least energy: the equation of state falls on one side"
    raise _Unconverged(told, _SCANS * len(_VOLUMES))


def _derivatives(atoms: Any, *, with_stress: bool) -> dict[str, Any]:
    """Forces and stress; None where the calculator has none."""
    from ase.calculators.calculator import PropertyNotImplementedError

    results: dict[str, Any] = {"forces": None, "stress": None}
    asked = {"forces": atoms.get_forces, **({"stress": lambda: atoms.get_stress(voigt=False)} if with_stress else {})}
    for name, ask in asked.items():
        with contextlib.suppress(PropertyNotImplementedError, NotImplementedError):
            results[name] = ask()
    return results
