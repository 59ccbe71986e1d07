"""The twin of the Gaussian processes: scikit-learn's, with a kernel of the same parameters."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Hyperparameter, Kernel, Matern, WhiteKernel


class Line(Kernel):
    """Covariance of a line through the origin in one column, of unknown slope."""

    def __init__(self, column, variance=1.0, variance_bounds=(1e-3, 1e2)):
        self.column, self.variance, self.variance_bounds = column, variance, variance_bounds

    @property
    def hyperparameter_variance(self):
        return Hyperparameter("variance", "numeric", self.variance_bounds)

    def __call__(self, X, Y=None, eval_gradient=False):
        covariance = self.variance * np.outer(X[:, self.column], (X if Y is None else Y)[:, self.column])
        return (covariance, covariance[:, :, None].copy()) if eval_gradient else covariance

    def diag(self, X):
        return self.variance * X[:, self.column] ** 2

    def is_stationary(self):
        return False


def twin_kernel(kernel, theta):
    """scikit-learn's kernel with the same bounds, at these logarithms of parameters."""
    pairs = [tuple(pair) for pair in np.exp(kernel.bounds)]
    line, own = ([], pairs) if kernel.trend is None else (pairs[:1], pairs[1:])
    lengths = np.ones(kernel.n_lengths) if kernel.n_lengths > 1 else 1.0
    bounds = own[1:-1] if kernel.n_lengths > 1 else own[1]
    twin = ConstantKernel(1.0, own[0]) * Matern(lengths, bounds, nu=kernel.nu) + WhiteKernel(1.0, own[-1])
    if line:
        twin = Line(kernel.trend, 1.0, line[0]) + twin
    return twin.clone_with_theta(np.array(theta))


def twin_process(kernel, theta, rows, labels, extra=1e-15, **options):
    """Of these parameters, or of the greatest likelihood from them on with ``optimizer="fmin_l_bfgs_b"``."""
    process = GaussianProcessRegressor(
        twin_kernel(kernel, theta), alpha=extra, **({"optimizer": None, "normalize_y": True} | options)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(rows, labels)
