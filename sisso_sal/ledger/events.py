"""What each kind of event carries, as typed models: the ledger is folded only over events that fit.

A key that is not named here may stand in an event too: what only people read is not checked.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from sisso_sal.settings import PEOPLE

LARGEST = 1e100
"""The largest size of a label, as in a table."""

LONGEST_CLASS = 200
"""Characters of the name of a class, as in a table."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise PydanticCustomError("name", "a name of letters, digits, dots, hyphens and underscores")
    return text


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise PydanticCustomError("sha256", "the 64 hexadecimal digits of SHA-256")
    return text


Id = Annotated[str, Field(min_length=1)]
Name = Annotated[str, AfterValidator(_name)]
"""A name of a file, folder or submission: it leads out of no folder."""
Sha256 = Annotated[str, AfterValidator(_sha256)]
Count = Annotated[int, Field(ge=0)]
Cost = Annotated[float, Field(ge=0)]


def _in_range(value: float) -> float:
    if abs(value) > LARGEST:
        raise ValueError(f"needs a number up to {LARGEST:g} in size, found {value:g}")
    return value


Number = Annotated[float, AfterValidator(_in_range)]


class Data(BaseModel):
    """The data of an event."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)


class RunData(Data):
    """Section ``run`` of the settings."""

    oracle: str = PEOPLE
    budget: float | None = None
    core_hours: float | None = None


class SettingsData(Data):
    """The settings of a campaign, as far as the state is made of them."""

    target: str | None = None
    id: str | None = None
    goal: str | None = None
    run: RunData = RunData()


class OriginData(Data):
    """Where a setting was given."""

    kind: str


class CreatedData(Data):
    """``created``"""

    settings: SettingsData
    run_id: Name = "run"
    table: str | None = None
    digest: str | None = None
    versions: dict[str, str] = {}
    oracle: dict[str, Any] | None = None
    origins: dict[str, OriginData] = {}


class CandidatesData(Data):
    """``candidates``"""

    n_rows: Count
    sha256: Sha256


class ChangedData(Data):
    """``settings``"""

    run: RunData
    oracle: dict[str, Any]
    changes: list[str] = []


class StoredArrayData(Data):
    """Where a named array of a label is."""

    file: Annotated[str, Field(pattern=r"^arrays/[^/]+$")]
    sha256: Sha256


class AtLevel(Data):
    """What may be of a lower level of theory, by its name; without one it is of the level that counts."""

    level: Name | None = None


Three = Annotated[list[Count], Field(min_length=3, max_length=3)]
"""Known, tried and converged."""


class TriedData(Data):
    """A structure that was tried for a phase."""

    structure: str
    magnetic_order: str = ""
    found: str = ""
    outcome: str = ""
    energy: float | None = None
    reason: str = ""


class PhaseData(Data):
    """A phase that a label rests on: its lowest structure, and how many structure types and magnetic orders are known, were tried
    and converged.
    """

    formula: str
    lowest: str = ""
    magnetic_order: str = ""
    types: Three = [0, 0, 0]
    orders: Three = [0, 0, 0]
    tried: list[TriedData] = []


class DetailsData(Data):
    """What a label rests on, see `sisso_sal.protocols.Answer`."""

    structure: str = ""
    magnetic_order: str = ""
    coverage: str = ""
    differences: list[str] = []
    vibrations: dict[str, Number] = {}
    phases: list[PhaseData] = []


ClassText = Annotated[str, Field(min_length=1, max_length=LONGEST_CLASS)]


class LabelData(AtLevel):
    """``label``; of a class also its name, and the value is then 1 where it is one of the goal's, else 0."""

    id: Id
    value: Number
    class_name: ClassText | None = Field(default=None, alias="class")
    error: Annotated[Number, Field(ge=0)] | None = None
    source: str = ""
    core_hours: Cost | None = None
    arrays: dict[str, StoredArrayData] = {}
    details: DetailsData | None = None


class FilledData(Data):
    """``filled``"""

    column: Id
    values: dict[Id, Number]


class BestData(Data):
    """The best label."""

    id: Id
    value: Number


class CoverageData(Data):
    """Out-of-bag measures that `status` shows."""

    rmse: float | None = None
    coverage95: float | None = None
    miscalibration_area: float | None = None
    scale: float | None = None


class ModelData(Data):
    """``model``"""

    iteration: Annotated[int, Field(ge=1)]
    folder: Name
    files: dict[Name, Sha256]
    best: BestData
    seed: int | None = None
    n_labelled: Count | None = None
    hits: Count | None = None
    calibration: CoverageData | None = None
    settings: int | None = None
    versions: dict[str, str] | None = None
    seconds: float | None = None
    handover: dict[str, Any] | None = None


class RemadeData(Data):
    """``remade``"""

    iteration: Annotated[int, Field(ge=1)]
    files: dict[Name, Sha256]
    versions: dict[str, str] | None = None


class PickData(Data):
    """A proposal."""

    id: Id
    mean: float | None = None
    std: float | None = None
    score: float | None = None
    low95: float | None = None
    high95: float | None = None
    chosen_by: float | None = None
    rank: int | None = None
    probability: float | None = None
    reason: str = ""
    why: str = ""
    level: str | None = None


class ProposalData(Data):
    """``proposal``"""

    iteration: Annotated[int, Field(ge=1)]
    folder: Name
    proposals: list[PickData]
    seed: int | None = None
    model: int | None = None
    batch: Annotated[int, Field(ge=1)] = 1
    gain: float | None = None


class IntentData(AtLevel):
    """``intent``"""

    intent: Name
    id: Id
    attempt: Annotated[int, Field(ge=1)]
    iteration: Count = 0


class ReceiptData(AtLevel):
    """``receipt``"""

    id: Id
    job: str


class FailureData(AtLevel):
    """``failure``"""

    id: Id
    kind: str
    reason: str
    final: bool
    source: str = ""
    core_hours: Cost | None = None


class RetryData(AtLevel):
    """``retry``"""

    id: Id
    by: str


class StopData(Data):
    """``stop``"""

    kind: str
    why: str


class ResumedData(Data):
    """``resumed``"""
