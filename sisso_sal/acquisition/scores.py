"""Scores in closed form of a Gaussian prediction: pure functions, and the records of the acquisitions that they make.

`mean`, `std` and `best` are in the target's unit. Greater is better, and zero spread is defined. Functions that know a direction
minimise; `Goal` gives the sign for other goals. An infinite `mean` counts as certain, even where the spread is infinite too; a
score is NaN only where `mean` is NaN.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, ndtr

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.normal import LOG_SQRT_2PI, excess, log_between, standardised
from sisso_sal.acquisition.scene import Scene
from sisso_sal.protocols import Acquisition

SHARE = 0.1
"""Share of all materials, the best ones, that stands for a goal without a bound. A search for the single best one would follow one
outlier, or stay where it is.
"""


def expected_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """E[max(best - y, 0)] for Gaussian y, in the target's unit (Jones et al., J. Glob. Optim. 13, 455 (1998), eq. 15).

    Parameters
    ----------
    mean, std : ndarray (n,)
    best : float
        Value to be undercut.

    Examples
    --------
    >>> expected_improvement(np.array([1.0, 0.5]), np.array([0.0, 0.0]), 0.75)
    array([0.  , 0.25])
    """
    gain = excess(best, mean)
    z = standardised(gain, std)
    with np.errstate(invalid="ignore", over="ignore"):
        value = gain * ndtr(z) + std * np.exp(-0.5 * z * z - LOG_SQRT_2PI)
    return np.maximum(np.where((std > 0) & np.isfinite(z), value, gain), 0.0)


def log_expected_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """Logarithm of the expected improvement, accurate where that underflows (Ament et al., NeurIPS 2023, eq. 9).

    Examples
    --------
    >>> log_expected_improvement(np.array([40.0]), np.array([1.0]), 0.0).round(4)
    array([-808.2986])
    """
    gain = excess(best, mean)
    z = standardised(gain, std)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        flat = np.log(np.maximum(gain, 0.0))
        return np.where((std > 0) & np.isfinite(z), _log_h(z) + np.log(std), flat)


def _log_h(z: np.ndarray) -> np.ndarray:
    """log(phi(z) + z Phi(z)) without cancellation."""
    low = np.minimum(z, -1.0)
    # phi(z) + z Phi(z) = phi(z) (1 - |z| m) with the Mills ratio m = sqrt(pi/2) erfcx(|z|/sqrt 2) below zero.
    mills = np.sqrt(np.pi / 2) * erfcx(-low / np.sqrt(2))
    remainder = np.where(low > -1e4, 1.0 + low * mills, 1.0 / (low * low))
    tail = -0.5 * low * low - LOG_SQRT_2PI + np.log(remainder)
    high = np.maximum(z, -1.0)
    return np.where(z > -1.0, np.log(np.exp(-0.5 * high * high - LOG_SQRT_2PI) + high * ndtr(high)), tail)


def probability_of_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """P(y < best) for Gaussian y; 0 at zero spread where the mean equals the best (Kushner, J. Basic Eng. 86, 97 (1964)).

    Examples
    --------
    >>> probability_of_improvement(np.array([1.0, 1.0]), np.array([1.0, 0.0]), 1.0)
    array([0.5, 0. ])
    """
    certain = np.where(np.isnan(mean), np.nan, mean < best)
    return np.where(std > 0, ndtr(standardised(excess(best, mean), std)), certain)


def lower_confidence_bound(mean: np.ndarray, std: np.ndarray, kappa: float = 2.0) -> np.ndarray:
    """kappa std - mean, in the target's unit (Cox and John, IEEE Conf. Syst. Man Cybern. 1992).

    Examples
    --------
    >>> lower_confidence_bound(np.array([1.0]), np.array([0.25]))
    array([-0.5])
    """
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(mean) | (kappa == 0), -mean, kappa * std - mean)


def window_likelihood(mean: np.ndarray, std: np.ndarray, low: float, high: float) -> np.ndarray:
    """log P(low <= y <= high) for Gaussian y: the log of the likelihood that a candidate lies in the window.

    The logarithm keeps the order of candidates far from the window.

    Examples
    --------
    >>> np.exp(window_likelihood(np.array([0.0]), np.array([1.0]), -1.96, 1.96)).round(2)
    array([0.95])
    """
    # Without a bound an infinite mean is inside as well.
    a = standardised(excess(low, mean), std) if low > -np.inf else np.full(np.shape(mean), -np.inf)
    b = standardised(excess(high, mean), std) if high < np.inf else np.full(np.shape(mean), np.inf)
    with np.errstate(divide="ignore"):
        inside = np.log(((mean >= low) & (mean <= high)).astype(float))
    return np.where(std > 0, log_between(a, b), inside)


def probability_of_goal(mean: np.ndarray, std: np.ndarray, goal: Goal) -> np.ndarray:
    """P(y is within the bounds of the goal) for Gaussian y; at zero spread what `Goal.reached` says.

    Parameters
    ----------
    mean, std : ndarray (n,)
    goal : Goal

    Returns
    -------
    ndarray (n,)
        NaN where the mean is.

    Raises
    ------
    SettingsError
        The goal has no bound.

    Examples
    --------
    >>> probability_of_goal(np.array([0.3, 0.3, 9.0]), np.array([1.0, 0.0, 0.0]), Goal.parse("<=0.3"))
    array([0.5, 1. , 0. ])
    """
    goal.need_bound()
    inside = np.exp(window_likelihood(mean, std, goal.low, goal.high))
    return np.where(np.isnan(mean), np.nan, inside)


def expected_hits(mean: np.ndarray, std: np.ndarray, goal: Goal) -> float:
    """Expected number of these candidates within the bounds of the goal: the sum of their probabilities, NaN skipped.

    Parameters
    ----------
    mean, std : ndarray (n,)
    goal : Goal

    Raises
    ------
    SettingsError
        The goal has no bound.

    Examples
    --------
    >>> expected_hits(np.array([0.3, 0.2, np.nan]), np.array([1.0, 0.0, 1.0]), Goal.parse("<=0.3"))
    1.5
    """
    return float(np.nansum(probability_of_goal(mean, std, goal)))


def _improvement(scene: Scene) -> np.ndarray:
    return expected_improvement(scene.goal.sign * scene.mean, scene.std, scene.edge)


def _log_improvement(scene: Scene) -> np.ndarray:
    return log_expected_improvement(scene.goal.sign * scene.mean, scene.std, scene.edge)


def _optimistic(scene: Scene) -> np.ndarray:
    return lower_confidence_bound(scene.goal.sign * scene.mean, scene.std)


def _probability(scene: Scene) -> np.ndarray:
    if scene.goal.has_direction:
        return probability_of_improvement(scene.goal.sign * scene.mean, scene.std, scene.edge)
    return probability_of_goal(scene.mean, scene.std, scene.goal)


def _hits(scene: Scene) -> np.ndarray:
    return probability_of_goal(scene.mean, scene.std, scene.goal) if scene.goal.has_bound else _probability(scene)


def _likelihood(scene: Scene) -> np.ndarray:
    low, high = scene.goal.low, scene.goal.high
    if not scene.goal.has_bound:
        low, high = (-np.inf, scene.edge) if scene.goal.sign > 0 else (-scene.edge, np.inf)
    return window_likelihood(scene.mean, scene.std, low, high)


HITS = Acquisition(
    "hits",
    _hits,
    summary="many good materials; takes the likeliest first",
    meaning="the probability to reach the goal",
    share=SHARE,
)
EI = Acquisition(
    "ei",
    _improvement,
    summary="the single best material",
    meaning="the expected improvement over the best, or over the bound of the goal",
    has_unit=True,
    needs_direction=True,
)
LOG_EI = Acquisition(
    "log_ei",
    _log_improvement,
    summary="the single best material, also where improvements are very unlikely",
    meaning="the logarithm of the expected improvement",
    needs_direction=True,
)
PI = Acquisition(
    "pi",
    _probability,
    summary="small but likely improvements",
    meaning="the probability to be better than the best, or to reach the bound of the goal",
)
LCB = Acquisition(
    "lcb",
    _optimistic,
    summary="optimistic search",
    meaning="the optimistic end of the prediction, two standard deviations from its mean",
    has_unit=True,
    needs_direction=True,
)
MLI = Acquisition(
    "mli",
    _likelihood,
    summary="goals that are hard to reach: it orders candidates whose probabilities are nearly zero",
    meaning="the logarithm of the probability to reach the goal",
)
