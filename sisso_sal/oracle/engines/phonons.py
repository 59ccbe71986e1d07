"""Phonons of one structure with a potential: frequencies at Gamma and the zone boundary, and the free energy of the vibrations.

The structure is relaxed to small forces, atoms are displaced in a supercell one by one, and the forces give the force constants
(A. Togo et al., J. Phys. Condens. Matter 35, 353001 (2023), doi 10.1088/1361-648X/acd831).
"""

from __future__ import annotations

import importlib.util
import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import constants
from scipy.linalg import null_space

from sisso_sal.errors import InputError, OracleError, reason_of
from sisso_sal.oracle.engines.relaxation import RelaxationSettings, relax_atoms

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = [
    "GAMMA",
    "IMAGINARY",
    "METHOD",
    "TEMPERATURE",
    "Frequencies",
    "PhononSettings",
    "Phonons",
    "force_constants",
    "free_energy",
    "frequencies_of",
    "need_phonopy",
    "phonons",
    "supercell_of",
    "zero_point_energy",
]

METHOD = 1
"""Version of what `phonons` does; phonons of another version are computed anew."""
GAMMA = "Gamma"
TEMPERATURE = 298.15
"""In K, of the free energy."""
IMAGINARY = 0.1
"""THz: a mode below minus this is imaginary; what is nearer to zero counts as so much in the free energy."""

_SYMMETRY = 1e-2  # Å, within which atoms of a relaxed structure are equivalent
_MESH = 24.0  # Å: points of the mesh along a reciprocal vector, times the length of the lattice vector
_TO_THZ = np.sqrt(constants.eV / constants.angstrom**2 / constants.atomic_mass) / (2 * np.pi * constants.tera)
"""From the square root of eV/Å² per atomic mass unit."""


@dataclass(frozen=True, kw_only=True)
class PhononSettings:
    """How phonons are computed.

    Parameters
    ----------
    force_tolerance : float
        In eV/Å, for atoms and cell before anything is displaced.
    max_steps : int
        Of this relaxation.
    displacement : float
        In Å.
    length : float
        In Å; the supercell is so thick at the least in each direction.
    max_atoms : int
        Of the supercell.
    """

    force_tolerance: float = 0.005
    max_steps: int = 500
    displacement: float = 0.05
    length: float = 7.5
    max_atoms: int = 256


@dataclass(frozen=True, kw_only=True)
class Phonons:
    """What is known of the vibrations of a structure.

    Attributes
    ----------
    lowest : mapping of str to float
        Point of the zone -> lowest frequency in THz, negative where it is imaginary. At Gamma, which comes first, without the
        three acoustic modes. Empty where there is a reason.
    on_mesh : float or None
        Lowest frequency in THz on the mesh of the free energy.
    free_energy : float or None
        Helmholtz free energy of the vibrations at `TEMPERATURE`, zero-point energy included, in eV per atom. None where a mode is
        imaginary.
    n_atoms, n_displaced : int
        Atoms of the supercell; displaced supercells.
    reason : str
        Why nothing is known; "" where something is.
    """

    lowest: Mapping[str, float]
    on_mesh: float | None = None
    free_energy: float | None = None
    n_atoms: int = 0
    n_displaced: int = 0
    reason: str = ""

    @property
    def point(self) -> str:
        """Where the lowest frequency is; "" where nothing is known."""
        return min(self.lowest, key=lambda name: self.lowest[name], default="")

    @property
    def frequency(self) -> float | None:
        """The lowest frequency at Gamma and the zone boundary, in THz."""
        return self.lowest.get(self.point)

    @property
    def unstable(self) -> bool:
        """Whether a mode at Gamma or the zone boundary is imaginary."""
        return self.frequency is not None and self.frequency < -IMAGINARY


class Frequencies(NamedTuple):
    """The frequencies of a crystal, in THz, negative where they are imaginary.

    - ``points`` (dict of str to float): the lowest at points of the zone, see `Phonons`
    - ``mesh`` (ndarray (n_points, n_modes)): on a mesh without Gamma
    - ``weights`` (ndarray (n_points,)): of the points of the mesh
    """

    points: dict[str, float]
    mesh: np.ndarray
    weights: np.ndarray


def need_phonopy() -> None:
    """Raise `InputError` where phonopy is not installed."""
    if importlib.util.find_spec("phonopy") is None:
        raise InputError("phonopy: not installed; pip install 'sisso-sal[phonons]'")


