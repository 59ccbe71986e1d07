"""Descriptors in whose space a threshold or a linear boundary tells classes best: by accuracy, or by likelihood.

Several classes are told by one question for each: is a sample of this class or not. Screening by accuracy looks for the best
threshold of each feature; after the first dimension each sample counts as much as the best model so far is wrong about it.
Screening by likelihood is that of a regression on what the probabilities leave over, the score test of a further term (Rao, Math.
Proc. Cambridge Phil. Soc. 44, 50 (1948); Fan and Song, Ann. Stat. 38, 3567 (2010)).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, combinations, islice
from math import comb

import numpy as np

from sisso_sal.engine import _logistic, _logistic_bounds, _thresholds
from sisso_sal.engine.class_pass import Scorer, screen_classes
from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import SubspaceClassFits, first_subsets
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import Progress, ScreeningStep, screen
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sparsify import Ranks
from sisso_sal.features.space import FeatureSpace

EXHAUSTIVE = 300_000
"""All subsets are looked at where there are no more than this; else those that extend the best of one feature less."""

PARENTS = 100
"""Subsets of one feature less that larger ones extend."""

CHUNK = 8192
"""Subsets that are looked through at a time."""

DIGITS = 12
"""Losses are equal when they agree to this many decimals of the mean loss."""

PROBES = 6
"""Newton steps with which bounds of subsets are raised; those that may then be among the best are fitted."""

BATCH = 64
"""Subsets that are fitted before it is looked again which may be among the best."""

SURE = 1e-9
"""What losses, errors and bounds may be wrong by, for each unit of weight and one more."""

PAD = 32
"""The kernels look at this many lanes at a time."""

ACCURACY, LIKELIHOOD = "accuracy", "likelihood"


@dataclass(frozen=True)
class LinearFit:
    """Logistic regression on a subset of features.

    Attributes
    ----------
    subset : tuple of int
        Numbers of the features, ascending.
    coefficients : ndarray (n_lanes, dim)
        In units of one over feature.
    intercepts : ndarray (n_lanes,)
    loss : float
        Mean over the weights of minus the logarithm of the likelihood, summed over the lanes, with the penalty.
    errors : float
        Weight of the samples whose class is told wrongly; for two classes by the best threshold along the linear predictor.
    left : ndarray (n_lanes, n_samples)
        What the probabilities leave over: 1 or 0 for yes and no, minus the probability.
    is_perfect : bool
        Whether no sample is told wrongly and that was what the search was for.
    """

    subset: tuple[int, ...]
    coefficients: np.ndarray
    intercepts: np.ndarray
    loss: float
    errors: float
    left: np.ndarray
    is_perfect: bool


@dataclass(frozen=True)
class LinearCriterion:
    """The best threshold or linear boundary.

    Parameters
    ----------
    kind : str
        ``accuracy``: fewest samples told wrongly, then the likelihood; ``likelihood``: the likelihood.
    ridge : float
        Weight of half the squared coefficients of standardised features beside the sum of the losses. Above 0, so that the
        coefficients of classes that can be separated are finite.
    n_residual : int
        Number of best models that the next screening sees.
    """

    kind: str = ACCURACY
    ridge: float = 0.01
    n_residual: int = 1

    def screened(
        self,
        space: FeatureSpace,
        results: Sequence[SubspaceClassFits],
        n_sis: int,
        *,
        threads: int,
        progress: Progress | None,
    ) -> tuple[list[Selection], Counter]:
        """See `ClassCriterion`."""
        problems, taken = [result.problem for result in results], [result.subspace for result in results]
        rows = [self._left(result) for result in results]
        if self.kind == ACCURACY:
            scorer = scorer_of(problems, rows)
            return screen_classes(space, problems, taken, scorer, n_sis, threads=threads, progress=progress)
        steps = [
            ScreeningStep(plain, plain.normalised(own, True), before)
            for plain, own, before in zip(map(_plain, problems), rows, taken, strict=True)
        ]
        is_first = not results[0].fits
        return screen(space, steps, n_sis, threads=threads, progress=progress, is_census=is_first)

    def _left(self, result: SubspaceClassFits) -> np.ndarray:
        """ndarray (n_rows, n_samples): what the best models leave over; at first each sample counts the same."""
        if not result.fits:
            return result.problem.lanes() - 0.5
        return np.concatenate([fit.left for fit in result.fits[-1][: self.n_residual]])

    def best(
        self,
        values: np.ndarray,
        problem: ClassProblem,
        dim: int,
        keep: int,
        ranks: Ranks,
        parents: Sequence[LinearFit],
    ) -> list[LinearFit]:
        """See `ClassCriterion`."""
        best = _Best(_Standardised.of(values, problem, self.ridge), self.kind == ACCURACY, keep)
        for subsets in _chunks(_subsets(len(values), dim, parents)):
            best.look_through(subsets)
        subsets, loss, wrong = best.subsets, best.losses, best.errors
        chosen = first_subsets(subsets, *best.order, keep, ranks)
        return [
            best.table.fit(subset, float(loss[t]), float(wrong[t]), self.kind == ACCURACY and wrong[t] == 0.0)
            for t, subset in chosen
        ]


def _plain(problem: ClassProblem) -> Problem:
    return Problem(problem.labels.astype(float), problem.weights, problem.allowed)


def _subsets(m: int, dim: int, parents: Sequence[LinearFit]) -> Iterator[tuple[int, ...]]:
    """All subsets, or those that extend the best of one feature less."""
    if dim < 3 or comb(m, dim) <= EXHAUSTIVE:
        return combinations(range(m), dim)
    extended = {
        tuple(sorted({*parent.subset, number}))
        for parent in parents[:PARENTS]
        for number in range(m)
        if number not in parent.subset
    }
    return iter(sorted(extended))


def _chunks(subsets: Iterator[tuple[int, ...]]) -> Iterator[np.ndarray]:
    while part := list(islice(subsets, CHUNK)):
        yield np.fromiter(chain.from_iterable(part), np.int64).reshape(len(part), -1)


@dataclass(eq=False)
class _Best:
    """Subsets that were fitted, the best `keep` among them. Those that bounds tell to be worse are not fitted.

    Attributes
    ----------
    table : _Standardised
    is_accuracy : bool
        Whether the weight told wrongly counts first; else the loss.
    keep : int
    subsets : ndarray (m, dim) of int
    losses, errors : ndarray (m,)
        As in `LinearFit`.
    """

    table: _Standardised
    is_accuracy: bool
    keep: int
    subsets: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.int64))
    losses: np.ndarray = field(default_factory=lambda: np.empty(0))
    errors: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def order(self) -> tuple[np.ndarray, np.ndarray]:
        """What is least for the best, and what decides where that is equal, (m,) both."""
        # Weights of samples are not always whole numbers.
        return (np.round(self.errors, 9), self.losses) if self.is_accuracy else (self.losses, self.errors)

    def look_through(self, subsets: np.ndarray) -> None:
        """Fit those of some subsets (m, dim) that may be among the best."""
        lower = np.full(len(subsets), -np.inf)
        if subsets.shape[1] > 1:
            subsets, lower = self._narrowed(subsets, lower)
        order = np.argsort(lower, kind="stable")
        while len(order):
            self._fit(subsets[order[:BATCH]])
            order = order[BATCH:]
            order = order[~(lower[order] > self.last)]

    def _narrowed(self, subsets: np.ndarray, lower: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those subsets that are open after some steps, and what their errors or losses are at least; the likeliest are fitted."""
        betas = self.table.starts(subsets)
        for _ in range(PROBES):
            if len(subsets) <= BATCH:
                break
            guesses = self.table.narrow(subsets, betas, self.last if self.is_accuracy else np.inf, lower)
            first = np.lexsort(guesses[::-1])[: self.keep]
            self._fit(subsets[first])
            is_open = ~(lower > self.last)
            is_open[first] = False
            subsets, betas, lower = subsets[is_open], betas[is_open], lower[is_open]
        return subsets, lower

    def _fit(self, subsets: np.ndarray) -> None:
        if len(subsets):
            losses, errors = self.table.scored(subsets)
            self.subsets = np.concatenate([self.subsets.reshape(-1, subsets.shape[1]), subsets])
            self.losses = np.concatenate([self.losses, np.round(losses, DIGITS)])
            self.errors = np.concatenate([self.errors, errors])

    @property
    def last(self) -> float:
        """The errors, or the sum of the losses, that the last of the best has, and what sums may be wrong by."""
        total = self.table.problem.weights.sum()
        if len(self.losses) < self.keep:
            return total if self.is_accuracy else np.inf
        last = np.partition(self.order[0], self.keep - 1)[self.keep - 1]
        return (last if self.is_accuracy else last * total) + SURE * (1.0 + total)


