"""Pairs that are looked through elsewhere: the same choice, bit for bit, for any parts in any order."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from compiled import IS_COMPILED, needs_compiled

from sisso_sal.engine import parts as module
from sisso_sal.engine import plan as plan_module
from sisso_sal.engine import screen as screen_module
from sisso_sal.engine.plan import LONGEST, SearchSize, check_length, search_cost
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import ScreeningStep, Stopped, screen
from sisso_sal.engine.search import search
from sisso_sal.engine.selection import Selection
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.features.space import FeatureSpace, SpaceRecipe, SpaceSettings
from sisso_sal.protocols import Cost
from sisso_sal.system.executors import open_workers

COLUMNS = ("opcode", "left", "right", "score")


class Elsewhere:
    """Workers that live in this process, and take parts in an order of their own, with several under way."""

    is_here = False

    def __init__(self, n: int, seed: int, threads: int = 1):
        self.n, self.threads, self.n_parts, self.n_bytes = n, threads, 0, [0, 0]
        self._rng = np.random.default_rng(seed)

    def unordered(self, function, parts):
        waiting = []
        for part in parts:
            waiting.append(part)
            self.n_parts += 1
            if len(waiting) > 3 * self.n:
                yield self._done(function, waiting)
        while waiting:
            yield self._done(function, waiting)

    def _done(self, function, waiting):
        part = waiting.pop(int(self._rng.integers(len(waiting))))
        answer = function(part)
        self.n_bytes[0] += len(part)
        self.n_bytes[1] += len(answer)
        return part, answer


def elsewhere(n: int, seed: int, threads: int = 1) -> Any:
    """For `screen` they are `Workers`."""
    return Elsewhere(n, seed, threads)


def near_duplicates(n: int = 30) -> np.ndarray:
    """Three columns, and chains of columns: each has the direction of the next, but the last not that of the first."""
    rng = np.random.default_rng(0)
    base, along = rng.uniform(1, 2, (3, n)), rng.normal(size=(3, n))
    along /= np.linalg.norm(along, axis=1)[:, None]
    step = 0.7e-8 * np.linalg.norm(base - base.mean(axis=1)[:, None], axis=1)[:, None]
    return np.vstack([base, base[:2] + step[:2] * along[:2], base[:2] + 2 * step[:2] * along[:2], 2.0 * base[:1]])


def make_steps(values: np.ndarray, n_problems: int, n_residuals: int = 1, n_tasks: int = 1) -> list[ScreeningStep]:
    rng = np.random.default_rng(1)
    n_primary, n = values.shape
    steps = []
    for i in range(n_problems):
        target = values[0] * values[1] / values[2] + 0.05 * rng.normal(size=n)
        counts = np.bincount(rng.integers(0, n, n), minlength=n).astype(float) if i else np.ones(n)
        allowed = np.arange(n_primary) != (n_primary - i if i else n_primary)
        tasks = np.arange(n) % n_tasks if n_tasks > 1 else None
        problem = Problem(target, counts, allowed, tasks)
        rows = np.vstack([target, rng.normal(size=(n_residuals - 1, n))])
        steps.append(ScreeningStep(problem, problem.normalised(rows, True)))
    return steps


def equal(one: Selection, other: Selection) -> None:
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Passes of these tests are small, and are sent away all the same."""
    monkeypatch.setattr(screen_module, "WORTH", 0.0)
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)


