"""What an ensemble takes beside its search, estimated before it begins: correction and prediction."""

from __future__ import annotations

from math import log2

import numpy as np

from sisso_sal.models.correction import FEWEST, KINSHIPS
from sisso_sal.models.process import MOST_LIKELY_FROM
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.models.trees import N_TREES
from sisso_sal.protocols import Cost
from sisso_sal.system.costs import interpreter_seconds, multiply_add_seconds, sequel

EVALUATIONS = 28
"""Evaluations of the likelihood that a process takes from a fresh start."""

PAIR_SECONDS = 10e-9
"""What an evaluation of the likelihood takes for a pair of labels, beside the products of matrices."""

SPLIT_SECONDS = 7e-9
"""What a tree takes for a label, an input and a level."""

LEVEL_SECONDS = 2.5e-9
"""What the prediction by a tree takes for a row and a level."""

COVARIANCE_SECONDS = 10e-9
"""What the prediction by a process takes for a row and a label, beside the products of matrices."""

FORMULA_SECONDS = 20e-9
"""What the prediction by a formula takes for a row."""


CHOICE_STEPS = (230_000, 9)
"""Steps of the interpreter (`interpreter_seconds`) of the choice, for itself and for each formula that may be chosen and label."""


def correction_cost(recipe: EnsembleRecipe, n_labels: int, n_inputs: int, has_composition: bool, fits: int = 1) -> Cost:
    """What the correction takes: all of `fits` of them, each by so many labels.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> from sisso_sal.models.fitting import SearchSettings
    >>> recipe = EnsembleRecipe(space=SpaceSettings(), search=SearchSettings())
    >>> few, many = (correction_cost(recipe, n, 14, True) for n in (1000, 5000))
    >>> many.what, many.n_bytes > 10 * few.n_bytes
    ('the correction by 5000 labels', True)
    """
    n_processes, n_trees = _learners(recipe, n_labels, has_composition)
    process = process_cost(n_labels, n_inputs)
    tree = n_labels * log2(n_labels + 1) * n_inputs * SPLIT_SECONDS
    n_bytes = process.n_bytes + 8 * (n_processes - 1) * n_labels**2 if n_processes else 0
    times = f"{fits} corrections" if fits > 1 else "the correction"
    seconds = fits * (n_processes * process.seconds + n_trees * tree)
    return Cost(f"{times} by {n_labels} labels", seconds, n_bytes, "fewer labels, or --correction trees")


def process_cost(n_labels: int, n_inputs: int, starts: int = 1) -> Cost:
    """What a Gaussian process takes to learn from so many labels.

    Examples
    --------
    >>> process_cost(3000, 14).n_bytes == 2 * 8 * 3000**2
    True
    """
    chosen, multiply_add = min(n_labels, MOST_LIKELY_FROM), multiply_add_seconds(256, np.float64)
    evaluation = chosen**3 / 2 * multiply_add + chosen**2 * (PAIR_SECONDS + n_inputs * multiply_add)
    final = n_labels**3 / 2 * multiply_add + n_labels**2 * PAIR_SECONDS
    seconds, n_bytes = starts * EVALUATIONS * evaluation + final, 8 * max(3 * chosen**2, 2 * n_labels**2)
    return Cost(f"a Gaussian process of {n_labels} labels", seconds, n_bytes, "fewer labels, or another --surrogate")


def choice_cost(recipe: EnsembleRecipe, n_forms: int, n_labels: int) -> Cost:
    """What the choice of rung, form and number of terms takes, by the labels that each formula did not see.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> from sisso_sal.models.fitting import SearchSettings
    >>> recipe = EnsembleRecipe(space=SpaceSettings(), search=SearchSettings())
    >>> choice_cost(recipe, 3, 5000).seconds > 5 * choice_cost(recipe, 3, 100).seconds
    True
    """
    n_formulas = n_forms * len(recipe.rungs) * recipe.search.dim * recipe.members
    steps = CHOICE_STEPS[0] + n_formulas * n_labels * CHOICE_STEPS[1]
    return Cost(f"the choice among {n_formulas} formulas", steps * interpreter_seconds(), 0, "fewer --members")


def prediction_cost(recipe: EnsembleRecipe, n_rows: int, n_labels: int, n_inputs: int, has_composition: bool) -> Cost:
    """What the predictions of so many rows take, as often as `sequel` says, by an ensemble that has learned from so many labels.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> from sisso_sal.models.fitting import SearchSettings
    >>> recipe = EnsembleRecipe(space=SpaceSettings(), search=SearchSettings())
    >>> prediction_cost(recipe, 10**6, 100, 14, True).what
    'the prediction of 1000000 candidates'
    """
    n_processes, n_trees = _learners(recipe, n_labels, has_composition)
    products = n_labels * (0.65 * n_labels + n_inputs) * multiply_add_seconds(256, np.float64)
    each = (
        recipe.members * recipe.search.dim * FORMULA_SECONDS
        + n_trees * log2(n_labels + 1) * LEVEL_SECONDS
        + n_processes * (products + n_labels * COVARIANCE_SECONDS)
    )
    n_bytes = n_rows * (10 * recipe.members + 8 * 12)
    return Cost(
        f"the prediction of {n_rows} candidates",
        sequel().predictions * n_rows * each,
        n_bytes,
        "fewer candidates or --members",
    )


def _learners(recipe: EnsembleRecipe, n_labels: int, has_composition: bool) -> tuple[int, int]:
    """Numbers of processes and of trees of the correction."""
    if recipe.correction == "none" or n_labels < FEWEST:
        return 0, 0
    n_processes = 1 + len(KINSHIPS) * has_composition if recipe.correction in {"process", "both"} else 0
    return n_processes, N_TREES if recipe.correction in {"trees", "both"} else 0
