"""A fitted ensemble of several tasks: members with the same descriptors, and for each task an ensemble of its own coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.models.calibration import Calibration
from sisso_sal.models.correction import Correction
from sisso_sal.models.ensemble_model import N_TYPICAL, EnsembleModel
from sisso_sal.models.record_types import inside, read_record
from sisso_sal.models.records import EnsembleRecord, file_document
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.models.task_ensemble_records import TaskEnsembleRecord
from sisso_sal.models.task_model import TaskModel

_SHARED = ("chosen", "dropped", "certain", "low")
"""What all tasks have in common."""


@dataclass(frozen=True, eq=False)
class TaskPrediction:
    """What an ensemble says of rows, each of its task: ndarray (n,) each, in the unit of the task's target.

    Attributes
    ----------
    mean, std, std_raw : ndarray (n,)
        NaN where fewer than half of the members are valid; std is recalibrated, `std_raw` is not.
    low95, high95 : ndarray (n,)
        Ends of the 95 % interval.
    formulas_mean : ndarray (n,)
        Mean of the formulas, without correction.
    n_valid : ndarray (n,) of int
        Members that are valid.
    outside : ndarray (n,)
        Share of members that extrapolate.
    distance : ndarray (n,)
        To the nearest labelled material of the task, see `Prediction`; NaN where a primary feature is missing.
    reason : ndarray (n,) of str
        Why there is no prediction; "" where there is one.
    """

    mean: np.ndarray
    std: np.ndarray
    std_raw: np.ndarray
    low95: np.ndarray
    high95: np.ndarray
    formulas_mean: np.ndarray
    n_valid: np.ndarray
    outside: np.ndarray
    distance: np.ndarray
    reason: np.ndarray

    @classmethod
    def empty(cls, n: int) -> TaskPrediction:
        """Of n rows, to be filled."""
        numbers = {name: np.full(n, np.nan) for name in cls.__dataclass_fields__}
        return cls(**numbers | {"n_valid": np.zeros(n, dtype=np.int64), "reason": np.full(n, "", dtype=object)})

    def as_columns(self) -> dict[str, np.ndarray]:
        """All of it by name, for a table."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, eq=False)
