"""What is to be explained: a problem is (sample weights, target, allowed primary features).

A single fit, a bootstrap replicate (weights are counts), a cross-validation fold (weights 0 and 1) and an ensemble member without
some primaries are all problems over the same feature values, so one pass over the space serves them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sisso_sal.errors import FitError


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

    Raises
    ------
    FitError
        Shapes do not fit, weights are negative, or the target does not vary over the weighted samples.
    """

    target: np.ndarray
    weights: np.ndarray
    allowed: np.ndarray

    def __post_init__(self) -> None:
        if self.target.shape != self.weights.shape or self.target.ndim != 1:
            raise FitError(
                f"problem: needs one weight per target, found shapes {self.weights.shape}, {self.target.shape}"
            )
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.any()):
            raise FitError("problem: needs finite weights >= 0, at least one above 0")
        if not np.isfinite(self.target).all():
            raise FitError("problem: needs a finite target on every sample")

    @property
    def shares(self) -> np.ndarray:
        """ndarray (n_samples,): the weights, of sum 1."""
        return self.weights / self.weights.sum()

    def is_uniform(self) -> bool:
        """True where all samples count alike."""
        return bool((self.weights == self.weights[0]).all())

    def normalised(self, rows: np.ndarray, centre: bool) -> np.ndarray:
        """Residuals centred (if `centre`) and of weighted norm 1; those that are numerically zero are left out.

        Parameters
        ----------
        rows : ndarray (n_residuals, n_samples)

        Returns
        -------
        ndarray (n_kept, n_samples)
        """
        shares = self.shares
        reference = self.target - (shares @ self.target if centre else 0.0)
        scale = np.sqrt(shares @ reference**2)
        if centre:
            rows = rows - _products(rows, shares)[:, None]
        norms = np.sqrt(_products(rows**2, shares))
        is_kept = norms > 1e-12 * max(scale, np.abs(self.target).max() * 1e-3)
        return rows[is_kept] / norms[is_kept, None]


def _products(rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Products (m,) of each of rows (m, n) with shares (n,): row by row, so that the bits do not depend on how many there are."""
    return (rows[:, None, :] @ shares[:, None])[:, 0, 0]
