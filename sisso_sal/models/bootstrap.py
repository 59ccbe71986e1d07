"""Bootstrap samples and dropout of primary features: what each member of an ensemble may see."""

from __future__ import annotations

import numpy as np

from sisso_sal.errors import SettingsError

KINDS = ("plain", "stratified", "bayesian")
"""Kinds of bootstrap by name."""

N_STRATA = 5
"""Quantile groups of the target in a stratified sample."""


def draw_weights(kind: str, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weight of each sample in one member; 0 for those that it does not see, about exp(-1) of all.

    Parameters
    ----------
    kind : str
        ``plain``: as many draws with replacement as there are samples (Efron, Ann. Stat. 7, 1 (1979)).
        ``stratified``: the same within each fifth of the samples by target, so that no member misses a tail.
        ``bayesian``: exponential weights (Rubin, Ann. Stat. 9, 130 (1981)) on a random share of 1 - exp(-1) of the samples; the
        others stay out, so that there are out-of-bag samples; two are always seen, as a fit needs two.
    target : ndarray (n_samples,)
    rng : numpy Generator

    Returns
    -------
    ndarray (n_samples,)

    Raises
    ------
    SettingsError
        The kind is unknown.

    Examples
    --------
    >>> draw_weights("plain", np.arange(5.0), np.random.default_rng(0)).sum()
    np.float64(5.0)
    """
    n = len(target)
    if kind == "plain":
        return np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
    if kind == "stratified":
        order = np.argsort(target, kind="stable")
        weights = np.zeros(n)
        for stratum in np.array_split(order, min(N_STRATA, n)):
            np.add.at(weights, stratum[rng.integers(0, len(stratum), len(stratum))], 1.0)
        return weights
    if kind == "bayesian":
        weights = np.zeros(n)
        seen = rng.permutation(n)[: most_seen(kind, n)]
        weights[seen] = rng.exponential(size=len(seen))
        return weights * (len(seen) / weights.sum())
    raise SettingsError(f"bootstrap: needs one of {', '.join(KINDS)}, found '{kind}'")


def most_seen(kind: str, n: int) -> int:
    """Largest number of different samples among n that a member may see.

    Examples
    --------
    >>> most_seen("bayesian", 100)
    63
    """
    return min(n, max(2, round((1 - np.exp(-1)) * n))) if kind == "bayesian" else n


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
