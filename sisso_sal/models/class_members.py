"""The members of an ensemble of classifiers: how they are found, what they tell together, and how a file holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import search_classes
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.bootstrap import draw_allowed, draw_counts, leave_each_out
from sisso_sal.models.class_calibration import PULL, ClassCalibration, ClassScaling, held_out_scaling
from sisso_sal.models.class_formulas import (
    class_file_settings,
    class_models,
    class_models_of_file,
    criterion_of,
    for_search,
)
from sisso_sal.models.class_model import ClassModel, ClassName, confusion_of, plain_classes
from sisso_sal.models.class_program import ClassProgram, most_probable, reasons_of
from sisso_sal.models.class_records import ClassEnsembleRecord
from sisso_sal.models.feature_counts import feature_counts
from sisso_sal.models.fitting import Prepared, prepare, search_settings, space_settings
from sisso_sal.models.groups import consecutive
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.record_types import need
from sisso_sal.models.records import file_document
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.protocols import Progress

MOST_DRAWS = 1000
"""Times that a member is drawn until each class is in it."""


KIND = "classifier-ensemble"
"""Kind of its model file."""


@dataclass(frozen=True, eq=False)
class ClassPrediction:
    """What an ensemble of classifiers says of materials.

    Attributes
    ----------
    probability : ndarray (n, n_classes)
        Mean over the members that are defined there, scaled; NaN where none is.
    told : ndarray (n,) of int
        Number of the most probable class, 0 where there is no probability.
    spread : ndarray (n,)
        Standard deviation over the defined members of the probability, scaled likewise, that they give to this class; NaN where
        fewer than two are defined.
    n_defined : ndarray (n,) of int
        Members that are defined.
    outside : ndarray (n,)
        Share of the members whose descriptors are not defined, or lie far outside their training range.
    reason : ndarray (n,) of str
        Why there is no probability; "" where there is one.
    """

    probability: np.ndarray
    told: np.ndarray
    spread: np.ndarray
    n_defined: np.ndarray
    outside: np.ndarray
    reason: np.ndarray


class TypicalMember(NamedTuple):
    """A member that stands for others: its number, the root mean square distance of its probabilities from the mean of all, and how
    many members have its descriptors.
    """

    number: int
    distance: float
    n_members: int


@dataclass(frozen=True, eq=False)
class ClassMembers:
    """The members of an ensemble, and what those that did not see a sample say of it.

    Attributes
    ----------
    models : list of ClassModel
    classes : tuple
        Sorted.
    dropped : tuple of tuple of str
        Primary features that each member had to do without.
    primaries : dict of str to str
        Unit of each primary feature, in the order of the names.
    counts : SearchCounts
    scaling : ClassScaling
    raw, calibration : ClassCalibration
        Of the out-of-bag probabilities before and after the scaling.
    confusion : ndarray (n_classes, n_classes)
        Number of samples of each class (rows) by the class that is told out of bag (columns).
    out_of_bag : ndarray (n_samples, n_classes), or None
        Mean probability of each class, scaled by what other materials tell; NaN where no member says anything. No file holds it.
    """

    models: list[ClassModel]
    classes: tuple[ClassName, ...]
    dropped: tuple[tuple[str, ...], ...]
    primaries: dict[str, str]
    counts: SearchCounts
    scaling: ClassScaling
    raw: ClassCalibration
    calibration: ClassCalibration
    confusion: np.ndarray
    out_of_bag: np.ndarray | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """Primary features that some member uses, sorted."""
        return tuple(sorted({name for model in self.models for name in model.primaries()}))

    @cached_property
    def program(self) -> ClassProgram:
        """What predicts of all members at once."""
        return ClassProgram.of(self.models, self.scaling)

    def probability(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """ndarray (n, n_classes): mean over the members that are defined there, scaled; NaN where none is."""
        return self.program.told(columns).probability

    def predict(self, columns: Mapping[str, np.ndarray]) -> ClassPrediction:
        """Class, probabilities, and how far the members agree.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Primary features in the units of the training table; those that are `needed`.
        """
        told = self.program.told(columns, most_probable)
        probability = told.probability
        number = np.nan_to_num(probability).argmax(axis=1)
        reason = np.full(len(number), "", dtype=object)
        rows = np.flatnonzero(np.isnan(probability[:, 0]))
        if len(rows):
            reason[rows] = reasons_of(self.models, {name: columns[name][rows] for name in self.needed})
        return ClassPrediction(probability, number, told.spread, told.n_defined, told.outside, reason)

    def typical(self, columns: Mapping[str, np.ndarray], count: int = 3) -> list[TypicalMember]:
        """The members whose probabilities are closest to the mean of all over some materials, one for each set of descriptors.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
        count : int
        """
        every = np.array([model.probability(columns) for model in self.models])
        is_defined = np.logical_and.reduce(np.isfinite(every), axis=2)
        mean, _ = _mean(every, is_defined)
        squares = np.where(is_defined, ((every - mean) ** 2).mean(axis=2), 0.0).sum(axis=1)
        distance = np.sqrt(squares / np.maximum(is_defined.sum(axis=1), 1))
        distance[~np.logical_or.reduce(is_defined, axis=1)] = np.inf
        alike: dict[frozenset[str], list[int]] = {}
        for number in np.argsort(distance, kind="stable"):
            if np.isfinite(distance[number]):
                alike.setdefault(frozenset(one.key for one in self.models[number].expressions), []).append(int(number))
        return [TypicalMember(own[0], float(distance[own[0]]), len(own)) for own in alike.values()][:count]

    def recurrence(self) -> dict[str, dict[str, float]]:
        """Share of members in which each primary feature and each descriptor occurs: ``primaries`` and ``descriptors``, most
        frequent first.
        """
        counts = {
            "primaries": Counter(name for model in self.models for name in model.primaries()),
            "descriptors": Counter(str(one) for model in self.models for one in model.expressions),
        }
        n = len(self.models)
        return {
            kind: {name: count / n for name, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))}
            for kind, counter in counts.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The members and what is known of them, as plain data."""
        return {
            "classes": list(self.classes),
            "members": [model.to_json() for model in self.models],
            "dropped": [list(names) for names in self.dropped],
            "scaling": self.scaling.to_json(),
            "calibration": self.calibration.to_json(),
            "raw_calibration": self.raw.to_json(),
            "confusion": self.confusion.tolist(),
        }

    def document(self, settings: Mapping[str, Any], target: str, target_unit: str = "") -> dict[str, Any]:
        """The content of a model file; see `file_document`.

        Parameters
        ----------
        settings : mapping
            Parameters of a `SISSOClassifierEnsemble`.
        target, target_unit : str
            Name of what they tell, and its unit where the classes are numbers.
        """
        kept, counts = class_file_settings(settings), self.counts.to_json()
        return file_document(KIND, (target, target_unit), self.primaries, kept, counts, self.to_json())

    @classmethod
    def of_file(cls, record: ClassEnsembleRecord) -> ClassMembers:
        """The inverse of `document`, from a file that was read; without out-of-bag probabilities.

        Raises
        ------
        ModelFileError, SettingsError
            A setting cannot be; a tree is no formula of the primary features, or the settings do not allow it.
        ValueError
            What the file holds was not made with its settings.
        """
        settings = record.settings.model_dump() | {"threads": None}
        space, search = space_settings(settings), search_settings(for_search(settings), 1)
        classes = tuple(record.classes)
        models = class_models_of_file(record.members, "members", classes, record.units, space, search)
        for number, (model, dropped) in enumerate(zip(models, record.dropped, strict=True)):
            others = sorted({*model.primaries()} & {*dropped})
            need(not others, f"dropped.{number}: needs features that the member does without, found {others[:1]}")
        return cls(
            models,
            classes,
            tuple(tuple(names) for names in record.dropped),
            record.units,
            SearchCounts.of_file(record),
            ClassScaling(record.scaling.factor, record.scaling.offsets),
            ClassCalibration(**record.raw_calibration.model_dump()),
            ClassCalibration(**record.calibration.model_dump()),
            record.confusion,
        )


