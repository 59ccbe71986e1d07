"""What a model file holds, as types with bounds: a file is read once into these, and then nothing is checked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from sisso_sal.models.low_records import LowRecord
from sisso_sal.models.record_types import (
    Count,
    Flag,
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
from sisso_sal.models.trade_off_records import TradeOffRecord

MOST_TERMS, MOST_DIMENSIONS, MOST_ALTERNATIVES = 7, 6, 1000
"""Terms of a model (six and a low column), dimensions in a file of one formula, and models of each dimension."""
MOST_KERNELS = 16
MOST_MEMBERS = 10_000
MOST_PRIMARIES = 4096
MOST_LEARNED = 50_000
"""Rows that a correction is learned from anew: its processes need memory for the square of that."""

ROUNDING = 1e-9
"""Relative difference by which a root mean square error may seem larger than the largest error."""

RecalibrationKind = Literal["none", "scale", "isotonic"]


class LinkRecord(Record):
    """A `TargetTransform` that is not the identity."""

    kind: Literal["log", "yeo-johnson"]
    centre: Number
    scale: Positive
    exponent: Number
    low: Number
    high: Number


class TermRecord(Record):
    """A `Term`; the tree of its expression is read by `Expression.from_json`."""

    expression: Text
    tree: Any
    complexity: Count
    unit: Text | None
    coefficient: Number
    range: tuple[Number, Number]

    @model_validator(mode="after")
    def _range_in_order(self) -> Self:
        low, high = self.range
        need(low <= high, f"range: needs the smallest value first, found {low!r}, {high!r}")
        return self


class ModelRecord(Record):
    """A `SISSOModel`."""

    dimension: Count
    terms: list[TermRecord] = Field(max_length=MOST_TERMS)
    intercept: Number
    rmse: Size
    max_abs_error: Size
    link: LinkRecord | None = None
    form: Literal["sum", "product"] = "sum"

    @model_validator(mode="after")
    def _has_terms(self) -> Self:
        need(len(self.terms) > 0, "model: needs at least one term, found none")
        needed, n = self.dimension, len(self.terms)
        need(needed == n, f"terms: needs {needed} as the dimension says, found {n}")
        need(
            self.form == "sum" or (self.link is not None and self.link.kind == "log"), "link: needs a log of a product"
        )
        is_ordered = self.rmse <= self.max_abs_error * (1 + ROUNDING)
        need(is_ordered, f"rmse: needs a number below max_abs_error, found {self.rmse!r}, {self.max_abs_error!r}")
        return self


class ChoiceRecord(Record):
    """The rung and number of terms of some members, and what they are formulas for, see `Form`."""

    model_config = ConfigDict(extra="forbid")
    rung: Count
    dim: Count
    form: Literal["feature", "difference", "line"]
    column: Text


class JudgedChoiceRecord(ChoiceRecord):
    """With their errors, if there are any."""

    mae: Size | None
    rmse: Size | None
    mae_error: Size | None = None


class CalibrationRecord(Record):
    """A `Calibration`."""

    model_config = ConfigDict(extra="forbid")
    n: Count
    n_materials: Count
    kind: RecalibrationKind
    coverage95: Share
    miscalibration_area: Share
    noise_floor: Share
    noise_floor95: Share
    scale: Size
    coverage95_raw: Share
    miscalibration_area_raw: Share
    mean_squared_z: Size
    negative_log_likelihood: Number | None
    sharpness: Size
    spearman: Number | None
    rmse: Size
    mae: Size


class WidthsRecord(Record):
    """`Widths`."""

    constant: Number
    by_value: Number
    by_distance: Number
    middle: Number
    spread: Positive
    lowest: Number
    highest: Number
    typical: Number
    values: Numbers

    @model_validator(mode="after")
    def _values_in_order(self) -> Self:
        need(self.values.ndim == 1 and self.values.size > 0, "values: needs a label at least, found none")
        need(bool((np.diff(self.values) >= 0).all()), "values: needs labels in order")
        need(self.lowest <= self.highest, "lowest: needs at most highest")
        return self


class RecalibrationRecord(Record):
    """A `Recalibration`."""

    kind: RecalibrationKind
    factor: Size
    widths: WidthsRecord | None
    scores: Numbers
    low: Positive
    high: Positive

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        is_learned = self.kind == "isotonic"
        need((self.widths is not None) == is_learned, "widths: needs to be there for isotonic, and only there")
        need((self.scores.size > 0) == is_learned, "scores: needs some for isotonic, and only there")
        need(
            bool((self.scores >= 0).all() and (np.diff(self.scores) >= 0).all()), "scores: needs numbers >= 0 in order"
        )
        need(not is_learned or self.scores[-1] > 0, "scores: needs one above 0")
        return self


class CompositionRecord(Record):
    """Shares of elements (n, n_elements), of which the columns that are not zero are given."""

    n_elements: Annotated[int, Field(strict=True, ge=0, le=10_000)]
    columns: list[Count]
    shares: Numbers

    @model_validator(mode="after")
    def _columns_in_order(self) -> Self:
        need(sorted({*self.columns}) == self.columns, "columns: needs numbers of elements in order")
        need(not self.columns or self.columns[-1] < self.n_elements, f"columns: needs numbers below {self.n_elements}")
        size, most = self.shares.size * self.n_elements, 10**8 * max(len(self.columns), 1)
        need(size <= most, f"n_elements: needs fewer for so many rows, found {self.n_elements}")
        return self


class CorrectionRecord(Record):
    """A `Correction`: what it was learned from."""

    kind: Literal["trees", "process", "both"]
    seed: Count
    theta: list[list[Number]]
    features: Numbers
    formula: Numbers | None
    target: Numbers
    composition: CompositionRecord | None
    groups: list[Count]
    errors: Numbers | None

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        n = self.target.size
        need_numbers("target", self.target, n)
        need(n <= MOST_LEARNED, f"target: needs at most {MOST_LEARNED} numbers, found {n}")
        need_numbers("features", self.features, n, self.features.shape[-1] if self.features.ndim == 2 else 0)
        if self.formula is not None:
            need_numbers("formula", self.formula, n)
        need(len(self.groups) == n, f"groups: needs {n} numbers, found {len(self.groups)}")
        if self.errors is not None:
            need_numbers("errors", self.errors, n)
            need(bool((self.errors >= 0).all() and self.errors.any()), "errors: needs none below 0 and some above")
        if self.composition is not None:
            need_numbers("shares", self.composition.shares, n, len(self.composition.columns))
        return self


class HandoverRecord(Record):
    """What a `Correction` hands over to a later one: its kernels' parameters, and how many labels there were when they were last
    looked for from the beginning.
    """

    n_fresh: Count
    theta: list[list[Number]] = Field(max_length=MOST_KERNELS)


class NamedRecord(Record):
    """A name and a unit."""

    name: Text
    unit: Text


class SearchRecord(Record):
    """The parameters of a search for formulas; one that is missing must not become the default."""

    model_config = ConfigDict(extra="forbid")
    operators: list[Text] | list[list[Text]] | None
    rung: Count
    dim: Count
    n_sis: Count | list[Count]
    n_residual: Count
    max_complexity: Limit | None
    max_features: Limit | None
    min_abs: Limit
    max_abs: Limit
    fit_intercept: Flag
    unit_rules: Text
    max_correlation: Share


class SettingsRecord(SearchRecord):
    """The parameters of `SISSORegressor` and `SISSOEnsemble`."""

    param_operators: list[Text]
    low: list[Text]


class RegressorSettingsRecord(SettingsRecord):
    """The parameters of a `SISSORegressor` that an ensemble has not."""

    regression: Literal["linear", "log"]
    criterion: Literal["rmse", "max_abs_error"]
    n_models: Annotated[int, Field(strict=True, ge=1, le=MOST_ALTERNATIVES)] | None = None


class EnsembleSettingsRecord(SettingsRecord):
    """The parameters of a `SISSOEnsemble`."""

    members: Annotated[int, Field(strict=True, ge=2, le=MOST_MEMBERS)]
    dropout: Limit
    adapt: Flag
    target_transform: Text
    loss: Text
    aggregation: Text
    correction: Text
    recalibrate: Text
    positive: Text
    random_state: Count


class FileRecord(Record):
    """What every model file holds."""

    kind: Literal["regressor", "ensemble", "tasks", "task_ensemble"]
    target: NamedRecord
    primaries: list[NamedRecord] = Field(max_length=MOST_PRIMARIES)
    settings: SearchRecord
    n_samples: Count
    n_features: dict[str, Count]
    rejected: dict[str, dict[str, Count]]
    n_singular: Count
    complete: Flag

    @model_validator(mode="after")
    def _counts_fit(self) -> Self:
        for name in ("n_features", "rejected"):
            rungs, most = [*getattr(self, name)], self.settings.rung
            in_order = rungs == [str(rung) for rung in range(len(rungs))]
            need(in_order and 0 < len(rungs) <= most + 1, f"{name}: needs the rungs from 0 to {most} at most, in order")
        need(len(self.n_features) == len(self.rejected), "rejected: needs the same rungs as n_features")
        return self

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

    settings: RegressorSettingsRecord  # pyright: ignore[reportIncompatibleVariableOverride]
    models: list[Annotated[list[ModelRecord], Field(max_length=MOST_ALTERNATIVES)]] = Field(max_length=MOST_DIMENSIONS)
    choices: list[JudgedChoiceRecord]
    low: LowRecord | None
    trade_off: TradeOffRecord | None = None

    @model_validator(mode="after")
    def _has_models(self) -> Self:
        need(len(self.models) > 0 and all(self.models), "needs at least one model, found none")
        terms = [{len(model.terms) for model in models} for models in self.models]
        sizes = [size for sizes in terms for size in sizes]
        in_order = sizes == sorted({*sizes}) and len(sizes) == len(terms)
        need(in_order, "models: needs lists of one dimension each, in their order")
        if self.trade_off is not None:
            self.trade_off.check([(size, len(models)) for size, models in zip(sizes, self.models, strict=True)])
        return self

    @model_validator(mode="after")
    def _low_fits(self) -> Self:
        need((self.low is not None) == bool(self.choices), "choices: needs some where there is a low column")
        need(self.low is None or {*self.low.columns} <= {*self.units}, "low.columns: needs names of primary features")
        return self


class EnsembleRecord(FileRecord):
    """The file of a `SISSOEnsemble`."""

    settings: EnsembleSettingsRecord  # pyright: ignore[reportIncompatibleVariableOverride]
    members: list[ModelRecord] = Field(max_length=MOST_MEMBERS)
    dropped: list[list[Text]]
    chosen: ChoiceRecord
    choices: list[JudgedChoiceRecord]
    calibration: CalibrationRecord | None
    formula_calibration: CalibrationRecord | None
    recalibration: RecalibrationRecord | None
    floor: Number | None
    correction: CorrectionRecord | None
    labelled: Numbers
    certain: Any  # read by `Certainty.from_json`
    low: LowRecord | None

    @model_validator(mode="after")
    def _members_fit(self) -> Self:
        n, names = len(self.members), {*self.units}
        need(n > 0, "needs at least one model, found none")
        known = len(self.dropped) == n and all({*dropped} <= names for dropped in self.dropped)
        need(known, "dropped: needs names of primary features for each member")
        most = self.chosen.dim + (self.chosen.form != "feature")
        need(
            all(len(one.terms) <= most for one in self.members), f"members: needs at most {most} terms each, as chosen"
        )
        chosen = self.chosen.model_dump()
        known = [one.model_dump(include={*chosen}) for one in self.choices]
        need(chosen in known, "chosen: needs to be one of the choices")
        need(self.low is None or {*self.low.columns} <= names, "low.columns: needs names of primary features")
        need_numbers("labelled", self.labelled, self.n_samples, len(names))
        return self

    @model_validator(mode="after")
    def _correction_fits(self) -> Self:
        if self.correction is None:
            is_alone = self.calibration == self.formula_calibration
            need(is_alone, "correction: needs one, as calibration and formula_calibration differ")
            return self
        need(self.correction.formula is not None, "correction.formula: needs numbers, found none")
        need_numbers("features", self.correction.features, len(self.correction.target), len(self.units))
        needed, seed = self.settings.random_state, self.correction.seed
        need(seed == needed, f"correction.seed: needs {needed} as random_state, found {seed}")
        rows, known = self.correction.features.tolist(), {*map(tuple, self.labelled.tolist())}
        need({*map(tuple, rows)} <= known, "correction.features: needs rows of labelled, found another one")
        return self

    @model_validator(mode="after")
    def _scores_fit(self) -> Self:
        both = (self.recalibration is None) == (self.calibration is None)
        need(both, "recalibration: needs a calibration, and the other way round")
        if self.recalibration is not None and self.calibration is not None:
            kind, known = self.recalibration.kind, self.calibration.kind
            need(kind == known, f"recalibration: needs kind {known} as the calibration says, found {kind}")
            need_numbers("scores", self.recalibration.scores, self.calibration.n if kind == "isotonic" else 0)
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
