"""The best candidates of a screening as figures see a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sisso_sal.data.spreadsheet import id_of
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.needs import ModelOfOneTask
from sisso_sal.models.stored import StoredModel
from sisso_sal.report.run_view import N_PROPOSALS, NUMBERS, RunView
from sisso_sal.screening.driver import TOP
from sisso_sal.screening.tally import feature_header, target_header

N_DRAWN = 1000
"""Best candidates that are drawn."""


def best_view(folder: Path, stored: StoredModel[ModelOfOneTask], document: Mapping[str, Any]) -> RunView | None:
    """The best candidates that a screening has found, without the materials that the model has learned from.

    None where there is a single formula for a number, a feature is missing, or there are fewer than two candidates.

    Parameters
    ----------
    folder : Path
        Of the screening.
    stored : StoredModel
        That it was made with.
    document : mapping
        Its summary.
    """
    model = stored.model
    best = pd.read_csv(
        folder / TOP, nrows=N_DRAWN, dtype={"id": str, "class": str}, keep_default_na=False, na_values=[""]
    )
    classes = [own["name"] for own in document.get("classes", ())]
    headers = {name: feature_header(name, unit, classes) for name, unit in model.primaries.items()}
    if classes:
        headers = {name: header for name, header in headers.items() if header in best.columns}
    if isinstance(model, FittedModels) or len(best) < 2 or not {*headers.values()} <= {*best.columns}:
        return None
    columns = {name: best[header].to_numpy(dtype=np.float64) for name, header in headers.items()}
    named = {"p_hit": "mean", "spread": "std", "class": "most probable class"}
    if not classes:
        named = {target_header(name, stored.target_unit): name for name in NUMBERS}
    table = best.rename(columns=named)
    table = table if "n_valid" in table else table.assign(n_valid=1)
    table = table.assign(id=[id_of(cell) for cell in best["id"]], **{n: np.nan for n in NUMBERS if n not in table})
    summary = {
        "goal": document["goal"], "acquisition": document["acquisition"], "best": None,
        "n_labelled": model.counts.n_samples, "n_candidates": len(best),
        "proposals": table.iloc[:N_PROPOSALS].to_dict("records"),
    }  # fmt: skip
    ensemble = model if isinstance(model, EnsembleModel) else None
    if ensemble is not None:
        known = dict(zip(ensemble.primaries, ensemble.labelled.T, strict=True))
        summary |= ensemble.describe(known, stored.target, stored.target_unit) | {"n_labelled": len(ensemble.labelled)}
    return RunView(folder.name, stored.target, stored.target_unit, ensemble, columns, model.primaries, table, summary)
