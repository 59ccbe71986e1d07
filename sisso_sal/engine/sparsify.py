"""L0 regression: the best subsets of a subspace, exhaustively, from one weighted Gram matrix.

Features are projected out one after the other, so that a subset costs about five operations, whatever its size and the number of
samples, and the best subsets are refitted by QR on the data (Furnival and Wilson, Technometrics 16, 499 (1974), for the idea of
sharing eliminations between subsets). For pairs the Gram matrix itself would cost most; the product of two features' leading parts
and a bound of the rest decide nearly all of them. A few promising subsets set the bar that all others have to exceed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb
from typing import NamedTuple

import numpy as np

from sisso_sal.engine import _subsets as kernels
from sisso_sal.engine._subsets import ROWS, WIDTH
from sisso_sal.engine.problem import SQUARES, FitObjective, Problem
from sisso_sal.engine.refit import Fit, Subsets, largest_error, refit_all
from sisso_sal.engine.sparsify_tasks import WalkTasks
from sisso_sal.engine.standard import StandardRows

DIGITS = 10
"""Subsets are equally good when their unexplained shares of the variance agree to this many decimals."""

MOST_HELD = 8192
"""Most subsets that are held to find the least complex of equally good ones."""

SAME = 2 * 10.0**-DIGITS
"""Gains, shares of the variance, that differ by less may be equal after rounding."""

NO_BAR = -1.0
"""A gain that every subset exceeds."""

NEAR = 1e-5
"""Gains, shares of the variance, that differ by less may be equal once subsets that are nearly singular are refitted."""

BARRED = 1 << 16
"""Subsets from which on it pays to look for a bar first."""

NARROW = 128
"""Features up to which the pairs are walked without leading directions: these would cost more than they save."""

PARENTS = 8
"""Subsets that are extended by every feature to find promising larger ones."""

FEW = 16
"""Directions that hold the leading part of each feature, unless they leave out more than `REST` of the squares."""

REST = 0.1

EPS = 2.0**-24
"""Largest relative rounding error of float32."""

PANEL = (64, 2048)
"""Rows and columns of the products that are worked on at a time (512 KiB)."""


class Ranks(NamedTuple):
    """Complexity and key of the feature with a number; keys are asked for only where complexities are equal."""

    complexity: Callable[[int], int]
    key: Callable[[int], str]


NUMBERS = Ranks(lambda number: 0, "{:09d}".format)
"""Ranks of features that are ordered by their numbers."""


class Subspace(NamedTuple):
    """A subspace in which the best subsets for a problem are looked for: values (n_features, n_samples), problem, and ranks."""

    values: np.ndarray
    problem: Problem
    ranks: Ranks = NUMBERS


class ScoredSubsets(NamedTuple):
    """Best subsets (n, dim) of one dimension, best first, as the walk scored them, and their shares of the variance (n,)."""

    subsets: np.ndarray
    gains: np.ndarray


@dataclass(frozen=True)
class BestSubsets:
    """Best fits of one dimension, best first, the numbers of subsets seen and found singular, and the best as they were scored."""

    fits: tuple[Fit, ...]
    n_subsets: int
    n_singular: int
    scored: ScoredSubsets


def sparsify(
    values: np.ndarray,
    problem: Problem,
    dim: int,
    *,
    keep: int = 10,
    n_scored: int = 0,
    centre: bool = True,
    ranks: Ranks = NUMBERS,
    blocks: int = 1,
) -> BestSubsets:
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
    n_scored : int
        Number of subsets wanted with nothing but their score, from the Gram matrix.
    centre : bool
        Whether there is an intercept.
    ranks : Ranks
        What orders equally good subsets.
    blocks : int
        Least number of pieces that the walk is cut into; the result does not depend on it.

    Returns
    -------
    BestSubsets

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 0.0, 1.0, 1.0], [3.0, 1.0, 2.0, 5.0, 4.0]])
    >>> problem = Problem(2 * x[0] - x[2] + 7, np.ones(5), np.ones(1, bool))
    >>> best = sparsify(x, problem, 2).fits[0]
    >>> best.subset, best.coefficients.round(6), round(best.intercept, 6)
    ((0, 2), array([ 2., -1.]), 7.0)
    """
    options = {"keep": keep, "n_scored": n_scored, "centre": centre, "blocks": blocks}
    return sparsify_all([Subspace(values, problem, ranks)], dim, **options)[0]


