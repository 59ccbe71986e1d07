"""Labels of calculations that were done already, for a run that has begun."""

from __future__ import annotations

import os
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sisso_sal.api.inputs import with_target
from sisso_sal.data.headers import split_header
from sisso_sal.data.roles import Wanted
from sisso_sal.data.table import read_wanted
from sisso_sal.errors import CampaignError, SettingsError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import read_ledger
from sisso_sal.oracle.registry import oracle_named, usable_oracle
from sisso_sal.protocols import Progress
from sisso_sal.settings import DONE
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.snapshot import CANDIDATES

__all__ = ["labels_of_calculations"]

_FEW = 4


def labels_of_calculations(
    run: str | os.PathLike[str],
    source: str,
    *,
    replace: bool = False,
    level: str | None = None,
    progress: Progress | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Notes for the labels that a folder of calculations gives to candidates of a run.

    Parameters
    ----------
    run : path
        A run folder; its section ``label`` says what a label is.
    source : str
        ``folder:PATH``.
    replace : bool
        Whether other labels of the run are replaced; they are left as they are otherwise, and told.
    level : str, optional
        Name of the level of theory that the calculations are of.
    progress : callable, optional

    Returns
    -------
    (list of dict, list of str)
        Notes for `sisso_sal.campaign.inbox.hand_in`, and what a person is told.

    Raises
    ------
    CampaignError
        The run has not begun, or has no such level.
    SettingsError, InputError
        The label has vibrations, of which a folder has none; see also `sisso_sal.oracle.calculations.survey.survey`.
    """
    from sisso_sal.oracle.calculations.survey import SOURCE, survey

    kind, _ = oracle_named(source)
    if kind.written.partition(":")[0] != DONE:
        raise SettingsError(f"--from: needs {DONE}:PATH, found '{source}'")
    state = fold(read_ledger(Path(run)).events())
    if state.created is None:
        raise CampaignError(f"{run}: needs a run that was started, found an empty ledger")
    settings = CampaignSettings.model_validate(state.created["settings"])
    names = [one.name for one in settings.level]
    if level is not None and level not in names:
        raise CampaignError(f"level: needs one of {', '.join(names) or 'none'}, found '{level}'")
    lower = next((one for one in settings.lower if one.name == level), None)
    at = settings.of_target if lower is None else settings.at_level(lower.name)
    _, path = usable_oracle(at.model_copy(update={"run": at.run.model_copy(update={"oracle": source})}))
    column = settings.target if lower is None else lower.column
    looked = survey(path, at.label, _candidates(Path(run), settings, str(column)), every=True, progress=progress)
    place = state if lower is None else state.at(lower.name)
    labels = place.labels
    others = {id: one for id, one in looked.labels.items() if id in labels and not _is_same(labels[id], one.value)}
    new = {id: one for id, one in looked.labels.items() if id not in labels or (replace and id in others)}
    lines = looked.notes()
    computed = sum(case.source == "oracle" for case in place.of("labelled"))
    if new and computed:
        labelled = "1 label" if computed == 1 else f"{computed} labels"
        lines.append(f"an oracle computed {labelled} of the run; whether with the same settings is not checked")
    if others and not replace:
        few = ", ".join(f"{id} {labels[id]:.6g} -> {one.value:.6g}" for id, one in list(others.items())[:_FEW])
        more = f" and {len(others) - _FEW} more" if len(others) > _FEW else ""
        differ = "labels of the run differ and stay" if len(others) > 1 else "label of the run differs and stays"
        lines.append(f"{len(others)} {differ} ({few}{more}); --replace changes them")
    notes = [
        {
            "note": "label", "id": id, "value": one.value, "source": SOURCE, "calculation": one.place, "replace": replace,
            "level": level,
        }
        for id, one in new.items()
    ]  # fmt: skip
    return notes, lines


def _is_same(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * max(abs(one), abs(other), 1.0)


def _candidates(run: Path, settings: CampaignSettings, column: str):
    """The candidates of a run as a table without labels."""
    frame = pd.read_parquet(run / CANDIDATES)
    wanted = Wanted(None, settings.id, False, (), (), None, None)
    name, unit = split_header(column)
    table = read_wanted(
        frame.drop(columns=[header for header in frame.columns if split_header(header)[0] == name]), wanted
    )
    headers = {**table.headers, name: column}
    empty = np.full(table.n_rows, np.nan)
    return with_target(
        changed(table, target_name=name, target_unit=unit, target=empty, headers=headers), settings.label.quantity
    )
