"""Pairs scored from float32 matrix products against the same features evaluated one by one in float64."""

import threading
from collections import Counter
from dataclasses import dataclass

import naive
import numpy as np
import pytest
from compiled import STEP, drawn, examples_of, needs_compiled
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from screening import screen

from sisso_sal.engine import _scores, _values
from sisso_sal.engine import sweep as sweep_module
from sisso_sal.engine.admitted import admitted_pairs
from sisso_sal.engine.copies import FloatCopies
from sisso_sal.engine.pool import Pool
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import Stopped
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sweep import TILE, PairSweep, jobs_of
from sisso_sal.engine.sweep import scan as scan_jobs
from sisso_sal.features.operators import OPERATORS as TABLE
from sisso_sal.features.pairs import Pairs
from sisso_sal.features.space import FeatureSpace, SpaceSettings

ADD, SUB, MULT, DIV, ABS_DIFF = (TABLE[name].opcode for name in ("add", "sub", "mult", "div", "abs_diff"))
WIDE = _scores.Limits(0.0, 1e300, False)
COLUMNS = TILE[1]


def examples(most):
    slow = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
    return settings(deadline=None, max_examples=examples_of(most), suppress_health_check=slow)


# Rows, problems and staircases ---------------------------------------------------------------------------------------

KINDS = (
    "plain", "signed", "small", "large", "offset 10", "offset 100", "offset 1e3", "offset 1e6", "nearly equal", "mirror",
    "nearly inverse", "proportional", "zeros", "binary", "signs", "outlier", "wide", "very wide", "constant",
)  # fmt: skip


