"""The report of a run, and its figures as files."""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON, JSON, dumps
from sisso_sal.cli.terminal import emit, next_step, note, show
from sisso_sal.errors import InputError, SissoSalError, reason_of

FORMATS = ("html", "pdf", "png", "svg")


@click.command(cls=Command, short_help="Write the report, or its figures as files")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--iteration", type=click.IntRange(min=1), help="Iteration to show; the newest by default.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="html",
    show_default=True,
    help="html: one page; others: each figure as a file.",
)
@click.option(
    "--columns",
    type=click.IntRange(1, 2),
    help="Columns of a journal that each figure is wide (3.375 or 7 inches); 1 by default.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File of the page, or folder of the figures; in the run folder by default.",
)
@JSON
@COMMON
def report(run, iteration, form, columns, out, as_json, quiet, debug):
    """Write one page about a run: proposals with their reasons, the materials map, formulas, calibration, the course of the
    campaign, failures and provenance.

    The page opens in any browser, without a network. discover writes it after each iteration; this command also works while a
    driver is running.

    \b
    Examples:
      sisso-sal report runs/candidates
      sisso-sal report runs/candidates --format pdf --columns 2 --out figures
    """
    from sisso_sal.campaign.learning import REPORT
    from sisso_sal.report.run_view import RunView

    if form == "html" and columns is not None:
        raise InputError("--columns: needs --format pdf, png or svg, found html: a page is as wide as its window")
    view = RunView.read(run, iteration)
    try:
        if form == "html":
            from sisso_sal.report.page.document import write_report

            paths = [out or run / REPORT]
            for lack in write_report(view, paths[0]):
                note(f"the report lacks a part: {lack}")
        else:
            from sisso_sal.report.figures.saved import save_figures

            paths = save_figures(view, out or run / "figures", form, columns or 1)
    except Exception as error:
        if isinstance(error, SissoSalError) and error.exit_code == 1:
            raise
        raise SissoSalError(f"{run}: the report cannot be made: {reason_of(error)}") from error
    if as_json:
        emit(dumps({"run": str(run), "iteration": view.number, "files": [str(path) for path in paths]}))
    else:
        show("\n".join(str(path) for path in paths))
        next_step(
            f"open {paths[0]} in a browser" if form == "html" else f"sisso-sal report {run}, for all of it on one page",
            err=True,
        )
