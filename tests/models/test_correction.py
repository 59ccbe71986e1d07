"""The correction: left-out predictions against leaving out, files against fits, and that it helps where it can."""

import json
from functools import cache

import numpy as np
import pytest
from naive_process import Line
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from sisso_sal.errors import ModelFileError
from sisso_sal.models import correction, trees
from sisso_sal.models.correction import Correction, Kernels
from sisso_sal.models.process import MOST_EVALUATIONS, ProcessLearner

KINDS = ("trees", "process", "both")


def bumpy(n=40, seed=0):
    """A linear law that the formulas know, and a local bump that they do not."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(0, 1, (n, 2))
    formula = 2.0 * features[:, 0]
    target = formula + 1.5 * np.exp(-(((features - 0.6) / 0.25) ** 2).sum(axis=1)) + rng.normal(0, 0.02, n)
    return features, formula, target


def made_of(n=40, seed=0):
    """Shares of three elements; of a fourth there is none."""
    shares = np.random.default_rng([seed, 5]).dirichlet(np.ones(3), n)
    return np.column_stack([shares, np.zeros(n)])


@cache
def learned(kind, knows_composition=False):
    return Correction(kind, *bumpy(), seed=3, composition=made_of() if knows_composition else None)


@cache
def plain(kind, knows_composition=False):
    """The same, but its sigma is that of the learners, which does not grow with distance besides."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(correction.Shift, "measured", lambda *_: None)
        return learned.__wrapped__(kind, knows_composition)


def standardised(features, formula, like):
    own = np.column_stack([like[0], like[1]])
    return (np.column_stack([features, formula]) - own.mean(axis=0)) / own.std(axis=0)


def kernel_of(theta, n_inputs):
    kernel = ConstantKernel() * Matern(np.ones(n_inputs), nu=1.5) + WhiteKernel()
    return kernel.clone_with_theta(np.array(theta))


def test_the_process_is_scikit_learns_with_the_same_kernel():
    features, formula, target = bumpy()
    found = plain("process")
    twin = GaussianProcessRegressor(kernel_of(found.theta[0], 3), optimizer=None, normalize_y=True)
    twin.fit(standardised(features, formula, bumpy()), target)
    new = bumpy(15, seed=1)
    mean, std = found.predict(new[0], new[1])
    expected = twin.predict(standardised(new[0], new[1], bumpy()), return_std=True)
    assert mean == pytest.approx(expected[0], rel=1e-7)
    assert std == pytest.approx(expected[1], rel=1e-6)


def test_left_out_predictions_of_the_process_are_those_of_fits_without_each_row():
    features, formula, target = bumpy()
    found = plain("process")
    rows, scaled = standardised(features, formula, bumpy()), (target - target.mean()) / target.std()
    mean, std = np.empty(len(target)), np.empty(len(target))
    for i in range(len(target)):
        others = np.arange(len(target)) != i
        twin = GaussianProcessRegressor(kernel_of(found.theta[0], 3), optimizer=None)
        twin.fit(rows[others], scaled[others])
        m, s = twin.predict(rows[i : i + 1], return_std=True)
        mean[i], std[i] = target.mean() + target.std() * m[0], target.std() * s[0]
    assert found.left_out_mean == pytest.approx(mean, rel=1e-7)
    assert found.left_out_std == pytest.approx(std, rel=1e-6)
    assert np.abs(found.left_out_mean - found.predict(features, formula)[0]).max() > 0.1


