"""Programs that ignore SIGTERM, leave ranks behind and outlive their starters: all of it is ended, and seen to be gone."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import stand_in_slurm
import stubborn
from stubborn import both_run, is_still, keepers_of, start

from sisso_sal.system import programs
from sisso_sal.system.programs import ENDED, NotEnded, ProgramMark, end, kept, new_mark, survivors

ROOT = Path(programs.__file__).parents[2]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(programs.end, "__kwdefaults__", {"grace": 0.3, "patience": 20.0})


def until(condition, seconds=30):
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return found


def test_a_program_and_its_ranks_are_found_by_their_mark_and_ended(tmp_path):
    mark = new_mark()
    program = start(tmp_path, mark)
    until(lambda: both_run(tmp_path))
    assert len(survivors(mark)) == 2
    assert survivors(new_mark()) == []
    elsewhere = ProgramMark(mark.mark, "node7", mark.place, "")
    assert survivors(elsewhere) == []
    assert end(elsewhere) == []  # nothing that can be seen from here, and nothing was signalled
    assert len(survivors(mark)) == 2
    assert end(mark) == []
    assert survivors(mark) == []
    assert is_still(tmp_path)
    assert program.wait() == -signal.SIGKILL


def test_ranks_that_a_program_leaves_behind_are_ended_when_it_ends(tmp_path):
    mark = new_mark()
    with kept(mark, tmp_path, grace=0.3) as program:
        mpirun = subprocess.Popen(
            [sys.executable, stubborn.__file__, "1"], cwd=tmp_path, env=program.environment, start_new_session=True
        )
        program.began(mpirun.pid)
        until(lambda: both_run(tmp_path))
        assert mpirun.wait() == 0
        assert not is_still(tmp_path)
    assert survivors(mark) == []
    assert is_still(tmp_path)
    assert (tmp_path / ENDED).exists()


def test_a_rank_without_its_mark_is_found_by_its_group(tmp_path):
    """As in a container that starts with an empty environment."""
    mark = new_mark()
    with kept(mark, tmp_path, grace=0.3) as program:
        words = ["env", "-i", "sh", "-c", "trap '' TERM; sleep 3600 & wait"]
        shell = subprocess.Popen(words, env=program.environment, start_new_session=True)
        program.began(shell.pid)
        until(lambda: len(survivors(mark, shell.pid)) == 2)
    assert survivors(mark, shell.pid) == []
    assert shell.wait() == -signal.SIGKILL


WORKER = """if 1:
    import signal, subprocess, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    from pathlib import Path
    from sisso_sal.system import programs
    from sisso_sal.system.programs import kept, new_mark
    folder = Path(sys.argv[1])
    mark = new_mark()
    (folder / "mark").write_text(mark.mark)
    with kept(mark, folder, Path(sys.argv[2]), 0.3) as program:
        process = subprocess.Popen([sys.executable, sys.argv[3], "3600"], cwd=folder, env=program.environment,
                                   start_new_session=True)
        program.began(process.pid)
        process.wait()"""


def start_worker(folder):
    folder.mkdir()
    lease = folder.parent / "lease"
    lease.touch()
    words = [sys.executable, "-c", WORKER, str(folder), str(lease), stubborn.__file__]
    worker = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True)
    until(lambda: both_run(folder))
    return worker, lease, replace(new_mark(), mark=(folder / "mark").read_text())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_program_ends_with_its_starter(tmp_path, number):
    worker, _, _ = start_worker(tmp_path / "a")
    worker.send_signal(number)
    worker.wait(60)
    until((tmp_path / "a" / ENDED).exists)
    assert is_still(tmp_path / "a")


def test_a_program_ends_when_its_starter_has_lost_its_lease(tmp_path):
    worker, lease, mark = start_worker(tmp_path / "a")
    worker.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    assert len(survivors(mark)) == 2  # being stopped alone ends nothing
    lease.unlink()
    until((tmp_path / "a" / ENDED).exists)
    assert is_still(tmp_path / "a")
    worker.send_signal(signal.SIGCONT)
    worker.wait(30)


def test_what_outlives_its_keeper_too_is_found_by_the_next(tmp_path):
    worker, _, mark = start_worker(tmp_path / "a")
    (keeper,) = keepers_of(mark)
    os.kill(keeper, signal.SIGTERM)  # as Slurm sends it to all of a job
    time.sleep(0.3)
    assert keepers_of(mark) == [keeper]
    os.kill(keeper, signal.SIGKILL)
    worker.kill()
    worker.wait(60)
    time.sleep(0.5)
    assert not is_still(tmp_path / "a")
    assert end(mark) == []
    assert is_still(tmp_path / "a")


def test_what_cannot_be_ended_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(programs.end, "__kwdefaults__", {"grace": 0.3, "patience": 0.1})
    monkeypatch.setattr(programs, "_signal", lambda *_, **__: None)
    mark = new_mark()
    program = start(tmp_path, mark)
    until(lambda: both_run(tmp_path))
    with (
        pytest.raises(NotEnded, match=rf"^process {program.pid}, process \d+: cannot be ended$"),
        kept(mark, tmp_path, grace=0.3),
    ):
        pass
    assert not (tmp_path / ENDED).exists()
    until((tmp_path / ENDED).exists)  # the keeper did
    program.wait()


def test_a_step_of_slurm_is_ended_by_slurm(tmp_path, monkeypatch):
    """Its processes are on other nodes."""
    for key, value in stand_in_slurm.install(tmp_path / "slurm").items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    stand_in_slurm.running_job(tmp_path / "slurm", 77)
    monkeypatch.setattr(programs, "_SLURM_PAUSE", 0.1)
    mark = new_mark()
    assert mark.job == "77"
    environment = {**os.environ, "SLURM_JOB_NAME": mark.mark}
    subprocess.run(["srun", "sleep", "3600"], env={**environment, "STAND_IN_DETACHED": "1"}, check=True)
    named = {**os.environ, "SLURM_JOB_NAME": "node", "STAND_IN_DETACHED": "1"}
    subprocess.run(["srun", "sleep", "3600"], env=named, check=True)
    assert survivors(mark) == ["step 77.0"]
    assert end(mark) == []
    assert survivors(mark) == []
    assert survivors(ProgramMark("node", "", "", "77")) == ["step 77.1"]  # that of another
    assert end(ProgramMark("node", "", "", "77")) == []
