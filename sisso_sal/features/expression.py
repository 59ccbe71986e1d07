"""Immutable expressions: a primary feature, or an operator applied to expressions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sisso_sal.errors import ExpressionError, UnitError
from sisso_sal.features.dimension import NONE, Dimension, parse_unit
from sisso_sal.features.names import quoted
from sisso_sal.features.operators import ATOM, OPERATORS, Operator
from sisso_sal.features.parameters import RULES, has_unit
from sisso_sal.features.symbols import latex_symbol, mathml_symbol, number_in, signed, unit_behind
from sisso_sal.features.unit_rules import STRICT, UnitRules
from sisso_sal.system.documents import shown
from sisso_sal.system.extras import require

MOST_NODES, MOST_LEVELS = 1024, 64
"""Of a tree that is read; a feature of rung 3 has 15 nodes at most."""


def canonical_key(operator: Operator, keys: list[str], parameters: tuple[float, float] | None = None) -> str:
    """Prefix form of an operator on operands with these keys; the keys of a commutative operator are sorted.

    The key of a primary feature is its name, in which a backslash stands before each ``\\``, ``(``, ``)`` and ``,``: no name can
    then be read as an operator on others.

    Examples
    --------
    >>> canonical_key(OPERATORS["add"], ["b", "a"])
    'add(a,b)'
    >>> canonical_key(OPERATORS["exp"], ["a"], (-0.5, 0.0))
    'exp[-0.5,0.0](a)'
    """
    own = "" if parameters is None else "[{!r},{!r}]".format(*parameters)
    return f"{operator.name}{own}({','.join(sorted(keys) if operator.commutative else keys)})"


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula over primary features.

    Make one with `primary` and `apply`; equality and hash follow the canonical key, so ``a + b`` equals ``b + a``.

    Attributes
    ----------
    key : str
        Canonical key: prefix form, operands of commutative operators sorted.
    complexity : int
        Number of operators.
    rung : int
        Depth of the operator tree.
    dimension : Dimension or None
        Unit of the value; None where units were not checked and do not fit, so that there is none.
    parameters : tuple of float or None
        Scale and shift of an operator that has them: it is then applied to ``scale * operand + shift``. The scale of exp, log, sin
        and cos has the inverse unit of the operand, the shift of the others has its unit (see `scale_dimension`).

    Examples
    --------
    >>> a, b = Expression.primary("a", "eV"), Expression.primary("b", "eV")
    >>> f = Expression.apply("div", Expression.apply("add", b, a), b)
    >>> str(f), f.complexity, f.dimension.is_none
    ('(a + b)/b', 2, True)
    >>> f.evaluate({"a": np.array([1.0]), "b": np.array([2.0])})
    array([1.5])
    """

    name: str = field(compare=False)
    operands: tuple[Expression, ...] = field(compare=False)
    dimension: Dimension | None = field(compare=False)
    unit: str = field(compare=False)
    complexity: int = field(compare=False)
    rung: int = field(compare=False)
    key: str
    parameters: tuple[float, float] | None = field(default=None, compare=False)

    @classmethod
    def primary(cls, name: str, unit: str = "") -> Expression:
        """A primary feature (a column of the table) and the text of its unit."""
        return cls(name, (), parse_unit(unit), unit, 0, 0, re.sub(r"[\\(),]", r"\\\g<0>", name))

    @classmethod
    def apply(
        cls,
        operator: str,
        *operands: Expression,
        rules: UnitRules = STRICT,
        parameters: tuple[float, float] | None = None,
    ) -> Expression:
        """An operator on one or two expressions, with scale and shift or without.

        Raises
        ------
        ExpressionError
            The operator is unknown, the number of operands is wrong, or it takes no such parameters.
        UnitError
            The units do not fit the rules.

        Examples
        --------
        >>> decay = Expression.apply("exp", Expression.primary("T", "K"), parameters=(-0.52, 0.3))
        >>> str(decay), str(decay.scale_dimension)
        ('exp(-0.52*T + 0.3)', '1/K')
        """
        row = OPERATORS.get(operator)
        if row is None or row.arity != len(operands):
            needed = "a known operator" if row is None else f"{row.arity} operand(s) for '{operator}'"
            raise ExpressionError(
                f"expression: needs {needed}, found {shown(operator)} with {len(operands)} operand(s)"
            )
        if parameters is not None:
            _check_parameters(operator, parameters)
        if row.commutative:
            operands = tuple(sorted(operands, key=lambda e: e.key))
        dimension = _result_dimension(row, operands, rules, parameters is not None and has_unit(operator))
        return cls(
            operator, operands, dimension, "", 1 + sum(e.complexity for e in operands),
            1 + max(e.rung for e in operands), canonical_key(row, [e.key for e in operands], parameters), parameters,
        )  # fmt: skip

    @property
    def is_primary(self) -> bool:
        return not self.operands

    @property
    def operator(self) -> Operator:
        """The row of the operator table (not for a primary feature)."""
        return OPERATORS[self.name]

    @property
    def scale_dimension(self) -> Dimension:
        """Unit of the scale among the `parameters`."""
        unit = self.operands[0].dimension
        return NONE / unit if unit is not None and has_unit(self.name) else NONE

    @property
    def shift_dimension(self) -> Dimension:
        """Unit of the shift among the `parameters`."""
        unit = self.operands[0].dimension
        return NONE if unit is None or has_unit(self.name) else unit

    @property
    def shape(self) -> str:
        """The key without the numbers of parameters: features that differ only in these have one shape.

        Examples
        --------
        >>> Expression.apply("exp", Expression.primary("a"), parameters=(-0.5, 0.0)).shape
        'exp[](a)'
        """
        return _NUMBERS.sub("[](", self.key)

    def parts(self) -> Iterator[Expression]:
        """The expression and all that is in it, each before its operands."""
        yield self
        for operand in self.operands:
            yield from operand.parts()

    def primaries(self) -> tuple[str, ...]:
        """Names of the primary features in it, sorted, each once."""
        if self.is_primary:
            return (self.name,)
        return tuple(sorted({name for operand in self.operands for name in operand.primaries()}))

    def operator_names(self) -> tuple[str, ...]:
        """Names of the operators in it, with repetition, root first."""
        if self.is_primary:
            return ()
        return (self.name, *(name for operand in self.operands for name in operand.operator_names()))

    def evaluate(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Values of the formula.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Values of the primary features, in the units they had when the model was fitted.

        Returns
        -------
        ndarray (n,)
            NaN or infinite where the formula leaves its domain.

        Raises
        ------
        ExpressionError
            A primary feature is missing.
        """
        if self.is_primary:
            if self.name not in columns:
                known = ", ".join(map(quoted, columns))
                raise ExpressionError(f"formula: needs the primary feature {self.name!r}, found {known}")
            return np.asarray(columns[self.name], dtype=np.float64)
        return self.applied(*(operand.evaluate(columns) for operand in self.operands))

    def applied(self, *operands: np.ndarray) -> np.ndarray:
        """Values of the operator for those of its operands, (n,) each."""
        return self.operator.numpy(*self.arguments(*operands))

    def arguments(self, *operands: np.ndarray) -> tuple[np.ndarray, ...]:
        """What the operator is applied to: its operands, or the only one times the scale plus the shift."""
        if self.parameters is None:
            return operands
        scale, shift = self.parameters
        with np.errstate(all="ignore"):
            return (scale * operands[0] + shift,)

    def __str__(self) -> str:
        return render(self, "text")[0]

    def to_json(self) -> Any:
        """Nested lists: ``["div", "a", ["add", "a", "b"]]``; a string is a primary feature.

        Parameters stand last: ``["exp", "a", {"scale": -0.5, "shift": 0.0}]``.
        """
        if self.is_primary:
            return self.name
        own = [] if self.parameters is None else [dict(zip(("scale", "shift"), self.parameters, strict=True))]
        return [self.name, *(operand.to_json() for operand in self.operands), *own]

    @classmethod
    def from_json(cls, data: Any, units: Mapping[str, str], *, rules: UnitRules = STRICT) -> Expression:
        """The inverse of `to_json`.

        Parameters
        ----------
        data : str or list
            What `to_json` gave.
        units : mapping of str to str
            Unit text of each primary feature.

        Raises
        ------
        ExpressionError
            The data have another shape or too many nodes, or name an unknown primary feature or operator.
        """
        _check_size(data)
        return cls._of_tree(data, units, rules)

    @classmethod
    def _of_tree(cls, data: Any, units: Mapping[str, str], rules: UnitRules) -> Expression:
        if isinstance(data, str):
            if data not in units:
                features = shown(", ".join(units)).strip("'")
                raise ExpressionError(f"expression: needs one of the features {features}, found {shown(data)}")
            return cls.primary(data, units[data])
        if isinstance(data, list) and 2 <= len(data) <= 3 and isinstance(data[0], str):
            parameters = _read_parameters(data[-1]) if isinstance(data[-1], dict) else None
            parts = (cls._of_tree(item, units, rules) for item in data[1 : None if parameters is None else -1])
            return cls.apply(data[0], *parts, rules=rules, parameters=parameters)
        raise ExpressionError(f"expression: needs a name or [operator, operand, …], found {shown(data)}")

    def to_sympy(self):
        """The formula as a sympy expression over real symbols."""
        require("sympy", "to_sympy")
        import sympy
        from sympy.parsing.sympy_parser import parse_expr

        names = self.primaries()
        stand_ins = {name: f"x{i}" for i, name in enumerate(names)}
        symbols = {stand_ins[name]: sympy.Symbol(name, real=True) for name in names}
        return parse_expr(_fill(self, "sympy", lambda e: stand_ins[e.name]), local_dict=symbols)

    def to_latex(self, symbols: Mapping[str, str] | None = None) -> str:
        """The formula in LaTeX; `symbols` may give the LaTeX of primary features."""
        return render(self, "latex", symbols)[0]

    def to_mathml(self, symbols: Mapping[str, str] | None = None, *, factor: bool = False) -> str:
        """The formula in presentation MathML, for inside of ``<math>``; `symbols` may give that of primary features.

        With `factor` it may stand behind a coefficient: a sum gets parentheses.

        Examples
        --------
        >>> Expression.apply("sqrt", Expression.primary("r_s")).to_mathml()
        '<msqrt><msub><mi>r</mi><mtext>s</mtext></msub></msqrt>'
        """
        content = as_factor(self, "mathml", symbols) if factor else render(self, "mathml", symbols)[0]
        return _INDEX_AND_POWER.sub(r"<msubsup>\1\2</msubsup>", content)

    def to_code(self, language: str, symbols: Mapping[str, str]) -> str:
        """The formula in ``c``, ``fortran`` or ``text`` (Python), with the given identifier for each primary feature."""
        if language == "text":
            return render(self, "text", symbols)[0]
        return _fill(self, language, lambda e: symbols[e.name])


def _check_size(tree: Any) -> None:
    """Refuse a tree of too many nodes or levels before anything is made of it."""
    n_nodes, waiting = 0, [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        n_nodes += 1
        if n_nodes > MOST_NODES or depth > MOST_LEVELS:
            raise ExpressionError(f"expression: needs at most {MOST_NODES} nodes in {MOST_LEVELS} levels, found more")
        if isinstance(node, list):
            waiting += [(operand, depth + 1) for operand in node[1 : MOST_NODES + 2]]


def _check_parameters(operator: str, parameters: tuple[float, float]) -> None:
    if operator not in RULES:
        raise ExpressionError(f"expression: needs one of {', '.join(RULES)} for parameters, found '{operator}'")
    if not (all(map(math.isfinite, parameters)) and parameters[0] != 0.0):
        raise ExpressionError(f"expression: needs a finite scale that is not 0 and a finite shift, found {parameters}")


def _read_parameters(data: Any) -> tuple[float, float]:
    """Scale and shift as `to_json` writes them."""
    if {*data} != {"scale", "shift"} or not {*map(type, data.values())} <= {int, float}:
        raise ExpressionError(f"expression: needs parameters scale and shift, both numbers, found {shown(data)}")
    return float(data["scale"]), float(data["shift"])


def _result_dimension(
    row: Operator, operands: tuple[Expression, ...], rules: UnitRules, is_scaled: bool
) -> Dimension | None:
    """Unit of a result; an argument that a scale rids of its unit (`is_scaled`) may have any."""
    dimensions = [operand.dimension for operand in operands if operand.dimension is not None]
    if len(dimensions) < len(operands):
        return None
    if is_scaled:
        return NONE
    try:
        return rules.result(row, *dimensions)
    except UnitError:
        if rules.are_checked:
            raise
        return None


def _fill(expression: Expression, template: str, leaf) -> str:
    if expression.is_primary:
        return leaf(expression)
    parts = [_fill(operand, template, leaf) for operand in expression.operands]
    if expression.parameters is not None:
        scale, shift = (number_in(value, template) for value in expression.parameters)
        parts = [f"({scale} * {parts[0]}{f' {signed(shift)}' if expression.parameters[1] else ''})"]
    return getattr(expression.operator, template).format(*parts)


_NUMBERS = re.compile(r"\[[-+.,e0-9]*\]\(")
"""Parameters in a key; a parenthesis in a name stands behind a backslash."""

_INDEX_AND_POWER = re.compile(r"<msup><mrow><msub>((?:(?!<msub>).)*?)</msub></mrow>(<mn>\d</mn>)</msup>")
"""A power of a symbol with an index, which browsers set best as one piece."""

_SYMBOLS: Mapping[str, Callable[[str], str]] = {
    "text": quoted, "units": quoted, "latex": latex_symbol, "mathml": mathml_symbol,
}  # fmt: skip
"""How a form writes the name of a primary feature."""

_PARENTHESES = {
    "text": "({})", "units": "({})", "latex": r"\left({}\right)", "mathml": "<mrow><mo>(</mo>{}<mo>)</mo></mrow>",
}  # fmt: skip


def render(expression: Expression, form: str, symbols: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Infix form ``text``, ``latex`` or ``mathml`` with as few parentheses as needed, and its binding strength.

    The form ``units`` is the text with the unit of each parameter behind it; it is for people, and cannot be read back.

    No two expressions have the same text: `features.reading.parse_formula` gives back the expression that was written.
    """
    if expression.is_primary:
        return (symbols or {}).get(expression.name) or _SYMBOLS[form](expression.name), ATOM
    row, is_text = expression.operator, form in ("text", "units")
    binding = row.binding_in("text" if is_text else form)
    parts = []
    for place, operand in zip(binding.places, expression.operands, strict=False):
        is_argument = expression.parameters is not None
        text, strength = _argument(expression, form, symbols) if is_argument else render(operand, form, symbols)
        is_apart = is_text and not is_argument and not operand.is_primary and operand.name in row.set_apart
        parts.append(_PARENTHESES[form].format(text) if strength < place or is_apart else text)
    return getattr(row, "text" if is_text else form).format(*parts), binding.own


_TIMES = {"text": "*", "units": "*", "latex": r" \cdot ", "mathml": "<mo>⋅</mo>"}


def _argument(expression: Expression, form: str, symbols: Mapping[str, str] | None) -> tuple[str, int]:
    """What an operator with parameters is applied to, and its binding strength; a scale of one is left out before a shift."""
    scale, shift = expression.parameters or (1.0, 0.0)
    units = [unit_behind(unit, form) for unit in (expression.scale_dimension, expression.shift_dimension)]
    has_scale = scale != 1.0 or shift == 0.0 or (form != "text" and units[0] != "")
    text, strength = render(expression.operands[0], form, symbols)
    if strength < (3 if has_scale else 2):
        text = _PARENTHESES[form].format(text)
    if has_scale:
        times = " * " if form == "units" and units[0] else _TIMES[form]
        text = f"{number_in(scale, form)}{units[0]}{times}{text}"
    if shift == 0.0:
        return text, 2
    if form == "mathml":
        return f"{text}<mo>{'−' if shift < 0 else '+'}</mo>{number_in(abs(shift), form)}{units[1]}", 1
    return f"{text} {signed(number_in(shift, form))}{units[1]}", 1


def as_factor(expression: Expression, form: str, symbols: Mapping[str, str] | None = None) -> str:
    """The form as it stands behind a coefficient: a sum and, in text, ``1/x`` get parentheses.

    Examples
    --------
    >>> a, b = Expression.primary("a"), Expression.primary("b")
    >>> [as_factor(f, "text") for f in (Expression.apply("add", a, b), Expression.apply("inv", a), a)]
    ['(a + b)', '(1/a)', 'a']
    """
    text, strength = render(expression, form, symbols)
    is_one_over = form in ("text", "units") and len(expression.operands) == 1 and _is_fraction(expression)
    return _PARENTHESES[form].format(text) if strength < 2 or is_one_over else text


def _is_fraction(expression: Expression) -> bool:
    return not expression.is_primary and expression.operator.is_fraction
