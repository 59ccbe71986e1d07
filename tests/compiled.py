"""Whether the kernels are compiled: `make test-nojit` runs them as plain Python, for coverage."""

import os

import numpy as np
import pytest
from hypothesis import settings

from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import search_classes
from sisso_sal.engine.linear_criterion import LinearCriterion
from sisso_sal.engine.overlap_criterion import OverlapCriterion
from sisso_sal.engine.search import compile_for
from sisso_sal.engine.sparsify import NUMBERS
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.models.trees import learn_trees

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"

needs_compiled = pytest.mark.skipif(not IS_COMPILED, reason="takes minutes where kernels are plain Python")

drawn = pytest.mark.hypothesis
"""A test with `examples_of` tables of its own: `make test-fuzz` takes it by this mark, as it takes those of hypothesis."""


def examples_of(most):
    """How many examples a property is tested with: all by `make test-fuzz`, a share by `make test` (see conftest.py)."""
    return max(min(most, 5), most * settings.default.max_examples // 100) if IS_COMPILED else 2


STEP = 100 // examples_of(100)
"""Of many alike, one after the other, one in so many is tried by `make test`, and each by `make test-fuzz`."""


def compile_regression():
    """What nearly every test and command needs: half of the time that compiling takes."""
    compile_for(3, with_tasks=True)


def compile_classes():
    """What models of classes need."""
    rng = np.random.default_rng(0)
    space = FeatureSpace(
        ["a", "b"], ["", ""], rng.normal(size=(2, 12)), SpaceSettings(operators=("add", "mult"), rung=1)
    )
    problem = ClassProblem(np.arange(12) % 2, np.ones(12), np.ones(2, dtype=bool))
    for criterion in (OverlapCriterion(), LinearCriterion()):
        search_classes(space, [problem, problem], criterion, [2, 2])
    for kind in ("accuracy", "likelihood"):
        LinearCriterion(kind).best(rng.normal(size=(13, 12)), problem, 2, 3, NUMBERS, ())


def compile_trees():
    """What an ensemble is corrected with."""
    values = np.arange(12.0)
    learn_trees(values[:, None], values, values**2, 0).predict(values[:, None], values)
