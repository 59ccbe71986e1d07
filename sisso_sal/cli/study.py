"""Simulated campaigns, and the choice of settings by cross-validation."""

from __future__ import annotations

import os
import shlex
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import click

from sisso_sal.cli import known_values
from sisso_sal.cli.help import Computing, panel
from sisso_sal.cli.learning_curve import LEARNING_CURVE, CurveRequest, refuse_others, show_learning_curve
from sisso_sal.cli.level_study import level_study, refuse_with_levels, unfitted
from sisso_sal.cli.options import (
    COLUMNS,
    COMMON,
    ENSEMBLE,
    JSON,
    LOW,
    MODEL,
    SEED,
    TABLE,
    THREADS,
    WORKERS,
    at_work,
    check_free,
    dumps,
    load,
    load_layers,
    model_changes,
    names,
    read,
)
from sisso_sal.cli.plots import check_plot, plot_options, save_plot
from sisso_sal.cli.terminal import emit, next_step, note, show, width
from sisso_sal.errors import SettingsError, fit_of
from sisso_sal.system.progress import Progress


@click.command(cls=Computing, short_help="Compare strategies in simulated campaigns")
@TABLE
@COLUMNS
@panel(
    "Simulated campaigns",
    click.option("--goal", help="min, max, 'min 10%', '<=0.3', '>=2', '1.2..1.8' or '=CLASS'; min by default."),
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
        "--surrogates", metavar="A,B,…", callback=names,
        help="Surrogates to compare; sisso,no-formulas,forest,process by default, and trees that take the best mean; "
        "for classes sisso,forest,logistic.",
    ),
    click.option(
        "--acquisitions", metavar="A,B,…", callback=names,
        help="Acquisitions to compare; that of the settings by default. Baselines without predictions are added.",
    ),
    click.option(
        "--estimate", metavar="COLUMN", shell_complete=known_values.columns,
        help="Add the strategy that takes the best value in this column first, and learns nothing; a low column by default.",
    ),
    click.option(
        "--batch", type=click.IntRange(min=1), help="Evaluations per batch; 1 unless this option or a setting gives another number."
    ),
    click.option(
        "--improve-on", metavar="WHAT",
        help="Reference of an improvement: mean (best posterior mean) or label (best label); mean by default.",
    ),
    click.option("--diversity", type=click.FloatRange(0, 1), help="Weight of diversity within a batch; 0 by default."),
    *plot_options("the targets found"),
    click.option("--force", is_flag=True, help="Replace the plot if it exists."),
)  # fmt: skip
@ENSEMBLE
@MODEL
@WORKERS
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings in a TOML file; options of the command override them."
)
@JSON
@COMMON
def replay(
    table, target, id_column, formula, target_quantile, start, n_start, evaluations, seeds, surrogates, acquisitions,
    estimate, executor, n_workers, plot, plot_columns, force, config, as_json, quiet, debug, **options,
):  # fmt: skip
    """Compare strategies in simulated campaigns on TABLE, in which the target is known for every row.

    Every strategy starts from the same labels, picks materials, gets their labels, and picks again. The output shows, for each
    strategy, the number of targets known at the end, the targets found per evaluation relative to random picks (enrichment), and
    how many times faster than random picks it reached half of all targets (acceleration), each with a 95 % interval over the
    starts. For strategies with a standard deviation it also shows whether 95 % of the labels of the picks were within the intervals
    claimed before, and whether probabilities to be a target came true. Rows without a target are left out. While all known labels
    are equal, a strategy picks at random. The batch is 1 unless --batch, a settings file or the environment gives another number;
    the default batch of discover does not apply. Each row is a candidate of its own, also where others of its material (--group, or
    one composition) are known; these are left out together when errors are measured. With levels of theory in the settings
    file, whose values are columns of TABLE, the output shows what these save.

    \b
    Examples:
      sisso-sal replay data/oxides.csv --n-start 15 --evaluations 25
      sisso-sal replay table.csv --goal "1.2..1.8" --acquisitions mean,hits
      sisso-sal replay table.csv --goal "=perovskite" --start random --seeds 5
    """
    check_plot(plot, plot_columns, force)
    import numpy as np

    from sisso_sal.acquisition.goal import Goal
    from sisso_sal.models.materials import materials_of
    from sisso_sal.replay.estimate import by_estimate
    from sisso_sal.replay.simulate import Rules
    from sisso_sal.replay.simulate import replay as simulate
    from sisso_sal.report.text.levels import levels_text
    from sisso_sal.report.text.study import replay_text
    from sisso_sal.spaces.table import TableSpace
    from sisso_sal.system.executors import open_workers
    from sisso_sal.system.machine import usable_cores

    layers = load_layers(config, {"target": target, "id": id_column, **model_changes(options)})
    settings = layers.settings
    if layers.origins["batch"].kind == "default":
        settings = settings.model_copy(update={"batch": 1})
    if settings.level:
        refuse_with_levels({"--acquisitions": acquisitions, "--estimate": estimate, "--plot": plot})
    _check_surrogates(layers, surrogates or _surrogates_compared(settings))
    strategies = _strategies(settings, surrogates, acquisitions)
    space = TableSpace(_labelled(read(table, settings, formula, with_gaps=bool(settings.level))))
    data = space.table
    for column in _estimates(estimate, settings, space):
        strategies.append(by_estimate(space, column, Goal.parse(settings.goal)))
    rules = Rules(
        goal=settings.goal, target_share=target_quantile, n_start=n_start, start=start, evaluations=evaluations,
        batch=settings.batch, improve_on=settings.improve_on, diversity=settings.diversity,
    )  # fmt: skip
    about: dict[str, Any] = {"seeds": seeds}
    n_workers = n_workers or (usable_cores() if executor == "local" else None)
    with (
        open_workers(executor, n_workers, 1, tell=note) as about["workers"],
        Progress("campaigns", quiet or as_json) as progress,
    ):
        if settings.level:
            kinds = surrogates or (settings.surrogate,)
            document = level_study(data, settings, kinds, rules, **about, progress=progress)
        else:
            document = simulate(space, strategies, rules, seed=settings.seed, **about, progress=progress)
    document |= {
        "target": {"name": data.target_name, "unit": data.target_unit},
        "materials": materials_of(space, np.arange(data.n_rows))[1],
        **data.remarks(),
        "settings": settings.model_dump(mode="json"),
    }
    text = levels_text if settings.level else replay_text
    emit(dumps(document)) if as_json else show(text(document, width()))
    if settings.level:
        next_step(f"sisso-sal discover TABLE_WITH_GAPS --config {config}")
        return
    if plot is not None:  # comes last: a figure that fails loses nothing
        _draw(document, plot, plot_columns, as_json)
    next_step(f"sisso-sal discover TABLE_WITH_GAPS {_options_of_best(document, strategies, settings)}")


