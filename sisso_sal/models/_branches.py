"""Compiled kernels that grow extremely randomised trees and walk down them. No checks here: the callers check.

Every sum is taken in a fixed order and nothing is fused: the same table gives the same trees on every machine. They are those of
scikit-learn's ``ExtraTreeRegressor``: when a random number is drawn, the order of samples that a split leaves behind, and the
side from which a sum is taken all decide over last bits, and last bits over splits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

EXACT: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
INNER: dict[str, Any] = EXACT | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

NARROW = np.float32(1e-7)
"""A column that is no wider than this within a node is constant there."""

NO_SPREAD = np.finfo(np.float64).eps
"""A node of no larger variance is not split."""

RANDOM_MAX = 2**31 - 1

N_WALKING = 256
"""Rows that go down a tree together; their columns stay in the first cache."""


class Data(NamedTuple):
    """What one tree learns from: columns (n_inputs, n) of float32, target (n,), weights (n,): how often the tree drew a sample."""

    columns: np.ndarray
    target: np.ndarray
    weights: np.ndarray


class Order(NamedTuple):
    """What splits rearrange: samples (m,) and one column of them, values (m,); the inputs, and those known as constant,
    (n_inputs,) each; the state of the random numbers, (1,).
    """

    samples: np.ndarray
    values: np.ndarray
    inputs: np.ndarray
    constant: np.ndarray
    state: np.ndarray


class Nodes(NamedTuple):
    """Nodes of all trees, (n_nodes,) each; column and child of uint32: with signed indices, which could count from the end, rows
    do not go down in vector registers.

    A sample goes left, to `child`, if its column is no larger than the threshold, else right, to the node behind that one. The
    child of a leaf is the leaf itself, with an infinite threshold: who goes on walking stays.
    """

    column: np.ndarray
    threshold: np.ndarray
    child: np.ndarray
    value: np.ndarray


class Sums(NamedTuple):
    """Of the samples of a node: weights, weighted targets and weighted squares of targets."""

    weight: float
    first: float
    square: float


class Split(NamedTuple):
    """Samples before `position` go left; `end` of the node, if there is no split."""

    position: int
    column: int
    threshold: float


@njit(**INNER)
def _random(state):
    """A whole number below 2**31 by xorshift (Marsaglia, J. Stat. Softw. 8(14) (2003))."""
    x = state[0]
    if x == 0:
        x = 1
    x ^= (x << 13) & 0xFFFFFFFF
    x ^= x >> 17
    x ^= (x << 5) & 0xFFFFFFFF
    state[0] = x
    return x & RANDOM_MAX


@njit(**INNER)
def _between(low, high, state):
    """A random number from low, to high, which is left out."""
    number = (high - low) * _random(state) / RANDOM_MAX + low
    return low if number == high else number


@njit(**INNER)
def _sums(data, order, start, end):
    """`Sums` of the samples of a node."""
    weight, first, square = 0.0, 0.0, 0.0
    for p in range(start, end):
        i = order.samples[p]
        product = data.weights[i] * data.target[i]
        first += product
        square += product * data.target[i]
        weight += data.weights[i]
    return Sums(weight, first, square)


@njit(**INNER)
def _left(data, order, total, start, position, end):
    """Weight and weighted targets of the samples before a position, from the side that has fewer samples.

    One loop for both: with two, numba counts references to the arrays with every call, which takes ten times as long as the sum.
    """
    samples, weights, target = order.samples, data.weights, data.target
    is_front = position - start <= end - position
    sign, weight, first = (1.0, 0.0, 0.0) if is_front else (-1.0, total.weight, total.first)
    here, step, n = (start, 1, position - start) if is_front else (end - 1, -1, end - position)
    for _ in range(n):
        i = samples[here]
        first += sign * (weights[i] * target[i])
        weight += sign * weights[i]
        here += step
    return weight, first


@njit(**INNER)
def _range(data, order, column, start, end):
    """Copy the values of one column; the smallest and the largest."""
    values, samples, copied = data.columns[column], order.samples, order.values
    low = high = values[samples[start]]
    for p in range(start, end):
        value = values[samples[p]]
        copied[p] = value
        low = value if value < low else low
        high = value if value > high else high
    return low, high


@njit(**INNER)
def _parted(order, threshold, start, end):
    """Samples whose copied value is at most the threshold come first; where the others begin."""
    samples, values = order.samples, order.values
    while start < end:
        value, sample = values[start], samples[start]
        if value <= threshold:
            start += 1
        else:
            end -= 1
            values[start], samples[start] = values[end], samples[end]
            values[end], samples[end] = value, sample
    return end


@njit(**INNER)
def _swap(array, i, j):
    """Two entries change places."""
    array[i], array[j] = array[j], array[i]


@njit(**INNER)
def _gain(data, order, total, start, position, end):
    """What of the sum of squares a split explains, but for what all splits of a node share."""
    weight, first = _left(data, order, total, start, position, end)
    rest = total.first - first
    return first * first / weight + rest * rest / (total.weight - weight)


@njit(**INNER)
def _best(data, order, total, start, end, n_known):
    """A random split of each column that is not constant, in random order; the first of the best, and how many are constant.

    `order.inputs` holds the constant columns that were drawn, those that were not, those found here; then the columns not drawn,
    then those drawn.
    """
    inputs, state = order.inputs, order.state
    best, gain, column = Split(end, 0, 0.0), -np.inf, 0
    n_drawn, n_constant, left = 0, n_known, len(inputs)
    while left > n_constant:
        j = n_drawn + _random(state) % (left - (n_constant - n_known) - n_drawn)
        if j < n_known:
            _swap(inputs, n_drawn, j)
            n_drawn += 1
            continue
        j += n_constant - n_known
        column = inputs[j]
        low, high = _range(data, order, column, start, end)
        if high <= low + NARROW:
            _swap(inputs, j, n_constant)
            n_constant += 1
            continue
        left -= 1
        _swap(inputs, left, j)
        threshold = _between(np.float64(low), np.float64(high), state)
        position = _parted(order, threshold, start, end)
        if start < position < end:
            found = _gain(data, order, total, start, position, end)
            if found > gain:
                gain, best = found, Split(position, column, threshold)
    if best.position < end and best.column != column:
        _range(data, order, best.column, start, end)
        _parted(order, best.threshold, start, end)
    for c in range(n_known):
        inputs[c] = order.constant[c]
    for c in range(n_known, n_constant):
        order.constant[c] = inputs[c]
    return best, n_constant


@njit(**INNER)
def _spreads(data, order, total, start, position, end):
    """Variance of the samples on the left and on the right."""
    weight, first = _left(data, order, total, start, position, end)
    square = 0.0
    for p in range(start, position):
        i = order.samples[p]
        square += data.weights[i] * data.target[i] * data.target[i]
    rest, mean, mean_rest = total.weight - weight, first / weight, (total.first - first) / (total.weight - weight)
    return square / weight - mean * mean, (total.square - square) / rest - mean_rest * mean_rest, weight


@njit(**INNER)
def _place(nodes, node, total):
    """Make a node a leaf, for as long as it has no children."""
    nodes.column[node], nodes.threshold[node], nodes.child[node] = 0, np.inf, node
    nodes.value[node] = total.first / total.weight


@njit(**INNER)
def _wait(place, node, start, end, n_constant, level):
    """Write down what a node needs when it is its turn."""
    place[0], place[1], place[2], place[3], place[4] = node, start, end, n_constant, level


@njit(**INNER)
def _grow(data, order, n_samples, nodes, root):
    """One tree from its root; the first node behind it, and how many levels it has below the root."""
    waiting = np.empty((n_samples + 1, 5), np.int64)
    spreads = np.empty(n_samples + 1)
    total = _sums(data, order, 0, n_samples)
    mean = total.first / total.weight
    spreads[0] = total.square / total.weight - mean * mean
    _wait(waiting[0], root, 0, n_samples, 0, 0)
    n_waiting, behind, levels, all_weight = 1, root + 1, 0, total.weight
    while n_waiting:
        n_waiting -= 1
        here = waiting[n_waiting]
        node, start, end, n_constant, level = here[0], here[1], here[2], here[3], here[4]
        spread, total = spreads[n_waiting], _sums(data, order, start, end)
        _place(nodes, node, total)
        levels = max(levels, level)
        if end - start < 2 or spread <= NO_SPREAD:
            continue
        best, n_constant = _best(data, order, total, start, end, n_constant)
        position = best.position
        if position == end:
            continue
        left, right, weight = _spreads(data, order, total, start, position, end)
        rest = total.weight - weight
        less = spread - rest / total.weight * right - weight / total.weight * left
        if total.weight / all_weight * less + NO_SPREAD < 0.0:
            continue
        nodes.column[node], nodes.threshold[node], nodes.child[node] = best.column, best.threshold, behind
        _wait(waiting[n_waiting], behind + 1, position, end, n_constant, level + 1)
        _wait(waiting[n_waiting + 1], behind, start, position, n_constant, level + 1)
        spreads[n_waiting], spreads[n_waiting + 1] = right, left
        n_waiting, behind = n_waiting + 2, behind + 2
    return behind, levels


@njit(**INNER)
def _start(data, order):
    """Samples and inputs in their own order; how many samples the tree has drawn."""
    n_samples = 0
    for i in range(len(data.weights)):
        if data.weights[i] > 0.0:
            order.samples[n_samples] = i
            n_samples += 1
    for c in range(len(order.inputs)):
        order.inputs[c] = c
    return n_samples


@njit(**EXACT)
def grow(columns, target, weights, seeds, nodes, first, levels):
    """Trees, one for each row of weights (n_trees, n), into nodes with room for them.

    Also the first node of each and one more, first (n_trees + 1,), and the levels below each root, (n_trees,).
    """
    n_trees, n = weights.shape
    first[0] = 0
    inputs = np.empty(len(columns), np.int64)
    order = Order(np.empty(n, np.int64), np.empty(n, np.float32), inputs, inputs.copy(), np.empty(1, np.int64))
    for t in range(n_trees):
        data = Data(columns, target, weights[t])
        order.state[0] = seeds[t]
        first[t + 1], levels[t] = _grow(data, order, _start(data, order), nodes, first[t])


@njit(**INNER)
def _walk(nodes, first, levels, block, places):
    """Rows of a block (n_inputs, N_WALKING) of float32 go down one tree together; `places` (N_WALKING,) are their leaves."""
    column, threshold, child = nodes.column, nodes.threshold, nodes.child
    for k in range(N_WALKING):
        places[k] = first
    for _ in range(levels):
        for k in range(N_WALKING):
            node = places[k]
            places[k] = child[node] + np.uint32(block[column[node], np.uint32(k)] > threshold[node])


@njit(**INNER)
def _values(nodes, first, levels, rows, values):
    """Predictions (n_trees, N_WALKING) of each tree for a part of rows (n, n_inputs), n at most N_WALKING."""
    n, n_inputs = rows.shape
    block = np.zeros((n_inputs, N_WALKING), np.float32)
    places = np.empty(N_WALKING, np.uint32)
    for k in range(n):
        for c in range(n_inputs):
            block[c, k] = rows[k, c]
    for t in range(len(levels)):
        _walk(nodes, np.uint32(first[t]), levels[t], block, places)
        for k in range(N_WALKING):
            values[t, k] = nodes.value[places[k]]


@njit(**EXACT)
def each_tree(nodes, first, levels, rows, out):
    """Predictions (n_trees, n) of each tree for rows (n, n_inputs)."""
    values = np.empty((len(levels), N_WALKING))
    for start in range(0, len(rows), N_WALKING):
        part = rows[start : start + N_WALKING]
        _values(nodes, first, levels, part, values)
        for t in range(len(levels)):
            for k in range(len(part)):
                out[t, start + k] = values[t, k]


@njit(**EXACT)
def mean_and_spread(nodes, first, levels, rows, out):
    """Mean and unbiased standard deviation over the trees, (2, n), of rows (n, n_inputs); summed in the order of the trees."""
    n_trees = len(levels)
    values = np.empty((n_trees, N_WALKING))
    for start in range(0, len(rows), N_WALKING):
        part = rows[start : start + N_WALKING]
        _values(nodes, first, levels, part, values)
        mean, square = np.zeros(N_WALKING), np.zeros(N_WALKING)
        for t in range(n_trees):
            for k in range(N_WALKING):
                mean[k] += values[t, k]
        for k in range(N_WALKING):
            mean[k] /= n_trees
        for t in range(n_trees):
            for k in range(N_WALKING):
                square[k] += (values[t, k] - mean[k]) ** 2
        for k in range(len(part)):
            out[0, start + k], out[1, start + k] = mean[k], np.sqrt(square[k] / (n_trees - 1))
