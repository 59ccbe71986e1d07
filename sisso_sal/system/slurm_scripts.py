"""Job scripts for Slurm: a driver that goes on by itself, workers of Dask, shares of a screening, workers for calculations."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sisso_sal.system.executors import DASK

__all__ = ["Jobs", "scripts"]

GRACE = 300
"""Seconds before the end of its time at which a driver is told to stop."""

_TO_QUOTE = re.compile(r"""[\s"'\\#]""")
_QUOTES = re.compile(r"""["\\$`]""")

DEATH = 300
"""Seconds after which a worker ends whose scheduler does not answer."""


@dataclass(frozen=True)
class Jobs:
    """What is asked of the queue.

    Attributes
    ----------
    folder : str
        Of the scripts; an absolute path.
    place : str
        Where the command is given; an absolute path.
    command : tuple of str
        Words after ``sisso-sal``.
    name : str
        Of the jobs.
    options : tuple of str
        Of ``sbatch``, for every job, such as ``--partition=long``.
    time : str
        Walltime of the driver, of workers and of shares, as Slurm reads it.
    cores, memory : int, str
        Of the driver, of each job of workers and of each share; "" leaves the memory to the queue.
    setup : tuple of str
        Lines of shell before the command, such as ``module load anaconda``.
    workers : int
        Jobs of Dask workers, each with `cores` of them; 0 for none.
    interface : str
        Network interface by which Dask talks; "" for its choice.
    shares : int
        Jobs of an array of which each does a share of the command; 0 for none.
    calculations : int
        Jobs of an array that compute for an oracle with a workflow; 0 for none.
    calculation_options : tuple of str
        Of ``sbatch``, for these.
    run : str
        Run folder, an absolute path.
    """

    folder: str
    place: str
    command: tuple[str, ...]
    name: str
    run: str
    options: tuple[str, ...] = ()
    time: str = "24:00:00"
    cores: int = 1
    memory: str = ""
    setup: tuple[str, ...] = ()
    workers: int = 0
    interface: str = ""
    shares: int = 0
    calculations: int = 0
    calculation_options: tuple[str, ...] = ()

    def file(self, name: str) -> str:
        """The path of a file of the folder, quoted for a shell."""
        return shlex.quote(f"{self.folder}/{name}")


def scripts(jobs: Jobs) -> dict[str, str]:
    """The scripts, by name; ``submit.sh`` starts everything.

    Parameters
    ----------
    jobs : Jobs

    Examples
    --------
    >>> made = scripts(Jobs("/runs/a.slurm", "/home/me", ("discover", "table.csv"), "a", "/runs/a"))
    >>> list(made)
    ['driver.sh', 'submit.sh']
    >>> print(made["driver.sh"].splitlines()[5])
    #SBATCH --time=24:00:00
    """
    made = {"driver.sh": _driver(jobs)}
    if jobs.workers:
        made["workers.sh"] = _workers(jobs)
    if jobs.shares:
        made["share.sh"] = _share(jobs)
    if jobs.calculations:
        made["calculations.sh"] = _calculations(jobs)
    return made | {"submit.sh": _submit(jobs)}


def _head(jobs: Jobs, kind: str, options: Sequence[str], threads: int | str) -> list[str]:
    """Options of sbatch, where the job runs and what is set up there."""
    array = any(option.startswith("--array") for option in options)
    output = f"--output={jobs.folder}/{kind}-{'%A_%a' if array else '%j'}.out"
    lines = [f"--job-name={jobs.name}-{kind}", *options, *jobs.options, output]
    return [
        "#!/bin/bash",
        *(f"#SBATCH {_directive(line)}" for line in lines),
        "",
        f"cd {shlex.quote(jobs.place)} || exit 1",
        *jobs.setup,
        "# FHI-aims and other programs keep large arrays on the stack.",
        'ulimit -s unlimited || echo "the stack stays limited to $(ulimit -s) kB" >&2',
        f"export OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads} NUMBA_NUM_THREADS={threads}",
        "",
    ]


def _directive(option: str) -> str:
    """As sbatch reads it in a script: blanks and quotation marks inside need others around, a comment may begin with a hash."""
    name, mark, value = option.partition("=")
    if not mark or not _TO_QUOTE.search(value):
        return option
    return f"{name}={shlex.quote(value)}" if _QUOTES.search(value) else f'{name}="{value}"'


def _resources(jobs: Jobs) -> list[str]:
    memory = [f"--mem={jobs.memory}"] if jobs.memory else []
    return ["--nodes=1", "--ntasks=1", f"--cpus-per-task={jobs.cores}", f"--time={jobs.time}", *memory]


def _python(*words: str) -> str:
    return shlex.join([sys.executable, "-m", *words])


