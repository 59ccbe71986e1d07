"""One calculation that was done already, whichever program did it: what a label needs to know of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["SETTINGS", "Cell", "DoneCalculation", "cell_of_atoms", "density_range"]

SETTINGS = ("code", "xc", "relativity", "species", "k_grid", "spin", "smearing")
"""Settings that are compared: program, functional (with dispersion), treatment of relativity, basis or pseudopotentials, k-points,
spin, occupation numbers."""

FIXED = "fixed occupations"
"""Value of ``smearing`` where there is none."""

UNTOLD = "not told"
"""Value of a setting of which a file says nothing."""


class Cell(BaseModel):
    """A structure as plain numbers.

    Attributes
    ----------
    symbols : tuple of str
    positions : tuple of (float, float, float)
        Cartesian, in Å.
    lattice : tuple of three (float, float, float), or None
        In Å; None for a molecule.
    moments : (float, float)
        Sum of the initial moments, and sum of their sizes, in Bohr magnetons.
    """

    model_config = ConfigDict(frozen=True)

    symbols: tuple[str, ...]
    positions: tuple[tuple[float, float, float], ...]
    lattice: tuple[tuple[float, float, float], ...] | None = None
    moments: tuple[float, float] = (0.0, 0.0)

    @property
    def formula(self) -> str:
        """All atoms of the cell, elements in alphabetical order.

        Examples
        --------
        >>> Cell(symbols=("O", "H", "H"), positions=((0, 0, 0), (1, 0, 0), (0, 1, 0))).formula
        'H2O1'
        """
        return "".join(f"{element}{n}" for element, n in sorted(Counter(self.symbols).items()))

    @property
    def volume(self) -> float | None:
        """In Å³; None for a molecule."""
        if self.lattice is None:
            return None
        (a, b, c), (d, e, f), (g, h, i) = self.lattice
        return abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))

    def reciprocal_lengths(self) -> tuple[float, float, float] | None:
        """Lengths of the reciprocal vectors, 2 pi included, in 1/Å; None for a molecule or a flat cell."""
        if self.lattice is None or not self.volume:
            return None
        lengths = []
        for one, other in ((1, 2), (2, 0), (0, 1)):
            a, b = self.lattice[one], self.lattice[other]
            cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
            lengths.append(2 * math.pi * math.hypot(*cross) / self.volume)
        return lengths[0], lengths[1], lengths[2]

    def structure(self) -> Structure | Molecule:
        """The same as an object of pymatgen."""
        from pymatgen.core import Lattice, Molecule, Structure

        if self.lattice is None:
            return Molecule(self.symbols, self.positions)
        return Structure(Lattice(self.lattice), self.symbols, self.positions, coords_are_cartesian=True)


class DoneCalculation(BaseModel):
    """A calculation that was found.

    Attributes
    ----------
    place : str
        Where it is, below the folder; a row or frame of a file that holds several has its number behind ``#``.
    failure : str
        Why it cannot be used; "" for one that finished and converged.
    cell : Cell or None
        The last structure that is known; None where nothing is.
    energy : float or None
        In eV for the cell.
    gap : float or None
        Band gap in eV.
    gap_from : str
        "bands" (along a path) or "k-points".
    relaxed : bool or None
        Whether the structure was relaxed in this calculation; None where that is not told.
    is_told_converged : bool
        Whether the file says that it converged; an energy in a database or a list of structures does not.
    version : str
        Of the program.
    settings : dict of str to str
        Values of `SETTINGS`; those of which the file says nothing are missing.
    species : dict of str to str
        Element -> its basis or pseudopotential, in a form that two calculations have in common where it is the same.
    k_density : (float, float) or None
        Between which densities of k-points, in points per 1/Å along each reciprocal vector, the grid lies; None where it is not
        known, or for a molecule.
    entropy : float or None
        Size of the term -TS that the smearing of the occupations adds to the energy of the cell, in eV; None where it is not known.
    """

    model_config = ConfigDict(frozen=True)

    place: str
    failure: str = ""
    cell: Cell | None = None
    energy: float | None = None
    gap: float | None = None
    gap_from: str = ""
    relaxed: bool | None = None
    is_told_converged: bool = True
    version: str = ""
    settings: dict[str, str] = Field(default_factory=dict)
    species: dict[str, str] = Field(default_factory=dict)
    k_density: tuple[float, float] | None = None
    entropy: float | None = None

    @property
    def is_usable(self) -> bool:
        """Whether its energy may become part of a label."""
        return not self.failure and self.energy is not None and self.cell is not None

    @property
    def energy_per_atom(self) -> float:
        """In eV/atom; infinite where there is none."""
        return math.inf if self.energy is None or self.cell is None else self.energy / len(self.cell.symbols)


def cell_of_atoms(atoms: Any) -> Cell:
    """The structure of ASE's atoms: a molecule where no direction is periodic."""
    is_periodic = any(atoms.pbc) and atoms.cell.rank == 3
    moments = [float(m) for m in atoms.get_initial_magnetic_moments().ravel()]
    return Cell.model_validate(
        {
            "symbols": atoms.get_chemical_symbols(),
            "positions": atoms.positions.tolist(),
            "lattice": atoms.cell[:].tolist() if is_periodic else None,
            "moments": (sum(moments), sum(map(abs, moments))),
        }
    )


def density_range(cell: Cell, grid: Sequence[int]) -> tuple[float, float] | None:
    """Between which densities of k-points a grid lies, whichever way it was rounded.

    A grid of n points along a reciprocal vector of length b (2 pi included) belongs to every density d with abs(n - d*b) <= 1: up,
    down or to the next even or odd number.

    Parameters
    ----------
    cell : Cell
    grid : sequence of int (3,)

    Returns
    -------
    (float, float) or None
        In points per 1/Å; None for a molecule.

    Examples
    --------
    >>> import math
    >>> cube = Cell(symbols=("Po",), positions=((0, 0, 0),), lattice=((math.pi, 0, 0), (0, math.pi, 0), (0, 0, math.pi)))
    >>> density_range(cube, (8, 8, 8))
    (3.5, 4.5)
    """
    lengths = cell.reciprocal_lengths()
    if lengths is None:
        return None
    pairs = list(zip(grid, lengths, strict=True))
    low, high = max((n - 1) / b for n, b in pairs), min((n + 1) / b for n, b in pairs)
    if low > high:  # a grid that follows no one density, such as one point along a surface's normal: its middle
        low = high = (math.prod(grid) / math.prod(lengths)) ** (1 / 3)
    return round(low, 9), round(high, 9)
