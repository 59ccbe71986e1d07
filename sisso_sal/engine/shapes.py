"""Shapes of features with parameters, and how well each may explain the residuals: its best score on a grid of parameters.

A shape is an operator with parameters on a stored feature, alone or as a factor beside another stored feature. The screening of the
space cannot find them: it knows each operator with a scale of one and no shift only, and with units often not even that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sisso_sal.engine.admitted import forbidden_words
from sisso_sal.engine.problem import Problem
from sisso_sal.errors import SettingsError
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.parameters import ALONE, FACTOR, RULES, param_operators_named
from sisso_sal.features.space import FeatureSpace
from sisso_sal.features.stored import SAME_VALUE

ROOM = 1 << 20
"""Values of features that are in memory at a time."""

FLAT = 1e-12
"""A feature whose variance is less than this share of its mean square is taken as constant here."""

MOST_FACTORS = 1
"""Largest rung of the feature beside an operator with parameters."""

TIMES, UNDER, OVER = "times", "under", "over"
"""How a feature v stands beside op(u): v * op(u), v / op(u), op(u) / v."""

_LINEAR_UNDER = frozenset({"exp", "inv"})
"""Operators by which nothing is divided: exp with another scale is a factor, and v / (1 / (u + a)) is a sum."""

ARGUMENT, FACTOR_OF = "u", "v"
"""Names of the stand-ins for stored features."""


class ParameterShape(NamedTuple):
    """An operator with parameters on the stored feature `argument`, beside the stored feature `factor` (-1 for none)."""

    operator: str
    argument: int
    factor: int = -1
    form: str = ""

    def skeleton(self, parameters: tuple[float, float]) -> Expression:
        """The formula over stand-ins: `ARGUMENT` for the argument, `FACTOR_OF` for the factor."""
        inner = Expression.apply(self.operator, Expression.primary(ARGUMENT), parameters=parameters)
        other = Expression.primary(FACTOR_OF)
        if self.form == TIMES:
            return Expression.apply("mult", other, inner)
        if self.form == UNDER:
            return Expression.apply("div", other, inner)
        return Expression.apply("div", inner, other) if self.form == OVER else inner

    def stand_ins(self) -> dict[str, int]:
        """Numbers of the stored features by the names of their stand-ins."""
        return {ARGUMENT: self.argument} | ({} if self.factor < 0 else {FACTOR_OF: self.factor})

    def values(self, space: FeatureSpace) -> dict[str, np.ndarray]:
        """Values of the stored features by the names of their stand-ins."""
        return {name: space.values[number] for name, number in self.stand_ins().items()}

    def starts(self, space: FeatureSpace, has_intercept: bool) -> np.ndarray:
        """See `ParameterRule.starts`."""
        values, rule = space.values[self.argument], RULES[self.operator]
        free = rule.free(FACTOR if self.form else ALONE, has_intercept)
        return rule.starts(float(values.min()), float(values.max()), free)


@dataclass(frozen=True, eq=False)
class SoughtShapes:
    """What one problem looks for: weights (n_samples,) of sum 1, and residuals (n_residuals, n_samples) as of a `ScreeningStep`."""

    problem: Problem
    residuals: np.ndarray


class FoundShapes(NamedTuple):
    """Shapes of one problem, best first, with their scores."""

    shapes: list[ParameterShape]
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Shapes:
    """All shapes of a space.

    Attributes
    ----------
    space : FeatureSpace
    operators : tuple of str
        Those that get parameters.
    arguments : ndarray (n_arguments,) of int
        Stored features to which an operator alone is applied.
    inner, factors : ndarray of int
        Arguments and factors where there are both.
    forms : tuple of str
        How they stand beside each other.
    """

    space: FeatureSpace
    operators: tuple[str, ...]
    arguments: np.ndarray
    inner: np.ndarray
    factors: np.ndarray
    forms: tuple[str, ...]

    @classmethod
    def of(cls, space: FeatureSpace) -> Shapes:
        """The shapes that the settings of a space allow.

        Raises
        ------
        SettingsError
            There is none, as the limit of complexity is too low.
        """
        settings, n_stored = space.settings, len(space.values)
        last, most = settings.rung, np.inf if settings.max_complexity is None else settings.max_complexity
        numbers = np.arange(n_stored)
        rungs = np.searchsorted(np.cumsum(space.sizes), numbers, side="right")
        complexity = space.complexity(np.zeros(n_stored, np.int16), numbers, numbers)
        spread = np.ptp(space.values, axis=1) > SAME_VALUE * np.abs(space.values).max(axis=1)
        arguments = np.flatnonzero(spread & (rungs < last) & (complexity + 1 <= most))
        inner = np.flatnonzero(spread & (rungs < last - 1) & (complexity + 2 <= most))
        factors = np.flatnonzero(spread & (rungs <= MOST_FACTORS) & (rungs < last) & (complexity + 2 <= most))
        names = settings.operators_of(last)
        forms = (*((TIMES,) if "mult" in names else ()), *((UNDER, OVER) if "div" in names else ()))
        if not len(arguments):
            raise SettingsError(f"param_operators: needs max_complexity 1 or more, found {settings.max_complexity}")
        none = np.empty(0, dtype=np.int64)
        has_both = len(inner) > 0 and len(forms) > 0
        return cls(
            space,
            param_operators_named(settings.param_operators),
            arguments,
            *((inner, factors) if has_both else (none, none)),
            forms,
        )

    def n_scored(self, has_intercept: bool) -> float:
        """Features whose scores `best` works out for each problem."""
        total = 0.0
        for operator in self.operators:
            alone = np.prod(
                ParameterShape(operator, int(self.arguments[0])).starts(self.space, has_intercept).shape[:2]
            )
            total += float(alone) * len(self.arguments)
            if len(self.inner):
                n_forms = len(self.forms_of(operator))
                each = np.prod(
                    ParameterShape(operator, int(self.inner[0]), 0, TIMES).starts(self.space, has_intercept).shape[:2]
                )
                total += float(each) * n_forms * len(self.inner) * len(self.factors)
        return total

    @property
    def n_shapes(self) -> int:
        """Number of shapes."""
        n_forms = sum(len(self.forms_of(operator)) for operator in self.operators)
        return len(self.operators) * len(self.arguments) + n_forms * len(self.inner) * len(self.factors)

    def forms_of(self, operator: str) -> list[str]:
        """How a factor may stand beside an operator."""
        return [form for form in self.forms if form != UNDER or operator not in _LINEAR_UNDER]

    def best(self, sought: Sequence[SoughtShapes], n_best: int, centre: bool) -> list[FoundShapes]:
        """The `n_best` shapes of each problem by their best score on the grid."""
        tops = [_Top(n_best) for _ in sought]
        forbidden = forbidden_words(self.space, [one.problem.allowed for one in sought])
        for operator in self.operators:
            self._alone(operator, sought, tops, forbidden, centre)
            for form in self.forms_of(operator) if len(self.inner) else ():
                self._beside(operator, form, sought, tops, forbidden, centre)
        return [top.found() for top in tops]

    def _alone(self, operator: str, sought, tops, forbidden: np.ndarray, centre: bool) -> None:
        for part, rows in self._on_grid(operator, self.arguments, centre):
            for one, top, words in zip(sought, tops, forbidden, strict=True):
                scores = _scores(rows, one, centre).max(axis=1)
                scores[(self.space.masks[part] & words).any(axis=1)] = -1.0
                top.add(scores, lambda t, part=part: ParameterShape(operator, int(part[t])))

    def _on_grid(self, operator: str, arguments: np.ndarray, centre: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Arguments in parts, and the values (n_part, n_grid, n_samples) of the operator on the grid of each, of largest size 1."""
        n_grid = int(np.prod(ParameterShape(operator, int(arguments[0])).starts(self.space, centre).shape[:2]))
        size = max(ROOM // (n_grid * self.space.n_samples), 1)
        for start in range(0, len(arguments), size):
            part = arguments[start : start + size]
            shapes = [ParameterShape(operator, number) for number in part.tolist()]
            rows = [grid_values(shape, self.space, shape.starts(self.space, centre)) for shape in shapes]
            yield part, _scaled(np.array(rows))

    def _beside(self, operator: str, form: str, sought, tops, forbidden: np.ndarray, centre: bool) -> None:
        factors, masks = self.factors, self.space.masks
        others = self.space.values[factors]
        with np.errstate(all="ignore"):
            others = _scaled(1.0 / others if form == OVER else others)
        squares = others**2
        for number in self.inner.tolist():
            shape = ParameterShape(operator, number, 0, form)
            rows = grid_values(shape, self.space, shape.starts(self.space, centre))
            with np.errstate(all="ignore"):
                rows = _scaled(1.0 / _scaled(rows) if form == UNDER else rows)
            for one, top, words in zip(sought, tops, forbidden, strict=True):
                scores = _scores_of_products(others, squares, rows, one, centre).max(axis=1)
                scores[((masks[factors] | masks[number]) & words).any(axis=1)] = -1.0
                top.add(scores, lambda t, number=number: ParameterShape(operator, number, int(factors[t]), form))


def grid_values(shape: ParameterShape, space: FeatureSpace, starts: np.ndarray) -> np.ndarray:
    """ndarray (n_lines * n_each, n_samples): values of the operator alone with parameters (n_lines, n_each, 2)."""
    scale, shift = starts.reshape(-1, 2).T
    return OPERATORS[shape.operator].numpy(scale[:, None] * space.values[shape.argument] + shift[:, None])


def grid_scores(shape: ParameterShape, space: FeatureSpace, one: SoughtShapes, centre: bool) -> np.ndarray:
    """ndarray (n_lines, n_each): scores of a shape on the grid of its parameters, see `ParameterShape.starts`."""
    starts = shape.starts(space, centre)
    rows, factor = grid_values(shape, space, starts), space.values[shape.factor]
    with np.errstate(all="ignore"):
        if shape.form == TIMES:
            rows = rows * factor
        elif shape.form:
            rows = factor / rows if shape.form == UNDER else rows / factor
    return _scores(_scaled(rows), one, centre).reshape(starts.shape[:2])


def _scaled(rows: np.ndarray) -> np.ndarray:
    """Rows (m, n) divided by their largest size; those that are not finite are zero."""
    largest = np.abs(rows).max(axis=-1, keepdims=True)
    is_good = np.isfinite(largest) & (largest > 0)
    return np.where(is_good, rows, 0.0) / np.where(is_good, largest, 1.0)


def _scores(rows: np.ndarray, one: SoughtShapes, centre: bool) -> np.ndarray:
    """ndarray (m, n_grid): largest absolute correlation of rows (m, n_grid, n) with the residuals; -1 for constant ones."""
    shares = one.problem.shares
    if centre:
        rows = rows - (rows @ shares)[..., None]
    squares = rows**2 @ shares
    products = np.abs(rows @ (shares * one.residuals).T).max(axis=-1)
    return np.where(squares > FLAT, products / np.sqrt(np.maximum(squares, FLAT)), -1.0)


def _scores_of_products(others, squares, rows, one: SoughtShapes, centre: bool) -> np.ndarray:
    """ndarray (n_factors, n_grid): the same of each product of one of others (n_factors, n) with one of rows (n_grid, n)."""
    shares = one.problem.shares
    total = squares @ (shares * rows**2).T
    variance = total - (others @ (shares * rows).T) ** 2 if centre else total
    weighted = (shares * one.residuals)[:, None, :] * rows
    products = np.abs(np.array([others @ own.T for own in weighted])).max(axis=0)
    is_flat = variance <= FLAT * np.maximum(total, np.finfo(float).tiny)
    return np.where(is_flat, -1.0, products / np.sqrt(np.where(is_flat, 1.0, variance)))


class _Top:
    """The best shapes so far; of equal scores those that came first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.scores, self.shapes = np.empty(0), list[ParameterShape]()

    def add(self, scores: np.ndarray, shape: Callable[[int], ParameterShape]) -> None:
        """Offer shapes with scores (m,); `shape` makes one from its number."""
        bar = self.scores[-1] if len(self.scores) == self.size else 0.0
        better = np.flatnonzero(scores > bar)
        if not len(better):
            return
        every = np.concatenate([self.scores, scores[better]])
        order = np.argsort(-every, kind="stable")[: self.size]
        own = [*self.shapes, *map(shape, better.tolist())]
        self.scores, self.shapes = every[order], [own[t] for t in order.tolist()]

    def found(self) -> FoundShapes:
        return FoundShapes(self.shapes, self.scores)
