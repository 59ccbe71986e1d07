"""Chosen features of one problem, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sisso_sal.engine import _values
from sisso_sal.engine.logarithms import log_magnitudes
from sisso_sal.features.space import FeatureSpace


@dataclass(frozen=True)
class Selection:
    """Features of one problem, best first: parallel arrays of triples and scores.

    Attributes
    ----------
    opcode, left, right : ndarray (k,) of integers
        See `FeatureSpace.expression`.
    score : ndarray (k,)
        Largest absolute weighted correlation with a residual, float64.
    """

    opcode: np.ndarray
    left: np.ndarray
    right: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.opcode)

    def take(self, index: np.ndarray) -> Selection:
        return Selection(self.opcode[index], self.left[index], self.right[index], self.score[index])

    def split(self, owners: np.ndarray, n_owners: int) -> list[Selection]:
        """The features of each owner; `owners` (k,) ascend. They are views."""
        cuts = np.searchsorted(owners, np.arange(n_owners + 1)).tolist()
        columns = (self.opcode, self.left, self.right, self.score)
        return [Selection(*(column[start:stop] for column in columns)) for start, stop in pairwise(cuts)]

    def triple(self, number: int) -> tuple[int, int, int]:
        """Opcode and operands of one feature."""
        return int(self.opcode[number]), int(self.left[number]), int(self.right[number])

    @staticmethod
    def joined(parts: Sequence[Selection]) -> Selection:
        """The features of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        columns = zip(*((part.opcode, part.left, part.right, part.score) for part in parts), strict=True)
        return Selection(*map(np.concatenate, columns))

    @staticmethod
    def empty() -> Selection:
        return Selection(np.empty(0, np.int16), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))

    def values(self, space: FeatureSpace) -> np.ndarray:
        """ndarray (k, n_samples): what is compared and fitted: values of the features, or their logarithms."""
        out, is_added = np.empty((len(self), space.n_samples)), space.is_added(self.left)
        left, right = (np.where(is_added, 0, numbers) for numbers in (self.left, self.right))
        _values.evaluate_many(self.opcode, left, right, space.values, out)
        if is_added.any():
            out[is_added] = space.added_values(self.left[is_added])
        return log_magnitudes(out) if space.settings.logarithms else out

    def by_origin(self, space: FeatureSpace) -> tuple[Selection, Selection]:
        """Those that are features of the space, and those that were added to it."""
        is_added = space.is_added(self.left)
        if not is_added.any():
            return self, Selection.empty()
        return self.take(np.flatnonzero(~is_added)), self.take(np.flatnonzero(is_added))
