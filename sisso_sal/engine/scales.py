"""Scales and shifts by least squares: coefficients and intercept are solved out (variable projection).

For given parameters the best coefficients follow from a linear fit, so only the parameters are looked for. The derivative of what
that fit leaves is taken as Kaufman does, without the term that lies in the space of the features: the gradient of the sum of
squares is exact (Golub and Pereyra, Inverse Problems 19, R1 (2003), sec. 2; Kaufman, BIT 15, 49 (1975)).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.features.expression import Expression
from sisso_sal.features.parameters import ALONE, FACTOR, HOMOGENEOUS, MOST_PERIODS, RULES, STEEPEST, WITHIN
from sisso_sal.features.slopes import own_parameters, value_and_slopes
from sisso_sal.features.unit_rules import UnitRules

MOST_STEPS = 40
"""Evaluations of one fit."""

TOLERANCE = 1e-8

FEWEST_DIGITS, MOST_DIGITS = 6, 17

ARGUMENT_ERROR = 1e-8
"""Rounding moves no argument by more than this share of its spread."""

SLOWEST, GENTLEST = 0.05, 0.02
"""Fewest periods of a sine over the spread of its argument, and smallest spread of the argument of an exponential."""

FARTHEST = 10.0
"""Spreads of an argument by which its zero moves at most."""

WALL = 1e3
"""Residual, in units of the target, where a feature has no value."""


def placed(expression: Expression, place: str = ALONE) -> Iterator[tuple[Expression, str]]:
    """Each part of an expression, root first, and where it stands in the term.

    Examples
    --------
    >>> x = Expression.primary("x")
    >>> [place for _, place in placed(Expression.apply("mult", x, Expression.apply("exp", x)))]
    ['alone', 'factor', 'within', 'factor']
    """
    yield expression, place
    passes = place != WITHIN and expression.parameters is None and expression.name in HOMOGENEOUS
    for operand in expression.operands:
        yield from placed(operand, FACTOR if passes else WITHIN)


class Freedom(NamedTuple):
    """How parameters may move: ``start + moves @ x`` with x from `low` to `high`.

    - ``start``: ndarray (n_parameters,); see `own_parameters`.
    - ``moves``: ndarray (n_parameters, n_free).
    - ``low``, ``high``: ndarray (n_free,).
    """

    start: np.ndarray
    moves: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, expression: Expression, columns: Mapping[str, np.ndarray], has_intercept: bool) -> Freedom:
        """The freedom of a formula that begins from its own parameters. A shift that a coefficient takes over follows the scale, so
        that the middle of the argument stays where it is.

        Parameters
        ----------
        expression : Expression
        columns : mapping of str to ndarray (n,)
        has_intercept : bool
        """
        start, moves, low, high = own_parameters(expression), [], [], []
        own = [(part, place) for part, place in placed(expression) if part.parameters is not None]
        for number, (part, place) in enumerate(own):
            free = RULES[part.name].free(place, has_intercept)
            for move, *bounds in _moves(part, part.operands[0].evaluate(columns), free):
                column = np.zeros(len(start))
                column[2 * number : 2 * number + 2] = move
                moves.append(column)
                low.append(bounds[0])
                high.append(bounds[1])
        return cls(start, np.array(moves).reshape(len(moves), len(start)).T, np.array(low), np.array(high))

    def at(self, x: np.ndarray) -> np.ndarray:
        """The parameters."""
        return self.start + self.moves @ x


def _moves(
    part: Expression, argument: np.ndarray, free: tuple[bool, bool]
) -> Iterator[tuple[tuple[float, float], float, float]]:
    """Directions in which scale and shift move, each with its bounds."""
    scale, shift = part.parameters or (1.0, 0.0)
    spread, middle = max(float(np.ptp(argument)), np.finfo(float).tiny), float(argument.mean())
    if part.name in ("exp", "sin", "cos"):
        if free[0]:
            least, most = (GENTLEST, STEEPEST) if part.name == "exp" else (SLOWEST, MOST_PERIODS + 1)
            turn = 1.0 if part.name == "exp" else 2 * np.pi
            ends = sorted((np.sign(scale) * least * turn, np.sign(scale) * most * turn))
            own = scale * spread
            yield (1 / spread, -middle / spread), min(ends[0] - own, -1e-9), max(ends[1] - own, 1e-9)
        if free[1]:
            most = STEEPEST if part.name == "exp" else 2 * np.pi
            yield (0.0, 1.0), -most, most
        return
    if free[0]:
        yield (scale, shift), -0.999, 1e3
    if free[1]:
        yield (0.0, abs(scale) * spread), -FARTHEST, FARTHEST


@dataclass
class ParameterFit:
    """A fit of the parameters in some terms to one target.

    Parameters
    ----------
    terms : sequence of Expression
        They begin from their own parameters.
    columns : sequence of mapping of str to ndarray (n,)
        Values of the primary features, or of what stands for them, for each term.
    target : ndarray (n,)
    shares : ndarray (n,)
        Weights of sum 1.
    centre : bool
        Whether there is an intercept.
    """

    terms: Sequence[Expression]
    columns: Sequence[Mapping[str, np.ndarray]]
    target: np.ndarray
    shares: np.ndarray
    centre: bool

    def __post_init__(self) -> None:
        self.freedoms = [
            Freedom.of(term, columns, self.centre) for term, columns in zip(self.terms, self.columns, strict=True)
        ]
        self._cuts = np.cumsum([0, *(len(freedom.low) for freedom in self.freedoms)])
        self._root = np.sqrt(self.shares)
        self._goal = self._weighted(self.target[None])[0]
        self._known: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def _weighted(self, rows: np.ndarray) -> np.ndarray:
        return (rows - (rows @ self.shares)[:, None] if self.centre else rows) * self._root

    @property
    def n_free(self) -> int:
        return int(self._cuts[-1])

    def parameters(self, x: np.ndarray) -> list[np.ndarray]:
        """Parameters of each term, see `own_parameters`."""
        return [
            freedom.at(x[start:stop])
            for freedom, start, stop in zip(self.freedoms, self._cuts, self._cuts[1:], strict=False)
        ]

    def left(self, x: np.ndarray) -> np.ndarray:
        """ndarray (n,): what the best coefficients leave of the target, times the roots of the weights."""
        return self._worked_out(x)[1]

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """ndarray (n, n_free): derivatives of `left`, as Kaufman takes them."""
        return self._worked_out(x)[2]

    def _worked_out(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._known is None or not np.array_equal(self._known[0], x):
            self._known = (x.copy(), *self._projected(x))
        return self._known

    def _projected(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nowhere = np.full(len(self.target), WALL), np.zeros((len(self.target), self.n_free))
        each = [
            value_and_slopes(term, columns, parameters)
            for term, columns, parameters in zip(self.terms, self.columns, self.parameters(x), strict=True)
        ]
        values = np.array([value for value, _ in each])
        largest = np.abs(values).max(axis=1)
        if not np.isfinite(largest).all() or not largest.all():
            return nowhere
        rows = self._weighted(values / largest[:, None])
        norms = np.sqrt((rows**2).sum(axis=1))
        if norms.min() < 1e-9:
            return nowhere
        q, r = np.linalg.qr((rows / norms[:, None]).T)
        if np.abs(np.diagonal(r)).min() < 1e-9:
            return nowhere
        products = q.T @ self._goal
        factors = np.linalg.solve(r, products) / norms / largest
        with np.errstate(all="ignore"):  # a root has no finite slope at zero
            slopes = np.concatenate(
                [
                    factor * (freedom.moves.T @ own)
                    for factor, freedom, (_, own) in zip(factors, self.freedoms, each, strict=True)
                ]
            )
        if not np.isfinite(slopes).all():
            return nowhere
        slopes = self._weighted(slopes)
        return self._goal - q @ products, -(slopes.T - q @ (q.T @ slopes.T))

    def best(self) -> tuple[list[np.ndarray], float] | None:
        """The parameters of each term, and the share of the target's sum of squares that is left; None where there is no fit."""
        from scipy.optimize import least_squares

        total = float(self._goal @ self._goal)
        begin = np.zeros(self.n_free)
        if not self.n_free or total == 0.0 or self.left(begin)[0] == WALL:
            return None
        low, high = (np.concatenate([getattr(freedom, name) for freedom in self.freedoms]) for name in ("low", "high"))
        jac: Any = self.slopes  # the stubs of scipy know names of methods only
        limits: dict[str, Any] = {"xtol": TOLERANCE, "ftol": TOLERANCE, "gtol": TOLERANCE}
        found = least_squares(self.left, begin, jac, (low, high), max_nfev=MOST_STEPS, **limits)
        return self.parameters(found.x), 2 * float(found.cost) / total


