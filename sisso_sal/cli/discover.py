"""The command that the program is for: from a table to proposals."""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.options import (
    COLUMNS,
    COMMON,
    ENSEMBLE,
    JSON,
    MODEL,
    SEED,
    TABLE,
    THREADS,
    dumps,
    fail,
    grouped,
    load,
    model_changes,
    read,
)
from sisso_sal.errors import SettingsError
from sisso_sal.progress import Progress


@click.command()
@TABLE
@COLUMNS
@grouped(
    click.option("--goal", help="min, max, 'min 10%', '<=0.3', '>=2' or '1.2..1.8'; min by default."),
    click.option("--oracle", default="none", show_default=True, help="Who labels the proposals: none, you do."),
    click.option("--batch", type=click.IntRange(min=1), help="Candidates to propose; 10 by default."),
    click.option(
        "--acquisition",
        metavar="NAME",
        help="mean, ei, log_ei, member_ei, pi, hits, lcb, mli, thompson, std, random, distance; hits by default.",
    ),
    click.option("--diversity", type=click.FloatRange(0, 1), help="Weight of spread within a batch; 0 by default."),
    click.option(
        "--improve-on", metavar="WHAT", help="Best posterior mean or best label: mean or label; mean by default."
    ),
)
@ENSEMBLE
@MODEL
@grouped(
    click.option("--config", type=click.Path(path_type=Path), help="Settings in a TOML file; flags come on top."),
    click.option(
        "--out", type=click.Path(path_type=Path, file_okay=False), help="Run folder; runs/<table> by default."
    ),
)
@SEED
@THREADS
@JSON
@COMMON
def discover(table, target, id_column, formula, oracle, config, out, threads, as_json, quiet, debug, **options):
    """Learn from the labelled rows of TABLE and propose which of the others to compute.

    The target is the one column with gaps, the id the first text column, and every other numeric column is a primary feature; where
    there is none, features are made from the ids as formulas of oxides. The run folder keeps models, predictions and proposals.
    Fill a label that you got into the table and give the same command again: the next iteration learns from it.

    \b
    Examples:
      sisso-sal discover data/oxides.csv
      sisso-sal discover candidates.csv --goal "<=0.3" --acquisition pi --batch 5 --out runs/first
    """
    from sisso_sal.campaign.ledger import check_free

    run = out or Path("runs") / table.stem
    check_free(run)  # before the imports that take seconds
    from sisso_sal.campaign.loop import discover as step
    from sisso_sal.report.text import discover_text

    if oracle != "none":
        raise SettingsError(f"oracle: needs none (you compute the proposals), found '{oracle}'")
    settings = load(config, {"target": target, "id": id_column, **model_changes(options)})
    data = read(table, settings.target, settings.id, formula, require_target=True)

    def make_surrogate(settings, seed):
        from sisso_sal.models.ensemble import SISSOEnsemble

        parameters = settings.model.estimator_parameters() | settings.ensemble.estimator_parameters()
        return SISSOEnsemble(**parameters, threads=threads, random_state=seed)

    def save_model(*arguments):
        from sisso_sal.models import files

        files.save_model(*arguments)

    with Progress("screening", quiet or as_json) as progress:
        try:
            summary = step(data, settings, run, make_surrogate=make_surrogate, save_model=save_model, progress=progress)
        except KeyboardInterrupt:
            fail(f"interrupted: no proposals were recorded in {run}; the same command starts this iteration again", 130)
    if as_json:
        click.echo(dumps(summary))
        return
    click.echo(discover_text(summary))
    click.echo(f"\nEverything is in {run}/iter-{summary['iteration']:04d}: model.json, predictions.csv, proposals.csv")
    click.echo(f"Next: sisso-sal export {run}/iter-{summary['iteration']:04d}/model.json --format latex")
