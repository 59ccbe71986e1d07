"""Is a sigma honest? Coverage, miscalibration area, sharpness, and a scale that mends it.

All functions take errors (label minus mean) and sigmas, both in the target's unit, for samples that the model was not fitted on:
out-of-bag ones, or those of a held-out fold.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import ndtri

from sisso_sal.errors import FitError

LEVELS = np.linspace(0.01, 0.99, 99)


@dataclass(frozen=True)
class Calibration:
    """How sigma compares with the errors.

    Attributes
    ----------
    n : int
        Samples that were used.
    coverage95 : float
        Share of labels within 1.96 recalibrated sigma of the mean.
    miscalibration_area : float
        Of the recalibrated sigma; see `miscalibration_area`.
    scale : float
        Factor from raw to recalibrated sigma.
    coverage95_raw, miscalibration_area_raw : float
        The same two for the raw sigma.
    mean_squared_z : float
        Of the recalibrated sigma; about 1 where it is honest.
    rmse, mae : float
        Of the mean, in the target's unit.
    """

    n: int
    coverage95: float
    miscalibration_area: float
    scale: float
    coverage95_raw: float
    miscalibration_area_raw: float
    mean_squared_z: float
    rmse: float
    mae: float

    def as_dict(self) -> dict[str, float]:
        """Plain data."""
        return asdict(self)


def coverage(errors: np.ndarray, sigma: np.ndarray, level: float) -> float:
    """Share of errors inside the central Gaussian interval of probability `level`.

    Examples
    --------
    >>> coverage(np.array([0.1, -3.0]), np.array([1.0, 1.0]), 0.95)
    0.5
    """
    return float((np.abs(errors) <= ndtri(0.5 + level / 2) * sigma).mean())


def miscalibration_area(errors: np.ndarray, sigma: np.ndarray) -> float:
    """Area between observed and nominal coverage over all levels; 0 is perfect, 0.5 the worst.

    A perfectly calibrated model still shows about 0.31/sqrt(n) for n samples: compare with that.

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
    size = np.abs(errors)[:, None] <= ndtri(0.5 + LEVELS / 2)[None, :] * sigma[:, None]
    gap = np.abs(size.mean(axis=0) - LEVELS)
    return float(np.trapezoid(np.concatenate([[0.0], gap, [0.0]]), np.concatenate([[0.0], LEVELS, [1.0]])))


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
    usable = sigma > 0
    if not usable.any():
        raise FitError("calibration: needs at least one sample with a spread above 0, found none")
    return float(np.sqrt(np.mean((errors[usable] / sigma[usable]) ** 2)))


def calibrate(errors: np.ndarray, sigma: np.ndarray) -> Calibration:
    """Compare raw sigma with the errors and scale it.

    Parameters
    ----------
    errors, sigma : ndarray (n,)
        NaN entries are left out.

    Returns
    -------
    Calibration

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = calibrate(rng.normal(0, 2, 4000), np.ones(4000))
    >>> round(found.scale, 1), round(found.coverage95, 2), round(found.coverage95_raw, 2)
    (2.0, 0.95, 0.67)
    """
    known = np.isfinite(errors) & np.isfinite(sigma)
    errors, sigma = errors[known], sigma[known]
    if not len(errors):
        raise FitError("calibration: needs at least one sample outside the fit, found none")
    scale = scale_factor(errors, sigma)
    scaled = scale * sigma
    z = errors[sigma > 0] / sigma[sigma > 0]
    return Calibration(
        n=len(errors),
        coverage95=coverage(errors, scaled, 0.95),
        miscalibration_area=miscalibration_area(errors, scaled),
        scale=scale,
        coverage95_raw=coverage(errors, sigma, 0.95),
        miscalibration_area_raw=miscalibration_area(errors, sigma),
        mean_squared_z=float(np.mean((z / scale) ** 2)) if scale > 0 else 0.0,
        rmse=float(np.sqrt(np.mean(errors**2))),
        mae=float(np.mean(np.abs(errors))),
    )
