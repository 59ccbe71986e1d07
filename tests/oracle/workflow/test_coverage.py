"""What a label rests on: which structures and magnetic orders were tried, and whether their calculations can be compared."""

import pytest

pytest.importorskip("taskblaster")

from sisso_sal.campaign.answers import checked
from sisso_sal.oracle.stability.measured import OXYGEN_ENTROPY
from sisso_sal.oracle.workflow.chains import Chain, Task
from sisso_sal.oracle.workflow.consistency import Used, differences
from sisso_sal.oracle.workflow.coverage import coverage_in_words, coverage_of
from sisso_sal.oracle.workflow.outcomes import PhaseRequest, Question, outcome_of
from sisso_sal.oxides.phases import known_starts
from sisso_sal.oxides.structures import formula_key
from sisso_sal.protocols import Answer

SETTINGS = {"xc": "hse06 0.11", "relativistic": "atomic_zora scalar", "spin": "collinear", "k_grid_density": "5.0"}


def document(energy, moments=(), **more):
    state = "failed" if energy is None else "successful"
    sites = [{"properties": {"magmom": moment}} for moment in moments]
    about = {
        "state": state,
        "verdict": "finished" if energy is not None else "failed",
        "reason": "killed" * (energy is None),
    }
    made = {
        "settings": SETTINGS,
        "species": {"O": "a1"},
        "aims_version": "240507",
        "magnetic_start": "FM",
        "bandgap": None,
    }
    return {**about, **made, "energy_per_atom": energy, "core_hours": 1.0, "structure": {"sites": sites}, **more}


def chain(formula, name, energy, moments=(), **more):
    steps = {"relax": document(-1.0, moments), "static": document(energy, moments, **more)}
    return Chain(name, {s: Task(f"{formula_key(formula)}/{name}/{s}", "done", "", d, "") for s, d in steps.items()})


def nickel_oxide(parallel=-5.0, opposite=-5.1, **more):
    return [
        chain("NiO", "rocksalt", parallel, [2.0, 0.0], magnetic_order="FM", **more),
        chain("NiO", "rocksalt-afm-II", opposite, [2.0, -2.0, 0.0, 0.0], magnetic_order="AFM", **more),
    ]


def outcome(oxide, metal=None, intent="a"):
    chains = {"NiO": oxide, "Ni": metal or [chain("Ni", "element", -4.0, [0.7])]}
    request = PhaseRequest(id="NiO", intent=intent, phases=("NiO", "Ni"))
    question = Question(quantity="formation_energy", oxygen_energy=-4.9)
    return outcome_of(request, chains, question, None, known_starts)


def test_the_lowest_order_is_the_energy_of_a_structure():
    found = outcome(nickel_oxide())
    assert found.value == pytest.approx(-5.1 - (-4.0 - 4.9) / 2 + OXYGEN_ENTROPY / 2)
    assert (found.details["structure"], found.details["magnetic_order"]) == ("rocksalt-afm-II", "AFM-II")
    other = outcome(nickel_oxide(opposite=-4.9))
    assert (other.details["structure"], other.details["magnetic_order"]) == ("rocksalt", "FM")
    assert other.value - found.value == pytest.approx(0.1)


def test_coverage_counts_types_and_orders():
    known = outcome(nickel_oxide()).details
    assert known["coverage"] == "1 of 3 structure types, 2 of 2 magnetic orders; 1 other phase: 1 of 1 structure types"
    (oxide, metal) = known["phases"]
    assert (oxide["types"], oxide["orders"], metal["types"], metal["orders"]) == (
        [3, 1, 1],
        [2, 2, 2],
        [1, 1, 1],
        [0, 0, 0],
    )
    assert [(one["structure"], one["found"]) for one in oxide["tried"]] == [
        ("rocksalt", "FM"),
        ("rocksalt-afm-II", "AFM"),
    ]
    covered = coverage_of("NiO", [*nickel_oxide(), chain("NiO", "wurtzite", None, [2.0] * 2)], known_starts)
    assert (covered.types, covered.orders, covered.lowest.name) == ((3, 2, 1), (4, 3, 2), "rocksalt-afm-II")
    assert coverage_in_words("NiO", [covered]) == "1 of 3 structure types, 2 of 4 magnetic orders, 1 structure failed"
    left_out = chain(
        "NiO", "tenorite", None, [2.0] * 2, state="left_out", reason="chgnet: 0.3 eV/atom above the lowest"
    )
    covered = coverage_of("NiO", [*nickel_oxide(), left_out], known_starts)
    assert (covered.types, covered.tried[-1].outcome) == ((3, 1, 1), "left out")


