"""A table of another format as a Parquet file beside the results, so that workers can read it piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sisso_sal.data.arrow import text_array
from sisso_sal.data.table import Table
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.screening.block import PoolReading
from sisso_sal.screening.shards import JOINED
from sisso_sal.system.storage import write_whole, writing

COPIES = "pool"
"""Folder of a screening that has the copies."""


def keep_copy(
    folder: Path, table: Table, columns: Mapping[str, np.ndarray], units: Mapping[str, str], knows_composition: bool
) -> tuple[Path, PoolReading]:
    """Write what a model reads of a table, under a name that its content makes; a copy that is there stays.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    table : Table
        Of its rows the ids, and the text that tells the compositions.
    columns : mapping of str to ndarray (n,)
        Primary features in the units of the model.
    units : mapping of str to str
        Of the primary features.
    knows_composition : bool
        Whether all ids, or all cells of a column of text, are formulas.

    Returns
    -------
    path : Path
    reading : PoolReading
    """
    parts: dict[str, pa.Array] = {"id": text_array(table.ids)}
    formulas = formulas_of(table) if knows_composition else None
    if formulas is not None and formulas != table.ids:
        parts["composition"] = text_array(formulas)
    of = {name: f"x{number}" for number, name in enumerate(columns)}
    parts |= {of[name]: _numbers(values) for name, values in columns.items()}
    reading = PoolReading(
        id="id",
        features={name: (header, 1.0) for name, header in of.items()},
        composition=None if formulas is None else "composition" if "composition" in parts else "id",
        primaries={name: units[name] for name in columns},
    )
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(parts), sink, row_group_size=JOINED)
    content = sink.getvalue().to_pybytes()
    path = folder / f"{hashlib.sha256(content).hexdigest()[:32]}.parquet"
    if not path.exists():
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return path, reading


def formulas_of(table: Table) -> tuple[str, ...] | None:
    """The texts that `composition_of` reads; None where there are none."""
    columns = [cells for name, cells in table.text.items() if name.lower() in {"formula", "composition"}]
    return next((cells for cells in (table.ids, *columns) if atomic_fractions(cells) is not None), None)


def _numbers(values: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