def _draw(document: dict[str, Any], plot: Path, columns: int | None, as_json: bool) -> None:
    from sisso_sal.report.figures.targets_found import found_targets

    save_plot(found_targets, document, plot, columns)
    if not as_json:
        show(f"\nThe figure is in {plot}")


def _estimates(wanted: str | None, settings, space) -> list[str]:
    """The column that is wanted, else the first low one in the target's unit, where there is one; none for classes.

    Taking the best estimates first needs no learning.
    """
    from sisso_sal.models.baseline import low_of

    if settings.looks_for_classes and wanted is not None:
        raise SettingsError(f"estimate: needs a target that is a number, found the goal '{settings.goal.strip()}'")
    if settings.looks_for_classes or wanted is not None:
        return [] if wanted is None else [wanted]
    unit = space.target.unit if space.target else ""
    known = {name for feature in space.features for name in (feature.name, feature.header) if feature.unit == unit}
    return [name for name in low_of(settings.ensemble.low, space) if name in known][:1]


def _check_surrogates(layers, surrogates: tuple[str, ...]) -> None:
    """Refuse an unknown surrogate and one that is named twice; tell which settings none of them uses."""
    from dataclasses import replace

    from sisso_sal.api.inputs import without_unused
    from sisso_sal.models.registry import SURROGATES, check_surrogate
    from sisso_sal.system.plugins import named

    kinds = [named("surrogates", name, SURROGATES) for name in surrogates]
    for name in surrogates:
        check_surrogate(layers.settings.model_copy(update={"surrogate": name}))
    if len(set(surrogates)) < len(surrogates):
        raise SettingsError(f"surrogates: needs names that differ, found '{','.join(surrogates)}'")
    kind = max(kinds, key=lambda kind: len(kind.sections))
    without_unused(replace(layers, settings=layers.settings.model_copy(update={"surrogate": kind.name})), note)


