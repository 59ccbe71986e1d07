"""Simulated campaigns, and the choice of settings by cross-validation."""

from __future__ import annotations

import os
import shlex
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import click

from sisso_sal.cli.help import Computing, panel
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
from sisso_sal.cli.terminal import emit, next_step, note, show, width
from sisso_sal.errors import SettingsError
from sisso_sal.system.progress import Progress


@click.command(cls=Computing, short_help="Compare strategies in simulated campaigns")
@TABLE
@COLUMNS
@panel(
    "Simulated campaigns",
    click.option("--goal", help="min, max, 'min 10%', '<=0.3', '>=2' or '1.2..1.8'; min by default."),
    click.option(
        "--target-quantile", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.1, show_default=True,
        help="For min and max: the targets are this best fraction of the materials.",
    ),
    click.option("--start", default="random", show_default=True, help="First labels: random, worst or without:ELEMENT."),
    click.option("--n-start", type=click.IntRange(min=2), default=25, show_default=True, help="Number of first labels."),
    click.option("--evaluations", type=click.IntRange(min=1), default=60, show_default=True, help="Evaluations after the start."),
    click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="Campaigns per strategy."),
    click.option(
        "--seed", type=click.IntRange(min=0), help="Seed of the first campaign, each further one has the next; 0 by default."
    ),
    click.option(
        "--surrogates", metavar="A,B,…", callback=names, default="sisso,forest,process", show_default=True,
        help="Surrogates to compare.",
    ),
    click.option(
        "--acquisitions", metavar="A,B,…", callback=names,
        help="Acquisitions to compare; that of the settings by default. Baselines without predictions are added.",
    ),
    click.option(
        "--batch", type=click.IntRange(min=1), help="Evaluations per batch; 1 unless this option or a setting gives another number."
    ),
    click.option(
        "--improve-on", metavar="WHAT",
        help="Reference of an improvement: mean (best posterior mean) or label (best label); mean by default.",
    ),
    click.option("--horizon", type=click.IntRange(min=1), help="Evaluations that an acquisition looks ahead; 20 by default."),
    click.option("--diversity", type=click.FloatRange(0, 1), help="Weight of diversity within a batch; 0 by default."),
    click.option("--jobs", type=click.IntRange(min=1), help="Processes; all usable cores by default."),
    click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the targets found, as PNG or PDF."),
    click.option("--force", is_flag=True, help="Replace the plot if it exists."),
)  # fmt: skip
@ENSEMBLE
@MODEL
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings in a TOML file; options of the command override them."
)
@JSON
@COMMON
def replay(
    table, target, id_column, formula, target_quantile, start, n_start, evaluations, seeds, surrogates, acquisitions, jobs,
    plot, force, config, as_json, quiet, debug, **options,
):  # fmt: skip
    """Compare strategies in simulated campaigns on TABLE, in which the target is known for every row.

    Every strategy starts from the same labels, picks materials, gets their labels, and picks again. The output shows, for each
    strategy, the number of targets known at the end, the targets found per evaluation relative to random picks (enrichment), and
    how many times faster than random picks it reached half of all targets (acceleration), each with a 95 % interval over the
    starts. Rows without a target are left out. While all known labels are equal, a strategy picks at random. The batch is 1 unless
    --batch, a settings file or the environment gives another number; the default batch of discover does not apply.

    \b
    Examples:
      sisso-sal replay data/oxides.csv --n-start 15 --evaluations 25
      sisso-sal replay table.csv --goal "1.2..1.8" --acquisitions mean,hits
    """
    check_plot(plot, force)
    from sisso_sal.replay.simulate import Rules
    from sisso_sal.replay.simulate import replay as simulate
    from sisso_sal.report.text.study import replay_text
    from sisso_sal.spaces.table import TableSpace
    from sisso_sal.system.machine import usable_cores

    layers = load_layers(config, {"target": target, "id": id_column, **model_changes(options)})
    settings = layers.settings
    if layers.origins["batch"].kind == "default":
        settings = settings.model_copy(update={"batch": 1})
    _check_surrogates(layers, surrogates)
    strategies = _strategies(settings, surrogates, acquisitions)
    data = _labelled(read(table, settings, formula))
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
        **data.remarks(),
        "settings": settings.model_dump(mode="json"),
    }
    emit(dumps(document)) if as_json else show(replay_text(document, width()))
    if plot is not None:  # comes last: a figure that fails loses nothing
        from sisso_sal.report.figures.draw import found_targets, save_figure

        save_figure(found_targets(document), plot)
    if not as_json and plot is not None:
        show(f"\nThe figure is in {plot}")
    next_step(f"sisso-sal discover TABLE_WITH_GAPS {_options_of_best(document, settings)}")


def _check_surrogates(layers, surrogates: tuple[str, ...]) -> None:
    """Refuse an unknown surrogate and one that is named twice; tell which settings none of them uses."""
    from dataclasses import replace

    from sisso_sal.api.inputs import without_unused
    from sisso_sal.models.registry import SURROGATES
    from sisso_sal.system.plugins import named

    kinds = [named("surrogates", name, SURROGATES) for name in surrogates]
    if len(set(surrogates)) < len(surrogates):
        raise SettingsError(f"surrogates: needs names that differ, found '{','.join(surrogates)}'")
    kind = max(kinds, key=lambda kind: len(kind.sections))
    without_unused(replace(layers, settings=layers.settings.model_copy(update={"surrogate": kind.name})), note)


