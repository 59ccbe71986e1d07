"""Why a candidate is proposed: what its features do to the formulas or where they lie, and the nearest known materials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.data import neighbours
from sisso_sal.models.linear import REACH
from sisso_sal.report.run_view import EnsembleLike, RunView
from sisso_sal.report.summary import extrapolates, is_far

N_EFFECTS = 4
N_POSITIONS = 4
N_NEAREST = 3


@dataclass(frozen=True)
class FeatureEffect:
    """A primary feature, its value for the candidate and the usual one, and what it does to the prediction.

    `effect`, in the target's unit, is the median of the formulas for the candidate minus the same median with this feature at its
    usual value, the median over the labelled materials. `std` is not 0 where the value is of a lower level and only predicted.
    """

    name: str
    unit: str
    value: float
    usual: float
    effect: float
    std: float = 0.0


@dataclass(frozen=True)
class TermEffect:
    """What a term of the typical formula adds beyond what it adds for the median labelled material, on the scale of the sum."""

    number: int
    effect: float


@dataclass(frozen=True)
class FeaturePosition:
    """A primary feature of the candidate, and where its value lies among those of the labelled materials.

    `low` and `high` are the ends of their range; `below` and `above` are the shares of them with a smaller and a larger value.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    below: float
    above: float


@dataclass(frozen=True)
class Neighbour:
    """A labelled material; `distance` in units of the median distance between a labelled material and its nearest.

    `value` is its label, or the name of its class.
    """

    id: str
    value: float | str
    distance: float


@dataclass(frozen=True)
class Reasons:
    """Why one candidate is proposed.

    Attributes
    ----------
    effects : tuple of FeatureEffect
        The largest first; empty without formulas.
    terms : tuple of TermEffect
        Of the most typical formula; empty without formulas.
    positions : tuple of FeaturePosition
        The features that lie farthest from the middle of the labelled materials.
    nearest : tuple of Neighbour
        The nearest first.
    shift : float
        What a correction adds to the mean of the formulas, in the target's unit; 0 where there is none.
    flags : tuple of str
        Warnings.
    """

    effects: tuple[FeatureEffect, ...]
    terms: tuple[TermEffect, ...]
    positions: tuple[FeaturePosition, ...]
    nearest: tuple[Neighbour, ...]
    shift: float
    flags: tuple[str, ...]


def reasons(view: RunView) -> list[Reasons]:
    """For each proposal of a view, in its order."""
    rows = _rows_of(view)
    if not len(rows):
        return []
    effects: list[tuple[FeatureEffect, ...]] = [()] * len(rows)
    terms: list[tuple[TermEffect, ...]] = [()] * len(rows)
    if view.ensemble is not None:
        effects = _effects(view, view.ensemble, rows)
        terms = [_terms(view, view.ensemble, int(row)) for row in rows]
    parts = zip(rows, view.proposals, effects, terms, _nearest(view, rows), strict=True)
    return [
        Reasons(changes, added, _positions(view, int(row)), near, _shift(proposal), _flags(view, proposal, near))
        for row, proposal, changes, added, near in parts
    ]


def _rows_of(view: RunView) -> np.ndarray:
    """Rows of the proposals: ndarray (n_proposals,) of int."""
    place = {id: row for row, id in enumerate(view.ids)}
    return np.array([place[proposal["id"]] for proposal in view.proposals], dtype=np.int64)


def _usual(view: RunView) -> np.ndarray:
    """The materials that a candidate is compared with: the labelled, or all where none is; ndarray (n_materials,) of bool."""
    return view.labelled if view.labelled.any() else np.ones(len(view.ids), dtype=bool)


