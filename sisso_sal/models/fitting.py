"""From a checked feature matrix to SISSO models: the part that the single model and the ensemble share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sisso_sal.engine.plan import Plan, SearchSize, fits, plan
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.search import SubspaceFits, search
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.features.stored import SAME_VALUE
from sisso_sal.models.linear import SISSOModel, build_model
from sisso_sal.system.machine import usable_cores, usable_memory

Progress = Callable[[int, int], None]

LONG = 5.0
"""Seconds from which on a search says beforehand what it will take."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How models are looked for.

    Parameters
    ----------
    dim : int
        Largest number of descriptors; 1 to 6.
    n_sis : int
        Features added to the subspace per dimension.
    n_residual : int
        Number of best models whose residuals the next screening sees.
    n_models : int
        Models made of each dimension.
    fit_intercept : bool
    threads : int or None
        None for all cores that the process may use.
    """

    dim: int = 2
    n_sis: int = 50
    n_residual: int = 5
    n_models: int = 10
    fit_intercept: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        limits = {"dim": 6, "n_sis": 100_000, "n_residual": 1000, "n_models": 1000}
        for name, largest in limits.items():
            value = getattr(self, name)
            if not (isinstance(value, int | np.integer) and 1 <= value <= largest):
                raise SettingsError(f"{name}: needs an integer from 1 to {largest}, found {value!r}")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"threads: needs a number >= 1, found {self.threads!r}")

    @property
    def n_threads(self) -> int:
        return self.threads or usable_cores()


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a search over one table gave.

    Attributes
    ----------
    models : list of list of list of SISSOModel
        ``models[p][d - 1]``: the models of dimension d of problem p, best first.
    n_features : dict of str to int
        Features of each rung.
    rejected : dict of str to dict of str to int
        Per rung the features left out, by cause.
    n_subsets, n_singular : int
        Subsets seen by L0, and singular ones among them.
    order : ndarray (n_samples,)
        Canonical order of the samples; problems are given in it.
    is_complete : bool
        False if Ctrl-C came before all dimensions were done.
    """

    models: list[list[list[SISSOModel]]]
    n_features: dict[str, int]
    rejected: dict[str, dict[str, int]]
    n_subsets: int
    n_singular: int
    order: np.ndarray
    is_complete: bool


def canonical_order(columns: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Row order that depends on the content alone: by target, then by the features in turn, then by weight.

    Sums run in this order, so that a shuffled table gives the same bits.

    Examples
    --------
    >>> canonical_order(np.array([[3.0, 1.0, 2.0]]), np.array([0.5, 0.5, 0.1]), np.ones(3))
    array([2, 1, 0])
    """
    return np.lexsort((weights, *columns[::-1], target))


def fit_problems(
    names: Sequence[str],
    units: Sequence[str],
    X: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    make_problems: Callable[[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]], list[Problem]],
    space_settings: SpaceSettings,
    settings: SearchSettings,
    progress: Progress | None = None,
) -> Fitted:
    """Models for one or many problems on one table, in an order of rows and columns that depends on their content alone.

    Parameters
    ----------
    names, units : sequence of str
        Primary features.
    X : ndarray (n_samples, n_primary)
    y, weights : ndarray (n_samples,)
        Targets and sample weights; samples of weight zero are left out.
    make_problems : callable
        Called with the canonical order of the samples, target and weights in that order, and the feature names in theirs; gives
        the problems.
    space_settings, settings
        See `SpaceSettings`, `SearchSettings`.
    progress : callable, optional
        Called with (done, total).

    Raises
    ------
    FitError
        Fewer samples than coefficients need, or a target without variation.
    SettingsError
        The space or the subspace is too large.
    """
    columns = sorted(range(len(names)), key=lambda i: names[i])
    present = np.flatnonzero(weights > 0)
    ordered = np.ascontiguousarray(X[present][:, columns].T, dtype=np.float64)
    order = present[canonical_order(ordered, y[present], weights[present])]
    _check(y[order], settings)
    values = np.ascontiguousarray(X[order][:, columns].T, dtype=np.float64)
    ordered_names = tuple(names[i] for i in columns)
    space = FeatureSpace(ordered_names, [units[i] for i in columns], values, space_settings)
    problems = make_problems(order, y[order], weights[order], ordered_names)
    size = SearchSize(dim=settings.dim, n_sis=settings.n_sis, n_residual=settings.n_residual, keep=settings.n_models)
    _tell_plan(plan(space, problems, size, settings.n_threads))
    outcomes, causes = search(
        space, problems, size, centre=settings.fit_intercept, threads=settings.n_threads, progress=progress
    )
    n_models = settings.n_models
    models = [_models(space, problem, outcome, n_models) for problem, outcome in zip(problems, outcomes, strict=True)]
    sizes = {str(rung): size for rung, size in enumerate(space.sizes)}
    rejected = {str(rung): dict(counts) for rung, counts in enumerate(space.rejected)}
    if space_settings.rung:
        last = str(space_settings.rung)
        sizes[last] -= causes.total()
        for cause, number in causes.items():
            rejected[last][cause] = rejected[last].get(cause, 0) + number
    if settings.fit_intercept and (constant := _count_constant(values)):
        sizes["0"] -= constant
        rejected["0"]["constant"] = constant
    rejected = {rung: {cause: n for cause, n in sorted(counts.items()) if n} for rung, counts in rejected.items()}
    subsets, singular = (sum(getattr(o, name) for o in outcomes) for name in ("n_subsets", "n_singular"))
    return Fitted(models, sizes, rejected, subsets, singular, order, all(outcome.is_complete for outcome in outcomes))


def _tell_plan(planned: Plan) -> None:
    if not fits(planned):
        raise SettingsError(
            f"subspace: needs {planned.n_bytes / 2**30:.1f} GiB, found {usable_memory() / 2**30:.1f} GiB free; "
            "try a smaller --n-sis or --dim"
        )
    logger.log(logging.INFO if planned.seconds > LONG else logging.DEBUG, "%s", planned)


def _count_constant(values: np.ndarray) -> int:
    """Number of primary features that say no more than the intercept."""
    return int((values.std(axis=1) <= SAME_VALUE * np.abs(values).max(axis=1)).sum())


def _check(y: np.ndarray, settings: SearchSettings) -> None:
    needed = settings.dim + (2 if settings.fit_intercept else 1)
    if len(y) < needed:
        noun = "sample" if len(y) == 1 else "samples"
        raise FitError(f"fit: needs at least {needed} labelled samples for dim {settings.dim}, found {len(y)} {noun}")
    if np.ptp(y) == 0.0:
        raise FitError(f"fit: needs a target that varies, found {y[0]:g} on every sample")


def _models(space: FeatureSpace, problem: Problem, outcome: SubspaceFits, n_models: int) -> list[list[SISSOModel]]:
    subspace, best = outcome.subspace, [fits[:n_models] for fits in outcome.fits]
    used = sorted({number for fits in best for fit in fits for number in fit.subset})
    if not used:
        raise FitError("fit: needs at least one usable feature, found none (bounds, units and domains left nothing)")
    formulas = {
        i: space.expression(int(subspace.opcode[i]), int(subspace.left[i]), int(subspace.right[i])) for i in used
    }
    values = subspace.values(space)
    return [[build_model(formulas, values, fit, problem.weights) for fit in fits] for fits in best]
