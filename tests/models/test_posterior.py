"""Which descriptors are certain: against brute force over all subsets, on planted laws, on noise, and in the file."""

import copy
import json
import math

import naive
import numpy as np
import pandas as pd
import pytest
from compiled import examples_of, needs_compiled
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.engine.plan import SearchSize
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.search import search
from sisso_sal.errors import ModelFileError, SettingsError
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.files import load_model, save_model
from sisso_sal.models.fitting import SearchSettings
from sisso_sal.models.posterior import (
    CERTAIN,
    N_TOLD,
    Credence,
    believe,
    certainty,
    effective_number,
    log_evidence,
)
from sisso_sal.models.validation import cross_validate

NAMES = ("a", "b", "c")
SMALL = {"rung": 1, "dim": 2, "n_sis": 8, "n_residual": 2, "correction": "none", "threads": 1}


def believed(
    values, target, weights, groups, allowed=(True, True, True), n_scored=10_000, operators=("add", "mult", "div")
):
    """The belief of one problem in whose subspace the whole space is."""
    space = FeatureSpace(NAMES, [""] * 3, values, SpaceSettings(operators=operators, rung=1))
    problem = Problem(target, weights, np.array(allowed))
    size = SearchSize(dim=3, n_sis=space.n_features, keep=2, n_scored=n_scored)
    (outcome,), _ = search(space, [problem], size)
    return space, outcome, believe(space, space.expression, problem, outcome, groups)


def drawn(seed, n=18):
    rng = np.random.default_rng(seed)
    values = rng.uniform(1, 2, (3, n))
    target = values[0] * values[1] + rng.normal(0, 0.2, n)
    return values, target, rng.integers(0, 3, n).astype(float), rng.integers(0, 12, n)


@settings(max_examples=examples_of(12), deadline=None)
@given(seed=st.integers(0, 10_000))
def test_equals_brute_force_over_all_subsets(seed):
    values, target, weights, groups = drawn(seed)
    space, outcome, belief = believed(values, target, weights, groups)
    subspace = outcome.subspace
    expressions = [space.expression(*subspace.triple(number)) for number in range(len(subspace))]
    rows = subspace.values(space)
    total = {group: weights[groups == group].sum() for group in set(groups.tolist())}
    n = sum(total.values()) ** 2 / sum(weight**2 for weight in total.values())
    expected = naive.posterior(rows, target, weights, 3, n, space.n_features)
    each = {expression.key: 0.0 for expression in expressions}
    primaries = dict.fromkeys(NAMES, 0.0)
    unexplained = 0.0
    for subset, (probability, left) in expected.items():
        unexplained += probability * left
        for number in subset:
            each[expressions[number].key] += probability
        for name in {name for number in subset for name in expressions[number].primaries()}:
            primaries[name] += probability
    assert {key for key, share in each.items() if share > 2e-3} <= {*belief.descriptors}
    for key, (expression, probability) in belief.descriptors.items():
        assert expression.key == key
        assert probability == pytest.approx(each[key], abs=1e-6)
    np.testing.assert_allclose(belief.primaries, list(primaries.values()), atol=1e-6)
    assert belief.unexplained == pytest.approx(unexplained, abs=1e-6)


def test_the_best_scores_alone_change_little():
    values, target, weights, groups = drawn(1)
    every, few = (believed(values, target, weights, groups, n_scored=n)[2] for n in (10_000, 100))
    np.testing.assert_allclose(few.primaries, every.primaries, atol=0.02)


def test_forbidden_primaries_have_no_probability():
    values, target, weights, groups = drawn(2)
    belief = believed(values, target, weights, groups, allowed=(True, False, True))[2]
    assert belief.primaries[1] == 0.0
    assert all("b" not in expression.primaries() for expression, _ in belief.descriptors.values())


def test_evidence_grows_with_the_fit_and_with_materials_and_falls_with_the_choice():
    gains = np.array([0.1, 0.5, 0.9])
    assert (np.diff(log_evidence(gains, 2, 40.0, 1000)) > 0).all()
    assert log_evidence(gains, 2, 80.0, 1000)[-1] > log_evidence(gains, 2, 40.0, 1000)[-1]
    assert log_evidence(gains, 2, 40.0, 10_000)[-1] == pytest.approx(
        log_evidence(gains, 2, 40.0, 1000)[-1] - math.log(math.comb(10_000, 2) / math.comb(1000, 2))
    )
    assert log_evidence(np.ones(1), 1, 40.0, 10) == log_evidence(np.full(1, 1 - 1e-12), 1, 40.0, 10)


