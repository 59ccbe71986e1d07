"""Bands of the lowest structure after a retry that found another lowest one: its own, and never those of the one before."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from species import write_species

from sisso_sal.oracle.engines.aims import read_geometry
from sisso_sal.oracle.engines.aims_verdict import RunVerdict
from sisso_sal.oracle.workflow import steps
from sisso_sal.oracle.workflow.engine_settings import TAGS
from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.repository import run_ready
from sisso_sal.oracle.workflow.tasks import Workflow
from sisso_sal.oracle.workflow.workers import worker_name


@pytest.fixture
def make(tmp_path):
    species = write_species(tmp_path / "species", ["Mg", "O"])
    command = f"{sys.executable} {Path(aims_stand_in.__file__)}"
    apart = {"bands": {"band_density": 3.0, "k_grid_density": 4.0}}  # bands have a run of their own

    def workflow(name):
        engine = {"command": command, "species_dir": str(species), "changes": apart}
        return Workflow(tmp_path / name, engine, question=Question(quantity="band_gap"), max_prototypes=2)

    return workflow


def answer(workflow, intent):
    workflow.submit("MgO", intent)
    run_ready(workflow.root, set(TAGS), worker_name())
    (outcome,) = workflow.collect({intent})
    (bands,) = (task.document for task in workflow.tasks() if task.name == "MgO/lowest/bands")
    return outcome, bands


@pytest.mark.faults
def test_a_retry_that_finds_a_lower_structure_computes_its_bands(make, monkeypatch):
    whole, expected = answer(make("whole"), "a")
    lowest, run = expected["lowest"], steps.run_aims

    def failing(folder, *rest, **options):
        verdict = run(folder, *rest, **options)
        return RunVerdict(verdict="failed", reason="a node is broken") if lowest in Path(folder).parts else verdict

    monkeypatch.setattr(steps, "run_aims", failing)
    workflow = make("again")
    missing, other = answer(workflow, "a")
    assert (missing.value, other["lowest"] == lowest) == (None, False)
    assert f"MgO in {lowest} (failed: relax: a node is broken" in missing.reason
    monkeypatch.setattr(steps, "run_aims", run)
    found, bands = answer(workflow, "b")
    assert (found.value, bands["lowest"]) == (pytest.approx(whole.value), lowest)
    computed, wanted = (read_geometry(Path(one["dir_name"], "geometry.in")) for one in (bands, expected))
    assert computed.lattice.abc == pytest.approx(wanted.lattice.abc, abs=1e-3)
    assert bands["attempts"] == 1
    assert (workflow.root / "tree" / "MgO" / "lowest" / "bands" / "earlier-1" / "attempt-1" / "aims.out").exists()
