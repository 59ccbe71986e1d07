"""Candidates as a model sees them: what every kind of pool gives, a few thousand at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

N_ROWS = 15_360
"""Candidates at a time: what is kept of them is small, and they are a multiple of what learners are asked for at once."""


class PoolBlock(NamedTuple):
    """Some candidates in a row.

    - ``ids``: pyarrow.StringArray (n,)
    - ``columns``: mapping of str to ndarray (n,); primary features, in the units of the model; NaN where there is none.
    - ``shares``: ndarray (n, n_elements) or None; composition, see `sisso_sal.oxides.elements.atomic_fractions`; None where
      the model does not ask for it. NaN where it is not known.
    - ``unusable``: mapping of int to str; why some rows have no features or no composition.
    - ``formulas``: pyarrow.StringArray (n,) or None; from which the compositions come, where these are not the ids.
    """

    ids: pa.StringArray
    columns: Mapping[str, np.ndarray]
    shares: np.ndarray | None
    unusable: Mapping[int, str]
    formulas: pa.StringArray | None = None


@dataclass(frozen=True, kw_only=True)
class PoolReading:
    """How the columns of a pool become what a model asks for.

    Attributes
    ----------
    id : str or None
        Header of the ids; None for the numbers of the rows in the pool, from 1 on.
    features : dict of str to (str, float)
        Header of each primary feature, in the pool or among those that are made, and the factor that brings it to the unit of the
        model.
    formula : str or None
        Header of the formulas from which features are made; None where they are columns.
    composition : str or None
        Header of the formulas that tell the compositions; None where the model asks for none, or the pool has none.
    primaries : dict of str to str
        Unit of each primary feature that the model is given.
    """

    id: str | None = None
    features: dict[str, tuple[str, float]] = field(default_factory=dict)
    formula: str | None = None
    composition: str | None = None
    primaries: dict[str, str] = field(default_factory=dict)

    @property
    def has_formulas(self) -> bool:
        """Whether compositions come from another column than that of the ids."""
        return self.composition not in {None, self.id}

    @property
    def headers(self) -> list[str]:
        """Columns that are read, each once."""
        features = () if self.formula is not None else (header for header, _ in self.features.values())
        named = [self.id, self.formula, self.composition, *features]
        return list(dict.fromkeys(header for header in named if header is not None))
