"""What is scored against what: the reference, the goal in numbers, and what acquisitions get to see."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.proposal import propose, score
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.acquisition.scene import REFERENCES, Materials, Policy, set_scene
from sisso_sal.acquisition.scores import expected_hits, expected_improvement
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Acquisition, Prediction
from sisso_sal.protocols.distribution import Distribution

NAN = np.nan
MEAN = np.array([1.2, 0.9, 3.0, 0.4, 2.0])
STD = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
TARGET = np.array([1.0, 0.7, 2.8, NAN, NAN])
FEATURES = np.arange(10.0).reshape(5, 2)


def prediction(mean=MEAN, std=STD):
    members = np.array([mean - std, mean + std])
    return Prediction(mean, std, std, members, np.isfinite(members))


def scored(predicted=None, target=TARGET, goal="min", acquisition="ei", improve_on="mean", rng=None, **options):
    """Options are those of `Materials`."""
    record = acquisition_named(acquisition) if isinstance(acquisition, str) else acquisition
    materials = Materials([f"m{i}" for i in range(len(target))], FEATURES, target, **options)
    return score(
        set_scene(
            predicted or prediction(), materials, Goal.parse(goal), Policy(record, improve_on), rng or np.random.default_rng(0)
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("goal", "improve_on", "expected"),
    [
        ("min", "mean", 0.9),
        ("min", "label", 0.7),
        ("max", "mean", 3.0),
        ("max", "label", 2.8),
        ("2..4", "mean", 3.0),
        ("0.9..1.2", "label", 1.0),
    ],
)
def test_the_reference_is_the_best_posterior_mean_or_label_of_a_labelled_material(goal, improve_on, expected):
    assert scored(goal=goal, acquisition="mean", improve_on=improve_on).reference == expected


def test_a_material_without_label_is_no_reference():
    mean = np.array([1.2, 0.95, 3.0, 1.05, 2.0])
    assert scored(prediction(mean), goal="0.9..1.2", acquisition="mean").reference == 0.95


def test_scores_are_those_of_the_acquisition_against_the_reference():
    for improve_on, best in zip(REFERENCES, (0.9, 0.7), strict=True):
        assert np.array_equal(scored(improve_on=improve_on).scores, expected_improvement(Distribution(MEAN, STD), best))


def test_a_labelled_material_without_prediction_is_no_reference():
    mean = np.array([1.2, NAN, 3.0, 0.4, 2.0])
    assert scored(prediction(mean)).reference == 1.2


def test_labels_are_the_reference_where_no_labelled_material_has_a_prediction():
    mean = np.array([NAN, NAN, NAN, 0.4, 2.0])
    assert scored(prediction(mean)).reference == 0.7


def test_one_noisy_label_does_not_move_the_posterior_reference():
    noisy = TARGET.copy()
    noisy[2] = -50.0
    assert scored(target=noisy).reference == scored().reference
    assert scored(target=noisy, improve_on="label").reference == -50.0


CERTAIN = np.full(5, 1e-12)


@pytest.mark.parametrize(
    ("goal", "bounded"),
    [
        # Labels 1.0, 0.7, 2.8 and predictions 0.4, 2.0: the second lowest is a label, the lowest a prediction.
        ("min 40%", Goal("below", high=0.7)),
        ("min 20%", Goal("below", high=0.4)),
        ("max 20%", Goal("above", low=2.8)),
        ("max 40%", Goal("above", low=2.0)),
        ("min", Goal("min")),
        ("<=0.3", Goal("below", high=0.3)),
    ],
)
def test_a_share_is_taken_of_labels_and_elsewhere_of_predictions(goal, bounded):
    found = scored(prediction(std=CERTAIN), goal=goal, acquisition="mean").goal
    assert (found.kind, found.low, found.high) == (
        bounded.kind,
        pytest.approx(bounded.low),
        pytest.approx(bounded.high),
    )


def test_so_many_are_expected_within_the_bound_of_a_share():
    mean, std = np.array([1.2, 0.9, 3.0, -1.0, -0.6]), np.array([0.1, 0.2, 0.3, 1.0, 1.0])
    found = scored(prediction(mean, std), goal="min 20%", acquisition="mean").goal
    assert found.high == pytest.approx(-0.8)  # which either of the two reaches with a probability that adds up to 1
    assert expected_hits(Distribution(mean[3:], std[3:]), found) == pytest.approx(1.0)


def test_a_share_is_taken_of_materials_that_have_either():
    mean = np.array([NAN, NAN, NAN, NAN, 2.0])
    assert scored(prediction(mean), goal="min 50%", acquisition="mean").goal == Goal("below", high=1.0)


def recording(uses=("distribution",)):
    """An acquisition that keeps the scenes that it is shown."""
    scenes = []

    def recorded(scene):
        scenes.append(scene)
        return np.arange(len(scene.mean), dtype=float)

    return scenes, Acquisition("recording", recorded, "", "", uses=frozenset(uses))


def test_acquisitions_see_the_resolved_goal_the_labelled_features_and_what_is_pending():
    rng, pending = np.random.default_rng(1), np.array([False, False, False, True, False])
    predicted, (scenes, acquisition) = prediction(), recording()
    scored(predicted, goal="max 20%", acquisition=acquisition, rng=rng, pending=pending)
    (scene,) = scenes
    assert scene.goal == Goal("above", low=2.8)
    assert scene.best == 3.0
    assert np.array_equal(scene.labelled, FEATURES[:3])
    assert scene.features is FEATURES
    assert scene.pending is pending
    assert scene.rng is rng
    assert scene.ids == ["m0", "m1", "m2", "m3", "m4"]
    for name in ("mean", "std", "members", "valid"):
        assert np.array_equal(getattr(scene, name), getattr(predicted, name))


def test_what_has_a_label_is_excluded_whatever_else_is():
    scenes, acquisition = recording()
    scored(acquisition=acquisition)
    scored(acquisition=acquisition, excluded=np.array([True, False, False, False, True]))
    assert [scene.excluded.tolist() for scene in scenes] == [
        [True, True, True, False, False],
        [True, True, True, False, True],
    ]
    assert scenes[0].pending.tolist() == [False] * 5


@pytest.mark.parametrize(("name", "needs_members"), [("thompson", True), ("member_ei", True), ("ei", False)])
def test_members_that_are_used_must_be_there(name, needs_members):
    nothing = np.empty((0, 5))
    predicted = replace(prediction(), members=nothing, valid=nothing.astype(bool))
    if needs_members:
        message = f"acquisition: needs a surrogate that predicts by members for '{name}', found one without"
        with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
            scored(predicted, acquisition=name)
    else:
        assert np.array_equal(scored(predicted, acquisition=name).scores, scored(acquisition=name).scores)


def test_a_share_stands_for_a_missing_bound_where_the_acquisition_wants_one():
    for share, own, expected in ((0.2, None, 0.2), (0.2, 0.4, 0.4), (None, 0.4, None)):
        policy = Policy(replace(acquisition_named("hits"), share=share), share=own)
        assert policy.wanted(Goal.parse("max")) == (
            Goal("max") if expected is None else Goal("highest", share=expected)
        )
        assert policy.wanted(Goal.parse("<=3")) == Goal.parse("<=3")


def test_what_is_pending_is_believed_in():
    pending = np.array([False, False, False, True, False])
    assert np.array_equal(scored(pending=pending).scores, expected_improvement(Distribution(MEAN, STD), 0.4))


@pytest.mark.parametrize("acquisition", ["ei", "std", "random", "distance", "thompson", "member_ei", "hits"])
def test_a_material_without_prediction_has_no_score(acquisition):
    mean = np.array([1.2, 0.9, 3.0, NAN, 2.0])
    found = scored(prediction(mean), acquisition=acquisition)
    assert np.isnan(found.scores).tolist() == [False, False, False, True, False]


def test_an_unknown_reference_is_refused():
    message = "improve_on: needs one of mean, label, found 'labels'"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        scored(improve_on="labels")


AHEAD = np.array([2.0, 3.0, 0.5, 0.55, 0.6, 0.6, 0.6, 0.65])
"""Means of eight candidates with a spread of one; the first two have a label."""


def proposed(batch, *, excluded=(), pending=(), acquisition="hits", goal="<=0"):
    barred, waiting = np.zeros(8, dtype=bool), np.zeros(8, dtype=bool)
    barred[list(excluded)], waiting[list(pending)] = True, True
    known = np.array([2.0, 3.0, *[NAN] * 6])
    materials = Materials(tuple("abcdefgh"), np.zeros((8, 1)), known, waiting, barred)
    scene = set_scene(
        Prediction(AHEAD, np.ones(8), np.ones(8), np.array([AHEAD - 1, AHEAD + 1]), np.ones((2, 8), dtype=bool)),
        materials, Goal.parse(goal), Policy(acquisition_named(acquisition), batch=batch), np.random.default_rng(0),
    )  # fmt: skip
    proposal = propose(scene)
    return proposal.scored.scores, proposal.picks.tolist()


def test_a_batch_is_of_the_likeliest_first():
    scores, picks = proposed(4)
    assert picks == [2, 3, 4, 5]
    assert scores == pytest.approx(norm.cdf(-AHEAD))
    assert proposed(4)[1][:2] == proposed(2)[1]


def test_what_cannot_be_evaluated_or_is_being_computed_is_never_chosen():
    assert proposed(9, excluded=[5])[1] == [2, 3, 4, 6, 7]
    assert proposed(3, pending=[2, 4])[1] == [3, 5, 6]
    assert proposed(2, excluded=range(2, 8))[1] == []


def test_hits_are_of_the_best_tenth_where_the_goal_has_no_bound():
    assert np.array_equal(proposed(1, goal="min")[0], proposed(1, goal="min 10%")[0])


@pytest.mark.parametrize("seed", range(12))
def test_picks_do_not_depend_on_the_order_of_the_table(seed):
    rng = np.random.default_rng(seed)
    n, batch = 30, 6
    mean, features = rng.normal(0.8, 0.5, n).round(1), rng.normal(size=(n, 2))  # so that some are equal
    ids = np.array([f"m{i:02d}" for i in range(n)])
    target, waiting = np.full(n, NAN), np.zeros(n, dtype=bool)
    target[:3], waiting[3:8] = 1.0, True

    def picks(order):
        still = np.ones(n)
        found = Prediction(mean[order], still, still, mean[order][None, :], np.ones((1, n), dtype=bool))
        materials = Materials(ids[order].tolist(), features[order], target[order], waiting[order])
        policy = Policy(acquisition_named("hits"), batch=batch)
        chosen = propose(set_scene(found, materials, Goal.parse("<=0"), policy, rng)).picks
        return ids[order][chosen].tolist()

    straight = picks(np.arange(n))
    assert len(set(straight)) == batch
    assert picks(rng.permutation(n)) == straight
    assert not set(straight) & set(ids[:8])
