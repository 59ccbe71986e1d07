"""Low columns as terms: a line that is a model by itself, or the first term of a model of what it leaves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sisso_sal.features.expression import Expression
from sisso_sal.models.baseline import Baseline, Form, baseline_of
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel, Term, fit_statistics


def on_baseline(
    model: SISSOModel,
    baseline: Baseline | None,
    table: TrainingTable,
    columns: Mapping[str, np.ndarray],
    weights: np.ndarray,
) -> SISSOModel:
    """A model of the rest, with what it is the rest of as its first term; the model itself where that is None.

    Parameters
    ----------
    model : SISSOModel
    baseline : Baseline or None
    table : TrainingTable
    columns : mapping of str to ndarray (n_samples,)
    weights : ndarray (n_samples,)
        The range of the term is that of samples of positive weight.
    """
    if baseline is None:
        return model
    return model.on(_term(baseline, table, columns, weights), baseline.intercept)


def _term(baseline: Baseline, table: TrainingTable, columns: Mapping[str, np.ndarray], weights: np.ndarray) -> Term:
    seen = columns[baseline.column][weights > 0]
    expression = Expression.primary(baseline.column, table.primaries[baseline.column])
    return Term(expression, baseline.slope, float(seen.min()), float(seen.max()))


def line_alone(
    form: Form,
    table: TrainingTable,
    columns: Mapping[str, np.ndarray],
    target: np.ndarray,
    weights: np.ndarray,
    fit_intercept: bool,
) -> SISSOModel:
    """A model without any formula: the number with or without an intercept, or a line.

    Parameters
    ----------
    form : Form
        ``difference``: the number and the mean of what it leaves; ``line``.
    table : TrainingTable
    columns : mapping of str to ndarray (n_samples,)
    target, weights : ndarray (n_samples,)
        In the order of the columns.
    fit_intercept : bool
        Without it the number stands as it is, and the line goes through the origin.

    Raises
    ------
    ValueError
        The form is ``feature``.
    """
    baseline = baseline_of(form, columns, target, weights, fit_intercept)
    if baseline is None:
        raise ValueError("form: needs a low column")
    rest = target - baseline.values(columns)
    offset = float(weights / weights.sum() @ rest) if fit_intercept else 0.0
    statistics = fit_statistics(rest - offset, weights)
    return SISSOModel((_term(baseline, table, columns, weights),), baseline.intercept + offset, *statistics)
