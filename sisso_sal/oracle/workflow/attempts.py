"""Attempts at a calculation, counted in its folder: one that takes its worker down with it is not tried for ever."""

from __future__ import annotations

import json
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sisso_sal.errors import DocumentError, InputError
from sisso_sal.system.documents import read_json, record_of
from sisso_sal.system.storage import write_whole

__all__ = ["ATTEMPTS_FILE", "MAX_ATTEMPTS", "begin_attempt"]

MAX_ATTEMPTS = 3
ATTEMPTS_FILE = "attempts.json"


class _Attempts(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    attempts: int = Field(ge=1)
    began: float
    seconds: float = Field(ge=0)


def begin_attempt(folder: Path) -> tuple[int, float]:
    """Which attempt now begins, written down before it does, and the seconds that the earlier ones took.

    One that died with its worker took as long as it left traces in its folder.

    Raises
    ------
    InputError
        What the earlier attempts left cannot be read.
    """
    file = folder / ATTEMPTS_FILE
    number, spent = 1, 0.0
    try:
        if file.exists():
            before = record_of(_Attempts, read_json(file))
            number, last = before.attempts + 1, max(f.stat().st_mtime for f in folder.iterdir())
            spent = before.seconds + max(0.0, last - before.began)
    except (OSError, DocumentError) as error:
        raise InputError(f"{file}: cannot be read: {str(error).removeprefix(f'{file}: ')}") from error
    write_whole(file, json.dumps({"attempts": number, "began": time.time(), "seconds": spent}) + "\n")
    return number, spent
