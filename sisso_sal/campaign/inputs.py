"""What a campaign was started with, and whether it is continued with the same."""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.scores import acquisition_named
from sisso_sal.campaign.learning import versions
from sisso_sal.data.columns import split_header
from sisso_sal.data.table import Table
from sisso_sal.errors import CampaignError, FitError, SettingsError
from sisso_sal.ledger.state import State
from sisso_sal.protocols import Oracle
from sisso_sal.settings.campaign import CampaignSettings, RunSettings, differences, settings_toml
from sisso_sal.settings.layers import Origin
from sisso_sal.system.storage import write_whole

CANDIDATES = "candidates.parquet"
Origins = Mapping[str, Origin]
"""Where each setting was given, by section and key."""
_SHOWN = 8


def resolved(settings: CampaignSettings, table: Table) -> CampaignSettings:
    """The settings with target, id and every default filled in, and goal and acquisition checked.

    Raises
    ------
    SettingsError
        The goal or the acquisition is unknown, or `targets` comes with a goal that has no bound.
    """
    goal = Goal.parse(settings.goal)
    acquisition_named(settings.acquisition, goal)
    if settings.run.targets is not None and goal.kind not in {"below", "above", "window"}:
        raise SettingsError(f"targets: needs a goal with a bound, such as '<=0.3', found '{settings.goal}'")
    target = table.header(table.target_name) if table.target_name else None
    model = settings.model.completed(ensemble=True)
    return settings.model_copy(update={"target": target, "id": table.id_name, "model": model})


def check_learnable(table: Table, settings: CampaignSettings) -> None:
    """Refuse a table that nothing can be learned from.

    Raises
    ------
    FitError
        There is no target, no feature, too few labels or nothing to choose from.
    """
    if table.target is None:
        raise FitError(f"{table.path}: needs a target column with some values known, found none; name it with --target")
    if not table.feature_names:
        raise FitError(f"{table.path}: needs at least one numeric feature column, found none")
    n, needed = int(table.labelled.sum()), (settings.model.dim or 1) + 2
    if n < needed:
        raise FitError(f"{table.path}: needs at least {needed} labelled rows for dim {settings.model.dim}, found {n}")
    if table.labelled.all():
        raise FitError(f"{table.path}: needs rows with an empty '{table.target_name}' to choose from, found none")


def create(
    run: Path, table: Table, settings: CampaignSettings, oracle: Mapping[str, Any], origins: Origins
) -> list[tuple[str, Any]]:
    """Write settings and candidates into a run folder; returns the events that record them."""
    write_whole(run / "campaign.toml", settings_toml(settings))
    content = io.BytesIO()
    table.to_frame().to_parquet(content)
    write_whole(run / CANDIDATES, content.getvalue())
    created = {
        "settings": settings.model_dump(mode="json"),
        "run_id": uuid.uuid4().hex[:8],
        "table": os.path.basename(table.path),
        "digest": table.digest(),
        "versions": versions(),
        "oracle": dict(oracle),
        "origins": {name: vars(origin) for name, origin in origins.items() if origin.kind != "default"},
    }
    candidates = {
        "n_rows": table.n_rows,
        "n_features": len(table.feature_names),
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
    }
    return [("created", created), ("candidates", candidates), *new_labels(table, known={})]


def new_labels(table: Table, known: Mapping[str, float]) -> list[tuple[str, dict[str, Any]]]:
    """Label events for the labels in the table that are not known yet."""
    return [
        ("label", {"id": id, "value": float(value), "source": "table"})
        for id, value in zip(table.ids, np.asarray(table.target), strict=True)
        if np.isfinite(value) and id not in known
    ]


def run_changes(
    state: State, settings: CampaignSettings, oracle: Mapping[str, Any], origins: Origins
) -> list[tuple[str, Any]]:
    """The event for what was changed of the things that may change: oracle, budget, stopping; none if nothing was."""
    before = CampaignSettings(run=RunSettings.model_validate(state.run))
    changes = differences(before, CampaignSettings(run=settings.run), _places(origins))
    if not changes and dict(oracle) == dict(state.oracle):
        return []
    return [("settings", {"run": settings.run.model_dump(mode="json"), "changes": changes, "oracle": dict(oracle)})]


