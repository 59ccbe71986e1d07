"""How well would it have worked: simulated campaigns, and the choice of settings by cross-validation."""

from __future__ import annotations

import os
import shlex
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import click

from sisso_sal.cli.help import Command, panel
from sisso_sal.cli.options import (
    COLUMNS,
    COMMON,
    ENSEMBLE,
    JSON,
    MODEL,
    SEED,
    TABLE,
    THREADS,
    check_free,
    check_plot,
    dumps,
    load,
    load_layers,
    model_changes,
    names,
    read,
)
from sisso_sal.cli.terminal import next_step, note, show, width
from sisso_sal.system.progress import Progress


@click.command(cls=Command, short_help="Would it have worked? Simulated campaigns")
@TABLE
@COLUMNS
@panel(
    "Simulated campaigns",
    click.option("--goal", help="min, max, 'min 10%', '<=0.3', '>=2' or '1.2..1.8'; min by default."),
    click.option(
        "--target-quantile", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.1, show_default=True,
        help="For min and max: share of the materials, the best ones, that are to be found.",
    ),
    click.option("--start", default="random", show_default=True, help="First labels: random, worst or without:ELEMENT."),
    click.option("--n-start", type=click.IntRange(min=2), default=25, show_default=True, help="Number of first labels."),
    click.option("--evaluations", type=click.IntRange(min=1), default=60, show_default=True, help="Labels asked for."),
    click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="Campaigns per strategy."),
    click.option(
        "--seed", type=click.IntRange(min=0), help="Of the first campaign; the others have the next ones. 0 by default."
    ),
    click.option(
        "--surrogates", metavar="A,B,…", callback=names, default="sisso,forest,process", show_default=True,
        help="What predicts.",
    ),
    click.option(
        "--acquisitions", metavar="A,B,…", callback=names,
        help="What scores; that of the settings by default. Baselines that need no prediction are added.",
    ),
    click.option(
        "--batch", type=click.IntRange(min=1), help="Labels asked for at a time; 1 unless the option or a setting says more."
    ),
    click.option("--improve-on", metavar="WHAT", help="Best posterior mean or best label: mean or label; mean by default."),
    click.option("--horizon", type=click.IntRange(min=1), help="Evaluations that an acquisition may look ahead; 20 by default."),
    click.option("--diversity", type=click.FloatRange(0, 1), help="Weight of spread within a batch; 0 by default."),
    click.option("--jobs", type=click.IntRange(min=1), help="Processes; all usable cores by default."),
    click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the targets found, as PNG or PDF."),
    click.option("--force", is_flag=True, help="Replace the plot if it exists."),
)  # fmt: skip
@ENSEMBLE
@MODEL
@click.option("--config", type=click.Path(path_type=Path), help="Settings in a TOML file; flags come on top.")
@JSON
@COMMON
def replay(
    table, target, id_column, formula, target_quantile, start, n_start, evaluations, seeds, surrogates, acquisitions, jobs,
    plot, force, config, as_json, quiet, debug, **options,
):  # fmt: skip
    """Simulate campaigns on TABLE, in which the target is known for every row, against other strategies.

    Every strategy starts from the same labels, picks materials, is shown their labels, and picks again. Printed are the targets
    that it knows at the end, how many times more of them it found per evaluation than random picks (enrichment), and how many times
    faster it came to half of all (acceleration), each with a 95 % interval over the starts. Rows without a target are left out.
    While all known labels are equal, a strategy picks at random. Labels come one at a time unless --batch, or a batch in a settings
    file or the environment, says otherwise; the default batch of discover does not count.

    \b
    Examples:
      sisso-sal replay data/oxides.csv --n-start 15 --evaluations 25
      sisso-sal replay table.csv --goal "1.2..1.8" --acquisitions mean,hits
    """
    check_plot(plot, force)
    from sisso_sal.acquisition.baselines import ALONGSIDE
    from sisso_sal.acquisition.goal import Goal
    from sisso_sal.acquisition.registry import acquisition_named
    from sisso_sal.models.registry import SURROGATES
    from sisso_sal.replay.simulate import Rules, Strategy
    from sisso_sal.replay.simulate import replay as simulate
    from sisso_sal.report.text.study import replay_text
    from sisso_sal.spaces.table import TableSpace
    from sisso_sal.system.machine import usable_cores
    from sisso_sal.system.plugins import named

    given = load_layers(config, {"target": target, "id": id_column, **model_changes(options)})
    settings = given.settings
    if given.origins["batch"].kind == "default":
        settings = settings.model_copy(update={"batch": 1})
    goal = Goal.parse(settings.goal)
    chosen = [acquisition_named(name, goal) for name in acquisitions or (settings.acquisition,)]
    for kind in surrogates:
        named("surrogates", kind, SURROGATES)
    data = _labelled(read(table, settings.target, settings.id, formula, require_target=True))
    strategies = [
        Strategy(
            f"{kind} {acquisition.name}",
            acquisition.name,
            partial(_surrogate, settings.model_copy(update={"surrogate": kind})),
        )
        for kind in surrogates
        for acquisition in chosen
        if acquisition.uses
    ]
    without_surrogate = [acquisition.name for acquisition in (*chosen, *ALONGSIDE) if not acquisition.uses]
    strategies += [Strategy(name, name) for name in dict.fromkeys(without_surrogate)]
    rules = Rules(
        goal=settings.goal, target_share=target_quantile, n_start=n_start, start=start, evaluations=evaluations,
        batch=settings.batch, improve_on=settings.improve_on, diversity=settings.diversity, horizon=settings.horizon,
    )  # fmt: skip
    with Progress("campaigns", quiet or as_json) as progress:
        document = simulate(
            TableSpace(data), strategies, rules, seeds=seeds, seed=settings.seed, jobs=jobs or usable_cores(), progress=progress
        )  # fmt: skip
    document |= {
        "target": {"name": data.target_name, "unit": data.target_unit},
        "settings": settings.model_dump(mode="json"),
    }
    if plot is not None:
        from sisso_sal.report.figures.draw import found_targets, save_figure

        save_figure(found_targets(document), plot)
    click.echo(dumps(document)) if as_json else show(replay_text(document, width()))
    if not as_json and plot is not None:
        show(f"\nThe figure is in {plot}")
    next_step(f"sisso-sal discover TABLE_WITH_GAPS --acquisition {_best_acquisition(document, settings.acquisition)}")


