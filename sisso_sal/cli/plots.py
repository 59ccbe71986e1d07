"""Figures that a command draws at its end: ``--plot FILE`` and ``--plot-columns``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sisso_sal.cli.options import check_free
from sisso_sal.errors import InputError


def plot_options(what: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two options, for `panel`; parameters ``plot`` and ``plot_columns``."""
    return (
        click.option(
            "--plot",
            metavar="FILE",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"Draw {what}, as PNG, PDF or SVG by the name.",
        ),
        click.option(
            "--plot-columns",
            type=click.IntRange(1, 2),
            help="Columns of a journal that the plot is wide (3.375 or 7 inches); 1 by default.",
        ),
    )


def check_plot(plot: Path | None, columns: int | None, force: bool) -> None:
    """Refuse a figure that could not be written, before anything is computed; its format follows from its name.

    Raises
    ------
    InputError
        There is a file already, its name has another ending, matplotlib is not installed, or only the columns are given.
    """
    check_free(plot, force)
    if plot is None and columns is not None:
        raise InputError("--plot-columns: needs --plot FILE, found none")
    if plot is not None:
        from sisso_sal.report.figures.saved import check_figure_name

        check_figure_name(plot)


def save_plot(make: Callable[..., Any], content: Any, plot: Path, columns: int | None) -> None:
    """Draw and write a figure; `make` takes the content and ``columns``."""
    from sisso_sal.report.figures.saved import save_figure

    save_figure(make(content, columns=columns or 1), plot)
