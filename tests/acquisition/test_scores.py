"""Every acquisition against a computation of another kind: numerical integration, and many digits where floats underflow."""

import dataclasses
import math

import mpmath
import numpy as np
import pytest
from compiled import examples_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from sisso_sal.acquisition import scores
from sisso_sal.acquisition.baselines import RANDOM, distance_to_labelled
from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.members import member_expected_improvement, thompson
from sisso_sal.acquisition.registry import ACQUISITIONS
from sisso_sal.acquisition.scene import Scene
from sisso_sal.acquisition.scores import lower_confidence_bound
from sisso_sal.errors import SettingsError
from sisso_sal.protocols.distribution import Distribution

GAUSSIANS = [(0.0, 1.0), (1.3, 0.4), (-2.0, 3.0), (0.9, 0.05), (5.0, 1.5)]
BEST = 0.8

# (mean, std, best, EI, log EI, PI, kappa std - mean at kappa 2), computed with botorch 0.18.1 (maximize=False).
BOTORCH = [
    (0.3, 0.2, 0.8, 0.5004008274358257, -0.6923458468419357, 0.9937903346742238, 0.1),
    (1.3, 0.4, 0.8, 0.020234747322181126, -3.900353987899008, 0.10564977366685528, -0.5),
    (-2.0, 3.0, 0.8, 3.083326432123471, 1.1260090246234937, 0.8246760551477705, 8.0),
    (5.0, 1.5, 0.8, 0.0011416299866726203, -6.77529822491412, 0.0025551303304279316, -2.0),
    (-40.0, 1.0, 0.0, 40.0, 3.6888794541139363, 1.0, 42.0),
    (40.0, 1.0, 0.0, 0.0, -808.29856835662, 0.0, -38.0),
    (20.0, 0.5, 0.0, 0.0, -808.9917155371799, 0.0, -19.0),
    (12.0, 1.0, 2.0, 7.474560254582543e-25, -55.55312203612237, 7.619853024160595e-24, -10.0),
]


def expected_improvement(mean, std, best):
    return scores.expected_improvement(Distribution(mean, std), best)


def log_expected_improvement(mean, std, best):
    return scores.log_expected_improvement(Distribution(mean, std), best)


def probability_of_improvement(mean, std, best):
    return scores.probability_of_improvement(Distribution(mean, std), best)


def window_likelihood(mean, std, low, high):
    return Distribution(mean, std).log_probability(low, high)


def probability_of_goal(mean, std, goal):
    return scores.probability_of_goal(Distribution(mean, std), goal)


def expected_hits(mean, std, goal):
    return scores.expected_hits(Distribution(mean, std), goal)


def one(function, *arguments):
    """The score of a single candidate; arguments that are arrays per candidate come first."""
    mean, std, *rest = arguments
    return float(function(np.array([mean]), np.array([std]), *rest)[0])


def exact_log_ei(z):
    """log(phi(z) + z Phi(z)) with as many digits as it takes."""
    digits = 60 + int(2 * math.log10(abs(z) + 10)) * 4
    with mpmath.workdps(digits):
        z = mpmath.mpf(z)
        density = mpmath.exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)
        tail = mpmath.erfc(-z / mpmath.sqrt(2)) / 2
        return float(mpmath.log(density + z * tail))


def scene(goal="min", n=40, seed=3, **changes):
    rng = np.random.default_rng(seed)
    members = rng.normal(1.0, 0.5, (6, n))
    fields = {
        "acquisition": RANDOM,  # whichever scores, it sees the same
        "ids": [f"m{i:02d}" for i in range(n)],
        "told": Distribution(members.mean(axis=0), members.std(axis=0, ddof=1)),
        "members": members,
        "valid": np.ones((6, n), dtype=bool),
        "goal": Goal.parse(goal),
        "best": 0.9,
        "features": rng.normal(size=(n, 3)),
        "labelled": rng.normal(size=(5, 3)),
        "pending": np.zeros(n, dtype=bool),
        "excluded": np.zeros(n, dtype=bool),
        "rng": np.random.default_rng(11),
    }
    return Scene(**{**fields, **changes})


@pytest.mark.parametrize(("mean", "std"), GAUSSIANS)
def test_expected_improvement_is_the_integral_of_the_gain(mean, std):
    gain, _ = quad(lambda y: (BEST - y) * norm.pdf(y, mean, std), mean - 40 * std, BEST, points=[mean], limit=200)
    assert one(expected_improvement, mean, std, BEST) == pytest.approx(gain, rel=1e-8, abs=1e-14)