class FittedTaskEnsemble:
    """Members of several tasks. Plain data: copies and pickles predict the same digits.

    Attributes
    ----------
    ensembles : dict of str to EnsembleModel
        For each task its coefficients of the members, its calibration, and its correction, which may be that of all tasks.
    counts : SearchCounts
        Of all tasks together.
    task_column : str
        Name of the column that names the tasks; "" where each task is a target column of its own.
    units : dict of str to str
        The unit of each task's target.
    choices : list of dict
        ``rung`` and ``dim`` of each choice there was, and its ``error``: the mean over tasks of the out-of-bag mean absolute
        errors, each as a share of the mean absolute deviation of its labels. The members are those of the least.
    rmse_of_mean : dict of str to float or None
        For each task the error of the mean of all other materials, for the samples that have an out-of-bag prediction.
    """

    ensembles: dict[str, EnsembleModel]
    counts: SearchCounts
    task_column: str
    units: dict[str, str]
    choices: list[dict[str, Any]]
    rmse_of_mean: dict[str, float | None]

    @property
    def first(self) -> EnsembleModel:
        """That of the first task, for what all share."""
        return next(iter(self.ensembles.values()))

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(self.ensembles)

    @property
    def n_of_task(self) -> dict[str, int]:
        """Samples of each task."""
        return {name: one.counts.n_samples for name, one in self.ensembles.items()}

    @property
    def primaries(self) -> dict[str, str]:
        """Unit of each primary feature, in the order of the names."""
        return self.first.primaries

    @property
    def needed(self) -> tuple[str, ...]:
        """Primary features without which there is no prediction of every task, sorted."""
        return tuple(sorted({name for one in self.ensembles.values() for name in one.needed}))

    @property
    def shared_correction(self) -> Correction | None:
        """The correction that the samples of all tasks taught; None where each task has its own, or none."""
        corrections = {id(one.correction): one.correction for one in self.ensembles.values()}
        return next(iter(corrections.values())) if len(corrections) == 1 else None

    @property
    def has_shares(self) -> bool:
        """Whether a correction has learned from compositions."""
        corrections = [one.correction for one in self.ensembles.values()]
        return any(one is not None and one.composition is not None for one in corrections)

    def of_task(self, name: str) -> EnsembleModel:
        """The ensemble of one task.

        Raises
        ------
        SettingsError
            There is no such task.
        """
        if name not in self.ensembles:
            raise SettingsError(f"task: needs one of {', '.join(self.ensembles)}, found '{name}'")
        return self.ensembles[name]

    def member(self, number: int) -> TaskModel:
        """A member with the coefficients of all tasks; its errors in training count tasks alike."""
        tasks = {name: one.members[number] for name, one in self.ensembles.items()}
        rmse = float(np.sqrt(np.mean([own.rmse**2 for own in tasks.values()])))
        return TaskModel(tasks, rmse, max(own.max_abs_error for own in tasks.values()))

    def typical_members(self, count: int = N_TYPICAL) -> list[int]:
        """Numbers of the members closest to the members' median over the labelled materials of all tasks; descriptors differ.

        Distances in a task are in units of their median over the members.
        """
        far = np.zeros(len(self.first.members))
        for one in self.ensembles.values():
            known = dict(zip(one.primaries, np.ascontiguousarray(one.labelled.T), strict=True))
            distance = np.full(len(far), np.inf)
            for number, value in one.typical_members(known, len(far)):
                distance[number] = value
            typical = float(np.median(distance[np.isfinite(distance)]))
            far += distance / (typical or 1.0)
        told: dict[frozenset[str], int] = {}
        for number in np.argsort(far, kind="stable").tolist():
            told.setdefault(frozenset(term.expression.key for term in self.first.members[number].terms), number)
        return list(told.values())[:count]

    def predict(
        self, columns: Mapping[str, np.ndarray], tasks: np.ndarray, composition: np.ndarray | None = None
    ) -> TaskPrediction:
        """What the members and the corrections say of rows.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Primary features in the units of the training table: those that `needed` names.
        tasks : ndarray (n,) of str
        composition : array (n, n_elements), optional
            Share of each element, see `EnsembleModel.predict_distribution`.

        Raises
        ------
        FitError
            A task is none of those that were learned.
        """
        out = TaskPrediction.empty(len(tasks))
        for name in sorted({*tasks.tolist()}):
            if name not in self.ensembles:
                raise FitError(f"task '{name}': is none of those that were learned: {', '.join(self.ensembles)}")
            rows = np.flatnonzero(tasks == name)
            own = {feature: values[rows] for feature, values in columns.items()}
            shares = None if composition is None else composition[rows]
            told = self.ensembles[name].predict_distribution(own, shares)
            low, high = told.interval95
            parts = {
                key: getattr(told, key)
                for key in ("mean", "std", "std_raw", "formulas_mean", "n_valid", "outside", "reason")
            }
            parts |= {"low95": low, "high95": high, "distance": np.nan if told.distance is None else told.distance}
            for key, values in parts.items():
                getattr(out, key)[rows] = values
        return out

    def document(self, settings: Mapping[str, Any], target: str, target_unit: str = "") -> dict[str, Any]:
        """The content of a model file; see `file_document`.

        Parameters
        ----------
        settings : mapping
            Parameters of a `MultiTaskSISSOEnsemble`.
        target, target_unit : str
            Name and unit of what they predict.
        """
        tasks, shared = [], self.shared_correction
        for name, one in self.ensembles.items():
            own = {key: value for key, value in one.to_json().items() if key not in _SHARED}
            about = {"name": name, "unit": self.units[name], "n_samples": one.counts.n_samples}
            own |= {"correction": None} if shared else {}
            tasks.append(about | {"rmse_of_mean": self.rmse_of_mean[name]} | own)
        models = {
            "task_column": self.task_column,
            "chosen": self.first.chosen,
            "choices": self.choices,
            "dropped": [list(names) for names in self.first.dropped],
            "tasks": tasks,
            "correction": shared.to_json() if shared else None,
        }
        counts = self.counts.to_json()
        return file_document("task_ensemble", (target, target_unit), self.primaries, settings, counts, models)

    @classmethod
    def of_file(cls, record: TaskEnsembleRecord, *, formulas_only: bool = False) -> FittedTaskEnsemble:
        """The inverse of `document`, from a file that was read; with `formulas_only` without corrections.

        Raises
        ------
        ModelFileError, SettingsError
            A setting cannot be; a tree is no formula of the primary features, or the settings do not allow it; the tasks of a
            member have other descriptors than each other.
        """
        ensembles = {}
        for number, task in enumerate(record.tasks):
            with inside(f"tasks.{number}"):
                own = read_record(EnsembleRecord, record.of_task(number))
                own = own.model_copy(update={"correction": None}) if formulas_only else own
                ensembles[task.name] = EnsembleModel.of_file(own)
        if record.correction is not None and not formulas_only:
            with inside("correction"):
                shared = Correction.from_json(record.correction)
            for task in record.tasks:
                part = task.formula_calibration
                alone = None if part is None else Calibration(**part.model_dump())
                ensembles[task.name] = replace(ensembles[task.name], correction=shared, formula_calibration=alone)
        counts = SearchCounts.of_file(record)
        for number, members in enumerate(zip(*(one.members for one in ensembles.values()), strict=True)):
            if len({tuple(term.expression.key for term in member.terms) for member in members}) > 1:
                raise ModelFileError(f"members.{number}: needs the same descriptors for each of {', '.join(ensembles)}")
        units = {task.name: task.unit for task in record.tasks}
        by_mean = {task.name: task.rmse_of_mean for task in record.tasks}
        choices = [choice.model_dump() for choice in record.choices]
        return cls(ensembles, counts, record.task_column, units, choices, by_mean)
