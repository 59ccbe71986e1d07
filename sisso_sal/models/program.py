"""The formulas of an ensemble as one program: what they have in common is evaluated once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sisso_sal.engine._values import evaluate_many
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import ARITHMETIC, BY_OPCODE
from sisso_sal.models._program import Terms, add_terms
from sisso_sal.models.linear import SISSOModel

N_ROWS = 1024
"""Rows that are evaluated at once: the values of all formulas stay in the second cache."""


class Step(NamedTuple):
    """Operators on what is known by then: opcodes and places of the operands, (m,) each; the values stand from `start` on.

    A step by NumPy, which is not compiled, has one opcode only. Its operators may have `parameters` (m, 2), scales and shifts.
    """

    opcode: np.ndarray
    left: np.ndarray
    right: np.ndarray
    start: int
    is_compiled: bool
    parameters: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Program:
    """Distinct parts of the formulas of some models, in an order in which they can be evaluated. Plain data.

    Attributes
    ----------
    models : tuple of SISSOModel
    primaries : tuple of Expression
        Primary features; their values stand in the first places.
    steps : tuple of Step
    n_places : int
    terms : Terms

    Examples
    --------
    >>> from sisso_sal.models.linear import Term
    >>> a = Expression.primary("a")
    >>> model = SISSOModel((Term(Expression.apply("sq", a), 2.0, 0.0, 4.0),), 1.0, 0.0, 0.0)
    >>> Program.of([model, model]).evaluate({"a": np.array([1.0, 3.0])})
    (array([[ 3., 19.],
           [ 3., 19.]]), array([[0.  , 1.25],
           [0.  , 1.25]]))
    """

    models: tuple[SISSOModel, ...]
    primaries: tuple[Expression, ...]
    steps: tuple[Step, ...]
    n_places: int
    terms: Terms

    @classmethod
    def of(cls, models: Sequence[SISSOModel]) -> Program:
        """The program of the formulas of some models."""
        parts: dict[str, Expression] = {}
        for model in models:
            for term in model.terms:
                _gather(term.expression, parts)
        primaries = tuple(part for part in parts.values() if part.is_primary)
        places = {part.key: place for place, part in enumerate(primaries)}
        steps = tuple(_steps([part for part in parts.values() if not part.is_primary], places))
        return cls(tuple(models), primaries, steps, len(places), _terms(models, places))

    def evaluate(self, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of the models and their reach, as by `SISSOModel.predict_with_reach`, in the same digits.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)

        Returns
        -------
        predictions, outside : ndarray (n_models, n)
            In the target's unit; in widths of the training range.

        Raises
        ------
        ExpressionError
            A primary feature is missing.
        """
        known = [primary.evaluate(columns) for primary in self.primaries]
        n = len(known[0])
        totals, outside = np.empty((len(self.models), n)), np.empty((len(self.models), n))
        room = np.empty(self.n_places * min(n, N_ROWS))
        with np.errstate(all="ignore"):
            for start in range(0, n, N_ROWS):
                size = min(N_ROWS, n - start)
                values = room[: self.n_places * size].reshape(self.n_places, size)
                for place, column in enumerate(known):
                    values[place] = column[start : start + size]
                for step in self.steps:
                    _take(step, values)
                add_terms(self.terms, values, start, totals, outside)
            for number, model in enumerate(self.models):
                if not model.link.is_identity:
                    totals[number] = model.link.inverse(totals[number])
        return totals, outside


def _gather(expression: Expression, parts: dict[str, Expression]) -> None:
    """Add an expression and all that is in it, operands first."""
    if expression.key not in parts:
        for operand in expression.operands:
            _gather(operand, parts)
        parts[expression.key] = expression


def _steps(parts: Sequence[Expression], places: dict[str, int]) -> Iterator[Step]:
    """Steps for all parts, which follow on their operands; where their values stand is written into `places`.

    A stage has what NumPy evaluates from the stages before it, one operator after the other, and then all that kernels can make of
    that.
    """
    stages, ready = dict.fromkeys(places, 0), defaultdict(list)
    for part in parts:
        has_parameters = part.parameters is not None
        is_compiled = part.operator.opcode in ARITHMETIC and not has_parameters
        stage = max(stages[operand.key] for operand in part.operands) + (not is_compiled)
        stages[part.key] = stage
        ready[stage, is_compiled, 0 if is_compiled else part.operator.opcode, has_parameters].append(part)
    for stage, is_compiled, opcode, has_parameters in sorted(ready):
        chosen, start = ready[stage, is_compiled, opcode, has_parameters], len(places)
        for part in chosen:
            places[part.key] = len(places)
        opcode = np.array([part.operator.opcode for part in chosen], np.int16)
        left, right = (np.array([places[part.operands[k].key] for part in chosen], np.int32) for k in (0, -1))
        parameters = np.array([part.parameters for part in chosen]) if has_parameters else None
        yield Step(opcode, left, right, start, is_compiled, parameters)


def _take(step: Step, values: np.ndarray) -> None:
    """Evaluate a step into values (n_places, n)."""
    out = values[step.start : step.start + len(step.opcode)]
    if step.is_compiled:
        evaluate_many(step.opcode, step.left, step.right, values, out)
    else:
        operator = BY_OPCODE[int(step.opcode[0])]
        operands = (values[step.left], values[step.right])[: operator.arity]
        if step.parameters is not None:
            scale, shift = step.parameters.T
            operands = (scale[:, None] * operands[0] + shift[:, None],)
        out[...] = operator.numpy(*operands)


def _terms(models: Sequence[SISSOModel], places: Mapping[str, int]) -> Terms:
    terms = [term for model in models for term in model.terms]
    low, high = np.array([term.low for term in terms]), np.array([term.high for term in terms])
    return Terms(
        np.array([places[term.expression.key] for term in terms]),
        np.array([term.coefficient for term in terms]),
        low, high, np.maximum(high - low, np.finfo(float).tiny),
        np.cumsum([0, *(len(model.terms) for model in models)]),
        np.array([model.intercept for model in models]),
    )  # fmt: skip
