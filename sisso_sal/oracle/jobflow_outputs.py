"""Outputs of Makers by what was asked: one calculation for a structure, a Maker and its parameters, however often it is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from sisso_sal.errors import DocumentError, InputError
from sisso_sal.oracle.engines.jobflow_maker import number_at
from sisso_sal.settings.calculation import JobflowSettings
from sisso_sal.system.documents import LARGE, read_json, record_of
from sisso_sal.system.storage import write_whole

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

    from sisso_sal.oracle.starts import Starts

__all__ = ["Asked", "MakerQuestion", "Outputs", "asked_of"]

_OF_THE_OUTPUT = ("parameters", "input")
"""Settings that decide what a Maker returns; the others say where it runs and what is read of it."""


class Asked(BaseModel):
    """What a Maker is asked.

    Attributes
    ----------
    maker : str
    settings : JobflowSettings
    structure : dict
        Of a pymatgen Structure or Molecule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    maker: str
    settings: JobflowSettings
    structure: dict[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the output."""
        settings = self.settings.model_dump(mode="json", include={*_OF_THE_OUTPUT})
        return {"maker": self.maker, "structure": self.structure, **settings}

    @property
    def key(self) -> str:
        """The name of its output: 128 bits of the digest of its identity."""
        text = json.dumps(self.identity, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def asked_of(maker: str, settings: JobflowSettings, structure: Any) -> Asked:
    """What a Maker is asked about a pymatgen structure, in plain data as JSON brings it back."""
    data = json.loads(json.dumps(structure.as_dict(), default=float))
    return Asked(maker=maker, settings=settings, structure=data)


@dataclass(frozen=True)
class Outputs:
    """The outputs in a folder.

    Attributes
    ----------
    folder : path
    """

    folder: Path

    def read(self, asked: Asked) -> Any:
        """The output of what was asked; None where there is none.

        Raises
        ------
        DocumentError
            The file cannot be read, or is of something else.
        """
        file = self._file(asked)
        if not file.exists():
            return None
        kept = record_of(_Kept, read_json(file, LARGE))
        if kept.asked != asked.identity:
            raise DocumentError(f"{file}: needs the output for its name, found that of another question")
        return kept.output

    def value(self, asked: Asked) -> float | None:
        """The number at the path of the label; None where there is no output.

        Raises
        ------
        DocumentError
            There is no number there.
        """
        output = self.read(asked)
        return None if output is None else number_at(output, str(asked.settings.value))

    def write(self, asked: Asked, output: Any) -> None:
        """Keep an output."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(asked), json.dumps({"asked": asked.identity, "output": output}) + "\n")

    def alone(self, asked: Asked) -> AbstractContextManager[Any]:
        """Keeps other processes of this machine from computing the same meanwhile."""
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / f".{asked.key}.lock")

    def _file(self, asked: Asked) -> Path:
        return self.folder / f"{asked.key}.json"


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: dict[str, Any]
    output: Any


class MakerQuestion:
    """What is asked of a Maker about each candidate, and the outputs that are there.

    Parameters
    ----------
    maker : str
    settings : JobflowSettings
    starts : Starts
    outputs : Outputs
    """

    def __init__(self, maker: str, settings: JobflowSettings, starts: Starts, outputs: Outputs):
        self.maker = maker
        self.settings = settings
        self.outputs = outputs
        self._starts = starts

    def about(self, id: str) -> Asked:
        """What is asked about a candidate; `InputError` where it has no structure."""
        return asked_of(self.maker, self.settings, self.structure(id))

    def structure(self, id: str) -> Structure | Molecule:
        """What the Maker is given; `InputError` where there is none."""
        return self._starts.structure(id)

    def describe(self) -> dict[str, Any]:
        """The Maker and its settings, for the ledger."""
        return {"oracle": "jobflow", "maker": self.maker, "jobflow": self.settings.model_dump(mode="json")}

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        """Labels that the outputs would now give otherwise: the path of the value is another one."""
        lines = []
        for id, value in labels.items():
            try:
                now: float | str | None = self.outputs.value(self.about(id))
            except DocumentError as error:
                now = str(error)
            except (InputError, KeyError):  # its structure came from elsewhere
                continue
            if now is not None and now != value:
                lines.append(f"calculation.jobflow.value: '{id}': {value} -> {now}")
        return lines
