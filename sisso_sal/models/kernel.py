"""The covariance of a Gaussian process: a straight line, a Matérn kernel and noise; and the distances that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

N_ROWS = 64
"""Rows of a matrix of covariances that are made at once, so that they stay in the cache."""


class Parameters(NamedTuple):
    """What the logarithms `theta` of a kernel stand for.

    `trend` is the variance of the slope of the line, 0 where there is none; `constant` that of the Matérn kernel, and `noise` that
    of the noise, all in units of the variance of the target. `lengths` (1,) or (n_inputs,) are in units of the inputs.
    """

    trend: float
    constant: float
    lengths: np.ndarray
    noise: float


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel with bounds: a line in one input (optional), plus constant times Matérn, plus noise.

    Attributes
    ----------
    nu : float
        Smoothness of the Matérn kernel, 1.5 or 2.5.
    bounds : ndarray (n_theta, 2)
        Logarithms of the smallest and largest parameters: of the line (if there is one), constant, lengths, noise.
    trend : int or None
        Input along which there is a line through the origin, of unknown slope (Rasmussen, Williams, Gaussian Processes for Machine
        Learning (2006), eq. 2.40 with one basis function).
    """

    nu: float
    bounds: np.ndarray
    trend: int | None = None

    @property
    def n_lengths(self) -> int:
        """One for each input, or one for all."""
        return len(self.bounds) - 2 - (self.trend is not None)

    def parameters(self, theta: np.ndarray) -> Parameters:
        """The parameters from their logarithms (n_theta,)."""
        values = np.exp(theta)
        first = int(self.trend is not None)
        return Parameters(values[0] if first else 0.0, values[first], values[first + 1 : -1], values[-1])

    def line(self, rows: np.ndarray) -> np.ndarray:
        """ndarray (n,): the input with the line, of rows (n, n_inputs); zeros where there is none."""
        return np.zeros(len(rows)) if self.trend is None else rows[:, self.trend]


class Known(NamedTuple):
    """Scaled rows from which distances are measured, and how they are stored.

    `order` (n_inputs,) is the order in which the inputs are stored, first those that are mostly not zero (`n_dense` of them). In
    that order `lengths` (n_inputs,) are what they are divided by, and `columns` (n_inputs, n) the scaled inputs. `square` (n,) is
    the sum of the squares of those that are mostly zero.
    """

    order: np.ndarray
    lengths: np.ndarray
    columns: np.ndarray
    square: np.ndarray
    n_dense: int

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """ndarray (m, n_inputs): other rows, ordered and scaled like these."""
        return rows[:, self.order] / self.lengths


def known_rows(rows: np.ndarray, lengths: np.ndarray) -> Known:
    """Rows (n, n_inputs), divided by lengths (n_inputs,) or (1,).

    Inputs that are mostly zero, as shares of elements are, cost nothing where they are.
    """
    is_sparse = 2 * np.count_nonzero(rows, axis=0) < len(rows)
    order = np.argsort(is_sparse, kind="stable")
    n_dense = int((~is_sparse).sum())
    ordered = np.broadcast_to(lengths, rows.shape[1:])[order]
    columns = np.ascontiguousarray((rows[:, order] / ordered).T)
    return Known(order, ordered, columns, (columns[n_dense:] ** 2).sum(axis=0), n_dense)


def squared_distances(scaled: np.ndarray, known: Known, stop: int, out: np.ndarray) -> None:
    """Squared distances of scaled rows (m, n_inputs) from the first `stop` known ones, into `out` (m, at least `stop`)."""
    scaled = np.ascontiguousarray(scaled)  # of one layout, for which the kernel is compiled
    _squared_distances(scaled, known.columns, known.square, known.n_dense, stop, out)


@njit(cache=True)
def _squared_distances(rows, columns, square, n_dense, stop, out):
    """Equal inputs that are not sparse add exactly nothing. A row's sums do not depend on where it stands."""
    for i in range(rows.shape[0]):
        apart = out[i]
        for j in range(stop):
            apart[j] = square[j]
        for k in range(n_dense, rows.shape[1]):
            value, column = rows[i, k], columns[k]
            if value != 0.0:
                for j in range(stop):
                    apart[j] += value * (value - 2.0 * column[j])
        for j in range(stop):
            apart[j] = max(apart[j], 0.0)
        for k in range(n_dense):
            value, column = rows[i, k], columns[k]
            for j in range(stop):
                difference = value - column[j]
                apart[j] += difference * difference


def matern(nu: float, squared: np.ndarray, slope: np.ndarray | None = None) -> None:
    """Turn squared distances into values of the Matérn kernel, in place (Rasmussen, Williams (2006), eq. 4.17).

    Parameters
    ----------
    nu : float
        1.5 or 2.5.
    squared : ndarray
        Squared distances in units of the length.
    slope : ndarray of the same shape, optional
        Is given -2 times the derivative by the squared distance.

    Examples
    --------
    >>> values = np.array([0.0, 1.0])
    >>> matern(1.5, values)
    >>> values.round(4)
    array([1.    , 0.4834])
    """
    distance = np.sqrt(squared)
    distance *= np.sqrt(2 * nu)
    decay = np.exp(-distance)
    linear = distance + 1.0
    linear *= decay
    if nu == 1.5:
        squared[...] = linear
        if slope is not None:
            np.multiply(decay, 3.0, out=slope)
        return
    np.multiply(squared, 5.0 / 3.0, out=squared)
    squared *= decay
    squared += linear
    if slope is not None:
        np.multiply(linear, 5.0 / 3.0, out=slope)


def lower_distances(rows: np.ndarray, lengths: np.ndarray, out: np.ndarray) -> None:
    """Squared distances among rows (n, n_inputs), into the lower triangle of `out` (n, n)."""
    known = known_rows(rows, lengths)._replace(square=np.zeros(len(rows)), n_dense=rows.shape[1])
    scaled = known.scaled(rows)
    for start in range(0, len(rows), N_ROWS):
        stop = min(start + N_ROWS, len(rows))
        squared_distances(scaled[start:stop], known, stop, out[start:stop])


def lower_covariance(
    kernel: Kernel,
    parameters: Parameters,
    line: np.ndarray,
    extra: np.ndarray | float,
    covariance: np.ndarray,
    slope: np.ndarray | None = None,
) -> None:
    """Turn squared distances in units of the lengths into covariances of labels, in the lower triangle of an array (n, n).

    Parameters
    ----------
    kernel : Kernel
    parameters : Parameters
    line : ndarray (n,)
        As of `Kernel.line`.
    extra : ndarray (n,) or float
        Variance of each label by itself, beside the noise.
    covariance : ndarray (n, n)
        Holds the distances, and then the covariances.
    slope : ndarray (n, n), optional
        Is given what `matern` gives, in its lower triangle.
    """
    for start in range(0, len(covariance), N_ROWS):
        stop = min(start + N_ROWS, len(covariance))
        block = covariance[start:stop, :stop]
        matern(kernel.nu, block, None if slope is None else slope[start:stop, :stop])
        block *= parameters.constant
        if kernel.trend is not None:
            block += (parameters.trend * line[start:stop])[:, None] * line[:stop]
    covariance.flat[:: len(covariance) + 1] += parameters.noise + extra
