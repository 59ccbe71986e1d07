"""Scores from the predictions of the single members of an ensemble, without a Gaussian in their place."""

from __future__ import annotations

import numpy as np

from sisso_sal.acquisition.scene import Scene
from sisso_sal.protocols import Acquisition


def member_expected_improvement(members: np.ndarray, valid: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean of max(edge - y, 0) over the valid members, in the target's unit: expected improvement without a Gaussian.

    Parameters
    ----------
    members, valid : ndarray (n_members, n)
    edges : ndarray (n_members,)
        Value that each member has to undercut.

    Returns
    -------
    ndarray (n,)
        NaN where no member is valid.

    Examples
    --------
    >>> members, valid = np.array([[1.0, 0.0], [0.5, 9.0]]), np.array([[True, False], [True, False]])
    >>> member_expected_improvement(members, valid, np.array([0.75, 0.75]))
    array([0.125,   nan])
    """
    edges = edges[:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        below = np.where(edges == members, 0.0, edges - members)  # also where both are the same infinity
    gains = np.where(valid, np.maximum(below, 0.0), 0.0)
    n_valid = valid.sum(axis=0)
    return np.divide(gains.sum(axis=0), n_valid, out=np.full(members.shape[1], np.nan), where=n_valid > 0)


def thompson(members: np.ndarray, valid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Minus the prediction of one member drawn at random; where it is invalid, the worst score.

    Parameters
    ----------
    members, valid : ndarray (n_members, n)
    rng : numpy Generator
    """
    drawn = int(rng.integers(len(members)))
    return np.where(valid[drawn], -members[drawn], -np.inf)


def _member_improvement(scene: Scene) -> np.ndarray:
    return member_expected_improvement(scene.goal.sign * scene.members, scene.valid, scene.member_edges)


def _thompson(scene: Scene) -> np.ndarray:
    return thompson(scene.goal.distance(scene.members), scene.valid, scene.rng)


MEMBER_EI = Acquisition(
    "member_ei",
    _member_improvement,
    summary="the single best material, when the members form several groups",
    meaning="the improvement over the best, or over the bound of the goal, as a mean over the members",
    has_unit=True,
    uses=frozenset({"members"}),
    needs_direction=True,
)
THOMPSON = Acquisition(
    "thompson",
    _thompson,
    summary="diverse batches",
    meaning="the prediction of one member drawn at random, in the direction of the goal",
    has_unit=True,
    of_classes="the probability of a class that is looked for, by one member drawn at random",
    uses=frozenset({"members"}),
)
