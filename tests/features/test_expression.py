"""Expressions: keys, complexity, units, and forms that all mean the same."""

import numpy as np
import pytest
import sympy

from sisso_sal.errors import ExpressionError, UnitError
from sisso_sal.features.dimension import NONE, parse_unit
from sisso_sal.features.expression import Expression, canonical_key
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.symbols import latex_symbol, mathml_symbol
from sisso_sal.features.unit_rules import IGNORED

A, B, C = (Expression.primary(name, "eV") for name in "abc")
APPLY = Expression.apply


def test_primary():
    assert (A.key, A.complexity, A.rung, str(A.dimension), A.is_primary) == ("a", 0, 0, "eV", True)
    assert A.primaries() == ("a",)
    assert A.operator_names() == ()


def test_complexity_counts_operators_and_rung_is_depth():
    left = APPLY("sq", APPLY("add", A, B))
    formula = APPLY("div", left, C)
    assert (formula.complexity, formula.rung) == (3, 3)
    assert APPLY("mult", left, left).complexity == 5
    assert formula.primaries() == ("a", "b", "c")
    assert formula.operator_names() == ("div", "sq", "add")


def test_operands_of_commutative_operators_are_sorted():
    for name in ("add", "mult", "abs_diff"):
        assert APPLY(name, B, A) == APPLY(name, A, B)
        assert APPLY(name, B, A).key == f"{name}(a,b)"
        assert hash(APPLY(name, B, A)) == hash(APPLY(name, A, B))
    for name in ("sub", "div"):
        assert APPLY(name, B, A) != APPLY(name, A, B)
        assert APPLY(name, B, A).key == f"{name}(b,a)"


def test_key_without_making_the_expression():
    inner = APPLY("div", B, A)
    formula = APPLY("add", inner, Expression.primary("n"))
    assert canonical_key(OPERATORS["add"], ["n", inner.key]) == formula.key == "add(div(b,a),n)"


def test_units():
    assert APPLY("div", A, B).dimension == NONE
    assert APPLY("mult", A, B).dimension == parse_unit("eV**2")
    with pytest.raises(UnitError, match=r"^exp: needs an operand without unit, found eV$"):
        APPLY("exp", A)


def test_units_that_are_not_checked_are_unknown_only_where_they_do_not_fit():
    length = Expression.primary("r", "AA")
    assert APPLY("exp", A, rules=IGNORED).dimension is None
    assert APPLY("add", A, length, rules=IGNORED).dimension is None
    assert APPLY("add", A, B, rules=IGNORED).dimension == parse_unit("eV")
    assert APPLY("div", A, length, rules=IGNORED).dimension == parse_unit("eV/AA")
    assert APPLY("sq", APPLY("exp", A, rules=IGNORED), rules=IGNORED).dimension is None


def test_wrong_operator_or_number_of_operands():
    with pytest.raises(ExpressionError) as caught:
        APPLY("plus", A, B)
    assert str(caught.value) == "expression: needs a known operator, found 'plus' with 2 operand(s)"
    with pytest.raises(ExpressionError) as caught:
        APPLY("add", A)
    assert str(caught.value) == "expression: needs 2 operand(s) for 'add', found 'add' with 1 operand(s)"


def test_evaluate():
    formula = APPLY("div", APPLY("sub", A, B), C)
    columns = {"a": np.array([3.0, 1.0, 1.0]), "b": np.array([1.0, 1.0, 2.0]), "c": np.array([4.0, 0.0, 0.0])}
    values = formula.evaluate(columns)
    assert values[0] == 0.5
    assert np.isnan(values[1])
    assert values[2] == -np.inf


def test_evaluate_without_a_primary():
    with pytest.raises(ExpressionError) as caught:
        APPLY("add", A, B).evaluate({"a": np.ones(2), "z": np.ones(2)})
    assert str(caught.value) == "formula: needs the primary feature 'b', found a, z"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (APPLY("add", A, APPLY("add", B, C)), "a + (b + c)"),
        (APPLY("add", APPLY("add", A, B), C), "a + b + c"),
        (APPLY("sub", A, APPLY("sub", B, C)), "a - (b - c)"),
        (APPLY("sub", APPLY("sub", A, B), C), "a - b - c"),
        (APPLY("sub", A, APPLY("add", B, C)), "a - (b + c)"),
        (APPLY("abs_diff", A, APPLY("add", B, C)), "abs(a - (b + c))"),
        (APPLY("mult", APPLY("add", A, B), C), "(a + b)*c"),
        (APPLY("div", A, APPLY("mult", B, C)), "a/(b*c)"),
        (APPLY("div", APPLY("mult", A, B), C), "a*b/c"),
        (APPLY("div", A, APPLY("div", B, C)), "a/(b/c)"),
        (APPLY("div", APPLY("div", A, B), C), "(a/b)/c"),
        (APPLY("mult", A, APPLY("div", B, C)), "a*(b/c)"),
        (APPLY("inv", APPLY("add", A, B)), "1/(a + b)"),
        (APPLY("inv", APPLY("sq", A)), "1/a**2"),
        (APPLY("sq", APPLY("inv", A)), "(1/a)**2"),
        (APPLY("sq", APPLY("cb", A)), "(a**3)**2"),
        (APPLY("sq", APPLY("sqrt", APPLY("add", A, B))), "sqrt(a + b)**2"),
        (APPLY("neg_exp", APPLY("add", A, B), rules=IGNORED), "exp(-(a + b))"),
        (APPLY("neg_exp", APPLY("div", A, B)), "exp(-a/b)"),
        (APPLY("neg_exp", APPLY("sq", A), rules=IGNORED), "exp(-a**2)"),
        (APPLY("six_pow", APPLY("neg_exp", A, rules=IGNORED)), "exp(-a)**6"),
    ],
)
def test_text_with_as_few_parentheses_as_needed(formula, text):
    assert str(formula) == text


