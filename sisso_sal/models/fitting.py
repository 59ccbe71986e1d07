"""From a checked table to SISSO models: `prepare` lays out the features, `solve` searches them for one or many problems.

The single model, the members of an ensemble, the choice of their rung, and cross-validation all use the pair.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from sisso_sal.engine.plan import SearchSize, check_length, search_cost
from sisso_sal.engine.problem import SQUARES, FitObjective, Problem
from sisso_sal.engine.refit import Fit, error_of
from sisso_sal.engine.search import SubspaceFits, search
from sisso_sal.errors import FitError, ModelFileError, SettingsError
from sisso_sal.features.expression import Expression
from sisso_sal.features.operator_names import OperatorNames, names_of, several
from sisso_sal.features.operators import DEFAULT_OPERATORS
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.features.stored import SAME_VALUE
from sisso_sal.models.feature_counts import feature_counts
from sisso_sal.models.groups import canonical_order, consecutive
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel, build_model
from sisso_sal.models.posterior import Credence, believe
from sisso_sal.models.record_types import inside
from sisso_sal.models.records import ModelRecord
from sisso_sal.models.same_formulas import without_repeats
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.protocols import Cost, Progress
from sisso_sal.system.executors import HERE, Workers
from sisso_sal.system.machine import usable_cores

logger = logging.getLogger(__name__)

_workers: ContextVar[Workers] = ContextVar("workers", default=HERE)


@contextmanager
def searching_with(workers: Workers) -> Iterator[None]:
    """While this is entered, workers look through the pairs of feature spaces where that pays; no result depends on it.

    Examples
    --------
    >>> with searching_with(HERE):
    ...     pass
    """
    token = _workers.set(workers)
    try:
        yield
    finally:
        _workers.reset(token)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How models are looked for.

    Parameters
    ----------
    dim : int
        Largest number of descriptors; 1 to 6.
    n_sis : int or tuple of int
        Features added to the subspace per dimension, or in each dimension; as many as there are, if the space has fewer.
    n_residual : int
        Number of best models whose residuals the next screening sees.
    n_models : int
        Models made of each dimension.
    n_scored : int
        Models of each dimension whose scores tell how probable descriptors are (`Credence`); none for 0.
    fit_intercept : bool
    threads : int or None
        None for all cores that the process may use.
    objective : FitObjective
        What makes one model better than another.
    max_correlation : float
        Largest correlation between the features of a subspace, and so between those of a model.
    """

    dim: int = 2
    n_sis: int | tuple[int, ...] = 50
    n_residual: int = 5
    n_models: int = 10
    n_scored: int = 0
    fit_intercept: bool = True
    threads: int | None = None
    objective: FitObjective = SQUARES
    max_correlation: float = 1.0

    def __post_init__(self) -> None:
        limits = {"dim": 6, "n_residual": 1000, "n_models": 1000}
        for name, largest in limits.items():
            _check_number(name, getattr(self, name), largest)
        for value in self.n_sis if isinstance(self.n_sis, tuple) else (self.n_sis,):
            _check_number("n_sis", value, 10_000_000)
        if isinstance(self.n_sis, tuple) and len(self.n_sis) < self.dim:
            needed = f"needs one number, or one for each of {self.dim} dimensions"
            raise SettingsError(f"n_sis: {needed}, found {len(self.n_sis)}")
        if self.n_scored < 0:
            raise SettingsError(f"n_scored: needs a number >= 0, found {self.n_scored!r}")
        if not (isinstance(self.max_correlation, int | float | np.number) and 0 < self.max_correlation <= 1):
            raise SettingsError(f"max_correlation: needs a number above 0, at most 1, found {self.max_correlation!r}")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"threads: needs a number >= 1, found {self.threads!r}")

    @property
    def n_threads(self) -> int:
        return self.threads or usable_cores()


def _check_number(name: str, value: Any, largest: int) -> None:
    if not (isinstance(value, int | np.integer) and 1 <= value <= largest):
        raise SettingsError(f"{name}: needs an integer from 1 to {largest}, found {value!r}")


