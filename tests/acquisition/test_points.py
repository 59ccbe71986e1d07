"""A space without a list of candidates: a line, searched by the space itself."""

from dataclasses import replace

import numpy as np
import pytest

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.points import propose_points
from sisso_sal.acquisition.proposal import score
from sisso_sal.acquisition.registry import ACQUISITIONS, acquisition_named
from sisso_sal.acquisition.scene import Materials, Policy, set_scene
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Prediction

NAMES = [name for name in ACQUISITIONS if acquisition_named(name).uses]


class Line:
    """All numbers from 0 to 1. It looks at random ones, then ever closer to the best; what it returns becomes a candidate."""

    def __init__(self, *places):
        self.places = list(places)

    def maximise(self, score, n, rng):
        found, width = rng.random(200), 0.1
        for _ in range(6):
            values = score(found[:, None])
            best = found[np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")[:10]]
            found = np.concatenate([best, np.clip(best[:, None] + width * rng.normal(size=(10, 9)), 0, 1).ravel()])
            width /= 4
        kept = []
        for place in found[np.argsort(-score(found[:, None]), kind="stable")]:
            if len(kept) < n and all(abs(place - other) > 0.05 for other in kept):
                kept.append(place)
        first = len(self.places)
        self.places += kept
        return np.arange(first, len(self.places)), np.array(kept).reshape(-1, 1)


def law(x):
    return (x - 0.73) ** 2 + 0.05 * np.sin(20 * x)


def surrogate(places, labels):
    """Parabolas through samples of the labels with a spread that grows with the distance to them."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(places), len(places)) for _ in range(8)]
    fits = [np.polyfit(places[rows], labels[rows], min(2, len(set(rows)) - 1)) for rows in drawn]

    def predict(features):
        x = features[:, 0]
        members = np.array([np.polyval(fit, x) for fit in fits])
        far = np.abs(x[:, None] - places).min(axis=1)
        std = members.std(axis=0) + 0.2 * far
        return Prediction(members.mean(axis=0), std, std, members, np.ones(members.shape, dtype=bool))

    return predict


def line_scene(space, labels, predict, name="ei", goal="min", batch=1, pending=()):
    features = np.array(space.places)[:, None]
    target = np.full(len(space.places), np.nan)
    target[: len(labels)] = labels
    waiting = np.isin(np.arange(len(target)), pending)
    materials = Materials([str(i) for i in range(len(target))], features, target, waiting)
    policy = Policy(acquisition_named(name), batch=batch)
    return set_scene(predict(features), materials, Goal.parse(goal), policy, np.random.default_rng(1))


@pytest.fixture
def start():
    space = Line(0.05, 0.2, 0.35, 0.5)
    labels = law(np.array(space.places))
    return space, labels, surrogate(np.array(space.places), labels)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("goal", ["min", "max", "<=0.05"])
def test_what_the_space_proposes_is_the_best_of_a_fine_grid(start, name, goal):
    space, labels, predict = start
    scene = line_scene(space, labels, predict, name, goal)
    points = propose_points(scene, predict, space)
    goal = str(scene.goal)  # a share is one of the materials that are known
    grid = np.linspace(0, 1, 2001)
    listed = Line(*space.places[:4], *grid)
    on_grid = score(line_scene(listed, labels, predict, name, goal)).scores[4:]
    if name == "thompson":  # which member is drawn is up to the seed: the best of one of them
        best = {grid[np.argmin(Goal.parse(goal).sign * member)] for member in predict(grid[:, None]).members}
        assert min(abs(points.features[0, 0] - place) for place in best) < 2e-3
    else:
        assert points.scores[0] >= np.nanmax(on_grid) - 1e-4 * np.ptp(on_grid)
    assert points.numbers.tolist() == [4]
    assert space.places[4] == points.features[0, 0]
    assert np.array_equal(points.prediction.mean, predict(points.features).mean)


def test_scores_of_points_are_those_of_listed_candidates(start):
    space, labels, predict = start
    for name in sorted(set(NAMES) - {"thompson"}):
        points = propose_points(line_scene(space, labels, predict, name, "<=0.1", 3), predict, Line(*space.places))
        listed = Line(*space.places, *points.features[:, 0])
        # A mean over members may be summed in another order where it is of one candidate alone.
        scores = score(line_scene(listed, labels, predict, name, "<=0.1")).scores[4:]
        np.testing.assert_allclose(scores, points.scores, rtol=1e-12, err_msg=name)
        assert np.all(np.diff(points.scores) <= 0), name


def test_a_point_that_is_being_computed_is_believed_in(start):
    space, labels, predict = start
    before = line_scene(space, labels, predict)
    believed = propose_points(line_scene(space, labels, predict, "mean"), predict, space)
    scene = line_scene(space, labels, predict, pending=[4])
    assert scene.edge == pytest.approx(believed.prediction.mean[0])
    assert scene.edge < before.edge
    with_belief, without = (propose_points(one, predict, Line(*space.places)) for one in (scene, before))
    assert with_belief.scores[0] < without.scores[0]


def test_a_campaign_on_the_line_comes_to_its_minimum():
    space = Line(0.05, 0.3, 0.95)
    for _ in range(15):
        places = np.array(space.places)
        labels = law(places)
        predict = surrogate(places, labels)
        propose_points(line_scene(space, labels, predict, "ei"), predict, space)
    grid = np.linspace(0, 1, 10_001)
    assert len(space.places) == 18
    assert law(np.array(space.places)).min() < law(grid).min() + 0.01


@pytest.mark.parametrize("name", sorted(set(ACQUISITIONS) - set(NAMES)))
def test_an_acquisition_that_looks_at_several_points_at_once_is_refused(start, name):
    space, labels, predict = start
    message = (
        "acquisition: needs one that scores each point by itself, for a space without a list of candidates; found "
        f"'{name}'"
    )
    with pytest.raises(SettingsError) as caught:
        propose_points(line_scene(space, labels, predict, name), predict, space)
    assert str(caught.value) == message
    assert len(space.places) == 4


def test_a_point_without_a_prediction_has_no_score(start):
    space, labels, predict = start

    def half(features):
        whole = predict(features)
        return replace(whole, mean=np.where(features[:, 0] > 0.6, np.nan, whole.mean))

    points = propose_points(line_scene(space, labels, half, "std"), half, space)
    assert points.features[0, 0] <= 0.6
    assert points.features[0, 0] == pytest.approx(0.6, abs=1e-3)