@pytest.mark.parametrize(("mean", "std"), GAUSSIANS)
def test_probability_of_improvement_is_the_integral_below_the_best(mean, std):
    below, _ = quad(lambda y: norm.pdf(y, mean, std), mean - 40 * std, BEST, points=[mean], limit=200)
    assert one(probability_of_improvement, mean, std, BEST) == pytest.approx(below, rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("window", [(-0.5, 0.7), (0.85, 0.95), (2.0, 9.0), (-3.0, -2.5)])
@pytest.mark.parametrize(("mean", "std"), GAUSSIANS)
def test_window_likelihood_is_the_log_of_the_probability_of_the_window(mean, std, window):
    low, high = window
    with mpmath.workdps(1500):
        a, b = ((mpmath.mpf(bound) - mean) / std / mpmath.sqrt(2) for bound in window)
        expected = float(mpmath.log((mpmath.erf(b) - mpmath.erf(a)) / 2))
    assert one(window_likelihood, mean, std, low, high) == pytest.approx(expected, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("z", [3.0, 0.0, -0.5, -0.999, -1.0, -1.001, -5.0, -20.0, -40.0, -300.0])
def test_log_expected_improvement_keeps_its_digits_where_the_plain_one_underflows(z):
    std = 0.37
    expected = exact_log_ei(z) + math.log(std)
    assert one(log_expected_improvement, -z * std, std, 0.0) == pytest.approx(expected, rel=1e-12, abs=1e-11)


@pytest.mark.parametrize("z", [-9.0e3, -1.1e4, -1.0e6])
def test_log_expected_improvement_far_out(z):
    """The reference far out is the asymptotic series of phi(z) + z Phi(z) = phi(z) (1/z^2 - 3/z^4 + 15/z^6 - ...)."""
    with mpmath.workdps(50):
        x = mpmath.mpf(z)
        series = 1 / x**2 - 3 / x**4 + 15 / x**6
        expected = float(-x * x / 2 - mpmath.log(2 * mpmath.pi) / 2 + mpmath.log(series))
    assert exact_log_ei(-300.0) == pytest.approx(-45000 - math.log(2 * math.pi) / 2 + math.log(1 / 9e4 - 3 / 8.1e9))
    found = one(log_expected_improvement, -z, 1.0, 0.0)
    assert found == pytest.approx(expected, rel=1e-13, abs=1e-6)


def test_log_expected_improvement_orders_hopeless_candidates_which_the_plain_one_cannot():
    mean, std = np.array([50.0, 60.0, 1e5, 1e6, 4e8, 5e8, 1e12]), np.ones(7)
    assert expected_improvement(mean, std, 0.0).tolist() == [0.0] * 7
    log = log_expected_improvement(mean, std, 0.0)
    assert np.all(np.isfinite(log))
    assert np.all(np.diff(log) < 0)


def test_log_expected_improvement_is_smooth_where_its_formulas_change():
    for edge in (-1.0, -1e4):
        z = edge + np.array([-1e-9, 1e-9]) * abs(edge)
        below, above = log_expected_improvement(-z, np.ones(2), 0.0)
        assert below == pytest.approx(above, rel=1e-7)


@given(mean=st.floats(-5, 5), std=st.floats(1e-3, 5), gain=st.floats(1e-3, 3), more=st.floats(1e-3, 3))
@settings(deadline=None, max_examples=examples_of(60))
def test_a_lower_mean_and_a_larger_spread_never_score_worse_by_expected_improvement(mean, std, gain, more):
    here = one(expected_improvement, mean, std, BEST)
    assert one(expected_improvement, mean - gain, std, BEST) >= here
    assert one(expected_improvement, mean, std + more, BEST) >= here - 1e-15
    assert here >= max(BEST - mean, 0.0) * (1 - 1e-12)
    assert one(probability_of_improvement, mean - gain, std, BEST) >= one(probability_of_improvement, mean, std, BEST)


@given(mean=st.floats(-5, 5), std=st.floats(1e-2, 5))
@settings(deadline=None, max_examples=examples_of(60))
def test_the_log_is_the_log(mean, std):
    plain = one(expected_improvement, mean, std, BEST)
    if plain > 1e-8:
        assert one(log_expected_improvement, mean, std, BEST) == pytest.approx(math.log(plain), rel=1e-6, abs=1e-6)


def test_zero_spread_means_certainty():
    mean, std = np.array([0.5, 0.8, 1.1]), np.zeros(3)
    assert expected_improvement(mean, std, 0.8).tolist() == pytest.approx([0.3, 0.0, 0.0])
    assert log_expected_improvement(mean, std, 0.8).tolist() == pytest.approx([math.log(0.3), -np.inf, -np.inf])
    assert probability_of_improvement(mean, std, 0.8).tolist() == [1.0, 0.0, 0.0]
    assert lower_confidence_bound(mean, std).tolist() == [-0.5, -0.8, -1.1]
    assert window_likelihood(mean, std, 0.8, 1.0).tolist() == [-np.inf, 0.0, -np.inf]


def test_the_spread_falling_to_zero_leads_to_the_value_at_zero():
    for mean in (0.5, 1.1):
        near, at = (one(expected_improvement, mean, std, 0.8) for std in (1e-9, 0.0))
        assert near == pytest.approx(at, abs=1e-12)
        near, at = (one(probability_of_improvement, mean, std, 0.8) for std in (1e-9, 0.0))
        assert near == at


def test_lower_confidence_bound_takes_kappa():
    mean, std = np.array([1.0, 2.0]), np.array([0.5, 0.1])
    assert lower_confidence_bound(mean, std).tolist() == [0.0, -1.8]
    assert lower_confidence_bound(mean, std, kappa=0.0).tolist() == [-1.0, -2.0]


def test_far_outside_the_window_candidates_stay_ordered_on_both_sides():
    mean = np.array([2.0, 5.0, 10.0, 30.0, 300.0, 3000.0])
    for sign in (1.0, -1.0):
        bounds = sorted([sign * 0.9, sign * 1.0])
        found = window_likelihood(sign * mean, np.full(6, 0.1), *bounds)
        assert np.all(np.isfinite(found))
        assert np.all(np.diff(found) < 0)
    assert found[0] == pytest.approx(norm.logsf(10.0), rel=1e-6)


def test_a_window_without_a_bound_is_a_tail_and_without_both_is_certain():
    mean, std = np.array([0.2, 3.0]), np.array([1.0, 0.5])
    assert window_likelihood(mean, std, -np.inf, 0.7) == pytest.approx(norm.logcdf(0.7, mean, std))
    assert window_likelihood(mean, std, 0.7, np.inf) == pytest.approx(norm.logsf(0.7, mean, std))
    assert window_likelihood(mean, std, -np.inf, np.inf).tolist() == [0.0, 0.0]


def test_thompson_scores_by_one_member_and_gives_invalid_ones_the_worst_score():
    members = np.array([[1.0, 2.0, 3.0], [30.0, 20.0, np.nan]])
    valid = np.array([[True, True, False], [True, True, False]])
    seen = set()
    for seed in range(12):
        found = thompson(members, valid, np.random.default_rng(seed)).tolist()
        assert found in ([-1.0, -2.0, -np.inf], [-30.0, -20.0, -np.inf])
        seen.add(found[0])
    assert seen == {-1.0, -30.0}


def test_distance_is_to_the_nearest_labelled_in_units_of_spread():
    rng = np.random.default_rng(0)
    features, labelled = rng.normal(size=(9, 2)) * [1, 1000], rng.normal(size=(4, 2)) * [1, 1000]
    spread = np.vstack([features, labelled]).std(axis=0)
    naive = [min(math.dist(f / spread, k / spread) for k in labelled) for f in features]
    assert distance_to_labelled(features, labelled) == pytest.approx(naive)
    assert distance_to_labelled(features * [5.0, 0.01], labelled * [5.0, 0.01]) == pytest.approx(naive)
    assert distance_to_labelled(labelled, labelled) == pytest.approx(np.zeros(4))


def test_a_constant_feature_adds_no_distance():
    features, labelled = np.array([[1.0, 7.0], [2.0, 7.0]]), np.array([[1.0, 7.0]])
    assert distance_to_labelled(features, labelled) == pytest.approx(
        distance_to_labelled(features[:, :1], labelled[:, :1])
    )


@pytest.mark.parametrize(
    ("text", "goal", "shown"),
    [
        ("min", Goal("min"), "min"),
        (" max ", Goal("max"), "max"),
        ("<=0.3", Goal("below", high=0.3), "<=0.3"),
        ("<0.3", Goal("below", high=0.3), "<=0.3"),
        ("< = .3", Goal("below", high=0.3), "<=0.3"),
        (">= -2.5e-1", Goal("above", low=-0.25), ">=-0.25"),
        ("1.2..1.8", Goal("window", low=1.2, high=1.8), "1.2..1.8"),
        ("1..2", Goal("window", low=1.0, high=2.0), "1..2"),
        ("-3 .. -1", Goal("window", low=-3.0, high=-1.0), "-3..-1"),
        ("<=0.123456789", Goal("below", high=0.123456789), "<=0.123456789"),
        ("min 10%", Goal("lowest", share=0.1), "min 10%"),
        ("max10 %", Goal("highest", share=0.1), "max 10%"),
        (" min  2.5% ", Goal("lowest", share=0.025), "min 2.5%"),
        ("max .07%", Goal("highest", share=0.0007), "max 0.07%"),
        ("min 50.%", Goal("lowest", share=0.5), "min 50%"),
    ],
)
def test_goals_are_read_and_shown(text, goal, shown):
    assert Goal.parse(text) == goal
    assert str(goal) == shown
    assert Goal.parse(str(goal)) == goal


@pytest.mark.parametrize(
    "text",
    [
        *["", "minimum", "MIN", "0.3", "<=", "<=x", "2..1", "1..1", "1..", "..2", "1-2", "<=nan", "<=0 3"],
        *["min 0%", "max 100%", "min 150%", "min -5%", "min 10", "min 1 0%", "10%", "min nan%", "min %", "min 1e1%"],
    ],
)
def test_a_bad_goal_is_refused_with_what_is_possible(text):
    with pytest.raises(SettingsError) as caught:
        Goal.parse(text)
    assert str(caught.value) == (
        f"goal: needs min, max, 'min 10%', '<=0.3', '>=2', '1.2..1.8' or '=CLASS', found '{text}'"
    )


@pytest.mark.parametrize("text", ["<=1e999", ">=-1e999", "0..1e999"])
def test_a_bound_that_is_no_finite_number_is_refused(text):
    with pytest.raises(SettingsError, match=r"^goal: needs min"):
        Goal.parse(text)


def test_the_best_of_some_values_by_each_goal():
    values = np.array([2.0, np.nan, -1.0, 0.4, 5.0])
    assert Goal.parse("min").best(values) == 2
    assert Goal.parse("max").best(values) == 4
    assert Goal.parse("0.5..1").best(values) == 3
    assert Goal.parse(">=4").best(values) == 4
    assert Goal.parse("<=-2").best(values) == 2
    assert Goal.parse("<=6").best(values) == 2
    assert Goal.parse("-3..3").best(values) == 3
    assert Goal.parse("1..3").distance(values)[[0, 2, 3, 4]] == pytest.approx([0.0, 3.0, 1.6, 3.0])
    assert Goal.parse("max").distance(values)[[0, 2]].tolist() == [-2.0, 1.0]


@pytest.mark.parametrize("name", sorted(set(ACQUISITIONS) - {"random"}))
def test_max_is_the_mirror_of_min(name):
    low = scene("min")
    high = dataclasses.replace(
        low,
        told=Distribution(-low.mean, low.std),
        members=-low.members,
        goal=Goal("max"),
        best=-low.best,
        rng=np.random.default_rng(11),
    )
    assert ACQUISITIONS[name].score(high) == pytest.approx(ACQUISITIONS[name].score(low), rel=1e-12)


@pytest.mark.parametrize("name", sorted(set(ACQUISITIONS) - {"random"}))
def test_above_is_the_mirror_of_below(name):
    low = scene("<=0.4")
    high = dataclasses.replace(
        low,
        told=Distribution(-low.mean, low.std),
        members=-low.members,
        goal=Goal.parse(">=-0.4"),
        rng=np.random.default_rng(11),
    )
    assert ACQUISITIONS[name].score(high) == pytest.approx(ACQUISITIONS[name].score(low), rel=1e-12)


def test_a_goal_with_a_bound_scores_against_the_bound_and_not_the_best():
    found = scene("<=0.4")
    assert ACQUISITIONS["pi"].score(found) == pytest.approx(norm.cdf(0.4, found.mean, found.std))
    assert ACQUISITIONS["ei"].score(found) == pytest.approx(expected_improvement(found.mean, found.std, 0.4))
    assert ACQUISITIONS["mli"].score(found) == pytest.approx(norm.logcdf(0.4, found.mean, found.std))
    found = scene(">=1.7")
    assert ACQUISITIONS["pi"].score(found) == pytest.approx(norm.sf(1.7, found.mean, found.std))
    assert ACQUISITIONS["mli"].score(found) == pytest.approx(norm.logsf(1.7, found.mean, found.std))


def test_min_and_max_score_against_the_best_so_far():
    low, high = scene("min"), scene("max")
    assert ACQUISITIONS["pi"].score(low) == pytest.approx(norm.cdf(0.9, low.mean, low.std))
    assert ACQUISITIONS["mli"].score(low) == pytest.approx(norm.logcdf(0.9, low.mean, low.std))
    assert ACQUISITIONS["pi"].score(high) == pytest.approx(norm.sf(0.9, high.mean, high.std))
    assert ACQUISITIONS["mli"].score(high) == pytest.approx(norm.logsf(0.9, high.mean, high.std))
    assert ACQUISITIONS["lcb"].score(high) == pytest.approx(2 * high.std + high.mean)
    assert ACQUISITIONS["mean"].score(high) == pytest.approx(high.mean)


def test_a_window_is_scored_by_the_probability_of_hitting_it():
    found = scene("0.9..1.1")
    inside = norm.cdf(1.1, found.mean, found.std) - norm.cdf(0.9, found.mean, found.std)
    assert ACQUISITIONS["pi"].score(found) == pytest.approx(inside, rel=1e-9)
    assert np.exp(ACQUISITIONS["mli"].score(found)) == pytest.approx(inside, rel=1e-9)


def test_thompson_in_a_window_draws_a_member_and_looks_for_the_middle():
    found = scene("0.9..1.1")
    drawn = int(np.random.default_rng(11).integers(len(found.members)))
    expected = np.where(found.valid[drawn], -np.abs(found.members[drawn] - 1.0), -np.inf)
    fresh = dataclasses.replace(found, rng=np.random.default_rng(11))
    assert ACQUISITIONS["thompson"].score(fresh) == pytest.approx(expected)


def test_greed_in_a_window_looks_for_its_middle():
    found = scene("0.9..1.1")
    assert ACQUISITIONS["mean"].score(found) == pytest.approx(-np.abs(found.mean - 1.0))


def test_spread_random_and_distance_look_at_nothing_else():
    found = scene()
    spread = ACQUISITIONS["std"].score(found)
    assert spread == pytest.approx(found.std)
    assert spread is not found.std
    assert ACQUISITIONS["distance"].score(found) == pytest.approx(distance_to_labelled(found.features, found.labelled))
    drawn = ACQUISITIONS["random"].score(found)
    assert drawn == pytest.approx(np.random.default_rng(11).random(40))
    assert not np.array_equal(drawn, ACQUISITIONS["random"].score(scene(rng=np.random.default_rng(12))))


@pytest.mark.parametrize("goal", ["min", "max", "<=0.4", ">=1.7", "0.9..1.1", "min 10%", "max 10%"])
@pytest.mark.parametrize("name", sorted(ACQUISITIONS))
def test_a_candidate_without_prediction_harms_no_other_and_never_looks_good(name, goal):
    whole = scene(goal)
    mean, std, members = whole.mean.copy(), whole.std.copy(), whole.members.copy()
    gone, zero = np.array([0, 7, 39]), 20
    mean[gone], std[gone], members[:, gone] = np.nan, np.nan, np.nan
    std[zero] = 0.0
    valid = whole.valid.copy()
    valid[:, gone] = False
    found = ACQUISITIONS[name].score(
        dataclasses.replace(
            whole, told=Distribution(mean, std), members=members, valid=valid, rng=np.random.default_rng(11)
        )
    )
    others = np.setdiff1d(np.arange(40), [*gone, zero])
    assert found.shape == (40,)
    assert found[others] == pytest.approx(ACQUISITIONS[name].score(scene(goal))[others])
    assert not np.isnan(found[zero])
    if name not in {"random", "distance"}:
        assert np.all(np.isnan(found[gone]) | (found[gone] == -np.inf))


@pytest.mark.parametrize("name", sorted(ACQUISITIONS))
def test_scoring_changes_nothing_that_it_is_given(name):
    found = scene()
    before = [found.mean.copy(), found.std.copy(), found.members.copy(), found.features.copy()]
    ACQUISITIONS[name].score(found)
    for old, new in zip(before, [found.mean, found.std, found.members, found.features], strict=True):
        assert np.array_equal(old, new)


# Numbers of another package ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "std", "best", "ei", "log_ei", "pi", "lcb"), BOTORCH)
def test_the_scores_are_those_of_botorch(mean, std, best, ei, log_ei, pi, lcb):
    assert one(expected_improvement, mean, std, best) == pytest.approx(ei, rel=1e-9, abs=1e-300)
    assert one(log_expected_improvement, mean, std, best) == pytest.approx(log_ei, rel=1e-11)
    assert one(probability_of_improvement, mean, std, best) == pytest.approx(pi, rel=1e-9, abs=1e-300)
    assert one(lower_confidence_bound, mean, std) == pytest.approx(lcb, rel=1e-12)


# Numerics ------------------------------------------------------------------------------------------------------------


@given(z=st.floats(-40, 40))
@settings(deadline=None, max_examples=examples_of(60))
def test_log_expected_improvement_is_exact_from_minus_to_plus_forty(z):
    assert one(log_expected_improvement, -z, 1.0, 0.0) == pytest.approx(exact_log_ei(z), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("best", [-np.inf, 0.8, np.inf])
def test_infinities_never_give_nan(best):
    mean, std = (grid.ravel() for grid in np.meshgrid([-np.inf, -1.0, 1e308, np.inf], [0.0, 1e-310, 1.0, np.inf]))
    for score in (expected_improvement, log_expected_improvement, probability_of_improvement):
        assert not np.isnan(score(mean, std, best)).any(), score.__name__
    for kappa in (0.0, 2.0):
        assert not np.isnan(lower_confidence_bound(mean, std, kappa)).any()
    for low, high in [(-np.inf, best), (best, np.inf), (-np.inf, np.inf), (0.8, 0.9)]:
        assert not np.isnan(window_likelihood(mean, std, low, high)).any()


def test_an_infinite_mean_is_certain_at_any_spread():
    mean, std = np.array([-np.inf, -np.inf, np.inf, np.inf]), np.array([1.0, np.inf, 1.0, np.inf])
    assert expected_improvement(mean, std, 0.8).tolist() == [np.inf, np.inf, 0.0, 0.0]
    assert log_expected_improvement(mean, std, 0.8).tolist() == [np.inf, np.inf, -np.inf, -np.inf]
    assert probability_of_improvement(mean, std, 0.8).tolist() == [1.0, 1.0, 0.0, 0.0]
    assert lower_confidence_bound(mean, std).tolist() == [np.inf, np.inf, -np.inf, -np.inf]
    assert window_likelihood(mean, std, -np.inf, 0.8).tolist() == [0.0, 0.0, -np.inf, -np.inf]
    assert window_likelihood(mean, std, 0.8, np.inf).tolist() == [-np.inf, -np.inf, 0.0, 0.0]


# A share of all materials --------------------------------------------------------------------------------------------


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60, unique=True),
    share=st.floats(1e-6, 1, exclude_max=True),
    gaps=st.integers(0, 3),
)
@settings(deadline=None, max_examples=examples_of(100))
def test_a_share_is_reached_by_exactly_that_many_and_by_the_best_of_them(values, share, gaps):
    known, every = np.array(values), np.array([np.nan, np.inf, np.nan][:gaps] + values)
    k = max(1, round(share * len(values)))
    for kind, sign in (("lowest", 1.0), ("highest", -1.0)):
        goal = Goal(kind, share=share)
        bounded = goal.resolved(Distribution.certain(every))
        reached = bounded.reached(known)
        assert reached.sum() == k
        assert set(np.flatnonzero(reached)) == set(np.argsort(sign * known, kind="stable")[:k])
        assert Goal.parse(str(goal)) == goal
        assert Goal.parse(str(bounded)) == bounded
        assert goal.sign == bounded.sign == sign


@given(
    means=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    spread=st.floats(1e-3, 1e3),
    certain=st.integers(0, 20),
    share=st.floats(0.01, 0.99),
)
@example(means=[0.0, 0.0, 10.0], spread=1.0, certain=2, share=0.25)
@example(means=[0.0, 0.0, 0.0, 0.0, 40.0], spread=1.0, certain=4, share=0.2)  # where the search begins is the bound
@settings(deadline=None, max_examples=examples_of(100))
def test_so_many_are_expected_to_reach_the_bound_of_a_share_and_fewer_any_harder_one(means, spread, certain, share):
    mean, std = np.array(means), np.full(len(means), spread)
    std[:certain] = 0.0
    k = max(1, round(share * len(means)))
    for kind, harder in (("lowest", -np.inf), ("highest", np.inf)):
        bounded = Goal(kind, share=share).resolved(Distribution(mean, std))
        assert expected_hits(mean, std, bounded) >= k - 1e-9
        bound = bounded.high if kind == "lowest" else bounded.low
        next_bound = np.nextafter(bound, harder)
        ends = {"high": next_bound} if kind == "lowest" else {"low": next_bound}
        assert expected_hits(mean, std, Goal(bounded.kind, **ends)) <= k + 1e-6


def test_predictions_that_shrink_give_the_bound_of_the_truth():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=5000)
    seen = truth + rng.normal(size=5000)  # so that the best prediction is half of it, with a variance of one half
    found = Goal.parse("min 10%").resolved(Distribution(0.5 * seen, np.full(5000, np.sqrt(0.5))))
    assert found.high == pytest.approx(np.quantile(truth, 0.1), abs=0.05)
    assert np.quantile(0.5 * seen, 0.1) > found.high + 0.3


