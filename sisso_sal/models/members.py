"""The members of an ensemble: bootstrap samples times dropout of primary features, all searched for in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.errors import FitError
from sisso_sal.models.baseline import Baseline, Form, forms_of, low_names, rests
from sisso_sal.models.bootstrap import draw_allowed, draw_counts, leave_each_out
from sisso_sal.models.fitting import Prepared, Solved, prepare, solve
from sisso_sal.models.groups import consecutive
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.lines import line_alone, on_baseline
from sisso_sal.models.magnitudes import check_labels
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.models.robust import huber_weights, weighted_median
from sisso_sal.models.transform import TargetTransform
from sisso_sal.protocols import Cost, Progress
from sisso_sal.system.costs import announce

N_ROUNDS = 2
"""Times that a robust fit is repeated with new weights."""


@dataclass(frozen=True, eq=False)
class Draw:
    """What the members of one ensemble are drawn from: the samples that may be seen (n_samples,), and the dropout."""

    seen: np.ndarray
    dropout: float


@dataclass(frozen=True, eq=False)
class Stage:
    """What the search of one rung gave.

    Attributes
    ----------
    rung : int
    solved : Solved
        The models.
    problems : list of Problem
        What each member was drawn to explain, before a robust loss changes its weights.
    links : list of TargetTransform
        Of each problem.
    forms : tuple of Form
        What each draw was searched for.
    baselines : list of Baseline or None
        Of each problem: what its target is the rest of; None for ``feature``, and where nothing is left to explain.
    members : int
    """

    rung: int
    solved: Solved
    problems: list[Problem]
    links: list[TargetTransform]
    forms: tuple[Form, ...]
    baselines: list[Baseline | None]
    members: int

    def part(self, draw: int, form: int = 0) -> slice:
        """The problems that are the members of a draw, for one of the forms."""
        first = (draw * len(self.forms) + form) * self.members
        return slice(first, first + self.members)


class Drawn(NamedTuple):
    """What is searched for: `problems`, and of each the transform of its target (`links`) and its `baselines`."""

    problems: list[Problem]
    links: list[TargetTransform]
    baselines: list[Baseline | None]


def search_members(
    recipe: EnsembleRecipe,
    table: TrainingTable,
    draws: Sequence[Draw],
    progress: Progress | None = None,
    later: Sequence[Cost] = (),
    tell: Callable[[Sequence[Cost]], None] = announce,
) -> list[Stage]:
    """The members of an ensemble for each draw, all in one pass per rung and dimension.

    Which problems are members of which draw says `Stage.part`. The last stage is not complete if Ctrl-C ended it. What all of it
    will take, and what follows (`later`), is announced before it begins; by `tell`, where this search is one of several.

    Raises
    ------
    FitError, SettingsError
        See `prepare`, `solve` and `announce`; also a target that does not vary over what a draw may see, or has no transform.
    """
    rungs = [prepare(table, recipe.space_of(rung), recipe.search) for rung in recipe.rungs]
    forms = forms_of(table, recipe.low, recipe.target_transform)
    drawn = [draw_problems(recipe, prepared, draws, table, forms) for prepared in rungs]
    searches = [prepared.cost(own.problems) for prepared, own in zip(rungs, drawn, strict=True)]
    n_fits = 1 + N_ROUNDS if recipe.loss == "huber" else 1
    seconds, shared = (
        n_fits * sum(times) for times in zip(*((cost.seconds, cost.shared) for cost in searches), strict=True)
    )
    whole = replace(searches[-1], seconds=seconds, shared=shared, n_bytes=max(cost.n_bytes for cost in searches))
    rungs[-1].plan(whole)
    tell([whole, *later])
    stages: list[Stage] = []
    for prepared, (problems, links, baselines) in zip(rungs, drawn, strict=True):
        is_robust = recipe.loss == "huber"
        first = [_about_the_median(problem) for problem in problems] if is_robust else problems
        solved = solve(prepared, first, _part(progress, len(stages), len(rungs)))
        if is_robust:
            solved = _reweighted(table, prepared, problems, solved)
        rung = prepared.space.settings.rung
        stages.append(Stage(rung, solved, problems, links, forms, baselines, recipe.members))
        if not solved.counts.is_complete:
            break
    return stages


def draw_problems(
    recipe: EnsembleRecipe, prepared: Prepared, draws: Sequence[Draw], table: TrainingTable, forms: Sequence[Form]
) -> Drawn:
    """What each member of each draw is to explain, for each of the forms."""
    drawn = Drawn([], [], [])
    target, columns = prepared.target, table.columns(prepared.order)
    low = np.isin(np.array(prepared.names), low_names(recipe.low, table.names))
    for draw in draws:
        weights = np.where(draw.seen[prepared.order], prepared.weights, 0.0)
        seen = weights > 0
        link = TargetTransform.fit(recipe.target_transform, target[seen])
        check_labels(prepared.target_name, link.forward(target[seen]))
        transformed = np.where(seen, link.forward(np.where(seen, target, target[seen][0])), 0.0)
        groups = table.groups[prepared.order]
        problems = draw_members(recipe, transformed, weights, len(prepared.names), draw.dropout, groups)
        problems = [replace(problem, allowed=problem.allowed | low) for problem in problems] if low.any() else problems
        for form in forms:
            own, baselines = rests(form, problems, columns, recipe.search.fit_intercept)
            drawn.problems.extend(own)
            drawn.baselines.extend(baselines)
            drawn.links.extend([link] * recipe.members)
    return drawn


def draw_members(
    recipe: EnsembleRecipe,
    target: np.ndarray,
    weights: np.ndarray,
    n_primary: int,
    dropout: float,
    groups: np.ndarray,
) -> list[Problem]:
    """Weights and allowed primary features of each member, each from a random stream of its own.

    Materials are drawn: all samples of one are drawn as often as it is. None is in the samples of all members (`leave_each_out`).

    Parameters
    ----------
    recipe : EnsembleRecipe
    target, weights : ndarray (n_samples,)
        In canonical order; samples of weight zero are not drawn.
    n_primary : int
    dropout : float
    groups : ndarray (n_samples,) of int
        Samples with the same number are one material.

    Raises
    ------
    FitError
        The target does not vary over the samples of positive weight.
    """
    present = np.flatnonzero(weights > 0)
    if np.ptp(target[present]) == 0.0:
        raise FitError(f"fit: needs a target that varies over the samples that are seen, found {len(present)} alike")
    material = consecutive(groups[present])
    n_materials = int(material.max()) + 1
    needed = min(recipe.search.dim + (2 if recipe.search.fit_intercept else 1), len(present))

    def is_enough(drawn: np.ndarray) -> bool:
        # The features of a single material need not vary.
        several = np.count_nonzero(drawn) >= min(n_materials, 2)
        rows = drawn[material] > 0
        return bool(several and np.count_nonzero(rows) >= needed and float(np.ptp(target[present][rows])) > 0.0)

    samples, allowed = [], []
    for stream in np.random.SeedSequence(recipe.seed).spawn(recipe.members):
        rng = np.random.default_rng(stream)
        drawn = draw_counts(n_materials, rng)
        while not is_enough(drawn):
            drawn = draw_counts(n_materials, rng)
        samples.append(drawn)
        allowed.append(draw_allowed(n_primary, dropout, rng))
    problems = []
    for drawn, features in zip(leave_each_out(np.array(samples), is_enough, recipe.seed), allowed, strict=True):
        counts = np.zeros(len(target))
        counts[present] = drawn[material]
        problems.append(Problem(target, counts * weights, features))
    return problems


def _about_the_median(problem: Problem) -> Problem:
    """With Huber's weights of the distances from the median of the target: so one label cannot lead the first search."""
    residual = problem.target - weighted_median(problem.target, problem.weights)
    return Problem(problem.target, huber_weights(residual, problem.weights), problem.allowed)


