"""L0 regression: the best subsets of a subspace, exhaustively, from one weighted Gram matrix.

Features are projected out one after the other, so that a subset of k features costs about ten operations, whatever k and the number
of samples; the best subsets are refitted by QR on the data (Furnival and Wilson, Technometrics 16, 499 (1974), for the idea of
sharing eliminations between subsets).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sisso_sal.engine import _kernels as kernels
from sisso_sal.engine.problem import Problem

PIVOT_FLOOR = 1e-10
"""A subset is singular if a feature keeps less than this share of its square after the others are projected out."""

DIGITS = 10
"""Subsets are equally good when their unexplained shares of the variance agree to this many decimals."""

MOST_HELD = 8192
"""Most subsets that are held to find the least complex of equally good ones."""


@dataclass(frozen=True)
class Fit:
    """Least-squares fit of one subset.

    Attributes
    ----------
    subset : tuple of int
        Numbers of the features, ascending.
    coefficients : ndarray (dim,)
        In units of target over feature.
    intercept : float
        In units of the target; 0 without intercept.
    sse : float
        Weighted sum of squared residuals, in units of the target squared.
    residual : ndarray (n_samples,)
        Target minus fit, on all samples.
    """

    subset: tuple[int, ...]
    coefficients: np.ndarray
    intercept: float
    sse: float
    residual: np.ndarray


@dataclass(frozen=True)
class Search:
    """Best fits of one dimension, best first, and the numbers of subsets seen and found singular."""

    fits: tuple[Fit, ...]
    n_subsets: int
    n_singular: int


def refit(values: np.ndarray, problem: Problem, subset: Sequence[int], centre: bool) -> Fit | None:
    """Weighted least squares by QR; None if the subset is singular on the data.

    Parameters
    ----------
    values : ndarray (n_features, n_samples)
    problem : Problem
    subset : sequence of int
        Rows of `values` to use.
    centre : bool
        Whether there is an intercept.
    """
    shares = problem.shares
    rows = values[list(subset)]
    means = rows @ shares if centre else np.zeros(len(rows))
    target_mean = float(shares @ problem.target) if centre else 0.0
    root = np.sqrt(shares)
    shifted = rows - means[:, None]
    centred = shifted * root
    norms = np.sqrt((centred**2).sum(axis=1))
    if not norms.all():
        return None
    q, r = np.linalg.qr((centred / norms[:, None]).T)
    if (np.diag(r) ** 2 < PIVOT_FLOOR).any():
        return None
    coefficients = np.linalg.solve(r, q.T @ ((problem.target - target_mean) * root)) / norms
    intercept = float(target_mean - coefficients @ means) if centre else 0.0
    residual = problem.target - target_mean - coefficients @ shifted
    return Fit(tuple(subset), coefficients, intercept, float(problem.weights @ residual**2), residual)


def sparsify(
    values: np.ndarray,
    problem: Problem,
    dim: int,
    *,
    keep: int = 10,
    centre: bool = True,
    ranks: Sequence[tuple[int, str]] | None = None,
    blocks: int = 1,
    executor=None,
) -> Search:
    """The `keep` best subsets of `dim` features, by the sum of squared residuals.

    Parameters
    ----------
    values : ndarray (n_features, n_samples)
        The subspace.
    problem : Problem
    dim : int
        Features in a subset.
    keep : int
        Number of fits wanted.
    centre : bool
        Whether there is an intercept.
    ranks : sequence of (int, str), optional
        Complexity and key of each feature, to order equally good subsets.
    blocks : int
        Pieces that the walk is cut into, for the executor's threads; the result does not depend on it.
    executor : concurrent.futures.Executor, optional
        Runs the pieces.

    Returns
    -------
    Search

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 0.0, 1.0, 1.0], [3.0, 1.0, 2.0, 5.0, 4.0]])
    >>> problem = Problem(2 * x[0] - x[2] + 7, np.ones(5), np.ones(1, bool))
    >>> best = sparsify(x, problem, 2).fits[0]
    >>> best.subset, best.coefficients.round(6), round(best.intercept, 6)
    ((0, 2), array([ 2., -1.]), 7.0)
    """
    m = len(values)
    if dim > m:
        return Search((), 0, 0)
    gram, rhs, total = _gram(values, problem, centre)
    same = 2 * 10.0**-DIGITS * total / float(problem.weights.sum())
    held = max(4 * keep, keep + 32)
    while True:
        pieces = [(gram, rhs, dim, pair, held) for pair in pairwise(_cuts(m, dim, blocks))]
        results = list(executor.map(_walk, pieces)) if executor else [_walk(piece) for piece in pieces]
        subsets = np.concatenate([result[0] for result in results])
        gains = np.concatenate([result[1] for result in results])
        order = np.lexsort((*subsets.T[::-1], -gains))[:held]
        fits = [fit for subset in subsets[order].tolist() if (fit := refit(values, problem, subset, centre))]
        is_cut_in_a_tie = len(order) == held and gains[order[keep - 1]] - gains[order[-1]] <= same
        is_short = len(order) == held and len(fits) < keep
        if held >= MOST_HELD or not (is_cut_in_a_tie or is_short):
            break
        held = min(8 * held, MOST_HELD)
    ranks = ranks or [(0, f"{i:09d}") for i in range(m)]

    def rank(fit: Fit):
        complexity = sum(ranks[i][0] for i in fit.subset)
        return round(fit.sse / total, DIGITS), complexity, sorted(ranks[i][1] for i in fit.subset)

    fits.sort(key=rank)
    return Search(tuple(fits[:keep]), sum(r[2] for r in results), sum(r[3] for r in results))


def _gram(values: np.ndarray, problem: Problem, centre: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Gram matrix of the features at norm 1, products with the target, and the target's weighted square."""
    shares = problem.shares
    rows = (values - (values @ shares)[:, None] if centre else values) * np.sqrt(shares)
    norms = np.sqrt((rows**2).sum(axis=1))
    rows = rows / np.where(norms > 0, norms, 1.0)[:, None]
    target = (problem.target - (shares @ problem.target if centre else 0.0)) * np.sqrt(shares)
    total = float(target @ target) * float(problem.weights.sum())
    gram = rows @ rows.T
    np.fill_diagonal(gram, np.where(norms > 0, 1.0, 0.0))
    return gram, rows @ target, total or 1.0


def _cuts(m: int, dim: int, blocks: int) -> list[int]:
    """First members at which the walk is cut, so that the pieces hold about equally many subsets."""
    if blocks <= 1:
        return [0, m]
    shares = 1.0 - (1.0 - np.arange(m + 1) / m) ** dim
    return sorted({0, m, *np.searchsorted(shares, np.arange(1, blocks) / blocks).tolist()})


def _walk(piece) -> tuple[np.ndarray, np.ndarray, int, int]:
    gram, rhs, dim, (start, stop), held = piece
    gains, subsets = np.zeros(held), np.zeros((held, dim), dtype=np.int64)
    count, seen, singular = kernels.best_subsets(gram, rhs, dim, (start, stop), PIVOT_FLOOR, gains, subsets)
    return subsets[:count], gains[:count], seen, singular