def sparsify_all(
    subspaces: Sequence[Subspace],
    dim: int,
    *,
    keep: int = 10,
    n_scored: int = 0,
    centre: bool = True,
    blocks: int = 1,
    executor=None,
    objective: FitObjective = SQUARES,
) -> list[BestSubsets]:
    """`sparsify` of each subspace; what is done with few numbers is done for all at once."""
    none = ScoredSubsets(np.empty((0, dim), dtype=np.int64), np.empty(0))
    best = [BestSubsets((), 0, 0, none)] * len(subspaces)
    under_way = {
        number: _Walk(subspace, dim, (keep, n_scored), centre, blocks, objective)
        for number, subspace in enumerate(subspaces)
        if dim <= len(subspace.values)
    }
    while under_way:
        for walk in under_way.values():
            walk.go(executor)
        decided = {number: walk for number, walk in under_way.items() if walk.is_enough}
        for (number, walk), fits in zip(
            decided.items(), _refitted(list(decided.values()), centre, objective), strict=True
        ):
            if walk.is_last or len(fits) >= keep:
                best[number] = BestSubsets(tuple(walk.ranked(fits)), walk.seen, walk.singular, walk.scored)
                del under_way[number]
        for walk in under_way.values():
            walk.held = min(8 * walk.held, MOST_HELD)
    return best


