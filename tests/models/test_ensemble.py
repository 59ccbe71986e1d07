"""The ensemble: what each member saw, what it predicts, what the members say together, and that nothing invalid is averaged."""

import re

import naive
import numpy as np
import pandas as pd
import pytest

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.calibration import calibrate
from sisso_sal.models.correction import FEWEST
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.models.validation import cross_validate

SMALL = {"rung": 1, "dim": 2, "n_sis": 6, "n_residual": 2, "operators": ("add", "sub", "mult", "div", "sq", "sqrt")}


def table(n=40, seed=0, noise=0.3):
    """Five positive columns, samples in order of the target (which is the ensemble's own order)."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 3, (n, 5))
    y = X[:, 0] * X[:, 1] - 2.0 * X[:, 2] + noise * rng.normal(0, 1, n)
    order = np.argsort(y)
    return pd.DataFrame(X[order], columns=list("abcde")), y[order]


def columns_of(X):
    return {name: X[name].to_numpy() for name in X.columns}


def formulas(model):
    return [str(term.expression) for term in model.terms]


def test_a_member_draws_as_many_samples_as_there_are_with_replacement(drawn):
    SISSOEnsemble(members=60, **SMALL, dropout=0.4).fit(*table(n=50))
    counts = np.array([problem.weights for problem in drawn])
    assert (counts.sum(axis=1) == 50).all()
    assert np.array_equal(counts, np.round(counts))
    seen = (counts > 0).mean()
    assert seen == pytest.approx(1 - (1 - 1 / 50) ** 50, abs=0.02)
    assert len({row.tobytes() for row in counts}) == 60


@pytest.mark.parametrize(("dropout", "expected"), [(0.0, 0), (0.2, 1), (0.4, 2), (0.8, 4), (0.99, 4)])
def test_a_member_goes_without_the_share_asked_for_but_keeps_one(dropout, expected):
    ensemble = SISSOEnsemble(members=6, **SMALL, dropout=dropout).fit(*table())
    assert [len(names) for names in ensemble.dropped_] == [expected] * 6


def test_dropped_primaries_never_occur_in_a_member():
    ensemble = SISSOEnsemble(members=25, **SMALL, dropout=0.4).fit(*table())
    for member, dropped in zip(ensemble.members_, ensemble.dropped_, strict=True):
        assert not set(member.primaries()) & set(dropped)
    assert set().union(*ensemble.dropped_) == set("abcde")
    assert len(set(ensemble.dropped_)) > 4


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_members_equal_single_fits_on_repeated_rows(drawn, fit_intercept):
    X, y = table()
    settings = {**SMALL, "fit_intercept": fit_intercept}
    ensemble = SISSOEnsemble(members=8, **settings, dropout=0.4).fit(X, y)
    for member, problem, dropped in zip(ensemble.members_, drawn, ensemble.dropped_, strict=True):
        rows = np.repeat(np.arange(len(y)), problem.weights.astype(int))
        single = SISSORegressor(**settings).fit(X.drop(columns=list(dropped)).iloc[rows], y[rows]).model_
        assert formulas(member) == formulas(single)
        np.testing.assert_allclose(
            [t.coefficient for t in member.terms], [t.coefficient for t in single.terms], rtol=1e-8
        )
        assert member.intercept == pytest.approx(single.intercept, rel=1e-8, abs=1e-12)
        assert member.rmse == pytest.approx(single.rmse, rel=1e-8)
        assert member.max_abs_error == pytest.approx(single.max_abs_error, rel=1e-8)
        assert [(t.low, t.high) for t in member.terms] == [(t.low, t.high) for t in single.terms]


def test_out_of_bag_values_recomputed_sample_by_sample(drawn):
    X, y = table()
    ensemble = SISSOEnsemble(members=7, **SMALL, correction="none").fit(X, y)
    mean, spread = naive.out_of_bag(ensemble.members_, [problem.weights for problem in drawn], columns_of(X))
    np.testing.assert_allclose(ensemble.oob_mean_, mean, rtol=1e-12)
    np.testing.assert_allclose(ensemble.oob_std_, spread, rtol=1e-10)
    assert np.isfinite(mean).all()  # each label is left out by a member at least
    assert 0 < np.isnan(spread).sum() < len(y)  # one alone has no spread


def test_an_invalid_out_of_bag_prediction_is_not_averaged(drawn):
    """An outlier lies far outside the training range of every member that did not see it."""
    X, y = table()
    X.iloc[3] *= 40.0
    settings = {"rung": 0, "dim": 2, "n_sis": 5, "adapt": False, "correction": "none"}
    ensemble = SISSOEnsemble(members=9, **settings, random_state=2).fit(X, y)
    unseen = np.array([problem.weights == 0 for problem in drawn])
    valid = ensemble.predict_distribution(X).valid
    assert unseen[:, 3].sum() == 5
    assert not (unseen & valid)[:, 3].any()
    mean, spread = naive.out_of_bag(ensemble.members_, [problem.weights for problem in drawn], columns_of(X))
    np.testing.assert_allclose(ensemble.oob_mean_, mean, rtol=1e-12)
    np.testing.assert_allclose(ensemble.oob_std_, spread, rtol=1e-10)
    assert np.isnan(ensemble.oob_mean_[3])


def test_out_of_bag_values_follow_the_rows():
    X, y = table()
    ensemble = SISSOEnsemble(members=7, **SMALL).fit(X, y)
    rows = np.random.default_rng(0).permutation(len(y))
    shuffled = SISSOEnsemble(members=7, **SMALL).fit(X.iloc[rows], y[rows])
    np.testing.assert_array_equal(shuffled.oob_mean_, ensemble.oob_mean_[rows])


@pytest.mark.parametrize("correction", ["none", "both"])
@pytest.mark.parametrize("kind", ["none", "scale", "isotonic"])
def test_calibration_is_that_of_the_out_of_bag_errors(kind, correction):
    X, y = table()
    ensemble = SISSOEnsemble(members=12, **SMALL, recalibrate=kind, correction=correction).fit(X, y)
    known = np.isfinite(ensemble.oob_mean_)
    figures, recalibration = calibrate(y, ensemble.oob_mean_, ensemble.oob_std_, kind)
    assert ensemble.calibration_.kind == figures.kind == ensemble.recalibration_.kind == kind
    numbers = {name: value for name, value in figures.as_dict().items() if name != "kind"}
    assert {name: ensemble.calibration_.as_dict()[name] for name in numbers} == pytest.approx(numbers, rel=1e-9)
    p = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(
        ensemble.recalibration_.shape.quantile(p), recalibration.shape.quantile(p), rtol=1e-7, atol=1e-9
    )
    assert known.all()
    assert ensemble.calibration_.n == np.isfinite(ensemble.oob_std_).sum() > 36
    z = (y - ensemble.oob_mean_) / ensemble.oob_std_
    if kind == "scale":
        assert ensemble.calibration_.scale == pytest.approx(np.sqrt(np.nanmean(z**2)), rel=1e-12)
    same = ensemble.formula_calibration_ == ensemble.calibration_
    assert same == (correction == "none")


@pytest.mark.parametrize("seed", range(6))
def test_two_members_leave_every_label_out_once_but_few_twice_and_that_is_no_error(seed):
    X, y = table(n=8)
    ensemble = SISSOEnsemble(members=2, rung=0, dim=1, n_sis=3, random_state=seed, correction="none").fit(X, y)
    said = np.array([member.predict(columns_of(X))[1] for member in ensemble.members_])
    assert np.isfinite(ensemble.oob_mean_)[said.all(axis=0)].all()
    twice = np.isfinite(ensemble.oob_std_)
    assert twice.sum() < 5
    assert (ensemble.calibration_ is None) == (not twice.any())


def test_a_sample_of_weight_zero_is_never_out_of_bag():
    X, y = table()
    weights = np.ones(len(y))
    weights[::4] = 0.0
    ensemble = SISSOEnsemble(members=15, **SMALL).fit(X, y, weights)
    assert np.isnan(ensemble.oob_mean_[::4]).all()
    assert np.isfinite(ensemble.oob_mean_[1::4]).all()
    assert ensemble.n_samples_ == 30
    alone = SISSOEnsemble(members=15, **SMALL).fit(X[weights > 0], y[weights > 0])
    assert [member.to_json() for member in ensemble.members_] == [member.to_json() for member in alone.members_]


def test_weights_multiply_the_counts(drawn):
    X, y = table()
    weights = np.random.default_rng(0).uniform(0.5, 2, len(y))
    SISSOEnsemble(members=3, **SMALL).fit(X, y)
    counts = [problem.weights for problem in drawn]
    SISSOEnsemble(members=3, **SMALL).fit(X, y, weights)
    for problem, count in zip(drawn, counts, strict=True):
        np.testing.assert_array_equal(problem.weights, count * weights)


def wide(n=400, seed=1):
    """Candidates from inside the training range to far outside it."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.uniform(1, 3, (n, 5)) * np.geomspace(1, 30, n)[:, None], columns=list("abcde"))


