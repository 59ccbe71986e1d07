"""Formulas that say the same with and without a fitted scale and shift: of such only one is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sisso_sal.engine.refit import Fit
from sisso_sal.features.expression import Expression

SAME_SHARE, SAME_OF_REST = 1e-9, 1e-3
"""Fits are the same if they differ by less than these shares of the target's variance, or of what they leave over."""


def without_repeats(
    fits: Sequence[Fit], formulas: Mapping[int, Expression], target: np.ndarray, error: Callable[[Fit], float]
) -> list[Fit]:
    """The fits by their errors; of those that say the same, the one with the fewest parameters.

    Fits say the same if their formulas are equal but for scales and shifts, and they fit the same values but for less than a
    thousandth of the sum of squared residuals: ``exp(1.0001*x)`` and ``exp(x)``, and ``exp(x + 0.2)`` too, whose coefficient takes
    the shift over.

    Parameters
    ----------
    fits : sequence of Fit
        Of one problem and one number of terms, best first.
    formulas : mapping of int to Expression
        Of the features by their numbers.
    target : ndarray (n_samples,)
        In its unit.
    error : callable
        What is smaller for a better fit.

    Examples
    --------
    >>> x = Expression.primary("x")
    >>> formulas = {0: Expression.apply("sq", x, parameters=(1.0, 0.0)), 1: Expression.apply("sq", x)}
    >>> fits = [Fit((number,), np.ones(1), 0.0, sse=0.0, residual=np.zeros(3)) for number in (0, 1)]
    >>> [fit.subset for fit in without_repeats(fits, formulas, np.array([1.0, 4.0, 9.0]), lambda fit: fit.sse)]
    [(1,)]
    """
    if not any(_n_parameters(fit, formulas) for fit in fits):
        return list(fits)
    limit = SAME_SHARE * float(np.sum((target - target.mean()) ** 2))
    kept: list[Fit] = []
    places: dict[tuple[str, ...], list[int]] = {}
    for fit in fits:
        alike = places.setdefault(_plain_shape(fit, formulas), [])
        same = (place for place in alike if _apart(fit, kept[place]) < max(limit, SAME_OF_REST * _left(kept[place])))
        if (place := next(same, None)) is None:
            alike.append(len(kept))
            kept.append(fit)
        elif _n_parameters(fit, formulas) < _n_parameters(kept[place], formulas):
            kept[place] = fit
    return sorted(kept, key=error)


def _plain_shape(fit: Fit, formulas: Mapping[int, Expression]) -> tuple[str, ...]:
    """The terms without their parameters."""
    return tuple(sorted(formulas[number].shape.replace("[](", "(") for number in fit.subset))


def _n_parameters(fit: Fit, formulas: Mapping[int, Expression]) -> int:
    return sum(part.parameters is not None for number in fit.subset for part in formulas[number].parts())


def _apart(one: Fit, other: Fit) -> float:
    return float(np.sum((one.residual - other.residual) ** 2))


def _left(fit: Fit) -> float:
    return float(np.sum(fit.residual**2))
