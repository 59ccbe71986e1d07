"""Which ion sits where: mixed valence, kinds of anions, oxides rich in metal, and that the pool of candidates stays what it is."""

import numpy as np
import pytest
from pymatgen.core import Element

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.magnetism import type_of
from sisso_sal.oxides.metals import METALS
from sisso_sal.oxides.oxidation_states import mean_states
from sisso_sal.oxides.phases import element_structure
from sisso_sal.oxides.pool import candidate_oxides
from sisso_sal.oxides.prototypes import prototype_structure, prototype_structures
from sisso_sal.oxides.roles import FURTHER_PROTOTYPES, role_assignments, role_ions
from sisso_sal.oxides.structure_types import structure_types

FURTHER = {prototype.name: prototype for prototype in FURTHER_PROTOTYPES}


def names_of(formula, prototypes=None):
    return [name for name, _ in prototype_structures(formula, prototypes) if type_of(name) == name]


def ions_of(formula, name):
    composition = parse_formula(formula)
    return role_ions(name, dict(role_assignments(composition))[name], composition)


@pytest.mark.parametrize(
    ("formula", "name", "ions"),
    [
        ("Fe3O4", "spinel", {"A": ("Fe", 2), "B": ("Fe", 3)}),
        ("Fe6O8", "inverse-spinel", {"A": ("Fe", 2), "B": ("Fe", 3)}),
        ("Mn3O4", "hausmannite", {"A": ("Mn", 2), "B": ("Mn", 3)}),
        ("Mn5O8", "Cd2Mn3O8", {"A": ("Mn", 2), "B": ("Mn", 4)}),
        ("AgO", "AgO", {"A": ("Ag", 1), "B": ("Ag", 3)}),
        ("Sb2O4", "cervantite", {"A": ("Sb", 3), "B": ("Sb", 5)}),
        ("CoFe2O4", "inverse-spinel", {"A": ("Co", 2), "B": ("Fe", 3)}),
        ("Ti4O7", "Ti4O7", {"A": ("Ti", 3.5)}),
        ("Ba3V2O8", "Ba3Cr2O8", {"A": ("Ba", 2), "B": ("V", 5)}),
    ],
)
def test_ions(formula, name, ions):
    assert ions_of(formula, name) == ions


@pytest.mark.parametrize("name", sorted(FURTHER))
def test_the_ions_of_an_example_are_neutral(name):
    """Of metal-rich types no ions are asked for."""
    kind, asked = structure_types()[name], FURTHER[name]
    if kind.metallic:
        assert not kind.ions
        return
    ions = dict(kind.ions) or ions_of(kind.example, name)
    charge = sum(ions[role][1] * count for role, count in (("A", asked.a), ("B", asked.b)) if count)
    assert charge + kind.anion * asked.o == pytest.approx(0, abs=1e-4)
    assert set(ions) == ({"A", "B"} if asked.b else {"A"})


@pytest.mark.parametrize("name", sorted(structure_types()))
def test_compounds_that_have_a_type_start_from_it(name):
    """The rarest of the listed compounds of each type; several types of one compound come in the order of the radii."""
    kind = structure_types()[name]
    for key in sorted(kind.compounds)[:2]:
        names = names_of(key)
        known = [n for n in names if key in structure_types()[n].compounds]
        assert name in known
        assert names[: len(known)] == known


def test_a_mixed_valent_metal_is_not_made_up():
    """Al has one state, so an oxide of Al alone has no spinel."""
    assert "spinel" not in dict(role_assignments({"Al": 3, "O": 4}))
    assert "spinel" in dict(role_assignments({"Cr": 3, "O": 4}))


def test_peroxides_start_from_peroxides_and_oxides_do_not():
    pairs = {name for name, kind in structure_types().items() if kind.pair}
    assert names_of("BaO2")[:2] == ["BaO2", "MgO2"]
    assert names_of("KO2")[0] == "KO2"
    assert names_of("KO3")[0] == "KO3"
    assert not pairs & {*names_of("TiO2"), *names_of("CaO"), *names_of("WO3"), *names_of("Al2O3")}


@pytest.mark.parametrize(
    ("formula", "name", "bonds"), [("RbO2", "KO2", 1), ("SrO2", "BaO2", 1), ("CsO3", "RbO3", 2), ("CdO2", "MgO2", 4)]
)
def test_anions_keep_their_size(formula, name, bonds):
    """The cell grows with the ion, the bonds of oxygen do not; they are told from all others by their length."""
    kind = structure_types()[name]
    example = prototype_structure(name, kind.ions)
    structure = next(s for n, s in prototype_structures(formula, [name]) if n == name)
    lengths = []
    for one in (example, structure):
        oxygen = [i for i, site in enumerate(one) if site.specie.symbol == "O"]
        distances = one.distance_matrix[np.ix_(oxygen, oxygen)][np.triu_indices(len(oxygen), 1)]
        lengths.append(np.sort(distances[distances < 1.2 * kind.pair]))
    assert len(lengths[1]) >= bonds
    assert lengths[1] == pytest.approx(lengths[0], abs=2e-4)
    assert abs(structure.volume / example.volume - 1) > 0.02


def test_a_metal_rich_oxide_has_the_volume_of_its_metal():
    titanium, zirconium = (prototype_structure("Ti2O", {"A": (metal, 1.0)}) for metal in ("Ti", "Zr"))
    ratio = float(Element("Zr").molar_volume / Element("Ti").molar_volume)
    assert zirconium.volume / titanium.volume == pytest.approx(ratio)
    assert "Ti2O" in names_of("Zr2O")
    with pytest.raises(InputError, match=r"^prototype 'Ti2O': needs the molar volume of At, none is known$"):
        prototype_structure("Ti2O", {"A": ("At", 1.0)})
    assert not {"Ti2O", "Ti3O"} & {*names_of("Cu2O"), *names_of("Li2O"), *names_of("Ag2O")}


def test_further_types_come_last_and_only_where_they_suit_better():
    assert names_of("MgO") == ["rocksalt", "wurtzite", "tenorite"]
    known = names_of("MnWO4")
    assert known[:3] == [name for name in known if name not in FURTHER]
    assert names_of("TiO2", ["CdI2"]) == ["CdI2"]


@pytest.mark.parametrize(
    ("once", "often"), [("Fe3O4", "Fe6O8"), ("KO2", "K3O6"), ("CuFeO2", "O4Fe2Cu2"), ("Ti4O7", "Ti12O21")]
)
def test_a_multiple_of_a_formula_has_the_same_structures(once, often):
    first, second = (dict(prototype_structures(formula)) for formula in (once, often))
    assert list(first) == list(second)
    assert [s.volume / len(s) for s in first.values()] == pytest.approx([s.volume / len(s) for s in second.values()])


def test_the_pool_has_none_of_the_further_types():
    for candidate in list(candidate_oxides())[::53]:
        assert not set(candidate.prototypes) & set(FURTHER)


def test_mean_states():
    assert mean_states({"Mn": 3, "O": 4}) == pytest.approx({"Mn": 8 / 3, "O": -2})
    assert mean_states({"K": 1, "O": 2}) == pytest.approx({"K": 1, "O": -0.5})


def test_every_metal_of_the_pool_has_a_structure():
    pytest.importorskip("ase")
    assert all(len(element_structure(metal)) > 0 for metal in METALS)
