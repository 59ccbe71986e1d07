"""What simulated campaigns claimed before a label was known, and whether it came true: intervals, and probabilities of a hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.scores import probability_of_goal
from sisso_sal.protocols import Prediction

N_QUARTERS = 4
"""Parts of a campaign for which coverage is shown."""

N_FIFTHS = 5
"""Parts of the range from 0 to 1 into which probabilities of a hit are sorted."""


@dataclass(frozen=True, eq=False)
class Claims:
    """What one prediction claims of n materials.

    Attributes
    ----------
    mean, low, high : ndarray (n,)
        Prediction and ends of the 95 % interval, in the target's unit; NaN where the surrogate gives no sigma. Of classes the
        prediction is a probability, and there is no interval.
    hit : ndarray (n,)
        Probability to be a target.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    hit: np.ndarray

    @property
    def is_made(self) -> np.ndarray:
        """ndarray (n,) of bool: where something is claimed."""
        return np.isfinite(self.hit)


def claims_of(prediction: Prediction, labels: np.ndarray, goal: Goal) -> Claims:
    """What a prediction of n materials claims.

    Parameters
    ----------
    prediction : Prediction
    labels : ndarray (n,)
        In the target's unit; NaN where not known.
    goal : Goal
        With a bound or a share. That of a share follows from labels and predictions, as in `set_scene`.

    Examples
    --------
    >>> mean, std = np.array([0.0, 1.0, 5.0]), np.array([0.0, 1.0, 1.0])
    >>> prediction = Prediction(mean, std, std, mean[None], np.ones((1, 3), dtype=bool))
    >>> claims_of(prediction, np.array([0.0, np.nan, np.nan]), Goal.parse("<=1")).hit.round(2)
    array([nan, 0.5, 0. ])
    """
    nothing = np.full(len(labels), np.nan)
    if goal.classes and prediction.distribution is not None:
        hit = probability_of_goal(prediction.told, goal)
        return Claims(hit, nothing, nothing, hit)
    is_made = np.isfinite(prediction.mean) & (prediction.std > 0)
    if not is_made.any():
        return Claims(nothing, nothing, nothing, nothing)
    bound = goal.resolved(prediction.told.known_as(labels))
    hit = probability_of_goal(prediction.told, bound)
    return Claims(*(np.where(is_made, values, np.nan) for values in (prediction.mean, *prediction.interval95, hit)))


@dataclass(eq=False)
class ClaimLog:
    """What one campaign claimed, and what came true.

    Attributes
    ----------
    mean, low, high, hit : list of float or None
        Of each pick when it was chosen, as in `Claims`; None where nothing was claimed, of classes also for low and high.
    label : list of float
        Of each pick.
    is_target : list of bool
    pool : ndarray (N_FIFTHS, 3)
        For each fifth of the probability of a hit: number, sum of the probabilities and number of targets of all materials without
        label, over all choices.
    pool_covered : ndarray (2,) of int
        Number of claims for materials without label over all choices, and of those whose label lies in the 95 % interval.
    """

    mean: list[float | None] = field(default_factory=list)
    low: list[float | None] = field(default_factory=list)
    high: list[float | None] = field(default_factory=list)
    hit: list[float | None] = field(default_factory=list)
    label: list[float] = field(default_factory=list)
    is_target: list[bool] = field(default_factory=list)
    pool: np.ndarray = field(default_factory=lambda: np.zeros((N_FIFTHS, 3)))
    pool_covered: np.ndarray = field(default_factory=lambda: np.zeros(2, dtype=np.int64))

    def note_pick(self, claims: Claims, number: int, label: float, is_target: bool) -> None:
        """Note what is claimed of a material that is picked."""
        for name in ("mean", "low", "high", "hit"):
            value = float(getattr(claims, name)[number])
            getattr(self, name).append(value if claims.is_made[number] and np.isfinite(value) else None)
        self.label.append(label)
        self.is_target.append(is_target)

    def note_pool(self, claims: Claims, target: np.ndarray, wanted: np.ndarray, known: np.ndarray) -> None:
        """Note what is claimed of all materials that are not `known`; the arguments are ndarray (n,)."""
        open_ = np.flatnonzero(~known & claims.is_made)
        label = target[open_]
        self.pool += fifths(claims.hit[open_], wanted[open_])
        self.pool_covered += [len(open_), ((claims.low[open_] <= label) & (label <= claims.high[open_])).sum()]


