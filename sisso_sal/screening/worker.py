"""What a worker does with a part of a pool. It loads the model once, and writes each result whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sisso_sal.errors import ModelFileError, StorageError
from sisso_sal.models.class_formulas import FittedClasses
from sisso_sal.models.class_members import ClassMembers
from sisso_sal.models.files import read_model_of_one_task
from sisso_sal.models.needs import ModelOfOneTask
from sisso_sal.screening.block import PoolBlock
from sisso_sal.screening.class_judge import ClassJudge
from sisso_sal.screening.columns import UNIT
from sisso_sal.screening.job import ScreeningJob
from sisso_sal.screening.judge import Judge, NumberJudge
from sisso_sal.screening.oxide_pool import OxideShard, blocks_of_oxides
from sisso_sal.screening.pools import PoolPart, blocks_of_shard
from sisso_sal.screening.shards import Shard
from sisso_sal.screening.tally import OF_TARGET, Counts, Tally
from sisso_sal.system.storage import write_whole

RESULTS, PREDICTIONS = "shards", "predictions"
"""Folders of a screening: a file for each part."""

COUNTS = b"counts"
"""Key of the metadata of a result that has the counts of its part."""


def screen_part(folder: str, key: str, part: PoolPart) -> int:
    """Predict a part of a pool and write what is wanted of it; returns how many rows it has.

    Parameters
    ----------
    folder : str
        Of the screening.
    key : str
        `Job.key`, so that a worker never goes on with an earlier job.
    part : Shard or another

    Raises
    ------
    ModelFileError
        The model file is not the one with which the screening was started.
    StorageError
        A result cannot be written.
    """
    job, judge = _loaded(folder, key)
    tally = Tally(job, judge)
    for block in blocks_of(part, job):
        tally.add(block)
    name = job.name_of(part)
    about = {
        "target": job.target,
        "unit": job.unit,
        "goal": job.goal,
        "acquisition": job.acquisition,
        "model": job.digest,
    }
    if job.keeps_all:
        _write(
            predictions_file(folder, part, name),
            pa.concat_tables(tally.predictions),
            job,
            {b"sisso-sal": json.dumps(about)},
        )
    told = {b"sisso-sal": json.dumps(about), COUNTS: json.dumps(tally.counts.to_json())}
    _write(result_file(folder, name), tally.best.table(), job, told)
    return tally.counts.n_rows


def result_file(folder: str | Path, name: str) -> Path:
    """Of the part with this name."""
    return Path(folder, RESULTS, f"{name}.parquet")


def predictions_file(folder: str | Path, part: PoolPart, name: str) -> Path:
    """Of the part with this name."""
    return Path(folder, PREDICTIONS, f"{part.label}-{name}.parquet")


def read_result(path: Path) -> tuple[Counts, pa.Table]:
    """Counts and best candidates of a part.

    Raises
    ------
    StorageError
        The file is damaged.
    """
    try:
        table = pq.read_table(path, use_threads=False)
        return Counts.from_json(json.loads((table.schema.metadata or {})[COUNTS])), table
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read; remove it, and the same command makes it again") from error


def blocks_of(part: PoolPart, job: ScreeningJob) -> Iterator[PoolBlock]:
    """The candidates of a part."""
    if isinstance(part, OxideShard):
        return blocks_of_oxides(part, job.reading)
    if isinstance(part, Shard):
        return blocks_of_shard(part, job.reading)
    raise TypeError(f"needs a part of a pool, found {type(part).__name__}")


def digest_of(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises
    ------
    ModelFileError
        It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from error


@lru_cache(maxsize=2)
def _loaded(folder: str, key: str) -> tuple[ScreeningJob, Judge]:
    """A job and its model, once for each process."""
    job = ScreeningJob.read(Path(folder))
    if job.key != key or digest_of(job.model) != job.digest:
        raise ModelFileError(f"{job.model}: has changed since the screening in {folder} was started")
    return job, judge_of(read_model_of_one_task(job.model).model, job)


def judge_of(model: ModelOfOneTask, job: ScreeningJob) -> Judge:
    """What predicts and scores by a model."""
    return ClassJudge(model, job) if isinstance(model, FittedClasses | ClassMembers) else NumberJudge(model, job)


def _write(path: Path, table: pa.Table, job: ScreeningJob, about: dict[bytes, Any]) -> None:
    """A table as Parquet, with units."""
    fields = [
        column.with_metadata({UNIT: job.unit}) if job.unit and column.name in OF_TARGET else column
        for column in table.schema
    ]
    schema = pa.schema(fields, metadata=about)
    sink = pa.BufferOutputStream()
    pq.write_table(table.cast(schema), sink)
    write_whole(path, sink.getvalue().to_pybytes())
