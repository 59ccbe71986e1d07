"""SISSO as a scikit-learn regressor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sisso_sal.data.columns import split_header
from sisso_sal.engine.problem import Problem
from sisso_sal.errors import SettingsError
from sisso_sal.features.operators import DEFAULT_OPERATORS
from sisso_sal.features.space import SpaceSettings
from sisso_sal.models.display import checked_target, regressor_html, target_of
from sisso_sal.models.fitting import SearchSettings, fit_problems
from sisso_sal.models.linear import SISSOModel


class SISSOBase(RegressorMixin, BaseEstimator):
    """What the single model and the ensemble share: names and units of columns, settings."""

    _kind: str
    operators: Any
    rung: int
    dim: int
    n_sis: int
    n_residual: int
    max_complexity: int | None
    max_features: int
    min_abs: float
    max_abs: float
    fit_intercept: bool
    use_units: bool
    units: Any
    threads: int | None

    target_name_: str
    target_unit_: str
    n_samples_: int
    n_features_: dict[str, int]
    rejected_: dict[str, dict[str, int]]
    n_singular_: int
    is_complete_: bool

    _n_models = 10

    @property
    def _repr_html_(self) -> Callable[[], str]:
        return self._typeset

    def _typeset(self) -> str:
        """For notebooks: a fitted model shows its formulas, another one its settings."""
        if not hasattr(self, "n_samples_"):
            return estimator_html_repr(self)
        return self._shown(*checked_target(self.target_name_, self.target_unit_))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._typeset()}

    def _shown(self, target: str, target_unit: str) -> str:
        raise TypeError(f"{type(self).__name__} has no models of its own")

    def _models_document(self) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} has no models of its own")

    def _space_settings(self, rung: int | None = None) -> SpaceSettings:
        return SpaceSettings(
            operators=tuple(DEFAULT_OPERATORS if self.operators is None else self.operators),
            rung=self.rung if rung is None else rung,
            max_complexity=self.max_complexity,
            max_features=self.max_features,
            min_abs=self.min_abs,
            max_abs=self.max_abs,
            use_units=self.use_units,
        )

    def _search_settings(self) -> SearchSettings:
        return SearchSettings(
            dim=self.dim,
            n_sis=self.n_sis,
            n_residual=self.n_residual,
            n_models=self._n_models,
            fit_intercept=self.fit_intercept,
            threads=self.threads,
        )

    def _check_training(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, np.ndarray, np.ndarray]:
        target = split_header(target_of(y))
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        headers = getattr(self, "feature_names_in_", None)
        self.target_name_, self.target_unit_ = target
        split = [split_header(str(h)) for h in headers] if headers is not None else []
        self.primaries_ = tuple(name for name, _ in split) or tuple(f"x{i}" for i in range(X.shape[1]))
        self.units_ = self._units([unit for _, unit in split] or [""] * X.shape[1])
        if len(set(self.primaries_)) < len(self.primaries_):
            twice = next(name for name in self.primaries_ if self.primaries_.count(name) > 1)
            raise SettingsError(f"features: needs names that differ, found '{twice}' twice")
        return X, np.asarray(y, dtype=np.float64), weights

    def _units(self, found: Sequence[str]) -> tuple[str, ...]:
        if self.units is None:
            return tuple(found)
        if len(self.units) != len(found):
            raise SettingsError(f"units: needs one for each of {len(found)} features, found {len(self.units)}")
        return tuple(self.units)

    def _columns(self, X) -> Mapping[str, np.ndarray]:
        """Primary features by name; a mapping is taken as it is, so that columns may come in any order."""
        check_is_fitted(self)
        if isinstance(X, Mapping):
            return X
        rows = np.asarray(validate_data(self, X, dtype=np.float64, reset=False))
        return dict(zip(self.primaries_, np.ascontiguousarray(rows.T), strict=True))

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The fitted model as plain data, for a model file.

        It does not depend on the order of rows or columns, or on the number of threads.

        Parameters
        ----------
        target, target_unit : str
            Name and unit of what it predicts.
        """
        check_is_fitted(self)
        primaries = sorted(zip(self.primaries_, self.units_, strict=True))
        settings = {key: value for key, value in self.get_params().items() if key not in {"threads", "units"}}
        return {
            "kind": self._kind,
            "target": {"name": target, "unit": target_unit},
            "primaries": [{"name": name, "unit": unit} for name, unit in primaries],
            "settings": {key: _plain(value) for key, value in settings.items()},
            "n_samples": self.n_samples_,
            "n_features": self.n_features_,
            "rejected": self.rejected_,
            "n_singular": self.n_singular_,
            "complete": self.is_complete_,
            **self._models_document(),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value


class SISSORegressor(SISSOBase):
    """Sparse linear models on descriptors built from primary features.

    Parameters
    ----------
    operators : sequence of str, optional
        Names from the operator table; the default leaves out abs, log, sin and cos.
    rung : int
        Number of times that operators are applied; 0 to 3.
    dim : int
        Number of descriptors in the final model; the models of lower dimension are kept too.
    n_sis : int
        Features added to the subspace per dimension.
    n_residual : int
        Number of best models whose residuals the next screening sees.
    max_complexity : int, optional
        Largest number of operators in a descriptor.
    max_features : int
        A space with more features is refused before the search starts.
    min_abs, max_abs : float
        A feature stays if min_abs <= max|f| <= max_abs over the samples.
    fit_intercept : bool
    use_units : bool
        Whether sums need equal units and so on. Units come from the column names of a DataFrame ("EA (eV)") or from `units`.
    units : sequence of str, optional
        Unit of each column, "" for none; takes the place of those in the column names.
    threads : int, optional
        None for all usable cores; the result does not depend on it.

    Attributes
    ----------
    model_ : SISSOModel
        The best model of the largest dimension.
    models_ : list of SISSOModel
        The best model of each dimension.
    alternatives_ : list of list of SISSOModel
        The best few of each dimension.
    n_features_ : dict of str to int
        Features of each rung.
    rejected_ : dict of str to dict of str to int
        Features left out of each rung, by cause.
    is_complete_ : bool
        False if Ctrl-C ended the search before the largest dimension was done.

    References
    ----------
    Ouyang, Curtarolo, Ahmetcik, Scheffler, Ghiringhelli, Phys. Rev. Mater. 2, 083802 (2018).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (50, 3))
    >>> y = 3 * X[:, 0] * X[:, 1] - 2 / X[:, 2] + 1
    >>> model = SISSORegressor(rung=1, dim=2, n_sis=10).fit(X, y)
    >>> print(model.model_.equation("y"))
    y =  1
      - 2 * (1/x2)
      + 3 * x0*x1
    """

    _kind = "regressor"

    def __init__(
        self,
        *,
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
        self.fit_intercept = fit_intercept
        self.use_units = use_units
        self.units = units
        self.threads = threads

    def fit(self, X, y, sample_weight=None, *, progress=None):
        """Find the models.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
        y : array (n_samples,)
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
            Fewer samples than the dimension needs, a constant target, or no usable feature.
        SettingsError
            A setting is out of range, or the space is too large.
        KeyboardInterrupt
            On Ctrl-C; if there was a model by then, `is_complete_` is False and the model can be used.
        """
        X, y, weights = self._check_training(X, y, sample_weight)

        def one_problem(order, target, weights, names):
            return [Problem(target, weights, np.ones(len(names), dtype=bool))]

        fitted = fit_problems(
            self.primaries_,
            self.units_,
            X,
            y,
            weights,
            one_problem,
            self._space_settings(),
            self._search_settings(),
            progress,
        )
        self.alternatives_: list[list[SISSOModel]] = [models for models in fitted.models[0] if models]
        self.models_: list[SISSOModel] = [models[0] for models in self.alternatives_]
        self.model_: SISSOModel = self.models_[-1]
        self.n_features_ = fitted.n_features
        self.rejected_ = fitted.rejected
        self.n_singular_ = fitted.n_singular
        self.n_samples_ = len(fitted.order)
        self.is_complete_ = fitted.is_complete
        if not fitted.is_complete:
            raise KeyboardInterrupt
        return self

    def predict(self, X):
        """Predictions of `model_`.

        Parameters
        ----------
        X : array or DataFrame (n, n_primary), or mapping of str to ndarray (n,)
            A mapping gives each primary feature by its name without unit.

        Returns
        -------
        ndarray (n,)
            In the target's unit; NaN where a descriptor is undefined.
        """
        prediction, _ = self.predict_with_validity(X)
        return prediction

    def predict_with_validity(self, X):
        """Predictions, and False where a descriptor is undefined or far outside its training range.

        Returns
        -------
        prediction : ndarray (n,)
        valid : ndarray (n,) of bool
        """
        columns = self._columns(X)
        prediction, valid = self.model_.predict(columns)
        return np.where(np.isfinite(prediction), prediction, np.nan), valid

    def _shown(self, target: str, target_unit: str) -> str:
        return regressor_html(self, target, target_unit)

    def _models_document(self) -> dict[str, Any]:
        return {"models": [[model.to_json() for model in models] for models in self.alternatives_]}
