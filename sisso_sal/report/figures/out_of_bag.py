"""Known against predicted: out-of-bag residuals, and how their size compares with sigma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import bdtr

from sisso_sal.acquisition.goal import Goal
from sisso_sal.errors import InputError
from sisso_sal.models.calibration import (
    LEVELS,
    calibrate,
    coverage_curve,
    error_against_sigma,
    probabilities,
    reliability,
)
from sisso_sal.models.recalibration import Recalibration, held_out
from sisso_sal.protocols.distribution import HIT_BOUND, Distribution
from sisso_sal.report.run_view import RunView


@dataclass(frozen=True, eq=False)
class OutOfBag:
    """Labelled materials with their out-of-bag predictions, all in the target's unit.

    Attributes
    ----------
    ids : list of str, length n
    known : ndarray (n,)
    raw : ndarray (n,)
        Sigma before recalibration; NaN where the surrogate gives no out-of-bag sigma.
    told : Distribution
        Without a sigma of no use but for `predicted`.
    """

    ids: list[str]
    known: np.ndarray
    raw: np.ndarray
    told: Distribution

    @property
    def predicted(self) -> np.ndarray:
        """ndarray (n,)."""
        return self.told.estimate

    @property
    def sigma(self) -> np.ndarray:
        """ndarray (n,): after recalibration."""
        return self.told.std

    @property
    def residual(self) -> np.ndarray:
        """ndarray (n,): known − predicted."""
        return self.known - self.predicted

    def reaches(self, residuals: bool) -> tuple[np.ndarray, np.ndarray]:
        """How far the 95 % interval reaches below and above each point of a plot, (n,) each: of predictions, or of residuals, where
        it holds zero if the label is inside.
        """
        low, high = self.told.interval(0.95)
        below, above = self.predicted - low, high - self.predicted
        return (above, below) if residuals else (below, above)

    @property
    def has_sigma(self) -> bool:
        """Whether the predictions have a sigma."""
        return bool(np.isfinite(self.raw).all())


def has_out_of_bag(view: RunView) -> bool:
    """Whether any labelled material has an out-of-bag prediction of its number."""
    return not view.is_of_classes and bool(np.isfinite(view.values("oob_mean")[view.labelled]).any())


def has_out_of_bag_sigma(view: RunView) -> bool:
    """Whether any out-of-bag prediction of a number has a sigma."""
    has_both = np.isfinite(view.values("oob_mean")) & np.isfinite(view.values("oob_std"))
    return not view.is_of_classes and bool(has_both[view.labelled].any())


def out_of_bag(view: RunView, *, needs_sigma: bool = False) -> OutOfBag:
    """The out-of-bag predictions of a view: those with a sigma, or all where none has one and none is needed.

    Raises
    ------
    InputError
        There are none: every label was in every member's sample, the surrogate gives none, or it was read from a file. Or labels
        are classes.
    """
    if view.is_of_classes:
        raise InputError(f"{view.title}: needs a target that is a number, found the goal '{view.summary['goal']}'")
    known, predicted, raw = (view.values(name) for name in ("label", "oob_mean", "oob_std"))
    is_given = np.isfinite(known) & np.isfinite(predicted)
    rows = np.flatnonzero(is_given & np.isfinite(raw)) if has_out_of_bag_sigma(view) else np.flatnonzero(is_given)
    if not len(rows):
        raise InputError(f"{view.title}: needs out-of-bag predictions of labelled materials, found none")
    if needs_sigma and not has_out_of_bag_sigma(view):
        raise InputError(f"{view.title}: needs the standard deviation of out-of-bag predictions, found none")
    told = _recalibration(view).distribution(predicted[rows], raw[rows], _floor(view))
    return OutOfBag(list(view.ids[rows]), known[rows], raw[rows], told)


def _recalibration(view: RunView) -> Recalibration:
    """That of the ensemble; without one sigma stays raw."""
    return (None if view.ensemble is None else view.ensemble.recalibration) or Recalibration()


def _floor(view: RunView) -> float:
    """The lowest value that the ensemble believes in."""
    return -np.inf if view.ensemble is None else view.ensemble.floor


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Observed against nominal coverage.

    Attributes
    ----------
    levels : ndarray (n_levels,)
        Probabilities of central intervals.
    raw, recalibrated : ndarray (n_levels,)
        Share of labels inside; each label is judged by a recalibration that did not use it.
    low, high : ndarray (n_levels,)
        The range in which a perfect sigma lies with a probability of 95 %.
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
        There are no out-of-bag predictions with a sigma.
    """
    seen = out_of_bag(view, needs_sigma=True)
    levels, n = np.asarray(LEVELS), len(seen.known)
    kind = _recalibration(view).kind
    raw = coverage_curve(probabilities("none", seen.known, seen.predicted, seen.raw))
    learned = coverage_curve(probabilities(kind, seen.known, seen.told.centre, seen.raw, floor=_floor(view)))
    low, high = (binomial_quantile(q, n, levels) / n for q in (0.025, 0.975))
    return CalibrationCurve(levels, raw, learned, low, high, n, kind)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Claimed probabilities to reach the goal against what labels show, by fifths of the claim.

    Attributes
    ----------
    goal : str
        Its bound in words.
    rows : list of dict
        See `sisso_sal.models.calibration.reliability`, with ``low`` and ``high``: the range of ``real`` that so many labels leave
        open with a probability of 95 % (Wilson, J. Am. Stat. Assoc. 22, 209 (1927)).
    """

    goal: str
    rows: list[dict[str, float]]


def reliability_of_hits(view: RunView) -> Reliability | None:
    """Of the labels of a view, each by predictions and a recalibration that did not use it; None where the goal has no bound, or no
    label has a prediction with a sigma. Of classes the probabilities are as they are.
    """
    if view.is_of_classes:
        return _reliability_of_classes(view)
    wanted = view.summary.get("wanted")
    if wanted is None or not Goal.parse(wanted).has_bound or not has_out_of_bag_sigma(view):
        return None
    goal = Goal.parse(wanted)
    seen = out_of_bag(view, needs_sigma=True)
    claimed = np.empty(len(seen.known))
    kind = _recalibration(view).kind
    for rows, told in held_out(kind, seen.known, seen.predicted, seen.raw, floor=_floor(view)):
        claimed[rows] = told.probability(goal.low, goal.high)
    rows = [row | range_of_share(row["real"], row["n"]) for row in reliability(claimed, goal.reached(seen.known))]
    return Reliability(goal.bound_in_words, rows)


def _reliability_of_classes(view: RunView) -> Reliability | None:
    known, claimed = view.values("label"), view.values("oob_mean")
    rows = np.isfinite(known) & np.isfinite(claimed)
    if not rows.any():
        return None
    told = [row | range_of_share(row["real"], row["n"]) for row in reliability(claimed[rows], known[rows] > HIT_BOUND)]
    return Reliability(Goal.parse(str(view.summary["goal"])).bound_in_words, told)


def range_of_share(share: float, n: float) -> dict[str, float]:
    """Wilson's interval, of 95 %; rounding does not bring an end past a share of 0 or 1."""
    z = 1.959963984540054
    centre, half = (share + z * z / (2 * n)), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return {"low": float(np.clip(low, 0.0, share)), "high": float(np.clip(high, share, 1.0))}


