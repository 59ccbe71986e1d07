"""The files of an iteration, and the events that record it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.acquisition.scores import expected_hits
from sisso_sal.campaign.learning import MODEL_FILE, Learned, versions
from sisso_sal.campaign.marks import MARKS, marked
from sisso_sal.campaign.recent_labels import PREDICTIONS, recent_labels
from sisso_sal.campaign.stopping import cost_left
from sisso_sal.campaign.summary import LEVELS, SUMMARY, check_files, digests, read_summary
from sisso_sal.data.spreadsheet import csv_of
from sisso_sal.errors import DocumentError
from sisso_sal.ledger.state import Event, State
from sisso_sal.levels.choice import levels_unpaid
from sisso_sal.protocols import Cause, Continues, Cost, Described, Documented, HasOutOfBag, Maximiser, Prediction, Space
from sisso_sal.protocols.cause import counted
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.snapshot import CANDIDATES
from sisso_sal.system.costs import interpreter_seconds
from sisso_sal.system.storage import clear_scratch, scratch_folder, sync_folder, write_whole, writing

_PROPOSAL = ("id", "mean", "std", "score", "low95", "high95", "formulas_mean", "n_valid", "outside", "distance")
_OF_CHOICE = ("chosen_by", "rank", "probability", "reason", "why")
"""Why a candidate was chosen, see `Choice`."""
_OF_LEVEL = ("level", "because")


def folder_name(iteration: int) -> str:
    """``iter-0001`` for the first."""
    return f"iter-{iteration:04d}"


FILE_STEPS = (150_000, 44)
PAGE_STEPS = (900_000, 28)
"""Steps of the interpreter (`interpreter_seconds`) that the files of an iteration and the report take: for themselves, and for each
candidate."""


def files_cost(n_candidates: int, has_report: bool) -> Cost:
    """What files and report take after a fit.

    Examples
    --------
    >>> files_cost(10**6, False).what, files_cost(10**6, True).seconds > files_cost(10**6, False).seconds
    ('the files', True)
    """
    parts = (FILE_STEPS, PAGE_STEPS) if has_report else (FILE_STEPS,)
    steps = sum(own + each * n_candidates for own, each in parts)
    what = "the files and the report" if has_report else "the files"
    return Cost(what, steps * interpreter_seconds(), 0, "fewer candidates")


def write_iteration(
    run: Path, space: Space, settings: CampaignSettings, learned: Learned, state: State
) -> dict[str, Any]:
    """Write the folder of an iteration, completely or not at all; returns its summary. `state` is that before the iteration.

    Raises
    ------
    StorageError
        The disk refuses; an earlier folder of this name is as it was.
    """
    import pandas as pd

    columns = _predictions(space, learned)
    recent = recent_labels(run, state.iterations, space.ids, learned.target, np.asarray(columns["oob_mean"]))
    told = _summary(space, settings, learned, columns, cost_left(state, settings))
    summary = {**told, "recent_labels": recent}
    target = run / folder_name(learned.iteration)
    with writing(target):
        clear_scratch(target)
        scratch = scratch_folder(target)
        if isinstance(learned.surrogate, Documented) and (content := learned.surrogate.document(learned.space)):
            write_whole(scratch / MODEL_FILE, _json(content))
        if isinstance(space, Maximiser) or learned.ladder is not None:
            write_whole(scratch / CANDIDATES, learned.space.snapshot())
        if learned.ladder is not None:
            write_whole(scratch / LEVELS, csv_of(pd.DataFrame(learned.ladder.table(space.ids))))
        write_whole(scratch / PREDICTIONS, csv_of(pd.DataFrame(columns)))
        names = (
            *_PROPOSAL,
            *_OF_CHOICE,
            *(mark.name for mark in MARKS),
            *(_OF_LEVEL if learned.calculations is not None else ()),
        )
        proposals = pd.DataFrame(summary["proposals"], columns=list(names))
        write_whole(scratch / "proposals.csv", csv_of(proposals))
        write_whole(scratch / SUMMARY, _json(summary))
        # A folder of this name is left from an interrupted step, or is incomplete.
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    sync_folder(run)
    return summary


def events_of(run: Path, settings: CampaignSettings, state: State, learned: Learned, summary: dict[str, Any]) -> list:
    """The two events that record an iteration: its model and its proposals."""
    name = folder_name(learned.iteration)
    model = {
        "iteration": learned.iteration,
        "folder": name,
        "files": digests(run / name),
        "seed": learned.seed,
        "n_labelled": summary["n_labelled"],
        "best": summary["best"],
        **({"hits": summary["hits"]} if "hits" in summary else {}),
        "calibration": summary["calibration"],
        "settings": (state.created or {}).get("seq"),
        "versions": versions(),
        "seconds": round(learned.seconds, 3),
    }
    if isinstance(learned.surrogate, Continues) and (handover := learned.surrogate.handover()) is not None:
        model["handover"] = handover
    proposal = {
        "iteration": learned.iteration,
        "folder": name,
        "seed": settings.seed,
        "model": state.n_events + 1,
        "batch": learned.batch,
        "gain": learned.gain,
        "proposals": summary["proposals"],
    }
    return [("model", model), ("proposal", proposal)]


def whole_summary(run: Path, model: Event | None, folder: str) -> dict[str, Any] | None:
    """The summary of an iteration; None if a file is missing or differs from what was written."""
    try:
        check_files(run / folder, model)
        return read_summary(run / folder)
    except DocumentError:
        return None


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _predictions(space: Space, learned: Learned) -> dict[str, Sequence[str] | np.ndarray]:
    """Columns with a cell per material; for labelled ones also the out-of-bag mean and raw standard deviation."""
    unknown = np.full(len(space.ids), np.nan)
    oob_mean, oob_std = unknown.copy(), unknown.copy()
    if isinstance(learned.surrogate, HasOutOfBag):
        oob_mean[learned.known], oob_std[learned.known] = learned.surrogate.out_of_bag
    prediction = learned.prediction
    return {
        "id": space.ids,
        **({} if learned.names is None else {"class": learned.names}),
        "label": learned.target,
        "mean": prediction.mean,
        "std": prediction.std,
        "std_raw": prediction.std_raw,
        "n_valid": prediction.n_valid,
        "low95": prediction.interval95[0],
        "high95": prediction.interval95[1],
        "formulas_mean": unknown if prediction.formulas_mean is None else prediction.formulas_mean,
        "outside": unknown if prediction.outside is None else prediction.outside,
        "distance": unknown if prediction.distance is None else prediction.distance,
        "score": learned.scored.scores,
        "oob_mean": oob_mean,
        "oob_std": oob_std,
        "reason": prediction.reason,
    }


def _summary(
    space: Space,
    settings: CampaignSettings,
    learned: Learned,
    columns: Mapping[str, Sequence[str] | np.ndarray],
    left: float,
) -> dict[str, Any]:
    """`columns` are those of `_predictions`; `left` is what may still be spent."""
    prediction = learned.prediction
    proposals = [
        {name: _cell(name, columns[name][row]) for name in _PROPOSAL} | reasons | marks
        for row, reasons, marks in zip(
            learned.picks.tolist(), reasons_of(learned), marked(space, learned.picks), strict=True
        )
    ]
    bound, target = learned.scored.goal, space.target
    chosen = prediction.take(learned.of_last_level)
    open_rows = ~learned.known
    return {
        "iteration": learned.iteration,
        "target": None if target is None else {"name": target.name, "unit": target.unit},
        "surrogate": settings.surrogate,
        "goal": settings.goal,
        "acquisition": settings.acquisition,
        "n_labelled": int(learned.known.sum()),
        "n_candidates": int(open_rows.sum()),
        "excluded": learned.exclusion.document(),
        "n_without_prediction": int(np.isnan(prediction.mean[open_rows]).sum()),
        "without_prediction": counted(prediction.reason[open_rows]),
        "n_invalid_predictions": int((~prediction.valid[:, open_rows]).sum()),
        "invalid_predictions": _causes(prediction, open_rows),
        "proposals": proposals,
        "levels": None if learned.ladder is None else _levels(learned, settings, left),
        "best": {"id": space.ids[learned.best], "value": float(learned.target[learned.best])},
        **_classes(learned),
        "improve_on": learned.scored.reference,
        "wanted": str(bound),
        "expected_hits": expected_hits(chosen.told, bound) if bound.has_bound else None,
        "calibration": None,
        **(learned.surrogate.describe(learned.space) if isinstance(learned.surrogate, Described) else {}),
        **space.describe().get("remarks", {}),
        "settings": settings.model_dump(mode="json", exclude={"run"}),
    }


def _classes(learned: Learned) -> dict[str, Any]:
    """Of classes the number of labels of each, the most frequent first, and how many are looked for; of numbers nothing."""
    if learned.names is None:
        return {}
    counts = Counter(name for name in learned.names if name)
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return {"classes": ordered, "hits": int(np.nansum(learned.target))}


def reasons_of(learned: Learned) -> list[dict[str, Any]]:
    """Why each candidate was chosen: ``chosen_by``, ``rank``, ``probability``, ``reason``, ``why``; with levels score and level."""
    rows = [
        {
            "chosen_by": finite(one.chosen_by),
            "rank": one.rank,
            "probability": finite(one.probability),
            "reason": one.reason,
            "why": one.why,
        }
        for one in learned.choices
    ]
    for row, one in zip(rows, learned.calculations or (), strict=bool(learned.calculations)):
        row |= {"score": finite(one.score), "level": one.level or None, "because": one.because}
        row |= dict.fromkeys(("reason", "why"), f"{one.level} first: {one.because}") if one.level else {}
    return rows


def _levels(learned: Learned, settings: CampaignSettings, left: float) -> dict[str, Any]:
    """The lower levels, see `Ladder.told`, each with its cost and why it is not begun, if so; and name and cost of the last one
    where levels are named. `left` is what may still be spent.
    """
    costs = settings.costs
    names = [level.name for level in learned.levels]
    unpaid = levels_unpaid(learned.space.ids, learned.target, learned.levels, costs[""], left)
    lower = [
        row | {"cost": costs.get(name) if name else None, "because": unpaid.get(name, "")}
        for name, row in zip(names, learned.ladder.told(names) if learned.ladder else (), strict=True)
    ]
    last = {"name": settings.level[-1].name, "cost": settings.level[-1].cost} if settings.level else None
    return {"lower": lower, "last": last}


def _causes(prediction: Prediction, rows: np.ndarray) -> dict[str, int]:
    """How many predictions of members are not valid, by cause; empty where the surrogate tells none."""
    if prediction.cause is None:
        return {}
    counts = np.zeros(1 + max(Cause), dtype=np.int64)
    for member in prediction.cause:
        counts += np.bincount(member[rows], minlength=len(counts))
    causes = {cause.words: int(counts[cause]) for cause in Cause if counts[cause]}
    return dict(sorted(causes.items(), key=lambda item: (-item[1], item[0])))


def _cell(name: str, value: Any) -> str | int | float | None:
    """A cell of `_predictions` for JSON."""
    if name == "id":
        return value
    return int(value) if name == "n_valid" else finite(value)


def finite(value: float) -> float | None:
    """For JSON, which has no NaN and no infinity."""
    return float(value) if np.isfinite(value) else None