def space_settings(parameters: Mapping[str, Any]) -> SpaceSettings:
    """The settings of the feature space among the parameters of an estimator.

    Raises
    ------
    SettingsError
        One is out of range or of another kind, or more rungs have operators than there are.
    """
    given = DEFAULT_OPERATORS if parameters["operators"] is None else several("operators", parameters["operators"])
    operators: OperatorNames = tuple(names if isinstance(names, str) else tuple(names) for names in given)
    n_rungs = 0 if all(isinstance(names, str) for names in operators) else len(operators)
    if n_rungs and n_rungs > (rung := parameters["rung"]):
        raise SettingsError(f"operators: needs operators of all rungs, or of each of {rung}, found those of {n_rungs}")
    names = ("rung", "max_complexity", "max_features", "min_abs", "max_abs", "unit_rules")
    return SpaceSettings(
        operators=operators,
        param_operators=several("param_operators", parameters.get("param_operators", ())),
        logarithms=parameters.get("regression") == "log",
        **{name: parameters[name] for name in names},
    )


def search_settings(
    parameters: Mapping[str, Any], n_models: int, n_scored: int = 0, *, objective: FitObjective = SQUARES
) -> SearchSettings:
    """The settings of the search among the parameters of an estimator."""
    n_sis: int | tuple[int, ...] = parameters["n_sis"]
    if isinstance(n_sis, Sequence):
        n_sis = tuple(n_sis)
        if len(n_sis) > parameters["dim"]:
            needed = f"needs one number, or one for each of {parameters['dim']} dimensions"
            raise SettingsError(f"n_sis: {needed}, found {len(n_sis)}")
    names = ("dim", "n_residual", "fit_intercept", "threads")
    others = {name: parameters[name] for name in names} | {"max_correlation": parameters.get("max_correlation", 1.0)}
    return SearchSettings(n_models=n_models, n_scored=n_scored, n_sis=n_sis, objective=objective, **others)


def models_of_file(
    records: Sequence[ModelRecord],
    place: str,
    units: Mapping[str, str],
    space: SpaceSettings,
    search: SearchSettings,
    n_given: int = 0,
) -> list[SISSOModel]:
    """Models that a file holds, each one that a search with these settings can find.

    Parameters
    ----------
    records : sequence of ModelRecord
    place : str
        Where they stand in the file.
    units : mapping of str to str
        Unit of each primary feature.
    space : SpaceSettings
    search : SearchSettings
    n_given : int
        Terms that may stand beside those that were searched for.

    Raises
    ------
    ModelFileError
        A tree is no formula of these primary features, or the settings do not allow it; the message says which.
    """
    models = []
    for number, record in enumerate(records):
        with inside(f"{place}.{number}"):
            model = SISSOModel.from_json(record, units, rules=space.rules)
            if model.is_product != space.logarithms:
                needed, told = ("product", "sum") if space.logarithms else ("sum", "product")
                raise ModelFileError(f"form: needs {needed} as the settings say, found {told}")
            _check_settings(model, space, search, search.dim + n_given)
        models.append(model)
    return models


