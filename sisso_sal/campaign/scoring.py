"""From a fitted surrogate to scores: what the campaign and its replay share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.acquisition import ONE_BY_ONE, Goal, Scene, acquisition_named
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Prediction
from sisso_sal.selection import select

REFERENCES = ("mean", "label")
"""What an improvement is measured against: the best posterior mean of a labelled material, or the best label."""


SHARE = 0.1
"""The best share of all materials that `hits` and `search` look for where the goal is only to be small or large: who looks for the
single best follows one outlier, or stays where it is.
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
    excluded: np.ndarray | None = None,
    horizon: int = 1,
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
    excluded : ndarray (n,) of bool, optional
        Materials that will never be chosen; those with a label are among them by themselves.
    horizon : int
        Evaluations that are ahead.

    Raises
    ------
    SettingsError
        The acquisition or `improve_on` is unknown.
    """
    if improve_on not in REFERENCES:
        raise SettingsError(f"improve_on: needs one of {', '.join(REFERENCES)}, found '{improve_on}'")
    known = np.isfinite(target)
    wanted = goal
    if acquisition in {"hits", "search"} and goal.kind in {"min", "max"}:
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
        open=~known if excluded is None else ~(known | excluded),
        correlation=prediction.correlation,
        horizon=horizon,
    )
    found = acquisition_named(acquisition)(scene)
    return Scored(np.where(np.isnan(prediction.mean), np.nan, found), bounded, scene.best)


def propose(
    prediction: Prediction,
    features: np.ndarray,
    target: np.ndarray,
    ids: Sequence[str],
    batch: int,
    *,
    acquisition: str,
    excluded: np.ndarray,
    horizon: int,
    pending: np.ndarray | None = None,
    composition: np.ndarray | None = None,
    diversity: float = 0.0,
    **scoring: Any,
) -> tuple[Scored, np.ndarray]:
    """Scores of all materials, and the numbers of those to evaluate next, in the order of choice.

    Acquisitions of `ONE_BY_ONE` choose each in view of those before, the others all from the same scores.

    Parameters
    ----------
    prediction, features, target, acquisition, horizon, pending
        See `score`, which also takes `scoring`.
    ids, batch, excluded, composition, diversity
        See `select`; `excluded` holds what has a label.
    """
    waiting = np.zeros(len(ids), dtype=bool) if pending is None else pending.copy()
    first: Scored | None = None
    picks: list[int] = []
    step = 1 if acquisition in ONE_BY_ONE else batch
    while first is None or len(picks) < batch:
        scored = score(
            prediction, features, target, acquisition=acquisition, pending=waiting, excluded=excluded,
            horizon=horizon - len(picks), **scoring,
        )  # fmt: skip
        first = first or scored
        chosen = select(
            scored.scores, ids, step, excluded=excluded, features=features, composition=composition, pending=waiting,
            diversity=diversity,
        )  # fmt: skip
        picks.extend(chosen.tolist())
        waiting[chosen] = True
        if len(chosen) < step or step == batch:
            break
    return first, np.array(picks, dtype=np.int64)
