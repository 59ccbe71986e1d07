"""SISSO for several tasks as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sisso_sal.errors import SettingsError
from sisso_sal.models.estimators import columns_of, ensemble_table, names_of_tasks, remember_columns
from sisso_sal.models.formulas import CRITERIA
from sisso_sal.models.task_model import TaskModel
from sisso_sal.models.task_models import WEIGHTINGS, FittedTasks, find_task_formulas
from sisso_sal.models.trade_off import TradeOff


@final
class MultiTaskSISSO(BaseEstimator):
    """One descriptor for several tasks, with coefficients of each task.

    Tasks share a law whose coefficients differ: families of materials, levels of theory, properties. Tasks with few samples borrow
    the descriptor from those with many.

    Parameters
    ----------
    same_sign : bool
        Whether the signs of all coefficients agree over tasks; a coefficient may be 0.
    task_weighting : str
        ``tasks``: each task counts alike, by the mean square of its residuals; ``samples``: each sample does. Features are screened
        by samples in both cases, as SISSO 3.5 does.
    criterion : str
        What the best model of each dimension has the least of: ``rmse``, or ``max_abs_error``; all are fits of least squares.
    n_models : int, optional
        Models of each dimension; with it also the recommended one is found, by labels that are held out. By default ten, and none
        is recommended.
    operators, rung, dim, n_sis, n_residual, max_complexity, max_features, min_abs, max_abs
        See `SISSORegressor`.
    fit_intercept, unit_rules, max_correlation, units, threads
        See `SISSORegressor`; each task has its own intercept.

    Attributes
    ----------
    model_ : TaskModel
        The best model of the largest dimension.
    models_ : list of TaskModel
        The best model of each dimension.
    tasks_ : tuple of str
        Names of the tasks, sorted.
    recommended_ : TaskModel or None
        The simplest model that is not worse by more than a standard error, where `n_models` is given; see `TradeOff`.
    trade_off_ : TradeOff or None
        Errors of held-out labels against complexity.
    fitted_ : FittedTasks
        All that `fit` or a file gave.
    primaries_, units_ : tuple of str
        Names and units of the columns, in their order.

    References
    ----------
    Ouyang, Ahmetcik, Carbogno, Scheffler, Ghiringhelli, J. Phys. Mater. 2, 024002 (2019).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (40, 3))
    >>> tasks = np.repeat(["oxides", "sulfides"], 20)
    >>> y = np.where(tasks == "oxides", 3.0, 2.0) * X[:, 0] * X[:, 1] + 1
    >>> model = MultiTaskSISSO(rung=1, dim=1, n_sis=10).fit(X, y, tasks=tasks)
    >>> str(model.model_.descriptors[0]), model.model_.tasks["sulfides"].terms[0].coefficient.__round__(6)
    ('x0*x1', 2.0)
    """

    def __init__(
        self,
        *,
        same_sign=False,
        task_weighting="tasks",
        criterion="rmse",
        n_models=None,
        operators=None,
        rung=2,
        dim=2,
        n_sis=50,
        n_residual=5,
        max_complexity=None,
        max_features=None,
        min_abs=1e-5,
        max_abs=1e5,
        fit_intercept=True,
        unit_rules="strict",
        max_correlation=1.0,
        units=None,
        threads=None,
    ):
        self.same_sign = same_sign
        self.task_weighting = task_weighting
        self.criterion = criterion
        self.n_models = n_models
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
        self.unit_rules = unit_rules
        self.max_correlation = max_correlation
        self.units = units
        self.threads = threads

    def fit(self, X, y, sample_weight=None, *, tasks, groups=None, progress=None):
        """Find the models.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Weight 2 equals a repeated sample, weight 0 one that is not there.
        tasks : array (n_samples,)
            Text or numbers that name the task of each sample.
        groups : array (n_samples,), optional
            Samples with the same one are one material, which is held out as a whole; see `grouped`.
        progress : callable, optional
            Called with (features done, features in all).

        Returns
        -------
        self

        Raises
        ------
        FitError
            There is one task, a task with fewer samples than the dimension needs, a constant target, or no usable feature.
        SettingsError
            A setting is out of range, or the space is too large.
        KeyboardInterrupt
            On Ctrl-C; if there was a model by then it can be used.
        """
        check_task_settings(self.get_params())
        table = ensemble_table(self, X, y, sample_weight, groups=groups, tasks=tasks)
        self.fitted_ = find_task_formulas(self.get_params(), table, progress=progress)
        self.primaries_, self.units_ = table.names, table.units
        self.target_name_, self.target_unit_ = table.target, table.target_unit
        if not self.fitted_.counts.is_complete:
            raise KeyboardInterrupt
        return self

    @classmethod
    def fitted(
        cls, models: FittedTasks, settings: Mapping[str, Any], target: str, target_unit: str = ""
    ) -> MultiTaskSISSO:
        """The estimator with these settings that has found these models already, as a model file holds them."""
        estimator = cls(**settings)
        estimator.fitted_ = models
        remember_columns(estimator, models.primaries, target, target_unit)
        return estimator

    @property
    def model_(self) -> TaskModel:
        return self.fitted_.model

    @property
    def models_(self) -> list[TaskModel]:
        return self.fitted_.models

    @property
    def recommended_(self) -> TaskModel | None:
        return self.fitted_.recommended

    @property
    def trade_off_(self) -> TradeOff | None:
        return self.fitted_.trade_off

    @property
    def tasks_(self) -> tuple[str, ...]:
        return self.fitted_.task_names

    def predict(self, X, tasks):
        """Predictions of `model_`.

        Parameters
        ----------
        X : array or DataFrame (n, n_primary), or mapping of str to ndarray (n,)
        tasks : array (n,), or text
            The task of each row, or of all.

        Returns
        -------
        ndarray (n,)
            In the unit of the task's target; NaN where a descriptor is undefined.
        """
        columns = columns_of(self, X)
        n = len(next(iter(columns.values())))
        return self.fitted_.predict_with_validity(columns, names_of_tasks(tasks, n))[0]

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The fitted models as plain data, for a model file."""
        check_is_fitted(self)
        return self.fitted_.document(self.get_params(), target, target_unit)


def check_task_settings(parameters: Mapping[str, Any]) -> None:
    """Refuse values of the parameters that only `MultiTaskSISSO` has.

    Raises
    ------
    SettingsError
        One is unknown, or two do not go together.
    """
    for name, known in (("task_weighting", WEIGHTINGS), ("criterion", CRITERIA)):
        if parameters[name] not in known:
            raise SettingsError(f"{name}: needs {' or '.join(known)}, found {parameters[name]!r}")
    if parameters["same_sign"] and parameters["criterion"] != "rmse":
        raise SettingsError("same_sign: needs the criterion rmse, found max_abs_error")
