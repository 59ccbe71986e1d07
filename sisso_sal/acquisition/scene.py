"""What one choice depends on: the scene that acquisitions score, and the function that sets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Acquisition, Prediction
from sisso_sal.protocols.distribution import Distribution

REFERENCES = ("mean", "label")
"""What an improvement is measured against: the best posterior mean of a labelled material, or the best label."""


@dataclass(frozen=True, eq=False)
class Materials:
    """All n materials, and what is known of them.

    Attributes
    ----------
    ids : sequence of str, length n
    features : ndarray (n, n_primary)
        Primary features, each in its unit.
    target : ndarray (n,)
        Labels in the target's unit, NaN where not known.
    pending : ndarray (n,) of bool, optional
        Materials that are being computed; by default none.
    excluded : ndarray (n,) of bool, optional
        Materials that will never be chosen, besides those with a label; by default none.
    composition : ndarray (n, n_elements), optional
        Atomic fractions.
    """

    ids: Sequence[str]
    features: np.ndarray
    target: np.ndarray
    pending: np.ndarray | None = None
    excluded: np.ndarray | None = None
    composition: np.ndarray | None = None


@dataclass(frozen=True)
class Policy:
    """How the next batch is chosen, as the settings say.

    Attributes
    ----------
    acquisition : Acquisition
    improve_on : str
        See `REFERENCES`. The posterior mean is not moved by one noisy label.
    batch : int
        Largest number of materials to choose.
    diversity : float
        0 to 1, see `select`.
    share : float, optional
        Takes the place of the acquisition's own `share`, where it has one.

    Raises
    ------
    SettingsError
        `improve_on` is unknown.
    """

    acquisition: Acquisition
    improve_on: str = "mean"
    batch: int = 1
    diversity: float = 0.0
    share: float | None = None

    def __post_init__(self) -> None:
        if self.improve_on not in REFERENCES:
            raise SettingsError(f"improve_on: needs one of {', '.join(REFERENCES)}, found '{self.improve_on}'")

    def wanted(self, goal: Goal) -> Goal:
        """The goal itself or, for an acquisition that looks for a share where there is no bound, the goal with that share."""
        if self.acquisition.share is None:
            return goal
        return goal.with_share(self.acquisition.share if self.share is None else self.share)


@dataclass(frozen=True, eq=False)
class Scene:
    """What an acquisition sees of n materials, and how many of them are to be chosen.

    Attributes
    ----------
    acquisition : Acquisition
        The one that scores.
    ids : sequence of str, length n
    told : Distribution
        The prediction of each.
    members, valid : ndarray (n_members, n)
    goal : Goal
        With its bound in numbers, where it has one.
    best : float
        Best value reached, in the target's unit.
    features : ndarray (n, n_primary)
    labelled : ndarray (n_labelled, n_primary)
        Primary features of the labelled materials.
    pending : ndarray (n,) of bool
        Materials that are being computed. They are believed to turn out as predicted (kriging believer; Ginsbourger, Le Riche and
        Carraro, Computational Intelligence in Expensive Optimization Problems, 131 (2010)).
    excluded : ndarray (n,) of bool
        Materials that cannot be evaluated later on, those with a label among them.
    rng : numpy Generator
    composition : ndarray (n, n_elements), optional
        Atomic fractions.
    batch : int
        Largest number of materials to choose.
    diversity : float
        0 to 1, see `select`.
    """

    acquisition: Acquisition
    ids: Sequence[str]
    told: Distribution
    members: np.ndarray
    valid: np.ndarray
    goal: Goal
    best: float
    features: np.ndarray
    labelled: np.ndarray
    pending: np.ndarray
    excluded: np.ndarray
    rng: np.random.Generator
    composition: np.ndarray | None = None
    batch: int = 1
    diversity: float = 0.0

    @property
    def mean(self) -> np.ndarray:
        """ndarray (n,), in the target's unit; NaN where there is no prediction."""
        return self.told.estimate

    @property
    def std(self) -> np.ndarray:
        """ndarray (n,), in the target's unit; NaN where there is no prediction."""
        return self.told.std

    @property
    def edge(self) -> float:
        """Value to undercut, after turning the goal into a minimisation: the bound, or the best reached or believed in."""
        bound = {"below": self.goal.high, "above": -self.goal.low, "classes": -self.goal.low}
        if self.goal.kind in bound:
            return bound[self.goal.kind]
        believed = self.mean[self.pending]
        return float(np.fmin.reduce(np.append(self.goal.sign * believed, self.goal.sign * self.best)))

    @property
    def member_edges(self) -> np.ndarray:
        """Value to undercut for each member, whose belief about what is pending is its own; ndarray (n_members,)."""
        n_members = len(self.members)
        if self.goal.has_bound:
            return np.full(n_members, self.edge)
        own = np.where(self.valid[:, self.pending], self.goal.sign * self.members[:, self.pending], np.inf)
        return np.minimum(own.min(axis=1, initial=np.inf), self.goal.sign * self.best)


def set_scene(
    prediction: Prediction, materials: Materials, goal: Goal, policy: Policy, rng: np.random.Generator
) -> Scene:
    """The scene of one choice.

    Parameters
    ----------
    prediction : Prediction
        Of all n materials.
    materials : Materials
        At least one has a label.
    goal : Goal
        A share of all materials is taken of the labels and, where there is none, the predictions with their spread.
    policy : Policy
    rng : numpy Generator

    Raises
    ------
    SettingsError
        The acquisition uses members, and the prediction has none.
    """
    if "members" in policy.acquisition.uses and not len(prediction.members):
        raise SettingsError(
            f"acquisition: needs a surrogate that predicts by members for '{policy.acquisition.name}', found one without"
        )
    target, n = materials.target, len(materials.target)
    known = np.isfinite(target)
    resolved = policy.wanted(goal).resolved(prediction.told.known_as(target))
    fitted = prediction.mean[known]
    reference = target[known] if policy.improve_on == "label" or np.isnan(fitted).all() else fitted
    return Scene(
        acquisition=policy.acquisition,
        ids=materials.ids,
        told=prediction.told,
        members=prediction.members,
        valid=prediction.valid,
        goal=resolved,
        best=float(reference[resolved.best(reference)]),
        features=materials.features,
        labelled=materials.features[known],
        pending=np.zeros(n, dtype=bool) if materials.pending is None else materials.pending,
        excluded=known if materials.excluded is None else known | materials.excluded,
        rng=rng,
        composition=materials.composition,
        batch=policy.batch,
        diversity=policy.diversity,
    )
