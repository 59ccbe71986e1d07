"""Model files: JSON with a schema version, no pickle; a reloaded model predicts the same bits."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from sisso_sal.errors import DocumentError, ModelFileError
from sisso_sal.models.class_formulas import FittedClasses
from sisso_sal.models.class_members import KIND as ENSEMBLE_OF_CLASSES
from sisso_sal.models.class_members import ClassMembers
from sisso_sal.models.class_records import ClassEnsembleRecord, ClassifierRecord
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.needs import AnyModel, Model, ModelOfOneTask
from sisso_sal.models.record_types import read_record
from sisso_sal.models.records import EnsembleRecord, RegressorRecord
from sisso_sal.models.stored import StoredModel
from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble
from sisso_sal.models.task_ensemble_records import TaskEnsembleRecord
from sisso_sal.models.task_models import FittedTasks
from sisso_sal.models.task_records import TasksRecord
from sisso_sal.system.documents import LARGE, json_of, read_bytes, shown
from sisso_sal.system.storage import write_whole

if TYPE_CHECKING:
    from sisso_sal.models.class_ensemble import SISSOClassifierEnsemble
    from sisso_sal.models.classifier import SISSOClassifier
    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.multi_task import MultiTaskSISSO
    from sisso_sal.models.multi_task_ensemble import MultiTaskSISSOEnsemble
    from sisso_sal.models.regressor import SISSORegressor

    AnyEstimator = (
        SISSORegressor
        | SISSOEnsemble
        | MultiTaskSISSO
        | MultiTaskSISSOEnsemble
        | SISSOClassifier
        | SISSOClassifierEnsemble
    )

FORMAT = "sisso-sal model"
SCHEMA_VERSION = 8


class Storable(Protocol):
    """A fitted model that knows the settings it was made with: an estimator or a `StoredModel`."""

    def document(self, target: str, target_unit: str = "") -> dict[str, Any]: ...


def save_model(path: str | os.PathLike[str], model: Storable, target: str, target_unit: str = "") -> None:
    """Write a fitted model to a file, whole or not at all.

    Parameters
    ----------
    path : path
    model : SISSORegressor, SISSOEnsemble, MultiTaskSISSO, SISSOClassifier, SISSOClassifierEnsemble or StoredModel
    target, target_unit : str
        Name and unit of what it predicts.

    Raises
    ------
    SissoSalError
        The file cannot be written.
    """
    document = model_document(model, target, target_unit)
    write_whole(path, json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def model_document(model: Storable, target: str, target_unit: str = "") -> dict[str, Any]:
    """The content of a model file, as plain data; see `save_model`."""
    return {"format": FORMAT, "schema_version": SCHEMA_VERSION, **model.document(target, target_unit)}


def load_model(path: str | os.PathLike[str], *, formulas_only: bool = False) -> tuple[AnyEstimator, str, str]:
    """Read a model file as a scikit-learn estimator.

    Parameters
    ----------
    path, formulas_only
        See `read_any_model`.

    Returns
    -------
    model : estimator
        SISSORegressor, SISSOEnsemble, MultiTaskSISSO, MultiTaskSISSOEnsemble, SISSOClassifier or SISSOClassifierEnsemble.
        Its columns are `feature_names_in_`, sorted by name.
    target, target_unit : str

    Raises
    ------
    ModelFileError
        See `read_any_model`.
    """
    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.multi_task import MultiTaskSISSO
    from sisso_sal.models.regressor import SISSORegressor

    stored = read_any_model(path, formulas_only=formulas_only)
    model, settings, named = stored.model, stored.settings, (stored.target, stored.target_unit)
    if isinstance(model, FittedModels):
        return SISSORegressor.fitted(model, settings, *named), *named
    if isinstance(model, FittedTasks):
        return MultiTaskSISSO.fitted(model, settings, *named), *named
    if isinstance(model, FittedTaskEnsemble):
        from sisso_sal.models.multi_task_ensemble import MultiTaskSISSOEnsemble

        return MultiTaskSISSOEnsemble.fitted(model, settings, *named), *named
    if isinstance(model, FittedClasses):
        from sisso_sal.models.classifier import SISSOClassifier

        return SISSOClassifier.fitted(model, settings, *named), *named
    if isinstance(model, ClassMembers):
        from sisso_sal.models.class_ensemble import SISSOClassifierEnsemble

        return SISSOClassifierEnsemble.fitted(model, settings, *named), *named
    return SISSOEnsemble.fitted(model, settings, *named), *named


def read_model(path: str | os.PathLike[str], *, formulas_only: bool = False) -> StoredModel[Model]:
    """Read the model file of something that predicts a number, of one task.

    Parameters
    ----------
    path, formulas_only
        See `read_any_model`.

    Raises
    ------
    ModelFileError
        See `read_model_of_one_task`; also the file holds a classifier.
    """
    stored = read_model_of_one_task(path, formulas_only=formulas_only)
    model = stored.model
    if isinstance(model, FittedClasses | ClassMembers):
        kind = "a classifier" if isinstance(model, FittedClasses) else "an ensemble of classifiers"
        takers = "predict, screen and export take it"
        raise ModelFileError(f"{path}: needs a model that predicts a number, found {kind}; {takers}")
    return StoredModel(model, stored.settings, stored.target, stored.target_unit)


def read_model_of_one_task(path: str | os.PathLike[str], *, formulas_only: bool = False) -> StoredModel[ModelOfOneTask]:
    """Read the model file of something that predicts a number or a class, of one task.

    Parameters
    ----------
    path, formulas_only
        See `read_any_model`.

    Raises
    ------
    ModelFileError
        See `read_any_model`; also the file holds a model of several tasks.
    """
    stored = read_any_model(path, formulas_only=formulas_only)
    model = stored.model
    if isinstance(model, FittedTasks | FittedTaskEnsemble):
        n = len(model.task_names)
        raise ModelFileError(f"{path}: needs a model of one task, found one of {n} tasks; predict and export take it")
    return StoredModel(model, stored.settings, stored.target, stored.target_unit)


def read_any_model(path: str | os.PathLike[str], *, formulas_only: bool = False) -> StoredModel[AnyModel]:
    """Read a model file.

    Parameters
    ----------
    path : path
    formulas_only : bool
        Leave an ensemble's correction out, which takes most of the time: it then predicts as the formulas alone do.

    Raises
    ------
    ModelFileError
        The file is missing, damaged, of another kind or of a newer schema.
    """
    try:
        content = read_bytes(path, LARGE.size)
    except DocumentError as error:
        raise ModelFileError(str(error)) from error
    try:
        document = json_of(content, LARGE)
    except DocumentError as error:
        raise ModelFileError(f"{path}: is no model file: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ModelFileError(f"{path}: needs a file of format '{FORMAT}', found another JSON document")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        is_newer = type(version) is int and version > SCHEMA_VERSION
        advice = "update sisso-sal" if is_newer else "fit the model again"
        raise ModelFileError(f"{path}: needs schema version {SCHEMA_VERSION}, found {shown(version)}; {advice}")
    try:
        return _restored(document, formulas_only)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{path}: the model file is damaged: {reason}") from error


def _restored(document: Mapping[str, Any], formulas_only: bool) -> StoredModel[AnyModel]:
    if document["kind"] == "regressor":
        record = read_record(RegressorRecord, document)
        model = FittedModels.of_file(record)
    elif document["kind"] == "tasks":
        record = read_record(TasksRecord, document)
        settings = record.settings.model_dump()
        return StoredModel(FittedTasks.of_file(record), settings, record.target.name, record.target.unit)
    elif document["kind"] == "task_ensemble":
        record = read_record(TaskEnsembleRecord, document)
        ensemble = FittedTaskEnsemble.of_file(record, formulas_only=formulas_only)
        return StoredModel(ensemble, record.settings.model_dump(), record.target.name, record.target.unit)
    elif document["kind"] == "classifier":
        record = read_record(ClassifierRecord, document)
        settings = record.settings.model_dump()
        return StoredModel(FittedClasses.of_file(record), settings, record.target.name, record.target.unit)
    elif document["kind"] == ENSEMBLE_OF_CLASSES:
        record = read_record(ClassEnsembleRecord, document)
        settings = record.settings.model_dump()
        return StoredModel(ClassMembers.of_file(record), settings, record.target.name, record.target.unit)
    else:
        record = read_record(EnsembleRecord, document)
        model = EnsembleModel.of_file(record.model_copy(update={"correction": None}) if formulas_only else record)
    return StoredModel(model, record.settings.model_dump(), record.target.name, record.target.unit)
