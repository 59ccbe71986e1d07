"""Choosing a batch from scores: never a candidate that is labelled, pending or failed; reproducible; diverse if wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sisso_sal.errors import SettingsError


def select(
    scores: np.ndarray,
    ids: Sequence[str],
    batch: int,
    *,
    excluded: np.ndarray | None = None,
    features: np.ndarray | None = None,
    diversity: float = 0.0,
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
    excluded : ndarray (n,) of bool, optional
        True for labelled, pending and failed candidates.
    features : ndarray (n, n_primary), optional
        Needed for diversity.
    diversity : float
        0 takes the best scores. Above 0 each further pick maximises (1 - diversity) times the rank of its score plus diversity
        times the rank of its distance from the picks so far, among the best 20 candidates per place in the batch.

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
    if excluded is not None:
        allowed &= ~excluded
    order = np.array(sorted(np.flatnonzero(allowed).tolist(), key=lambda i: (-scores[i], ids[i])), dtype=np.int64)
    if not diversity or features is None:
        return order[:batch]
    return _spread_out(order[: 20 * batch], features, batch, diversity)


def _spread_out(order: np.ndarray, features: np.ndarray, batch: int, diversity: float) -> np.ndarray:
    rows = features[order]
    # Sorted, because a sum in another order of rows differs in its last bit, and so could the picks.
    spread = np.sort(features, axis=0).std(axis=0)
    rows = rows / np.where(spread > 0, spread, 1.0)
    merit = 1.0 - np.arange(len(order)) / max(len(order), 1)
    picks: list[int] = []
    nearest = np.full(len(order), np.inf)
    for _ in range(min(batch, len(order))):
        far = (
            np.argsort(np.argsort(nearest, kind="stable"), kind="stable") / len(order)
            if picks
            else np.zeros(len(order))
        )
        worth = (1 - diversity) * merit + diversity * far
        worth[picks] = -np.inf
        picks.append(int(np.argmax(worth)))
        nearest = np.minimum(nearest, np.linalg.norm(rows - rows[picks[-1]], axis=1))
    return order[picks]