CASES = {
    "rung 2": (SpaceSettings(operators=("add", "sub", "abs_diff", "mult", "div", "sq"), rung=2), 8, 3, 1, 1),
    "two tasks": (SpaceSettings(operators=("sub", "abs_diff", "mult", "div"), rung=2), 7, 2, 2, 2),
    "several residuals": (SpaceSettings(operators=("add", "mult", "div"), rung=2), 8, 4, 3, 1),
    "rung 3": (SpaceSettings(operators=("sub", "mult"), rung=3, max_complexity=5), 5, 2, 1, 1),
}


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("n_sis", [3, pytest.param(40, marks=needs_compiled)])
def test_parts_in_any_order_give_the_choice_of_one_process(name, n_sis):
    settings, n_primary, n_problems, n_residuals, n_tasks = CASES[name]
    values = near_duplicates()[:n_primary]
    space = FeatureSpace([f"x{i}" for i in range(n_primary)], [""] * n_primary, values, settings)
    first = make_steps(values, n_problems, n_residuals, n_tasks)
    taken, counted = screen(space, first, n_sis)
    second = [ScreeningStep(step.problem, step.residuals, own) for step, own in zip(first, taken, strict=True)]
    for steps, expected, causes in ((first, taken, counted), (second, *screen(space, second, n_sis))):
        for number, n in enumerate((1, 2, 3, 5) if IS_COMPILED else (2,)):
            workers = elsewhere(n, seed=number, threads=1 + number % 2)
            found, again = screen(space, steps, n_sis, workers=workers)
            assert workers.n_parts > n
            assert again == causes
            for one, other in zip(found, expected, strict=True):
                equal(one, other)
    assert all(len(selection) == n_sis for selection in taken)
    assert counted.total() > 0


def test_equal_values_of_other_units_come_last_from_parts_too():
    values = near_duplicates()
    space = FeatureSpace(list("abcdefgh"), ["eV", "", "AA", "eV", "", "eV", "", "AA"], values, SpaceSettings(rung=1))
    steps = make_steps(values, 2)
    expected, _ = screen(space, steps, 10_000)
    found, _ = screen(space, steps, 10_000, workers=elsewhere(3, seed=0))
    for one, other in zip(found, expected, strict=True):
        equal(one, other)
    units = space.unit_numbers(expected[0].opcode, expected[0].left, expected[0].right)
    assert len(np.unique(units)) > 3


def test_other_processes_find_the_same_formulas():
    values = near_duplicates()
    space = FeatureSpace(list("abcdefgh"), [""] * 8, values, SpaceSettings(operators=("add", "mult", "div"), rung=2))
    problems = [step.problem for step in make_steps(values, 2)]
    size = SearchSize(dim=2, n_sis=10, n_residual=2)
    expected, causes = search(space, problems, size)
    with open_workers("local", 2, threads=1) as workers:
        found, again = search(space, problems, size, workers=workers)
    assert again == causes
    for one, other in zip(found, expected, strict=True):
        equal(one.subspace, other.subspace)
        assert [fit.sse for fits in one.fits for fit in fits] == [fit.sse for fits in other.fits for fit in fits]


def test_little_travels():
    """The stored features stay at home: what is sent does not grow with them."""
    values = near_duplicates()
    sizes = []
    for rung in (2, 3):
        space = FeatureSpace(list("abcd"), [""] * 4, values[:4], SpaceSettings(operators=("add", "mult"), rung=rung))
        workers = elsewhere(1, seed=0)
        screen(space, make_steps(values, 1), 5, workers=workers)
        assert workers.n_parts > 1
        sizes.append(np.array(workers.n_bytes) / workers.n_parts)
    assert space.values.nbytes > 10 * values.nbytes
    assert max(sizes[1]) < 1.2 * max(sizes[0]) < 4 * values.nbytes


def test_a_worker_keeps_the_space_in_use_and_no_other():
    values = near_duplicates()
    settings = SpaceSettings(operators=("mult",), rung=2)
    recipes = [pickle.dumps(FeatureSpace(list("abcd"), [""] * 4, values[i : i + 4], settings).recipe()) for i in (0, 1)]
    first = module.space_of(recipes[0])
    assert module.space_of(recipes[0]) is first
    assert module.space_of(recipes[1]) is not first
    assert module.space_of(recipes[0]) is not first


def test_a_short_pass_stays_here(monkeypatch):
    monkeypatch.setattr(screen_module, "WORTH", 1.0)
    values = near_duplicates()
    space = FeatureSpace(list("abcdefgh"), [""] * 8, values, SpaceSettings(operators=("mult",), rung=1))
    workers = elsewhere(2, seed=0)
    screen(space, make_steps(values, 1), 5, workers=workers)
    assert workers.n_parts == 0


