"""A hull with a hole: a label that a missing structure could change is unknown, and the true one lies in the range that is told."""

import numpy as np
import pytest

pytest.importorskip("ase")

from sisso_sal.oracle.stability.labels import OxygenReference, References, label
from sisso_sal.oracle.stability.polymorphs import SPREAD, Phase, holes_of
from sisso_sal.oracle.stability.pourbaix import Species

REFERENCES = References(water=-14.0, hydrogen=-6.8)
BASE = [
    *(Phase(formula=metal, name="element", energy=energy) for metal, energy in (("Mg", -1.5), ("Ti", -7.8))),
    Phase(formula="MgO", name="rocksalt", energy=-5.9),
    Phase(formula="MgTiO3", name="ilmenite", energy=-7.55),
]
RUTILE, ANATASE = (
    Phase(formula="TiO2", name="rutile", energy=-8.95),
    Phase(formula="TiO2", name="anatase", energy=-8.60),
)
FAILED = Phase(formula="TiO2", name="rutile", reason="scf_not_converged: x")
OXIDES = ("MgO", "TiO2")


def hull(*titania, quantity="energy_above_hull", base=BASE):
    return label("MgTiO3", [*base, *titania], REFERENCES, quantity=quantity, competitors=OXIDES)


def test_rutile_did_not_converge():
    """The case that came out as stable: anatase alone leaves MgTiO3 on the hull, rutile puts it 0.18 eV/atom above."""
    complete = hull(RUTILE, ANATASE)
    assert complete.value == pytest.approx(0.18)
    assert (complete.waits_for, complete.ranges) == ((), {})
    found = hull(FAILED, ANATASE)
    assert found.value is None
    assert found.waits_for == ("TiO2 in rutile (scf_not_converged: x; could lie 0.55 eV/atom below anatase)",)
    low, high = found.ranges["energy_above_hull"]
    assert low == 0.0 < complete.value < high
    assert found.parts["energy_above_hull"] == 0.0
    nothing = hull(FAILED)
    assert (nothing.value, nothing.waits_for) == (None, ("TiO2 (scf_not_converged: x)",))


def test_a_structure_that_cannot_change_the_label_does_not_hold_it_up():
    brookite = Phase(formula="TiO2", name="brookite", reason="killed", lowest=-8.94)  # a potential says so
    assert hull(RUTILE, brookite).value == hull(RUTILE).value
    deeper = Phase(formula="TiO2", name="brookite", reason="killed", lowest=-8.96)
    assert hull(RUTILE, deeper).value is None
    high = Phase(formula="MgTiO3", name="perovskite", reason="killed", lowest=-7.9)
    assert hull(RUTILE, high).value is None
    assert (
        hull(RUTILE, high)
        .waits_for[0]
        .startswith("MgTiO3 in perovskite (killed; could lie 0.35 eV/atom below ilmenite)")
    )
    # On the hull already: a lower structure of the candidate stays there, and a formation energy knows no competitor.
    assert hull(ANATASE, high).value == 0.0
    assert hull(FAILED, ANATASE, quantity="formation_energy").value is not None
    # TiO2 that ends far above what it decomposes into does not matter, even 0.55 eV/atom lower.
    assert hull(FAILED, Phase(formula="TiO2", name="anatase", energy=-7.0)).value == 0.0


def test_the_pool_may_be_wider_than_what_is_known_of_others():
    wide = [Phase(formula="MgO", name="wurtzite", energy=-5.9 + 0.8)]
    (hole,) = holes_of([*BASE, *wide, FAILED, ANATASE])
    assert (hole.key, hole.depth) == ("O2Ti", pytest.approx(0.8))
    (hole,) = holes_of([*BASE, FAILED, ANATASE])
    assert hole.depth == SPREAD
    assert holes_of([*BASE, FAILED]) == []


def test_a_gap_is_that_of_the_lowest_structure():
    known = Phase(formula="ZnO", name="wurtzite", energy=-4.0, band_gap=3.4)
    missing = Phase(formula="ZnO", name="zincblende", reason="killed")
    assert label("ZnO", [known, missing], None, quantity="band_gap").waits_for == (
        "ZnO in zincblende (killed; could lie 0.55 eV/atom below wurtzite)",
    )
    assert label("ZnO", [known], None, quantity="band_gap").value == 3.4
    far = Phase(formula="ZnO", name="zincblende", reason="killed", lowest=-3.9)
    assert label("ZnO", [known, far], None, quantity="band_gap").value == 3.4