def test_an_order_that_failed_holds_a_label_up():
    """A potential does not tell orders apart, so nothing is known of the depth of one."""
    found = outcome(nickel_oxide(opposite=None))
    assert found.value is None
    assert "NiO in rocksalt-afm-II (failed: killed; could lie 0.55 eV/atom below rocksalt)" in found.reason


def test_the_ledger_takes_the_details_of_a_label():
    found = outcome(nickel_oxide())
    answer = checked(Answer("a", value=found.value, details=found.details))
    assert (answer.kind, answer.details) == ("", found.details)


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ([1], "needs details by name, found"),
        ({"coverage": float("nan")}, "needs details of a label as plain data: "),
        ({"differences": "one"}, "needs details of a label as plain data: differences: "),
        ({"coverage": {1, 2}}, "needs details of a label as plain data: "),
        ({"coverage": "a" * 200_001}, "needs details of at most 200000 characters, found "),
    ],
)
def test_details_that_no_ledger_could_hold_are_told(details, reason):
    answer = checked(Answer("a", value=1.0, details=details))
    assert (answer.kind, answer.value) == ("invalid", None)
    assert answer.reason.startswith(reason)


# Settings that differ -----------------------------------------------------------------------------------------------------


def used(formula="NiO", name="rocksalt", settings=None, lattice=None, **more):
    made = document(-1.0, settings={**SETTINGS, **(settings or {})}, **more)
    return Used(formula, name, "static", made | ({"structure": {"lattice": {"matrix": lattice}}} if lattice else {}))


def test_what_is_equal_is_not_told():
    plain = used("MgO", settings={"spin": "none"}, magnetic_start="non-magnetic")
    molecule = used("H2O", settings={"k_grid_density": None})
    assert differences([used(), plain, molecule, used("Ni", "element")]) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"occupation_type": "gaussian 0.05"}, "occupation_type is gaussian 0.05, of the others the default"),
        ({"xc": "pbe"}, "xc is pbe, of the others hse06 0.11"),
        ({"relativistic": "none"}, "relativistic is none, of the others atomic_zora scalar"),
        ({"k_grid_density": "2.0"}, "k_grid_density is 2.0, of the others 5.0"),
    ],
)
def test_a_calculation_with_other_settings_than_most_is_named(settings, told):
    rest = [used("MgO"), used("Ni", "element")]
    for place in range(3):
        every = [*rest[:place], used("TiO2", "rutile", settings), *rest[place:]]
        assert differences(every) == [f"TiO2 (rutile, static): {told}"]
    if "occupation_type" in settings:  # of two the default is the usual one
        assert differences([used("TiO2", "rutile", settings), used()]) == [f"TiO2 (rutile, static): {told}"]


def test_species_and_versions_are_compared():
    lines = differences(
        [used(), used("MgO", species={"O": "b2", "Mg": "c3"}), used("Ni", "element", aims_version="210716")]
    )
    assert lines == [
        "Ni (element, static): version of FHI-aims is 210716, of the others 240507",
        "MgO (rocksalt, static): species defaults of O is b2, of the others a1",
    ]


def test_a_fixed_grid_is_coarser_in_a_smaller_cell():
    grid = {"k_grid_density": None, "k_grid": "4 4 4"}
    cubic = [used(f"M{a}", settings=grid, lattice=[[a, 0, 0], [0, a, 0], [0, 0, a]]) for a in (3.0, 4.0)]
    assert differences(cubic) == []
    wide = used("M9", settings=grid, lattice=[[9.0, 0, 0], [0, 3.0, 0], [0, 0, 9.0]])
    assert differences([*cubic, wide]) == []
    small = used("M2", settings=grid, lattice=[[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]])
    assert differences([*cubic, small]) == [
        "M2 (rocksalt, static): k-points at 1.3 per 1/Å, of M4.0 (rocksalt, static) at 2.5"
    ]


def test_a_structure_without_moments_whose_ions_have_some_is_named():
    none = {"settings": {"spin": "none"}, "magnetic_start": "non-magnetic"}
    assert differences([used(name="given-1", **none)]) == [
        "NiO (given-1, static): computed without spin, though Ni(+2) may have moments; give its structure moments"
    ]
    assert differences([used("TiO2", "rutile", **none)]) == []
    asked = used(settings={"spin": "none"}, magnetic_start="AFM")
    assert differences([asked]) == ["NiO (rocksalt, static): computed without spin, though Ni(+2) may have moments"]
    potential = {"calculator": "sisso_sal.oracle.engines.potentials:chgnet", "spin": "none"}
    assert differences([used(settings=potential, magnetic_start="non-magnetic")]) == []
