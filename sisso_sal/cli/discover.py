"""The main command: from a table to proposals and their labels."""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sisso_sal.cli import known_values
from sisso_sal.cli.help import Computing, DescribedOption, fitting, panel
from sisso_sal.cli.options import (
    COLUMNS,
    COMMON,
    ELEMENTS,
    ENSEMBLE,
    JSON,
    MODEL,
    SEED,
    SURROGATE,
    TABLE,
    THREADS,
    WORKERS,
    at_work,
    dumps,
    model_changes,
)
from sisso_sal.cli.terminal import emit, fail, next_step, note, show, width
from sisso_sal.errors import reason_of
from sisso_sal.system.progress import Watch

if TYPE_CHECKING:
    from sisso_sal.system.executors import Workers

FINISHED_WITH_FAILURES = 3
KEPT = 10_000
"""Candidates of a pool that are chosen from."""


def _oracle_help() -> str:
    from sisso_sal.oracle.registry import oracle_help

    return f"Source of the labels: {oracle_help()}; none by default."


@click.command(cls=Computing, short_help="Learn from a table with gaps, propose what to compute")
@TABLE
@COLUMNS
@panel(
    "What to look for",
    click.option(
        "--goal",
        shell_complete=known_values.values("goal", "min", "max"),
        help="min, max, 'min 10%', '<=0.3', '>=2', '1.2..1.8' or '=CLASS'; min by default.",
    ),
    click.option("--batch", type=click.IntRange(min=1), help="Candidates to propose; 10 by default."),
    click.option(
        "--acquisition",
        metavar="NAME",
        shell_complete=known_values.acquisitions,
        cls=DescribedOption,
        describe=known_values.acquisitions_in_words,
    ),
    click.option("--diversity", type=click.FloatRange(0, 1), help="Weight of diversity within a batch; 0 by default."),
    click.option(
        "--improve-on",
        metavar="WHAT",
        shell_complete=known_values.values("improve_on"),
        help="Reference of an improvement: mean (best posterior mean) or label (best label); mean by default.",
    ),
)
@ELEMENTS
@panel(
    "A pool of millions",
    click.option(
        "--pool",
        metavar="POOL",
        help="Parquet files, a table or oxides:…: TABLE has the labels, and the best of POOL are the candidates; see screen.",
    ),
    click.option("--keep", type=click.IntRange(min=1), help="Candidates of the pool to choose from; 10000 by default."),
)
@panel(
    "Labels, and when to stop",
    click.option(
        "--oracle",
        metavar="WHO",
        cls=DescribedOption,
        describe=_oracle_help,
        shell_complete=known_values.oracles,
    ),
    click.option(
        "--budget",
        type=click.FloatRange(0, min_open=True),
        help="Stop after this many evaluations; with levels, when this much is spent.",
    ),
    click.option(
        "--core-hours", type=click.FloatRange(0, min_open=True), help="Stop when this many core-hours are used."
    ),
    click.option("--hits", type=click.IntRange(min=1), help="Stop when this many labels reach the goal."),
    click.option(
        "--min-gain",
        type=click.FloatRange(0, min_open=True),
        help="Stop when the largest expected improvement (or probability to reach the goal) is below this.",
    ),
    click.option(
        "--asynchronous", is_flag=True, help="Propose again after each calculation, not only after each batch."
    ),
    click.option(
        "--calculations",
        type=click.IntRange(min=0),
        help="Calculations that run at the same time; 0 if you start workers yourself; 1 by default.",
    ),
    click.option(
        "--retries", type=click.IntRange(min=0), help="Times that a failed calculation is tried again; 3 by default."
    ),
    click.option(
        "--walltime", type=click.FloatRange(0, min_open=True), help="Longest time of a calculation, in hours."
    ),
    click.option("--once", is_flag=True, help="Do one step and exit, for cron or a chain of Slurm jobs."),
    click.option("--no-report", is_flag=True, help="Write no report.html into the run folder."),
    click.option("--dry-run", is_flag=True, help="Show what would be proposed and write nothing."),
    click.option(
        "--take-over",
        is_flag=True,
        help="Continue a run whose driver crashed on another host. First make sure that it does not run any more.",
    ),
)
@SURROGATE
@ENSEMBLE
@MODEL
@panel(
    "Settings and run folder",
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="Settings in a TOML file; options of the command override them.",
    ),
    click.option(
        "--out", type=click.Path(path_type=Path, file_okay=False), help="Run folder; runs/<table> by default."
    ),
)
@WORKERS
@SEED
@THREADS
@JSON
@COMMON
def discover(
    table, target, id_column, formula, pool, keep, executor, n_workers, once, no_report, dry_run, take_over, asynchronous, config,
    out, threads, as_json, quiet, debug, **options,
):  # fmt: skip
    """Learn from the labelled rows of TABLE, propose which of the others to compute, and have them computed.

    The target is the only column with gaps (empty cells), the id is the first text column, and every other numeric column is a
    primary feature. If there is no such column, the ids must be formulas of oxides, and the features are made from them. The run
    folder keeps the models, predictions, proposals and a ledger of all events. To continue a run, also after a crash, run the same
    command again.

    Where the goal names classes (=CLASS or =CLASS,OTHER), labels are names of classes, the target is the column of text that has
    one of those, and what is predicted is the probability of one of them.

    Without --oracle, discover proposes once. Add results with sisso-sal label, or write them into the table, and run the same
    command again. With an oracle, discover continues until there is a reason to stop; sisso-sal status shows the progress.

    \b
    Examples:
      sisso-sal discover data/oxides.csv
      sisso-sal discover candidates.csv --goal "<=0.3" --batch 5 --out runs/first
      sisso-sal discover candidates.csv --oracle lookup:truth.csv --budget 30
      sisso-sal discover data/oxides.csv --oracle aims --config campaign.toml
      sisso-sal discover labels.csv --pool pool.parquet --keep 5000
      sisso-sal discover table.csv --goal "=perovskite"
    """
    from sisso_sal.ledger.lock import check_free

    _check_pool(pool, keep, dry_run)
    run = out or Path("runs") / table.stem
    if not dry_run:
        check_free(run)  # before the imports that take seconds
    from sisso_sal.api.campaign import Campaign
    from sisso_sal.campaign.loop import Talk
    from sisso_sal.report.text.campaign import preview_text, watched

    changes: dict[str, Any] = model_changes(options) | ({"asynchronous": True} if asynchronous else {})
    columns: dict[str, Any] = {"target": target, "id": id_column, "formula": formula}
    workers = click.get_current_context().with_resource(at_work(executor, n_workers, threads))
    if pool is not None:
        wanted = pool, keep or KEPT
        table, columns = _with_pool(table, wanted, run, config, columns | changes, threads, workers, quiet or as_json)
        changes |= columns
    campaign = Campaign(
        table, out=run, config=config, threads=threads, tell=note, with_report=not no_report, **{**changes, **columns}
    )
    settings, oracle = campaign.settings, campaign.oracle
    if not quiet:
        n_open = sum(label != label for label in campaign.space.labels)
        for level, one in [*campaign.lower.items(), ("", oracle)]:
            _tell_barred({} if one is None else one.barred, n_open, level)
    try:
        with campaign, Watch("screening", quiet or as_json) as watch:
            campaign.progress = watch
            if dry_run:
                document = campaign.preview()
                emit(dumps(document)) if as_json else show(preview_text(document))
                next_step("run the same command without --dry-run")
                return
            campaign.talk = Talk(
                (lambda line: watch.tell(fitting(line))) if oracle else _note,
                lambda state: watch.watch(*watched(state, settings.run.budget)) if oracle else None,
                lambda line: note(f"setting changed since the last start: {line}"),
                _traced if debug else lambda error: None,
            )
            drive = campaign.step if once else campaign.run
            summary = drive(take_over=take_over)
    except KeyboardInterrupt:
        fail("interrupted" if dry_run else f"interrupted: {_left_behind(run)}", None)
    _show(summary, run, as_json, debug)


