"""Families left out: against fits without them, and what sigma makes of them where a candidate is of none of them."""

import json

import numpy as np
import pandas as pd
import pytest

from sisso_sal.models import shift as shifts
from sisso_sal.models.correction import Correction, Kernels
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.groups import Provenance
from sisso_sal.models.process import conditioned, learn_process
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.models.shift import LEAST_WIDTH, SEEN, Shift


def table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (n, 3))
    return features, np.sin(2 * features[:, 0]) + features[:, 1] + rng.normal(0, 0.05, n)


def shares_of(n, n_elements, seed=0):
    """Two of so many elements in each material."""
    rng = np.random.default_rng([seed, 1])
    shares = np.zeros((n, n_elements))
    for row in shares:
        row[rng.choice(n_elements, 2, replace=False)] = rng.uniform(0.2, 1.0, 2)
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kinship", [0.0, 4.0])
def test_leaving_a_family_out_is_a_process_with_the_same_parameters_that_never_saw_it(kinship):
    features, target = table()
    errors = np.random.default_rng(3).uniform(0, 0.3, 60)
    found = learn_process(
        features,
        target,
        np.full(1 if kinship else 3, 1.5),
        trend=2 if kinship else None,
        kinship=kinship,
        provenance=Provenance(errors=errors),
    ).process
    rows = np.array([3, 4, 9, 20, 41, 59])
    others = np.setdiff1d(np.arange(60), rows)
    mean, std = found.without(target, rows)
    # The others keep their unit and noise: those of all labels.
    scaled = (target - target.mean()) / target.std()
    twin = conditioned(
        found.kernel, found.theta, features[others], scaled[others], (errors[others] / target.std()) ** 2
    )
    values, centre = scaled[others], twin.centre
    twin = conditioned(
        found.kernel,
        found.theta,
        features[others],
        (values - centre) / twin.scale,
        (errors[others] / target.std()) ** 2,
    )
    whitened = twin._whitened(features[rows])
    expected = whitened @ (twin.inverse @ values)
    prior = twin.prior(twin.kernel.line(features[rows])) + (errors[rows] / target.std()) ** 2
    sigma = np.sqrt(prior - (whitened**2).sum(axis=1))
    assert mean == pytest.approx(target.mean() + target.std() * expected, rel=1e-8)
    assert std == pytest.approx(target.std() * sigma, rel=1e-8)
    assert np.abs(mean - found.left_out(target)[0][rows]).max() > 0.01


def test_one_material_left_out_is_a_family_of_one():
    features, target = table()
    process = learn_process(features, target, np.full(3, 1.5)).process
    mean, std = process.left_out(target)
    for row in (0, 17, 59):
        own = process.without(target, np.array([row]))
        assert own[0] == pytest.approx(mean[[row]], rel=1e-9)
        assert own[1] == pytest.approx(std[[row]], rel=1e-9)


def test_novelty_is_small_at_a_label_and_one_far_away_and_label_errors_are_none():
    features, target = table()
    for errors in (None, np.full(60, 0.5)):
        learner = learn_process(features, target, np.full(3, 1.5), provenance=Provenance(errors=errors))
        asked = np.vstack([features[:1], np.full((1, 3), 1e3)])
        near, far = learner.novelty(asked, learner.predict(asked, np.zeros(2))[1])
        assert near < 0.5
        assert far == pytest.approx(1.0)
        alone = learner.left_out_novelty(errors)
        assert (alone > 0).all()
        assert (alone <= 1).all()
        i = 7
        twin = learner.process.without(target, np.array([i]))[1] ** 2 - (0.0 if errors is None else errors[i] ** 2)
        prior = learner.process.scale**2 * learner.process.prior(np.zeros(1))
        assert alone[i] == pytest.approx((twin / prior)[0], rel=1e-9)


def test_families_are_elements_that_not_all_have_the_most_frequent_first():
    shares = shares_of(60, 20)
    shares[:, 19] = 0.1  # all have it
    found = Correction("process", *table_with_formula(), 0, shares).shift
    counts = [len(rows) for rows in found.families]
    assert found.by == "elements"
    assert len(counts) == shifts.MOST_ELEMENTS
    assert counts == sorted((shares[:, :19] > 0).sum(axis=0), reverse=True)[: len(counts)]
    for rows in found.families:
        assert any(np.array_equal(rows, np.flatnonzero(column > 0)) for column in shares[:, :19].T)


def table_with_formula(n=60, seed=0):
    features, target = table(n, seed)
    return features, 0.8 * features[:, 1], target


