"""Which candidates are proposed: the best of those that are listed, or what a space without a list generates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from sisso_sal.acquisition.batch import Standing
from sisso_sal.acquisition.points import propose_points
from sisso_sal.acquisition.proposal import Proposal, propose, score
from sisso_sal.acquisition.scene import Scene
from sisso_sal.protocols import Maximiser, Prediction, Rows, Space, Surrogate
from sisso_sal.spaces.blocks import predict_all


def choose(scene: Scene, prediction: Prediction, space: Space, surrogate: Surrogate) -> tuple[Prediction, Proposal]:
    """The next batch, and the predictions of all candidates that the space then has.

    Parameters
    ----------
    scene : Scene
        Of the candidates so far.
    prediction : Prediction
        Of the same.
    space : Space
        If it is a `Maximiser`, it generates the batch, and has more candidates afterwards.
    surrogate : Surrogate
        Fitted.

    Raises
    ------
    SettingsError
        The space generates candidates, and the acquisition does not score each by itself.
    """
    if not isinstance(space, Maximiser):
        return prediction, propose(scene)
    points = propose_points(scene, partial(_predicted, surrogate, space), space)
    scored = score(scene)
    scores = np.full(len(space.ids), np.nan)
    scores[: len(scene.mean)] = scored.scores
    scores[points.numbers] = points.scores
    everything = predict_all(surrogate, space, with_members=False)
    taken = Standing(points.scores, np.zeros(len(points.numbers)))
    return everything, Proposal(replace(scored, scores=scores), points.numbers, taken)


def _predicted(surrogate: Surrogate, space: Space, features: np.ndarray) -> Prediction:
    """The prediction at points that are no candidates: features (n, n_primary)."""
    points: Any = _Points(space, features)
    return surrogate.predict(points, np.arange(len(features)))


@dataclass(frozen=True, eq=False)
class _Points:
    """A space of bare features, as far as a surrogate asks it when it predicts."""

    space: Space
    matrix: np.ndarray

    @property
    def features(self):
        return self.space.features

    @property
    def target(self):
        return self.space.target

    def rows(self, numbers: np.ndarray | None = None) -> Rows:
        matrix = self.matrix if numbers is None else self.matrix[numbers]
        columns = (feature.name for feature in self.space.features)
        return Rows(dict(zip(columns, np.ascontiguousarray(matrix.T), strict=True)), matrix)