@pytest.mark.parametrize(
    ("formula", "latex"),
    [
        (APPLY("div", APPLY("add", A, B), C), r"\frac{a + b}{c}"),
        (APPLY("add", A, APPLY("add", B, C)), "a + b + c"),
        (APPLY("sq", APPLY("add", A, B)), r"\left(a + b\right)^{2}"),
        (APPLY("mult", APPLY("div", A, B), C), r"c \cdot \frac{a}{b}"),
        (APPLY("sq", APPLY("sqrt", A)), r"\left(\sqrt{a}\right)^{2}"),
        (APPLY("abs_diff", A, APPLY("sub", B, C)), r"\left|a - \left(b - c\right)\right|"),
        (APPLY("neg_exp", APPLY("add", A, B), rules=IGNORED), r"\exp\left(-\left(a + b\right)\right)"),
    ],
)
def test_latex(formula, latex):
    assert formula.to_latex() == latex


def test_names_in_mathml_are_escaped_and_indexed():
    assert mathml_symbol("r_s_p") == "<msub><mi>r</mi><mtext>s_p</mtext></msub>"
    assert mathml_symbol("_x") == "<mi>_x</mi>"
    assert mathml_symbol("<i>&") == "<mi>`&lt;i&gt;&amp;`</mi>"
    index = Expression.apply("cb", Expression.primary("r_s"))
    assert index.to_mathml() == "<msubsup><mi>r</mi><mtext>s</mtext><mn>3</mn></msubsup>"


def test_latex_symbols():
    assert latex_symbol("r_cov") == r"r_{\mathrm{cov}}"
    assert latex_symbol("r_s_p") == r"r_{\mathrm{s\_p}}"
    assert latex_symbol("50%") == r"\text{`50\%'}"
    assert latex_symbol("_x") == r"\mathrm{\_x}"
    assert latex_symbol("r_χ") == r"r_{\chi}"
    assert latex_symbol("EA'") == r"\text{`EA$'$'}"
    assert latex_symbol("a--b") == r"\text{`a-{}-b'}"
    assert latex_symbol("sin") == r"\text{`sin'}"
    assert APPLY("add", A, B).to_latex({"a": r"\alpha"}) == r"\alpha + b"


def test_code_uses_the_identifiers_given():
    formula = APPLY("sub", A, APPLY("cbrt", APPLY("cb", B)))
    names = {"a": "x(1)", "b": "x(2)"}
    assert formula.to_code("fortran", names) == "(x(1) - sisso_cbrt(sisso_cb(x(2))))"
    assert formula.to_code("c", {"a": "x[0]", "b": "x[1]"}) == "(x[0] - cbrt(sisso_cb(x[1])))"
    assert formula.to_code("text", {"a": "p", "b": "q"}) == "p - cbrt(q**3)"


def test_sympy_symbols_carry_the_names_of_the_primaries():
    odd = Expression.primary("E (1)"), Expression.primary("lambda"), Expression.primary("sqrt")
    formula = APPLY("mult", APPLY("add", odd[0], odd[1]), odd[2]).to_sympy()
    x, y, z = (sympy.Symbol(name, real=True) for name in ("E (1)", "lambda", "sqrt"))
    assert sympy.simplify(formula - (x + y) * z) == 0


def test_json_round_trip():
    formula = APPLY("div", APPLY("sub", B, A), C)
    assert formula.to_json() == ["div", ["sub", "b", "a"], "c"]
    back = Expression.from_json(formula.to_json(), dict.fromkeys("abc", "eV"))
    assert back == formula
    assert (back.complexity, back.rung, back.dimension) == (2, 2, NONE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("z", "expression: needs one of the features a, b, found 'z'"),
        (["add", "a"], "expression: needs 2 operand(s) for 'add', found 'add' with 1 operand(s)"),
        (["add"], "expression: needs a name or [operator, operand, …], found ['add']"),
        (3, "expression: needs a name or [operator, operand, …], found 3"),
        ([1, "a"], "expression: needs a name or [operator, operand, …], found [1, 'a']"),
        (["plus", "a", "b"], "expression: needs a known operator, found 'plus' with 2 operand(s)"),
    ],
)
def test_json_of_another_shape(data, message):
    with pytest.raises(ExpressionError) as caught:
        Expression.from_json(data, {"a": "", "b": ""})
    assert str(caught.value) == message
