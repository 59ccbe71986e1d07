"""From a fitted surrogate to scores: what the campaign and its replay share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sisso_sal.acquisition.batch import select
from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.scores import Scene, Search, acquisition_named
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Prediction

REFERENCES = ("mean", "label")
"""What an improvement is measured against: the best posterior mean of a labelled material, or the best label."""


SHARE = 0.1
"""The best share of all materials that `hits` and `search` look for, unless told otherwise, where the goal is only to be small or
large: who looks for the single best follows one outlier, or stays where it is.
"""


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of all materials.

    Attributes
    ----------
    scores : ndarray (n,)
        Greater is better; NaN where there is no prediction, and for `search` where there is nothing to evaluate.
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
    scene = _scene(prediction, features, target, goal, acquisition, improve_on, rng, pending, excluded, horizon, SHARE)
    return _scored(scene, acquisition_named(acquisition)(scene))


def _scene(
    prediction, features, target, goal, acquisition, improve_on, rng, pending, excluded, horizon: int, share: float
) -> Scene:
    """What `score` shows to the acquisition."""
    if improve_on not in REFERENCES:
        raise SettingsError(f"improve_on: needs one of {', '.join(REFERENCES)}, found '{improve_on}'")
    known = np.isfinite(target)
    wanted = goal.with_share(share) if acquisition in {"hits", "search"} else goal
    bounded = wanted.resolved(np.where(known, target, prediction.mean), np.where(known, 0.0, prediction.std))
    fitted = prediction.mean[known]
    reference = target[known] if improve_on == "label" or np.isnan(fitted).all() else fitted
    return Scene(
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


def _scored(scene: Scene, scores: np.ndarray) -> Scored:
    return Scored(np.where(np.isnan(scene.mean), np.nan, scores), scene.goal, scene.best)


def evaluations_after(batch: int, horizon: int) -> int:
    """How many of the evaluations that are ahead come after a batch, and know its labels.

    Examples
    --------
    >>> evaluations_after(10, 20), evaluations_after(10, 5)
    (10, 0)
    """
    return max(0, horizon - batch)


def propose(
    prediction: Prediction,
    features: np.ndarray,
    target: np.ndarray,
    ids: Sequence[str],
    batch: int,
    *,
    goal: Goal,
    acquisition: str,
    improve_on: str,
    rng: np.random.Generator,
    excluded: np.ndarray,
    horizon: int,
    pending: np.ndarray | None = None,
    composition: np.ndarray | None = None,
    diversity: float = 0.0,
    share: float = SHARE,
) -> tuple[Scored, np.ndarray]:
    """Scores of all materials, and the numbers of those to evaluate next, in the order of choice.

    `search` chooses each in view of those before it. Labels come in when the batch is through, so that they serve the evaluations
    that are left by then alone. All other acquisitions choose from the same scores.

    Parameters
    ----------
    prediction, features, target, goal, acquisition, improve_on, rng, pending, horizon
        See `score`.
    ids, batch, excluded, composition, diversity
        See `select`; `excluded` holds what has a label.
    share : float
        See `SHARE`.
    """
    informed = 1 + evaluations_after(batch, horizon)
    scene = _scene(prediction, features, target, goal, acquisition, improve_on, rng, pending, excluded, informed, share)

    def chosen(scores: np.ndarray, n: int, waiting: np.ndarray | None) -> np.ndarray:
        return select(
            scores, ids, n, excluded=excluded, features=features, composition=composition, pending=waiting, diversity=diversity
        )  # fmt: skip

    if acquisition != "search":
        found = _scored(scene, acquisition_named(acquisition)(scene))
        return found, chosen(found.scores, batch, pending)
    search = Search(scene)
    scores = search.scores(informed)
    found = _scored(scene, scores)
    waiting = np.zeros(len(ids), dtype=bool) if pending is None else pending.copy()
    picks: list[int] = []
    while len(picks) < batch and len(pick := chosen(scores, 1, waiting)):
        picks.append(int(pick[0]))
        waiting[pick] = True
        search.choose(picks[-1])
        scores = search.scores(informed)
    return found, np.array(picks, dtype=np.int64)
