"""The choice of primary features as a scikit-learn transformer."""

from __future__ import annotations

from typing import final

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted

from sisso_sal.models.estimators import training_table
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.models.variables import SelectionSettings, select_variables


@final
class VariableSelector(SelectorMixin, BaseEstimator):
    """Choose primary features before formulas are searched for, as a step of a scikit-learn pipeline.

    In a pipeline the choice is repeated in each fold of a cross-validation, so that its errors are those of labels not seen.

    Parameters
    ----------
    n_select : int
        Primary features that are kept.
    by : str
        ``pairs`` or ``subsets``, see `SelectionSettings`.
    rounds, patience, random_state : int
        Of ``subsets``.
    regressor : SISSORegressor, optional
        Whose settings the search has; by default one with its default settings.

    Attributes
    ----------
    selected_ : Selected

    References
    ----------
    Guo, Hu, Han, Ouyang, J. Chem. Theory Comput. 18, 4945 (2022).

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sisso_sal.models.regressor import SISSORegressor
    >>> X = np.random.default_rng(0).uniform(1, 2, (60, 8))
    >>> formulas = SISSORegressor(rung=1, dim=1, operators=("mult", "div"))
    >>> model = make_pipeline(VariableSelector(n_select=4, regressor=formulas), formulas).fit(X, X[:, 3] / X[:, 7])
    >>> model[0].selected_.names[:2]
    ('x3', 'x7')
    """

    def __init__(self, *, n_select=16, by="pairs", rounds=100, patience=20, random_state=0, regressor=None):
        self.n_select = n_select
        self.by = by
        self.rounds = rounds
        self.patience = patience
        self.random_state = random_state
        self.regressor = regressor

    def fit(self, X, y, sample_weight=None):
        """Choose.

        Parameters
        ----------
        X : array or DataFrame (n_samples, n_primary)
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional

        Raises
        ------
        FitError, SettingsError
            See `SISSORegressor.fit`.
        """
        regressor = SISSORegressor() if self.regressor is None else self.regressor
        settings = SelectionSettings(
            number=self.n_select, by=self.by, rounds=self.rounds, patience=self.patience, seed=self.random_state
        )
        table = training_table(self, regressor.units, X, y, sample_weight)
        self.selected_ = select_variables(regressor.get_params(), table, settings)
        self.is_selected_ = np.isin(table.names, self.selected_.names)
        return self

    def _get_support_mask(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        check_is_fitted(self)
        return self.is_selected_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