def test_a_share_of_equal_values_is_reached_by_all_of_them():
    goal = Goal.parse("min 10%").resolved(Distribution.certain(np.array([1.0, 1.0, 1.0, 2.0])))
    assert goal == Goal("below", high=1.0)
    assert goal.reached(np.array([1.0, 1.0, 1.0, 2.0])).tolist() == [True, True, True, False]


@pytest.mark.parametrize("text", ["min", "max", "<=0.3", ">=2", "1..2"])
def test_a_goal_without_a_share_is_resolved_to_itself(text):
    goal = Goal.parse(text)
    assert goal.resolved(Distribution.certain(np.array([np.nan]))) is goal


def test_a_share_of_nothing_is_refused():
    with pytest.raises(SettingsError) as caught:
        Goal.parse("max 5%").resolved(Distribution.certain(np.array([np.nan, np.inf])))
    assert str(caught.value) == "goal: needs values to find the bound of 'max 5%', found none that is finite"


def test_the_bounds_are_reached_and_nan_is_not():
    values = np.array([-np.inf, 0.9, 1.0, 1.5, 2.0, 2.1, np.inf, np.nan])
    assert np.flatnonzero(Goal.parse("<=1").reached(values)).tolist() == [0, 1, 2]
    assert np.flatnonzero(Goal.parse(">=2").reached(values)).tolist() == [4, 5, 6]
    assert np.flatnonzero(Goal.parse("1..2").reached(values)).tolist() == [2, 3, 4]


