"""What a campaign over classes predicts with, against twins and planted classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from sisso_sal.data.table import Table
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.class_calibration import PULL, PULL_OF_CHOSEN
from sisso_sal.models.class_members import fit_members
from sisso_sal.models.class_surrogates import BaseRate, HitForest, HitFormulas, HitLogistic, hit_prediction
from sisso_sal.models.inputs import table_of
from sisso_sal.models.registry import make_surrogate
from sisso_sal.protocols import HasOutOfBag, MayTellNothing, Surrogate
from sisso_sal.protocols.distribution import HIT_BOUND
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.table import TableSpace

SMALL = {"rung": 1, "dim": 1, "n_sis": 5, "operators": ("add", "mult", "div")}


def space_of(n=60, seed=0):
    """Rows with two features and noise; hits are where a is more than 1.2 times b."""
    X = np.random.default_rng(seed).uniform(1, 2, (n, 3))
    ids = tuple(f"m{i}" for i in range(n))
    made = Table(
        path="made.csv", ids=ids, id_name="id", feature_names=("a", "b", "c"), feature_units=("eV", "eV", ""), features=X,
        target_name="y", target_unit="", target=(X[:, 0] > 1.2 * X[:, 1]).astype(float), text={"id": ids},
        headers={"id": "id", "a": "a (eV)", "b": "b (eV)", "c": "c", "y": "y"},
    )  # fmt: skip
    return TableSpace(made)


def fitted(surrogate, space, rows):
    return surrogate.fit(space, rows, space.labels[rows], np.zeros(len(rows)))


def made(kind, **model):
    settings = CampaignSettings(surrogate=kind, goal="=metal")
    changes = {"model": settings.model.model_copy(update=SMALL | model)}
    changes["ensemble"] = settings.ensemble.model_copy(update={"members": 6})
    return make_surrogate(settings.model_copy(update=changes), 3, 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_the_latent_margin_gives_back_the_probability(values):
    probability = np.array(values)
    told = hit_prediction(probability, np.empty((0, len(values))), np.zeros(len(values))).told
    assert told.probability(HIT_BOUND, np.inf) == pytest.approx(probability, abs=1e-12)


def test_spread_and_range_are_of_the_members_that_say_something():
    members = np.array([[0.1, np.nan, np.nan], [0.4, 0.3, np.nan], [0.7, 0.5, 0.2]])
    told = hit_prediction(np.array([0.4, 0.4, 0.2]), members, np.zeros(3))
    assert told.std == pytest.approx([0.3, np.std([0.3, 0.5], ddof=1), np.nan], nan_ok=True)
    assert told.interval95[0] == pytest.approx([0.115, 0.305, np.nan], nan_ok=True)
    assert told.n_valid.tolist() == [3, 2, 1]


@pytest.mark.parametrize("kind", ["sisso", "forest", "logistic"])
def test_each_kind_fits_the_seam_and_tells_a_planted_class(kind):
    space = space_of()
    known, others = np.arange(40), np.arange(40, 60)
    surrogate = fitted(made(kind), space, known)
    assert isinstance(surrogate, Surrogate)
    assert isinstance(surrogate, MayTellNothing)
    assert surrogate.untold == ""
    told = surrogate.predict(space, others).mean
    hits = space.labels[others] == 1.0
    assert told[hits].min() > told[~hits].mean()
    assert ((told > 0.5) == hits).mean() >= (0.8 if kind == "logistic" else 0.9)


def test_the_forest_is_that_of_scikit_learn():
    space = space_of()
    known = np.arange(40)
    ours = fitted(HitForest(7), space, known).predict(space, np.arange(60)).mean
    X = space.rows().matrix
    twin = RandomForestClassifier(100, random_state=7).fit(X[:40], space.labels[:40])
    assert ours == pytest.approx(twin.predict_proba(X)[:, 1], abs=1e-12)


def test_the_gradient_of_the_logistic_regression_vanishes():
    """Of the penalised likelihood on standardised features, where the intercept has no penalty."""
    space = space_of()
    known = np.arange(40)
    probability = fitted(HitLogistic(), space, known).predict(space, known).mean
    X, y = space.rows(known).matrix, space.labels[known]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    log_odds = np.log(probability / (1 - probability))
    weights = np.linalg.lstsq(np.column_stack([np.ones(40), Z]), log_odds, rcond=None)[0]
    assert Z.T @ (probability - y) + weights[1:] == pytest.approx(np.zeros(3), abs=5e-3)
    assert probability.sum() == pytest.approx(y.sum(), abs=5e-3)


@pytest.mark.parametrize("kind", ["sisso", "forest"])
def test_out_of_bag_probabilities_are_less_sure_than_those_of_the_fit(kind):
    space = space_of()
    known = np.arange(40)
    surrogate = fitted(made(kind), space, known)
    assert isinstance(surrogate, HasOutOfBag)
    left_out, nothing = surrogate.out_of_bag
    assert np.isnan(nothing).all()
    rows = np.isfinite(left_out)
    assert rows.sum() > 30
    labels, seen = space.labels[known][rows], surrogate.predict(space, known).mean[rows]
    assert np.mean((left_out[rows] - labels) ** 2) > np.mean((seen - labels) ** 2)


@pytest.mark.parametrize("kind", ["sisso", "forest", "logistic"])
@pytest.mark.parametrize("side", [0.0, 1.0])
def test_labels_of_one_kind_tell_nothing(kind, side):
    space = space_of()
    rows = np.flatnonzero(space.labels == side)[:6]
    surrogate = fitted(made(kind), space, rows)
    assert surrogate.untold == f"{'every' if side else 'no'} label is a hit so far, so nothing tells hits apart"
    told = surrogate.predict(space, np.arange(60)).mean
    assert set(told.tolist()) == {(6 * side + 1) / 8}
    assert surrogate.describe(space)["untold"] == surrogate.untold


def test_too_few_labels_for_a_formula_say_so():
    assert BaseRate(np.array([0.0, 1.0, 0.0]), 4).why == "3 labels are too few to tell hits apart, 4 are needed"


def test_a_campaign_pulls_its_scaling_less_than_a_fit():
    space, rows = space_of(), np.arange(24)
    own = fitted(made("sisso"), space, rows).fitted.scaling
    table, classes = table_of(space, rows, space.labels[rows]), ("other", "metal")
    less, more = (
        fit_members(made("sisso").settings, table, classes, pull=pull).scaling for pull in (PULL_OF_CHOSEN, PULL)
    )
    assert (own.factor, own.offsets.tolist()) == (less.factor, less.offsets.tolist())
    assert abs(np.log(own.factor)) > 1.5 * abs(np.log(more.factor)) > 0


@pytest.mark.parametrize("dim", [1, 2])
def test_as_many_labels_are_needed_as_leave_one_to_each_member(dim):
    """With one label less no member could leave any out, and the fit would be refused."""
    space = space_of()
    hits, others = np.flatnonzero(space.labels == 1), np.flatnonzero(space.labels == 0)
    rows = np.sort(np.concatenate([hits[:2], others[: dim + 1]]))
    fewer = np.sort(np.concatenate([hits[:2], others[:dim]]))
    assert not fitted(made("sisso", dim=dim), space, rows).untold
    told = fitted(made("sisso", dim=dim), space, fewer).untold
    assert told == f"{dim + 2} labels are too few to tell hits apart, {dim + 3} are needed"
    with pytest.raises(FitError, match=f"needs samples that some member did not see, found none of {dim + 2}"):
        fit_members(made("sisso", dim=dim).settings, table_of(space, fewer, space.labels[fewer]), ("other", "metal"))


def test_the_only_hit_does_not_make_all_others_impossible():
    """Members that did not see it cannot know of it, so nothing is scaled by what they say."""
    space = space_of()
    hits, others = (np.flatnonzero(space.labels == side) for side in (1.0, 0.0))
    surrogate = fitted(made("sisso"), space, np.concatenate([hits[:1], others[:12]]))
    assert isinstance(surrogate, HitFormulas)
    told = surrogate.predict(space, hits[1:]).mean
    assert told.mean() > 2 * surrogate.predict(space, others[12:]).mean.mean()


@pytest.mark.parametrize(
    ("kind", "goal", "line"),
    [
        ("trees", "=A", "surrogate: needs one of sisso, forest, logistic for the classes =A, found 'trees'"),
        (
            "logistic",
            "min",
            "surrogate: needs one of sisso, no-formulas, trees, forest, process for the goal min, found 'logistic'",
        ),
    ],
)
def test_what_cannot_predict_the_goal_is_refused(kind, goal, line):
    with pytest.raises(SettingsError) as error:
        make_surrogate(CampaignSettings(surrogate=kind, goal=goal), 0)
    assert str(error.value) == line
