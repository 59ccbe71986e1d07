"""Choosing a batch from scores: never a candidate that is labelled, pending or failed; reproducible; diverse if wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

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
    return _spread_out(order[: PER_PICK * batch], _made(pending), _distances(features, composition), batch, diversity)


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


def _made(pending: np.ndarray | None) -> np.ndarray:
    """Numbers of the picks that are being computed."""
    return np.empty(0, dtype=np.int64) if pending is None else np.flatnonzero(pending)


class Standing(NamedTuple):
    """By what k candidates were taken before all others, given those above each.

    - chosen_by: ndarray (k,), the score, or with diversity the weighted sum of the ranks of score and distance.
    - far: ndarray (k,), with diversity the share of the best candidates that are nearer to the picks above; else 0.
    """

    chosen_by: np.ndarray
    far: np.ndarray


def standing(
    picks: np.ndarray,
    scores: np.ndarray,
    ids: Sequence[str],
    batch: int,
    *,
    features: np.ndarray | None = None,
    diversity: float = 0.0,
    composition: np.ndarray | None = None,
    pending: np.ndarray | None = None,
) -> Standing:
    """By what each pick of `select` was taken.

    Parameters
    ----------
    picks : ndarray (k,) of int
        What `select` chose from the other arguments, which are those that it was given; here the score of a candidate that was
        excluded is NaN.

    Examples
    --------
    >>> scores, ids = np.array([0.1, 0.9, 0.9, np.nan]), ["a", "c", "b", "d"]
    >>> standing(select(scores, ids, 3), scores, ids, 3).chosen_by
    array([0.9, 0.9, 0.1])
    """
    if not diversity or features is None:
        return Standing(scores[picks], np.zeros(len(picks)))
    order = select(scores, ids, PER_PICK * batch, pending=pending)
    distances, place = _distances(features, composition), {row: number for number, row in enumerate(order.tolist())}
    nearest = _nearest(order, _made(pending), distances)
    chosen_by, far = np.empty(len(picks)), np.empty(len(picks))
    for number, row in enumerate(picks.tolist()):
        worth, ranks = _worth(nearest, diversity)
        chosen_by[number], far[number] = worth[place[row]], ranks[place[row]]
        nearest = np.minimum(nearest, distances(row, order))
    return Standing(chosen_by, far)


def _nearest(order: np.ndarray, made: np.ndarray, distances: _Distances) -> np.ndarray:
    """Distance of each candidate from the nearest that is being computed: ndarray (len(order),)."""
    nearest = np.full(len(order), np.inf)
    for i in made:
        nearest = np.minimum(nearest, distances(i, order))
    return nearest


def _worth(nearest: np.ndarray, diversity: float) -> tuple[np.ndarray, np.ndarray]:
    """Of candidates in the order of their scores: what decides, and the share of them that is nearer to the picks so far."""
    merit = 1.0 - np.arange(len(nearest)) / max(len(nearest), 1)
    far = np.searchsorted(np.sort(nearest), nearest) / len(nearest)  # equal distances, equal ranks: the score decides
    return (1 - diversity) * merit + diversity * far, far


def _spread_out(order: np.ndarray, made: np.ndarray, distances: _Distances, batch: int, diversity: float) -> np.ndarray:
    nearest = _nearest(order, made, distances)
    picks: list[int] = []
    for _ in range(min(batch, len(order))):
        worth, _ = _worth(nearest, diversity)
        worth[picks] = -np.inf
        picks.append(int(np.argmax(worth)))
        nearest = np.minimum(nearest, distances(order[picks[-1]], order))
    return order[picks]
