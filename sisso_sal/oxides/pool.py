"""Charge-balanced candidate oxides: of one and two metals from named prototypes, of more metals with small indices.

A candidate is a composition: every metal has one of its common oxidation states (``elements.csv``, from pymatgen),
oxygen is -2, the charges add up to zero and, of one and two metals, the stoichiometry is that of a known structure type. Whether
the structure exists for these metals is for the oracle to say; `sisso_sal.oxides.prototypes` has the geometries to start from.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.oxides.balance import balanced_oxides, count_balanced, formulas_of, metal_table
from sisso_sal.oxides.elements import element_data
from sisso_sal.oxides.metals import METALS, check_metals
from sisso_sal.oxides.oxidation_states import mean_states, oxidation_states

__all__ = [
    "BINARY_PROTOTYPES",
    "TERNARY_PROTOTYPES",
    "CandidateOxide",
    "Prototype",
    "candidate_oxides",
    "count_candidates",
    "reduced_formula",
]


@dataclass(frozen=True)
class CandidateOxide:
    """One composition to be considered.

    Parameters
    ----------
    formula : str
        Reduced, metals ordered as in `reduced_formula`.
    prototypes : tuple of str
        Structure types with this stoichiometry; of three and more metals none are known.
    oxidation_states : tuple of (str, int)
        Metal -> state, in the order of the formula; the choice among several is that of
        `sisso_sal.oxides.oxidation_states.oxidation_states`.
    """

    formula: str
    prototypes: tuple[str, ...]
    oxidation_states: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Prototype:
    """A structure type A_a B_b O_o, or A_a O_o with ``b = 0``.

    ``larger_a`` demands that A have the larger mean Shannon radius, as where A has the higher coordination; ``lower_a``
    that it have the lower oxidation state. Where A and B are equally frequent, A is the metal of lower charge, or of
    larger radius if the charges are equal. ``n_metals``: of how many metals A and B may be ions, one as in Fe3O4.
    """

    name: str
    a: int
    b: int
    o: int
    larger_a: bool = False
    lower_a: bool = False
    n_metals: tuple[int, ...] = (2,)

    def filled(self, sites: Sequence[str]) -> dict[str, int]:
        """Element -> atoms of a formula unit with these metals, A first."""
        atoms = {"O": self.o}
        for metal, count in zip(sites, (self.a, self.b), strict=False):
            atoms[metal] = atoms.get(metal, 0) + count
        return atoms

    def admits(self, sites: Sequence[str]) -> bool:
        """Whether these two metals, A first, may take their sites."""
        a, b = sites
        radius = {m: element_data()[m].value("r_cat (AA)") for m in sites}
        if self.larger_a and radius[a] <= radius[b]:
            return False
        if self.a != self.b and not self.lower_a:
            return True
        states = mean_states(self.filled(sites))
        if self.lower_a:
            return states[a] < states[b]
        return (states[a], -radius[a], a) < (states[b], -radius[b], b)


BINARY_PROTOTYPES = (
    Prototype("antifluorite", 2, 0, 1),
    Prototype("cuprite", 2, 0, 1),
    Prototype("rocksalt", 1, 0, 1),
    Prototype("wurtzite", 1, 0, 1),
    Prototype("tenorite", 1, 0, 1),
    Prototype("corundum", 2, 0, 3),
    Prototype("bixbyite", 2, 0, 3),
    Prototype("rutile", 1, 0, 2),
    Prototype("anatase", 1, 0, 2),
    Prototype("fluorite", 1, 0, 2),
    Prototype("baddeleyite", 1, 0, 2),
    Prototype("quartz", 1, 0, 2),
    Prototype("V2O5", 2, 0, 5),
    Prototype("ReO3", 1, 0, 3),
    Prototype("dimer", 2, 0, 7),
    Prototype("SiF4", 1, 0, 4),
)

TERNARY_PROTOTYPES = (
    Prototype("delafossite", 1, 1, 2),
    Prototype("alpha-NaFeO2", 1, 1, 2, larger_a=True),
    Prototype("perovskite", 1, 1, 3, larger_a=True),
    Prototype("GdFeO3", 1, 1, 3, larger_a=True),
    Prototype("ilmenite", 1, 1, 3),
    Prototype("scheelite", 1, 1, 4, larger_a=True),
    Prototype("zircon", 1, 1, 4, larger_a=True),
    Prototype("wolframite", 1, 1, 4),
    Prototype("Li2SnO3", 2, 1, 3),
    Prototype("spinel", 1, 2, 4, n_metals=(1, 2)),
    Prototype("CaFe2O4", 1, 2, 4, larger_a=True),
    Prototype("olivine", 2, 1, 4),
    Prototype("K2NiF4", 2, 1, 4, larger_a=True),
    Prototype("Li3PO4", 3, 1, 4),
    Prototype("brownmillerite", 2, 2, 5, larger_a=True),
    Prototype("pseudobrookite", 2, 1, 5),
    Prototype("trirutile", 1, 2, 6),
    Prototype("columbite", 1, 2, 6),
    Prototype("pyrochlore", 2, 2, 7, larger_a=True),
    Prototype("thortveitite", 2, 2, 7),
    Prototype("ZrW2O8", 1, 2, 8),
    Prototype("garnet", 3, 5, 12, larger_a=True),
    Prototype("NZP", 2, 3, 12),
)


def reduced_formula(composition: Mapping[str, float]) -> str:
    """Formula of an oxide with whole, coprime numbers, oxygen last.

    Metals come by ascending oxidation state (the highest one of a mixed-valent metal), then ascending Pauling
    electronegativity, then alphabetically.

    Parameters
    ----------
    composition : mapping of str to float
        Element -> atoms, whole numbers.

    Raises
    ------
    InputError
        If a number is not whole, or if the composition is no oxide that can be balanced.

    Examples
    --------
    >>> reduced_formula({"Ti": 2, "O": 6, "Pb": 2})
    'PbTiO3'
    """
    if any(n != int(n) or n < 1 for n in composition.values()):
        raise InputError(f"composition {dict(composition)!r}: needs whole numbers of atoms")
    divisor = math.gcd(*(int(n) for n in composition.values()))
    state = {s.element: s.state for s in oxidation_states(composition)}
    metals = sorted(composition.keys() - {"O"}, key=lambda m: (state[m], element_data()[m].value("EN (Pauling)"), m))
    counts = ((e, int(composition[e]) // divisor) for e in (*metals, "O"))
    return "".join(f"{e}{n if n > 1 else ''}" for e, n in counts)


def candidate_oxides(
    elements: Iterable[str] | None = None,
    n_metals: Iterable[int] = (1, 2),
    prototypes: Iterable[Prototype] = (*BINARY_PROTOTYPES, *TERNARY_PROTOTYPES),
    max_index: int = 6,
) -> Iterator[CandidateOxide]:
    """Charge-balanced oxides, each formula once.

    Parameters
    ----------
    elements : iterable of str, optional
        Metals to combine; by default `sisso_sal.oxides.metals.METALS`.
    n_metals : iterable of int
        How many metals a candidate may have, 1 to 6.
    prototypes : iterable of Prototype
        Structure types to fill with one and two metals.
    max_index : int
        Largest index of a metal in oxides of three and more.

    Yields
    ------
    CandidateOxide
        Few metals first. Of one and two metals by their atomic numbers, then in the order of the prototypes; of more metals by
        symbols, then indices. The order does not depend on that of ``elements``.

    Raises
    ------
    InputError
        If an element is unknown or has no common positive oxidation state, or another number of metals is asked for.

    Examples
    --------
    >>> [c.formula for c in candidate_oxides(["Ti", "Sr"])]
    ['TiO2', 'SrO', 'SrTiO3', 'Sr2TiO4', 'SrTi2O5']
    >>> next(candidate_oxides(["Zn", "Ti"], n_metals=[2]))
    CandidateOxide(formula='ZnTiO3', prototypes=('perovskite', 'GdFeO3', 'ilmenite'), oxidation_states=(('Zn', 2), ('Ti', 4)))
    >>> [c.formula for c in candidate_oxides(["Zn", "Ti", "Sr"], n_metals=[3], max_index=1)]
    ['SrZnTiO4']
    """
    metals = _checked_metals(elements)
    sizes = sorted(set(n_metals))
    if not set(sizes) <= set(range(1, 7)):
        raise InputError(f"candidate oxides: n_metals needs numbers from 1 to 6, found {sizes}")
    chosen = tuple(prototypes)
    for size in sizes:
        if size > 2:
            yield from _candidates_without_prototype(metals, size, max_index)
            continue
        fitting = [p for p in chosen if (p.b > 0) == (size == 2)]
        for group in combinations(metals, size):
            yield from _candidates_of(group, fitting)


def count_candidates(elements: Iterable[str] | None, n_metals: int, max_index: int) -> int:
    """How many oxides of three or more metals `candidate_oxides` makes, without making them; refuses what that refuses.

    Examples
    --------
    >>> count_candidates(None, 3, 6)
    11443491
    """
    metals = _checked_metals(elements)
    return count_balanced(metal_table(metals), n_metals, max_index) if n_metals <= len(metals) else 0


def _checked_metals(elements: Iterable[str] | None) -> list[str]:
    """By atomic number."""
    symbols = set(METALS if elements is None else elements)
    check_metals(sorted(symbols), "candidate oxides")
    return sorted(symbols, key=lambda s: element_data()[s].value("AN"))


def _candidates_of(group: tuple[str, ...], prototypes: Iterable[Prototype]) -> Iterator[CandidateOxide]:
    """The candidates with exactly these metals, prototypes of equal composition collected."""
    names_by_composition: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for prototype in prototypes:
        for sites in (group, group[::-1]) if len(group) == 2 else (group,):
            composition = prototype.filled(sites)
            if _common_states_balance(composition) and (len(sites) == 1 or prototype.admits(sites)):
                names_by_composition.setdefault(tuple(sorted(composition.items())), []).append(prototype.name)
    for key, names in names_by_composition.items():
        composition = dict(key)
        states = {s.element: int(s.state) for s in oxidation_states(composition)}
        order = sorted(group, key=lambda m: (states[m], element_data()[m].value("EN (Pauling)"), m))
        yield CandidateOxide(reduced_formula(composition), tuple(names), tuple((m, states[m]) for m in order))


def _candidates_without_prototype(metals: Sequence[str], size: int, max_index: int) -> Iterator[CandidateOxide]:
    """The candidates with `size` of these metals and any indices up to `max_index`."""
    if size > len(metals):
        return
    table = metal_table(metals)
    symbols = np.array(table.symbols, dtype=object)
    stop = math.comb(len(metals), size) * max_index**size
    for oxides in balanced_oxides(table, size, max_index, 0, stop):
        ordered = np.take_along_axis(symbols[oxides.metals], oxides.order, axis=0).T
        states = np.take_along_axis(oxides.states, oxides.order, axis=0).T
        for formula, names, charges in zip(formulas_of(table, oxides), ordered.tolist(), states.tolist(), strict=True):
            yield CandidateOxide(formula, (), tuple(zip(names, charges, strict=True)))


def _common_states_balance(composition: Mapping[str, int]) -> bool:
    table = element_data()
    metals = [m for m in composition if m != "O"]
    charges = product(*(table[m].common for m in metals))
    return any(sum(composition[m] * q for m, q in zip(metals, c, strict=True)) == 2 * composition["O"] for c in charges)
