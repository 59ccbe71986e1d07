"""Is the installation whole, and is an FHI-aims run to be believed?"""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON, JSON, dumps
from sisso_sal.cli.terminal import next_step, show
from sisso_sal.errors import SissoSalError


@click.command(cls=Command, short_help="Is the installation whole, an FHI-aims run good?")
@click.option("--run", "output", type=click.Path(path_type=Path), help="Judge this FHI-aims output.")
@click.option("--test-run", is_flag=True, help="Also compute a cell of two atoms with FHI-aims.")
@JSON
@COMMON
def doctor(output, test_run, as_json, quiet, debug):
    """Check the installation, or judge an FHI-aims output with --run.

    \b
    Examples:
      sisso-sal doctor
      AIMS_COMMAND="mpirun -n 4 aims.x" sisso-sal doctor --test-run
      sisso-sal doctor --run aims.out --json
    """
    if output is not None:
        from sisso_sal.oracle.aims_verdict import judge_run

        verdict = judge_run(output).as_dict()
        lines = [f"{key}: {value}" for key, value in verdict.items() if value is not None]
        click.echo(dumps(verdict)) if as_json else show("\n".join(lines))
        is_done = verdict["verdict"] == "finished"
        next_step(
            "sisso-sal label RUN ID VALUE, with what it is worth"
            if is_done
            else "mend what is told above and run it again"
        )
        return
    from sisso_sal.doctor import aims_test_run, doctor_checks
    from sisso_sal.report.text import aligned

    checks = doctor_checks() + ([aims_test_run()] if test_run else [])
    if as_json:
        click.echo(dumps({"checks": [check.as_dict() for check in checks]}))
    else:
        show(aligned([["what", "status", "detail"], *([c.name, c.status, c.detail] for c in checks)]))
    if any(check.status == "problem" for check in checks):
        raise SissoSalError("doctor: found problems, see above")
    next_step("sisso-sal discover TABLE; what is missing is needed only for the labels it is named after")
