"""A target that is never below zero: when that is believed, and what follows from it."""

import re

import numpy as np
import pandas as pd
import pytest
from lines import MATERIALS, space_of

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.recalibration import FEWEST
from sisso_sal.models.registry import make_surrogate
from sisso_sal.settings.campaign import CampaignSettings, EnsembleSettings, ModelSettings

SMALL = {"members": 6, "rung": 1, "dim": 1, "n_sis": 5, "operators": ("mult",), "threads": 1}


def table(n=40, seed=0, lowest=0.01):
    """A positive target with large errors: near zero, symmetric intervals would reach below."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.1, 3, (n, 3))
    y = X[:, 0] * X[:, 1] * np.exp(0.6 * rng.normal(0, 1, n))
    y += lowest - y.min()
    return pd.DataFrame(X, columns=list("abc")), y


@pytest.mark.parametrize(
    ("labels", "auto"),
    [
        (np.arange(1.0, 13.0), 0.0),
        (np.arange(12.0), 0.0),  # zero itself is possible
        (np.arange(11.0) + 1.0, -np.inf),  # too few to say so
        (np.arange(-1.0, 12.0), -np.inf),
        (np.zeros(20), -np.inf),
        (-np.arange(20.0), -np.inf),
    ],
)
def test_auto_believes_in_twelve_labels_none_of_which_is_negative(labels, auto):
    recipe = SISSOEnsemble().recipe()
    assert FEWEST == 12
    assert recipe.floor(labels) == auto
    assert recipe.changed(positive="no").floor(labels) == -np.inf
    if labels.min() >= 0:
        assert recipe.changed(positive="yes").floor(labels) == 0.0


def test_a_negative_label_of_a_target_that_is_said_to_be_positive_is_refused():
    X, y = table()
    y[3] = -0.25
    message = "positive: needs labels of at least 0, found -0.25"
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        SISSOEnsemble(**SMALL, positive="yes").fit(X, y)
    assert SISSOEnsemble(**SMALL).fit(X, y).model_.floor == -np.inf


def test_another_word_is_refused():
    with pytest.raises(SettingsError, match=r"^positive: needs one of auto, yes, no, found 'maybe'$"):
        SISSOEnsemble(**SMALL, positive="maybe").fit(*table())


@pytest.mark.parametrize("correction", ["none", "both"])
def test_nothing_that_is_told_of_a_positive_target_is_below_zero(correction):
    X, y = table()
    new = table(200, 1)[0]
    with_floor, without = (
        SISSOEnsemble(**SMALL, correction=correction, positive=when).fit(X, y).predict_distribution(new)
        for when in ("auto", "no")
    )
    low, high = with_floor.interval95
    known = np.isfinite(with_floor.mean)
    assert known.sum() > 150
    assert (low[known] >= 0).all()
    assert (with_floor.mean[known] >= 0).all()
    assert (with_floor.told.median[known] >= 0).all()
    assert (with_floor.told.probability(high=-1e-9)[known] == 0).all()
    assert (without.interval95[0][known] < 0).mean() > 0.2  # without it many reach below
    # An interval that begins at zero holds all that is there.
    np.testing.assert_allclose(
        with_floor.told.probability(low, high)[known], np.where(low > 0, 0.95, 0.975)[known], rtol=1e-6
    )
    np.testing.assert_array_equal(with_floor.told.centre, without.told.centre)
    np.testing.assert_array_equal(with_floor.told.scale, without.told.scale)
    far = known & (without.told.probability(high=0.0) < 1e-9)
    np.testing.assert_allclose(high[far], without.interval95[1][far], rtol=1e-6)


def test_intervals_of_a_positive_target_cover_what_they_say():
    """What is lifted to zero costs no coverage."""
    inside = {"yes": [], "no": []}
    for seed in range(8):
        X, y = table(40, seed)
        new, truth = table(200, 100 + seed)
        for positive, shares in inside.items():
            ensemble = SISSOEnsemble(**SMALL, random_state=seed, positive=positive).fit(X, y)
            low, high = ensemble.predict_distribution(new).interval95
            shares.append(np.mean(((low <= truth) & (truth <= high))[np.isfinite(low)]))
    assert 0.93 < np.mean(inside["yes"]) < 0.98
    assert inside["yes"] == inside["no"]


@pytest.mark.parametrize(
    ("goal", "believes"),
    [
        ("min", True), ("max 10%", True), ("<=0.3", True), (">=1e-3", True), ("1e-3..2e-2", True), ("0..1.5", True),
        ("<=-0.3", False), (">= -1", False), ("-1..2", False), ("-2..-.5", False), ("<=-1e-3", False), (">=-2E+1", False),
    ],
)  # fmt: skip
def test_whoever_looks_for_values_below_zero_believes_in_them(goal, believes):
    for positive in ("auto", "yes", "no"):
        settings = CampaignSettings(goal=goal, ensemble=EnsembleSettings(positive=positive))
        made = make_surrogate(settings, 0, 1).settings["positive"]
        assert made == ("no" if positive == "auto" and not believes else positive)


@pytest.mark.parametrize(("goal", "floor"), [("min", 0.0), ("<=-0.5", -np.inf)])
def test_a_campaign_has_the_floor_of_its_goal(goal, floor, tmp_path):
    space = space_of(MATERIALS, tmp_path)
    small = ModelSettings(rung=0, dim=1, n_sis=3), EnsembleSettings(members=4, correction="none")
    settings = CampaignSettings(goal=goal, model=small[0], ensemble=small[1])
    rows = np.arange(20)
    surrogate = make_surrogate(settings, 0, 1).fit(space, rows, np.linspace(0.5, 2.0, 20), np.zeros(20))
    assert surrogate.model.floor == surrogate.predict(space, rows).told.floor == floor
