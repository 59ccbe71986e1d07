"""A worker runs the calculations that a campaign has submitted."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON
from sisso_sal.cli.terminal import emit, next_step


@click.command(cls=Command, short_help="Run the calculations that a campaign has submitted")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--tags", default="prerelax,relax,static,bands", show_default=True, help="Kinds of steps that this worker runs."
)
@click.option("--idle", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for new steps; 0 by default.")
@click.option(
    "--slurm", metavar="OPTIONS", help="Print a job script with these options of sbatch, and do nothing else."
)
@COMMON
def worker(run, tags, idle, slurm, quiet, debug):
    """Run the first-principles calculations that are waiting in RUN, until none is left.

    Any number of workers may run at once, here or in jobs of a cluster. If a worker is ended, another one takes over
    its step.

    \b
    Examples:
      sisso-sal worker runs/oxides
      sisso-sal worker runs/oxides --tags relax --idle 3600
      sisso-sal worker runs/oxides --slurm "--nodes=1 --time=24:00:00" | sbatch
    """
    kinds = [tag.strip() for tag in tags.split(",") if tag.strip()]
    folder = run / "oracle" if (run / "oracle").is_dir() else run
    if slurm is not None:
        from sisso_sal.oracle.workflow.workers import slurm_script

        emit(slurm_script(folder.resolve(), header=shlex.split(slurm), tags=kinds, idle=idle), nl=False)
        return
    from sisso_sal.oracle.workflow.tasks import work

    work(folder, kinds, idle)
    next_step(f"sisso-sal status {run}", err=True)
