"""Results of simulated campaigns: targets, enrichment and acceleration, each with a 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


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
        ``mean`` and ``interval`` (95 %, Student's t over the seeds) of the targets known at the end.
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
        "interval": _interval(ends),
        "enrichment": _summary(enrichment),
        "acceleration": _ratio(needed) if needed else None,
    }


def _random_evaluations(missing: int, left: int, pool: int, most: int) -> float:
    """Mean of min(T, most), where T random picks without replacement from `pool` find `missing` of `left` targets."""
    from scipy.stats import hypergeom

    return float(hypergeom.cdf(missing - 1, pool, left, np.arange(most)).sum())


def _ratio(needed: Sequence[tuple[float, int, bool]]) -> dict[str, Any]:
    """Ratio of the means of random picks and strategy, with a 95 % interval from the spread over the campaigns."""
    chance, own = (np.array([row[i] for row in needed], dtype=float) for i in (0, 1))
    reached = sum(row[2] for row in needed)
    if not reached:
        return {"mean": None, "interval": None, "reached": 0, "of": len(needed)}
    ratio = float(chance.mean() / own.mean())
    around = _interval((chance - ratio * own) / own.mean())
    interval = None if around is None else [ratio + end for end in around]
    return {"mean": ratio, "interval": interval, "reached": reached, "of": len(needed)}


def _summary(values: list[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)) if values else None, "interval": _interval(values)}


def _interval(values: Sequence[float]) -> list[float] | None:
    """95 % interval of the mean, by Student's t; None from fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values)))
    centre = float(np.mean(values))
    return [centre - half, centre + half]
