"""One SISSO model: an intercept and a few coefficients on descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.errors import ModelFileError
from sisso_sal.features.dimension import NONE, Dimension, parse_unit
from sisso_sal.features.expression import Expression, as_factor
from sisso_sal.features.names import quoted
from sisso_sal.features.undefined import why_undefined
from sisso_sal.features.unit_rules import SISSO, STRICT, UnitRules
from sisso_sal.models import spelling
from sisso_sal.models.record_types import inside, read_record
from sisso_sal.models.records import ModelRecord, TermRecord
from sisso_sal.models.transform import IDENTITY, TargetTransform
from sisso_sal.protocols import Cause
from sisso_sal.system.documents import shown

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
    link : TargetTransform
        The sum of intercept and terms is the transformed target; by default the target itself.
    is_product : bool
        Whether the model is a product of powers: intercept, coefficients and ranges are those of the sum of logarithms, and
        `link` is the logarithm.

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
    link: TargetTransform = IDENTITY
    is_product: bool = False

    @property
    def summands(self) -> list[Expression]:
        """What the coefficients stand before: the descriptors, or the logarithms of their absolute values.

        Examples
        --------
        >>> model = SISSOModel((Term(Expression.primary("a", "eV"), 2.0, 0.0, 1.0),), 0.0, 0.0, 0.0, is_product=True)
        >>> [str(summand) for summand in model.summands]
        ['log(abs(a))']
        """
        own = [term.expression for term in self.terms]
        if not self.is_product:
            return own
        return [Expression.apply("log", Expression.apply("abs", one), rules=SISSO) for one in own]

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
            In the target's unit; NaN or infinite outside the domain of a descriptor or of the inverse of `link`.
        valid : ndarray (n,) of bool
            False where that is so, and where a descriptor lies further outside its training range than `REACH` widths of it.
        """
        prediction, outside = self.predict_with_reach(columns)
        return prediction, (outside <= REACH) & np.isfinite(prediction)

    def predict_with_reach(self, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Predictions as in `predict`, and how far outside its training range the worst descriptor lies.

        Returns
        -------
        prediction : ndarray (n,)
        outside : ndarray (n,)
            Distance to the training range in widths of that range; 0 inside, infinite where a descriptor is undefined.
        """
        values = np.array([summand.evaluate(columns) for summand in self.summands])
        total = np.full(values.shape[1], self.intercept)
        outside = np.zeros(values.shape[1])
        with np.errstate(all="ignore"):
            for term, row in zip(self.terms, values, strict=True):
                total = total + term.coefficient * row
                width = max(term.high - term.low, np.finfo(float).tiny)
                excess = np.maximum(np.maximum(term.low - row, row - term.high), 0.0) / width
                outside = np.maximum(outside, np.where(np.isfinite(row), excess, np.inf))
            return self.link.inverse(total), outside

    def cause(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Why predictions are not valid.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)

        Returns
        -------
        ndarray (n,) of int8
            A `Cause`, of the first term that has one; 0 where the prediction is valid.

        Examples
        --------
        >>> inverse = Expression.apply("inv", Expression.primary("a"))
        >>> model = SISSOModel((Term(inverse, 2.0, 0.0, 1.0),), 1.0, 0.0, 0.0)
        >>> [cause and Cause(cause).words for cause in model.cause({"a": np.array([0.0, 0.1, 2.0])}).tolist()]
        ['division by zero', 'outside the training range of a descriptor', 0]
        """
        prediction, outside = self.predict_with_reach(columns)
        cause = np.zeros(len(prediction), dtype=np.int8)
        for summand in self.summands:
            cause = np.where(cause == 0, why_undefined(summand, columns), cause)
        cause = np.where((cause == 0) & (outside > REACH), Cause.OUTSIDE, cause)
        last = Cause.TOO_LARGE if self.link.is_identity else Cause.NO_INVERSE
        return np.where((cause == 0) & ~np.isfinite(prediction), last, cause).astype(np.int8)

    def equation(self, target: str, target_unit: str = "") -> str:
        """The model over several lines, each coefficient with its unit; names that are no identifiers are `quoted`.

        Examples
        --------
        >>> gap = Expression.primary("gap", "eV")
        >>> print(SISSOModel((Term(gap, -2.0, 0.0, 1.0),), 1.0, 0.0, 0.0).equation("E", "eV"))
        E (eV) =  1
               - 2 * gap
        """
        if self.is_product:
            return _product(self, quoted(target) + (f" ({target_unit})" if target_unit else ""))
        head = self.link.phrase(quoted(target) + (f" ({target_unit})" if target_unit else ""))
        lines = [f"{head} = {' ' if self.intercept >= 0 else '-'}{abs(self.intercept):.6g}"]
        pad = " " * (len(head) + 1)
        for term, unit in zip(self.terms, self.coefficient_units(target_unit), strict=True):
            sign = "-" if term.coefficient < 0 else "+"
            size = f"{abs(term.coefficient):.6g}"
            lines.append(f"{pad}{sign} {size} {unit + ' ' if unit else ''}* {as_factor(term.expression, 'units')}")
        return "\n".join(lines)

    def shown(self, target: str, target_unit: str = "") -> str:
        """The model over several lines for people, with simplified formulas; see `sisso_sal.models.spelling`."""
        return spelling.shown(self, target, target_unit)

    def latex(self, target: str = "y") -> str:
        """One line of LaTeX with simplified formulas, without units."""
        return spelling.latex(self, target)

    def mathml(self, target: str = "y") -> str:
        """A ``math`` element of presentation MathML with simplified formulas, without units."""
        return spelling.mathml(self, target)

    def sympy(self) -> Any:
        """A sympy expression over real symbols."""
        return spelling.sympy(self)

    def python(self) -> str:
        r"""Source of a function ``predict`` of the primary features, on NumPy.

        Examples
        --------
        >>> gap = Expression.apply("sqrt", Expression.primary("gap", "eV"))
        >>> print(SISSOModel((Term(gap, -2.0, 0.0, 1.0),), 1.0, 0.0, 0.0).python())
        from numpy import sqrt
        <BLANKLINE>
        <BLANKLINE>
        def predict(gap):
            return 1.0 + -2.0 * (sqrt(gap))
        <BLANKLINE>
        """
        return spelling.python(self)

    @property
    def complexity(self) -> int:
        """Number of operators in all its descriptors."""
        return sum(term.expression.complexity for term in self.terms)

    def coefficient_units(self, target_unit: str) -> list[str]:
        """Unit of each coefficient, in brackets; "" for none."""
        return [f"[{unit}]" if not unit.is_none else "" for unit in self.coefficient_dimensions(target_unit)]

    def coefficient_dimensions(self, target_unit: str) -> list[Dimension]:
        """Dimension of each coefficient; none where the descriptor mixes units, as the rules ``none`` allow."""
        if self.is_product:
            return [NONE] * self.dimension
        target = parse_unit(target_unit) if self.link.is_identity else NONE
        dimensions = [term.expression.dimension for term in self.terms]
        return [NONE if dimension is None else target / dimension for dimension in dimensions]

    def linked(
        self, link: TargetTransform, columns: Mapping[str, np.ndarray], target: np.ndarray, weights: np.ndarray
    ) -> SISSOModel:
        """The same sum read as a transformed target, with the errors on training samples in the target's unit.

        Parameters
        ----------
        link : TargetTransform
        columns : mapping of str to ndarray (n_samples,)
        target, weights : ndarray (n_samples,)
        """
        if link.is_identity:
            return self
        model = replace(self, link=link)
        fitted, _ = model.predict(columns)
        used = np.where(np.isfinite(fitted), weights, 0.0)  # a fitted value beyond the inverse's domain has no error
        if not used.any():
            return model
        rmse, largest = fit_statistics(np.where(used > 0, target - fitted, 0.0), used)
        return replace(model, rmse=rmse, max_abs_error=largest)

    def on(self, term: Term, intercept: float) -> SISSOModel:
        """The same with a term and an intercept added, where the model was found for the rest that these leave.

        Examples
        --------
        >>> a = Term(Expression.primary("a"), 1.0, 0.0, 1.0)
        >>> SISSOModel((a,), 0.5, 0.0, 0.0).on(a, 0.25).predict({"a": np.array([1.0])})[0]
        array([2.75])
        """
        same = [own for own in self.terms if own.expression.key == term.expression.key]
        rest = tuple(own for own in self.terms if own.expression.key != term.expression.key)
        total = replace(term, coefficient=term.coefficient + sum(own.coefficient for own in same))
        return replace(self, terms=(total, *rest), intercept=self.intercept + intercept)

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
            **({} if self.link.is_identity else {"link": self.link.to_json()}),
            **({"form": "product"} if self.is_product else {}),
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
    def from_json(
        cls, data: Mapping[str, Any] | ModelRecord, units: Mapping[str, str], *, rules: UnitRules = STRICT
    ) -> SISSOModel:
        """The inverse of `to_json`.

        Parameters
        ----------
        data : mapping or ModelRecord
        units : mapping of str to str
            Unit of each primary feature.
        rules : UnitRules
            What the units of primary features allow.

        Raises
        ------
        ModelFileError
            A key is missing, a value cannot be, or a tree is no formula of these primary features.
        """
        record = read_record(ModelRecord, data)
        terms = []
        for number, term in enumerate(record.terms):
            with inside(f"terms.{number}"):
                expression = _read_expression(term, units, rules)
            terms.append(Term(expression, term.coefficient, *term.range))
        link = IDENTITY if record.link is None else TargetTransform.from_json(record.link)
        return cls(tuple(terms), record.intercept, record.rmse, record.max_abs_error, link, record.form == "product")


def _read_expression(term: TermRecord, units: Mapping[str, str], rules: UnitRules) -> Expression:
    """The formula of a term; what else the file says of it must be true.

    Raises
    ------
    ModelFileError
        The tree is no formula of these primary features, or text, complexity or unit are those of another one.
    """
    with inside("tree"):
        expression = Expression.from_json(term.tree, units, rules=rules)
        dimension = expression.dimension
        is_same_unit = term.unit == (None if dimension is None else str(dimension))
        if not is_same_unit and term.unit is not None and dimension is not None:
            is_same_unit = parse_unit(term.unit) == dimension
    for name, holds, needed in (
        ("expression", term.expression == str(expression), str(expression)),
        ("complexity", term.complexity == expression.complexity, expression.complexity),
        ("unit", is_same_unit, None if dimension is None else str(dimension)),
    ):
        if not holds:
            raise ModelFileError(f"{name}: needs {shown(needed)} as the tree says, found {shown(getattr(term, name))}")
    return expression


def _product(model: SISSOModel, head: str) -> str:
    """A product of powers over several lines; quantities are in the units of the table."""
    lines = [f"{head} =  {spelling.prefactor(model.intercept, 6)}"]
    pad = " " * (len(head) + 1)
    for term in model.terms:
        is_size = term.expression.name in ("abs", "abs_diff") and not term.expression.is_primary
        size = str(term.expression) if is_size else f"abs({term.expression})"
        lines.append(f"{pad}* {size}**{_exponent(term.coefficient)}")
    return "\n".join(lines)


def _exponent(value: float) -> str:
    """An exponent behind ``**``; a negative one in parentheses."""
    return f"({value:.6g})" if value < 0 else f"{value:.6g}"


def fit_statistics(residual: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Weighted root mean square and largest absolute residual over the samples of nonzero weight."""
    rmse = float(np.sqrt(weights @ residual**2 / weights.sum()))
    return rmse, float(np.abs(residual[weights > 0]).max())


def build_model(
    formulas: Mapping[int, Expression], values: Mapping[int, np.ndarray], fit, weights: np.ndarray
) -> SISSOModel:
    """The model of one `engine.refit.Fit`; `values`, (n_samples,) each, are those of `formulas`."""
    present = weights > 0
    terms = []
    for number, coefficient in zip(fit.subset, fit.coefficients, strict=True):
        row = values[number][present]
        terms.append(Term(formulas[number], float(coefficient), float(row.min()), float(row.max())))
    terms.sort(key=lambda term: term.expression.key)
    return SISSOModel(tuple(terms), fit.intercept, *fit_statistics(fit.residual, weights))
