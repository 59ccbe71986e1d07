"""An ensemble of SISSO models: bootstrap samples times dropout of primary features, all found in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from sisso_sal.models.assembly import fit_ensemble
from sisso_sal.models.baseline import Low, wanted_columns
from sisso_sal.models.calibration import Calibration
from sisso_sal.models.correction import Correction
from sisso_sal.models.display import checked_target, ensemble_html
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.estimators import columns_of, ensemble_table, remember_columns
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.materials import materials_told
from sisso_sal.models.posterior import Certainty
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.models.recipe import EnsembleRecipe, recipe_of
from sisso_sal.models.trade_off import simplest_choice
from sisso_sal.protocols import Prediction


@final
class SISSOEnsemble(RegressorMixin, BaseEstimator):
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
        ``none``, ``scale`` or ``isotonic``: how `Prediction.distribution` follows from the raw sigma and the out-of-bag errors, see
        `Recalibration`.
    positive : str
        Whether the target is never below zero: ``yes``, ``no``, or ``auto``, where twelve labels or more are not. What is predicted
        then has no part below zero.
    max_correlation : float
        See `SISSORegressor`.
    low : sequence of str
        Primary features that estimate the target at low cost, as a universal potential does. No member does without them.
        Out-of-bag errors choose whether formulas are for the target, or for the rest that such a number or a line through it
        leaves. The number or the line alone is the model unless formulas are better by a standard error. See `Low`.
    random_state : int
        Seed; each member draws from a stream of its own.
    operators, rung, dim, n_sis, n_residual, max_complexity, max_features, min_abs, max_abs
        See `SISSORegressor`.
    fit_intercept, unit_rules, param_operators, units, threads
        See `SISSORegressor`.

    Attributes
    ----------
    members_ : list of SISSOModel
    dropped_ : list of tuple of str
        Primary features that each member had to do without.
    chosen_ : dict
        ``rung`` and ``dim`` of the members; ``form`` and ``column``, what they are formulas for, see `Form`.
    choices_ : list of dict
        The same, and the out-of-bag ``mae``, its standard error ``mae_error``, and ``rmse`` of each choice there was, in the
        target's unit. The members are those of the least ``mae``.
    recommended_ : dict or None
        Of these the one with the fewest terms, then the lowest rung, whose error is within one standard error of the least: the
        simplest formulas that the labels cannot tell from the best. For an ensemble of them set `rung`, `dim` and ``adapt=False``.
    correction_ : Correction or None
    oob_mean_, oob_std_ : ndarray (n_samples,)
        Prediction and raw sigma of each sample by what did not see it; NaN where fewer than two valid members did not, or where
        the corrected prediction of a transformed target has no inverse.
    calibration_, recalibration_ : Calibration, Recalibration or None
        From the out-of-bag errors; None where there are none.
    formula_calibration_ : Calibration or None
        That of the formulas alone, without correction.
    materials_ : dict
        How many materials the samples are of, see `materials_told`.
    low_ : Low or None
        What low columns are worth; None where there are none.
    certain_ : Certainty
        How probable descriptors and primary features are over all models that were scored.
    model_ : EnsembleModel
        All of the above but the out-of-bag predictions and the materials, as `fit` or a file gave it.
    n_features_, rejected_, n_samples_, is_complete_, primaries_, units_, target_name_, target_unit_
        See `SISSORegressor`.

    References
    ----------
    Nair, Foppa, Scheffler, npj Comput. Mater. (2025), doi 10.1038/s41524-025-01596-4.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (60, 4))
    >>> y = 3 * X[:, 0] * X[:, 1] + rng.normal(0, 0.05, 60)
    >>> ensemble = SISSOEnsemble(members=8, rung=1, dim=1, n_sis=5, dropout=0.0).fit(X, y)
    >>> mean, std = ensemble.predict(X[:2], return_std=True)
    >>> bool(np.all(np.abs(mean - y[:2]) < 4 * std))
    True
    """

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
        positive="auto",
        max_correlation=1.0,
        low=(),
        operators=None,
        rung=2,
        dim=3,
        n_sis=20,
        n_residual=5,
        max_complexity=None,
        max_features=None,
        min_abs=1e-5,
        max_abs=1e5,
        fit_intercept=True,
        unit_rules="strict",
        param_operators=(),
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
        self.positive = positive
        self.max_correlation = max_correlation
        self.low = low
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
        self.param_operators = param_operators
        self.units = units
        self.threads = threads
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, *, composition=None, groups=None, errors=None, earlier=None, progress=None):
        """Fit all members in one pass over the feature space per dimension.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Multiplies the bootstrap weights. The correction gives all samples of positive weight the same.
        composition : array (n_samples, n_elements), optional
            Share of each element, for the correction; see `atomic_fractions`. Samples of equal composition are one material.
        groups : array (n_samples,), optional
            Text or numbers: samples with the same one are one material, which is drawn and left out as a whole; a sample without
            one (None, "", NaN) is a material of its own. By default compositions decide, or else features; see `grouped`.
        errors : array (n_samples,), optional
            Standard deviations of the labels, in the target's unit; 0 where a label has none. Such a label counts less in the
            formulas, and its error adds to the noise of every learner.
        earlier : mapping, optional
            The `handover_` of a fit on fewer labels, which saves most of the time of the correction's processes; see `Correction`.
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
        recipe = self.recipe()
        table = ensemble_table(self, X, y, sample_weight, composition=composition, groups=groups, errors=errors)
        assembled = fit_ensemble(recipe, table, composition, earlier=earlier, progress=progress)
        self.model_, self.oob_mean_, self.oob_std_ = assembled.model, assembled.oob_mean, assembled.oob_std
        self.materials_ = materials_told(table.X, table.groups, table.grouping)
        self.primaries_, self.units_ = table.names, table.units
        self.target_name_, self.target_unit_ = table.target, table.target_unit
        if not self.is_complete_:
            raise KeyboardInterrupt
        return self

    def recipe(self) -> EnsembleRecipe:
        """All settings, checked.

        Raises
        ------
        SettingsError
            One is out of range.
        """
        return recipe_of(self.get_params())

    @classmethod
    def fitted(
        cls, model: EnsembleModel, settings: Mapping[str, Any], target: str, target_unit: str = ""
    ) -> SISSOEnsemble:
        """The estimator with these settings that is fitted already, as a model file holds it; without out-of-bag predictions.

        Parameters
        ----------
        model : EnsembleModel
        settings : mapping
            Its parameters.
        target, target_unit : str
        """
        estimator = cls(**settings)
        estimator.model_ = model
        remember_columns(estimator, model.primaries, target, target_unit)
        return estimator

    @property
    def members_(self) -> list[SISSOModel]:
        return list(self.model_.members)

    @property
    def dropped_(self) -> list[tuple[str, ...]]:
        return list(self.model_.dropped)

    @property
    def chosen_(self) -> dict[str, Any]:
        return self.model_.chosen

    @property
    def choices_(self) -> list[dict[str, Any]]:
        return self.model_.choices

    @property
    def recommended_(self) -> dict[str, Any] | None:
        return simplest_choice(self.model_.choices)

    @property
    def correction_(self) -> Correction | None:
        return self.model_.correction

    @property
    def handover_(self) -> dict[str, Any] | None:
        """What a fit on more labels may begin from, as plain data; see `Correction`."""
        return self.correction_.handover if self.correction_ else None

    @property
    def calibration_(self) -> Calibration | None:
        return self.model_.calibration

    @property
    def formula_calibration_(self) -> Calibration | None:
        return self.model_.formula_calibration

    @property
    def recalibration_(self) -> Recalibration | None:
        return self.model_.recalibration

    @property
    def certain_(self) -> Certainty | None:
        return self.model_.certain

    @property
    def low_(self) -> Low | None:
        return self.model_.low

    @property
    def n_features_(self) -> dict[str, int]:
        return self.model_.counts.n_features

    @property
    def rejected_(self) -> dict[str, dict[str, int]]:
        return self.model_.counts.rejected

    @property
    def n_singular_(self) -> int:
        return self.model_.counts.n_singular

    @property
    def n_samples_(self) -> int:
        return self.model_.counts.n_samples

    @property
    def is_complete_(self) -> bool:
        return self.model_.counts.is_complete

    @property
    def needed_(self) -> tuple[str, ...]:
        """Primary features without which there is no prediction; see `EnsembleModel.needed`."""
        return self.model_.needed

    def predict_distribution(self, X, composition=None) -> Prediction:
        """Mean, spread, every member's prediction and its validity; see `EnsembleModel.predict_distribution`.

        Parameters
        ----------
        X : array or DataFrame (n, n_primary), or mapping of str to ndarray (n,)
        composition : array (n, n_elements), optional
            As in `fit`.
        """
        columns = columns_of(self, X)
        return self.model_.predict_distribution(columns, composition)

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
        """The members closest to the members' median over `X`; see `EnsembleModel.typical_members`."""
        return self.model_.typical_members(columns_of(self, X), count)

    def recurrence(self) -> dict[str, dict[str, float]]:
        """What the members agree on; see `EnsembleModel.recurrence`."""
        return self.model_.recurrence()

    def describe(self, X, target: str, target_unit: str = "") -> dict[str, Any]:
        """What a report says of the fit; see `EnsembleModel.describe`, and after `fit` also `materials_`."""
        materials = {"materials": self.materials_} if hasattr(self, "materials_") else {}
        return self.model_.describe(columns_of(self, X), target, target_unit) | materials

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The fitted ensemble as plain data, for a model file.

        Parameters
        ----------
        target, target_unit : str
            Name and unit of what it predicts.
        """
        check_is_fitted(self)
        return self.model_.document(self.get_params() | {"low": wanted_columns(self.low)}, target, target_unit)

    @property
    def _repr_html_(self) -> Callable[[], str]:
        return self._typeset

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._typeset()}

    def _typeset(self) -> str:
        """For notebooks: a fitted ensemble shows its formulas, another one its settings."""
        if not hasattr(self, "model_"):
            return estimator_html_repr(self)
        return ensemble_html(self.model_, *checked_target(self.target_name_, self.target_unit_))
