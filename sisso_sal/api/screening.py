"""Screening of a pool with a model: the front door, and what it takes from a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.scores import EI, HITS
from sisso_sal.api.prediction import columns_for
from sisso_sal.campaign.newest import model_file
from sisso_sal.campaign.summary import read_summary
from sisso_sal.data.formats import is_parquet
from sisso_sal.errors import SettingsError, TableError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import read_ledger
from sisso_sal.models.class_formulas import FittedClasses
from sisso_sal.models.class_members import ClassMembers
from sisso_sal.models.files import read_model_of_one_task
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.needs import Model, ModelOfOneTask
from sisso_sal.oxides.element_groups import refused_elements
from sisso_sal.oxides.enumeration import OxideEnumeration
from sisso_sal.protocols import Progress
from sisso_sal.report.text.left_out import remarks_text
from sisso_sal.screening.block import PoolReading
from sisso_sal.screening.class_judge import class_acquisition, wanted_of
from sisso_sal.screening.columns import NO_COMPOSITIONS, made_features, reading_of, wants_composition
from sisso_sal.screening.driver import Share, begin, check_folder, screen
from sisso_sal.screening.job import ScreeningJob
from sisso_sal.screening.judge import check_acquisition
from sisso_sal.screening.oxide_pool import is_enumerated, oxide_shards
from sisso_sal.screening.pools import PoolPart
from sisso_sal.screening.reference import NO_BINS, bins_of, reference_of
from sisso_sal.screening.shards import parquet_files, shards_of
from sisso_sal.screening.tables import COPIES, keep_copy
from sisso_sal.screening.worker import digest_of
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system.executors import Workers

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ScreeningWish:
    """What a person asks of a screening; None for what the model or its run says.

    Attributes
    ----------
    goal, acquisition : str, optional
    top : int
        Best candidates to keep.
    keeps_all : bool
        Whether all predictions are written.
    id, formula : str, optional
        Columns of the ids, and of formulas from which features are made.
    known : tuple of str
        Ids that are not ranked, beside those that the run knows.
    exclude, only : tuple of str, optional
        Elements and groups: none of `exclude` is wanted and, if `only` is not empty, nothing but `only` and oxygen.
    """

    goal: str | None = None
    acquisition: str | None = None
    top: int = 1000
    keeps_all: bool = False
    id: str | None = None
    formula: str | None = None
    known: tuple[str, ...] = ()
    exclude: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Told:
    """What a run says, empty for a model file: the summary of its newest iteration, ids that are known or have failed, and settings
    that may change.
    """

    summary: dict[str, Any]
    known: tuple[str, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)


def screen_pool(
    model: str | os.PathLike[str],
    pool: str,
    out: str | os.PathLike[str],
    wanted: ScreeningWish,
    workers: Workers,
    *,
    share: Share | None = None,
    progress: Progress = lambda done, total: None,
    tell: Tell = lambda note: None,
) -> dict[str, Any]:
    """Predict and score every candidate of a pool, and keep the best.

    Parameters
    ----------
    model : path
        A model file, or a run folder: then its newest iteration, whose goal, acquisition and value to improve on are the defaults.
    pool : str
        A Parquet file, a folder or pattern of x
    out : path
        Folder of the results. The same screening again does only what is missing.
    wanted : ScreeningWish
    workers : Workers
        From `sisso_sal.system.executors.open_workers`.
    share : Share, optional
        Only this share of the shards; others are for other processes, and nothing is merged.
    progress : callable, optional
        Called with (rows done, rows in all).
    tell : callable, optional
        Takes notes.

    Returns
    -------
    dict
        See `sisso_sal.screening.driver.screen`.

    Raises
    ------
    SissoSalError
        Model or pool cannot be used, or the folder has another screening.
    """
    path, folder = model_file(Path(model)), Path(out).resolve()
    check_folder(folder)
    digest = digest_of(path)
    stored = read_model_of_one_task(path)
    learned = stored.model
    settings = _settings(learned, path, _told_by(Path(model)), wanted)
    by_element = bool(settings["unwanted"])
    parts, reading = _opened(pool, learned, folder, wanted, tell, by_element)
    if by_element and reading.composition is None:
        raise SettingsError(f"{pool}: elements can be excluded only where candidates have formulas, found none")
    job = ScreeningJob(
        model=str(path.resolve()), digest=digest, target=stored.target, unit=stored.target_unit, top=wanted.top,
        keeps_all=wanted.keeps_all, pool=pool if is_enumerated(pool) else "",
        reading=reading, **settings,
    )  # fmt: skip
    begin(folder, job)
    return screen(folder, job, parts, workers, progress, share)


def _told_by(model: Path) -> _Told:
    """What a run says of its newest iteration."""
    if not any((model / name).exists() for name in ("campaign.db", "campaign.jsonl")):
        return _Told({})
    state = fold(read_ledger(model).events())
    summary = read_summary(model / state.iterations[-1].folder)
    return _Told(summary, tuple(sorted({*state.labels, *(case.id for case in state.failed)})), state.run)


def _settings(model: ModelOfOneTask, path: Path, told: _Told, wanted: ScreeningWish) -> dict[str, Any]:
    """What is looked for and what is not ranked, as fields of a `ScreeningJob`."""
    is_of_classes = isinstance(model, FittedClasses | ClassMembers)
    found = _of_classes(model, path, told, wanted) if is_of_classes else _of_numbers(model, told, wanted)
    exclude = told.run.get("exclude_elements", ()) if wanted.exclude is None else wanted.exclude
    only = told.run.get("only_elements", ()) if wanted.only is None else wanted.only
    refused = tuple(sorted(refused_elements(exclude, only)))
    return found | {"known": tuple(sorted({*told.known, *wanted.known})), "unwanted": refused}


def _of_classes(model: FittedClasses | ClassMembers, path: Path, told: _Told, wanted: ScreeningWish) -> dict[str, Any]:
    """Classes that are looked for, and the acquisition."""
    text = wanted.goal or told.summary.get("goal")
    goal = None if text is None else Goal.parse(text)
    wanted_of(goal, model.classes, str(path))
    assert goal is not None
    name = wanted.acquisition or told.summary.get("acquisition") or HITS.name
    return {
        "goal": str(goal), "acquisition": class_acquisition(name, goal), "reference": None, "bins": NO_BINS,
        "classes": tuple(map(str, model.classes)),
    }  # fmt: skip


def _of_numbers(model: Model, told: _Told, wanted: ScreeningWish) -> dict[str, Any]:
    """Goal, acquisition, reference and bins of the means."""
    summary = told.summary
    goal = Goal.parse(wanted.goal or summary.get("goal") or "min")
    if goal.classes:
        raise SettingsError(f"goal: needs a bound, min or max with a model of numbers, found the classes '{goal}'")
    name = wanted.acquisition or _usual(model, goal, summary)
    if wanted.goal is None and summary and acquisition_named(name).share is not None and not goal.has_bound:
        goal = Goal.parse(
            summary["wanted"]
        )  # the bound that the best share of the candidates of the run is expected to reach
    check_acquisition(name, goal, model)
    reference = None
    if not goal.has_bound:
        is_of_run = summary and str(goal) == summary["goal"]
        reference = float(summary["improve_on"]) if is_of_run else reference_of(model, goal)
    return {"goal": str(goal), "acquisition": name, "reference": reference, "bins": bins_of(model)}


def _usual(model: Model, goal: Goal, summary: dict[str, Any]) -> str:
    """The acquisition where none is asked for."""
    if isinstance(model, FittedModels):
        return "mean"
    if summary:
        return summary["acquisition"]
    return HITS.name if goal.has_bound else EI.name


def _opened(
    pool: str, model: ModelOfOneTask, folder: Path, wanted: ScreeningWish, tell: Tell, by_element: bool
) -> tuple[Sequence[PoolPart], PoolReading]:
    """The parts of a pool, and how they are read."""
    if is_enumerated(pool):
        return list(oxide_shards(pool)), _of_oxides(pool, model, tell, by_element)
    files = parquet_files(pool)
    if all(map(is_parquet, files)):
        reading = reading_of(model, files, wanted.id, wanted.formula, tell, by_element=by_element)
    elif len(files) == 1:
        files, reading = _copied(files[0], model, folder, wanted, tell, by_element)
    else:
        other = next(file for file in files if not is_parquet(file))
        raise TableError(f"{other}: needs a Parquet file, as all of several files do, found another")
    parts = list(shards_of(files))
    if not parts:
        raise TableError(f"{pool}: needs at least one row, found none")
    return parts, reading


def _of_oxides(pool: str, model: ModelOfOneTask, tell: Tell, by_element: bool) -> PoolReading:
    """How a model reads oxides that are enumerated."""
    for reason in OxideEnumeration.parse(pool).left_out.values():
        tell(f"left out: {reason}")
    composition = "formula" if by_element or wants_composition(model) else None
    made = made_features(model, pool)
    return PoolReading(id="formula", features=made, composition=composition, primaries=dict(model.primaries))


def _copied(
    path: str, model: ModelOfOneTask, folder: Path, wanted: ScreeningWish, tell: Tell, by_element: bool
) -> tuple[list[str], PoolReading]:
    """A table of another format, read as `predict` does it and kept as Parquet."""
    table, columns = columns_for(model, path, wanted.id, wanted.formula, tell)
    for line in remarks_text(table):
        tell(line)
    shares = TableSpace(table).composition if by_element or wants_composition(model) else None
    if wants_composition(model) and shares is None:
        tell(NO_COMPOSITIONS)
    copy, reading = keep_copy(folder / COPIES, table, columns, model.primaries, shares is not None)
    return [str(copy)], reading
