"""Candidate oxides: charge balance, order, prototypes."""

import pytest
from naive_oxides import balanced_formulas

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import element_data, parse_formula
from sisso_sal.oxides.formulas import plain_atoms
from sisso_sal.oxides.metals import METALS
from sisso_sal.oxides.oxidation_states import oxidation_states
from sisso_sal.oxides.pool import TERNARY_PROTOTYPES, Prototype, candidate_oxides, count_candidates, reduced_formula


@pytest.fixture(scope="module")
def candidates():
    return list(candidate_oxides())


def test_default_pool(candidates):
    formulas = [c.formula for c in candidates]
    assert len(METALS) == 67
    assert len(set(formulas)) == len(formulas) > 4500
    binaries = [len(c.oxidation_states) == 1 for c in candidates]
    assert 80 <= sum(binaries) <= 100
    assert binaries == sorted(binaries, reverse=True)
    assert {"TiO2", "IrO2", "BaTiO3", "MgAl2O4", "LiCoO2", "Y2Ti2O7", "Fe2TiO5", "CaWO4", "Mg2SiO4"} <= set(formulas)


def test_every_candidate_is_neutral_in_common_states(candidates):
    for candidate in candidates[::7]:
        composition = parse_formula(candidate.formula)
        charge = sum(composition[metal] * state for metal, state in candidate.oxidation_states)
        assert charge == 2 * composition["O"], candidate
        assert all(state in element_data()[metal].common for metal, state in candidate.oxidation_states)
        assert candidate.prototypes
        assert reduced_formula(composition) == candidate.formula


def test_order_does_not_depend_on_the_order_of_the_elements():
    forward = list(candidate_oxides(["Ti", "Fe", "Ba", "Pb"]))
    assert forward == list(candidate_oxides(["Pb", "Ba", "Ti", "Fe", "Ti"]))
    assert [c.formula for c in forward[:4]] == ["TiO2", "FeO", "Fe2O3", "BaO"]


def test_number_of_metals():
    binaries = list(candidate_oxides(["Ti", "Sr"], n_metals=[1]))
    ternaries = list(candidate_oxides(["Ti", "Sr"], n_metals=[2]))
    assert [c.formula for c in binaries] == ["TiO2", "SrO"]
    assert binaries + ternaries == list(candidate_oxides(["Ti", "Sr"], n_metals=[2, 1]))


def test_prototypes_share_a_composition_and_respect_the_sites():
    (zinc_titanate,) = [c for c in candidate_oxides(["Zn", "Ti"]) if c.formula == "ZnTiO3"]
    assert zinc_titanate.prototypes == ("perovskite", "GdFeO3", "ilmenite")
    pyrochlore = [p for p in TERNARY_PROTOTYPES if p.name == "pyrochlore"]
    assert [c.formula for c in candidate_oxides(["Y", "Ti"], prototypes=pyrochlore)] == ["Y2Ti2O7"]
    assert list(candidate_oxides(["Al", "Ge"], prototypes=pyrochlore)) == []  # Al is smaller than Ge


def test_three_metals_need_no_prototype():
    metals = ["Fe", "Ti", "Li"]
    quaternaries = list(candidate_oxides(metals, n_metals=[3], max_index=3))
    assert {c.formula for c in quaternaries} == balanced_formulas(metals, 3)
    assert count_candidates(metals, 3, 3) == len(quaternaries) > 20
    for candidate in quaternaries:
        composition = parse_formula(candidate.formula)
        assert candidate.prototypes == ()
        states = {s.element: s.state for s in oxidation_states(composition) if s.element != "O"}
        assert dict(candidate.oxidation_states) == states
        in_formula = [symbol for symbol, _ in plain_atoms(candidate.formula) or ()]
        assert [*(metal for metal, _ in candidate.oxidation_states), "O"] == in_formula
    assert list(candidate_oxides(metals, n_metals=[1, 2, 3], max_index=3))[-len(quaternaries) :] == quaternaries
    assert list(candidate_oxides(["Ti", "Li"], n_metals=[3])) == []
    assert count_candidates(["Ti", "Li"], 3, 6) == 0


def test_own_prototype():
    (oxide,) = candidate_oxides(["Zr", "W"], n_metals=[2], prototypes=[Prototype("mine", 1, 2, 8)])
    assert (oxide.formula, oxide.prototypes) == ("ZrW2O8", ("mine",))
    assert oxide.oxidation_states == (("Zr", 4), ("W", 6))


@pytest.mark.parametrize(
    ("composition", "formula"),
    [
        ({"O": 8, "Cr": 4, "Fe": 2}, "FeCr2O4"),
        ({"Ag": 2, "O": 2}, "AgO"),
        ({"Pb": 2, "Si": 1, "O": 4}, "Pb2SiO4"),
        ({"Si": 1, "Zr": 1, "O": 4}, "ZrSiO4"),
    ],
)
def test_reduced_formula(composition, formula):
    assert reduced_formula(composition) == formula


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"elements": ["Ti", "Xx"]}, "candidate oxides: needs elements with a common positive state, found 'Xx'"),
        ({"elements": ["O", "Ti"]}, "candidate oxides: needs elements with a common positive state, found 'O'"),
        ({"elements": ["F"]}, "candidate oxides: needs elements with a common positive state, found 'F'"),
        ({"n_metals": [2, 7]}, "candidate oxides: n_metals needs numbers from 1 to 6, found [2, 7]"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError) as caught:
        next(candidate_oxides(**arguments))
    assert str(caught.value) == message
    with pytest.raises(InputError, match="needs whole numbers of atoms"):
        reduced_formula({"Ti": 0.5, "O": 1})