def _places(origins: Origins) -> dict[str, str]:
    return {name: origin.told for name, origin in origins.items()}


def refuse_changes(
    run: Path, state: State, table: Table, settings: CampaignSettings, oracle: Oracle | None, origins: Origins
) -> None:
    """Refuse to continue with other inputs.

    Raises
    ------
    CampaignError
        With one line for each difference, the first few.
    """
    if changes := all_changes(run, state, table, settings, oracle, origins):
        shown = changes[:_SHOWN] + ([f"and {len(changes) - _SHOWN} more"] if len(changes) > _SHOWN else [])
        raise CampaignError(
            f"{run}: this run was started with other inputs; give another --out, or undo:\n  " + "\n  ".join(shown)
        )


def all_changes(
    run: Path, state: State, table: Table, settings: CampaignSettings, oracle: Oracle | None, origins: Origins
) -> list[str]:
    """What differs from the inputs of the start, one line each; labels that were filled in are no difference."""
    created = state.created or {}
    old = CampaignSettings.model_validate(created["settings"])
    lines = differences(old.on_machine_of(settings), settings, _places(origins))
    if created["digest"] != table.digest():
        lines += _table_differences(run, state, old, table)
    if oracle is not None:
        lines += oracle.differences(
            {case.id: case.value for case in state.of("labelled") if case.value is not None and case.source == "oracle"}
        )
    return lines


def _table_differences(run: Path, state: State, old: CampaignSettings, table: Table) -> list[str]:
    """What changed in the table since the start, one line each: columns, rows, cells. A gap that got a label is no change."""
    path = run / CANDIDATES
    try:
        before = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        return [f"table: differs; how is not known, {path} cannot be read: {' '.join(str(error).split())}"]
    now = table.to_frame()
    order = list(before.columns) == list(now.columns)
    lines = [f"column '{name}': removed" for name in before.columns.difference(now.columns)]
    lines += [f"column '{name}': added" for name in now.columns.difference(before.columns)]
    if old.id != table.id_name:
        return lines
    before.index = pd.Index(ids_in(before, old.id))
    now.index = pd.Index(table.ids)
    order &= list(before.index) == list(now.index)
    if old.target in before.columns:
        before[old.target] = before.index.map(state.labels).to_numpy(dtype=float)
    lines += [f"row '{id}': removed" for id in before.index.difference(now.index, sort=False)]
    lines += [f"row '{id}': added" for id in now.index.difference(before.index, sort=False)]
    shared = before.index.intersection(now.index, sort=False)
    for name in before.columns.intersection(now.columns, sort=False):
        was, now_is = before.loc[shared, name], now.loc[shared, name]
        same = (was == now_is) | (was.isna() & (now_is.isna() | (name == old.target)))
        if name == old.target:  # a label that the ledger knows need not stand in the table
            same |= now_is.isna() & _came_later(state, shared)
        lines += [f"row '{id}', column '{name}': {was[id]} -> {now_is[id]}" for id in shared[~same.to_numpy()]]
    return lines or ([] if order else ["rows or columns: in another order"])


def _came_later(state: State, ids: pd.Index) -> np.ndarray:
    """Which labels did not stand in the first table: ndarray (n_ids,) of bool."""
    return np.array([id in state.asked for id in ids], dtype=bool)


def ids_in(frame: pd.DataFrame, id_name: str | None) -> list[str]:
    """The ids of a table that was kept, in its order."""
    key = next((header for header in frame.columns if split_header(header)[0] == id_name), None)
    return [str(id) for id in frame[key]] if key is not None else [str(i) for i in range(1, len(frame) + 1)]


def candidate_ids(run: Path, state: State) -> list[str]:
    """Ids of all candidates of a run, in the order of the table.

    Raises
    ------
    CampaignError
        The copy of the table cannot be read.
    """
    path = run / CANDIDATES
    try:
        return ids_in(pd.read_parquet(path), (state.created or {"settings": {}})["settings"].get("id"))
    except (OSError, ValueError) as error:
        raise CampaignError(f"{path}: needs the candidates of this run, cannot be read: {error}") from error
