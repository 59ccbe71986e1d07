"""Acquisition: from mean and spread to a score of each candidate. Pure functions; greater is better; zero spread is defined.

`mean`, `std` and `best` are in the target's unit. Functions that know a direction minimise; `Goal` turns other goals round.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from sisso_sal.errors import SettingsError

_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Goal:
    """What is looked for.

    Attributes
    ----------
    kind : str
        ``min``, ``max``, ``below`` (at most `high`), ``above`` (at least `low`) or ``window`` (from `low` to `high`).
    low, high : float
        In the target's unit; infinite where there is no bound.

    Examples
    --------
    >>> Goal.parse("<=0.3")
    Goal(kind='below', low=-inf, high=0.3)
    >>> Goal.parse("1.2..1.8").kind
    'window'
    """

    kind: str
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Read ``min``, ``max``, ``<=0.3``, ``>=2`` or ``1.2..1.8``.

        Raises
        ------
        SettingsError
            The text is none of these.
        """
        text = text.strip().replace(" ", "")
        number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
        if text in {"min", "max"}:
            return cls(text)
        if (match := re.fullmatch(rf"([<>])=?({number})", text)) and np.isfinite(bound := float(match[2])):
            return cls("below", high=bound) if match[1] == "<" else cls("above", low=bound)
        if match := re.fullmatch(rf"({number})\.\.({number})", text):
            low, high = float(match[1]), float(match[2])
            if -np.inf < low < high < np.inf:
                return cls("window", low=low, high=high)
        raise SettingsError(f"goal: needs min, max, '<=0.3', '>=2' or '1.2..1.8', found '{text}'")

    def __str__(self) -> str:
        forms = {"below": f"<={self.high:g}", "above": f">={self.low:g}", "window": f"{self.low:g}..{self.high:g}"}
        return forms.get(self.kind, self.kind)

    @property
    def sign(self) -> float:
        """1 where small values are good, -1 where large ones are."""
        return -1.0 if self.kind in {"max", "above"} else 1.0

    def distance(self, values: np.ndarray) -> np.ndarray:
        """What orders values, smaller is better: the signed value, for a window its distance to the middle; target's unit."""
        if self.kind == "window":
            return np.abs(values - 0.5 * (self.low + self.high))
        return self.sign * values

    def best(self, values: np.ndarray) -> int:
        """Number of the best of some values; the first of equals."""
        return int(np.nanargmin(self.distance(values)))


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
    gain = best - mean
    z = _standard(gain, std)
    with np.errstate(invalid="ignore"):
        value = gain * ndtr(z) + std * np.exp(-0.5 * z * z - _LOG_SQRT_2PI)
    return np.where(std > 0, value, np.maximum(gain, 0.0))


def log_expected_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """Logarithm of the expected improvement, accurate where that underflows (Ament et al., NeurIPS 2023, eq. 9).

    Examples
    --------
    >>> log_expected_improvement(np.array([40.0]), np.array([1.0]), 0.0).round(4)
    array([-808.2986])
    """
    gain = best - mean
    z = _standard(gain, std)
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = np.log(np.maximum(gain, 0.0))
        return np.where(std > 0, _log_h(z) + np.log(std), flat)


def _log_h(z: np.ndarray) -> np.ndarray:
    """log(phi(z) + z Phi(z)) without cancellation."""
    low = np.minimum(z, -1.0)
    # phi(z) + z Phi(z) = phi(z) (1 - |z| m) with the Mills ratio m = sqrt(pi/2) erfcx(|z|/sqrt 2) below zero.
    mills = np.sqrt(np.pi / 2) * erfcx(-low / np.sqrt(2))
    remainder = np.where(low > -1e4, 1.0 + low * mills, 1.0 / (low * low))
    tail = -0.5 * low * low - _LOG_SQRT_2PI + np.log(remainder)
    high = np.maximum(z, -1.0)
    return np.where(z > -1.0, np.log(np.exp(-0.5 * high * high - _LOG_SQRT_2PI) + high * ndtr(high)), tail)


def probability_of_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """P(y < best) for Gaussian y (Kushner, J. Basic Eng. 86, 97 (1964)).

    Examples
    --------
    >>> probability_of_improvement(np.array([1.0, 1.0]), np.array([1.0, 0.0]), 1.0)
    array([0.5, 0. ])
    """
    certain = np.where(np.isnan(mean), np.nan, mean < best)
    return np.where(std > 0, ndtr(_standard(best - mean, std)), certain)


def lower_confidence_bound(mean: np.ndarray, std: np.ndarray, kappa: float = 2.0) -> np.ndarray:
    """kappa std - mean, in the target's unit (Cox and John, IEEE Conf. Syst. Man Cybern. 1992).

    Examples
    --------
    >>> lower_confidence_bound(np.array([1.0]), np.array([0.25]))
    array([-0.5])
    """
    return kappa * std - mean


