"""A surrogate, an acquisition and an oracle that a package of one's own adds to sisso-sal, by entry points alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from sisso_sal.errors import FitError, OracleError
from sisso_sal.oracle.registry import OracleKind
from sisso_sal.protocols import (
    Acquisition,
    Answer,
    Prediction,
    Progress,
    Receipt,
    Request,
    Space,
    SurrogateKind,
)


class Neighbours:
    """Predicts the mean of the labels of the nearest materials in standardised primary features; their spread is its sigma.

    Parameters
    ----------
    k : int
        Number of neighbours, which are the members of the prediction.

    Examples
    --------
    >>> from sisso_sal.protocols import Surrogate
    >>> isinstance(Neighbours(), Surrogate)
    True
    """

    def __init__(self, k: int = 3):
        self.k = k

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Neighbours:
        """Keep the labels and where they are; see `Surrogate`."""
        if len(labels) < self.k:
            raise FitError(f"neighbours: needs at least {self.k} labels, found {len(labels)}")
        known = space.rows(rows).matrix
        self._scale = np.where(known.std(axis=0) > 0, known.std(axis=0), 1.0)
        self._known, self._labels = known / self._scale, np.asarray(labels, dtype=float)
        if progress is not None:
            progress(1, 1)
        return self

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Each of the nearest labels is a member; see `Surrogate`."""
        asked = space.rows(rows).matrix / self._scale
        distance = np.linalg.norm(asked[:, None, :] - self._known[None, :, :], axis=2)
        nearest = np.argsort(distance, axis=1, kind="stable")[:, : self.k]
        members = self._labels[nearest].T
        spread = members.std(axis=0, ddof=1)
        return Prediction(members.mean(axis=0), spread, spread, members, np.ones(members.shape, dtype=bool))


NEIGHBOURS = SurrogateKind(
    "neighbours", "the mean of the three nearest labels", lambda settings, seed, threads: Neighbours(),
    lambda settings: (3, " for three neighbours"),
)  # fmt: skip


OPTIMISM = Acquisition(
    "optimism",
    lambda scene: scene.std - scene.goal.distance(scene.mean),
    summary="an example of an acquisition of one's own",
    meaning="the optimistic end of the prediction, one standard deviation from its mean",
    has_unit=True,
)


@dataclass(frozen=True)
class Sum:
    """Labels a material at once with the sum of some of its columns."""

    columns: tuple[str, ...]

    poll = 0.0
    barred = MappingProxyType({})

    def describe(self) -> dict[str, Any]:
        return {"oracle": "sum", "columns": list(self.columns)}

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        return []

    def submit(self, request: Request) -> Receipt:
        missing = [column for column in self.columns if column not in request.candidate]
        if missing:
            raise OracleError(f"sum: needs a column '{missing[0]}', found {', '.join(request.candidate)}")
        return Receipt(request.intent, repr(sum(float(request.candidate[column]) for column in self.columns)))

    def query(self, request: Request) -> Receipt | None:
        return self.submit(request)

    def collect(self, receipts: Sequence[Receipt]) -> Sequence[Answer]:
        return [Answer(receipt.intent, value=float(receipt.job)) for receipt in receipts]

    def close(self) -> None:
        """Nothing is open."""


SUM = OracleKind(
    written="sum:A+B",
    words="the sum of columns of the table",
    make=lambda settings, run, table, rest: Sum(tuple(rest.split("+"))),
)
