"""At which level of theory a candidate is calculated next: targets per cost, with or without a cheap look first.

A calculation of the last level costs much and decides. A cheaper one may show that a candidate is not worth it. Whoever looks first
goes on only where the result is good, and saves the expensive calculation elsewhere. The index of an action is the largest ratio of
expected targets to expected cost that it can have: that of the optimal rule for boxes that can be opened in any order (Weitzman,
Econometrica 47, 641 (1979)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.scene import Scene
from sisso_sal.levels.ladder import LevelValues
from sisso_sal.protocols.distribution import Distribution

FEWEST_PAIRS = 5
"""Labelled materials that a level is computed for at least, to learn what it says of the target."""

PAIRS_COST = 0.5
"""Cost up to which further labelled materials are computed, in calculations of the last level."""

CLEARLY = 1.5
"""By how much a look must promise more targets per cost than none: both are estimates, and the best of several is too good."""

N_OUTCOMES = 9
"""Results that a look may have, in place of all of them (nodes of a Gauss-Hermite quadrature)."""


@dataclass(frozen=True, eq=False)
class Level:
    """A lower level of theory, and what is known of all n candidates at it.

    Attributes
    ----------
    name : str
        "" of a column that nobody computes during the campaign.
    cost : float
    known : LevelValues
    pending, failed : ndarray (n,) of bool
        Candidates that are being computed at this level, and those of which it has failed for good.
    """

    name: str
    cost: float
    known: LevelValues
    pending: np.ndarray
    failed: np.ndarray

    @property
    def is_open(self) -> np.ndarray:
        """ndarray (n,) of bool: candidates that can be computed at this level."""
        return (self.name != "") & np.isnan(self.known.values) & ~self.pending & ~self.failed


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
    >>> bool(abs(weights @ chances[:, 0] - told.probability(high=0.0)[0]) < 0.01), float(chances[:, 0].max().round(2))
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


@dataclass(frozen=True, eq=False)
class Calculation:
    """One calculation that is proposed.

    Attributes
    ----------
    row : int
        Number of the candidate.
    level : str
        Name of the level; "" for the last.
    score : float
        Targets for the cost of a calculation of the last level.
    because : str
        In words; "" at the last level.
    """

    row: int
    level: str
    score: float
    because: str = ""


def choose_calculations(
    scene: Scene,
    target: np.ndarray,
    taught: np.ndarray,
    levels: Sequence[Level],
    last: float,
    spend: float,
    left: float,
) -> tuple[np.ndarray, list[Calculation]]:
    """The calculations that come next, and the score of every candidate.

    As long as a level lacks the pairs of values from which it is learned what it says, only labelled materials. Then each candidate
    at the level with the most targets per cost, see `targets_per_cost`.

    Parameters
    ----------
    scene : Scene
        Its goal has a bound.
    target : ndarray (n,)
        Labels of the last level; NaN where not known.
    taught : ndarray (n_levels, n)
        See `Ladder.taught`.
    levels : sequence of Level
    last : float
        Cost of a calculation of the last level.
    spend, left : float
        Cost that may be spent now, and in all.

    Returns
    -------
    scores : ndarray (n,)
        The most targets for `last` of each candidate, of a look divided by `CLEARLY`; NaN where there is no prediction.
    list of Calculation
    """
    free = ~(scene.excluded | scene.pending | np.any([level.pending for level in levels], axis=0))
    direct = scene.told.probability(scene.goal.low, scene.goal.high)
    index = [direct]
    # A look is of use where what counts can be paid after it.
    unpaid = levels_unpaid(scene.ids, target, levels, last, left)
    followed = [level for level in levels if level.cost + last <= left * (1 + 1e-9) and level.name not in unpaid]
    for number, level in enumerate(levels):
        moved = np.sqrt((taught[: number + 1] ** 2).sum(axis=0))
        can = level.is_open & (moved > 0) & (level in followed)
        chances, weights = chances_after(scene.told, moved, scene.goal)
        promised = last * targets_per_cost(chances, weights, level.cost, last)
        index.append(np.where(can, promised / CLEARLY, -np.inf))
    every = np.array(index)
    scores, choice = every.max(axis=0), np.where(np.isnan(direct), 0, every.argmax(axis=0))
    costs = {level.name: level.cost for level in levels} | {"": last}
    if pairs := [one for level in followed for one in _pairs(scene.ids, target, level, last)]:
        return scores, _affordable(pairs, costs, spend, left)
    wanted = []
    # It tells candidates apart whose probabilities are too small for a number.
    nearness = scene.told.log_probability(scene.goal.low, scene.goal.high)
    rows = np.flatnonzero(free & np.isfinite(scores)).tolist()
    for row in sorted(rows, key=lambda row: (-scores[row], -nearness[row], scene.ids[row])):
        level = levels[choice[row] - 1].name if choice[row] else ""
        promised = f"{CLEARLY * scores[row]:.2g} targets for its cost, {direct[row]:.2g} without"
        wanted.append(Calculation(row, level, float(scores[row]), promised if level else ""))
    return scores, _affordable(wanted, costs, spend, left)


def levels_unpaid(
    ids: Sequence[str], target: np.ndarray, levels: Sequence[Level], last: float, left: float
) -> dict[str, str]:
    """Levels that are not begun, and why: fewer values than `FEWEST_PAIRS` would teach nothing, and their cost would be lost.

    Parameters
    ----------
    ids : sequence of str
    target : ndarray (n,)
        Labels of the last level; NaN where not known.
    levels : sequence of Level
    last, left : float
        Cost of a calculation of the last level, and what may be spent in all.
    """
    unpaid = {}
    for level in levels:
        known = np.isfinite(target)
        lacking = FEWEST_PAIRS - int((known & (np.isfinite(level.known.values) | level.pending)).sum())
        lacking = min(lacking, int((known & level.is_open).sum()))
        cost = lacking * level.cost + last
        if lacking > 0 and cost > left * (1 + 1e-9):
            unpaid[level.name] = (
                f"not begun, as {lacking} labelled materials to learn from and a calculation that counts cost {cost:g}, and "
                f"{left:g} of the budget is left"
            )
            continue
        left -= level.cost * len(_pairs(ids, target, level, last))
    return unpaid


def _pairs(ids: Sequence[str], target: np.ndarray, level: Level, last: float) -> list[Calculation]:
    """Labelled materials of which a level is computed first, spread evenly over their labels."""
    known = np.isfinite(target)
    has_some = known & (np.isfinite(level.known.values) | level.pending)
    number = int(min(known.sum(), max(FEWEST_PAIRS, PAIRS_COST * last / level.cost)) - has_some.sum())
    rows = np.flatnonzero(known & level.is_open)
    if number < 1 or not len(rows):
        return []
    rows = np.array(sorted(rows.tolist(), key=lambda row: (target[row], ids[row])))
    even = np.unique(np.linspace(0, len(rows) - 1, min(number, len(rows))).round().astype(int))
    return [
        Calculation(row, level.name, np.nan, "its label is known: to learn what the level says")
        for row in rows[even].tolist()
    ]


def _affordable(
    wanted: Sequence[Calculation], costs: Mapping[str, float], spend: float, left: float
) -> list[Calculation]:
    """The first of them, as many as can be paid; after a cheap one there must be enough left for one that counts."""
    kept = []
    for one in wanted:
        cost = costs[one.level]
        spend, left = spend - cost, left - cost
        if min(spend, left - (costs[""] if one.level else 0.0)) < -1e-9 * cost:
            break
        kept.append(one)
    return kept
