"""What one screening is: model, goal, score and columns. Written once into its folder, and read by every worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sisso_sal.errors import CampaignError
from sisso_sal.screening.block import PoolReading
from sisso_sal.screening.pools import PoolPart
from sisso_sal.system.documents import LARGE, read_json

JOB = "screen.json"
"""File in the folder of a screening that has its settings."""

FORMAT = 1
"""Of results; those of another format are not used."""


@dataclass(frozen=True, kw_only=True)
class ScreeningJob:
    """Settings of a screening. Plain data.

    Attributes
    ----------
    model : str
        Path of the model file.
    digest : str
        SHA-256 of the model file.
    target, unit : str
        What the model predicts.
    goal : str
        With its bound in numbers, where it has one.
    acquisition : str
        By which candidates are ranked.
    reference : float
        Value to improve on, in the target's unit; None where the goal has a bound.
    top : int
        Best candidates that are kept.
    keeps_all : bool
        Whether all predictions are written.
    known : tuple of str
        Ids that have a label or have failed: they are not among the best.
    unwanted : tuple of str
        Elements: candidates that contain one are not among the best.
    reading : PoolReading
    bins : tuple of (float, float, int)
        Of the histogram of the means: where it begins, width of a bin, number of bins; in the target's unit.
    pool : str
        What the pool is, as text that generates it; "" for files.
    classes : tuple of str
        Those that the model tells, sorted; none of numbers.
    """

    model: str
    digest: str
    target: str
    unit: str
    goal: str
    acquisition: str
    reference: float | None
    top: int
    keeps_all: bool
    known: tuple[str, ...]
    unwanted: tuple[str, ...]
    reading: PoolReading
    bins: tuple[float, float, int]
    pool: str = ""
    classes: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Of all that results depend on: 64 hexadecimal digits."""
        return _digest({"format": FORMAT, **self.to_json(), "model": ""})

    def name_of(self, part: PoolPart) -> str:
        """Of the result of a part: 32 hexadecimal digits."""
        return _digest([self.key, part.key(by_number=self.reading.id is None)])[:32]

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ScreeningJob:
        """The inverse of `to_json`."""
        reading = dict(data["reading"])
        reading["features"] = {name: tuple(pair) for name, pair in reading["features"].items()}
        return cls(**{
            **data, "known": tuple(data["known"]), "unwanted": tuple(data["unwanted"]),
            "bins": tuple(data["bins"]), "reading": PoolReading(**reading), "classes": tuple(data["classes"]),
        })  # fmt: skip

    @classmethod
    def read(cls, folder: Path) -> ScreeningJob:
        """That of a folder.

        Raises
        ------
        CampaignError
            Its file is damaged, or of another version.
        """
        try:
            return cls.from_json(read_json(folder / JOB, LARGE))
        except (KeyError, TypeError, ValueError) as error:
            raise CampaignError(f"{folder / JOB}: needs the settings of a screening, found other content") from error

    def differences(self, earlier: ScreeningJob) -> list[str]:
        """What has changed since, one line each; where the model file lies does not count."""
        now, before = self.to_json(), earlier.to_json()
        if now["goal"] != before["goal"]:  # the value to improve on follows from it
            now["reference"] = before["reference"]
        lines = [f"{_NAMES[name]}: {before[name]} -> {now[name]}" for name in _SHOWN if before[name] != now[name]]
        return lines + [f"{_NAMES[name]} differ" for name in _NAMES if name not in _SHOWN and before[name] != now[name]]


_SHOWN = ("goal", "acquisition", "reference", "top", "keeps_all", "pool")
_NAMES = {
    "digest": "the formulas and what was learned on top of them", "goal": "goal", "acquisition": "acquisition",
    "reference": "value to improve on", "top": "top", "keeps_all": "all predictions", "known": "known ids",
    "unwanted": "elements that are not wanted",
    "reading": "columns of the pool", "bins": "bins of the histogram", "pool": "pool", "classes": "classes",
}  # fmt: skip


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
