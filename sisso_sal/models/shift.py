"""What a material of an unseen family deserves: whole families of labels are left out, and sigma grows with distance as they say.

A label that is left out has relatives among the others, and its error is that of a material with relatives. A candidate of another
family has none. How far it is from all labels, the processes know: by the share of a value that they cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.models.groups import n_materials
from sisso_sal.models.process import ProcessLearner

FEWEST = 3
"""Materials of a family. None has more than half of all materials, or more rows than `MOST_ROWS`."""

MOST_ROWS = 300
"""Rows of a family: to leave out more costs more than the fit."""

MOST_ELEMENTS, N_CLUSTERS = 12, 6
"""Families at most, by elements and by features."""

SEEN = 1.3
"""Times as large are errors in units of sigma where formulas and kernels have not seen the family either: geometric mean over five
tables, by elements (1.03 to 1.42) and by clusters (1.23 to 1.84), of whole fits without the family relative to
`GaussianProcess.without` (``benchmarks/families.py --refit 2``).
"""

HALF = 30
"""Materials left out with their families that count half against the expectation that no family is worse than others."""

QUANTILES = (0.5, 0.9)
"""Of the distances of labels that are left out one by one: from the first on sigma grows, up to the second."""

LEAST_WIDTH = 0.1
"""Least difference of the logarithms of these distances, so that rounding does not decide where all labels are equally far."""


@dataclass(frozen=True, eq=False)
class Shift:
    """How sigma grows with distance from the labels, and the errors that say so.

    Attributes
    ----------
    factor : float
        What sigma is multiplied by where all is new, at least 1: the root mean square error in units of sigma of families that
        were left out, over that of the same materials left out one by one, times `SEEN`.
    starts, ends : tuple of float
        For each process, logarithm of the novelty (`ProcessLearner.novelty`) up to which sigma stays, and from which on it is
        multiplied by the whole factor.
    by : str
        ``elements``, or ``clusters`` of features.
    families : tuple of ndarray of int
        Rows of each family.
    without_family : tuple of ndarray
        Mean of the processes for them, without the whole family; of a transformed target, transformed.
    one_by_one : ndarray (n,)
        The same without the material alone.

    References
    ----------
    Meredig et al., Mol. Syst. Des. Eng. 3, 819 (2018) (leave one cluster out).

    Examples
    --------
    >>> shift = Shift(2.0, (-2.0,), (-1.0,), "clusters", (), (), np.empty(0))
    >>> shift.widening([np.exp([-3.0, -1.5, 0.0])]).round(3)
    array([1.   , 1.414, 2.   ])
    """

    factor: float
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    by: str
    families: tuple[np.ndarray, ...]
    without_family: tuple[np.ndarray, ...]
    one_by_one: np.ndarray

    @classmethod
    def measured(
        cls,
        processes: Sequence[ProcessLearner],
        target: np.ndarray,
        features: np.ndarray,
        groups: np.ndarray,
        composition: np.ndarray | None = None,
        errors: np.ndarray | None = None,
    ) -> Shift | None:
        """Leave out family after family; None without processes, or with fewer than two families.

        The processes see out-of-bag predictions of the formulas, which know the rest of the family; `SEEN` stands for that.

        Parameters
        ----------
        processes : sequence of ProcessLearner
        target : ndarray (n,)
            What they have learned.
        features : ndarray (n, n_primary)
            Standardised.
        groups : ndarray (n,) of int
            Rows with the same number are one material; a family has all rows of its materials.
        composition : ndarray (n, n_elements), optional
        errors : ndarray (n,), optional
            Standard deviations of the labels.
        """
        by, families = _families(features, groups, composition)
        if not processes or len(families) < 2:
            return None
        pairs = [
            mixture(*zip(*(one.process.without(target, rows) for one in processes), strict=True)) for rows in families
        ]
        alone = mixture([one.left_out_mean for one in processes], [one.left_out_std for one in processes])
        everyone = np.concatenate(families)
        apart = np.concatenate([(target[rows] - mean) / std for rows, (mean, std) in zip(families, pairs, strict=True)])
        square, usual = (float(np.mean(z**2)) for z in (apart, ((target - alone[0]) / alone[1])[everyone]))
        if not (np.isfinite(square) and 0 < usual < np.inf and square > 0):
            return None
        n = n_materials(groups[everyone])
        factor = max(1.0, SEEN * (square / usual) ** (0.5 * n / (n + HALF)))
        novelties = [np.log(one.left_out_novelty(errors)) for one in processes]
        starts, ends = np.quantile(novelties, QUANTILES, axis=1)
        ends = np.maximum(ends, starts + LEAST_WIDTH)
        means = tuple(mean for mean, _ in pairs)
        return cls(factor, tuple(starts.tolist()), tuple(ends.tolist()), by, tuple(families), means, alone[0])

    def widening(self, novelties: Sequence[np.ndarray]) -> np.ndarray:
        """ndarray (n,): what sigma is multiplied by, from 1 to `factor`.

        Parameters
        ----------
        novelties : sequence of ndarray (n,)
            Of the first of the processes, or of all.
        """
        places = [
            np.clip((np.log(novelty) - start) / (end - start), 0.0, 1.0)
            for novelty, start, end in zip(novelties, self.starts, self.ends, strict=False)
        ]
        return np.exp(np.log(self.factor) * np.mean(places, axis=0))

    def as_dict(self, target: np.ndarray, inverse: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
        """For JSON: ``by``, ``n_families``, ``factor``, and in the target's unit ``rmse`` of families that were left out as a whole
        and ``rmse_one_by_one`` of the same materials.

        Parameters
        ----------
        target : ndarray (n,)
            What the processes have learned.
        inverse : callable
            From there back to the target's unit.
        """
        rows = np.concatenate(self.families)
        labels, alone = inverse(target), inverse(self.one_by_one)
        return {
            "by": self.by,
            "n_families": len(self.families),
            "factor": self.factor,
            "rmse": _rmse(labels[rows] - inverse(np.concatenate(self.without_family))),
            "rmse_one_by_one": _rmse((labels - alone)[rows]),
        }


def mixture(means: Sequence[np.ndarray], stds: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of an equal mixture, (n,) each."""
    mean = np.mean(means, axis=0)
    return mean, np.sqrt(np.mean(np.square(stds), axis=0) + np.mean(np.square(np.array(means) - mean), axis=0))


