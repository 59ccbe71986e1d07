"""What is to be explained: a problem is (sample weights, target, allowed primary features).

A single fit, a bootstrap replicate (weights are counts), a cross-validation fold (weights 0 and 1) and an ensemble member without
some primaries are all problems over the same feature values, so one pass over the space serves them all. A problem of several tasks
has one descriptor and coefficients of each task (Ouyang et al., J. Phys. Mater. 2, 024002 (2019)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sisso_sal.errors import FitError


class FitObjective(NamedTuple):
    """What makes one fit better than another; by default the sum of squared residuals.

    - ``is_task_equal``: bool; tasks count alike, each with the mean square of its residuals, not by the weights of their samples.
    - ``is_same_sign``: bool; signs of coefficients agree over tasks: each fit is the best one with that.
    - ``is_largest_error``: bool; fits are of least squares, and the best has the smallest largest error; of several tasks the root
      of the mean square of the largest errors counts, weighted as the tasks are.
    """

    is_task_equal: bool = False
    is_same_sign: bool = False
    is_largest_error: bool = False


SQUARES = FitObjective()


@dataclass(frozen=True, eq=False)
class Problem:
    """One problem of a pass.

    Parameters
    ----------
    target : ndarray (n_samples,)
    weights : ndarray (n_samples,)
        Not negative; zero means that the sample is not there, counts equal repeated rows.
    allowed : ndarray (n_primary,) of bool
        Primary features that may occur in its formulas.
    tasks : ndarray (n_samples,) of int, optional
        Number of each sample's task, from 0; each task needs weights above 0. Without them all samples are of one.

    Raises
    ------
    FitError
        Shapes do not fit, weights are negative, or a task has none above 0.
    """

    target: np.ndarray
    weights: np.ndarray
    allowed: np.ndarray
    tasks: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.target.shape != self.weights.shape or self.target.ndim != 1:
            raise FitError(
                f"problem: needs one weight per target, found shapes {self.weights.shape}, {self.target.shape}"
            )
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.any()):
            raise FitError("problem: needs finite weights >= 0, at least one above 0")
        if not np.isfinite(self.target).all():
            raise FitError("problem: needs a finite target on every sample")
        if self.tasks is not None:
            if self.tasks.shape != self.target.shape or self.tasks.min() < 0:
                raise FitError(f"problem: needs one task per target, numbered from 0, found shape {self.tasks.shape}")
            if not np.bincount(self.tasks, self.weights).all():
                raise FitError("problem: needs weights above 0 in each task")

    @property
    def shares(self) -> np.ndarray:
        """ndarray (n_samples,): the weights, of sum 1."""
        return self.weights / self.weights.sum()

    @property
    def task_numbers(self) -> np.ndarray:
        """ndarray (n_samples,) of int: the task of each sample; zeros where there is one."""
        return np.zeros(len(self.target), dtype=np.int64) if self.tasks is None else self.tasks.astype(np.int64)

    @property
    def n_tasks(self) -> int:
        return 1 if self.tasks is None else int(self.tasks.max()) + 1

    @property
    def of_tasks(self) -> list[Problem]:
        """The problem of each task alone, on all samples: those of others have weight 0."""
        if self.tasks is None:
            return [self]
        each = [np.where(self.tasks == t, self.weights, 0.0) for t in range(self.n_tasks)]
        return [Problem(self.target, weights, self.allowed) for weights in each]

    def task_heights(self, objective: FitObjective) -> np.ndarray:
        """ndarray (n_tasks,): what each task counts, of the same sum as the weights."""
        heights = np.bincount(self.task_numbers, self.weights)
        return np.full(len(heights), heights.sum() / len(heights)) if objective.is_task_equal else heights

    def is_uniform(self) -> bool:
        """True where all samples count alike."""
        return bool((self.weights == self.weights[0]).all())

    def normalised(self, rows: np.ndarray, centre: bool) -> np.ndarray:
        """Residuals centred (if `centre`) and of weighted norm 1; those that are numerically zero are left out.

        Of several tasks each residual is centred in every task.

        Parameters
        ----------
        rows : ndarray (n_residuals, n_samples)

        Returns
        -------
        ndarray (n_kept, n_samples)
        """
        shares = self.shares
        reference = self.target
        if centre:
            reference = reference - self._means(reference[None])[0]
            rows = rows - self._means(rows)
        scale = np.sqrt(shares @ reference**2)
        norms = np.sqrt(_products(rows**2, shares))
        is_kept = norms > 1e-12 * max(scale, np.abs(self.target).max() * 1e-3)
        return rows[is_kept] / norms[is_kept, None]

    def _means(self, rows: np.ndarray) -> np.ndarray:
        """Weighted means of rows (m, n_samples) in the task of each sample: (m, n_samples), or (m, 1) for one task."""
        if self.tasks is None:
            return _products(rows, self.shares)[:, None]
        parts = [own.shares for own in self.of_tasks]
        return np.stack([_products(rows, shares) for shares in parts], axis=1)[:, self.tasks]


def _products(rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Products (m,) of each of rows (m, n) with shares (n,): row by row, so that the bits do not depend on how many there are."""
    return (rows[:, None, :] @ shares[:, None])[:, 0, 0]
