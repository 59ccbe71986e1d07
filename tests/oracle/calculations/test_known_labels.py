"""Labels from calculations that were done already: against the arithmetic by hand, and against what is missing or does not fit."""

import shutil

import pandas as pd
import pytest
from done_calculations import HYDROGEN, OXYGEN, WATER, metal_of, rocksalt, write_run, wurtzite

from sisso_sal.data.table import read_table
from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.calculations.survey import known_labels, survey
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.labels import References
from sisso_sal.oracle.stability.measured import OXYGEN_ENTROPY
from sisso_sal.oracle.stability.pourbaix import Species, decompose
from sisso_sal.settings.calculation import LabelSettings
from sisso_sal.settings.campaign import CampaignSettings, RunSettings

WATER_ENERGY, HYDROGEN_ENERGY = -14.2, -6.8
REFERENCES = References(water=WATER_ENERGY, hydrogen=HYDROGEN_ENERGY)


def table(*formulas, **columns):
    columns = {"formula": list(formulas), "EN": [float(n) for n in range(len(formulas))], **columns}
    return read_table(pd.DataFrame(columns), id="formula")


@pytest.fixture(scope="module")
def calculated(tmp_path_factory):
    """MgO in two structures, CaO, their metals, water and hydrogen."""
    folder = tmp_path_factory.mktemp("calculated") / "own"
    write_run(folder / "MgO-rocksalt", rocksalt("Mg"), -11.0, gap=4.5)
    write_run(folder / "MgO-wurtzite", wurtzite("Mg"), -21.6, gap=3.0)
    write_run(folder / "CaO", rocksalt("Ca", 4.8), -12.5, gap=3.5)
    write_run(folder / "Mg", metal_of("Mg"), -3.0)
    write_run(folder / "Ca", metal_of("Ca", 4.0), -4.0)
    write_run(folder / "water", WATER, WATER_ENERGY)
    write_run(folder / "hydrogen", HYDROGEN, HYDROGEN_ENERGY)
    return folder


@pytest.fixture
def own(calculated, tmp_path):
    """The same in a folder of the test's own."""
    return shutil.copytree(calculated, tmp_path / "own")


def formation(energy, metal):
    return energy - metal - REFERENCES.oxygen


def test_the_lowest_energy_of_a_formula_makes_its_label_as_by_hand(own):
    looked = survey(own, LabelSettings(), table("MgO", "CaO", "SrO"))
    mg, ca = formation(-11.0, -1.5), formation(-12.5, -2.0)
    by_hand = {
        "MgO": decompose(Species("MgO", {"Mg": 1, "O": 1}, mu=mg), aqueous_species(["Mg"])).energy,
        "CaO": decompose(Species("CaO", {"Ca": 1, "O": 1}, mu=ca), aqueous_species(["Ca"])).energy,
    }
    assert {id: one.value for id, one in looked.labels.items()} == pytest.approx(by_hand)
    assert looked.labels["MgO"].place == "MgO-rocksalt/aims.out"
    assert looked.lacking == {"SrO": ("SrO (not computed)",)}
    assert looked.used.oxygen == "H2O (water/aims.out) and H2 (hydrogen/aims.out)"


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("energy_per_atom", -5.5),
        ("energy_per_formula", -11.0),
        ("volume_per_formula", 4.2**3 / 4),
        ("band_gap", 4.5),
        ("formation_energy", formation(-11.0, -1.5) / 2),
        ("energy_per_atom + 2*volume_per_atom - band_gap", -5.5 + 4.2**3 / 4 - 4.5),
        ("formation_energy - energy_per_atom", formation(-11.0, -1.5) / 2 + 5.5),
    ],
)
def test_a_label_may_be_a_plain_property_or_an_expression(own, quantity, value):
    found = survey(own, LabelSettings(quantity=quantity), table("MgO")).labels["MgO"]
    assert found.value == pytest.approx(value, abs=1e-6)


def test_rows_that_have_a_label_are_not_asked_for(own):
    candidates = table("MgO", "CaO", **{"dG_pbx (eV/atom)": [0.8, None]})
    assert list(survey(own, LabelSettings(), candidates).labels) == ["CaO"]
    assert list(survey(own, LabelSettings(), candidates, every=True).labels) == ["MgO", "CaO"]


def test_what_a_label_waits_for_has_its_name(own):
    for name in ("Mg", "water"):
        (own / name / "aims.out").unlink()
    lacking = survey(own, LabelSettings(quantity="formation_energy"), table("MgO")).lacking["MgO"]
    assert lacking == ("H2O and H2 (not computed)", "Mg (not computed)")


