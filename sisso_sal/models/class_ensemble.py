"""An ensemble of classifiers whose probabilities are calibrated by the samples that its members did not see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sisso_sal.models.class_calibration import ClassCalibration
from sisso_sal.models.class_formulas import FIXED, estimator_settings
from sisso_sal.models.class_members import ClassMembers, ClassPrediction, fit_members
from sisso_sal.models.class_model import ClassModel
from sisso_sal.models.classifier import class_factors
from sisso_sal.models.estimators import columns_of, remember_columns
from sisso_sal.models.groups import grouped
from sisso_sal.models.inputs import checked_table


@final
class SISSOClassifierEnsemble(ClassifierMixin, BaseEstimator):
    """Many classifiers on bootstrap samples, each without some primary features; their mean is a calibrated probability.

    Parameters
    ----------
    members : int
    dropout : float
        Share of the primary features that are hidden from each member.
    random_state : int
        Seed of the draws.
    operators, rung, dim, n_sis, n_residual, max_complexity, max_features, min_abs, max_abs, unit_rules, criterion, boundary, width
        See `SISSOClassifier`, as for convex, ridge, class_weight, units and threads.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    members_ : list of ClassModel
    oob_probability_ : ndarray (n_samples, n_classes), or None
        Of the samples of `fit`, by members that did not see them and a scaling that other materials gave. No file holds it.
    oob_confusion_ : ndarray (n_classes, n_classes)
        Number of samples of each class (rows) by the class that these probabilities tell (columns).
    calibration_, raw_calibration_ : ClassCalibration
        Of these, and of those that were not scaled: accuracy, log loss, Brier score, reliability.
    fitted_ : ClassMembers

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (120, 3))
    >>> y = rng.uniform(size=120) < 1 / (1 + np.exp(-12 * (X[:, 0] / X[:, 1] - 1)))
    >>> model = SISSOClassifierEnsemble(members=20, rung=1, dim=1, n_sis=5, criterion="likelihood", threads=1).fit(X, y)
    >>> model.calibration_.is_believable
    True
    """

    def __init__(
        self,
        *,
        members=30,
        dropout=0.2,
        random_state=0,
        operators=None,
        rung=2,
        dim=2,
        n_sis=20,
        n_residual=1,
        max_complexity=None,
        max_features=None,
        min_abs=1e-5,
        max_abs=1e5,
        unit_rules="strict",
        criterion="likelihood",
        boundary="logistic",
        width=0.001,
        convex=None,
        ridge=0.01,
        class_weight=None,
        units=None,
        threads=None,
    ):
        self.members = members
        self.dropout = dropout
        self.random_state = random_state
        self.operators = operators
        self.rung = rung
        self.dim = dim
        self.n_sis = n_sis
        self.n_residual = n_residual
        self.max_complexity = max_complexity
        self.max_features = max_features
        self.min_abs = min_abs
        self.max_abs = max_abs
        self.unit_rules = unit_rules
        self.criterion = criterion
        self.boundary = boundary
        self.width = width
        self.convex = convex
        self.ridge = ridge
        self.class_weight = class_weight
        self.units = units
        self.threads = threads

    def fit(self, X, y, sample_weight=None, *, groups=None, progress=None):
        """Find the members.

        Parameters
        ----------
        X, y, sample_weight
            See `SISSOClassifier.fit`.
        groups : array (n_samples,), optional
            Samples with the same one are one material, which is drawn and left out as a whole; see `grouped`.
        progress : callable, optional

        Returns
        -------
        self

        Raises
        ------
        FitError, SettingsError
            See `SISSOClassifier.fit`; also too few materials of a class.
        """
        target = getattr(y, "name", None)
        checked = validate_data(self, X, y, dtype=np.float64)
        X, y = np.asarray(checked[0]), np.asarray(checked[1])
        check_classification_targets(y)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weights = weights * class_factors(self.class_weight, self.classes_, codes, weights)
        named = getattr(self, "feature_names_in_", None)
        headers = [f"x{i}" for i in range(X.shape[1])] if named is None else [str(header) for header in named]
        name = target if isinstance(target, str) and target else "y"
        table = checked_table(headers, X, codes.astype(np.float64), weights, target=name, units=self.units)
        table = table.in_groups(*grouped(X, groups))
        self.fitted_ = fit_members(self.get_params(), table, self.classes_, progress)
        self.primaries_, self.units_ = table.names, table.units
        self.target_name_, self.target_unit_ = table.target, table.target_unit
        return self

    @classmethod
    def fitted(
        cls, members: ClassMembers, settings: Mapping[str, Any], target: str, target_unit: str = ""
    ) -> SISSOClassifierEnsemble:
        """The estimator with these settings that has found these members already, as a model file holds them.

        Parameters
        ----------
        members : ClassMembers
        settings : mapping
            Its parameters, as a file has them.
        target, target_unit : str
        """
        estimator = cls(**estimator_settings(settings))
        estimator.fitted_, estimator.classes_ = members, np.array(members.classes)
        remember_columns(estimator, members.primaries, target, target_unit)
        return estimator

    @property
    def members_(self) -> list[ClassModel]:
        return self.fitted_.models

    @property
    def oob_probability_(self) -> np.ndarray | None:
        return self.fitted_.out_of_bag

    @property
    def oob_confusion_(self) -> np.ndarray:
        return self.fitted_.confusion

    @property
    def calibration_(self) -> ClassCalibration:
        return self.fitted_.calibration

    @property
    def raw_calibration_(self) -> ClassCalibration:
        return self.fitted_.raw

    @property
    def n_features_(self) -> dict[str, int]:
        return self.fitted_.counts.n_features

    @property
    def rejected_(self) -> dict[str, dict[str, int]]:
        return self.fitted_.counts.rejected

    def recurrence(self) -> dict[str, dict[str, float]]:
        """What the members agree on; see `ClassMembers.recurrence`."""
        check_is_fitted(self)
        return self.fitted_.recurrence()

    def predict_distribution(self, X) -> ClassPrediction:
        """Class, probabilities, and how far the members agree.

        Parameters
        ----------
        X : array or DataFrame (n, n_primary), or mapping of str to ndarray (n,)
            A mapping gives each primary feature by its name without unit.
        """
        check_is_fitted(self)
        return self.fitted_.predict(columns_of(self, X))

    def predict_proba(self, X):
        """Calibrated probability of each class: ndarray (n, n_classes); NaN where no member is defined."""
        check_is_fitted(self)
        return self.fitted_.probability(columns_of(self, X))

    def predict(self, X):
        """The most probable class: ndarray (n,); the first one where no member is defined."""
        number = np.nan_to_num(self.predict_proba(X)).argmax(axis=1)
        return self.classes_[number]

    def n_valid(self, X) -> np.ndarray:
        """ndarray (n,) of int: members whose descriptors are defined."""
        return self.predict_distribution(X).n_defined

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The fitted members as plain data, for a model file.

        Parameters
        ----------
        target, target_unit : str
            Name of what they tell, and its unit where the classes are numbers.
        """
        check_is_fitted(self)
        return self.fitted_.document({**self.get_params(), **FIXED}, target, target_unit)