def _best_acquisition(document: dict[str, Any], default: str) -> str:
    """That of the best strategy with formulas, the surrogate that discover has."""
    found = {name: strategy["mean"] for name, strategy in document["strategies"].items() if name.startswith("sisso ")}
    return max(found, key=lambda name: found[name]).partition(" ")[2] if found else default


def _surrogate(settings, seed: int):
    """Runs in a process of its own: notes on units were shown already."""
    import warnings

    from sisso_sal.models.registry import make_surrogate

    warnings.filterwarnings("ignore", message="unit .* is not known")
    return make_surrogate(settings, seed, threads=1)


def _labelled(table):
    """The rows with a label."""
    from dataclasses import replace

    kept = [i for i, known in enumerate(table.labelled) if known]
    if len(kept) < table.n_rows:
        note(f"{table.n_rows - len(kept)} rows without a label left out")
    text = {name: tuple(cells[i] for i in kept) for name, cells in table.text.items()}
    return replace(
        table, ids=tuple(table.ids[i] for i in kept), features=table.features[kept], target=table.target[kept], text=text
    )  # fmt: skip


def _numbers(kind: type):
    def convert(ctx: click.Context, parameter: click.Parameter, value: str | None):
        try:
            found = None if value is None else tuple(kind(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"needs numbers with commas between them, found '{value}'") from None
        return found

    return convert


@click.command(cls=Command, short_help="Choose settings by cross-validation")
@TABLE
@COLUMNS
@panel(
    "What to try",
    click.option("--rungs", metavar="A,B,…", callback=_numbers(int), help="1,2 by default."),
    click.option("--dims", metavar="A,B,…", callback=_numbers(int), help="Terms of a formula; 1,2,3 by default."),
    click.option("--n-sis-values", metavar="A,B,…", callback=_numbers(int), help="10,50 by default."),
    click.option("--members-values", metavar="A,B,…", callback=_numbers(int), help="10,30 by default."),
    click.option("--dropouts", metavar="A,B,…", callback=_numbers(float), help="0,0.2,0.4 by default."),
    click.option("--transforms", metavar="A,B,…", callback=names, help="none,yeo-johnson by default."),
    click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Of the cross-validation."),
    click.option(
        "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("tuned.toml"), show_default=True,
        help="Settings file to write, for --config.",
    ),
    click.option("--force", is_flag=True, help="Replace the file if it exists."),
)  # fmt: skip
@click.option("--config", type=click.Path(path_type=Path), help="All other settings, in a TOML file.")
@SEED
@THREADS
@JSON
@COMMON
def tune(
    table, target, id_column, formula, rungs, dims, n_sis_values, members_values, dropouts, transforms, folds, out, force,
    config, seed, threads, as_json, quiet, debug,
):  # fmt: skip
    """Choose rung, terms, n_sis, members, dropout and transform for TABLE by cross-validation, and write a settings file.

    Formulas are compared without correction, by their mean absolute error on held-out rows. All folds, dropouts, numbers of members
    and of terms share one search.

    \b
    Example:
      sisso-sal tune data/oxides.csv --out tuned.toml
      sisso-sal discover data/oxides.csv --config tuned.toml
    """
    check_free(out, force)
    import numpy as np

    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.surrogates import frame_of
    from sisso_sal.models.validation import GRID
    from sisso_sal.models.validation import tune as compare
    from sisso_sal.report.text.study import tune_text
    from sisso_sal.settings.campaign import settings_toml
    from sisso_sal.settings.layers import layered
    from sisso_sal.spaces.table import TableSpace
    from sisso_sal.system.storage import write_whole

    settings = load(config, {"target": target, "id": id_column, "seed": seed})
    data = read(table, settings.target, settings.id, formula, require_target=True)
    told = {"rung": rungs, "dim": dims, "n_sis": n_sis_values, "members": members_values, "dropout": dropouts,
            "transform": transforms}  # fmt: skip
    grid = {key: default if told[key] is None else told[key] for key, default in GRID.items()}
    parameters = settings.model.estimator_parameters() | settings.ensemble.estimator_parameters()
    ensemble = SISSOEnsemble(**parameters, threads=threads, random_state=settings.seed)
    space = TableSpace(data)
    known = np.flatnonzero(data.labelled)
    with Progress("searches", quiet or as_json) as progress:
        rows = compare(
            ensemble, frame_of(space, known), space.labels[known], grid, folds=folds, seed=settings.seed,
            progress=progress,
        )  # fmt: skip
    best = {key: rows[0][key] for key in GRID}
    changes = {"target": target, "id": id_column, "seed": seed, **best, "adapt": False}
    write_whole(out, settings_toml(layered(config, changes, os.environ).settings, given_only=True))
    document = {
        "target": {"name": data.target_name, "unit": data.target_unit},
        "n_samples": len(known), "folds": folds, "rows": rows, "best": best, "out": str(out),
    }  # fmt: skip
    click.echo(dumps(document)) if as_json else show(tune_text(document, width()))
    next_step(_discovery(table, len(known) == data.n_rows, out, formula))


def _discovery(table: Path, is_complete: bool, config: Path, formula: str | None) -> str:
    """The command that takes the settings; the file has no key for the column of formulas."""
    words = [*("sisso-sal", "discover", "TABLE_WITH_GAPS" if is_complete else str(table)), "--config", str(config)]
    words += [] if formula is None else ["--formula", formula]
    if not is_complete and Path("runs", table.stem).exists():
        names = chain([config.stem], (f"{config.stem}-{number}" for number in count(2)))
        words += ["--out", next(f"runs/{name}" for name in names if not Path("runs", name).exists())]
    return shlex.join(words)
