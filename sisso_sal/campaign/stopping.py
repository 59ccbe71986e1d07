"""When a campaign ends, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.ledger.state import State
from sisso_sal.settings.campaign import CampaignSettings


@dataclass(frozen=True)
class Stop:
    """A reason to end: ``budget``, ``core_hours``, ``targets``, ``gain`` or ``nothing_left``, and the same as text."""

    kind: str
    why: str


def evaluations_left(state: State, settings: CampaignSettings) -> float:
    """Candidates that may still be submitted; infinite without a budget."""
    budget = settings.run.budget
    return np.inf if budget is None else max(0, budget - len(state.asked))


def core_hours_expected(state: State) -> float:
    """Core-hours spent, and the expected ones of pending calculations: each the mean of those that have ended."""
    ended = sum(case.attempt > 0 for case in state.of("labelled", "failed"))
    mean = state.core_hours / ended if ended else 0.0
    return state.core_hours + mean * len(state.pending)


def reason_to_stop(state: State, settings: CampaignSettings) -> Stop | None:
    """The first reason not to submit more; None to go on.

    Parameters
    ----------
    state : State
        Its newest proposal is current.
    settings : CampaignSettings
    """
    run = settings.run
    if evaluations_left(state, settings) == 0:
        return Stop("budget", f"the budget of {run.budget} evaluations is spent")
    if run.core_hours is not None and (spent := core_hours_expected(state)) >= run.core_hours:
        return Stop("core_hours", f"{spent:.4g} of {run.core_hours:.4g} core-hours are spent")
    if run.targets is not None and (n := targets_reached(state, settings)) >= run.targets:
        return Stop("targets", f"{n} labels reach {settings.goal}, {run.targets} were wanted")
    if state.proposal is None or not state.is_current:
        return None
    gain = state.proposal.get("gain")
    if run.min_gain is not None and gain is not None and gain < run.min_gain:
        has_bound = Goal.parse(settings.goal).has_bound
        what = "probability to reach the goal" if has_bound else "expected improvement"
        return Stop("gain", f"the largest {what} is {gain:.3g}, below {run.min_gain:.3g}")
    if not state.proposal["proposals"] and not state.pending:
        return Stop("nothing_left", "no candidate is left that can be proposed")
    return None


def targets_reached(state: State, settings: CampaignSettings) -> int:
    """Number of labels that reach the goal, including those of the start."""
    values = np.array(list(state.labels.values()), dtype=float)
    return int(Goal.parse(settings.goal).reached(values).sum()) if len(values) else 0
