"""From labels to proposals: fit, predict, score, choose; and the files of an iteration."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.proposal import Scored
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.scene import Materials, Policy, evaluations_after, set_scene
from sisso_sal.acquisition.scores import expected_hits, expected_improvement, probability_of_goal
from sisso_sal.campaign.choice import choose
from sisso_sal.campaign.exclusion import Exclusion, marked
from sisso_sal.campaign.exclusion import excluded as excluded_by_elements
from sisso_sal.campaign.recent_labels import PREDICTIONS, recent_labels
from sisso_sal.campaign.stopping import evaluations_left
from sisso_sal.campaign.summary import SUMMARY, check_files, digests, read_summary
from sisso_sal.data.spreadsheet import csv_of
from sisso_sal.errors import DocumentError
from sisso_sal.ledger.state import Case, Event, State
from sisso_sal.protocols import (
    Cause,
    Continues,
    Described,
    Documented,
    HasOutOfBag,
    Maximiser,
    Oracle,
    Planned,
    Prediction,
    Progress,
    Space,
    Surrogate,
    one_label,
)
from sisso_sal.protocols.cause import counted
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.blocks import predict_all
from sisso_sal.spaces.snapshot import CANDIDATES
from sisso_sal.system.storage import clear_scratch, scratch_folder, sync_folder, write_whole, writing

MakeSurrogate = Callable[[CampaignSettings, int], Surrogate]
"""(settings, seed) -> an unfitted surrogate."""

MODEL_FILE = "model.json"
"""File in the folder of an iteration that holds the surrogate, if it can be saved."""

REPORT = "report.html"
"""Name of the report in a run folder."""

_PACKAGES = ("sisso-sal", "numpy", "scipy", "scikit-learn", "numba", "pandas", "pint", "pymatgen")
_PROPOSAL = ("id", "mean", "std", "score", "low95", "high95", "formula", "n_valid", "outside", "distance", "contains")


def _no_section(settings: CampaignSettings) -> frozenset[str]:
    return frozenset()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


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
    """

    make_surrogate: MakeSurrogate
    fewest_labels: Callable[[CampaignSettings], tuple[int, str]] = one_label
    oracle: Oracle | None = None
    progress: Progress | None = None
    report: Callable[[Path, bool], Sequence[str]] | None = None
    unused_sections: Callable[[CampaignSettings], frozenset[str]] = _no_section

    @property
    def barred(self) -> frozenset[str]:
        """Candidates that are not proposed, because the oracle can never label them."""
        return frozenset(self.oracle.barred if self.oracle else ())


@dataclass(frozen=True, eq=False)
class Learned:
    """All results of a fit and of the choice after it, before they are written."""

    iteration: int
    seed: int
    surrogate: Surrogate
    target: np.ndarray
    known: np.ndarray
    prediction: Prediction
    scored: Scored
    picks: np.ndarray
    batch: int
    horizon: int
    best: int
    gain: float | None
    exclusion: Exclusion
    seconds: float


