"""Structure types of oxides: their geometries, and how they follow the ions that fill them.

``prototypes.toml`` has a geometry for each type: a space-group setting, a cell, sites with their coordination by oxygen. The cell
is scaled so that the bonds come as near as they can to lengths that the ions ask for, each bond weighted with its Pauling strength
(charge over coordination number; L. Pauling, J. Am. Chem. Soc. 51, 1010 (1929)):

    minimise over the scale s, and over the parameters named in `adapt`,   sum over bonds  w (s d - d_wanted)^2

The length that is wanted is the sum of Shannon radii or, where a type names the ions of its example, the length in the example and
what the radii differ by: the example itself comes out as it was measured. Two kinds of types differ. In peroxides, superoxides and
ozonides the anions keep their size while the distances between their centres are scaled. Types that are rich in metal have their
volume from the molar volumes of the metals.
"""

from __future__ import annotations

import math
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, cached_property
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.ions import ionic_radius
from sisso_sal.oxides.structures import formula_key

__all__ = ["Ions", "StructureType", "structure_types"]

Ions = Mapping[str, tuple[str, float]]
"""Role -> element and oxidation state."""

N_HALL = 530
"""Settings of the space groups, numbered as in spglib."""

_LEAST_RATIO = ((2, 3, 4, 6, 7, 8, 12), (0.0, 0.155, 0.225, 0.414, 0.592, 0.732, 1.0))
"""Coordination numbers, and the ratios of the radii of cation and oxygen at which so many oxygen ions touch the cation and each
other (L. Pauling, J. Am. Chem. Soc. 51, 1010 (1929), first rule).
"""

