"""What a campaign can predict with: the SISSO ensemble, and a forest and a Gaussian process to compare it with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from sisso_sal.data.columns import split_header
from sisso_sal.errors import SettingsError
from sisso_sal.models.correction import CONSTANT, correlation_from, correlation_of
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.protocols import Prediction
from sisso_sal.system.machine import one_blas_thread


def make_surrogate(kind: str, parameters: Mapping[str, Any], seed: int, threads: int | None = 1) -> Any:
    """An unfitted surrogate.

    Parameters
    ----------
    kind : str
        ``sisso``, ``forest`` or ``process``.
    parameters : mapping
        Of `SISSOEnsemble`; the others need none.
    seed : int
    threads : int or None

    Raises
    ------
    SettingsError
        The kind is unknown.

    Examples
    --------
    >>> make_surrogate("forest", {}, 0).seed
    0
    """
    if kind == "sisso":
        return SISSOEnsemble(**parameters, threads=threads, random_state=seed)
    if kind in _OTHERS:
        return _OTHERS[kind](seed)
    raise SettingsError(f"surrogate: needs one of {', '.join(KINDS)}, found '{kind}'")


class _Tabular:
    """A surrogate that sees the primary features as columns, in the order of `fit`."""

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, X, y, *, composition=None, progress=None):
        """X : DataFrame (n_samples, n_primary); y : array (n_samples,). The composition is not used."""
        self._names = [split_header(str(header))[0] for header in X.columns]
        self._learn(np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64))
        return self

    def predict_distribution(self, X: Mapping[str, np.ndarray], composition=None) -> Prediction:
        """Mean, spread and members at new materials; all are valid everywhere."""
        rows = np.column_stack([X[name] for name in self._names])
        mean, std, members = self._predicted(rows)
        return Prediction(
            mean, std, std, members, np.ones(members.shape, dtype=bool),
            correlation=lambda chosen: self._correlation(rows[chosen], members[:, chosen]),
        )  # fmt: skip

    def _learn(self, X: np.ndarray, y: np.ndarray) -> None:
        raise TypeError(f"{type(self).__name__} has no model")

    def _predicted(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        raise TypeError(f"{type(self).__name__} has no model")

    def _correlation(self, X: np.ndarray, members: np.ndarray) -> np.ndarray:
        return correlation_of(members)


class Forest(_Tabular):
    """A random forest whose trees are the members (Breiman, Mach. Learn. 45, 5 (2001)).

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"a (eV)": np.arange(20.0)})
    >>> found = Forest().fit(X, np.arange(20.0)).predict_distribution({"a": np.array([3.0])})
    >>> found.members.shape
    (100, 1)
    """

    n_trees = 100

    def _learn(self, X, y):
        self._forest = RandomForestRegressor(self.n_trees, oob_score=True, random_state=self.seed % 2**32)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")
            self._forest.fit(X, y)
        self.oob_mean_ = self._forest.oob_prediction_

    def _predicted(self, X):
        members = np.array([tree.predict(X.astype(np.float32)) for tree in self._forest.estimators_])
        return members.mean(axis=0), members.std(axis=0, ddof=1), members


class Process(_Tabular):
    """A Gaussian process with a Matérn 5/2 kernel, a length for each feature, and noise (Rasmussen and Williams (2006)).

    Its members are draws from the posterior of each candidate by itself, for acquisitions that want members.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"a": np.arange(20.0)})
    >>> found = Process().fit(X, np.arange(20.0)).predict_distribution({"a": np.array([3.0])})
    >>> bool(abs(found.mean[0] - 3.0) < 0.5)
    True
    """

    n_members = 30

    def _learn(self, X, y):
        self._centre, spread = X.mean(axis=0), X.std(axis=0)
        self._spread = np.where(spread > CONSTANT * np.abs(self._centre), spread, 1.0)
        matern: Any = Matern  # whose stub knows one length only
        kernel: Any = ConstantKernel() * matern(np.ones(X.shape[1]), nu=2.5) + WhiteKernel()
        self._process: Any = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0)
        with warnings.catch_warnings(), one_blas_thread():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit((X - self._centre) / self._spread, y)
        rows = self._process.X_train_
        inverse = np.linalg.inv(self._process.kernel_(rows) + self._process.alpha * np.eye(len(rows)))
        scale = float(y.std()) or 1.0
        self.oob_mean_ = y - scale * (inverse @ ((y - y.mean()) / scale)) / np.diag(inverse)

    def _predicted(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with one_blas_thread():
            mean, std = self._process.predict((X - self._centre) / self._spread, return_std=True)
        rng = np.random.default_rng(self.seed)
        return mean, std, mean + std * rng.standard_normal((self.n_members, len(mean)))

    def _correlation(self, X, members):
        with one_blas_thread():
            _, covariance = self._process.predict((X - self._centre) / self._spread, return_cov=True)
        return correlation_from(covariance)


_OTHERS = {"forest": Forest, "process": Process}
KINDS = ("sisso", *_OTHERS)
"""Surrogates by name."""
