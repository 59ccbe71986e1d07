"""Probabilities of classes by many classifiers: the formulas of all of them are one program, which is evaluated block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np

from sisso_sal.models._program import mean_and_spread
from sisso_sal.models.class_calibration import ClassScaling
from sisso_sal.models.class_model import ClassModel, probabilities_of_lanes
from sisso_sal.models.linear import REACH
from sisso_sal.models.program import Program
from sisso_sal.protocols.cause import reasons

MOST_ROWS = 4096
N_VALUES = 2**17
"""Log-odds that are evaluated at once, of at most `MOST_ROWS` rows: what is made of them stays in the second cache."""

Wanted = Callable[[np.ndarray], np.ndarray]
"""From probabilities (n_classes, n) to the classes of which the spread is wanted: bool, (n_classes, n) or (n_classes, 1)."""


class _Block(NamedTuple):
    """Rows; probabilities (n_classes, n_models, n) of each model, NaN where it is not defined; and (n_models, n) of bool, where its
    descriptors are defined and not far outside their training range.
    """

    rows: slice
    every: np.ndarray
    near: np.ndarray


class ToldClasses(NamedTuple):
    """What classifiers say together of n materials.

    - ``probability``: ndarray (n, n_classes); mean over those that are defined there, scaled; NaN where none is.
    - ``n_defined``: ndarray (n,) of int; how many are.
    - ``outside``: ndarray (n,); share of those whose descriptors are not defined, or lie far outside their training range.
    - ``spread``: ndarray (n,); standard deviation of the scaled probability of what is wanted over those that are defined; NaN
      where fewer than two are, or nothing is wanted.
    """

    probability: np.ndarray
    n_defined: np.ndarray
    outside: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True, eq=False)
class ClassProgram:
    """Classifiers of the same classes, and what makes their mean probability one that can be believed. Plain data.

    Attributes
    ----------
    program : Program
        Of the log-odds: those of the first lane of all models, then of the second.
    n_models, n_classes : int
    scaling : ClassScaling or None

    Examples
    --------
    >>> from sisso_sal.features.expression import Expression
    >>> from sisso_sal.models.linear import SISSOModel, Term
    >>> lane = SISSOModel((Term(Expression.primary("a"), 2.0, 0.0, 1.0),), -1.0, 0.0, 0.0)
    >>> model = ClassModel((lane,), ("no", "yes"), np.eye(2), 0.1, 0.0, None, np.full(2, 0.5))
    >>> told = ClassProgram.of([model, model]).told({"a": np.array([0.5, 9.0, np.nan])})
    >>> told.probability[:, 1].round(3).tolist(), told.n_defined.tolist(), told.outside.tolist()
    ([0.5, 1.0, nan], [2, 2, 0], [0.0, 1.0, 1.0])
    """

    program: Program
    n_models: int
    n_classes: int
    scaling: ClassScaling | None = None

    @classmethod
    def of(cls, models: Sequence[ClassModel], scaling: ClassScaling | None = None) -> ClassProgram:
        """That of some classifiers."""
        lanes = [lane for same in zip(*(model.lanes for model in models), strict=True) for lane in same]
        return cls(Program.of(lanes), len(models), len(models[0].classes), scaling)

    def told(self, columns: Mapping[str, np.ndarray], wanted: Wanted | None = None) -> ToldClasses:
        """What the classifiers say together. It is the same for a row whatever rows stand beside it.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Primary features in the units of the training table.
        wanted : callable, optional
            Tells of which classes the spread is wanted.

        Raises
        ------
        ExpressionError
            A primary feature is missing.
        """
        n = len(self.program.primaries[0].evaluate(columns))
        probability, n_defined, outside = np.empty((self.n_classes, n)), np.empty(n, dtype=np.int64), np.empty(n)
        spread = np.full(n, np.nan)
        with np.errstate(all="ignore"):
            for rows, every, near in self._blocks(columns, n):
                defined = np.logical_and.reduce(np.isfinite(every), axis=0)
                n_defined[rows] = number = defined.sum(axis=0)
                outside[rows] = (~near).sum(axis=0) / self.n_models
                mean = np.array([_mean_and_spread(own, defined)[0] for own in every])
                probability[:, rows] = mean = self._scaled(np.where(number > 0, mean, np.nan))
                if wanted is not None:
                    own = reduce(np.add, np.where(wanted(mean)[:, None], self._scaled(every), 0.0))
                    spread[rows] = np.where(number > 1, _mean_and_spread(own, defined)[1], np.nan)
        return ToldClasses(probability.T, n_defined, outside, spread)

    def _blocks(self, columns: Mapping[str, np.ndarray], n: int) -> Iterator[_Block]:
        size = max(1, min(MOST_ROWS, N_VALUES // len(self.program.models)))
        names = [primary.name for primary in self.program.primaries]
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            totals, reach = self.program.evaluate({name: columns[name][rows] for name in names if name in columns})
            log_odds = totals.reshape(-1, self.n_models, totals.shape[1])
            near = (reach[: self.n_models] <= REACH) & np.isfinite(log_odds[0])
            every = probabilities_of_lanes(np.where(np.isfinite(log_odds), log_odds, np.nan))
            yield _Block(rows, every, near)

    def _scaled(self, probability: np.ndarray) -> np.ndarray:
        return probability if self.scaling is None else self.scaling.applied_to_classes(probability)


def _mean_and_spread(members: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased standard deviation (n,) over the valid ones of members (n_members, n)."""
    mean, spread = np.empty((2, members.shape[1]))
    mean_and_spread(members, valid, 1.0, mean, spread)
    return mean, spread


def most_probable(probability: np.ndarray) -> np.ndarray:
    """Where the most probable class is, the first of equal ones: bool (n_classes, n), of probabilities (n_classes, n)."""
    return np.nan_to_num(probability).argmax(axis=0) == np.arange(len(probability))[:, None]


def reasons_of(models: Sequence[ClassModel], columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Why there is no prediction of some materials: ndarray (n,) of str, the most frequent cause of the models."""
    cause = np.array([model.cause(columns) for model in models])
    return reasons(np.full(cause.shape[1], np.nan), cause)
