"""One discovery step: fit the ensemble on what is known, predict, score, choose, record.

A step is idempotent: when nothing has been learned since the last one, the recorded result is shown again.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sisso_sal.acquisition import Goal, acquisition_named, expected_hits
from sisso_sal.campaign.ledger import Ledger
from sisso_sal.campaign.scoring import Scored, score
from sisso_sal.config import CampaignSettings, differences, settings_toml
from sisso_sal.data.columns import split_header
from sisso_sal.data.elements import composition_of
from sisso_sal.data.table import Table
from sisso_sal.errors import CampaignError, FitError
from sisso_sal.protocols import Prediction, Surrogate
from sisso_sal.selection import select
from sisso_sal.storage import write_whole

Progress = Callable[[int, int], None]
MakeSurrogate = Callable[[CampaignSettings, int], Surrogate]
"""(settings, seed) -> an unfitted surrogate."""

SaveModel = Callable[..., None]
"""Writes (path, fitted surrogate, target, target unit)."""

_PACKAGES = ("sisso-sal", "numpy", "scipy", "scikit-learn", "numba", "pandas", "pint", "pymatgen")
_PROPOSAL = ("id", "mean", "std", "score", "low95", "high95", "formula", "n_valid", "outside", "distance")
_SHOWN = 8


@dataclass(frozen=True, eq=False)
class _Learned:
    """Everything that a fit gave, before it is written down."""

    surrogate: Surrogate
    target: np.ndarray
    known: np.ndarray
    prediction: Prediction
    scored: Scored
    picks: np.ndarray
    best: int


def resolved(settings: CampaignSettings, table: Table) -> CampaignSettings:
    """The settings with target, id and every default filled in, and goal and acquisition checked.

    Raises
    ------
    SettingsError
        The goal or the acquisition is unknown.
    """
    acquisition_named(settings.acquisition, Goal.parse(settings.goal))
    target = table.header(table.target_name) if table.target_name else None
    model = settings.model.completed(ensemble=True)
    return settings.model_copy(update={"target": target, "id": table.id_name, "model": model})


def discover(
    table: Table,
    settings: CampaignSettings,
    run: str | os.PathLike[str],
    *,
    make_surrogate: MakeSurrogate,
    save_model: SaveModel,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Start or continue a campaign in a run folder, by one step.

    Parameters
    ----------
    table : Table
        Candidates with features; the target is known for some.
    settings : CampaignSettings
    run : path
        The run folder: ``campaign.toml``, ``campaign.db``, ``candidates.parquet`` and a folder ``iter-0001`` for each step.
    make_surrogate : callable
        (settings, seed) -> an unfitted surrogate.
    save_model : callable
        Writes (path, fitted surrogate, target, target unit).
    progress : callable, optional
        Called with (done, total) during the fit.

    Returns
    -------
    dict
        What ``iter-NNNN/summary.json`` holds: run, iteration, n_labelled, n_candidates, proposals, best, calibration and more.

    Raises
    ------
    LockedError
        Another process is driving the folder.
    CampaignError
        The table or the settings differ from those that the campaign was started with.
    FitError
        Too few labels.
    """
    settings = resolved(settings, table)
    _check_learnable(table, settings)
    run = Path(run)
    if run.is_dir() and any(run.iterdir()) and not (run / "campaign.db").exists() and not (run / ".lock").exists():
        raise CampaignError(f"{run}: needs a new folder or one of an earlier run, found other files")
    with Ledger(run) as ledger:
        step = ledger.last("proposal")
        created = ledger.last("created")
        changes = _changes(ledger, created, table, settings) if created else []
        if changes and step:
            raise CampaignError(
                f"{run}: this run was started with other inputs; give another --out, or undo:\n  "
                + "\n  ".join(changes)
            )
        if changes or created is None:  # as long as nothing was learned, a run may start anew
            _create(ledger, table, settings)
        elif new := _labels(table, known=ledger.labels()):
            ledger.append_all(new)
        newest = max((event["seq"] for event in ledger.events("label")), default=0)
        if step is not None and step["seq"] > newest:
            return _recorded(ledger, step)
        iteration = 1 + (step["iteration"] if step else 0)
        learned = _learn(table, settings, ledger, iteration, make_surrogate, progress)
        return _record(ledger, table, settings, learned, iteration, save_model)


