"""Scores in closed form of a predictive distribution: pure functions, and the records of the acquisitions that they make.

Greater is better, and zero spread is defined. An infinite centre counts as certain, even where the spread is infinite too; a
score is NaN only where there is no prediction.
"""

from __future__ import annotations

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.scene import Scene
from sisso_sal.protocols import Acquisition
from sisso_sal.protocols.distribution import Distribution

SHARE = 0.1
"""Share of all materials, the best ones, that stands for a goal without a bound. A search for the single best one would follow one
outlier, or stay where it is.
"""


def log_expected_improvement(told: Distribution, best: float, sign: float = 1.0) -> np.ndarray:
    """Logarithm of the expected improvement, accurate where that underflows (Ament et al., NeurIPS 2023, eq. 9).

    Parameters
    ----------
    told : Distribution
        Of n candidates.
    best : float
        Value to improve on, in the target's unit.
    sign : float
        1 where small values are good, -1 where large ones are.

    Examples
    --------
    >>> log_expected_improvement(Distribution(np.array([40.0]), np.array([1.0])), 0.0).round(4)
    array([-808.2986])
    """
    return told.log_shortfall(best) if sign > 0 else told.log_excess(best)


def expected_improvement(told: Distribution, best: float, sign: float = 1.0) -> np.ndarray:
    """E[max(best - y, 0)], or E[max(y - best, 0)] where large values are good, in the target's unit.

    Jones et al., J. Glob. Optim. 13, 455 (1998), eq. 15, for a Gaussian. Arguments as of `log_expected_improvement`.

    Examples
    --------
    >>> expected_improvement(Distribution.certain([1.0, 0.5]), 0.75)
    array([0.  , 0.25])
    """
    return told.shortfall(best) if sign > 0 else told.excess(best)


def probability_of_improvement(told: Distribution, best: float, sign: float = 1.0) -> np.ndarray:
    """P(y < best), or P(y > best) where large values are good; 0 for a value that is certain to equal the best.

    Kushner, J. Basic Eng. 86, 97 (1964). Arguments as of `log_expected_improvement`.

    Examples
    --------
    >>> probability_of_improvement(Distribution(np.array([1.0, 1.0]), np.array([1.0, 0.0])), 1.0)
    array([0.5, 0. ])
    """
    likely = told.probability(high=best) if sign > 0 else told.probability(low=best)
    return np.where((told.scale == 0) & (told.centre == best), 0.0, likely)


def lower_confidence_bound(mean: np.ndarray, std: np.ndarray, kappa: float = 2.0) -> np.ndarray:
    """kappa std - mean, in the target's unit (Cox and John, IEEE Conf. Syst. Man Cybern. 1992).

    Examples
    --------
    >>> lower_confidence_bound(np.array([1.0]), np.array([0.25]))
    array([-0.5])
    """
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(mean) | (kappa == 0), -mean, kappa * std - mean)


def probability_of_goal(told: Distribution, goal: Goal) -> np.ndarray:
    """P(y is within the bounds of the goal); where a value is certain what `Goal.reached` says.

    Returns
    -------
    ndarray (n,)
        NaN where there is no prediction.

    Raises
    ------
    SettingsError
        The goal has no bound.

    Examples
    --------
    >>> told = Distribution(np.array([0.3, 0.3, 9.0]), np.array([1.0, 0.0, 0.0]))
    >>> probability_of_goal(told, Goal.parse("<=0.3"))
    array([0.5, 1. , 0. ])
    """
    goal.need_bound()
    return told.probability(goal.low, goal.high)


def expected_hits(told: Distribution, goal: Goal) -> float:
    """Expected number of these candidates within the bounds of the goal: the sum of their probabilities, NaN skipped.

    Raises
    ------
    SettingsError
        The goal has no bound.

    Examples
    --------
    >>> expected_hits(Distribution(np.array([0.3, 0.2, np.nan]), np.array([1.0, 0.0, 1.0])), Goal.parse("<=0.3"))
    1.5
    """
    return float(np.nansum(probability_of_goal(told, goal)))


def _improvement(scene: Scene) -> np.ndarray:
    return expected_improvement(scene.told, scene.goal.sign * scene.edge, scene.goal.sign)


def _log_improvement(scene: Scene) -> np.ndarray:
    return log_expected_improvement(scene.told, scene.goal.sign * scene.edge, scene.goal.sign)


def _optimistic(scene: Scene) -> np.ndarray:
    return lower_confidence_bound(scene.goal.sign * scene.mean, scene.std)


def _probability(scene: Scene) -> np.ndarray:
    if scene.goal.has_direction:
        return probability_of_improvement(scene.told, scene.goal.sign * scene.edge, scene.goal.sign)
    return probability_of_goal(scene.told, scene.goal)


def _hits(scene: Scene) -> np.ndarray:
    return probability_of_goal(scene.told, scene.goal) if scene.goal.has_bound else _probability(scene)


def _likelihood(scene: Scene) -> np.ndarray:
    low, high = scene.goal.low, scene.goal.high
    if not scene.goal.has_bound:
        low, high = (-np.inf, scene.edge) if scene.goal.sign > 0 else (-scene.edge, np.inf)
    return scene.told.log_probability(low, high)


HITS = Acquisition(
    "hits",
    _hits,
    summary="many good materials; takes the likeliest first",
    meaning="the probability to reach the goal",
    share=SHARE,
    of_classes="the probability of a class that is looked for",
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
    of_classes="the logarithm of the probability of a class that is looked for",
)
