"""Model files: JSON with a schema version, no pickle; a reloaded model predicts the same bits."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.errors import ModelFileError
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.storage import write_whole
from sisso_sal.uncertainty import Calibration

FORMAT = "sisso-sal model"
SCHEMA_VERSION = 1
_KINDS = {"regressor": SISSORegressor, "ensemble": SISSOEnsemble}


def save_model(
    path: str | os.PathLike[str], model: SISSORegressor | SISSOEnsemble, target: str, target_unit: str = ""
) -> None:
    """Write a fitted model to a file, whole or not at all.

    Parameters
    ----------
    path : path
    model : SISSORegressor or SISSOEnsemble
    target, target_unit : str
        Name and unit of what it predicts.

    Raises
    ------
    SissoSalError
        The file cannot be written.
    """
    document = {"format": FORMAT, "schema_version": SCHEMA_VERSION, **model.document(target, target_unit)}
    write_whole(path, json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def load_model(path: str | os.PathLike[str]) -> tuple[SISSORegressor | SISSOEnsemble, str, str]:
    """Read a model file.

    Returns
    -------
    model : SISSORegressor or SISSOEnsemble
        Its columns are `feature_names_in_`, sorted by name.
    target, target_unit : str

    Raises
    ------
    ModelFileError
        The file is missing, damaged, of another kind or of a newer schema.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: needs a model file (JSON), found something else: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ModelFileError(f"{path}: needs a file of format '{FORMAT}', found another JSON document")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ModelFileError(f"{path}: needs schema version {SCHEMA_VERSION}, found {version!r}; update sisso-sal")
    try:
        return _restored(document), document["target"]["name"], document["target"]["unit"]
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{path}: the model file is damaged: {reason}") from error


def _restored(document: Mapping[str, Any]) -> SISSORegressor | SISSOEnsemble:
    units = {entry["name"]: entry["unit"] for entry in document["primaries"]}
    model = _KINDS[document["kind"]](**document["settings"])
    model.primaries_, model.units_ = tuple(units), tuple(units.values())
    model.feature_names_in_ = np.array([f"{n} ({u})" if u else n for n, u in units.items()], dtype=object)
    model.n_features_in_ = len(units)
    model.n_samples_ = document["n_samples"]
    model.n_features_ = document["n_features"]
    model.rejected_ = document["rejected"]
    model.n_singular_ = document["n_singular"]
    model.is_complete_ = document["complete"]

    def read(models: Sequence[Mapping[str, Any]]) -> list[SISSOModel]:
        if not models:
            raise ModelFileError("needs at least one model, found none")
        return [SISSOModel.from_json(data, units, check_units=model.use_units) for data in models]

    if isinstance(model, SISSOEnsemble):
        model.members_ = read(document["members"])
        model.dropped_ = [tuple(names) for names in document["dropped"]]
        found = document["calibration"]
        model.calibration_ = Calibration(**{**found, "scale": float(found["scale"])}) if found else None
    else:
        model.alternatives_ = [read(models) for models in document["models"]]
        model.models_ = [models[0] for models in model.alternatives_]
        model.model_ = model.models_[-1]
    return model