def _check_learnable(table: Table, settings: CampaignSettings) -> None:
    if table.target is None:
        raise FitError(f"{table.path}: needs a target column with some values known, found none; name it with --target")
    if not table.feature_names:
        raise FitError(f"{table.path}: needs at least one numeric feature column, found none")
    n, needed = int(table.labelled.sum()), (settings.model.dim or 1) + 2
    if n < needed:
        raise FitError(f"{table.path}: needs at least {needed} labelled rows for dim {settings.model.dim}, found {n}")
    if table.labelled.all():
        raise FitError(f"{table.path}: needs rows with an empty '{table.target_name}' to choose from, found none")


# Start and resume ----------------------------------------------------------------------------------------------------


def _create(ledger: Ledger, table: Table, settings: CampaignSettings) -> None:
    write_whole(ledger.folder / "campaign.toml", settings_toml(settings))
    scratch = ledger.folder / ".candidates.part"
    table.to_frame().to_parquet(scratch)
    scratch.replace(ledger.folder / "candidates.parquet")
    created = {
        "settings": settings.model_dump(mode="json"),
        "table": os.path.basename(table.path),
        "digest": table.digest(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
    }
    ledger.append_all([("created", created), *_labels(table, known={})])


def _labels(table: Table, known: dict[str, float]) -> list[tuple[str, dict[str, Any]]]:
    """Label events for the labels in the table that are not known yet."""
    return [
        ("label", {"id": id, "value": float(value), "source": "table"})
        for id, value in zip(table.ids, np.asarray(table.target), strict=True)
        if np.isfinite(value) and id not in known
    ]


def _changes(ledger: Ledger, created: dict[str, Any], table: Table, settings: CampaignSettings) -> list[str]:
    """What differs from the inputs of the start, one line each, the first few; labels that were filled in are no difference."""
    old = CampaignSettings.model_validate(created["settings"])
    lines = differences(old, settings)
    if created["digest"] != table.digest():
        lines += _table_differences(ledger, old, table)
    return lines[:_SHOWN] + ([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])


def _table_differences(ledger: Ledger, old: CampaignSettings, table: Table) -> list[str]:
    """What changed in the table since the start, one line each: columns, rows, cells. A gap that got a label is no change."""
    path = ledger.folder / "candidates.parquet"
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
    key = next((header for header in before.columns if split_header(header)[0] == old.id), None)
    before.index = pd.Index(before[key] if key is not None else [str(i) for i in range(1, len(before) + 1)])
    now.index = pd.Index(table.ids)
    order &= list(before.index) == list(now.index)
    if old.target in before.columns:
        before[old.target] = before.index.map(ledger.labels()).to_numpy(dtype=float)
    lines += [f"row '{id}': removed" for id in before.index.difference(now.index, sort=False)]
    lines += [f"row '{id}': added" for id in now.index.difference(before.index, sort=False)]
    shared = before.index.intersection(now.index, sort=False)
    for name in before.columns.intersection(now.columns, sort=False):
        was, now_is = before.loc[shared, name], now.loc[shared, name]
        same = (was == now_is) | (was.isna() & (now_is.isna() | (name == old.target)))
        lines += [f"row '{id}', column '{name}': {was[id]} -> {now_is[id]}" for id in shared[~same.to_numpy()]]
    return lines or ([] if order else ["rows or columns: in another order"])


def _recorded(ledger: Ledger, step: dict[str, Any]) -> dict[str, Any]:
    path = ledger.folder / step["folder"] / "summary.json"
    try:
        summary = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CampaignError(f"{path}: the record of iteration {step['iteration']} cannot be read: {error}") from error
    return {**summary, "run": str(ledger.folder), "is_new": False}


# One step ------------------------------------------------------------------------------------------------------------


def _learn(table, settings, ledger, iteration, make_surrogate, progress) -> _Learned:
    labels = ledger.labels()
    target = np.array([labels.get(id, np.nan) for id in table.ids])
    known = np.isfinite(target)
    columns = dict(zip(table.feature_names, np.ascontiguousarray(table.features.T), strict=True))
    frame = pd.DataFrame({table.header(name): column for name, column in columns.items()})
    streams = np.random.SeedSequence([settings.seed, iteration]).generate_state(2)
    shares = composition_of(table)
    surrogate = make_surrogate(settings, int(streams[0])).fit(
        frame[known], target[known], composition=None if shares is None else shares[known], progress=progress
    )
    prediction = surrogate.predict_distribution(columns, shares)
    away, failed = ledger.pending(), ledger.failed()
    pending = np.array([id in away for id in table.ids])
    goal = Goal.parse(settings.goal)
    scored = score(
        prediction, table.features, target, goal=goal, acquisition=settings.acquisition, improve_on=settings.improve_on,
        rng=np.random.default_rng(streams[1]), pending=pending,
    )  # fmt: skip
    excluded = known | np.array([id in failed for id in table.ids])
    picks = select(
        scored.scores, table.ids, settings.batch, excluded=excluded, features=table.features,
        composition=shares if settings.diversity else None, pending=pending, diversity=settings.diversity,
    )  # fmt: skip
    best = int(np.flatnonzero(known)[goal.best(target[known])])
    return _Learned(surrogate, target, known, prediction, scored, picks, best)


def _record(ledger: Ledger, table: Table, settings: CampaignSettings, learned: _Learned, iteration: int, save_model):
    summary = _summary(table, settings, learned, iteration)
    name = f"iter-{iteration:04d}"
    scratch = ledger.folder / f".{name}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    save_model(scratch / "model.json", learned.surrogate, table.target_name or "", table.target_unit)
    _predictions(table, learned).to_csv(scratch / "predictions.csv", index=False)
    pd.DataFrame(summary["proposals"], columns=list(_PROPOSAL)).to_csv(scratch / "proposals.csv", index=False)
    write_whole(scratch / "summary.json", json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    # A folder of this name without an event is what an interrupted step left behind.
    shutil.rmtree(ledger.folder / name, ignore_errors=True)
    scratch.rename(ledger.folder / name)
    ledger.append(
        "proposal",
        {"iteration": iteration, "folder": name, "seed": settings.seed, "proposals": summary["proposals"]},
    )
    return {**summary, "run": str(ledger.folder), "is_new": True}


def _predictions(table: Table, learned: _Learned) -> pd.DataFrame:
    """One row per material; for the labelled ones also the mean of the members that did not see it."""
    oob = np.full(table.n_rows, np.nan)
    oob[learned.known] = learned.surrogate.oob_mean_
    prediction = learned.prediction
    return pd.DataFrame(
        {
            "id": table.ids,
            "label": learned.target,
            "mean": prediction.mean,
            "std": prediction.std,
            "std_raw": prediction.std_raw,
            "n_valid": prediction.n_valid,
            "low95": prediction.interval95[0],
            "high95": prediction.interval95[1],
            "formula": prediction.mean if prediction.formula is None else prediction.formula,
            "outside": np.nan if prediction.outside is None else prediction.outside,
            "distance": np.nan if prediction.distance is None else prediction.distance,
            "score": learned.scored.scores,
            "oob_mean": oob,
        }
    )


def _summary(table: Table, settings: CampaignSettings, learned: _Learned, iteration: int) -> dict[str, Any]:
    prediction = learned.prediction
    columns = dict(zip(table.feature_names, np.ascontiguousarray(table.features.T), strict=True))
    rows = _predictions(table, learned).iloc[learned.picks]
    proposals = [
        {key: value if key in {"id", "n_valid"} else _finite(value) for key, value in row.items()}
        for row in rows[list(_PROPOSAL)].to_dict("records")
    ]
    bound = learned.scored.goal
    chosen = prediction.take(learned.picks)
    open_rows = ~learned.known
    return {
        "iteration": iteration,
        "target": {"name": table.target_name, "unit": table.target_unit},
        "goal": settings.goal,
        "acquisition": settings.acquisition,
        "n_labelled": int(learned.known.sum()),
        "n_candidates": int(open_rows.sum()),
        "n_without_prediction": int(np.isnan(prediction.mean[open_rows]).sum()),
        "n_invalid_predictions": int((~prediction.valid[:, open_rows]).sum()),
        "proposals": proposals,
        "best": {"id": table.ids[learned.best], "value": float(learned.target[learned.best])},
        "improve_on": learned.scored.reference,
        "wanted": str(bound),
        "expected_hits": expected_hits(chosen.mean, chosen.std, bound) if bound.bounded else None,
        **learned.surrogate.describe(columns, table.target_name or "", table.target_unit),
        "settings": settings.model_dump(mode="json"),
    }


def _finite(value: float) -> float | None:
    """For JSON, which has no NaN and no infinity."""
    return float(value) if np.isfinite(value) else None