def _program(jobs: Jobs, *more: str) -> str:
    return _python("sisso_sal", *jobs.command, *more)


_NEXT = """\
# The next driver waits in the queue; it begins when this job has ended, whatever ends it.
next=$(sbatch --parsable --dependency=afterany:"$SLURM_JOB_ID" {driver}) || next=
"""

_SCHEDULER = """\
# Workers find the scheduler by its file.
rm -f {file}
{scheduler} &
scheduler=$!
until [ -s {file} ]; do
    kill -0 "$scheduler" 2> /dev/null || {{ echo "the scheduler of Dask has ended" >&2; scancel $next; exit 1; }}
    sleep 1
done
workers=$(sbatch --parsable {workers})
"""

_RUN = """\
{command} &
driver=$!
trap 'kill -TERM "$driver" 2> /dev/null' TERM
wait "$driver"
code=$?
while kill -0 "$driver" 2> /dev/null; do  # the signal ended the wait, not the driver
    wait "$driver"
    code=$?
done
"""

_END = """\
if [ "$code" -eq 143 ] || [ "$code" -eq 130 ]; then
    echo "stopped before the end of the job's time; job ${next:-none: submit this script again} goes on"
elif [ -n "$next" ]; then
    scancel "$next"
fi
exit "$code"
"""


def _driver(jobs: Jobs) -> str:
    head = _head(jobs, "driver", [*_resources(jobs), f"--signal=B:TERM@{GRACE}"], jobs.cores)
    parts = [_NEXT.format(driver=jobs.file("driver.sh"))]
    more: list[str] = []
    if jobs.workers:
        file = f"{jobs.folder}/scheduler.json"
        words = ["--scheduler-file", file, "--port", "0", "--no-dashboard"]
        words += ["--interface", jobs.interface] if jobs.interface else []
        scheduler = _python("distributed.cli.dask_scheduler", *words)
        parts.append(_SCHEDULER.format(file=shlex.quote(file), scheduler=scheduler, workers=jobs.file("workers.sh")))
        more = ["--executor", f"dask:{file}"]
    parts.append(_RUN.format(command=_program(jobs, *more)))
    if jobs.workers:
        parts.append('[ -z "$workers" ] || scancel "$workers"\nkill "$scheduler"\n')
    return "\n".join([*head, *parts, _END])


def _workers(jobs: Jobs) -> str:
    head = _head(jobs, "workers", [f"--array=1-{jobs.workers}", *_resources(jobs)], 1)
    words = ["--scheduler-file", f"{jobs.folder}/scheduler.json", "--nworkers", str(jobs.cores), "--nthreads", "1"]
    words += ["--no-dashboard", "--death-timeout", str(DEATH)]
    words += ["--interface", jobs.interface] if jobs.interface else []
    # A variable for each setting, as Dask reads them.
    settings = [
        f"export DASK_{key.upper().replace('.', '__').replace('-', '_')}={value}" for key, value in DASK.items()
    ]
    return "\n".join([*head, *settings, "", f"exec {_python('distributed.cli.dask_worker', *words)}", ""])


def _share(jobs: Jobs) -> str:
    head = _head(jobs, "share", [f"--array=1-{jobs.shares}", *_resources(jobs)], 1)
    program = _program(jobs, *(["--workers", str(jobs.cores)] if jobs.cores > 1 else []))
    return "\n".join([*head, f'exec {program} --share "$SLURM_ARRAY_TASK_ID/{jobs.shares}"', ""])


def _calculations(jobs: Jobs) -> str:
    threads = '"${SLURM_CPUS_PER_TASK:-1}"'  # which the options of these jobs may ask for
    head = _head(jobs, "calculations", [f"--array=1-{jobs.calculations}", *jobs.calculation_options], threads)
    run = shlex.quote(jobs.run)  # whose lower levels of theory, where it has some, have folders of their own
    wait = f'until [ -n "$(ls -d {run}/oracle {run}/levels/*/oracle 2> /dev/null)" ]; do sleep 10; done'
    return "\n".join([*head, wait, f"exec {_python('sisso_sal', 'worker', jobs.run, '--idle', '3600')}", ""])


def _submit(jobs: Jobs) -> str:
    lines = ["#!/bin/bash", "# Starts everything.", "set -e"]
    if jobs.calculations:
        lines.append(f"sbatch {jobs.file('calculations.sh')}")
    if jobs.shares:
        lines.append(f"shares=$(sbatch --parsable {jobs.file('share.sh')})")
        lines.append('echo "Submitted batch job $shares"')
        lines.append(f'sbatch --dependency=afterany:"$shares" {jobs.file("driver.sh")}')
    else:
        lines.append(f"sbatch {jobs.file('driver.sh')}")
    return "\n".join([*lines, ""])
