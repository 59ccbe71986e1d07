"""Which metal of an oxide sits where: the structure types that a composition fits, and those of its ions.

`sisso_sal.oxides.pool` makes candidates from its own structure types alone. The further types of this module are only started from.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations

from sisso_sal.oxides.elements import element_data
from sisso_sal.oxides.oxidation_states import mean_states
from sisso_sal.oxides.pool import BINARY_PROTOTYPES, TERNARY_PROTOTYPES, Prototype

__all__ = ["FURTHER_PROTOTYPES", "role_assignments", "role_ions"]

FURTHER_PROTOTYPES = (
    *(Prototype(name, 1, 0, 1) for name in ("PdO", "NbO", "litharge", "romarchite", "Li2O2", "Na2O2", "K2O2", "Rb2O2")),
    *(
        Prototype(name, 2, 0, 3)
        for name in ("La2O3", "beta-Ga2O3", "valentinite", "senarmontite", "arsenolite", "Au2O3", "Rb4O6")
    ),
    *(Prototype(name, 1, 0, 2) for name in ("CaCl2", "CdI2", "alpha-PbO2", "paratellurite", "SeO2")),
    *(Prototype(name, 1, 0, 2) for name in ("BaO2", "MgO2", "KO2", "NaO2", "marcasite")),
    *(Prototype(name, 2, 0, 5) for name in ("B-Nb2O5", "beta-Ta2O5", "As2O5")),
    *(Prototype(name, 1, 0, 3) for name in ("MoO3", "CrO3", "WO3", "TeO3", "KO3", "RbO3", "LiO3")),
    *(Prototype(name, 3, 0, 4) for name in ("Pt3O4", "Ag3O4")),
    *(Prototype(name, 3, 0, 5) for name in ("V3O5", "Ti3O5")),
    *(Prototype(f"Ti{n}O{2 * n - 1}", n, 0, 2 * n - 1) for n in (4, 5, 6, 7, 8)),
    Prototype("Cu4O3", 4, 0, 3),
    Prototype("W3O8", 3, 0, 8),
    *(Prototype(name, 2, 0, 1) for name in ("Cs2O", "Ti2O")),
    *(Prototype(name, 3, 0, 1) for name in ("Ti3O", "Zr3O", "Ag3O")),
    Prototype("Ta4O", 4, 0, 1),
    Prototype("Ti6O", 6, 0, 1),
    Prototype("Cs7O", 7, 0, 1),
    *(Prototype(name, 1, 1, 2, lower_a=True) for name in ("beta-NaFeO2", "gamma-LiAlO2", "alpha-LiFeO2")),
    Prototype("AgO", 1, 1, 2, lower_a=True, n_metals=(1,)),
    Prototype("MgVO3", 1, 1, 3, lower_a=True),
    *(Prototype(name, 1, 1, 4, lower_a=True) for name in ("CrVO4", "MgMoO4")),
    Prototype("cervantite", 1, 1, 4, lower_a=True, n_metals=(1,)),
    Prototype("hausmannite", 1, 2, 4, lower_a=True, n_metals=(1, 2)),
    Prototype("inverse-spinel", 1, 2, 4, n_metals=(1, 2)),
    *(Prototype(name, 2, 1, 4, lower_a=True) for name in ("K2SO4", "K2MoO4", "Na2CrO4")),
    *(Prototype(name, 1, 2, 6, lower_a=True) for name in ("brannerite", "CaV2O6", "PbSb2O6")),
    *(Prototype(name, 2, 2, 7, lower_a=True) for name in ("Ca2V2O7", "Mg2V2O7", "Zn2V2O7", "Na2Mo2O7")),
    Prototype("NaV2O5", 1, 2, 5, lower_a=True),
    *(Prototype(name, 3, 2, 8, lower_a=True) for name in ("Ba3Cr2O8", "Mg3V2O8")),
    Prototype("Zn2Mo3O8", 2, 3, 8, lower_a=True),
    Prototype("Cd2Mn3O8", 2, 3, 8, lower_a=True, n_metals=(1, 2)),
    Prototype("KCr3O8", 1, 3, 8, lower_a=True),
    *(Prototype(name, 4, 1, 4, lower_a=True) for name in ("Na4IrO4", "K4IrO4")),
    Prototype("Na4SnO3", 4, 1, 3, lower_a=True),
    Prototype("Na3CoO3", 3, 1, 3, lower_a=True),
    Prototype("ZrP2O7", 1, 2, 7, lower_a=True),
    Prototype("Cs3CoCl5", 3, 1, 5, lower_a=True),
    Prototype("Sr3Ti2O7", 3, 2, 7, lower_a=True),
    Prototype("LiFe5O8", 1, 5, 8),
    Prototype("Li2CuO2", 2, 1, 2, lower_a=True),
    Prototype("Li8SnO6", 8, 1, 6, lower_a=True),
    Prototype("Li5BiO5", 5, 1, 5, lower_a=True),
    Prototype("Na4UO5", 4, 1, 5, lower_a=True),
    Prototype("CsW3O9", 1, 3, 9, lower_a=True),
    Prototype("NaMo4O6", 1, 4, 6, lower_a=True),
    Prototype("oxyapatite", 10, 6, 25, lower_a=True),
)
"""Structure types that a calculation may start from, beside those that the pool of candidates is made of."""

_BY_NAME = {p.name: p for p in (*BINARY_PROTOTYPES, *TERNARY_PROTOTYPES, *FURTHER_PROTOTYPES)}


def role_assignments(composition: Mapping[str, float]) -> Iterator[tuple[str, dict[str, str]]]:
    """The structure types that a composition fits, and which metal sits where.

    Parameters
    ----------
    composition : mapping of str to float
        Element -> atoms; any multiple of the formula unit.

    Yields
    ------
    (str, dict of str to str)
        Name of the type, and "A" -> metal, "B" -> metal; both the same where ions of one metal fill the type.

    Examples
    --------
    >>> dict(role_assignments({"Al": 2, "Mg": 1, "O": 4}))["spinel"]
    {'A': 'Mg', 'B': 'Al'}
    >>> dict(role_assignments({"Fe": 3, "O": 4}))["spinel"]
    {'A': 'Fe', 'B': 'Fe'}
    """
    metals = sorted(composition.keys() - {"O"})
    for prototype in _BY_NAME.values():
        for sites in _choices(prototype, metals):
            if _same(prototype.filled(sites), composition) and _admitted(prototype, sites):
                yield prototype.name, dict(zip("AB", sites, strict=False))


def _choices(prototype: Prototype, metals: Sequence[str]) -> list[tuple[str, ...]]:
    """Ways to put metals on the sites of a type."""
    if not prototype.b:
        return [(metals[0],)] if len(metals) == 1 else []
    if len(metals) not in prototype.n_metals:
        return []
    return list(permutations(metals)) if len(metals) == 2 else [(metals[0], metals[0])]


def _same(filled: Mapping[str, int], composition: Mapping[str, float]) -> bool:
    """Whether two compositions have the same fractions."""
    ratio = sum(composition.values()) / sum(filled.values())
    return all(math.isclose(n * ratio, composition.get(e, 0.0), rel_tol=1e-9) for e, n in filled.items())


def _admitted(prototype: Prototype, sites: tuple[str, ...]) -> bool:
    if len(sites) == 1:
        return True
    return prototype.admits(sites) if sites[0] != sites[1] else _two_states(prototype, sites[0]) is not None


def role_ions(name: str, roles: Mapping[str, str], composition: Mapping[str, float]) -> dict[str, tuple[str, float]]:
    """The ions of an oxide in a structure type.

    A metal has its mean oxidation state. Where one metal fills both roles, its ions have two of its known states that balance the
    charge, the nearest ones, the lower at A.

    Parameters
    ----------
    name, roles
        From `role_assignments`.
    composition : mapping of str to float

    Returns
    -------
    dict of str to (str, float)
        Role -> element and oxidation state.

    Examples
    --------
    >>> role_ions("spinel", {"A": "Fe", "B": "Fe"}, {"Fe": 3, "O": 4})
    {'A': ('Fe', 2.0), 'B': ('Fe', 3.0)}
    """
    if len(roles) == 2 and roles["A"] == roles["B"]:
        states = _two_states(_BY_NAME[name], roles["A"])
        if states is not None:
            return {role: (roles[role], float(state)) for role, state in zip("AB", states, strict=True)}
    mean = mean_states(composition)
    return {role: (metal, mean[metal]) for role, metal in roles.items()}


def _two_states(prototype: Prototype, metal: str) -> tuple[int, int] | None:
    """Known states of a metal, the lower first, that make a type of it neutral."""
    pairs = [
        (low, high)
        for low, high in combinations(sorted(element_data()[metal].known), 2)
        if prototype.a * low + prototype.b * high == 2 * prototype.o
    ]
    return min(pairs, key=lambda pair: pair[1] - pair[0], default=None)
