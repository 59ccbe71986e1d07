"""Attempts: folders of their own, the end of earlier ones, what costs one, and what a worker that takes over knows."""

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
import stubborn
from species import write_species

from sisso_sal.errors import InputError, OracleError, StorageError
from sisso_sal.oracle.engines.aims import read_geometry
from sisso_sal.oracle.workflow import attempts as module
from sisso_sal.oracle.workflow.attempts import attempts_of, begin_attempt, forget_attempts, running_in, seconds_of
from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.tasks import Workflow, work
from sisso_sal.system import programs

ROOT = Path(aims_stand_in.__file__).parents[1]
RELAX = "MgO/rocksalt/relax"
AGAIN = ((2, "geometry.in.next_step"), (3, "geometry.in"))
needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def test_each_attempt_has_a_folder_and_there_are_three(tmp_path):
    made = [begin_attempt(tmp_path, changes={"n": n}) for n in range(3)]
    assert [attempt.folder.name for attempt in made] == ["attempt-1", "attempt-2", "attempt-3"]
    assert begin_attempt(tmp_path) is None
    assert [attempt.record.changes for attempt in attempts_of(tmp_path)] == [{"n": n} for n in range(3)]
    made[0].ended({"verdict": "failed"}, 7.0)
    os.utime(made[1].folder / "attempt.json", (1000.0, 1000.0))
    (made[1].folder / "trace").touch()
    os.utime(made[1].folder / "trace", (1012.0, 1012.0))  # it died with its worker
    assert [round(attempt.seconds) for attempt in attempts_of(tmp_path)] == [7, 12, 0]
    assert seconds_of(attempts_of(tmp_path)) == pytest.approx(19, abs=0.5)
    forget_attempts(tmp_path)
    assert attempts_of(tmp_path) == []
    assert (tmp_path / "earlier-1" / "attempt-2" / "trace").exists()
    assert begin_attempt(tmp_path).number == 1
    forget_attempts(tmp_path)
    assert (tmp_path / "earlier-2" / "attempt-1").exists()


def test_attempts_that_came_forward_cost_none_but_there_is_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 6)
    made = [begin_attempt(tmp_path, is_free=lambda attempt: attempt.number % 2 == 0) for _ in range(6)]
    assert [attempt and attempt.number for attempt in made] == [1, 2, 3, 4, 5, None]
    forget_attempts(tmp_path)
    made = [begin_attempt(tmp_path, is_free=lambda attempt: True) for _ in range(7)]
    assert [attempt and attempt.number for attempt in made] == [1, 2, 3, 4, 5, 6, None]


def test_a_folder_that_two_workers_want_at_once_is_of_one(tmp_path, monkeypatch):
    begin_attempt(tmp_path)
    monkeypatch.setattr(module, "attempts_of", lambda folder: [])
    with pytest.raises(StorageError, match=r"attempt-1: cannot be written: File exists"):
        begin_attempt(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"mark": 3}', "{"])
def test_a_record_that_is_none_is_told(tmp_path, content):
    (tmp_path / "attempt-1").mkdir()
    assert attempts_of(tmp_path)[0].seconds == 0  # its worker died before it wrote anything
    (tmp_path / "attempt-1" / "attempt.json").write_text(content)
    with pytest.raises(InputError, match=r"attempt-1/attempt.json: cannot be read: "):
        begin_attempt(tmp_path)


@needs_proc
def test_what_is_left_of_an_attempt_is_gone_before_the_next_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(programs.end, "__kwdefaults__", {"grace": 0.3, "patience": 20.0})
    first = begin_attempt(tmp_path)
    mpirun = stubborn.start(first.folder, first.mark)
    second = begin_attempt(tmp_path)
    assert programs.survivors(first.mark) == []
    assert stubborn.is_still(first.folder)
    assert (first.folder / "ended.json").stat().st_mtime_ns <= (second.folder / "attempt.json").stat().st_mtime_ns
    assert second.record.beside == ""
    assert mpirun.wait() == -signal.SIGKILL


