"""Model files: JSON with a schema version, no pickle; a reloaded model predicts the same bits."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.errors import ModelFileError
from sisso_sal.models.calibration import Calibration
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.system.storage import write_whole

FORMAT = "sisso-sal model"
SCHEMA_VERSION = 3
_KINDS = {"regressor": SISSORegressor, "ensemble": SISSOEnsemble}
_MAY_LACK = ("negative_log_likelihood", "spearman")


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
    document = model_document(model, target, target_unit)
    write_whole(path, json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def model_document(model: SISSORegressor | SISSOEnsemble, target: str, target_unit: str = "") -> dict[str, Any]:
    """The content of a model file, as plain data; see `save_model`."""
    return {"format": FORMAT, "schema_version": SCHEMA_VERSION, **model.document(target, target_unit)}


def load_model(
    path: str | os.PathLike[str], *, formulas_only: bool = False
) -> tuple[SISSORegressor | SISSOEnsemble, str, str]:
    """Read a model file.

    Parameters
    ----------
    path : path
    formulas_only : bool
        Leave an ensemble's correction out, which takes most of the time: it then predicts as the formulas alone do.

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
        text = Path(path).read_text(encoding="utf-8")
        document = json.loads(text, parse_float=_finite, parse_constant=_finite)
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
        name, unit = document["target"]["name"], document["target"]["unit"]
        if formulas_only and "correction" in document:
            document["correction"] = None
        _need(isinstance(name, str) and isinstance(unit, str), "target: needs the texts name and unit")
        model = _restored(document)
        model.target_name_, model.target_unit_ = name, unit
        return model, name, unit
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{path}: the model file is damaged: {reason}") from error


def _finite(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _restored(document: Mapping[str, Any]) -> SISSORegressor | SISSOEnsemble:
    units = {entry["name"]: entry["unit"] for entry in document["primaries"]}
    texts = all(isinstance(text, str) for text in (*units, *units.values()))
    _need(len(units) == len(document["primaries"]) and texts, "primaries: needs names that differ, and units")
    _need(list(units) == sorted(units), "primaries: needs names in order")
    _need(isinstance(document["settings"], dict), "settings: needs names and values")
    model = _KINDS[document["kind"]](**document["settings"])
    model._space_settings()
    model._search_settings()
    model.primaries_, model.units_ = tuple(units), tuple(units.values())
    model.feature_names_in_ = np.array([f"{n} ({u})" if u else n for n, u in units.items()], dtype=object)
    model.n_features_in_ = len(units)
    _check_counts(document)
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
        members = read(document["members"])
        model._check_settings()
        _check_ensemble(document, model, members)
        model._restore(document, members)
    else:
        _need(len(document["models"]) > 0, "models: needs those of at least one dimension, found none")
        model.alternatives_ = [read(models) for models in document["models"]]
        model.models_ = [models[0] for models in model.alternatives_]
        model.model_ = model.models_[-1]
    return model


def _check_counts(document: Mapping[str, Any]) -> None:
    for key in ("n_samples", "n_singular"):
        _need(_is_count(document[key]), f"{key}: needs a number of things, found {document[key]!r}")
    _need(isinstance(document["complete"], bool), f"complete: needs true or false, found {document['complete']!r}")
    _need(all(map(_is_count, document["n_features"].values())), "n_features: needs a number for each rung")
    causes = [number for counts in document["rejected"].values() for number in counts.values()]
    _need(all(map(_is_count, causes)), "rejected: needs a number for each cause")


def _check_ensemble(document: Mapping[str, Any], model: SISSOEnsemble, members: Sequence[SISSOModel]) -> None:
    """What an ensemble has beside its members fits together, and they have one transform.

    Raises
    ------
    ValueError
        It does not; the message names the key.
    """
    n_members = len(members)
    _need(n_members == model.members, f"members: needs {model.members}, found {n_members}")
    link = members[0].link
    shared = link.kind == model.target_transform and all(member.link == link for member in members)
    _need(shared, f"members: needs one link for all, of kind {model.target_transform}")
    dropped = document["dropped"]
    known = isinstance(dropped, list) and all(
        isinstance(names, list) and set(names) <= set(model.primaries_) for names in dropped
    )
    _need(known and len(dropped) == n_members, "dropped: needs names of primary features for each member")
    _check_choices(document["choices"], document["chosen"])
    _numbers(document, "labelled", (model.n_samples_, len(model.primaries_)))
    for key in ("calibration", "formula_calibration"):
        _check_calibration(key, document[key], model.recalibrate)
    found, calibration = document["recalibration"], document["calibration"]
    _need((found is None) == (calibration is None), "recalibration: needs a calibration, and the other way round")
    if found is not None:
        scores = _numbers(found, "scores", (calibration["n"],))
        _need(found["kind"] == model.recalibrate, f"recalibration: needs kind {model.recalibrate}")
        _need(bool((np.diff(scores, prepend=0.0) >= 0).all()), "scores: needs numbers >= 0 in order")
    if (correction := document["correction"]) is not None:
        n = len(correction["target"])
        _need(correction["kind"] == model.correction, f"correction: needs kind {model.correction}")
        _need(_is_count(correction["seed"]), f"seed: needs an integer >= 0, found {correction['seed']!r}")
        _need(isinstance(correction["theta"], list), "theta: needs the parameters of each process")
        _numbers(correction, "features", (n, len(model.primaries_)))
        for key in ("formula", "target"):
            _numbers(correction, key, (n,))
        if (composition := correction["composition"]) is not None:
            columns, n_elements = composition["columns"], composition["n_elements"]
            known = isinstance(columns, list) and _is_count(n_elements) and all(map(_is_count, columns))
            _need(known and sorted({*columns}) == columns, "columns: needs numbers of elements in order")
            _need(not columns or columns[-1] < n_elements, f"columns: needs numbers below {n_elements}")
            _numbers(composition, "shares", (n, len(columns)))


def _numbers(node: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray:
    found = np.array(node[key], dtype=np.float64)
    size = " x ".join(map(str, shape))
    _need(found.shape == shape and bool(np.isfinite(found).all()), f"{key}: needs {size} finite numbers")
    return found


def _check_choices(choices: Any, chosen: Any) -> None:
    def is_choice(one: Any, *more: str) -> bool:
        return (
            isinstance(one, dict)
            and set(one) == {"rung", "dim", *more}
            and _is_count(one["rung"])
            and _is_count(one["dim"])
        )

    _need(is_choice(chosen), "chosen: needs a rung and a dim")
    _need(isinstance(choices, list), "choices: needs a list")
    for one in choices:
        _need(is_choice(one, "mae", "rmse"), "choices: needs rung, dim, mae and rmse each")
        _need(
            all(one[key] is None or (_is_number(one[key]) and one[key] >= 0) for key in ("mae", "rmse")),
            "choices: needs errors >= 0",
        )
    _need(any(chosen.items() <= one.items() for one in choices), "chosen: needs to be one of the choices")


def _check_calibration(key: str, found: Any, kind: str) -> None:
    if found is None:
        return
    told = Calibration(**found).as_dict()
    _need(told.pop("kind") == kind, f"{key}: needs kind {kind}")
    _need(_is_count(told["n"]), f"{key}: n: needs a number of samples, found {told['n']!r}")
    for name, value in told.items():
        may = name in _MAY_LACK
        _need(
            (may and value is None) or (_is_number(value) and (may or value >= 0)),
            f"{key}: {name}: needs a number, found {value!r}",
        )
