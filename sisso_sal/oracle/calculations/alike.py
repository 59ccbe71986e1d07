"""Whether two calculations are of one structure."""

from __future__ import annotations

from typing import Any

from sisso_sal.oracle.calculations.record import Cell

__all__ = ["is_same_structure"]

_MOMENT = 0.5  # Bohr magnetons in a cell below which it counts as without moments
_NEAR = 1e-3  # Å
_ORDER = 0.25  # share of the moments that may point another way


def is_same_structure(one: Cell | None, other: Cell | None) -> bool:
    """Whether two cells are one structure, by pymatgen's matcher, with the same order of initial moments.

    Molecules of one formula count as one.

    Parameters
    ----------
    one, other : Cell or None
        Nothing is the same as None.

    Examples
    --------
    >>> cube = Cell(symbols=("Po",), positions=((0, 0, 0),), lattice=((3, 0, 0), (0, 3, 0), (0, 0, 3)))
    >>> is_same_structure(cube, cube.model_copy(update={"positions": ((1, 1, 1),)}))
    True
    """
    if one is None or other is None or not _has_same_order(one, other):
        return False
    if one.lattice is None or other.lattice is None:
        return one.lattice is other.lattice
    if _is_equal(one, other):
        return True
    from pymatgen.analysis.structure_matcher import StructureMatcher

    first, second = one.structure(), other.structure()
    matcher: Any = StructureMatcher(attempt_supercell=False)
    return bool(matcher.fit(first, second))


def _has_same_order(one: Cell, other: Cell) -> bool:
    """Whether moments are there in both, and cancel to the same share."""
    (total, size), (other_total, other_size) = one.moments, other.moments
    if size < _MOMENT or other_size < _MOMENT:
        return (size < _MOMENT) == (other_size < _MOMENT)
    return abs(abs(total) / size - abs(other_total) / other_size) < _ORDER


def _is_equal(one: Cell, other: Cell) -> bool:
    """Whether all atoms and vectors are in the same place, which a static calculation after a relaxation is quickly seen by."""
    if one.symbols != other.symbols:
        return False
    pairs = zip([*one.positions, *(one.lattice or ())], [*other.positions, *(other.lattice or ())], strict=True)
    return all(abs(a - b) < _NEAR for first, second in pairs for a, b in zip(first, second, strict=True))