def phonons(structure: Structure, calculator: Any, settings: PhononSettings) -> Phonons:
    """Relax a structure and compute its phonons.

    Parameters
    ----------
    structure : pymatgen Structure
    calculator : ASE calculator
        With energy, forces and stress.
    settings : PhononSettings

    Returns
    -------
    Phonons
        With a reason where the structure does not relax, the supercell is too large, or the potential fails.
    """
    try:
        return _described(force_constants(structure, calculator, settings))
    except MemoryError:
        raise
    except Exception as error:  # a potential fails with errors of its own; the kind and its first line are the reason
        return Phonons(lowest={}, reason=reason_of(error))


def force_constants(structure: Structure, calculator: Any, settings: PhononSettings) -> Any:
    """Relax a structure, displace its atoms and get the force constants.

    Parameters
    ----------
    structure, calculator, settings
        As in `phonons`.

    Returns
    -------
    phonopy.Phonopy
        With symmetrized force constants.

    Raises
    ------
    OracleError
        The structure does not relax, the supercell is too large, or forces are not finite. A potential may raise errors of its own.
    """
    from ase import Atoms

    atoms: Any = structure.to_ase_atoms()
    atoms.calc = calculator
    relaxed = relax_atoms(
        atoms, RelaxationSettings(force_tolerance=settings.force_tolerance, max_steps=settings.max_steps)
    )
    if not relaxed.converged:
        raise OracleError(relaxed.reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages about themselves
        crystal = _displaced(atoms, settings)
        forces = []
        for cell in crystal.supercells_with_displacements:
            moved = Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
            moved.calc = calculator
            forces.append(np.array(moved.get_forces(), dtype=np.float64))
        if not np.isfinite(forces).all():
            raise OracleError("the potential gives no finite forces of displaced atoms")
        crystal.forces = forces
        crystal.produce_force_constants()
        crystal.symmetrize_force_constants()
    return crystal


def supercell_of(lattice: np.ndarray, n_atoms: int, settings: PhononSettings) -> tuple[int, int, int]:
    """How often a cell is repeated along each vector: even numbers, so that a wave at the zone boundary fits, or once.

    Parameters
    ----------
    lattice : ndarray (3, 3)
        Vectors in rows, in Å.
    n_atoms : int
    settings : PhononSettings

    Raises
    ------
    OracleError
        The supercell has too many atoms.

    Examples
    --------
    >>> supercell_of(np.diag([4.2, 2.9, 8.0]), 4, PhononSettings())
    (2, 4, 1)
    """
    thickness = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    fewest = np.ceil(settings.length / thickness - 1e-6).astype(int)
    a, b, c = (int(n) if n == 1 else 2 * ((int(n) + 1) // 2) for n in fewest)
    if a * b * c * n_atoms > settings.max_atoms:
        raise OracleError(f"the supercell has {a * b * c * n_atoms} atoms, more than {settings.max_atoms}")
    return a, b, c


def _displaced(atoms: Any, settings: PhononSettings) -> Any:
    """The crystal of phonopy with its displacements: the conventional cell, its symmetry restored, and repeated."""
    import spglib
    from phonopy import Phonopy  # pyright: ignore[reportMissingImports]
    from phonopy.structure.atoms import PhonopyAtoms  # pyright: ignore[reportMissingImports]

    cell = spglib.standardize_cell((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=_SYMMETRY)
    if cell is None:
        raise OracleError("the symmetry of the relaxed structure is not found")
    lattice, positions, numbers = cell
    unit = PhonopyAtoms(numbers=numbers, cell=lattice, scaled_positions=positions)
    times = np.diag(supercell_of(np.asarray(lattice), len(numbers), settings))
    crystal = Phonopy(unit, times, primitive_matrix="auto", symprec=_SYMMETRY / 10, log_level=0)
    crystal.generate_displacements(distance=settings.displacement)
    return crystal


def frequencies_of(crystal: Any) -> Frequencies:
    """What the force constants say.

    Parameters
    ----------
    crystal : phonopy.Phonopy
        As `force_constants` returns it.
    """
    primitive = crystal.primitive
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages about themselves
        points = _optical(crystal, primitive.masses)
        for name, q in _boundary(primitive.cell):
            points[name] = min(float(crystal.get_frequencies(q)[0]), points.get(name, np.inf))
        lengths = np.linalg.norm(primitive.cell, axis=1)
        crystal.run_mesh([2 * int(np.ceil(_MESH / 2 / length)) for length in lengths], is_gamma_center=False)
        mesh = crystal.get_mesh_dict()
    return Frequencies(
        {name: round(frequency, 4) for name, frequency in points.items()}, mesh["frequencies"], mesh["weights"]
    )


def _described(crystal: Any) -> Phonons:
    lowest, mesh, weights = frequencies_of(crystal)
    on_mesh = float(mesh.min())
    energy = None
    if min(on_mesh, *lowest.values()) >= -IMAGINARY:
        energy = round(free_energy(mesh, weights, TEMPERATURE) / len(crystal.primitive), 6)
    return Phonons(
        lowest=lowest,
        on_mesh=round(on_mesh, 4),
        free_energy=energy,
        n_atoms=len(crystal.supercell),
        n_displaced=len(crystal.supercells_with_displacements),
    )


def _optical(crystal: Any, masses: np.ndarray) -> dict[str, float]:
    """The lowest frequency at Gamma of waves that do not move the centre of mass; nothing with one atom in the cell."""
    if len(masses) == 1:
        return {}
    crystal.dynamical_matrix.run([0, 0, 0])
    matrix = crystal.dynamical_matrix.dynamical_matrix
    still = null_space(np.kron(np.sqrt(masses), np.eye(3)))
    square = float(np.linalg.eigvalsh(still.T @ matrix @ still)[0])
    return {GAMMA: float(np.copysign(np.sqrt(abs(square)), square) * _TO_THZ)}


def _boundary(lattice: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The halves of reciprocal vectors, which are the points of the zone boundary whose waves fit into a doubled cell.

    Names are the usual ones (W. Setyawan, S. Curtarolo, Comput. Mater. Sci. 49, 299 (2010)), of a special point as far from Gamma;
    else the coordinates.

    Parameters
    ----------
    lattice : ndarray (3, 3)
        Vectors of the primitive cell in rows, in Å.

    Returns
    -------
    list of (str, ndarray (3,))
        Points in reciprocal vectors; the crystal may have less symmetry than its lattice, so that a name comes several times.
    """
    from ase.cell import Cell

    reciprocal = np.linalg.inv(lattice).T
    special = [(name, q) for name, q in Cell(lattice).bandpath(npoints=0).special_points.items() if name != "G"]
    named = {round(_radius(np.asarray(q), reciprocal), 6): name for name, q in reversed(special) if _is_half(q)}
    halves = [np.array(q) / 2 for q in itertools.product((0, 1), repeat=3) if any(q)]
    words = [f"({' '.join('1/2' if x else '0' for x in q)})" for q in halves]
    return [(named.get(round(_radius(q, reciprocal), 6), word), q) for q, word in zip(halves, words, strict=True)]


def _is_half(q: np.ndarray) -> bool:
    doubled = 2 * np.asarray(q)
    return bool(np.allclose(doubled, np.round(doubled), atol=1e-6))


def _radius(q: np.ndarray, reciprocal: np.ndarray) -> float:
    """Distance of a point from the nearest reciprocal lattice point, in 1/Å."""
    around = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    return float(np.linalg.norm((q - around) @ reciprocal, axis=1).min())


def free_energy(frequencies: np.ndarray, weights: np.ndarray, temperature: float) -> float:
    """Helmholtz free energy of harmonic modes, in eV for the cell: the sum of hν/2 + kT ln(1 - exp(-hν/kT)).

    Parameters
    ----------
    frequencies : ndarray (n_points, n_modes), in THz
        Those below `IMAGINARY` count as so much.
    weights : ndarray (n_points,)
    temperature : float
        In K.

    Examples
    --------
    >>> round(free_energy(np.array([[10.0]]), np.ones(1), 298.15), 6)
    0.014947
    """
    quantum = _quanta(frequencies)
    thermal = constants.k / constants.eV * temperature
    modes = quantum / 2 + thermal * np.log1p(-np.exp(-quantum / thermal))
    return float(weights @ modes.sum(axis=1) / weights.sum())


def zero_point_energy(frequencies: np.ndarray, weights: np.ndarray) -> float:
    """The sum of hν/2, in eV for the cell; parameters as in `free_energy`, whose limit at 0 K it is.

    Examples
    --------
    >>> round(zero_point_energy(np.array([[10.0]]), np.ones(1)), 6)
    0.020678
    """
    return float(weights @ _quanta(frequencies).sum(axis=1) / weights.sum() / 2)


def _quanta(frequencies: np.ndarray) -> np.ndarray:
    """Energies hν in eV, from frequencies in THz."""
    return constants.h * constants.tera / constants.eV * np.maximum(frequencies, IMAGINARY)
