"""A queue that speaks Slurm's commands: sbatch, srun, squeue and scancel, for the tests of job scripts.

Jobs run at once on this machine, in a session of their own: after what they depend on, each index of an array as a job, with the
variables that Slurm sets, and with the signal and the end of their time. The state of a job is a file. As in Slurm, a number that
has ended is unknown to squeue.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = "STAND_IN_SLURM"
"""The variable that names the folder of the queue."""

GRACE = "STAND_IN_GRACE"
"""Seconds before the end of its time at which a job gets its signal, in the place of what it asks for."""


def install(folder: Path) -> dict[str, str]:
    """The commands in a folder of their own; what has to stand in the environment."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in ("sbatch", "srun", "squeue", "scancel"):
        file = programs / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        file.chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", FOLDER: str(folder)}


def running_job(folder: Path, number: int) -> None:
    """A job that runs although none of its processes is known."""
    job = {"state": "RUNNING", "script": "", "asked": {}, "pids": [], "codes": []}
    (folder / f"{number}.job").write_text(json.dumps(job))


def jobs(folder: Path) -> dict[int, dict]:
    """All jobs, by number."""
    return {int(file.stem): json.loads(file.read_text()) for file in sorted(folder.glob("*.job"))}


def _queue() -> Path:
    return Path(os.environ[FOLDER])


def _read(number: int) -> dict:
    return json.loads((_queue() / f"{number}.job").read_text())


def _write(number: int, job: dict) -> None:
    file = _queue() / f"{number}.job"
    new = file.with_suffix(f".{os.getpid()}.new")
    new.write_text(json.dumps(job))
    os.replace(new, file)


def _change(number: int, **values) -> dict:
    with (_queue() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        job = _read(number) | values
        _write(number, job)
    return job


def _seconds(text: str) -> int:
    parts = [int(part) for part in text.split(":")]
    return sum(part * 60**power for power, part in enumerate(reversed(parts))) if len(parts) > 1 else 60 * parts[0]


def sbatch(words: list[str]) -> int:
    *options, script = words
    lines = Path(script).read_text().splitlines()
    assert lines[0].startswith("#!"), "This does not look like a batch script"
    for line in lines[1:]:
        if line.startswith("#SBATCH "):
            options.append(line.removeprefix("#SBATCH ").replace('"', ""))
        elif line and not line.startswith("#"):
            break
    asked = {}
    for option in options:
        assert re.fullmatch(r"--[a-z-]+(=.+)?", option), f"Unrecognized option '{option}'"
        name, _, value = option[2:].partition("=")
        asked.setdefault(name, value)  # of the command line, before those of the script
    with (_queue() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        number = 1 + max(jobs(_queue()), default=100)
        _write(number, {"state": "PENDING", "script": script, "asked": asked, "pids": [], "codes": []})
    subprocess.Popen(
        [sys.executable, __file__, "run", str(number)], start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    print(number if "parsable" in asked else f"Submitted batch job {number}")
    return 0


def run(words: list[str]) -> int:
    """Keeps one job, or all of an array, from the queue to its end."""
    (number,) = map(int, words)
    asked = _read(number)["asked"]
    for other in re.findall(r"\d+", asked.get("dependency", "")):
        while _read(int(other))["state"] in ("PENDING", "RUNNING"):
            time.sleep(0.05)
    first, _, last = asked.get("array", "0-0").partition("-")
    if _read(number)["state"] != "PENDING":
        return 0
    started = [_start(number, index) for index in range(int(first), int(last) + 1)]
    job = _change(number, state="RUNNING", pids=[process.pid for process in started])
    end = time.monotonic() + _seconds(asked.get("time", "60"))
    warning = end - float(os.environ.get(GRACE, "1"))
    while any(process.poll() is None for process in started):
        job = _read(number)
        now = time.monotonic()
        if "signal" in asked and now > warning:
            for process in started:
                process.send_signal(signal.SIGTERM)  # B: to the batch shell alone
            warning = end + 3600
        if now > end or job["state"] == "CANCELLED":
            for process in started:
                _end(process)
        time.sleep(0.05)
    codes = [process.wait() for process in started]
    _change(number, state=job["state"] if job["state"] == "CANCELLED" else "ENDED", codes=codes)
    return 0


def _start(number: int, index: int) -> subprocess.Popen:
    job = _read(number)
    asked = job["asked"]
    names = {"%A": str(number), "%a": str(index), "%j": str(number)}
    output = asked["output"]
    for name, value in names.items():
        output = output.replace(name, value)
    own = {"SLURM_JOB_ID": str(number)}
    if "array" in asked:
        own |= {"SLURM_JOB_ID": f"{number}{index:03d}", "SLURM_ARRAY_TASK_ID": str(index)}
    with open(output, "ab") as file:
        return subprocess.Popen(
            ["bash", job["script"]], stdout=file, stderr=file, start_new_session=True, env=os.environ | own
        )  # fmt: skip


def _end(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def srun(words: list[str]) -> int:
    """A step of the job that this runs in, named as the environment says; its processes know nothing of srun.

    With STAND_IN_DETACHED it does not wait, as if srun had been killed and the step went on.
    """
    number = int(os.environ["SLURM_JOB_ID"])
    own = {key: value for key, value in os.environ.items() if not key.startswith("PROGRAM_OF")}
    process = subprocess.Popen(words, start_new_session=True, env=own)
    with (_queue() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        index = len(list(_queue().glob(f"{number}.*.step")))
        step = {"name": os.environ.get("SLURM_JOB_NAME", "srun"), "pid": process.pid}
        (_queue() / f"{number}.{index}.step").write_text(json.dumps(step))
    return 0 if "STAND_IN_DETACHED" in os.environ else process.wait()


def _steps(number: int) -> dict[str, dict]:
    """The steps of a job of which a process runs."""
    steps = {file.stem: json.loads(file.read_text()) for file in sorted(_queue().glob(f"{number}.*.step"))}
    return {name: step for name, step in steps.items() if _runs(step["pid"])}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def squeue(words: list[str]) -> int:
    (number,) = [int(word) for word in words if word.isdigit()]
    if not (_queue() / f"{number}.job").exists() or _read(number)["state"] not in ("PENDING", "RUNNING"):
        print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
        return 1
    if "-s" in words:
        for name, step in _steps(number).items():
            print(f"{name} {step['name']}")
    else:
        print(f"{number} main {_read(number)['state']}")
    return 0


def scancel(words: list[str]) -> int:
    for word in words:
        number, _, index = word.partition(".")
        if index:
            with contextlib.suppress(ProcessLookupError, KeyError):
                os.killpg(_steps(int(number))[word]["pid"], signal.SIGKILL)
        elif _read(int(number))["state"] in ("PENDING", "RUNNING"):
            _change(int(number), state="CANCELLED")
    return 0


if __name__ == "__main__":
    sys.exit(
        {"sbatch": sbatch, "run": run, "srun": srun, "squeue": squeue, "scancel": scancel}[sys.argv[1]](sys.argv[2:])
    )
