"""One run as a report sees it: ledger, files of an iteration, formulas where it has them; or an ensemble and a table."""

from __future__ import annotations

import io
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.proposal import score
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.scene import Materials, Policy, set_scene
from sisso_sal.acquisition.scores import HITS
from sisso_sal.campaign.summary import LEVELS, SUMMARY, check_files, read_summary
from sisso_sal.data.headers import split_header
from sisso_sal.data.spreadsheet import id_of
from sisso_sal.errors import CampaignError, DocumentError, InputError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.state import Event, Iteration, State
from sisso_sal.ledger.store import read_ledger
from sisso_sal.models.class_members import ClassMembers
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.files import read_any_model, read_model
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.posterior import Certainty
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.protocols.cause import counted
from sisso_sal.report.summary import probability_of, wanted_classes
from sisso_sal.spaces.snapshot import CANDIDATES, ids_of
from sisso_sal.system.documents import LARGE, one_line, read_bytes

if TYPE_CHECKING:
    from sisso_sal.models.ensemble import SISSOEnsemble

PREDICTIONS = "predictions.csv"
NUMBERS = (
    "label", "mean", "std", "std_raw", "low95", "high95", "formulas_mean", "outside", "distance", "score", "oob_mean", "oob_std",
)  # fmt: skip
"""Columns of numbers of the predictions."""
N_PROPOSALS = 10
"""Candidates that are called proposals where no campaign chose them."""


class EnsembleLike(Protocol):
    """What reports use of an ensemble of formulas."""

    @property
    def members(self) -> Sequence[SISSOModel]: ...

    @property
    def certain(self) -> Certainty | None: ...

    @property
    def recalibration(self) -> Recalibration | None: ...

    @property
    def floor(self) -> float: ...

    def typical_members(self, columns: Mapping[str, np.ndarray], count: int = 3) -> list[tuple[int, float]]: ...