def test_two_holes_that_decide_only_together_are_both_named():
    reference = OxygenReference(oxygen=0.0)
    solids = [Phase(formula=f, name="a", energy=0.0) for f in ("Mg", "Ti")]
    solids += [Phase(formula=f, name="a", energy=-1.0) for f in ("MgO", "TiO2")]
    missing = [Phase(formula=f, name="b", reason="killed", lowest=-1.3) for f in ("MgO", "TiO2")]

    def above(candidate, holes):
        phases = [*solids, Phase(formula="MgTiO3", name="a", energy=candidate), *holes]
        return label("MgTiO3", phases, reference, quantity="energy_above_hull", competitors=OXIDES)

    # The mixture lies at -1; one oxide alone takes it to -1.12 or -1.18, both to -1.3.
    assert above(-1.25, missing[:1]).value == above(-1.25, missing[1:]).value == 0.0
    assert [text[:9] for text in above(-1.25, missing).waits_for] == ["MgO in b ", "TiO2 in b"]
    assert above(-1.25, missing).ranges["energy_above_hull"] == (0.0, pytest.approx(0.05))


IONS = [
    Species("Mg++", {"Mg": 1}, charge=2, mu=-4.7, state="aqueous"),
    Species("TiO++", {"Ti": 1, "O": 1}, charge=2, mu=-6.0, state="aqueous"),
]


def random_system(rng):
    """Phases with one to three structures each, all with energies, around values at which all kinds of decomposition occur."""
    zero = {"Mg": -1.5, "Ti": -7.8, "O": REFERENCES.oxygen}
    amounts = {
        "Mg": (1, 0, 0),
        "Ti": (0, 1, 0),
        "MgO": (1, 0, 1),
        "TiO2": (0, 1, 2),
        "Ti2O3": (0, 2, 3),
        "MgTiO3": (1, 1, 3),
    }
    centre = {"MgO": -2.9, "TiO2": -3.1, "Ti2O3": -3.0, "MgTiO3": -3.1}
    phases = []
    for formula, n in amounts.items():
        base = sum(k * zero[e] for k, e in zip(n, ("Mg", "Ti", "O"), strict=True)) / sum(n) + centre.get(formula, 0.0)
        lowest = base + rng.normal(0, 0.15)
        for number in range(rng.integers(1, 4)):
            energy = lowest + (rng.uniform(0, SPREAD) if number else 0.0)
            phases.append(Phase(formula=formula, name=f"s{number}", energy=energy, band_gap=1.0))
    return phases


def with_holes(phases, rng):
    """Some structures fail; of some of these a bound is known. Each formula keeps one energy."""
    left = []
    for formula in dict.fromkeys(phase.formula for phase in phases):
        some = [phase for phase in phases if phase.formula == formula]
        keep = rng.integers(len(some))
        for number, phase in enumerate(some):
            fails = number != keep and rng.random() < 0.5
            lowest = phase.energy - rng.exponential(0.05) if rng.random() < 0.5 else None
            left.append(Phase(formula=formula, name=phase.name, reason="killed", lowest=lowest) if fails else phase)
    return left


@pytest.mark.parametrize("quantity", ["dG_pbx", "energy_above_hull", "formation_energy", "dG_pbx + 0.1*band_gap"])
@pytest.mark.parametrize("n_systems", [15, pytest.param(150, marks=pytest.mark.faults)])
def test_the_label_of_the_complete_hull_lies_in_the_range(quantity, n_systems):
    rng = np.random.default_rng(7)
    n_known = n_unknown = 0
    for _ in range(n_systems):
        phases = random_system(rng)
        given = with_holes(phases, rng)
        ask = {"quantity": quantity, "ions": IONS, "competitors": ("MgO", "TiO2", "Ti2O3")}
        complete, found = label("MgTiO3", phases, REFERENCES, **ask), label("MgTiO3", given, REFERENCES, **ask)
        for name, (low, high) in found.ranges.items():
            assert low - 1e-9 <= complete.parts[name] <= high + 1e-9
        if found.value is None:
            n_unknown += 1
            assert found.waits_for
        else:
            n_known += 1
            assert found.value == pytest.approx(complete.value, abs=1e-6)
        # The order in which phases come does not matter.
        shuffled = [given[k] for k in rng.permutation(len(given))]
        again = label("MgTiO3", shuffled, REFERENCES, **ask)
        assert (again.value is None, again.waits_for) == (found.value is None, found.waits_for)
    assert min(n_known, n_unknown) >= n_systems // 10
