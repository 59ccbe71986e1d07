"""The likelihood of a Gaussian process, its gradient, and the parameters for which it is greatest."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np

from sisso_sal.models.kernel import N_ROWS, Kernel, lower_covariance, lower_distances


class Likelihood:
    """Logarithm of the marginal likelihood of labels (Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), 5.4.1).

    Its two or three arrays (n, n) are made once. One of them holds the distances, the covariances, their Cholesky factor and their
    inverse, one after the other.

    Parameters
    ----------
    kernel : Kernel
    rows : ndarray (n, n_inputs)
    values : ndarray (n,)
        Labels, of mean 0 and variance 1.
    extra : ndarray (n,) or float
        Variance of each label by itself, beside the noise.

    Attributes
    ----------
    n_evaluations : int

    Examples
    --------
    >>> kernel = Kernel(1.5, np.log([[0.1, 10.0]] * 3))
    >>> likelihood = Likelihood(kernel, np.array([[0.0], [1.0]]), np.array([1.0, -1.0]))
    >>> value, gradient = likelihood(np.zeros(3))
    >>> round(value, 4), gradient.round(4)
    (-3.1603, array([-0.2444, -0.1626, -0.0963]))
    """

    def __init__(self, kernel: Kernel, rows: np.ndarray, values: np.ndarray, extra: np.ndarray | float = 0.0):
        n = len(rows)
        self.kernel, self.n_evaluations = kernel, 0
        self._rows, self._values, self._extra = rows, values, extra
        self._line = kernel.line(rows)
        self._matrix, self._slope = np.empty((n, n)), np.empty((n, n))
        self._apart: np.ndarray | None = None
        if kernel.n_lengths == 1:
            self._apart = np.zeros((n, n))
            lower_distances(rows, np.ones(1), self._apart)

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The logarithm, and its derivatives (n_theta,) by the logarithms of the parameters.

        Covariances that are not positive definite have -inf and zeros.
        """
        from scipy.linalg.lapack import dpotrf, dpotri, dpotrs  # pyright: ignore[reportAttributeAccessIssue]

        self.n_evaluations += 1
        parameters = self.kernel.parameters(theta)
        matrix = self._matrix
        if self._apart is None:
            lower_distances(self._rows, parameters.lengths, matrix)
        else:
            np.divide(self._apart, parameters.lengths[0] ** 2, out=matrix)
        lower_covariance(self.kernel, parameters, self._line, self._extra, matrix, self._slope)
        # The lower triangle of an array is the upper one of its transpose, which LAPACK takes without a copy.
        _, failed = dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
        if failed:
            return -np.inf, np.zeros(len(theta))
        half = float(np.log(matrix.diagonal()).sum())
        weights, _ = dpotrs(matrix.T, self._values, lower=0)
        value = -0.5 * float(self._values @ weights) - half - 0.5 * len(matrix) * math.log(2 * math.pi)
        dpotri(matrix.T, lower=0, overwrite_c=1)
        return value, self._gradient(parameters, weights)

    def close(self) -> None:
        """Give the memory back now, also where an optimiser still refers to this object (SciPy 1.13 does, in a cycle)."""
        del self._matrix, self._slope, self._apart

    def _gradient(self, parameters, weights: np.ndarray) -> np.ndarray:
        """From the inverse of the covariances and its product with the labels (eq. 5.9)."""
        from scipy.linalg.blas import dsymv  # pyright: ignore[reportAttributeAccessIssue]

        own = weights**2 - self._matrix.diagonal()
        noise = parameters.noise * own.sum()
        line = 0.0
        if self.kernel.trend is not None:
            seen = dsymv(1.0, self._matrix.T, self._line, lower=0)
            line = parameters.trend * ((weights @ self._line) ** 2 - self._line @ seen)
        # All parts of the covariance together give this much, by the definition of the weights.
        everything = float(self._values @ weights) - len(weights)
        constant = everything - noise - line - float((own * self._extra).sum())
        lengths = parameters.constant * self._by_lengths(parameters.lengths, weights)
        parts = ([line] if self.kernel.trend is not None else [], [constant], 2 * lengths, [noise])
        return 0.5 * np.concatenate(parts)

    def _by_lengths(self, lengths: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """ndarray of the shape of `lengths`: sum over pairs of W times the squared distance along each input.

        With W symmetric, sum W_ij (z_i - z_j)^2 = sum z_i^2 W_ij + sum z_j^2 W_ij - 2 z W z: one product with all inputs at once.
        """
        n, total = len(weights), np.zeros(len(lengths))
        z = self._rows / lengths if self._apart is None else np.empty((n, 0))
        beside = np.column_stack([z, np.ones(n)])
        columns = np.zeros(n)
        strict = np.tril(np.ones((N_ROWS, N_ROWS)), -1)
        for start in range(0, n, N_ROWS):
            stop = min(start + N_ROWS, n)
            block = weights[start:stop, None] * weights[:stop]
            block -= self._matrix[start:stop, :stop]
            block *= self._slope[start:stop, :stop]
            block[:, start:] *= strict[: stop - start, : stop - start]
            if self._apart is not None:
                total += np.vdot(block, self._apart[start:stop, :stop]) / lengths**2
                continue
            product = block @ beside[:stop]
            columns[:stop] += block.sum(axis=0)
            own = z[start:stop]
            total += (own**2 * product[:, -1:] - 2 * own * product[:, :-1]).sum(axis=0)
        return total + columns @ z**2 if self._apart is None else total


class _Enough(Exception):
    """Ends a search from inside."""


def most_likely(likelihood: Likelihood, start: np.ndarray, most: int | None = None) -> tuple[np.ndarray, float]:
    """The parameters of greatest likelihood within their bounds, and its logarithm there.

    Parameters
    ----------
    likelihood : Likelihood
    start : ndarray (n_theta,)
        Logarithms of the parameters to begin with.
    most : int, optional
        Evaluations after which the search ends; by default when it has converged.

    References
    ----------
    Byrd, Lu, Nocedal, Zhu, SIAM J. Sci. Comput. 16, 1190 (1995) (L-BFGS-B).
    """
    from scipy.optimize import minimize

    bounds, before = likelihood.kernel.bounds, likelihood.n_evaluations
    best, greatest = np.clip(start, *bounds.T), -np.inf

    def opposite(theta: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best, greatest
        if likelihood.n_evaluations - before == most:
            raise _Enough
        value, gradient = likelihood(theta)
        if value > greatest:
            best, greatest = theta.copy(), value
        return -value, -gradient

    with suppress(_Enough):
        minimize(opposite, best, jac=True, method="L-BFGS-B", bounds=bounds)
    return best, greatest
