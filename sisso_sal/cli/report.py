"""A run to look at: the report, and its figures as files."""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON, JSON, dumps
from sisso_sal.cli.terminal import next_step

FORMATS = ("html", "pdf", "png", "svg")


@click.command(cls=Command, short_help="One page to look at: map, formulas, trust, course")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--iteration", type=click.IntRange(min=1), help="Of this iteration; the newest by default.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="html",
    show_default=True,
    help="One page to look at, or each figure as a file for a paper.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File of the page, or folder of the figures; in the run folder by default.",
)
@JSON
@COMMON
def report(run, iteration, form, out, as_json, quiet, debug):
    """One page on a run that opens in any browser, without a network: proposals and why, the materials map, formulas, how far to
    trust them, the course of the campaign, failures, provenance.

    discover writes it after each iteration; it can be given while a driver is at work.

    \b
    Examples:
      sisso-sal report runs/candidates
      sisso-sal report runs/candidates --format pdf --out figures
    """
    from sisso_sal.campaign.learning import REPORT
    from sisso_sal.report.run_view import RunView

    view = RunView.read(run, iteration)
    if form == "html":
        from sisso_sal.report.page.document import write_report

        paths = [out or run / REPORT]
        write_report(view, paths[0])
    else:
        from sisso_sal.report.figures.draw import save_figures

        paths = save_figures(view, out or run / "figures", form)
    if as_json:
        click.echo(dumps({"run": str(run), "iteration": view.number, "files": [str(path) for path in paths]}))
    else:
        click.echo("\n".join(str(path) for path in paths))
        next_step(
            f"open {paths[0]} in a browser" if form == "html" else f"sisso-sal report {run}, to look at it all",
            err=True,
        )
