"""Two targets at once: the known front, and the candidates that are expected to improve it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sisso_sal.cli import known_values
from sisso_sal.cli.help import Computing, panel
from sisso_sal.cli.options import (
    COMMON,
    ELEMENTS,
    ENSEMBLE,
    FEATURE_COLUMNS,
    FORMULA,
    GROUP,
    ID_COLUMN,
    JSON,
    MODEL,
    SEED,
    SURROGATE,
    TABLE,
    THREADS,
    check_free,
    dumps,
    load_layers,
    model_changes,
    write,
)
from sisso_sal.cli.plots import check_plot, plot_options, save_plot
from sisso_sal.cli.terminal import emit, next_step, note, show, width
from sisso_sal.errors import InputError
from sisso_sal.system.progress import Watch


def _pair(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, float] | None:
    import math

    if value is None:
        return None
    try:
        first, second = (float(part) for part in value.split(","))
    except ValueError:
        first = second = math.nan
    if not (math.isfinite(first) and math.isfinite(second)):
        raise click.BadParameter(f"needs two numbers with a comma between them, found '{value}'")
    return first, second


@click.command(cls=Computing, short_help="Propose the best compromises between two targets")
@TABLE
@panel(
    "Columns of the table",
    click.option(
        "--target",
        "targets",
        metavar="COLUMN",
        multiple=True,
        shell_complete=known_values.columns,
        help="Target column; give it twice, once for each target.",
    ),
    ID_COLUMN,
    GROUP,
    FORMULA,
    *FEATURE_COLUMNS,
)
@panel(
    "What to look for",
    click.option(
        "--goal",
        "goals",
        metavar="min|max",
        multiple=True,
        type=click.Choice(["min", "max"]),
        help="min or max, once for each target in their order; min by default.",
    ),
    click.option("--batch", type=click.IntRange(min=1), help="Candidates to propose; 10 by default."),
    click.option(
        "--reference",
        metavar="A,B",
        callback=_pair,
        help="Worst values of interest; by default a tenth of the front's range beyond its worst values.",
    ),
)
@ELEMENTS
@panel(
    "Output",
    click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the proposals, as CSV."),
    *plot_options("the front"),
    click.option("--force", is_flag=True, help="Replace these files if they exist."),
)
@SURROGATE
@ENSEMBLE
@MODEL
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings in a TOML file; options of the command override them."
)
@SEED
@THREADS
@JSON
@COMMON
def pareto(
    table, targets, id_column, formula, goals, reference, out, plot, plot_columns, force, config, threads, as_json, quiet, debug,
    **options,
):  # fmt: skip
    """Learn two targets from TABLE, and propose which rows to compute so that the best compromises get better.

    Each target has its own surrogate, fitted to the rows in which this target is known; neither target is a feature of the other.
    The known front is the set of known materials that no other known material dominates (is better in one target and not worse in
    the other). The candidates are the rows with a gap in a target. They are ranked by the expected hypervolume improvement, that
    is, the area that each is expected to add to what the front and the candidates before it dominate. If one target of a candidate
    is known, its value counts as exact; the two predictions are treated as independent.

    \b
    Examples:
      sisso-sal pareto table.csv --target g_pbx --target gap --goal min --goal max
      sisso-sal pareto table.csv --target g_pbx --target price --plot front.pdf
      sisso-sal pareto table.csv --target g_pbx --target gap --reference 0.5,3
    """
    _check_pairs(targets, goals)
    check_free(out, force)
    check_plot(plot, plot_columns, force)
    from functools import partial

    from sisso_sal.api.inputs import read_two_targets, without_unused
    from sisso_sal.campaign.two_targets import compromises
    from sisso_sal.models.registry import make_surrogate
    from sisso_sal.report.text.two_targets import pareto_text
    from sisso_sal.spaces.table import TableSpace

    settings = without_unused(load_layers(config, {"id": id_column, **model_changes(options)}), note).settings
    spaces = [TableSpace(one) for one in read_two_targets(table, targets, settings, formula, note)]
    with Watch("screening", quiet or as_json) as watch:
        result = compromises(
            spaces,
            goals or ("min", "min"),
            settings.batch,
            partial(make_surrogate, settings, settings.seed, threads),
            reference=reference,
            progress=watch,
            elements=settings.run,
        )
    document = result.document() | {
        **spaces[0].table.remarks(),
        "settings": settings.model_dump(
            mode="json", include={"id", "group", "columns", "drop", "batch", "surrogate", "seed", "model", "ensemble"}
        ),
    }
    if out is not None:
        write(_proposals(document), out, force)
    emit(dumps(document)) if as_json else show(pareto_text(document, width()))
    if plot is not None:  # comes last: a figure that fails loses nothing
        from sisso_sal.report.figures.front import front_figure

        save_plot(front_figure, result, plot, plot_columns)
    _tell(document, table, out, plot, as_json)


def _check_pairs(targets: tuple[str, ...], goals: tuple[str, ...]) -> None:
    if len(targets) != 2:
        raise InputError(f"target: needs two columns, --target A --target B, found {len(targets) or 'none'}")
    if len(goals) not in {0, 2}:
        raise InputError(f"goal: needs one for each of the two targets, or none for min and min, found {len(goals)}")


def _proposals(document: dict[str, Any]) -> str:
    """The proposals as CSV, units in the header."""
    import pandas as pd

    from sisso_sal.data.spreadsheet import csv_of

    rows = {"id": [one["id"] for one in document["proposals"]]}
    for j, target in enumerate(document["targets"]):
        unit = f" ({target['unit']})" if target["unit"] else ""
        rows |= {f"{target['name']} {key}{unit}": [p[key][j] for p in document["proposals"]] for key in ("mean", "std")}
    rows |= {key: [one[key] for one in document["proposals"]] for key in ("ehvi", "ehvi_alone", "not_dominated")}
    return csv_of(pd.DataFrame(rows))


def _tell(document: dict[str, Any], table: Path, out: Path | None, plot: Path | None, as_json: bool) -> None:
    files = [f"the proposals are in {out}"] if out is not None else []
    files += [f"the figure is in {plot}"] if plot is not None else []
    if files and not as_json:
        line = ", ".join(files)
        show(f"\n{line[0].upper()}{line[1:]}")
    if document["proposals"]:
        next_step(
            f"write the results for {document['proposals'][0]['id']} and the others into {table}, then run the same command"
        )
    elif document["n_candidates"]:
        next_step("run the same command with another --reference, or add other candidates")
    else:
        next_step(f"add candidates, rows with a gap in a target, to {table}")
