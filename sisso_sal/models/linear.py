"""One SISSO model: an intercept and a few coefficients on descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.errors import ModelFileError
from sisso_sal.features.dimension import NONE, Dimension, parse_unit
from sisso_sal.features.expression import Expression, render

REACH = 1.0
"""A descriptor is far outside its training range when it lies further out than this many times the width of the range."""


@dataclass(frozen=True)
class Term:
    """A descriptor with its coefficient and its range over the training samples.

    Attributes
    ----------
    expression : Expression
    coefficient : float
        In units of target over descriptor.
    low, high : float
        Smallest and largest value of the descriptor in training.
    """

    expression: Expression
    coefficient: float
    low: float
    high: float


@dataclass(frozen=True)
class SISSOModel:
    """A linear model on descriptors.

    Attributes
    ----------
    terms : tuple of Term
    intercept : float
        In the target's unit.
    rmse, max_abs_error : float
        On the training samples (weighted), in the target's unit.

    Examples
    --------
    >>> a = Expression.primary("a")
    >>> model = SISSOModel((Term(a, 2.0, 0.0, 1.0),), 1.0, 0.0, 0.0)
    >>> model.predict({"a": np.array([0.5, 9.0])})
    (array([ 2., 19.]), array([ True, False]))
    """

    terms: tuple[Term, ...]
    intercept: float
    rmse: float
    max_abs_error: float

    @property
    def dimension(self) -> int:
        """Number of descriptors."""
        return len(self.terms)

    def descriptors(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """ndarray (dimension, n): values of the descriptors at new samples."""
        return np.array([term.expression.evaluate(columns) for term in self.terms])

    def predict(self, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and their validity.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Primary features in the units of the training table.

        Returns
        -------
        prediction : ndarray (n,)
            In the target's unit; NaN or infinite outside the domain of a descriptor.
        valid : ndarray (n,) of bool
            False where a descriptor is undefined or lies further outside its training range than `REACH` widths of that range.
        """
        values = self.descriptors(columns)
        total = np.full(values.shape[1], self.intercept)
        valid = np.ones(values.shape[1], dtype=bool)
        with np.errstate(all="ignore"):
            for term, row in zip(self.terms, values, strict=True):
                total = total + term.coefficient * row
                margin = REACH * (term.high - term.low)
                valid &= np.isfinite(row) & (row >= term.low - margin) & (row <= term.high + margin)
        return total, valid & np.isfinite(total)

    def equation(self, target: str, target_unit: str = "") -> str:
        """The model over several lines, each coefficient with its unit.

        Examples
        --------
        >>> gap = Expression.primary("gap", "eV")
        >>> print(SISSOModel((Term(gap, -2.0, 0.0, 1.0),), 1.0, 0.0, 0.0).equation("E", "eV"))
        E (eV) =  1
               - 2 * gap
        """
        head = f"{target} ({target_unit})" if target_unit else target
        lines = [f"{head} = {' ' if self.intercept >= 0 else '-'}{abs(self.intercept):.6g}"]
        pad = " " * (len(head) + 1)
        for term, unit in zip(self.terms, self.coefficient_units(target_unit), strict=True):
            sign = "-" if term.coefficient < 0 else "+"
            size = f"{abs(term.coefficient):.6g}"
            lines.append(f"{pad}{sign} {size} {unit + ' ' if unit else ''}* {_factor(term.expression)}")
        return "\n".join(lines)

    def coefficient_units(self, target_unit: str) -> list[str]:
        """Unit of each coefficient, in brackets; "" for none."""
        return [f"[{unit}]" if not unit.is_none else "" for unit in self.coefficient_dimensions(target_unit)]

    def coefficient_dimensions(self, target_unit: str) -> list[Dimension]:
        """Dimension of each coefficient; none where the descriptor mixes units, as `use_units=False` allows."""
        target = parse_unit(target_unit)
        found = [term.expression.dimension for term in self.terms]
        return [NONE if dimension is None else target / dimension for dimension in found]

    def primaries(self) -> tuple[str, ...]:
        """Names of the primary features that it uses, sorted."""
        return tuple(sorted({name for term in self.terms for name in term.expression.primaries()}))

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return {
            "dimension": self.dimension,
            "rmse": self.rmse,
            "max_abs_error": self.max_abs_error,
            "intercept": self.intercept,
            "terms": [
                {
                    "expression": str(term.expression),
                    "coefficient": term.coefficient,
                    "tree": term.expression.to_json(),
                    "complexity": term.expression.complexity,
                    "unit": None if term.expression.dimension is None else str(term.expression.dimension),
                    "range": [term.low, term.high],
                }
                for term in self.terms
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], units: Mapping[str, str], *, check_units: bool = True) -> SISSOModel:
        """The inverse of `to_json`.

        Raises
        ------
        ModelFileError
            A key is missing or of another type.
        """
        try:
            terms = tuple(
                Term(
                    Expression.from_json(term["tree"], units, check_units=check_units),
                    float(term["coefficient"]),
                    float(term["range"][0]),
                    float(term["range"][1]),
                )
                for term in data["terms"]
            )
            if not terms:
                raise ModelFileError("model: needs at least one term, found none")
            return cls(terms, float(data["intercept"]), float(data["rmse"]), float(data["max_abs_error"]))
        except (KeyError, TypeError, IndexError) as error:
            raise ModelFileError(f"model: needs terms with tree, coefficient and range, found {error!r}") from error


def _factor(expression: Expression) -> str:
    """The text of a descriptor as it may stand behind ``coefficient *``."""
    text, strength = render(expression, "text")
    return f"({text})" if strength < 2 or expression.name == "inv" else text


def fit_statistics(residual: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Weighted root mean square and largest absolute residual over the samples of nonzero weight."""
    rmse = float(np.sqrt(weights @ residual**2 / weights.sum()))
    return rmse, float(np.abs(residual[weights > 0]).max())


def build_model(formulas: Mapping[int, Expression], values: np.ndarray, fit, weights: np.ndarray) -> SISSOModel:
    """The model of one `engine.sparsify.Fit`; `values` (n_features, n_samples) are those of `formulas`."""
    present = weights > 0
    terms = []
    for number, coefficient in zip(fit.subset, fit.coefficients, strict=True):
        row = values[number][present]
        terms.append(Term(formulas[number], float(coefficient), float(row.min()), float(row.max())))
    terms.sort(key=lambda term: term.expression.key)
    return SISSOModel(tuple(terms), fit.intercept, *fit_statistics(fit.residual, weights))
