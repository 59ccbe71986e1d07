"""Results of simulated campaigns: targets, enrichment and acceleration, each with a 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FEWEST_STARTS = 3
"""Campaigns from which on a mean has an interval: that of two would be thirteen times as wide as they are apart."""


def figures_of_merit(counts: Sequence[Sequence[int]], n_targets: int, n_materials: int, n_start: int) -> dict[str, Any]:
    """Means of a strategy over its campaigns.

    Parameters
    ----------
    counts : sequence of sequence of int
        For each seed the number of targets known at the start and after each evaluation.
    n_targets, n_materials, n_start : int

    Returns
    -------
    dict
        ``mean`` and ``interval`` of the targets known at the end. Intervals are of the mean over all starts: 95 %, Student's t over
        the seeds, without what no campaign can reach; None from fewer than `FEWEST_STARTS` campaigns.
        ``enrichment``: new targets per evaluation, divided by the expected number for random picks.
        ``acceleration``: mean number of evaluations until half of all targets are known, for random picks (exact expectation,
        counted up to the last evaluation) divided by that for the strategy. Both means are over the campaigns that start below half
        of the targets; ``of`` is the number of these campaigns, and the value is None if there are none. ``reached`` of them
        reached half of the targets. For the others all evaluations are counted, although the strategy needs more: if not all
        campaigns reached half, ``mean`` is an upper bound; if none did, ``mean`` is None.

    Examples
    --------
    >>> figures_of_merit([[0, 1, 2], [0, 1, 1]], 2, 20, 2)["enrichment"]["mean"]
    6.75
    """
    ends = [row[-1] for row in counts]
    most = max((len(row) - 1 for row in counts), default=0)
    enrichment, needed = [], []
    for row in counts:
        left, pool = n_targets - row[0], n_materials - n_start
        new, evaluations = row[-1] - row[0], len(row) - 1
        if left and evaluations:
            enrichment.append(new / evaluations / (left / pool))
        missing = -(-n_targets // 2) - row[0]
        if missing > 0 and evaluations:
            times = [t for t, value in enumerate(row) if value - row[0] >= missing]
            by_chance = _random_evaluations(missing, left, pool, evaluations)
            needed.append((by_chance, times[0] if times else evaluations, bool(times)))
    return {
        "mean": float(np.mean(ends)),
        "interval": _interval(ends, min(n_targets, n_start + most)),
        "enrichment": {
            "mean": float(np.mean(enrichment)) if enrichment else None,
            # If every evaluation finds a target, more of them are left than there are evaluations.
            "interval": _interval(enrichment, (n_materials - n_start) / max(most, 1)),
        },
        "acceleration": _ratio(needed, most) if needed else None,
    }


def _random_evaluations(missing: int, left: int, pool: int, most: int) -> float:
    """Mean of min(T, most), where T random picks without replacement from `pool` find `missing` of `left` targets."""
    from scipy.stats import hypergeom

    return float(hypergeom.cdf(missing - 1, pool, left, np.arange(most)).sum())


def _ratio(needed: Sequence[tuple[float, int, bool]], most: int) -> dict[str, Any]:
    """Ratio of the means of random picks, which is at most `most`, and strategy, with a 95 % interval from the spread over the
    campaigns."""
    chance, own = (np.array([row[i] for row in needed], dtype=float) for i in (0, 1))
    reached = sum(row[2] for row in needed)
    if not reached:
        return {"mean": None, "interval": None, "reached": 0, "of": len(needed)}
    ratio = float(chance.mean() / own.mean())
    interval = _interval(ratio + (chance - ratio * own) / own.mean(), most)
    return {"mean": ratio, "interval": interval, "reached": reached, "of": len(needed)}


def _interval(values: Sequence[float] | np.ndarray, most: float) -> list[float] | None:
    """95 % interval of a mean that is between 0 and `most`, by Student's t.

    A mean that cannot lie outside these bounds lies in what is left of the interval as often as in the whole.

    Examples
    --------
    >>> _interval([25, 25, 25, 24], 25)[1], _interval([25, 2], 25)
    (25.0, None)
    """
    if len(values) < FEWEST_STARTS:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values)))
    centre = float(np.mean(values))
    return [max(centre - half, 0.0), min(centre + half, float(most))]
