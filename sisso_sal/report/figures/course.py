"""How a campaign went, as numbers: label by label, and fit by fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.ledger.state import Event
from sisso_sal.report.run_view import RunView


@dataclass(frozen=True, eq=False)
class Course:
    """How a campaign went.

    Attributes
    ----------
    ids : list of str, length n_labels
        In the order in which the labels came.
    value, best : ndarray (n_labels,)
        Label, and the best one so far, in the target's unit; those known at the start came all at once. Of classes the label is 1
        for a hit, else 0, and `best` is the number of hits so far.
    core_hours : ndarray (n_labels,)
        Spent up to and with this label.
    n_start : int
        Labels that the first fit had.
    fits : list of dict
        For each iteration: iteration, n_labelled, rmse, mae, coverage95, area, scale (None where they are not known), seconds,
        core_hours (spent before), best, hits (of classes), proposed (ids).
    """

    ids: list[str]
    value: np.ndarray
    best: np.ndarray
    core_hours: np.ndarray
    n_start: int
    fits: list[dict[str, Any]]


def course(view: RunView) -> Course:
    """The course of a campaign; an ensemble without a run is one fit, its labels in the order of the table."""
    goal = Goal.parse(str(view.summary["goal"]))
    if view.state is None:
        return _one_fit(view, goal)
    labels: dict[str, tuple[float, float]] = {}
    spent, fits, n_start = 0.0, [], None
    for event in view.events:
        spent += float(event.get("core_hours") or 0.0) if event["event"] in {"label", "failure"} else 0.0
        if event["event"] == "label":
            labels.pop(event["id"], None)  # a label that was replaced counts where it came last
            labels[event["id"]] = (float(event["value"]), spent)
        elif event["event"] == "model":
            n_start = len(labels) if n_start is None else n_start
            fits.append(_fit(event, spent))
        elif event["event"] == "proposal" and fits:
            fits[-1]["proposed"] = [row["id"] for row in event["proposals"]]
    value = np.array([row[0] for row in labels.values()])
    n_start = len(labels) if n_start is None else n_start
    return Course(
        list(labels), value, _best_so_far(goal, value, n_start),
        np.array([row[1] for row in labels.values()]), n_start, fits,
    )  # fmt: skip


def _one_fit(view: RunView, goal: Goal) -> Course:
    value = view.values("label")[view.labelled]
    n = len(value)
    fit = _fit(
        {
            "iteration": 1, "n_labelled": n, "calibration": view.summary.get("calibration"), "best": view.summary["best"],
            "seconds": None,
        },
        0.0,
    )  # fmt: skip
    return Course(list(view.ids[view.labelled]), value, _best_so_far(goal, value, n), np.zeros(n), n, [fit])


def _fit(model: Event, core_hours: float) -> dict[str, Any]:
    """A row of `Course.fits`, from the ledger's event of a model."""
    accuracy = model.get("calibration") or {}
    return {
        "iteration": model["iteration"], "n_labelled": model["n_labelled"], "rmse": accuracy.get("rmse"),
        "mae": accuracy.get("mae"), "coverage95": accuracy.get("coverage95"), "area": accuracy.get("miscalibration_area"),
        "scale": accuracy.get("scale"), "seconds": model["seconds"], "core_hours": core_hours, "best": model["best"],
        "hits": model.get("hits"), "proposed": [],
    }  # fmt: skip


def _best_so_far(goal: Goal, value: np.ndarray, n_start: int) -> np.ndarray:
    best = np.empty(len(value))
    if goal.classes:
        best[:] = np.cumsum(value)
        best[:n_start] = best[max(n_start - 1, 0) : n_start]
        return best
    leader = 0
    for k in range(len(value)):
        pair = np.array([value[leader], value[k]])
        leader = (leader, k)[goal.best(pair)]
        best[k] = value[leader]
    best[:n_start] = best[max(n_start - 1, 0) : n_start]
    return best