@dataclass(frozen=True, eq=False)
class RunView:
    """Everything that figures and the report are made from. Make one with `read` (a run folder) or `of` (an ensemble and a table).

    Attributes
    ----------
    title : str
    target, unit : str
        Name and unit of what is predicted.
    ensemble : EnsembleLike or None
        Read from a run it has its formulas and calibration, not the correction: predictions are in `table`. None where the
        surrogate has no formulas.
    log_odds : tuple of SISSOModel
        Of a run over classes: the log-odds of each formula of the ensemble.
    columns : mapping of str to ndarray (n_materials,)
        Primary features of all materials, by name and in the order of names.
    units : mapping of str to str
        Their units; "" for none.
    table : DataFrame (n_materials rows)
        Columns id, label (NaN where not known), mean, std, std_raw, low95, high95, formulas_mean (all in the target's unit),
        n_valid, outside, distance, score, and for labelled materials oob_mean, oob_std: out-of-bag prediction and its raw sigma.
        NaN where the surrogate does not give a number.
    summary : mapping
        As ``discover --json`` gives it: goal, acquisition, proposals, best, settings, …; and what the surrogate tells of itself,
        such as calibration, typical, recurrence, certain.
    state : State or None
        What the ledger says; None without a run.
    events : tuple of event
        The ledger, in order.
    iteration : Iteration or None
    path : Path or None
        The run folder.
    guessed : mapping of str to ndarray (n_materials,)
        Of primary features that are values of a lower level of theory: their standard deviation where they are predicted, else 0.

    Examples
    --------
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (40, 3)), columns=["a (eV)", "b (eV)", "r (AA)"])
    >>> y = (X["a (eV)"] * X["r (AA)"] - X["b (eV)"]).rename("gap (eV)").where(X.index < 30)
    >>> from sisso_sal import SISSOEnsemble
    >>> ensemble = SISSOEnsemble(members=4, rung=1, dim=2, n_sis=5).fit(X[:30], y[:30])
    >>> view = RunView.of(ensemble, X, y)
    >>> view.target, view.unit, int(view.labelled.sum()), len(view.proposals)
    ('gap', 'eV', 30, 10)
    """

    title: str
    target: str
    unit: str
    ensemble: EnsembleLike | None
    columns: Mapping[str, np.ndarray]
    units: Mapping[str, str]
    table: pd.DataFrame
    summary: Mapping[str, Any]
    state: State | None = None
    events: tuple[Event, ...] = ()
    iteration: Iteration | None = None
    path: Path | None = None
    guessed: Mapping[str, np.ndarray] = field(default_factory=dict)
    log_odds: tuple[SISSOModel, ...] = ()

    @classmethod
    def read(cls, run: str | os.PathLike[str], iteration: int | None = None) -> RunView:
        """The run in a folder, also while a driver is at work.

        Parameters
        ----------
        run : path
        iteration : int, optional
            By default the newest whose files are there.

        Raises
        ------
        CampaignError
            There is no run, no such iteration, or its files are gone or damaged.
        ModelFileError
            The model cannot be read.
        """
        run = Path(run)
        events = tuple(read_ledger(run).events())
        state = fold(events)
        chosen = _chosen(run, state, iteration)
        folder = run / chosen.folder
        summary, table, candidates = _files(run, state, chosen)
        if summary["target"] is None:
            raise CampaignError(f"{folder / SUMMARY}: needs the name of a target, found none")
        target, unit = summary["target"]["name"], summary["target"]["unit"]
        settings = (state.created or {"settings": {}})["settings"]
        try:
            place = {id: number for number, id in enumerate(ids_of(candidates, settings.get("id")))}
        except KeyError as error:
            raise CampaignError(f"{run / CANDIDATES}: needs a column {error} of ids, found none") from error
        try:
            rows = [place[id] for id in table["id"].to_numpy(dtype=object)]
        except KeyError as error:
            raise CampaignError(
                f"{folder / 'predictions.csv'}: needs candidates of {run / CANDIDATES}, found {error}"
            ) from error
        columns, units = _features(candidates.iloc[rows], settings.get("id"), target)
        ensemble, log_odds = _formulas(folder / "model.json", summary)
        guessed = _guessed(folder / LEVELS, table["id"].to_numpy(dtype=object))
        name = run.resolve().name
        return cls(
            name, target, unit, ensemble, columns, units, table, summary, state, events, chosen, run, guessed, log_odds
        )

    @classmethod
    def of(
        cls,
        ensemble: SISSOEnsemble,
        X: Any,
        y: Any = None,
        *,
        ids: Sequence[str] | None = None,
        composition: np.ndarray | None = None,
        target: str | None = None,
        goal: str = "min",
        acquisition: str = HITS.name,
    ) -> RunView:
        """A fitted ensemble and the materials it is to be shown on.

        Parameters
        ----------
        ensemble : SISSOEnsemble
        X : DataFrame or array (n_materials, n_primary)
            Primary features; of a DataFrame the columns of the fit are taken.
        y : array (n_materials,), optional
            Labels in the target's unit, NaN where not known. Where those known are the ones of the fit, in its order, their
            out-of-bag predictions are shown.
        ids : sequence of str, optional
            By default the index of X, or the numbers of the rows.
        composition : array (n_materials, n_elements), optional
            As in `SISSOEnsemble.fit`.
        target : str, optional
            Name and unit as a header, ``"gap (eV)"``; by default the name of y.
        goal, acquisition : str
            What the score is of, see ``discover --help``.

        Raises
        ------
        InputError
            Labels or ids are not one for each material.
        """
        frame = X[list(_headers(ensemble))] if isinstance(X, pd.DataFrame) else X
        values = np.asarray(frame, dtype=np.float64)
        n = len(values)
        names = [str(i) for i in (X.index if isinstance(X, pd.DataFrame) else range(1, n + 1))] if ids is None else ids
        label = np.full(n, np.nan) if y is None else np.asarray(y, dtype=np.float64)
        for what, number in (("labels", len(label)), ("ids", len(names))):
            if number != n:
                raise InputError(f"{what}: needs one for each of {n} materials, found {number}")
        header = str(getattr(y, "name", None) or "y") if target is None else target
        name, unit = split_header(header)
        columns = dict(zip(ensemble.primaries_, np.ascontiguousarray(values.T), strict=True))
        table = _predicted(ensemble, columns, label, names, composition, Goal.parse(goal), acquisition)
        summary = {
            "goal": goal,
            "acquisition": acquisition,
            **_counts_and_proposals(table),
            "best": _best(names, label, Goal.parse(goal)),
            **ensemble.describe(columns, name, unit),
        }
        units = dict(zip(ensemble.primaries_, ensemble.units_, strict=True))
        return cls(name, name, unit, ensemble.model_, columns, units, table, summary)

    def values(self, name: str) -> np.ndarray:
        """A column of numbers of `table`: ndarray (n_materials,)."""
        return np.asarray(self.table[name], dtype=np.float64)

    @cached_property
    def labelled(self) -> np.ndarray:
        """ndarray (n_materials,) of bool: where the label is known."""
        return np.isfinite(self.values("label"))

    @cached_property
    def ids(self) -> np.ndarray:
        """ndarray (n_materials,) of str."""
        return np.asarray(self.table["id"], dtype=object)

    @property
    def number(self) -> int:
        """Of the iteration; 1 without a run."""
        return 1 if self.iteration is None else self.iteration.number

    @property
    def proposals(self) -> list[dict[str, Any]]:
        """What was proposed, best first: id, mean, std, score, low95, high95, formula, n_valid, outside, distance."""
        return list(self.summary["proposals"])

    @cached_property
    def is_of_classes(self) -> bool:
        """Whether labels are classes; predictions are then probabilities."""
        return bool(wanted_classes(self.summary))

    @cached_property
    def known_as(self) -> list[float] | list[str]:
        """What is known of each material: its label, NaN without one, or the name of its class, "" without one."""
        if self.is_of_classes and "class" in self.table:
            return ["" if name != name else str(name) for name in self.table["class"].tolist()]
        return self.values("label").tolist()

    @property
    def header(self) -> str:
        """What is predicted, as on an axis: the target with its unit, or the probability of a class that is looked for."""
        if self.is_of_classes:
            return probability_of(self.summary)
        return f"{self.target} ({self.unit})" if self.unit else self.target