@needs_proc
def test_what_cannot_be_ended_lets_no_other_begin(tmp_path, monkeypatch):
    first = begin_attempt(tmp_path)
    monkeypatch.setattr(programs, "end", lambda mark: ["process 12"])
    with pytest.raises(OracleError, match=r"attempt-1: process 12 of this attempt cannot be ended$"):
        begin_attempt(tmp_path)
    assert attempts_of(tmp_path) == [first]


@needs_proc
@pytest.mark.parametrize("is_seen", [True, False])
def test_an_attempt_on_another_machine_is_waited_for_and_else_stays_apart(tmp_path, monkeypatch, is_seen):
    monkeypatch.setattr(programs.socket, "gethostname", lambda: "node7")
    first = begin_attempt(tmp_path)
    monkeypatch.undo()
    mpirun = stubborn.start(first.folder, first.mark)
    try:
        if is_seen:
            writer = "import sys, time; time.sleep(0.5); open(sys.argv[1], 'w').close()"
            subprocess.Popen([sys.executable, "-c", writer, str(first.folder / "ended.json")]).wait()
        second = begin_attempt(tmp_path, patience=1.0)
        told = "" if is_seen else "attempt 1 on node7 was not seen to have ended"
        assert second.record.beside == told
        assert not stubborn.is_still(first.folder)
        assert {file.name for file in second.folder.iterdir()} == {"attempt.json"}
    finally:
        programs.end(programs.ProgramMark(first.mark.mark, *list(vars(programs.new_mark()).values())[1:]), grace=0.1)
        mpirun.wait()


@needs_proc
def test_what_a_calculator_starts_belongs_to_its_attempt(tmp_path):
    attempt = begin_attempt(tmp_path)
    with running_in(attempt):
        child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        until(lambda: programs.survivors(attempt.mark))
    assert programs.MARK not in os.environ
    assert child.wait() == -signal.SIGTERM
    assert (attempt.folder / "ended.json").exists()


# The whole workflow ------------------------------------------------------------------------------------------------------


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.fixture
def make(tmp_path, monkeypatch):
    species = write_species(tmp_path / "species", ["Mg", "O"])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def workflow(faults="", command=f"{sys.executable} {aims_stand_in.__file__}"):
        monkeypatch.setenv("STAND_IN_FAULTS", faults)
        engine = {"command": command, "species_dir": species, "with_bands": False}
        made = Workflow(tmp_path / "oracle", engine, max_prototypes=1, question=Question(quantity="band_gap"))
        made.submit("MgO", "a")
        return made

    return workflow


def work_until_done(workflow):
    for _ in range(9):
        (worker,) = workflow.start_workers(1)
        worker.wait(120)
        if not workflow.unfinished():
            return {task.name: task.document for task in workflow.tasks()}
    raise AssertionError((workflow.root / "workers.log").read_text()[-2000:])


def worked_off(workflow):
    """The same by this process, where no worker dies."""
    work(workflow.root)
    assert not workflow.unfinished()
    return {task.name: task.document for task in workflow.tasks()}


@pytest.mark.parametrize("n_deaths", [1, pytest.param(5, marks=pytest.mark.faults)])
def test_a_relaxation_that_the_queue_ends_again_and_again_comes_to_its_end(make, n_deaths):
    """Workers die with it, each after a step forward."""
    documents = work_until_done(make(f"queue:MgO:{n_deaths}"))
    assert documents[RELAX]["state"] == "successful"
    assert documents[RELAX]["attempts"] == n_deaths + 1
    assert documents[RELAX]["changed"] == {}
    geometries = [
        (make().root / "tree" / RELAX / f"attempt-{n}" / "geometry.in").read_text() for n in range(1, n_deaths + 2)
    ]
    assert len(set(geometries)) == n_deaths + 1


