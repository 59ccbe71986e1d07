"""Why a formula has no value, for each operator that has a domain."""

import numpy as np
import pytest

from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.undefined import why_undefined
from sisso_sal.protocols import Cause

A, B = Expression.primary("a"), Expression.primary("b")


def causes(expression, a, b=1.0):
    columns = {"a": np.array([a]), "b": np.array([b])}
    return why_undefined(expression, columns).tolist()[0]


@pytest.mark.parametrize(
    ("expression", "values", "cause"),
    [
        (Expression.apply("log", A), (-1.0,), Cause.NEGATIVE_LOG),
        (Expression.apply("log", A), (0.0,), Cause.ZERO_LOG),
        (Expression.apply("sqrt", A), (-2.0,), Cause.NEGATIVE_ROOT),
        (Expression.apply("inv", A), (0.0,), Cause.ZERO_DIVISOR),
        (Expression.apply("div", B, A), (0.0,), Cause.ZERO_DIVISOR),
        (Expression.apply("div", A, A), (0.0,), Cause.ZERO_DIVISOR),
        (Expression.apply("exp", A), (1e3,), Cause.TOO_LARGE),
        (Expression.apply("six_pow", A), (1e60,), Cause.TOO_LARGE),
        (Expression.apply("sq", Expression.apply("log", A)), (-1.0,), Cause.NEGATIVE_LOG),
        (
            Expression.apply("add", B, Expression.apply("sqrt", Expression.apply("sub", A, B))),
            (0.0,),
            Cause.NEGATIVE_ROOT,
        ),
        (Expression.apply("log", Expression.apply("inv", A)), (0.0,), Cause.ZERO_DIVISOR),
        (Expression.apply("sq", A), (np.nan,), Cause.NOT_FINITE),
        (Expression.apply("log", A), (2.0,), 0),
        (Expression.apply("exp", Expression.apply("log", A)), (0.0,), 0),
    ],
    ids=str,
)
def test_the_innermost_operator_that_left_its_domain_is_named(expression, values, cause):
    assert causes(expression, *values) == cause


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_there_is_a_cause_exactly_where_there_is_no_finite_value(name):
    rng = np.random.default_rng(0)
    columns = {key: np.concatenate([[0.0, -1.0, 1e300, -1e300, 1e-320], rng.normal(0, 5, 60)]) for key in "ab"}
    columns["b"] = rng.permutation(columns["b"])
    expression = Expression.apply(name, *(A, B)[: OPERATORS[name].arity])
    found = why_undefined(expression, columns)
    assert ((found > 0) == ~np.isfinite(expression.evaluate(columns))).all()
    assert {*found.tolist()} <= {0, *map(int, Cause)}
    assert all(cause.words for cause in Cause)
