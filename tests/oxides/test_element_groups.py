"""Groups of elements: their members against other sources, and what is left out because of them."""

import gc
import warnings
from itertools import product

import pytest

from sisso_sal.errors import SettingsError
from sisso_sal.oxides.element_groups import element_groups, elements_named, groups_of, unwanted, unwanted_formulas
from sisso_sal.oxides.elements import atomic_fractions, element_data, parse_formula


@pytest.fixture(scope="module")
def elements():
    """The table of another package, for the elements that are known here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mendeleev.fetch import fetch_table

        table = fetch_table("elements").set_index("symbol")
        gc.collect()  # the connections that mendeleev leaves open: their warnings belong here, and not to any test
    return table.loc[[symbol for symbol in element_data() if symbol in table.index]]


def test_scarce_elements_are_those_of_the_table_of_abundances(elements):
    noble = {"He", "Ne", "Ar", "Kr", "Xe", "Rn"}
    abundance = elements["abundance_crust"]
    scarce = set(elements.index[(abundance > 0) & (abundance < 0.1)])
    assert scarce - noble - element_groups()["radioactive"].reasons.keys() == element_groups()["scarce"].reasons.keys()


def test_radioactive_elements_have_no_stable_isotope(elements):
    unstable = set(elements.index[elements["is_radioactive"].astype(bool)])
    assert unstable - {"Bi"} == element_groups()["radioactive"].reasons.keys()


def test_every_group_has_sources_and_known_elements():
    for group in element_groups().values():
        assert group.sources
        assert group.means
        assert group.reasons.keys() <= element_data().keys()
    toxic = element_groups()["toxic"]
    named = {source.partition(":")[0] for source in toxic.sources}
    cited = {name for reason in toxic.reasons.values() for name in named if f"({name})" in reason}
    assert all(any(f"({name})" in reason for name in named) for reason in toxic.reasons.values())
    assert cited == named


def test_names_are_elements_or_groups():
    assert elements_named(["Hg", "SCARCE"], "x") == {"Hg", *element_groups()["scarce"].reasons}
    for name, hint in (("Xx", ""), ("hg", "'Hg'"), ("toxc", "'toxic'"), ("", "")):
        with pytest.raises(SettingsError, match="exclude_elements: needs elements or groups") as caught:
            elements_named([name], "exclude_elements")
        assert repr(name) in str(caught.value)
        assert hint in str(caught.value)


def test_what_is_unwanted_equals_a_look_at_each_formula():
    metals = ["Mg", "Hg", "U", "Ti", "Pt", "Pb"]
    formulas = [f"{a}{b}O3" for a, b in product(metals, metals) if a != b] + ["TiO2", "HgO"]
    for exclude, only in (
        (["toxic"], []),
        ([], ["Mg", "Ti", "Pt"]),
        (["scarce"], ["Mg", "Pt", "toxic"]),
        (["O"], []),
        ([], []),
    ):
        found = unwanted(atomic_fractions(formulas), exclude, only, "table")
        bad = set(elements_named(exclude, "x"))
        fine = set(elements_named(only, "x")) | {"O"}
        for row, formula in enumerate(formulas):
            elements = set(parse_formula(formula))
            expected = (elements & bad) | (elements - fine if only else set())
            assert set(found.get(row, ())) == expected
        assert unwanted_formulas(formulas, exclude, only).keys() == {formulas[row] for row in found}


def test_without_formulas_nothing_can_be_excluded():
    with pytest.raises(
        SettingsError, match=r"a\.csv: elements can be excluded only where every candidate has a formula"
    ):
        unwanted(None, ["U"], [], "a.csv")
    assert unwanted(None, [], [], "a.csv") == {}


def test_groups_of_a_material_are_told():
    assert groups_of(["Ag", "O", "U"]) == "Ag (scarce), U (radioactive, toxic)"
    assert groups_of(["Mg", "O"]) == ""
