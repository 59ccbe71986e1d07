"""Standard normal variables, accurate in both tails."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


def excess(best: float | np.ndarray, mean: np.ndarray) -> np.ndarray:
    """best - mean, and 0 where both are the same infinity."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(best == mean, 0.0, best - mean)


def log_between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """log P(low <= u <= high) of a standard normal u, accurate in both tails.

    Examples
    --------
    >>> np.exp(log_between(np.array([-1.96]), np.array([1.96]))).round(2)
    array([0.95])
    """
    low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
    log_high, log_low = log_ndtr(high), log_ndtr(low)
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = log_high + np.log1p(-np.exp(np.minimum(log_low - log_high, 0.0)))
    return np.where(np.isneginf(log_high), -np.inf, inside)
