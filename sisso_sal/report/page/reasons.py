"""Why a candidate is proposed: the features that drive it, the terms of the typical formula, the nearest known materials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.models.linear import REACH
from sisso_sal.report.run_view import RunView

N_DRIVERS = 4
N_NEAREST = 3


@dataclass(frozen=True)
class Driver:
    """A primary feature, its value for the candidate and the usual one, and what it does to the prediction.

    `effect` is by how much the median formula is higher than it would be were this feature that of the median labelled material, in
    the target's unit.
    """

    name: str
    unit: str
    value: float
    usual: float
    effect: float


@dataclass(frozen=True)
class Neighbour:
    """A labelled material; `distance` in units of the median distance between a labelled material and its nearest."""

    id: str
    value: float
    distance: float


@dataclass(frozen=True)
class TermEffect:
    """What a term of the typical formula adds, beyond what it adds for the median labelled material, on the scale of the sum."""

    number: int
    effect: float


@dataclass(frozen=True)
class Why:
    """Of one candidate; `shift` is what the correction adds to the formulas' mean, in the target's unit."""

    drivers: tuple[Driver, ...]
    terms: tuple[TermEffect, ...]
    nearest: tuple[Neighbour, ...]
    shift: float
    flags: tuple[str, ...]


def reasons(view: RunView) -> list[Why]:
    """For each proposal of a view, in its order."""
    rows = _rows_of(view)
    if not len(rows):
        return []
    effects = _effects(view, rows)
    usual = {name: float(np.median(values[_usual(view)])) for name, values in view.columns.items()}
    units = dict(zip(view.ensemble.primaries_, view.ensemble.units_, strict=True))
    nearest = _nearest(view, rows)
    found = []
    for number, (row, proposal) in enumerate(zip(rows, view.proposals, strict=True)):
        drivers = [
            Driver(name, units[name], float(view.columns[name][row]), usual[name], float(effects[name][number]))
            for name in sorted(effects, key=lambda name: -np.nan_to_num(abs(effects[name][number])))
        ]
        kept = tuple(driver for driver in drivers[:N_DRIVERS] if np.isfinite(driver.effect) and driver.effect != 0.0)
        shift = float(proposal["mean"] - proposal["formula"])
        found.append(Why(kept, _terms(view, int(row)), nearest[number], shift, _flags(view, proposal)))
    return found


def _rows_of(view: RunView) -> np.ndarray:
    """Rows of the proposals: ndarray (n_proposals,) of int."""
    place = {id: row for row, id in enumerate(view.ids)}
    return np.array([place[proposal["id"]] for proposal in view.proposals], dtype=np.int64)


def _usual(view: RunView) -> np.ndarray:
    """Which materials are the usual ones: the labelled, or all where none is; ndarray (n_materials,) of bool."""
    return view.labelled if view.labelled.any() else np.ones(len(view.ids), dtype=bool)


def _effects(view: RunView, rows: np.ndarray) -> dict[str, np.ndarray]:
    """For each primary feature what it does to the median formula: ndarray (n_proposals,)."""
    n, names = len(rows), list(view.columns)
    columns = {}
    for k, name in enumerate(names):  # the proposals as they are, then once for each feature with that one as usual
        values = np.tile(view.columns[name][rows], len(names) + 1)
        values[(k + 1) * n : (k + 2) * n] = np.median(view.columns[name][_usual(view)])
        columns[name] = values
    found = _median(view, columns).reshape(len(names) + 1, n)
    return {name: found[0] - found[k + 1] for k, name in enumerate(names)}


def _median(view: RunView, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Median of the valid members: ndarray (n,), NaN where there is none."""
    every = []
    for member in view.ensemble.members_:
        value, outside = member.predict_with_reach(columns)
        every.append(np.where((outside <= REACH) & np.isfinite(value), value, np.nan))
    stack = np.array(every)
    out = np.full(stack.shape[1], np.nan)
    some = np.isfinite(stack).any(axis=0)
    out[some] = np.nanmedian(stack[:, some], axis=0)
    return out


def _terms(view: RunView, row: int) -> tuple[TermEffect, ...]:
    model = view.ensemble.members_[view.summary["typical"][0]["member"]]
    values = model.descriptors(view.columns)
    found = []
    for number, (term, value) in enumerate(zip(model.terms, values, strict=True), 1):
        known = value[view.labelled & np.isfinite(value)]
        usual = float(np.median(known)) if len(known) else 0.0
        found.append(TermEffect(number, float(term.coefficient * (value[row] - usual))))
    return tuple(found)


def _nearest(view: RunView, rows: np.ndarray) -> list[tuple[Neighbour, ...]]:
    """The nearest labelled materials of each row, by primary features in units of their spread over the labelled ones."""
    from scipy.spatial import KDTree

    known = np.flatnonzero(view.labelled)
    if not len(known) or not len(rows):
        return [() for _ in rows]
    features = np.column_stack([view.columns[name] for name in sorted(view.columns)])
    spread = features[known].std(axis=0)
    scaled = features / np.where(spread > 0, spread, 1.0)
    tree = KDTree(scaled[known])
    count = min(N_NEAREST, len(known))
    usual = float(np.median(tree.query(scaled[known], k=2)[0][:, 1])) if len(known) > 1 else 0.0
    distance, index = (found.reshape(len(rows), count) for found in tree.query(scaled[rows], k=count))
    labels = view.values("label")
    return [
        tuple(
            Neighbour(str(view.ids[known[i]]), float(labels[known[i]]), float(d) / (usual or 1.0))
            for d, i in zip(distance[k], index[k], strict=True)
        )
        for k in range(len(rows))
    ]


def _flags(view: RunView, proposal: dict[str, Any]) -> tuple[str, ...]:
    flags = []
    if (proposal["outside"] or 0) > 1 / 3:
        flags.append(f"{proposal['outside']:.0%} of the formulas extrapolate")
    if (proposal["distance"] or 0) > 2:
        flags.append(f"{proposal['distance']:.1f} times as far from the known as they are from each other")
    if proposal["n_valid"] < (n := len(view.ensemble.members_)):
        flags.append(f"{n - proposal['n_valid']} of {n} formulas are not valid here")
    return tuple(flags)
