"""Relaxed structures that are kept: one line of JSON for each, appended to a file and on disk before the next one.

A line names what it was made of: structure, potential with its version and weights, settings, method. A line that was cut off by a
kill, or that is not what was written, counts as not there: that structure is computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from sisso_sal.errors import DocumentError, LockedError, StorageError
from sisso_sal.fidelity.potentials import Potential
from sisso_sal.fidelity.relaxation import METHOD, RelaxationSettings, Relaxed
from sisso_sal.fidelity.starts import Start
from sisso_sal.system.documents import json_of, record_of
from sisso_sal.system.storage import sync_folder, writing

__all__ = ["PARTS", "Part", "KeptParts", "key_of"]

PARTS = "parts.jsonl"
_LOCK = ".lock"
_WAIT = 0.5  # seconds for another process to let go


class Part(BaseModel):
    """One relaxed structure, as a line of the file.

    Attributes
    ----------
    key : str
        See `key_of`.
    formula, name : str
    max_steps : int
        Steps that it was allowed.
    energy, volume, max_force : float or None
        As in `sisso_sal.fidelity.relaxation.Relaxed`, like `steps` and `reason`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    key: str = Field(min_length=32, max_length=32)
    formula: str
    name: str
    max_steps: int = Field(ge=1)
    energy: float | None
    steps: int = Field(ge=0)
    volume: float | None
    max_force: float | None
    reason: str

    def answers(self, settings: RelaxationSettings) -> bool:
        """Whether a relaxation with so many steps would come to the same: a failure may need more of them."""
        if self.energy is not None:
            return self.steps <= settings.max_steps
        return settings.max_steps == self.max_steps or not self.reason.startswith("not converged")

    def relaxed(self) -> Relaxed:
        """The outcome alone."""
        return Relaxed(
            energy=self.energy, steps=self.steps, volume=self.volume, max_force=self.max_force, reason=self.reason
        )


def key_of(start: Start, potential: Potential, settings: RelaxationSettings) -> str:
    """32 digits of a SHA-256 of everything that the path of a relaxation depends on; its length is told by the part."""
    made_of = [
        METHOD,
        start.digest(),
        [potential.name, potential.model, potential.version, potential.weights],
        settings.force_tolerance,
    ]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]


class KeptParts:
    """The parts of one folder, which one process writes.

    Parameters
    ----------
    folder : path
        Made if need be.

    Attributes
    ----------
    n_broken : int
        Lines that could not be used.

    Raises
    ------
    LockedError
        Another process has the folder.
    StorageError
        It cannot be written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.n_broken = 0
        self._known: dict[str, Part] = {}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / _LOCK)
            try:
                self._lock.acquire(timeout=_WAIT)
            except Timeout:
                raise LockedError(f"{folder}: another process computes here; wait for its end") from None
        try:
            self._file = self._open(folder / PARTS)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, path: Path) -> BinaryIO:
        """The file, open for appending after its last whole line."""
        with writing(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            file = os.fdopen(handle, "r+b", buffering=0)
            content = file.read()
            whole = content.rfind(b"\n") + 1
            for line in content[:whole].splitlines():
                self._take(line)
            self.n_broken += whole < len(content)
            file.truncate(whole)
            file.seek(whole)
        sync_folder(path.parent)
        return file

    def _take(self, line: bytes) -> None:
        try:
            document = json_of(line)
            digest = document.pop("digest") if isinstance(document, dict) and "digest" in document else ""
            part = record_of(Part, document)
            if digest != _digest(part):
                raise DocumentError("needs the line as it was written")
        except DocumentError:
            self.n_broken += 1
            return
        self._known[part.key] = part

    def get(self, key: str, settings: RelaxationSettings) -> Part | None:
        """The part of a key, where it answers."""
        part = self._known.get(key)
        return part if part is not None and part.answers(settings) else None

    def add(self, part: Part) -> None:
        """Append a part; it is on disk when this returns.

        Raises
        ------
        StorageError
            It cannot be written; a line that was begun is taken away.
        """
        line = json.dumps(part.model_dump() | {"digest": _digest(part)}, ensure_ascii=True) + "\n"
        path = self.folder / PARTS
        with writing(path):
            end = self._file.tell()
            try:
                if self._file.write(line.encode()) != len(line):
                    raise StorageError(f"{path}: cannot be written: the disk is full")
                os.fsync(self._file.fileno())
            except BaseException:
                self._file.truncate(end)
                self._file.seek(end)
                raise
        self._known[part.key] = part

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._lock.release()


def _digest(part: Part) -> str:
    return hashlib.sha256(part.model_dump_json().encode()).hexdigest()[:16]