def _strategies(settings, surrogates: tuple[str, ...], acquisitions: tuple[str, ...] | None):
    """Every surrogate with every acquisition that uses predictions, then the other acquisitions and the baselines."""
    from sisso_sal.acquisition.baselines import ALONGSIDE
    from sisso_sal.acquisition.goal import Goal
    from sisso_sal.acquisition.registry import acquisition_named
    from sisso_sal.replay.simulate import Strategy

    goal = Goal.parse(settings.goal)
    chosen = [acquisition_named(name, goal) for name in acquisitions or (settings.acquisition,)]
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
    return strategies + [Strategy(name, name) for name in dict.fromkeys(without_surrogate)]


def _options_of_best(document: dict[str, Any], settings) -> str:
    """The options of discover for the best of the strategies that predict."""
    means = {name: strategy["mean"] for name, strategy in document["strategies"].items() if " " in name}
    default = f"{settings.surrogate} {settings.acquisition}"
    kind, _, acquisition = max(means, key=lambda name: means[name], default=default).partition(" ")
    surrogate = "" if kind == settings.surrogate else f"--surrogate {kind} "
    return f"{surrogate}--acquisition {acquisition}"


def _surrogate(settings, seed: int):
    """An unfitted surrogate, in a process of its own: notes on units were already shown by the first process."""
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
            numbers = None if value is None else tuple(kind(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"needs numbers with commas between them, found '{value}'") from None
        return numbers

    return convert


@click.command(cls=Computing, short_help="Choose settings by cross-validation")
@TABLE
@COLUMNS
@panel(
    "What to try",
    click.option("--rungs", metavar="A,B,…", callback=_numbers(int), help="Values of --rung; 1,2 by default."),
    click.option("--dims", metavar="A,B,…", callback=_numbers(int), help="Values of --dim; 1,2,3 by default."),
    click.option("--n-sis-values", metavar="A,B,…", callback=_numbers(int), help="Values of --n-sis; 10,50 by default."),
    click.option("--members-values", metavar="A,B,…", callback=_numbers(int), help="Values of --members; 10,30 by default."),
    click.option("--dropouts", metavar="A,B,…", callback=_numbers(float), help="Values of --dropout; 0,0.2,0.4 by default."),
    click.option("--transforms", metavar="A,B,…", callback=names, help="Values of --transform; none,yeo-johnson by default."),
    click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds of the cross-validation."),
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
    table, target, id_column, formula, columns, drop, rungs, dims, n_sis_values, members_values, dropouts, transforms, folds,
    out, force, config, seed, threads, as_json, quiet, debug,
):  # fmt: skip
    """Choose rung, terms, n_sis, members, dropout and transform for TABLE by cross-validation, and write a settings file.

    The settings are compared by the mean absolute error of the formulas, without correction, on held-out rows. One search serves
    all folds, dropouts and numbers of terms.

    \b
    Example:
      sisso-sal tune data/oxides.csv --out tuned.toml
      sisso-sal discover data/oxides.csv --config tuned.toml
    """
    check_free(out, force)
    import numpy as np

    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.estimators import frame_of
    from sisso_sal.models.validation import GRID
    from sisso_sal.models.validation import tune as compare
    from sisso_sal.report.text.study import tune_text
    from sisso_sal.settings.campaign import settings_toml
    from sisso_sal.settings.layers import layered
    from sisso_sal.spaces.table import TableSpace
    from sisso_sal.system.storage import write_whole

    named = {"target": target, "id": id_column, "columns": columns, "drop": drop, "seed": seed}
    settings = load(config, named)
    data = read(table, settings, formula)
    tried = {"rung": rungs, "dim": dims, "n_sis": n_sis_values, "members": members_values, "dropout": dropouts,
            "transform": transforms}  # fmt: skip
    grid = {key: default if tried[key] is None else tried[key] for key, default in GRID.items()}
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
    changes = {**named, **best, "adapt": False}
    write_whole(out, settings_toml(layered(config, changes, os.environ).settings, given_only=True))
    document = {
        "target": {"name": data.target_name, "unit": data.target_unit},
        "n_samples": len(known), "folds": folds, "rows": rows, "best": best, "out": str(out), **data.remarks(),
    }  # fmt: skip
    emit(dumps(document)) if as_json else show(tune_text(document, width()))
    next_step(_discovery(table, len(known) == data.n_rows, out, formula))


def _discovery(table: Path, is_complete: bool, config: Path, formula: str | None) -> str:
    """The discover command that uses the settings; the settings file has no key for the column of formulas."""
    words = [*("sisso-sal", "discover", "TABLE_WITH_GAPS" if is_complete else str(table)), "--config", str(config)]
    words += [] if formula is None else ["--formula", formula]
    if not is_complete and Path("runs", table.stem).exists():
        names = chain([config.stem], (f"{config.stem}-{number}" for number in count(2)))
        words += ["--out", next(f"runs/{name}" for name in names if not Path("runs", name).exists())]
    return shlex.join(words)
