"""The engine on random tables, however ugly: it agrees with its naive twins, and what must not matter does not."""

import json
from math import comb

import naive
import numpy as np
import pandas as pd
import pytest
from compiled import examples_of
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from screening import screen

from sisso_sal.engine.problem import Problem
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sparsify import Ranks, sparsify
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.features.unit_rules import IGNORED
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.regressor import SISSORegressor

WIDE = {"min_abs": 1e-30, "max_abs": 1e40}
COLUMNS = ("plain", "signed", "small", "large", "offset", "copy", "affine", "sum", "constant", "integer", "outlier")


def engine(max_examples):
    slow = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
    return settings(deadline=None, max_examples=examples_of(max_examples), suppress_health_check=slow)


def column(kind, earlier, rng, n):
    """Values of one primary feature; `earlier` are those before it."""
    plain = rng.uniform(1, 2, n)
    if not earlier and kind in {"copy", "affine", "sum"}:
        return plain
    return {
        "plain": lambda: plain,
        "signed": lambda: rng.normal(0, 1, n),
        "small": lambda: 1e-5 * plain,
        "large": lambda: 1e5 * plain,
        "offset": lambda: 1e6 + plain,
        "copy": lambda: earlier[-1].copy(),
        "affine": lambda: 3.0 - 2.0 * earlier[0],
        "sum": lambda: earlier[0] / np.abs(earlier[0]).max() + earlier[-1] / np.abs(earlier[-1]).max(),
        "constant": lambda: np.full(n, 0.3),
        "integer": lambda: rng.integers(1, 4, n).astype(float),
        "outlier": lambda: np.where(np.arange(n) == 0, 1e4, plain),
    }[kind]()


