"""From a raw sigma to a predictive distribution, learned from the errors of what did not see each label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.groups import consecutive, n_materials
from sisso_sal.models.record_types import read_record
from sisso_sal.models.records import RecalibrationRecord
from sisso_sal.models.widths import Widths
from sisso_sal.protocols.distribution import GAUSSIAN, Distribution, Shape

KINDS = ("none", "scale", "isotonic")
"""Ways to recalibrate."""

FEWEST = 12
"""With errors of fewer materials nothing is recalibrated: quantiles of so few errors are noise."""

N_FOLDS = 10
"""Parts in which a recalibration is judged: each by one fitted to the others."""

FEWEST_PARTED = 2 * N_FOLDS
"""With fewer materials the errors that a recalibration is judged by are those that it was learned from."""

EVEN = 20.0
"""Errors that stand for "both sides alike", beside those that are seen, when the sides are told apart."""


NOTHING = 1e-200
"""An error of fewer sigmas is none at all."""


@dataclass(frozen=True)
class Recalibration:
    """How a predictive distribution follows from a mean and a raw sigma.

    Attributes
    ----------
    kind : str
        ``none`` leaves a Gaussian of the raw sigma. ``scale`` multiplies sigma (Palmer et al., npj Comput. Mater. 8, 115 (2022)).
        ``isotonic`` learns widths (`Widths`) and the shape: it maps nominal to observed probabilities (Kuleshov, Fenner, Ermon,
        ICML 2018), linearly between the scores and Gaussian beyond the last, with a side for errors below and one for errors above
        the mean. The two have the scales `low` and `high`, and the weights that keep the mean where it is (two-piece
        distribution; Wallis, Stat. Sci. 29, 106 (2014)).
    factor : float
        Of ``scale``.
    widths : Widths or None
        Of ``isotonic``.
    scores : tuple of float
        ``|error| / (width times scale of its side)``, in order; no unit.
    low, high : float
        Scales of the sides; no unit.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.uniform(0, 9, 400)
    >>> found = Recalibration.fit("isotonic", labels, labels + rng.normal(0, 2, 400), np.ones(400))
    >>> told = found.distribution(np.array([4.0]), np.ones(1))
    >>> bool(1.8 < told.std[0] < 2.3), bool(0.1 < told.probability(high=2.0)[0] < 0.25)
    (True, True)
    """

    kind: str = "none"
    factor: float = 1.0
    widths: Widths | None = None
    scores: tuple[float, ...] = ()
    low: float = 1.0
    high: float = 1.0

    @classmethod
    def fit(
        cls, kind: str, labels: np.ndarray, mean: np.ndarray, sigma: np.ndarray, groups: np.ndarray | None = None
    ) -> Recalibration:
        """Learn from labels and predictions that did not see them; samples without a positive sigma are left out.

        Parameters
        ----------
        kind : str
        labels, mean, sigma : ndarray (n,)
            In the target's unit.
        groups : ndarray (n,) of int, optional
            Samples with the same number are one material; by default each is one. With fewer than `FEWEST` materials the result is
            of kind ``none``.

        Raises
        ------
        SettingsError
            The kind is unknown.
        FitError
            No sample has a positive sigma.
        """
        if kind not in KINDS:
            raise SettingsError(f"recalibration: needs one of {', '.join(KINDS)}, found '{kind}'")
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            usable = np.isfinite((labels - mean) / sigma) & (sigma > 0)
        if not usable.any():
            raise FitError("calibration: needs at least one sample with a spread above 0, found none")
        groups = np.arange(len(labels)) if groups is None else groups
        labels, mean, sigma, groups = labels[usable], mean[usable], sigma[usable], groups[usable]
        z = (labels - mean) / sigma
        z[np.abs(z) < NOTHING] = 0.0
        if kind == "none" or n_materials(groups) < FEWEST or not z.any():
            return cls()
        if kind == "scale":
            return cls(kind, float(np.sqrt(np.mean(z**2))))
        widths = Widths.fit(labels, mean, sigma, groups)
        z = z / widths.factors(mean)
        below, size = z < 0, float(np.abs(z).mean())
        low, high = (
            float((np.abs(z[side]).sum() + EVEN * size) / (side.sum() + EVEN) / size) for side in (below, ~below)
        )
        scores = np.sort(np.abs(z) / np.where(below, low, high))
        return cls(kind, 1.0, widths, tuple(scores.tolist()), low, high)

    @cached_property
    def shape(self) -> Shape:
        """Of the error over its width."""
        if not self.scores:
            return GAUSSIAN
        scores, n = np.array(self.scores), len(self.scores)
        below, known = self.high / (self.low + self.high), np.arange(1, n + 1) / (n + 1)
        nodes = np.concatenate([-self.low * scores[::-1], [0.0], self.high * scores])
        levels = np.concatenate([below * (1.0 - known[::-1]), [below], below + (1.0 - below) * known])
        last = float(scores[-1] / ndtri(0.5 + known[-1] / 2))
        return Shape(nodes, levels, below, (self.low * last, self.high * last))

    def distribution(self, mean: np.ndarray, sigma: np.ndarray, floor: float = -np.inf) -> Distribution:
        """The predictive distribution of candidates from mean and raw sigma (n,); no value is below `floor`."""
        factor = self.factor if self.widths is None else self.widths.unseen * self.widths.factors(mean)
        return Distribution(mean, factor * sigma, self.shape, floor)

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return {
            "kind": self.kind,
            "factor": self.factor,
            "widths": None if self.widths is None else self.widths.to_json(),
            "scores": list(self.scores),
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | RecalibrationRecord) -> Recalibration:
        """The inverse of `to_json`.

        Raises
        ------
        ModelFileError
            A key is missing, or a value cannot be.
        """
        record = read_record(RecalibrationRecord, data)
        widths = None if record.widths is None else Widths.from_json(record.widths)
        return cls(record.kind, record.factor, widths, tuple(record.scores.tolist()), record.low, record.high)


def held_out(
    kind: str,
    labels: np.ndarray,
    mean: np.ndarray,
    sigma: np.ndarray,
    groups: np.ndarray | None = None,
    floor: float = -np.inf,
) -> Iterator[tuple[np.ndarray, Distribution]]:
    """The predictive distribution of each sample, by a recalibration from the nine tenths of the materials it is not in.

    Which those are does not depend on the order of samples. Fewer than 20 materials are too few to part: all of them see the
    recalibration of the whole.

    Parameters
    ----------
    kind, labels, mean, sigma, groups
        As of `Recalibration.fit`.
    floor : float

    Yields
    ------
    ndarray of int, Distribution
        Numbers of some samples, and their distribution.
    """
    material = np.arange(len(labels)) if groups is None else consecutive(groups)
    n = int(material.max()) + 1
    _, first = np.unique(material[np.lexsort((sigma, mean))], return_index=True)
    place = np.argsort(np.argsort(first))
    part = (np.argsort(np.random.default_rng(0).random(n)) % N_FOLDS)[place][material]
    if n < FEWEST_PARTED:
        part = np.zeros(len(labels), dtype=np.int64)
    for number in np.unique(part):
        inside = np.flatnonzero(part == number)
        seen = part != number if n >= FEWEST_PARTED else np.ones(len(labels), dtype=bool)
        if not (sigma[seen] > 0).any():
            seen = np.ones(len(labels), dtype=bool)
        found = Recalibration.fit(kind, labels[seen], mean[seen], sigma[seen], material[seen])
        yield inside, found.distribution(mean[inside], sigma[inside], floor)