def _check_pool(pool: str | None, keep: int | None, dry_run: bool) -> None:
    """Refuse options that go with a pool, or do not."""
    if pool is None and keep is not None:
        raise click.UsageError("--keep: needs --pool, found none")
    if pool is not None and dry_run:
        raise click.UsageError("--dry-run: writes nothing, but a pool has to be screened first; use sisso-sal screen")


def _with_pool(
    table: Path,
    pool: tuple[str, int],
    run: Path,
    config: Path | None,
    options: dict[str, Any],
    threads: int | None,
    workers: Workers,
    silent: bool,
) -> tuple[Path, dict[str, Any]]:
    """The table of labels and of the best candidates of a pool, and its columns."""
    from sisso_sal.api.campaign import settings_of_run
    from sisso_sal.api.inputs import without_unused
    from sisso_sal.api.pool_campaign import PoolChoice, folder_of, kept_of_pool
    from sisso_sal.system.progress import Progress

    formula = options.pop("formula")
    settings = without_unused(settings_of_run(run, config, options), lambda note: None).settings
    wanted = PoolChoice(text=pool[0], keep=pool[1], folder=folder_of(run))
    try:
        with Progress("screening the pool", silent) as progress:
            return kept_of_pool(
                table, wanted, settings, workers, formula=formula, threads=threads, progress=progress, tell=note
            )
    except KeyboardInterrupt:
        fail(f"interrupted: the same command goes on with what is in {wanted.folder}", None)