def test_left_out_predictions_of_the_trees_are_those_of_the_trees_that_did_not_draw_the_row():
    """And the trees are those of scikit-learn's forest, to the last bit."""
    features, formula, target = bumpy(25)
    found = Correction("trees", features, formula, target, seed=0)
    rows = standardised(features, formula, (features, formula))
    left_over = trees.without_last_bits(target - formula, np.ptp(target))
    forest = ExtraTreesRegressor(trees.N_TREES, bootstrap=True, random_state=0).fit(rows, left_over)
    for i in range(len(target)):
        own = [
            tree.predict(rows[i : i + 1])[0]
            for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True)
            if i not in drawn
        ]
        assert 20 < len(own) < 60
        assert found.left_out_mean[i] == pytest.approx(formula[i] + np.mean(own), rel=1e-9)
        assert found.left_out_std[i] == pytest.approx(np.std(own, ddof=1), rel=1e-9)
    grown, _ = trees.grown(rows, left_over, 0)
    assert np.array_equal(grown.predict(rows), [tree.predict(rows) for tree in forest.estimators_])


def test_left_out_means_of_the_trees_are_scikit_learns_out_of_bag_predictions():
    features, formula, target = bumpy()
    formula, target = (
        np.round(2**20 * formula) / 2**20,
        np.round(2**20 * target) / 2**20,
    )  # few bits, none of which is lost
    found = Correction("trees", features, formula, target, seed=3)
    twin = ExtraTreesRegressor(trees.N_TREES, bootstrap=True, oob_score=True, random_state=3)
    twin.fit(standardised(features, formula, (features, formula)), target - formula)
    assert found.left_out_mean == pytest.approx(formula + twin.oob_prediction_, rel=1e-9)


def by_errors(found):
    """Shares of the learners: with 40 labels their mean square left-out errors to the power of -2 * 40 / 240."""
    square = [np.mean((learner.left_out_mean - found.target) ** 2) for learner in found._learners]
    worth = np.array(square) ** (-1 / 3)
    return worth / worth.sum()


def test_both_is_a_mixture_by_what_the_learners_err_where_they_have_not_seen():
    new = bumpy(15, seed=1)[:2]
    (a, s), (b, t), (mean, std) = (plain(kind).predict(*new) for kind in KINDS)
    p, q = by_errors(plain("both"))
    assert abs(p - q) > 0.05
    assert mean == pytest.approx(p * a + q * b)
    # Law of total variance.
    assert std == pytest.approx(np.sqrt(p * s**2 + q * t**2 + p * q * (a - b) ** 2))
    assert plain("both").left_out_mean == pytest.approx(
        p * plain("trees").left_out_mean + q * plain("process").left_out_mean
    )


