"""Two targets at once: the Pareto front, and which candidates are expected to extend it.

All functions minimise both targets; for a target that is to be large, change the sign of its values. The two targets of a candidate
count as independent Gaussians. Their errors could be correlated, but two separate models cannot show it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from sisso_sal.acquisition.scores import expected_improvement, probability_of_improvement
from sisso_sal.errors import InputError
from sisso_sal.protocols.distribution import Distribution

MARGIN = 0.1
"""How far beyond the front the reference point lies, as a share of the front's range in each target."""


def pareto_front(values: np.ndarray) -> np.ndarray:
    """Which rows no other row dominates, both targets minimised; equal rows are kept together, a row with NaN never is.

    Parameters
    ----------
    values : ndarray (n, 2)
        One column per target, each in its unit.

    Returns
    -------
    ndarray (n,) of bool

    Examples
    --------
    >>> pareto_front(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    array([ True,  True, False,  True])
    """
    known = ~np.isnan(values).any(axis=1)
    rows, origin = np.unique(values[known] + 0.0, axis=0, return_inverse=True)  # + 0.0: -0.0 and 0.0 are equal
    lowest = np.minimum.accumulate(rows[:, 1])
    kept = np.append(True, rows[1:, 1] < lowest[:-1])  # the rows ascend: only an earlier one can dominate
    front = np.zeros(len(values), dtype=bool)
    front[known] = kept[origin.reshape(-1)]
    return front


def hypervolume(front: np.ndarray, reference: np.ndarray) -> float:
    """Area that these points dominate below the reference, both targets minimised; in the product of the targets' units.

    Parameters
    ----------
    front : ndarray (k, 2)
        May be empty, hold dominated points and points beyond the reference.
    reference : ndarray (2,)

    Examples
    --------
    >>> hypervolume(np.array([[0.0, 0.5], [0.5, 0.0]]), np.array([1.0, 1.0]))
    0.75
    """
    steps = _staircase(front, reference)
    above = np.append(float(reference[1]), steps[:-1, 1])
    return float(np.sum((reference[0] - steps[:, 0]) * (above[: len(steps)] - steps[:, 1])))


def reference_point(values: np.ndarray) -> np.ndarray:
    """Worst values of interest: those of the front, and a tenth of its range beyond them (nadir point and margin).

    That is what is usually taken, and both ends of the front then count as well (Ishibuchi, Imada, Setoguchi and Nojima, Evol.
    Comput. 26, 411 (2018); the default of botorch too). A front of a single point has no range: then all rows together give both
    the worst values and the range.

    Parameters
    ----------
    values : ndarray (n, 2)
        Known values, one column per target, each in its unit; rows with NaN do not count.

    Returns
    -------
    ndarray (2,)

    Raises
    ------
    InputError
        There are fewer than two different rows, or all have the same value of a target.

    Examples
    --------
    >>> reference_point(np.array([[0.0, 2.0], [1.0, 0.0], [9.0, 9.0]])).tolist()
    [1.1, 2.2]
    """
    known = values[~np.isnan(values).any(axis=1)]
    front = known[pareto_front(known)]
    rows = front if len(front) and np.all(np.ptp(front, axis=0) > 0) else known
    if len(rows) == 0 or np.any(np.ptp(rows, axis=0) == 0):
        raise InputError(
            f"reference: needs rows with both targets known that differ in each, found {len(known)}; give --reference, the worst "
            "values of interest"
        )
    return rows.max(axis=0) + MARGIN * np.ptp(rows, axis=0)


