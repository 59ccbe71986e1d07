"""Leases: what a watcher sees, workers whose death nothing else proves, and workers that were only stopped."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
import stand_in_slurm
from species import write_species

from sisso_sal.oracle.workflow import leases, workers
from sisso_sal.oracle.workflow.leases import GIVEN_UP, Lease, LeaseWatch, pause_of
from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.tasks import Workflow, put_back, silent_tasks
from sisso_sal.oracle.workflow.workers import Watcher, living
from sisso_sal.oxides.prototypes import prototype_structure
from sisso_sal.report.text.campaign import _silent

ROOT = Path(aims_stand_in.__file__).parents[1]
LEASE = 2.0
"""Seconds; two of them are what a campaign may wait."""


# What is seen ------------------------------------------------------------------------------------------------------------


def test_a_lease_is_alive_while_it_is_renewed_and_dead_when_it_was_not_for_its_time(tmp_path, monkeypatch):
    file, clock = tmp_path / "lease", [1000.0]
    monkeypatch.setattr(leases.time, "monotonic", lambda: clock[0])
    watch = LeaseWatch()
    assert watch.look(file) == (False, 0.0)
    file.write_text("100\nwho\n0")
    assert watch.look(file) == (None, 0.0)  # it may have been like this for days
    clock[0] += 60
    assert watch.look(file) == (None, 0.6)
    file.write_text("100\nwho\n1")
    assert watch.look(file) == (True, 0.0)
    clock[0] += 99
    assert watch.look(file) == (True, 0.99)
    clock[0] += 2
    assert watch.look(file)[0] is False
    assert LeaseWatch().look(file)[0] is None  # another watcher has to see it for itself


@pytest.mark.parametrize("off", [-1e9, 1e9])
def test_the_clock_of_the_host_of_a_worker_says_nothing(tmp_path, off):
    file, watch = tmp_path / "lease", LeaseWatch()
    file.write_text("100\nwho\n0")
    os.utime(file, (time.time() + off, time.time() + off))
    assert watch.look(file)[0] is None
    file.write_text("100\nwho\n1")
    os.utime(file, (time.time() + off, time.time() + off))
    assert watch.look(file)[0] is True


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b"soon\nwho\n0", b"nan\n", b"\xff\x00"])
def test_a_lease_that_says_nothing_has_the_default_length(content):
    assert leases.seconds_of(content) == 120


def test_the_thread_renews_and_a_lease_that_was_taken_away_is_not_held(tmp_path):
    lease = Lease(tmp_path / "lease", "who", 1.0)
    try:
        first = (tmp_path / "lease").read_bytes()
        until = time.monotonic() + 10
        while (tmp_path / "lease").read_bytes() == first:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert first.split(b"\n")[:2] == (tmp_path / "lease").read_bytes().split(b"\n")[:2] == [b"1", b"who"]
        assert lease.is_held()
    finally:
        lease.close()
    assert not (tmp_path / "lease").exists()
    assert (pause_of(120), pause_of(2)) == (5.0, 0.25)


@pytest.mark.parametrize("new_file", [False, True])
def test_a_worker_that_was_given_up_ends(tmp_path, new_file):
    code = f"""if 1:
        import os, time
        from pathlib import Path
        from sisso_sal.oracle.workflow.leases import Lease
        Lease(Path("lease"), "who", 1.0)
        os.unlink("lease")
        if {new_file}:
            Path("lease").write_text("another's")
        time.sleep(60)"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=30, env=here()
    )
    assert (done.returncode, done.stdout) == (GIVEN_UP, "")
    assert done.stderr == "lease: was given up by others while it gave no sign of life; it ends\n"
    assert (tmp_path / "lease").exists() is new_file


def test_a_watcher_asks_the_process_then_slurm_then_the_lease(tmp_path, monkeypatch):
    (tmp_path / "workers").mkdir()
    asked = []
    monkeypatch.setattr(workers.slurm, "has_ended", lambda job: asked.append(job) or job == "8")
    host, pid, began, _, mark = workers.worker_name().split("|")
    other = f"node3|5|{began}|7|{mark}"

    def lease_for(name):
        file = workers._file_of(tmp_path, name)
        file.write_text(f"100\n{name}\n0")
        return file

    watcher, gone = Watcher(tmp_path), f"{host}|{pid}|{began}9|7|{mark}"
    file = lease_for(gone)
    assert watcher.dead([gone]) == {gone}
    assert not file.exists()
    assert asked == []
    lease_for(other)
    assert watcher.dead([other]) == set()
    assert watcher.is_undecided
    assert watcher.dead([other]) == set()
    assert asked == ["7"]  # not at every look
    ended = f"node4|5|{began}|8|{mark}"
    lease_for(ended)
    assert watcher.dead([ended, other]) == {ended}
    assert watcher.dead([f"node5|5|{began}|7|{mark}"]) == {f"node5|5|{began}|7|{mark}"}  # it has no lease
    assert not watcher.is_undecided
    assert watcher.dead(["worker-0/1", ""]) == set()  # Taskblaster's own command
    assert not watcher.is_undecided


