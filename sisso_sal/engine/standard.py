"""Features and target as the search for the best subsets takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sisso_sal.engine import _subsets as kernels
from sisso_sal.engine.problem import Problem


@dataclass(frozen=True)
class StandardRows:
    """Features and target at weighted norm 1, on the samples of positive weight.

    rows (m, n); squares (m,): 1, or 0 for a constant feature; target (n,); rhs (m,): products of rows and target; variance: of the
    target; roots (n,): of the shares of the weight.
    """

    rows: np.ndarray
    squares: np.ndarray
    target: np.ndarray
    rhs: np.ndarray
    variance: float
    roots: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, problem: Problem, centre: bool) -> StandardRows:
        samples = np.flatnonzero(problem.weights)
        shares = problem.shares[samples]
        roots = np.sqrt(shares)
        rows, squares = np.empty((len(values), len(samples))), np.empty(len(values))
        kernels.standardise(np.ascontiguousarray(values, dtype=float), samples, shares, centre, rows, squares)
        target = problem.target[samples]
        target = (target - (shares @ target if centre else 0.0)) * roots
        variance = float(target @ target) or 1.0
        target = target / np.sqrt(variance)
        return cls(rows, squares, target, rows @ target, variance, roots)