def test_without_water_the_molecule_o2_is_the_reference_and_that_is_told(own):
    (own / "water" / "aims.out").unlink()
    write_run(
        own / "oxygen", OXYGEN, -9.0, spin="collinear", change=lambda control: f"default_initial_moment 1\n{control}"
    )
    looked = survey(own, LabelSettings(quantity="formation_energy", oxygen_correction=0.1), table("MgO"))
    assert looked.labels["MgO"].value == pytest.approx((-11.0 + 1.5 + 4.5 + 0.1 + OXYGEN_ENTROPY) / 2)
    assert "oxygen from O2 (oxygen/aims.out); no H2O and H2 have these settings" in looked.notes()
    given = survey(
        own, LabelSettings(quantity="formation_energy", oxygen_energy=-4.5, oxygen_correction=0.1), table("MgO")
    )
    assert given.labels["MgO"].value == pytest.approx(looked.labels["MgO"].value)


def test_a_calculation_with_other_settings_is_in_no_label_and_is_told(own):
    write_run(own / "Mg-hybrid", metal_of("Mg"), -300.0, xc="hse06")
    write_run(own / "MgO-coarse", rocksalt("Mg"), -300.0, k_grid=(2, 2, 2))
    write_run(
        own / "MgO-basis",
        rocksalt("Mg"),
        -300.0,
        change=lambda control: control.replace("hydro 2 p 1.4", "hydro 2 p 1.8"),
    )
    looked = survey(own, LabelSettings(quantity="energy_per_atom"), table("MgO"))
    assert looked.labels["MgO"].value == -5.5
    told = {(place, name): (value, usual) for place, name, value, usual in looked.others}
    assert told["Mg-hybrid/aims.out", "xc"] == ("hse06 0.11 1/bohr", "pbe")
    assert told["MgO-coarse/aims.out", "k_grid"][0].startswith("2 2 2 (")
    basis = told["MgO-basis/aims.out", "species"]
    assert basis == (
        "of their own; Mg with hydro 2 p 1.8, without hydro 2 p 1.4; O with hydro 2 p 1.8, without hydro 2 p 1.4",
        "of their own",
    )
    (line,) = (line for line in looked.notes() if "other settings" in line)
    start, _, kinds = line.partition(": ")
    assert start == "3 calculations with other settings are not used"
    assert sorted(kinds.split(", ")) == ["k_grid (1)", "species (1)", "xc (1)"]


def test_the_group_that_labels_the_most_candidates_is_used_unless_another_is_chosen(own):
    write_run(own / "hybrid-MgO", rocksalt("Mg"), -15.0, xc="hse06", k_grid_density=5)
    settings = LabelSettings(quantity="energy_per_atom")
    assert survey(own, settings, table("MgO", "CaO")).labels["MgO"].value == -5.5
    chosen = settings.model_copy(update={"calculated_with": {"xc": "HSE06 0.11 1/bohr"}})
    looked = survey(own, chosen, table("MgO", "CaO"))
    assert {id: one.value for id, one in looked.labels.items()} == {"MgO": -7.5}
    assert looked.lacking == {"CaO": ("CaO (computed with other settings only: xc pbe)",)}
    loose = settings.model_copy(update={"same_settings": ("code", "spin")})
    assert survey(own, loose, table("MgO", "CaO")).labels["MgO"].value == -7.5
    with pytest.raises(
        SettingsError, match=r"calculated_with: needs settings .* \(xc: hse06 0.11 1/bohr, pbe\), found xc = 'scan'$"
    ):
        survey(own, settings.model_copy(update={"calculated_with": {"xc": "scan"}}), table("MgO"))


def test_two_groups_that_label_as_many_are_told_with_what_chooses_the_other(tmp_path):
    write_run(tmp_path / "a", rocksalt("Mg"), -11.0)
    write_run(tmp_path / "b", rocksalt("Mg"), -15.0, xc="pbesol")
    notes = survey(tmp_path, LabelSettings(quantity="energy_per_atom"), table("MgO")).notes()
    (line,) = (line for line in notes if "as many labels" in line)
    assert line.endswith('label.calculated_with chooses: { xc = "pbesol" }')


# Structures without an energy ------------------------------------------------------------------------------------------


def test_a_structure_that_failed_could_be_the_lowest_so_the_label_is_unknown(own):
    (own / "MgO-wurtzite" / "aims.out").unlink()
    write_run(own / "failed", wurtzite("Mg"), ends="scf")
    looked = survey(own, LabelSettings(), table("MgO", "CaO"))
    assert list(looked.labels) == ["CaO"]
    assert looked.lacking["MgO"][0].startswith(
        "MgO in failed/aims.out (scf_not_converged: self-consistency cycle 1 did not converge"
    )
    assert "could lie 0.55 eV/atom below MgO-rocksalt/aims.out" in looked.lacking["MgO"][0]


