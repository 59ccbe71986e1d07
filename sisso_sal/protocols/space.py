"""What can be chosen: the seam Space."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Quantity:
    """A primary feature or a target: its name, its unit ("" where there is none), and both as the header of a column."""

    name: str
    unit: str = ""
    header: str = ""


@dataclass(frozen=True, eq=False)
class Rows:
    """Some candidates of a space, as arrays.

    Attributes
    ----------
    features : mapping of str to ndarray (n,)
        Primary features by name, in the units of the space.
    matrix : ndarray (n, n_primary)
        The same side by side, in the order of the space.
    make_composition : callable, optional
        Gives `composition`, where the candidates have formulas: these are parsed only if somebody asks.
    """

    features: Mapping[str, np.ndarray]
    matrix: np.ndarray
    make_composition: Callable[[], np.ndarray | None] | None = None

    @property
    def composition(self) -> np.ndarray | None:
        """Share of each element: ndarray (n, n_elements); None where the candidates have no formulas."""
        return None if self.make_composition is None else self.make_composition()


@runtime_checkable
class HasPartial(Protocol):
    """A space with columns of which a candidate may lack the value, as of calculations at a lower level."""

    @property
    def partial(self) -> Mapping[Quantity, np.ndarray]:
        """Values of all candidates, ndarray (n,) each, in the unit of the quantity; NaN where there is none."""
        ...

    def as_begun(self, snapshot: Path) -> tuple[Space, Mapping[str, Mapping[str, float]]]:
        """The space without the values that were filled into these columns since a snapshot of a run, and what was filled.

        Parameters
        ----------
        snapshot : path
            The file in the run folder.

        Returns
        -------
        Space
        mapping of str to mapping of str to float
            Header of the column -> id -> value.
        """
        ...


@runtime_checkable
class HasClasses(Protocol):
    """A space whose labels stand for classes: 1 where a class is looked for, 0 where it is another."""

    @property
    def classes(self) -> Sequence[str] | None:
        """The name of the class of each candidate, "" where it is not known; None where labels are numbers."""
        ...


def classes_of(space: Space) -> Sequence[str] | None:
    """The name of the class of each candidate, "" where it is not known; None where labels are numbers."""
    return space.classes if isinstance(space, HasClasses) else None


@runtime_checkable
class Space(Protocol):
    """What can be chosen: candidates with stable ids, and what is known of them.

    Candidates are numbered from 0 in the order of `ids`. Values are asked for by number, in blocks where there are many, so that a
    space need not hold them in memory.
    """

    @property
    def name(self) -> str:
        """Where it comes from, for messages."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """Unique names of all n candidates."""
        ...

    @property
    def features(self) -> Sequence[Quantity]:
        """The primary features."""
        ...

    @property
    def target(self) -> Quantity | None:
        """What is predicted; None if nothing was named."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """ndarray (n,): the labels that came with the space, in the target's unit; NaN where there is none."""
        ...

    @property
    def errors(self) -> np.ndarray:
        """ndarray (n,): standard deviations of these labels, in the target's unit; 0 where there is none."""
        ...

    @property
    def groups(self) -> np.ndarray | None:
        """ndarray (n,) of int: candidates with the same number are one material; None where compositions decide, or features."""
        ...

    @property
    def settings(self) -> Mapping[str, str | None]:
        """The settings that the space fixes, such as ``target`` and ``id``: a campaign is continued with the same ones."""
        ...

    def rows(self, numbers: np.ndarray | None = None) -> Rows:
        """The candidates of these numbers; by default all."""
        ...

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """The numbers of all candidates in order, at most `size` at a time."""
        ...

    def candidate(self, number: int) -> Mapping[str, Any]:
        """What an oracle is told of a candidate, under the original headers; the target is left out."""
        ...

    def describe(self) -> dict[str, Any]:
        """What it is, as plain data for the ledger: ``table`` (its name), ``digest``, ``n_rows``, ``n_features``.

        It may have ``remarks``, a mapping that becomes part of each summary: what was left out, see `Table.remarks`.
        """
        ...

    def snapshot(self) -> bytes:
        """Its content for the run folder: a Parquet table with the ids and, under its header, each primary feature."""
        ...

    def differences(
        self,
        snapshot: Path,
        settings: Mapping[str, str | None],
        known: Mapping[str, float] | Mapping[str, str],
        came_later: Container[str],
    ) -> list[str]:
        """What differs from an earlier snapshot of a run, one line each; a gap that got a label is no difference.

        Parameters
        ----------
        snapshot : path
            The file in the run folder.
        settings : mapping
            The settings that the space fixed then.
        known : mapping of str to float, or to str
            Labels that the ledger has, by id; of classes their names.
        came_later : container of str
            Ids whose labels were not in the first table.
        """
        ...
