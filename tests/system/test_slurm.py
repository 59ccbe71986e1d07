"""Jobs of Slurm."""

import os
import shlex
import subprocess
import sys

import pytest

from sisso_sal.system.slurm import cores_per_task, has_ended, own_job
from sisso_sal.system.slurm_scripts import Jobs, scripts


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


@pytest.mark.parametrize(
    ("cpus", "threads", "cores"), [(None, None, 1), (None, "3", 3), ("4", "1", 4), ("", "2,1", 2), ("x", "-1", 1)]
)
def test_cores_of_a_task_are_those_of_the_job_else_its_threads(monkeypatch, cpus, threads, cores):
    for name, value in (("SLURM_CPUS_PER_TASK", cpus), ("OMP_NUM_THREADS", threads)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert cores_per_task() == cores


ODD = (
    "--comment=a b",
    "--comment=it's",
    '--comment=say "b"',
    "--comment=50 # percent",
    "--comment=back\\slash",
    "--nodes=2",
)


@pytest.mark.parametrize("option", ODD)
def test_options_come_out_of_a_script_as_they_were_given(option):
    """Read by the rules of a shell for quotation marks, which sbatch follows."""
    made = scripts(Jobs("/runs/a.slurm", "/home/me", ("discover", "t.csv"), "a", "/runs/a", options=(option,)))
    line = [row for row in made["driver.sh"].splitlines() if row.startswith(f"#SBATCH {option.partition('=')[0]}=")][-1]
    assert shlex.split(line.removeprefix("#SBATCH "), comments=True) == [option]


def run_script(text, tmp_path, **environment):
    """What the last command of a script is called with and finds in its environment; sisso-sal and python are stand-ins."""
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$OMP_NUM_THREADS $LOADED" "$(ulimit -s)" "$@"\n')
    fake.chmod(0o755)
    script = tmp_path / "job.sh"
    script.write_text(text.replace(shlex.quote(sys.executable), shlex.quote(str(fake))))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "OMP_"))}
    done = subprocess.run(["bash", script], capture_output=True, text=True, env={**plain, **environment}, timeout=60)
    return done.stdout.splitlines()


def test_words_setup_and_threads_reach_the_command(tmp_path):
    """Quotation marks, blanks and dollars in a command are what they were; lines of set-up run before it."""
    words = ("discover", "my table.csv", "--goal", "<=0.3", "--name", 'it\'s "$HOME"')
    (tmp_path / "run" / "oracle").mkdir(parents=True)
    setup = ("module() { export LOADED=$2; }", "module load aims")
    jobs = Jobs(str(tmp_path), str(tmp_path), words, "a", str(tmp_path / "run"), cores=3, setup=setup, calculations=1)
    made = scripts(jobs)
    head, stack, *called = run_script(made["driver.sh"], tmp_path, SLURM_JOB_ID="7")
    assert (head, called) == ("3 aims", ["-m", "sisso_sal", *words])
    assert stack == "unlimited" or "ulimit -s unlimited ||" in made["driver.sh"]
    for cpus, threads in (("4", "4"), ("", "1")):
        head, _, *called = run_script(made["calculations.sh"], tmp_path, SLURM_CPUS_PER_TASK=cpus)
        assert (head, called[:4]) == (f"{threads} aims", ["-m", "sisso_sal", "worker", str(tmp_path / "run")])
