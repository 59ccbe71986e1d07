"""Is a sigma honest? Coverage, miscalibration area and its noise floor, sharpness, likelihood; and three ways to mend it.

All functions take errors (label minus mean) and sigmas, both in the target's unit, for samples that the model was not fitted on:
out-of-bag ones, or those of a held-out fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import ndtri

from sisso_sal.errors import FitError, SettingsError

LEVELS = np.linspace(0.01, 0.99, 99)
ONE_SIGMA = 0.6826894921370859
"""Probability that a Gaussian lies within one sigma."""

N_FOLDS = 10
"""Parts in which a recalibration is judged: each by one fitted to the others."""

FEWEST_PARTED = 2 * N_FOLDS
"""With fewer errors those that a recalibration is judged by are those that it was learned from."""

KINDS = ("none", "scale", "isotonic", "conformal")
"""Ways to recalibrate."""


# How good is it ------------------------------------------------------------------------------------------------------


def coverage(errors: np.ndarray, sigma: np.ndarray, level: float) -> float:
    """Share of errors inside the central Gaussian interval of probability `level`.

    Examples
    --------
    >>> coverage(np.array([0.1, -3.0]), np.array([1.0, 1.0]), 0.95)
    0.5
    """
    return float((np.abs(errors) <= ndtri(0.5 + level / 2) * sigma).mean())


def coverage_curve(errors: np.ndarray, half_widths: np.ndarray) -> np.ndarray:
    """ndarray (n_levels,): share of errors inside the interval of each level.

    Parameters
    ----------
    errors : ndarray (n,)
    half_widths : ndarray (n_levels, n)
        Of the central intervals, in the target's unit.

    Examples
    --------
    >>> coverage_curve(np.array([0.1, -3.0]), np.array([[0.0, 1.0], [1.0, 1.0], [4.0, 4.0]]))
    array([0. , 0.5, 1. ])
    """
    return (np.abs(errors)[None, :] <= half_widths).mean(axis=1)


def area(observed: np.ndarray) -> np.ndarray:
    """Area between coverage curves over `LEVELS` and the diagonal; 0 is perfect, 0.5 the worst.

    Parameters
    ----------
    observed : ndarray (..., n_levels)
    """
    gap = np.pad(np.abs(observed - LEVELS), [(0, 0)] * (observed.ndim - 1) + [(1, 1)])
    return np.trapezoid(gap, np.concatenate([[0.0], LEVELS, [1.0]]))


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
    return float(area(coverage_curve(errors, ndtri(0.5 + LEVELS / 2)[:, None] * sigma[None, :])))


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
    u = np.random.default_rng(0).random((4000, drawn))
    # The number of the first level that covers each draw, apart for each row; then how many are covered at each level.
    first = np.searchsorted(LEVELS, u) + (len(LEVELS) + 1) * np.arange(len(u))[:, None]
    counts = np.bincount(first.ravel(), minlength=len(u) * (len(LEVELS) + 1)).reshape(len(u), -1)
    found = area(np.cumsum(counts[:, :-1], axis=1) / drawn)
    shrink = np.sqrt(drawn / n)
    return float(np.mean(found) * shrink), float(np.quantile(found, 0.95) * shrink)


def mean_squared_z(errors: np.ndarray, sigma: np.ndarray) -> float:
    """Mean of (error/sigma)^2 over samples of positive sigma; 1 where sigma is honest, above where it is too small.

    Examples
    --------
    >>> mean_squared_z(np.array([2.0, -2.0]), np.array([1.0, 2.0]))
    2.5
    """
    usable = sigma > 0
    return float(np.mean((errors[usable] / sigma[usable]) ** 2)) if usable.any() else float("nan")


def sharpness(sigma: np.ndarray) -> float:
    """Root mean square sigma, in the target's unit: of two honest sigmas the smaller one says more.

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


