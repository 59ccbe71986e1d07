"""What the figures show, as numbers: errors against sigma, calibration, the course of a campaign, what recurs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import binom

from sisso_sal.acquisition.goal import Goal
from sisso_sal.errors import InputError
from sisso_sal.models.calibration import LEVELS, Recalibration, coverage_curve, error_against_sigma, held_out_quantiles
from sisso_sal.report.run_view import RunView

RECURRENCES = ("primaries", "operators", "descriptors")
N_BARS = 20


@dataclass(frozen=True, eq=False)
class Judged:
    """Labelled materials with what did not see them said of them, all in the target's unit.

    Attributes
    ----------
    ids : list of str, length n
    known, predicted : ndarray (n,)
    raw, sigma : ndarray (n,)
        As it comes, and recalibrated.
    half95 : ndarray (n,)
        Half width of the 95 % interval.
    """

    ids: list[str]
    known: np.ndarray
    predicted: np.ndarray
    raw: np.ndarray
    sigma: np.ndarray
    half95: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """ndarray (n,): known less predicted."""
        return self.known - self.predicted


def judged(view: RunView) -> Judged:
    """The out-of-bag predictions of a view.

    Raises
    ------
    InputError
        There are none: every label was in every member's sample, or the ensemble was read from a file.
    """
    known, predicted, raw = (view.values(name) for name in ("label", "oob_mean", "oob_std"))
    rows = np.flatnonzero(np.isfinite(known) & np.isfinite(predicted) & np.isfinite(raw))
    if not len(rows):
        raise InputError(f"{view.title}: needs out-of-bag predictions of labelled materials, found none")
    found = view.ensemble.recalibration_ or Recalibration()
    raw = raw[rows]
    return Judged(list(view.ids[rows]), known[rows], predicted[rows], raw, found.std(raw), found.half_width(0.95, raw))


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Observed against nominal coverage.

    Attributes
    ----------
    levels : ndarray (n_levels,)
        Probabilities of central intervals.
    raw, recalibrated : ndarray (n_levels,)
        Share of labels inside; the recalibrated intervals were learned without the label.
    low, high : ndarray (n_levels,)
        Where that share lies 95 times in a hundred for a perfect sigma.
    n : int
    kind : str
        Of the recalibration.
    """

    levels: np.ndarray
    raw: np.ndarray
    recalibrated: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int
    kind: str


def calibration_curve(view: RunView) -> CalibrationCurve:
    """The curve of a view.

    Raises
    ------
    InputError
        There are no out-of-bag predictions.
    """
    found = judged(view)
    levels, n = np.asarray(LEVELS), len(found.known)
    kind = view.ensemble.recalibrate if view.ensemble.recalibration_ else "none"
    with np.errstate(invalid="ignore"):  # an infinite quantile of a sigma of 0
        raw = coverage_curve(found.error, ndtri(0.5 + levels / 2)[:, None] * found.raw)
        widths = np.where(found.raw > 0, held_out_quantiles(kind, found.error, found.raw, levels) * found.raw, 0.0)
    low, high = (binom.ppf(q, n, levels) / n for q in (0.025, 0.975))
    return CalibrationCurve(levels, raw, coverage_curve(found.error, widths), low, high, n, kind)


def groups_by_sigma(found: Judged) -> list[dict[str, float]]:
    """Five groups of equal size by sigma: n, root mean square sigma, root mean square error."""
    return error_against_sigma(found.error, found.sigma)


@dataclass(frozen=True, eq=False)
class Course:
    """How a campaign went, label by label and fit by fit.

    Attributes
    ----------
    ids : list of str, length n_labels
        In the order in which they came.
    value, best : ndarray (n_labels,)
        Label, and the best one so far, in the target's unit; those known at the start came all at once.
    core_hours : ndarray (n_labels,)
        Spent up to and with this label.
    n_start : int
        Labels that the first fit had.
    fits : list of dict
        For each iteration: iteration, n_labelled, rmse, mae, coverage95, area, scale, seconds, core_hours (spent before), best,
        proposed (ids).
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
        value = view.values("label")[view.labelled]
        one = [_fit(1, len(value), view.summary["calibration"], view.summary["best"], None, 0.0, [])]
        n = len(value)
        return Course(
            list(view.ids[view.labelled]), value, _best_so_far(goal, value, n), np.zeros(n), n, one,
        )  # fmt: skip
    labels: dict[str, tuple[float, float]] = {}
    spent, fits, n_start = 0.0, [], None
    for event in view.events:
        spent += float(event.get("core_hours") or 0.0) if event["event"] in {"label", "failure"} else 0.0
        if event["event"] == "label":
            labels.pop(event["id"], None)  # a label that was replaced counts where it came last
            labels[event["id"]] = (float(event["value"]), spent)
        elif event["event"] == "model":
            n_start = len(labels) if n_start is None else n_start
            fits.append(
                _fit(
                    event["iteration"],
                    event["n_labelled"],
                    event["calibration"],
                    event["best"],
                    event["seconds"],
                    spent,
                    [],
                )
            )
        elif event["event"] == "proposal" and fits:
            fits[-1]["proposed"] = [row["id"] for row in event["proposals"]]
    value = np.array([row[0] for row in labels.values()])
    n_start = len(labels) if n_start is None else n_start
    return Course(
        list(labels), value, _best_so_far(goal, value, n_start),
        np.array([row[1] for row in labels.values()]), n_start, fits,
    )  # fmt: skip


def _fit(number, n_labelled, calibration, best, seconds, core_hours, proposed) -> dict[str, Any]:
    told = calibration or {}
    return {
        "iteration": number, "n_labelled": n_labelled, "rmse": told.get("rmse"), "mae": told.get("mae"),
        "coverage95": told.get("coverage95"), "area": told.get("miscalibration_area"), "scale": told.get("scale"),
        "seconds": seconds, "core_hours": core_hours, "best": best, "proposed": proposed,
    }  # fmt: skip


def _best_so_far(goal: Goal, value: np.ndarray, n_start: int) -> np.ndarray:
    best = np.empty(len(value))
    leader = 0
    for k in range(len(value)):
        pair = np.array([value[leader], value[k]])
        leader = (leader, k)[goal.best(pair)]
        best[k] = value[leader]
    best[:n_start] = best[max(n_start - 1, 0) : n_start]
    return best


def recurring(view: RunView, kind: str) -> list[tuple[str, float]]:
    """Names and the share of formulas in which they occur, the most frequent first, `N_BARS` at most.

    Raises
    ------
    InputError
        The kind is unknown.
    """
    if kind not in RECURRENCES:
        raise InputError(f"kind: needs one of {', '.join(RECURRENCES)}, found '{kind}'")
    return list(view.summary["recurrence"][kind].items())[:N_BARS]


def day(time: str) -> str:
    """Date and time of an event to the minute, UTC.

    Examples
    --------
    >>> day("2026-11-24T22:31:44.968+00:00")
    '2026-11-24 22:31 UTC'
    """
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M UTC")
