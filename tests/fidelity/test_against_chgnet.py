"""CHGNet 0.3.0: energies and labels of an independent trial, kept beside the checkout."""

import csv
import importlib.util
from pathlib import Path

import pytest

from sisso_sal.fidelity.columns import EstimateQuestion
from sisso_sal.fidelity.energies import read_energies
from sisso_sal.fidelity.estimates import estimates
from sisso_sal.fidelity.potentials import calculator_of, open_potential
from sisso_sal.fidelity.schemes import SCHEMES
from sisso_sal.fidelity.starts import metals_of, plan
from sisso_sal.oracle.engines.relaxation import RelaxationSettings, Relaxed, relax
from sisso_sal.oracle.stability.measured import OXYGEN_ENTROPY
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ENERGIES, LABELS = SHARED / "chgnet_energies.csv", SHARED / "chgnet_gpbx.csv"
pytestmark = pytest.mark.skipif(not ENERGIES.exists(), reason="needs ../shared/data/chgnet_energies.csv")

with_chgnet = pytest.mark.skipif(
    importlib.util.find_spec("chgnet") is None, reason="needs the extra potential-chgnet, which is not installed"
)
QUICK = ("MgO", "TiO2", "NiO", "ZnO", "Cu2O", "WO3")
SAME = 0.005  # eV/atom
OTHER_IONS = {"Sn"}
"""Metals of which the trial did not have the ions of their highest state."""


def of_the_trial():
    """The energies as the trial used them, those of structures that did not converge among them."""
    outcomes, formulas = {}, {}
    for row in csv.DictReader(ENERGIES.read_text().splitlines()):
        if not row["energy (eV/atom)"]:  # no structure was known
            continue
        key = formula_key(row["formula"])
        formulas[key] = row["formula"]
        energy = float(row["energy (eV/atom)"])
        outcomes[key, row["structure"]] = Relaxed(energy=energy, steps=1, volume=None, max_force=0.0)
    return outcomes, formulas


def same_labels(rows, energies):
    question = EstimateQuestion(chosen={row["oxide"]: () for row in rows})
    made = estimates([row["oxide"] for row in rows], energies, SCHEMES["mp2020"], question, {})
    for row, one in zip(rows, made, strict=True):
        if {"Pd", "Pt"} & set(
            metals_of(row["oxide"])
        ):  # the trial took their ions of state 2, which are not what dissolves
            assert one.reason.startswith(
                ("dissolved Pd(IV) (known up to Pd(II))", "dissolved Pt(IV) (known up to Pt(II))")
            )
            continue
        assert one.reason == ""
        trial = float(row["G_lf (eV/atom)"])
        if OTHER_IONS & set(metals_of(row["oxide"])):  # a further species can only bring the ground state down
            assert one.values["dG_pbx"] > (-0.2 if row["oxide"] == "SnO2" else trial - 2e-6)
        else:
            assert one.values["dG_pbx"] == pytest.approx(trial, abs=2e-6)
        assert one.values["H_f"] == pytest.approx(float(row["H_lf (eV/atom)"]), abs=2e-6)


@pytest.mark.faults
def test_labels_follow_from_the_energies():
    rows = list(csv.DictReader(LABELS.read_text().splitlines()))
    assert len(rows) == 159
    same_labels(rows, of_the_trial())


def test_a_file_of_energies_gives_the_labels_that_need_no_failed_structure():
    file = read_energies(ENERGIES)
    assert file.potential is None
    failed = [set(metals_of(file.formulas[key])) for (key, _), one in file.outcomes.items() if not one.converged]
    rows = list(csv.DictReader(LABELS.read_text().splitlines()))
    kept = [row for row in rows if not any(metals <= set(metals_of(row["oxide"])) for metals in failed)]
    assert len(kept) > 90
    same_labels(kept, (file.outcomes, file.formulas))


@with_chgnet
@pytest.mark.parametrize("formula", QUICK)
def test_energies_are_those_of_the_trial(formula):
    known = {
        (row["formula"], row["structure"]): float(row["energy (eV/atom)"])
        for row in csv.DictReader(ENERGIES.read_text().splitlines())
        if row["energy (eV/atom)"]
    }
    calculator = calculator_of(open_potential("chgnet"))
    starts = [start for start in plan([formula, *metals_of(formula)]).starts if (start.formula, start.name) in known]
    assert len(starts) >= 2
    for start in starts[:3]:
        relaxed = relax(start.structure, calculator, RelaxationSettings())
        assert relaxed.converged
        assert relaxed.energy == pytest.approx(known[start.formula, start.name], abs=SAME)


MEASURED = {"MgO": -3.118, "TiO2": -3.261, "NiO": -1.242, "ZnO": -1.817, "SnO2": -2.003}
"""Enthalpies of formation, in eV/atom: CRC Handbook."""


@with_chgnet
@pytest.mark.parametrize("model", ["0.3.0", "r2scan"])
def test_enthalpies_are_near_measured_ones(model):
    potential = open_potential("chgnet", model)
    calculator, scheme = calculator_of(potential), SCHEMES[potential.scheme]
    outcomes, formulas = {}, {}
    for start in plan([*MEASURED, *(m for formula in MEASURED for m in metals_of(formula))]).starts:
        outcomes[start.key, start.name] = relax(start.structure, calculator, RelaxationSettings())
        formulas[start.key] = start.formula
    question = EstimateQuestion(chosen=dict.fromkeys(MEASURED, ()))
    for row in estimates(list(MEASURED), (outcomes, formulas), scheme, question, {}):
        share = parse_formula(row.formula)["O"] / sum(parse_formula(row.formula).values())
        assert row.values["H_f"] == pytest.approx(MEASURED[row.formula], abs=0.25 if model == "0.3.0" else 0.35)
        assert 0 < share * OXYGEN_ENTROPY < 0.3
