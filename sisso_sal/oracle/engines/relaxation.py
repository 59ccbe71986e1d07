"""One structure relaxed with a potential: an energy, or a reason why there is none."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.errors import OracleError, reason_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["METHOD", "Relaxed", "RelaxationSettings", "relax", "relax_atoms"]

METHOD = 1
"""Version of what `relax` does; energies of another version are computed anew."""

_LARGEST_CHANGE = 2.0
"""Of the volume, in either direction: beyond it the cell explodes or collapses."""
_CLOSEST = 0.5
"""Distance of two atoms over the sum of their covalent radii, below which they overlap."""


@dataclass(frozen=True, kw_only=True)
class RelaxationSettings:
    """How a structure is relaxed.

    Parameters
    ----------
    force_tolerance : float
        In eV/Å, for atoms and cell.
    max_steps : int
    """

    force_tolerance: float = 0.1
    max_steps: int = 60


@dataclass(frozen=True, kw_only=True)
class Relaxed:
    """What became of a structure.

    Attributes
    ----------
    energy : float or None
        In eV per atom; None where there is a reason.
    steps : int
    volume : float or None
        In Å³ per atom, at the end.
    max_force : float or None
        Largest force on an atom at the end, in eV/Å.
    reason : str
        Why there is no energy; "" where there is one.
    """

    energy: float | None
    steps: int
    volume: float | None
    max_force: float | None
    reason: str = ""

    @property
    def converged(self) -> bool:
        """Whether there is an energy."""
        return self.energy is not None


class _Unphysical(OracleError):
    """The potential does not know this structure."""


def relax(structure: Structure, calculator: Any, settings: RelaxationSettings) -> Relaxed:
    """Relax atoms and cell (FIRE with the exponential of the deformation as coordinates of the cell).

    Sources: E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), doi 10.1103/PhysRevLett.97.170201; filter:
    `ase.filters.FrechetCellFilter`.

    Parameters
    ----------
    structure : pymatgen Structure
    calculator : ASE calculator
        With energy, forces and stress.
    settings : RelaxationSettings

    Returns
    -------
    Relaxed
        Never an energy of a structure that did not converge, that came apart, or that the potential cannot compute.
    """
    atoms: Any = structure.to_ase_atoms()
    atoms.calc = calculator
    return relax_atoms(atoms, settings)


def relax_atoms(atoms: Any, settings: RelaxationSettings) -> Relaxed:
    """As `relax`; the ASE atoms, which have a calculator, are moved."""
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    start = atoms.get_volume()
    optimiser: Any = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages about themselves
            cell: Any = FrechetCellFilter(atoms)
            optimiser = FIRE(cell, logfile=None)  # pyright: ignore[reportArgumentType]
            optimiser.attach(lambda: _check(atoms, start))
            converged = bool(optimiser.run(fmax=settings.force_tolerance, steps=settings.max_steps))
            _check(atoms, start)
            force = float(np.abs(np.linalg.norm(atoms.get_forces(), axis=1)).max())
            energy = float(atoms.get_potential_energy()) / len(atoms)
    except MemoryError:
        raise
    except Exception as error:  # a potential fails with errors of its own; the kind and its first line are the reason
        reason = str(error) if isinstance(error, _Unphysical) else reason_of(error)
        steps = 0 if optimiser is None else int(optimiser.nsteps)
        return Relaxed(energy=None, steps=steps, volume=None, max_force=None, reason=reason)
    steps = int(optimiser.nsteps)
    volume = round(float(atoms.get_volume()) / len(atoms), 4)
    reason = "" if converged else f"not converged: forces above {settings.force_tolerance:g} eV/Å after {steps} steps"
    # Six digits: single precision has no more.
    known = round(energy, 6) if converged else None
    return Relaxed(energy=known, steps=steps, volume=volume, max_force=round(force, 4), reason=reason)


def _check(atoms: Any, start: float) -> None:
    """Raise `_Unphysical` where the structure of a step, or its energy, cannot be meant."""
    energy = float(atoms.get_potential_energy())
    if not (math.isfinite(energy) and np.isfinite(atoms.get_forces()).all()):
        raise _Unphysical("the potential gives no finite energy and forces")
    change = float(atoms.get_volume()) / start
    if not 1 / _LARGEST_CHANGE <= change <= _LARGEST_CHANGE:
        what = "explodes" if change > 1 else "collapses"
        raise _Unphysical(f"the cell {what}: its volume became {change:.3g} times that of the start")
    if pair := _overlapping(atoms):
        raise _Unphysical(f"{pair[0]} and {pair[1]} overlap")


def _overlapping(atoms: Any) -> tuple[str, str] | None:
    """The symbols of two atoms that are too close."""
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    radii = covalent_radii[atoms.numbers]
    first, second = neighbor_list("ij", atoms, (_CLOSEST * radii).tolist())
    return None if not len(first) else (atoms.symbols[int(first[0])], atoms.symbols[int(second[0])])
