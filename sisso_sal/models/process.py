"""A Gaussian process that learns the target from features and formulas. It is a `Learner` of the correction."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Hyperparameter, Kernel, Matern, WhiteKernel

N_AT_ONCE = 20_000
"""Rows that a process predicts at once: the matrix of covariances with the labelled materials must not fill the memory."""

_matern: Any = Matern  # whose stub knows one length only


@dataclass(frozen=True, eq=False)
class ProcessLearner:
    """A Gaussian process that has learned the target.

    Attributes
    ----------
    process : GaussianProcessRegressor
    left_out_mean, left_out_std : ndarray (n,)
        Of each training row, by the process without it (Rasmussen, Williams, Gaussian Processes for Machine Learning (2006),
        eq. 5.12).
    kinship : float
    """

    process: Any
    left_out_mean: np.ndarray
    left_out_std: np.ndarray
    kinship: float = 0.0

    @property
    def theta(self) -> list[float]:
        """Logarithms of the parameters of the kernel."""
        return [float(value) for value in self.process.kernel_.theta]

    def predict(self, rows: np.ndarray, formula: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sigma (n,) each, in the target's unit."""
        pieces = [
            self.process.predict(part, return_std=True) for part in np.array_split(rows, len(rows) // N_AT_ONCE + 1)
        ]
        return np.concatenate([m for m, _ in pieces]), np.concatenate([s for _, s in pieces])

    def covariance(self, rows: np.ndarray) -> np.ndarray:
        """ndarray (n, n)."""
        return self.process.predict(rows, return_cov=True)[1]


def learn_process(
    rows: np.ndarray,
    target: np.ndarray,
    lengths: np.ndarray | float,
    *,
    trend: int | None = None,
    theta: list[float] | None = None,
    kinship: float = 0.0,
) -> ProcessLearner:
    """A Gaussian process learns the target (Rasmussen, Williams (2006), eqs. 2.25, 2.26).

    Parameters
    ----------
    rows : ndarray (n, n_inputs)
    target : ndarray (n,)
    lengths : ndarray (n_inputs,) or float
        From which the lengths of greatest likelihood are looked for. Lengths under one standard deviation are not believed.
    trend : int, optional
        Column along which there is a straight line as well.
    theta : list of float, optional
        Logarithms of the kernel's parameters, in the place of those of greatest likelihood.
    kinship : float

    Raises
    ------
    ValueError
        `theta` does not fit the kernel.
    """
    kernel: Any = ConstantKernel(1.0, (1e-2, 1e2)) * _matern(lengths, (1.0, 30.0), nu=1.5) + WhiteKernel(
        0.1, (1e-3, 1.0)
    )
    if trend is not None:
        kernel = Trend(trend) + kernel
    if theta is not None:
        _check_theta(kernel, theta)
        kernel = kernel.clone_with_theta(np.array(theta))
    process: Any = GaussianProcessRegressor(kernel, normalize_y=True)
    if theta is not None:
        process.set_params(optimizer=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is what the bound is for
        process.fit(rows, target)
    scale = float(target.std()) or 1.0
    inverse = np.linalg.inv(process.kernel_(rows) + process.alpha * np.eye(len(rows)))
    residual = inverse @ ((target - target.mean()) / scale) / np.diag(inverse)
    return ProcessLearner(process, target - scale * residual, scale / np.sqrt(np.diag(inverse)), kinship)


def _check_theta(kernel: Any, theta: list[float]) -> None:
    values = np.array(theta, dtype=np.float64)
    low, high = kernel.bounds.T
    if values.shape != low.shape or not ((values >= low - 1e-6) & (values <= high + 1e-6)).all():
        raise ValueError(f"theta: needs {len(low)} logarithms within the bounds of the kernel")


class Trend(Kernel):
    """Covariance of a line through the origin in one column, of unknown slope: variance times the product of two values of it.

    Parameters
    ----------
    column : int
    variance : float
        Of the slope, before the labels are seen.
    variance_bounds : tuple of float

    References
    ----------
    Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eq. 2.40 with one basis function.

    Examples
    --------
    >>> Trend(1, 2.0)(np.array([[9.0, 1.0], [9.0, 3.0]]))
    array([[ 2.,  6.],
           [ 6., 18.]])
    """

    def __init__(self, column: int, variance: float = 1.0, variance_bounds: tuple[float, float] = (1e-3, 1e2)):
        self.column, self.variance, self.variance_bounds = column, variance, variance_bounds

    @property
    def hyperparameter_variance(self) -> Hyperparameter:
        return Hyperparameter("variance", "numeric", self.variance_bounds)

    def __call__(self, X, Y=None, eval_gradient=False) -> Any:
        covariance = self.variance * np.outer(X[:, self.column], (X if Y is None else Y)[:, self.column])
        return (covariance, covariance[:, :, None].copy()) if eval_gradient else covariance

    def diag(self, X):
        return self.variance * X[:, self.column] ** 2

    def is_stationary(self) -> Any:
        return False
