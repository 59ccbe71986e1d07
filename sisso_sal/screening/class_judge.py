"""What a model of classes says of a block of candidates: how probable a class is that is looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from typing import Any

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.proposal import score
from sisso_sal.acquisition.registry import ACQUISITIONS, acquisition_named, installed
from sisso_sal.acquisition.scores import HITS
from sisso_sal.data.arrow import text_array
from sisso_sal.errors import SettingsError
from sisso_sal.models.class_formulas import FittedClasses
from sisso_sal.models.class_members import ClassMembers
from sisso_sal.models.class_model import ClassName
from sisso_sal.models.class_program import ClassProgram, reasons_of
from sisso_sal.models.needs import ModelOfClasses
from sisso_sal.protocols import Acquisition, Cause
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.screening.block import PoolBlock
from sisso_sal.screening.job import ScreeningJob
from sisso_sal.screening.judge import MANY, Judged, explain, scene_of, usable

N_LISTED = 8
"""Classes that a message names."""


class ClassJudge:
    """A model of classes with a goal and a score.

    Parameters
    ----------
    model : FittedClasses or ClassMembers
    job : ScreeningJob
    """

    def __init__(self, model: ModelOfClasses, job: ScreeningJob):
        self._models = [model.model] if isinstance(model, FittedClasses) else model.models
        self._program = ClassProgram.of(self._models) if isinstance(model, FittedClasses) else model.program
        self._names, self._needed = [*map(str, model.classes)], model.needed
        self._goal = Goal.parse(job.goal)
        self._is_wanted = wanted_of(self._goal, model.classes, job.model)
        self._acquisition = acquisition_named(job.acquisition, self._goal)
        self._is_ensemble, self._keeps_all = isinstance(model, ClassMembers), job.keeps_all
        self.columns, self.n_members = class_columns(job.classes, self._is_ensemble), len(self._models)

    def judged(self, block: PoolBlock) -> Judged:
        """What is said of the candidates of a block."""
        columns, _ = usable(block, self._needed)
        with_spread = self._is_ensemble and self._keeps_all
        told = self._program.told(columns, self._wanted if with_spread else None)
        probability = told.probability.T
        hit = np.minimum(reduce(np.add, probability[self._is_wanted]), 1.0)
        numbers = {f"p({name})": own for name, own in zip(self._names, probability, strict=True)}
        found = {
            "p_hit": hit,
            "score": self._scores(hit, told.outside),
            "probability": probability.max(axis=0),
            **numbers,
        }
        found |= {"n_valid": told.n_defined.astype(np.int32), "outside": told.outside}
        found |= {"spread": told.spread} if with_spread else {}
        reason = np.full(len(block.ids), "", dtype=object)
        rows = np.flatnonzero(np.isnan(hit))
        if len(rows):
            lacking = {name: columns[name][rows] for name in self._needed}
            reason[rows] = reasons_of(self._models, lacking)
            reason[rows[~np.isfinite([*lacking.values()]).all(axis=0)]] = Cause.NOT_FINITE.words
            explain(reason, block, hit)
        return Judged(hit, found, reason, number=np.nan_to_num(probability).argmax(axis=0))

    def details(self, judged: Judged, columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, Any]:
        """More about some rows, ndarray (k,) of int: ``class``, "" where there is none, and of an ensemble the ``spread``."""
        if judged.number is None:
            return {}
        number = np.where(np.isnan(judged.value), -1, judged.number)[rows]
        names = {"class": text_array([self._names[own] if own >= 0 else "" for own in number.tolist()])}
        if not self._is_ensemble or self._keeps_all:
            return names
        spread = self._program.told({name: columns[name][rows] for name in self._needed}, self._wanted).spread
        return names | {"spread": np.where(np.isnan(judged.value[rows]), np.nan, spread)}

    def _wanted(self, probability: np.ndarray) -> np.ndarray:
        """Of all candidates the spread of the same classes is wanted."""
        return self._is_wanted[:, None]

    def _scores(self, hit: np.ndarray, outside: np.ndarray) -> np.ndarray:
        """ndarray (n,), of probabilities (n,) to be of a class that is looked for; NaN where too many models are `outside` (n,)."""
        hit = np.where(outside > MANY, np.nan, hit)
        if self._acquisition.name == HITS.name:
            return hit
        nobody = np.empty((0, len(hit)))
        with np.errstate(all="ignore"):
            scene = scene_of(self._acquisition, Distribution.of_hits(hit), nobody, nobody, self._goal, np.nan)
            return score(scene).scores


def class_columns(classes: Sequence[str], is_ensemble: bool = True) -> tuple[str, ...]:
    """Columns of predictions, in order.

    Examples
    --------
    >>> class_columns(("ilmenite", "perovskite"), is_ensemble=False)
    ('id', 'p_hit', 'score', 'class', 'probability', 'p(ilmenite)', 'p(perovskite)', 'outside', 'reason')
    """
    spread, n_valid = (("spread",), ("n_valid",)) if is_ensemble else ((), ())
    own = tuple(f"p({name})" for name in classes)
    return ("id", "p_hit", *spread, "score", "class", "probability", *own, *n_valid, "outside", "reason")


def wanted_of(goal: Goal | None, classes: Sequence[ClassName], place: str) -> np.ndarray:
    """Which classes of a model are looked for: ndarray (n_classes,) of bool.

    Parameters
    ----------
    goal : Goal or None
        None where nobody has given one.
    classes : sequence
        Those of the model. One of a campaign that looks for several has the names of all of them as one class.
    place : str
        Where the model is, for messages.

    Raises
    ------
    SettingsError
        The goal names no classes, one that the model does not have, or all of them.

    Examples
    --------
    >>> wanted_of(Goal.parse("=ilmenite"), ("ilmenite", "perovskite"), "model.json").tolist()
    [True, False]
    >>> wanted_of(Goal.parse("=b,a"), ("not a, b", "a, b"), "model.json").tolist()
    [False, True]
    """
    names = [*map(str, classes)]
    listed = ", ".join(names[:N_LISTED]) + (", …" if len(names) > N_LISTED else "")
    if goal is None or not goal.classes:
        examples = " or ".join(f"'{Goal('classes', classes=(name,))}'" for name in names[:2])
        found = "none" if goal is None else f"'{goal}'"
        raise SettingsError(
            f"goal: needs the class to look for with a model of classes, such as {examples}, found {found}; "
            f"{place} tells {listed}"
        )
    whole = [{*goal.classes} == _named(name) for name in names]
    if any(whole) and not {*goal.classes} <= {*names}:
        return np.array(whole)
    if unknown := [name for name in goal.classes if name not in names]:
        close = get_close_matches(unknown[0], names, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise SettingsError(f"goal: needs classes that {place} tells ({listed}), found '{unknown[0]}'{hint}")
    if {*names} == {*goal.classes}:
        raise SettingsError(f"goal: needs to leave out a class that {place} tells ({listed}), found all of them")
    return np.array([name in goal.classes for name in names])


def _named(name: str) -> set[str]:
    """The classes that the name of one stands for."""
    try:
        return {*Goal.parse(f"={name}").classes}
    except SettingsError:
        return {name}


def class_acquisition(name: str, goal: Goal) -> str:
    """The same name, if candidates can be ranked by it from their probabilities, one at a time.

    Raises
    ------
    SettingsError
        They cannot, or there is no such acquisition.
    """
    acquisition_named(name)
    able = [one.name for one in map(installed, ACQUISITIONS) if one is not None and _is_able(one)]
    if name not in able:
        raise SettingsError(
            f"acquisition: needs one of {', '.join(able)} to screen for the classes {goal}, found '{name}'"
        )
    return name


def _is_able(acquisition: Acquisition) -> bool:
    return bool(acquisition.of_classes) and acquisition.uses == {"distribution"}