def _tell_barred(barred: Mapping[str, str], n_candidates: int, level: str) -> None:
    """Print how many candidates the oracle cannot label, for each reason; `level` is the name of a lower level, or ""."""
    if barred:
        reasons = "; ".join(f"{reason} ({n})" for reason, n in Counter(barred.values()).most_common(4))
        more = "; …" if len(set(barred.values())) > 4 else ""
        what = f"be computed at the level {level}" if level else "be labelled"
        note(f"{len(barred)} of {n_candidates} candidates cannot {what}: {reasons}{more}")


def _note(line: str) -> None:
    """Print a line as a note. Without an oracle the proposals are the output, and their line is left out."""
    if not line.startswith("iteration "):
        note(line)


def _report_line(run: Path, file: str | None, problem: str | None) -> str:
    """Where the report is, or that it is missing, old or not whole, and why; "" if none was wanted."""
    if problem is None:
        return "" if file is None else f"Report: {file}"
    kind = "missing" if file is None else f"{file} is old, or lacks a part"
    return f"Report: {kind} ({problem}); sisso-sal report {run} makes it again"


def _left_behind(run: Path) -> str:
    """The state of a run whose driver was interrupted, in one line."""
    from sisso_sal.ledger.fold import fold
    from sisso_sal.ledger.store import read_ledger

    state = fold(read_ledger(run).events())
    if not state.iterations:
        return f"no proposals were recorded in {run}; the same command starts this iteration again"
    n_running = len(state.of("intended", "submitted"))
    running = f", {n_running} calculation{'s are' if n_running > 1 else ' is'} running" if n_running else ""
    return f"{state.n_events} events are recorded in {run}{running}; run the same command to continue"


def _traced(error: Exception) -> None:
    """Print where an error came from that did not stop the campaign."""
    traceback.print_exception(error)


def _show(summary: dict[str, Any], run: Path, as_json: bool, debug: bool) -> None:
    """Print the result. All of it is recorded: a part that cannot be printed is noted and changes no exit code."""
    from sisso_sal.report.text.campaign import ended_text
    from sisso_sal.report.text.results import discover_text

    def text(make: Callable[..., str], *content: Any) -> str:
        try:
            return make(*content)
        except Exception as error:
            if debug:
                _traced(error)
            note(f"a part of the summary is not shown: {reason_of(error)}; sisso-sal status {run} shows the state")
            return ""

    campaign = summary["campaign"]
    if as_json:
        emit(dumps(summary))
    elif "iteration" in summary:
        folder = run / f"iter-{summary['iteration']:04d}"
        files = [
            name
            for name in ("model.json", "predictions.csv", "levels.csv", "proposals.csv")
            if (folder / name).exists()
        ]
        show(text(discover_text, summary, width()))
        show(f"\nFiles in {folder}: {', '.join(files)}")
        if line := _report_line(run, **summary["report"]):
            show(line)
    unit = summary["target"]["unit"] if "target" in summary else ""
    if not as_json and (ending := text(ended_text, campaign, unit)):
        show(f"\n{ending}")
    next_step(campaign["next"])
    if campaign["stop"] is not None and campaign["failed"]:
        sys.exit(FINISHED_WITH_FAILURES)