def learn(
    space: Space, settings: CampaignSettings, state: State, batch: int, tools: Tools, horizon: int | None = None
) -> Learned:
    """Fit on the labels of a state and choose `batch` candidates that have none, are not pending, barred or failed.

    The result depends on the labels, pending and failed candidates, the settings, the number of the iteration, and on what the
    iteration before handed over, as recorded; not on the order in which labels came in. `horizon` is
    that of the settings or, where less is left, of the budget, unless it is given.

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
    acquisition = acquisition_named(settings.acquisition)
    surrogate = tools.make_surrogate(settings, int(streams[0]))
    handover = (state.iterations[-1].model or {}).get("handover") if state.iterations else None
    if isinstance(surrogate, Continues) and handover is not None:
        surrogate.begin_from(handover)
    if isinstance(surrogate, Planned) and acquisition.cost is not None:
        surrogate.expect([acquisition.cost(int((~known).sum()), len(waited_for(state)), batch)])
    surrogate = surrogate.fit(space, np.flatnonzero(known), target[known], errors[known], tools.progress)
    are_used = "members" in acquisition.uses or isinstance(space, Maximiser)
    prediction = predict_all(surrogate, space, with_members=are_used)
    goal = Goal.parse(settings.goal)
    pending = _among(space, {case.id for case in waited_for(state)})
    exclusion = excluded_by_elements(space, settings.run, ~known)
    excluded = known | _among(space, {case.id for case in state.failed} | tools.barred | exclusion.ids)
    if horizon is None:
        horizon = int(max(1, min(settings.horizon, evaluations_left(state, settings))))
    shares = space.rows().composition if settings.diversity else None
    materials = Materials(space.ids, space.rows().matrix, target, pending, excluded, composition=shares)
    policy = Policy(acquisition, settings.improve_on, batch, horizon, diversity=settings.diversity)
    scene = set_scene(prediction, materials, goal, policy, np.random.default_rng(streams[1]))
    prediction, proposal = choose(scene, prediction, space, surrogate)
    generated = np.zeros(len(space.ids) - len(target), dtype=bool)
    pending, excluded, known = (np.append(rows, generated) for rows in (pending, excluded, known))
    target = np.append(target, np.full(len(generated), np.nan))
    best = int(np.flatnonzero(known)[goal.best(target[known])])
    free = ~(excluded | pending)
    gain = _largest_gain(prediction.told.take(free), goal, proposal.scored.reference)
    return Learned(
        iteration, int(streams[0]), surrogate, target, known, prediction, proposal.scored, proposal.picks, batch, horizon,
        best, gain, exclusion, monotonic() - start,
    )  # fmt: skip


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


# Files ---------------------------------------------------------------------------------------------------------------


def folder_name(iteration: int) -> str:
    """``iter-0001`` for the first."""
    return f"iter-{iteration:04d}"


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
    summary = {**_summary(space, settings, learned, columns), "recent_labels": recent}
    target = run / folder_name(learned.iteration)
    with writing(target):
        clear_scratch(target)
        scratch = scratch_folder(target)
        if isinstance(learned.surrogate, Documented):
            write_whole(scratch / MODEL_FILE, _json(learned.surrogate.document(space)))
        if isinstance(space, Maximiser):
            write_whole(scratch / CANDIDATES, space.snapshot())
        write_whole(scratch / PREDICTIONS, csv_of(pd.DataFrame(columns)))
        proposals = pd.DataFrame(summary["proposals"], columns=list(_PROPOSAL))
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
        "horizon": learned.horizon,
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
        "label": learned.target,
        "mean": prediction.mean,
        "std": prediction.std,
        "std_raw": prediction.std_raw,
        "n_valid": prediction.n_valid,
        "low95": prediction.interval95[0],
        "high95": prediction.interval95[1],
        "formula": unknown if prediction.formula is None else prediction.formula,
        "outside": unknown if prediction.outside is None else prediction.outside,
        "distance": unknown if prediction.distance is None else prediction.distance,
        "score": learned.scored.scores,
        "oob_mean": oob_mean,
        "oob_std": oob_std,
        "reason": prediction.reason,
    }


def _summary(
    space: Space, settings: CampaignSettings, learned: Learned, columns: Mapping[str, Sequence[str] | np.ndarray]
) -> dict[str, Any]:
    """`columns` are those of `_predictions`."""
    prediction = learned.prediction
    proposals = [
        {name: _cell(name, columns[name][row]) for name in _PROPOSAL if name != "contains"} | {"contains": contains}
        for row, contains in zip(learned.picks.tolist(), marked(space, learned.picks), strict=True)
    ]
    bound, target = learned.scored.goal, space.target
    chosen = prediction.take(learned.picks)
    open_rows = ~learned.known
    return {
        "iteration": learned.iteration,
        "target": None if target is None else {"name": target.name, "unit": target.unit},
        "surrogate": settings.surrogate,
        "goal": settings.goal,
        "acquisition": settings.acquisition,
        "horizon": learned.horizon,
        "n_later": evaluations_after(learned.batch, learned.horizon),
        "n_labelled": int(learned.known.sum()),
        "n_candidates": int(open_rows.sum()),
        "excluded": learned.exclusion.document(),
        "n_without_prediction": int(np.isnan(prediction.mean[open_rows]).sum()),
        "without_prediction": counted(prediction.reason[open_rows]),
        "n_invalid_predictions": int((~prediction.valid[:, open_rows]).sum()),
        "invalid_predictions": _causes(prediction, open_rows),
        "proposals": proposals,
        "best": {"id": space.ids[learned.best], "value": float(learned.target[learned.best])},
        "improve_on": learned.scored.reference,
        "wanted": str(bound),
        "expected_hits": expected_hits(chosen.told, bound) if bound.has_bound else None,
        "calibration": None,
        **(learned.surrogate.describe(space) if isinstance(learned.surrogate, Described) else {}),
        **space.describe().get("remarks", {}),
        "settings": settings.model_dump(mode="json", exclude={"run"}),
    }


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
    return int(value) if name == "n_valid" else _finite(value)


def _finite(value: float) -> float | None:
    """For JSON, which has no NaN and no infinity."""
    return float(value) if np.isfinite(value) else None
