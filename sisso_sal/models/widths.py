"""How wide a prediction is, beside the sigma of the learners: learned from the errors of what did not see each label.

Errors often grow with the value that is predicted, as they do where a target spans decades. They grow where few labels are near:
one extreme label pulls its relatives along, to values that no other label confirms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sisso_sal.models._near import near_distances_on_line
from sisso_sal.models.groups import consecutive
from sisso_sal.models.record_types import read_record
from sisso_sal.models.records import WidthsRecord

N_NEAR = 3
"""The distance to the label of this rank among the nearest says how dense labels are."""

PARAMETERS = 15.0
"""Errors of left-out labels are a little too small: kernels and formulas were chosen with these labels. With n materials widths are
multiplied by sqrt(1 + PARAMETERS / n), as if so many parameters had been fitted (chosen on five tables, see decision 22).
"""

_DEGREES = 4.0
"""Degrees of freedom of the t distribution of errors."""

_NEAREST, _FARTHEST, _OUTERMOST = 0.01, 1.0, 100.0
"""Smallest and largest distance, and largest predicted value from the middle, in standard deviations of the labels."""

_EXPECTED, _CERTAINTY = np.array([0.0, 0.0, 0.3]), np.array([3.0, 0.2, 0.05]) ** -2.0
"""Of the coefficients (constant, by value, by distance), before any error is seen: means, and inverse variances."""


@dataclass(frozen=True)
class Widths:
    """Logarithm of the width over sigma: a constant, plus a slope along the predicted value, plus one along the labels' distance.

    Attributes
    ----------
    constant, by_value, by_distance : float
    middle, spread : float
        Median and standard deviation of the labels of materials, in the target's unit: the predicted value counts from there.
    lowest, highest : float
        Of the standardised predicted values that were seen; beyond them all is the same.
    typical : float
        Logarithm of the distance at which the last part is zero, in units of `spread`.
    values : tuple of float
        The label of each material (the mean of its labels), in order, in the target's unit.

    References
    ----------
    The coefficients are those of greatest posterior probability for errors with a t distribution of four degrees of freedom (Lange,
    Little, Taylor, J. Am. Stat. Assoc. 84, 881 (1989)). The objective is convex.
    """

    constant: float
    by_value: float
    by_distance: float
    middle: float
    spread: float
    lowest: float
    highest: float
    typical: float
    values: tuple[float, ...]

    @classmethod
    def fit(cls, labels: np.ndarray, mean: np.ndarray, sigma: np.ndarray, groups: np.ndarray) -> Widths:
        """Learn from labels, predictions that did not see them, their sigmas above 0, and the materials they are of: (n,) each."""
        material = consecutive(groups)
        of_material = np.bincount(material, labels) / np.bincount(material)
        values = np.sort(of_material)
        middle, spread = float(np.median(values)), _spread(values)
        own = np.searchsorted(values, of_material)[material]
        place = _places(mean, middle, spread)
        distance = _log_distances(mean, values, spread, own)
        typical = float(np.median(distance))
        size_of_z = np.abs(labels - mean) / sigma
        unit = _spread(size_of_z, about=0.0)
        design = np.column_stack([np.ones(len(labels)), place, distance - typical])
        constant, by_value, by_distance = _most_probable(design, size_of_z / unit)
        return cls(
            float(constant + np.log(unit)), float(by_value), float(by_distance), middle, spread, float(place.min()),
            float(place.max()), typical, tuple(values.tolist()),
        )  # fmt: skip

    @property
    def unseen(self) -> float:
        """How much wider a prediction of another material is than one of those that the widths were learned from."""
        return float(np.sqrt(1.0 + PARAMETERS / len(self.values)))

    def factors(self, mean: np.ndarray) -> np.ndarray:
        """ndarray (n,): width over sigma where `mean` (n,) is predicted, as it was with the materials that were seen."""
        place = np.clip(_places(mean, self.middle, self.spread), self.lowest, self.highest)
        distance = _log_distances(mean, np.array(self.values), self.spread) - self.typical
        return np.exp(self.constant + self.by_value * place + self.by_distance * distance)

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return asdict(self) | {"values": list(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | WidthsRecord) -> Widths:
        """The inverse of `to_json`."""
        record = read_record(WidthsRecord, data)
        fields: dict[str, Any] = record.model_dump() | {"values": tuple(record.values.tolist())}
        return cls(**fields)


def _spread(values: np.ndarray, about: float | None = None) -> float:
    """Root mean square distance from the mean or another value, without overflow; 1 where it is 0."""
    largest = float(np.abs(values).max()) or 1.0
    scaled = values / largest
    size = largest * float(np.sqrt(np.mean((scaled - (scaled.mean() if about is None else about)) ** 2)))
    return size or 1.0


def _places(mean: np.ndarray, middle: float, spread: float) -> np.ndarray:
    """ndarray (n,): predicted values in standard deviations of the labels from their median, as far as counts."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.clip((mean - middle) / spread, -_OUTERMOST, _OUTERMOST)


def _log_distances(mean: np.ndarray, values: np.ndarray, spread: float, own: np.ndarray | None = None) -> np.ndarray:
    """ndarray (n,): logarithm of `_distances` in standard deviations of the labels, as far as counts."""
    with np.errstate(over="ignore"):
        return np.log(np.clip(_distances(mean, values, own) / spread, _NEAREST, _FARTHEST))


def _distances(mean: np.ndarray, values: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """ndarray (n,): distance of each predicted value to the `N_NEAR`-th nearest of `values` (k,), which are in order.

    `own` (n,) are places in `values` that do not count, one for each prediction.
    """
    n_near = min(N_NEAR, max(len(values) - (own is not None), 1))
    own = np.full(len(mean), -1) if own is None or len(values) == 1 else own
    out = np.empty(len(mean))
    near_distances_on_line(np.ascontiguousarray(mean), values, own, n_near, out)
    return out


def _most_probable(design: np.ndarray, size: np.ndarray) -> np.ndarray:
    """ndarray (3,): the coefficients, by Newton's method with steps that are halved until they help."""

    def objective(b: np.ndarray) -> float:
        log_width = design @ b
        with np.errstate(over="ignore"):  # a step that is too long is infinitely bad
            tail = 0.5 * (_DEGREES + 1) * np.log1p((size * np.exp(-log_width)) ** 2 / _DEGREES)
        return float((tail + log_width).sum() + 0.5 * (_CERTAINTY * (b - _EXPECTED) ** 2).sum())

    b = _EXPECTED.copy()
    best = objective(b)
    for _ in range(100):
        square = (size * np.exp(-(design @ b))) ** 2
        share = square / (_DEGREES + square)
        slope = design.T @ (1.0 - (_DEGREES + 1) * share) + _CERTAINTY * (b - _EXPECTED)
        bend = 2 * (_DEGREES + 1) * share * (1.0 - share)
        step = np.linalg.solve(design.T @ (bend[:, None] * design) + np.diag(_CERTAINTY), slope)
        while (value := objective(b - step)) > best and np.abs(step).max() > 1e-12:
            step = step / 2
        if value > best or np.abs(step).max() <= 1e-10:
            break
        b, best = b - step, value
    return b
