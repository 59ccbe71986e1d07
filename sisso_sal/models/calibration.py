"""Is a sigma calibrated? Coverage, miscalibration area and its noise floor, sharpness, likelihood.

All functions take errors (label minus mean) and sigmas, both in the target's unit, for samples that the model was not fitted on:
out-of-bag ones, or those of a held-out fold.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from sisso_sal.errors import FitError
from sisso_sal.models.groups import n_materials
from sisso_sal.models.recalibration import Recalibration, held_out

LEVELS = np.linspace(0.01, 0.99, 99)

_STEPS = np.diff(LEVELS, prepend=0.0, append=1.0)

_DRAWS_AT_ONCE = 200
"""Draws of a noise floor that are looked at together: their arrays stay in the second-level cache."""


def coverage(errors: np.ndarray, sigma: np.ndarray, level: float) -> float:
    """Share of errors inside the central Gaussian interval of probability `level`.

    Examples
    --------
    >>> coverage(np.array([0.1, -3.0]), np.array([1.0, 1.0]), 0.95)
    0.5
    """
    return float((np.abs(errors) <= ndtri(0.5 + level / 2) * sigma).mean())


def coverage_curve(probability: np.ndarray) -> np.ndarray:
    """ndarray (n_levels,): share of labels inside the central interval of each of `LEVELS`.

    Parameters
    ----------
    probability : ndarray (n,)
        Of each predictive distribution, to be at most the label.

    Examples
    --------
    >>> coverage_curve(np.array([0.5, 0.1, 0.995]))[[0, 49, 89]].round(2)
    array([0.33, 0.33, 0.67])
    """
    inside = np.abs(2.0 * probability - 1.0)
    return (inside[None, :] <= LEVELS[:, None] + 1e-12).mean(axis=1)


def probabilities(
    kind: str,
    labels: np.ndarray,
    mean: np.ndarray,
    sigma: np.ndarray,
    groups: np.ndarray | None = None,
    floor: float = -np.inf,
) -> np.ndarray:
    """ndarray (n,): probability to be at most the label, by a recalibration that did not use it; see `held_out`."""
    out = np.empty(len(labels))
    for rows, told in held_out(kind, labels, mean, sigma, groups, floor):
        out[rows] = told.place(labels[rows])
    return out


def reliability(claimed: np.ndarray, came: np.ndarray, bins: int = 5) -> list[dict[str, float]]:
    """Claimed probabilities against what came, in bins of equal width from 0 to 1; empty bins are left out.

    Parameters
    ----------
    claimed : ndarray (n,)
    came : ndarray (n,) of bool
    bins : int

    Returns
    -------
    list of dict
        ``n``, ``claimed`` (mean) and ``real`` (share that came).

    Examples
    --------
    >>> reliability(np.array([0.1, 0.15, 0.9]), np.array([False, True, True]))
    [{'n': 2, 'claimed': 0.125, 'real': 0.5}, {'n': 1, 'claimed': 0.9, 'real': 1.0}]
    """
    place = np.minimum((claimed * bins).astype(np.int64), bins - 1)
    parts = [np.flatnonzero(place == number) for number in range(bins)]
    return [
        {"n": len(part), "claimed": float(claimed[part].mean()), "real": float(came[part].mean())}
        for part in parts
        if len(part)
    ]


def area(observed: np.ndarray) -> np.ndarray:
    """Area between coverage curves over `LEVELS` and the diagonal; 0 is perfect, 0.5 the worst.

    Parameters
    ----------
    observed : ndarray (..., n_levels)
    """
    gap = np.zeros((*observed.shape[:-1], len(LEVELS) + 2))
    np.abs(observed - LEVELS, out=gap[..., 1:-1])
    return (_STEPS * (gap[..., 1:] + gap[..., :-1]) / 2.0).sum(axis=-1)


def miscalibration_area(errors: np.ndarray, sigma: np.ndarray) -> float:
    """Area between observed and nominal coverage of Gaussian intervals over all levels; 0 is perfect, 0.5 the worst.

    A perfectly calibrated model still shows some: compare with `noise_floor`.

    Parameters
    ----------
    errors, sigma : ndarray (n,)

    Source: Tran et al., Mach. Learn.: Sci. Technol. 1, 025006 (2020), sec. 2.2, with central intervals.

    Examples
    --------
    >>> z = ndtri((np.arange(1000) + 0.5) / 1000)
    >>> round(miscalibration_area(z, np.ones(1000)), 3)
    0.0
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(errors == 0, 0.0, errors / sigma)
    return float(area(coverage_curve(ndtr(z))))


