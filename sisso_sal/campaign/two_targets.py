"""Two targets at once: one surrogate for each, the known front, and the candidates that are expected to improve it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.acquisition.front import (
    choose_batch,
    expected_hypervolume_improvement,
    hypervolume,
    pareto_front,
    probability_not_dominated,
    reference_point,
)
from sisso_sal.acquisition.goal import Goal
from sisso_sal.campaign.exclusion import Exclusion
from sisso_sal.campaign.exclusion import excluded as excluded_by_elements
from sisso_sal.campaign.marks import EXTRAPOLATING, FAR, marked
from sisso_sal.errors import FitError, SettingsError, fit_of
from sisso_sal.protocols import Described, Progress, Quantity, Space, Surrogate
from sisso_sal.protocols.cause import counted
from sisso_sal.settings.campaign import RunSettings
from sisso_sal.spaces.blocks import predict_all

GOALS = ("min", "max")


@dataclass(frozen=True, eq=False)
class Objective:
    """One of the two targets, over all candidates.

    Attributes
    ----------
    name, unit : str
    goal : str
        ``min`` or ``max``.
    label : ndarray (n,)
        In the target's unit; NaN where it is not known.
    mean, std : ndarray (n,)
        In the target's unit: the label and 0 where it is known, else the prediction; NaN where there is none.
    outside, distance : ndarray (n,)
        Of predictions, as in `Prediction`; NaN where the target is known.
    reason : ndarray (n,) of str
        Why there is no prediction, see `Prediction.reason`; "" where there is one, or the label is known.
    model : dict or None
        The surrogate's description of itself; None if every row is known and there is no surrogate.
    """

    name: str
    unit: str
    goal: str
    label: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    outside: np.ndarray
    distance: np.ndarray
    reason: np.ndarray
    model: dict[str, Any] | None

    @property
    def doubtful(self) -> np.ndarray:
        """ndarray (n,) of bool: predictions far from all labelled materials, or of formulas that extrapolate; see `marks`."""
        return (np.nan_to_num(self.outside) > EXTRAPOLATING) | (np.nan_to_num(self.distance) > FAR)

    @property
    def header(self) -> str:
        """Name and unit, as in a table."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def sign(self) -> float:
        """-1 for the goal max, 1 for min."""
        return Goal.parse(self.goal).sign


