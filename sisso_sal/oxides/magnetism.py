"""Magnetic orders: the starts that calculations of one structure type are tried from, and what their names and moments say.

Beside the start with all moments parallel each type has the orders of ``magnetic_orders.toml`` that its magnetic ions allow, in the
smallest cell that holds them: rock salt is doubled along [111] (AFM-II). A type without an entry has one antiferromagnetic start in
its own cell, where that has two magnetic atoms or more.
"""

from __future__ import annotations

import math
import re
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sisso_sal.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = [
    "MagneticOrder",
    "magnetic_orders",
    "magnetism_told",
    "moments_in_words",
    "moments_of",
    "order_in_words",
    "orders_of_type",
    "primitive_cell",
    "type_of",
]

FERROMAGNETIC = "FM"

_NAME = re.compile(r"(.+?)-((?:afm|ferri)(?:-.+)?)")
_LEAST_WAVE = 0.05  # a wave has no sign at an atom where its cosine is smaller
_LEAST_MOMENT = 0.1  # Bohr magnetons
_COMPENSATED = 0.05  # of the sum of the sizes of the moments


@dataclass(frozen=True)
class MagneticOrder:
    """Signs of the moments in a structure type.

    Attributes
    ----------
    name : str
        What follows the name of the type, such as "afm-II".
    waves : mapping of str to (tuple of Fraction, Fraction)
        Role -> k and φ: an atom at r, in fractions of the conventional cell, has the sign of cos 2π(k·r + φ).
    source : str
    """

    name: str
    waves: Mapping[str, tuple[tuple[Fraction, ...], Fraction]]
    source: str

    @property
    def multiples(self) -> tuple[int, ...]:
        """Of the conventional cell along each axis that hold the order."""
        return tuple(math.lcm(*(k[axis].denominator for k, _ in self.waves.values())) for axis in range(3))

    def signs(self, role: str, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """ndarray (n,) of 1 and -1 for atoms of a role at places (n, 3), in fractions of the conventional cell.

        Raises
        ------
        InputError
            The wave is zero at an atom.
        """
        k, shift = self.waves[role]
        wave = np.cos(2 * np.pi * (places @ np.array(k, dtype=float) + float(shift)))
        if (np.abs(wave) < _LEAST_WAVE).any():
            raise InputError(
                f"magnetic order {self.name}: needs a sign at each atom of {role}, its wave is zero at one"
            )
        return np.sign(wave)


@cache
def orders_of_type() -> Mapping[str, tuple[MagneticOrder, ...]]:
    """The shipped orders by structure type, read once.

    Examples
    --------
    >>> [order.name for order in orders_of_type()["corundum"]], orders_of_type()["rocksalt"][0].multiples
    (['afm-Cr2O3', 'afm-Fe2O3'], (2, 2, 2))
    """
    text = resources.files("sisso_sal.oxides").joinpath("magnetic_orders.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: tuple(map(_order, some)) for name, some in tomllib.loads(text).items()})


def _order(entry: Mapping[str, Any]) -> MagneticOrder:
    numbers = {role: tuple(map(Fraction, text.split())) for role, text in entry["waves"].items()}
    waves = {role: (each[:3], each[3]) for role, each in numbers.items()}
    return MagneticOrder(entry["name"], MappingProxyType(waves), entry["source"])


def magnetic_orders(name: str, structure: Structure, roles: Sequence[str]) -> Iterator[tuple[str, Structure]]:
    """Structures of a type that start from other orders than the ferromagnetic one.

    Parameters
    ----------
    name : str
        Of the structure type.
    structure : pymatgen Structure
        The conventional cell with the site property "magmom", in Bohr magnetons, all parallel.
    roles : sequence of str (n_sites,)
        "A", "B" or "O" of each site.

    Yields
    ------
    (str, pymatgen Structure)
        Name of the order and the primitive cell that holds it.
    """
    moments = moments_of(structure)
    magnetic = {role for role, moment in zip(roles, moments, strict=True) if moment}
    if not magnetic:
        return
    parallel = primitive_cell(structure)
    any_defined = False
    for order in orders_of_type().get(name, ()):
        if magnetic <= order.waves.keys():
            ordered = _ordered(structure, roles, order)
            if len({moment > 0 for moment in moments_of(ordered) if moment}) == 2:
                any_defined = True
                yield order.name, _in_cell_of(parallel, ordered)
    if not any_defined and np.count_nonzero(moments_of(parallel)) > 1:
        yield "afm", alternating(parallel)


def _ordered(structure: Structure, roles: Sequence[str], order: MagneticOrder) -> Structure:
    marked = structure.copy()
    marked.add_site_property("role", list(roles))
    large = marked * order.multiples
    places = large.frac_coords * np.array(order.multiples)
    moments = np.array(moments_of(large))
    kinds = np.array(large.site_properties["role"])
    for role in order.waves:
        chosen = (kinds == role) & (moments != 0)
        moments[chosen] *= order.signs(role, places[chosen])
    large.add_site_property("magmom", moments.tolist())
    return primitive_cell(large)


def _in_cell_of(parallel: Structure, ordered: Structure) -> Structure:
    """An order in a cell of the same shape where it needs no larger one, so that energies differ by nothing but the order.

    Else in the cell of the shortest vectors: the primitive one of AFM-II has angles of 34 degrees, which grids of engines describe
    badly.
    """
    if np.allclose(sorted(ordered.lattice.parameters), sorted(parallel.lattice.parameters), atol=1e-3):
        return ordered
    return ordered.get_reduced_structure()


def alternating(structure: Structure) -> Structure:
    """The structure with each magnetic atom opposite to the nearest one that was given its sign before."""
    moments = np.array(moments_of(structure))
    magnetic = np.flatnonzero(moments)
    distance: NDArray[np.float64] = np.round(structure.distance_matrix, 3)
    for n, i in enumerate(magnetic[1:], start=1):
        nearest = min(magnetic[:n], key=lambda j: (float(distance[i, j]), j))
        moments[i] = -math.copysign(moments[i], moments[nearest])
    changed = structure.copy()
    changed.add_site_property("magmom", moments.tolist())
    return changed


def primitive_cell(structure: Structure) -> Structure:
    """The primitive cell; equal elements with different moments are kept apart.

    Raises
    ------
    InputError
        Its symmetry cannot be found.
    """
    import spglib

    keys = list(zip(structure.species, moments_of(structure), strict=True))
    kinds = {key: number for number, key in enumerate(dict.fromkeys(keys), 1)}
    cell = (structure.lattice.matrix.tolist(), structure.frac_coords.tolist(), [kinds[key] for key in keys])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about how spglib will tell errors
        found = spglib.find_primitive(cell, symprec=1e-3)
    if found is None:
        raise InputError(f"{structure.composition.reduced_formula}: no primitive cell found in the prototype")
    of_kind = {number: key for key, number in kinds.items()}
    species, moments = zip(*(of_kind[int(number)] for number in found[2]), strict=True)
    bare = type(structure)(found[0], species, found[1], site_properties={"magmom": list(moments)})
    return bare.get_sorted_structure()


def moments_of(structure: Any) -> list[float]:
    """Moments that a structure or molecule starts from, in Bohr magnetons; zeros where it says nothing."""
    return [float(site.properties.get("magmom") or 0.0) for site in structure]


def type_of(name: str) -> str:
    """The structure type in the name of a start.

    Examples
    --------
    >>> type_of("rocksalt-afm-II"), type_of("alpha-NaFeO2"), type_of("alpha-NaFeO2-afm")
    ('rocksalt', 'alpha-NaFeO2', 'alpha-NaFeO2')
    """
    match = _NAME.fullmatch(name)
    return match[1] if match else name


def order_in_words(name: str, moments: Sequence[float]) -> str:
    """The magnetic order that a start of this name and these moments has; "" without moments.

    Examples
    --------
    >>> order_in_words("rocksalt-afm-II", [2.0, -2.0]), order_in_words("spinel-ferri", [5.0, -5.0, -5.0])
    ('AFM-II', 'ferrimagnetic')
    >>> order_in_words("rocksalt", [2.0, 0.0]), order_in_words("rocksalt", [0.0, 0.0])
    ('FM', '')
    """
    match = _NAME.fullmatch(name)
    if match and match[2] != "afm":
        return match[2].replace("afm", "AFM").replace("ferri", "ferrimagnetic")
    words = moments_in_words(moments)
    return "" if words == "non-magnetic" else words


def moments_in_words(moments: Sequence[float]) -> str:
    """What moments are: "non-magnetic" (below 0.1 Bohr magnetons each), "FM", "AFM" (no moment in all) or "ferrimagnetic".

    Examples
    --------
    >>> [moments_in_words(m) for m in ([0.01, 0.02], [1.7, 0.2], [1.7, -1.7, 0.02], [4.0, -3.7, -3.7])]
    ['non-magnetic', 'FM', 'AFM', 'ferrimagnetic']
    """
    values = np.asarray(moments, dtype=float)
    large = values[np.abs(values) >= _LEAST_MOMENT]
    if not len(large):
        return "non-magnetic"
    if (large > 0).all() or (large < 0).all():
        return FERROMAGNETIC
    return "AFM" if abs(values.sum()) <= _COMPENSATED * np.abs(values).sum() else "ferrimagnetic"


def magnetism_told(structure: Any, found: Sequence[float] | None) -> dict[str, str | None]:
    """What a document says of the moments: ``magnetic_start`` and, where they are known, the ``magnetic_order`` that was found.

    Parameters
    ----------
    structure : pymatgen Structure or Molecule
        That the calculation began with.
    found : sequence of float (n_atoms,), optional
        Moments at its end, in Bohr magnetons.
    """
    return {
        "magnetic_start": moments_in_words(moments_of(structure)),
        "magnetic_order": None if found is None else moments_in_words(found),
    }