@cache
def noise_floor(n: int) -> tuple[float, float]:
    """Miscalibration area that a perfectly calibrated model shows on n samples: mean and 95th percentile.

    From 4000 draws of n uniform numbers; beyond 1000 samples both fall as 1/sqrt(n), as the mean of a Brownian bridge's absolute
    value does (sqrt(pi/32) = 0.313).

    Examples
    --------
    >>> [round(value, 3) for value in noise_floor(100)]
    [0.031, 0.058]
    """
    if n < 1:
        raise FitError(f"noise floor: needs at least one sample, found {n}")
    drawn = min(n, 1000)
    rng, n_levels = np.random.default_rng(0), len(LEVELS)
    bounds = np.concatenate([[-np.inf], LEVELS, [np.inf]])
    areas = np.empty((4000 // _DRAWS_AT_ONCE, _DRAWS_AT_ONCE))
    for part in areas:
        u = rng.random((len(part), drawn))
        # The first level that covers each number: its percent, which rounding may put one too high or too low.
        first = (u * 100.0).astype(np.int64)
        first -= bounds[first] >= u
        first += bounds[first + 1] < u
        first += (n_levels + 1) * np.arange(len(part))[:, None]  # apart for each draw
        counts = np.bincount(first.ravel(), minlength=len(part) * (n_levels + 1)).reshape(len(part), -1)
        part[:] = area(np.cumsum(counts[:, :-1], axis=1) / drawn)
    shrink = np.sqrt(drawn / n)
    return float(np.mean(areas) * shrink), float(np.quantile(areas, 0.95) * shrink)


def mean_squared_z(errors: np.ndarray, sigma: np.ndarray) -> float:
    """Mean of (error/sigma)^2 over samples of positive sigma; 1 where sigma is calibrated, larger where it is too small.

    Examples
    --------
    >>> mean_squared_z(np.array([2.0, -2.0]), np.array([1.0, 2.0]))
    2.5
    """
    usable = sigma > 0
    return float(np.mean((errors[usable] / sigma[usable]) ** 2)) if usable.any() else float("nan")


def sharpness(sigma: np.ndarray) -> float:
    """Root mean square sigma, in the target's unit: of two calibrated sigmas the smaller one is more informative.

    Examples
    --------
    >>> round(sharpness(np.array([3.0, 4.0])) ** 2, 9)
    12.5
    """
    return float(np.sqrt(np.mean(np.square(sigma))))


def negative_log_likelihood(errors: np.ndarray, sigma: np.ndarray) -> float:
    """Mean of -log of the Gaussian density of the errors; lower is better. Infinite if a sigma is 0 and its error is not.

    Examples
    --------
    >>> round(negative_log_likelihood(np.array([0.0]), np.array([1.0])), 4)
    0.9189
    """
    if ((sigma == 0) & (errors != 0)).any():
        return float("inf")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z2 = np.where(errors == 0, 0.0, (errors / sigma) ** 2)
        return float(np.mean(0.5 * z2 + np.log(sigma) + 0.5 * np.log(2 * np.pi)))


def ranks(values: np.ndarray) -> np.ndarray:
    """Place of each value in order, from 1 on: ndarray (n,); equal values share the mean of their places.

    As `scipy.stats.rankdata`, which takes half a second to import.

    Examples
    --------
    >>> ranks(np.array([0.3, 0.1, 0.3, 0.2])).tolist()
    [3.5, 1.0, 3.5, 2.0]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (0.5 * (2 * ends - counts + 1))[place]


def rank_correlation(errors: np.ndarray, sigma: np.ndarray) -> float:
    """Spearman correlation between sigma and ``|error|``: does sigma say where the errors are? NaN where either is constant.

    Examples
    --------
    >>> rank_correlation(np.array([0.1, -0.2, 0.3]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    a, b = ranks(sigma), ranks(np.abs(errors))
    spread = a.std() * b.std()
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0 else float("nan")


def error_against_sigma(errors: np.ndarray, sigma: np.ndarray, bins: int = 5) -> list[dict[str, float]]:
    """In bins of equal size, from small to large sigma: the root mean square sigma and the root mean square error.

    Returns
    -------
    list of dict
        ``n``, ``sigma`` and ``rmse``, the latter two in the target's unit.

    Examples
    --------
    >>> rows = error_against_sigma(np.array([1.0, -1.0, 4.0, 4.0]), np.array([1.0, 1.0, 2.0, 2.0]), bins=2)
    >>> [(row["n"], row["sigma"], row["rmse"]) for row in rows]
    [(2, 1.0, 1.0), (2, 2.0, 4.0)]
    """
    order = np.argsort(sigma, kind="stable")
    return [
        {"n": len(part), "sigma": sharpness(sigma[part]), "rmse": sharpness(errors[part])}
        for part in np.array_split(order, max(min(bins, len(order)), 1))
        if len(part)
    ]


@dataclass(frozen=True)
class Calibration:
    """How sigma compares with the errors, before and after a recalibration.

    The figures after it are those of ten parts of the samples, each recalibrated by what the other nine say.

    Attributes
    ----------
    n : int
        Samples that were used.
    n_materials : int
        How many materials they are of: samples of one are not independent.
    kind : str
        Of the recalibration.
    coverage95 : float
        Share of labels within the recalibrated 95 % interval.
    miscalibration_area : float
        Of the recalibrated intervals; see `miscalibration_area`.
    noise_floor, noise_floor95 : float
        Mean and 95th percentile of the area that a perfectly calibrated sigma shows on as many materials.
    scale : float
        Median factor from raw to recalibrated sigma.
    coverage95_raw, miscalibration_area_raw : float
        The same two for the raw sigma.
    mean_squared_z, negative_log_likelihood : float
        Of the recalibrated sigma; the first is about 1 where errors are Gaussian and sigma is calibrated.
    sharpness : float
        Root mean square of the recalibrated sigma, in the target's unit.
    spearman : float or None
        Rank correlation of sigma and ``|error|``; None where one of them does not vary.
    rmse, mae : float
        Of the mean, in the target's unit.
    """

    n: int
    n_materials: int
    kind: str
    coverage95: float
    miscalibration_area: float
    noise_floor: float
    noise_floor95: float
    scale: float
    coverage95_raw: float
    miscalibration_area_raw: float
    mean_squared_z: float
    negative_log_likelihood: float | None
    sharpness: float
    spearman: float | None
    rmse: float
    mae: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def calibrate(
    labels: np.ndarray,
    mean: np.ndarray,
    sigma: np.ndarray,
    kind: str = "isotonic",
    groups: np.ndarray | None = None,
    floor: float = -np.inf,
) -> tuple[Calibration, Recalibration]:
    """Compare predictions with labels that they did not see, and recalibrate their sigma.

    Parameters
    ----------
    labels, mean, sigma : ndarray (n,)
        With the raw sigma; samples with a NaN are left out.
    kind : str
        See `Recalibration`.
    groups : ndarray (n,) of int, optional
        Samples with the same number are one material; by default each is one.
    floor : float
        See `Distribution`.

    Returns
    -------
    Calibration, Recalibration

    Raises
    ------
    FitError
        No sample has an error and a positive sigma.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.normal(0, 2, 4000)
    >>> found, _ = calibrate(labels, np.zeros(4000), np.ones(4000), "scale")
    >>> round(found.scale, 1), round(found.coverage95, 2), round(found.coverage95_raw, 2)
    (2.0, 0.95, 0.67)
    """
    known = np.isfinite(labels - mean) & np.isfinite(sigma)
    groups = (np.arange(len(labels)) if groups is None else groups)[known]
    labels, mean, sigma = labels[known], mean[known], sigma[known]
    if not len(labels):
        raise FitError("calibration: needs at least one sample outside the fit, found none")
    recalibration = Recalibration.fit(kind, labels, mean, sigma, groups)
    told = recalibration.distribution(mean, sigma, floor)
    found = probabilities(recalibration.kind, labels, mean, sigma, groups, floor)
    return judge(labels - told.estimate, sigma, told.std, found, recalibration.kind, n_materials(groups)), recalibration


def judge(
    errors: np.ndarray, sigma: np.ndarray, std: np.ndarray, probability: np.ndarray, kind: str, n_materials: int
) -> Calibration:
    """The figures of a recalibration.

    Parameters
    ----------
    errors, sigma, std : ndarray (n,)
        Errors, raw and recalibrated sigma, in the target's unit.
    probability : ndarray (n,)
        See `probabilities`.
    kind : str
    n_materials : int
        How many materials the samples are of.
    """
    likelihood = negative_log_likelihood(errors, std)
    spearman = rank_correlation(errors, std)
    z2 = mean_squared_z(errors, std)
    spread = sigma > 0
    return Calibration(
        n=len(errors),
        n_materials=n_materials,
        kind=kind,
        coverage95=float((np.abs(2.0 * probability - 1.0) <= 0.95 + 1e-12).mean()),
        miscalibration_area=float(area(coverage_curve(probability))),
        noise_floor=noise_floor(n_materials)[0],
        noise_floor95=noise_floor(n_materials)[1],
        scale=float(np.median(std[spread] / sigma[spread])) if spread.any() else 1.0,
        coverage95_raw=coverage(errors, sigma, 0.95),
        miscalibration_area_raw=miscalibration_area(errors, sigma),
        mean_squared_z=z2 if np.isfinite(z2) else 0.0,
        negative_log_likelihood=likelihood if np.isfinite(likelihood) else None,
        sharpness=sharpness(std),
        spearman=spearman if np.isfinite(spearman) else None,
        rmse=float(np.sqrt(np.mean(errors**2))),
        mae=float(np.mean(np.abs(errors))),
    )
