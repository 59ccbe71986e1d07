"""Acquisition: from mean and spread to a score of each candidate. Pure functions; greater is better; zero spread is defined.

`mean`, `std` and `best` are in the target's unit. Functions that know a direction minimise; `Goal` turns other goals round.
An infinite `mean` counts as certain, even where the spread is infinite too; NaN comes out only where `mean` is NaN, and from
`search` where nothing can be evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
from scipy.special import erfcx, ndtr

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.lookahead import SOONER, Belief, expected_finds
from sisso_sal.acquisition.normal import LOG_SQRT_2PI, excess, log_between, standardised
from sisso_sal.data.neighbours import nearest, spread_of
from sisso_sal.errors import SettingsError


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
    gains = np.where(valid, np.maximum(excess(edges[:, None], members), 0.0), 0.0)
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
    every = np.concatenate([features, labelled])
    scale = spread_of(np.sort(every, axis=0))  # sorted: the order of rows must not change a bit
    return nearest(features, labelled, scale)[0][:, 0]


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
    pending : ndarray (n,) of bool, optional
        Candidates that are being computed. They are believed to turn out as predicted (kriging believer; Ginsbourger, Le Riche and
        Carraro, Computational Intelligence in Expensive Optimization Problems, 131 (2010)), by `Search` to miss.
    open : ndarray (n,) of bool, optional
        Candidates that can be evaluated later on, those that are pending among them; by default all.
    correlation : callable, optional
        Numbers of k candidates -> correlation of their predictions (k, k).
    horizon : int
        Evaluations that are ahead, for an acquisition that looks so far.
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
    pending: np.ndarray | None = None
    open: np.ndarray | None = None
    correlation: Callable[[np.ndarray], np.ndarray] | None = None
    horizon: int = 1

    @property
    def edge(self) -> float:
        """Value to undercut, after turning the goal into a minimisation: the bound, or the best reached or believed in."""
        bound = {"below": self.goal.high, "above": -self.goal.low}
        if self.goal.kind in bound:
            return bound[self.goal.kind]
        believed = self.mean[self._pending]
        return float(np.fmin.reduce(np.append(self.goal.sign * believed, self.goal.sign * self.best)))

    @property
    def member_edges(self) -> np.ndarray:
        """Value to undercut for each member, whose belief about what is pending is its own; ndarray (n_members,)."""
        n_members = len(self.members)
        if self.goal.bounded:
            return np.full(n_members, self.edge)
        own = np.where(self.valid[:, self._pending], self.goal.sign * self.members[:, self._pending], np.inf)
        return np.minimum(own.min(axis=1, initial=np.inf), self.goal.sign * self.best)

    @property
    def _pending(self) -> np.ndarray:
        return np.zeros(len(self.mean), dtype=bool) if self.pending is None else self.pending


def _probability(scene: Scene) -> np.ndarray:
    if scene.goal.kind == "window":
        return probability_of_goal(scene.mean, scene.std, scene.goal)
    return probability_of_improvement(scene.goal.sign * scene.mean, scene.std, scene.edge)


def _hits(scene: Scene) -> np.ndarray:
    return probability_of_goal(scene.mean, scene.std, scene.goal) if scene.goal.bounded else _probability(scene)


class Search:
    """What `search` knows of a scene, and of candidates that it has chosen since.

    What is pending, and what is chosen, is believed to miss (Jiang et al., NeurIPS 2018), so that a batch does not put the same
    question to several relatives.

    Parameters
    ----------
    scene : Scene
        Its goal has a bound.
    """

    def __init__(self, scene: Scene):
        low, high = scene.goal.low, scene.goal.high
        usable = ~np.isnan(scene.mean) & (True if scene.open is None else scene.open)
        self._likely = window_likelihood(scene.mean, scene.std, low, high)
        waiting = self._likeliest(np.flatnonzero(usable & scene._pending))
        # One after the other is not the same in another order; theirs must not be that of the table.
        waiting = waiting[np.lexsort((*scene.features[waiting].T, scene.std[waiting], scene.mean[waiting]))]
        self._free = usable & ~scene._pending
        self._rows = self._likeliest(np.flatnonzero(self._free))
        rows = np.concatenate([waiting, self._rows])
        bounds = _bounds(scene.mean[rows], scene.std[rows], low, high)
        self._belief = Belief(*bounds, _linked(scene, rows))
        for number in range(len(waiting)):
            self._belief = self._belief.after_miss(number)
        self._belief = self._belief.take(np.arange(len(waiting), len(rows)))

    def _likeliest(self, rows: np.ndarray) -> np.ndarray:
        """At most `LOOKED_AT` of them; of equals that would not all fit none."""
        if len(rows) <= LOOKED_AT:
            return rows
        likely = self._likely[rows]
        return rows[likely > np.partition(likely, len(rows) - LOOKED_AT - 1)[len(rows) - LOOKED_AT - 1]]

    def scores(self, horizon: int) -> np.ndarray:
        """Targets that each candidate adds to those that the likeliest others would give in the `horizon` - 1 evaluations that
        follow, see `expected_finds`; NaN where it cannot be evaluated: ndarray (n,).
        """
        # That the unlikely may speak for others is left out; for that to be little, those looked at must not all have their turn.
        out = np.where(self._free, np.exp(self._likely), np.nan)
        if len(self._rows) < self._free.sum():
            horizon = min(horizon, len(self._rows) // 2)
        without = SOONER * np.sort(self._belief.probability)[::-1][: max(horizon - 1, 0)].sum()
        out[self._rows] = expected_finds(self._belief, horizon) - without
        return out

    def choose(self, row: int) -> None:
        """From now on this candidate is one that will miss."""
        self._free[row] = False
        place = np.flatnonzero(self._rows == row)
        if len(place):
            kept = self._rows != row
            self._belief = self._belief.after_miss(int(place[0])).take(kept)
            self._rows = self._rows[kept]


def _search(scene: Scene) -> np.ndarray:
    if not scene.goal.bounded:
        edge = scene.edge
        scene = replace(scene, goal=Goal("below", high=edge) if scene.goal.sign > 0 else Goal("above", low=-edge))
    return Search(scene).scores(scene.horizon)


def _bounds(mean: np.ndarray, std: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds in standard deviations from the mean; infinite where there is no spread."""
    inside = (low <= mean) & (mean <= high)
    some = std > 0
    below = standardised(excess(low, mean), std) if low > -np.inf else np.full(mean.shape, -np.inf)
    above = standardised(excess(high, mean), std) if high < np.inf else np.full(mean.shape, np.inf)
    return np.where(some, below, np.where(inside, -np.inf, np.inf)), np.where(some, above, np.inf)