def window_likelihood(mean: np.ndarray, std: np.ndarray, low: float, high: float) -> np.ndarray:
    """log P(low <= y <= high) for Gaussian y: the log of the likelihood that a candidate lies in the window.

    The logarithm keeps the order of candidates far from the window.

    Examples
    --------
    >>> np.exp(window_likelihood(np.array([0.0]), np.array([1.0]), -1.96, 1.96)).round(2)
    array([0.95])
    """
    a, b = _standard(low - mean, std), _standard(high - mean, std)
    a, b = np.where(a > 0, -b, a), np.where(a > 0, -a, b)
    log_b, log_a = log_ndtr(b), log_ndtr(a)
    with np.errstate(divide="ignore", invalid="ignore"):
        gaussian = log_b + np.log1p(-np.exp(np.minimum(log_a - log_b, 0.0)))
        inside = np.log(((mean >= low) & (mean <= high)).astype(float))
    return np.where(std > 0, gaussian, inside)


def thompson(members: np.ndarray, valid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Minus the prediction of one member drawn at random; where it is invalid, the worst score.

    Parameters
    ----------
    members, valid : ndarray (n_members, n)
    rng : numpy Generator
    """
    drawn = int(rng.integers(len(members)))
    return np.where(valid[drawn], -members[drawn], -np.inf)


def distance_to_labelled(features: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Euclidean distance to the nearest labelled material in standardised features (no unit).

    Parameters
    ----------
    features : ndarray (n, n_primary)
    labelled : ndarray (n_labelled, n_primary)

    Examples
    --------
    >>> distance_to_labelled(np.array([[0.0], [2.0]]), np.array([[0.0]])).round(2)
    array([0.  , 2.12])
    """
    from scipy.spatial import KDTree

    every = np.concatenate([features, labelled])
    spread = np.sort(every, axis=0).std(axis=0)  # sorted: the order of rows must not change a bit
    scale = np.where(spread > 0, spread, 1.0)
    return KDTree(labelled / scale).query(features / scale)[0]


def _standard(gain: np.ndarray, std: np.ndarray) -> np.ndarray:
    return np.divide(gain, std, out=np.zeros(np.shape(gain)), where=np.asarray(std) > 0)


@dataclass(frozen=True, eq=False)
class Scene:
    """What an acquisition may look at.

    Attributes
    ----------
    mean, std : ndarray (n,)
        Of the candidates, in the target's unit.
    members, valid : ndarray (n_members, n)
    goal : Goal
    best : float
        Best value reached, in the target's unit.
    features : ndarray (n, n_primary)
        Of the candidates.
    labelled : ndarray (n_labelled, n_primary)
        Primary features of the labelled materials.
    rng : numpy Generator
    """

    mean: np.ndarray
    std: np.ndarray
    members: np.ndarray
    valid: np.ndarray
    goal: Goal
    best: float
    features: np.ndarray
    labelled: np.ndarray
    rng: np.random.Generator

    @property
    def edge(self) -> float:
        """Value to undercut, after turning the goal into a minimisation."""
        bound = {"below": self.goal.high, "above": -self.goal.low}
        return bound.get(self.goal.kind, self.goal.sign * self.best)


def _probability(scene: Scene) -> np.ndarray:
    if scene.goal.kind == "window":
        inside = np.exp(window_likelihood(scene.mean, scene.std, scene.goal.low, scene.goal.high))
        return np.where(np.isnan(scene.mean), np.nan, inside)
    return probability_of_improvement(scene.goal.sign * scene.mean, scene.std, scene.edge)


def _thompson(scene: Scene) -> np.ndarray:
    return thompson(scene.goal.distance(scene.members), scene.valid, scene.rng)


def _likelihood(scene: Scene) -> np.ndarray:
    low, high = scene.goal.low, scene.goal.high
    if scene.goal.kind in {"min", "max"}:
        low, high = (-np.inf, scene.best) if scene.goal.kind == "min" else (scene.best, np.inf)
    return window_likelihood(scene.mean, scene.std, low, high)


ACQUISITIONS: dict[str, Callable[[Scene], np.ndarray]] = {
    "ei": lambda s: expected_improvement(s.goal.sign * s.mean, s.std, s.edge),
    "log_ei": lambda s: log_expected_improvement(s.goal.sign * s.mean, s.std, s.edge),
    "pi": _probability,
    "lcb": lambda s: lower_confidence_bound(s.goal.sign * s.mean, s.std),
    "mli": _likelihood,
    "thompson": _thompson,
    "mean": lambda s: -s.goal.distance(s.mean),
    "std": lambda s: s.std.copy(),
    "random": lambda s: s.rng.random(len(s.mean)),
    "distance": lambda s: distance_to_labelled(s.features, s.labelled),
}
"""Acquisitions by name; each takes a `Scene` and gives a score, greater is better."""


NEED_A_DIRECTION = ("ei", "log_ei", "lcb")
"""Acquisitions that cannot look for a window."""


def acquisition_named(name: str, goal: Goal | None = None) -> Callable[[Scene], np.ndarray]:
    """The acquisition with this name.

    Raises
    ------
    SettingsError
        There is none, or it cannot look for this goal.

    Examples
    --------
    >>> acquisition_named("std") is ACQUISITIONS["std"]
    True
    """
    if name not in ACQUISITIONS:
        close = get_close_matches(name, ACQUISITIONS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise SettingsError(f"acquisition: needs one of {', '.join(ACQUISITIONS)}, found '{name}'{hint}")
    if goal is not None and goal.kind == "window" and name in NEED_A_DIRECTION:
        raise SettingsError(f"acquisition: needs mean, mli, pi or thompson for the window {goal}, found '{name}'")
    return ACQUISITIONS[name]
