"""An ensemble of SISSO models of several tasks as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sisso_sal.engine.problem import FitObjective
from sisso_sal.models.calibration import Calibration
from sisso_sal.models.estimators import columns_of, ensemble_table, names_of_tasks, remember_columns
from sisso_sal.models.materials import materials_told
from sisso_sal.models.multi_task import check_task_settings
from sisso_sal.models.recipe import EnsembleRecipe, recipe_of
from sisso_sal.models.task_assembly import fit_task_ensemble
from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble, TaskPrediction
from sisso_sal.models.task_ensemble_records import ONE_TASK


def task_recipe(parameters: Mapping[str, Any]) -> EnsembleRecipe:
    """All parameters of a `MultiTaskSISSOEnsemble`, checked.

    Raises
    ------
    SettingsError
        One is out of range.
    """
    check_task_settings({**parameters, "criterion": "rmse"})
    recipe = recipe_of({**parameters, **ONE_TASK})
    objective = FitObjective(
        is_task_equal=parameters["task_weighting"] == "tasks", is_same_sign=parameters["same_sign"]
    )
    return replace(recipe, search=replace(recipe.search, n_scored=0, objective=objective))


@final
class MultiTaskSISSOEnsemble(BaseEstimator):
    """Bootstrapped models of several tasks: each has one descriptor for all tasks, with coefficients of each.

    Tasks share descriptors, rung and number of terms. What the formulas miss is learned from the samples of all tasks; or of each
    task for itself, if that predicts labels that are left out better by more than a standard error. The intervals of a task follow
    from its own errors.

    Parameters
    ----------
    same_sign, task_weighting
        See `MultiTaskSISSO`.
    members, dropout, adapt, aggregation, correction, recalibrate, positive, random_state
        See `SISSOEnsemble`. Materials are drawn with all of their rows in all tasks, those of the same tasks among each other. With
        `adapt` the error that decides is the mean over tasks of their out-of-bag mean absolute errors, each as a share of the mean
        absolute deviation of its labels.
    operators, rung, dim, n_sis, n_residual, max_complexity, max_features, min_abs, max_abs
        See `SISSORegressor`.
    fit_intercept, unit_rules, max_correlation, units, threads
        See `SISSORegressor`.

    Attributes
    ----------
    tasks_ : tuple of str
        Names of the tasks, sorted.
    ensembles_ : dict of str to EnsembleModel
        Members with the coefficients of each task, its correction and calibration.
    chosen_ : dict
        ``rung`` and ``dim`` of the members.
    choices_ : list of dict
        The choices there were, with the ``error`` that decided.
    calibration_ : dict of str to Calibration or None
        Of each task, from its out-of-bag errors.
    rmse_of_mean_ : dict of str to float or None
        RMSE of the mean of the task's other materials, for the same samples.
    oob_mean_, oob_std_ : ndarray (n_samples,)
        Prediction and raw sigma of each sample by what did not see it; NaN where there is none.
    materials_ : dict
        How many materials the samples are of, see `materials_told`.
    fitted_ : FittedTaskEnsemble
        All of the above but the out-of-bag predictions and the materials, as `fit` or a file gave it.
    primaries_, units_ : tuple of str
        Names and units of the columns, in their order.

    References
    ----------
    Ouyang, Ahmetcik, Carbogno, Scheffler, Ghiringhelli, J. Phys. Mater. 2, 024002 (2019) (tasks); Nair, Foppa, Scheffler, npj
    Comput. Mater. (2025), doi 10.1038/s41524-025-01596-4 (ensembles).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (80, 3))
    >>> tasks = np.repeat(["oxides", "sulfides"], 40)
    >>> y = np.where(tasks == "oxides", 3.0, 2.0) * X[:, 0] * X[:, 1] + rng.normal(0, 0.05, 80)
    >>> model = MultiTaskSISSOEnsemble(members=8, rung=1, dim=1, n_sis=5, dropout=0.0, correction="none").fit(X, y, tasks=tasks)
    >>> mean, std = model.predict(X[:2], "oxides", return_std=True)
    >>> bool(np.all(np.abs(mean - y[:2]) < 4 * std)), model.calibration_["sulfides"].rmse < model.rmse_of_mean_["sulfides"]
    (True, True)
    """

    def __init__(
        self,
        *,
        same_sign=False,
        task_weighting="tasks",
        members=30,
        dropout=0.2,
        adapt=True,
        aggregation="mean",
        correction="both",
        recalibrate="isotonic",
        positive="auto",
        operators=None,
        rung=2,
        dim=2,
        n_sis=20,
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
        random_state=0,
    ):
        self.same_sign = same_sign
        self.task_weighting = task_weighting
        self.members = members
        self.dropout = dropout
        self.adapt = adapt
        self.aggregation = aggregation
        self.correction = correction
        self.recalibrate = recalibrate
        self.positive = positive
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
        self.random_state = random_state

    def fit(
        self, X, y, sample_weight=None, *, tasks, composition=None, groups=None, errors=None, progress=None
    ):  # fmt: skip
        """Fit all members in one pass over the feature space per dimension.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
            A material that is known in several tasks has a row for each.
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Multiplies the bootstrap weights. The corrections give all samples of positive weight the same.
        tasks : array (n_samples,)
            Text or numbers that name the task of each sample.
        composition, groups, errors
            See `SISSOEnsemble.fit`: samples of one material are drawn and left out together, whatever their tasks. Rows with equal
            features are one, unless compositions or groups say otherwise.
        progress : callable, optional
            Called with (features done, features in all).

        Returns
        -------
        self

        Raises
        ------
        FitError
            There is one task, or one of which too few samples are left without one of its materials; a constant target; no
            usable feature.
        SettingsError
            A setting is out of range, or the space is too large.
        KeyboardInterrupt
            On Ctrl-C; if there was a model by then it can be used.
        """
        recipe = task_recipe(self.get_params())
        of_samples = {"composition": composition, "groups": groups, "errors": errors, "tasks": tasks}
        table = ensemble_table(self, X, y, sample_weight, **of_samples)
        assembled = fit_task_ensemble(recipe, table, composition, progress=progress)
        self.fitted_, self.oob_mean_, self.oob_std_ = assembled.model, assembled.oob_mean, assembled.oob_std
        self.materials_ = materials_told(table.X, table.groups, table.grouping)
        self.primaries_, self.units_ = table.names, table.units
        self.target_name_, self.target_unit_ = table.target, table.target_unit
        if not self.fitted_.counts.is_complete:
            raise KeyboardInterrupt
        return self

    @classmethod
    def fitted(
        cls, models: FittedTaskEnsemble, settings: Mapping[str, Any], target: str, target_unit: str = ""
    ) -> MultiTaskSISSOEnsemble:
        """The estimator with these settings that is fitted already, as a model file holds it; without out-of-bag predictions."""
        estimator = cls(**settings)
        estimator.fitted_ = models
        remember_columns(estimator, models.primaries, target, target_unit)
        return estimator

    @property
    def tasks_(self) -> tuple[str, ...]:
        return self.fitted_.task_names

    @property
    def ensembles_(self) -> dict[str, Any]:
        return self.fitted_.ensembles

    @property
    def chosen_(self) -> dict[str, Any]:
        return self.fitted_.first.chosen

    @property
    def choices_(self) -> list[dict[str, Any]]:
        return self.fitted_.choices

    @property
    def calibration_(self) -> dict[str, Calibration | None]:
        return {name: one.calibration for name, one in self.fitted_.ensembles.items()}

    @property
    def rmse_of_mean_(self) -> dict[str, float | None]:
        return self.fitted_.rmse_of_mean

    def predict_rows(self, X, tasks, composition=None) -> TaskPrediction:
        """Mean, sigma, interval and validity of rows.

        Parameters
        ----------
        X : array or DataFrame (n, n_primary), or mapping of str to ndarray (n,)
        tasks : array (n,), or text
            The task of each row, or of all.
        composition : array (n, n_elements), optional
            As in `fit`.
        """
        columns = columns_of(self, X)
        n = len(next(iter(columns.values())))
        return self.fitted_.predict(columns, names_of_tasks(tasks, n), composition)

    def predict(self, X, tasks, return_std=False):
        """Mean of the valid members, corrected; with `return_std` the standard deviation to act on.

        Returns
        -------
        mean : ndarray (n,)
            In the unit of the row's task; NaN where fewer than half of the members are valid.
        std : ndarray (n,)
            Only with `return_std`.
        """
        told = self.predict_rows(X, tasks)
        return (told.mean, told.std) if return_std else told.mean

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The fitted ensemble as plain data, for a model file."""
        check_is_fitted(self)
        return self.fitted_.document(self.get_params(), target, target_unit)
