"""Checks of the installation and of FHI-aims outputs."""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON, JSON, dumps
from sisso_sal.cli.terminal import emit, next_step, show
from sisso_sal.errors import SissoSalError


@click.command(cls=Command, short_help="Check the installation, or FHI-aims outputs")
@click.option(
    "--run",
    "output",
    type=click.Path(path_type=Path),
    help="Check this FHI-aims output, or all outputs in this folder.",
)
@click.option("--test-run", is_flag=True, help="Also compute a cell of two atoms with FHI-aims.")
@click.option("--config", type=click.Path(path_type=Path), help="Also check the oracle that this settings file names.")
@click.option(
    "--oracle",
    metavar="folder:PATH",
    help="List calculations that you have done already: what they give, what is left out, and why.",
)
@click.option("--table", type=click.Path(path_type=Path), help="With --oracle: the candidates that are to get labels.")
@click.option("--target", metavar="COLUMN", help="With --table: the column of labels; by default the one with gaps.")
@JSON
@COMMON
def doctor(output, test_run, config, oracle, table, target, as_json, quiet, debug):
    """Check the installation or, with --run, whether an FHI-aims calculation has finished and can be used.

    \b
    Examples:
      sisso-sal doctor
      sisso-sal doctor --config campaign.toml --test-run
      AIMS_COMMAND="mpirun -n 4 aims.x" sisso-sal doctor --test-run
      sisso-sal doctor --run aims.out --json
      sisso-sal doctor --run runs/oxides/oracle/tree     (all outputs in a folder)
      sisso-sal doctor --oracle folder:calculations --table candidates.csv
    """
    if oracle is not None:
        _survey(oracle, table, config, target, as_json, quiet)
        return
    if table is not None or target is not None:
        raise click.UsageError("--table and --target: need --oracle folder:PATH, found none")
    if output is not None and output.is_dir():
        _judge_all(output, as_json)
        return
    if output is not None:
        from sisso_sal.oracle.engines.aims_verdict import judge_run

        verdict = judge_run(output).as_dict()
        lines = [f"{key}: {value}" for key, value in verdict.items() if value is not None]
        emit(dumps(verdict)) if as_json else show("\n".join(lines))
        is_done = verdict["verdict"] == "finished"
        next_step(
            "sisso-sal label RUN ID VALUE, with the value that follows from this output"
            if is_done
            else "correct the problem above and run the calculation again"
        )
        return
    from sisso_sal.oracle.doctor import aims_test_run, doctor_checks, oracle_check
    from sisso_sal.report.text.table import aligned
    from sisso_sal.settings.campaign import load_settings

    settings = load_settings(config, {})
    where = settings.of_target.calculation
    checks = doctor_checks()
    if config:
        checks += [oracle_check(settings.at_level(level.name), level.name) for level in settings.lower]
        checks.append(oracle_check(settings.of_target))
    checks += [aims_test_run(where.command, where.species_dir)] if test_run else []
    if as_json:
        emit(dumps({"checks": [check.as_dict() for check in checks]}))
    else:
        show(aligned([["what", "status", "detail"], *([c.name, c.status, c.detail] for c in checks)]))
    if any(check.status == "problem" for check in checks):
        raise SissoSalError("doctor: found problems, see above")
    next_step("sisso-sal discover TABLE; a program that is missing is needed only for the labels that it computes")


def _judge_all(folder: Path, as_json: bool) -> None:
    """Print a table of the verdicts on all outputs in a folder."""
    from sisso_sal.oracle.engines.aims_verdict import judge_runs
    from sisso_sal.report.text.table import aligned

    verdicts = judge_runs(folder)
    if as_json:
        emit(dumps({"runs": [{"output": name, **verdict.as_dict()} for name, verdict in verdicts.items()]}))
        return
    rows = [["output", "verdict", "energy eV", "gap eV", "atoms", "reason"]]
    for name, verdict in verdicts.items():
        numbers = [_short(verdict.energy_eV, ".4f"), _short(verdict.gap_eV, ".3f"), str(verdict.n_atoms)]
        rows.append([name, verdict.verdict, *numbers, verdict.reason])
    show(aligned(rows, numeric=[2, 3, 4]))


def _survey(
    oracle: str, table: Path | None, config: Path | None, target: str | None, as_json: bool, quiet: bool
) -> None:
    """Print what a folder of calculations has."""
    from sisso_sal.api.inputs import complete_settings, read_unlabelled
    from sisso_sal.oracle.calculations.survey import survey
    from sisso_sal.oracle.registry import oracle_named
    from sisso_sal.report.text.calculations import survey_text
    from sisso_sal.settings import DONE
    from sisso_sal.system.progress import Progress

    settings = complete_settings(config, {"oracle": oracle, "target": target}).settings
    kind, path = oracle_named(oracle)
    if kind.written.partition(":")[0] != DONE:
        raise click.UsageError(f"--oracle: needs {DONE}:PATH, found {oracle}; --config checks other oracles")
    candidates = None
    if table is not None:
        candidates = read_unlabelled(table, settings)
    with Progress("reading calculations", quiet or as_json) as progress:
        looked = survey(path, settings.of_target.label, candidates, progress=progress)
    emit(dumps(looked.document())) if as_json else show(survey_text(looked.notes(), looked.document()))
    next_step(f"sisso-sal discover {table or 'TABLE'} --oracle {oracle}")


def _short(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
