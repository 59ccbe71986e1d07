"""The choice by a cheap estimate alone: what a campaign must beat where there is one."""

from __future__ import annotations

from functools import partial

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Prediction, Progress, Quantity, Space
from sisso_sal.replay.simulate import Strategy


class Estimate:
    """Predicts a column of the table as it is, and learns nothing.

    Parameters
    ----------
    values : ndarray (n,)
        Of all candidates of the space; NaN where there is none.
    seed : int
        Of no use; whatever a strategy makes is made from a seed.
    """

    def __init__(self, values: np.ndarray, seed: int):
        self.values = values

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Estimate:
        """Nothing is learned."""
        return self

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """The column, without spread."""
        mean, nothing = self.values[rows], np.zeros(len(rows))
        return Prediction(mean, nothing, nothing, mean[None, :], np.isfinite(mean)[None, :])


def by_estimate(space: Space, column: str, goal: Goal) -> Strategy:
    """The strategy that takes the best estimate first: the lowest, the highest, or for a window the one nearest to its middle.

    Parameters
    ----------
    space : Space
    column : str
        Name or header of a primary feature.
    goal : Goal

    Raises
    ------
    SettingsError
        There is no such primary feature, or for a window it has another unit than the target.
    """
    known = {name: feature for feature in space.features for name in (feature.header, feature.name)}
    if column not in known:
        names = ", ".join(feature.name for feature in space.features)
        raise SettingsError(f"estimate: needs one of the features {names}, found '{column}'")
    feature = known[column]
    if not goal.has_direction:
        _check_unit(feature, space.target)
    word = ("lowest" if goal.sign > 0 else "highest") if goal.has_direction else "nearest"
    values = space.rows().features[feature.name]
    return Strategy(f"{word} estimate first", "mean", partial(Estimate, values), learns=False)


def _check_unit(feature: Quantity, target: Quantity | None) -> None:
    unit = target.unit if target else ""
    if feature.unit != unit:
        raise SettingsError(f"estimate: needs a feature in {unit or 'no unit'} for a window, found {feature.header}")
