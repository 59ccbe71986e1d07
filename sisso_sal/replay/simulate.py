"""Simulated campaigns on a table in which every label is known: how many calculations does a strategy save?

A strategy starts from a few labels and gets the label of each material that it picks, never those of the others. Baselines run from
the same starting sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sisso_sal.acquisition.baselines import DISTANCE, RANDOM
from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.proposal import propose
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.scene import Materials, Policy, set_scene
from sisso_sal.errors import SettingsError
from sisso_sal.oxides.elements import element_data
from sisso_sal.protocols import Continues, MayTellNothing, Prediction, Progress, Space, Surrogate
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.replay.claims import ClaimLog, claims_of, honesty
from sisso_sal.replay.merit import figures_of_merit
from sisso_sal.spaces.blocks import predict_all
from sisso_sal.system.executors import HERE, Workers

MakeSurrogate = Callable[[int], Surrogate]
"""seed -> an unfitted surrogate; must be picklable, because it is sent to other processes."""


@dataclass(frozen=True)
class Strategy:
    """How the next materials are picked.

    Attributes
    ----------
    name : str
    acquisition : str
    make_surrogate : callable or None
        None for acquisitions that use no prediction, see `Acquisition`.
    learns : bool
        Whether the surrogate learns from labels; one that does not needs none.
    """

    name: str
    acquisition: str
    make_surrogate: MakeSurrogate | None = None
    learns: bool = True


_AT_RANDOM, _FARTHEST = (Strategy(one.name, one.name) for one in (RANDOM, DISTANCE))


@dataclass(frozen=True)
class Rules:
    """Rules of the simulated campaigns, the same for all strategies.

    Attributes
    ----------
    goal : str
        As in `Goal.parse`; with a bound or a share, materials that reach it are targets. For ``min`` and ``max`` see
        `target_share`.
    target_share : float
        For ``min`` and ``max``: share of all materials, the best ones, that are targets. Acquisitions that need a share use
        this one.
    n_start : int
        Labels at the start.
    start : str
        ``random``; ``worst``: from the worse half; ``without:Ti``: from the materials without the element, see `composition_of`.
    evaluations, batch : int
        Evaluations after the start, and evaluations per batch.
    improve_on : str
        See `sisso_sal.acquisition.scene.REFERENCES`.
    diversity : float
        See `select`.
    """

    goal: str = "min"
    target_share: float = 0.1
    n_start: int = 25
    start: str = "random"
    evaluations: int = 60
    batch: int = 1
    improve_on: str = "mean"
    diversity: float = 0.0


def targets(target: np.ndarray, rules: Rules) -> np.ndarray:
    """ndarray (n,) of bool: the materials that are targets.

    Examples
    --------
    >>> targets(np.array([3.0, 1.0, 2.0, 4.0]), Rules(target_share=0.5)).tolist()
    [False, True, True, False]
    """
    goal = Goal.parse(rules.goal).with_share(rules.target_share)
    return goal.resolved(Distribution.certain(target)).reached(target)


def start_pool(space: Space, target: np.ndarray, rules: Rules) -> np.ndarray:
    """ndarray (n,) of bool: materials among which the starting labels are drawn.

    Raises
    ------
    SettingsError
        The kind of start is unknown, or leaves too few materials.
    """
    if rules.start == "random":
        allowed = np.ones(len(target), dtype=bool)
    elif rules.start == "worst":
        distance = Goal.parse(rules.goal).distance(target)
        allowed = np.argsort(np.argsort(distance, kind="stable"), kind="stable") >= len(target) // 2
    elif match := re.fullmatch(r"without:([A-Z][a-z]?)", rules.start):
        allowed = _without(space, match[1])
    else:
        raise SettingsError(f"start: needs random, worst or without:ELEMENT, found '{rules.start}'")
    if allowed.sum() < rules.n_start:
        raise SettingsError(f"start: needs {rules.n_start} materials to draw from, found {allowed.sum()}")
    return allowed


def _without(space: Space, element: str) -> np.ndarray:
    shares = space.rows().composition
    if shares is None:
        raise SettingsError(
            f"start: needs formulas as ids or in a column 'formula' or 'composition' for without:{element}, found none"
        )
    symbols = list(element_data())
    lacks = shares[:, symbols.index(element)] == 0 if element in symbols else np.ones(len(shares), dtype=bool)
    if lacks.all():
        raise SettingsError(f"start: needs an element that occurs in the formulas, found no '{element}'")
    return lacks


@dataclass(frozen=True)
class Trace:
    """One simulated campaign.

    Attributes
    ----------
    n_found : list of int
        Number of targets known at the start and after each evaluation.
    best : list of float
        Best label at the start and after each evaluation, in the target's unit.
    picks : list of str
        Ids in the order of evaluation.
    record : ClaimLog
        What was claimed of them and of the others.
    """

    n_found: list[int]
    best: list[float]
    picks: list[str]
    record: ClaimLog = field(default_factory=ClaimLog)


def simulate(space: Space, strategy: Strategy, rules: Rules, seed: int) -> Trace:
    """Simulate one campaign; the start depends only on the seed, so that strategies are compared on the same starts.

    While all known labels are equal there is nothing to learn, and a strategy with a surrogate picks at random. Of classes the
    surrogate says when nothing can be told apart; as in a campaign, what is farthest from all known materials comes then.
    """
    target = space.labels
    wanted, goal = targets(target, rules), Goal.parse(rules.goal)
    rng, own = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
    pool = np.flatnonzero(start_pool(space, target, rules))
    known = np.zeros(len(target), dtype=bool)
    known[rng.permutation(pool)[: rules.n_start]] = True
    trace = Trace([int((known & wanted).sum())], [_best(goal, target[known])], [])
    rows, handover = space.rows(), None
    while len(trace.picks) < rules.evaluations and not known.all():
        labels = np.where(known, target, np.nan)
        is_blind = strategy.make_surrogate is not None and strategy.learns and np.ptp(target[known]) == 0
        now = _AT_RANDOM if is_blind and not goal.classes else strategy
        prediction, handover, says_nothing = _predict(now, space, labels, seed * 100_003 + len(trace.picks), handover)
        now = _FARTHEST if says_nothing else now
        left = rules.evaluations - len(trace.picks)
        materials = Materials(space.ids, rows.matrix, labels, composition=rows.composition)
        policy = Policy(
            acquisition_named(now.acquisition), rules.improve_on, min(rules.batch, left), rules.diversity, rules.target_share,
        )  # fmt: skip
        claims = claims_of(prediction, labels, goal.with_share(rules.target_share))
        trace.record.note_pool(claims, target, wanted, known)
        picks = propose(set_scene(prediction, materials, goal, policy, own)).picks
        for pick in picks if len(picks) else own.permutation(np.flatnonzero(~known))[:1]:
            known[pick] = True
            trace.n_found.append(int((known & wanted).sum()))
            trace.best.append(_best(goal, target[known]))
            trace.picks.append(space.ids[pick])
            trace.record.note_pick(claims, pick, float(target[pick]), bool(wanted[pick]))
    return trace


def _best(goal: Goal, values: np.ndarray) -> float:
    return float(values[goal.best(values)])


def _predict(
    strategy: Strategy, space: Space, labels: np.ndarray, seed: int, handover: Mapping[str, Any] | None
) -> tuple[Prediction, Mapping[str, Any] | None, bool]:
    """The prediction, what the fit hands over to the next one, as a campaign does, and whether it tells nothing apart.

    `handover` is what the last one handed over.
    """
    if strategy.make_surrogate is None:
        nothing = np.zeros(len(labels))
        members, valid = np.zeros((1, len(labels))), np.ones((1, len(labels)), dtype=bool)
        return Prediction(nothing, nothing, nothing, members, valid), handover, False
    known = np.flatnonzero(np.isfinite(labels))
    surrogate = strategy.make_surrogate(seed)
    if isinstance(surrogate, Continues) and handover is not None:
        surrogate.begin_from(handover)
    surrogate = surrogate.fit(space, known, labels[known], np.asarray(space.errors)[known])
    handover = surrogate.handover() if isinstance(surrogate, Continues) else None
    says_nothing = isinstance(surrogate, MayTellNothing) and bool(surrogate.untold)
    return predict_all(surrogate, space), handover, says_nothing


def replay(
    space: Space,
    strategies: Sequence[Strategy],
    rules: Rules,
    *,
    seeds: int = 10,
    seed: int = 0,
    workers: Workers = HERE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Simulate every strategy from `seeds` starting sets.

    Parameters
    ----------
    space : Space
        Every label is known.
    strategies : sequence of Strategy
    rules : Rules
    seeds : int
        Campaigns of each strategy.
    seed : int
        Seed of the first campaign; each further campaign has the next seed. It determines the start, the surrogates and all
        random picks.
    workers : Workers
        The result does not depend on them.
    progress : callable, optional
        Called with (campaigns done, campaigns in all).

    Returns
    -------
    dict
        The document of ``replay --json``: n_targets, n_materials, seed, seeds, rules, and for each strategy ``found``, ``best`` and
        ``picks`` of each seed, and the figures of `figures_of_merit`. Where its surrogate gives a sigma, also ``claims`` of each
        seed: ``mean``, ``low``, ``high`` (95 % interval) and ``hit`` (probability to be a target) of each pick when it was chosen,
        its ``label`` and whether it ``is_target``; and the figures of `honesty`. Elsewhere both are None.

    Raises
    ------
    SettingsError
        No or every material is a target, labels are missing, there are more evaluations than materials, or two strategies have
        the same name.
    """
    wanted = _checked_targets(space, strategies, rules)
    starts = range(seed, seed + seeds)
    tasks = {
        (strategy.name, start): partial(simulate, space, strategy, rules, start)
        for strategy in strategies
        for start in starts
    }
    traces = simulated(tasks, workers, progress)
    n_targets = int(wanted.sum())
    document: dict[str, Any] = {
        "n_targets": n_targets,
        "n_materials": len(wanted),
        "seed": seed,
        "seeds": seeds,
        "rules": vars(rules).copy(),
        "strategies": {},
    }
    for strategy in strategies:
        mine = [traces[(strategy.name, start)] for start in starts]
        document["strategies"][strategy.name] = {
            "found": [trace.n_found for trace in mine],
            "best": [trace.best for trace in mine],
            "picks": [trace.picks for trace in mine],
            **_claims([trace.record for trace in mine], rules.evaluations),
            **figures_of_merit([trace.n_found for trace in mine], n_targets, len(wanted), rules.n_start),
        }
    return document


