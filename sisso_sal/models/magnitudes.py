"""Numbers whose squares leave double precision, or whose digits do not suffice: named before a fit goes wrong for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sisso_sal.data.cells import LARGEST
from sisso_sal.errors import FitError
from sisso_sal.features.stored import SAME_VALUE

SMALLEST = 1 / LARGEST
"""Labels must differ by this, and a feature be as large: the square of less is no number of full precision."""

DIGITS = 64 * np.finfo(float).eps
"""Share of a number below which differences are little more than rounding."""


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


def check_features(names: Sequence[str], values: np.ndarray) -> None:
    """Refuse features that are too large for double precision.

    Parameters
    ----------
    names : sequence of str
    values : ndarray (n_samples, n_primary)

    Raises
    ------
    FitError
        The message names the feature and the value.
    """
    for name, column in zip(names, values.T, strict=True):
        largest = float(np.abs(column).max(initial=0.0))
        if largest > LARGEST:
            raise FitError(f"feature '{name}': needs numbers of at most {LARGEST:g} in size, found {largest:.3g}")


def why_flat(values: np.ndarray) -> str:
    """Why a feature (n,) counts as constant; "" where it does not.

    Examples
    --------
    >>> why_flat(np.array([1.0, 1.0])), why_flat(np.array([1.0, 2.0]))
    ('constant', '')
    >>> why_flat(np.array([1e-200, 2e-200]))
    'too small to be squared, at most 2e-200; choose a unit in which it is near 1'
    >>> why_flat(np.array([1e8, 1e8 + 1e-3]))
    'agrees in 10 digits; subtract 1e+08 from it'
    """
    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    if low == high:
        return "constant"
    if largest < SMALLEST:
        return f"too small to be squared, at most {largest:.3g}; choose a unit in which it is near 1"
    if values.std() <= SAME_VALUE * largest:
        return f"agrees in {-np.log10(SAME_VALUE):.0f} digits; subtract {low:g} from it"
    return ""
