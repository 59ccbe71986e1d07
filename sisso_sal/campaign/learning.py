"""From labels to proposals: fit, predict, score, choose."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic

import numpy as np

from sisso_sal.acquisition.baselines import DISTANCE
from sisso_sal.acquisition.batch import Standing
from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.proposal import Proposal, Scored
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.scene import Materials, Policy, Scene, set_scene
from sisso_sal.acquisition.scores import expected_improvement, probability_of_goal
from sisso_sal.acquisition.why import Choice
from sisso_sal.campaign.choice import choose
from sisso_sal.campaign.exclusion import Exclusion
from sisso_sal.campaign.exclusion import excluded as excluded_by_elements
from sisso_sal.campaign.grounds import grounds
from sisso_sal.campaign.levels import levels_of
from sisso_sal.campaign.stopping import cost_left
from sisso_sal.errors import fit_of
from sisso_sal.ledger.state import Case, State
from sisso_sal.levels.choice import Calculation, Level, choose_calculations
from sisso_sal.levels.ladder import Ladder
from sisso_sal.levels.making import maker
from sisso_sal.protocols import (
    Acquisition,
    Continues,
    KnownLabel,
    Maximiser,
    MayTellNothing,
    Oracle,
    Prediction,
    Progress,
    Space,
    Surrogate,
    one_label,
)
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.blocks import predict_all

MakeSurrogate = Callable[[CampaignSettings, int], Surrogate]
"""(settings, seed) -> an unfitted surrogate."""

MODEL_FILE = "model.json"
"""File in the folder of an iteration that holds the surrogate, if it can be saved."""

REPORT = "report.html"
"""Name of the report in a run folder."""

_PACKAGES = ("sisso-sal", "numpy", "scipy", "scikit-learn", "numba", "pandas", "pint", "pymatgen")


def _no_section(settings: CampaignSettings) -> frozenset[str]:
    return frozenset()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):  # pymatgen comes with an extra
            found[name] = version(name)
    return found


@dataclass(frozen=True)
class Tools:
    """The surrogate, the oracle and the callbacks of a campaign.

    Attributes
    ----------
    make_surrogate : callable
        (settings, seed) -> an unfitted surrogate.
    fewest_labels : callable
        (settings) -> labels that the surrogate needs, and why.
    oracle : Oracle, optional
        Source of the labels. Without an oracle a step proposes, and people add the labels.
    progress : callable, optional
        Called with (done, total) during a fit.
    report : callable, optional
        Writes the report; called with the run folder and whether the driver ends now. Returns what the report lacks because it
        could not be made, a line for each part.
    unused_sections : callable
        (settings) -> sections of the settings that the surrogate does not use.
    lower : mapping of str to Oracle
        Sources of the values of lower levels, by their names; people add those of a level that is not there.
    known : mapping of str to mapping of str to KnownLabel
        Labels that oracles had before they were asked: name of the level, "" for the one that counts -> candidate -> label.
    """

    make_surrogate: MakeSurrogate
    fewest_labels: Callable[[CampaignSettings], tuple[int, str]] = one_label
    oracle: Oracle | None = None
    progress: Progress | None = None
    report: Callable[[Path, bool], Sequence[str]] | None = None
    unused_sections: Callable[[CampaignSettings], frozenset[str]] = _no_section
    lower: Mapping[str, Oracle] = field(default_factory=dict)
    known: Mapping[str, Mapping[str, KnownLabel]] = field(default_factory=dict)

    @property
    def barred(self) -> frozenset[str]:
        """Candidates that are not proposed, because the oracle can never label them."""
        return frozenset(self.oracle.barred if self.oracle else ())


@dataclass(frozen=True, eq=False)
class Learned:
    """All results of a fit and of the choice after it, before they are written."""

    iteration: int
    seed: int
    space: Space
    surrogate: Surrogate
    target: np.ndarray
    names: list[str] | None
    known: np.ndarray
    prediction: Prediction
    scored: Scored
    picks: np.ndarray
    choices: list[Choice]
    calculations: list[Calculation] | None
    levels: Sequence[Level]
    ladder: Ladder | None
    batch: int
    best: int
    gain: float | None
    exclusion: Exclusion
    seconds: float

    @property
    def of_last_level(self) -> np.ndarray:
        """Numbers of the candidates that are proposed at the level that counts: ndarray of int."""
        if self.calculations is None:
            return self.picks
        return np.array([one.row for one in self.calculations if not one.level], dtype=np.int64)


def learn(space: Space, settings: CampaignSettings, state: State, batch: int, tools: Tools) -> Learned:
    """Fit on the labels of a state and choose `batch` candidates that have none, are not pending, barred or failed.

    The result depends on the labels, pending and failed candidates, the settings, the number of the iteration, and on what the
    iteration before handed over, as recorded; not on the order in which labels came in.

    Raises
    ------
    FitError
        Too few labels.
    """
    start = monotonic()
    iteration = 1 + (state.iterations[-1].number if state.iterations else 0)
    target, errors = _of_ids(space, state.labels, np.nan), _of_ids(space, state.errors, 0.0)
    known = np.isfinite(target)
    streams = np.random.SeedSequence([settings.seed, iteration]).generate_state(2)
    levels = levels_of(space, settings, state, tools.lower)
    surrogate = _unfitted(tools, settings, int(streams[0]), levels)
    handover = (state.iterations[-1].model or {}).get("handover") if state.iterations else None
    if isinstance(surrogate, Continues) and handover is not None:
        surrogate.begin_from(handover)
    with fit_of(space.name):
        surrogate = surrogate.fit(space, np.flatnonzero(known), target[known], errors[known], tools.progress)
    acquisition = _chosen_by(settings, surrogate)
    are_used = "members" in acquisition.uses or isinstance(space, Maximiser)
    prediction = predict_all(surrogate, space, with_members=are_used)
    goal = Goal.parse(settings.goal)
    pending = _among(space, {case.id for case in waited_for(state)})
    exclusion = excluded_by_elements(space, settings.run, ~known)
    excluded = known | _among(space, {case.id for case in state.failed} | tools.barred | exclusion.ids)
    shares = space.rows().composition if settings.diversity else None
    materials = Materials(space.ids, space.rows().matrix, target, pending, excluded, composition=shares)
    policy = Policy(acquisition, settings.improve_on, batch, diversity=settings.diversity)
    scene = set_scene(prediction, materials, goal, policy, np.random.default_rng(streams[1]))
    calculations = None
    if settings.level and isinstance(surrogate, Ladder):
        proposal, calculations = _at_levels(
            surrogate, space, scene, target, levels, settings.costs[""], cost_left(state, settings)
        )
    else:
        prediction, proposal = choose(scene, prediction, space, surrogate)
    ladder = surrogate if isinstance(surrogate, Ladder) else None
    if ladder is not None:
        space, surrogate = ladder.whole(space), ladder.top
    generated = np.zeros(len(space.ids) - len(target), dtype=bool)
    pending, excluded, known = (np.append(rows, generated) for rows in (pending, excluded, known))
    target = np.append(target, np.full(len(generated), np.nan))
    best = int(np.flatnonzero(known)[goal.best(target[known])])
    free = ~(excluded | pending)
    guessed = {} if ladder is None else ladder.guessed
    choices = grounds(surrogate, space, acquisition, prediction, proposal, free, guessed)
    gain = _largest_gain(prediction.told.take(free), goal, proposal.scored.reference)
    return Learned(
        iteration, int(streams[0]), space, surrogate, target, _names(space, state, settings), known, prediction,
        proposal.scored, proposal.picks, choices, calculations, levels, ladder, batch, best, gain, exclusion, monotonic() - start,
    )  # fmt: skip


def _chosen_by(settings: CampaignSettings, surrogate: Surrogate) -> Acquisition:
    """The acquisition of the settings; where a surrogate tells nothing, the farthest from all labelled materials comes first."""
    acquisition = acquisition_named(settings.acquisition)
    is_blind = isinstance(surrogate, MayTellNothing) and bool(surrogate.untold)
    return DISTANCE if is_blind and acquisition.uses else acquisition


def _names(space: Space, state: State, settings: CampaignSettings) -> list[str] | None:
    """The name of the class of each candidate, "" where it is not known; None where labels are numbers."""
    if not settings.looks_for_classes:
        return None
    known = {case.id: case.class_name for case in state.of("labelled")}
    return [known.get(id, "") for id in space.ids]


def _unfitted(tools: Tools, settings: CampaignSettings, seed: int, levels: Sequence[Level]) -> Surrogate:
    """The surrogate of the campaign; with lower levels one that learns these too."""
    if not levels:
        return tools.make_surrogate(settings, seed)
    return Ladder(maker(tools.make_surrogate, settings, seed, len(levels)), [level.known for level in levels])


def _at_levels(
    ladder: Ladder,
    space: Space,
    scene: Scene,
    target: np.ndarray,
    levels: Sequence[Level],
    last: float,
    left: float,
) -> tuple[Proposal, list[Calculation]]:
    """What comes next of which level, for as much as a batch of the last level costs, or as is left of the budget."""
    taught = ladder.taught(space, np.arange(len(target)))
    spend = scene.batch * last
    scores, calculations = choose_calculations(scene, target, taught, levels, last, spend, left)
    picks = np.array([one.row for one in calculations], dtype=np.int64)
    taken = Standing(np.array([one.score for one in calculations]), np.zeros(len(picks)))
    return Proposal(Scored(scores, scene.goal, scene.best), picks, taken), calculations


def waited_for(state: State) -> list[Case]:
    """Cases for which a label is expected; without an oracle nothing is tried again automatically."""
    return state.of("intended", "submitted", *(("again",) if state.has_oracle else ()))


def _of_ids(space: Space, values: Mapping[str, float], missing: float) -> np.ndarray:
    """ndarray (n,) of the values of few candidates by id, and what all the others have instead."""
    out = np.full(len(space.ids), missing)
    if values:
        for number, id in enumerate(space.ids):
            if id in values:
                out[number] = values[id]
    return out


def _among(space: Space, ids: set[str]) -> np.ndarray:
    """ndarray (n,) of bool: candidates with one of these ids."""
    if not ids:
        return np.zeros(len(space.ids), dtype=bool)
    return np.array([id in ids for id in space.ids], dtype=bool)


def _largest_gain(told: Distribution, goal: Goal, reference: float) -> float | None:
    """Largest expected improvement (in the target's unit) of the candidates or, for a goal with bounds, their largest probability
    to reach it; None if there is no prediction.
    """
    predicted = np.isfinite(told.centre)
    if not predicted.any():
        return None
    told = told.take(predicted)
    if goal.has_bound:
        return float(probability_of_goal(told, goal).max())
    return float(expected_improvement(told, reference, goal.sign).max())
