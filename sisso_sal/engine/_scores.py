"""Compiled kernels that decide about features from their exact values. No checks here: the callers check."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from sisso_sal.engine._compilation import IN_ORDER, INNER_VIEWS, VIEWS

KEPT, NOT_FINITE, OUT_OF_BOUNDS, CONSTANT = 0, 1, 2, 3
FLAT = 1e-10
"""A feature whose standard deviation is below this share of its largest value is constant."""

GATE = 1e-7
"""Features of one direction have scores closer than this."""

Limits = namedtuple("Limits", "min_abs max_abs constants")
"""Smallest and largest admitted max|f|; whether constant features are admitted."""

NO_TASKS = (np.empty(0, np.int64), np.empty(0, np.int64))

Scoring = namedtuple("Scoring", "weights targets centre taken samples starts", defaults=NO_TASKS)
"""What the score in one problem depends on. weights (n,) of sum 1; targets (n_targets, n) centred in each task and of weighted
norm 1; centre: whether there is an intercept; taken: ascending scores of the features that the problem has; samples: those of
positive weight, task by task, those of task t from starts[t] to below starts[t + 1]; both empty where there is one task.
"""

Scorings = namedtuple("Scorings", "weights targets first_target centre taken first_taken samples starts")
"""The same for many problems. weights (n_problems, n); targets (n_targets, n), those of problem p from first_target[p] to below
first_target[p + 1]; taken and first_taken likewise; samples and starts (n_problems, ...), filled up with zeros at the ends.
"""

Tops = namedtuple("Tops", "scores held")
"""The best scores of many problems, (n_problems, size), and how many there are of each, (n_problems,); see `offer`."""


@njit(**VIEWS)
def classify(row, limits):
    """State of a feature with these exact values (n,)."""
    n = row.shape[0]
    # As integers, the bits of |f| keep the order of the numbers, with infinity and NaN on top.
    bits = row.view(np.int64)
    top = np.int64(0)
    for k in range(n):
        top = max(top, bits[k] & np.int64(0x7FFFFFFFFFFFFFFF))
    if top >= np.int64(0x7FF0000000000000):
        return NOT_FINITE
    largest = 0.0
    for k in range(n):
        largest = max(largest, abs(row[k]))
    if largest < limits.min_abs or largest > limits.max_abs:
        return OUT_OF_BOUNDS
    if limits.constants:
        return KEPT
    mean, square = 0.0, 0.0
    for k in range(n):
        mean += row[k]
    mean /= n
    for k in range(n):
        square += (row[k] - mean) * (row[k] - mean)
    return CONSTANT if square <= n * (FLAT * largest) ** 2 else KEPT


@njit(**IN_ORDER)
def exact_score(row, weights, targets, centre):
    """In one task: largest absolute weighted correlation of row (n,) with targets (n_targets, n); -1 for a constant row."""
    n = row.shape[0]
    mean, largest = 0.0, 0.0
    for k in range(n):
        if weights[k] > 0.0:
            mean += weights[k] * row[k]
            largest = max(largest, abs(row[k]))
    if not centre:
        mean = 0.0
    square = 0.0
    for k in range(n):
        square += weights[k] * (row[k] - mean) * (row[k] - mean)
    if square <= (FLAT * largest) ** 2:
        return -1.0
    best = 0.0
    for r in range(targets.shape[0]):
        product = 0.0
        for k in range(n):
            product += weights[k] * (row[k] - mean) * targets[r, k]
        best = max(best, abs(product))
    return best / np.sqrt(square)


@njit(**IN_ORDER)
def exact_task_score(row, weights, targets, centre, samples, starts):
    """Root of the largest share of the squares of one of targets (n_targets, n) that row (n,) explains with a coefficient and an
    intercept of each task; -1 if the row is constant in every task.

    samples: see `Scoring`.
    """
    n_tasks, best, is_constant = starts.shape[0] - 1, 0.0, True
    for r in range(targets.shape[0]):
        total = 0.0
        for t in range(n_tasks):
            mean, total_weight, largest, square, product = 0.0, 0.0, 0.0, 0.0, 0.0
            for k in samples[starts[t] : starts[t + 1]]:
                mean += weights[k] * row[k]
                total_weight += weights[k]
                largest = max(largest, abs(row[k]))
            mean = mean / total_weight if centre else 0.0
            for k in samples[starts[t] : starts[t + 1]]:
                part = weights[k] * (row[k] - mean)
                square += part * (row[k] - mean)
                product += part * targets[r, k]
            if square > total_weight * (FLAT * largest) ** 2:
                is_constant = False
                total += product * product / square
        best = max(best, total)
    return -1.0 if is_constant else np.sqrt(best)


@njit(**INNER_VIEWS)
def _score(row, scoring):
    if scoring.starts.shape[0] == 0:
        return exact_score(row, scoring.weights, scoring.targets, scoring.centre)
    return exact_task_score(row, scoring.weights, scoring.targets, scoring.centre, scoring.samples, scoring.starts)


@njit(**INNER_VIEWS)
def _score_in(row, p, scorings):
    """The score in problem p."""
    targets = scorings.targets[scorings.first_target[p] : scorings.first_target[p + 1]]
    if scorings.starts.shape[1] == 0:
        return exact_score(row, scorings.weights[p], targets, scorings.centre)
    return exact_task_score(row, scorings.weights[p], targets, scorings.centre, scorings.samples[p], scorings.starts[p])


@njit(**VIEWS)
def exact_scores(rows, scoring, scores):
    """The score of each of rows (m, n) in one problem, in scores (m,)."""
    for t in range(rows.shape[0]):
        scores[t] = _score(rows[t], scoring)


@njit(**VIEWS)
def offer(top, held, score, taken):
    """Put a score into the descending list `top` of scores that belong to different directions; return how many it holds.

    Scores closer than GATE to one in the list, or to one of `taken` (ascending), may belong to the same direction and do not count.
    """
    at = held  # the first `at` scores are >= score
    while at > 0 and top[at - 1] < score:
        at -= 1
    if at == top.shape[0] or (at > 0 and top[at - 1] - score <= GATE) or (at < held and score - top[at] <= GATE):
        return held
    low, high = 0, taken.shape[0]
    while low < high:
        middle = (low + high) // 2
        if taken[middle] < score - GATE:
            low = middle + 1
        else:
            high = middle
    if low < taken.shape[0] and taken[low] <= score + GATE:
        return held
    last = min(held, top.shape[0] - 1)
    for i in range(last, at, -1):
        top[i] = top[i - 1]
    top[at] = score
    return last + 1


@njit(**VIEWS)
def offer_all(top, held, scores, taken):
    """`offer` for each of the scores."""
    for score in scores:
        held = offer(top, held, score, taken)
    return held


@njit(**VIEWS)
def threshold(top, held):
    """What a score must reach: the last of the best minus GATE, so that duplicates of the best come along."""
    return top[held - 1] - GATE if held == top.shape[0] else -1.0


@njit(**VIEWS)
def needed(top, held):
    """Square of the threshold with its sign, as float32 and rounded down."""
    limit = threshold(top, held)
    return np.float32(limit * abs(limit) - 1e-6 * limit * limit)


@njit(**VIEWS)
def count_states(rows, limits, states):
    """Count the states of features with the exact values rows (m, n) in states (4,)."""
    for t in range(rows.shape[0]):
        states[classify(rows[t], limits)] += 1


@njit(**VIEWS)
def decide(rows, owners, scorings, limits, tops, reached, scores):
    """Score features with the exact values rows (m, n), feature t in the problem owners[t].

    Puts the numbers of the features whose score reaches the threshold into reached (m,) and the scores into scores (m,); the
    threshold rises with each of them. Returns how many there are.
    """
    count = 0
    for t in range(rows.shape[0]):
        if classify(rows[t], limits) != KEPT:
            continue
        p = owners[t]
        score = _score_in(rows[t], p, scorings)
        top, held = tops.scores[p], tops.held[p]
        if not (score >= 0.0 and score >= threshold(top, held)):
            continue
        reached[count], scores[count] = t, score
        count += 1
        taken = scorings.taken[scorings.first_taken[p] : scorings.first_taken[p + 1]]
        tops.held[p] = offer(top, held, score, taken)
    return count


@njit(**INNER_VIEWS)
def _is_allowed(mask, forbidden):
    """Whether a feature with this mask (n_words,) has no forbidden primary."""
    for word in range(mask.shape[0]):
        if mask[word] & forbidden[word] != 0:
            return False
    return True


@njit(**VIEWS)
def score_all(rows, masks, scorings, bars, limits, states, pairs, scores):
    """Exact scores of features with the values rows (m, n) and masks (m, n_words) in many problems.

    bars: forbidden (n_problems, n_words), bits of the primaries that a problem may not use, and thresholds (n_problems,).

    Counts the states of the features in states (4,). Puts for every feature and problem whose score reaches the problem's threshold
    (feature, problem) into pairs (m * n_problems, 2) and the score into scores (m * n_problems,). Returns how many there are.
    """
    forbidden, thresholds = bars
    n_problems = forbidden.shape[0]
    count = 0
    for t in range(rows.shape[0]):
        state = classify(rows[t], limits)
        states[state] += 1
        if state != KEPT:
            continue
        for p in range(n_problems):
            first, last = scorings.first_target[p], scorings.first_target[p + 1]
            if first == last or not _is_allowed(masks[t], forbidden[p]):
                continue
            score = _score_in(rows[t], p, scorings)
            if score >= 0.0 and score >= thresholds[p]:
                pairs[count, 0], pairs[count, 1], scores[count] = t, p, score
                count += 1
    return count
