"""A number in a file is a process only where it can be one, and a signal goes only to the group that is meant."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sisso_sal.oracle.command import CommandOracle
from sisso_sal.protocols import Request
from sisso_sal.system.processes import exists, holds


@pytest.mark.parametrize("pid", [0, -1, "own group", 2**31, 10**30])
def test_numbers_that_stand_for_groups_or_for_nothing_are_no_process(pid, monkeypatch):
    pid = -os.getpid() if pid == "own group" else pid
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
    assert not exists(pid)
    assert not holds(pid, os.devnull)


def test_a_process_that_ended_is_none():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not exists(child.pid)
    assert exists(os.getpid())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_group_holds_what_one_of_its_processes_has_open(tmp_path):
    file = tmp_path / "lock"
    file.touch()
    with file.open() as handle:
        child = subprocess.Popen(["sleep", "60"], stdin=handle, start_new_session=True)
    try:
        assert holds(child.pid, file)
        assert not holds(child.pid, tmp_path)
        assert not holds(os.getpgrp(), file)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("pid", ["1", "0", "-1", "own", "other"])
def test_the_time_limit_of_a_command_ends_no_process_but_its_own(tmp_path, pid, monkeypatch):
    """Whatever stands in the file of the process: everyone's, the driver's own, or somebody else's."""
    oracle = CommandOracle("sleep 60", tmp_path / "jobs", walltime=0.05 / 3600)
    receipt = oracle.submit(Request("r-a-1", "a", {}))
    job = tmp_path / "jobs" / "r-a-1"
    while not ((job / "pid").exists() and (job / "pid").read_text().endswith("\n")):
        time.sleep(0.01)
    true, host = (job / "pid").read_text().split()
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    number = {"own": os.getpgrp(), "other": other.pid}.get(pid, pid)
    (job / "pid").write_text(f"{number} {host}\n")
    time.sleep(0.1)
    sent = []
    killpg = os.killpg
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", lambda *call: sent.append(call))
            assert oracle.collect([receipt]) == []
        assert sent == []
    finally:
        other.kill()
        other.wait()
        killpg(int(true), signal.SIGKILL)
        os.waitpid(int(true), 0)
