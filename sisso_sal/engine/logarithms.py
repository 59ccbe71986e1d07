"""Screening by logarithms: the score of a feature is the correlation of log|f|, not of f, with the residuals.

Products of powers are sums of logarithms. All features are evaluated in double precision, operator by operator; the products of
matrices that `sweep` takes in their place are of no use for sums within a logarithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np

from sisso_sal.engine import _scores, _values
from sisso_sal.features.pairs import Block
from sisso_sal.features.space import COPY, FeatureSpace

ROOM = 1 << 18
"""Values that a thread works on at a time."""

VALUE_SECONDS = 1.5e-8
"""What a value takes: its operator, its logarithm and the sums."""


class PassState(Protocol):
    """What the threads of a pass share, as `screen` makes it."""

    space: FeatureSpace
    pools: Any
    centre: bool
    is_census: bool
    limits: _scores.Limits
    forbidden: np.ndarray
    scorings: _scores.Scorings

    def hand_out(
        self, opcodes: np.ndarray, left: np.ndarray, right: np.ndarray, pairs: np.ndarray, scores: np.ndarray
    ) -> None: ...

    def count(self, states: np.ndarray) -> None: ...


def log_magnitudes(values: np.ndarray) -> np.ndarray:
    """log|f| of each value; minus infinity for 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.abs(values))


def in_logarithms(state: PassState) -> Iterator[Callable[[], int]]:
    """The features of a pass in pieces; each returns how many it looked at."""
    space = state.space
    size = max(16, ROOM // space.n_samples)
    for block in space.singles(size):
        yield partial(_scan, state, block)
    for pairs in space.pairs:
        for block in pairs.blocks(size):
            yield from (partial(_scan, state, part) for part in _cut(block, size))


def _cut(block: Block, size: int) -> Iterator[Block]:
    """A row of pairs may be longer than what was asked for."""
    for start in range(0, len(block.left), size):
        yield Block(block.opcode, block.left[start : start + size], block.right[start : start + size])


def _scan(state: PassState, block: Block) -> int:
    space = state.space
    opcodes = np.full(len(block.left), block.opcode, dtype=np.int16)
    rows = np.empty((len(block.left), space.n_samples))
    _values.evaluate_many(opcodes, block.left, block.right, space.values, rows)
    is_kept, states = _admitted(rows, state.limits, is_stored=block.opcode == COPY)
    if state.is_census and block.opcode != COPY:  # stored features were counted when their rung was made
        state.count(states)
    numbers = np.flatnonzero(is_kept)
    logs = log_magnitudes(rows[numbers])
    masks = space.masks[block.left[numbers]] | space.masks[block.right[numbers]]
    thresholds = np.array([pool.threshold for pool in state.pools])
    most = len(logs) * len(thresholds)
    pairs, scores = np.empty((most, 2), dtype=np.int64), np.empty(most)
    limits = _scores.Limits(0.0, np.inf, not state.centre)
    found = np.zeros(4, dtype=np.int64)
    bars = state.forbidden, thresholds
    count = _scores.score_all(logs, masks, state.scorings, bars, limits, found, pairs, scores)
    left, right = block.left[numbers], block.right[numbers]
    state.hand_out(opcodes[numbers], left, right, pairs[:count], scores[:count])
    return len(rows)


def _admitted(rows: np.ndarray, limits, is_stored: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which features (m,) have a logarithm and are within bounds, and how many are in each state (4,), as in `_scores`."""
    with np.errstate(all="ignore"):
        sizes = np.abs(rows)
        largest = sizes.max(axis=1)
        has_logarithm = np.isfinite(rows).all(axis=1) & (sizes > 0).all(axis=1)
        is_within = np.ones(len(rows), bool) if is_stored else (largest >= limits.min_abs) & (largest <= limits.max_abs)
        is_flat = rows.std(axis=1) <= _scores.FLAT * largest
    causes = (~has_logarithm, ~is_within, is_flat)
    state = np.select(causes, (_scores.NOT_FINITE, _scores.OUT_OF_BOUNDS, _scores.CONSTANT), _scores.KEPT)
    counts = np.bincount(state, minlength=4).astype(np.int64)
    return has_logarithm & is_within & ~(is_flat & (not is_stored)), counts
