"""Duplicates among the features of many problems: the same choice as for each problem alone."""

from __future__ import annotations

import numpy as np
import pytest

from sisso_sal.engine import _scores
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


def crowd(seed: int) -> tuple[FeatureSpace, np.ndarray, Problem]:
    """Columns in crowds, each within some tolerances of its neighbours, some with equal values; and the scores of all."""
    rng = np.random.default_rng(seed)
    n, n_crowds, n_each = 12, 6, 20
    centres = rng.normal(size=(n_crowds, n))
    steps = 10.0 ** rng.uniform(-10, -7, (n_crowds, n_each, 1)) * rng.normal(size=(n_crowds, n_each, n))
    steps[:, ::4] = 0.0
    values = (centres[:, None] + np.cumsum(steps, axis=1)).reshape(-1, n) * rng.choice([-1.0, 1.0, 2.0], (120, 1)) + 3.0
    names, units = [f"x{i:03d}" for i in range(120)], rng.choice(["", "eV"], 120).tolist()
    space = FeatureSpace(names, units, values, SpaceSettings(operators=("add",), rung=0))
    problem = Problem(centres[0] + centres[1] + rng.normal(size=n), np.ones(n), np.ones(120, bool))
    residuals = problem.normalised(problem.target[None], True)
    pool = Pool(space, problem.shares, residuals, 1, True, Selection.empty())
    score = np.empty(120)
    _scores.exact_scores(values, pool.scoring, score)
    return space, score, problem


@pytest.mark.parametrize("size", [1, 5, 40, 200])
@pytest.mark.parametrize("n_taken", [0, 3])
def test_the_choice_depends_neither_on_the_order_nor_on_the_parts(size, n_taken):
    """However features come, are compacted and merged: nearness is not transitive here."""
    n_clusters = []
    for seed in range(8):
        space, score, problem = crowd(seed)
        residuals = problem.normalised(problem.target[None], True)
        rng = np.random.default_rng(seed + 100)
        numbers = np.arange(120, dtype=np.int32)
        every = Selection(np.zeros(120, np.int16), numbers, numbers, score)
        taken = every.take(rng.permutation(120)[:n_taken])

        def pool_of(parts, space=space, problem=problem, residuals=residuals, taken=taken, rng=rng):
            pool = Pool(space, problem.shares, residuals, size, True, taken)
            for part in parts:
                pool.add(part)
                if rng.uniform() < 0.5:
                    pool.compact()
            return pool

        expected = chosen([pool_of([every])])[0]
        n_clusters.append(len(expected))
        for _ in range(6):
            order = rng.permutation(120)
            thirds = [
                pool_of([every.take(part) for part in np.array_split(third, rng.integers(1, 6))])
                for third in np.array_split(order, 3)
            ]
            for pool in thirds:
                pool.compact()
            equal(chosen([pool_of([thirds[i].kept for i in rng.permutation(3)])])[0], expected)
    assert min(n_clusters) >= min(size, 6 - n_taken)
    assert size < 200 or 20 < min(n_clusters) <= max(n_clusters) < 120
