"""The members of an ensemble: bootstrap samples times dropout of primary features, all searched for in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.errors import FitError
from sisso_sal.models.bootstrap import draw_allowed, draw_counts
from sisso_sal.models.fitting import Fitted, fit_problems
from sisso_sal.models.linear import REACH, SISSOModel
from sisso_sal.models.regressor import SISSOBase
from sisso_sal.models.robust import huber_weights, weighted_median
from sisso_sal.models.transform import TargetTransform

N_ROUNDS = 2
"""Times that a robust fit is repeated with new weights."""


@dataclass(frozen=True, eq=False)
class Draw:
    """What the members of one ensemble are drawn from: the samples that may be seen (n_samples,), and the dropout."""

    seen: np.ndarray
    dropout: float


@dataclass(frozen=True, eq=False)
class Stage:
    """What the search of one rung gave: its models, and what each problem was."""

    rung: int
    fitted: Fitted
    problems: list[Problem]
    links: list[TargetTransform]


class MemberSearch(SISSOBase):
    """The part of an ensemble that finds its members."""

    members: int
    dropout: float
    adapt: bool
    target_transform: str
    loss: str
    random_state: int

    def _search(self, X, y, weights, draws: Sequence[Draw], progress) -> list[Stage]:
        """The members of an ensemble for each draw, all in one pass per rung and dimension.

        Problem ``k * members + m`` is member m of draw k.
        """
        rungs = list(range(1, self.rung + 1)) if self.adapt and self.rung > 1 else [self.rung]
        stages: list[Stage] = []
        for number, rung in enumerate(rungs):
            problems: list[Problem] = []
            links: list[TargetTransform] = []

            def draw(order, target, weights, names, problems=problems, links=links):
                for one in draws:
                    seen = np.where(one.seen[order], weights, 0.0)
                    link = TargetTransform.fit(self.target_transform, target[seen > 0])
                    transformed = np.where(seen > 0, link.forward(np.where(seen > 0, target, target[seen > 0][0])), 0.0)
                    problems.extend(self._draw(transformed, seen, len(names), one.dropout))
                    links.extend([link] * self.members)
                return [_about_the_median(problem) for problem in problems] if self.loss == "huber" else problems

            part = None if progress is None else _part(progress, number, len(rungs))
            stages.append(Stage(rung, self._fitted(rung, X, y, weights, draw, part), problems, links))
            if not stages[-1].fitted.is_complete:
                break
        if self.loss == "huber":
            stages = [self._robust(stage, X, y, weights) for stage in stages]
        return stages

    def _fitted(self, rung: int, X, y, weights, draw, progress) -> Fitted:
        space = self._space_settings(rung)
        return fit_problems(self.primaries_, self.units_, X, y, weights, draw, space, self._search_settings(), progress)

    def _robust(self, stage: Stage, X, y, weights) -> Stage:
        """The same with labels weighted by Huber's function of each member's own residuals, a few times over."""
        columns = self._by_name(X)
        first, fitted = stage.problems, stage.fitted
        for _ in range(N_ROUNDS if fitted.is_complete else 0):
            problems = []
            for problem, models in zip(first, fitted.models, strict=True):
                model = next(m[0] for m in reversed(models) if m)
                residual = problem.target - model.predict(columns)[0][fitted.order]
                problems.append(Problem(problem.target, huber_weights(residual, problem.weights), problem.allowed))
            fitted = self._fitted(stage.rung, X, y, weights, lambda *_, drawn=problems: drawn, None)
        return Stage(stage.rung, fitted, first, stage.links)

    def _draw(self, target: np.ndarray, weights: np.ndarray, n_primary: int, dropout: float) -> list[Problem]:
        """Weights and allowed primaries of each member, in canonical order of rows and columns."""
        present = np.flatnonzero(weights > 0)
        if np.ptp(target[present]) == 0.0:
            raise FitError(
                f"fit: needs a target that varies over the samples that are seen, found {len(present)} alike"
            )
        needed = min(self.dim + (2 if self.fit_intercept else 1), len(present))
        problems = []
        for stream in np.random.SeedSequence(self.random_state).spawn(self.members):
            rng = np.random.default_rng(stream)
            drawn = draw_counts(len(present), rng)
            while np.count_nonzero(drawn) < needed or np.ptp(target[present][drawn > 0]) == 0.0:
                drawn = draw_counts(len(present), rng)
            counts = np.zeros(len(target))
            counts[present] = drawn
            problems.append(Problem(target, counts * weights, draw_allowed(n_primary, dropout, rng)))
        return problems

    def _by_name(self, X) -> dict[str, np.ndarray]:
        return dict(zip(self.primaries_, np.ascontiguousarray(X.T), strict=True))


def _about_the_median(problem: Problem) -> Problem:
    """With Huber's weights of what the target's median misses: the first search knows no better, and one label must not lead it."""
    residual = problem.target - weighted_median(problem.target, problem.weights)
    return Problem(problem.target, huber_weights(residual, problem.weights), problem.allowed)


def _part(progress, number: int, parts: int):
    """Progress of one of several searches; the last one, the largest, takes nearly all the time."""
    last = number == parts - 1
    return (lambda done, total: progress(done, total)) if last else (lambda done, total: progress(0, max(total, 1)))


def by_dimension(stage: Stage, part: slice, columns, y, dims: Sequence[int]):
    """Members of each number of terms, as far as there are any."""
    found, order = stage.fitted.models[part], stage.fitted.order
    largest = max(len(models) for models in found)
    ordered = {name: values[order] for name, values in columns.items()}
    for dim in sorted({min(dim, largest) for dim in dims}):
        members = [next(m[0] for m in reversed(models[:dim]) if m) for models in found]
        yield (
            dim,
            [
                member.linked(link, ordered, y[order], problem.weights)
                for member, link, problem in zip(members, stage.links[part], stage.problems[part], strict=True)
            ],
        )


def evaluated(members: Sequence[SISSOModel], columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, validity and reach of each member: ndarray (n_members, n) each."""
    found = [member.predict_with_reach(columns) for member in members]
    values, outside = np.array([v for v, _ in found]), np.array([o for _, o in found])
    return values, (outside <= REACH) & np.isfinite(values), outside