@dataclass(frozen=True, eq=False)
class _Standardised:
    """Features of mean 0 and variance 1 over the samples of positive weight of a problem.

    Attributes
    ----------
    values : ndarray (m, n_samples)
        As they were.
    rows : ndarray (m, n)
        Standardised, on the samples of positive weight.
    mean, scale : ndarray (m,)
    """

    values: np.ndarray
    rows: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    problem: ClassProblem
    ridge: float

    @classmethod
    def of(cls, values: np.ndarray, problem: ClassProblem, ridge: float) -> _Standardised:
        shares = problem.shares
        mean = values @ shares
        scale = np.sqrt((values - mean[:, None]) ** 2 @ shares)
        scale[scale == 0.0] = 1.0
        rows = ((values - mean[:, None]) / scale[:, None])[:, problem.present]
        return cls(values, np.ascontiguousarray(rows), mean, scale, problem, ridge)

    @cached_property
    def _lanes(self) -> _logistic.Lanes:
        present = self.problem.present
        yes = np.ascontiguousarray(self.problem.lanes()[:, present], dtype=float)  # kernels are compiled for each order
        return _logistic.Lanes(yes, self.problem.weights[present], float(self.ridge))

    def _fitted(self, subsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Losses (m,) and coefficients (m, n_lanes, dim + 1) of standardised features."""
        lanes = self._lanes
        losses, betas = np.empty(len(subsets)), np.empty((len(subsets), len(lanes.yes), subsets.shape[1] + 1))
        _logistic.fit_all(self.rows, subsets, lanes, losses, betas)
        return losses / lanes.weights.sum(), betas

    def starts(self, subsets: np.ndarray) -> np.ndarray:
        """ndarray (m, n_lanes, dim + 1): coefficients of the best fit of one feature of each subset (m, dim)."""
        losses, betas = self.of_one
        best = np.argmin(losses[subsets], axis=1)
        every, numbers = np.arange(len(subsets)), subsets[np.arange(len(subsets)), best]
        out = np.zeros((len(subsets), betas.shape[1], subsets.shape[1] + 1))
        out[every, :, best], out[:, :, -1] = betas[numbers, :, 0], betas[numbers, :, 1]
        return out

    @cached_property
    def of_one(self) -> tuple[np.ndarray, np.ndarray]:
        """Losses (m,) and coefficients (m, n_lanes, 2) of the fits of one feature."""
        return self._fitted(np.arange(len(self.rows))[:, None])

    def narrow(self, subsets: np.ndarray, betas: np.ndarray, most: float, lower: np.ndarray) -> np.ndarray:
        """Raise bounds (m,) of subsets (m, dim) by a Newton step; guesses (2, m) of errors and losses. See `_logistic_bounds`."""
        guesses = np.empty((2, len(subsets)))
        lanes = _logistic_bounds.Lanes(*self._lanes)
        _logistic_bounds.narrow(self.rows, subsets, betas, lanes, most, lower, guesses)
        return guesses

    def scored(self, subsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Losses (m,) and weights of the samples told wrongly (m,)."""
        losses, betas = self._fitted(subsets)
        present = self.problem.present
        weights, labels = self.problem.weights[present], self.problem.labels[present]
        predictors = np.einsum("mld,mdn->mln", betas[:, :, :-1], self.rows[subsets]) + betas[:, :, -1:]
        if self.problem.n_lanes > 1:
            # Not by a matrix product, whose last bit depends on how many subsets there are.
            return losses, np.where(predictors.argmax(axis=1) != labels, weights, 0.0).sum(axis=1)
        signed = np.where(labels == 1, weights, -weights)
        return losses, _least_errors(predictors[:, 0], signed)

    def fit(self, subset: tuple[int, ...], loss: float, errors: float, is_perfect: bool) -> LinearFit:
        """The fit of one subset, in units of the features."""
        numbers = list(subset)
        _, betas = self._fitted(np.array([subset], dtype=np.int64))
        coefficients = betas[0, :, :-1] / self.scale[numbers]
        intercepts = betas[0, :, -1] - coefficients @ self.mean[numbers]
        predictors = coefficients @ self.values[numbers] + intercepts[:, None]
        left = self.problem.lanes() - 1.0 / (1.0 + np.exp(-np.clip(predictors, -500, 500)))
        return LinearFit(subset, coefficients, intercepts, loss, errors, left, is_perfect)


def _least_errors(predictors: np.ndarray, signed: np.ndarray) -> np.ndarray:
    """ndarray (m,): weight told wrongly by the best threshold along each row of predictors (m, n); signed (n,): weights of yes, and
    minus those of no.
    """
    order = np.argsort(predictors, axis=1)
    ascending = np.take_along_axis(predictors, order, axis=1)
    sums = np.cumsum(signed[order], axis=1)
    gaps = np.diff(ascending, axis=1)
    sizes = np.maximum(np.abs(ascending[:, 1:]), np.abs(ascending[:, :-1]))
    is_cut = gaps > _thresholds.SAME * sizes
    inner = sums[:, :-1]
    positive, negative = signed[signed > 0].sum(), -signed[signed < 0].sum()
    above = np.where(is_cut, inner, -np.inf).max(axis=1, initial=0.0)
    below = np.where(is_cut, inner, np.inf).min(axis=1, initial=0.0)
    told = np.maximum(np.maximum(negative + above, positive - below), max(positive, negative))
    return positive + negative - told


def scorer_of(problems: Sequence[ClassProblem], rows: Sequence[np.ndarray]) -> Scorer:
    """Scores by the best threshold, for a pass over the features.

    Parameters
    ----------
    problems : sequence of ClassProblem
    rows : sequence of ndarray (n_rows, n_samples)
        For each problem signed numbers: positive for samples that should lie on one side, negative for those on the other.
    """
    signed = np.concatenate([own * problem.weights for own, problem in zip(rows, problems, strict=True)])
    first = np.cumsum([0, *map(len, rows)])
    if len(signed) > PAD // 4:
        signed = np.concatenate([signed, np.zeros((-len(signed) % PAD, signed.shape[1]))])
    positive, negative = np.maximum(signed, 0.0).sum(axis=1), np.maximum(-signed, 0.0).sum(axis=1)
    present = np.array([problem.present for problem in problems])
    by_sample = np.ascontiguousarray(signed.T)
    sides = 1 * (by_sample >= 0).all(axis=1) - 1 * (by_sample <= 0).all(axis=1)
    lanes = _thresholds.Lanes(by_sample, np.abs(by_sample), sides, positive, negative, first, present)
    n_lanes, n = signed.shape

    def room() -> _thresholds.Room:
        bins = _thresholds.N_BINS
        own, order, counts = (np.empty(size, np.int64) for size in (n, n, bins + 1))
        yes, no = np.empty((2, bins, n_lanes))
        return _thresholds.Room(np.empty(n), own, order, counts, yes, no, np.empty((3, n_lanes)))

    return Scorer(np.arange(n), _thresholds.scan_pairs, _thresholds.scan_rows, (np.empty(2), lanes), room)