def _rmse(error: np.ndarray) -> float | None:
    """Of the errors that are known; None if none is."""
    known = error[np.isfinite(error)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else None


def _families(features: np.ndarray, groups: np.ndarray, composition: np.ndarray | None) -> tuple[str, list[np.ndarray]]:
    """Rows of each family, and what makes a family; clusters of features where there are not two elements that tell families."""
    by_element = [] if composition is None else list(_of_size(_of_elements(composition), groups))
    if len(by_element) > 1:
        return "elements", sorted(by_element, key=len, reverse=True)[:MOST_ELEMENTS]
    return "clusters", list(_of_size(_clusters(features), groups))


def _of_size(families: Iterator[np.ndarray], groups: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of those families (n,) of bool that are neither too small nor too large, with all rows of their materials."""
    n = n_materials(groups)
    for inside in families:
        rows = np.flatnonzero(np.isin(groups, groups[inside]))
        if len(rows) <= MOST_ROWS and FEWEST <= n_materials(groups[rows]) <= n / 2:
            yield rows


def _of_elements(composition: np.ndarray) -> Iterator[np.ndarray]:
    for shares in composition.T:
        yield shares > 0


def _clusters(features: np.ndarray) -> Iterator[np.ndarray]:
    """Rows nearest to each of a few that are far from each other (Gonzalez, Theor. Comput. Sci. 38, 293 (1985))."""
    nearest = (features**2).sum(axis=1)
    number = np.zeros(len(features), dtype=np.int64)
    for cluster in range(N_CLUSTERS):
        seed = int(np.argmax(nearest))
        if nearest[seed] <= 0:
            break
        apart = ((features - features[seed]) ** 2).sum(axis=1)
        number[(apart < nearest) | (cluster == 0)] = cluster
        nearest = apart if cluster == 0 else np.minimum(nearest, apart)
    for cluster in range(int(number.max()) + 1):
        yield number == cluster
