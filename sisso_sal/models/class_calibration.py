"""Probabilities of classes: how far they can be believed, and what makes them believable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import numpy as np

from sisso_sal.models.calibration import reliability
from sisso_sal.models.posterior import effective_number

BINS = 10
"""Bins of claimed probability."""

DRAWS = 400
"""Sets of labels drawn to tell what a calibrated model shows."""

PULL = 10.0
"""How strongly the logarithm of the factor and the offsets are pulled towards 0, as by a normal prior of variance 1/10: before
there are labels, two of three factors lie between 0.73 and 1.37."""

PULL_OF_CHOSEN = 1.0
"""The same in a campaign, whose labels are those of materials that were chosen as the likeliest: a strong pull claims too much of
the next ones."""

FOLDS = 5
LEAST = 1e-6
"""Probabilities below this are taken for this."""


@dataclass(frozen=True, eq=False)
class ClassScaling:
    """Log-probabilities are multiplied by a factor, and each class but the first gets an offset (Guo et al., Proc. 34th ICML, 1321
    (2017); for two classes Platt's).

    Attributes
    ----------
    factor : float
    offsets : ndarray (n_classes,)
    """

    factor: float
    offsets: np.ndarray

    @classmethod
    def fit(
        cls, probability: np.ndarray, labels: np.ndarray, weights: np.ndarray, groups: np.ndarray, pull: float = PULL
    ) -> ClassScaling:
        """What makes labels most likely, and is not far from no change where they are of few materials.

        Parameters
        ----------
        probability : ndarray (n, n_classes)
        labels : ndarray (n,) of int
        weights : ndarray (n,)
        groups : ndarray (n,) of int
            Samples with the same number are one material.
        pull : float
            Towards no change; see `PULL`.

        Examples
        --------
        >>> claimed, labels = np.array([[0.3, 0.7], [0.8, 0.2]] * 50), np.array([1, 0] * 50)
        >>> few, many = (ClassScaling.fit(claimed[:n], labels[:n], np.ones(n), np.arange(n)) for n in (4, 100))
        >>> round(few.factor, 2), round(many.factor, 2)
        (1.11, 3.06)
        """
        from scipy.optimize import minimize

        logs = np.log(np.clip(probability, LEAST, 1.0))
        n_classes, rows = logs.shape[1], np.arange(len(labels))
        share = pull / (2.0 * effective_number(weights, groups))

        def loss(parameters: np.ndarray) -> float:
            scaled = np.exp(parameters[0]) * logs + np.concatenate([[0.0], parameters[1:]])
            scaled = scaled - scaled.max(axis=1, keepdims=True)
            own = scaled[rows, labels] - np.log(np.exp(scaled).sum(axis=1))
            return float(-(weights @ own) / weights.sum() + share * (parameters**2).sum())

        found: Any = minimize(
            loss, np.zeros(n_classes), method="L-BFGS-B", bounds=[(-4.0, 4.0)] + [(-10, 10)] * (n_classes - 1)
        )
        return cls(float(np.exp(found.x[0])), np.concatenate([[0.0], found.x[1:]]))

    def applied(self, probability: np.ndarray) -> np.ndarray:
        """ndarray (n, n_classes): the probabilities scaled; NaN where they are.

        Examples
        --------
        >>> ClassScaling(2.0, np.zeros(2)).applied(np.array([[0.25, 0.75]])).round(6).tolist()
        [[0.1, 0.9]]
        """
        return self.applied_to_classes(np.ascontiguousarray(probability.T)).T

    def applied_to_classes(self, probability: np.ndarray) -> np.ndarray:
        """The same with the classes in front, (n_classes, ...): what is said of a row does not depend on the rows beside it."""
        offsets = self.offsets.reshape(-1, *[1] * (probability.ndim - 1))
        scaled = self.factor * np.log(np.clip(probability, LEAST, 1.0)) + offsets
        scaled = np.exp(scaled - scaled.max(axis=0))
        return scaled / reduce(np.add, scaled)

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return {"factor": self.factor, "offsets": self.offsets.tolist()}


@dataclass(frozen=True)
class ClassCalibration:
    """How probabilities compare with the classes of held-out samples.

    Attributes
    ----------
    n : int
    accuracy : float
        Share of samples whose most probable class is theirs.
    log_loss : float
        Mean of minus the logarithm of the probability of the class that came.
    brier : float
        Mean over samples of the sum over classes of (probability - came)^2 (Brier, Mon. Weather Rev. 78, 1 (1950)).
    miscalibration : float
        Mean distance of claimed probability and the share that came, over `BINS` bins; for two classes of the second one's
        probability, else of all.
    noise_floor, noise_floor95 : float
        The same for labels that are drawn from the probabilities: mean, and 95th percentile.
    reliability : list of dict
        ``n``, ``claimed`` and ``real`` of each bin.
    """

    n: int
    accuracy: float
    log_loss: float
    brier: float
    miscalibration: float
    noise_floor: float
    noise_floor95: float
    reliability: list[dict[str, float]]

    @property
    def is_believable(self) -> bool:
        """Whether the miscalibration is one that calibrated probabilities may show."""
        return self.miscalibration <= self.noise_floor95

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def of(cls, probability: np.ndarray, labels: np.ndarray) -> ClassCalibration:
        """That of probabilities (n, n_classes) for labels (n,) that they were not made with.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> yes = rng.uniform(size=500)
        >>> labels = (rng.uniform(size=500) < yes).astype(int)
        >>> ClassCalibration.of(np.column_stack([1 - yes, yes]), labels).is_believable
        True
        """
        n, n_classes = probability.shape
        came = labels[:, None] == np.arange(n_classes)
        rng = np.random.default_rng(0)
        bounds = np.cumsum(probability, axis=1)[:, :-1]
        drawn = [(rng.random((n, 1)) > bounds).sum(axis=1)[:, None] == np.arange(n_classes) for _ in range(DRAWS)]
        floor = np.array([_distance(probability, one) for one in drawn])
        own = np.clip(probability[np.arange(n), labels], LEAST, 1.0)
        return cls(
            n,
            float((probability.argmax(axis=1) == labels).mean()),
            float(-np.log(own).mean()),
            float(((probability - came) ** 2).sum(axis=1).mean()),
            _distance(probability, came),
            float(floor.mean()),
            float(np.quantile(floor, 0.95)),
            reliability(*_claims(probability, came), BINS),
        )


def _claims(probability: np.ndarray, came: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if probability.shape[1] == 2:
        return probability[:, 1], came[:, 1]
    return probability.ravel(), came.ravel()


def _distance(probability: np.ndarray, came: np.ndarray) -> float:
    bins = reliability(*_claims(probability, came), BINS)
    total = sum(one["n"] for one in bins)
    return float(sum(one["n"] * abs(one["claimed"] - one["real"]) for one in bins) / total)


def held_out_scaling(
    probability: np.ndarray, labels: np.ndarray, weights: np.ndarray, groups: np.ndarray, seed: int, pull: float = PULL
) -> np.ndarray:
    """Probabilities (n, n_classes) scaled by what those of other materials tell, in `FOLDS` parts.

    Parameters
    ----------
    probability : ndarray (n, n_classes)
    labels, weights : ndarray (n,)
    groups : ndarray (n,) of int
        Samples with the same number are one material; numbers from 0 on without gaps.
    seed : int
    pull : float
        See `ClassScaling.fit`.
    """
    n_groups = int(groups.max()) + 1
    fold = (np.random.default_rng(seed).permutation(n_groups) % FOLDS)[groups]
    out = probability.copy()
    for number in np.unique(fold):
        others = fold != number
        if others.any():
            told = ClassScaling.fit(probability[others], labels[others], weights[others], groups[others], pull)
            out[~others] = told.applied(probability[~others])
    return out
