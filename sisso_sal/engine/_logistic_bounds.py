"""Compiled kernels that bound logistic regressions from below, to tell which of many are among the best before they are fitted.

A Newton step from coefficients b leads to a point of the dual problem (Jaakkola and Haussler, Probabilistic kernel regression
models, AISTATS 1999). Let p be the probabilities, s the step, and u the changes -Xs of the linear predictors. The gradient at the
dual probabilities p + p(1 - p)u is that of the ridge alone, so these are feasible where they lie from 0 to 1. The least loss is
then at least that at b, minus the weighted relative entropies of p + p(1 - p)u to p, minus half the ridge times the square of s.
The entropies are made of (1 + x) log(1 + x) - x, which is at most x²(3 + x)/(6 + 4x) for x of -1 and more, and agrees to the
third order.

No checks here: the callers check. Sums run in vector registers, so a step takes a tenth of one in `_logistic`, whose loss is meant.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import INNER, INNER_VIEWS, OPTIONS

FAR = 30.0
"""Larger linear predictors count as this."""

LARGE = 1e3
"""Coefficients above this are not trusted to be exact enough for a bound."""

CLOSE = 1e-6
"""A Newton decrement is taken as not less than this."""

STIFF = 1e-3
"""Smallest number on the diagonal of the factor of the Hessian with which errors are counted."""

SURE = 1e-10
"""What sums may be wrong by, for each unit of weight."""

NARROW = 0.02
"""Errors are known well where the s of `_reach` is less."""

N_BINS = 256
"""Bins of linear predictors."""

WIDE = 4.0
"""Linear predictors beyond this are in the first or the last bin."""

Lanes = namedtuple("Lanes", "yes weights ridge")
"""As in `_logistic`."""

Room = namedtuple("Room", "z probability off curves solved gradient step hessian etas reaches sums")
"""Room for one subset: z, probability, off and curves (n,), solved (p, n), gradient and step (p,), hessian (p, p); of each lane
etas and reaches (n_lanes, n); sums (4, N_BINS).
"""


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
def _chances(eta, z, probability):
    """Probabilities in probability (n,), exp(-abs(eta)) in z (n,), to about 1e-12; beyond 30 eta counts as 30.

    A series and eight squarings, because compilers put these into vector registers and a call of exp not.
    """
    for k in range(eta.shape[0]):
        t = min(abs(eta[k]), FAR) * (-1.0 / 256.0)
        e = 1.0 + t * (1.0 / 7.0) * (1.0 + t * 0.125)
        e = 1.0 + t * 0.25 * (1.0 + t * 0.2 * (1.0 + t * (1.0 / 6.0) * e))
        e = 1.0 + t * (1.0 + t * 0.5 * (1.0 + t * (1.0 / 3.0) * e))
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        z[k] = e
        probability[k] = (1.0 if eta[k] >= 0.0 else e) / (1.0 + e)


@njit(**INNER_VIEWS)
def _least_loss(eta, z, yes, weights):
    """The loss without the penalty, at most 1e-11 below it for each sample; eta and z as from `_chances`."""
    total = 0.0
    for k in range(eta.shape[0]):
        u = z[k] / (2.0 + z[k])
        s = u * u
        # log(1 + z) is twice the area tangent of u.
        high = 1.0 / 11.0 + s * (1.0 / 13.0 + s * (1.0 / 15.0 + s * (1.0 / 17.0 + s * (1.0 / 19.0))))
        series = 1.0 + s * (1.0 / 3.0 + s * (0.2 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s * high))))
        total += weights[k] * (2.0 * u * series + 0.5 * (abs(eta[k]) + eta[k]) - yes[k] * eta[k])
    return total


@njit(**INNER_VIEWS)
def _derivatives(rows, subset, yes, weights, ridge, beta, room):
    """Gradient and Hessian of the loss, from the probabilities."""
    dim, n = subset.shape[0], weights.shape[0]
    gradient, hessian, off, curves = room.gradient, room.hessian, room.off, room.curves
    slope, curve = 0.0, 0.0
    for k in range(n):
        p = room.probability[k]
        off[k] = weights[k] * (p - yes[k])
        curves[k] = weights[k] * p * (1.0 - p)
        slope += off[k]
        curve += curves[k]
    gradient[dim], hessian[dim, dim] = slope, curve
    for a in range(dim):
        one = rows[subset[a]]
        slope, curve = 0.0, 0.0
        for k in range(n):
            slope += off[k] * one[k]
            curve += curves[k] * one[k]
        gradient[a], hessian[dim, a] = slope + ridge * beta[a], curve
        for b in range(a + 1):
            two = rows[subset[b]]
            curve = 0.0
            for k in range(n):
                curve += curves[k] * one[k] * two[k]
            hessian[a, b] = curve + (ridge if a == b else 0.0)


@njit(**INNER_VIEWS)
def _entropies(change, probability, curves):
    """At least the weighted relative entropies of the dual probabilities; infinite where one is not a probability."""
    total, least = 0.0, 0.0
    for k in range(change.shape[0]):
        p, u = probability[k], change[k]
        a, b = u * (1.0 - p), -u * p
        least = min(least, min(a, b))
        a, b = max(a, -1.0), max(b, -1.0)
        total += curves[k] * u * u * ((1.0 - p) * (3.0 + a) / (6.0 + 4.0 * a) + p * (3.0 + b) / (6.0 + 4.0 * b))
    return total if least > -1.0 else np.inf


@njit(**INNER_VIEWS)
def _step(rows, subset, yes, weights, ridge, beta, eta, room):
    """A Newton step from beta. Returns the loss before it, the penalty of the step, infinite without a bound, and the Newton
    decrement; in eta (n,) the linear predictors after the step, in room.z by how much it changed them.
    """
    dim, n = subset.shape[0], weights.shape[0]
    _predict(rows, subset, beta, eta)
    _chances(eta, room.z, room.probability)
    loss = _least_loss(eta, room.z, yes, weights)
    largest = 0.0
    for a in range(dim):
        loss += 0.5 * ridge * beta[a] * beta[a]
    _derivatives(rows, subset, yes, weights, ridge, beta, room)
    step = room.step
    for a in range(dim + 1):
        step[a] = room.gradient[a]
        largest = max(largest, abs(beta[a]))
    if not _solve(room.hessian, step):
        return loss, np.inf, np.inf
    penalty, square = 0.0, 0.0
    for a in range(dim + 1):
        square += room.gradient[a] * step[a]
        beta[a] -= step[a]
        penalty += 0.5 * ridge * step[a] * step[a] if a < dim else 0.0
        largest = max(largest, abs(beta[a]))
    decrement = np.sqrt(max(square, 0.0))
    if not largest < LARGE:
        return loss, np.inf, np.inf
    change = room.z
    for k in range(n):
        change[k] = -eta[k]
    _predict(rows, subset, beta, eta)
    for k in range(n):
        change[k] += eta[k]
    return loss, penalty, decrement


@njit(**INNER_VIEWS)
def _reach(rows, subset, decrement, reach, room):
    """How far each linear predictor of the fit can be from that after a step, in reach (n,); returns s below, infinite where this
    cannot be told.

    The logarithm of 1 + exp is self-concordant in the sense of Bach, Electron. J. Stat. 4, 384 (2010): along a line the curvature
    changes no faster than exp(t), t the largest change of a predictor. Let d be the Newton decrement, r the lengths of the samples
    in the metric of the inverse Hessian, and c the largest change of a predictor in the step. After the step d is at most
    d exp(c) (exp(c) - 1 - c)/c for the same r. With s the product of that and the largest r, each predictor of the fit is within
    -log(1 - s)/s times the product of that and its own r.
    """
    dim, n = subset.shape[0], reach.shape[0]
    hessian, solved, change, largest = room.hessian, room.solved, 0.0, 0.0
    for k in range(n):
        change = max(change, abs(room.z[k]))
        reach[k] = 0.0
    if not change < 2.0:
        return np.inf
    for a in range(dim + 1):
        if not hessian[a, a] > STIFF:
            return np.inf
        own, scale = solved[a], 1.0 / hessian[a, a]
        if a < dim:
            row = rows[subset[a]]
            for k in range(n):
                own[k] = row[k]
        else:
            for k in range(n):
                own[k] = 1.0
        for b in range(a):
            before, share = solved[b], hessian[a, b]
            for k in range(n):
                own[k] -= share * before[k]
        for k in range(n):
            own[k] *= scale
            reach[k] += own[k] * own[k]
    for k in range(n):
        largest = max(largest, reach[k])
    ratio = 0.5 * change * (1.0 + change) if change < 1e-3 else (np.exp(change) - 1.0 - change) / change
    after = max(decrement * np.exp(change) * ratio, CLOSE)
    s = np.sqrt(largest) * after
    if not s < 0.9:
        return np.inf
    after *= 1.0 + s if s < 1e-3 else -np.log(1.0 - s) / s
    for k in range(n):
        reach[k] = after * np.sqrt(reach[k])
    return s


@njit(**INNER_VIEWS)
def _least_in_bins(eta, reach, yes, weights, low, scale, sums):
    """What a threshold within each bin tells wrongly at least, in sums[0]; the first bin and the last one have no end.

    Samples may be anywhere within reach (n,) of eta (n,). A threshold tells those of yes above it, as high as they may be, or those
    below it, as low as they may be.
    """
    total_yes, total_no, n_bins = 0.0, 0.0, sums.shape[1]
    sums[:] = 0.0
    for k in range(eta.shape[0]):
        up = np.int64(min(max((eta[k] + reach[k] - low) * scale, 0.0), n_bins - 1.0))
        down = np.int64(min(max((eta[k] - reach[k] - low) * scale, 0.0), n_bins - 1.0))
        side = 0 if yes[k] > 0.5 else 1
        sums[side, up] += weights[k]
        sums[2 + side, down] += weights[k]
        total_yes += weights[k] if side == 0 else 0.0
        total_no += weights[k] if side == 1 else 0.0
    yes_up, no_up, yes_down, no_down = 0.0, 0.0, 0.0, 0.0
    for b in range(n_bins):
        yes_of_bin, no_of_bin = sums[0, b], sums[1, b]
        yes_down += sums[2, b]
        no_down += sums[3, b]
        sums[0, b] = min(yes_up + total_no - no_down, no_up + total_yes - yes_down)
        yes_up += yes_of_bin
        no_up += no_of_bin


@njit(**INNER_VIEWS)
def _least_errors(eta, reach, yes, weights, most, sums):
    """What the best threshold tells wrongly at least along predictors that are within reach (n,) of eta (n,); sums (4, N_BINS).

    Where that may be `most` or less, smaller bins have another look.
    """
    low, high, n_bins = WIDE, -WIDE, sums.shape[1]
    for k in range(eta.shape[0]):
        low, high = min(low, eta[k]), max(high, eta[k])
    low, high = max(low, -WIDE), min(high, WIDE)
    scale = n_bins / max(high - low, 1e-9)
    _least_in_bins(eta, reach, yes, weights, low, scale, sums)
    least, beyond, first, last = np.inf, np.inf, n_bins, -1
    for b in range(n_bins):
        least = min(least, sums[0, b])
        if sums[0, b] <= most:
            first, last = min(first, b), b
        else:
            beyond = min(beyond, sums[0, b])
    first, last = first - 1, last + 1
    if last < first or 2 * (last - first) > n_bins:
        return least
    finer = scale * (n_bins - 2) / (last + 1 - first)
    _least_in_bins(eta, reach, yes, weights, low + first / scale - 1.0 / finer, finer, sums)
    # What the outer bins hold was seen before, unless that was the end.
    for b in range(1 if first >= 0 else 0, n_bins - 1 if last < n_bins else n_bins):
        beyond = min(beyond, sums[0, b])
    return beyond


@njit(**INNER_VIEWS)
def _least_confused(etas, reaches, yes, weights):
    """Weight of the samples for which the lane of another class is higher for sure; etas and reaches (n_lanes, n)."""
    n_lanes, n = etas.shape
    total = 0.0
    for k in range(n):
        own, other = np.inf, -np.inf
        for lane in range(n_lanes):
            if yes[lane, k] > 0.5:
                own = etas[lane, k] + reaches[lane, k]
            else:
                other = max(other, etas[lane, k] - reaches[lane, k])
        total += weights[k] if other > own else 0.0
    return total


@njit(**INNER)
def _room(n, n_lanes, p):
    lanes = np.empty((n_lanes, n)), np.empty((n_lanes, n))
    return Room(
        np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty((p, n)), np.empty(p), np.empty(p), np.empty((p, p)),
        *lanes, np.empty((4, N_BINS)),
    )  # fmt: skip


@njit(**OPTIONS)
def narrow(rows, subsets, betas, lanes, most, lower, guesses):
    """A Newton step for every subset (m, dim) of standardised features, rows (n_features, n), in all lanes.

    betas (m, n_lanes, dim + 1): where it begins, and then ends; most: errors that are of interest, infinite to count none; lower
    (m,): raised to what the fit has at least, the weight told wrongly, or the loss, the sum over samples and lanes; guesses (2, m):
    what the errors and the loss may be, the errors infinite where they are not known well.
    """
    n_lanes, n = lanes.yes.shape[0], rows.shape[1]
    room = _room(n, n_lanes, subsets.shape[1] + 1)
    doubt, counts_errors = SURE * lanes.weights.sum(), most < np.inf
    for t in range(subsets.shape[0]):
        subset, least, widest = subsets[t], 0.0, 0.0
        guesses[0, t], guesses[1, t] = np.inf, 0.0
        for lane in range(n_lanes):
            yes, eta, reach = lanes.yes[lane], room.etas[lane], room.reaches[lane]
            loss, penalty, decrement = _step(rows, subset, yes, lanes.weights, lanes.ridge, betas[t, lane], eta, room)
            guesses[1, t] += loss - (0.5 * decrement * decrement if decrement < np.inf else 0.0)
            if counts_errors:
                widest = max(widest, _reach(rows, subset, decrement, reach, room))
            else:
                least += loss - penalty - _entropies(room.z, room.probability, room.curves)
        if not counts_errors:
            lower[t] = max(lower[t], least - doubt)
        elif widest < np.inf:
            if n_lanes == 1:
                errors = _least_errors(room.etas[0], room.reaches[0], lanes.yes[0], lanes.weights, most, room.sums)
            else:
                errors = _least_confused(room.etas, room.reaches, lanes.yes, lanes.weights)
            lower[t] = max(lower[t], errors)
            if widest < NARROW:
                guesses[0, t] = lower[t]