def test_prediction_is_the_mean_and_spread_of_the_valid_members():
    ensemble = SISSOEnsemble(members=9, **SMALL, recalibrate="none", correction="none").fit(*table())
    X = wide()
    found = ensemble.predict_distribution(X)
    assert found.members.shape == found.valid.shape == (9, 400)
    kinds = set()
    for i in range(400):
        columns = {name: row[i : i + 1] for name, row in columns_of(X).items()}
        values, valid = (
            np.concatenate(parts) for parts in zip(*(m.predict(columns) for m in ensemble.members_), strict=True)
        )
        np.testing.assert_allclose(found.members[:, i], values, rtol=1e-12)
        assert found.valid[:, i].tolist() == valid.tolist()
        assert found.n_valid[i] == valid.sum()
        if valid.sum() >= 5:  # at least half of nine
            assert found.mean[i] == pytest.approx(values[valid].mean(), rel=1e-12)
            assert found.std_raw[i] == pytest.approx(values[valid].std(ddof=1), rel=1e-9)
        else:
            assert np.isnan(found.mean[i])
            assert np.isnan(found.std[i])
        kinds.add("all" if valid.all() else "none" if not valid.any() else "half" if valid.sum() >= 5 else "few")
    assert kinds == {"all", "none", "half", "few"}
    np.testing.assert_array_equal(found.std, found.std_raw)


@pytest.mark.parametrize("kind", ["none", "scale", "isotonic"])
def test_all_that_is_told_of_a_candidate_follows_from_one_distribution(kind):
    X, y = table()
    ensemble = SISSOEnsemble(members=10, **SMALL, recalibrate=kind).fit(X, y)
    found = ensemble.predict_distribution(X)
    told = ensemble.recalibration_.distribution(found.mean, found.std_raw)
    np.testing.assert_array_equal(found.told.centre, told.centre)
    np.testing.assert_array_equal(found.told.scale, told.scale)
    for p in (0.025, 0.5, 0.9):
        np.testing.assert_array_equal(found.told.quantile(p), told.quantile(p))
    np.testing.assert_array_equal(found.mean, told.estimate)
    np.testing.assert_array_equal(found.std, told.std)
    np.testing.assert_array_equal(found.interval95, told.interval(0.95))
    low, high = found.interval95
    assert (low < found.mean).all()
    assert (found.mean < high).all()
    np.testing.assert_allclose(found.told.probability(low, high), 0.95, rtol=1e-9)
    factor = found.std / found.std_raw
    if kind == "none":
        np.testing.assert_array_equal(found.std, found.std_raw)
    else:
        assert np.median(factor) != pytest.approx(1.0, abs=0.01)
    assert (np.ptp(factor) > 0.05) == (kind == "isotonic")  # widths of their own
    mean, std = ensemble.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, found.mean)
    np.testing.assert_array_equal(std, found.std)
    np.testing.assert_array_equal(ensemble.predict(X), found.mean)


