"""A campaign with two levels of FHI-aims: gaps of a functional, and of quasi-particles at their own cost; on the stand-in."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from species import write_species
from stand_in_beyond import quasi_particle_edges
from stand_in_energy import gap_of

from test_commands import call  # isort: skip

ROOT = Path(aims_stand_in.__file__).parents[1]
ASKED = ("Mg", "Ca", "Zn", "Sr")
KNOWN = ("Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Ba", "Cd", "Be", "Pb")
SETTINGS = """
goal = "max"
batch = 2
target = "gap (eV)"
[run]
budget = 64
calculations = 1
[model]
rung = 0
dim = 1
[ensemble]
members = 4
correction = "none"
[label]
max_prototypes = 1
quantity = "band_gap"
[calculation]
command = "{command}"
species_dir = "species"
[[level]]
name = "pbe"
cost = 1
column = "gap_pbe (eV)"
oracle = "aims"
calculation = {{ command = "{command}", species_dir = "species", with_bands = false, changes = {{ static = {{ xc = "pbe" }} }} }}
[[level]]
name = "gw"
cost = 30
column = "gap (eV)"
oracle = "aims"
[level.calculation]
command = "{command}"
species_dir = "species"
with_bands = false
[level.calculation.changes.static]
xc = "pbe"
extra = {{ qpe_calc = "gw_expt", frequency_points = "40" }}
"""


def gaps(metal):
    """The gap of the functional, and that of the quasi-particles."""
    bare = gap_of([metal, "O"], "pbe")
    vbm, cbm = quasi_particle_edges(bare)
    return bare, cbm - vbm


@pytest.fixture
def folder(tmp_path):
    write_species(tmp_path / "species", [*ASKED, *KNOWN, "O", "H"])
    (tmp_path / "campaign.toml").write_text(SETTINGS.format(command=f"{sys.executable} {Path(aims_stand_in.__file__)}"))
    rows = ["formula,EN,N_val,gap_pbe (eV),gap (eV)"]
    for number, metal in enumerate(KNOWN):
        bare, dressed = gaps(metal)
        rows.append(f"{metal}O,{1.0 + 0.07 * number:.2f},{number % 5},{bare:.4f},{dressed:.4f}")
    rows += [f"{metal}O,{1.1 + 0.1 * number:.2f},{number},," for number, metal in enumerate(ASKED)]
    (tmp_path / "oxides.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.faults
def test_each_level_computes_its_own_gap_at_its_own_cost(folder):
    environment = {"PYTHONPATH": str(ROOT)}
    call("discover", "oxides.csv", "--config", "campaign.toml", "--out", "run", folder=folder, environment=environment)
    shown = call("ledger", "run", folder=folder)
    labels = [event for event in map(json.loads, shown.stdout.splitlines()) if event["event"] == "label"]
    computed = [event for event in labels if event.get("source") == "oracle"]
    dear = {event["id"]: event["value"] for event in computed if not event.get("level")}
    cheap = {event["id"]: event["value"] for event in computed if event.get("level") == "pbe"}
    assert dear
    for id, value in dear.items():
        assert value == pytest.approx(gaps(id.removesuffix("O"))[1], abs=1e-6)
    for id, value in cheap.items():
        assert value == pytest.approx(gaps(id.removesuffix("O"))[0], abs=1e-6)
    assert len(cheap) + 30 * len(dear) <= 64
    documents = [
        json.loads(file.read_text()) for file in (folder / "run" / "oracle" / "tree").rglob("static/output.json")
    ]
    assert {document["state"] for document in documents} == {"successful"}
