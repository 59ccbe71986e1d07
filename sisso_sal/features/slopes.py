"""Derivatives of formulas with respect to the parameters of their operators, by one pass through the tree from the root."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from sisso_sal.features.expression import Expression


class _Node(NamedTuple):
    """What was worked out on the way up: value, operands, and the arguments of the operator."""

    expression: Expression
    number: int  # of the scale among the parameters, -1 for none
    value: np.ndarray
    operands: tuple[_Node, ...]
    arguments: tuple[np.ndarray, ...]


def own_parameters(expression: Expression) -> np.ndarray:
    """ndarray (n_parameters,): scale and shift of each operator that has them, root first.

    Examples
    --------
    >>> own_parameters(Expression.apply("sin", Expression.primary("x"), parameters=(2.0, 0.5)))
    array([2. , 0.5])
    """
    return np.array([value for part in expression.parts() for value in part.parameters or ()])


def value_and_slopes(
    expression: Expression, columns: Mapping[str, np.ndarray], parameters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values of a formula with other parameters than its own, and their derivatives (Griewank and Walther, Evaluating Derivatives,
    SIAM (2008), sec. 3.2: reverse mode).

    Parameters
    ----------
    expression : Expression
    columns : mapping of str to ndarray (n,)
        Values of the primary features.
    parameters : ndarray (n_parameters,)
        In the order of `own_parameters`.

    Returns
    -------
    values : ndarray (n,)
        NaN or infinite where the formula leaves its domain; so are the slopes there.
    slopes : ndarray (n_parameters, n)

    Examples
    --------
    >>> wave = Expression.apply("sin", Expression.primary("x"), parameters=(1.0, 0.0))
    >>> value_and_slopes(wave, {"x": np.array([0.0, 0.5])}, np.array([2.0, 0.0]))[1].round(3)
    array([[0.  , 0.27],
           [1.  , 0.54]])
    """
    with np.errstate(all="ignore"):
        root = _forward(expression, columns, parameters, iter(range(0, len(parameters), 2)))
        slopes = np.zeros((len(parameters), len(root.value)))
        if len(parameters):
            _backward(root, np.ones(len(root.value)), slopes, parameters)
    return root.value, slopes


def _forward(
    expression: Expression, columns: Mapping[str, np.ndarray], parameters: np.ndarray, numbers: Iterator[int]
) -> _Node:
    if expression.is_primary:
        return _Node(expression, -1, expression.evaluate(columns), (), ())
    number = -1 if expression.parameters is None else next(numbers)
    operands = tuple(_forward(operand, columns, parameters, numbers) for operand in expression.operands)
    arguments = tuple(operand.value for operand in operands)
    if number >= 0:
        arguments = (parameters[number] * arguments[0] + parameters[number + 1],)
    return _Node(expression, number, expression.operator.numpy(*arguments), operands, arguments)


def _backward(node: _Node, adjoint: np.ndarray, slopes: np.ndarray, parameters: np.ndarray) -> None:
    """Hand the derivative of the root with respect to a node (n,) on to its parameters and operands."""
    if node.expression.is_primary:
        return
    for operand, slope in zip(node.operands, node.expression.operator.slopes(*node.arguments), strict=True):
        below = adjoint * slope
        if node.number >= 0:
            slopes[node.number] += below * operand.value
            slopes[node.number + 1] += below
            below = below * parameters[node.number]
        _backward(operand, below, slopes, parameters)