def _linked(scene: Scene, rows: np.ndarray) -> np.ndarray:
    """Correlation of some candidates; none where it is not known."""
    if scene.correlation is None or len(rows) == 0:
        return np.eye(len(rows))
    link = np.where(np.isfinite(link := scene.correlation(rows)), link, 0.0)
    some = scene.std[rows] > 0
    link = np.where(some[:, None] & some[None, :], link, 0.0)
    np.fill_diagonal(link, 1.0)
    return link


def _thompson(scene: Scene) -> np.ndarray:
    return thompson(scene.goal.distance(scene.members), scene.valid, scene.rng)


def _likelihood(scene: Scene) -> np.ndarray:
    low, high = scene.goal.low, scene.goal.high
    if not scene.goal.bounded:
        low, high = (-np.inf, scene.edge) if scene.goal.sign > 0 else (-scene.edge, np.inf)
    return window_likelihood(scene.mean, scene.std, low, high)


def _member_improvement(scene: Scene) -> np.ndarray:
    return member_expected_improvement(scene.goal.sign * scene.members, scene.valid, scene.member_edges)


def _distance(scene: Scene) -> np.ndarray:
    return distance_to_labelled(scene.features, np.concatenate([scene.labelled, scene.features[scene._pending]]))


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
    "distance": _distance,
    "member_ei": _member_improvement,
    "hits": _hits,
    "search": _search,
}
"""Acquisitions by name; each takes a `Scene` and gives a score, greater is better."""


LOOKED_AT = 1000
"""Most candidates, the likeliest, whose kinship `search` looks at: time and memory grow with the square."""

NEED_A_DIRECTION = ("ei", "log_ei", "lcb", "member_ei")
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
        raise SettingsError(
            f"acquisition: needs hits, mean, mli, pi, search or thompson for the window {goal}, found '{name}'"
        )
    return ACQUISITIONS[name]
