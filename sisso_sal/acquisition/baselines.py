"""Scores to compare with: each looks at one thing alone."""

from __future__ import annotations

import numpy as np

from sisso_sal.acquisition.scene import Scene
from sisso_sal.data.neighbours import nearest, spread_of
from sisso_sal.protocols import Acquisition


def distance_to_labelled(features: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Euclidean distance to the nearest labelled material in standardised features (no unit).

    Parameters
    ----------
    features : ndarray (n, n_primary)
    labelled : ndarray (n_labelled, n_primary)

    Examples
    --------
    >>> distance_to_labelled(np.array([[0.0], [2.0]]), np.array([[0.0]])).round(2)
    array([0.  , 2.12])
    """
    every = np.concatenate([features, labelled])
    scale = spread_of(np.sort(every, axis=0))  # sorted: the order of rows must not change a bit
    return nearest(features, labelled, scale)[0][:, 0]


def _mean(scene: Scene) -> np.ndarray:
    return -scene.goal.distance(scene.mean)


def _std(scene: Scene) -> np.ndarray:
    if scene.goal.kind == "classes":
        hit = scene.told.probability(scene.goal.low, scene.goal.high)
        return np.sqrt(hit * (1.0 - hit))
    return scene.std.copy()


def _random(scene: Scene) -> np.ndarray:
    return scene.rng.random(len(scene.mean))


def _distance(scene: Scene) -> np.ndarray:
    return distance_to_labelled(scene.features, np.concatenate([scene.labelled, scene.features[scene.pending]]))


MEAN = Acquisition(
    "mean",
    _mean,
    summary="pure exploitation; does not explore",
    meaning="the predicted mean in the direction of the goal, for a window its distance from the middle",
    has_unit=True,
)
STD = Acquisition(
    "std",
    _std,
    summary="improving the model",
    meaning="the standard deviation of the prediction",
    has_unit=True,
    of_classes="the standard deviation of being a hit, √(p (1 − p)): the less sure, the larger",
)
RANDOM = Acquisition(
    "random",
    _random,
    summary="comparison; needs no prediction",
    meaning="a random number",
    uses=frozenset(),
    of_classes="a random number",
)
DISTANCE = Acquisition(
    "distance",
    _distance,
    summary="comparison; needs no prediction",
    meaning="the distance to the nearest labelled material in standardised primary features",
    uses=frozenset(),
    of_classes="the distance to the nearest labelled material in standardised primary features",
)

ALONGSIDE = (RANDOM, DISTANCE)
"""Those that need no prediction: every replay shows them beside what it compares."""
