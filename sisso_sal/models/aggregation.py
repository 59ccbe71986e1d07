"""From the members' predictions to one mean and one spread."""

from __future__ import annotations

import numpy as np

from sisso_sal.errors import SettingsError
from sisso_sal.models._program import mean_and_spread

MEANS = ("mean", "median")
"""Aggregations by name."""

DIGITS = 12
"""Decimals of a share of the members; with the last bits of a sum a neighbour at 1e300 would enter the median."""


def aggregate(
    members: np.ndarray, valid: np.ndarray, needed: int, *, mean: str = "mean", weight: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the valid members; NaN where fewer than `needed` are valid.

    Parameters
    ----------
    members, valid : ndarray (n_members, n)
    needed : int
    mean : str
        ``mean``, or ``median``, which no single member that shoots off can spoil.
    weight : float
        Of each member. It cancels, but for the last bits of the sums.

    Returns
    -------
    mean, std : ndarray (n,)
        In the unit of `members`; the standard deviation is the unbiased one, about the arithmetic mean.

    Raises
    ------
    SettingsError
        The mean is unknown.

    Examples
    --------
    >>> members = np.array([[1.0], [2.0], [3.0], [4.0], [900.0]])
    >>> [float(aggregate(members, members < 1000, 2, mean=name)[0][0]) for name in MEANS]
    [182.0, 3.0]
    """
    if mean not in MEANS:
        raise SettingsError(f"aggregation: needs one of {', '.join(MEANS)}, found '{mean}'")
    enough = np.count_nonzero(valid, axis=0) >= needed
    average, std = np.empty(members.shape[1]), np.empty(members.shape[1])
    mean_and_spread(np.ascontiguousarray(members), np.ascontiguousarray(valid), weight, average, std)
    if mean == "median":
        share = np.where(valid, weight, 0.0)
        total = np.maximum(share.sum(axis=0), np.finfo(float).tiny)
        average = _median(np.where(valid, members, np.inf), share / total)
    return np.where(enough, average, np.nan), np.where(enough, std, np.nan)


def _median(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Linear between the middles of the members' shares; the shares of each column sum to 1, invalid members have none."""
    order = np.argsort(values, axis=0, kind="stable")
    values, share = np.take_along_axis(values, order, axis=0), np.take_along_axis(share, order, axis=0)
    middle = np.round(np.cumsum(share, axis=0) - 0.5 * share, DIGITS)
    out = np.full(values.shape[1], np.nan)
    for j in np.flatnonzero((share > 0).any(axis=0)):
        used = share[:, j] > 0
        out[j] = np.interp(0.5, middle[used, j], values[used, j])
    return out
