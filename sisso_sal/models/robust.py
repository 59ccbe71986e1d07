"""Huber's loss: how much a label that lies far from what is predicted still counts."""

from __future__ import annotations

import numpy as np

HUBER = 1.345
"""Residuals beyond so many robust standard deviations count less: 95 % efficiency for Gaussian errors (Huber 1964)."""

DEVIATION = 1.4826
"""Standard deviations of a normal distribution in a median of absolute values of it."""


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The smallest value (n,) up to which lies half of the weight (n,) or more.

    Examples
    --------
    >>> weighted_median(np.array([5.0, 1.0, 1e9, 2.0]), np.array([1.0, 1.0, 1.0, 0.0]))
    5.0
    """
    order = np.argsort(values)
    middle = np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())
    return float(values[order][min(middle, len(order) - 1)])


def huber_weights(residual: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights times Huber's, from the weighted median of the absolute residuals; as they are where that is 0.

    Parameters
    ----------
    residual, weights : ndarray (n,)

    Returns
    -------
    ndarray (n,)

    References
    ----------
    Huber, Ann. Math. Stat. 35, 73 (1964); Holland, Welsch, Commun. Stat. 6, 813 (1977) (weights).

    Examples
    --------
    >>> huber_weights(np.array([-1.0, 1.0, 0.5, 1e3]), np.ones(4)).round(4)
    array([1.   , 1.   , 1.   , 0.002])
    """
    size = np.abs(residual)
    deviation = DEVIATION * weighted_median(size, weights)
    if deviation == 0.0:
        return weights
    return weights * np.minimum(1.0, HUBER * deviation / np.maximum(size, np.finfo(float).tiny))


def pseudo_observations(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """What a least-squares learner is given in the place of labels, so that no label pulls it without bound.

    Parameters
    ----------
    target, predicted : ndarray (n,)
        Finite; the predictions did not see their label.

    Returns
    -------
    ndarray (n,)
        Predictions plus residuals that are cut at `HUBER` robust standard deviations.

    References
    ----------
    Huber, Robust Statistics (1981), chapter 7 (modified residuals).

    Examples
    --------
    >>> pseudo_observations(np.array([1.0, 3.0, 4.0, 1e3]), np.array([1.5, 2.5, 4.5, 5.0])).round(3)
    array([1.   , 3.   , 4.   , 5.997])
    """
    residual = target - predicted
    most = HUBER * DEVIATION * np.median(np.abs(residual))
    return np.where(np.abs(residual) > most, predicted + np.clip(residual, -most, most), target)