@st.composite
def tables(draw, least=6, most=20, n_primary=(1, 4)):
    """(columns by name, generator): two to four primary features of any kinds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(least, most))
    kinds = draw(st.lists(st.sampled_from(COLUMNS), min_size=n_primary[0], max_size=n_primary[1]))
    rows: list[np.ndarray] = []
    for kind in kinds:
        rows.append(column(kind, rows, rng, n))
    return dict(zip("dbca", rows, strict=False)), rng


@st.composite
def weights_of(draw, n):
    kind = draw(st.sampled_from(["ones", "counts", "fold", "real"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drawn = {
        "ones": np.ones(n),
        "counts": np.bincount(rng.integers(0, n, n), minlength=n).astype(float),
        "fold": (rng.uniform(size=n) < 0.8).astype(float),
        "real": np.where(rng.uniform(size=n) < 0.2, 0.0, rng.uniform(0.1, 3, n)),
    }[kind]
    assume(np.count_nonzero(drawn) >= 4)
    return drawn


@st.composite
def operator_sets(draw):
    """(operators, rung): few enough for a small space."""
    rung = draw(st.sampled_from([0, 1, 1, 2]))
    most = {0: 1, 1: 8, 2: 3}[rung]
    return tuple(draw(st.lists(st.sampled_from(list(OPERATORS)), min_size=1, max_size=most, unique=True))), rung


def keys_of(space, selection):
    arrays = (getattr(selection, name).tolist() for name in ("opcode", "left", "right"))
    return [space.key(*triple) for triple in zip(*arrays, strict=True)]


def selection_of(space, keys):
    """The features with these keys, as a selection."""
    triples = [triple for triple in space.triples() if space.key(*triple) in keys]
    opcode, left, right = np.array(triples).reshape(-1, 3).T
    return Selection(opcode.astype(np.int16), left.astype(np.int32), right.astype(np.int32), np.zeros(len(opcode)))


@engine(150)
@given(data=st.data(), table=tables(n_primary=(1, 3)), chosen=operator_sets())
def test_screening_equals_the_naive_one(data, table, chosen):
    columns, rng = table
    operators, rung = chosen
    n = len(next(iter(columns.values())))
    names = list(columns)
    options = {"operators": operators, "rung": rung, **WIDE}
    weights = data.draw(weights_of(n))
    residuals = rng.normal(0, 1, (data.draw(st.integers(1, 3)), n))
    n_sis = data.draw(st.integers(1, 15))
    allowed = data.draw(st.sets(st.sampled_from(names), min_size=1))
    centre = data.draw(st.booleans())
    space = FeatureSpace(names, [""] * len(names), np.array(list(columns.values())), SpaceSettings(**options))
    rungs = naive.feature_space(columns, dict.fromkeys(names, ""), **options)
    features, values = [f for r in rungs for f in r.features], [v for r in rungs for v in r.values]
    taken = set()
    if data.draw(st.booleans()):
        taken = {f.key for f in naive.screen(features, values, weights, residuals[:1], 3, allowed=allowed).features}
    expected = naive.screen(features, values, weights, residuals, n_sis, allowed=allowed, taken=taken, centre=centre)
    assume(expected.is_clear)
    problem = Problem(residuals[0], weights, np.array([name in allowed for name in names]))
    (found,), causes = screen(
        space,
        [problem],
        [problem.normalised(residuals, centre)],
        n_sis,
        taken=[selection_of(space, taken)],
        centre=centre,
    )
    assert keys_of(space, found) == [f.key for f in expected.features]
    np.testing.assert_allclose(found.score, expected.scores, rtol=1e-7, atol=1e-12)
    kept = len(rungs[-1].features)
    assert space.sizes[-1] - causes.total() == kept


@engine(60)
@given(data=st.data(), table=tables(n_primary=(2, 3)), chosen=operator_sets())
def test_one_pass_for_many_problems_equals_one_pass_per_problem(data, table, chosen):
    columns, rng = table
    operators, rung = chosen
    n = len(next(iter(columns.values())))
    names = list(columns)
    space = FeatureSpace(
        names, [""] * len(names), np.array(list(columns.values())), SpaceSettings(operators=operators, rung=rung)
    )
    problems, residuals = [], []
    for _ in range(data.draw(st.integers(2, 4))):
        allowed = rng.uniform(size=len(names)) < 0.7
        problems.append(Problem(rng.normal(0, 1, n), data.draw(weights_of(n)), allowed))
        residuals.append(problems[-1].normalised(rng.normal(0, 1, (data.draw(st.integers(0, 3)), n)), True))
    n_sis = data.draw(st.integers(1, 10))
    together, _ = screen(space, problems, residuals, n_sis, threads=2)
    for problem, rows, found in zip(problems, residuals, together, strict=True):
        (alone,), _ = screen(space, [problem], [rows], n_sis)
        assert keys_of(space, found) == keys_of(space, alone)
        np.testing.assert_array_equal(found.score, alone.score)


@engine(60)
@given(data=st.data(), table=tables(n_primary=(2, 3)), chosen=operator_sets())
def test_counts_equal_repeated_rows(data, table, chosen):
    """Same formulas from a table with counts as weights and from the table with its rows repeated that often."""
    columns, rng = table
    operators, rung = chosen
    n = len(next(iter(columns.values())))
    counts = 1 + rng.integers(0, 3, n)
    names = list(columns)
    residuals = rng.normal(0, 1, (data.draw(st.integers(1, 2)), n))
    options = {"operators": operators, "rung": rung, **WIDE}
    results = []
    for factor, weights in ((np.ones(n, int), counts.astype(float)), (counts, np.ones(counts.sum()))):
        rows = {name: naive.repeated(row, factor) for name, row in columns.items()}
        targets = naive.repeated(residuals.T, factor).T
        space = FeatureSpace(names, [""] * len(names), np.array(list(rows.values())), SpaceSettings(**options))
        problem = Problem(targets[0], weights, np.ones(len(names), bool))
        (found,), _ = screen(space, [problem], [problem.normalised(targets, True)], 8)
        results.append((keys_of(space, found), found.score))
    rungs = naive.feature_space(columns, dict.fromkeys(names, ""), **options)
    features, values = [f for r in rungs for f in r.features], [v for r in rungs for v in r.values]
    assume(naive.screen(features, values, counts.astype(float), residuals, 8).is_clear)
    assert results[0][0] == results[1][0]
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-7, atol=1e-12)


@engine(60)
@given(data=st.data(), table=tables(least=9, most=16, n_primary=(1, 4)), dim=st.integers(1, 4))
def test_l0_equals_brute_force(data, table, dim):
    columns, rng = table
    values = np.array(list(columns.values()))
    n = values.shape[1]
    values = np.vstack([values, rng.normal(0, 1, (data.draw(st.integers(5, 9)), n)) * 10.0 ** rng.integers(-5, 6)])
    weights = data.draw(weights_of(n))
    present = weights > 0
    spread = np.ptp(values[:, present], axis=1)
    values = values[spread > 1e-9 * np.abs(values[:, present]).max(axis=1)]  # the screening lets no constant through
    assume(np.count_nonzero(weights) > dim + 1)
    target = rng.normal(1, 1, n)
    centre = data.draw(st.booleans())
    ranks = [(int(rng.integers(0, 3)), f"{i:02d}") for i in rng.permutation(len(values))]
    # The same sum of squares may come twice (equal columns): naive and fast must then agree on the order, unless noise decides.
    expected, n_singular = naive.best_subsets(values, target, weights, dim, centre=centre, ranks=ranks)
    mean = np.average(target, weights=weights) if centre else 0.0
    shares = np.array([fit.sse for fit in expected[:3]]) / (weights @ (target - mean) ** 2)
    gaps = np.diff(shares)
    half = np.abs(shares * 1e10 - np.floor(shares * 1e10) - 0.5) < 0.05
    assume(not ((np.abs(gaps) > 1e-12) & (np.abs(gaps) < 1e-9) | (np.abs(gaps) <= 1e-12) & half[:-1]).any())
    named = Ranks(lambda number: ranks[number][0], lambda number: ranks[number][1])
    found = sparsify(values, Problem(target, weights, np.ones(1, bool)), dim, keep=2, centre=centre, ranks=named)
    assert found.n_subsets == comb(len(values), dim)
    assert found.n_singular == n_singular
    assert [fit.subset for fit in found.fits] == [fit.subset for fit in expected[:2]]
    for fit, twin in zip(found.fits, expected, strict=False):
        np.testing.assert_allclose(fit.residual, twin.residual, rtol=1e-6, atol=1e-6)
        assert fit.sse == pytest.approx(twin.sse, rel=1e-8, abs=1e-12)


def frame(columns, rng, noise=0.05):
    """A DataFrame with units in its headers, and a target that depends on it."""
    names = [f"{name} ({unit})" if unit else name for name, unit in zip(columns, ("eV", "eV", "AA", ""), strict=False)]
    rows = np.array(list(columns.values()))
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled = centred / np.maximum(np.abs(centred).max(axis=1, keepdims=True), 1e-3)
    target = scaled[0] + scaled[-1] ** 2 + noise * rng.normal(0, 1, rows.shape[1])
    return pd.DataFrame(dict(zip(names, rows, strict=True))), target


def fingerprint(models):
    return json.dumps([model.to_json() for model in models])


OPTIONS = {"operators": ("add", "sub", "abs_diff", "mult", "div", "sq", "sqrt"), "rung": 1, "dim": 2, "n_sis": 6}


@engine(40)
@given(data=st.data(), table=tables(least=12, most=30, n_primary=(2, 4)), rung=st.sampled_from([1, 1, 2]))
def test_neither_threads_nor_order_change_a_bit_of_the_regressor(data, table, rung):
    X, y = frame(*table)
    weights = data.draw(weights_of(len(y)))
    options = {**OPTIONS, "rung": rung}
    assume(np.ptp(X.to_numpy()[weights > 0], axis=0).any())
    rows, columns = (table[1].permutation(size) for size in X.shape)
    shuffled = X.iloc[rows, columns]
    first = SISSORegressor(**options, threads=1).fit(X, y, weights)
    expected = fingerprint([model for models in first.alternatives_ for model in models])
    prediction = first.predict(X)
    for threads in (1, 2):
        again = SISSORegressor(**options, threads=threads).fit(shuffled, y[rows], weights[rows])
        assert fingerprint([model for models in again.alternatives_ for model in models]) == expected
        assert (again.n_features_, again.rejected_) == (first.n_features_, first.rejected_)
        np.testing.assert_array_equal(again.predict(shuffled), prediction[rows])


@engine(25)
@given(
    table=tables(least=15, most=30, n_primary=(1, 3)),
    seed=st.integers(0, 99),
    kinds=st.sampled_from(
        [
            {},
            {"recalibrate": "scale"},
            {"loss": "huber", "correction": "trees"},
            {"target_transform": "yeo-johnson", "correction": "process", "aggregation": "median", "adapt": False},
        ]
    ),
)
def test_neither_threads_nor_order_change_a_bit_of_the_ensemble(table, seed, kinds):
    columns, rng = table
    n = len(columns["d"])
    columns = {name: row if np.ptp(row) > 0 else rng.uniform(1, 2, n) for name, row in columns.items()}
    X, y = frame({**columns, "a": rng.uniform(1, 2, n)}, rng)
    options = {**OPTIONS, "members": 4, "dropout": 0.3, "n_residual": 2, "random_state": seed, **kinds}
    rows, order = (rng.permutation(size) for size in X.shape)
    shuffled = X.iloc[rows, order]
    first = SISSOEnsemble(**options, threads=1).fit(X, y)
    prediction = first.predict_distribution(X)
    for threads in (1, 2):
        again = SISSOEnsemble(**options, threads=threads).fit(shuffled, y[rows])
        assert fingerprint(again.members_) == fingerprint(first.members_)
        assert again.dropped_ == first.dropped_
        np.testing.assert_array_equal(again.oob_mean_, first.oob_mean_[rows])
        np.testing.assert_array_equal(again.oob_std_, first.oob_std_[rows])
        assert again.document("y") == first.document("y")
        found = again.predict_distribution(shuffled)
        np.testing.assert_array_equal(found.members, prediction.members[:, rows])
        for name in ("mean", "std", "std_raw", "interval95", "formulas_mean", "outside", "distance"):
            expected = np.array(getattr(prediction, name))[..., rows]
            np.testing.assert_array_equal(getattr(found, name), expected, err_msg=name)


@engine(30)
@given(table=tables(least=12, most=25, n_primary=(2, 3)), factor=st.sampled_from([-2.0, 0.25, 1e3, -1e-4, 7.3]))
@example(table=({"d": np.arange(1.0, 13.0), "b": np.arange(12.0) ** 2 % 7}, np.random.default_rng(0)), factor=-2.0)
def test_scaling_the_target_scales_the_coefficients(table, factor):
    X, y = frame(*table)
    assume(np.ptp(X.to_numpy(), axis=0).any())
    first = SISSORegressor(**OPTIONS).fit(X, y).model_
    second = SISSORegressor(**OPTIONS).fit(X, factor * y).model_
    assert [str(t.expression) for t in second.terms] == [str(t.expression) for t in first.terms]
    np.testing.assert_allclose(
        [t.coefficient for t in second.terms], [factor * t.coefficient for t in first.terms], rtol=1e-5
    )
    assert second.rmse == pytest.approx(abs(factor) * first.rmse, rel=1e-8)


@engine(30)
@given(seed=st.integers(0, 2**32 - 1), shift=st.sampled_from([-5.0, 0.5, 100.0]))
def test_shifting_the_target_shifts_the_intercept(seed, shift):
    rng = np.random.default_rng(seed)
    X, y = frame({name: rng.uniform(1, 2, 20) for name in "abc"}, rng)
    first, second = (SISSORegressor(**OPTIONS).fit(X, target).model_ for target in (y, y + shift))
    assert [str(t.expression) for t in second.terms] == [str(t.expression) for t in first.terms]
    assert second.intercept == pytest.approx(first.intercept + shift, rel=1e-8, abs=1e-8)
    np.testing.assert_allclose([t.coefficient for t in second.terms], [t.coefficient for t in first.terms], rtol=1e-7)


@engine(30)
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-4, 4))
def test_another_unit_of_length_changes_no_formula(seed, power):
    """With units on, a sum never mixes lengths with anything else, so their scale cannot matter."""
    rng = np.random.default_rng(seed)
    columns = {"r (AA)": rng.uniform(1, 2, 25), "s (AA)": rng.uniform(0.5, 2, 25), "E (eV)": rng.uniform(1, 4, 25)}
    X = pd.DataFrame(columns)
    y = rng.normal(0, 1, 25) + columns["r (AA)"] * columns["E (eV)"]
    scaled = X.assign(**{name: X[name] * 10.0**power for name in ("r (AA)", "s (AA)")})
    options = {**OPTIONS, "rung": 2, "min_abs": 1e-30, "max_abs": 1e30}
    first, second = SISSORegressor(**options).fit(X, y), SISSORegressor(**options).fit(scaled, y)
    assert [str(t.expression) for t in second.model_.terms] == [str(t.expression) for t in first.model_.terms]
    np.testing.assert_allclose(second.predict(scaled), first.predict(X), rtol=1e-7, atol=1e-7)


@st.composite
def expressions(draw, names=("a", "b", "c1"), depth=3):
    """Any expression over positive primaries, units aside."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return Expression.primary(draw(st.sampled_from(names)))
    row = OPERATORS[draw(st.sampled_from(list(OPERATORS)))]
    operands = [draw(expressions(names, depth - 1)) for _ in range(row.arity)]
    return Expression.apply(row.name, *operands, rules=IGNORED)


