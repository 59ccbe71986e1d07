"""Labels with the free energy of vibrations: the sum by hand, and all solids or none."""

from dataclasses import replace

import pytest

pytest.importorskip("ase")

from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.labels import OxygenReference, label
from sisso_sal.oracle.stability.polymorphs import Phase
from sisso_sal.oracle.stability.pourbaix import Species, decompose
from sisso_sal.oxides.elements import parse_formula

OXYGEN = OxygenReference(oxygen=-4.9, oxygen_correction=0.2)
ENERGIES = {"Mg": (-1.5, -0.03), "Ti": (-7.8, -0.01), "MgO": (-6.0, 0.04), "TiO2": (-8.9, 0.05), "MgTiO3": (-7.5, 0.02)}


def phases(**changed):
    known = {f: Phase(formula=f, name="x", energy=e, vibration=v) for f, (e, v) in ENERGIES.items()}
    return [replace(phase, **changed.get(formula, {})) for formula, phase in known.items()]


def made(some, quantity="formation_energy", **more):
    asked = {"quantity": quantity, "competitors": ("MgO", "TiO2"), "with_vibrations": True, **more}
    return label("MgTiO3", some, OXYGEN, **asked)


def test_the_formation_energy_by_hand():
    bare = (5 * -7.5 - -1.5 - -7.8 - 3 * -4.9) / 5 + 0.2 * 3 / 5
    of_vibrations = (5 * 0.02 - -0.03 - -0.01) / 5
    assert made(phases()).value == pytest.approx(bare + of_vibrations)
    assert made(phases(), with_vibrations=False).value == pytest.approx(bare)


def test_the_energy_above_the_hull_by_hand():
    """MgO and TiO2 lie on the hull; oxygen and the metals cancel."""
    low = phases(MgTiO3={"energy": -7.0})
    bare = (5 * -7.0 - 2 * -6.0 - 3 * -8.9) / 5
    of_vibrations = (5 * 0.02 - 2 * 0.04 - 3 * 0.05) / 5
    assert of_vibrations == pytest.approx(-0.026)
    assert made(low, "energy_above_hull").value == pytest.approx(bare + of_vibrations)
    assert made(low, "energy_above_hull", with_vibrations=False).value == pytest.approx(bare)


def test_the_pourbaix_label_by_hand():
    free = {formula: energy + vibration for formula, (energy, vibration) in ENERGIES.items()}
    solids = []
    for formula, energy in free.items():
        amounts = parse_formula(formula)
        zero = sum(n * (OXYGEN.oxygen - 0.2 if element == "O" else free[element]) for element, n in amounts.items())
        solids.append(Species(formula, amounts, mu=sum(amounts.values()) * energy - zero))
    expected = decompose(solids[-1], [*solids, *aqueous_species(["Mg", "Ti"])]).energy
    found = made(phases(), "dG_pbx").value
    assert found == pytest.approx(expected)
    assert abs(found - made(phases(), "dG_pbx", with_vibrations=False).value) > 1e-3


@pytest.mark.parametrize("quantity", ["formation_energy", "energy_above_hull", "dG_pbx", "dG_pbx + band_gap"])
@pytest.mark.parametrize("formula", ["Mg", "Ti", "MgO", "TiO2", "MgTiO3"])
def test_one_solid_without_vibrations_makes_the_label_unknown(quantity, formula):
    reason = "imaginary_mode: -1.31 THz at R"
    lost = {formula: {"vibration": None, "no_vibration": reason}}
    some = phases(**{"MgTiO3": {"band_gap": 2.0, **lost.pop("MgTiO3", {})}, **lost})
    found = made(some, quantity)
    assert (found.value, found.waits_for) == (None, (f"{formula} (no free energy of vibrations: {reason})",))
    assert made(some, quantity, with_vibrations=False).value is not None


def test_all_that_lack_vibrations_are_named_the_candidate_first():
    some = [replace(phase, vibration=None) for phase in phases()]
    found = made(some)
    assert found.waits_for[0] == "MgTiO3 (no free energy of vibrations: not computed)"
    assert [text.partition(" ")[0] for text in found.waits_for] == ["MgTiO3", "Mg", "Ti", "MgO", "TiO2"]
    assert made(phases(), "band_gap").waits_for == ("MgTiO3 (no band gap)",)


def test_a_hole_is_taken_with_the_vibrations_of_the_known_structure():
    """A missing rutile may lie 0.55 eV/atom below the known titania; the range of the label has the vibrations in it."""
    lost = Phase(formula="TiO2", name="rutile", reason="killed")
    found = made([*phases(), lost], "energy_above_hull")
    joined = [replace(phase, energy=phase.energy + phase.vibration) for phase in phases()]
    expected = made([*joined, lost], "energy_above_hull", with_vibrations=False)
    assert found.value is None
    assert found.ranges["energy_above_hull"] == pytest.approx(expected.ranges["energy_above_hull"])


def test_the_lowest_structure_is_that_of_the_energies_alone():
    soft = Phase(formula="TiO2", name="soft", energy=-8.89, vibration=-0.5)
    assert made([*phases(), soft], "energy_above_hull").value == made(phases(), "energy_above_hull").value
