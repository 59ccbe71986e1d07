"""What the model file of a classifier holds, as types with bounds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from sisso_sal.models.record_types import (
    Count,
    Limit,
    Number,
    Numbers,
    Positive,
    Record,
    Share,
    Size,
    Text,
    need,
    need_numbers,
)  # fmt: skip
from sisso_sal.models.records import (
    MOST_ALTERNATIVES,
    MOST_DIMENSIONS,
    MOST_MEMBERS,
    FileRecord,
    ModelRecord,
    SettingsRecord,
)  # fmt: skip

MOST_CLASSES = 1000
MOST_BINS = 1000

ClassLabel = StrictStr | StrictBool | StrictInt | StrictFloat


class ClassifierSettingsRecord(SettingsRecord):
    """The parameters of a `SISSOClassifier`; those of a regressor that it lacks have the one value that they can have."""

    criterion: Literal["accuracy", "likelihood", "overlap"]
    boundary: Literal["logistic", "svc"]
    width: Size
    convex: list[ClassLabel] | None
    ridge: Positive
    class_weight: Literal["balanced"] | list[tuple[ClassLabel, Number]] | None


class ClassModelRecord(Record):
    """A `ClassModel`."""

    lanes: list[ModelRecord] = Field(min_length=1, max_length=MOST_CLASSES)
    confusion: Numbers
    log_loss: Size
    overlap: Size
    overlap_size: Number | None
    prior: Numbers

    @model_validator(mode="after")
    def _same_descriptors(self) -> Self:
        first, *others = [[term.expression for term in lane.terms] for lane in self.lanes]
        need(all(own == first for own in others), "lanes: needs the same descriptors in each")
        return self


class ClassEnsembleSettingsRecord(ClassifierSettingsRecord):
    """The parameters of a `SISSOClassifierEnsemble`."""

    members: Annotated[int, Field(strict=True, ge=2, le=MOST_MEMBERS)]
    dropout: Limit
    random_state: Count


class ClassScalingRecord(Record):
    """A `ClassScaling`."""

    factor: Positive
    offsets: Numbers


class ReliabilityRecord(Record):
    """A bin of claimed probabilities: how many, their mean, and the share that came."""

    n: Count
    claimed: Share
    real: Share


class ClassCalibrationRecord(Record):
    """A `ClassCalibration`."""

    model_config = ConfigDict(extra="forbid")
    n: Count
    accuracy: Share
    log_loss: Size
    brier: Size
    miscalibration: Share
    noise_floor: Share
    noise_floor95: Share
    reliability: list[ReliabilityRecord] = Field(min_length=1, max_length=MOST_BINS)


def check_class_model(model: ClassModelRecord, n: int) -> None:
    """Raise a ValueError unless a model is one of so many classes."""
    needed = 1 if n == 2 else n
    need(len(model.lanes) == needed, f"lanes: needs {needed} for {n} classes, found {len(model.lanes)}")
    need_numbers("confusion", model.confusion, n, n)
    need_numbers("prior", model.prior, n)
    need(float(model.confusion.sum()) > 0, "confusion: needs samples, found none")


class ClassifierRecord(FileRecord):
    """The file of a `SISSOClassifier`."""

    kind: Literal["classifier"]  # pyright: ignore[reportIncompatibleVariableOverride]
    settings: ClassifierSettingsRecord  # pyright: ignore[reportIncompatibleVariableOverride]
    classes: list[ClassLabel] = Field(min_length=2, max_length=MOST_CLASSES)
    models: list[Annotated[list[ClassModelRecord], Field(max_length=MOST_ALTERNATIVES)]] = Field(
        max_length=MOST_DIMENSIONS
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        n = len(self.classes)
        need(len({*map(repr, self.classes)}) == n, "classes: needs names that differ")
        need(len(self.models) > 0 and all(self.models), "needs at least one model, found none")
        for models in self.models:
            for model in models:
                check_class_model(model, n)
        return self


class ClassEnsembleRecord(FileRecord):
    """The file of a `SISSOClassifierEnsemble`."""

    kind: Literal["classifier-ensemble"]  # pyright: ignore[reportIncompatibleVariableOverride]
    settings: ClassEnsembleSettingsRecord  # pyright: ignore[reportIncompatibleVariableOverride]
    classes: list[ClassLabel] = Field(min_length=2, max_length=MOST_CLASSES)
    members: list[ClassModelRecord] = Field(max_length=MOST_MEMBERS)
    dropped: list[list[Text]]
    scaling: ClassScalingRecord
    calibration: ClassCalibrationRecord
    raw_calibration: ClassCalibrationRecord
    confusion: Numbers

    @model_validator(mode="after")
    def _members_fit(self) -> Self:
        n, needed, names = len(self.classes), self.settings.members, {*self.units}
        need(len({*map(repr, self.classes)}) == n, "classes: needs names that differ")
        need(len(self.members) == needed, f"members: needs {needed}, found {len(self.members)}")
        for model in self.members:
            check_class_model(model, n)
        is_known = len(self.dropped) == needed and all({*dropped} <= names for dropped in self.dropped)
        need(is_known, "dropped: needs names of primary features for each member")
        need_numbers("scaling.offsets", self.scaling.offsets, n)
        return self

    @model_validator(mode="after")
    def _judged_on_samples(self) -> Self:
        n, told = len(self.classes), self.calibration
        need_numbers("confusion", self.confusion, n, n)
        need(float(self.confusion.sum()) == told.n, f"confusion: needs {told.n} samples as the calibration says")
        need(0 < told.n == self.raw_calibration.n <= self.n_samples, "calibration: needs samples, as many as raw")
        return self
