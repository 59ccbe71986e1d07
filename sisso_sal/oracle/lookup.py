"""An oracle that reads labels from a column of a table: for tests, for trial runs, and for results that exist already."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.data.classes import class_labels
from sisso_sal.data.headers import split_header
from sisso_sal.data.table import Table, read_table
from sisso_sal.errors import TableError
from sisso_sal.protocols import Answer, Receipt, Request
from sisso_sal.system.documents import shown

if TYPE_CHECKING:
    from sisso_sal.settings.campaign import CampaignSettings

__all__ = ["Lookup", "from_table"]

logger = logging.getLogger(__name__)


class Lookup:
    """Answers at once with the values of a table.

    Parameters
    ----------
    path : path
        A CSV or Parquet file.
    target : str
        Header of the column of labels, as in the table of candidates; units must be the same.
    id_name : str
        Name of the column of ids, as in the table of candidates; ``row`` for row numbers.
    of_classes : bool
        Whether the labels are names of classes.

    Raises
    ------
    TableError
        The file cannot be read, or lacks a column.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "truth.csv")
    ...     _ = path.write_text("name,gap (eV)\\nMgO,7.8\\nCaO,\\n")
    ...     oracle = Lookup(path, "gap (eV)", "name")
    >>> receipt = oracle.submit(Request("a-1", "MgO", {}))
    >>> oracle.collect([receipt])[0].value
    7.8
    """

    poll = 0.0
    barred: Mapping[str, str] = MappingProxyType({})

    def __init__(self, path: str | Path, target: str, id_name: str, of_classes: bool = False):
        self.path = Path(path)
        self._labels: Mapping[str, float | str] = {}
        if of_classes:
            self._labels = {id: name for id, name in class_labels(path, target, id_name).items() if name}
            return
        table = read_table(self.path, target=target, id=id_name, features=())
        for line in table.notes:
            logger.info("%s: %s", path, line)
        name, unit = split_header(target)
        if table.target_name != name or table.target_unit != unit:
            header = table.header(table.target_name or name)
            raise TableError(f"{path}: needs the labels in a column '{target}', found '{header}'")
        values = np.asarray(table.target)
        self._labels = {id: float(value) for id, value in zip(table.ids, values, strict=True) if np.isfinite(value)}

    def describe(self) -> dict[str, Any]:
        return {"oracle": "lookup", "table": self.path.name}

    def differences(self, labels: Mapping[str, float | str]) -> list[str]:
        return [
            f"{self.path}: row '{id}': {value} -> {self._labels.get(id, 'no label')}"
            for id, value in labels.items()
            if self._labels.get(id) != value
        ]

    def submit(self, request: Request) -> Receipt:
        return Receipt(request.intent, request.id)

    def query(self, request: Request) -> Receipt | None:
        return self.submit(request)

    def collect(self, receipts: Sequence[Receipt]) -> Sequence[Answer]:
        return [self._answer(receipt) for receipt in receipts]

    def _answer(self, receipt: Receipt) -> Answer:
        if receipt.id not in ("", receipt.job):
            reason = f"needs the answer for {shown(receipt.id)}, found the receipt of {shown(receipt.job)}"
            return Answer(receipt.intent, kind="invalid", reason=reason)
        if receipt.job in self._labels:
            return Answer(receipt.intent, value=self._labels[receipt.job])
        return Answer(receipt.intent, kind="no_label", reason=f"{self.path} has no label for it")

    def close(self) -> None:
        """Nothing is open."""


def from_table(settings: CampaignSettings, run: Path, table: Table, path: str) -> Lookup:
    """The labels of another table, for the candidates of `table`; see `sisso_sal.oracle.registry.OracleKind`."""
    return Lookup(path, table.header(table.target_name or ""), table.id_name, table.classes is not None)
