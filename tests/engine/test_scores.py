"""Exact scores: the same bits wherever a kernel uses them, since each kernel compiles them anew."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sisso_sal.engine import _scores

LIMITS = _scores.Limits(0.0, np.inf, False)


def score_in_order(row, weights, target):
    """Each sum from the first sample to the last."""
    mean = square = product = 0.0
    for w, x in zip(weights, row, strict=True):
        mean += w * x
    for w, x in zip(weights, row, strict=True):
        square += w * (x - mean) * (x - mean)
    for w, x, y in zip(weights, row, target, strict=True):
        product += w * (x - mean) * y
    return abs(product) / math.sqrt(square)


def task_score_in_order(row, weights, target, tasks):
    total = 0.0
    for t in range(max(tasks) + 1):
        own = [k for k in range(len(tasks)) if tasks[k] == t and weights[k] > 0.0]
        mean = weight = square = product = 0.0
        for k in own:
            mean += weights[k] * row[k]
            weight += weights[k]
        mean /= weight
        for k in own:
            part = weights[k] * (row[k] - mean)
            square += part * (row[k] - mean)
            product += part * target[k]
        total += product * product / square
    return math.sqrt(total)


@pytest.mark.parametrize("n", [8, 30, 67])
@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_every_kernel_sums_from_the_first_sample_to_the_last(n, n_tasks):
    rng = np.random.default_rng(n + n_tasks)
    rows = np.exp(3.0 * rng.normal(size=(50, n)))
    weights = rng.integers(0, 3, n).astype(float)
    weights[: 2 * n_tasks] = 1.0
    weights /= weights.sum()
    target, tasks = rng.normal(size=n), np.arange(n) % n_tasks
    order = np.flatnonzero(weights)[np.argsort(tasks[np.flatnonzero(weights)], kind="stable")]
    own = (order, np.cumsum([0, *np.bincount(tasks[order])])) if n_tasks > 1 else _scores.NO_TASKS
    scoring = _scores.Scoring(weights, target[None], True, np.empty(0), *own)
    many = _scores.Scorings(
        weights[None], target[None], np.array([0, 1]), True, np.empty(0), np.array([0, 0]), own[0][None], own[1][None]
    )

    plain = [float(w) for w in weights], [float(y) for y in target]
    if n_tasks == 1:
        expected = np.array([score_in_order(row.tolist(), *plain) for row in rows])
    else:
        expected = np.array([task_score_in_order(row.tolist(), *plain, tasks.tolist()) for row in rows])

    alone = np.empty(50)
    _scores.exact_scores(rows, scoring, alone)
    np.testing.assert_array_equal(alone, expected)

    for numbers, scores in (of_singles(rows, many), of_pairs(rows, many)):
        np.testing.assert_array_equal(numbers, np.arange(50))
        np.testing.assert_array_equal(scores, expected)


def of_singles(rows, scorings):
    """What the kernel for stored features and unary operators admits to an empty pool."""
    m = len(rows)
    pairs, scores, states = np.empty((m, 2), dtype=np.int64), np.empty(m), np.zeros(4, dtype=np.int64)
    bars = np.zeros((1, 1), dtype=np.uint64), np.array([-1.0])
    count = _scores.score_all(rows, np.ones((m, 1), dtype=np.uint64), scorings, bars, LIMITS, states, pairs, scores)
    return pairs[:count, 0], scores[:count]


def of_pairs(rows, scorings):
    """The same for pairs."""
    m = len(rows)
    reached, scores = np.empty(m, dtype=np.int64), np.empty(m)
    tops = _scores.Tops(np.empty((1, m + 10)), np.zeros(1, dtype=np.int64))
    count = _scores.decide(rows, np.zeros(m, dtype=np.int64), scorings, LIMITS, tops, reached, scores)
    return reached[:count], scores[:count]