@dataclass(frozen=True, eq=False)
class Compromises:
    """The known front of two targets, and what to compute next.

    Attributes
    ----------
    ids : tuple of str, length n
    objectives : (Objective, Objective)
    reference : ndarray (2,)
        Worst values of interest, in the targets' units.
    is_given : bool
        Whether the reference was chosen by the user.
    front : ndarray (k,) of int
        Rows with both targets known that no other such row dominates, from the best in the first target to the best in the second.
    area : float
        The area that they dominate (`hypervolume`), in the product of the units.
    picks : ndarray of int
        Proposed rows, in the order of choice.
    gains : ndarray, of the picks
        Expected growth of the area by each, after those before it.
    alone : ndarray (n,)
        The same for every candidate as if it were the first; NaN for other rows and without prediction.
    not_dominated : ndarray (n,)
        Probability of every candidate to end on the known front.
    exclusion : Exclusion
        Candidates left out for their elements.
    marks : tuple of mapping, of the picks
        See `sisso_sal.campaign.marks.marked`.
    """

    ids: tuple[str, ...]
    objectives: tuple[Objective, Objective]
    reference: np.ndarray
    is_given: bool
    front: np.ndarray
    area: float
    picks: np.ndarray
    gains: np.ndarray
    alone: np.ndarray
    not_dominated: np.ndarray
    exclusion: Exclusion
    marks: tuple[Mapping[str, str], ...]

    @property
    def labels(self) -> np.ndarray:
        """ndarray (n, 2): the labels, NaN where a target is not known."""
        return np.column_stack([objective.label for objective in self.objectives])

    @property
    def candidates(self) -> np.ndarray:
        """ndarray (n,) of bool: rows for which a target is not known."""
        return np.asarray(np.isnan(self.labels).any(axis=1))

    def document(self) -> dict[str, Any]:
        """The document of `pareto --json`; pairs are in the order of the targets."""
        known = ~np.isnan(self.labels)
        return {
            "targets": [
                {
                    "name": o.name, "unit": o.unit, "goal": o.goal, "n_labelled": int(known[:, j].sum()),
                    "reference": float(self.reference[j]), "model": o.model,
                }
                for j, o in enumerate(self.objectives)
            ],
            "n_labelled": int(known.all(axis=1).sum()),
            "n_candidates": int(self.candidates.sum()),
            "n_half_labelled": int((known.sum(axis=1) == 1).sum()),
            "excluded": self.exclusion.document(),
            "n_without_prediction": int(np.isnan(self.alone[self.candidates]).sum()) - self.exclusion.n,
            "without_prediction": counted(map(self._reason, np.flatnonzero(self.candidates).tolist())),
            "n_without_gain": int((self.alone == 0).sum()),
            "reference": "given" if self.is_given else "front",
            "hypervolume": self.area,
            "front": [{"id": self.ids[i], "values": self.labels[i].tolist()} for i in self.front],
            "proposals": [
                {**self._proposal(int(i), float(gain)), **marks}
                for i, gain, marks in zip(self.picks, self.gains, self.marks, strict=True)
            ],
        }  # fmt: skip

    def _reason(self, row: int) -> str:
        """Why a candidate that may be proposed has no prediction, of the first target that lacks one."""
        if self.ids[row] in self.exclusion.ids:
            return ""
        return next((str(o.reason[row]) for o in self.objectives if np.isnan(o.mean[row])), "")

    def _proposal(self, row: int, gain: float) -> dict[str, Any]:
        def pair(name: str) -> list[float | None]:
            values = [float(getattr(objective, name)[row]) for objective in self.objectives]
            return [value if np.isfinite(value) else None for value in values]

        return {
            "id": self.ids[row], "mean": pair("mean"), "std": pair("std"), "known": (~np.isnan(self.labels[row])).tolist(),
            "ehvi": gain, "ehvi_alone": float(self.alone[row]), "not_dominated": float(self.not_dominated[row]),
            "outside": pair("outside"), "distance": pair("distance"),
        }  # fmt: skip


