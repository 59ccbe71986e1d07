"""What is scored against what: the reference, the goal in numbers, and what acquisitions get to see."""

import re

import numpy as np
import pytest

from sisso_sal.acquisition import Goal, expected_hits, expected_improvement
from sisso_sal.campaign import scoring
from sisso_sal.campaign.scoring import REFERENCES, score
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Prediction

NAN = np.nan
MEAN = np.array([1.2, 0.9, 3.0, 0.4, 2.0])
STD = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
TARGET = np.array([1.0, 0.7, 2.8, NAN, NAN])
FEATURES = np.arange(10.0).reshape(5, 2)


def prediction(mean=MEAN, std=STD):
    members = np.array([mean - std, mean + std])
    return Prediction(mean, std, std, members, np.isfinite(members))


def scored(predicted=None, target=TARGET, goal="min", acquisition="ei", improve_on="mean", **options):
    rng = options.pop("rng", np.random.default_rng(0))
    return score(
        predicted or prediction(), FEATURES, target, goal=Goal.parse(goal), acquisition=acquisition, improve_on=improve_on,
        rng=rng, **options,
    )  # fmt: skip


@pytest.fixture
def scenes(monkeypatch):
    """The scenes that acquisitions are shown."""
    seen = []

    def named(name):
        def acquisition(scene):
            seen.append(scene)
            return np.arange(len(scene.mean), dtype=float)

        return acquisition

    monkeypatch.setattr(scoring, "acquisition_named", named)
    return seen


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
        assert np.array_equal(scored(improve_on=improve_on).scores, expected_improvement(MEAN, STD, best))


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
    assert expected_hits(mean[3:], std[3:], found) == pytest.approx(1.0)


def test_a_share_is_taken_of_materials_that_have_either():
    mean = np.array([NAN, NAN, NAN, NAN, 2.0])
    assert scored(prediction(mean), goal="min 50%", acquisition="mean").goal == Goal("below", high=1.0)


def test_acquisitions_see_the_resolved_goal_the_labelled_features_and_what_is_pending(scenes):
    rng, pending = np.random.default_rng(1), np.array([False, False, False, True, False])
    predicted = prediction()
    scored(predicted, goal="max 20%", rng=rng, pending=pending)
    (scene,) = scenes
    assert scene.goal == Goal("above", low=2.8)
    assert scene.best == 3.0
    assert np.array_equal(scene.labelled, FEATURES[:3])
    assert scene.features is FEATURES
    assert scene.pending is pending
    assert scene.rng is rng
    for name in ("mean", "std", "members", "valid"):
        assert getattr(scene, name) is getattr(predicted, name)


def test_what_is_pending_is_believed_in():
    pending = np.array([False, False, False, True, False])
    assert np.array_equal(scored(pending=pending).scores, expected_improvement(MEAN, STD, 0.4))


@pytest.mark.parametrize("acquisition", ["ei", "std", "random", "distance", "thompson", "member_ei", "hits"])
def test_a_material_without_prediction_has_no_score(acquisition):
    mean = np.array([1.2, 0.9, 3.0, NAN, 2.0])
    found = scored(prediction(mean), acquisition=acquisition)
    assert np.isnan(found.scores).tolist() == [False, False, False, True, False]


def test_an_unknown_reference_is_refused():
    message = "improve_on: needs one of mean, label, found 'labels'"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        scored(improve_on="labels")


def test_an_unknown_acquisition_is_refused():
    with pytest.raises(SettingsError, match=r"^acquisition: needs one of .*, found 'eii'; did you mean 'ei'\?$"):
        scored(acquisition="eii")