def test_a_fit_without_freedom_is_no_evidence():
    """Three terms and an intercept pass through four materials, whatever they mean."""
    assert log_evidence(np.ones(1), 3, 4.0, 1000)[0] < -18


@pytest.mark.parametrize(
    ("weights", "groups", "expected"),
    [
        ([1, 1, 1], [0, 1, 2], 3.0),
        ([1, 1, 1], [0, 0, 0], 1.0),
        ([2, 0, 2], [0, 1, 2], 2.0),
        ([1, 1, 2], [0, 0, 1], 2.0),
    ],
)
def test_rows_of_one_material_count_once(weights, groups, expected):
    assert effective_number(np.array(weights, dtype=float), np.array(groups)) == pytest.approx(expected)


def table(n=60, noise=0.02, seed=0, law=True):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(1, 2, (n, 5)), columns=list("abcde"))
    y = rng.normal(0, noise, n)
    return X, (3 * X["a"] * X["b"] - 2 * X["c"] / X["d"] + y).to_numpy() if law else y


def told(ensemble):
    certain = ensemble.certain_
    return {str(one.expression): one.probability for one in certain.descriptors}, certain.primaries


@needs_compiled
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("n", [20, 60])
def test_the_descriptors_of_a_planted_law_are_certain(noise, n):
    """Also with dropout: members that may not use one of them count little."""
    descriptors, primaries = told(SISSOEnsemble(**SMALL, dropout=0.2).fit(*table(n, noise)))
    assert [name for name, share in descriptors.items() if share > CERTAIN] in (["a*b", "c/d"], ["c/d", "a*b"])
    assert max(share for name, share in descriptors.items() if name not in {"a*b", "c/d"}) < 0.2
    assert all(primaries[name] > CERTAIN for name in "abcd")
    assert primaries["e"] < 0.2


@needs_compiled
@pytest.mark.parametrize("n", [12, 30, 80])
@pytest.mark.parametrize("rung", [1, 2])
def test_nothing_is_certain_of_noise(n, rung):
    for seed in range(3):
        ensemble = SISSOEnsemble(**{**SMALL, "rung": rung}, random_state=seed).fit(*table(n, 1.0, seed, law=False))
        descriptors, primaries = told(ensemble)
        assert max(descriptors.values(), default=0.0) < 0.3
        assert max(primaries.values()) < 0.6


@needs_compiled
@pytest.mark.parametrize("options", [{}, {"loss": "huber"}, {"target_transform": "yeo-johnson"}])
def test_neither_order_nor_threads_change_a_digit(options):
    X, y = table(40, 0.3)
    rng = np.random.default_rng(3)
    rows, columns = rng.permutation(len(y)), rng.permutation(X.shape[1])
    straight = SISSOEnsemble(**SMALL, **options, members=6).fit(X, y)
    for threads in (1, 2):
        other = SISSOEnsemble(**{**SMALL, "threads": threads}, **options, members=6)
        other.fit(X.iloc[rows, columns], y[rows])
        assert other.certain_.to_json() == straight.certain_.to_json()


def test_repeated_rows_make_nothing_more_certain():
    """Each material thrice, told as one: the members are drawn alike, and count as many materials."""
    X, y = table(25, 1.0)
    groups = np.repeat(np.arange(25), 3)
    thrice = SISSOEnsemble(**SMALL).fit(X.loc[X.index.repeat(3)].reset_index(drop=True), np.repeat(y, 3), groups=groups)
    once = SISSOEnsemble(**SMALL).fit(X, y, groups=np.arange(25))
    primaries = [np.mean([*told(one)[1].values()]) for one in (once, thrice)]
    assert primaries[1] == pytest.approx(primaries[0], abs=0.15)


def belief_of(primaries, allowed=(True, True), unexplained=0.5, descriptors=None):
    return Credence(descriptors or {}, np.array(primaries), np.array(allowed), unexplained)


def test_members_count_where_they_may_use_a_feature_and_by_what_they_leave():
    members = [belief_of([0.8, 0.2]), belief_of([0.4, 0.0], (True, False), 1.0)]
    primaries = certainty(members, ["a", "b"]).primaries
    assert primaries == {"a": pytest.approx((2 * 0.8 + 0.4) / 3), "b": 0.2}
    assert [*primaries] == ["a", "b"]


def test_a_feature_that_no_member_may_use_is_not_told():
    assert [*certainty([belief_of([0.8, 0.0], (True, False))], ["a", "b"]).primaries] == ["a"]


