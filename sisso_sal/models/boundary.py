"""Linear boundaries between classes in the space of a few descriptors, and what the descriptors tell about the probability."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.linear_criterion import LinearCriterion
from sisso_sal.engine.sparsify import NUMBERS
from sisso_sal.errors import SettingsError


def fit_boundary(
    kind: str, values: np.ndarray, problem: ClassProblem, ridge: float, is_cut: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercepts of the log-odds: of the second of two classes, or of each of several against the others.

    Parameters
    ----------
    kind : str
        A name of `BOUNDARIES`: ``logistic`` or ``svc``, a linear support vector classifier (Cortes and Vapnik, Machine Learning 20,
        273 (1995)) whose distance is scaled to log-odds (Platt, Advances in Large Margin Classifiers, 61 (1999), without offset, so
        that the boundary stays).
    values : ndarray (dim, n_samples)
        Descriptors.
    problem : ClassProblem
    ridge : float
        See `LinearCriterion`.
    is_cut : bool
        Of two classes, move the boundary to where it tells most samples, in the middle of the widest gap of those, if that is more
        by at least half a sample of mean weight.

    Returns
    -------
    coefficients : ndarray (n_lanes, dim)
        In units of one over descriptor.
    intercepts : ndarray (n_lanes,)

    Examples
    --------
    >>> problem = ClassProblem(np.array([0, 0, 1, 1]), np.ones(4), np.ones(1, bool))
    >>> slope, start = fit_boundary("logistic", np.array([[1.0, 2.0, 4.0, 5.0]]), problem, 0.01, True)
    >>> round(float(-start[0] / slope[0, 0]), 6)
    3.0
    """
    coefficients, intercepts = _boundary_named(kind)(values, problem, ridge)
    if is_cut and problem.n_lanes == 1:
        yes, present = problem.lanes()[0], problem.present
        predictor = coefficients[0] @ values + intercepts[0]
        signed = np.where(yes, problem.weights, -problem.weights)
        place, sign = _best_cut(predictor[present], signed[present])
        gain = signed @ np.sign(sign * (predictor - place)) - signed @ np.sign(predictor)
        # What is told rightly counts twice in the gain.
        if gain > problem.weights[present].mean():
            slope = _slope(sign * (predictor - place), yes, problem.weights)
            coefficients, intercepts = sign * slope * coefficients, sign * slope * (intercepts - place)
    return coefficients, intercepts


def _logistic(values: np.ndarray, problem: ClassProblem, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    fit = LinearCriterion("likelihood", ridge).best(values, problem, len(values), 1, NUMBERS, ())[0]
    return fit.coefficients, fit.intercepts


def _support_vectors(values: np.ndarray, problem: ClassProblem, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.svm import LinearSVC

    mean = values @ problem.shares
    scale = np.sqrt((values - mean[:, None]) ** 2 @ problem.shares)
    scale[scale == 0.0] = 1.0
    rows = ((values - mean[:, None]) / scale[:, None]).T
    machine = LinearSVC(C=1.0, dual=False, max_iter=10_000, random_state=0)  # pyright: ignore[reportArgumentType]
    machine.fit(rows, problem.labels, problem.weights)
    coefficients = machine.coef_ / scale
    intercepts = machine.intercept_ - coefficients @ mean
    for lane, yes in enumerate(problem.lanes()):
        slope = _slope(coefficients[lane] @ values + intercepts[lane], yes, problem.weights)
        coefficients[lane] *= slope
        intercepts[lane] *= slope
    return coefficients, intercepts


BOUNDARIES: dict[str, Callable[[np.ndarray, ClassProblem, float], tuple[np.ndarray, np.ndarray]]] = {
    "logistic": _logistic,
    "svc": _support_vectors,
}
"""How a boundary is found, by name."""


def _boundary_named(kind: str) -> Callable[[np.ndarray, ClassProblem, float], tuple[np.ndarray, np.ndarray]]:
    if kind not in BOUNDARIES:
        raise SettingsError(f"boundary: needs one of {', '.join(BOUNDARIES)}, found {kind!r}")
    return BOUNDARIES[kind]


def _best_cut(predictor: np.ndarray, signed: np.ndarray) -> tuple[float, float]:
    """Where a threshold along a predictor (n,) tells most weight, and 1 if yes is above it, else -1.

    signed (n,): weights of yes, and minus those of no.
    """
    order = np.argsort(predictor, kind="stable")
    row, sums = predictor[order], np.cumsum(signed[order])[:-1]
    gaps = np.diff(row)
    is_cut = gaps > 1e-12 * np.maximum(np.abs(row[1:]), np.abs(row[:-1]))
    if not is_cut.any():
        return float(row[0]), 1.0
    positive, negative = signed[signed > 0].sum(), -signed[signed < 0].sum()
    told = np.where(is_cut, np.maximum(negative + sums, positive - sums), -np.inf)
    is_best = told >= told.max() - 1e-9 * (positive + negative)
    k = int(np.where(is_best, gaps, -np.inf).argmax())
    return float(0.5 * (row[k] + row[k + 1])), -1.0 if negative + sums[k] > positive - sums[k] else 1.0


def _slope(predictor: np.ndarray, yes: np.ndarray, weights: np.ndarray) -> float:
    """The factor, above 0, with which a predictor (n,) is most likely the log-odds of yes (n,)."""
    from scipy.optimize import minimize_scalar

    size = float(np.sqrt(weights @ predictor**2 / weights.sum()))
    if size == 0.0:
        return 1.0
    signed = np.where(yes, predictor, -predictor) / size

    def loss(log_slope: float) -> float:
        slope = np.exp(log_slope)
        return float(weights @ np.logaddexp(0.0, -slope * signed) + 0.01 * slope**2 / 2)

    best: Any = minimize_scalar(loss, bounds=(-5.0, 5.0), method="bounded")
    return float(np.exp(best.x)) / size