def test_a_remedy_is_remembered_by_the_next_worker(make):
    """The first attempt does not converge; the second, with slower mixing, dies with its worker."""
    root = make("scf:MgO:1").root
    (worker,) = make("scf:MgO:1,orphan:MgO:2").start_workers(1)
    assert worker.wait(60) == -signal.SIGKILL
    documents = work_until_done(make())
    changed = {"charge_mix_param": 0.05, "sc_iter_limit": 400}
    assert (documents[RELAX]["attempts"], documents[RELAX]["changed"]) == (4, changed)
    control = [(root / "tree" / RELAX / f"attempt-{n}" / "control.in").read_text() for n in (1, 2, 3, 4)]
    assert ["charge_mix_param" in text for text in control] == [False, True, True, True]
    assert ["occupation_type" in text for text in control] == [False, True, True, False]
    assert documents["MgO/rocksalt/static"]["changed"] == {}


def test_a_remedy_that_changes_the_energy_is_followed_by_a_run_with_the_settings_of_the_step(make):
    """From the relaxed geometry, with the slow mixing: one more run, and the energy is that of the settings that were asked for."""
    root = make("scf:MgO:1").root
    documents = worked_off(make("scf:MgO:1"))
    for step in ("relax", "static"):
        document = documents[f"MgO/rocksalt/{step}"]
        assert (document["state"], document["attempts"]) == ("successful", 3)
        assert document["changed"] == {"charge_mix_param": 0.05, "sc_iter_limit": 400}
        assert "occupation_type" not in document["settings"]
    relaxed, again = (read_geometry(root / "tree" / RELAX / f"attempt-{n}" / name) for n, name in AGAIN)
    assert relaxed.lattice.parameters == pytest.approx(again.lattice.parameters)
    assert documents[RELAX]["steps"] > 2


@pytest.mark.faults
def test_where_only_the_remedy_converges_its_result_stands_and_says_so(make):
    documents = worked_off(make("smear:MgO"))
    for step in ("relax", "static"):
        document = documents[f"MgO/rocksalt/{step}"]
        assert (document["state"], document["attempts"]) == ("successful", 3)
        assert document["changed"]["smearing"] == 0.05
        assert document["settings"]["occupation_type"] == "gaussian 0.05"
        assert document["dir_name"].endswith("attempt-2")
    (outcome,) = make("smear:MgO").collect()
    assert outcome.value is not None


def test_a_finished_attempt_of_a_dead_worker_is_not_repeated(make, monkeypatch):
    workflow = make()
    (worker,) = workflow.start_workers(1)
    worker.wait(120)
    from sisso_sal.oracle.workflow.repository import repeat

    repeat(workflow.root, [RELAX])
    documents = worked_off(workflow)
    assert [document["attempts"] for document in documents.values()] == [1, 1]


@needs_proc
@pytest.mark.faults
def test_mpirun_that_outlives_its_worker_and_its_keeper_is_gone_before_the_next_attempt(make, tmp_path):
    launcher = tmp_path / "mpirun"
    launcher.write_text(
        f'#!/bin/sh\ncase "$PWD" in\n*/relax/attempt-1) exec {sys.executable} {stubborn.__file__} 3600;;\n'
        f"*) exec {sys.executable} {aims_stand_in.__file__};;\nesac\n"
    )
    launcher.chmod(0o755)
    workflow = make(command=str(launcher))
    (worker,) = workflow.start_workers(1)
    place = workflow.root / "tree" / RELAX
    until(lambda: (place / "attempt-1" / "rank").exists())
    (attempt,) = attempts_of(place)
    for pid in stubborn.keepers_of(attempt.mark):
        os.kill(pid, signal.SIGKILL)
    worker.kill()
    worker.wait()
    assert len(programs.survivors(attempt.mark)) == 2
    documents = work_until_done(workflow)
    assert documents[RELAX]["attempts"] == 2
    assert "beside" not in documents[RELAX]
    assert programs.survivors(attempt.mark) == []
    last = max(float((place / "attempt-1" / kind).read_text().split()[1]) for kind in ("mpirun", "rank"))
    assert last < (place / "attempt-1" / "ended.json").stat().st_mtime
    assert (place / "attempt-1" / "ended.json").stat().st_mtime < (place / "attempt-2" / "control.in").stat().st_mtime
