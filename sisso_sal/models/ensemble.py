"""An ensemble of SISSO models: bootstrap samples times dropout of primary features, all found in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.aggregation import MEANS, aggregate
from sisso_sal.models.calibration import Calibration, calibrate
from sisso_sal.models.correction import CONSTANT, FEWEST, Correction, correlation_of
from sisso_sal.models.correction import KINDS as CORRECTIONS
from sisso_sal.models.display import ensemble_html
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.members import Draw, MemberSearch, Stage, by_dimension, evaluated
from sisso_sal.models.recalibration import KINDS as RECALIBRATIONS
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.models.robust import pseudo_observations
from sisso_sal.models.transform import KINDS as TRANSFORMS
from sisso_sal.models.transform import TargetTransform
from sisso_sal.protocols import Prediction

N_TYPICAL = 3
"""Formulas that a description shows; members with the same descriptors count as one."""

LOSSES = ("squared", "huber")


class SISSOEnsemble(MemberSearch):
    """Bootstrapped SISSO models, each without a random share of the primary features, and a correction learned from what they miss.

    Parameters
    ----------
    members : int
        Number of models.
    dropout : float
        Share of the primary features that each member may not use (Monte-Carlo dropout).
    adapt : bool
        Whether the ensemble chooses its own rung (1 to `rung`) and number of terms (1 to `dim`), by the out-of-bag mean absolute
        error: with few labels a small space predicts better. Otherwise `rung` and `dim` are what they say.
    target_transform : str
        ``none``, ``log`` or ``yeo-johnson``, see `TargetTransform`; members and correction learn the transformed target,
        predictions are in the target's unit all the same.
    loss : str
        ``squared``, or ``huber``: labels that a member misses by far count less for it (iteratively reweighted least squares, at
        first by their distance from the median), and pull the correction no further than others (`pseudo_observations`).
    aggregation : str
        ``mean`` or ``median`` of the members, see `aggregate`.
    correction : str
        ``none``, ``trees``, ``process`` or ``both``, see `Correction`; learned only from `FEWEST` labels on.
    recalibrate : str
        ``none``, ``scale``, ``isotonic`` or ``conformal``: how `Prediction.std` and its interval follow from the raw sigma and the
        out-of-bag errors, see `Recalibration`.
    random_state : int
        Seed; each member draws from a stream of its own.
    operators, rung, dim, n_sis, n_residual, max_complexity, max_features, min_abs, max_abs
        See `SISSORegressor`.
    fit_intercept, use_units, units, threads
        See `SISSORegressor`.

    Attributes
    ----------
    members_ : list of SISSOModel
    dropped_ : list of tuple of str
        Primary features that each member had to do without.
    chosen_ : dict
        ``rung`` and ``dim`` of the members.
    choices_ : list of dict
        ``rung``, ``dim``, and the out-of-bag ``mae`` and ``rmse`` of each choice there was, in the target's unit.
    correction_ : Correction or None
    oob_mean_, oob_std_ : ndarray (n_samples,)
        Prediction and raw sigma of each sample by what did not see it; NaN where fewer than two valid members did not, or where
        the corrected prediction of a transformed target has no inverse.
    calibration_, recalibration_ : Calibration, Recalibration or None
        From the out-of-bag errors; None where there are none.
    formula_calibration_ : Calibration or None
        That of the formulas alone, without correction.
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
    _n_models = 1

    def __init__(
        self,
        *,
        members=30,
        dropout=0.2,
        adapt=True,
        target_transform="none",
        loss="squared",
        aggregation="mean",
        correction="both",
        recalibrate="isotonic",
        operators=None,
        rung=2,
        dim=3,
        n_sis=20,
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
        self.adapt = adapt
        self.target_transform = target_transform
        self.loss = loss
        self.aggregation = aggregation
        self.correction = correction
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

    def fit(self, X, y, sample_weight=None, *, composition=None, progress=None):
        """Fit all members in one pass over the feature space per dimension.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Multiplies the bootstrap weights. The correction gives all samples of positive weight the same.
        composition : array (n_samples, n_elements), optional
            Share of each element, for the correction alone; see `atomic_fractions`.
        progress : callable, optional
            Called with (features done, features in all).

        Returns
        -------
        self

        Raises
        ------
        FitError
            Fewer samples than the dimension needs, a constant target, no usable feature, or a target that the transform cannot
            take.
        SettingsError
            A setting is out of range, or the space is too large.
        KeyboardInterrupt
            On Ctrl-C; if there was a model by then, `is_complete_` is False and the model can be used.
        """
        self._check_settings()
        X, y, weights = self._check_training(X, y, sample_weight)
        stages = self._search(X, y, weights, [Draw(np.ones(len(y), dtype=bool), self.dropout)], progress)
        self._assemble(X, y, stages, 0, weights > 0, _checked_composition(composition, len(y)))
        if not self.is_complete_:
            raise KeyboardInterrupt
        return self

    def _check_settings(self) -> None:
        self._space_settings()
        self._search_settings()
        if not (isinstance(self.members, int | np.integer) and self.members >= 2):
            raise SettingsError(f"members: needs an integer >= 2, found {self.members!r}")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout: needs a share from 0 to below 1, found {self.dropout!r}")
        known: dict[str, Sequence[str]] = {
            "target_transform": TRANSFORMS, "loss": LOSSES, "aggregation": MEANS, "correction": CORRECTIONS,
            "recalibrate": RECALIBRATIONS,
        }  # fmt: skip
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise SettingsError(f"{name}: needs one of {', '.join(values)}, found {getattr(self, name)!r}")

    # From models to an ensemble ------------------------------------------------------------------------------------------

    def _assemble(self, X, y, stages: Sequence[Stage], first: int, present: np.ndarray, composition=None) -> None:
        """Choose rung and dimension, correct, calibrate, all from the samples `present` (n_samples,).

        `first` is the number of the first of the problems whose models are the members.
        """
        columns = self._by_name(X)
        part = slice(first, first + self.members)
        order = stages[-1].fitted.order
        problems = stages[-1].problems[part]
        unseen = np.zeros((self.members, len(y)), dtype=bool)
        for m, problem in enumerate(problems):
            unseen[m, order] = problem.weights == 0
        unseen &= present
        options = [
            (stage, dim, members, self._out_of_bag(members, columns, y, unseen, order))
            for stage in stages
            for dim, members in by_dimension(
                stage, part, columns, y, range(1 if self.adapt else self.dim, self.dim + 1)
            )
        ]
        stage, dim, self.members_, _ = min(options, key=lambda option: (option[3]["mae"], option[0].rung, option[1]))
        self.choices_ = [{"rung": s.rung, "dim": d, **error} for s, d, _, error in options]
        for choice in self.choices_:
            choice.update({key: None for key in ("mae", "rmse") if not np.isfinite(choice[key])})  # for JSON
        self.chosen_ = {"rung": stage.rung, "dim": dim}
        names = np.array(sorted(self.primaries_), dtype=object)
        self.dropped_ = [tuple(names[~problem.allowed]) for problem in problems]
        self.n_features_ = stage.fitted.n_features
        self.rejected_ = stage.fitted.rejected
        self.n_singular_ = sum(s.fitted.n_singular for s in stages)
        self.n_samples_ = int(present.sum())
        self.is_complete_ = all(s.fitted.is_complete for s in stages)
        self._judge(columns, y, unseen, order[present[order]], composition)

    def _out_of_bag(self, members, columns, y, unseen, order) -> dict[str, float]:
        values, valid, _ = evaluated(members, columns)
        mean, _ = aggregate(values, valid & unseen, 2, mean=self.aggregation)
        error = (y - mean)[order]  # summed in canonical order
        error = error[np.isfinite(error)]
        if not len(error):
            return {"mae": np.inf, "rmse": np.inf}
        return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt(np.mean(error**2)))}

    def _judge(self, columns, y, unseen, order, composition) -> None:
        """Out-of-bag predictions, the correction that is learned from them, and the calibration of both."""
        values, valid, _ = evaluated(self.members_, columns)
        formula, spread = self._aggregated(values, valid & unseen, 2)
        given = self._link.forward(formula)
        rows = order[np.isfinite(given[order])]
        self.formula_calibration_, self.recalibration_ = _calibrated(self.recalibrate, y - formula, spread, rows)
        self.calibration_ = self.formula_calibration_
        self._labelled = np.column_stack([columns[name][order] for name in sorted(columns)])
        self.oob_mean_, self.oob_std_, self.correction_ = formula, spread, None
        if self.correction != "none" and len(rows) >= FEWEST:
            self._correct(columns, y, given, rows, composition)

    def _correct(self, columns, y, given, rows, composition) -> None:
        """Learn from transformed out-of-bag means `given` (n_samples,), and judge the result by the labels themselves."""
        labels = self._link.forward(y[rows])
        if self.loss == "huber":
            labels = pseudo_observations(labels, given[rows])
        if np.ptp(labels) == 0:
            return
        features = np.column_stack([columns[name][rows] for name in sorted(columns)])
        shares = None if composition is None else composition[rows]
        found = Correction(self.correction, features, given[rows], labels, int(self.random_state), shares)
        self.correction_, self.oob_mean_, self.oob_std_ = found, np.full(len(y), np.nan), np.full(len(y), np.nan)
        self.oob_mean_[rows], self.oob_std_[rows] = self._link.back(found.left_out_mean, found.left_out_std)
        self.calibration_, self.recalibration_ = _calibrated(self.recalibrate, y - self.oob_mean_, self.oob_std_, rows)

    @property
    def _link(self) -> TargetTransform:
        """The transform that all members share; the correction learns on the same scale."""
        return self.members_[0].link

    def _aggregated(self, values, valid, needed):
        return aggregate(values, valid, needed, mean=self.aggregation, weight=1.0 / len(values))

    # Prediction ----------------------------------------------------------------------------------------------------------

    def predict_distribution(self, X, composition=None) -> Prediction:
        """Mean, spread, every member's prediction and its validity.

        Parameters
        ----------
        X : array or DataFrame (n, n_primary)
        composition : array (n, n_elements), optional
            As in `fit`; without it the part of the correction that was learned from compositions stays out.

        Returns
        -------
        Prediction
            A candidate for which fewer than half of the members are valid has no mean (NaN); invalid members never enter the mean.
            Nor has one whose corrected prediction on the transformed scale has no inverse (`TargetTransform.back`).
            With a correction, `members` are shifted by what it adds to the mean of the formulas.
        """
        columns = self._columns(X)
        values, valid, outside = evaluated(self.members_, columns)
        needed = max(2, (len(self.members_) + 1) // 2)
        formula, raw = self._aggregated(values, valid, needed)
        mean, given = formula, self._link.forward(formula)
        features = np.column_stack([columns[name] for name in sorted(self.primaries_)])
        shares = None
        if self.correction_:
            known = self.correction_.composition
            shares = None if known is None else _checked_composition(composition, len(features), known.shape[1])
            mean, raw = self._link.back(*self.correction_.predict(features, given, shares))
            with np.errstate(invalid="ignore"):
                values = values + np.where(np.isfinite(mean), mean - formula, 0.0)
        found = self.recalibration_ or Recalibration()
        return Prediction(
            mean, found.std(raw), raw, values, valid,
            half95=found.half_width(0.95, raw),
            formula=formula,
            outside=(outside > 0).mean(axis=0),
            distance=_relative_distance(features, self._labelled),
            correlation=self._correlation(features, given, shares, values, valid),
        )  # fmt: skip

    def _correlation(self, features, given, shares, values, valid):
        """By the correction, which knows what the formulas leave over; without one by the members that are valid throughout."""

        def between(rows: np.ndarray) -> np.ndarray:
            if self.correction_:
                return self.correction_.correlation(
                    features[rows], given[rows], None if shares is None else shares[rows]
                )
            usable = valid[:, rows].all(axis=1)
            return correlation_of(values[usable][:, rows]) if usable.sum() > 2 else np.eye(len(rows))

        return between

    def predict(self, X, return_std=False):
        """Mean of the valid members, corrected; with `return_std` the standard deviation to act on.

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
        members, valid, _ = evaluated(self.members_, self._columns(X))
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
            **self.chosen_,
            "choices": self.choices_,
            "correction": self.correction_.kind if self.correction_ else "none",
            "sigma": "raw" if self.recalibrate == "none" or not self.calibration_ else "recalibrated",
            "calibration": self.calibration_.as_dict() if self.calibration_ else None,
            "formula_calibration": self.formula_calibration_.as_dict() if self.formula_calibration_ else None,
            "typical": list(typical.values())[:N_TYPICAL],
            "recurrence": self.recurrence(),
            "n_features": self.n_features_,
            "rejected": self.rejected_,
        }

    def _shown(self, target: str, target_unit: str) -> str:
        return ensemble_html(self, target, target_unit)

    def _models_document(self) -> dict[str, Any]:
        return {
            "members": [member.to_json() for member in self.members_],
            "dropped": [list(names) for names in self.dropped_],
            "chosen": self.chosen_,
            "choices": self.choices_,
            "calibration": self.calibration_.as_dict() if self.calibration_ else None,
            "formula_calibration": self.formula_calibration_.as_dict() if self.formula_calibration_ else None,
            "recalibration": self.recalibration_.to_json() if self.recalibration_ else None,
            "correction": self.correction_.to_json() if self.correction_ else None,
            "labelled": self._labelled.tolist(),
        }

    def _restore(self, document: Mapping[str, Any], members: list[SISSOModel]) -> None:
        """The inverse of `_models_document`; `members` are read already."""
        self.members_ = members
        self.dropped_ = [tuple(names) for names in document["dropped"]]
        self.chosen_, self.choices_ = document["chosen"], document["choices"]
        self.calibration_, self.formula_calibration_ = (
            Calibration(**document[key]) if document[key] else None for key in ("calibration", "formula_calibration")
        )
        found, correction = document["recalibration"], document["correction"]
        self.recalibration_ = Recalibration.from_json(found) if found else None
        self.correction_ = Correction.from_json(correction) if correction else None
        self._labelled = np.array(document["labelled"], dtype=np.float64)


def _checked_composition(composition, n: int, n_elements: int | None = None) -> np.ndarray | None:
    """ndarray (n, n_elements), or None."""
    if composition is None:
        return None
    shares = np.asarray(composition, dtype=np.float64)
    wanted = shares.shape[1] if n_elements is None and shares.ndim == 2 else n_elements
    if shares.shape != (n, wanted) or not np.isfinite(shares).all():
        size = "n_elements" if n_elements is None else n_elements
        raise FitError(f"composition: needs {n} x {size} finite shares, found an array of shape {shares.shape}")
    return shares


def _calibrated(kind: str, errors, sigma, rows) -> tuple[Calibration | None, Recalibration | None]:
    """Both from the rows with an error and a spread, in canonical order; None where there are none."""
    known = rows[np.isfinite(errors[rows]) & (sigma[rows] > 0)]
    return calibrate(errors[known], sigma[known], kind) if len(known) else (None, None)


def _relative_distance(features: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Distance to the nearest labelled material, in units of the median distance between labelled neighbours."""
    from scipy.spatial import KDTree

    scale = labelled.std(axis=0)
    scale = np.where(scale > CONSTANT * np.abs(labelled.mean(axis=0)), scale, 1.0)
    tree = KDTree(labelled / scale)
    usual = float(np.median(tree.query(labelled / scale, k=2)[0][:, 1])) if len(labelled) > 1 else 0.0
    known = np.isfinite(features).all(axis=1)
    out = np.full(len(features), np.nan)
    out[known] = tree.query(features[known] / scale)[0] / (usual or 1.0)
    return out
