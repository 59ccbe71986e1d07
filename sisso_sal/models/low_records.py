"""What a model file holds of low columns, as types with bounds."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from sisso_sal.models.record_types import Count, Number, Positive, Record, Size, Text, need


class BaselineRecord(Record):
    """A `Baseline`."""

    column: Text
    slope: Number
    intercept: Number


class LowErrorRecord(Record):
    """A `LowError`."""

    what: Literal["number", "line", "model"]
    column: Text
    mae: Size
    rmse: Size


class LowRecord(Record):
    """A `Low`."""

    columns: list[Text] = Field(min_length=1)
    form: Literal["feature", "difference", "line", "number alone", "line alone"]
    baseline: BaselineRecord | None
    spread: Positive | None
    n: Count
    errors: list[LowErrorRecord]
    gain: Number | None
    gain_error: Size | None

    @model_validator(mode="after")
    def _form_fits(self) -> Self:
        need((self.baseline is None) == (self.form == "feature"), "baseline: needs to be there for all but 'feature'")
        need(
            (self.spread is not None) == self.form.endswith("alone"),
            "spread: needs a number where there are no formulas",
        )
        known = {*self.columns, *([self.baseline.column] if self.baseline else [])} == {*self.columns}
        need(known, "baseline.column: needs to be one of the columns")
        return self