def test_families_are_clusters_where_no_elements_tell_them():
    for composition in (None, np.tile([0.5, 0.5], (60, 1))):
        found = Correction("process", *table_with_formula(), 0, composition).shift
        assert found.by == "clusters"
        assert 2 <= len(found.families) <= shifts.N_CLUSTERS
        assert len(np.unique(np.concatenate(found.families))) == sum(map(len, found.families))


def test_clusters_are_those_that_are_apart():
    rng = np.random.default_rng(0)
    own = np.arange(60) % 6
    features = rng.normal(0, 0.1, (60, 2)) + 10 * np.column_stack([own, own**2 % 5])
    made = list(shifts._clusters(features - features.mean(axis=0)))
    assert sorted(map(tuple, (np.flatnonzero(one) for one in made))) == sorted(tuple(range(k, 60, 6)) for k in range(6))


def test_a_family_has_all_rows_of_its_materials():
    features, formula, target = table_with_formula()
    groups = np.arange(60) // 2
    shares = shares_of(60, 8)
    found = Correction("process", features, formula, target, 0, shares, provenance=Provenance(groups)).shift
    for rows in found.families:
        assert np.array_equal(rows, np.flatnonzero(np.isin(groups, groups[rows])))
        assert shifts.FEWEST <= len(np.unique(groups[rows])) <= 15


def test_without_processes_or_families_sigma_is_that_of_the_learners():
    features, formula, target = table_with_formula()
    assert Correction("trees", features, formula, target, 0).shift is None
    same = np.ones((60, 3))
    assert Correction("process", same, formula, target, 0).shift is None


def test_a_smooth_law_without_families_hardly_widens_sigma():
    """Whole families are predicted as well as their sigma says, so that only what they have seen is left."""
    factors = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        features = rng.uniform(-1, 1, (100, 3))
        target = features @ [1.0, -0.5, 0.3] + rng.normal(0, 0.2, 100)
        factors.append(Correction("both", features, np.zeros(100) + features[:, 0], target, 0).shift.factor)
    assert np.mean(factors) < 1.1 * SEEN


def planted(seed, n_clusters=8, each=20):
    """Clusters of features, each with a constant of its own that no feature tells; the last one is new."""
    rng = np.random.default_rng(seed)
    own = np.repeat(np.arange(n_clusters), each)
    features = rng.normal(0, 1.5, (n_clusters, 4))[own] + rng.normal(0, 0.3, (len(own), 4))
    law = features[:, 0]
    target = law + rng.normal(0, 1, n_clusters)[own] + rng.normal(0, 0.1, len(own))
    return features, law, target, own == n_clusters - 1


def covered(seed):
    """Shares of the new cluster and of the known ones in their intervals of 95 %, and the factor."""
    features, law, target, is_new = planted(seed)
    found = Correction("both", features[~is_new], law[~is_new], target[~is_new], 0)
    learned = Recalibration.fit("isotonic", target[~is_new], found.left_out_mean, found.left_out_std)
    shares = []
    for rows in (is_new, ~is_new):
        low, high = learned.distribution(*found.predict(features[rows], law[rows])).interval(0.95)
        shares.append(np.mean((low <= target[rows]) & (target[rows] <= high)))
    return (*shares, found.shift.factor if found.shift else 1.0)


def test_families_with_constants_of_their_own_make_a_new_one_uncertain(monkeypatch):
    new, old, factor = np.mean([covered(seed) for seed in range(10)], axis=0)
    assert factor > 1.5
    assert new > 0.87
    assert old > 0.95
    monkeypatch.setattr(Shift, "measured", lambda *_: None)
    assert np.mean([covered(seed)[0] for seed in range(10)]) < 0.77


def test_sigma_grows_with_distance_from_the_labels_only():
    features, formula, target = table_with_formula()
    found = Correction("process", features, formula, target, 0)
    factor = found.shift.factor
    far = np.full((1, 3), 50.0)
    std = found.predict(np.vstack([features, far]), np.append(formula, 0.0))[1]
    kept, found.shift = found.shift, None
    plain = found.predict(np.vstack([features, far]), np.append(formula, 0.0))[1]
    ratio = std / plain
    assert ratio[-1] == pytest.approx(factor)
    assert np.median(ratio[:-1]) == 1.0
    novelty = np.array([one.left_out_novelty() for one in found._learners])
    assert kept.widening(list(novelty)).min() == 1.0
    assert kept.starts == pytest.approx(tuple(np.quantile(np.log(novelty), 0.5, axis=1)))
    assert all(end >= start + LEAST_WIDTH for start, end in zip(kept.starts, kept.ends, strict=True))


