"""Acid stability: the Pourbaix decomposition free energy of a solid as a small linear program.

At an electrode potential U (V against the standard hydrogen electrode) and a pH, oxygen and hydrogen can be exchanged
with water, protons and electrons. What remains conserved are the metals. The *transformed* free energy of a species
with n_O oxygen atoms, h hydrogen atoms and charge z is

    g = mu + [aqueous] kT ln(c) - n_O mu_W - n_H kT ln(10) pH - n_e e U,    n_H = 2 n_O - h,    n_e = n_H + z,

with ``mu`` the free energy of formation from the elements, ``c`` the concentration in mol/L, and ``mu_W`` that of
liquid water: it is the free energy of the reaction metals + n_O H2O -> species + n_H H+ + n_e e-. The decomposition
free energy of a solid is g(solid) minus the least g of any mixture of competitors holding the same metals, per atom of
the solid. Below zero, no competitor mixture is better: the solid does not decompose.

Sources: M. Pourbaix, Atlas of Electrochemical Equilibria in Aqueous Solutions (1966); K. A. Persson, B. Waldwick,
P. Lazic, G. Ceder, Phys. Rev. B 85, 235438 (2012), doi 10.1103/PhysRevB.85.235438; A. K. Singh et al., Chem. Mater.
29, 10159 (2017), doi 10.1021/acs.chemmater.7b03980. The species' energies come from the caller: nothing here depends
on whether they were measured or computed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sisso_sal.errors import InputError, OracleError

__all__ = ["BOLTZMANN", "MU_WATER", "Conditions", "Decomposition", "Species", "decompose", "transformed_energy"]

BOLTZMANN = 8.617333262e-5
"""Boltzmann constant, in eV/K (CODATA 2018)."""

MU_WATER = -2.4583
"""Free energy of formation of liquid water at 298.15 K, in eV per molecule (-56.69 kcal/mol, Johnson et al. 1992)."""

_FREE_ELEMENTS = frozenset({"O", "H"})
_NEGLIGIBLE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Where the stability is asked for.

    Parameters
    ----------
    potential : float
        Electrode potential U against the standard hydrogen electrode, in V.
    pH : float
        Acidity of the solution.
    temperature : float
        In K. It scales the concentration and pH terms; the species' ``mu`` and ``mu_water`` must belong to it.
    concentration : float
        Of each dissolved species, in mol/L.
    mu_water : float
        Free energy of formation of liquid water, in eV per molecule.
    """

    potential: float = 1.23
    pH: float = 0.0
    temperature: float = 298.15
    concentration: float = 1e-6
    mu_water: float = MU_WATER

    def __post_init__(self) -> None:
        for name in ("potential", "pH", "temperature", "concentration", "mu_water"):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise InputError(f"Pourbaix conditions: {name} needs a finite number, found {value!r}")
        for name in ("temperature", "concentration"):
            if getattr(self, name) <= 0:
                raise InputError(f"Pourbaix conditions: {name} needs a positive number, found {getattr(self, name)!r}")

    @property
    def kT(self) -> float:
        """Thermal energy, in eV."""
        return BOLTZMANN * self.temperature


@dataclass(frozen=True)
class Species:
    """A phase or ion that can take part in a decomposition.

    Parameters
    ----------
    name : str
        Any label; products are reported under it, so it should be unique among the competitors.
    composition : mapping of str to float
        Element -> number of atoms in the formula unit, without the charge.
    charge : int
        In elementary charges; solids have none.
    mu : float
        Free energy of formation from the elements, in eV per formula unit; a dissolved species at 1 mol/L.
    state : {"solid", "aqueous"}
    """

    name: str
    composition: Mapping[str, float]
    charge: int = 0
    mu: float = 0.0
    state: Literal["solid", "aqueous"] = "solid"

    def __post_init__(self) -> None:
        object.__setattr__(self, "composition", dict(self.composition))
        if not self.composition or not all(math.isfinite(n) and n > 0 for n in self.composition.values()):
            raise InputError(f"species '{self.name}': needs positive numbers of atoms, found {self.composition!r}")
        if not math.isfinite(self.mu):
            raise InputError(f"species '{self.name}': mu needs a finite number in eV, found {self.mu!r}")
        if self.state not in ("solid", "aqueous"):
            raise InputError(f"species '{self.name}': state needs 'solid' or 'aqueous', found {self.state!r}")
        if self.state == "solid" and self.charge:
            raise InputError(f"species '{self.name}': a solid needs charge 0, found {self.charge:+d}")

    @property
    def metals(self) -> frozenset[str]:
        """The conserved elements: all but oxygen and hydrogen."""
        return frozenset(self.composition) - _FREE_ELEMENTS

    @property
    def n_atoms(self) -> float:
        """Atoms in the formula unit."""
        return sum(self.composition.values())

    def same_composition(self, other: "Species") -> bool:
        """Whether the two have the same elements in the same proportions (polymorphs do)."""
        if self.composition.keys() != other.composition.keys():
            return False
        scale = self.n_atoms / other.n_atoms
        return all(math.isclose(n, scale * other.composition[e], rel_tol=1e-9) for e, n in self.composition.items())


