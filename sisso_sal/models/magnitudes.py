"""Numbers whose squares leave double precision, or whose digits do not suffice: named before a fit goes wrong for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from sisso_sal.data.columns import LARGEST
from sisso_sal.errors import FitError
from sisso_sal.features.stored import SAME_VALUE

SMALLEST = 1 / LARGEST
"""Labels must differ by this, and a feature be as large: the square of less is no number of full precision."""

DIGITS = 64 * np.finfo(float).eps
"""Share of a number below which differences are little more than rounding."""

logger = logging.getLogger(__name__)


def check_labels(target: str, labels: np.ndarray) -> None:
    """Refuse labels that cannot be fitted in double precision, and name the cause.

    Labels that are all equal are left to the fit, which says so.

    Parameters
    ----------
    target : str
        Its name, for the message.
    labels : ndarray (n,)
        Finite; as the formulas learn them.

    Raises
    ------
    FitError
        A label is too large, all differ by too little, or one lies so far away that the others cannot be told apart beside it.

    Examples
    --------
    >>> check_labels("gap", np.array([1.0, 2.0, 3.0]))
    >>> check_labels("gap", np.array([1.0, 2.0, -1e100]))
    Traceback (most recent call last):
        ...
    sisso_sal.errors.FitError: target 'gap': the label -1e+100 lies so far from the others (1 to 2) that double precision cannot ...
    """
    if not len(labels) or (spread := float(np.ptp(labels))) == 0.0:
        return
    ordered = np.sort(labels)
    low, high = float(ordered[0]), float(ordered[-1])
    largest = max(abs(low), abs(high))
    place = f"target '{target}'"
    if largest > LARGEST:
        value = low if -low == largest else high
        raise FitError(f"{place}: needs labels of at most {LARGEST:g} in size, found {value:g}; choose another unit")
    if spread < SMALLEST:
        raise FitError(
            f"{place}: needs labels that differ by {SMALLEST:g} or more, found {low:g} to {high:g}; choose a unit in which "
            "they are near 1"
        )
    if spread < DIGITS * largest:
        raise FitError(
            f"{place}: needs labels whose differences have digits, found {low!r} to {high!r}; subtract {low:g} from all of them"
        )
    for far, rest in ((high, ordered[:-1]), (low, ordered[1:])):
        if 0.0 < np.ptp(rest) < DIGITS * spread:
            raise FitError(
                f"{place}: the label {far:g} lies so far from the others ({rest[0]:g} to {rest[-1]:g}) that double precision "
                "cannot tell those apart beside it; correct it, or leave it out"
            )


def check_features(names: Sequence[str], values: np.ndarray, samples: np.ndarray) -> None:
    """Refuse features that are too large; log a note for each that is too small, or has too few digits, to be used as it is.

    Parameters
    ----------
    names : sequence of str
    values : ndarray (n_samples, n_primary)
    samples : ndarray (n_samples,) of bool
        Those that count.

    Raises
    ------
    FitError
        A feature is too large.
    """
    for name, column in zip(names, values[samples].T, strict=True):
        largest = float(np.abs(column).max(initial=0.0))
        if largest > LARGEST:
            raise FitError(f"feature '{name}': needs numbers of at most {LARGEST:g} in size, found {largest:.3g}")
        if len(column) and (why := _unusable(column)):
            logger.info("feature '%s': %s", name, why)


def _unusable(values: np.ndarray) -> str:
    """Why a feature that varies cannot be used; "" where it can, or is constant."""
    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    if low == high:
        return ""
    if largest < SMALLEST:
        return f"its largest value, {largest:.3g}, is too small to be squared; choose a unit in which it is near 1"
    if high - low <= SAME_VALUE * largest:
        return f"its values, {low!r} to {high!r}, agree in {-np.log10(SAME_VALUE):.0f} digits and count as equal; subtract {low:g}"
    return ""