def _effects(view: RunView, ensemble: EnsembleLike, rows: np.ndarray) -> list[tuple[FeatureEffect, ...]]:
    """For each proposal the features that change the median formula most."""
    n, names = len(rows), list(view.columns)
    usual = {name: float(np.median(values[_usual(view)])) for name, values in view.columns.items()}
    columns = {}
    for k, name in enumerate(names):  # the proposals as they are, then once for each feature with that one as usual
        values = np.tile(view.columns[name][rows], len(names) + 1)
        values[(k + 1) * n : (k + 2) * n] = usual[name]
        columns[name] = values
    medians = _median(ensemble, columns).reshape(len(names) + 1, n)
    changes = {name: medians[0] - medians[k + 1] for k, name in enumerate(names)}
    out = []
    for number, row in enumerate(rows):

        def effect_of(name: str, number: int = number, row: int = int(row)) -> FeatureEffect:
            std = float(view.guessed[name][row]) if name in view.guessed else 0.0
            value, change = float(view.columns[name][row]), float(changes[name][number])
            return FeatureEffect(name, view.units[name], value, usual[name], change, std)

        effects = [
            effect_of(name) for name in sorted(changes, key=lambda name: -np.nan_to_num(abs(changes[name][number])))
        ]
        out.append(tuple(one for one in effects[:N_EFFECTS] if np.isfinite(one.effect) and one.effect != 0.0))
    return out


def _median(ensemble: EnsembleLike, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Median of the valid members: ndarray (n,), NaN where there is none."""
    every = []
    for member in ensemble.members:
        value, outside = member.predict_with_reach(columns)
        every.append(np.where((outside <= REACH) & np.isfinite(value), value, np.nan))
    stack = np.array(every)
    out = np.full(stack.shape[1], np.nan)
    some = np.isfinite(stack).any(axis=0)
    out[some] = np.nanmedian(stack[:, some], axis=0)
    return out


def _terms(view: RunView, ensemble: EnsembleLike, row: int) -> tuple[TermEffect, ...]:
    model = ensemble.members[view.summary["typical"][0]["member"]]
    values = model.descriptors(view.columns)
    effects = []
    for number, (term, value) in enumerate(zip(model.terms, values, strict=True), 1):
        known = value[view.labelled & np.isfinite(value)]
        usual = float(np.median(known)) if len(known) else 0.0
        effects.append(TermEffect(number, float(term.coefficient * (value[row] - usual))))
    return tuple(effects)


def _positions(view: RunView, row: int) -> tuple[FeaturePosition, ...]:
    """Features outside the range of the labelled materials by how far they are outside, then the others by their rank."""
    positions, remote = [], {}
    for name, column in view.columns.items():
        known, value = column[_usual(view)], float(column[row])
        low, high = float(known.min()), float(known.max())
        below, above = float((known < value).mean()), float((known > value).mean())
        positions.append(FeaturePosition(name, view.units[name], value, low, high, below, above))
        remote[name] = abs(below - above) + max(low - value, value - high, 0.0) / ((high - low) or 1.0)
    return tuple(sorted(positions, key=lambda one: (-remote[one.name], one.name))[:N_POSITIONS])


def _nearest(view: RunView, rows: np.ndarray) -> list[tuple[Neighbour, ...]]:
    """The nearest labelled materials of each row, by primary features in units of their spread over the labelled ones."""
    known = np.flatnonzero(view.labelled)
    if not len(known) or not len(rows):
        return [() for _ in rows]
    features = np.column_stack([view.columns[name] for name in sorted(view.columns)])
    labelled = features[known]
    scale = neighbours.spread_of(labelled)
    usual = neighbours.usual_distance(labelled, scale)
    distance, index = neighbours.nearest(features[rows], labelled, scale, min(N_NEAREST, len(known)))
    labels = view.known_as
    return [
        tuple(
            Neighbour(str(view.ids[known[i]]), labels[known[i]], float(d) / usual)
            for d, i in zip(distance[k], index[k], strict=True)
        )
        for k in range(len(rows))
    ]


def _shift(proposal: Mapping[str, Any]) -> float:
    formulas_mean = proposal.get("formulas_mean")
    return 0.0 if formulas_mean is None or not np.isfinite(formulas_mean) else float(proposal["mean"] - formulas_mean)


def _flags(view: RunView, proposal: Mapping[str, Any], nearest: tuple[Neighbour, ...]) -> tuple[str, ...]:
    flags = []
    if extrapolates(proposal):
        flags.append(f"{100 * proposal['outside']:.0f}\u202f% of the formulas extrapolate")
    distance = proposal.get("distance")
    if distance is None and nearest:
        distance = nearest[0].distance
    if is_far({"distance": distance}):
        flags.append(f"far from all known materials (distance {distance:.1f})")
    n = 0 if view.ensemble is None else len(view.ensemble.members)
    if proposal["n_valid"] < n:
        flags.append(f"{n - proposal['n_valid']} of {n} formulas are not valid here")
    return tuple(flags)