COMPARED = ("sisso", "no-formulas", "forest", "process")
"""Surrogates that are compared unless told otherwise, each with the acquisitions that were chosen."""

COMPARED_FOR_CLASSES = ("sisso", "forest", "logistic")
"""The same where the goal names classes."""

GREEDY = ("trees", "mean")
"""Surrogate and acquisition that are compared with those: they look at nothing but the mean."""


def _surrogates_compared(settings) -> tuple[str, ...]:
    return COMPARED_FOR_CLASSES if settings.looks_for_classes else COMPARED


def _strategies(settings, surrogates: tuple[str, ...] | None, acquisitions: tuple[str, ...] | None):
    """Every surrogate with every acquisition that uses predictions, then the other acquisitions and the baselines."""
    from sisso_sal.acquisition.baselines import ALONGSIDE
    from sisso_sal.acquisition.goal import Goal
    from sisso_sal.acquisition.registry import acquisition_named
    from sisso_sal.replay.simulate import Strategy

    goal = Goal.parse(settings.goal)
    chosen = [acquisition_named(name, goal) for name in acquisitions or (settings.acquisition,)]
    pairs = [(kind, one.name) for kind in surrogates or _surrogates_compared(settings) for one in chosen if one.uses]
    pairs += [GREEDY] if surrogates is None and acquisitions is None and not goal.classes else []
    strategies = [
        Strategy(f"{kind} {name}", name, partial(unfitted, settings.model_copy(update={"surrogate": kind})))
        for kind, name in pairs
    ]
    without_surrogate = [acquisition.name for acquisition in (*chosen, *ALONGSIDE) if not acquisition.uses]
    return strategies + [Strategy(name, name) for name in dict.fromkeys(without_surrogate)]


def _options_of_best(document: dict[str, Any], strategies, settings) -> str:
    """The options of discover for the best of the strategies that learn."""
    learning = [one.name for one in strategies if one.make_surrogate is not None and one.learns]
    means = {name: document["strategies"][name]["mean"] for name in learning}
    default = f"{settings.surrogate} {settings.acquisition}"
    kind, _, acquisition = max(means, key=lambda name: means[name], default=default).partition(" ")
    surrogate = "" if kind == settings.surrogate else f"--surrogate {kind} "
    return f"{surrogate}--acquisition {acquisition}"


def _labelled(table):
    """The rows with a label."""
    from dataclasses import replace

    kept = [i for i, known in enumerate(table.labelled) if known]
    if len(kept) < table.n_rows:
        note(f"{table.n_rows - len(kept)} rows without a label left out")
    text = {name: tuple(cells[i] for i in kept) for name, cells in table.text.items()}
    partial = None if table.partial is None else table.partial[kept]
    ids = tuple(table.ids[i] for i in kept)
    classes = None if table.classes is None else tuple(table.classes[i] for i in kept)
    of_rows = {"ids": ids, "text": text, "partial": partial, "classes": classes}
    return replace(table, features=table.features[kept], target=table.target[kept], **of_rows)


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
@LOW
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
    click.option("--force", is_flag=True, help="Replace files that exist."),
)  # fmt: skip
@LEARNING_CURVE
@click.option("--config", type=click.Path(path_type=Path), help="All other settings, in a TOML file.")
@SEED
@THREADS
@WORKERS
@JSON
@COMMON
def tune(
    table, target, id_column, group, formula, columns, drop, low, rungs, dims, n_sis_values, members_values, dropouts, transforms,
    folds, out, force, with_curve, repeats, plot, plot_columns, prune, config, seed, threads, executor, n_workers, as_json, quiet,
    debug,
):  # fmt: skip
    """Choose rung, terms, n_sis, members, dropout and transform for TABLE by cross-validation, and write a settings file.

    The settings are compared by the mean absolute error of the formulas, without correction, on held-out rows; rows of one material
    are held out together. Of all that lie within one standard error of the least error the simplest are chosen: no transform, then
    the fewest terms, then the lowest rung. One search serves all folds, dropouts and numbers of terms.

    With --learning-curve the settings are those of discover or of --config. The whole ensemble learns from more and more rows, in
    three orders: at random, the worst predicted first, and those farthest from the others first. The errors are those of rows that
    were held out, the same for all orders. An extrapolation says what more labels would bring.

    \b
    Examples:
      sisso-sal tune data/oxides.csv --out tuned.toml
      sisso-sal discover data/oxides.csv --config tuned.toml
      sisso-sal tune data/oxides.csv --learning-curve --plot curve.pdf
    """
    tried = dict(zip(_TRIED, (rungs, dims, n_sis_values, members_values, dropouts, transforms), strict=True))
    request = CurveRequest(table, folds, repeats, plot, plot_columns, prune)
    refuse_others(with_curve, {_TRIED[name]: values for name, values in tried.items()}, request)
    request.check(force) if with_curve else check_free(out, force)
    from sisso_sal.models.baseline import low_of
    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.spaces.table import TableSpace

    named = {
        "target": target, "id": id_column, "group": group, "columns": columns, "drop": drop, "low": low, "seed": seed,
    }  # fmt: skip
    settings = load(config, named)
    data = read(table, settings, formula)
    parameters = settings.model.estimator_parameters() | settings.ensemble.estimator_parameters()
    parameters["low"] = low_of(settings.ensemble.low, TableSpace(data))
    ensemble = SISSOEnsemble(**parameters, threads=threads, random_state=settings.seed)
    with fit_of(str(table)), at_work(executor, n_workers, threads):
        if with_curve:
            show_learning_curve(data, ensemble.recipe(), request, as_json, quiet)
            return
        document = _compared(data, ensemble, tried, folds, Progress("searches", quiet or as_json))
    _write_settings(out, config, {**named, **document["chosen"], "adapt": False})
    document["out"] = str(out)
    from sisso_sal.report.text.study import tune_text

    emit(dumps(document)) if as_json else show(tune_text(document, width()))
    next_step(_discovery(table, document["n_samples"] == data.n_rows, out, formula))


