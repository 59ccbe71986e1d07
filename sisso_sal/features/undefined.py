"""Why a formula has no value: the innermost operator that left its domain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import NONNEGATIVE, NONZERO, POSITIVE
from sisso_sal.protocols.cause import Cause


def why_undefined(expression: Expression, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The cause for which a formula has no finite value.

    Parameters
    ----------
    expression : Expression
    columns : mapping of str to ndarray (n,)
        Values of the primary features.

    Returns
    -------
    ndarray (n,) of int8
        A `Cause`; 0 where the value is finite.

    Examples
    --------
    >>> log = Expression.apply("log", Expression.apply("sub", Expression.primary("a"), Expression.primary("b")))
    >>> columns = {"a": np.array([1.0, 1.0, 3.0]), "b": np.array([2.0, 1.0, 1.0])}
    >>> [cause and Cause(cause).words for cause in why_undefined(log, columns).tolist()]
    ['log of a negative number', 'log of zero', 0]
    """
    value, cause = _evaluated(expression, columns)
    return np.where(np.isfinite(value), 0, cause).astype(np.int8)


def _evaluated(expression: Expression, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Values, and the first cause on the way to them; an infinite value may become finite again later."""
    if expression.is_primary:
        value = expression.evaluate(columns)
        return value, np.where(np.isfinite(value), 0, Cause.NOT_FINITE)
    parts = [_evaluated(operand, columns) for operand in expression.operands]
    row, arguments = expression.operator, expression.arguments(*(operand for operand, _ in parts))
    value, last = row.numpy(*arguments), arguments[-1]
    own = np.full(len(value), int(Cause.TOO_LARGE))
    if row.domain == NONZERO:
        own[last == 0] = Cause.ZERO_DIVISOR
    elif row.domain == NONNEGATIVE:
        own[last < 0] = Cause.NEGATIVE_ROOT
    elif row.domain == POSITIVE:
        own[last < 0] = Cause.NEGATIVE_LOG
        own[last == 0] = Cause.ZERO_LOG
    cause = np.where(np.isfinite(value), 0, own)
    for _, earlier in reversed(parts):
        cause = np.where(earlier > 0, earlier, cause)
    return value, cause
