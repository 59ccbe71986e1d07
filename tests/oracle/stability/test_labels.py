"""Labels from energies: exact against enumeration and ASE, unknown where anything is missing."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ase")

from naive_pourbaix import by_enumeration, random_system

from sisso_sal.errors import InputError, TableError
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.diagram import save_pourbaix_figure, stability_map
from sisso_sal.oracle.stability.labels import (
    References,
    competing_formulas,
    fit_oxygen_correction,
    label,
)
from sisso_sal.oracle.stability.polymorphs import Phase, lowest_phases
from sisso_sal.oracle.stability.pourbaix import MU_WATER, Conditions, Species, decompose
from sisso_sal.oxides.elements import parse_formula as parse

KJ = 1 / 96.48533212
REFERENCES = References(water=-14.2, hydrogen=-6.7)
ELEMENTS = {"Mg": -1.5, "Ti": -7.8, "Zn": -1.1, "Al": -3.7, "Mn": -9.0}
MEASURED = {"MgO": -569.3, "TiO2": -888.8, "ZnO": -320.5, "Al2O3": -1582.3, "MnO2": -465.1}
EXPECTED = {"TiO2": -0.138, "ZnO": 0.509, "MnO2": 0.127, "MgO": 0.809, "Al2O3": 0.342}


def phase(formula, kilojoules, **more):
    """A phase with the total energy that gives this measured free energy of formation."""
    amounts = parse(formula)
    zero = sum(n * (REFERENCES.oxygen if e == "O" else ELEMENTS[e]) for e, n in amounts.items())
    return Phase(formula=formula, energy=(kilojoules * KJ + zero) / sum(amounts.values()), **more)


def metals():
    return [Phase(formula=metal, energy=energy) for metal, energy in ELEMENTS.items()]


@pytest.mark.parametrize("formula", EXPECTED)
def test_measured_oxides_through_total_energies(formula):
    found = label(formula, [phase(formula, MEASURED[formula]), *metals()], REFERENCES, competitors=())
    assert found.value == pytest.approx(EXPECTED[formula], abs=1e-3)
    assert found.parts["formation_energy"] == pytest.approx(MEASURED[formula] * KJ / sum(parse(formula).values()))
    assert found.decomposition.energy == found.value


@pytest.mark.parametrize("n_metals", [2, 3])
@pytest.mark.parametrize("n_systems", [15, pytest.param(150, marks=pytest.mark.faults)])
def test_the_program_agrees_with_all_vertices_on_random_systems(n_metals, n_systems):
    """Random two- and three-metal systems at the default conditions and elsewhere; also against ASE, where that is right."""
    import ase.pourbaix

    rng = np.random.default_rng(n_metals)
    agree = 0
    for k in range(n_systems):
        target, competitors = random_system(rng, n_metals)
        at = Conditions() if k % 2 else Conditions(potential=float(rng.uniform(-1, 2)), pH=float(rng.uniform(0, 14)))
        energy = decompose(target, competitors, at).energy
        assert energy == pytest.approx(by_enumeration(target, competitors, at), abs=1e-9)
        agree += _ase_agrees(ase.pourbaix, target, competitors, at, energy)
    # ASE leaves out some reactions; what it leaves out makes the target look more stable, never less.
    assert agree >= 0.9 * n_systems


def _ase_agrees(module, target, competitors, at, energy):
    def name(species):
        amounts = "".join(f"{e}{n:g}" for e, n in species.composition.items())
        sign = "+" * species.charge if species.charge > 0 else "-" * -species.charge
        return amounts + sign + ("(aq)" if species.state == "aqueous" else "")

    names = {}
    for species in competitors:
        if species.state == "aqueous" or not species.same_composition(target):
            names[name(species)] = min(species.mu, names.get(name(species), math.inf))
    own = name(target)
    reduced = np.gcd.reduce([int(n) for n in target.composition.values()])
    if reduced > 1 or any(key == own for key in names):
        return True  # ASE knows the target by its reduced formula alone
    refs = names | {own: target.mu} | dict.fromkeys(target.metals, 0.0)
    theirs, _ = module.Pourbaix(own, refs, T=at.temperature, conc=at.concentration).get_pourbaix_energy(
        at.potential, at.pH
    )
    assert theirs / target.n_atoms <= energy + 2e-3
    return abs(theirs / target.n_atoms - energy) < 2e-3


def test_references_give_water_its_measured_energy():
    """O + H2 -> H2O costs the free energy of formation of water by construction."""
    hydrogen = REFERENCES.hydrogen + 0.27 - 0.41
    assert REFERENCES.water + 0.56 - 0.67 - hydrogen - REFERENCES.oxygen == pytest.approx(MU_WATER)


def test_a_missing_competitor_makes_the_label_unknown():
    known = [
        phase("MgTiO3", -1484.0),
        *metals(),
        phase("MgO", -569.3),
        phase("TiO2", -888.8),
        phase("Mg2TiO4", -2048.0),
    ]
    failed = Phase(formula="MgTi2O5", name="pseudobrookite", reason="scf_not_converged")
    assert label("MgTiO3", known, REFERENCES).waits_for == ("MgTi2O5 (not computed)",)
    assert label("MgTiO3", [*known, failed], REFERENCES).waits_for == ("MgTi2O5 (scf_not_converged)",)
    assert label("MgTiO3", [*known, failed], REFERENCES).value is None
    complete = label("MgTiO3", [*known, phase("MgTi2O5", -2350.0)], REFERENCES)
    assert complete.value is not None
    assert complete.waits_for == ()
    assert label("MgTiO3", known, None).waits_for == ("H2O and H2 (not computed)", "MgTi2O5 (not computed)")
    iridium = [Phase(formula="IrO2", energy=-6.0), Phase(formula="Ir", energy=-8.8)]
    assert label("IrO2", iridium, REFERENCES, competitors=()).waits_for == ("dissolved Ir(IV) (no species known)",)
    assert label("CaO", known, REFERENCES).waits_for == ("CaO (not computed)",)


def test_a_competitor_can_only_lower_the_stability():
    known = [
        phase("MgTiO3", -1484.0),
        *metals(),
        phase("MgO", -569.3),
        phase("TiO2", -888.8),
        phase("Mg2TiO4", -2048.0),
    ]
    unstable = label("MgTiO3", [*known, phase("MgTi2O5", -2000.0)], REFERENCES).value
    stable = label("MgTiO3", [*known, phase("MgTi2O5", -2700.0)], REFERENCES).value
    assert stable > unstable


def test_the_lowest_polymorph_counts():
    low, high = Phase(formula="TiO2", name="rutile", energy=-9.0), Phase(formula="Ti2O4", name="anatase", energy=-8.9)
    broken = Phase(formula="TiO2", name="brookite", reason="interrupted")
    assert lowest_phases([high, broken, low])["O2Ti"] is low
    assert lowest_phases([broken])["O2Ti"] is broken
    assert lowest_phases([Phase(formula="TiO2", energy=math.nan), high])["O2Ti"] is high


def test_energy_above_the_hull():
    oxides = [phase("MgO", -569.3), phase("Al2O3", -1582.3), *metals()]
    spinel = label(
        "MgAl2O4", [phase("MgAl2O4", -2151.6 + 50), *oxides], REFERENCES, quantity="energy_above_hull", competitors=()
    )
    assert spinel.value == pytest.approx(50 * KJ / 7)
    stable = label(
        "MgAl2O4", [phase("MgAl2O4", -2300.0), *oxides], REFERENCES, quantity="energy_above_hull", competitors=()
    )
    assert stable.value == 0.0


def test_expressions_and_gaps():
    known = [phase("ZnO", -320.5, band_gap=3.4), *metals()]
    found = label("ZnO", known, REFERENCES, quantity="dG_pbx + 0.1*abs(band_gap - 2)", competitors=())
    assert found.value == pytest.approx(0.509 + 0.14, abs=1e-3)
    assert label("ZnO", known, None, quantity="band_gap").value == 3.4
    assert label("ZnO", [phase("ZnO", -320.5)], None, quantity="band_gap").waits_for == ("ZnO (no band gap)",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gap", "needs dG_pbx, formation_energy, energy_above_hull, band_gap, found gap"),
        ("1 + 1", "found none of them"),
        ("dG_pbx +", "cannot be read as an expression"),
        ("__import__('os').system('true') + dG_pbx", "found __import__"),
        ("dG_pbx.real", "needs numbers"),
        ("abs(dG_pbx, key=1)", "needs numbers"),
    ],
)
def test_expressions_that_are_none(text, message):
    with pytest.raises(InputError) as caught:
        label("ZnO", [], None, quantity=text)
    assert message in str(caught.value)


def test_undefined_expressions_are_told():
    with pytest.raises(InputError, match="undefined"):
        label("ZnO", [Phase(formula="ZnO", energy=-1.0, band_gap=-1.0)], None, quantity="log(band_gap)")


def test_competing_formulas():
    assert competing_formulas("TiO2") == ("Ti",)
    assert set(competing_formulas("MgAl2O4")) >= {"Mg", "Al", "MgO", "Al2O3"}
    assert "MgAl2O4" not in competing_formulas("Al4Mg2O8")


def test_a_table_of_the_user_replaces_and_adds_species(tmp_path):
    file = tmp_path / "ions.csv"
    file.write_text("species,mu (eV)\nZn++,-1.0\nGeO3--,-7.0\n")
    ions = {ion.name: ion for ion in aqueous_species(["Zn", "Ge"], file)}
    assert (ions["Zn++"].mu, ions["GeO3--"].charge) == (-1.0, -2)
    assert "ZnOH+" in ions
    file.write_text("species,mu (eV)\nZn++,x\n")
    with pytest.raises(TableError, match=r"ions.csv: row 2: needs 'species' and a number 'mu \(eV\)'"):
        aqueous_species(["Zn"], file)


def test_a_fitted_oxygen_correction_is_recovered():
    computed = {formula: energy * KJ / sum(parse(formula).values()) for formula, energy in MEASURED.items()}
    shifted = {f: e + 0.4 * parse(f)["O"] / sum(parse(f).values()) for f, e in computed.items()}
    assert fit_oxygen_correction(shifted, computed) == pytest.approx(-0.4)
    corrected = References(water=-14.2, hydrogen=-6.7, oxygen_correction=-0.4)
    plain = label("ZnO", [phase("ZnO", -320.5), *metals()], REFERENCES, quantity="formation_energy", competitors=())
    other = label("ZnO", [phase("ZnO", -320.5), *metals()], corrected, quantity="formation_energy", competitors=())
    assert other.value - plain.value == pytest.approx(-0.2)
    with pytest.raises(InputError, match="found none"):
        fit_oxygen_correction({"Mg": 0.0}, {"Mg": 0.0})


def test_the_map_is_the_program_everywhere(tmp_path):
    target = Species("ZnO", {"Zn": 1, "O": 1}, mu=-3.3217)
    ions = aqueous_species(["Zn"])
    found = stability_map(target, ions)
    rng = np.random.default_rng(0)
    for row, column in rng.integers(0, len(found.pH), (40, 2)):
        at = Conditions(potential=float(found.potential[row]), pH=float(found.pH[column]))
        assert found.energy[row, column] == pytest.approx(decompose(target, ions, at).energy, abs=1e-9)
    assert found.energy.min() < 0 < found.energy.max()
    save_pourbaix_figure(found, "ZnO", tmp_path / "zno.png")
    assert Path(tmp_path / "zno.png").stat().st_size > 20_000
