"""What the file of an ensemble of several tasks holds."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sisso_sal.models.record_types import Count, Flag, Record, Size, Text, need
from sisso_sal.models.records import (
    MOST_MEMBERS,
    CalibrationRecord,
    ChoiceRecord,
    CorrectionRecord,
    FileRecord,
    SearchRecord,
)
from sisso_sal.models.task_records import MOST_TASKS


class TaskEnsembleSettingsRecord(SearchRecord):
    """The parameters of a `MultiTaskSISSOEnsemble`."""

    members: Count
    dropout: Size
    adapt: Flag
    same_sign: Flag
    task_weighting: Literal["tasks", "samples"]
    aggregation: Text
    correction: Text
    recalibrate: Text
    positive: Text
    random_state: Count


class TaskChoiceRecord(ChoiceRecord):
    """A rung and number of terms, with the error over all tasks if there is one."""

    error: Size | None


class TaskPartRecord(Record):
    """One task: name and unit of its target, samples, and the error of the mean of its labels; what else is there is read with
    what all tasks share, as the file of a `SISSOEnsemble`.
    """

    model_config = ConfigDict(extra="allow")
    name: Text
    unit: Text
    n_samples: Count
    rmse_of_mean: Size | None
    formula_calibration: CalibrationRecord | None


class TaskEnsembleRecord(FileRecord):
    """The file of a `MultiTaskSISSOEnsemble`."""

    settings: TaskEnsembleSettingsRecord  # pyright: ignore[reportIncompatibleVariableOverride]
    task_column: Text
    chosen: ChoiceRecord
    choices: list[TaskChoiceRecord]
    dropped: list[list[Text]] = Field(max_length=MOST_MEMBERS)
    tasks: list[TaskPartRecord] = Field(max_length=MOST_TASKS)
    correction: CorrectionRecord | None

    @model_validator(mode="after")
    def _tasks_fit(self) -> Self:
        names = [task.name for task in self.tasks]
        need(len(names) > 1 and names == sorted({*names}), "tasks: needs at least two, by name, that differ")
        numbers = sum(task.n_samples for task in self.tasks)
        need(numbers == self.n_samples, f"n_samples: needs {numbers} as the tasks have, found {self.n_samples}")
        chosen = self.chosen.model_dump()
        known = [one.model_dump(include={*chosen}) for one in self.choices]
        need(chosen in known, "chosen: needs to be one of the choices")
        self._check_correction()
        return self

    def _check_correction(self) -> None:
        """One of all tasks fits what the file says, and no task has another."""
        if (shared := self.correction) is None:
            return
        n_primary = len(self.primaries)
        need(shared.features.shape[1] == n_primary, f"correction: needs features of {n_primary} columns")
        need(shared.kind == self.settings.correction, f"correction: needs kind {self.settings.correction}")
        alone = all((task.model_extra or {}).get("correction") is None for task in self.tasks)
        need(alone, "correction: needs none of a task where there is one of all")

    def of_task(self, number: int) -> dict[str, Any]:
        """What the file of a `SISSOEnsemble` of this task alone would hold."""
        task = self.tasks[number]
        settings = self.settings.model_dump(exclude={"same_sign", "task_weighting"})
        shared = {
            "kind": "ensemble",
            "target": {"name": task.name, "unit": task.unit},
            "primaries": [one.model_dump() for one in self.primaries],
            "settings": settings | ONE_TASK,
            "n_samples": task.n_samples,
            "n_features": self.n_features,
            "rejected": self.rejected,
            "n_singular": self.n_singular,
            "complete": self.complete,
            "chosen": self.chosen.model_dump(),
            "dropped": self.dropped,
            "certain": None,
            "low": None,
        }
        own = dict(task.model_extra or {})
        alone = task.formula_calibration
        if self.correction is None:
            own["formula_calibration"] = None if alone is None else alone.model_dump()
        else:
            own["formula_calibration"] = own.get(
                "calibration"
            )  # the file of one task has its own correction where they differ
        return own | shared


ONE_TASK: dict[str, Any] = {"target_transform": "none", "loss": "squared", "low": [], "param_operators": []}
"""Settings that a `SISSOEnsemble` has, and an ensemble of several tasks has not."""
