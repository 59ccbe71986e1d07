"""Samples of classes that descriptors shall tell apart: a problem is (classes, sample weights, allowed primary features)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sisso_sal.errors import FitError


@dataclass(frozen=True, eq=False)
class ClassProblem:
    """One problem of a pass over the features. Problems of one pass have the same labels.

    Parameters
    ----------
    labels : ndarray (n_samples,) of int
        Number of the class of each sample, 0 to n_classes - 1.
    weights : ndarray (n_samples,)
        Not negative; zero means that the sample is not there, counts equal repeated rows.
    allowed : ndarray (n_primary,) of bool
        Primary features that may occur in its formulas.

    Raises
    ------
    FitError
        Shapes do not fit, weights are negative, or fewer than two classes have samples.
    """

    labels: np.ndarray
    weights: np.ndarray
    allowed: np.ndarray

    def __post_init__(self) -> None:
        if self.labels.shape != self.weights.shape or self.labels.ndim != 1:
            raise FitError(
                f"class problem: needs one weight per label, found shapes {self.weights.shape}, {self.labels.shape}"
            )
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.any()):
            raise FitError("class problem: needs finite weights >= 0, at least one above 0")
        if len(np.unique(self.labels[self.weights > 0])) < 2:
            raise FitError("class problem: needs samples of at least two classes, found one class")

    @property
    def n_classes(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def shares(self) -> np.ndarray:
        """ndarray (n_samples,): the weights, of sum 1."""
        return self.weights / self.weights.sum()

    @property
    def present(self) -> np.ndarray:
        """ndarray (n_samples,) of bool: samples of positive weight."""
        return self.weights > 0

    @property
    def n_lanes(self) -> int:
        """Questions of yes or no that tell the classes: one for two classes, otherwise one for each class."""
        return 1 if self.n_classes == 2 else self.n_classes

    def lanes(self) -> np.ndarray:
        """ndarray (n_lanes, n_samples) of bool: whether a sample is of the class of each question; of two classes the second.

        Examples
        --------
        >>> labels = np.array([0, 1, 1])
        >>> ClassProblem(labels, np.ones(3), np.ones(1, bool)).lanes()
        array([[False,  True,  True]])
        """
        classes = np.array([1]) if self.n_classes == 2 else np.arange(self.n_classes)
        return self.labels == classes[:, None]
