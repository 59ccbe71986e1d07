"""Predictions for all candidates of a space, block by block, so that what a surrogate needs for them fits into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.protocols import Prediction, Space, Surrogate

if TYPE_CHECKING:
    from sisso_sal.protocols.distribution import Distribution

BLOCK = 100_000
"""Candidates at a time."""

_LIKE_THE_CANDIDATES = (
    "mean",
    "std",
    "std_raw",
    "members",
    "valid",
    "formulas_mean",
    "outside",
    "distance",
    "cause",
    "range95",
)


def predict_all(surrogate: Surrogate, space: Space, block: int = BLOCK, *, with_members: bool = True) -> Prediction:
    """The prediction for every candidate, in the order of the space.

    Parameters
    ----------
    surrogate : Surrogate
        Fitted.
    space : Space
    block : int
        Largest number of candidates that the surrogate is asked for at a time.
    with_members : bool
        Without them, `Prediction.members` has no rows where there are several blocks: 30 members of a million candidates are
        240 MB, and only few acquisitions use them.

    Returns
    -------
    Prediction
        Of all n candidates.

    Examples
    --------
    >>> from sisso_sal.data.table import read_table
    >>> from sisso_sal.models.surrogates import Forest
    >>> from sisso_sal.spaces.table import TableSpace
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"id": list("abcde"), "x": [1.0, 2.0, 3.0, 4.0, 5.0], "y": [1.0, 4.0, 9.0, None, None]})
    >>> space = TableSpace(read_table(frame))
    >>> forest = Forest().fit(space, np.arange(3), space.labels[:3], np.zeros(3))
    >>> bool((predict_all(forest, space, 2).mean == forest.predict(space, np.arange(5)).mean).all())
    True
    """
    n = len(space.ids)
    joined: dict[str, Any] = {}
    told: list[tuple[np.ndarray, Distribution | None]] = []
    for numbers in space.blocks(block):
        part = surrogate.predict(space, numbers)
        if len(numbers) == n:
            return part
        told.append((numbers, part.distribution))
        for name in _LIKE_THE_CANDIDATES:
            values = getattr(part, name)
            if name == "members" and not with_members:
                values = values[:0]
            if name not in joined:
                joined[name] = None if values is None else np.empty((*values.shape[:-1], n), dtype=values.dtype)
            if values is None or joined[name] is None:
                joined[name] = None
            else:
                joined[name][..., numbers] = values
    return Prediction(**joined, distribution=_joined(told, n))


def _joined(parts: Sequence[tuple[np.ndarray, Distribution | None]], n: int) -> Distribution | None:
    """Of all n candidates; blocks of one surrogate share all but centre and scale. None where one has none."""
    known = [(numbers, told) for numbers, told in parts if told is not None]
    if not known or len(known) < len(parts):
        return None
    centre, scale = np.empty(n), np.empty(n)
    for numbers, told in known:
        centre[numbers], scale[numbers] = told.centre, told.scale
    return replace(known[0][1], centre=centre, scale=scale)
