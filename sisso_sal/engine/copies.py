"""float32 copies of the stored features of a space, from which the pairs are scored."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from sisso_sal.engine import _pairs, _values
from sisso_sal.engine._scores import Scoring
from sisso_sal.features.space import FeatureSpace

BLOCK = 1024
"""Features that are copied at a time."""


class FloatCopies:
    """float32 copies of the stored features, each made when it is first needed."""

    def __init__(self, values: np.ndarray):
        self._values = values

    @cached_property
    def values(self) -> _pairs.Factors:
        return self._scaled(lambda rows: rows)

    @cached_property
    def inverses(self) -> _pairs.Factors:
        return self._scaled(np.reciprocal)

    def _scaled(self, function: Callable[[np.ndarray], np.ndarray]) -> _pairs.Factors:
        """Rows divided by powers of two, so that their largest value is about 1; rows that are not finite are zero."""
        out, squares = np.zeros(self._values.shape, dtype=np.float32), np.ones(len(self._values))
        for start in range(0, len(out), BLOCK):
            part = slice(start, start + BLOCK)
            with np.errstate(divide="ignore", over="ignore"):
                rows = function(self._values[part])
                largest = np.abs(rows).max(axis=1)
                scale = np.ldexp(1.0, np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1])
                squares[part] = scale**2
            good = np.isfinite(largest)
            out[part][good] = rows[good] / scale[good, None]
        return _pairs.Factors(out, squares)

    @cached_property
    def centred(self) -> tuple[np.ndarray, np.ndarray]:
        """Values less their means, and the means."""
        means = self._values.mean(axis=1)
        return self._less(means), means

    @cached_property
    def plain(self) -> tuple[np.ndarray, np.ndarray]:
        """Values as they are, and zeros."""
        means = np.zeros(len(self._values))
        return self._less(means), means

    def _less(self, means: np.ndarray) -> np.ndarray:
        out = np.empty(self._values.shape, dtype=np.float32)
        with np.errstate(over="ignore"):
            np.subtract(self._values, means[:, None], out=out, casting="same_kind")
        return out

    def shifted(self, centre: bool) -> tuple[np.ndarray, np.ndarray]:
        """Copies less their means, and the means; without intercept nothing is taken off."""
        return self.centred if centre else self.plain

    def moments(self, scoring: Scoring) -> tuple[np.ndarray, ...]:
        """Moments of the shifted copies in one problem, see `_pairs.Shifted`."""
        factors = scoring.weights * np.vstack([np.ones_like(scoring.weights), scoring.targets])
        n_stored, n_targets = len(self._values), len(factors) - 1
        found = (
            np.empty(n_stored, np.float32),
            np.empty(n_stored, np.float32),
            np.empty((n_targets, n_stored), np.float32),
        )
        _values.moments(self._values, self.shifted(scoring.centre)[1], factors, *found)
        return found


_copies: WeakKeyDictionary[FeatureSpace, FloatCopies] = WeakKeyDictionary()
"""Those of the spaces in use, so that each pass over a space need not make them again."""


def copies_of(space: FeatureSpace) -> FloatCopies:
    """The copies of a space, kept as long as the space."""
    return _copies.setdefault(space, FloatCopies(space.values))
