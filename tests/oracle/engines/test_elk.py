"""Elk for real, where Debian's package is installed."""

import shutil

import pytest

pytest.importorskip("ase")

from sisso_sal.oracle.engines.ase_calculator import calculate, calculator_preset
from sisso_sal.oxides.prototypes import prototype_structure

pytestmark = [
    pytest.mark.dft,
    pytest.mark.skipif(shutil.which("elk-lapw") is None, reason="needs Elk: apt-get install elk-lapw"),
]


def test_magnesia_resists_pressure(tmp_path):
    """The energy of the prototype is below that of a cell that is pressed to 85 % of its volume; both have a gap."""
    structure = prototype_structure("rocksalt", {"A": ("Mg", 2)})
    settings = calculator_preset("elk", parameters={"kpts": [3, 3, 3]})
    free = calculate(tmp_path / "free", structure, settings, label="static")
    structure.scale_lattice(0.85 * structure.volume)
    pressed = calculate(tmp_path / "pressed", structure, settings, label="static")
    assert free["verdict"] == pressed["verdict"] == "finished", (free["reason"], pressed["reason"])
    assert 0.1 < pressed["energy"] - free["energy"] < 1.0
    assert pressed["bandgap"] > free["bandgap"] > 4.0
