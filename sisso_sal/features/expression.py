"""Immutable expressions: a primary feature, or an operator applied to expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sisso_sal.errors import ExpressionError, UnitError
from sisso_sal.features.dimension import Dimension, parse_unit
from sisso_sal.features.names import quoted
from sisso_sal.features.operators import ATOM, OPERATORS, Operator
from sisso_sal.features.symbols import latex_symbol, mathml_symbol
from sisso_sal.features.unit_rules import STRICT, UnitRules
from sisso_sal.system.documents import shown
from sisso_sal.system.extras import require

MOST_NODES, MOST_LEVELS = 1024, 64
"""Of a tree that is read; a feature of rung 3 has 15 nodes at most."""


def canonical_key(operator: Operator, keys: list[str]) -> str:
    """Prefix form of an operator on operands with these keys; the keys of a commutative operator are sorted.

    The key of a primary feature is its name, in which a backslash stands before each ``\\``, ``(``, ``)`` and ``,``: no name can
    then be read as an operator on others.

    Examples
    --------
    >>> canonical_key(OPERATORS["add"], ["b", "a"])
    'add(a,b)'
    """
    return f"{operator.name}({','.join(sorted(keys) if operator.commutative else keys)})"


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

    @classmethod
    def primary(cls, name: str, unit: str = "") -> Expression:
        """A primary feature (a column of the table) and the text of its unit."""
        return cls(name, (), parse_unit(unit), unit, 0, 0, re.sub(r"[\\(),]", r"\\\g<0>", name))

    @classmethod
    def apply(cls, operator: str, *operands: Expression, rules: UnitRules = STRICT) -> Expression:
        """An operator on one or two expressions.

        Raises
        ------
        ExpressionError
            The operator is unknown or the number of operands is wrong.
        UnitError
            The units do not fit the rules.
        """
        row = OPERATORS.get(operator)
        if row is None or row.arity != len(operands):
            needed = "a known operator" if row is None else f"{row.arity} operand(s) for '{operator}'"
            raise ExpressionError(
                f"expression: needs {needed}, found {shown(operator)} with {len(operands)} operand(s)"
            )
        if row.commutative:
            operands = tuple(sorted(operands, key=lambda e: e.key))
        dimension = _result_dimension(row, operands, rules)
        return cls(
            operator, operands, dimension, "", 1 + sum(e.complexity for e in operands),
            1 + max(e.rung for e in operands), canonical_key(row, [e.key for e in operands]),
        )  # fmt: skip

    @property
    def is_primary(self) -> bool:
        return not self.operands

    @property
    def operator(self) -> Operator:
        """The row of the operator table (not for a primary feature)."""
        return OPERATORS[self.name]

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
        return self.operator.numpy(*(operand.evaluate(columns) for operand in self.operands))

    def __str__(self) -> str:
        return render(self, "text")[0]

    def to_json(self) -> Any:
        """Nested lists: ``["div", "a", ["add", "a", "b"]]``; a string is a primary feature."""
        return self.name if self.is_primary else [self.name, *(operand.to_json() for operand in self.operands)]

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
            parts = (cls._of_tree(item, units, rules) for item in data[1:])
            return cls.apply(data[0], *parts, rules=rules)
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


def _result_dimension(row: Operator, operands: tuple[Expression, ...], rules: UnitRules) -> Dimension | None:
    dimensions = [operand.dimension for operand in operands if operand.dimension is not None]
    if len(dimensions) < len(operands):
        return None
    try:
        return rules.result(row, *dimensions)
    except UnitError:
        if rules.are_checked:
            raise
        return None


def _fill(expression: Expression, template: str, leaf) -> str:
    if expression.is_primary:
        return leaf(expression)
    parts = (_fill(operand, template, leaf) for operand in expression.operands)
    return getattr(expression.operator, template).format(*parts)


_INDEX_AND_POWER = re.compile(r"<msup><mrow><msub>((?:(?!<msub>).)*?)</msub></mrow>(<mn>\d</mn>)</msup>")
"""A power of a symbol with an index, which browsers set best as one piece."""

_SYMBOLS: Mapping[str, Callable[[str], str]] = {"text": quoted, "latex": latex_symbol, "mathml": mathml_symbol}
"""How a form writes the name of a primary feature."""

_PARENTHESES = {"text": "({})", "latex": r"\left({}\right)", "mathml": "<mrow><mo>(</mo>{}<mo>)</mo></mrow>"}


def render(expression: Expression, form: str, symbols: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Infix form ``text``, ``latex`` or ``mathml`` with as few parentheses as needed, and its binding strength.

    No two expressions have the same text: `features.reading.parse_formula` gives back the expression that was written.
    """
    if expression.is_primary:
        return (symbols or {}).get(expression.name) or _SYMBOLS[form](expression.name), ATOM
    row = expression.operator
    binding = row.binding_in(form)
    parts = []
    for place, operand in zip(binding.places, expression.operands, strict=False):
        text, strength = render(operand, form, symbols)
        is_apart = form == "text" and not operand.is_primary and operand.name in row.set_apart
        parts.append(_PARENTHESES[form].format(text) if strength < place or is_apart else text)
    return getattr(row, form).format(*parts), binding.own


def as_factor(expression: Expression, form: str, symbols: Mapping[str, str] | None = None) -> str:
    """The form as it stands behind a coefficient: a sum and, in text, ``1/x`` get parentheses.

    Examples
    --------
    >>> a, b = Expression.primary("a"), Expression.primary("b")
    >>> [as_factor(f, "text") for f in (Expression.apply("add", a, b), Expression.apply("inv", a), a)]
    ['(a + b)', '(1/a)', 'a']
    """
    text, strength = render(expression, form, symbols)
    is_one_over = form == "text" and len(expression.operands) == 1 and _is_fraction(expression)
    return _PARENTHESES[form].format(text) if strength < 2 or is_one_over else text


def _is_fraction(expression: Expression) -> bool:
    return not expression.is_primary and expression.operator.is_fraction