PRINTED = {
    "sqrt": np.sqrt, "cbrt": np.cbrt, "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos, "abs": np.abs,
    "fabs": np.abs, "sisso_sq": lambda a: a**2, "sisso_cb": lambda a: a**3, "sisso_six_pow": lambda a: a**6,
    "sisso_cbrt": np.cbrt,
}  # fmt: skip


@engine(300)
@given(formula=expressions(), seed=st.integers(0, 2**32 - 1))
def test_every_form_of_an_expression_means_the_same(formula, seed):
    """Text, C and Fortran, evaluated with 50 digits where it matters, JSON and the key: none loses a parenthesis."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(0.6, 1.4, 5) for name in ("a", "b", "c1")}
    values = formula.evaluate(columns)
    nudged = formula.evaluate({name: row * (1 + 1e-12) for name, row in columns.items()})
    with np.errstate(all="ignore"):
        stable = np.isfinite(values) & (np.abs(values) < 1e100) & (np.abs(nudged - values) < 1e-6 * np.abs(values))
        for language in ("text", "c", "fortran"):
            code = formula.to_code(language, {name: name for name in columns}).replace("d0", "")
            found = np.broadcast_to(eval(code, {**PRINTED, **columns}), 5)
            np.testing.assert_allclose(found[stable], values[stable], rtol=1e-5)
    back = Expression.from_json(json.loads(json.dumps(formula.to_json())), dict.fromkeys(columns, ""), rules=IGNORED)
    assert back == formula
    assert (back.complexity, back.rung, str(back)) == (formula.complexity, formula.rung, str(formula))
    np.testing.assert_array_equal(back.evaluate(columns), values)
