"""Jobs of Slurm."""

import os

import pytest

from sisso_sal.system.slurm import has_ended, own_job


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)

    def answer(script):
        (tmp_path / "squeue").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "squeue").chmod(0o755)

    return answer


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        ("echo '  7 main R'", False),
        ("exit 0", True),
        ("echo 'Invalid job id specified' >&2; exit 1", True),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", False),
        ("exit 1", False),
    ],
)
def test_a_job_has_ended_where_the_queue_says_so(squeue, answer, ended):
    squeue(answer)
    assert has_ended("7") is ended


def test_what_names_no_job_has_not_ended(squeue):
    squeue("exit 0")
    for job in ("", "x", "-1", "7;rm"):
        assert has_ended(job) is False


def test_a_job_that_was_put_back_keeps_its_number(squeue, monkeypatch):
    squeue("echo '  7 main R'")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert own_job() == "7"
    assert not has_ended("7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert own_job() == "7.2"
    assert [has_ended(job) for job in ("7", "7.1", "7.2", "8")] == [True, True, False, False]


def test_without_squeue_nothing_has_ended(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not has_ended("7")
