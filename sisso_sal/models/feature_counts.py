"""How many features of each rung a search went through, and how many were left out for which cause."""

from __future__ import annotations

from collections import Counter

import numpy as np

from sisso_sal.features.space import FeatureSpace


def feature_counts(
    space: FeatureSpace, causes: Counter, n_constant: int
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Features of each rung, and those left out by cause.

    Parameters
    ----------
    space : FeatureSpace
    causes : Counter
        Those of the last rung that its values told.
    n_constant : int
        Primary features that say no more than the intercept.
    """
    sizes = {str(rung): size for rung, size in enumerate(space.sizes)}
    rejected = {str(rung): dict(counts) for rung, counts in enumerate(space.rejected)}
    if space.settings.rung:
        last = str(space.settings.rung)
        sizes[last] -= causes.total()
        for cause, number in causes.items():
            rejected[last][cause] = rejected[last].get(cause, 0) + number
    if n_constant:
        sizes["0"] -= n_constant
        rejected["0"]["constant"] = n_constant
    if space.settings.logarithms:
        _count_zeros(space, sizes, rejected)
    return sizes, {rung: {cause: n for cause, n in sorted(counts.items()) if n} for rung, counts in rejected.items()}


def _count_zeros(space: FeatureSpace, sizes: dict[str, int], rejected: dict[str, dict[str, int]]) -> None:
    """Stored features with a zero have no logarithm: they are not screened, but others are made of them."""
    values, start = space.values, 0
    for rung, size in enumerate(space.sizes[: max(1, space.settings.rung)]):
        rows, start = values[start : start + size], start + size
        n = int(((rows == 0).any(axis=1) & (np.ptp(rows, axis=1) > 0)).sum())
        sizes[str(rung)] -= n
        rejected[str(rung)]["domain"] = rejected[str(rung)].get("domain", 0) + n
