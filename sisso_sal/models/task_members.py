"""The members of an ensemble for several tasks: bootstrap samples times dropout, each a search for one descriptor of all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.errors import FitError
from sisso_sal.models.bootstrap import draw_allowed, draw_counts, leave_each_out
from sisso_sal.models.fitting import Prepared, labels_needed, prepare
from sisso_sal.models.groups import consecutive
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.models.task_model import TaskModel, solve_tasks
from sisso_sal.models.task_trade_off import kinds_of_materials
from sisso_sal.protocols import Cost, Progress
from sisso_sal.system.costs import announce

MOST_DRAWS = 10_000
"""Times that materials of a kind are drawn until each task has enough of them."""


@dataclass(frozen=True, eq=False)
class TaskStage:
    """What the search of one rung gave.

    Attributes
    ----------
    rung : int
    prepared : Prepared
    problems : list of Problem
        One for each member.
    models : list of list of TaskModel
        ``models[m][d - 1]``: the best model of dimension d of member m; shorter where there are none.
    counts : SearchCounts
    """

    rung: int
    prepared: Prepared
    problems: list[Problem]
    models: list[list[TaskModel]]
    counts: SearchCounts

    def members(self, dim: int) -> list[TaskModel]:
        """Of each member the model of so many terms, or of the most that it has below."""
        return [models[min(dim, len(models)) - 1] for models in self.models]


def search_task_members(
    recipe: EnsembleRecipe,
    table: TrainingTable,
    progress: Progress | None = None,
    later: Sequence[Cost] = (),
) -> list[TaskStage]:
    """The members of an ensemble, all in one pass per rung and dimension; the last stage is not complete after Ctrl-C.

    Parameters
    ----------
    recipe : EnsembleRecipe
        Whose search has an objective for tasks.
    table : TrainingTable
        With tasks.
    progress : callable, optional
        Called with (features done, features in all).
    later : sequence of Cost
        What follows, announced with the search.

    Raises
    ------
    FitError, SettingsError
        See `prepare`, `solve_tasks` and `draw_task_members`.
    """
    rungs = [prepare(table, recipe.space_of(rung), recipe.search) for rung in recipe.rungs]
    drawn = [draw_task_members(recipe, prepared, table.task_names) for prepared in rungs]
    costs = [prepared.cost(problems) for prepared, problems in zip(rungs, drawn, strict=True)]
    rungs[-1].plan(costs[-1])
    announce([*costs, *later])
    stages: list[TaskStage] = []
    for prepared, problems in zip(rungs, drawn, strict=True):
        is_last = len(stages) == len(rungs) - 1  # the largest rung takes nearly all the time
        solved = solve_tasks(prepared, problems, table.task_names, progress if is_last else None)
        best = [[fits[0] for fits in each] for each in solved.models]
        stages.append(TaskStage(prepared.space.settings.rung, prepared, problems, best, solved.counts))
        if not solved.counts.is_complete:
            break
    return stages


def draw_task_members(recipe: EnsembleRecipe, prepared: Prepared, names: Sequence[str]) -> list[Problem]:
    """Weights and allowed primary features of each member, each from a random stream of its own.

    Materials are drawn, with all of their rows in all tasks. Those of the same tasks are drawn among each other, as many as there
    are of them: so a small task is as large in each member. A draw is repeated where a task has too few rows in it.

    Parameters
    ----------
    recipe : EnsembleRecipe
    prepared : Prepared
        Of a table with tasks.
    names : sequence of str
        Of the tasks.

    Raises
    ------
    FitError
        A task has too few materials, or labels that do not vary.
    """
    kinds = _Kinds.of(prepared, names)
    samples, allowed = [], []
    for stream in np.random.SeedSequence(recipe.seed).spawn(recipe.members):
        rng = np.random.default_rng(stream)
        samples.append(kinds.drawn(rng))
        allowed.append(draw_allowed(len(prepared.names), recipe.dropout, rng))
    every = leave_each_out(np.array(samples), lambda counts: not kinds.lacking(counts), recipe.seed)
    return [
        Problem(prepared.target, counts[kinds.material] * prepared.weights, features, prepared.tasks)
        for counts, features in zip(every, allowed, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Materials by the tasks that they have rows of.

    target (n_samples,); tasks, material (n_samples,): numbers; kind (n_materials,): of the tasks that a material has; tasks_of: of
    each kind; needed: rows of each task that a member needs; names: of the tasks.
    """

    target: np.ndarray
    tasks: np.ndarray
    material: np.ndarray
    kind: np.ndarray
    tasks_of: list[set[int]]
    needed: int
    names: Sequence[str]

    @classmethod
    def of(cls, prepared: Prepared, names: Sequence[str]) -> _Kinds:
        tasks, material = np.asarray(prepared.tasks), consecutive(prepared.groups)
        kind, has = kinds_of_materials(tasks, material)
        needed = labels_needed(prepared.settings.dim, prepared.settings.fit_intercept)
        tasks_of = [{*np.flatnonzero(row).tolist()} for row in has]
        kinds = cls(prepared.target, tasks, material, kind, tasks_of, needed, names)
        kinds.check(prepared.settings.dim)
        return kinds

    def check(self, dim: int) -> None:
        """Refuse a task of which too little is left without one of its materials: it could not be predicted out of bag."""
        for number, name in enumerate(self.names):
            rows = self.tasks == number
            spare = int(rows.sum() - np.bincount(self.material[rows]).max())
            if spare < self.needed:
                raise FitError(
                    f"fit: needs at least {self.needed} labelled samples of each task without any one of its materials, "
                    f"for dim {dim} and an ensemble, found {spare} of '{name}'"
                )

    def lacking(self, counts: np.ndarray) -> set[int]:
        """Tasks of which a draw has too few rows, or labels or materials that do not differ; counts (n_materials,)."""
        lack = set()
        for number in range(len(self.names)):
            rows = (self.tasks == number) & (counts[self.material] > 0)
            few = np.count_nonzero(rows) < self.needed or len(np.unique(self.material[rows])) < 2
            if few or float(np.ptp(self.target[rows])) == 0.0:
                lack.add(number)
        return lack

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """How often each material is drawn: ndarray (n_materials,).

        Raises
        ------
        FitError
            No draw has enough of each task.
        """
        counts, again, lack = np.zeros(len(self.kind)), {*range(len(self.tasks_of))}, set()
        for _ in range(MOST_DRAWS):
            for kind in sorted(again):
                own = np.flatnonzero(self.kind == kind)
                counts[own] = draw_counts(len(own), rng)
            if not (lack := self.lacking(counts)):
                return counts
            again = {kind for kind, tasks in enumerate(self.tasks_of) if tasks & lack}
        name = self.names[min(lack)]
        raise FitError(
            f"fit: needs more materials with labels that differ in task '{name}', found no bootstrap sample with enough"
        )