_SAME_PLACE = 0.05  # Å
_BOUND = 1.2
"""Oxygen atoms are one anion up to so many times the length of its bond."""

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
    ions : mapping of str to (str, float)
        The ions of the example, as in `scaled`, where lengths are to be changed by differences of radii; empty for sums of radii.
    pair : float
        Distance of oxygen atoms within an anion such as peroxide, in Å; 0 for oxide ions.
    anion : float
        Oxidation state of oxygen.
    metallic : bool
        The volume follows those of the metals.
    compounds : frozenset of str
        Compounds that are known to have this type, as `sisso_sal.oxides.structures.formula_key` writes them.
    """

    name: str
    example: str
    hall: int
    cell: tuple[float, ...]
    sites: tuple[Site, ...]
    parameters: Mapping[str, float]
    adapt: tuple[str, ...]
    source: str
    ions: Ions = field(default_factory=dict)
    pair: float = 0.0
    anion: float = -2.0
    metallic: bool = False
    compounds: frozenset[str] = frozenset()

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

    def positions(self, parameters: Mapping[str, float], scale: float = 1.0) -> list[NDArray[np.float64]]:
        """For each site, ndarray (multiplicity, 3): its atoms in fractions of the cell, not wrapped into it.

        In a cell that is scaled the anions of several atoms keep their size.
        """
        places = self._places(parameters)
        if not self.pair:
            return places
        return [place - offset * (1.0 - 1.0 / scale) for place, offset in zip(places, self._offsets, strict=True)]

    def _places(self, parameters: Mapping[str, float]) -> list[NDArray[np.float64]]:
        rotations, translations = self.operations
        return [
            rotations[list(orbit)] @ site.position(parameters) + translations[list(orbit)]
            for site, orbit in zip(self.sites, self.orbits, strict=True)
        ]

    @cached_property
    def _offsets(self) -> list[NDArray[np.float64]]:
        """For each site, ndarray (multiplicity, 3): its atoms relative to the centres of their anions; zero for metals."""
        places = self._places(self.parameters)
        oxygen = np.vstack([p for site, p in zip(self.sites, places, strict=True) if site.role == "O"])
        return [
            np.array([p - self._anion(p, oxygen).mean(axis=0) for p in place]) if site.role == "O" else 0.0 * place
            for site, place in zip(self.sites, places, strict=True)
        ]

    def _anion(self, start: NDArray[np.float64], oxygen: NDArray[np.float64]) -> NDArray[np.float64]:
        """ndarray (n, 3), fractions of the cell: the oxygen atoms that are bound to one of them, directly or through others."""
        members = [start]
        for member in members:
            shifted = oxygen[:, None, :] + np.round(member - oxygen)[:, None, :] + _IMAGES
            images = shifted.reshape(-1, 3)
            near = np.linalg.norm((images - member) @ self.lattice, axis=1) < _BOUND * self.pair
            members += [p for p in images[near] if all(np.abs(p - other).max() > 1e-6 for other in members)]
        return np.array(members)

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

    def bond_lengths(self, parameters: Mapping[str, float], scale: float = 1.0) -> NDArray[np.float64]:
        """ndarray (n_bonds,), in Å in the unscaled cell; see `positions`."""
        places = self.positions(parameters, scale)
        vectors = [places[j][k] + np.array(shift) - places[i][0] for i, j, k, shift in self.bonds]
        return np.linalg.norm(np.array(vectors) @ self.lattice, axis=1)

    def scaled(self, ions: Ions) -> tuple[float, dict[str, float]]:
        """The scale of the cell and the parameters that suit ions, given as role -> (element, oxidation state)."""
        if self.metallic:
            return self._metal_scale(ions["A"][0]), dict(self.parameters)
        wanted = self._wanted(ions)
        weights = np.array([self._strength(i, ions) for i, _, _, _ in self.bonds])
        if self.adapt or self.pair:
            return self._adapted(wanted, np.sqrt(weights))
        lengths = self.bond_lengths(self.parameters)
        weighted = weights * lengths
        return float((weighted @ wanted) / (weighted @ lengths)), dict(self.parameters)

    def _metal_scale(self, metal: str) -> float:
        """The cube root of the ratio of the molar volumes of two metals."""
        from pymatgen.core import Element

        (own,) = {symbol for symbol in parse_formula(self.example) if symbol != "O"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that there is no value; said below
            volume, reference = (Element(symbol).molar_volume for symbol in (metal, own))
        if not volume or not math.isfinite(volume):
            raise InputError(f"prototype '{self.name}': needs the molar volume of {metal}, none is known")
        return float((volume / reference) ** (1 / 3))

    def _wanted(self, ions: Ions) -> NDArray[np.float64]:
        """ndarray (n_bonds,), in Å."""
        if self.ions:
            change = [self._radius(i, ions) - self._radius(i, self.ions) for i, _, _, _ in self.bonds]
            return self.bond_lengths(self.parameters) + np.array(change)
        oxygen = [ionic_radius("O", -2, self.sites[j].coordination) for _, j, _, _ in self.bonds]
        return np.array([self._radius(i, ions) for i, _, _, _ in self.bonds]) + np.array(oxygen)

    def _radius(self, cation: int, ions: Ions) -> float:
        site = self.sites[cation]
        return ionic_radius(*ions[site.role], site.coordination)

    def _strength(self, cation: int, ions: Ions) -> float:
        """Pauling strength of a bond times the multiplicity of its cation."""
        site = self.sites[cation]
        return ions[site.role][1] / site.coordination * len(self.orbits[cation])

    def misfit(self, ions: Ions) -> float:
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
        fit = least_squares(
            lambda x: root * (x[0] * self.bond_lengths(parameters(x), x[0]) - wanted), start, xtol=1e-12
        )
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
        ions=MappingProxyType(
            {role: (symbol, float(state)) for role, (symbol, state) in entry.get("ions", {}).items()}
        ),
        pair=float(entry.get("pair", 0.0)),
        anion=float(Fraction(str(entry.get("anion", -2)))),
        metallic=entry.get("metallic", False),
        compounds=frozenset(formula_key(formula) for formula in entry.get("compounds", ())),
    )
