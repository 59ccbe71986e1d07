"""The workflow on the stand-in: shared phases, parallel workers, faults, dead workers, labels with typed failures."""

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from species import write_species

from sisso_sal.errors import InputError, OracleError, SettingsError
from sisso_sal.oracle.stability.labels import needed_formulas
from sisso_sal.oracle.workflow import repository as module
from sisso_sal.oracle.workflow import steps
from sisso_sal.oracle.workflow.engine_settings import TAGS, load_engine
from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.repository import run_ready
from sisso_sal.oracle.workflow.tasks import Workflow, work
from sisso_sal.oracle.workflow.workers import _job_has_ended, _process_has_ended, worker_name
from sisso_sal.oxides.phases import element_structure, starting_structures


@pytest.fixture(scope="module")
def species(tmp_path_factory):
    return write_species(tmp_path_factory.mktemp("species"), ["Mg", "O", "Ti", "H", "Zn"])


@pytest.fixture
def make(tmp_path, species):
    def workflow(**options):
        command = f"{sys.executable} {Path(aims_stand_in.__file__)}"
        engine = {"command": command, "species_dir": species, "changes": {"bands": {"band_density": 3.0}}}
        given = {"max_prototypes": 1, "question": Question(quantity="band_gap"), **options}
        return Workflow(tmp_path / "oracle", engine, **given)

    return workflow


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(module.__file__).parents[3]))
    return lambda text: monkeypatch.setenv("STAND_IN_FAULTS", text)


def has_certainly_ended(worker):
    return _process_has_ended(worker) or _job_has_ended(worker)


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


def programs_below(root):
    """Processes that work in a folder below."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if "aims_stand_in" in (place / "cmdline").read_text() and root in Path(os.readlink(place / "cwd")).parents:
                found.append(int(place.name))
    return found


def is_running(pid):
    """Whether the process exists and is more than an entry that nobody has taken note of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def documents(workflow):
    return {task.name: task.document for task in workflow.tasks()}


def test_a_dead_worker_leaves_nothing_behind(make, faults):
    """The program takes its worker with it; the step is found, put back and done by the next worker."""
    faults("orphan:MgO:1")
    workflow = make()
    workflow.submit("MgO", "a")
    codes = [worker.wait(120) for worker in workflow.start_workers(1)]
    assert codes == [-signal.SIGKILL]
    (left,) = [task for task in workflow.tasks() if task.state == "run"]
    assert left.name == "MgO/rocksalt/relax"
    assert has_certainly_ended(left.worker)
    assert workflow.collect() == []
    assert not [task for task in workflow.tasks() if task.state == "run"]
    run(workflow, 1)
    (outcome,) = workflow.collect()
    assert outcome.value is not None
    assert documents(workflow)["MgO/rocksalt/relax"]["attempts"] == 2


@pytest.mark.faults
def test_a_step_that_kills_every_worker_is_given_up(make, faults):
    faults("orphan:MgO")
    workflow = make()
    workflow.submit("MgO", "a")
    run(workflow, 1)
    (outcome,) = workflow.collect()
    assert (outcome.failure, outcome.value) == ("calculation", None)
    assert "the worker died in each of 3 attempts" in outcome.reason


def test_a_worker_that_is_told_to_stop_takes_its_program_with_it(make, faults, monkeypatch):
    faults("hang:MgO:1")
    workflow = make()
    workflow.submit("MgO", "a")
    (worker,) = workflow.start_workers(1)
    output = workflow.root / "tree" / "MgO" / "rocksalt" / "relax" / "attempt-1" / "aims.out"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (output.exists() and "Begin self-consistency" in output.read_text()):
        time.sleep(0.2)
    (pid,) = [pid for pid in programs_below(workflow.root) if is_running(pid)]
    worker.terminate()
    assert worker.wait(30) == 128 + signal.SIGTERM
    until = time.monotonic() + 10
    while time.monotonic() < until and is_running(pid):
        time.sleep(0.1)
    assert not is_running(pid)
    faults("")
    run(workflow, 1)
    assert workflow.collect()[0].value is not None


