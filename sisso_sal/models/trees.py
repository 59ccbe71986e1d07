"""Extremely randomised trees that learn the rest that formulas leave. It is a `Learner` of the correction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sisso_sal.models._branches import RANDOM_MAX, Nodes, each_tree, grow, mean_and_spread
from sisso_sal.models.groups import consecutive
from sisso_sal.models.inputs import label_weights

N_TREES = 100


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees as plain arrays.

    Attributes
    ----------
    nodes : Nodes
        Of all trees, one behind the other.
    first : ndarray (n_trees + 1,) of int64
        Root of each tree, and the number of all nodes.
    levels : ndarray (n_trees,) of int64
        Of each tree below its root.
    """

    nodes: Nodes
    first: np.ndarray
    levels: np.ndarray

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """ndarray (n_trees, n): what each tree predicts of rows (n, n_inputs)."""
        out = np.empty((len(self.levels), len(rows)))
        each_tree(self.nodes, self.first, self.levels, np.ascontiguousarray(rows, dtype=np.float64), out)
        return out

    def mean_and_spread(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (n,) each, over the trees, of rows (n, n_inputs)."""
        out = np.empty((2, len(rows)))
        mean_and_spread(self.nodes, self.first, self.levels, np.ascontiguousarray(rows, dtype=np.float64), out)
        return out[0], out[1]


@dataclass(frozen=True, eq=False)
class TreeLearner:
    """Trees that have learned the target less the formula.

    Attributes
    ----------
    trees : Trees
    left_out_mean, left_out_std : ndarray (n,)
        Of each training row, by the trees that did not draw its material.
    kinship : float
    """

    trees: Trees
    left_out_mean: np.ndarray
    left_out_std: np.ndarray
    kinship: float = 0.0

    def predict(self, rows: np.ndarray, formula: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sigma (n,) each, in the target's unit."""
        mean, spread = self.trees.mean_and_spread(rows)
        return formula + mean, spread


def learn_trees(
    rows: np.ndarray,
    formula: np.ndarray,
    target: np.ndarray,
    seed: int,
    groups: np.ndarray | None = None,
    errors: np.ndarray | None = None,
) -> TreeLearner:
    """Extremely randomised trees learn target less formula (Geurts, Ernst, Wehenkel, Mach. Learn. 63, 3 (2006)).

    Parameters
    ----------
    rows : ndarray (n, n_inputs)
    formula, target : ndarray (n,)
    seed : int
    groups : ndarray (n,) of int, optional
        Rows with the same number are one material; by default each is one.
    errors : ndarray (n,), optional
        Standard deviations of the labels: those with one count less, see `label_weights`.
    """
    left_over = without_last_bits(target - formula, float(np.ptp(target)))
    unit = _unit(left_over)
    weights = None if errors is None else label_weights(errors)
    trees, unseen = grown(rows, left_over / unit, seed % 2**32, groups, weights)
    trees = replace(trees, nodes=trees.nodes._replace(value=trees.nodes.value * unit))
    each = np.where(unseen, trees.predict(rows), 0.0)
    count = unseen.sum(axis=0)
    mean = each.sum(axis=0) / np.maximum(count, 1)
    square = np.where(unseen, (each - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    return TreeLearner(trees, formula + mean, np.sqrt(square if errors is None else square + errors**2))


def _unit(values: np.ndarray) -> float:
    """A power of two in which values of any size are near one: a tree ends where variances are below 2e-16, in any unit."""
    largest = float(np.abs(values).max())
    exponent = int(np.frexp(largest)[1]) if np.isfinite(largest) else 0
    return 2.0**exponent if abs(exponent) > 20 else 1.0


def without_last_bits(values: np.ndarray, spread: float) -> np.ndarray:
    """Values on a grid of 1e-9 of a spread: trees choose between equal splits by the last bit, which depends on the processor."""
    if not np.isfinite(spread) or spread == 0.0:
        return values
    step = 2.0 ** np.floor(np.log2(spread) - 30)
    return np.round(values / step) * step


def grown(
    rows: np.ndarray,
    target: np.ndarray,
    seed: int,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> tuple[Trees, np.ndarray]:
    """Extremely randomised trees on bootstrap samples of materials, and which rows (n_trees, n) each has not seen.

    Where each row is a material, they are those of scikit-learn's forest of the same seed, to the last bit. With `weights`
    (n,) above 0 rows count so much more or less.
    """
    material = np.arange(len(rows)) if groups is None else consecutive(groups)
    n = int(material.max()) + 1
    counts = np.empty((N_TREES, len(rows)))
    for number, own in enumerate(seeds_of_trees(seed, N_TREES)):
        drawn = np.random.RandomState(own).randint(0, n, n, dtype=np.int32)
        counts[number] = np.bincount(drawn, minlength=n)[material]
    return _grown(rows, target, counts if weights is None else counts * weights, seed), counts == 0


def grown_on_all(rows: np.ndarray, target: np.ndarray, weights: np.ndarray, seed: int) -> Trees:
    """Extremely randomised trees that all see every row (n, n_inputs), with these weights (n,) above 0.

    They are those of scikit-learn's forest of the same seed, to the last bit.
    """
    return _grown(rows, target, np.tile(weights, (N_TREES, 1)), seed)


def seeds_of_trees(seed: int, n_trees: int = N_TREES) -> np.ndarray:
    """ndarray (n_trees,) of int: the seed of each tree, as scikit-learn's forests draw them."""
    return np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=n_trees)


def _grown(rows: np.ndarray, target: np.ndarray, counts: np.ndarray, seed: int) -> Trees:
    """Trees on rows of which each counts so many times in a tree (n_trees, n)."""
    states = np.array(
        [np.random.RandomState(own).randint(0, RANDOM_MAX) for own in seeds_of_trees(seed, len(counts))], dtype=np.int64
    )
    room = int((2 * np.count_nonzero(counts, axis=1) - 1).sum())
    nodes = Nodes(np.empty(room, np.uint32), np.empty(room), np.empty(room, np.uint32), np.empty(room))
    columns = np.ascontiguousarray(rows.T, dtype=np.float32)
    first, levels = np.empty(len(counts) + 1, np.int64), np.empty(len(counts), np.int64)
    grow(columns, np.ascontiguousarray(target), counts, states, nodes, first, levels)
    column, threshold, child, value = (part[: first[-1]].copy() for part in nodes)
    return Trees(Nodes(column, _rounded_down(threshold), child, value), first, levels)


def _rounded_down(threshold: np.ndarray) -> np.ndarray:
    """As float32, which are at least as large as the same columns of float32."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
