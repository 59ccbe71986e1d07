"""Structures that a calculation may start from: structure types of oxides, scaled to the ions that fill them.

`sisso_sal.oxides.structure_types` has the types and how they are scaled, `sisso_sal.oxides.roles` which of them fit a composition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import element_data, parse_formula
from sisso_sal.oxides.ions import starting_moment
from sisso_sal.oxides.magnetism import magnetic_orders, primitive_cell
from sisso_sal.oxides.oxidation_states import mean_states
from sisso_sal.oxides.roles import FURTHER_PROTOTYPES, role_assignments, role_ions
from sisso_sal.oxides.structure_types import Ions, StructureType, structure_types
from sisso_sal.oxides.structures import formula_key
from sisso_sal.system.extras import require

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["prototype_structure", "prototype_structures"]

_BETTER = 0.05
"""By how much less the ratios of radii must be off in a type that is neither known for a compound nor in the pool."""

_FURTHER = frozenset(prototype.name for prototype in FURTHER_PROTOTYPES)


def prototype_structure(name: str, ions: Ions, *, conventional: bool = False) -> Structure:
    """A structure type filled with ions, its lattice from their radii.

    Parameters
    ----------
    name : str
        One of `structure_types`.
    ions : mapping of str to (str, float)
        "A" and, where the type has them, "B" -> element and oxidation state.
    conventional : bool
        The conventional cell instead of the primitive one.

    Returns
    -------
    pymatgen Structure
        With the site property "magmom", in Bohr magnetons, all parallel.

    Raises
    ------
    InputError
        The type is unknown, or an ion has no radius.

    Examples
    --------
    >>> prototype_structure("rocksalt", {"A": ("Mg", 2)}, conventional=True).lattice.a
    4.24
    """
    structure, _ = _conventional(name, ions)
    return structure if conventional else primitive_cell(structure)


def _conventional(name: str, ions: Ions) -> tuple[Structure, list[str]]:
    """The conventional cell, and the role of each site."""
    require("pymatgen", f"prototype '{name}'")
    from pymatgen.core import Lattice, Structure

    kind = structure_types().get(name)
    if kind is None:
        raise InputError(f"prototype '{name}': needs one of {', '.join(structure_types())}")
    scale, parameters = kind.scaled(ions)
    symbols, moments, places, roles = [], [], [], []
    for site, orbit in zip(kind.sites, kind.positions(parameters, scale), strict=True):
        ion = ("O", -2.0) if site.role == "O" else ions[site.role]
        symbols += [ion[0]] * len(orbit)
        moments += [0.0 if site.role == "O" else starting_moment(*ion, site.coordination)] * len(orbit)
        places += list(orbit)
        roles += [site.role] * len(orbit)
    lattice = Lattice(np.round(kind.lattice * scale, 10))
    structure = Structure(lattice, symbols, places, to_unit_cell=True, site_properties={"magmom": moments})
    return structure, roles


def prototype_structures(formula: str, prototypes: Sequence[str] | None = None) -> Iterator[tuple[str, Structure]]:
    """Every structure that the shipped types offer for an oxide.

    Types come first that the compound is known to have, then those with its anions (peroxides), then those of the pool of
    candidates; within each group those that suit the radii of the ions best come first. Other types are the last, and where there
    are some already, only such that suit the radii clearly better.

    Parameters
    ----------
    formula : str
    prototypes : sequence of str, optional
        Only these types.

    Yields
    ------
    (str, pymatgen Structure)
        Name of the type and the primitive cell; the other magnetic orders of the type follow, such as ``rocksalt-afm-II`` (see
        `sisso_sal.oxides.magnetism`).

    Raises
    ------
    InputError
        No type fits, the formula is no oxide that can be balanced, or an ion has no radius.

    Examples
    --------
    >>> [name for name, _ in prototype_structures("TiO2")]
    ['rutile', 'anatase', 'quartz', 'baddeleyite', 'fluorite']
    >>> [name for name, _ in prototype_structures("NiO", ["rocksalt"])]
    ['rocksalt', 'rocksalt-afm-II']
    """
    wanted = _ordered(formula, prototypes)
    if not wanted:
        raise InputError(f"{formula}: no structure type with this stoichiometry is known; give a structure")
    for name, ions in wanted:
        structure, roles = _conventional(name, ions)
        yield name, primitive_cell(structure)
        yield from ((f"{name}-{order}", ordered) for order, ordered in magnetic_orders(name, structure, roles))


def _ordered(formula: str, chosen: Sequence[str] | None) -> list[tuple[str, Ions]]:
    """The types that a formula may start from, in their order, and its ions in them; of the chosen ones all that fit."""
    composition = parse_formula(formula)
    mean, key = mean_states(composition), formula_key(formula)
    groups: tuple[list[tuple[float, str, Ions]], ...] = ([], [], [], [])
    for name, roles in role_assignments(composition):
        kind, ions = structure_types()[name], role_ions(name, roles, composition)
        if _suits(kind, mean) and (chosen is None or name in set(chosen)):
            groups[_group(kind, key)].append((round(kind.misfit(ions), 9), name, ions))
    known, anions, pool, further = (sorted(group, key=lambda entry: entry[0]) for group in groups)
    if chosen is None and (known or anions or pool):
        best = min(misfit for misfit, _, _ in (*known, *anions, *pool))
        further = [entry for entry in further if entry[0] < best - _BETTER]
    return [(name, ions) for _, name, ions in (*known, *anions, *pool, *further)]


def _suits(kind: StructureType, mean: Mapping[str, float]) -> bool:
    """Whether a type has the anions and the amount of metal; for types of the pool the stoichiometry is enough."""
    if kind.name not in _FURTHER:
        return True
    if kind.metallic:
        metals = element_data()
        return all(mean[m] < 1 or 2 * mean[m] < min(metals[m].common, default=0) for m in mean if m != "O")
    return math.isclose(mean["O"], kind.anion, abs_tol=1e-6)


def _group(kind: StructureType, key: str) -> int:
    """0 where the compound is known to have the type, 1 for types with its anions, 2 for types of the pool, 3 otherwise."""
    if key in kind.compounds:
        return 0
    if kind.pair:
        return 1
    return 3 if kind.name in _FURTHER else 2
