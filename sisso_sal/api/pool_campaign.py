"""A campaign on a pool that fits into no memory: a model of the labels screens it, and the best candidates are chosen from."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.api.inputs import Tell, constant_where_known, read_candidates
from sisso_sal.api.screening import ScreeningWish, screen_pool
from sisso_sal.data.spreadsheet import id_of
from sisso_sal.data.table import Table
from sisso_sal.errors import CampaignError, FitError, SettingsError, TableError
from sisso_sal.models.files import read_model
from sisso_sal.models.needs import Model
from sisso_sal.models.registry import surrogate_named
from sisso_sal.models.sisso import SISSO
from sisso_sal.protocols import Progress
from sisso_sal.screening.columns import wants_composition
from sisso_sal.screening.driver import TOP
from sisso_sal.screening.judge import check_acquisition
from sisso_sal.screening.tables import formulas_of
from sisso_sal.screening.tally import COMPOSITION, feature_header
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.snapshot import CANDIDATES
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system.documents import read_json
from sisso_sal.system.executors import Workers
from sisso_sal.system.storage import write_whole, writing

if TYPE_CHECKING:
    import pandas as pd

MODEL, RECORD, SCREENING = "model.json", "pool.json", "screening"
"""Files in the folder of a pool: the model that has screened it, what was asked for, the folder of the screening."""


@dataclass(frozen=True, kw_only=True)
class PoolChoice:
    """A pool, and how many of its candidates are kept.

    Attributes
    ----------
    text : str
        As `screen_pool` takes it.
    keep : int
        The best so many are what a campaign chooses from.
    folder : Path
        Where model, screening and the table of candidates are; beside the run folder.
    """

    text: str
    keep: int
    folder: Path


def folder_of(run: Path) -> Path:
    """The folder of the pool of a run: ``runs/oxides.pool`` beside ``runs/oxides``."""
    return run.with_name(f"{run.name}.pool")


def kept_of_pool(
    labels: str | os.PathLike[str],
    pool: PoolChoice,
    settings: CampaignSettings,
    workers: Workers,
    *,
    formula: str | None = None,
    threads: int | None = None,
    progress: Progress = lambda done, total: None,
    tell: Tell = lambda note: None,
) -> tuple[Path, dict[str, Any]]:
    """The labelled materials and the best candidates of a pool as one table for a campaign.

    The model is fitted, and the pool is screened, once. Labels that are filled in later come into the table; which candidates are
    in it stays.

    Parameters
    ----------
    labels : path
        A table; rows without a label are candidates as well.
    pool : PoolChoice
    settings : CampaignSettings
        Of the campaign, complete.
    workers : Workers
        Who screens.
    formula : str, optional
        Column of the formulas from which features are made, in both.
    threads : int, optional
        For the fit.
    progress, tell : callable, optional

    Returns
    -------
    path : Path
        Of the table.
    options : dict
        ``target``, ``id`` and ``group`` of the table, for the campaign.

    Raises
    ------
    SissoSalError
        The labels or the pool cannot be used, or the folder has another pool.
    """
    if settings.looks_for_classes:
        raise SettingsError(f"pool: needs a target that is a number, found the goal '{settings.goal.strip()}'")
    table = constant_where_known(read_candidates(labels, settings, formula, with_gaps=True, tell=tell), tell)
    if table.target_name is None:
        raise TableError(f"{table.path}: needs a target, found none; name it with --target")
    _record(pool, settings)
    model = _fitted(table, pool.folder / MODEL, settings, threads, progress)
    if not (pool.folder / SCREENING / TOP).exists():
        wanted = _wanted(model, pool, settings, formula, table.ids)
        screen_pool(
            pool.folder / MODEL, pool.text, pool.folder / SCREENING, wanted, workers, progress=progress, tell=tell
        )
    frame = _joined(table, model, pool.folder / SCREENING / TOP)
    path, content = pool.folder / CANDIDATES, io.BytesIO()
    frame.to_parquet(content, index=False)
    write_whole(path, content.getvalue())
    group = None if table.group_name is None else _header(table, table.group_name)
    return path, {"target": table.header(table.target_name), "id": _header(table, table.id_name), "group": group}


def _header(table: Table, name: str) -> str:
    """Of a column in the table that is made; labels whose ids are the numbers of their rows get a column of ids."""
    return table.headers.get(name, "id")


def _record(pool: PoolChoice, settings: CampaignSettings) -> None:
    """Write down what was asked for, or refuse what differs from that.

    Raises
    ------
    CampaignError
        The folder was made for another pool.
    """
    if surrogate_named(settings.surrogate).name != "sisso":
        raise SettingsError(
            f"pool: needs the surrogate 'sisso', which predicts from a file, found '{settings.surrogate}'"
        )
    path, asked = pool.folder / RECORD, {"pool": pool.text, "keep": pool.keep}
    if path.exists():
        before = read_json(path)
        if before != asked:
            lines = [
                f"{name}: {before.get(name)} -> {value}" for name, value in asked.items() if before.get(name) != value
            ]
            raise CampaignError(
                f"{pool.folder}: was made for another pool; give another --out, or undo these changes:\n  "
                + "\n  ".join(lines)
            )
        return
    with writing(pool.folder):
        pool.folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asked, ensure_ascii=False) + "\n")


def _fitted(table: Table, path: Path, settings: CampaignSettings, threads: int | None, progress: Progress) -> Model:
    """The model of the labels, as the first iteration of the campaign has it; fitted once."""
    from sisso_sal.models.registry import make_surrogate

    if not path.exists():
        space = TableSpace(table)
        known = np.flatnonzero(table.labelled)
        needed, reason = surrogate_named(settings.surrogate).fewest_labels(settings)
        if len(known) < needed:
            raise FitError(f"{table.path}: needs at least {needed} labelled rows{reason}, found {len(known)}")
        seed = int(np.random.SeedSequence([settings.seed, 1]).generate_state(2)[0])
        surrogate = make_surrogate(settings, seed, threads)
        surrogate = surrogate.fit(space, known, space.labels[known], space.errors[known], progress)
        if not isinstance(surrogate, SISSO):
            raise SettingsError(f"pool: needs the surrogate 'sisso', found '{settings.surrogate}'")
        write_whole(path, json.dumps(surrogate.document(space), indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return read_model(path).model


def _wanted(
    model: Model, pool: PoolChoice, settings: CampaignSettings, formula: str | None, known: tuple[str, ...]
) -> ScreeningWish:
    """What is asked of the screening: the goal of the campaign, without its share, and its acquisition where that can be used.

    The best share of all candidates is known at the end only; the best so many are kept by expected improvement.
    """
    goal = Goal.parse(settings.goal)
    if goal.kind in {"lowest", "highest"}:
        goal = Goal("min" if goal.sign > 0 else "max")
    acquisition: str | None = settings.acquisition
    try:
        check_acquisition(settings.acquisition, goal, model)
    except SettingsError:
        acquisition = None
    return ScreeningWish(
        goal=str(goal), acquisition=acquisition, top=pool.keep, formula=formula, known=known,
        exclude=settings.run.exclude_elements, only=settings.run.only_elements,
    )  # fmt: skip


def _joined(table: Table, model: Model, top: Path) -> pd.DataFrame:
    """Labelled materials, then the best of the pool: ids, formulas where they are needed, groups, features, target.

    A candidate of the pool that has a label by now stays in its place, with its features as they were.
    """
    import pandas as pd

    best = pd.read_csv(top, dtype=str, keep_default_na=False)
    for name in best.columns.difference(["id", "reason", COMPOSITION]):  # by ourselves: older pandas loses the last bit
        best[name] = best[name].replace("", "nan").astype(float)
    ids = [id_of(cell) for cell in best["id"]]
    is_kept = {*ids}
    rows = [row for row, id in enumerate(table.ids) if id not in is_kept]
    label = dict(zip(table.ids, np.asarray(table.target).tolist(), strict=True))
    unknown = np.full(len(ids), np.nan)
    every = [*(table.ids[row] for row in rows), *ids]
    columns: dict[str, Any] = {_header(table, table.id_name): every}
    if wants_composition(model) and (own := formulas_of(table)) is not None:
        theirs = [id_of(cell) for cell in best[COMPOSITION]] if COMPOSITION in best else ids
        formulas = [*(own[row] for row in rows), *theirs]
        columns |= {COMPOSITION: formulas} if formulas != every else {}
    if table.group_name is not None and table.group_name != table.id_name:
        groups = table.text[table.group_name]
        columns[table.header(table.group_name)] = [*(groups[row] for row in rows), *([""] * len(ids))]
    place = {name: number for number, name in enumerate(table.feature_names)}
    for name, unit in model.primaries.items():
        theirs = best[feature_header(name, unit)].to_numpy(dtype=np.float64)
        columns[table.header(name)] = np.append(table.features[rows, place[name]], theirs)
    for number, name in enumerate(table.partial_names):
        columns[table.header(name)] = np.append(np.asarray(table.partial)[rows, number], unknown)
    target = [label[id] for id in every[: len(rows)]] + [label.get(id, np.nan) for id in ids]
    columns[table.header(str(table.target_name))] = np.array(target)
    return pd.DataFrame(columns)
