"""Search that looks ahead: how many targets will the next evaluations find if this candidate comes first?

The probability of a hit looks at each candidate alone. The result for one oxide of an element also tells about its other oxides.
A less likely candidate with many similar ones can therefore be worth more than a likely one without (active search: Garnett et al.,
ICML 2012; Jiang et al., ICML 2017). What it adds must come soon, because a campaign may end before its last evaluation: later finds
count less (`lasting`). Labels are not used, only a joint prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.normal import LOG_SQRT_2PI, log_between
from sisso_sal.acquisition.scene import Scene
from sisso_sal.acquisition.scores import SHARE
from sisso_sal.protocols import Acquisition, Cost
from sisso_sal.protocols.distribution import Distribution

GOES_ON = 0.9
"""Probability that a campaign goes on after an evaluation: what is found later counts as far as it is then still found."""

_LEAST_KEPT = 1e-12
"""Share of a variance that is left at least."""

N_JOINT = 1000
"""Largest number of candidates, the likeliest, that are looked at together: time and memory grow with its square."""

SCORE_SECONDS, MISS_SECONDS = 40e-9, 5e-9
"""What the scores take for a pair of candidates, and what it takes to count one of them among the misses; for estimates."""


@dataclass(frozen=True, eq=False)
class Belief:
    """A joint Gaussian prediction of n candidates, and between which values each is a target.

    Attributes
    ----------
    low, high : ndarray (n,)
        Bounds of the goal, in standard deviations from each candidate's mean.
    correlation : ndarray (n, n)
        Of the predictions, symmetric, with ones on the diagonal.
    """

    low: np.ndarray
    high: np.ndarray
    correlation: np.ndarray

    @cached_property
    def log_probability(self) -> np.ndarray:
        """ndarray (n,): logarithm of the probability to be a target."""
        return log_between(self.low, self.high)

    @cached_property
    def probability(self) -> np.ndarray:
        """ndarray (n,): of each candidate to be a target."""
        return np.exp(self.log_probability)

    @cached_property
    def hit(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (n,) of each candidate's standardised value if it is a target: a truncated normal distribution.

        0 and 1 where that cannot be. Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 1, 2nd ed. (1994), sec. 10.1.
        """
        with np.errstate(all="ignore"):
            at_low, at_high = (
                np.where(np.isfinite(edge), np.exp(-0.5 * edge**2 - LOG_SQRT_2PI - self.log_probability), 0.0)
                for edge in (self.low, self.high)
            )
            mean = np.clip(at_low - at_high, self.low, self.high)
            square = 1.0 + _times(self.low, at_low) - _times(self.high, at_high)
        possible = np.isfinite(self.log_probability) & np.isfinite(mean) & np.isfinite(square)
        mean, square = np.where(possible, mean, 0.0), np.where(possible, square, 1.0)
        return mean, np.clip(square - mean**2, 0.0, 1.0)

    @cached_property
    def miss(self) -> tuple[np.ndarray, np.ndarray]:
        """The same if it is no target: what a standard normal distribution has left."""
        p, (mean, variance) = self.probability, self.hit
        avoidable = p < 1.0 - 1e-9  # beyond, nothing is left but rounding
        rest = np.where(avoidable, 1.0 - p, 1.0)
        left = np.where(avoidable, -p * mean / rest, 0.0)
        square = np.where(avoidable, (1.0 - p * (variance + mean**2)) / rest, 1.0)
        return left, np.maximum(square - left**2, 0.0)

    def after_miss(self, i: int) -> Belief:
        """What is believed once candidate `i` has turned out to be no target; its own row says nothing any more."""
        mean, variance = (value[i] for value in self.miss)
        link = self.correlation[i]
        spread = np.sqrt(_kept(link, variance))
        correlation = (self.correlation - (1.0 - variance) * np.outer(link, link)) / np.outer(spread, spread)
        return Belief((self.low - link * mean) / spread, (self.high - link * mean) / spread, correlation)

    def take(self, kept: np.ndarray) -> Belief:
        """The same for some candidates, by number or mask."""
        rows = np.arange(len(self.low))[kept]
        return Belief(self.low[rows], self.high[rows], self.correlation[np.ix_(rows, rows)])


def lasting(n_later: int) -> np.ndarray:
    """Probability that a campaign still goes on at each of the later evaluations: ndarray (n_later,), decreasing.

    Examples
    --------
    >>> lasting(3).round(3)
    array([0.9  , 0.81 , 0.729])
    """
    return GOES_ON ** np.arange(1, n_later + 1)


