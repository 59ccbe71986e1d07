"""What the model file of a classifier holds, as types with bounds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from sisso_sal.models.record_types import Number, Numbers, Positive, Record, Size, need, need_numbers
from sisso_sal.models.records import MOST_ALTERNATIVES, MOST_DIMENSIONS, FileRecord, ModelRecord, SettingsRecord

MOST_CLASSES = 1000

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
                needed = 1 if n == 2 else n
                need(len(model.lanes) == needed, f"lanes: needs {needed} for {n} classes, found {len(model.lanes)}")
                need_numbers("confusion", model.confusion, n, n)
                need_numbers("prior", model.prior, n)
                need(float(model.confusion.sum()) > 0, "confusion: needs samples, found none")
        return self
