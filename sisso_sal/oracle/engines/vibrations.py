"""The free energy of the vibrations of a solid, by phonons of any ASE calculator, to be added to the energy of another engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sisso_sal.errors import InputError, SettingsError, reason_of
from sisso_sal.oracle.engines.ase_calculator import CalculatorSettings, calculator_preset, make_calculator
from sisso_sal.oracle.engines.phonons import (
    IMAGINARY,
    TEMPERATURE,
    Frequencies,
    PhononSettings,
    force_constants,
    free_energy,
    frequencies_of,
    need_phonopy,
    zero_point_energy,
)
from sisso_sal.settings.calculation import first_problem
from sisso_sal.system.slurm import cores_per_task

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["TEMPERATURE", "VibrationSettings", "vibration_settings", "vibrations_of"]

_USUAL = PhononSettings()


class _Changes(BaseModel):
    """What section ``[calculation.changes.vibrations]`` may hold; see `PhononSettings`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    parameters: dict[str, Any] = {}
    force_tolerance: float = Field(default=_USUAL.force_tolerance, gt=0)
    max_steps: int = Field(default=_USUAL.max_steps, ge=1)
    displacement: float = Field(default=_USUAL.displacement, gt=0)
    length: float = Field(default=_USUAL.length, gt=0)
    max_atoms: int = Field(default=_USUAL.max_atoms, ge=1)


class VibrationSettings(NamedTuple):
    """How vibrations are computed.

    - ``calculator`` (CalculatorSettings): what gives the forces
    - ``phonons`` (PhononSettings): relaxation, supercell and displacements
    - ``temperature`` (float): in K
    """

    calculator: CalculatorSettings
    phonons: PhononSettings
    temperature: float


def vibration_settings(name: str, temperature: float, changes: Mapping[str, Any]) -> VibrationSettings:
    """Checked settings.

    Parameters
    ----------
    name : str
        Preset or class of an ASE calculator, see `calculator_preset`.
    temperature : float
        In K.
    changes : mapping
        ``parameters`` of the calculator, and settings of `PhononSettings`.

    Raises
    ------
    SettingsError
        There is no such calculator, or a change is unknown or out of range.

    Examples
    --------
    >>> vibration_settings("chgnet", 300.0, {"length": 10.0}).phonons.length
    10.0
    """
    try:
        asked = _Changes.model_validate(dict(changes))
    except ValidationError as error:
        raise SettingsError(f"calculation: changes.vibrations: {first_problem(error, _Changes)}") from error
    calculator = calculator_preset(name, **({"parameters": asked.parameters} if asked.parameters else {}))
    return VibrationSettings(calculator, PhononSettings(**asked.model_dump(exclude={"parameters"})), temperature)


def vibrations_of(folder: Path, structure: Structure | Molecule, settings: VibrationSettings) -> dict[str, Any]:
    """Helmholtz free energy of the harmonic vibrations of a crystal, at the geometry that the calculator relaxes it to.

    Moments of the structure are left out: supercells with displaced atoms have none.

    Parameters
    ----------
    folder : path
        In which the calculator works.
    structure : pymatgen Structure
        A molecule is refused.
    settings : VibrationSettings

    Returns
    -------
    dict
        ``state`` ("successful" or "failed"), ``verdict``, ``reason``, ``core_hours``, ``calculator``, ``temperature`` (K),
        ``vibration`` (free energy, eV/atom, zero-point energy included; None where a mode is imaginary or nothing is known),
        ``zero_point`` (eV/atom), ``lowest_frequency`` (THz, negative where it is imaginary), ``supercell`` (how often the
        conventional cell is repeated), ``n_atoms`` (of the supercell) and ``n_displaced`` (supercells with displaced atoms).

    Raises
    ------
    InputError
        Phonopy or the calculator is not installed, or the structure is a molecule.
    """
    need_phonopy()
    calculator = make_calculator(settings.calculator, folder)
    began = time.monotonic()
    told: dict[str, Any] = dict.fromkeys(
        ("vibration", "zero_point", "lowest_frequency", "supercell", "n_atoms", "n_displaced")
    )
    try:
        crystal = force_constants(_without_moments(structure), calculator, settings.phonons)
        frequencies = frequencies_of(crystal)
        told |= {
            "lowest_frequency": _lowest(frequencies)[0],
            "supercell": [round(float(n)) for n in crystal.supercell_matrix.diagonal()],
            "n_atoms": len(crystal.supercell),
            "n_displaced": len(crystal.supercells_with_displacements),
        }
        verdict, reason = _judged(frequencies)
        if verdict == "finished":
            _, mesh, weights = frequencies
            n_atoms = len(crystal.primitive)
            told["vibration"] = round(free_energy(mesh, weights, settings.temperature) / n_atoms, 6)
            told["zero_point"] = round(zero_point_energy(mesh, weights) / n_atoms, 6)
    except (MemoryError, InputError):
        raise
    except Exception as error:  # a potential fails with errors of its own; the kind and its first line are the reason
        verdict, reason = "failed", reason_of(error)
    return {
        "state": "successful" if verdict == "finished" else "failed",
        "verdict": verdict,
        "reason": reason,
        "core_hours": (time.monotonic() - began) * cores_per_task() / 3600,
        "calculator": settings.calculator.calculator,
        "temperature": settings.temperature,
        **told,
    }


def _without_moments(structure: Structure | Molecule) -> Structure:
    from pymatgen.core import Structure as Crystal

    if not isinstance(structure, Crystal):
        raise InputError(f"vibrations: need a crystal, found the molecule {structure.reduced_formula}")
    return Crystal(structure.lattice, [site.specie.symbol for site in structure], structure.frac_coords)


def _lowest(frequencies: Frequencies) -> tuple[float, str]:
    """The lowest frequency in THz, and where it is."""
    on_mesh = round(float(frequencies.mesh.min()), 4)
    point = min(frequencies.points, key=lambda name: frequencies.points[name], default="")
    if not point or on_mesh < frequencies.points[point]:
        return on_mesh, "inside the zone"
    return frequencies.points[point], f"at {point}"


def _judged(frequencies: Frequencies) -> tuple[str, str]:
    """Verdict and reason: a crystal with an imaginary mode has no free energy in the harmonic approximation."""
    frequency, place = _lowest(frequencies)
    if frequency < -IMAGINARY:
        return "imaginary_mode", f"{frequency:.2f} THz {place}"
    return "finished", f"the lowest frequency is {frequency:.2f} THz {place}"