def test_a_failed_attempt_at_a_structure_that_finished_elsewhere_does_no_harm(own):
    write_run(own / "first-attempt", rocksalt("Mg", 4.3), ends="scf")
    write_run(own / "larger-cell", rocksalt("Mg", n=2), ends="cut")
    assert list(survey(own, LabelSettings(), table("MgO")).labels) == ["MgO"]


def test_a_structure_of_another_functional_is_a_hole_unless_that_one_ranks_it_higher(own):
    (own / "MgO-wurtzite" / "aims.out").unlink()
    write_run(own / "other-wurtzite", wurtzite("Mg"), -50.0, xc="pbesol")
    settings = LabelSettings(quantity="energy_per_atom", calculated_with={"xc": "pbe"})
    lacks = survey(own, settings, table("MgO")).lacking["MgO"]
    assert lacks[0].startswith(
        "MgO in other-wurtzite/aims.out (computed with other settings only: xc pbesol; could lie"
    )
    write_run(own / "other-rocksalt", rocksalt("Mg", 4.25), -26.0, xc="pbesol")
    assert list(survey(own, settings, table("MgO")).labels) == ["MgO"]


def test_another_order_of_moments_is_another_structure(tmp_path):
    write_run(tmp_path / "ferro", rocksalt("Ni", n=2, moment=2.0), -30.0, spin="collinear")
    opposite = rocksalt("Ni", n=2)
    opposite.add_site_property(
        "magmom", [0.0 if site.specie.symbol == "O" else (-1) ** k * 2.0 for k, site in enumerate(opposite)]
    )
    write_run(tmp_path / "antiferro", opposite, spin="collinear", ends="scf")
    settings = LabelSettings(quantity="energy_per_atom")
    assert "antiferro/aims.out" in survey(tmp_path, settings, table("NiO")).lacking["NiO"][0]
    (tmp_path / "antiferro" / "aims.out").unlink()
    write_run(tmp_path / "again", rocksalt("Ni", n=2, moment=1.8), spin="collinear", ends="scf")
    assert list(survey(tmp_path, settings, table("NiO")).labels) == ["NiO"]


# As an oracle ------------------------------------------------------------------------------------------------------------


def test_notes_count_what_is_left_out(own):
    write_run(own / "stuck", metal_of("Mg"), ends="scf")
    settings = CampaignSettings(run=RunSettings(oracle=f"folder:{own}"))
    labels, notes = known_labels(settings, table("MgO", "CaO", "SrO"), str(own))
    assert sorted(labels) == ["CaO", "MgO"]
    assert notes[0] == f"{own}: 8 calculations, 7 can be used; left out 1 scf_not_converged"
    assert "dG_pbx is known for 2 of 3 candidates (1 not computed)" in notes


def test_a_label_of_another_unit_or_of_no_quantity_is_refused(own):
    with pytest.raises(SettingsError, match=r"volume_per_atom is in Å\*\*3/atom, the target 'v \(eV\)' is not"):
        survey(own, LabelSettings(quantity="volume_per_atom"), table("MgO", "CaO", **{"v (eV)": [1.0, None]}))
    survey(own, LabelSettings(quantity="volume_per_atom"), table("MgO", "CaO", **{"v (Å^3/atom)": [1.0, None]}))
    with pytest.raises(InputError, match=r"needs dG_pbx, .*volume_per_formula, found hardness"):
        survey(own, LabelSettings(quantity="hardness"), table("MgO"))


def test_an_empty_folder_and_one_that_is_not_there_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing\n")
    with pytest.raises(InputError, match=r"needs calculations \(.*\), found none among 1 file$"):
        survey(tmp_path, LabelSettings())
    with pytest.raises(InputError, match="needs a folder or a file of calculations, found none of this name"):
        survey(tmp_path / "elsewhere", LabelSettings())


def test_an_oxide_of_several_structures_that_is_far_from_measured_is_told_once(own, tmp_path):
    (tmp_path / "measured.csv").write_text("formula,H_f (eV/atom)\nMgO,-1.0\n")
    asked = LabelSettings(quantity="formation_energy", measured=str(tmp_path / "measured.csv"))
    (line,) = survey(own, asked, table("MgO")).lacking["MgO"]
    assert line.startswith("MgO forms with ")