def test_what_cannot_have_a_label_is_told_before_anything_is_computed(make):
    workflow = make(question=Question())
    for number, formula in enumerate(["N2O5", "IrO2", "MgO"]):
        workflow.submit(formula, str(number))
    anhydride, iridia = workflow.collect()
    assert (anhydride.id, anhydride.failure, anhydride.core_hours) == ("N2O5", "no_label", 0.0)
    nothing = "no structure to start from is known"
    assert anhydride.reason == f"N: {nothing}"
    assert (iridia.failure, iridia.reason) == ("no_label", "dissolved Ir(IV): no species known")
    assert {name.split("/")[0] for name in documents(workflow)} == {"MgO", "Mg", "H2O", "H2"}


def test_a_gap_needs_the_candidate_alone(make, faults):
    """A cycle that does not converge until mixing is slow: the same remedy heals each step."""
    faults("scf:MgO")
    workflow = make()
    assert workflow.submit("MgO", "a").phases == ("MgO",)
    work(workflow.root)
    (outcome,) = workflow.collect()
    assert outcome.value == pytest.approx(4.966, abs=1e-3)
    attempts = {name: document["attempts"] for name, document in documents(workflow).items()}
    assert attempts == {"MgO/rocksalt/relax": 3, "MgO/rocksalt/static": 3, "MgO/lowest/bands": 0}
    assert (
        "occupation_type" not in documents(workflow)["MgO/lowest/bands"]["settings"]
    )  # nothing of the remedy is in the gap
    spent = [document["core_hours"] for document in documents(workflow).values() if document["attempts"]]
    assert outcome.core_hours == pytest.approx(sum(spent))
    assert min(spent) > 0


def hybrid_runs(workflow):
    """Tasks that began a calculation with HSE06, once for each output."""
    outputs = [file for file in (workflow.root / "tree").rglob("aims.out*") if "hse06" in file.read_text()]
    return sorted("/".join(file.relative_to(workflow.root / "tree").parts[:3]) for file in outputs)


def test_one_hybrid_run_for_each_structure_gives_energies_and_bands(make):
    workflow = make(max_prototypes=3)
    workflow.submit("MgO", "a")
    work(workflow.root)
    names = sorted({task.name.split("/")[1] for task in workflow.tasks()} - {"lowest"})
    assert len(names) == 3
    assert hybrid_runs(workflow) == [f"MgO/{name}/static" for name in names]
    found = documents(workflow)
    bands = found["MgO/lowest/bands"]
    energies = {name: found[f"MgO/{name}/static"]["energy_per_atom"] for name in names}
    assert bands["lowest"] == min(energies, key=energies.get)
    assert all(found[f"MgO/{name}/static"]["has_bands"] for name in names)
    assert (bands["core_hours"], bands["bandgap"]) == (0.0, found[f"MgO/{bands['lowest']}/static"]["bandgap"])
    assert workflow.collect()[0].value == bands["bandgap"]


@pytest.mark.faults
def test_a_competitor_that_becomes_a_candidate_gets_the_bands_of_its_lowest_structure_alone(make):
    workflow = make(
        question=Question(quantity="formation_energy + band_gap"), max_prototypes=2, competitors={"Mg2TiO4": ["MgO"]}
    )
    workflow.submit("MgO", "first")
    plain = make(question=Question(quantity="energy_above_hull"), max_prototypes=2, competitors={"ZnO": ["TiO2"]})
    plain.submit("ZnO", "second")
    run(plain)
    assert [name for name in hybrid_runs(plain) if name.startswith("OZn")] == [
        f"OZn/{name}/static" for name in ("rocksalt", "wurtzite")
    ]
    workflow.submit("ZnO", "third")
    run(workflow)
    found = documents(workflow)
    runs = [name for name in hybrid_runs(workflow) if name.startswith("OZn")]
    assert runs == ["OZn/lowest/bands", "OZn/rocksalt/static", "OZn/wurtzite/static"]
    assert found["OZn/lowest/bands"]["has_bands"]
    assert not found["OZn/wurtzite/static"]["has_bands"]
    assert {o.intent: o.value is not None for o in workflow.collect(["first", "third"])} == {
        "first": True,
        "third": True,
    }


