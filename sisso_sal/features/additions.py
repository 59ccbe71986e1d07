"""Features with parameters that a search made, beside the stored features of a space."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sisso_sal.features.expression import Expression
from sisso_sal.features.parameters import RULES


@dataclass
class Additions:
    """What was added; each feature once.

    Attributes
    ----------
    expressions : list of Expression
    values : list of ndarray (n_samples,)
    numbers : dict of str to int
        Place of a feature in the lists, by its key.

    Examples
    --------
    >>> additions, wave = Additions(), Expression.apply("sin", Expression.primary("x"), parameters=(2.0, 0.5))
    >>> additions.place(wave, np.zeros(3)), additions.place(wave, np.zeros(3)), len(additions.values)
    (0, 0, 1)
    """

    expressions: list[Expression] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def place(self, expression: Expression, values: np.ndarray) -> int:
        """Add a feature, if it is not there; its place."""
        if expression.key not in self.numbers:
            self.numbers[expression.key] = len(self.values)
            self.expressions.append(expression)
            self.values.append(values)
        return self.numbers[expression.key]


def n_fitted(expression: Expression) -> int:
    """Parameters of an expression that were fitted: one of each operator if a coefficient takes the other over, else both.

    Examples
    --------
    >>> x = Expression.primary("x")
    >>> [n_fitted(Expression.apply(name, x, parameters=(2.0, 0.5))) for name in ("exp", "sin")]
    [1, 2]
    """
    return sum(1 if RULES[part.name].absorbed else 2 for part in expression.parts() if part.parameters is not None)