def test_take_keeps_candidates_and_members_together():
    X, y = table()
    found = SISSOEnsemble(members=4, **SMALL).fit(X, y).predict_distribution(X)
    part = found.take(np.array([3, 1]))
    assert part.mean.tolist() == found.mean[[3, 1]].tolist()
    assert part.members.tolist() == found.members[:, [3, 1]].tolist()
    assert part.n_valid.tolist() == [4, 4]
    assert part.told.median.tolist() == found.told.median[[3, 1]].tolist()
    assert [end.tolist() for end in part.interval95] == [end[[3, 1]].tolist() for end in found.interval95]


def test_a_huge_prediction_of_an_invalid_member_does_no_harm():
    """exp of something far outside: 1e200 squared would overflow, were it averaged."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 2, (30, 2))
    y = np.exp(X[:, 0]) + 0.05 * rng.normal(0, 1, 30)
    ensemble = SISSOEnsemble(members=4, rung=1, dim=1, n_sis=3, operators=("exp",), dropout=0.0).fit(X, y)
    found = ensemble.predict_distribution(np.array([[460.0, 1.0], [1.0, 1.0], [5000.0, 1.0]]))
    assert np.abs(found.members[:, 0]).min() > 1e190
    assert found.n_valid.tolist() == [0, 4, 0]
    assert np.isfinite(found.mean).tolist() == [False, True, False]
    ensemble.typical_members(np.array([[460.0, 1.0], [1.0, 1.0]]))


def test_typical_members_are_those_nearest_to_the_median():
    X, y = table()
    ensemble = SISSOEnsemble(members=9, **SMALL, dropout=0.4).fit(X, y)
    found = ensemble.predict_distribution(X)
    usable = found.valid.all(axis=0)
    members = found.members[:, usable]
    distance = np.sqrt(((members - np.median(members, axis=0)) ** 2).mean(axis=1))
    expected = sorted(range(9), key=lambda i: distance[i])
    typical = ensemble.typical_members(X, count=4)
    assert [number for number, _ in typical] == expected[:4]
    np.testing.assert_allclose([size for _, size in typical], distance[expected[:4]], rtol=1e-12)
    assert len(ensemble.typical_members(X, count=100)) == 9


def test_typical_members_where_no_candidate_suits_all():
    """Each member is judged where it is valid; one that is valid nowhere is left out."""
    X, y = table()
    ensemble = SISSOEnsemble(members=9, **SMALL, dropout=0.6).fit(X, y)
    candidates = wide()
    found = ensemble.predict_distribution(candidates)
    chosen = np.flatnonzero((found.n_valid > 0) & (found.n_valid < 9))
    some = candidates.iloc[chosen]
    valid = found.valid[:, chosen]
    members = np.where(valid, found.members[:, chosen], np.nan)
    median = np.nanmedian(members, axis=0)
    expected = {}
    for i in np.flatnonzero(valid.any(axis=1)).tolist():
        expected[i] = np.sqrt(np.mean((members[i] - median)[valid[i]] ** 2))
    typical = ensemble.typical_members(some, count=9)
    assert [number for number, _ in typical] == sorted(expected, key=expected.get)
    np.testing.assert_allclose([size for _, size in typical], sorted(expected.values()), rtol=1e-12)


def test_typical_members_of_candidates_that_suit_nobody():
    X, y = table()
    ensemble = SISSOEnsemble(members=4, **SMALL).fit(X, y)
    assert ensemble.typical_members(X * 1e4) == []
    one_valid = ensemble.predict_distribution(wide())
    lonely = np.flatnonzero(one_valid.n_valid == 1)
    if len(lonely):
        typical = ensemble.typical_members(wide().iloc[lonely[:1]])
        assert typical == [(int(np.flatnonzero(one_valid.valid[:, lonely[0]])[0]), 0.0)]


def test_recurrence_is_a_share_of_members():
    ensemble = SISSOEnsemble(members=8, **SMALL, dropout=0.4).fit(*table())
    found = ensemble.recurrence()
    assert list(found) == ["primaries", "operators", "descriptors"]
    primaries = set().union(*(m.primaries() for m in ensemble.members_))
    assert found["primaries"] == {p: sum(p in m.primaries() for m in ensemble.members_) / 8 for p in primaries}
    descriptors = {f for m in ensemble.members_ for f in formulas(m)}
    assert found["descriptors"] == {f: sum(f in formulas(m) for m in ensemble.members_) / 8 for f in descriptors}
    names = [{o for t in m.terms for o in t.expression.operator_names()} for m in ensemble.members_]
    assert found["operators"] == {o: sum(o in n for n in names) / 8 for o in set().union(*names)}
    for shares in found.values():
        assert list(shares.items()) == sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    assert max(found["primaries"].values()) <= 1.0


def everything(ensemble):
    return [member.to_json() for member in ensemble.members_], ensemble.dropped_, ensemble.oob_mean_.tobytes()


def test_same_seed_same_model_other_seed_other_model():
    X, y = table()
    first, same, other = (SISSOEnsemble(members=5, **SMALL, random_state=seed).fit(X, y) for seed in (4, 4, 5))
    assert everything(first) == everything(same)
    assert everything(first)[0] != everything(other)[0]
    assert first.dropped_ != other.dropped_


def test_the_global_seed_is_not_touched():
    X, y = table()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    SISSOEnsemble(members=3, **SMALL).fit(X, y)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_more_members_leave_the_first_ones_as_they_are():
    X, y = table()
    few, many = (SISSOEnsemble(members=m, **SMALL).fit(X, y) for m in (20, 23))
    assert [m.to_json() for m in few.members_] == [m.to_json() for m in many.members_[:20]]
    assert few.dropped_ == many.dropped_[:20]


@pytest.mark.parametrize("members", [2, 4, 10, 30])
@pytest.mark.parametrize("kind", ["trees", "process", "both"])
def test_every_label_is_learned_by_the_correction_with_any_number_of_members(kind, members):
    X, y = table()
    settings = {**SMALL, "adapt": False}
    ensemble = SISSOEnsemble(members=members, **settings, correction=kind).fit(X, y)
    assert sorted(ensemble.correction_.target) == sorted(y)
    assert np.isfinite(ensemble.oob_mean_).all()
    for row in (7, 31):
        other = y.copy()
        other[row] += 5.0
        again = SISSOEnsemble(members=members, **settings, correction=kind).fit(X, other)
        assert sorted(again.correction_.target) == sorted(other)


def test_a_label_for_which_no_formula_says_anything_is_learned_as_one_for_which_they_say_the_mean(drawn):
    X, y = table()
    X.iloc[3] *= 40.0  # far outside the range of every member that did not see it
    settings = {"rung": 0, "dim": 2, "n_sis": 5, "adapt": False, "members": 9, "random_state": 2}
    ensemble = SISSOEnsemble(**settings).fit(X, y)
    unseen = np.array([problem.weights == 0 for problem in drawn])
    bare = SISSOEnsemble(**settings, correction="none").fit(X, y)
    assert unseen[:, 3].any()
    assert np.isnan(bare.oob_mean_[3])
    correction = ensemble.correction_
    assert sorted(correction.target) == sorted(y)
    row = int(np.flatnonzero(correction.target == y[3])[0])
    assert correction.formula[row] == pytest.approx(y.mean(), rel=1e-12)
    assert np.isfinite(ensemble.oob_mean_).all()


def test_members_differ():
    ensemble = SISSOEnsemble(members=6, **SMALL).fit(*table())
    assert len({str(member.to_json()) for member in ensemble.members_}) == 6


def test_every_member_sees_enough_different_samples(drawn):
    X, y = table(n=5)
    SISSOEnsemble(members=40, rung=0, dim=2, n_sis=5, dropout=0.0).fit(X, y)
    assert min(np.count_nonzero(problem.weights) for problem in drawn) == 4


def test_no_member_sees_a_constant_target(drawn):
    X, _ = table(n=12)
    y = np.zeros(12)
    y[-1] = 1.0
    SISSOEnsemble(members=20, rung=0, dim=1, n_sis=5).fit(X, y)
    assert all(np.ptp(problem.target[problem.weights > 0]) > 0 for problem in drawn)


def test_ensemble_beats_the_noise():
    X, y = table(n=120, noise=0.1)
    ensemble = SISSOEnsemble(members=15, **{**SMALL, "n_sis": 30}, dropout=0.0).fit(X, y)
    new, truth = table(n=200, seed=7, noise=0.0)
    mean, std = ensemble.predict(new, return_std=True)
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.1
    assert (std > 0).all()
    assert "a*b" in list(ensemble.recurrence()["descriptors"])[:2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": 1}, "members: needs an integer >= 2, found 1"),
        ({"members": 2.5}, "members: needs an integer >= 2, found 2.5"),
        ({"dropout": 1.0}, "dropout: needs a share from 0 to below 1, found 1.0"),
        ({"dropout": -0.1}, "dropout: needs a share from 0 to below 1, found -0.1"),
        ({"dim": 9}, "dim: needs an integer from 1 to 6, found 9"),
        ({"rung": 5}, "rung: needs an integer from 0 to 3, found 5"),
        ({"rung": 5, "adapt": False}, "rung: needs an integer from 0 to 3, found 5"),
        ({"rung": 1.5}, "rung: needs an integer from 0 to 3, found 1.5"),
        ({"target_transform": "sqrt"}, "target_transform: needs one of none, log, yeo-johnson, found 'sqrt'"),
        ({"loss": "l1"}, "loss: needs one of squared, huber, found 'l1'"),
        ({"aggregation": "mode"}, "aggregation: needs one of mean, median, found 'mode'"),
        ({"correction": "forest"}, "correction: needs one of none, trees, process, both, found 'forest'"),
        ({"recalibrate": True}, "recalibrate: needs one of none, scale, isotonic, found True"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        SISSOEnsemble(**{**SMALL, "members": 3, **settings}).fit(*table(n=10))


def test_too_few_samples_and_constant_target():
    X, y = table(n=3)
    with pytest.raises(FitError, match=r"^fit: needs at least 4 labelled samples for dim 2, found 3 samples$"):
        SISSOEnsemble(members=3, **SMALL).fit(X, y)
    X, _ = table(n=10)
    with pytest.raises(FitError, match=r"^fit: needs a target that varies, found 1 on every sample$"):
        SISSOEnsemble(members=3, **SMALL).fit(X, np.ones(10))


def law(n, noise, seed=0):
    """A product of two of six columns, and noise."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 3, (n, 6))
    return X, X[:, 0] * X[:, 1] + noise * rng.normal(0, 1, n)