@pytest.mark.faults
def test_bands_that_fail_leave_the_energy(make, faults):
    faults("bands:MgO")
    workflow = make(question=Question(quantity="formation_energy + band_gap"))
    workflow.submit("MgO", "a")
    run(workflow)
    found = documents(workflow)
    static, bands = found["MgO/rocksalt/static"], found["MgO/lowest/bands"]
    assert (static["state"], static["attempts"], static["has_bands"]) == ("successful", 2, False)
    assert (bands["state"], bands["attempts"]) == ("failed", 2)
    (outcome,) = workflow.collect()
    assert (outcome.value, outcome.failure) == (None, "calculation")
    assert outcome.reason.startswith("MgO (no band gap: failed: the output ends in self-consistency cycle 2")
    workflow.question = Question(quantity="formation_energy")
    assert workflow.collect()[0].value is not None
    faults("")
    workflow.question = Question(quantity="formation_energy + band_gap")
    workflow.submit("MgO", "b")
    run(workflow)
    assert workflow.collect(["b"])[0].value is not None
    assert documents(workflow)["MgO/rocksalt/static"]["completed_at"] == static["completed_at"]


def test_settings_that_differ_are_computed_apart():
    assert load_engine({}).joins_bands
    assert load_engine({"changes": {"bands": {"band_density": 5.0}, "all": {"k_grid_density": 3.0}}}).joins_bands
    assert not load_engine({"changes": {"static": {"k_grid_density": 3.0}}}).joins_bands
    assert not load_engine({"steps": {"static": "static-tight"}}).joins_bands
    gpaw = {"engine": "structure", "calculator": "gpaw-light"}
    assert load_engine({**gpaw, "changes": {"bands": {"path_points": 60, "hybrid": "HSE06"}}}).joins_bands
    assert not load_engine({**gpaw, "changes": {"static": {"parameters": {"kpts": {"density": 3.0}}}}}).joins_bands


def test_a_crash_gets_a_second_try_and_a_person_may_give_it_more(make, faults):
    faults("crash:MgO")
    workflow = make()
    workflow.submit("MgO", "a")
    work(workflow.root)
    (first,) = workflow.collect()
    assert (first.failure, first.value) == ("calculation", None)
    assert first.reason.startswith("MgO (failed: relax: the output ends in self-consistency cycle 1")
    assert documents(workflow)["MgO/rocksalt/relax"]["attempts"] == 2
    assert documents(workflow)["MgO/rocksalt/static"]["attempts"] == 0
    assert first.core_hours > 0
    faults("")
    assert workflow.submit("MgO", "b").pays == ("MgO",)
    assert workflow.collect(["b"]) == []
    work(workflow.root)
    (second,) = workflow.collect(["b"])
    assert second.value == pytest.approx(4.966, abs=1e-3)
    assert workflow.submit("MgO", "c").pays == ()
    assert workflow.collect(["c"])[0].core_hours == 0


def test_phases_are_shared_and_paid_for_once(make):
    workflow = make(question=Question(), competitors={"MgTiO3": ["MgO", "TiO2"]})
    first, second = workflow.submit("MgO", "a"), workflow.submit("MgTiO3", "b")
    assert first.pays == first.phases == ("MgO", "Mg", "H2O", "H2")
    assert second.phases == ("MgTiO3", "Mg", "Ti", "MgO", "TiO2", "H2O", "H2")
    assert second.pays == ("MgTiO3", "Ti", "TiO2")
    assert len(workflow.tasks()) == 2 * 7  # relaxation and energy; no label needs bands
    assert workflow.submit("TiO2", "c").pays == ()
    assert len(workflow.tasks()) == 2 * 7


