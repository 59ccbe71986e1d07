"""At which level of theory a candidate is calculated next: targets per cost, with or without a cheap look first.

A calculation of the last level costs much and decides. A cheaper one may show that a candidate is not worth it. Whoever looks first
goes on only where the result is good, and saves the expensive calculation elsewhere. The index of an action is the largest ratio of
expected targets to expected cost that it can have: that of the optimal rule for boxes that can be opened in any order (Weitzman,
Econometrica 47, 641 (1979)).
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from sisso_sal.acquisition.goal import Goal
from sisso_sal.protocols.distribution import Distribution

N_OUTCOMES = 9
"""Results that a look may have, in place of all of them (nodes of a Gauss-Hermite quadrature)."""


def chances_after(told: Distribution, moved: np.ndarray, goal: Goal) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities to reach the goal after a look, and how probable these are.

    Parameters
    ----------
    told : Distribution
        Of n candidates, before the look.
    moved : ndarray (n,)
        Standard deviation by which the result moves a prediction, in the target's unit.
    goal : Goal
        With its bound in numbers.

    Returns
    -------
    chances : ndarray (n_outcomes, n)
    weights : ndarray (n_outcomes,)
        Their sum is 1.

    Examples
    --------
    >>> told = Distribution(np.array([1.0]), np.array([1.0]))
    >>> chances, weights = chances_after(told, np.array([0.9]), Goal.parse("<=0"))
    >>> bool(abs(weights @ chances[:, 0] - told.probability(high=0.0)[0]) < 0.01), chances[:, 0].round(2).max()
    (True, 1.0)
    """
    nodes, weights = hermegauss(N_OUTCOMES)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt(np.maximum(1.0 - (moved / told.std) ** 2, 1e-12))
    left = np.where(told.std > 0, left, 1.0)
    after = [
        Distribution(told.centre + node * moved, told.scale * left, told.shape, told.floor).probability(
            goal.low, goal.high
        )
        for node in nodes
    ]
    return np.array(after), weights / weights.sum()


def targets_per_cost(chances: np.ndarray, weights: np.ndarray, look: float, last: float) -> np.ndarray:
    """Index of a look that may be followed by the last level: the most expected targets per expected cost.

    Parameters
    ----------
    chances : ndarray (n_outcomes, n)
    weights : ndarray (n_outcomes,)
    look, last : float
        Costs, in the same unit.

    Returns
    -------
    ndarray (n,)
        Targets per unit of cost. Without a look the index is the probability of a hit over `last`.

    Examples
    --------
    A look that tells all, and one that tells nothing; direct calculation has 0.25 / 10:

    >>> targets_per_cost(np.array([[1.0], [0.0]]), np.array([0.25, 0.75]), 1.0, 10.0).round(3)
    array([0.071])
    >>> targets_per_cost(np.array([[0.25], [0.25]]), np.array([0.25, 0.75]), 1.0, 10.0).round(3)
    array([0.023])
    """
    order = np.argsort(-chances, axis=0, kind="stable")
    best = np.take_along_axis(chances, order, axis=0)
    shares = weights[order]
    hits, goes_on = np.cumsum(shares * best, axis=0), np.cumsum(shares, axis=0)
    return (hits / (look + last * goes_on)).max(axis=0)