def oob_mae(ensemble, y):
    return np.nanmean(np.abs(y - ensemble.oob_mean_))


def test_adapt_takes_the_choice_of_least_out_of_bag_error():
    X, y = table(n=30, noise=0.6)
    settings = {**SMALL, "rung": 2, "members": 8, "correction": "none"}
    ensemble = SISSOEnsemble(**settings).fit(X, y)
    assert {(c["rung"], c["dim"]) for c in ensemble.choices_} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    best = min(ensemble.choices_, key=lambda choice: choice["mae"])
    assert ensemble.chosen_ == {"rung": best["rung"], "dim": best["dim"], "form": "feature", "column": ""}
    told = []
    for choice in ensemble.choices_:
        fixed = {**settings, "rung": choice["rung"], "dim": choice["dim"], "adapt": False}
        alone = SISSOEnsemble(**fixed).fit(X, y)
        assert (alone.chosen_["rung"], alone.chosen_["dim"]) == (choice["rung"], choice["dim"])
        assert [(c["rung"], c["dim"]) for c in alone.choices_] == [(choice["rung"], choice["dim"])]
        error = (y - alone.oob_mean_)[np.isfinite(alone.oob_mean_)]
        assert choice["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-12)
        assert choice["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
        assert choice["mae_error"] == pytest.approx(np.abs(error).std(ddof=1) / np.sqrt(len(error)), rel=1e-12)
        told.append([member.to_json() for member in alone.members_])
    near = [one for one in ensemble.choices_ if one["mae"] <= best["mae"] + best["mae_error"]]
    assert ensemble.recommended_ == min(near, key=lambda one: (one["dim"], one["rung"]))
    chosen = told[ensemble.choices_.index(best)]
    assert [member.to_json() for member in ensemble.members_] == chosen
    assert sum(one == chosen for one in told) == 1


def test_with_few_noisy_labels_a_smaller_space_is_chosen():
    settings = {"members": 12, "rung": 2, "dim": 2, "n_sis": 20, "correction": "none", "dropout": 0.0}
    rng = np.random.default_rng(1)

    def fit(n, noise):
        X = rng.uniform(1, 3, (n, 6))
        y = (X[:, 0] + X[:, 1]) / X[:, 2] - 1.5 * X[:, 3] * X[:, 4] + noise * rng.normal(0, 1, n)
        return SISSOEnsemble(**settings).fit(X, y).chosen_

    few, many = fit(14, 2.0), fit(150, 0.02)
    assert few["rung"] * few["dim"] < many["rung"] * many["dim"] == 4


@pytest.mark.parametrize("rung", [0, 1])
def test_there_is_no_choice_of_rung_below_two(rung):
    X, y = table(n=20)
    ensemble = SISSOEnsemble(**{**SMALL, "rung": rung}, members=4, correction="none").fit(X, y)
    assert {choice["rung"] for choice in ensemble.choices_} == {rung}


def test_a_logarithm_recovers_a_planted_exponential():
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 2, (60, 4))
    y = np.exp(X[:, 0] * X[:, 1]) * np.exp(0.01 * rng.normal(0, 1, 60))
    settings = {"members": 6, "rung": 1, "dim": 1, "n_sis": 5, "dropout": 0.0, "correction": "none"}
    ensemble = SISSOEnsemble(**settings, operators=("add", "mult", "div"), target_transform="log").fit(X, y)
    for member in ensemble.members_:
        assert formulas(member) == ["x0*x1"]
        assert member.terms[0].coefficient == pytest.approx(1.0, abs=0.02)
        assert member.equation("E").startswith("log(E) =")
    inside = rng.uniform(0.6, 1.9, (100, 4))
    truth = np.exp(inside[:, 0] * inside[:, 1])
    np.testing.assert_allclose(ensemble.predict(inside), truth, rtol=0.03)
    plain = SISSOEnsemble(**settings, operators=("add", "mult", "div")).fit(X, y)
    assert oob_mae(ensemble, y) < 0.1 * oob_mae(plain, y)


def test_yeo_johnson_helps_with_a_long_tail_of_either_sign():
    rng = np.random.default_rng(3)
    X = rng.uniform(0.5, 2, (80, 3))
    y = 1.0 - np.exp(1.5 * X[:, 0] * X[:, 1] + 0.02 * rng.normal(0, 1, 80))
    settings = {"members": 6, "rung": 1, "dim": 1, "n_sis": 5, "dropout": 0.0, "correction": "none"}
    settings["operators"] = ("add", "mult", "div")
    bent, plain = (SISSOEnsemble(**settings, target_transform=kind).fit(X, y) for kind in ("yeo-johnson", "none"))
    assert oob_mae(bent, y) < 0.6 * oob_mae(plain, y)
    assert {member.link.kind for member in bent.members_} == {"yeo-johnson"}
    mean = bent.predict(X)
    usual = y > np.quantile(y, 0.1)  # the outermost are beyond what some members can say
    assert np.isfinite(mean[usual]).all()
    np.testing.assert_allclose(mean[usual], y[usual], rtol=0.3, atol=0.5)
    with pytest.raises(FitError, match=r"^transform: log needs a target above 0, found "):
        SISSOEnsemble(**settings, target_transform="log").fit(X, y)


@pytest.mark.parametrize("aggregation", ["mean", "median"])
@pytest.mark.parametrize("kind", ["none", "log", "yeo-johnson"])
def test_a_target_in_another_unit_gives_predictions_in_that_unit(kind, aggregation):
    X, y = table(noise=0.1)
    y = np.exp(0.3 * y)
    settings = {"members": 6, **SMALL, "target_transform": kind, "aggregation": aggregation, "correction": "none"}
    one, thousand = (SISSOEnsemble(**settings).fit(X, factor * y).predict_distribution(X) for factor in (1.0, 1e3))
    np.testing.assert_array_equal(thousand.valid, one.valid)
    assert np.isfinite(one.mean).sum() >= 39  # the outermost may be beyond what some members can say
    for name in ("mean", "std", "std_raw", "interval95", "members"):
        np.testing.assert_allclose(getattr(thousand, name), 1e3 * np.array(getattr(one, name)), rtol=1e-5)


def test_one_gross_outlier_moves_a_robust_fit_less():
    X, y = law(60, 0.05)
    bad = y.copy()
    bad[17] += 40.0
    settings = {"members": 8, "rung": 1, "dim": 1, "n_sis": 5, "operators": ("mult",), "dropout": 0.0}
    off = {}
    for loss in ("squared", "huber"):
        ensemble = SISSOEnsemble(**settings, loss=loss, correction="none").fit(X, bad)
        assert all(formulas(member) == ["x0*x1"] for member in ensemble.members_)
        off[loss] = np.mean([abs(member.terms[0].coefficient - 1) for member in ensemble.members_])
    assert off["huber"] < 0.1
    assert off["huber"] < 0.3 * off["squared"]
    clean = SISSOEnsemble(**settings, loss="huber", correction="none").fit(X, y)
    assert np.mean([abs(member.terms[0].coefficient - 1) for member in clean.members_]) < 0.02


def test_the_median_of_the_valid_members():
    options = {"aggregation": "median", "correction": "none", "recalibrate": "none"}
    found = SISSOEnsemble(members=9, **SMALL, **options).fit(*table()).predict_distribution(wide())
    partly = 0
    for i in range(400):
        valid = found.valid[:, i]
        if valid.sum() < 5:
            assert np.isnan(found.mean[i])
            continue
        partly += not valid.all()
        assert found.mean[i] == pytest.approx(np.median(found.members[valid, i]), rel=1e-10)
        assert found.std_raw[i] == pytest.approx(found.members[valid, i].std(ddof=1), rel=1e-9)
    assert partly > 5


def bumpy(n, seed):
    """A planted law, and a bump in the plane of two features that no short formula has."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 3, (n, 3))
    bump = 3.0 * np.exp(-8 * ((X[:, 1] - 2) ** 2 + (X[:, 2] - 2) ** 2))
    return X, 2 * X[:, 0] * X[:, 1] + bump + 0.02 * rng.normal(0, 1, n)


PLAIN = {"members": 8, "rung": 1, "dim": 2, "n_sis": 8, "operators": ("add", "mult", "div"), "dropout": 0.0}


@pytest.mark.parametrize("kind", ["trees", "process", "both"])
def test_a_correction_learns_what_formulas_miss(kind):
    X, y = bumpy(120, 0)
    new, truth = bumpy(200, 1)
    ensemble = SISSOEnsemble(**PLAIN, correction=kind).fit(X, y)
    found = ensemble.predict_distribution(new)
    assert found.told.floor == 0.0
    np.testing.assert_array_equal(found.mean, np.maximum(found.told.centre, 0.0))
    rmse, alone = (np.sqrt(np.mean((mean - truth) ** 2)) for mean in (found.mean, found.formulas_mean))
    assert rmse < 0.8 * alone
    assert ensemble.calibration_.rmse < 0.8 * ensemble.formula_calibration_.rmse
    bare = SISSOEnsemble(**PLAIN, correction="none").fit(X, y)
    np.testing.assert_array_equal(found.formulas_mean, bare.predict_distribution(new).formulas_mean)
    np.testing.assert_array_equal(found.formulas_mean, bare.predict_distribution(new).told.centre)
    assert bare.calibration_ == ensemble.formula_calibration_
    np.testing.assert_allclose(found.members.mean(axis=0), found.told.centre, rtol=1e-12)
    shift = found.members - bare.predict_distribution(new).members
    np.testing.assert_allclose(shift, np.tile(found.told.centre - found.formulas_mean, (8, 1)), atol=1e-12)


def test_what_the_correction_says_of_a_labelled_material_it_says_without_it():
    """Out-of-bag errors are those on new rows, or a little more, and not those on the rows that it was learned from."""
    X, y = bumpy(120, 0)
    y = y + 0.5 * np.random.default_rng(9).normal(0, 1, 120)
    new, truth = bumpy(400, 1)
    truth = truth + 0.5 * np.random.default_rng(8).normal(0, 1, 400)
    ensemble = SISSOEnsemble(**{**PLAIN, "members": 15}).fit(X, y)
    honest = np.sqrt(np.nanmean((ensemble.oob_mean_ - y) ** 2))
    assert np.isfinite(ensemble.oob_mean_).sum() > 110
    assert np.isfinite(ensemble.predict(new)).sum() > 390
    fresh, seen = (np.sqrt(np.nanmean((ensemble.predict(a) - b) ** 2)) for a, b in ((new, truth), (X, y)))
    assert 0.9 * fresh < honest < 1.3 * fresh
    assert seen < 0.85 * fresh


def test_the_sigma_of_a_process_grows_with_the_distance_from_what_it_knows():
    X, y = bumpy(80, 2)
    ensemble = SISSOEnsemble(**PLAIN, correction="process").fit(X, y)
    middle = np.full((6, 3), 2.0)
    middle[:, 2] += np.array([0.0, 0.6, 1.2, 1.8, 2.4, 3.0])
    found = ensemble.predict_distribution(middle)
    assert (np.diff(found.std[1:]) > 0).all()
    assert found.std[-1] > 2 * found.std[0]
    assert (np.diff(found.distance[1:]) > 0).all()


def test_fewer_than_twelve_out_of_bag_predictions_are_not_corrected():
    X, y = table(n=11)
    ensemble = SISSOEnsemble(members=30, **SMALL).fit(X, y)
    assert np.isfinite(ensemble.oob_mean_).sum() == FEWEST - 1
    assert ensemble.correction_ is None
    assert ensemble.describe(X, "y")["correction"] == "none"
    np.testing.assert_array_equal(ensemble.predict_distribution(X).formulas_mean, ensemble.predict(X))
    X, y = table(n=12)
    ensemble = SISSOEnsemble(members=30, **SMALL).fit(X, y)
    assert np.isfinite(ensemble.oob_mean_).sum() == FEWEST
    assert ensemble.describe(X, "y")["correction"] == "both"


def test_a_correction_does_not_depend_on_rows_columns_or_weights_of_zero():
    X, y = table(n=40)
    rng = np.random.default_rng(4)
    rows, columns = rng.permutation(40), rng.permutation(5)
    first = SISSOEnsemble(members=6, **SMALL).fit(X, y)
    other = SISSOEnsemble(members=6, **SMALL).fit(X.iloc[rows, columns], y[rows])
    assert other.document("y") == first.document("y")
    here, there = first.predict_distribution(X), other.predict_distribution(X.iloc[rows, columns])
    for name in ("mean", "std", "interval95", "outside", "distance", "formulas_mean"):
        expected = np.array(getattr(here, name))[..., rows]
        np.testing.assert_array_equal(getattr(there, name), expected, err_msg=name)
    more = pd.concat([X, 2 * X[:5]], ignore_index=True)
    weights = np.r_[np.ones(40), np.zeros(5)]
    padded = SISSOEnsemble(members=6, **SMALL).fit(more, np.r_[y, np.zeros(5)], weights)
    assert padded.document("y") == first.document("y")


def test_without_enough_valid_members_there_is_no_prediction_corrected_or_not():
    ensemble = SISSOEnsemble(members=9, **SMALL).fit(*table())
    assert ensemble.correction_ is not None
    found = ensemble.predict_distribution(wide())
    few = found.n_valid < 5
    assert 0 < few.sum() < 400
    for values in (found.mean, found.std, found.std_raw, *found.interval95, found.told.median, found.formulas_mean):
        np.testing.assert_array_equal(np.isnan(values), few)
    bare = SISSOEnsemble(members=9, **SMALL, correction="none").fit(*table()).predict_distribution(wide())
    np.testing.assert_array_equal(bare.valid, found.valid)
    np.testing.assert_array_equal(bare.members[:, few], found.members[:, few])


def test_a_material_with_an_unknown_feature_or_one_beyond_all_bounds():
    """A feature that no formula uses is still one that the correction wants to know."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 3, (40, 2))
    ensemble = SISSOEnsemble(members=4, rung=1, dim=1, n_sis=2, operators=("sq",), dropout=0.0).fit(X, X[:, 0] ** 2)
    rows = np.array([[2.0, 2.0], [2.0, np.nan], [2.0, np.inf], [2.0, 1e300]])
    found = ensemble.predict_distribution({"x0": rows[:, 0], "x1": rows[:, 1]})
    assert np.isfinite(found.formulas_mean).all()
    assert np.isfinite(found.mean).tolist() == [True, False, False, True]
    assert np.isfinite(found.std).tolist() == [True, False, False, True]


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_intervals_cover_what_they_say_of_new_materials(level):
    """On average over tables. Fewer members speak out of bag than of new samples, so a little more is covered."""
    covered = []
    for seed in range(12):
        X, y = law(40, 0.5, seed=seed)
        settings = {**PLAIN, "dim": 1, "correction": "none", "adapt": False, "random_state": seed}
        ensemble = SISSOEnsemble(**settings).fit(X, y)
        new, truth = law(300, 0.5, seed=100 + seed)
        low, high = ensemble.predict_distribution(new).told.interval(level)
        covered.append(np.mean((low <= truth) & (truth <= high)))
    assert level - 0.02 < np.mean(covered) < level + 0.17


def test_labels_of_fewer_than_twelve_materials_recalibrate_nothing():
    X, y = table(n=11)
    ensemble = SISSOEnsemble(members=30, **SMALL).fit(X, y)
    found = ensemble.predict_distribution(X)
    assert ensemble.recalibration_ == Recalibration()
    assert ensemble.calibration_.kind == "none"
    np.testing.assert_array_equal(found.std, found.std_raw)
    np.testing.assert_allclose(found.interval95[1], found.mean + 1.959963984540054 * found.std_raw, rtol=1e-12)
    again = SISSOEnsemble(members=30, **SMALL).fit(*table(n=12))
    assert again.recalibration_.kind == again.calibration_.kind == "isotonic"


def test_outside_is_the_share_of_members_that_extrapolate():
    X, y = table()
    ensemble = SISSOEnsemble(members=7, **SMALL, dropout=0.4).fit(X, y)
    candidates = wide()
    found = ensemble.predict_distribution(candidates)
    counts = np.zeros(400)
    for member in ensemble.members_:
        beyond = np.zeros(400, dtype=bool)
        for term, values in zip(member.terms, member.descriptors(columns_of(candidates)), strict=True):
            beyond |= ~((values >= term.low) & (values <= term.high))
        counts += beyond
    np.testing.assert_allclose(found.outside, counts / 7, rtol=1e-15)
    assert {0, 7} < set(counts)


def test_distance_is_measured_in_steps_between_labelled_materials():
    X, y = table(n=25)
    weights = np.ones(25)
    weights[3] = 0.0
    ensemble = SISSOEnsemble(members=4, **SMALL).fit(X, y, weights)
    labelled = X.to_numpy()[weights > 0]
    at_home = ensemble.predict_distribution(X).distance
    assert (at_home[weights > 0] == 0).all()
    assert at_home[3] > 0.1
    candidates = wide(60)
    expected = naive.relative_distance(candidates.to_numpy(), labelled)
    np.testing.assert_allclose(ensemble.predict_distribution(candidates).distance, expected, rtol=1e-10)
    assert np.isnan(ensemble.predict_distribution({name: np.array([np.nan]) for name in "abcde"}).distance[0])


def test_a_description_tells_what_was_chosen():
    X, y = table()
    ensemble = SISSOEnsemble(members=6, **SMALL, recalibrate="none").fit(X, y)
    told = ensemble.describe(X, "y", "eV")
    assert (told["rung"], told["dim"]) == (ensemble.chosen_["rung"], ensemble.chosen_["dim"])
    assert (told["choices"], told["correction"], told["sigma"]) == (ensemble.choices_, "both", "raw")
    assert told["calibration"] == ensemble.calibration_.as_dict()
    assert told["formula_calibration"]["mae"] == ensemble.formula_calibration_.mae
    assert sum(one["n_members"] for one in told["typical"]) <= 6
    scaled = SISSOEnsemble(members=6, **SMALL).fit(X, y).describe(X, "y", "eV")
    assert scaled["sigma"] == "recalibrated"


def test_a_handful_of_labels_is_enough():
    X, y = table(n=5)
    ensemble = SISSOEnsemble(members=3, rung=0, dim=3, n_sis=3, correction="none").fit(X, y)
    assert len(ensemble.members_) == 3


def test_a_fold_without_variation_is_refused_and_not_drawn_for_ever():
    X, y = table(n=12)
    y = np.where(np.arange(12) == 4, 1.0, 0.0)
    message = "fit: needs a target that varies over the samples that are seen, found 11 alike"
    with pytest.raises(FitError, match=re.escape(message)):
        cross_validate(SISSOEnsemble(members=3, rung=0, dim=1, n_sis=3), X, y, folds=12)


# Compositions ---------------------------------------------------------------------------------------------------------


def kin(n=60):
    """A table whose target also depends on which of two elements a material has, and the shares of the elements."""
    X, y = table(n=n)
    metal = np.random.default_rng(4).random(n) < 0.5
    return X, y + 3.0 * metal, np.column_stack([0.4 * metal, 0.4 * ~metal, np.full(n, 0.6)])


def test_compositions_help_where_the_elements_matter_and_change_no_formula():
    X, y, shares = kin()
    settings = {"members": 6, **SMALL, "random_state": 1}
    known, unknown = SISSOEnsemble(**settings).fit(X, y, composition=shares), SISSOEnsemble(**settings).fit(X, y)
    assert [formulas(m) for m in known.members_] == [formulas(m) for m in unknown.members_]
    assert known.calibration_.mae < 0.9 * unknown.calibration_.mae
    assert known.formula_calibration_ == unknown.formula_calibration_
    mean = known.predict_distribution(columns_of(X), shares).mean
    assert np.abs(mean - y).mean() < np.abs(unknown.predict(X) - y).mean()
    # Without compositions of the candidates the rest of the correction speaks.
    assert np.array_equal(known.predict(X), unknown.predict(X))


def test_rows_in_another_order_have_the_same_predictions_with_compositions():
    X, y, shares = kin()
    order = np.random.default_rng(0).permutation(len(y))
    first = SISSOEnsemble(members=4, **SMALL).fit(X, y, composition=shares)
    second = SISSOEnsemble(members=4, **SMALL).fit(X.iloc[order], y[order], composition=shares[order])
    found = first.predict_distribution(columns_of(X), shares)
    again = second.predict_distribution(columns_of(X), shares)
    assert np.array_equal(found.mean, again.mean)
    assert np.array_equal(found.std, again.std)


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        (np.ones((59, 3)), r"composition: needs 60 x n_elements finite shares, found an array of shape \(59, 3\)"),
        (np.ones(60), r"composition: needs 60 x n_elements finite shares, found an array of shape \(60,\)"),
        (
            np.full((60, 3), np.nan),
            r"composition: needs 60 x n_elements finite shares, found an array of shape \(60, 3\)",
        ),
    ],
)
def test_compositions_that_do_not_fit_are_refused(shares, told):
    X, y, _ = kin()
    with pytest.raises(FitError, match=f"^{told}$"):
        SISSOEnsemble(members=4, **SMALL).fit(X, y, composition=shares)


def test_compositions_of_other_elements_are_refused_in_prediction():
    X, y, shares = kin()
    ensemble = SISSOEnsemble(members=4, **SMALL).fit(X, y, composition=shares)
    with pytest.raises(FitError, match=r"^composition: needs 60 x 3 finite shares, found an array of shape \(60, 2\)$"):
        ensemble.predict_distribution(columns_of(X), shares[:, :2])


def test_cross_validation_leaves_compositions_with_their_rows():
    X, y, shares = kin()
    order = np.random.default_rng(1).permutation(len(y))
    known = cross_validate(SISSOEnsemble(members=6, **SMALL), X, y, composition=shares, folds=5)
    wrong = cross_validate(SISSOEnsemble(members=6, **SMALL), X, y, composition=shares[order], folds=5)
    assert known.calibration().mae < 0.95 * wrong.calibration().mae
