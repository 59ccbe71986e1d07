"""What scikit-learn checks and notes at an estimator: the columns of `fit` and of `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sisso_sal.errors import FitError
from sisso_sal.models.correction import checked_composition
from sisso_sal.models.groups import grouped
from sisso_sal.models.inputs import TrainingTable, checked_table
from sisso_sal.protocols import Space

if TYPE_CHECKING:
    import pandas as pd


def training_table(
    estimator: BaseEstimator, units: Sequence[str] | None, X: Any, y: Any, sample_weight: Any = None
) -> TrainingTable:
    """What `fit` was called with; scikit-learn notes the columns at the estimator, as it does for its own.

    Parameters
    ----------
    estimator : BaseEstimator
    units : sequence of str, optional
        Unit of each column, in the place of those in the headers.
    X : array or DataFrame (n_samples, n_primary)
    y : array or Series (n_samples,)
    sample_weight : array (n_samples,), optional

    Raises
    ------
    ValueError
        Values that are missing or no numbers, shapes that do not fit.
    SettingsError
        There are other columns than units, or two columns of one name.
    UnitError
        The unit of a column cannot be used.
    """
    target = _header_of(y)
    X, y = validate_data(estimator, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=0)
    weights = np.zeros(0)
    if len(X):  # of no samples the fit says how many it needs
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    named = getattr(estimator, "feature_names_in_", None)
    headers = [f"x{i}" for i in range(X.shape[1])] if named is None else [str(header) for header in named]
    labels = np.asarray(y, dtype=np.float64)
    return checked_table(headers, X, labels, weights, target=target, units=units)


def ensemble_table(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    composition: Any = None,
    groups: Any = None,
    errors: Any = None,
    tasks: Any = None,
) -> TrainingTable:
    """`training_table` of an estimator with `units`, and which samples are one material; see `grouped`.

    Parameters
    ----------
    estimator : BaseEstimator
    X, y, sample_weight
        See `training_table`.
    composition : array (n_samples, n_elements), optional
    groups : array (n_samples,), optional
    errors : array (n_samples,), optional
        Standard deviations of the labels, in the target's unit.
    tasks : array (n_samples,), optional
        Names of the samples' tasks, where there are several.

    Raises
    ------
    FitError
        There are other compositions, groups, errors or tasks than samples, or an error is negative or not finite.
    """
    table = training_table(estimator, estimator.units, X, y, sample_weight)  # pyright: ignore[reportAttributeAccessIssue]
    shares = checked_composition(composition, len(table.y))
    numbers, grouping = grouped(table.X, groups, shares, column=_header_of(groups, ""))
    if tasks is not None:
        table = replace(table, tasks=names_of_tasks(tasks, len(table.y)))
    if errors is not None:
        table = table.with_errors(_checked_errors(errors, len(table.y)))
    return table.in_groups(numbers, grouping)


def _checked_errors(errors: Any, n: int) -> np.ndarray:
    values = np.asarray(errors, dtype=np.float64)
    if values.shape != (n,) or not (np.isfinite(values).all() and (values >= 0).all()):
        raise FitError(
            f"errors: needs {n} finite numbers of at least 0, found an array of shape {values.shape} that is none"
        )
    return values


def remember_columns(estimator: Any, units: Mapping[str, str], target: str, target_unit: str) -> None:
    """Note the columns at an estimator that was not fitted but read from a file: sorted by name.

    Parameters
    ----------
    estimator : SISSORegressor or SISSOEnsemble
    units : mapping of str to str
        Unit of each primary feature, in the order of the names.
    target, target_unit : str
    """
    estimator.primaries_, estimator.units_ = tuple(units), tuple(units.values())
    headers = [f"{name} ({unit})" if unit else name for name, unit in units.items()]
    estimator.feature_names_in_ = np.array(headers, dtype=object)
    estimator.n_features_in_ = len(headers)
    estimator.target_name_, estimator.target_unit_ = target, target_unit


def columns_of(estimator: Any, X: Any) -> Mapping[str, np.ndarray]:
    """Primary features by name for a fitted estimator; a mapping is taken as it is, so that columns may come in any order.

    Raises
    ------
    NotFittedError
        The estimator is not fitted.
    ValueError
        Other columns than in `fit`, or values that are missing or no numbers.
    """
    check_is_fitted(estimator)
    if isinstance(X, Mapping):
        return X
    rows = np.asarray(validate_data(estimator, X, dtype=np.float64, reset=False))
    return dict(zip(estimator.primaries_, np.ascontiguousarray(rows.T), strict=True))


def names_of_tasks(tasks: Any, n: int) -> np.ndarray:
    """ndarray (n,) of str; one name or number stands for all rows.

    Raises
    ------
    FitError
        There are other names than rows, or an empty one.
    """
    names = np.array([str(task) for task in ([tasks] * n if np.ndim(tasks) == 0 else tasks)], dtype=object)
    if len(names) != n:
        raise FitError(f"tasks: needs a name for each of {n} samples, found {len(names)}")
    if not all(names):
        raise FitError(
            f"tasks: needs a name for each sample, found none for sample {int(np.flatnonzero(names == '')[0]) + 1}"
        )
    return names.astype(str)


def _header_of(y: object, otherwise: str = "y") -> str:
    """The name of a pandas Series, else another one."""
    name = getattr(y, "name", None)
    return str(name) if isinstance(name, str | np.str_) and name else otherwise


def frame_of(space: Space, numbers: np.ndarray | None = None) -> pd.DataFrame:
    """The primary features of candidates under their headers, as estimators take them; by default of all."""
    import pandas as pd

    columns = space.rows(numbers).features
    return pd.DataFrame({feature.header: columns[feature.name] for feature in space.features})
