"""Rows of one material are drawn, left out and held back together; rows that are materials of their own change nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_process import twin_process
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import GroupKFold

from sisso_sal.data.table import read_table
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models import trees
from sisso_sal.models.assembly import fit_ensemble
from sisso_sal.models.calibration import calibrate, noise_floor, probabilities
from sisso_sal.models.correction import Correction
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.groups import (
    FEWEST_DISTINCT,
    Grouping,
    Provenance,
    canonical_numbers,
    fold_numbers,
    grouped,
    same_composition,
)
from sisso_sal.models.inputs import checked_table
from sisso_sal.models.kernel import Kernel
from sisso_sal.models.no_formulas import NoFormulas
from sisso_sal.models.process import conditioned
from sisso_sal.models.recalibration import KINDS, Recalibration, held_out
from sisso_sal.models.recipe import recipe_of
from sisso_sal.models.surrogates import Forest, Process
from sisso_sal.models.validation import cross_validate, tune
from sisso_sal.spaces.table import TableSpace

SMALL = {
    "rung": 1,
    "dim": 2,
    "n_sis": 6,
    "n_residual": 2,
    "operators": ("add", "mult", "sq"),
    "members": 20,
    "threads": 1,
}


def replicates(n_materials=30, each=3, seed=0, noise=0.05):
    """Every material several times, with noise: what the features do not tell is the same in all of its rows."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 3, (n_materials, 5))
    y = X[:, 0] * X[:, 1] + rng.normal(0, 0.5, n_materials)
    groups = np.repeat(np.arange(n_materials), each)
    return (
        pd.DataFrame(X, columns=list("abcde")).loc[groups].reset_index(drop=True),
        y[groups] + rng.normal(0, noise, len(groups)),
        groups,
    )


def shuffled(seed, *parts):
    order = np.random.default_rng(seed).permutation(len(parts[0]))
    return order, *(part.iloc[order] if hasattr(part, "iloc") else part[order] for part in parts)


def parts_of(groups):
    """The groups as sets of rows, whatever their numbers."""
    return {frozenset(np.flatnonzero(groups == number).tolist()) for number in np.unique(groups)}


# Which rows are one material


def test_groups_that_are_named_decide_and_a_row_without_a_name_is_alone():
    X = np.zeros((6, 2))
    texts = ["a", None, "b", "a", None, ""]
    for names in (texts, np.array([2.0, np.nan, 7.0, 2.0, np.nan, np.nan]), pd.Series(texts, dtype="string")):
        number, grouping = grouped(X, names, np.ones((6, 1)), column="sample")
        assert parts_of(number) == {frozenset({0, 3}), frozenset({1}), frozenset({2}), frozenset({4}), frozenset({5})}
        assert grouping == Grouping("column", "sample")


def test_other_groups_than_rows_are_refused():
    for groups, shape in ((["a", "b"], r"\(2,\)"), (np.zeros((3, 1)), r"\(3, 1\)")):
        with pytest.raises(
            FitError, match=rf"^groups: needs one for each of 3 samples, found an array of shape {shape}$"
        ):
            grouped(np.zeros((3, 1)), groups)


@pytest.mark.parametrize("scale", [1.0, 3.0, 1 / 7])
def test_compositions_are_equal_whatever_the_number_of_atoms(scale):
    amounts = np.array([[1, 2, 0], [2, 4, 0], [0, 1, 3], [1, 2, 1e-7], [1, 0, 2], [2, 4, 0]]) * scale
    shares = amounts / amounts.sum(axis=1, keepdims=True)
    assert parts_of(same_composition(shares)) == {frozenset({0, 1, 5}), frozenset({2}), frozenset({3}), frozenset({4})}


@given(st.integers(0, 10**6))
def test_equal_shares_are_found_as_by_comparing_all_pairs(seed):
    rng = np.random.default_rng(seed)
    shares = rng.integers(0, 3, (30, 4)) * rng.choice([0.5, 0.25], (30, 4))
    number = same_composition(shares * (1 + 1e-12 * rng.uniform(-1, 1, shares.shape)))
    for i in range(30):
        assert np.array_equal(number == number[i], (shares == shares[i]).all(axis=1))


