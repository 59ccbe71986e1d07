"""What is known at each level of theory, and which calculation of which level comes next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sisso_sal.acquisition.scene import Scene
from sisso_sal.acquisition.scores import HITS
from sisso_sal.data.estimated import ESTIMATED_BY
from sisso_sal.data.headers import split_header
from sisso_sal.errors import SettingsError
from sisso_sal.ledger.state import State
from sisso_sal.levels.choice import chances_after, targets_per_cost
from sisso_sal.levels.ladder import LevelValues, MakeLevel
from sisso_sal.protocols import HasPartial, Maximiser, Oracle, Quantity, Space, Surrogate
from sisso_sal.settings.campaign import CampaignSettings

FEWEST_PAIRS = 5
"""Labelled materials that a level is computed for at least, to learn what it says of the target."""

PAIRS_COST = 0.5
"""Cost up to which further labelled materials are computed, in calculations of the last level."""

MANY = 500
"""Values of a lower level above which trees learn them: an ensemble would take long, and says little more."""


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


def levels_of(space: Space, settings: CampaignSettings, state: State, oracles: Mapping[str, Oracle]) -> list[Level]:
    """The lower levels of a campaign, the lowest first; none where all columns are whole and no level is named.

    Parameters
    ----------
    space : Space
    settings : CampaignSettings
    state : State
    oracles : mapping of str to Oracle
        Those of lower levels, by name; what one can never compute counts as failed.
    """
    columns = dict(space.partial) if isinstance(space, HasPartial) else {}
    by_name = {quantity.name: quantity for quantity in columns}
    n, named = len(space.ids), {split_header(str(level.column))[0] for level in settings.lower}
    nothing = np.zeros(n, dtype=bool)
    estimates = _estimates_of(space, settings)
    found = [
        Level("", np.inf, LevelValues(quantity, values, quantity.name in estimates), nothing, nothing)
        for quantity, values in sorted(columns.items(), key=lambda one: (one[0].name in estimates, one[0].name))
        if quantity.name not in named
    ]
    whole = space.rows().features if settings.lower else {}
    by_name |= {quantity.name: quantity for quantity in space.features if quantity.name in named}
    for level in settings.lower:
        name, unit = split_header(str(level.column))
        quantity = by_name.get(name, Quantity(name, unit, str(level.column)))
        values = np.array(columns.get(quantity, whole.get(name, np.full(n, np.nan))))
        own = state.at(level.name)
        given, pending, failed = own.labels, {case.id for case in own.pending}, {case.id for case in own.failed}
        failed |= {*oracles[level.name].barred} if level.name in oracles else set()
        for number, id in enumerate(space.ids):
            values[number] = given.get(id, values[number])
        parts = (np.array([id in ids for id in space.ids]) if ids else nothing for ids in (pending, failed))
        found.append(Level(level.name, level.cost, LevelValues(quantity, values), *parts))
    return found


def _estimates_of(space: Space, settings: CampaignSettings) -> set[str]:
    """Names of columns that estimate the target: those that settings name, and those that ``estimate`` made for it."""
    given = {split_header(column)[0] for column in settings.ensemble.low or ()}
    return given | {f"{space.target.name}_{potential}" for potential in ESTIMATED_BY} if space.target else given


def check_levels_of(settings: CampaignSettings, space: Space) -> None:
    """Refuse levels for candidates that are not listed, and another acquisition than the one that is weighed against costs."""
    if settings.level and isinstance(space, Maximiser):
        raise SettingsError("level: needs candidates of a table, found a space that makes its own")
    if settings.level and settings.acquisition != HITS.name:
        raise SettingsError(
            f"acquisition: needs '{HITS.name}' for a campaign with levels, found '{settings.acquisition}'"
        )


def maker(
    make: Callable[[CampaignSettings, int], Surrogate], settings: CampaignSettings, seed: int, n_levels: int
) -> MakeLevel:
    """How the surrogate of each level is made; with many values it is one of trees.

    Parameters
    ----------
    make : callable
        (settings, seed) -> an unfitted surrogate.
    settings : CampaignSettings
    seed : int
        Of the highest level.
    n_levels : int
        Lower levels.
    """

    def made(low: tuple[str, ...], number: int, n_values: int) -> Surrogate:
        is_last = number == n_levels
        given = settings.ensemble.low or () if is_last else ()
        names = {split_header(column)[0]: None for column in (*low, *given)}
        ensemble = settings.ensemble.model_copy(update={"low": tuple(names) if names or not is_last else None})
        own = settings.model_copy(update={"ensemble": ensemble})
        if not is_last:
            kind = "trees" if n_values > MANY else settings.surrogate
            own = own.model_copy(update={"goal": "min", "surrogate": kind})
        return make(own, seed + 1 + number if not is_last else seed)

    return made


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
    why : str
        In words; "" where there is no choice.
    """

    row: int
    level: str
    score: float
    why: str = ""


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
        The most targets for `last` of each candidate; NaN where there is no prediction.
    list of Calculation
    """
    free = ~(scene.excluded | scene.pending | np.any([level.pending for level in levels], axis=0))
    direct = scene.told.probability(scene.goal.low, scene.goal.high)
    index = [direct]
    for number, level in enumerate(levels):
        moved = np.sqrt((taught[: number + 1] ** 2).sum(axis=0))
        can = level.is_open & (moved > 0)
        chances, weights = chances_after(scene.told, moved, scene.goal)
        index.append(np.where(can, last * targets_per_cost(chances, weights, level.cost, last), -np.inf))
    every = np.array(index)
    scores, choice = every.max(axis=0), np.where(np.isnan(direct), 0, every.argmax(axis=0))
    costs = {level.name: level.cost for level in levels} | {"": last}
    if pairs := [one for level in levels for one in _pairs(scene.ids, target, level, last)]:
        return scores, _affordable(pairs, costs, spend, spend)
    wanted = []
    rows = [row for row in np.flatnonzero(free & np.isfinite(scores)).tolist() if scores[row] > 0]
    for row in sorted(rows, key=lambda row: (-scores[row], scene.ids[row])):
        level = levels[choice[row] - 1].name if choice[row] else ""
        why = (
            f"{scores[row]:.2g} targets for the cost of one last calculation, {direct[row]:.2g} without"
            if level
            else ""
        )
        wanted.append(Calculation(row, level, float(scores[row]), why))
    return scores, _affordable(wanted, costs, spend, left)


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
        Calculation(row, level.name, np.nan, "its label is known; to learn what this level says of it")
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