class _Walk:
    """The walk over the subsets of one subspace, repeated with more of them held where there may be others as good as the best."""

    def __init__(
        self, subspace: Subspace, dim: int, wanted: tuple[int, int], centre: bool, blocks: int, objective: FitObjective
    ) -> None:
        """`wanted` are the numbers of fits and of scored subsets."""
        self.subspace, self.dim, (self.keep, self.n_scored) = subspace, dim, wanted
        values, problem, self.objective = subspace.values, subspace.problem, objective
        if problem.tasks is not None or objective != SQUARES:
            self.units, self.walker = None, WalkTasks(values, problem, centre, objective)
            self.total = self.walker.total
        else:
            self.units = StandardRows.of(values, problem, centre)
            self.walker = {1: _WalkSingles, 2: _WalkPairs}.get(dim, _WalkLarger)(self.units)
            self.total = self.units.variance * float(problem.weights.sum())
        m = len(values)
        self.n_subsets = comb(m, dim)
        self.cuts = _cuts(m, dim, max(blocks, -(-self.n_subsets // self.walker.most)), self.walker.step)
        self.held = max(4 * self.keep, self.keep + 32, self.n_scored)

    def go(self, executor) -> None:
        """Find the best `held` subsets."""
        bar = NO_BAR if self.units else -np.inf  # a largest error may exceed any share
        if self.units and self.n_subsets >= BARRED:
            bar = _promising(self.walker, self.units, self.dim, self.held)
        found = _walk(self.walker, self.dim, self.cuts, self.held, bar, executor)
        if len(found[1]) < self.held and bar > NO_BAR:
            found = _walk(self.walker, self.dim, self.cuts, self.held, NO_BAR, executor)
        self.subsets, self.gains, self.seen, self.singular = found

    @property
    def is_last(self) -> bool:
        return len(self.gains) < self.held or self.held >= MOST_HELD

    @property
    def is_enough(self) -> bool:
        """Whether no subset that is not held may be as good as the best `keep`."""
        return self.is_last or self.gains[self.keep - 1] - self.gains[-1] > SAME

    @property
    def scored(self) -> ScoredSubsets:
        return ScoredSubsets(self.subsets[: self.n_scored], self.gains[: self.n_scored])

    def part(self, start: int, stop: int) -> Subsets:
        return Subsets(self.subspace.values, self.subspace.problem, self.subsets[start:stop])

    @property
    def n_near(self) -> int:
        """Number of subsets, best first, that may be among the best `keep`."""
        few = len(self.gains) < self.keep
        return len(self.gains) if few else int(np.count_nonzero(self.gains >= self.gains[self.keep - 1] - NEAR))

    def ranked(self, fits: Sequence[Fit]) -> list[Fit]:
        errors = [fit.sse for fit in fits]
        if self.objective.is_largest_error:
            errors = [largest_error(self.subspace.problem, self.objective, fit) for fit in fits]
        return _ranked(fits, np.array(errors) / self.total, self.subspace.ranks)[: self.keep]


def _refitted(walks: Sequence[_Walk], centre: bool, objective: FitObjective) -> list[list[Fit]]:
    """Of each walk the fits of the subsets near the best `keep`; of all its subsets if fewer than `keep` of these are regular."""
    fits = _regular([walk.part(0, walk.n_near) for walk in walks], centre, objective)
    short = [t for t, walk in enumerate(walks) if len(fits[t]) < walk.keep]
    others = _regular([walks[t].part(walks[t].n_near, len(walks[t].subsets)) for t in short], centre, objective)
    for t, more in zip(short, others, strict=True):
        fits[t] += more
    return fits


def _regular(parts: Sequence[Subsets], centre: bool, objective: FitObjective) -> list[list[Fit]]:
    return [[fit for fit in fits if fit] for fits in refit_all(parts, centre, objective)]


def _ranked(fits: Sequence[Fit], errors: np.ndarray, ranks: Ranks) -> list[Fit]:
    """By the error (a share of the variance), complexity, and keys, which are looked up only where the rest is equal."""
    heads = [
        (round(error, DIGITS), sum(map(ranks.complexity, fit.subset)))
        for fit, error in zip(fits, errors.tolist(), strict=True)
    ]
    times = Counter(heads)

    def rank(t: int):
        return *heads[t], sorted(map(ranks.key, fits[t].subset)) if times[heads[t]] > 1 else []

    return [fits[t] for t in sorted(range(len(fits)), key=rank)]


class _WalkSingles:
    """The subsets of one feature."""

    step, most = 1, 1 << 26

    def __init__(self, units: StandardRows) -> None:
        self.units = units

    def products(self, chosen: np.ndarray) -> np.ndarray:
        return np.empty((0, len(self.units.rows)))

    def walk(self, firsts: tuple[int, int], best: kernels.Best) -> tuple[int, int]:
        within = slice(*firsts)
        gains, constant = self.units.rhs[within] ** 2, self.units.squares[within] == 0.0
        better = np.flatnonzero(~constant & (gains > best.gains[-1]))
        every = np.concatenate([best.gains, gains[better]])
        numbers = np.concatenate([best.subsets[:, 0], firsts[0] + better])
        first = np.argsort(-every, kind="stable")[: len(best.gains)]  # of equal ones those that came first
        best.gains[:], best.subsets[:, 0] = every[first], numbers[first]
        return len(gains), int(np.count_nonzero(constant))


class _WalkPairs:
    """The pairs, by products of their parts along a few leading directions.

    Any orthonormal directions do for the bound to hold; those of the target and of some of the features leave out little.
    """

    step, most = ROWS, 1 << 24

    def __init__(self, units: StandardRows) -> None:
        self.units = units
        m, parts, rests = len(units.rows), units.rows, np.zeros(len(units.rows))
        if m > NARROW:
            some = parts[np.linspace(0, m - 1, FEW - 1).astype(int)]
            leading = parts @ np.linalg.qr(np.vstack([units.target, some]).T)[0]
            left = np.maximum(units.squares - np.einsum("ij,ij->i", leading, leading), 0.0)
            if left.mean() <= REST:
                parts, rests = leading, left
        size = -(-m // WIDTH) * WIDTH
        self.parts = np.zeros((parts.shape[1], size), dtype=np.float32)
        self.parts[:, :m] = parts.T
        self.rests = np.zeros(size, dtype=np.float32)
        self.rests[:m] = np.sqrt(
            rests + len(self.parts) * EPS
        )  # a sum of n products in float32 errs by less than n EPS

    def products(self, chosen: np.ndarray) -> np.ndarray:
        return self.units.rows[chosen] @ self.units.rows.T

    def walk(self, firsts: tuple[int, int], best: kernels.Best) -> tuple[int, int]:
        units, size = self.units, self.parts.shape[1]
        terms = kernels.Terms(self.rests, *np.ones((2, size), dtype=np.float32))
        tiled = kernels.Terms(*(row.reshape(-1, WIDTH) for row in terms))
        room = np.empty(PANEL[0] * min(PANEL[1], size), dtype=np.float32)
        last, singular = -(-firsts[1] // ROWS) * ROWS, 0
        for j in range(firsts[0], last, PANEL[0]):
            kernels.set_terms(units.squares, units.rhs, best.gains[-1], 0, terms)
            rows = self.parts[:, j : min(j + PANEL[0], last)].T
            for k in range(j // WIDTH * WIDTH, size, PANEL[1]):
                columns = self.parts[:, k : k + PANEL[1]]
                panel = room[: len(rows) * columns.shape[1]].reshape(len(rows), -1)
                np.matmul(rows, columns, out=panel)
                tiles = panel.reshape(len(rows), -1, WIDTH)
                data = (units.rows, units.squares, units.rhs)
                singular += kernels.best_pairs(tiles, (j, k), data, terms, tiled, best)
        return sum(len(units.rows) - 1 - j for j in range(*firsts)), singular


class _WalkLarger:
    """The subsets of three or more features, by their Gram matrix."""

    step, most = 1, 1 << 26

    def __init__(self, units: StandardRows) -> None:
        self.units = units
        self.gram = units.rows @ units.rows.T
        np.fill_diagonal(self.gram, units.squares)

    def products(self, chosen: np.ndarray) -> np.ndarray:
        return self.gram[chosen]

    def walk(self, firsts: tuple[int, int], best: kernels.Best) -> tuple[int, int]:
        return kernels.best_subsets(self.gram, self.units.rhs, firsts, best)


def _walk(walker, dim: int, cuts: Sequence[int], held: int, bar: float, executor):
    """The best `held` subsets (n, dim) that exceed the bar, their gains (n,), and the numbers of subsets seen and singular."""

    def piece(firsts: tuple[int, int]):
        best = kernels.Best(np.full(held, bar), np.full((held, dim), -1, dtype=np.int64))
        counts = walker.walk(firsts, best)
        is_filled = best.subsets[:, 0] >= 0
        return best.subsets[is_filled], best.gains[is_filled], *counts

    results = list((executor.map if executor else map)(piece, pairwise(cuts)))
    subsets, gains = (np.concatenate([result[part] for result in results]) for part in (0, 1))
    order = np.lexsort((*subsets.T[::-1], -gains))[:held]
    return subsets[order], gains[order], sum(r[2] for r in results), sum(r[3] for r in results)


def _promising(walker, units: StandardRows, dim: int, held: int) -> float:
    """A bar that `held` subsets exceed: the best that extend the best of one feature less; NO_BAR if fewer are known.

    It need not be right: where it is too high the walk finds too few.
    """
    m = len(units.rows)
    parents, ranked = np.zeros((1, 0), dtype=np.int64), np.zeros(0)
    for size in range(1, dim + 1):
        gains = np.empty((len(parents), m))
        cross = walker.products(parents.ravel()).reshape(*parents.shape, m)
        kernels.extend(cross, parents, units.squares, units.rhs, 1e-3, gains)
        gains = gains.ravel()
        count = min(size * max(held, PARENTS), len(gains))  # each subset comes up at most `size` times
        top = np.argpartition(-gains, count - 1)[:count]
        top = top[gains[top] >= 0]
        top = top[np.argsort(-gains[top])]
        children = np.sort(np.column_stack([parents[top // m], top % m]), axis=1)
        first = np.sort(np.unique(children, axis=0, return_index=True)[1])
        parents, ranked = children[first[:PARENTS]], gains[top[first]]
        if not len(parents):
            return NO_BAR
    return float(ranked[held - 1]) - 5 * SAME if len(ranked) >= held else NO_BAR


def _cuts(m: int, dim: int, blocks: int, step: int) -> list[int]:
    """First members, multiples of `step`, at which the walk is cut, so that the pieces hold about equally many subsets."""
    if blocks == 1:
        return [0, m]
    shares = 1.0 - (1.0 - np.arange(0, m + 1, step) / m) ** dim
    inner = step * np.searchsorted(shares, np.arange(1, blocks) / blocks)
    return sorted({0, m, *inner[inner < m].tolist()})
