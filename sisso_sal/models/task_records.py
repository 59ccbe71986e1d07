"""What the file of a model of several tasks holds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sisso_sal.models.record_types import Count, Flag, Record, Size, Text, need
from sisso_sal.models.records import MOST_ALTERNATIVES, MOST_DIMENSIONS, FileRecord, ModelRecord, SearchRecord
from sisso_sal.models.trade_off_records import TradeOffRecord

MOST_TASKS = 1000


class TaskSettingsRecord(SearchRecord):
    """The parameters of a `MultiTaskSISSO`."""

    same_sign: Flag
    task_weighting: Literal["tasks", "samples"]
    criterion: Literal["rmse", "max_abs_error"]
    n_models: Annotated[int, Field(strict=True, ge=1, le=MOST_ALTERNATIVES)] | None = None


class TaskRecord(Record):
    """A task: its name, the unit of its target, and how many samples it had."""

    name: Text
    unit: Text
    n_samples: Count


class TaskModelRecord(Record):
    """A `TaskModel`."""

    dimension: Count
    rmse: Size
    max_abs_error: Size
    tasks: Annotated[dict[str, ModelRecord], Field(max_length=MOST_TASKS)]

    @model_validator(mode="after")
    def _of_one_dimension(self) -> Self:
        sizes = {model.dimension for model in self.tasks.values()}
        need(sizes == {self.dimension}, f"tasks: needs models of dimension {self.dimension}")
        return self


class TasksRecord(FileRecord):
    """The file of a `MultiTaskSISSO`."""

    settings: TaskSettingsRecord  # pyright: ignore[reportIncompatibleVariableOverride]
    task_column: Text
    tasks: list[TaskRecord] = Field(max_length=MOST_TASKS)
    models: list[Annotated[list[TaskModelRecord], Field(max_length=MOST_ALTERNATIVES)]] = Field(
        max_length=MOST_DIMENSIONS
    )
    trade_off: TradeOffRecord | None = None

    @model_validator(mode="after")
    def _has_models(self) -> Self:
        names = [task.name for task in self.tasks]
        need(len(names) > 1 and names == sorted({*names}), "tasks: needs at least two, by name, that differ")
        need(len(self.models) > 0 and all(self.models), "needs at least one model, found none")
        sizes = [{model.dimension for model in models} for models in self.models]
        need(
            sizes == [{d} for d in range(1, len(sizes) + 1)],
            "models: needs lists of one dimension each, in their order",
        )
        if self.trade_off is not None:
            self.trade_off.check([(d, len(models)) for d, models in enumerate(self.models, 1)])
        return self
