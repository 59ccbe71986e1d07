"""From a fitted surrogate to scores: what the campaign and its replay share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sisso_sal.acquisition import Goal, Scene, acquisition_named
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Prediction

REFERENCES = ("mean", "label")
"""What an improvement is measured against: the best posterior mean of a labelled material, or the best label."""


SHARE = 0.1
"""The best share of all materials that `hits` looks for where the goal is only to be small or large: a search for the single best
follows one outlier, or stays where it is.
"""


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of all materials.

    Attributes
    ----------
    scores : ndarray (n,)
        Greater is better; NaN where there is no prediction.
    goal : Goal
        With its bound in numbers.
    reference : float
        Value to improve on, in the target's unit.
    """

    scores: np.ndarray
    goal: Goal
    reference: float


def score(
    prediction: Prediction,
    features: np.ndarray,
    target: np.ndarray,
    *,
    goal: Goal,
    acquisition: str,
    improve_on: str,
    rng: np.random.Generator,
    pending: np.ndarray | None = None,
) -> Scored:
    """Score all materials.

    Parameters
    ----------
    prediction : Prediction
        Of all n materials.
    features : ndarray (n, n_primary)
    target : ndarray (n,)
        Labels in the target's unit, NaN where not known.
    goal : Goal
        A share of all materials is taken of the labels and, where there is none, the predictions with their spread.
    acquisition : str
    improve_on : str
        See `REFERENCES`. The posterior mean is not moved by one noisy label.
    rng : numpy Generator
    pending : ndarray (n,) of bool, optional
        Materials that are being computed.

    Raises
    ------
    SettingsError
        The acquisition or `improve_on` is unknown.
    """
    if improve_on not in REFERENCES:
        raise SettingsError(f"improve_on: needs one of {', '.join(REFERENCES)}, found '{improve_on}'")
    known = np.isfinite(target)
    wanted = goal
    if acquisition == "hits" and goal.kind in {"min", "max"}:
        wanted = Goal.parse(f"{goal.kind} {100 * SHARE:g}%")
    bounded = wanted.resolved(np.where(known, target, prediction.mean), np.where(known, 0.0, prediction.std))
    fitted = prediction.mean[known]
    reference = target[known] if improve_on == "label" or np.isnan(fitted).all() else fitted
    scene = Scene(
        mean=prediction.mean,
        std=prediction.std,
        members=prediction.members,
        valid=prediction.valid,
        goal=bounded,
        best=float(reference[bounded.best(reference)]),
        features=features,
        labelled=features[known],
        rng=rng,
        pending=pending,
    )
    found = acquisition_named(acquisition)(scene)
    return Scored(np.where(np.isnan(prediction.mean), np.nan, found), bounded, scene.best)
