"""Bootstrap samples and dropout of primary features: what each member of an ensemble may see."""

from __future__ import annotations

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
