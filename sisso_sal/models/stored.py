"""A fitted model with the settings it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sisso_sal.models.class_formulas import FittedClasses
    from sisso_sal.models.ensemble_model import EnsembleModel
    from sisso_sal.models.formulas import FittedModels
    from sisso_sal.models.task_models import FittedTasks


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What a model file holds. Commands and campaigns predict with it; `load_model` makes an estimator of it.

    Attributes
    ----------
    model : FittedModels or EnsembleModel
    settings : mapping
        Parameters of the estimator.
    target, target_unit : str
        Name and unit of what it predicts.
    """

    model: FittedModels | EnsembleModel
    settings: Mapping[str, Any]
    target: str = ""
    target_unit: str = ""

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The model and its settings as plain data."""
        return self.model.document(self.settings, target, target_unit)


@dataclass(frozen=True, eq=False)
class StoredClasses:
    """What the model file of a classifier holds.

    Attributes
    ----------
    model : FittedClasses
    settings : mapping
        Parameters of the estimator.
    target, target_unit : str
        Name of what it tells, and its unit where the classes are numbers.
    """

    model: FittedClasses
    settings: Mapping[str, Any]
    target: str = ""
    target_unit: str = ""

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The model and its settings as plain data."""
        return self.model.document(self.settings, target, target_unit)


@dataclass(frozen=True, eq=False)
class StoredTasks:
    """What the model file of several tasks holds.

    Attributes
    ----------
    model : FittedTasks
    settings : mapping
        Parameters of the estimator.
    target, target_unit : str
        Name of what it predicts, and its unit where all tasks have one.
    """

    model: FittedTasks
    settings: Mapping[str, Any]
    target: str = ""
    target_unit: str = ""

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The model and its settings as plain data."""
        return self.model.document(self.settings, target, target_unit)
