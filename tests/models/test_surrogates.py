"""The surrogates to compare with, against scikit-learn's own."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor

from sisso_sal.errors import SettingsError
from sisso_sal.models.correction import correlation_of
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.surrogates import KINDS, Forest, Process, make_surrogate

NAMES = ("a", "b", "c")


def table(n=30, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 5, (n, 3)) * [1.0, 10.0, 0.1]
    return X, np.sin(X[:, 0]) + 0.1 * X[:, 1] + rng.normal(0, 0.05, n)


def frame(X):
    return pd.DataFrame(X, columns=["a (eV)", "b", "c (AA)"])


def by_name(X):
    return dict(zip(NAMES, X.T, strict=True))


def standardised(X, like):
    return (X - like.mean(axis=0)) / like.std(axis=0)


def test_the_forest_is_scikit_learns():
    (X, y), (new, _) = table(), table(12, seed=1)
    found = Forest(seed=4).fit(frame(X), y)
    twin = RandomForestRegressor(100, oob_score=True, random_state=4).fit(X, y)
    prediction = found.predict_distribution(by_name(new))
    each = np.array([tree.predict(new) for tree in twin.estimators_])
    assert np.array_equal(prediction.members, each)
    assert prediction.mean == pytest.approx(twin.predict(new), rel=1e-12)
    assert prediction.std == pytest.approx(each.std(axis=0, ddof=1), rel=1e-12)
    assert np.array_equal(found.oob_mean_, twin.oob_prediction_)


def test_the_process_is_scikit_learns_with_the_same_kernel():
    (X, y), (new, _) = table(), table(12, seed=1)
    found = Process().fit(frame(X), y)
    twin = GaussianProcessRegressor(found._process.kernel_, optimizer=None, normalize_y=True).fit(standardised(X, X), y)
    prediction = found.predict_distribution(by_name(new))
    mean, std = twin.predict(standardised(new, X), return_std=True)
    assert prediction.mean == pytest.approx(mean, rel=1e-9)
    assert prediction.std == pytest.approx(std, rel=1e-6)
    assert prediction.mean == pytest.approx(np.sin(new[:, 0]) + 0.1 * new[:, 1], abs=0.5)


def test_out_of_bag_means_of_the_process_are_those_of_fits_without_each_row():
    X, y = table()
    found = Process().fit(frame(X), y)
    rows, scaled = standardised(X, X), (y - y.mean()) / y.std()
    expected = np.empty(len(y))
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        twin = GaussianProcessRegressor(found._process.kernel_, optimizer=None).fit(rows[others], scaled[others])
        expected[i] = y.mean() + y.std() * twin.predict(rows[i : i + 1])[0]
    assert found.oob_mean_ == pytest.approx(expected, rel=1e-6)
    assert np.abs(found.oob_mean_ - y).max() > 0.05


def test_members_of_the_process_are_draws_from_its_posterior():
    X, y = table()
    found = Process(seed=1)
    found.n_members = 4000
    prediction = found.fit(frame(X), y).predict_distribution(by_name(table(3, seed=1)[0]))
    z = (prediction.members - prediction.mean) / prediction.std
    assert z.shape == (4000, 3)
    assert z.mean(axis=0) == pytest.approx(np.zeros(3), abs=0.06)
    assert z.std(axis=0) == pytest.approx(np.ones(3), abs=0.05)


def test_the_forest_says_how_its_trees_go_together():
    (X, y), (new, _) = table(), table(12, seed=1)
    new[0] = new[7] + 0.001
    prediction = Forest().fit(frame(X), y).predict_distribution(by_name(new))
    chosen = np.array([7, 0, 3])
    assert prediction.correlation is not None
    found = prediction.correlation(chosen)
    assert np.array_equal(found, correlation_of(prediction.members[:, chosen]))
    assert found[0, 1] == pytest.approx(np.corrcoef(prediction.members[:, chosen[:2]].T)[0, 1], abs=0.1)
    assert found[0, 1] > 0.7


def test_the_process_says_how_its_posterior_goes_together():
    (X, y), (new, _) = table(), table(12, seed=1)
    new[1] = new[0] + 0.01
    found = Process().fit(frame(X), y)
    chosen = np.array([1, 5, 0])
    prediction = found.predict_distribution(by_name(new))
    twin = GaussianProcessRegressor(found._process.kernel_, optimizer=None, normalize_y=True).fit(standardised(X, X), y)
    covariance = twin.predict(standardised(new, X)[chosen], return_cov=True)[1]
    spread = np.sqrt(np.diag(covariance))
    assert prediction.correlation is not None
    assert prediction.correlation(chosen) == pytest.approx(covariance / np.outer(spread, spread), abs=1e-6)


@pytest.mark.parametrize("kind", [Forest, Process])
def test_a_surrogate_finds_its_columns_by_name(kind):
    (X, y), (new, _) = table(), table(5, seed=1)
    found = kind().fit(frame(X), y)
    shuffled = {name: by_name(new)[name] for name in ("c", "a", "b")} | {"other": np.zeros(5)}
    a, b = found.predict_distribution(by_name(new)), found.predict_distribution(shuffled)
    assert np.array_equal(a.mean, b.mean)
    assert np.array_equal(a.members, b.members)
    assert a.valid.all()
    assert a.std is a.std_raw


@pytest.mark.parametrize("kind", [Forest, Process])
def test_a_seed_decides_all(kind):
    (X, y), (new, _) = table(), table(5, seed=1)
    found = [kind(seed).fit(frame(X), y).predict_distribution(by_name(new)).members.tobytes() for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("kind", [Forest, Process])
def test_a_constant_column_and_a_constant_target_do_no_harm(kind):
    X, y = table()
    X[:, 2] = 0.1
    assert X.std(axis=0)[2] > 0.0  # by rounding alone
    new = table(5, seed=1)[0]
    new[:, 2] = 0.1
    found = kind().fit(frame(X), y)
    near = found.predict_distribution(by_name(new)).mean
    new[:, 2] = 0.11
    assert found.predict_distribution(by_name(new)).mean == pytest.approx(near, abs=0.05)
    flat = kind().fit(frame(X), np.full(len(y), 2.0))
    assert flat.predict_distribution(by_name(new)).mean == pytest.approx(np.full(5, 2.0))
    assert flat.oob_mean_ == pytest.approx(np.full(len(y), 2.0))


def test_names_make_surrogates():
    assert KINDS == ("sisso", "forest", "process")
    ensemble = make_surrogate("sisso", {"members": 7}, 5, threads=2)
    assert isinstance(ensemble, SISSOEnsemble)
    assert (ensemble.members, ensemble.random_state, ensemble.threads) == (7, 5, 2)
    assert isinstance(make_surrogate("forest", {}, 5), Forest)
    assert make_surrogate("process", {}, 5).seed == 5


def test_an_unknown_name_is_refused():
    message = "surrogate: needs one of sisso, forest, process, found 'tree'"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        make_surrogate("tree", {}, 0)