@pytest.mark.parametrize("text", ["min", "max", "min 10%", "max 2.5%"])
def test_what_is_reached_needs_a_bound(text):
    ones = np.ones(2)
    for ask in (Goal.reached, lambda g, v: expected_hits(v, v, g), lambda g, v: probability_of_goal(v, v, g)):
        with pytest.raises(SettingsError) as caught:
            ask(Goal.parse(text), ones)
        assert str(caught.value) == f"goal: needs a bound to say what is reached, found '{text}'"


@pytest.mark.parametrize("name", sorted(ACQUISITIONS))
def test_a_share_scores_as_its_extreme_until_it_is_resolved_and_then_as_its_bound(name):
    assert np.array_equal(ACQUISITIONS[name].score(scene("min 10%")), ACQUISITIONS[name].score(scene("min")))
    assert np.array_equal(ACQUISITIONS[name].score(scene("max 10%")), ACQUISITIONS[name].score(scene("max")))
    found = scene()
    goal = Goal.parse("min 10%").resolved(Distribution.certain(found.mean))
    assert goal == Goal("below", high=float(np.sort(found.mean)[3]))
    by_share, by_bound = (ACQUISITIONS[name].score(scene(g)) for g in (str(goal), f"<={goal.high!r}"))
    assert np.array_equal(by_share, by_bound)
    assert Goal.parse("max 10%").best(found.mean) == int(np.argmax(found.mean))


