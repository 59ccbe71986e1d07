"""What follows from a model alone: the value to improve on, and the range in which values are expected."""

from __future__ import annotations

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.errors import SettingsError
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.needs import Model

N_BINS = 100
"""Bins of a histogram over the range of what is predicted for labelled materials, or a few more; as many stand on either side."""


NO_BINS = (0.0, 1.0, 0)
"""Of classes, which have no means."""


def reference_of(model: Model, goal: Goal) -> float | None:
    """The best value that the model predicts for a material it has learned from, in the target's unit.

    None for a single formula, which does not keep these materials.

    Raises
    ------
    SettingsError
        The model predicts none of them.
    """
    if isinstance(model, FittedModels):
        return None
    mean = _of_labelled(model)
    if np.isnan(mean).all():
        raise SettingsError(
            "goal: needs a bound, such as '<=0.3', as the model predicts none of the materials it knows"
        )
    return float(mean[goal.best(mean)])


def bins_of(model: Model) -> tuple[float, float, int]:
    """Where a histogram of predictions begins, width of a bin and number of bins, round numbers in the target's unit.

    Examples
    --------
    >>> [float(f"{value:.6g}") for value in _bins(0.13, 7.91)]
    [-7.7, 0.1, 234.0]
    """
    if isinstance(model, FittedModels):
        best = model.model
        ends = np.array([[term.coefficient * end for end in (term.low, term.high)] for term in best.terms])
        scaled = best.intercept + np.array([ends.min(axis=1).sum(), ends.max(axis=1).sum()])
        values = best.link.inverse(scaled)
    else:
        values = _of_labelled(model)
    values = values[np.isfinite(values)]
    return _bins(float(values.min()), float(values.max())) if len(values) else (0.0, 1.0, 1)


def _bins(lowest: float, highest: float) -> tuple[float, float, int]:
    spread = (highest - lowest) or abs(highest) or 1.0
    rough = spread / N_BINS
    power = 10.0 ** np.floor(np.log10(rough))
    width = float(next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9)))
    first, last = np.floor((lowest - spread) / width), np.ceil((highest + spread) / width)
    return float(f"{first * width:.12g}"), float(f"{width:.12g}"), int(last - first)


def _of_labelled(model: EnsembleModel) -> np.ndarray:
    """ndarray (n_labelled,): what is predicted for the materials that the model has learned from, in the target's unit."""
    correction = model.correction
    rows = model.labelled if correction is None else correction.features
    columns = dict(zip(model.primaries, rows.T, strict=True))
    with np.errstate(all="ignore"):
        return model.predict_parts(columns, None if correction is None else correction.composition).told.estimate