@dataclass(frozen=True)
class Decomposition:
    """What a solid decomposes into, and how much that gains.

    Parameters
    ----------
    target : str
        Name of the solid.
    energy : float
        Decomposition free energy, in eV/atom; negative means stable against all competitors.
    products : mapping of str to float
        Competitor name -> formula units per formula unit of the target. Water, protons and electrons are not listed.
    n_competitors : int
        Number of competitors considered, elements included.
    conditions : Conditions
    """

    target: str
    energy: float
    products: Mapping[str, float]
    n_competitors: int
    conditions: Conditions = field(repr=False)


def transformed_energy(species: Species, conditions: Conditions | None = None) -> float:
    """Free energy of forming a species from its metals, water, protons and electrons.

    Parameters
    ----------
    species : Species
    conditions : Conditions, optional
        By default U = 1.23 V, pH 0, 298.15 K, 1e-6 mol/L.

    Returns
    -------
    float
        In eV per formula unit; the equation stands at the head of this module.

    Examples
    --------
    Water itself is the zero of the scale:

    >>> round(transformed_energy(Species("H2O", {"H": 2, "O": 1}, mu=MU_WATER)), 6)
    0.0
    """
    at = conditions or Conditions()
    oxygen = species.composition.get("O", 0.0)
    protons = 2 * oxygen - species.composition.get("H", 0.0)
    electrons = protons + species.charge
    dilution = at.kT * math.log(at.concentration) if species.state == "aqueous" else 0.0
    acidity = protons * at.kT * math.log(10) * at.pH
    return species.mu + dilution - oxygen * at.mu_water - acidity - electrons * at.potential


def decompose(target: Species, competitors: Iterable[Species], conditions: Conditions | None = None) -> Decomposition:
    """Pourbaix decomposition free energy of a solid.

    Parameters
    ----------
    target : Species
        The solid in question; at least one of its elements is neither O nor H.
    competitors : iterable of Species
        Everything known of these elements; species with other elements are passed over, as are solids with the
        target's own composition. The pure elements (free energy 0) are always added.
    conditions : Conditions, optional
        By default U = 1.23 V, pH 0, 298.15 K, 1e-6 mol/L.

    Returns
    -------
    Decomposition
        Energy in eV/atom and the products.

    Raises
    ------
    InputError
        If the target holds no metal, or if no dissolved competitor is given for one of its metals: without it the
        solid would look more stable than it is.
    OracleError
        If the linear program was not solved.

    Examples
    --------
    Zinc oxide dissolves in acid (energies of formation from the CRC Handbook and Johnson et al.):

    >>> zinc_oxide = Species("ZnO", {"Zn": 1, "O": 1}, mu=-3.3217)
    >>> ion = Species("Zn++", {"Zn": 1}, charge=2, mu=-1.5264, state="aqueous")
    >>> result = decompose(zinc_oxide, [ion])
    >>> round(result.energy, 3), dict(result.products)
    (0.509, {'Zn++': 1.0})
    """
    at = conditions or Conditions()
    metals = sorted(target.metals)
    rivals = _rivals(target, competitors)
    contents = np.array([[s.composition.get(m, 0.0) for s in rivals] for m in metals])
    energies = np.array([transformed_energy(s, at) for s in rivals])
    amounts = _cheapest_mixture(target, contents, energies)
    # Adding 0.0 turns a negative zero into a plain one.
    energy = (transformed_energy(target, at) - float(energies @ amounts)) / target.n_atoms + 0.0
    kept = amounts > _NEGLIGIBLE * target.n_atoms
    products = {s.name: round(float(x), 12) for s, x, keep in zip(rivals, amounts, kept, strict=True) if keep}
    return Decomposition(target.name, energy, products, len(rivals), at)


def _rivals(target: Species, competitors: Iterable[Species]) -> list[Species]:
    """The competitors that can take part, elements first; refuses a target with a metal that cannot dissolve."""
    if target.state != "solid" or not target.metals:
        raise InputError(f"target '{target.name}': needs a solid with an element other than O and H")
    known = [s for s in competitors if s.metals and s.metals <= target.metals]
    for metal in sorted(target.metals):
        if not any(s.state == "aqueous" and metal in s.metals for s in known):
            raise InputError(f"target '{target.name}': needs a dissolved competitor of {metal}, found none")
    elements = [Species(f"{metal}(s)", {metal: 1}) for metal in sorted(target.metals)]
    return elements + [s for s in known if s.state == "aqueous" or not s.same_composition(target)]


def _cheapest_mixture(
    target: Species, contents: NDArray[np.float64], energies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Amounts (n_competitors,) of least total energy (eV) with the target's metals; ``contents`` (n_metals, n)."""
    from scipy.optimize import linprog  # takes half a second, and workers need none of it

    needed: Sequence[float] = [target.composition[m] for m in sorted(target.metals)]
    solution = linprog(energies, A_eq=contents, b_eq=needed, bounds=(0, None), method="highs-ds")
    if not solution.success:
        raise OracleError(
            f"target '{target.name}': needs an optimal mixture, the linear program says: {solution.message}"
        )
    return np.asarray(solution.x, dtype=np.float64)
