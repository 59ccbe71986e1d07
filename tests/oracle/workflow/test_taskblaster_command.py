"""Taskblaster's own command on the repository of a campaign: what people who know it do there, as processes."""

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from species import write_species

from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.tasks import Workflow

ROOT = Path(aims_stand_in.__file__).parents[1]
TB = Path(sysconfig.get_path("scripts"), "tb")


@pytest.fixture
def workflow(tmp_path):
    command = f"{sys.executable} {Path(aims_stand_in.__file__)}"
    write_species(tmp_path / "species", ["Mg", "O", "H"])
    engine = {"command": command, "species_dir": str(tmp_path / "species"), "with_bands": False, "lease": 2}
    made = Workflow(tmp_path / "oracle", engine, max_prototypes=1, question=Question(quantity="band_gap"))
    made.submit("MgO", "a")
    return made


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def tb(workflow, *arguments, code=0, **more):
    words = [str(TB), *arguments]
    done = subprocess.run(
        words, cwd=workflow.root, env=environment(**more), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def begin(workflow, *arguments, **more):
    log = (workflow.root / "tb.log").open("a")
    with log:
        return subprocess.Popen(
            [str(TB), *arguments], cwd=workflow.root, env=environment(**more), stdout=log, stderr=log
        )


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def states(workflow):
    return {task.name: task.state for task in workflow.tasks()}


def attempts(workflow, task="MgO/rocksalt/relax"):
    return sorted(place.name for place in (workflow.root / "tree" / task).glob("*-*"))


def is_computing(workflow):
    outputs = workflow.root.glob("tree/MgO/rocksalt/relax/attempt-*/aims.out")
    return any("Begin self-consistency" in output.read_text() for output in outputs)


def test_ls_and_run_do_what_a_worker_does(workflow):
    assert "MgO/rocksalt/relax" in tb(workflow, "ls")
    tb(workflow, "run", "tree/MgO/rocksalt/relax")
    assert states(workflow) == {"MgO/rocksalt/relax": "done", "MgO/rocksalt/static": "queue"}
    assert not list((workflow.root / "workers").iterdir())
    printed = tb(workflow, "run")  # all tags, where none are given
    assert "Running MgO/rocksalt/static" in printed
    (outcome,) = workflow.collect()
    assert outcome.value is not None
    listed = tb(workflow, "ls")
    assert listed.count("done") == 2
    assert "No available tasks" in tb(workflow, "run", "--tags", "relax")


@pytest.mark.faults
def test_a_failed_step_that_is_unrun_has_all_its_attempts_again(workflow):
    tb(workflow, "run", STAND_IN_FAULTS="crash:MgO")
    (outcome,) = workflow.collect()
    assert (outcome.value, outcome.failure) == (None, "calculation")
    before = attempts(workflow)
    assert before
    printed = tb(workflow, "unrun", "--force", "tree/MgO/rocksalt/relax")
    assert "2 tasks were unrun" in printed
    assert set(states(workflow).values()) == {"new"}
    assert attempts(workflow) == ["earlier-1"]
    assert workflow.collect() == []  # it is to be done again: the campaign waits, and queues it
    assert [worker.wait(120) for worker in workflow.start_workers(1)] == [0]
    (outcome,) = workflow.collect()
    assert outcome.value is not None
    assert attempts(workflow) == ["attempt-1", "earlier-1"]


def test_a_step_at_which_a_living_worker_is_cannot_be_unrun(workflow):
    worker = begin(workflow, "run", STAND_IN_FAULTS="hang:MgO")
    try:
        until(lambda: is_computing(workflow))
        printed = subprocess.run(
            [str(TB), "unrun", "--force", "tree/MgO/rocksalt/relax"],
            cwd=workflow.root, env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert printed.returncode != 0
        (told,) = printed.stderr.splitlines()
        assert told.startswith(f"Error: MgO/rocksalt/relax is being computed by process {worker.pid} on ")
        assert told.endswith("; nothing was unrun: end its worker first")
        assert states(workflow)["MgO/rocksalt/relax"] == "run"
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.faults
def test_a_killed_tb_run_is_a_dead_worker_like_any_other(workflow):
    worker = begin(workflow, "run", STAND_IN_FAULTS="hang:MgO:1")
    until(lambda: is_computing(workflow))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert states(workflow)["MgO/rocksalt/relax"] == "run"
    assert workflow.collect() == []  # sees that it is dead, and puts its step back
    assert states(workflow)["MgO/rocksalt/relax"] == "queue"
    tb(workflow, "run")
    (outcome,) = workflow.collect()
    assert outcome.value is not None
    assert attempts(workflow) == ["attempt-1", "attempt-2"]


@pytest.mark.faults
def test_an_ended_tb_run_leaves_its_step_to_the_next(workflow):
    worker = begin(workflow, "run", STAND_IN_FAULTS="hang:MgO:1")
    until(lambda: is_computing(workflow))
    worker.terminate()
    worker.wait(60)
    assert workflow.collect() == []
    assert states(workflow)["MgO/rocksalt/relax"] == "queue"
    tb(workflow, "run")
    assert workflow.collect()[0].value is not None