def tidied(
    expression: Expression, parameters: np.ndarray, columns: Mapping[str, np.ndarray], most: float, has_intercept: bool
) -> np.ndarray:
    """The same feature, but for its sign or a factor, with parameters that are easier to read.

    A phase is brought near zero, a shift that says nothing is left out unless the feature then exceeds `most`, and digits that
    make no difference are rounded away.

    Parameters
    ----------
    expression : Expression
    parameters : ndarray (n_parameters,)
    columns : mapping of str to ndarray (n,)
    most : float
    has_intercept : bool
    """
    tidy = parameters.copy()
    for number, (part, place) in enumerate(one for one in placed(expression) if one[0].parameters is not None):
        shift = float(tidy[2 * number + 1])
        if part.name in ("sin", "cos"):
            turn = np.pi if place == ALONE else 2 * np.pi
            tidy[2 * number + 1] = shift - turn * np.round(shift / turn)
        elif part.name == "exp" and not RULES["exp"].free(place, has_intercept)[1]:
            without = tidy.copy()
            without[2 * number + 1] = 0.0
            values, _ = value_and_slopes(expression, columns, without)
            if np.abs(values).max() <= most:
                tidy = without
    return _rounded(expression, tidy, columns)


def _rounded(expression: Expression, parameters: np.ndarray, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    out = parameters.copy()
    for number, part in enumerate(one for one in expression.parts() if one.parameters is not None):
        argument = part.operands[0].evaluate(columns)
        scale, shift = parameters[2 * number : 2 * number + 2].tolist()
        allowed = ARGUMENT_ERROR * abs(scale) * float(np.ptp(argument))
        out[2 * number] = _shortest(scale, allowed / max(float(np.abs(argument).max()), np.finfo(float).tiny))
        out[2 * number + 1] = _shortest(shift, allowed)
    return out


def _shortest(value: float, allowed: float) -> float:
    """The number of fewest digits that is no further away than allowed.

    >>> _shortest(0.520000000001, 1e-9), _shortest(-1e-12, 1e-9)
    (0.52, 0.0)
    """
    if abs(value) <= allowed:
        return 0.0
    for digits in range(FEWEST_DIGITS, MOST_DIGITS):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= allowed:
            return short
    return value


def rebuilt(
    expression: Expression, parameters: np.ndarray, leaves: Mapping[str, Expression], rules: UnitRules
) -> Expression:
    """A formula with other parameters, and expressions in place of some of its primary features."""
    pairs = iter(parameters.reshape(-1, 2).tolist())

    def build(part: Expression) -> Expression:
        if part.is_primary:
            return leaves.get(part.name, part)
        own = None if part.parameters is None else tuple(next(pairs))
        operands = [build(operand) for operand in part.operands]
        return Expression.apply(part.name, *operands, rules=rules, parameters=own)

    return build(expression)
