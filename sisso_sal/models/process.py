"""Gaussian processes: fitted, asked, and asked without each label. One of them is a `Learner` of the correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sisso_sal.errors import FitError
from sisso_sal.models.groups import NOTHING_TOLD, Provenance, consecutive
from sisso_sal.models.kernel import (
    N_ROWS,
    Kernel,
    Known,
    known_rows,
    lower_covariance,
    lower_distances,
    matern,
    squared_distances,
)
from sisso_sal.models.likelihood import Likelihood, most_likely

MOST_LIKELY_FROM = 1500
"""Labels from which the parameters of a kernel are found; of more labels so many are chosen (`spread`)."""

MOST_EVALUATIONS = 12
"""Evaluations of the likelihood where the search begins at the parameters of an earlier fit."""

LEAST_NOVELTY = 1e-12
"""So that rounding of a variance that is nothing gives a number with a logarithm."""

_BLOCK, _LARGE_BLOCK, _FEW = 96, 240, 400
"""Rows that are predicted at once, with many labels and with up to `_FEW`: their covariances with the labels stay in the cache.

Both are multiples of what any processor takes at a time. All products have this many rows, so a row has the same bits wherever it
stands and whatever stands beside it.
"""


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A Gaussian process that has seen labels (Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1).

    Attributes
    ----------
    kernel : Kernel
    theta : ndarray (n_theta,)
        Logarithms of its parameters.
    known : Known
        Rows with labels.
    line : ndarray (n,)
        Their input with the line.
    inverse : ndarray (n, n)
        Inverse of the lower Cholesky factor of the covariances of the labels, in units of their variance.
    weights : ndarray (n,)
        Its product with the standardised labels.
    centre, scale : float
        Mean and standard deviation of the labels, in the target's unit.
    n_evaluations : int
        Evaluations of the likelihood by which the parameters were found.
    """

    kernel: Kernel
    theta: np.ndarray
    known: Known
    line: np.ndarray
    inverse: np.ndarray
    weights: np.ndarray
    centre: float
    scale: float
    n_evaluations: int = 0

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sigma (m,) each of labels of rows (m, n_inputs), in the target's unit; a row's bits depend on that row alone."""
        mean, explained = np.empty(len(rows)), np.empty(len(rows))
        size = _LARGE_BLOCK if len(self.weights) <= _FEW else _BLOCK
        whole = np.empty((size, rows.shape[1]))
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            whole[: len(part)], whole[len(part) :] = part, part[:1]
            whitened = self._whitened(whole)
            mean[start : start + size] = (whitened * self.weights).sum(axis=1)[: len(part)]
            explained[start : start + size] = np.square(whitened).sum(axis=1)[: len(part)]
        prior = self.prior(self.kernel.line(rows))
        return self.centre + self.scale * mean, self.scale * np.sqrt(np.maximum(prior - explained, 0.0))

    def prior(self, line: np.ndarray) -> np.ndarray:
        """ndarray (n,): variance of labels before any was seen, in units of `scale` squared; `line` (n,) as of `Kernel.line`."""
        parameters = self.kernel.parameters(self.theta)
        return parameters.constant + parameters.noise + parameters.trend * line**2

    def left_out(self, labels: np.ndarray, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sigma (n,) each of every label by the process without its material, in the target's unit.

        Parameters
        ----------
        labels : ndarray (n,)
            Those that it has seen.
        groups : ndarray (n,) of int, optional
            Rows with the same number are one material; by default each is one (eq. 5.12).

        """
        precision = np.zeros(len(labels))
        for start in range(0, len(labels), N_ROWS):
            precision += np.square(self.inverse[start : start + N_ROWS]).sum(axis=0)
        smoothed = self.inverse.T @ self.weights
        mean, std = labels - self.scale * smoothed / precision, self.scale / np.sqrt(precision)
        for rows in () if groups is None else _shared(groups):
            mean[rows], std[rows] = self.without(labels, rows)
        return mean, std

    def without(self, labels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sigma (k,) each of the labels of some rows by the process without all of them, in the target's unit.

        Parameters
        ----------
        labels : ndarray (n,)
            Those that it has seen.
        rows : ndarray (k,) of int

        Source: Ginsbourger, Schärer, arXiv 2101.03108 (2021).
        """
        own = self.inverse[:, rows]
        covariance = np.linalg.inv(own.T @ own)
        mean = labels[rows] - self.scale * (covariance @ (own.T @ self.weights))
        return mean, self.scale * np.sqrt(np.diag(covariance))

    def _whitened(self, rows: np.ndarray) -> np.ndarray:
        """ndarray (m, n): product of their covariances with the labels and the transpose of `inverse`."""
        from scipy.linalg.blas import dtrmm  # pyright: ignore[reportAttributeAccessIssue]

        parameters = self.kernel.parameters(self.theta)
        covariance = np.empty((len(rows), len(self.weights)))
        squared_distances(self.known.scaled(rows), self.known, len(self.weights), covariance)
        matern(self.kernel.nu, covariance)
        covariance *= parameters.constant
        if self.kernel.trend is not None:
            covariance += (parameters.trend * self.kernel.line(rows))[:, None] * self.line
        return dtrmm(1.0, self.inverse.T, covariance.T, side=0, lower=0, trans_a=1, overwrite_b=1).T


def _shared(groups: np.ndarray) -> list[np.ndarray]:
    """Rows of each group that has several, in order."""
    number = consecutive(groups)
    order, sizes = np.argsort(number, kind="stable"), np.bincount(number)
    return [part for part in np.split(order, np.cumsum(sizes)[:-1]) if len(part) > 1]


@dataclass(frozen=True, eq=False)
class ProcessLearner:
    """A Gaussian process that has learned the target.

    Attributes
    ----------
    process : GaussianProcess
    left_out_mean, left_out_std : ndarray (n,)
        Of each training row, by the process without its material, in the target's unit.
    kinship : float
    """

    process: GaussianProcess
    left_out_mean: np.ndarray
    left_out_std: np.ndarray
    kinship: float = 0.0

    @property
    def theta(self) -> list[float]:
        """Logarithms of the parameters of the kernel."""
        return self.process.theta.tolist()

    def predict(self, rows: np.ndarray, formula: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sigma (n,) each, in the target's unit."""
        return self.process.predict(rows)

    def novelty(self, rows: np.ndarray, std: np.ndarray) -> np.ndarray:
        """ndarray (n,): the share of the variance of a label that the process does not know, 1 where all is new.

        Parameters
        ----------
        rows : ndarray (n, n_inputs)
        std : ndarray (n,)
            Sigma that `predict` gives for them.
        """
        return self._share(std**2, self.process.kernel.line(rows))

    def left_out_novelty(self, errors: np.ndarray | None = None) -> np.ndarray:
        """ndarray (n,): the same of each training row, by the process without its material.

        The errors (n,) of labels are no novelty: their standard deviations have been added to that of the label.
        """
        square = self.left_out_std**2
        return self._share(square if errors is None else square - errors**2, self.process.line)

    def _share(self, variance: np.ndarray, line: np.ndarray) -> np.ndarray:
        return np.clip(variance / (self.process.scale**2 * self.process.prior(line)), LEAST_NOVELTY, 1.0)


def learn_process(
    rows: np.ndarray,
    target: np.ndarray,
    lengths: np.ndarray,
    *,
    trend: int | None = None,
    theta: Sequence[float] | None = None,
    earlier: Sequence[float] | None = None,
    kinship: float = 0.0,
    provenance: Provenance = NOTHING_TOLD,
) -> ProcessLearner:
    """A Gaussian process learns the target.

    Parameters
    ----------
    rows : ndarray (n, n_inputs)
    target : ndarray (n,)
    lengths : ndarray (n_inputs,) or (1,)
        From which the lengths of greatest likelihood are looked for. Lengths under one standard deviation are not believed.
    trend : int, optional
        Column along which there is a straight line as well.
    theta : sequence of float, optional
        Logarithms of the kernel's parameters, in the place of those of greatest likelihood.
    earlier : sequence of float, optional
        Those of an earlier fit, from which the search begins, and ends after `MOST_EVALUATIONS`. What does not fit the kernel is
        left alone.
    kinship : float
    provenance : Provenance
        Rows of one material are left out together; squares of errors add to the noise.

    Raises
    ------
    ValueError
        `theta` does not fit the kernel, or a number is not finite.
    FitError
        The memory does not suffice.
    """
    line = [] if trend is None else [(1.0, 1e-3, 1e2)]
    known = [*line, (1.0, 1e-2, 1e2), *((length, 1.0, 30.0) for length in lengths), (0.1, 1e-3, 1.0)]
    start, low, high = np.log(known).T
    kernel = Kernel(1.5, np.column_stack([low, high]), trend)
    groups, errors = provenance
    extra = 0.0 if errors is None else (errors / (float(target.std()) or 1.0)) ** 2
    if theta is not None:
        if not _fits(kernel, theta):
            raise ValueError(f"theta: needs {len(low)} logarithms within the bounds of the kernel")
        _check_finite(rows, target)
        process = conditioned(kernel, np.array(theta), rows, target, extra)
    elif earlier is not None and _fits(kernel, earlier):
        process = fit_process(kernel, [np.array(earlier)], rows, target, extra, most=MOST_EVALUATIONS)
    else:
        process = fit_process(kernel, [start], rows, target, extra)
    return ProcessLearner(process, *process.left_out(target, groups), kinship)


def _fits(kernel: Kernel, theta: Sequence[float]) -> bool:
    values, (low, high) = np.array(theta), kernel.bounds.T
    return values.shape == low.shape and bool(((values >= low - 1e-6) & (values <= high + 1e-6)).all())


def conditioned(
    kernel: Kernel,
    theta: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    extra: np.ndarray | float = 0.0,
    n_evaluations: int = 0,
) -> GaussianProcess:
    """The process with these parameters after these labels; arguments as of `fit_process`.

    Raises
    ------
    FitError
        The memory does not suffice.
    LinAlgError
        The covariances are not positive definite.
    """
    from scipy.linalg.lapack import dpotrf, dtrtri  # pyright: ignore[reportAttributeAccessIssue]

    parameters = kernel.parameters(theta)
    values, centre, scale = _standardised(labels)
    line = kernel.line(rows)
    try:
        inverse = np.zeros((len(rows), len(rows)))
        lower_distances(rows, parameters.lengths, inverse)
        lower_covariance(kernel, parameters, line, extra, inverse)
    except MemoryError as error:
        raise _too_large(len(rows)) from error
    _, failed = dpotrf(inverse.T, lower=0, clean=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("the covariances of the labels are not positive definite")
    dtrtri(inverse.T, lower=0, overwrite_c=1)
    for start in range(0, len(rows), N_ROWS):
        block = inverse[start : start + N_ROWS, start : start + N_ROWS]
        block[np.triu_indices(len(block), 1)] = 0.0
    known = known_rows(rows, parameters.lengths)
    return GaussianProcess(kernel, theta, known, line, inverse, inverse @ values, centre, scale, n_evaluations)


def fit_process(
    kernel: Kernel,
    starts: Sequence[np.ndarray],
    rows: np.ndarray,
    labels: np.ndarray,
    extra: np.ndarray | float = 0.0,
    most: int | None = None,
) -> GaussianProcess:
    """A process with the parameters of greatest likelihood; of more than `MOST_LIKELY_FROM` labels, that of a part of them.

    Parameters
    ----------
    kernel : Kernel
    starts : sequence of ndarray (n_theta,)
        Logarithms of parameters from each of which the greatest likelihood is looked for.
    rows : ndarray (n, n_inputs)
    labels : ndarray (n,)
    extra : ndarray (n,) or float
        Variance of each label by itself, in units of the variance of all, beside the noise.
    most : int, optional
        Evaluations of the likelihood from each start.

    Raises
    ------
    ValueError
        A number is not finite, or the covariances are not positive definite.
    FitError
        The memory does not suffice.
    """
    _check_finite(rows, labels)
    chosen = spread(rows, labels, MOST_LIKELY_FROM)
    values = _standardised(labels)[0]
    part = extra[chosen] if isinstance(extra, np.ndarray) else extra
    try:
        likelihood = Likelihood(kernel, rows[chosen], values[chosen], part)
    except MemoryError as error:
        raise _too_large(len(chosen)) from error
    optima = [most_likely(likelihood, start, most) for start in starts]
    theta, _ = max(optima, key=lambda optimum: optimum[1])
    likelihood.close()  # whose arrays are as large as the factor that is made now
    return conditioned(kernel, theta, rows, labels, extra, likelihood.n_evaluations)


def _check_finite(rows: np.ndarray, labels: np.ndarray) -> None:
    if not (np.isfinite(rows).all() and np.isfinite(labels).all()):
        raise ValueError("a process needs finite numbers, found some that are not")


def spread(rows: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """Numbers of at most so many rows, spread evenly over the labels: ndarray of int, in order.

    They depend on what rows (n, n_inputs) and labels (n,) hold, not on their order.
    """
    n = len(labels)
    if n <= most:
        return np.arange(n)
    order = np.lexsort((*rows.T, labels))
    return np.sort(order[(np.arange(most) * n + n // 2) // most])


def _standardised(labels: np.ndarray) -> tuple[np.ndarray, float, float]:
    centre, scale = float(labels.mean()), float(labels.std()) or 1.0
    return (labels - centre) / scale, centre, scale


def _too_large(n: int) -> FitError:
    size = 8 * n**2 / 2**30
    return FitError(
        f"Gaussian process: needs {size:.1f} GiB for the covariances of {n} labels, found less; use fewer labels"
    )