def _reweighted(table: TrainingTable, prepared: Prepared, problems: Sequence[Problem], solved: Solved) -> Solved:
    """The same with labels weighted by Huber's function of each member's own residuals, a few times over."""
    columns = table.columns()
    for _ in range(N_ROUNDS):
        if not solved.counts.is_complete:
            break
        reweighted = []
        for problem, models in zip(problems, solved.models, strict=True):
            residual = problem.target - _last(models).predict(columns)[0][prepared.order]
            reweighted.append(Problem(problem.target, huber_weights(residual, problem.weights), problem.allowed))
        solved = solve(prepared, reweighted)
    return solved


def _last(models: Sequence[Sequence[SISSOModel]]) -> SISSOModel:
    """The best model of the largest dimension that there is."""
    return next(best[0] for best in reversed(models) if best)


def _part(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """Progress of one of several searches; the last one, the largest, takes nearly all the time."""
    if progress is None:
        return None
    last = number == parts - 1
    return (lambda done, total: progress(done, total)) if last else (lambda done, total: progress(0, max(total, 1)))


def by_dimension(
    stage: Stage, part: slice, table: TrainingTable, dims: Sequence[int]
) -> Iterator[tuple[int, tuple[SISSOModel, ...]]]:
    """Members of each number of terms, as far as there are any; a low column that they are the rest of comes on top.

    Parameters
    ----------
    stage : Stage
    part : slice
        The problems that are members of this ensemble.
    table : TrainingTable
    dims : sequence of int
    """
    of_members, order = stage.solved.models[part], stage.solved.order
    largest = max(len(models) for models in of_members)
    columns, target = table.columns(order), table.y[order]
    for dim in sorted({min(dim, largest) for dim in dims}):
        members = [_last(models[:dim]) for models in of_members]
        linked = [
            member.linked(link, columns, target, problem.weights)
            for member, link, problem in zip(members, stage.links[part], stage.problems[part], strict=True)
        ]
        each = zip(linked, stage.baselines[part], stage.problems[part], strict=True)
        yield dim, tuple(on_baseline(member, baseline, table, columns, own.weights) for member, baseline, own in each)


def lines_alone(
    stage: Stage, draw: int, form: Form, table: TrainingTable, fit_intercept: bool
) -> tuple[SISSOModel, ...]:
    """Members of a draw without any formula: the number with or without an intercept, or a line.

    Parameters
    ----------
    stage : Stage
    draw : int
    form : Form
        ``difference``: the number and the mean of what it leaves; ``line``.
    table : TrainingTable
    fit_intercept : bool
        Without it the number stands as it is, and the line goes through the origin.
    """
    order = stage.solved.order
    columns, target = table.columns(order), table.y[order]
    each = [problem.weights for problem in stage.problems[stage.part(draw)]]
    return tuple(line_alone(form, table, columns, target, weights, fit_intercept) for weights in each)
