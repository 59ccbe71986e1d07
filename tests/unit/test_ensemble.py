"""The ensemble: what each member saw, what it predicts, what the members say together, and that nothing invalid is averaged."""

import re

import naive
import numpy as np
import pandas as pd
import pytest

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.uncertainty import calibrate

SMALL = {"rung": 1, "dim": 2, "n_sis": 6, "n_residual": 2, "operators": ("add", "sub", "mult", "div", "sq", "sqrt")}


def table(n=40, seed=0, noise=0.3):
    """Five positive columns, samples in order of the target (which is the ensemble's own order)."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 3, (n, 5))
    y = X[:, 0] * X[:, 1] - 2.0 * X[:, 2] + noise * rng.normal(0, 1, n)
    order = np.argsort(y)
    return pd.DataFrame(X[order], columns=list("abcde")), y[order]


@pytest.fixture
def drawn(monkeypatch):
    """The problems of every ensemble that is fitted in the test: their weights are the bootstrap counts."""
    problems = []
    original = SISSOEnsemble._draw

    def spy(self, *arguments):
        problems[:] = original(self, *arguments)
        return list(problems)

    monkeypatch.setattr(SISSOEnsemble, "_draw", spy)
    return problems


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
    ensemble = SISSOEnsemble(members=7, **SMALL).fit(X, y)
    mean, spread = naive.out_of_bag(ensemble.members_, [problem.weights for problem in drawn], columns_of(X))
    np.testing.assert_allclose(ensemble.oob_mean_, mean, rtol=1e-12)
    np.testing.assert_allclose(ensemble.oob_std_, spread, rtol=1e-10)
    assert 0 < np.isnan(mean).sum() < len(y)


def test_an_invalid_out_of_bag_prediction_is_not_averaged(drawn):
    """An outlier lies far outside the training range of every member that did not see it."""
    X, y = table()
    X.iloc[3] *= 40.0
    ensemble = SISSOEnsemble(members=9, rung=0, dim=2, n_sis=5, random_state=2).fit(X, y)
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


def test_calibration_is_that_of_the_out_of_bag_errors():
    X, y = table()
    ensemble = SISSOEnsemble(members=12, **SMALL).fit(X, y)
    known = np.isfinite(ensemble.oob_mean_)
    expected = calibrate(y[known] - ensemble.oob_mean_[known], ensemble.oob_std_[known])
    assert ensemble.calibration_ == expected
    assert ensemble.calibration_.n == known.sum()
    z = (y[known] - ensemble.oob_mean_[known]) / ensemble.oob_std_[known]
    assert ensemble.calibration_.scale == pytest.approx(np.sqrt(np.mean(z**2)), rel=1e-12)


def test_two_members_rarely_leave_anything_out_of_bag_and_that_is_no_error():
    X, y = table(n=5)
    ensemble = SISSOEnsemble(members=2, rung=0, dim=1, n_sis=3, random_state=3).fit(X, y)
    known = np.isfinite(ensemble.oob_mean_)
    assert (ensemble.calibration_ is None) == (not known.any())


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
    ensemble = SISSOEnsemble(members=9, **SMALL, recalibrate=False).fit(*table())
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


def test_recalibrated_sigma_is_the_raw_one_times_the_scale():
    X, y = table()
    ensemble = SISSOEnsemble(members=10, **SMALL).fit(X, y)
    found = ensemble.predict_distribution(X)
    assert ensemble.calibration_.scale != pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(found.std, ensemble.calibration_.scale * found.std_raw, rtol=1e-14)
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
    few, many = (SISSOEnsemble(members=m, **SMALL).fit(X, y) for m in (3, 6))
    assert [m.to_json() for m in few.members_] == [m.to_json() for m in many.members_[:3]]
    assert few.dropped_ == many.dropped_[:3]


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
