"""First principles for real: prototypes to acid stability on GPAW, and one step of a campaign that has two oxides computed.

The references of oxygen and hydrogen are computed once, by the campaign; the other oxides are asked for in its folder.
"""

import csv
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("gpaw", reason="make test-dft builds GPAW")

from lines import state
from pymatgen.core import Structure

import sisso_sal
from sisso_sal.errors import InputError
from sisso_sal.oracle.engines.ase_bands import read_band_structure, save_ase_band_figure
from sisso_sal.oracle.engines.ase_calculator import calculate, calculator_preset
from sisso_sal.oracle.stability.labels import fit_oxygen_correction
from sisso_sal.oracle.workflow.engine_settings import load_engine
from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.tasks import Workflow
from sisso_sal.oxides.prototypes import prototype_structures
from sisso_sal.oxides.structures import formula_key

pytestmark = pytest.mark.dft

ROOT = Path(sisso_sal.__file__).parents[1]
NEW = ("CaO", "SrO")
CHECKED = {"MgO": 0.81, "ZnO": 0.51, "TiO2": -0.14}
"""Measured acid stability, in eV/atom."""
LATTICES = {
    "MgO": (4.212, 4.212),
    "ZnO": (3.250, 5.207),
    "TiO2": (4.594, 2.959),
    "CaO": (4.811, 4.811),
    "SrO": (5.160, 5.160),
}
"""Measured a and c in Å at room temperature."""
CALCULATION = {"calculator": "gpaw-light", "with_bands": False}
SETTINGS = """
batch = 2
[run]
oracle = "structure"
calculations = 1
[model]
rung = 0
dim = 1
[ensemble]
members = 4
correction = "none"
[label]
max_prototypes = 1
[calculation]
calculator = "gpaw-light"
with_bands = false
"""


