"""Arithmetic expressions of computed quantities, read without running anything."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sisso_sal.errors import InputError

__all__ = ["evaluate", "expression_names"]

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
}


def expression_names(text: str, known: Sequence[str]) -> frozenset[str]:
    """The quantities an expression uses.

    Parameters
    ----------
    text : str
    known : sequence of str
        Names it may use, beside numbers, + - * / ** and abs, min, max, exp, log, sqrt.

    Raises
    ------
    InputError
        It uses anything else, or none of the names.

    Examples
    --------
    >>> sorted(expression_names("dG_pbx + 0.1*abs(band_gap - 2)", ["dG_pbx", "band_gap"]))
    ['band_gap', 'dG_pbx']
    """
    names = {node.id for node in ast.walk(_tree(text)) if isinstance(node, ast.Name)} - _FUNCTIONS.keys()
    unknown = sorted(names - set(known))
    if unknown or not names:
        raise InputError(f"label {text!r}: needs {', '.join(known)}, found {', '.join(unknown) or 'none of them'}")
    evaluate(text, dict.fromkeys(names, 1.0))
    return frozenset(names)


def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise InputError(f"label {text!r}: cannot be read as an expression") from None


def evaluate(text: str, values: Mapping[str, float]) -> float:
    """The value of an expression; `InputError` where it is undefined or uses what an expression may not.

    Examples
    --------
    >>> evaluate("2*gap - 1", {"gap": 3.0})
    5.0
    """
    try:
        return float(_value(_tree(text), values, text))
    except (ArithmeticError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"label {text!r}: undefined: {error}") from None


def _value(node: Any, values: Mapping[str, float], text: str) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, values, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, values, text), _value(right, values, text))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and args:
            return _FUNCTIONS[name](*(_value(arg, values, text) for arg in args))
    raise InputError(f"label {text!r}: needs numbers, {', '.join(values)}, + - * / ** and {', '.join(_FUNCTIONS)}")
