"""Operators with parameters of their own: ``op(scale * x + shift)`` instead of ``op(x)``.

Scale and shift follow from the data (Purcell, Scheffler, Ghiringhelli, J. Chem. Phys. 159, 114110 (2023)). One of them may say
nothing that the coefficient and the intercept of a term do not say as well: such a one is given, and only the other is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sisso_sal.errors import SettingsError
from sisso_sal.features.operators import NONNEGATIVE, NONZERO, OPERATORS, POSITIVE, UNITLESS

MOST_PERIODS = 10.0
"""Periods that a sine or cosine has at most over the range of its argument."""

STEEPEST = 40.0
"""Largest size of the argument of an exponential, from the smallest to the largest value."""

ALONE, FACTOR, WITHIN = "alone", "factor", "within"
"""Where an operator with parameters stands: as the whole term, as a factor of it, or elsewhere, in a sum for example."""

_DISTANCES = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0])
_CENTRES = np.array(
    [-3.0, -1.0, -0.5, -0.25, 0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.25, 1.5, 2.0, 4.0]
)
_STEEPNESS = np.array([-32.0, -16.0, -8.0, -4.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
_PERIODS = np.arange(0.25, MOST_PERIODS + 0.125, 0.25)
_PHASES = np.pi * np.arange(4) / 4
_FACTORS = np.array([0.03, 0.3, 1.0, 3.0, 30.0])


@dataclass(frozen=True, kw_only=True)
class ParameterRule:
    """What the parameters of one operator mean.

    Attributes
    ----------
    name : str
        The operator.
    absorbed : str
        The parameter that a coefficient takes over where the operator is a factor of the term: ``scale``, ``shift``, or none.
    words : str
        Why.
    """

    name: str
    absorbed: str
    words: str

    def free(self, place: str, has_intercept: bool) -> tuple[bool, bool]:
        """Whether scale and shift say something of their own.

        Parameters
        ----------
        place : str
            `ALONE`, `FACTOR` or `WITHIN`.
        has_intercept : bool

        Examples
        --------
        >>> RULES["exp"].free(FACTOR, True), RULES["log"].free(ALONE, True), RULES["log"].free(FACTOR, True)
        ((True, False), (False, True), (True, True))
        """
        if self.name == "log":
            return not (place == ALONE and has_intercept), True
        absorbed = "" if place == WITHIN else self.absorbed
        return absorbed != "scale", absorbed != "shift"

    def starts(self, low: float, high: float, free: tuple[bool, bool]) -> np.ndarray:
        """Parameters to begin from, for arguments from `low` to `high`.

        Returns
        -------
        ndarray (n_lines, n_each, 2)
            Scales and shifts: along a line of steepnesses, periods or places, and of each some phases or factors.
        """
        span = high - low
        if self.name == "exp":
            scale = _STEEPNESS / span
            return np.stack([scale, -scale * (low + high) / 2], axis=1)[:, None]
        if self.name in ("sin", "cos"):
            scale = np.repeat(2 * np.pi * _PERIODS / span, len(_PHASES)).reshape(-1, len(_PHASES))
            return np.stack([scale, _PHASES - scale * (low + high) / 2], axis=2)
        factors = _FACTORS if self.name == "log" and free[0] else np.ones(1)
        return factors[None, :, None] * self._places(low, high)[:, None]

    def _places(self, low: float, high: float) -> np.ndarray:
        """Scales of one and shifts (n_lines, 2): zeros of the argument on all sides of its values, as the domain allows."""
        span, domain = high - low, OPERATORS[self.name].domain
        if domain == NONZERO:  # the pole on either side
            shifts = np.concatenate([-high - _DISTANCES[::-1] * span, -low + _DISTANCES * span])
            return np.stack([np.ones_like(shifts), shifts], axis=1)
        if domain in (POSITIVE, NONNEGATIVE):
            rising, falling = -low + _DISTANCES * span, high + _DISTANCES[::-1] * span
            signs = np.repeat([-1.0, 1.0], len(_DISTANCES))
            return np.stack([signs, np.concatenate([falling, rising])], axis=1)
        shifts = -(low + _CENTRES * span)
        return np.stack([np.ones_like(shifts), shifts], axis=1)


_RULES = (
    ParameterRule(name="abs", absorbed="scale", words="a scale is a factor of the coefficient"),
    ParameterRule(name="inv", absorbed="scale", words="a scale is a factor of the coefficient"),
    ParameterRule(name="sq", absorbed="scale", words="a scale is a factor of the coefficient"),
    ParameterRule(name="cb", absorbed="scale", words="a scale is a factor of the coefficient"),
    ParameterRule(name="six_pow", absorbed="scale", words="a scale is a factor of the coefficient"),
    ParameterRule(name="sqrt", absorbed="scale", words="but for its sign, a scale is a factor of the coefficient"),
    ParameterRule(name="cbrt", absorbed="scale", words="a scale is a factor of the coefficient"),
    ParameterRule(name="exp", absorbed="shift", words="a shift is a factor of the coefficient"),
    ParameterRule(name="log", absorbed="", words="a scale adds to the intercept where the logarithm is the whole term"),
    ParameterRule(name="sin", absorbed="", words="frequency and phase are both free"),
    ParameterRule(name="cos", absorbed="", words="frequency and phase are both free"),
)
RULES: dict[str, ParameterRule] = {rule.name: rule for rule in _RULES}
"""Of every operator that can have parameters."""

HOMOGENEOUS = frozenset({"mult", "div", "abs", "inv", "sq", "cb", "six_pow", "sqrt", "cbrt"})
"""Operators through which a positive factor of an operand passes as a power of itself."""


def param_operators_named(names: Iterable[str]) -> tuple[str, ...]:
    """The operators that get parameters, in the order of the operator table.

    Raises
    ------
    SettingsError
        A name is unknown, or that of an operator without parameters.

    Examples
    --------
    >>> param_operators_named(["sin", "exp"])
    ('exp', 'sin')
    """
    names = tuple(names)
    for name in names:
        if name == "neg_exp":
            raise SettingsError("param_operators: needs exp in place of neg_exp: its scale may be negative")
        if name not in RULES:
            why = ", which takes no parameters" if name in OPERATORS else ""
            raise SettingsError(f"param_operators: needs names from {', '.join(RULES)}, found '{name}'{why}")
    return tuple(name for name in RULES if name in names)


def has_unit(operator: str) -> bool:
    """Whether the scale takes the unit of the argument away, as exp, log, sin and cos need it; else the shift has that unit."""
    return OPERATORS[operator].unit_rule == UNITLESS
