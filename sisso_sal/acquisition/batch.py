"""Choosing a batch from scores: never a candidate that is labelled, pending or failed; reproducible; diverse if wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sisso_sal.errors import SettingsError

PER_PICK = 20
"""Number of candidates with the best scores, for each pick of a batch, among which diversity chooses."""


def select(
    scores: np.ndarray,
    ids: Sequence[str],
    batch: int,
    *,
    excluded: np.ndarray | None = None,
    features: np.ndarray | None = None,
    diversity: float = 0.0,
    composition: np.ndarray | None = None,
    pending: np.ndarray | None = None,
) -> np.ndarray:
    """Numbers of the chosen candidates, best first.

    Parameters
    ----------
    scores : ndarray (n,)
        Greater is better; a candidate whose score is NaN or minus infinity is never chosen.
    ids : sequence of str, length n
        Equal scores are ordered by id.
    batch : int
        Largest number to choose.
    excluded, pending : ndarray (n,) of bool, optional
        Candidates that are never chosen. For diversity the pending ones, which are being computed, count as picks already made.
    features : ndarray (n, n_features), optional
        Descriptors or primary features, in any unit; needed for diversity. Where a row holds a value that is not finite, its
        features add 0 to its distance from any other; without a composition such a pick brings no other candidate near.
    diversity : float
        0 takes the best scores. Above 0 each further pick maximises (1 - diversity) times the rank of its score plus diversity
        times the rank of its distance from the picks so far, among the best 20 candidates per place in the batch. The distance is
        the Euclidean one in standardised features over sqrt(n_features), plus half the L1 distance of the compositions.
    composition : ndarray (n, n_elements), optional
        Atomic fractions, used for diversity.

    Returns
    -------
    ndarray (at most batch,) of int

    Raises
    ------
    SettingsError
        `batch` is not positive, or `diversity` is not in [0, 1] or comes without features.

    Examples
    --------
    >>> select(np.array([0.1, 0.9, 0.9, np.nan]), ["a", "c", "b", "d"], 3)
    array([2, 1, 0])
    """
    if batch < 1:
        raise SettingsError(f"batch: needs a number >= 1, found {batch}")
    if not 0 <= diversity <= 1 or (diversity and features is None):
        raise SettingsError(f"diversity: needs a number from 0 to 1 and features, found {diversity}")
    allowed = ~np.isnan(scores) & (scores > -np.inf)
    for barred in (excluded, pending):
        allowed &= True if barred is None else ~barred
    order = _best_first(scores, ids, np.flatnonzero(allowed), batch * (PER_PICK if diversity else 1))
    if not diversity or features is None:
        return order[:batch]
    made = np.flatnonzero(pending) if pending is not None else np.empty(0, dtype=np.int64)
    return _spread_out(order[: PER_PICK * batch], made, _distances(features, composition), batch, diversity)


def _best_first(scores: np.ndarray, ids: Sequence[str], rows: np.ndarray, n: int) -> np.ndarray:
    """The n best of these rows, and those that equal the last of them; equal scores by id."""
    if len(rows) > n:
        worst = np.partition(scores[rows], len(rows) - n)[len(rows) - n]
        rows = rows[scores[rows] >= worst]
    return np.array(sorted(rows.tolist(), key=lambda i: (-scores[i], ids[i])), dtype=np.int64)


_Distances = Callable[[int, np.ndarray], np.ndarray]
"""(number of a material, numbers of m others) -> its distances from them, ndarray (m,)."""


def _distances(features: np.ndarray, composition: np.ndarray | None) -> _Distances:
    whole = np.asarray(np.isfinite(features).all(axis=1))
    # Sorted, because a sum in another order of rows differs in its last bit, and so could the picks.
    spread = np.sort(features[whole], axis=0).std(axis=0) if whole.any() else np.ones(features.shape[1])
    places = np.where(whole[:, None], features, 0.0) / np.where(spread > 0, spread, 1.0)

    def distances(i: int, others: np.ndarray) -> np.ndarray:
        if not whole[i] and composition is None:
            return np.full(len(others), np.inf)
        apart = np.linalg.norm(places[others] - places[i], axis=1) / np.sqrt(max(features.shape[1], 1))
        apart = np.where(whole[others] & whole[i], apart, 0.0)
        if composition is not None:
            apart = apart + 0.5 * np.abs(composition[others] - composition[i]).sum(axis=1)
        return apart

    return distances


def _spread_out(order: np.ndarray, made: np.ndarray, distances: _Distances, batch: int, diversity: float) -> np.ndarray:
    merit = 1.0 - np.arange(len(order)) / max(len(order), 1)
    nearest = np.full(len(order), np.inf)
    for i in made:
        nearest = np.minimum(nearest, distances(i, order))
    picks: list[int] = []
    for _ in range(min(batch, len(order))):
        far = np.searchsorted(np.sort(nearest), nearest) / len(order)  # equal distances, equal ranks: the score decides
        worth = (1 - diversity) * merit + diversity * far
        worth[picks] = -np.inf
        picks.append(int(np.argmax(worth)))
        nearest = np.minimum(nearest, distances(order[picks[-1]], order))
    return order[picks]