def expected_hypervolume_improvement(
    mean: np.ndarray, std: np.ndarray, front: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    """Expected growth of `hypervolume` by a candidate with two independent Gaussian targets, in the product of their units.

    The area not yet dominated is cut into strips between the points of the front. What a strip gains in expectation is a product
    of a width and a height, both differences of expected improvements (Emmerich, Deutz and Klinkenberg, IEEE CEC 2011, 2147;
    Yang et al., J. Glob. Optim. 75, 3 (2019)). O(n k).

    Parameters
    ----------
    mean, std : ndarray (n, 2)
        One column per target, each in its unit; zero spread gives the growth itself.
    front : ndarray (k, 2)
        May be empty; dominated points and points beyond the reference change nothing.
    reference : ndarray (2,)
        Worst values of interest.

    Returns
    -------
    ndarray (n,)
        NaN where a mean is.

    Examples
    --------
    >>> front, reference = np.array([[0.0, 0.5], [0.5, 0.0]]), np.array([1.0, 1.0])
    >>> mean, std = np.array([[0.25, 0.25], [0.25, 0.25]]), np.array([[0.0, 0.0], [0.1, 0.1]])
    >>> expected_hypervolume_improvement(mean, std, front, reference).round(4)
    array([0.0625, 0.0628])
    """
    steps = _staircase(front, reference)
    rights = np.append(steps[:, 0], float(reference[0]))
    tops = np.append(float(reference[1]), steps[:, 1])
    total, left = np.zeros(len(mean)), np.zeros(len(mean))
    for right, top in zip(rights, tops, strict=True):
        reach = expected_improvement(Distribution(mean[:, 0], std[:, 0]), right)
        height = expected_improvement(Distribution(mean[:, 1], std[:, 1]), top)
        with np.errstate(invalid="ignore"):
            # An infinite reach is already in an earlier strip; infinity times nothing is nothing.
            width = np.where(left < reach, reach - left, 0.0)
            total += np.where((width > 0) & (height > 0), width * height, 0.0)
        left = reach
    return np.where(np.isnan(mean).any(axis=1), np.nan, total)


def probability_not_dominated(mean: np.ndarray, std: np.ndarray, front: np.ndarray) -> np.ndarray:
    """Probability that no point of the front dominates a candidate with two independent Gaussian targets.

    Exact, by the same strips as `expected_hypervolume_improvement`, which here end nowhere: between two neighbours of the front the
    first target has to fall, and the second below the left one. Without a front it is 1.

    Parameters
    ----------
    mean, std : ndarray (n, 2)
        One column per target, each in its unit; zero spread means that the value is known.
    front : ndarray (k, 2)
        May be empty; dominated points change nothing.

    Returns
    -------
    ndarray (n,)
        NaN where a mean is. A candidate that is certain to equal a point of the front is not dominated.

    Examples
    --------
    >>> front = np.array([[0.0, 0.5], [0.5, 0.0]])
    >>> mean, std = np.array([[0.25, 0.25], [0.5, 0.5], [0.5, 0.0]]), np.array([[0.1, 0.1], [0.1, 0.1], [0.0, 0.0]])
    >>> probability_not_dominated(mean, std, front).round(4)
    array([0.9877, 0.25  , 1.    ])
    """
    steps = _staircase(front, np.array([np.inf, np.inf]))
    total, left, below = np.zeros(len(mean)), np.zeros(len(mean)), np.ones(len(mean))
    for edge, top in steps:
        reach = probability_of_improvement(Distribution(mean[:, 0], std[:, 0]), edge)
        total += (reach - left) * below
        left, below = reach, probability_of_improvement(Distribution(mean[:, 1], std[:, 1]), top)
    total += (1.0 - left) * below
    certain = np.flatnonzero((std == 0).all(axis=1))
    total[certain[(mean[certain, None] == steps).all(axis=2).any(axis=1)]] = 1.0
    return np.where(np.isnan(mean).any(axis=1), np.nan, total)


def believed(mean: np.ndarray, std: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How a candidate that was chosen is believed to turn out, so that the next one is looked for elsewhere.

    Where the predicted values extend the front they are believed (kriging believer; Ginsbourger, Le Riche and Carraro,
    Computational Intelligence in Expensive Optimization Problems, 131 (2010)). A candidate that is predicted to lie behind the
    front was chosen for what it may become: it is believed to succeed. Of the boxes between neighbours of the front the one is
    taken where it gains most, the product of the expected improvements, and its values are the expected ones inside of this box.

    Parameters
    ----------
    mean, std : ndarray (2,)
        Each in its unit.
    front : ndarray (k, 2)
    reference : ndarray (2,)

    Returns
    -------
    ndarray (2,)
        A point that extends the front, unless the candidate cannot.

    Examples
    --------
    >>> front, reference = np.array([[0.0, 0.5], [0.5, 0.0]]), np.array([1.0, 1.0])
    >>> believed(np.array([0.2, 0.3]), np.array([0.1, 0.1]), front, reference).tolist()
    [0.2, 0.3]
    >>> believed(np.array([0.6, 0.6]), np.array([0.1, 0.1]), front, reference).round(2).tolist()
    [0.45, 0.45]
    """
    steps = _staircase(front, reference)
    if np.all(mean < reference) and not np.any(np.all(steps <= mean, axis=1)):
        return mean
    corners = np.column_stack([np.append(steps[:, 0], reference[0]), np.append(reference[1], steps[:, 1])])
    told = [Distribution(np.full(len(corners), mean[j]), np.full(len(corners), std[j])) for j in (0, 1)]
    reach = np.array([_each(expected_improvement, told[j], corners[:, j]) for j in (0, 1)])
    chance = np.array([_each(probability_of_improvement, told[j], corners[:, j]) for j in (0, 1)])
    best = int(np.argmax(reach[0] * reach[1]))
    if reach[0, best] * reach[1, best] <= 0.0:
        return mean
    return corners[best] - reach[:, best] / chance[:, best]


def _each(score: Callable[..., np.ndarray], told: Distribution, bounds: np.ndarray) -> np.ndarray:
    """A score of equal candidates, each with a bound of its own: ndarray (n,)."""
    return np.array([score(told, float(bound))[place] for place, bound in enumerate(bounds)])


MOST_DOUBTFUL = 0.25
"""Share of a batch, rounded up, that candidates with doubtful predictions take at most while there are others that gain."""


def choose_batch(
    mean: np.ndarray,
    std: np.ndarray,
    front: np.ndarray,
    reference: np.ndarray,
    ids: Sequence[str],
    batch: int,
    doubtful: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates chosen one after the other by the expected growth of the hypervolume.

    Each pick is believed to turn out as predicted, or to succeed where it is predicted to lie behind the front (`believed`), and
    enters the front so, so that the next one is looked for elsewhere along it. The models are not fitted again in between.

    Parameters
    ----------
    mean, std : ndarray (n, 2)
        Of the candidates, one column per target, each in its unit.
    front : ndarray (k, 2)
        What is known.
    reference : ndarray (2,)
        Worst values of interest.
    ids : sequence of str, length n
        Equal gains are ordered by id.
    batch : int
        Largest number to choose.
    doubtful : ndarray (n,) of bool, optional
        Candidates whose predictions are doubtful; they take at most `MOST_DOUBTFUL` of the batch while there are others that gain.

    Returns
    -------
    picks : ndarray (at most batch,) of int
        Numbers of the chosen, in the order of choice. One that cannot gain anything, or has no prediction, is never chosen.
    gains : ndarray (at most batch,)
        Expected growth by each, after those before it, in the product of the units. It never rises, but where doubtful candidates
        had to wait until no other gained.

    Examples
    --------
    >>> mean, std = np.array([[0.2, 0.2], [0.21, 0.2], [0.9, -0.2]]), np.zeros((3, 2))
    >>> picks, gains = choose_batch(mean, std, np.array([[0.5, 0.5]]), np.array([1.0, 1.0]), ["a", "b", "c"], 3)
    >>> picks.tolist(), gains.round(2).tolist()
    ([0, 2], [0.39, 0.04])
    """
    by_id = np.array(sorted(range(len(ids)), key=lambda i: ids[i]), dtype=np.int64)
    is_doubtful = np.zeros(len(ids), dtype=bool) if doubtful is None else doubtful
    places = math.ceil(MOST_DOUBTFUL * batch)
    picks: list[int] = []
    gains: list[float] = []
    known = np.asarray(front, dtype=float).reshape(-1, 2)
    while len(picks) < min(batch, len(ids)):
        growth = expected_hypervolume_improvement(mean[by_id], std[by_id], known, reference)
        growth = np.where(np.isnan(growth) | np.isin(by_id, picks), 0.0, growth)
        if is_doubtful[picks].sum() >= places:
            sure = np.where(is_doubtful[by_id], 0.0, growth)
            growth = sure if sure.max() > 0.0 else growth
        best = int(np.argmax(growth))
        if growth[best] <= 0.0:
            break
        picks.append(int(by_id[best]))
        gains.append(float(growth[best]))
        known = np.vstack([known, believed(mean[picks[-1]], std[picks[-1]], known, reference)])
    return np.array(picks, dtype=np.int64), np.array(gains)


def _staircase(front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The points of the front below the reference, each once, the first target ascending and the second descending."""
    front = np.asarray(front, dtype=float).reshape(-1, 2)
    front = front[np.all(front < reference, axis=1)]
    return np.unique(front[pareto_front(front)], axis=0)
