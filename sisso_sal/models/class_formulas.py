"""A search for descriptors that tell classes, and what it finds: the best few models of each dimension."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import ClassCriterion, SubspaceClassFits, search_classes
from sisso_sal.engine.linear_criterion import ACCURACY, LIKELIHOOD, LinearCriterion
from sisso_sal.engine.overlap_criterion import (
    Domains,
    OverlapCriterion,
    best_subsets,
    left_after,
    overlaps,
    unclear_weight,
)
from sisso_sal.engine.sparsify import NUMBERS
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.features.expression import Expression
from sisso_sal.features.space import SpaceSettings
from sisso_sal.models.boundary import fit_boundary
from sisso_sal.models.class_model import ClassModel, ClassName, confusion_of, plain_classes, probabilities
from sisso_sal.models.class_records import ClassifierRecord, ClassModelRecord
from sisso_sal.models.fitting import (
    Prepared,
    SearchCounts,
    SearchSettings,
    feature_counts,
    models_of_file,
    prepare,
    search_settings,
    space_settings,
)  # fmt: skip
from sisso_sal.models.formulas import N_ALTERNATIVES
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel, build_model
from sisso_sal.models.records import file_document
from sisso_sal.protocols import Progress
from sisso_sal.system.printable import in_list

OVERLAP = "overlap"
CRITERIA = (ACCURACY, LIKELIHOOD, OVERLAP)
"""What makes descriptors of classes good, by name."""

FIXED: dict[str, Any] = {"fit_intercept": True, "low": (), "param_operators": (), "max_correlation": 1.0}
"""Parameters of a regressor that a classifier has not, with the values that they have for it."""

ScreenedForClasses = tuple[tuple[Expression, tuple[float, float]], ...]
"""Features that were screened in one dimension, best first."""


@dataclass(frozen=True)
class FittedClasses:
    """The models of a search for descriptors of classes.

    Attributes
    ----------
    alternatives : list of list of ClassModel
        The best few of each dimension, best first. There are no more dimensions once the classes are told without an error.
    classes : tuple
        Sorted.
    primaries : dict of str to str
        Unit of each primary feature, in the order of the names.
    counts : SearchCounts
    subspaces : tuple of tuple of (Expression, (float, float))
        The screened features of each dimension, where they were asked for: weight of the samples in the overlap and its size, of
        the samples that were left to tell apart. No file holds them.
    """

    alternatives: list[list[ClassModel]]
    classes: tuple[ClassName, ...]
    primaries: dict[str, str]
    counts: SearchCounts
    subspaces: tuple[ScreenedForClasses, ...] = ()

    @property
    def models(self) -> list[ClassModel]:
        """The best of each dimension."""
        return [models[0] for models in self.alternatives]

    @property
    def model(self) -> ClassModel:
        """The best of the largest dimension."""
        return self.alternatives[-1][0]

    @property
    def needed(self) -> tuple[str, ...]:
        """Primary features without which `model` makes no prediction, sorted."""
        return self.model.primaries()

    def to_json(self) -> dict[str, Any]:
        """The models as plain data."""
        models = [[model.to_json() for model in models] for models in self.alternatives]
        return {"classes": list(self.classes), "models": models}

    def document(self, settings: Mapping[str, Any], target: str, target_unit: str = "") -> dict[str, Any]:
        """The content of a model file; see `file_document`.

        Parameters
        ----------
        settings : mapping
            Parameters of a `SISSOClassifier`.
        target, target_unit : str
            Name of what they tell, and its unit where the classes are numbers.
        """
        kept = class_file_settings(settings)
        return file_document(
            "classifier", (target, target_unit), self.primaries, kept, self.counts.to_json(), self.to_json()
        )

    @classmethod
    def of_file(cls, record: ClassifierRecord) -> FittedClasses:
        """The inverse of `document`, from a file that was read.

        Raises
        ------
        ModelFileError, SettingsError
            A setting cannot be; a tree is no formula of the primary features, or the settings do not allow it.
        """
        settings = record.settings.model_dump() | {"threads": None}
        space, search = space_settings(settings), search_settings(for_search(settings), N_ALTERNATIVES)
        classes = tuple(record.classes)
        alternatives = [
            class_models_of_file(models, f"models.{d}", classes, record.units, space, search)
            for d, models in enumerate(record.models)
        ]
        return cls(alternatives, classes, record.units, SearchCounts.of_file(record))


def class_models_of_file(
    records: Sequence[ClassModelRecord],
    place: str,
    classes: tuple[ClassName, ...],
    units: Mapping[str, str],
    space: SpaceSettings,
    search: SearchSettings,
) -> list[ClassModel]:
    """Models that a file holds at a place; see `models_of_file`."""
    models = []
    for number, record in enumerate(records):
        lanes = tuple(models_of_file(record.lanes, f"{place}.{number}.lanes", units, space, search))
        rest = record.confusion, record.log_loss, record.overlap, record.overlap_size, record.prior
        models.append(ClassModel(lanes, classes, *rest))
    return models


def class_file_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a classifier, or of an ensemble of them, as plain data for a file."""
    convex = settings["convex"]
    plain = {"convex": None if convex is None else list(plain_classes(convex))}
    return {**settings, **plain, "class_weight": _plain_weights(settings["class_weight"])}


