"""What a model says of a block of candidates, and how they score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.proposal import score
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.scene import Scene
from sisso_sal.acquisition.scores import HITS, probability_of_goal
from sisso_sal.errors import SettingsError
from sisso_sal.models.ensemble_model import EnsembleModel, causes
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.needs import Model
from sisso_sal.protocols import Acquisition, Cause
from sisso_sal.protocols.cause import reasons
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.screening.block import PoolBlock
from sisso_sal.screening.job import ScreeningJob

COLUMNS = (
    "id", "mean", "std", "low95", "high95", "p_hit", "score", "formulas_mean", "n_valid", "outside", "distance", "reason",
)  # fmt: skip
"""Of predictions, in order."""

OF_A_FORMULA = ("id", "mean", "score", "reason")
"""Of predictions by a single formula."""

SCORES_OF_A_FORMULA = ("mean",)
"""Acquisitions for a single formula, which has no sigma."""


MANY = 0.5
"""Share of members from which on a candidate is said to be extrapolated; one of classes then has no score."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What is said of n candidates.

    Attributes
    ----------
    value : ndarray (n,)
        The mean in the target's unit or, of classes, the probability of one that is looked for; NaN where there is no prediction.
    columns : dict of str to ndarray (n,)
        Those that cost nothing more: ``score``, ``p_hit``, ``n_valid``, ``outside``; ``mean`` and ``formulas_mean`` in the
        target's unit or, of classes, the probability of each.
    reason : ndarray (n,) of str
        Why there is no prediction, "" where there is one.
    told : Distribution or None
        Of the n candidates; certain where a single formula predicts. None of classes.
    number : ndarray (n,) of int, or None
        Of the most probable class; None of numbers.
    """

    value: np.ndarray
    columns: dict[str, np.ndarray]
    reason: np.ndarray
    told: Distribution | None = None
    number: np.ndarray | None = None


class Judge(Protocol):
    """A model with a goal and a score, and the columns that it tells of candidates, in order."""

    columns: tuple[str, ...]
    n_members: int

    def judged(self, block: PoolBlock) -> Judged:
        """What is said of the candidates of a block."""
        ...

    def details(self, judged: Judged, columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, Any]:
        """The other columns for some rows, ndarray (k,) of int, of the block; `columns` are its primary features."""
        ...


class NumberJudge:
    """A model of numbers with a goal and a score.

    Parameters
    ----------
    model : FittedModels or EnsembleModel
    job : ScreeningJob
    """

    def __init__(self, model: Model, job: ScreeningJob):
        self.model, self.goal = model, Goal.parse(job.goal)
        self.acquisition = acquisition_named(job.acquisition, self.goal)
        self.columns: tuple[str, ...] = COLUMNS if isinstance(model, EnsembleModel) else OF_A_FORMULA
        self.n_members = len(model.members) if isinstance(model, EnsembleModel) else 1
        self._best = np.nan if job.reference is None else job.reference

    def judged(self, block: PoolBlock) -> Judged:
        """What is said of the candidates of a block."""
        columns, shares = usable(block, self.model.needed)
        with np.errstate(all="ignore"):
            if isinstance(self.model, FittedModels):
                return self._by_formula(self.model, block, columns)
            return self._by_ensemble(self.model, block, columns, shares)

    def details(self, judged: Judged, columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
        """More about some rows, ndarray (k,) of int: ``std``, ``low95``, ``high95`` (target's unit) and ``distance``."""
        if isinstance(self.model, FittedModels) or judged.told is None:
            return {}
        told = judged.told.take(rows)
        low, high = told.interval(0.95)
        distance = np.full(len(rows), np.nan)
        if all(name in columns for name in self.model.primaries):
            features = np.column_stack([columns[name][rows] for name in self.model.primaries])
            distance = self.model.neighbourhood.distance(features)
        return {"std": told.std, "low95": low, "high95": high, "distance": distance}

    def _by_formula(self, model: FittedModels, block: PoolBlock, columns: Mapping[str, np.ndarray]) -> Judged:
        mean, valid = model.predict_with_validity(columns)
        told = Distribution.certain(np.where(valid, mean, np.nan))
        scored = -self.goal.distance(told.estimate)
        reason = model.reasons(columns)
        explain(reason, block, told.estimate)
        return Judged(told.estimate, {"mean": told.estimate, "score": scored}, reason, told)

    def _by_ensemble(
        self, model: EnsembleModel, block: PoolBlock, columns: Mapping[str, np.ndarray], shares: np.ndarray | None
    ) -> Judged:
        parts = model.predict_parts(columns, shares)
        mean, n = parts.told.estimate, len(block.ids)
        scene = scene_of(self.acquisition, parts.told, parts.members, parts.valid, self.goal, self._best)
        scores = score(scene).scores
        found = {
            "mean": mean, "formulas_mean": parts.formulas_mean, "score": scores, "p_hit": self._probability(parts.told, scores),
            "n_valid": parts.valid.sum(axis=0, dtype=np.int32), "outside": parts.outside,
        }  # fmt: skip
        reason = np.full(n, "", dtype=object)
        rows = np.flatnonzero(np.isnan(mean))
        if len(rows):
            lacking = {name: values[rows] for name, values in columns.items()}
            reason[rows] = reasons(mean[rows], causes(model.members, lacking, parts.valid[:, rows]))
            not_finite = ~np.isfinite([lacking[name] for name in model.needed]).all(axis=0)
            reason[rows[not_finite]] = Cause.NOT_FINITE.words
            explain(reason, block, mean)
        return Judged(mean, found, reason, parts.told)

    def _probability(self, told: Distribution, scores: np.ndarray) -> np.ndarray:
        """ndarray (n,): to reach the bound of the goal or, where it has none, to be better than the reference."""
        if self.acquisition.name == HITS.name:
            return scores
        if self.goal.kind == "window":
            return probability_of_goal(told, self.goal)
        edge = self._best if not self.goal.has_bound else self.goal.high if self.goal.sign > 0 else self.goal.low
        return told.at_most(edge) if self.goal.sign > 0 else told.at_least(edge)


def scene_of(
    acquisition: Acquisition, told: Distribution, members: np.ndarray, valid: np.ndarray, goal: Goal, best: float
) -> Scene:
    """Of candidates none of which is known or being computed; arguments as in `Scene`."""
    n = len(told)
    nothing, no_features = np.zeros(n, dtype=bool), np.empty((n, 0))
    return Scene(
        acquisition, (), told, members, valid, goal, best, no_features, no_features[:0], nothing, nothing,
        np.random.default_rng(0),
    )  # fmt: skip


def usable(block: PoolBlock, needed: Sequence[str]) -> tuple[Mapping[str, np.ndarray], np.ndarray | None]:
    """Columns and shares, in which rows that cannot be used, or lack one of the features that are needed, have no features."""
    is_usable = np.logical_and.reduce([np.isfinite(block.columns[name]) for name in needed])
    is_usable[list(block.unusable)] = False
    if is_usable.all():
        return block.columns, block.shares
    rows = np.flatnonzero(~is_usable)
    columns = {name: values.copy() for name, values in block.columns.items()}
    for values in columns.values():
        values[rows] = np.nan
    shares = None if block.shares is None else np.nan_to_num(block.shares)
    return columns, shares


def explain(reason: np.ndarray, block: PoolBlock, mean: np.ndarray) -> None:
    """Write why rows of a block cannot be used; a reason is given only where there is no mean."""
    for row, words in block.unusable.items():
        reason[row] = words
    reason[~np.isnan(mean)] = ""


def check_acquisition(name: str, goal: Goal, model: Model) -> None:
    """Refuse an acquisition that needs more than one candidate at a time, or a sigma where there is none.

    Raises
    ------
    SettingsError
        Names those that can be used; or the goal needs a bound in numbers.
    """
    if goal.kind in {"lowest", "highest"}:
        raise SettingsError(
            f"goal: needs min, max or a bound, found '{goal}'; what share of a pool that is read piece by piece a candidate is in "
            "is not known before its end"
        )
    acquisition = acquisition_named(name, goal)
    if isinstance(model, FittedModels) and name not in SCORES_OF_A_FORMULA:
        raise SettingsError(
            f"acquisition: needs one of {', '.join(SCORES_OF_A_FORMULA)} for a single formula, which has no sigma, found '{name}'"
        )
    if not acquisition.uses:
        raise SettingsError(f"acquisition: needs one that scores candidates by their predictions, found '{name}'")
    if name == HITS.name and not goal.has_bound:
        raise SettingsError(
            f"acquisition: needs a goal with a bound for '{name}', such as '<=0.3', found '{goal}'; or one of ei, pi, lcb, mean"
        )