def compromises(
    spaces: Sequence[Space],
    goals: Sequence[str],
    batch: int,
    make_surrogate: Callable[[], Surrogate],
    *,
    reference: Sequence[float] | None = None,
    progress: Progress | None = None,
    elements: RunSettings | None = None,
) -> Compromises:
    """Fit a surrogate on the labels of each target and choose the candidates that are expected to improve the front most.

    A candidate is a row for which a target is not known; a known value of the other target counts as exact. The two predictions are
    treated as independent. A target that is known for every row (a price, for example) needs no surrogate.

    Parameters
    ----------
    spaces : (Space, Space)
        The same candidates and features with one target each, see `sisso_sal.data.table.read_targets`.
    goals : (str, str)
        ``min`` or ``max`` for each.
    batch : int
        Largest number of candidates to choose, see `choose_batch`.
    make_surrogate : callable
        () -> an unfitted surrogate. Both targets get their own of the same settings and seed, so that their order does not matter.
    reference : pair of float, optional
        Worst values of interest, in the targets' units; by default see `reference_point`.
    progress : callable, optional
        Called with (done, total) during each fit.
    elements : RunSettings, optional
        Whose ``exclude_elements`` and ``only_elements`` leave candidates out; by default none.

    Returns
    -------
    Compromises

    Raises
    ------
    FitError
        Too few labels of a target.
    InputError
        The known rows give no reference.
    SettingsError
        A goal is neither min nor max, or `batch` is not positive.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sisso_sal.data.table import read_targets
    >>> from sisso_sal.models.surrogates import Forest
    >>> from sisso_sal.spaces.table import TableSpace
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "known.csv")
    ...     _ = path.write_text("id,x,gap,cost\\na,1,2,5\\nb,2,4,9\\nc,3,,1\\nd,4,5,7\\n")
    ...     spaces = [TableSpace(table) for table in read_targets(path, ["gap", "cost"])]
    >>> result = compromises(spaces, ["max", "min"], 1, Forest)
    >>> [result.ids[i] for i in result.front], [result.ids[i] for i in result.picks]
    (['d', 'a'], ['c'])
    """
    if batch < 1:
        raise SettingsError(f"batch: needs a number >= 1, found {batch}")
    for goal in goals:
        if goal not in GOALS:
            raise SettingsError(f"goal: needs min or max for each of two targets, found '{goal}'")
    ids = tuple(spaces[0].ids)
    signs = np.array([Goal.parse(goal).sign for goal in goals])
    labels = np.column_stack([space.labels for space in spaces]) * signs
    worst = reference_point(labels) if reference is None else np.asarray(reference, dtype=float) * signs
    on_front = np.flatnonzero(pareto_front(labels))
    on_front = on_front[sorted(range(len(on_front)), key=lambda i: (*labels[on_front[i]], ids[on_front[i]]))]
    front = labels[on_front]
    first, second = (_learned(space, goal, make_surrogate, progress) for space, goal in zip(spaces, goals, strict=True))
    is_open = np.asarray(np.isnan(labels).any(axis=1))
    exclusion = excluded_by_elements(spaces[0], elements or RunSettings(), is_open)
    open_rows = np.flatnonzero(is_open & np.array([id not in exclusion.ids for id in ids], dtype=bool))
    mean = np.column_stack([first.mean, second.mean])[open_rows] * signs
    std = np.column_stack([first.std, second.std])[open_rows]
    doubtful = first.doubtful | second.doubtful
    picks, gains = choose_batch(mean, std, front, worst, [ids[i] for i in open_rows], batch, doubtful[open_rows])
    alone, chance = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
    alone[open_rows] = expected_hypervolume_improvement(mean, std, front, worst)
    chance[open_rows] = probability_not_dominated(mean, std, front)
    return Compromises(
        ids=ids, objectives=(first, second), reference=worst * signs, is_given=reference is not None, front=on_front,
        area=hypervolume(front, worst), picks=open_rows[picks], gains=gains, alone=alone, not_dominated=chance,
        exclusion=exclusion, marks=tuple(marked(spaces[0], open_rows[picks])),
    )  # fmt: skip


def _learned(space: Space, goal: str, make_surrogate: Callable[[], Surrogate], progress: Progress | None) -> Objective:
    label, target = space.labels.copy(), space.target or Quantity("")
    known = np.isfinite(label)
    mean, std = label.copy(), np.where(known, 0.0, np.nan)
    outside, distance = np.full(len(label), np.nan), np.full(len(label), np.nan)
    about, reason = None, np.full(len(label), "", dtype=object)
    if known.sum() < 2:
        raise FitError(f"{space.name}: target '{target.name}': needs two labels or more, found {known.sum()}")
    if not known.all():
        with fit_of(f"{space.name}: target '{target.name}'"):
            surrogate = make_surrogate().fit(
                space, np.flatnonzero(known), label[known], np.asarray(space.errors)[known], progress
            )
        prediction = predict_all(surrogate, space, with_members=False)
        mean[~known], std[~known] = prediction.mean[~known], prediction.std[~known]
        reason[~known] = prediction.reason[~known]
        for values, predicted in ((outside, prediction.outside), (distance, prediction.distance)):
            values[~known] = np.nan if predicted is None else predicted[~known]
        about = surrogate.describe(space) if isinstance(surrogate, Described) else {}
    return Objective(target.name, target.unit, goal, label, mean, std, outside, distance, reason, about)
