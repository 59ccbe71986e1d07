"""What a model file holds, as types with bounds: a file is read once into these, and then nothing is checked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from sisso_sal.errors import ModelFileError
from sisso_sal.system.documents import explained

Count = Annotated[int, Field(strict=True, ge=0)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Size = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True)]

RecalibrationKind = Literal["none", "scale", "isotonic", "conformal"]


def _array(value: Any) -> np.ndarray:
    """Numbers as an array; what is none has no shape that fits."""
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.full((), np.nan)


Numbers = Annotated[np.ndarray, PlainValidator(_array)]
"""Whose shape and finiteness are checked where its size is known."""


def need(holds: bool, message: str) -> None:
    """Raise a ValueError with the message unless something holds."""
    if not holds:
        raise ValueError(message)


def need_numbers(name: str, values: np.ndarray, *shape: int) -> None:
    """Raise a ValueError unless an array has a shape and all its values are finite."""
    size = " x ".join(map(str, shape))
    need(values.shape == shape and bool(np.isfinite(values).all()), f"{name}: needs {size} finite numbers")


class Record(BaseModel):
    """A part of a file. Other keys are left alone, as later versions may have more."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)


class LinkRecord(Record):
    """A `TargetTransform` that is not the identity."""

    kind: Literal["log", "yeo-johnson"]
    centre: Number
    scale: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
    exponent: Number
    low: Number
    high: Number


class TermRecord(Record):
    """A `Term`; the tree of its expression is read by `Expression.from_json`."""

    tree: Any
    coefficient: Number
    range: tuple[Number, Number]


class ModelRecord(Record):
    """A `SISSOModel`."""

    terms: list[TermRecord]
    intercept: Number
    rmse: Size
    max_abs_error: Size
    link: LinkRecord | None = None

    @model_validator(mode="after")
    def _has_terms(self) -> Self:
        need(len(self.terms) > 0, "model: needs at least one term, found none")
        return self


class ChoiceRecord(Record):
    """The rung and number of terms of some members."""

    model_config = ConfigDict(extra="forbid")
    rung: Count
    dim: Count


class JudgedChoiceRecord(ChoiceRecord):
    """With their errors, if there are any."""

    mae: Size | None
    rmse: Size | None


class CalibrationRecord(Record):
    """A `Calibration`."""

    model_config = ConfigDict(extra="forbid")
    n: Count
    kind: RecalibrationKind
    coverage95: Size
    miscalibration_area: Size
    noise_floor: Size
    noise_floor95: Size
    scale: Size
    coverage95_raw: Size
    miscalibration_area_raw: Size
    mean_squared_z: Size
    negative_log_likelihood: Number | None
    sharpness: Size
    spearman: Number | None
    rmse: Size
    mae: Size


class RecalibrationRecord(Record):
    """A `Recalibration`."""

    kind: RecalibrationKind
    scores: Numbers


class CompositionRecord(Record):
    """Shares of elements (n, n_elements), of which the columns that are not zero are given."""

    n_elements: Annotated[int, Field(strict=True, ge=0, le=10_000)]
    columns: list[Count]
    shares: Numbers

    @model_validator(mode="after")
    def _columns_in_order(self) -> Self:
        need(sorted({*self.columns}) == self.columns, "columns: needs numbers of elements in order")
        need(not self.columns or self.columns[-1] < self.n_elements, f"columns: needs numbers below {self.n_elements}")
        return self


class CorrectionRecord(Record):
    """A `Correction`: what it was learned from."""

    kind: Literal["trees", "process", "both"]
    seed: Count
    theta: list[list[Number]]
    features: Numbers
    formula: Numbers
    target: Numbers
    composition: CompositionRecord | None

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        n = len(self.target) if self.target.ndim else 0
        need_numbers("features", self.features, n, self.features.shape[-1] if self.features.ndim == 2 else 0)
        need_numbers("formula", self.formula, n)
        need_numbers("target", self.target, n)
        if self.composition is not None:
            need_numbers("shares", self.composition.shares, n, len(self.composition.columns))
        return self


class NamedRecord(Record):
    """A name and a unit."""

    name: Text
    unit: Text