def expected_finds(belief: Belief, weights: np.ndarray) -> np.ndarray:
    """Targets expected of the next evaluations if this candidate is the first of them, and the likeliest ones follow.

    With one evaluation left that is the probability of a hit. With more, either outcome of the first changes what is believed of
    the others, and the rest goes to those that are then the likeliest, in the order of their probabilities. After a hit the others
    have the mean and spread that follow from the moments of a truncated normal distribution; after a miss the probability that then
    makes up the whole.

    Parameters
    ----------
    belief : Belief
        Of n candidates.
    weights : ndarray (n_later,)
        What a target counts at each of the later evaluations, from 0 to 1 and not increasing, see `lasting`. Without any the
        result is the probability of a hit; if all are 1 it is the number of targets.

    Returns
    -------
    ndarray (n,)
        Weighted number of targets.

    References
    ----------
    Jiang, Malkomes, Converse, Shofner, Moseley, Garnett, Efficient nonmyopic active search, ICML 2017, PMLR 70, 1714, eq. 9, there
    without weights.

    Examples
    --------
    A likely candidate that is correlated with no other, and a less likely one that is correlated with two others:

    >>> link = np.array([[1, 0, 0, 0], [0, 1, 0.9, 0.9], [0, 0.9, 1, 0.9], [0, 0.9, 0.9, 1]])
    >>> belief = Belief(np.full(4, -np.inf), np.array([-0.3, -0.5, -0.6, -0.6]), link)
    >>> expected_finds(belief, np.array([])).round(2)
    array([0.38, 0.31, 0.27, 0.27])
    >>> expected_finds(belief, np.array([1.0, 1.0])).round(2)
    array([0.96, 1.08, 1.08, 1.08])
    """
    p = belief.probability
    n_later = min(len(weights), len(p) - 1)
    if n_later < 1:
        return p
    after_hit = _after_hit(belief)
    after_miss = p[:, None] * after_hit
    np.subtract(p, after_miss, out=after_miss)
    after_miss /= np.where(p < 1.0 - 1e-9, 1.0 - p, np.inf)[:, None]
    np.clip(after_miss, 0.0, 1.0, out=after_miss)
    finds = p.copy()
    for chance, later in ((p, after_hit), (1.0 - p, after_miss)):
        np.fill_diagonal(later, 0.0)
        later.partition(len(p) - n_later, axis=1)
        best = np.sort(later[:, len(p) - n_later :], axis=1)  # so that the order of candidates does not change a bit
        best *= weights[n_later - 1 :: -1]
        finds += chance * best.sum(axis=1)
    return finds


def _after_hit(belief: Belief) -> np.ndarray:
    """Probability of each candidate (column) once one (row) has turned out to be a target: ndarray (n, n).

    In place, as the arrays are large; a side of the goal without a bound adds or takes away nothing.
    """
    mean, variance = belief.hit
    spread = np.square(belief.correlation)
    spread *= 1.0 - variance[:, None]
    np.subtract(1.0, spread, out=spread)
    np.sqrt(np.maximum(spread, _LEAST_KEPT, out=spread), out=spread)
    shift = belief.correlation * mean[:, None]
    after = 1.0 if (belief.high == np.inf).all() else _below(belief.high, shift, spread)
    if not (belief.low == -np.inf).all():
        after = after - _below(belief.low, shift, spread)
    after = np.broadcast_to(after, spread.shape)
    return np.clip(after, 0.0, 1.0)


