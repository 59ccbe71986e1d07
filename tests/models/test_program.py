"""All formulas at once against each alone, to the last bit, and mean and spread against NumPy's sums."""

import pickle

import numpy as np
import pytest

from sisso_sal.engine import _values
from sisso_sal.errors import ExpressionError
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import ARITHMETIC, BY_OPCODE, OPERATORS
from sisso_sal.models import program
from sisso_sal.models.aggregation import aggregate
from sisso_sal.models.linear import SISSOModel, Term
from sisso_sal.models.program import Program
from sisso_sal.models.transform import IDENTITY, TargetTransform

NAMES = ("a", "b", "c", "d")
LINKS = {
    "none": IDENTITY,
    "log": TargetTransform.fit("log", np.array([0.1, 4.0])),
    "yeo-johnson": TargetTransform.fit("yeo-johnson", np.array([-3.0, 0.0, 0.5, 1.0, 9.0])),
}


def columns(n, seed=0):
    """Values of either sign, and some that are zero, infinite or missing."""
    rng = np.random.default_rng([seed, n])
    rows = rng.normal(0, 2, (len(NAMES), n))
    odd = rng.random(rows.shape) < 0.02
    rows[odd] = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1e200, 1e-200], odd.sum())
    return dict(zip(NAMES, rows, strict=True))


def drawn(rng, rung):
    """A formula of any operators."""
    if rung == 0 or rng.random() < 0.15:
        return Expression.primary(NAMES[rng.integers(len(NAMES))])
    operator = OPERATORS[rng.choice(list(OPERATORS))]
    return Expression.apply(operator.name, *(drawn(rng, rung - 1) for _ in range(operator.arity)))


def models(n_models, seed=0, link=IDENTITY):
    rng = np.random.default_rng(seed)
    pool = [*(drawn(rng, 3) for _ in range(40)), Expression.primary("a")]
    out = []
    for _ in range(n_models):
        low = rng.normal(0, 1, 3)
        terms = [
            Term(pool[rng.integers(len(pool))], rng.normal(), low[k], low[k] + rng.choice([0.0, 0.3, 5.0]))
            for k in range(rng.integers(1, 4))
        ]
        out.append(SISSOModel(tuple(terms), rng.normal(), 0.0, 0.0, link))
    return out


def same_bits(a, b):
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a[a == a]), np.signbit(b[b == b]))


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("n", [0, 1, 7, program.N_ROWS - 1, program.N_ROWS, 2 * program.N_ROWS + 5])
def test_they_are_those_of_each_model_to_the_last_bit(n, link):
    for seed in range(4):
        members, given = models(20, seed, LINKS[link]), columns(n, seed)
        values, outside = Program.of(members).evaluate(given)
        each = [member.predict_with_reach(given) for member in members]
        assert same_bits(values, np.array([v for v, _ in each]))
        assert same_bits(outside, np.array([o for _, o in each]))
        assert n < 10 or 0.1 < np.isfinite(outside).mean() < 1.0


def test_a_row_has_the_same_bits_alone_and_in_any_order():
    whole, given = Program.of(models(20)), columns(1500)
    values, _ = whole.evaluate(given)
    order = np.random.default_rng(1).permutation(1500)
    assert same_bits(whole.evaluate({name: column[order] for name, column in given.items()})[0], values[:, order])
    alone = [whole.evaluate({name: column[i : i + 1] for name, column in given.items()})[0] for i in range(50)]
    assert same_bits(np.hstack(alone), values[:, :50])


def test_a_pickle_predicts_the_same_and_columns_need_not_be_contiguous():
    whole, given = Program.of(models(20)), columns(300)
    values, outside = whole.evaluate(given)
    for a, b in zip(pickle.loads(pickle.dumps(whole)).evaluate(given), (values, outside), strict=True):
        assert same_bits(a, b)
    strided = dict(zip(NAMES, np.column_stack(list(given.values())).T, strict=True))
    assert same_bits(whole.evaluate(strided)[0], values)


def test_what_formulas_have_in_common_is_evaluated_once():
    members = models(50)
    whole = Program.of(members)
    parts = set()
    waiting = [term.expression for member in members for term in member.terms]
    n_all = len(waiting)
    while waiting:
        part = waiting.pop()
        parts.add(part.key)
        waiting += part.operands
        n_all += len(part.operands)
    assert whole.n_places == len(parts) < n_all / 2
    assert sum(len(step.opcode) for step in whole.steps) == len(parts) - len(whole.primaries)


def test_a_missing_feature_is_named():
    given = columns(5)
    del given["b"]
    with pytest.raises(ExpressionError, match=r"^formula: needs the primary feature 'b', found a, c, d$"):
        Program.of(models(20)).evaluate(given)


@pytest.mark.parametrize("opcode", sorted(ARITHMETIC))
def test_arithmetic_has_the_same_bits_by_kernels_and_by_numpy(opcode):
    operator, operands = BY_OPCODE[opcode], list(columns(5000).values())[: BY_OPCODE[opcode].arity]
    out, first, last = np.empty((1, 5000)), np.array([0], np.int32), np.array([len(operands) - 1], np.int32)
    _values.evaluate_many(np.array([opcode], np.int16), first, last, np.array(operands), out)
    assert same_bits(out[0], operator.numpy(*operands))


@pytest.mark.parametrize("n", [2, 511, 512, 513, 2000])
def test_mean_and_spread_are_numpys_sums_in_the_order_of_the_members(n):
    rng = np.random.default_rng(n)
    members, valid, weight = rng.normal(size=(30, n)), rng.random((30, n)) < 0.7, 1 / 30
    mean, spread = aggregate(np.where(valid, members, np.nan), valid, 2, weight=weight)
    share = np.where(valid, weight, 0.0)
    total = share.sum(axis=0)
    expected = (share * np.where(valid, members, 0.0)).sum(axis=0) / total
    square = (share * np.where(valid, members - expected, 0.0) ** 2).sum(axis=0)
    assert np.array_equal(mean, expected)
    assert np.array_equal(spread, np.sqrt(square / (total - (share**2).sum(axis=0) / total)))
    alone = np.hstack([aggregate(members[:, i : i + 1], valid[:, i : i + 1], 2, weight=weight) for i in range(20)[:n]])
    assert np.array_equal(alone, [mean[:20], spread[:20]])
