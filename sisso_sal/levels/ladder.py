"""Levels of theory, each learned from those below it: what a cheap calculation says of the one that counts, or would say.

Every level is predicted from the primary features and the levels below (linear autoregression with formulas for what is left;
Kennedy and O'Hagan, Biometrika 87, 1 (2000), there with Gaussian processes). Where the value of a level is not known, its
prediction stands in, and what is not known of it widens the prediction of the levels above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.protocols import Continues, Prediction, Progress, Quantity, Space, Surrogate
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.spaces.blocks import predict_all
from sisso_sal.spaces.columns import WithColumns
from sisso_sal.system.costs import Sequel, followed_by, sequel

FEWEST_OF_LEVEL = 5
"""Values below which a level is left out; so is one of which all values are the same."""

MakeLevel = Callable[[tuple[str, ...], int, int], Surrogate]
"""(names of the low columns, number of the level from 0, values to learn from) -> an unfitted surrogate."""


@dataclass(frozen=True, eq=False)
class LevelValues:
    """What is known of all n candidates at one of the lower levels.

    Attributes
    ----------
    quantity : Quantity
        Name and unit under which it is a low column for the levels above.
    values : ndarray (n,)
        In that unit; NaN where not known.
    is_low : bool
        Whether it estimates what the levels above do; else it is a primary feature like others.
    """

    quantity: Quantity
    values: np.ndarray
    is_low: bool = True


@dataclass(frozen=True, eq=False)
class _Filled:
    """A level of all n candidates: what is known, else predicted with a standard deviation; and by what."""

    number: int
    level: LevelValues
    values: np.ndarray
    std: np.ndarray
    surrogate: Surrogate | None

    @property
    def quantity(self) -> Quantity:
        return self.level.quantity


class Ladder:
    """A surrogate for the highest of several levels. It is a `Surrogate`.

    Parameters
    ----------
    make : callable
        See `MakeLevel`.
    levels : sequence of LevelValues
        Lower levels of all candidates of the space, the lowest first; one that fewer than five candidates have, or that does not
        vary, is left out.

    Attributes
    ----------
    top : Surrogate
        That of the highest level, after `fit`.
    """

    def __init__(self, make: MakeLevel, levels: Sequence[LevelValues]):
        self._make, self._levels = make, list(levels)
        self._earlier: Mapping[str, Any] | None = None

    def begin_from(self, handover: Mapping[str, Any]) -> None:
        """Let the fit of the highest level begin where an earlier one ended; see `Continues`."""
        self._earlier = handover

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Ladder:
        """Learn each level from its values and the levels below, the lowest first; see `Surrogate`.

        A label whose material lacks a lower level is learned with the prediction of that, and counts as uncertain as it is.
        """
        self._filled: list[_Filled] = []
        for number, level in enumerate(self._levels):
            known = level.values[np.isfinite(level.values)]
            if len(known) >= FEWEST_OF_LEVEL and np.ptp(known) > 0:
                self._filled.append(self._fill(space, number, level))
        top = self._make(self._low(), len(self._levels), len(rows))
        if isinstance(top, Continues) and self._earlier is not None:
            top.begin_from(self._earlier)
        known = np.hypot(errors, self._uncertain(rows, labels))
        after = sequel()
        moved = sum(2 for one in self._filled if one.std.any())  # see `_moved`
        with followed_by(replace(after, predictions=after.predictions + moved)):
            self.top = top.fit(self.whole(space), rows, labels, known, progress)
        return self

    def _low(self) -> tuple[str, ...]:
        return tuple(one.quantity.name for one in self._filled if one.level.is_low)

    def _fill(self, space: Space, number: int, level: LevelValues) -> _Filled:
        known = np.isfinite(level.values)
        if known.all():
            return _Filled(number, level, level.values, np.zeros(len(known)), None)
        rows = np.flatnonzero(known)
        below, values = self.whole(space, level.quantity), level.values[rows]
        with followed_by(Sequel()):
            surrogate = self._make(self._low(), number, len(rows)).fit(
                below, rows, values, self._uncertain(rows, values)
            )
        told = predict_all(surrogate, below, with_members=False)
        is_told = np.isfinite(told.mean) & np.isfinite(told.std)
        mean, std = np.where(is_told, told.mean, values.mean()), np.where(is_told, told.std, values.std())
        return _Filled(number, level, np.where(known, level.values, mean), np.where(known, 0.0, std), surrogate)

    def _uncertain(self, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """ndarray (n_labelled,): what predicted lower levels add to the errors of labels, by the slopes of lines through them."""
        total = np.zeros(len(rows))
        for level in self._filled:
            std, values = level.std[rows], level.values[rows]
            if std.any():
                certain = std == 0
                seen = certain if np.unique(values[certain]).size > 1 else np.ones(len(rows), dtype=bool)
                total = np.hypot(total, _slope(values[seen], labels[seen]) * std)
        return total

    def whole(self, space: Space, target: Quantity | None = None) -> Space:
        """The space with all levels that were filled so far as columns."""
        return WithColumns(space, {one.quantity: one.values for one in self._filled}, target)

    def told(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Of each lower level its name, column, unit, values that are known and predicted, and the median sigma of these.

        Parameters
        ----------
        names : sequence of str
            Of the levels; "" is told as the name of the column.
        """
        rows = []
        for number, (name, level) in enumerate(zip(names, self._levels, strict=True)):
            known = np.isfinite(level.values)
            filled = next((one for one in self._filled if one.number == number), None)
            std = None if filled is None or known.all() else float(np.median(filled.std[~known]))
            quantity = level.quantity
            rows.append(
                {
                    "name": name or quantity.name, "column": quantity.header, "unit": quantity.unit, "n_known": int(known.sum()),
                    "n_predicted": 0 if filled is None else int((~known).sum()), "std": std,
                }
            )  # fmt: skip
        return rows

    @property
    def guessed(self) -> dict[str, np.ndarray]:
        """Standard deviations of each level that is used, by the name of its feature: ndarray (n,), 0 where it is known."""
        return {one.quantity.name: one.std for one in self._filled}

    def table(self, ids: Sequence[str]) -> dict[str, Sequence[str] | np.ndarray]:
        """Columns ``id``, and for each level that is used its values and their standard deviations, 0 where they are known."""
        columns: dict[str, Sequence[str] | np.ndarray] = {"id": ids}
        for one in self._filled:
            columns |= {one.quantity.header: one.values, f"{one.quantity.name} std": one.std}
        return columns

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """The prediction of the highest level, wider where a lower one is predicted too; see `Surrogate`."""
        told = self.top.predict(self.whole(space), rows)
        more = np.sqrt((self.taught(space, rows) ** 2).sum(axis=0))
        return _widened(told, more)

    def taught(self, space: Space, rows: np.ndarray) -> np.ndarray:
        """By how much the value of each lower level would move the prediction of the highest one.

        Returns
        -------
        ndarray (n_levels, n)
            One standard deviation, in the target's unit; 0 where the value is known, or the level is left out.
        """
        out = np.zeros((len(self._levels), len(rows)))
        for k, level in enumerate(self._filled):
            if level.std[rows].any():
                up, down = (self._moved(space, rows, k, sign) for sign in (1.0, -1.0))
                moved = 0.5 * np.abs(up - down)
                out[level.number] = np.where(np.isfinite(moved), moved, 0.0)
        return out

    def _moved(self, space: Space, rows: np.ndarray, k: int, sign: float) -> np.ndarray:
        """Prediction of the highest level (n,) if the value of level `k` is one standard deviation off."""
        columns = {one.quantity: one.values.copy() for one in self._filled}
        level = self._filled[k]
        columns[level.quantity][rows] += sign * level.std[rows]
        for above in self._filled[k + 1 :]:
            if above.surrogate is not None:
                own = {one: values for one, values in columns.items() if one in self._below(above)}
                told = above.surrogate.predict(WithColumns(space, own, above.quantity), rows)
                known = above.std[rows] == 0
                moved = np.where(np.isfinite(told.mean), told.mean, above.values[rows])
                columns[above.quantity][rows] = np.where(known, above.values[rows], moved)
        return self.top.predict(WithColumns(space, columns), rows).mean

    def _below(self, level: _Filled) -> set[Quantity]:
        names = [one.quantity for one in self._filled]
        return {*names[: names.index(level.quantity)]}


def _slope(values: np.ndarray, labels: np.ndarray) -> float:
    """Of the line of least squares; 0 where the values (n,) do not vary."""
    apart = values - values.mean()
    square = float(apart @ apart)
    return float(apart @ (labels - labels.mean())) / square if square > 0 else 0.0


def _widened(told: Prediction, more: np.ndarray) -> Prediction:
    """The same, with a further standard deviation (n,) that is independent of the rest."""
    if not more.any():
        return told
    own: Distribution = told.told
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.where(told.std > 0, np.hypot(1.0, more / told.std), 1.0)
    wider = replace(own, scale=own.scale * factor)
    return replace(told, std=wider.std, distribution=wider)