@pytest.mark.usefixtures("closes_databases")
def test_the_registry_is_closed_by_all_that_open_it(make):
    workflow = make()
    workflow.submit("MgO", "a")
    assert module.run_ready(workflow.root, {"relax"}, worker_name()) == 1
    assert sorted(task.state for task in workflow.tasks()) == ["done", "queue", "queue"]


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")  # Taskblaster's, which it could not lock
def test_a_registry_that_another_process_keeps_locked_is_told(make, monkeypatch):
    workflow = make()
    workflow.submit("MgO", "a")
    open_with_patience = module.Repository.__init__

    def open_at_once(self, *args, **options):
        open_with_patience(self, *args, **options)
        self.registry.conn.timeout = 0.01

    monkeypatch.setattr(module.Repository, "__init__", open_at_once)
    with closing(sqlite3.connect(workflow.root / ".taskblaster" / "registry.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OracleError, match=r"oracle: cannot be used now: Failed to open"):
            workflow.tasks()
    gc.collect()


def test_a_phase_keeps_the_structures_of_the_first_time(make):
    workflow = make()
    workflow.submit("MgO", "a")
    own = {"MgO": [("mine.cif", element_structure("Mg"))]}
    again = make(structures=own)
    again.submit("MgO", "b")
    assert {task.name for task in again.tasks()} == {"MgO/rocksalt/relax", "MgO/rocksalt/static", "MgO/lowest/bands"}
    again.submit("Mg2O2", "c")
    assert {task.state for task in again.tasks()} == {"queue"}


def test_a_worker_ends_where_nothing_can_be_begun(make, monkeypatch):
    """Taskblaster would try for ever to begin a task whose input is damaged."""
    workflow = make()
    workflow.submit("MgO", "a")
    monkeypatch.setattr(module.FencedWorker, "main", lambda worker: None)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(OracleError, match=r"oracle: 1 tasks are ready but cannot be begun"):
            work(workflow.root)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not list((workflow.root / "workers").iterdir())


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
        ({"engine": "vasp"}, "calculation: engine: needs 'aims', 'structure' or 'jobflow', found 'vasp'"),
        (
            {"changes": {"relax": {"kgrid": 1}}},
            "FHI-aims preset 'relax': unknown setting 'kgrid'; did you mean 'k_grid'?",
        ),
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
    with pytest.raises(InputError, match=r"^I: no structure of this element is known"):
        next(starting_structures("I"))


def test_whose_end_is_certain(monkeypatch, tmp_path):
    assert not has_certainly_ended(worker_name())
    host, pid, began, _, mark = worker_name().split("|")
    place, _, tick = began.rpartition(".")
    assert has_certainly_ended(f"{host}|{pid}|{place}.{int(tick) + 1}||{mark}")  # a later process of the same number
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert has_certainly_ended(f"{host}|{done.pid}|{place}.1||{mark}")
    assert not has_certainly_ended(f"{host}|{done.pid}|other.boot.1||{mark}")  # a container may have the same name
    for name in ["", "worker-0/1", f"elsewhere|1|||{mark}", f"{host}|0|||", f"../{host}|{done.pid}|{place}.1||{mark}"]:
        assert not has_certainly_ended(name)
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
        assert has_certainly_ended(f"node3|5|a.b.1|7|{mark}") is dead


def test_the_command(make, tmp_path):
    workflow = make()
    workflow.submit("MgO", "a")
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[3])}

    def command(*arguments):
        words = [sys.executable, "-m", "sisso_sal", "worker", *arguments]
        return subprocess.run(words, capture_output=True, text=True, env=environment)

    relaxed = command(str(workflow.root.parent), "--tags", "relax")  # the run folder that holds the oracle's
    assert (relaxed.returncode, relaxed.stdout) == (0, "")
    assert "Running MgO/rocksalt/relax ..." in relaxed.stderr
    states = {task.name: task.state for task in workflow.tasks()}
    assert states == {"MgO/rocksalt/relax": "done", "MgO/rocksalt/static": "queue", "MgO/lowest/bands": "queue"}
    for arguments, told in [
        ((str(tmp_path / "nowhere"),), "nowhere: holds no calculations"),
        (
            (str(workflow.root), "--tags", "relax,all"),
            "worker: needs tags of prerelax, relax, static, bands, vibrations, found all",
        ),
    ]:
        refused = command(*arguments)
        assert refused.returncode == 2
        assert told in refused.stderr
    with pytest.raises(InputError, match="found none"):
        work(workflow.root, [])


def test_only_three_modules_import_taskblaster():
    package = Path(module.__file__).parents[2]
    users = [
        file.name
        for file in package.rglob("*.py")
        if "import taskblaster" in file.read_text() or "from taskblaster" in file.read_text()
    ]
    assert sorted(users) == ["campaign_repository.py", "fenced.py", "repository.py"]


def test_a_static_step_that_raises_does_not_hold_up_the_others(make, monkeypatch):
    """The task of the bands can never begin then; the candidate's outcome is told all the same."""
    workflow = make(max_prototypes=2)
    workflow.submit("ZnO", "a")
    compute = steps.static_with_bands

    def fragile(previous, engine):
        if Path.cwd().parent.name == "rocksalt":
            raise OracleError("the disk is gone")
        return compute(previous, engine)

    monkeypatch.setattr(steps, "static_with_bands", fragile)
    run_ready(workflow.root, set(TAGS), worker_name())
    (outcome,) = workflow.collect()
    assert (outcome.value, outcome.failure) == (None, "calculation")
    assert "no band gap" in outcome.reason
    assert documents(workflow)["OZn/wurtzite/static"]["state"] == "successful"
    assert workflow.unfinished() == 0