def _check_settings(model: SISSOModel, space: SpaceSettings, search: SearchSettings, most: int) -> None:
    if model.dimension > most:
        raise ModelFileError(f"terms: needs at most {most} as the settings say, found {model.dimension}")
    if model.intercept != 0.0 and not search.fit_intercept:
        raise ModelFileError(f"intercept: needs 0 as the settings say, found {model.intercept!r}")
    for number, term in enumerate(model.terms):
        expression, place = term.expression, f"terms.{number}.tree"
        if expression.rung > space.rung:
            raise ModelFileError(
                f"{place}: needs a rung of at most {space.rung} as the settings say, found {expression.rung}"
            )
        if space.max_complexity is not None and expression.complexity > space.max_complexity:
            largest, operators = space.max_complexity, expression.complexity
            raise ModelFileError(f"{place}: needs at most {largest} operators as the settings say, found {operators}")
        plain = {part.name for part in expression.parts() if not part.is_primary and part.parameters is None}
        own = {part.name for part in expression.parts() if part.parameters is not None}
        others = sorted((plain - names_of(space.operators)) | (own - {*space.param_operators}))
        if others:
            raise ModelFileError(f"{place}: needs operators of the settings, found '{others[0]}'")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table laid out for a search, in an order of rows and columns that depends on their content alone.

    Attributes
    ----------
    space : FeatureSpace
        The features, rung by rung.
    order : ndarray (n_samples,) of int
        Numbers of the samples of positive weight, in canonical order; problems are given in it.
    target, weights : ndarray (n_samples,)
        In that order.
    groups : ndarray (n_samples,) of int
        In that order; samples with the same number are one material.
    target_name : str
    names : tuple of str
        The primary features, sorted.
    n_constant : int
        Primary features that do not vary over the samples.
    settings : SearchSettings
    tasks : ndarray (n_samples,) of int, or None
        In that order; see `Problem`.
    """

    space: FeatureSpace
    order: np.ndarray
    target: np.ndarray
    weights: np.ndarray
    groups: np.ndarray
    target_name: str
    names: tuple[str, ...]
    n_constant: int
    settings: SearchSettings
    tasks: np.ndarray | None = None

    @property
    def size(self) -> SearchSize:
        """How much is looked for; no more features are screened than there are."""
        settings, given = self.settings, self.settings.n_sis
        most = self.space.n_features
        n_sis = tuple(min(number, most) for number in given) if isinstance(given, tuple) else min(given, most)
        wanted: dict[str, Any] = {"max_correlation": settings.max_correlation, "objective": settings.objective}
        wanted |= {"n_residual": settings.n_residual, "keep": settings.n_models, "n_scored": settings.n_scored}
        return SearchSize(dim=settings.dim, n_sis=n_sis, **wanted)

    def cost(self, problems: Sequence[Problem]) -> Cost:
        """What `solve` will take for these problems, by the workers of the moment; see `searching_with`."""
        return search_cost(self.space, problems, self.size, self.settings.n_threads, _workers.get())

    def plan(self, cost: Cost) -> None:
        """Say what workers would gain where a search with this space as its largest takes hours.

        Raises
        ------
        SettingsError
            It would take longer than a day, see `check_length`.
        """
        if line := check_length(self.space, cost, self.settings.n_threads, _workers.get()):
            logger.info("%s", line)


Screened = tuple[tuple[Expression, float], ...]
"""Features that one screening chose, with their scores, best first."""


@dataclass(frozen=True, eq=False)
class Solved:
    """The models of a search.

    Attributes
    ----------
    models : list of list of list of SISSOModel
        ``models[p][d - 1]``: the models of dimension d of problem p, best first.
    order : ndarray (n_samples,)
        As in `Prepared`.
    counts : SearchCounts
    beliefs : list of Credence
        Of each problem; empty where no scores were asked for.
    subspaces : callable
        Of the number of a problem: its screened features of each dimension, see `Screened`.
    """

    models: list[list[list[SISSOModel]]]
    order: np.ndarray
    counts: SearchCounts
    beliefs: list[Credence]
    subspaces: Callable[[int], tuple[Screened, ...]]


def prepare(table: TrainingTable, space: SpaceSettings, settings: SearchSettings) -> Prepared:
    """Lay out the features of a table on its samples of positive weight.

    Raises
    ------
    FitError
        Fewer samples than coefficients need, or a target without variation.
    SettingsError
        The space is too large.
    """
    X, y, weights = table.X, table.y, table.weights
    columns = sorted(range(len(table.names)), key=lambda i: table.names[i])
    present = np.flatnonzero(weights > 0)
    ordered = np.ascontiguousarray(X[present][:, columns].T, dtype=np.float64)
    tasks = table.task_numbers
    content = ordered if tasks is None else np.vstack([ordered, tasks[present]])
    order = present[canonical_order(content, y[present], weights[present], table.groups[present])]
    _check(y[order], settings, space)
    values = np.ascontiguousarray(X[order][:, columns].T, dtype=np.float64)
    names = tuple(table.names[i] for i in columns)
    features = FeatureSpace(names, [table.units[i] for i in columns], values, space)
    n_constant = _count_constant(values)
    groups = consecutive(table.groups[order])
    own = None if tasks is None else tasks[order]
    return Prepared(features, order, y[order], weights[order], groups, table.target, names, n_constant, settings, own)


def solve(prepared: Prepared, problems: Sequence[Problem], progress: Progress | None = None) -> Solved:
    """Models for one or many problems on a prepared table.

    Parameters
    ----------
    prepared : Prepared
    problems : sequence of Problem
        Targets and weights in its order of samples, allowed primary features in its order of names.
    progress : callable, optional
        Called with (done, total).

    Raises
    ------
    FitError
        There is no usable feature.
    """
    space, settings = prepared.space, prepared.settings
    outcomes, counts = searched(prepared, problems, progress)
    formula = cache(space.expression)  # many problems share theirs
    models = [_models(prepared, formula, problem, outcome) for problem, outcome in zip(problems, outcomes, strict=True)]
    beliefs = []
    if settings.n_scored:
        beliefs = [
            believe(space, formula, problem, outcome, prepared.groups)
            for problem, outcome in zip(problems, outcomes, strict=True)
        ]
    return Solved(models, prepared.order, counts, beliefs, lambda number: screened_features(outcomes[number], formula))


def searched(
    prepared: Prepared, problems: Sequence[Problem], progress: Progress | None = None
) -> tuple[list[SubspaceFits], SearchCounts]:
    """What the engine finds for problems as in `solve`, and what it went through."""
    settings = prepared.settings
    options = {"centre": settings.fit_intercept, "threads": settings.n_threads, "progress": progress}
    outcomes, causes = search(prepared.space, problems, prepared.size, workers=_workers.get(), **options)
    n_constant = prepared.n_constant if settings.fit_intercept else 0
    sizes, rejected = feature_counts(prepared.space, causes, n_constant)
    n_singular = sum(outcome.n_singular for outcome in outcomes)
    is_complete = all(outcome.is_complete for outcome in outcomes)
    return outcomes, SearchCounts(len(prepared.order), sizes, rejected, n_singular, is_complete)


def screened_features(outcome: SubspaceFits, formula: Callable[[int, int, int], Expression]) -> tuple[Screened, ...]:
    """The screened features of each dimension that was done."""
    every, ends = outcome.subspace, [0, *accumulate(outcome.sizes)]
    return tuple(
        tuple((formula(*every.triple(number)), float(every.score[number])) for number in range(start, stop))
        for start, stop in pairwise(ends)
    )


def _count_constant(values: np.ndarray) -> int:
    """Number of primary features that say no more than the intercept."""
    return int((values.std(axis=1) <= SAME_VALUE * np.abs(values).max(axis=1)).sum())


def labels_needed(dim: int, fit_intercept: bool, has_parameters: bool = False) -> int:
    """Labels that a fit of `dim` terms needs: one for each coefficient, scale and shift, and one more.

    Examples
    --------
    >>> labels_needed(2, True), labels_needed(2, True, has_parameters=True)
    (4, 8)
    """
    return (3 * dim if has_parameters else dim) + (2 if fit_intercept else 1)


def _check(y: np.ndarray, settings: SearchSettings, space: SpaceSettings) -> None:
    needed = labels_needed(settings.dim, settings.fit_intercept, bool(space.param_operators))
    if len(y) < needed:
        noun = "sample" if len(y) == 1 else "samples"
        wanted = f"dim {settings.dim}{' with fitted scales and shifts' if space.param_operators else ''}"
        raise FitError(f"fit: needs at least {needed} labelled samples for {wanted}, found {len(y)} {noun}")
    if np.ptp(y) == 0.0:
        raise FitError(f"fit: needs a target that varies, found {y[0]:g} on every sample")


def _models(
    prepared: Prepared, formula: Callable[[int, int, int], Expression], problem: Problem, outcome: SubspaceFits
) -> list[list[SISSOModel]]:
    """Models of each dimension; `formula` is `FeatureSpace.expression`."""
    best = [fits[: prepared.settings.n_models] for fits in outcome.fits]
    formulas, values = used_formulas(prepared.space, formula, outcome, best)
    error = partial(error_of, problem, prepared.size.objective)
    told = [without_repeats(fits, formulas, problem.target, error) for fits in best]
    return [[build_model(formulas, values, fit, problem.weights) for fit in fits] for fits in told]


def used_formulas(
    space: FeatureSpace,
    formula: Callable[[int, int, int], Expression],
    outcome: SubspaceFits,
    best: Sequence[Sequence[Fit]],
) -> tuple[dict[int, Expression], dict[int, np.ndarray]]:
    """The features of some fits, by their numbers in the subspace: formulas, and values (n_samples,).

    Raises
    ------
    FitError
        There are no fits.
    """
    used = sorted({number for fits in best for fit in fits for number in fit.subset})
    if not used:
        raise FitError("fit: needs at least one usable feature, found none (bounds, units and domains left nothing)")
    chosen = outcome.subspace.take(np.array(used))
    formulas = {number: formula(*chosen.triple(place)) for place, number in enumerate(used)}
    return formulas, dict(zip(used, chosen.values(space), strict=True))
