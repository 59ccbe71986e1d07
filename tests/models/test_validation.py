"""Cross-validation in one pass against fits on each training part, folds by content, and no label that leaks."""

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models import validation
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.groups import fold_numbers
from sisso_sal.models.validation import GRID, CrossValidated, cross_validate, simplest, tune
from sisso_sal.protocols.distribution import Distribution

SETTINGS = {"members": 14, "rung": 1, "dim": 2, "n_sis": 4, "operators": ("add", "mult", "sq"), "threads": 1}
ONE = {"rung": (1,), "dim": (1,), "n_sis": (4,), "members": (6,), "dropout": (0.0,), "transform": ("none",)}


def table(n=36, seed=0):
    """Positive columns between 1 and 2: no operator is undefined anywhere."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 2, (n, 3))
    y = 1.0 + X[:, 0] * X[:, 1] + 0.3 * np.sin(9 * X[:, 2]) + rng.normal(0, 0.05, n)
    return pd.DataFrame(X, columns=["b", "a", "c"]), y


@cache
def validated(correction="both"):
    return cross_validate(SISSOEnsemble(**SETTINGS, correction=correction), *table(), folds=3, seed=2)


@pytest.mark.parametrize(
    "options",
    [
        {"correction": "none"},
        {"correction": "both"},
        {"correction": "none", "loss": "huber", "target_transform": "log", "dim": 1},
        {"correction": "both", "loss": "huber", "target_transform": "log", "dim": 1},
        {"correction": "both", "target_transform": "yeo-johnson", "dim": 1},
    ],
    ids=str,
)
def test_cross_validation_is_a_fit_on_the_training_samples_of_each_fold_alone(options):
    X, y = table()
    ensemble = SISSOEnsemble(**SETTINGS | options)
    found = cross_validate(ensemble, X, y, folds=3, seed=2)
    assert found.n_undefined == 0
    for k in range(3):
        held_out = found.fold == k
        alone = clone(ensemble).fit(X[~held_out], y[~held_out])
        expected = alone.predict_distribution(X[held_out])
        assert found.mean[held_out] == pytest.approx(expected.mean, rel=1e-7)
        assert found.std[held_out] == pytest.approx(expected.std, rel=1e-4)
        assert found.std_raw[held_out] == pytest.approx(expected.std_raw, rel=1e-4)
        assert found.formulas_mean[held_out] == pytest.approx(expected.formulas_mean, rel=1e-7)
        assert found.chosen[k] == alone.chosen_
        assert (expected.told.centre != expected.formulas_mean).all() == (options["correction"] == "both")
        assert found.probability[held_out] == pytest.approx(expected.told.place(y[held_out]), rel=1e-4, abs=1e-9)


def test_the_ensemble_given_is_not_changed():
    ensemble = SISSOEnsemble(**SETTINGS | {"members": 3})
    before = vars(ensemble).copy()
    cross_validate(ensemble, *table(), folds=2)
    assert vars(ensemble) == before


@pytest.mark.parametrize(("n", "folds"), [(10, 2), (11, 3), (12, 12), (37, 10)])
def test_folds_differ_by_one_sample_at_most(n, folds):
    X, y = table(n)
    sizes = np.bincount(fold_numbers(X.to_numpy(), y, folds, seed=1), minlength=folds)
    assert len(sizes) == folds
    assert sizes.max() - sizes.min() <= 1


def test_folds_do_not_depend_on_the_order_of_rows_but_on_the_seed():
    X, y = table(40)
    order = np.random.default_rng(1).permutation(40)
    fold = fold_numbers(X.to_numpy(), y, 5, seed=1)
    assert np.array_equal(fold_numbers(X.to_numpy()[order], y[order], 5, seed=1), fold[order])
    assert not np.array_equal(fold_numbers(X.to_numpy(), y, 5, seed=2), fold)


def test_a_shuffled_table_has_the_same_cross_validation_to_the_last_bit():
    X, y = table()
    order = np.random.default_rng(1).permutation(len(y))
    shuffled = X.iloc[order][["c", "a", "b"]]
    found = cross_validate(SISSOEnsemble(**SETTINGS), shuffled, y[order], folds=3, seed=2)
    for name in ("mean", "std", "std_raw", "formulas_mean", "fold"):
        assert np.array_equal(getattr(found, name), getattr(validated(), name)[order]), name
    assert found.chosen == validated().chosen


def test_a_label_does_not_reach_the_prediction_of_its_own_fold():
    X, y = table()
    order = np.argsort(y)
    row = order[-1]  # the largest may grow without another order of samples, and so without other folds and draws
    moved = y.copy()
    moved[row] += 0.5
    found = cross_validate(SISSOEnsemble(**SETTINGS), X, moved, folds=3, seed=2)
    assert np.array_equal(found.fold, validated().fold)
    own = found.fold == found.fold[row]
    for name in ("mean", "std", "std_raw", "formulas_mean"):
        assert np.array_equal(getattr(found, name)[own], getattr(validated(), name)[own]), name
        assert (getattr(found, name)[~own] != getattr(validated(), name)[~own]).any()
    others = own & (np.arange(len(y)) != row)
    assert np.array_equal(found.probability[others], validated().probability[others])
    assert found.probability[row] > validated().probability[row]


def test_the_calibration_is_that_of_the_held_out_errors():
    found = validated()
    calibration = found.calibration()
    errors = found.target - found.mean
    assert calibration.n == len(errors)
    assert calibration.kind == "isotonic"
    assert calibration.mae == pytest.approx(np.abs(errors).mean())
    assert calibration.rmse == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert calibration.coverage95 == np.mean((found.probability >= 0.025) & (found.probability <= 0.975))
    assert calibration.scale == np.median(found.std / found.std_raw)


def made(mean, std_raw):
    mean, std_raw = np.array(mean), np.array(std_raw)
    target, fold = np.arange(float(len(mean))), np.zeros(len(mean), dtype=int)
    place = Distribution(mean, std_raw).place(target)
    return CrossValidated(target, mean, std_raw, std_raw, mean, place, fold, np.arange(len(mean)), [], "none")


def test_samples_without_prediction_or_spread_are_left_out_of_the_calibration():
    found = made([0.5, np.nan, 2.0, 3.5], [1.0, np.nan, 0.0, 0.1])
    assert found.n_undefined == 1
    assert (found.calibration().n, found.calibration().coverage95) == (2, 0.5)


def test_predictions_without_any_spread_are_judged_all_the_same():
    calibration = made([0.0, 1.0, 3.0, np.nan], [0.0, 0.0, 0.0, np.nan]).calibration()
    assert (calibration.n, calibration.scale, calibration.coverage95) == (3, 1.0, pytest.approx(2 / 3))


def test_no_prediction_at_all_has_no_calibration():
    message = "cross-validation: needs a prediction, found none for 3 samples"
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        made([np.nan] * 3, [np.nan] * 3).calibration()


def test_saying_nothing_costs_the_error_of_the_mean(monkeypatch):
    nothing = made([np.nan] * 4, [np.nan] * 4)
    monkeypatch.setattr(validation._Bench, "assembled", lambda *_: nothing)
    (row,) = tune(SISSOEnsemble(**SETTINGS), *table(), ONE, folds=2)
    # Targets 0, 1, 2, 3 lie 1.5, 0.5, 0.5, 1.5 from their mean.
    assert (row["mae"], row["rmse"], row["n_undefined"]) == (1.0, pytest.approx(np.sqrt(1.25)), 4)
    assert row["mae_error"] == pytest.approx(np.sqrt(4 * 0.25 / 3) / 2)
    assert (row["coverage95"], row["miscalibration_area"], row["spearman"]) == (0.0, 0.5, None)


GRIDDED = {
    "rung": (0, 1), "dim": (1, 2), "n_sis": (4,), "members": (5, 9), "dropout": (0.0, 0.4),
    "transform": ("none", "yeo-johnson"),
}  # fmt: skip


@cache
def tuned():
    calls = []
    rows = tune(
        SISSOEnsemble(**SETTINGS), *table(), GRIDDED, folds=3, seed=2, progress=lambda *call: calls.append(call)
    )
    return rows, calls


def test_tune_compares_every_combination_once_and_sorts_by_error():
    rows, calls = tuned()
    assert len(rows) == len({tuple(row[key] for key in GRID) for row in rows}) == 32
    errors = [row["mae"] for row in rows]
    assert errors == sorted(errors)
    assert errors[0] < 0.8 * errors[-1]
    assert calls == [(number, 8) for number in range(1, 9)]


@pytest.mark.parametrize(
    "setting",
    [
        {"rung": 1, "dim": 1, "n_sis": 4, "members": 5, "dropout": 0.4, "transform": "yeo-johnson"},
        {"rung": 0, "dim": 2, "n_sis": 4, "members": 9, "dropout": 0.0, "transform": "none"},
    ],
)
def test_a_row_of_tune_is_the_cross_validation_of_that_setting_alone(setting):
    (row,) = [row for row in tuned()[0] if all(row[key] == value for key, value in setting.items())]
    options = {**setting, "target_transform": setting["transform"], "adapt": False, "correction": "none"}
    del options["transform"]
    found = cross_validate(SISSOEnsemble(**SETTINGS | options), *table(), folds=3, seed=2)
    calibration, size = found.calibration(), np.abs(found.target - found.mean)
    assert row["n_undefined"] == found.n_undefined == 0
    assert row["mae"] == pytest.approx(size.mean())
    assert row["mae_error"] == pytest.approx(size.std(ddof=1) / np.sqrt(len(size)))
    assert row["rmse"] == pytest.approx(calibration.rmse)
    for name in ("coverage95", "miscalibration_area", "spearman"):
        assert row[name] == pytest.approx(getattr(calibration, name)), name


@pytest.mark.parametrize(("folds", "found"), [(1, 1), (9, 9)])
def test_a_number_of_folds_out_of_range_is_refused(folds, found):
    X, y = table(8)
    with pytest.raises(SettingsError, match=f"^folds: needs a number from 2 to 8, found {found}$"):
        cross_validate(SISSOEnsemble(**SETTINGS), X, y, folds=folds)


@pytest.mark.parametrize(
    ("grid", "difference"),
    [
        ({key: value for key, value in ONE.items() if key != "dim"}, "dim"),
        ({**ONE, "loss": ("huber",)}, "loss"),
        ({}, "dim, dropout, members, n_sis, rung, transform"),
    ],
)
def test_a_grid_with_other_keys_is_refused(grid, difference):
    message = f"grid: needs exactly rung, dim, n_sis, members, dropout, transform, found a difference in {difference}"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        tune(SISSOEnsemble(**SETTINGS), *table(), grid)


def test_settings_are_checked_before_anything_is_searched():
    with pytest.raises(SettingsError, match=r"^members: needs an integer >= 2, found 1$"):
        cross_validate(SISSOEnsemble(members=1), *table())


@pytest.mark.parametrize(
    ("name", "values", "error", "message"),
    [
        ("members", (4, 1), SettingsError, "members: needs an integer >= 2, found 1"),
        ("dropout", (0.0, 1.5), SettingsError, "dropout: needs a share from 0 to below 1, found 1.5"),
        ("dropout", (np.nan,), SettingsError, "dropout: needs a share from 0 to below 1, found nan"),
        ("dim", (), SettingsError, "dim: needs a value at least, found none"),
        ("transform", ("none", "log"), FitError, "transform: log needs a target above 0, found -1; try yeo-johnson"),
    ],
)
def test_a_grid_with_a_value_that_cannot_be_used_is_refused_before_anything_is_searched(
    name, values, error, message, monkeypatch
):
    def search(*arguments):
        raise AssertionError("searched")

    monkeypatch.setattr(validation._Bench, "search", search)
    X, y = table()
    y = y - y.min() - 1.0
    grid = {"rung": (1,), "dim": (1,), "n_sis": (4,), "members": (4,), "dropout": (0.0,), "transform": ("none",)}
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        tune(SISSOEnsemble(**SETTINGS), X, y, {**grid, name: values})
    with pytest.raises(AssertionError, match="searched"):
        tune(SISSOEnsemble(**SETTINGS), X, y, grid)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "transform": st.sampled_from(["none", "log"]),
            "dim": st.integers(1, 3),
            "rung": st.integers(1, 2),
            "mae": st.floats(0.1, 1.0),
            "mae_error": st.floats(0.0, 0.5),
        }
    ),
    min_size=1,
    max_size=12,
)


@given(rows=ROWS)
def test_the_simplest_settings_within_one_standard_error_are_chosen(rows):
    chosen, best = simplest(rows), min(rows, key=lambda row: row["mae"])
    bound = best["mae"] + best["mae_error"]
    assert chosen["mae"] <= bound
    for row in rows:
        is_simpler = (row["transform"] == "none", -row["dim"], -row["rung"]) > (
            chosen["transform"] == "none",
            -chosen["dim"],
            -chosen["rung"],
        )
        assert not is_simpler or row["mae"] > bound


def test_a_transform_that_wins_clearly_is_chosen():
    plain = {"transform": "none", "dim": 1, "rung": 1, "mae": 0.3, "mae_error": 0.02}
    log = {"transform": "log", "dim": 2, "rung": 1, "mae": 0.2, "mae_error": 0.02}
    assert simplest([plain, log]) is log
    assert simplest([plain | {"mae": 0.21}, log])["transform"] == "none"
