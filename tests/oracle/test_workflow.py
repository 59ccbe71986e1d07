"""The workflow on the stand-in: shared phases, parallel workers, faults, dead workers, labels with typed failures."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from species import write_species

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle import workflow as module
from sisso_sal.oracle.calculations import load_engine
from sisso_sal.oracle.phases import element_structure, needed_formulas, starting_structures
from sisso_sal.oracle.workflow import Workflow, is_dead, slurm_script, work, worker_name

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:spglib")


@pytest.fixture(scope="module")
def species(tmp_path_factory):
    return write_species(tmp_path_factory.mktemp("species"), ["Mg", "O", "Ti", "H", "Zn"])


@pytest.fixture
def make(tmp_path, species):
    def workflow(**options):
        command = f"{sys.executable} {Path(aims_stand_in.__file__)}"
        engine = {"command": command, "species_dir": species, "changes": {"bands": {"band_density": 3.0}}}
        return Workflow(tmp_path / "oracle", engine, **{"max_prototypes": 1, **options})

    return workflow


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(module.__file__).parents[2]))
    return lambda text: monkeypatch.setenv("STAND_IN_FAULTS", text)


def run(workflow, n=2):
    """Workers until all is done; new ones for those that died."""
    for _ in range(6):
        workers = workflow.start_workers(n)
        try:
            codes = [worker.wait(120) for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        if not workflow.unfinished():
            return codes
    raise AssertionError((workflow.root / "workers.log").read_text()[-2000:])


def is_running(pid):
    """Whether the process exists and is more than an entry that nobody has taken note of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def documents(workflow):
    return {task.name: task.document for task in module._tasks(workflow.root)}


def test_three_iterations_of_two_with_two_workers_and_faults(make, faults):
    """Mixing heals MgO, more steps heal TiO2, a second attempt heals what the kill did to Mg; ZnO crashes for good."""
    faults("scf:MgO,relax:TiO2,kill:Mg:1,crash:ZnO")
    workflow = make(quantity="dG_pbx")
    seen = {}
    for number, batch in enumerate([("MgO", "TiO2"), ("ZnO", "MgTiO3"), ("ZnTiO3", "MgO")]):
        competitors = {"MgTiO3": ["MgO", "TiO2"], "ZnTiO3": ["ZnO", "TiO2"]}
        workflow.competitors = competitors
        receipts = [workflow.submit(formula, f"{number}-{formula}") for formula in batch]
        assert receipts == [workflow.submit(formula, f"{number}-{formula}") for formula in batch]
        assert set(run(workflow)) == {0}
        seen = {outcome.intent: outcome for outcome in workflow.collect()}
        assert len(seen) == 2 * (number + 1)
    assert seen["0-MgO"].value == seen["2-MgO"].value
    for intent in ("0-MgO", "0-TiO2", "1-MgTiO3"):
        assert seen[intent].value is not None
        assert seen[intent].core_hours > 0
        assert set(seen[intent].parts) == {"dG_pbx", "formation_energy", "band_gap"}
    assert (seen["1-ZnO"].failure, seen["1-ZnO"].value) == ("calculation_failed", None)
    assert seen["1-ZnO"].reason.startswith("ZnO (failed: relax: the output ends in self-consistency cycle 1")
    assert seen["2-ZnTiO3"].failure == "competitor_failed"
    assert seen["2-ZnTiO3"].reason.startswith("ZnO (failed: relax: ")
    found = documents(workflow)
    attempts = {name: document["attempts"] for name, document in found.items()}
    assert (attempts["MgO/rocksalt/relax"], attempts["O2Ti/rutile/relax"], attempts["Mg/element/relax"]) == (2, 2, 2)
    assert attempts["MgO/rocksalt/static"] == 2  # the same fault, the same remedy
    assert (attempts["OZn/rocksalt/relax"], attempts["OZn/rocksalt/static"]) == (1, 0)
    assert sum(name.startswith("MgO/") for name in found) == 3


