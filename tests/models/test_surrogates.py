"""The surrogates to compare with, against scikit-learn's own."""

import copy
import io
import pickle
import re
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
from naive_process import twin_process
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from sisso_sal.data.table import Table
from sisso_sal.errors import SettingsError
from sisso_sal.models import correction, trees
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.files import model_document
from sisso_sal.models.inputs import label_weights
from sisso_sal.models.likelihood import Likelihood
from sisso_sal.models.no_formulas import NoFormulas
from sisso_sal.models.registry import SURROGATES, make_surrogate
from sisso_sal.models.sisso import SISSO
from sisso_sal.models.surrogates import ExtraTrees, Forest, Process
from sisso_sal.oxides.elements import atomic_fractions, element_data
from sisso_sal.protocols import Continues, HasOutOfBag, Surrogate
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.table import TableSpace

NAMES = ("a", "b", "c")


def table(n=30, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 5, (n, 3)) * [1.0, 10.0, 0.1]
    return X, np.sin(X[:, 0]) + 0.1 * X[:, 1] + rng.normal(0, 0.05, n)


def space_of(X, y=None, formulas=None):
    """The rows as a space of three primary features; ids are formulas, where there are any."""
    headers = {"id": "id", "y": "y (eV)", "a": "a (eV)", "b": "b", "c": "c (AA)"}
    ids = tuple(f"m{i}" for i in range(len(X))) if formulas is None else tuple(formulas)
    return TableSpace(
        Table(
            path="made.csv", ids=ids, id_name="id", feature_names=NAMES, feature_units=("eV", "", "AA"), features=X,
            target_name="y", target_unit="eV", target=y, text={"id": ids}, headers=headers,
        )
    )  # fmt: skip


def fitted(surrogate, X, y, errors=None):
    return surrogate.fit(space_of(X, y), np.arange(len(y)), y, np.zeros(len(y)) if errors is None else errors)


def predicted(surrogate, X):
    return surrogate.predict(space_of(X), np.arange(len(X)))


def standardised(X, like):
    return (X - like.mean(axis=0)) / like.std(axis=0)


def twin_of(surrogate, rows, labels, extra=1e-10, **options):
    process = surrogate._process
    return twin_process(process.kernel, process.theta, rows, labels, extra, **options)


def pickled(surrogate):
    return pickle.loads(pickle.dumps(surrogate))


def dumped(surrogate):
    file = io.BytesIO()
    joblib.dump(surrogate, file)
    file.seek(0)
    return joblib.load(file)


def test_the_forest_is_scikit_learns():
    (X, y), (new, _) = table(), table(12, seed=1)
    found = fitted(Forest(seed=4), X, y)
    twin = RandomForestRegressor(100, oob_score=True, random_state=4).fit(X, y)
    prediction = predicted(found, new)
    each = np.array([tree.predict(new) for tree in twin.estimators_])
    assert np.array_equal(prediction.members, each)
    assert prediction.mean == pytest.approx(twin.predict(new), rel=1e-12)
    assert prediction.std == pytest.approx(each.std(axis=0, ddof=1), rel=1e-12)
    assert np.array_equal(found.out_of_bag[0], twin.oob_prediction_)


