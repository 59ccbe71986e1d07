"""A worker runs the calculations that a campaign has submitted."""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON
from sisso_sal.cli.terminal import next_step, show


@click.command(cls=Command, short_help="Run the calculations that a campaign has submitted")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--tags",
    default="prerelax,relax,static,bands,vibrations",
    show_default=True,
    help="Kinds of steps that this worker runs.",
)
@click.option("--idle", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for new steps; 0 by default.")
@click.option("--recover", is_flag=True, help="Only put back the steps of workers that are dead, and end.")
@COMMON
def worker(run, tags, idle, recover, quiet, debug):
    """Run the first-principles calculations that are waiting in RUN, until none is left.

    Of a campaign with levels of theory all levels are worked at; RUN/levels/NAME is one of them.

    Any number of workers may run at once, here or in jobs of a cluster (sisso-sal slurm writes the scripts). If a worker is ended,
    another one takes over its step: at once where the end can be seen, else when it was silent for as long as run.lease says.

    \b
    Examples:
      sisso-sal worker runs/oxides
      sisso-sal worker runs/oxides --tags relax --idle 3600
      sisso-sal worker runs/oxides --recover
    """
    kinds = [tag.strip() for tag in tags.split(",") if tag.strip()]
    from sisso_sal.oracle.workflow.run_folders import put_back_in_run, work_for_run

    if recover:
        left = put_back_in_run(run)
        show(f"{run}: put back {', '.join(left)}" if left else f"{run}: no step of a dead worker")
    else:
        work_for_run(run, kinds, idle)
    next_step(f"sisso-sal status {run}", err=True)