def estimator_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of an estimator of classes from those that a file has."""
    own = {name: value for name, value in settings.items() if name not in FIXED}
    if isinstance(own["class_weight"], list):
        own["class_weight"] = dict(own["class_weight"])
    return own


def _plain_weights(weights: Any) -> Any:
    """Class weights as they stand in a file: pairs of class and weight, a word, or None."""
    if isinstance(weights, Mapping):
        return [[*plain_classes([name]), float(value)] for name, value in weights.items()]
    return weights


def for_search(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a classifier as `search_settings` takes them."""
    return {**settings, "fit_intercept": True}


class _Found(NamedTuple):
    """A subset of features, and their values (dim, n_samples)."""

    subset: tuple[int, ...]
    values: np.ndarray


def find_classes(
    settings: Mapping[str, Any],
    table: TrainingTable,
    classes: Sequence[Any] | np.ndarray,
    progress: Progress | None = None,
    *,
    with_subspaces: bool = False,
) -> FittedClasses:
    """The models of a table whose labels are numbers of classes.

    Parameters
    ----------
    settings : mapping
        Parameters of a `SISSOClassifier`.
    table : TrainingTable
        With the number of its class as the label of each sample.
    classes : sequence
        Their names, sorted.
    progress : callable, optional
        Called with (features done, features in all).
    with_subspaces : bool
        Whether the screened features are wanted too; with the criterion overlap.

    Raises
    ------
    FitError, SettingsError
        See `SISSOClassifier.fit`.
    """
    present = np.unique(table.y[table.weights > 0])
    if len(present) < 2:
        raise FitError(f"fit: needs samples of at least two classes, found {len(present)} class")
    criterion = criterion_of(settings, classes)
    search = search_settings(for_search(settings), N_ALTERNATIVES)
    prepared = prepare(table, space_settings(settings), search)
    labels = prepared.target.astype(np.int64)
    problem = ClassProblem(labels, prepared.weights, np.ones(len(prepared.names), dtype=bool))
    (result,), causes = search_classes(
        prepared.space, [problem], criterion, prepared.size.sizes, keep=N_ALTERNATIVES, threads=search.n_threads,
        progress=progress,
    )  # fmt: skip
    n_features, rejected = feature_counts(prepared.space, causes, prepared.n_constant)
    formula = cache(prepared.space.expression)
    alternatives = class_models(prepared, result, settings, plain_classes(classes), formula)
    counts = SearchCounts(len(prepared.order), n_features, rejected, 0, True)
    subspaces = ()
    if with_subspaces and isinstance(criterion, OverlapCriterion):
        subspaces = _screened(prepared, result, criterion, formula)
    return FittedClasses(alternatives, plain_classes(classes), table.primaries, counts, subspaces)


def _screened(
    prepared: Prepared,
    result: SubspaceClassFits,
    criterion: OverlapCriterion,
    formula: Callable[[int, int, int], Expression],
) -> tuple[ScreenedForClasses, ...]:
    """The screened features of each dimension, with their overlap among the samples that were left to tell apart."""
    out, begin = [], 0
    for d, size in enumerate(result.sizes):
        part = result.subspace.take(np.arange(begin, begin + size))
        domains = criterion.domains(result.problem, left_after(result.problem, result.fits[:d]))
        weights, sizes = overlaps(part.values(prepared.space), domains)
        own = zip(weights.tolist(), sizes.tolist(), strict=True)
        out.append(tuple((formula(*part.triple(number)), pair) for number, pair in enumerate(own)))
        begin += size
    return tuple(out)


def overlap_criterion_of(settings: Mapping[str, Any], classes: Sequence[Any]) -> OverlapCriterion:
    """The domains that the parameters of a `SISSOClassifier` ask for, whatever its criterion is."""
    convex = settings["convex"]
    named = None if convex is None else tuple(name in plain_classes(convex) for name in plain_classes(classes))
    return OverlapCriterion(float(settings["width"]), named)


