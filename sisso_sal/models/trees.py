"""Extremely randomised trees that learn the rest that formulas leave. It is a `Learner` of the correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.tree import ExtraTreeRegressor

N_TREES = 100


@dataclass(frozen=True, eq=False)
class TreeLearner:
    """Trees that have learned the target less the formula.

    Attributes
    ----------
    trees : list of sklearn.tree._tree.Tree
    left_out_mean, left_out_std : ndarray (n,)
        Of each training row, by the trees that did not draw it.
    kinship : float
    """

    trees: list[Any]
    left_out_mean: np.ndarray
    left_out_std: np.ndarray
    kinship: float = 0.0

    def predict(self, rows: np.ndarray, formula: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sigma (n,) each, in the target's unit."""
        each = by_tree(self.trees, rows)
        return formula + each.mean(axis=0), each.std(axis=0, ddof=1)

    def covariance(self, rows: np.ndarray) -> np.ndarray:
        """ndarray (n, n)."""
        return np.atleast_2d(np.cov(by_tree(self.trees, rows).T))


def by_tree(trees: list[Any], rows: np.ndarray) -> np.ndarray:
    """ndarray (n_trees, n): what each tree predicts."""
    rows = np.ascontiguousarray(rows, dtype=np.float32)  # as trees see them
    return np.array([tree.predict(rows).reshape(len(rows)) for tree in trees])


def learn_trees(rows: np.ndarray, formula: np.ndarray, target: np.ndarray, seed: int) -> TreeLearner:
    """Extremely randomised trees learn target less formula (Geurts, Ernst, Wehenkel, Mach. Learn. 63, 3 (2006)).

    Parameters
    ----------
    rows : ndarray (n, n_inputs)
    formula, target : ndarray (n,)
    seed : int
    """
    left_over = without_last_bits(target - formula, float(np.ptp(target)))
    trees, unseen = grown(np.ascontiguousarray(rows, dtype=np.float32), left_over, seed % 2**32)
    each = np.where(unseen, by_tree(trees, rows), 0.0)
    count = unseen.sum(axis=0)
    mean = each.sum(axis=0) / np.maximum(count, 1)
    square = np.where(unseen, (each - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    return TreeLearner(trees, formula + mean, np.sqrt(square))


def without_last_bits(values: np.ndarray, spread: float) -> np.ndarray:
    """Values on a grid of 1e-9 of a spread: trees choose between equal splits by the last bit, which depends on the processor."""
    if not np.isfinite(spread) or spread == 0.0:
        return values
    step = 2.0 ** np.floor(np.log2(spread) - 30)
    return np.round(values / step) * step


def grown(rows: np.ndarray, target: np.ndarray, seed: int) -> tuple[list[Any], np.ndarray]:
    """Extremely randomised trees on bootstrap samples, and which rows (n_trees, n) each has not seen.

    They are those of scikit-learn's forest of the same seed. A forest copies and checks each of them as if it came from outside,
    which takes half as long again.
    """
    draw, trees, unseen = np.random.RandomState(seed), [], np.ones((N_TREES, len(rows)), dtype=bool)
    for number in range(N_TREES):
        own = draw.randint(np.iinfo(np.int32).max)
        drawn = np.random.RandomState(own).randint(0, len(rows), len(rows), dtype=np.int32)
        counts = np.bincount(drawn, minlength=len(rows)).astype(np.float64)
        grown: Any = ExtraTreeRegressor(random_state=own).fit(rows, target, sample_weight=counts, check_input=False)
        trees.append(grown.tree_)
        unseen[number, drawn] = False
    return trees, unseen
