"""A fitted estimator is data: copies and pickles of it predict the same digits."""

import copy
import pickle
from dataclasses import fields
from functools import cache

import joblib
import numpy as np
import pandas as pd
import pytest

from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.protocols import Prediction

SMALL = {"rung": 1, "dim": 2, "n_sis": 6, "n_residual": 2, "threads": 1}


def table(n, seed):
    """Features, a positive target, and shares of three elements."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(0.5, 2.0, (n, 4)), columns=["a (eV)", "b (eV)", "c", "d"])
    shares = rng.dirichlet(np.ones(3), n)
    y = X["a (eV)"] * X["c"] + 0.5 * shares[:, 0] + rng.normal(0, 0.1, n)
    return X, y.to_numpy() + 1.0, shares


def by_pickle(estimator, folder):
    return pickle.loads(pickle.dumps(estimator))


def by_joblib(estimator, folder):
    joblib.dump(estimator, folder / "estimator")
    return joblib.load(folder / "estimator")


def by_deepcopy(estimator, folder):
    return copy.deepcopy(estimator)


def said(ensemble, X, composition):
    """Everything that an ensemble predicts and tells, as bytes and text."""
    prediction = ensemble.predict_distribution(X, composition)
    names = ("mean", "std", "std_raw", "members", "valid", "interval95", "formulas_mean", "outside", "distance")
    return (
        *(np.array(getattr(prediction, name)).tobytes() for name in names),
        ensemble.oob_mean_.tobytes(),
        ensemble.oob_std_.tobytes(),
        ensemble.describe(X, "y", "eV"),
        ensemble.document("y", "eV"),
    )


@cache
def fitted(correction, knows_composition, is_robust):
    X, y, shares = table(30, 0)
    options = {"target_transform": "yeo-johnson", "loss": "huber", "recalibrate": "scale"} if is_robust else {}
    ensemble = SISSOEnsemble(members=5, **SMALL, correction=correction, **options)
    return ensemble.fit(X, y, composition=shares if knows_composition else None)


@pytest.mark.parametrize("copied", [by_pickle, by_joblib, by_deepcopy])
@pytest.mark.parametrize("is_robust", [False, True])
@pytest.mark.parametrize("knows_composition", [False, True])
@pytest.mark.parametrize("correction", ["none", "trees", "process", "both"])
def test_a_copy_of_an_ensemble_predicts_the_same_digits(correction, knows_composition, is_robust, copied, tmp_path):
    ensemble = fitted(correction, knows_composition, is_robust)
    assert (ensemble.correction_ is None) == (correction == "none")
    new, _, shares = table(20, 1)
    composition = shares if knows_composition else None
    again = copied(ensemble, tmp_path)
    assert again is not ensemble
    assert said(again, new, composition) == said(ensemble, new, composition)


@pytest.mark.parametrize("copied", [by_pickle, by_joblib, by_deepcopy])
@pytest.mark.parametrize("knows_composition", [False, True])
@pytest.mark.parametrize("correction", ["none", "both"])
def test_a_copy_of_a_prediction_has_the_same_digits(correction, knows_composition, copied, tmp_path):
    ensemble = fitted(correction, knows_composition, False)
    new, _, shares = table(20, 1)
    new.loc[3, "c"] = 0.0
    whole = ensemble.predict_distribution(new, shares if knows_composition else None)
    some = np.array([7, 2, 3, 11, 0])
    for prediction in (whole, whole.take(some)):
        again = copied(prediction, tmp_path)
        for field in fields(Prediction):
            if field.name != "distribution":
                one, other = getattr(again, field.name), getattr(prediction, field.name)
                assert (one is other is None) or one.tobytes() == other.tobytes(), field.name
        for p in (0.0, 0.025, 0.5, 0.9):
            assert again.told.quantile(p).tobytes() == prediction.told.quantile(p).tobytes()
        assert again.reason.tolist() == prediction.reason.tolist()


@pytest.mark.parametrize("copied", [by_pickle, by_joblib, by_deepcopy])
def test_a_copy_of_a_regressor_predicts_the_same_digits(copied, tmp_path):
    X, y, _ = table(30, 0)
    new, _, _ = table(20, 1)
    model = SISSORegressor(**SMALL).fit(X, y)
    again = copied(model, tmp_path)
    assert again.predict(new).tobytes() == model.predict(new).tobytes()
    assert again.document("y") == model.document("y")
    assert again.models_ == model.models_