@pytest.mark.parametrize(("distinct", "expected"), [(FEWEST_DISTINCT, "features"), (FEWEST_DISTINCT - 1, "")])
def test_equal_features_are_one_material_where_enough_different_rows_are_left(distinct, expected):
    X = np.random.default_rng(0).normal(size=(distinct, 3))[np.arange(2 * distinct) // 2]
    number, grouping = grouped(X)
    assert grouping == Grouping(expected)
    assert len(np.unique(number)) == (distinct if expected else 2 * distinct)


def test_a_composition_decides_before_features():
    X = np.ones((40, 2))
    number, grouping = grouped(X, composition=np.eye(40))
    assert (len(np.unique(number)), grouping.by) == (40, "composition")


@pytest.mark.parametrize(("n_compositions", "expected"), [(5, "composition"), (4, "")])
def test_a_few_compositions_do_not_tell_materials_apart(n_compositions, expected):
    number, grouping = grouped(np.ones((40, 2)), composition=np.eye(n_compositions)[np.arange(40) % n_compositions])
    assert grouping == Grouping(expected)
    assert len(np.unique(number)) == (n_compositions if expected else 40)


@given(st.integers(0, 10**6), st.booleans())
def test_canonical_numbers_depend_neither_on_the_order_of_rows_nor_on_names(seed, has_ties):
    rng = np.random.default_rng(seed)
    n = 24
    columns = rng.integers(0, 2 if has_ties else 50, (2, n)).astype(float)
    y, weights, groups = rng.integers(0, 2, n).astype(float), np.ones(n), rng.integers(0, 9, n)
    before = canonical_numbers(columns, y, weights, groups)
    order, names = rng.permutation(n), rng.permutation(9) + 100
    after = canonical_numbers(columns[:, order], y[order], weights, names[groups[order]])
    assert parts_of(before) == parts_of(groups)
    assert sorted(np.unique(before)) == list(range(len(np.unique(groups))))

    def content(numbers, columns, y):
        return [sorted((y[i], *columns[:, i]) for i in np.flatnonzero(numbers == k)) for k in range(numbers.max() + 1)]

    assert content(before, columns, y) == content(after, columns[:, order], y[order])


# Without shared materials all is as without groups


def test_rows_that_are_materials_of_their_own_give_the_bits_of_no_groups():
    X, y, _ = replicates(40, each=1)
    names = [f"m{i}" for i in np.random.default_rng(0).permutation(40)]
    alone, named = (SISSOEnsemble(**SMALL).fit(X, y, groups=groups) for groups in (None, names))
    assert alone.model_.to_json() == named.model_.to_json()
    assert np.array_equal(alone.oob_mean_, named.oob_mean_)
    assert alone.calibration_.n_materials == 40
    folds = [cross_validate(SISSOEnsemble(**SMALL), X, y, folds=4, groups=groups) for groups in (None, names)]
    assert np.array_equal(folds[0].mean, folds[1].mean)
    assert np.array_equal(folds[0].fold, folds[1].fold)


# The formulas


def test_a_member_draws_all_rows_of_a_material_equally_often(drawn):
    X, y, groups = replicates()
    table = checked_table(list(X.columns), X.to_numpy(), y, np.ones(len(y)), target="y").in_groups(groups, Grouping())
    order = np.lexsort((*X.to_numpy().T[::-1], y))
    fit_ensemble(recipe_of(SISSOEnsemble(**SMALL).get_params()), table)
    counts = np.zeros((20, len(y)))
    for member, problem in enumerate(drawn):
        counts[member, order] = problem.weights
    of_materials = counts.reshape(20, 30, 3)
    assert (of_materials == of_materials[:, :, :1]).all()
    assert (of_materials[:, :, 0].sum(axis=1) == 30).all()
    assert (of_materials[:, :, 0] == 0).mean() == pytest.approx((1 - 1 / 30) ** 30, abs=0.04)


@pytest.mark.parametrize("n_materials", [2, 3, 5])
def test_few_materials_of_many_rows_still_make_members(n_materials):
    X, y, groups = replicates(n_materials, each=6)
    ensemble = SISSOEnsemble(**SMALL).fit(X, y, groups=groups)
    assert all(len(member.terms) for member in ensemble.members_)
    assert np.isfinite(ensemble.predict(X)).all()
    assert ensemble.correction_ is None


def test_the_claimed_error_of_replicates_is_that_on_unseen_materials():
    claims, reals, naive_claims = [], [], []
    for seed in range(3):
        X, y, groups = replicates(60, seed=seed)
        known = groups < 30
        labels = {"X": X[known], "y": y[known]}
        honest = SISSOEnsemble(**SMALL).fit(**labels, groups=groups[known])
        naive = SISSOEnsemble(**SMALL).fit(**labels, groups=np.arange(known.sum()))
        reals.append(np.mean((honest.predict(X[~known]) - y[~known]) ** 2))
        claims.append(honest.calibration_.rmse**2)
        naive_claims.append(naive.calibration_.rmse**2)
    claimed, real, unaware = (np.sqrt(np.mean(part)) for part in (claims, reals, naive_claims))
    assert claimed == pytest.approx(real, rel=0.15)
    assert unaware < 0.5 * real


def test_rows_and_groups_in_another_order_or_under_other_names_give_the_same_bits():
    X, y, groups = replicates()
    order, *moved = shuffled(1, X, y)
    names = np.array([f"m{i}" for i in np.random.default_rng(2).permutation(30)])
    shares = np.eye(30)[groups]
    before = SISSOEnsemble(**SMALL).fit(X, y, composition=shares)
    after = SISSOEnsemble(**SMALL).fit(*moved, composition=shares[order], groups=names[groups[order]])
    assert before.model_.to_json() == after.model_.to_json()
    assert np.array_equal(before.oob_mean_[order], after.oob_mean_)


def test_equal_features_are_found_by_the_estimator():
    X, y, groups = replicates()
    by_features, named = SISSOEnsemble(**SMALL).fit(X, y), SISSOEnsemble(**SMALL).fit(X, y, groups=groups)
    assert by_features.model_.to_json() == named.model_.to_json()
    assert named.calibration_.n_materials == 30
    assert named.calibration_.n == 90


# The learners of the correction


def test_no_tree_that_saw_a_row_of_a_material_predicts_it():
    rng = np.random.default_rng(0)
    rows, target, groups = rng.normal(size=(40, 3)), rng.normal(size=40), rng.integers(0, 13, 40)
    mine, unseen = trees.grown(rows, target, 3, groups)
    for part in parts_of(groups):
        columns = unseen[:, sorted(part)]
        assert (columns == columns[:, :1]).all()
    assert 0.25 < unseen.mean() < 0.45
    moved = target.copy()
    moved[groups == groups[0]] += 100.0
    before, after = (trees.learn_trees(rows, np.zeros(40), values, 3, groups) for values in (target, moved))
    # The grid on which trees see residuals depends on their spread.
    assert after.left_out_mean[groups == groups[0]] == pytest.approx(
        before.left_out_mean[groups == groups[0]], abs=1e-5
    )
    assert mine.first[-1] > 0


def test_trees_on_materials_are_scikit_learns_with_the_counts_as_weights():
    rng = np.random.default_rng(1)
    rows, target, groups = rng.normal(size=(30, 4)), rng.normal(size=30), np.arange(30) // 3
    mine, _ = trees.grown(rows, target, 5, groups)
    states = np.random.RandomState(5).randint(np.iinfo(np.int32).max, size=trees.N_TREES)
    for number, state in enumerate(states[:10]):
        drawn = np.random.RandomState(state).randint(0, 10, 10, dtype=np.int32)
        weights = np.bincount(drawn, minlength=10)[groups].astype(float)
        forest = ExtraTreesRegressor(1, bootstrap=False, random_state=0)
        tree = forest.fit(rows, target).estimators_[0].set_params(random_state=state).fit(rows, target, weights)
        assert np.array_equal(mine.predict(rows)[number], tree.predict(rows))


@pytest.mark.parametrize("trend", [None, 2])
def test_materials_left_out_of_a_process_in_closed_form_are_those_of_a_process_without_them(trend):
    rng = np.random.default_rng(0)
    rows, groups = rng.normal(size=(50, 4)), rng.integers(0, 15, 50)
    rows += 0.01 * groups[:, None]
    labels = np.sin(rows[:, 0]) + rng.normal(size=15)[groups] + 0.1 * rng.normal(size=50)
    line = [] if trend is None else [(1e-3, 1e2)]
    kernel = Kernel(1.5, np.log([*line, (1e-2, 1e2), *[(0.5, 30.0)] * 4, (1e-3, 1.0)]), trend)
    theta = 0.5 * kernel.bounds.mean(axis=1)
    process = conditioned(kernel, theta, rows, labels)
    means, stds = process.left_out(labels, groups)
    centre, scale = labels.mean(), labels.std()
    for group in np.unique(groups):
        own = groups == group
        others = twin_process(kernel, theta, rows[~own], (labels[~own] - centre) / scale, normalize_y=False)
        mean, std = others.predict(rows[own], return_std=True)
        assert means[own] == pytest.approx(centre + scale * mean, rel=1e-8)
        assert stds[own] == pytest.approx(scale * std, rel=1e-8)


def test_a_process_with_materials_of_one_row_keeps_its_bits():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(50, 3)), rng.normal(size=50)
    kernel = Kernel(1.5, np.log([(1e-2, 1e2), *[(0.5, 30.0)] * 3, (1e-3, 1.0)]))
    process = conditioned(kernel, np.zeros(5), rows, labels)
    for one, other in zip(process.left_out(labels), process.left_out(labels, rng.permutation(50)), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("kind", ["trees", "process", "both"])
def test_a_correction_is_read_back_with_its_materials(kind):
    X, y, groups = replicates(20)
    formula = X["a"].to_numpy() * X["b"].to_numpy()
    features = np.ascontiguousarray(X)
    found = Correction(kind, features, formula, y, 0, provenance=Provenance(7 * groups))
    again = Correction.from_json(found.to_json())
    assert np.array_equal(found.left_out_mean, again.left_out_mean)
    assert np.array_equal(found.left_out_std, again.left_out_std)
    unaware = Correction(kind, features, formula, y, 0)
    rmse = [np.sqrt(np.mean((one.left_out_mean - y) ** 2)) for one in (found, unaware)]
    assert rmse[1] < 0.6 * rmse[0]


# The surrogates that a campaign can have instead


@pytest.mark.parametrize("kind", [Forest, Process, NoFormulas])
@pytest.mark.parametrize("by", ["composition", "column", "features"])
def test_other_surrogates_leave_out_whole_materials(kind, by):
    X, y, groups = replicates()
    frame = X.assign(y=y, id=[f"run {row}" for row in range(len(y))], name=[f"m{group}" for group in groups])
    if by == "composition":
        metals = ["Mg", "Ca", "Sr", "Ba", "Zn", "Ti"]
        frame["formula"] = [f"{metals[group % 6]}{1 + group // 6}O{7 + group % 5}" for group in groups]
    if by != "features":
        frame["a"] += 1e-4 * np.random.default_rng(5).normal(size=len(y))
    space = TableSpace(read_table(frame, target="y", id="id", group="name" if by == "column" else None))
    unaware = TableSpace(read_table(frame.drop(columns="formula", errors="ignore"), target="y", id="id", group="id"))
    rows, none = np.arange(len(y)), np.zeros(len(y))
    aware, other = (kind(seed=1).fit(one, rows, y, none) for one in (space, unaware))
    told = aware.describe(space)
    column = "name" if by == "column" else ""
    assert told["materials"] == {"n_labels": 90, "n": 30, "by": by, "column": column, "near": None}
    assert told["calibration"]["n_materials"] == 30
    assert other.describe(unaware)["calibration"]["rmse"] < 0.6 * told["calibration"]["rmse"]
    # What is said of a material does not depend on any of its labels.
    moved = np.where(groups == 7, y + 3.0, y)
    if kind is Forest:
        before, after = (kind(seed=1).fit(space, rows, labels, none).out_of_bag[0] for labels in (y, moved))
        assert np.array_equal(before[groups == 7], after[groups == 7])


def test_several_of_one_group_in_a_process_that_a_campaign_has_is_the_process_without_them():
    X, y, groups = replicates(20)
    frame = X.assign(y=y, id=[f"run {row}" for row in range(len(y))])
    space = TableSpace(read_table(frame, target="y", id="id"))
    found = Process().fit(space, np.arange(60), y, np.zeros(60))
    mean, std = found._process.left_out(y, groups)
    assert np.array_equal(found.out_of_bag[0], mean)
    assert np.array_equal(found.out_of_bag[1], std)


# Calibration and folds


@pytest.mark.parametrize("kind", KINDS)
def test_a_material_is_judged_by_what_was_learned_from_other_materials(kind):
    rng = np.random.default_rng(0)
    mean, sigma, groups = rng.normal(size=60), rng.uniform(0.5, 2, 60), np.arange(60) // 2
    labels = mean + rng.normal(size=60) * sigma

    def quantiles(labels, n=60):
        ends = np.empty((2, n))
        for rows, told in held_out(kind, labels[:n], mean[:n], sigma[:n], groups[:n]):
            ends[:, rows] = told.interval(0.8)
        return ends

    before, after = quantiles(labels), quantiles(np.where(groups == 4, 50.0, labels))
    assert np.array_equal(after[:, 8:10], before[:, 8:10])
    assert np.array_equal(after, before) == (kind == "none")
    whole = Recalibration.fit(kind, labels[:38], mean[:38], sigma[:38], groups[:38]).distribution(mean[:38], sigma[:38])
    assert np.array_equal(quantiles(labels, 38), whole.interval(0.8))


@pytest.mark.parametrize("kind", KINDS)
def test_parts_do_not_depend_on_the_order_of_samples_or_the_numbers_of_materials(kind):
    rng = np.random.default_rng(1)
    mean, sigma, groups = rng.normal(size=60), rng.uniform(0.5, 2, 60), np.arange(60) // 2
    labels, rows = mean + rng.normal(size=60) * sigma, rng.permutation(60)
    first = probabilities(kind, labels, mean, sigma, groups)
    again = probabilities(kind, labels[rows], mean[rows], sigma[rows], (99 - groups)[rows])
    np.testing.assert_allclose(again, first[rows], rtol=1e-7)


def test_the_noise_floor_is_that_of_as_many_materials():
    labels, sigma, groups = np.random.default_rng(0).normal(size=60), np.ones(60), np.arange(60) // 3
    found, _ = calibrate(np.append(labels, np.nan), np.zeros(61), np.ones(61), "scale", np.append(groups, 99))
    assert (found.n, found.n_materials) == (60, 20)
    assert (found.noise_floor, found.noise_floor95) == noise_floor(20)
    assert calibrate(labels, np.zeros(60), sigma, "scale")[0].noise_floor == noise_floor(60)[0]


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_hold_whole_materials_as_scikit_learns_do(folds):
    X, y, groups = replicates(23)
    order, moved, labels, names = shuffled(4, X, y, groups)
    fold = fold_numbers(X.to_numpy(), y, folds, 1, groups)
    for part in parts_of(groups):
        assert len({*fold[sorted(part)]}) == 1
    sizes = np.bincount(fold[::3], minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    assert np.array_equal(fold_numbers(moved.to_numpy(), labels, folds, 1, 50 - names), fold[order])
    twin = sorted(len(test) for _, test in GroupKFold(folds).split(X, y, groups))
    assert sorted(3 * sizes) == twin


def test_more_folds_than_materials_are_refused():
    X, y, groups = replicates(4)
    with pytest.raises(SettingsError, match=r"^folds: needs a number from 2 to 4, as there are 4 materials, found 5$"):
        cross_validate(SISSOEnsemble(**SMALL), X, y, folds=5, groups=groups)


def test_cross_validation_and_tune_hold_materials_back_together():
    X, y, groups = replicates()
    aware, unaware = (
        cross_validate(SISSOEnsemble(**SMALL), X, y, folds=5, groups=names) for names in (None, np.arange(len(y)))
    )
    assert all(len({*aware.fold[groups == group]}) == 1 for group in range(30))
    assert aware.calibration().n_materials == 30
    assert unaware.calibration().rmse < 0.6 * aware.calibration().rmse
    grid = {"rung": (1,), "dim": (1,), "n_sis": (5,), "members": (5,), "dropout": (0.0,), "transform": ("none",)}
    rows = [tune(SISSOEnsemble(**SMALL), X, y, grid, groups=names)[0]["rmse"] for names in (groups, np.arange(len(y)))]
    by_composition = tune(SISSOEnsemble(**SMALL), X, y, grid, groups=same_composition(np.eye(30)[groups]))[0]["rmse"]
    assert rows[0] == by_composition != rows[1]
