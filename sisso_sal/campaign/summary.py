"""The files of an iteration as they are read back: are they what was written, and is the summary one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sisso_sal.errors import DocumentError
from sisso_sal.ledger.state import Event
from sisso_sal.system.documents import LARGE, read_bytes, read_json, record_of

SUMMARY = "summary.json"
"""File in the folder of an iteration: what it came to."""

LEVELS = "levels.csv"
"""The same: values of the lower levels of theory, known or predicted."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Target(_Part):
    name: str
    unit: str


class _Best(_Part):
    id: str
    value: float


class _Proposal(_Part):
    id: str
    mean: float | None
    std: float | None
    score: float | None
    low95: float | None
    high95: float | None
    formulas_mean: float | None
    outside: float | None
    distance: float | None
    n_valid: int | None
    chosen_by: float | None = None
    rank: int | None = None
    probability: float | None = None
    reason: str = ""
    why: str = ""


class _Member(_Part):
    """A typical formula; one of a model file has the number of its member."""

    member: int | None = Field(default=None, ge=0)


class _Near(_Part):
    n: int = Field(ge=1)
    example: list[str] = Field(min_length=2, max_length=2)


class _Materials(_Part):
    """How many materials the labels are of, and what decided."""

    n_labels: int = Field(ge=0)
    n: int = Field(ge=0)
    by: str
    column: str
    near: _Near | None


class _Summary(_Part):
    """What every summary has; a surrogate may tell more of itself."""

    iteration: int = Field(ge=1)
    target: _Target | None
    goal: str
    acquisition: str
    n_labelled: int = Field(ge=0)
    n_candidates: int = Field(ge=0)
    n_without_prediction: int = Field(ge=0)
    proposals: list[_Proposal]
    best: _Best | None
    classes: dict[str, int] | None = None
    hits: int | None = Field(default=None, ge=0)
    untold: str = ""
    settings: dict[str, Any]
    calibration: dict[str, Any] | None = None
    typical: list[_Member] | None = None
    recurrence: dict[str, dict[str, float]] = {}
    certain: dict[str, Any] | None = None
    rejected: dict[str, dict[str, int]] = {}
    without_prediction: dict[str, int] = {}
    n_members: int | None = Field(default=None, ge=1)
    materials: _Materials | None = None


def reached(model: Mapping[str, Any]) -> str:
    """What an iteration knew: its best label or, of classes, the number of hits; of a summary or the event of a model.

    Examples
    --------
    >>> reached({"best": {"id": "MgO", "value": 1.25}}), reached({"best": {"id": "MgO", "value": 1.0}, "hits": 3})
    ('best MgO 1.25', '3 hits')
    """
    if model.get("hits") is not None:
        return f"{model['hits']} hit{'' if model['hits'] == 1 else 's'}"
    return f"best {model['best']['id']} {model['best']['value']:.4g}"


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of an iteration.

    Raises
    ------
    DocumentError
        It is missing, or is no summary.
    """
    summary = read_json(folder / SUMMARY, LARGE)
    try:
        record_of(_Summary, summary)
    except DocumentError as error:
        raise DocumentError(f"{folder / SUMMARY}: {error}") from error
    return summary


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 (hexadecimal) of each file in a folder.

    Raises
    ------
    DocumentError
        The folder or a file cannot be read.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DocumentError(f"{folder}: cannot be read: {error.strerror}") from error
    return {path.name: _digest(path) for path in paths}


def check_files(folder: Path, model: Event | None) -> None:
    """Check that the files of an iteration are what was written, as far as the ledger has their digests.

    Parameters
    ----------
    folder : path
        Of the iteration.
    model : event or None
        That names the files.

    Raises
    ------
    DocumentError
        A file is missing, or differs.
    """
    files: Mapping[str, str] = {} if model is None else model["files"]
    for name, digest in files.items():
        if _digest(folder / name) != digest:
            raise DocumentError(f"{folder / name}: differs from what was written")


def _digest(path: Path) -> str:
    return hashlib.sha256(read_bytes(path, LARGE.size)).hexdigest()
