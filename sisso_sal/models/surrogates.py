"""A forest and a Gaussian process that a campaign can predict with, to compare the SISSO ensemble with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from sisso_sal.data.neighbours import relative_distance
from sisso_sal.models.calibration import calibrate
from sisso_sal.models.correction import CONSTANT, correlation_from, correlation_of
from sisso_sal.models.costs import process_cost
from sisso_sal.models.inputs import label_weights
from sisso_sal.models.kernel import Kernel
from sisso_sal.models.magnitudes import check_labels
from sisso_sal.models.process import GaussianProcess, fit_process
from sisso_sal.protocols import Prediction, Progress, Space
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.costs import announce
from sisso_sal.system.machine import one_blas_thread


class Forest:
    """A random forest whose trees are the members (Breiman, Mach. Learn. 45, 5 (2001)).

    Parameters
    ----------
    seed : int
    n_trees : int
    """

    def __init__(self, seed: int = 0, n_trees: int = 100):
        self.seed = seed
        self.n_trees = n_trees

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Forest:
        """Learn from labels; see `Surrogate`. Labels with an error have the weight that `label_weights` gives."""
        check_labels(space.target.name if space.target else "", labels)
        self._forest = RandomForestRegressor(self.n_trees, oob_score=True, random_state=self.seed % 2**32)
        weights = label_weights(errors) if errors.any() else None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")
            self._forest.fit(_matrix(space, rows), labels, weights)
        self._known, self._labels = space.rows(rows).matrix, labels
        self._left_out = self._spread_of_unseen()
        return self

    def _spread_of_unseen(self) -> np.ndarray:
        """Standard deviation of the trees that did not see a label: ndarray (n_labelled,); NaN from fewer than two."""
        n = len(self._labels)
        unseen = np.ones((len(self._forest.estimators_), n), dtype=bool)
        for tree, drawn in enumerate(self._forest.estimators_samples_):
            unseen[tree, drawn] = False
        members = np.where(unseen, self._members(self._known), np.nan)
        enough = unseen.sum(axis=0) > 1
        spread = np.full(n, np.nan)
        spread[enough] = np.nanstd(members[:, enough], axis=0, ddof=1)
        return spread

    def _members(self, X: np.ndarray) -> np.ndarray:
        return np.array([tree.predict(X.astype(np.float32)) for tree in self._forest.estimators_])

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Mean and standard deviation of the trees; see `Surrogate`."""
        X = space.rows(rows).matrix
        members = self._members(X)
        mean, std = members.mean(axis=0), members.std(axis=0, ddof=1)
        distance = relative_distance(X, self._known)
        return _prediction(mean, std, members, distance, _TreesCorrelation(members))

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the trees that did not see a label: ndarray (n_labelled,) each, in the target's unit."""
        return self._forest.oob_prediction_, self._left_out

    def describe(self, space: Space) -> dict[str, Any]:
        """Number of trees, and how their standard deviation compares with the out-of-bag residuals."""
        return _described(self, self._labels, self.n_trees)


class Process:
    """A Gaussian process with a Matérn 5/2 kernel, a length for each feature, and noise (Rasmussen and Williams (2006)).

    The greatest likelihood is looked for from parameters of one, and again from random ones, which are the same in every fit.
    Its members are draws from the posterior of each candidate by itself, for acquisitions that want members.

    Parameters
    ----------
    seed : int
    n_members : int
    """

    def __init__(self, seed: int = 0, n_members: int = 30):
        self.seed = seed
        self.n_members = n_members

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Process:
        """Learn from labels; see `Surrogate`. The squared error of a label is added to its variance."""
        check_labels(space.target.name if space.target else "", labels)
        X = _matrix(space, rows)
        self._centre, spread = X.mean(axis=0), X.std(axis=0)
        self._spread = np.where(spread > CONSTANT * np.abs(self._centre), spread, 1.0)
        scale = float(labels.std()) or 1.0
        noise = 1e-10 + (errors / scale) ** 2 if errors.any() else 1e-10
        kernel = Kernel(2.5, np.log([[1e-5, 1e5]] * (X.shape[1] + 2)))
        start = np.zeros(len(kernel.bounds))
        again = np.random.RandomState(0).uniform(*kernel.bounds.T)
        announce([process_cost(len(labels), X.shape[1], starts=2)])
        with one_blas_thread():
            self._process = fit_process(kernel, [start, again], self._standardised(X), labels, noise)
            self._left_out = self._process.left_out(labels)
        self._known, self._labels = space.rows(rows).matrix, labels
        return self

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Mean and standard deviation of the posterior; see `Surrogate`."""
        features = space.rows(rows).matrix
        X, distance = self._standardised(features), relative_distance(features, self._known)
        with one_blas_thread():
            mean, std = self._process.predict(X)
        draws = np.random.default_rng(self.seed).standard_normal((self.n_members, len(mean)))
        return _prediction(mean, std, mean + std * draws, distance, _ProcessCorrelation(self._process, X))

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation without the label itself (Rasmussen and Williams, eq. 5.12): ndarray (n_labelled,) each."""
        return self._left_out

    def describe(self, space: Space) -> dict[str, Any]:
        """How the standard deviation compares with the residuals of the labels that were left out, one at a time."""
        return _described(self, self._labels, self.n_members)

    def _standardised(self, X: np.ndarray) -> np.ndarray:
        return (X - self._centre) / self._spread


@dataclass(frozen=True, eq=False)
class _TreesCorrelation:
    """Correlation over trees; `members` (n_trees, n) is what they predict."""

    members: np.ndarray

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        return correlation_of(self.members[:, numbers])


@dataclass(frozen=True, eq=False)
class _ProcessCorrelation:
    """Correlation of the posterior; `rows` (n, n_primary) are the standardised features of all candidates."""

    process: GaussianProcess
    rows: np.ndarray

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        with one_blas_thread():
            return correlation_from(self.process.covariance(self.rows[numbers]))


def _matrix(space: Space, rows: np.ndarray) -> np.ndarray:
    """Primary features of labelled rows, a column behind the other in memory: sums over a column keep their last bits."""
    return np.asfortranarray(space.rows(rows).matrix)


def _prediction(
    mean: np.ndarray, std: np.ndarray, members: np.ndarray, distance: np.ndarray, correlation: Any
) -> Prediction:
    """Of a surrogate whose members are valid everywhere."""
    valid = np.ones(members.shape, dtype=bool)
    return Prediction(mean, std, std, members, valid, distance=distance, correlation=correlation)


def _described(surrogate: Forest | Process, labels: np.ndarray, n_members: int) -> dict[str, Any]:
    """What a surrogate without formulas tells of its fit; no calibration where no label was left out."""
    mean, std = surrogate.out_of_bag
    usable = np.isfinite(mean) & (std > 0)
    calibration = calibrate(labels[usable], mean[usable], std[usable], "none")[0].as_dict() if usable.any() else None
    return {"n_members": n_members, "sigma": "raw", "calibration": calibration}


def make_forest(settings: CampaignSettings, seed: int, threads: int | None) -> Forest:
    """An unfitted forest; it takes nothing but the seed."""
    return Forest(seed)


def make_process(settings: CampaignSettings, seed: int, threads: int | None) -> Process:
    """An unfitted Gaussian process; it takes nothing but the seed."""
    return Process(seed)
