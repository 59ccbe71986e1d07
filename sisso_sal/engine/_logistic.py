"""Compiled kernels for logistic regression on a few features, by Newton's method. No checks here: the callers check.

The loss of one lane (a question of yes or no) is the weighted sum of log(1 + exp(-s)), s the signed linear predictor, plus half the
ridge times the square of the coefficients of standardised features; the intercept is free (Hastie, Tibshirani, Friedman, The
Elements of Statistical Learning, 2nd ed., sec. 4.4).
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, INNER_VIEWS, OPTIONS

STEPS = 40
"""Newton steps at most."""

CLOSE = 1e-10
"""The steps end once the loss falls by less than this share of it, or can fall by less than its square for each sample."""

Lanes = namedtuple("Lanes", "yes weights ridge")
"""yes (n_lanes, n): 1 or 0; weights (n,); ridge: weight of the penalty."""

Room = namedtuple("Room", "eta probability gradient hessian trial")
"""Room for one fit: eta and probability (n,), gradient and trial (p,), hessian (p, p)."""


@njit(**INNER_VIEWS)
def _loss(rows, subset, yes, weights, ridge, beta, eta):
    """Loss at the coefficients beta (p,), of which the last is the intercept; the linear predictors in eta (n,)."""
    dim, n = subset.shape[0], weights.shape[0]
    for k in range(n):
        eta[k] = beta[dim]
    total = 0.0
    for a in range(dim):
        row, slope = rows[subset[a]], beta[a]
        for k in range(n):
            eta[k] += slope * row[k]
        total += 0.5 * ridge * slope * slope
    for k in range(n):
        size = abs(eta[k])
        total += weights[k] * (np.log1p(np.exp(-size)) + 0.5 * (size + eta[k]) - yes[k] * eta[k])
    return total


@njit(**INNER_VIEWS)
def _solve(hessian, gradient):
    """Solve a positive definite system in place by Cholesky's method; False if it is not positive definite."""
    p = gradient.shape[0]
    for i in range(p):
        for j in range(i + 1):
            value = hessian[i, j]
            for k in range(j):
                value -= hessian[i, k] * hessian[j, k]
            if i == j:
                if not value > 0.0:
                    return False
                hessian[i, i] = np.sqrt(value)
            else:
                hessian[i, j] = value / hessian[j, j]
    for i in range(p):
        for k in range(i):
            gradient[i] -= hessian[i, k] * gradient[k]
        gradient[i] /= hessian[i, i]
    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            gradient[i] -= hessian[k, i] * gradient[k]
        gradient[i] /= hessian[i, i]
    return True


@njit(**INNER_VIEWS)
def _derivatives(rows, subset, yes, weights, ridge, beta, room):
    """Gradient and Hessian of the loss."""
    dim, n = subset.shape[0], weights.shape[0]
    gradient, hessian, probability = room.gradient, room.hessian, room.probability
    slope, curve = 0.0, 0.0
    for k in range(n):
        p = 1.0 / (1.0 + np.exp(-room.eta[k]))
        slope += weights[k] * (p - yes[k])
        room.eta[k] = weights[k] * (p - yes[k])
        probability[k] = weights[k] * p * (1.0 - p)
        curve += probability[k]
    gradient[dim], hessian[dim, dim] = slope, curve + 1e-9
    for a in range(dim):
        one = rows[subset[a]]
        slope, curve = 0.0, 0.0
        for k in range(n):
            slope += room.eta[k] * one[k]
            curve += probability[k] * one[k]
        gradient[a], hessian[dim, a] = slope + ridge * beta[a], curve
        for b in range(a + 1):
            two = rows[subset[b]]
            curve = 0.0
            for k in range(n):
                curve += probability[k] * one[k] * two[k]
            hessian[a, b] = curve + (ridge if a == b else 0.0)


@njit(**INNER_VIEWS)
def _predict(rows, subset, beta, eta):
    """Linear predictors in eta (n,)."""
    dim, n = subset.shape[0], eta.shape[0]
    for k in range(n):
        eta[k] = beta[dim]
    for a in range(dim):
        row, slope = rows[subset[a]], beta[a]
        for k in range(n):
            eta[k] += slope * row[k]


@njit(**INNER_VIEWS)
def _fit_quickly(rows, subset, yes, weights, ridge, beta, room):
    """Newton steps without a look at the loss. Returns whether they converged, which they do unless the first go too far."""
    size, least = subset.shape[0] + 1, np.inf
    for _ in range(STEPS):
        _predict(rows, subset, beta, room.eta)
        _derivatives(rows, subset, yes, weights, ridge, beta, room)
        for a in range(size):
            room.trial[a] = room.gradient[a]
        step = room.gradient[:size]
        if not _solve(room.hessian[:size, :size], step):
            return False
        decrement = 0.0
        for a in range(size):
            decrement += room.trial[a] * step[a]
        if not decrement < 4.0 * least:
            return False
        least = min(least, decrement)
        for a in range(size):
            beta[a] -= step[a]
        if decrement <= CLOSE * CLOSE * weights.shape[0]:
            return True
    return False


@njit(**INNER_VIEWS)
def _fit(rows, subset, yes, weights, ridge, beta, room):
    """Coefficients beta (dim + 1,) of least loss, the intercept last; begins with zeros. Returns the loss."""
    size = subset.shape[0] + 1
    for a in range(size):
        beta[a] = 0.0
    if _fit_quickly(rows, subset, yes, weights, ridge, beta, room):
        return _loss(rows, subset, yes, weights, ridge, beta, room.eta)
    for a in range(size):
        beta[a] = 0.0
    loss = _loss(rows, subset, yes, weights, ridge, beta, room.eta)
    for _ in range(STEPS):
        _derivatives(rows, subset, yes, weights, ridge, beta, room)
        gradient = room.gradient[:size]
        if not _solve(room.hessian[:size, :size], gradient):
            return loss
        step, next_ = 1.0, np.inf
        while step > 1e-6:
            for a in range(size):
                room.trial[a] = beta[a] - step * gradient[a]
            next_ = _loss(rows, subset, yes, weights, ridge, room.trial, room.eta)
            if next_ <= loss:
                break
            step *= 0.5
        if step <= 1e-6:
            _loss(rows, subset, yes, weights, ridge, beta, room.eta)
            return loss
        for a in range(size):
            beta[a] = room.trial[a]
        is_close = loss - next_ <= CLOSE * max(loss, 1e-300)
        loss = next_
        if is_close:
            break
    return loss


@njit(**INNER)
def _room(n, size):
    return Room(np.empty(n), np.empty(n), np.empty(size), np.empty((size, size)), np.empty(size))


@njit(**OPTIONS)
def fit_all(rows, subsets, lanes, losses, betas):
    """Fit every subset (m, dim) of standardised features, rows (n_features, n), in all lanes.

    losses (m,): sums over the lanes; betas (m, n_lanes, dim + 1): coefficients, the intercept last.
    """
    dim, n = subsets.shape[1], rows.shape[1]
    room = _room(n, dim + 1)
    for t in range(subsets.shape[0]):
        losses[t] = 0.0
        for lane in range(lanes.yes.shape[0]):
            beta = betas[t, lane]
            losses[t] += _fit(rows, subsets[t], lanes.yes[lane], lanes.weights, lanes.ridge, beta, room)
