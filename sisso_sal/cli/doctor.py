"""Is the installation whole, and is an FHI-aims run to be believed?"""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.options import COMMON, JSON, dumps
from sisso_sal.errors import SissoSalError


@click.command()
@click.option("--run", "output", type=click.Path(path_type=Path), help="Judge this FHI-aims output.")
@click.option("--test-run", is_flag=True, help="Also compute a cell of two atoms with FHI-aims.")
@click.option("--config", type=click.Path(path_type=Path), help="Also check the oracle of these settings of discover.")
@JSON
@COMMON
def doctor(output, test_run, config, as_json, quiet, debug):
    """Check the installation, or judge an FHI-aims output with --run.

    \b
    Examples:
      sisso-sal doctor
      sisso-sal doctor --config campaign.toml --test-run
      AIMS_COMMAND="mpirun -n 4 aims.x" sisso-sal doctor --test-run
      sisso-sal doctor --run aims.out --json
    """
    if output is not None:
        from sisso_sal.oracle.aims_verdict import judge_run

        verdict = judge_run(output).as_dict()
        lines = [f"{key}: {value}" for key, value in verdict.items() if value is not None]
        click.echo(dumps(verdict) if as_json else "\n".join(lines))
        return
    from sisso_sal.config import load_settings
    from sisso_sal.doctor import aims_test_run, doctor_checks, oracle_check
    from sisso_sal.report.text import aligned

    settings = load_settings(config, {})
    where = settings.calculation
    checks = doctor_checks() + ([oracle_check(settings)] if config else [])
    checks += [aims_test_run(where.command, where.species_dir)] if test_run else []
    if as_json:
        click.echo(dumps({"checks": [check.as_dict() for check in checks]}))
    else:
        click.echo(aligned([["what", "status", "detail"], *([c.name, c.status, c.detail] for c in checks)]))
    if any(check.status == "problem" for check in checks):
        raise SissoSalError("doctor: found problems, see above")