def criterion_of(settings: Mapping[str, Any], classes: Sequence[Any] | np.ndarray) -> ClassCriterion:
    """What the parameters of a `SISSOClassifier` ask for.

    Raises
    ------
    SettingsError
        A criterion that there is not, a class that there is not, or a number out of range.
    """
    kind, width, ridge = settings["criterion"], settings["width"], settings["ridge"]
    if kind not in CRITERIA:
        raise SettingsError(f"criterion: needs one of {', '.join(CRITERIA)}, found {kind!r}")
    for name, value in (("width", width), ("ridge", ridge)):
        if not (isinstance(value, int | float | np.number) and 0.0 <= value < np.inf) or (
            name == "ridge" and not value
        ):
            raise SettingsError(
                f"{name}: needs a number {'above' if name == 'ridge' else 'of at least'} 0, found {value!r}"
            )
    convex = settings["convex"]
    if convex is not None:
        known = list(plain_classes(classes))
        if unknown := [name for name in plain_classes(convex) if name not in known]:
            names = ", ".join(in_list(str(name)) for name in known)
            raise SettingsError(f"convex: needs names of classes ({names}), found {unknown[0]!r}")
        convex = tuple(name in plain_classes(convex) for name in known)
        if not any(convex):
            raise SettingsError("convex: needs at least one class, found none")
    if kind == OVERLAP:
        return OverlapCriterion(float(width), convex)
    return LinearCriterion(kind, float(ridge), settings["n_residual"])


def class_models(
    prepared: Prepared,
    result: SubspaceClassFits,
    settings: Mapping[str, Any],
    classes: tuple[ClassName, ...],
    formula: Callable[[int, int, int], Expression],
) -> list[list[ClassModel]]:
    """The models of each dimension that a search found for one problem.

    Parameters
    ----------
    prepared : Prepared
    result : SubspaceClassFits
    settings : mapping
        Parameters of a `SISSOClassifier`.
    classes : tuple
    formula : callable
        `FeatureSpace.expression`; many problems share theirs.

    Raises
    ------
    FitError
        There is no usable feature.
    """
    out = []
    for fits in result.fits:
        if not fits:
            break
        models = []
        for fit in fits:
            chosen = result.subspace.take(np.array(fit.subset))
            values = chosen.values(prepared.space)
            formulas = {number: formula(*chosen.triple(place)) for place, number in enumerate(fit.subset)}
            models.append(_model(_Found(fit.subset, values), formulas, result.problem, settings, classes))
        out.append(models)
    if not out:
        raise FitError("fit: needs at least one usable feature, found none (bounds, units and domains left nothing)")
    return out


class _Lane(NamedTuple):
    """What `build_model` takes of a fit."""

    subset: tuple[int, ...]
    coefficients: np.ndarray
    intercept: float
    residual: np.ndarray


def _model(
    found: _Found,
    formulas: Mapping[int, Any],
    problem: ClassProblem,
    settings: Mapping[str, Any],
    classes: tuple[ClassName, ...],
) -> ClassModel:
    values, weights, labels = found.values, problem.weights, problem.labels
    is_cut = settings["criterion"] == ACCURACY
    coefficients, intercepts = fit_boundary(settings["boundary"], values, problem, float(settings["ridge"]), is_cut)
    log_odds = values.T @ coefficients.T + intercepts
    probability = probabilities(log_odds)
    by_number = dict(zip(found.subset, values, strict=True))
    build: Callable[[_Lane], SISSOModel] = partial(_built, formulas, by_number, weights)
    yes = 1.0 / (1.0 + np.exp(-np.clip(log_odds.T, -500.0, 500.0)))
    lanes = tuple(
        build(_Lane(found.subset, coefficients[k], float(intercepts[k]), own - yes[k]))
        for k, own in enumerate(problem.lanes())
    )
    weight, size = _overlap(values, overlap_criterion_of(settings, classes).domains(problem))
    confusion = confusion_of(probability.argmax(axis=1), labels, weights, len(classes))
    own = np.clip(probability[np.arange(len(labels)), labels], 1e-15, 1.0)
    loss = float(-(weights @ np.log(own)) / weights.sum())
    prior = np.bincount(labels, weights, len(classes)) / weights.sum()
    return ClassModel(lanes, classes, confusion, loss, weight, size, prior)


def _built(
    formulas: Mapping[int, Any], values: Mapping[int, np.ndarray], weights: np.ndarray, lane: _Lane
) -> SISSOModel:
    return build_model(formulas, values, lane, weights)


def _overlap(values: np.ndarray, domains: Domains) -> tuple[float, float | None]:
    """Weight of the samples in the overlap and, of one or two descriptors, its size."""
    if len(values) > 2:
        return unclear_weight(values, domains), None
    separation = best_subsets(values, domains, len(values), 1, NUMBERS)[0]
    return separation.weight, separation.size
