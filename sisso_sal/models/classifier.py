"""SISSO as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sisso_sal.errors import SettingsError
from sisso_sal.models.class_formulas import FIXED, FittedClasses, estimator_settings, find_classes
from sisso_sal.models.class_model import ClassModel
from sisso_sal.models.estimators import columns_of, remember_columns
from sisso_sal.models.inputs import checked_table


@final
class SISSOClassifier(ClassifierMixin, BaseEstimator):
    """Classes told by a few descriptors built from primary features.

    Parameters
    ----------
    operators : sequence of str, or sequence of sequences of str, optional
        See `SISSORegressor`, as for all parameters of the space.
    rung, dim : int
    n_sis : int or sequence of int
    n_residual : int
        Number of best models whose errors the next screening sees; the criterion ``overlap`` sees those of the best.
    max_complexity, max_features : int, optional
    min_abs, max_abs : float
    unit_rules : str
    criterion : str
        What makes descriptors good. ``accuracy``: fewest samples on the wrong side of a threshold or linear boundary;
        ``likelihood``: largest likelihood of the logistic regression on them; ``overlap``: SISSO's own, fewest samples in the
        overlap of the convex domains of the classes, then the smallest overlap.
    boundary : str
        How the boundary in the space of the chosen descriptors is found: ``logistic`` regression or ``svc``, a linear support
        vector classifier. With the criterion ``accuracy`` and two classes it is then moved to where it tells most samples.
    width : float
        Distance from a domain up to which a sample counts as inside, in units of the descriptors.
    convex : sequence, optional
        Classes whose samples make a convex domain; by default all do.
    ridge : float
        Weight of half the squared coefficients of standardised descriptors in the logistic regression.
    class_weight : dict, "balanced" or None
        Factors of the sample weights of each class; ``balanced`` gives each class the same weight.
    units : sequence of str, optional
    threads : int, optional

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    model_ : ClassModel
        The best model of the largest dimension.
    models_ : list of ClassModel
        The best model of each dimension; there are no more once no sample is told wrongly, or is in the overlap.
    alternatives_ : list of list of ClassModel
        The best few of each dimension.
    n_features_ : dict of str to int
        Features of each rung.
    rejected_ : dict of str to dict of str to int
        Features left out of each rung, by cause.
    fitted_ : FittedClasses
        All of the above that `fit` or a file gave.

    References
    ----------
    Ouyang, Curtarolo, Ahmetcik, Scheffler, Ghiringhelli, Phys. Rev. Mater. 2, 083802 (2018).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (60, 3))
    >>> y = np.where(X[:, 0] > X[:, 1] * X[:, 2] / 1.5, "metal", "insulator")
    >>> model = SISSOClassifier(rung=2, dim=1, n_sis=10).fit(X, y)
    >>> print(model.model_.expressions[0], float(model.score(X, y)))
    (x0/x1)/x2 1.0
    """

    def __init__(
        self,
        *,
        operators=None,
        rung=2,
        dim=2,
        n_sis=50,
        n_residual=5,
        max_complexity=None,
        max_features=None,
        min_abs=1e-5,
        max_abs=1e5,
        unit_rules="strict",
        criterion="accuracy",
        boundary="logistic",
        width=0.001,
        convex=None,
        ridge=0.01,
        class_weight=None,
        units=None,
        threads=None,
    ):
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

    def fit(self, X, y, sample_weight=None, *, progress=None):
        """Find the models.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
        y : array (n_samples,)
            Classes: text, whole numbers or truth values.
        sample_weight : array (n_samples,), optional
            Weight 2 equals a repeated sample, weight 0 one that is not there.
        progress : callable, optional
            Called with (features done, features in all).

        Returns
        -------
        self

        Raises
        ------
        FitError
            Fewer than two classes, fewer samples than the dimension needs, or no usable feature.
        SettingsError
            A setting is out of range, or the space is too large.
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
        self.fitted_ = find_classes(self.get_params(), table, self.classes_, progress)
        self.primaries_, self.units_ = table.names, table.units
        self.target_name_, self.target_unit_ = table.target, table.target_unit
        return self

    @classmethod
    def fitted(
        cls, models: FittedClasses, settings: Mapping[str, Any], target: str, target_unit: str = ""
    ) -> SISSOClassifier:
        """The estimator with these settings that has found these models already, as a model file holds them.

        Parameters
        ----------
        models : FittedClasses
        settings : mapping
            Its parameters, as a file has them.
        target, target_unit : str
        """
        estimator = cls(**estimator_settings(settings))
        estimator.fitted_, estimator.classes_ = models, np.array(models.classes)
        remember_columns(estimator, models.primaries, target, target_unit)
        return estimator

    @property
    def alternatives_(self) -> list[list[ClassModel]]:
        return self.fitted_.alternatives

    @property
    def models_(self) -> list[ClassModel]:
        return self.fitted_.models

    @property
    def model_(self) -> ClassModel:
        return self.fitted_.model

    @property
    def n_features_(self) -> dict[str, int]:
        return self.fitted_.counts.n_features

    @property
    def rejected_(self) -> dict[str, dict[str, int]]:
        return self.fitted_.counts.rejected

    def decision_function(self, X):
        """Log-odds of the second of two classes, (n,), or of each of several against all others, (n, n_classes).

        Parameters
        ----------
        X : array or DataFrame (n, n_primary), or mapping of str to ndarray (n,)
            A mapping gives each primary feature by its name without unit.
        """
        check_is_fitted(self)
        log_odds = self.model_.log_odds(columns_of(self, X))
        return log_odds[:, 0] if log_odds.shape[1] == 1 else log_odds

    def predict_proba(self, X):
        """Probability of each class: ndarray (n, n_classes); NaN where a descriptor is undefined."""
        check_is_fitted(self)
        return self.model_.probability(columns_of(self, X))

    def predict(self, X):
        """The most probable class: ndarray (n,); the largest class of training where a descriptor is undefined."""
        check_is_fitted(self)
        return self.classes_[self.model_.predict(columns_of(self, X))]

    def predict_with_validity(self, X):
        """Classes, and False where a descriptor is undefined or far outside its training range.

        Returns
        -------
        prediction : ndarray (n,)
        valid : ndarray (n,) of bool
        """
        check_is_fitted(self)
        columns = columns_of(self, X)
        return self.classes_[self.model_.predict(columns)], self.model_.cause(columns) == 0

    def reasons(self, X) -> np.ndarray:
        """Why predictions are not valid: ndarray (n,) of str, "" where they are; see `Cause`."""
        check_is_fitted(self)
        return self.model_.reasons(columns_of(self, X))

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The fitted models as plain data, for a model file.

        Parameters
        ----------
        target, target_unit : str
            Name of what they tell, and its unit where the classes are numbers.
        """
        check_is_fitted(self)
        return self.fitted_.document({**self.get_params(), **FIXED}, target, target_unit)


CLASS_SETTINGS: dict[str, Any] = {
    "criterion": "accuracy", "boundary": "logistic", "width": 0.001, "convex": None, "ridge": 0.01, "class_weight": None,
}  # fmt: skip
"""Parameters that a regressor has not, with their defaults."""


def class_factors(class_weight: Any, classes: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What each sample's weight is multiplied by.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
    classes : ndarray (n_classes,)
    codes : ndarray (n_samples,) of int
        Number of the class of each sample.
    weights : ndarray (n_samples,)

    Returns
    -------
    ndarray (n_samples,)

    Raises
    ------
    SettingsError
        Another word.

    Examples
    --------
    >>> class_factors("balanced", np.array(["no", "yes"]), np.array([0, 0, 0, 1]), np.ones(4)).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    if class_weight is None:
        return np.ones(len(codes))
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise SettingsError(f"class_weight: needs 'balanced' or a weight for each class, found {class_weight!r}")
        totals = np.bincount(codes, weights, len(classes))
        factors = np.where(totals > 0, weights.sum() / (len(classes) * np.where(totals > 0, totals, 1.0)), 0.0)
        return factors[codes]
    factors = np.asarray(compute_class_weight(dict(class_weight), classes=classes, y=classes[codes]))
    return factors[codes]