def _claims(records: Sequence[ClaimLog], evaluations: int) -> dict[str, Any]:
    """``claims`` and ``honesty`` of the document."""
    told = honesty(records, evaluations)
    names = ("mean", "low", "high", "hit", "label", "is_target")
    claims = [{name: getattr(record, name) for name in names} for record in records]
    return {"claims": None if told is None else claims, "honesty": told}


def _checked_targets(space: Space, strategies: Sequence[Strategy], rules: Rules) -> np.ndarray:
    """ndarray (n,) of bool: the targets, as in `targets`; errors as in `replay`."""
    names = [strategy.name for strategy in strategies]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingsError(f"strategies: needs names that differ, found '{twice[0]}' twice")
    if space.target is None:
        raise SettingsError(f"{space.name}: needs every label to simulate, found no target")
    target = space.labels
    if not np.isfinite(target).all():
        raise SettingsError(f"{space.name}: needs every label to simulate, found {(~np.isfinite(target)).sum()} gaps")
    wanted = targets(target, rules)
    if not 0 < wanted.sum() < len(wanted):
        raise SettingsError(f"replay: needs some targets but not all, found {wanted.sum()} of {len(wanted)}")
    start_pool(space, target, rules)
    if rules.n_start + rules.evaluations > len(target):
        raise SettingsError(
            f"evaluations: needs at most {len(target) - rules.n_start} after the start, found {rules.evaluations}"
        )
    return wanted


def simulated(
    tasks: Mapping[tuple[str, int], Callable[[], Any]], workers: Workers, progress: Progress | None
) -> dict[tuple[str, int], Any]:
    """What each task gives, under its key.

    Parameters
    ----------
    tasks : mapping of (strategy, seed) to callable
        Picklable.
    workers : Workers
        The results do not depend on them.
    progress : callable, optional
    """
    out: dict[tuple[str, int], Any] = {}
    for (key, _), traced in workers.unordered(_simulate, tasks.items()):
        out[key] = traced
        if progress:
            progress(len(out), len(tasks))
    return out


def _simulate(task: tuple[tuple[str, int], Callable[[], Any]]) -> Any:
    return task[1]()
