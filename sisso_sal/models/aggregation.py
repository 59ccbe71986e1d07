"""From the members' predictions to one mean and one spread, which no single member that shoots off can spoil."""

from __future__ import annotations

import numpy as np

from sisso_sal.errors import SettingsError

MEANS = ("mean", "median", "trimmed")
SPREADS = ("std", "robust")

TRIM = 0.2
"""Share of the weight that a trimmed mean leaves out at each end."""

DIGITS = 12
"""Decimals of a share of the weight; with the last bits of a sum a neighbour at 1e300 would enter."""


def aggregate(
    members: np.ndarray,
    valid: np.ndarray,
    needed: int,
    *,
    mean: str = "mean",
    spread: str = "std",
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread over the valid members; NaN where fewer than `needed` are valid.

    Parameters
    ----------
    members, valid : ndarray (n_members, n)
    needed : int
    mean : str
        ``mean``, ``median``, or ``trimmed``: the mean of the central 60 % of the weight.
    spread : str
        ``std`` (unbiased standard deviation) or ``robust`` (half the distance from the 16th to the 84th percentile).
    weights : ndarray (n_members,), optional
        Of the members; equal by default.

    Returns
    -------
    mean, spread : ndarray (n,)
        In the unit of `members`.

    Raises
    ------
    SettingsError
        The mean or the spread is unknown.

    Examples
    --------
    >>> members = np.array([[1.0], [2.0], [3.0], [4.0], [900.0]])
    >>> [float(aggregate(members, members < 1000, 2, mean=name)[0][0]) for name in MEANS]
    [182.0, 3.0, 3.0]
    """
    if mean not in MEANS:
        raise SettingsError(f"aggregation: needs one of {', '.join(MEANS)}, found '{mean}'")
    if spread not in SPREADS:
        raise SettingsError(f"spread: needs one of {', '.join(SPREADS)}, found '{spread}'")
    enough = valid.sum(axis=0) >= needed
    share = np.where(valid, 1.0 if weights is None else weights[:, None], 0.0)
    total = np.maximum(share.sum(axis=0), np.finfo(float).tiny)
    kept = np.where(valid, members, 0.0)
    with np.errstate(over="ignore"):
        average = (share * kept).sum(axis=0) / total
    centre, width = average, None
    if mean != "mean" or spread == "robust":
        order = np.argsort(np.where(valid, members, np.inf), axis=0, kind="stable")
        values = np.take_along_axis(kept, order, axis=0)
        share_sorted = np.take_along_axis(share, order, axis=0) / total
        if mean == "median":
            centre = _quantile(values, share_sorted, 0.5)
        elif mean == "trimmed":
            centre = _trimmed(values, share_sorted)
        if spread == "robust":
            width = 0.5 * (_quantile(values, share_sorted, 0.84134) - _quantile(values, share_sorted, 0.15866))
    if width is None:
        # For equal weights the denominator is the number of members less one.
        freedom = total - (share**2).sum(axis=0) / total
        with np.errstate(over="ignore"):  # a member that shoots off so far that its square does has an infinite spread
            square = (share * np.where(valid, kept - average, 0.0) ** 2).sum(axis=0)
        width = np.sqrt(square / np.maximum(freedom, np.finfo(float).tiny))
    return np.where(enough, centre, np.nan), np.where(enough, width, np.nan)


def _quantile(values: np.ndarray, share: np.ndarray, level: float) -> np.ndarray:
    """Weighted quantile of sorted columns, linear between the middles of the members' weights; `share` sums to 1."""
    middle = np.round(np.cumsum(share, axis=0) - 0.5 * share, DIGITS)
    out = np.empty(values.shape[1])
    for j in range(values.shape[1]):
        used = share[:, j] > 0
        out[j] = np.interp(level, middle[used, j], values[used, j]) if used.any() else np.nan
    return out


def _trimmed(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    upper = np.cumsum(share, axis=0)
    central = np.clip(upper, TRIM, 1 - TRIM) - np.clip(upper - share, TRIM, 1 - TRIM)
    central[central < 10.0**-DIGITS] = 0.0
    return (central * values).sum(axis=0) / np.maximum(central.sum(axis=0), np.finfo(float).tiny)


def member_weights(kind: str, errors: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """ndarray (n_members,) of sum 1; a member counts at most ten times as much as the median one."""
    n = len(errors)
    if kind == "equal":
        return np.full(n, 1.0 / n)
    square = np.where(unseen, errors, 0.0) ** 2
    mean = square.sum(axis=1) / np.maximum(unseen.sum(axis=1), 1)
    known = unseen.any(axis=1) & (mean > 0)
    if not known.any():
        return np.full(n, 1.0 / n)
    middle = np.median(mean[known])
    weights = np.clip(middle / np.where(known, mean, middle), 0.1, 10.0)
    return weights / weights.sum()