# Workers that die --------------------------------------------------------------------------------------------------------


def here(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="module")
def species(tmp_path_factory):
    return write_species(tmp_path_factory.mktemp("species"), ["Mg", "O"])


@pytest.fixture
def workflow(tmp_path, species):
    command = f"{sys.executable} {Path(aims_stand_in.__file__)}"
    engine = {"command": command, "species_dir": species, "lease": LEASE, "with_bands": False}
    made = Workflow(tmp_path / "run" / "oracle", engine, max_prototypes=1, question=Question(quantity="band_gap"))
    made.submit("MgO", "a")
    return made


ELSEWHERE = """if 1:
    import socket, sys
    host = sys.argv.pop(1)
    socket.gethostname = lambda: host
    from sisso_sal.cli import main
    sys.exit(main())"""
"""The command as on a host of another name, which the first word says."""


def start_worker(workflow, host=None, **environment):
    words = [sys.executable, "-m", "sisso_sal"] if host is None else [sys.executable, "-c", ELSEWHERE, host]
    with (workflow.root / "workers.log").open("ab") as log:
        return subprocess.Popen(
            [*words, "worker", str(workflow.root)], env=here(**environment), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def running(workflow):
    return [task.name for task in workflow.tasks() if task.state == "run"]


def is_computing(workflow):
    """Whether a program has begun with its first cycle."""
    return any("Begin self-consistency" in file.read_text() for file in workflow.root.rglob("aims.out"))


CASES = {
    "driver and worker in one job": (None, {"SLURM_JOB_ID": "77"}, {"SLURM_JOB_ID": "77"}, True),
    "another host": ("node7", {}, {}, False),
    "no squeue on the path": ("node7", {"SLURM_JOB_ID": "77"}, {}, False),
    "a requeued job with its old id": ("node7", {"SLURM_JOB_ID": "101"}, {"SLURM_JOB_ID": "101"}, True),
}


SOME = ("another host",)


def in_case(name, tmp_path, monkeypatch, *, is_certain=False):
    """The host and the environment of the worker; the own environment is made that of the driver."""
    host, of_worker, of_driver, has_squeue = CASES[name]
    if name == "driver and worker in one job" and not is_certain:
        host = "node7"  # another node of the job
    if has_squeue:
        environment = stand_in_slurm.install(tmp_path / "slurm")
        for number in (77, 101):
            stand_in_slurm.running_job(tmp_path / "slurm", number)
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
    for key, value in of_driver.items():
        monkeypatch.setenv(key, value)
    return host, of_worker


@pytest.mark.parametrize(
    "case", [*SOME, *(pytest.param(case, marks=pytest.mark.faults) for case in CASES if case not in SOME)]
)
def test_a_worker_whose_death_nothing_proves_is_given_up_after_its_lease(case, workflow, tmp_path, monkeypatch):
    host, environment = in_case(case, tmp_path, monkeypatch)
    worker = start_worker(workflow, host, STAND_IN_FAULTS="hang:MgO", **environment)
    until(lambda: is_computing(workflow))
    assert workflow.collect() == []
    if case == "another host":
        time.sleep(1.5 * LEASE)
        assert workflow.collect() == []
        assert running(workflow) == ["MgO/rocksalt/relax"]  # it computes, and shows that it lives
        assert silent_tasks(workflow.root) == []
    worker.kill()
    worker.wait()
    killed = time.monotonic()
    until(lambda: workflow.collect() == [] and not running(workflow), seconds=4 * LEASE)
    assert time.monotonic() - killed < 2 * LEASE
    assert start_worker(workflow).wait(60) == 0
    assert workflow.collect()[0].value is not None


def test_a_worker_of_this_host_is_seen_to_be_dead_at_once_although_its_job_goes_on(workflow, tmp_path, monkeypatch):
    host, environment = in_case("driver and worker in one job", tmp_path, monkeypatch, is_certain=True)
    worker = start_worker(workflow, host, STAND_IN_FAULTS="hang:MgO", **environment)
    until(lambda: is_computing(workflow))
    worker.kill()
    worker.wait()
    assert workflow.collect() == []
    assert running(workflow) == []


def test_a_lonely_worker_waits_for_a_lease_and_takes_over(workflow):
    first = start_worker(workflow, "node7", STAND_IN_FAULTS="hang:MgO")
    until(lambda: is_computing(workflow))
    first.kill()
    first.wait()
    assert start_worker(workflow, "node8").wait(60) == 0  # not at once because nothing is ready
    assert workflow.collect()[0].value is not None


def test_a_worker_ends_when_it_has_seen_that_others_are_in_good_hands(workflow):
    first = start_worker(workflow, "node7", STAND_IN_FAULTS="hang:MgO")
    try:
        until(lambda: is_computing(workflow))
        assert start_worker(workflow, "node8").wait(60) == 0
        assert running(workflow) == ["MgO/rocksalt/relax"]
    finally:
        first.kill()
        first.wait()


@pytest.mark.faults
def test_a_worker_that_was_stopped_ends_when_it_wakes_and_records_nothing(workflow):
    """The other one has its step, and its result stays."""
    first = start_worker(workflow, STAND_IN_SECONDS="4")
    until(lambda: running(workflow))
    first.send_signal(signal.SIGSTOP)
    assert living(workflow.root) == {first.pid}
    until(lambda: workflow.collect() == [] and not running(workflow), seconds=4 * LEASE)
    assert living(workflow.root) == set()  # a driver starts another one in its place
    assert start_worker(workflow).wait(60) == 0
    results = {file: file.stat().st_mtime_ns for file in workflow.root.rglob("output.json")}
    assert len(results) == 2
    first.send_signal(signal.SIGCONT)
    assert first.wait(30) == GIVEN_UP
    assert {file: file.stat().st_mtime_ns for file in workflow.root.rglob("output.json")} == results
    assert [task.state for task in workflow.tasks()] == ["done", "done"]
    assert workflow.collect()[0].value is not None


@pytest.mark.faults
def test_a_worker_that_was_stopped_goes_on_where_nobody_missed_it(workflow):
    first = start_worker(workflow, STAND_IN_SECONDS="1")
    until(lambda: running(workflow))
    first.send_signal(signal.SIGSTOP)
    time.sleep(2 * LEASE)
    first.send_signal(signal.SIGCONT)
    assert first.wait(60) == 0
    assert [task.document["attempts"] for task in workflow.tasks()] == [1, 1]


def test_what_a_worker_made_of_a_step_that_was_given_to_another_is_not_recorded(workflow, monkeypatch):
    """The lease is in order, and yet the registry says otherwise: as when a person has put the step back."""
    from sisso_sal.oracle.workflow import repository

    def put_back_meanwhile(worker, task):
        with worker.registry.conn:
            worker.registry.unrun(task.name)
        return {"state": "successful"}

    monkeypatch.setattr(repository.FencedWorker, "_computed", put_back_meanwhile)
    worker = repository.FencedWorker(repository.tb_init_repo(workflow.root), name="me", rules=rules())
    worker.process_one_task()
    assert not list(workflow.root.rglob("output.json"))
    assert {task.state for task in workflow.tasks()} == {"new"}


def rules():
    from taskblaster.repository import WorkerSpecification

    return WorkerSpecification(tags={"relax"})


def test_the_commands_tell_of_a_silent_worker_and_put_its_step_back(workflow):
    worker = start_worker(workflow, "node7", STAND_IN_FAULTS="hang:MgO")
    until(lambda: is_computing(workflow))
    worker.kill()
    worker.wait()
    (file,) = (workflow.root / "workers").iterdir()
    os.utime(file, (time.time() - 600, time.time() - 600))
    (found,) = silent_tasks(workflow.root)
    assert (found.task, round(found.seconds / 60)) == ("MgO/rocksalt/relax", 10)
    lines = _silent({"run": "runs/a", "silent": [vars(found), {**vars(found), "seconds": None}]})
    process = f"process {worker.pid} on node7"
    assert lines[1] == (
        f"2 steps are running without a living worker: MgO/rocksalt/relax ({process} silent for 10 min), MgO/rocksalt/relax "
        f"({process} has ended); discover and workers put them back, or sisso-sal worker runs/a --recover"
    )
    assert _silent({"run": "runs/a", "silent": []}) == []
    command = [sys.executable, "-m", "sisso_sal", "worker", str(workflow.root.parent), "--recover"]
    done = subprocess.run(command, env=here(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{workflow.root.parent}: put back MgO/rocksalt/relax\n")
    assert put_back(workflow.root) == []
    assert silent_tasks(workflow.root) == []


# Any time ----------------------------------------------------------------------------------------------------------------


DRIVER = """if 1:
    import json, sys, time
    from sisso_sal.errors import OracleError
    from sisso_sal.oracle.workflow.outcomes import Question
    from sisso_sal.oracle.workflow.tasks import Workflow
    from pymatgen.core import Structure
    root, engine, structures = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    own = {"MgO": [(f"{n}.cif", Structure.from_dict(data)) for n, data in enumerate(structures)]}
    workflow = Workflow(root, engine, structures=own, question=Question(quantity="band_gap"))
    workflow.submit("MgO", "a")
    while not (outcomes := workflow.collect()):
        time.sleep(0.3)
    print(outcomes[0].value)"""


class Campaign:
    """A driver and two workers, each of which is started again when it was killed."""

    def __init__(self, workflow, case, n_structures, tmp_path, monkeypatch):
        self.host, self.environment = in_case(case, tmp_path, monkeypatch)
        self.root = workflow.root.with_name("many")
        oxide = prototype_structure("rocksalt", {"A": ("Mg", 2)})
        structures = [oxide.copy().scale_lattice(oxide.volume * (1 + 0.01 * n)).as_dict() for n in range(n_structures)]
        engine = {**workflow.engine.model_dump(mode="json"), "changes": {}}
        self.words = [sys.executable, "-c", DRIVER, str(self.root), json.dumps(engine), json.dumps(structures)]
        self.answer = tmp_path / "answer"
        self.processes, self.stopped = {}, []

    def start(self, name):
        if name == "driver":
            with self.answer.open("w") as answer:
                self.processes[name] = subprocess.Popen(self.words, env=here(), stdout=answer, start_new_session=True)
            return
        words = [sys.executable, "-c", ELSEWHERE, self.host, "worker", str(self.root), "--idle", "600"]
        with self.root.joinpath("workers.log").open("ab") as log:
            environment = here(STAND_IN_SECONDS="1.5", **self.environment)
            self.processes[name] = subprocess.Popen(
                words, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def disturb(self, rng):
        """Kill one, or stop it for longer than its lease; another one takes its place."""
        name = rng.choice(["driver", "first", "second"])
        process = self.processes[name]
        if rng.random() < 0.25:
            process.send_signal(signal.SIGSTOP)
            self.stopped.append((process, time.monotonic() + 2 * LEASE))
        else:
            process.kill()
            process.wait()
        self.start(name)
        for stopped, end in self.stopped:
            if time.monotonic() > end:
                stopped.send_signal(signal.SIGCONT)

    def close(self):
        for process in [*self.processes.values(), *(process for process, _ in self.stopped)]:
            process.kill()
            process.wait()


@pytest.mark.faults
@pytest.mark.parametrize("case", CASES)
def test_workers_and_drivers_may_be_killed_and_stopped_at_any_time(case, workflow, tmp_path, monkeypatch):
    """Whatever and whenever: those after them come to the end, and nothing is recorded twice."""
    kills = int(os.environ.get("KILLS", "6"))
    rng = random.Random(f"{case}{kills}")
    campaign = Campaign(workflow, case, 2 * kills, tmp_path, monkeypatch)  # more work than kills take
    try:
        campaign.start("driver")
        until(lambda: (campaign.root / "intents" / "a.json").exists())
        campaign.start("first")
        campaign.start("second")
        for _ in range(kills):
            time.sleep(rng.uniform(0.1, 3.0))
            assert campaign.processes["driver"].poll() is None  # there is something left to disturb
            campaign.disturb(rng)
        for stopped, _ in campaign.stopped:
            stopped.send_signal(signal.SIGCONT)
        assert campaign.processes["driver"].wait(180) == 0, (campaign.root / "workers.log").read_text()[-3000:]
    finally:
        campaign.close()
    check_records(campaign, 4 * kills)


def check_records(campaign, n_tasks):
    """Every step was recorded once, by one attempt; none failed but for workers that died, and then at its last attempt."""
    log = (campaign.root / "workers.log").read_text()
    tasks = Workflow(campaign.root, {}).tasks()
    if not any(task.document["state"] == "failed" for task in tasks):  # kills may hit one step in all of its attempts
        assert float(campaign.answer.read_text()) == pytest.approx(4.966, abs=1e-3)
    assert {task.state for task in tasks} == {"done"}
    assert len(tasks) == n_tasks
    for task in tasks:
        assert log.count(f"Task {task.name} finished") <= 1  # the line may be lost with its worker, the record is not
        n_folders = len(list((campaign.root / "tree" / task.name).glob("attempt-*")))
        assert task.document["attempts"] == n_folders
        if task.document["state"] == "failed":
            assert "the worker died in each of 3 attempts" in task.document["reason"]
    assert not [line for line in log.splitlines() if "Traceback" in line]
