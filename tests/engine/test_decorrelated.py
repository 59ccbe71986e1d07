"""Subspaces without features that are too alike: against a walk over all features, one by one."""

import naive
import numpy as np
import pytest

from sisso_sal.engine import decorrelated
from sisso_sal.engine.plan import SearchSize
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import ScreeningStep, Stopped
from sisso_sal.engine.search import search
from sisso_sal.features.space import FeatureSpace, SpaceSettings

NAMES = ("a", "b", "c")
SETTINGS = {"operators": ("add", "mult", "div"), "rung": 2}


def make(seed=0, n=25):
    rng = np.random.default_rng(seed)
    columns = dict(zip(NAMES, rng.uniform(1, 2, (3, n)), strict=True))
    space = FeatureSpace(NAMES, [""] * 3, np.array(list(columns.values())), SpaceSettings(**SETTINGS))
    rungs = naive.feature_space(columns, dict.fromkeys(NAMES, ""), **SETTINGS)
    weights = rng.integers(0, 3, n).astype(float)
    target = columns["a"] * columns["b"] - columns["c"] ** 2 + rng.normal(0, 0.1, n)
    return space, [f for r in rungs for f in r.features], [v for r in rungs for v in r.values], target, weights


def twin(features, values, target, weights, most, n_sis, taken, centre):
    """All features in the order of `naive.screen`; each is compared with each one taken before it."""
    every = naive.screen(features, values, weights, [target], len(features), taken=taken, centre=centre)
    of = {f.key: v for f, v in zip(features, values, strict=True)}
    chosen = list(taken)
    for feature in every.features:
        others = [abs(naive.weighted_correlation(of[feature.key], of[key], weights, centre)) for key in chosen]
        if len(chosen) < len(taken) + n_sis and all(other <= most for other in others):
            chosen.append(feature.key)
    return chosen[len(taken) :]


def keys_of(space, selection):
    return [space.key(*selection.triple(i)) for i in range(len(selection))]


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("most", [0.95, 0.5])
def test_equals_the_walk_over_all_features(most, centre):
    most = 1 - 1e-3 * (1 - most) if not centre else most  # cosines of positive features are close to 1
    space, features, values, target, weights = make()
    problem = Problem(target, weights, np.ones(3, bool))
    step = ScreeningStep(problem, problem.normalised(target[None], centre))
    (first,), _ = decorrelated.screen_decorrelated(space, [step], 4, most, centre=centre)
    assert keys_of(space, first) == twin(features, values, target, weights, most, 4, [], centre)
    step = ScreeningStep(problem, problem.normalised(target[None], centre), first)
    (second,), _ = decorrelated.screen_decorrelated(space, [step], 4, most, centre=centre)
    assert keys_of(space, second) == twin(features, values, target, weights, most, 4, keys_of(space, first), centre)


def test_no_two_features_of_a_model_are_correlated_more_than_the_limit():
    space, _, _, target, _ = make(1)
    problem = Problem(target, np.ones(25), np.ones(3, bool))
    (found,), _ = search(space, [problem], SearchSize(dim=3, n_sis=8, max_correlation=0.6), centre=True)
    rows = found.subspace.values(space)
    assert len(rows) > 8
    assert np.abs(np.corrcoef(rows) - np.eye(len(rows))).max() <= 0.6
    assert all(len(fits) for fits in found.fits)


def test_each_problem_is_looked_at_as_deeply_as_it_needs(monkeypatch, caplog):
    space, features, values, target, weights = make(2)
    problems = [
        Problem(target, weights, np.ones(3, bool)),
        Problem(values[2] + 0.01 * target, np.ones(25), np.ones(3, bool)),
    ]
    steps = [ScreeningStep(one, one.normalised(one.target[None], True)) for one in problems]
    numbers = []
    plain = decorrelated.screen

    def screen(space, steps, number, **options):
        numbers.append((len(steps), number))
        return plain(space, steps, number, **options)

    monkeypatch.setattr(decorrelated, "screen", screen)
    chosen, _ = decorrelated.screen_decorrelated(space, steps, 3, 0.7)
    for selection, problem in zip(chosen, problems, strict=True):
        assert keys_of(space, selection) == twin(features, values, problem.target, problem.weights, 0.7, 3, [], True)
    assert [number for _, number in numbers] == [min(24 * 8**i, space.n_features) for i in range(len(numbers))]
    assert len(numbers) > 1
    monkeypatch.setattr(decorrelated, "MOST", 5)
    with caplog.at_level("INFO"):
        (few, _), _ = decorrelated.screen_decorrelated(space, steps, 3, 0.2)
    assert len(few) < 3
    assert "instead of 3: the others of the best 5 are correlated by more than 0.2" in caplog.text


def test_an_interruption_gives_what_is_apart_among_the_best_so_far():
    space, _, _, target, weights = make()
    problem = Problem(target, weights, np.ones(3, bool))
    step = ScreeningStep(problem, problem.normalised(target[None], True))

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(Stopped) as stopped:
        decorrelated.screen_decorrelated(space, [step], 3, 0.7, progress=stop)
    (selection,) = stopped.value.selections
    rows = selection.values(space)
    cosines = naive.directions(rows, weights) @ naive.directions(rows, weights).T
    assert len(rows) == 0 or np.abs(cosines - np.eye(len(rows))).max() <= 0.7