@pytest.fixture(scope="module")
def measured():
    with (ROOT / "data" / "oxides.csv").open(newline="") as file:
        return {row["formula"]: float(row["dG_pbx (eV/atom)"] or "nan") for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """One step of a campaign: twelve measured oxides, two to compute; the run folder."""
    place = tmp_path_factory.mktemp("gpaw")
    with (ROOT / "data" / "oxides.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    known = [row for row in rows if row[1] and row[0] not in LATTICES][:12]
    asked = [[row[0], "", *row[2:]] for row in rows if row[0] in NEW]
    with (place / "oxides.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row[:3] + row[9:12] for row in [head, *known, *asked])
    (place / "campaign.toml").write_text(SETTINGS)
    words = ["discover", "oxides.csv", "--config", "campaign.toml", "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sisso_sal", *words]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    return place / "run"


def in_folder(root, **question):
    """The workflow of a folder, with another oxygen correction than that of the campaign where one is given."""
    wurtzite = dict(prototype_structures("ZnO", ["wurtzite"]))
    return Workflow(
        root,
        load_engine({**CALCULATION, "engine": "structure"}),
        question=Question(**question),
        structures={formula_key("ZnO"): [*wurtzite.items()]},
        max_prototypes=1,
    )


@pytest.fixture(scope="module")
def chain(campaign, measured):
    """Workflow and outcomes, after MgO, ZnO and TiO2 were computed beside the two of the campaign."""
    workflow = in_folder(campaign / "oracle")
    for formula in CHECKED:
        workflow.submit(formula, f"chain-{formula}")
    (worker,) = workflow.start_workers(1)
    assert worker.wait(3000) == 0
    outcomes = {outcome.id: outcome for outcome in workflow.collect()}
    tell(workflow, outcomes, measured)
    return workflow, outcomes


def tell(workflow, outcomes, measured):
    """The numbers, for who runs the tests with -s."""
    found = relaxed(workflow)
    print("\n      dG_pbx  measured    a (Å)  measured    c (Å)  measured")
    for formula, (a, c) in LATTICES.items():
        value, (own_a, own_c) = outcomes[formula].value, lattice(found[formula])
        print(f"{formula:5} {value:7.3f} {measured[formula]:9.3f} {own_a:8.3f} {a:9.3f} {own_c:8.3f} {c:9.3f}")
    for name in sorted({task.name.rpartition("/")[0] for task in workflow.tasks()}):
        seconds = [3600 * t.document["core_hours"] for t in workflow.tasks() if t.name.startswith(f"{name}/")]
        print(f"{name:16} {', '.join(f'{s:.0f}' for s in sorted(seconds, reverse=True))} s")


def relaxed(workflow):
    """Formula -> structure of its static step."""
    found = {task.name: task.document for task in workflow.tasks() if task.name.endswith("/static")}
    assert {document["verdict"] for document in found.values()} == {"finished"}
    return {d["formula_pretty"]: d["structure"] for d in found.values() if "lattice" in d["structure"]}


def lattice(data):
    """a and c of the conventional cell, in Å; a cell of two atoms is that of rocksalt."""
    cell = Structure.from_dict(data).lattice
    return (cell.a, cell.c) if len(data["sites"]) > 2 else ((4 * cell.volume) ** (1 / 3),) * 2


def test_a_step_of_a_campaign_computes_two_oxides(campaign, measured):
    assert state(campaign).labels.keys() >= set(NEW)
    assert {id: state(campaign).labels[id] for id in NEW} == pytest.approx({id: measured[id] for id in NEW}, abs=0.35)


def test_acid_stability_is_near_to_the_measured_one(chain, measured):
    _, outcomes = chain
    values = {id: outcomes[id].value for id in CHECKED}
    assert values == pytest.approx(CHECKED, abs=0.35)
    assert sorted(values, key=lambda id: values[id]) == ["TiO2", "ZnO", "MgO"]
    assert {id: measured[id] for id in CHECKED} == pytest.approx(CHECKED, abs=0.01)


def test_an_oxygen_correction_fitted_to_the_two_mends_the_three(chain, measured):
    """All of these dissolve as ions, of measured energies: the error of a label is that of a formation energy."""
    workflow, outcomes = chain
    computed = {id: outcomes[id].parts["formation_energy"] for id in NEW}
    correction = fit_oxygen_correction(computed, {id: computed[id] + measured[id] - outcomes[id].value for id in NEW})
    assert -0.6 < correction < -0.1  # PBE binds oxygen in solids too weakly
    mended = {o.id: o.value for o in in_folder(workflow.root, oxygen_correction=correction).collect()}
    print(f"oxygen correction {correction:.3f} eV: {', '.join(f'{id} {mended[id]:.3f}' for id in CHECKED)}")
    errors = {id: (abs(outcomes[id].value - CHECKED[id]), abs(mended[id] - CHECKED[id])) for id in CHECKED}
    before, after = np.array([*errors.values()]).T
    assert after.mean() < before.mean()
    assert after.max() < 0.25


def test_lattices_are_relaxed_to_the_measured_ones(chain):
    """Of PBE: too large by about one in a hundred."""
    found = relaxed(chain[0])
    for formula, (a, c) in LATTICES.items():
        assert lattice(found[formula]) == pytest.approx((a, c), rel=0.015), formula


def test_bands_of_magnesia(chain, tmp_path):
    """PBE's direct gap, at the zone centre."""
    structure = Structure.from_dict(relaxed(chain[0])["MgO"])
    document = calculate(tmp_path, structure, calculator_preset("gpaw-light", path_points=20), label="bands")
    assert document["bandgap"] == pytest.approx(4.5, abs=0.15)
    assert document["bandgap"] == pytest.approx(document["cbm"] - document["vbm"])
    bands = read_band_structure(tmp_path)
    below = np.where(bands.energies < bands.reference, bands.energies, -np.inf).max(axis=(0, 2))
    above = np.where(bands.energies > bands.reference, bands.energies, np.inf).min(axis=(0, 2))
    assert not bands.path.kpts[[below.argmax(), above.argmin()]].any()
    assert above.min() - below.max() == pytest.approx(document["bandgap"])
    assert save_ase_band_figure(tmp_path, tmp_path / "bands.png")["bandgap"] == pytest.approx(document["bandgap"])
    assert (tmp_path / "bands.png").read_bytes().startswith(b"\x89PNG")
    json.dumps(document)


def test_a_hybrid_functional_opens_the_gap(chain, tmp_path):
    """HSE06 on the density of PBE, where GPAW was built with libxc; else it is told how to build it so."""
    structure = Structure.from_dict(relaxed(chain[0])["MgO"])
    settings = calculator_preset("gpaw-light", path_points=5, hybrid="HSE06")
    if not hasattr(import_module("gpaw.cgpaw"), "lxcXCFuncNum"):
        with pytest.raises(
            InputError, match=r"^hybrid 'HSE06': needs a functional of GPAW built with libxc \(apt-get inst"
        ):
            calculate(tmp_path, structure, settings, label="bands")
        return
    document = calculate(tmp_path, structure, settings, label="bands")
    assert document["bandgap_definition"] == "HSE06 on the density and at the k-points of the calculation"
    assert document["bandgap"] == pytest.approx(
        6.3, abs=0.3
    )  # measured: 7.8; eight k-points are few for exact exchange
    assert "eV" in (tmp_path / "hybrid.txt").read_text()


def test_nickel_oxide_is_an_antiferromagnet(tmp_path):
    """AFM-II is below the ferromagnet and opens a gap, with the moments of PBE; few plane waves and k-points, no relaxation."""
    fast = {"mode": {"name": "pw", "ecut": 400}, "convergence": {"eigenstates": 1e-5, "density": 1e-3}}
    engine = {**CALCULATION, "engine": "structure", "changes": {"all": {"relax": "none", "parameters": fast}}}
    workflow = Workflow(
        tmp_path / "oracle", load_engine(engine), question=Question(quantity="band_gap"), max_prototypes=1
    )
    workflow.submit("NiO", "a")
    (worker,) = workflow.start_workers(1)
    worker.wait(1500)
    found = {task.name: task.document for task in workflow.tasks()}
    parallel, opposite = (found[f"NiO/{name}/static"] for name in ("rocksalt", "rocksalt-afm-II"))
    assert (parallel["magnetic_order"], opposite["magnetic_order"]) == ("FM", "AFM")
    assert 0.05 < parallel["energy_per_atom"] - opposite["energy_per_atom"] < 0.2
    assert opposite["magmoms"][:2] == pytest.approx([1.4, -1.4], abs=0.15)
    (outcome,) = workflow.collect()
    assert outcome.details["magnetic_order"] == "AFM-II"
    assert outcome.value == pytest.approx(0.9, abs=0.3)
