"""A space with more columns: features that a calculation at a lower level gives, with or without gaps."""

from __future__ import annotations

import io
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.protocols import Quantity, Rows, Space


class WithColumns:
    """A space whose candidates have further primary features, in the place of those of the same name.

    Parameters
    ----------
    space : Space
    columns : mapping of Quantity to ndarray (n,)
        Values of all candidates, in the unit of the quantity; NaN where there is none.
    target : Quantity, optional
        What is predicted, where that is not the target of the space. The labels of the space then say nothing of it.

    Examples
    --------
    >>> import pandas as pd
    >>> from sisso_sal.data.table import read_table
    >>> from sisso_sal.spaces.table import TableSpace
    >>> frame = pd.DataFrame({"id": ["a", "b"], "x": [1.0, 2.0], "y": [3.0, None]})
    >>> wider = WithColumns(TableSpace(read_table(frame)), {Quantity("z", "eV", "z (eV)"): np.array([5.0, 6.0])})
    >>> [feature.name for feature in wider.features], wider.rows(np.array([1])).matrix.tolist()
    (['x', 'z'], [[2.0, 6.0]])
    """

    def __init__(self, space: Space, columns: Mapping[Quantity, np.ndarray], target: Quantity | None = None):
        self._space, self._columns = space, dict(columns)
        named = {quantity.name for quantity in columns}
        self._kept = [number for number, feature in enumerate(space.features) if feature.name not in named]
        self.target = space.target if target is None else target

    @property
    def name(self) -> str:
        """That of the space."""
        return self._space.name

    @property
    def ids(self) -> tuple[str, ...]:
        """Those of the space."""
        return self._space.ids

    @property
    def features(self) -> Sequence[Quantity]:
        """Those of the space, then the further ones."""
        own = self._space.features
        return (*(own[number] for number in self._kept), *self._columns)

    @property
    def labels(self) -> np.ndarray:
        """Those of the space."""
        return self._space.labels

    @property
    def errors(self) -> np.ndarray:
        """Those of the space."""
        return self._space.errors

    @property
    def groups(self) -> np.ndarray | None:
        """Those of the space."""
        return self._space.groups

    @property
    def settings(self) -> Mapping[str, str | None]:
        """Those of the space."""
        return self._space.settings

    def rows(self, numbers: np.ndarray | None = None) -> Rows:
        """The candidates of these numbers; by default all."""
        rows = self._space.rows(numbers)
        where = slice(None) if numbers is None else numbers
        more = {quantity.name: values[where] for quantity, values in self._columns.items()}
        columns = {feature.name: rows.features[feature.name] for feature in self.features if feature.name not in more}
        matrix = np.column_stack([rows.matrix[:, self._kept], *more.values()])
        return Rows({**columns, **more}, matrix, rows.make_composition)

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """Those of the space."""
        return self._space.blocks(size)

    def candidate(self, number: int) -> Mapping[str, Any]:
        """As the space tells it."""
        return self._space.candidate(number)

    def describe(self) -> dict[str, Any]:
        """As the space does."""
        return self._space.describe()

    def snapshot(self) -> bytes:
        """That of the space with the further columns, which take the place of those of the same header."""
        import pandas as pd

        frame = pd.read_parquet(io.BytesIO(self._space.snapshot()))
        for quantity, values in self._columns.items():
            frame[quantity.header] = values
        content = io.BytesIO()
        frame.to_parquet(content)
        return content.getvalue()

    def differences(
        self,
        snapshot: Path,
        settings: Mapping[str, str | None],
        known: Mapping[str, float] | Mapping[str, str],
        came_later: Container[str],
    ) -> list[str]:
        """Those of the space."""
        return self._space.differences(snapshot, settings, known, came_later)