# Hits ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["<=0.4", ">=1.7", "0.9..1.1"])
def test_hits_are_the_share_of_draws_within_the_goal(text):
    found, rng = scene(text, n=5), np.random.default_rng(0)
    draws = rng.normal(found.mean, found.std, (200_000, 5))
    naive = found.goal.reached(draws)
    assert ACQUISITIONS["hits"].score(found) == pytest.approx(naive.mean(axis=0), abs=5e-3)
    assert expected_hits(found.mean, found.std, found.goal) == pytest.approx(naive.sum(axis=1).mean(), abs=1e-2)


def test_hits_without_a_bound_are_improvements():
    for text in ("min", "max", "min 10%"):
        assert np.array_equal(ACQUISITIONS["hits"].score(scene(text)), ACQUISITIONS["pi"].score(scene(text)))


def test_hits_at_zero_spread_are_what_is_reached():
    mean = np.array([0.3, 0.4, 0.5, np.nan])
    for text in ("<=0.4", ">=0.4", "0.35..0.4"):
        goal = Goal.parse(text)
        assert probability_of_goal(mean, np.zeros(4), goal)[:3].tolist() == goal.reached(mean)[:3].tolist()
        assert expected_hits(mean, np.zeros(4), goal) == goal.reached(mean).sum()
    assert np.isnan(probability_of_goal(mean, np.zeros(4), goal)[3])
    assert expected_hits(np.array([]), np.array([]), goal) == 0.0


