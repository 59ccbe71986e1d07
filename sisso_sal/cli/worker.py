"""A worker runs the calculations that a campaign has submitted."""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON
from sisso_sal.cli.terminal import next_step


@click.command(cls=Command, short_help="Run the calculations that a campaign has submitted")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--tags", default="prerelax,relax,static,bands", show_default=True, help="Kinds of steps that this worker runs."
)
@click.option("--idle", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for new steps; 0 by default.")
@COMMON
def worker(run, tags, idle, quiet, debug):
    """Run the first-principles calculations that are waiting in RUN, until none is left.

    Any number of workers may run at once, here or in jobs of a cluster (sisso-sal slurm writes the scripts). If a worker is ended,
    another one takes over its step.

    \b
    Examples:
      sisso-sal worker runs/oxides
      sisso-sal worker runs/oxides --tags relax --idle 3600
    """
    kinds = [tag.strip() for tag in tags.split(",") if tag.strip()]
    folder = run / "oracle" if (run / "oracle").is_dir() else run
    from sisso_sal.oracle.workflow.tasks import work

    work(folder, kinds, idle)
    next_step(f"sisso-sal status {run}", err=True)