def row_of(kind, earlier, rng, n):
    """Values of one stored feature; `earlier` is the one before it."""
    plain, signed = rng.uniform(1, 2, n), rng.normal(0, 1, n)
    with np.errstate(divide="ignore"):
        inverse = np.where(earlier == 0, 1.0, 1 / earlier)
    return {
        "plain": plain,
        "signed": signed,
        "small": 1e-5 * plain,
        "large": 1e5 * signed,
        "offset 10": 10 + signed,
        "offset 100": 100 + signed,
        "offset 1e3": 1e3 + signed,
        "offset 1e6": 1e6 + signed,
        "nearly equal": earlier * (1 + 1e-6 * signed),
        "mirror": 3.0 - earlier,
        "nearly inverse": inverse * (1 + 1e-3 * signed),
        "proportional": 2.5 * earlier,
        "zeros": np.where(rng.uniform(size=n) < 0.5, 0.0, signed),
        "binary": rng.integers(0, 2, n).astype(float),
        "signs": 0.7 * rng.choice([-1.0, 1.0], n),
        "outlier": np.where(np.arange(n) == n // 2, 1e5, plain),
        "wide": 10.0 ** rng.uniform(-5, 5, n),
        "very wide": 10.0 ** rng.uniform(-30, 30, n),
        "constant": np.full(n, 0.7),
    }[kind]


def rows_of(kinds, rng, n):
    rows = [rng.uniform(1, 2, n)]
    for kind in kinds:
        rows.append(row_of(kind, rows[-1], rng, n))
    return np.array(rows[1:])


def weights_of(kind, rng, n):
    weights = {
        "ones": np.ones(n),
        "counts": np.bincount(rng.integers(0, n, n), minlength=n).astype(float),
        "real": np.where(rng.uniform(size=n) < 0.2, 0.0, rng.uniform(0.01, 3, n)),
    }[kind]
    weights[: 3 - np.count_nonzero(weights)] = 1.0
    return weights


def problem_of(targets, weights, centre, taken=()):
    """What the kernels know of a problem."""
    problem = Problem(targets[0], weights, np.ones(1, bool))
    rows, taken = problem.normalised(targets, centre), np.sort(np.asarray(taken, float))
    return _scores.Scoring(problem.shares, rows, centre, taken)


def staircase(opcodes, n, rng, is_row_left=True, admitted=None):
    """Pairs of `n` stored features in any order, some rows without columns; divisors only where they are admitted."""
    rows, columns = rng.permutation(n).astype(np.int32), rng.permutation(n).astype(np.int32)
    first = rng.integers(0, n // 2 + 1, n)
    stop = np.where(rng.uniform(size=n) < 0.15, first, rng.integers(first, n + 1))
    pairs = Pairs(opcodes, is_row_left, rows, columns, first, stop)
    if admitted is None:
        return pairs
    return pairs.only(columns=admitted) if is_row_left else pairs.only(rows=admitted)


def whole(opcodes, n, is_row_left=True):
    """Every feature with every other one, and with itself."""
    numbers = np.arange(n, dtype=np.int32)
    return Pairs(opcodes, is_row_left, numbers, numbers, np.zeros(n, np.int64), np.full(n, n))


def triples_of(pairs):
    """Every (opcode, left, right) of the pairs."""
    out = []
    for row, first, stop in zip(pairs.rows.tolist(), pairs.first.tolist(), pairs.stop.tolist(), strict=True):
        for column in pairs.columns[first:stop].tolist():
            out += [(opcode, *((row, column) if pairs.is_row_left else (column, row))) for opcode in pairs.opcodes]
    return np.array(out, dtype=np.int64).reshape(-1, 3)


@dataclass
class Feature:
    state: int
    score: float


def evaluated(values, triples, problem, limits=WIDE):
    """State and exact score of each feature: evaluate, classify, score."""
    rows = np.empty((len(triples), values.shape[1]))
    _values.evaluate_many(*(part.copy() for part in triples.T), values, rows)
    out = {}
    for triple, row in zip(map(tuple, triples.tolist()), rows, strict=True):
        state = _scores.classify(row, limits)
        is_kept = state == _scores.KEPT and len(problem.targets)
        score = _scores.exact_score(row, problem.weights, problem.targets, problem.centre) if is_kept else -1.0
        out[triple] = Feature(state, score)
    return out


# The kernels ---------------------------------------------------------------------------------------------------------


def scan(values, pairs, problem, top=None, held=0, is_census=False, limits=WIDE, decoys=None):
    """(triples, scores, states) of the sweep that scores the pairs; `decoys` stand in for the float64 values."""
    sweep = PairSweep(values if decoys is None else decoys, FloatCopies(values), problem, limits, is_census)
    top = np.empty(1) if top is None else top.copy()
    jobs = list(jobs_of(sweep, pairs, np.inf))
    if not jobs:
        return np.empty((0, 3), np.int64), np.empty(0), np.zeros(4, np.int64)
    (selection,), states = scan_jobs([jobs[0]._replace(pairs=pairs)], [(top, held)])
    return np.column_stack([selection.opcode, selection.left, selection.right]), selection.score, states


def listed(triples, scores):
    """{triple: score}; no triple may come twice."""
    out = {tuple(triple): score for triple, score in zip(triples.tolist(), scores.tolist(), strict=True)}
    assert len(out) == len(triples)
    return out


def reaching(threshold, expected):
    """{triple: score} of what scores at least as much."""
    return {triple: feature.score for triple, feature in expected.items() if feature.score >= threshold}


def offered(scores, size, taken):
    """Twin of `offer_all`: the list after these scores."""
    top = []
    for score in scores:
        if all(abs(score - other) > _scores.GATE for other in (*top, *taken)):
            top = sorted([*top, score], reverse=True)[:size]
    return top


def filled(threshold):
    """A full list of best scores with this threshold, or the next one below it."""
    last = threshold + _scores.GATE
    while last - _scores.GATE > threshold:
        last = np.nextafter(last, -1.0)
    return np.array([last])


OPERATORS = {
    "products": ((MULT,), True), "products, row right": ((MULT,), False),
    "quotients": ((DIV,), True), "quotients, row right": ((DIV,), False),
    "sums": ((ADD, SUB, ABS_DIFF), True), "sums, row right": ((ADD, SUB, ABS_DIFF), False),
    "sums only": ((ADD,), True), "differences": ((SUB,), True), "absolute differences": ((ABS_DIFF,), False),
}  # fmt: skip


@st.composite
def tables(draw, most_samples=400):
    """(values, generator, weights, targets, centre)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.sampled_from([4, 5, 8, 13, 30, 77, 200, 400]).filter(lambda n: n <= most_samples))
    values = rows_of(draw(st.lists(st.sampled_from(KINDS), min_size=3, max_size=10)), rng, n)
    weights = weights_of(draw(st.sampled_from(["ones", "counts", "real"])), rng, n)
    return values, rng, weights, targets_of(values, draw(st.integers(1, 5)), rng), draw(st.booleans())


def targets_of(values, n_targets, rng):
    """Noise, or a product of two features with some noise, so that scores come close to 1."""
    out = rng.normal(0, 1, (n_targets, values.shape[1]))
    for row in out[rng.uniform(size=n_targets) < 0.6]:
        a, b = values[rng.integers(0, len(values), 2)]
        row *= rng.choice([1e-5, 1e-3, 0.3])
        row += (
            rng.choice([-1, 1]) * (a / np.abs(a).max() if a.any() else 0.0) * (b / np.abs(b).max() if b.any() else 0.0)
        )
    return out


def layout(data, values, rng):
    """Pairs of one group of operators over the rows of `values`."""
    opcodes, is_row_left = OPERATORS[data.draw(st.sampled_from(sorted(OPERATORS)))]
    divisors = (values != 0.0).all(axis=1) if opcodes == (DIV,) else None
    if data.draw(st.booleans()):
        return staircase(opcodes, len(values), rng, is_row_left, divisors)
    pairs = whole(opcodes, len(values), is_row_left)
    return pairs if divisors is None else pairs.only(**{"columns" if is_row_left else "rows": divisors})


# What float64 keeps, float32 does not lose ---------------------------------------------------------------------------

NUDGES = (0.0, 0.0, 1e-9, -1e-9, 1e-7, -1e-7, 1e-15, -1e-15)


@examples(500)
@given(data=st.data(), table=tables())
def test_what_reaches_a_threshold_is_found_and_nothing_else(data, table):
    """All scores are taken, so the threshold stays where it is: at a feature's score, or by a hair above or below."""
    values, rng, weights, targets, centre = table
    pairs = layout(data, values, rng)
    problem = problem_of(targets, weights, centre)
    expected = evaluated(values, triples_of(pairs), problem)
    scores = sorted({feature.score for feature in expected.values() if feature.score >= 0.0}) or [0.5]
    problem = problem._replace(taken=np.array(scores))
    for score in [*scores[:2], scores[-1], *rng.choice(scores, 5)]:
        top = filled(score * (1 + rng.choice(NUDGES)))
        threshold = _scores.threshold(top, 1)
        found = listed(*scan(values, pairs, problem, top, 1)[:2])
        assert found == reaching(max(0.0, threshold), expected)


@examples(300)
@given(data=st.data(), table=tables(most_samples=77), size=st.integers(1, 12))
def test_the_threshold_rises_with_what_is_found(data, table, size):
    """Each find reached the threshold of its moment, and what reaches the last one was found."""
    values, rng, weights, targets, centre = table
    pairs = layout(data, values, rng)
    problem = problem_of(targets, weights, centre)
    expected = evaluated(values, triples_of(pairs), problem)
    scores = sorted({feature.score for feature in expected.values() if feature.score >= 0.0}) or [0.5]
    taken = np.sort(rng.choice(scores, rng.integers(0, 4)))
    start = offered(rng.choice(scores, rng.integers(0, 2 * size)), size, taken)
    top = np.append(start, np.full(size - len(start), np.nan))
    found = scan(values, pairs, problem._replace(taken=taken), top, len(start))[:2]
    assert listed(*found).items() <= {t: f.score for t, f in expected.items()}.items()
    for score in found[1].tolist():
        assert score >= threshold_of(start, size)
        start = offered([*start, score], size, taken)
    last = threshold_of(start, size)
    assert {t for t, f in expected.items() if f.score >= max(last, 0.0)} <= set(listed(*found))


def threshold_of(top, size):
    return top[-1] - _scores.GATE if len(top) == size else -1.0


def offsets(n, rng):
    """Features whose sums, differences and products cancel by 1 to 12 digits, and one that does not."""
    base = rng.normal(0, 1, n)
    rows = [base] + [
        10.0**power + base + 10.0**-shift * rng.normal(0, 1, n) for power in range(7) for shift in (0, 2, 6)
    ]
    return np.array(rows)


@needs_compiled
@drawn
@pytest.mark.parametrize("group", sorted(OPERATORS))
@pytest.mark.parametrize("n", [4, 30, 400])
@pytest.mark.parametrize("centre", [True, False])
def test_no_feature_is_lost_where_digits_cancel(group, n, centre):
    """The threshold stands at the score of one feature after the other."""
    rng = np.random.default_rng(n)
    values = offsets(n, rng)
    opcodes, is_row_left = OPERATORS[group]
    pairs = whole(opcodes, len(values), is_row_left)
    targets = np.array([values[0] + 0.1 * rng.normal(0, 1, n), rng.normal(0, 1, n)])
    problem = problem_of(targets, weights_of("real", rng, n), centre)
    expected = evaluated(values, triples_of(pairs), problem)
    scores = sorted({feature.score for feature in expected.values() if feature.score >= 0.0})
    problem = problem._replace(taken=np.array(scores))
    for score in [*scores[:20], *scores[20 :: STEP * max(1, len(scores) // 50)]]:
        top = filled(score)
        found = listed(*scan(values, pairs, problem, top, 1)[:2])
        assert found == reaching(_scores.threshold(top, 1), expected)


@needs_compiled
@pytest.mark.parametrize("group", sorted(OPERATORS))
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.faults)])
def test_no_feature_is_lost_whose_score_is_next_to_nothing(step, group):
    """The scores are mere rounding in float32, so that the bound of their numerators has to hold."""
    rng = np.random.default_rng(1)
    values = rng.uniform(1, 2, (60, 30))
    opcodes, is_row_left = OPERATORS[group]
    pairs = whole(opcodes, 60, is_row_left)
    problem = problem_of(rng.normal(0, 1, (1, 30)), np.ones(30), True)
    expected = evaluated(values, triples_of(pairs), problem)
    scores = np.sort([feature.score for feature in expected.values() if feature.score >= 0.0])
    problem = problem._replace(taken=scores)
    for score in scores[:60:step]:
        top = filled(score)
        found = listed(*scan(values, pairs, problem, top, 1)[:2])
        assert found == reaching(max(0.0, _scores.threshold(top, 1)), expected)


@needs_compiled
@drawn
@pytest.mark.parametrize("group", sorted(OPERATORS))
@pytest.mark.parametrize("n", [5, 60])
def test_no_feature_is_lost_where_single_precision_underflows(group, n):
    """Products of rows that span many decades, and sums of small rows: their squares, scaled, go down to 1e-80."""
    rng = np.random.default_rng(n)
    opcodes, is_row_left = OPERATORS[group]
    pairs = whole(opcodes, 6, is_row_left)
    for number, decades in enumerate(np.arange(3.0, 25.0, 0.5)):
        wide, noise = 10.0 ** rng.uniform(-decades, decades, n), 1 + 0.3 * rng.uniform(-1, 1, (3, n))
        wide[:2] = 10.0**-decades, 10.0**decades
        values = np.array([wide, noise[0] / wide, noise[1] / wide, noise[2] * wide, wide, 1 / wide])
        if opcodes[0] not in (MULT, DIV):
            values = 10.0**-decades * rng.uniform(1, 2, (6, n))
        problem = problem_of(rng.normal(0, 1, (2, n)), np.ones(n), True)
        expected = evaluated(values, triples_of(pairs), problem)
        scores = sorted({feature.score for feature in expected.values() if feature.score >= 0.0})
        problem = problem._replace(taken=np.array(scores))
        for score in scores[number % STEP :: STEP]:
            top = filled(score)
            found = listed(*scan(values, pairs, problem, top, 1)[:2])
            assert found == reaching(_scores.threshold(top, 1), expected)


@needs_compiled
@drawn
@pytest.mark.parametrize("group", ["sums only", "differences", "absolute differences"])
@pytest.mark.parametrize("centre", [True, False])
def test_no_feature_is_lost_where_single_precision_overflows(group, centre):
    """The variance of a sum can be too large for float32 where its operands' are not."""
    rng = np.random.default_rng(0)
    rows = np.array([row * rng.uniform(0.9, 1.1, 8) for row in rng.choice([-1.0, 1.0], (2, 8)) for _ in range(3)])
    problem = problem_of(np.vstack([rows[0], -rows[0] * rows[3], rng.normal(0, 1, 8)]), np.ones(8), centre)
    for number, scale in enumerate(10.0 ** np.arange(18.0, 20.0, 0.05)):
        values = scale * np.vstack([rows, -rows])
        pairs = whole(OPERATORS[group][0], len(values))
        expected = evaluated(values, triples_of(pairs), problem)
        scores = np.array(sorted({feature.score for feature in expected.values() if feature.score >= 0.0}))
        for score in scores[5 * (number % STEP) :: 5 * STEP]:
            top = filled(score)
            found = listed(*scan(values, pairs, problem._replace(taken=scores), top, 1)[:2])
            assert found == reaching(max(0.0, _scores.threshold(top, 1)), expected)


def pairs_between(opcodes, is_row_left, n):
    """The first half of `n` features as left operands, the second half as right ones."""
    left, right = np.arange(n // 2, dtype=np.int32), np.arange(n // 2, n, dtype=np.int32)
    rows, columns = (left, right) if is_row_left else (right, left)
    return Pairs(opcodes, is_row_left, rows, columns, np.zeros(n // 2, np.int64), np.full(n // 2, n // 2))


def decoys(problem):
    """(values, decoys): pairs between the halves of the decoys have the score 1, whatever the operator."""
    values = 10.0 * np.random.default_rng(1).uniform(0.5, 3, (60, 50))
    shared = 1e6 * (problem.targets[0] + (10.0 if problem.centre else 0.0))
    return values, np.vstack([np.tile(shared, (30, 1)), np.ones((30, 50))])


@needs_compiled
@pytest.mark.parametrize("group", sorted(OPERATORS))
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_what_is_clearly_below_the_threshold_is_not_evaluated(group, centre, n_targets):
    """The float64 values are not those of the float32 rows: each feature that is evaluated is found, with the score 1."""
    rng = np.random.default_rng(1)
    problem = problem_of(rng.uniform(2, 3, (n_targets, 50)), weights_of("counts", rng, 50), centre)
    values, others = decoys(problem)
    pairs = pairs_between(*OPERATORS[group], 60)
    scores = {t: f.score for t, f in evaluated(values, triples_of(pairs), problem).items()}
    for wanted in np.quantile(list(scores.values()), [0.05, 0.5, 0.99]):
        taken = problem._replace(taken=np.array([1.0]))
        found = listed(*scan(values, pairs, taken, filled(wanted), 1, decoys=others)[:2])
        assert {t for t, score in scores.items() if score >= wanted} <= set(found)
        assert set(found) <= {t for t, score in scores.items() if score >= wanted - 1e-3}


@pytest.mark.parametrize("group", sorted(OPERATORS))
def test_a_row_knows_what_the_rows_before_it_have_found(group, monkeypatch):
    monkeypatch.setattr(sweep_module, "TILE", (2, 8))
    monkeypatch.setattr(sweep_module, "QUOTA", 1)
    rng = np.random.default_rng(1)
    problem = problem_of(rng.uniform(2, 3, (1, 50)), np.ones(50), True)
    values, others = decoys(problem)
    opcodes, is_row_left = OPERATORS[group]
    found = listed(*scan(values, pairs_between(opcodes, is_row_left, 60), problem, decoys=others)[:2])
    first = {(0, column) if is_row_left else (column, 30) for column in (range(30, 38) if is_row_left else range(8))}
    assert set(found) == {(opcode, *pair) for opcode in opcodes for pair in first}


# Tiles ---------------------------------------------------------------------------------------------------------------


def ragged(opcodes, is_row_left, rng):
    """150 rows by 700 columns in three unit groups: some rows without columns, ranges that end at a tile's last column."""
    rows, columns = rng.permutation(700)[:150].astype(np.int32), rng.permutation(700).astype(np.int32)
    starts, ends = np.repeat([0, 90, 400], 50), np.repeat([90, 400, 700], 50)
    first = np.where(rng.uniform(size=150) < 0.5, starts, rng.integers(starts, ends))
    stop = rng.integers(first, np.minimum(first + 200, ends) + 1)
    stop[::7] = first[::7]
    first[[3, 70, 149]], stop[[3, 70, 149]] = 0, [COLUMNS, 2 * COLUMNS, 700]
    first[[4, 71]], stop[[4, 71]] = [COLUMNS - 1, COLUMNS], [COLUMNS + 1, 2 * COLUMNS + 1]
    return Pairs(opcodes, is_row_left, rows, columns, first, stop)


def tile_values(rng):
    return np.abs(rng.normal(3, 1, (700, 6))) + 0.1


@needs_compiled
@pytest.mark.parametrize("tile", [TILE, (7, 30)])
@pytest.mark.parametrize("group", sorted(OPERATORS))
def test_every_pair_is_looked_at_once(group, tile, monkeypatch):
    """In large tiles, and in small ones where float64 decides after each row."""
    monkeypatch.setattr(sweep_module, "TILE", tile)
    monkeypatch.setattr(sweep_module, "QUOTA", 1)
    rng = np.random.default_rng(len(group))
    values = tile_values(rng)
    pairs = ragged(*OPERATORS[group], rng)
    problem = problem_of(rng.normal(0, 1, (1, 6)), np.ones(6), True)
    triples, scores, states = scan(values, pairs, problem, np.empty(10**6), 0, is_census=True)
    every = triples_of(pairs)
    assert states.sum() == len(every) == pairs.n_features
    expected = evaluated(values, every, problem)
    is_kept = [feature.state == _scores.KEPT for feature in expected.values()]
    assert states[_scores.KEPT] == sum(is_kept) >= len(every) - 300  # a feature with itself may be constant
    assert sorted(map(tuple, triples.tolist())) == sorted(t for t, kept in zip(expected, is_kept, strict=True) if kept)
    assert listed(triples, scores) == {t: f.score for t, f in expected.items() if f.state == _scores.KEPT}


@needs_compiled
@pytest.mark.parametrize("group", sorted(OPERATORS))
@pytest.mark.parametrize("n_targets", [1, 4])
def test_every_tile_knows_its_own_moments(group, n_targets):
    """The best few hundred of all tiles, for a threshold that stays and for one that rises."""
    rng = np.random.default_rng(n_targets)
    values = tile_values(rng)
    pairs = ragged(*OPERATORS[group], rng)
    problem = problem_of(rng.normal(0, 1, (n_targets, 6)), np.array([1.0, 2, 0, 1, 3, 1]), True)
    expected = {t: f.score for t, f in evaluated(values, triples_of(pairs), problem).items()}
    scores = np.sort([score for score in expected.values() if score >= 0.0])
    top = filled(scores[-300])
    found = listed(*scan(values, pairs, problem._replace(taken=scores), top, 1)[:2])
    threshold = _scores.threshold(top, 1)
    assert found == {t: score for t, score in expected.items() if score >= threshold}
    assert len(found) >= 300
    triples, found_scores, _ = scan(values, pairs, problem, np.empty(200), 0)
    last = threshold_of(offered_fast(found_scores, 200), 200)
    assert {t for t, score in expected.items() if score >= last} <= set(listed(triples, found_scores))


def offered_fast(scores, size):
    """The `size` best scores that are more than GATE apart: `offered` where there are many."""
    top = np.empty(size)
    held = _scores.offer_all(top, 0, scores, np.empty(0))
    return top[:held]


# Census --------------------------------------------------------------------------------------------------------------


def limits_near(values, triples, rng):
    """Bounds at, just above and just below the largest values of features."""
    rows = np.empty((len(triples), values.shape[1]))
    _values.evaluate_many(*(part.copy() for part in triples.T), values, rows)
    largest = np.abs(rows[np.isfinite(rows).all(axis=1)]).max(axis=1)
    nudge = rng.choice([1 - 1e-6, 1 - 1e-15, 1.0, 1 + 1e-15, 1 + 1e-6], 2)
    low, high = np.sort(rng.choice(largest, 2)) * nudge if len(largest) else (0.0, 1.0)
    return rng.choice([0.0, 1e-5, low]), rng.choice([1e300, 1e5, high])


@examples(500)
@given(data=st.data(), table=tables(most_samples=77), n_targets=st.integers(0, 2))
def test_the_census_equals_a_count_of_every_feature(data, table, n_targets):
    values, rng, _, targets, centre = table
    n = values.shape[1]
    pairs = layout(data, values, rng)
    problem = problem_of(np.vstack([targets, rng.normal(0, 1, n)]), np.ones(n), centre)
    problem = problem._replace(targets=problem.targets[:n_targets].copy())
    every = triples_of(pairs)
    for _ in range(3):
        limits = _scores.Limits(*limits_near(values, every, rng), False)
        states = scan(values, pairs, problem, np.full(1, 2.0), 1, is_census=True, limits=limits)[2]
        counts = Counter(feature.state for feature in evaluated(values, every, problem, limits).values())
        assert states.tolist() == [counts[state] for state in range(4)]


@pytest.mark.parametrize("group", sorted(OPERATORS))
@pytest.mark.parametrize(("limits", "state"), [((1e-5, 1e5), 0), ((0.0, 0.1), 2), ((1e3, 1e5), 2)])
def test_the_census_looks_at_values_only_in_doubt(group, limits, state):
    """The float64 values are NaN: what is looked at counts as not finite."""
    rng = np.random.default_rng(2)
    values = 10.0 * rng.uniform(0.5, 1, (40, 30)) + np.repeat([8.0, 0.0], 20)[:, None]
    values[20:] = 1.0 / values[20:] if group.startswith("products") else values[20:]
    pairs = pairs_between(*OPERATORS[group], 40)
    problem = problem_of(rng.normal(0, 1, (1, 30)), np.ones(30), True)
    bounds = _scores.Limits(*limits, False)
    nothing = np.full_like(values, np.nan)
    states = scan(values, pairs, problem, np.full(1, 2.0), 1, is_census=True, limits=bounds, decoys=nothing)[2]
    assert states[state] == pairs.n_features


@pytest.mark.parametrize("group", ["sums only", "differences"])
def test_an_offset_sends_no_sum_to_its_values(group):
    rng = np.random.default_rng(2)
    values = 1e4 + rng.uniform(1, 2, (40, 30)) + np.repeat([20.0, 0.0], 20)[:, None]
    pairs = pairs_between(*OPERATORS[group], 40)
    problem = problem_of(rng.normal(0, 1, (1, 30)), np.ones(30), True)
    options = {"is_census": True, "limits": _scores.Limits(1e-5, 1e6, False), "decoys": np.full_like(values, np.nan)}
    states = scan(values, pairs, problem, np.full(1, 2.0), 1, **options)[2]
    assert states[_scores.KEPT] == pairs.n_features


def test_the_bounds_themselves_are_admitted():
    row = np.array([-3.0, 1.0, 2.0])
    assert _scores.classify(row, _scores.Limits(3.0, 3.0, False)) == _scores.KEPT
    assert _scores.classify(row, _scores.Limits(np.nextafter(3.0, 4.0), 5.0, False)) == _scores.OUT_OF_BOUNDS
    assert _scores.classify(row, _scores.Limits(0.0, np.nextafter(3.0, 2.0), False)) == _scores.OUT_OF_BOUNDS


# The list of the best scores -----------------------------------------------------------------------------------------

STEPS = (0.0, 1e-16, 9e-8, 0.999e-7, 1.001e-7, 1.1e-7, 3e-7, 0.01)


@st.composite
def close_scores(draw, most=40):
    """Scores that lie next to each other, in any order."""
    steps = draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=most))
    return draw(st.permutations((0.1 + np.cumsum(steps)).tolist()))


@examples(500)
@given(scores=close_scores(), taken=close_scores(5), size=st.integers(1, 10))
def test_the_list_of_the_best_scores(scores, taken, size):
    every = np.array([*scores, *taken])
    assume((np.abs(np.abs(np.subtract.outer(every, every)) - _scores.GATE) > 1e-14).all())
    top, held = np.full(size, np.nan), 0
    taken = np.sort(taken)
    for count, score in enumerate(scores, start=1):
        held = _scores.offer(top, held, score, taken)
        expected = offered(scores[:count], size, taken)
        assert top[:held].tolist() == expected
        assert _scores.threshold(top, held) == threshold_of(expected, size)
        assert np.isnan(top[held:]).all()
    again = np.full(size, np.nan)
    assert _scores.offer_all(again, 0, np.array(scores), taken) == held
    np.testing.assert_array_equal(again, top)


@examples(300)
@given(data=st.data(), size=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_as_many_directions_as_are_wanted_lie_above_the_threshold(data, size, seed):
    """Scores of one direction differ by noise; whatever comes first, the threshold counts a direction once."""
    rng = np.random.default_rng(seed)
    centres = np.array(data.draw(close_scores(25)))
    direction = rng.integers(0, len(centres), 4 * len(centres))
    scores = centres[direction] + rng.uniform(-1e-8, 1e-8, len(direction))
    is_taken = rng.uniform(size=len(centres)) < 0.1
    top = np.full(size, np.nan)
    for start in range(0, len(scores), 7):  # as pieces of work come back
        held = np.count_nonzero(~np.isnan(top))
        _scores.offer_all(top, held, scores[start : start + 7], np.sort(centres[is_taken]))
        limit = _scores.threshold(top, np.count_nonzero(~np.isnan(top))) + _scores.GATE
        seen = slice(0, start + 7)
        above = direction[seen][scores[seen] >= limit]
        if limit > 0.0:
            assert np.count_nonzero(~is_taken[np.unique(above)]) >= size


# The whole screening -------------------------------------------------------------------------------------------------


def space_of(columns, **settings):
    return FeatureSpace(list(columns), [""] * len(columns), np.array(list(columns.values())), SpaceSettings(**settings))


def keys_of(space, selection):
    return [space.key(*triple) for triple in triples_in(selection)]


def triples_in(selection):
    arrays = (getattr(selection, name).tolist() for name in ("opcode", "left", "right"))
    return list(zip(*arrays, strict=True))


def everything(columns, **settings):
    rungs = naive.feature_space(columns, dict.fromkeys(columns, ""), **settings)
    return [f for r in rungs for f in r.features], [v for r in rungs for v in r.values]


def random_columns(rng, n, names="abcd"):
    return {name: rng.uniform(1, 2, n) if name in "ab" else rng.normal(0, 1, n) for name in names}


def long_correlation(row, target, weights):
    """Weighted Pearson correlation with about 18 digits."""
    w = np.asarray(weights, np.longdouble) / np.longdouble(np.sum(weights))
    x, y = (np.asarray(v, np.longdouble) - w @ np.asarray(v, np.longdouble) for v in (row, target))
    return float(abs(w @ (x * y)) / np.sqrt((w @ (x * x)) * (w @ (y * y))))


SETTINGS = {"operators": ("add", "sub", "mult", "div", "abs_diff", "sq"), "rung": 2}


@pytest.mark.parametrize("operators", [("add", "sub", "abs_diff"), ("mult",), ("div",)])
@pytest.mark.parametrize("kind", ["ones", "counts", "real"])
def test_an_offset_of_a_million_spoils_no_digit(operators, kind):
    rng = np.random.default_rng(3)
    offsets = {"a": 1e6, "b": 1e6, "c": -1e6, "d": 0.0}
    columns = {name: np.round(offset + rng.normal(0, 1, 60), 6) for name, offset in offsets.items()}
    weights = weights_of(kind, rng, 60)
    target = columns["a"] + columns["c"] + 0.3 * columns["d"]
    options = {"operators": operators, "rung": 1, "max_abs": 1e30}
    space = space_of(columns, **options)
    problem = Problem(target, weights, np.ones(4, bool))
    (found,), _ = screen(space, [problem], [problem.normalised(target[None], True)], 1000)
    exact = {name: row.astype(np.longdouble) for name, row in columns.items()}
    rows = [space.expression(*triple).evaluate(exact) for triple in triples_in(found)]
    np.testing.assert_allclose(found.score, [long_correlation(row, target, weights) for row in rows], rtol=1e-9)
    expected = naive.screen(*everything(columns, **options), weights, [target], 1000)
    assert set(keys_of(space, found)) == {formula.key for formula in expected.features}


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1), n_sis=st.sampled_from([1, 5, 30]), threads=st.integers(1, 2), centre=st.booleans()
)
def test_many_problems_with_dropout_and_zero_weights(seed, n_sis, threads, centre):
    """An ensemble in one pass: bootstrap counts, folds, primaries left out, several residuals, features that it has already."""
    rng = np.random.default_rng(seed)
    columns = random_columns(rng, 18, "abc")
    if rng.uniform() < 0.5:
        columns["c"] = 0.7 * rng.choice([-1.0, 1.0], 18)  # of constant square
    settings = {
        "operators": tuple(rng.choice(SETTINGS["operators"], 3, replace=False)),
        "rung": int(rng.integers(1, 3)),
    }
    space, (features, values) = space_of(columns, **settings), everything(columns, **settings)
    problems, residuals, taken, expected = [], [], [], []
    for kind in ("ones", "counts", "counts", "real"):
        allowed = rng.uniform(size=3) < 0.7
        allowed[rng.integers(0, 3)] = True
        rows, weights = rng.normal(0, 1, (rng.integers(1, 4), 18)), weights_of(kind, rng, 18)
        names = {name for name, is_allowed in zip(columns, allowed, strict=True) if is_allowed}
        first = naive.screen(features, values, weights, rows[:1], 2, allowed=names, centre=centre)
        keys = {formula.key for formula in first.features}
        problems.append(Problem(rows[0], weights, allowed))
        residuals.append(problems[-1].normalised(rows, centre))
        taken.append(selection_of(space, keys))
        expected.append(naive.screen(features, values, weights, rows, n_sis, allowed=names, taken=keys, centre=centre))
    options = {"taken": taken, "centre": centre, "threads": threads}
    found, causes = screen(space, problems, residuals, n_sis, **options)
    again, nothing = screen(space, problems, residuals, n_sis, is_census=False, **options)
    rung = naive.feature_space(columns, dict.fromkeys(columns, ""), **settings)[-1]
    assert (causes + space.rejected[-1])["domain"] == rung.rejected["domain"]
    assert (causes["bounds"], causes["constant"]) == (rung.rejected["bounds"], rung.rejected["constant"])
    assert nothing.total() == 0
    for selection, same, twin in zip(found, again, expected, strict=True):
        assert triples_in(selection) == triples_in(same)
        np.testing.assert_array_equal(selection.score, same.score)
        if twin.is_clear:
            assert keys_of(space, selection) == [formula.key for formula in twin.features]
            np.testing.assert_allclose(selection.score, twin.scores, rtol=1e-9, atol=1e-13)


def selection_of(space, keys):
    """The features with these keys, as a selection."""
    triples = [triple for triple in space.triples() if space.key(*triple) in keys]
    opcode, left, right = np.array(triples).reshape(-1, 3).T
    return Selection(opcode.astype(np.int16), left.astype(np.int32), right.astype(np.int32), np.zeros(len(opcode)))


@needs_compiled
@pytest.mark.parametrize("threads", [1, 2])
def test_more_features_are_wanted_than_there_are(threads):
    rng = np.random.default_rng(5)
    columns = random_columns(rng, 16, "abc")
    settings = {"operators": ("add", "mult", "div"), "rung": 2}
    target = rng.normal(0, 1, 16)
    space, problem = space_of(columns, **settings), Problem(target, np.ones(16), np.ones(3, bool))
    (found,), _ = screen(space, [problem], [problem.normalised(target[None], True)], 100_000, threads=threads)
    expected = naive.screen(*everything(columns, **settings), np.ones(16), [target], 100_000)
    assert expected.is_clear
    assert keys_of(space, found) == [formula.key for formula in expected.features]


@needs_compiled
@pytest.mark.parametrize("threads", [1, 2])
def test_binary_columns_and_copies_tie_by_the_hundred(monkeypatch, threads):
    """Tables of few values: hundreds of features share a score, and many of those a direction."""
    monkeypatch.setattr(sweep_module, "WORK", 1e3)
    rng = np.random.default_rng(1)
    columns = {name: rng.integers(0, 2, 12).astype(float) for name in "abcd"}
    columns |= {"f": columns["a"].copy(), "g": 2.0 - columns["b"]}
    settings = {"operators": ("add", "mult"), "rung": 2}
    target = columns["a"] + columns["b"] * columns["c"]
    space, problem = space_of(columns, **settings), Problem(target, np.ones(12), np.ones(6, bool))
    features, values = everything(columns, **settings)
    expected = naive.screen(features, values, np.ones(12), [target], 50, taken={"a"})
    scores = [abs(naive.weighted_correlation(row, target, np.ones(12))) for row in values]
    assert np.unique(np.round(scores, 10), return_counts=True)[1].max() > 20
    for n_sis in (1, 10, 50):
        options = {"threads": threads, "taken": [selection_of(space, {"a"})]}
        (found,), _ = screen(space, [problem], [problem.normalised(target[None], True)], n_sis, **options)
        assert keys_of(space, found) == [formula.key for formula in expected.features][:n_sis]


def test_no_threshold_is_read_that_nothing_reached():
    """Another thread may read it while the pool is put in order: three directions of one score, two are kept."""
    rows = 2.0 * ((np.arange(8) >> np.arange(3)[:, None]) & 1) - 1.0
    space = space_of(dict(zip("abc", rows, strict=True)), rung=0)
    problem = Problem(rows.sum(axis=0), np.ones(8), np.ones(3, bool))
    residual = problem.normalised(problem.target[None], True)
    pool = Pool(space, problem.shares, residual, 2, True, Selection.empty())
    pool.top[:] = 7.0  # what fresh memory may hold
    numbers, score = np.arange(3, dtype=np.int32), 3**-0.5
    pool.add(Selection(np.zeros(3, np.int16), numbers, numbers, np.full(3, score)))
    seen = []

    class Watched(Pool):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            seen.append(self.threshold)

    pool.__class__ = Watched
    pool.compact()
    assert pool.held == 2
    assert max(seen) <= score


def stopped_at(call):
    """A progress callback that stops the pass at this call, and what it was told."""
    seen = []

    def progress(done, total):
        seen.append((done, total))
        if len(seen) == call:
            raise KeyboardInterrupt

    return progress, seen


@needs_compiled
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_stopped_pass_hands_over_what_it_has(monkeypatch, threads, share):
    monkeypatch.setattr(sweep_module, "WORK", 1e4)
    rng = np.random.default_rng(6)
    columns = random_columns(rng, 20)
    space = space_of(columns, **SETTINGS)
    weights = (np.ones(20), weights_of("counts", rng, 20))
    problems = [Problem(rng.normal(0, 1, 20), w, np.ones(4, bool)) for w in weights]
    residuals = [problem.normalised(problem.target[None], True) for problem in problems]
    progress, calls = stopped_at(-1)
    screen(space, problems, residuals, 15, threads=threads, progress=progress)
    progress, seen = stopped_at(max(1, round(share * (len(calls) - 1))))
    before = threading.active_count()
    with pytest.raises(Stopped) as caught:
        screen(space, problems, residuals, 15, threads=threads, progress=progress)
    assert threading.active_count() == before
    assert seen[-1][0] < seen[-1][1] == space.n_features
    every = set(space.triples())
    for problem, rows, selection in zip(problems, residuals, caught.value.selections, strict=True):
        assert 0 < len(selection) <= 15
        assert set(triples_in(selection)) <= every
        assert list(selection.score) == sorted(selection.score, reverse=True)
        values = selection.values(space)
        assert selection.score.tolist() == [_scores.exact_score(row, problem.shares, rows, True) for row in values]
        units = naive.directions(values, problem.weights)
        assert (np.abs(units @ units.T) - 2 * np.eye(len(units))).max() < 1 - 1e-14


@pytest.mark.parametrize("quota", [1, 256])
@pytest.mark.parametrize("group", OPERATORS)
def test_problems_that_share_a_call_do_not_touch_each_other(group, quota, monkeypatch):
    """Each with its own samples, pairs and thresholds, and some that count the states."""
    monkeypatch.setattr(sweep_module, "TILE", (4, 8))
    monkeypatch.setattr(sweep_module, "QUOTA", quota)
    rng = np.random.default_rng(len(group))
    values = rng.normal(1, 1, (24, 40))
    opcodes, is_row_left = OPERATORS[group]
    copies, jobs = FloatCopies(values), []
    for t, kind in enumerate(("ones", "counts", "real", "counts")):
        problem = problem_of(rng.normal(0, 1, (2, 40)), weights_of(kind, rng, 40), True)
        jobs += jobs_of(
            PairSweep(values, copies, problem, WIDE, t % 2 == 0), staircase(opcodes, 24, rng, is_row_left), 10**9
        )
    held = [(filled(0.02 * t), 1) for t in range(len(jobs))]
    together, states = scan_jobs(jobs, [(top.copy(), n) for top, n in held])
    alone = [scan_jobs([job], [(top.copy(), n)]) for job, (top, n) in zip(jobs, held, strict=True)]
    assert states.tolist() == sum(part for _, part in alone).tolist()
    for found, ((expected,), _) in zip(together, alone, strict=True):
        assert len(found) > 0
        parts = [(np.column_stack([part.opcode, part.left, part.right]), part.score) for part in (found, expected)]
        assert listed(*parts[0]) == listed(*parts[1])


# Dropout -------------------------------------------------------------------------------------------------------------


@examples(60)
@given(seed=st.integers(0, 2**32 - 1), n_primary=st.sampled_from([2, 4, 6, 70]), limit=st.sampled_from([None, 3]))
def test_admitted_pairs_are_those_whose_formulas_have_no_other_primary(seed, n_primary, limit):
    rng = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(n_primary)]
    values = rng.uniform(1, 2, (n_primary, 7))
    values[0, 0] = 0.0  # of no use as a divisor
    units = [str(unit) for unit in rng.choice(["eV", "AA"], n_primary)]
    settings = SpaceSettings(operators=("add", "mult", "div"), rung=2 if n_primary < 5 else 1, max_complexity=limit)
    space = FeatureSpace(names, units, values, settings)
    problems = [Problem(values[0], np.ones(7), rng.uniform(size=n_primary) < share) for share in (0.2, 0.6, 0.9, 1.1)]
    admitted = admitted_pairs(space, [problem.allowed for problem in problems])
    every = [tuple(triple) for pairs in space.pairs for triple in triples_of(pairs).tolist()]
    primaries = {triple: set(space.expression(*triple).primaries()) for triple in every}
    for problem, found in zip(problems, admitted, strict=True):
        allowed = {name for name, is_allowed in zip(names, problem.allowed, strict=True) if is_allowed}
        assert sum(pairs.n_features for pairs in found) == sum(len(triples_of(pairs)) for pairs in found)
        kept = [tuple(triple) for pairs in found for triple in triples_of(pairs).tolist()]
        assert sorted(kept) == sorted(triple for triple in every if primaries[triple] <= allowed)
