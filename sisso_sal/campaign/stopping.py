"""When a campaign ends, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.ledger.state import State
from sisso_sal.protocols import FAILURES
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.documents import one_line, shown

UNUSABLE = "unusable"
HALTS = ("person", UNUSABLE)
"""Kinds of a stop that holds at once, also for a single step, until discover is run again."""
_PATIENCE = 3


@dataclass(frozen=True)
class Stop:
    """A reason to end: ``budget``, ``core_hours``, ``hits``, ``gain`` or ``nothing_left``, and the same as text."""

    kind: str
    why: str


def spent(state: State, settings: CampaignSettings) -> float:
    """What the evaluations so far cost, those that are running included; without levels each costs 1."""
    return sum(cost * len(state.at(name).asked) for name, cost in settings.costs.items())


def cost_left(state: State, settings: CampaignSettings) -> float:
    """What may still be spent; infinite without a budget."""
    budget = settings.run.budget
    return np.inf if budget is None else max(0.0, budget - spent(state, settings))


def core_hours_expected(state: State) -> float:
    """Core-hours spent at all levels, and the expected ones of pending calculations: each the mean of those that have ended."""
    total = 0.0
    for one in (state, *state.levels.values()):
        ended = sum(case.attempt > 0 for case in one.of("labelled", "failed"))
        mean = one.core_hours / ended if ended else 0.0
        total += one.core_hours + mean * len(one.pending)
    return total


def reason_to_stop(state: State, settings: CampaignSettings) -> Stop | None:
    """The first reason not to submit more; None to go on.

    Parameters
    ----------
    state : State
        Its newest proposal is current.
    settings : CampaignSettings
    """
    run = settings.run
    if run.budget is not None and (left := cost_left(state, settings)) < settings.costs[""]:
        what = f"the budget of {run.budget:g}{'' if settings.level else ' evaluations'}"
        rest = f"{left:g} of {what} {'is' if left == 1 else 'are'} left, less than a calculation that counts costs"
        return Stop("budget", rest if left else f"{what} is spent")
    if run.core_hours is not None and (hours := core_hours_expected(state)) >= run.core_hours:
        return Stop("core_hours", f"{hours:.4g} of {run.core_hours:.4g} core-hours are spent")
    if run.hits is not None and (n := hits_reached(state, settings)) >= run.hits:
        return Stop("hits", f"{n} labels reach {settings.goal}, {run.hits} were wanted")
    if state.proposal is None or not state.is_current:
        return None
    gain = state.proposal.get("gain")
    if run.min_gain is not None and gain is not None and gain < run.min_gain:
        has_bound = Goal.parse(settings.goal).has_bound
        what = "probability to reach the goal" if has_bound else "expected improvement"
        return Stop("gain", f"the largest {what} is {gain:.3g}, below {run.min_gain:.3g}")
    if not state.proposal["proposals"] and not any(one.pending for one in (state, *state.levels.values())):
        return Stop("nothing_left", "no candidate is left that can be proposed")
    return None


def hits_reached(state: State, settings: CampaignSettings) -> int:
    """Number of labels that reach the goal, including those of the start."""
    values = np.array(list(state.labels.values()), dtype=float)
    return int(Goal.parse(settings.goal).reached(values).sum()) if len(values) else 0


def unusable_answers(state: State, oracle: Mapping[str, Any], level: str = "") -> list[tuple[str, dict[str, Any]]]:
    """The events that end a campaign whose first answers cannot be used: at least three, and no other; else none.

    The candidates are tried again when the campaign continues. A failure that the oracle names itself, such as not_converged, is an
    answer of use.

    Parameters
    ----------
    state : State
        Of the level.
    oracle : mapping
        What the oracle says of itself.
    level : str
        Name of a lower level.
    """
    failures = [f for case in state.cases.values() for f in case.failures if f.get("source") == "oracle"]
    if any(case.source == "oracle" for case in state.of("labelled")) or any(_is_of_use(f["kind"]) for f in failures):
        return []
    cases = [case for case in state.failed if case.failures[-1] in failures and case.failures[-1]["kind"] == "invalid"]
    if len(cases) < _PATIENCE:
        return []
    first = min(cases, key=lambda case: case.failures[-1]["seq"])
    name = f"command {shown(oracle['command'])}" if "command" in oracle else "oracle"
    reason = one_line(first.failures[-1]["reason"], 300)
    why = f"the first {len(cases)} answers of the {name} cannot be used; {shown(first.id)}: {reason}"
    of = {"level": level} if level else {}
    why = f"level {level}: {why}" if level else why
    retries = [("retry", {"id": case.id, "by": "campaign", **of}) for case in cases]
    return [*retries, ("stop", {"kind": UNUSABLE, "why": why, "by": "campaign"})]


def _is_of_use(kind: str) -> bool:
    return kind != "invalid" and not FAILURES.get(kind, True)
