"""Pictures that ``fit`` draws of classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sisso_sal.cli.classes import refuse
from sisso_sal.cli.plots import check_plot, save_plot
from sisso_sal.errors import InputError

if TYPE_CHECKING:
    from sisso_sal.cli.classes import ClassInput

MOST_DESCRIPTORS = 2
"""Of a model that a map shows."""


class PictureFiles(NamedTuple):
    """Files that are asked for, ``--plot`` and ``--plot-reliability``, and the ``--plot-columns`` that they are wide."""

    plot: Path | None
    reliability: Path | None
    columns: int | None

    def check(self, force: bool) -> None:
        """Refuse files that exist, or whose names tell no format."""
        check_plot(self.plot, None if self.reliability else self.columns, force)
        check_plot(self.reliability, None, force)
        if self.plot is not None and self.plot == self.reliability:
            raise InputError(f"{self.plot}: needs another name than --plot, found --plot-reliability")

    def check_target(self, has_classes: bool, n_models: int | None) -> None:
        """Refuse, of a target that is a number, what only classes have, and what needs several models."""
        if has_classes:
            return
        refuse("needs classes and --members, found a target that is a number", {"plot-reliability": self.reliability})
        if n_models is None:
            refuse("needs --n-models or classes, found a fit without", {"plot": self.plot})

    def check_single(self) -> None:
        """Refuse what only an ensemble of classifiers has."""
        refuse("needs --members, found a fit of one model", {"plot-reliability": self.reliability})

    def check_members(self, dim: int) -> None:
        """Refuse a map of members that have more descriptors than it shows."""
        if dim > MOST_DESCRIPTORS:
            refuse(f"needs members of one or two descriptors, found --dim {dim}", {"plot": self.plot})


def draw_classes(files: PictureFiles, fitted, read: ClassInput) -> None:
    """Draw what was asked for; comes last, so that a figure that fails loses nothing."""
    import numpy as np

    if files.plot is None and files.reliability is None:
        return
    from sisso_sal.report.figures.classes import fitted_map, fitted_reliability

    if files.plot is not None:
        samples, codes = read.training.columns(), read.training.y.astype(np.int64)
        save_plot(partial(fitted_map, of_samples=samples, codes=codes), fitted, files.plot, files.columns)
    if files.reliability is not None:
        save_plot(fitted_reliability, fitted, files.reliability, files.columns)
