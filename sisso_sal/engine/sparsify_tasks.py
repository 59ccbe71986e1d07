"""The best subsets for several tasks, for coefficients whose signs agree over tasks, and by the largest error.

Every subset is scored in float64 from the Gram matrices of the tasks. Least squares bounds what the other objectives can reach:
signs that agree cost something, and a largest error is no smaller than the root mean square of all. So only subsets whose least
squares reach the best so far are looked at more closely.
"""

from __future__ import annotations

import numpy as np

from sisso_sal.engine import _task_subsets as kernels
from sisso_sal.engine.problem import FitObjective, Problem
from sisso_sal.engine.standard import StandardRows


class WalkTasks:
    """The subsets of any number of features, for one task or several.

    Parameters
    ----------
    values : ndarray (n_features, n_samples)
    problem : Problem
    centre : bool
        Whether each task has an intercept.
    objective : FitObjective

    Attributes
    ----------
    total : float
        Sum of the squares of the target, centred in each task if `centre`, weighted as tasks count: what gains are shares of.
    """

    step, most = 1, 1 << 24

    def __init__(self, values: np.ndarray, problem: Problem, centre: bool, objective: FitObjective) -> None:
        parts = [StandardRows.of(values, own, centre) for own in problem.of_tasks]
        heights = problem.task_heights(objective).tolist()
        squares = [
            part.variance * height * float(part.target @ part.target)
            for part, height in zip(parts, heights, strict=True)
        ]
        self.total = sum(squares) or 1.0
        scales = np.sqrt(np.array(squares) / self.total)
        self.grams = np.array([part.rows @ part.rows.T for part in parts])
        self.squares = np.array([part.squares for part in parts])
        self.rhs = np.array([scale * part.rhs for scale, part in zip(scales, parts, strict=True)])
        rows, targets, bounds = np.empty((0, 0)), np.empty(0), np.zeros(1, dtype=np.int64)
        if objective.is_largest_error:
            # Without the roots of the weights, and so that squares of errors, over all tasks, are shares of `total`.
            rows = np.concatenate([part.rows / part.roots for part in parts], axis=1)
            targets = np.concatenate(
                [scale * part.target / part.roots for scale, part in zip(scales, parts, strict=True)]
            )
            bounds = np.cumsum([0, *(len(part.target) for part in parts)])
        self._judge = (self.grams, self.rhs, self.squares, objective.is_same_sign, rows, targets, bounds)

    def walk(self, firsts: tuple[int, int], best: tuple[np.ndarray, np.ndarray]) -> tuple[int, int]:
        """Look at the subsets that begin with one of `firsts` (start, stop); returns how many were seen, and singular."""
        if best[1].shape[1] == 1:
            return kernels.best_single_features(self.rhs, self.squares, firsts, self._judge, tuple(best))
        return kernels.best_task_subsets(self.grams, self.rhs, self.squares, firsts, self._judge, tuple(best))