def _below(edge: np.ndarray, shift: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Probability to be below an edge (n,), when means and spreads are as in the rows of `shift` and `spread` (n, n)."""
    z = edge - shift
    z /= spread
    return ndtr(z, out=z)


def _kept(link: np.ndarray, variance: np.ndarray | float) -> np.ndarray:
    """Share of a candidate's variance that is left when one with this correlation keeps `variance` of its own."""
    return np.maximum(1.0 - link**2 * (1.0 - variance), _LEAST_KEPT)


def _times(edge: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Their product, 0 at an infinite edge."""
    return np.where(np.isfinite(edge), edge, 0.0) * density


class LookAhead:
    """Chooses one by one by the targets that each candidate adds, see `expected_finds`.

    What is pending, and what is chosen, is believed to miss (Jiang et al., NeurIPS 2018), so that a batch does not put the same
    question to several relatives.

    Parameters
    ----------
    scene : Scene
        Where its goal has no bound, the value to undercut is taken as the bound.
    """

    def __init__(self, scene: Scene):
        goal = scene.goal if scene.goal.has_bound else _undercut(scene)
        low, high = _bounds(scene.told, goal.low, goal.high)
        usable = ~np.isnan(scene.mean) & ~scene.excluded
        self._horizon = scene.horizon
        self._likely = log_between(low, high)
        waiting = self._likeliest(np.flatnonzero(usable & scene.pending))
        # One after the other is not the same in another order; theirs must not be that of the table.
        waiting = waiting[np.lexsort((*scene.features[waiting].T, scene.std[waiting], scene.mean[waiting]))]
        self._free = usable & ~scene.pending
        self._rows = self._likeliest(np.flatnonzero(self._free))
        rows = np.concatenate([waiting, self._rows])
        self._belief = Belief(low[rows], high[rows], _linked(scene, rows))
        for number in range(len(waiting)):
            self._belief = self._belief.after_miss(number)
        self._belief = self._belief.take(np.arange(len(waiting), len(rows)))

    def _likeliest(self, rows: np.ndarray) -> np.ndarray:
        """At most `N_JOINT` of them; of equals that would not all fit none."""
        if len(rows) <= N_JOINT:
            return rows
        likely = self._likely[rows]
        return rows[likely > np.partition(likely, len(rows) - N_JOINT - 1)[len(rows) - N_JOINT - 1]]

    def scores(self) -> np.ndarray:
        """ndarray (n,): number of targets that each candidate adds to those of the likeliest others in the evaluations that follow
        (the horizon of the scene less one), later ones weighted by `lasting`; NaN where it cannot be evaluated.
        """
        # That the unlikely may speak for others is left out; for that to be little, those looked at must not all have their turn.
        horizon = self._horizon
        out = np.where(self._free, np.exp(self._likely), np.nan)
        if len(self._rows) < self._free.sum():
            horizon = min(horizon, len(self._rows) // 2)
        weights = lasting(max(horizon - 1, 0))
        others = np.sort(self._belief.probability)[::-1][: len(weights)]
        out[self._rows] = expected_finds(self._belief, weights) - (weights[: len(others)] * others).sum()
        return out

    def choose(self, row: int) -> None:
        """From now on this candidate is one that will miss."""
        self._free[row] = False
        place = np.flatnonzero(self._rows == row)
        if len(place):
            kept = self._rows != row
            self._belief = self._belief.after_miss(int(place[0])).take(kept)
            self._rows = self._rows[kept]


def _undercut(scene: Scene) -> Goal:
    """A bound at the value to undercut, for a goal that has none."""
    return Goal("below", high=scene.edge) if scene.goal.sign > 0 else Goal("above", low=-scene.edge)


def _bounds(told: Distribution, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds as normal scores: a standard normal value is between them as likely as the candidate's is (a Gaussian copula).

    Infinite where the value is certain.
    """
    inside = (low <= told.centre) & (told.centre <= high)
    some = (told.scale > 0) & np.isfinite(told.centre)
    below, above = told.score(low), told.score(high)
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


_MEANING = "the number of targets that the candidate is expected to add"


def _explained(n_later: int) -> str:
    number = "the probability that the candidate is a target"
    if n_later:
        number = f"{_MEANING}, itself and in the {n_later} evaluations after this batch, of which later ones count less"
    return f"{number}. Each candidate was chosen as if those above it were not targets."


def look_ahead_cost(n_candidates: int, n_pending: int, batch: int) -> Cost:
    """What the choice of a batch takes, after so many that are pending.

    Examples
    --------
    >>> look_ahead_cost(10**6, 3, 200).what
    'the choice of 200 with look-ahead over 1000'
    """
    n_joint = min(n_candidates, N_JOINT)
    seconds = n_joint**2 * ((batch + 1) * SCORE_SECONDS + n_pending * MISS_SECONDS)
    less = "a smaller --batch"
    return Cost(
        f"the choice of {batch} with look-ahead over {n_joint}", seconds, 6 * 8 * n_joint**2 + 8 * n_candidates, less
    )


SEARCH = Acquisition(
    "search",
    lambda scene: LookAhead(scene).scores(),
    summary="many good materials, also families of similar good materials",
    meaning=_MEANING,
    uses=frozenset({"distribution", "correlation"}),
    share=SHARE,
    chooser=LookAhead,
    explain=_explained,
    cost=look_ahead_cost,
)
