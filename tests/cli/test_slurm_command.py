"""Job scripts for Slurm: what they say, and that a stand-in of the queue brings a campaign to its end with them."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import stand_in_slurm
from forks import shared

ROOT = Path(__file__).parents[2]


def sisso(*words, cwd, env=None):
    done = shared().call(
        *words, cwd=cwd, lines=False, kill_after=300, environment={"PYTHONPATH": str(ROOT)} | (env or {})
    )
    return subprocess.CompletedProcess(words, done.code, done.out, done.err)


def scripts(folder):
    return {file.name: file.read_text() for file in sorted(folder.glob("*.sh"))}


def test_scripts_say_what_was_asked(tmp_path):
    given = (
        *("--time", "2-12", "--cores", 4, "--memory", "16G", "--partition", "long", "--account", "me", "--option"),
        *(
            "--qos=high",
            "--module",
            "anaconda",
            "--setup",
            "source env/bin/activate",
            "--workers",
            3,
            "--interface",
            "ib0",
        ),
        *("--calculations", 5, "--calculation-options", "--nodes=2 --comment='a b'", "--"),
        *("discover", "my table.csv", "--oracle", "aims", "--goal", "<=0.3"),
    )
    done = sisso("slurm", "runs/a b", *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "a b.slurm"
    assert f"Scripts in {folder}: driver.sh, workers.sh, calculations.sh, submit.sh" in done.stdout
    made = scripts(folder)
    for name in made:
        subprocess.run(["bash", "-n", folder / name], check=True)
    driver, workers, calculations = (made[f"{name}.sh"] for name in ("driver", "workers", "calculations"))
    for line in (
        "#SBATCH --cpus-per-task=4", "#SBATCH --time=2-12", "#SBATCH --mem=16G", "#SBATCH --signal=B:TERM@300",
        "#SBATCH --partition=long", "#SBATCH --account=me", "#SBATCH --qos=high", "module load anaconda",
        "source env/bin/activate", f"cd {tmp_path} || exit 1", "export OMP_NUM_THREADS=4 MKL_NUM_THREADS=4 NUMBA_NUM_THREADS=4",
    ):  # fmt: skip
        assert line in driver.splitlines()
    words = (
        f"-m sisso_sal discover 'my table.csv' --oracle aims --goal '<=0.3' --out 'runs/a b' --executor 'dask:{folder}/"
    )
    assert words in driver
    assert "--interface ib0" in driver
    assert "#SBATCH --array=1-3" in workers
    assert "--nworkers 4 --nthreads 1" in workers
    assert '#SBATCH --comment="a b"' in calculations
    assert "#SBATCH --cpus-per-task" not in calculations
    assert f"-m sisso_sal worker '{tmp_path}/runs/a b' --idle 3600" in calculations
    assert all("ulimit -s unlimited" in made[name] for name in made if name != "submit.sh")
    (wait,) = (line for line in calculations.splitlines() if line.startswith("until"))
    for place in ("oracle", "levels/cheap/oracle"):  # of a campaign without and with levels of theory
        (tmp_path / "runs" / "a b" / place).mkdir(parents=True)
        subprocess.run(["bash", "-c", wait], check=True, timeout=5)
        shutil.rmtree(tmp_path / "runs" / "a b")

    again = sisso("slurm", "runs/a b", "--time", "01:00:00", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert list(scripts(folder)) == ["driver.sh", "submit.sh"]
    assert "discover 'my table.csv' --oracle aims --goal '<=0.3' --out 'runs/a b' &" in scripts(folder)["driver.sh"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "command: needs a command after two dashes, such as -- discover TABLE, found none"),
        (("--", "status", "x"), "command: needs one of discover, screen, fit, tune, estimate, replay, found 'status'"),
        (("--", "discover", "t.csv", "--out", "b"), "command: needs 'a' as its folder, or none named, found 'b'"),
        (("--workers", 2, "--", "fit", "t", "--executor=local"), "command: needs no executor of its own where --workers"),
        (("--array", 2, "--", "fit", "t.csv"), "command: needs screen where --array shares it out, found 'fit'"),
        (("--array", 2, "--workers", 1, "--", "screen", "m", "p"), "command: needs --workers or --array, found both"),
        (("--calculations", 2, "--", "fit", "t.csv"), "command: needs discover where --calculations computes for it"),
        (("--time", "soon", "--", "fit", "t.csv"), "needs a time as Slurm reads it, such as 24:00:00 or 2-12, found 'soon'"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_told(tmp_path, words, told):
    done = sisso("slurm", "a", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert not list(tmp_path.iterdir())


# In a queue ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def queue(tmp_path):
    folder = tmp_path / "queue"
    return folder, stand_in_slurm.install(folder) | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}


def through(queue, script, seconds=240):
    """Submit, and wait until the queue is empty; the jobs."""
    folder, env = queue
    subprocess.run(["bash", str(script)], check=True, env=os.environ | env)
    end = time.monotonic() + seconds
    while any(job["state"] in ("PENDING", "RUNNING") for job in stand_in_slurm.jobs(folder).values()):
        assert time.monotonic() < end, stand_in_slurm.jobs(folder)
        time.sleep(0.2)
    return stand_in_slurm.jobs(folder)


def drivers(jobs):
    return [job for job in jobs.values() if job["script"].endswith("driver.sh")]


OPTIONS = ("--rung", 1, "--members", 4, "--n-sis", 5, "--batch", 2, "--budget", 4, "--no-report", "--quiet")


def campaign(folder):
    """A command that asks for four labels, two at a time; each takes three seconds."""
    shutil.copy(ROOT / "data" / "oxides.csv", folder)
    (folder / "run.sh").write_text(
        """sleep 3\ncase "$1" in *Ti*) v=0.5;; *) v=0.7;; esac\necho "{\\"value\\": $v}"\n"""
    )
    return ("discover", "oxides.csv", "--oracle", "command:sh run.sh {id}", *OPTIONS)


def labels(folder):
    done = sisso("ledger", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        (event["id"], event["value"]) for event in events if event["event"] == "label" and event["source"] != "table"
    ]


@pytest.mark.faults
@pytest.mark.parametrize("grace", ["4", "-1"])
def test_a_campaign_goes_on_from_job_to_job(tmp_path, queue, grace):
    """A driver that is told of the end of its time, and one that is killed, come to the labels of one that is not disturbed."""
    alone = tmp_path / "alone"
    alone.mkdir()
    done = sisso(*campaign(alone), "--out", "run", cwd=alone)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "chain"
    folder.mkdir()
    words = campaign(folder)
    assert sisso("slurm", "run", "--time", "0:00:12", "--", *words, cwd=folder).returncode == 0
    queue[1][stand_in_slurm.GRACE] = grace
    jobs = through(queue, folder / "run.slurm" / "submit.sh")
    chain = drivers(jobs)
    assert len(chain) >= 3  # two worked, at least; the last was not needed
    assert [job["state"] for job in chain[:-1]] == ["ENDED"] * (len(chain) - 1)
    assert chain[-1]["state"] == "CANCELLED"
    assert chain[-2]["codes"] == [0]
    assert {job["codes"][0] for job in chain[:-2]} == {143 if grace == "4" else -9}
    assert labels(folder) == labels(alone)
    assert sisso("ledger", "run", "--verify", cwd=folder).returncode == 0


@pytest.mark.faults
def test_workers_of_dask_come_and_go_with_the_driver(tmp_path, queue):
    pytest.importorskip("distributed")
    shutil.copy(ROOT / "data" / "oxides.csv", tmp_path)
    words = (
        "replay",
        "oxides.csv",
        "--rung",
        1,
        "--members",
        4,
        "--n-sis",
        5,
        "--surrogates",
        "sisso",
        "--n-start",
        20,
    )
    words += ("--evaluations", 2, "--seeds", 3, "--quiet", "--json", "--drop", "dG_pbx_chgnet")
    alone = sisso(*words, "--workers", 1, cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert sisso("slurm", "study", "--time", "0:05:00", "--workers", 2, "--", *words, cwd=tmp_path).returncode == 0
    jobs = through(queue, tmp_path / "study.slurm" / "submit.sh")
    (output,) = (tmp_path / "study.slurm").glob("driver-*.out")
    assert [(Path(job["script"]).name, job["state"]) for job in jobs.values()] == [
        ("driver.sh", "ENDED"), ("driver.sh", "CANCELLED"), ("workers.sh", "CANCELLED"),
    ], output.read_text()  # fmt: skip
    text = output.read_text()
    found, _ = json.JSONDecoder().raw_decode(text[text.index("{\n") :])
    assert found == json.loads(alone.stdout)


@pytest.mark.faults
def test_an_array_shares_out_a_screening(tmp_path, queue):
    """Without Dask: each job does its shards, and the driver merges them to what one process makes."""
    shutil.copy(ROOT / "data" / "oxides.csv", tmp_path)
    fit = (
        "fit",
        "oxides.csv",
        "--drop",
        "dG_pbx_chgnet",
        "--rung",
        1,
        "--members",
        4,
        "--n-sis",
        5,
        "--out",
        "model.json",
    )
    assert sisso(*fit, cwd=tmp_path).returncode == 0
    pool = "oxides:metals=Ti,Sr,Ba,Nb,Ta,W,Sb,Sn,Zr,Hf,Ce,La,Y,Mg,Ca,max_metals=3"
    words = ("screen", "model.json", pool, "--goal", "<=0.2", "--no-map", "--quiet")
    alone = sisso(*words, "--out", "alone", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert sisso("slurm", "shared", "--time", "0:05:00", "--array", 2, "--", *words, cwd=tmp_path).returncode == 0
    jobs = through(queue, tmp_path / "shared.slurm" / "submit.sh")
    assert [(Path(job["script"]).name, job["state"], job["codes"]) for job in jobs.values()] == [
        ("share.sh", "ENDED", [0, 0]), ("driver.sh", "ENDED", [0]), ("driver.sh", "CANCELLED", []),
    ]  # fmt: skip
    shards = [
        {file.name: file.read_bytes() for file in (tmp_path / folder / "shards").iterdir()}
        for folder in ("alone", "shared")
    ]
    assert shards[0] == shards[1]
    assert len(shards[0]) > 1
    for file in ("top.csv", "summary.json"):
        assert (tmp_path / "shared" / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()
