"""Simulated campaigns with levels of theory: what cheap calculations save on a table in which all of them are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.scene import Materials, Policy, set_scene
from sisso_sal.acquisition.scores import HITS
from sisso_sal.errors import SettingsError
from sisso_sal.levels.choice import Level, choose_calculations
from sisso_sal.levels.ladder import Ladder, LevelValues, MakeLevel
from sisso_sal.protocols import Progress, Quantity, Space
from sisso_sal.replay.simulate import Rules, simulated, start_pool, targets
from sisso_sal.spaces.blocks import predict_all
from sisso_sal.system.executors import HERE, Workers


@dataclass(frozen=True, eq=False)
class KnownLevel:
    """A lower level of which the table has the values.

    Attributes
    ----------
    name : str
    cost : float
    quantity : Quantity
    values : ndarray (n,)
        NaN where it cannot be computed.
    """

    name: str
    cost: float
    quantity: Quantity
    values: np.ndarray


@dataclass(frozen=True)
class CostTrace:
    """One simulated campaign.

    Attributes
    ----------
    cost, found : list
        What was spent, and targets known, at the start and after each calculation.
    calculations : mapping of str to int
        At each level by name; "" for the last one.
    """

    cost: list[float] = field(default_factory=lambda: [0.0])
    found: list[int] = field(default_factory=list)
    calculations: dict[str, int] = field(default_factory=dict)

    def note(self, level: str, cost: float, found: int) -> None:
        """A calculation that was done."""
        self.cost.append(self.cost[-1] + cost)
        self.found.append(found)
        self.calculations[level] = self.calculations.get(level, 0) + 1


@dataclass(frozen=True, eq=False)
class LevelsStrategy:
    """What is computed next.

    Attributes
    ----------
    name : str
    levels : sequence of KnownLevel
        Those that are used, the lowest first.
    make : callable or None
        Seed -> how the surrogate of each level is made; must be picklable. None computes the level for all materials, and then
        takes the best values first.
    """

    name: str
    levels: Sequence[KnownLevel]
    make: Callable[[int], MakeLevel] | None


def simulate_levels(space: Space, strategy: LevelsStrategy, last: float, rules: Rules, seed: int) -> CostTrace:
    """Simulate one campaign until all targets are known, or nothing more can be paid.

    Parameters
    ----------
    space : Space
        Without columns of levels; every label is known.
    strategy : LevelsStrategy
    last : float
        Cost of a calculation of the last level; `Rules.evaluations` of them are the budget.
    rules : Rules
    seed : int
        The start depends on nothing else.
    """
    target = space.labels
    wanted = targets(target, rules)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[0])
    known = np.zeros(len(target), dtype=bool)
    known[rng.permutation(np.flatnonzero(start_pool(space, target, rules)))[: rules.n_start]] = True
    trace = CostTrace(found=[int((known & wanted).sum())])
    if strategy.make is None:
        _best_first(strategy.levels[0], known, wanted, Goal.parse(rules.goal), rules.evaluations * last, last, trace)
        return trace
    values = [np.full(len(target), np.nan) for _ in strategy.levels]
    for step in range(rules.evaluations * len(target)):
        left = rules.evaluations * last - trace.cost[-1]
        chosen = _next(space, strategy, values, known, (last, left), rules, seed * 100_003 + step)
        if not chosen:
            break
        for row, name in chosen:
            number = next((k for k, level in enumerate(strategy.levels) if level.name == name), None)
            if number is None:
                known[row] = True
            else:
                values[number][row] = strategy.levels[number].values[row]
            trace.note(name, last if number is None else strategy.levels[number].cost, int((known & wanted).sum()))
        if not (wanted & ~known).any():
            break
    return trace


def _next(
    space: Space, strategy: LevelsStrategy, values: Sequence[np.ndarray], known: np.ndarray, costs: tuple[float, float],
    rules: Rules, seed: int,
) -> list[tuple[int, str]]:  # fmt: skip
    """Numbers and levels of the next calculations; `costs` are that of the last level, and what is left in all."""
    last, left = costs
    nobody = np.zeros(len(known), dtype=bool)
    levels = [
        Level(level.name, level.cost, LevelValues(level.quantity, found), nobody, np.isnan(level.values))
        for level, found in zip(strategy.levels, values, strict=True)
    ]
    rows, labels = np.flatnonzero(known), np.where(known, space.labels, np.nan)
    assert strategy.make is not None
    ladder = Ladder(strategy.make(seed), [level.known for level in levels])
    ladder.fit(space, rows, labels[rows], np.asarray(space.errors)[rows])
    prediction = predict_all(ladder, space, with_members=False)
    goal = Goal.parse(rules.goal).with_share(rules.target_share)
    everything = space.rows()
    materials = Materials(space.ids, everything.matrix, labels, composition=everything.composition)
    policy = Policy(HITS, rules.improve_on, rules.batch, share=rules.target_share)
    scene = set_scene(prediction, materials, goal, policy, np.random.default_rng(seed))
    taught = ladder.taught(space, np.arange(len(known)))
    spend = rules.batch * last
    return [(one.row, one.level) for one in choose_calculations(scene, labels, taught, levels, last, spend, left)[1]]


def _best_first(
    level: KnownLevel, known: np.ndarray, wanted: np.ndarray, goal: Goal, budget: float, last: float, trace: CostTrace
) -> None:
    """The level of all materials, then the last one of the best of them; what has no value comes last."""
    for _ in np.flatnonzero(np.isfinite(level.values)):
        if trace.cost[-1] + level.cost > budget:
            return
        trace.note(level.name, level.cost, trace.found[-1])
    for row in np.argsort(np.where(np.isnan(level.values), np.inf, goal.distance(level.values)), kind="stable"):
        if known[row]:
            continue
        if trace.cost[-1] + last > budget or not (wanted & ~known).any():
            break
        known[row] = True
        trace.note("", last, int((known & wanted).sum()))


def replay_levels(
    space: Space,
    strategies: Sequence[LevelsStrategy],
    last: float,
    rules: Rules,
    *,
    seeds: int = 10,
    seed: int = 0,
    workers: Workers = HERE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Simulate every strategy from `seeds` starting sets; arguments as of `replay`.

    Returns
    -------
    dict
        n_targets, n_materials, seed, seeds, rules, last, and for each strategy ``levels`` (name and cost), ``cost`` and ``found``
        of each campaign, ``calculations`` (mean number at each level), ``until_half`` and ``until_all`` (cost of each campaign
        until so many targets are known, None where they are not).

    Raises
    ------
    SettingsError
        No or every material is a target.
    """
    wanted = targets(space.labels, rules)
    n_targets = int(wanted.sum())
    if not 0 < n_targets < len(wanted):
        raise SettingsError(f"replay: needs some targets but not all, found {n_targets} of {len(wanted)}")
    start_pool(space, space.labels, rules)
    tasks = {
        (strategy.name, start): partial(simulate_levels, space, strategy, last, rules, start)
        for strategy in strategies
        for start in range(seed, seed + seeds)
    }
    traces = simulated(tasks, workers, progress)
    told = {}
    for strategy in strategies:
        mine = [traces[strategy.name, start] for start in range(seed, seed + seeds)]
        told[strategy.name] = {
            "levels": [{"name": level.name, "cost": level.cost} for level in strategy.levels],
            "cost": [trace.cost for trace in mine],
            "found": [trace.found for trace in mine],
            "calculations": _mean_calculations(mine),
            "until_half": [cost_until(trace, (n_targets + 1) // 2) for trace in mine],
            "until_all": [cost_until(trace, n_targets) for trace in mine],
        }
    about = {"n_targets": n_targets, "n_materials": len(wanted), "seed": seed, "seeds": seeds, "last": last}
    return {**about, "rules": vars(rules).copy(), "strategies": told}


def _mean_calculations(traces: Sequence[CostTrace]) -> Mapping[str, float]:
    names = dict.fromkeys(name for trace in traces for name in trace.calculations)
    return {name: float(np.mean([trace.calculations.get(name, 0) for trace in traces])) for name in names}


def cost_until(trace: CostTrace, n: int) -> float | None:
    """What was spent until so many targets were known; None where they never were.

    Examples
    --------
    >>> cost_until(CostTrace([0.0, 1.0, 101.0], [3, 3, 4]), 4)
    101.0
    """
    return next((cost for cost, found in zip(trace.cost, trace.found, strict=True) if found >= n), None)
