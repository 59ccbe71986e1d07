"""What a model file holds of errors against complexity, as types with bounds."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from sisso_sal.models.record_types import Count, Record, Size, need


class JudgedSizeRecord(Record):
    """A `JudgedSize`."""

    dimension: Count
    mae: Size
    mae_error: Size
    rmse: Size


class JudgedFormulaRecord(Record):
    """A `JudgedFormula`."""

    dimension: Count
    rank: Count
    complexity: Count
    rmse: Size
    mae: Size
    mae_error: Size


class TradeOffRecord(Record):
    """A `TradeOff`."""

    n_folds: Count
    n_materials: Count
    sizes: list[JudgedSizeRecord]
    formulas: list[JudgedFormulaRecord]
    recommended: list[Count] = Field(min_length=2, max_length=2)

    def check(self, numbers: Sequence[tuple[int, int]]) -> None:
        """Refuse errors of other models than the file has; `numbers` are the dimensions and how many models each has."""
        needed = [(dimension, rank) for dimension, n in numbers for rank in range(1, n + 1)]
        found = [(one.dimension, one.rank) for one in self.formulas]
        need(found == needed, "trade_off.formulas: needs an entry for each model, in their order")
        dimensions = [dimension for dimension, _ in numbers]
        need([one.dimension for one in self.sizes] == dimensions, "trade_off.sizes: needs one entry for each dimension")
        need(tuple(self.recommended) in needed, "trade_off.recommended: needs one of the models")
