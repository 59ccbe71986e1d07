"""The best candidates of a screening as figures see a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sisso_sal.data.spreadsheet import id_of
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.stored import StoredModel
from sisso_sal.report.run_view import N_PROPOSALS, NUMBERS, RunView
from sisso_sal.screening.driver import TOP
from sisso_sal.screening.tally import feature_header, target_header

N_DRAWN = 1000
"""Best candidates that are drawn."""


def best_view(folder: Path, stored: StoredModel, document: Mapping[str, Any]) -> RunView | None:
    """The best candidates that a screening has found, without the materials that the model has learned from.

    None where there is no ensemble, or fewer than two candidates.

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
    best = pd.read_csv(folder / TOP, nrows=N_DRAWN, dtype={"id": str}, keep_default_na=False, na_values=[""])
    headers = {name: feature_header(name, unit) for name, unit in model.primaries.items()}
    if not isinstance(model, EnsembleModel) or len(best) < 2 or not {*headers.values()} <= {*best.columns}:
        return None
    columns = {name: best[header].to_numpy(dtype=np.float64) for name, header in headers.items()}
    table = best.rename(columns={target_header(name, stored.target_unit): name for name in NUMBERS})
    table = table.assign(id=[id_of(cell) for cell in best["id"]], **{n: np.nan for n in NUMBERS if n not in table})
    summary = {
        "goal": document["goal"], "acquisition": document["acquisition"], "best": None,
        "n_labelled": len(model.labelled), "n_candidates": len(best),
        "proposals": table.iloc[:N_PROPOSALS].to_dict("records"),
        **model.describe(dict(zip(model.primaries, model.labelled.T, strict=True)), stored.target, stored.target_unit),
    }  # fmt: skip
    return RunView(folder.name, stored.target, stored.target_unit, model, columns, model.primaries, table, summary)