class FileRecord(Record):
    """What every model file holds."""

    kind: Literal["regressor", "ensemble"]
    target: NamedRecord
    primaries: list[NamedRecord]
    settings: dict[str, Any]
    n_samples: Count
    n_features: dict[str, Count]
    rejected: dict[str, dict[str, Count]]
    n_singular: Count
    complete: Annotated[bool, Field(strict=True)]

    @model_validator(mode="after")
    def _primaries_in_order(self) -> Self:
        names = [primary.name for primary in self.primaries]
        need(len(set(names)) == len(names), "primaries: needs names that differ")
        need(names == sorted(names), "primaries: needs names in order")
        return self

    @property
    def units(self) -> dict[str, str]:
        """Unit of each primary feature, in the order of the names."""
        return {primary.name: primary.unit for primary in self.primaries}


class RegressorRecord(FileRecord):
    """The file of a `SISSORegressor`."""

    models: list[list[ModelRecord]]

    @model_validator(mode="after")
    def _has_models(self) -> Self:
        need(len(self.models) > 0 and all(self.models), "needs at least one model, found none")
        return self


class EnsembleRecord(FileRecord):
    """The file of a `SISSOEnsemble`."""

    members: list[ModelRecord]
    dropped: list[list[Text]]
    chosen: ChoiceRecord
    choices: list[JudgedChoiceRecord]
    calibration: CalibrationRecord | None
    formula_calibration: CalibrationRecord | None
    recalibration: RecalibrationRecord | None
    correction: CorrectionRecord | None
    labelled: Numbers

    @model_validator(mode="after")
    def _members_fit(self) -> Self:
        n, names = len(self.members), {*self.units}
        need(n > 0, "needs at least one model, found none")
        known = len(self.dropped) == n and all({*dropped} <= names for dropped in self.dropped)
        need(known, "dropped: needs names of primary features for each member")
        chosen = (self.chosen.rung, self.chosen.dim)
        need(chosen in {(one.rung, one.dim) for one in self.choices}, "chosen: needs to be one of the choices")
        need_numbers("labelled", self.labelled, self.n_samples, len(names))
        if self.correction is not None:
            need_numbers("features", self.correction.features, len(self.correction.target), len(names))
        return self

    @model_validator(mode="after")
    def _scores_fit(self) -> Self:
        both = (self.recalibration is None) == (self.calibration is None)
        need(both, "recalibration: needs a calibration, and the other way round")
        if self.recalibration is not None and self.calibration is not None:
            need_numbers("scores", self.recalibration.scores, self.calibration.n)
            in_order = bool((np.diff(self.recalibration.scores, prepend=0.0) >= 0).all())
            need(in_order, "scores: needs numbers >= 0 in order")
        return self


def file_document(
    kind: str,
    target: tuple[str, str],
    primaries: Mapping[str, str],
    settings: Mapping[str, Any],
    counts: Mapping[str, Any],
    models: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of a model file, as plain data; a `FileRecord` reads it.

    It does not depend on the order of rows or columns, or on the number of threads.

    Parameters
    ----------
    kind : str
    target : tuple of str
        Name and unit of what the model predicts.
    primaries : mapping of str to str
        Unit of each primary feature, in the order of the names.
    settings : mapping
        Parameters of the estimator.
    counts : mapping
        `SearchCounts.to_json`.
    models : mapping
        What only this kind of file has.
    """
    kept = {name: _plain(value) for name, value in settings.items() if name not in {"threads", "units"}}
    return {
        "kind": kind,
        "target": {"name": target[0], "unit": target[1]},
        "primaries": [{"name": name, "unit": unit} for name, unit in primaries.items()],
        "settings": kept,
        **counts,
        **models,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], data: Any) -> R:
    """A record from plain data; one that is read already is returned as it is.

    Raises
    ------
    ModelFileError
        A key is missing, a value is of another type or out of its bounds, or parts do not fit together.

    Examples
    --------
    >>> read_record(NamedRecord, {"name": "gap", "unit": "eV"}).unit
    'eV'
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ModelFileError(explained(error)) from error