def test_a_dead_worker_leaves_nothing_behind(make, faults):
    """The program takes its worker with it; the step is found, put back and done by the next worker."""
    faults("orphan:MgO:1")
    workflow = make()
    workflow.submit("MgO", "a")
    codes = [worker.wait(120) for worker in workflow.start_workers(1)]
    assert codes == [-signal.SIGKILL]
    (left,) = [task for task in module._tasks(workflow.root) if task.state == "run"]
    assert left.name == "MgO/rocksalt/relax"
    assert is_dead(left.worker)
    assert workflow.collect() == []
    assert not [task for task in module._tasks(workflow.root) if task.state == "run"]
    run(workflow, 1)
    (outcome,) = workflow.collect()
    assert outcome.value is not None
    assert documents(workflow)["MgO/rocksalt/relax"]["attempts"] == 2


def test_a_step_that_kills_every_worker_is_given_up(make, faults):
    faults("orphan:MgO")
    workflow = make()
    workflow.submit("MgO", "a")
    run(workflow, 1)
    (outcome,) = workflow.collect()
    assert (outcome.failure, outcome.value) == ("calculation_failed", None)
    assert "the worker died in each of 3 attempts" in outcome.reason


def test_a_worker_that_is_told_to_stop_takes_its_program_with_it(make, faults, monkeypatch):
    faults("hang:MgO:1")
    workflow = make()
    workflow.submit("MgO", "a")
    (worker,) = workflow.start_workers(1)
    output = workflow.root / "tree" / "MgO" / "rocksalt" / "relax" / "aims.out"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (output.exists() and "Begin self-consistency" in output.read_text()):
        time.sleep(0.2)
    (pid,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    worker.terminate()
    assert worker.wait(30) == 128 + signal.SIGTERM
    until = time.monotonic() + 10
    while time.monotonic() < until and is_running(pid):
        time.sleep(0.1)
    assert not is_running(pid)
    faults("")
    run(workflow, 1)
    assert workflow.collect()[0].value is not None


def test_what_has_no_structure_is_told(make):
    workflow = make()
    workflow.submit("Mn3O4", "a")
    workflow.submit("MgO", "b")
    (outcome,) = workflow.collect()
    assert (outcome.id, outcome.failure) == ("Mn3O4", "no_structure")
    assert outcome.reason == "Mn3O4: no structure to start from is known"


def test_gaps_need_no_competitors_to_succeed(make, faults):
    faults("crash:Mg")
    workflow = make(quantity="band_gap")
    workflow.submit("MgO", "a")
    run(workflow)
    (outcome,) = workflow.collect()
    assert outcome.value == pytest.approx(4.966, abs=1e-3)


def test_intents_are_names_of_one_candidate(make):
    workflow = make()
    workflow.submit("MgO", "a")
    with pytest.raises(InputError, match=r"^intent 'a': belongs to MgO, not to ZnO$"):
        workflow.submit("ZnO", "a")
    with pytest.raises(InputError, match=r"^intent '../a': needs a plain name$"):
        workflow.submit("ZnO", "../a")


def test_other_settings_are_refused_but_another_machine_is_not(make, species):
    workflow = make()
    workflow.submit("MgO", "a")
    moved = Workflow(workflow.root, {**workflow.engine.model_dump(), "command": "srun aims.x"}, max_prototypes=1)
    assert moved.submit("MgO", "a") == workflow.submit("MgO", "a")
    other = Workflow(workflow.root, {"species_dir": species, "steps": {"relax": "relax-tight"}})
    with pytest.raises(InputError) as caught:
        other.submit("MgO", "b")
    assert "holds calculations with other settings (steps: {} -> {'relax': 'relax-tight'}; changes: " in str(
        caught.value
    )


def test_settings_of_every_step_are_checked_at_birth(make, tmp_path):
    for data, message in [
        ({"engine": "vasp"}, "oracle.engine: needs 'aims' or 'structure', found 'vasp'"),
        ({"changes": {"relax": {"kgrid": 1}}}, "FHI-aims preset 'relax': kgrid: needs"),
        ({"steps": {"static": "fast"}}, "FHI-aims preset 'fast': needs one of"),
        ({"engine": "structure", "calculator": "vasp"}, "calculator 'vasp': needs one of"),
    ]:
        with pytest.raises(SettingsError) as caught:
            Workflow(tmp_path, data)
        assert message in str(caught.value)
    assert load_engine({"changes": {"all": {"k_grid_density": 3.0}}}).changes_of("bands") == {"k_grid_density": 3.0}


def test_needed_phases_and_their_starts(tmp_path):
    assert needed_formulas("MgAl2O4")[:3] == ("MgAl2O4", "Al", "Mg")
    assert needed_formulas("MgAl2O4")[-2:] == ("H2O", "H2")
    assert [name for name, _ in starting_structures("TiO2", limit=2)] == ["rutile", "anatase"]
    assert [name for name, _ in starting_structures("Ti")] == ["element"]
    mine = {"O2Ti": [("mine.cif", element_structure("Ti"))]}
    assert [name for name, _ in starting_structures("TiO2", mine)] == ["given-1"]
    with pytest.raises(InputError, match=r"^Ga: ASE has no structure of this element"):
        next(starting_structures("Ga"))


def test_who_is_dead(monkeypatch, tmp_path):
    name = f"{worker_name()}-0/1"
    assert not is_dead(name)
    host, pid, began, _ = worker_name().split("|")
    assert is_dead(f"{host}|{pid}|{int(began) + 1}|-0/1")  # a later process of the same number
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert is_dead(f"{host}|{done.pid}|1|-0/1")
    assert not is_dead("elsewhere|1|1|-0/1")
    assert not is_dead("")
    squeue = tmp_path / "squeue"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for answer, dead in [
        ("echo '  7 main R'", False),
        ("exit 0", True),
        ("echo 'Invalid job id specified' >&2; exit 1", True),
        ("exit 1", False),
    ]:
        squeue.write_text(f"#!/bin/sh\n{answer}\n")
        squeue.chmod(0o755)
        assert is_dead("node3|5|1|7-0/1") is dead


def test_a_job_script_is_one_worker(make):
    text = slurm_script("/runs/my oxides", header=["--nodes=2"], tags=["relax"])
    assert text.splitlines()[:3] == ["#!/bin/bash", "#SBATCH --job-name=sisso-sal", "#SBATCH --nodes=2"]
    assert text.endswith(" -m sisso_sal.cli worker '/runs/my oxides' --tags relax\n")


def test_the_command(make, tmp_path):
    workflow = make(quantity="band_gap", competitors={"MgO": []})
    workflow.submit("MgO", "a")
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}

    def command(*arguments):
        words = [sys.executable, "-m", "sisso_sal.cli", "worker", *arguments]
        return subprocess.run(words, capture_output=True, text=True, env=environment)

    relaxed = command(str(workflow.root.parent), "--tags", "relax")  # the run folder that holds the oracle's
    assert (relaxed.returncode, relaxed.stderr) == (0, "")
    states = {task.name: task.state for task in module._tasks(workflow.root)}
    assert states["MgO/rocksalt/relax"] == "done"
    assert states["MgO/rocksalt/static"] != "done"
    for arguments, told in [
        ((str(tmp_path / "nowhere"),), "nowhere: holds no calculations"),
        ((str(workflow.root), "--tags", "relax,all"), "worker: needs tags of relax, static, bands, found all"),
    ]:
        refused = command(*arguments)
        assert refused.returncode == 2
        assert told in refused.stderr
    with pytest.raises(InputError, match="found none"):
        work(workflow.root, [])
    assert json.loads((workflow.root / "intents" / "a.json").read_text())["id"] == "MgO"


def test_only_this_module_imports_taskblaster():
    package = Path(module.__file__).parents[1]
    users = [
        file.name
        for file in package.rglob("*.py")
        if "import taskblaster" in file.read_text() or "from taskblaster" in file.read_text()
    ]
    assert users == ["workflow.py"]
