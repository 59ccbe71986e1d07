"""Pools of candidates, each read shard by shard: Parquet files, and formulas that are enumerated."""

# pyarrow.compute makes its functions at import, out of a type checker's sight.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sisso_sal.data.arrow import numbers_of, text_array
from sisso_sal.data.cells import shown
from sisso_sal.errors import TableError
from sisso_sal.oxides.elements import fractions_or_nan
from sisso_sal.oxides.primary_features import featurize
from sisso_sal.screening.block import N_ROWS, PoolBlock, PoolReading
from sisso_sal.screening.shards import Shard

NO_FORMULA = "no formula that can be read"
NO_FEATURES = "no features can be made from the formula"


class PoolPart(Protocol):
    """What is predicted together: plain data of a few hundred bytes."""

    @property
    def n_rows(self) -> int:
        """Candidates, or about how many."""
        ...

    @property
    def label(self) -> str:
        """Begins the name of the file with its predictions."""
        ...

    def key(self, *, by_number: bool) -> Any:
        """What results depend on, for JSON."""
        ...


def blocks_of_shard(shard: Shard, reading: PoolReading) -> Iterator[PoolBlock]:
    """The rows of a shard in order, `N_ROWS` at a time.

    Raises
    ------
    TableError
        The file is gone or damaged.
    """
    try:
        yield from _blocks(shard, reading)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{shard.path}: needs a readable Parquet file, found: {shown(str(error), 120)}") from error


def _blocks(shard: Shard, reading: PoolReading) -> Iterator[PoolBlock]:
    place = shard.first + 1
    with pq.ParquetFile(shard.path) as file:
        batches = file.iter_batches(
            N_ROWS, row_groups=list(shard.groups), columns=_roots(file, reading), use_threads=False
        )
        for batch in _between(batches, shard.skip, shard.n_rows):
            yield block_of(batch, reading, place)
            place += batch.num_rows


def _roots(file: pq.ParquetFile, reading: PoolReading) -> list[str] | None:
    """Columns to read; where rows are named by their numbers and nothing else is read, the first one."""
    return reading.headers or file.schema_arrow.names[:1]


def _between(batches: Iterator[pa.RecordBatch], skip: int, n_rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of `N_ROWS` rows of those from `skip` on, whatever batches they come in."""
    kept: list[pa.RecordBatch] = []
    n_kept = 0
    for batch in batches:
        gone = min(skip, batch.num_rows)
        skip -= gone
        batch = batch.slice(gone, min(batch.num_rows - gone, n_rows))
        n_rows -= batch.num_rows
        while batch.num_rows:
            part = batch.slice(0, N_ROWS - n_kept)
            batch = batch.slice(part.num_rows)
            kept.append(part)
            n_kept += part.num_rows
            if n_kept == N_ROWS:
                yield _joined(kept)
                kept, n_kept = [], 0
        if not n_rows:
            break
    if kept:
        yield _joined(kept)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def block_of(batch: pa.RecordBatch, reading: PoolReading, place: int) -> PoolBlock:
    """The candidates of a batch; `place` is the number of its first row in the pool, from 1 on."""
    n = batch.num_rows
    numbers = text_array([str(number) for number in range(place, place + n)]) if reading.id is None else None
    ids = numbers if numbers is not None else _texts(batch.column(reading.id))
    unusable: dict[int, str] = {}
    if reading.formula is None:
        columns = {name: factor * _numbers(batch.column(header)) for name, (header, factor) in reading.features.items()}
    else:
        columns = _made(_texts(batch.column(reading.formula)).to_pylist(), reading, unusable)
    if reading.composition is None:
        return PoolBlock(ids, columns, None, unusable)
    formulas = _texts(batch.column(reading.composition)) if reading.has_formulas else ids
    shares = compositions(formulas, unusable)
    return PoolBlock(ids, columns, shares, unusable, formulas if reading.has_formulas else None)


def _numbers(column: pa.Array) -> np.ndarray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return numbers_of(pa.chunked_array([column.cast(pa.float64(), safe=False)]))


def _texts(column: pa.Array) -> pa.StringArray:
    """Trimmed text, "" where there is none."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return pc.utf8_trim_whitespace(pc.fill_null(column.cast(pa.string()), text_array([""])[0]))


def _made(formulas: list[str], reading: PoolReading, unusable: dict[int, str]) -> dict[str, np.ndarray]:
    """Features of oxides from their formulas; why some have none is written into `unusable`."""
    made, rejected = featurize(formulas)
    reasons = dict(rejected)
    rows = [row for row, formula in enumerate(formulas) if formula not in reasons]
    unusable.update((row, NO_FEATURES) for row, formula in enumerate(formulas) if formula in reasons)
    columns = {}
    for name, (header, factor) in reading.features.items():
        columns[name] = np.full(len(formulas), np.nan)
        columns[name][rows] = factor * made[header].to_numpy()
    return columns


def compositions(formulas: pa.StringArray, unusable: dict[int, str]) -> np.ndarray:
    """ndarray (n, n_elements): shares of elements, NaN where a text is no formula; which these are is written into `unusable`."""
    shares = fractions_or_nan(formulas)
    for row in np.flatnonzero(np.isnan(shares[:, 0])).tolist():
        unusable.setdefault(row, NO_FORMULA)
    return shares
