"""Screen a pool that need not fit into memory: predictions, scores, the best candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sisso_sal.cli import known_values
from sisso_sal.cli.help import Computing, panel
from sisso_sal.cli.options import COMMON, ELEMENTS, JSON, WORKERS, dumps
from sisso_sal.cli.terminal import emit, fail, next_step, note, show, width
from sisso_sal.errors import reason_of
from sisso_sal.system.progress import Progress


def _share(ctx: click.Context, parameter: click.Parameter, value: str | None):
    from sisso_sal.screening.driver import Share

    if value is None:
        return None
    number, _, of = value.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise click.BadParameter(f"needs a share as 3/50, found '{value}'")
    return Share(int(number), int(of))


@click.command(cls=Computing, short_help="Predict and score a pool of millions, keep the best")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("pool")
@panel(
    "What to look for",
    click.option(
        "--goal",
        shell_complete=known_values.values("goal", "min", "max"),
        help="min, max, '<=0.3', '>=2' or '1.2..1.8'; for a model of classes '=CLASS' or '=A,B'; that of the run, or min.",
    ),
    click.option(
        "--acquisition",
        metavar="NAME",
        shell_complete=known_values.acquisitions,
        help="Score by which candidates are ranked; that of the run, else hits for classes or a goal with a bound, and ei without.",
    ),
    click.option("--top", type=click.IntRange(min=1), default=1000, help="Best candidates to keep; 1000 by default."),
)
@ELEMENTS
@panel(
    "Columns of the pool",
    click.option("--id", "id_column", metavar="COLUMN", help="Column of the ids; by default the first text column."),
    click.option("--formula", metavar="COLUMN", help="Make the features from formulas of oxides in this column."),
)
@panel(
    "Output",
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the results; screens/<pool> by default.",
    ),
    click.option("--all-predictions", is_flag=True, help="Write the predictions of all candidates, as Parquet."),
    click.option("--no-map", is_flag=True, help="Draw no map of the best candidates."),
)
@WORKERS
@click.option(
    "--share",
    metavar="I/N",
    callback=_share,
    help="Do only every N-th shard, from the I-th on: a job of an array; then the command without it merges all.",
)
@JSON
@COMMON
def screen(
    model, pool, goal, acquisition, top, exclude_elements, only_elements, id_column, formula, out, all_predictions, no_map,
    executor, n_workers, share, as_json, quiet, debug,
):  # fmt: skip
    """Predict every candidate of POOL with MODEL, score it, and keep the best.

    MODEL is a model file or a run folder; of a run the newest iteration is taken, with its goal, its acquisition and the value to
    improve on, and candidates that have a label are not among the best. POOL is a Parquet file, a folder or a pattern in quotation
    marks of such files, or any other table. It is read piece by piece: it may have more rows than the memory holds. Columns are
    matched by name and converted to the model's units.

    A model of classes (fit --classify) ranks by the probability of the classes that --goal names.

    The folder of the results has top.csv (the best candidates), summary.json (counts, histograms), map.html (the best thousand)
    and, with --all-predictions, a Parquet file for each piece. After an interruption the same command does only what is missing.

    \b
    Examples:
      sisso-sal screen model.json pool.parquet --goal "<=0.3"
      sisso-sal screen classes.json pool.parquet --goal "=perovskite"
      sisso-sal screen runs/candidates folder_of_files --all-predictions
    """
    from sisso_sal.api.screening import ScreeningWish, screen_pool
    from sisso_sal.report.text.screening import screening_text, share_text
    from sisso_sal.system.executors import open_workers

    folder = out or Path("screens") / pool_name(pool)
    wanted = ScreeningWish(
        goal=goal,
        acquisition=acquisition,
        top=top,
        keeps_all=all_predictions,
        id=id_column,
        formula=formula,
        exclude=exclude_elements,
        only=only_elements,
    )
    try:
        with (
            open_workers(executor, n_workers, 1, tell=note) as workers,
            Progress("screening", quiet or as_json) as progress,
        ):
            document = screen_pool(model, pool, folder, wanted, workers, share=share, progress=progress, tell=note)
    except KeyboardInterrupt:
        fail(f"interrupted: the same command goes on with what is in {folder}", None)
    if share is not None:
        emit(dumps(document)) if as_json else show(share_text(document))
        next_step("give the command without --share when all shares are done")
        return
    drawn = None if no_map else _drawn(folder, document)
    if as_json:
        emit(dumps(document))
    else:
        show(screening_text(document, width()))
        show(f"\nFiles in {folder}: {', '.join(['top.csv', 'summary.json', *([drawn.name] if drawn else [])])}")
    next_step(f"look at {drawn or folder / 'top.csv'}")


def _drawn(folder: Path, document: dict[str, Any]) -> Path | None:
    """The file of the map; None where there is nothing to draw. A map that cannot be made is told, and no reason to fail."""
    from sisso_sal.models.files import read_model_of_one_task
    from sisso_sal.report.figures.draw import descriptor_map
    from sisso_sal.report.screening_view import best_view
    from sisso_sal.screening.job import ScreeningJob
    from sisso_sal.system.storage import write_whole

    path = folder / "map.html"
    try:
        view = best_view(folder, read_model_of_one_task(ScreeningJob.read(folder).model), document)
        if view is None:
            return None
        write_whole(path, descriptor_map(view).to_html(include_plotlyjs=True, div_id="map"))
    except Exception as error:  # the results are there
        note(f"no map is drawn: {reason_of(error)}")
        return None
    return path


def pool_name(pool: str) -> str:
    """The name of a pool for its folder.

    Examples
    --------
    >>> pool_name("data/pool.parquet"), pool_name("data/pool/*.parquet"), pool_name("oxides:metals=Li,Ti")
    ('pool', 'pool', 'oxides')
    """
    if pool.startswith("oxides:"):
        return "oxides"
    parts = [part for part in Path(pool).parts if not set(part) & set("*?[") and part not in {"/", "..", "."}]
    return Path(parts[-1]).stem if parts else "pool"