def test_the_process_is_scikit_learns_with_the_same_kernel():
    (X, y), (new, _) = table(), table(12, seed=1)
    found = fitted(Process(), X, y)
    twin = twin_of(found, standardised(X, X), y)
    prediction = predicted(found, new)
    mean, std = twin.predict(standardised(new, X), return_std=True)
    assert prediction.mean == pytest.approx(mean, rel=1e-9)
    assert prediction.std == pytest.approx(std, rel=1e-6)
    assert prediction.mean == pytest.approx(np.sin(new[:, 0]) + 0.1 * new[:, 1], abs=0.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_parameters_of_the_process_are_at_least_as_likely_as_scikit_learns_from_the_same_two_starts(seed):
    X, y = table(seed=seed)
    found = fitted(Process(), X, y)
    kernel, rows, restart = found._process.kernel, standardised(X, X), {"n_restarts_optimizer": 1, "random_state": 0}
    twin = twin_process(kernel, np.zeros(5), rows, y, 1e-10, optimizer="fmin_l_bfgs_b", **restart)
    value, _ = Likelihood(kernel, rows, (y - y.mean()) / y.std(), 1e-10)(found._process.theta)
    # Where a feature says nothing, its length goes towards infinity, and where the search ends there depends on the last bits.
    assert value >= twin.log_marginal_likelihood_value_ - 1e-6


def test_out_of_bag_means_of_the_process_are_those_of_fits_without_each_row():
    X, y = table()
    found = fitted(Process(), X, y)
    rows, scaled = standardised(X, X), (y - y.mean()) / y.std()
    expected = np.empty(len(y))
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        twin = twin_of(found, rows[others], scaled[others], normalize_y=False)
        expected[i] = y.mean() + y.std() * twin.predict(rows[i : i + 1])[0]
    assert found.out_of_bag[0] == pytest.approx(expected, rel=1e-6)
    assert np.abs(found.out_of_bag[0] - y).max() > 0.05


def test_members_of_the_process_are_draws_from_its_posterior():
    X, y = table()
    found = Process(seed=1)
    found.n_members = 4000
    prediction = predicted(fitted(found, X, y), table(3, seed=1)[0])
    z = (prediction.members - prediction.mean) / prediction.std
    assert z.shape == (4000, 3)
    assert z.mean(axis=0) == pytest.approx(np.zeros(3), abs=0.06)
    assert z.std(axis=0) == pytest.approx(np.ones(3), abs=0.05)


def oxides(n=30, seed=0):
    """Rows as of `table`, and as many formulas of oxides of five metals."""
    rng = np.random.default_rng([seed, 7])
    metals = rng.choice(["Mg", "Ca", "Ti", "Zr", "Zn"], n)
    return *table(n, seed), [f"{metal}{i + 1}O{seed + 3}" for i, metal in enumerate(metals)]


def with_shares(X, formulas, elements=("O", "Mg", "Ca", "Ti", "Zn", "Zr")):
    """Features and the shares of elements, in the order of their numbers."""
    shares = atomic_fractions(tuple(formulas))
    return np.hstack([X, shares[:, [list(element_data()).index(element) for element in elements]]])


def test_trees_are_scikit_learns_extremely_randomised_trees_with_compositions():
    (X, y, formulas), (new, _, others) = oxides(), oxides(12, seed=1)
    errors = np.where(np.arange(30) % 3, 0.0, 0.1)
    found = ExtraTrees(seed=4).fit(space_of(X, y, formulas), np.arange(30), y, errors)
    prediction = found.predict(space_of(new, formulas=others), np.arange(12))
    inputs, weights = with_shares(X, formulas), label_weights(errors)
    order = np.lexsort((weights, *inputs.T[::-1], y))
    left = trees.without_last_bits(y, np.ptp(y))
    centre, spread = inputs[order].mean(axis=0), inputs[order].std(axis=0)
    twin = ExtraTreesRegressor(100, random_state=4)
    twin.fit(((inputs - centre) / spread)[order], left[order], weights[order])
    each = np.array([tree.predict((with_shares(new, others) - centre) / spread) for tree in twin.estimators_])
    assert np.array_equal(prediction.members, each)
    assert prediction.mean == pytest.approx(each.mean(axis=0), rel=1e-12)
    assert prediction.std == pytest.approx(each.std(axis=0, ddof=1), rel=1e-12)


def test_the_forest_sees_the_share_of_each_element_that_was_labelled():
    (X, y, formulas), (new, _, others) = oxides(), oxides(12, seed=1)
    found = Forest(seed=4).fit(space_of(X, y, formulas), np.arange(30), y, np.zeros(30))
    strange = [formula.replace("Mg", "Sr") for formula in others]  # strontium has no label
    prediction = found.predict(space_of(new, formulas=strange), np.arange(12))
    twin = RandomForestRegressor(100, oob_score=True, random_state=4).fit(with_shares(X, formulas), y)
    assert np.array_equal(prediction.members, [tree.predict(with_shares(new, strange)) for tree in twin.estimators_])
    assert np.array_equal(found.out_of_bag[0], twin.oob_prediction_)


def test_the_process_sees_compositions_with_one_length_for_all():
    (X, y, formulas), (new, _, others) = oxides(), oxides(12, seed=1)
    strange = [formula.replace("Mg", "Sr") for formula in others]
    found = Process().fit(space_of(X, y, formulas), np.arange(30), y, np.zeros(30))

    def inputs(X_, names):
        return np.hstack([standardised(X_, X), np.sqrt(3) * atomic_fractions(tuple(names))])

    assert (found._process.kernel.nu, found._process.kernel.n_lengths) == (1.5, 1)
    twin = twin_of(found, inputs(X, formulas), y)
    mean, std = twin.predict(inputs(new, strange), return_std=True)
    prediction = found.predict(space_of(new, formulas=strange), np.arange(12))
    assert prediction.mean == pytest.approx(mean, rel=1e-9)
    assert prediction.std == pytest.approx(std, rel=1e-6)
    told = found.predict(space_of(new, formulas=others), np.arange(12))
    changed = np.array(["Sr" in name for name in strange])
    assert (told.mean[changed] != prediction.mean[changed]).all()
    assert np.array_equal(told.mean[~changed], prediction.mean[~changed])


@pytest.mark.parametrize("kind", [ExtraTrees, NoFormulas])
def test_the_order_of_rows_and_columns_changes_no_bit(kind):
    (X, y, formulas), (new, _, others) = oxides(), oxides(12, seed=1)
    whole, target = space_of(X, y, formulas), space_of(new, formulas=others)
    mixed = np.random.default_rng(2).permutation(30)
    columns = [2, 0, 1]

    def turned(space):
        names, units = (
            tuple(getattr(space.table, name)[i] for i in columns) for name in ("feature_names", "feature_units")
        )
        features = np.asarray(space.table.features)[:, columns]
        return TableSpace(replace(space.table, feature_names=names, feature_units=units, features=features))

    first = kind(seed=3).fit(whole, np.arange(30), y, np.zeros(30))
    again = kind(seed=3).fit(turned(whole), mixed, y[mixed], np.zeros(30))
    one, other = first.predict(target, np.arange(12)), again.predict(turned(target), np.arange(12)[::-1])
    assert np.array_equal(one.mean, other.mean[::-1])
    assert np.array_equal(one.std, other.std[::-1])


@pytest.mark.parametrize("kind", [ExtraTrees, NoFormulas])
def test_where_a_feature_is_not_finite_there_is_no_prediction(kind):
    X, y = table()
    new = table(5, seed=1)[0]
    new[2, 1] = np.nan
    prediction = predicted(fitted(kind(), X, y), new)
    assert np.isnan(prediction.mean).tolist() == [False, False, True, False, False]
    assert (prediction.n_valid[2], prediction.n_valid[0]) == (0, len(prediction.members))


@pytest.mark.parametrize("kind", [Forest, Process])
def test_a_surrogate_fits_the_seam_and_its_members_are_valid_everywhere(kind):
    (X, y), (new, _) = table(), table(5, seed=1)
    surrogate = fitted(kind(), X, y)
    assert isinstance(surrogate, Surrogate)
    assert isinstance(surrogate, HasOutOfBag)
    prediction = predicted(surrogate, new)
    assert prediction.valid.all()
    assert prediction.std is prediction.std_raw


@pytest.mark.parametrize("kind", [Forest, Process, ExtraTrees, NoFormulas])
def test_only_the_rows_that_are_named_are_learned_and_predicted(kind):
    X, y = table()
    some, others = np.arange(0, 30, 2), np.arange(1, 30, 2)
    space = space_of(X, y)
    part = kind().fit(space, some, y[some], np.zeros(15)).predict(space, others)
    alone = predicted(fitted(kind(), X[some], y[some]), X[others])
    assert np.array_equal(part.mean, alone.mean)
    assert np.array_equal(part.std, alone.std)


def test_labels_with_errors_have_the_weights_of_scikit_learns_forest():
    (X, y), (new, _) = table(), table(12, seed=1)
    errors = np.where(np.arange(len(y)) % 3, 0.0, np.linspace(0.1, 2.0, len(y)))
    found = fitted(Forest(seed=4), X, y, errors)
    twin = RandomForestRegressor(100, oob_score=True, random_state=4).fit(X, y, label_weights(errors))
    assert np.array_equal(predicted(found, new).members, [tree.predict(new) for tree in twin.estimators_])
    assert np.array_equal(found.out_of_bag[0], twin.oob_prediction_)


def test_a_label_with_a_large_error_counts_less():
    X, y = table()
    errors, moved = np.zeros(len(y)), y.copy()
    errors[3], moved[3] = 50.0, y[3] + 5.0
    plain, aware = (predicted(fitted(Process(), X, moved, given), X).mean[3] for given in (None, errors))
    assert abs(aware - y[3]) < abs(plain - y[3])


def test_the_error_of_a_label_is_noise_of_the_process():
    X, y = table()
    errors = np.where(np.arange(len(y)) < 3, 0.5, 0.0)
    found = fitted(Process(), X, y, errors)
    twin = twin_of(found, standardised(X, X), y, 1e-10 + (errors / y.std()) ** 2)
    assert predicted(found, X).mean == pytest.approx(twin.predict(standardised(X, X)), rel=1e-9)


def test_errors_of_labels_become_weights():
    """1 / (1 + (s / s0)^2), with s0 the median error of those that have one."""
    errors = np.array([0.0, 0.2, 0.4, 0.8, 0.0])
    assert label_weights(errors) == pytest.approx([1, 1 / 1.25, 1 / 2, 1 / 5, 1], rel=1e-14)


def test_the_ensemble_as_a_surrogate_is_the_ensemble():
    X, y = table()
    errors = np.where(np.arange(30) % 2, 0.1, 0.0)
    settings = CampaignSettings.model_validate(
        {"model": {"rung": 1, "dim": 1, "n_sis": 5}, "ensemble": {"members": 4}, "seed": 3}
    )
    surrogate = fitted(make_surrogate(settings, 3, threads=1), X, y, errors)
    parameters = (
        settings.model.completed(ensemble=True).estimator_parameters() | settings.ensemble.estimator_parameters()
    )
    frame = pd.DataFrame(X, columns=["a (eV)", "b", "c (AA)"])
    alone = SISSOEnsemble(**parameters, threads=1, random_state=3).fit(frame, y, errors=errors)
    assert SURROGATES["sisso"].fewest_labels(settings) == (3, " for dim 1")
    assert np.array_equal(predicted(surrogate, X).mean, alone.predict_distribution(frame).mean)
    assert np.array_equal(surrogate.out_of_bag[0], alone.oob_mean_, equal_nan=True)
    assert surrogate.document(space_of(X, y)) == model_document(alone, "y", "eV")
    assert surrogate.describe(space_of(X, y)) == alone.describe(frame, "y", "eV")


def test_the_ensemble_begins_where_an_earlier_one_ended(monkeypatch):
    monkeypatch.setattr(correction, "HANDED_OVER_FROM", 25)
    X, y = table(31)
    settings = CampaignSettings.model_validate({"model": {"rung": 1, "dim": 1, "n_sis": 5}})
    first, fresh, later = (make_surrogate(settings, 3, threads=1) for _ in range(3))
    assert isinstance(first, Continues)
    fitted(first, X[:30], y[:30])
    later.begin_from(first.handover())
    fitted(fresh, X, y)
    fitted(later, X, y)
    assert fresh.handover()["n_fresh"] == len(fresh.model.correction.target)
    assert later.handover()["n_fresh"] == len(first.model.correction.target)
    assert later.handover()["theta"] != fresh.handover()["theta"]
    assert predicted(later, X).mean == pytest.approx(predicted(fresh, X).mean, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("make", [pickled, dumped, copy.deepcopy])
@pytest.mark.parametrize("kind", [Forest, Process, ExtraTrees, NoFormulas])
def test_a_copy_predicts_the_same_digits(kind, make):
    (X, y), (new, _) = table(), table(5, seed=1)
    surrogate = fitted(kind(), X, y)
    first, again = predicted(surrogate, new), predicted(make(surrogate), new)
    assert np.array_equal(first.members, again.members)


@pytest.mark.parametrize("kind", [Forest, Process, ExtraTrees, NoFormulas])
def test_a_seed_decides_all(kind):
    (X, y), (new, _) = table(), table(5, seed=1)
    found = [predicted(fitted(kind(seed=seed), X, y), new).members.tobytes() for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("kind", [Forest, Process, ExtraTrees, NoFormulas])
def test_a_constant_column_and_a_constant_target_do_no_harm(kind):
    X, y = table()
    X[:, 2] = 0.1
    assert X.std(axis=0)[2] > 0.0  # by rounding alone
    new = table(5, seed=1)[0]
    new[:, 2] = 0.1
    found = fitted(kind(), X, y)
    near = predicted(found, new).mean
    new[:, 2] = 0.11
    assert predicted(found, new).mean == pytest.approx(near, abs=0.05)
    flat = fitted(kind(), X, np.full(len(y), 2.0))
    assert predicted(flat, new).mean == pytest.approx(np.full(5, 2.0))
    if isinstance(flat, HasOutOfBag):
        assert flat.out_of_bag[0] == pytest.approx(np.full(len(y), 2.0))


def test_names_make_surrogates():
    assert list(SURROGATES) == ["sisso", "no-formulas", "trees", "forest", "process", "logistic"]
    ensemble = make_surrogate(CampaignSettings.model_validate({"ensemble": {"members": 7}}), 5, threads=2)
    assert isinstance(ensemble, SISSO)
    assert {"members": 7, "random_state": 5, "threads": 2}.items() <= ensemble.settings.items()
    assert {*ensemble.settings} == {*SISSOEnsemble().get_params()} - {"units"}
    assert isinstance(make_surrogate(CampaignSettings(surrogate="forest"), 5), Forest)
    assert make_surrogate(CampaignSettings(surrogate="process"), 5).seed == 5
    assert isinstance(make_surrogate(CampaignSettings(surrogate="trees"), 5), ExtraTrees)
    ensemble = {"correction": "none", "recalibrate": "scale", "transform": "yeo-johnson"}
    alone = make_surrogate(CampaignSettings.model_validate({"surrogate": "no-formulas", "ensemble": ensemble}), 5)
    assert isinstance(alone, NoFormulas)
    assert (
        vars(alone).items() >= {"kind": "both", "recalibrate": "scale", "transform": "yeo-johnson", "seed": 5}.items()
    )


def test_an_unknown_name_is_refused():
    message = "surrogate: needs one of sisso, no-formulas, trees, forest, process, logistic, found 'tree'"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}"):
        make_surrogate(CampaignSettings(surrogate="tree"), 0)
