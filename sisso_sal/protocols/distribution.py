"""What is known of a value that has not been measured: one distribution for each candidate, from which all figures follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr, ndtri

LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)

ONE_SIGMA = 0.8413447460685429
"""Probability that a Gaussian value is at most one standard deviation above its mean."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The distribution of standardised errors: linear between nodes, with Gaussian tails beyond them.

    Attributes
    ----------
    nodes : ndarray (k,)
        In order, no unit.
    levels : ndarray (k,)
        Probability to be at or below each node, in order.
    below : float
        Probability of an error below zero.
    tails : tuple of float
        Standard deviation of the Gaussian whose half, with the weight of its side, is the lower and the upper tail.

    Examples
    --------
    >>> GAUSSIAN.cdf(np.array([-1.96, 0.0, 1.96])).round(3)
    array([0.025, 0.5  , 0.975])
    """

    nodes: np.ndarray
    levels: np.ndarray
    below: float
    tails: tuple[float, float]

    @cached_property
    def mirrored(self) -> Shape:
        """Of the errors with the other sign."""
        return Shape(-self.nodes[::-1], 1.0 - self.levels[::-1], 1.0 - self.below, (self.tails[1], self.tails[0]))

    @cached_property
    def _area(self) -> np.ndarray:
        """ndarray (k,): integral of the distribution function up to each node."""
        start = 2 * self.below * self.tails[0] * _h(self.nodes[:1] / self.tails[0])
        steps = np.diff(self.nodes) * 0.5 * (self.levels[1:] + self.levels[:-1])
        return np.concatenate([start, start + np.cumsum(steps)])

    def cdf(self, u: np.ndarray) -> np.ndarray:
        """Probability to be at most u: ndarray of the same shape."""
        u = np.asarray(u, dtype=np.float64)
        value = np.interp(u, self.nodes, self.levels)
        low, high = u <= self.nodes[0], u >= self.nodes[-1]
        value[high] = 1.0 - 2 * (1.0 - self.below) * ndtr(-u[high] / self.tails[1])
        value[low] = 2 * self.below * ndtr(u[low] / self.tails[0])
        return value

    def log_cdf(self, u: np.ndarray) -> np.ndarray:
        """Logarithm of the probability to be at most u, accurate in the lower tail."""
        with np.errstate(divide="ignore"):
            low = np.log(2 * self.below) + log_ndtr(np.minimum(u, self.nodes[0]) / self.tails[0])
            return np.where(u <= self.nodes[0], low, np.log(self.cdf(u)))

    def log_between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Logarithm of the probability to be from `low` to `high`, accurate in both tails; minus infinity unless low < high.

        Examples
        --------
        >>> float(GAUSSIAN.log_between(np.array([-np.inf]), np.array([-40.0]))[0].round(4))
        -804.6084
        """
        high = np.maximum(low, high)
        flip = low > self.nodes[-1]
        if flip.any():
            other = self.mirrored.log_between(np.where(flip, -high, 0.0), np.where(flip, -low, 1.0))
            rest = self.log_between(np.where(flip, 0.0, low), np.where(flip, 1.0, high))
            return np.where(flip, other, rest)
        log_high, log_low = self.log_cdf(high), self.log_cdf(low)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = log_high + np.log1p(-np.exp(np.minimum(log_low - log_high, 0.0)))
        return np.where(np.isneginf(log_high), -np.inf, inside)

    def quantile(self, p: np.ndarray) -> np.ndarray:
        """The value that is not exceeded with probability p, 0 to 1: ndarray of the same shape."""
        with np.errstate(divide="ignore"):
            low = self.tails[0] * ndtri(np.minimum(p / max(2 * self.below, 1e-300), 1.0))
            high = -self.tails[1] * ndtri(np.minimum((1.0 - p) / max(2 * (1.0 - self.below), 1e-300), 1.0))
        between = np.interp(p, self.levels, self.nodes)
        return np.where(p < self.levels[0], low, np.where(p > self.levels[-1], high, between))

    def shortfall(self, u: np.ndarray) -> np.ndarray:
        """Mean of max(u - error, 0): the integral of the distribution function up to u."""
        low = 2 * self.below * self.tails[0] * _h(np.minimum(u, self.nodes[0]) / self.tails[0])
        j = np.clip(np.searchsorted(self.nodes, u, side="right") - 1, 0, len(self.nodes) - 1)
        inner = np.clip(u, self.nodes[0], self.nodes[-1])
        between = self._area[j] + (inner - self.nodes[j]) * 0.5 * (self.levels[j] + self.cdf(inner))
        beyond = np.maximum(u - self.nodes[-1], 0.0)
        end, tail = self.nodes[-1], self.tails[1]
        rest = 2 * (1.0 - self.below) * tail * (_h(-end / tail) - _h(-np.maximum(u, end) / tail))
        return np.where(u <= self.nodes[0], low, between + beyond - np.where(beyond > 0, rest, 0.0))

    def log_shortfall(self, u: np.ndarray) -> np.ndarray:
        """Logarithm of `shortfall`, accurate where that underflows (for a Gaussian: Ament et al., NeurIPS 2023, eq. 9)."""
        with np.errstate(divide="ignore"):
            low = np.log(2 * self.below * self.tails[0]) + _log_h(np.minimum(u, self.nodes[0]) / self.tails[0])
            return np.where(u <= self.nodes[0], low, np.log(np.maximum(self.shortfall(u), 0.0)))


