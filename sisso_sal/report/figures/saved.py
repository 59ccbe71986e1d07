"""Figures as files, for papers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sisso_sal.errors import InputError, SissoSalError, reason_of
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
from sisso_sal.report.run_view import RunView
from sisso_sal.system.extras import require
from sisso_sal.system.storage import writing


def save_figures(view: RunView, folder: str | os.PathLike[str], form: str) -> list[Path]:
    """Write every figure of a run with matplotlib; what the surrogate does not tell is left out.

    Parameters
    ----------
    view : RunView
    folder : path
        Made if it is not there.
    form : str
        ``pdf``, ``png`` or ``svg``.

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
    makers = _makers(view)
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


def _makers(view: RunView) -> dict[str, Callable[[], Any]]:
    """How each figure is made for which the surrogate gives numbers, by the name of its file."""
    drawn = partial(partial, backend="matplotlib")
    makers = {f"map-{k + 1}": drawn(descriptor_map, view, formula=k + 1) for k in range(number_of_maps(view))}
    if has_out_of_bag(view):
        makers |= {"parity": drawn(parity, view), "residuals": drawn(parity, view, residuals=True)}
    if has_out_of_bag_sigma(view):
        makers |= {"calibration": drawn(calibration, view), "error-against-sigma": drawn(error_against_sigma, view)}
    if reliability_of_hits(view) is not None:
        makers["reliability"] = drawn(reliability, view)
    makers["learning-curve"] = drawn(learning_curve, view)
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


def save_figure(figure: Any, path: str | Path) -> None:
    """Write a figure as PNG, PDF or SVG, by the ending of the path.

    Raises
    ------
    InputError
        Another ending.
    SissoSalError
        The file cannot be written.
    """
    check_figure_name(path)
    try:
        figure.savefig(path, dpi=160)
    except OSError as error:
        raise SissoSalError(f"{path}: cannot be written: {error.strerror}") from error
