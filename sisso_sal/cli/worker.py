"""A worker computes what a campaign has asked for."""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON
from sisso_sal.cli.terminal import next_step


@click.command(cls=Command, short_help="Compute what a campaign has asked for")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--tags", default="relax,static,bands", show_default=True, help="Kinds of steps that this worker does.")
@COMMON
def worker(run, tags, quiet, debug):
    """Compute the first-principles calculations that are waiting in RUN, until there are none left.

    Any number of workers may run at once, here or in jobs of a cluster. A worker that is ended leaves its step to the next one.

    \b
    Examples:
      sisso-sal worker runs/oxides/oracle
      sisso-sal worker runs/oxides/oracle --tags relax
    """
    from sisso_sal.oracle.workflow import work

    folder = run / "oracle" if (run / "oracle").is_dir() else run
    work(folder, [tag.strip() for tag in tags.split(",") if tag.strip()])
    next_step(f"sisso-sal status {run}", err=True)