def _h(z: np.ndarray) -> np.ndarray:
    """phi(z) + z Phi(z), the integral of the Gaussian distribution function."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(z > -38, np.exp(-0.5 * z * z - LOG_SQRT_2PI) + np.where(z > -38, z, 0.0) * ndtr(z), 0.0)


def _log_h(z: np.ndarray) -> np.ndarray:
    """log(phi(z) + z Phi(z)) without cancellation."""
    low = np.minimum(z, -1.0)
    # phi(z) + z Phi(z) = phi(z) (1 - |z| m) with the Mills ratio m = sqrt(pi/2) erfcx(|z|/sqrt 2) below zero.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        mills = np.sqrt(np.pi / 2) * erfcx(-low / np.sqrt(2))
        remainder = np.where(low > -1e4, 1.0 + low * mills, 1.0 / (low * low))
        tail = -0.5 * low * low - LOG_SQRT_2PI + np.log(remainder)
    high = np.maximum(z, -1.0)
    return np.where(z > -1.0, np.log(np.exp(-0.5 * high * high - LOG_SQRT_2PI) + high * ndtr(high)), tail)


def _difference(a: float | np.ndarray, b: float | np.ndarray) -> np.ndarray:
    """a - b, and 0 where both are the same infinity."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(a == b, 0.0, a - b)


GAUSSIAN = Shape(np.zeros(1), np.full(1, 0.5), 0.5, (1.0, 1.0))