def as_view(run: RunView | str | os.PathLike[str]) -> RunView:
    """The view itself, or that of a run folder."""
    return run if isinstance(run, RunView) else RunView.read(run)


def _files(run: Path, state: State, chosen: Iteration) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Summary, predictions and candidates of an iteration, each as it was written."""
    folder = run / chosen.folder
    try:
        check_files(folder, chosen.model)
        summary = read_summary(folder)
        table = _predictions(folder / PREDICTIONS)
        own = folder / CANDIDATES  # of a space that generates candidates, else they are those of the start
        candidates = pd.read_parquet(own if own.exists() else run / CANDIDATES)
    except DocumentError as error:
        raise CampaignError(f"{error}; the next discover makes the files of the newest iteration again") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CampaignError(
            f"{folder}: needs the files of an iteration, cannot be read: {one_line(str(error), 200)}"
        ) from error
    return summary, table, candidates


def _predictions(path: Path) -> pd.DataFrame:
    """The table of predictions.

    Raises
    ------
    DocumentError, ValueError
        It cannot be read, or lacks a column, an id or a number.
    """
    content = io.BytesIO(read_bytes(path, LARGE.size))
    types: dict[Hashable, Any] = {**dict.fromkeys(NUMBERS, float), "id": str, "class": str}
    table = pd.read_csv(content, dtype=types, keep_default_na=False, na_values=[""])
    if missing := [name for name in ("id", "n_valid", *NUMBERS) if name not in table]:
        raise DocumentError(f"{path}: needs a column '{missing[0]}', found none")
    if np.asarray(table["id"].isna()).any() or not pd.api.types.is_integer_dtype(table["n_valid"]):
        raise DocumentError(f"{path}: needs an id and a whole number n_valid in every row, found a row without")
    return table.assign(id=[id_of(cell) for cell in table["id"].to_numpy(dtype=object)])


def _guessed(path: Path, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Standard deviations of predicted values of lower levels, by the names of these; none without the file.

    Raises
    ------
    CampaignError
        It cannot be read, or is of other candidates.
    """
    if not path.exists():
        return {}
    try:
        table = pd.read_csv(path, index_col="id", dtype={"id": str}, keep_default_na=False, na_values=[""])
        table.index = pd.Index([id_of(cell) for cell in table.index])
        kept = table.loc[list(ids)]
        names = [name for name in kept.columns if name.endswith(" std")]
        return {name.removesuffix(" std"): kept[name].to_numpy(dtype=np.float64) for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise CampaignError(
            f"{path}: needs the levels of an iteration, cannot be read: {one_line(str(error), 200)}"
        ) from error


def has_members(summary: Mapping[str, Any]) -> bool:
    """Whether the summary of an iteration names typical formulas that are members of a model file."""
    return any("member" in row for row in summary.get("typical") or ())


def _formulas(path: Path, summary: Mapping[str, Any]) -> tuple[EnsembleModel | None, tuple[SISSOModel, ...]]:
    """The ensemble in a model file, or the log-odds of one of classes; neither where the summary names no members of it."""
    if not has_members(summary):
        return None, ()
    if wanted_classes(summary):
        of_classes = read_any_model(path).model
        if not isinstance(of_classes, ClassMembers):
            raise CampaignError(f"{path}: needs an ensemble of classifiers, found another model")
        return None, tuple(model.lanes[0] for model in of_classes.models)
    model = read_model(path, formulas_only=True).model
    if not isinstance(model, EnsembleModel):
        raise CampaignError(f"{path}: needs an ensemble, found a single model")
    return model, ()


def _features(
    candidates: pd.DataFrame, id_name: str | None, target: str
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Values and units of the primary features by name: the columns of numbers that are neither id nor target.

    One with gaps was none: a level of theory with too few values to be learned.
    """
    columns, units = {}, {}
    for (name, unit), header in sorted((split_header(header), header) for header in candidates.columns):
        is_number = name not in {id_name, target} and pd.api.types.is_numeric_dtype(candidates[header])
        if is_number and not candidates[header].isna().to_numpy().any():
            columns[name], units[name] = candidates[header].to_numpy(dtype=np.float64), unit
    return columns, units


def _chosen(run: Path, state: State, number: int | None) -> Iteration:
    made = [iteration for iteration in state.iterations if number in {None, iteration.number}]
    if not made:
        what = "an iteration" if number is None else f"iteration {number}"
        raise CampaignError(f"{run}: needs {what}, found {len(state.iterations)}; run discover first")
    whole = [iteration for iteration in made if (run / iteration.folder / SUMMARY).exists()]
    if not whole:
        raise CampaignError(
            f"{run / made[-1].folder}: needs the files of the iteration, they are gone; discover makes them anew"
        )
    return whole[-1]


def _headers(ensemble: SISSOEnsemble) -> list[str]:
    units = zip(ensemble.primaries_, ensemble.units_, strict=True)
    return list(getattr(ensemble, "feature_names_in_", [f"{name} ({unit})" if unit else name for name, unit in units]))


def _counts_and_proposals(table: pd.DataFrame) -> dict[str, Any]:
    """What the summary of an iteration says of the table of `RunView`; the candidates with the best scores are the proposals."""
    label, mean, scores = (np.asarray(table[name], dtype=np.float64) for name in ("label", "mean", "score"))
    is_open = np.isnan(label)
    rows = np.flatnonzero(is_open & np.isfinite(scores))
    ranked = rows[np.argsort(-scores[rows], kind="stable")]
    return {
        "n_labelled": int(np.isfinite(label).sum()),
        "n_candidates": int(is_open.sum()),
        "n_without_prediction": int((is_open & np.isnan(mean)).sum()),
        "excluded": {"n": 0, "elements": {}},
        "without_prediction": counted(table["reason"][is_open]),
        "proposals": table.iloc[ranked[:N_PROPOSALS]].to_dict("records"),
    }


def _best(ids: Sequence[str], label: np.ndarray, goal: Goal) -> dict[str, Any] | None:
    """The best label; None where there is none."""
    known = np.flatnonzero(np.isfinite(label))
    if not len(known):
        return None
    row = int(known[goal.best(label[known])])
    return {"id": ids[row], "value": float(label[row])}


def _predicted(ensemble, columns, label, ids, composition, goal: Goal, acquisition: str) -> pd.DataFrame:
    """The table of `RunView` for an ensemble without a run."""
    prediction = ensemble.predict_distribution(columns, composition)
    known = np.isfinite(label)
    scores = np.full(len(label), np.nan)
    if known.any():
        features = np.column_stack([columns[name] for name in ensemble.primaries_])
        materials, policy = Materials(ids, features, label), Policy(acquisition_named(acquisition))
        scores = score(set_scene(prediction, materials, goal, policy, np.random.default_rng(0))).scores
    oob = {name: np.full(len(label), np.nan) for name in ("oob_mean", "oob_std")}
    for name, values in oob.items():
        of_the_fit = getattr(ensemble, f"{name}_", None)  # a reloaded ensemble has none
        if of_the_fit is not None and len(of_the_fit) == known.sum():
            values[known] = of_the_fit
    low, high = prediction.interval95
    return pd.DataFrame(
        {
            "id": list(ids), "label": label, "mean": prediction.mean, "std": prediction.std, "std_raw": prediction.std_raw,
            "n_valid": prediction.n_valid, "low95": low, "high95": high, "formulas_mean": prediction.formulas_mean,
            "outside": prediction.outside, "distance": prediction.distance, "score": scores, **oob, "reason": prediction.reason,
        }
    )  # fmt: skip
