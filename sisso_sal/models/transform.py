"""Target transforms: models are learned on a scale on which a long tail is short, and predict in the target's unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.record_types import read_record
from sisso_sal.models.records import LinkRecord

KINDS = ("none", "log", "yeo-johnson")
"""Transforms by name."""

REACH = 0.5
"""A transformed prediction further outside the range of the training targets than this share of its width has no inverse; nor one
closer to where the inverse diverges than this share of the distance that the outermost training target keeps."""

CLOSEST = 1e-6
"""An exponent brings no training target closer than this, relative, to where the inverse diverges; digits would be lost."""


@dataclass(frozen=True)
class TargetTransform:
    """A monotone function of the target, and its inverse.

    Attributes
    ----------
    kind : str
        ``none``; ``log``, the natural logarithm of a positive target; or ``yeo-johnson``, a power of the shifted and scaled
        target with an exponent of greatest likelihood (Yeo and Johnson, Biometrika 87, 954 (2000), eq. 2.1), if need be held
        back by `CLOSEST`.
    centre, scale : float
        Median and interquartile range of the training targets, in the target's unit; 0 and 1 but for ``yeo-johnson``.
    exponent : float
        Lambda of Yeo and Johnson.
    low, high : float
        Range of the transformed training targets; no unit.

    Examples
    --------
    >>> link = TargetTransform.fit("log", np.array([1.0, np.e]))
    >>> link.forward(np.array([1.0, np.e]))
    array([0., 1.])
    >>> link.inverse(np.array([0.5, 9.0])).round(3)
    array([1.649,   nan])
    """

    kind: str = "none"
    centre: float = 0.0
    scale: float = 1.0
    exponent: float = 1.0
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def fit(cls, kind: str, target: np.ndarray) -> TargetTransform:
        """The transform of a kind for training targets (n,).

        Raises
        ------
        SettingsError
            The kind is unknown.
        FitError
            A logarithm is asked for and a target is not positive.
        """
        if kind not in KINDS:
            raise SettingsError(f"transform: needs one of {', '.join(KINDS)}, found '{kind}'")
        if kind == "none":
            return cls()
        if kind == "log":
            if target.min() <= 0:
                raise FitError(f"transform: log needs a target above 0, found {target.min():g}; try yeo-johnson")
            transform = cls("log")
        else:
            from scipy.stats import yeojohnson_normmax

            low, centre, high = np.quantile(target, [0.25, 0.5, 0.75])
            scale = float(high - low) or float(np.ptp(target)) or 1.0
            scaled = (target - centre) / scale
            exponent = _held_back(float(np.asarray(yeojohnson_normmax(scaled))), scaled)
            transform = cls("yeo-johnson", float(centre), scale, exponent)
        scaled = transform.forward(target)
        return replace(transform, low=float(scaled.min()), high=float(scaled.max()))

    @property
    def is_identity(self) -> bool:
        return self.kind == "none"

    def forward(self, target: np.ndarray) -> np.ndarray:
        """ndarray (n,): transformed targets, without unit (`none`: as they are); NaN where there is none."""
        if self.kind == "none":
            return target
        from scipy.stats import yeojohnson

        with np.errstate(all="ignore"):
            scaled = (target - self.centre) / self.scale
            moved = np.log(target) if self.kind == "log" else np.asarray(yeojohnson(scaled, self.exponent))
        # An infinite target may have a finite power.
        return np.where(np.isfinite(target) & np.isfinite(moved), moved, np.nan)

    def forward_error(self, target: np.ndarray, error: np.ndarray) -> np.ndarray:
        """ndarray (n,): standard deviations of transformed targets, from those of targets (n,) by a step of that size upwards.

        Examples
        --------
        >>> TargetTransform("log").forward_error(np.array([2.0]), np.array([0.2])).round(4)
        array([0.0953])
        """
        return error if self.kind == "none" else np.abs(self.forward(target + error) - self.forward(target))

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest transformed value that has an inverse."""
        margin = REACH * (self.high - self.low)
        low, high = self.low - margin, self.high + margin
        if self.kind == "yeo-johnson":  # at these the inverse diverges
            if self.exponent < 0:
                high = min(high, _towards(self.high, -1.0 / self.exponent))
            if self.exponent > 2:
                low = max(low, -_towards(-self.low, -1.0 / (2.0 - self.exponent)))
        return low, high

    def inverse(self, value: np.ndarray) -> np.ndarray:
        """ndarray (n,): back in the target's unit; NaN outside `limits`."""
        if self.kind == "none":
            return value
        low, high = self.limits
        inside = np.isfinite(value) & (value >= low) & (value <= high)
        t = np.where(inside, value, np.clip(0.0, low, high))
        with np.errstate(over="ignore"):
            back = np.exp(t) if self.kind == "log" else self.centre + self.scale * _inverse_power(t, self.exponent)
        return np.where(inside, back, np.nan)

    def back(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What normally distributed transformed targets are in the target's unit.

        Parameters
        ----------
        mean, std : ndarray (n,)
            Of each transformed target; no unit.

        Returns
        -------
        median, sigma : ndarray (n,)
            Sigma is half the distance between the inverses of ``mean - std`` and ``mean + std``. Both are NaN where one of the
            three has no finite inverse: an end that is not known must not pass for a narrow interval.

        Examples
        --------
        >>> TargetTransform.fit("log", np.array([1.0, np.e])).back(np.array([0.5, 0.5]), np.array([0.1, 9.0]))
        (array([1.64872127,        nan]), array([0.16514705,        nan]))
        """
        if self.kind == "none":
            return mean, std
        median, low, high = self.inverse(mean), self.inverse(mean - std), self.inverse(mean + std)
        known = np.isfinite(median) & np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):
            sigma = 0.5 * (high - low)
        return np.where(known, median, np.nan), np.where(known, sigma, np.nan)

    def phrase(self, target: str) -> str:
        """What a formula gives, as text: the target, or a function of it."""
        if self.kind == "none":
            return target
        if self.kind == "log":
            return f"log({target})"
        shift = f"{'+' if self.centre < 0 else '-'} {abs(self.centre):.6g}"
        return f"yeo_johnson(({target} {shift})/{self.scale:.6g}, lambda = {self.exponent:.4g})"

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return {"kind": "none"} if self.is_identity else asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | LinkRecord) -> TargetTransform:
        """The inverse of `to_json`.

        Raises
        ------
        ModelFileError
            A key is missing, or a value cannot be.
        """
        return cls() if data == {"kind": "none"} else cls(**read_record(LinkRecord, data).model_dump())


def _towards(edge: float, pole: float) -> float:
    """A point on the way from the outermost training value to where the inverse diverges."""
    return edge + REACH * (pole - edge) if edge < pole else float(np.nextafter(pole, 0.0))


def _held_back(exponent: float, scaled: np.ndarray) -> float:
    """The exponent, or the nearest that keeps 1 + exponent * t (and its twin below 0) at `CLOSEST` or above."""
    with np.errstate(divide="ignore"):
        least = np.log(CLOSEST) / np.log1p(max(0.0, scaled.max()))
        most = 2.0 - np.log(CLOSEST) / np.log1p(max(0.0, -scaled.min()))
    return float(np.clip(exponent, least, most))


def _inverse_power(t: np.ndarray, exponent: float) -> np.ndarray:
    up, down = np.maximum(t, 0.0), np.maximum(-t, 0.0)
    other = 2.0 - exponent
    # Of a subnormal exponent too few digits are left to divide by.
    above = np.expm1(up) if abs(exponent) < np.finfo(float).tiny else np.expm1(np.log1p(exponent * up) / exponent)
    below = np.expm1(down) if other == 0 else np.expm1(np.log1p(other * down) / other)
    return np.where(t >= 0, above, -below)


IDENTITY = TargetTransform()
