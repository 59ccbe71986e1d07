"""What the newest third of the labels did for the predictions of the others."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.errors import DocumentError
from sisso_sal.ledger.state import Iteration
from sisso_sal.system.documents import LARGE, read_bytes

PREDICTIONS = "predictions.csv"
"""File in the folder of an iteration: what it predicted of all materials."""

PART = 1 / 3
"""Share of the labels that counts as recent."""

HELPFUL = 0.05
"""An improvement by this share of the error must not go unseen: what twice as many labels lower by 8 %."""

LEVEL = 0.95
"""Probability with which such an improvement keeps the sentence away."""

FEWEST = 30
"""Materials that must have been predicted before and now."""


def recent_labels(
    run: Path, iterations: Sequence[Iteration], ids: Sequence[str], target: np.ndarray, oob_mean: np.ndarray
) -> dict[str, Any] | None:
    """How the out-of-bag predictions of the same materials changed since the last iteration that had two thirds of the labels.

    Parameters
    ----------
    run : Path
    iterations : sequence of Iteration
        Those before.
    ids : sequence of str, length n
    target, oob_mean : ndarray (n,)
        Labels and out-of-bag predictions now, in the target's unit; NaN where there is none.

    Returns
    -------
    dict or None
        See `judge_recent`, and ``recent`` and ``of``: numbers of labels. None where there was no such iteration, its predictions
        are gone or changed, or too few materials were predicted then and now.
    """
    n = int(np.isfinite(target).sum())
    earlier = [one for one in iterations if one.model and one.model["n_labelled"] <= (1 - PART) * n]
    if not earlier or (then := _out_of_bag(run, earlier[-1])) is None:
        return None
    before = np.array([then.get(id, np.nan) for id in ids])
    both = np.isfinite(target) & np.isfinite(before) & np.isfinite(oob_mean)
    if both.sum() < FEWEST:
        return None
    errors = np.sort(
        np.abs(target - before)[both] + 1j * np.abs(target - oob_mean)[both]
    )  # sums do not depend on the rows' order
    recent = n - (earlier[-1].model or {})["n_labelled"]
    return {"recent": recent, "of": n, **judge_recent(errors.real, errors.imag)}


def judge_recent(before: np.ndarray, now: np.ndarray) -> dict[str, Any]:
    """Whether labels that came in between made the predictions of the same materials better.

    Parameters
    ----------
    before, now : ndarray (n,)
        Absolute errors of the same materials, in the target's unit.

    Returns
    -------
    dict
        ``n``, ``mae_before``, ``mae_now``, ``uncertainty`` (standard error of their difference) and ``no_longer_help``. That is
        true where the difference lies within its uncertainty (one-sided t test, level `LEVEL`), and an improvement by `HELPFUL` can
        be excluded by the same test: if there was one, it is true with a probability of 5 % at most.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before = rng.exponential(1.0, 200)
    >>> same, better = before + rng.normal(0, 0.2, 200), 0.8 * before + rng.normal(0, 0.2, 200)
    >>> judge_recent(before, same)["no_longer_help"], judge_recent(before, better)["no_longer_help"]
    (True, False)
    """
    from scipy.special import stdtrit

    n = len(before)
    quantile = stdtrit(n - 1, LEVEL)
    fall, left = (
        before - now,
        now - (1 - HELPFUL) * before,
    )  # `left` is what an improvement by `HELPFUL` would leave over
    error, error_left = (float(values.std(ddof=1) / np.sqrt(n)) for values in (fall, left))
    return {
        "n": n,
        "mae_before": float(before.mean()),
        "mae_now": float(now.mean()),
        "uncertainty": error,
        "no_longer_help": bool(fall.mean() <= quantile * error and left.mean() > quantile * error_left),
    }


def _out_of_bag(run: Path, iteration: Iteration) -> Mapping[str, float] | None:
    """Out-of-bag predictions of an iteration by id; None if the file is not the one that was written."""
    try:
        content = read_bytes(run / iteration.folder / PREDICTIONS, LARGE.size)
    except DocumentError:
        return None
    if hashlib.sha256(content).hexdigest() != (iteration.model or {"files": {}})["files"].get(PREDICTIONS):
        return None
    from sisso_sal.data.spreadsheet import id_of

    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    return {id_of(row["id"]): float(row["oob_mean"]) for row in rows if row["oob_mean"]}
