"""What the formulas leave over: extremely randomised trees and Gaussian processes learn it from out-of-bag predictions.

A formula carries a trend from the labelled materials to distant ones; materials that resemble each other share errors that no short
formula of averaged features can express. The learners see the primary features and what the formulas say of each labelled material
without having seen it, so they learn how far to trust the formulas (stacking: Wolpert, Neural Networks 5, 241 (1992)). Where the
compositions are known, two further processes with one length for all inputs see them: averages over the elements do not tell which
elements they are of. The first does without the formulas, which may lead astray. To the second most materials are strangers; of a
stranger it says what a line through the formulas says.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Hyperparameter, Kernel, Matern, WhiteKernel
from sklearn.tree import ExtraTreeRegressor

from sisso_sal.system.machine import one_blas_thread

KINDS = ("none", "trees", "process", "both")
"""Corrections by name."""

FEWEST = 12
"""With fewer out-of-bag predictions nothing is corrected."""

N_TREES = 100

_matern: Any = Matern  # whose stub knows one length only

KINSHIPS = (1.0, 4.0)
"""How much compositions count beside the features, for each of the processes that see them: about as much, and far more. The second
knows that of an element without labels it knows little, and falls back on the formulas.
"""

TREND_FROM = 2.0
"""Kinship from which on a process sees the formulas, as a trend and as a feature."""

FARTHEST = 1e6
"""Standard deviations from the mean of the labelled materials beyond which all is the same to every learner."""

CONSTANT = 1e-12
"""A column whose spread is no larger a share of its mean is constant but for rounding."""


@dataclass(frozen=True, eq=False)
class _Learner:
    """Mean and sigma for new rows, and for the training rows as if each had been left out; covariance; weight of compositions."""

    predict: Any
    left_out_mean: np.ndarray
    left_out_std: np.ndarray
    covariance: Any
    kinship: float = 0.0


class Correction:
    """Corrects the mean of the formulas; deterministic, so that a file need only hold what it was learned from.

    Parameters
    ----------
    kind : str
        ``trees``, ``process`` or ``both``, the mean of all learners.
    features : ndarray (n, n_primary)
        Primary features of the labelled materials, in an order of rows and columns that depends on their content alone.
    formula : ndarray (n,)
        Out-of-bag means of the formulas, finite, in the target's unit; of a transformed target, transformed.
    target : ndarray (n,)
        Labels on the same scale.
    seed : int
    composition : ndarray (n, n_elements), optional
        Share of each element. With it ``process`` and ``both`` have further processes, which see it too (`KINSHIPS`).
    theta : list of list of float, optional
        Logarithms of each kernel's parameters of an earlier fit, in the place of those of greatest likelihood.

    Attributes
    ----------
    left_out_mean, left_out_std : ndarray (n,)
        Corrected prediction of each labelled material, and its sigma, by trees that did not see it and processes without it.
    theta : list of list of float
        One for each process.

    References
    ----------
    Geurts, Ernst, Wehenkel, Mach. Learn. 63, 3 (2006) (trees); Rasmussen, Williams, Gaussian Processes for Machine Learning (2006),
    eqs. 2.25, 2.26 (process), 5.12 (leave-one-out).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(0, 1, (60, 2))
    >>> y = 2 * X[:, 0] + np.sin(6 * X[:, 1])
    >>> correction = Correction("both", X, 2 * X[:, 0], y, seed=0)
    >>> mean, std = correction.predict(X[:3], 2 * X[:3, 0])
    >>> bool(np.abs(mean - y[:3]).max() < 0.2)
    True
    """

    def __init__(
        self,
        kind: str,
        features: np.ndarray,
        formula: np.ndarray,
        target: np.ndarray,
        seed: int,
        composition: np.ndarray | None = None,
        theta: list[list[float]] | None = None,
    ):
        self.kind, self.seed = kind, seed
        self.features, self.formula, self.target = features, formula, target
        self.composition = composition if kind in {"process", "both"} else None
        self._centre = np.append(features.mean(axis=0), formula.mean())
        spread = np.append(features.std(axis=0), formula.std())
        self._spread = np.where(spread > CONSTANT * np.abs(self._centre), spread, 1.0)
        rows = self._rows(features, _without_last_bits(formula, float(np.ptp(formula))))
        n = features.shape[1]
        with one_blas_thread():
            self._learners = [_trees(rows, formula, target, seed)] if kind in {"trees", "both"} else []
            kinships = () if kind == "trees" else (0.0,) if self.composition is None else (0.0, *KINSHIPS)
            if theta is not None and len(theta) != len(kinships):
                raise ValueError(f"theta: needs parameters of {len(kinships)} kernels, found {len(theta)}")
            self.theta = []
            for kinship, known in zip(kinships, theta or [None] * len(kinships), strict=True):
                lengths = max(1.0, kinship / 2) * np.sqrt(n) if kinship else np.full(n + 1, np.sqrt(n + 1))
                trend = n if kinship >= TREND_FROM else None
                given = _seen(rows, self.composition, kinship)
                learner, found = _process(given, lengths, trend, target, known)
                self._learners.append(replace(learner, kinship=kinship))
                self.theta.append(found)
        self.left_out_mean, self.left_out_std = _mixture(
            [learner.left_out_mean for learner in self._learners], [learner.left_out_std for learner in self._learners]
        )

    def _rows(self, features: np.ndarray, formula: np.ndarray) -> np.ndarray:
        return (np.column_stack([features, formula]) - self._centre) / self._spread

    def predict(
        self, features: np.ndarray, formula: np.ndarray, composition: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Corrected mean and sigma, on the scale of its labels; NaN where the formulas say nothing or a feature is not finite.

        Parameters
        ----------
        features : ndarray (n, n_primary)
        formula : ndarray (n,)
            Mean of the formulas.
        composition : ndarray (n, n_elements), optional
            Without it a learner that wants compositions is not asked.
        """
        mean, std = np.full(len(formula), np.nan), np.full(len(formula), np.nan)
        known = np.isfinite(formula) & np.isfinite(features).all(axis=1)
        if known.any():
            with np.errstate(over="ignore"):
                rows = np.clip(self._rows(features[known], formula[known]), -FARTHEST, FARTHEST)
            # The last bit of a matrix product depends on where a row stands.
            shares = np.empty((0, len(rows))) if composition is None else composition[known].T
            order = np.lexsort((*shares[shares.any(axis=1)], *rows.T))
            numbers, rows = np.flatnonzero(known)[order], rows[order]
            with one_blas_thread():
                found = [
                    learner.predict(_seen(rows, shares.T[order], learner.kinship), formula[numbers])
                    for learner in self._learners
                    if composition is not None or not learner.kinship
                ]  # fmt: skip
            mean[numbers], std[numbers] = _mixture([m for m, _ in found], [s for _, s in found])
        return mean, std

    def correlation(
        self, features: np.ndarray, formula: np.ndarray, composition: np.ndarray | None = None
    ) -> np.ndarray:
        """Correlation of what is not known of materials, over the mixture of all learners (law of total covariance).

        Parameters
        ----------
        features, formula, composition
            As in `predict`, all finite.

        Returns
        -------
        ndarray (n, n)
            Of labels, so that noise takes its share of it; 1 on the diagonal.
        """
        with np.errstate(over="ignore"):
            rows = np.clip(self._rows(features, formula), -FARTHEST, FARTHEST)
        shares = np.empty((0, len(rows))) if composition is None else composition.T
        order = np.lexsort((*shares[shares.any(axis=1)], *rows.T))
        means, covariances = [], []
        with one_blas_thread():
            for learner in self._learners:
                if composition is not None or not learner.kinship:
                    given = _seen(rows[order], shares.T[order], learner.kinship)
                    means.append(learner.predict(given, formula[order])[0])
                    covariances.append(learner.covariance(given))
            apart = np.array(means) - np.mean(means, axis=0)
            found = np.mean(covariances, axis=0) + apart.T @ apart / len(apart)
        link = np.empty((len(rows), len(rows)))
        link[np.ix_(order, order)] = correlation_from(found)
        return link

    def to_json(self) -> dict[str, Any]:
        """What it was learned from, as plain data."""
        return {
            "kind": self.kind,
            "seed": self.seed,
            "theta": self.theta,
            "features": self.features.tolist(),
            "formula": self.formula.tolist(),
            "target": self.target.tolist(),
            "composition": None if self.composition is None else _sparse(self.composition),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Correction:
        """The inverse of `to_json`: the same bits with the same versions of NumPy and scikit-learn.

        Raises
        ------
        ValueError
            There is nothing that could be learned from the data.
        """
        features, formula, target = (np.array(data[key], dtype=np.float64) for key in ("features", "formula", "target"))
        with np.errstate(all="ignore"):
            composition = None if data["composition"] is None else _dense(data["composition"])
            found = cls(data["kind"], features, formula, target, int(data["seed"]), composition, data["theta"])
        if not (np.isfinite(found.left_out_mean).all() and np.isfinite(found.left_out_std).all()):
            raise ValueError("correction: needs numbers that can be learned from, found some that are too large")
        return found


def _seen(rows: np.ndarray, composition: np.ndarray | None, kinship: float) -> np.ndarray:
    """What a learner sees of standardised features and formulas: all, or compositions beside them, which with a kinship of one tell
    oxides of other metals about as far apart as the features do.
    """
    if composition is None or not kinship:
        return rows
    shares = kinship * np.sqrt(rows.shape[1] - 1) * composition
    return np.hstack([rows if kinship >= TREND_FROM else rows[:, :-1], shares])


def _mixture(means: list[np.ndarray], stds: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of an equal mixture."""
    mean = np.mean(means, axis=0)
    return mean, np.sqrt(np.mean(np.square(stds), axis=0) + np.mean(np.square(np.array(means) - mean), axis=0))


def _without_last_bits(values: np.ndarray, spread: float) -> np.ndarray:
    """Values on a grid of 1e-9 of a spread: trees choose between equal splits by the last bit, which depends on the processor."""
    if not np.isfinite(spread) or spread == 0.0:
        return values
    step = 2.0 ** np.floor(np.log2(spread) - 30)
    return np.round(values / step) * step


def _grown(rows: np.ndarray, target: np.ndarray, seed: int) -> tuple[list[Any], np.ndarray]:
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


def _trees(rows: np.ndarray, formula: np.ndarray, target: np.ndarray, seed: int) -> _Learner:
    """Extremely randomised trees learn target less formula."""
    left_over = _without_last_bits(target - formula, float(np.ptp(target)))
    trees, unseen = _grown(np.ascontiguousarray(rows, dtype=np.float32), left_over, seed % 2**32)

    def by_tree(rows):
        rows = np.ascontiguousarray(rows, dtype=np.float32)  # as trees see them
        return np.array([tree.predict(rows).reshape(len(rows)) for tree in trees])

    def predict(rows, formula):
        each = by_tree(rows)
        return formula + each.mean(axis=0), each.std(axis=0, ddof=1)

    each = np.where(unseen, by_tree(rows), 0.0)
    count = unseen.sum(axis=0)
    mean = each.sum(axis=0) / np.maximum(count, 1)
    square = np.where(unseen, (each - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    return _Learner(predict, formula + mean, np.sqrt(square), lambda rows: np.atleast_2d(np.cov(by_tree(rows).T)))


def correlation_of(members: np.ndarray) -> np.ndarray:
    """Correlation of materials over members, shrunk towards none as far as so few members cannot tell it from chance.

    Parameters
    ----------
    members : ndarray (n_members, n)
        Predictions; a material for which one is not finite has no correlation.

    Returns
    -------
    ndarray (n, n)
        1 on the diagonal; 0 elsewhere where members agree. Shrunk as by Schäfer and Strimmer, Stat. Appl. Genet. Mol. Biol. 4, 32
        (2005), with the error of a correlation of independent values in the place of each one's own.

    Examples
    --------
    >>> members = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]] * 50)
    >>> correlation_of(members).round(2)
    array([[1.  , 0.99],
           [0.99, 1.  ]])
    """
    with np.errstate(all="ignore"):
        apart = members - members.mean(axis=0)
        size = np.sqrt((apart**2).sum(axis=0))
    differs = np.isfinite(size) & (size > 0)
    apart = np.where(differs, apart, 0.0) / np.where(differs, size, 1.0)
    link = apart.T @ apart
    np.fill_diagonal(link, 0.0)
    square, n = float((link**2).sum()), int(differs.sum())
    chance = n * (n - 1) / max(len(members) - 1, 1)
    link *= max(0.0, 1.0 - chance / square) if square > 0 else 0.0
    np.fill_diagonal(link, 1.0)
    return link


def correlation_from(covariance: np.ndarray) -> np.ndarray:
    """Correlation (n, n) from a covariance (n, n); none with what has no variance."""
    std = np.sqrt(np.diag(covariance))
    std = np.where(std > 0, std, 1.0)
    link = covariance / np.outer(std, std)
    np.fill_diagonal(link, 1.0)
    return link


def _sparse(composition: np.ndarray) -> dict[str, Any]:
    """The columns that are not zero, by number."""
    columns = np.flatnonzero(composition.any(axis=0))
    return {"n_elements": composition.shape[1], "columns": columns.tolist(), "shares": composition[:, columns].tolist()}


def _dense(data: Mapping[str, Any]) -> np.ndarray:
    shares = np.array(data["shares"], dtype=np.float64)
    out = np.zeros((len(shares), int(data["n_elements"])))
    out[:, data["columns"]] = shares
    return out


class Trend(Kernel):
    """Covariance of a line through the origin in one column, of unknown slope: variance times the product of two values of it.

    Parameters
    ----------
    column : int
    variance : float
        Of the slope, before the labels are seen.
    variance_bounds : tuple of float

    References
    ----------
    Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eq. 2.40 with one basis function.

    Examples
    --------
    >>> Trend(1, 2.0)(np.array([[9.0, 1.0], [9.0, 3.0]]))
    array([[ 2.,  6.],
           [ 6., 18.]])
    """

    def __init__(self, column: int, variance: float = 1.0, variance_bounds: tuple[float, float] = (1e-3, 1e2)):
        self.column, self.variance, self.variance_bounds = column, variance, variance_bounds

    @property
    def hyperparameter_variance(self) -> Hyperparameter:
        return Hyperparameter("variance", "numeric", self.variance_bounds)

    def __call__(self, X, Y=None, eval_gradient=False) -> Any:
        found = self.variance * np.outer(X[:, self.column], (X if Y is None else Y)[:, self.column])
        return (found, found[:, :, None].copy()) if eval_gradient else found

    def diag(self, X):
        return self.variance * X[:, self.column] ** 2

    def is_stationary(self) -> Any:
        return False


def _process(
    rows: np.ndarray, lengths: np.ndarray | float, trend: int | None, target: np.ndarray, theta: list[float] | None
) -> tuple[_Learner, list[float]]:
    """A Gaussian process on the target, from these lengths on, with or without a trend in a column; lengths under one standard
    deviation are not believed.
    """
    kernel: Any = ConstantKernel(1.0, (1e-2, 1e2)) * _matern(lengths, (1.0, 30.0), nu=1.5) + WhiteKernel(
        0.1, (1e-3, 1.0)
    )
    if trend is not None:
        kernel = Trend(trend) + kernel
    if theta is not None:
        _check_theta(kernel, theta)
        kernel = kernel.clone_with_theta(np.array(theta))
    process: Any = GaussianProcessRegressor(kernel, normalize_y=True)
    if theta is not None:
        process.set_params(optimizer=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is what the bound is for
        process.fit(rows, target)
    scale = float(target.std()) or 1.0
    inverse = np.linalg.inv(process.kernel_(rows) + process.alpha * np.eye(len(rows)))
    residual = inverse @ ((target - target.mean()) / scale) / np.diag(inverse)

    def predict(rows, formula):
        # In pieces: the matrix of covariances with the labelled materials must not fill the memory.
        pieces = [process.predict(part, return_std=True) for part in np.array_split(rows, len(rows) // 20_000 + 1)]
        return np.concatenate([m for m, _ in pieces]), np.concatenate([s for _, s in pieces])

    def covariance(rows):
        return process.predict(rows, return_cov=True)[1]

    learner = _Learner(predict, target - scale * residual, scale / np.sqrt(np.diag(inverse)), covariance)
    return learner, [float(value) for value in process.kernel_.theta]


def _check_theta(kernel: Any, theta: list[float]) -> None:
    found = np.array(theta, dtype=np.float64)
    low, high = kernel.bounds.T
    if found.shape != low.shape or not ((found >= low - 1e-6) & (found <= high + 1e-6)).all():
        raise ValueError(f"theta: needs {len(low)} logarithms within the bounds of the kernel")
