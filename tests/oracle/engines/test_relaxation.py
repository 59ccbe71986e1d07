"""One structure: an energy, or a reason; never the energy of what did not converge."""

import pytest
from springs import BULK, Springs, rest_volume

from sisso_sal.oracle.engines.relaxation import RelaxationSettings, relax
from sisso_sal.oxides.phases import element_structure, starting_structures

SETTINGS = RelaxationSettings()


def oxide(formula):
    return next(starting_structures(formula))[1]


def test_the_volume_of_least_energy_is_found():
    structure = oxide("MgO")
    relaxed = relax(structure, Springs(), RelaxationSettings(force_tolerance=1e-4, max_steps=500))
    rest = rest_volume(("Mg", "O"), structure.volume * 2 / len(structure)) / 2
    assert relaxed.converged
    assert relaxed.steps > 0
    assert relaxed.volume == pytest.approx(rest, abs=1e-3)
    assert relaxed.energy == pytest.approx((-0.05 * 12 - 4.948 - 3.0) / 2 + 0.001, abs=1e-5)
    assert relaxed.max_force == 0.0
    assert BULK > 0


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("HfO2", "the potential gives no finite energy and forces"),
        ("ZrO2", "the cell explodes: its volume became 2"),
        ("Ta2O5", "RuntimeError: no such element in the training data"),
        ("WO3", "not converged: forces above 0.1 eV/Å after 60 steps"),
    ],
)
def test_what_a_potential_does_not_know_has_a_reason_and_no_energy(formula, reason):
    relaxed = relax(oxide(formula), Springs(), SETTINGS)
    assert relaxed.energy is None
    assert not relaxed.converged
    assert relaxed.reason.startswith(reason)


def test_atoms_that_overlap_are_refused():
    crushed = oxide("MgO")
    crushed.scale_lattice(crushed.volume / 9)
    assert relax(crushed, Springs(), SETTINGS).reason == "Mg and O overlap"


def test_an_element_of_one_atom():
    assert relax(element_structure("Ca"), Springs(), SETTINGS).converged
