"""One model of classes: a few descriptors, and the log-odds that are linear in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from sisso_sal.features.expression import Expression
from sisso_sal.models.linear import SISSOModel
from sisso_sal.protocols import Cause

ClassName = str | int | float | bool


@dataclass(frozen=True, eq=False)
class ClassModel:
    """The log-odds of classes, linear in descriptors.

    Attributes
    ----------
    lanes : tuple of SISSOModel
        Of the second of two classes, or of each of several against all others: log-odds. Their ``rmse`` and ``max_abs_error`` are
        those of the probability on the training samples.
    classes : tuple
        Sorted, as they stand in the labels.
    confusion : ndarray (n_classes, n_classes)
        Weight of the training samples of each class (rows) by the class that is told (columns).
    log_loss : float
        Mean of minus the logarithm of the probability of the class that a training sample has.
    overlap : float
        Weight of the training samples in the convex domain of another class.
    overlap_size : float or None
        Mean over pairs of classes of the size of the overlap in units of the smaller domain; minus the smallest distance where no
        two meet. None for more than two descriptors.
    prior : ndarray (n_classes,)
        Share of each class in training.
    """

    lanes: tuple[SISSOModel, ...]
    classes: tuple[ClassName, ...]
    confusion: np.ndarray
    log_loss: float
    overlap: float
    overlap_size: float | None
    prior: np.ndarray

    @property
    def dimension(self) -> int:
        """Number of descriptors."""
        return self.lanes[0].dimension

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The descriptors."""
        return tuple(term.expression for term in self.lanes[0].terms)

    @property
    def accuracy(self) -> float:
        """Share of the training weight whose class is told rightly."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    def primaries(self) -> tuple[str, ...]:
        """Names of the primary features that it uses, sorted."""
        return self.lanes[0].primaries()

    def log_odds(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """ndarray (n, n_lanes): NaN where a descriptor is undefined.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Primary features in the units of the training table.
        """
        values = np.array([lane.predict(columns)[0] for lane in self.lanes])
        return np.where(np.isfinite(values), values, np.nan).T

    def probability(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """ndarray (n, n_classes): probability of each class; NaN where a descriptor is undefined."""
        return probabilities(self.log_odds(columns))

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """ndarray (n,) of int: number of the most probable class; the largest of training where a descriptor is undefined."""
        probability = self.probability(columns)
        undefined = np.isnan(probability).any(axis=1)
        return np.where(undefined, self.prior.argmax(), np.nan_to_num(probability).argmax(axis=1))

    def cause(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Why predictions are not valid: ndarray (n,) of int, a `Cause`, 0 where they are."""
        return self.lanes[0].cause(columns)

    def reasons(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The same in words: ndarray (n,) of str, "" where predictions are valid."""
        return np.array([(cause and Cause(cause).words) or "" for cause in self.cause(columns).tolist()], dtype=object)

    def equations(self) -> dict[ClassName, str]:
        """The log-odds of the second of two classes, or of each of several, over several lines each."""
        named = self.classes[1:] if len(self.lanes) == 1 else self.classes
        return {name: lane.equation("log_odds") for name, lane in zip(named, self.lanes, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return {
            "lanes": [lane.to_json() for lane in self.lanes],
            "confusion": self.confusion.tolist(),
            "log_loss": self.log_loss,
            "overlap": self.overlap,
            "overlap_size": self.overlap_size,
            "prior": self.prior.tolist(),
        }


def probabilities(log_odds: np.ndarray) -> np.ndarray:
    """Probabilities (n, n_classes) from log-odds (n, n_lanes), those of the second of two classes or of each of several.

    Examples
    --------
    >>> probabilities(np.array([[0.0]]))
    array([[0.5, 0.5]])
    >>> probabilities(np.array([[np.nan, 0.0, 0.0]]))
    array([[nan, nan, nan]])
    """
    return probabilities_of_lanes(log_odds.T).T


def probabilities_of_lanes(log_odds: np.ndarray) -> np.ndarray:
    """The same with lanes and classes in front: (n_lanes, ...) to (n_classes, ...).

    Sums go from class to class, whatever the shape: what is said of a row does not depend on the rows beside it.
    """
    with np.errstate(over="ignore"):
        yes = np.exp(-log_odds)
    yes += 1.0
    np.divide(1.0, yes, out=yes)
    if len(yes) == 1:
        return np.concatenate([1.0 - yes, yes])
    total = reduce(np.add, yes)
    return np.where(total == 0.0, 1.0 / len(yes), yes / np.where(total == 0.0, 1.0, total))


def confusion_of(told: np.ndarray, labels: np.ndarray, weights: np.ndarray, n_classes: int) -> np.ndarray:
    """ndarray (n_classes, n_classes): weight of the samples of each class (rows) by the class that is told (columns).

    Examples
    --------
    >>> confusion_of(np.array([0, 1, 1]), np.array([0, 0, 1]), np.ones(3), 2)
    array([[1., 1.],
           [0., 1.]])
    """
    out = np.zeros((n_classes, n_classes))
    np.add.at(out, (labels, told), weights)
    return out


def plain_classes(classes: Sequence[Any] | np.ndarray) -> tuple[ClassName, ...]:
    """Classes as they stand in JSON."""
    return tuple(name.item() if isinstance(name, np.generic) else name for name in classes)
