"""SISSO as a scikit-learn regressor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from sisso_sal.models.baseline import Low, wanted_columns
from sisso_sal.models.display import checked_target, regressor_html
from sisso_sal.models.estimators import columns_of, ensemble_table, remember_columns
from sisso_sal.models.formulas import FittedModels, find_formulas, summary
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.trade_off import TradeOff


@final
class SISSORegressor(RegressorMixin, BaseEstimator):
    """Sparse linear models on descriptors built from primary features.

    Parameters
    ----------
    operators : sequence of str, or sequence of sequences of str, optional
        Names from the operator table, of all rungs or of each rung; the default leaves out abs, log, sin and cos.
    rung : int
        Number of times that operators are applied; 0 to 3.
    dim : int
        Number of descriptors in the final model; the models of lower dimension are kept too.
    n_sis : int or sequence of int
        Features added to the subspace per dimension, or in each dimension.
    n_residual : int
        Number of best models whose residuals the next screening sees.
    n_models : int, optional
        Models kept of each dimension, which are then judged by held-out labels as well: `trade_off_` has error against complexity,
        `recommended_` the simplest formula within one standard error of the best. The search is done again without each of ten
        parts of the materials, in the same pass. By default ten models are kept and none is judged.
    max_complexity : int, optional
        Largest number of operators in a descriptor.
    max_features : int, optional
        A space with more features is refused before the search starts; by default one that would be searched for longer than a day.
    min_abs, max_abs : float
        A feature stays if min_abs <= max|f| <= max_abs over the samples.
    fit_intercept : bool
    unit_rules : str
        What units allow: ``strict`` (sums need equal units, exp, log, sin and cos need none), ``sisso`` (exp, log, sin and
        cos take any quantity and give no unit) or ``none`` (units are ignored). Units come from the column names of a
        DataFrame ("EA (eV)") or from `units`.
    criterion : str
        What the best model of each dimension has the least of: ``rmse``, or ``max_abs_error``; all are fits of least squares.
    param_operators : sequence of str
        Operators that also occur with a scale and a shift, ``op(scale * x + shift)``, fitted by least squares: any of abs, inv, sq,
        cb, six_pow, sqrt, cbrt, exp, log, sin and cos; they need not be among `operators`.
    regression : str
        ``linear``, or ``log`` for a product of powers of descriptors: log of the target against log|descriptor|, whose coefficients
        are the exponents. The target must be above 0.
    max_correlation : float
        Of two features of a subspace, and so of a model, whose absolute correlation is larger, only the better ranked one is taken;
        1 for no limit.
    low : sequence of str
        Primary features that estimate the target at low cost, as a universal potential does. Errors of held-out labels choose
        whether formulas are for the target, or for the rest that such a number or a line through it leaves. The number or the line
        alone is the model unless formulas are better by a standard error. See `Low`.
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
    trade_off_ : TradeOff or None
        Errors of held-out labels against complexity; None without `n_models`, or where no label could be held out.
    recommended_ : SISSOModel or None
        The formula that `trade_off_` recommends.
    coef_ : ndarray (dim,)
        Coefficients of `model_`, in the order of its terms, in units of the target over the descriptor.
    intercept_ : float
        Of `model_`, in the target's unit.
    feature_names_in_ : ndarray of str
        Headers of the columns, where they have some, as in scikit-learn.
    n_features_ : dict of str to int
        Features of each rung.
    rejected_ : dict of str to dict of str to int
        Features left out of each rung, by cause.
    n_samples_ : int
        Of positive weight.
    is_complete_ : bool
        False if Ctrl-C ended the search before the largest dimension was done.
    low_ : Low or None
        What low columns are worth; None where there are none.
    choices_ : list of dict
        Errors of each form, see `FittedModels`.
    fitted_ : FittedModels
        All of the above that `fit` or a file gave.
    primaries_, units_ : tuple of str
        Names and units of the columns, in their order.
    target_name_, target_unit_ : str
        From the header of the labels.

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

    def __init__(
        self,
        *,
        operators=None,
        rung=2,
        dim=2,
        n_sis=50,
        n_residual=5,
        n_models=None,
        max_complexity=None,
        max_features=None,
        min_abs=1e-5,
        max_abs=1e5,
        fit_intercept=True,
        unit_rules="strict",
        criterion="rmse",
        param_operators=(),
        regression="linear",
        max_correlation=1.0,
        low=(),
        units=None,
        threads=None,
    ):
        self.operators = operators
        self.rung = rung
        self.dim = dim
        self.n_sis = n_sis
        self.n_residual = n_residual
        self.n_models = n_models
        self.max_complexity = max_complexity
        self.max_features = max_features
        self.min_abs = min_abs
        self.max_abs = max_abs
        self.fit_intercept = fit_intercept
        self.unit_rules = unit_rules
        self.criterion = criterion
        self.param_operators = param_operators
        self.regression = regression
        self.max_correlation = max_correlation
        self.low = low
        self.units = units
        self.threads = threads

    def fit(self, X, y, sample_weight=None, *, groups=None, progress=None):
        """Find the models.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Weight 2 equals a repeated sample, weight 0 one that is not there.
        groups : array (n_samples,), optional
            Text or numbers: samples with the same one are one material, which low columns are judged by holding out as a whole; see
            `grouped`.
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
        table = ensemble_table(self, X, y, sample_weight, groups=groups)
        self.fitted_ = find_formulas(self.get_params(), table, progress)
        self.primaries_, self.units_ = table.names, table.units
        self.target_name_, self.target_unit_ = table.target, table.target_unit
        if not self.is_complete_:
            raise KeyboardInterrupt
        return self

    @classmethod
    def fitted(
        cls, models: FittedModels, settings: Mapping[str, Any], target: str, target_unit: str = ""
    ) -> SISSORegressor:
        """The estimator with these settings that has found these models already, as a model file holds them.

        Parameters
        ----------
        models : FittedModels
        settings : mapping
            Its parameters.
        target, target_unit : str
        """
        estimator = cls(**settings)
        estimator.fitted_ = models
        remember_columns(estimator, models.primaries, target, target_unit)
        return estimator

    @property
    def alternatives_(self) -> list[list[SISSOModel]]:
        return self.fitted_.alternatives

    @property
    def models_(self) -> list[SISSOModel]:
        return self.fitted_.models

    @property
    def model_(self) -> SISSOModel:
        return self.fitted_.model

    @property
    def trade_off_(self) -> TradeOff | None:
        return self.fitted_.trade_off

    @property
    def recommended_(self) -> SISSOModel | None:
        return self.fitted_.recommended

    @property
    def coef_(self) -> np.ndarray:
        return np.array([term.coefficient for term in self.model_.terms])

    @property
    def intercept_(self) -> float:
        return self.model_.intercept

    @property
    def low_(self) -> Low | None:
        return self.fitted_.low

    @property
    def choices_(self) -> list[dict[str, Any]]:
        return self.fitted_.choices

    @property
    def n_features_(self) -> dict[str, int]:
        return self.fitted_.counts.n_features

    @property
    def rejected_(self) -> dict[str, dict[str, int]]:
        return self.fitted_.counts.rejected

    @property
    def n_singular_(self) -> int:
        return self.fitted_.counts.n_singular

    @property
    def n_samples_(self) -> int:
        return self.fitted_.counts.n_samples

    @property
    def is_complete_(self) -> bool:
        return self.fitted_.counts.is_complete

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
        columns = columns_of(self, X)
        return self.fitted_.predict_with_validity(columns)

    @property
    def needed_(self) -> tuple[str, ...]:
        """Primary features without which there is no prediction, sorted: those that `model_` uses."""
        return self.fitted_.needed

    def reasons(self, X) -> np.ndarray:
        """Why predictions are not valid: ndarray (n,) of str, "" where they are; see `Cause`."""
        columns = columns_of(self, X)
        return self.fitted_.reasons(columns)

    def latex(self) -> str:
        """`model_` as one line of LaTeX, with simplified formulas; see `SISSOModel.latex`."""
        return self.model_.latex(self.target_name_)

    def mathml(self) -> str:
        """`model_` as a ``math`` element of MathML, with simplified formulas; see `SISSOModel.mathml`."""
        return self.model_.mathml(self.target_name_)

    def sympy(self) -> Any:
        """`model_` as a sympy expression over real symbols; see `SISSOModel.sympy`."""
        return self.model_.sympy()

    def python(self) -> str:
        """`model_` as the source of a Python function; see `SISSOModel.python`."""
        return self.model_.python()

    def summary(self) -> str:
        """The best model of each dimension with its errors in training, and what is recommended, as text.

        Examples
        --------
        >>> X = np.array([[1.0, 3.0], [2.0, 1.0], [3.0, 5.0], [4.0, 2.0], [5.0, 4.0]])
        >>> said = SISSORegressor(rung=1, dim=1, n_sis=5).fit(X, 2 * X[:, 0] * X[:, 1] - 1).summary()
        >>> print(said.partition(", RMSE")[0], said.partition("y =")[2], sep=":")
        1 term: -1
          + 2 · x0·x1
        """
        check_is_fitted(self)
        return summary(self.fitted_, *checked_target(self.target_name_, self.target_unit_))

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The fitted models as plain data, for a model file.

        Parameters
        ----------
        target, target_unit : str
            Name and unit of what they predict.
        """
        check_is_fitted(self)
        return self.fitted_.document(self.get_params() | {"low": wanted_columns(self.low)}, target, target_unit)

    @property
    def _repr_html_(self) -> Callable[[], str]:
        return self._typeset

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._typeset()}

    def _typeset(self) -> str:
        """For notebooks: a fitted model shows its formulas, another one its settings."""
        if not hasattr(self, "fitted_"):
            return estimator_html_repr(self)
        n_searched = sum(self.n_features_.values())
        target = checked_target(self.target_name_, self.target_unit_)
        return regressor_html(self.models_, self.n_samples_, n_searched, *target)
