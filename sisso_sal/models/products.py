"""Log regression: the target as a product of powers of features, c * d1^a1 * d2^a2.

The logarithm of the target is a sum of logarithms of the features' absolute values, log c + a1 log|d1| + a2 log|d2|; the exponents
are its coefficients. Screening, L0 and the ranking of models are those of this sum; errors that are told are the target's
(T. A. R. Purcell et al., J. Open Source Softw. 7, 3960 (2022), for log regression in SISSO++).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.transform import TargetTransform

REGRESSIONS = ("linear", "log")
"""Kinds of regression by name."""

ANY_LOG = TargetTransform("log", low=-700.0, high=700.0)
"""The logarithm of any positive target that a double can hold."""


def logged(table: TrainingTable) -> TrainingTable:
    """The table with the logarithm of its target, without unit.

    Raises
    ------
    FitError
        A target is not positive.

    Examples
    --------
    >>> from sisso_sal.models.inputs import checked_table
    >>> table = checked_table(["a"], np.ones((2, 1)), np.array([1.0, np.e]), np.ones(2), target="y (eV)")
    >>> logged(table).y
    array([0., 1.])
    """
    bad = np.flatnonzero((table.y <= 0) & (table.weights > 0))
    if len(bad):
        raise FitError(
            f"target: regression log needs numbers above 0, found {table.y[bad[0]]:g} in sample {bad[0]} (from 0)"
        )
    with np.errstate(all="ignore"):
        logs = np.where(table.weights > 0, np.log(np.abs(table.y)), 0.0)
    return replace(table, y=logs, target_unit="")


def check_regression(kind: str, low: Sequence[str]) -> None:
    """Refuse a kind that is none, and low columns beside products, which are no rest of a sum.

    Raises
    ------
    SettingsError
    """
    if kind not in REGRESSIONS:
        raise SettingsError(f"regression: needs one of {', '.join(REGRESSIONS)}, found '{kind}'")
    if kind == "log" and low:
        raise SettingsError(f"low: needs regression linear, found log (and the column {low[0]})")


def as_product(model: SISSOModel, table: TrainingTable) -> SISSOModel:
    """The sum of logarithms that was found, read as a product; errors in the unit of the target of the table."""
    product = replace(model, is_product=True)
    return product.linked(ANY_LOG, table.columns(), table.y, table.weights)
