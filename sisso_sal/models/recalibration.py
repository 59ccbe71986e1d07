"""Three ways to recalibrate a sigma, learned from out-of-bag errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.groups import consecutive
from sisso_sal.models.records import RecalibrationRecord, read_record

KINDS = ("none", "scale", "isotonic", "conformal")
"""Ways to recalibrate."""

ONE_SIGMA = 0.6826894921370859
"""Probability that a Gaussian lies within one sigma."""

N_FOLDS = 10
"""Parts in which a recalibration is judged: each by one fitted to the others."""

FEWEST_PARTED = 2 * N_FOLDS
"""With fewer errors those that a recalibration is judged by are those that it was learned from."""


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
            return _times(np.sqrt(np.mean(scores**2)), z)
        if self.kind == "conformal":
            return conformal_quantile(scores, level)
        n = len(scores)
        known = np.arange(n + 1) / (n + 1)
        top = scores[-1] / ndtri(0.5 + known[-1] / 2)
        return np.where(level > known[-1], _times(top, z), np.interp(level, known, np.concatenate([[0.0], scores])))

    @property
    def scale(self) -> float:
        """Factor from the raw to the recalibrated sigma: half the width of the interval of probability 0.68."""
        width = float(self.quantile(ONE_SIGMA))
        return width if np.isfinite(width) else float(np.sqrt(np.mean(np.square(self.scores))))

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
    def from_json(cls, data: Mapping[str, Any] | RecalibrationRecord) -> Recalibration:
        """The inverse of `to_json`.

        Raises
        ------
        ModelFileError
            A key is missing, or a value cannot be.
        """
        record = read_record(RecalibrationRecord, data)
        return cls(record.kind, tuple(record.scores.tolist()))


def _times(factor: float, z: np.ndarray) -> np.ndarray:
    """The product; 0 for a factor of 0, also where z is infinite."""
    return factor * z if factor > 0 else np.zeros_like(z)


def held_out_quantiles(
    kind: str, errors: np.ndarray, sigma: np.ndarray, levels: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """ndarray (n_levels, n): `Recalibration.quantile` for each sample, from the nine tenths of the materials it is not in.

    Fewer than 20 materials are too few to part: all of them see the quantiles of the whole. Samples with the same number in
    `groups` (n,) are one material; by default each is one.
    """
    whole = Recalibration.fit(kind, errors, sigma)
    out = np.repeat(whole.quantile(levels)[:, None], len(errors), axis=1)
    material = np.arange(len(errors)) if groups is None else consecutive(groups)
    n_materials = int(material.max()) + 1
    part = (np.argsort(np.random.default_rng(0).random(n_materials)) % N_FOLDS)[material]
    for number in range(N_FOLDS if n_materials >= FEWEST_PARTED else 0):
        inside = part == number
        if (sigma[~inside] > 0).any():
            others = Recalibration.fit(kind, errors[~inside], sigma[~inside])
            out[:, inside] = others.quantile(levels)[:, None]
    return out
