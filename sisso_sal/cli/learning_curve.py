"""`tune --learning-curve`: how many labels are needed, and a table without the rows that teach nothing more."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sisso_sal.cli.help import panel
from sisso_sal.cli.options import check_free, dumps
from sisso_sal.cli.plots import check_plot, plot_options, save_plot
from sisso_sal.cli.terminal import emit, next_step, show, width

LEARNING_CURVE = panel(
    "How much data is needed",
    click.option(
        "--learning-curve", "with_curve", is_flag=True,
        help="Instead of comparing settings, show the error against the number of labels, and what more labels would bring.",
    ),
    click.option(
        "--repeats", type=click.IntRange(min=1), default=2, show_default=True,
        help="How often each row is held out for the learning curve; every time with other folds.",
    ),
    *plot_options("the learning curve"),
    click.option(
        "--prune", type=click.Path(path_type=Path, dir_okay=False),
        help="Write the table with the fewest rows whose errors are those of all; rows without a label stay.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class CurveRequest:
    """What was asked for: the table as a file, folds, repeats, and the files to write."""

    path: Path
    folds: int
    repeats: int
    plot: Path | None
    plot_columns: int | None
    prune: Path | None

    def check(self, force: bool) -> None:
        """Refuse files that exist or cannot be written, before long work."""
        check_plot(self.plot, self.plot_columns, force)
        if self.prune is not None:
            from sisso_sal.data.thinned import check_thinnable

            check_free(self.prune, force)
            check_thinnable(self.path, self.prune)


def refuse_others(with_curve: bool, tried: Mapping[str, Any], request: CurveRequest) -> None:
    """Refuse options that have no effect with, or without, ``--learning-curve``."""
    if with_curve:
        unused = [name for name, values in tried.items() if values is not None]
        if unused:
            raise click.UsageError(
                f"--learning-curve compares no settings: it needs no {unused[0]}; give settings with --config"
            )
        return
    for name, value in (("--plot", request.plot), ("--plot-columns", request.plot_columns), ("--prune", request.prune)):
        if value is not None:
            raise click.UsageError(f"{name} needs --learning-curve")


def show_learning_curve(data, recipe, request: CurveRequest, as_json: bool, quiet: bool) -> None:
    """Learn from parts of the rows, print the errors and what follows from them, and write the files that were asked for."""
    import numpy as np

    from sisso_sal.models.extrapolation import read_curves
    from sisso_sal.models.inputs import table_of
    from sisso_sal.models.learning_curve import LearningBench
    from sisso_sal.report.text.learning_curve import advice, learning_curve_text
    from sisso_sal.spaces.table import TableSpace
    from sisso_sal.system.progress import Progress

    space = TableSpace(data)
    known = np.flatnonzero(data.labelled)
    table = table_of(space, known, space.labels[known])
    bench = LearningBench(recipe, table, space.rows(known).composition, recipe.seed)
    with Progress("fits", quiet or as_json) as progress:
        curves = bench.curves(folds=request.folds, repeats=request.repeats, progress=progress)
    document: dict[str, Any] = {
        "target": {"name": data.target_name, "unit": data.target_unit}, "folds": request.folds, "repeats": request.repeats,
        **read_curves(curves, recipe.seed), **data.remarks(),
    }  # fmt: skip
    document["advice"] = advice(document)
    if request.prune is not None:
        with Progress("fits", quiet or as_json) as progress:
            document["pruned"] = _prune(data, bench, curves, document["enough"], request.prune, progress)
    emit(dumps(document)) if as_json else show(learning_curve_text(document, width()))
    if request.plot is not None:  # comes last: a figure that fails loses nothing
        from sisso_sal.report.figures.labels_needed import error_against_labels

        save_plot(error_against_labels, document, request.plot, request.plot_columns)
        if not as_json:
            show(f"\nThe figure is in {request.plot}")
    is_smaller = bool(document.get("pruned", {}).get("gone"))
    next_step(shlex.join(["sisso-sal", "discover", str(request.prune if is_smaller else request.path)]))


def _prune(data, bench, curves, enough: Mapping[str, Any], out: Path, progress) -> dict[str, Any]:
    """Write the smaller table; what went, and in which order the others were chosen."""
    import numpy as np

    from sisso_sal.data.thinned import without_rows
    from sisso_sal.report.text.learning_curve import best_order
    from sisso_sal.system.storage import write_whole

    order = best_order(enough)
    kept = bench.subset(order, enough[order]["kept"], curves, progress)
    ids = [data.ids[row] for row in np.flatnonzero(data.labelled)[~kept]]
    write_whole(out, without_rows(data, {*ids}))
    return {"out": str(out), "order": order, "kept": int(kept.sum()), "gone": ids}
