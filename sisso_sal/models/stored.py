"""A fitted model with the settings it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


class DocumentedModel(Protocol):
    """A model that can be written into a file with the parameters of its estimator, and name and unit of what it predicts."""

    def document(self, settings: Mapping[str, Any], target: str, target_unit: str = "") -> dict[str, Any]: ...


M = TypeVar("M", bound=DocumentedModel)


@dataclass(frozen=True, eq=False)
class StoredModel(Generic[M]):
    """What a model file holds. Commands and campaigns predict with it; `load_model` makes an estimator of it.

    Attributes
    ----------
    model : FittedModels, EnsembleModel, FittedTasks, FittedTaskEnsemble or FittedClasses
    settings : mapping
        Parameters of the estimator.
    target, target_unit : str
        Name of what it predicts, and its unit where there is one.
    """

    model: M
    settings: Mapping[str, Any]
    target: str = ""
    target_unit: str = ""

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]:
        """The model and its settings as plain data."""
        return self.model.document(self.settings, target, target_unit)
