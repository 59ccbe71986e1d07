"""From a scene to scores and to the batch that is evaluated next: what the campaign and its replay share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.acquisition.batch import Standing, select, standing
from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.scene import Scene


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of all materials.

    Attributes
    ----------
    scores : ndarray (n,)
        Greater is better; NaN where there is no prediction, or where the acquisition has no score for what cannot be evaluated.
    goal : Goal
        With its bound in numbers.
    reference : float
        Value to improve on, in the target's unit.
    """

    scores: np.ndarray
    goal: Goal
    reference: float


@dataclass(frozen=True, eq=False)
class Proposal:
    """Scores of all materials, and the chosen ones.

    Attributes
    ----------
    scored : Scored
    picks : ndarray (at most batch,) of int
        Numbers of the materials to evaluate next, in the order of choice.
    standing : Standing
        By what each was taken before all others.
    """

    scored: Scored
    picks: np.ndarray
    standing: Standing


def score(scene: Scene) -> Scored:
    """Score all materials of a scene.

    Examples
    --------
    >>> from sisso_sal.acquisition.registry import acquisition_named
    >>> from sisso_sal.acquisition.scene import Materials, Policy, set_scene
    >>> from sisso_sal.protocols import Prediction
    >>> mean, std = np.array([1.0, 0.5, 2.0]), np.array([0.1, 0.2, 0.2])
    >>> prediction = Prediction(mean, std, std, mean[None], np.ones((1, 3), dtype=bool))
    >>> materials = Materials(["a", "b", "c"], np.eye(3), np.array([1.0, np.nan, np.nan]))
    >>> policy, rng = Policy(acquisition_named("mean")), np.random.default_rng(0)
    >>> score(set_scene(prediction, materials, Goal.parse("min"), policy, rng)).scores
    array([-1. , -0.5, -2. ])
    """
    scores = np.where(np.isnan(scene.mean), np.nan, scene.acquisition.score(scene))
    return Scored(scores, scene.goal, scene.best)


def propose(scene: Scene) -> Proposal:
    """Score all materials of a scene and choose those with the best scores to evaluate next.

    Examples
    --------
    >>> from sisso_sal.acquisition.registry import acquisition_named
    >>> from sisso_sal.acquisition.scene import Materials, Policy, set_scene
    >>> from sisso_sal.protocols import Prediction
    >>> mean, std = np.array([1.0, 2.0, 0.5]), np.array([0.1, 0.2, 0.2])
    >>> prediction = Prediction(mean, std, std, mean[None], np.ones((1, 3), dtype=bool))
    >>> materials = Materials(["a", "b", "c"], np.eye(3), np.array([1.0, np.nan, np.nan]))
    >>> policy, rng = Policy(acquisition_named("hits"), batch=2), np.random.default_rng(0)
    >>> propose(set_scene(prediction, materials, Goal.parse("<=0.7"), policy, rng)).picks
    array([2, 1])
    """
    scored = score(scene)
    rules: dict[str, Any] = {
        "features": scene.features, "composition": scene.composition, "pending": scene.pending, "diversity": scene.diversity,
    }  # fmt: skip
    picks = select(scored.scores, scene.ids, scene.batch, excluded=scene.excluded, **rules)
    able = np.where(scene.excluded, np.nan, scored.scores)
    return Proposal(scored, picks, standing(picks, able, scene.ids, scene.batch, **rules))