def mean_probability(
    models: Sequence[ClassModel], columns: Mapping[str, np.ndarray], is_asked: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability (n, n_classes) over members, NaN where none is defined; and the number of members that are (n,).

    Parameters
    ----------
    models : sequence of ClassModel
    columns : mapping of str to ndarray (n,)
    is_asked : ndarray (n_members, n) of bool, optional
        Which members are asked for which samples.
    """
    every = np.array([model.probability(columns) for model in models])
    counts = np.logical_and.reduce(np.isfinite(every), axis=2)
    return _mean(every, counts if is_asked is None else counts & is_asked)


def _mean(every: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of probabilities (n_members, n, n_classes) over the members that count (n_members, n); and their number (n,)."""
    total = np.where(counts[:, :, None], every, 0.0).sum(axis=0)
    number = counts.sum(axis=0)
    return np.where(number[:, None] > 0, total / np.maximum(number, 1)[:, None], np.nan), number


def draw_class_problems(prepared: Prepared, members: int, dropout: float, seed: int, least: int) -> list[ClassProblem]:
    """Weights and allowed primary features of each member: materials are drawn, and each class is in each member.

    Parameters
    ----------
    prepared : Prepared
    members : int
    dropout : float
        Share of the primary features that a member may not use.
    seed : int
    least : int
        Samples that a member needs.

    Raises
    ------
    FitError
        A class has too few materials to be in each member.
    """
    labels, material = prepared.target.astype(np.int64), consecutive(prepared.groups)
    n_materials, n_classes = int(material.max()) + 1, len(np.unique(labels))

    def is_enough(drawn: np.ndarray) -> bool:
        rows = drawn[material] > 0
        has_all = len(np.unique(labels[rows])) == n_classes
        return bool(has_all and np.count_nonzero(rows) >= min(least, len(labels)))

    samples, allowed = [], []
    for stream in np.random.SeedSequence(seed).spawn(members):
        rng = np.random.default_rng(stream)
        draws = (draw_counts(n_materials, rng) for _ in range(MOST_DRAWS))
        drawn = next((one for one in draws if is_enough(one)), None)
        if drawn is None:
            raise FitError("fit: needs more materials of the rarest class, found no bootstrap sample with all classes")
        samples.append(drawn)
        allowed.append(draw_allowed(len(prepared.names), dropout, rng))
    every = leave_each_out(np.array(samples), is_enough, seed)
    return [
        ClassProblem(labels, drawn[material] * prepared.weights, features)
        for drawn, features in zip(every, allowed, strict=True)
    ]


def fit_members(
    settings: Mapping[str, Any],
    table: TrainingTable,
    classes: Sequence[Any] | np.ndarray,
    progress: Progress | None = None,
    pull: float = PULL,
) -> ClassMembers:
    """The members of an ensemble, all searched for in one pass over the features for each dimension.

    Parameters
    ----------
    settings : mapping
        Parameters of a `SISSOClassifierEnsemble`.
    table : TrainingTable
        With the number of its class as the label of each sample.
    classes : sequence
    progress : callable, optional
    pull : float
        Of the scaling towards none, see `ClassScaling.fit`.

    Raises
    ------
    FitError, SettingsError
        See `SISSOClassifierEnsemble.fit`.
    """
    if len(present := np.unique(table.y[table.weights > 0])) < 2:
        raise FitError(f"fit: needs samples of at least two classes, found {len(present)} class")
    members, dropout, seed = settings["members"], settings["dropout"], settings["random_state"]
    if not (isinstance(members, int | np.integer) and members >= 2):
        raise SettingsError(f"members: needs a number of at least 2, found {members!r}")
    if not 0.0 <= dropout < 1.0:
        raise SettingsError(f"dropout: needs a share below 1, found {dropout!r}")
    search = search_settings(for_search(settings), 1)
    prepared = prepare(table, space_settings(settings), search)
    problems = draw_class_problems(prepared, int(members), dropout, seed, search.dim + 2)
    criterion, sizes = criterion_of(settings, classes), prepared.size.sizes
    options = {"keep": max(search.n_residual, 1), "threads": search.n_threads, "progress": progress}
    results, causes = search_classes(prepared.space, problems, criterion, sizes, **options)
    n_features, rejected = feature_counts(prepared.space, causes, prepared.n_constant)
    formula, names = cache(prepared.space.expression), plain_classes(classes)
    models = [class_models(prepared, result, settings, names, formula)[-1][0] for result in results]
    unseen = np.array([problem.weights == 0 for problem in problems])
    mean, _ = mean_probability(models, table.columns(prepared.order), unseen)
    dropped = tuple(
        tuple(name for name, is_allowed in zip(prepared.names, problem.allowed, strict=True) if not is_allowed)
        for problem in problems
    )
    judged = _judged(prepared, mean, seed, len(table.y), pull)
    counts = SearchCounts(len(prepared.order), n_features, rejected, 0, True)
    return ClassMembers(models, names, dropped, table.primaries, counts, *judged)


def _judged(
    prepared: Prepared, mean: np.ndarray, seed: int, n_rows: int, pull: float
) -> tuple[ClassScaling, ClassCalibration, ClassCalibration, np.ndarray, np.ndarray]:
    """What the out-of-bag probabilities (n_samples, n_classes), in the order of the problems, say of themselves.

    Returns
    -------
    scaling, raw, calibration, confusion, out_of_bag
        As in `ClassMembers`.
    """
    told = np.flatnonzero(~np.isnan(mean).any(axis=1))
    if not len(told):
        raise FitError(
            f"fit: needs samples that some member did not see, found none of {n_rows}; add samples or members, or lower dim"
        )
    labels, weights = prepared.target.astype(np.int64)[told], prepared.weights[told]
    groups = consecutive(prepared.groups[told])
    scaling = ClassScaling.fit(mean[told], labels, weights, groups, pull)
    scaled = held_out_scaling(mean[told], labels, weights, groups, seed, pull)
    out = np.full((n_rows, mean.shape[1]), np.nan)
    out[prepared.order[told]] = scaled
    raw, calibration = ClassCalibration.of(mean[told], labels), ClassCalibration.of(scaled, labels)
    confusion = confusion_of(scaled.argmax(axis=1), labels, np.ones(len(told)), mean.shape[1])
    return scaling, raw, calibration, confusion, out
