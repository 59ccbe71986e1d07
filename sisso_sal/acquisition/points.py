"""Proposals from a space that has no list of candidates, and maximises the acquisition by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sisso_sal.acquisition.scene import Scene
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Acquisition, Maximiser, Prediction

Predict = Callable[[np.ndarray], Prediction]
"""Primary features (m, n_primary) -> prediction of m points."""


@dataclass(frozen=True, eq=False)
class Points:
    """What a space proposes.

    Attributes
    ----------
    numbers : ndarray (k,) of int
        Of the candidates in the space, best first.
    features : ndarray (k, n_primary)
    prediction : Prediction
        Of the k candidates.
    scores : ndarray (k,)
    """

    numbers: np.ndarray
    features: np.ndarray
    prediction: Prediction
    scores: np.ndarray


def propose_points(scene: Scene, predict: Predict, space: Maximiser) -> Points:
    """The points of a space to evaluate next, at most as many as the batch of the scene.

    Parameters
    ----------
    scene : Scene
        Of the materials that are known, those that are being computed among them. A goal that is a share is one of these.
    predict : callable
        By the surrogate that made the predictions of the scene.
    space : Maximiser

    Raises
    ------
    SettingsError
        The acquisition uses no prediction: the score of a point would depend on the other points.
    """
    acquisition = scene.acquisition
    check_pointwise(acquisition)
    seed = int(scene.rng.integers(2**63))  # one seed for all calls, so that the score of a point is always the same

    def score(features: np.ndarray) -> np.ndarray:
        prediction = predict(features)
        values = acquisition.score(_joined(scene, features, prediction, np.random.default_rng(seed)))
        return np.where(np.isnan(prediction.mean), np.nan, values[len(scene.mean) :])

    numbers, features = space.maximise(score, scene.batch, scene.rng)
    return Points(numbers, features, predict(features), score(features))


def check_pointwise(acquisition: Acquisition) -> None:
    """Refuse an acquisition whose score of a point depends on the other points.

    Raises
    ------
    SettingsError
        It uses no prediction.
    """
    if not acquisition.uses:
        raise SettingsError(
            "acquisition: needs one that scores each point by itself, for a space without a list of candidates; found "
            f"'{acquisition.name}'"
        )


def _joined(scene: Scene, features: np.ndarray, prediction: Prediction, rng: np.random.Generator) -> Scene:
    """The scene with points behind its materials: neither pending nor excluded."""
    free = np.zeros(len(features), dtype=bool)
    return replace(
        scene,
        ids=[*scene.ids, *(f"point {i}" for i in range(len(features)))],
        told=scene.told.followed_by(prediction.told),
        members=np.concatenate([scene.members, prediction.members], axis=1),
        valid=np.concatenate([scene.valid, prediction.valid], axis=1),
        features=np.concatenate([scene.features, features]),
        pending=np.append(scene.pending, free),
        excluded=np.append(scene.excluded, free),
        rng=rng,
        composition=None,
    )
