"""Estimates of rows: by hand for one oxide, and reasons for what cannot be known."""

import pytest

from sisso_sal.errors import InputError
from sisso_sal.fidelity.columns import EstimateQuestion, Estimator
from sisso_sal.fidelity.estimates import estimates, needed_plan, reasons
from sisso_sal.fidelity.schemes import SCHEMES
from sisso_sal.fidelity.starts import competitors_of, plan
from sisso_sal.oracle.engines.relaxation import Relaxed
from sisso_sal.oracle.stability.measured import OXYGEN_ENTROPY
from sisso_sal.oracle.stability.pourbaix import Species, decompose
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key

MP2020 = SCHEMES["mp2020"]
ENTHALPY = {
    "MgO": -6.2,
    "TiO2": -9.8,
    "Ti2O3": -15.0,
    "MgTiO3": -16.2,
    "Mg2TiO4": -22.0,
    "MgTi2O5": -25.7,
    "IrO2": -5.0,
    "Ir2O3": -4.0,
}


def known(**changes):
    """Energies that give these enthalpies of formation, in eV per formula unit, with metals at -1 eV."""
    outcomes, formulas = {}, {}
    for formula, enthalpy in {**ENTHALPY, **changes}.items():
        amounts = parse_formula(formula)
        total = enthalpy + sum(n * (MP2020.oxygen if e == "O" else -1.0) for e, n in amounts.items())
        key = formula_key(formula)
        formulas[key] = formula
        outcomes[key, "low"] = Relaxed(energy=total / sum(amounts.values()), steps=3, volume=10.5, max_force=0.04)
        outcomes[key, "high"] = Relaxed(energy=0.0, steps=3, volume=20.0, max_force=0.04)
    for metal in ("Mg", "Ti", "Ir"):
        formulas[metal] = metal
        outcomes[metal, "element"] = Relaxed(energy=-1.0, steps=0, volume=10.0, max_force=0.0)
    return outcomes, formulas


def of(formula, energies=None, **question):
    (row,) = estimates([formula], energies or known(), MP2020, EstimateQuestion(**question), {})
    return row


def test_numbers_follow_from_energies():
    row = of("TiO2")
    assert row.values["H_f"] == pytest.approx(-9.8 / 3)
    assert row.values["volume"] == 10.5
    assert (row.structure, row.reason) == ("low", "")
    assert row.relaxation() == "converged in 3 steps, largest force 0.040 eV/AA"
    from sisso_sal.oracle.stability.aqueous import aqueous_species

    titania = Species("TiO2", {"Ti": 1, "O": 2}, mu=-9.8 + 2 * OXYGEN_ENTROPY)
    rival = Species("Ti2O3", {"Ti": 2, "O": 3}, mu=-15.0 + 3 * OXYGEN_ENTROPY)
    assert row.values["dG_pbx"] == pytest.approx(decompose(titania, [*aqueous_species(["Ti"]), rival]).energy)


def test_the_hull_is_that_of_what_was_computed():
    assert of("MgTiO3").values["e_hull"] == 0.0
    mixed = -6.2 - 9.8
    row = of("MgTiO3", known(MgTiO3=-15.5))
    assert row.values["e_hull"] == pytest.approx((-15.5 - mixed) / 5)


def test_no_ions_leave_the_enthalpy():
    row = of("IrO2")
    assert row.values.keys() == {"H_f", "e_hull", "volume"}
    assert row.reason == "dissolved Ir(IV) (no species known)"


def test_a_competitor_without_an_energy_leaves_the_enthalpy():
    outcomes, formulas = known()
    for name in ("low", "high"):
        outcomes["O2Ti", name] = Relaxed(energy=None, steps=60, volume=9.0, max_force=1.0, reason="not converged: x")
    row = of("MgTiO3", (outcomes, formulas))
    assert row.values.keys() == {"H_f", "volume"}
    assert row.reason == "TiO2 (not converged: x)"
    assert of("TiO2", (outcomes, formulas)).reason == "not converged: x"
    both = [row, of("IrO2"), of("TiO2", (outcomes, formulas))]
    assert reasons(both) == {
        "a competitor: not converged": 1,
        "dissolved Ir(IV): no species known": 1,
        "not converged": 1,
    }


def test_a_rule_or_ones_own_competitors():
    outcomes, formulas = known()
    del outcomes[formula_key("MgTi2O5"), "low"], outcomes[formula_key("MgTi2O5"), "high"]
    assert of("MgTiO3", (outcomes, formulas)).reason == "MgTi2O5 (not computed)"
    assert "dG_pbx" in of("MgTiO3", (outcomes, formulas), rule="binary").values
    assert "dG_pbx" in of("MgTiO3", (outcomes, formulas), chosen={"MgTiO3": ["MgO", "TiO2"]}).values
    assert competitors_of("TiO2", "binary") == ("Ti",)


def test_a_label_of_ones_own():
    row = of("TiO2", quantity="dG_pbx + 2*formation_energy")
    free = row.values["H_f"] + OXYGEN_ENTROPY * 2 / 3
    assert row.values["label"] == pytest.approx(row.values["dG_pbx"] + 2 * free)
    with pytest.raises(InputError, match=r"a potential knows no band gap$"):
        Estimator(*known(), MP2020, EstimateQuestion(quantity="band_gap"), {})


@pytest.mark.parametrize("formula", ["NaCl", "Mg(OH)2", "Ti", "O2"])
def test_what_is_no_oxide(formula):
    assert of(formula).reason == "no oxide without hydrogen"


def test_what_is_no_formula():
    assert of("sample 7").reason.startswith("formula 'sample 7': ")


def test_the_plan_has_rows_competitors_and_measured_oxides():
    question = EstimateQuestion(rule="binary")
    planned = needed_plan(["MgTiO3", "Ti1Mg1O3", "NaCl", "x"], question, max_prototypes=1, measured=["ZnO"])
    names = {(start.formula, start.name) for start in planned.starts}
    assert {("Mg", "element"), ("Ti", "element"), ("Zn", "element")} <= names
    assert sum(formula == "MgTiO3" for formula, _ in names) == 1
    assert {formula for formula, _ in names} == {"Mg", "Ti", "Zn", "MgO", "TiO2", "ZnO", "MgTiO3"}
    assert sum(formula == "TiO2" for formula, _ in names) == 3
    assert planned.lacking == {}


def test_the_plan_has_ones_own_competitors_alone():
    question = EstimateQuestion(chosen={"MgTiO3": ["MgO"], "TiO2": []})
    planned = needed_plan(["MgTiO3", "TiO2"], question, max_prototypes=1)
    assert {start.formula for start in planned.starts} == {"Mg", "Ti", "MgO", "TiO2", "MgTiO3"}
    assert {one.formula for one in needed_plan(["TiO2"], EstimateQuestion(chosen={"TiO2": []})).starts} == {
        "TiO2",
        "Ti",
    }


def test_what_has_no_structure_is_told():
    planned = plan(["N2O5", "N"])
    assert set(planned.lacking) == {"N2"}
    assert planned.lacking["N2"].startswith("no structure of this element is known")


def test_ones_own_structures_come_first():
    ilmenite = next(start for start in plan(["MgTiO3"]).starts)
    own = {ilmenite.key: [("a.cif", ilmenite.structure), ("b.cif", ilmenite.structure)]}
    assert [start.name for start in plan(["MgTiO3"], own, 1).starts] == ["given-1", "given-2"]
