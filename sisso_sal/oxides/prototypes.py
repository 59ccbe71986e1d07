"""Structures that a calculation may start from: structure types of oxides, scaled to the ions that fill them.

Each structure type of `sisso_sal.oxides.pool` has a geometry in ``prototypes.toml``: a space-group setting, a cell, sites with
their coordination by oxygen. The cell is scaled so that the bonds come as near as they can to the sums of Shannon radii, each bond
weighted with its Pauling strength (charge over coordination number; L. Pauling, J. Am. Chem. Soc. 51, 1010 (1929)):

    minimise over the scale s, and over the parameters named in `adapt`,   sum over bonds  w (s d - r_cation - r_oxygen)^2
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.ions import ionic_radius, starting_moment
from sisso_sal.oxides.magnetism import magnetic_orders, primitive_cell
from sisso_sal.oxides.oxidation_states import oxidation_states
from sisso_sal.oxides.pool import role_assignments

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["StructureType", "prototype_structure", "prototype_structures", "structure_types"]

N_HALL = 530
"""Settings of the space groups, numbered as in spglib."""

_LEAST_RATIO = ((2, 3, 4, 6, 7, 8, 12), (0.0, 0.155, 0.225, 0.414, 0.592, 0.732, 1.0))
"""Coordination numbers, and the ratios of the radii of cation and oxygen at which so many oxygen ions touch the cation and each
other (L. Pauling, J. Am. Chem. Soc. 51, 1010 (1929), first rule).
"""

_SAME_PLACE = 0.05  # Å
_IMAGES = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)], dtype=float)


@dataclass(frozen=True)
class Site:
    """A Wyckoff site: "A", "B" or "O", its coordination by the other kind, and three coordinates as they are written."""

    role: str
    coordination: int
    coordinates: tuple[str, str, str]

    def position(self, parameters: Mapping[str, float]) -> NDArray[np.float64]:
        """ndarray (3,), fractions of the cell."""
        return np.array([_coordinate(text, parameters) for text in self.coordinates])


def _coordinate(text: str, parameters: Mapping[str, float]) -> float:
    name = text.lstrip("-")
    value = parameters[name] if name in parameters else float(Fraction(name))
    return -value if text.startswith("-") else value


@dataclass(frozen=True)
class StructureType:
    """A structure type as one compound has it.

    Parameters
    ----------
    name, example : str
        The type and the compound whose geometry it is.
    hall : int
        Number of the space-group setting in spglib, 1 to 530.
    cell : tuple of float
        a, b, c in Å, alpha, beta, gamma in degrees; of the example.
    sites : tuple of Site
    parameters : mapping of str to float
        Free coordinates by name; of the example.
    adapt : tuple of str
        Parameters that follow the radii of the ions.
    source : str
        Where the geometry comes from.
    """

    name: str
    example: str
    hall: int
    cell: tuple[float, ...]
    sites: tuple[Site, ...]
    parameters: Mapping[str, float]
    adapt: tuple[str, ...]
    source: str

    @cached_property
    def lattice(self) -> NDArray[np.float64]:
        """ndarray (3, 3), in Å: lattice vectors of the example as rows."""
        from pymatgen.core import Lattice

        return Lattice.from_parameters(*self.cell).matrix

    @cached_property
    def operations(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotations (n, 3, 3) and translations (n, 3) of the space group, in fractions of the cell."""
        import spglib

        if not 1 <= self.hall <= N_HALL:
            raise InputError(f"prototype '{self.name}': hall needs a number from 1 to {N_HALL}, found {self.hall}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # on how spglib tells errors, which others may have set
            symmetry: Any = spglib.get_symmetry_from_database(self.hall)
        return symmetry["rotations"].astype(float), symmetry["translations"]

    @cached_property
    def orbits(self) -> tuple[tuple[int, ...], ...]:
        """For each site, the operations that give its distinct atoms."""
        return tuple(self._orbit(site.position(self.parameters)) for site in self.sites)

    def _orbit(self, position: NDArray[np.float64]) -> tuple[int, ...]:
        rotations, translations = self.operations
        images = rotations @ position + translations
        kept: list[int] = []
        for k, image in enumerate(images):
            apart = images[kept] - image
            apart -= np.round(apart)
            if not kept or np.linalg.norm(apart @ self.lattice, axis=1).min() > _SAME_PLACE:
                kept.append(k)
        return tuple(kept)

    def positions(self, parameters: Mapping[str, float]) -> list[NDArray[np.float64]]:
        """For each site, ndarray (multiplicity, 3): its atoms in fractions of the cell, not wrapped into it."""
        rotations, translations = self.operations
        return [
            rotations[list(orbit)] @ site.position(parameters) + translations[list(orbit)]
            for site, orbit in zip(self.sites, self.orbits, strict=True)
        ]

    @cached_property
    def bonds(self) -> tuple[tuple[int, int, int, tuple[float, ...]], ...]:
        """Bonds of the first atom of each cation site in the example: (cation site, oxygen site, its atom, lattice shift)."""
        return tuple(bond for i, site in enumerate(self.sites) if site.role != "O" for bond in self._bonds_of(i))

    def _bonds_of(self, cation: int) -> list[tuple[int, int, int, tuple[float, ...]]]:
        places = self.positions(self.parameters)
        centre, bonds = places[cation][0], []
        for j, site in enumerate(self.sites):
            if site.role == "O":
                for k, place in enumerate(places[j]):
                    shifts = _IMAGES + np.round(centre - place)
                    lengths = np.linalg.norm((place + shifts - centre) @ self.lattice, axis=1)
                    bonds += [(d, (cation, j, k, tuple(shift))) for d, shift in zip(lengths, shifts, strict=True)]
        bonds.sort()
        return [bond for _, bond in bonds[: self.sites[cation].coordination]]

    def bond_lengths(self, parameters: Mapping[str, float]) -> NDArray[np.float64]:
        """ndarray (n_bonds,), in Å in the unscaled cell."""
        places = self.positions(parameters)
        vectors = [places[j][k] + np.array(shift) - places[i][0] for i, j, k, shift in self.bonds]
        return np.linalg.norm(np.array(vectors) @ self.lattice, axis=1)

    def scaled(self, ions: Mapping[str, tuple[str, float]]) -> tuple[float, dict[str, float]]:
        """The scale of the cell and the parameters that suit ions, given as role -> (element, oxidation state)."""
        wanted = np.array([self._wanted(i, j, ions) for i, j, _, _ in self.bonds])
        weights = np.array([self._strength(i, ions) for i, _, _, _ in self.bonds])
        if self.adapt:
            return self._adapted(wanted, np.sqrt(weights))
        lengths = self.bond_lengths(self.parameters)
        weighted = weights * lengths
        return float((weighted @ wanted) / (weighted @ lengths)), dict(self.parameters)

    def _wanted(self, cation: int, oxygen: int, ions: Mapping[str, tuple[str, float]]) -> float:
        site = self.sites[cation]
        return ionic_radius(*ions[site.role], site.coordination) + ionic_radius(
            "O", -2, self.sites[oxygen].coordination
        )

    def _strength(self, cation: int, ions: Mapping[str, tuple[str, float]]) -> float:
        """Pauling strength of a bond times the multiplicity of its cation."""
        site = self.sites[cation]
        return ions[site.role][1] / site.coordination * len(self.orbits[cation])

    def misfit(self, ions: Mapping[str, tuple[str, float]]) -> float:
        """How far the ratios of radii are from those that the coordination numbers ask for, on average over the cations.

        Examples
        --------
        >>> [structure_types()[name].misfit({"A": ("Si", 4)}) < 0.1 for name in ("quartz", "rutile")]
        [True, False]
        """
        far, weights = [], []
        for site, orbit in zip(self.sites, self.orbits, strict=True):
            if site.role != "O":
                ratio = ionic_radius(*ions[site.role], site.coordination) / ionic_radius("O", -2, 6)
                far.append(abs(ratio - np.interp(site.coordination, *_LEAST_RATIO)))
                weights.append(len(orbit))
        return float(np.average(far, weights=weights))

    def _adapted(self, wanted: NDArray[np.float64], root: NDArray[np.float64]) -> tuple[float, dict[str, float]]:
        from scipy.optimize import least_squares

        def parameters(x: NDArray[np.float64]) -> dict[str, float]:
            return {**self.parameters, **dict(zip(self.adapt, x[1:].tolist(), strict=True))}

        start = np.array([1.0, *(self.parameters[name] for name in self.adapt)])
        fit = least_squares(lambda x: root * (x[0] * self.bond_lengths(parameters(x)) - wanted), start, xtol=1e-12)
        return float(fit.x[0]), parameters(fit.x)


@cache
def structure_types() -> Mapping[str, StructureType]:
    """The shipped structure types by name, read once.

    Examples
    --------
    >>> structure_types()["spinel"].example
    'MgAl2O4'
    """
    text = resources.files("sisso_sal.oxides").joinpath("prototypes.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: _structure_type(name, entry) for name, entry in tomllib.loads(text).items()})


def _structure_type(name: str, entry: Mapping[str, Any]) -> StructureType:
    cell = tuple(float(x) for x in entry["cell"])
    return StructureType(
        name=name,
        example=entry["example"],
        hall=entry["hall"],
        cell=cell if len(cell) == 6 else (*cell, 90.0, 90.0, 90.0),
        sites=tuple(Site(role, number, tuple(text.split())) for role, number, text in entry["sites"]),
        parameters=MappingProxyType(entry.get("parameters", {})),
        adapt=tuple(entry.get("adapt", ())),
        source=entry["source"],
    )


def prototype_structure(name: str, ions: Mapping[str, tuple[str, float]], *, conventional: bool = False) -> Structure:
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


def _conventional(name: str, ions: Mapping[str, tuple[str, float]]) -> tuple[Structure, list[str]]:
    """The conventional cell, and the role of each site."""
    from pymatgen.core import Lattice, Structure

    kind = structure_types().get(name)
    if kind is None:
        raise InputError(f"prototype '{name}': needs one of {', '.join(structure_types())}")
    scale, parameters = kind.scaled(ions)
    symbols, moments, places, roles = [], [], [], []
    for site, orbit in zip(kind.sites, kind.positions(parameters), strict=True):
        ion = ("O", -2.0) if site.role == "O" else ions[site.role]
        symbols += [ion[0]] * len(orbit)
        moments += [0.0 if site.role == "O" else starting_moment(*ion, site.coordination)] * len(orbit)
        places += list(orbit)
        roles += [site.role] * len(orbit)
    lattice = Lattice(np.round(kind.lattice * scale, 10))
    structure = Structure(lattice, symbols, places, to_unit_cell=True, site_properties={"magmom": moments})
    return structure, roles


def prototype_structures(formula: str, prototypes: Sequence[str] | None = None) -> Iterator[tuple[str, Structure]]:
    """Every structure that the shipped types offer for an oxide, those that suit the radii of its ions best first.

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
    composition = parse_formula(formula)
    states = {s.element: float(s.state) for s in oxidation_states(composition)}
    names = [
        (name, roles) for name, roles in role_assignments(composition) if prototypes is None or name in set(prototypes)
    ]
    if not names:
        raise InputError(f"{formula}: no structure type with this stoichiometry is known; give a structure")
    filled = [(name, {role: (metal, states[metal]) for role, metal in roles.items()}) for name, roles in names]
    for name, ions in sorted(filled, key=lambda filling: round(structure_types()[filling[0]].misfit(filling[1]), 9)):
        structure, roles = _conventional(name, ions)
        yield name, primitive_cell(structure)
        yield from ((f"{name}-{order}", ordered) for order, ordered in magnetic_orders(name, structure, roles))
