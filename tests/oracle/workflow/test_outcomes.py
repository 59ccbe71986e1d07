"""What chains of calculations amount to: a structure that failed beside others that did not."""

import pytest

pytest.importorskip("taskblaster")

from sisso_sal.oracle.workflow.chains import RANKING, Chain, Task, phases_of
from sisso_sal.oracle.workflow.outcomes import PhaseRequest, Question, outcome_of
from sisso_sal.oxides.structures import formula_key


def done(state="successful", energy=None, reason="", **more):
    verdict = "finished" if state == "successful" else "scf_not_converged"
    document = {"state": state, "verdict": verdict, "reason": reason, "energy_per_atom": energy, "bandgap": 1.0}
    return {**document, "core_hours": 1.0, **more}


def chain(formula, name, energy, reason="cycle 1 did not converge"):
    static = done(energy=energy) if energy is not None else done("failed", reason=reason)
    key = formula_key(formula)
    steps = {"relax": done(energy=energy), "static": static}
    return Chain(name, {s: Task(f"{key}/{name}/{s}", "done", "", document, "") for s, document in steps.items()})


def ranking(window=0.05, **energies):
    document = done(structures={name: {"energy_per_atom": e} for name, e in energies.items()}, window=window)
    return Chain(RANKING, {"prerelax": Task(f"x/{RANKING}/prerelax", "done", "", document, "")})


def outcome(formula="MgTiO3", quantity="energy_above_hull", titania=(), candidate=(("ilmenite", -7.55),)):
    chains = {
        formula_key(f): [chain(f, name, energy) for name, energy in some]
        for f, some in {
            "Mg": [("element", -1.5)],
            "Ti": [("element", -7.8)],
            "MgO": [("rocksalt", -5.9)],
            "MgTiO3": candidate,
        }.items()
    }
    chains["O2Ti"] = list(titania)
    request = PhaseRequest(id=formula, intent="a", phases=("MgTiO3", "Mg", "Ti", "MgO", "TiO2"), pays=("TiO2",))
    return outcome_of(request, chains, Question(quantity=quantity, oxygen_energy=-4.7), None)


def test_a_competitor_with_a_structure_that_failed():
    found = outcome(titania=[chain("TiO2", "rutile", None), chain("TiO2", "anatase", -8.60)])
    assert (found.value, found.failure, found.core_hours) == (None, "competitor", 4.0)
    assert found.reason.startswith(
        "TiO2 in rutile (scf_not_converged: cycle 1 did not converge; could lie 0.55 eV/atom below anatase); "
        "energy_above_hull between 0 and "
    )
    complete = outcome(titania=[chain("TiO2", "rutile", -8.95), chain("TiO2", "anatase", -8.60)])
    low, high = (float(word) for word in found.reason.split("between ")[1].removesuffix(" eV/atom").split(" and "))
    assert low <= complete.value <= high


def test_a_candidate_with_a_structure_that_failed():
    titania = [chain("TiO2", "rutile", -8.95)]
    found = outcome(titania=titania, candidate=[("ilmenite", -7.55), ("perovskite", None)])
    assert (found.value, found.failure) == (None, "not_converged")
    assert found.reason.startswith("MgTiO3 in perovskite (scf_not_converged: ")
    assert outcome(titania=titania).value is not None


def test_a_potential_says_how_low_a_structure_could_lie():
    """Anatase is 0.02 eV/atom lower for the potential than rutile, brookite 0.2 higher: only the first matters."""
    computed = chain("TiO2", "rutile", -8.95)
    ranked = ranking(rutile=-9.00, anatase=-9.02, brookite=-8.80)
    (rutile, anatase) = phases_of("TiO2", [ranked, computed, chain("TiO2", "anatase", None)])
    assert (rutile.lowest, anatase.lowest) == (None, pytest.approx(-8.95 - 0.02 - 0.05))
    assert outcome(titania=[ranked, computed, chain("TiO2", "brookite", None)]).value is not None
    found = outcome(titania=[ranked, computed, chain("TiO2", "anatase", None)])
    assert "could lie 0.07 eV/atom below rutile" in found.reason
    # Of a structure that the potential could not relax nothing is known.
    lost = outcome(titania=[ranking(rutile=-9.0, brookite=None), computed, chain("TiO2", "brookite", None)])
    assert "could lie 0.55 eV/atom below rutile" in lost.reason