def test_a_learner_without_any_error_is_nearly_alone_with_many_labels_and_one_of_two_with_few():
    none, some = np.zeros(10), np.ones(10)

    def share(errors, n):
        worth = correction._worth(errors, 1.0, n)
        return (worth / worth.sum()).tolist()

    assert share([none, some], 10**6) == pytest.approx([1.0, 0.0], abs=1e-12)
    assert share([none, none], 100) == [0.5, 0.5]
    assert share([0.5 * some, some], 10**9) == pytest.approx([16 / 17, 1 / 17])
    assert share([0.5 * some, some], 200) == pytest.approx([4 / 5, 1 / 5])
    assert share([0.5 * some, some], 0) == [0.5, 0.5]


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_bits_of_the_formulas_which_depend_on_the_processor_change_nothing_else(kind):
    features, formula, target = bumpy(60)
    features = np.column_stack([features, np.random.default_rng(1).uniform(0, 1, (60, 6))])
    jitter = 1 + 4 * np.finfo(float).eps * np.random.default_rng(2).uniform(-1, 1, 60)
    straight, moved = (
        Correction(kind, features, values, target, seed=3).predict(features + 0.03, formula + 0.03)
        for values in (formula, formula * jitter)
    )
    assert moved[0] == pytest.approx(straight[0], rel=1e-6, abs=1e-8)
    assert moved[1] == pytest.approx(straight[1], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("knows_composition", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_same_bits(kind, knows_composition):
    found = learned(kind, knows_composition)
    text = json.dumps(found.to_json())
    restored = Correction.from_json(json.loads(text))
    new = (*bumpy(60, seed=1)[:2], made_of(60, seed=1))
    for a, b in zip(found.predict(*new), restored.predict(*new), strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(found.left_out_mean, restored.left_out_mean)
    assert np.array_equal(found.left_out_std, restored.left_out_std)
    assert json.dumps(restored.to_json()) == text
    assert len(found.theta) == (0 if kind == "trees" else 3 if knows_composition else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_permuted_rows_have_permuted_predictions_to_the_last_bit(kind):
    features, formula, _ = bumpy(103, seed=1)
    features[50:], formula[50:] = features[0], formula[0]  # which differ in composition alone
    shares = made_of(103, seed=1)
    order = np.random.default_rng(0).permutation(103)
    found = learned(kind, True)
    straight, permuted = (found.predict(features[o], formula[o], shares[o]) for o in (np.arange(103), order))
    for a, b in zip(straight, permuted, strict=True):
        assert np.array_equal(a[order], b)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_bits_alone_in_any_part_and_in_blocks_of_any_size(kind, monkeypatch):
    features, formula, _ = bumpy(700, seed=1)
    shares = made_of(700, seed=1)
    found = learned(kind, True)
    whole = np.array(found.predict(features, formula, shares))
    part = np.sort(np.random.default_rng(0).choice(700, 250, replace=False))
    assert np.array_equal(found.predict(features[part], formula[part], shares[part]), whole[:, part])
    alone = [found.predict(features[i : i + 1], formula[i : i + 1], shares[i : i + 1]) for i in range(20)]
    assert np.array_equal(np.hstack(alone), whole[:, :20])
    monkeypatch.setattr(correction, "N_AT_ONCE", 97)
    assert np.array_equal(found.predict(features, formula, shares), whole)


def kinship(features, formula, composition, weight):
    seen = standardised(features, formula, bumpy())[:, : 2 if weight == 1.0 else 3]
    return np.column_stack([seen, weight * np.sqrt(2) * composition])


def test_processes_of_kinship_are_scikit_learns_with_one_length_the_second_with_a_line_through_the_formulas():
    features, formula, target = bumpy()
    found, alone = plain("process", True), plain("process")
    new, shares = bumpy(15, seed=1), made_of(15, seed=1)
    parts = [alone.predict(new[0], new[1])]
    for theta, weight in zip(found.theta[1:], (1.0, 4.0), strict=True):
        kernel = (ConstantKernel() * Matern(1.0, nu=1.5) + WhiteKernel()).clone_with_theta(np.array(theta[-3:]))
        assert len(theta) == (3 if weight == 1.0 else 4)
        if weight == 4.0:
            kernel = Line(2, np.exp(theta[0])) + kernel
        twin = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        twin.fit(kinship(features, formula, made_of(), weight), target)
        parts.append(twin.predict(kinship(new[0], new[1], shares, weight), return_std=True))
    means, stds = np.array([m for m, _ in parts]), np.array([s for _, s in parts])
    mean, std = found.predict(new[0], new[1], shares)
    weights = by_errors(found)
    assert mean == pytest.approx(weights @ means, rel=1e-9)
    assert std == pytest.approx(np.sqrt(weights @ (stds**2 + (means - weights @ means) ** 2)), rel=1e-6)
    assert np.ptp(means, axis=0).min() > 1e-4
    assert np.ptp(means, axis=0).max() > 0.01


@pytest.mark.parametrize("knows_composition", [False, True])
def test_a_formula_that_is_the_law_is_hardly_spoiled_by_what_knows_compositions(knows_composition):
    """Fifteen features, sixty rows, oxides all of different elements: what is left over is noise."""
    rng = np.random.default_rng(4)
    features, shares = rng.uniform(1, 2, (120, 15)), np.eye(120)[:, :60] * 0.5
    law = features[:, 0] * features[:, 1] / features[:, 2]
    law = (law - law.mean()) / law.std()
    target = law + rng.normal(0, 0.05, 120)
    old, new = np.arange(60), np.arange(60, 120)
    found = Correction("both", features[old], law[old], target[old], 0, shares[old] if knows_composition else None)
    mean, _ = found.predict(features[new], law[new], shares[new])
    assert np.sqrt(np.mean((mean - law[new]) ** 2)) < 0.1


def test_who_wants_compositions_is_not_asked_without_them():
    new = bumpy(15, seed=1)[:2]
    for kind in ("process", "both"):
        for a, b in zip(plain(kind, True).predict(*new), plain(kind).predict(*new), strict=True):
            assert np.array_equal(a, b)


def test_compositions_tell_what_features_do_not():
    features, formula, target = bumpy()
    shares = made_of()
    moved = target + 3.0 * shares[:, 1]
    error = {
        knows: np.abs(moved - Correction("both", features, formula, moved, 0, shares if knows else None).left_out_mean).mean()
        for knows in (False, True)
    }  # fmt: skip
    assert error[True] < 0.8 * error[False]


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_formula_or_feature_gives_nan_and_spoils_no_other_row(kind):
    features, formula, _ = bumpy(20, seed=1)
    whole = learned(kind).predict(features, formula)
    features[4, 1], formula[[2, 7]] = np.nan, [np.nan, np.inf]
    gone = np.isin(np.arange(20), [2, 4, 7])
    for a, b in zip(whole, learned(kind).predict(features, formula), strict=True):
        assert np.isnan(b).tolist() == gone.tolist()
        assert b[~gone] == pytest.approx(a[~gone], rel=1e-9)


def test_no_row_with_a_formula_gives_nan_only():
    assert np.isnan(learned("both").predict(np.ones((3, 2)), np.full(3, np.nan))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_column_says_nothing(kind):
    features, formula, target = bumpy()
    constant = np.column_stack([features, np.full(len(target), 0.1)])
    assert constant.std(axis=0)[2] > 0.0  # by rounding alone
    found = Correction(kind, constant, formula, target, seed=0)
    new, guess, truth = bumpy(60, seed=1)
    mean, _ = found.predict(np.column_stack([new, np.full(60, 0.1)]), guess)
    assert np.abs(mean - truth).mean() < 0.7 * np.abs(guess - truth).mean()
    moved, _ = found.predict(np.column_stack([new, np.full(60, 0.11)]), guess)
    assert moved == pytest.approx(mean, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [12, 24])
def test_few_and_repeated_rows_have_finite_predictions(kind, n):
    features, formula, target = (np.concatenate([part] * (n // 12)) for part in bumpy(12))
    found = Correction(kind, features, formula, target, seed=0)
    for values in (*found.predict(features, formula), found.left_out_mean, found.left_out_std):
        assert np.isfinite(values).all()
    assert (found.left_out_std > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_local_bump_is_learned(kind):
    features, formula, target = bumpy(80)
    found = Correction(kind, features, formula, target, seed=0)
    assert np.abs(target - found.left_out_mean).mean() < 0.7 * np.abs(target - formula).mean()
    new, guess, truth = bumpy(200, seed=1)
    mean, std = found.predict(new, guess)
    assert np.abs(truth - mean).mean() < 0.6 * np.abs(truth - guess).mean()
    assert np.mean(np.abs(truth - mean) < 2 * std) > 0.8


@pytest.mark.parametrize(("kind", "small"), [("trees", 1e-12), ("process", 0.05), ("both", 0.03)])
def test_perfect_formulas_are_hardly_corrected(kind, small):
    features, formula, _ = bumpy(60)
    found = Correction(kind, features, formula, formula, seed=0)
    new, guess, _ = bumpy(100, seed=1)
    assert np.abs(found.predict(new, guess)[0] - guess).mean() < small * formula.std()
    assert np.abs(found.left_out_mean - formula).mean() < small * formula.std()


def test_a_label_does_not_enter_its_own_left_out_prediction_by_trees():
    features, formula, target = bumpy(30)
    moved = target.copy()
    moved[5] += 0.3
    a, b = (Correction("trees", features, formula, values, seed=0) for values in (target, moved))
    assert a.left_out_mean[5] == b.left_out_mean[5]
    assert np.abs(a.left_out_mean - b.left_out_mean).max() > 1e-4


def test_the_seed_decides_the_trees():
    a, b = (Correction("trees", *bumpy(), seed=seed) for seed in (3, 4))
    assert np.array_equal(a.left_out_mean, learned("trees").left_out_mean)
    assert not np.array_equal(b.left_out_mean, a.left_out_mean)


def more_of(n, **options):
    """Learned from the first `n` of some rows, with compositions."""
    return Correction("both", *(part[:n] for part in bumpy(60)), 3, made_of(60)[:n], Kernels(**options))


def evaluations(found):
    return [learner.process.n_evaluations for learner in found._learners if isinstance(learner, ProcessLearner)]


def test_one_label_more_begins_where_the_last_fit_ended_until_a_tenth_has_come(monkeypatch):
    monkeypatch.setattr(correction, "HANDED_OVER_FROM", 40)
    first = more_of(40)
    assert first.handover == {"n_fresh": 40, "theta": first.theta}
    second = more_of(41, earlier=json.loads(json.dumps(first.handover)))
    third = more_of(43, earlier=second.handover)
    assert max(evaluations(second) + evaluations(third)) <= MOST_EVALUATIONS < min(evaluations(first))
    assert [found.n_fresh for found in (second, third)] == [40, 40]
    fourth = more_of(44, earlier=third.handover)
    assert fourth.n_fresh == 44
    assert fourth.theta == more_of(44).theta
    for late, fresh in zip(third.predict(*bumpy(9)[:2]), more_of(43).predict(*bumpy(9)[:2]), strict=True):
        assert late == pytest.approx(fresh, rel=1e-2)


def test_a_file_tells_the_digits_of_a_fit_that_began_at_an_earlier_one(monkeypatch):
    monkeypatch.setattr(correction, "HANDED_OVER_FROM", 40)
    found = more_of(41, earlier=more_of(40).handover)
    assert found.theta != more_of(41).theta
    again = Correction.from_json(json.loads(json.dumps(found.to_json())))
    assert np.array_equal(again.left_out_mean, found.left_out_mean)
    assert np.array_equal(again.predict(*bumpy(9)[:2])[0], found.predict(*bumpy(9)[:2])[0])


def test_with_few_labels_or_without_processes_nothing_is_handed_over(monkeypatch):
    assert more_of(40).handover is None
    monkeypatch.setattr(correction, "HANDED_OVER_FROM", 40)
    assert more_of(39).handover is None
    assert Correction("trees", *bumpy(), seed=0).handover is None


def test_what_fewer_kernels_hand_over_is_left_alone(monkeypatch):
    monkeypatch.setattr(correction, "HANDED_OVER_FROM", 40)
    earlier = Correction("process", *(part[:40] for part in bumpy(60)), 3).handover
    found = more_of(41, earlier=earlier)
    assert (found.n_fresh, found.theta) == (41, more_of(41).theta)


def test_what_no_correction_can_hand_over_is_refused():
    with pytest.raises(ModelFileError, match=r"^n_fresh: needs a valid integer, found 'x'$"):
        more_of(40, earlier={"n_fresh": "x", "theta": []})


@pytest.mark.parametrize("knows_composition", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_one_without_formulas_comes_back_from_json_with_the_same_bits(kind, knows_composition):
    features, _, target = bumpy()
    new, shares = bumpy(15, seed=1)[0], made_of(15, seed=1) if knows_composition else None
    found = Correction(kind, features, None, target, 3, made_of() if knows_composition else None)
    again = Correction.from_json(json.loads(json.dumps(found.to_json())))
    for one, other in zip(found.predict(new, None, shares), again.predict(new, None, shares), strict=True):
        assert np.array_equal(one, other)
