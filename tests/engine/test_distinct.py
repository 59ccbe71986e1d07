"""Duplicates among the features of many problems: the same choice as for each problem alone."""

from __future__ import annotations

import numpy as np
import pytest

from sisso_sal.engine import pool as module
from sisso_sal.engine.pool import Pool, chosen
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import ScreeningStep, screen
from sisso_sal.engine.selection import Selection
from sisso_sal.features.space import FeatureSpace, SpaceSettings

COLUMNS = ("opcode", "left", "right", "score")


def make_case(n: int = 25) -> tuple[FeatureSpace, list[ScreeningStep]]:
    """A small space in which many features are equal, also in other units, and problems of which some have features already."""
    rng = np.random.default_rng(4)
    values = rng.uniform(1, 2, (4, n))
    values[3] = values[2]
    settings = SpaceSettings(operators=("add", "sub", "abs_diff", "mult", "div", "inv", "sq"), rung=1)
    space = FeatureSpace(list("abcd"), ["eV", "eV", "", "AA"], values, settings)
    target = values[0] / values[1] + rng.normal(0, 0.1, n)
    steps = []
    for i in range(6):
        counts = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
        allowed = np.ones(4, bool)
        allowed[i % 5 : i % 5 + 1] = False
        problem = Problem(target, counts, allowed)
        steps.append(ScreeningStep(problem, problem.normalised(target[None], True)))
    taken, _ = screen(space, steps, 3)
    more = [ScreeningStep(step.problem, step.residuals, own) for step, own in zip(steps, taken, strict=True)]
    return space, steps[:3] + more[2:]


def equal(one: Selection, other: Selection) -> None:
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column))


@pytest.mark.parametrize("room", [1, 1 << 20])
@pytest.mark.parametrize("n_sis", [1, 12, 10_000])
def test_the_choice_of_many_problems_is_that_of_each(n_sis, room, monkeypatch):
    space, steps = make_case()
    expected = [screen(space, [step], n_sis)[0][0] for step in steps]
    monkeypatch.setattr(module, "ROOM", room)
    together, _ = screen(space, steps, n_sis)
    for one, other in zip(together, expected, strict=True):
        equal(one, other)
    assert len(together[0]) == n_sis or n_sis == 10_000


def test_pools_without_features_choose_none():
    space, steps = make_case()
    pools = [
        Pool(space, step.problem.shares, step.residuals, 5, True, taken)
        for step, taken in zip(steps, [Selection.empty(), steps[-1].taken], strict=False)
    ]
    assert [len(selection) for selection in chosen(pools)] == [0, 0]
    assert [len(selection) for selection in chosen(pools[:1])] == [0]