def test_an_interruption_gives_the_best_so_far():
    values = near_duplicates()
    space = FeatureSpace(list("abcdefgh"), [""] * 8, values, SpaceSettings(operators=("mult", "div"), rung=2))

    class Interrupted(Elsewhere):
        def unordered(self, function, parts):
            for number, answer in enumerate(super().unordered(function, parts)):
                if number == 2:
                    raise KeyboardInterrupt
                yield answer

    workers: Any = Interrupted(2, seed=0)
    with pytest.raises(Stopped) as stop:
        screen(space, make_steps(values, 1), 5, workers=workers)
    assert len(stop.value.selections[0]) == 5


def test_a_space_travels_as_its_recipe():
    values = near_duplicates()
    space = FeatureSpace(list("abcdefgh"), ["eV", *[""] * 7], values, SpaceSettings(rung=2, operators=("add", "mult")))
    content = pickle.dumps(space)
    assert len(content) < 2 * values.nbytes < space.values.nbytes
    again = pickle.loads(content)
    np.testing.assert_array_equal(again.values, space.values)
    assert again.sizes == space.sizes
    assert again.rejected == [Counter(causes) for causes in space.rejected]
    assert again.expression(1, 9, 3).key == space.expression(1, 9, 3).key


def test_a_worker_that_makes_other_features_says_so():
    values = near_duplicates()
    recipe = FeatureSpace(list("abcdefgh"), [""] * 8, values, SpaceSettings(rung=2, operators=("mult",))).recipe()
    with pytest.raises(FitError) as caught:
        SpaceRecipe(recipe.names, recipe.units, recipe.values[:, ::-1] ** 2, recipe.settings, "another").made()
    assert str(caught.value).startswith("feature space: needs the same stored features in each process, found others")


def test_a_search_of_more_than_a_day_is_refused_with_a_plan(monkeypatch):
    monkeypatch.setattr(screen_module, "WORTH", 1.0)
    values = near_duplicates()

    def space_of(**limits):
        return FeatureSpace(
            list("abcd"), [""] * 4, values[:4], SpaceSettings(rung=1, operators=("add", "mult", "div"), **limits)
        )

    space, days = space_of(), Cost("a search", 6 * LONGEST, 0, "", 5 * LONGEST)
    assert [check_length(space, Cost("a search", seconds, 0, "", seconds), 1) for seconds in (60.0, 4 * 3600.0)] == [
        "",
        "a search: about 4.0 h on one core; with --executor and --workers 8 about 30 min",
    ]
    with pytest.raises(SettingsError) as caught:
        check_length(space, days, threads=2)
    assert str(caught.value) == (
        "a search: needs about 5.0 days on 2 cores, more than a day; try --executor and --workers 10 (about 24.0 h) or --rung 0; "
        "--max-features 30 lets it begin"
    )
    with pytest.raises(SettingsError, match=r"about 5\.0 days on 6 workers, more than a day; .* --workers 30 "):
        check_length(space, days, 2, elsewhere(3, 0, threads=2))
    assert check_length(space_of(max_features=30), days, 2).startswith("a search: about 10.0 days on one core; with")
    assert check_length(space, Cost("a search", 3 * LONGEST, 0, "", 0.9 * LONGEST), 2, elsewhere(3, 0)) == ""


def test_workers_shorten_the_estimate_of_a_long_search(monkeypatch):
    values = near_duplicates()
    space = FeatureSpace(list("abcdefgh"), [""] * 8, values, SpaceSettings(operators=("add", "mult", "div"), rung=2))
    problems, size = [step.problem for step in make_steps(values, 2)], SearchSize(dim=2, n_sis=1)
    alone = search_cost(space, problems, size, 2).shared
    assert search_cost(space, problems, size, 2, elsewhere(8, 0)).shared == alone  # too short
    monkeypatch.setattr(plan_module, "WORTH", 0.0)
    assert search_cost(space, problems, size, 2, elsewhere(8, 0)).shared == pytest.approx(alone / 4, rel=0.01)
