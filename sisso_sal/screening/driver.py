"""A screening from beginning to end: what is missing is computed, and all results are merged."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sisso_sal.data.spreadsheet import csv_of
from sisso_sal.errors import CampaignError, TableError
from sisso_sal.protocols import Progress
from sisso_sal.screening.job import JOB, ScreeningJob
from sisso_sal.screening.pools import PoolPart
from sisso_sal.screening.tables import COPIES
from sisso_sal.screening.tally import COMPOSITION, BestOfPool, Counts, target_header, told_columns
from sisso_sal.screening.worker import PREDICTIONS, RESULTS, predictions_file, read_result, result_file, screen_part
from sisso_sal.system.executors import Workers
from sisso_sal.system.storage import write_whole, writing

TOP, SUMMARY = "top.csv", "summary.json"

ABANDONED = 3600
"""Seconds after which a file that is not whole is of a process that was killed."""

N_TOLD = 20
"""Best candidates in the summary."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that has other files than those of a screening.

    Raises
    ------
    CampaignError
    """
    if (folder / JOB).exists() or not folder.exists():
        return
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {COPIES, RESULTS, PREDICTIONS}:
        raise CampaignError(f"{folder}: needs a new folder or one of an earlier screening, found other files")


def begin(folder: Path, job: ScreeningJob) -> None:
    """Write the settings of a screening into its folder, or check that they are those of the start.

    Raises
    ------
    CampaignError
        The folder has a screening with other settings, or other files.
    StorageError
        The disk refuses.
    """
    if (folder / JOB).exists():
        if lines := job.differences(ScreeningJob.read(folder)):
            raise CampaignError(
                f"{folder}: this screening was started with other settings; give another --out, or undo these changes:\n  "
                + "\n  ".join(lines)
            )
    else:
        check_folder(folder)
    with writing(folder):
        for name in (RESULTS, *([PREDICTIONS] if job.keeps_all else [])):
            (folder / name).mkdir(parents=True, exist_ok=True)
    write_whole(folder / JOB, json.dumps(job.to_json(), indent=1, ensure_ascii=False) + "\n")


class Share(NamedTuple):
    """One of so many shares of the shards: every `of`-th, from the `number`-th on, counted from 1."""

    number: int
    of: int


def screen(
    folder: Path,
    job: ScreeningJob,
    parts: Sequence[PoolPart],
    workers: Workers,
    progress: Progress,
    share: Share | None = None,
) -> dict[str, Any]:
    """Do what is missing of a screening, and write ``top.csv`` and ``summary.json``.

    Parameters
    ----------
    folder : Path
        Where `begin` has written the settings.
    job : ScreeningJob
    parts : sequence of PoolPart
        Of the pool, in order.
    workers : Workers
    progress : callable
        Is called with rows done and rows in all.
    share : Share, optional
        Do only this share, and merge nothing.

    Returns
    -------
    dict
        The summary, see `docs/howto/screening.md`; ``run`` says what was done now. Of a share there is only that.

    Raises
    ------
    SissoSalError
        A part cannot be read, or a result cannot be written.
    """
    start = time.monotonic()
    names = [job.name_of(part) for part in parts]
    mine = slice(None) if share is None else slice(share.number - 1, None, share.of)
    asked = list(zip(parts, names, strict=True))[mine]
    missing = [part for part, name in asked if not _is_there(folder, job, part, name)]
    to_do = sum(part.n_rows for part in missing)
    done = n_done = 0
    progress(0, to_do)
    for part, n_rows in workers.unordered(partial(screen_part, str(folder), job.key), missing):
        done, n_done = done + part.n_rows, n_done + n_rows
        progress(done, to_do)
    seconds = time.monotonic() - start
    run = {
        "n_rows": n_done, "n_shards": len(missing), "n_rows_before": sum(part.n_rows for part, _ in asked) - n_done,
        "seconds": round(seconds, 3), "rows_per_second": round(n_done / seconds, 1) if seconds and n_done else None,
    }  # fmt: skip
    if share is not None:
        return {"share": list(share), "run": run, "folder": str(folder)}
    counts, best = _merged(folder, job, names)
    n_removed = _clear(folder, parts, names)
    summary = _summary(job, counts, best, parts)
    texts = ["id", "reason", *(["class"] if job.classes else []), *([COMPOSITION] if job.reading.has_formulas else [])]
    write_whole(folder / TOP, csv_of(_frame(job, best), texts))
    write_whole(folder / SUMMARY, json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    run |= {"n_removed": n_removed, "n_rows_before": summary["n_rows"] - n_done}
    return {**summary, "run": run, "folder": str(folder)}


def _is_there(folder: Path, job: ScreeningJob, part: PoolPart, name: str) -> bool:
    is_whole = not job.keeps_all or predictions_file(folder, part, name).exists()
    return result_file(folder, name).exists() and is_whole


def _merged(folder: Path, job: ScreeningJob, names: Sequence[str]) -> tuple[list[Counts], pa.Table]:
    """Counts of every part, and the best candidates of all."""
    counts, best = [], None
    for name in names:
        one, table = read_result(result_file(folder, name))
        best = best or BestOfPool(job.top, table.schema)
        counts.append(one)
        best.add(table)
    if best is None:
        raise TableError(f"{folder}: needs a pool with at least one row, found none")
    return counts, best.table()


def _clear(folder: Path, parts: Sequence[PoolPart], names: Sequence[str]) -> int:
    """Remove what killed workers left, and predictions of shards that the pool no longer has; returns how many of these."""
    for name in (RESULTS, PREDICTIONS):
        for scratch in (folder / name).glob(".*.part"):
            with suppress(OSError):  # another process may be at work: it renames its own
                if time.time() - scratch.stat().st_mtime > ABANDONED:
                    scratch.unlink()
    wanted = {predictions_file(folder, part, name) for part, name in zip(parts, names, strict=True)}
    old = [path for path in (folder / PREDICTIONS).glob("*.parquet") if path not in wanted]
    for path in old:
        with writing(path):
            path.unlink()
    return len(old)


def _summary(job: ScreeningJob, counts: Sequence[Counts], best: pa.Table, parts: Sequence[PoolPart]) -> dict[str, Any]:
    without: dict[str, int] = {}
    for one in counts:
        for reason, number in one.without.items():
            without[reason] = without.get(reason, 0) + number
    low, width, n_bins = job.bins
    means = np.sum([one.means for one in counts], axis=0)
    numbers = {name: sum(getattr(one, name) for one in counts) for name in _NUMBERS}
    return {
        "target": {"name": job.target, "unit": job.unit}, "model": job.digest, "goal": job.goal,
        "acquisition": job.acquisition, "improve_on": job.reference, "pool": job.pool or None,
        "n_shards": len(parts), **numbers,
        "n_without_prediction": sum(without.values()),
        "without_prediction": _most_frequent_first(without),
        "expected_hits": math.fsum(one.hits for one in counts) if "p_hit" in best.column_names else None,
        "best": _rows(job, best.slice(0, N_TOLD)), "n_top": best.num_rows,
        "histogram": None if job.classes else {
            "edges": [round(low + width * k, 12) for k in range(n_bins + 1)], "counts": means[1:-1].tolist(),
            "below": int(means[0]), "above": int(means[-1]),
        },
        "histogram_of_p_hit": np.sum([one.shares for one in counts], axis=0).tolist(),
        **(_of_classes(job, counts, best) if job.classes else {}),
    }  # fmt: skip


def _of_classes(job: ScreeningJob, counts: Sequence[Counts], best: pa.Table) -> dict[str, Any]:
    """Of each class how many candidates are told to be of it, and how many are expected to be; and the hits among the best."""
    told = np.sum([one.classes for one in counts], axis=0).tolist()
    expected = [math.fsum(one.expected[k] for one in counts) for k in range(len(job.classes))]
    classes = [{"name": name, "n_told": told[k], "expected": expected[k]} for k, name in enumerate(job.classes)]
    return {"expected_hits_of_top": math.fsum(best["p_hit"].to_pylist()), "classes": classes}


_NUMBERS = ("n_rows", "n_known", "n_excluded", "n_predicted", "n_extrapolated", "n_some_invalid")


def _rows(job: ScreeningJob, best: pa.Table) -> list[dict[str, Any]]:
    """Candidates as plain data, without their features; None for a number that is not finite."""
    columns = told_columns(job.classes)
    told = best.select([name for name in best.column_names if name in columns])
    return [
        {name: None if isinstance(cell, float) and not math.isfinite(cell) else cell for name, cell in row.items()}
        for row in told.to_pylist()
    ]


def _most_frequent_first(reasons: dict[str, int]) -> dict[str, int]:
    """Reasons with their numbers, the most frequent first."""
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _frame(job: ScreeningJob, best: pa.Table):
    """The best candidates as a data frame, units in the headers."""
    frame = best.to_pandas()
    return frame.rename(columns={name: target_header(name, job.unit) for name in told_columns(job.classes)})