def fifths(hit: np.ndarray, is_target: np.ndarray) -> np.ndarray:
    """For each fifth of the probability of a hit: number, sum of the probabilities, number of targets.

    Parameters
    ----------
    hit : ndarray (n,)
        Between 0 and 1.
    is_target : ndarray (n,) of bool

    Returns
    -------
    ndarray (N_FIFTHS, 3)
        The upper edge of a fifth belongs to it.

    Examples
    --------
    >>> fifths(np.array([0.0, 0.2, 0.9]), np.array([False, True, True])).round(1).tolist()[::4]
    [[2.0, 0.2, 1.0], [1.0, 0.9, 1.0]]
    """
    place = np.clip(np.ceil(hit * N_FIFTHS - 1e-9).astype(np.int64) - 1, 0, N_FIFTHS - 1)
    weights = (np.ones(len(hit)), hit, np.asarray(is_target, dtype=float))
    return np.column_stack([np.bincount(place, one, N_FIFTHS) for one in weights])


def honesty(records: Sequence[ClaimLog], evaluations: int) -> dict[str, Any] | None:
    """Coverage and reliability over campaigns of one strategy; None where nothing was claimed.

    Returns
    -------
    dict
        ``coverage95``, None for classes: ``n`` and ``share`` of the picks whose label lay in the 95 % interval claimed when they
        were chosen, the same for each quarter of the campaign (``quarters``) and for all materials without label at all choices
        (``pool``).
        ``hits``: for picks (``proposals``) and ``pool`` a list of the fifths of the probability of a hit, each with ``from``,
        ``to``, ``n``, the mean probability ``claimed`` and the share of targets ``real``; for all picks ``claimed`` and ``real``
        numbers of targets for each campaign. A share of nothing is None.
    """
    picks = [
        (number, record.low[number], record.high[number], record.hit[number], label, is_target)
        for record in records
        for number, (label, is_target) in enumerate(zip(record.label, record.is_target, strict=True))
        if record.hit[number] is not None
    ]
    if not picks:
        return None
    number, low, high, hit, label, is_target = (np.array(column) for column in zip(*picks, strict=True))
    quarter = N_QUARTERS * number // evaluations
    return {
        "coverage95": None if low[0] is None else _coverage(records, low, high, label, quarter),
        "p_hit": {
            "claimed": float(hit.sum()) / len(records),
            "real": float(is_target.sum()) / len(records),
            "proposals": shares_of(fifths(hit, is_target)),
            "pool": shares_of(np.sum([record.pool for record in records], axis=0)),
        },
    }


def _coverage(
    records: Sequence[ClaimLog], low: np.ndarray, high: np.ndarray, label: np.ndarray, quarter: np.ndarray
) -> dict[str, Any]:
    """``coverage95`` of `honesty`, of picks (n_picks,)."""
    inside = (low <= label) & (label <= high)
    n_pool, n_covered = np.sum([record.pool_covered for record in records], axis=0).tolist()
    return {
        **_share(inside),
        "quarters": [_share(inside[quarter == part]) for part in range(N_QUARTERS)],
        "pool": {"n": n_pool, "share": n_covered / n_pool},
    }


def _share(inside: np.ndarray) -> dict[str, Any]:
    return {"n": len(inside), "share": float(inside.mean()) if len(inside) else None}


def shares_of(tally: np.ndarray) -> list[dict[str, Any]]:
    """From `fifths`: the range of each, its number, and the mean probability claimed and the share of targets, None of nothing."""
    rows = []
    for part, (n, claimed, real) in enumerate(tally.tolist()):
        shares = {"claimed": claimed / n, "real": real / n} if n else {"claimed": None, "real": None}
        rows.append({"from": part / N_FIFTHS, "to": (part + 1) / N_FIFTHS, "n": int(n), **shares})
    return rows