def test_the_order_of_materials_changes_no_more_than_the_last_bits():
    features, formula, target = table_with_formula()
    shares, order = shares_of(60, 8), np.random.default_rng(1).permutation(60)
    straight = Correction("process", features, formula, target, 0, shares)
    permuted = Correction(
        "process", features[order], formula[order], target[order], 0, shares[order], Kernels(straight.theta)
    )
    assert permuted.shift.factor == pytest.approx(straight.shift.factor, rel=1e-6)
    assert permuted.shift.ends == pytest.approx(straight.shift.ends, rel=1e-6)
    assert permuted.left_out_std == pytest.approx(straight.left_out_std[order], rel=1e-6)


def test_a_file_gives_the_same_shift():
    found = Correction("both", *table_with_formula(), 0, shares_of(60, 8))
    restored = Correction.from_json(json.loads(json.dumps(found.to_json()))).shift
    assert restored.factor == found.shift.factor > 1
    assert (restored.starts, restored.ends, restored.by) == (found.shift.starts, found.shift.ends, found.shift.by)


def test_what_is_told_is_in_the_unit_of_the_target():
    features, formula, target = table_with_formula()
    found = Correction("process", features, formula, target, 0)
    told, twice = found.shift.as_dict(target, lambda v: v), found.shift.as_dict(target, lambda v: 2 * v)
    rows = np.concatenate(found.shift.families)
    process = found._learners[0].process
    mean = np.concatenate([process.without(target, part)[0] for part in found.shift.families])
    assert told["rmse"] == pytest.approx(np.sqrt(np.mean((target[rows] - mean) ** 2)))
    assert told["rmse_one_by_one"] == pytest.approx(np.sqrt(np.mean((target - process.left_out(target)[0])[rows] ** 2)))
    assert twice["rmse"] == pytest.approx(2 * told["rmse"])
    assert (told["by"], told["n_families"]) == ("clusters", len(found.shift.families))
    assert found.shift.as_dict(target, lambda v: v * np.nan)["rmse"] is None


def test_the_widening_is_the_mean_over_the_processes_that_were_asked():
    found = Shift(4.0, (-2.0, 0.0), (0.0, 1.0), "elements", (), (), np.empty(0))
    one = np.exp([-3.0, -1.0, 2.0])
    assert found.widening([one]) == pytest.approx([1.0, 2.0, 4.0])
    assert found.widening([one, np.exp([0.0, 1.0, 1.0])]) == pytest.approx([1.0, 4**0.75, 4.0])


@pytest.mark.parametrize("transform", ["none", "yeo-johnson"])
def test_an_ensemble_tells_it_in_the_unit_of_the_target(transform):
    features, target = table()
    fit = SISSOEnsemble(members=6, rung=1, dim=1, target_transform=transform, threads=1).fit(
        features, target, composition=shares_of(60, 8)
    )
    shift, link = fit.correction_.shift, fit.model_.link
    told = fit.describe(features, "y")["shift"]
    rows = np.concatenate(shift.families)
    labels = link.inverse(fit.correction_.target)
    assert np.sort(labels) == pytest.approx(np.sort(target))
    error = labels[rows] - link.inverse(np.concatenate(shift.without_family))
    assert told["rmse"] == pytest.approx(np.sqrt(np.nanmean(error**2)))
    assert told["factor"] == shift.factor > 1
    assert told["by"] == "elements"
    assert json.loads(json.dumps(told)) == told
    alone = SISSOEnsemble(members=6, rung=1, dim=1, correction="trees", threads=1).fit(features, target)
    assert alone.describe(features, "y")["shift"] is None


def test_the_order_of_rows_and_columns_changes_no_bit_of_an_ensemble():
    features, target = table()
    shares, rows, columns = shares_of(60, 8), np.random.default_rng(2).permutation(60), [2, 0, 1]
    fits = [
        SISSOEnsemble(members=6, rung=1, dim=1, threads=1).fit(
            frame(features, r, order), target[r], composition=shares[r]
        )
        for r, order in ((np.arange(60), [0, 1, 2]), (rows, columns))
    ]  # fmt: skip
    assert fits[0].correction_.shift.factor == fits[1].correction_.shift.factor
    assert fits[0].correction_.shift.starts == fits[1].correction_.shift.starts
    assert np.array_equal(fits[0].oob_std_[rows], fits[1].oob_std_)


def frame(features, rows, order):
    return pd.DataFrame({"abc"[column]: features[rows, column] for column in order})