def rank_correlation(errors: np.ndarray, sigma: np.ndarray) -> float:
    """Spearman correlation between sigma and ``|error|``: does sigma say where the errors are? NaN where either is constant.

    Examples
    --------
    >>> rank_correlation(np.array([0.1, -0.2, 0.3]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    from scipy.stats import rankdata

    a, b = rankdata(sigma), rankdata(np.abs(errors))
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


# How to mend it ------------------------------------------------------------------------------------------------------


def scale_factor(errors: np.ndarray, sigma: np.ndarray) -> float:
    """Factor by which sigma is multiplied to give the errors unit mean square.

    It maximises the Gaussian likelihood of the errors over all factors (Palmer et al., npj Comput. Mater. 8, 115 (2022)).

    Raises
    ------
    FitError
        No sample has a positive sigma.

    Examples
    --------
    >>> round(scale_factor(np.array([2.0, -2.0]), np.array([1.0, 1.0])), 12)
    2.0
    """
    if not (sigma > 0).any():
        raise FitError("calibration: needs at least one sample with a spread above 0, found none")
    return float(np.sqrt(mean_squared_z(errors, sigma)))


def conformal_quantile(scores: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The score of rank ceil((n + 1) level) of n, in the order of size; infinite where that is more than n, and 0 for level 0.

    One more score that is exchangeable with these lies at or below it with a probability of at least `level`.

    Source: Papadopoulos, Vovk, Gammerman, J. Artif. Intell. Res. 40, 815 (2011); Lei, G'Sell, Rinaldo, Tibshirani, Wasserman,
    J. Am. Stat. Assoc. 113, 1094 (2018), sec. 2.

    Parameters
    ----------
    scores : ndarray (n,)
        In order.
    level : ndarray
        Between 0 and 1.

    Examples
    --------
    >>> conformal_quantile(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.25, 0.3, 0.75, 0.8]))
    array([ 0.,  1.,  2.,  3., inf])
    """
    n = len(scores)
    # Less 1e-12, as n/(n + 1) may come out of a sum a little larger than it is.
    rank = n + 1 - np.floor((1.0 - np.maximum(level - 1e-12, 1e-13)) * (n + 1)).astype(np.int64)
    reached = np.append(scores, np.inf)[np.minimum(rank, n + 1) - 1]
    return np.where(level == 0.0, 0.0, reached)