def groups_by_sigma(seen: OutOfBag) -> list[dict[str, float]]:
    """Five groups of equal size by sigma: n, root mean square sigma, root mean square residual."""
    return error_against_sigma(seen.residual, seen.sigma)


def accuracy(view: RunView) -> dict[str, Any] | None:
    """How well the surrogate predicts: the entries of `Calibration` that are known, None for the others; None without any.

    What the surrogate said of itself comes first, then what its out-of-bag predictions show.
    """
    said = view.summary.get("calibration")
    if said is None:
        said = _measured(view)
    if said is None:
        return None
    keys = (
        "n", "mae", "rmse", "spearman", "kind", "scale", "coverage95", "coverage95_raw", "miscalibration_area",
        "miscalibration_area_raw", "noise_floor", "noise_floor95",
    )  # fmt: skip
    return {key: said.get(key) for key in keys}


def _measured(view: RunView) -> dict[str, Any] | None:
    if not has_out_of_bag(view):
        return None
    seen = out_of_bag(view)
    if seen.has_sigma and (seen.raw > 0).any():
        return calibrate(seen.known, seen.predicted, seen.raw, "none")[0].as_dict()
    residual = seen.residual
    return {
        "n": len(residual),
        "mae": float(np.mean(np.abs(residual))),
        "rmse": float(np.sqrt(np.mean(np.square(residual)))),
    }


def binomial_quantile(q: float, n: int, p: np.ndarray) -> np.ndarray:
    """Numbers of successes in n trials of probability p (m,) that are not exceeded with probability q: ndarray (m,) of int.

    As `scipy.stats.binom.ppf`, which takes half a second to import.

    Examples
    --------
    >>> binomial_quantile(0.975, 10, np.array([0.1, 0.5, 0.9]))
    array([ 3,  8, 10])
    """
    return np.argmax(bdtr(np.arange(n + 1)[:, None], n, p) >= q, axis=0)
