"""Figures as files, for papers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sisso_sal.errors import InputError, SissoSalError, reason_of
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.draw import (
    RECURRENCES,
    calibration,
    descriptor_map,
    error_against_sigma,
    feature_frequency,
    learning_curve,
    parity,
    reliability,
)
from sisso_sal.report.figures.materials_map import number_of_maps
from sisso_sal.report.figures.out_of_bag import has_out_of_bag, has_out_of_bag_sigma, reliability_of_hits
from sisso_sal.report.figures.search import search_map
from sisso_sal.report.run_view import RunView
from sisso_sal.system.extras import require
from sisso_sal.system.storage import writing

DPI = 300
"""Of PNG files, and of dots that a PDF keeps as a picture."""

_FONTS: dict[Any, Any] = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path"}
"""TrueType in a PDF, which journals ask for and programs can edit; in an SVG, letters are outlines, the same everywhere."""


def save_figures(view: RunView, folder: str | os.PathLike[str], form: str, columns: int = 1) -> list[Path]:
    """Write every figure of a run with matplotlib; what the surrogate does not tell is left out.

    Parameters
    ----------
    view : RunView
    folder : path
        Made if it is not there.
    form : str
        ``pdf``, ``png`` or ``svg``.
    columns : int
        Of a journal that each figure is wide, 1 or 2.

    Returns
    -------
    list of Path

    Raises
    ------
    SissoSalError
        A file cannot be written; or a figure cannot be made: the others are written.
    InputError
        matplotlib is not installed.
    """
    require("matplotlib", str(folder))
    makers = _makers(view, columns)
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths, failed = [], []
    for name, make in makers.items():
        try:
            figure = make()
        except Exception as error:
            failed.append(f"{name} ({reason_of(error)})")
        else:
            paths.append(folder / f"{name}.{form}")
            save_figure(figure, paths[-1])
    if failed:
        raise SissoSalError(f"{folder}: {len(failed)} of {len(makers)} figures cannot be made: {'; '.join(failed)}")
    return paths


def _makers(view: RunView, columns: int) -> dict[str, Callable[[], Any]]:
    """How each figure is made for which the surrogate gives numbers, by the name of its file."""
    drawn = partial(partial, backend="matplotlib", columns=columns)
    makers = {f"map-{k + 1}": drawn(descriptor_map, view, formula=k + 1) for k in range(number_of_maps(view))}
    if has_out_of_bag(view):
        makers |= {"parity": drawn(parity, view), "residuals": drawn(parity, view, residuals=True)}
    if has_out_of_bag_sigma(view):
        makers |= {"calibration": drawn(calibration, view), "error-against-sigma": drawn(error_against_sigma, view)}
    if reliability_of_hits(view) is not None:
        makers["reliability"] = drawn(reliability, view)
    makers["learning-curve"] = drawn(learning_curve, view)
    if view.ensemble is not None and len((seen := course(view)).ids) > seen.n_start:
        makers["search-map"] = drawn(search_map, view)
    recurring = [kind for kind in RECURRENCES if view.summary.get("recurrence", {}).get(kind)]
    return makers | {kind: drawn(feature_frequency, view, kind) for kind in recurring}


def check_figure_name(path: str | Path) -> None:
    """Refuse a file for a figure that is neither PNG, PDF nor SVG by its ending, or that nothing could draw.

    Raises
    ------
    InputError
        Another ending, or matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in {".png", ".pdf", ".svg"}:
        raise InputError(f"{path}: needs a name that ends in .png, .pdf or .svg")
    require("matplotlib", str(path))


def save_figure(figure: Any, path: str | Path, dpi: int = DPI) -> None:
    """Write a figure as PNG, PDF or SVG, by the ending of the path, with its fonts inside.

    Raises
    ------
    InputError
        Another ending.
    SissoSalError
        The file cannot be written.
    """
    check_figure_name(path)
    from matplotlib import rc_context

    try:
        with rc_context(_FONTS):
            figure.savefig(path, dpi=dpi)
    except OSError as error:
        raise SissoSalError(f"{path}: cannot be written: {error.strerror}") from error