def test_few_members_say_nothing_of_a_descriptor_and_the_list_ends():
    space = FeatureSpace(NAMES, [""] * 3, np.random.default_rng(0).uniform(1, 2, (3, 9)), SpaceSettings(rung=2))
    expressions = [space.stored_expression(number) for number in range(40)]
    of_a = {one.key: (one, 0.5) for one in expressions if one.primaries() == ("a",)}
    alone = Credence(of_a, np.zeros(3), np.array([True, False, False]), 0.5)
    others = [Credence({}, np.zeros(3), np.array([False, True, True]), 0.5)] * 3
    assert certainty([alone, *others], NAMES).descriptors == ()
    many = Credence({one.key: (one, 0.5) for one in expressions}, np.zeros(3), np.ones(3, bool), 0.5)
    found = certainty([many] * 4, NAMES).descriptors
    assert len(found) == N_TOLD
    assert [one.expression.key for one in found] == sorted(one.key for one in expressions)[:N_TOLD]
    assert {one.probability for one in found} == {0.5}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("posterior") / "model.json"
    ensemble = SISSOEnsemble(**SMALL, members=5).fit(*table(30, 0.3))
    save_model(path, ensemble, "y", "")
    return ensemble, path


def test_a_file_keeps_what_is_certain(saved):
    ensemble, path = saved
    again, _, _ = load_model(path)
    assert again.certain_ == ensemble.certain_
    assert again.describe(table(30)[0], "y")["certain"] == {"threshold": CERTAIN, **ensemble.certain_.shown()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["descriptors"].reverse(), "descriptors: needs the most probable first"),
        (lambda c: c.update(primaries={"a": 0.5, "b": 0.9}), "primaries: needs the most probable first"),
        (lambda c: c.update(primaries={"z": 0.5}), "certain.primaries: needs names of primary features"),
        (lambda c: c["descriptors"][0].update(expression="a"), r"certain.descriptors.0: needs 'a\*b' as the tree says"),
        (
            lambda c: c["descriptors"][0].update(tree=["mult", "a", "z"]),
            r"certain.descriptors.0.tree.*needs one of the features",
        ),
        (lambda c: c["descriptors"][0].update(probability=1.5), "certain.descriptors.0.probability"),
    ],
)
def test_a_damaged_list_is_refused(saved, tmp_path, change, told):
    document = json.loads(saved[1].read_text(encoding="utf-8"))
    damaged = copy.deepcopy(document)
    change(damaged["certain"])
    path = tmp_path / "model.json"
    path.write_text(json.dumps(damaged), encoding="utf-8")
    with pytest.raises(ModelFileError, match=told):
        load_model(path)


def test_cross_validation_does_not_score(monkeypatch):
    """It asks for predictions only; they are the same with scores."""
    X, y = table(24, 0.3)
    found = cross_validate(SISSOEnsemble(**SMALL, members=4), X, y, folds=3)
    monkeypatch.setattr("sisso_sal.models.recipe.N_SCORED", 0)
    without = SISSOEnsemble(**SMALL, members=4).fit(X, y)
    assert without.certain_ is None
    assert without.describe(X, "y")["certain"] is None
    again = cross_validate(SISSOEnsemble(**SMALL, members=4), X, y, folds=3)
    np.testing.assert_array_equal(found.mean, again.mean)


def test_scores_change_no_prediction(monkeypatch):
    X, y = table(30, 0.3)
    scored = SISSOEnsemble(**SMALL, members=5).fit(X, y)
    monkeypatch.setattr("sisso_sal.models.recipe.N_SCORED", 0)
    without = SISSOEnsemble(**SMALL, members=5).fit(X, y)
    np.testing.assert_array_equal(scored.predict(X), without.predict(X))


def test_a_number_of_scores_below_zero_is_refused():
    with pytest.raises(SettingsError, match="n_scored: needs a number >= 0, found -1"):
        SearchSettings(n_scored=-1)


def test_more_terms_than_there_are_features_change_nothing():
    """Of one feature there are models of one term alone, whatever number was asked for."""
    x = np.random.default_rng(4).uniform(1, 2, (20, 1))
    y = x[:, 0] + np.random.default_rng(5).normal(0, 0.3, 20)
    options = {"rung": 0, "members": 4, "adapt": False, "correction": "none", "threads": 1}
    one, three = (SISSOEnsemble(dim=dim, **options).fit(x, y).model_.certain for dim in (1, 3))
    assert one.primaries == three.primaries
    assert 0.5 < one.primaries["x0"] < 1
