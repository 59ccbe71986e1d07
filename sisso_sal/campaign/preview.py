"""What a campaign would propose next, without doing anything."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.campaign.filled import as_begun
from sisso_sal.campaign.inputs import (
    Origins,
    check_learnable,
    labels_elsewhere,
    new_labels,
    recall,
    refuse_changes,
    resolved,
)
from sisso_sal.campaign.learning import Tools, learn, waited_for
from sisso_sal.campaign.results import finite, reasons_of
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.state import State
from sisso_sal.ledger.store import DATABASE, read_ledger
from sisso_sal.protocols import Space
from sisso_sal.settings.campaign import CampaignSettings


def check_start(space: Space, settings: CampaignSettings, run: Path, tools: Tools) -> None:
    """Refuse inputs on which no surrogate can be fitted; an existing run has enough labels, of its table or of its ledger."""
    is_begun, known = (run / DATABASE).exists(), {*tools.known.get("", {})}
    if is_begun and not known and not np.isfinite(space.labels).any():
        known = {*fold(read_ledger(run).events()).labels}
    check_learnable(space, (1, "") if is_begun else tools.fewest_labels(settings), known)


def preview(
    space: Space, settings: CampaignSettings, run: str | os.PathLike[str], tools: Tools, origins: Origins | None = None
) -> dict[str, Any]:
    """What the next proposal would be, were it made now; nothing is written and no lock is taken.

    Returns
    -------
    dict
        run, iteration, is_new (False if that iteration is recorded and there are no new labels), n_labelled, pending, target,
        acquisition, and ``proposals`` as ``[{"id", "mean", "std", "score", "chosen_by", "rank", "probability", "why"}]``.

    Raises
    ------
    CampaignError, FitError
        As `discover`.
    """
    settings = resolved(settings, space)
    run = Path(run)
    check_start(space, settings, run, tools)
    state = State()
    if (run / DATABASE).exists():
        state = fold(read_ledger(run).events())
        recall(space, state)
    if state.created is not None and state.iterations:
        refuse_changes(run, state, space, settings, None, origins or {})
    new = new_labels(space, state.labels)
    if state.iterations:
        begun = as_begun(run, state, space)
        space, new = begun.space, [*new, *begun.events]
    state = _after(new, state)
    state = _after(labels_elsewhere(tools.known, state), state)
    document = {
        "run": str(run),
        "n_labelled": len(state.labels),
        "pending": [case.id for case in waited_for(state)],
        "target": {"name": target.name, "unit": target.unit} if (target := space.target) else None,
        "acquisition": settings.acquisition,
        "goal": settings.goal,
        "is_new": not state.is_current,
        **space.describe().get("remarks", {}),
    }
    if state.is_current and state.proposal is not None:
        return {**document, "iteration": state.proposal["iteration"], "proposals": state.proposal["proposals"]}
    learned = learn(space, settings, state, settings.batch, tools)
    columns = {"mean": learned.prediction.mean, "std": learned.prediction.std, "score": learned.scored.scores}
    proposals = [
        {"id": space.ids[pick], **{name: finite(float(values[pick])) for name, values in columns.items()}, **reasons}
        for pick, reasons in zip(learned.picks, reasons_of(learned), strict=True)
    ]
    return {**document, "iteration": learned.iteration, "proposals": proposals}


def _after(new: Iterable[tuple[str, dict[str, Any]]], state: State) -> State:
    """The state as these events would make it."""
    return fold([{"seq": state.n_events + 1, "time": "", "event": kind, **data} for kind, data in new], state)