@dataclass(frozen=True)
class Recalibration:
    """How an interval of any level follows from a raw sigma: its half width is `quantile` of the level times sigma.

    Attributes
    ----------
    kind : str
        ``none`` leaves Gaussian intervals as they are. ``scale`` multiplies sigma (Palmer et al., npj Comput. Mater. 8, 115
        (2022)). ``isotonic`` maps nominal to observed coverage (Kuleshov, Fenner, Ermon, ICML 2018), linearly between the scores
        and Gaussian beyond the last. ``conformal`` takes quantiles of the scores with the guarantee of normalised conformal
        prediction (Papadopoulos, Vovk, Gammerman, J. Artif. Intell. Res. 40, 815 (2011)): of exchangeable samples at least the
        nominal share is covered; levels above n/(n + 1) need more than n samples and give infinite intervals.
    scores : tuple of float
        ``|error|/sigma`` of the samples, in order; no unit.

    Examples
    --------
    >>> found = Recalibration.fit("conformal", np.arange(1.0, 20.0), np.ones(19))
    >>> [float(found.quantile(level)) for level in (0.5, 0.95)]
    [10.0, 19.0]
    >>> float(found.half_width(0.5, np.array([0.1]))[0])
    1.0
    """

    kind: str = "none"
    scores: tuple[float, ...] = ()

    @classmethod
    def fit(cls, kind: str, errors: np.ndarray, sigma: np.ndarray) -> Recalibration:
        """Learn from errors; samples without a positive sigma are left out.

        Raises
        ------
        SettingsError
            The kind is unknown.
        FitError
            No sample has a positive sigma.
        """
        if kind not in KINDS:
            raise SettingsError(f"recalibration: needs one of {', '.join(KINDS)}, found '{kind}'")
        usable = np.isfinite(errors) & (sigma > 0)
        if not usable.any():
            raise FitError("calibration: needs at least one sample with a spread above 0, found none")
        return cls(kind, tuple(np.sort(np.abs(errors[usable]) / sigma[usable]).tolist()))

    def quantile(self, level: float | np.ndarray) -> np.ndarray:
        """Half width of the central interval of a probability, in units of the raw sigma.

        Parameters
        ----------
        level : float or ndarray
            Between 0 and 1.
        """
        level = np.asarray(level, dtype=np.float64)
        z = ndtri(0.5 + level / 2)
        if self.kind == "none" or not self.scores:
            return z
        scores = np.array(self.scores)
        if self.kind == "scale":
            return np.sqrt(np.mean(scores**2)) * z
        if self.kind == "conformal":
            return conformal_quantile(scores, level)
        n = len(scores)
        known = np.arange(n + 1) / (n + 1)
        top = scores[-1] / ndtri(0.5 + known[-1] / 2)
        return np.where(level > known[-1], top * z, np.interp(level, known, np.concatenate([[0.0], scores])))

    @property
    def scale(self) -> float:
        """Factor from the raw to the recalibrated sigma: half the width of the interval of probability 0.68."""
        found = float(self.quantile(ONE_SIGMA))
        return found if np.isfinite(found) else float(np.sqrt(np.mean(np.square(self.scores))))

    def std(self, sigma: np.ndarray) -> np.ndarray:
        """The recalibrated sigma, in the target's unit."""
        return self.scale * sigma

    def half_width(self, level: float, sigma: np.ndarray) -> np.ndarray:
        """Half the width of the central interval of probability `level`, in the target's unit."""
        with np.errstate(invalid="ignore"):
            return np.where(sigma == 0, 0.0, self.quantile(level) * sigma)

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return {"kind": self.kind, "scores": list(self.scores)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recalibration:
        """The inverse of `to_json`."""
        if data["kind"] not in KINDS:
            raise ValueError(f"recalibration: needs one of {', '.join(KINDS)}, found {data['kind']!r}")
        return cls(data["kind"], tuple(float(score) for score in data["scores"]))


@dataclass(frozen=True)
class Calibration:
    """How sigma compares with the errors, before and after a recalibration.

    The figures after it are those of ten parts of the samples, each recalibrated by what the other nine say.

    Attributes
    ----------
    n : int
        Samples that were used.
    kind : str
        Of the recalibration.
    coverage95 : float
        Share of labels within the recalibrated 95 % interval.
    miscalibration_area : float
        Of the recalibrated intervals; see `miscalibration_area`.
    noise_floor, noise_floor95 : float
        Mean and 95th percentile of the area that a perfectly calibrated sigma shows on as many samples.
    scale : float
        Factor from raw to recalibrated sigma.
    coverage95_raw, miscalibration_area_raw : float
        The same two for the raw sigma.
    mean_squared_z, negative_log_likelihood : float
        Of the recalibrated sigma; the first is about 1 where errors are Gaussian and sigma is honest.
    sharpness : float
        Root mean square of the recalibrated sigma, in the target's unit.
    spearman : float or None
        Rank correlation of sigma and ``|error|``; None where one of them does not vary.
    rmse, mae : float
        Of the mean, in the target's unit.
    """

    n: int
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


def calibrate(errors: np.ndarray, sigma: np.ndarray, kind: str = "scale") -> tuple[Calibration, Recalibration]:
    """Compare raw sigma with the errors and recalibrate it.

    Parameters
    ----------
    errors, sigma : ndarray (n,)
        NaN entries are left out.
    kind : str
        See `Recalibration`.

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
    >>> found, _ = calibrate(rng.normal(0, 2, 4000), np.ones(4000))
    >>> round(found.scale, 1), round(found.coverage95, 2), round(found.coverage95_raw, 2)
    (2.0, 0.95, 0.67)
    """
    known = np.isfinite(errors) & np.isfinite(sigma)
    errors, sigma = errors[known], sigma[known]
    if not len(errors):
        raise FitError("calibration: needs at least one sample outside the fit, found none")
    found = Recalibration.fit(kind, errors, sigma)
    levels = np.append(LEVELS, 0.95)
    quantiles = held_out_quantiles(kind, errors, sigma, levels)
    return judge(errors, sigma, found.std(sigma), quantiles, kind, found.scale), found


def held_out_quantiles(kind: str, errors: np.ndarray, sigma: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """ndarray (n_levels, n): `Recalibration.quantile` for each sample, from the nine tenths of the samples it is not in.

    Fewer than 20 samples are too few to part: all of them see the quantiles of the whole.
    """
    whole = Recalibration.fit(kind, errors, sigma)
    out = np.repeat(whole.quantile(levels)[:, None], len(errors), axis=1)
    part = np.argsort(np.random.default_rng(0).random(len(errors))) % N_FOLDS
    for number in range(N_FOLDS if len(errors) >= FEWEST_PARTED else 0):
        inside = part == number
        if (sigma[~inside] > 0).any():
            others = Recalibration.fit(kind, errors[~inside], sigma[~inside])
            out[:, inside] = others.quantile(levels)[:, None]
    return out


def judge(
    errors: np.ndarray, sigma: np.ndarray, std: np.ndarray, quantiles: np.ndarray, kind: str, scale: float
) -> Calibration:
    """The figures of a recalibration.

    Parameters
    ----------
    errors, sigma, std : ndarray (n,)
        Errors, raw and recalibrated sigma, in the target's unit.
    quantiles : ndarray (100, n)
        `Recalibration.quantile` for each sample at `LEVELS` and at 0.95, learned without it.
    kind : str
    scale : float
    """
    with np.errstate(invalid="ignore"):  # an infinite quantile of a sigma of 0
        observed = coverage_curve(errors, np.where(sigma > 0, quantiles * sigma, 0.0))
    likelihood = negative_log_likelihood(errors, std)
    spearman = rank_correlation(errors, sigma)
    z2 = mean_squared_z(errors, std)
    return Calibration(
        n=len(errors),
        kind=kind,
        coverage95=float(observed[-1]),
        miscalibration_area=float(area(observed[:-1])),
        noise_floor=noise_floor(len(errors))[0],
        noise_floor95=noise_floor(len(errors))[1],
        scale=scale,
        coverage95_raw=coverage(errors, sigma, 0.95),
        miscalibration_area_raw=miscalibration_area(errors, sigma),
        mean_squared_z=z2 if np.isfinite(z2) else 0.0,
        negative_log_likelihood=likelihood if np.isfinite(likelihood) else None,
        sharpness=sharpness(std),
        spearman=spearman if np.isfinite(spearman) else None,
        rmse=float(np.sqrt(np.mean(errors**2))),
        mae=float(np.mean(np.abs(errors))),
    )
