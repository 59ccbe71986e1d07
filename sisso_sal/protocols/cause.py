"""Why there is no prediction: causes as numbers for arrays, and the words that terminal, JSON and page share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import IntEnum

import numpy as np

UNKNOWN = "no reason is known"
"""Where a surrogate tells no cause."""


class Cause(IntEnum):
    """Why a formula is not valid for a candidate; 0 stands for one that is.

    Examples
    --------
    >>> Cause.ZERO_DIVISOR.words
    'division by zero'
    """

    NEGATIVE_LOG = 1
    ZERO_LOG = 2
    NEGATIVE_ROOT = 3
    ZERO_DIVISOR = 4
    TOO_LARGE = 5
    NOT_FINITE = 6
    OUTSIDE = 7
    NO_INVERSE = 8

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    Cause.NEGATIVE_LOG: "log of a negative number",
    Cause.ZERO_LOG: "log of zero",
    Cause.NEGATIVE_ROOT: "root of a negative number",
    Cause.ZERO_DIVISOR: "division by zero",
    Cause.TOO_LARGE: "a value too large for a number",
    Cause.NOT_FINITE: "a feature that is no finite number",
    Cause.OUTSIDE: "outside the training range of a descriptor",
    Cause.NO_INVERSE: "outside the range of the transformed target",
}


def reasons(mean: np.ndarray, cause: np.ndarray | None) -> np.ndarray:
    """Why candidates have no prediction.

    Parameters
    ----------
    mean : ndarray (n_candidates,)
        NaN where there is no prediction.
    cause : ndarray (n_members, n_candidates) of int, optional
        A `Cause` of each member that is not valid, 0 for the others.

    Returns
    -------
    ndarray (n_candidates,) of str
        The words of the most frequent cause, of equally frequent ones the first; "" where there is a prediction.

    Examples
    --------
    >>> reasons(np.array([1.0, np.nan]), np.array([[0, 4], [0, 7], [0, 4]])).tolist()
    ['', 'division by zero']
    """
    out = np.full(len(mean), "", dtype=object)
    for row in np.flatnonzero(~np.isfinite(mean)):
        causes = np.zeros(0, dtype=int) if cause is None else cause[cause[:, row] > 0, row]
        if len(causes):
            out[row] = Cause(int(np.bincount(causes).argmax())).words
        else:
            out[row] = UNKNOWN if cause is None else Cause.NO_INVERSE.words
    return out


def counted(words: Iterable[str]) -> dict[str, int]:
    """How often each reason occurs, the most frequent first; "" is none.

    Examples
    --------
    >>> counted(["division by zero", "", "log of zero", "log of zero"])
    {'log of zero': 2, 'division by zero': 1}
    """
    number = Counter(word for word in words if word)
    return dict(sorted(number.items(), key=lambda item: (-item[1], item[0])))


def in_words(counts: dict[str, int]) -> str:
    """Reasons with their numbers in one line.

    Examples
    --------
    >>> in_words({"log of zero": 2, "division by zero": 1})
    'log of zero (2), division by zero (1)'
    """
    return ", ".join(f"{reason} ({number})" for reason, number in counts.items())