_TRIED = {
    "rung": "--rungs", "dim": "--dims", "n_sis": "--n-sis-values", "members": "--members-values", "dropout": "--dropouts",
    "transform": "--transforms",
}  # fmt: skip
"""Settings that `tune` compares, and the options with their values."""


def _compared(data, ensemble, tried: dict[str, Any], folds: int, progress: Progress) -> dict[str, Any]:
    """Errors of all combinations of the settings `tried`, those of the default grid where nothing else was given."""
    import numpy as np

    from sisso_sal.models.estimators import frame_of
    from sisso_sal.models.inputs import groups_of
    from sisso_sal.models.materials import materials_of
    from sisso_sal.models.validation import GRID, simplest
    from sisso_sal.models.validation import tune as compare
    from sisso_sal.spaces.table import TableSpace

    grid = {key: default if tried[key] is None else tried[key] for key, default in GRID.items()}
    space = TableSpace(data)
    known = np.flatnonzero(data.labelled)
    with progress:
        rows = compare(
            ensemble, frame_of(space, known), space.labels[known], grid,
            groups=groups_of(space, known, space.rows(known).matrix)[0], folds=folds, seed=ensemble.random_state,
            progress=progress,
        )  # fmt: skip
    return {
        "target": {"name": data.target_name, "unit": data.target_unit},
        "n_samples": len(known), "materials": materials_of(space, known)[1], "folds": folds, "rows": rows,
        "best": {key: rows[0][key] for key in GRID}, "chosen": {key: simplest(rows)[key] for key in GRID}, **data.remarks(),
    }  # fmt: skip


def _write_settings(out: Path, config: Path | None, changes: dict[str, Any]) -> None:
    """Write all that was given, and what was chosen."""
    from sisso_sal.settings.layers import layered
    from sisso_sal.settings.written import settings_toml
    from sisso_sal.system.storage import write_whole

    write_whole(out, settings_toml(layered(config, changes, os.environ).settings, given_only=True))


def _discovery(table: Path, is_complete: bool, config: Path, formula: str | None) -> str:
    """The discover command that uses the settings; the settings file has no key for the column of formulas."""
    words = [*("sisso-sal", "discover", "TABLE_WITH_GAPS" if is_complete else str(table)), "--config", str(config)]
    words += [] if formula is None else ["--formula", formula]
    if not is_complete and Path("runs", table.stem).exists():
        names = chain([config.stem], (f"{config.stem}-{number}" for number in count(2)))
        words += ["--out", next(f"runs/{name}" for name in names if not Path("runs", name).exists())]
    return shlex.join(words)
