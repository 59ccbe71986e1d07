"""Which features of a space a problem may use: those without the primary features that it must not have."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np

from sisso_sal.features.pairs import Pairs
from sisso_sal.features.space import FeatureSpace

_admitted: WeakKeyDictionary[FeatureSpace, dict[bytes, list[Pairs]]] = WeakKeyDictionary()
"""What `admitted_pairs` gave for the spaces in use, so that each pass over a space need not go over its pairs again."""


def forbidden_words(space: FeatureSpace, allowed: Sequence[np.ndarray]) -> np.ndarray:
    """ndarray (n_problems, n_words) of uint64: bits of the primaries that each may not use, as in `FeatureSpace.masks`.

    allowed: for each problem `Problem.allowed`.
    """
    words = np.zeros((len(allowed), space.masks.shape[1]), dtype=np.uint64)
    for i, is_allowed in enumerate(np.array(allowed).T):
        words[~is_allowed, i // 64] |= np.uint64(1 << (i % 64))
    return words


def admitted_pairs(space: FeatureSpace, allowed: Sequence[np.ndarray]) -> list[list[Pairs]]:
    """For each problem the pairs that it may use, see `FeatureSpace.pairs`; allowed as in `forbidden_words`."""
    known, out = _admitted.setdefault(space, {}), []
    for own, forbidden in zip(allowed, forbidden_words(space, allowed), strict=True):
        key = own.tobytes()
        if key not in known:
            admitted = np.logical_not((space.masks & forbidden).any(axis=1))
            known[key] = [pairs.only(admitted, admitted) for pairs in space.pairs]
        out.append(known[key])
    return out
