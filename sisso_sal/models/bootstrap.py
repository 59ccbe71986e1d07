"""Bootstrap samples and dropout of primary features: what each member of an ensemble may see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def draw_counts(n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n samples is drawn in n draws with replacement; 0 for about exp(-1) of them.

    Source: Efron, Ann. Stat. 7, 1 (1979).

    Parameters
    ----------
    n : int
    rng : numpy Generator

    Returns
    -------
    ndarray (n,)
        Whole numbers, as floats.

    Examples
    --------
    >>> draw_counts(5, np.random.default_rng(0))
    array([0., 2., 1., 1., 1.])
    """
    return np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)


def draw_allowed(n_primary: int, dropout: float, rng: np.random.Generator) -> np.ndarray:
    """Which primary features a member may use: all but a random share, at least one.

    Examples
    --------
    >>> int(draw_allowed(10, 0.2, np.random.default_rng(0)).sum())
    8
    """
    allowed = np.ones(n_primary, dtype=bool)
    allowed[rng.permutation(n_primary)[: min(round(dropout * n_primary), n_primary - 1)]] = False
    return allowed


def leave_each_out(samples: np.ndarray, is_enough: Callable[[np.ndarray], bool], seed: int) -> np.ndarray:
    """Bootstrap samples in which no material is in all of them, so that each has an out-of-bag prediction.

    With twenty members or more that is so by itself. Where it is not, one member has another of its materials so much more often
    in the place of this one; what the others leave out stays left out.

    Parameters
    ----------
    samples : ndarray (n_members, n)
        How often each material is drawn.
    is_enough : callable
        Counts (n,) -> whether a member can be fitted to them.
    seed : int

    Returns
    -------
    ndarray (n_members, n)

    Examples
    --------
    >>> leave_each_out(np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 2.0]]), lambda counts: True, 1).tolist()
    [[0.0, 3.0, 0.0], [1.0, 0.0, 2.0]]
    """
    samples, rng = samples.copy(), np.random.default_rng(seed)
    for material in np.flatnonzero((samples > 0).all(axis=0)):
        for member in rng.permutation(len(samples)):
            changed = samples[member].copy()
            others = np.flatnonzero(changed > 0)
            others = others[others != material]
            if not len(others):
                continue
            changed[rng.choice(others)] += changed[material]
            changed[material] = 0.0
            if is_enough(changed):
                samples[member] = changed
                break
    return samples
