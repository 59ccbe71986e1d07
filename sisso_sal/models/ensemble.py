"""An ensemble of SISSO models: bootstrap samples times dropout of primary features, all found in one pass."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.errors import SettingsError
from sisso_sal.models.fitting import fit_problems
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.regressor import SISSOBase
from sisso_sal.protocols import Prediction
from sisso_sal.uncertainty import Calibration, calibrate

N_TYPICAL = 3
"""Formulas that a description shows; members with the same descriptors count as one."""


class SISSOEnsemble(SISSOBase):
    """Bootstrapped SISSO models, each without a random share of the primary features.

    Parameters
    ----------
    members : int
        Number of models.
    dropout : float
        Share of the primary features that each member may not use (Monte-Carlo dropout).
    recalibrate : bool
        Whether `Prediction.std` is the members' spread times a factor fitted to out-of-bag errors.
    random_state : int
        Seed; each member draws from a stream of its own.
    operators, rung, dim, n_sis, n_residual, max_complexity, max_features, min_abs, max_abs, fit_intercept, use_units, units,
    threads
        See `SISSORegressor`.

    Attributes
    ----------
    members_ : list of SISSOModel
    dropped_ : list of tuple of str
        Primary features that each member had to do without.
    oob_mean_, oob_std_ : ndarray (n_samples,)
        Mean and raw spread of the members that did not see the sample; NaN where fewer than two valid ones did not.
    calibration_ : Calibration or None
        From the out-of-bag errors; None where there are none.
    n_features_, rejected_
        See `SISSORegressor`.

    References
    ----------
    Nair, Foppa, Scheffler, npj Comput. Mater. (2025), doi 10.1038/s41524-025-01596-4.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (60, 4))
    >>> y = 3 * X[:, 0] * X[:, 1] + rng.normal(0, 0.05, 60)
    >>> ensemble = SISSOEnsemble(members=8, rung=1, dim=1, n_sis=5, dropout=0.0).fit(X, y)
    >>> mean, std = ensemble.predict(X[:2], return_std=True)
    >>> bool(np.all(np.abs(mean - y[:2]) < 4 * std))
    True
    """

    _kind = "ensemble"

    def __init__(
        self,
        *,
        members=30,
        dropout=0.2,
        recalibrate=True,
        operators=None,
        rung=2,
        dim=2,
        n_sis=50,
        n_residual=5,
        max_complexity=None,
        max_features=10**10,
        min_abs=1e-5,
        max_abs=1e5,
        fit_intercept=True,
        use_units=True,
        units=None,
        threads=None,
        random_state=0,
    ):
        self.members = members
        self.dropout = dropout
        self.recalibrate = recalibrate
        self.operators = operators
        self.rung = rung
        self.dim = dim
        self.n_sis = n_sis
        self.n_residual = n_residual
        self.max_complexity = max_complexity
        self.max_features = max_features
        self.min_abs = min_abs
        self.max_abs = max_abs
        self.fit_intercept = fit_intercept
        self.use_units = use_units
        self.units = units
        self.threads = threads
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, *, progress=None):
        """Fit all members in one pass over the feature space per dimension.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Multiplies the bootstrap counts.
        progress : callable, optional
            Called with (features done, features in all).

        Returns
        -------
        self

        Raises
        ------
        FitError
            Fewer samples than the dimension needs, a constant target, or no usable feature.
        SettingsError
            A setting is out of range, or the space is too large.
        KeyboardInterrupt
            On Ctrl-C; if there was a model by then, `is_complete_` is False and the model can be used.
        """
        if not (isinstance(self.members, int | np.integer) and self.members >= 2):
            raise SettingsError(f"members: needs an integer >= 2, found {self.members!r}")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout: needs a share from 0 to below 1, found {self.dropout!r}")
        X, y, weights = self._check_training(X, y, sample_weight)
        problems: list[Problem] = []

        def draw(target, weights, names):
            problems.extend(self._draw(target, weights, len(names)))
            return problems

        fitted = fit_problems(
            self.primaries_, self.units_, X, y, weights, draw, self._space_settings(), self._search_settings(), progress
        )
        self.members_: list[SISSOModel] = [next(m[0] for m in reversed(models) if m) for models in fitted.models]
        names = np.array(sorted(self.primaries_), dtype=object)
        self.dropped_ = [tuple(names[~problem.allowed]) for problem in problems]
        self.n_features_ = fitted.n_features
        self.rejected_ = fitted.rejected
        self.n_singular_ = fitted.n_singular
        self.n_samples_ = len(fitted.order)
        self._score_out_of_bag(X, y, fitted.order, problems)
        self.is_complete_ = fitted.is_complete
        if not fitted.is_complete:
            raise KeyboardInterrupt
        return self

    def _draw(self, target: np.ndarray, weights: np.ndarray, n_primary: int) -> list[Problem]:
        """Bootstrap counts and allowed primaries of each member, in canonical order of rows and columns."""
        n = len(target)
        n_dropped = min(round(self.dropout * n_primary), n_primary - 1)
        needed = min(self.dim + (2 if self.fit_intercept else 1), n)
        problems = []
        for stream in np.random.SeedSequence(self.random_state).spawn(self.members):
            rng = np.random.default_rng(stream)
            counts = np.bincount(rng.integers(0, n, n), minlength=n)
            while np.count_nonzero(counts) < needed or np.ptp(target[counts > 0]) == 0.0:
                counts = np.bincount(rng.integers(0, n, n), minlength=n)
            allowed = np.ones(n_primary, dtype=bool)
            allowed[rng.permutation(n_primary)[:n_dropped]] = False
            problems.append(Problem(target, counts * weights, allowed))
        return problems

    def _score_out_of_bag(self, X, y, order, problems) -> None:
        columns = dict(zip(self.primaries_, np.ascontiguousarray(X.T), strict=True))
        members, valid = self._evaluate(columns)
        unseen = np.zeros(members.shape, dtype=bool)
        for p, problem in enumerate(problems):
            unseen[p, order] = problem.weights == 0
        self.oob_mean_, self.oob_std_ = _mean_and_spread(members, valid & unseen, 2)
        known = order[np.isfinite(self.oob_mean_[order]) & (self.oob_std_[order] > 0)]
        self.calibration_: Calibration | None = None
        if len(known):
            self.calibration_ = calibrate(y[known] - self.oob_mean_[known], self.oob_std_[known])

    def _evaluate(self, columns) -> tuple[np.ndarray, np.ndarray]:
        results = [member.predict(columns) for member in self.members_]
        return np.array([r[0] for r in results]), np.array([r[1] for r in results])

    def predict_distribution(self, X) -> Prediction:
        """Mean, spread, every member's prediction and its validity.

        Parameters
        ----------
        X : array or DataFrame (n, n_primary)

        Returns
        -------
        Prediction
            A candidate for which fewer than half of the members are valid has no mean (NaN); invalid members never enter the mean.
        """
        members, valid = self._evaluate(self._columns(X))
        mean, raw = _mean_and_spread(members, valid, max(2, (len(self.members_) + 1) // 2))
        scale = self.calibration_.scale if self.recalibrate and self.calibration_ else 1.0
        return Prediction(mean, scale * raw, raw, members, valid)

    def predict(self, X, return_std=False):
        """Mean of the valid members, and with `return_std` the standard deviation to act on.

        Returns
        -------
        mean : ndarray (n,)
            In the target's unit; NaN where fewer than half of the members are valid.
        std : ndarray (n,)
            Only with `return_std`.
        """
        prediction = self.predict_distribution(X)
        return (prediction.mean, prediction.std) if return_std else prediction.mean

    def typical_members(self, X, count: int = 3) -> list[tuple[int, float]]:
        """The members that speak most for all: those closest to the members' median over `X`.

        Parameters
        ----------
        X : array or DataFrame (n, n_primary)
        count : int

        Returns
        -------
        list of (int, float)
            Number of the member and its root mean square distance from the median, in the target's unit; nearest first. A
            member that is valid nowhere on `X` is left out.
        """
        members, valid = self._evaluate(self._columns(X))
        usable = valid.all(axis=0)
        if not usable.any():
            usable = valid.any(axis=0)
        members, valid = members[:, usable], valid[:, usable]
        median = np.nanmedian(np.where(valid, members, np.nan), axis=0)
        square = (np.where(valid, members, median) - median) ** 2
        seen = np.flatnonzero(valid.any(axis=1))
        distance = np.sqrt(square[seen].sum(axis=1) / valid[seen].sum(axis=1))
        order = np.argsort(distance, kind="stable")[:count]
        return [(int(seen[i]), float(distance[i])) for i in order]

    def recurrence(self) -> dict[str, dict[str, float]]:
        """What the members agree on: the share of members in which each primary feature, operator and descriptor occurs.

        Returns
        -------
        dict
            ``primaries``, ``operators`` and ``descriptors``, each from name to share, most frequent first.
        """
        counts = {"primaries": Counter(), "operators": Counter(), "descriptors": Counter()}
        for member in self.members_:
            counts["primaries"].update(set(member.primaries()))
            counts["operators"].update({name for term in member.terms for name in term.expression.operator_names()})
            counts["descriptors"].update({str(term.expression) for term in member.terms})
        n = len(self.members_)
        return {
            kind: {name: c / n for name, c in sorted(counter.items(), key=lambda item: (-item[1], item[0]))}
            for kind, counter in counts.items()
        }

    def describe(self, X, target: str, target_unit: str = "") -> dict[str, Any]:
        """What a report says of the fit, as plain data.

        Parameters
        ----------
        X : array, DataFrame or mapping
            Materials over which members are compared, see `typical_members`.
        target, target_unit : str
            Name and unit of what it predicts.
        """
        typical: dict[frozenset[str], dict[str, Any]] = {}
        for number, distance in self.typical_members(X, len(self.members_)):
            member = self.members_[number]
            same = typical.setdefault(
                frozenset(term.expression.key for term in member.terms),
                {
                    "member": number,
                    "distance": distance,
                    "n_members": 0,
                    "equation": member.equation(target, target_unit),
                    **member.to_json(),
                },
            )
            same["n_members"] += 1
        return {
            "n_members": len(self.members_),
            "sigma": "recalibrated" if self.recalibrate and self.calibration_ else "raw",
            "calibration": self.calibration_.as_dict() if self.calibration_ else None,
            "typical": list(typical.values())[:N_TYPICAL],
            "recurrence": self.recurrence(),
            "n_features": self.n_features_,
            "rejected": self.rejected_,
        }

    def _models_document(self) -> dict[str, Any]:
        return {
            "members": [member.to_json() for member in self.members_],
            "dropped": [list(names) for names in self.dropped_],
            "calibration": self.calibration_.as_dict() if self.calibration_ else None,
        }


def _mean_and_spread(members: np.ndarray, valid: np.ndarray, needed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 1) over the valid members; NaN where fewer than `needed` are valid."""
    count = valid.sum(axis=0)
    enough = count >= needed
    kept = np.where(valid, members, 0.0)
    mean = kept.sum(axis=0) / np.maximum(count, 1)
    square = (np.where(valid, kept - mean, 0.0) ** 2).sum(axis=0) / np.maximum(count - 1, 1)
    return np.where(enough, mean, np.nan), np.where(enough, np.sqrt(square), np.nan)
