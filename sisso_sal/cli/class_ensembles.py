"""`fit --members` and `predict` for ensembles of classifiers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sisso_sal.cli.classes import ClassInput, class_input, model_document, refuse
from sisso_sal.cli.options import dumps
from sisso_sal.cli.terminal import emit, note, show
from sisso_sal.errors import SettingsError, fit_of
from sisso_sal.system.progress import Progress

if TYPE_CHECKING:
    from sisso_sal.settings.layers import LayeredSettings

DEFAULTS = {"dim": 2, "n_sis": 20, "n_residual": 1}
"""Of `SISSOClassifierEnsemble`, where they are others than those of an ensemble of numbers."""

OF_NUMBERS = ("adapt", "transform", "loss", "aggregation", "correction", "recalibrate", "positive", "low")
"""Settings of an ensemble that one of classifiers has not."""


def settings_of_members(layers: LayeredSettings):
    """The settings of a fit with the defaults of an ensemble of classifiers.

    Raises
    ------
    SettingsError
        There is a setting that only ensembles of numbers have; the message names it.
    """
    chosen = {name for name, origin in layers.origins.items() if origin.kind not in ("default", "user")}
    asked = {name: f"ensemble.{name}" in chosen for name in OF_NUMBERS}
    refuse("needs a target that is a number, found classes", asked)
    model = layers.settings.model
    if model.max_correlation < 1:
        raise SettingsError("max-correlation: needs a target that is a number, found classes")
    known = {name for name, origin in layers.origins.items() if origin.kind != "default"}
    changes = {name: value for name, value in DEFAULTS.items() if f"model.{name}" not in known}
    return layers.settings.model_copy(update={"model": model.model_copy(update=changes)})


def fit_class_members(
    table: Path, settings, formula: str | None, given: dict[str, Any], threads: int | None, silent: bool
) -> tuple[Any, dict[str, Any], ClassInput]:
    """An ensemble of classifiers of the labelled rows, what it is saved with, the document, and what it was learned from."""
    from sisso_sal.models.class_members import fit_members
    from sisso_sal.models.materials import materials_of
    from sisso_sal.models.stored import StoredModel
    from sisso_sal.settings.campaign import FEW_MEMBERS

    members = settings.ensemble.members
    if members < FEW_MEMBERS:
        rough = "some labels are out of bag once or twice only, so what is told of probabilities is rough"
        note(f"members {members}: {rough}; {FEW_MEMBERS} or more are better")
    drawn = {"members": members, "dropout": settings.ensemble.dropout, "random_state": settings.seed}
    read = class_input(table, settings, formula, {"criterion": "likelihood"} | given, threads)
    start = time.perf_counter()
    with fit_of(str(table)), Progress("screening", silent) as progress:
        model = fit_members(read.parameters | drawn, read.training, read.classes, progress)
    seconds = time.perf_counter() - start
    stored = StoredModel(model, read.parameters | drawn, read.target, "")
    document = members_document(model, read.training.columns(), read.target, read.counts)
    document |= {"criterion": read.parameters["criterion"], "materials": materials_of(read.space, read.known)[1]}
    return stored, document | read.remarks | {"seconds": round(seconds, 4), "seed": settings.seed}, read


def members_document(model, columns, target: str, counts: list) -> dict[str, Any]:
    """What ``fit --classify --members --json`` prints; `columns` are the primary features of the samples."""
    typical = [
        model_document(model.models[one.number])
        | {"member": one.number, "distance": one.distance, "n_members": one.n_members}
        for one in model.typical(columns)
    ]
    return {
        "target": {"name": target, "unit": ""},
        "classes": list(model.classes),
        "class_counts": counts,
        "n_members": len(model.models),
        "models": typical,
        "calibration": model.calibration.to_json(),
        "raw_calibration": model.raw.to_json(),
        "scaling": model.scaling.to_json(),
        "baseline": _by_shares([count for _, count in counts]),
        "confusion": model.confusion.tolist(),
        "recurrence": _recurrence(model),
        **model.counts.to_json(),
    }


def _recurrence(model) -> dict[str, list[dict[str, Any]]]:
    """Share of the members that use each primary feature and each descriptor."""
    from sisso_sal.features.typeset import written

    texts = {str(one): written(one, "plain") for member in model.models for one in member.expressions}
    recurring = model.recurrence()
    return {
        "primaries": [{"name": name, "share": share} for name, share in recurring["primaries"].items()],
        "descriptors": [
            {"expression": name, "shown": texts[name], "share": share}
            for name, share in recurring["descriptors"].items()
        ],
    }


def _by_shares(counts: list[int]) -> dict[str, float]:
    """How the shares of the classes do, told for every sample."""
    import numpy as np

    shares = np.array(counts) / sum(counts)
    log_loss = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    return {"accuracy": float(shares.max()), "log_loss": float(log_loss), "brier": float(1.0 - (shares**2).sum())}


def tell_members(document: dict[str, Any], as_json: bool) -> None:
    """Print what the members tell together."""
    from sisso_sal.report.text.classes import members_text

    emit(dumps(document)) if as_json else show(members_text(document))


def predicted_by_members(learned, path: Path, id_column: str | None, formula: str | None):
    """The table, and a frame of class, probabilities and agreement of each row; no class where no member is defined."""
    import numpy as np
    import pandas as pd

    from sisso_sal.api.prediction import columns_for

    data, columns = columns_for(learned, path, id_column, formula, note)
    told = learned.predict(columns)
    undefined = np.isnan(told.probability).any(axis=1)
    names = np.array(learned.classes, dtype=object)[told.told]
    largest = np.where(undefined, np.nan, np.nan_to_num(told.probability).max(axis=1))
    frame = {"id": data.ids, "class": np.where(undefined, "", names), "probability": largest}
    frame |= {f"p({name})": told.probability[:, k] for k, name in enumerate(learned.classes)}
    frame |= {"spread": told.spread, "n_valid": told.n_defined, "outside": told.outside, "reason": told.reason}
    return data, pd.DataFrame(frame)