# Members and what is pending -----------------------------------------------------------------------------------------


def naive_member_ei(found):
    """The slow twin: a loop over candidates and members, each member with its own belief."""
    sign, scores = found.goal.sign, []
    pending = np.flatnonzero(found.pending)
    for i in range(found.members.shape[1]):
        gains = []
        for m in np.flatnonzero(found.valid[:, i]):
            edge = {"below": found.goal.high, "above": -found.goal.low}.get(found.goal.kind)
            if edge is None:
                edge = min([sign * found.best, *(sign * found.members[m, j] for j in pending if found.valid[m, j])])
            gains.append(max(edge - sign * found.members[m, i], 0.0))
        scores.append(sum(gains) / len(gains) if gains else np.nan)
    return scores


@pytest.mark.parametrize("goal", ["min", "max", "<=0.8", ">=1.2", "max 20%"])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_member_improvement_is_the_slow_loop(goal, share):
    rng = np.random.default_rng(8)
    whole = scene(goal)
    valid = rng.random(whole.members.shape) < 0.6
    valid[:, 4] = False
    found = dataclasses.replace(
        whole, members=np.where(valid, whole.members, np.nan), valid=valid, pending=rng.random(40) < share
    )
    scores = ACQUISITIONS["member_ei"].score(found)
    assert scores == pytest.approx(naive_member_ei(found), rel=1e-12, abs=1e-15, nan_ok=True)
    assert np.isnan(scores[4])
    assert np.nanmax(scores) > 0