HIT_BOUND = 0.5
"""Between the labels 0 and 1 of a campaign over classes: what lies above is a hit."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """The predictive distribution of each of n candidates: a shape that all share, moved and scaled, without what cannot be.

    Interval, median, probability of a hit and expected improvement all follow from it.

    Attributes
    ----------
    centre : ndarray (n,)
        Where the standardised error is zero, in the target's unit; NaN where there is no prediction.
    scale : ndarray (n,)
        In the target's unit; 0 where the value is certain. An infinite centre counts as certain, whatever the scale.
    shape : Shape
    floor : float
        No value is below it: what would be is the floor itself, with the probability of all that is below.

    Examples
    --------
    >>> told = Distribution(np.array([1.0, 0.1]), np.array([0.5, 0.5]), floor=0.0)
    >>> [end.round(2).tolist() for end in told.interval(0.95)]
    [[0.02, 0.0], [1.98, 1.08]]
    >>> told.probability(high=0.5).round(2)
    array([0.16, 0.79])
    """

    centre: np.ndarray
    scale: np.ndarray
    shape: Shape = GAUSSIAN
    floor: float = -np.inf

    @classmethod
    def certain(cls, values: np.ndarray) -> Distribution:
        """Of values (n,) that are known."""
        values = np.asarray(values, dtype=np.float64)
        return cls(values, np.zeros(len(values)))

    @classmethod
    def of_hits(cls, probability: np.ndarray) -> Distribution:
        """Of materials (n,) that are hits with these probabilities, 0 to 1; NaN where there is no prediction.

        A latent number that is above `HIT_BOUND` for hits, as in a probit model. It has no meaning of its own: nobody is shown it.

        Examples
        --------
        >>> Distribution.of_hits(np.array([0.0, 0.25, 1.0])).probability(low=HIT_BOUND)
        array([0.  , 0.25, 1.  ])
        """
        margin = HIT_BOUND + ndtri(np.asarray(probability, dtype=np.float64))
        return cls(margin, np.ones(len(margin)))

    def __len__(self) -> int:
        return len(self.centre)

    def take(self, index: np.ndarray) -> Distribution:
        """The same for some candidates."""
        return replace(self, centre=self.centre[index], scale=self.scale[index])

    def known_as(self, values: np.ndarray) -> Distribution:
        """The same, but certain where a value (n,) is known (not NaN)."""
        known = ~np.isnan(values)
        return replace(self, centre=np.where(known, values, self.centre), scale=np.where(known, 0.0, self.scale))

    def followed_by(self, other: Distribution) -> Distribution:
        """The candidates of both; the other has the same shape and floor."""
        centre, scale = np.append(self.centre, other.centre), np.append(self.scale, other.scale)
        return replace(self, centre=centre, scale=scale)

    @property
    def _is_certain(self) -> np.ndarray:
        return ~(self.scale > 0) | np.isinf(self.centre)

    def _standardised(self, value: float | np.ndarray) -> np.ndarray:
        """(value - centre) / scale, and 0 where the value is certain: ndarray (n,)."""
        some = ~self._is_certain & ~np.isnan(self.centre)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = _difference(value, np.where(some, self.centre, 0.0))
            z = np.divide(apart, self.scale, out=np.zeros(len(self)), where=some)
            return np.where(some & np.isinf(apart), apart, z)

    def log_probability(self, low: float | np.ndarray = -np.inf, high: float | np.ndarray = np.inf) -> np.ndarray:
        """ndarray (n,): logarithm of the probability to be from `low` to `high`, both included; accurate where it is tiny.

        NaN where there is no prediction.
        """
        ends = self._standardised(np.where(np.asarray(low) <= self.floor, -np.inf, low)), self._standardised(high)
        inside = np.where((ends[0] < ends[1]) & (high >= self.floor), self.shape.log_between(*ends), -np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            certain = np.log(((self.centre >= low) & (self.centre <= high)).astype(float))
        value = np.where(self._is_certain, certain, np.minimum(inside, 0.0))
        return np.where(np.isnan(self.centre), np.nan, value)

    def probability(self, low: float | np.ndarray = -np.inf, high: float | np.ndarray = np.inf) -> np.ndarray:
        """ndarray (n,): probability to be from `low` to `high`."""
        return np.exp(self.log_probability(low, high))

    def at_most(self, bound: float) -> np.ndarray:
        """ndarray (n,): probability to be at most a value; faster than `probability`, and without its digits where it is tiny."""
        below = self.shape.cdf(self._standardised(bound)) if bound >= self.floor else np.zeros(len(self))
        value = np.where(self._is_certain, (self.centre <= bound).astype(float), below)
        return np.where(np.isnan(self.centre), np.nan, value)

    def at_least(self, bound: float) -> np.ndarray:
        """ndarray (n,): probability to be at least a value, as `at_most`."""
        above = self.shape.mirrored.cdf(-self._standardised(bound)) if bound > self.floor else np.ones(len(self))
        value = np.where(self._is_certain, (self.centre >= bound).astype(float), above)
        return np.where(np.isnan(self.centre), np.nan, value)

    def place(self, values: np.ndarray) -> np.ndarray:
        """ndarray (n,): probability to be at most each value (n,); a certain one has 0.5 if it is equal, else 0 or 1."""
        certain = np.where(values == self.centre, 0.5, (values > self.centre).astype(float))
        return np.where(self._is_certain, certain, self.probability(high=values))

    def quantile(self, p: float) -> np.ndarray:
        """ndarray (n,): the value that is not exceeded with probability p, in the target's unit."""
        value = self._value(self.shape.quantile(np.full(len(self), float(p))))
        with np.errstate(invalid="ignore"):
            return np.where(self._is_certain, value, np.maximum(value, self.floor))

    def _value(self, u: np.ndarray) -> np.ndarray:
        """Of standardised errors (n,)."""
        with np.errstate(invalid="ignore"):
            return np.where(self._is_certain, self.centre, self.centre + self.scale * u)

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the central interval of a probability, (n,) each, in the target's unit."""
        return self.quantile(0.5 - level / 2), self.quantile(0.5 + level / 2)

    @cached_property
    def median(self) -> np.ndarray:
        """ndarray (n,), in the target's unit."""
        return self.quantile(0.5)

    @cached_property
    def std(self) -> np.ndarray:
        """ndarray (n,): half the width of the interval of probability 0.68, one sigma of a Gaussian; in the target's unit."""
        if self.floor == -np.inf:
            low, high = self.shape.quantile(np.array([1.0 - ONE_SIGMA, ONE_SIGMA]))
            return self.scale * float(0.5 * (high - low))
        low, high = self.quantile(1.0 - ONE_SIGMA), self.quantile(ONE_SIGMA)
        with np.errstate(invalid="ignore"):
            return np.where(np.isinf(self.centre) | np.isnan(self.scale), self.scale, 0.5 * (high - low))

    @cached_property
    def estimate(self) -> np.ndarray:
        """ndarray (n,), in the target's unit: the value to name, which is the centre, or the floor where that is above it.

        Not the mean, which a single outlier among the errors could lift anywhere.
        """
        with np.errstate(invalid="ignore"):
            return np.where(self._is_certain, self.centre, np.maximum(self.centre, self.floor))

    @cached_property
    def mean(self) -> np.ndarray:
        """ndarray (n,), in the target's unit: the centre, and more where a floor lifts something."""
        if self.floor == -np.inf:
            return self.centre
        # E max(y, floor), from the nearer side: the other one would lose digits.
        edge = self._standardised(self.floor)
        with np.errstate(invalid="ignore"):
            lifted = self.centre + self._gain(self.shape, edge, _difference(self.floor, self.centre))
        return np.where(self._is_certain, self.centre, np.where(edge < 0, lifted, self.floor + self._above(self.floor)))

    def log_shortfall(self, bound: float | np.ndarray) -> np.ndarray:
        """ndarray (n,): logarithm of the mean of max(bound - value, 0): the expected improvement where small values are good."""
        value = self._log_gain(self.shape, self._standardised(bound), _difference(bound, self.centre))
        if self.floor > -np.inf:
            lifted = self._log_gain(self.shape, self._standardised(self.floor), _difference(self.floor, self.centre))
            with np.errstate(divide="ignore", invalid="ignore"):
                less = np.where(bound > self.floor, value + np.log1p(-np.exp(np.minimum(lifted - value, 0.0))), -np.inf)
            value = np.where(self._is_certain | np.isinf(value), value, less)
        return np.where(np.isnan(self.centre), np.nan, value)

    def _log_gain(self, shape: Shape, edge: np.ndarray, gain: np.ndarray) -> np.ndarray:
        """Without a floor; `edge` (n,) is the bound as a standardised error of that shape, `gain` (n,) what is certain."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = np.log(np.where(self.scale > 0, self.scale, 1.0)) + shape.log_shortfall(edge)
            return np.where(self._is_certain | ~np.isfinite(edge), np.log(np.maximum(gain, 0.0)), value)

    def shortfall(self, bound: float | np.ndarray) -> np.ndarray:
        """ndarray (n,): mean of max(bound - value, 0), in the target's unit."""
        if self.floor > -np.inf:
            return np.exp(self.log_shortfall(bound))
        return self._gain(self.shape, self._standardised(bound), _difference(bound, self.centre))

    def _gain(self, shape: Shape, edge: np.ndarray, gain: np.ndarray) -> np.ndarray:
        """As `_log_gain`, not as a logarithm."""
        with np.errstate(invalid="ignore", over="ignore"):
            value = self.scale * shape.shortfall(edge)
        value = np.where(self._is_certain | ~np.isfinite(edge), np.maximum(gain, 0.0), value)
        return np.where(np.isnan(self.centre), np.nan, value)

    def log_excess(self, bound: float | np.ndarray) -> np.ndarray:
        """ndarray (n,): logarithm of the mean of max(value - bound, 0): the expected improvement where large values are good."""
        value = self._log_gain(self.shape.mirrored, -self._standardised(bound), _difference(self.centre, bound))
        if self.floor > -np.inf:
            with np.errstate(divide="ignore", invalid="ignore"):
                value = np.where((bound <= self.floor) & ~self._is_certain, np.log(self.mean - bound), value)
        return np.where(np.isnan(self.centre), np.nan, value)

    def excess(self, bound: float | np.ndarray) -> np.ndarray:
        """ndarray (n,): mean of max(value - bound, 0), in the target's unit."""
        value = self._above(bound)
        if self.floor == -np.inf:
            return value
        return np.where((bound <= self.floor) & ~self._is_certain, self.mean - bound, value)

    def _above(self, bound: float | np.ndarray) -> np.ndarray:
        """`excess` without a floor."""
        return self._gain(self.shape.mirrored, -self._standardised(bound), _difference(self.centre, bound))
