"""What was computed of structures and is kept: one line of JSON for each, appended to a file and on disk before the next one.

A line names what it was made of: structure, potential with its version and weights, settings, method. A line that was cut off by a
kill, or that is not what was written, counts as not there: that structure is computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Self, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from sisso_sal.errors import DocumentError, LockedError, StorageError
from sisso_sal.fidelity.potentials import Potential
from sisso_sal.fidelity.starts import Start
from sisso_sal.oracle.engines.relaxation import METHOD, RelaxationSettings, Relaxed, relax
from sisso_sal.system.documents import json_of, record_of
from sisso_sal.system.operating_system import CLOSED_IN_CHILDREN, NO_LINK
from sisso_sal.system.storage import sync_folder, writing

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["PARTS", "RELAXATIONS", "KeptPart", "KeptParts", "Kind", "Part", "digest_of", "key_of"]

PARTS = "parts.jsonl"
_LOCK = ".lock"
_WAIT = 0.5  # seconds for another process to let go


Outcome = TypeVar("Outcome")
"""What became of a structure."""


class KeptPart(BaseModel, ABC):
    """What was computed of one structure, as a line of a file.

    Attributes
    ----------
    key : str
        See `Kind`.
    formula, name : str
        Of the structure that it began with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    key: str = Field(min_length=32, max_length=32)
    formula: str
    name: str

    @classmethod
    @abstractmethod
    def of(cls, key: str, start: Start, settings: Any, outcome: Any) -> Self:
        """The line of an outcome."""

    @abstractmethod
    def answers(self, settings: Any) -> bool:
        """Whether a computation with these settings would come to the same; what is in the key is equal already."""

    @abstractmethod
    def outcome(self) -> Any:
        """What became of the structure."""


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[Outcome]):
    """Something that is computed of structures and kept.

    Parameters
    ----------
    file : str
        Name of the file of its parts.
    part : type of KeptPart
        A line of the file.
    key : callable
        Start, potential and settings -> 32 digits, of everything that the outcome depends on and `KeptPart.answers` does not judge.
    compute : callable
        Structure, ASE calculator and settings -> outcome. A function of a module, so that it travels to other processes.
    """

    file: str
    part: type[KeptPart]
    key: Callable[[Start, Potential, Any], str]
    compute: Callable[[Structure, Any, Any], Outcome]


def digest_of(made_of: list[Any]) -> str:
    """32 digits of the SHA-256 of plain data.

    Examples
    --------
    >>> digest_of([1, "MgO"])
    '34f013892c7ae40ba72263d36f2faf2c'
    """
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]


class Part(KeptPart):
    """One relaxed structure.

    Attributes
    ----------
    max_steps : int
        Steps that it was allowed.
    energy, volume, max_force : float or None
        As in `sisso_sal.oracle.engines.relaxation.Relaxed`, like `steps` and `reason`.
    """

    max_steps: int = Field(ge=1)
    energy: float | None
    steps: int = Field(ge=0)
    volume: float | None
    max_force: float | None
    reason: str

    @classmethod
    def of(cls, key: str, start: Start, settings: RelaxationSettings, outcome: Relaxed) -> Self:
        """The line of a relaxation."""
        return cls(
            key=key,
            formula=start.formula,
            name=start.name,
            max_steps=settings.max_steps,
            energy=outcome.energy,
            steps=outcome.steps,
            volume=outcome.volume,
            max_force=outcome.max_force,
            reason=outcome.reason,
        )

    def answers(self, settings: RelaxationSettings) -> bool:
        """Whether a relaxation with so many steps would come to the same: a failure may need more of them."""
        if self.energy is not None:
            return self.steps <= settings.max_steps
        return settings.max_steps == self.max_steps or not self.reason.startswith("not converged")

    def outcome(self) -> Relaxed:
        """The outcome alone."""
        return Relaxed(
            energy=self.energy, steps=self.steps, volume=self.volume, max_force=self.max_force, reason=self.reason
        )


def key_of(start: Start, potential: Potential, settings: RelaxationSettings) -> str:
    """32 digits of a SHA-256 of everything that the path of a relaxation depends on; its length is told by the part."""
    return digest_of([METHOD, start.digest(), potential.identity(), settings.force_tolerance])


RELAXATIONS = Kind(file=PARTS, part=Part, key=key_of, compute=relax)
"""Relaxed structures."""


class KeptParts(Generic[Outcome]):
    """The parts of one kind in one folder, which one process writes.

    Parameters
    ----------
    folder : path
        Made if need be.
    kind : Kind

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

    def __init__(self, folder: Path, kind: Kind[Outcome] = RELAXATIONS):
        self.folder, self.kind = folder, kind
        self.n_broken = 0
        self._known: dict[str, KeptPart] = {}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / _LOCK)
            try:
                self._lock.acquire(timeout=_WAIT)
            except Timeout:
                raise LockedError(f"{folder}: another process computes here; wait for its end") from None
        try:
            self._file = self._open(folder / kind.file)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, path: Path) -> BinaryIO:
        """The file, open for appending after its last whole line."""
        with writing(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | CLOSED_IN_CHILDREN | NO_LINK, 0o666)
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
            part = record_of(self.kind.part, document)
            if digest != _digest(part):
                raise DocumentError("needs the line as it was written")
        except DocumentError:
            self.n_broken += 1
            return
        self._known[part.key] = part

    def get(self, key: str, settings: Any) -> KeptPart | None:
        """The part of a key, where it answers."""
        part = self._known.get(key)
        return part if part is not None and part.answers(settings) else None

    def add(self, part: KeptPart) -> None:
        """Append a part; it is on disk when this returns.

        Raises
        ------
        StorageError
            It cannot be written; a line that was begun is taken away.
        """
        line = json.dumps(part.model_dump() | {"digest": _digest(part)}, ensure_ascii=True) + "\n"
        path = self.folder / self.kind.file
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


def _digest(part: KeptPart) -> str:
    return hashlib.sha256(part.model_dump_json().encode()).hexdigest()[:16]
