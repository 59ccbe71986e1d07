"""The workflow's steps with ASE calculators that need no engine."""

import pytest

pytest.importorskip("ase")

from pymatgen.core import Lattice, Structure

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.structure import PRESETS, calculate, calculator_preset

EMT = "ase.calculators.emt:EMT"


@pytest.fixture
def copper():
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.75), ["Cu"], [[0, 0, 0]])


@pytest.mark.parametrize("how", ["full", "volume"])
def test_relaxation_finds_the_lattice_of_the_potential(tmp_path, copper, how):
    """EMT copper: a = 3.59 Å."""
    document = calculate(tmp_path, copper, calculator_preset(EMT, relax=how, force_tolerance=0.01), label="relax")
    assert (document["state"], document["verdict"]) == ("successful", "finished")
    assert Structure.from_dict(document["structure"]).lattice.a == pytest.approx(3.59, abs=0.01)
    assert document["energy_per_atom"] == document["energy"] / 4
    assert document["bandgap"] is None
    assert len(document["forces"]) == 4
    assert document["core_hours"] > 0


def test_a_static_step_keeps_the_structure(tmp_path, copper):
    document = calculate(tmp_path, copper, calculator_preset(EMT), label="static")
    assert Structure.from_dict(document["structure"]).lattice.a == pytest.approx(3.75)


def test_failures_are_told_in_the_document(tmp_path, copper):
    slow = calculate(tmp_path, copper, calculator_preset(EMT, max_steps=1, force_tolerance=1e-6), label="relax")
    assert (slow["verdict"], slow["reason"]) == ("relaxation_not_converged", "forces above 1e-06 eV/Å after 1 steps")
    assert (slow["state"], slow["energy"]) == ("failed", None)
    oxide = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    unknown = calculate(tmp_path, oxide, calculator_preset(EMT), label="static")
    assert unknown["verdict"] == "failed"
    assert unknown["reason"].startswith("NotImplementedError: No EMT-potential for Mg")


def test_a_missing_engine_tells_how_to_install_it(tmp_path, copper):
    missing = calculator_preset("gpaw", calculator="gpaw_that_is_not_there:GPAW")
    with pytest.raises(InputError) as caught:
        calculate(tmp_path, copper, missing, label="static")
    assert str(caught.value) == (
        "calculator 'gpaw_that_is_not_there:GPAW': cannot be imported (No module named 'gpaw_that_is_not_there'); "
        "install it with: CC=g++ pip install gpaw"
    )


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("vasp", {}, "calculator 'vasp': needs one of gpaw, elk or 'package.module:Class'"),
        ("gpaw", {"relax": "all"}, "calculator 'gpaw': relax: needs 'full', 'volume' or 'none', found 'all'"),
        ("gpaw", {"force_tolerance": 0}, "calculator 'gpaw': force_tolerance: needs greater than 0, found 0"),
    ],
)
def test_settings(name, changes, message):
    with pytest.raises(SettingsError) as caught:
        calculator_preset(name, **changes)
    assert str(caught.value) == message
    assert [calculator_preset(preset).install for preset in PRESETS] == [
        "CC=g++ pip install gpaw",
        "apt-get install elk-lapw",
    ]