def test_many_gaussian_members_give_the_gaussian_improvement():
    members = np.random.default_rng(0).normal(1.3, 0.4, (200_000, 1))
    found = member_expected_improvement(members, np.ones_like(members, dtype=bool), np.full(200_000, BEST))
    assert found[0] == pytest.approx(one(expected_improvement, 1.3, 0.4, BEST), rel=2e-2)


@pytest.mark.parametrize("goal", ["min", "max"])
def test_what_is_pending_is_believed_and_tightens_the_edge(goal):
    plain = scene(goal, best=1.0)
    order = np.argsort(plain.goal.sign * plain.mean)
    pending = np.zeros(40, dtype=bool)
    pending[order[[0, 5, 30]]] = True
    found = dataclasses.replace(plain, pending=pending)
    assert found.edge == plain.goal.sign * plain.mean[order[0]] < plain.edge
    for name in ("ei", "log_ei", "pi", "hits", "mli"):
        assert np.all(ACQUISITIONS[name].score(found) < ACQUISITIONS[name].score(plain)), name
    assert np.all(ACQUISITIONS["member_ei"].score(found) <= ACQUISITIONS["member_ei"].score(plain))
    assert ACQUISITIONS["mli"].score(found) == pytest.approx(np.log(ACQUISITIONS["pi"].score(found)))
    worst = np.zeros(40, dtype=bool)
    worst[order[-1]] = True
    assert dataclasses.replace(plain, pending=worst).edge == plain.edge


def test_what_is_pending_without_prediction_is_believed_to_be_nothing():
    whole = scene()
    mean, valid = whole.mean.copy(), whole.valid.copy()
    mean[3], valid[:, 3] = np.nan, False
    pending = np.arange(40) == 3
    plain = dataclasses.replace(whole, told=Distribution(mean, whole.std), valid=valid)
    found = dataclasses.replace(plain, pending=pending)
    assert found.edge == whole.best
    assert np.array_equal(
        ACQUISITIONS["member_ei"].score(found), ACQUISITIONS["member_ei"].score(plain), equal_nan=True
    )


def test_a_bound_is_not_moved_by_what_is_pending():
    for goal in ("<=0.4", ">=1.7"):
        plain, found = scene(goal), scene(goal, pending=np.ones(40, dtype=bool))
        for name in ("ei", "pi", "hits", "mli", "member_ei"):
            assert np.array_equal(ACQUISITIONS[name].score(found), ACQUISITIONS[name].score(plain)), name


def test_the_distance_counts_what_is_pending_as_labelled():
    pending = np.arange(40) == 7
    found = scene(pending=pending)
    scores = ACQUISITIONS["distance"].score(found)
    naive = distance_to_labelled(found.features, np.vstack([found.labelled, found.features[pending]]))
    assert np.array_equal(scores, naive)
    assert scores[7] == 0.0 < ACQUISITIONS["distance"].score(scene())[7]
